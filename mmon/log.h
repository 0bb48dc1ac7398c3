/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The log of replicas: what is appended, where it lies, where it goes when memory
 * gets short. See log.c.
 */
#ifndef MMON_LOG_H
#define MMON_LOG_H

#include <linux/list.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "lite_rpc.h"
#include "mmon_wire.h"

#ifndef MMON_SEGMENT_SHIFT	/* unit tests want a small log to have many */
#define MMON_SEGMENT_SHIFT	7	/* pages in a segment: 128 */
#endif
#define MMON_SEGMENT_PAGES	((u32)BIT(MMON_SEGMENT_SHIFT))
#define MMON_SEGMENTS_MIN	3u	/* one filled, one for compaction, one full */
#define MMON_NO_BUFFER		U32_MAX
#define MMON_BOUNCES		8u	/* sets of pages that are read from the store */
#define MMON_BOUNCE_PAGES	16u

/* ---- memory.c --------------------------------------------------------------- */

/* Fail rather than have processes killed for the memory that others use. */
#define MMON_MEMORY_GFP	(GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL)

/**
 * struct mmon_memory - pages that take part in transfers
 * @page: all of them
 * @region: they, MMON_REGION_FRAMES in each but the last
 * @nr: pages
 * @nr_regions: regions
 *
 * Set when created.
 */
struct mmon_memory {
	struct page **page;
	struct lite_region **region;
	u32 nr;
	u32 nr_regions;
};

int mmon_memory_create(struct mmon_memory *memory, u32 nr);
void mmon_memory_destroy(struct mmon_memory *memory);
void *mmon_memory_data(const struct mmon_memory *memory, u32 index);
void mmon_memory_sge(const struct mmon_memory *memory, u32 index,
		     struct lite_sge *sge);

/* ---- store.c ------------------------------------------------------------------ */

/**
 * struct mmon_record_header - what is known of a record's content
 * @asid, @addr: of the page when it was appended; a clone or a move since then
 *	does not show
 * @seq: number of the record in the log
 * @length: bytes, MMON_PAGE_SIZE
 * @checksum, @sum: enum mmon_checksum, and that checksum of the content
 */
struct mmon_record_header {
	__le64 asid;
	__le64 addr;
	__le64 seq;
	__le32 length;
	__le32 checksum;
	__le32 sum;
	__le32 reserved;
};

static_assert(sizeof(struct mmon_record_header) == 40);

#define MMON_SEGMENT_MAGIC	0x676573676f6c6d6dull	/* "mmlogseg" */

/**
 * struct mmon_segment_header - stands before the pages of a segment in the store
 * @id: number of the segment
 * @sum: crc32c of the header, with 0 here
 * @record: of each page; all zero where there never was one. Some may be dead
 */
struct mmon_segment_header {
	__le64 magic;
	__le64 id;
	__le32 nr;
	__le32 sum;
	struct mmon_record_header record[MMON_SEGMENT_PAGES];
};

struct mmon_store;

/**
 * struct mmon_store_ops - where full segments go; all may sleep
 * @write: keep a segment of MMON_SEGMENT_PAGES pages
 * @read: the header of a segment and one of its pages, unchecked
 * @drop: forget a segment that was written
 * @destroy: forget all and free @store
 *
 * @write and @drop come from one worker, @read from several at once, but never of
 * a segment that is being dropped. All return 0 or a negative errno.
 */
struct mmon_store_ops {
	int (*write)(struct mmon_store *store, u64 id,
		     const struct mmon_segment_header *header,
		     struct page **pages);
	int (*read)(struct mmon_store *store, u64 id, u32 slot,
		    struct mmon_segment_header *header, void *page);
	void (*drop)(struct mmon_store *store, u64 id);
	void (*destroy)(struct mmon_store *store);
};

/** struct mmon_store - one of them */
struct mmon_store {
	const struct mmon_store_ops *ops;
};

int mmon_store_write(struct mmon_store *store, u64 id,
		     struct mmon_segment_header *header, struct page **pages);
int mmon_store_read(struct mmon_store *store, u64 id, u32 slot, u64 seq,
		    struct mmon_record_header *record, void *page);

/* store_file.c, kernel only */
struct mmon_store *mmon_store_file(const char *dir);

/* ---- segment.c ---------------------------------------------------------------- */

struct mmon_segment;

/**
 * struct mmon_record - one page in the log
 * @refs: page map entries that it is in; 0: it is no more
 * @slot: its place in @segment
 * @segment: where it lies; changed by compaction
 * @seq: its number
 *
 * Protected by log->lock; freed by RCU. A page map has the record, not its
 * place, so that it can be moved without any space's lock.
 */
struct mmon_record {
	u32 refs;
	u32 slot;
	union {
		struct {
			struct mmon_segment *segment;
			u64 seq;
		};
		struct rcu_head rcu;
	};
};

/**
 * enum mmon_segment_state - what a segment is
 * @MMON_SEG_FREE: on log->free
 * @MMON_SEG_FILLING: records are being appended; on no list
 * @MMON_SEG_FULL: on log->full, oldest first
 * @MMON_SEG_STORED: on log->stored; has no buffer
 * @MMON_SEG_GONE: on log->gone: nobody needs it, but the store has it still
 */
enum mmon_segment_state {
	MMON_SEG_FREE,
	MMON_SEG_FILLING,
	MMON_SEG_FULL,
	MMON_SEG_STORED,
	MMON_SEG_GONE,
};

/**
 * struct mmon_segment - MMON_SEGMENT_PAGES pages of the log
 * @entry: on the list that @state says
 * @id: its number, in order of filling
 * @buffer: which part of the log's memory it has, or MMON_NO_BUFFER
 * @used: slots that were handed out
 * @filling: of these, into which somebody is copying
 * @live: of these, which have a record
 * @pins: who reads from it: it may be neither freed nor lose its buffer
 * @busy: the worker is at it
 * @stored: the store has it
 * @damaged: the store did not give it back: no use to compact it
 * @record: of each slot, or NULL
 *
 * Protected by log->lock. What lies in a slot that is no longer being filled does
 * not change until the segment is free.
 */
struct mmon_segment {
	struct list_head entry;
	enum mmon_segment_state state;
	u64 id;
	u32 buffer;
	u32 used;
	u32 filling;
	u32 live;
	u32 pins;
	bool busy;
	bool stored;
	bool damaged;
	struct mmon_record *record[MMON_SEGMENT_PAGES];
};

/** struct mmon_place - a slot of a segment; @seq: of the record that lies there */
struct mmon_place {
	struct mmon_segment *segment;
	u64 seq;
	u32 slot;
};

/** struct mmon_log_stats - what happened so far, and how it stands */
struct mmon_log_stats {
	u64 appends;
	u64 compactions;
	u64 written;
	u64 loads;
	u64 waits;
	u64 records;
	u32 segments;
	u32 segments_free;
	u32 segments_stored;
};

/**
 * struct mmon_log - the log of all replicas of this host
 * @memory: the segments' pages, then the bounce pages
 * @header: of each buffer
 * @store: where full segments go, or NULL
 * @nr_segments: buffers; 0: this host takes no replicas
 * @nr_bounces: sets of bounce pages
 * @kick: the worker has something to do; any context; may be NULL
 * @wait: woken when a segment or a set of bounce pages becomes free
 * @lock: protects what follows, the segments and the records
 * @free, @full, @stored, @gone: segments by state
 * @open: the one that is being filled, or NULL
 * @victim: the one that is being compacted, or NULL
 * @nr_free: on @free
 * @nr_stored: on @stored
 * @stored_live: records in those
 * @waiters: who waits for room
 * @bounces: which sets of bounce pages are in use
 * @last_id: of segments
 * @last_seq: of records
 * @stats: only what is counted; the rest is filled in when it is read
 */
struct mmon_log {
	struct mmon_memory memory;
	struct mmon_segment_header *header;
	struct mmon_store *store;
	u32 nr_segments;
	u32 nr_bounces;
	void (*kick)(struct mmon_log *log);
	wait_queue_head_t wait;
	spinlock_t lock;	/* segments and records */
	struct list_head free;
	struct list_head full;
	struct list_head stored;
	struct list_head gone;
	struct mmon_segment *open;
	struct mmon_segment *victim;
	u32 nr_free;
	u32 nr_stored;
	u64 stored_live;
	u32 waiters;
	unsigned long bounces;
	u64 last_id;
	u64 last_seq;
	struct mmon_log_stats stats;
};

struct mmon_segment *mmon_segment_alloc(void);
void mmon_segment_free(struct mmon_log *log, struct mmon_segment *segment);
void mmon_segment_settle(struct mmon_log *log, struct mmon_segment *segment);
void mmon_segment_detach(struct mmon_log *log, struct mmon_segment *segment,
			 struct mmon_segment *spare);
void mmon_segments_compact(struct mmon_log *log, struct mmon_segment *victim);
bool mmon_segments_room(struct mmon_log *log, u32 nr, u32 leave);
bool mmon_segments_take(struct mmon_log *log, u32 nr, u32 leave,
			struct mmon_place *places);
void mmon_segment_put_record(struct mmon_log *log, const struct mmon_place *place,
			     struct mmon_record *record);
void mmon_segment_remove_record(struct mmon_log *log,
				const struct mmon_record *record);
bool mmon_segments_short(const struct mmon_log *log);

/* ---- log.c ---------------------------------------------------------------------- */

int mmon_log_create(struct mmon_log *log, u32 nr_segments,
		    struct mmon_store *store);
void mmon_log_drain(struct mmon_log *log);
void mmon_log_destroy(struct mmon_log *log);
void mmon_log_read_stats(struct mmon_log *log, struct mmon_log_stats *stats);

int mmon_log_take(struct mmon_log *log, u32 nr, struct mmon_place *places);
void mmon_log_untake(struct mmon_log *log, u32 nr, const struct mmon_place *places);
void mmon_log_commit(struct mmon_log *log, u32 nr, const struct mmon_place *places,
		     const struct mmon_record_header *headers,
		     struct mmon_record **records);
int mmon_records_alloc(u32 nr, struct mmon_record **records);
void mmon_record_get(struct mmon_log *log, struct mmon_record *record);
void mmon_record_put(struct mmon_log *log, struct mmon_record *record);

bool mmon_log_pin(struct mmon_log *log, struct mmon_record *record,
		  struct mmon_place *place, bool *stored);
void mmon_log_unpin(struct mmon_log *log, struct mmon_segment *segment);
int mmon_log_load(struct mmon_log *log, const struct mmon_place *place,
		  struct mmon_record_header *header, void *data);
void *mmon_log_data(const struct mmon_log *log, const struct mmon_place *place);
struct mmon_record_header *mmon_log_header(const struct mmon_log *log,
					   const struct mmon_place *place);
void mmon_log_sge(const struct mmon_log *log, const struct mmon_place *place,
		  struct lite_sge *sge);
void mmon_log_kick(struct mmon_log *log);

u32 mmon_bounce_take(struct mmon_log *log);
void mmon_bounce_put(struct mmon_log *log, u32 bounce);
u32 mmon_bounce_page(const struct mmon_log *log, u32 bounce, u32 i);

/* A page map entry that is a record is a value entry, as a reservation is. */
static inline void *mmon_record_entry(struct mmon_record *record)
{
	return xa_tag_pointer(record, 1);
}

/* NULL for frames and reservations. */
static inline struct mmon_record *mmon_entry_record(void *entry)
{
	return xa_is_value(entry) ? xa_untag_pointer(entry) : NULL;
}

/* ---- compact.c -------------------------------------------------------------------- */

bool mmon_log_maintain(struct mmon_log *log);

#endif /* MMON_LOG_H */
