// SPDX-License-Identifier: GPL-2.0
/*
 * RLIMIT_DATA and VmData: private writable memory.
 *
 * The kernel leaves managed memory out, since it is shared in form. So it is added
 * here wherever such memory comes, goes or changes: mm->data_vm then says what it
 * would without pmon. All callers hold mmap_lock for writing; munmap may have
 * downgraded it, which nobody else has then either.
 */
#include <linux/sched/signal.h>

#include "internal.h"

/* A stack has a limit of its own. */
static bool is_data(vm_flags_t flags)
{
	return (flags & (VM_WRITE | VM_GROWSDOWN)) == VM_WRITE;
}

static bool allows(struct mm_struct *mm, unsigned long nr)
{
	unsigned long limit = rlimit(RLIMIT_DATA) >> PAGE_SHIFT;

	/* Limit 0 means the hard limit: Valgrind sets it so (mm/mmap.c). */
	if (!limit)
		limit = rlimit_max(RLIMIT_DATA) >> PAGE_SHIFT;
	return mm->data_vm + nr <= limit;
}

/* pmon_limit_grow - may memory with @flags become @nr pages larger? */
bool pmon_limit_grow(struct mm_struct *mm, vm_flags_t flags, unsigned long nr)
{
	return !is_data(flags) || allows(mm, nr);
}

/* pmon_limit_map - the same for a new mapping, in place of what is there */
bool pmon_limit_map(struct mm_struct *mm, vm_flags_t flags, unsigned long start,
		    unsigned long end)
{
	VMA_ITERATOR(vmi, mm, start);
	unsigned long nr = (end - start) >> PAGE_SHIFT;
	struct vm_area_struct *vma;

	if (!is_data(flags) || allows(mm, nr))
		return true;
	for_each_vma_range(vmi, vma, end)
		nr -= (min(end, vma->vm_end) - max(start, vma->vm_start)) >>
		      PAGE_SHIFT;
	return allows(mm, nr);
}

/* pmon_limit_account - @nr pages with @flags have come, or gone if negative */
void pmon_limit_account(struct mm_struct *mm, vm_flags_t flags, long nr)
{
	if (is_data(flags))
		mm->data_vm += nr;
}

/*
 * pmon_limit_unmapped - munmap() has detached VMAs
 * @detached: tree that holds them
 */
void pmon_limit_unmapped(struct mm_struct *mm, struct maple_tree *detached)
{
	MA_STATE(mas, detached, 0, 0);
	struct vm_area_struct *vma;

	mas_for_each(&mas, vma, ULONG_MAX)
		if (pmon_vma_managed(vma))
			pmon_limit_account(mm, vma->vm_flags, -vma_pages(vma));
}
