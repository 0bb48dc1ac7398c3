// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that fails (machine check, MADV_HWPOISON).
 *
 * The kernel's memory_failure() knows pages on its LRU lists, free pages and some
 * others; of the pool's it only says "unknown page", and leaves it mapped. Here
 * the page is unmapped and marked. Whoever comes across the mark takes the line
 * out of its space: a clean line is fetched again from its home, any other index
 * raises SIGBUS from then on, as on Linux. The page leaves the pool when its line
 * is free, and is not given back to the kernel's allocator for use at unload:
 * that one keeps marked pages aside.
 */
#include <linux/sched/signal.h>

#include "internal.h"

/* pmon_poison_ours - is it a page of the pool? Context: any. */
bool pmon_poison_ours(unsigned long pfn)
{
	return pfn_valid(pfn) && pmon_pool_line(pfn_to_page(pfn));
}

/*
 * pmon_poison_evict - take a poisoned line out of its space
 *
 * The line is published, its page locked and mapped nowhere; consumes the lock.
 */
void pmon_poison_evict(struct pmon_line *line)
{
	struct pmon_space *space = line->space;
	void *entry = PMON_ENTRY_POISONED;

	if (!PageDirty(line->page) && line->remote)
		entry = PMON_ENTRY_STORED;
	/* Out of the xarray, the line no longer keeps the space. */
	pmon_space_get(space);
	xa_lock_bh(&space->lines);
	/* Replaces an entry that is there: allocates nothing. */
	__xa_store(&space->lines, line->page->index,
		   pmon_line_entry(line, entry), GFP_NOWAIT);
	xa_unlock_bh(&space->lines);
	pmon_line_release(line);
	pmon_space_put(space);
}

/*
 * The caller was using the page (MF_ACTION_REQUIRED: a machine check of its own
 * access; MADV_HWPOISON from 6.12 on): it is told at once if the content is lost.
 */
static void tell_user(struct pmon_line *line)
{
	struct page *page = line->page;

	if (line->space->mm != current->mm || (!PageDirty(page) && line->remote))
		return;
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)(page->index << PAGE_SHIFT),
			PAGE_SHIFT, current);
}

/*
 * pmon_poison_page - memory_failure() of a page of the pool
 * @flags: MF_*: with MF_COUNT_INCREASED the caller gives a reference
 *
 * Context: process; may wait for a transfer. Return: 0; -EHWPOISON: known.
 */
int pmon_poison_page(unsigned long pfn, int flags)
{
	struct page *page = pfn_to_page(pfn);
	struct pmon_line *line = pmon_pool_line(page);
	struct pmon_space *space;

	if (flags & MF_COUNT_INCREASED)
		put_page(page);
	/* Not before it is locked: a fault would end a line that is still mapped. */
	lock_page(page);
	if (TestSetPageHWPoison(page)) {
		unlock_page(page);
		return -EHWPOISON;
	}
	pmon_count(poisoned);
	space = line->space;
	if (space) {
		pr_err("%s[%d]: memory of the page at %lx failed (pfn %lx)\n",
		       space->comm, space->pid, page->index << PAGE_SHIFT, pfn);
		/* Whoever touches it faults, and finds the mark. */
		unmap_mapping_pages(space->file->f_mapping, page->index, 1,
				    false);
		if (flags & MF_ACTION_REQUIRED)
			tell_user(line);
	}
	unlock_page(page);
	return 0;
}
