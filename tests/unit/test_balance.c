// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check when gmm says that a memory host is crowded, which regions it
 * lets move where, and that whatever the hosts hold, moves end, even the hosts out
 * and never go back.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/lite_stub.h"
#include "../../gmm/internal.h"

#include <cmocka.h>

#define MMON		(1u << LITE_SVC_MMON)
#define FRAMES		(1u << 20)		/* of a host: 4 GiB */
#define REGION		(1u << 13)
#define HOSTS		9			/* by node, 0 unused */
#define ASKER		77

static struct gmm_members t;
static struct gmm_balanced got;
static u64 now;

/** struct host - what the test's hosts have and report */
struct host {
	u64 capacity, used;
	u32 services, flags, regions;
};

static struct host host[HOSTS];

static void report(u32 node)
{
	struct host *h = &host[node];
	struct gmm_report body = {
		.incarnation = node, .capacity = h->capacity,
		.free = h->capacity - h->used, .services = h->services,
		.flags = h->flags, .regions = h->regions,
	};
	struct lite_request req = {
		.node = node, .op = GMM_OP_REPORT, .body = &body,
		.body_len = sizeof(body),
	};
	enum gmm_news news;

	assert_int_equal(gmm_members_report(&t, &req, now, &news), 0);
}

/* @nr memory hosts, 1...@nr, with so many regions each. */
static void hosts(u32 nr, const u32 *regions)
{
	u32 i;

	gmm_members_init(&t, 5000, 0, 100);
	t.rebalance = true;
	now = 10000;
	memset(host, 0, sizeof(host));
	for (i = 1; i <= nr; i++) {
		host[i] = (struct host){
			.capacity = FRAMES, .used = (u64)regions[i - 1] * REGION,
			.services = MMON, .regions = regions[i - 1],
		};
		report(i);
	}
}

#define HOSTS_WITH(...)	do {						\
		const u32 regions[] = { __VA_ARGS__ };			\
		hosts(ARRAY_SIZE(regions), regions);			\
	} while (0)

static bool crowded(u32 node)
{
	static u8 answer[GMM_ANSWER_MAX] __aligned(8);
	struct gmm_hosts *list = (void *)answer;
	u32 i;

	gmm_members_list(&t, now, list);
	for (i = 0; i < list->nr; i++)
		if (list->host[i].node == node)
			return list->host[i].flags & GMM_HOST_CROWDED;
	fail();
	return false;
}

static int ask_as(u32 asker, const struct gmm_balance *body)
{
	struct lite_request req = {
		.node = asker, .op = GMM_OP_BALANCE, .body = body,
		.body_len = sizeof(*body),
	};

	memset(&got, 0xff, sizeof(got));
	return gmm_balance(&t, &req, now, &got);
}

/* Return: where a region of @pages may move; 0: nowhere. */
static u32 ask(u32 from, u64 pages, u32 avoid)
{
	struct gmm_balance body = {
		.asid = 1, .pages = pages, .from = from, .nr_avoid = 1,
		.avoid = { avoid },
	};

	assert_int_equal(ask_as(ASKER, &body), 0);
	assert_int_equal(got.reserved, 0);
	assert_int_not_equal(got.node, from);
	if (got.node)
		assert_true(pages <= got.pages);
	return got.node;
}

static void done(u32 asker)
{
	struct gmm_balance body = {};

	assert_int_equal(ask_as(asker, &body), 0);
	assert_int_equal(got.node, 0);
}

/* ---- who is crowded -------------------------------------------------------------- */

static void even_hosts_are_left_alone(void **state)
{
	(void)state;
	HOSTS_WITH(40);
	assert_false(crowded(1));
	HOSTS_WITH(40, 40, 40);
	assert_false(crowded(1) || crowded(2) || crowded(3));
	/* A quarter more than the mean is near enough. */
	HOSTS_WITH(50, 40, 30);
	assert_false(crowded(1) || crowded(2) || crowded(3));
	assert_int_equal(ask(1, REGION, 1), 0);
	HOSTS_WITH(0, 0);
	assert_false(crowded(1) || crowded(2));
}

static void a_host_that_joins_is_filled(void **state)
{
	(void)state;
	HOSTS_WITH(40, 40, 0);
	assert_true(crowded(1) && crowded(2) && !crowded(3));
	assert_int_equal(ask(1, REGION, 1), 3);
	/* Of many none is much over the mean. */
	HOSTS_WITH(40, 40, 40, 40, 40, 40, 40, 0);
	assert_true(crowded(1) && crowded(7) && !crowded(8));
}

static void one_region_is_not_moved_about(void **state)
{
	(void)state;
	HOSTS_WITH(1, 0);
	host[1].used = FRAMES / 2;
	report(1);
	assert_false(crowded(1));
	/* Nor what leaves the receiver as full as the giver was. */
	HOSTS_WITH(2, 1);
	host[1].used = FRAMES / 2;
	host[2].used = FRAMES / 4;
	report(1);
	report(2);
	assert_false(crowded(1));
	assert_int_equal(ask(1, FRAMES / 4, 1), 0);
}

static void little_is_not_worth_it(void **state)
{
	(void)state;
	HOSTS_WITH(40, 0);
	host[1].used = FRAMES / 33;
	report(1);
	assert_false(crowded(1));
	host[1].used = FRAMES / 31;
	report(1);
	assert_true(crowded(1));
}

static void shares_follow_the_size_of_hosts(void **state)
{
	(void)state;
	HOSTS_WITH(30, 10);
	host[1].capacity = 3 * FRAMES;
	report(1);
	assert_false(crowded(1) || crowded(2));
	host[2].used = 30 * REGION;
	host[2].regions = 30;
	report(2);
	assert_true(crowded(2) && !crowded(1));
}

static void sizes_that_make_no_sense(void **state)
{
	u32 i;

	(void)state;
	HOSTS_WITH(1, 1, 1, 1, 1, 1, 1, 1);
	for (i = 1; i < HOSTS; i++) {
		host[i].capacity = U64_MAX;
		host[i].used = i & 1 ? U64_MAX : 0;
		host[i].regions = i & 2 ? U32_MAX : 0;
		report(i);
	}
	for (i = 1; i < HOSTS; i++)
		assert_int_equal(crowded(i), (i & 3) == 3);
	assert_int_not_equal(ask(3, REGION, 3), 0);
}

/* ---- who may not take part ---------------------------------------------------------- */

static void who_is_left_out(void **state)
{
	(void)state;
	HOSTS_WITH(40, 40, 0, 10);
	host[4].services = 1 << LITE_SVC_PMON;
	report(4);
	assert_int_equal(ask(1, REGION, 3), 0);
	gmm_members_find(&t, 3)->draining = true;
	assert_false(crowded(1) || crowded(2));
	assert_int_equal(ask(1, REGION, 1), 0);
	gmm_members_find(&t, 3)->draining = false;
	gmm_members_find(&t, 1)->draining = true;
	assert_false(crowded(1));
	assert_true(crowded(2));
	assert_int_equal(ask(1, REGION, 1), 0);
	assert_int_equal(ask(55, REGION, 1), 0);
	/* Its secondary is at the emptiest, so it goes to the next. */
	HOSTS_WITH(40, 40, 0, 10);
	assert_int_equal(ask(1, REGION, 3), 4);
}

static void switched_off(void **state)
{
	(void)state;
	HOSTS_WITH(40, 0);
	t.rebalance = false;
	assert_false(crowded(1));
	assert_int_equal(ask(1, REGION, 1), 0);
	t.rebalance = true;
	assert_true(crowded(1));
}

static void too_early(void **state)
{
	struct gmm_balance body = { .from = 1 };

	(void)state;
	HOSTS_WITH(40, 0);
	now = t.start_ms + GMM_SETTLE_MS - 1;
	assert_false(crowded(1));
	assert_int_equal(ask_as(ASKER, &body), -EAGAIN);
	now++;
	assert_true(crowded(1));
	assert_int_equal(ask_as(ASKER, &body), 0);
}

static void malformed(void **state)
{
	struct gmm_balance bad[] = {
		{ .from = 1, .nr_avoid = GMM_AVOID_MAX + 1 },
		{ .from = 1, .nr_avoid = 1, .avoid = { 1, 2 } },
		{ .from = 0, .nr_avoid = 1, .avoid = { 1 } },
		{ .from = 0, .pages = 1 },
	};
	struct lite_request req = { .body = bad, .body_len = sizeof(bad[0]) - 1 };
	u32 i;

	(void)state;
	HOSTS_WITH(40, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ask_as(ASKER, &bad[i]), -EBADMSG);
	assert_int_equal(gmm_balance(&t, &req, now, &got), -EBADMSG);
	assert_int_equal(t.refused, i + 1);
}

/* ---- what is on its way --------------------------------------------------------------- */

static void too_large_is_told(void **state)
{
	(void)state;
	HOSTS_WITH(40, 0);
	assert_int_equal(ask(1, FRAMES, 1), 0);
	assert_true(got.pages == 20 * REGION);
	assert_int_equal(ask(1, got.pages, 1), 2);
}

static void one_move_at_a_time(void **state)
{
	(void)state;
	HOSTS_WITH(40, 40, 0);
	assert_int_equal(ask(1, REGION, 1), 3);
	assert_int_equal(ask(2, REGION, 1), 0);
	assert_true(got.pages == 0);
	done(ASKER);
	now += GMM_MOVE_SETTLE_MS - 1;
	assert_int_equal(ask(2, REGION, 1), 0);
	now++;
	assert_int_equal(ask(2, REGION, 1), 3);
	/* Nobody says that it ended. */
	now += GMM_MOVE_MS - 1;
	assert_int_equal(ask(1, REGION, 1), 0);
	now++;
	assert_int_equal(ask(1, REGION, 1), 3);
	assert_int_equal(t.moves, 3);
}

static void asked_again_it_is_answered_anew(void **state)
{
	struct gmm_balance body = { .asid = 7, .pages = REGION, .from = 1 };

	(void)state;
	HOSTS_WITH(40, 0);
	assert_int_equal(ask_as(ASKER, &body), 0);
	assert_int_equal(got.node, 2);
	assert_int_equal(ask_as(ASKER, &body), 0);
	assert_int_equal(got.node, 2);
	/* It is charged once. */
	assert_true(got.pages == 20 * REGION);
	/* Another question, or asker, is not meant. */
	body.asid = 8;
	assert_int_equal(ask_as(ASKER, &body), 0);
	assert_int_equal(got.node, 0);
	/* Nor the same, once the move has ended. */
	body.asid = 7;
	done(ASKER);
	assert_int_equal(ask_as(ASKER, &body), 0);
	assert_int_equal(got.node, 0);
	now += GMM_MOVE_SETTLE_MS;
	assert_int_equal(ask_as(ASKER, &body), 0);
	assert_int_equal(got.node, 2);
}

/* Many hosts see the same list, and all of them want to move something. */
static void askers_do_not_overdo_it(void **state)
{
	struct gmm_balance body = { .from = 1, .pages = 8 * REGION };
	u32 asker, moves = 0;

	(void)state;
	HOSTS_WITH(40, 0);
	for (asker = 100; asker < 120; asker++) {
		assert_int_equal(ask_as(asker, &body), 0);
		moves += !!got.node;
	}
	/* 40 + 0, 32 + 8, 24 + 16 */
	assert_int_equal(moves, 2);
	assert_false(crowded(1));
	/* And no more than a few at a time, be there ever so much to move. */
	HOSTS_WITH(100, 0);
	body.pages = 1;
	for (moves = 0, asker = 100; asker < 150; asker++) {
		assert_int_equal(ask_as(asker, &body), 0);
		moves += !!got.node;
	}
	assert_int_equal(moves, GMM_MOVES_MAX);
	done(100);
	now += GMM_MOVE_SETTLE_MS;
	assert_int_equal(ask_as(149, &body), 0);
	assert_int_equal(got.node, 2);
}

/* ---- in the long run ------------------------------------------------------------------- */

static u32 random_number(u32 below)
{
	static u64 state = 88172645463325252ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state % below;
}

static u64 unevenness(u32 nr)
{
	u64 sum = 0;
	u32 i;

	for (i = 1; i <= nr; i++)
		sum += (host[i].used >> 8) * (host[i].used >> 8);
	return sum;
}

/* One step of a pmon all of whose regions are of one size. Return: whether it moved. */
static bool step(u32 nr)
{
	u64 before = unevenness(nr);
	u32 i, to = 0;

	for (i = 1; i <= nr && !to; i++)
		if (crowded(i))
			to = ask(i, REGION, i);
	if (!to)
		return false;
	i--;
	host[i].used -= REGION;
	host[i].regions--;
	host[to].used += REGION;
	host[to].regions++;
	done(ASKER);
	now += GMM_MOVE_SETTLE_MS;
	report(i);
	report(to);
	/* Nothing that falls with each step comes back to where it was. */
	assert_true(unevenness(nr) < before);
	return true;
}

static void moves_end_and_help(void **state)
{
	u32 round, nr, i, all, regions[HOSTS - 1];

	(void)state;
	for (round = 0; round < 300; round++) {
		nr = 2 + random_number(HOSTS - 2);
		for (i = 0, all = 0; i < nr; i++) {
			regions[i] = random_number(3) ? random_number(60) : 0;
			all += regions[i];
		}
		hosts(nr, regions);
		i = 0;
		while (step(nr))
			assert_true(i++ < all);
		if (all * REGION < FRAMES / 2)
			continue;
		for (i = 1; i <= nr; i++)
			assert_true(host[i].regions * nr <=
				    all * 5 / 4 + 3 * nr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(even_hosts_are_left_alone),
		cmocka_unit_test(a_host_that_joins_is_filled),
		cmocka_unit_test(one_region_is_not_moved_about),
		cmocka_unit_test(little_is_not_worth_it),
		cmocka_unit_test(shares_follow_the_size_of_hosts),
		cmocka_unit_test(sizes_that_make_no_sense),
		cmocka_unit_test(who_is_left_out),
		cmocka_unit_test(switched_off),
		cmocka_unit_test(too_early),
		cmocka_unit_test(malformed),
		cmocka_unit_test(too_large_is_told),
		cmocka_unit_test(one_move_at_a_time),
		cmocka_unit_test(asked_again_it_is_answered_anew),
		cmocka_unit_test(askers_do_not_overdo_it),
		cmocka_unit_test(moves_end_and_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
