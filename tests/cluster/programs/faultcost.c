// SPDX-License-Identifier: GPL-2.0
/*
 * faultcost - what one page costs, by kind of access
 *
 *   faultcost [--mb M] [--resident-mb R] [--phases LIST]
 *
 * One JSON line a phase: {"phase","pages","ns","ns_per_page","major_faults"}, and
 * "instructions" (user and kernel) where the CPU counts them. In a VM with
 * -icount shift=0 a ns is an instruction; where from, the plugin of
 * tests/bench/executed can tell. Phases, in this order, chosen by a
 * LIST with commas (default all):
 *
 *   first-touch   write to M MiB (default 64) never touched before
 *   resident      read R MiB (default 1) that was read just before
 *   read          one word of each page of the M MiB in order: misses, if
 *                 the ExCache is smaller; all of it was read just before, so that
 *                 what has to make room is clean
 *   write         the same with a store: misses, and dirty pages to evict
 *   random        read as many pages in random order
 *   latency       the same, each access timed by itself: "missed" are those
 *                 that took MISS_FACTOR times as long as a resident page, with
 *                 "p50_ns" and "p99_ns" of them, and "resident_p50_ns"
 *   discard       MADV_DONTNEED of the M MiB
 *
 * Exit: 0; 2 could not run.
 */
#include "common.h"
#include "../../modules/mark.h"

#include <getopt.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* An access that takes so many times the resident one's median is a miss. */
#define MISS_FACTOR	32

static unsigned long pages = 64 << 8, resident_pages = 1 << 8;
static const char *wanted;
static volatile uint8_t *area;
static int counter = -1;
static volatile uint64_t sink;

static void counter_open(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.exclude_hv = 1,
	};

	counter = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static uint64_t instructions(void)
{
	uint64_t value = 0;

	if (counter >= 0 && read(counter, &value, sizeof(value)) !=
	    sizeof(value))
		return 0;
	return value;
}

static void first_touch(unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		area[i * PAGE] = 1;
}

static void read_pages(unsigned long nr)
{
	unsigned long i;
	uint64_t sum = 0;

	for (i = 0; i < nr; i++)
		sum += area[i * PAGE];
	sink = sum;
}

static void write_pages(unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		area[i * PAGE + 8] = i;
}

static void random_pages(unsigned long nr)
{
	uint64_t rng = 4711, sum = 0;
	unsigned long i;

	for (i = 0; i < nr; i++)
		sum += area[next_random(&rng) % nr * PAGE];
	sink = sum;
}

static void discard_pages(unsigned long nr)
{
	if (madvise((void *)area, nr * PAGE, MADV_DONTNEED))
		die("madvise");
}

static bool is_wanted(const char *phase)
{
	size_t len = strlen(phase);
	const char *p = wanted;

	while (p) {
		if (!strncmp(p, phase, len) && (!p[len] || p[len] == ','))
			return true;
		p = strchr(p, ',');
		p = p ? p + 1 : NULL;
	}
	return !wanted;
}

static uint64_t timed_read(unsigned long page)
{
	uint64_t ns = now_ns();

	sink = area[page * PAGE];
	return now_ns() - ns;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* @ns must not be managed memory: it would compete for the lines. */
static uint64_t resident_p50(uint64_t *ns, unsigned long nr)
{
	unsigned long i;

	sink = area[0];
	for (i = 0; i < nr; i++)
		ns[i] = timed_read(0);
	qsort(ns, nr, sizeof(*ns), compare);
	return ns[nr / 2];
}

static void latency(unsigned long nr)
{
	uint64_t *ns = map_shared(nr * sizeof(*ns));
	uint64_t rng = 815, resident;
	unsigned long i, first = 0, missed;

	memset(ns, 0, nr * sizeof(*ns));
	resident = resident_p50(ns, nr);
	for (i = 0; i < nr; i++)
		ns[i] = timed_read(next_random(&rng) % nr);
	qsort(ns, nr, sizeof(*ns), compare);
	while (first < nr && ns[first] < resident * MISS_FACTOR)
		first++;
	missed = nr - first;
	printf("{\"phase\":\"latency\",\"pages\":%lu,\"missed\":%lu,\"resident_p50_ns\":%llu",
	       nr, missed, (unsigned long long)resident);
	if (missed)
		printf(",\"p50_ns\":%llu,\"p99_ns\":%llu",
		       (unsigned long long)ns[first + missed / 2],
		       (unsigned long long)ns[first + missed * 99 / 100]);
	printf("}\n");
	fflush(stdout);
	munmap(ns, nr * sizeof(*ns));
}

static long major_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_majflt;
}

static void measure(const char *phase, void (*run)(unsigned long),
		    unsigned long nr)
{
	long faults = major_faults();
	uint64_t ns, count;

	count = instructions();
	ns = now_ns();
	MARK(MARK_BEGIN);
	run(nr);
	MARK(MARK_END);
	ns = now_ns() - ns;
	count = instructions() - count;
	faults = major_faults() - faults;
	if (!is_wanted(phase))
		return;
	printf("{\"phase\":\"%s\",\"pages\":%lu,\"ns\":%llu,\"ns_per_page\":%.1f,\"major_faults\":%ld",
	       phase, nr, (unsigned long long)ns, (double)ns / nr, faults);
	if (counter >= 0)
		printf(",\"instructions\":%llu", (unsigned long long)count);
	printf("}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "mb", 1, NULL, 'm' }, { "resident-mb", 1, NULL, 'r' },
		{ "phases", 1, NULL, 'p' }, { NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'm')
			pages = number("mb", optarg, 1, 1 << 20) << 8;
		else if (c == 'r')
			resident_pages = number("resident-mb", optarg, 1, 1 << 20) << 8;
		else if (c == 'p')
			wanted = optarg;
		else
			return EXIT_TROUBLE;
	}
	if (resident_pages > pages)
		resident_pages = pages;
	area = map_private(pages * PAGE);
	/* A huge page would make one fault of 512. */
	madvise((void *)area, pages * PAGE, MADV_NOHUGEPAGE);
	counter_open();

	/* The later phases need what the first one leaves behind. */
	measure("first-touch", first_touch, pages);
	if (is_wanted("resident")) {
		read_pages(resident_pages);
		measure("resident", read_pages, resident_pages);
	}
	if (is_wanted("read")) {
		read_pages(pages);
		measure("read", read_pages, pages);
	}
	if (is_wanted("write"))
		measure("write", write_pages, pages);
	if (is_wanted("random"))
		measure("random", random_pages, pages);
	if (is_wanted("latency"))
		latency(pages);
	if (is_wanted("discard"))
		measure("discard", discard_pages, pages);
	return 0;
}
