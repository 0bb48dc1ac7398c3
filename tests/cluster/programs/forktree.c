// SPDX-License-Identifier: GPL-2.0
/*
 * forktree - is memory right in a tree of processes that fork at will?
 *
 *   forktree [--pages P] [--processes N] [--live L] [--ops K] [--seed S]
 *
 * N processes in all (default 60), at most L at a time (default 8), each with
 * its copy of the same P pages (default 512). Each does K operations (default
 * 400) at random: write a page, check one, discard one, move a run of pages by
 * mremap and back, fork; then it checks all pages and exits, perhaps before its
 * children, or execs. What each page of each process must hold is noted in
 * shared memory, which is never managed.
 *
 * Exit: 0 good; 1 bad; 2 could not run.
 * Out: {"program":"forktree","processes":..,"checks":..,"bad":..,"seed":..}
 */
#include "common.h"

#include <getopt.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define SLOTS		64
#define WORDS		4		/* words of a page that are checked */
#define RUN		16		/* pages that move at once */

struct shared {
	atomic_ulong bad, checks, processes, live, next_version;
	atomic_bool used[SLOTS];
	uint32_t version[];		/* [SLOTS][pages]; 0: reads zeros */
};

static unsigned long pages = 512, processes = 60, live = 8, ops = 400, seed = 1;
static struct shared *shared;
static uint32_t *version;		/* of this process */
static unsigned long my_slot;
static volatile uint64_t *area;
static uint64_t rng;

static uint64_t expected(uint32_t v, unsigned long word)
{
	return v ? mix((uint64_t)v << 16 | word) : 0;
}

static volatile uint64_t *word_of(unsigned long page, unsigned long word)
{
	return area + page * PAGE_WORDS + word * (PAGE_WORDS - 1) / (WORDS - 1);
}

static void write_page(unsigned long page)
{
	unsigned long i;

	version[page] = atomic_fetch_add(&shared->next_version, 1);
	for (i = 0; i < WORDS; i++)
		*word_of(page, i) = expected(version[page], i);
}

static void check_page(unsigned long page, const char *when)
{
	unsigned long i;
	uint64_t found;

	for (i = 0; i < WORDS; i++) {
		found = *word_of(page, i);
		if (found == expected(version[page], i))
			continue;
		if (atomic_fetch_add(&shared->bad, 1) < 10)
			fprintf(stderr, "bad: %s: pid %d page %lu word %lu: %llx, not %llx (version %u)\n",
				when, getpid(), page, i,
				(unsigned long long)found,
				(unsigned long long)expected(version[page], i),
				version[page]);
		return;
	}
	atomic_fetch_add(&shared->checks, 1);
}

static void discard_page(unsigned long page)
{
	if (madvise((void *)word_of(page, 0), PAGE, MADV_DONTNEED))
		die("madvise");
	version[page] = 0;
}

/* There and back again; the pages are checked at the other place. */
static void move_run(unsigned long page)
{
	void *from = (void *)(area + page * PAGE_WORDS), *to;
	volatile uint64_t *home = area;
	unsigned long i;

	to = map_private(RUN * PAGE);
	if (mremap(from, RUN * PAGE, RUN * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   to) != to)
		die("mremap");
	area = (volatile uint64_t *)to - page * PAGE_WORDS;
	for (i = 0; i < RUN; i++)
		check_page(page + i, "moved");
	write_page(page);
	area = home;
	if (mremap(to, RUN * PAGE, RUN * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   from) != from)
		die("mremap back");
}

static long take_slot(void)
{
	unsigned long i;

	for (i = 0; i < SLOTS; i++)
		if (!atomic_exchange(&shared->used[i], true))
			return i;
	return -1;
}

static void run_process(void);

static void spawn(void)
{
	long slot;
	pid_t pid;

	if (atomic_fetch_add(&shared->live, 1) >= live)
		goto out_live;
	if (atomic_fetch_add(&shared->processes, 1) >= processes)
		goto out_process;
	slot = take_slot();
	if (slot < 0)
		goto out_process;
	memcpy(shared->version + slot * pages, version,
	       pages * sizeof(*version));
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid)
		return;
	my_slot = slot;
	version = shared->version + slot * pages;
	rng = mix(seed + slot + atomic_load(&shared->processes));
	run_process();

out_process:
	atomic_fetch_sub(&shared->processes, 1);
out_live:
	atomic_fetch_sub(&shared->live, 1);
}

static void leave(void)
{
	atomic_store(&shared->used[my_slot], false);
	atomic_fetch_sub(&shared->live, 1);
	if (next_random(&rng) % 4 == 0)
		execl("/bin/true", "true", NULL);
	_exit(0);
}

static void run_process(void)
{
	unsigned long i, page, nr = next_random(&rng) % (2 * ops);

	for (i = 0; i < nr; i++) {
		page = next_random(&rng) % pages;
		switch (next_random(&rng) % 64) {
		case 0 ... 30:
			write_page(page);
			break;
		case 31 ... 56:
			check_page(page, "now and then");
			break;
		case 57 ... 60:
			discard_page(page);
			break;
		case 61:
			if (page + RUN <= pages)
				move_run(page);
			break;
		default:
			spawn();
			break;
		}
	}
	for (page = 0; page < pages; page++)
		check_page(page, "at the end");
	leave();
}

/* All of them end up here: nobody else waits. Returns false when none is left. */
static bool reap(int options)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, options)) > 0) {
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			continue;
		fprintf(stderr, "bad: pid %d ended with status %x\n", pid, status);
		atomic_fetch_add(&shared->bad, 1);
	}
	return !pid;
}

/* Keeps the tree growing until there have been enough, and reaps all of it. */
static void grow(void)
{
	while (atomic_load(&shared->processes) < processes) {
		unsigned long i;

		spawn();
		for (i = 0; i < pages / 8; i++)
			write_page(next_random(&rng) % pages);
		reap(WNOHANG);
		for (i = 0; i < pages / 8; i++)
			check_page(next_random(&rng) % pages, "root");
	}
	while (reap(0))
		;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pages", 1, NULL, 'p' }, { "processes", 1, NULL, 'n' },
		{ "live", 1, NULL, 'l' }, { "ops", 1, NULL, 'k' },
		{ "seed", 1, NULL, 's' }, { NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			pages = number("pages", optarg, RUN, 1 << 18);
		else if (c == 'n')
			processes = number("processes", optarg, 1, 1 << 20);
		else if (c == 'l')
			live = number("live", optarg, 1, SLOTS - 2);
		else if (c == 'k')
			ops = number("ops", optarg, 1, 1 << 30);
		else if (c == 's')
			seed = number("seed", optarg, 0, ~0UL);
		else
			exit(EXIT_TROUBLE);
	}
}

int main(int argc, char **argv)
{
	unsigned long page;

	parse(argc, argv);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		die("prctl");
	shared = map_shared(sizeof(*shared) +
			    SLOTS * pages * sizeof(*shared->version));
	atomic_store(&shared->next_version, 1);
	area = map_private(pages * PAGE);
	my_slot = take_slot();
	version = shared->version + my_slot * pages;
	rng = mix(seed);
	for (page = 0; page < pages; page++)
		write_page(page);
	grow();
	for (page = 0; page < pages; page++)
		check_page(page, "root at the end");
	printf("{\"program\":\"forktree\",\"processes\":%lu,\"checks\":%lu,\"bad\":%lu,\"seed\":%lu}\n",
	       atomic_load(&shared->processes), atomic_load(&shared->checks),
	       atomic_load(&shared->bad), seed);
	return atomic_load(&shared->bad) ? 1 : 0;
}
