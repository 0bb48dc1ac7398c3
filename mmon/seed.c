// SPDX-License-Identifier: GPL-2.0
/*
 * Seeding: the pages of an address space go to a replica of it at another host, some
 * at a time, as its owner asks for them.
 *
 * The pages are looked up under the space's lock and kept where they are, as a fetch
 * does; then the lock is let go, because nobody may wait for another host with a
 * lock: two hosts may seed to each other. Nor does a worker wait. What the other
 * host answers comes in softirq context, and a work item ends the request: it counts
 * only now, because a refused request must not use its number up.
 *
 * The owner has no other change under way, and writes nothing one-sided, so the
 * pages are what they were when they were looked up.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "mmon_checksum.h"

/* A host that does not answer for so long is the owner's to judge. */
#define FEED_TIMEOUT_MS	2500
#define NO_BOUNCE	U32_MAX

/*
 * A request that is under way.
 * @req: to be answered
 * @space: referenced
 * @seq: of the request
 * @next: first address that was not looked at
 * @pages, @addr: what is sent
 * @bounce: pages for what the store had, or NO_BOUNCE
 * @status: the answer
 */
struct seeding {
	struct mmon *m;
	struct lite_request *req;
	struct mmon_space *space;
	u64 seq;
	u64 next;
	struct mmon_pages pages;
	u64 addr[MMON_FLUSH_MAX];
	u32 bounce;
	int status;
	struct lite_call call;
	struct lite_sge payload[MMON_FLUSH_MAX];
	struct {
		struct mmon_feed head;
		struct mmon_flush_page page[MMON_FLUSH_MAX];
	} msg;
	struct work_struct work;
};

/* ---- the end -------------------------------------------------------------------- */

/* Return: the answer. */
static int settle(struct seeding *s)
{
	struct mmon_space *space = s->space;
	int status = s->status;

	mutex_lock(&space->lock);
	if (!status && space->dead)
		status = -ENOENT;
	/* A repeat may have been under way as well, and was faster. */
	if (!status && mmon_space_sequence(space, s->seq) == 0)
		space->seq++;
	mutex_unlock(&space->lock);
	return status;
}

static void release(struct seeding *s)
{
	mmon_pages_put(s->m, &s->pages);
	if (s->bounce != NO_BOUNCE)
		mmon_bounce_put(&s->m->log, s->bounce);
	lite_peer_put(s->call.peer);
	if (s->space)
		mmon_space_put(s->space);
}

static void finish(struct seeding *s)
{
	struct mmon_seeded answer = {
		.next = cpu_to_le64(s->next),
		.pages = cpu_to_le32(s->pages.nr),
	};
	int status = s->space ? settle(s) : s->status;

	if (!status) {
		mmon_count(s->m, MMON_C_SEEDS, 1);
		mmon_count(s->m, MMON_C_SEED_PAGES, s->pages.nr);
	} else {
		mmon_count_refusal(s->m, status);
	}
	release(s);
	mmon_serve_reply(s->req, status, &answer, sizeof(answer));
	kfree(s);
}

static void finish_work(struct work_struct *work)
{
	finish(container_of(work, struct seeding, work));
}

/*
 * Why the other host has not got the pages is nothing that is wrong here, and must not
 * be taken for it. Only lack of room passes.
 */
static int blame(int err)
{
	return !err || err == -ENOSPC || err == -ENOMEM ? err : -EREMOTEIO;
}

/* Softirq or process context. */
static void fed(struct lite_call *call)
{
	struct seeding *s = container_of(call, struct seeding, call);

	s->status = blame(call->status);
	mmon_background_queue(&s->work);
}

/* ---- the beginning ---------------------------------------------------------------- */

/* Up to MMON_FLUSH_MAX pages at @start and behind. */
static void collect(struct seeding *s, u64 start)
{
	struct mmon_space *space = s->space;
	unsigned long index;
	void *entry;
	u32 i = 0;

	lockdep_assert_held(&space->lock);
	xa_for_each_range(&space->pages, index, entry, start >> MMON_PAGE_SHIFT,
			  ULONG_MAX) {
		if (i == MMON_FLUSH_MAX)
			break;
		s->addr[i] = (u64)index << MMON_PAGE_SHIFT;
		mmon_space_find(s->m, space, index, &s->pages, i++);
		cond_resched();
	}
	s->pages.nr = i;
	s->next = entry ? s->addr[i - 1] + MMON_PAGE_SIZE : MMON_ADDR_MAX;
}

static int begin(struct seeding *s, const struct mmon_seed *msg)
{
	const struct mmon_owner owner = { s->req->incarnation, s->req->node };
	int ret;

	s->space = mmon_space_get(s->m, le64_to_cpu(msg->asid));
	if (!s->space)
		return -ENOENT;
	if (!mmon_space_owned(s->space, &owner))
		return -EPERM;
	s->seq = le64_to_cpu(msg->seq);
	mutex_lock(&s->space->lock);
	ret = s->space->dead ? -ENOENT : mmon_space_sequence(s->space, s->seq);
	if (ret >= 0)
		collect(s, le64_to_cpu(msg->start));
	mutex_unlock(&s->space->lock);
	return min(ret, 0);
}

static int load(struct seeding *s)
{
	if (!s->pages.stored)
		return 0;
	s->bounce = mmon_bounce_take(&s->m->log);
	return mmon_pages_load(s->m, &s->pages, s->bounce);
}

static void prepare(struct seeding *s, const struct mmon_seed *msg)
{
	u32 i, nr = s->pages.nr;

	s->msg.head = (struct mmon_feed){
		.asid = msg->target,
		.owner = cpu_to_le32(s->req->node),
		.nr = cpu_to_le32(nr),
		.checksum = msg->checksum,
	};
	for (i = 0; i < nr; i++) {
		s->msg.page[i].addr = cpu_to_le64(s->addr[i]);
		s->msg.page[i].sum =
			cpu_to_le32(mmon_checksum(le32_to_cpu(msg->checksum),
						  mmon_pages_data(s->m, &s->pages, i,
								  s->bounce)));
		mmon_pages_sge(s->m, &s->pages, i, s->bounce, &s->payload[i]);
	}
	s->call.service = LITE_SVC_MMON;
	s->call.op = MMON_OP_FEED;
	s->call.flags = LITE_CALL_IDEMPOTENT;
	s->call.timeout_ms = FEED_TIMEOUT_MS;
	s->call.req = &s->msg;
	s->call.req_len = sizeof(s->msg.head) + nr * sizeof(s->msg.page[0]);
	s->call.payload = s->payload;
	s->call.nr_payload = nr;
	s->call.done = fed;
}

/* Return: 0: fed() ends it; 1: there is nothing to be sent; negative errno. */
static int send(struct seeding *s, const struct mmon_seed *msg)
{
	struct lite_peer *peer;
	int err;

	err = begin(s, msg);
	if (err)
		return err;
	if (!s->pages.nr)
		return 1;
	err = load(s);
	if (err)
		return err;
	peer = lite_peer_get(le32_to_cpu(msg->node));
	if (IS_ERR(peer))
		return PTR_ERR(peer) == -ENOMEM ? -ENOMEM : -EREMOTEIO;
	s->call.peer = peer;
	prepare(s, msg);
	lite_call_submit(&s->call);
	return 0;
}

static bool valid(const struct lite_request *req)
{
	const struct mmon_seed *msg = req->body;

	return req->body_len == sizeof(*msg) && !req->payload_len &&
	       !req->nr_direct && msg->seq && msg->node &&
	       le32_to_cpu(msg->checksum) < MMON_NR_CHECKSUMS &&
	       le64_to_cpu(msg->start) < MMON_ADDR_MAX &&
	       !(le64_to_cpu(msg->start) & (MMON_PAGE_SIZE - 1));
}

/**
 * mmon_seed - carry a request of MMON_OP_SEED out
 * @m: the monitor
 * @req: the request; answered, now or later
 *
 * Context: process.
 */
void mmon_seed(struct mmon *m, struct lite_request *req)
{
	struct seeding *s = NULL;
	int ret = -EBADMSG;

	if (valid(req)) {
		s = kzalloc(sizeof(*s), GFP_KERNEL);
		ret = -ENOMEM;
	}
	if (!s) {
		mmon_count_refusal(m, ret);
		mmon_serve_reply(req, ret, NULL, 0);
		return;
	}
	s->m = m;
	s->req = req;
	s->bounce = NO_BOUNCE;
	INIT_WORK(&s->work, finish_work);
	ret = send(s, req->body);
	if (!ret)
		return;		/* @s may be gone by now */
	s->status = min(ret, 0);
	finish(s);
}
