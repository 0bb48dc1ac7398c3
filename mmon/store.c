// SPDX-License-Identifier: GPL-2.0
/*
 * What goes into a segment store is sealed, and checked when it comes back: a store
 * is a file on some disk, and what it returns may be anything.
 */
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "internal.h"
#include "mmon_checksum.h"

static __le32 header_sum(struct mmon_segment_header *header)
{
	__le32 was = header->sum;
	u32 sum;

	header->sum = 0;
	sum = crc32c(~0u, header, sizeof(*header));
	header->sum = was;
	return cpu_to_le32(sum);
}

/**
 * mmon_store_write - seal a segment and write it
 * @store: where
 * @id: number of the segment
 * @header: of its records; the rest is filled in
 * @pages: MMON_SEGMENT_PAGES of them
 *
 * Context: process. Return: 0 or negative errno.
 */
int mmon_store_write(struct mmon_store *store, u64 id,
		     struct mmon_segment_header *header, struct page **pages)
{
	header->magic = cpu_to_le64(MMON_SEGMENT_MAGIC);
	header->id = cpu_to_le64(id);
	header->nr = cpu_to_le32(MMON_SEGMENT_PAGES);
	header->sum = header_sum(header);
	return store->ops->write(store, id, header, pages);
}

static bool header_valid(struct mmon_segment_header *header, u64 id)
{
	return header->magic == cpu_to_le64(MMON_SEGMENT_MAGIC) &&
	       header->id == cpu_to_le64(id) &&
	       header->nr == cpu_to_le32(MMON_SEGMENT_PAGES) &&
	       header->sum == header_sum(header);
}

static bool record_valid(const struct mmon_record_header *record, u64 seq,
			 const void *page)
{
	u32 kind = le32_to_cpu(record->checksum);

	return record->seq == cpu_to_le64(seq) &&
	       record->length == cpu_to_le32(MMON_PAGE_SIZE) &&
	       kind < MMON_NR_CHECKSUMS &&
	       le32_to_cpu(record->sum) == mmon_checksum(kind, page);
}

/**
 * mmon_store_read - one record of a segment, checked
 * @store: where
 * @id: number of the segment
 * @slot: which page of it
 * @seq: number that the record must have
 * @record: result: its header; may be NULL
 * @page: result: its content
 *
 * Context: process. Return: 0; -EIO: not what was written; what the store says;
 * -ENOMEM.
 */
int mmon_store_read(struct mmon_store *store, u64 id, u32 slot, u64 seq,
		    struct mmon_record_header *record, void *page)
{
	struct mmon_segment_header *header;
	int err;

	header = kvmalloc(sizeof(*header), GFP_KERNEL);
	if (!header)
		return -ENOMEM;
	err = store->ops->read(store, id, slot, header, page);
	if (!err && (!header_valid(header, id) ||
		     !record_valid(&header->record[slot], seq, page)))
		err = -EIO;
	if (err)
		pr_err_ratelimited("segment %llu of the log: the store does not give page %u back: error %d\n",
				   id, slot, err);
	else if (record)
		*record = header->record[slot];
	kvfree(header);
	return err;
}
