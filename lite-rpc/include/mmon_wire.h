/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What processor hosts say to memory hosts: bodies of LITE_SVC_MMON requests.
 *
 * Everything is little endian; reserved fields must be zero; lengths must be
 * exact. An asid belongs to the node that first named it.
 *
 * All requests that change an address space carry a sequence number. A
 * processor has at most one of them under way for an asid and counts them from
 * 1: the memory host applies number last + 1, answers a number <= last with
 * success without applying it again (a repeat after a lost reply), and refuses
 * a larger one with -EPROTO. A refused request does not use its number up.
 *
 * Errors: -EBADMSG malformed; -EOPNOTSUPP unknown op; -ENOENT unknown asid or
 * page never stored; -EINVAL no spare frame of the asid; -EPERM asid of another
 * node; -EFAULT outside every vma; -EACCES the vma does not permit it; -ENOSPC no
 * frames left, or no room in the log of replicas; -EPROTO sequence; -ENOMEM; -EIO
 * the segment store does not give a record back.
 */
#ifndef MMON_WIRE_H
#define MMON_WIRE_H

#include <linux/bits.h>
#include <linux/build_bug.h>
#include <linux/types.h>

#define MMON_PAGE_SHIFT		12
#define MMON_PAGE_SIZE		4096u
#define MMON_ADDR_MAX		BIT_ULL(47)	/* user half, exclusive */
#define MMON_FETCH_MAX		16		/* pages in one fetch */
#define MMON_FLUSH_MAX		15		/* pages in one flush */
#define MMON_MAPS_MAX		64		/* changes in one request */
#define MMON_SPARES_MAX		64		/* spare frames of one space */

/** enum mmon_op - lite_call::op */
enum mmon_op {
	MMON_OP_MAPS	= 1,	/* struct mmon_maps + mmon_change[] */
	MMON_OP_FLUSH	= 2,	/* struct mmon_flush + mmon_flush_page[], payload */
	MMON_OP_FETCH	= 3,	/* struct mmon_fetch + __le64 addr[], direct reply */
	MMON_OP_CLONE	= 4,	/* struct mmon_clone */
	MMON_OP_EXIT	= 5,	/* struct mmon_exit */
	MMON_OP_ADOPT	= 6,	/* struct mmon_adopt + mmon_adopt_page[] */
	MMON_OP_REPLICA	= 7,	/* struct mmon_replica */
	MMON_OP_PROMOTE	= 8,	/* struct mmon_promote */
	MMON_OP_SEED	= 9,	/* struct mmon_seed */
	MMON_OP_FEED	= 10,	/* struct mmon_feed + mmon_flush_page[], payload */
	MMON_OP_MAX,
};

/** enum mmon_change_type - one change of a vma tree
 * @MMON_MAP: [start, end) becomes a vma with @prot; frames in it stay
 * @MMON_UNMAP: [start, end) leaves the vma tree, its frames are freed
 * @MMON_DISCARD: frames in [start, end) are freed, vmas stay
 * @MMON_MOVE: frames of [start, end) go to @to, which becomes mapped with the
 *	source's permissions (@prot); [start, end) stays mapped and is empty.
 *	Frames that were at the target are freed.
 */
enum mmon_change_type {
	MMON_MAP	= 1,
	MMON_UNMAP	= 2,
	MMON_DISCARD	= 3,
	MMON_MOVE	= 4,
};

#define MMON_PROT_READ	0x1	/* may be fetched */
#define MMON_PROT_WRITE	0x2	/* may be flushed */

struct mmon_change {
	__le32 type;		/* enum mmon_change_type */
	__le32 prot;		/* MMON_PROT_*; 0 for UNMAP and DISCARD */
	__le64 start;		/* page aligned */
	__le64 end;		/* exclusive, page aligned, <= MMON_ADDR_MAX */
	__le64 to;		/* MOVE only, else 0 */
};

static_assert(sizeof(struct mmon_change) == 32);

/** struct mmon_maps - changes of the vma tree, applied in order.
 * Sequence number 1 creates the address space.
 */
struct mmon_maps {
	__le64 asid;
	__le64 seq;
	__le32 nr;		/* changes that follow, 1..MMON_MAPS_MAX */
	__le32 reserved;
};

static_assert(sizeof(struct mmon_maps) == 24);

/** enum mmon_checksum - what a page's checksum is; mmon_checksum.h
 * @MMON_CHECKSUM_CRC32C: crc32c, seed ~0, not inverted
 * @MMON_CHECKSUM_XXH64: the lower half of xxh64, seed 0
 */
enum mmon_checksum {
	MMON_CHECKSUM_CRC32C,
	MMON_CHECKSUM_XXH64,
	MMON_NR_CHECKSUMS,
};

struct mmon_flush_page {
	__le64 addr;		/* page aligned, inside a writable vma */
	__le32 sum;		/* checksum of the page */
	__le32 reserved;
};

static_assert(sizeof(struct mmon_flush_page) == 16);

/** struct mmon_flush - dirty pages; payload page i belongs to entry i.
 * All or nothing: any error leaves every page as it was. A page whose content
 * does not have its checksum is refused with -EILSEQ. Success is answered with a struct
 * mmon_flush_reply.
 */
struct mmon_flush {
	__le64 asid;
	__le64 seq;
	__le32 nr;		/* 1..MMON_FLUSH_MAX, == payload pages */
	__le32 checksum;	/* enum mmon_checksum: of all pages */
};

static_assert(sizeof(struct mmon_flush) == 24);

/**
 * struct mmon_grant - a chunk of frames that the asid's owner may reach one-sided
 * @chunk: its number
 * @rkey, @addr: remote key and address of its first frame; valid until the memory
 *	host revokes them, which a transfer learns from its refusal. A later grant
 *	of the same chunk replaces an earlier one.
 *
 * All frames of the chunk are the asid's, in its page map, spare or free, or are shared
 * with or left to clones of it, which have the same owner.
 */
struct mmon_grant {
	__le32 chunk;
	__le32 rkey;
	__le64 addr;
};

static_assert(sizeof(struct mmon_grant) == 16);

#ifndef MMON_CHUNK_SHIFT	/* unit tests want a small pool to have many */
#define MMON_CHUNK_SHIFT	9	/* frames in a chunk: 512 */
#endif

/**
 * struct mmon_flush_reply - where the pages of a flush are now
 * @location: of page i: 1 + the number of its frame if the frame's chunk is
 *	granted to the asid, else 0. The chunk is @location - 1 >>
 *	MMON_CHUNK_SHIFT, the rest counts frames of 4 KiB from its grant's address.
 *	Beyond the pages of the request: 0.
 * @nr_grants: grants that follow: one for each chunk that @location names
 *
 * The owner may READ a located frame, and WRITE it in place of a flush of the same
 * page, as long as it has not asked for a clone of the page since (the clone
 * would change with it), and has the page neither unmapped nor discarded. No WRITE
 * may be under way when it asks for the page to be unmapped, discarded, flushed or
 * cloned; a READ that is under way then brings anything. A move takes the location
 * along with the page; a move or clone onto a page ends the page's location, and the
 * next flush of a page replaces it, also by 0.
 *
 * A WRITE that failed may still change the frame, until a flush is answered on a
 * connection that was made afterwards: the memory host has closed the former one
 * by then. Until that flush the page's copy at the home counts for nothing.
 *
 * A repeat is answered by the locations at the time of the repeat, not those of
 * the first answer: a grant may have been revoked meanwhile.
 */
struct mmon_flush_reply {
	__le32 location[MMON_FLUSH_MAX];
	__le32 nr_grants;
	struct mmon_grant grant[];
};

static_assert(sizeof(struct mmon_flush_reply) == 64);

#define MMON_FLUSH_REPLY_MAX	(sizeof(struct mmon_flush_reply) + \
				 MMON_FLUSH_MAX * sizeof(struct mmon_grant))

/**
 * struct mmon_adopt_page - a page that its owner has written into a spare frame
 * @addr: page aligned, inside a writable vma
 * @location: of the frame
 */
struct mmon_adopt_page {
	__le64 addr;
	__le32 location;
	__le32 reserved;
};

static_assert(sizeof(struct mmon_adopt_page) == 16);

/**
 * struct mmon_adopt - pages that lie in spare frames already, and a wish for more
 * @nr: pages that follow, 0..MMON_SPARES_MAX
 * @want: how many spare frames the asid is to have afterwards, 0..MMON_SPARES_MAX;
 *	0 with @nr 0 is malformed
 *
 * A spare frame is the asid's and in no page map: its owner may WRITE a page of
 * the asid into it, of whatever address, and tells so later. Until it has told,
 * the memory host knows nothing of the page: the owner reads it one-sided, and
 * tells before it asks for anything that concerns the page. No WRITE to the frame
 * may be under way by then. From then on it is the page's frame, in the place of
 * any former one, and may be read and written as struct mmon_flush_reply says.
 *
 * A frame that a WRITE failed on must be left alone, neither told of nor written
 * again, until a flush is answered, as there. It stays spare.
 *
 * All or nothing: -EINVAL if a location is not that of a spare frame of the asid,
 * or is named twice. Spare frames stay until they are told of, or the asid ends,
 * or the key to them is revoked and an answer no longer lists them. Success is
 * answered with a struct mmon_spares.
 */
struct mmon_adopt {
	__le64 asid;
	__le64 seq;
	__le32 nr;
	__le32 want;
};

static_assert(sizeof(struct mmon_adopt) == 24);

/**
 * struct mmon_spares - all spare frames that the asid has now
 * @location: of frame i; 0 beyond them
 * @nr: how many; fewer than wanted if frames are scarce, 0 for a small asid
 * @nr_grants: grants that follow: one for each chunk that @location names
 */
struct mmon_spares {
	__le32 location[MMON_SPARES_MAX];
	__le32 nr;
	__le32 nr_grants;
	struct mmon_grant grant[];
};

static_assert(sizeof(struct mmon_spares) == 264);

#define MMON_SPARES_REPLY_MAX	(sizeof(struct mmon_spares) + \
				 MMON_SPARES_MAX * sizeof(struct mmon_grant))

/** struct mmon_fetch - pages wanted, placed into the caller's direct pages.
 * nr == 1: the page, or an error. nr > 1: the reply body is a __le32 bitmap of
 * the pages that were placed; those not stored are left alone.
 */
struct mmon_fetch {
	__le64 asid;
	__le32 nr;		/* 1..MMON_FETCH_MAX, == direct pages */
	__le32 reserved;
};

static_assert(sizeof(struct mmon_fetch) == 16);

/** struct mmon_clone - fork: vmas and frames of [start, end) of @asid appear
 * in @child as well, shared until one of both is written. Creates @child if it
 * does not exist, with its own sequence at 0; @seq is of @asid. A @child that is
 * created by a clone therefore continues with number 1.
 */
struct mmon_clone {
	__le64 asid;
	__le64 seq;
	__le64 child;
	__le64 start;
	__le64 end;
	__le64 reserved;
};

static_assert(sizeof(struct mmon_clone) == 48);

/** struct mmon_exit - frees the address space; unknown asids are no error */
struct mmon_exit {
	__le64 asid;
};

static_assert(sizeof(struct mmon_exit) == 8);

/**
 * struct mmon_replica - creates an empty replica: the copy of an address space at
 *	another host, for the case of that host's loss
 * @seq: 1
 * @feeder: node that may FEED it; 0: none
 *
 * MAPS, FLUSH, CLONE, FETCH and EXIT work as with any asid, with numbers from 2
 * on; ADOPT is refused with -EOPNOTSUPP. What is flushed is appended to a log that
 * all replicas of the host share, so the answer has no location and no grant;
 * -ENOSPC if there is no room in it. The child of a replica's clone is a replica
 * with the same feeder. -EOPNOTSUPP if the host takes no replicas; -EPROTO if the
 * asid is that of an address space that never was a replica.
 */
struct mmon_replica {
	__le64 asid;
	__le64 seq;
	__le32 feeder;
	__le32 reserved;
};

static_assert(sizeof(struct mmon_replica) == 24);

/** struct mmon_promote - a replica becomes an ordinary address space, at once.
 * On one that is ordinary already nothing changes.
 */
struct mmon_promote {
	__le64 asid;
	__le64 seq;
};

static_assert(sizeof(struct mmon_promote) == 16);

/**
 * struct mmon_seed - send some pages to a replica
 * @target: asid of the replica, whose feeder this host is
 * @start: page aligned; pages at it and behind are sent, MMON_FLUSH_MAX at most
 * @node: host that has the replica
 * @checksum: enum mmon_checksum, of the pages on their way
 *
 * In the stream of @asid. Answered by struct mmon_seeded when the replica has the
 * pages. If it refuses them, -ENOSPC and -ENOMEM are its own, all else is -EREMOTEIO,
 * also that it cannot be reached: nothing is wrong with @asid then. The
 * owner writes no page of @asid one-sided while this is under way. A repeat
 * sends the pages again and is answered by what there is then.
 */
struct mmon_seed {
	__le64 asid;
	__le64 seq;
	__le64 target;
	__le64 start;
	__le32 node;
	__le32 checksum;
};

static_assert(sizeof(struct mmon_seed) == 40);

/**
 * struct mmon_seeded - how far it came
 * @next: first address that was not looked at; MMON_ADDR_MAX: all is done
 * @pages: how many were sent
 */
struct mmon_seeded {
	__le64 next;
	__le32 pages;
	__le32 reserved;
};

static_assert(sizeof(struct mmon_seeded) == 16);

/**
 * struct mmon_feed - pages of the address space that a replica is a copy of
 * @asid: of the replica
 * @owner: the processor host that asked for it by MMON_OP_SEED: none but the replica's
 *	may
 *
 * From one memory host to another, not numbered. Pages that the replica has are
 * left alone: its owner stored them later. The others are stored as by a flush,
 * all or nothing, but whatever their vma permits. The replica may have been promoted.
 */
struct mmon_feed {
	__le64 asid;
	__le32 owner;
	__le32 reserved;
	__le32 nr;		/* 1..MMON_FLUSH_MAX, == payload pages */
	__le32 checksum;	/* enum mmon_checksum: of all pages */
};

static_assert(sizeof(struct mmon_feed) == 24);

#endif /* MMON_WIRE_H */
