/* SPDX-License-Identifier: GPL-2.0 */
/* What the workloads share: threads over parts of an array, skewed choices, the result line. */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "common.h"

#include <getopt.h>
#include <math.h>
#include <pthread.h>

#define THREADS_MAX	64
#define SEED		20181008	/* of all that is random in a workload */

/*
 * Exit status for: memory did not hold what was written. Not 1, with which an
 * interpreter ends that could not run its program.
 */
#define EXIT_WRONG	3

/* Quick enough that filling memory is not what is measured. */
static inline uint64_t xorshift(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

/* Order matters, so two equal parts that changed places are seen. */
static inline uint64_t fold(uint64_t sum, uint64_t value)
{
	return (sum ^ value) * 0x100000001b3ULL + (sum >> 47);
}

/* Weights of a zipf distribution with exponent 0.99, summed up; free() it. */
static inline double *zipf_table(unsigned long n)
{
	double *sums = malloc(n * sizeof(*sums)), sum = 0;
	unsigned long i;

	if (!sums)
		die("zipf table of %lu", n);
	for (i = 0; i < n; i++) {
		sum += 1 / pow(i + 1, 0.99);
		sums[i] = sum;
	}
	return sums;
}

/* A rank in [0, @n), 0 the most frequent. */
static inline unsigned long zipf_rank(const double *sums, unsigned long n,
				      uint64_t *state)
{
	double point = (next_random(state) >> 11) * 0x1p-53 * sums[n - 1];
	unsigned long low = 0, high = n - 1, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (sums[middle] < point)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct options {
	unsigned long mb, threads, ops, keys;
	const char *gate;
};

static inline void options_parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "mb", 1, NULL, 'm' }, { "threads", 1, NULL, 't' },
		{ "ops", 1, NULL, 'o' }, { "keys", 1, NULL, 'k' },
		{ "gate", 1, NULL, 'g' }, { NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 'm')
			options->mb = number("mb", optarg, 1, 1 << 20);
		else if (c == 't')
			options->threads = number("threads", optarg, 1, THREADS_MAX);
		else if (c == 'o')
			options->ops = number("ops", optarg, 1, 1 << 30);
		else if (c == 'k')
			options->keys = number("keys", optarg, 1, 1 << 30);
		else if (c == 'g')
			options->gate = optarg;
		else
			exit(EXIT_TROUBLE);
	}
}

/* One thread's share of a job. */
struct part {
	pthread_t thread;
	unsigned long index, first, nr;
	uint64_t sum;
	void *data;
};

/* Cuts [0, @nr) among @threads; the last one gets the rest, too. */
static inline void parts_cut(struct part *parts, unsigned long threads,
			     unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < threads; i++) {
		parts[i].index = i;
		parts[i].first = nr / threads * i;
		parts[i].nr = i + 1 < threads ? nr / threads : nr - parts[i].first;
	}
}

static inline void parts_run(struct part *parts, unsigned long threads,
			     void *(*work)(void *))
{
	unsigned long i;

	for (i = 0; i < threads; i++)
		if (pthread_create(&parts[i].thread, NULL, work, &parts[i]))
			die("pthread_create");
	for (i = 0; i < threads; i++)
		pthread_join(parts[i].thread, NULL);
}

/* The line that tests/bench/run reads. */
static inline void result(const char *phase, uint64_t ns, uint64_t sum,
			  const char *note)
{
	printf("{\"phase\":\"%s\",\"seconds\":%.6f,\"checksum\":\"%016llx\",\"note\":\"%s\"}\n",
	       phase, ns / 1e9, (unsigned long long)sum, note);
	fflush(stdout);
}

#endif /* BENCH_WORKLOAD_H */
