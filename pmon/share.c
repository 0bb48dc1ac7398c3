// SPDX-License-Identifier: GPL-2.0
/*
 * Lines that several address spaces share after a fork.
 *
 * A line is not copied by fork: parent and child both keep a pointer to it in
 * their space->lines. One of them, line->space, is the owner: page->mapping
 * and page->index are its, the evictor writes the line back for it. The others
 * are on line->sharers. While there are any, the page is mapped nowhere, so
 * whoever touches it comes here and takes a copy of his own; the last one left
 * simply has the line. A child that execs or exits at once costs no copy.
 *
 * Eviction of a shared line writes it back for its owner, whose entry becomes
 * "stored at home", and hands the line to the next sharer: PageDirty, line->remote
 * and line->copy speak of the owner's home only, struct pmon_share of its space's.
 *
 * Locks: everything about a shared line changes under its page lock. Discards
 * of shared lines therefore wait for transfers; those of others need not (see
 * discard.c). line->space is also written under the new owner's xa_lock, which
 * is what orders it with line->io for a discard that could not lock the page.
 */
#include <linux/slab.h>

#include "internal.h"

static struct kmem_cache *share_cache;

int pmon_share_init(void)
{
	share_cache = KMEM_CACHE(pmon_share, 0);
	return share_cache ? 0 : -ENOMEM;
}

void pmon_share_exit(void)
{
	kmem_cache_destroy(share_cache);
}

static struct pmon_share *share_find(struct pmon_line *line,
				     struct pmon_space *space)
{
	struct pmon_share *share;

	list_for_each_entry(share, &line->sharers, entry)
		if (share->space == space)
			return share;
	return NULL;
}

/*
 * pmon_share_has - is the line @space's, at @index?
 * Context: page locked.
 */
bool pmon_share_has(struct pmon_line *line, struct pmon_space *space,
		    pgoff_t index)
{
	struct pmon_share *share;

	if (line->space == space)
		return line->page->index == index;
	share = share_find(line, space);
	return share && share->index == index;
}

/*
 * pmon_share_clean - is what @space's home has equal to the page?
 * Context: page locked. @space is the owner or a sharer.
 */
bool pmon_share_clean(struct pmon_line *line, struct pmon_space *space)
{
	if (line->space == space)
		return line->remote && !PageDirty(line->page);
	return share_find(line, space)->clean;
}

/*
 * pmon_share_copy - what is known of the copy that @space's home has
 *
 * Where it is, only the owner knows. Context: page locked. @space is the owner or a
 * sharer.
 */
struct pmon_copy pmon_share_copy(struct pmon_line *line, struct pmon_space *space)
{
	if (line->space == space)
		return line->copy;
	return pmon_copy_of(share_find(line, space)->sum);
}

/*
 * pmon_share_add - fork: the space of @child gets the line of @parent too
 *
 * The caller stores the line in that space's lines before it unlocks the page. If the
 * line is clean for @parent, its home's copy will be cloned for @child.
 * Context: page locked, mapped nowhere, nobody holds it; both mmap_locks held
 * for writing. Return: 0 or -ENOMEM.
 */
int pmon_share_add(struct pmon_line *line, struct pmon_space *parent,
		   struct pmon_region *child, pgoff_t index, gfp_t gfp)
{
	struct pmon_share *share = &line->share;
	bool clean = pmon_share_clean(line, parent);

	if (share->space)
		share = kmem_cache_alloc(share_cache, gfp);
	if (!share)
		return -ENOMEM;
	share->space = child->space;
	share->region = child;
	share->index = index;
	share->sum = pmon_share_copy(line, parent).sum;
	share->clean = clean;
	share->remote = clean || line->remote;
	list_add_tail(&share->entry, &line->sharers);
	pmon_count(shared_lines);
	return 0;
}

static void share_free(struct pmon_line *line, struct pmon_share *share)
{
	list_del(&share->entry);
	if (share == &line->share)
		share->space = NULL;
	else
		kmem_cache_free(share_cache, share);
}

/* The owner left: the oldest sharer is the owner now. */
static void share_inherit(struct pmon_line *line)
{
	struct pmon_share *heir = list_first_entry(&line->sharers,
						   struct pmon_share, entry);
	struct pmon_space *space = heir->space;

	WARN_ON_ONCE(space->budget != line->budget);
	/* mlock() was the old owner's; the new one's faults lock again. */
	pmon_unlock_line(line);
	atomic_long_dec(&line->space->resident);
	atomic_long_inc(&space->resident);
	xa_lock_bh(&space->lines);
	line->space = space;
	line->region = heir->region;
	xa_unlock_bh(&space->lines);
	line->remote = heir->remote;
	line->copy = pmon_copy_of(heir->sum);
	line->page->mapping = space->file->f_mapping;
	line->page->index = heir->index;
	if (heir->clean)
		ClearPageDirty(line->page);
	else
		SetPageDirty(line->page);
	share_free(line, heir);
}

/*
 * pmon_share_leave - @space no longer has the line in its space->lines
 *
 * Context: page locked; no transfer of it is under way.
 * Return: whether others still have it. If not, the caller ends the line.
 */
bool pmon_share_leave(struct pmon_line *line, struct pmon_space *space)
{
	if (list_empty(&line->sharers))
		return false;
	if (line->space == space)
		share_inherit(line);
	else
		share_free(line, share_find(line, space));
	return true;
}

/*
 * pmon_share_remote - has @space's home a copy, perhaps an older one?
 * Context: page locked. @space is the owner or a sharer.
 */
bool pmon_share_remote(struct pmon_line *line, struct pmon_space *space)
{
	return line->space == space ? line->remote :
				      share_find(line, space)->remote;
}

/*
 * pmon_share_move - mremap: @space has the line at @index now
 * Context: page locked. @space is the owner or a sharer.
 */
void pmon_share_move(struct pmon_line *line, struct pmon_space *space,
		     pgoff_t index)
{
	if (line->space == space)
		line->page->index = index;
	else
		share_find(line, space)->index = index;
}
