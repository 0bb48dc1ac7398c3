// SPDX-License-Identifier: GPL-2.0
/*
 * MADV_WIPEONFORK: ranges that a child gets as zeros.
 *
 * The kernel refuses this advice for shared mappings, which managed ones are in
 * form, so a space keeps the ranges itself: they are what VM_WIPEONFORK of the
 * VMA would be. They go with munmap, move with mremap, and the child inherits
 * them. Changed with mmap_lock held for writing; munmap may have downgraded it,
 * but nobody else changes a range that is being unmapped.
 */
#include "internal.h"

static void wipe_store(struct pmon_space *space, pgoff_t first, pgoff_t last,
		       void *value)
{
	/* No __GFP_NOFAIL in maple trees; under reclaim it gets there. */
	while (mtree_store_range(&space->wiped, first, last, value, GFP_KERNEL))
		cond_resched();
}

/* pmon_wipe_set - MADV_WIPEONFORK */
void pmon_wipe_set(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	wipe_store(space, first, last, xa_mk_value(1));
}

/* pmon_wipe_clear - MADV_KEEPONFORK, or the range was unmapped */
void pmon_wipe_clear(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	if (mt_find(&space->wiped, &index, last))
		wipe_store(space, first, last, NULL);
}

/*
 * pmon_wipe_copy - give @to what is set for @from in [@first, @last]
 * @shift: added to the index (mremap); 0 for fork
 */
void pmon_wipe_copy(struct pmon_space *to, struct pmon_space *from,
		    pgoff_t first, pgoff_t last, long shift)
{
	MA_STATE(mas, &from->wiped, first, first);

	if (mtree_empty(&from->wiped))
		return;
	rcu_read_lock();
	while (mas_find(&mas, last)) {
		pgoff_t start = max(mas.index, first), end = min(mas.last, last);

		mas_pause(&mas);
		rcu_read_unlock();
		pmon_wipe_set(to, start + shift, end + shift);
		rcu_read_lock();
	}
	rcu_read_unlock();
}

/* pmon_wipe_extend - [@first, @last] becomes part of the mapping at @end */
void pmon_wipe_extend(struct pmon_space *space, pgoff_t end, pgoff_t first,
		      pgoff_t last)
{
	if (mtree_load(&space->wiped, end))
		pmon_wipe_set(space, first, last);
	else
		pmon_wipe_clear(space, first, last);
}

/*
 * pmon_wipe_next - narrow [*@first, *@last] to its first part that a child gets
 * Return: false if a child gets nothing of it.
 */
bool pmon_wipe_next(struct pmon_space *space, pgoff_t *first, pgoff_t *last)
{
	MA_STATE(mas, &space->wiped, *first, *first);
	bool wiped = false;

	if (mtree_empty(&space->wiped))
		return *first <= *last;
	rcu_read_lock();
	while (*first <= *last) {
		mas_set(&mas, *first);
		wiped = mas_walk(&mas);
		if (!wiped || mas.last >= *last)
			break;
		*first = mas.last + 1;
	}
	rcu_read_unlock();
	if (wiped)
		return false;
	*last = min(*last, mas.last);
	return true;
}
