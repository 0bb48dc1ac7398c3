// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the vma array of mmon by hand-made cases and against one
 * byte per page.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

static struct mmon_vmas *v;

static void set(u64 first, u64 end, int prot)
{
	struct mmon_vmas *next = mmon_vmas_copy(v, 1);

	assert_non_null(next);
	kvfree(v);
	v = next;
	mmon_vmas_set(v, PAGE(first), PAGE(end), prot);
}

static void expect(u32 nr, const struct mmon_vma *vma)
{
	u32 i;

	assert_int_equal(v->nr, nr);
	for (i = 0; i < nr; i++) {
		assert_int_equal(v->vma[i].start, PAGE(vma[i].start));
		assert_int_equal(v->vma[i].end, PAGE(vma[i].end));
		assert_int_equal(v->vma[i].prot, vma[i].prot);
	}
}

#define EXPECT(...) do {						\
	const struct mmon_vma list_[] = { __VA_ARGS__ };		\
	expect(ARRAY_SIZE(list_), list_);				\
} while (0)

static int setup(void **state)
{
	(void)state;
	v = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kvfree(v);
	return shim_live ? -1 : 0;
}

static void splits(void **state)
{
	(void)state;
	set(10, 20, 3);
	EXPECT({ 10, 20, 3 });
	set(12, 14, 1);
	EXPECT({ 10, 12, 3 }, { 12, 14, 1 }, { 14, 20, 3 });
	set(12, 14, 3);
	EXPECT({ 10, 20, 3 });
	set(12, 14, MMON_UNMAPPED);
	EXPECT({ 10, 12, 3 }, { 14, 20, 3 });
	set(11, 15, 0);
	EXPECT({ 10, 11, 3 }, { 11, 15, 0 }, { 15, 20, 3 });
	set(0, 30, MMON_UNMAPPED);
	expect(0, NULL);
}

static void merges(void **state)
{
	(void)state;
	set(10, 12, 3);
	set(14, 16, 3);
	EXPECT({ 10, 12, 3 }, { 14, 16, 3 });
	set(12, 14, 3);
	EXPECT({ 10, 16, 3 });
	set(16, 18, 1);
	set(8, 10, 1);
	EXPECT({ 8, 10, 1 }, { 10, 16, 3 }, { 16, 18, 1 });
	set(10, 16, 1);
	EXPECT({ 8, 18, 1 });
	set(9, 17, 1);
	EXPECT({ 8, 18, 1 });
}

static void covers_many(void **state)
{
	u64 i;

	(void)state;
	for (i = 0; i < 100; i++)
		set(2 * i, 2 * i + 1, 3);
	assert_int_equal(v->nr, 100);
	assert_int_equal(mmon_vmas_count(v, PAGE(10), PAGE(20)), 5);
	assert_int_equal(mmon_vmas_count(v, PAGE(11), PAGE(12)), 0);
	set(10, 21, 1);
	assert_int_equal(v->nr, 100 - 6 + 1);
	set(0, 1000, 2);
	EXPECT({ 0, 1000, 2 });
}

static void checks(void **state)
{
	(void)state;
	assert_int_equal(mmon_vmas_check(NULL, 0, 1), -EFAULT);
	set(10, 12, 1);
	assert_int_equal(mmon_vmas_check(v, PAGE(9), 0), -EFAULT);
	assert_int_equal(mmon_vmas_check(v, PAGE(10), 1), 0);
	assert_int_equal(mmon_vmas_check(v, PAGE(11), 2), -EACCES);
	assert_int_equal(mmon_vmas_check(v, PAGE(11), 3), -EACCES);
	assert_int_equal(mmon_vmas_check(v, PAGE(12), 1), -EFAULT);
}

static void clones(void **state)
{
	struct mmon_vmas *child;

	(void)state;
	set(10, 20, 3);
	set(30, 40, 1);
	child = mmon_vmas_copy(NULL, 1 + 3);
	mmon_vmas_set(child, PAGE(0), PAGE(50), 2);
	mmon_vmas_clone(child, v, PAGE(15), PAGE(35));
	kvfree(v);
	v = child;
	EXPECT({ 0, 15, 2 }, { 15, 20, 3 }, { 30, 35, 1 }, { 35, 50, 2 });
}

static void clones_of_nothing(void **state)
{
	(void)state;
	set(10, 20, 3);
	mmon_vmas_clone(v, NULL, PAGE(0), PAGE(15));
	EXPECT({ 15, 20, 3 });
}

#define PAGES	48

static void compare(const signed char *model)
{
	u32 i, changes = 0;
	int err;

	for (i = 0; i < PAGES; i++) {
		err = mmon_vmas_check(v, PAGE(i), 0);
		assert_int_equal(err, model[i] < 0 ? -EFAULT : 0);
		if (model[i] >= 0) {
			err = mmon_vmas_check(v, PAGE(i), 3);
			assert_int_equal(err, model[i] == 3 ? 0 : -EACCES);
		}
		changes += model[i] >= 0 && (!i || model[i - 1] != model[i]);
	}
	assert_int_equal(v->nr, changes);	/* as few as possible */
}

static void random_against_bytes(void **state)
{
	signed char model[PAGES];
	u32 i, first, end;
	int prot;

	(void)state;
	random_seed(seed_from_env("SK_VMAS_SEED"));
	memset(model, -1, sizeof(model));
	for (i = 0; i < 100000; i++) {
		first = random_below(PAGES);
		end = first + 1 + random_below(PAGES - first);
		if (random_below(3))
			end = min(end, first + 4);
		prot = (int)random_below(5) - 1;
		set(first, end, prot);
		memset(model + first, prot, end - first);
		compare(model);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(splits, setup, teardown),
		cmocka_unit_test_setup_teardown(merges, setup, teardown),
		cmocka_unit_test_setup_teardown(covers_many, setup, teardown),
		cmocka_unit_test_setup_teardown(checks, setup, teardown),
		cmocka_unit_test_setup_teardown(clones, setup, teardown),
		cmocka_unit_test_setup_teardown(clones_of_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(random_against_bytes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
