// SPDX-License-Identifier: GPL-2.0
/*
 * Replacement order: see order.h.
 *
 * All policies share one list in order of arrival; they differ in where they
 * look for a victim and in what becomes of one that is kept. So changing the
 * policy moves nothing.
 */
#include "order.h"

void pmon_order_init(struct pmon_order *order)
{
	INIT_LIST_HEAD(&order->list);
	order->hand = &order->list;
}

/* pmon_order_insert - a new line, or one that is to count as new */
void pmon_order_insert(struct pmon_order *order, struct list_head *entry)
{
	pmon_order_remove(order, entry);
	list_add_tail(entry, &order->list);
}

/* pmon_order_remove - @entry leaves; it may be on no list */
void pmon_order_remove(struct pmon_order *order, struct list_head *entry)
{
	if (order->hand == entry)
		order->hand = entry->next;
	list_del_init(entry);
}

/* pmon_order_first - where the search for victims begins; NULL: no lines */
struct list_head *pmon_order_first(struct pmon_order *order,
				   enum pmon_policy policy)
{
	if (list_empty(&order->list))
		return NULL;
	if (policy == PMON_SIEVE && order->hand != &order->list)
		return order->hand;
	return order->list.next;
}

/*
 * pmon_order_next - what to look at after @entry; NULL: that was all
 *
 * SIEVE goes round: the caller stops by itself, at latest when it comes to an
 * entry that it has looked at.
 */
struct list_head *pmon_order_next(struct pmon_order *order,
				  enum pmon_policy policy,
				  struct list_head *entry)
{
	if (entry->next != &order->list)
		return entry->next;
	return policy == PMON_SIEVE ? order->list.next : NULL;
}

/* pmon_order_looked - @entry was looked at: SIEVE's hand is past it */
void pmon_order_looked(struct pmon_order *order, enum pmon_policy policy,
		       struct list_head *entry)
{
	if (policy == PMON_SIEVE)
		order->hand = entry->next;
}

/* pmon_order_keep - @entry was looked at and cannot or should not go */
void pmon_order_keep(struct pmon_order *order, enum pmon_policy policy,
		     struct list_head *entry)
{
	if (policy != PMON_SIEVE)
		pmon_order_insert(order, entry);
}

/* pmon_order_spares - may a line stay because it was accessed? */
bool pmon_order_spares(enum pmon_policy policy, bool accessed)
{
	return accessed && policy != PMON_FIFO;
}
