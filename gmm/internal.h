/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmm: the manager of memory hosts, inside.
 *
 * It knows which hosts there are because they tell it, at least three times
 * per lease. It stores nothing: after a restart the table is complete again
 * once every host has reported.
 *
 * It says where address spaces shall be (placement.c), and forgets it: who asked
 * knows, and the hosts report what they hold. Likewise what shall move (balance.c).
 *
 * members.c is the table, placement.c and balance.c are the choice, and nothing else: no
 * locks of their own, no clock; they compile in userspace as well (tests/unit). serve.c
 * owns the lock.
 */
#ifndef GMM_INTERNAL_H
#define GMM_INTERNAL_H

#include <linux/types.h>

#include "gmm_wire.h"
#include "lite_rpc.h"

#define GMM_LEASE_MS_MIN	500
#define GMM_LEASE_MS_MAX	60000
#define GMM_MOVES_MAX		16	/* at the same time, in the whole cluster */

/**
 * struct gmm_member - one host with a valid lease
 * @node: as proved by the cluster key, never as written in a message
 * @last_ms: when it reported last
 * @draining: nothing is placed there
 * @load: requests per second, the last ones count most
 * @load_ms, @load_requests: what the next figure is counted from
 * @placed, @placed_replicas: address spaces that were placed there and are not
 *	in @regions and @replicas yet
 */
struct gmm_member {
	u64 incarnation;
	u64 capacity;
	u64 free;
	u64 log_capacity;
	u64 log_free;
	u64 last_ms;
	u64 load_ms;
	u64 load_requests;
	u32 node;
	u32 services;
	u32 regions;
	u32 replicas;
	u32 load;
	u32 placed;
	u32 placed_replicas;
	bool draining;
};

/** enum gmm_policy - which host a new address space goes to */
enum gmm_policy {
	GMM_MOST_FREE,		/* most free frames */
	GMM_LEAST_LOAD,		/* fewest requests per second */
	GMM_ROUND_ROBIN,	/* one after the other, in the order of addresses */
	GMM_NR_POLICIES,
};

/**
 * struct gmm_move - an address space that may be on its way
 * @until_ms: it is not charged any more
 * @pages: frames that it is charged with
 * @owner: host that moves it
 * @from, @to: memory hosts
 * @asid: the address space
 * @ended: who moves it said so
 */
struct gmm_move {
	u64 until_ms;
	u64 pages;
	u64 asid;
	u32 owner;
	u32 from;
	u32 to;
	bool ended;
};

/**
 * struct gmm_members - all of them, in no order
 * @lease_ms: a member that has not reported for so long is gone
 * @start_ms: when this manager started
 * @life: tells this manager from others, and from itself before a restart
 * @policy: in force
 * @rebalance: address spaces may be moved
 * @turn: where the last primary and the last replica were placed
 * @move: what may be on its way
 * @messages: requests of all kinds that came, since load
 * @joins, @reports, @expired, @left, @refused: how often, since load
 * @placements, @placed_fewer, @unplaced: answers, those with fewer hosts than
 *	wanted, and those without any
 * @moves: how many address spaces were allowed to move
 *
 * The caller serialises all access.
 */
struct gmm_members {
	u32 lease_ms;
	u32 nr;
	struct gmm_member member[GMM_HOSTS_MAX];
	u64 start_ms;
	u64 life;
	enum gmm_policy policy;
	bool rebalance;
	u32 turn[2];
	struct gmm_move move[GMM_MOVES_MAX];
	u64 messages;
	u64 joins;
	u64 reports;
	u64 expired;
	u64 left;
	u64 refused;
	u64 placements;
	u64 placed_fewer;
	u64 unplaced;
	u64 moves;
};

#define GMM_COUNTERS	12
#define GMM_ANSWER_MAX	(sizeof(struct gmm_hosts) + \
			 GMM_HOSTS_MAX * sizeof(struct gmm_host))

/** enum gmm_news - what became of a member; serve.c says it in the log */
enum gmm_news {
	GMM_NOTHING,
	GMM_JOINED,
	GMM_JOINED_DRAINING,	/* and said so itself */
	GMM_REJOINED,		/* as another incarnation */
	GMM_LEFT,
	GMM_DRAINING,
	GMM_DRAINED,		/* or no longer to be */
};

/* members.c */
void gmm_members_init(struct gmm_members *members, u32 lease_ms, u64 now_ms,
		      u64 life);
struct gmm_member *gmm_members_find(struct gmm_members *members, u32 node);
int gmm_members_report(struct gmm_members *members,
		       const struct lite_request *req, u64 now_ms,
		       enum gmm_news *news);
int gmm_members_leave(struct gmm_members *members,
		      const struct lite_request *req, enum gmm_news *news);
int gmm_members_drain(struct gmm_members *members,
		      const struct lite_request *req, u32 *node,
		      enum gmm_news *news);
bool gmm_members_remove(struct gmm_members *members, u32 node);
bool gmm_members_expire(struct gmm_members *members, u64 now_ms, u32 *node);
u32 gmm_members_list(const struct gmm_members *members, u64 now_ms,
		     struct gmm_hosts *hosts);
int gmm_counters_read(const struct gmm_members *members,
		      struct lite_counter *table);

/* placement.c */
int gmm_place(struct gmm_members *members, const struct lite_request *req,
	      u64 now_ms, struct gmm_placed *placed);
bool gmm_named(const __le32 *nodes, u32 nr, u32 node);
bool gmm_avoid_valid(const __le32 *avoid, __le32 nr);
int gmm_policy_find(const char *name);
const char *gmm_policy_name(enum gmm_policy policy);

/* balance.c */
void gmm_balance_mark(const struct gmm_members *members, u64 now_ms,
		      struct gmm_hosts *hosts);
int gmm_balance(struct gmm_members *members, const struct lite_request *req,
		u64 now_ms, struct gmm_balanced *balanced);

/* serve.c */
int gmm_serve_start(u32 lease_ms, enum gmm_policy policy, bool rebalance);
void gmm_serve_stop(void);
int gmm_serve_counters(struct lite_counter *table);
int gmm_serve_set_policy(const char *name);
const char *gmm_serve_policy(void);
void gmm_serve_set_rebalance(bool on);
bool gmm_serve_rebalance(void);

/* netlink.c */
int gmm_netlink_start(void);
void gmm_netlink_stop(void);

#endif /* GMM_INTERNAL_H */
