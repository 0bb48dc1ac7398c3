// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check who gets chunks, which frames are taken from them, when
 * they are taken away, and what the owners are told. Chunks have their real size.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CHUNKS		3
#define CAPACITY	(CHUNKS * MMON_CHUNK_FRAMES - MMON_RESERVE)
#define A	0x1000ull
#define B	0x2000ull
#define C	0x3000ull

static struct mmon m;
static u64 seq[4];

static u64 *seq_of(u64 asid)
{
	return &seq[asid >> 12];
}

static void make(u64 asid)
{
	*seq_of(asid) = 1;
	assert_int_equal(do_map(&m, NODE_A, asid, 1,
				ch(MMON_MAP, RW, 0, 9999, 0)), 0);
}

static int setup(void **state)
{
	(void)state;
	fixture_start(&m, CAPACITY);
	make(A);
	make(B);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lite_stub_no_windows = false;
	assert_null(lite_stub_window_hook);
	fixture_stop(&m);
	return 0;
}

/* Of all pages of a flush that begins with @page. */
static u64 stamp_of(u64 page, u64 version)
{
	return page + version * 1000000;
}

static int try_store(u64 asid, u64 first, u32 nr, u64 version)
{
	u64 addr[MMON_FLUSH_MAX];
	u32 i;
	int err;

	for (i = 0; i < nr; i++)
		addr[i] = PAGE(first + i);
	err = do_flush(&m, NODE_A, asid, *seq_of(asid) + 1, nr, addr,
		       stamp_of(first, version));
	*seq_of(asid) += !err;
	return err;
}

static void store(u64 asid, u64 first, u32 nr)
{
	u32 n;

	for (; nr; nr -= n, first += n) {
		n = min(nr, (u32)MMON_FLUSH_MAX);
		assert_int_equal(try_store(asid, first, n, 0), 0);
	}
	fixture_check(&m, NULL, 0);
}

static void change(u64 asid, struct mmon_change change)
{
	assert_int_equal(do_map(&m, NODE_A, asid, ++*seq_of(asid), change), 0);
	fixture_check(&m, NULL, 0);
}

/* Ask where pages are, by a flush that was applied already. */
static struct place ask(u64 asid, u64 page)
{
	u64 addr = PAGE(page);

	assert_int_equal(do_flush(&m, NODE_A, asid, 1, 1, &addr, 0), 0);
	return flush_place(0);
}

static bool reached(struct place place)
{
	return place.rkey && lite_stub_reach(place.rkey, place.addr);
}

static u32 chunk_at(struct place place)
{
	return place.frame >> MMON_CHUNK_SHIFT;
}

/* ---- claiming ----------------------------------------------------------------- */

static void small_spaces_share(void **state)
{
	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(B, 0, MMON_CLAIM_FRAMES);
	assert_int_equal(counter(&m, "chunks_granted"), 0);
	assert_false(flush_place(0).rkey);
	assert_int_equal(m.pool.nr_common, m.pool.nr_free);
}

static void large_space_gets_a_chunk(void **state)
{
	struct place first;
	u32 i;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	assert_int_equal(counter(&m, "chunks_granted"), 0);
	store(A, 100, MMON_FLUSH_MAX);
	assert_int_equal(counter(&m, "chunks_granted"), 1);
	first = flush_place(0);
	assert_true(first.rkey);
	for (i = 1; i < MMON_FLUSH_MAX; i++) {
		assert_int_equal(flush_place(i).frame, first.frame + i);
		assert_int_equal(flush_place(i).rkey, first.rkey);
	}
	/* What was stored before is where it was. */
	assert_false(ask(A, 0).rkey);
	assert_true(reached(ask(A, 100)));
}

static void neighbours_lie_together(void **state)
{
	u32 i, frame;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 300);
	frame = ask(A, 100).frame;
	for (i = 1; i < 300; i++)
		assert_int_equal(ask(A, 100 + i).frame, frame + i);
}

static void own_frames_come_first(void **state)
{
	u32 common, chunk;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 200);
	chunk = chunk_at(flush_place(0));
	common = m.pool.nr_common;
	change(A, ch(MMON_DISCARD, 0, 150, 249, 0));
	assert_int_equal(m.pool.nr_common, common);	/* still its own */
	store(B, 0, 30);
	assert_int_equal(m.pool.nr_common, common - 30);
	store(A, 1000, 300);
	assert_int_equal(chunk_at(flush_place(0)), chunk);
	store(A, 100, 50);		/* overwritten: stays */
	assert_int_equal(chunk_at(flush_place(0)), chunk);
	assert_int_equal(m.pool.nr_common, common - 30);
	assert_int_equal(counter(&m, "chunks_granted"), 1);
}

static void full_chunk_leads_to_the_next(void **state)
{
	const u64 addr[] = { PAGE(100), PAGE(700), PAGE(0), PAGE(101) };

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 610);
	assert_int_equal(counter(&m, "chunks_granted"), 2);
	/* One grant for each chunk, none for the common one. */
	assert_int_equal(do_flush(&m, NODE_A, A, 1, 4, addr, 0), 0);
	assert_true(flush_place(0).rkey);
	assert_true(flush_place(1).rkey);
	assert_false(flush_place(2).rkey);
	assert_int_not_equal(flush_place(0).rkey, flush_place(1).rkey);
	assert_int_equal(flush_place(0).rkey, flush_place(3).rkey);
}

static void chunk_is_cleared(void **state)
{
	static const u8 zero[MMON_PAGE_SIZE];
	struct place place;
	u32 i;

	(void)state;
	store(A, 0, 1200);
	assert_int_equal(do_exit(&m, NODE_A, A), 0);
	store(B, 0, MMON_CLAIM_FRAMES);
	store(B, 100, 1);
	place = flush_place(0);
	assert_true(place.rkey);
	assert_int_equal(place.frame % MMON_CHUNK_FRAMES, 0);
	for (i = 1; i < MMON_CHUNK_FRAMES; i++)
		assert_memory_equal(lite_stub_reach(place.rkey, place.addr +
						    i * MMON_PAGE_SIZE),
				    zero, sizeof(zero));
}

/* ---- without ------------------------------------------------------------------------ */

static void no_window_no_grant(void **state)
{
	(void)state;
	lite_stub_no_windows = true;
	store(A, 0, 300);
	assert_int_equal(counter(&m, "chunks_granted"), 0);
	assert_false(flush_place(0).rkey);
	assert_int_equal(m.pool.nr_common, m.pool.nr_free);
	lite_stub_no_windows = false;
	store(A, 300, 1);
	assert_true(flush_place(0).rkey);
}

/* Only what the page map needs may fail the request. */
static void claiming_may_fail(void **state)
{
	bool without = false;
	long at;
	int err;

	for (at = 0;; at++) {
		store(A, 0, MMON_CLAIM_FRAMES);
		shim_failed = false;
		shim_fail_at = at;
		err = try_store(A, 5000, MMON_FLUSH_MAX, 0);
		shim_fail_at = -1;
		fixture_check(&m, NULL, 0);
		if (!shim_failed)
			break;
		assert_true(!err || err == -ENOMEM);
		if (!err) {
			assert_false(flush_place(0).rkey);
			without = true;
		}
		teardown(state);
		setup(state);
	}
	assert_int_equal(err, 0);
	assert_true(flush_place(0).rkey);
	assert_true(without);
}

/* ---- giving back --------------------------------------------------------------------- */

static void end_gives_back(void **state)
{
	struct place place;

	(void)state;
	store(A, 0, 200);
	place = flush_place(0);
	assert_true(reached(place));
	assert_int_equal(do_exit(&m, NODE_A, A), 0);
	fixture_check(&m, NULL, 0);
	assert_false(reached(place));
	assert_int_equal(counter(&m, "chunks_granted"), 0);
	assert_int_equal(counter(&m, "grants_revoked"), 0);
	assert_int_equal(m.pool.nr_common, m.pool.total);
}

static void child_survives_the_owner(void **state)
{
	struct place place;
	u64 stamp;
	u32 whole;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 15);
	place = flush_place(0);
	assert_int_equal(do_clone(&m, NODE_A, A, ++*seq_of(A), C, PAGE(100),
				  PAGE(110)), 0);
	fixture_check(&m, NULL, 0);
	assert_false(ask(A, 100).rkey);		/* shared */
	assert_true(ask(A, 110).rkey);
	whole = m.pool.nr_common;
	assert_int_equal(do_exit(&m, NODE_A, A), 0);
	fixture_check(&m, NULL, 0);
	assert_false(reached(place));
	assert_true(m.pool.nr_common > whole);
	assert_int_equal(m.pool.nr_common, m.pool.total - 10);
	assert_int_equal(do_fetch1(&m, NODE_A, C, PAGE(105), &stamp), 0);
	assert_int_equal(stamp, stamp_of(100, 0));
	assert_int_equal(do_exit(&m, NODE_A, C), 0);
	assert_int_equal(m.pool.nr_common, m.pool.total);
}

static void rewritten_after_a_fork(void **state)
{
	struct place before, after;
	u64 stamp;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 15);
	before = ask(A, 100);
	assert_int_equal(do_clone(&m, NODE_A, A, ++*seq_of(A), C, PAGE(100),
				  PAGE(110)), 0);
	assert_int_equal(try_store(A, 100, 1, 1), 0);
	after = flush_place(0);
	assert_true(reached(after));
	assert_int_not_equal(after.frame, before.frame);
	fixture_check(&m, NULL, 0);
	assert_int_equal(do_fetch1(&m, NODE_A, C, PAGE(100), &stamp), 0);
	assert_int_equal(stamp, stamp_of(100, 0));
	/* When the child is gone the others are the parent's alone again. */
	assert_int_equal(do_exit(&m, NODE_A, C), 0);
	assert_true(reached(ask(A, 105)));
}

static void frame_being_sent_outlives_the_owner(void **state)
{
	struct mmon_pages pages;
	u64 addr = PAGE(100);

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 15);
	assert_int_equal(do_fetch(&m, NODE_A, A, 1, &addr, &pages), 0);
	assert_int_equal(do_exit(&m, NODE_A, A), 0);
	fixture_check(&m, &pages, 1);
	assert_int_equal(m.pool.nr_common, m.pool.total - 1);
	mmon_pages_put(&m, &pages);
	assert_int_equal(m.pool.nr_common, m.pool.total);
}

/* ---- taking away ---------------------------------------------------------------------- */

static u32 seen_common, seen_granted;

static void look(void)
{
	seen_common = m.pool.nr_common;
	seen_granted = m.pool.granted;
}

static u32 usable_by(u64 asid)
{
	struct mmon_space *space = xa_load(&m.spaces, asid);

	return m.pool.nr_common + space->chunks.nr_free;
}

/*
 * A has a chunk with many free frames; B fills all others but for less than a
 * flush. Returns where one of A's pages is, and the next page for B to store.
 */
static struct place press(u32 *next)
{
	struct place place;
	u32 page;

	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 15);
	place = ask(A, 100);
	for (page = 0; usable_by(B) >= MMON_FLUSH_MAX; page += MMON_FLUSH_MAX)
		assert_int_equal(try_store(B, page, MMON_FLUSH_MAX, 0), 0);
	*next = page;
	return place;
}

static void pressure_revokes(void **state)
{
	struct place place;
	u64 stamp;
	u32 page;

	(void)state;
	place = press(&page);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "grants_revoked"), 0);
	assert_true(reached(place));

	lite_stub_window_hook = look;
	assert_int_equal(try_store(B, page, MMON_FLUSH_MAX, 0), 0);
	assert_null(lite_stub_window_hook);
	/* Not common before the key is gone. */
	assert_true(seen_common < MMON_FLUSH_MAX);
	assert_int_equal(seen_granted, 1);
	assert_int_equal(counter(&m, "grants_revoked"), 1);
	assert_false(reached(place));
	fixture_check(&m, NULL, 0);

	/* The page is still there, only not reached any more. */
	assert_false(ask(A, 100).rkey);
	assert_int_equal(do_fetch1(&m, NODE_A, A, PAGE(100), &stamp), 0);
	assert_int_equal(stamp, stamp_of(100, 0));
	assert_int_equal(try_store(A, 100, 15, 1), 0);
	assert_false(flush_place(0).rkey);
}

static void capacity_is_reached_all_the_same(void **state)
{
	u32 page;
	int err = 0;

	(void)state;
	press(&page);
	for (; !err; page++)
		err = try_store(B, page, 1, 0);
	assert_int_equal(err, -ENOSPC);
	assert_int_equal(counter(&m, "frames_free"), 0);
	fixture_check(&m, NULL, 0);
	/* Overwriting works, for both. */
	assert_int_equal(try_store(A, 0, MMON_FLUSH_MAX, 1), 0);
	assert_int_equal(try_store(B, 0, MMON_FLUSH_MAX, 1), 0);
	fixture_check(&m, NULL, 0);
}

/* Nobody loses a chunk to a request that gets no frames anyway. */
static void useless_revocation(void **state)
{
	static struct mmon_frame *taken[CAPACITY + MMON_RESERVE];

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 15);
	assert_int_equal(mmon_pool_take(&m.pool, NULL, m.pool.nr_free + 1, 0,
					taken), -ENOSPC);
	assert_int_equal(counter(&m, "grants_revoked"), 0);
	/* All that there is, though, it does get. */
	assert_int_equal(mmon_pool_take(&m.pool, NULL, m.pool.nr_free, 0, taken),
			 0);
	assert_int_equal(counter(&m, "grants_revoked"), 1);
	mmon_pool_untake(&m.pool, m.pool.total - MMON_CLAIM_FRAMES - 15, 0, taken);
}

static void fullest_of_free_frames_goes(void **state)
{
	static struct mmon_frame *taken[CAPACITY + MMON_RESERVE];
	struct place a, b;
	u32 nr;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 300);
	a = flush_place(0);
	store(B, 0, MMON_CLAIM_FRAMES);
	store(B, 100, 15);
	b = flush_place(0);
	nr = m.pool.nr_common + 1;
	assert_int_equal(mmon_pool_take(&m.pool, NULL, nr, 0, taken), 0);
	assert_true(reached(a));
	assert_false(reached(b));
	mmon_pool_untake(&m.pool, nr, 0, taken);
}

static int other_err;

static void quit_a(void)
{
	struct mmon_exit msg = { A };
	struct lite_request req = {
		.node = NODE_A, .incarnation = INCARNATION(NODE_A),
		.op = MMON_OP_EXIT, .body = &msg, .body_len = sizeof(msg),
	};
	struct mmon_pages pages;
	struct mmon_body answer;

	other_err = mmon_handle(&m, &req, &pages, &answer);
}

static void owner_ends_while_it_is_revoked(void **state)
{
	u32 page;

	(void)state;
	press(&page);
	other_err = 1;
	lite_stub_window_hook = quit_a;
	assert_int_equal(try_store(B, page, MMON_FLUSH_MAX, 0), 0);
	assert_int_equal(other_err, 0);
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "grants_revoked"), 1);
}

static void others_end_while_it_is_claimed(void **state)
{
	(void)state;
	store(A, 0, 300);
	store(B, 0, MMON_CLAIM_FRAMES);
	other_err = 1;
	lite_stub_window_hook = quit_a;
	store(B, 100, 15);
	assert_int_equal(other_err, 0);
	assert_true(flush_place(0).rkey);
	assert_int_equal(counter(&m, "chunks_granted"), 1);
}

/* ---- what the owner is told -------------------------------------------------------------- */

static void repeat_tells_the_same(void **state)
{
	struct place first[MMON_FLUSH_MAX], again;
	u64 addr[MMON_FLUSH_MAX];
	u32 i;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, MMON_FLUSH_MAX);
	for (i = 0; i < MMON_FLUSH_MAX; i++) {
		addr[i] = PAGE(100 + i);
		first[i] = flush_place(i);
	}
	assert_int_equal(do_flush(&m, NODE_A, A, *seq_of(A), MMON_FLUSH_MAX,
				  addr, 99), 0);
	assert_int_equal(counter(&m, "repeats"), 1);
	for (i = 0; i < MMON_FLUSH_MAX; i++) {
		again = flush_place(i);
		assert_memory_equal(&again, &first[i], sizeof(again));
	}
}

static void move_takes_the_place_along(void **state)
{
	struct place before, after;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, MMON_FLUSH_MAX);
	before = ask(A, 107);
	change(A, ch(MMON_MOVE, RW, 100, 114, 5000));
	after = ask(A, 5007);
	assert_memory_equal(&after, &before, sizeof(after));
	assert_false(ask(A, 107).rkey);
}

static void refusal_tells_nothing(void **state)
{
	u64 addr = PAGE(20000);

	(void)state;
	store(A, 0, 100);
	assert_true(flush_place(0).rkey);
	assert_int_equal(do_flush(&m, NODE_A, A, *seq_of(A) + 1, 1, &addr, 0),
			 -EFAULT);
	assert_int_equal(do_flush(&m, NODE_B, A, 1, 1, &addr, 0), -EPERM);
}

static void written_in_place(void **state)
{
	struct content c = { A, PAGE(100), 77, NODE_A };
	struct place place;
	u64 stamp;

	(void)state;
	store(A, 0, MMON_CLAIM_FRAMES);
	store(A, 100, 15);
	place = ask(A, 100);
	content_fill(lite_stub_reach(place.rkey, place.addr), &c);
	assert_int_equal(do_fetch1(&m, NODE_A, A, PAGE(100), &stamp), 0);
	assert_int_equal(stamp, 77);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(small_spaces_share),
		TEST(large_space_gets_a_chunk),
		TEST(neighbours_lie_together),
		TEST(own_frames_come_first),
		TEST(full_chunk_leads_to_the_next),
		TEST(chunk_is_cleared),
		TEST(no_window_no_grant),
		TEST(claiming_may_fail),
		TEST(end_gives_back),
		TEST(child_survives_the_owner),
		TEST(rewritten_after_a_fork),
		TEST(frame_being_sent_outlives_the_owner),
		TEST(pressure_revokes),
		TEST(capacity_is_reached_all_the_same),
		TEST(useless_revocation),
		TEST(fullest_of_free_frames_goes),
		TEST(owner_ends_while_it_is_revoked),
		TEST(others_end_while_it_is_claimed),
		TEST(repeat_tells_the_same),
		TEST(move_takes_the_place_along),
		TEST(refusal_tells_nothing),
		TEST(written_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
