/* SPDX-License-Identifier: GPL-2.0 */
/*
 * gmm: the manager of memory hosts, inside.
 *
 * It knows which hosts there are because they tell it, at least three times
 * per lease. It stores nothing: after a restart the table is complete again
 * once every host has reported.
 *
 * members.c is the table and nothing else: no locks of its own, no clock; it
 * compiles in userspace as well (tests/unit). serve.c owns the lock.
 */
#ifndef GMM_INTERNAL_H
#define GMM_INTERNAL_H

#include <linux/types.h>

#include "gmm_wire.h"
#include "lite_rpc.h"

#define GMM_LEASE_MS_MIN	500
#define GMM_LEASE_MS_MAX	60000

/**
 * struct gmm_member - one host with a valid lease
 * @node: as proved by the cluster key, never as written in a message
 * @last_ms: when it reported last
 */
struct gmm_member {
	u64 incarnation;
	u64 capacity;
	u64 free;
	u64 last_ms;
	u32 node;
	u32 services;
};

/**
 * struct gmm_members - all of them, in no order
 * @lease_ms: a member that has not reported for so long is gone
 * @joins, @reports, @expired, @left, @refused: how often, since load
 *
 * The caller serialises all access.
 */
struct gmm_members {
	u32 lease_ms;
	u32 nr;
	struct gmm_member member[GMM_HOSTS_MAX];
	u64 joins;
	u64 reports;
	u64 expired;
	u64 left;
	u64 refused;
};

#define GMM_COUNTERS	6
#define GMM_ANSWER_MAX	(sizeof(struct gmm_hosts) + \
			 GMM_HOSTS_MAX * sizeof(struct gmm_host))

/** enum gmm_news - what became of a member; serve.c says it in the log */
enum gmm_news {
	GMM_NOTHING,
	GMM_JOINED,
	GMM_REJOINED,	/* as another incarnation */
	GMM_LEFT,
};

/* members.c */
void gmm_members_init(struct gmm_members *members, u32 lease_ms);
int gmm_members_report(struct gmm_members *members,
		       const struct lite_request *req, u64 now_ms,
		       enum gmm_news *news);
int gmm_members_leave(struct gmm_members *members,
		      const struct lite_request *req, enum gmm_news *news);
bool gmm_members_remove(struct gmm_members *members, u32 node);
bool gmm_members_expire(struct gmm_members *members, u64 now_ms, u32 *node);
u32 gmm_members_list(const struct gmm_members *members, u64 now_ms,
		     struct gmm_hosts *hosts);
int gmm_counters_read(const struct gmm_members *members,
		      struct lite_counter *table);

/* serve.c */
int gmm_serve_start(u32 lease_ms);
void gmm_serve_stop(void);
int gmm_serve_counters(struct lite_counter *table);

/* netlink.c */
int gmm_netlink_start(void);
void gmm_netlink_stop(void);

#endif /* GMM_INTERNAL_H */
