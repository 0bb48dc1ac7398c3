// SPDX-License-Identifier: GPL-2.0
/*
 * The main stack.
 *
 * execve() builds it by hand instead of mapping it, so the mmap hook does not
 * see it. setup_arg_pages() is where the new program's stack has its final
 * place: behind it the anonymous VMA is replaced by a managed one of the same
 * range, and what execve() had put there (arguments, environment) is copied.
 * Everything later in execve() writes to the managed stack through ordinary
 * user accesses. The process is alone in its mm then and has not run yet.
 *
 * The managed VMA grows as the original one would: it keeps VM_GROWSDOWN, with
 * all that the core derives from it (gap to other mappings, accounting), and
 * only the step that extends it is ours. The core's own changes vm_pgoff of a
 * VMA in place, which is wrong for one that sits in a mapping's tree, and would
 * give it an anon_vma. docs/loader.md says why there is no loader in userland.
 */
#include <linux/binfmts.h>
#include <linux/capability.h>
#include <linux/highmem.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hook.h"
#include "internal.h"
#include "vma_tree.h"

/* The core's tunables, not exported. */
static const unsigned long *guard_gap;
static const unsigned long *min_addr;

/* ---- exec ------------------------------------------------------------------- */

/* Pages of @addr and on, referenced. Return: 0 or errno, then none is held. */
static int hold_pages(unsigned long addr, unsigned long nr, struct page **pages)
{
	unsigned long held = 0;
	int ret;

	while (held < nr) {
		ret = get_user_pages_fast(addr + (held << PAGE_SHIFT), nr - held,
					  0, pages + held);
		if (ret <= 0) {
			while (held)
				put_page(pages[--held]);
			return ret ?: -EFAULT;
		}
		held += ret;
	}
	return 0;
}

static int copy_pages(unsigned long addr, unsigned long nr, struct page **pages)
{
	unsigned long i, left;

	for (i = 0; i < nr; i++) {
		void *from = kmap_local_page(pages[i]);

		left = copy_to_user((void __user *)(addr + (i << PAGE_SHIFT)),
				    from, PAGE_SIZE);
		kunmap_local(from);
		if (left)
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

/* A mapping in place of the stack's, by the hook on mmap a managed one. */
static int map_stack(struct linux_binprm *bprm)
{
	struct vm_area_struct *vma = bprm->vma;
	unsigned long prot = PROT_READ | PROT_WRITE;
	unsigned long addr, start = vma->vm_start;

	if (vma->vm_flags & VM_EXEC)
		prot |= PROT_EXEC;
	addr = vm_mmap(NULL, start, vma->vm_end - start, prot,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_GROWSDOWN, 0);
	if (IS_ERR_VALUE(addr))
		return addr;
	/* The old one is gone. */
	mmap_read_lock(current->mm);
	bprm->vma = find_vma(current->mm, start);
	mmap_read_unlock(current->mm);
	return 0;
}

/*
 * pmon_stack_manage - manage the stack of the program that is being executed
 *
 * Context: execve(), past the point of no return; may wait for a line.
 * Return: 0; errno: the process is killed by execve().
 */
int pmon_stack_manage(struct linux_binprm *bprm)
{
	/* Below bprm->p nothing has been written. */
	unsigned long i, from = bprm->p & PAGE_MASK;
	unsigned long nr = (bprm->vma->vm_end - from) >> PAGE_SHIFT;
	struct page **pages;
	int ret;

	pages = kvmalloc_array(nr, sizeof(*pages), GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	ret = hold_pages(from, nr, pages);
	if (ret)
		goto out;
	ret = map_stack(bprm);
	if (!ret)
		ret = copy_pages(from, nr, pages);
	for (i = 0; i < nr; i++)
		put_page(pages[i]);
out:
	kvfree(pages);
	return ret;
}

/* ---- growth ------------------------------------------------------------------ */

/* The limits that expand_downwards() and acct_stack_growth() know. */
static int may_grow(struct vm_area_struct *vma, struct vm_area_struct *prev,
		    unsigned long address)
{
	unsigned long pages = (vma->vm_start - address) >> PAGE_SHIFT;
	struct mm_struct *mm = vma->vm_mm;

	if (address < READ_ONCE(*min_addr))
		return -EPERM;
	if (prev && !(prev->vm_flags & VM_GROWSDOWN) && vma_is_accessible(prev) &&
	    address - prev->vm_end < READ_ONCE(*guard_gap))
		return -ENOMEM;
	if (vma->vm_end - address > rlimit(RLIMIT_STACK))
		return -ENOMEM;
	if (mm->total_vm + pages > rlimit(RLIMIT_AS) >> PAGE_SHIFT)
		return -ENOMEM;
	if (vma->vm_flags & VM_LOCKED &&
	    mm->locked_vm + pages > rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT &&
	    !capable(CAP_IPC_LOCK))
		return -ENOMEM;
	return 0;
}

/*
 * Both trees that know the VMA: mmap_lock keeps look-ups by address away,
 * i_mmap_rwsem those by index (the evictor).
 */
static int extend(struct vm_area_struct *vma, unsigned long address)
{
	MA_STATE(mas, &vma->vm_mm->mm_mt, address, vma->vm_end - 1);
	struct address_space *mapping = vma->vm_file->f_mapping;
	struct mm_struct *mm = vma->vm_mm;
	unsigned long pages = (vma->vm_start - address) >> PAGE_SHIFT;
	int ret;

	sk_vma_start_write(vma);
	/* Nothing can fail behind this, so it comes first. */
	ret = mas_store_gfp(&mas, vma, GFP_KERNEL);
	if (ret)
		return ret;
	i_mmap_lock_write(mapping);
	vma_tree_remove(vma, &mapping->i_mmap);
	vma->vm_start = address;
	vma->vm_pgoff -= pages;
	vma_tree_insert(vma, &mapping->i_mmap);
	i_mmap_unlock_write(mapping);

	if (vma->vm_flags & VM_LOCKED)
		mm->locked_vm += pages;
	WRITE_ONCE(mm->total_vm, mm->total_vm + pages);
	mm->stack_vm += pages;
	return 0;
}

/*
 * pmon_stack_grow - replacement of expand_downwards() for a managed VMA
 *
 * Context: mmap_lock of the VMA's mm held for writing; the mm need not be
 * current's (a debugger writes below the stack).
 */
int pmon_stack_grow(struct vm_area_struct *vma, unsigned long address)
{
	MA_STATE(mas, &vma->vm_mm->mm_mt, vma->vm_start, vma->vm_start);
	int ret;

	if (!(vma->vm_flags & VM_GROWSDOWN))
		return -EFAULT;
	address &= PAGE_MASK;
	if (address >= vma->vm_start)
		return 0;
	ret = may_grow(vma, mas_prev(&mas, 0), address);
	return ret ?: extend(vma, address);
}

int pmon_stack_init(void)
{
	guard_gap = pmon_kernel_variable("stack_guard_gap");
	min_addr = pmon_kernel_variable("mmap_min_addr");
	return guard_gap && min_addr ? 0 : -EOPNOTSUPP;
}
