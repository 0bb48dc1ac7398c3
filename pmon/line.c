// SPDX-License-Identifier: GPL-2.0
/*
 * The ExCache pool: a fixed set of pages, each with its struct pmon_line.
 *
 * The pool holds one reference to each page from load to unload, so a page is
 * free for reuse when the page count is 1. Users who still hold a page of a
 * discarded line (a direct I/O under way, a pipe it was spliced into) keep it
 * on the zombie list, charged to nobody, until they let go.
 *
 * A page whose memory failed leaves the pool for good when its line is free.
 *
 * Exactness: lines in = lines out. pool.lock covers the free list, the zombie
 * list and every budget's used count, so that sum(used) + free + zombies +
 * poisoned is the size of the pool whenever the lock is not held.
 */
#include <linux/vmalloc.h>

#include "internal.h"

#define ZOMBIE_INTERVAL	(HZ / 10)

static struct {
	spinlock_t lock;	/* protects all of it and budget->used */
	struct list_head free;
	struct list_head zombies;
	unsigned long nr_free;
	unsigned long nr_zombies;
	unsigned long nr_poisoned;
	unsigned long total;
	unsigned long peak;
	struct pmon_line *lines;
	struct lite_region *region;
	struct delayed_work zombie_work;
} pool;

unsigned long pmon_pool_total(void)
{
	return pool.total - READ_ONCE(pool.nr_poisoned);
}

unsigned long pmon_pool_free(void)
{
	return READ_ONCE(pool.nr_free);
}

unsigned long pmon_pool_peak(void)
{
	return READ_ONCE(pool.peak);
}

/* Faults whose budget has room, but not the pool: any budget's line helps them. */
static DECLARE_WAIT_QUEUE_HEAD(pool_wait);

/*
 * pmon_lines_wait - where to wait for pmon_budget_may_alloc()
 *
 * Who waits has another look after a while: its case may change meanwhile.
 */
wait_queue_head_t *pmon_lines_wait(struct pmon_budget *budget)
{
	return READ_ONCE(budget->used) < budget->limit ? &pool_wait : &budget->free_wait;
}

static void pool_wake(void)
{
	if (wq_has_sleeper(&pool_wait))
		wake_up_all(&pool_wait);
}

/*
 * pmon_lines_wake - a line of @budget is free or on standby, or there is no hope of one
 * Context: any.
 */
void pmon_lines_wake(struct pmon_budget *budget)
{
	if (wq_has_sleeper(&budget->free_wait))
		wake_up_all(&budget->free_wait);
	pool_wake();
}

/* pmon_line_sge - the line's page for a transfer */
struct lite_sge pmon_line_sge(struct pmon_line *line)
{
	return (struct lite_sge){ .region = pool.region, .page = line->index };
}

/* pmon_budget_may_alloc - would pmon_line_alloc() succeed just now? */
bool pmon_budget_may_alloc(struct pmon_budget *budget)
{
	if (READ_ONCE(budget->nr_standby))
		return true;
	return READ_ONCE(budget->used) < budget->limit &&
	       (READ_ONCE(pool.nr_free) || pmon_standby_total());
}

/* pmon_pool_line - the line whose page this is; NULL if it is none of ours */
struct pmon_line *pmon_pool_line(struct page *page)
{
	unsigned long offset = page_private(page) - (unsigned long)pool.lines;
	struct pmon_line *line;

	if (offset >= pool.total * sizeof(*line) || offset % sizeof(*line))
		return NULL;
	line = &pool.lines[offset / sizeof(*line)];
	return line->page == page ? line : NULL;
}

/* What failed while it was free, and is next, goes for good. pool.lock held. */
static void drop_poisoned(void)
{
	struct pmon_line *line;

	while ((line = list_first_entry_or_null(&pool.free, struct pmon_line,
						entry)) &&
	       unlikely(PageHWPoison(line->page))) {
		list_del_init(&line->entry);
		pool.nr_free--;
		pool.nr_poisoned++;
	}
}

/* The head of the free list becomes @budget's. pool.lock held. */
static struct pmon_line *take_line(struct pmon_budget *budget)
{
	struct pmon_line *line = list_first_entry(&pool.free, struct pmon_line,
						  entry);

	list_del_init(&line->entry);
	pool.nr_free--;
	pool.peak = max(pool.peak, pool.total - pool.nr_free);
	budget->used++;
	budget->peak = max(budget->peak, budget->used);
	line->budget = budget;
	return line;
}

/* pmon_budget_room - lines that @budget may still take, those on standby included */
unsigned long pmon_budget_room(const struct pmon_budget *budget)
{
	return budget->limit - READ_ONCE(budget->used) +
	       READ_ONCE(budget->nr_standby);
}

/* What all budgets together may still take. */
static unsigned long pool_room(void)
{
	return READ_ONCE(pool.nr_free) + pmon_standby_total();
}

/*
 * pmon_budget_below - is there room for less than @mark lines, or less than 1/@part
 * of the pool's? A snapshot. Context: any.
 */
bool pmon_budget_below(const struct pmon_budget *budget, unsigned long mark,
		       unsigned int part)
{
	return pmon_budget_room(budget) < mark ||
	       pool_room() < min(mark, pmon_pool_total() / part);
}

/* A free line, or NULL; with its page locked if it is for something that can do without. */
static struct pmon_line *take_free(struct pmon_budget *budget, bool spare)
{
	struct pmon_line *line = NULL;

	spin_lock_bh(&pool.lock);
	drop_poisoned();
	/* A stale faulter may have the first page locked, for a moment. */
	if (budget->used < budget->limit && pool.nr_free &&
	    (!spare || trylock_page(list_first_entry(&pool.free, struct pmon_line,
						     entry)->page)))
		line = take_line(budget);
	spin_unlock_bh(&pool.lock);
	return line;
}

/*
 * pmon_line_alloc - take a line that is free, or on standby, and charge it
 *
 * Wakes the budget's evictor when it leaves fewer than budget->low lines.
 * Context: process, does not sleep. Return: line or NULL.
 */
struct pmon_line *pmon_line_alloc(struct pmon_budget *budget)
{
	struct pmon_line *line;

	do {
		line = take_free(budget, false);
		/* What is made free may be another's before we look again. */
	} while (unlikely(!line) && pmon_standby_reclaim(budget));
	if (pmon_budget_below(budget, pmon_budget_low(budget), 16))
		pmon_budget_need_lines(budget);
	return line;
}

/*
 * pmon_budget_spare - lines that nobody will miss: a quarter of the lower
 * watermark stays for faults. A snapshot, without the lock.
 */
unsigned long pmon_budget_spare(struct pmon_budget *budget)
{
	unsigned long reserve = pmon_budget_low(budget) / 4;
	unsigned long room = min(pmon_budget_room(budget), pool_room());

	return room > reserve ? room - reserve : 0;
}

/*
 * pmon_line_alloc_spare - take a line for something that can do without
 *
 * Wakes the evictor at its upper watermark: a window may take all that is left
 * above the lower one before the evictor gets to run.
 * Context: process, does not sleep. Return: line with its page locked, or NULL.
 */
struct pmon_line *pmon_line_alloc_spare(struct pmon_budget *budget)
{
	struct pmon_line *line = NULL;

	if (pmon_budget_spare(budget)) {
		line = take_free(budget, true);
		if (!line && pmon_standby_reclaim(budget))
			line = take_free(budget, true);
	}
	if (pmon_budget_below(budget, pmon_budget_high(budget), 8))
		pmon_budget_need_lines(budget);
	return line;
}

/*
 * Uncharge; the page goes to the free list, or waits for its last user. pool.lock
 * held. Return: whether it waits.
 */
static bool line_return(struct pmon_line *line)
{
	bool zombie = pmon_line_pinned(line);

	line->budget->used--;
	line->budget = NULL;
	if (unlikely(PageHWPoison(line->page)) && !zombie) {
		pool.nr_poisoned++;
	} else if (zombie) {
		list_add_tail(&line->entry, &pool.zombies);
		pool.nr_zombies++;
	} else {
		/* Last in, first out: its page is the one still in the caches. */
		list_add(&line->entry, &pool.free);
		pool.nr_free++;
	}
	return zombie;
}

/* All of @budget. */
static void lines_return(struct pmon_budget *budget, struct pmon_line **line,
			 unsigned int nr)
{
	bool zombies = false;
	unsigned int i;

	spin_lock_bh(&pool.lock);
	for (i = 0; i < nr; i++)
		zombies |= line_return(line[i]);
	spin_unlock_bh(&pool.lock);
	if (zombies)
		queue_delayed_work(pmon_wq, &pool.zombie_work, ZOMBIE_INTERVAL);
	pmon_lines_wake(budget);
}

/*
 * pmon_line_prepare - make a fresh line ready for publication
 *
 * Locks the page; stale faulters may hold that lock, or a reference, for a
 * moment and let go when they see that the line is not theirs.
 */
void pmon_line_prepare(struct pmon_line *line, struct pmon_region *region,
		       pgoff_t index)
{
	lock_page(line->page);
	pmon_line_setup(line, region, index);
}

/* pmon_line_setup - the rest of pmon_line_prepare(), with the page locked */
void pmon_line_setup(struct pmon_line *line, struct pmon_region *region,
		     pgoff_t index)
{
	struct pmon_space *space = region->space;
	struct page *page = line->page;

	line->space = space;
	line->region = region;
	page->mapping = space->file->f_mapping;
	page->index = index;
	atomic_long_inc(&space->resident);
	pmon_budget_insert(line->budget, line);
}

/* What takes a line's place in its space. Dirty ones go only if the home is lost. */
static void *what_remains(const struct pmon_line *line)
{
	if (PageDirty(line->page))
		return PMON_ENTRY_LOST;
	return line->remote ? pmon_line_entry(line, PMON_ENTRY_STORED) : NULL;
}

/*
 * pmon_lines_at - the entry of a space at @index, where one after the other is asked for
 * @xas: of space->lines
 *
 * Neighbours are had without a walk from the root for each. A state that has not been
 * walked yet has no next: xas_next() would stay where it is.
 * Context: the lock of space->lines.
 */
void *pmon_lines_at(struct xa_state *xas, pgoff_t index)
{
	if (xas_valid(xas) && index == xas->xa_index + 1)
		return xas_next(xas);
	xas_set(xas, index);
	return xas_load(xas);
}

/* pmon_lines_peek - the same under RCU: it may have changed when this returns */
void *pmon_lines_peek(struct xa_state *xas, pgoff_t index)
{
	void *entry;

	do {
		entry = pmon_lines_at(xas, index);
		if (xa_is_zero(entry))
			entry = NULL;
	} while (xas_retry(xas, entry));
	return entry;
}

/*
 * pmon_lines_unpublish - what remains of evicted lines takes their place
 *
 * Replaces entries that are there: allocates nothing. Those that were detached have
 * none. The lines no longer keep the space after this.
 * Context: their page locks held, mapped nowhere.
 */
void pmon_lines_unpublish(struct pmon_space *space, struct pmon_line **line,
			  unsigned int nr)
{
	XA_STATE(xas, &space->lines, line[0]->page->index);
	unsigned int i;

	xas_lock_bh(&xas);
	for (i = 0; i < nr; i++) {
		if (line[i]->detached)
			continue;
		pmon_lines_at(&xas, line[i]->page->index);
		xas_store(&xas, what_remains(line[i]));
	}
	xas_unlock_bh(&xas);
}

/* Nothing of what it was may be seen of what it will be. Drops the page lock. */
static void line_clear(struct pmon_line *line)
{
	struct page *page = line->page;

	WARN_ON_ONCE(!PageLocked(page) || pmon_line_shared(line));
	/* Mapped by a neighbour's fault: what unmapping it said of it. */
	if (folio_test_referenced(page_folio(page)))
		pmon_line_touched(line);
	if (line->prefetched) {
		line->prefetched = false;
		pmon_count(prefetch_wasted);
	}
	pmon_unlock_line(line);
	atomic_long_dec(&line->space->resident);
	line->space = NULL;
	line->remote = false;
	/* Else its next page would be written where this one is stored. */
	line->copy = pmon_copy_of(0);
	line->started = 0;
	line->io = false;
	line->detached = false;
	page->mapping = NULL;
	page->index = 0;
	ClearPageDirty(page);
	ClearPageUptodate(page);
	folio_clear_referenced(page_folio(page));
	folio_clear_active(page_folio(page));
	unlock_page(page);
}

/*
 * pmon_lines_release - end of prepared lines, all of one budget
 *
 * The caller holds the page locks; the lines are not in space->lines (never were,
 * or removed, or detached) and mapped nowhere. Drops the page locks. The caller
 * has a reference to the space, or the mm has one.
 * Context: process or softirq.
 */
void pmon_lines_release(struct pmon_line **line, unsigned int nr)
{
	struct pmon_budget *budget;
	unsigned int i;

	if (!nr)
		return;
	budget = line[0]->budget;
	pmon_budget_unlink(budget, line, nr);
	for (i = 0; i < nr; i++)
		line_clear(line[i]);
	lines_return(budget, line, nr);
}

/* pmon_line_release - the same of one line */
void pmon_line_release(struct pmon_line *line)
{
	pmon_lines_release(&line, 1);
}

static void zombie_work(struct work_struct *work)
{
	struct pmon_line *line, *next;
	bool left;

	spin_lock_bh(&pool.lock);
	list_for_each_entry_safe(line, next, &pool.zombies, entry) {
		if (pmon_line_pinned(line))
			continue;
		pool.nr_zombies--;
		if (unlikely(PageHWPoison(line->page))) {
			list_del_init(&line->entry);
			pool.nr_poisoned++;
			continue;
		}
		list_move(&line->entry, &pool.free);
		pool.nr_free++;
	}
	left = pool.nr_zombies;
	spin_unlock_bh(&pool.lock);
	pool_wake();
	if (left)
		queue_delayed_work(pmon_wq, &pool.zombie_work, ZOMBIE_INTERVAL);
}

static void pool_free_pages(void)
{
	unsigned long i, busy = 0;

	if (!pool.lines)
		return;
	for (i = 0; i < pool.total; i++) {
		struct page *page = pool.lines[i].page;

		if (!page)
			break;
		busy += page_count(page) != 1;
		set_page_private(page, 0);
		put_page(page);
	}
	if (busy)
		pr_warn("%lu pages of the pool were still in use\n", busy);
	kvfree(pool.lines);
	pool.lines = NULL;
}

static int pool_alloc_pages(struct page **pages)
{
	unsigned long i;

	for (i = 0; i < pool.total; i++) {
		struct pmon_line *line = &pool.lines[i];

		line->page = alloc_page(GFP_KERNEL | __GFP_NOWARN | __GFP_NORETRY);
		if (!line->page)
			return -ENOMEM;
		pages[i] = line->page;
		line->index = i;
		INIT_LIST_HEAD(&line->sharers);
		set_page_private(line->page, (unsigned long)line);
		list_add_tail(&line->entry, &pool.free);
		pool.nr_free++;
		if (!(i % 1024))
			cond_resched();
	}
	return 0;
}

/*
 * pmon_pool_init - allocate and register the pool
 * @nr_lines: pages
 * Return: 0 or -ENOMEM or what lite_region_create() says.
 */
int pmon_pool_init(unsigned long nr_lines)
{
	struct page **pages;
	int ret;

	spin_lock_init(&pool.lock);
	INIT_LIST_HEAD(&pool.free);
	INIT_LIST_HEAD(&pool.zombies);
	INIT_DELAYED_WORK(&pool.zombie_work, zombie_work);
	pool.total = nr_lines;
	pages = kvmalloc_array(nr_lines, sizeof(*pages), GFP_KERNEL);
	pool.lines = kvcalloc(nr_lines, sizeof(*pool.lines), GFP_KERNEL);
	ret = -ENOMEM;
	if (!pages || !pool.lines)
		goto out;
	ret = pool_alloc_pages(pages);
	if (ret)
		goto out;
	pool.region = lite_region_create(pages, nr_lines,
					 LITE_REMOTE_READ | LITE_REMOTE_WRITE);
	ret = PTR_ERR_OR_ZERO(pool.region);
out:
	kvfree(pages);
	if (ret)
		pool_free_pages();
	return ret;
}

/* pmon_pool_exit - no space, budget or transfer is left */
void pmon_pool_exit(void)
{
	cancel_delayed_work_sync(&pool.zombie_work);
	if (pool.nr_free + pool.nr_zombies + pool.nr_poisoned != pool.total)
		pr_warn("pool: %lu of %lu lines came back\n",
			pool.nr_free + pool.nr_zombies + pool.nr_poisoned,
			pool.total);
	if (pool.nr_poisoned)
		pr_info("pool: the memory of %lu lines had failed\n",
			pool.nr_poisoned);
	lite_region_destroy(pool.region);
	pool_free_pages();
}
