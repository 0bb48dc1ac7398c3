// SPDX-License-Identifier: GPL-2.0
/*
 * Generic netlink family "lite_rpc": counters, and the hosts that are known as
 * peers, as members, or both; who the manager is, and what it is asked to do.
 */
#include <linux/capability.h>
#include <linux/slab.h>
#include <net/genetlink.h>

#include "gmm_wire.h"
#include "internal.h"
#include "uapi/splitkernel.h"

DEFINE_PER_CPU(struct lite_stats, lite_stats);

static const char * const stat_names[LITE_STATS] = {
	[LITE_STAT_CALLS]		= "calls",
	[LITE_STAT_CALLS_FAILED]	= "calls_failed",
	[LITE_STAT_CALLS_RESENT]	= "calls_resent",
	[LITE_STAT_CALLS_TIMED_OUT]	= "calls_timed_out",
	[LITE_STAT_REQUESTS]		= "requests",
	[LITE_STAT_REQUESTS_REFUSED]	= "requests_refused",
	[LITE_STAT_BYTES_OUT]		= "bytes_out",
	[LITE_STAT_BYTES_IN]		= "bytes_in",
	[LITE_STAT_READS]		= "reads",
	[LITE_STAT_WRITES]		= "writes",
	[LITE_STAT_IO_FAILED]		= "io_failed",
	[LITE_STAT_CONNECTS]		= "connects",
	[LITE_STAT_DISCONNECTS]		= "disconnects",
	[LITE_STAT_CONNECT_FAILURES]	= "connect_failures",
	[LITE_STAT_AUTH_FAILURES]	= "auth_failures",
	[LITE_STAT_MALFORMED]		= "malformed",
	[LITE_STAT_HEARTBEATS]		= "heartbeats",
	[LITE_STAT_PEERS_DEAD]		= "peers_dead",
};

static struct genl_family lite_family;

int lite_nl_put_counters(struct sk_buff *skb, const struct lite_counter *table,
			 int nr)
{
	struct nlattr *nest;
	int i;

	for (i = 0; i < nr; i++) {
		nest = nla_nest_start(skb, SK_ATTR_COUNTER);
		if (!nest)
			return -EMSGSIZE;
		if (nla_put_string(skb, SK_ATTR_NAME, table[i].name) ||
		    nla_put_u64_64bit(skb, SK_ATTR_VALUE, table[i].value,
				      SK_ATTR_PAD)) {
			nla_nest_cancel(skb, nest);
			return -EMSGSIZE;
		}
		nla_nest_end(skb, nest);
	}
	return 0;
}

SK_EXPORT(lite_nl_put_counters);

static u64 stat_sum(enum lite_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(lite_stats, cpu).value[stat];
	return sum;
}

static int nl_put_manager(struct sk_buff *msg)
{
	struct lite_peer *manager = lite_member_manager();
	int err;

	if (!manager)
		return 0;
	err = nla_put_u32(msg, SK_ATTR_MANAGER, manager->node);
	lite_peer_put(manager);
	return err;
}

static int nl_get_counters(struct sk_buff *skb, struct genl_info *info)
{
	struct lite_counter table[LITE_STATS];
	struct sk_buff *msg;
	void *head;
	int i, err;

	for (i = 0; i < LITE_STATS; i++) {
		table[i].name = stat_names[i];
		table[i].value = stat_sum(i);
	}
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!msg)
		return -ENOMEM;
	head = genlmsg_put_reply(msg, info, &lite_family, 0,
				 SK_CMD_GET_COUNTERS);
	err = head ? lite_nl_put_counters(msg, table, LITE_STATS) : -EMSGSIZE;
	if (!err)
		err = nl_put_manager(msg);
	if (err) {
		GENL_SET_ERR_MSG(info, "the counters do not fit a message");
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, head);
	return genlmsg_reply(msg, info);
}

/* ---- hosts --------------------------------------------------------------- */

/** struct host_row - one host as this host sees it */
struct host_row {
	struct lite_member member;
	u32 epoch;
	u64 errors;
	const char *state;
};

struct host_table {
	int nr;
	struct host_row row[GMM_HOSTS_MAX + LITE_PEERS_MAX];
};

static struct host_row *host_find(struct host_table *table, u32 node)
{
	int i;

	for (i = 0; i < table->nr; i++)
		if (table->row[i].member.node == node)
			return &table->row[i];
	return NULL;
}

static void hosts_add_peers(struct host_table *table)
{
	struct lite_peer *peer;
	struct host_row *row;
	int i;

	for (i = 0; !lite_peer_next(&peer, i); i++) {
		row = host_find(table, peer->node);
		if (!row) {
			if (table->nr == ARRAY_SIZE(table->row))
				return;
			row = &table->row[table->nr++];
			row->member.node = peer->node;
		}
		spin_lock_bh(&peer->lock);
		row->state = lite_peer_state_name(peer->state);
		row->epoch = peer->connects;
		row->errors = atomic64_read(&peer->errors);
		spin_unlock_bh(&peer->lock);
	}
}

static struct host_table *hosts_collect(void)
{
	struct lite_member *members;
	struct host_table *table;
	struct host_row *row;
	int i, nr;

	table = kvzalloc(sizeof(*table), GFP_KERNEL);
	members = kvcalloc(GMM_HOSTS_MAX, sizeof(*members), GFP_KERNEL);
	if (!table || !members) {
		kvfree(members);
		kvfree(table);
		return NULL;
	}
	nr = lite_members(members, GMM_HOSTS_MAX);
	for (i = 0; i < nr; i++) {
		row = &table->row[table->nr++];
		row->member = members[i];
		/* Unless it is a peer as well: */
		row->state = "member";
	}
	hosts_add_peers(table);
	kvfree(members);
	return table;
}

static int nl_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, SK_ATTR_PAD);
}

/* What only memory hosts have. */
static int nl_put_memory(struct sk_buff *skb, const struct lite_member *member)
{
	if (!(member->services & BIT(LITE_SVC_MMON)))
		return 0;
	if (nla_put_u8(skb, SK_ATTR_DRAINING,
		       !!(member->flags & LITE_MEMBER_DRAINING)) ||
	    nla_put_u32(skb, SK_ATTR_REGIONS, member->regions) ||
	    nla_put_u32(skb, SK_ATTR_REPLICAS, member->replicas) ||
	    nla_put_u32(skb, SK_ATTR_LOAD, member->load) ||
	    nl_put_u64(skb, SK_ATTR_LOG_CAPACITY, member->log_capacity) ||
	    nl_put_u64(skb, SK_ATTR_LOG_FREE, member->log_free))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_host(struct sk_buff *skb, const struct host_row *row)
{
	struct nlattr *nest = nla_nest_start(skb, SK_ATTR_HOST);
	const struct lite_member *member = &row->member;

	if (!nest)
		return -EMSGSIZE;
	if (nla_put_u32(skb, SK_ATTR_NODE, member->node) ||
	    nla_put_string(skb, SK_ATTR_STATE, row->state) ||
	    nla_put_u32(skb, SK_ATTR_SERVICES, member->services) ||
	    nl_put_u64(skb, SK_ATTR_CAPACITY, member->capacity) ||
	    nl_put_u64(skb, SK_ATTR_FREE, member->free) ||
	    nla_put_u32(skb, SK_ATTR_AGE_MS, member->age_ms) ||
	    nla_put_u32(skb, SK_ATTR_EPOCH, row->epoch) ||
	    nl_put_u64(skb, SK_ATTR_ERRORS, row->errors) ||
	    nl_put_memory(skb, member)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_hosts_start(struct netlink_callback *cb)
{
	struct host_table *table = hosts_collect();

	if (!table)
		return -ENOMEM;
	cb->args[0] = (long)table;
	cb->args[1] = 0;
	return 0;
}

static int nl_hosts_done(struct netlink_callback *cb)
{
	kvfree((void *)cb->args[0]);
	return 0;
}

static int nl_get_hosts(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct host_table *table = (void *)cb->args[0];
	void *head;

	while (cb->args[1] < table->nr) {
		head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
				   cb->nlh->nlmsg_seq, &lite_family,
				   NLM_F_MULTI, SK_CMD_GET_HOSTS);
		if (!head)
			break;
		if (nl_put_host(skb, &table->row[cb->args[1]])) {
			genlmsg_cancel(skb, head);
			break;
		}
		genlmsg_end(skb, head);
		cb->args[1]++;
	}
	return skb->len;
}

/* ---- changes -------------------------------------------------------------- */

static int nl_permitted(struct sk_buff *skb, struct genl_info *info)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	GENL_SET_ERR_MSG(info, "settings need CAP_SYS_ADMIN");
	return -EPERM;
}

static int nl_set(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *manager = info->attrs[SK_ATTR_MANAGER];
	int err = nl_permitted(skb, info);

	if (err)
		return err;
	if (!manager) {
		GENL_SET_ERR_MSG(info, "nothing to set");
		return -EINVAL;
	}
	err = lite_member_set_manager(nla_get_u32(manager));
	if (err == -EINVAL)
		NL_SET_ERR_MSG_ATTR(info->extack, manager,
				    "this is not the address of a host");
	else if (err == -ESHUTDOWN)
		GENL_SET_ERR_MSG(info, "lite_rpc is being loaded or unloaded");
	return err;
}

static void nl_say_refusal(struct genl_info *info, int err)
{
	switch (err) {
	case -ENOENT:
		GENL_SET_ERR_MSG(info, "the manager knows no such host, or there is no manager");
		break;
	case -ENODEV:
		GENL_SET_ERR_MSG(info, "it is no memory host: mmon is not loaded there");
		break;
	case -EHOSTDOWN:
		GENL_SET_ERR_MSG(info, "the manager cannot be reached, or does not run gmm");
		break;
	case -ETIMEDOUT:
		GENL_SET_ERR_MSG(info, "the manager does not answer");
		break;
	default:
		break;
	}
}

static int nl_drain(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *on = info->attrs[SK_ATTR_DRAINING];
	struct nlattr *node = info->attrs[SK_ATTR_NODE];
	int err = nl_permitted(skb, info);

	if (err)
		return err;
	if (!node || !on) {
		GENL_SET_ERR_MSG(info, "which host, and shall it drain or not?");
		return -EINVAL;
	}
	err = lite_drain(nla_get_u32(node), nla_get_u8(on));
	if (err)
		nl_say_refusal(info, err);
	return err;
}

static const struct nla_policy lite_policy[SK_ATTR_MAX + 1] = {};

static const struct nla_policy lite_set_policy[SK_ATTR_MAX + 1] = {
	[SK_ATTR_MANAGER] = { .type = NLA_U32 },
};

static const struct nla_policy lite_drain_policy[SK_ATTR_MAX + 1] = {
	[SK_ATTR_NODE] = { .type = NLA_U32 },
	[SK_ATTR_DRAINING] = NLA_POLICY_MAX(NLA_U8, 1),
};

static const struct genl_ops lite_ops[] = {
	{
		.cmd = SK_CMD_GET_COUNTERS,
		.doit = nl_get_counters,
		.policy = lite_policy,
		.maxattr = SK_ATTR_MAX,
	},
	{
		.cmd = SK_CMD_GET_HOSTS,
		.start = nl_hosts_start,
		.dumpit = nl_get_hosts,
		.done = nl_hosts_done,
		.policy = lite_policy,
		.maxattr = SK_ATTR_MAX,
	},
	{
		.cmd = SK_CMD_SET,
		.doit = nl_set,
		.policy = lite_set_policy,
		.maxattr = SK_ATTR_MAX,
	},
	{
		.cmd = SK_CMD_DRAIN,
		.doit = nl_drain,
		.policy = lite_drain_policy,
		.maxattr = SK_ATTR_MAX,
	},
};

/* Parallel: who asks the manager waits for it, and the others need not. */
static struct genl_family lite_family __ro_after_init = {
	.name = SK_FAMILY_LITE_RPC,
	.version = SK_GENL_VERSION,
	.module = THIS_MODULE,
	.parallel_ops = true,
	.ops = lite_ops,
	.n_ops = ARRAY_SIZE(lite_ops),
	.resv_start_op = __SK_CMD_MAX,
};

int __init lite_netlink_init(void)
{
	return genl_register_family(&lite_family);
}

void lite_netlink_exit(void)
{
	genl_unregister_family(&lite_family);
}
