// SPDX-License-Identifier: GPL-2.0
/* vnode set: change what can be changed at run time. */
#include <errno.h>
#include <string.h>

#include <splitkernel.h>

#include "netlink.h"
#include "vnode.h"

#define POLICY_NAME_MAX	15

/* Which policies there are is pmon's business: its refusal names them. */
static int set_policy(const char *name)
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
		mnl_attr_put_strz(nlh, SK_ATTR_POLICY, name);
		err = vn_nl_talk(&nl, nlh, NULL, NULL);
		vn_nl_close(&nl);
	}
	if (err)
		vn_error("policy %s: %s", name, vn_nl_strerror(&nl, err));
	return err ? VN_FAILED : VN_OK;
}

int vn_set(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "policy")) {
		vn_error("set: what? vnode set policy lru|sieve|fifo");
		return VN_USAGE;
	}
	if (!*argv[2] || strlen(argv[2]) > POLICY_NAME_MAX) {
		vn_error("set: '%s' is no policy: there are lru, sieve and fifo",
			 argv[2]);
		return VN_USAGE;
	}
	return set_policy(argv[2]);
}
