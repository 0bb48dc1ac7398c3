// SPDX-License-Identifier: GPL-2.0
/*
 * Spare frames at the home: pages stored there for the first time without asking.
 *
 * The home sets frames of the region's chunks aside (struct mmon_adopt in
 * mmon_wire.h). The evictor writes a page that has no place of its own there into one,
 * and the home is told later, of up to 64 pages at once. Until then the page is at
 * its location as far as we are concerned, and nowhere as far as the home is.
 *
 * Order. What the home has not been told of is older than anything in the change log:
 * a page is written into a spare frame only while the log is empty and all ranges
 * are reported, and pmon_stream_sync() tells of spares first. A change that is logged
 * while the page is on its way concerns either other pages, or this one: then its
 * line is detached, and what was written does not count. So the home hears of a page
 * before it is discarded, moved or cloned, and after whatever was there before.
 *
 * Everything that asks the home for pages by request tells it of spares first,
 * see pmon_fetch_behind().
 *
 * Locks: all of it under stream_lock. The list of what is untold is read without, by
 * faults: it changes under @lock too.
 */
#include <linux/slab.h>

#include "internal.h"

/* A home that had none is asked again after so many pages. */
#define ASK_AGAIN	256

/*
 * @location: of spare frames; those below @next are used up
 * @untold: entries of @body.page
 * @tainted: a write into one failed: it may still change (mmon_wire.h), so none is used
 * @wait: pages to be stored by request before the home is asked again
 */
struct pmon_spares {
	spinlock_t lock;		/* protects @untold and @body.page */
	u32 location[MMON_SPARES_MAX];
	unsigned int next;
	unsigned int nr;
	unsigned int untold;
	unsigned int wait;
	bool tainted;
	struct {
		struct mmon_adopt head;
		struct mmon_adopt_page page[MMON_SPARES_MAX];
	} body;
	union {
		struct mmon_spares reply;
		u8 reply_space[MMON_SPARES_REPLY_MAX];
	};
};

static_assert(sizeof_field(struct pmon_spares, body) <= LITE_BODY_MAX);
static_assert(sizeof_field(struct pmon_spares, reply_space) <= LITE_BODY_MAX);

/* The answer, from another host: what does not fit together is not used. */
static void list_read(struct pmon_region *region, struct pmon_spares *spares,
		      unsigned int len)
{
	const struct mmon_spares *reply = &spares->reply;
	u32 i, location, nr, grants;

	spares->next = 0;
	spares->nr = 0;
	if (len < sizeof(*reply))
		return;
	nr = le32_to_cpu(reply->nr);
	grants = le32_to_cpu(reply->nr_grants);
	if (nr > MMON_SPARES_MAX || grants > MMON_SPARES_MAX ||
	    len != sizeof(*reply) + grants * sizeof(reply->grant[0]))
		return;
	for (i = 0; i < grants; i++)
		pmon_grant_set(region, &reply->grant[i]);
	for (i = 0; i < nr; i++) {
		location = le32_to_cpu(reply->location[i]);
		if (location && !(location >> PMON_LOCATION_BITS))
			spares->location[spares->nr++] = location;
	}
}

/* Secondaries have no spare frames: they are sent the pages themselves. */
static struct pmon_message adoption(struct pmon_spares *spares)
{
	spares->body.head.nr = cpu_to_le32(spares->untold);
	spares->body.head.want = cpu_to_le32(MMON_SPARES_MAX);
	return (struct pmon_message){
		.op = MMON_OP_ADOPT,
		.whom = PMON_TO_PRIMARY,
		.body = &spares->body,
		.len = offsetof(typeof(spares->body), page[spares->untold]),
		.reply = &spares->reply,
		.reply_size = sizeof(spares->reply_space),
	};
}

static void told(struct pmon_region *region, struct pmon_spares *spares, int len)
{
	pmon_count(adoptions);
	pmon_count_n(adopted_pages, spares->untold);
	spin_lock(&spares->lock);
	spares->untold = 0;
	spin_unlock(&spares->lock);
	list_read(region, spares, len);
}

/*
 * pmon_spares_tell - the home hears of all pages that lie in spare frames
 *
 * Context: process, stream_lock held. Return: 0 or negative errno: the region is lost.
 */
int pmon_spares_tell(struct pmon_region *region)
{
	struct pmon_spares *spares = region->spares;
	struct pmon_message message;
	int ret;

	lockdep_assert_held(&region->stream_lock);
	if (!spares || !spares->untold)
		return 0;
	message = adoption(spares);
	message.retry = true;
	ret = pmon_stream_call(region, &message);
	if (ret < 0)
		return ret;
	told(region, spares, ret);
	return 0;
}

/* Tells of what there is and asks for more; what there is not goes by request. */
static void ask(struct pmon_region *region, struct pmon_spares *spares)
{
	struct pmon_message message;
	int ret;

	if (spares->untold) {
		if (pmon_spares_tell(region))
			return;
	} else {
		message = adoption(spares);
		ret = pmon_stream_call(region, &message);
		if (ret >= 0)
			told(region, spares, ret);
	}
	if (!spares->nr)
		spares->wait = ASK_AGAIN;
}

static struct pmon_spares *spares_of(struct pmon_region *region)
{
	struct pmon_spares *spares = region->spares;

	if (spares)
		return spares;
	/* The evictor must not wait for memory. */
	spares = kzalloc(sizeof(*spares), GFP_NOWAIT | __GFP_NOWARN);
	if (!spares)
		return NULL;
	spin_lock_init(&spares->lock);
	/* Pairs with pmon_spare_untold(): the lock can be taken. */
	smp_store_release(&region->spares, spares);
	return spares;
}

/*
 * pmon_spares_prepare - @wanted pages are about to be stored for the first time
 *
 * Context: process, stream_lock held, the pages locked; may ask the home.
 * Return: whether pmon_spare_take() may be called, until stream_lock is dropped.
 */
bool pmon_spares_prepare(struct pmon_region *region, unsigned int wanted)
{
	struct pmon_spares *spares;

	lockdep_assert_held(&region->stream_lock);
	if (!wanted)
		return false;
	spares = spares_of(region);
	if (!spares || spares->tainted)
		return false;
	if (spares->nr - spares->next < wanted && spares->wait) {
		spares->wait -= min(spares->wait, wanted);
		return false;
	}
	if (!pmon_changes_told(&region->changes) && pmon_stream_sync(region))
		return false;
	if (spares->nr - spares->next < wanted)
		ask(region, spares);
	return !region->lost;
}

/* pmon_spare_take - location of a spare frame, or 0: there is none left */
u32 pmon_spare_take(struct pmon_region *region)
{
	struct pmon_spares *spares = region->spares;

	lockdep_assert_held(&region->stream_lock);
	return spares->next < spares->nr ? spares->location[spares->next++] : 0;
}

/*
 * pmon_spare_filled - the page at @index was written into the spare frame
 *
 * Its line is not detached, so that what is logged from now on is younger. The entry
 * that names @location must not be seen before. Context: stream_lock held.
 */
void pmon_spare_filled(struct pmon_region *region, pgoff_t index, u32 location)
{
	struct pmon_spares *spares = region->spares;

	lockdep_assert_held(&region->stream_lock);
	/* Each is one of the last answer's, which were no more than these. */
	if (WARN_ON_ONCE(spares->untold == MMON_SPARES_MAX))
		return;
	spin_lock(&spares->lock);
	spares->body.page[spares->untold++] = (struct mmon_adopt_page){
		.addr = cpu_to_le64((u64)index << MMON_PAGE_SHIFT),
		.location = cpu_to_le32(location),
	};
	spin_unlock(&spares->lock);
}

/*
 * pmon_spare_untold - does the page at @index lie in a spare frame, unknown to the home?
 * Context: process.
 */
bool pmon_spare_untold(struct pmon_region *region, pgoff_t index)
{
	struct pmon_spares *spares;
	unsigned int i;
	bool found = false;

	/* Pairs with spares_of(): the lock can be taken. */
	spares = smp_load_acquire(&region->spares);
	if (!spares)
		return false;
	spin_lock(&spares->lock);
	for (i = 0; i < spares->untold && !found; i++)
		found = le64_to_cpu(spares->body.page[i].addr) >>
			MMON_PAGE_SHIFT == index;
	spin_unlock(&spares->lock);
	return found;
}

/* pmon_spares_failed - a write into one failed. Context: stream_lock held. */
void pmon_spares_failed(struct pmon_region *region)
{
	lockdep_assert_held(&region->stream_lock);
	region->spares->tainted = true;
}

/*
 * pmon_spares_settled - a flush was answered: writes that failed before are over
 * Context: stream_lock held.
 */
void pmon_spares_settled(struct pmon_region *region)
{
	lockdep_assert_held(&region->stream_lock);
	if (region->spares)
		region->spares->tainted = false;
}

/*
 * pmon_spares_forget - the primary is another one: these are not at it
 *
 * What lies in them it has from having been a secondary. Context: stream_lock held.
 */
void pmon_spares_forget(struct pmon_region *region)
{
	struct pmon_spares *spares = region->spares;

	lockdep_assert_held(&region->stream_lock);
	if (!spares)
		return;
	spin_lock(&spares->lock);
	spares->untold = 0;
	spin_unlock(&spares->lock);
	spares->next = 0;
	spares->nr = 0;
	spares->wait = 0;
	spares->tainted = false;
}
