// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check seeding from one monitor to another, as requests to the one and
 * calls of it to the other, and fetches of what the store has, which are answered
 * later as well. Segments are of 8 pages.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "store_memory.h"

#include <cmocka.h>

#define CAPACITY	100
#define SEGMENTS	6
#define P	0x1000ull		/* at this host */
#define R	0x2000ull		/* at the other, its replica */
#define HOST	0x0a0000feu		/* this host */
#define OTHER	0x0a0000fdu

static struct mmon m, other;
static struct memory_store *store;
static struct lite_call *waiting;
static u32 calls;

/* The other host serves the call. */
static int serve(struct lite_call *call)
{
	u8 *payload = aligned_alloc(4096, call->nr_payload * MMON_PAGE_SIZE);
	struct lite_request req = {
		.node = HOST, .incarnation = INCARNATION(HOST), .op = call->op,
		.body = call->req, .body_len = call->req_len,
		.payload = payload,
		.payload_len = call->nr_payload * MMON_PAGE_SIZE,
	};
	struct mmon_pages pages;
	u32 i;
	int err;

	assert_int_equal(call->service, LITE_SVC_MMON);
	assert_int_equal(lite_peer_node(call->peer), OTHER);
	for (i = 0; i < call->nr_payload; i++)
		memcpy(payload + i * MMON_PAGE_SIZE,
		       lite_stub_page(&call->payload[i]), MMON_PAGE_SIZE);
	err = do_raw(&other, &req, &pages);
	free(payload);
	return err;
}

static void answer_now(struct lite_call *call)
{
	calls++;
	lite_stub_answer(call, serve(call));
}

static void answer_later(struct lite_call *call)
{
	calls++;
	waiting = call;
}

static int setup(void **state)
{
	u64 addr[10], i, j;

	(void)state;
	calls = 0;
	waiting = NULL;
	lite_stub_call_hook = answer_now;
	store = store_memory();
	fixture_start_log(&m, CAPACITY, SEGMENTS, &store->store);
	mmon_init(&other);
	assert_int_equal(mmon_log_create(&other.log, 20, NULL), 0);
	assert_int_equal(mmon_pool_create(&other.pool, 10), 0);
	assert_int_equal(mmon_background_start(&m), 0);
	assert_int_equal(mmon_serve_start(&m), 0);
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 999, 0)), 0);
	for (i = 0; i < 4; i++) {
		for (j = 0; j < 10; j++)
			addr[j] = PAGE(20 * i + 2 * j);
		assert_int_equal(do_flush(&m, NODE_A, P, 2 + i, 10, addr, i + 1), 0);
	}
	assert_int_equal(do_replica(&other, NODE_A, R, HOST), 0);
	assert_int_equal(do_map(&other, NODE_A, R, 2, ch(MMON_MAP, RW, 0, 999, 0)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lite_stub_call_hook = NULL;
	lite_stub_release();
	mmon_serve_stop();
	mmon_spaces_drop(&m, NULL);
	mmon_background_stop(&m);
	assert_int_equal(lite_stub_peers, 0);
	shim_rcu_flush();
	fixture_check(&m, NULL, 0);
	mmon_log_destroy(&m.log);
	mmon_spaces_drop(&other, NULL);
	shim_rcu_flush();
	mmon_log_destroy(&other.log);
	mmon_pool_destroy(&other.pool);
	fixture_stop(&m);
	return 0;
}

static struct mmon_seed seed_msg;
static struct lite_request seed_req;

static void begin_seed(u32 node, u64 seq, u64 page)
{
	seed_msg = (struct mmon_seed){ P, seq, R, PAGE(page), OTHER,
				       MMON_CHECKSUM_CRC32C };
	seed_req = (struct lite_request){
		.node = node, .incarnation = INCARNATION(node),
		.op = MMON_OP_SEED, .body = &seed_msg,
		.body_len = sizeof(seed_msg),
	};
	lite_stub_begin(&seed_req);
}

static int seed(u64 seq, u64 page)
{
	begin_seed(NODE_A, seq, page);
	shim_run_work();
	assert_int_equal(lite_stub_reply.count, 1);
	return lite_stub_reply.status;
}

static const struct mmon_seeded *seeded(void)
{
	assert_int_equal(lite_stub_reply.len, sizeof(struct mmon_seeded));
	return (const void *)lite_stub_reply.body;
}

static u64 seq_of(u64 asid)
{
	return ((struct mmon_space *)xa_load(&m.spaces, asid))->seq;
}

static void compare(u32 pages)
{
	u64 a, b;
	u32 i;

	for (i = 0; i < pages; i++) {
		assert_int_equal(do_fetch1(&m, NODE_A, P, PAGE(i), &a),
				 do_fetch1(&other, NODE_A, R, PAGE(i), &b));
		assert_int_equal(a, b);
	}
}

static void seeding_in_steps(void **state)
{
	u64 seq = 6, next = 0, pages = 0;

	(void)state;
	while (next != MMON_ADDR_MAX) {
		assert_int_equal(seed(seq++, next >> MMON_PAGE_SHIFT), 0);
		next = seeded()->next;
		pages += seeded()->pages;
		fixture_check(&m, NULL, 0);
	}
	assert_int_equal(pages, 40);
	assert_int_equal(calls, 3);
	assert_int_equal(seq_of(P), seq - 1);
	compare(100);
	assert_int_equal(counter(&m, "seeds"), 3);
	assert_int_equal(counter(&m, "seed_pages"), 40);
	assert_int_equal(counter(&other, "feed_pages"), 40);
}

static void nothing_to_seed(void **state)
{
	(void)state;
	assert_int_equal(seed(6, 500), 0);
	assert_int_equal(calls, 0);
	assert_int_equal(seeded()->next, MMON_ADDR_MAX);
	assert_int_equal(seeded()->pages, 0);
	assert_int_equal(seq_of(P), 6);
}

static void what_the_replica_has_is_newer(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(do_flush1(&other, NODE_A, R, 3, PAGE(2), 77), 0);
	assert_int_equal(seed(6, 0), 0);
	assert_int_equal(do_fetch1(&other, NODE_A, R, PAGE(2), &stamp), 0);
	assert_int_equal(stamp, 77);
	assert_int_equal(counter(&other, "feed_pages"), 14);
}

static void repeats_are_done_again(void **state)
{
	(void)state;
	assert_int_equal(seed(6, 0), 0);
	assert_int_equal(seed(6, 0), 0);
	assert_int_equal(seeded()->pages, 15);
	assert_int_equal(calls, 2);
	assert_int_equal(seq_of(P), 6);
}

/* A refusal does not use the number up. */
static void refusals(void **state)
{
	(void)state;
	assert_int_equal(seed(7, 0), -EPROTO);
	begin_seed(NODE_B, 6, 0);
	assert_int_equal(lite_stub_reply.status, -EPERM);
	seed_msg.asid = 99;
	seed_req.node = NODE_A;
	seed_req.incarnation = INCARNATION(NODE_A);
	lite_stub_call(&seed_req);
	assert_int_equal(lite_stub_reply.status, -ENOENT);
	assert_int_equal(calls, 0);
	assert_int_equal(do_promote(&other, NODE_A, R, 3), 0);
	assert_int_equal(seed(6, 0), 0);	/* as well as before it was promoted */
	assert_int_equal(do_exit(&other, NODE_A, R), 0);
	/* What is wrong there must not pass for something that is wrong here. */
	assert_int_equal(seed(7, 0), -EREMOTEIO);
	lite_stub_call_hook = NULL;
	assert_int_equal(seed(7, 0), -EREMOTEIO);
	assert_int_equal(seq_of(P), 6);
	assert_int_equal(counter(&m, "seeds"), 1);
	assert_int_equal(counter(&m, "refused"), 5);
}

static void malformed(void **state)
{
	const struct mmon_seed good = { P, 6, R, 0, OTHER, 0 };
	struct mmon_seed bad[6];
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].seq = 0;
	bad[1].start = 5;
	bad[2].start = MMON_ADDR_MAX;
	bad[3].checksum = MMON_NR_CHECKSUMS;
	bad[4].node = 0;
	begin_seed(NODE_A, 0, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		seed_msg = bad[i];
		seed_req.body_len = i == 5 ? 39 : 40;
		lite_stub_call(&seed_req);
		assert_int_equal(lite_stub_reply.status, -EBADMSG);
	}
}

static void nobody_waits_for_the_other_host(void **state)
{
	u32 free;

	(void)state;
	lite_stub_call_hook = answer_later;
	free = m.pool.nr_free;
	begin_seed(NODE_A, 6, 0);
	assert_int_equal(lite_stub_reply.count, 0);
	assert_int_equal(do_map(&m, NODE_A, P, 6, ch(MMON_DISCARD, 0, 0, 999, 0)), 0);
	assert_int_equal(m.pool.nr_free, free + 25);	/* the others are read */
	lite_stub_answer(waiting, serve(waiting));
	assert_int_equal(lite_stub_reply.count, 0);
	shim_run_work();
	assert_int_equal(lite_stub_reply.count, 1);
	assert_int_equal(lite_stub_reply.status, 0);
	assert_int_equal(m.pool.nr_free, free + 40);
	assert_int_equal(seq_of(P), 6);
}

static void the_space_ends_meanwhile(void **state)
{
	(void)state;
	lite_stub_call_hook = answer_later;
	begin_seed(NODE_A, 6, 0);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	lite_stub_answer(waiting, 0);
	shim_run_work();
	assert_int_equal(lite_stub_reply.status, -ENOENT);
	assert_int_equal(m.pool.nr_free, m.pool.total);
}

static void each_allocation_fails(void **state)
{
	long at;
	int err;

	(void)state;
	for (at = 0;; at++) {
		shim_failed = false;
		shim_fail_at = at;
		begin_seed(NODE_A, 6, 0);
		shim_run_work();
		shim_fail_at = -1;
		err = lite_stub_reply.status;
		if (!shim_failed)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(seq_of(P), 5);
		fixture_check(&m, NULL, 0);
	}
	assert_int_equal(err, 0);
	assert_true(at >= 2);
}

/* ---- the store --------------------------------------------------------------------------- */

/* Replica R of this host, so large that the store has a part of it. */
static void fill_store(void)
{
	u64 addr[8], i, j;

	assert_int_equal(do_replica(&m, NODE_A, R, 0), 0);
	assert_int_equal(do_map(&m, NODE_A, R, 2, ch(MMON_MAP, RW, 0, 999, 0)), 0);
	for (i = 0; i < 8; i++) {
		for (j = 0; j < 8; j++)
			addr[j] = PAGE(8 * i + j);
		assert_int_equal(do_flush(&m, NODE_A, R, 3 + i, 8, addr, 1 + i), 0);
		shim_run_work();
	}
	assert_true(store->nr >= 3);
}

static void fetch(u32 nr, u64 page)
{
	static struct {
		struct mmon_fetch head;
		__le64 addr[MMON_FETCH_MAX];
	} msg;
	static struct lite_request req;
	u32 i;

	msg.head = (struct mmon_fetch){ R, nr, 0 };
	for (i = 0; i < nr; i++)
		msg.addr[i] = PAGE(page + i);
	req = (struct lite_request){
		.node = NODE_A, .incarnation = INCARNATION(NODE_A),
		.op = MMON_OP_FETCH, .body = &msg, .nr_direct = nr,
		.body_len = sizeof(msg.head) + nr * sizeof(msg.addr[0]),
	};
	lite_stub_begin(&req);
}

static void expect_pages(u32 nr, u64 page)
{
	struct content c;
	u32 i;

	assert_int_equal(lite_stub_reply.status, 0);
	assert_int_equal(lite_stub_reply.nr, nr);
	for (i = 0; i < nr; i++) {
		assert_true(content_read(lite_stub_page(&lite_stub_reply.src[i]), &c));
		assert_int_equal(c.addr, PAGE(page + i));
	}
}

static void fetches_from_the_store(void **state)
{
	(void)state;
	fill_store();
	fetch(1, 3);
	assert_int_equal(lite_stub_reply.count, 0);
	shim_run_work();
	expect_pages(1, 3);
	assert_int_equal(lite_stub_reply.len, 0);
	assert_int_equal(m.log.bounces, 1);
	fetch(16, 0);
	assert_int_equal(m.log.bounces, 0);	/* the former one was sent */
	shim_run_work();
	expect_pages(16, 0);
	assert_int_equal(*(u32 *)lite_stub_reply.body, 0xffff);
	lite_stub_release();
	fetch(1, 63);				/* this is in memory */
	assert_int_equal(lite_stub_reply.count, 1);
	expect_pages(1, 63);
	fetch(16, 16);
	shim_run_work();
	expect_pages(16, 16);
}

static void store_fails(void **state)
{
	(void)state;
	fill_store();
	store->fail_reads = -EIO;
	fetch(1, 3);
	shim_run_work();
	assert_int_equal(lite_stub_reply.status, -EIO);
	assert_int_equal(counter(&m, "refused_store"), 1);
	fixture_check(&m, NULL, 0);
	store->fail_reads = 0;
	fetch(1, 3);
	shim_fail_at = 0;
	shim_run_work();
	shim_fail_at = -1;
	assert_int_equal(lite_stub_reply.status, -ENOMEM);
}

/* The space ends before the store was read: what was found is still sent. */
static void store_is_read_later(void **state)
{
	(void)state;
	fill_store();
	fetch(1, 3);
	assert_int_equal(do_exit(&m, NODE_A, R), 0);
	shim_run_work();
	expect_pages(1, 3);
	lite_stub_release();
	shim_run_work();
	assert_int_equal(store->nr, 0);
}

static void seeding_of_what_is_not_rebuilt(void **state)
{
	u64 stamp, i;

	(void)state;
	fill_store();
	assert_int_equal(do_promote(&m, NODE_A, R, 11), 0);
	m.pool.charged += CAPACITY - 40;	/* no frames for a rebuild */
	shim_run_work();
	for (i = 0; i < 64; i += 15) {
		seed_msg = (struct mmon_seed){ R, 12 + i / 15, R, PAGE(i), OTHER,
					       MMON_CHECKSUM_XXH64 };
		seed_req = (struct lite_request){
			.node = NODE_A, .incarnation = INCARNATION(NODE_A),
			.op = MMON_OP_SEED, .body = &seed_msg,
			.body_len = sizeof(seed_msg),
		};
		lite_stub_begin(&seed_req);
		shim_run_work();
		assert_int_equal(lite_stub_reply.count, 1);
		assert_int_equal(lite_stub_reply.status, 0);
	}
	assert_true(counter(&m, "log_loads") > 0);
	assert_int_equal(m.log.bounces, 0);
	m.pool.charged -= CAPACITY - 40;
	for (i = 0; i < 64; i++) {
		assert_int_equal(do_fetch1(&other, NODE_A, R, PAGE(i), &stamp), 0);
		assert_int_equal(stamp, 1 + i / 8);
	}
	for (i = 0; i < 10; i++)
		shim_run_work();
	assert_int_equal(counter(&m, "log_records"), 4);	/* 60 frames were left */
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(seeding_in_steps),
		TEST(nothing_to_seed),
		TEST(what_the_replica_has_is_newer),
		TEST(repeats_are_done_again),
		TEST(refusals),
		TEST(malformed),
		TEST(nobody_waits_for_the_other_host),
		TEST(the_space_ends_meanwhile),
		TEST(each_allocation_fails),
		TEST(fetches_from_the_store),
		TEST(store_fails),
		TEST(store_is_read_later),
		TEST(seeding_of_what_is_not_rebuilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
