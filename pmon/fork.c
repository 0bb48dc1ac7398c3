// SPDX-License-Identifier: GPL-2.0
/*
 * fork: a snapshot of each managed VMA.
 *
 * Runs in place of copy_page_range(), with both mmap_locks held for writing.
 * The parent's page table entries of the VMA go first, so any thread that
 * wants to write faults and waits until fork is done: the snapshot is one
 * point in time, VMA by VMA in program order. Then the parent's dirty lines are
 * flushed, the home clones the range by reference, and the child begins with
 * nothing resident and the parent's list of what is stored where. No memory is
 * copied at this host and no line is needed for the child.
 *
 * A page that somebody still writes to (a direct I/O read under way) is copied
 * to a bounce page first: what is sent must have the checksum that was taken.
 *
 * Waiting for the network with mmap_lock held cannot be avoided here: the
 * core's dup_mmap() holds it. docs/pmon.md says what it costs.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/interval_tree_generic.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* The core's tree of a mapping's VMAs; its functions are not exported. */
#define VMA_TREE_START(vma)	((vma)->vm_pgoff)
#define VMA_TREE_LAST(vma)	((vma)->vm_pgoff + vma_pages(vma) - 1)

INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, VMA_TREE_START, VMA_TREE_LAST,
		     static __maybe_unused, vma_tree)

static struct {
	struct mutex lock;	/* inside stream_lock */
	struct page *page[MMON_FLUSH_MAX];
	struct lite_region *region;
} bounce;

struct fork {
	struct pmon_space *parent;
	struct pmon_space *child;
	struct pmon_flush *flush;
	pgoff_t first;
	pgoff_t last;
	unsigned long stored;
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
	unsigned int i, nr = flush->nr;
	int err;

	if (!nr)
		return 0;
	err = pmon_flush_send(flush);
	for (i = 0; i < nr; i++) {
		struct pmon_line *line = flush->line[i];

		if (err) {
			SetPageDirty(line->page);
		} else {
			line->remote = true;
			line->crc = flush->crc[i];
			err = fork_give(fork, line->page->index,
					pmon_entry_remote(flush->crc[i]));
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

/* Dirty line, page locked: into the batch. */
static int fork_add_dirty(struct fork *fork, struct pmon_line *line)
{
	struct lite_sge sge = pmon_line_sge(line);
	struct page *page = line->page;
	struct page *send = page;
	unsigned int i;

	/* Our own look-up holds one reference besides the pool's. */
	if (page_count(page) > 2) {
		if (!fork->bouncing)
			mutex_lock(&bounce.lock);
		fork->bouncing = true;
		i = fork->flush->nr;
		send = bounce.page[i];
		copy_highpage(send, page);
		sge = (struct lite_sge){ .region = bounce.region, .page = i };
		pmon_count(fork_bounces);
		/* Whoever holds it may write on: it stays dirty. */
	} else {
		ClearPageDirty(page);
	}
	pmon_flush_add(fork->flush, line, sge, pmon_page_crc(send));
	if (fork->flush->nr == MMON_FLUSH_MAX)
		return fork_send(fork);
	return 0;
}

/* A resident line. 1: look at the index again. */
static int fork_line(struct fork *fork, pgoff_t index, struct pmon_line *line)
{
	struct page *page = line->page;
	int ret = 0;

	if (!get_page_unless_zero(page))
		return 1;
	if (!trylock_page(page)) {
		/* Hold no other page while waiting for this one. */
		ret = fork_send(fork);
		folio_wait_locked(page_folio(page));
		put_page(page);
		return ret ?: 1;
	}
	if (line->space != fork->parent || page->index != index) {
		unlock_page(page);
		put_page(page);
		return 1;
	}
	if (PageDirty(page)) {
		ret = fork_add_dirty(fork, line);
		put_page(page);
		return ret;
	}
	if (line->remote)
		ret = fork_give(fork, index, pmon_entry_remote(line->crc));
	unlock_page(page);
	put_page(page);
	return ret;
}

static int fork_entries(struct fork *fork)
{
	unsigned long index = fork->first;
	void *entry;
	int ret;

	while ((entry = xa_find(&fork->parent->lines, &index, fork->last,
				XA_PRESENT))) {
		if (xa_is_value(entry))
			ret = fork_give(fork, index, entry);
		else
			ret = fork_line(fork, index, entry);
		if (ret < 0)
			break;
		if (ret == 1)
			continue;
		if (index++ == fork->last)
			break;
		cond_resched();
	}
	if (entry && ret < 0) {
		fork_send(fork);
		return ret;
	}
	return fork_send(fork);
}

static int fork_clone(struct fork *fork)
{
	struct mmon_clone clone = {
		.child = cpu_to_le64(fork->child->asid),
		.start = cpu_to_le64((u64)fork->first << MMON_PAGE_SHIFT),
		.end = cpu_to_le64((u64)(fork->last + 1) << MMON_PAGE_SHIFT),
	};
	struct pmon_space *child = fork->child;
	int ret;

	if (!fork->stored)
		return 0;
	ret = pmon_stream_sync(fork->parent);
	if (!ret)
		ret = pmon_stream_call(fork->parent, MMON_OP_CLONE, &clone,
				       sizeof(clone), NULL, 0);
	if (ret)
		return ret;
	/* Chosen late, perhaps: by the flush just now. */
	if (!child->home) {
		struct lite_peer *home;

		home = lite_peer_get(lite_peer_node(fork->parent->home));
		if (IS_ERR(home))
			return PTR_ERR(home);
		child->home = home;
	}
	child->attached = true;
	return pmon_changes_inherit(&child->changes, &fork->parent->changes,
				    fork->first, fork->last);
}

static int fork_copy(struct fork *fork)
{
	struct pmon_space *parent = fork->parent;
	int ret;

	pmon_backing_copy(fork->child, parent, fork->first, fork->last, 0);
	mutex_lock(&parent->stream_lock);
	ret = fork_entries(fork);
	if (!ret)
		ret = fork_clone(fork);
	mutex_unlock(&parent->stream_lock);
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

	fork.child = pmon_space_of(dst->vm_mm);
	if (!fork.child) {
		fork.child = pmon_space_create(dst->vm_mm, fork.parent->budget,
					       fork.parent);
		if (IS_ERR(fork.child))
			return -ENOMEM;
		pmon_count(forks);
	}
	fork_switch_file(dst, fork.child->file);
	fork.flush = kzalloc(sizeof(*fork.flush), GFP_KERNEL);
	if (!fork.flush)
		return -ENOMEM;
	fork.flush->space = fork.parent;
	unmap_mapping_pages(fork.parent->file->f_mapping, fork.first,
			    vma_pages(src), false);
	ret = fork_copy(&fork);
	kfree(fork.flush);
	trace_pmon_fork(fork.parent, fork.child, fork.stored, ret);
	return ret ? -ENOMEM : 0;
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
