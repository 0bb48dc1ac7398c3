// SPDX-License-Identifier: GPL-2.0
/*
 * Dropping the content of a range: munmap, MADV_DONTNEED, exit.
 *
 * A line that is being transferred is not waited for: it is taken out of
 * space->lines and marked, and its completion frees it (see internal.h).
 */
#include "internal.h"

#define VALUES_AT_ONCE	256	/* entries looked at under one lock */

/*
 * Value entries from *@index on, erased under one lock. Returns false when all
 * is done; else *@index is a line's, or the next to look at.
 */
static bool discard_values(struct pmon_space *space, unsigned long *index,
			   pgoff_t last, bool *stored)
{
	XA_STATE(xas, &space->lines, *index);
	unsigned int nr = 0;
	void *entry;

	xas_lock_bh(&xas);
	xas_for_each(&xas, entry, last) {
		*index = xas.xa_index;
		if (!xa_is_value(entry) || nr == VALUES_AT_ONCE)
			break;
		*stored |= pmon_entry_is_remote(entry);
		xas_store(&xas, NULL);
		nr++;
	}
	xas_unlock_bh(&xas);
	pmon_count_n(discards, nr);
	return entry;
}

/* Returns false: try the same index again. */
static bool discard_index(struct pmon_space *space, pgoff_t index, bool *stored)
{
	struct pmon_line *line, *release = NULL;
	struct page *busy = NULL;
	void *entry;

	xa_lock_bh(&space->lines);
	entry = xa_load(&space->lines, index);
	line = xa_is_value(entry) ? NULL : entry;
	/*
	 * While ours is in transfer its page is locked, so who shares it stays
	 * the same until that transfer clears line->io, under this xa_lock.
	 */
	if (line && line->space == space && line->io && !pmon_line_shared(line)) {
		__xa_erase(&space->lines, index);
		WRITE_ONCE(line->detached, true);
		*stored = true;
	} else if (line && !trylock_page(line->page)) {
		/*
		 * The evictor or a stale faulter has it, for a moment; or it is
		 * shared, and a transfer must end before it changes hands.
		 */
		busy = line->page;
		get_page(busy);
	} else if (entry) {
		__xa_erase(&space->lines, index);
		release = line;
		*stored |= line ? pmon_share_remote(line, space) :
				  pmon_entry_is_remote(entry);
	}
	xa_unlock_bh(&space->lines);

	if (busy) {
		folio_wait_locked(page_folio(busy));
		put_page(busy);
		return false;
	}
	if (!release)
		return true;
	/* MADV_DONTNEED: somebody may have mapped it since the zap. */
	if (page_mapped(release->page))
		unmap_mapping_pages(space->file->f_mapping, index, 1, false);
	if (pmon_share_leave(release, space))
		unlock_page(release->page);
	else
		pmon_line_release(release);
	return true;
}

/*
 * pmon_discard_range - forget the content of [@first, @last]
 *
 * Context: process; nothing can fault in the range. The caller tells the home
 * afterwards (pmon_changes_*): lines in flight are detached by then.
 * Return: whether the home stores, or is being sent, pages of the range.
 */
bool pmon_discard_range(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;
	bool stored = false;

	while (discard_values(space, &index, last, &stored)) {
		cond_resched();
		if (!discard_index(space, index, &stored))
			continue;
		pmon_count(discards);
		if (index++ == last)
			break;
	}
	return stored;
}

/* Without waiting and without touching space->lines. False: it takes more. */
static bool discard_line(struct pmon_space *space, pgoff_t index,
			 struct pmon_line *line)
{
	if (!trylock_page(line->page))
		return false;
	/* It may have been evicted just now. */
	if (!pmon_share_has(line, space, index) || pmon_share_leave(line, space))
		unlock_page(line->page);
	else
		pmon_line_release(line);
	return true;
}

/*
 * pmon_discard_lines - the address space is gone: give all its lines back
 *
 * Entries are left for xa_destroy(), nobody will look at them: see
 * pmon_region_forget_places().
 * Context: process, from exit_mmap(): nothing is mapped.
 */
void pmon_discard_lines(struct pmon_space *space)
{
	XA_STATE(xas, &space->lines, 0);
	unsigned int nr = 0, lines = 0;
	bool stored = false;
	pgoff_t index;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, ULONG_MAX) {
		if (xas_retry(&xas, entry))
			continue;
		index = xas.xa_index;
		if (!xa_is_value(entry) && !discard_line(space, index, entry)) {
			xas_pause(&xas);
			rcu_read_unlock();
			while (!discard_index(space, index, &stored))
				;
			rcu_read_lock();
		}
		lines += !xa_is_value(entry);
		if (++nr % VALUES_AT_ONCE)
			continue;
		xas_pause(&xas);
		rcu_read_unlock();
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	pmon_count_n(discards, lines);
}
