// SPDX-License-Identifier: GPL-2.0
/* vnode host: the memory hosts of the cluster; have one drained. */
#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include <libmnl/libmnl.h>
#include <splitkernel.h>

#include "vnode.h"

/* The manager's word takes a second to come around... */
#define SEEN_TRIES	5
/* ... and so does what was placed just before. */
#define EMPTY_TRIES	3

static int list(bool json)
{
	struct vn_model model;
	struct vn_style style;
	int err;

	err = vn_collect(&model, false);
	if (!model.modules[VN_LITE_RPC].loaded) {
		if (!err)
			vn_error("lite_rpc is not loaded on this host: "
				 "modprobe lite_rpc");
		err = -1;
	} else if (json) {
		if (vn_print_hosts_json(stdout, &model))
			err = -1;
	} else {
		vn_style_init(&style, stdout);
		vn_print_hosts(stdout, &model, &style);
	}
	vn_model_free(&model);
	return err ? VN_FAILED : VN_OK;
}

struct drain {
	uint32_t node;
	bool on;
};

static void put_drain(struct nlmsghdr *nlh, const void *arg)
{
	const struct drain *drain = arg;

	mnl_attr_put_u32(nlh, SK_ATTR_NODE, drain->node);
	mnl_attr_put_u8(nlh, SK_ATTR_DRAINING, drain->on);
}

/* Whether the host holds anything still, with a line when that changed. */
static bool holds(const struct vn_host *host, const char *name)
{
	static struct vn_host last;	/* without memory: differs from any */
	uint64_t used = host->capacity - host->free;
	char size[16];

	if (host->capacity == last.capacity && host->free == last.free &&
	    host->regions == last.regions && host->replicas == last.replicas)
		return used || host->regions || host->replicas;
	last = *host;
	printf("%s: frames in use %" PRIu64 " (%s), regions %" PRIu32
	       ", replicas %" PRIu32 "\n", name, used,
	       vn_format_bytes(size, sizeof(size), used * VN_PAGE_SIZE),
	       host->regions, host->replicas);
	fflush(stdout);
	return used || host->regions || host->replicas;
}

/** struct wait - for how many more looks a host may seem... */
struct wait {
	int unseen;		/* ... not to be draining */
	int empty;		/* ... to hold nothing */
};

/* Return: exit code; -1: not yet. */
static int drained(const char *name, uint32_t node, struct wait *wait)
{
	const struct vn_host *host;
	struct vn_model model;
	int code = -1;

	vn_collect(&model, true);
	host = vn_find_host(&model, node);
	if (!host || !vn_host_lends(host)) {
		vn_error("%s is no memory host any more", name);
		code = VN_FAILED;
	} else if (host->draining) {
		wait->unseen = 1;
		wait->empty = holds(host, name) ? EMPTY_TRIES : wait->empty - 1;
		if (!wait->empty)
			code = VN_OK;
	} else if (!--wait->unseen) {
		vn_error("%s is no longer to be drained", name);
		code = VN_FAILED;
	}
	vn_model_free(&model);
	return code;
}

static int wait_until_drained(const char *name, uint32_t node)
{
	const struct timespec pause = { .tv_sec = 1 };
	struct wait wait = { SEEN_TRIES, EMPTY_TRIES };
	int code;

	for (;;) {
		code = drained(name, node, &wait);
		if (code >= 0)
			return code;
		nanosleep(&pause, NULL);
	}
}

static int drain(const char *name, bool on, bool wait)
{
	struct drain drain = { .on = on };
	char label[64];
	int code;

	if (!vn_parse_node(name, &drain.node)) {
		vn_error("host drain: '%s' is no IPv4 address", name);
		return VN_USAGE;
	}
	snprintf(label, sizeof(label), "host drain %s", name);
	code = vn_change(SK_FAMILY_LITE_RPC, SK_CMD_DRAIN, put_drain, &drain,
			 label);
	return code || !wait ? code : wait_until_drained(name, drain.node);
}

static int usage(void)
{
	vn_error("host: what? vnode host list [--json], "
		 "or host drain ADDRESS [--off] [--wait]");
	return VN_USAGE;
}

int vn_host(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "off", no_argument, NULL, 'o' },
		{ "wait", no_argument, NULL, 'w' },
		{ NULL, 0, NULL, 0 }
	};
	bool json = false, off = false, wait = false;
	int c, left;

	/* Options may stand anywhere. */
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'o':
			off = true;
			break;
		case 'w':
			wait = true;
			break;
		default:
			return VN_USAGE;
		}
	}
	left = argc - optind;
	if (left == 1 && !strcmp(argv[optind], "list") && !off && !wait)
		return list(json);
	if (left == 2 && !strcmp(argv[optind], "drain") && !json &&
	    !(off && wait))
		return drain(argv[optind + 1], !off, wait);
	return usage();
}
