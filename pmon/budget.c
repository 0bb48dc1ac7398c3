// SPDX-License-Identifier: GPL-2.0
/*
 * Budgets: how many lines the processes of one `vnode run` may hold together.
 *
 * A budget is referenced by the tags and address spaces that use it. Lines
 * charged to it belong to such a space (or to a transfer that holds one), so a
 * budget with no reference has no lines and its evictor nothing to do.
 */
#include <linux/slab.h>

#include "internal.h"

/* Fewer lines than this, and one fault's worth of pages might not fit. */
#define BUDGET_MIN_LINES	64

/* The evictor runs so often without anybody's being short, and keeps less free. */
#define CALM			64

static DEFINE_SPINLOCK(budgets_lock);
static LIST_HEAD(budgets);

static void budget_free(struct pmon_budget *budget)
{
	kfree(budget->under_way);
	kfree(budget->flush);
	kfree(budget);
}

/*
 * pmon_budget_create - a budget of @limit lines (0: the whole pool)
 * Return: referenced budget; ERR_PTR(-EINVAL) below 64 lines, -ENOSPC above
 * the pool, -ENOMEM.
 */
struct pmon_budget *pmon_budget_create(unsigned long limit)
{
	struct pmon_budget *budget;

	if (!limit)
		limit = pmon_pool_total();
	if (limit < BUDGET_MIN_LINES)
		return ERR_PTR(-EINVAL);
	if (limit > pmon_pool_total())
		return ERR_PTR(-ENOSPC);
	budget = kzalloc(sizeof(*budget), GFP_KERNEL);
	if (!budget)
		return ERR_PTR(-ENOMEM);
	budget->flush = kzalloc(sizeof(*budget->flush), GFP_KERNEL);
	budget->under_way = kzalloc(sizeof(*budget->under_way), GFP_KERNEL);
	if (!budget->flush || !budget->under_way) {
		budget_free(budget);
		return ERR_PTR(-ENOMEM);
	}
	kref_init(&budget->ref);
	budget->limit = limit;
	budget->low_min = clamp(limit / 64, 8UL, 256UL);
	budget->low_max = clamp(limit / 16, 8UL, 1024UL);
	/* Who begins is in a hurry: until it is calm. */
	budget->low = budget->low_max;
	spin_lock_init(&budget->lru_lock);
	pmon_order_init(&budget->order);
	INIT_LIST_HEAD(&budget->standby);
	init_waitqueue_head(&budget->free_wait);
	INIT_WORK(&budget->evict_work, pmon_evict_work);
	spin_lock(&budgets_lock);
	list_add_tail(&budget->entry, &budgets);
	spin_unlock(&budgets_lock);
	return budget;
}

void pmon_budget_get(struct pmon_budget *budget)
{
	kref_get(&budget->ref);
}

static void budget_free_work(struct work_struct *work)
{
	struct pmon_budget *budget = container_of(work, struct pmon_budget,
						  free_work);

	cancel_work_sync(&budget->evict_work);
	WARN_ON_ONCE(budget->used);
	budget_free(budget);
}

static void budget_release(struct kref *ref)
{
	struct pmon_budget *budget = container_of(ref, struct pmon_budget, ref);

	/*
	 * Off the list first: pmon_budget_need_lines() queues evictors of
	 * listed budgets only, so none starts once cancel has returned.
	 */
	spin_lock(&budgets_lock);
	list_del(&budget->entry);
	spin_unlock(&budgets_lock);
	/* The last put may come from a context that must not sleep. */
	INIT_WORK(&budget->free_work, budget_free_work);
	queue_work(pmon_wq, &budget->free_work);
}

void pmon_budget_put(struct pmon_budget *budget)
{
	kref_put(&budget->ref, budget_release);
}

/*
 * pmon_budget_short - somebody found no free line
 *
 * What is written back and unmapped early may be touched, or written to, again: no
 * more lines than are needed are kept free or on standby, and how many that is depends
 * on how fast they are taken and come back.
 */
void pmon_budget_short(struct pmon_budget *budget)
{
	WRITE_ONCE(budget->low,
		   min(2 * pmon_budget_low(budget), budget->low_max));
	WRITE_ONCE(budget->calm, 0);
}

/* pmon_budget_calm - the evictor has run; nobody was short since the last change */
void pmon_budget_calm(struct pmon_budget *budget)
{
	unsigned long low = pmon_budget_low(budget);

	WRITE_ONCE(budget->calm, budget->calm + 1);
	if (budget->calm < CALM || low == budget->low_min)
		return;
	WRITE_ONCE(budget->low, max(low - low / 4, budget->low_min));
	WRITE_ONCE(budget->calm, 0);
}

/* pmon_budget_insert - (re)insert as the youngest line */
void pmon_budget_insert(struct pmon_budget *budget, struct pmon_line *line)
{
	spin_lock_bh(&budget->lru_lock);
	pmon_order_insert(&budget->order, &line->entry);
	spin_unlock_bh(&budget->lru_lock);
}

/* pmon_budget_keep - the evictor looked at the lines and lets them stay */
void pmon_budget_keep(struct pmon_budget *budget, struct pmon_line **line,
		      unsigned int nr)
{
	unsigned int i;

	spin_lock_bh(&budget->lru_lock);
	for (i = 0; i < nr; i++)
		pmon_order_keep(&budget->order, pmon_policy_now(), &line[i]->entry);
	spin_unlock_bh(&budget->lru_lock);
}

/* pmon_budget_unlink - take the lines off their replacement or standby list */
void pmon_budget_unlink(struct pmon_budget *budget, struct pmon_line **line,
			unsigned int nr)
{
	unsigned int i;

	spin_lock_bh(&budget->lru_lock);
	for (i = 0; i < nr; i++) {
		if (line[i]->standby)
			pmon_standby_off(line[i]);
		else
			pmon_order_remove(&budget->order, &line[i]->entry);
	}
	spin_unlock_bh(&budget->lru_lock);
}

/*
 * pmon_budget_need_lines - start eviction for @budget
 *
 * When the pool rather than the budget's own limit is what runs out, the
 * largest budget gives lines back.
 */
void pmon_budget_need_lines(struct pmon_budget *budget)
{
	struct pmon_budget *other, *largest = budget;

	if (pmon_budget_room(budget) < pmon_budget_high(budget)) {
		queue_work(pmon_wq, &budget->evict_work);
		return;
	}
	spin_lock(&budgets_lock);
	list_for_each_entry(other, &budgets, entry)
		if (READ_ONCE(other->used) > READ_ONCE(largest->used))
			largest = other;
	queue_work(pmon_wq, &largest->evict_work);
	spin_unlock(&budgets_lock);
}

/*
 * pmon_budget_get_standby - a budget that has lines on standby, referenced
 *
 * For when the pool has run out. Context: process. Return: NULL: there is none.
 */
struct pmon_budget *pmon_budget_get_standby(void)
{
	struct pmon_budget *budget, *found = NULL;

	spin_lock(&budgets_lock);
	list_for_each_entry(budget, &budgets, entry) {
		/* One whose last reference goes just now waits for the lock. */
		if (READ_ONCE(budget->nr_standby) &&
		    kref_get_unless_zero(&budget->ref)) {
			found = budget;
			break;
		}
	}
	spin_unlock(&budgets_lock);
	return found;
}
