// SPDX-License-Identifier: GPL-2.0
/*
 * Rebalancing: regions leave memory hosts that hold more than their share.
 *
 * The manager knows what all hosts hold. It marks those that are crowded in the list that
 * this host has anyway, and says of one region at a time whether it may move, and
 * where (gmm/balance.c). So nothing is sent while hosts are even, and nothing moves
 * while the manager is away or has been told not to rebalance. Which region it is,
 * is chosen here: the largest of those that may. It is moved by its repair work (repair.c),
 * as if its primary's host were drained, but only to the host that was named: a move that
 * does not succeed is given up.
 *
 * One region of this host moves at a time. region->move_to says which: it is set
 * here, once, and taken back by whoever finds the move to be over. All that waits or asks
 * is one work item.
 */
#include <linux/slab.h>

#include "gmm_wire.h"
#include "internal.h"
#include "trace.h"

#define LOOK_MS		1000	/* how soon a crowded host is seen */
#define MOVING_MS	500	/* how soon the end of a move is */
#define AGAIN_MS	10000	/* after the manager said no, or nothing */
/* After a move, until the manager has heard of what it changed, and more. */
#define REST_MS		(GMM_MOVE_SETTLE_MS + 500)
#define REGIONS_MAX	64	/* that are counted at a time */
#define PAGES_MIN	64	/* of a region: less is not worth it */

static bool under_way;		/* a region is on its way */
static bool granted;		/* the manager thinks so; the work item's */

/* ---- the move, for repair.c ---------------------------------------------------------- */

/*
 * pmon_move_settle - is the region still to move?
 *
 * Not if it has, nor if another secondary took the primary's place meanwhile.
 * Context: the region's repair work. Return: the host that it is to move to, or 0.
 */
u32 pmon_move_settle(struct pmon_region *region)
{
	u32 node = smp_load_acquire(&region->move_to);	/* pairs with begin() */
	struct pmon_holder *primary = pmon_region_primary(region);

	if (!node || primary == region->move_from)
		return node;
	pmon_move_end(region, lite_peer_node(primary->peer) == node);
	return 0;
}

/*
 * pmon_move_end - the region does not move any more
 * @moved: it is where it was to be
 *
 * Nothing if it did not move. Context: the region's repair work, or its end.
 */
void pmon_move_end(struct pmon_region *region, bool moved)
{
	u32 node = xchg(&region->move_to, 0);

	if (!node)
		return;
	if (moved) {
		pmon_count(rebalanced);
		pmon_event("rebalanced", region, node);
	}
	trace_pmon_holder(region, node, moved ? "rebalanced" : "stays");
	/* Pairs with balance(): there may be another one. */
	smp_store_release(&under_way, false);
}

/* Context: process; @region referenced. */
static void begin(struct pmon_region *region, struct pmon_holder *primary,
		  u32 node)
{
	WRITE_ONCE(under_way, true);
	region->move_from = primary;
	/* Pairs with pmon_move_settle() and pmon_move_leaves(). */
	smp_store_release(&region->move_to, node);
	trace_pmon_holder(region, node, "moves");
	pmon_repair_soon(region);
	/* Then nobody repairs it. One that has ended is seen to by region_free(). */
	if (READ_ONCE(region->lost))
		pmon_move_end(region, false);
}

/* ---- which one ----------------------------------------------------------------------- */

/**
 * struct look - regions that may move
 * @node: crowded hosts
 * @nr_nodes: so many
 * @skip: regions that were looked at before
 * @seen: regions of crowded hosts
 * @nr: so many of them, referenced:
 * @region: which
 * @pages: how much they have
 */
struct look {
	u32 node[PMON_HOSTS_MAX];
	int nr_nodes;
	unsigned long skip;
	unsigned long seen;
	unsigned int nr;
	struct pmon_region *region[REGIONS_MAX];
	unsigned long pages[REGIONS_MAX];
};

static bool is_crowded(const struct look *look, u32 node)
{
	int i;

	for (i = 0; i < look->nr_nodes; i++)
		if (look->node[i] == node)
			return true;
	return false;
}

/*
 * In order, with all the holders that it is to have, and no fork's promise under way: what
 * is not comes first, and may change who holds it. Context: any.
 */
static bool may_move(struct pmon_region *region)
{
	unsigned int i, others = 0;

	if (READ_ONCE(region->lost) || READ_ONCE(region->suspect) ||
	    READ_ONCE(region->space->ended) || atomic_read(&region->clones))
		return false;
	if (pmon_fork_under_way(region->space))
		return false;
	for (i = 0; i < PMON_SECONDARIES; i++)
		others += !!READ_ONCE(region->secondary[i]);
	return others == region->space->budget->replicas &&
	       pmon_holders_in_step(region) == others;
}

static int find_regions(struct pmon_space *space, void *arg)
{
	struct look *look = arg;
	struct pmon_region *region;
	struct lite_peer *home;
	unsigned long number;

	xa_for_each(&space->regions, number, region) {
		home = pmon_region_home(region);
		if (!home || !is_crowded(look, lite_peer_node(home)) ||
		    !may_move(region) || look->seen++ < look->skip)
			continue;
		/* It may end just now. */
		if (!kref_get_unless_zero(&space->ref))
			break;
		look->region[look->nr++] = region;
		if (look->nr == REGIONS_MAX)
			return 1;
	}
	return 0;
}

/* The largest with at most @most pages, or NULL. */
static struct pmon_region *largest(struct look *look, u64 most, u64 *pages)
{
	struct pmon_region *best = NULL;
	unsigned int i;

	*pages = PAGES_MIN - 1;
	for (i = 0; i < look->nr; i++) {
		if (look->pages[i] > most || look->pages[i] <= *pages)
			continue;
		best = look->region[i];
		*pages = look->pages[i];
	}
	return best;
}

/* Return: 0: @out is the manager's word; or errno. */
static int ask(struct pmon_region *region, u64 pages, struct lite_balance *out)
{
	u32 node[PMON_SECONDARIES + 1];
	unsigned int nr = pmon_holders_list(region, node);

	return lite_balance(region->asid, pages, node[0], node, nr, out);
}

/* Return: whether a region moves now. */
static bool ask_for_one(struct look *look)
{
	struct lite_balance word = { .pages = U64_MAX };
	struct pmon_holder *primary;
	struct pmon_region *region;
	u64 pages;
	int tries, err;

	/* If the largest is too large, the answer says what is not. */
	for (tries = 0; tries < 2; tries++) {
		region = largest(look, word.pages, &pages);
		if (!region)
			return false;
		primary = pmon_region_primary(region);
		err = ask(region, pages, &word);
		/* It may have said yes, and waits for the end of the move. */
		granted |= err == -ETIMEDOUT || err == -EHOSTDOWN;
		if (err)
			return false;
		if (!word.node)
			continue;
		granted = true;
		if (!may_move(region) || primary != pmon_region_primary(region))
			return false;
		begin(region, primary, word.node);
		return true;
	}
	return false;
}

/* Return: in how many ms to look again. */
static unsigned int look_for_one(struct look *look)
{
	static unsigned long skip;
	bool moves;
	unsigned int i;

	/* Hosts that are being drained are not among them (gmm/balance.c). */
	look->nr_nodes = pmon_hosts_flagged(LITE_MEMBER_CROWDED, look->node);
	if (look->nr_nodes <= 0)
		return LOOK_MS;
	look->skip = skip;
	pmon_spaces_for_each(find_regions, look);
	for (i = 0; i < look->nr; i++)
		look->pages[i] = pmon_region_pages(look->region[i]);
	moves = ask_for_one(look);
	for (i = 0; i < look->nr; i++)
		pmon_region_put(look->region[i]);
	/* Others the next time, then from the beginning. */
	skip = moves || look->nr < REGIONS_MAX ? 0 : skip + REGIONS_MAX;
	return moves ? MOVING_MS : AGAIN_MS;
}

static void balance(struct work_struct *work);
static DECLARE_DELAYED_WORK(balance_work, balance);

static unsigned int balance_step(void)
{
	struct look *look;
	unsigned int ms;

	/* Pairs with pmon_move_end(). */
	if (smp_load_acquire(&under_way))
		return MOVING_MS;
	if (granted) {
		granted = false;
		lite_balance_done();
		return REST_MS;
	}
	look = kzalloc(sizeof(*look), GFP_KERNEL);
	if (!look)
		return AGAIN_MS;
	ms = look_for_one(look);
	kfree(look);
	return ms;
}

/* The manager may keep it waiting: not on the system's queue. */
static void balance(struct work_struct *work)
{
	queue_delayed_work(pmon_wq, &balance_work,
			   msecs_to_jiffies(balance_step()));
}

void pmon_balance_init(void)
{
	queue_delayed_work(pmon_wq, &balance_work, msecs_to_jiffies(LOOK_MS));
}

/* pmon_balance_exit - no address space is left */
void pmon_balance_exit(void)
{
	cancel_delayed_work_sync(&balance_work);
}
