// SPDX-License-Identifier: GPL-2.0
/*
 * Standby: lines whose page is stored and mapped nowhere, and which still have it.
 *
 * The evictor works ahead of the faults, since writing back takes long. A line that it
 * has done with need not be empty until somebody wants it: it stays in its space's
 * xarray, and a fault that comes for its page finds it there and takes it back
 * (rescue), without a transfer. Who needs a line and finds none free takes the oldest
 * on standby out of their space (reclaim), which takes no transfer either. So all of a
 * budget caches, but for a few lines.
 *
 * A line on standby is charged to its budget, and off the replacement list. It is clean,
 * not shared and held by nobody when it comes here. Fork and mlock() may change that
 * without a fault, and a page's memory may fail: reclaim looks again.
 *
 * line->standby changes under the page lock and lru_lock, so that either will do to
 * read it. Whoever maps a line, with its page locked, rescues it before. Whoever ends a
 * line takes it off by pmon_budget_unlink(), as from the replacement list.
 */
#include "internal.h"

#define RECLAIM_BATCH	8	/* lines at a time, for one who needs one */
#define READY		4	/* with fewer free, a miss makes some more free */

static atomic_long_t total = ATOMIC_LONG_INIT(0);

/* pmon_standby_total - lines on standby, of all budgets */
unsigned long pmon_standby_total(void)
{
	return atomic_long_read(&total);
}

/*
 * pmon_standby_add - the lines may go, their content is stored
 * @line: of @budget; their page locks are dropped
 *
 * Context: the evictor of @budget, which keeps it.
 */
void pmon_standby_add(struct pmon_budget *budget, struct pmon_line **line,
		      unsigned int nr)
{
	unsigned int i;

	if (!nr)
		return;
	spin_lock_bh(&budget->lru_lock);
	for (i = 0; i < nr; i++) {
		pmon_order_remove(&budget->order, &line[i]->entry);
		list_add_tail(&line[i]->entry, &budget->standby);
		line[i]->standby = true;
	}
	WRITE_ONCE(budget->nr_standby, budget->nr_standby + nr);
	spin_unlock_bh(&budget->lru_lock);
	atomic_long_add(nr, &total);
	for (i = 0; i < nr; i++)
		unlock_page(line[i]->page);
	pmon_lines_wake(budget);
}

/* pmon_standby_off - the line goes elsewhere. Context: page locked, lru_lock held. */
void pmon_standby_off(struct pmon_line *line)
{
	struct pmon_budget *budget = line->budget;

	lockdep_assert_held(&budget->lru_lock);
	list_del_init(&line->entry);
	line->standby = false;
	WRITE_ONCE(budget->nr_standby, budget->nr_standby - 1);
	atomic_long_dec(&total);
}

/*
 * pmon_standby_rescue - somebody came for the page: the line is as one just fetched
 * Context: page locked, line->standby.
 */
void pmon_standby_rescue(struct pmon_line *line)
{
	struct pmon_budget *budget = line->budget;

	spin_lock_bh(&budget->lru_lock);
	pmon_standby_off(line);
	pmon_order_insert(&budget->order, &line->entry);
	spin_unlock_bh(&budget->lru_lock);
	pmon_count(rescues);
}

/* The oldest that can be locked, of one space. Return: how many. */
static unsigned int lock_oldest(struct pmon_budget *budget, struct pmon_line **line)
{
	unsigned int nr = 0, scanned = 0;
	struct pmon_line *next;

	spin_lock_bh(&budget->lru_lock);
	list_for_each_entry(next, &budget->standby, entry) {
		if (nr == RECLAIM_BATCH || scanned++ == 4 * RECLAIM_BATCH)
			break;
		if (!trylock_page(next->page))
			continue;
		if (nr && next->space != line[0]->space) {
			unlock_page(next->page);
			break;
		}
		line[nr++] = next;
	}
	spin_unlock_bh(&budget->lru_lock);
	return nr;
}

/* May it still go? If not, it is dealt with, and unlocked. */
static bool may_go(struct pmon_line *line)
{
	if (unlikely(PageHWPoison(line->page)) && !pmon_line_shared(line)) {
		pmon_poison_evict(line);
		return false;
	}
	/* Not stored, or not only ours any more: the evictor's again. */
	if (unlikely(pmon_line_shared(line)) || unlikely(READ_ONCE(line->locked)) ||
	    unlikely(PageDirty(line->page))) {
		pmon_standby_rescue(line);
		unlock_page(line->page);
		return false;
	}
	/* Whoever looks at the page just now is gone in a moment. */
	if (pmon_line_pinned(line)) {
		unlock_page(line->page);
		return false;
	}
	return true;
}

/* Return: how many lines became free. */
static unsigned int reclaim(struct pmon_budget *budget)
{
	struct pmon_line *line[RECLAIM_BATCH];
	unsigned int i, locked, nr = 0;
	struct pmon_space *space;

	if (!READ_ONCE(budget->nr_standby))
		return 0;
	locked = lock_oldest(budget, line);
	for (i = 0; i < locked; i++)
		if (may_go(line[i]))
			line[nr++] = line[i];
	if (!nr)
		return 0;
	space = line[0]->space;
	pmon_space_get(space);
	pmon_lines_unpublish(space, line, nr);
	pmon_lines_release(line, nr);
	pmon_space_put(space);
	return nr;
}

/*
 * pmon_standby_reclaim - make lines free for @budget
 *
 * Its own; but if it is the pool that has run out, another's as well.
 * Context: process; does not sleep. Page locks may be held: others are only tried.
 * Return: whether some became free, which others may have taken since.
 */
bool pmon_standby_reclaim(struct pmon_budget *budget)
{
	struct pmon_budget *other;
	bool freed;

	if (reclaim(budget))
		return true;
	if (READ_ONCE(budget->used) >= budget->limit)
		return false;
	other = pmon_budget_get_standby();
	if (!other)
		return false;
	freed = reclaim(other);
	pmon_budget_put(other);
	return freed;
}

/* pmon_standby_refill - see to it that the next ones find a free line */
void pmon_standby_refill(struct pmon_budget *budget)
{
	if (budget->limit - READ_ONCE(budget->used) < READY ||
	    pmon_pool_free() < READY)
		reclaim(budget);
}
