// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the table of hosts: joins, leases, goodbyes, and the
 * messages that bring them; then the same through gmm's handler.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/lite_stub.h"
#include "../../gmm/internal.h"

#include <cmocka.h>

#define LEASE	5000

static struct gmm_members t;
static u64 now;

static struct lite_request request(u32 node, u64 incarnation, const void *body,
				   u32 len)
{
	return (struct lite_request){
		.node = node, .incarnation = incarnation,
		.op = body ? GMM_OP_REPORT : GMM_OP_LEAVE,
		.body = body, .body_len = len,
	};
}

static struct gmm_report good(u64 incarnation)
{
	return (struct gmm_report){
		.incarnation = incarnation, .capacity = 100, .free = 60,
		.requests = 1000, .log_capacity = (3 << 20) - 1,
		.log_free = (2 << 20) - 1, .services = 1 << LITE_SVC_MMON,
		.regions = 7, .replicas = 5,
	};
}

static int report(u32 node, u64 incarnation, enum gmm_news *news)
{
	struct gmm_report body = good(incarnation);
	struct lite_request req = request(node, incarnation, &body, sizeof(body));
	enum gmm_news ignored;

	return gmm_members_report(&t, &req, now, news ? news : &ignored);
}

/* With @flags and @requests of its mmon. */
static int report_as(u32 node, u64 incarnation, u32 services, u32 flags,
		     u64 requests, enum gmm_news *news)
{
	struct gmm_report body = good(incarnation);
	struct lite_request req = request(node, incarnation, &body, sizeof(body));

	body.services = services;
	body.flags = flags;
	body.requests = requests;
	return gmm_members_report(&t, &req, now, news);
}

static int drain(u32 node, u32 on, enum gmm_news *news)
{
	struct gmm_drain body = { node, on };
	struct lite_request req = request(9, 9, &body, sizeof(body));
	u32 named;
	int err = gmm_members_drain(&t, &req, &named, news);

	assert_int_equal(named, on <= 1 ? node : 0);
	return err;
}

static int leave(u32 node, u64 incarnation, enum gmm_news *news)
{
	struct lite_request req = request(node, incarnation, NULL, 0);

	return gmm_members_leave(&t, &req, news);
}

static u64 count(const char *name)
{
	struct lite_counter table[GMM_COUNTERS];
	int i, nr = gmm_counters_read(&t, table);

	for (i = 0; i < nr; i++)
		if (!strcmp(table[i].name, name))
			return table[i].value;
	fail_msg("no counter %s", name);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	now = 1000000;
	gmm_members_init(&t, LEASE, now, 4711ull << 32);
	return 0;
}

static void joins_once(void **state)
{
	enum gmm_news news;

	(void)state;
	assert_int_equal(report(1, 10, &news), 0);
	assert_int_equal(news, GMM_JOINED);
	assert_int_equal(report(1, 10, &news), 0);
	assert_int_equal(news, GMM_NOTHING);
	assert_int_equal(count("hosts"), 1);
	assert_int_equal(count("joins"), 1);
	assert_int_equal(count("reports"), 2);
}

static void other_incarnation_joins_again(void **state)
{
	enum gmm_news news;

	(void)state;
	report(1, 10, NULL);
	assert_int_equal(report(1, 11, &news), 0);
	assert_int_equal(news, GMM_REJOINED);
	assert_int_equal(count("hosts"), 1);
	assert_int_equal(count("joins"), 2);
}

static void leaves(void **state)
{
	enum gmm_news news;

	(void)state;
	report(1, 10, NULL);
	report(2, 20, NULL);
	assert_int_equal(leave(1, 10, &news), 0);
	assert_int_equal(news, GMM_LEFT);
	assert_int_equal(leave(1, 10, &news), 0);
	assert_int_equal(news, GMM_NOTHING);
	assert_int_equal(count("hosts"), 1);
	assert_int_equal(count("left"), 1);
	assert_true(gmm_members_remove(&t, 2));
	assert_false(gmm_members_remove(&t, 2));
	assert_int_equal(count("left"), 2);
}

static void leases_end(void **state)
{
	u32 node = 0;

	(void)state;
	report(1, 10, NULL);
	now += 3000;
	report(2, 20, NULL);
	now += LEASE - 3000;
	assert_false(gmm_members_expire(&t, now, &node));
	now++;
	assert_true(gmm_members_expire(&t, now, &node));
	assert_int_equal(node, 1);
	assert_false(gmm_members_expire(&t, now, &node));
	now += LEASE;
	assert_true(gmm_members_expire(&t, now, &node));
	assert_int_equal(node, 2);
	assert_int_equal(count("expired"), 2);
	assert_int_equal(count("hosts"), 0);
}

static void renewing_keeps_the_lease(void **state)
{
	u32 i, node;

	(void)state;
	for (i = 0; i < 10; i++) {
		report(1, 10, NULL);
		now += LEASE;
		assert_false(gmm_members_expire(&t, now, &node));
	}
}

static void full_table_refuses(void **state)
{
	enum gmm_news news;
	u32 i;

	(void)state;
	for (i = 0; i < GMM_HOSTS_MAX; i++)
		assert_int_equal(report(i + 1, i, NULL), 0);
	assert_int_equal(report(1000, 1, &news), -ENOSPC);
	assert_int_equal(news, GMM_NOTHING);
	assert_int_equal(report(5, 77, &news), 0);
	assert_int_equal(news, GMM_REJOINED);
	assert_int_equal(count("refused"), 1);
	leave(5, 77, &news);
	assert_int_equal(report(1000, 1, NULL), 0);
}

static void list_has_all(void **state)
{
	u8 answer[GMM_ANSWER_MAX] __aligned(8);
	struct gmm_hosts *hosts = (void *)answer;
	u32 i, len;

	(void)state;
	assert_int_equal(gmm_members_list(&t, now, hosts), sizeof(*hosts));
	assert_int_equal(hosts->nr, 0);
	for (i = 0; i < GMM_HOSTS_MAX; i++)
		report(i + 1, i * 7, NULL);
	len = gmm_members_list(&t, now + 40, hosts);
	assert_int_equal(len, GMM_ANSWER_MAX);
	assert_int_equal(hosts->nr, GMM_HOSTS_MAX);
	assert_int_equal(hosts->lease_ms, LEASE);
	for (i = 0; i < GMM_HOSTS_MAX; i++) {
		assert_int_equal(hosts->host[i].node, i + 1);
		assert_int_equal(hosts->host[i].incarnation, i * 7);
		assert_int_equal(hosts->host[i].capacity, 100);
		assert_int_equal(hosts->host[i].free, 60);
		assert_int_equal(hosts->host[i].services, 1 << LITE_SVC_MMON);
		assert_int_equal(hosts->host[i].age_ms, 40);
		assert_int_equal(hosts->host[i].flags, 0);
		assert_int_equal(hosts->host[i].regions, 7);
		assert_int_equal(hosts->host[i].replicas, 5);
		assert_int_equal(hosts->host[i].log_capacity, 3);
		assert_int_equal(hosts->host[i].log_free, 1);
	}
	assert_int_equal(hosts->life, 4711ull << 32);
}

static void malformed(void **state)
{
	struct bad {
		struct gmm_report body;
		u32 len, payload, direct;
	} bad[] = {
		{ good(1), 0, 0, 0 }, { good(1), 32, 0, 0 }, { good(1), 63, 0, 0 },
		{ good(1), 65, 0, 0 }, { good(1), 64, 4096, 0 }, { good(1), 64, 0, 1 },
		{ { .capacity = 100, .free = 101 }, 64, 0, 0 },
		{ { .log_capacity = 100, .log_free = 101 }, 64, 0, 0 },
		{ { .flags = 2 }, 64, 0, 0 },
		{ { .services = 1 }, 64, 0, 0 },
		{ { .services = 1 << 16 }, 64, 0, 0 },
	};
	struct lite_request req;
	enum gmm_news news;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		req = request(1, 1, &bad[i].body, bad[i].len);
		req.payload_len = bad[i].payload;
		req.nr_direct = bad[i].direct;
		assert_int_equal(gmm_members_report(&t, &req, now, &news),
				 -EBADMSG);
		assert_int_equal(count("refused"), i + 1);
	}
	assert_int_equal(count("hosts"), 0);
	req = request(1, 1, NULL, 0);
	req.body_len = 1;
	assert_int_equal(gmm_members_leave(&t, &req, &news), -EBADMSG);
	req.body_len = 0;
	req.payload_len = 4096;
	assert_int_equal(gmm_members_leave(&t, &req, &news), -EBADMSG);
	assert_int_equal(count("refused"), ARRAY_SIZE(bad) + 2);
}

/* After a cut, lite_rpc shows the same host as another incarnation. */
static void connection_is_not_the_host(void **state)
{
	struct gmm_report body = good(10);
	struct lite_request req = request(1, 11, &body, sizeof(body));
	enum gmm_news news;

	(void)state;
	report(1, 10, NULL);
	assert_int_equal(gmm_members_report(&t, &req, now, &news), 0);
	assert_int_equal(news, GMM_NOTHING);
	assert_int_equal(count("joins"), 1);
}

static void odd_numbers_are_kept(void **state)
{
	struct gmm_report body = {
		0, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, 0xfffe, 1, ~0u, ~0u,
	};
	u8 answer[GMM_ANSWER_MAX] __aligned(8);
	struct gmm_hosts *hosts = (void *)answer;
	struct lite_request req = request(0, 0, &body, sizeof(body));
	enum gmm_news news;

	(void)state;
	assert_int_equal(gmm_members_report(&t, &req, now, &news), 0);
	assert_int_equal(t.member[0].capacity, ~0ull);
	gmm_members_list(&t, now + 100000, hosts);
	assert_int_equal(hosts->host[0].capacity, U32_MAX);
	assert_int_equal(hosts->host[0].log_capacity, U32_MAX);
	assert_int_equal(hosts->host[0].log_free, U32_MAX);
	assert_int_equal(hosts->host[0].services, 0xfffe);
	assert_int_equal(hosts->host[0].age_ms, U16_MAX);
}

/* ---- draining, load --------------------------------------------------------------- */

static u32 listed_flags(u32 node)
{
	u8 answer[GMM_ANSWER_MAX] __aligned(8);
	struct gmm_hosts *hosts = (void *)answer;
	u32 i;

	gmm_members_list(&t, now, hosts);
	for (i = 0; i < hosts->nr; i++)
		if (hosts->host[i].node == node)
			return hosts->host[i].flags;
	fail_msg("host %u is not listed", node);
	return 0;
}

#define MMON	(1 << LITE_SVC_MMON)

static void draining_is_the_managers_word(void **state)
{
	enum gmm_news news;

	(void)state;
	report(1, 10, NULL);
	assert_int_equal(drain(1, 1, &news), 0);
	assert_int_equal(news, GMM_DRAINING);
	assert_int_equal(drain(1, 1, &news), 0);
	assert_int_equal(news, GMM_NOTHING);
	assert_int_equal(count("draining"), 1);
	/* On its way since before: */
	report_as(1, 10, MMON, 0, 0, &news);
	assert_int_equal(news, GMM_NOTHING);
	assert_int_equal(listed_flags(1), GMM_HOST_DRAINING);
	assert_int_equal(drain(1, 0, &news), 0);
	assert_int_equal(news, GMM_DRAINED);
	report_as(1, 10, MMON, GMM_HOST_DRAINING, 0, &news);
	assert_int_equal(listed_flags(1), 0);
}

static void who_joins_draining_drains(void **state)
{
	enum gmm_news news;

	(void)state;
	report_as(1, 10, MMON, GMM_HOST_DRAINING, 0, &news);
	assert_int_equal(news, GMM_JOINED_DRAINING);
	assert_int_equal(listed_flags(1), GMM_HOST_DRAINING);
	report_as(1, 11, MMON, 0, 0, &news);		/* has restarted */
	assert_int_equal(news, GMM_REJOINED);
	assert_int_equal(listed_flags(1), 0);
}

static void draining_ends_with_mmon(void **state)
{
	enum gmm_news news;

	(void)state;
	report(1, 10, NULL);
	drain(1, 1, &news);
	report_as(1, 10, 1 << LITE_SVC_PMON, GMM_HOST_DRAINING, 0, &news);
	assert_int_equal(news, GMM_DRAINED);
	assert_int_equal(listed_flags(1), 0);
	report_as(1, 10, MMON, GMM_HOST_DRAINING, 0, &news);
	assert_int_equal(listed_flags(1), 0);
}

static void drains_hosts_of_memory_only(void **state)
{
	struct gmm_drain body = { 1, 1 };
	struct lite_request req = request(9, 9, &body, sizeof(body) - 1);
	enum gmm_news news;
	u32 node;

	(void)state;
	report_as(1, 10, 1 << LITE_SVC_PMON, 0, 0, &news);
	assert_int_equal(drain(1, 1, &news), -ENODEV);
	assert_int_equal(drain(2, 1, &news), -ENOENT);
	assert_int_equal(drain(1, 2, &news), -EBADMSG);
	assert_int_equal(gmm_members_drain(&t, &req, &node, &news), -EBADMSG);
	assert_int_equal(count("refused"), 4);
}

static void load_is_per_second(void **state)
{
	enum gmm_news news;
	u32 i;

	(void)state;
	report_as(1, 10, MMON, 0, 5000, &news);
	assert_int_equal(t.member[0].load, 0);
	now += 100;					/* too soon to tell */
	report_as(1, 10, MMON, 0, 5200, &news);
	assert_int_equal(t.member[0].load, 0);
	now += 900;
	report_as(1, 10, MMON, 0, 6000, &news);
	assert_int_equal(t.member[0].load, 500);
	for (i = 1; i <= 20; i++) {
		now += 2000;
		report_as(1, 10, MMON, 0, 6000 + i * 2000, &news);
	}
	assert_in_range(t.member[0].load, 990, 1000);
	now += 1000;
	report_as(1, 10, MMON, 0, 3, &news);		/* mmon loaded anew */
	assert_int_equal(t.member[0].load, 0);
	now += 1000;
	report_as(1, 10, MMON, 0, ~0ull, &news);
	assert_int_equal(t.member[0].load, U32_MAX / 2);
}

/* ---- through the handler ----------------------------------------------------------- */

static u64 served(const char *name)
{
	struct lite_counter table[GMM_COUNTERS];
	int i, nr = gmm_serve_counters(table);

	for (i = 0; i < nr; i++)
		if (!strcmp(table[i].name, name))
			return table[i].value;
	fail_msg("no counter %s", name);
	return 0;
}

static int start(void **state)
{
	(void)state;
	shim_now_ms = 1000;
	return gmm_serve_start(LEASE, GMM_ROUND_ROBIN, true);
}

static int stop(void **state)
{
	(void)state;
	gmm_serve_stop();
	return lite_stub_member[LITE_SVC_GMM].present || shim_live;
}

static int call_report(u32 node, u64 incarnation)
{
	struct gmm_report body = good(incarnation);
	struct lite_request req = request(node, incarnation, &body, sizeof(body));

	lite_stub_call(&req);
	return lite_stub_reply.status;
}

static void serves_reports(void **state)
{
	struct gmm_hosts *hosts = (void *)lite_stub_reply.body;

	(void)state;
	assert_true(lite_stub_member[LITE_SVC_GMM].present);
	assert_int_equal(call_report(1, 10), 0);
	assert_int_equal(call_report(2, 20), 0);
	assert_int_equal(lite_stub_reply.len, 16 + 2 * 46);
	assert_int_equal(hosts->nr, 2);
	assert_int_equal(served("hosts"), 2);
}

static void serves_whoever_restarts(void **state)
{
	u32 i;

	(void)state;
	call_report(1, 10);
	assert_int_equal(call_report(1, 11), 0);
	assert_int_equal(served("joins"), 2);
	for (i = 1; i < GMM_HOSTS_MAX; i++)
		assert_int_equal(call_report(i + 1, 1), 0);
	assert_int_equal(call_report(1000, 1), -ENOSPC);
	assert_int_equal(gmm_serve_start(LEASE, GMM_MOST_FREE, true), -EBUSY);
}

static int call_place(u32 copies)
{
	struct gmm_place body = { .asid = 0xabc, .copies = copies };
	struct lite_request req = request(7, 1, &body, sizeof(body));

	req.op = GMM_OP_PLACE;
	lite_stub_call(&req);
	return lite_stub_reply.status;
}

static void serves_placements(void **state)
{
	struct gmm_placed *placed = (void *)lite_stub_reply.body;
	unsigned long messages;

	(void)state;
	call_report(1, 10);
	assert_int_equal(call_place(1), -EAGAIN);
	shim_now_ms += GMM_SETTLE_MS;
	assert_int_equal(call_place(1), 0);
	assert_int_equal(lite_stub_reply.len, sizeof(*placed));
	assert_int_equal(placed->nr, 1);
	assert_int_equal(placed->node[0], 1);
	messages = shim_messages;
	assert_int_equal(call_place(3), 0);
	assert_int_equal(placed->nr, 1);
	assert_int_equal(shim_messages, messages + 1);
	assert_int_equal(call_place(4), -EBADMSG);
	lite_stub_handler->event(1, LITE_EV_LEFT, NULL);
	messages = shim_messages;
	assert_int_equal(call_place(1), -EHOSTDOWN);
	assert_int_equal(shim_messages, messages + 1);
	assert_int_equal(served("placements"), 2);
	assert_int_equal(served("placed_fewer"), 1);
	assert_int_equal(served("unplaced"), 1);
}

static void serves_moves(void **state)
{
	struct gmm_balance body = { .from = 1 };
	struct lite_request req = request(1, 10, &body, sizeof(body));

	(void)state;
	shim_now_ms += GMM_SETTLE_MS;
	call_report(1, 10);
	req.op = GMM_OP_BALANCE;
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, 0);
	assert_int_equal(lite_stub_reply.len, sizeof(struct gmm_balanced));
	req.body_len--;
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, -EBADMSG);
	assert_true(gmm_serve_rebalance());
	gmm_serve_set_rebalance(false);
	assert_false(gmm_serve_rebalance());
}

static void serves_draining(void **state)
{
	struct gmm_drain body = { 1, 1 };
	struct lite_request req = request(7, 1, &body, sizeof(body));

	(void)state;
	req.op = GMM_OP_DRAIN;
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, -ENOENT);
	call_report(1, 10);
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, 0);
	assert_int_equal(served("draining"), 1);
	shim_now_ms += GMM_SETTLE_MS;
	assert_int_equal(call_place(1), -EHOSTDOWN);
}

static void policy_can_be_changed(void **state)
{
	(void)state;
	assert_string_equal(gmm_serve_policy(), "round-robin");
	assert_int_equal(gmm_serve_set_policy("least-load"), 0);
	assert_string_equal(gmm_serve_policy(), "least-load");
	assert_int_equal(gmm_serve_set_policy("lru"), -EINVAL);
	assert_string_equal(gmm_serve_policy(), "least-load");
}

static void refuses_crooked_goodbyes(void **state)
{
	struct lite_request req = request(1, 10, NULL, 0);

	(void)state;
	req.nr_direct = 1;
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, -EBADMSG);
}

static void serves_goodbyes(void **state)
{
	struct lite_request req = request(1, 10, NULL, 0);

	(void)state;
	call_report(1, 10);
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, 0);
	assert_int_equal(served("hosts"), 0);
	call_report(1, 10);
	lite_stub_handler->event(1, LITE_EV_DEAD, NULL);
	assert_int_equal(served("hosts"), 1);		/* the lease decides */
	lite_stub_handler->event(1, LITE_EV_LEFT, NULL);
	assert_int_equal(served("hosts"), 0);
	assert_int_equal(served("left"), 2);
}

static void ends_leases_by_itself(void **state)
{
	(void)state;
	call_report(1, 10);
	shim_now_ms += LEASE;
	shim_run_work();
	assert_int_equal(served("hosts"), 1);
	shim_now_ms += 1;
	shim_run_work();
	assert_int_equal(served("hosts"), 0);
	assert_int_equal(served("expired"), 1);
}

static void refuses_in_words(void **state)
{
	struct lite_request req = request(1, 10, NULL, 0);
	unsigned long messages = shim_messages;

	(void)state;
	req.op = GMM_OP_MAX;
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, -EOPNOTSUPP);
	req.op = GMM_OP_REPORT;
	lite_stub_call(&req);
	assert_int_equal(lite_stub_reply.status, -EBADMSG);
	assert_int_equal(served("refused"), 2);
	assert_int_equal(shim_messages, messages + 2);
	shim_fail_at = 0;
	assert_int_equal(call_report(1, 10), -ENOMEM);
	shim_fail_at = -1;
	assert_int_equal(served("hosts"), 0);
}

#define TABLE(f)	cmocka_unit_test_setup(f, setup)
#define SERVED(f)	cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE(joins_once),
		TABLE(other_incarnation_joins_again),
		TABLE(leaves),
		TABLE(leases_end),
		TABLE(renewing_keeps_the_lease),
		TABLE(full_table_refuses),
		TABLE(list_has_all),
		TABLE(malformed),
		TABLE(connection_is_not_the_host),
		TABLE(odd_numbers_are_kept),
		TABLE(draining_is_the_managers_word),
		TABLE(who_joins_draining_drains),
		TABLE(draining_ends_with_mmon),
		TABLE(drains_hosts_of_memory_only),
		TABLE(load_is_per_second),
		SERVED(serves_reports),
		SERVED(serves_whoever_restarts),
		SERVED(serves_placements),
		SERVED(serves_moves),
		SERVED(serves_draining),
		SERVED(policy_can_be_changed),
		SERVED(refuses_crooked_goodbyes),
		SERVED(serves_goodbyes),
		SERVED(ends_leases_by_itself),
		SERVED(refuses_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
