// SPDX-License-Identifier: GPL-2.0
/*
 * scan - reads remote memory in a given order
 *
 *   scan [--mb M] [--push-mb P] [--threads N] [--rounds R] [--fork] --order ORDER
 *
 * Writes M MiB (default 8), then P MiB of other memory (default 4), which it
 * frees again: with P larger than the ExCache and the policy fifo, all of the M
 * MiB are at the memory host then, and the ExCache is empty. Then N threads
 * (default 1) read one word of pages of the M MiB and check it. With --fork a child
 * does that, after it has changed every other page and written P MiB again.
 *
 * Orders:
 *
 *   forward, backward   each thread its part, page by page
 *   stride, rstride     every 7th page of its part, up or down
 *   two                 two streams in turn, one by single pages, one by
 *                       twos and downwards, in the two halves of its part
 *   random              as many pages of its part as there are, at random
 *   touch               each page of its part once, in random order
 *   records             the same by records of 4 pages, at no particular boundary
 *   same                all threads the whole of it, in step
 *   runs                90 pages from every 320th on; of those that follow these it
 *                       counts which are mapped, though nobody has read them
 *   none                nothing: what remains is what all orders have in common
 *
 * Prints one JSON line: "pages" read by all threads together, "ns" for it, "bad"
 * ones, and "unread" ones that were mapped. Exit: 0; 1 if a word was wrong; 2 could not run.
 */
#include "common.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sys/wait.h>

#define STRIDE	7
#define RECORD	4
#define BLOCK	64	/* pages between two barriers of "same" */
#define THREADS	64
#define RUN	90	/* pages that "runs" reads, */
#define APART	320	/* every so many, */
#define BEYOND	32	/* and looks at after each */
#define PRESENT	(1ULL << 63)	/* in /proc/self/pagemap */

static unsigned long pages = 8 << 8, push_pages = 4 << 8, threads = 1, rounds = 1;
static volatile uint64_t *area;
static bool in_child;
static pthread_barrier_t barrier;

struct reader {
	pthread_t thread;
	unsigned long first, nr;	/* its part */
	unsigned long done, bad, unread;
};

static struct reader readers[THREADS];
static void (*order)(struct reader *reader);

static void look(struct reader *reader, unsigned long page)
{
	reader->bad += area[page * PAGE_WORDS] != mix(page);
	reader->done++;
}

static void forward(struct reader *r)
{
	unsigned long i;

	for (i = 0; i < r->nr; i++)
		look(r, r->first + i);
}

static void backward(struct reader *r)
{
	unsigned long i;

	for (i = r->nr; i--;)
		look(r, r->first + i);
}

static void stride(struct reader *r)
{
	unsigned long i;

	for (i = 0; i < r->nr; i += STRIDE)
		look(r, r->first + i);
}

static void rstride(struct reader *r)
{
	unsigned long i;

	for (i = 0; i < r->nr; i += STRIDE)
		look(r, r->first + r->nr - 1 - i);
}

static void two(struct reader *r)
{
	unsigned long i, half = r->nr / 2;

	for (i = 0; i < half / 2; i++) {
		look(r, r->first + i);
		look(r, r->first + r->nr - 1 - 2 * i);
	}
}

/* A permutation of [0, @size), a power of two: each step can be undone. */
static unsigned long mix_within(unsigned long x, unsigned long size)
{
	int round;

	for (round = 0; round < 3; round++) {
		x = (x * 0x9e3779b1UL + 12345) & (size - 1);
		x ^= x >> 5;
	}
	return x;
}

static void random_pages(struct reader *r)
{
	uint64_t rng = 4711 + r->first;
	unsigned long i;

	for (i = 0; i < r->nr; i++)
		look(r, r->first + next_random(&rng) % r->nr);
}

static void touch(struct reader *r)
{
	unsigned long i, page, size = 1;

	while (size < r->nr)
		size <<= 1;
	for (i = 0; i < size; i++) {
		page = mix_within(i, size);
		if (page < r->nr)
			look(r, r->first + page);
	}
}

static void records(struct reader *r)
{
	unsigned long i, record, page, size = 1, nr = (r->nr - RECORD / 2) / RECORD;

	while (size < nr)
		size <<= 1;
	for (i = 0; i < size; i++) {
		record = mix_within(i, size);
		for (page = 0; page < RECORD && record < nr; page++)
			look(r, r->first + RECORD / 2 + record * RECORD + page);
	}
}

static void same(struct reader *r)
{
	unsigned long i;

	for (i = 0; i < pages; i++) {
		if (!(i % BLOCK))
			pthread_barrier_wait(&barrier);
		look(r, i);
	}
}

/* How many of the pages from @page on are mapped? */
static unsigned long mapped(unsigned long page)
{
	unsigned long at = (uintptr_t)(area + page * PAGE_WORDS) / PAGE;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned long i, nr = 0;
	uint64_t entry[BEYOND];

	if (fd < 0 || pread(fd, entry, sizeof(entry), at * sizeof(*entry)) !=
	    sizeof(entry))
		die("/proc/self/pagemap");
	close(fd);
	for (i = 0; i < BEYOND; i++)
		nr += !!(entry[i] & PRESENT);
	return nr;
}

static void runs(struct reader *r)
{
	unsigned long i, k;

	for (i = 0; i + APART <= r->nr; i += APART) {
		for (k = 0; k < RUN; k++)
			look(r, r->first + i + k);
		r->unread += mapped(r->first + i + RUN);
	}
}

static void none(struct reader *r)
{
	(void)r;
}

static void *reader_main(void *arg)
{
	unsigned long i;

	pthread_barrier_wait(&barrier);
	for (i = 0; i < rounds; i++)
		order(arg);
	return NULL;
}

static const struct {
	const char *name;
	void (*run)(struct reader *reader);
} orders[] = {
	{ "forward", forward }, { "backward", backward },
	{ "stride", stride }, { "rstride", rstride }, { "two", two },
	{ "random", random_pages }, { "touch", touch }, { "records", records },
	{ "same", same }, { "runs", runs }, { "none", none },
};

static void choose(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(orders) / sizeof(*orders); i++)
		if (!strcmp(orders[i].name, name))
			order = orders[i].run;
	if (!order)
		die("--order %s: see the head of scan.c", name);
}

static void arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mb", 1, NULL, 'm' }, { "push-mb", 1, NULL, 'p' },
		{ "threads", 1, NULL, 't' }, { "rounds", 1, NULL, 'r' },
		{ "order", 1, NULL, 'o' }, { "fork", 0, NULL, 'f' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'm')
			pages = number("mb", optarg, 1, 1 << 20) << 8;
		else if (c == 'p')
			push_pages = number("push-mb", optarg, 0, 1 << 20) << 8;
		else if (c == 't')
			threads = number("threads", optarg, 1, THREADS);
		else if (c == 'r')
			rounds = number("rounds", optarg, 1, 1000);
		else if (c == 'f')
			in_child = true;
		else if (c == 'o')
			choose(optarg);
		else
			exit(EXIT_TROUBLE);
	}
	if (!order)
		die("--order is missing");
}

static void *touched(unsigned long nr)
{
	uint64_t *words = map_private(nr * PAGE);
	unsigned long i;

	madvise(words, nr * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < nr; i++)
		words[i * PAGE_WORDS] = mix(i);
	return words;
}

static void push(void)
{
	if (push_pages)
		munmap(touched(push_pages), push_pages * PAGE);
}

/* Returns in the child. */
static void fork_and_change(void)
{
	pid_t pid = fork();
	unsigned long i;
	int status;

	if (pid < 0)
		die("fork");
	if (pid) {
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			die("child");
		exit(WEXITSTATUS(status));
	}
	for (i = 1; i < pages; i += 2)
		area[i * PAGE_WORDS + 1] = i;
	push();
}

int main(int argc, char **argv)
{
	unsigned long i, done = 0, bad = 0, unread = 0;
	uint64_t ns;

	arguments(argc, argv);
	area = touched(pages);
	push();
	if (in_child)
		fork_and_change();
	pthread_barrier_init(&barrier, NULL, threads);
	ns = now_ns();
	for (i = 0; i < threads; i++) {
		readers[i].nr = pages / threads;
		readers[i].first = i * readers[i].nr;
		if (pthread_create(&readers[i].thread, NULL, reader_main,
				   &readers[i]))
			die("pthread_create");
	}
	for (i = 0; i < threads; i++) {
		pthread_join(readers[i].thread, NULL);
		done += readers[i].done;
		bad += readers[i].bad;
		unread += readers[i].unread;
	}
	ns = now_ns() - ns;
	printf("{\"pages\":%lu,\"ns\":%llu,\"bad\":%lu,\"unread\":%lu}\n", done,
	       (unsigned long long)ns, bad, unread);
	return bad ? 1 : 0;
}
