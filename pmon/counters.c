// SPDX-License-Identifier: GPL-2.0
/*
 * Event counters of pmon: per CPU, read by summing, names stable (docs/vnode.md).
 */
#include "internal.h"

DEFINE_PER_CPU(struct pmon_counter_set, pmon_counters);

static const char *const counter_names[PMON_NR_COUNTERS] = {
#define X(name) #name,
	PMON_COUNTERS(X)
#undef X
};

/* pmon_counter_read - sum over all CPUs; may miss events under way */
u64 pmon_counter_read(enum pmon_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += per_cpu(pmon_counters, cpu).value[counter];
	return sum;
}

const char *pmon_counter_name(enum pmon_counter counter)
{
	return counter_names[counter];
}
