// SPDX-License-Identifier: GPL-2.0
/*
 * Segments of the log of replicas, and their lives.
 *
 * Free; then filled, slot by slot, by whoever appends; full, when the last slot is
 * filled. A full segment is freed as soon as it has no live record and nobody reads
 * from it. If the worker has written it to the store first, it gives its buffer
 * to another segment and lives on there without, until its last record dies;
 * then it is gone, and the worker tells the store.
 *
 * A slot is used once in such a life. Its content is written by one who has taken
 * it, without the lock, before anybody can see it, and does not change until
 * the segment is free again.
 */
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/** mmon_segment_alloc - a segment without a buffer, on no list. Return: or NULL. */
struct mmon_segment *mmon_segment_alloc(void)
{
	struct mmon_segment *segment;

	segment = kvzalloc(sizeof(*segment), GFP_KERNEL | __GFP_NOWARN);
	if (segment)
		segment->buffer = MMON_NO_BUFFER;
	return segment;
}

/* Who waits has another look, under the lock. */
static void wake(struct mmon_log *log)
{
	if (wq_has_sleeper(&log->wait))
		wake_up_all(&log->wait);
}

/** mmon_segment_free - a segment with a buffer, on no list, can be filled again */
void mmon_segment_free(struct mmon_log *log, struct mmon_segment *segment)
{
	lockdep_assert_held(&log->lock);
	segment->state = MMON_SEG_FREE;
	segment->used = 0;
	segment->stored = false;
	segment->damaged = false;
	list_add(&segment->entry, &log->free);
	log->nr_free++;
	wake(log);
}

/* Nothing in it is live, nobody reads from it. */
static void end(struct mmon_log *log, struct mmon_segment *segment)
{
	list_del(&segment->entry);
	log->nr_stored -= segment->state == MMON_SEG_STORED;
	if (!segment->stored) {
		mmon_segment_free(log, segment);
		return;
	}
	segment->state = MMON_SEG_GONE;
	list_add_tail(&segment->entry, &log->gone);
	mmon_log_kick(log);
	wake(log);
}

/**
 * mmon_segment_settle - put the segment where it now belongs
 * @log: the log
 * @segment: slots of it were filled, or records, readers or the worker have left it
 */
void mmon_segment_settle(struct mmon_log *log, struct mmon_segment *segment)
{
	lockdep_assert_held(&log->lock);
	if (segment->state == MMON_SEG_FILLING) {
		if (segment->used < MMON_SEGMENT_PAGES || segment->filling)
			return;
		segment->state = MMON_SEG_FULL;
		list_add_tail(&segment->entry, &log->full);
	}
	if (segment->busy || segment->pins)
		return;
	if (!segment->live && (segment->state == MMON_SEG_FULL ||
			       segment->state == MMON_SEG_STORED))
		end(log, segment);
	else if (segment->stored && segment->state == MMON_SEG_FULL)
		mmon_log_kick(log);	/* it can give up its buffer now */
}

/**
 * mmon_segment_detach - the segment lives on in the store alone
 * @log: the log
 * @segment: full, stored, and nobody reads from it
 * @spare: gets its buffer, and is free
 */
void mmon_segment_detach(struct mmon_log *log, struct mmon_segment *segment,
			 struct mmon_segment *spare)
{
	lockdep_assert_held(&log->lock);
	list_del(&segment->entry);
	segment->state = MMON_SEG_STORED;
	list_add_tail(&segment->entry, &log->stored);
	log->nr_stored++;
	log->stored_live += segment->live;
	spare->buffer = segment->buffer;
	segment->buffer = MMON_NO_BUFFER;
	mmon_segment_free(log, spare);
}

/**
 * mmon_segments_compact - what lives in @victim is moved from now on
 * @log: the log
 * @victim: until it has been moved others do not get the room for it; NULL: it has been,
 *	or does not have to be any more
 */
void mmon_segments_compact(struct mmon_log *log, struct mmon_segment *victim)
{
	lockdep_assert_held(&log->lock);
	log->victim = victim;
	if (!victim)
		wake(log);
}

/**
 * mmon_segments_room - are there so many slots?
 * @log: the log
 * @nr: how many are wanted
 * @leave: free segments that stay for others
 *
 * Who leaves some leaves the room for what is being compacted as well: compaction may have
 * opened the last free segment for it.
 */
bool mmon_segments_room(struct mmon_log *log, u32 nr, u32 leave)
{
	u64 room = 0, wanted = nr;

	lockdep_assert_held(&log->lock);
	if (log->open)
		room = MMON_SEGMENT_PAGES - log->open->used;
	if (log->nr_free > leave)
		room += (u64)(log->nr_free - leave) << MMON_SEGMENT_SHIFT;
	if (leave && log->victim)
		wanted += log->victim->live;
	return room >= wanted;
}

static struct mmon_segment *open_segment(struct mmon_log *log)
{
	struct mmon_segment *segment = log->open;

	if (segment)
		return segment;
	segment = list_first_entry(&log->free, struct mmon_segment, entry);
	list_del(&segment->entry);
	log->nr_free--;
	segment->state = MMON_SEG_FILLING;
	segment->id = ++log->last_id;
	memset(&log->header[segment->buffer], 0, sizeof(log->header[0]));
	log->open = segment;
	return segment;
}

/**
 * mmon_segments_take - slots to be filled: all of them or none
 * @log: the log
 * @nr: how many
 * @leave: free segments that stay for others
 * @places: result
 *
 * Return: false: there are too few.
 */
bool mmon_segments_take(struct mmon_log *log, u32 nr, u32 leave,
			struct mmon_place *places)
{
	struct mmon_segment *segment;
	u32 i;

	lockdep_assert_held(&log->lock);
	if (!mmon_segments_room(log, nr, leave))
		return false;
	for (i = 0; i < nr; i++) {
		segment = open_segment(log);
		places[i].segment = segment;
		places[i].slot = segment->used++;
		segment->filling++;
		if (segment->used == MMON_SEGMENT_PAGES)
			log->open = NULL;
	}
	return true;
}

/** mmon_segment_put_record - the record lies in a slot from now on */
void mmon_segment_put_record(struct mmon_log *log, const struct mmon_place *place,
			     struct mmon_record *record)
{
	struct mmon_segment *segment = place->segment;

	lockdep_assert_held(&log->lock);
	record->segment = segment;
	record->slot = place->slot;
	segment->record[place->slot] = record;
	segment->live++;
}

/** mmon_segment_remove_record - and now no more; the segment may be gone by then */
void mmon_segment_remove_record(struct mmon_log *log,
				const struct mmon_record *record)
{
	struct mmon_segment *segment = record->segment;

	lockdep_assert_held(&log->lock);
	segment->record[record->slot] = NULL;
	segment->live--;
	log->stored_live -= segment->state == MMON_SEG_STORED;
	mmon_segment_settle(log, segment);
}

/** mmon_segments_short - shall the worker make room? */
bool mmon_segments_short(const struct mmon_log *log)
{
	return log->nr_free <= max(2u, log->nr_segments / 8);
}
