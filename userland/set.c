// SPDX-License-Identifier: GPL-2.0
/* vnode set: change what can be changed at run time. */
#include <errno.h>
#include <string.h>

#include <splitkernel.h>

#include "netlink.h"
#include "vnode.h"

#define POLICY_NAME_MAX	15

/* Why a module is not here: gmm is on one host only. */
static void not_loaded(const char *module)
{
	if (!strcmp(module, SK_FAMILY_GMM))
		vn_error("gmm is not loaded on this host: set it on the manager, "
			 "see vnode status");
	else
		vn_error("%s is not loaded on this host: modprobe %s", module,
			 module);
}

int vn_change(const char *module, uint8_t cmd,
	      void (*put)(struct nlmsghdr *nlh, const void *arg),
	      const void *arg, const char *what)
{
	static struct vn_nl nl;
	struct nlmsghdr *nlh;
	int err;

	err = vn_module_loaded("", module) ? vn_nl_open(&nl, module) : -ENOENT;
	if (err == -ENOENT) {
		not_loaded(module);
		return VN_FAILED;
	}
	if (!err) {
		nlh = vn_nl_request(&nl, cmd, 0);
		put(nlh, arg);
		err = vn_nl_talk(&nl, nlh, NULL, NULL);
		vn_nl_close(&nl);
	}
	if (err)
		vn_error("%s: %s", what, vn_nl_strerror(&nl, err));
	return err ? VN_FAILED : VN_OK;
}

static void put_policy(struct nlmsghdr *nlh, const void *name)
{
	mnl_attr_put_strz(nlh, SK_ATTR_POLICY, name);
}

static void put_prefetch(struct nlmsghdr *nlh, const void *value)
{
	mnl_attr_put_u8(nlh, SK_ATTR_PREFETCH, !strcmp(value, "on"));
}

static void put_rebalance(struct nlmsghdr *nlh, const void *value)
{
	mnl_attr_put_u8(nlh, SK_ATTR_REBALANCE, !strcmp(value, "on"));
}

static void put_manager(struct nlmsghdr *nlh, const void *node)
{
	mnl_attr_put_u32(nlh, SK_ATTR_MANAGER, *(const uint32_t *)node);
}

static int set(const char *module, const char *what, const char *value,
	       void (*put)(struct nlmsghdr *nlh, const void *arg),
	       const void *arg)
{
	char label[64];

	snprintf(label, sizeof(label), "%s %s", what, value);
	return vn_change(module, SK_CMD_SET, put, arg, label);
}

/* Which policies there are is pmon's business: its refusal names them. */
static int set_policy(const char *name)
{
	if (!*name || strlen(name) > POLICY_NAME_MAX) {
		vn_error("set: '%s' is no policy: there are lru, sieve and fifo",
			 name);
		return VN_USAGE;
	}
	return set(SK_FAMILY_PMON, "policy", name, put_policy, name);
}

static bool on_or_off(const char *what, const char *value)
{
	if (!strcmp(value, "on") || !strcmp(value, "off"))
		return true;
	vn_error("set %s: '%s': on or off", what, value);
	return false;
}

static int set_prefetch(const char *value)
{
	if (!on_or_off("prefetch", value))
		return VN_USAGE;
	return set(SK_FAMILY_PMON, "prefetch", value, put_prefetch, value);
}

static int set_rebalance(const char *value)
{
	if (!on_or_off("rebalance", value))
		return VN_USAGE;
	return set(SK_FAMILY_GMM, "rebalance", value, put_rebalance, value);
}

/* Likewise gmm's. */
static int set_placement(const char *name)
{
	if (!*name || strlen(name) > POLICY_NAME_MAX) {
		vn_error("set: '%s' is no placement: there are most-free, "
			 "least-load and round-robin", name);
		return VN_USAGE;
	}
	return set(SK_FAMILY_GMM, "placement", name, put_policy, name);
}

static int set_manager(const char *address)
{
	uint32_t node;

	if (!vn_parse_node(address, &node)) {
		vn_error("set manager: '%s' is no IPv4 address", address);
		return VN_USAGE;
	}
	return set(SK_FAMILY_LITE_RPC, "manager", address, put_manager, &node);
}

int vn_set(int argc, char **argv)
{
	static const struct {
		const char *what;
		int (*set)(const char *value);
	} settings[] = {
		{ "policy", set_policy },
		{ "prefetch", set_prefetch },
		{ "placement", set_placement },
		{ "rebalance", set_rebalance },
		{ "manager", set_manager },
	};
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (argc == 3 && !strcmp(argv[1], settings[i].what))
			return settings[i].set(argv[2]);
	vn_error("set: what? vnode set policy lru|sieve|fifo, "
		 "placement most-free|least-load|round-robin, manager ADDRESS, "
		 "prefetch on|off, or rebalance on|off");
	return VN_USAGE;
}
