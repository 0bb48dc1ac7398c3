// SPDX-License-Identifier: GPL-2.0
/*
 * stall - is the address space usable while a miss waits for its home?
 *
 *   stall --flag FILE [--mb M]
 *
 * Fills M MiB (default 4), more than the ExCache holds, and then M MiB that are
 * never read, so that what has to make room is dirty. Prints "ready", and waits
 * until FILE exists: by then the test has cut the home off. Then one thread
 * touches the first part and gets stuck, while this one maps, protects and unmaps
 * other memory 100 times, which needs mmap_lock for writing each time. It then
 * makes room scarce, which the ExCache's reserve still covers, and drops the
 * second part, some of which is just being sent to the home. All that both need
 * themselves is locked, so that only the first part is ever fetched.
 *
 * Out, last line: {"program":"stall","changes":100,"stuck":true}, at once; then it
 * waits for the other thread. Exit: 0; 1 if what was touched had changed.
 */
#include "common.h"

#include <getopt.h>
#include <pthread.h>

#define CHANGES	100
#define STACK	(64 << 10)
#define SCARCE	48	/* pages: of 2 MiB, 32 to 64 are kept free */

static uint8_t *memory;
static size_t size = 4 << 20;
static volatile size_t touched;
static volatile bool go;

static void *touch(void *arg)
{
	size_t off;

	while (!go)
		sleep_ms(50);
	for (off = 0; off < size; off += PAGE) {
		if (*(volatile uint64_t *)(memory + off) != mix(off))
			return arg;
		touched = off + PAGE;
	}
	return NULL;
}

static void change_mappings(void)
{
	int i;

	for (i = 0; i < CHANGES; i++) {
		uint8_t *p = map_private(PAGE);

		if (mprotect(p, PAGE, PROT_READ) || munmap(p, PAGE))
			die("change %d", i);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "flag", 1, NULL, 'f' }, { "mb", 1, NULL, 'm' },
		{ NULL, 0, NULL, 0 }
	};
	const char *flag = NULL;
	pthread_attr_t attr;
	pthread_t thread;
	size_t off, before;
	uint8_t *scratch, *more;
	void *bad;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'f')
			flag = optarg;
		else if (c == 'm')
			size = number("mb", optarg, 1, 1 << 20) << 20;
		else
			return EXIT_TROUBLE;
	}
	if (!flag)
		die("--flag is missing");
	if (pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, STACK) ||
	    pthread_create(&thread, &attr, touch, &size))
		die("pthread_create");
	/* What stdio allocates at its first use, too. */
	printf("{\"program\":\"stall\"}\n");
	fflush(stdout);
	if (mlockall(MCL_CURRENT))
		die("mlockall");
	memory = map_private(size);
	scratch = map_private(size);
	for (off = 0; off < size; off += PAGE)
		*(uint64_t *)(memory + off) = mix(off);
	for (off = 0; off < size; off += PAGE)
		scratch[off] = 1;
	/* The reserve is full again. */
	sleep_ms(1000);
	printf("ready\n");
	fflush(stdout);
	while (access(flag, F_OK))
		sleep_ms(50);

	go = true;
	/* Until it has not moved for a while. */
	do {
		before = touched;
		sleep_ms(1000);
	} while (touched != before);
	change_mappings();
	more = map_private(SCARCE * PAGE);
	for (off = 0; off < SCARCE * PAGE; off += PAGE)
		more[off] = 1;
	sleep_ms(1000);
	if (madvise(scratch, size, MADV_DONTNEED))
		die("madvise");
	printf("{\"program\":\"stall\",\"changes\":%d,\"stuck\":%s}\n", CHANGES,
	       touched < size && touched == before ? "true" : "false");
	fflush(stdout);
	pthread_join(thread, &bad);
	return bad != NULL;
}
