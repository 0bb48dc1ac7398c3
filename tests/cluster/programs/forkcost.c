// SPDX-License-Identifier: GPL-2.0
/*
 * forkcost - what fork costs a process, by the size of its memory
 *
 *   forkcost [--mb M] [--touch-mb T] [--rounds N] [--huge]
 *
 * Writes to M MiB (default 64), then N times (default 5) forks a child that
 * execs /bin/true, and N times one that exits, and waits for it. Then the
 * parent reads the last T MiB (default 1) that it wrote again: once more, and
 * once more after a fork. One JSON line a phase, the least of all rounds in ns of CPU
 * time of parent and child, which in a VM with -icount shift=0 is instructions.
 * --huge leaves the kernel's setting of huge pages alone; otherwise there are
 * none.
 *
 * Phases: fork_exec, fork_exit, touch (no fork before), touch_after.
 * Exit: 0; 2 could not run.
 */
#include "common.h"

#include <getopt.h>
#include <sys/resource.h>
#include <sys/wait.h>

static unsigned long pages = 64 << 8, touch_pages = 1 << 8, rounds = 5;
static volatile uint8_t *area;
static volatile uint64_t sink;

/* Not the clock on the wall: under icount it leaps while nobody runs. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static uint64_t us(struct timeval tv)
{
	return tv.tv_sec * 1000000ULL + tv.tv_usec;
}

static void child_exec(void)
{
	execl("/bin/true", "true", NULL);
}

static void child_exit(void)
{
}

static uint64_t fork_once(void (*child)(void))
{
	uint64_t start = cpu_ns();
	struct rusage child_use;
	int status;
	pid_t pid;

	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		child();
		_exit(0);
	}
	if (wait4(pid, &status, 0, &child_use) != pid || status)
		die("child ended with %x", status);
	return cpu_ns() - start +
	       (us(child_use.ru_utime) + us(child_use.ru_stime)) * 1000;
}

static uint64_t touch(void)
{
	uint64_t start = cpu_ns(), sum = 0;
	unsigned long i;

	for (i = pages - touch_pages; i < pages; i++)
		sum += area[i * PAGE];
	sink = sum;
	return cpu_ns() - start;
}

static void report(const char *phase, uint64_t ns)
{
	printf("{\"phase\":\"%s\",\"pages\":%lu,\"touched\":%lu,\"ns\":%llu}\n",
	       phase, pages, touch_pages, (unsigned long long)ns);
	fflush(stdout);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a && a < b ? a : b;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mb", 1, NULL, 'm' }, { "touch-mb", 1, NULL, 't' },
		{ "rounds", 1, NULL, 'r' }, { "huge", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	uint64_t exec_ns = 0, exit_ns = 0, touch_ns = 0, after_ns = 0;
	bool huge = false;
	unsigned long i;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'm')
			pages = number("mb", optarg, 1, 1 << 20) << 8;
		else if (c == 't')
			touch_pages = number("touch-mb", optarg, 1, 1 << 20) << 8;
		else if (c == 'r')
			rounds = number("rounds", optarg, 1, 1000);
		else if (c == 'h')
			huge = true;
		else
			return EXIT_TROUBLE;
	}
	if (touch_pages > pages)
		touch_pages = pages;
	area = map_private(pages * PAGE);
	if (!huge)
		madvise((void *)area, pages * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < pages; i++)
		area[i * PAGE] = i;
	touch();
	for (i = 0; i < rounds; i++) {
		touch_ns = least(touch_ns, touch());
		exec_ns = least(exec_ns, fork_once(child_exec));
		after_ns = least(after_ns, touch());
		exit_ns = least(exit_ns, fork_once(child_exit));
		touch();
	}
	report("fork_exec", exec_ns);
	report("fork_exit", exit_ns);
	report("touch", touch_ns);
	report("touch_after", after_ns);
	return 0;
}
