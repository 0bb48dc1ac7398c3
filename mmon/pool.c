// SPDX-License-Identifier: GPL-2.0
/*
 * The frames of this host: allocated when the module is loaded, given back when
 * it is unloaded, never more and never fewer.
 *
 * Two books are kept. The free lists say which frames are unused, and for whom
 * (chunk.c). The charge says how many distinct frames are in page maps, or are
 * about to be (adopt.c); it is what the capacity limits. Between the two lies
 * the reserve: a flush fills fresh frames before it gives up the old ones, so
 * overwriting pages must work when the capacity is used up. Such a flush
 * charges only what it adds, takes its fresh frames from the reserve, and the
 * frames it replaces go back to it. If the reserve is empty for the moment,
 * because other flushes have it or fetches still read replaced frames, the
 * flush waits: it holds no frames while it does, and what it waits for ends by
 * itself. Free frames of other spaces' chunks are no less free: the flush takes
 * such a chunk from its owner.
 *
 * A fresh frame is overwritten in full before anybody can see it, so frames are
 * not cleared.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "internal.h"

#define TAKE_TIMEOUT	HZ

/**
 * mmon_pool_create - allocate the frames and make them usable for transfers
 * @pool: the pool
 * @capacity: frames that address spaces may use together
 *
 * Context: process. Return: 0 or negative errno; nothing is left on error.
 */
int mmon_pool_create(struct mmon_pool *pool, u32 capacity)
{
	int err;

	memset(pool, 0, sizeof(*pool));
	spin_lock_init(&pool->lock);
	init_waitqueue_head(&pool->wait);
	pool->capacity = capacity;
	pool->total = capacity + MMON_RESERVE;

	pool->frame = kvcalloc(pool->total, sizeof(*pool->frame), MMON_MEMORY_GFP);
	if (!pool->frame)
		return -ENOMEM;
	err = mmon_memory_create(&pool->memory, pool->total + 1);
	if (err)
		goto out_frame;
	clear_page(mmon_memory_data(&pool->memory, pool->total));
	err = mmon_chunks_create(pool);
	if (err)
		goto out_memory;
	return 0;

out_memory:
	mmon_memory_destroy(&pool->memory);
out_frame:
	kvfree(pool->frame);
	pool->frame = NULL;
	return err;
}

static bool all_free(struct mmon_pool *pool)
{
	bool ret;

	spin_lock_bh(&pool->lock);
	ret = pool->nr_free == pool->total;
	spin_unlock_bh(&pool->lock);
	return ret;
}

/**
 * mmon_pool_drain - wait until the network reads no frame any more
 * @pool: the pool
 *
 * All spaces are gone and no request runs: what is still out is held by
 * replies whose sending has not completed.
 */
void mmon_pool_drain(struct mmon_pool *pool)
{
	int i;

	for (i = 0; i < 12; i++) {
		if (wait_event_timeout(pool->wait, all_free(pool), 10 * HZ))
			return;
		pr_warn("replies that still use frames delay the unloading\n");
	}
}

/**
 * mmon_pool_destroy - give the memory back
 * @pool: the pool
 *
 * Frames that did not come back are a defect: it is reported, and the pool's
 * memory is given up rather than given to somebody else.
 */
void mmon_pool_destroy(struct mmon_pool *pool)
{
	if (!all_free(pool) || pool->charged) {
		pr_warn("defect: %u of %u frames did not come back, %u charged\n",
			pool->total - pool->nr_free, pool->total, pool->charged);
		return;
	}
	mmon_chunks_destroy(pool);
	mmon_memory_destroy(&pool->memory);
	kvfree(pool->frame);
	pool->frame = NULL;
}

static bool try_charge(struct mmon_pool *pool, u32 nr)
{
	bool fits;

	spin_lock_bh(&pool->lock);
	fits = nr <= pool->capacity - pool->charged;
	if (fits) {
		pool->charged += nr;
		pool->peak = max(pool->peak, pool->charged);
	}
	spin_unlock_bh(&pool->lock);
	return fits;
}

/** mmon_pool_uncharge - @nr frames left the last page map they were in */
void mmon_pool_uncharge(struct mmon_pool *pool, u32 nr)
{
	spin_lock_bh(&pool->lock);
	pool->charged -= nr;
	spin_unlock_bh(&pool->lock);
}

/*
 * A chunk that is busy is waited for as long as it takes: its frames are free,
 * and what makes it busy ends by itself.
 */
static bool take(struct mmon_pool *pool, struct mmon_chunks *chunks, u32 nr,
		 struct mmon_frame **frames)
{
	long left = TAKE_TIMEOUT;

	while (!mmon_chunks_try_take(pool, chunks, nr, frames)) {
		if (mmon_chunk_revoke(pool, chunks, nr))
			continue;
		if (!left && !mmon_chunks_busy(pool))
			return false;
		left = wait_event_timeout(pool->wait,
					  mmon_chunks_reach(pool, nr),
					  left ?: TAKE_TIMEOUT);
	}
	return true;
}

/* Frames off the free lists get their first reference. */
static void hand_out(struct mmon_frame **frames, u32 nr)
{
	u32 i;

	/*
	 * Who sees the new count also sees that the frame left its former page
	 * map. Pairs with the barrier in mmon_frame_tryget().
	 */
	smp_wmb();
	for (i = 0; i < nr; i++) {
		atomic_set(&frames[i]->maps, 0);
		refcount_set(&frames[i]->ref, 1);
	}
}

/**
 * mmon_pool_take - frames for a flush: all of them or none
 * @pool: the pool
 * @chunks: those of the space, used first; NULL: it has none
 * @nr: frames wanted; each is returned with one reference and in no page map
 * @charge: how many more frames than before will be in page maps, <= @nr
 * @frames: array of @nr
 *
 * Context: process, may sleep for a second. Return: 0 or -ENOSPC.
 */
int mmon_pool_take(struct mmon_pool *pool, struct mmon_chunks *chunks, u32 nr,
		   u32 charge, struct mmon_frame **frames)
{
	if (!try_charge(pool, charge))
		return -ENOSPC;
	if (!take(pool, chunks, nr, frames)) {
		mmon_pool_uncharge(pool, charge);
		return -ENOSPC;
	}
	hand_out(frames, nr);
	return 0;
}

/** mmon_pool_untake - undo mmon_pool_take(): the frames were not used */
void mmon_pool_untake(struct mmon_pool *pool, u32 nr, u32 charge,
		      struct mmon_frame **frames)
{
	u32 i;

	for (i = 0; i < nr; i++)
		mmon_frame_put(pool, frames[i]);
	mmon_pool_uncharge(pool, charge);
}

/* Charge up to @nr frames so that @leave are not charged. Returns how many. */
static u32 charge_spares(struct mmon_pool *pool, u32 nr, u32 leave)
{
	u32 left;

	spin_lock_bh(&pool->lock);
	left = pool->capacity - pool->charged;
	nr = min(nr, left > leave ? left - leave : 0);
	pool->charged += nr;
	pool->spares += nr;
	pool->peak = max(pool->peak, pool->charged);
	spin_unlock_bh(&pool->lock);
	return nr;
}

static void uncharge_spares(struct mmon_pool *pool, u32 nr)
{
	spin_lock_bh(&pool->lock);
	pool->charged -= nr;
	pool->spares -= nr;
	spin_unlock_bh(&pool->lock);
}

/**
 * mmon_pool_take_spares - spare frames for a space: as many as there are
 * @pool: the pool
 * @chunks: the space's, which they are of
 * @nr: how many at most
 * @leave: so many frames of the capacity stay for others
 * @frames: array of @nr; each is returned charged, with one reference and in no
 *	page map
 *
 * Context: any but hard interrupt. Return: how many.
 */
u32 mmon_pool_take_spares(struct mmon_pool *pool, struct mmon_chunks *chunks,
			  u32 nr, u32 leave, struct mmon_frame **frames)
{
	u32 taken, charged = charge_spares(pool, nr, leave);

	taken = mmon_chunks_take_own(pool, chunks, charged, frames);
	uncharge_spares(pool, charged - taken);
	hand_out(frames, taken);
	return taken;
}

/** mmon_pool_untake_spare - a spare frame was not used */
void mmon_pool_untake_spare(struct mmon_pool *pool, struct mmon_frame *frame)
{
	mmon_frame_put(pool, frame);
	uncharge_spares(pool, 1);
}

/** mmon_pool_spares_used - @nr spare frames are in a page map; they stay charged */
void mmon_pool_spares_used(struct mmon_pool *pool, u32 nr)
{
	spin_lock_bh(&pool->lock);
	pool->spares -= nr;
	spin_unlock_bh(&pool->lock);
}

/** mmon_pool_used - frames in page maps, and the most there ever were */
u32 mmon_pool_used(struct mmon_pool *pool, u32 *peak)
{
	u32 used;

	spin_lock_bh(&pool->lock);
	used = pool->charged - pool->spares;
	*peak = pool->peak;
	spin_unlock_bh(&pool->lock);
	return used;
}

/**
 * mmon_frame_tryget - take a reference on a frame found in a page map
 * @frame: the frame
 *
 * The frame may have been freed and taken into use elsewhere meanwhile, so the
 * caller must look again whether the page map still has it.
 */
bool mmon_frame_tryget(struct mmon_frame *frame)
{
	if (!refcount_inc_not_zero(&frame->ref))
		return false;
	/* The second look comes after the count. See mmon_pool_take(). */
	smp_mb__after_atomic();
	return true;
}

/** mmon_frame_put - drop a reference. Context: any but hard interrupt. */
void mmon_frame_put(struct mmon_pool *pool, struct mmon_frame *frame)
{
	if (!refcount_dec_and_test(&frame->ref))
		return;
	mmon_chunk_put_frame(pool, frame);
	mmon_pool_wake(pool);
}

/**
 * mmon_frame_unmap - the frame left one page map
 * @pool: the pool
 * @frame: the frame
 *
 * Return: true: it was the last one; the caller uncharges it.
 */
bool mmon_frame_unmap(struct mmon_pool *pool, struct mmon_frame *frame)
{
	if (!atomic_dec_and_test(&frame->maps))
		return false;
	mmon_frame_put(pool, frame);
	return true;
}

/** mmon_frame_data - the frame's 4096 bytes */
void *mmon_frame_data(struct mmon_pool *pool, const struct mmon_frame *frame)
{
	return mmon_memory_data(&pool->memory, mmon_frame_index(pool, frame));
}

/**
 * mmon_frame_sge - the frame as the source of a transfer
 * @pool: the pool
 * @frame: NULL: the page that is always zero
 * @sge: result
 */
void mmon_frame_sge(struct mmon_pool *pool, const struct mmon_frame *frame,
		    struct lite_sge *sge)
{
	mmon_memory_sge(&pool->memory, frame ? mmon_frame_index(pool, frame) :
			pool->total, sge);
}
