// SPDX-License-Identifier: GPL-2.0
/*
 * Holders: the memory hosts that have a copy of a region.
 *
 * One is the primary, which serves; the others are secondaries, which keep a log of
 * what is stored and serve when they are promoted. What is stored, and each change of
 * the region, goes to all of them (stream.c), so that a secondary that is in step has all that
 * the primary has. At each holder the region has another asid, and a new one
 * each time a host becomes a holder: what a host that was given up keeps is never
 * asked for again.
 *
 * Who is a holder changes under stream_lock. Faults read region->primary without it.
 * A holder that was replaced stays allocated as long as the region, for transfers under
 * way name its peer.
 */
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static unsigned int failover_ms = 3000;
module_param(failover_ms, uint, 0644);
MODULE_PARM_DESC(failover_ms, "a memory host that does not answer for so long is replaced by a secondary, if there is one");

/*
 * pmon_holder_make - @node is to hold the region
 *
 * Context: process; stream_lock held unless the region is new. Return: holder, not in
 * use yet; ERR_PTR.
 */
struct pmon_holder *pmon_holder_make(struct pmon_region *region, u32 node)
{
	struct pmon_holder *holder = kzalloc(sizeof(*holder), GFP_KERNEL);

	if (!holder)
		return ERR_PTR(-ENOMEM);
	holder->body = kmalloc(LITE_BODY_MAX, GFP_KERNEL);
	holder->peer = lite_peer_get(node);
	if (!holder->body || IS_ERR(holder->peer)) {
		int err = holder->body ? PTR_ERR(holder->peer) : -ENOMEM;

		if (!IS_ERR(holder->peer))
			lite_peer_put(holder->peer);
		kfree(holder->body);
		kfree(holder);
		return ERR_PTR(err);
	}
	holder->asid = pmon_asid_next();
	init_completion(&holder->done);
	list_add_tail(&holder->entry, &region->holders);
	return holder;
}

static void exit_done(struct lite_call *call)
{
	struct pmon_holder *holder = container_of(call, struct pmon_holder, call);

	complete(&holder->done);
}

/* Frees what it has; not waited for. */
static void exit_submit(struct pmon_holder *holder)
{
	holder->exit.asid = cpu_to_le64(holder->asid);
	reinit_completion(&holder->done);
	holder->call = (struct lite_call){
		.peer = holder->peer,
		.service = LITE_SVC_MMON,
		.op = MMON_OP_EXIT,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = &holder->exit,
		.req_len = sizeof(holder->exit),
		.done = exit_done,
	};
	holder->leaving = true;
	lite_call_submit(&holder->call);
}

/*
 * pmon_holder_retire - the host is no holder any more
 *
 * It is told so as soon as it can be reached; one that is dead forgets the region by
 * itself. Context: stream_lock held; in no use as primary or secondary.
 */
void pmon_holder_retire(struct pmon_holder *holder)
{
	if (holder->attached && !holder->leaving)
		exit_submit(holder);
}

/*
 * pmon_holders_leave - the region is gone: all its holders are to free what they have
 * Context: process; no other user of the region is left. pmon_holders_end() follows.
 */
void pmon_holders_leave(struct pmon_region *region)
{
	struct pmon_holder *holder;

	list_for_each_entry(holder, &region->holders, entry)
		if (holder->attached && !holder->leaving)
			exit_submit(holder);
}

/* pmon_holders_end - wait until they have, and forget them */
void pmon_holders_end(struct pmon_region *region)
{
	struct pmon_holder *holder, *next;

	list_for_each_entry_safe(holder, next, &region->holders, entry) {
		if (holder->leaving)
			wait_for_completion(&holder->done);
		lite_peer_put(holder->peer);
		kfree(holder->body);
		kfree(holder);
	}
	INIT_LIST_HEAD(&region->holders);
}

/* pmon_holder_at - the holder at @node that is in use, or NULL */
struct pmon_holder *pmon_holder_at(struct pmon_region *region, u32 node)
{
	struct pmon_holder *holder = READ_ONCE(region->primary);
	unsigned int i;

	if (holder && lite_peer_node(holder->peer) == node)
		return holder;
	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = READ_ONCE(region->secondary[i]);
		if (holder && lite_peer_node(holder->peer) == node)
			return holder;
	}
	return NULL;
}

/* pmon_holders_in_step - secondaries that could be promoted. Context: any. */
unsigned int pmon_holders_in_step(struct pmon_region *region)
{
	struct pmon_holder *holder;
	unsigned int i, n = 0;

	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = READ_ONCE(region->secondary[i]);
		n += holder && READ_ONCE(holder->in_step) &&
		     !READ_ONCE(holder->gone);
	}
	return n;
}

/*
 * pmon_holders_list - who holds the region, the primary first
 * @node: room for PMON_SECONDARIES + 1
 *
 * Context: any; the region has a primary. Return: how many.
 */
unsigned int pmon_holders_list(struct pmon_region *region, u32 *node)
{
	struct pmon_holder *holder;
	unsigned int i, n = 0;

	node[n++] = lite_peer_node(pmon_region_primary(region)->peer);
	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = READ_ONCE(region->secondary[i]);
		if (holder)
			node[n++] = lite_peer_node(holder->peer);
	}
	return n;
}

/*
 * pmon_region_timeout - how long the primary may take to answer, in ms
 * 0: until its host is given up: there is nobody else to ask. Context: any.
 */
u32 pmon_region_timeout(struct pmon_region *region)
{
	return pmon_holders_in_step(region) ? max(READ_ONCE(failover_ms), 100u) : 0;
}

/*
 * pmon_holder_add - @holder becomes a secondary
 * Context: stream_lock held. Return: false: there are enough.
 */
bool pmon_holder_add(struct pmon_region *region, struct pmon_holder *holder)
{
	unsigned int i;

	for (i = 0; i < PMON_SECONDARIES; i++) {
		if (region->secondary[i])
			continue;
		WRITE_ONCE(region->secondary[i], holder);
		return true;
	}
	return false;
}

/* pmon_holder_drop - @holder is no secondary any more. Context: stream_lock held. */
void pmon_holder_drop(struct pmon_region *region, struct pmon_holder *holder)
{
	unsigned int i;

	for (i = 0; i < PMON_SECONDARIES; i++)
		if (region->secondary[i] == holder)
			WRITE_ONCE(region->secondary[i], NULL);
	holder->in_step = false;
	pmon_holder_retire(holder);
}

/* pmon_holder_fail - a secondary does not keep step. Context: stream_lock held. */
void pmon_holder_fail(struct pmon_region *region, struct pmon_holder *holder,
		      int err)
{
	__be32 addr = cpu_to_be32(lite_peer_node(holder->peer));

	pr_warn("%s[%d]: memory host %pI4 is no secondary of region %llx any more: error %d\n",
		region->space->comm, region->space->pid, &addr,
		region->asid, err);
	trace_pmon_holder(region, lite_peer_node(holder->peer), "dropped");
	pmon_holder_drop(region, holder);
	pmon_event_copies(region, lite_peer_node(holder->peer));
	pmon_repair_soon(region);
}

/* ---- promotion ------------------------------------------------------------------- */

/*
 * pmon_holder_ready - have its host keep frames instead of a log
 *
 * Nothing else changes: what it lacks it may still be fed. Context: stream_lock held.
 * Return: 0 or errno.
 */
int pmon_holder_ready(struct pmon_holder *holder)
{
	struct mmon_promote body = {
		.asid = cpu_to_le64(holder->asid),
		.seq = cpu_to_le64(holder->seq + 1),
	};
	struct lite_call call = {
		.peer = holder->peer,
		.service = LITE_SVC_MMON,
		.op = MMON_OP_PROMOTE,
		.flags = LITE_CALL_IDEMPOTENT,
		.timeout_ms = max(READ_ONCE(failover_ms), 100u),
		.req = &body,
		.req_len = sizeof(body),
	};
	int ret = lite_call_sync(&call, NULL, 0);

	if (ret < 0)
		return ret;
	holder->seq++;
	holder->promoted = true;
	return 0;
}

/*
 * What is known of places at the former primary counts for nothing at the next one.
 * Grants go first: no transfer is begun by them while the places are taken out.
 */
static void forget_places(struct pmon_region *region)
{
	pmon_spares_forget(region);
	pmon_grants_forget(region);
	pmon_region_forget_places(region);
}

/*
 * pmon_holder_promote - a secondary becomes the primary
 * @holder: one that is in step
 *
 * The former primary is told that it is none, should it be alive.
 * Context: stream_lock held, nothing one-sided under way but READs. Return: 0 or errno:
 * then all is as before.
 */
int pmon_holder_promote(struct pmon_region *region, struct pmon_holder *holder)
{
	struct pmon_holder *former = region->primary;
	__be32 addr = cpu_to_be32(lite_peer_node(holder->peer));
	unsigned int i;
	int ret;

	lockdep_assert_held(&region->stream_lock);
	ret = holder->promoted ? 0 : pmon_holder_ready(holder);
	if (ret)
		return ret;
	/* Pairs with pmon_region_home(). */
	smp_store_release(&region->primary, holder);
	for (i = 0; i < PMON_SECONDARIES; i++)
		if (region->secondary[i] == holder)
			/* Pairs with pmon_holder_suspect(): it is one of both at any time. */
			smp_store_release(&region->secondary[i], NULL);
	forget_places(region);
	WRITE_ONCE(region->suspect, false);
	pmon_holder_retire(former);
	trace_pmon_holder(region, lite_peer_node(holder->peer), "promoted");
	pr_info("%s[%d]: memory host %pI4 is primary of region %llx now\n",
		region->space->comm, region->space->pid, &addr,
		region->asid);
	pmon_repair_soon(region);
	return 0;
}

/*
 * pmon_holder_failover - the primary does not answer: one of the others takes over
 * Context: as pmon_holder_promote(). Return: 0; -EHOSTDOWN: there is none.
 */
int pmon_holder_failover(struct pmon_region *region)
{
	struct pmon_holder *holder, *former = region->primary;
	unsigned int i;
	int ret;

	lockdep_assert_held(&region->stream_lock);
	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = region->secondary[i];
		if (!holder || !holder->in_step || READ_ONCE(holder->gone))
			continue;
		ret = pmon_holder_promote(region, holder);
		if (!ret) {
			pmon_count(failovers);
			pmon_event("failover", region,
				   lite_peer_node(holder->peer));
			pmon_event_copies(region,
					  lite_peer_node(former->peer));
			return 0;
		}
		pmon_holder_fail(region, holder, ret);
	}
	return -EHOSTDOWN;
}

/*
 * pmon_holder_suspect - a transfer from the primary failed
 * @peer: the host that it was asked of
 *
 * Context: any. Return: whether to ask again: there is another primary by now, or will
 * be one soon.
 */
bool pmon_holder_suspect(struct pmon_region *region, struct lite_peer *peer)
{
	struct pmon_holder *primary = pmon_region_primary(region);

	if (primary->peer != peer)
		return true;
	if (READ_ONCE(region->lost))
		return false;
	if (!pmon_holders_in_step(region)) {
		/* Unless it is a promotion's doing. Pairs with pmon_holder_promote(). */
		smp_rmb();
		return pmon_region_primary(region) != primary;
	}
	WRITE_ONCE(region->suspect, true);
	pmon_repair_soon(region);
	return true;
}
