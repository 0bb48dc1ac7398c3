/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Regions: what a space has in one vRegion, who holds it, and what those have yet to
 * be told. Locks and who owns what: at the head of internal.h.
 */
#ifndef PMON_REGION_H
#define PMON_REGION_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/maple_tree.h>
#include <linux/mutex.h>
#include <linux/seqlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "lite_rpc.h"
#include "mmon_wire.h"

struct maps_message;
struct pmon_region;
struct pmon_space;
struct pmon_spares;

/* ---- changes.c: what the home has yet to be told ----------------------------- */

/**
 * struct pmon_changes - known ranges and the ordered list of changes
 * @lock: protects all of it; short, never across an RPC
 * @known: maple tree, index -> value PENDING (the home must be told before it
 *	is sent a page) or SYNCED. Read locklessly by faults.
 * @pending: number of PENDING stores since the last sync
 * @log: UNMAP, DISCARD, MOVE and clones in order; all of them precede the PENDING ranges
 * @moves: a MOVE is in the log: fetches must wait for a sync
 * @plain_first, @plain_last: a range that is known and has no file behind it:
 *	what first touches of a big mapping ask again and again. Empty when
 *	first > last. Read under @plain_seq, written with @lock held too.
 */
struct pmon_changes {
	struct mutex lock;		/* short: never across an RPC */
	struct maple_tree known;
	unsigned int pending;
	struct list_head log;
	bool moves;
	seqcount_t plain_seq;
	pgoff_t plain_first;
	pgoff_t plain_last;
};

/** struct pmon_clone - [@first, @last] of a region is to appear in @child */
struct pmon_clone {
	struct pmon_region *child;
	pgoff_t first;
	pgoff_t last;
};

void pmon_changes_init(struct pmon_changes *changes);
void pmon_changes_destroy(struct pmon_changes *changes);
void pmon_changes_know(struct pmon_changes *changes, pgoff_t index,
		       pgoff_t *first, pgoff_t *last);
void pmon_changes_unmap(struct pmon_changes *changes, pgoff_t first, pgoff_t last);
void pmon_changes_discard(struct pmon_changes *changes, pgoff_t first,
			  pgoff_t last);
void pmon_changes_move(struct pmon_changes *changes, pgoff_t first, pgoff_t last,
		       pgoff_t to, bool stored);
int pmon_changes_inherit(struct pmon_changes *child, struct pmon_changes *parent,
			 pgoff_t first, pgoff_t last, bool cloned);
int pmon_changes_take(struct pmon_changes *changes, struct mmon_change *out,
		      int max, struct pmon_clone *clone);
bool pmon_changes_clone(struct pmon_changes *changes, struct pmon_region *child,
			pgoff_t first, pgoff_t last);
bool pmon_changes_take_clone(struct pmon_changes *changes,
			     struct pmon_region *child, struct pmon_clone *clone);
bool pmon_changes_have_clones(struct pmon_changes *changes);
bool pmon_changes_told(struct pmon_changes *changes);
int pmon_changes_list(struct pmon_changes *changes, unsigned long *index,
		      struct mmon_change *out, int max);

void pmon_changes_set_plain(struct pmon_changes *changes, pgoff_t first,
			    pgoff_t last);
void pmon_changes_forget_plain(struct pmon_changes *changes);

bool pmon_changes_known(struct pmon_changes *changes, pgoff_t index,
			pgoff_t *first, pgoff_t *last);

/* Is @index in the plain range? Context: mmap_lock, which orders it with unmap. */
static inline bool pmon_changes_plain(struct pmon_changes *changes, pgoff_t index)
{
	unsigned int seq;
	bool plain;

	do {
		seq = read_seqcount_begin(&changes->plain_seq);
		plain = index >= changes->plain_first &&
			index <= changes->plain_last;
	} while (read_seqcount_retry(&changes->plain_seq, seq));
	return plain;
}

/* ---- holder.c: who has a copy of a region ------------------------------------------ */

/* One more than can be wanted: while one takes another's place. */
#define PMON_REPLICAS_MAX	(LITE_PLACE_MAX - 1)
#define PMON_SECONDARIES	(PMON_REPLICAS_MAX + 1)

/**
 * struct pmon_holder - a memory host that has, or had, a copy of a region
 * @entry: region->holders
 * @peer: the host
 * @asid: under which it knows the region
 * @seq: number of the last message that it acknowledged
 * @attached: it has something of the region. Set by the streams of the region
 *	and of the one it is a child of
 * @in_step: a secondary that lacks nothing
 * @promoted: its host keeps frames, no log: it is to be the primary
 * @gone: its host is lost, restarted or has left
 * @leaving: it was told that it is none any more
 * @acked, @sent: of the message under way
 * @call, @done, @body, @exit: the message to a secondary, or the last one to any
 *
 * stream_lock, but for @gone, which is set when a host is lost (region.c), or has missed a
 * clone (clone.c).
 */
struct pmon_holder {
	struct list_head entry;
	struct lite_peer *peer;
	u64 asid;
	u64 seq;
	bool attached;
	bool in_step;
	bool promoted;
	bool gone;
	bool leaving;
	bool acked;
	bool sent;
	struct lite_call call;
	struct completion done;
	u8 *body;
	struct mmon_exit exit;
};

/* ---- region.c: vRegions -------------------------------------------------------- */

/**
 * struct pmon_region - what a space has in one vRegion, and at that one's home
 * @space: whose it is; a region lives as long as its space
 * @number: which vRegion of the address space
 * @asid: a name for the log and for traces
 * @changes: what the home has yet to be told
 * @holders: all that ever held it (holder.c); stream_lock
 * @primary: the home; NULL: not chosen yet. Written under stream_lock.
 * @secondary: who has a copy; stream_lock
 * @seed_at: address from which on a new secondary has yet to be seeded; stream_lock
 * @suspect: a transfer from the primary failed: before it is asked again it is replaced
 * @degraded: as last told (events.c); stream_lock
 * @move_from, @move_to: the primary that it is to leave for that host (balance.c); 0: none
 * @repair: work that brings in new holders (repair.c)
 * @grants: chunk of frames at the home -> how to reach it (grant.c)
 * @granted: the home ever granted anything; stream_lock
 * @spares: spare frames at the home (spare.c), stream_lock; NULL: never had any
 * @origin, @clones, @clone_work: fork's promises, see clone.c
 * @lost: all holders died; any access that needs one gets SIGBUS
 * @message: room for a message of the stream; stream_lock
 */
struct pmon_region {
	struct pmon_space *space;
	unsigned long number;
	u64 asid;
	struct pmon_changes changes;
	struct mutex stream_lock;	/* across RPCs: see the head */
	struct list_head holders;
	struct pmon_holder *primary;
	struct pmon_holder *secondary[PMON_SECONDARIES];
	u64 seed_at;
	bool suspect;
	bool degraded;
	struct pmon_holder *move_from;
	u32 move_to;
	struct delayed_work repair;
	struct xarray grants;
	bool granted;
	struct pmon_spares *spares;
	struct pmon_region *origin;
	atomic_t clones;
	struct work_struct clone_work;
	bool lost;
	struct maps_message *message;
};

int pmon_region_init(void);
struct pmon_region *pmon_region_find(struct pmon_space *space, pgoff_t index,
				     pgoff_t *first, pgoff_t *last);
struct pmon_region *pmon_region_of(struct pmon_space *space, pgoff_t index);
struct pmon_region *pmon_region_next(struct pmon_space *space, pgoff_t *first,
				     pgoff_t last, pgoff_t *end);
struct pmon_region *pmon_region_need(struct pmon_space *space, pgoff_t index,
				     pgoff_t *first, pgoff_t *last);
struct pmon_region *pmon_region_twin(struct pmon_space *child,
				     const struct pmon_region *parent);
void pmon_region_assign(struct pmon_region *region, pgoff_t first, pgoff_t last);
void pmon_region_lose(struct pmon_region *region);
unsigned long pmon_region_pages(struct pmon_region *region);
void pmon_region_forget_places(struct pmon_region *region);
void pmon_regions_unmap(struct pmon_space *space, pgoff_t first, pgoff_t last);
void pmon_regions_discard(struct pmon_space *space, pgoff_t first, pgoff_t last);
void pmon_regions_forget_plain(struct pmon_space *space, pgoff_t first,
			       pgoff_t last);
void pmon_regions_begin(struct pmon_space *space);
void pmon_regions_end(struct pmon_space *space);
void pmon_regions_free(struct pmon_space *space);
void pmon_regions_host_gone(u32 node);

/* NULL until something had to be sent. */
static inline struct pmon_holder *pmon_region_primary(struct pmon_region *region)
{
	/* Pairs with the releases in stream.c and holder.c: the holder is complete. */
	return smp_load_acquire(&region->primary);
}

static inline struct lite_peer *pmon_region_home(struct pmon_region *region)
{
	struct pmon_holder *primary = pmon_region_primary(region);

	return primary ? primary->peer : NULL;
}

static inline bool pmon_region_replicated(const struct pmon_region *region)
{
	return region->secondary[0] || region->secondary[1] ||
	       region->secondary[2];
}

/* ---- holder.c ------------------------------------------------------------------ */

struct pmon_holder *pmon_holder_make(struct pmon_region *region, u32 node);
struct pmon_holder *pmon_holder_at(struct pmon_region *region, u32 node);
unsigned int pmon_holders_in_step(struct pmon_region *region);
unsigned int pmon_holders_list(struct pmon_region *region, u32 *node);
u32 pmon_region_timeout(struct pmon_region *region);
bool pmon_holder_add(struct pmon_region *region, struct pmon_holder *holder);
void pmon_holder_drop(struct pmon_region *region, struct pmon_holder *holder);
void pmon_holder_fail(struct pmon_region *region, struct pmon_holder *holder,
		      int err);
void pmon_holder_retire(struct pmon_holder *holder);
int pmon_holder_ready(struct pmon_holder *holder);
int pmon_holder_promote(struct pmon_region *region, struct pmon_holder *holder);
int pmon_holder_failover(struct pmon_region *region);
bool pmon_holder_suspect(struct pmon_region *region, struct lite_peer *peer);
void pmon_holders_leave(struct pmon_region *region);
void pmon_holders_end(struct pmon_region *region);

/* ---- repair.c ------------------------------------------------------------------ */

void pmon_repair_begin(struct pmon_region *region);
void pmon_repair_soon(struct pmon_region *region);
void pmon_repair_end(struct pmon_region *region);

/* ---- events.c ------------------------------------------------------------------ */

void pmon_event(const char *what, struct pmon_region *region, u32 node);
void pmon_event_copies(struct pmon_region *region, u32 node);

/* ---- balance.c ----------------------------------------------------------------- */

u32 pmon_move_settle(struct pmon_region *region);
void pmon_move_end(struct pmon_region *region, bool moved);
void pmon_balance_init(void);
void pmon_balance_exit(void);

/* Is @holder the primary that the region is leaving? Context: any. */
static inline bool pmon_move_leaves(struct pmon_region *region,
				    const struct pmon_holder *holder)
{
	/* Pairs with begin() in balance.c. */
	return smp_load_acquire(&region->move_to) &&
	       region->move_from == holder;
}

#endif /* PMON_REGION_H */
