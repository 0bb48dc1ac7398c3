// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the entries of an address space: what goes in comes out.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"
#include "../../pmon/entry.h"

#include <cmocka.h>

static void same(struct pmon_copy copy)
{
	void *entry = pmon_entry_remote(copy);
	struct pmon_copy back = pmon_entry_copy(entry);

	assert_true(xa_is_value(entry));
	assert_true(pmon_entry_is_remote(entry));
	assert_int_equal(back.sum, copy.sum);
	assert_int_equal(back.location, copy.location);
	assert_int_equal(back.in_place, copy.in_place);
}

static void copies_come_back(void **state)
{
	static const u32 sum[] = { 0, 1, 0x80000000, 0xffffffff, 0x12345678 };
	static const u32 location[] = { 0, 1, 2, 513,
					(1u << PMON_LOCATION_BITS) - 1 };
	unsigned int i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(sum); i++)
		for (j = 0; j < ARRAY_SIZE(location); j++) {
			same((struct pmon_copy){ sum[i], location[j], false });
			same((struct pmon_copy){ sum[i], location[j], true });
		}
}

static void random_copies_come_back(void **state)
{
	struct pmon_copy copy;
	int i;

	(void)state;
	random_seed(seed_from_env("ENTRY_SEED"));
	for (i = 0; i < 100000; i++) {
		copy.sum = random_below(0xffffffff);
		copy.location = random_below(1u << PMON_LOCATION_BITS);
		copy.in_place = random_below(2);
		same(copy);
	}
}

static void constants_are_no_copies(void **state)
{
	void *all[] = { PMON_ENTRY_LOST, PMON_ENTRY_UNREAD, PMON_ENTRY_POISONED,
			PMON_ENTRY_ABSENT };
	unsigned int i, j;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		assert_true(xa_is_value(all[i]));
		assert_false(pmon_entry_is_remote(all[i]));
		for (j = 0; j < i; j++)
			assert_ptr_not_equal(all[i], all[j]);
	}
	/* A line is no value at all. */
	assert_false(pmon_entry_is_remote(&all));
	assert_false(pmon_entry_is_remote(NULL));
}

static void plain_copy_is_asked_for(void **state)
{
	struct pmon_copy copy = pmon_copy_of(42);

	(void)state;
	assert_int_equal(copy.sum, 42);
	assert_int_equal(copy.location, 0);
	assert_false(copy.in_place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_come_back),
		cmocka_unit_test(random_copies_come_back),
		cmocka_unit_test(constants_are_no_copies),
		cmocka_unit_test(plain_copy_is_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
