// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the replacement policies against traces whose misses are
 * known: worked out by hand for a short one, and by models that are written down
 * from the definitions of the policies, with arrays, for long ones.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/shim.h"
#include "../../pmon/order.h"

#include <cmocka.h>

#define KEYS	64
#define MOST	32	/* lines at most */

/* ---- a cache on top of order.c, as the evictor uses it -------------------------- */

struct entry {
	struct list_head node;
	bool resident, accessed;
};

static struct entry entries[KEYS];
static struct pmon_order order;
static int used;

static void cache_reset(void)
{
	int i;

	memset(entries, 0, sizeof(entries));
	for (i = 0; i < KEYS; i++)
		INIT_LIST_HEAD(&entries[i].node);
	pmon_order_init(&order);
	used = 0;
}

static void cache_drop(struct entry *entry)
{
	pmon_order_remove(&order, &entry->node);
	entry->resident = false;
	used--;
}

static void cache_evict(enum pmon_policy policy)
{
	struct list_head *at = pmon_order_first(&order, policy);
	struct entry *entry;
	bool accessed;

	while (at) {
		entry = list_entry(at, struct entry, node);
		accessed = entry->accessed;
		entry->accessed = false;
		pmon_order_looked(&order, policy, at);
		if (!pmon_order_spares(policy, accessed)) {
			cache_drop(entry);
			return;
		}
		pmon_order_keep(&order, policy, at);
		at = pmon_order_first(&order, policy);
	}
	fail_msg("no victim");
}

/* Returns whether it missed. */
static bool cache_access(enum pmon_policy policy, int key, int lines)
{
	struct entry *entry = &entries[key];

	if (entry->resident) {
		entry->accessed = true;
		return false;
	}
	if (used == lines)
		cache_evict(policy);
	pmon_order_insert(&order, &entry->node);
	entry->resident = true;
	entry->accessed = false;
	used++;
	return true;
}

static int cache_misses(enum pmon_policy policy, const int *trace, int nr,
			int lines)
{
	int i, misses = 0;

	cache_reset();
	for (i = 0; i < nr; i++)
		misses += cache_access(policy, trace[i], lines);
	return misses;
}

/* ---- the models: arrays, oldest first -------------------------------------------- */

static int model_key[MOST], model_nr, model_hand;
static bool model_accessed[MOST];

static void model_delete(int at)
{
	int i;

	model_nr--;
	for (i = at; i < model_nr; i++) {
		model_key[i] = model_key[i + 1];
		model_accessed[i] = model_accessed[i + 1];
	}
}

static void model_append(int key, bool accessed)
{
	model_key[model_nr] = key;
	model_accessed[model_nr++] = accessed;
}

static void model_evict(enum pmon_policy policy)
{
	int key;

	if (policy == PMON_LRU) {
		/* Second chance: rotate while the oldest was accessed. */
		while (model_accessed[0]) {
			key = model_key[0];
			model_delete(0);
			model_append(key, false);
		}
	}
	if (policy != PMON_SIEVE) {
		model_delete(0);
		return;
	}
	/* The paper's algorithm 1: from the hand towards the newest, and round. */
	if (model_hand >= model_nr)
		model_hand = 0;
	while (model_accessed[model_hand]) {
		model_accessed[model_hand] = false;
		model_hand = (model_hand + 1) % model_nr;
	}
	/* What comes after the victim moves down to its place. */
	model_delete(model_hand);
	if (model_hand == model_nr)
		model_hand = MOST;	/* the newest is gone: oldest next */
}

static int model_misses(enum pmon_policy policy, const int *trace, int nr,
			int lines)
{
	int i, j, misses = 0;

	model_nr = 0;
	model_hand = 0;
	for (i = 0; i < nr; i++) {
		for (j = 0; j < model_nr; j++)
			if (model_key[j] == trace[i])
				break;
		if (j < model_nr) {
			model_accessed[j] = true;
			continue;
		}
		misses++;
		if (model_nr == lines)
			model_evict(policy);
		model_append(trace[i], false);
	}
	return misses;
}

/* ---- the tests ---------------------------------------------------------------------- */

/* Belady's trace. FIFO: more lines, more misses; the others worked out by hand. */
static void test_belady(void **state)
{
	static const int trace[] = { 1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5 };
	static const struct {
		enum pmon_policy policy;
		int lines, misses;
	} known[] = {
		{ PMON_FIFO, 3, 9 }, { PMON_FIFO, 4, 10 },
		{ PMON_LRU, 3, 10 }, { PMON_LRU, 4, 8 },
		{ PMON_SIEVE, 3, 10 }, { PMON_SIEVE, 4, 8 },
	};
	int i;

	for (i = 0; i < 6; i++)
		assert_int_equal(cache_misses(known[i].policy, trace, 12,
					      known[i].lines), known[i].misses);
}

/*
 * Six lines. Each round: 0 and 1 twice, then four keys once. By hand: FIFO loses
 * 0 and 1 in every second round: 6, 4, 6, 4, ... misses. SIEVE's hand passes
 * them once and from then on meets only what came in the round before.
 */
static void test_scan(void **state)
{
	int trace[800], nr = 0, round, i;

	for (round = 0; round < 100; round++) {
		for (i = 0; i < 4; i++)
			trace[nr++] = i & 1;
		for (i = 0; i < 4; i++)
			trace[nr++] = 2 + (round * 4 + i) % 60;
	}
	assert_int_equal(cache_misses(PMON_FIFO, trace, nr, 6), 500);
	assert_int_equal(cache_misses(PMON_SIEVE, trace, nr, 6), 402);
}

static uint32_t rng_state;

static uint32_t rng(void)
{
	rng_state = rng_state * 1664525u + 1013904223u;
	return rng_state >> 8;
}

/* Skewed keys: the smaller of two. */
static void test_models(void **state)
{
	static int trace[4000];
	int policy, lines, seed, i, distinct[PMON_NR_POLICIES] = { 0 };

	for (seed = 0; seed < 20; seed++) {
		rng_state = seed;
		for (i = 0; i < 4000; i++) {
			uint32_t a = rng() % KEYS, b = rng() % KEYS;

			trace[i] = a < b ? a : b;
		}
		for (policy = 0; policy < PMON_NR_POLICIES; policy++) {
			for (lines = 1; lines <= MOST; lines += 3) {
				int misses = cache_misses(policy, trace, 4000, lines);

				assert_int_equal(misses, model_misses(policy, trace,
								      4000, lines));
				distinct[policy] += misses;
			}
		}
	}
	/* They are three policies, and the order is what theory expects here. */
	assert_true(distinct[PMON_SIEVE] < distinct[PMON_LRU]);
	assert_true(distinct[PMON_LRU] < distinct[PMON_FIFO]);
}

/* Changed in mid-flight, and lines dropped from anywhere, the hand's included. */
static void test_switch(void **state)
{
	enum pmon_policy policy = PMON_FIFO;
	struct list_head *at;
	int i, key, nr;

	cache_reset();
	rng_state = 4711;
	for (i = 0; i < 100000; i++) {
		if (!(rng() % 16))
			policy = rng() % PMON_NR_POLICIES;
		key = rng() % KEYS;
		if (!(rng() % 8) && entries[key].resident)
			cache_drop(&entries[key]);
		else
			cache_access(policy, key, 16);
		nr = 0;
		for (at = order.list.next; at != &order.list; at = at->next)
			nr++;
		assert_int_equal(nr, used);
		for (at = order.list.next; at != order.hand && at != &order.list;)
			at = at->next;
		assert_ptr_equal(at, order.hand);
	}
}

static void test_walk(void **state)
{
	struct list_head *at;
	int i;

	cache_reset();
	assert_null(pmon_order_first(&order, PMON_LRU));
	assert_null(pmon_order_first(&order, PMON_SIEVE));
	for (i = 0; i < 3; i++)
		cache_access(PMON_LRU, i, 3);
	/* LRU ends with the youngest, SIEVE goes round from its hand. */
	at = pmon_order_first(&order, PMON_LRU);
	for (i = 0; i < 3; i++) {
		assert_ptr_equal(at, &entries[i].node);
		at = pmon_order_next(&order, PMON_LRU, at);
	}
	assert_null(at);
	pmon_order_looked(&order, PMON_SIEVE, &entries[0].node);
	at = pmon_order_first(&order, PMON_SIEVE);
	for (i = 0; i < 4; i++) {
		assert_ptr_equal(at, &entries[(i + 1) % 3].node);
		at = pmon_order_next(&order, PMON_SIEVE, at);
	}
	pmon_order_looked(&order, PMON_SIEVE, &entries[0].node);
	assert_ptr_equal(pmon_order_first(&order, PMON_SIEVE), &entries[1].node);
	/* The hand's own line goes. */
	cache_drop(&entries[1]);
	assert_ptr_equal(pmon_order_first(&order, PMON_SIEVE), &entries[2].node);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_belady),
		cmocka_unit_test(test_scan),
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
