// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check what happens when another request comes in at the worst
 * moment. The hooks of the shim stand for the other CPU.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	40
#define P	0x1000ull
#define C	0x2000ull

static struct mmon m;
static int inner;
static struct mmon_space *held;

static int setup(void **state)
{
	(void)state;
	inner = 1;
	held = NULL;
	fixture_start(&m, CAPACITY);
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 99, 0)), 0);
	assert_int_equal(do_flush1(&m, NODE_A, P, 2, PAGE(5), 10), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shim_tryget_hook = NULL;
	shim_lock_hook = NULL;
	shim_resched_hook = NULL;
	fixture_stop(&m);
	return 0;
}

/*
 * The other CPU is in process context, whatever this one is in. Memory that it
 * frees by RCU must stay until this one is done, so no grace period ends here.
 */
static int other_cpu(int (*request)(void))
{
	int atomic = shim_atomic_depth, rcu = shim_rcu_depth, err;

	shim_atomic_depth = 0;
	shim_rcu_depth = 0;
	err = request();
	shim_atomic_depth = atomic;
	shim_rcu_depth = rcu;
	return err;
}

/* Requests without a grace period at their end. */
static int raw(u8 op, const void *body, u32 len, const void *payload, u32 plen)
{
	struct lite_request req = {
		.node = NODE_A, .incarnation = INCARNATION(NODE_A), .op = op,
		.body = body, .body_len = len, .payload = payload,
		.payload_len = plen,
	};
	struct mmon_pages pages;
	struct mmon_body answer;

	return mmon_handle(&m, &req, &pages, &answer);
}

static int flush_page(u64 asid, u64 seq, u64 addr, u64 stamp)
{
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page;
	} msg = { { asid, seq, 1, 0 }, { addr, 0, 0 } };
	static u8 page[MMON_PAGE_SIZE] __aligned(8);
	struct content c = { asid, addr, stamp, NODE_A };

	content_fill(page, &c);
	msg.page.sum = crc32c(~0u, page, sizeof(page));
	return raw(MMON_OP_FLUSH, &msg, sizeof(msg), page, sizeof(page));
}

static int overwrite(void)
{
	return flush_page(P, 3, PAGE(5), 11);
}

static int quit(void)
{
	struct mmon_exit msg = { P };

	return raw(MMON_OP_EXIT, &msg, sizeof(msg), NULL, 0);
}

/* Free the frame and give it to somebody else, or to another page. */
static int reuse(void)
{
	struct {
		struct mmon_maps head;
		struct mmon_change change;
	} msg = { { P, 3, 1, 0 }, ch(MMON_DISCARD, 0, 5, 5, 0) };
	int err = raw(MMON_OP_MAPS, &msg, sizeof(msg), NULL, 0);

	return err ? err : flush_page(P, 4, PAGE(6), 12);
}

static int reuse_for_same_page(void)
{
	int err = reuse();

	if (err)
		return err;
	return flush_page(P, 5, PAGE(5), 13);
}

static void do_overwrite(void) { inner = other_cpu(overwrite); }
static void do_quit(void) { inner = other_cpu(quit); }
static void do_reuse(void) { inner = other_cpu(reuse); }
static void do_reuse_same(void) { inner = other_cpu(reuse_for_same_page); }

/*
 * The hook that mmon_space_get() of the inner request would trigger is spent
 * already, as hooks run once: the outer fetch takes no reference on a space.
 */
static int fetch_during(void (*hook)(void), u64 *stamp)
{
	int err;

	shim_tryget_hook = hook;
	err = do_fetch1(&m, NODE_A, P, PAGE(5), stamp);
	assert_null(shim_tryget_hook);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
	return err;
}

static void fetch_meets_overwriting(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(fetch_during(do_overwrite, &stamp), 0);
	assert_int_equal(stamp, 11);
}

static void fetch_meets_exit(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(fetch_during(do_quit, &stamp), -ENOENT);
	assert_int_equal(counter(&m, "spaces"), 0);
}

static void fetch_meets_reuse(void **state)
{
	u64 stamp;

	(void)state;
	/* The very frame that the fetch has its hand on now has page 6. */
	assert_int_equal(fetch_during(do_reuse, &stamp), -ENOENT);
	assert_int_equal(do_fetch1(&m, NODE_A, P, PAGE(6), &stamp), 0);
	assert_int_equal(stamp, 12);
}

static void fetch_meets_reuse_for_the_same_page(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(fetch_during(do_reuse_same, &stamp), 0);
	assert_int_equal(stamp, 13);
}

static void request_finds_a_dying_space(void **state)
{
	const u32 a = NODE_A;
	u64 stamp;

	(void)state;
	/* The table gave a reference just before the space ended. */
	held = mmon_space_get(&m, P);
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	assert_true(held->dead);
	assert_false(mmon_space_remove(&m, held));
	assert_int_equal(mmon_spaces_drop(&m, &a), 0);
	assert_int_equal(do_fetch1(&m, NODE_A, P, PAGE(5), &stamp), -ENOENT);
	assert_int_equal(do_flush1(&m, NODE_A, P, 3, PAGE(5), 1), -ENOENT);
	/* The asid is free again at once. */
	assert_int_equal(do_map(&m, NODE_A, P, 1, ch(MMON_MAP, RW, 0, 9, 0)), 0);
	fixture_check(&m, NULL, 0);
	mmon_space_put(held);
	shim_rcu_flush();
}

/* EXIT gets in between the lookup of the space and its lock. */
static void maps_meets_exit(void **state)
{
	const struct mmon_change map = ch(MMON_MAP, RW, 200, 299, 0);

	(void)state;
	shim_tryget_hook = do_quit;
	/* The lookup loses: no reference can be had any more. */
	assert_int_equal(do_map(&m, NODE_A, P, 3, map), -ENOENT);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
}

/* The same, but a moment later: the reference is there, the lock is not. */
static void maps_waits_for_exit(void **state)
{
	const struct mmon_change map = ch(MMON_MAP, RW, 200, 299, 0);
	u64 stamp;

	(void)state;
	shim_lock_hook = do_quit;
	assert_int_equal(do_map(&m, NODE_A, P, 3, map), -ENOENT);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "spaces"), 0);
	/* Number 1 makes a new one instead. */
	assert_int_equal(do_map(&m, NODE_A, P, 1, map), 0);
	inner = 1;
	shim_lock_hook = do_quit;
	assert_int_equal(do_map(&m, NODE_A, P, 1, map), 0);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(do_fetch1(&m, NODE_A, P, PAGE(200), &stamp), -ENOENT);
	assert_int_equal(counter(&m, "spaces"), 1);
}

static void flush_waits_for_exit(void **state)
{
	(void)state;
	shim_lock_hook = do_quit;
	assert_int_equal(do_flush1(&m, NODE_A, P, 3, PAGE(5), 1), -ENOENT);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
}

static void exit_waits_for_exit(void **state)
{
	(void)state;
	shim_lock_hook = do_quit;
	assert_int_equal(do_exit(&m, NODE_A, P), 0);
	assert_int_equal(inner, 0);
	assert_int_equal(counter(&m, "exits"), 1);
	assert_int_equal(counter(&m, "repeats"), 1);
	fixture_check(&m, NULL, 0);
}

static void clone_waits_for_exit_of_parent(void **state)
{
	(void)state;
	shim_lock_hook = do_quit;
	assert_int_equal(do_clone(&m, NODE_A, P, 3, C, 0, PAGE(9)), -ENOENT);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "spaces"), 0);
}

static int quit_child(void)
{
	struct mmon_exit msg = { C };

	return raw(MMON_OP_EXIT, &msg, sizeof(msg), NULL, 0);
}

static void do_quit_child(void) { inner = other_cpu(quit_child); }

static void clone_waits_for_exit_of_child(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(do_map(&m, NODE_A, C, 1, ch(MMON_MAP, RW, 0, 99, 0)), 0);
	assert_int_equal(do_flush1(&m, NODE_A, C, 2, PAGE(50), 9), 0);
	shim_lock_hook = do_quit_child;
	assert_int_equal(do_clone(&m, NODE_A, P, 3, C, 0, PAGE(9)), 0);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(do_fetch1(&m, NODE_A, C, PAGE(5), &stamp), 0);
	assert_int_equal(do_fetch1(&m, NODE_A, C, PAGE(50), &stamp), -EFAULT);
}

static int create_child(void)
{
	struct {
		struct mmon_maps head;
		struct mmon_change change;
	} msg = { { C, 1, 1, 0 }, ch(MMON_MAP, RW, 0, 9, 0) };

	return raw(MMON_OP_MAPS, &msg, sizeof(msg), NULL, 0);
}

static void do_create_child(void) { inner = other_cpu(create_child); }

/* Another request creates the child while the clone is made. */
static void clone_meets_creation(void **state)
{
	u64 stamp;

	(void)state;
	shim_resched_hook = do_create_child;
	assert_int_equal(do_clone(&m, NODE_A, P, 3, C, 0, PAGE(100)), 0);
	assert_int_equal(inner, 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "spaces"), 2);
	assert_int_equal(do_fetch1(&m, NODE_A, C, PAGE(5), &stamp), 0);
	assert_int_equal(stamp, 10);
	assert_int_equal(do_flush1(&m, NODE_A, C, 2, PAGE(5), 2), 0);
}

/* Two deliveries of request number 1. */
static void creation_meets_creation(void **state)
{
	struct mmon_owner owner = { INCARNATION(NODE_A), NODE_A };
	struct mmon_space *space = mmon_space_create(&m, C, &owner);

	(void)state;
	mutex_lock(&space->lock);
	inner = create_child();
	assert_int_equal(inner, 0);
	assert_int_equal(mmon_space_publish(&m, space), -EEXIST);
	mmon_space_clear(&m, space);
	mutex_unlock(&space->lock);
	mmon_space_put(space);
	shim_rcu_flush();
	fixture_check(&m, NULL, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fetch_meets_overwriting),
		TEST(fetch_meets_exit),
		TEST(fetch_meets_reuse),
		TEST(fetch_meets_reuse_for_the_same_page),
		TEST(request_finds_a_dying_space),
		TEST(maps_meets_exit),
		TEST(maps_waits_for_exit),
		TEST(flush_waits_for_exit),
		TEST(exit_waits_for_exit),
		TEST(clone_waits_for_exit_of_parent),
		TEST(clone_waits_for_exit_of_child),
		TEST(clone_meets_creation),
		TEST(creation_meets_creation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
