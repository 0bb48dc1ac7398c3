// SPDX-License-Identifier: GPL-2.0
/*
 * Private file mappings: where the first content of an index comes from.
 *
 * space->backing maps index ranges to a file and an offset. Faults read it with
 * mmap_lock held. Ranges are added with mmap_lock held for writing, and so are
 * objects that no range refers to any more swept then; ranges go when they are
 * unmapped, perhaps beside faults elsewhere (munmap downgrades the lock).
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "internal.h"

#define SWEEP_ABOVE	64

/*
 * pmon_backing_find - what fills @index on first touch; NULL: zeros
 * @first, @last: narrowed to the range around @index with the same answer
 */
struct pmon_backing *pmon_backing_find(struct pmon_space *space, pgoff_t index,
				       pgoff_t *first, pgoff_t *last)
{
	MA_STATE(mas, &space->backing, index, index);
	struct pmon_backing *backing;

	if (mtree_empty(&space->backing))
		return NULL;
	rcu_read_lock();
	backing = mas_walk(&mas);
	*first = max(*first, mas.index);
	*last = min(*last, mas.last);
	rcu_read_unlock();
	return backing;
}

static void backing_sweep(struct pmon_space *space)
{
	struct pmon_backing *backing, *next, *used;
	unsigned long index;
	bool found;

	list_for_each_entry_safe(backing, next, &space->backings, entry) {
		index = 0;
		found = false;
		mt_for_each(&space->backing, used, index, ULONG_MAX)
			if (used == backing) {
				found = true;
				break;
			}
		if (found)
			continue;
		list_del(&backing->entry);
		fput(backing->file);
		kfree(backing);
	}
}

static struct pmon_backing *backing_get(struct pmon_space *space,
					struct file *file, long delta)
{
	struct pmon_backing *backing;
	unsigned int nr = 0;

	list_for_each_entry(backing, &space->backings, entry) {
		nr++;
		if (backing->delta == delta &&
		    file_inode(backing->file) == file_inode(file))
			return backing;
	}
	if (nr >= SWEEP_ABOVE)
		backing_sweep(space);
	backing = kzalloc(sizeof(*backing), GFP_KERNEL | __GFP_NOFAIL);
	backing->file = get_file(file);
	backing->delta = delta;
	list_add(&backing->entry, &space->backings);
	return backing;
}

static void backing_store(struct pmon_space *space, pgoff_t first, pgoff_t last,
			  struct pmon_backing *backing)
{
	/* The maple tree takes no __GFP_NOFAIL; under reclaim it gets there. */
	while (mtree_store_range(&space->backing, first, last, backing,
				 GFP_KERNEL))
		cond_resched();
}

/*
 * pmon_backing_add - indexes [@first, @last] begin as @file from @file_first on
 * Context: mmap_lock held for writing. Cannot fail: the range is mapped.
 */
void pmon_backing_add(struct pmon_space *space, pgoff_t first, pgoff_t last,
		      struct file *file, pgoff_t file_first)
{
	backing_store(space, first, last,
		      backing_get(space, file, (long)(file_first - first)));
	pmon_regions_forget_plain(space, first, last);
}

/* pmon_backing_remove - the range was unmapped, or begins as zeros */
void pmon_backing_remove(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	if (mt_find(&space->backing, &index, last))
		backing_store(space, first, last, NULL);
}

/*
 * pmon_backing_extend - what comes after @end shows more of the same file
 * @first, @last: indexes right behind @end
 *
 * Context: mmap_lock held for writing; nothing is mapped in the range yet.
 */
void pmon_backing_extend(struct pmon_space *space, pgoff_t end, pgoff_t first,
			 pgoff_t last)
{
	pgoff_t from = end, to = end;
	struct pmon_backing *backing = pmon_backing_find(space, end, &from, &to);

	if (backing)
		pmon_backing_add(space, first, last, backing->file,
				 first + backing->delta);
	else
		pmon_backing_remove(space, first, last);
}

/*
 * pmon_backing_copy - give @to what @from has in [@first, @last]
 * @shift: added to the index (mremap); 0 for fork
 */
void pmon_backing_copy(struct pmon_space *to, struct pmon_space *from,
		       pgoff_t first, pgoff_t last, long shift)
{
	MA_STATE(mas, &from->backing, first, first);
	struct pmon_backing *backing;

	if (mtree_empty(&from->backing))
		return;
	rcu_read_lock();
	mas_for_each(&mas, backing, last) {
		pgoff_t start = max(mas.index, first), end = min(mas.last, last);

		mas_pause(&mas);
		rcu_read_unlock();
		pmon_backing_add(to, start + shift, end + shift, backing->file,
				 start + backing->delta);
		rcu_read_lock();
	}
	rcu_read_unlock();
}

void pmon_backing_destroy(struct pmon_space *space)
{
	struct pmon_backing *backing, *next;

	mtree_destroy(&space->backing);
	list_for_each_entry_safe(backing, next, &space->backings, entry) {
		fput(backing->file);
		kfree(backing);
	}
}

/*
 * As a fault of an ordinary mapping would: from the page cache, without the
 * inode's lock. A task that writes to the file holds that lock on some file
 * systems (XFS), and what it writes may be the page that is filled here.
 */
static int fill_from_cache(struct file *file, pgoff_t file_page,
			   struct page *page)
{
	struct address_space *mapping = file->f_mapping;
	struct folio *folio;

	if (!xa_load(&mapping->i_pages, file_page))
		page_cache_sync_readahead(mapping, &file->f_ra, file, file_page,
					  1);
	folio = read_mapping_folio(mapping, file_page, file);
	if (IS_ERR(folio))
		return PTR_ERR(folio);
	copy_highpage(page, folio_file_page(folio, file_page));
	folio_put(folio);
	return 0;
}

/* What is not read by way of a page cache: tmpfs, DAX. */
static int fill_by_read(struct file *file, pgoff_t file_page, struct page *page)
{
	loff_t pos = (loff_t)file_page << PAGE_SHIFT;
	void *to = page_address(page);
	size_t done = 0;
	ssize_t n;

	while (done < PAGE_SIZE) {
		n = kernel_read(file, to + done, PAGE_SIZE - done, &pos);
		if (n < 0)
			return n;
		if (!n)
			break;
		done += n;
	}
	memset(to + done, 0, PAGE_SIZE - done);
	return 0;
}

/*
 * pmon_backing_fill - read one page of a file; the tail past its end is zero
 * Context: process; sleeps on the file's storage.
 */
int pmon_backing_fill(struct file *file, pgoff_t file_page, struct page *page)
{
	struct address_space *mapping = file->f_mapping;

	if (mapping->a_ops->read_folio && !IS_DAX(mapping->host))
		return fill_from_cache(file, file_page, page);
	return fill_by_read(file, file_page, page);
}
