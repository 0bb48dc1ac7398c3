// SPDX-License-Identifier: GPL-2.0
/*
 * This test will let each allocation of each request fail, one at a time, and
 * check that the answer is -ENOMEM, that nothing has changed, and that the same
 * request succeeds when there is memory again.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	60
#define P	0x1000ull
#define C	0x2000ull
#define N	0x3000ull

static struct mmon m;

static int setup(void **state)
{
	u64 addr[MMON_FLUSH_MAX], i;

	(void)state;
	for (i = 0; i < MMON_FLUSH_MAX; i++)
		addr[i] = PAGE(2 * i);
	fixture_start(&m, CAPACITY);
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 99, 0)), 0);
	assert_int_equal(do_flush(&m, NODE_A, P, 2, MMON_FLUSH_MAX, addr, 7), 0);
	assert_int_equal(do_map(&m, NODE_A, C, 1, ch(MMON_MAP, RW, 0, 9, 0)), 0);
	assert_int_equal(do_flush1(&m, NODE_A, C, 2, PAGE(4), 8), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&m);
	return 0;
}

/* ---- what a space looks like ------------------------------------------------------ */

struct picture {
	bool exists;
	u64 seq;
	u64 frames;
	u32 vmas;
	struct mmon_vma vma[64];
	struct mmon_frame *frame[256];
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
	p->vmas = space->vmas->nr;
	memcpy(p->vma, space->vmas->vma, p->vmas * sizeof(p->vma[0]));
	for (i = 0; i < ARRAY_SIZE(p->frame); i++)
		p->frame[i] = xa_load(&space->pages, i);
}

static void take_pictures(struct picture *p)
{
	picture(P, &p[0]);
	picture(C, &p[1]);
	picture(N, &p[2]);
}

/* ---- the requests ------------------------------------------------------------------- */

static int req_create(void)
{
	return do_map(&m, NODE_A, N, 1, ch(MMON_MAP, RW, 0, 9, 0));
}

static int req_map(void)
{
	return do_map(&m, NODE_A, P, 3, ch(MMON_MAP, RW, 110, 120, 0));
}

static int req_unmap(void)
{
	return do_map(&m, NODE_A, P, 3, ch(MMON_UNMAP, 0, 5, 20, 0));
}

static int req_moves(void)
{
	const struct mmon_change changes[] = {
		ch(MMON_UNMAP, 0, 0, 3, 0),
		ch(MMON_MOVE, RW, 0, 20, 100),
		ch(MMON_MOVE, RW, 100, 110, 150),
		ch(MMON_DISCARD, 0, 4, 8, 0),
		ch(MMON_MOVE, RW, 22, 26, 1),
		ch(MMON_MOVE, RW, 28, 28, 0),	/* its slot was unmapped above */
	};

	return do_maps(&m, NODE_A, P, 3, ARRAY_SIZE(changes), changes);
}

static int req_flush(void)
{
	u64 addr[MMON_FLUSH_MAX], i;

	for (i = 0; i < MMON_FLUSH_MAX; i++)
		addr[i] = PAGE(3 * i);
	return do_flush(&m, NODE_A, P, 3, MMON_FLUSH_MAX, addr, 9);
}

static int req_clone_new(void)
{
	return do_clone(&m, NODE_A, P, 3, N, 0, PAGE(50));
}

static int req_clone_existing(void)
{
	return do_clone(&m, NODE_A, P, 3, C, 0, PAGE(50));
}

static void each_allocation_fails(int (*request)(void), long sites)
{
	static struct picture before[3], after[3];
	long at;
	int err;

	for (at = 0;; at++) {
		take_pictures(before);
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
CASE(map, 1)			/* vmas */
CASE(unmap, 1)
CASE(moves, 1 + 11 + 6 + 3)	/* vmas, slots at the targets */
CASE(flush, 10)			/* slots of pages that are new */
CASE(clone_new, 2 + 15 + 1)	/* space, vmas, slots, slot in the table */
CASE(clone_existing, 1 + 14)	/* vmas, slots; one page is there */

static void reading_needs_no_memory(void **state)
{
	u64 stamp;
	int i;

	(void)state;
	shim_fail_at = 0;
	for (i = 0; i < 20; i++)
		assert_int_equal(do_fetch1(&m, NODE_A, P, PAGE(i), &stamp),
				 i % 2 ? -ENOENT : 0);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	shim_fail_at = -1;
}

static void overwriting_needs_no_memory(void **state)
{
	(void)state;
	shim_fail_at = 0;
	assert_int_equal(do_flush1(&m, NODE_A, P, 3, PAGE(2), 1), 0);
	shim_fail_at = -1;
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(create_fails_cleanly),
		TEST(map_fails_cleanly),
		TEST(unmap_fails_cleanly),
		TEST(moves_fails_cleanly),
		TEST(flush_fails_cleanly),
		TEST(clone_new_fails_cleanly),
		TEST(clone_existing_fails_cleanly),
		TEST(reading_needs_no_memory),
		TEST(overwriting_needs_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
