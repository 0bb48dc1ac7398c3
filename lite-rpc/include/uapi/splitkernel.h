/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Generic netlink interface of the splitkernel modules. One family a module
 * ("lite_rpc", "gmm", "mmon", "pmon"), all of them with these commands and
 * attributes; a family refuses with -EOPNOTSUPP what it does not have. Refusals
 * carry an extended-ack message, but for -ENOMEM.
 */
#ifndef _UAPI_SPLITKERNEL_H
#define _UAPI_SPLITKERNEL_H

#define SK_GENL_VERSION		1

#define SK_FAMILY_LITE_RPC	"lite_rpc"
#define SK_FAMILY_GMM		"gmm"
#define SK_FAMILY_MMON		"mmon"
#define SK_FAMILY_PMON		"pmon"

#define SK_GROUP_EVENTS		"events"	/* multicast group of pmon */

/**
 * enum sk_cmd - commands
 * @SK_CMD_GET_COUNTERS: do; all families. Reply: SK_ATTR_COUNTER nests.
 * @SK_CMD_GET_HOSTS: dump; lite_rpc. One SK_ATTR_HOST nest a message: peers
 *	and members known to this host.
 * @SK_CMD_GET_SPACES: dump; pmon and mmon. One SK_ATTR_SPACE nest a message:
 *	address spaces.
 * @SK_CMD_TAG: do; pmon, CAP_SYS_ADMIN. Tags the calling process: memory it
 *	maps from now on, and after exec, is managed. SK_ATTR_EXCACHE_BYTES
 *	(optional) limits the ExCache of the process and its descendants
 *	together; without it the limit is the whole pool. SK_ATTR_REPLICAS
 *	(optional, 0 to 2) is how many secondary copies its memory is to have.
 * @SK_CMD_SET: do; CAP_SYS_ADMIN. pmon: SK_ATTR_POLICY, SK_ATTR_PREFETCH, one or
 *	both. gmm: SK_ATTR_POLICY, of placement, SK_ATTR_REBALANCE, one or both.
 *	lite_rpc: SK_ATTR_MANAGER.
 * @SK_CMD_DRAIN: do; lite_rpc, CAP_SYS_ADMIN: asks the manager to place nothing
 *	on the memory host SK_ATTR_NODE any more, or again: SK_ATTR_DRAINING.
 * @SK_CMD_EVENT: never asked for; sent by pmon to SK_GROUP_EVENTS. SK_ATTR_EVENT says what
 *	happened, at SK_ATTR_TIME_MS; SK_ATTR_ASID, SK_ATTR_PID and SK_ATTR_NAME to which
 *	region of which process, SK_ATTR_NODE by which memory host. Both may be absent.
 *	degraded	it has fewer secondaries than wanted; by a lost one, for example
 *	repaired	it has all of them again; the new one
 *	failover	a secondary took over; that one
 *	lost		nobody has it any more; its last primary
 *	rebalanced	it was moved; to that host
 *	drained		no region of this host is at that memory host any more
 */
enum sk_cmd {
	SK_CMD_UNSPEC,
	SK_CMD_GET_COUNTERS,
	SK_CMD_GET_HOSTS,
	SK_CMD_GET_SPACES,
	SK_CMD_TAG,
	SK_CMD_SET,
	SK_CMD_DRAIN,
	SK_CMD_EVENT,
	__SK_CMD_MAX,
};

#define SK_CMD_MAX (__SK_CMD_MAX - 1)

enum sk_attr {
	SK_ATTR_UNSPEC,
	SK_ATTR_PAD,
	SK_ATTR_COUNTER,	/* nest: NAME, VALUE */
	SK_ATTR_NAME,		/* string */
	SK_ATTR_VALUE,		/* u64 */
	SK_ATTR_HOST,		/* nest: NODE, STATE, SERVICES, ... */
	SK_ATTR_NODE,		/* u32, IPv4 address, host byte order */
	SK_ATTR_STATE,		/* string */
	SK_ATTR_SERVICES,	/* u32, bit (1 << enum lite_service) */
	SK_ATTR_CAPACITY,	/* u64, frames */
	SK_ATTR_FREE,		/* u64, frames */
	SK_ATTR_AGE_MS,		/* u32, since the last report to the manager */
	SK_ATTR_EPOCH,		/* u32, connections so far */
	SK_ATTR_ERRORS,		/* u64, connections lost + calls failed */
	SK_ATTR_SPACE,		/* nest: ASID, NODE, PID, NAME, LINES, ... */
	SK_ATTR_ASID,		/* u64 */
	SK_ATTR_PID,		/* u32 */
	SK_ATTR_LINES,		/* u64, resident ExCache lines */
	SK_ATTR_FRAMES,		/* u64, frames at the memory host */
	SK_ATTR_LIMIT,		/* u64, lines */
	SK_ATTR_EXCACHE_BYTES,	/* u64 */
	SK_ATTR_POLICY,		/* string: of replacement (pmon), placement (gmm) */
	SK_ATTR_PREFETCH,	/* u8: 0 off, 1 on */
	SK_ATTR_MANAGER,	/* u32, as NODE; with the counters of lite_rpc */
	SK_ATTR_DRAINING,	/* u8: 0 no, 1 nothing is placed there any more */
	SK_ATTR_REGIONS,	/* u32, address spaces, replicas apart */
	SK_ATTR_REPLICAS,	/* u32 */
	SK_ATTR_LOAD,		/* u32, requests per second */
	SK_ATTR_LOG_CAPACITY,	/* u64, bytes for records of replicas */
	SK_ATTR_LOG_FREE,	/* u64, bytes */
	SK_ATTR_REBALANCE,	/* u8: 0 off, 1 on; with the counters of gmm, and to set */
	SK_ATTR_EVENT,		/* string */
	SK_ATTR_TIME_MS,	/* u64, since 1970 */
	__SK_ATTR_MAX,
};

#define SK_ATTR_MAX (__SK_ATTR_MAX - 1)

#endif /* _UAPI_SPLITKERNEL_H */
