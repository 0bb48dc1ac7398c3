// SPDX-License-Identifier: GPL-2.0
/*
 * Clones at the home that fork has promised and not yet asked for.
 *
 * A child's region of a fork inherits the entries of all pages that its parent's
 * stored at the home, under the parent's asid. They become the child's by a CLONE
 * request, which fork only writes into the parent's change log: most children
 * exec or exit before anybody needs it, and then it is struck out again. It is
 * sent
 *   - before anything else of the parent's log that comes after it, thus before
 *     a page of the parent is overwritten at the home, and
 *   - before the child's first request of its own: pmon_clone_settle().
 *
 * The child is @region->origin's debtor: it holds a reference to the parent's
 * space until its clones are delivered, which keeps the parent's pages at the
 * home when the parent is gone. region->clones counts them; in a process that runs
 * it only falls, for clones of a space are promised by the fork that makes it.
 *
 * Locks: stream_lock of a space, then that of its origin (nested).
 */
#include "internal.h"

/* Protects region->origin; innermost. */
static DEFINE_SPINLOCK(origin_lock);

static struct pmon_region *origin_get(struct pmon_region *region)
{
	struct pmon_region *origin;

	spin_lock(&origin_lock);
	origin = region->origin;
	if (origin)
		pmon_region_get(origin);
	spin_unlock(&origin_lock);
	return origin;
}

static void origin_drop(struct pmon_region *region)
{
	struct pmon_region *origin;

	spin_lock(&origin_lock);
	origin = region->origin;
	region->origin = NULL;
	spin_unlock(&origin_lock);
	if (origin)
		pmon_region_put(origin);
}

/*
 * pmon_clone_promise - fork: [@first, @last] of @parent is to be cloned
 * Context: @parent's stream_lock held; @child does not run yet.
 */
void pmon_clone_promise(struct pmon_region *parent, struct pmon_region *child,
			pgoff_t first, pgoff_t last)
{
	lockdep_assert_held(&parent->stream_lock);
	if (!child->origin) {
		pmon_region_get(parent);
		child->origin = parent;
	}
	/* Counted first: whoever finds it in the log may be done with it at once. */
	atomic_inc(&child->clones);
	if (!pmon_changes_clone(&parent->changes, child, first, last))
		atomic_dec(&child->clones);
}

/* A clone for @child is delivered, or will never be. */
static void clone_done(struct pmon_region *child)
{
	if (atomic_dec_and_test(&child->clones))
		origin_drop(child);
}

static bool has_clone(struct pmon_region *region, const struct pmon_holder *twin)
{
	struct pmon_holder *holder = pmon_holder_at(region, lite_peer_node(twin->peer));

	return holder && holder->acked;
}

/* Holders of the child whose hosts did not get the clone: they hold @region no more. */
static void clone_missed(struct pmon_region *region, struct pmon_region *child)
{
	struct pmon_holder *primary = pmon_region_primary(child), *twin;
	bool missed = primary && !has_clone(region, primary);
	unsigned int i;

	if (missed)
		WRITE_ONCE(child->suspect, true);
	for (i = 0; i < PMON_SECONDARIES; i++) {
		twin = READ_ONCE(child->secondary[i]);
		if (!twin || has_clone(region, twin))
			continue;
		WRITE_ONCE(twin->gone, true);
		missed = true;
	}
	if (missed)
		pmon_repair_soon(child);
}

/*
 * pmon_clone_deliver - ask the home for one clone
 * @clone: taken from @region's log
 *
 * Context: process, @region's stream_lock held, which keeps the child's space:
 * its end waits for that lock. Return: 0 or negative errno: @region is lost.
 */
int pmon_clone_deliver(struct pmon_region *region, const struct pmon_clone *clone)
{
	struct mmon_clone body = {
		.start = cpu_to_le64((u64)clone->first << MMON_PAGE_SHIFT),
		.end = cpu_to_le64((u64)(clone->last + 1) << MMON_PAGE_SHIFT),
	};
	struct pmon_message message = {
		.op = MMON_OP_CLONE,
		.body = &body,
		.len = sizeof(body),
		.child = clone->child,
		.retry = true,
	};
	int ret = pmon_stream_call(region, &message);

	if (ret < 0)
		pmon_region_lose(clone->child);
	else
		clone_missed(region, clone->child);
	pmon_count(clones_sent);
	clone_done(clone->child);
	return min(ret, 0);
}

/*
 * pmon_clone_fail - the parent is lost, and what was to be cloned with it
 * Context: process, @region's stream_lock held.
 */
void pmon_clone_fail(struct pmon_region *region)
{
	struct pmon_clone clone;

	while (pmon_changes_take_clone(&region->changes, NULL, &clone)) {
		pmon_region_lose(clone.child);
		clone_done(clone.child);
	}
}

/* The oldest ancestor that may be waited for, referenced; NULL: all is done. */
static struct pmon_region *settle_next(struct pmon_region *region)
{
	struct pmon_region *origin = origin_get(region), *older;

	while (origin && atomic_read(&origin->clones)) {
		older = origin_get(origin);
		if (!older)
			break;
		pmon_region_put(origin);
		origin = older;
	}
	return origin;
}

/*
 * pmon_clone_settle - deliver what @region's own requests depend on
 * @try: do not wait for a busy stream
 *
 * Context: process; no page lock, nor the one of fork's bounce pages, held unless @try.
 * @region's own stream_lock may be held. Return: 0; -EBUSY with @try; -EINTR: killed; other
 * errno: the origin is lost, and @region with it.
 */
int pmon_clone_settle(struct pmon_region *region, bool try)
{
	struct pmon_region *origin;
	int ret = 0;

	while (atomic_read(&region->clones) && !ret) {
		origin = settle_next(region);
		if (!origin)
			break;
		if (try)
			ret = mutex_trylock(&origin->stream_lock) ? 0 : -EBUSY;
		else if (mutex_lock_killable_nested(&origin->stream_lock,
						    SINGLE_DEPTH_NESTING))
			ret = -EINTR;
		if (!ret) {
			ret = pmon_stream_sync(origin);
			mutex_unlock(&origin->stream_lock);
		}
		pmon_region_put(origin);
	}
	return ret;
}

/*
 * pmon_clone_cancel - the child's memory is gone
 *
 * Strikes out what has not been sent. One that is being sent just now is
 * waited for in pmon_clone_end(). Context: process, exit_mmap().
 */
void pmon_clone_cancel(struct pmon_region *child)
{
	struct pmon_region *origin;
	struct pmon_clone clone;

	/* Its own children are owed what it is owed. */
	if (pmon_changes_have_clones(&child->changes))
		return;
	origin = origin_get(child);
	if (!origin)
		return;
	while (pmon_changes_take_clone(&origin->changes, child, &clone)) {
		pmon_count(clones_cancelled);
		clone_done(child);
	}
	pmon_region_put(origin);
}

/* pmon_clone_end - before @child is freed: nobody sends a clone for it any more */
void pmon_clone_end(struct pmon_region *child)
{
	struct pmon_region *origin = origin_get(child);

	if (!origin)
		return;
	mutex_lock(&origin->stream_lock);
	mutex_unlock(&origin->stream_lock);
	pmon_region_put(origin);
	WARN_ON_ONCE(atomic_read(&child->clones));
}

/* ---- a parent that ends before its children ------------------------------------ */

static void clone_work(struct work_struct *work)
{
	struct pmon_region *region = container_of(work, struct pmon_region,
						clone_work);

	pmon_clone_settle(region, false);
	mutex_lock(&region->stream_lock);
	if (pmon_changes_have_clones(&region->changes))
		pmon_stream_sync(region);
	mutex_unlock(&region->stream_lock);
	pmon_region_put(region);
}

/*
 * pmon_clone_parent_ends - deliver what children are owed
 *
 * Not waiting for a child's first request: until then the home could not free
 * the pages of the dead parent. Context: exit_mmap(), the caller has a reference.
 */
void pmon_clone_parent_ends(struct pmon_region *region)
{
	if (!pmon_changes_have_clones(&region->changes))
		return;
	pmon_region_get(region);
	INIT_WORK(&region->clone_work, clone_work);
	queue_work(pmon_wq, &region->clone_work);
}
