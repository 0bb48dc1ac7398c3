// SPDX-License-Identifier: GPL-2.0
/*
 * A segment store in a file: without a name, so that nothing is left of it, however
 * this host ends. What replicas hold is of no use after that.
 *
 * The file has one place for each segment: its header, then its pages. A place that
 * is not used is a hole.
 */
#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "internal.h"

#define HEADER_SIZE	ALIGN(sizeof(struct mmon_segment_header), MMON_PAGE_SIZE)
#define PLACE_SIZE	(HEADER_SIZE + (loff_t)MMON_SEGMENT_PAGES * MMON_PAGE_SIZE)

/**
 * struct file_store - the store
 * @store: as others see it
 * @file: where it is
 * @used: which places are
 * @places: segment's number to place, as value entries
 */
struct file_store {
	struct mmon_store store;
	struct file *file;
	struct ida used;
	struct xarray places;
};

static struct file_store *of(struct mmon_store *store)
{
	return container_of(store, struct file_store, store);
}

static int put(struct file *file, const void *data, size_t size, loff_t at)
{
	ssize_t done = kernel_write(file, data, size, &at);

	if (done < 0)
		return done;
	return done == size ? 0 : -ENOSPC;
}

static int get(struct file *file, void *data, size_t size, loff_t at)
{
	ssize_t done = kernel_read(file, data, size, &at);

	if (done < 0)
		return done;
	return done == size ? 0 : -EIO;
}

static int write_place(struct file *file, loff_t at,
		       const struct mmon_segment_header *header,
		       struct page **pages)
{
	int err;
	u32 i;

	err = put(file, header, sizeof(*header), at);
	for (i = 0; !err && i < MMON_SEGMENT_PAGES; i++)
		err = put(file, page_address(pages[i]), MMON_PAGE_SIZE,
			  at + HEADER_SIZE + i * MMON_PAGE_SIZE);
	return err;
}

static void give_up(struct file_store *fs, int place)
{
	vfs_fallocate(fs->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      place * PLACE_SIZE, PLACE_SIZE);
	ida_free(&fs->used, place);
}

static int file_write(struct mmon_store *store, u64 id,
		      const struct mmon_segment_header *header,
		      struct page **pages)
{
	struct file_store *fs = of(store);
	int place = ida_alloc(&fs->used, GFP_KERNEL);
	int err;

	if (place < 0)
		return place;
	err = write_place(fs->file, place * PLACE_SIZE, header, pages);
	if (!err)
		err = xa_err(xa_store(&fs->places, id, xa_mk_value(place),
				      GFP_KERNEL));
	if (err)
		give_up(fs, place);
	return err;
}

static int file_read(struct mmon_store *store, u64 id, u32 slot,
		     struct mmon_segment_header *header, void *page)
{
	struct file_store *fs = of(store);
	void *entry = xa_load(&fs->places, id);
	loff_t at;
	int err;

	if (!entry)
		return -EIO;
	at = xa_to_value(entry) * PLACE_SIZE;
	err = get(fs->file, header, sizeof(*header), at);
	return err ?: get(fs->file, page, MMON_PAGE_SIZE,
			  at + HEADER_SIZE + slot * MMON_PAGE_SIZE);
}

static void file_drop(struct mmon_store *store, u64 id)
{
	struct file_store *fs = of(store);
	void *entry = xa_erase(&fs->places, id);

	if (entry)
		give_up(fs, xa_to_value(entry));
}

static void file_destroy(struct mmon_store *store)
{
	struct file_store *fs = of(store);

	filp_close(fs->file, NULL);
	xa_destroy(&fs->places);
	ida_destroy(&fs->used);
	kfree(fs);
}

static const struct mmon_store_ops ops = {
	.write = file_write,
	.read = file_read,
	.drop = file_drop,
	.destroy = file_destroy,
};

/**
 * mmon_store_file - a segment store in a directory
 * @dir: of a file system that has files without a name (O_TMPFILE)
 *
 * Context: process. Return: the store or ERR_PTR().
 */
struct mmon_store *mmon_store_file(const char *dir)
{
	struct file_store *fs = kzalloc(sizeof(*fs), GFP_KERNEL);

	if (!fs)
		return ERR_PTR(-ENOMEM);
	fs->store.ops = &ops;
	ida_init(&fs->used);
	xa_init(&fs->places);
	fs->file = filp_open(dir, O_TMPFILE | O_RDWR | O_LARGEFILE, 0600);
	if (IS_ERR(fs->file)) {
		struct mmon_store *err = ERR_CAST(fs->file);

		kfree(fs);
		return err;
	}
	return &fs->store;
}
