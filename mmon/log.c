// SPDX-License-Identifier: GPL-2.0
/*
 * The log of replicas: pages that are here only for the case that another host is
 * lost.
 *
 * Why a log. A replica's pages are written often and read hardly ever. Appending
 * them needs no frame of the pool, and leaves them in the order in which they came,
 * in segments that can be written elsewhere as a whole. All replicas of this host
 * share one log in a fixed amount of memory.
 *
 * A page map has a record in the place of a frame, and the record says where it lies.
 * Compaction and the store change only that. A record ends when the last page
 * map that has it gives it up.
 *
 * Room. One free segment is left to compaction, which needs it to make more
 * (compact.c). An append that finds no room waits for the worker, a second at
 * most, and is refused then.
 *
 * Who may run at once. Appends run under the lock of a space and copy into slots that
 * they have taken. Readers pin the segment that a record lies in: it keeps its buffer
 * until they are done, so that replies are sent straight from it. A reader in
 * softirq context finds the record under RCU and pins it unless it has no
 * reference any more; records are not used again within a grace period, so what is
 * found alive is what the page map had.
 */
#include <linux/bitops.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

#define TAKE_TIMEOUT	HZ
#define LEFT_FREE	1u	/* for compaction */

/* ---- life ------------------------------------------------------------------- */

static void free_segments(struct list_head *list)
{
	struct mmon_segment *segment, *next;

	list_for_each_entry_safe(segment, next, list, entry) {
		list_del(&segment->entry);
		kvfree(segment);
	}
}

static int create_segments(struct mmon_log *log)
{
	struct mmon_segment *segment;
	u32 i;

	for (i = log->nr_segments; i > 0; i--) {
		segment = mmon_segment_alloc();
		if (!segment)
			return -ENOMEM;
		segment->buffer = i - 1;
		spin_lock_bh(&log->lock);
		mmon_segment_free(log, segment);
		spin_unlock_bh(&log->lock);
	}
	return 0;
}

static void init(struct mmon_log *log)
{
	memset(log, 0, sizeof(*log));
	spin_lock_init(&log->lock);
	init_waitqueue_head(&log->wait);
	INIT_LIST_HEAD(&log->free);
	INIT_LIST_HEAD(&log->full);
	INIT_LIST_HEAD(&log->stored);
	INIT_LIST_HEAD(&log->gone);
}

/**
 * mmon_log_create - allocate the log
 * @log: the log
 * @nr_segments: that it may have in memory; 0: no log, else MMON_SEGMENTS_MIN or more
 * @store: where full ones go, or NULL; the caller's if this fails
 *
 * Context: process. Return: 0 or negative errno; nothing is left on error.
 */
int mmon_log_create(struct mmon_log *log, u32 nr_segments,
		    struct mmon_store *store)
{
	u32 pages = nr_segments << MMON_SEGMENT_SHIFT;
	int err;

	init(log);
	if (!nr_segments)
		return 0;
	log->nr_segments = nr_segments;
	log->nr_bounces = store ? MMON_BOUNCES : 0;
	log->header = kvcalloc(nr_segments, sizeof(*log->header), MMON_MEMORY_GFP);
	err = log->header ? 0 : -ENOMEM;
	if (!err)
		err = mmon_memory_create(&log->memory,
					 pages + log->nr_bounces *
					 MMON_BOUNCE_PAGES);
	if (err)
		goto out_header;
	err = create_segments(log);
	if (err)
		goto out_segments;
	log->store = store;
	return 0;

out_segments:
	free_segments(&log->free);
	mmon_memory_destroy(&log->memory);
out_header:
	kvfree(log->header);
	init(log);
	return err;
}

static bool idle(struct mmon_log *log)
{
	bool ret;

	spin_lock_bh(&log->lock);
	ret = list_empty(&log->full) && list_empty(&log->stored) &&
	      !log->bounces && !(log->open && log->open->pins);
	spin_unlock_bh(&log->lock);
	return ret;
}

/**
 * mmon_log_drain - wait until the network reads no record any more
 * @log: the log
 *
 * All spaces are gone and no request runs.
 */
void mmon_log_drain(struct mmon_log *log)
{
	int i;

	for (i = 0; log->nr_segments && i < 12; i++) {
		if (wait_event_timeout(log->wait, idle(log), 10 * HZ))
			return;
		pr_warn("replies that still use the log delay the unloading\n");
	}
}

/**
 * mmon_log_destroy - give the memory back
 * @log: the log, drained; the worker is stopped
 *
 * Records that are left are a defect: it is reported, and their memory is given up
 * rather than given to somebody else.
 */
void mmon_log_destroy(struct mmon_log *log)
{
	if (!log->nr_segments)
		return;
	if (log->stats.records || !idle(log)) {
		pr_warn("defect: %llu records of replicas did not come back\n",
			log->stats.records);
		return;
	}
	free_segments(&log->free);
	free_segments(&log->gone);
	kvfree(log->open);
	if (log->store)
		log->store->ops->destroy(log->store);
	mmon_memory_destroy(&log->memory);
	kvfree(log->header);
	init(log);
}

/** mmon_log_read_stats - how it stands */
void mmon_log_read_stats(struct mmon_log *log, struct mmon_log_stats *stats)
{
	spin_lock_bh(&log->lock);
	*stats = log->stats;
	stats->segments = log->nr_segments;
	stats->segments_free = log->nr_free;
	stats->segments_stored = log->nr_stored;
	spin_unlock_bh(&log->lock);
}

/** mmon_log_kick - the worker has something to do. Context: any. */
void mmon_log_kick(struct mmon_log *log)
{
	void (*kick)(struct mmon_log *log) = READ_ONCE(log->kick);

	if (kick)
		kick(log);
}

/* ---- appending ---------------------------------------------------------------- */

static bool try_take(struct mmon_log *log, u32 nr, struct mmon_place *places)
{
	bool taken;

	spin_lock_bh(&log->lock);
	taken = mmon_segments_take(log, nr, LEFT_FREE, places);
	if (mmon_segments_short(log))
		mmon_log_kick(log);
	spin_unlock_bh(&log->lock);
	return taken;
}

static bool has_room(struct mmon_log *log, u32 nr)
{
	bool room;

	spin_lock_bh(&log->lock);
	room = mmon_segments_room(log, nr, LEFT_FREE);
	spin_unlock_bh(&log->lock);
	return room;
}

static void count_waiter(struct mmon_log *log, int n)
{
	spin_lock_bh(&log->lock);
	log->waiters += n;
	log->stats.waits += n > 0;
	spin_unlock_bh(&log->lock);
}

/**
 * mmon_log_take - slots for an append: all of them or none
 * @log: the log
 * @nr: how many
 * @places: result
 *
 * Context: process, may sleep for a second. Return: 0 or -ENOSPC.
 */
int mmon_log_take(struct mmon_log *log, u32 nr, struct mmon_place *places)
{
	bool taken = try_take(log, nr, places);
	long left = TAKE_TIMEOUT;

	if (taken)
		return 0;
	count_waiter(log, 1);
	mmon_log_kick(log);
	while (!taken && left) {
		left = wait_event_timeout(log->wait, has_room(log, nr), left);
		taken = try_take(log, nr, places);
	}
	count_waiter(log, -1);
	if (taken)
		return 0;
	pr_warn_ratelimited("the log of replicas is full\n");
	return -ENOSPC;
}

/** mmon_log_untake - undo mmon_log_take(): the slots stay empty */
void mmon_log_untake(struct mmon_log *log, u32 nr, const struct mmon_place *places)
{
	u32 i;

	spin_lock_bh(&log->lock);
	for (i = 0; i < nr; i++) {
		places[i].segment->filling--;
		mmon_segment_settle(log, places[i].segment);
	}
	spin_unlock_bh(&log->lock);
}

/** mmon_records_alloc - all of them or none. Return: 0 or -ENOMEM. */
int mmon_records_alloc(u32 nr, struct mmon_record **records)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		records[i] = kmalloc(sizeof(*records[i]), GFP_KERNEL);
		if (!records[i])
			break;
	}
	if (i == nr)
		return 0;
	while (i)
		kfree(records[--i]);
	return -ENOMEM;
}

/**
 * mmon_log_commit - what was copied into slots becomes records
 * @log: the log
 * @nr: how many
 * @places: from mmon_log_take(), filled
 * @headers: of each, but for the number
 * @records: of each, from mmon_records_alloc(); with one reference afterwards
 */
void mmon_log_commit(struct mmon_log *log, u32 nr, const struct mmon_place *places,
		     const struct mmon_record_header *headers,
		     struct mmon_record **records)
{
	struct mmon_record_header *header;
	u32 i;

	spin_lock_bh(&log->lock);
	for (i = 0; i < nr; i++) {
		records[i]->refs = 1;
		records[i]->seq = ++log->last_seq;
		header = mmon_log_header(log, &places[i]);
		*header = headers[i];
		header->seq = cpu_to_le64(log->last_seq);
		mmon_segment_put_record(log, &places[i], records[i]);
		places[i].segment->filling--;
		mmon_segment_settle(log, places[i].segment);
	}
	log->stats.records += nr;
	log->stats.appends += nr;
	spin_unlock_bh(&log->lock);
}

/** mmon_record_get - one more page map has it; the caller's has it already */
void mmon_record_get(struct mmon_log *log, struct mmon_record *record)
{
	spin_lock_bh(&log->lock);
	record->refs++;
	spin_unlock_bh(&log->lock);
}

/** mmon_record_put - it left a page map */
void mmon_record_put(struct mmon_log *log, struct mmon_record *record)
{
	bool last;

	spin_lock_bh(&log->lock);
	last = !--record->refs;
	if (last) {
		mmon_segment_remove_record(log, record);
		log->stats.records--;
	}
	spin_unlock_bh(&log->lock);
	if (last)
		kfree_rcu(record, rcu);
}

/* ---- reading -------------------------------------------------------------------- */

/**
 * mmon_log_pin - keep what a record has where it is
 * @log: the log
 * @record: found in a page map, under RCU or the space's lock
 * @place: result: where it lies; stays so until mmon_log_unpin()
 * @stored: result: the store has it alone
 *
 * Context: any but hard interrupt. Return: false: it has left the page map.
 */
bool mmon_log_pin(struct mmon_log *log, struct mmon_record *record,
		  struct mmon_place *place, bool *stored)
{
	bool alive;

	spin_lock_bh(&log->lock);
	alive = record->refs;
	if (alive) {
		place->segment = record->segment;
		place->slot = record->slot;
		place->seq = record->seq;
		*stored = record->segment->buffer == MMON_NO_BUFFER;
		record->segment->pins++;
	}
	spin_unlock_bh(&log->lock);
	return alive;
}

/** mmon_log_unpin - undo one mmon_log_pin(). Context: any but hard interrupt. */
void mmon_log_unpin(struct mmon_log *log, struct mmon_segment *segment)
{
	spin_lock_bh(&log->lock);
	segment->pins--;
	mmon_segment_settle(log, segment);
	spin_unlock_bh(&log->lock);
	/* Somebody may wait for the last one: mmon_log_drain(). */
	if (wq_has_sleeper(&log->wait))
		wake_up_all(&log->wait);
}

static u32 page_of(const struct mmon_place *place)
{
	return (place->segment->buffer << MMON_SEGMENT_SHIFT) + place->slot;
}

/** mmon_log_data - the 4096 bytes of a slot of a segment that is in memory */
void *mmon_log_data(const struct mmon_log *log, const struct mmon_place *place)
{
	return mmon_memory_data(&log->memory, page_of(place));
}

/** mmon_log_header - and its header */
struct mmon_record_header *mmon_log_header(const struct mmon_log *log,
					   const struct mmon_place *place)
{
	return &log->header[place->segment->buffer].record[place->slot];
}

/** mmon_log_sge - a slot of a segment that is in memory as the source of a transfer */
void mmon_log_sge(const struct mmon_log *log, const struct mmon_place *place,
		  struct lite_sge *sge)
{
	mmon_memory_sge(&log->memory, page_of(place), sge);
}

/**
 * mmon_log_load - copy a record
 * @log: the log
 * @place: where it lies; pinned, or the worker is at its segment
 * @header: result: its header; may be NULL
 * @data: result: 4096 bytes
 *
 * Context: process, may sleep. Return: 0; -EIO: the store does not have it as it
 * was; what else the store says; -ENOMEM.
 */
int mmon_log_load(struct mmon_log *log, const struct mmon_place *place,
		  struct mmon_record_header *header, void *data)
{
	if (place->segment->buffer != MMON_NO_BUFFER) {
		memcpy(data, mmon_log_data(log, place), MMON_PAGE_SIZE);
		if (header)
			*header = *mmon_log_header(log, place);
		return 0;
	}
	spin_lock_bh(&log->lock);
	log->stats.loads++;
	spin_unlock_bh(&log->lock);
	return mmon_store_read(log->store, place->segment->id, place->slot,
			       place->seq, header, data);
}

/* ---- bounce pages ------------------------------------------------------------------ */

static bool try_bounce(struct mmon_log *log, u32 *bounce)
{
	bool found = false;
	u32 i;

	spin_lock_bh(&log->lock);
	for (i = 0; !found && i < log->nr_bounces; i++) {
		found = !(log->bounces & BIT(i));
		if (found) {
			log->bounces |= BIT(i);
			*bounce = i;
		}
	}
	spin_unlock_bh(&log->lock);
	return found;
}

/**
 * mmon_bounce_take - MMON_BOUNCE_PAGES pages to read from the store into
 * @log: with a store
 *
 * Context: process; waits for others to be sent. Return: the set's number.
 */
u32 mmon_bounce_take(struct mmon_log *log)
{
	u32 bounce;

	while (!try_bounce(log, &bounce))
		wait_event_timeout(log->wait, READ_ONCE(log->bounces) !=
				   BIT(log->nr_bounces) - 1, HZ);
	return bounce;
}

/** mmon_bounce_put - undo mmon_bounce_take(). Context: any but hard interrupt. */
void mmon_bounce_put(struct mmon_log *log, u32 bounce)
{
	spin_lock_bh(&log->lock);
	log->bounces &= ~BIT(bounce);
	spin_unlock_bh(&log->lock);
	if (wq_has_sleeper(&log->wait))
		wake_up_all(&log->wait);
}

/** mmon_bounce_page - the index in log->memory of page @i of a set */
u32 mmon_bounce_page(const struct mmon_log *log, u32 bounce, u32 i)
{
	return (log->nr_segments << MMON_SEGMENT_SHIFT) +
	       bounce * MMON_BOUNCE_PAGES + i;
}
