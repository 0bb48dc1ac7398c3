// SPDX-License-Identifier: GPL-2.0
/*
 * forkpins - parent and child fork at the same time, both with pages that are held
 *
 *   forkpins [--mb M] [--rounds N]
 *
 * Fills M MiB (default 2). In each of N rounds (default 10) the parent writes to a page
 * and has a pipe hold it (vmsplice), then forks a child, which does the same with a page
 * of its own. Then both fork at once, and each of the four compares what it can
 * see with what has to be there, the pipes with what their pages had, and ends.
 *
 * Exit: 0 good; 1 bad; 2 could not run.
 * Out: {"program":"forkpins","rounds":..,"bad":..}
 */
#include "common.h"

#include <fcntl.h>
#include <getopt.h>
#include <stdatomic.h>
#include <sys/uio.h>
#include <sys/wait.h>

enum { PARENT, CHILD, ROLES };		/* each has the page of its number */

static unsigned long mb = 2, rounds = 10;
static uint64_t *area;

/* What the processes of a round share. */
struct shared {
	atomic_uint ready;
	atomic_ulong bad;
};

static struct shared *shared;

static unsigned long nr_pages(void)
{
	return mb << 8;
}

static uint64_t *page(unsigned long i)
{
	return area + i * PAGE_WORDS;
}

static void bad(const char *who, unsigned long round, unsigned long i, uint64_t is,
		uint64_t expected)
{
	if (atomic_fetch_add(&shared->bad, 1) < 10)
		fprintf(stderr, "bad: %s, round %lu: page %lu has %llx, not %llx\n", who,
			round, i, (unsigned long long)is, (unsigned long long)expected);
}

/* @mine: the last page that this process, or one that it was forked from, wrote to. */
static void check(const char *who, unsigned long round, int mine)
{
	unsigned long i;
	uint64_t expected;

	for (i = 0; i < nr_pages(); i++) {
		expected = (int)i <= mine ? round : mix(i);
		if (page(i)[1] != expected)
			bad(who, round, i, page(i)[1], expected);
	}
}

/* Write to a page, and let the pipe have it as it is then. */
static int hold(int role, unsigned long round)
{
	struct iovec iov = { .iov_base = page(role), .iov_len = PAGE };
	int fd[2];

	page(role)[1] = round;
	if (pipe2(fd, O_CLOEXEC))
		die("pipe");
	if (vmsplice(fd[1], &iov, 1, 0) != PAGE)
		die("vmsplice");
	close(fd[1]);
	return fd[0];
}

static void let_go(const char *who, int fd, unsigned long round, int role)
{
	uint64_t got[PAGE_WORDS];

	if (read(fd, got, PAGE) != PAGE || got[1] != round)
		bad(who, round, role, got[1], round);
	close(fd);
}

static pid_t make(void)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	return pid;
}

static void await(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || status)
		atomic_fetch_add(&shared->bad, 1);
}

/* Both at once. */
static void fork_together(const char *who, unsigned long round, int role)
{
	pid_t pid;

	atomic_fetch_add(&shared->ready, 1);
	while (atomic_load(&shared->ready) < ROLES)
		;
	pid = make();
	if (!pid) {
		check(who, round, role);
		_exit(0);
	}
	check(who, round, role);
	await(pid);
}

static void run_round(unsigned long round)
{
	int fd, own;
	pid_t pid;

	/* Last, so that the child need not fetch it, which would settle with the parent. */
	if (page(CHILD)[1] != mix(CHILD))
		bad("parent", round, CHILD, page(CHILD)[1], mix(CHILD));
	fd = hold(PARENT, round);
	atomic_store(&shared->ready, 0);
	pid = make();
	if (!pid) {
		own = hold(CHILD, round);
		fork_together("child", round, CHILD);
		let_go("child", own, round, CHILD);
		_exit(0);
	}
	fork_together("parent", round, PARENT);
	await(pid);
	let_go("parent", fd, round, PARENT);
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "mb", 1, NULL, 'm' }, { "rounds", 1, NULL, 'r' }, { NULL, 0, NULL, 0 }
	};
	unsigned long i;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'm')
			mb = number("mb", optarg, 1, 1 << 20);
		else if (c == 'r')
			rounds = number("rounds", optarg, 1, 1 << 30);
		else
			return EXIT_TROUBLE;
	}
	area = map_private(mb << 20);
	shared = map_shared(sizeof(*shared));
	for (i = 0; i < nr_pages(); i++)
		page(i)[1] = mix(i);
	for (i = 1; i <= rounds; i++)
		run_round(i);
	printf("{\"program\":\"forkpins\",\"rounds\":%lu,\"bad\":%lu}\n", rounds,
	       atomic_load(&shared->bad));
	return atomic_load(&shared->bad) ? 1 : 0;
}
