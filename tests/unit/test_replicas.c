// SPDX-License-Identifier: GPL-2.0
/*
 * This test will do to replicas what it does to their primaries: the same random
 * requests, and some that only replicas are sent. All pages and all answers must agree
 * at any time, while records are compacted, stored and compacted there, after a
 * promotion, and while frames take the records' places. Segments and chunks are of 8
 * pages.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "store_memory.h"

#include <cmocka.h>

#define CAPACITY	400	/* never full: the log is what is tested */
#define SEGMENTS	30
#define PAGES		48
#define SPACES		3
#define ROUNDS		30
#define STEPS		600

static struct mmon m;
static struct memory_store *store;
static u64 stamp;

static struct {
	bool exists;
	bool promoted;
	u64 seq;
} space[SPACES];

static u64 primary(u32 i)
{
	return 0x100 + i;
}

static u64 replica(u32 i)
{
	return 0x200 + i;
}

static u64 page_no(u32 i)
{
	return i < PAGES / 2 ? i : (1ull << 34) + i;
}

static struct mmon_space *get(u64 asid)
{
	return xa_load(&m.spaces, asid);
}

static void map_all(u32 i)
{
	const struct mmon_change changes[] = {
		ch(MMON_MAP, RW, 0, PAGES / 2 - 1, 0),
		ch(MMON_MAP, RW, page_no(PAGES / 2), page_no(PAGES - 1), 0),
	};

	space[i].seq++;
	assert_int_equal(do_maps(&m, NODE_A, primary(i), space[i].seq, 2, changes), 0);
	assert_int_equal(do_maps(&m, NODE_A, replica(i), space[i].seq, 2, changes), 0);
}

/* Both are numbered alike: a primary begins with maps that change nothing. */
static void create(u32 i)
{
	if (space[i].exists)
		return;
	assert_int_equal(do_map(&m, NODE_A, primary(i), 1,
				ch(MMON_DISCARD, 0, 0, 0, 0)), 0);
	assert_int_equal(do_replica(&m, NODE_A, replica(i), NODE_B), 0);
	space[i].exists = true;
	space[i].promoted = false;
	space[i].seq = 1;
	map_all(i);
}

static void some_range(u32 *first, u32 *last)
{
	u32 half = random_below(2) * PAGES / 2;

	*first = half + random_below(PAGES / 2);
	*last = *first + random_below(half + PAGES / 2 - *first);
}

static struct mmon_change some_change(void)
{
	u32 first, last, type = random_below(3) ? MMON_MAP : 1 + random_below(4);
	u32 prot = random_below(8) ? RW : random_below(4), to;

	some_range(&first, &last);
	if (type == MMON_UNMAP || type == MMON_DISCARD)
		prot = 0;
	to = (first < PAGES / 2 ? PAGES / 2 : 0) +
	     random_below(PAGES / 2 - (last - first));
	return ch(type, prot, page_no(first), page_no(last),
		  type == MMON_MOVE ? page_no(to) : 0);
}

static void maps(u32 i)
{
	struct mmon_change changes[4];
	u32 j, nr = 1 + random_below(4);
	int err;

	for (j = 0; j < nr; j++)
		changes[j] = some_change();
	err = do_maps(&m, NODE_A, primary(i), space[i].seq + 1, nr, changes);
	assert_int_equal(do_maps(&m, NODE_A, replica(i), space[i].seq + 1, nr,
				 changes), err);
	space[i].seq += !err;
}

static int log_room(u32 nr)
{
	struct mmon_log_stats stats;

	mmon_log_read_stats(&m.log, &stats);
	return stats.segments_free * MMON_SEGMENT_PAGES > nr + MMON_SEGMENT_PAGES;
}

static void flush(u32 i)
{
	u32 j, nr = 1 + random_below(MMON_FLUSH_MAX), first = random_below(PAGES);
	u64 addr[MMON_FLUSH_MAX];
	int err;

	if (!log_room(nr))
		return;
	for (j = 0; j < nr; j++)
		addr[j] = PAGE(page_no((first + j) % PAGES));
	stamp++;
	err = do_flush(&m, NODE_A, primary(i), space[i].seq + 1, nr, addr, stamp);
	assert_true(err == 0 || err == -EFAULT || err == -EACCES);
	assert_int_equal(do_flush(&m, NODE_A, replica(i), space[i].seq + 1, nr,
				  addr, stamp), err);
	space[i].seq += !err;
}

/* What the replica has already it keeps; what it has not, the primary has not. */
static void feed(u32 i)
{
	struct mmon_space *s = get(replica(i));
	u64 addr = PAGE(page_no(random_below(PAGES)));
	bool there = xa_load(&s->pages, addr >> MMON_PAGE_SHIFT);

	if (!there)
		return;
	assert_int_equal(do_feed(&m, NODE_B, replica(i), 1, &addr, NODE_A, ++stamp),
			 0);
}

static void clone(u32 i)
{
	u32 child = random_below(SPACES), first = 0, last = PAGES - 1;
	int err;

	if (child == i || (space[child].exists &&
			   space[child].promoted != space[i].promoted))
		return;
	if (random_below(2))
		some_range(&first, &last);
	err = do_clone(&m, NODE_A, primary(i), space[i].seq + 1, primary(child),
		       PAGE(page_no(first)), PAGE(page_no(last) + 1));
	assert_int_equal(err, 0);
	err = do_clone(&m, NODE_A, replica(i), space[i].seq + 1, replica(child),
		       PAGE(page_no(first)), PAGE(page_no(last) + 1));
	assert_int_equal(err, 0);
	space[i].seq++;
	if (space[child].exists)
		return;
	space[child].exists = true;
	space[child].promoted = space[i].promoted;
	space[child].seq = 0;
}

static void quit(u32 i)
{
	assert_int_equal(do_exit(&m, NODE_A, primary(i)), 0);
	assert_int_equal(do_exit(&m, NODE_A, replica(i)), 0);
	space[i].exists = false;
}

static void promote(u32 i)
{
	if (space[i].promoted)
		return;
	space[i].seq++;
	assert_int_equal(do_promote(&m, NODE_A, primary(i), space[i].seq), 0);
	assert_int_equal(do_promote(&m, NODE_A, replica(i), space[i].seq), 0);
	space[i].promoted = true;
}

static void same_page(u32 i, u32 page)
{
	u64 addr = PAGE(page_no(page));
	struct mmon_pages a, b;
	struct content x, y;
	int err;

	err = do_fetch(&m, NODE_A, primary(i), 1, &addr, &a);
	assert_int_equal(do_fetch(&m, NODE_A, replica(i), 1, &addr, &b), err);
	if (err)
		return;
	assert_true(content_read(page_data(&m, &a, 0), &x));
	assert_true(content_read(page_data(&m, &b, 0), &y));
	assert_int_equal(x.stamp, y.stamp);
	assert_int_equal(x.addr, y.addr);
	mmon_pages_put(&m, &a);
	mmon_pages_put(&m, &b);
}

static void compare_all(void)
{
	u32 i, j;

	for (i = 0; i < SPACES; i++) {
		if (!space[i].exists)
			continue;
		assert_int_equal(get(primary(i))->seq, space[i].seq);
		assert_int_equal(get(replica(i))->seq, space[i].seq);
		assert_int_equal(get(primary(i))->frames,
				 get(replica(i))->frames + get(replica(i))->records);
		for (j = 0; j < PAGES; j++)
			same_page(i, j);
	}
}

static void step(void)
{
	u32 dice = random_below(100), i = random_below(SPACES);

	create(i);
	if (dice < 8)
		maps(i);
	else if (dice < 14)
		map_all(i);
	else if (dice < 65)
		flush(i);
	else if (dice < 72)
		feed(i);
	else if (dice < 80)
		clone(i);
	else if (dice < 81)
		quit(i);
	else if (dice < 82 && !random_below(3))
		promote(i);
	else if (dice < 96)
		mmon_log_maintain(&m.log);
	else
		mmon_rebuild(&m);
	fixture_check(&m, NULL, 0);
}

static void end(void)
{
	u32 i;

	compare_all();
	for (i = 0; i < SPACES; i++) {
		create(i);
		promote(i);
	}
	compare_all();
	while (mmon_rebuild(&m) == 1)
		;
	assert_int_equal(counter(&m, "log_records"), 0);
	compare_all();
}

static void replicas_are_as_primaries(void **state)
{
	u32 round, i;

	(void)state;
	random_seed(seed_from_env("SK_REPLICAS_SEED"));
	for (round = 0; round < ROUNDS; round++) {
		store = round % 3 ? store_memory() : NULL;
		fixture_start_log(&m, CAPACITY, SEGMENTS / (1 + round % 3),
				  store ? &store->store : NULL);
		memset(space, 0, sizeof(space));
		for (i = 0; i < STEPS; i++) {
			step();
			if (!(i % 50))
				compare_all();
		}
		end();
		if (round == 2)
			print_message("%llu appends, %llu compactions, %llu stored, %llu loads\n",
				      (unsigned long long)counter(&m, "log_appends"),
				      (unsigned long long)counter(&m, "log_compactions"),
				      (unsigned long long)counter(&m, "log_stored"),
				      (unsigned long long)counter(&m, "log_loads"));
		fixture_stop(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replicas_are_as_primaries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
