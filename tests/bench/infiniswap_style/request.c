// SPDX-License-Identifier: GPL-2.0
/*
 * Requests of the block layer: what goes to the server, what to the disk.
 *
 * Data passes through the pages of a context, which are mapped for the adapter
 * once and for all. A write ends when the server has it; the disk gets its copy
 * out of the same pages behind the request's back, so a context lives longer than
 * its request, and whoever finds none left waits. At the transfer's end either
 * the request is completed or, if the transfer failed, its end is left to the disk.
 */
#include <linux/bitops.h>
#include <linux/bvec.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "slab_disk.h"

#define IO_TIMEOUT_MS	10000

static struct sd_context *context_get(struct sd_device *dev)
{
	struct sd_context *ctx;
	unsigned long flags;

	spin_lock_irqsave(&dev->free_lock, flags);
	ctx = list_first_entry_or_null(&dev->free, struct sd_context, entry);
	if (ctx) {
		list_del(&ctx->entry);
		dev->nr_free--;
	} else {
		dev->starved = true;
	}
	spin_unlock_irqrestore(&dev->free_lock, flags);
	return ctx;
}

/* sd_context_put - the transfer or the disk I/O has ended. Context: any. */
void sd_context_put(struct sd_context *ctx)
{
	struct sd_device *dev = ctx->dev;
	unsigned long flags;
	bool starved;

	if (!atomic_dec_and_test(&ctx->refs))
		return;
	spin_lock_irqsave(&dev->free_lock, flags);
	list_add(&ctx->entry, &dev->free);
	starved = dev->starved;
	dev->starved = false;
	/* Under the lock: the device may be gone when it is released. */
	if (starved)
		blk_mq_run_hw_queues(dev->disk->queue, true);
	if (++dev->nr_free == dev->nr_contexts)
		wake_up(&dev->all_free);
	spin_unlock_irqrestore(&dev->free_lock, flags);
}

/* Copies one buffer from or to the context's pages, @at bytes from their start. */
static void buffer_copy(struct sd_context *ctx, struct bio_vec *bvec,
			u32 at, bool to_request)
{
	u8 *theirs = bvec_kmap_local(bvec);
	u32 done, len;

	/* A buffer of user space need not begin where a page does. */
	for (done = 0; done < bvec->bv_len; done += len, at += len) {
		u8 *ours = page_address(ctx->page[at / PAGE_SIZE]) +
			at % PAGE_SIZE;

		len = min_t(u32, bvec->bv_len - done,
			    PAGE_SIZE - at % PAGE_SIZE);
		if (to_request)
			memcpy(theirs + done, ours, len);
		else
			memcpy(ours, theirs + done, len);
	}
	kunmap_local(theirs);
}

static void context_copy(struct sd_context *ctx, bool to_request)
{
	struct req_iterator iter;
	struct bio_vec bvec;
	u32 at = 0;

	rq_for_each_segment(bvec, ctx->rq, iter) {
		buffer_copy(ctx, &bvec, at, to_request);
		at += bvec.bv_len;
	}
}

static void request_end(struct sd_context *ctx, blk_status_t status)
{
	if (status == BLK_STS_OK && rq_data_dir(ctx->rq) == READ)
		context_copy(ctx, true);
	blk_mq_end_request(ctx->rq, status);
}

/*
 * sd_disk_done - the disk has read or written the pages of @ctx
 *
 * Of a write, this and the failed transfer come in either order: the second of
 * them ends the request.
 */
void sd_disk_done(struct sd_context *ctx, blk_status_t status)
{
	if (status != BLK_STS_OK) {
		WRITE_ONCE(ctx->dev->backing_failed, true);
		pr_err_ratelimited("slab_disk: the disk failed (%d)\n",
				   blk_status_to_errno(status));
	}
	ctx->disk_status = status;
	if (atomic_dec_and_test(&ctx->rq_waits))
		request_end(ctx, status);
	sd_context_put(ctx);
}

static void read_from_disk(struct sd_context *ctx)
{
	/* Old data would be worse than none. */
	if (READ_ONCE(ctx->dev->backing_failed)) {
		request_end(ctx, BLK_STS_IOERR);
		sd_context_put(ctx);
		return;
	}
	sd_backup_submit(ctx);
}

static void read_done(struct lite_io *io)
{
	struct sd_context *ctx = container_of(io, struct sd_context, io);

	if (!io->status) {
		request_end(ctx, BLK_STS_OK);
		sd_context_put(ctx);
		return;
	}
	sd_count(ctx->dev, SD_REMOTE_ERRORS);
	sd_slab_fail(ctx->slab, io->status);
	read_from_disk(ctx);
}

/*
 * @rq_waits was 2. A transfer that failed takes one of them, the disk takes the
 * other. If it succeeded, it takes more than there are, and the disk ends nothing.
 */
static void write_done(struct lite_io *io)
{
	struct sd_context *ctx = container_of(io, struct sd_context, io);

	u32 i;

	if (!io->status) {
		/* Others set bits in the same words. */
		for (i = 0; i < ctx->nr; i++)
			set_bit(ctx->first + i, ctx->dev->remote);
		request_end(ctx, BLK_STS_OK);
	} else {
		sd_count(ctx->dev, SD_REMOTE_ERRORS);
		sd_slab_fail(ctx->slab, io->status);
		if (atomic_dec_and_test(&ctx->rq_waits))
			request_end(ctx, ctx->disk_status);
	}
	sd_context_put(ctx);
}

static void transfer(struct sd_context *ctx, bool write)
{
	struct sd_slab *slab = ctx->slab;

	ctx->io = (struct lite_io) {
		.peer = slab->peer,
		.write = write,
		.remote_addr = slab->addr +
			(u64)(ctx->first % SLAB_PAGES) * PAGE_SIZE,
		.rkey = slab->rkey,
		.local = ctx->sge,
		.nr_local = ctx->nr,
		.timeout_ms = IO_TIMEOUT_MS,
		.done = write ? write_done : read_done,
	};
	sd_count(ctx->dev, write ? SD_REMOTE_WRITES : SD_REMOTE_READS);
	lite_io_submit(&ctx->io);
}

static bool all_remote(const struct sd_context *ctx)
{
	u32 end = ctx->first + ctx->nr;

	return find_next_zero_bit(ctx->dev->remote, end, ctx->first) >= end;
}

static void start_read(struct sd_context *ctx)
{
	atomic_set(&ctx->refs, 1);
	atomic_set(&ctx->rq_waits, 1);
	if (sd_slab_mapped(ctx->slab) && all_remote(ctx))
		transfer(ctx, false);
	else
		read_from_disk(ctx);
}

static void start_write(struct sd_context *ctx)
{
	bool mapped = sd_slab_mapped(ctx->slab);

	context_copy(ctx, false);
	atomic_set(&ctx->refs, mapped ? 2 : 1);
	atomic_set(&ctx->rq_waits, mapped ? 2 : 1);
	sd_backup_submit(ctx);
	if (mapped)
		transfer(ctx, true);
	else
		sd_slab_want(ctx->dev, ctx->slab);
}

static blk_status_t queue_rq(struct blk_mq_hw_ctx *hctx,
			     const struct blk_mq_queue_data *bd)
{
	struct sd_device *dev = hctx->queue->queuedata;
	struct request *rq = bd->rq;
	struct sd_context *ctx;

	if (req_op(rq) != REQ_OP_READ && req_op(rq) != REQ_OP_WRITE)
		return BLK_STS_NOTSUPP;
	ctx = context_get(dev);
	if (!ctx)
		return BLK_STS_RESOURCE;
	ctx->rq = rq;
	ctx->first = blk_rq_pos(rq) / SD_PAGE_SECTORS;
	ctx->nr = blk_rq_bytes(rq) / PAGE_SIZE;
	ctx->slab = &dev->slabs[ctx->first / SLAB_PAGES];
	blk_mq_start_request(rq);
	if (req_op(rq) == REQ_OP_WRITE)
		start_write(ctx);
	else
		start_read(ctx);
	return BLK_STS_OK;
}

const struct blk_mq_ops sd_mq_ops = {
	.queue_rq = queue_rq,
};

static int context_create(struct sd_device *dev, struct sd_context *ctx)
{
	u32 i;

	ctx->dev = dev;
	for (i = 0; i < SD_PAGES_MAX; i++) {
		ctx->page[i] = alloc_page(GFP_KERNEL);
		if (!ctx->page[i])
			return -ENOMEM;
	}
	ctx->region = lite_region_create(ctx->page, SD_PAGES_MAX, 0);
	if (IS_ERR(ctx->region))
		return PTR_ERR(ctx->region);
	for (i = 0; i < SD_PAGES_MAX; i++) {
		ctx->sge[i].region = ctx->region;
		ctx->sge[i].page = i;
	}
	list_add(&ctx->entry, &dev->free);
	dev->nr_free++;
	return 0;
}

int sd_contexts_create(struct sd_device *dev, u32 nr)
{
	int err = 0;
	u32 i;

	spin_lock_init(&dev->free_lock);
	INIT_LIST_HEAD(&dev->free);
	init_waitqueue_head(&dev->all_free);
	dev->contexts = kvcalloc(nr, sizeof(*dev->contexts), GFP_KERNEL);
	if (!dev->contexts)
		return -ENOMEM;
	dev->nr_contexts = nr;
	for (i = 0; i < nr && !err; i++)
		err = context_create(dev, &dev->contexts[i]);
	return err;
}

/* All are free; also after half of sd_contexts_create(). */
void sd_contexts_destroy(struct sd_device *dev)
{
	u32 i, j;

	for (i = 0; i < dev->nr_contexts; i++) {
		struct sd_context *ctx = &dev->contexts[i];

		if (!IS_ERR_OR_NULL(ctx->region))
			lite_region_destroy(ctx->region);
		for (j = 0; j < SD_PAGES_MAX && ctx->page[j]; j++)
			__free_page(ctx->page[j]);
	}
	kvfree(dev->contexts);
}
