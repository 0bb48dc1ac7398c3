// SPDX-License-Identifier: GPL-2.0
/*
 * Replicas: the copy of an address space for the case that its host is lost.
 *
 * A replica is an address space like any other: it has vmas and a page map, is
 * changed by the same requests in the same order, belongs to the same owner. Only its
 * pages lie in the log. So there is little here: how one comes to be, how pages are
 * appended instead of stored, and how it becomes an ordinary space. That is one
 * assignment, because whatever reads a page map knows records; the frames
 * follow (rebuild.c).
 *
 * A replica that is made while its primary has pages already is fed by the primary's
 * host. What its owner stores meanwhile is newer than what it is fed with, so a feed
 * never replaces a page. One that is to take its primary's place may be promoted first
 * and fed then: the log is on the way to frames only, however many pages there are.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"
#include "mmon_checksum.h"

/* ---- appending ------------------------------------------------------------------ */

static u32 nth(const u8 *which, u32 i)
{
	return which ? which[i] : i;
}

/* The payload can change while it is read: the copies are checked. */
static int fill(struct mmon *m, const struct mmon_flush_in *in, const u8 *which,
		u32 nr, const struct mmon_place *places)
{
	void *data;
	u32 i, p;

	for (i = 0; i < nr; i++) {
		p = nth(which, i);
		data = mmon_log_data(&m->log, &places[i]);
		memcpy(data, in->payload + p * MMON_PAGE_SIZE, MMON_PAGE_SIZE);
		if (mmon_checksum(in->checksum, data) != in->sum[p])
			return -EILSEQ;
	}
	return 0;
}

static int reserve(struct mmon_space *space, const struct mmon_flush_in *in,
		   const u8 *which, u32 nr, struct mmon_record **records)
{
	u64 addr[MMON_FLUSH_MAX];
	int err;
	u32 i;

	err = mmon_records_alloc(nr, records);
	if (err)
		return err;
	for (i = 0; i < nr; i++)
		addr[i] = in->addr[nth(which, i)];
	err = mmon_space_reserve_pages(space, addr, nr);
	while (err && i)
		kfree(records[--i]);
	return err;
}

/* Nothing here can fail. */
static void publish(struct mmon *m, struct mmon_space *space,
		    const struct mmon_flush_in *in, const u8 *which, u32 nr,
		    const struct mmon_place *places, struct mmon_record **records)
{
	struct mmon_record_header headers[MMON_FLUSH_MAX];
	u32 i, p, freed = 0;

	for (i = 0; i < nr; i++) {
		p = nth(which, i);
		headers[i] = (struct mmon_record_header){
			.asid = cpu_to_le64(space->asid),
			.addr = cpu_to_le64(in->addr[p]),
			.length = cpu_to_le32(MMON_PAGE_SIZE),
			.checksum = cpu_to_le32(in->checksum),
			.sum = cpu_to_le32(in->sum[p]),
		};
	}
	mmon_log_commit(&m->log, nr, places, headers, records);
	for (i = 0; i < nr; i++)
		freed += mmon_space_store_record(m, space, in->addr[nth(which, i)],
						 records[i]);
	mmon_pool_uncharge(&m->pool, freed);
}

/**
 * mmon_append - pages go to the log and into a page map: all of them or none
 * @m: the monitor
 * @space: the space
 * @in: the pages
 * @which: indices of those that are wanted, or NULL: the first
 * @nr: how many
 *
 * Context: process, may sleep for a second. Return: 0 or negative errno.
 */
int mmon_append(struct mmon *m, struct mmon_space *space,
		const struct mmon_flush_in *in, const u8 *which, u32 nr)
{
	struct mmon_record *records[MMON_FLUSH_MAX];
	struct mmon_place places[MMON_FLUSH_MAX];
	int err;

	lockdep_assert_held(&space->lock);
	err = mmon_log_take(&m->log, nr, places);
	if (err)
		return err;
	err = fill(m, in, which, nr, places);
	if (!err)
		err = reserve(space, in, which, nr, records);
	if (err)
		mmon_log_untake(&m->log, nr, places);
	else
		publish(m, space, in, which, nr, places, records);
	return err;
}

/* ---- feeding ---------------------------------------------------------------------- */

/* The pages that the replica does not have. Return: how many, or negative errno. */
static int missing(struct mmon_space *space, const struct mmon_flush_in *in,
		   u8 *which)
{
	const struct mmon_vmas *vmas = mmon_space_vmas(space);
	int err, nr = 0;
	u32 i;

	lockdep_assert_held(&space->lock);
	for (i = 0; i < in->nr; i++) {
		err = mmon_vmas_check(vmas, in->addr[i], 0);
		if (err)
			return err;
		if (!xa_load(&space->pages, in->addr[i] >> MMON_PAGE_SHIFT))
			which[nr++] = i;
	}
	return nr;
}

static int feed(struct mmon *m, struct mmon_space *space, u32 node,
		const struct mmon_flush_in *in, u32 *stored)
{
	u8 which[MMON_FLUSH_MAX];
	int err, nr;

	if (space->dead)
		return -ENOENT;
	if (space->kind == MMON_ORDINARY)
		return -EOPNOTSUPP;
	nr = missing(space, in, which);
	if (nr <= 0)
		return nr;
	err = mmon_append(m, space, in, which, nr);
	if (err)
		return err;
	*stored = nr;
	if (space->kind == MMON_PROMOTED)
		mmon_rebuild_kick(m, space);
	return 0;
}

/**
 * mmon_feed - pages of the space that a replica is a copy of
 * @m: the monitor
 * @node: who sends them
 * @owner: for whom, as @node says
 * @in: checked by the caller; without a number
 * @stored: result: how many the replica did not have
 *
 * Return: 0 or negative errno: nothing was changed.
 */
int mmon_feed(struct mmon *m, u32 node, u32 owner,
	      const struct mmon_flush_in *in, u32 *stored)
{
	struct mmon_space *space = mmon_space_get(m, in->asid);
	int err = -EPERM;

	*stored = 0;
	if (!space)
		return -ENOENT;
	/* Both are set before anybody sees the space, and never changed. */
	if (space->feeder && space->feeder == node && space->node == owner) {
		mutex_lock(&space->lock);
		err = feed(m, space, node, in, stored);
		mutex_unlock(&space->lock);
	}
	mmon_space_put(space);
	return err;
}

/* ---- life ------------------------------------------------------------------------- */

/* Return: -EEXIST if another request created the space meanwhile. */
static int create(struct mmon *m, const struct mmon_owner *owner,
		  const struct mmon_replica *msg)
{
	struct mmon_space *space;
	struct mmon_vmas *vmas;
	int err = -ENOMEM;

	if (!m->log.nr_segments)
		return -EOPNOTSUPP;
	space = mmon_space_create(m, le64_to_cpu(msg->asid), owner);
	if (!space)
		return -ENOMEM;
	mutex_lock(&space->lock);
	space->kind = MMON_REPLICA;
	space->feeder = le32_to_cpu(msg->feeder);
	space->seq = 1;
	vmas = mmon_vmas_copy(NULL, 0);
	if (vmas) {
		mmon_space_set_vmas(space, vmas);
		err = mmon_space_publish(m, space);
	}
	if (err)
		mmon_space_clear(m, space);
	mutex_unlock(&space->lock);
	mmon_space_put(space);
	return err;
}

/* It is no repeat if the space was not made by a request like this. */
static int exists(struct mmon_space *space)
{
	int ret;

	mutex_lock(&space->lock);
	ret = space->dead ? -ESTALE :
	      space->kind != MMON_ORDINARY && space->seq ? 1 : -EPROTO;
	mutex_unlock(&space->lock);
	return ret;
}

/**
 * mmon_replica - create a replica
 * @m: the monitor
 * @owner: who asks
 * @msg: checked by the caller
 *
 * Return: 0; 1: a repeat; negative errno: nothing was changed.
 */
int mmon_replica(struct mmon *m, const struct mmon_owner *owner,
		 const struct mmon_replica *msg)
{
	struct mmon_space *space;
	int ret;

	do {
		space = mmon_space_get(m, le64_to_cpu(msg->asid));
		if (!space) {
			ret = create(m, owner, msg);
			continue;
		}
		ret = mmon_space_owned(space, owner) ? exists(space) : -EPERM;
		mmon_space_put(space);
	} while (ret == -ESTALE || ret == -EEXIST);
	return ret;
}

static void promote(struct mmon *m, struct mmon_space *space)
{
	lockdep_assert_held(&space->lock);
	space->seq++;
	if (space->kind != MMON_REPLICA)
		return;
	space->kind = MMON_PROMOTED;
	atomic_dec(&m->nr_replicas);
	mmon_rebuild_kick(m, space);
}

/**
 * mmon_promote - a replica becomes an ordinary space
 * @m: the monitor
 * @owner: who asks
 * @msg: checked by the caller
 *
 * Return: 0; 1: a repeat; negative errno: nothing was changed.
 */
int mmon_promote(struct mmon *m, const struct mmon_owner *owner,
		 const struct mmon_promote *msg)
{
	struct mmon_space *space = mmon_space_get(m, le64_to_cpu(msg->asid));
	int ret = -EPERM;

	if (!space)
		return -ENOENT;
	if (mmon_space_owned(space, owner)) {
		mutex_lock(&space->lock);
		ret = space->dead ? -ENOENT :
			mmon_space_sequence(space, le64_to_cpu(msg->seq));
		if (!ret)
			promote(m, space);
		mutex_unlock(&space->lock);
	}
	mmon_space_put(space);
	return ret;
}
