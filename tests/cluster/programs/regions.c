// SPDX-License-Identifier: GPL-2.0
/*
 * regions - touches a page in each of many pieces of memory
 *
 *   regions [--nr N] [--step-mb M]
 *
 * Maps N pieces (default 64) of M MiB (default 2) in one range, writes one word of the
 * first page of each, then reads all of them. With vRegions of M MiB that makes N of them.
 *
 * Out: {"program":"regions","nr":..,"step_mb":..,"bad":..,"touch_ms":..,"read_ms":..}
 * Exit: 0; 1 if a word was wrong; 2 could not run.
 */
#include "common.h"

#include <getopt.h>

static unsigned long nr = 64, step_mb = 2;

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "nr", 1, NULL, 'n' }, { "step-mb", 1, NULL, 's' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			nr = number("nr", optarg, 1, 1 << 20);
		else if (c == 's')
			step_mb = number("step-mb", optarg, 1, 1 << 20);
		else
			exit(EXIT_TROUBLE);
	}
}

/* More than the host has: nothing is to be reserved for it. */
static char *map_unreserved(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", size);
	return p;
}

int main(int argc, char **argv)
{
	uint64_t start, touched, read;
	unsigned long i, bad = 0;
	size_t step;
	char *area;

	parse(argc, argv);
	step = step_mb << 20;
	area = map_unreserved(nr * step);
	start = now_ns();
	for (i = 0; i < nr; i++)
		*(volatile uint64_t *)(area + i * step) = mix(i + 1);
	touched = now_ns();
	for (i = 0; i < nr; i++)
		bad += *(volatile uint64_t *)(area + i * step) != mix(i + 1);
	read = now_ns();

	printf("{\"program\":\"regions\",\"nr\":%lu,\"step_mb\":%lu,\"bad\":%lu,\"touch_ms\":%.1f,\"read_ms\":%.1f}\n",
	       nr, step_mb, bad, (touched - start) / 1e6, (read - touched) / 1e6);
	return bad != 0;
}
