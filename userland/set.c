// SPDX-License-Identifier: GPL-2.0
/* vnode set: change what can be changed at run time. */
#include <errno.h>
#include <string.h>

#include <splitkernel.h>

#include "netlink.h"
#include "vnode.h"

#define POLICY_NAME_MAX	15

static void put_policy(struct nlmsghdr *nlh, const char *name)
{
	mnl_attr_put_strz(nlh, SK_ATTR_POLICY, name);
}

static void put_prefetch(struct nlmsghdr *nlh, const char *value)
{
	mnl_attr_put_u8(nlh, SK_ATTR_PREFETCH, !strcmp(value, "on"));
}

static int set(const char *what, const char *value,
	       void (*put)(struct nlmsghdr *nlh, const char *value))
{
	static struct vn_nl nl;
	struct nlmsghdr *nlh;
	int err;

	err = vn_nl_open(&nl, SK_FAMILY_PMON);
	if (err == -ENOENT) {
		vn_error("pmon is not loaded on this host: modprobe pmon");
		return VN_FAILED;
	}
	if (!err) {
		nlh = vn_nl_request(&nl, SK_CMD_SET, 0);
		put(nlh, value);
		err = vn_nl_talk(&nl, nlh, NULL, NULL);
		vn_nl_close(&nl);
	}
	if (err)
		vn_error("%s %s: %s", what, value, vn_nl_strerror(&nl, err));
	return err ? VN_FAILED : VN_OK;
}

/* Which policies there are is pmon's business: its refusal names them. */
static int set_policy(const char *name)
{
	if (!*name || strlen(name) > POLICY_NAME_MAX) {
		vn_error("set: '%s' is no policy: there are lru, sieve and fifo",
			 name);
		return VN_USAGE;
	}
	return set("policy", name, put_policy);
}

static int set_prefetch(const char *value)
{
	if (strcmp(value, "on") && strcmp(value, "off")) {
		vn_error("set prefetch: '%s': on or off", value);
		return VN_USAGE;
	}
	return set("prefetch", value, put_prefetch);
}

int vn_set(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "policy"))
		return set_policy(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "prefetch"))
		return set_prefetch(argv[2]);
	vn_error("set: what? vnode set policy lru|sieve|fifo, or prefetch on|off");
	return VN_USAGE;
}
