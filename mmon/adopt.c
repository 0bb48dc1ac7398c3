// SPDX-License-Identifier: GPL-2.0
/*
 * Spare frames: what a space's owner may fill one-sided and tell of afterwards.
 *
 * A flush costs this host a copy of each page, its checksum and, for each fifteen, a
 * request. Spare frames leave it a slot in the page map: the owner writes a page into
 * one, without our doing, and tells with the next sixty-three where it belongs.
 *
 * A spare frame is of a chunk that is granted to the space, has one reference and is in
 * no page map. It is charged from the start, so that adopting it cannot fail for
 * lack of frames. A space that holds spares keeps others from them, so there
 * are none for small spaces, nor when frames are scarce.
 *
 * If a chunk is revoked its spare frames stay the space's until its owner asks
 * again: it may have written pages there. What it has not told of by then it has
 * not written, or not successfully, and cannot write any more.
 */
#include <linux/kernel.h>
#include <linux/slab.h>

#include "internal.h"

/* Spares are given while more than this part of the capacity is not charged. */
#define SCARCE_PART	8

/* The place of a frame in space->spare; the owner names them in their order. */
static int spare_find(const struct mmon *m, const struct mmon_space *space,
		      u32 location, u32 hint)
{
	u32 i, at;

	for (i = 0; i < space->nr_spares; i++) {
		at = (hint + i) % space->nr_spares;
		if (1 + mmon_frame_index(&m->pool, space->spare[at]) == location)
			return at;
	}
	return -EINVAL;
}

/* Which spares are named: @which, and as bits, @named. Each may be named once. */
static int check(struct mmon *m, struct mmon_space *space,
		 const struct mmon_adopt_in *in, u8 *which, u64 *named)
{
	const struct mmon_vmas *vmas = mmon_space_vmas(space);
	int at = -1, err;
	u32 i;

	lockdep_assert_held(&space->lock);
	for (i = 0; i < in->nr; i++) {
		err = mmon_vmas_check(vmas, in->addr[i], MMON_PROT_WRITE);
		if (err)
			return err;
		at = spare_find(m, space, in->location[i], at + 1);
		if (at < 0 || *named & BIT_ULL(at))
			return -EINVAL;
		*named |= BIT_ULL(at);
		which[i] = at;
	}
	return 0;
}

/* All slots are reserved: nothing here can fail. */
static void publish(struct mmon *m, struct mmon_space *space,
		    const struct mmon_adopt_in *in, const u8 *which)
{
	u32 i, freed = 0;

	for (i = 0; i < in->nr; i++)
		freed += mmon_space_store(m, space, in->addr[i],
					  space->spare[which[i]]);
	mmon_pool_uncharge(&m->pool, freed);
	mmon_pool_spares_used(&m->pool, in->nr);
	space->seq++;
}

/* Take those in @gone out of the list. */
static void compact(struct mmon_space *space, u64 gone)
{
	u32 i, n = 0;

	for (i = 0; i < space->nr_spares; i++)
		if (!(gone & BIT_ULL(i)))
			space->spare[n++] = space->spare[i];
	space->nr_spares = n;
}

static int adopt(struct mmon *m, struct mmon_space *space,
		 const struct mmon_adopt_in *in)
{
	u8 which[MMON_SPARES_MAX];
	u64 named = 0;
	int err;

	err = check(m, space, in, which, &named);
	if (!err)
		err = mmon_space_reserve_pages(space, in->addr, in->nr);
	if (err)
		return err;
	publish(m, space, in, which);
	compact(space, named);
	return 0;
}

/* Best effort: without memory or frames there are fewer, or none. */
static void top_up(struct mmon *m, struct mmon_space *space, u32 want)
{
	u32 nr;

	lockdep_assert_held(&space->lock);
	if (space->nr_spares >= want || space->frames < MMON_CLAIM_FRAMES)
		return;
	if (!space->spare)
		space->spare = kcalloc(MMON_SPARES_MAX, sizeof(*space->spare),
				       GFP_KERNEL | __GFP_NOWARN);
	if (!space->spare)
		return;
	nr = want - space->nr_spares;
	mmon_space_claim(m, space, nr);
	space->nr_spares += mmon_pool_take_spares(&m->pool, &space->chunks, nr,
						  m->pool.capacity / SCARCE_PART,
						  space->spare + space->nr_spares);
}

/* Tell of all that can be reached; what cannot is given back. */
static void list(struct mmon *m, struct mmon_space *space,
		 struct mmon_spares *reply)
{
	u32 i, n = 0, nr = space->nr_spares;
	u64 gone = 0;

	lockdep_assert_held(&space->lock);
	memset(reply, 0, sizeof(*reply));
	mmon_chunks_locate(&m->pool, &space->chunks, space->spare, nr,
			   reply->location, reply->grant, &reply->nr_grants);
	for (i = 0; i < nr; i++) {
		if (reply->location[i]) {
			reply->location[n++] = reply->location[i];
			continue;
		}
		mmon_pool_untake_spare(&m->pool, space->spare[i]);
		gone |= BIT_ULL(i);
	}
	memset(&reply->location[n], 0, (nr - n) * sizeof(reply->location[0]));
	reply->nr = cpu_to_le32(n);
	compact(space, gone);
}

/**
 * mmon_adopt - pages that lie in spare frames become the space's, and new spares
 * @m: the monitor
 * @owner: who asks
 * @in: checked by the caller: addresses are valid
 * @reply: room for MMON_SPARES_REPLY_MAX bytes; not written on error
 *
 * Return: 0; 1: a repeat; negative errno: nothing was changed.
 */
int mmon_adopt(struct mmon *m, const struct mmon_owner *owner,
	       const struct mmon_adopt_in *in, struct mmon_spares *reply)
{
	struct mmon_space *space = mmon_space_get(m, in->asid);
	int ret = -EPERM;

	if (!space)
		return -ENOENT;
	if (mmon_space_owned(space, owner)) {
		mutex_lock(&space->lock);
		ret = space->dead ? -ENOENT :
				    mmon_space_sequence(space, in->seq);
		/* Also a repeat: there was none at a replica. */
		if (!space->dead && space->kind == MMON_REPLICA)
			ret = -EOPNOTSUPP;
		if (!ret) {
			ret = adopt(m, space, in);
			if (!ret)
				top_up(m, space, in->want);
		}
		if (ret >= 0)
			list(m, space, reply);
		mutex_unlock(&space->lock);
	}
	mmon_space_put(space);
	return ret;
}

/** mmon_spares_clear - the space ends: its spare frames are free */
void mmon_spares_clear(struct mmon *m, struct mmon_space *space)
{
	lockdep_assert_held(&space->lock);
	while (space->nr_spares)
		mmon_pool_untake_spare(&m->pool,
				       space->spare[--space->nr_spares]);
	kfree(space->spare);
	space->spare = NULL;
}
