// SPDX-License-Identifier: GPL-2.0
/*
 * What the manager is asked beside its list: hosts for an address space, whether one
 * may move, and to drain a host.
 *
 * A manager may just be restarted, here or on another host, and then waits until
 * it has heard of the hosts: it is asked again for as long as the caller waits.
 */
#include <linux/delay.h>

#include "gmm_wire.h"
#include "internal.h"

#define ASK_MS		2000
#define ASK_AGAIN_MS	100

static_assert(LITE_PLACE_MAX == GMM_PLACE_MAX);
static_assert(LITE_AVOID_MAX == GMM_AVOID_MAX);
static_assert(GMM_SETTLE_MS + 2 * ASK_AGAIN_MS < ASK_MS);

/* From the manager it is an answer, from lite_rpc it is not. */
static bool ask_again(struct lite_peer *manager, int err)
{
	switch (err) {
	case -EAGAIN:
	case -EPROTONOSUPPORT:
	case -ECONNRESET:
	case -EIO:
		return true;
	case -EHOSTDOWN:
		return READ_ONCE(manager->state) != LITE_PEER_UP;
	default:
		return false;
	}
}

/* What is left of ASK_MS, at least one. */
static u32 ask_left(unsigned long until)
{
	return time_before(jiffies, until) ?
	       max(jiffies_to_msecs(until - jiffies), 1u) : 1;
}

static int ask(u8 op, const void *req, u32 req_len, void *reply, u32 size)
{
	unsigned long until = jiffies + msecs_to_jiffies(ASK_MS);
	struct lite_peer *manager;
	bool again;
	int ret;

	for (;;) {
		struct lite_call call = {
			.service = LITE_SVC_GMM,
			.op = op,
			.flags = LITE_CALL_IDEMPOTENT,
			.timeout_ms = ask_left(until),
			.req = req,
			.req_len = req_len,
		};

		manager = lite_member_manager();
		if (!manager)
			return -ENOENT;
		call.peer = manager;
		ret = lite_call_sync(&call, reply, size);
		again = ask_again(manager, ret);
		lite_peer_put(manager);
		if (!again)
			return ret;
		if (ask_left(until) <= ASK_AGAIN_MS)
			return -EHOSTDOWN;
		msleep(ASK_AGAIN_MS);
	}
}

static bool named(const u32 *nodes, u32 nr, u32 node)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (nodes[i] == node)
			return true;
	return false;
}

/* Return: 0, or -EBADMSG: the manager's answer is not one to the question. */
static int placed_check(const struct gmm_placed *placed, u32 copies,
			const u32 *avoid, u32 nr_avoid,
			struct lite_placement *out)
{
	u32 i, node, nr = le32_to_cpu(placed->nr);

	if (!nr || nr > copies)
		return -EBADMSG;
	memset(out, 0, sizeof(*out));
	for (i = 0; i < nr; i++) {
		node = le32_to_cpu(placed->node[i]);
		if (!node || named(out->node, i, node) ||
		    named(avoid, nr_avoid, node))
			return -EBADMSG;
		out->node[i] = node;
	}
	out->nr = nr;
	return 0;
}

static int place(u64 asid, u32 copies, u32 flags, const u32 *avoid,
		 u32 nr_avoid, struct lite_placement *out)
{
	struct gmm_place req = {
		.asid = cpu_to_le64(asid),
		.copies = cpu_to_le32(copies),
		.flags = cpu_to_le32(flags),
		.nr_avoid = cpu_to_le32(nr_avoid),
	};
	struct gmm_placed placed = {};
	int ret;
	u32 i;

	if (!copies || copies > LITE_PLACE_MAX || nr_avoid > LITE_AVOID_MAX)
		return -EINVAL;
	for (i = 0; i < nr_avoid; i++)
		req.avoid[i] = cpu_to_le32(avoid[i]);
	ret = ask(GMM_OP_PLACE, &req, sizeof(req), &placed, sizeof(placed));
	if (ret == sizeof(placed))
		ret = placed_check(&placed, copies, avoid, nr_avoid, out);
	else if (ret >= 0)
		ret = -EBADMSG;
	if (ret == -EBADMSG)
		pr_warn_ratelimited("the manager's placement of address space %#llx makes no sense\n",
				    asid);
	return ret;
}

int lite_place(u64 asid, u32 copies, const u32 *avoid, u32 nr_avoid,
	       struct lite_placement *out)
{
	return place(asid, copies, 0, avoid, nr_avoid, out);
}

SK_EXPORT(lite_place);

int lite_place_replicas(u64 asid, u32 copies, const u32 *avoid, u32 nr_avoid,
			struct lite_placement *out)
{
	return place(asid, copies, GMM_PLACE_REPLICAS, avoid, nr_avoid, out);
}

SK_EXPORT(lite_place_replicas);

/* Return: 0, or -EBADMSG: as placed_check(). */
static int balanced_check(const struct gmm_balanced *balanced, u64 pages,
			  u32 from, const u32 *avoid, u32 nr_avoid,
			  struct lite_balance *out)
{
	out->node = le32_to_cpu(balanced->node);
	out->pages = le64_to_cpu(balanced->pages);
	if (balanced->reserved)
		return -EBADMSG;
	if (!out->node)
		return 0;
	if (out->node == from || named(avoid, nr_avoid, out->node) ||
	    out->pages < pages)
		return -EBADMSG;
	return 0;
}

int lite_balance(u64 asid, u64 pages, u32 from, const u32 *avoid, u32 nr_avoid,
		 struct lite_balance *out)
{
	struct gmm_balance req = {
		.asid = cpu_to_le64(asid),
		.pages = cpu_to_le64(pages),
		.from = cpu_to_le32(from),
		.nr_avoid = cpu_to_le32(nr_avoid),
	};
	struct gmm_balanced balanced = {};
	int ret;
	u32 i;

	if (!from || nr_avoid > LITE_AVOID_MAX)
		return -EINVAL;
	for (i = 0; i < nr_avoid; i++)
		req.avoid[i] = cpu_to_le32(avoid[i]);
	ret = ask(GMM_OP_BALANCE, &req, sizeof(req), &balanced,
		  sizeof(balanced));
	if (ret < 0)
		return ret;
	ret = ret == sizeof(balanced) ?
	      balanced_check(&balanced, pages, from, avoid, nr_avoid, out) :
	      -EBADMSG;
	if (ret)
		pr_warn_ratelimited("the manager's word on moving address space %#llx makes no sense\n",
				    asid);
	return ret;
}

SK_EXPORT(lite_balance);

void lite_balance_done(void)
{
	struct gmm_balance req = {};
	struct gmm_balanced balanced;

	/* If it cannot be told, it waits for a while. */
	ask(GMM_OP_BALANCE, &req, sizeof(req), &balanced, sizeof(balanced));
}

SK_EXPORT(lite_balance_done);

int lite_drain(u32 node, bool on)
{
	struct gmm_drain req = {
		.node = cpu_to_le32(node),
		.on = cpu_to_le32(on),
	};
	int ret = ask(GMM_OP_DRAIN, &req, sizeof(req), NULL, 0);

	if (ret < 0)
		return ret;
	/* This host's list shows it at once, the others' within a second. */
	lite_member_report_soon();
	return 0;
}

SK_EXPORT(lite_drain);
