// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check what vnode makes of netlink messages: the model, the
 * text and JSON of `vnode status`, the lines of `vnode check` and the words of
 * an extended ack. No kernel module is needed.
 *
 *	cc -std=gnu11 -g -Wall -Wextra -D_GNU_SOURCE -fsanitize=address,undefined \
 *	   -I../../lite-rpc/include/uapi -o test_vnode test_vnode.c \
 *	   ../../userland/{model,output,units,check,status,netlink}.c \
 *	   -lcmocka -lmnl -ljansson
 *
 * or in the Makefile:
 *
 *	$(OUT)/test_vnode: CFLAGS += -D_GNU_SOURCE \
 *		-I$(TOP)/lite-rpc/include/uapi -lmnl -ljansson
 *	$(eval $(call plain,vnode,$(addprefix userland/,model.c output.c \
 *		units.c check.c status.c netlink.c)))
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>
#include <libmnl/libmnl.h>
#include <splitkernel.h>

#include "../../userland/netlink.h"
#include "../../userland/vnode.h"

void vn_error(const char *fmt, ...)
{
	(void)fmt;
}

static char buf[8192];

static struct nlmsghdr *message(void)
{
	struct nlmsghdr *nlh;

	memset(buf, 0, sizeof(buf));
	nlh = mnl_nlmsg_put_header(buf);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct genlmsghdr));
	return nlh;
}

static void put_counter(struct nlmsghdr *nlh, const char *name, uint64_t value)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, SK_ATTR_COUNTER);

	mnl_attr_put_strz(nlh, SK_ATTR_NAME, name);
	mnl_attr_put(nlh, SK_ATTR_PAD, 0, NULL);
	mnl_attr_put_u64(nlh, SK_ATTR_VALUE, value);
	mnl_attr_nest_end(nlh, nest);
}

static void add_host(struct vn_model *m, uint32_t node, const char *state,
		     uint32_t services, uint64_t frames)
{
	struct nlmsghdr *nlh = message();
	struct nlattr *nest = mnl_attr_nest_start(nlh, SK_ATTR_HOST);

	mnl_attr_put_u32(nlh, SK_ATTR_NODE, node);
	mnl_attr_put_strz(nlh, SK_ATTR_STATE, state);
	mnl_attr_put_u32(nlh, SK_ATTR_SERVICES, services);
	if (frames) {
		mnl_attr_put_u64(nlh, SK_ATTR_CAPACITY, frames);
		mnl_attr_put_u64(nlh, SK_ATTR_FREE, frames / 4);
		mnl_attr_put_u32(nlh, SK_ATTR_AGE_MS, 250);
	}
	mnl_attr_put_u32(nlh, SK_ATTR_EPOCH, 3);
	mnl_attr_put_u64(nlh, SK_ATTR_ERRORS, 1);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(vn_model_add_host(m, nlh), 0);
}

/* One that a new lite_rpc describes. */
static void add_memory_host(struct vn_model *m, uint32_t node, bool draining)
{
	struct nlmsghdr *nlh = message();
	struct nlattr *nest = mnl_attr_nest_start(nlh, SK_ATTR_HOST);

	mnl_attr_put_u32(nlh, SK_ATTR_NODE, node);
	mnl_attr_put_strz(nlh, SK_ATTR_STATE, "up");
	mnl_attr_put_u32(nlh, SK_ATTR_SERVICES, 1 << VN_SVC_MMON);
	mnl_attr_put_u64(nlh, SK_ATTR_CAPACITY, 1 << 20);
	mnl_attr_put_u64(nlh, SK_ATTR_FREE, 1 << 18);
	mnl_attr_put_u8(nlh, SK_ATTR_DRAINING, draining);
	mnl_attr_put_u32(nlh, SK_ATTR_REGIONS, 12);
	mnl_attr_put_u32(nlh, SK_ATTR_REPLICAS, 3);
	mnl_attr_put_u32(nlh, SK_ATTR_LOAD, 4567);
	mnl_attr_put_u64(nlh, SK_ATTR_LOG_CAPACITY, 64 << 20);
	mnl_attr_put_u64(nlh, SK_ATTR_LOG_FREE, 1 << 20);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(vn_model_add_host(m, nlh), 0);
}

static void add_space(struct vn_model *m, uint64_t asid, const char *comm,
		      uint32_t home, const char *state)
{
	struct nlmsghdr *nlh = message();
	struct nlattr *nest = mnl_attr_nest_start(nlh, SK_ATTR_SPACE);

	mnl_attr_put_u64(nlh, SK_ATTR_ASID, asid);
	mnl_attr_put_u32(nlh, SK_ATTR_PID, 4711);
	mnl_attr_put_strz(nlh, SK_ATTR_NAME, comm);
	mnl_attr_put_u32(nlh, SK_ATTR_NODE, home);
	mnl_attr_put_strz(nlh, SK_ATTR_STATE, state);
	mnl_attr_put_u64(nlh, SK_ATTR_LINES, 16384);
	mnl_attr_put_u64(nlh, SK_ATTR_LIMIT, 65536);
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(vn_model_add_space(m, VN_PMON, nlh), 0);
}

static void example(struct vn_model *m)
{
	struct nlmsghdr *nlh;

	vn_model_init(m);
	add_host(m, 0x0a000001, "up", 1 << 1 | 1 << 3, 0);
	add_host(m, 0x0a000002, "up", 1 << 2, 524288);
	add_host(m, 0x0a000003, "dead", 1 << 2 | 1 << 9, 1024);
	add_space(m, 0xfedcba9876543210, "python3", 0x0a000002, "ok");
	add_space(m, 1, "e\033[2Jvil", 0, "lost");
	m->modules[VN_LITE_RPC].loaded = true;
	m->modules[VN_PMON].loaded = true;
	nlh = message();
	put_counter(nlh, "faults", 12345);
	put_counter(nlh, "waits", 0);
	put_counter(nlh, "misses", 30);
	put_counter(nlh, "evictions", UINT64_MAX);
	put_counter(nlh, "prefetch_issued", 160);
	put_counter(nlh, "prefetch_used", 120);
	mnl_attr_put_strz(nlh, SK_ATTR_POLICY, "lru");
	mnl_attr_put_u8(nlh, SK_ATTR_PREFETCH, 1);
	mnl_attr_put_u32(nlh, 4000, 1);		/* of a newer module */
	assert_int_equal(vn_model_add_counters(m, VN_PMON, nlh), 0);
}

static void test_text(void **state)
{
	static const char want[] =
"HOST             SERVICES        STATE        MEMORY     FREE     AGE  ERRORS\n"
"10.0.0.1         gmm,pmon        up                -        -       -       1\n"
"10.0.0.2         mmon            up               2G     512M   250ms       1\n"
"10.0.0.3         mmon,9          dead             4M       1M   250ms       1\n"
"\n"
"AT    ADDRESS SPACE         PID  COMMAND          HOST             CACHED   LIMIT  REMOTE\n"
"pmon  fedcba9876543210     4711  python3          10.0.0.2            64M    256M       -\n"
"pmon  1                    4711  e?[2Jvil         -                   64M    256M       -  lost\n"
"\n"
"MODULE      COUNTERS THAT ARE NOT ZERO\n"
"lite_rpc  \n"
"pmon        policy lru\n"
"            prefetch on, accuracy 75 %, coverage 80 %\n"
"            faults 12345  misses 30  evictions 18446744073709551615\n"
"            prefetch_issued 160  prefetch_used 120\n";
	struct vn_style style = { .colour = false, .width = 80 };
	struct vn_model m;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	example(&m);
	vn_print_status(f, &m, &style);
	fclose(f);
	assert_string_equal(text, want);
	free(text);
	assert_int_equal(vn_memory_hosts(&m), 1);
	vn_model_free(&m);
}

static void test_json(void **state)
{
	static const char want[] =
"{\"schema\": 1, \"hosts\": ["
"{\"address\": \"10.0.0.1\", \"services\": [\"gmm\", \"pmon\"], \"state\": \"up\", "
"\"usable\": true, \"epoch\": 3, \"errors\": 1}, "
"{\"address\": \"10.0.0.2\", \"services\": [\"mmon\"], \"state\": \"up\", "
"\"usable\": true, \"frames_total\": 524288, \"frames_free\": 131072, "
"\"age_ms\": 250, \"epoch\": 3, \"errors\": 1}, "
"{\"address\": \"10.0.0.3\", \"services\": [\"mmon\", \"9\"], \"state\": \"dead\", "
"\"usable\": false, \"frames_total\": 1024, \"frames_free\": 256, "
"\"age_ms\": 250, \"epoch\": 3, \"errors\": 1}], "
"\"modules\": {\"lite_rpc\": {}, \"pmon\": {\"faults\": 12345, \"waits\": 0, \"misses\": 30, "
"\"evictions\": 9223372036854775807, \"prefetch_issued\": 160, "
"\"prefetch_used\": 120}}, \"spaces\": ["
"{\"module\": \"pmon\", \"asid\": \"fedcba9876543210\", \"pid\": 4711, "
"\"comm\": \"python3\", \"home\": \"10.0.0.2\", \"state\": \"ok\", "
"\"lines\": 16384, \"limit\": 65536}, "
"{\"module\": \"pmon\", \"asid\": \"0000000000000001\", \"pid\": 4711, "
"\"comm\": \"e?[2Jvil\", \"home\": null, \"state\": \"lost\", "
"\"lines\": 16384, \"limit\": 65536}], \"policy\": \"lru\", \"prefetch\": \"on\"}";
	struct vn_model m;
	json_t *got, *expected;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	example(&m);
	assert_int_equal(vn_print_status_json(f, &m), 0);
	fclose(f);
	got = json_loads(text, 0, NULL);
	expected = json_loads(want, 0, NULL);
	assert_non_null(got);
	assert_non_null(expected);
	if (!json_equal(got, expected))
		fail_msg("%s", text);
	json_decref(got);
	json_decref(expected);
	free(text);
	vn_model_free(&m);
}

/* vnode host list, and what the manager adds to the status. */
static void test_hosts(void **state)
{
	static const char want[] =
"HOST             STATE        MEMORY     FREE  REGIONS  REPLICAS  REQUESTS/s  DRAINING\n"
"10.0.0.2         up               2G     512M        -         -           -  -\n"
"10.0.0.3         dead             4M       1M        -         -           -  -\n"
"10.0.0.4         up               4G       1G       12         3        4567  no\n"
"10.0.0.5         up               4G       1G       12         3        4567  yes\n";
	struct vn_style style = { .colour = false, .width = 80 };
	struct nlmsghdr *nlh;
	struct vn_model m;
	json_t *got, *row;
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	example(&m);
	add_memory_host(&m, 0x0a000004, false);
	add_memory_host(&m, 0x0a000005, true);
	vn_print_hosts(f, &m, &style);
	fclose(f);
	assert_string_equal(text, want);
	free(text);

	f = open_memstream(&text, &len);
	assert_int_equal(vn_print_hosts_json(f, &m), 0);
	fclose(f);
	got = json_loads(text, 0, NULL);
	free(text);
	assert_int_equal(json_array_size(json_object_get(got, "hosts")), 4);
	row = json_array_get(json_object_get(got, "hosts"), 3);
	assert_true(json_is_true(json_object_get(row, "draining")));
	assert_int_equal(json_integer_value(json_object_get(row, "regions")), 12);
	assert_int_equal(json_integer_value(json_object_get(row, "replicas")), 3);
	assert_int_equal(json_integer_value(json_object_get(row, "requests_per_s")),
			 4567);
	assert_int_equal(json_integer_value(json_object_get(row, "log_total")),
			 64 << 20);
	assert_int_equal(json_integer_value(json_object_get(row, "log_free")),
			 1 << 20);
	json_decref(got);

	nlh = message();
	mnl_attr_put_strz(nlh, SK_ATTR_POLICY, "least-load");
	mnl_attr_put_u8(nlh, SK_ATTR_REBALANCE, 0);
	assert_int_equal(vn_model_add_counters(&m, VN_GMM, nlh), 0);
	nlh = message();
	mnl_attr_put_u32(nlh, SK_ATTR_MANAGER, 0x0a000001);
	assert_int_equal(vn_model_add_counters(&m, VN_LITE_RPC, nlh), 0);
	m.modules[VN_GMM].loaded = true;
	f = open_memstream(&text, &len);
	vn_print_status(f, &m, &style);
	fclose(f);
	assert_non_null(strstr(text, "lite_rpc    manager 10.0.0.1\n"));
	assert_non_null(strstr(text, "gmm         placement least-load\n"
				    "            rebalance off\n"));
	assert_non_null(strstr(text, "       0  draining\n"));
	free(text);
	f = open_memstream(&text, &len);
	assert_int_equal(vn_print_status_json(f, &m), 0);
	fclose(f);
	assert_non_null(strstr(text, "\"placement\": \"least-load\""));
	assert_non_null(strstr(text, "\"rebalance\": \"off\""));
	assert_non_null(strstr(text, "\"manager\": \"10.0.0.1\""));
	free(text);
	vn_model_free(&m);
}

/* One line each, as text and as JSON; what is not told is not shown. */
static void test_events(void **state)
{
	struct nlmsghdr *nlh = message();
	struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	struct vn_event event;
	char *text;
	size_t len;
	FILE *f;

	(void)state;
	genl->cmd = SK_CMD_EVENT;
	assert_false(vn_event_parse(&event, nlh));
	mnl_attr_put_strz(nlh, SK_ATTR_EVENT, "degraded");
	mnl_attr_put_u64(nlh, SK_ATTR_TIME_MS, 1700000000123);
	f = open_memstream(&text, &len);
	assert_true(vn_event_parse(&event, nlh));
	setenv("TZ", "UTC0", 1);
	vn_print_event(f, &event);
	vn_print_event_json(f, &event);
	mnl_attr_put_u32(nlh, SK_ATTR_NODE, 0x0a000002);
	mnl_attr_put_u64(nlh, SK_ATTR_ASID, 0x0a00000100000007);
	mnl_attr_put_u32(nlh, SK_ATTR_PID, 42);
	mnl_attr_put_strz(nlh, SK_ATTR_NAME, "a\nb");
	assert_true(vn_event_parse(&event, nlh));
	vn_print_event(f, &event);
	vn_print_event_json(f, &event);
	fclose(f);
	assert_string_equal(text,
"2023-11-14 22:13:20.123  degraded\n"
"{\"schema\":1,\"event\":\"degraded\",\"time_ms\":1700000000123}\n"
"2023-11-14 22:13:20.123  degraded  host 10.0.0.2  region a00000100000007  pid 42  a?b\n"
"{\"schema\":1,\"event\":\"degraded\",\"time_ms\":1700000000123,"
"\"host\":\"10.0.0.2\",\"region\":\"0a00000100000007\",\"pid\":42,"
"\"comm\":\"a?b\"}\n");
	free(text);
	genl->cmd = SK_CMD_GET_HOSTS;
	assert_false(vn_event_parse(&event, nlh));
}

/* Attributes of the wrong length, nests cut short: nothing worse than a gap. */
static void test_garbage(void **state)
{
	struct nlmsghdr *nlh;
	struct nlattr *nest;
	struct vn_model m;
	int round, i;

	(void)state;
	vn_model_init(&m);
	nlh = message();
	nest = mnl_attr_nest_start(nlh, SK_ATTR_HOST);
	mnl_attr_put_u64(nlh, SK_ATTR_NODE, 1);
	mnl_attr_put(nlh, SK_ATTR_STATE, 2, "up");	/* no NUL */
	mnl_attr_nest_end(nlh, nest);
	assert_int_equal(vn_model_add_host(&m, nlh), 0);
	assert_int_equal(m.hosts[0].node, 0);
	assert_string_equal(m.hosts[0].state, "up");

	srandom(4711);
	for (round = 0; round < 20000; round++) {
		nlh = message();
		put_counter(nlh, "name", 1);
		nest = mnl_attr_nest_start(nlh, round & 1 ? SK_ATTR_HOST :
					   SK_ATTR_SPACE);
		mnl_attr_put_strz(nlh, SK_ATTR_NAME, "a name");
		mnl_attr_put_u32(nlh, SK_ATTR_NODE, 1);
		mnl_attr_nest_end(nlh, nest);
		for (i = 0; i < 4; i++)
			buf[20 + random() % (nlh->nlmsg_len - 20)] = random();
		vn_model_add_counters(&m, VN_MMON, nlh);
		vn_model_add_host(&m, nlh);
		vn_model_add_space(&m, VN_MMON, nlh);
		vn_model_free(&m);
	}
}

static struct nlmsghdr *ack(int err, uint16_t flags, uint32_t echoed)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlmsgerr *e;

	nlh->nlmsg_type = NLMSG_ERROR;
	nlh->nlmsg_flags = flags;
	e = mnl_nlmsg_put_extra_header(nlh, sizeof(*e));
	e->error = err;
	e->msg.nlmsg_len = sizeof(e->msg) + echoed;
	if (!(flags & NLM_F_CAPPED) && echoed < 4096)
		mnl_nlmsg_put_extra_header(nlh, echoed);
	return nlh;
}

static void test_extack(void **state)
{
	char text[16];
	struct nlmsghdr *nlh;

	(void)state;
	nlh = ack(-EPERM, NLM_F_ACK_TLVS | NLM_F_CAPPED, 40);
	mnl_attr_put_u32(nlh, NLMSGERR_ATTR_OFFS, 4);
	mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, "no");
	assert_int_equal(vn_nl_parse_ack(nlh, text, sizeof(text)), -EPERM);
	assert_string_equal(text, "no");

	nlh = ack(-EPERM, NLM_F_ACK_TLVS, 40);
	mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, "longer than fits here");
	assert_int_equal(vn_nl_parse_ack(nlh, text, sizeof(text)), -EPERM);
	assert_string_equal(text, "longer than fit");

	nlh = ack(-EPERM, 0, 40);
	assert_int_equal(vn_nl_parse_ack(nlh, text, sizeof(text)), -EPERM);
	assert_string_equal(text, "");
	nlh = ack(0, 0, 0);
	assert_int_equal(vn_nl_parse_ack(nlh, text, sizeof(text)), 0);
	nlh = ack(-EPERM, NLM_F_ACK_TLVS, 1 << 20);
	assert_int_equal(vn_nl_parse_ack(nlh, text, sizeof(text)), -EPERM);
	nlh->nlmsg_len = NLMSG_HDRLEN + 2;
	assert_int_equal(vn_nl_parse_ack(nlh, text, sizeof(text)), -EBADMSG);
}

static void put_file(const char *root, const char *path, const char *text,
		     mode_t mode)
{
	char cmd[512], name[256];
	FILE *f;

	snprintf(name, sizeof(name), "%s%s", root, path);
	snprintf(cmd, sizeof(cmd), "mkdir -p $(dirname %s)", name);
	assert_int_equal(system(cmd), 0);
	f = fopen(name, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(name, mode);
}

static char *check_text(const char *root, const struct vn_model *m, int failed)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_int_equal(vn_check_print(f, root, m), failed);
	fclose(f);
	return text;
}

static void test_check(void **state)
{
	char root[] = "/tmp/test_vnode.XXXXXX", cmd[64], *text;
	struct vn_model m;

	(void)state;
	assert_non_null(mkdtemp(root));
	put_file(root, "/sys/module/x", "", 0644);
	vn_model_init(&m);
	text = check_text(root, &m, 4);
	assert_non_null(strstr(text, "FAIL  lite_rpc is not loaded"));
	assert_non_null(strstr(text, "FAIL  no RDMA device"));
	free(text);

	example(&m);
	put_file(root, "/sys/module/pmon/x", "", 0644);
	put_file(root, "/sys/module/lite_rpc/parameters/key_file", "/key\n", 0644);
	put_file(root, "/key", "sixteen letters.", 0640);
	put_file(root, "/sys/kernel/btf/vmlinux", "", 0644);
	put_file(root, "/proc/sys/kernel/ftrace_enabled", "1\n", 0644);
	put_file(root, "/sys/class/infiniband/rxe0/ports/1/gid_attrs/ndevs/0",
		 "eth1\n", 0644);
	put_file(root, "/sys/class/net/eth1/mtu", "1500\n", 0644);
	text = check_text(root, &m, 1);
	assert_string_equal(text,
		"ok    lite_rpc is loaded\n"
		"ok    pmon is loaded: this host can run programs\n"
		"ok    the kernel has BTF\n"
		"ok    ftrace is enabled\n"
		"ok    RDMA device rxe0\n"
		"WARN  MTU of eth1 is 1500, a page takes several packets: "
		"ip link set dev eth1 mtu 9000\n"
		"FAIL  key file /key can be read by others: chmod 600 /key\n"
		"WARN  host 10.0.0.3 is dead\n"
		"ok    1 memory host has joined\n");
	free(text);

	put_file(root, "/key", "fifteen letters\n", 0600);
	text = check_text(root, &m, 1);
	assert_non_null(strstr(text, "FAIL  key file /key is no file, or has less than 16 bytes"));
	free(text);

	put_file(root, "/key", "sixteen letters.", 0600);
	put_file(root, "/sys/class/net/eth1/mtu", "9000\n", 0644);
	text = check_text(root, &m, 0);
	assert_non_null(strstr(text, "ok    MTU of eth1 is 9000"));
	assert_non_null(strstr(text, "ok    key file /key"));
	free(text);
	vn_model_free(&m);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", root);
	assert_int_equal(system(cmd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_extack),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
