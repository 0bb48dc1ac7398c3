// SPDX-License-Identifier: GPL-2.0
/*
 * Prefetch of neighbours: see near.h.
 *
 * What is fetched are the pages that follow: a program that reads or writes an
 * object of a few pages mostly begins where it begins, which is at no particular
 * boundary. How many is found by trial: if of some 32 pages three quarters were
 * used soon, the group doubles; if fewer than half were, it halves, and it takes a
 * while until the larger one is tried again. Where nothing pays, credit is what
 * misses earn, and one miss in 64 fetches one page, in case that it has begun to.
 */
#include "near.h"

#define NARROWEST	2
#define SAMPLE		32	/* pages fetched before the width is judged */
#define HOLD		16	/* samples */

void pmon_near_init(struct pmon_near *near)
{
	*near = (struct pmon_near){
		.credit = NEAR_START,
		.width = NARROWEST,
	};
}

static void earn(struct pmon_near *near, u32 credit)
{
	near->credit += credit;
	if (near->credit > NEAR_CREDIT)
		near->credit = NEAR_CREDIT;
}

static void judge(struct pmon_near *near)
{
	if (4 * near->used >= 3 * near->fetched) {
		if (near->hold)
			near->hold--;
		else if (near->width < NEAR_WIDEST)
			near->width *= 2;
	} else if (2 * near->used < near->fetched) {
		if (near->width > NARROWEST)
			near->width /= 2;
		near->hold = HOLD;
	}
	near->fetched = 0;
	near->used = 0;
}

/*
 * pmon_near_miss - there was a miss at @index
 * @stream: which belongs to a stream
 * @last: of the indexes that it makes sense to prefetch: of the mapping
 * @group: what to fetch; if group->nr is not 0,
 *	pmon_near_done() must follow
 */
void pmon_near_miss(struct pmon_near *near, u64 index, bool stream, u64 last,
		    struct pmon_group *group)
{
	u32 width = near->width;

	group->nr = 0;
	near->misses++;
	earn(near, 1);
	/* Not a group of which only a part can be paid. */
	while (width > NARROWEST && near->credit < (width - 1) * NEAR_PAGE)
		width /= 2;
	if (stream || near->credit < (width - 1) * NEAR_PAGE)
		return;
	group->first = index + 1;
	group->nr = last - index < width - 1 ? last - index : width - 1;
}

/* pmon_near_done - of a group, @fetched pages were in fact asked for */
void pmon_near_done(struct pmon_near *near, u32 fetched)
{
	u32 cost = fetched * NEAR_PAGE;

	near->credit -= cost < near->credit ? cost : near->credit;
	near->fetched += fetched;
	if (near->fetched >= SAMPLE)
		judge(near);
}

/* pmon_near_used - a page was used, @age misses after it was asked for */
void pmon_near_used(struct pmon_near *near, u32 age)
{
	if (age > NEAR_SOON)
		return;
	near->used++;
	earn(near, NEAR_PAGE + NEAR_BONUS);
}
