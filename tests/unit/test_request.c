// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check what mmon refuses and why, one reason at a time, and
 * that a refused request changes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	16
#define ASID		0x1000ull

static struct mmon m;

/* Space ASID of NODE_A: pages 0..9 rw, 10 r, 11 w, 12 none; 0 and 1 stored. */
static int setup(void **state)
{
	const struct mmon_change changes[] = {
		ch(MMON_MAP, RW, 0, 9, 0),
		ch(MMON_MAP, MMON_PROT_READ, 10, 10, 0),
		ch(MMON_MAP, MMON_PROT_WRITE, 11, 11, 0),
		ch(MMON_MAP, 0, 12, 12, 0),
	};
	const u64 addr[] = { PAGE(0), PAGE(1) };

	(void)state;
	fixture_start(&m, CAPACITY);
	assert_int_equal(do_maps(&m, NODE_A, ASID, 1, 4, changes), 0);
	assert_int_equal(do_flush(&m, NODE_A, ASID, 2, 2, addr, 7), 0);
	fixture_check(&m, NULL, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fixture_stop(&m);
	return 0;
}

/* ---- one field wrong: tables ---------------------------------------------------- */

/* A good request, as words, and its length. */
struct good {
	u8 op;
	u32 len;
	u32 payload_len;
	u32 nr_direct;
	u64 word[16];
};

#define TWO32(lo, hi)	((u64)(lo) | (u64)(hi) << 32)

static const struct good good_maps = { MMON_OP_MAPS, 24 + 32, 0, 0,
	{ ASID, 3, 1, TWO32(MMON_MAP, RW), PAGE(20), PAGE(21), 0 } };
static const struct good good_unmap = { MMON_OP_MAPS, 24 + 32, 0, 0,
	{ ASID, 3, 1, TWO32(MMON_UNMAP, 0), PAGE(20), PAGE(21), 0 } };
static const struct good good_move = { MMON_OP_MAPS, 24 + 32, 0, 0,
	{ ASID, 3, 1, TWO32(MMON_MOVE, RW), PAGE(4), PAGE(8), PAGE(20) } };
/* The payload is zeros: crc32c of a page of zeros, seed ~0, not inverted. */
#define ZERO_CRC	0x6706be76u
static const struct good good_flush = { MMON_OP_FLUSH, 24 + 2 * 16, 8192, 0,
	{ ASID, 3, 2, PAGE(0), ZERO_CRC, PAGE(3), ZERO_CRC } };
static const struct good good_fetch = { MMON_OP_FETCH, 16 + 2 * 8, 0, 2,
	{ ASID, 2, PAGE(0), PAGE(3) } };
static const struct good good_clone = { MMON_OP_CLONE, 48, 0, 0,
	{ ASID, 3, ASID + 1, PAGE(0), PAGE(10), 0 } };
static const struct good good_adopt = { MMON_OP_ADOPT, 24, 0, 0,
	{ ASID, 3, TWO32(0, 4) } };
/* No space here is large enough to have spare frames. */
static const struct good no_spare = { MMON_OP_ADOPT, 24 + 16, 0, 0,
	{ ASID, 3, TWO32(1, 4), PAGE(3), 1 } };
static const struct good good_exit = { MMON_OP_EXIT, 8, 0, 0, { ASID } };

enum field { WORD, LEN, PAYLOAD, DIRECT, OP, NODE, INC, NONE };

static const struct bad {
	const char *what;
	const struct good *good;
	enum field field;
	u32 word;
	u64 value;
	int err;
} bad[] = {
	{ "good maps", &good_maps, NONE, 0, 0, 0 },
	{ "good unmap", &good_unmap, NONE, 0, 0, 0 },
	{ "good move", &good_move, NONE, 0, 0, 0 },
	{ "good flush", &good_flush, NONE, 0, 0, 0 },
	{ "good fetch", &good_fetch, NONE, 0, 0, 0 },
	{ "good clone", &good_clone, NONE, 0, 0, 0 },
	{ "good adopt", &good_adopt, NONE, 0, 0, 0 },
	{ "good exit", &good_exit, NONE, 0, 0, 0 },

	{ "op 0", &good_exit, OP, 0, 0, -EOPNOTSUPP },
	{ "op 7", &good_exit, OP, 0, MMON_OP_MAX, -EOPNOTSUPP },
	{ "op 255", &good_exit, OP, 0, 255, -EOPNOTSUPP },

	{ "adopt: empty body", &good_adopt, LEN, 0, 0, -EBADMSG },
	{ "adopt: short head", &good_adopt, LEN, 0, 23, -EBADMSG },
	{ "adopt: long", &good_adopt, LEN, 0, 25, -EBADMSG },
	{ "adopt: a page more", &good_adopt, LEN, 0, 40, -EBADMSG },
	{ "adopt: payload", &good_adopt, PAYLOAD, 0, 4096, -EBADMSG },
	{ "adopt: direct", &good_adopt, DIRECT, 0, 1, -EBADMSG },
	{ "adopt: nothing", &good_adopt, WORD, 2, 0, -EBADMSG },
	{ "adopt: wants too many", &good_adopt, WORD, 2, TWO32(0, 65), -EBADMSG },
	{ "adopt: too many", &good_adopt, WORD, 2, TWO32(65, 0), -EBADMSG },
	{ "adopt: very many", &good_adopt, WORD, 2, TWO32(0x10000000, 1), -EBADMSG },
	{ "adopt: number 0", &good_adopt, WORD, 1, 0, -EBADMSG },
	{ "adopt: repeat", &good_adopt, WORD, 1, 2, 0 },
	{ "adopt: gap", &good_adopt, WORD, 1, 4, -EPROTO },
	{ "adopt: unknown asid", &good_adopt, WORD, 0, 5, -ENOENT },
	{ "adopt: foreign", &good_adopt, NODE, 0, NODE_B, -EPERM },
	{ "adopt: former life", &good_adopt, INC, 0, 1, -EPERM },
	{ "adopt: short page", &no_spare, LEN, 0, 39, -EBADMSG },
	{ "adopt: reserved", &no_spare, WORD, 4, TWO32(1, 1), -EBADMSG },
	{ "adopt: crooked page", &no_spare, WORD, 3, PAGE(3) + 1, -EBADMSG },
	{ "adopt: page too far", &no_spare, WORD, 3, MMON_ADDR_MAX, -EBADMSG },
	{ "adopt: no location", &no_spare, WORD, 4, 0, -EBADMSG },
	{ "adopt: no spare", &no_spare, NONE, 0, 0, -EINVAL },
	{ "adopt: location far", &no_spare, WORD, 4, 0xffffffff, -EINVAL },
	{ "adopt: not writable", &no_spare, WORD, 3, PAGE(10), -EACCES },
	{ "adopt: outside", &no_spare, WORD, 3, PAGE(13), -EFAULT },

	{ "maps: empty body", &good_maps, LEN, 0, 0, -EBADMSG },
	{ "maps: short head", &good_maps, LEN, 0, 23, -EBADMSG },
	{ "maps: head only", &good_maps, LEN, 0, 24, -EBADMSG },
	{ "maps: short change", &good_maps, LEN, 0, 55, -EBADMSG },
	{ "maps: long", &good_maps, LEN, 0, 57, -EBADMSG },
	{ "maps: payload", &good_maps, PAYLOAD, 0, 4096, -EBADMSG },
	{ "maps: direct", &good_maps, DIRECT, 0, 1, -EBADMSG },
	{ "maps: none", &good_maps, WORD, 2, 0, -EBADMSG },
	{ "maps: too many", &good_maps, WORD, 2, 65, -EBADMSG },
	{ "maps: very many", &good_maps, WORD, 2, 0xffffffff, -EBADMSG },
	{ "maps: reserved", &good_maps, WORD, 2, TWO32(1, 1), -EBADMSG },
	{ "maps: number 0", &good_maps, WORD, 1, 0, -EBADMSG },
	{ "maps: repeat", &good_maps, WORD, 1, 2, 0 },
	{ "maps: gap", &good_maps, WORD, 1, 4, -EPROTO },
	{ "maps: far", &good_maps, WORD, 1, ~0ull, -EPROTO },
	{ "maps: unknown asid", &good_maps, WORD, 0, 5, -ENOENT },
	{ "maps: foreign", &good_maps, NODE, 0, NODE_B, -EPERM },
	{ "maps: former life", &good_maps, INC, 0, 1, -EPERM },
	{ "maps: type 0", &good_maps, WORD, 3, TWO32(0, RW), -EBADMSG },
	{ "maps: type 5", &good_maps, WORD, 3, TWO32(5, RW), -EBADMSG },
	{ "maps: prot 4", &good_maps, WORD, 3, TWO32(MMON_MAP, 4), -EBADMSG },
	{ "maps: empty range", &good_maps, WORD, 5, PAGE(20), -EBADMSG },
	{ "maps: backwards", &good_maps, WORD, 5, PAGE(19), -EBADMSG },
	{ "maps: end 0", &good_maps, WORD, 5, 0, -EBADMSG },
	{ "maps: crooked start", &good_maps, WORD, 4, PAGE(20) + 1, -EBADMSG },
	{ "maps: crooked end", &good_maps, WORD, 5, PAGE(21) + 8, -EBADMSG },
	{ "maps: end of user half", &good_maps, WORD, 5, MMON_ADDR_MAX, 0 },
	{ "maps: beyond it", &good_maps, WORD, 5, MMON_ADDR_MAX + 4096, -EBADMSG },
	{ "maps: wraps", &good_maps, WORD, 5, ~0xfffull, -EBADMSG },
	{ "maps: to", &good_maps, WORD, 6, PAGE(1), -EBADMSG },
	{ "unmap: prot", &good_unmap, WORD, 3, TWO32(MMON_UNMAP, 1), -EBADMSG },
	{ "unmap: to", &good_unmap, WORD, 6, PAGE(1), -EBADMSG },
	{ "discard: prot", &good_unmap, WORD, 3, TWO32(MMON_DISCARD, 1), -EBADMSG },
	{ "discard", &good_unmap, WORD, 3, TWO32(MMON_DISCARD, 0), 0 },
	{ "move: to itself", &good_move, WORD, 6, PAGE(4), -EBADMSG },
	{ "move: overlaps above", &good_move, WORD, 6, PAGE(7), -EBADMSG },
	{ "move: overlaps below", &good_move, WORD, 6, PAGE(1), -EBADMSG },
	{ "move: just below", &good_move, WORD, 6, PAGE(0), 0 },
	{ "move: just above", &good_move, WORD, 6, PAGE(8), 0 },
	{ "move: crooked", &good_move, WORD, 6, PAGE(20) + 1, -EBADMSG },
	{ "move: ends beyond", &good_move, WORD, 6, MMON_ADDR_MAX - 4096, -EBADMSG },
	{ "move: last", &good_move, WORD, 6, MMON_ADDR_MAX - 4 * 4096, 0 },
	{ "move: wraps", &good_move, WORD, 6, ~0xfffull, -EBADMSG },
	{ "move: source unknown", &good_move, WORD, 4, PAGE(5), 0 },

	{ "flush: empty body", &good_flush, LEN, 0, 0, -EBADMSG },
	{ "flush: short", &good_flush, LEN, 0, 55, -EBADMSG },
	{ "flush: long", &good_flush, LEN, 0, 57, -EBADMSG },
	{ "flush: no payload", &good_flush, PAYLOAD, 0, 0, -EBADMSG },
	{ "flush: payload short", &good_flush, PAYLOAD, 0, 4096, -EBADMSG },
	{ "flush: payload long", &good_flush, PAYLOAD, 0, 12288, -EBADMSG },
	{ "flush: direct", &good_flush, DIRECT, 0, 1, -EBADMSG },
	{ "flush: none", &good_flush, WORD, 2, 0, -EBADMSG },
	{ "flush: too many", &good_flush, WORD, 2, 16, -EBADMSG },
	{ "flush: other checksum", &good_flush, WORD, 2, TWO32(2, 1), -EILSEQ },
	{ "flush: unknown checksum", &good_flush, WORD, 2, TWO32(2, 2), -EBADMSG },
	{ "flush: page reserved", &good_flush, WORD, 4, TWO32(ZERO_CRC, 1), -EBADMSG },
	{ "flush: crooked", &good_flush, WORD, 3, 12, -EBADMSG },
	{ "flush: beyond", &good_flush, WORD, 3, MMON_ADDR_MAX, -EBADMSG },
	{ "flush: twice", &good_flush, WORD, 3, PAGE(3), -EBADMSG },
	{ "flush: number 0", &good_flush, WORD, 1, 0, -EBADMSG },
	{ "flush: repeat", &good_flush, WORD, 1, 1, 0 },
	{ "flush: gap", &good_flush, WORD, 1, 4, -EPROTO },
	{ "flush: unknown asid", &good_flush, WORD, 0, 5, -ENOENT },
	{ "flush: foreign", &good_flush, NODE, 0, NODE_B, -EPERM },
	{ "flush: former life", &good_flush, INC, 0, 1, -EPERM },
	{ "flush: no vma", &good_flush, WORD, 3, PAGE(13), -EFAULT },
	{ "flush: read-only", &good_flush, WORD, 5, PAGE(10), -EACCES },
	{ "flush: write-only", &good_flush, WORD, 5, PAGE(11), 0 },
	{ "flush: no access", &good_flush, WORD, 5, PAGE(12), -EACCES },
	{ "flush: first crc", &good_flush, WORD, 4, 1, -EILSEQ },
	{ "flush: last crc", &good_flush, WORD, 6, 1, -EILSEQ },

	{ "fetch: empty body", &good_fetch, LEN, 0, 0, -EBADMSG },
	{ "fetch: short", &good_fetch, LEN, 0, 31, -EBADMSG },
	{ "fetch: long", &good_fetch, LEN, 0, 33, -EBADMSG },
	{ "fetch: payload", &good_fetch, PAYLOAD, 0, 4096, -EBADMSG },
	{ "fetch: no direct", &good_fetch, DIRECT, 0, 0, -EBADMSG },
	{ "fetch: other direct", &good_fetch, DIRECT, 0, 3, -EBADMSG },
	{ "fetch: none", &good_fetch, WORD, 1, 0, -EBADMSG },
	{ "fetch: too many", &good_fetch, WORD, 1, 17, -EBADMSG },
	{ "fetch: reserved", &good_fetch, WORD, 1, TWO32(2, 1), -EBADMSG },
	{ "fetch: crooked", &good_fetch, WORD, 2, 12, -EBADMSG },
	{ "fetch: beyond", &good_fetch, WORD, 3, MMON_ADDR_MAX, -EBADMSG },
	{ "fetch: unknown asid", &good_fetch, WORD, 0, 5, -ENOENT },
	{ "fetch: foreign", &good_fetch, NODE, 0, NODE_B, -EPERM },
	{ "fetch: former life", &good_fetch, INC, 0, 1, -EPERM },
	{ "fetch: no vma", &good_fetch, WORD, 3, PAGE(13), -EFAULT },
	{ "fetch: write-only", &good_fetch, WORD, 3, PAGE(11), -EACCES },
	{ "fetch: no access", &good_fetch, WORD, 3, PAGE(12), -EACCES },
	{ "fetch: read-only", &good_fetch, WORD, 3, PAGE(10), 0 },

	{ "clone: short", &good_clone, LEN, 0, 47, -EBADMSG },
	{ "clone: long", &good_clone, LEN, 0, 56, -EBADMSG },
	{ "clone: payload", &good_clone, PAYLOAD, 0, 4096, -EBADMSG },
	{ "clone: direct", &good_clone, DIRECT, 0, 1, -EBADMSG },
	{ "clone: reserved", &good_clone, WORD, 5, 1, -EBADMSG },
	{ "clone: itself", &good_clone, WORD, 2, ASID, -EBADMSG },
	{ "clone: empty range", &good_clone, WORD, 4, 0, -EBADMSG },
	{ "clone: crooked", &good_clone, WORD, 4, 4097, -EBADMSG },
	{ "clone: beyond", &good_clone, WORD, 4, MMON_ADDR_MAX + 4096, -EBADMSG },
	{ "clone: everything", &good_clone, WORD, 4, MMON_ADDR_MAX, 0 },
	{ "clone: number 0", &good_clone, WORD, 1, 0, -EBADMSG },
	{ "clone: repeat", &good_clone, WORD, 1, 2, 0 },
	{ "clone: gap", &good_clone, WORD, 1, 4, -EPROTO },
	{ "clone: unknown asid", &good_clone, WORD, 0, 5, -ENOENT },
	{ "clone: foreign", &good_clone, NODE, 0, NODE_B, -EPERM },

	{ "exit: short", &good_exit, LEN, 0, 7, -EBADMSG },
	{ "exit: long", &good_exit, LEN, 0, 16, -EBADMSG },
	{ "exit: payload", &good_exit, PAYLOAD, 0, 4096, -EBADMSG },
	{ "exit: direct", &good_exit, DIRECT, 0, 1, -EBADMSG },
	{ "exit: unknown asid", &good_exit, WORD, 0, 5, 0 },
	{ "exit: foreign", &good_exit, NODE, 0, NODE_B, -EPERM },
	{ "exit: former life", &good_exit, INC, 0, 1, -EPERM },
};

static int run_bad(const struct bad *b, u64 *body)
{
	static u8 payload[3 * MMON_PAGE_SIZE] __aligned(4096);
	struct lite_request req = {
		.node = NODE_A,
		.incarnation = INCARNATION(NODE_A),
		.op = b->field == OP ? b->value : b->good->op,
		.body = body,
		.body_len = b->field == LEN ? b->value : b->good->len,
		.payload = payload,
		.payload_len = b->field == PAYLOAD ? b->value :
						     b->good->payload_len,
		.nr_direct = b->field == DIRECT ? b->value : b->good->nr_direct,
	};
	struct mmon_pages pages;
	int err;

	if (b->field == NODE) {
		req.node = b->value;
		req.incarnation = INCARNATION(b->value);
	}
	if (b->field == INC)
		req.incarnation = b->value;
	if (b->field == WORD)
		body[b->word] = b->value;
	err = do_raw(&m, &req, &pages);
	mmon_pages_put(&m, &pages);
	return err;
}

static void untouched(void)
{
	struct mmon_space *space = xa_load(&m.spaces, ASID);
	u64 stamp;

	assert_int_equal(atomic_read(&m.nr_spaces), 1);
	assert_int_equal(space->seq, 2);
	assert_int_equal(space->frames, 2);
	assert_int_equal(do_fetch1(&m, NODE_A, ASID, PAGE(0), &stamp), 0);
	assert_int_equal(stamp, 7);
	assert_int_equal(do_fetch1(&m, NODE_A, ASID, PAGE(1), &stamp), 0);
	assert_int_equal(stamp, 7);
	assert_int_equal(do_fetch1(&m, NODE_A, ASID, PAGE(3), &stamp), -ENOENT);
}

static void one_field_wrong(void **state)
{
	u64 refused;
	u64 *body;
	u32 i, len;
	int err;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* Exactly as long as it says, so that reading on is seen. */
		len = bad[i].field == LEN ? bad[i].value : bad[i].good->len;
		body = calloc(1, len ? len : 1);
		memcpy(body, bad[i].good->word,
		       min(len, (u32)sizeof(bad[i].good->word)));
		refused = counter(&m, "refused");
		err = run_bad(&bad[i], body);
		free(body);
		if (err != bad[i].err)
			fail_msg("%s: %d, not %d", bad[i].what, err, bad[i].err);
		fixture_check(&m, NULL, 0);
		assert_int_equal(counter(&m, "refused"), refused + !!bad[i].err);
		if (bad[i].err)
			untouched();
		teardown(state);
		setup(state);
	}
}

/* ---- reasons that need more than one field ----------------------------------------- */

static void refusals_are_counted_by_reason(void **state)
{
	static const struct {
		int err;
		const char *name;
	} reason[] = {
		{ -EBADMSG, "refused_malformed" },
		{ -EOPNOTSUPP, "refused_malformed" },
		{ -EPERM, "refused_owner" },
		{ -EFAULT, "refused_range" },
		{ -EACCES, "refused_permission" },
		{ -ENOSPC, "refused_no_frames" },
		{ -EPROTO, "refused_sequence" },
		{ -EILSEQ, "refused_checksum" },
		{ -ENOENT, "refused_unknown" },
		{ -ENOMEM, "refused_no_memory" },
	};
	u64 before, all;
	u32 i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(reason); i++) {
		before = counter(&m, reason[i].name);
		all = counter(&m, "refused");
		mmon_count_refusal(&m, reason[i].err);
		assert_int_equal(counter(&m, reason[i].name), before + 1);
		assert_int_equal(counter(&m, "refused"), all + 1);
		assert_string_not_equal(mmon_refusal_text(0, reason[i].err),
					"unexpected error");
	}
	assert_string_equal(mmon_refusal_text(0, -EDOM), "unexpected error");
}

static void absent_page_is_no_refusal(void **state)
{
	u64 stamp;

	(void)state;
	assert_int_equal(do_fetch1(&m, NODE_A, ASID, PAGE(5), &stamp), -ENOENT);
	assert_int_equal(counter(&m, "refused"), 0);
	assert_int_equal(counter(&m, "fetch_absent"), 1);
	assert_int_equal(counter(&m, "fetches"), 1);
	assert_int_equal(counter(&m, "fetch_pages"), 0);
}

static void clone_into_foreign_child(void **state)
{
	(void)state;
	assert_int_equal(do_map(&m, NODE_B, 99, 1, ch(MMON_MAP, RW, 0, 3, 0)), 0);
	assert_int_equal(do_clone(&m, NODE_A, ASID, 3, 99, 0, PAGE(10)), -EPERM);
	fixture_check(&m, NULL, 0);
	assert_int_equal(do_exit(&m, NODE_B, 99), 0);
	untouched();
}

static void too_many_vmas(void **state)
{
	struct mmon_change changes[MMON_MAPS_MAX];
	u64 seq = 3, page = 100;
	int err = 0;
	u32 i;

	(void)state;
	while (!err) {
		for (i = 0; i < MMON_MAPS_MAX; i++, page += 2)
			changes[i] = ch(MMON_MAP, RW, page, page, 0);
		err = do_maps(&m, NODE_A, ASID, seq++, MMON_MAPS_MAX, changes);
	}
	assert_int_equal(err, -ENOMEM);
	assert_in_range(page / 2, MMON_VMAS_MAX - 100, MMON_VMAS_MAX + 200);
	fixture_check(&m, NULL, 0);
	/* Nor can a clone bring more to a child that has some. */
	assert_int_equal(do_map(&m, NODE_A, 5, 1,
				ch(MMON_MAP, RW, 1 << 24, 1 << 24, 0)), 0);
	for (i = 0; i < 64; i++)
		changes[i] = ch(MMON_MAP, RW, (1 << 25) + 2 * i,
				(1 << 25) + 2 * i, 0);
	assert_int_equal(do_maps(&m, NODE_A, 5, 2, 64, changes), 0);
	assert_int_equal(do_clone(&m, NODE_A, ASID, seq - 1, 5, 0, PAGE(1 << 23)),
			 -ENOMEM);
	fixture_check(&m, NULL, 0);
}

static void too_many_spaces(void **state)
{
	const struct mmon_change map = ch(MMON_MAP, RW, 0, 0, 0);

	(void)state;
	atomic_set(&m.nr_spaces, MMON_SPACES_MAX);
	assert_int_equal(do_map(&m, NODE_A, 5, 1, map), -ENOMEM);
	assert_int_equal(do_clone(&m, NODE_A, ASID, 3, 5, 0, PAGE(1)), -ENOMEM);
	atomic_set(&m.nr_spaces, 1);
	assert_int_equal(do_map(&m, NODE_A, 5, 1, map), 0);
}

static void asid_of_a_request(void **state)
{
	const u64 body[] = { 0x123456789abcull };
	struct lite_request req = { .body = body, .body_len = 8 };

	(void)state;
	assert_int_equal(mmon_request_asid(&req), body[0]);
	req.body_len = 7;
	assert_int_equal(mmon_request_asid(&req), 0);
}

static void every_counter_has_a_name(void **state)
{
	struct lite_counter table[MMON_GAUGES + MMON_C_NR];
	int i, j, nr = mmon_counters_read(&m, table);

	(void)state;
	assert_int_equal(nr, ARRAY_SIZE(table));
	for (i = 0; i < nr; i++) {
		assert_non_null(table[i].name);
		for (j = 0; j < i; j++)
			assert_string_not_equal(table[i].name, table[j].name);
	}
	assert_int_equal(counter(&m, "frames_total"), CAPACITY);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - 2);
	assert_int_equal(counter(&m, "frames_peak_used"), 2);
	assert_int_equal(counter(&m, "spaces"), 1);
	assert_int_equal(counter(&m, "maps"), 1);
	assert_int_equal(counter(&m, "flushes"), 1);
	assert_int_equal(counter(&m, "flush_pages"), 2);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_field_wrong),
		TEST(refusals_are_counted_by_reason),
		TEST(absent_page_is_no_refusal),
		TEST(clone_into_foreign_child),
		TEST(too_many_vmas),
		TEST(too_many_spaces),
		TEST(asid_of_a_request),
		TEST(every_counter_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
