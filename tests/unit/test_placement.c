// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check which hosts gmm chooses: whom it leaves out, what each
 * policy prefers, and that placements spread over equal hosts, in bursts between
 * two reports and over time.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/lite_stub.h"
#include "../../gmm/internal.h"

#include <cmocka.h>

#define MMON		(1u << LITE_SVC_MMON)
#define FRAMES		(1u << 20)		/* of a host: 4 GiB */
#define LOG		(256ull << 20)

static struct gmm_members t;
static struct gmm_placed placed;
static u64 now;

/** struct host - what the test's hosts have and report */
struct host {
	u64 capacity, free, requests, log_capacity, log_free;
	u32 services, flags, regions, replicas;
};

static struct host host[9];			/* by node, 0 unused */

static void report(u32 node)
{
	struct host *h = &host[node];
	struct gmm_report body = {
		.incarnation = node, .capacity = h->capacity, .free = h->free,
		.requests = h->requests, .log_capacity = h->log_capacity,
		.log_free = h->log_free, .services = h->services,
		.flags = h->flags, .regions = h->regions, .replicas = h->replicas,
	};
	struct lite_request req = {
		.node = node, .op = GMM_OP_REPORT, .body = &body,
		.body_len = sizeof(body),
	};
	enum gmm_news news;

	assert_int_equal(gmm_members_report(&t, &req, now, &news), 0);
}

/* @nr equal memory hosts, 1...@nr. */
static void hosts(u32 nr, enum gmm_policy policy)
{
	u32 i;

	gmm_members_init(&t, 5000, 0, 100);
	t.policy = policy;
	now = 10000;
	for (i = 1; i <= nr; i++) {
		host[i] = (struct host){
			.capacity = FRAMES, .free = FRAMES,
			.log_capacity = LOG, .log_free = LOG, .services = MMON,
		};
		report(i);
	}
}

static void second(u32 nr)
{
	u32 i;

	now += 1000;
	for (i = 1; i <= nr; i++)
		report(i);
}

static int ask(struct gmm_place *body)
{
	struct lite_request req = {
		.node = 77, .op = GMM_OP_PLACE, .body = body,
		.body_len = sizeof(*body),
	};
	u32 i, j;
	int err;

	memset(&placed, 0xff, sizeof(placed));
	err = gmm_place(&t, &req, now, &placed);
	if (err)
		return err;
	assert_in_range(placed.nr, 1, body->copies);
	for (i = 0; i < placed.nr; i++) {
		assert_int_not_equal(placed.node[i], 0);
		for (j = 0; j < i; j++)
			assert_int_not_equal(placed.node[i], placed.node[j]);
		for (j = 0; j < body->nr_avoid; j++)
			assert_int_not_equal(placed.node[i], body->avoid[j]);
	}
	for (; i < GMM_PLACE_MAX; i++)
		assert_int_equal(placed.node[i], 0);
	return 0;
}

static int place(u32 copies)
{
	struct gmm_place body = { .asid = 1, .copies = copies };

	return ask(&body);
}

/* Return: the host of one copy, other than @avoid. */
static u32 place_one(u32 avoid)
{
	struct gmm_place body = {
		.copies = 1, .nr_avoid = !!avoid, .avoid = { avoid },
	};

	return ask(&body) ? 0 : placed.node[0];
}

/* ---- who is left out ------------------------------------------------------------- */

static void without_hosts(void **state)
{
	(void)state;
	hosts(0, GMM_MOST_FREE);
	assert_int_equal(place(1), -EHOSTDOWN);
	hosts(1, GMM_MOST_FREE);
	host[1].services = 1 << LITE_SVC_PMON;
	report(1);
	assert_int_equal(place(1), -EHOSTDOWN);
	assert_int_equal(t.unplaced, 1);
	assert_int_equal(t.placements, 0);
}

static void too_early(void **state)
{
	(void)state;
	hosts(2, GMM_MOST_FREE);
	now = GMM_SETTLE_MS - 1;
	assert_int_equal(place(1), -EAGAIN);
	now++;
	assert_int_equal(place(1), 0);
}

static void full_and_draining_hosts_are_left_out(void **state)
{
	enum gmm_policy policy;
	u32 i;

	(void)state;
	for (policy = 0; policy < GMM_NR_POLICIES; policy++) {
		hosts(4, policy);
		host[1].free = 0;
		report(1);
		t.member[2].draining = true;		/* host 3 */
		for (i = 0; i < 20; i++) {
			u32 node = place_one(2);

			assert_int_equal(node, 4);
		}
		t.member[3].draining = true;
		assert_int_equal(place_one(2), 0);
		assert_int_equal(place_one(0), 2);
	}
}

static void replicas_need_a_log(void **state)
{
	struct gmm_place body = {
		.copies = 2, .flags = GMM_PLACE_REPLICAS, .nr_avoid = 1,
		.avoid = { 1 },
	};
	u32 i;

	(void)state;
	hosts(4, GMM_MOST_FREE);
	host[2].log_capacity = 0;
	host[2].log_free = 0;
	host[3].log_free = 0;
	report(2);
	report(3);
	for (i = 0; i < 20; i++) {
		assert_int_equal(place(3), 0);
		assert_int_equal(placed.nr, placed.node[0] == 1 ||
				 placed.node[0] == 4 ? 2 : 3);
	}
	assert_true(t.placed_fewer > 0);
	/* All frames gone, but room for replicas: */
	host[4].free = 0;
	report(4);
	assert_int_equal(ask(&body), 0);
	assert_int_equal(placed.nr, 1);
	assert_int_equal(placed.node[0], 4);
	body.avoid[0] = 4;
	assert_int_equal(ask(&body), 0);
	assert_int_equal(placed.node[0], 1);
}

static void malformed(void **state)
{
	struct gmm_place good = { .copies = 1, .nr_avoid = 1, .avoid = { 5 } }, bad;
	struct lite_request req = { .body = &bad, .body_len = sizeof(bad) };
	u32 i;

	(void)state;
	hosts(2, GMM_MOST_FREE);
	for (i = 0; i < 10; i++) {
		bad = good;
		req.body_len = sizeof(bad) - (i == 0);
		req.payload_len = i == 1;
		req.nr_direct = i == 2;
		bad.copies = i == 3 ? 0 : i == 4 ? 4 : i == 5 ? ~0u : 1;
		bad.nr_avoid = i == 6 ? 9 : i == 7 ? 0 : 1;
		bad.flags = i == 8 ? 2 : 0;
		bad.reserved = i == 9;
		assert_int_equal(gmm_place(&t, &req, now, &placed), -EBADMSG);
		assert_int_equal(t.refused, i + 1);
	}
	assert_int_equal(ask(&good), 0);
}

/* ---- what each policy prefers ------------------------------------------------------ */

static void most_free(void **state)
{
	u32 i;

	(void)state;
	hosts(3, GMM_MOST_FREE);
	host[1].free = FRAMES / 4;
	host[3].free = FRAMES / 2;
	second(3);
	for (i = 0; i < 8; i++)
		assert_int_equal(place_one(0), 2);
	assert_int_equal(place_one(2), 3);
}

/* A burst stops where the hosts would be equal. */
static void burst_fills_up(void **state)
{
	u32 i, at[4] = {};

	(void)state;
	hosts(2, GMM_MOST_FREE);
	host[1].free = FRAMES / 2;
	report(1);
	for (i = 0; i < 128; i++)
		at[place_one(0)]++;
	assert_in_range(at[2], 90, 100);
	assert_in_range(at[1], 28, 38);
}

static void least_load(void **state)
{
	u32 i, at[4] = {};

	(void)state;
	hosts(3, GMM_LEAST_LOAD);
	host[2].free = 10;				/* does not matter */
	for (i = 0; i < 10; i++) {
		host[1].requests += 5000;
		host[1].regions = 10;
		host[2].requests += 500;
		host[2].regions = 1;
		host[3].requests += 2500;
		host[3].regions = 5;
		second(3);
	}
	assert_int_equal(place_one(0), 2);
	assert_int_equal(place_one(2), 3);
	/* Each counts as much as an average one does: up to 10 everywhere. */
	for (i = 0; i < 12; i++)
		at[place_one(0)]++;
	assert_int_equal(at[1], 0);
	assert_in_range(at[2], 7, 9);
	assert_in_range(at[3], 3, 5);
}

static void round_robin(void **state)
{
	static const u32 want[] = { 1, 2, 3, 4, 1, 2, 3, 4, 1 };
	u32 i;

	(void)state;
	hosts(4, GMM_ROUND_ROBIN);
	host[2].free = 1;				/* does not matter */
	host[2].requests = 1000000;
	second(4);
	for (i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(place_one(0), want[i]);
	/* Where a host leaves, the next one has its turn. */
	gmm_members_remove(&t, 2);
	assert_int_equal(place_one(0), 3);
	report(2);
	assert_int_equal(place_one(0), 4);
	assert_int_equal(place_one(0), 1);
	assert_int_equal(place_one(0), 2);
}

static void policies_have_names(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < GMM_NR_POLICIES; i++)
		assert_int_equal(gmm_policy_find(gmm_policy_name(i)), i);
	assert_int_equal(gmm_policy_find("lru"), -EINVAL);
	assert_int_equal(gmm_policy_find(""), -EINVAL);
}

/* ---- spread ------------------------------------------------------------------------- */

static u32 at[9], replicas_at[9];

/* Within 20 % of even, or by one. */
static void assert_even(const u32 *counts, u32 nr)
{
	u32 i, sum = 0, slack;

	for (i = 1; i <= nr; i++)
		sum += counts[i];
	slack = max(sum / nr / 5, 1u);
	for (i = 1; i <= nr; i++)
		assert_in_range(counts[i] + slack, sum / nr,
				sum / nr + 2 * slack + !!(sum % nr));
}

/* What was placed arrives, and grows to some size. */
static void arrive(u32 frames)
{
	u32 i, node = placed.node[0];

	at[node]++;
	host[node].regions++;
	host[node].free -= min_t(u64, frames, host[node].free - 1);
	for (i = 1; i < placed.nr; i++) {
		node = placed.node[i];
		replicas_at[node]++;
		host[node].replicas++;
		host[node].log_free -= min_t(u64, frames, host[node].log_free - 1);
	}
}

/* Address spaces are used, more or less. */
static void use(u32 nr)
{
	u32 i;

	for (i = 1; i <= nr; i++)
		host[i].requests += (host[i].regions * 10 + host[i].replicas * 3) *
				    (90 + random() % 21);
}

static void spread(u32 nr, enum gmm_policy policy, u32 copies, u32 burst,
		   u32 frames)
{
	u32 round, i;

	hosts(nr, policy);
	memset(at, 0, sizeof(at));
	memset(replicas_at, 0, sizeof(replicas_at));
	for (round = 0; round < 240 / burst; round++) {
		for (i = 0; i < burst; i++) {
			assert_int_equal(place(copies), 0);
			assert_int_equal(placed.nr, min(copies, nr));
			arrive(frames ? random() % frames : 0);
		}
		use(nr);
		second(nr);
	}
	assert_even(at, nr);
	if (copies > 1)
		assert_even(replicas_at, nr);
}

static void spreads_over_equal_hosts(void **state)
{
	static const u32 nrs[] = { 2, 3, 4, 8 }, bursts[] = { 1, 2, 7, 60, 240 };
	static const u32 sizes[] = { 0, 10, 2000 };
	enum gmm_policy policy;
	u32 i, j, k, copies;

	(void)state;
	srandom(4711);
	for (policy = 0; policy < GMM_NR_POLICIES; policy++)
		for (i = 0; i < ARRAY_SIZE(nrs); i++)
			for (j = 0; j < ARRAY_SIZE(bursts); j++)
				for (k = 0; k < ARRAY_SIZE(sizes); k++)
					for (copies = 1; copies <= 3; copies++)
						spread(nrs[i], policy, copies,
						       bursts[j], sizes[k]);
}

/* One more replica each time a primary was placed: both kinds spread. */
static void kinds_have_turns_of_their_own(void **state)
{
	struct gmm_place body = {
		.copies = 1, .flags = GMM_PLACE_REPLICAS, .nr_avoid = 1,
	};
	enum gmm_policy policy;
	u32 i;

	(void)state;
	for (policy = 0; policy < GMM_NR_POLICIES; policy++) {
		hosts(2, policy);
		memset(at, 0, sizeof(at));
		memset(replicas_at, 0, sizeof(replicas_at));
		for (i = 0; i < 100; i++) {
			body.avoid[0] = place_one(0);
			at[body.avoid[0]]++;
			assert_int_equal(ask(&body), 0);
			replicas_at[placed.node[0]]++;
		}
		assert_even(at, 2);
		assert_even(replicas_at, 2);
	}
}

/* Placed and never made: after some reports that counts for nothing. */
static void what_never_arrives_is_forgotten(void **state)
{
	u32 i;

	(void)state;
	hosts(2, GMM_MOST_FREE);
	for (i = 0; i < 100; i++)
		place(2);
	assert_int_equal(t.member[0].placed + t.member[1].placed, 100);
	for (i = 0; i < 8; i++)
		second(2);
	assert_int_equal(t.member[0].placed + t.member[1].placed, 0);
	assert_int_equal(t.member[0].placed_replicas, 0);
}

static void odd_figures_do_no_harm(void **state)
{
	enum gmm_policy policy;
	u32 i;

	(void)state;
	for (policy = 0; policy < GMM_NR_POLICIES; policy++) {
		hosts(3, policy);
		host[2] = (struct host){
			.capacity = ~0ull, .free = ~0ull, .requests = ~0ull,
			.log_capacity = ~0ull, .log_free = ~0ull,
			.services = MMON, .regions = ~0u, .replicas = ~0u,
		};
		second(3);
		t.member[0].placed = ~0u - 1;
		t.member[2].placed_replicas = ~0u - 1;
		for (i = 0; i < 20; i++)
			assert_int_equal(place(1 + i % 3), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_hosts),
		cmocka_unit_test(too_early),
		cmocka_unit_test(full_and_draining_hosts_are_left_out),
		cmocka_unit_test(replicas_need_a_log),
		cmocka_unit_test(malformed),
		cmocka_unit_test(most_free),
		cmocka_unit_test(burst_fills_up),
		cmocka_unit_test(least_load),
		cmocka_unit_test(round_robin),
		cmocka_unit_test(policies_have_names),
		cmocka_unit_test(spreads_over_equal_hosts),
		cmocka_unit_test(kinds_have_turns_of_their_own),
		cmocka_unit_test(what_never_arrives_is_forgotten),
		cmocka_unit_test(odd_figures_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
