// SPDX-License-Identifier: GPL-2.0
/* vnode events: what happens to the memory of this host's programs, as it happens. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include <splitkernel.h>

#include "netlink.h"
#include "vnode.h"

struct events {
	bool json;
	unsigned long left;	/* to be shown; 0: no end */
};

static void show(const struct events *events, const struct vn_event *event)
{
	if (events->json)
		vn_print_event_json(stdout, event);
	else
		vn_print_event(stdout, event);
	/* Who reads it may be a script that waits for it. */
	fflush(stdout);
}

/* Return: 0: go on; 1: it was the last that was wanted. */
static int take_event(const struct nlmsghdr *nlh, void *arg)
{
	struct events *events = arg;
	struct vn_event event;

	if (!vn_event_parse(&event, nlh))
		return 0;
	show(events, &event);
	return events->left && !--events->left;
}

/* More came than could be kept: who listens is to know. */
static void show_missed(const struct events *events)
{
	const struct vn_event missed = {
		.what = "missed", .time_ms = (uint64_t)time(NULL) * 1000,
	};

	show(events, &missed);
}

static int listen_to(struct vn_nl *nl, struct events *events)
{
	int err;

	for (;;) {
		err = vn_nl_listen(nl, take_event, events);
		if (err == -ENOBUFS)
			show_missed(events);
		else if (err && err != -EINTR)
			return err > 0 ? VN_OK : err;
		if (ferror(stdout))
			return -EIO;
	}
}

static int follow(struct events *events)
{
	static struct vn_nl nl;
	int err;

	err = vn_module_loaded("", SK_FAMILY_PMON) ?
	      vn_nl_open(&nl, SK_FAMILY_PMON) : -ENOENT;
	if (err == -ENOENT) {
		vn_error("pmon is not loaded on this host: modprobe pmon");
		return VN_FAILED;
	}
	if (!err) {
		err = vn_nl_join(&nl, SK_FAMILY_PMON, SK_GROUP_EVENTS);
		if (!err)
			err = listen_to(&nl, events);
		vn_nl_close(&nl);
	}
	if (err < 0)
		vn_error("events: %s", strerror(-err));
	return err < 0 ? VN_FAILED : VN_OK;
}

int vn_events(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'c' },
		{ NULL, 0, NULL, 0 }
	};
	struct events events = {};
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'j') {
			events.json = true;
		} else if (c != 'c') {
			return VN_USAGE;
		} else if (!vn_parse_uint(optarg, 1, ULONG_MAX, &events.left)) {
			vn_error("events: '%s' is no number of events", optarg);
			return VN_USAGE;
		}
	}
	if (optind < argc) {
		vn_error("events: unexpected argument '%s'", argv[optind]);
		return VN_USAGE;
	}
	return follow(&events);
}
