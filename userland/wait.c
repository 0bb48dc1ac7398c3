// SPDX-License-Identifier: GPL-2.0
/* vnode wait: for scripts that start before the cluster is complete. */
#include <getopt.h>
#include <limits.h>
#include <time.h>

#include "vnode.h"

#define TIMEOUT_DEFAULT	60
#define POLL_NS		(200 * 1000 * 1000)

static time_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* The modules may well be loaded while this waits. */
static int wait_for_hosts(size_t wanted, unsigned long timeout)
{
	const struct timespec pause = { .tv_nsec = POLL_NS };
	time_t start = now();
	struct vn_model model;
	bool loaded;
	size_t nr;

	for (;;) {
		vn_collect(&model, true);
		loaded = model.modules[VN_LITE_RPC].loaded;
		nr = vn_memory_hosts(&model);
		vn_model_free(&model);
		if (nr >= wanted)
			return VN_OK;
		if ((unsigned long)(now() - start) >= timeout)
			break;
		nanosleep(&pause, NULL);
	}
	if (!loaded)
		vn_error("lite_rpc is not loaded on this host: modprobe lite_rpc");
	else
		vn_error("%zu of %zu memory hosts have joined after %lu s",
			 nr, wanted, timeout);
	return VN_FAILED;
}

int vn_wait(int argc, char **argv)
{
	static const struct option options[] = {
		{ "memory-hosts", required_argument, NULL, 'm' },
		{ "timeout", required_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 }
	};
	unsigned long hosts = 1, timeout = TIMEOUT_DEFAULT;
	bool good;
	int c;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'm')
			good = vn_parse_uint(optarg, 1, 65535, &hosts);
		else if (c == 't')
			good = vn_parse_uint(optarg, 0, INT_MAX, &timeout);
		else
			return VN_USAGE;
		if (!good) {
			vn_error("wait: '%s' is not a number in range", optarg);
			return VN_USAGE;
		}
	}
	if (optind < argc) {
		vn_error("wait: unexpected argument '%s'", argv[optind]);
		return VN_USAGE;
	}
	return wait_for_hosts(hosts, timeout);
}
