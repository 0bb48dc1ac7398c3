/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What every host says to the manager host: bodies of LITE_SVC_GMM requests.
 * Little endian, reserved fields zero, lengths exact.
 */
#ifndef GMM_WIRE_H
#define GMM_WIRE_H

#include <linux/build_bug.h>
#include <linux/types.h>

#define GMM_HOSTS_MAX	64	/* hosts in one cluster, and in one answer */

enum gmm_op {
	GMM_OP_REPORT	= 1,	/* struct gmm_report -> struct gmm_hosts */
	GMM_OP_LEAVE	= 2,	/* empty body */
	GMM_OP_MAX,
};

/** struct gmm_report - a host renews its lease and says what it offers */
struct gmm_report {
	__le64 incarnation;
	__le64 capacity;	/* frames of its mmon, 0 without */
	__le64 free;		/* of them unused, <= capacity */
	__le32 services;	/* bit (1 << enum lite_service) */
	__le32 reserved;
};

static_assert(sizeof(struct gmm_report) == 32);

/** struct gmm_host - one row of the answer */
struct gmm_host {
	__le64 incarnation;
	__le64 capacity;
	__le64 free;
	__le32 node;
	__le32 services;
	__le32 age_ms;		/* since its last report */
	__le32 reserved;
};

static_assert(sizeof(struct gmm_host) == 40);

/** struct gmm_hosts - hosts with a valid lease, the asking one included */
struct gmm_hosts {
	__le32 nr;
	__le32 lease_ms;	/* report at least three times as often */
	struct gmm_host host[];
};

static_assert(sizeof(struct gmm_hosts) == 8);

#endif /* GMM_WIRE_H */
