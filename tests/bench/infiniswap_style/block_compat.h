/* SPDX-License-Identifier: GPL-2.0 */
/* The block layer of 6.1 and of 6.12; what lies between is not covered. */
#ifndef SLAB_BLOCK_COMPAT_H
#define SLAB_BLOCK_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/version.h>

/** struct sd_backing - the local disk, opened for us alone */
struct sd_backing {
	struct block_device *bdev;
	struct file *file;
};

/* Limits became an argument of the allocation, the opened device a file in 6.9. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
static inline struct gendisk *sd_gendisk_alloc(struct blk_mq_tag_set *set,
					       u32 max_sectors,
					       u32 chunk_sectors, void *data)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, data);

	if (IS_ERR(disk))
		return disk;
	blk_queue_logical_block_size(disk->queue, PAGE_SIZE);
	blk_queue_physical_block_size(disk->queue, PAGE_SIZE);
	blk_queue_max_hw_sectors(disk->queue, max_sectors);
	blk_queue_chunk_sectors(disk->queue, chunk_sectors);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, disk->queue);
	return disk;
}

#define SD_OPEN_MODE	(FMODE_READ | FMODE_WRITE | FMODE_EXCL)

static inline int sd_backing_open(struct sd_backing *backing, const char *path,
				  void *holder)
{
	struct block_device *bdev = blkdev_get_by_path(path, SD_OPEN_MODE,
						       holder);

	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	backing->bdev = bdev;
	return 0;
}

static inline void sd_backing_close(struct sd_backing *backing)
{
	blkdev_put(backing->bdev, SD_OPEN_MODE);
}
#else
static inline struct gendisk *sd_gendisk_alloc(struct blk_mq_tag_set *set,
					       u32 max_sectors,
					       u32 chunk_sectors, void *data)
{
	struct queue_limits limits = {
		.logical_block_size = PAGE_SIZE,
		.physical_block_size = PAGE_SIZE,
		.max_hw_sectors = max_sectors,
		.chunk_sectors = chunk_sectors,
	};

	return blk_mq_alloc_disk(set, &limits, data);
}

static inline int sd_backing_open(struct sd_backing *backing, const char *path,
				  void *holder)
{
	struct file *file = bdev_file_open_by_path(path, BLK_OPEN_READ |
						   BLK_OPEN_WRITE, holder, NULL);

	if (IS_ERR(file))
		return PTR_ERR(file);
	backing->file = file;
	backing->bdev = file_bdev(file);
	return 0;
}

static inline void sd_backing_close(struct sd_backing *backing)
{
	fput(backing->file);
}
#endif

#endif /* SLAB_BLOCK_COMPAT_H */
