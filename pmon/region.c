// SPDX-License-Identifier: GPL-2.0
/*
 * vRegions: the pieces of an address space that have a memory host each.
 *
 * A region is made when something in its 1 GiB is touched for the first time, and
 * gets a home when something of it is first sent. For the memory host it is an
 * address space like any other, with an asid of its own; so all that concerns a
 * home (the ordered stream, what it has yet to be told, grants, spare frames) is
 * the region's. Nobody but this host uses it, so the map of who owns what is here.
 *
 * mremap may carry content from one region to addresses of another. The content
 * stays where it is: the target range is the source's region's from then on, until it
 * is unmapped (space->moved). Such a range has the same address at the home as here,
 * outside the region's own 1 GiB, which the home does not mind.
 *
 * Regions live as long as their space. space->regions only grows. space->moved
 * changes with mmap_lock held for writing; a line names its region itself, so whoever
 * has a line, with mmap_lock or without, does not look here.
 */
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static unsigned int region_mb = 1024;
module_param(region_mb, uint, 0444);
MODULE_PARM_DESC(region_mb, "size of a vRegion in MiB, a power of two (2...1048576, default 1024)");

static unsigned int region_shift;	/* of page indexes */

#define COUNT_AT_ONCE	4096		/* entries, under RCU */

/* ---- look-up ----------------------------------------------------------------- */

/* Whose the range around @index became by a move; NULL: nobody's, it is a gap. */
static struct pmon_region *moved_find(struct pmon_space *space, pgoff_t index,
				      pgoff_t *first, pgoff_t *last)
{
	MA_STATE(mas, &space->moved, index, index);
	struct pmon_region *region;

	rcu_read_lock();
	region = mas_walk(&mas);
	*first = max(*first, mas.index);
	*last = min(*last, mas.last);
	rcu_read_unlock();
	return region;
}

/*
 * pmon_region_find - the region of a page
 * @first, @last: narrowed to the range around @index that is the same region's
 *
 * Context: mmap_lock held. Return: NULL: nothing there was ever touched.
 */
struct pmon_region *pmon_region_find(struct pmon_space *space, pgoff_t index,
				     pgoff_t *first, pgoff_t *last)
{
	struct pmon_region *region = NULL;
	pgoff_t own = index >> region_shift << region_shift;

	if (!mtree_empty(&space->moved))
		region = moved_find(space, index, first, last);
	if (region)
		return region;
	*first = max(*first, own);
	*last = min(*last, own + (1UL << region_shift) - 1);
	return xa_load(&space->regions, index >> region_shift);
}

/*
 * pmon_region_of - the region of a page that was touched before
 * Context: mmap_lock held.
 */
struct pmon_region *pmon_region_of(struct pmon_space *space, pgoff_t index)
{
	struct pmon_region *region = READ_ONCE(space->recent);
	pgoff_t first = 0, last = ULONG_MAX;

	if (likely(region) && region->number == index >> region_shift &&
	    mtree_empty(&space->moved))
		return region;
	region = pmon_region_find(space, index, &first, &last);
	if (region)
		WRITE_ONCE(space->recent, region);
	return region;
}

/*
 * pmon_region_next - the first piece of a range that is a region's
 * @first: of the range; set to that of the piece
 * @last: of the range
 * @end: set to the last of the piece
 *
 * Context: mmap_lock held. Return: its region; NULL: there is none.
 */
struct pmon_region *pmon_region_next(struct pmon_space *space, pgoff_t *first,
				     pgoff_t last, pgoff_t *end)
{
	struct pmon_region *region = NULL;
	pgoff_t from = *first, to;
	unsigned long number;

	do {
		to = last;
		if (!mtree_empty(&space->moved))
			region = moved_find(space, *first, &from, &to);
		*end = to;
		if (region)
			return region;
		number = *first >> region_shift;
		region = xa_find(&space->regions, &number, to >> region_shift,
				 XA_PRESENT);
		if (region) {
			*first = max(*first, number << region_shift);
			*end = min(to, ((number + 1) << region_shift) - 1);
			return region;
		}
		from = to + 1;
		*first = from;
	} while (to != last);
	return NULL;
}

/* ---- life -------------------------------------------------------------------- */

static struct pmon_region *region_alloc(struct pmon_space *space, pgoff_t number)
{
	struct pmon_region *region = kzalloc(sizeof(*region), GFP_KERNEL);

	if (!region)
		return NULL;
	region->space = space;
	region->number = number;
	region->asid = pmon_asid_next();
	mutex_init(&region->stream_lock);
	INIT_LIST_HEAD(&region->holders);
	pmon_repair_begin(region);
	pmon_grants_init(region);
	pmon_changes_init(&region->changes);
	return region;
}

static void region_free(struct pmon_region *region)
{
	pmon_move_end(region, false);
	pmon_grants_destroy(region);
	pmon_changes_destroy(&region->changes);
	kfree(region);
}

static struct pmon_region *region_make(struct pmon_space *space, pgoff_t number)
{
	struct pmon_region *region = region_alloc(space, number), *other;

	if (!region)
		return NULL;
	other = xa_cmpxchg(&space->regions, number, NULL, region, GFP_KERNEL);
	if (!other)
		return region;
	region_free(region);
	return xa_is_err(other) ? NULL : other;
}

/*
 * pmon_region_need - the same as pmon_region_find(), made if need be
 * Context: process, mmap_lock held. Return: NULL: no memory.
 */
struct pmon_region *pmon_region_need(struct pmon_space *space, pgoff_t index,
				     pgoff_t *first, pgoff_t *last)
{
	struct pmon_region *region = pmon_region_find(space, index, first, last);

	return region ?: region_make(space, index >> region_shift);
}

/*
 * pmon_region_twin - fork: the child's region that corresponds to one of its parent's
 * Context: process. Return: NULL: no memory.
 */
struct pmon_region *pmon_region_twin(struct pmon_space *child,
				     const struct pmon_region *parent)
{
	return xa_load(&child->regions, parent->number) ?:
	       region_make(child, parent->number);
}

/*
 * pmon_region_assign - content of @region moves to [@first, @last]
 *
 * Context: mmap_lock held for writing, or the space is new; the range is unmapped.
 */
void pmon_region_assign(struct pmon_region *region, pgoff_t first, pgoff_t last)
{
	struct pmon_space *space = region->space;

	if (first >> region_shift == region->number &&
	    last >> region_shift == region->number)
		return;
	/* As in changes.c: there is no __GFP_NOFAIL for it, and it gets there. */
	while (mtree_store_range(&space->moved, first, last, region, GFP_KERNEL))
		cond_resched();
}

/* The range is unmapped: what comes there next is the region's around it. */
static void unassign(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	pgoff_t from = first, to = last;

	if (mtree_empty(&space->moved))
		return;
	if (!moved_find(space, first, &from, &to) && to == last)
		return;
	while (mtree_store_range(&space->moved, first, last, NULL, GFP_KERNEL))
		cond_resched();
}

/*
 * pmon_regions_begin - a new address space
 *
 * Not where space->lines is initialised: a file's xarrays are one class to lockdep, and
 * these are never locked in softirq context.
 */
void pmon_regions_begin(struct pmon_space *space)
{
	xa_init(&space->regions);
	mt_init_flags(&space->moved, PMON_TREE_FLAGS);
}

/* pmon_regions_end - the address space is gone. Context: exit_mmap(). */
void pmon_regions_end(struct pmon_space *space)
{
	struct pmon_region *region;
	unsigned long number;

	xa_for_each(&space->regions, number, region) {
		pmon_repair_end(region);
		pmon_clone_cancel(region);
		pmon_clone_parent_ends(region);
	}
}

/*
 * pmon_regions_free - tell the homes, and free all regions
 * Context: process; no other user of the space is left.
 */
void pmon_regions_free(struct pmon_space *space)
{
	struct pmon_region *region;
	unsigned long number;

	/* All at once: the process may have many, and its frames are wanted. */
	xa_for_each(&space->regions, number, region)
		pmon_stream_leave(region);
	xa_for_each(&space->regions, number, region) {
		pmon_stream_exit(region);
		region_free(region);
	}
	xa_destroy(&space->regions);
	mtree_destroy(&space->moved);
}

/* ---- ranges that may span regions ----------------------------------------------- */

/* pmon_regions_unmap - the range left the address space */
void pmon_regions_unmap(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	struct pmon_region *region;
	pgoff_t at = first, end;

	while (at <= last &&
	       (region = pmon_region_next(space, &at, last, &end))) {
		pmon_changes_unmap(&region->changes, at, end);
		at = end + 1;
	}
	unassign(space, first, last);
}

/* pmon_regions_discard - the homes may free their pages of the range */
void pmon_regions_discard(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	struct pmon_region *region;
	pgoff_t end;

	while (first <= last &&
	       (region = pmon_region_next(space, &first, last, &end))) {
		pmon_changes_discard(&region->changes, first, end);
		first = end + 1;
	}
}

/* pmon_regions_forget_plain - a part of the range has got a file behind it */
void pmon_regions_forget_plain(struct pmon_space *space, pgoff_t first,
			       pgoff_t last)
{
	struct pmon_region *region;
	pgoff_t end;

	while (first <= last &&
	       (region = pmon_region_next(space, &first, last, &end))) {
		pmon_changes_forget_plain(&region->changes);
		first = end + 1;
	}
}

/* ---- size -------------------------------------------------------------------------- */

/*
 * pmon_region_pages - how many pages the region has, more or less
 *
 * Lines count as if they were stored, and what moves brought or took away is not
 * looked for. Context: process; the region is referenced.
 */
unsigned long pmon_region_pages(struct pmon_region *region)
{
	pgoff_t first = region->number << region_shift;
	XA_STATE(xas, &region->space->lines, first);
	unsigned long pages = 0, seen = 0;
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, first + (1UL << region_shift) - 1) {
		if (xas_retry(&xas, entry))
			continue;
		pages += pmon_entry_is_remote(entry) || !xa_is_value(entry);
		if (++seen % COUNT_AT_ONCE)
			continue;
		xas_pause(&xas);
		rcu_read_unlock();
		cond_resched();
		rcu_read_lock();
	}
	rcu_read_unlock();
	return pages;
}

/* ---- loss --------------------------------------------------------------------------- */

/*
 * pmon_region_lose - the home is gone and with it every page stored there
 *
 * Later faults on such pages end in SIGBUS; nothing else changes. Context: any.
 */
void pmon_region_lose(struct pmon_region *region)
{
	struct lite_peer *home = pmon_region_home(region);
	struct pmon_space *space = region->space;

	if (xchg(&region->lost, true))
		return;
	pmon_count(spaces_lost);
	pmon_event("lost", region, home ? lite_peer_node(home) : 0);
	if (home) {
		__be32 addr = cpu_to_be32(lite_peer_node(home));

		pr_err("%s[%d]: memory host %pI4 is lost, and with it the pages of address space %llx there\n",
		       space->comm, space->pid, &addr, region->asid);
	}
	pmon_lines_wake(space->budget);
}

/*
 * pmon_region_forget_places - the primary is another one
 *
 * Context: stream_lock held, so that nothing of the region moves to other addresses.
 */
void pmon_region_forget_places(struct pmon_region *region)
{
	MA_STATE(mas, &region->space->moved, 0, 0);
	pgoff_t first = region->number << region_shift, last;
	struct pmon_region *other;

	/* Its lines may be others' by now; what has yet to be cloned needs no place. */
	if (READ_ONCE(region->space->ended))
		return;
	pmon_grant_forget_places(region, first, first + (1UL << region_shift) - 1);
	rcu_read_lock();
	mas_for_each(&mas, other, ULONG_MAX) {
		if (other != region)
			continue;
		first = mas.index;
		last = mas.last;
		mas_pause(&mas);
		rcu_read_unlock();
		pmon_grant_forget_places(region, first, last);
		rcu_read_lock();
	}
	rcu_read_unlock();
}

struct gone_host {
	u32 node;
};

static void host_gone(struct pmon_region *region, u32 node)
{
	struct pmon_holder *holder = pmon_holder_at(region, node);

	/* A holder that was never sent anything has lost nothing. */
	if (!holder || !(READ_ONCE(holder->attached) ||
			 atomic_read(&region->clones)))
		return;
	if (holder != pmon_region_primary(region)) {
		WRITE_ONCE(holder->gone, true);
		pmon_repair_soon(region);
	} else if (!pmon_holder_suspect(region, holder->peer)) {
		pmon_region_lose(region);
	}
}

static int gone_from_space(struct pmon_space *space, void *arg)
{
	struct gone_host *gone = arg;
	struct pmon_region *region;
	unsigned long number;

	xa_for_each(&space->regions, number, region)
		host_gone(region, gone->node);
	return 0;
}

/* pmon_regions_host_gone - a memory host died, restarted or left */
void pmon_regions_host_gone(u32 node)
{
	struct gone_host gone = { .node = node };

	pmon_spaces_for_each(gone_from_space, &gone);
}

int pmon_region_init(void)
{
	if (region_mb < 2 || region_mb > 1u << 20 || !is_power_of_2(region_mb)) {
		pr_err("region_mb=%u must be a power of two, 2...1048576\n",
		       region_mb);
		return -EINVAL;
	}
	region_shift = ilog2(region_mb) + 20 - PAGE_SHIFT;
	return 0;
}
