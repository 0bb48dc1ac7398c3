// SPDX-License-Identifier: GPL-2.0
/*
 * Eviction: one work item for each budget keeps free lines between two
 * watermarks, so that a fault normally finds one.
 *
 * A round takes lines whose turn it is (order.h) and that it can lock, and looks
 * which of them were touched since the last look (young.c). The others are
 * unmapped, runs of neighbours at a time (no mmap_lock is needed for that:
 * unmap_mapping_pages() walks the mapping). Then each is
 *   touched	kept (LRU: at the young end; SIEVE: where it is; FIFO: not at all)
 *   pinned	(someone holds the page) kept likewise,
 *   clean	freed, its entry becomes "stored at home" or absent,
 *   dirty	sent to its home with others of its region, then freed.
 *
 * What is touched between look and unmapping is seen as well: unmapping a page
 * whose entry is young sets PG_referenced, provided that it was clear; the fault
 * path clears it. The access that brought a page in counts as one.
 *
 * A line shared after a fork goes to the next sharer instead of the free list.
 *
 * Locks: pages only by trylock. stream_lock only by trylock as well, since fork
 * takes page locks while it holds the stream.
 */
#include <linux/delay.h>

#include "internal.h"
#include "trace.h"

/*
 * All of a round go in one flush: who is locked, without being marked as in transfer,
 * while the home is waited for would have to be waited for by whoever discards it
 * (munmap, exit), unkillably.
 */
#define EVICT_BATCH	PMON_FLUSH_MAX
#define IDLE_MS		20		/* between rounds that freed nothing */
#define STALL_ROUNDS	100		/* of refused flushes: give up */
#define PIN_ROUNDS	1500		/* of nothing but pinned lines: the same */

static enum pmon_policy policy = PMON_SIEVE;

static const char *const policy_names[PMON_NR_POLICIES] = {
	[PMON_FIFO] = "fifo",
	[PMON_LRU] = "lru",
	[PMON_SIEVE] = "sieve",
};

/* pmon_policy_now - the policy just now; may change from one call to the next */
enum pmon_policy pmon_policy_now(void)
{
	return READ_ONCE(policy);
}

int pmon_policy_set(const char *name)
{
	int i = match_string(policy_names, PMON_NR_POLICIES, name);

	if (i < 0)
		return -EINVAL;
	WRITE_ONCE(policy, i);
	return 0;
}

const char *pmon_policy_name(void)
{
	return policy_names[pmon_policy_now()];
}

struct batch {
	unsigned int nr;
	struct pmon_line *line[EVICT_BATCH];
};

/*
 * Lock the lines whose turn it is; they stay on the list, only we are its
 * evictor. Of one region only: while its home does not answer, no other's lines
 * are locked. The others' turn comes in a later round.
 */
static void batch_lock(struct pmon_budget *budget, struct batch *batch)
{
	enum pmon_policy now = pmon_policy_now();
	struct list_head *entry, *next;
	unsigned int scanned = 0, max;
	struct pmon_line *line;

	/* No more than are wanted: a small budget is not emptied at one go. */
	max = min_t(unsigned long, EVICT_BATCH, pmon_budget_high(budget));
	batch->nr = 0;
	spin_lock_bh(&budget->lru_lock);
	entry = pmon_order_first(&budget->order, now);
	/* SIEVE goes round a short list more than once: then trylock fails. */
	while (entry && batch->nr < max && scanned++ < 4 * EVICT_BATCH) {
		next = pmon_order_next(&budget->order, now, entry);
		line = list_entry(entry, struct pmon_line, entry);
		pmon_order_looked(&budget->order, now, entry);
		if (!trylock_page(line->page))
			pmon_order_keep(&budget->order, now, entry);
		else if (batch->nr && line->region != batch->line[0]->region)
			unlock_page(line->page);
		else
			batch->line[batch->nr++] = line;
		entry = next;
	}
	spin_unlock_bh(&budget->lru_lock);
}

static void unmap(struct pmon_space *space, pgoff_t first, pgoff_t nr)
{
	unmap_mapping_pages(space->file->f_mapping, first, nr, false);
	pmon_count(unmap_calls);
}

/* What was touched is marked referenced. */
static void batch_look(struct batch *batch)
{
	struct pmon_young young;
	unsigned int i;

	if (!batch->nr || pmon_policy_now() == PMON_FIFO)
		return;
	pmon_young_begin(&young, batch->line[0]->space);
	for (i = 0; i < batch->nr; i++) {
		struct page *page = batch->line[i]->page;

		if (page_mapped(page) && pmon_young_test(&young, batch->line[i]))
			folio_set_referenced(page_folio(page));
	}
	pmon_young_end(&young);
}

/* Those that are to go: one unmapping, with one TLB flush, for each run. */
static void batch_unmap(struct batch *batch, bool all)
{
	struct pmon_line *victim[EVICT_BATCH];
	unsigned int i, at, run, nr = 0;

	/* Sorted as they come: mostly they are in order. */
	for (i = 0; i < batch->nr; i++) {
		struct page *page = batch->line[i]->page;

		if (!page_mapped(page) ||
		    (!all && !PageHWPoison(page) &&
		     folio_test_referenced(page_folio(page))))
			continue;
		for (at = nr++; at && victim[at - 1]->page->index > page->index;
		     at--)
			victim[at] = victim[at - 1];
		victim[at] = batch->line[i];
	}
	for (i = 0; i < nr; i += run) {
		pgoff_t first = victim[i]->page->index;

		for (run = 1; i + run < nr; run++)
			if (victim[i + run]->page->index != first + run)
				break;
		unmap(victim[i]->space, first, run);
	}
}

static void keep(struct pmon_line *line)
{
	pmon_budget_keep(line->budget, line);
	unlock_page(line->page);
}

/*
 * Its space no longer has the line. Return: 1: it is free; 0: others of a fork
 * have it still.
 */
static unsigned int let_go(struct pmon_line *line, struct pmon_space *space)
{
	if (pmon_share_leave(line, space)) {
		keep(line);
		return 0;
	}
	pmon_count(evictions);
	pmon_line_release(line);
	return 1;
}

static unsigned int evict_to(struct pmon_line *line, void *entry)
{
	struct pmon_space *space = line->space;
	unsigned int freed;

	/* Out of the xarray, the line no longer keeps the space. */
	pmon_space_get(space);
	xa_lock_bh(&space->lines);
	if (entry)
		__xa_store(&space->lines, line->page->index,
			   pmon_line_entry(line, entry), GFP_NOWAIT);
	else
		__xa_erase(&space->lines, line->page->index);
	xa_unlock_bh(&space->lines);
	freed = let_go(line, space);
	pmon_space_put(space);
	return freed;
}

static void begin_io(struct pmon_line *line)
{
	xa_lock_bh(&line->space->lines);
	line->io = true;
	xa_unlock_bh(&line->space->lines);
}

/* After the batch: was it stored, and may the line go? Returns lines freed. */
static unsigned int end_io(struct pmon_line *line, int err)
{
	struct pmon_space *space = line->space;
	void *entry = NULL;
	bool detached;

	if (err && READ_ONCE(line->region->lost))
		entry = PMON_ENTRY_LOST;
	else if (!err && !pmon_line_pinned(line))
		entry = PMON_ENTRY_STORED;

	xa_lock_bh(&space->lines);
	line->io = false;
	detached = line->detached;
	if (entry && !detached)
		__xa_store(&space->lines, line->page->index,
			   pmon_line_entry(line, entry), GFP_NOWAIT);
	xa_unlock_bh(&space->lines);

	if (detached || entry)
		return let_go(line, space);
	if (err) {
		SetPageDirty(line->page);
	} else {
		/* A faulter came for it meanwhile: keep it, clean. */
		line->remote = true;
	}
	keep(line);
	return 0;
}

static unsigned int flush_batch(struct pmon_flush *flush)
{
	struct pmon_region *region = flush->region;
	unsigned int i, freed = 0;
	int err = -EBUSY;

	if (!flush->nr)
		return 0;
	if (mutex_trylock(&region->stream_lock)) {
		err = pmon_clone_settle(region, true);
		if (!err)
			err = pmon_flush_send(flush);
		else
			pmon_flush_fail(flush, err);
		mutex_unlock(&region->stream_lock);
	}
	/* Busy means that fork has the stream for the moment; the rest is news. */
	if (err && err != -EBUSY)
		region->space->budget->refused = true;
	for (i = 0; i < flush->nr; i++)
		freed += end_io(flush->line[i], flush->err[i]);
	flush->nr = 0;
	pmon_region_put(region);
	return freed;
}

static void flush_line(struct pmon_flush *flush, struct pmon_line *line)
{
	if (!flush->nr) {
		flush->region = line->region;
		/* Detached lines no longer keep the space: the batch does. */
		pmon_region_get(line->region);
	}
	begin_io(line);
	ClearPageDirty(line->page);
	pmon_flush_add(flush, line, pmon_line_sge(line),
		       pmon_page_sum(line->page));
}

/*
 * Was it touched? Then it is still mapped, unless that was between look and
 * unmapping; and what is mapped stays, whatever the policy has become meanwhile.
 */
static bool spared(struct page *page, bool force)
{
	bool touched = folio_test_clear_referenced(page_folio(page));

	if (touched)
		pmon_line_touched(pmon_page_line(page));
	return page_mapped(page) ||
	       (!force && pmon_order_spares(pmon_policy_now(), touched));
}

/* One locked line. Returns how many lines became free. */
static unsigned int evict_line(struct pmon_budget *budget,
			       struct pmon_line *line, bool force)
{
	struct page *page = line->page;

	if (unlikely(READ_ONCE(line->locked))) {
		pmon_count(locked_skips);
		keep(line);
		return 0;
	}
	/* If it failed just now it may be mapped: next time. */
	if (unlikely(PageHWPoison(page)) && !page_mapped(page)) {
		if (pmon_line_shared(line)) {
			keep(line);
			return 0;
		}
		pmon_poison_evict(line);
		return 1;
	}
	if (spared(page, force)) {
		pmon_count(rotations);
		keep(line);
		return 0;
	}
	if (pmon_line_pinned(line)) {
		pmon_count(pinned_skips);
		budget->pinned++;
		keep(line);
		return 0;
	}
	if (PageDirty(page)) {
		if (READ_ONCE(line->region->lost))
			return evict_to(line, PMON_ENTRY_LOST);
		flush_line(budget->flush, line);
		return 0;
	}
	pmon_count(evictions_clean);
	return evict_to(line, line->remote ? PMON_ENTRY_STORED : NULL);
}

static unsigned int evict_round(struct pmon_budget *budget, bool force)
{
	struct batch batch;
	unsigned int i, freed = 0;

	batch_lock(budget, &batch);
	if (!force)
		batch_look(&batch);
	batch_unmap(&batch, force || pmon_policy_now() == PMON_FIFO);
	budget->refused = false;
	budget->pinned = 0;
	for (i = 0; i < batch.nr; i++)
		freed += evict_line(budget, batch.line[i], force);
	freed += flush_batch(budget->flush);
	if (budget->pinned < batch.nr)
		budget->pinned = 0;
	return freed;
}

static bool needs_lines(struct pmon_budget *budget)
{
	if (!READ_ONCE(budget->used))
		return false;
	return budget->limit - READ_ONCE(budget->used) < pmon_budget_high(budget) ||
	       pmon_pool_free() < min(pmon_budget_high(budget),
				      pmon_pool_total() / 8);
}

/* pmon_evict_work - bring a budget above its high watermark */
void pmon_evict_work(struct work_struct *work)
{
	struct pmon_budget *budget = container_of(work, struct pmon_budget,
						  evict_work);
	unsigned long scanned = 0;
	unsigned int freed, idle = 0;

	while (needs_lines(budget)) {
		/* Two passes over the list: one clears, one finds. */
		freed = evict_round(budget, scanned > 2 * budget->limit);
		scanned += EVICT_BATCH;
		cond_resched();
		if (freed) {
			scanned = 0;
			idle = 0;
			WRITE_ONCE(budget->stalled, PMON_STALL_NONE);
			continue;
		}
		if (scanned <= 3 * budget->limit)
			continue;
		/*
		 * Everything is in flight, pinned, or refused. What is in
		 * flight comes back; memory hosts that refuse pages may not,
		 * nor the pins of somebody who waits for a line to pin more.
		 */
		idle = budget->refused || budget->pinned ? idle + 1 : 0;
		if (idle == (budget->pinned ? PIN_ROUNDS : STALL_ROUNDS)) {
			WRITE_ONCE(budget->stalled, budget->pinned ?
				   PMON_STALL_PINNED : PMON_STALL_REFUSED);
			wake_up_all(&budget->free_wait);
			pr_err_ratelimited("no line of %lu could be freed: %s\n",
					   budget->used,
					   budget->pinned ? "all are pinned" :
					   "memory hosts refuse dirty pages");
			break;
		}
		msleep(IDLE_MS);
	}
	pmon_budget_calm(budget);
}
