// SPDX-License-Identifier: GPL-2.0
/*
 * Dropping the content of a range: munmap, MADV_DONTNEED, exit.
 *
 * A line that is being transferred is not waited for: it is taken out of
 * space->lines and marked, and its completion frees it (see internal.h).
 */
#include "internal.h"

/* Returns false: try the same index again. */
static bool discard_index(struct pmon_space *space, pgoff_t index)
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
	} else if (entry) {
		__xa_erase(&space->lines, index);
		release = line;
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

static bool entry_stored(void *entry)
{
	struct pmon_line *line = entry;

	if (!entry || xa_is_value(entry))
		return pmon_entry_is_remote(entry);
	return READ_ONCE(line->remote) || READ_ONCE(line->io);
}

/*
 * pmon_range_stored - does the home store pages of [@first, @last]?
 *
 * May miss one that is being stored just now; what is left at the home then is
 * never asked for, and goes with the mapping.
 */
bool pmon_range_stored(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	unsigned long index;
	void *entry;

	xa_for_each_range(&space->lines, index, entry, first, last)
		if (entry_stored(entry))
			return true;
	return false;
}

/*
 * pmon_discard_range - forget the content of [@first, @last]
 *
 * Context: process; the caller tells the home (pmon_changes_*).
 */
void pmon_discard_range(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	while (xa_find(&space->lines, &index, last, XA_PRESENT)) {
		if (!discard_index(space, index))
			continue;
		pmon_count(discards);
		if (index++ == last)
			break;
		cond_resched();
	}
}
