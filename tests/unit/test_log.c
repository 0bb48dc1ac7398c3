// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the log of replicas: lives of segments, compaction, spilling
 * to a store and reading back, what the store may do wrong, waiting for room, and
 * readers that hold segments. Segments are of 8 pages.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "store_memory.h"

#include <cmocka.h>

#define CAPACITY	60
#define SEGMENTS	6
#define R	0x1000ull

static struct mmon m;
static struct memory_store *store;
static u64 seq;

static void start(bool stored)
{
	store = stored ? store_memory() : NULL;
	fixture_start_log(&m, CAPACITY, SEGMENTS, store ? &store->store : NULL);
	assert_int_equal(do_replica(&m, NODE_A, R, 0), 0);
	assert_int_equal(do_map(&m, NODE_A, R, 2, ch(MMON_MAP, RW, 0, 999, 0)), 0);
	seq = 2;
}

static int setup(void **state)
{
	(void)state;
	start(false);
	return 0;
}

static int setup_store(void **state)
{
	(void)state;
	start(true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	shim_wait_hook = NULL;
	fixture_stop(&m);
	return 0;
}

static int put(u64 page, u32 nr, u64 stamp)
{
	u64 addr[MMON_FLUSH_MAX];
	u32 i;
	int err;

	for (i = 0; i < nr; i++)
		addr[i] = PAGE(page + i);
	err = do_flush(&m, NODE_A, R, seq + 1, nr, addr, stamp);
	seq += !err;
	return err;
}

static void drop(u64 first, u64 last)
{
	assert_int_equal(do_map(&m, NODE_A, R, ++seq,
				ch(MMON_DISCARD, 0, first, last, 0)), 0);
}

static void expect(u64 page, u64 stamp)
{
	u64 is;

	assert_int_equal(do_fetch1(&m, NODE_A, R, PAGE(page), &is),
			 stamp ? 0 : -ENOENT);
	assert_int_equal(is, stamp);
}

static u32 maintain(void)
{
	u32 n = 0;

	while (mmon_log_maintain(&m.log)) {
		fixture_check(&m, NULL, 0);
		assert_true(++n < 1000);
	}
	return n;
}

/* While a request holds its space. */
static void maintain_now(void)
{
	while (mmon_log_maintain(&m.log))
		;
}

/* ---- in memory ------------------------------------------------------------------------ */

static void dead_segments_are_free_at_once(void **state)
{
	(void)state;
	assert_int_equal(put(0, 8, 1), 0);
	assert_int_equal(put(8, 4, 1), 0);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS - 2);
	drop(0, 6);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS - 2);
	drop(7, 7);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS - 1);
	assert_int_equal(counter(&m, "log_segments_total"), SEGMENTS);
	/* One that is not full stays, whatever is in it. */
	drop(8, 11);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS - 1);
}

static void overwriting_never_ends(void **state)
{
	u32 i;

	(void)state;
	for (i = 1; i < 500; i++) {
		assert_int_equal(put(i % 3, 1 + i % 8, i), 0);
		maintain();
		expect(i % 3, i);
	}
	assert_true(counter(&m, "log_compactions") > 0);
	assert_int_equal(counter(&m, "log_waits"), 0);
}

static void full_log_is_refused(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < SEGMENTS - 1; i++)
		assert_int_equal(put(8 * i, 8, 1), 0);
	assert_int_equal(maintain(), 0);		/* all is alive */
	assert_int_equal(put(900, 1, 1), -ENOSPC);
	assert_int_equal(put(0, 1, 2), -ENOSPC);
	expect(0, 1);
	expect(900, 0);
	assert_int_equal(counter(&m, "log_waits"), 2);
	assert_int_equal(counter(&m, "refused_no_frames"), 2);
	fixture_check(&m, NULL, 0);
	drop(0, 7);
	assert_int_equal(put(900, 8, 3), 0);
}

/* Nothing is mostly dead, but there is room between what is alive. */
static void who_waits_makes_it_compact_more(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < SEGMENTS - 1; i++)
		assert_int_equal(put(8 * i, 8, 1), 0);
	for (i = 0; i < SEGMENTS - 1; i++)
		drop(8 * i, 8 * i + 2);
	assert_int_equal(maintain(), 0);
	shim_wait_hook = maintain_now;
	assert_int_equal(put(900, 8, 2), 0);
	assert_int_equal(counter(&m, "log_waits"), 1);
	assert_true(counter(&m, "log_compactions") > 0);
	for (i = 0; i < SEGMENTS - 1; i++) {
		expect(8 * i + 2, 0);
		expect(8 * i + 3, 1);
	}
	expect(900, 2);
}

static int appended;

static void append_meanwhile(void)
{
	struct mmon_place places[2];

	appended = mmon_log_take(&m.log, 2, places);
	if (!appended)
		mmon_log_untake(&m.log, 2, places);
}

static void maintain_while_others_append(void)
{
	shim_resched_hook = append_meanwhile;
	maintain_now();
}

/* Compaction has opened the last free segment: nobody else gets what it needs there. */
static void compaction_is_left_its_room(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < SEGMENTS - 1; i++)
		assert_int_equal(put(8 * i, 8, 1), 0);
	for (i = 0; i < SEGMENTS - 1; i++)
		drop(8 * i + 7, 8 * i + 7);
	appended = 0;
	shim_wait_hook = maintain_while_others_append;
	assert_int_equal(put(900, 4, 2), 0);
	assert_int_equal(appended, -ENOSPC);
	fixture_check(&m, NULL, 0);
	for (i = 0; i < SEGMENTS - 1; i++) {
		expect(8 * i + 7, 0);
		expect(8 * i + 6, 1);
	}
	expect(903, 2);
}

static void compaction_keeps_what_is_alive(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < SEGMENTS - 1; i++) {
		assert_int_equal(put(8 * i, 8, 1), 0);
		if (i < 3)
			drop(8 * i, 8 * i + 5);
	}
	assert_int_equal(do_clone(&m, NODE_A, R, ++seq, R + 1, 0, PAGE(9)), 0);
	assert_true(maintain() > 0);
	assert_int_equal(counter(&m, "log_segments_free"), 3);
	for (i = 0; i < 8 * (SEGMENTS - 1); i++)
		expect(i, i < 24 && i % 8 < 6 ? 0 : 1);
	assert_int_equal(do_exit(&m, NODE_A, R), 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "log_records"), 2);
}

static void readers_keep_segments(void **state)
{
	const u64 addr[] = { PAGE(0), PAGE(1) };
	struct mmon_pages pages;
	struct content c;

	(void)state;
	assert_int_equal(put(0, 8, 1), 0);
	assert_int_equal(do_fetch(&m, NODE_A, R, 2, addr, &pages), 0);
	drop(0, 7);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS - 1);
	fixture_check(&m, &pages, 1);
	assert_true(content_read(page_data(&m, &pages, 1), &c));
	assert_int_equal(c.addr, PAGE(1));
	mmon_pages_put(&m, &pages);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS);
}

/* ---- the store ---------------------------------------------------------------------------- */

static void fill_store(void)
{
	u32 i;

	for (i = 0; i < 3 * SEGMENTS; i++) {
		assert_int_equal(put(8 * i, 8, 1 + i), 0);
		maintain();
	}
	assert_true(store->nr > SEGMENTS);
}

static void what_does_not_fit_is_stored(void **state)
{
	u32 i;

	(void)state;
	fill_store();
	assert_int_equal(counter(&m, "log_segments_stored"), store->nr);
	assert_int_equal(counter(&m, "log_stored"), store->nr);
	assert_int_equal(counter(&m, "log_waits"), 0);
	assert_int_equal(counter(&m, "log_records"), 24 * SEGMENTS);
	for (i = 0; i < 24 * SEGMENTS; i++)
		expect(i, 1 + i / 8);
	assert_true(counter(&m, "log_loads") >= 8 * SEGMENTS);
}

static void stored_segments_die(void **state)
{
	(void)state;
	fill_store();
	assert_int_equal(do_exit(&m, NODE_A, R), 0);
	maintain();
	assert_int_equal(store->nr, 0);
	assert_int_equal(counter(&m, "log_segments_stored"), 0);
	assert_int_equal(counter(&m, "log_segments_free"), SEGMENTS);
}

static void stored_segments_are_compacted(void **state)
{
	u32 i, before;

	(void)state;
	fill_store();
	before = store->nr;
	for (i = 0; i < 24 * SEGMENTS; i += 8)
		drop(i, i + 6);
	maintain();
	assert_true(store->nr < before / 2);
	for (i = 0; i < 24 * SEGMENTS; i++)
		expect(i, i % 8 < 7 ? 0 : 1 + i / 8);
}

static void store_is_full(void **state)
{
	u32 i;

	(void)state;
	store->fail_writes = -ENOSPC;
	for (i = 0; i < SEGMENTS - 1; i++) {
		assert_int_equal(put(8 * i, 8, 1), 0);
		maintain();
	}
	assert_int_equal(put(900, 1, 1), -ENOSPC);
	store->fail_writes = 0;
	shim_wait_hook = maintain_now;
	assert_int_equal(put(900, 1, 1), 0);
	expect(0, 1);
}

static int fetch_error(u64 page)
{
	u64 addr = PAGE(page);
	struct mmon_pages pages;
	static u8 data[MMON_PAGE_SIZE];
	int err;

	assert_int_equal(do_fetch(&m, NODE_A, R, 1, &addr, &pages), 0);
	assert_int_equal(pages.stored, 1);
	err = mmon_log_load(&m.log, &pages.place[0], NULL, data);
	mmon_pages_put(&m, &pages);
	return err;
}

static void store_lies(void **state)
{
	struct memory_segment *s;
	struct mmon_segment_header good;

	(void)state;
	fill_store();
	s = store->segment[0];
	good = s->header;
	assert_int_equal(fetch_error(0), 0);
	store->fail_reads = -ENOMEM;
	assert_int_equal(fetch_error(0), -ENOMEM);
	store->fail_reads = 0;
	s->page[0][5] ^= 1;
	assert_int_equal(fetch_error(0), -EIO);
	assert_int_equal(fetch_error(1), 0);
	s->page[0][5] ^= 1;
	s->header.record[7].addr ^= 1;		/* of another page */
	assert_int_equal(fetch_error(0), -EIO);
	s->header = store->segment[1]->header;	/* good, of another segment */
	assert_int_equal(fetch_error(0), -EIO);
	s->header = good;
	assert_int_equal(fetch_error(0), 0);
}

/* A record that is lost stays one, and the others are rebuilt. */
static void rebuild_from_the_store(void **state)
{
	u32 i;

	(void)state;
	fill_store();
	drop(0, 24 * SEGMENTS - 41);
	maintain();
	for (i = 0; i < 4; i++) {		/* push what is left out */
		assert_int_equal(put(900, 8, 1), 0);
		assert_int_equal(put(908, 8, 1), 0);
		maintain();
	}
	assert_true(store->nr > 0);
	store->segment[0]->page[2][0] ^= 1;
	assert_int_equal(do_promote(&m, NODE_A, R, ++seq), 0);
	while (mmon_rebuild(&m) == 1)
		fixture_check(&m, NULL, 0);
	assert_int_equal(mmon_rebuild(&m), 0);
	assert_int_equal(counter(&m, "log_records"), 1);
	assert_int_equal(counter(&m, "rebuilt_pages"), 40 + 16 - 1);
}

static u64 dropped_first;

static void drop_meanwhile(void)
{
	drop(dropped_first, dropped_first + 7);
}

/* All that a segment had dies while it is written. */
static void segment_dies_while_it_is_written(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_int_equal(put(8 * i, 8, 1), 0);
	dropped_first = 0;
	store->write_hook = drop_meanwhile;
	assert_int_equal(put(24, 8, 1), 0);
	maintain();
	fixture_check(&m, NULL, 0);
	expect(0, 0);
	expect(8, 1);
}

/* Who reads a segment that is being stored keeps its buffer. */
static void reader_of_what_is_stored(void **state)
{
	const u64 addr = PAGE(0);
	struct mmon_pages pages;
	struct content c;
	u32 i;

	(void)state;
	assert_int_equal(put(0, 8, 1), 0);
	assert_int_equal(do_fetch(&m, NODE_A, R, 1, &addr, &pages), 0);
	for (i = 1; i < 4; i++)
		assert_int_equal(put(8 * i, 8, 1), 0);
	while (mmon_log_maintain(&m.log))
		fixture_check(&m, &pages, 1);
	assert_int_equal(pages.stored, 0);
	assert_true(content_read(page_data(&m, &pages, 0), &c));
	expect(1, 1);
	mmon_pages_put(&m, &pages);
	fixture_check(&m, NULL, 0);
	for (i = 4; i < 8; i++) {
		assert_int_equal(put(8 * i, 8, 1), 0);
		maintain();
	}
	for (i = 0; i < 64; i++)
		expect(i, 1);
}

/* What a reader wants from the store is not dropped under it. */
static void reader_of_what_dies_in_the_store(void **state)
{
	const u64 addr = PAGE(0);
	struct mmon_pages pages;
	struct content c;
	u32 before;

	(void)state;
	fill_store();
	before = store->nr;
	assert_int_equal(do_fetch(&m, NODE_A, R, 1, &addr, &pages), 0);
	assert_int_equal(pages.stored, 1);
	drop(0, 7);
	while (mmon_log_maintain(&m.log))
		;
	assert_int_equal(store->nr, before);
	assert_true(content_read(page_data(&m, &pages, 0), &c));
	mmon_pages_put(&m, &pages);
	maintain();
	assert_int_equal(store->nr, before - 1);
}

static void creation_fails_cleanly(void **state)
{
	struct memory_store *ms = store_memory();
	struct mmon_log log;
	long at;
	int err;

	(void)state;
	for (at = 0;; at++) {
		shim_failed = false;
		shim_fail_at = at;
		err = mmon_log_create(&log, 3, &ms->store);
		shim_fail_at = -1;
		if (!shim_failed)
			break;
		assert_int_equal(err, -ENOMEM);
		assert_int_equal(log.nr_segments, 0);
	}
	assert_int_equal(err, 0);
	mmon_log_drain(&log);
	mmon_log_destroy(&log);
}

#define TEST(f)		cmocka_unit_test_setup_teardown(f, setup, teardown)
#define STORED(f)	cmocka_unit_test_setup_teardown(f, setup_store, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(dead_segments_are_free_at_once),
		TEST(overwriting_never_ends),
		TEST(full_log_is_refused),
		TEST(who_waits_makes_it_compact_more),
		TEST(compaction_is_left_its_room),
		TEST(compaction_keeps_what_is_alive),
		TEST(readers_keep_segments),
		STORED(what_does_not_fit_is_stored),
		STORED(stored_segments_die),
		STORED(stored_segments_are_compacted),
		STORED(store_is_full),
		STORED(store_lies),
		STORED(rebuild_from_the_store),
		STORED(segment_dies_while_it_is_written),
		STORED(reader_of_what_is_stored),
		STORED(reader_of_what_dies_in_the_store),
		TEST(creation_fails_cleanly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
