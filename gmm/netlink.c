// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink family "gmm": counters, the policy of placement, and whether to rebalance.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <net/genetlink.h>

#include "internal.h"
#include "uapi/splitkernel.h"

static struct genl_family family;

/* To read takes no attribute: each one is refused. */
static const struct nla_policy no_attributes[SK_ATTR_MAX + 1];

static const struct nla_policy set_attributes[SK_ATTR_MAX + 1] = {
	[SK_ATTR_POLICY] = { .type = NLA_NUL_STRING, .len = 15 },
	[SK_ATTR_REBALANCE] = NLA_POLICY_MAX(NLA_U8, 1),
};

static int get_counters(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	struct lite_counter table[GMM_COUNTERS];
	void *head;
	int err = -EMSGSIZE;

	if (!msg)
		return -ENOMEM;
	head = genlmsg_put_reply(msg, info, &family, 0, SK_CMD_GET_COUNTERS);
	if (head)
		err = lite_nl_put_counters(msg, table, gmm_serve_counters(table));
	if (!err)
		err = nla_put_string(msg, SK_ATTR_POLICY, gmm_serve_policy());
	if (!err)
		err = nla_put_u8(msg, SK_ATTR_REBALANCE, gmm_serve_rebalance());
	if (err) {
		NL_SET_ERR_MSG(info->extack, "the counters do not fit a message");
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

static int change_settings(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *rebalance = info->attrs[SK_ATTR_REBALANCE];
	struct nlattr *name = info->attrs[SK_ATTR_POLICY];

	if (!netlink_capable(skb, CAP_SYS_ADMIN)) {
		NL_SET_ERR_MSG(info->extack, "settings need CAP_SYS_ADMIN");
		return -EPERM;
	}
	if (!name && !rebalance) {
		NL_SET_ERR_MSG(info->extack, "nothing to set");
		return -EINVAL;
	}
	if (name && gmm_serve_set_policy(nla_data(name))) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "unknown placement: there are most-free, least-load and round-robin");
		return -EINVAL;
	}
	if (rebalance)
		gmm_serve_set_rebalance(nla_get_u8(rebalance));
	return 0;
}

static const struct genl_ops ops[] = {
	{
		.cmd = SK_CMD_GET_COUNTERS,
		.doit = get_counters,
		.policy = no_attributes,
		.maxattr = SK_ATTR_MAX,
	},
	{
		.cmd = SK_CMD_SET,
		.doit = change_settings,
		.policy = set_attributes,
		.maxattr = SK_ATTR_MAX,
	},
};

static struct genl_family family __ro_after_init = {
	.name = SK_FAMILY_GMM,
	.version = SK_GENL_VERSION,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = SK_CMD_GET_COUNTERS,
};

/** gmm_netlink_start - register the family. Return: 0 or errno. */
int gmm_netlink_start(void)
{
	int err = genl_register_family(&family);

	if (err)
		pr_err("cannot register netlink family " SK_FAMILY_GMM ": error %d\n",
		       err);
	return err;
}

void gmm_netlink_stop(void)
{
	genl_unregister_family(&family);
}
