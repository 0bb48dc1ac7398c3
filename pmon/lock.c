// SPDX-License-Identifier: GPL-2.0
/*
 * mlock: lines that are not evicted.
 *
 * The flag is the line's, so that the evictor needs no mmap_lock to see it. It is
 * set by the fault that maps the page into a VM_LOCKED VMA, and by mlock() for
 * what is resident already; what is not, mlock() itself faults in. It goes with
 * munlock() and with the line.
 *
 * Half of a budget can be locked: the rest has to hold what a process touches
 * beside it. mlock() of more is refused beforehand with ENOMEM. The figure it is
 * held against counts locked lines, so memory that is locked but untouched
 * (MLOCK_ONFAULT) may add up to more later: then the lines beyond half are
 * ordinary ones.
 */
#include "internal.h"

#define SCAN_BATCH	1024

static unsigned long lock_limit(struct pmon_budget *budget)
{
	return budget->limit / 2;
}

/* pmon_lock_room - may @nr pages more be locked? */
bool pmon_lock_room(struct pmon_space *space, unsigned long nr)
{
	struct pmon_budget *budget = space->budget;
	unsigned long locked = atomic_long_read(&budget->locked);

	return nr <= lock_limit(budget) && locked <= lock_limit(budget) - nr;
}

/* pmon_lock_pages - managed pages of @mm that are not locked */
unsigned long pmon_lock_pages(struct mm_struct *mm)
{
	VMA_ITERATOR(vmi, mm, 0);
	struct vm_area_struct *vma;
	unsigned long nr = 0;

	lockdep_assert_held(&mm->mmap_lock);
	for_each_vma(vmi, vma)
		if (pmon_vma_managed(vma) && !(vma->vm_flags & VM_LOCKED))
			nr += vma_pages(vma);
	return nr;
}

/* pmon_lock_line - a published line is about to be mapped, or mlock() found it */
void pmon_lock_line(struct pmon_line *line)
{
	struct pmon_budget *budget = line->budget;

	if (READ_ONCE(line->locked) ||
	    !atomic_long_add_unless(&budget->locked, 1, lock_limit(budget)))
		return;
	if (xchg(&line->locked, true))
		atomic_long_dec(&budget->locked);
}

/* pmon_unlock_line - the line may be evicted again, or is no more its owner's */
void pmon_unlock_line(struct pmon_line *line)
{
	if (READ_ONCE(line->locked) && xchg(&line->locked, false))
		atomic_long_dec(&line->budget->locked);
}

/*
 * pmon_lock_range - mlock() or munlock() of [@first, @last]
 *
 * Context: mmap_lock held for writing. Waits for no transfer: what is on its way
 * in is locked by the fault that waits for it; what is on its way out, by the
 * one that fetches it back.
 */
void pmon_lock_range(struct pmon_space *space, pgoff_t first, pgoff_t last,
		     bool lock)
{
	XA_STATE(xas, &space->lines, first);
	unsigned int scanned = 0;
	struct pmon_line *line;
	void *entry;

	xas_lock_bh(&xas);
	xas_for_each(&xas, entry, last) {
		line = entry;
		/* A line that a fork left here, too, is its owner's to lock. */
		if (!xa_is_value(entry) && READ_ONCE(line->space) == space) {
			if (lock)
				pmon_lock_line(line);
			else
				pmon_unlock_line(line);
		}
		if (++scanned % SCAN_BATCH)
			continue;
		xas_pause(&xas);
		xas_unlock_bh(&xas);
		cond_resched();
		xas_lock_bh(&xas);
	}
	xas_unlock_bh(&xas);
}
