// SPDX-License-Identifier: GPL-2.0
/*
 * slab_disk: a block device whose pages live at memory servers, for swap.
 *
 *	insmod slab_disk.ko size_mb=512 servers=10.77.0.2,10.77.0.3 disk=/dev/vda
 *
 * The design is InfiniSwap's (NSDI'17), the code is not: the device is cut into
 * slabs; a slab is mapped to a server at the first write to it, by power of two
 * choices; pages move by one-sided READ and WRITE; a local disk gets a copy of
 * everything behind the writer's back and serves what no server has.
 * docs/bench.md says where the original differs.
 *
 *	request.c	requests of the block layer
 *	mapping.c	slabs and servers
 *	backup.c	the local disk
 *
 * Counters are in /sys/kernel/debug/slab_disk/counters.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "slab_disk.h"

#define QUEUE_DEPTH	64

static unsigned int size_mb = 256;
module_param(size_mb, uint, 0444);
MODULE_PARM_DESC(size_mb, "size of the device, MiB, even");

static char *servers = "";
module_param(servers, charp, 0444);
MODULE_PARM_DESC(servers, "IPv4 addresses of hosts with slab_server");

static char *disk = "";
module_param(disk, charp, 0444);
MODULE_PARM_DESC(disk, "block device for the copy, as large or larger");

static unsigned int contexts = 256;
module_param(contexts, uint, 0444);
MODULE_PARM_DESC(contexts, "requests that may wait for the disk, 64 KiB each");

static struct sd_device *device;
static struct dentry *debug_dir;

static int counters_show(struct seq_file *file, void *data)
{
	static const char * const names[SD_NR_COUNTERS] = {
		[SD_REMOTE_READS] = "remote_reads",
		[SD_REMOTE_WRITES] = "remote_writes",
		[SD_REMOTE_ERRORS] = "remote_errors",
		[SD_DISK_READS] = "disk_reads",
		[SD_DISK_WRITES] = "disk_writes",
		[SD_MAPPINGS] = "mappings",
		[SD_MAPPINGS_REFUSED] = "mappings_refused",
	};
	int i;

	for (i = 0; i < SD_NR_COUNTERS; i++)
		seq_printf(file, "%s %lld\n", names[i],
			   atomic64_read(&device->counter[i]));
	return 0;
}

DEFINE_SHOW_ATTRIBUTE(counters);

static const struct block_device_operations sd_fops = {
	.owner = THIS_MODULE,
};

static int backing_open(struct sd_device *dev)
{
	int err = sd_backing_open(&dev->backing, disk, dev);

	if (err) {
		pr_err("slab_disk: cannot open disk=%s (%d)\n", disk, err);
		return err;
	}
	if (bdev_nr_bytes(dev->backing.bdev) < (u64)dev->nr_pages << PAGE_SHIFT) {
		pr_err("slab_disk: disk=%s is smaller than size_mb=%u\n", disk,
		       size_mb);
		sd_backing_close(&dev->backing);
		return -ENOSPC;
	}
	return 0;
}

static int gendisk_create(struct sd_device *dev)
{
	int err;

	dev->tags = (struct blk_mq_tag_set) {
		.ops = &sd_mq_ops,
		.nr_hw_queues = 1,
		.queue_depth = QUEUE_DEPTH,
		.numa_node = NUMA_NO_NODE,
		.flags = BLK_MQ_F_SHOULD_MERGE,
	};
	err = blk_mq_alloc_tag_set(&dev->tags);
	if (err)
		return err;
	/* A request is one transfer, and lies within one slab. */
	dev->disk = sd_gendisk_alloc(&dev->tags, SD_PAGES_MAX * SD_PAGE_SECTORS,
				     SLAB_PAGES * SD_PAGE_SECTORS, dev);
	if (IS_ERR(dev->disk)) {
		err = PTR_ERR(dev->disk);
		goto out_tags;
	}
	strscpy(dev->disk->disk_name, "slabdisk0", DISK_NAME_LEN);
	dev->disk->fops = &sd_fops;
	dev->disk->flags |= GENHD_FL_NO_PART;
	set_capacity(dev->disk, (sector_t)dev->nr_pages * SD_PAGE_SECTORS);
	err = add_disk(dev->disk);
	if (err)
		goto out_disk;
	return 0;
out_disk:
	put_disk(dev->disk);
out_tags:
	blk_mq_free_tag_set(&dev->tags);
	return err;
}

/* Requests have ended when the disk is deleted; copies may be on their way. */
static void gendisk_destroy(struct sd_device *dev)
{
	del_gendisk(dev->disk);
	wait_event(dev->all_free,
		   READ_ONCE(dev->nr_free) == dev->nr_contexts);
	/* Whoever put the last context has left its lock then. */
	spin_lock_irq(&dev->free_lock);
	spin_unlock_irq(&dev->free_lock);
	put_disk(dev->disk);
	blk_mq_free_tag_set(&dev->tags);
}

static int sd_create(struct sd_device *dev)
{
	int err;

	dev->nr_pages = round_down((u64)size_mb << (20 - PAGE_SHIFT),
				   SLAB_PAGES);
	if (!dev->nr_pages || size_mb > 1 << 20 || contexts < 1 ||
	    contexts > 65536)
		return -EINVAL;
	err = backing_open(dev);
	if (err)
		return err;
	err = sd_backup_create(dev);
	if (err)
		goto out_backing;
	err = sd_mapping_create(dev, servers);
	if (err)
		goto out_mapping;
	err = sd_contexts_create(dev, contexts);
	if (err)
		goto out_contexts;
	err = gendisk_create(dev);
	if (!err)
		return 0;
out_contexts:
	sd_contexts_destroy(dev);
out_mapping:
	sd_mapping_destroy(dev);
	sd_backup_destroy(dev);
out_backing:
	sd_backing_close(&dev->backing);
	return err;
}

static int __init slab_disk_init(void)
{
	int err;

	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	err = sd_create(device);
	if (err) {
		kfree(device);
		return err;
	}
	debug_dir = debugfs_create_dir("slab_disk", NULL);
	debugfs_create_file("counters", 0400, debug_dir, NULL, &counters_fops);
	return 0;
}

static void __exit slab_disk_exit(void)
{
	debugfs_remove(debug_dir);
	gendisk_destroy(device);
	/* Its workers run neither transfers nor the mapping of slabs any more. */
	sd_mapping_destroy(device);
	sd_contexts_destroy(device);
	sd_backup_destroy(device);
	sd_backing_close(&device->backing);
	kfree(device);
}

module_init(slab_disk_init);
module_exit(slab_disk_exit);

MODULE_DESCRIPTION("splitkernel: InfiniSwap-style block device (re-implementation)");
MODULE_AUTHOR("splitkernel authors");
MODULE_LICENSE("GPL");
SK_IMPORT_LITE_RPC();
