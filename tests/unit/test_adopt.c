// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check who gets spare frames and how many, what adopting one does
 * to a page, what is refused, and where spare frames go when a chunk is revoked or
 * the space ends. Chunks have their real size.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CHUNKS		4
#define CAPACITY	(CHUNKS * MMON_CHUNK_FRAMES - MMON_RESERVE)
#define A	0x1000ull
#define B	0x2000ull

static struct mmon m;
static u64 seq[3];

static int setup(void **state)
{
	u64 asid;

	(void)state;
	fixture_start(&m, CAPACITY);
	for (asid = A; asid <= B; asid += A) {
		seq[asid >> 12] = 1;
		assert_int_equal(do_map(&m, NODE_A, asid, 1,
					ch(MMON_MAP, RW, 0, 9999, 0)), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&m);
	return 0;
}

static void store(u64 asid, u64 first, u32 nr)
{
	u64 addr[MMON_FLUSH_MAX];
	u32 i, n;

	for (; nr; nr -= n, first += n) {
		n = min(nr, (u32)MMON_FLUSH_MAX);
		for (i = 0; i < n; i++)
			addr[i] = PAGE(first + i);
		assert_int_equal(do_flush(&m, NODE_A, asid, ++seq[asid >> 12], n,
					  addr, 1), 0);
	}
	fixture_check(&m, NULL, 0);
}

static int adopt(u64 asid, u32 want, u32 nr, const u64 *addr, const u32 *frame)
{
	int err = do_adopt(&m, NODE_A, asid, seq[asid >> 12] + 1, want, nr, addr,
			   frame);

	seq[asid >> 12] += !err;
	fixture_check(&m, NULL, 0);
	return err;
}

/* A is large, and has @nr spare frames. */
static void with_spares(u32 nr)
{
	store(A, 0, MMON_CLAIM_FRAMES);
	assert_int_equal(adopt(A, nr, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), nr);
}

static void fill(struct place place, u64 stamp)
{
	struct content c = { A, 0, stamp, NODE_A };
	void *data = lite_stub_reach(place.rkey, place.addr);

	assert_non_null(data);
	content_fill(data, &c);
}

static u64 stamp_at(u64 asid, u64 page)
{
	u64 stamp;

	assert_int_equal(do_fetch1(&m, NODE_A, asid, PAGE(page), &stamp), 0);
	return stamp;
}

/* ---- who gets any --------------------------------------------------------------- */

static void small_space_gets_none(void **state)
{
	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES - 1);
	assert_int_equal(adopt(A, 8, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), 0);
	assert_int_equal(counter(&m, "chunks_granted"), 0);
}

static void as_many_as_wanted(void **state)
{
	u32 i;

	(void)state;
	with_spares(5);
	/* Not in use, and not another's: in order, side by side. */
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - MMON_CLAIM_FRAMES);
	for (i = 1; i < 5; i++)
		assert_int_equal(spare_place(i).frame, spare_place(0).frame + i);
	/* More are added to those; fewer are not taken away. */
	assert_int_equal(adopt(A, MMON_SPARES_MAX, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), MMON_SPARES_MAX);
	assert_int_equal(adopt(A, 1, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), MMON_SPARES_MAX);
}

static void none_when_frames_are_scarce(void **state)
{
	u32 left = CAPACITY / 8, large = MMON_CLAIM_FRAMES + 3 * MMON_CHUNK_FRAMES - 8;

	(void)state;
	/* Eight of its own are free. */
	store(A, 0, large);
	store(B, 0, CAPACITY - left - 3 - large);
	assert_int_equal(adopt(A, 8, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), 3);
	store(A, 5000, 1);
	assert_int_equal(adopt(A, 8, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), 3);
	/* What is left can be stored, and no more: spares are charged. */
	store(A, 6000, left - 1);
	assert_int_equal(do_flush1(&m, NODE_A, B, seq[2] + 1, PAGE(9000), 1), -ENOSPC);
}

/* ---- adoption -------------------------------------------------------------------- */

static void adopted_page_is_stored(void **state)
{
	u64 addr[2] = { PAGE(500), PAGE(3) };
	struct place place[2];
	u32 frame[2], used;

	(void)state;
	with_spares(4);
	/* Not in their order, and one in the place of a page that is stored. */
	place[0] = spare_place(2);
	place[1] = spare_place(0);
	frame[0] = place[0].frame;
	frame[1] = place[1].frame;
	fill(place[0], 70);
	fill(place[1], 71);
	used = CAPACITY - counter(&m, "frames_free");
	assert_int_equal(adopt(A, 4, 2, addr, frame), 0);
	assert_int_equal(spares_listed(), 4);
	assert_int_equal(stamp_at(A, 500), 70);
	assert_int_equal(stamp_at(A, 3), 71);
	assert_int_equal(CAPACITY - counter(&m, "frames_free"), used + 1);
	assert_int_equal(counter(&m, "adopt_pages"), 2);
	/* From now on it is written in place. */
	fill(place[1], 72);
	assert_int_equal(stamp_at(A, 3), 72);
	/* No longer spare. */
	assert_int_equal(adopt(A, 4, 1, addr, frame), -EINVAL);
}

static void all_or_nothing(void **state)
{
	u64 addr[2] = { PAGE(500), PAGE(501) }, outside[2] = { PAGE(500), PAGE(20000) };
	struct place place;
	u32 frame[2];
	u64 stamp;

	(void)state;
	with_spares(4);
	place = spare_place(1);
	fill(place, 70);
	frame[0] = place.frame;
	frame[1] = place.frame;
	assert_int_equal(adopt(A, 4, 2, addr, frame), -EINVAL);
	frame[1] = spare_place(0).frame;
	assert_int_equal(adopt(A, 4, 2, outside, frame), -EFAULT);
	/* A frame that is A's, but in its page map; one of nobody; B asks. */
	assert_int_equal(do_flush1(&m, NODE_A, A, ++seq[1], PAGE(600), 1), 0);
	frame[1] = flush_place(0).frame;
	assert_int_equal(adopt(A, 4, 2, addr, frame), -EINVAL);
	frame[1] = CAPACITY + MMON_RESERVE - 1;
	assert_int_equal(adopt(A, 4, 2, addr, frame), -EINVAL);
	assert_int_equal(adopt(B, 4, 1, addr, frame), -EINVAL);
	assert_int_equal(do_fetch1(&m, NODE_A, A, addr[0], &stamp), -ENOENT);
	assert_int_equal(adopt(A, 4, 1, addr, frame), 0);
	assert_int_equal(stamp_at(A, 500), 70);
}

static void repeat_is_answered(void **state)
{
	u64 addr = PAGE(500);
	u32 frame, i, listed[4];

	(void)state;
	with_spares(4);
	frame = spare_place(0).frame;
	fill(spare_place(0), 70);
	assert_int_equal(adopt(A, 4, 1, &addr, &frame), 0);
	for (i = 0; i < 4; i++)
		listed[i] = spare_place(i).frame;
	assert_int_equal(do_adopt(&m, NODE_A, A, seq[1], 64, 1, &addr, &frame), 0);
	assert_int_equal(spares_listed(), 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(spare_place(i).frame, listed[i]);
	assert_int_equal(counter(&m, "adopt_pages"), 1);
}

static void each_allocation_fails(void **state)
{
	u64 addr[3] = { PAGE(500), PAGE(5000), PAGE(3) }, stamp;
	u32 frame[3], i;
	long at;
	int err;

	(void)state;
	with_spares(4);
	for (i = 0; i < 3; i++) {
		frame[i] = spare_place(i).frame;
		fill(spare_place(i), 70 + i);
	}
	for (at = 0;; at++) {
		shim_failed = false;
		shim_fail_at = at;
		err = adopt(A, 4, 3, addr, frame);
		shim_fail_at = -1;
		if (!shim_failed)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(do_fetch1(&m, NODE_A, A, PAGE(500), &stamp), -ENOENT);
		assert_int_not_equal(stamp_at(A, 3), 72);
	}
	assert_int_equal(err, 0);
	assert_int_equal(at, 2);	/* slots of the pages that are new */
	assert_int_equal(stamp_at(A, 5000), 71);
	assert_int_equal(stamp_at(A, 3), 72);
}

static void no_memory_no_spares(void **state)
{
	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	shim_fail_at = 0;
	assert_int_equal(adopt(A, 4, 0, NULL, NULL), 0);
	shim_fail_at = -1;
	assert_int_equal(spares_listed(), 0);
	assert_int_equal(adopt(A, 4, 0, NULL, NULL), 0);
	assert_int_equal(spares_listed(), 4);
}

/* ---- revocation, fork, end --------------------------------------------------------- */

/* B takes all that is free, A's chunk included. */
static void revoke(void)
{
	static struct mmon_frame *taken[CAPACITY + MMON_RESERVE];
	u32 nr = m.pool.nr_free;

	assert_int_equal(mmon_pool_take(&m.pool, NULL, nr, 0, taken), 0);
	assert_int_equal(counter(&m, "chunks_granted"), 0);
	mmon_pool_untake(&m.pool, nr, 0, taken);
}

static void revoked_spares_stay_until_asked(void **state)
{
	struct place place[2];
	u64 addr = PAGE(500);
	u32 frame;

	(void)state;
	with_spares(4);
	place[0] = spare_place(0);
	place[1] = spare_place(1);
	fill(place[0], 70);
	revoke();
	fixture_check(&m, NULL, 0);
	assert_null(lite_stub_reach(place[1].rkey, place[1].addr));
	/* What was written before counts; the rest is given back. */
	frame = place[0].frame;
	assert_int_equal(adopt(A, 1, 1, &addr, &frame), 0);
	assert_int_equal(stamp_at(A, 500), 70);
	assert_true(spares_listed() <= 1);
	frame = place[1].frame;
	assert_int_equal(adopt(A, 1, 1, &addr, &frame), -EINVAL);
}

static void spares_are_not_cloned(void **state)
{
	u64 addr = PAGE(3);
	u32 frame;

	(void)state;
	with_spares(4);
	frame = spare_place(0).frame;
	fill(spare_place(0), 70);
	assert_int_equal(do_clone(&m, NODE_A, A, ++seq[1], 0x9000, 0, PAGE(9999)), 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(adopt(A, 4, 1, &addr, &frame), 0);
	assert_int_equal(stamp_at(A, 3), 70);
	assert_int_not_equal(stamp_at(0x9000, 3), 70);
}

static void space_ends_with_spares(void **state)
{
	(void)state;
	with_spares(MMON_SPARES_MAX);
	assert_int_equal(do_exit(&m, NODE_A, A), 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(m.pool.nr_free, m.pool.total);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(small_space_gets_none),
		T(as_many_as_wanted),
		T(none_when_frames_are_scarce),
		T(adopted_page_is_stored),
		T(all_or_nothing),
		T(repeat_is_answered),
		T(each_allocation_fails),
		T(no_memory_no_spares),
		T(revoked_spares_stay_until_asked),
		T(spares_are_not_cloned),
		T(space_ends_with_spares),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
