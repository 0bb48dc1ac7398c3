// SPDX-License-Identifier: GPL-2.0
/*
 * The requests: is it well formed, and whom does it concern?
 *
 * Everything in a request comes from another host. Lengths are checked before
 * fields are read, and fields before anything is looked up. The order in which
 * reasons for a refusal are looked for: malformed, unknown asid, other owner,
 * sequence, vma, frames or spare frames, checksum, memory.
 */
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/overflow.h>

#include "internal.h"

static bool page_valid(u64 addr)
{
	return addr < MMON_ADDR_MAX && !(addr & (MMON_PAGE_SIZE - 1));
}

static bool range_valid(u64 start, u64 end)
{
	return page_valid(start) && start < end && page_valid(end - MMON_PAGE_SIZE);
}

static bool move_valid(u64 start, u64 end, u64 to)
{
	u64 len = end - start;

	if (!page_valid(to) || len > MMON_ADDR_MAX - to)
		return false;
	return to + len <= start || end <= to;
}

static bool change_valid(const struct mmon_change *c)
{
	u64 start = le64_to_cpu(c->start), end = le64_to_cpu(c->end);
	u32 prot = le32_to_cpu(c->prot);

	if (!range_valid(start, end) ||
	    prot & ~(MMON_PROT_READ | MMON_PROT_WRITE))
		return false;
	switch (le32_to_cpu(c->type)) {
	case MMON_MAP:
		return !c->to;
	case MMON_UNMAP:
	case MMON_DISCARD:
		return !prot && !c->to;
	case MMON_MOVE:
		return move_valid(start, end, le64_to_cpu(c->to));
	default:
		return false;
	}
}

static int req_maps(struct mmon *m, const struct lite_request *req,
		    const struct mmon_owner *owner)
{
	const struct mmon_maps *msg = req->body;
	const struct mmon_change *changes = (const void *)(msg + 1);
	u32 i, nr;

	if (req->body_len < sizeof(*msg) || req->payload_len || req->nr_direct)
		return -EBADMSG;
	nr = le32_to_cpu(msg->nr);
	if (!nr || nr > MMON_MAPS_MAX || msg->reserved || !msg->seq ||
	    req->body_len != sizeof(*msg) + nr * sizeof(*changes))
		return -EBADMSG;
	for (i = 0; i < nr; i++)
		if (!change_valid(&changes[i]))
			return -EBADMSG;
	return mmon_maps(m, owner, le64_to_cpu(msg->asid),
			 le64_to_cpu(msg->seq), changes, nr);
}

static int decode_flush_page(struct mmon_flush_in *in, u32 i,
			     const struct mmon_flush_page *page)
{
	u32 j;

	in->addr[i] = le64_to_cpu(page->addr);
	in->sum[i] = le32_to_cpu(page->sum);
	if (page->reserved || !page_valid(in->addr[i]))
		return -EBADMSG;
	for (j = 0; j < i; j++)
		if (in->addr[j] == in->addr[i])
			return -EBADMSG;
	return 0;
}

/* The pages of a flush or feed: @nr entries at @page, after @head bytes. */
static int decode_pages(struct mmon_flush_in *in, const struct lite_request *req,
			u32 head)
{
	const struct mmon_flush_page *page = req->body + head;
	u32 i;

	if (!in->nr || in->nr > MMON_FLUSH_MAX ||
	    in->checksum >= MMON_NR_CHECKSUMS ||
	    req->body_len != head + in->nr * sizeof(*page) ||
	    req->payload_len != in->nr * MMON_PAGE_SIZE)
		return -EBADMSG;
	for (i = 0; i < in->nr; i++)
		if (decode_flush_page(in, i, &page[i]))
			return -EBADMSG;
	in->payload = req->payload;
	return 0;
}

static int req_flush(struct mmon *m, const struct lite_request *req,
		     const struct mmon_owner *owner, struct mmon_body *body)
{
	const struct mmon_flush *msg = req->body;
	struct mmon_flush_in in;
	int ret;

	if (req->body_len < sizeof(*msg) || req->nr_direct)
		return -EBADMSG;
	in.nr = le32_to_cpu(msg->nr);
	in.checksum = le32_to_cpu(msg->checksum);
	in.asid = le64_to_cpu(msg->asid);
	in.seq = le64_to_cpu(msg->seq);
	if (!in.seq || decode_pages(&in, req, sizeof(*msg)))
		return -EBADMSG;
	ret = mmon_flush(m, owner, &in, &body->flush);
	if (ret >= 0)
		body->len = struct_size(&body->flush, grant,
					le32_to_cpu(body->flush.nr_grants));
	return ret;
}

static int req_feed(struct mmon *m, const struct lite_request *req)
{
	const struct mmon_feed *msg = req->body;
	struct mmon_flush_in in;
	u32 stored;
	int err;

	if (req->body_len < sizeof(*msg) || req->nr_direct)
		return -EBADMSG;
	in.nr = le32_to_cpu(msg->nr);
	in.checksum = le32_to_cpu(msg->checksum);
	in.asid = le64_to_cpu(msg->asid);
	in.seq = 0;
	if (msg->reserved || decode_pages(&in, req, sizeof(*msg)))
		return -EBADMSG;
	err = mmon_feed(m, req->node, le32_to_cpu(msg->owner), &in, &stored);
	if (!err)
		mmon_count(m, MMON_C_FEED_PAGES, stored);
	return err;
}

static int req_replica(struct mmon *m, const struct lite_request *req,
		       const struct mmon_owner *owner)
{
	const struct mmon_replica *msg = req->body;

	if (req->body_len != sizeof(*msg) || req->payload_len || req->nr_direct ||
	    msg->seq != cpu_to_le64(1) || msg->reserved)
		return -EBADMSG;
	return mmon_replica(m, owner, msg);
}

static int req_promote(struct mmon *m, const struct lite_request *req,
		       const struct mmon_owner *owner)
{
	const struct mmon_promote *msg = req->body;

	if (req->body_len != sizeof(*msg) || req->payload_len || req->nr_direct ||
	    !msg->seq)
		return -EBADMSG;
	return mmon_promote(m, owner, msg);
}

static int decode_adopt(struct mmon_adopt_in *in, const struct mmon_adopt *msg)
{
	const struct mmon_adopt_page *page = (const void *)(msg + 1);
	u32 i;

	for (i = 0; i < in->nr; i++) {
		in->addr[i] = le64_to_cpu(page[i].addr);
		in->location[i] = le32_to_cpu(page[i].location);
		if (page[i].reserved || !page_valid(in->addr[i]) ||
		    !in->location[i])
			return -EBADMSG;
	}
	return 0;
}

static int req_adopt(struct mmon *m, const struct lite_request *req,
		     const struct mmon_owner *owner, struct mmon_body *body)
{
	const struct mmon_adopt *msg = req->body;
	struct mmon_adopt_in in;
	int ret;

	if (req->body_len < sizeof(*msg) || req->payload_len || req->nr_direct)
		return -EBADMSG;
	in.nr = le32_to_cpu(msg->nr);
	in.want = le32_to_cpu(msg->want);
	if (in.nr > MMON_SPARES_MAX || in.want > MMON_SPARES_MAX ||
	    !(in.nr | in.want) || !msg->seq ||
	    req->body_len != sizeof(*msg) +
			     in.nr * sizeof(struct mmon_adopt_page) ||
	    decode_adopt(&in, msg))
		return -EBADMSG;
	in.asid = le64_to_cpu(msg->asid);
	in.seq = le64_to_cpu(msg->seq);
	ret = mmon_adopt(m, owner, &in, &body->spares);
	if (ret >= 0)
		body->len = struct_size(&body->spares, grant,
					le32_to_cpu(body->spares.nr_grants));
	if (!ret)
		mmon_count(m, MMON_C_ADOPT_PAGES, in.nr);
	return ret;
}

static int req_clone(struct mmon *m, const struct lite_request *req,
		     const struct mmon_owner *owner)
{
	const struct mmon_clone *msg = req->body;

	if (req->body_len != sizeof(*msg) || req->payload_len || req->nr_direct)
		return -EBADMSG;
	if (msg->reserved || !msg->seq || msg->child == msg->asid ||
	    !range_valid(le64_to_cpu(msg->start), le64_to_cpu(msg->end)))
		return -EBADMSG;
	return mmon_clone(m, owner, msg);
}

static int req_exit(struct mmon *m, const struct lite_request *req,
		    const struct mmon_owner *owner)
{
	const struct mmon_exit *msg = req->body;
	struct mmon_space *space;
	int ret = -EPERM;

	if (req->body_len != sizeof(*msg) || req->payload_len || req->nr_direct)
		return -EBADMSG;
	space = mmon_space_get(m, le64_to_cpu(msg->asid));
	if (!space)
		return 1;
	if (mmon_space_owned(space, owner))
		ret = mmon_space_remove(m, space) ? 0 : 1;
	mmon_space_put(space);
	return ret;
}

/* Under RCU alone: this is softirq context. */
static int find_pages(struct mmon *m, const struct lite_request *req,
		      const struct mmon_owner *owner, struct mmon_pages *pages)
{
	const struct mmon_fetch *msg = req->body;
	const __le64 *addr = (const void *)(msg + 1);
	const struct mmon_vmas *vmas;
	struct mmon_space *space;
	int err;
	u32 i;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "spaces read without RCU");
	space = xa_load(&m->spaces, le64_to_cpu(msg->asid));
	if (!space)
		return -ENOENT;
	if (!mmon_space_owned(space, owner))
		return -EPERM;
	vmas = rcu_dereference(space->vmas);
	if (!vmas)		/* it ends just now */
		return -ENOENT;
	for (i = 0; i < pages->nr; i++) {
		err = mmon_vmas_check(vmas, le64_to_cpu(addr[i]), MMON_PROT_READ);
		if (err)
			return err;
	}
	for (i = 0; i < pages->nr; i++)
		mmon_space_find(m, space, le64_to_cpu(addr[i]) >> MMON_PAGE_SHIFT,
				pages, i);
	return 0;
}

static int req_fetch(struct mmon *m, const struct lite_request *req,
		     const struct mmon_owner *owner, struct mmon_pages *pages)
{
	const struct mmon_fetch *msg = req->body;
	const __le64 *addr = (const void *)(msg + 1);
	u32 i, nr;
	int err;

	if (req->body_len < sizeof(*msg) || req->payload_len)
		return -EBADMSG;
	nr = le32_to_cpu(msg->nr);
	if (!nr || nr > MMON_FETCH_MAX || nr != req->nr_direct ||
	    msg->reserved || req->body_len != sizeof(*msg) + nr * sizeof(*addr))
		return -EBADMSG;
	for (i = 0; i < nr; i++)
		if (!page_valid(le64_to_cpu(addr[i])))
			return -EBADMSG;
	pages->nr = nr;
	rcu_read_lock();
	err = find_pages(m, req, owner, pages);
	rcu_read_unlock();
	if (err)
		pages->nr = 0;	/* a refusal, other than a page never stored */
	return err;
}

static void count_fetch(struct mmon *m, const struct mmon_pages *pages)
{
	u32 found = hweight32(pages->found);

	mmon_count(m, MMON_C_FETCH_PAGES, found);
	if (found < pages->nr)
		mmon_count(m, MMON_C_FETCH_ABSENT, pages->nr - found);
}

static void count_flush(struct mmon *m, const struct lite_request *req)
{
	mmon_count(m, MMON_C_FLUSH_PAGES, req->payload_len >> MMON_PAGE_SHIFT);
}

/**
 * mmon_handle - carry a request out
 * @m: the monitor
 * @req: the request
 * @pages: what a fetch found; the caller calls mmon_pages_put(). Other requests
 *	leave it empty.
 * @body: what goes into the reply; NULL will do for MMON_OP_FETCH
 *
 * Context: process; softirq is enough for MMON_OP_FETCH.
 * Return: 0 or negative errno, which is the answer. A fetch of one page that
 * is not stored is -ENOENT, though no refusal.
 */
int mmon_handle(struct mmon *m, const struct lite_request *req,
		struct mmon_pages *pages, struct mmon_body *body)
{
	static const enum mmon_counter served[MMON_OP_MAX] = {
		[MMON_OP_MAPS] = MMON_C_MAPS,
		[MMON_OP_FLUSH] = MMON_C_FLUSHES,
		[MMON_OP_FETCH] = MMON_C_FETCHES,
		[MMON_OP_CLONE] = MMON_C_CLONES,
		[MMON_OP_EXIT] = MMON_C_EXITS,
		[MMON_OP_ADOPT] = MMON_C_ADOPTS,
		[MMON_OP_REPLICA] = MMON_C_REPLICAS_MADE,
		[MMON_OP_PROMOTE] = MMON_C_PROMOTES,
		[MMON_OP_FEED] = MMON_C_FEEDS,
	};
	const struct mmon_owner owner = { req->incarnation, req->node };
	int ret = -EOPNOTSUPP;

	pages->nr = 0;
	pages->found = 0;
	pages->records = 0;
	pages->stored = 0;
	if (body)
		body->len = 0;
	if (req->op == MMON_OP_FETCH)
		ret = req_fetch(m, req, &owner, pages);
	else if (req->op == MMON_OP_FLUSH)
		ret = req_flush(m, req, &owner, body);
	else if (req->op == MMON_OP_MAPS)
		ret = req_maps(m, req, &owner);
	else if (req->op == MMON_OP_CLONE)
		ret = req_clone(m, req, &owner);
	else if (req->op == MMON_OP_ADOPT)
		ret = req_adopt(m, req, &owner, body);
	else if (req->op == MMON_OP_EXIT)
		ret = req_exit(m, req, &owner);
	else if (req->op == MMON_OP_REPLICA)
		ret = req_replica(m, req, &owner);
	else if (req->op == MMON_OP_PROMOTE)
		ret = req_promote(m, req, &owner);
	else if (req->op == MMON_OP_FEED)
		ret = req_feed(m, req);

	if (ret < 0) {
		mmon_count_refusal(m, ret);
		return ret;
	}
	mmon_count(m, ret ? MMON_C_REPEATS : served[req->op], 1);
	if (req->op == MMON_OP_FLUSH && !ret)
		count_flush(m, req);
	if (req->op != MMON_OP_FETCH)
		return 0;
	count_fetch(m, pages);
	return pages->nr == 1 && !pages->found ? -ENOENT : 0;
}

/** mmon_request_asid - the asid a request names, 0 if it is too short */
u64 mmon_request_asid(const struct lite_request *req)
{
	const __le64 *asid = req->body;	/* first field of every request */

	return req->body_len >= sizeof(*asid) ? le64_to_cpu(*asid) : 0;
}
