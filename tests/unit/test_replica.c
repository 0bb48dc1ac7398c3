// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check replicas: each request to one, what is refused, that all or
 * nothing holds when memory or room is lacking, what a promotion does at once and in
 * the background, and feeding.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	60
#define SEGMENTS	6
#define R	0x1000ull
#define C	0x2000ull
#define N	0x3000ull
#define P	0x4000ull
#define HOST	0x0a0000feu	/* that has the primary */

static struct mmon m;

/* Replica R of NODE_A: pages 0..99 rw; 0, 2 ... 28 stored, with stamp 7. */
static int setup(void **state)
{
	u64 addr[MMON_FLUSH_MAX], i;

	(void)state;
	for (i = 0; i < MMON_FLUSH_MAX; i++)
		addr[i] = PAGE(2 * i);
	fixture_start_log(&m, CAPACITY, SEGMENTS, NULL);
	assert_int_equal(do_replica(&m, NODE_A, R, HOST), 0);
	assert_int_equal(do_map(&m, NODE_A, R, 2, ch(MMON_MAP, RW, 0, 99, 0)), 0);
	assert_int_equal(do_flush(&m, NODE_A, R, 3, MMON_FLUSH_MAX, addr, 7), 0);
	fixture_check(&m, NULL, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shim_fail_at = -1;
	fixture_check(&m, NULL, 0);
	fixture_stop(&m);
	return 0;
}

static void expect_stamp(u64 asid, u64 page, u64 stamp)
{
	u64 is;

	assert_int_equal(do_fetch1(&m, NODE_A, asid, PAGE(page), &is),
			 stamp ? 0 : -ENOENT);
	assert_int_equal(is, stamp);
}

static u64 seq_of(u64 asid)
{
	struct mmon_space *space = xa_load(&m.spaces, asid);

	return space ? space->seq : 0;
}

static void rebuild_all(void)
{
	while (mmon_rebuild(&m) == 1)
		fixture_check(&m, NULL, 0);
}

/* ---- requests --------------------------------------------------------------------- */

static void pages_are_in_the_log(void **state)
{
	(void)state;
	assert_int_equal(counter(&m, "frames_free"), CAPACITY);
	assert_int_equal(counter(&m, "log_records"), 15);
	assert_int_equal(counter(&m, "log_appends"), 15);
	assert_int_equal(counter(&m, "replicas"), 1);
	assert_int_equal(flush_place(0).rkey, 0);
	expect_stamp(R, 4, 7);
	expect_stamp(R, 5, 0);
}

static void creation_repeats(void **state)
{
	(void)state;
	assert_int_equal(do_replica(&m, NODE_A, R, HOST), 0);
	assert_int_equal(counter(&m, "repeats"), 1);
	assert_int_equal(do_replica(&m, NODE_B, R, HOST), -EPERM);
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 9, 0)), 0);
	assert_int_equal(do_replica(&m, NODE_A, P, HOST), -EPROTO);
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	assert_int_equal(do_replica(&m, NODE_A, R, HOST), 0);
}

static void an_empty_one_has_no_vmas(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(do_replica(&m, NODE_A, N, 0), 0);
	assert_int_equal(seq_of(N), 1);
	assert_int_equal(do_fetch1(&m, NODE_A, N, PAGE(1), &stamp), -EFAULT);
	assert_int_equal(do_flush1(&m, NODE_A, N, 2, PAGE(1), 1), -EFAULT);
	assert_int_equal(do_exit(&m, NODE_A, N), 0);
	assert_int_equal(counter(&m, "replicas"), 1);
}

static void flush_replaces(void **state)
{
	(void)state;
	assert_int_equal(do_flush1(&m, NODE_A, R, 4, PAGE(4), 8), 0);
	expect_stamp(R, 4, 8);
	assert_int_equal(counter(&m, "log_records"), 15);
	assert_int_equal(do_flush1(&m, NODE_A, R, 4, PAGE(4), 9), 0);	/* repeat */
	expect_stamp(R, 4, 8);
	assert_int_equal(do_flush1(&m, NODE_A, R, 6, PAGE(4), 9), -EPROTO);
	assert_int_equal(do_flush1(&m, NODE_B, R, 5, PAGE(4), 9), -EPERM);
	assert_int_equal(do_flush1(&m, NODE_A, R, 5, PAGE(100), 9), -EFAULT);
	assert_int_equal(seq_of(R), 4);
}

static void a_bad_checksum_changes_nothing(void **state)
{
	static u8 payload[2 * MMON_PAGE_SIZE] __aligned(4096);
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page[2];
	} msg = { { R, 4, 2, 0 }, { { PAGE(4), 0, 0 }, { PAGE(5), 1, 0 } } };
	struct lite_request req = {
		.node = NODE_A, .incarnation = INCARNATION(NODE_A),
		.op = MMON_OP_FLUSH, .body = &msg, .body_len = sizeof(msg),
		.payload = payload, .payload_len = sizeof(payload),
	};
	struct mmon_pages pages;

	(void)state;
	msg.page[0].sum = crc32c(~0u, payload, MMON_PAGE_SIZE);
	assert_int_equal(do_raw(&m, &req, &pages), -EILSEQ);
	assert_int_equal(counter(&m, "log_records"), 15);
	assert_int_equal(seq_of(R), 3);
	expect_stamp(R, 4, 7);
	expect_stamp(R, 5, 0);
}

static void maps_handle_records(void **state)
{
	const struct mmon_change changes[] = {
		ch(MMON_UNMAP, 0, 0, 3, 0),		/* 0, 2 */
		ch(MMON_DISCARD, 0, 4, 7, 0),		/* 4, 6 */
		ch(MMON_MOVE, RW, 8, 11, 200),		/* 8, 10 */
		ch(MMON_MOVE, RW, 200, 203, 300),
		ch(MMON_MOVE, RW, 12, 13, 14),		/* 12, over 14 */
	};
	u64 stamp;

	(void)state;
	assert_int_equal(do_maps(&m, NODE_A, R, 4, ARRAY_SIZE(changes), changes), 0);
	assert_int_equal(do_fetch1(&m, NODE_A, R, PAGE(2), &stamp), -EFAULT);
	expect_stamp(R, 4, 0);
	expect_stamp(R, 8, 0);
	expect_stamp(R, 200, 0);
	expect_stamp(R, 302, 7);
	expect_stamp(R, 14, 7);
	assert_int_equal(counter(&m, "log_records"), 10);
}

static void clones_share_records(void **state)
{
	(void)state;
	assert_int_equal(do_clone(&m, NODE_A, R, 4, C, 0, PAGE(50)), 0);
	assert_int_equal(counter(&m, "replicas"), 2);
	assert_int_equal(counter(&m, "log_records"), 15);
	assert_int_equal(do_flush1(&m, NODE_A, R, 5, PAGE(4), 8), 0);
	assert_int_equal(do_flush1(&m, NODE_A, C, 1, PAGE(6), 9), 0);
	expect_stamp(C, 4, 7);
	expect_stamp(C, 6, 9);
	expect_stamp(R, 6, 7);
	assert_int_equal(do_exit(&m, NODE_A, R), 0);
	expect_stamp(C, 8, 7);
	assert_int_equal(counter(&m, "log_records"), 15);
	assert_int_equal(do_exit(&m, NODE_A, C), 0);
	assert_int_equal(counter(&m, "log_records"), 0);
}

static void nodes_take_replicas_along(void **state)
{
	u32 node = NODE_A;

	(void)state;
	assert_int_equal(mmon_spaces_drop(&m, &node), 1);
	assert_int_equal(counter(&m, "log_records"), 0);
	assert_int_equal(counter(&m, "replicas"), 0);
}

static void adoption_is_refused(void **state)
{
	(void)state;
	assert_int_equal(do_adopt(&m, NODE_A, R, 4, 8, 0, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(do_adopt(&m, NODE_A, R, 3, 8, 0, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(do_adopt(&m, NODE_B, R, 4, 8, 0, NULL, NULL), -EPERM);
	assert_int_equal(seq_of(R), 3);
}

static void malformed(void **state)
{
	static const u64 replica[][3] = { { N, 0, HOST }, { N, 2, HOST },
					  { N, 1, HOST | 1ull << 32 } };
	struct lite_request req = {
		.node = NODE_A, .incarnation = INCARNATION(NODE_A),
		.op = MMON_OP_REPLICA, .body_len = 24,
	};
	u64 promote[3] = { R, 0, 0 };
	struct mmon_pages pages;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(replica); i++) {
		req.body = replica[i];
		assert_int_equal(do_raw(&m, &req, &pages), -EBADMSG);
	}
	req.body_len = 16;
	assert_int_equal(do_raw(&m, &req, &pages), -EBADMSG);
	req.op = MMON_OP_PROMOTE;
	req.body = promote;
	assert_int_equal(do_raw(&m, &req, &pages), -EBADMSG);
	promote[1] = 4;
	req.body_len = 24;
	assert_int_equal(do_raw(&m, &req, &pages), -EBADMSG);
}

static void hosts_without_a_log_take_none(void **state)
{
	(void)state;
	fixture_stop(&m);
	fixture_start(&m, CAPACITY);
	assert_int_equal(do_replica(&m, NODE_A, R, HOST), -EOPNOTSUPP);
	assert_int_equal(counter(&m, "spaces"), 0);
}

/* ---- promotion ------------------------------------------------------------------------ */

static void promotion_is_at_once(void **state)
{
	(void)state;
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	assert_int_equal(counter(&m, "replicas"), 0);
	assert_int_equal(counter(&m, "promotes"), 1);
	expect_stamp(R, 4, 7);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY);
	/* What is stored now goes to a frame, and is not rebuilt. */
	assert_int_equal(do_flush1(&m, NODE_A, R, 5, PAGE(4), 8), 0);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 1);
	assert_int_equal(do_map(&m, NODE_A, R, 6, ch(MMON_DISCARD, 0, 6, 6, 0)), 0);
	assert_int_equal(counter(&m, "log_records"), 13);
	rebuild_all();
	assert_int_equal(counter(&m, "rebuilt_pages"), 13);
	assert_int_equal(counter(&m, "log_records"), 0);
	expect_stamp(R, 4, 8);
	expect_stamp(R, 6, 0);
	expect_stamp(R, 8, 7);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 14);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS - 1);
}

static void promotion_repeats(void **state)
{
	(void)state;
	assert_int_equal(do_promote(&m, NODE_A, R, 5), -EPROTO);
	assert_int_equal(do_promote(&m, NODE_B, R, 4), -EPERM);
	assert_int_equal(do_promote(&m, NODE_A, N, 1), -ENOENT);
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	assert_int_equal(counter(&m, "repeats"), 1);
	assert_int_equal(do_promote(&m, NODE_A, R, 5), 0);	/* ordinary already */
	assert_int_equal(seq_of(R), 5);
}

static void rebuild_waits_for_frames(void **state)
{
	u64 addr[MMON_FLUSH_MAX], i, j;

	(void)state;
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 99, 0)), 0);
	for (i = 0; i < 50; i += 10) {
		for (j = 0; j < 10; j++)
			addr[j] = PAGE(i + j);
		assert_int_equal(do_flush(&m, NODE_A, P, 2 + i / 10, 10, addr, 1), 0);
	}
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	while (mmon_rebuild(&m) == 1)
		;
	assert_int_equal(mmon_rebuild(&m), -ENOSPC);
	assert_int_equal(counter(&m, "frames_free"), 0);
	assert_int_equal(counter(&m, "log_records"), 5);
	for (i = 0; i < MMON_FLUSH_MAX; i++)
		expect_stamp(R, 2 * i, 7);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	rebuild_all();
	assert_int_equal(counter(&m, "log_records"), 0);
	for (i = 0; i < MMON_FLUSH_MAX; i++)
		expect_stamp(R, 2 * i, 7);
}

static void children_are_rebuilt(void **state)
{
	(void)state;
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	assert_int_equal(do_clone(&m, NODE_A, R, 5, C, 0, PAGE(50)), 0);
	assert_int_equal(counter(&m, "replicas"), 0);
	expect_stamp(C, 4, 7);
	rebuild_all();
	assert_int_equal(counter(&m, "log_records"), 0);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 30);
	expect_stamp(C, 4, 7);
}

/* A move behind the rebuild's back carries records to where it has been. */
static void moved_records_are_rebuilt(void **state)
{
	struct mmon_space *space = xa_load(&m.spaces, R);

	(void)state;
	assert_int_equal(do_map(&m, NODE_A, R, 4, ch(MMON_MOVE, RW, 0, 30, 60)), 0);
	assert_int_equal(do_promote(&m, NODE_A, R, 5), 0);
	assert_int_equal(do_flush1(&m, NODE_A, R, 6, PAGE(1), 8), 0);
	space->rebuild_next = 64;
	assert_int_equal(do_map(&m, NODE_A, R, 7, ch(MMON_MOVE, RW, 70, 72, 10)), 0);
	rebuild_all();
	assert_int_equal(counter(&m, "log_records"), 0);
	expect_stamp(R, 10, 7);
}

/* ---- feeding --------------------------------------------------------------------------- */

static void feeding(void **state)
{
	const u64 addr[] = { PAGE(3), PAGE(4), PAGE(5) };

	(void)state;
	assert_int_equal(do_feed(&m, HOST, R, 3, addr, NODE_A, 99), 0);
	expect_stamp(R, 3, 99);
	expect_stamp(R, 4, 7);			/* left alone */
	expect_stamp(R, 5, 99);
	assert_int_equal(counter(&m, "feeds"), 1);
	assert_int_equal(counter(&m, "feed_pages"), 2);
	assert_int_equal(do_feed(&m, HOST, R, 3, addr, NODE_A, 100), 0);
	expect_stamp(R, 3, 99);
	assert_int_equal(counter(&m, "feed_pages"), 2);
	assert_int_equal(seq_of(R), 3);		/* not numbered */
}

static void feeding_is_for_the_feeder(void **state)
{
	const u64 addr[] = { PAGE(3), PAGE(200) };

	(void)state;
	assert_int_equal(do_feed(&m, NODE_A, R, 1, addr, NODE_A, 99), -EPERM);
	/* The feeder was asked to by another host than the replica's. */
	assert_int_equal(do_feed(&m, HOST, R, 1, addr, NODE_B, 99), -EPERM);
	assert_int_equal(do_feed(&m, HOST, N, 1, addr, NODE_A, 99), -ENOENT);
	assert_int_equal(do_feed(&m, HOST, R, 2, addr, NODE_A, 99), -EFAULT);
	expect_stamp(R, 3, 0);
	assert_int_equal(do_clone(&m, NODE_A, R, 4, C, 0, PAGE(50)), 0);
	assert_int_equal(do_feed(&m, HOST, C, 1, addr, NODE_A, 99), 0);
	assert_int_equal(do_replica(&m, NODE_A, N, 0), 0);
	assert_int_equal(do_feed(&m, 0, N, 1, addr, NODE_A, 99), -EPERM);
	assert_int_equal(do_promote(&m, NODE_A, R, 5), 0);
	/* One that is to take its primary's place is promoted first and fed then. */
	assert_int_equal(do_feed(&m, HOST, R, 1, addr, NODE_A, 99), 0);
	expect_stamp(R, 3, 99);
}

/* What the vma permits now does not matter: it was stored before. */
static void feeding_of_a_read_only_vma(void **state)
{
	const u64 addr[] = { PAGE(3) };

	(void)state;
	assert_int_equal(do_map(&m, NODE_A, R, 4, ch(MMON_MAP, MMON_PROT_READ,
						     0, 99, 0)), 0);
	assert_int_equal(do_flush1(&m, NODE_A, R, 5, PAGE(3), 9), -EACCES);
	assert_int_equal(do_feed(&m, HOST, R, 1, addr, NODE_A, 99), 0);
	expect_stamp(R, 3, 99);
}

/* ---- all or nothing ---------------------------------------------------------------------- */

struct picture {
	bool exists;
	u64 seq, frames, records;
	enum mmon_kind kind;
	u32 vmas;
	struct mmon_vma vma[16];
	void *entry[256];
};

static void picture(u64 asid, struct picture *p)
{
	struct mmon_space *space = xa_load(&m.spaces, asid);
	u32 i;

	memset(p, 0, sizeof(*p));
	if (!space)
		return;
	p->exists = true;
	p->seq = space->seq;
	p->frames = space->frames;
	p->records = space->records;
	p->kind = space->kind;
	p->vmas = space->vmas->nr;
	memcpy(p->vma, space->vmas->vma, p->vmas * sizeof(p->vma[0]));
	for (i = 0; i < ARRAY_SIZE(p->entry); i++)
		p->entry[i] = xa_load(&space->pages, i);
}

static void take_pictures(struct picture *p)
{
	picture(R, &p[0]);
	picture(C, &p[1]);
	picture(N, &p[2]);
}

static int req_create(void)
{
	return do_replica(&m, NODE_A, N, HOST);
}

static int req_flush(void)
{
	u64 addr[MMON_FLUSH_MAX], i;

	for (i = 0; i < MMON_FLUSH_MAX; i++)
		addr[i] = PAGE(3 * i);
	return do_flush(&m, NODE_A, R, 4, MMON_FLUSH_MAX, addr, 9);
}

static int req_feed(void)
{
	u64 addr[10], i;

	for (i = 0; i < 10; i++)
		addr[i] = PAGE(3 * i);
	return do_feed(&m, HOST, R, 10, addr, NODE_A, 9);
}

static int req_moves(void)
{
	const struct mmon_change changes[] = {
		ch(MMON_UNMAP, 0, 0, 3, 0),
		ch(MMON_MOVE, RW, 0, 20, 100),
		ch(MMON_MOVE, RW, 100, 110, 150),
	};

	return do_maps(&m, NODE_A, R, 4, ARRAY_SIZE(changes), changes);
}

static int req_clone(void)
{
	return do_clone(&m, NODE_A, R, 4, N, 0, PAGE(50));
}

static void each_allocation_fails(int (*request)(void), long sites)
{
	static struct picture before[3], after[3];
	u64 records;
	long at;
	int err;

	for (at = 0;; at++) {
		take_pictures(before);
		records = counter(&m, "log_records");
		shim_failed = false;
		shim_fail_at = at;
		err = request();
		shim_fail_at = -1;
		fixture_check(&m, NULL, 0);
		if (!shim_failed)
			break;
		assert_int_equal(err, -ENOMEM);
		take_pictures(after);
		assert_memory_equal(before, after, sizeof(before));
		assert_int_equal(counter(&m, "log_records"), records);
	}
	assert_int_equal(err, 0);
	if (at != sites)
		fail_msg("%ld allocations, not %ld: is each one tested?", at,
			 sites);
}

#define CASE(name, sites)						\
static void name##_fails_cleanly(void **state)				\
{									\
	(void)state;							\
	each_allocation_fails(req_##name, sites);			\
}

CASE(create, 3)			/* space, vmas, slot in the table */
CASE(flush, 15 + 10)		/* records, slots of pages that are new */
CASE(feed, 5 + 5)		/* the same, but for those that are there */
CASE(moves, 1 + 11 + 6)		/* vmas, slots at the targets */
CASE(clone, 2 + 15 + 1)		/* space, vmas, slots, slot in the table */

static void promotion_needs_no_memory(void **state)
{
	(void)state;
	shim_fail_at = 0;
	assert_int_equal(do_promote(&m, NODE_A, R, 4), 0);
	rebuild_all();
	assert_int_equal(counter(&m, "log_records"), 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_are_in_the_log),
		TEST(creation_repeats),
		TEST(an_empty_one_has_no_vmas),
		TEST(flush_replaces),
		TEST(a_bad_checksum_changes_nothing),
		TEST(maps_handle_records),
		TEST(clones_share_records),
		TEST(nodes_take_replicas_along),
		TEST(adoption_is_refused),
		TEST(malformed),
		TEST(hosts_without_a_log_take_none),
		TEST(promotion_is_at_once),
		TEST(promotion_repeats),
		TEST(rebuild_waits_for_frames),
		TEST(children_are_rebuilt),
		TEST(moved_records_are_rebuilt),
		TEST(feeding),
		TEST(feeding_is_for_the_feeder),
		TEST(feeding_of_a_read_only_vma),
		TEST(create_fails_cleanly),
		TEST(flush_fails_cleanly),
		TEST(feed_fails_cleanly),
		TEST(moves_fails_cleanly),
		TEST(clone_fails_cleanly),
		TEST(promotion_needs_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
