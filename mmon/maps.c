// SPDX-License-Identifier: GPL-2.0
/*
 * Changes of an address space: map, unmap, discard, move.
 *
 * A request is all or nothing, because a move that is applied twice loses
 * pages. Everything that can fail comes first: the new vma array, and for moves
 * a reserved slot for each page that may arrive. A later move in the same
 * request may carry on what an earlier one brought, so reservations count as
 * pages when a move's targets are reserved. While the changes are applied, no
 * slot is given back; what is left over goes at the end.
 *
 * A move's source need not be mapped in full: the processor reports ranges
 * lazily, and a move says nothing about vmas that were never reported.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

struct span {
	unsigned long first;
	unsigned long last;
};

static u32 change_type(const struct mmon_change *c)
{
	return le32_to_cpu(c->type);
}

static struct span source(const struct mmon_change *c)
{
	return (struct span){
		le64_to_cpu(c->start) >> MMON_PAGE_SHIFT,
		(le64_to_cpu(c->end) >> MMON_PAGE_SHIFT) - 1,
	};
}

static struct span target(const struct mmon_change *c)
{
	struct span r = source(c);
	unsigned long to = le64_to_cpu(c->to) >> MMON_PAGE_SHIFT;

	return (struct span){ to, to + (r.last - r.first) };
}

static struct mmon_vmas *change_vmas(const struct mmon_vmas *old,
				     const struct mmon_change *changes, u32 nr)
{
	struct mmon_vmas *vmas = mmon_vmas_copy(old, nr);
	u64 start, end, to;
	u32 i, prot;

	for (i = 0; vmas && i < nr; i++) {
		start = le64_to_cpu(changes[i].start);
		end = le64_to_cpu(changes[i].end);
		to = le64_to_cpu(changes[i].to);
		prot = le32_to_cpu(changes[i].prot);
		if (change_type(&changes[i]) == MMON_MAP)
			mmon_vmas_set(vmas, start, end, prot);
		else if (change_type(&changes[i]) == MMON_UNMAP)
			mmon_vmas_set(vmas, start, end, MMON_UNMAPPED);
		else if (change_type(&changes[i]) == MMON_MOVE)
			mmon_vmas_set(vmas, to, to + (end - start), prot);
	}
	if (vmas && vmas->nr > MMON_VMAS_MAX) {
		kvfree(vmas);
		return NULL;
	}
	return vmas;
}

/*
 * @left: how many slots may still be reserved. Moves that follow each other reserve for
 * what earlier ones have reserved, too, and could double it each time.
 */
static int reserve_move(struct mmon_space *space, const struct mmon_change *c,
			u64 *left)
{
	struct span from = source(c), to = target(c);
	unsigned long index, at;
	void *entry;
	int err;

	lockdep_assert_held(&space->lock);
	xa_for_each_range(&space->pages, index, entry, from.first, from.last) {
		cond_resched();
		at = index - from.first + to.first;
		if (xa_load(&space->pages, at))
			continue;
		err = (*left)-- ? mmon_space_reserve(space, at) : -ENOMEM;
		if (err)
			return err;
	}
	return 0;
}

/* Give back what reserve_move() and the changes left reserved. */
static void sweep(struct mmon_space *space, const struct mmon_change *changes,
		  u32 nr)
{
	struct span r;
	u32 i;

	for (i = 0; i < nr; i++) {
		r = source(&changes[i]);
		mmon_space_unreserve(space, r.first, r.last);
		if (change_type(&changes[i]) != MMON_MOVE)
			continue;
		r = target(&changes[i]);
		mmon_space_unreserve(space, r.first, r.last);
	}
}

static int reserve_moves(struct mmon_space *space,
			 const struct mmon_change *changes, u32 nr, bool *moves)
{
	u64 left = (space->frames + space->records) * MMON_MAPS_MAX;
	int err = 0;
	u32 i;

	for (i = 0; !err && i < nr; i++) {
		if (change_type(&changes[i]) != MMON_MOVE)
			continue;
		*moves = true;
		err = reserve_move(space, &changes[i], &left);
	}
	if (err)
		sweep(space, changes, nr);
	return err;
}

/* All slots that are stored to are reserved: nothing here can fail. */
static void move_frames(struct mmon *m, struct mmon_space *space,
			const struct mmon_change *c)
{
	struct span from = source(c), to = target(c);
	unsigned long index;
	void *entry;

	lockdep_assert_held(&space->lock);
	mmon_space_drop(m, space, to.first, to.last, true);
	xa_for_each_range(&space->pages, index, entry, from.first, from.last) {
		if (!mmon_entry_used(entry))
			continue;
		xa_store(&space->pages, index - from.first + to.first, entry,
			 GFP_KERNEL);
		xa_store(&space->pages, index, MMON_RESERVED, GFP_KERNEL);
		cond_resched();
	}
}

static void change_pages(struct mmon *m, struct mmon_space *space,
			 const struct mmon_change *changes, u32 nr, bool moves)
{
	struct span r;
	u32 i;

	for (i = 0; i < nr; i++) {
		r = source(&changes[i]);
		switch (change_type(&changes[i])) {
		case MMON_UNMAP:
		case MMON_DISCARD:
			mmon_space_drop(m, space, r.first, r.last, moves);
			break;
		case MMON_MOVE:
			move_frames(m, space, &changes[i]);
			break;
		default:
			break;
		}
	}
	if (moves)
		sweep(space, changes, nr);
}

static int apply(struct mmon *m, struct mmon_space *space,
		 const struct mmon_change *changes, u32 nr)
{
	struct mmon_vmas *vmas;
	bool moves = false;
	int err;

	lockdep_assert_held(&space->lock);
	vmas = change_vmas(mmon_space_vmas(space), changes, nr);
	if (!vmas)
		return -ENOMEM;
	err = reserve_moves(space, changes, nr, &moves);
	if (err) {
		kvfree(vmas);
		return err;
	}
	change_pages(m, space, changes, nr, moves);
	mmon_space_set_vmas(space, vmas);
	space->seq++;
	return 0;
}

/* Return: -EEXIST if another request created the space meanwhile. */
static int create(struct mmon *m, const struct mmon_owner *owner, u64 asid,
		  const struct mmon_change *changes, u32 nr)
{
	struct mmon_space *space = mmon_space_create(m, asid, owner);
	int err;

	if (!space)
		return -ENOMEM;
	mutex_lock(&space->lock);
	err = apply(m, space, changes, nr);
	if (!err)
		err = mmon_space_publish(m, space);
	if (err)
		mmon_space_clear(m, space);
	mutex_unlock(&space->lock);
	mmon_space_put(space);
	return err;
}

/* Return: -ESTALE if the space was ended meanwhile. */
static int change(struct mmon *m, struct mmon_space *space, u64 seq,
		  const struct mmon_change *changes, u32 nr)
{
	int ret;

	mutex_lock(&space->lock);
	ret = space->dead ? -ESTALE : mmon_space_sequence(space, seq);
	if (!ret)
		ret = apply(m, space, changes, nr);
	mutex_unlock(&space->lock);
	return ret;
}

/**
 * mmon_maps - apply changes to an address space; number 1 creates it
 * @m: the monitor
 * @owner: who asks
 * @asid: its number
 * @seq: number of the change
 * @changes: checked by the caller
 * @nr: how many changes
 *
 * Return: 0; 1: a repeat; negative errno: nothing was changed.
 */
int mmon_maps(struct mmon *m, const struct mmon_owner *owner, u64 asid, u64 seq,
	      const struct mmon_change *changes, u32 nr)
{
	struct mmon_space *space;
	int ret;

	do {
		space = mmon_space_get(m, asid);
		if (!space) {
			ret = seq == 1 ? create(m, owner, asid, changes, nr) :
					 -ENOENT;
			continue;
		}
		ret = -EPERM;
		if (mmon_space_owned(space, owner))
			ret = change(m, space, seq, changes, nr);
		mmon_space_put(space);
	} while (ret == -ESTALE || ret == -EEXIST);
	return ret;
}
