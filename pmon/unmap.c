// SPDX-License-Identifier: GPL-2.0
/*
 * Unmapping of lines that are to be evicted.
 *
 * unmap_mapping_pages() flushes TLBs before it returns, so lines that are no neighbours
 * would interrupt all CPUs of the process once each. The core's reclaim puts the
 * flush off until a batch of pages is unmapped. That way is not exported; hook.h says
 * how it is called. It walks from the root of the page tables for each page, so long
 * runs of neighbours are left to unmap_mapping_pages(): a flush more, but a walk for all.
 *
 * Until the flush a processor may still write to such a page, by an entry that its TLB
 * has as dirty; then PG_dirty was set when the page was unmapped. So nobody may look at
 * content or PG_dirty, or give the page away, before it. Who changes page tables of
 * the range meanwhile sees mm->tlb_flush_batched and flushes himself.
 */
#include <linux/rmap.h>

#include "hook.h"
#include "internal.h"

/*
 * With one CPU a run of 3 is about even: 1,100 instructions for a call and 560 a
 * page, against 1,040 a page. The interrupts of a flush are worth some thousand more.
 */
#define LONG_RUN	16

PMON_CALLS(void, try_to_unmap, struct folio *folio, enum ttu_flags flags);
PMON_CALLED(try_to_unmap, "try_to_unmap", "void try_to_unmap(struct folio *, enum ttu_flags)");

PMON_CALLS(void, try_to_unmap_flush, void);
PMON_CALLED(try_to_unmap_flush, "try_to_unmap_flush", "void try_to_unmap_flush(void)");

static void sort(struct pmon_line **line, unsigned int nr)
{
	unsigned int i, at;

	/* Mostly they are in order. */
	for (i = 1; i < nr; i++) {
		struct pmon_line *one = line[i];

		for (at = i; at && line[at - 1]->page->index > one->page->index; at--)
			line[at] = line[at - 1];
		line[at] = one;
	}
}

static unsigned int run_length(struct pmon_line **line, unsigned int nr)
{
	unsigned int run = 1;

	while (run < nr && line[run]->page->index == line[0]->page->index + run)
		run++;
	return run;
}

static void unmap_run(struct pmon_line **line, unsigned int nr)
{
	unmap_mapping_pages(line[0]->space->file->f_mapping, line[0]->page->index, nr, false);
	pmon_count(unmap_calls);
}

/* What the entries say about accesses is lost. */
static void unmap_each(struct pmon_line **line, unsigned int nr)
{
	struct address_space *mapping = line[0]->space->file->f_mapping;
	unsigned int i;

	i_mmap_lock_read(mapping);
	for (i = 0; i < nr; i++)
		/* Locked lines are not chosen; what was locked just now faults once more. */
		original_try_to_unmap(page_folio(line[i]->page),
				      TTU_RMAP_LOCKED | TTU_BATCH_FLUSH | TTU_IGNORE_MLOCK);
	i_mmap_unlock_read(mapping);
	original_try_to_unmap_flush();
	pmon_count(unmap_calls);
}

/*
 * pmon_unmap - unmap lines
 * @line: of one space, their pages locked; sorted by index and otherwise rearranged
 * @nr: so many
 *
 * A line may stay mapped if somebody else takes its entry away just then.
 *
 * Context: process; i_mmap_rwsem is not held. No TLB has them on return.
 */
void pmon_unmap(struct pmon_line **line, unsigned int nr)
{
	unsigned int i, run, nr_single = 0;

	sort(line, nr);
	for (i = 0; i < nr; i += run) {
		run = run_length(&line[i], nr - i);
		if (run >= LONG_RUN) {
			unmap_run(&line[i], run);
			continue;
		}
		memmove(&line[nr_single], &line[i], run * sizeof(*line));
		nr_single += run;
	}
	if (nr_single)
		unmap_each(line, nr_single);
}
