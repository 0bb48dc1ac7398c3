// SPDX-License-Identifier: GPL-2.0
/*
 * Chunks: which frames are free, and which of them only one space may take.
 *
 * Why chunks. A space's owner reaches its frames one-sided, which takes a key,
 * and a key covers a range of frames. So the pool is cut into chunks, and a
 * space that has more than a few frames gets chunks of its own: every frame in
 * one is in that space's page map, or spare for it (adopt.c), or free, or was shared with
 * a child by a fork, and a fork's child has the same owner. The key to the chunk (a window)
 * therefore opens nothing that is another's. All other chunks are common: many
 * small spaces share them, and nobody has a key to them.
 *
 * Life of a chunk. Common; then claimed by a space, wholly free: it is cleared,
 * for its frames still hold what others had in them, and gets its window; then
 * owned; then given back when the space ends, or revoked because another space
 * finds no frames. Either way it leaves its owner first, then the window is
 * destroyed, and only then are its free frames common. Frames that are still in
 * page maps (of a revoked space, of an ended space's children) stay there; they
 * become common as they become free. While the window is created or destroyed,
 * which sleeps, the chunk is busy: its frames are nobody's, and nobody else
 * changes its owner.
 *
 * Who may run at once. A space claims chunks under its lock, and is disowned
 * under it. Others revoke at any time. So a space that looks at its chunks
 * without pool->lock may have fewer of them than it saw, never more.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

/* ---- the books --------------------------------------------------------------- */

static struct list_head *list_of(struct mmon_pool *pool,
				 const struct mmon_chunk *chunk)
{
	if (chunk->busy)
		return &pool->busy;
	if (chunk->owner)
		return chunk->nr_free ? &chunk->owner->partial :
					&chunk->owner->full;
	if (!chunk->nr_free)
		return &pool->full;
	return chunk->nr_free == chunk->size ? &pool->whole : &pool->partial;
}

/* Who counts the chunk's free frames besides pool->nr_free. */
static u32 *book_of(struct mmon_pool *pool, const struct mmon_chunk *chunk)
{
	if (chunk->busy)
		return &pool->nr_busy;
	return chunk->owner ? &chunk->owner->nr_free : &pool->nr_common;
}

static void place(struct mmon_pool *pool, struct mmon_chunk *chunk)
{
	struct list_head *list = list_of(pool, chunk);

	lockdep_assert_held(&pool->lock);
	if (list == chunk->list)
		return;
	list_del(&chunk->entry);
	list_add(&chunk->entry, list);
	chunk->list = list;
}

static void set_state(struct mmon_pool *pool, struct mmon_chunk *chunk,
		      struct mmon_chunks *owner, struct lite_window *window,
		      bool busy)
{
	lockdep_assert_held(&pool->lock);
	pool->granted += !!owner - !!chunk->owner;
	*book_of(pool, chunk) -= chunk->nr_free;
	chunk->owner = owner;
	chunk->window = window;
	chunk->busy = busy;
	*book_of(pool, chunk) += chunk->nr_free;
	place(pool, chunk);
}

static void push(struct mmon_pool *pool, struct mmon_chunk *chunk, u32 index)
{
	lockdep_assert_held(&pool->lock);
	pool->frame[index].next = chunk->free_head;
	chunk->free_head = index;
	chunk->nr_free++;
	pool->nr_free++;
	++*book_of(pool, chunk);
	place(pool, chunk);
}

static struct mmon_frame *pop(struct mmon_pool *pool, struct mmon_chunk *chunk)
{
	struct mmon_frame *frame = &pool->frame[chunk->free_head];

	lockdep_assert_held(&pool->lock);
	chunk->free_head = frame->next;
	chunk->nr_free--;
	pool->nr_free--;
	--*book_of(pool, chunk);
	place(pool, chunk);
	return frame;
}

static u32 first_frame(const struct mmon_pool *pool,
		       const struct mmon_chunk *chunk)
{
	return (chunk - pool->chunk) << MMON_CHUNK_SHIFT;
}

static struct mmon_chunk *chunk_of(const struct mmon_pool *pool,
				   const struct mmon_frame *frame)
{
	return &pool->chunk[mmon_frame_index(pool, frame) >> MMON_CHUNK_SHIFT];
}

/* ---- creation ------------------------------------------------------------------ */

/**
 * mmon_chunks_create - cut the pool into chunks, all common and free
 * @pool: the pool
 *
 * Context: process. Return: 0 or -ENOMEM.
 */
int mmon_chunks_create(struct mmon_pool *pool)
{
	struct mmon_chunk *chunk;
	u32 i;

	INIT_LIST_HEAD(&pool->whole);
	INIT_LIST_HEAD(&pool->partial);
	INIT_LIST_HEAD(&pool->full);
	INIT_LIST_HEAD(&pool->busy);
	pool->nr_chunks = DIV_ROUND_UP(pool->total, MMON_CHUNK_FRAMES);
	pool->chunk = kvcalloc(pool->nr_chunks, sizeof(*pool->chunk), GFP_KERNEL);
	if (!pool->chunk)
		return -ENOMEM;
	/* Backwards, so that what is taken comes in ascending order. */
	spin_lock_bh(&pool->lock);
	for (i = pool->nr_chunks; i > 0; i--) {
		chunk = &pool->chunk[i - 1];
		chunk->free_head = pool->total;
		chunk->size = min(pool->total - first_frame(pool, chunk),
				  MMON_CHUNK_FRAMES);
		chunk->list = &pool->full;
		list_add(&chunk->entry, &pool->full);
	}
	for (i = pool->total; i > 0; i--)
		push(pool, chunk_of(pool, &pool->frame[i - 1]), i - 1);
	spin_unlock_bh(&pool->lock);
	return 0;
}

/** mmon_chunks_destroy - all frames are free, no space is left */
void mmon_chunks_destroy(struct mmon_pool *pool)
{
	kvfree(pool->chunk);
	pool->chunk = NULL;
}

/** mmon_chunks_init - a space that has no chunks */
void mmon_chunks_init(struct mmon_chunks *chunks)
{
	INIT_LIST_HEAD(&chunks->partial);
	INIT_LIST_HEAD(&chunks->full);
	chunks->nr_free = 0;
}

/* ---- frames in and out ------------------------------------------------------------ */

/** mmon_chunk_put_frame - the frame is free. Context: any but hard interrupt. */
void mmon_chunk_put_frame(struct mmon_pool *pool, struct mmon_frame *frame)
{
	spin_lock_bh(&pool->lock);
	push(pool, chunk_of(pool, frame), mmon_frame_index(pool, frame));
	spin_unlock_bh(&pool->lock);
}

static struct mmon_chunk *first_on(struct list_head *list)
{
	return list_empty(list) ? NULL :
	       list_first_entry(list, struct mmon_chunk, entry);
}

/* A space's own chunks, then common ones that are broken into already. */
static struct mmon_chunk *best_chunk(struct mmon_pool *pool,
				     struct mmon_chunks *chunks)
{
	struct mmon_chunk *chunk = chunks ? first_on(&chunks->partial) : NULL;

	if (!chunk)
		chunk = first_on(&pool->partial);
	return chunk ?: first_on(&pool->whole);
}

static u32 usable(const struct mmon_pool *pool, const struct mmon_chunks *chunks)
{
	lockdep_assert_held(&pool->lock);
	return pool->nr_common + (chunks ? chunks->nr_free : 0);
}

/**
 * mmon_chunks_try_take - take free frames that the space may have
 * @pool: the pool
 * @chunks: the space's, or NULL
 * @nr: how many
 * @frames: array of @nr
 *
 * Return: false: there are too few, none was taken.
 */
bool mmon_chunks_try_take(struct mmon_pool *pool, struct mmon_chunks *chunks,
			  u32 nr, struct mmon_frame **frames)
{
	bool enough;
	u32 i;

	spin_lock_bh(&pool->lock);
	enough = usable(pool, chunks) >= nr;
	for (i = 0; enough && i < nr; i++)
		frames[i] = pop(pool, best_chunk(pool, chunks));
	spin_unlock_bh(&pool->lock);
	return enough;
}

/**
 * mmon_chunks_take_own - take free frames of the space's own chunks
 * @pool: the pool
 * @chunks: the space's
 * @nr: how many at most
 * @frames: array of @nr
 *
 * Return: how many were taken.
 */
u32 mmon_chunks_take_own(struct mmon_pool *pool, struct mmon_chunks *chunks,
			 u32 nr, struct mmon_frame **frames)
{
	struct mmon_chunk *chunk;
	u32 n = 0;

	spin_lock_bh(&pool->lock);
	while (n < nr && (chunk = first_on(&chunks->partial)))
		frames[n++] = pop(pool, chunk);
	spin_unlock_bh(&pool->lock);
	return n;
}

/** mmon_chunks_reach - are @nr frames free, if need be by revocation? */
bool mmon_chunks_reach(struct mmon_pool *pool, u32 nr)
{
	bool ret;

	spin_lock_bh(&pool->lock);
	ret = pool->nr_free - pool->nr_busy >= nr;
	spin_unlock_bh(&pool->lock);
	return ret;
}

/** mmon_chunks_busy - are there free frames that cannot be had for the moment? */
bool mmon_chunks_busy(struct mmon_pool *pool)
{
	bool ret;

	spin_lock_bh(&pool->lock);
	ret = pool->nr_busy;
	spin_unlock_bh(&pool->lock);
	return ret;
}

/* ---- granting ------------------------------------------------------------------------ */

static struct mmon_chunk *begin_claim(struct mmon_pool *pool)
{
	struct mmon_chunk *chunk;

	spin_lock_bh(&pool->lock);
	chunk = first_on(&pool->whole);
	if (chunk)
		set_state(pool, chunk, NULL, NULL, true);
	spin_unlock_bh(&pool->lock);
	return chunk;
}

/*
 * Nothing that was another's may be seen through the window, and frames shall
 * be taken in ascending order. The chunk is busy and all its frames are free,
 * so nobody else is at them or at the list.
 */
static void clear(struct mmon_pool *pool, struct mmon_chunk *chunk)
{
	u32 first = first_frame(pool, chunk), i;

	for (i = 0; i < chunk->size; i++) {
		clear_page(mmon_frame_data(pool, &pool->frame[first + i]));
		pool->frame[first + i].next = first + i + 1;
		if (!(i % 64))
			cond_resched();
	}
	pool->frame[first + i - 1].next = pool->total;
	chunk->free_head = first;
}

static struct lite_window *open_window(struct mmon_pool *pool,
				       const struct mmon_chunk *chunk)
{
	struct lite_sge sge;

	mmon_frame_sge(pool, &pool->frame[first_frame(pool, chunk)], &sge);
	return lite_window_create(sge.region, sge.page, chunk->size,
				  LITE_REMOTE_READ | LITE_REMOTE_WRITE);
}

/**
 * mmon_chunk_claim - give a wholly free chunk to a space
 * @pool: the pool
 * @chunks: the space's; its lock is held
 *
 * Context: process, may sleep. Return: false: there is none, or no window.
 */
bool mmon_chunk_claim(struct mmon_pool *pool, struct mmon_chunks *chunks)
{
	struct mmon_chunk *chunk = begin_claim(pool);
	struct lite_window *window;
	bool failed;

	if (!chunk)
		return false;
	clear(pool, chunk);
	window = open_window(pool, chunk);
	failed = IS_ERR(window);
	spin_lock_bh(&pool->lock);
	set_state(pool, chunk, failed ? NULL : chunks, failed ? NULL : window,
		  false);
	spin_unlock_bh(&pool->lock);
	mmon_pool_wake(pool);
	return !failed;
}

/* Take a chunk from its owner. Return: the window, to be destroyed. */
static struct lite_window *begin_release(struct mmon_pool *pool,
					 struct mmon_chunk *chunk)
{
	struct lite_window *window = chunk->window;

	set_state(pool, chunk, NULL, NULL, true);
	return window;
}

/* When the window is gone nobody reaches the frames any more. */
static void finish_release(struct mmon_pool *pool, struct mmon_chunk *chunk,
			   struct lite_window *window)
{
	lite_window_destroy(window);
	spin_lock_bh(&pool->lock);
	set_state(pool, chunk, NULL, NULL, false);
	spin_unlock_bh(&pool->lock);
	mmon_pool_wake(pool);
}

/*
 * The chunk whose loss yields most, if @chunks's space needs one. That is rare,
 * so all are looked at.
 */
static struct mmon_chunk *find_victim(struct mmon_pool *pool,
				      const struct mmon_chunks *chunks, u32 nr)
{
	struct mmon_chunk *chunk, *best = NULL;
	u32 i;

	lockdep_assert_held(&pool->lock);
	if (usable(pool, chunks) >= nr || pool->nr_free - pool->nr_busy < nr)
		return NULL;
	for (i = 0; i < pool->nr_chunks; i++) {
		chunk = &pool->chunk[i];
		if (chunk->owner && chunk->owner != chunks && chunk->nr_free &&
		    (!best || chunk->nr_free > best->nr_free))
			best = chunk;
	}
	return best;
}

/**
 * mmon_chunk_revoke - make free frames of another space's chunk common
 * @pool: the pool
 * @chunks: the space's that needs them, or NULL
 * @nr: how many it needs
 *
 * The other space keeps the frames that are in its page map. One-sided
 * transfers of its owner to them are refused from now on.
 *
 * Context: process, may sleep. Return: false: none had to be, or it is no use.
 */
bool mmon_chunk_revoke(struct mmon_pool *pool, const struct mmon_chunks *chunks,
		       u32 nr)
{
	struct lite_window *window = NULL;
	struct mmon_chunk *chunk;

	spin_lock_bh(&pool->lock);
	chunk = find_victim(pool, chunks, nr);
	if (chunk) {
		window = begin_release(pool, chunk);
		pool->revoked++;
	}
	spin_unlock_bh(&pool->lock);
	if (chunk)
		finish_release(pool, chunk, window);
	return chunk;
}

/**
 * mmon_chunks_disown - the space ends: its chunks become common
 * @pool: the pool
 * @chunks: the space's; its lock is held
 *
 * Context: process, may sleep.
 */
void mmon_chunks_disown(struct mmon_pool *pool, struct mmon_chunks *chunks)
{
	struct lite_window *window = NULL;
	struct mmon_chunk *chunk;

	do {
		spin_lock_bh(&pool->lock);
		chunk = first_on(&chunks->partial) ?: first_on(&chunks->full);
		if (chunk)
			window = begin_release(pool, chunk);
		spin_unlock_bh(&pool->lock);
		if (chunk)
			finish_release(pool, chunk, window);
		cond_resched();
	} while (chunk);
}

/* ---- what the owner is told ------------------------------------------------------------ */

/* One grant for each chunk. */
static void add_grant(const struct mmon_pool *pool,
		      const struct mmon_chunk *chunk,
		      struct mmon_grant *grants, u32 *nr)
{
	__le32 number = cpu_to_le32(chunk - pool->chunk);
	struct lite_grant grant;
	u32 i;

	/* Neighbours mostly are of the same chunk: the latest first. */
	for (i = *nr; i > 0; i--)
		if (grants[i - 1].chunk == number)
			return;
	lite_window_grant(chunk->window, &grant);
	grants[(*nr)++] = (struct mmon_grant){
		.chunk = number,
		.rkey = cpu_to_le32(grant.rkey),
		.addr = cpu_to_le64(grant.addr),
	};
}

/**
 * mmon_chunks_locate - say where frames are and how they are reached
 * @pool: the pool
 * @chunks: the space's that has the frames in its page map
 * @frames: NULL: not to be told
 * @nr: of them
 * @location: result, @nr of them: as in struct mmon_flush_reply
 * @grants: result, room for @nr
 * @nr_grants: result: how many
 */
void mmon_chunks_locate(struct mmon_pool *pool, const struct mmon_chunks *chunks,
			struct mmon_frame * const *frames, u32 nr,
			__le32 *location, struct mmon_grant *grants,
			__le32 *nr_grants)
{
	struct mmon_chunk *chunk;
	u32 i, granted = 0;

	spin_lock_bh(&pool->lock);
	for (i = 0; i < nr; i++) {
		location[i] = 0;
		chunk = frames[i] ? chunk_of(pool, frames[i]) : NULL;
		if (!chunk || chunk->owner != chunks)
			continue;
		location[i] = cpu_to_le32(1 + mmon_frame_index(pool, frames[i]));
		add_grant(pool, chunk, grants, &granted);
	}
	spin_unlock_bh(&pool->lock);
	*nr_grants = cpu_to_le32(granted);
}

/** mmon_chunks_read - how many are granted, and were revoked so far */
void mmon_chunks_read(struct mmon_pool *pool, u32 *granted, u64 *revoked)
{
	spin_lock_bh(&pool->lock);
	*granted = pool->granted;
	*revoked = pool->revoked;
	spin_unlock_bh(&pool->lock);
}
