// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check what requests do to address spaces, case by case.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	40
#define P	0x1000ull	/* parent */
#define C	0x2000ull	/* child */

static struct mmon m;

static int setup(void **state)
{
	(void)state;
	fixture_start(&m, CAPACITY);
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 99, 0)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&m);
	return 0;
}

static void expect(u64 asid, u64 page, u64 stamp)
{
	u64 got;
	int err = do_fetch1(&m, NODE_A, asid, PAGE(page), &got);

	fixture_check(&m, NULL, 0);
	assert_int_equal(err, stamp ? 0 : -ENOENT);
	assert_int_equal(got, stamp);
}

static void expect_refused(u64 asid, u64 page, int err)
{
	u64 got;

	assert_int_equal(do_fetch1(&m, NODE_A, asid, PAGE(page), &got), err);
}

static void flush(u64 asid, u64 seq, u64 page, u64 stamp)
{
	assert_int_equal(do_flush1(&m, NODE_A, asid, seq, PAGE(page), stamp), 0);
	fixture_check(&m, NULL, 0);
}

static void map(u64 asid, u64 seq, struct mmon_change change)
{
	assert_int_equal(do_map(&m, NODE_A, asid, seq, change), 0);
	fixture_check(&m, NULL, 0);
}

static void clone(u64 seq, u64 child, u64 first, u64 last)
{
	assert_int_equal(do_clone(&m, NODE_A, P, seq, child, PAGE(first),
				  PAGE(last + 1)), 0);
	fixture_check(&m, NULL, 0);
}

static void stores_and_overwrites(void **state)
{
	(void)state;
	expect(P, 5, 0);
	flush(P, 2, 5, 10);
	expect(P, 5, 10);
	flush(P, 3, 5, 11);
	expect(P, 5, 11);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 1);
}

static void repeat_is_not_applied_again(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	flush(P, 2, 5, 99);
	expect(P, 5, 10);
	map(P, 1, ch(MMON_UNMAP, 0, 0, 99, 0));
	expect(P, 5, 10);
	assert_int_equal(counter(&m, "repeats"), 2);
	assert_int_equal(counter(&m, "flushes"), 1);
}

static void refused_number_can_be_used(void **state)
{
	(void)state;
	assert_int_equal(do_flush1(&m, NODE_A, P, 2, PAGE(100), 1), -EFAULT);
	flush(P, 2, 5, 10);
	expect(P, 5, 10);
}

static void unmap_and_discard(void **state)
{
	const u64 addr[] = { PAGE(1), PAGE(2), PAGE(3), PAGE(4) };

	(void)state;
	assert_int_equal(do_flush(&m, NODE_A, P, 2, 4, addr, 7), 0);
	map(P, 3, ch(MMON_DISCARD, 0, 1, 1, 0));
	expect(P, 1, 0);
	expect(P, 2, 7);
	map(P, 4, ch(MMON_UNMAP, 0, 2, 3, 0));
	expect_refused(P, 2, -EFAULT);
	expect(P, 4, 7);
	map(P, 5, ch(MMON_MAP, RW, 2, 3, 0));
	expect(P, 2, 0);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 1);
}

static void protection_keeps_frames(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	map(P, 3, ch(MMON_MAP, 0, 5, 5, 0));
	expect_refused(P, 5, -EACCES);
	assert_int_equal(do_flush1(&m, NODE_A, P, 4, PAGE(5), 1), -EACCES);
	map(P, 4, ch(MMON_MAP, MMON_PROT_READ, 5, 5, 0));
	expect(P, 5, 10);
}

static void moves(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	flush(P, 3, 7, 11);
	flush(P, 4, 56, 12);		/* lies at the target */
	map(P, 5, ch(MMON_MOVE, RW, 5, 8, 55));
	expect(P, 55, 10);
	expect(P, 56, 0);
	expect(P, 57, 11);
	expect(P, 5, 0);
	expect(P, 7, 0);
	flush(P, 6, 5, 13);			/* the source stays mapped */
	expect(P, 5, 13);
	expect(P, 55, 10);
}

static void moves_to_new_range(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	map(P, 3, ch(MMON_MOVE, MMON_PROT_READ, 0, 9, 1000));
	expect(P, 1005, 10);
	assert_int_equal(do_flush1(&m, NODE_A, P, 4, PAGE(1005), 1), -EACCES);
}

static void moves_in_a_chain(void **state)
{
	const struct mmon_change chain[] = {
		ch(MMON_MOVE, RW, 5, 6, 55),	/* 10 to 55 */
		ch(MMON_MOVE, RW, 55, 56, 65),	/* and on to 65 */
		ch(MMON_MOVE, RW, 7, 8, 5),	/* 11 into the emptied place */
		ch(MMON_DISCARD, 0, 7, 8, 0),
		ch(MMON_MOVE, RW, 5, 6, 7),	/* and back */
		ch(MMON_UNMAP, 0, 55, 56, 0),
	};

	(void)state;
	flush(P, 2, 5, 10);
	flush(P, 3, 7, 11);
	assert_int_equal(do_maps(&m, NODE_A, P, 4, ARRAY_SIZE(chain), chain), 0);
	fixture_check(&m, NULL, 0);
	expect(P, 65, 10);
	expect(P, 7, 11);
	expect(P, 5, 0);
	expect_refused(P, 55, -EFAULT);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 2);
}

/* Each move of all there is reserves as much again: one page would take all memory. */
static void moves_do_not_double_for_ever(void **state)
{
	struct mmon_change changes[30];
	u32 i;

	(void)state;
	flush(P, 2, 0, 10);
	for (i = 0; i < ARRAY_SIZE(changes); i++)
		changes[i] = ch(MMON_MOVE, RW, 0, BIT_ULL(i) - 1, BIT_ULL(i));
	assert_int_equal(do_maps(&m, NODE_A, P, 3, ARRAY_SIZE(changes), changes),
			 -ENOMEM);
	fixture_check(&m, NULL, 0);
	expect(P, 0, 10);
	/* What a program may well do is done: there and back, as often as fits. */
	for (i = 0; i < ARRAY_SIZE(changes); i++)
		changes[i] = ch(MMON_MOVE, RW, i % 2 ? 100 : 0, i % 2 ? 199 : 99,
				i % 2 ? 0 : 100);
	assert_int_equal(do_maps(&m, NODE_A, P, 3, ARRAY_SIZE(changes), changes), 0);
	fixture_check(&m, NULL, 0);
	expect(P, 0, 10);
}

static void swaps_by_moves(void **state)
{
	const struct mmon_change exchange[] = {
		ch(MMON_MOVE, RW, 5, 5, 90),
		ch(MMON_MOVE, RW, 6, 6, 5),
		ch(MMON_MOVE, RW, 90, 90, 6),
	};

	(void)state;
	flush(P, 2, 5, 10);
	flush(P, 3, 6, 11);
	assert_int_equal(do_maps(&m, NODE_A, P, 4, 3, exchange), 0);
	expect(P, 5, 11);
	expect(P, 6, 10);
	expect(P, 90, 0);
}

static void changes_apply_in_order(void **state)
{
	const struct mmon_change there_and_back[] = {
		ch(MMON_UNMAP, 0, 0, 99, 0),
		ch(MMON_MAP, RW, 0, 99, 0),
	};

	(void)state;
	flush(P, 2, 5, 10);
	assert_int_equal(do_maps(&m, NODE_A, P, 3, 2, there_and_back), 0);
	expect(P, 5, 0);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY);
}

static void clone_shares_until_written(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	flush(P, 3, 6, 11);
	clone(4, C, 0, 99);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 2);
	expect(C, 5, 10);
	flush(P, 5, 5, 20);
	flush(C, 1, 6, 21);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 4);
	expect(P, 5, 20);
	expect(C, 5, 10);
	expect(P, 6, 11);
	expect(C, 6, 21);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	fixture_check(&m, NULL, 0);
	expect(C, 5, 10);
	expect(C, 6, 21);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 2);
}

static void clone_of_a_part(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	flush(P, 3, 20, 11);
	clone(4, C, 10, 30);
	expect_refused(C, 5, -EFAULT);
	expect(C, 20, 11);
	clone(5, C, 0, 9);
	expect(C, 5, 10);
	expect_refused(C, 31, -EFAULT);
}

static void clone_replaces_the_range(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	map(C, 1, ch(MMON_MAP, RW, 0, 200, 0));
	flush(C, 2, 5, 30);
	flush(C, 3, 6, 31);
	flush(C, 4, 150, 32);
	map(P, 3, ch(MMON_UNMAP, 0, 50, 99, 0));
	clone(4, C, 0, 99);
	expect(C, 5, 10);
	expect(C, 6, 0);
	expect_refused(C, 60, -EFAULT);
	expect(C, 150, 32);
	assert_int_equal(((struct mmon_space *)xa_load(&m.spaces, C))->seq, 4);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 2);
}

static void clone_again_changes_nothing(void **state)
{
	(void)state;
	flush(P, 2, 5, 10);
	clone(3, C, 0, 99);
	clone(4, C, 0, 99);
	expect(C, 5, 10);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 1);
}

static void clone_of_nothing_makes_a_child(void **state)
{
	(void)state;
	clone(2, C, 500, 600);
	assert_int_equal(counter(&m, "spaces"), 2);
	map(C, 1, ch(MMON_MAP, RW, 0, 0, 0));
	flush(C, 2, 0, 5);
}

static void exit_frees_all(void **state)
{
	u64 seq = 2, i;

	(void)state;
	for (i = 0; i < CAPACITY; i++)
		flush(P, seq++, i, i + 1);
	assert_int_equal(counter(&m, "frames_free"), 0);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY);
	assert_int_equal(counter(&m, "frames_peak_used"), CAPACITY);
	assert_int_equal(counter(&m, "spaces"), 0);
	expect_refused(P, 0, -ENOENT);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	assert_int_equal(counter(&m, "exits"), 1);
}

static void full_pool_can_be_overwritten(void **state)
{
	u64 addr[MMON_FLUSH_MAX], seq = 2, i;

	(void)state;
	for (i = 0; i < CAPACITY; i++)
		flush(P, seq++, i, i + 1);
	assert_int_equal(do_flush1(&m, NODE_A, P, seq, PAGE(50), 1), -ENOSPC);
	expect(P, 50, 0);
	for (i = 0; i < MMON_FLUSH_MAX; i++)
		addr[i] = PAGE(i);
	assert_int_equal(do_flush(&m, NODE_A, P, seq++, MMON_FLUSH_MAX, addr,
				  77), 0);
	fixture_check(&m, NULL, 0);
	expect(P, 3, 77);
	/* One new page among them is one too many: nothing is stored. */
	addr[7] = PAGE(60);
	assert_int_equal(do_flush(&m, NODE_A, P, seq, MMON_FLUSH_MAX, addr,
				  78), -ENOSPC);
	expect(P, 3, 77);
	map(P, seq++, ch(MMON_DISCARD, 0, 39, 39, 0));
	assert_int_equal(do_flush(&m, NODE_A, P, seq, MMON_FLUSH_MAX, addr,
				  78), 0);
	expect(P, 60, 78);
}

static void shared_page_needs_a_frame_to_be_written(void **state)
{
	u64 seq = 2, i;

	(void)state;
	for (i = 0; i < CAPACITY; i++)
		flush(P, seq++, i, i + 1);
	clone(seq++, C, 0, 99);
	assert_int_equal(do_flush1(&m, NODE_A, C, 1, PAGE(0), 1), -ENOSPC);
	expect(C, 0, 1);
	map(P, seq++, ch(MMON_DISCARD, 0, 0, 0, 0));
	flush(C, 1, 0, 2);		/* it has the frame alone now */
	expect(C, 0, 2);
}

static void fetch_of_many(void **state)
{
	u64 addr[MMON_FETCH_MAX], i;
	struct mmon_pages pages;
	struct content c;

	(void)state;
	flush(P, 2, 1, 10);
	flush(P, 3, 15, 11);
	for (i = 0; i < MMON_FETCH_MAX; i++)
		addr[i] = PAGE(i);
	assert_int_equal(do_fetch(&m, NODE_A, P, MMON_FETCH_MAX, addr, &pages), 0);
	assert_int_equal(pages.nr, MMON_FETCH_MAX);
	assert_int_equal(pages.found, 1 << 1 | 1 << 15);
	fixture_check(&m, &pages, 1);
	assert_true(content_read(mmon_frame_data(&m.pool, pages.frame[15]), &c));
	assert_int_equal(c.stamp, 11);
	/* What is being sent stays as it is, whatever happens to the page. */
	assert_int_equal(do_flush1(&m, NODE_A, P, 4, PAGE(15), 99), 0);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	fixture_check(&m, &pages, 1);
	assert_true(content_read(mmon_frame_data(&m.pool, pages.frame[15]), &c));
	assert_int_equal(c.stamp, 11);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY);
	mmon_pages_put(&m, &pages);
	addr[3] = PAGE(100);
	assert_int_equal(do_fetch(&m, NODE_A, P, MMON_FETCH_MAX, addr, &pages),
			 -ENOENT);
}

static void pinned_frames_do_not_starve_flushes(void **state)
{
	struct mmon_pages pages[MMON_RESERVE / MMON_FETCH_MAX];
	u64 addr[MMON_FETCH_MAX], seq = 2, i, n;

	(void)state;
	for (i = 0; i < CAPACITY; i++)
		flush(P, seq++, i, i + 1);
	for (i = 0; i < MMON_FETCH_MAX; i++)
		addr[i] = PAGE(i);
	for (n = 0; n < ARRAY_SIZE(pages); n++) {
		assert_int_equal(do_fetch(&m, NODE_A, P, MMON_FETCH_MAX, addr,
					  &pages[n]), 0);
		assert_int_equal(do_flush(&m, NODE_A, P, seq++, MMON_FLUSH_MAX,
					  addr, 100 + n), 0);
		fixture_check(&m, pages, n + 1);
	}
	assert_int_equal(m.pool.nr_free, MMON_RESERVE - n * MMON_FLUSH_MAX);
	assert_int_equal(do_flush(&m, NODE_A, P, seq, MMON_FLUSH_MAX, addr, 9),
			 -ENOSPC);
	fixture_check(&m, pages, n);
	mmon_pages_put(&m, &pages[--n]);
	assert_int_equal(do_flush(&m, NODE_A, P, seq, MMON_FLUSH_MAX, addr, 9), 0);
	while (n)
		mmon_pages_put(&m, &pages[--n]);
}

static void lost_node_loses_all(void **state)
{
	const u32 a = NODE_A;

	(void)state;
	flush(P, 2, 5, 10);
	clone(3, C, 0, 99);
	assert_int_equal(do_map(&m, NODE_B, 77, 1, ch(MMON_MAP, RW, 0, 9, 0)), 0);
	assert_int_equal(do_flush1(&m, NODE_B, 77, 2, PAGE(0), 3), 0);
	assert_int_equal(mmon_spaces_drop(&m, &a), 2);
	shim_rcu_flush();
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "spaces"), 1);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 1);
	assert_int_equal(mmon_spaces_drop(&m, &a), 0);
}

static void extreme_asids(void **state)
{
	(void)state;
	map(~0ull, 1, ch(MMON_MAP, RW, 0, 0, 0));
	map(0, 1, ch(MMON_MAP, RW, 0, 0, 0));
	flush(~0ull, 2, 0, 1);
	flush(0, 2, 0, 2);
	expect(~0ull, 0, 1);
	expect(0, 0, 2);
	assert_int_equal(mmon_spaces_drop(&m, NULL), 3);
	shim_rcu_flush();
}

static void extreme_addresses(void **state)
{
	const u64 last = (MMON_ADDR_MAX >> MMON_PAGE_SHIFT) - 1;

	(void)state;
	map(P, 2, ch(MMON_MAP, RW, 0, last, 0));
	flush(P, 3, 0, 1);
	flush(P, 4, last, 2);
	clone(5, C, 0, last);
	expect(C, last, 2);
	map(P, 6, ch(MMON_MOVE, RW, last, last, 0));
	expect(P, 0, 2);
	map(P, 7, ch(MMON_UNMAP, 0, 0, last, 0));
	expect_refused(P, 0, -EFAULT);
	expect(C, 0, 1);
}

/* More pages than are handled at a stretch. */
static void large_spaces(void **state)
{
	u64 addr[MMON_FLUSH_MAX], seq = 2, i, j;

	(void)state;
	fixture_start(&m, 1000);
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 9999, 0)), 0);
	for (i = 0; i < 60; i++) {
		for (j = 0; j < MMON_FLUSH_MAX; j++)
			addr[j] = PAGE(i * MMON_FLUSH_MAX + j);
		assert_int_equal(do_flush(&m, NODE_A, P, seq++, MMON_FLUSH_MAX,
					  addr, i + 1), 0);
	}
	clone(seq++, C, 0, 9999);
	map(P, seq++, ch(MMON_MOVE, RW, 0, 999, 5000));
	map(P, seq++, ch(MMON_UNMAP, 0, 5000, 5499, 0));
	expect(P, 5899, 60);
	expect(C, 0, 1);
	assert_int_equal(counter(&m, "frames_free"), 100);
	assert_int_equal(do_exit(&m, NODE_A, C), 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "frames_free"), 600);
	fixture_stop(&m);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stores_and_overwrites),
		TEST(repeat_is_not_applied_again),
		TEST(refused_number_can_be_used),
		TEST(unmap_and_discard),
		TEST(protection_keeps_frames),
		TEST(moves),
		TEST(moves_to_new_range),
		TEST(moves_in_a_chain),
		TEST(moves_do_not_double_for_ever),
		TEST(swaps_by_moves),
		TEST(changes_apply_in_order),
		TEST(clone_shares_until_written),
		TEST(clone_of_a_part),
		TEST(clone_replaces_the_range),
		TEST(clone_again_changes_nothing),
		TEST(clone_of_nothing_makes_a_child),
		TEST(exit_frees_all),
		TEST(full_pool_can_be_overwritten),
		TEST(shared_page_needs_a_frame_to_be_written),
		TEST(fetch_of_many),
		TEST(pinned_frames_do_not_starve_flushes),
		TEST(lost_node_loses_all),
		TEST(extreme_asids),
		TEST(extreme_addresses),
		cmocka_unit_test(large_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
