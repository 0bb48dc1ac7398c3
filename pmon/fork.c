// SPDX-License-Identifier: GPL-2.0
/*
 * fork: a snapshot of each managed VMA.
 *
 * Runs in place of copy_page_range(), with both mmap_locks held for writing.
 * The parent's page table entries of the VMA go first, so any thread that
 * wants to write faults and waits until fork is done: the snapshot is one
 * point in time, VMA by VMA in program order. Then the child gets an entry for
 * each of the parent's:
 *   stored at home		the same, but for the location; the home's copy becomes
 *			the child's by a clone that is promised, not sent (clone.c),
 *			and the parent does not write it in place any more (grant.c)
 *   line		the line itself, shared from now on (share.c)
 *   line never written	none, if nobody wrote it and the home has no copy
 *   line being fetched	the entry that it is fetched from
 * No memory is copied, no line taken and nothing sent.
 *
 * The exception is a dirty page that somebody still holds, for he may write to
 * it behind our back (a direct I/O read under way). It is copied to a bounce
 * page, stored at the home at once, and so becomes an entry. Only then fork
 * waits for the network with mmap_lock held, which dup_mmap() took.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"
#include "vma_tree.h"

static struct {
	struct mutex lock;	/* inside stream_lock; no other stream is waited for */
	struct page *page[MMON_FLUSH_MAX];
	struct lite_region *region;
} bounce;

#define ENTRIES_AT_ONCE	256	/* copied under one xa_lock */

struct fork {
	struct pmon_space *parent;
	struct pmon_space *child;
	struct pmon_region *from;	/* of @parent, with @first...@last */
	struct pmon_region *to;		/* its twin of @child */
	struct pmon_flush *flush;	/* of pages that somebody holds */
	pgoff_t first;
	pgoff_t last;
	unsigned long stored;
	bool settled;			/* @from's requests depend on nobody's */
	bool bouncing;
};

/*
 * dup_mmap() has linked the child's VMA beside the parent's, into the parent's
 * mapping. Move it to the child's own.
 */
static void fork_switch_file(struct vm_area_struct *dst, struct file *to)
{
	struct address_space *mapping = dst->vm_file->f_mapping;
	struct file *from = dst->vm_file;

	i_mmap_lock_write(mapping);
	vma_tree_remove(dst, &mapping->i_mmap);
	mapping_unmap_writable(mapping);
	i_mmap_unlock_write(mapping);

	dst->vm_file = get_file(to);
	mapping = to->f_mapping;
	i_mmap_lock_write(mapping);
	mapping_allow_writable(mapping);
	vma_tree_insert(dst, &mapping->i_mmap);
	i_mmap_unlock_write(mapping);
	fput(from);
}

/* The child's copy at the home has no location: the grant is its parent's. */
static void *child_entry(u32 sum)
{
	return pmon_entry_remote(pmon_copy_of(sum));
}

static int fork_give(struct fork *fork, pgoff_t index, void *entry)
{
	void *old = xa_store_bh(&fork->child->lines, index, entry, GFP_KERNEL);

	fork->stored += pmon_entry_is_remote(entry);
	return xa_err(old);
}

/* Send what was collected; its pages are unlocked in any case. */
static int fork_send(struct fork *fork)
{
	struct pmon_flush *flush = fork->flush;
	unsigned int i, nr = flush ? flush->nr : 0;
	int err;

	if (!nr)
		return 0;
	err = pmon_flush_send(flush);
	for (i = 0; i < nr; i++) {
		struct pmon_line *line = flush->line[i];

		if (!err) {
			line->remote = true;
			/* It is the child's as well from now on. */
			line->copy.in_place = false;
			err = fork_give(fork, line->page->index,
					child_entry(flush->sum[i]));
		}
		unlock_page(line->page);
	}
	flush->nr = 0;
	if (fork->bouncing)
		mutex_unlock(&bounce.lock);
	fork->bouncing = false;
	pmon_count_n(fork_pages, nr);
	return err;
}

/*
 * Before the first page is collected: the origin's stream is not waited for with a page
 * locked, nor with bounce.lock, for which the origin may wait with its stream held.
 */
static int fork_settle(struct fork *fork)
{
	int err = pmon_clone_settle(fork->from, false);

	fork->settled = !err;
	return err;
}

/*
 * A dirty page that somebody holds, locked: a copy of it goes to the home. Return: 1:
 * look at the index again; else 0 or -errno.
 */
static int fork_bounce(struct fork *fork, struct pmon_line *line)
{
	struct pmon_flush *flush = fork->flush;
	struct lite_sge sge = { .region = bounce.region };
	struct page *send;

	if (!fork->settled) {
		unlock_page(line->page);
		return fork_settle(fork) ?: 1;
	}
	if (!flush) {
		flush = kzalloc(sizeof(*flush), GFP_KERNEL);
		if (!flush) {
			unlock_page(line->page);
			return -ENOMEM;
		}
		fork->flush = flush;
	}
	flush->region = fork->from;
	if (!fork->bouncing)
		mutex_lock(&bounce.lock);
	fork->bouncing = true;
	send = bounce.page[flush->nr];
	sge.page = flush->nr;
	copy_highpage(send, line->page);
	pmon_count(fork_bounces);
	/* Whoever holds it may write on: it stays dirty. */
	pmon_flush_add(flush, line, sge, pmon_page_sum(send));
	if (flush->nr == MMON_FLUSH_MAX)
		return fork_send(fork);
	return 0;
}

/*
 * The page lock is taken. A fetch under way is not waited for: what it fetches
 * is known. Return: 1: look at the index again; else as fork_give().
 */
static int fork_busy_line(struct fork *fork, pgoff_t index,
			  struct pmon_line *line)
{
	struct pmon_space *parent = fork->parent;
	struct page *page = line->page;
	bool filling = false;
	void *entry = NULL;
	int ret;

	xa_lock_bh(&parent->lines);
	if (xa_load(&parent->lines, index) == line) {
		filling = line->io && !PageUptodate(page);
		if (filling && line->remote)
			entry = child_entry(line->copy.sum);
		get_page(page);
	} else {
		page = NULL;
	}
	xa_unlock_bh(&parent->lines);
	if (!page)
		return 1;
	ret = 1;
	if (filling) {
		ret = entry ? fork_give(fork, index, entry) : 0;
	} else {
		/* Hold no other page while waiting for this one. */
		ret = fork_send(fork) ?: 1;
		folio_wait_locked(page_folio(page));
	}
	put_page(page);
	return ret;
}

/*
 * How a locked line of the parent's goes to the child. A shared one is mapped
 * nowhere: no one can write to it, whoever holds it.
 */
enum fork_way { FORK_SHARE, FORK_ENTRY, FORK_BOUNCE };

static enum fork_way fork_way(struct pmon_line *line)
{
	bool dirty = PageDirty(line->page);

	if (pmon_line_shared(line))
		return FORK_SHARE;
	if (!dirty && !line->remote)
		return FORK_ENTRY;
	if (!pmon_line_pinned(line) && !page_mapped(line->page))
		return FORK_SHARE;
	return dirty ? FORK_BOUNCE : FORK_ENTRY;
}

/* The line is the child's too: does that need the home's copy of it? */
static void fork_shared(struct fork *fork, struct pmon_line *line)
{
	fork->stored += pmon_share_clean(line, fork->child);
}

/*
 * Of a line, what can be done at once: an entry for the child, or NULL if it
 * takes fork_line(). Atomic context. If the entry is the line, the caller stores
 * it and unlocks the page.
 */
static void *fork_line_entry(struct fork *fork, pgoff_t index,
			     struct pmon_line *line)
{
	struct page *page = line->page;
	void *entry = NULL;

	if (!trylock_page(page))
		return NULL;
	if (!pmon_share_has(line, fork->parent, index))
		goto out;
	if (fork_way(line) == FORK_SHARE &&
	    !pmon_share_add(line, fork->parent, fork->to, index,
			    GFP_NOWAIT | __GFP_NOWARN))
		return line;
	if (fork_way(line) == FORK_ENTRY && line->remote)
		entry = child_entry(line->copy.sum);
out:
	unlock_page(page);
	return entry;
}

static int fork_line_shared(struct fork *fork, pgoff_t index,
			    struct pmon_line *line)
{
	int ret = pmon_share_add(line, fork->parent, fork->to, index,
				 GFP_KERNEL);

	if (ret)
		return ret;
	ret = fork_give(fork, index, line);
	if (ret)
		pmon_share_leave(line, fork->child);
	else
		fork_shared(fork, line);
	return ret;
}

/* A resident line. 1: look at the index again. */
static int fork_line(struct fork *fork, pgoff_t index, struct pmon_line *line)
{
	struct page *page = line->page;
	int ret = 0;

	if (!trylock_page(page))
		return fork_busy_line(fork, index, line);
	if (!pmon_share_has(line, fork->parent, index)) {
		unlock_page(page);
		return 1;
	}
	switch (fork_way(line)) {
	case FORK_SHARE:
		ret = fork_line_shared(fork, index, line);
		break;
	case FORK_ENTRY:
		if (line->remote)
			ret = fork_give(fork, index,
					child_entry(line->copy.sum));
		break;
	case FORK_BOUNCE:
		return fork_bounce(fork, line);
	}
	unlock_page(page);
	return ret;
}

/* As xas_set(), without walking down again within one node. */
static void fork_step(struct xa_state *xas, unsigned long index)
{
	if (xas_is_node(xas) && !xas->xa_node->shift &&
	    (xas->xa_index ^ index) < XA_CHUNK_SIZE)
		xas_advance(xas, index);
	else
		xas_set(xas, index);
}

/* One entry of the parent's. Return: 1: done; 0: it takes more; -ENOMEM. */
static int fork_entry(struct fork *fork, struct xa_state *to, pgoff_t index,
		      void *entry)
{
	struct pmon_line *line = xa_is_value(entry) ? NULL : entry;

	if (line) {
		entry = fork_line_entry(fork, index, line);
		if (!entry)
			return 0;
	} else if (pmon_entry_is_remote(entry)) {
		entry = child_entry(pmon_entry_copy(entry).sum);
	}
	fork_step(to, index);
	xas_store(to, entry);
	if (entry == line) {
		if (xas_error(to))
			pmon_share_leave(line, fork->child);
		else
			fork_shared(fork, line);
		unlock_page(line->page);
	} else if (!xas_error(to)) {
		fork->stored += pmon_entry_is_remote(entry);
	}
	return xas_error(to) ?: 1;
}

/*
 * Copy the entries from *@index on, as long as nothing has to be waited for.
 * Return: 0: that was all; 1: *@index is that of @line, which takes more, or, if
 * that is NULL, the next to look at; -ENOMEM.
 */
static int fork_run(struct fork *fork, unsigned long *index,
		    struct pmon_line **line)
{
	XA_STATE(from, &fork->parent->lines, *index);
	XA_STATE(to, &fork->child->lines, *index);
	unsigned int nr = 0;
	void *entry;
	int ret;

	*line = NULL;
	do {
		ret = 1;
		xas_set(&from, *index);
		xas_lock_bh(&to);
		rcu_read_lock();
		xas_for_each(&from, entry, fork->last) {
			if (xas_retry(&from, entry))
				continue;
			*index = from.xa_index;
			if (nr++ == ENTRIES_AT_ONCE)
				break;
			ret = fork_entry(fork, &to, *index, entry);
			if (!ret)
				*line = entry;
			if (ret <= 0)
				break;
		}
		rcu_read_unlock();
		xas_unlock_bh(&to);
	} while (xas_nomem(&to, GFP_KERNEL));
	return ret < 0 ? ret : !!entry;
}

static int fork_entries(struct fork *fork)
{
	unsigned long index = fork->first;
	struct pmon_line *line;
	int ret, err;

	while ((ret = fork_run(fork, &index, &line)) > 0) {
		cond_resched();
		if (!line)
			continue;
		ret = fork_line(fork, index, line);
		if (ret < 0)
			break;
		/* 1: the same index again. */
		if (!ret && index++ == fork->last)
			break;
	}
	err = fork_send(fork);
	return ret < 0 ? ret : err;
}

/* Clones are made where the originals are. */
static int fork_holders(struct pmon_region *from, struct pmon_region *to)
{
	struct pmon_holder *primary, *holder;
	unsigned int i, nr = 0;

	primary = pmon_holder_make(to, lite_peer_node(from->primary->peer));
	if (IS_ERR(primary))
		return PTR_ERR(primary);
	/* Pairs with pmon_region_primary(). */
	smp_store_release(&to->primary, primary);
	for (i = 0; i < PMON_SECONDARIES; i++) {
		if (!from->secondary[i] || !from->secondary[i]->in_step)
			continue;
		holder = pmon_holder_make(to, lite_peer_node(from->secondary[i]->peer));
		/* Without it the child is repaired, if it lives so long. */
		if (IS_ERR(holder))
			break;
		holder->in_step = true;
		pmon_holder_add(to, holder);
		nr++;
	}
	/* Too few, or one of them was to be the parent's primary: the child's need not be. */
	if (nr != to->space->budget->replicas)
		pmon_repair_soon(to);
	return 0;
}

/* The child's view of the home, now that it is known what the child has there. */
static int fork_home(struct fork *fork)
{
	struct pmon_region *from = fork->from, *to = fork->to;

	if (fork->stored) {
		if (READ_ONCE(from->lost))
			pmon_region_lose(to);
		if (!to->primary && fork_holders(from, to))
			return -ENOMEM;
		pmon_clone_promise(from, to, fork->first, fork->last);
	}
	return pmon_changes_inherit(&to->changes, &from->changes, fork->first,
				    fork->last, fork->stored);
}

/* [@first, @last] of the VMA, which is one region's. */
static int fork_piece(struct fork *fork)
{
	int ret;

	fork->stored = 0;
	fork->settled = false;
	fork->to = pmon_region_twin(fork->child, fork->from);
	if (!fork->to)
		return -ENOMEM;
	pmon_region_assign(fork->to, fork->first, fork->last);
	mutex_lock(&fork->from->stream_lock);
	pmon_grant_withhold(fork->from, fork->first, fork->last);
	ret = fork_entries(fork);
	if (!ret)
		ret = fork_home(fork);
	mutex_unlock(&fork->from->stream_lock);
	return ret;
}

static int fork_part(struct fork *fork)
{
	pgoff_t last = fork->last;
	int ret = 0;

	pmon_backing_copy(fork->child, fork->parent, fork->first, last, 0);
	while (!ret && fork->first <= last) {
		fork->from = pmon_region_next(fork->parent, &fork->first, last,
					      &fork->last);
		if (!fork->from)
			break;
		ret = fork_piece(fork);
		fork->first = fork->last + 1;
	}
	return ret;
}

/* The first managed VMA of a fork makes the child's space. */
static struct pmon_space *fork_child(struct pmon_space *parent,
				     struct mm_struct *mm)
{
	struct pmon_space *child = pmon_space_of(mm);

	if (child)
		return child;
	child = pmon_space_create(mm, parent->budget);
	if (IS_ERR(child))
		return child;
	/* Until pmon_fork_end(). */
	pmon_space_get(parent);
	atomic_inc(&parent->forks);
	child->forking = parent;
	pmon_count(forks);
	return child;
}

/* All of the VMA, but what the child gets as zeros. */
static int fork_copy(struct fork *fork)
{
	pgoff_t next = fork->first, last = fork->last;
	int ret = 0;

	pmon_wipe_copy(fork->child, fork->parent, next, last, 0);
	while (!ret && next <= last) {
		fork->first = next;
		fork->last = last;
		if (!pmon_wipe_next(fork->parent, &fork->first, &fork->last))
			break;
		next = fork->last + 1;
		ret = fork_part(fork);
	}
	return ret;
}

/*
 * pmon_fork_range - replacement of copy_page_range() for a managed VMA
 *
 * Context: both mmap_locks held for writing. Return: 0 or -ENOMEM; on error
 * dup_mmap() unwinds and exit_mmap() of the child cleans up.
 */
int pmon_fork_range(struct vm_area_struct *dst, struct vm_area_struct *src)
{
	struct fork fork = {
		.parent = pmon_vma_space(src),
		.first = src->vm_start >> PAGE_SHIFT,
		.last = (src->vm_end >> PAGE_SHIFT) - 1,
	};
	int ret;

	fork.child = fork_child(fork.parent, dst->vm_mm);
	if (IS_ERR(fork.child))
		return -ENOMEM;
	fork_switch_file(dst, fork.child->file);
	unmap_mapping_pages(fork.parent->file->f_mapping, fork.first,
			    vma_pages(src), false);
	ret = fork_copy(&fork);
	kfree(fork.flush);
	trace_pmon_fork(fork.parent, fork.child, fork.stored, ret);
	return ret ? -ENOMEM : 0;
}

/*
 * pmon_fork_under_way - is the space being made by a fork, or being forked?
 *
 * A child's regions are given their parent's holders by the first VMA that needs them, and
 * without the child's stream_lock; clones of later VMAs go to the same. So until the child
 * is complete neither the evictor, nor repair, nor rebalancing chooses, adds, or promotes
 * a holder of either. Context: any; for a region of the parent, with its stream_lock held
 * if none is to begin.
 */
bool pmon_fork_under_way(struct pmon_space *space)
{
	/* Pairs with pmon_fork_end(). */
	return smp_load_acquire(&space->forking) || atomic_read_acquire(&space->forks);
}

/* pmon_fork_end - @child is complete, or will never be. Context: any; once at a time. */
void pmon_fork_end(struct pmon_space *child)
{
	struct pmon_space *parent = child->forking;

	if (!parent)
		return;
	/* Pairs with pmon_fork_under_way(): what fork did to the regions is seen. */
	smp_store_release(&child->forking, NULL);
	atomic_dec_return_release(&parent->forks);
	pmon_space_put(parent);
}

/* pmon_fork_done - @child exists and has not run yet. Context: any. */
void pmon_fork_done(struct task_struct *child)
{
	struct pmon_space *space = child->mm ? pmon_space_of(child->mm) : NULL;

	/* With CLONE_VM it is the parent's, which may itself be the child of a fork. */
	if (!space || !READ_ONCE(space->forking))
		return;
	space->pid = task_tgid_nr(child);
	pmon_fork_end(space);
}

int pmon_fork_init(void)
{
	int i;

	mutex_init(&bounce.lock);
	for (i = 0; i < MMON_FLUSH_MAX; i++) {
		bounce.page[i] = alloc_page(GFP_KERNEL);
		if (!bounce.page[i])
			goto out_free;
	}
	bounce.region = lite_region_create(bounce.page, MMON_FLUSH_MAX, 0);
	if (!IS_ERR(bounce.region))
		return 0;
out_free:
	while (i--)
		put_page(bounce.page[i]);
	return -ENOMEM;
}

void pmon_fork_exit(void)
{
	int i;

	lite_region_destroy(bounce.region);
	for (i = 0; i < MMON_FLUSH_MAX; i++)
		put_page(bounce.page[i]);
}
