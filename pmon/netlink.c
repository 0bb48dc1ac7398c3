// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink family "pmon": see uapi/splitkernel.h for the commands.
 */
#include <linux/capability.h>
#include <net/genetlink.h>

#include "internal.h"
#include "uapi/splitkernel.h"

static const struct nla_policy pmon_policy[SK_ATTR_MAX + 1] = {
	[SK_ATTR_EXCACHE_BYTES] = { .type = NLA_U64 },
	[SK_ATTR_POLICY] = { .type = NLA_NUL_STRING, .len = 15 },
	[SK_ATTR_PREFETCH] = NLA_POLICY_MAX(NLA_U8, 1),
	[SK_ATTR_REPLICAS] = NLA_POLICY_MAX(NLA_U32, PMON_REPLICAS_MAX),
};

struct regions {
	u64 all;
	u64 degraded;
};

static int count_regions(struct pmon_space *space, void *arg)
{
	struct regions *regions = arg;
	struct pmon_region *region;
	unsigned long number;

	xa_for_each(&space->regions, number, region) {
		if (!pmon_region_primary(region) || READ_ONCE(region->lost))
			continue;
		regions->all++;
		regions->degraded += pmon_holders_in_step(region) <
				     space->budget->replicas;
	}
	return 0;
}

static int put_counters(struct sk_buff *msg)
{
	struct lite_counter table[PMON_NR_COUNTERS + 6];
	struct regions regions = { };
	int i;

	pmon_spaces_for_each(count_regions, &regions);

	for (i = 0; i < PMON_NR_COUNTERS; i++) {
		table[i].name = pmon_counter_name(i);
		table[i].value = pmon_counter_read(i);
	}
	table[i++] = (struct lite_counter){ "lines_total", pmon_pool_total() };
	table[i++] = (struct lite_counter){ "lines_free", pmon_pool_free() };
	table[i++] = (struct lite_counter){ "lines_standby", pmon_standby_total() };
	table[i++] = (struct lite_counter){ "lines_peak_used", pmon_pool_peak() };
	table[i++] = (struct lite_counter){ "regions", regions.all };
	table[i++] = (struct lite_counter){ "degraded", regions.degraded };
	return lite_nl_put_counters(msg, table, i);
}

static int get_counters(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *head;

	if (!msg)
		return -ENOMEM;
	head = genlmsg_put_reply(msg, info, &pmon_family, 0,
				 SK_CMD_GET_COUNTERS);
	if (!head || put_counters(msg) ||
	    nla_put_string(msg, SK_ATTR_POLICY, pmon_policy_name()) ||
	    nla_put_u8(msg, SK_ATTR_PREFETCH, pmon_prefetch_enabled())) {
		nlmsg_free(msg);
		NL_SET_ERR_MSG(info->extack, "the counters do not fit a message");
		return -EMSGSIZE;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

struct dump {
	struct sk_buff *msg;
	struct netlink_callback *cb;
	long at;
};

/* The home of the first region that has one, and whether any region is lost. */
static u32 space_home(struct pmon_space *space, bool *lost)
{
	struct pmon_region *region;
	struct lite_peer *home;
	unsigned long number;
	u32 node = 0;

	*lost = false;
	xa_for_each(&space->regions, number, region) {
		home = pmon_region_home(region);
		if (home && !node)
			node = lite_peer_node(home);
		*lost |= READ_ONCE(region->lost);
	}
	return node;
}

static int put_space(struct sk_buff *msg, struct pmon_space *space)
{
	bool lost;
	u32 node = space_home(space, &lost);
	struct nlattr *nest = nla_nest_start(msg, SK_ATTR_SPACE);

	if (!nest ||
	    nla_put_u64_64bit(msg, SK_ATTR_ASID, space->asid, SK_ATTR_PAD) ||
	    nla_put_u32(msg, SK_ATTR_PID, space->pid) ||
	    nla_put_string(msg, SK_ATTR_NAME, space->comm) ||
	    nla_put_u32(msg, SK_ATTR_NODE, node) ||
	    nla_put_string(msg, SK_ATTR_STATE,
			   lost ? "lost" : "ok") ||
	    nla_put_u64_64bit(msg, SK_ATTR_LINES,
			      atomic_long_read(&space->resident), SK_ATTR_PAD) ||
	    nla_put_u64_64bit(msg, SK_ATTR_LIMIT, space->budget->limit,
			      SK_ATTR_PAD))
		return -EMSGSIZE;
	nla_nest_end(msg, nest);
	return 0;
}

static int dump_space(struct pmon_space *space, void *arg)
{
	struct dump *dump = arg;
	void *head;

	/* Position in the table; what comes and goes meanwhile may be missed. */
	if (dump->at++ < dump->cb->args[0])
		return 0;
	head = genlmsg_put(dump->msg, NETLINK_CB(dump->cb->skb).portid,
			   dump->cb->nlh->nlmsg_seq, &pmon_family, NLM_F_MULTI,
			   SK_CMD_GET_SPACES);
	if (!head)
		return 1;
	if (put_space(dump->msg, space)) {
		genlmsg_cancel(dump->msg, head);
		return 1;
	}
	genlmsg_end(dump->msg, head);
	dump->cb->args[0]++;
	return 0;
}

static int get_spaces(struct sk_buff *msg, struct netlink_callback *cb)
{
	struct dump dump = { .msg = msg, .cb = cb };

	pmon_spaces_for_each(dump_space, &dump);
	return msg->len;
}

static int tag_refuse(struct genl_info *info, int err)
{
	switch (err) {
	case -EINVAL:
		NL_SET_ERR_MSG(info->extack, "ExCache limit is below 256 KiB");
		break;
	case -ENOSPC:
		NL_SET_ERR_MSG(info->extack,
			       "ExCache limit is larger than this host's ExCache pool");
		break;
	case -EEXIST:
		NL_SET_ERR_MSG(info->extack, "this process is tagged already");
		break;
	case -ESHUTDOWN:
		NL_SET_ERR_MSG(info->extack, "pmon is being unloaded");
		break;
	default:
		break;
	}
	return err;
}

static int tag_caller(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *bytes = info->attrs[SK_ATTR_EXCACHE_BYTES];
	struct nlattr *replicas = info->attrs[SK_ATTR_REPLICAS];
	struct pmon_budget *budget;
	unsigned long limit = 0;
	int ret;

	if (!netlink_capable(skb, CAP_SYS_ADMIN)) {
		NL_SET_ERR_MSG(info->extack, "tagging needs CAP_SYS_ADMIN");
		return -EPERM;
	}
	if (bytes) {
		limit = min_t(u64, nla_get_u64(bytes) >> PAGE_SHIFT, LONG_MAX);
		if (!limit)
			return tag_refuse(info, -EINVAL);
	}
	if (!pmon_hosts_any()) {
		NL_SET_ERR_MSG(info->extack, "no memory host has joined");
		return -EHOSTDOWN;
	}
	budget = pmon_budget_create(limit);
	if (IS_ERR(budget))
		return tag_refuse(info, PTR_ERR(budget));
	if (replicas)
		budget->replicas = nla_get_u32(replicas);
	/* Requests are handled in the sender's context: current asks. */
	ret = pmon_tag_current(budget);
	if (ret)
		pmon_budget_put(budget);
	return ret ? tag_refuse(info, ret) : 0;
}

static int change_settings(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *prefetch = info->attrs[SK_ATTR_PREFETCH];
	struct nlattr *name = info->attrs[SK_ATTR_POLICY];

	if (!netlink_capable(skb, CAP_SYS_ADMIN)) {
		NL_SET_ERR_MSG(info->extack, "settings need CAP_SYS_ADMIN");
		return -EPERM;
	}
	if (!name && !prefetch) {
		NL_SET_ERR_MSG(info->extack, "nothing to set");
		return -EINVAL;
	}
	if (name && pmon_policy_set(nla_data(name))) {
		NL_SET_ERR_MSG_ATTR(info->extack, name,
				    "unknown policy: there are lru, sieve and fifo");
		return -EINVAL;
	}
	if (prefetch)
		pmon_prefetch_set(nla_get_u8(prefetch));
	return 0;
}

static const struct genl_ops pmon_ops[] = {
	{ .cmd = SK_CMD_GET_COUNTERS, .doit = get_counters },
	{ .cmd = SK_CMD_GET_SPACES, .dumpit = get_spaces },
	{ .cmd = SK_CMD_TAG, .doit = tag_caller },
	{ .cmd = SK_CMD_SET, .doit = change_settings },
};

static const struct genl_multicast_group pmon_groups[] = {
	{ .name = SK_GROUP_EVENTS },
};

struct genl_family pmon_family = {
	.name = SK_FAMILY_PMON,
	.version = SK_GENL_VERSION,
	.maxattr = SK_ATTR_MAX,
	.policy = pmon_policy,
	.module = THIS_MODULE,
	.ops = pmon_ops,
	.n_ops = ARRAY_SIZE(pmon_ops),
	.mcgrps = pmon_groups,
	.n_mcgrps = ARRAY_SIZE(pmon_groups),
	.resv_start_op = SK_CMD_MAX + 1,
};

int pmon_netlink_init(void)
{
	return genl_register_family(&pmon_family);
}

void pmon_netlink_exit(void)
{
	genl_unregister_family(&pmon_family);
}
