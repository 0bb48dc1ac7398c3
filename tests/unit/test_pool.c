// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the pool: its hard size, its two books, its reserve.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	100

static struct mmon m;
static struct mmon_frame *taken[CAPACITY + MMON_RESERVE];

static int setup(void **state)
{
	(void)state;
	fixture_start(&m, CAPACITY);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&m);
	return 0;
}

static void put(u32 nr)
{
	while (nr)
		mmon_frame_put(&m.pool, taken[--nr]);
}

static void size_is_hard(void **state)
{
	u32 peak;

	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, CAPACITY, CAPACITY, taken), 0);
	assert_int_equal(mmon_pool_used(&m.pool, &peak), CAPACITY);
	assert_int_equal(mmon_pool_take(&m.pool, NULL, 1, 1, &taken[CAPACITY]), -ENOSPC);
	mmon_pool_untake(&m.pool, CAPACITY, CAPACITY, taken);
	assert_int_equal(mmon_pool_used(&m.pool, &peak), 0);
	assert_int_equal(peak, CAPACITY);
}

static void reserve_serves_overwriting(void **state)
{
	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, CAPACITY, CAPACITY, taken), 0);
	assert_int_equal(mmon_pool_take(&m.pool, NULL, MMON_RESERVE, 0,
					&taken[CAPACITY]), 0);
	assert_int_equal(m.pool.nr_free, 0);
	assert_int_equal(mmon_pool_take(&m.pool, NULL, 1, 0, taken), -ENOSPC);
	put(CAPACITY + MMON_RESERVE);
	mmon_pool_uncharge(&m.pool, CAPACITY);
}

static void give_one_back(void)
{
	mmon_frame_put(&m.pool, taken[0]);
}

static void waits_for_the_reserve(void **state)
{
	struct mmon_frame *one;

	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, CAPACITY + MMON_RESERVE, 0,
					taken), 0);
	shim_wait_hook = give_one_back;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, 1, 0, &one), 0);
	assert_ptr_equal(one, taken[0]);
	put(CAPACITY + MMON_RESERVE);
}

static void failed_wait_charges_nothing(void **state)
{
	u32 peak;

	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, CAPACITY + MMON_RESERVE, 0,
					taken), 0);
	assert_int_equal(mmon_pool_take(&m.pool, NULL, 1, 1, taken), -ENOSPC);
	assert_int_equal(mmon_pool_used(&m.pool, &peak), 0);
	put(CAPACITY + MMON_RESERVE);
}

static void all_frames_differ(void **state)
{
	static bool seen[CAPACITY + MMON_RESERVE];
	u32 i, all = CAPACITY + MMON_RESERVE;

	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, all, 0, taken), 0);
	for (i = 0; i < all; i++) {
		assert_false(seen[taken[i] - m.pool.frame]);
		seen[taken[i] - m.pool.frame] = true;
		memset(mmon_frame_data(&m.pool, taken[i]), i, MMON_PAGE_SIZE);
	}
	for (i = 0; i < all; i++)
		assert_int_equal(*(u8 *)mmon_frame_data(&m.pool, taken[i]),
				 (u8)i);
	put(all);
}

static void free_frame_is_not_taken_by_reference(void **state)
{
	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, 1, 0, taken), 0);
	assert_true(mmon_frame_tryget(taken[0]));
	mmon_frame_put(&m.pool, taken[0]);
	mmon_frame_put(&m.pool, taken[0]);
	assert_false(mmon_frame_tryget(taken[0]));
}

static void sge_names_the_frame(void **state)
{
	struct lite_sge sge;
	u32 i;

	(void)state;
	for (i = 0; i < m.pool.total; i++) {
		mmon_frame_sge(&m.pool, &m.pool.frame[i], &sge);
		assert_ptr_equal(lite_stub_page(&sge),
				 mmon_frame_data(&m.pool, &m.pool.frame[i]));
	}
}

static void zero_page_is_zero(void **state)
{
	static const u8 zero[MMON_PAGE_SIZE];
	struct lite_sge sge;

	(void)state;
	mmon_frame_sge(&m.pool, NULL, &sge);
	assert_memory_equal(lite_stub_page(&sge), zero, sizeof(zero));
}

static void several_regions(void **state)
{
	struct lite_sge sge;
	struct mmon_pool *pool = &m.pool;

	(void)state;
	assert_int_equal(mmon_pool_create(pool, 2 * MMON_REGION_FRAMES - 10), 0);
	assert_int_equal(pool->memory.nr_regions, 3);
	mmon_frame_sge(pool, &pool->frame[MMON_REGION_FRAMES], &sge);
	assert_ptr_equal(sge.region, pool->memory.region[1]);
	assert_int_equal(sge.page, 0);
	mmon_frame_sge(pool, NULL, &sge);
	assert_ptr_equal(sge.region, pool->memory.region[2]);
	mmon_pool_destroy(pool);
	assert_null(pool->frame);
	assert_int_equal(shim_live, 0);
}

static void creation_fails_cleanly(void **state)
{
	struct mmon_pool pool;
	long at;
	int err;

	(void)state;
	for (at = 0;; at++) {
		shim_failed = false;
		shim_fail_at = at;
		err = mmon_pool_create(&pool, 10);
		shim_fail_at = -1;
		if (!shim_failed)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(shim_live, 0);
		assert_int_equal(lite_stub_regions, 0);
	}
	assert_int_equal(err, 0);
	assert_true(at > 70);
	mmon_pool_destroy(&pool);
}

static void leak_is_reported(void **state)
{
	unsigned long before = shim_messages;

	(void)state;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, 1, 1, taken), 0);
	mmon_pool_drain(&m.pool);
	mmon_pool_destroy(&m.pool);
	assert_true(shim_messages > before);
	assert_non_null(m.pool.frame);
	mmon_pool_untake(&m.pool, 1, 1, taken);
	before = shim_messages;
	mmon_pool_drain(&m.pool);
	assert_int_equal(shim_messages, before);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(size_is_hard),
		TEST(reserve_serves_overwriting),
		TEST(waits_for_the_reserve),
		TEST(failed_wait_charges_nothing),
		TEST(all_frames_differ),
		TEST(free_frame_is_not_taken_by_reference),
		TEST(sge_names_the_frame),
		TEST(zero_page_is_zero),
		TEST(leak_is_reported),
		cmocka_unit_test(several_regions),
		cmocka_unit_test(creation_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
