// SPDX-License-Identifier: GPL-2.0
/*
 * After a promotion: records become frames, in the background.
 *
 * Nobody waits for it: a page is served from the log until it has a frame, and
 * what the owner stores or discards meanwhile has no record any more when the
 * rebuild comes there. It moves a few pages at a time under the space's lock, so
 * that the owner's requests are not held up, and stops while the pool has no frames.
 *
 * A record that cannot be read stays one: whoever fetches it is told.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/sched.h>

#include "internal.h"

#define BATCH		MMON_FLUSH_MAX	/* pages under one hold of the lock */
#define BATCHES		16		/* before it is another space's turn */

/**
 * mmon_rebuild_kick - the space may have records that are to become frames
 * @m: the monitor
 * @space: the space; its lock is held
 */
void mmon_rebuild_kick(struct mmon *m, struct mmon_space *space)
{
	lockdep_assert_held(&space->lock);
	if (space->kind == MMON_REPLICA || !space->records)
		return;
	space->rebuild_next = 0;
	space->rebuilt = 0;
	if (m->rebuild_kick)
		m->rebuild_kick(m);
}

/* May be asked without the lock, as a hint. */
static bool wanted(const struct mmon_space *space)
{
	return READ_ONCE(space->kind) != MMON_REPLICA &&
	       READ_ONCE(space->records) &&
	       READ_ONCE(space->rebuild_next) != ULONG_MAX;
}

/* The next records, @max at most. */
static u32 collect(struct mmon_space *space, u32 max, unsigned long *indices)
{
	unsigned long index;
	void *entry;
	u32 n = 0;

	xa_for_each_range(&space->pages, index, entry, space->rebuild_next,
			  ULONG_MAX) {
		if (!mmon_entry_record(entry))
			continue;
		indices[n++] = index;
		if (n == max)
			break;
		cond_resched();
	}
	return n;
}

/* Return: 0 or negative errno: the frame was not used. */
static int move(struct mmon *m, struct mmon_space *space, unsigned long index,
		struct mmon_frame *frame)
{
	struct mmon_record *record;
	struct mmon_place place;
	bool stored;
	int err;

	record = mmon_entry_record(xa_load(&space->pages, index));
	if (!record || !mmon_log_pin(&m->log, record, &place, &stored))
		return -ENOENT;
	err = mmon_log_load(&m->log, &place, NULL,
			    mmon_frame_data(&m->pool, frame));
	mmon_log_unpin(&m->log, place.segment);
	if (!err)
		mmon_space_store(m, space, (u64)index << MMON_PAGE_SHIFT, frame);
	return err;
}

/* A pass that moved pages is followed by another: a move may have carried some back. */
static void end_pass(struct mmon_space *space)
{
	space->rebuild_next = space->rebuilt ? 0 : ULONG_MAX;
	space->rebuilt = 0;
}

static int rebuild(struct mmon *m, struct mmon_space *space, u32 max)
{
	struct mmon_frame *frames[BATCH];
	unsigned long indices[BATCH];
	u32 i, n;
	int err;

	lockdep_assert_held(&space->lock);
	n = collect(space, max, indices);
	if (!n) {
		end_pass(space);
		return 0;
	}
	mmon_space_claim(m, space, n);
	err = mmon_pool_take(&m->pool, &space->chunks, n, n, frames);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		if (move(m, space, indices[i], frames[i])) {
			mmon_pool_untake(&m->pool, 1, 1, &frames[i]);
			continue;
		}
		space->rebuilt++;
		mmon_count(m, MMON_C_REBUILT_PAGES, 1);
	}
	space->rebuild_next = indices[n - 1] + 1;
	return 0;
}

/* Return: 0 or -ENOSPC. */
static int rebuild_batch(struct mmon *m, struct mmon_space *space)
{
	int err = 0;

	mutex_lock(&space->lock);
	if (!space->dead && wanted(space)) {
		err = rebuild(m, space, BATCH);
		if (err)
			err = rebuild(m, space, 1);
	}
	mutex_unlock(&space->lock);
	return err;
}

/**
 * mmon_rebuild - some steps for each space that was promoted
 * @m: the monitor
 *
 * Context: process, may sleep. Return: 0: all is done; 1: there is more to do;
 * -ENOSPC: there is more to do, but there are no frames.
 */
int mmon_rebuild(struct mmon *m)
{
	struct mmon_space *space;
	unsigned long asid = 0;
	int ret = 0, err = 0;
	u32 i;

	while ((space = mmon_space_next(m, &asid, NULL))) {
		for (i = 0; !err && i < BATCHES && wanted(space); i++) {
			err = rebuild_batch(m, space);
			cond_resched();
		}
		if (wanted(space))
			ret = 1;
		mmon_space_put(space);
		if (err || !++asid)
			break;
	}
	return err ?: ret;
}
