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

/* A secondary that does not answer for so long is dropped. */
#define SECONDARY_MS	5000

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

/* ---- who holds the region --------------------------------------------------------- */

/* The manager's choice; while there is none to ask, ours of the primary alone. */
static int place(struct pmon_region *region, struct lite_placement *placement)
{
	u32 copies = 1 + region->space->budget->replicas;

	if (!lite_place(region->asid, copies, NULL, 0, placement))
		return 0;
	placement->nr = 1;
	placement->node[0] = pmon_hosts_choose();
	return placement->node[0] ? 0 : -EHOSTDOWN;
}

/*
 * A new one is in step from the start: there is nothing that it lacks.
 * Return: whether it is a secondary now.
 */
static bool begin_secondary(struct pmon_region *region, u32 node)
{
	struct pmon_holder *holder = pmon_holder_make(region, node);

	if (IS_ERR(holder))
		return false;
	if (!pmon_stream_open(region, holder) && pmon_holder_add(region, holder)) {
		WRITE_ONCE(holder->in_step, true);
		return true;
	}
	pmon_holder_retire(holder);
	return false;
}

/*
 * pmon_stream_home - choose who holds the region unless it has been done
 * Context: stream_lock held. Return: 0; -EHOSTDOWN: no memory host has joined.
 */
int pmon_stream_home(struct pmon_region *region)
{
	struct lite_placement placement;
	struct pmon_holder *primary;
	u32 failed = 0;
	unsigned int i;
	int ret;

	lockdep_assert_held(&region->stream_lock);
	if (region->primary)
		return 0;
	ret = place(region, &placement);
	if (ret)
		return ret;
	primary = pmon_holder_make(region, placement.node[0]);
	if (IS_ERR(primary))
		return PTR_ERR(primary);
	/* Pairs with pmon_region_primary(). */
	smp_store_release(&region->primary, primary);
	for (i = 1; i < placement.nr && i <= PMON_SECONDARIES; i++)
		if (!begin_secondary(region, placement.node[i]))
			failed = placement.node[i];
	if (pmon_holders_in_step(region) < region->space->budget->replicas)
		pmon_repair_soon(region);
	pmon_event_copies(region, failed);
	return 0;
}

/*
 * Answers after which nothing stored at a holder can be counted on: it is down,
 * does not know the region, or has no mmon any more.
 */
static bool is_loss(const struct pmon_holder *holder, int err)
{
	switch (err) {
	case -EHOSTDOWN:
	case -ETIMEDOUT:
	case -ESHUTDOWN:
	case -ENOENT:
	case -EPERM:
	case -EPROTO:
		return true;
	case -EPROTONOSUPPORT:
		return holder->attached;
	default:
		return false;
	}
}

/* ---- a message ------------------------------------------------------------------------ */

static void message_head(struct pmon_holder *holder,
			 const struct pmon_message *message, void *body)
{
	struct stream_head *head = body;
	struct mmon_clone *clone = body;
	struct pmon_holder *twin;

	head->asid = cpu_to_le64(holder->asid);
	head->seq = cpu_to_le64(holder->seq + 1);
	if (!message->child)
		return;
	twin = pmon_holder_at(message->child, lite_peer_node(holder->peer));
	clone->child = cpu_to_le64(twin ? twin->asid : 0);
}

static void message_fill(struct lite_call *call, struct pmon_holder *holder,
			 const struct pmon_message *message, void *body)
{
	message_head(holder, message, body);
	*call = (struct lite_call){
		.peer = holder->peer,
		.service = LITE_SVC_MMON,
		.op = message->op,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = body,
		.req_len = message->len,
		.payload = message->payload,
		.nr_payload = message->nr_payload,
	};
}

/* One that is being seeded gets what it will not be seeded with. */
static bool concerns(const struct pmon_holder *holder,
		     const struct pmon_message *message)
{
	if (!message->child)
		return true;
	return holder->in_step &&
	       pmon_holder_at(message->child, lite_peer_node(holder->peer));
}

static void secondary_done(struct lite_call *call)
{
	struct pmon_holder *holder = container_of(call, struct pmon_holder, call);

	complete(&holder->done);
}

static void secondary_submit(struct pmon_holder *holder,
			     const struct pmon_message *message)
{
	/* Each holder's message has a number of its own. */
	memcpy(holder->body, message->body, message->len);
	message_fill(&holder->call, holder, message, holder->body);
	/* A log that is full for the moment takes its time. */
	holder->call.timeout_ms = SECONDARY_MS;
	holder->call.done = secondary_done;
	reinit_completion(&holder->done);
	lite_call_submit(&holder->call);
}

static void acknowledged(struct pmon_region *region, struct pmon_holder *holder,
			 const struct pmon_message *message)
{
	struct pmon_holder *twin;

	holder->seq++;
	WRITE_ONCE(holder->attached, true);
	holder->acked = true;
	if (!message->child)
		return;
	twin = pmon_holder_at(message->child, lite_peer_node(holder->peer));
	if (twin)
		WRITE_ONCE(twin->attached, true);
}

/* All secondaries that have yet to acknowledge. Return: whether one refused for now. */
static bool secondaries_wait(struct pmon_region *region,
			     const struct pmon_message *message, bool last)
{
	struct pmon_holder *holder;
	bool refused = false;
	unsigned int i;
	int err;

	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = region->secondary[i];
		if (!holder || !holder->sent)
			continue;
		wait_for_completion(&holder->done);
		holder->sent = false;
		err = holder->call.status;
		trace_pmon_stream(region, holder, message->op, err);
		if (!err) {
			acknowledged(region, holder, message);
			pmon_count_n(replica_pages, message->nr_payload);
		} else if (is_loss(holder, err) || last) {
			pmon_holder_fail(region, holder, err);
		} else {
			refused = true;
		}
	}
	return refused;
}

static void secondaries_send(struct pmon_region *region,
			     const struct pmon_message *message)
{
	struct pmon_holder *holder;
	unsigned int i;

	for (i = 0; i < PMON_SECONDARIES; i++) {
		holder = region->secondary[i];
		if (!holder || holder->acked || !concerns(holder, message))
			continue;
		if (READ_ONCE(holder->gone)) {
			pmon_holder_fail(region, holder, -EHOSTDOWN);
			continue;
		}
		holder->sent = true;
		secondary_submit(holder, message);
	}
}

static int primary_call(struct pmon_region *region,
			const struct pmon_message *message)
{
	struct pmon_holder *primary = region->primary;
	struct lite_call call;
	int ret;

	if (READ_ONCE(region->suspect))
		return -ETIMEDOUT;
	/* Holders of both have changed since the fork in ways that do not meet. */
	if (message->child &&
	    !pmon_holder_at(message->child, lite_peer_node(primary->peer))) {
		pmon_region_lose(message->child);
		primary->acked = true;
		return 0;
	}
	message_fill(&call, primary, message, message->body);
	call.timeout_ms = pmon_region_timeout(region);
	if (call.timeout_ms)
		call.timeout_ms += message->patience_ms;
	ret = lite_call_sync(&call, message->reply, message->reply_size);
	/*
	 * Sent again and again, and whether it was carried out is not known: its number must
	 * not become another message's.
	 */
	if (ret == -EIO && !call.answered)
		ret = -ETIMEDOUT;
	trace_pmon_stream(region, primary, message->op, ret);
	if (ret >= 0)
		acknowledged(region, primary, message);
	return ret;
}

static void begin_message(struct pmon_region *region)
{
	unsigned int i;

	region->primary->acked = false;
	for (i = 0; i < PMON_SECONDARIES; i++)
		if (region->secondary[i])
			region->secondary[i]->acked = false;
}

/*
 * The primary is lost, says @err. Return: length of an answer's body; none if the new
 * one had acknowledged as a secondary; -EAGAIN: send to it; or errno.
 */
static int replace(struct pmon_region *region, const struct pmon_message *message,
		   int err)
{
	if (pmon_holder_failover(region)) {
		WRITE_ONCE(region->suspect, false);
		/* It may only be slow: with nobody to ask instead it has time. */
		if (err == -ETIMEDOUT)
			return -EAGAIN;
		pmon_region_lose(region);
		return err;
	}
	if (region->primary->acked || message->whom == PMON_TO_PRIMARY)
		return 0;
	return -EAGAIN;
}

/*
 * Once to everybody who has not acknowledged.
 * @len: set if the primary answers with a body
 * Return: 0: all have; or errno.
 */
static int send_round(struct pmon_region *region,
		      const struct pmon_message *message, bool last, int *len)
{
	bool refused;
	int ret = 0;

	if (message->whom != PMON_TO_PRIMARY)
		secondaries_send(region, message);
	if (message->whom != PMON_TO_SECONDARIES && !region->primary->acked)
		ret = primary_call(region, message);
	if (ret > 0)
		*len = ret;
	refused = secondaries_wait(region, message, last);
	if (ret < 0 && is_loss(region->primary, ret))
		ret = replace(region, message, ret);
	if (ret >= 0)
		return refused ? -EAGAIN : 0;
	return ret;
}

/*
 * pmon_stream_call - send one changing request to all holders and wait for them
 *
 * A secondary that does not answer, or goes on refusing, is dropped; the place of a
 * primary that does not answer is taken by a secondary. So success means: all that hold
 * the region have it.
 *
 * Context: process, stream_lock held. Return: length of the answer's body or
 * negative errno; an error that means that nobody holds the region any more marks it
 * lost.
 */
int pmon_stream_call(struct pmon_region *region, const struct pmon_message *message)
{
	int ret, len = 0, tries;

	lockdep_assert_held(&region->stream_lock);
	if (region->lost)
		return -EHOSTDOWN;
	begin_message(region);
	for (tries = 0; tries < RETRY_MAX; tries++) {
		ret = send_round(region, message, tries == RETRY_MAX - 1, &len);
		if (!ret)
			return len;
		if (region->lost || (ret != -EAGAIN && !message->retry))
			return ret;
		msleep(RETRY_MS);
	}
	/* A home that goes on refusing what was taken out of the log is out of step. */
	if (message->retry)
		pmon_region_lose(region);
	return ret;
}

static int sync_changes(struct pmon_region *region, struct maps_message *body,
			int nr)
{
	struct pmon_message message = {
		.op = MMON_OP_MAPS,
		.body = body,
		.len = offsetof(struct maps_message, change[nr]),
		.retry = true,
	};
	int ret, i;

	body->head.nr = cpu_to_le32(nr);
	body->head.reserved = 0;
	ret = pmon_stream_call(region, &message);
	if (ret < 0)
		return ret;
	/* What moves behind the back of a seeding is sent again. */
	for (i = 0; i < nr; i++)
		if (body->change[i].type == cpu_to_le32(MMON_MOVE))
			region->seed_at = min(region->seed_at,
					      le64_to_cpu(body->change[i].to));
	pmon_count_n(changes_sent, nr);
	return 0;
}

/* What is in the log, then what is pending. */
static int sync_log(struct pmon_region *region)
{
	struct maps_message *message = region->message;
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

static void message_room(struct pmon_region *region)
{
	if (!region->message)
		region->message = kzalloc(sizeof(*region->message),
					  GFP_KERNEL | __GFP_NOFAIL);
}

/*
 * pmon_stream_sync - tell the home everything it has not been told
 *
 * And see to it that there is one: a primary that is suspected is replaced.
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
	/* If nobody can take over, the next message shows whether it is lost. */
	if (READ_ONCE(region->suspect) && pmon_holder_failover(region))
		WRITE_ONCE(region->suspect, false);
	message_room(region);
	/* Older than the log: spare.c. */
	ret = pmon_spares_tell(region);
	if (!ret)
		ret = sync_log(region);
	if (ret)
		pmon_clone_fail(region);
	return ret;
}

/* ---- a new secondary -------------------------------------------------------------- */

static int open_call(struct pmon_holder *holder, u8 op, void *body, u32 len)
{
	struct stream_head *head = body;
	struct lite_call call = {
		.peer = holder->peer,
		.service = LITE_SVC_MMON,
		.op = op,
		.flags = LITE_CALL_IDEMPOTENT,
		.timeout_ms = SECONDARY_MS,
		.req = body,
		.req_len = len,
	};
	int ret;

	head->asid = cpu_to_le64(holder->asid);
	head->seq = cpu_to_le64(holder->seq + 1);
	ret = lite_call_sync(&call, NULL, 0);
	if (ret < 0)
		return ret;
	holder->seq++;
	WRITE_ONCE(holder->attached, true);
	return 0;
}

/*
 * pmon_stream_open - @holder learns what is mapped; it has no pages yet
 *
 * Context: process, stream_lock held, the region has a primary; what is in the log
 * reaches @holder later, if it has become a secondary by then.
 * Return: 0 or negative errno.
 */
int pmon_stream_open(struct pmon_region *region, struct pmon_holder *holder)
{
	struct mmon_replica body = {
		.feeder = cpu_to_le32(lite_peer_node(region->primary->peer)),
	};
	struct maps_message *maps;
	unsigned long index = 0;
	int ret, nr;

	lockdep_assert_held(&region->stream_lock);
	message_room(region);
	maps = region->message;
	ret = open_call(holder, MMON_OP_REPLICA, &body, sizeof(body));
	while (!ret) {
		nr = pmon_changes_list(&region->changes, &index, maps->change,
				       MMON_MAPS_MAX);
		if (!nr)
			break;
		maps->head.nr = cpu_to_le32(nr);
		maps->head.reserved = 0;
		ret = open_call(holder, MMON_OP_MAPS, maps,
				offsetof(struct maps_message, change[nr]));
	}
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

/* pmon_stream_leave - the region is gone; its holders are told to free its pages.
 * Context: process; no other user of the region is left.
 */
void pmon_stream_leave(struct pmon_region *region)
{
	pmon_clone_end(region);
	pmon_holders_leave(region);
}

/* pmon_stream_exit - after that: wait until they have, and free what there is */
void pmon_stream_exit(struct pmon_region *region)
{
	pmon_holders_end(region);
	kfree(region->message);
	kfree(region->spares);
}
