// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: requests of two hosts to mmon on a small pool.
 *
 * The input is a program for a small machine: one byte says what is done by
 * whom to which address space, further bytes give the details. Most requests
 * are well formed; one kind of step takes the whole body from the input. After
 * each step all invariants of the unit tests must hold, no host may get a page
 * that the other one stored or change its spaces, and what a fetch holds must
 * not change.
 */
#include "store_memory.h"

#define CAPACITY	24
#define SEGMENTS	5
#define HOST		0x0a0000feu	/* feeds replicas: this host itself */
#define STEPS_MAX	200
#define HELD_MAX	4

static struct mmon m;
static const u8 *input;
static size_t left;
static u64 stamp;

static struct held {
	bool used;
	struct mmon_pages pages;
	u64 stamp[MMON_FETCH_MAX];
} held[HELD_MAX];

static u8 byte(void)
{
	if (!left)
		return 0;
	left--;
	return *input++;
}

static u64 page_addr(u8 b)
{
	/* Three clusters: the start, far up, and the very end. */
	if (b < 128)
		return PAGE(b & 63);
	if (b < 224)
		return PAGE((1ull << 30) + (b & 63));
	return MMON_ADDR_MAX - PAGE(1 + (b & 31));
}

static u64 asid_of(u8 b)
{
	return (b & 3) + 1;
}

static u64 good_seq(u64 asid)
{
	struct mmon_space *space = xa_load(&m.spaces, asid);

	return space ? space->seq + 1 : 1;
}

/* Their owners may adopt spare frames at any time: each has a content of theirs. */
static void fill_spares(void)
{
	struct mmon_space *space;
	unsigned long asid;
	u32 i;

	xa_for_each(&m.spaces, asid, space) {
		struct content c = { asid, 0, ++stamp, space->node };

		for (i = 0; i < space->nr_spares; i++)
			content_fill(mmon_frame_data(&m.pool, space->spare[i]),
				     &c);
	}
}

static void check(void)
{
	struct mmon_pages pins[HELD_MAX];
	u32 i, n = 0;

	for (i = 0; i < HELD_MAX; i++)
		if (held[i].used)
			pins[n++] = held[i].pages;
	fixture_check(&m, pins, n);
	fill_spares();
}

/* ---- fetches ------------------------------------------------------------------- */

static void check_owner(u32 node, const struct mmon_pages *pages, u64 *stamps)
{
	struct content c;
	u32 i;

	for (i = 0; i < pages->nr; i++) {
		if (!(pages->found >> i & 1))
			continue;
		SHIM_ASSERT(content_read(page_data(&m, pages, i), &c));
		SHIM_ASSERT(c.node == node);
		if (stamps)
			stamps[i] = c.stamp;
	}
}

static void release(struct held *h)
{
	struct content c;
	u32 i;

	if (!h->used)
		return;
	for (i = 0; i < h->pages.nr; i++) {
		if (!(h->pages.found >> i & 1))
			continue;
		SHIM_ASSERT(content_read(page_data(&m, &h->pages, i), &c));
		SHIM_ASSERT(c.stamp == h->stamp[i]);
	}
	mmon_pages_put(&m, &h->pages);
	h->used = false;
}

static void release_first(void)
{
	u32 i;

	for (i = 0; i < HELD_MAX; i++) {
		if (!held[i].used)
			continue;
		release(&held[i]);
		return;
	}
}

static void fetch(u32 node, u64 asid, bool hold)
{
	u64 addr[MMON_FETCH_MAX], first = page_addr(byte());
	u32 i, nr = 1 + byte() % MMON_FETCH_MAX;
	struct held *h = &held[byte() % HELD_MAX];
	struct mmon_pages pages;

	for (i = 0; i < nr; i++)
		addr[i] = first + i * MMON_PAGE_SIZE;
	if (do_fetch(&m, node, asid, nr, addr, &pages))
		return;
	if (!hold) {
		check_owner(node, &pages, NULL);
		mmon_pages_put(&m, &pages);
		return;
	}
	release(h);
	h->used = true;
	h->pages = pages;
	check_owner(node, &pages, h->stamp);
}

/* ---- changes --------------------------------------------------------------------- */

static void maps(u32 node, u64 asid, u64 seq)
{
	struct mmon_change changes[4];
	u32 i, nr = 1 + byte() % 4;

	for (i = 0; i < nr; i++) {
		u8 kind = byte();
		u64 start = page_addr(byte());
		u64 len = PAGE(1 + byte() % 70), to = page_addr(byte());
		u32 type = kind & 8 ? kind & 7 : 1 + (kind & 3);
		u32 prot = kind >> 4 & 3;

		changes[i] = (struct mmon_change){
			.type = type,
			.prot = type == MMON_MAP || type == MMON_MOVE ? prot : 0,
			.start = start,
			.end = start + len,
			.to = type == MMON_MOVE ? to : 0,
		};
	}
	do_maps(&m, node, asid, seq, nr, changes);
}

static void flush(u32 node, u64 asid, u64 seq)
{
	u64 addr[MMON_FLUSH_MAX], first = page_addr(byte());
	u32 i, nr = 1 + byte() % MMON_FLUSH_MAX;

	for (i = 0; i < nr; i++)
		addr[i] = first + i * MMON_PAGE_SIZE;
	do_flush(&m, node, asid, seq, nr, addr, ++stamp);
}

/* A flush whose pages are not what the checksums say. */
static void corrupt_flush(u32 node, u64 asid, u64 seq)
{
	static u8 payload[2 * MMON_PAGE_SIZE] __aligned(4096);
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page[2];
	} msg = { { asid, seq, 2, 0 }, { { 0, 0, 0 } } };
	struct lite_request req = {
		.node = node, .incarnation = INCARNATION(node),
		.op = MMON_OP_FLUSH, .body = &msg, .body_len = sizeof(msg),
		.payload = payload, .payload_len = sizeof(payload),
	};
	struct content c = { asid, 0, ++stamp, node };
	bool repeat = seq && seq < good_seq(asid);
	struct mmon_pages pages;
	u32 i;

	for (i = 0; i < 2; i++) {
		content_fill(payload + i * MMON_PAGE_SIZE, &c);
		msg.page[i].addr = page_addr(byte());
		msg.page[i].sum = crc32c(~0u, payload + i * MMON_PAGE_SIZE,
					 MMON_PAGE_SIZE);
	}
	payload[(byte() << 8 | byte()) % sizeof(payload)] ^= 1 << (byte() & 7);
	/* A repeat is not looked at any more. */
	SHIM_ASSERT(do_raw(&m, &req, &pages) || repeat);
}

/* Mostly of frames that are spare. */
static void adopt(u32 node, u64 asid, u64 seq)
{
	struct mmon_space *space = xa_load(&m.spaces, asid);
	u32 i, nr = byte() % 5, spares = space ? space->nr_spares : 0;
	u64 addr[4], first = page_addr(byte());
	u32 frame[4], want = byte() % 9;

	for (i = 0; i < nr; i++) {
		u8 which = byte();

		addr[i] = first + i * MMON_PAGE_SIZE;
		frame[i] = which < 250 && spares ?
			   space->spare[which % spares] - m.pool.frame : which;
	}
	do_adopt(&m, node, asid, seq, want, nr, addr, frame);
}

static void clone(u32 node, u64 asid, u64 seq)
{
	u64 child = asid_of(byte()), start = page_addr(byte());
	u8 len = byte();

	do_clone(&m, node, asid, seq, child, start,
		 len == 255 ? MMON_ADDR_MAX : start + PAGE(len));
}

/* ---- replicas ------------------------------------------------------------------------ */

static u32 owner_of(u64 asid)
{
	struct mmon_space *space = xa_load(&m.spaces, asid);

	return space ? space->node : 0;
}

static void feed(u64 asid)
{
	u64 addr[MMON_FLUSH_MAX], first = page_addr(byte());
	u32 i, nr = 1 + byte() % MMON_FLUSH_MAX;

	for (i = 0; i < nr; i++)
		addr[i] = first + i * MMON_PAGE_SIZE;
	do_feed(&m, byte() & 15 ? HOST : NODE_A, asid, nr, addr, owner_of(asid),
		++stamp);
}

/* A call of a seeding: to this host itself, now or when the step ends. */
static void serve_feed(struct lite_call *call)
{
	const struct mmon_feed *msg = call->req;
	static u8 payload[MMON_FLUSH_MAX * MMON_PAGE_SIZE] __aligned(4096);
	struct lite_request req = {
		.node = HOST, .incarnation = INCARNATION(HOST),
		.op = call->op, .body = call->req, .body_len = call->req_len,
		.payload = payload,
		.payload_len = call->nr_payload * MMON_PAGE_SIZE,
	};
	struct mmon_pages pages;
	struct content c;
	u32 i;

	for (i = 0; i < call->nr_payload; i++) {
		const void *page = lite_stub_page(&call->payload[i]);

		memcpy(payload + i * MMON_PAGE_SIZE, page, MMON_PAGE_SIZE);
		SHIM_ASSERT(content_read(page, &c));
		if (c.node != owner_of(msg->asid)) {
			lite_stub_answer(call, -EHOSTDOWN);
			return;
		}
	}
	lite_stub_answer(call, do_raw(&m, &req, &pages));
}

static void seed(u32 node, u64 asid, u64 seq)
{
	struct mmon_seed msg = { asid, seq, asid_of(byte()), page_addr(byte()),
				 HOST, byte() % 3 };
	struct lite_request req = {
		.node = node, .incarnation = INCARNATION(node),
		.op = MMON_OP_SEED, .body = &msg,
		.body_len = byte() & 31 ? sizeof(msg) : 39,
	};

	lite_stub_call_hook = byte() & 7 ? serve_feed : NULL;
	lite_stub_begin(&req);
	while (!lite_stub_reply.count)
		shim_run_work();
}

static void background(u8 how)
{
	if (how & 1)
		mmon_log_maintain(&m.log);
	else
		shim_run_work();
}

static void raw(u32 node)
{
	u8 op = byte(), len = byte(), i;
	u8 *body = malloc(len ? len : 1);
	static u8 payload[4 * MMON_PAGE_SIZE] __aligned(4096);
	struct content c = { 0, 0, ++stamp, node };
	struct lite_request req = {
		.node = node, .incarnation = INCARNATION(node), .op = op,
		.body = body, .body_len = len,
	};
	struct mmon_pages pages;

	for (i = 0; i < len; i++)
		body[i] = byte();
	if (op == MMON_OP_FLUSH) {
		req.payload = payload;
		req.payload_len = byte() % 5 * MMON_PAGE_SIZE;
		for (i = 0; i < 4; i++)
			content_fill(payload + i * MMON_PAGE_SIZE, &c);
	} else {
		req.nr_direct = byte();
	}
	/* What one has may be fed to another's replica, if he wants that. */
	if (op != MMON_OP_FEED && !do_raw(&m, &req, &pages)) {
		check_owner(node, &pages, NULL);
		mmon_pages_put(&m, &pages);
	}
	free(body);
}

/* ---- nobody changes what is another's -------------------------------------------------- */

static struct {
	struct mmon_space *space;
	u64 seq;
	u64 pages;
} before[4];

static struct mmon_space *space_of_other(u32 node, u32 i)
{
	struct mmon_space *space = xa_load(&m.spaces, asid_of(i));

	return space && space->node != node ? space : NULL;
}

static void remember_others(u32 node)
{
	u32 i;

	for (i = 0; i < 4; i++) {
		before[i].space = space_of_other(node, i);
		if (!before[i].space)
			continue;
		before[i].seq = before[i].space->seq;
		before[i].pages = before[i].space->frames +
				  before[i].space->records;
	}
}

static void check_others(u32 node)
{
	u32 i;

	for (i = 0; i < 4; i++) {
		SHIM_ASSERT(space_of_other(node, i) == before[i].space);
		if (!before[i].space)
			continue;
		SHIM_ASSERT(before[i].space->seq == before[i].seq);
		SHIM_ASSERT(before[i].space->frames + before[i].space->records ==
			    before[i].pages);
	}
}

/* ---- the machine --------------------------------------------------------------------- */

static void step(void)
{
	u8 what = byte(), who = byte();
	u32 node = who & 1 ? NODE_B : NODE_A;
	u64 asid = asid_of(who >> 1);
	u64 seq = who & 0x80 ? byte() : good_seq(asid);

	remember_others(node);
	if (who & 0x40)
		shim_fail_at = byte() & 15;
	switch (what % 16) {
	case 0:
	case 1:
		maps(node, asid, seq);
		break;
	case 2:
		flush(node, asid, seq);
		break;
	case 3:
		corrupt_flush(node, asid, seq);
		break;
	case 4:
		fetch(node, asid, false);
		break;
	case 5:
		fetch(node, asid, true);
		break;
	case 6:
		clone(node, asid, seq);
		break;
	case 7:
		raw(node);
		break;
	case 8:
		release_first();
		break;
	case 9:
		adopt(node, asid, seq);
		break;
	case 10:
		do_replica(&m, node, asid, byte() & 15 ? HOST : 0);
		break;
	case 11:
		do_promote(&m, node, asid, seq);
		break;
	case 12:
		if (owner_of(asid) == node)
			feed(asid);
		break;
	case 13:
		seed(node, asid, seq);
		break;
	case 14:
		background(who);
		break;
	default:
		if (who & 0x20)
			mmon_spaces_drop(&m, &node);
		else
			do_exit(&m, node, asid);
		shim_rcu_flush();
	}
	shim_fail_at = -1;
	check();
	check_others(node);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u32 i;

	if (!m.pool.frame) {
		fixture_start_log(&m, CAPACITY, SEGMENTS, &store_memory()->store);
		SHIM_ASSERT(!mmon_background_start(&m));
		SHIM_ASSERT(!mmon_serve_start(&m));
	}
	input = data;
	left = size;
	for (i = 0; left && i < STEPS_MAX; i++)
		step();
	for (i = 0; i < HELD_MAX; i++)
		release(&held[i]);
	mmon_spaces_drop(&m, NULL);
	shim_rcu_flush();
	while (mmon_log_maintain(&m.log))
		;
	check();
	SHIM_ASSERT(!m.log.stats.records && !m.log.nr_stored);
	SHIM_ASSERT(!m.pool.charged && m.pool.nr_free == m.pool.total);
	return 0;
}
