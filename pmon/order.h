/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The order in which lines are replaced. Pure: no locks, no pages; the caller
 * serialises all calls for one order (budget->lru_lock). tests/unit/test_order.c
 */
#ifndef PMON_ORDER_H
#define PMON_ORDER_H

#include <linux/list.h>
#include <linux/types.h>

/**
 * enum pmon_policy - replacement policies
 * @PMON_FIFO: in order of arrival
 * @PMON_LRU: second chance: what was accessed since it was looked at last moves
 *	to the young end
 * @PMON_SIEVE: Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024: what was
 *	accessed stays where it is and a hand moves on, from the oldest line to
 *	the youngest and round again. New lines, which enter at the young end,
 *	are soon met by the hand; lines that proved useful are not in its way.
 */
enum pmon_policy { PMON_FIFO, PMON_LRU, PMON_SIEVE, PMON_NR_POLICIES };

/**
 * struct pmon_order - lines of one budget, for any of the policies
 * @list: oldest first
 * @hand: where SIEVE looks next; @list itself: at the oldest. Kept valid under
 *	every policy, so that the policy can change at any moment.
 */
struct pmon_order {
	struct list_head list;
	struct list_head *hand;
};

void pmon_order_init(struct pmon_order *order);
void pmon_order_insert(struct pmon_order *order, struct list_head *entry);
void pmon_order_remove(struct pmon_order *order, struct list_head *entry);
struct list_head *pmon_order_first(struct pmon_order *order,
				   enum pmon_policy policy);
struct list_head *pmon_order_next(struct pmon_order *order,
				  enum pmon_policy policy,
				  struct list_head *entry);
void pmon_order_looked(struct pmon_order *order, enum pmon_policy policy,
		       struct list_head *entry);
void pmon_order_keep(struct pmon_order *order, enum pmon_policy policy,
		     struct list_head *entry);
bool pmon_order_spares(enum pmon_policy policy, bool accessed);

#endif /* PMON_ORDER_H */
