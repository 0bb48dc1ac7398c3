// SPDX-License-Identifier: GPL-2.0
/*
 * Eviction: one work item for each budget keeps the lines that are free or can be
 * at once between two watermarks, so that a fault normally finds one.
 *
 * A round takes lines whose turn it is (order.h) and that it can lock, and looks
 * which of them were touched since the last look (young.c). The others are unmapped,
 * mostly with one TLB flush for all (unmap.c; no mmap_lock is needed for that). Then
 * each is
 *   touched	kept (LRU: at the young end; SIEVE: where it is; FIFO: not at all)
 *   pinned	(someone holds the page) kept likewise,
 *   clean	put on standby (standby.c), from where whoever needs a line takes it,
 *   dirty	sent to its home with others of its region, then put there likewise. It
 *		arrives while the next round is under way.
 *
 * The access that brought a page in counts as one: the fault path clears
 * PG_referenced, not the entry's accessed bit. What is touched between look and
 * unmapping goes all the same, mostly unseen, and comes back from standby.
 *
 * A line shared after a fork goes to the next sharer instead of the free list.
 *
 * What was decided is done for all lines of a round together (let_go(), keep()), so
 * that each of the innermost locks is taken once a round and not once a line.
 *
 * Locks: pages only by trylock. stream_lock only by trylock as well, since fork
 * takes page locks while it holds the stream; it is held as long as a flush is under way,
 * one at a time, so nothing in here may wait for a stream.
 */
#include <linux/delay.h>

#include "internal.h"
#include "trace.h"

/*
 * All of a round go in one flush: who is locked, without being marked as in transfer,
 * while the home is waited for would have to be waited for by whoever discards it
 * (munmap, exit), unkillably. What is collected while another flush is under way is
 * marked.
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

/* What becomes of lines of a round, all of one space, their pages locked. */
struct verdict {
	struct batch stay;
	struct batch leave;
};

static void batch_add(struct batch *batch, struct pmon_line *line)
{
	batch->line[batch->nr++] = line;
}

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
			batch_add(batch, line);
		entry = next;
	}
	spin_unlock_bh(&budget->lru_lock);
}

/*
 * Prefetched, and not looked at since: it has to be there when it is wanted. Otherwise
 * the hand of SIEVE, where all others were touched, would take these first.
 */
static bool is_fresh(const struct pmon_line *line)
{
	return line->fresh && READ_ONCE(line->prefetched);
}

/* What was touched is marked referenced, the others are unmapped. @all: those, too. */
static void batch_unmap(struct batch *batch, bool all)
{
	struct pmon_line *victim[EVICT_BATCH];
	struct pmon_young young;
	unsigned int i, nr = 0;

	pmon_young_begin(&young, batch->line[0]->space);
	for (i = 0; i < batch->nr; i++) {
		struct pmon_line *line = batch->line[i];
		struct page *page = line->page;

		if (!page_mapped(page) ||
		    (READ_ONCE(line->locked) && !PageHWPoison(page)))
			continue;
		if (pmon_young_test(&young, line))
			folio_set_referenced(page_folio(page));
		if (all || PageHWPoison(page) ||
		    (!folio_test_referenced(page_folio(page)) && !is_fresh(line)))
			victim[nr++] = line;
	}
	pmon_young_end(&young);
	pmon_unmap(victim, nr);
}

static void keep(struct batch *batch)
{
	unsigned int i;

	if (!batch->nr)
		return;
	pmon_budget_keep(batch->line[0]->budget, batch->line, batch->nr);
	for (i = 0; i < batch->nr; i++)
		unlock_page(batch->line[i]->page);
	batch->nr = 0;
}

/*
 * May it stay where it is until somebody needs the line? The space still has it then,
 * as any that is resident, and so must nobody else, and its content must be stored.
 */
static bool may_stand_by(struct pmon_line *line)
{
	struct page *page = line->page;

	return !line->detached && !PageDirty(page) && !PageHWPoison(page) &&
	       !pmon_line_shared(line);
}

/* Return: how many lines are on standby. */
static unsigned int stand_by(struct pmon_budget *budget, struct batch *leave)
{
	unsigned int i, nr = 0, left = 0;
	struct batch batch;

	for (i = 0; i < leave->nr; i++) {
		if (may_stand_by(leave->line[i]))
			batch.line[nr++] = leave->line[i];
		else
			leave->line[left++] = leave->line[i];
	}
	leave->nr = left;
	pmon_standby_add(budget, batch.line, nr);
	pmon_count_n(evictions, nr);
	return nr;
}

/*
 * The space no longer has what is to leave. What others of a fork have still
 * stays, for them. Return: how many lines are free.
 */
static unsigned int let_go(struct pmon_space *space, struct verdict *verdict)
{
	struct batch *leave = &verdict->leave;
	unsigned int i, freed = 0;

	if (!leave->nr)
		return 0;
	/* Out of the xarray, the lines no longer keep the space. */
	pmon_space_get(space);
	pmon_lines_unpublish(space, leave->line, leave->nr);
	for (i = 0; i < leave->nr; i++) {
		struct pmon_line *line = leave->line[i];

		if (pmon_share_leave(line, space))
			batch_add(&verdict->stay, line);
		else
			leave->line[freed++] = line;
	}
	pmon_lines_release(leave->line, freed);
	pmon_space_put(space);
	pmon_count_n(evictions, freed);
	leave->nr = 0;
	return freed;
}

static unsigned int carry_out(struct pmon_space *space, struct verdict *verdict)
{
	unsigned int freed = stand_by(space->budget, &verdict->leave);

	freed += let_go(space, verdict);
	keep(&verdict->stay);
	return freed;
}

static void begin_io(struct pmon_line *line)
{
	xa_lock_bh(&line->space->lines);
	line->io = true;
	xa_unlock_bh(&line->space->lines);
}

/* Was it stored, and may the line go? */
static bool may_go(struct pmon_line *line, int err)
{
	if (err) {
		SetPageDirty(line->page);
		return READ_ONCE(line->region->lost);
	}
	line->remote = true;
	/* If a faulter came for it meanwhile: keep it, clean. */
	return !pmon_line_pinned(line);
}

/* After the flush. Those that were discarded meanwhile have to go. */
static void end_io(struct pmon_flush *flush, struct verdict *verdict)
{
	struct pmon_space *space = flush->region->space;
	unsigned int i;

	xa_lock_bh(&space->lines);
	for (i = 0; i < flush->nr; i++) {
		struct pmon_line *line = flush->line[i];
		bool go = may_go(line, flush->err[i]);

		line->io = false;
		batch_add(go || line->detached ? &verdict->leave :
			  &verdict->stay, line);
	}
	xa_unlock_bh(&space->lines);
}

/* It is over, or could not be begun. Return: how many lines of it are free. */
static unsigned int flush_end(struct pmon_flush *flush)
{
	struct pmon_region *region = flush->region;
	struct verdict verdict = {};
	unsigned int freed;

	end_io(flush, &verdict);
	freed = carry_out(region->space, &verdict);
	flush->nr = 0;
	pmon_region_put(region);
	return freed;
}

/* Return: is it on its way, with stream_lock held? Else flush_end() must follow. */
static bool flush_start(struct pmon_flush *flush)
{
	struct pmon_region *region = flush->region;
	int err;

	/* A child that is not complete: see pmon_fork_under_way(). Its parent may be flushed. */
	if (smp_load_acquire(&region->space->forking) ||
	    !mutex_trylock(&region->stream_lock))
		return false;
	err = pmon_clone_settle(region, true);
	if (!err) {
		pmon_flush_start(flush);
		return true;
	}
	pmon_flush_fail(flush, err);
	mutex_unlock(&region->stream_lock);
	/* Busy means that fork has the stream for the moment; the rest is news. */
	if (err != -EBUSY)
		region->space->budget->refused = true;
	return false;
}

/* If there is one under way. Return: how many lines of it are free. */
static unsigned int flush_finish(struct pmon_flush *flush)
{
	struct pmon_region *region = flush->region;
	int err;

	if (!flush->nr)
		return 0;
	err = pmon_flush_finish(flush);
	if (err && err != -EBUSY)
		region->space->budget->refused = true;
	mutex_unlock(&region->stream_lock);
	return flush_end(flush);
}

/*
 * Send what was collected, once what was sent before has arrived. It is on its way when
 * this returns, so that the next round's lines are chosen, unmapped and checksummed
 * meanwhile.
 */
static unsigned int flush_next(struct pmon_budget *budget)
{
	unsigned int freed = flush_finish(budget->under_way);

	if (!budget->flush->nr)
		return freed;
	if (!flush_start(budget->flush))
		return freed + flush_end(budget->flush);
	swap(budget->flush, budget->under_way);
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
 * Was it touched? Then it is still mapped, unless all had to go; and what is mapped
 * stays, whatever the policy has become meanwhile.
 */
static bool spared(struct pmon_line *line, bool force)
{
	struct page *page = line->page;
	bool touched = folio_test_clear_referenced(page_folio(page));
	bool fresh = is_fresh(line);

	line->fresh = false;
	if (touched)
		pmon_line_touched(line);
	return page_mapped(page) ||
	       (!force && pmon_order_spares(pmon_policy_now(), touched || fresh));
}

/* Must, or may, it stay? */
static bool stays(struct pmon_budget *budget, struct pmon_line *line, bool force)
{
	if (unlikely(READ_ONCE(line->locked))) {
		pmon_count(locked_skips);
		return true;
	}
	if (spared(line, force)) {
		pmon_count(rotations);
		return true;
	}
	if (pmon_line_pinned(line)) {
		pmon_count(pinned_skips);
		budget->pinned++;
		return true;
	}
	return false;
}

/* One locked line: what becomes of it? Returns how many lines became free. */
static unsigned int evict_line(struct pmon_budget *budget,
			       struct pmon_line *line, bool force,
			       struct verdict *verdict)
{
	struct page *page = line->page;
	/* If it failed just now it may be mapped: next time. */
	bool failed = unlikely(PageHWPoison(page)) && !page_mapped(page) &&
		      !READ_ONCE(line->locked);

	if (failed && !pmon_line_shared(line)) {
		pmon_poison_evict(line);
		return 1;
	}
	if (failed || stays(budget, line, force)) {
		batch_add(&verdict->stay, line);
	} else if (PageDirty(page) && !READ_ONCE(line->region->lost)) {
		flush_line(budget->flush, line);
	} else {
		if (!PageDirty(page))
			pmon_count(evictions_clean);
		batch_add(&verdict->leave, line);
	}
	return 0;
}

static unsigned int evict_round(struct pmon_budget *budget, bool force)
{
	struct verdict verdict = {};
	unsigned int i, freed = 0;
	struct pmon_space *space;
	struct batch batch;

	budget->refused = false;
	budget->pinned = 0;
	batch_lock(budget, &batch);
	if (!batch.nr)
		return flush_finish(budget->under_way);
	space = batch.line[0]->space;
	batch_unmap(&batch, force || pmon_policy_now() == PMON_FIFO);
	for (i = 0; i < batch.nr; i++)
		freed += evict_line(budget, batch.line[i], force, &verdict);
	/* What needs no transfer does not wait for one. */
	freed += carry_out(space, &verdict);
	freed += flush_next(budget);
	if (budget->pinned < batch.nr)
		budget->pinned = 0;
	return freed;
}

static bool needs_lines(struct pmon_budget *budget)
{
	/* It may have nothing that could be evicted. */
	return pmon_budget_room(budget) < budget->limit &&
	       pmon_budget_below(budget, pmon_budget_high(budget), 8);
}

/* What is being sent will be free: no more is chosen than is wanted. */
static bool enough_under_way(struct pmon_budget *budget)
{
	unsigned long nr = budget->under_way->nr, high = pmon_budget_high(budget);

	return nr && (nr >= high || !pmon_budget_below(budget, high - nr, 8));
}

static unsigned int make_room(struct pmon_budget *budget, bool force)
{
	return enough_under_way(budget) ? flush_finish(budget->under_way) :
					  evict_round(budget, force);
}

/* Rounds, one after the other, that freed nothing for these reasons. */
struct stall {
	unsigned int refused;
	unsigned int pinned;
};

static void give_up(struct pmon_budget *budget, enum pmon_stall why)
{
	WRITE_ONCE(budget->stalled, why);
	pmon_lines_wake(budget);
	pr_err_ratelimited("no line of %lu could be freed: %s\n", budget->used,
			   why == PMON_STALL_PINNED ? "all are pinned" :
			   "memory hosts refuse dirty pages");
}

/*
 * Nothing became free: everything is in flight, pinned, or refused. What is in flight
 * comes back; memory hosts that refuse pages may not, nor the pins of somebody who waits
 * for a line to pin more. Return: whether to give up.
 */
static bool stalled(struct pmon_budget *budget, struct stall *rounds)
{
	if (!budget->refused && !budget->pinned)
		*rounds = (struct stall){};
	rounds->refused += budget->refused;
	rounds->pinned += budget->pinned != 0;
	if (rounds->refused >= STALL_ROUNDS)
		give_up(budget, PMON_STALL_REFUSED);
	else if (rounds->pinned >= PIN_ROUNDS)
		give_up(budget, PMON_STALL_PINNED);
	else
		return false;
	return true;
}

/* pmon_evict_work - bring a budget above its high watermark */
void pmon_evict_work(struct work_struct *work)
{
	struct pmon_budget *budget = container_of(work, struct pmon_budget,
						  evict_work);
	unsigned long scanned = 0;
	struct stall rounds = {};
	unsigned int freed;

	while (needs_lines(budget)) {
		/* Two passes over the list: one clears, one finds. */
		freed = make_room(budget, scanned > 2 * budget->limit);
		scanned += EVICT_BATCH;
		/* Not asleep with a region's stream_lock held. */
		if (scanned > 3 * budget->limit)
			freed += flush_finish(budget->under_way);
		cond_resched();
		if (freed) {
			scanned = 0;
			rounds = (struct stall){};
			WRITE_ONCE(budget->stalled, PMON_STALL_NONE);
			continue;
		}
		if (scanned <= 3 * budget->limit)
			continue;
		if (stalled(budget, &rounds))
			break;
		msleep(IDLE_MS);
	}
	flush_finish(budget->under_way);
	pmon_budget_calm(budget);
}
