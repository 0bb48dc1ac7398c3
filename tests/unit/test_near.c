// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check which neighbours of a miss are fetched: all of a record
 * when programs read records, nearly none when they read pages at random.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/shim.h"
#include "../../pmon/near.h"

#include <cmocka.h>

#define PAGES	65536
#define LARGEST	((1ull << 52) - 1)	/* index of the largest address */

/* A memory of @pages and a cache of @room of them, first in, first out. */
static struct {
	struct pmon_near near;
	unsigned int pages, room;
	bool resident[PAGES], fetched[PAGES];
	u32 asked[PAGES];
	u64 queue[PAGES];
	unsigned int head, nr;
	unsigned int misses, issued, used, soon;
} sim;

static void sim_reset(unsigned int pages, unsigned int room)
{
	memset(&sim, 0, sizeof(sim));
	sim.pages = pages;
	sim.room = room;
	pmon_near_init(&sim.near);
}

static void bring(u64 index, bool fetched)
{
	if (sim.nr == sim.room) {
		u64 victim = sim.queue[sim.head++ % PAGES];

		sim.resident[victim] = false;
		sim.fetched[victim] = false;
		sim.nr--;
	}
	sim.queue[(sim.head + sim.nr++) % PAGES] = index;
	sim.resident[index] = true;
	sim.fetched[index] = fetched;
	sim.asked[index] = sim.near.misses;
	sim.issued += fetched;
}

static void miss(u64 index)
{
	struct pmon_group group;
	u32 fetched = 0;
	u64 i;

	sim.misses++;
	bring(index, false);
	pmon_near_miss(&sim.near, index, false, sim.pages - 1, &group);
	if (!group.nr)
		return;
	assert_true(group.nr < NEAR_WIDEST);
	assert_int_equal(group.first, index + 1);
	assert_true(group.first + group.nr <= sim.pages);
	for (i = group.first; i < group.first + group.nr; i++) {
		if (sim.resident[i])
			continue;
		bring(i, true);
		fetched++;
	}
	pmon_near_done(&sim.near, fetched);
}

static void touch(u64 index)
{
	u32 age = sim.near.misses - sim.asked[index];

	if (!sim.resident[index]) {
		miss(index);
	} else if (sim.fetched[index]) {
		sim.fetched[index] = false;
		sim.used++;
		sim.soon += age <= NEAR_SOON;
		pmon_near_used(&sim.near, age);
	}
}

static u64 rng_state;

static u64 rng(void)
{
	rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
	return rng_state >> 33;
}

/* The bound that near.h promises. */
static void assert_bounded(void)
{
	if (NEAR_PAGE * (sim.issued - sim.soon) >
	    sim.misses + NEAR_BONUS * sim.soon + NEAR_START)
		fail_msg("%u issued, %u used soon, %u misses", sim.issued,
			 sim.soon, sim.misses);
}

/* Records of @length pages in random order. */
static void read_records(unsigned int length, unsigned int records)
{
	unsigned int i;
	u64 first;

	while (records--) {
		/* At no particular boundary. */
		first = rng() % (sim.pages / length - 1) * length + length / 2;
		for (i = 0; i < length; i++)
			touch(first + i);
	}
	assert_bounded();
}

static void test_records(void **state)
{
	static const unsigned int length[] = { 2, 4, 8 };
	unsigned int i, read;

	for (i = 0; i < sizeof(length) / sizeof(*length); i++) {
		sim_reset(PAGES, 1024);
		rng_state = i;
		read_records(length[i], 40000 / length[i]);
		/* One miss a record, but for those at which it learns. */
		read = sim.misses + sim.used;
		if (sim.misses * length[i] * 4 > read * 5)
			fail_msg("records of %u: %u misses of %u", length[i],
				 sim.misses, read);
		/* It tries what is too large, and seldom. */
		if ((sim.issued - sim.used) * 8 > sim.issued)
			fail_msg("records of %u: %u of %u not used", length[i],
				 sim.issued - sim.used, sim.issued);
	}
}

/* Pages fetched and not used over misses, also where pages are few. */
static void test_random(void **state)
{
	static const unsigned int pages[] = { 512, 1024, 2048, 16384, PAGES };
	unsigned int i, part;

	for (i = 0; i < sizeof(pages) / sizeof(*pages); i++)
		for (part = 2; part <= 8; part *= 2) {
			sim_reset(pages[i], pages[i] / part);
			rng_state = i;
			read_records(1, 40000);
			if ((sim.issued - sim.used) * 33 > sim.misses)
				fail_msg("%u pages, 1/%u cached: %u issued, %u used, %u misses",
					 pages[i], part, sim.issued, sim.used,
					 sim.misses);
		}
}

/* First records, then single pages: what was earned is spent, and no more. */
static void test_change(void **state)
{
	unsigned int wasted;

	sim_reset(PAGES, 1024);
	rng_state = 1;
	read_records(8, 5000);
	assert_int_equal(sim.near.width, 8);
	wasted = sim.issued - sim.used;
	sim.misses = 0;
	read_records(1, 20000);
	wasted = sim.issued - sim.used - wasted;
	assert_true(NEAR_PAGE * wasted <= sim.misses + 2 * NEAR_CREDIT);
	assert_int_equal(sim.near.width, 2);
	/* And back: it still looks, now and then. */
	read_records(8, 5000);
	assert_int_equal(sim.near.width, 8);
}

/* What is used much later shows that there is room, not that they belong together. */
static void test_late(void **state)
{
	u32 credit;

	sim_reset(PAGES, 1024);
	credit = sim.near.credit;
	pmon_near_used(&sim.near, NEAR_SOON + 1);
	assert_int_equal(sim.near.credit, credit);
	pmon_near_used(&sim.near, NEAR_SOON);
	assert_int_equal(sim.near.credit, credit + NEAR_PAGE + NEAR_BONUS);
}

/* Misses of streams are stride.c's, and earn. */
static void test_streams(void **state)
{
	struct pmon_group group;
	u32 credit;
	u64 i;

	sim_reset(PAGES, 1024);
	credit = sim.near.credit;
	for (i = 0; i < 100; i++) {
		pmon_near_miss(&sim.near, i, true, LARGEST, &group);
		assert_int_equal(group.nr, 0);
	}
	assert_int_equal(sim.near.credit, credit + 100);
}

/* The end of the mapping, and of all addresses. */
static void test_ends(void **state)
{
	struct pmon_group group;

	sim_reset(PAGES, 1024);
	sim.near.width = 8;
	pmon_near_miss(&sim.near, 13, false, 100, &group);
	assert_int_equal(group.first, 14);
	assert_int_equal(group.nr, 7);
	pmon_near_miss(&sim.near, 13, false, 15, &group);
	assert_int_equal(group.first, 14);
	assert_int_equal(group.nr, 2);
	pmon_near_miss(&sim.near, 13, false, 13, &group);
	assert_int_equal(group.nr, 0);
	pmon_near_miss(&sim.near, LARGEST, false, LARGEST, &group);
	assert_int_equal(group.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_change),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
