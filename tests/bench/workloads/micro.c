// SPDX-License-Identifier: GPL-2.0
/*
 * micro - ways to go through memory
 *
 *   micro [--mb M] [--threads N] [--ops K] [--gate DIR]
 *
 * Phases, in this order, all on the same M MiB (default 24):
 *
 *   first_touch   every page is written for the first time
 *   settle        the first half is read: what is evicted after it is clean
 *   seq_read      the second half is read, page after page
 *   random_read, stride_read, zipf_read
 *                 K pages (default 1000) by all threads together: at random,
 *                 every 7th, or by a zipf distribution over scattered pages
 *   seq_write, random_write, stride_write, zipf_write
 *                 the same, and each page is changed: evicted pages are dirty
 *   verify        every word of every page is compared with what it has to be
 *
 * Each thread has a part of the memory of its own. An access takes one word of a
 * page and checks it. Half of each page is random, the other half is zero, so
 * that compression gains a factor of two.
 *
 * One JSON line a phase. With --gate DIR the program waits before phase n (from
 * 0) until there is a file DIR/n: meanwhile counters can be read.
 * Exit: 0; 3 if a word was wrong; 2 could not run.
 */
#include "workload.h"

#define STRIDE	7

static struct options options = { .mb = 24, .threads = 1, .ops = 1000 };
static struct part parts[THREADS_MAX];
static volatile uint64_t *area;
static unsigned long pages;
static bool dirty;
static uint16_t *changes;	/* of each page, by what was planned */
static unsigned long bad;
static uint64_t finished[THREADS_MAX];
static pthread_barrier_t barrier;
static uint64_t begun;

/* What a part's thread is to visit, made before the clock starts. */
struct visits {
	uint32_t *page;
	unsigned long nr;
};

static struct visits visits[THREADS_MAX];

static void fill(struct part *part)
{
	unsigned long page, word;
	uint64_t state;

	for (page = part->first; page < part->first + part->nr; page++) {
		state = mix(page) | 1;
		for (word = 2; word < PAGE_WORDS / 2; word++)
			area[page * PAGE_WORDS + word] = xorshift(&state);
		area[page * PAGE_WORDS] = mix(page);
		part->sum = fold(part->sum, mix(page));
	}
}

static void visit(struct part *part)
{
	const struct visits *list = &visits[part->index];
	unsigned long i, wrong = 0;

	for (i = 0; i < list->nr; i++) {
		volatile uint64_t *word = &area[list->page[i] * PAGE_WORDS];

		wrong += word[0] != mix(list->page[i]);
		part->sum = fold(part->sum, word[0]);
		/* The counter beside it: how often this page was changed. */
		if (dirty)
			part->sum = fold(part->sum, ++word[1]);
	}
	if (wrong)
		__atomic_add_fetch(&bad, wrong, __ATOMIC_RELAXED);
}

/* All words, those at which nobody looked before as well. */
static void verify(struct part *part)
{
	unsigned long page, word, wrong = 0;
	uint64_t state, expected;

	for (page = part->first; page < part->first + part->nr; page++) {
		state = mix(page) | 1;
		for (word = 0; word < PAGE_WORDS; word++) {
			if (word >= 2 && word < PAGE_WORDS / 2)
				expected = xorshift(&state);
			else
				expected = word ? word == 1 ? changes[page] : 0 :
					   mix(page);
			wrong += area[page * PAGE_WORDS + word] != expected;
		}
	}
	__atomic_add_fetch(&bad, wrong, __ATOMIC_RELAXED);
}

static void *work(void *arg)
{
	struct part *part = arg;
	void (*phase)(struct part *part) = part->data;

	if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
		__atomic_store_n(&begun, now_ns(), __ATOMIC_RELAXED);
	pthread_barrier_wait(&barrier);
	phase(part);
	finished[part->index] = now_ns();
	return NULL;
}

static void pass_gate(void)
{
	static unsigned int gates;
	char path[256];

	if (!options.gate)
		return;
	snprintf(path, sizeof(path), "%s/%u", options.gate, gates++);
	while (access(path, F_OK))
		sleep_ms(20);
}

static void run_phase(const char *name, void (*phase)(struct part *part))
{
	uint64_t sum = 0, end = 0;
	unsigned long i;

	pass_gate();
	for (i = 0; i < options.threads; i++) {
		parts[i].sum = 0;
		parts[i].data = phase;
	}
	parts_run(parts, options.threads, work);
	for (i = 0; i < options.threads; i++) {
		sum = fold(sum, parts[i].sum);
		end = finished[i] > end ? finished[i] : end;
	}
	result(name, end - begun, sum, "");
}

static uint64_t state;
static double *zipf;

static unsigned long random_page(unsigned long i, unsigned long nr)
{
	(void)i;
	return next_random(&state) % nr;
}

static unsigned long stride_page(unsigned long i, unsigned long nr)
{
	return i * STRIDE % nr;
}

static unsigned long zipf_page(unsigned long i, unsigned long nr)
{
	(void)i;
	return mix(zipf_rank(zipf, nr, &state)) % nr;
}

static unsigned long next_page(unsigned long i, unsigned long nr)
{
	(void)nr;
	return i;
}

/* @half: 0 the whole of each part, 1 its first half, 2 its second. */
static void plan(unsigned long (*choose)(unsigned long, unsigned long),
		 unsigned long ops, int half)
{
	unsigned long i, j, first, nr;

	for (i = 0; i < options.threads; i++) {
		struct visits *list = &visits[i];

		nr = half ? parts[i].nr / 2 : parts[i].nr;
		first = parts[i].first + (half == 2 ? nr : 0);
		list->nr = ops ? ops / options.threads : nr;
		list->page = malloc(list->nr * sizeof(*list->page));
		if (!list->page)
			die("%lu visits", list->nr);
		state = SEED + i;
		zipf = choose == zipf_page ? zipf_table(nr) : NULL;
		for (j = 0; j < list->nr; j++)
			list->page[j] = first + choose(j, nr);
		free(zipf);
	}
}

static void run_visits(const char *name, bool write,
		       unsigned long (*choose)(unsigned long, unsigned long),
		       unsigned long ops, int half)
{
	unsigned long i, j;

	dirty = write;
	plan(choose, ops, half);
	for (i = 0; dirty && i < options.threads; i++)
		for (j = 0; j < visits[i].nr; j++)
			changes[visits[i].page[j]]++;
	run_phase(name, visit);
	for (i = 0; i < options.threads; i++)
		free(visits[i].page);
}

int main(int argc, char **argv)
{
	options_parse(&options, argc, argv);
	pages = options.mb << 8;
	area = map_private(pages * PAGE);
	madvise((void *)area, pages * PAGE, MADV_NOHUGEPAGE);
	changes = calloc(pages, sizeof(*changes));
	if (!changes)
		die("%lu pages", pages);
	parts_cut(parts, options.threads, pages);
	pthread_barrier_init(&barrier, NULL, options.threads);

	run_phase("first_touch", fill);
	run_visits("settle", false, next_page, 0, 1);
	run_visits("seq_read", false, next_page, 0, 2);
	run_visits("random_read", false, random_page, options.ops, 0);
	run_visits("stride_read", false, stride_page, options.ops, 0);
	run_visits("zipf_read", false, zipf_page, options.ops, 0);
	run_visits("seq_write", true, next_page, 0, 2);
	run_visits("random_write", true, random_page, options.ops, 0);
	run_visits("stride_write", true, stride_page, options.ops, 0);
	run_visits("zipf_write", true, zipf_page, options.ops, 0);
	run_phase("verify", verify);
	pass_gate();
	if (bad)
		fprintf(stderr, "%lu words were wrong\n", bad);
	return bad ? EXIT_WRONG : 0;
}
