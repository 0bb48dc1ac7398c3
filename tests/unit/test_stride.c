// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the detection of streams: what it finds, what it does
 * not take for one, and that its waste is bounded whatever the accesses are.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/shim.h"
#include "../../pmon/stride.h"

#include <cmocka.h>

#define PAGES	65536
#define LARGEST	((1ull << 52) - 1)	/* index of the largest address */

/*
 * A memory all of whose pages are remote; what is fetched stays until read. With
 * sim.around pages are mapped by the fault of a neighbour; then nobody is told of
 * the first access, which only sets sim.young.
 */
static struct {
	struct pmon_stride stride;
	bool around;
	bool prefetched[PAGES], mapped[PAGES], young[PAGES];
	u64 around_at[PAGES];		/* what is mapped */
	unsigned int misses, issued, used, requests, accesses, faults, nr_around;
} sim;

static void sim_reset(void)
{
	memset(&sim, 0, sizeof(sim));
	pmon_stride_init(&sim.stride, STRIDE_DEPTH);
}

static void carry_out(const struct pmon_plan *plan)
{
	u64 index = plan->first;
	u32 i, fetched = 0;

	assert_true(plan->nr <= STRIDE_WINDOW);
	for (i = 0; i < plan->nr; i++, index += plan->step) {
		assert_true(index < PAGES);
		if (sim.prefetched[index])
			continue;
		sim.prefetched[index] = true;
		fetched++;
	}
	sim.issued += fetched;
	sim.requests++;
	pmon_stride_done(&sim.stride, plan, plan->nr, fetched);
}

/* True: it was mapped by a neighbour's fault, and touched since. */
static bool used_unseen(u64 index)
{
	if (!sim.mapped[index] || !sim.young[index] || !sim.prefetched[index])
		return false;
	sim.prefetched[index] = false;
	sim.used++;
	return true;
}

static void look_behind(u64 index)
{
	u32 k, nr, touched = 0;
	s32 step;

	nr = pmon_stride_behind(&sim.stride, index, &step);
	assert_true(nr <= STRIDE_AROUND);
	for (k = 1; k <= nr; k++)
		touched += used_unseen(index - (s64)step * k);
	pmon_stride_used(&sim.stride, touched);
}

static void map_around(const struct pmon_stream *stream, u64 index)
{
	u32 k, nr = pmon_stride_around(stream);

	assert_true(nr <= STRIDE_AROUND);
	for (k = 1; k <= nr; k++) {
		index += stream->step;
		/* What was planned last is left for a fault. */
		assert_true(index + stream->step != stream->next);
		if (!sim.prefetched[index])
			break;
		if (sim.mapped[index])
			break;
		sim.mapped[index] = true;
		sim.young[index] = false;
		sim.around_at[sim.nr_around++] = index;
	}
}

static void touch(u64 index)
{
	bool hit = sim.prefetched[index];
	struct pmon_plan plan;

	sim.accesses++;
	if (sim.mapped[index]) {
		sim.young[index] = true;
		return;
	}
	sim.faults++;
	sim.prefetched[index] = false;
	sim.used += hit;
	sim.misses += !hit;
	look_behind(index);
	pmon_stride_event(&sim.stride, index, hit ? STRIDE_USED : STRIDE_MISS,
			  0, PAGES - 1, &plan);
	if (plan.nr)
		carry_out(&plan);
	if (sim.around && hit && plan.stream)
		map_around(plan.stream, index);
}

/* All that is resident. */
static void evict(void)
{
	while (sim.nr_around--) {
		used_unseen(sim.around_at[sim.nr_around]);
		sim.mapped[sim.around_at[sim.nr_around]] = false;
	}
	sim.nr_around = 0;
	memset(sim.prefetched, 0, sizeof(sim.prefetched));
}

static void assert_misses(unsigned int most)
{
	if (sim.misses > most)
		fail_msg("%u misses of %u, %u at most", sim.misses, sim.accesses,
			 most);
}

/* What is prefetched and not used: what hangs over at the end. */
static void assert_waste(unsigned int most)
{
	if (sim.issued - sim.used > most)
		fail_msg("%u of %u not used", sim.issued - sim.used, sim.issued);
}

/* Three misses are needed; 4, 8 and then 16 pages a request. */
static void test_sequential(void **state)
{
	u64 i;

	sim_reset();
	for (i = 0; i < 1600; i++)
		touch(1000 + i);
	assert_misses(3);
	assert_waste(2 * STRIDE_WINDOW);
	assert_true(sim.requests <= 1600 / 16 + 4);

	sim_reset();
	for (i = 1600; i--;)
		touch(1000 + i);
	assert_misses(3);
	assert_waste(2 * STRIDE_WINDOW);
}

/* One fault for eight pages, none late, and no more in vain than that. */
static void test_around(void **state)
{
	u64 i;

	sim_reset();
	sim.around = true;
	for (i = 0; i < 1600; i++)
		touch(1000 + i);
	evict();
	assert_misses(3);
	assert_waste(2 * STRIDE_WINDOW + STRIDE_AROUND);
	assert_true(sim.requests <= 1600 / 16 + 4);
	if (sim.faults > 1600 / 8 + 16)
		fail_msg("%u faults", sim.faults);

	sim_reset();
	sim.around = true;
	for (i = 1600; i--;)
		touch(1000 + i);
	evict();
	assert_misses(3);
	assert_waste(2 * STRIDE_WINDOW + STRIDE_AROUND);
	assert_true(sim.faults <= 1600 / 8 + 16);

	/* Only neighbours. */
	sim_reset();
	sim.around = true;
	for (i = 0; i < 1600; i++)
		touch(1000 + 2 * i);
	assert_misses(4);
	assert_int_equal(sim.faults, 1600);
}

/* The window after a run is asked for with a window's time to travel in. */
static void test_around_lead(void **state)
{
	struct pmon_plan plan;
	u64 ahead, i;
	u32 around;

	sim_reset();
	for (i = 0; i < 1600; i += around + 1) {
		pmon_stride_event(&sim.stride, i, i < 3 ? STRIDE_MISS : STRIDE_USED,
				  0, PAGES - 1, &plan);
		if (plan.nr)
			pmon_stride_done(&sim.stride, &plan, plan.nr, plan.nr);
		around = 0;
		if (!plan.stream)
			continue;
		around = pmon_stride_around(plan.stream);
		pmon_stride_used(&sim.stride, around);
		ahead = plan.stream->next - i - 1;
		/* At the next fault it is too late to ask for these. */
		if (i > 32)
			assert_true(ahead - (around + 1) >= STRIDE_WINDOW - 1);
	}
	assert_int_equal(sim.stride.credit, STRIDE_CREDIT - STRIDE_PAGE * plan.nr);
}

/* A thread leaves out pages that were mapped for it: they count as not used. */
static void test_around_untouched(void **state)
{
	unsigned int k, left_out = 0;
	u64 i;

	sim_reset();
	sim.around = true;
	for (i = 0; i < 4800; i++) {
		k = i % 3;
		/* Not the first pages: they make it a stream. */
		if (i > 100 && !k && sim.mapped[i])
			left_out++;
		else
			touch(i);
	}
	assert_true(left_out > 500);
	evict();
	assert_true(sim.issued - sim.used >= left_out);
	assert_true(sim.issued - sim.used <= left_out + 2 * STRIDE_WINDOW +
					     STRIDE_AROUND);
}

/* Four, for want of neighbours. */
static void test_strides(void **state)
{
	static const int step[] = { 2, -2, 7, -7, 16, 63, -200, STRIDE_MAX };
	unsigned int i, k;

	for (i = 0; i < sizeof(step) / sizeof(*step); i++) {
		sim_reset();
		for (k = 0; k < 120; k++)
			touch(32768 + (int)k * step[i]);
		assert_misses(4);
		assert_waste(2 * STRIDE_WINDOW);
	}
	/* Farther apart than that is no stream. */
	sim_reset();
	for (k = 0; k < 100; k++)
		touch(k * (STRIDE_MAX + 1));
	assert_int_equal(sim.issued, 0);
}

static void test_interleaved(void **state)
{
	unsigned int k;

	/* Two far apart, one of them strided, downwards. */
	sim_reset();
	for (k = 0; k < 800; k++) {
		touch(k);
		touch(60000 - 3 * k);
	}
	assert_misses(8);
	/* Two that are close to each other. */
	sim_reset();
	for (k = 0; k < 800; k++) {
		touch(1000 + k);
		touch(1050 + k);
	}
	assert_misses(60);
	/* Four, not in turn but in bursts. */
	sim_reset();
	for (k = 0; k < 1600; k++)
		touch(k / 2 % 4 * 10000 + k / 8 * 2 + k % 2);
	assert_misses(20);
}

/* A stream that finds half of its pages at home goes on. */
static void test_holes(void **state)
{
	struct pmon_plan plan;
	unsigned int i, misses = 0;
	static bool fetched[4096];

	memset(fetched, 0, sizeof(fetched));
	sim_reset();
	for (i = 0; i < 2048; i++) {
		u32 k, n = 0;

		if (i / 6 % 2)	/* resident: no fault, no event */
			continue;
		misses += !fetched[i];
		pmon_stride_event(&sim.stride, i,
				  fetched[i] ? STRIDE_USED : STRIDE_MISS,
				  0, 4095, &plan);
		for (k = 0; k < plan.nr; k++) {
			u64 index = plan.first + k;

			if (index / 6 % 2 || fetched[index])
				continue;
			fetched[index] = true;
			n++;
		}
		if (plan.nr)
			pmon_stride_done(&sim.stride, &plan, plan.nr, n);
	}
	assert_true(misses <= 8);
}

static u64 rng_state;

static u64 rng(void)
{
	rng_state = rng_state * 6364136223846793005ull + 1442695040888963407ull;
	return rng_state >> 33;
}

/* Extra pages over misses, also where pages are few and chance likely. */
static void test_random(void **state)
{
	static const unsigned int pages[] = { 512, 1024, 2048, 16384, PAGES };
	unsigned int i, k;

	for (i = 0; i < sizeof(pages) / sizeof(*pages); i++) {
		sim_reset();
		rng_state = i;
		for (k = 0; k < 20000; k++) {
			u64 index = rng() % pages[i];

			/* Whatever was prefetched is evicted soon. */
			if (!(k % 64))
				evict();
			touch(index);
		}
		if ((sim.issued - sim.used) * 20 > sim.misses)
			fail_msg("%u pages: %u issued, %u used, %u misses",
				 pages[i], sim.issued, sim.used, sim.misses);
	}
}

/* Runs of just the length that makes it prefetch, and then somewhere else. */
static void test_deceiver(void **state)
{
	unsigned int k, n, length;

	for (length = 6; length < 80; length++) {
		sim_reset();
		sim.around = length % 2;
		rng_state = 4711;
		for (k = 0; k < 1500; k++) {
			u64 at = rng() % (PAGES - 64);

			for (n = 0; n < length / 2; n++)
				touch(at + n);
			evict();
		}
		/* The bound that stride.h promises, in 1/32 pages. */
		if (STRIDE_PAGE * (sim.issued - sim.used) >
		    sim.misses + STRIDE_BONUS * sim.used + STRIDE_START)
			fail_msg("runs of %u: %u issued, %u used, %u misses",
				 length / 2, sim.issued, sim.used, sim.misses);
	}
}

/* Ends of the mapping, both; indexes next to 0 and to the largest. */
static void test_ends(void **state)
{
	struct pmon_plan plan;
	u64 i;

	sim_reset();
	for (i = 100; i-- > 10;) {
		pmon_stride_event(&sim.stride, i, STRIDE_MISS, 10, 120, &plan);
		assert_true(!plan.nr || plan.first - plan.nr + 1 >= 10);
		if (plan.nr)
			pmon_stride_done(&sim.stride, &plan, plan.nr, plan.nr);
	}
	sim_reset();
	for (i = 5; i--;)
		pmon_stride_event(&sim.stride, i, STRIDE_MISS, 0, LARGEST, &plan);
	assert_int_equal(plan.nr, 0);
	for (i = LARGEST - 4; i <= LARGEST; i++)
		pmon_stride_event(&sim.stride, i, STRIDE_MISS, 0, LARGEST, &plan);
	assert_int_equal(plan.nr, 0);
}

/* No lines were free: what could not be fetched is planned again. */
static void test_refused(void **state)
{
	struct pmon_plan plan;
	u64 first = 0;
	u64 i;

	sim_reset();
	for (i = 0; i < 4; i++) {
		pmon_stride_event(&sim.stride, i, STRIDE_MISS, 0, PAGES - 1, &plan);
		if (!plan.nr)
			continue;
		if (first)
			assert_int_equal(plan.first, i + 1);
		first = plan.first;
		pmon_stride_done(&sim.stride, &plan, 0, 0);
	}
	assert_int_equal(first, 4);
	assert_int_equal(sim.stride.credit, STRIDE_START + 4);
}

/* The same page while it is on its way and when it is there: one access. */
static void test_late(void **state)
{
	struct pmon_plan plan;
	u64 i;

	sim_reset();
	for (i = 0; i < 3; i++)
		pmon_stride_event(&sim.stride, i, STRIDE_MISS, 0, 99, &plan);
	assert_int_equal(plan.nr, 4);
	pmon_stride_done(&sim.stride, &plan, 4, 4);
	pmon_stride_event(&sim.stride, 3, STRIDE_LATE, 0, 99, &plan);
	assert_int_equal(plan.nr, 8);
	assert_int_equal(plan.first, 7);
	pmon_stride_done(&sim.stride, &plan, 8, 8);
	pmon_stride_event(&sim.stride, 3, STRIDE_USED, 0, 99, &plan);
	assert_int_equal(plan.nr, 0);
}

/* Pages ahead just before a plan, at most, of a scan each of whose pages is late or none. */
static u64 deepest_ahead(bool late, u32 deepest)
{
	struct pmon_plan plan;
	u64 i, most = 0;

	sim_reset();
	sim.stride.deepest = deepest;
	for (i = 0; i < 2000; i++) {
		bool hit = sim.prefetched[i];

		pmon_stride_event(&sim.stride, i, !hit ? STRIDE_MISS : late ? STRIDE_LATE :
				  STRIDE_USED, 0, PAGES - 1, &plan);
		if (plan.nr) {
			most = plan.first - i > most ? plan.first - i : most;
			carry_out(&plan);
		}
		if (hit && late)
			pmon_stride_event(&sim.stride, i, STRIDE_USED, 0, PAGES - 1, &plan);
		sim.misses += !hit;
	}
	assert_misses(3);
	return most;
}

/* Where pages come late a stream asks for them earlier, as far as the memory allows. */
static void test_deepens(void **state)
{
	assert_int_equal(deepest_ahead(false, STRIDE_DEPTH), STRIDE_WINDOW);
	assert_int_equal(deepest_ahead(true, STRIDE_DEPTH), STRIDE_DEPTH);
	assert_int_equal(deepest_ahead(true, 40), 40);
	assert_int_equal(deepest_ahead(true, STRIDE_WINDOW), STRIDE_WINDOW);
}

/* What neighbours' prefetch brought counts as a miss would, but earns nothing. */
static void test_near(void **state)
{
	struct pmon_plan plan;

	sim_reset();
	pmon_stride_event(&sim.stride, 8, STRIDE_MISS, 0, 99, &plan);
	assert_null(plan.stream);
	pmon_stride_event(&sim.stride, 9, STRIDE_NEAR, 0, 99, &plan);
	assert_null(plan.stream);
	pmon_stride_event(&sim.stride, 10, STRIDE_NEAR, 0, 99, &plan);
	assert_non_null(plan.stream);
	assert_int_equal(plan.first, 11);
	assert_int_equal(sim.stride.credit, STRIDE_START + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_around),
		cmocka_unit_test(test_around_lead),
		cmocka_unit_test(test_around_untouched),
		cmocka_unit_test(test_strides),
		cmocka_unit_test(test_interleaved),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_deceiver),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_deepens),
		cmocka_unit_test(test_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
