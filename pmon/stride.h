/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which pages will a thread touch next? Pure: no locks, no pages; the caller
 * serialises calls for one struct. Indexes are below 2^52: what goes below 0 is
 * beyond the end of any mapping. tests/unit/test_stride.c
 */
#ifndef PMON_STRIDE_H
#define PMON_STRIDE_H

#include <linux/types.h>

#define STRIDE_HISTORY	16	/* misses that belong to no stream */
#define STRIDE_STREAMS	8	/* of one thread at a time */
#define STRIDE_WINDOW	16	/* pages of one request, MMON_FETCH_MAX */
#define STRIDE_DEPTH	64	/* pages that a stream may have ahead, before its next plan */
#define STRIDE_MAX	256	/* pages between two accesses of a stream */
#define STRIDE_AROUND	7	/* pages mapped by the fault of another, at most */

/*
 * Waste is bounded by credit, counted in 1/32 pages: a page prefetched costs
 * one page, a miss earns 1/32, a prefetched page that was used gives its cost
 * back and half as much. So pages that are prefetched and not used are never
 * more than misses / 32 + used / 2 + the credit at the start.
 *
 * Of neighbours, up to STRIDE_AROUND are mapped along with the page of a fault, so
 * that their first access is no event. Whether there was one is looked up at the
 * stream's next event: pmon_stride_behind() says where, pmon_stride_used() takes
 * the answer.
 */
#define STRIDE_PAGE	32
#define STRIDE_BONUS	(STRIDE_PAGE / 2)
#define STRIDE_START	(16 * STRIDE_PAGE)
#define STRIDE_CREDIT	(256 * STRIDE_PAGE)	/* at most */

/**
 * struct pmon_stream - pages at equal distance
 * @last: index of the latest access
 * @next: first index not prefetched yet
 * @step: distance, in pages; 0: unused
 * @window: pages of the latest plan; doubles as plans prove right
 * @depth: the next is due with fewer pages ahead; doubles as pages prove late
 * @stamp: when it was used last
 */
struct pmon_stream {
	u64 last;
	u64 next;
	s32 step;
	u32 window;
	u32 depth;
	u32 stamp;
};

/**
 * struct pmon_stride - what is known of one thread
 * @history: indexes of its latest misses that belonged to no stream, a ring
 * @nr: entries written so far; the next goes to @nr % STRIDE_HISTORY
 * @stamp: events so far
 * @deepest: what the memory allows a stream's @depth to become; STRIDE_WINDOW at least
 * @credit: see above
 */
struct pmon_stride {
	u64 history[STRIDE_HISTORY];
	u32 nr;
	u32 stamp;
	u32 deepest;
	u32 credit;
	struct pmon_stream stream[STRIDE_STREAMS];
};

/**
 * struct pmon_plan - pages first, first + step, ...
 * @stream: whose they are; NULL: the access belongs to none
 * @nr: how many; 0: nothing to do
 */
struct pmon_plan {
	struct pmon_stream *stream;
	u64 first;
	s32 step;
	u32 nr;
};

/* What happened at an index. */
enum pmon_stride_event {
	STRIDE_MISS,	/* it had to be fetched */
	STRIDE_LATE,	/* it is on its way, prefetched: STRIDE_USED follows */
	STRIDE_USED,	/* first access to a page that was prefetched */
	STRIDE_NEAR,	/* the same, and it was prefetched for no stream (near.h) */
};

void pmon_stride_init(struct pmon_stride *stride, u32 deepest);
void pmon_stride_forget(struct pmon_stride *stride);
u32 pmon_stride_behind(struct pmon_stride *stride, u64 index, s32 *step);
void pmon_stride_used(struct pmon_stride *stride, u32 nr);
u32 pmon_stride_around(const struct pmon_stream *stream);
void pmon_stride_event(struct pmon_stride *stride, u64 index,
		       enum pmon_stride_event event, u64 first, u64 last,
		       struct pmon_plan *plan);
void pmon_stride_done(struct pmon_stride *stride, const struct pmon_plan *plan,
		      u32 covered, u32 fetched);

#endif /* PMON_STRIDE_H */
