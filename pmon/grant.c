// SPDX-License-Identifier: GPL-2.0
/*
 * Grants: chunks of frames at the home that a region may reach one-sided.
 *
 * A location (entry.h) names a frame; the grant of its chunk says how to reach it
 * just now. Both come with the answer to a flush. That a page lies where its
 * location says rests on the home's page map, which only this region's own requests
 * change; that it can be reached there, on a key that the home may revoke at any
 * time. A transfer then is refused, the grant is forgotten, and everything goes by
 * request until a flush brings a new one.
 *
 * Grants are immutable: a new one takes the old one's place. Readers use RCU.
 */
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "internal.h"

#define WITHHOLD_AT_ONCE	256	/* entries looked at under one lock */

struct grant {
	struct rcu_head rcu;
	u64 addr;
	u32 rkey;
};

/* To compare both ways, and to be on the safe side. */
static bool one_sided = true;
module_param(one_sided, bool, 0644);
MODULE_PARM_DESC(one_sided, "read and write pages at their home without asking it");

void pmon_grants_init(struct pmon_region *region)
{
	xa_init_flags(&region->grants, XA_FLAGS_LOCK_BH);
}

/* pmon_grants_forget - the primary is another one. Context: stream_lock held. */
void pmon_grants_forget(struct pmon_region *region)
{
	struct grant *grant;
	unsigned long chunk;

	lockdep_assert_held(&region->stream_lock);
	xa_for_each(&region->grants, chunk, grant) {
		/* Not what was found: a refused transfer may just have forgotten that. */
		grant = xa_erase_bh(&region->grants, chunk);
		if (grant)
			kfree_rcu(grant, rcu);
	}
}

/* pmon_grants_destroy - no transfer is under way any more */
void pmon_grants_destroy(struct pmon_region *region)
{
	struct grant *grant;
	unsigned long chunk;

	xa_for_each(&region->grants, chunk, grant)
		kfree(grant);
	xa_destroy(&region->grants);
}

/* pmon_grant_any - may any page have a location? */
bool pmon_grant_any(struct pmon_region *region)
{
	return !xa_empty(&region->grants);
}

/* pmon_grants_used - may any page be reached one-sided just now? */
bool pmon_grants_used(struct pmon_region *region)
{
	return READ_ONCE(one_sided) && pmon_grant_any(region);
}

/*
 * pmon_grant_find - how to reach a page of the home
 * @location: of the page, 0: not known
 * @reach: result
 * Context: any. Return: false: only by request.
 */
bool pmon_grant_find(struct pmon_region *region, u32 location,
		     struct pmon_reach *reach)
{
	u32 frame = location - 1;
	struct grant *grant;

	if (!location || !READ_ONCE(one_sided))
		return false;
	rcu_read_lock();
	grant = xa_load(&region->grants, frame >> MMON_CHUNK_SHIFT);
	if (grant) {
		reach->rkey = grant->rkey;
		reach->addr = grant->addr +
			((u64)(frame & ((1u << MMON_CHUNK_SHIFT) - 1)) <<
			 MMON_PAGE_SHIFT);
	}
	rcu_read_unlock();
	return grant;
}

/*
 * pmon_grant_next - pmon_grant_find() for one of many pages, most of them neighbours
 * @before: the location that @reach is of, 0: none
 * @reach: if true is returned that of @location, else as it was
 *
 * A frame next to another in one chunk needs no look-up. That the grant may have gone
 * since is as if it went a moment later: the transfer is refused.
 */
bool pmon_grant_next(struct pmon_region *region, u32 location, u32 before,
		     struct pmon_reach *reach)
{
	u32 frame = location - 1;

	if (before && location == before + 1 &&
	    frame & ((1u << MMON_CHUNK_SHIFT) - 1)) {
		reach->addr += MMON_PAGE_SIZE;
		return true;
	}
	return pmon_grant_find(region, location, reach);
}

/* pmon_grant_revoked - the home refused a transfer with @rkey; any context */
void pmon_grant_revoked(struct pmon_region *region, u32 location, u32 rkey)
{
	u32 chunk = (location - 1) >> MMON_CHUNK_SHIFT;
	struct grant *grant;

	xa_lock_bh(&region->grants);
	grant = xa_load(&region->grants, chunk);
	/* It may have been renewed since. */
	if (grant && grant->rkey == rkey) {
		__xa_erase(&region->grants, chunk);
		kfree_rcu(grant, rcu);
		pmon_count(grants_revoked);
	}
	xa_unlock_bh(&region->grants);
}

static bool is_known(struct pmon_region *region, u32 chunk,
		     const struct mmon_grant *wire)
{
	struct grant *grant;
	bool same;

	rcu_read_lock();
	grant = xa_load(&region->grants, chunk);
	same = grant && grant->rkey == le32_to_cpu(wire->rkey) &&
	       grant->addr == le64_to_cpu(wire->addr);
	rcu_read_unlock();
	return same;
}

/*
 * pmon_grant_set - the home granted a chunk, perhaps once more
 *
 * Without memory the chunk stays out of reach, which costs requests, no more.
 * Context: process, stream_lock held.
 */
void pmon_grant_set(struct pmon_region *region, const struct mmon_grant *wire)
{
	u32 chunk = le32_to_cpu(wire->chunk);
	struct grant *grant, *old;

	lockdep_assert_held(&region->stream_lock);
	region->granted = true;
	if (is_known(region, chunk, wire))
		return;
	grant = kmalloc(sizeof(*grant), GFP_NOWAIT | __GFP_NOWARN);
	if (!grant)
		return;
	grant->addr = le64_to_cpu(wire->addr);
	grant->rkey = le32_to_cpu(wire->rkey);
	old = xa_store_bh(&region->grants, chunk, grant,
			  GFP_NOWAIT | __GFP_NOWARN);
	if (xa_is_err(old)) {
		kfree(grant);
		return;
	}
	pmon_count(grants);
	if (old)
		kfree_rcu(old, rcu);
}

static struct pmon_copy withheld(struct pmon_copy copy, bool place)
{
	copy.in_place = false;
	if (place)
		copy.location = 0;
	return copy;
}

/*
 * Entries and lines of [@first, @last] under one lock; false: that was all.
 * @place: not only writing in place, the place itself is taken out
 */
static bool withhold_some(struct pmon_region *region, unsigned long *index,
			  pgoff_t last, bool place)
{
	XA_STATE(xas, &region->space->lines, *index);
	struct pmon_line *line;
	struct pmon_copy copy;
	unsigned int nr = 0;
	void *entry;

	xas_lock_bh(&xas);
	xas_for_each(&xas, entry, last) {
		*index = xas.xa_index;
		if (nr++ == WITHHOLD_AT_ONCE)
			break;
		line = xa_is_value(entry) ? NULL : entry;
		if (line && READ_ONCE(line->region) == region)
			line->copy = withheld(line->copy, place);
		if (!pmon_entry_is_remote(entry))
			continue;
		copy = pmon_entry_copy(entry);
		if (copy.in_place || (place && copy.location))
			xas_store(&xas, pmon_entry_remote(withheld(copy, place)));
	}
	xas_unlock_bh(&xas);
	return entry;
}

/*
 * pmon_grant_withhold - fork: nothing of [@first, @last] is written in place
 *
 * The home's frames are about to be a child's as well. Context: stream_lock held,
 * so that nothing is being flushed, and mmap_lock for writing, so that nobody
 * faults.
 */
void pmon_grant_withhold(struct pmon_region *region, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	lockdep_assert_held(&region->stream_lock);
	/*
	 * None may be known for the moment, for want of memory or since it was refused: what
	 * is to be written in place is still.
	 */
	if (!region->granted)
		return;
	while (withhold_some(region, &index, last, false))
		cond_resched();
}

/*
 * pmon_grant_forget_places - the primary is another one, where nothing is known to
 *	lie where it lay
 *
 * There is no grant, so that no transfer relies on a place meanwhile. Pages of other
 * regions in [@first, @last] may lose theirs, too, which costs them requests.
 * Context: stream_lock held.
 */
void pmon_grant_forget_places(struct pmon_region *region, pgoff_t first,
			      pgoff_t last)
{
	unsigned long index = first;

	lockdep_assert_held(&region->stream_lock);
	while (withhold_some(region, &index, last, true))
		cond_resched();
}
