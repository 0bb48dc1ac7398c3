/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mmon: the memory monitor, inside.
 *
 * What there is
 *	A pool of frames, an address space per asid, and ten requests. A space
 *	has an array of vmas (which ranges exist, what they permit) and a page
 *	map (address >> 12 to frame). The pages of a replica are not in frames but
 *	in a log (log.c); its page map has records. When it is promoted it becomes an
 *	ordinary space, and its records become frames one by one (rebuild.c); any
 *	page map may have both.
 *
 * mmon never changes a frame's content while anybody can see it
 *	A flush fills fresh frames, checks them, and only then puts them into the
 *	page map in the place of the old ones. So a torn payload never replaces
 *	good data, a frame shared after a fork is never written in place, and a
 *	fetch may read a frame without any lock.
 *
 *	A spare frame (adopt.c) is filled by the space's owner, one-sided, before it is
 *	in any page map.
 *
 *	Only the owner of a space may change a frame in place, one-sided, if the
 *	frame's chunk is granted to the space (chunk.c). It does not fetch a page
 *	by request while it writes it, nor ask for a clone of it: both would be
 *	requests of the same owner, who has the page in its hands. So no reply
 *	carries a page that is half written, and what a fork shares stays as it
 *	was: the owner gives up writing in place before it asks for the clone.
 *
 * Lock order
 *	space->lock (of two spaces the one with the smaller asid first)
 *	    xa_lock of space->pages, xa_lock of mmon->spaces
 *	    pool->lock (bottom halves disabled)
 *	    log->lock (bottom halves disabled); never with pool->lock
 *	Nobody waits for another host under any lock, nor in a worker.
 *	Windows are created and destroyed under space->lock at most.
 *
 * Who may run at once
 *	MAPS, FLUSH, ADOPT, CLONE, EXIT, REPLICA, PROMOTE and FEED run in process
 *	context under space->lock, and so do the steps of a rebuild.
 *	FETCH runs in softirq context under RCU alone: it looks a frame up, takes
 *	a reference unless the count is zero, and looks again; only if the page
 *	map still has that frame is it the page's. The reference is dropped when
 *	the network no longer reads the frame. Until then the frame is not reused.
 *	A record is pinned instead (log.c). What the store has is read in process
 *	context (serve.c).
 *	SEED takes references under space->lock as FETCH does, lets the lock go, and
 *	takes it again when the other host has answered (seed.c).
 *
 * Ownership
 *	The table of spaces holds one reference on a space, each running request
 *	another. The memory of a space and of its vma array is freed by RCU.
 *	A frame's count is 1 while it is in at least one page map, plus 1 for each
 *	fetch that reads it; @maps counts the page maps.
 *
 * All files but main, netlink, store_file and trace compile in userspace as well
 * (tests/unit).
 */
#ifndef MMON_INTERNAL_H
#define MMON_INTERNAL_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "lite_rpc.h"
#include "log.h"
#include "mmon_wire.h"

#define MMON_MB_FRAMES		(1u << (20 - MMON_PAGE_SHIFT))
#define MMON_RESERVE		64u	/* frames beyond the capacity */
#define MMON_REGION_FRAMES	65536u	/* in one lite_region */
#define MMON_VMAS_MAX		65536u	/* in one space */
#define MMON_SPACES_MAX		65536

/* ---- counters.c ----------------------------------------------------------- */

/** enum mmon_counter - events that are counted; names in counters.c, docs/ */
enum mmon_counter {
	MMON_C_FETCHES,
	MMON_C_FETCH_PAGES,
	MMON_C_FETCH_ABSENT,
	MMON_C_FLUSHES,
	MMON_C_FLUSH_PAGES,
	MMON_C_MAPS,
	MMON_C_CLONES,
	MMON_C_ADOPTS,
	MMON_C_ADOPT_PAGES,
	MMON_C_EXITS,
	MMON_C_REPEATS,
	MMON_C_SPACES_LOST,
	MMON_C_REFUSED,
	MMON_C_REFUSED_MALFORMED,
	MMON_C_REFUSED_OWNER,
	MMON_C_REFUSED_RANGE,
	MMON_C_REFUSED_PERMISSION,
	MMON_C_REFUSED_NO_FRAMES,
	MMON_C_REFUSED_SEQUENCE,
	MMON_C_REFUSED_CHECKSUM,
	MMON_C_REFUSED_UNKNOWN,
	MMON_C_REFUSED_NO_MEMORY,
	MMON_C_REFUSED_SPARE,
	MMON_C_REFUSED_STORE,
	MMON_C_REPLICAS_MADE,
	MMON_C_PROMOTES,
	MMON_C_REBUILT_PAGES,
	MMON_C_SEEDS,
	MMON_C_SEED_PAGES,
	MMON_C_FEEDS,
	MMON_C_FEED_PAGES,
	MMON_C_NR,
};

#define MMON_GAUGES	16	/* counters that are read from the pool, log, spaces */

struct mmon;

void mmon_count(struct mmon *m, enum mmon_counter which, u64 n);
u64 mmon_requests(struct mmon *m);
void mmon_count_refusal(struct mmon *m, int err);
const char *mmon_refusal_text(u32 op, int err);
int mmon_counters_read(struct mmon *m, struct lite_counter *table);

/* ---- pool.c ----------------------------------------------------------------- */

/**
 * struct mmon_frame - 4 KiB of the pool
 * @ref: 0: free. Else 1 if @maps > 0, or it is spare, or a flush fills it, plus
 *	fetches
 * @maps: page maps that have it; grows only under the lock of a space that
 *	has it already, so a holder of such a lock that reads 1 can rely on it
 * @next: free frames: index of the next one. Protected by pool->lock.
 */
struct mmon_frame {
	refcount_t ref;
	union {
		atomic_t maps;
		u32 next;
	};
};

/**
 * struct mmon_chunk - MMON_CHUNK_FRAMES neighbouring frames; the last is short
 * @entry: on @list
 * @list: one of the pool's or of the owner's, see chunk.c
 * @owner: whose frames these are, NULL: anybody's
 * @window: the grant to @owner; set if and only if @owner is
 * @busy: the window is being created or destroyed: nobody takes frames here
 * @free_head: list of free frames, last freed first; the pool's @total ends it
 * @nr_free: its length
 * @size: frames in it
 *
 * Protected by pool->lock.
 */
struct mmon_chunk {
	struct list_head entry;
	struct list_head *list;
	struct mmon_chunks *owner;
	struct lite_window *window;
	bool busy;
	u32 free_head;
	u32 nr_free;
	u32 size;
};

/**
 * struct mmon_chunks - the chunks of a space
 * @partial: those with free frames
 * @full: those without
 * @nr_free: free frames in them
 *
 * Protected by pool->lock. Grows only under space->lock.
 */
struct mmon_chunks {
	struct list_head partial;
	struct list_head full;
	u32 nr_free;
};

/**
 * struct mmon_pool - all frames
 * @frame, @memory, @chunk: set when created. One page more than frames: the last
 *	is always zero and stands for pages that a fetch did not find.
 * @capacity: frames that may be in page maps
 * @total: @capacity + MMON_RESERVE; the reserve is for the fresh frames of
 *	flushes and for replaced frames that a fetch still reads
 * @wait: woken when a frame becomes free or a chunk is no longer busy
 * @lock: protects what follows, and the chunks
 * @whole, @partial, @full: chunks without owner, by free frames: all, some, none
 * @busy: chunks whose window is being created or destroyed
 * @nr_free: free frames
 * @nr_common: of these, in chunks that nobody owns
 * @nr_busy: of these, in busy chunks
 * @granted: chunks that have an owner
 * @revoked: how many were taken from their owner so far
 * @charged: distinct frames in page maps, those reserved by a running flush
 *	and spare ones included; <= @capacity
 * @spares: of these, spare ones
 * @peak: highest @charged so far
 */
struct mmon_pool {
	struct mmon_frame *frame;
	struct mmon_memory memory;
	struct mmon_chunk *chunk;
	u32 nr_chunks;
	u32 capacity;
	u32 total;
	wait_queue_head_t wait;
	spinlock_t lock;	/* chunks, free frames and the charge */
	struct list_head whole;
	struct list_head partial;
	struct list_head full;
	struct list_head busy;
	u32 nr_free;
	u32 nr_common;
	u32 nr_busy;
	u32 granted;
	u64 revoked;
	u32 charged;
	u32 spares;
	u32 peak;
};

int mmon_pool_create(struct mmon_pool *pool, u32 capacity);
void mmon_pool_drain(struct mmon_pool *pool);
void mmon_pool_destroy(struct mmon_pool *pool);

int mmon_pool_take(struct mmon_pool *pool, struct mmon_chunks *chunks, u32 nr,
		   u32 charge, struct mmon_frame **frames);
void mmon_pool_untake(struct mmon_pool *pool, u32 nr, u32 charge,
		      struct mmon_frame **frames);
void mmon_pool_uncharge(struct mmon_pool *pool, u32 nr);
u32 mmon_pool_take_spares(struct mmon_pool *pool, struct mmon_chunks *chunks,
			  u32 nr, u32 leave, struct mmon_frame **frames);
void mmon_pool_untake_spare(struct mmon_pool *pool, struct mmon_frame *frame);
void mmon_pool_spares_used(struct mmon_pool *pool, u32 nr);
u32 mmon_pool_used(struct mmon_pool *pool, u32 *peak);

bool mmon_frame_tryget(struct mmon_frame *frame);
void mmon_frame_put(struct mmon_pool *pool, struct mmon_frame *frame);
bool mmon_frame_unmap(struct mmon_pool *pool, struct mmon_frame *frame);
void *mmon_frame_data(struct mmon_pool *pool, const struct mmon_frame *frame);
void mmon_frame_sge(struct mmon_pool *pool, const struct mmon_frame *frame,
		    struct lite_sge *sge);

/* Who waits for free frames has another look. Without pool->lock. */
static inline void mmon_pool_wake(struct mmon_pool *pool)
{
	/* Orders what has changed against the look for sleepers. */
	if (wq_has_sleeper(&pool->wait))
		wake_up_all(&pool->wait);
}

static inline u32 mmon_frame_index(const struct mmon_pool *pool,
				   const struct mmon_frame *frame)
{
	return frame - pool->frame;
}

/* ---- chunk.c ---------------------------------------------------------------- */

#define MMON_CHUNK_FRAMES	((u32)BIT(MMON_CHUNK_SHIFT))
/* A space that has as many frames is given chunks of its own. */
#define MMON_CLAIM_FRAMES	(MMON_CHUNK_FRAMES / 8)

int mmon_chunks_create(struct mmon_pool *pool);
void mmon_chunks_destroy(struct mmon_pool *pool);
void mmon_chunks_init(struct mmon_chunks *chunks);
void mmon_chunk_put_frame(struct mmon_pool *pool, struct mmon_frame *frame);
bool mmon_chunks_try_take(struct mmon_pool *pool, struct mmon_chunks *chunks,
			  u32 nr, struct mmon_frame **frames);
u32 mmon_chunks_take_own(struct mmon_pool *pool, struct mmon_chunks *chunks,
			 u32 nr, struct mmon_frame **frames);
bool mmon_chunks_reach(struct mmon_pool *pool, u32 nr);
bool mmon_chunks_busy(struct mmon_pool *pool);
bool mmon_chunk_claim(struct mmon_pool *pool, struct mmon_chunks *chunks);
bool mmon_chunk_revoke(struct mmon_pool *pool, const struct mmon_chunks *chunks,
		       u32 nr);
void mmon_chunks_disown(struct mmon_pool *pool, struct mmon_chunks *chunks);
void mmon_chunks_locate(struct mmon_pool *pool, const struct mmon_chunks *chunks,
			struct mmon_frame * const *frames, u32 nr,
			__le32 *location, struct mmon_grant *grants,
			__le32 *nr_grants);
void mmon_chunks_read(struct mmon_pool *pool, u32 *granted, u64 *revoked);

/* ---- vmas.c ----------------------------------------------------------------- */

#define MMON_UNMAPPED	(-1)	/* as @prot of mmon_vmas_set() */

/** struct mmon_vma - [@start, @end) is mapped with @prot (MMON_PROT_*) */
struct mmon_vma {
	u64 start;
	u64 end;
	u32 prot;
};

/**
 * struct mmon_vmas - the vmas of a space: sorted, disjoint, as few as possible
 *
 * Immutable once readers can see it; a change makes a new one. That makes a
 * request with 64 changes all or nothing with one allocation, and a lookup is
 * a binary search without retries.
 */
struct mmon_vmas {
	struct rcu_head rcu;
	u32 nr;
	u32 max;
	struct mmon_vma vma[];
};

struct mmon_vmas *mmon_vmas_copy(const struct mmon_vmas *old, u32 changes);
void mmon_vmas_set(struct mmon_vmas *vmas, u64 start, u64 end, int prot);
u32 mmon_vmas_count(const struct mmon_vmas *vmas, u64 start, u64 end);
void mmon_vmas_clone(struct mmon_vmas *to, const struct mmon_vmas *from,
		     u64 start, u64 end);
int mmon_vmas_check(const struct mmon_vmas *vmas, u64 addr, u32 prot);

/* ---- pages.c ---------------------------------------------------------------- */

/**
 * struct mmon_pages - pages that were found, and are kept where they are
 * @nr: pages asked for
 * @found: bit i: page i is there
 * @records: bit i: it is a record
 * @stored: bit i: the store has it alone
 * @frame: of page i, referenced, or NULL: it is a record
 * @place: of the record, pinned. Last, because there mostly are none.
 */
struct mmon_pages {
	u32 nr;
	u32 found;
	u32 records;
	u32 stored;
	struct mmon_frame *frame[MMON_FETCH_MAX];
	struct mmon_place place[MMON_FETCH_MAX];
};

/* How much of it says something. */
static inline size_t mmon_pages_size(const struct mmon_pages *pages)
{
	return pages->records ? sizeof(*pages) :
				offsetof(struct mmon_pages, place);
}

void mmon_pages_put(struct mmon *m, const struct mmon_pages *pages);
int mmon_pages_load(struct mmon *m, const struct mmon_pages *pages, u32 bounce);
void mmon_pages_sge(struct mmon *m, const struct mmon_pages *pages, u32 i,
		    u32 bounce, struct lite_sge *sge);
const void *mmon_pages_data(struct mmon *m, const struct mmon_pages *pages, u32 i,
			    u32 bounce);

/* ---- space.c ---------------------------------------------------------------- */

/**
 * enum mmon_kind - what an address space is
 * @MMON_ORDINARY: its pages are in frames
 * @MMON_REPLICA: they are in the log
 * @MMON_PROMOTED: an ordinary one that was a replica
 */
enum mmon_kind {
	MMON_ORDINARY,
	MMON_REPLICA,
	MMON_PROMOTED,
};

/**
 * struct mmon_space - one address space
 * @asid, @node, @incarnation: set when created
 * @ref: the table's and the running requests' references
 * @lock: protects what follows against other writers
 * @dead: no longer in the table; a request that meets it starts over
 * @seq: number of the last change that was applied
 * @kind: changed by PROMOTE alone
 * @feeder: node that may feed a replica
 * @frames: entries of @pages that are frames
 * @records: entries of @pages that are records
 * @rebuild_next: index from which on the rebuild looks for records; ULONG_MAX: it
 *	has nothing to do
 * @rebuilt: records that it has made frames since it began at 0
 * @chunks: chunks of the pool that are this space's alone
 * @spare, @nr_spares: spare frames (adopt.c); NULL: never had any
 * @vmas: NULL: none. Read under RCU.
 * @pages: address >> MMON_PAGE_SHIFT to struct mmon_frame, or a value entry: a
 *	record, or one that only reserves the slot. Read under RCU.
 */
struct mmon_space {
	u64 asid;
	u64 incarnation;
	u32 node;
	bool dead;
	struct kref ref;
	struct mutex lock;	/* writers */
	u64 seq;
	enum mmon_kind kind;
	u32 feeder;
	u64 frames;
	u64 records;
	unsigned long rebuild_next;
	u64 rebuilt;
	struct mmon_chunks chunks;
	struct mmon_frame **spare;
	u32 nr_spares;
	struct mmon_vmas __rcu *vmas;
	struct xarray pages;
	struct rcu_head rcu;
};

/** struct mmon_owner - who asks */
struct mmon_owner {
	u64 incarnation;
	u32 node;
};

#define MMON_RESERVED	xa_mk_value(0)	/* slot that cannot fail to be stored */

static inline struct mmon_frame *mmon_entry_frame(void *entry)
{
	return xa_is_value(entry) ? NULL : entry;
}

/* Is anything stored there? */
static inline bool mmon_entry_used(void *entry)
{
	return entry && entry != MMON_RESERVED;
}

struct mmon_space *mmon_space_create(struct mmon *m, u64 asid,
				     const struct mmon_owner *owner);
int mmon_space_publish(struct mmon *m, struct mmon_space *space);
struct mmon_space *mmon_space_get(struct mmon *m, u64 asid);
void mmon_space_put(struct mmon_space *space);
bool mmon_space_owned(const struct mmon_space *space,
		      const struct mmon_owner *owner);
int mmon_space_sequence(struct mmon_space *space, u64 seq);
void mmon_space_clear(struct mmon *m, struct mmon_space *space);
bool mmon_space_remove(struct mmon *m, struct mmon_space *space);
struct mmon_space *mmon_space_next(struct mmon *m, unsigned long *asid,
				   const u32 *node);
u64 mmon_spaces_drop(struct mmon *m, const u32 *node);

struct mmon_vmas *mmon_space_vmas(struct mmon_space *space);
void mmon_space_set_vmas(struct mmon_space *space, struct mmon_vmas *vmas);
void mmon_space_claim(struct mmon *m, struct mmon_space *space, u32 nr);
int mmon_space_reserve(struct mmon_space *space, unsigned long index);
int mmon_space_reserve_pages(struct mmon_space *space, const u64 *addr, u32 nr);
u32 mmon_space_store(struct mmon *m, struct mmon_space *space, u64 addr,
		     struct mmon_frame *frame);
u32 mmon_space_store_record(struct mmon *m, struct mmon_space *space, u64 addr,
			    struct mmon_record *record);
void mmon_space_unreserve(struct mmon_space *space, unsigned long first,
			  unsigned long last);
void mmon_space_drop(struct mmon *m, struct mmon_space *space,
		     unsigned long first, unsigned long last, bool keep);
void mmon_space_find(struct mmon *m, struct mmon_space *space,
		     unsigned long index, struct mmon_pages *pages, u32 i);

/* ---- adopt.c ---------------------------------------------------------------- */

/** struct mmon_adopt_in - a decoded request of MMON_OP_ADOPT */
struct mmon_adopt_in {
	u64 asid;
	u64 seq;
	u32 nr;
	u32 want;
	u64 addr[MMON_SPARES_MAX];
	u32 location[MMON_SPARES_MAX];
};

int mmon_adopt(struct mmon *m, const struct mmon_owner *owner,
	       const struct mmon_adopt_in *in, struct mmon_spares *reply);
void mmon_spares_clear(struct mmon *m, struct mmon_space *space);

/* ---- maps.c, flush.c, clone.c ------------------------------------------------ */

/** struct mmon_flush_in - a decoded flush or feed */
struct mmon_flush_in {
	u64 asid;
	u64 seq;
	u32 nr;
	u64 addr[MMON_FLUSH_MAX];
	u32 sum[MMON_FLUSH_MAX];
	u32 checksum;
	const u8 *payload;
};

int mmon_maps(struct mmon *m, const struct mmon_owner *owner, u64 asid, u64 seq,
	      const struct mmon_change *changes, u32 nr);
int mmon_flush(struct mmon *m, const struct mmon_owner *owner,
	       const struct mmon_flush_in *in, struct mmon_flush_reply *reply);
int mmon_clone(struct mmon *m, const struct mmon_owner *owner,
	       const struct mmon_clone *msg);

/* ---- replica.c, rebuild.c ------------------------------------------------------ */

int mmon_replica(struct mmon *m, const struct mmon_owner *owner,
		 const struct mmon_replica *msg);
int mmon_promote(struct mmon *m, const struct mmon_owner *owner,
		 const struct mmon_promote *msg);
int mmon_feed(struct mmon *m, u32 node, u32 owner,
	      const struct mmon_flush_in *in, u32 *stored);
int mmon_append(struct mmon *m, struct mmon_space *space,
		const struct mmon_flush_in *in, const u8 *which, u32 nr);
void mmon_rebuild_kick(struct mmon *m, struct mmon_space *space);
int mmon_rebuild(struct mmon *m);

/* ---- request.c ---------------------------------------------------------------- */

/** struct mmon_body - the body of a reply: of a flush or adoption; else none */
struct mmon_body {
	u32 len;
	union {
		struct mmon_flush_reply flush;
		struct mmon_spares spares;
		u8 bytes[MMON_SPARES_REPLY_MAX];
	};
};

static_assert(MMON_SPARES_REPLY_MAX >= MMON_FLUSH_REPLY_MAX);

int mmon_handle(struct mmon *m, const struct lite_request *req,
		struct mmon_pages *pages, struct mmon_body *body);
u64 mmon_request_asid(const struct lite_request *req);

/* ---- everything ----------------------------------------------------------------- */

/**
 * struct mmon - the memory monitor of this host
 * @spaces: asid to struct mmon_space. Read under RCU.
 * @nr_spaces: in @spaces
 * @nr_replicas: of these, replicas
 * @rebuild_kick: there is something to rebuild; may be NULL
 */
struct mmon {
	struct mmon_pool pool;
	struct mmon_log log;
	struct xarray spaces;
	atomic_t nr_spaces;
	atomic_t nr_replicas;
	void (*rebuild_kick)(struct mmon *m);
	atomic64_t counter[MMON_C_NR];
};

void mmon_init(struct mmon *m);

/* ---- seed.c ------------------------------------------------------------------------ */

void mmon_seed(struct mmon *m, struct lite_request *req);

/* ---- background.c, serve.c --------------------------------------------------------- */

int mmon_background_start(struct mmon *m);
void mmon_background_stop(struct mmon *m);
void mmon_background_queue(struct work_struct *work);
void mmon_background_load(struct work_struct *work);
void mmon_serve_reply(struct lite_request *req, int err, const void *body,
		      u32 len);

int mmon_serve_start(struct mmon *m);
void mmon_serve_stop(void);

/* ---- kernel only ------------------------------------------------------------------ */

int mmon_netlink_start(struct mmon *m);
void mmon_netlink_stop(void);

#endif /* MMON_INTERNAL_H */
