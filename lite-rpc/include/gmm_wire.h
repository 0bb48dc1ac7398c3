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
#define GMM_PLACE_MAX	3	/* hosts of one placement: a primary and replicas */
#define GMM_AVOID_MAX	8	/* hosts that a placement shall not name */

enum gmm_op {
	GMM_OP_REPORT	= 1,	/* struct gmm_report -> struct gmm_hosts */
	GMM_OP_LEAVE	= 2,	/* empty body */
	GMM_OP_PLACE	= 3,	/* struct gmm_place -> struct gmm_placed */
	GMM_OP_DRAIN	= 4,	/* struct gmm_drain */
	GMM_OP_BALANCE	= 5,	/* struct gmm_balance -> struct gmm_balanced */
	GMM_OP_MAX,
};

/* Flags of a host in the list, the first in its report, too. */
#define GMM_HOST_DRAINING	0x1	/* nothing is placed there any more */
#define GMM_HOST_CROWDED	0x2	/* it holds more than its share: see GMM_OP_BALANCE */
#define GMM_HOST_FLAGS		(GMM_HOST_DRAINING | GMM_HOST_CROWDED)
#define GMM_REPORT_FLAGS	GMM_HOST_DRAINING

/**
 * struct gmm_report - a host renews its lease and says what it offers
 *
 * All but the first and @services is zero without mmon. GMM_HOST_DRAINING is what
 * the manager last said of this host: a manager that does not know the host yet
 * learns it from here, so that it need not store it.
 */
struct gmm_report {
	__le64 incarnation;
	__le64 capacity;	/* frames of its mmon */
	__le64 free;		/* of them unused, <= capacity */
	__le64 requests;	/* that its mmon has served so far */
	__le64 log_capacity;	/* bytes for records of replicas; 0: takes none */
	__le64 log_free;	/* of them unused, <= log_capacity */
	__le32 services;	/* bit (1 << enum lite_service) */
	__le32 flags;		/* of GMM_REPORT_FLAGS */
	__le32 regions;		/* address spaces, replicas apart */
	__le32 replicas;
};

static_assert(sizeof(struct gmm_report) == 64);

/**
 * struct gmm_host - one row of the answer
 *
 * Packed, so that GMM_HOSTS_MAX rows fit one answer. Numbers that are larger than
 * their field are shown as the largest that fits.
 */
struct gmm_host {
	__le64 incarnation;
	__le32 node;
	__le32 capacity;	/* frames */
	__le32 free;
	__le32 regions;
	__le32 replicas;
	__le32 load;		/* requests per second */
	__le32 log_capacity;	/* MiB, rounded up */
	__le32 log_free;	/* MiB, rounded down */
	__le16 services;
	__le16 flags;		/* GMM_HOST_* */
	__le16 age_ms;		/* since its last report */
} __packed;

static_assert(sizeof(struct gmm_host) == 46);

/** struct gmm_hosts - hosts with a valid lease, the asking one included */
struct gmm_hosts {
	__le32 nr;
	__le32 lease_ms;	/* report at least three times as often */
	__le64 life;		/* differs from manager to manager, and after a restart */
	struct gmm_host host[];
};

static_assert(sizeof(struct gmm_hosts) == 16);

#define GMM_PLACE_REPLICAS	0x1	/* replicas only, no primary among them */

/** struct gmm_place - which hosts shall hold an address space? */
struct gmm_place {
	__le64 asid;		/* for the manager's log, nothing else */
	__le32 copies;		/* 1..GMM_PLACE_MAX hosts wanted */
	__le32 flags;		/* GMM_PLACE_* */
	__le32 nr_avoid;	/* 0..GMM_AVOID_MAX, the others are zero */
	__le32 reserved;
	__le32 avoid[GMM_AVOID_MAX];	/* hosts not to be named */
};

static_assert(sizeof(struct gmm_place) == 56);

/**
 * struct gmm_placed - these
 * @nr: 1..copies; fewer than wanted if there are not so many hosts
 * @node: different hosts, none of those to avoid, none that is draining. The first
 *	is for the primary (unless GMM_PLACE_REPLICAS) and has free frames, the
 *	others take replicas. Zero beyond @nr.
 *
 * -EHOSTDOWN: there is no such host. -EAGAIN: the manager has just started and
 * waits for the hosts to report; it answers within GMM_SETTLE_MS.
 */
struct gmm_placed {
	__le32 nr;
	__le32 node[GMM_PLACE_MAX];
};

static_assert(sizeof(struct gmm_placed) == 16);

/* After its start, for every host to have reported: they do once a second. */
#define GMM_SETTLE_MS	1500

/**
 * struct gmm_drain - nothing is to be placed on a memory host any more, or again
 *
 * -ENOENT: no such host. -ENODEV: it runs no mmon. Ends by itself when the host
 * reports no mmon, or another incarnation.
 */
struct gmm_drain {
	__le32 node;
	__le32 on;		/* 1: begins, 0: ends */
};

static_assert(sizeof(struct gmm_drain) == 8);

/**
 * struct gmm_balance - may an address space leave a host that is crowded?
 *
 * Who asks may move one at a time. It says so when that has ended, well or not: then
 * @from and all behind it is zero. The same question before that is one whose answer was
 * lost with a connection, and is answered anew.
 */
struct gmm_balance {
	__le64 asid;		/* tells questions apart */
	__le64 pages;		/* frames that it has, about */
	__le32 from;		/* host that is its primary; 0: the move has ended */
	__le32 nr_avoid;	/* 0..GMM_AVOID_MAX, the others are zero */
	__le32 avoid[GMM_AVOID_MAX];	/* hosts not to be named */
};

static_assert(sizeof(struct gmm_balance) == 56);

/**
 * struct gmm_balanced - yes, or what could
 * @pages: frames that could move from there; 0: none, or none for now
 * @node: to this host; 0: it has more than @pages and stays
 *
 * -EAGAIN: as with a placement.
 */
struct gmm_balanced {
	__le64 pages;
	__le32 node;
	__le32 reserved;
};

static_assert(sizeof(struct gmm_balanced) == 16);

/* What a move is charged as if nobody says that it ended, and after that. */
#define GMM_MOVE_MS		60000
#define GMM_MOVE_SETTLE_MS	2000

#endif /* GMM_WIRE_H */
