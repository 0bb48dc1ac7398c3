// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: reports, goodbyes, placements, drains and moves to gmm, with
 * bodies from the input, and time that passes.
 */
#include "shim/lite_stub.h"
#include "../../gmm/internal.h"

static struct gmm_members t;
static const u8 *input;
static size_t left;
static u64 now;

static u8 byte(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static void check_list(void)
{
	static u8 answer[GMM_ANSWER_MAX] __aligned(8);
	struct gmm_hosts *hosts = (void *)answer;
	u32 i, j, len = gmm_members_list(&t, now, hosts);

	SHIM_ASSERT(hosts->nr == t.nr && t.nr <= GMM_HOSTS_MAX);
	SHIM_ASSERT(len == sizeof(*hosts) + t.nr * sizeof(hosts->host[0]));
	for (i = 0; i < t.nr; i++) {
		SHIM_ASSERT(hosts->host[i].free <= hosts->host[i].capacity);
		SHIM_ASSERT(!(hosts->host[i].services & ~0xfffeu));
		SHIM_ASSERT(hosts->host[i].age_ms <= t.lease_ms);
		for (j = 0; j < i; j++)
			SHIM_ASSERT(hosts->host[i].node != hosts->host[j].node);
	}
}

static const struct gmm_member *find(u32 node)
{
	return gmm_members_find(&t, node);
}

static void check_placed(const struct gmm_place *place,
			 const struct gmm_placed *placed)
{
	const struct gmm_member *member;
	u32 i, j;

	SHIM_ASSERT(placed->nr && placed->nr <= place->copies);
	SHIM_ASSERT(placed->nr <= GMM_PLACE_MAX);
	for (i = 0; i < placed->nr; i++) {
		member = find(placed->node[i]);
		SHIM_ASSERT(member && !member->draining);
		SHIM_ASSERT(member->services & 1u << LITE_SVC_MMON);
		SHIM_ASSERT(i || place->flags ? member->log_free : member->free);
		for (j = 0; j < i; j++)
			SHIM_ASSERT(placed->node[i] != placed->node[j]);
		for (j = 0; j < place->nr_avoid; j++)
			SHIM_ASSERT(placed->node[i] != place->avoid[j]);
	}
	for (; i < GMM_PLACE_MAX; i++)
		SHIM_ASSERT(!placed->node[i]);
}

static int do_place(const struct lite_request *req)
{
	struct gmm_placed placed;
	int err;

	t.policy = now / 10 % GMM_NR_POLICIES;
	err = gmm_place(&t, req, now, &placed);
	if (!err)
		check_placed(req->body, &placed);
	return err;
}

static int do_drain(const struct lite_request *req)
{
	const struct gmm_drain *body = req->body;
	enum gmm_news news;
	u32 node;
	int err = gmm_members_drain(&t, req, &node, &news);

	if (!err)
		SHIM_ASSERT(find(node)->draining == body->on);
	return err;
}

static int do_balance(const struct lite_request *req)
{
	const struct gmm_balance *body = req->body;
	const struct gmm_member *member;
	struct gmm_balanced balanced;
	u64 moves = t.moves;
	u32 i;
	int err;

	t.rebalance = now / 10 % 4;
	err = gmm_balance(&t, req, now, &balanced);
	SHIM_ASSERT(t.moves == moves + (!err && balanced.node));
	SHIM_ASSERT(!balanced.reserved);
	if (err || !balanced.node)
		return err;
	SHIM_ASSERT(t.rebalance && balanced.node != body->from);
	SHIM_ASSERT(body->pages <= balanced.pages);
	member = find(balanced.node);
	SHIM_ASSERT(member && !member->draining && find(body->from));
	SHIM_ASSERT(member->services & 1u << LITE_SVC_MMON);
	SHIM_ASSERT(balanced.pages <= member->free);
	for (i = 0; i < body->nr_avoid; i++)
		SHIM_ASSERT(balanced.node != body->avoid[i]);
	return 0;
}

/* What is in order must be answered, as long as the host is there. */
static int do_request(u8 op, const struct lite_request *req)
{
	u64 joins = t.joins, reports = t.reports;
	enum gmm_news news;
	int err;

	switch (op) {
	case GMM_OP_REPORT:
		err = gmm_members_report(&t, req, now, &news);
		SHIM_ASSERT(t.reports == reports + !err);
		SHIM_ASSERT((t.joins > joins) ==
			    (news == GMM_JOINED || news == GMM_REJOINED ||
			     news == GMM_JOINED_DRAINING));
		return err;
	case GMM_OP_LEAVE:
		return gmm_members_leave(&t, req, &news);
	case GMM_OP_PLACE:
		return do_place(req);
	case GMM_OP_BALANCE:
		return do_balance(req);
	default:
		return do_drain(req);
	}
}

static void request(u8 op, u32 node)
{
	u8 len = byte() % 96, i;
	u8 *body = malloc(len ? len : 1);
	struct lite_request req = {
		.node = node, .incarnation = 1, .body = body, .body_len = len,
		.nr_direct = byte() == 255,
	};
	u64 refused = t.refused;
	int err;

	for (i = 0; i < len; i++)
		body[i] = byte();
	err = do_request(op, &req);
	SHIM_ASSERT(err <= 0);
	SHIM_ASSERT(t.refused == refused + (err && err != -EAGAIN &&
					    err != -EHOSTDOWN));
	free(body);
}

static void good_report(u32 node)
{
	u8 flags = byte();
	struct gmm_report body = {
		.incarnation = byte(), .capacity = 1ull << (byte() % 64),
		.free = flags & 1, .requests = byte() * now,
		.log_capacity = 1ull << (byte() % 64), .log_free = flags >> 1 & 1,
		.services = flags & 4 ? 1 << LITE_SVC_MMON : 1 << LITE_SVC_PMON,
		.flags = flags >> 3 & 1, .regions = flags & 16 ? ~0u : byte(),
		.replicas = byte(),
	};
	struct lite_request req = {
		.node = node, .body = &body, .body_len = sizeof(body),
	};
	enum gmm_news news;
	int err = gmm_members_report(&t, &req, now, &news);

	SHIM_ASSERT(!err || (err == -ENOSPC && t.nr == GMM_HOSTS_MAX));
}

/* To hosts that there may be. */
static void good_place(u32 node)
{
	u8 what = byte();
	struct gmm_place body = {
		.asid = node, .copies = 1 + what % GMM_PLACE_MAX,
		.flags = what >> 2 & 1, .nr_avoid = what >> 3 & 7,
	};
	struct lite_request req = {
		.node = node, .body = &body, .body_len = sizeof(body),
	};
	u32 i;
	int err;

	for (i = 0; i < body.nr_avoid; i++)
		body.avoid[i] = byte();
	err = do_place(&req);
	SHIM_ASSERT(!err || err == -EAGAIN || err == -EHOSTDOWN);
}

static void good_drain(u32 node)
{
	struct gmm_drain body = { node, byte() & 1 };
	struct lite_request req = { .body = &body, .body_len = sizeof(body) };
	int err = do_drain(&req);

	SHIM_ASSERT(!err || err == -ENOENT || err == -ENODEV);
}

/* Of regions that may be there. */
static void good_balance(u32 node)
{
	struct gmm_balance body = {
		.asid = node, .pages = byte() & 1, .from = byte(), .nr_avoid = 1,
		.avoid = { byte() },
	};
	struct lite_request req = {
		.node = node, .body = &body, .body_len = sizeof(body),
	};
	int err;

	if (!body.from)
		body = (struct gmm_balance){ };
	err = do_balance(&req);
	SHIM_ASSERT(!err || err == -EAGAIN);
}

static void act(u8 what, u32 node)
{
	switch (what & 7) {
	case 0:
	case 1:
	case 2:
		good_report(node);
		break;
	case 3:
	case 4:
		good_place(node);
		break;
	case 5:
		good_drain(node);
		break;
	case 6:
		good_balance(node);
		break;
	default:
		request(1 + (what >> 3) % 5, node);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 node;

	input = data;
	left = size;
	now = 0;
	gmm_members_init(&t, 5000, 0, 1000);
	while (left) {
		u8 what = byte();

		now += byte() * 10;
		while (gmm_members_expire(&t, now, &node))
			;
		node = byte();
		act(what, node);
		check_list();
	}
	SHIM_ASSERT(t.joins >= t.nr);
	return 0;
}
