// SPDX-License-Identifier: GPL-2.0
/*
 * madvise: what the kernel would do to private memory, and refuses or does not do
 * because managed memory is a shared mapping in form.
 */
#include <linux/mman.h>

#include "internal.h"

/*
 * With mmap_lock held for writing, since a fault, a fork or an mremap between
 * the entries' going and the home's being told would see one without the other:
 * a child with an entry whose page is gone, a new page discarded for the old.
 */
static void advise_drop(struct mm_struct *mm, struct pmon_space *space,
			pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	if (!xa_find(&space->lines, &index, last, XA_PRESENT))
		return;
	mmap_write_lock(mm);
	if (pmon_discard_range(space, first, last))
		pmon_regions_discard(space, first, last);
	mmap_write_unlock(mm);
}

/* Is any of the managed memory in the range a mapping of a file? */
static bool has_file(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	return mt_find(&space->backing, &index, last);
}

static bool managed_at(struct mm_struct *mm, unsigned long addr)
{
	struct vm_area_struct *vma;
	bool managed;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, addr);
	managed = vma && pmon_vma_managed(vma);
	mmap_read_unlock(mm);
	return managed;
}

/*
 * One VMA's part of MADV_WIPEONFORK or _KEEPONFORK, from @start on; *@next is
 * where to go on. Return: 0, 1 (not managed) or -errno.
 */
static int wipe_part(struct mm_struct *mm, struct pmon_space *space,
		     unsigned long start, unsigned long end, bool wipe,
		     unsigned long *next)
{
	struct vm_area_struct *vma;
	pgoff_t first, last;
	int ret = 0;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	vma = find_vma(mm, start);
	if (!vma || vma->vm_start >= end) {
		*next = end;
		ret = -ENOMEM;
		goto out;
	}
	if (vma->vm_start > start) {
		/* A hole: reported, but what follows is done. */
		*next = vma->vm_start;
		ret = -ENOMEM;
		goto out;
	}
	*next = min(end, vma->vm_end);
	first = start >> PAGE_SHIFT;
	last = (*next >> PAGE_SHIFT) - 1;
	if (!pmon_vma_managed(vma))
		ret = 1;
	else if (!wipe)
		pmon_wipe_clear(space, first, last);
	else if (has_file(space, first, last))
		ret = -EINVAL;
	else
		pmon_wipe_set(space, first, last);
out:
	mmap_write_unlock(mm);
	return ret;
}

static int advise_wipe(struct mm_struct *mm, struct pmon_space *space,
		       unsigned long start, unsigned long end, int behavior,
		       pmon_advise_fn original)
{
	unsigned long next;
	int ret, result = 0;

	for (; start < end; start = next) {
		ret = wipe_part(mm, space, start, end,
				behavior == MADV_WIPEONFORK, &next);
		if (ret == 1)
			ret = original(mm, start, next - start, behavior);
		if (ret == -ENOMEM)
			result = ret;
		else if (ret)
			return ret;
	}
	return result;
}

static int advise_range(struct mm_struct *mm, struct pmon_space *space,
			unsigned long start, unsigned long end, int behavior,
			pmon_advise_fn original)
{
	pgoff_t first = start >> PAGE_SHIFT, last = (end >> PAGE_SHIFT) - 1;
	int ret;

	switch (behavior) {
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		return advise_wipe(mm, space, start, end, behavior, original);
	case MADV_REMOVE:
		/* Punches holes into files, by way of shared mappings only. */
		if (!managed_at(mm, start))
			break;
		return has_file(space, first, first) ? -EACCES : -EINVAL;
	case MADV_FREE:
		if (has_file(space, first, last))
			return -EINVAL;
		/* Lazy freeing is for anonymous VMAs; dropping at once is allowed. */
		behavior = MADV_DONTNEED;
		fallthrough;
	case MADV_DONTNEED:
	case MADV_DONTNEED_LOCKED:
		ret = original(mm, start, end - start, behavior);
		if (ret != -EINVAL)
			advise_drop(mm, space, first, last);
		return ret;
	}
	return original(mm, start, end - start, behavior);
}

/*
 * pmon_advise - do_madvise() of an mm that has managed memory
 * @original: what it replaces
 */
int pmon_advise(struct mm_struct *mm, unsigned long start, size_t len_in,
		int behavior, pmon_advise_fn original)
{
	struct pmon_space *space = pmon_space_of(mm);
	unsigned long len = PAGE_ALIGN(len_in);

	/* What is wrong or empty the kernel answers best. */
	if (!space || !len || offset_in_page(start) || start + len < start ||
	    start + len > MMON_ADDR_MAX)
		return original(mm, start, len_in, behavior);
	return advise_range(mm, space, start, start + len, behavior, original);
}
