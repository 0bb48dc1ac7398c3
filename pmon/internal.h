/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pmon, the processor monitor: private declarations.
 *
 * Nouns
 *   tag      a process that asked to be managed, and its descendants (tag.c)
 *   budget   how many lines the processes of one `vnode run` may hold, their
 *            replacement lists and their evictor (budget.c, evict.c)
 *   line     one page of the ExCache pool (line.c)
 *   space    one managed address space: mm, lines, regions (space.c)
 *   region   1 GiB of a space, with an asid and a home memory host (region.c)
 *   stream   what a region tells its home, in order (changes.c, stream.c)
 *   share    a line that several spaces have since a fork (share.c)
 *   clone    what fork has promised and the home was not asked for (clone.c)
 *   grant    how the home's frames are reached without asking it (grant.c)
 *
 * What an index (address >> 12) of a space holds, in space->lines:
 *   absent         never touched, or discarded: zero fill, or fill from the
 *                  mapped file where space->backing says so
 *   line pointer   resident, or on its way in or out
 *   value REMOTE   stored at the home; carries the page's checksum, and where (entry.h)
 *   value LOST     was stored at a home that died: SIGBUS
 *   value UNREAD   the mapped file could not be read: SIGBUS
 *   value POISONED the page's memory failed: SIGBUS
 *
 * Lock order
 *   mmap_lock                     (core mm; never taken by the evictor)
 *     region->stream_lock         held across an RPC, as nothing else but the
 *                                 lock of fork's bounce pages: it makes
 *                                 the region's changes one ordered stream.
 *                                 Taken by fork, mremap and exit, by the
 *                                 evictor only tried, which keeps it from one
 *                                 round to the next; a child's before its
 *                                 parent's (clone.c).
 *       page lock of a line       several at a time only by trylock, or by fork
 *         i_mmap_rwsem            (inside unmap_mapping_pages; young.c, unmap.c)
 *           page table locks
 *         lock of a thread's slot (prefetch.c; only tried)
 *           page table locks      (around.c; page locks only by trylock inside)
 *           page locks            (prefetch.c, standby.c; only by trylock)
 *           near_lock             (prefetch.c; only tried)
 *     region->changes.lock        change log and known ranges; no RPC inside
 *   Innermost spinlocks, none inside another: xa_lock of space->lines, of
 *   space->regions and of region->grants (bh: completions take them), budget->lru_lock, pool.lock,
 *   spares->lock, table locks.
 *
 * Who owns a line: on the free list the pool does. Between line_alloc() and
 * publication the allocating context does. Published and unlocked, the xarray
 * does. Whoever holds the page lock may change it; line->io says that the
 * holder is an I/O which ends in a completion, and then line->detached, set
 * under xa_lock by a discarder that did not want to wait, tells that completion
 * to free the line instead of keeping it. On standby it is still the xarray's, until
 * whoever needs a line takes it out (standby.c). A line on whose sharers list somebody
 * is belongs to several xarrays and is mapped nowhere: see share.c.
 */
#ifndef PMON_INTERNAL_H
#define PMON_INTERNAL_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/seqlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "entry.h"
#include "lite_rpc.h"
#include "mmon_wire.h"
#include "order.h"
#include "region.h"
#include "stride.h"

struct genl_family;
struct pmon_budget;
struct pmon_region;
struct pmon_space;
struct pmon_threads;

/* ---- counters.c ---------------------------------------------------------- */

#define PMON_COUNTERS(X)						\
	X(faults) X(first_touches) X(file_fills) X(soft_faults)		\
	X(misses) X(fetch_retries) X(checksum_errors)			\
	X(reads) X(reads_failed) X(writes) X(writes_failed)		\
	X(grants) X(grants_revoked) X(adoptions) X(adopted_pages)	\
	X(waits_spared) X(waits_spun)	\
	X(waits_for_line) X(evictions) X(evictions_clean)		\
	X(flushes) X(flushed_pages) X(flush_errors) X(unmap_calls)	\
	X(rotations) X(rescues) X(pinned_skips) X(forks) X(fork_pages) X(fork_bounces) \
	X(shared_lines) X(share_copies) X(clones_sent) X(clones_cancelled) \
	X(changes_sent) X(discards) X(moves) X(sigbus) X(spaces_lost)	\
	X(tags) X(tag_failures) X(late_pages)				\
	X(prefetch_issued) X(prefetch_used) X(prefetch_wasted)		\
	X(prefetch_late) X(prefetch_requests) X(prefetch_skips)		\
	X(near_issued) X(near_used) X(mapped_around)			\
	X(tags_dropped) X(locked_skips) X(poisoned)			\
	X(replica_pages) X(failovers) X(repairs) X(seeded_pages) X(rebalanced)

enum pmon_counter {
#define X(name) PMON_CTR_##name,
	PMON_COUNTERS(X)
#undef X
	PMON_NR_COUNTERS
};

struct pmon_counter_set {
	u64 value[PMON_NR_COUNTERS];
};

DECLARE_PER_CPU(struct pmon_counter_set, pmon_counters);

/* Context: any. */
static inline void pmon_count_add(enum pmon_counter counter, long n)
{
	this_cpu_add(pmon_counters.value[counter], n);
}

u64 pmon_counter_read(enum pmon_counter counter);
const char *pmon_counter_name(enum pmon_counter counter);
#define pmon_count(name)	pmon_count_add(PMON_CTR_##name, 1)
#define pmon_count_n(name, n)	pmon_count_add(PMON_CTR_##name, n)

/* ---- line.c: the pool ------------------------------------------------------ */

/**
 * struct pmon_share - one more space that has a line (share.c)
 * @entry: line->sharers; the line's page lock
 * @space: not referenced: it takes itself off before it ends; NULL: not in use
 * @region: of @space, in which the line is
 * @index: where the line is in @space->lines
 * @remote: @space's home has a copy, by a clone at the latest; or none: if nothing else of
 *	the range is stored there is no clone
 * @clean: which is equal to the page and has @sum
 */
struct pmon_share {
	struct list_head entry;
	struct pmon_space *space;
	struct pmon_region *region;
	pgoff_t index;
	u32 sum;
	bool remote;
	bool clean;
};

/**
 * struct pmon_line - one page of the ExCache pool
 * @page: its page; page->private points back here
 * @entry: pool free list, zombie list or budget's replacement or standby list
 * @budget: who is charged; NULL while free
 * @space: address space it is published in; written under the page lock
 * @region: the part of @space in which it is, whose home gets it; likewise
 * @sharers: further spaces it is published in (share.c); the page lock
 * @share: the first of them, which takes no allocation
 * @copy: of the copy at the home, if @remote; page lock, and stream_lock for what a
 *	flush changes. A fork takes @copy.in_place back under stream_lock and
 *	xa_lock alone: what becomes an entry is read under xa_lock
 * @index: page number in the pool's region
 * @remote: the home holds a copy equal to the page unless it is dirty
 * @io: under xa_lock: the page lock is held by a transfer
 * @detached: under xa_lock: discarded while @io; its completion frees it
 * @prefetched: it was prefetched, and nobody is known to have touched it since. Set
 *	under the page lock; cleared by pmon_line_touched()
 * @fresh: the evictor has not come across it since it was prefetched; page lock
 * @near: prefetched as a neighbour (near.h); page lock
 * @asked: when, by the clock of near.c
 * @locked: mlock() holds it: it is not evicted; changed by xchg()
 * @standby: on the budget's standby list (standby.c); page lock and lru_lock
 * @retries: fetch attempts that failed the checksum
 * @started: local_clock() when the fetch began; 0: not to be timed
 * @call, @read, @fetch, @sge: the fetch that fills it, by request or one-sided
 */
struct pmon_line {
	struct page *page;
	struct list_head entry;
	struct pmon_budget *budget;
	struct pmon_space *space;
	struct pmon_region *region;
	struct list_head sharers;
	struct pmon_share share;
	struct pmon_copy copy;
	u32 index;
	bool remote;
	bool io;
	bool detached;
	bool prefetched;
	bool fresh;
	bool near;
	bool locked;
	bool standby;
	u8 retries;
	u32 asked;
	u64 started;
	struct {
		struct mmon_fetch head;
		__le64 addr;
	} fetch;
	struct lite_sge sge;
	union {
		struct lite_call call;
		struct lite_io read;
	};
};

int pmon_pool_init(unsigned long nr_lines);
void pmon_pool_exit(void);
wait_queue_head_t *pmon_lines_wait(struct pmon_budget *budget);
void pmon_lines_wake(struct pmon_budget *budget);
unsigned long pmon_pool_total(void);
unsigned long pmon_pool_free(void);
unsigned long pmon_pool_peak(void);
struct pmon_line *pmon_line_alloc(struct pmon_budget *budget);
struct pmon_line *pmon_line_alloc_spare(struct pmon_budget *budget);
unsigned long pmon_budget_room(const struct pmon_budget *budget);
bool pmon_budget_below(const struct pmon_budget *budget, unsigned long mark,
		       unsigned int part);
unsigned long pmon_budget_spare(struct pmon_budget *budget);
void pmon_line_prepare(struct pmon_line *line, struct pmon_region *region,
		       pgoff_t index);
void pmon_line_setup(struct pmon_line *line, struct pmon_region *region,
		     pgoff_t index);
void pmon_line_release(struct pmon_line *line);
void pmon_lines_release(struct pmon_line **line, unsigned int nr);
void *pmon_lines_at(struct xa_state *xas, pgoff_t index);
void *pmon_lines_peek(struct xa_state *xas, pgoff_t index);
void pmon_lines_unpublish(struct pmon_space *space, struct pmon_line **line,
			  unsigned int nr);
struct lite_sge pmon_line_sge(struct pmon_line *line);
struct pmon_line *pmon_pool_line(struct page *page);

static inline struct pmon_line *pmon_page_line(struct page *page)
{
	return (struct pmon_line *)page_private(page);
}

/** pmon_line_touched - somebody has touched it
 *
 * Context: it does not change hands: its page is locked, or the lock of the page
 * table that maps it is held. Return: was that its first use since its prefetch?
 */
static inline bool pmon_line_touched(struct pmon_line *line)
{
	if (!READ_ONCE(line->prefetched) || !xchg(&line->prefetched, false))
		return false;
	pmon_count(prefetch_used);
	return true;
}

/** pmon_line_pinned - someone besides the pool holds the page.
 * Context: page locked and unmapped everywhere, so that no new user can come.
 */
static inline bool pmon_line_pinned(struct pmon_line *line)
{
	return page_count(line->page) != 1;
}

/*
 * All maple trees here are of the kind that also tracks gaps, as the mm's own is,
 * though nobody asks for gaps. In the other kind an inner node's last slot and
 * its metadata share a word, and 6.1 clears half of a pointer there when it
 * destroys, after a grace period, a node that has all 16 leaves: what it then
 * frees, and writes to, is somebody else's page.
 */
#define PMON_TREE_FLAGS		(MT_FLAGS_USE_RCU | MT_FLAGS_ALLOC_RANGE)

/** pmon_line_shared - several spaces have it: it must not be mapped.
 * Context: page locked.
 */
static inline bool pmon_line_shared(const struct pmon_line *line)
{
	return !list_empty(&line->sharers);
}

/* ---- budget.c -------------------------------------------------------------- */

/** enum pmon_stall - what keeps all lines of a budget from being evicted
 * @PMON_STALL_REFUSED: memory hosts do not take dirty pages
 * @PMON_STALL_PINNED: somebody holds every page
 */
enum pmon_stall { PMON_STALL_NONE, PMON_STALL_REFUSED, PMON_STALL_PINNED };

struct pmon_flush;

/**
 * struct pmon_budget - what the processes of one `vnode run` share
 * @used: lines charged; pool.lock
 * @limit: lines it may hold
 * @replicas: how many secondaries each region is to have
 * @low: the evictor starts below so many lines free or on standby, stops at twice as
 *	many; grows to @low_max when lines are short, shrinks to @low_min. Without a
 *	lock: it is a guess
 * @calm: times the evictor ran since @low changed
 * @order: in which lines are replaced; @lru_lock
 * @standby: lines that may go at once, oldest first (standby.c); @lru_lock
 * @nr_standby: how many
 * @locked: lines that mlock() holds
 * @stalled: why the evictor has made no room for a long time
 * @free_wait: faults for which it has no line, but the pool may have (line.c)
 * @refused: a flush of this round was refused; the evictor's own
 * @pinned: lines of this round, if all of them were pinned; the evictor's own
 * @flush: what is being collected, and @under_way, what is being sent; the evictor's own
 */
struct pmon_budget {
	struct kref ref;
	struct list_head entry;
	unsigned long limit;
	unsigned int replicas;
	unsigned long low;
	unsigned long low_min;
	unsigned long low_max;
	unsigned int calm;
	unsigned long used;
	unsigned long peak;
	spinlock_t lru_lock;		/* protects order, standby, their lines' entry */
	struct pmon_order order;
	struct list_head standby;
	unsigned long nr_standby;
	atomic_long_t locked;
	enum pmon_stall stalled;
	wait_queue_head_t free_wait;
	bool refused;
	unsigned int pinned;
	struct work_struct evict_work;
	struct work_struct free_work;
	struct pmon_flush *flush;
	struct pmon_flush *under_way;
};

struct pmon_budget *pmon_budget_create(unsigned long limit);
void pmon_budget_get(struct pmon_budget *budget);
void pmon_budget_put(struct pmon_budget *budget);
void pmon_budget_insert(struct pmon_budget *budget, struct pmon_line *line);
void pmon_budget_keep(struct pmon_budget *budget, struct pmon_line **line,
		      unsigned int nr);
void pmon_budget_unlink(struct pmon_budget *budget, struct pmon_line **line,
			unsigned int nr);
void pmon_budget_need_lines(struct pmon_budget *budget);
bool pmon_budget_may_alloc(struct pmon_budget *budget);
struct pmon_budget *pmon_budget_get_standby(void);
void pmon_budget_short(struct pmon_budget *budget);
void pmon_budget_calm(struct pmon_budget *budget);

static inline unsigned long pmon_budget_low(const struct pmon_budget *budget)
{
	return READ_ONCE(budget->low);
}

static inline unsigned long pmon_budget_high(const struct pmon_budget *budget)
{
	return 2 * pmon_budget_low(budget);
}

/* ---- standby.c ------------------------------------------------------------- */

unsigned long pmon_standby_total(void);
void pmon_standby_add(struct pmon_budget *budget, struct pmon_line **line,
		      unsigned int nr);
void pmon_standby_off(struct pmon_line *line);
void pmon_standby_rescue(struct pmon_line *line);
bool pmon_standby_reclaim(struct pmon_budget *budget);
void pmon_standby_refill(struct pmon_budget *budget);

/* ---- evict.c --------------------------------------------------------------- */

void pmon_evict_work(struct work_struct *work);
enum pmon_policy pmon_policy_now(void);
int pmon_policy_set(const char *name);
const char *pmon_policy_name(void);

/* ---- checksum.c ------------------------------------------------------------ */

int pmon_checksum_init(void);
u32 pmon_checksum_kind(void);
u32 pmon_page_sum(struct page *page);

/* ---- young.c --------------------------------------------------------------- */

/** struct pmon_young - looking at lines of one space; nobody else's business
 * @mapping: the space's
 * @vma: the last line's, or NULL
 * @pmd: its table, or NULL
 * @start, @end: which addresses of @vma are in it
 */
struct pmon_young {
	struct address_space *mapping;
	struct vm_area_struct *vma;
	pmd_t *pmd;
	unsigned long start;
	unsigned long end;
};

void pmon_young_begin(struct pmon_young *young, struct pmon_space *space);
bool pmon_young_test(struct pmon_young *young, struct pmon_line *line);
void pmon_young_end(struct pmon_young *young);

pmd_t *pmon_table_of(struct mm_struct *mm, unsigned long addr);

/* unmap.c */
void pmon_unmap(struct pmon_line **line, unsigned int nr);

/* ---- space.c --------------------------------------------------------------- */

/**
 * struct pmon_space - one managed address space
 * @ref: the mm (until exit_mmap), each transfer, each queued work
 * @mm: identity only, never dereferenced; the mm outlives its hash entry
 * @asid: a name for the log and for traces
 * @file: pseudo file whose mapping all managed VMAs map
 * @lines: see the head of this file; XA_FLAGS_LOCK_BH
 * @regions: number -> struct pmon_region; only grows
 * @moved: maple tree, index -> region, where it is another than @regions says
 * @recent: the region that was looked up last; a hint
 * @backing: maple tree, index -> struct pmon_backing
 * @wiped: maple tree of the ranges that a child gets as zeros
 * @threads: what is known of its threads' accesses (prefetch.c); NULL before the
 *	first miss
 * @ended: the mm is gone
 * @forking: the space that it is being forked from, referenced; NULL: it is complete
 * @forks: children that are being made of it. See pmon_fork_under_way()
 * @move_from, @move_to, @move_len, @move_grow: mremap under way, between
 *	new_move_vma() and the
 *	mremap callback; mmap_lock held for writing
 */
struct pmon_space {
	struct kref ref;
	struct hlist_node hash;
	struct mm_struct *mm;
	struct file *file;
	u64 asid;
	pid_t pid;
	char comm[TASK_COMM_LEN];
	struct pmon_budget *budget;
	struct xarray lines;
	struct xarray regions;
	struct maple_tree moved;
	struct pmon_region *recent;
	struct maple_tree backing;
	struct list_head backings;
	struct maple_tree wiped;
	unsigned long move_from;
	unsigned long move_to;
	unsigned long move_len;
	unsigned long move_grow;
	atomic_long_t resident;
	struct rcu_work free_work;
	struct pmon_threads *threads;
	struct pmon_space *forking;
	atomic_t forks;
	bool ended;
};

extern const struct vm_operations_struct pmon_vm_ops;

bool pmon_file_is_ours(struct file *file);
int pmon_space_init(void);
void pmon_space_exit(void);
bool pmon_mm_managed(struct mm_struct *mm);
struct pmon_space *pmon_space_of(struct mm_struct *mm);
struct pmon_space *pmon_space_create(struct mm_struct *mm,
				     struct pmon_budget *budget);
void pmon_space_get(struct pmon_space *space);
void pmon_space_put(struct pmon_space *space);
void pmon_space_end(struct pmon_space *space);
u64 pmon_asid_next(void);
void pmon_spaces_for_each(int (*fn)(struct pmon_space *space, void *arg),
			  void *arg);

/** pmon_line_entry - what takes a line's place in its space: @entry, or for
 * PMON_ENTRY_STORED what is known of the home's copy.
 * Context: xa_lock of the line's space held.
 */
static inline void *pmon_line_entry(const struct pmon_line *line, void *entry)
{
	lockdep_assert_held(&line->space->lines.xa_lock);
	return entry == PMON_ENTRY_STORED ? pmon_entry_remote(line->copy) : entry;
}

static inline void pmon_region_get(struct pmon_region *region)
{
	pmon_space_get(region->space);
}

static inline void pmon_region_put(struct pmon_region *region)
{
	pmon_space_put(region->space);
}

static inline struct pmon_space *pmon_vma_space(const struct vm_area_struct *vma)
{
	return vma->vm_file->private_data;
}

static inline bool pmon_vma_managed(const struct vm_area_struct *vma)
{
	return vma->vm_ops == &pmon_vm_ops;
}

/* ---- stream.c -------------------------------------------------------------- */

/** enum pmon_whom - who is sent a message */
enum pmon_whom { PMON_TO_ALL, PMON_TO_PRIMARY, PMON_TO_SECONDARIES };

/**
 * struct pmon_message - one message of a region's stream
 * @op: enum mmon_op
 * @whom: who gets it
 * @body, @len: begins with asid and sequence number, which are filled in for each
 * @payload, @nr_payload: pages
 * @reply, @reply_size: room for the body of the primary's answer
 * @child: of a clone: the region that is to have it, whose asid is filled in, too
 * @retry: it was taken out of the log: a refusal is not the end of it
 * @patience_ms: more time than usual for the primary, which waits for others
 */
struct pmon_message {
	u8 op;
	enum pmon_whom whom;
	void *body;
	u32 len;
	const struct lite_sge *payload;
	u32 nr_payload;
	void *reply;
	u32 reply_size;
	struct pmon_region *child;
	bool retry;
	u32 patience_ms;
};

int pmon_stream_home(struct pmon_region *region);
int pmon_stream_open(struct pmon_region *region, struct pmon_holder *holder);
int pmon_stream_call(struct pmon_region *region,
		     const struct pmon_message *message);
int pmon_stream_sync(struct pmon_region *region);
int pmon_stream_sync_killable(struct pmon_region *region);
void pmon_stream_leave(struct pmon_region *region);
void pmon_stream_exit(struct pmon_region *region);

/* ---- grant.c ------------------------------------------------------------------ */

/** struct pmon_reach - where a page of the home can be read or written */
struct pmon_reach {
	u64 addr;
	u32 rkey;
};

/* Do they lie side by side, so that one transfer reaches both? */
static inline bool pmon_reach_follows(const struct pmon_reach *reach,
				      const struct pmon_reach *before)
{
	return reach->rkey == before->rkey &&
	       reach->addr == before->addr + MMON_PAGE_SIZE;
}

void pmon_grants_init(struct pmon_region *region);
void pmon_grants_destroy(struct pmon_region *region);
void pmon_grants_forget(struct pmon_region *region);
bool pmon_grant_any(struct pmon_region *region);
bool pmon_grants_used(struct pmon_region *region);
bool pmon_grant_find(struct pmon_region *region, u32 location,
		     struct pmon_reach *reach);
bool pmon_grant_next(struct pmon_region *region, u32 location, u32 before,
		     struct pmon_reach *reach);
void pmon_grant_revoked(struct pmon_region *region, u32 location, u32 rkey);
void pmon_grant_set(struct pmon_region *region, const struct mmon_grant *wire);
void pmon_grant_withhold(struct pmon_region *region, pgoff_t first, pgoff_t last);
void pmon_grant_forget_places(struct pmon_region *region, pgoff_t first,
			      pgoff_t last);

/* ---- spare.c ----------------------------------------------------------------- */

int pmon_spares_tell(struct pmon_region *region);
bool pmon_spares_prepare(struct pmon_region *region, unsigned int wanted);
u32 pmon_spare_take(struct pmon_region *region);
void pmon_spare_filled(struct pmon_region *region, pgoff_t index, u32 location);
bool pmon_spare_untold(struct pmon_region *region, pgoff_t index);
void pmon_spares_failed(struct pmon_region *region);
void pmon_spares_settled(struct pmon_region *region);
void pmon_spares_forget(struct pmon_region *region);

/* ---- clone.c ----------------------------------------------------------------- */

void pmon_clone_promise(struct pmon_region *parent, struct pmon_region *child,
			pgoff_t first, pgoff_t last);
int pmon_clone_deliver(struct pmon_region *region, const struct pmon_clone *clone);
void pmon_clone_fail(struct pmon_region *region);
int pmon_clone_settle(struct pmon_region *region, bool try);
void pmon_clone_cancel(struct pmon_region *child);
void pmon_clone_end(struct pmon_region *child);
void pmon_clone_parent_ends(struct pmon_region *region);

/* ---- share.c ----------------------------------------------------------------- */

int pmon_share_init(void);
void pmon_share_exit(void);
int pmon_share_add(struct pmon_line *line, struct pmon_space *parent,
		   struct pmon_region *child, pgoff_t index, gfp_t gfp);
bool pmon_share_has(struct pmon_line *line, struct pmon_space *space,
		    pgoff_t index);
bool pmon_share_remote(struct pmon_line *line, struct pmon_space *space);
bool pmon_share_clean(struct pmon_line *line, struct pmon_space *space);
struct pmon_copy pmon_share_copy(struct pmon_line *line, struct pmon_space *space);
bool pmon_share_leave(struct pmon_line *line, struct pmon_space *space);
void pmon_share_move(struct pmon_line *line, struct pmon_space *space,
		     pgoff_t index);

/* ---- fault.c, fetch.c ------------------------------------------------------ */

vm_fault_t pmon_fault(struct vm_fault *vmf);
int pmon_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
		int len, int write);
void pmon_fetch_start(struct pmon_line *line, const struct pmon_reach *reach);
bool pmon_fetch_spin(struct page *page);
bool pmon_fetch_behind(struct pmon_region *region, pgoff_t index);
void pmon_read_ended(struct pmon_line *line, const struct lite_io *io);
void pmon_io_end(struct pmon_line *line, void *failed);

/* ---- prefetch.c ------------------------------------------------------------ */

void pmon_prefetch_init(void);
void pmon_prefetch_set(bool on);
bool pmon_prefetch_enabled(void);
int pmon_prefetch(struct vm_fault *vmf, enum pmon_stride_event event);
int pmon_prefetch_used(struct vm_fault *vmf, struct pmon_line *line);

/* ---- around.c: pages mapped by the fault of a neighbour ------------------------ */

unsigned int pmon_around_touched(struct vm_fault *vmf, int step, unsigned int nr);
void pmon_around_map(struct vm_fault *vmf, int nr);

/* ---- backing.c ------------------------------------------------------------- */

struct pmon_backing {
	struct list_head entry;
	struct file *file;
	long delta;		/* file page = index + delta */
};

void pmon_backing_add(struct pmon_space *space, pgoff_t first, pgoff_t last,
		      struct file *file, pgoff_t file_first);
struct pmon_backing *pmon_backing_find(struct pmon_space *space, pgoff_t index,
				       pgoff_t *first, pgoff_t *last);
void pmon_backing_remove(struct pmon_space *space, pgoff_t first, pgoff_t last);
void pmon_backing_copy(struct pmon_space *to, struct pmon_space *from,
		       pgoff_t first, pgoff_t last, long shift);
void pmon_backing_destroy(struct pmon_space *space);
void pmon_backing_extend(struct pmon_space *space, pgoff_t end, pgoff_t first,
			 pgoff_t last);
int pmon_backing_fill(struct file *file, pgoff_t file_page, struct page *page);

/* ---- flush.c --------------------------------------------------------------- */

#define PMON_FLUSH_MAX	32

/**
 * struct pmon_flush - one batch of dirty lines of one region
 * @line, @sge: what is stored: the lines' pages, or copies of them
 * @sum: of what is stored
 * @err: when sent: 0: stored; or why not
 * @one_sided: it is written to the primary one-sided, and where, @location
 * @spare: it is, into a spare frame
 * @write: one-sided transfers, @nr_writes; @writing of them under way, and @written when
 *	none
 * @body, @reply: of a request for those that are not written one-sided
 *
 * The lines are page-locked and unmapped from pmon_flush_add() until pmon_flush_finish()
 * has returned, and the evictor's have line->io set.
 */
struct pmon_flush {
	struct pmon_region *region;
	unsigned int nr;
	struct pmon_line *line[PMON_FLUSH_MAX];
	struct lite_sge sge[PMON_FLUSH_MAX];
	u32 sum[PMON_FLUSH_MAX];
	int err[PMON_FLUSH_MAX];
	u32 location[PMON_FLUSH_MAX];
	bool one_sided[PMON_FLUSH_MAX];
	bool spare[PMON_FLUSH_MAX];
	struct pmon_write {
		struct lite_io io;
		struct pmon_flush *flush;
	} write[PMON_FLUSH_MAX];
	unsigned int nr_writes;
	atomic_t writing;
	struct completion written;
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page[MMON_FLUSH_MAX];
	} body;
	union {
		struct mmon_flush_reply reply;
		u8 reply_space[MMON_FLUSH_REPLY_MAX];
	};
};

void pmon_flush_add(struct pmon_flush *flush, struct pmon_line *line,
		    struct lite_sge sge, u32 sum);
void pmon_flush_start(struct pmon_flush *flush);
int pmon_flush_finish(struct pmon_flush *flush);
int pmon_flush_send(struct pmon_flush *flush);
void pmon_flush_fail(struct pmon_flush *flush, int err);

/* ---- discard.c ------------------------------------------------------------- */

bool pmon_discard_range(struct pmon_space *space, pgoff_t first, pgoff_t last);
void pmon_discard_lines(struct pmon_space *space);

/* ---- fork.c, remap.c ------------------------------------------------------- */

int pmon_fork_range(struct vm_area_struct *dst, struct vm_area_struct *src);
bool pmon_fork_under_way(struct pmon_space *space);
void pmon_fork_end(struct pmon_space *child);
void pmon_fork_done(struct task_struct *child);
int pmon_fork_init(void);
void pmon_fork_exit(void);
void pmon_remap_range(struct pmon_space *space, pgoff_t from, pgoff_t to,
		      unsigned long nr);
int pmon_mremap(struct vm_area_struct *vma);

struct vm_area_struct *pmon_remap_grow(struct vm_area_struct *vma,
				       unsigned long end, unsigned long new_end,
				       bool move);
void pmon_remap_extend(struct pmon_space *space, pgoff_t end, pgoff_t first,
		       pgoff_t last);

/* ---- advise.c: madvise --------------------------------------------------------- */

typedef int (*pmon_advise_fn)(struct mm_struct *mm, unsigned long start,
			      size_t len_in, int behavior);

int pmon_advise(struct mm_struct *mm, unsigned long start, size_t len_in,
		int behavior, pmon_advise_fn original);

/* ---- wipe.c: MADV_WIPEONFORK ------------------------------------------------- */

void pmon_wipe_set(struct pmon_space *space, pgoff_t first, pgoff_t last);
void pmon_wipe_clear(struct pmon_space *space, pgoff_t first, pgoff_t last);
void pmon_wipe_copy(struct pmon_space *to, struct pmon_space *from,
		    pgoff_t first, pgoff_t last, long shift);
void pmon_wipe_extend(struct pmon_space *space, pgoff_t end, pgoff_t first,
		      pgoff_t last);
bool pmon_wipe_next(struct pmon_space *space, pgoff_t *first, pgoff_t *last);

/* ---- limit.c: RLIMIT_DATA ------------------------------------------------------- */

bool pmon_limit_grow(struct mm_struct *mm, vm_flags_t flags, unsigned long nr);
bool pmon_limit_map(struct mm_struct *mm, vm_flags_t flags, unsigned long start,
		    unsigned long end);
void pmon_limit_account(struct mm_struct *mm, vm_flags_t flags, long nr);
void pmon_limit_unmapped(struct mm_struct *mm, struct maple_tree *detached);

/* ---- lock.c: mlock ------------------------------------------------------------- */

bool pmon_lock_room(struct pmon_space *space, unsigned long nr);
unsigned long pmon_lock_pages(struct mm_struct *mm);
void pmon_lock_range(struct pmon_space *space, pgoff_t first, pgoff_t last,
		     bool lock);
void pmon_lock_line(struct pmon_line *line);
void pmon_unlock_line(struct pmon_line *line);

/* ---- poison.c: memory that fails ------------------------------------------------ */

bool pmon_poison_ours(unsigned long pfn);
int pmon_poison_page(unsigned long pfn, int flags);
void pmon_poison_evict(struct pmon_line *line);

/* ---- protect.c: private file mappings ------------------------------------------- */

bool pmon_manageable(struct file *file, vm_flags_t flags);
bool pmon_protect_wanted(struct vm_area_struct *vma, unsigned long start,
			 unsigned long end, vm_flags_t flags);
int pmon_manage_file(struct pmon_space *space, struct vm_area_struct *vma,
		     unsigned long start, unsigned long end, vm_flags_t flags);

/* ---- stack.c --------------------------------------------------------------- */

struct linux_binprm;

int pmon_stack_init(void);
int pmon_stack_manage(struct linux_binprm *bprm);
int pmon_stack_grow(struct vm_area_struct *vma, unsigned long address);

/* ---- tag.c ----------------------------------------------------------------- */

int pmon_tag_init(void);
void pmon_tag_exit(void);
int pmon_tag_current(struct pmon_budget *budget);
bool pmon_tagged(struct task_struct *task);
struct pmon_budget *pmon_tag_budget(struct task_struct *task);
void pmon_tag_drop_current(void);

/* ---- hook.c, intercept.c ---------------------------------------------------- */

unsigned long pmon_map_managed(struct pmon_space *space, unsigned long addr,
			       unsigned long len, vm_flags_t flags,
			       struct list_head *uf);
int pmon_intercept_init(void);
void pmon_intercept_exit(void);

/* ---- hosts.c, netlink.c ----------------------------------------------------- */

#define PMON_HOSTS_MAX	64	/* memory hosts that are looked at */

int pmon_hosts_init(void);
void pmon_hosts_look_end(void);
void pmon_hosts_exit(void);
u32 pmon_hosts_choose(void);
bool pmon_hosts_any(void);
int pmon_hosts_flagged(u32 flag, u32 *node);
bool pmon_host_draining(u32 node);
extern struct genl_family pmon_family;
int pmon_netlink_init(void);
void pmon_netlink_exit(void);

extern struct workqueue_struct *pmon_wq;
extern struct workqueue_struct *pmon_repair_wq;

#endif /* PMON_INTERNAL_H */
