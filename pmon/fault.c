// SPDX-License-Identifier: GPL-2.0
/*
 * Page faults of managed memory.
 *
 * The handler returns the line's page locked; the core keeps the lock until the
 * page table entry is set, which is what the evictor relies on. A line is
 * published, locked, before it is filled, so that a second faulter waits on the
 * page lock and a page is fetched once.
 *
 * Nothing waits with mmap_lock held unless the caller forbids dropping it: a
 * miss starts the fetch, drops the lock, sleeps on the page lock (killable) and
 * lets the core repeat the fault, which then finds the line.
 *
 * Kernels with per-VMA locks try a fault without mmap_lock first, but not with
 * operations that lack map_pages, as ours do. All of pmon relies on that: with
 * mmap_lock held for writing nobody is in here.
 */
#include <linux/file.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>

#include "internal.h"
#include "trace.h"

/* No vm_fault_t: look at the index again. */
#define FAULT_AGAIN	((__force vm_fault_t)0)

static bool may_drop_lock(struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_ALLOW_RETRY;
}

static bool must_not_wait(struct vm_fault *vmf)
{
	return may_drop_lock(vmf) && (vmf->flags & FAULT_FLAG_RETRY_NOWAIT);
}

/* Wait until the page is unlocked; drops the caller's reference to it. */
static vm_fault_t wait_for_page(struct vm_fault *vmf, struct page *page)
{
	vm_fault_t ret = FAULT_AGAIN;

	if (must_not_wait(vmf)) {
		ret = VM_FAULT_RETRY;
	} else if (may_drop_lock(vmf)) {
		sk_release_fault_lock(vmf);
		if (vmf->flags & FAULT_FLAG_KILLABLE)
			folio_wait_locked_killable(page_folio(page));
		else
			folio_wait_locked(page_folio(page));
		ret = VM_FAULT_RETRY;
	} else {
		folio_wait_locked(page_folio(page));
	}
	put_page(page);
	return ret;
}

static vm_fault_t fault_sigbus(struct vm_fault *vmf, struct pmon_space *space,
			       const char *why)
{
	struct pmon_region *region = pmon_region_of(space, vmf->pgoff);
	struct lite_peer *home = region ? pmon_region_home(region) : NULL;
	__be32 addr = home ? cpu_to_be32(lite_peer_node(home)) : 0;

	pmon_count(sigbus);
	pr_err_ratelimited("%s[%d]: SIGBUS at %lx in %lx-%lx: %s (memory host %pI4)\n",
			   current->comm, task_tgid_nr(current), vmf->address,
			   vmf->vma->vm_start, vmf->vma->vm_end, why, &addr);
	return VM_FAULT_SIGBUS;
}

/* There was no free line: wait for one. */
static vm_fault_t wait_for_line(struct vm_fault *vmf, struct pmon_space *space)
{
	struct pmon_budget *budget = space->budget;
	wait_queue_head_t *wait = pmon_lines_wait(budget);

	pmon_count(waits_for_line);
	pmon_budget_short(budget);
	switch (READ_ONCE(budget->stalled)) {
	case PMON_STALL_REFUSED:
		return fault_sigbus(vmf, space, "no memory host takes dirty pages");
	case PMON_STALL_PINNED:
		/* Who pins pages must give up; who only touches them may wait. */
		if (!(vmf->flags & FAULT_FLAG_INTERRUPTIBLE))
			return fault_sigbus(vmf, space, "all lines are pinned");
		break;
	case PMON_STALL_NONE:
		break;
	}
	if (must_not_wait(vmf))
		return VM_FAULT_RETRY;
	if (!may_drop_lock(vmf)) {
		wait_event_timeout(*wait, pmon_budget_may_alloc(budget), HZ);
		return FAULT_AGAIN;
	}
	/* Once mmap_lock is dropped the mm may go; the budget must not. */
	pmon_budget_get(budget);
	sk_release_fault_lock(vmf);
	wait_event_killable_timeout(*wait, pmon_budget_may_alloc(budget), HZ);
	pmon_budget_put(budget);
	return VM_FAULT_RETRY;
}

/* A free line, or *ret says how the fault goes on without one. */
static struct pmon_line *fault_line(struct vm_fault *vmf,
				    struct pmon_space *space, vm_fault_t *ret)
{
	struct pmon_line *line = pmon_line_alloc(space->budget);

	if (!line)
		*ret = wait_for_line(vmf, space);
	return line;
}

/*
 * As xa_cmpxchg_bh(), with one walk; of an entry that is there, so nothing is allocated.
 * The copy of a shared line is told where its page lies under the lock: who forgets
 * places does so to what is in there.
 */
static void *replace(struct pmon_space *space, pgoff_t index, void *old,
		     struct pmon_line *line)
{
	XA_STATE(xas, &space->lines, index);
	void *seen;

	xas_lock_bh(&xas);
	seen = xas_load(&xas);
	if (likely(seen == old)) {
		if (!xa_is_value(old))
			line->copy = pmon_share_copy(old, space);
		xas_store(&xas, line);
	}
	xas_unlock_bh(&xas);
	return seen;
}

/* Publish a prepared line in place of @old. False: somebody was faster. */
static bool publish(struct pmon_space *space, pgoff_t index, void *old,
		    struct pmon_line *line, vm_fault_t *ret)
{
	void *seen = old ? replace(space, index, old, line) :
		xa_cmpxchg_bh(&space->lines, index, NULL, line, GFP_KERNEL);

	if (seen == old)
		return true;
	*ret = xa_is_err(seen) ? VM_FAULT_OOM : FAULT_AGAIN;
	pmon_line_release(line);
	return false;
}

static vm_fault_t fault_done(struct vm_fault *vmf, struct page *page)
{
	struct pmon_line *line = pmon_page_line(page);

	if (line->standby)
		pmon_standby_rescue(line);
	/*
	 * Dirty already: fault_dirty_shared_page() then has no reason to drop
	 * mmap_lock and throttle.
	 */
	if (vmf->flags & FAULT_FLAG_WRITE)
		SetPageDirty(page);
	if (unlikely(vmf->vma->vm_flags & VM_LOCKED))
		pmon_lock_line(line);
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

/* What @space has left of a shared line whose memory failed: its home's copy, if equal. */
static void *poisoned_entry(struct pmon_line *line, struct pmon_space *space)
{
	if (!pmon_share_clean(line, space))
		return PMON_ENTRY_POISONED;
	return pmon_entry_remote(pmon_copy_of(pmon_share_copy(line, space).sum));
}

/*
 * A line that a fork left to several spaces: take a copy. The page is locked
 * and referenced. No fault can have mapped it: all of them come here.
 */
static vm_fault_t fault_shared(struct vm_fault *vmf, struct pmon_space *space,
			       struct pmon_line *line)
{
	struct page *page = line->page;
	vm_fault_t ret = FAULT_AGAIN;
	struct pmon_line *copy;

	/* Shared by others, after it was reused? */
	if (xa_load(&space->lines, vmf->pgoff) != line)
		goto out;
	if (unlikely(PageHWPoison(page))) {
		/* Replaces an entry that is there: allocates nothing. */
		xa_store_bh(&space->lines, vmf->pgoff, poisoned_entry(line, space),
			    GFP_NOWAIT);
		pmon_share_leave(line, space);
		goto out;
	}
	copy = pmon_line_alloc(space->budget);
	if (!copy) {
		/* Not with the page locked: it may be what is to be evicted. */
		unlock_page(page);
		put_page(page);
		return wait_for_line(vmf, space);
	}
	pmon_line_prepare(copy, pmon_region_of(space, vmf->pgoff), vmf->pgoff);
	copy_highpage(copy->page, page);
	SetPageUptodate(copy->page);
	copy->remote = pmon_share_remote(line, space);
	if (!pmon_share_clean(line, space))
		SetPageDirty(copy->page);
	get_page(copy->page);
	if (publish(space, vmf->pgoff, line, copy, &ret)) {
		pmon_count(share_copies);
		pmon_share_leave(line, space);
		ret = fault_done(vmf, copy->page);
	} else {
		put_page(copy->page);
	}
out:
	unlock_page(page);
	put_page(page);
	return ret;
}

/*
 * The line's memory failed; page locked, our reference held. With a copy at the
 * home nothing is lost.
 */
static vm_fault_t fault_poisoned(struct pmon_line *line)
{
	struct page *page = line->page;

	/* First: else it is one that somebody still uses. */
	put_page(page);
	pmon_poison_evict(line);
	return FAULT_AGAIN;
}

static vm_fault_t fault_resident(struct vm_fault *vmf, struct pmon_space *space,
				 struct pmon_line *line)
{
	struct page *page = line->page;

	if (!get_page_unless_zero(page))
		return FAULT_AGAIN;
	if (!trylock_page(page)) {
		/* Prefetched and still on its way: the next window is due. */
		if (READ_ONCE(line->prefetched) && READ_ONCE(line->io) &&
		    !(vmf->flags & FAULT_FLAG_TRIED)) {
			pmon_count(prefetch_late);
			pmon_prefetch(vmf, STRIDE_LATE);
		}
		return wait_for_page(vmf, page);
	}
	if (unlikely(pmon_line_shared(line)))
		return fault_shared(vmf, space, line);
	/* The line may have been reused since xa_load(). */
	if (line->space != space || page->index != vmf->pgoff ||
	    !PageUptodate(page)) {
		unlock_page(page);
		put_page(page);
		return FAULT_AGAIN;
	}
	if (unlikely(PageHWPoison(page)))
		return fault_poisoned(line);
	/*
	 * The evictor reads "accessed" from what unmapping sets; start from
	 * clear, see evict.c.
	 */
	folio_clear_referenced(page_folio(page));
	if (pmon_line_touched(line)) {
		pmon_around_map(vmf, pmon_prefetch_used(vmf, line));
	} else if (!(vmf->flags & FAULT_FLAG_TRIED)) {
		/* The second half of a miss is not news. */
		pmon_count(soft_faults);
	}
	return fault_done(vmf, page);
}

/* Errors of this reader or this moment, not of the file. */
static bool passes(int err)
{
	return err == -EINTR || err == -ERESTARTSYS || err == -EAGAIN ||
	       err == -ENOMEM;
}

/* First touch of a private file mapping: fill the line from the file. */
static vm_fault_t fault_file(struct vm_fault *vmf, struct pmon_region *region,
			     struct pmon_backing *backing)
{
	pgoff_t file_page = vmf->pgoff + backing->delta;
	struct pmon_space *space = region->space;
	struct file *file = backing->file;
	bool drop = may_drop_lock(vmf);
	struct pmon_line *line;
	vm_fault_t ret;
	int err;

	if (((loff_t)file_page << PAGE_SHIFT) >= i_size_read(file_inode(file)))
		return VM_FAULT_SIGBUS;
	if (must_not_wait(vmf))
		return VM_FAULT_RETRY;
	line = fault_line(vmf, space, &ret);
	if (!line)
		return ret;
	pmon_line_prepare(line, region, vmf->pgoff);
	line->io = true;
	if (!publish(space, vmf->pgoff, NULL, line, &ret))
		return ret;
	pmon_count(file_fills);
	get_file(file);
	pmon_space_get(space);
	if (drop)
		sk_release_fault_lock(vmf);
	err = pmon_backing_fill(file, file_page, line->page);
	fput(file);
	if (err)
		pmon_io_end(line, passes(err) ? PMON_ENTRY_ABSENT :
						PMON_ENTRY_UNREAD);
	else
		pmon_io_end(line, NULL);
	if (drop)
		return VM_FAULT_RETRY;
	return passes(err) ? VM_FAULT_SIGBUS : FAULT_AGAIN;
}

/* Zero fill. */
static vm_fault_t fault_zero(struct vm_fault *vmf, struct pmon_region *region)
{
	struct pmon_space *space = region->space;
	struct pmon_line *line;
	struct page *page;
	vm_fault_t ret;

	line = fault_line(vmf, space, &ret);
	if (!line)
		return ret;
	pmon_line_prepare(line, region, vmf->pgoff);
	page = line->page;
	clear_highpage(page);
	SetPageUptodate(page);
	get_page(page);
	if (!publish(space, vmf->pgoff, NULL, line, &ret)) {
		put_page(page);
		return ret;
	}
	pmon_count(first_touches);
	return fault_done(vmf, page);
}

static vm_fault_t fault_absent(struct vm_fault *vmf, struct pmon_space *space)
{
	struct pmon_region *region = pmon_region_of(space, vmf->pgoff);
	struct vm_area_struct *vma = vmf->vma;
	struct pmon_backing *backing;
	struct pmon_changes *changes;
	pgoff_t first, last;

	if (likely(region) &&
	    likely(pmon_changes_plain(&region->changes, vmf->pgoff)))
		return fault_zero(vmf, region);
	first = vma->vm_start >> PAGE_SHIFT;
	last = (vma->vm_end >> PAGE_SHIFT) - 1;
	region = pmon_region_need(space, vmf->pgoff, &first, &last);
	if (!region)
		return VM_FAULT_OOM;
	changes = &region->changes;
	if (!pmon_changes_known(changes, vmf->pgoff, &first, &last))
		pmon_changes_know(changes, vmf->pgoff, &first, &last);
	backing = pmon_backing_find(space, vmf->pgoff, &first, &last);
	if (backing)
		return fault_file(vmf, region, backing);
	pmon_changes_set_plain(changes, first, last);
	return fault_zero(vmf, region);
}

/* The home has yet to hear of something; it must before it is asked for the page. */
static vm_fault_t fault_sync(struct vm_fault *vmf, struct pmon_region *region)
{
	bool drop = may_drop_lock(vmf);
	int err;

	if (must_not_wait(vmf))
		return VM_FAULT_RETRY;
	pmon_region_get(region);
	if (drop)
		sk_release_fault_lock(vmf);
	err = pmon_stream_sync_killable(region);
	pmon_region_put(region);
	if (drop)
		return VM_FAULT_RETRY;
	if (err == -ENOMEM)
		return VM_FAULT_OOM;
	/* Killed: the fault need not succeed. */
	return err ? VM_FAULT_SIGBUS : FAULT_AGAIN;
}

/*
 * The fetch was started; our reference held. Often it has ended already: if the
 * home is this host, or a fast link was faster than the rest of this path. Then
 * the fault need not be repeated.
 */
static vm_fault_t fault_fetching(struct vm_fault *vmf, struct pmon_space *space,
				 struct pmon_line *line)
{
	struct page *page = line->page;

	if (!trylock_page(page)) {
		if (must_not_wait(vmf) || !pmon_fetch_spin(page) ||
		    !trylock_page(page))
			return wait_for_page(vmf, page);
		pmon_count(waits_spun);
	}
	/* It may have ended without the page, or been evicted again. */
	if (line->space != space || page->index != vmf->pgoff ||
	    pmon_line_shared(line) || !PageUptodate(page) ||
	    PageHWPoison(page)) {
		unlock_page(page);
		put_page(page);
		return FAULT_AGAIN;
	}
	pmon_count(waits_spared);
	folio_clear_referenced(page_folio(page));
	return fault_done(vmf, page) | VM_FAULT_MAJOR;
}

static vm_fault_t fault_remote(struct vm_fault *vmf, struct pmon_space *space,
			       void *entry)
{
	struct pmon_region *region = pmon_region_of(space, vmf->pgoff);
	struct pmon_copy copy = pmon_entry_copy(entry);
	struct pmon_reach reach;
	struct pmon_line *line;
	bool granted;
	vm_fault_t ret;

	if (READ_ONCE(region->lost))
		return fault_sigbus(vmf, space, "its page was stored there");
	granted = pmon_grant_find(region, copy.location, &reach);
	if (unlikely(READ_ONCE(region->suspect)) ||
	    unlikely(!granted && pmon_fetch_behind(region, vmf->pgoff)))
		return fault_sync(vmf, region);
	line = fault_line(vmf, space, &ret);
	if (!line)
		return ret;
	pmon_line_prepare(line, region, vmf->pgoff);
	line->copy = copy;
	line->remote = true;
	line->io = true;
	if (!publish(space, vmf->pgoff, entry, line, &ret))
		return ret;
	pmon_count(misses);
	trace_pmon_miss(space, vmf->pgoff);
	get_page(line->page);
	pmon_fetch_start(line, granted ? &reach : NULL);
	/* After the request that somebody waits for. */
	pmon_prefetch(vmf, STRIDE_MISS);
	/* While it is on its way: what the next ones need. */
	pmon_standby_refill(space->budget);
	return fault_fetching(vmf, space, line);
}

/* pmon_fault - vm_operations_struct::fault of managed memory */
vm_fault_t pmon_fault(struct vm_fault *vmf)
{
	struct pmon_space *space = pmon_vma_space(vmf->vma);
	vm_fault_t ret;
	void *entry;

	if (sk_fault_vma_locked(vmf)) {
		sk_release_fault_lock(vmf);
		return VM_FAULT_RETRY;
	}
	/* Last line of defence: never serve one mm from another's memory. */
	if (space->mm != vmf->vma->vm_mm ||
	    vmf->pgoff != vmf->address >> PAGE_SHIFT) {
		pr_err_ratelimited("%s[%d]: mapping at %lx is out of place\n",
				   current->comm, task_tgid_nr(current),
				   vmf->address);
		return VM_FAULT_SIGBUS;
	}
	pmon_count(faults);
	do {
		entry = xa_load(&space->lines, vmf->pgoff);
		if (!entry)
			ret = fault_absent(vmf, space);
		else if (!xa_is_value(entry))
			ret = fault_resident(vmf, space, entry);
		else if (pmon_entry_is_remote(entry))
			ret = fault_remote(vmf, space, entry);
		else if (entry == PMON_ENTRY_POISONED)
			ret = VM_FAULT_HWPOISON;
		else if (entry == PMON_ENTRY_LOST)
			ret = fault_sigbus(vmf, space, "its page was stored there");
		else
			ret = fault_sigbus(vmf, space, "the mapped file cannot be read");
	} while (ret == FAULT_AGAIN && !fatal_signal_pending(current));
	/* Killed: the fault need not succeed. */
	return ret == FAULT_AGAIN ? VM_FAULT_SIGBUS : ret;
}

/*
 * pmon_access - vm_operations_struct::access: a debugger reads or writes memory
 * that the process itself may not (a breakpoint in a read-only page). The core
 * refuses to force writes into shared mappings, which these are only in form.
 *
 * Context: mmap_lock held. Return: bytes copied, within one page, or -EIO.
 */
int pmon_access(struct vm_area_struct *vma, unsigned long addr, void *buf,
		int len, int write)
{
	struct vm_fault vmf = {
		.vma = vma,
		.address = addr & PAGE_MASK,
		.pgoff = addr >> PAGE_SHIFT,
		.flags = write ? FAULT_FLAG_WRITE : 0,
	};
	void *at;

	len = min_t(unsigned long, len, PAGE_SIZE - offset_in_page(addr));
	if (!(pmon_fault(&vmf) & VM_FAULT_LOCKED))
		return -EIO;
	at = page_address(vmf.page) + offset_in_page(addr);
	if (write)
		memcpy(at, buf, len);
	else
		memcpy(buf, at, len);
	unlock_page(vmf.page);
	put_page(vmf.page);
	return len;
}
