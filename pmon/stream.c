// SPDX-License-Identifier: GPL-2.0
/*
 * The ordered stream of changes from a region to its home.
 *
 * At most one changing request of a region is under way, numbered from 1, so
 * that the home can tell a repeat from news (mmon_wire.h). stream_lock is held
 * from the moment the number is taken until the answer is there: it is the one
 * lock of pmon that is held across an RPC, and nobody who must not wait for the
 * network takes it.
 */
#include <linux/delay.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* A memory host that is out of memory, not out of reach, is asked again. */
#define RETRY_MS	20
#define RETRY_MAX	100

/* What one message of the stream looks like; all bodies begin like this. */
struct stream_head {
	__le64 asid;
	__le64 seq;
};

struct maps_message {
	struct mmon_maps head;
	struct mmon_change change[MMON_MAPS_MAX];
};

static_assert(sizeof(struct maps_message) <= LITE_BODY_MAX);

/*
 * pmon_stream_home - choose a home unless the region has one
 * Context: stream_lock held. Return: 0; -EHOSTDOWN: no memory host has joined.
 */
int pmon_stream_home(struct pmon_region *region)
{
	struct lite_peer *home;
	u32 node;

	lockdep_assert_held(&region->stream_lock);
	if (region->home)
		return 0;
	node = pmon_hosts_choose();
	if (!node)
		return -EHOSTDOWN;
	home = lite_peer_get(node);
	if (IS_ERR(home))
		return PTR_ERR(home);
	/* Pairs with the lockless reads in pmon_region_home users. */
	smp_store_release(&region->home, home);
	return 0;
}

/*
 * Answers after which nothing stored at the home can be counted on: it is down,
 * does not know the region, or has no mmon any more.
 */
static bool is_loss(const struct pmon_region *region, int err)
{
	switch (err) {
	case -EHOSTDOWN:
	case -ESHUTDOWN:
	case -ENOENT:
	case -EPERM:
	case -EPROTO:
		return true;
	case -EPROTONOSUPPORT:
		return region->attached;
	default:
		return false;
	}
}

/*
 * pmon_stream_call - send one changing request and wait for its answer
 * @op: MMON_OP_MAPS, _FLUSH, _ADOPT or _CLONE
 * @body: begins with asid and sequence number, which are filled in here
 * @reply: for up to @reply_size bytes of the answer's body
 *
 * Context: process, stream_lock held. Return: length of the answer's body or
 * negative errno; an error that means that the home has lost the region marks the
 * region lost.
 */
int pmon_stream_call(struct pmon_region *region, u8 op, void *body, u32 len,
		     const struct lite_sge *payload, u32 nr_payload,
		     void *reply, u32 reply_size)
{
	struct stream_head *head = body;
	struct lite_call call = {
		.peer = region->home,
		.service = LITE_SVC_MMON,
		.op = op,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = body,
		.req_len = len,
		.payload = payload,
		.nr_payload = nr_payload,
	};
	int ret;

	lockdep_assert_held(&region->stream_lock);
	if (region->lost)
		return -EHOSTDOWN;
	head->asid = cpu_to_le64(region->asid);
	head->seq = cpu_to_le64(region->seq + 1);
	ret = lite_call_sync(&call, reply, reply_size);
	trace_pmon_stream(region, op, region->seq + 1, ret);
	if (ret >= 0) {
		region->seq++;
		region->attached = true;
		return ret;
	}
	if (is_loss(region, ret))
		pmon_region_lose(region);
	return ret;
}

/*
 * pmon_stream_call_retry - the same, for what has been taken out of the log
 *
 * A home that refuses for now is asked again, and one that goes on refusing is
 * out of step: the region is lost then. Return: length of the answer's body or
 * negative errno.
 */
int pmon_stream_call_retry(struct pmon_region *region, u8 op, void *body, u32 len,
			   void *reply, u32 reply_size)
{
	int ret, tries;

	for (tries = 0; tries < RETRY_MAX; tries++) {
		ret = pmon_stream_call(region, op, body, len, NULL, 0, reply,
				       reply_size);
		if (ret >= 0)
			return ret;
		if (region->lost)
			break;
		msleep(RETRY_MS);
	}
	pmon_region_lose(region);
	return ret;
}

static int sync_changes(struct pmon_region *region, struct maps_message *message,
			int nr)
{
	int ret;

	message->head.nr = cpu_to_le32(nr);
	message->head.reserved = 0;
	ret = pmon_stream_call_retry(region, MMON_OP_MAPS, message,
				     offsetof(struct maps_message, change[nr]),
				     NULL, 0);
	if (ret < 0)
		return ret;
	pmon_count_n(changes_sent, nr);
	return 0;
}

/* What is in the log, then what is pending. */
static int sync_log(struct pmon_region *region)
{
	struct maps_message *message = (struct maps_message *)region->message;
	struct pmon_clone clone;
	int ret = 0, nr;

	do {
		nr = pmon_changes_take(&region->changes, message->change,
				       MMON_MAPS_MAX, &clone);
		if (clone.child)
			ret = pmon_clone_deliver(region, &clone);
		else if (nr)
			ret = sync_changes(region, message, nr);
	} while (!ret && (nr || clone.child));
	return ret;
}

/*
 * pmon_stream_sync - tell the home everything it has not been told
 *
 * Context: process, stream_lock held; pmon_clone_settle() has been called.
 * Return: 0, or a negative errno: then the region is lost, unless it has no home.
 */
int pmon_stream_sync(struct pmon_region *region)
{
	int ret;

	lockdep_assert_held(&region->stream_lock);
	ret = pmon_stream_home(region);
	if (ret)
		return ret;
	if (!region->message)
		region->message = kzalloc(sizeof(struct maps_message),
					 GFP_KERNEL | __GFP_NOFAIL);
	/* Older than the log: spare.c. */
	ret = pmon_spares_tell(region);
	if (!ret)
		ret = sync_log(region);
	if (ret)
		pmon_clone_fail(region);
	return ret;
}

/* ---- for a fault ---------------------------------------------------------------- */

/* Shared by who waits and the work item: the last to let go frees it. */
struct sync {
	struct kref ref;
	struct work_struct work;
	struct pmon_region *region;
	struct completion done;
};

static void sync_release(struct kref *ref)
{
	kfree(container_of(ref, struct sync, ref));
}

static void sync_work(struct work_struct *work)
{
	struct sync *sync = container_of(work, struct sync, work);
	struct pmon_region *region = sync->region;

	if (!pmon_clone_settle(region, false)) {
		mutex_lock(&region->stream_lock);
		pmon_stream_sync(region);
		mutex_unlock(&region->stream_lock);
	}
	pmon_region_put(region);
	complete(&sync->done);
	kref_put(&sync->ref, sync_release);
}

/*
 * pmon_stream_sync_killable - have the home told, and wait for that
 *
 * An RPC cannot be interrupted: a work item sends it, so that who waits can be killed.
 * Context: process, no lock held but perhaps mmap_lock; @region referenced.
 * Return: 0: it was tried; -EINTR: killed; -ENOMEM.
 */
int pmon_stream_sync_killable(struct pmon_region *region)
{
	struct sync *sync = kmalloc(sizeof(*sync), GFP_KERNEL);
	int ret;

	if (!sync)
		return -ENOMEM;
	kref_init(&sync->ref);
	kref_get(&sync->ref);
	INIT_WORK(&sync->work, sync_work);
	init_completion(&sync->done);
	sync->region = region;
	pmon_region_get(region);
	queue_work(pmon_wq, &sync->work);
	ret = wait_for_completion_killable(&sync->done) ? -EINTR : 0;
	kref_put(&sync->ref, sync_release);
	return ret;
}

/* pmon_stream_exit - the address space is gone; the home frees its pages.
 * Context: process; no other user of the space is left.
 */
void pmon_stream_exit(struct pmon_region *region)
{
	struct mmon_exit exit = { .asid = cpu_to_le64(region->asid) };
	struct lite_call call = {
		.peer = region->home,
		.service = LITE_SVC_MMON,
		.op = MMON_OP_EXIT,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = &exit,
		.req_len = sizeof(exit),
	};

	pmon_clone_end(region);
	/* A home that is down forgets the region by itself when it is back. */
	if (region->attached)
		lite_call_sync(&call, NULL, 0);
	kfree(region->message);
	kfree(region->spares);
	if (region->home)
		lite_peer_put(region->home);
}
