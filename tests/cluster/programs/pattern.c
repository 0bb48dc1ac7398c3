// SPDX-License-Identifier: GPL-2.0
/*
 * pattern - verify-then-rewrite of patterned pages by several threads
 *
 *   pattern [--threads T] [--mb M] [--ops N | --seconds S] [--seed N]
 *           [--writes PERCENT] [--dontneed PERCENT]
 *           [--order random|sequential] [--shared] [--expect-sigbus]
 *
 * Each page is filled with words made of seed, page number, version and word
 * index, so a page that is stale, torn, another page's or zero shows. An
 * operation verifies a page and then rewrites it with the next version
 * (PERCENT of the time, default 50), or drops it by MADV_DONTNEED and expects
 * zeros from then on. Threads own disjoint ranges, or with --shared all of
 * them use all pages, each under a lock. N operations (default 10 a page) are
 * shared among the threads. At the end all pages are verified.
 *
 * Exit: 0 nothing was bad; 1 something was; 2 could not run; with
 * --expect-sigbus: 42 on SIGBUS, 1 if none came.
 * Out: {"program":"pattern","pages":..,"ops":..,"bad":..,"seed":..,"ms":..}
 */
#include "common.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define BAD_SHOWN	10
#define LOCKS		1024
#define THREADS_MAX	256
#define SIGBUS_EXIT	42

static struct {
	unsigned long threads, mb, ops, seconds, writes, dontneed;
	uint64_t seed;
	bool sequential, shared, expect_sigbus;
} opt = { .threads = 4, .mb = 64, .writes = 50 };

/* What is known about a page; never in memory that is under test itself. */
struct known {
	uint32_t version;
	uint32_t zero;
};

static uint64_t *area;
static unsigned long nr_pages;
static struct known *known;
static uint64_t start_ns;
static atomic_ulong total_ops, total_bad;

/* These, on the other hand, are to be: a futex in managed memory. */
static pthread_mutex_t locks[LOCKS];
static pthread_barrier_t filled;

static uint64_t word_of(unsigned long page, uint32_t version, unsigned int word)
{
	return mix(opt.seed ^ mix(page * PAGE_WORDS + word) ^
		   (uint64_t)version << 32);
}

static uint64_t expected(unsigned long page, unsigned int word)
{
	if (known[page].zero)
		return 0;
	return word_of(page, known[page].version, word);
}

/* What is it instead? Tells a lost write from damage. */
static void show_bad(unsigned long page, unsigned int word, uint64_t got)
{
	const char *what = got ? "garbage" : "zero";
	uint32_t version = known[page].version, back;

	for (back = 1; back <= 8 && back <= version; back++)
		if (got == word_of(page, version - back, word))
			what = "an older version";
	if (known[page].zero && got == word_of(page, version, word))
		what = "data from before MADV_DONTNEED";
	fprintf(stderr, "bad: address %p page %lu version %u%s word %u expected "
		"%016llx got %016llx: %s\n", (void *)&area[page * PAGE_WORDS + word],
		page, version, known[page].zero ? " (dropped)" : "", word,
		(unsigned long long)expected(page, word),
		(unsigned long long)got, what);
}

static void verify(unsigned long page)
{
	volatile uint64_t *p = area + page * PAGE_WORDS;
	unsigned int word;
	uint64_t got;

	for (word = 0; word < PAGE_WORDS; word++) {
		got = p[word];
		if (got == expected(page, word))
			continue;
		if (atomic_fetch_add(&total_bad, 1) < BAD_SHOWN)
			show_bad(page, word, got);
		return;
	}
}

static void rewrite(unsigned long page)
{
	uint64_t *p = area + page * PAGE_WORDS;
	unsigned int word;

	known[page].version++;
	known[page].zero = 0;
	for (word = 0; word < PAGE_WORDS; word++)
		p[word] = expected(page, word);
}

static void drop(unsigned long page)
{
	if (madvise(area + page * PAGE_WORDS, PAGE, MADV_DONTNEED))
		die("madvise");
	known[page].zero = 1;
}

static void operate(unsigned long page, uint64_t dice)
{
	unsigned int percent = dice % 100;

	if (opt.shared)
		pthread_mutex_lock(&locks[page % LOCKS]);
	verify(page);
	if (percent < opt.dontneed)
		drop(page);
	else if (percent < opt.dontneed + opt.writes)
		rewrite(page);
	if (opt.shared)
		pthread_mutex_unlock(&locks[page % LOCKS]);
}

static bool finished(unsigned long done, unsigned long share)
{
	if (!opt.seconds)
		return done >= share;
	return now_ns() - start_ns >= opt.seconds * 1000000000ULL;
}

static void *worker(void *arg)
{
	unsigned long me = (unsigned long)arg, done = 0, page, first, nr;
	uint64_t rng = mix(opt.seed + me + 1);

	first = nr_pages * me / opt.threads;
	nr = nr_pages * (me + 1) / opt.threads - first;
	for (page = first; page < first + nr; page++)
		rewrite(page);
	if (opt.shared) {
		first = 0;
		nr = nr_pages;
	}
	/* Another thread may still be filling what is shared. */
	pthread_barrier_wait(&filled);
	for (; !finished(done, opt.ops / opt.threads); done++) {
		page = opt.sequential ? done : next_random(&rng);
		operate(first + page % nr, next_random(&rng));
	}
	atomic_fetch_add(&total_ops, done);
	return NULL;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	char text[128];
	int len;

	(void)sig;
	(void)context;
	len = snprintf(text, sizeof(text),
		       "{\"sigbus\":true,\"after_ms\":%llu,\"address\":\"%p\"}\n",
		       (unsigned long long)(now_ns() - start_ns) / 1000000,
		       info->si_addr);
	if (write(STDOUT_FILENO, text, len) != len)
		_exit(EXIT_TROUBLE);
	_exit(SIGBUS_EXIT);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "threads", 1, NULL, 't' }, { "mb", 1, NULL, 'm' },
		{ "ops", 1, NULL, 'n' }, { "seconds", 1, NULL, 's' },
		{ "seed", 1, NULL, 'r' }, { "writes", 1, NULL, 'w' },
		{ "dontneed", 1, NULL, 'd' }, { "order", 1, NULL, 'o' },
		{ "shared", 0, NULL, 'S' }, { "expect-sigbus", 0, NULL, 'b' },
		{ NULL, 0, NULL, 0 }
	};
	int c, i;

	opt.seed = now_ns() % 1000000;
	while ((c = getopt_long(argc, argv, "", options, &i)) != -1) {
		const char *name = c == '?' ? "" : options[i].name;

		switch (c) {
		case 't':
			opt.threads = number(name, optarg, 1, THREADS_MAX);
			break;
		case 'm':
			opt.mb = number(name, optarg, 1, 1 << 20);
			break;
		case 'n':
			opt.ops = number(name, optarg, 0, -1UL);
			break;
		case 's':
			opt.seconds = number(name, optarg, 1, 1 << 20);
			break;
		case 'r':
			opt.seed = number(name, optarg, 0, -1UL);
			break;
		case 'w':
			opt.writes = number(name, optarg, 0, 100);
			break;
		case 'd':
			opt.dontneed = number(name, optarg, 0, 100);
			break;
		case 'o':
			opt.sequential = !strcmp(optarg, "sequential");
			break;
		case 'S':
			opt.shared = true;
			break;
		case 'b':
			opt.expect_sigbus = true;
			break;
		default:
			exit(EXIT_TROUBLE);
		}
	}
	nr_pages = opt.mb << 20 >> 12;
	if (!opt.ops && !opt.seconds)
		opt.ops = 10 * nr_pages;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	pthread_t threads[THREADS_MAX];
	unsigned long i;

	parse(argc, argv);
	start_ns = now_ns();
	area = map_private(nr_pages * PAGE);
	known = map_shared(nr_pages * sizeof(*known));
	for (i = 0; i < LOCKS; i++)
		pthread_mutex_init(&locks[i], NULL);
	pthread_barrier_init(&filled, NULL, opt.threads);
	if (opt.expect_sigbus)
		sigaction(SIGBUS, &sa, NULL);

	for (i = 0; i < opt.threads; i++) {
		errno = pthread_create(&threads[i], NULL, worker, (void *)i);
		if (errno)
			die("pthread_create");
	}
	for (i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < nr_pages; i++)
		verify(i);

	printf("{\"program\":\"pattern\",\"pages\":%lu,\"ops\":%lu,\"bad\":%lu,"
	       "\"seed\":%llu,\"ms\":%llu}\n", nr_pages,
	       atomic_load(&total_ops), atomic_load(&total_bad),
	       (unsigned long long)opt.seed,
	       (unsigned long long)(now_ns() - start_ns) / 1000000);
	return atomic_load(&total_bad) || opt.expect_sigbus;
}
