// SPDX-License-Identifier: GPL-2.0
/*
 * mremap: content moves to other indexes.
 *
 * Runs as the new VMA's mremap callback: mmap_lock held for writing, after the
 * core's move_page_tables(), which found nothing to move (intercept.c unmapped
 * the old range) but may have failed for lack of page tables. From here on
 * nothing fails, and nothing can fault before the content is in place.
 */
#include "internal.h"

#define REKEY_GFP	(GFP_KERNEL | __GFP_NOFAIL)

/* False: look at the index again. */
static bool rekey_line(struct pmon_space *space, pgoff_t from, pgoff_t to,
		       struct pmon_line *line, bool *stored)
{
	struct page *page = line->page;
	bool ours;

	if (!get_page_unless_zero(page))
		return false;
	/* May wait for a fetch or a flush: they name the old address. */
	lock_page(page);
	ours = xa_load(&space->lines, from) == line;
	if (ours) {
		xa_store_bh(&space->lines, to, line, REKEY_GFP);
		pmon_share_move(line, space, to);
		xa_erase_bh(&space->lines, from);
		*stored |= pmon_share_remote(line, space);
	}
	unlock_page(page);
	put_page(page);
	return ours;
}

/*
 * What a region has in [@from, @last] goes to @to, which becomes its. The stream is
 * held so that no page is flushed under its new address before the home can be
 * told of the move.
 */
static void remap_piece(struct pmon_region *region, pgoff_t from, pgoff_t last,
			pgoff_t to)
{
	struct pmon_space *space = region->space;
	unsigned long index = from;
	bool stored = false;
	void *entry;

	mutex_lock(&region->stream_lock);
	pmon_region_assign(region, to, to + (last - from));
	while ((entry = xa_find(&space->lines, &index, last, XA_PRESENT))) {
		pgoff_t target = to + (index - from);

		if (!xa_is_value(entry)) {
			if (!rekey_line(space, index, target, entry, &stored))
				continue;
		} else {
			xa_store_bh(&space->lines, target, entry, REKEY_GFP);
			xa_erase_bh(&space->lines, index);
			stored |= pmon_entry_is_remote(entry);
		}
		index++;
		cond_resched();
	}
	pmon_changes_move(&region->changes, from, last, to, stored);
	mutex_unlock(&region->stream_lock);
	pmon_count(moves);
}

/*
 * pmon_remap_range - [@from, @from + @nr) becomes [@to, @to + @nr)
 *
 * The ranges do not overlap, the target is empty. Cannot fail.
 */
void pmon_remap_range(struct pmon_space *space, pgoff_t from, pgoff_t to,
		      unsigned long nr)
{
	pgoff_t first = from, last = from + nr - 1, end;
	struct pmon_region *region;

	while (first <= last &&
	       (region = pmon_region_next(space, &first, last, &end))) {
		remap_piece(region, first, end, to + (first - from));
		first = end + 1;
	}
	pmon_backing_copy(space, space, from, last, (long)(to - from));
	pmon_wipe_copy(space, space, from, last, (long)(to - from));
}

/*
 * pmon_remap_extend - the mapping that ends at index @end grows to @last
 *
 * Context: mmap_lock held for writing, nothing is mapped in [@first, @last].
 * What is set here does no harm if the growing fails: a new mapping starts
 * from nothing.
 */
void pmon_remap_extend(struct pmon_space *space, pgoff_t end, pgoff_t first,
		       pgoff_t last)
{
	pmon_backing_extend(space, end, first, last);
	pmon_wipe_extend(space, end, first, last);
}

/*
 * pmon_remap_grow - mremap() is about to grow a mapping
 * @vma: what vma_to_resize() returned
 * @end, @new_end: the old and the new end, if it can grow in place
 * @move: it is moved in any case
 *
 * Context: mmap_lock held for writing. Return: @vma or ERR_PTR().
 */
struct vm_area_struct *pmon_remap_grow(struct vm_area_struct *vma,
				       unsigned long end, unsigned long new_end,
				       bool move)
{
	unsigned long nr = (new_end - end) >> PAGE_SHIFT;
	struct pmon_space *space = pmon_vma_space(vma);

	if ((vma->vm_flags & VM_LOCKED) && !pmon_lock_room(space, nr))
		return ERR_PTR(-EAGAIN);
	if (!pmon_limit_grow(vma->vm_mm, vma->vm_flags, nr))
		return ERR_PTR(-ENOMEM);
	if (move || end != vma->vm_end || new_end > TASK_SIZE ||
	    find_vma_intersection(vma->vm_mm, end, new_end))
		return vma;
	pmon_remap_extend(space, (end >> PAGE_SHIFT) - 1, end >> PAGE_SHIFT,
			  (new_end >> PAGE_SHIFT) - 1);
	pmon_limit_account(vma->vm_mm, vma->vm_flags, nr);
	return vma;
}

/* pmon_mremap - vm_operations_struct::mremap */
int pmon_mremap(struct vm_area_struct *vma)
{
	struct pmon_space *space = pmon_vma_space(vma);

	pgoff_t end = (space->move_to + space->move_len) >> PAGE_SHIFT;

	if (!space->move_len)
		return 0;
	pmon_remap_range(space, space->move_from >> PAGE_SHIFT,
			 space->move_to >> PAGE_SHIFT,
			 space->move_len >> PAGE_SHIFT);
	if (space->move_grow)
		pmon_remap_extend(space, end - 1, end,
				  end + (space->move_grow >> PAGE_SHIFT) - 1);
	return 0;
}
