// SPDX-License-Identifier: GPL-2.0
/*
 * The worker of the log: it makes room, when few segments are free.
 *
 * A full segment that is mostly dead is compacted: what is alive is appended again,
 * and the segment is free. Otherwise the oldest one goes to the store, if there is
 * one. Without a store, and while somebody waits for room, segments are compacted
 * that are hardly dead, which costs much and yields little; but what else is there.
 * In the store, too, mostly dead segments are compacted, when they are many.
 *
 * Nothing is done while there is room: segments die by themselves meanwhile.
 *
 * There is one worker. It marks the segment that it is at, and takes log->lock for
 * each record, so that appends and fetches go on.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

#define STORED_MIN	4u	/* segments in the store that are not worth a look */

/* The full segment with the fewest live records, if that are at most @limit. */
static struct mmon_segment *find_victim(struct list_head *list, u32 limit)
{
	struct mmon_segment *segment, *best = NULL;

	list_for_each_entry(segment, list, entry) {
		if (segment->damaged || !segment->live || segment->live > limit)
			continue;
		/* Its buffer is free soon, anyway. */
		if (segment->stored && segment->buffer != MMON_NO_BUFFER)
			continue;
		if (!best || segment->live < best->live)
			best = segment;
	}
	return best;
}

/* Is at least three quarters of the store dead? */
static bool store_wasted(const struct mmon_log *log)
{
	return log->nr_stored >= STORED_MIN &&
	       log->stored_live * 4 < (u64)log->nr_stored << MMON_SEGMENT_SHIFT;
}

/* Take the record of a slot and a slot to move it to. Return: 1: it is empty. */
static int begin_move(struct mmon_log *log, struct mmon_place *from,
		      struct mmon_place *to, struct mmon_record **record)
{
	int ret = 0;

	spin_lock_bh(&log->lock);
	*record = from->segment->record[from->slot];
	if (!*record)
		ret = 1;
	else if (!mmon_segments_take(log, 1, 0, to))
		ret = -ENOSPC;
	else
		from->seq = (*record)->seq;
	spin_unlock_bh(&log->lock);
	return ret;
}

/* It may have died while it was copied. */
static void finish_move(struct mmon_log *log, const struct mmon_place *from,
			const struct mmon_place *to,
			struct mmon_record *record, int err)
{
	spin_lock_bh(&log->lock);
	if (err) {
		/* For want of memory it can be tried again. */
		from->segment->damaged |= err != -ENOMEM;
	} else if (from->segment->record[from->slot] == record) {
		mmon_segment_remove_record(log, record);
		mmon_segment_put_record(log, to, record);
	}
	to->segment->filling--;
	mmon_segment_settle(log, to->segment);
	spin_unlock_bh(&log->lock);
}

static int move(struct mmon_log *log, struct mmon_segment *segment, u32 slot)
{
	struct mmon_place from = { .segment = segment, .slot = slot }, to;
	struct mmon_record *record;
	int err;

	err = begin_move(log, &from, &to, &record);
	if (err)
		return min(err, 0);
	err = mmon_log_load(log, &from, mmon_log_header(log, &to),
			    mmon_log_data(log, &to));
	finish_move(log, &from, &to, record, err);
	return err;
}

/* One that can be moved as a whole: what is left half way has used up room for nothing. */
static struct mmon_segment *begin_compact(struct mmon_log *log,
					  struct list_head *list, u32 limit)
{
	struct mmon_segment *segment;

	spin_lock_bh(&log->lock);
	segment = find_victim(list, limit);
	if (segment && !mmon_segments_room(log, segment->live, 0))
		segment = NULL;
	if (segment) {
		segment->busy = true;
		mmon_segments_compact(log, segment);
	}
	spin_unlock_bh(&log->lock);
	return segment;
}

static void finish_compact(struct mmon_log *log, struct mmon_segment *segment)
{
	spin_lock_bh(&log->lock);
	segment->busy = false;
	log->stats.compactions++;
	mmon_segment_settle(log, segment);
	mmon_segments_compact(log, NULL);
	spin_unlock_bh(&log->lock);
}

static bool cannot_go_on(int err)
{
	return err == -ENOSPC || err == -ENOMEM;
}

/* Return: false: there was nothing to be done, or it could not be done. */
static bool compact(struct mmon_log *log, struct list_head *list, u32 limit)
{
	struct mmon_segment *segment = begin_compact(log, list, limit);
	int err = 0;
	u32 slot;

	if (!segment)
		return false;
	for (slot = 0; !cannot_go_on(err) && slot < MMON_SEGMENT_PAGES; slot++) {
		err = move(log, segment, slot);
		cond_resched();
	}
	finish_compact(log, segment);
	return !cannot_go_on(err);
}

/* The oldest one whose buffer can be had. */
static struct mmon_segment *begin_spill(struct mmon_log *log)
{
	struct mmon_segment *segment, *found = NULL;

	spin_lock_bh(&log->lock);
	list_for_each_entry(segment, &log->full, entry) {
		if (segment->live && !(segment->stored && segment->pins)) {
			segment->busy = true;
			found = segment;
			break;
		}
	}
	spin_unlock_bh(&log->lock);
	return found;
}

static int write_segment(struct mmon_log *log, struct mmon_segment *segment)
{
	if (segment->stored)
		return 0;
	return mmon_store_write(log->store, segment->id,
				&log->header[segment->buffer],
				&log->memory.page[segment->buffer <<
						  MMON_SEGMENT_SHIFT]);
}

static void finish_spill(struct mmon_log *log, struct mmon_segment *segment,
			 struct mmon_segment **spare, int err)
{
	spin_lock_bh(&log->lock);
	segment->busy = false;
	if (!err && !segment->stored) {
		segment->stored = true;
		log->stats.written++;
	}
	if (segment->stored && segment->live && !segment->pins) {
		mmon_segment_detach(log, segment, *spare);
		*spare = NULL;
	} else {
		/* Who reads from it settles it again when he leaves. */
		mmon_segment_settle(log, segment);
	}
	spin_unlock_bh(&log->lock);
}

static bool spill(struct mmon_log *log)
{
	struct mmon_segment *segment, *spare;
	int err;

	if (!log->store)
		return false;
	spare = mmon_segment_alloc();	/* gets the buffer */
	if (!spare)
		return false;
	segment = begin_spill(log);
	if (!segment) {
		kvfree(spare);
		return false;
	}
	err = write_segment(log, segment);
	if (err)
		pr_err_ratelimited("segment %llu of the log cannot be stored: error %d\n",
				   segment->id, err);
	finish_spill(log, segment, &spare, err);
	kvfree(spare);
	return !err;
}

/* One that the store can forget. */
static bool drop_gone(struct mmon_log *log)
{
	struct mmon_segment *segment = NULL;

	spin_lock_bh(&log->lock);
	if (!list_empty(&log->gone)) {
		segment = list_first_entry(&log->gone, struct mmon_segment, entry);
		list_del(&segment->entry);
	}
	spin_unlock_bh(&log->lock);
	if (!segment)
		return false;
	log->store->ops->drop(log->store, segment->id);
	if (segment->buffer == MMON_NO_BUFFER) {
		kvfree(segment);
		return true;
	}
	spin_lock_bh(&log->lock);
	mmon_segment_free(log, segment);
	spin_unlock_bh(&log->lock);
	return true;
}

static void look(struct mmon_log *log, bool *few, bool *pressed, bool *wasted)
{
	spin_lock_bh(&log->lock);
	*few = mmon_segments_short(log);
	*pressed = log->waiters;
	*wasted = store_wasted(log);
	spin_unlock_bh(&log->lock);
}

/**
 * mmon_log_maintain - one step of making room
 * @log: the log
 *
 * Context: process, one at a time; may sleep. Return: false: nothing is to be done.
 */
bool mmon_log_maintain(struct mmon_log *log)
{
	bool few, pressed, wasted;

	if (drop_gone(log))
		return true;
	look(log, &few, &pressed, &wasted);
	if (!few)
		return wasted && compact(log, &log->stored,
					 MMON_SEGMENT_PAGES / 4);
	if (compact(log, &log->full, MMON_SEGMENT_PAGES / 2 - 1))
		return true;
	if (spill(log))
		return true;
	return pressed && compact(log, &log->full, MMON_SEGMENT_PAGES * 7 / 8);
}
