/* SPDX-License-Identifier: GPL-2.0 */
/* slab_disk: what its files share. See main.c for the whole. */
#ifndef SLAB_DISK_H
#define SLAB_DISK_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "block_compat.h"
#include "slab_wire.h"

#define SD_PAGES_MAX	LITE_DIRECT_MAX		/* of one request: one transfer */
#define SD_SERVERS_MAX	8
#define SD_PAGE_SECTORS	(PAGE_SIZE >> SECTOR_SHIFT)

/** enum sd_state - where the pages of a slab are */
enum sd_state {
	SD_DISK,		/* on disk; the next write asks for a mapping */
	SD_MAPPING,		/* ditto, and it was asked for */
	SD_MAPPED,		/* those with their bit set at a server, too */
	SD_FAILED,		/* on disk, for good: the server lost them */
};

/**
 * struct sd_slab - 2 MiB of the device
 * @state: enum sd_state; SD_MAPPED is stored after the rest, with release
 * @retry_at: jiffies before which no mapping is asked for again
 */
struct sd_slab {
	int state;
	unsigned long retry_at;
	struct lite_peer *peer;
	u64 addr;
	u32 rkey;
};

/**
 * struct sd_context - one request under way, and its data
 * @refs: transfer and disk I/O that still use the pages
 * @rq: NULL once it was completed, which may be before the disk has the data
 * @rq_waits: who brings it to 0 ends the request, see write_done()
 * @disk_status: how the disk I/O ended, for the transfer that ends after it
 */
struct sd_context {
	struct list_head entry;
	struct sd_device *dev;
	atomic_t refs;
	struct request *rq;
	atomic_t rq_waits;
	blk_status_t disk_status;
	struct sd_slab *slab;
	u32 first;
	u32 nr;
	struct lite_io io;
	struct lite_sge sge[SD_PAGES_MAX];
	struct lite_region *region;
	struct page *page[SD_PAGES_MAX];
	struct bio bio;
	struct bio_vec bvec[SD_PAGES_MAX];
};

enum sd_counter {
	SD_REMOTE_READS,
	SD_REMOTE_WRITES,
	SD_REMOTE_ERRORS,
	SD_DISK_READS,
	SD_DISK_WRITES,
	SD_MAPPINGS,
	SD_MAPPINGS_REFUSED,
	SD_NR_COUNTERS,
};

struct sd_device {
	struct gendisk *disk;
	struct blk_mq_tag_set tags;
	struct sd_backing backing;
	bool backing_failed;		/* a write to it: it is not a copy any more */
	u32 nr_pages;

	/* mapping.c */
	struct sd_slab *slabs;
	u32 nr_slabs;
	unsigned long *remote;		/* a bit a page: a server has it */
	unsigned long *wanted;		/* a bit a slab: to be mapped */
	struct lite_peer *server[SD_SERVERS_MAX];
	u32 nr_servers;
	struct workqueue_struct *workers;
	struct work_struct map_work;

	/* backup.c */
	spinlock_t backup_lock;		/* protects the next two */
	struct list_head backup_queue;
	unsigned long *busy;		/* a bit a page: disk I/O under way */
	struct work_struct backup_work;

	/* request.c */
	spinlock_t free_lock;		/* protects the next three */
	struct list_head free;
	u32 nr_free;
	bool starved;
	struct sd_context *contexts;
	u32 nr_contexts;
	wait_queue_head_t all_free;

	atomic64_t counter[SD_NR_COUNTERS];
};

static inline void sd_count(struct sd_device *dev, enum sd_counter which)
{
	atomic64_inc(&dev->counter[which]);
}

/* request.c */
extern const struct blk_mq_ops sd_mq_ops;
int sd_contexts_create(struct sd_device *dev, u32 nr);
void sd_contexts_destroy(struct sd_device *dev);
void sd_context_put(struct sd_context *ctx);
void sd_disk_done(struct sd_context *ctx, blk_status_t status);

/* mapping.c */
int sd_mapping_create(struct sd_device *dev, const char *servers);
void sd_mapping_destroy(struct sd_device *dev);
bool sd_slab_mapped(const struct sd_slab *slab);
void sd_slab_want(struct sd_device *dev, struct sd_slab *slab);
void sd_slab_fail(struct sd_slab *slab, int err);

/* backup.c */
int sd_backup_create(struct sd_device *dev);
void sd_backup_destroy(struct sd_device *dev);
void sd_backup_submit(struct sd_context *ctx);

#endif /* SLAB_DISK_H */
