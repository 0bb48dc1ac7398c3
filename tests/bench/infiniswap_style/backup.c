// SPDX-License-Identifier: GPL-2.0
/*
 * The local disk: a copy of everything, written behind, and what is read when no
 * server has a page.
 *
 * All disk I/O goes through one queue, in order of arrival. I/O begins when none
 * of its pages has I/O under way that began before, so what is read is what was
 * written last, and of two writes the later one stays.
 */
#include <linux/bitmap.h>

#include "slab_disk.h"

static bool is_busy(const struct sd_context *ctx)
{
	return find_next_bit(ctx->dev->busy, ctx->first + ctx->nr, ctx->first) <
		ctx->first + ctx->nr;
}

static void bio_done(struct bio *bio)
{
	struct sd_context *ctx = bio->bi_private;
	struct sd_device *dev = ctx->dev;
	blk_status_t status = bio->bi_status;
	unsigned long flags;
	bool more;

	bio_uninit(bio);
	spin_lock_irqsave(&dev->backup_lock, flags);
	bitmap_clear(dev->busy, ctx->first, ctx->nr);
	more = !list_empty(&dev->backup_queue);
	spin_unlock_irqrestore(&dev->backup_lock, flags);
	/* May be the one that the head of the queue waits for. */
	if (more)
		queue_work(dev->workers, &dev->backup_work);
	/* Last: without contexts under way the device may go. */
	sd_disk_done(ctx, status);
}

static void bio_start(struct sd_context *ctx)
{
	bool write = bio_op(&ctx->bio) == REQ_OP_WRITE;
	u32 i;

	sd_count(ctx->dev, write ? SD_DISK_WRITES : SD_DISK_READS);
	ctx->bio.bi_iter.bi_sector = (sector_t)ctx->first * SD_PAGE_SECTORS;
	ctx->bio.bi_private = ctx;
	ctx->bio.bi_end_io = bio_done;
	for (i = 0; i < ctx->nr; i++)
		__bio_add_page(&ctx->bio, ctx->page[i], PAGE_SIZE, 0);
	submit_bio(&ctx->bio);
}

/* The head of the queue, now under way, or NULL if it has to wait. */
static struct sd_context *backup_next(struct sd_device *dev)
{
	struct sd_context *ctx;
	unsigned long flags;

	spin_lock_irqsave(&dev->backup_lock, flags);
	ctx = list_first_entry_or_null(&dev->backup_queue, struct sd_context,
				       entry);
	if (ctx && is_busy(ctx))
		ctx = NULL;
	if (ctx) {
		list_del(&ctx->entry);
		bitmap_set(dev->busy, ctx->first, ctx->nr);
	}
	spin_unlock_irqrestore(&dev->backup_lock, flags);
	return ctx;
}

static void backup_work(struct work_struct *work)
{
	struct sd_device *dev = container_of(work, struct sd_device,
					     backup_work);
	struct sd_context *ctx;
	struct blk_plug plug;

	/* Neighbours become one request of the disk. */
	blk_start_plug(&plug);
	while ((ctx = backup_next(dev)))
		bio_start(ctx);
	blk_finish_plug(&plug);
}

/**
 * sd_backup_submit - read or write the pages of a request, later
 * @ctx: holds a reference for it, which sd_disk_done() gets
 *
 * Context: any; submitting a bio may sleep, hence the worker.
 */
void sd_backup_submit(struct sd_context *ctx)
{
	struct sd_device *dev = ctx->dev;
	unsigned long flags;

	bio_init(&ctx->bio, dev->backing.bdev, ctx->bvec, SD_PAGES_MAX,
		 rq_data_dir(ctx->rq) == WRITE ? REQ_OP_WRITE : REQ_OP_READ);
	spin_lock_irqsave(&dev->backup_lock, flags);
	list_add_tail(&ctx->entry, &dev->backup_queue);
	spin_unlock_irqrestore(&dev->backup_lock, flags);
	queue_work(dev->workers, &dev->backup_work);
}

int sd_backup_create(struct sd_device *dev)
{
	spin_lock_init(&dev->backup_lock);
	INIT_LIST_HEAD(&dev->backup_queue);
	INIT_WORK(&dev->backup_work, backup_work);
	dev->busy = bitmap_zalloc(dev->nr_pages, GFP_KERNEL);
	return dev->busy ? 0 : -ENOMEM;
}

void sd_backup_destroy(struct sd_device *dev)
{
	bitmap_free(dev->busy);
}
