/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A segment store in memory: counts, can fail, and can be looked into.
 */
#ifndef STORE_MEMORY_H
#define STORE_MEMORY_H

#include "mmon_fixture.h"

struct memory_segment {
	u64 id;
	struct mmon_segment_header header;
	u8 page[MMON_SEGMENT_PAGES][MMON_PAGE_SIZE];
};

struct memory_store {
	struct mmon_store store;
	u32 nr;
	struct memory_segment *segment[256];
	int fail_writes;	/* the error that they end with */
	int fail_reads;
	void (*write_hook)(void);	/* runs once, while a segment is written */
};

struct memory_store *store_memory(void);

#endif /* STORE_MEMORY_H */
