// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink family "mmon": counters and address spaces, to be read.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/genetlink.h>

#include "internal.h"
#include "uapi/splitkernel.h"

static struct mmon *shown;
static struct genl_family family;

/* Neither command takes an attribute: each one is refused by name. */
static const struct nla_policy no_attributes[SK_ATTR_MAX + 1];

static int put_counters(struct sk_buff *skb)
{
	struct lite_counter *table;
	int err;

	table = kcalloc(MMON_GAUGES + MMON_C_NR, sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	err = lite_nl_put_counters(skb, table, mmon_counters_read(shown, table));
	kfree(table);
	return err;
}

static int get_counters(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *head;
	int err = -EMSGSIZE;

	if (!msg)
		return -ENOMEM;
	head = genlmsg_put_reply(msg, info, &family, 0, SK_CMD_GET_COUNTERS);
	if (head)
		err = put_counters(msg);
	if (err) {
		NL_SET_ERR_MSG(info->extack, "the counters do not fit a message");
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

static int put_space(struct sk_buff *skb, struct netlink_callback *cb,
		     const struct mmon_space *space)
{
	struct nlattr *nest;
	void *head;

	head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &family, NLM_F_MULTI, SK_CMD_GET_SPACES);
	if (!head)
		return -EMSGSIZE;
	nest = nla_nest_start(skb, SK_ATTR_SPACE);
	if (!nest ||
	    nla_put_u64_64bit(skb, SK_ATTR_ASID, space->asid, SK_ATTR_PAD) ||
	    nla_put_u32(skb, SK_ATTR_NODE, space->node) ||
	    nla_put_u64_64bit(skb, SK_ATTR_FRAMES, READ_ONCE(space->frames),
			      SK_ATTR_PAD)) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	genlmsg_end(skb, head);
	return 0;
}

/* cb->args: the first asid that was not put yet; whether all were. */
static int get_spaces(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct mmon_space *space;
	unsigned long asid;
	int err = 0;

	if (cb->args[1])
		return 0;
	rcu_read_lock();
	xa_for_each_start(&shown->spaces, asid, space, cb->args[0]) {
		err = put_space(skb, cb, space);
		if (err) {
			cb->args[0] = asid;
			break;
		}
	}
	rcu_read_unlock();
	cb->args[1] = !err;
	return err && !skb->len ? err : skb->len;
}

static const struct genl_ops ops[] = {
	{
		.cmd = SK_CMD_GET_COUNTERS,
		.doit = get_counters,
		.policy = no_attributes,
		.maxattr = SK_ATTR_MAX,
	},
	{
		.cmd = SK_CMD_GET_SPACES,
		.dumpit = get_spaces,
		.policy = no_attributes,
		.maxattr = SK_ATTR_MAX,
	},
};

static struct genl_family family __ro_after_init = {
	.name = SK_FAMILY_MMON,
	.version = SK_GENL_VERSION,
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.resv_start_op = SK_CMD_GET_COUNTERS,
};

/** mmon_netlink_start - register the family. Return: 0 or errno. */
int mmon_netlink_start(struct mmon *m)
{
	int err;

	shown = m;
	err = genl_register_family(&family);
	if (err)
		pr_err("cannot register netlink family " SK_FAMILY_MMON ": error %d\n",
		       err);
	return err;
}

void mmon_netlink_stop(void)
{
	genl_unregister_family(&family);
}
