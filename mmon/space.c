// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces: the table of them, their lives, and their page maps.
 *
 * Life of a space. It is created outside the table, filled, and published with
 * its content, so nobody ever sees a half-made one. It ends under its lock: it
 * is marked dead and leaves the table, then its frames go. A request that found
 * it before and gets the lock afterwards meets the mark and starts over. A
 * fetch that runs meanwhile sees vmas or none, frames or none, each of them
 * valid as long as it looks (RCU) or has a reference (frames).
 *
 * Changes of the page map that must not fail half-way reserve their slots
 * first: storing into a slot that holds anything needs no memory.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

#define RESCHED_EVERY	64	/* entries of a page map */

/** mmon_init - an empty monitor; pool and log are created separately */
void mmon_init(struct mmon *m)
{
	memset(m, 0, sizeof(*m));
	xa_init(&m->spaces);
	mmon_log_create(&m->log, 0, NULL);
}

/**
 * mmon_space_create - a space that is not in the table yet
 * @m: the monitor
 * @asid: its number
 * @owner: whose it is
 *
 * Return: with one reference, which is the caller's; NULL without memory.
 */
struct mmon_space *mmon_space_create(struct mmon *m, u64 asid,
				     const struct mmon_owner *owner)
{
	struct mmon_space *space;

	if (atomic_read(&m->nr_spaces) >= MMON_SPACES_MAX)
		return NULL;
	space = kzalloc(sizeof(*space), GFP_KERNEL);
	if (!space)
		return NULL;
	space->asid = asid;
	space->node = owner->node;
	space->incarnation = owner->incarnation;
	kref_init(&space->ref);
	mutex_init(&space->lock);
	xa_init(&space->pages);
	mmon_chunks_init(&space->chunks);
	return space;
}

/**
 * mmon_space_publish - put a new space into the table
 * @m: the monitor
 * @space: the space
 *
 * Return: 0; -EEXIST: another one with this asid was faster; -ENOMEM.
 */
int mmon_space_publish(struct mmon *m, struct mmon_space *space)
{
	int err;

	lockdep_assert_held(&space->lock);
	kref_get(&space->ref);
	err = xa_insert(&m->spaces, space->asid, space, GFP_KERNEL);
	if (err) {
		mmon_space_put(space);
		return err == -EBUSY ? -EEXIST : err;
	}
	atomic_inc(&m->nr_spaces);
	if (space->kind == MMON_REPLICA)
		atomic_inc(&m->nr_replicas);
	return 0;
}

/** mmon_space_get - referenced space of an asid, or NULL */
struct mmon_space *mmon_space_get(struct mmon *m, u64 asid)
{
	struct mmon_space *space;

	rcu_read_lock();
	space = xa_load(&m->spaces, asid);
	if (space && !kref_get_unless_zero(&space->ref))
		space = NULL;
	rcu_read_unlock();
	return space;
}

static void space_release(struct kref *ref)
{
	struct mmon_space *space = container_of(ref, struct mmon_space, ref);

	mutex_destroy(&space->lock);
	kfree_rcu(space, rcu);
}

void mmon_space_put(struct mmon_space *space)
{
	kref_put(&space->ref, space_release);
}

/** mmon_space_owned - does the space belong to who asks? */
bool mmon_space_owned(const struct mmon_space *space,
		      const struct mmon_owner *owner)
{
	return space->node == owner->node &&
	       space->incarnation == owner->incarnation;
}

/**
 * mmon_space_sequence - what is to be done with change number @seq
 * @space: the space
 * @seq: number of the change
 *
 * Return: 0: apply it; 1: it was applied before; -EPROTO: some are missing.
 */
int mmon_space_sequence(struct mmon_space *space, u64 seq)
{
	lockdep_assert_held(&space->lock);
	if (seq <= space->seq)
		return 1;
	return seq - space->seq == 1 ? 0 : -EPROTO;
}

/** mmon_space_vmas - the current vmas, for a holder of the lock */
struct mmon_vmas *mmon_space_vmas(struct mmon_space *space)
{
	return rcu_dereference_protected(space->vmas,
					 lockdep_is_held(&space->lock));
}

/** mmon_space_set_vmas - replace the vmas; the old ones are freed */
void mmon_space_set_vmas(struct mmon_space *space, struct mmon_vmas *vmas)
{
	struct mmon_vmas *old = mmon_space_vmas(space);

	rcu_assign_pointer(space->vmas, vmas);
	if (old)
		kvfree_rcu(old, rcu);
}

/**
 * mmon_space_claim - a chunk of its own for the next frames, if it pays
 * @m: the monitor
 * @space: the space
 * @nr: how many frames it is about to take
 *
 * Small spaces share the common chunks: a chunk of their own would be wasted.
 * Context: process, space->lock held; may sleep.
 */
void mmon_space_claim(struct mmon *m, struct mmon_space *space, u32 nr)
{
	lockdep_assert_held(&space->lock);
	if (space->frames >= MMON_CLAIM_FRAMES &&
	    READ_ONCE(space->chunks.nr_free) < nr)
		mmon_chunk_claim(&m->pool, &space->chunks);
}

/**
 * mmon_space_reserve - make sure that a frame can be stored at @index
 * @space: the space
 * @index: address >> MMON_PAGE_SHIFT
 *
 * Return: 0 or -ENOMEM.
 */
int mmon_space_reserve(struct mmon_space *space, unsigned long index)
{
	lockdep_assert_held(&space->lock);
	if (xa_load(&space->pages, index))
		return 0;
	return xa_err(xa_store(&space->pages, index, MMON_RESERVED, GFP_KERNEL));
}

/**
 * mmon_space_reserve_pages - the same for pages: all of them or none
 * @space: the space
 * @addr: their addresses
 * @nr: how many
 *
 * Return: 0 or -ENOMEM.
 */
int mmon_space_reserve_pages(struct mmon_space *space, const u64 *addr, u32 nr)
{
	unsigned long index;
	int err = 0;
	u32 i, n;

	for (n = 0; !err && n < nr; n++)
		err = mmon_space_reserve(space, addr[n] >> MMON_PAGE_SHIFT);
	for (i = 0; err && i < n; i++) {
		index = addr[i] >> MMON_PAGE_SHIFT;
		mmon_space_unreserve(space, index, index);
	}
	return err;
}

/*
 * An entry has left the page map: its frame or record is given up. Return: how
 * many frames became free, 0 or 1.
 */
static u32 put_entry(struct mmon *m, struct mmon_space *space, void *entry)
{
	struct mmon_record *record = mmon_entry_record(entry);
	struct mmon_frame *frame = mmon_entry_frame(entry);

	if (frame) {
		space->frames--;
		return mmon_frame_unmap(&m->pool, frame);
	}
	if (record) {
		space->records--;
		mmon_record_put(&m->log, record);
	}
	return 0;
}

/**
 * mmon_space_store - a frame takes a page's place, or that of its former frame
 * @m: the monitor
 * @space: the space; the slot is reserved, so this cannot fail
 * @addr: the page's address
 * @frame: in no page map yet
 *
 * Return: how many frames became free, 0 or 1; the caller uncharges them.
 */
u32 mmon_space_store(struct mmon *m, struct mmon_space *space, u64 addr,
		     struct mmon_frame *frame)
{
	void *old;

	lockdep_assert_held(&space->lock);
	atomic_set(&frame->maps, 1);
	old = xa_store(&space->pages, addr >> MMON_PAGE_SHIFT, frame, GFP_KERNEL);
	space->frames++;
	return put_entry(m, space, old);
}

/** mmon_space_store_record - the same with a record of one reference */
u32 mmon_space_store_record(struct mmon *m, struct mmon_space *space, u64 addr,
			    struct mmon_record *record)
{
	void *old;

	lockdep_assert_held(&space->lock);
	old = xa_store(&space->pages, addr >> MMON_PAGE_SHIFT,
		       mmon_record_entry(record), GFP_KERNEL);
	space->records++;
	return put_entry(m, space, old);
}

/** mmon_space_unreserve - give unused reservations in [@first, @last] back */
void mmon_space_unreserve(struct mmon_space *space, unsigned long first,
			  unsigned long last)
{
	unsigned long index;
	u32 n = 0;
	void *entry;

	lockdep_assert_held(&space->lock);
	xa_for_each_range(&space->pages, index, entry, first, last) {
		if (entry == MMON_RESERVED)
			xa_erase(&space->pages, index);
		if (!(++n % RESCHED_EVERY))
			cond_resched();
	}
}

/**
 * mmon_space_drop - free the frames and records of [@first, @last]
 * @m: the monitor
 * @space: the space
 * @first: first index
 * @last: last index
 * @keep: leave the slots reserved
 */
void mmon_space_drop(struct mmon *m, struct mmon_space *space,
		     unsigned long first, unsigned long last, bool keep)
{
	u32 n = 0, freed = 0;
	unsigned long index;
	void *entry;

	lockdep_assert_held(&space->lock);
	xa_for_each_range(&space->pages, index, entry, first, last) {
		if (!mmon_entry_used(entry))
			continue;
		if (keep)
			xa_store(&space->pages, index, MMON_RESERVED, GFP_KERNEL);
		else
			xa_erase(&space->pages, index);
		freed += put_entry(m, space, entry);
		if (!(++n % RESCHED_EVERY)) {
			mmon_pool_uncharge(&m->pool, freed);
			freed = 0;
			cond_resched();
		}
	}
	mmon_pool_uncharge(&m->pool, freed);
}

/** mmon_space_clear - free vmas, frames, records and chunks */
void mmon_space_clear(struct mmon *m, struct mmon_space *space)
{
	lockdep_assert_held(&space->lock);
	mmon_space_set_vmas(space, NULL);
	mmon_space_drop(m, space, 0, ULONG_MAX, false);
	mmon_spares_clear(m, space);
	mmon_chunks_disown(&m->pool, &space->chunks);
	xa_destroy(&space->pages);
}

/**
 * mmon_space_remove - end a space
 * @m: the monitor
 * @space: the space
 *
 * Return: false if somebody else ended it already.
 */
bool mmon_space_remove(struct mmon *m, struct mmon_space *space)
{
	bool alive;

	mutex_lock(&space->lock);
	alive = !space->dead;
	if (alive) {
		space->dead = true;
		xa_erase(&m->spaces, space->asid);
		atomic_dec(&m->nr_spaces);
		if (space->kind == MMON_REPLICA)
			atomic_dec(&m->nr_replicas);
		mmon_space_clear(m, space);
	}
	mutex_unlock(&space->lock);
	if (alive)
		mmon_space_put(space);
	return alive;
}

/**
 * mmon_space_next - the space with the smallest asid from *@asid on
 * @m: the monitor
 * @asid: and result: its asid
 * @node: whose; NULL: anybody's
 *
 * Return: referenced, or NULL.
 */
struct mmon_space *mmon_space_next(struct mmon *m, unsigned long *asid,
				   const u32 *node)
{
	struct mmon_space *space;

	rcu_read_lock();
	xa_for_each_start(&m->spaces, *asid, space, *asid) {
		if ((!node || space->node == *node) &&
		    kref_get_unless_zero(&space->ref))
			break;
	}
	rcu_read_unlock();
	return space;
}

/**
 * mmon_spaces_drop - end all spaces of a node
 * @m: the monitor
 * @node: NULL: of all nodes
 *
 * No request of the node runs. Return: how many there were.
 */
u64 mmon_spaces_drop(struct mmon *m, const u32 *node)
{
	struct mmon_space *space;
	unsigned long asid = 0;
	u64 n = 0;

	while ((space = mmon_space_next(m, &asid, node))) {
		n += mmon_space_remove(m, space);
		mmon_space_put(space);
		cond_resched();
	}
	return n;
}

/* A frame leaves the page map before its count drops. Return: true: found. */
static bool find_frame(struct mmon *m, struct mmon_space *space,
		       unsigned long index, struct mmon_frame *frame)
{
	if (!mmon_frame_tryget(frame))
		return false;
	if (xa_load(&space->pages, index) == frame)
		return true;
	mmon_frame_put(&m->pool, frame);
	return false;
}

/**
 * mmon_space_find - the frame or record of a page
 * @m: the monitor
 * @space: the space
 * @index: address >> MMON_PAGE_SHIFT
 * @pages: result: its bit in @found, and what belongs to it; mmon_pages_put()
 * @i: which of them
 *
 * The caller holds the RCU read lock that it found @space under, or @space->lock.
 * Context: any but hard interrupt.
 */
void mmon_space_find(struct mmon *m, struct mmon_space *space,
		     unsigned long index, struct mmon_pages *pages, u32 i)
{
	struct mmon_record *record;
	bool found, stored = false;
	void *entry;

	/*
	 * A count of zero or another frame at the second look means that the
	 * map has changed: the next look tells how.
	 */
	do {
		entry = xa_load(&space->pages, index);
		if (!mmon_entry_used(entry))
			return;
		record = mmon_entry_record(entry);
		pages->frame[i] = record ? NULL : entry;
		found = record ? mmon_log_pin(&m->log, record, &pages->place[i],
					      &stored) :
				 find_frame(m, space, index, entry);
	} while (!found);
	pages->found |= 1u << i;
	pages->records |= (u32)!!record << i;
	pages->stored |= (u32)stored << i;
}
