/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which neighbours of a page that is missed, and belongs to no stream, are worth
 * fetching with it? Pure: no locks, no pages; the caller serialises calls for one
 * struct. tests/unit/test_near.c
 */
#ifndef PMON_NEAR_H
#define PMON_NEAR_H

#include <linux/types.h>

#define NEAR_WIDEST	8	/* pages of a group, the one that is missed included */

/*
 * Waste is bounded by credit, counted in 1/64 pages: a page fetched costs one
 * page, a miss earns 1/64, a page that is used soon gives its cost back and as
 * much again. So pages fetched in vain are never more than misses / 64 + used
 * soon + the credit at the start.
 *
 * Soon is within so many misses. In a small memory any page is used sooner or
 * later, and to have it a while is no merit: of 2,048 pages that are accessed at
 * random a page has been used within 64 misses with a chance of 3 to 6 %.
 */
#define NEAR_PAGE	64
#define NEAR_BONUS	NEAR_PAGE
#define NEAR_START	(8 * NEAR_PAGE)
#define NEAR_CREDIT	(64 * NEAR_PAGE)	/* at most */
#define NEAR_SOON	64

/**
 * struct pmon_near - what is known of one address space
 * @credit: see above
 * @misses: so far; the clock
 * @width: pages of a group: 2, 4 or 8
 * @fetched, @used: pages of the sample under way, and how many of them soon
 * @hold: samples to pass before a wider group is tried again
 */
struct pmon_near {
	u32 credit;
	u32 misses;
	u32 width;
	u32 fetched;
	u32 used;
	u32 hold;
};

/** struct pmon_group - pages first to first + nr - 1; nr 0: nothing to do */
struct pmon_group {
	u64 first;
	u32 nr;
};

void pmon_near_init(struct pmon_near *near);
void pmon_near_miss(struct pmon_near *near, u64 index, bool stream, u64 last,
		    struct pmon_group *group);
void pmon_near_done(struct pmon_near *near, u32 fetched);
void pmon_near_used(struct pmon_near *near, u32 age);

#endif /* PMON_NEAR_H */
