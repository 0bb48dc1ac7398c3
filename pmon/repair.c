// SPDX-License-Identifier: GPL-2.0
/*
 * Repair: a region gets the holders that it is to have.
 *
 * One work item for each region looks at who holds it, and brings that nearer to what
 * is wanted, a step at a time:
 *	the primary is suspected	a secondary takes over (pmon_stream_sync)
 *	too few hold it			the manager names another host; it is seeded
 *	the primary's host is drained	a secondary takes over, in good order
 *	another's host is drained	it is dropped, once there are enough without it
 *	the region is to move		as drained, but to that host or not at all (balance.c)
 * What cannot be done now is tried again until it can, or the address space ends.
 *
 * Seeding: the new secondary learns what is mapped, and from then on of all that is
 * stored or changes. What was there before, the primary sends it, some pages at each SEED.
 * That is part of the ordered stream, so nothing changes while a SEED is under way;
 * between two of them the evictor has its turn. Pages that a move carries to where
 * the seeding has been already are seeded once more (region->seed_at).
 *
 * A region that owes clones, or is owed some, settles that first: its children's
 * holders are those that it had when they were made.
 */
#include <linux/delay.h>

#include "internal.h"
#include "trace.h"

#define AGAIN_MS	500	/* between attempts that did not succeed */
#define FORK_MS		10	/* for a fork to end */
#define REFUSED_MS	50	/* a host that is short of room, or busy */
#define REFUSED_MAX	100
#define SEED_MS		5000	/* for the host that is seeded to answer the primary */

/* ---- with the stream ------------------------------------------------------------- */

static bool over(const struct pmon_region *region)
{
	return READ_ONCE(region->space->ended) || READ_ONCE(region->lost);
}

/* Nothing is owed, and no fork under way; the stream is ours if that succeeds. */
static int stream_take(struct pmon_region *region)
{
	int ret;

	while (!(ret = pmon_clone_settle(region, false))) {
		mutex_lock(&region->stream_lock);
		if (!pmon_fork_under_way(region->space))
			break;
		mutex_unlock(&region->stream_lock);
		if (over(region))
			return -ESHUTDOWN;
		msleep(FORK_MS);
	}
	return ret;
}

/* As stream_take(), and everything is told. */
static int stream_begin(struct pmon_region *region)
{
	int ret = stream_take(region);

	if (ret)
		return ret;
	ret = region->primary ? pmon_stream_sync(region) : -ENOENT;
	if (!ret && READ_ONCE(region->lost))
		ret = -EHOSTDOWN;
	if (ret)
		mutex_unlock(&region->stream_lock);
	return ret;
}

static void stream_end(struct pmon_region *region)
{
	mutex_unlock(&region->stream_lock);
}

/* ---- seeding --------------------------------------------------------------------- */

/* @heir: it is to be the primary, and has all in frames when the time comes. */
static struct pmon_holder *seed_begin(struct pmon_region *region, u32 node,
				      bool heir)
{
	struct pmon_holder *holder;
	int ret = stream_begin(region);

	if (ret)
		return ERR_PTR(ret);
	holder = pmon_holder_make(region, node);
	if (!IS_ERR(holder)) {
		ret = pmon_stream_open(region, holder);
		if (!ret && heir)
			ret = pmon_holder_ready(holder);
		if (!ret && !pmon_holder_add(region, holder))
			ret = -EBUSY;
		if (ret) {
			pmon_holder_retire(holder);
			holder = ERR_PTR(ret);
		}
		region->seed_at = 0;
	}
	stream_end(region);
	return holder;
}

/* Return: 1: the holder has everything; 0: go on; or errno. */
static int seed_step(struct pmon_region *region, struct pmon_holder *holder)
{
	struct mmon_seed body = {
		.target = cpu_to_le64(holder->asid),
		.start = cpu_to_le64(region->seed_at),
		.node = cpu_to_le32(lite_peer_node(holder->peer)),
		.checksum = cpu_to_le32(pmon_checksum_kind()),
	};
	struct mmon_seeded reply = { };
	struct pmon_message message = {
		.op = MMON_OP_SEED,
		.whom = PMON_TO_PRIMARY,
		.body = &body,
		.len = sizeof(body),
		.reply = &reply,
		.reply_size = sizeof(reply),
		.patience_ms = SEED_MS,
	};
	int ret = pmon_stream_call(region, &message);

	if (ret < 0)
		return ret;
	/* No answer: another primary has taken over, which does not feed this one. */
	if (ret != sizeof(reply) || le64_to_cpu(reply.next) < region->seed_at)
		return -EREMCHG;
	pmon_count_n(seeded_pages, le32_to_cpu(reply.pages));
	region->seed_at = le64_to_cpu(reply.next);
	if (region->seed_at < MMON_ADDR_MAX)
		return 0;
	WRITE_ONCE(holder->in_step, true);
	pmon_event_copies(region, lite_peer_node(holder->peer));
	return 1;
}

static bool refused_for_now(int err)
{
	return err == -ENOSPC || err == -ENOMEM || err == -EAGAIN;
}

/* As seed_step(); waits while a host is short of room. */
static int seed_on(struct pmon_region *region, struct pmon_holder *holder)
{
	int ret, tries = 0;

	do {
		if (over(region))
			return -ESHUTDOWN;
		ret = stream_begin(region);
		if (ret)
			return ret;
		/* It may have been dropped meanwhile. */
		ret = pmon_holder_at(region, lite_peer_node(holder->peer)) == holder ?
		      seed_step(region, holder) : -EREMCHG;
		stream_end(region);
		if (refused_for_now(ret))
			msleep(REFUSED_MS);
		else
			usleep_range(1000, 2000);
	} while (refused_for_now(ret) && tries++ < REFUSED_MAX);
	return ret;
}

static int seed(struct pmon_region *region, u32 node, bool heir)
{
	struct pmon_holder *holder = seed_begin(region, node, heir);
	int ret;

	if (IS_ERR(holder))
		return PTR_ERR(holder);
	do {
		ret = seed_on(region, holder);
	} while (!ret);
	if (ret > 0) {
		pmon_count(repairs);
		trace_pmon_holder(region, node, "seeded");
		return 0;
	}
	mutex_lock(&region->stream_lock);
	pmon_holder_drop(region, holder);
	mutex_unlock(&region->stream_lock);
	return ret;
}

/* ---- what is to be done ------------------------------------------------------------ */

static bool stays(const struct pmon_holder *holder)
{
	return holder && !READ_ONCE(holder->gone) &&
	       !pmon_host_draining(lite_peer_node(holder->peer));
}

static bool primary_stays(struct pmon_region *region)
{
	return stays(region->primary) &&
	       !pmon_move_leaves(region, region->primary);
}

static bool may_inherit(const struct pmon_holder *holder)
{
	return stays(holder) && holder->in_step;
}

/* A secondary in step on a host that is not being drained; best one made for it. */
static struct pmon_holder *heir(struct pmon_region *region)
{
	struct pmon_holder *found = NULL;
	unsigned int i;

	for (i = 0; i < PMON_SECONDARIES; i++)
		if (may_inherit(region->secondary[i]) &&
		    (!found || region->secondary[i]->promoted))
			found = region->secondary[i];
	return found;
}

/* Those of hosts that are lost or drained, and those that are too many. */
static void drop_secondaries(struct pmon_region *region, unsigned int wanted)
{
	struct pmon_holder *holder;
	unsigned int i, kept = 0;

	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = region->secondary[i];
		if (!holder)
			continue;
		if (READ_ONCE(holder->gone))
			pmon_holder_fail(region, holder, -EHOSTDOWN);
		else if (may_inherit(holder) && kept < wanted)
			kept++;
	}
	if (kept < wanted)
		return;
	kept = 0;
	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = region->secondary[i];
		if (holder && (!may_inherit(holder) || kept++ >= wanted))
			pmon_holder_drop(region, holder);
	}
}

/* The primary is to leave as well, and needs a place for its heir. */
static void drop_leaving(struct pmon_region *region)
{
	struct pmon_holder *holder;
	unsigned int i;

	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = region->secondary[i];
		if (!holder || stays(holder))
			continue;
		if (READ_ONCE(holder->gone))
			pmon_holder_fail(region, holder, -EHOSTDOWN);
		else
			pmon_holder_drop(region, holder);
	}
}

static unsigned int count_heirs(struct pmon_region *region)
{
	unsigned int i, n = 0;

	for (i = 0; i < PMON_SECONDARIES; i++)
		n += may_inherit(region->secondary[i]);
	return n;
}

/*
 * Settles what can be settled at once.
 * @alone: no other host is to be had: a drained primary hands over all the same
 * @node, @nr: set to who holds the region, the primary first
 *
 * Return: 1: another holder is wanted; 0: all is as it should be; or errno.
 */
static int look(struct pmon_region *region, bool alone, u32 *node,
		unsigned int *nr)
{
	unsigned int wanted = region->space->budget->replicas;
	int ret = stream_begin(region);

	if (ret)
		return ret;
	if (!primary_stays(region) && heir(region) &&
	    (alone || count_heirs(region) > wanted))
		ret = pmon_holder_promote(region, heir(region));
	if (!ret && primary_stays(region))
		drop_secondaries(region, wanted);
	else if (!ret && count_heirs(region) >= wanted)
		drop_leaving(region);
	if (!ret)
		ret = count_heirs(region) < wanted + !primary_stays(region);
	*nr = pmon_holders_list(region, node);
	pmon_event_copies(region, 0);
	stream_end(region);
	return ret;
}

/*
 * The region moves from @from, and another holder is wanted. One way or the other that
 * is over soon: what does not succeed is not tried again.
 */
static void seed_move(struct pmon_region *region, u32 from, u32 to)
{
	if (pmon_host_draining(from) || pmon_host_draining(to) ||
	    pmon_holder_at(region, to) || seed(region, to, true))
		pmon_move_end(region, false);
}

/* Return: 0: nothing is left to be done; else to be tried again. */
static int repair(struct pmon_region *region)
{
	u32 node[PMON_SECONDARIES + 1];
	struct lite_placement placement;
	unsigned int nr;
	bool drained;
	int ret;
	u32 to;

	while (!over(region)) {
		ret = look(region, false, node, &nr);
		to = pmon_move_settle(region);
		if (ret <= 0)
			return ret == -ENOENT ? 0 : ret;
		if (to) {
			seed_move(region, node[0], to);
			continue;
		}
		drained = pmon_host_draining(node[0]);
		ret = drained ?
		      lite_place(region->asid, 1, node, nr, &placement) :
		      lite_place_replicas(region->asid, 1, node, nr, &placement);
		if (ret == -EHOSTDOWN && !look(region, true, node, &nr))
			return 0;
		if (!ret)
			ret = seed(region, placement.node[0], drained);
		if (ret)
			return ret;
	}
	pmon_move_end(region, false);
	return 0;
}

static void repair_work(struct work_struct *work)
{
	struct pmon_region *region = container_of(to_delayed_work(work),
						  struct pmon_region, repair);

	if (repair(region) && !over(region)) {
		pmon_region_get(region);
		if (!queue_delayed_work(pmon_repair_wq, &region->repair,
					msecs_to_jiffies(AGAIN_MS)))
			pmon_region_put(region);
	}
	/* It may have been lost in the middle of a move. */
	if (over(region))
		pmon_move_end(region, false);
	pmon_region_put(region);
}

/* pmon_repair_soon - see whether the region has the holders that it is to have.
 * Context: any; under RCU, or the region is referenced.
 */
void pmon_repair_soon(struct pmon_region *region)
{
	/* Who goes through all spaces may find one that ends just now. */
	if (over(region) || !kref_get_unless_zero(&region->space->ref))
		return;
	if (!mod_delayed_work(pmon_repair_wq, &region->repair, 0))
		return;
	/* It was waiting already, with a reference. */
	pmon_region_put(region);
}

/* pmon_repair_begin - a new region */
void pmon_repair_begin(struct pmon_region *region)
{
	INIT_DELAYED_WORK(&region->repair, repair_work);
}

/* pmon_repair_end - the address space is gone; what waits is not waited for */
void pmon_repair_end(struct pmon_region *region)
{
	if (cancel_delayed_work(&region->repair))
		pmon_region_put(region);
}
