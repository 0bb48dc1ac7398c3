// SPDX-License-Identifier: GPL-2.0
/*
 * What mmon counts, and what it calls the reasons for which it refuses.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "internal.h"

static const char * const counter_name[MMON_C_NR] = {
	[MMON_C_FETCHES]		= "fetches",
	[MMON_C_FETCH_PAGES]		= "fetch_pages",
	[MMON_C_FETCH_ABSENT]		= "fetch_absent",
	[MMON_C_FLUSHES]		= "flushes",
	[MMON_C_FLUSH_PAGES]		= "flush_pages",
	[MMON_C_MAPS]			= "maps",
	[MMON_C_CLONES]			= "clones",
	[MMON_C_ADOPTS]			= "adopts",
	[MMON_C_ADOPT_PAGES]		= "adopt_pages",
	[MMON_C_EXITS]			= "exits",
	[MMON_C_REPEATS]		= "repeats",
	[MMON_C_SPACES_LOST]		= "spaces_lost",
	[MMON_C_REFUSED]		= "refused",
	[MMON_C_REFUSED_MALFORMED]	= "refused_malformed",
	[MMON_C_REFUSED_OWNER]		= "refused_owner",
	[MMON_C_REFUSED_RANGE]		= "refused_range",
	[MMON_C_REFUSED_PERMISSION]	= "refused_permission",
	[MMON_C_REFUSED_NO_FRAMES]	= "refused_no_frames",
	[MMON_C_REFUSED_SEQUENCE]	= "refused_sequence",
	[MMON_C_REFUSED_CHECKSUM]	= "refused_checksum",
	[MMON_C_REFUSED_UNKNOWN]	= "refused_unknown",
	[MMON_C_REFUSED_NO_MEMORY]	= "refused_no_memory",
	[MMON_C_REFUSED_SPARE]		= "refused_spare",
	[MMON_C_REFUSED_STORE]		= "refused_store",
	[MMON_C_REPLICAS_MADE]		= "replicas_made",
	[MMON_C_PROMOTES]		= "promotes",
	[MMON_C_REBUILT_PAGES]		= "rebuilt_pages",
	[MMON_C_SEEDS]			= "seeds",
	[MMON_C_SEED_PAGES]		= "seed_pages",
	[MMON_C_FEEDS]			= "feeds",
	[MMON_C_FEED_PAGES]		= "feed_pages",
};

static const struct {
	int err;
	enum mmon_counter counter;
	const char *text;
} refusal[] = {
	{ -EBADMSG, MMON_C_REFUSED_MALFORMED, "malformed" },
	{ -EOPNOTSUPP, MMON_C_REFUSED_MALFORMED, "unknown operation" },
	{ -EPERM, MMON_C_REFUSED_OWNER, "belongs to another host" },
	{ -EFAULT, MMON_C_REFUSED_RANGE, "outside every vma" },
	{ -EACCES, MMON_C_REFUSED_PERMISSION, "not permitted by the vma" },
	{ -ENOSPC, MMON_C_REFUSED_NO_FRAMES, "no frames left" },
	{ -EPROTO, MMON_C_REFUSED_SEQUENCE, "sequence number skips some" },
	{ -EILSEQ, MMON_C_REFUSED_CHECKSUM, "content does not match its checksum" },
	{ -ENOENT, MMON_C_REFUSED_UNKNOWN, "unknown address space" },
	{ -ENOMEM, MMON_C_REFUSED_NO_MEMORY, "no kernel memory" },
	{ -EINVAL, MMON_C_REFUSED_SPARE, "no spare frame of it" },
	{ -EIO, MMON_C_REFUSED_STORE, "the segment store does not give it back" },
};

void mmon_count(struct mmon *m, enum mmon_counter which, u64 n)
{
	atomic64_add(n, &m->counter[which]);
}

/** mmon_requests - how many were served so far, of all kinds that load the host for long */
u64 mmon_requests(struct mmon *m)
{
	static const enum mmon_counter kinds[] = {
		MMON_C_FETCHES, MMON_C_FLUSHES, MMON_C_MAPS, MMON_C_CLONES,
		MMON_C_ADOPTS, MMON_C_EXITS,
	};
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		sum += atomic64_read(&m->counter[kinds[i]]);
	return sum;
}

/** mmon_count_refusal - a request was answered with @err */
void mmon_count_refusal(struct mmon *m, int err)
{
	unsigned int i;

	mmon_count(m, MMON_C_REFUSED, 1);
	for (i = 0; i < ARRAY_SIZE(refusal); i++)
		if (refusal[i].err == err)
			mmon_count(m, refusal[i].counter, 1);
}

/** mmon_refusal_text - why @op was answered with @err, in words */
const char *mmon_refusal_text(u32 op, int err)
{
	unsigned int i;

	if (err == -EOPNOTSUPP && op == MMON_OP_REPLICA)
		return "this host takes no replicas (log_mb=0)";
	if (err == -EOPNOTSUPP && op == MMON_OP_ADOPT)
		return "a replica has no spare frames";
	if (err == -EREMOTEIO)
		return "the host that is seeded did not take the pages";
	if (err == -EOPNOTSUPP && op == MMON_OP_FEED)
		return "not a replica";
	for (i = 0; i < ARRAY_SIZE(refusal); i++)
		if (refusal[i].err == err)
			return refusal[i].text;
	return "unexpected error";
}

/**
 * mmon_counters_read - all counters with their names
 * @m: the monitor
 * @table: room for MMON_GAUGES + MMON_C_NR entries
 *
 * Return: how many were written.
 */
int mmon_counters_read(struct mmon *m, struct lite_counter *table)
{
	u32 peak, granted, used = mmon_pool_used(&m->pool, &peak);
	struct mmon_log_stats log;
	u64 revoked;
	int i, n = 0;

	mmon_log_read_stats(&m->log, &log);
	mmon_chunks_read(&m->pool, &granted, &revoked);
	table[n++] = (struct lite_counter){ "frames_total", m->pool.capacity };
	table[n++] = (struct lite_counter){ "frames_free",
					    m->pool.capacity - used };
	table[n++] = (struct lite_counter){ "frames_peak_used", peak };
	table[n++] = (struct lite_counter){ "spaces",
					    atomic_read(&m->nr_spaces) };
	table[n++] = (struct lite_counter){ "chunks_granted", granted };
	table[n++] = (struct lite_counter){ "grants_revoked", revoked };
	table[n++] = (struct lite_counter){ "replicas",
					    atomic_read(&m->nr_replicas) };
	table[n++] = (struct lite_counter){ "log_segments_total", log.segments };
	table[n++] = (struct lite_counter){ "log_segments_free",
					    log.segments_free };
	table[n++] = (struct lite_counter){ "log_segments_stored",
					    log.segments_stored };
	table[n++] = (struct lite_counter){ "log_records", log.records };
	table[n++] = (struct lite_counter){ "log_appends", log.appends };
	table[n++] = (struct lite_counter){ "log_compactions", log.compactions };
	table[n++] = (struct lite_counter){ "log_stored", log.written };
	table[n++] = (struct lite_counter){ "log_loads", log.loads };
	table[n++] = (struct lite_counter){ "log_waits", log.waits };
	for (i = 0; i < MMON_C_NR; i++) {
		table[n].name = counter_name[i];
		table[n++].value = atomic64_read(&m->counter[i]);
	}
	return n;
}
