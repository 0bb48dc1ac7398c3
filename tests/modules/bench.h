/* SPDX-License-Identifier: GPL-2.0 */
/* What the two ends of lite_bench agree on. */
#ifndef LITE_BENCH_H
#define LITE_BENCH_H

#include <linux/mm.h>
#include <linux/types.h>

#include "lite_rpc.h"

#define SOURCE_PAGES	64	/* page i holds pattern i, for READ and fetch */
#define SCRATCH_PAGES	64	/* WRITE targets, one per thread */

enum bench_op {
	OP_NULL,		/* atomic: empty reply */
	OP_PAGES,		/* atomic: body __le32 first; source pages */
	OP_ECHO,		/* body comes back */
	OP_FLUSH,		/* payload i must hold pattern body.first + i */
	OP_SLEEP,		/* body __le32 ms */
	OP_LATE,		/* ditto, replied from a delayed work */
	OP_GRANT,		/* reply: two struct bench_grant */
	OP_COUNT,		/* reply: __le64 requests executed */
	OP_SINK,		/* payload is copied away, as a memory host does */
	OP_WINDOW,		/* body __le32: 1: a new window over the scratch
				 * pages, reply: struct bench_grant; 0: destroyed
				 */
};

struct bench_grant {
	__le64 addr;
	__le32 rkey;
	__le32 len;
};

/* bench_server.c */
int bench_server_init(void);
void bench_server_exit(void);

int pages_alloc(struct page **pages, u32 nr);
void pages_free(struct page **pages, u32 nr);

static inline u64 pattern_word(u32 seed, u32 i)
{
	return (((u64)seed << 32 | i) + 1) * 0x9e3779b97f4a7c15ULL;
}

static inline void pattern_fill(void *page, u32 seed)
{
	u64 *word = page;
	u32 i;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++)
		word[i] = pattern_word(seed, i);
}

static inline u32 pattern_bad(const void *page, u32 seed)
{
	const u64 *word = page;
	u32 i, bad = 0;

	for (i = 0; i < PAGE_SIZE / sizeof(*word); i++)
		if (word[i] != pattern_word(seed, i))
			bad += sizeof(*word);
	return bad;
}

#endif /* LITE_BENCH_H */
