// SPDX-License-Identifier: GPL-2.0
/*
 * Private file mappings.
 *
 * One that is writable is managed from the start, its content filled in from the
 * file. A read-only one stays an ordinary mapping of the page cache until
 * mprotect() makes a part writable: that part then becomes managed, before
 * anything can be written to it.
 *
 * The file that fills a page is the one in the ordinary mapping's vm_file: file
 * systems may put another there than the one that was opened (overlayfs), and its
 * page cache holds the content.
 */
#include <linux/file.h>
#include <linux/magic.h>

#include "internal.h"

/* pmon_manageable - is it private memory of a kind that pmon handles? */
bool pmon_manageable(struct file *file, vm_flags_t flags)
{
	if (flags & (VM_SHARED | VM_MAYSHARE | VM_HUGETLB | VM_SPECIAL |
		     VM_WIPEONFORK | SK_VM_SHADOW_STACK | SK_VM_DROPPABLE))
		return false;
	if (!file)
		return true;
	/* stack.c extends memory, not files. */
	if (flags & VM_GROWSDOWN)
		return false;
	/* The rest is what pmon_backing_fill() can read. */
	return (flags & VM_WRITE) && S_ISREG(file_inode(file)->i_mode) &&
	       file_inode(file)->i_sb->s_magic != HUGETLBFS_MAGIC &&
	       file->f_op->read_iter && !file->f_op->read;
}

/*
 * pmon_protect_wanted - does mprotect() make [@start, @end) memory to manage?
 *
 * Not where a debugger has written into the mapping: those pages are ordinary
 * anonymous memory and would be lost.
 */
bool pmon_protect_wanted(struct vm_area_struct *vma, unsigned long start,
			 unsigned long end, vm_flags_t flags)
{
	return vma->vm_file && !pmon_vma_managed(vma) && !vma->anon_vma &&
	       !(vma->vm_flags & VM_WRITE) && end <= MMON_ADDR_MAX &&
	       pmon_manageable(vma->vm_file, flags);
}

/*
 * pmon_manage_file - managed memory in place of a private file mapping
 * @vma: contains [@start, @end); gone on return
 * @flags: of the new VMA
 *
 * Context: mmap_lock held for writing. Return: 0 or -errno of mmap_region().
 */
int pmon_manage_file(struct pmon_space *space, struct vm_area_struct *vma,
		     unsigned long start, unsigned long end, vm_flags_t flags)
{
	pgoff_t pgoff = vma->vm_pgoff + ((start - vma->vm_start) >> PAGE_SHIFT);
	struct file *file = get_file(vma->vm_file);
	unsigned long ret;

	/* What is charged to nobody any more must not be uncharged later. */
	flags &= ~(VM_ACCOUNT | VM_SOFTDIRTY);
	ret = pmon_map_managed(space, start, end - start, flags, NULL);
	if (!IS_ERR_VALUE(ret))
		pmon_backing_add(space, start >> PAGE_SHIFT,
				 (end >> PAGE_SHIFT) - 1, file, pgoff);
	fput(file);
	return IS_ERR_VALUE(ret) ? (int)ret : 0;
}
