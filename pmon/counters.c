// SPDX-License-Identifier: GPL-2.0
/*
 * Event counters of pmon: per CPU, read by summing, names stable (docs/vnode.md).
 */
#include <linux/percpu.h>

#include "internal.h"

struct counter_set {
	u64 value[PMON_NR_COUNTERS];
};

static DEFINE_PER_CPU(struct counter_set, counters);

static const char *const counter_names[PMON_NR_COUNTERS] = {
#define X(name) #name,
	PMON_COUNTERS(X)
#undef X
};

/* pmon_count_add - add to a counter. Context: any. */
void pmon_count_add(enum pmon_counter counter, long n)
{
	this_cpu_add(counters.value[counter], n);
}

/* pmon_counter_read - sum over all CPUs; may miss events under way */
u64 pmon_counter_read(enum pmon_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(counters, cpu).value[counter];
	return sum;
}

const char *pmon_counter_name(enum pmon_counter counter)
{
	return counter_names[counter];
}
