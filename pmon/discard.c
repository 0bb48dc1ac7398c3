// SPDX-License-Identifier: GPL-2.0
/*
 * Dropping the content of a range: munmap, MADV_DONTNEED, exit.
 *
 * A line that is being transferred is not waited for: it is taken out of
 * space->lines and marked, and its completion frees it (see internal.h).
 */
#include "internal.h"

/* Returns false: try the same index again. */
static bool discard_index(struct pmon_space *space, pgoff_t index, bool *stored)
{
	struct pmon_line *line, *release = NULL;
	struct page *busy = NULL;
	void *entry;

	xa_lock_bh(&space->lines);
	entry = xa_load(&space->lines, index);
	line = xa_is_value(entry) ? NULL : entry;
	if (line && !line->io && !trylock_page(line->page)) {
		/* The evictor or a stale faulter has it, for a moment. */
		busy = line->page;
		get_page(busy);
	} else if (line && line->io) {
		__xa_erase(&space->lines, index);
		WRITE_ONCE(line->detached, true);
		*stored = true;
	} else if (entry) {
		__xa_erase(&space->lines, index);
		release = line;
		*stored |= line ? line->remote : pmon_entry_is_remote(entry);
	}
	xa_unlock_bh(&space->lines);

	if (busy) {
		folio_wait_locked(page_folio(busy));
		put_page(busy);
		return false;
	}
	if (release) {
		/* MADV_DONTNEED: somebody may have mapped it since the zap. */
		if (page_mapped(release->page))
			unmap_mapping_pages(space->file->f_mapping, index, 1,
					    false);
		pmon_line_release(release);
	}
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

	while (xa_find(&space->lines, &index, last, XA_PRESENT)) {
		if (!discard_index(space, index, &stored))
			continue;
		pmon_count(discards);
		if (index++ == last)
			break;
		cond_resched();
	}
	return stored;
}
