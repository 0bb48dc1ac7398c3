// SPDX-License-Identifier: GPL-2.0
/*
 * What pmon changes in the memory functions of the kernel, for tagged
 * processes only.
 *
 * The table at the end says what is hooked on which kernel; hook.h, how a line is
 * added. Prototypes are verified at load; a kernel with other ones is refused.
 *
 * Who may be inside a replacement when pmon unloads: nobody who is tagged or
 * has a space, since both hold module references. What is left is a task that
 * passed wants() just before its tag went; inside_begin/end count those.
 */
#include <linux/delay.h>
#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/mm.h>

#include "hook.h"
#include "internal.h"
#include "trace.h"

/* Private to mm/ in 6.12. */
struct vma_munmap_struct;

static atomic_t inside = ATOMIC_INIT(0);

/* ---- whom the hooks are for -------------------------------------------------- */

static bool wants_mapping(unsigned long arg0, unsigned long arg1)
{
	return current->mm && (pmon_mm_managed(current->mm) ||
			       pmon_tagged(current));
}

static bool wants_current(unsigned long arg0, unsigned long arg1)
{
	return current->mm && pmon_mm_managed(current->mm);
}

static bool wants_mm(unsigned long mm, unsigned long arg1)
{
	return pmon_mm_managed((struct mm_struct *)mm);
}

static bool wants_vma(unsigned long vma, unsigned long arg1)
{
	return pmon_vma_managed((struct vm_area_struct *)vma);
}

static bool wants_source(unsigned long dst, unsigned long src)
{
	return pmon_vma_managed((struct vm_area_struct *)src);
}

static bool wants_vma_pointer(unsigned long vmap, unsigned long arg1)
{
	return pmon_vma_managed(*(struct vm_area_struct **)vmap);
}

/* ---- mmap, brk ---------------------------------------------------------------- */

static bool manageable(struct file *file, vm_flags_t flags)
{
	/* Stacks that grow change vm_pgoff in place: never a file mapping. */
	if (flags & (VM_SHARED | VM_MAYSHARE | VM_GROWSDOWN | VM_GROWSUP |
		     VM_HUGETLB | VM_SPECIAL | VM_WIPEONFORK |
		     SK_VM_SHADOW_STACK | SK_VM_DROPPABLE))
		return false;
	if (!file)
		return true;
	/* The rest is what pmon_backing_fill() can read by kernel_read(). */
	return (flags & VM_WRITE) && S_ISREG(file_inode(file)->i_mode) &&
	       file_inode(file)->i_sb->s_magic != HUGETLBFS_MAGIC &&
	       file->f_op->read_iter && !file->f_op->read;
}

/* The space of current->mm, created if the process is tagged. */
static struct pmon_space *current_space(void)
{
	struct pmon_space *space = pmon_space_of(current->mm);
	struct pmon_budget *budget;

	if (space)
		return space;
	budget = pmon_tag_budget(current);
	if (!budget)
		return NULL;
	space = pmon_space_create(current->mm, budget, NULL);
	pmon_budget_put(budget);
	return space;
}

PMON_REPLACES(unsigned long, mmap_region, struct file *file, unsigned long addr,
	      unsigned long len, vm_flags_t flags, unsigned long pgoff,
	      struct list_head *uf);

static unsigned long map_managed(struct pmon_space *space, unsigned long addr,
				 unsigned long len, vm_flags_t flags,
				 struct list_head *uf)
{
	return original_mmap_region(space->file, addr, len, flags | VM_SHARED,
				    addr >> PAGE_SHIFT, uf);
}

static unsigned long map_or_not(struct file *file, unsigned long addr,
				unsigned long len, vm_flags_t flags,
				unsigned long pgoff, struct list_head *uf)
{
	struct pmon_space *space;
	unsigned long ret;

	/* remap_file_pages(): for shared memory, which this is only in form. */
	if (file && pmon_file_is_ours(file))
		return -EINVAL;
	/* Beyond what the wire format can name: 5-level page tables. */
	if (!manageable(file, flags) || addr + len > MMON_ADDR_MAX)
		return original_mmap_region(file, addr, len, flags, pgoff, uf);
	space = current_space();
	if (!space)
		return original_mmap_region(file, addr, len, flags, pgoff, uf);
	if (IS_ERR(space))
		return -ENOMEM;
	ret = map_managed(space, addr, len, flags, uf);
	if (IS_ERR_VALUE(ret) || !file)
		return ret;
	/* mmap_lock is held: nothing faults before the backing is known. */
	pmon_backing_add(space, addr >> PAGE_SHIFT,
			 ((addr + len) >> PAGE_SHIFT) - 1, file, pgoff);
	return ret;
}

static unsigned long new_mmap_region(struct file *file, unsigned long addr,
				     unsigned long len, vm_flags_t flags,
				     unsigned long pgoff, struct list_head *uf)
{
	unsigned long ret;

	atomic_inc(&inside);
	ret = map_or_not(file, addr, len, flags, pgoff, uf);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(mmap_region, "mmap_region", wants_mapping, NULL,
	     "long unsigned int mmap_region(struct file *, long unsigned int, long unsigned int, vm_flags_t, long unsigned int, struct list_head *)");

/*
 * Nothing to do but map, or 1: not ours. Checks of do_brk_flags() that
 * mmap_region() does not make are for accounting of private memory, which this
 * is not.
 */
static int brk_managed(unsigned long addr, unsigned long len,
		       unsigned long flags)
{
	struct pmon_space *space = current_space();
	unsigned long ret;

	if (!space)
		return 1;
	if (IS_ERR(space))
		return -ENOMEM;
	flags |= VM_DATA_DEFAULT_FLAGS | current->mm->def_flags;
	ret = map_managed(space, addr, len, flags, NULL);
	return IS_ERR_VALUE(ret) ? (int)ret : 0;
}

PMON_REPLACES(int, do_brk_flags, struct vma_iterator *vmi,
	      struct vm_area_struct *vma, unsigned long addr, unsigned long len,
	      unsigned long flags)
{
	int ret;

	atomic_inc(&inside);
	ret = brk_managed(addr, len, flags);
	if (ret == 1)
		ret = original_do_brk_flags(vmi, vma, addr, len, flags);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(do_brk_flags, "do_brk_flags", wants_mapping, NULL,
	     "int do_brk_flags(struct vma_iterator *, struct vm_area_struct *, long unsigned int, long unsigned int, long unsigned int)");

PMON_REPLACES(int, do_brk_flags_mas, struct ma_state *mas,
	      struct vm_area_struct *vma, unsigned long addr, unsigned long len,
	      unsigned long flags)
{
	int ret;

	atomic_inc(&inside);
	ret = brk_managed(addr, len, flags);
	if (ret == 1)
		ret = original_do_brk_flags_mas(mas, vma, addr, len, flags);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(do_brk_flags_mas, "do_brk_flags", wants_mapping, NULL,
	     "int do_brk_flags(struct ma_state *, struct vm_area_struct *, long unsigned int, long unsigned int, long unsigned int)");

/* ---- fork ----------------------------------------------------------------------- */

PMON_REPLACES(int, copy_page_range, struct vm_area_struct *dst,
	      struct vm_area_struct *src)
{
	int ret;

	atomic_inc(&inside);
	ret = pmon_fork_range(dst, src);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(copy_page_range, "copy_page_range", wants_source, NULL,
	     "int copy_page_range(struct vm_area_struct *, struct vm_area_struct *)");

/* ---- mremap ---------------------------------------------------------------------- */

/* Only here is the old length known; copy_vma() runs inside, mmap_lock held. */
PMON_REPLACES(unsigned long, move_vma, struct vm_area_struct *vma,
	      unsigned long old_addr, unsigned long old_len,
	      unsigned long new_len, unsigned long new_addr, bool *locked,
	      unsigned long flags, struct vm_userfaultfd_ctx *uf,
	      struct list_head *uf_unmap)
{
	struct pmon_space *space = pmon_vma_space(vma);
	unsigned long ret;

	/* Length 0 duplicates a shared mapping; this one is private. */
	if (!old_len)
		return -EINVAL;
	atomic_inc(&inside);
	space->move_from = old_addr;
	space->move_len = old_len;
	ret = original_move_vma(vma, old_addr, old_len, new_len, new_addr,
				locked, flags, uf, uf_unmap);
	space->move_len = 0;
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(move_vma, "move_vma", wants_vma, NULL,
	     "long unsigned int move_vma(struct vm_area_struct *, long unsigned int, long unsigned int, long unsigned int, long unsigned int, bool *, long unsigned int, struct vm_userfaultfd_ctx *, struct list_head *)");

/*
 * No page table entries for move_page_tables() to move. The content follows in
 * pmon_mremap(), when nothing can fail any more.
 */
static void copied_vma(struct pmon_space *space, struct vm_area_struct *vma,
		       unsigned long addr, unsigned long len)
{
	if (!vma || !space->move_len)
		return;
	unmap_mapping_pages(space->file->f_mapping,
			    space->move_from >> PAGE_SHIFT,
			    space->move_len >> PAGE_SHIFT, false);
	space->move_to = addr;
	space->move_len = min(space->move_len, len);
}

/* pgoff == address >> 12, always: that is how lines are found. */
PMON_REPLACES(struct vm_area_struct *, copy_vma, struct vm_area_struct **vmap,
	      unsigned long addr, unsigned long len, pgoff_t pgoff,
	      bool *need_rmap_locks, bool keep_source)
{
	struct pmon_space *space = pmon_vma_space(*vmap);
	struct vm_area_struct *vma;

	atomic_inc(&inside);
	vma = original_copy_vma(vmap, addr, len, addr >> PAGE_SHIFT,
				need_rmap_locks, keep_source);
	copied_vma(space, vma, addr, len);
	atomic_dec(&inside);
	return vma;
}

PMON_VARIANT(copy_vma, "copy_vma", wants_vma_pointer, NULL,
	     "struct vm_area_struct * copy_vma(struct vm_area_struct **, long unsigned int, long unsigned int, long unsigned int, bool *, bool)");

PMON_REPLACES(struct vm_area_struct *, copy_vma_5, struct vm_area_struct **vmap,
	      unsigned long addr, unsigned long len, pgoff_t pgoff,
	      bool *need_rmap_locks)
{
	struct pmon_space *space = pmon_vma_space(*vmap);
	struct vm_area_struct *vma;

	atomic_inc(&inside);
	vma = original_copy_vma_5(vmap, addr, len, addr >> PAGE_SHIFT,
				  need_rmap_locks);
	copied_vma(space, vma, addr, len);
	atomic_dec(&inside);
	return vma;
}

PMON_VARIANT(copy_vma_5, "copy_vma", wants_vma_pointer, NULL,
	     "struct vm_area_struct * copy_vma(struct vm_area_struct **, long unsigned int, long unsigned int, long unsigned int, bool *)");

/* ---- madvise ----------------------------------------------------------------------- */

/*
 * With mmap_lock held for writing, since a fault, a fork or an mremap between
 * the entries' going and the home's being told would see one without the other:
 * a child with an entry whose page is gone, a new page discarded for the old.
 */
static void madvise_drop(struct mm_struct *mm, struct pmon_space *space,
			 pgoff_t first, pgoff_t last)
{
	unsigned long index = first;

	if (!xa_find(&space->lines, &index, last, XA_PRESENT))
		return;
	mmap_write_lock(mm);
	if (pmon_discard_range(space, first, last))
		pmon_changes_discard(&space->changes, first, last);
	mmap_write_unlock(mm);
}

PMON_REPLACES(int, do_madvise, struct mm_struct *mm, unsigned long start,
	      size_t len_in, int behavior)
{
	struct pmon_space *space = pmon_space_of(mm);
	unsigned long len = PAGE_ALIGN(len_in);
	bool drop = behavior == MADV_DONTNEED || behavior == MADV_FREE ||
		    behavior == MADV_DONTNEED_LOCKED;
	int ret;

	atomic_inc(&inside);
	/* Lazy freeing is for anonymous VMAs; dropping at once is allowed. */
	if (behavior == MADV_FREE)
		behavior = MADV_DONTNEED;
	ret = original_do_madvise(mm, start, len_in, behavior);
	if (drop && len && ret != -EINVAL && space)
		madvise_drop(mm, space, start >> PAGE_SHIFT,
			     ((start + len) >> PAGE_SHIFT) - 1);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(do_madvise, "do_madvise", wants_mm, NULL,
	     "int do_madvise(struct mm_struct *, long unsigned int, size_t, int)");

/* ---- munmap, exit ------------------------------------------------------------------- */

static void forget_range(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	pmon_discard_range(space, first, last);
	pmon_backing_remove(space, first, last);
	pmon_changes_unmap(&space->changes, first, last);
}

/*
 * 6.1, munmap and MAP_FIXED. After the original: no PTE, no TLB entry and no
 * gathered page is left. The caller still holds mmap_lock.
 */
PMON_REPLACES(void, unmap_region, struct mm_struct *mm, struct maple_tree *mt,
	      struct vm_area_struct *vma, struct vm_area_struct *prev,
	      struct vm_area_struct *next, unsigned long start,
	      unsigned long end)
{
	struct pmon_space *space = pmon_space_of(mm);

	atomic_inc(&inside);
	original_unmap_region(mm, mt, vma, prev, next, start, end);
	if (space)
		forget_range(space, start >> PAGE_SHIFT,
			     (end >> PAGE_SHIFT) - 1);
	atomic_dec(&inside);
}

PMON_VARIANT(unmap_region, "unmap_region", wants_mm, NULL,
	     "void unmap_region(struct mm_struct *, struct maple_tree *, struct vm_area_struct *, struct vm_area_struct *, struct vm_area_struct *, long unsigned int, long unsigned int)");

/* struct vma_munmap_struct is private to mm/: where its start and end are. */
static u32 munmap_start, munmap_end;

static const struct pmon_member munmap_members[] = {
	{ "vma_munmap_struct", "start", "long unsigned int", &munmap_start },
	{ "vma_munmap_struct", "end", "long unsigned int", &munmap_end },
	{ }
};

/*
 * 6.12, the point of no return of munmap and of a mapping that takes the place
 * of others. The original may drop mmap_lock, and then the range can be mapped
 * and touched anew: so all is done before it, with mmap_lock held for writing.
 * The old VMAs are out of the tree, or marked detached and write-locked, and
 * what is mapped instead is write-locked: nothing can fault in the range. They
 * are in the file's tree of VMAs still, so their entries can be unmapped.
 */
PMON_REPLACES(void, vms_complete_munmap_vmas, struct vma_munmap_struct *vms,
	      struct ma_state *mas_detach)
{
	struct pmon_space *space = pmon_space_of(current->mm);
	unsigned long start = *(unsigned long *)((void *)vms + munmap_start);
	unsigned long end = *(unsigned long *)((void *)vms + munmap_end);
	pgoff_t first = start >> PAGE_SHIFT;

	atomic_inc(&inside);
	/* Both are 0 where a new mapping replaces nothing. */
	if (space && start < end) {
		unmap_mapping_pages(space->file->f_mapping, first,
				    (end - start) >> PAGE_SHIFT, false);
		forget_range(space, first, (end >> PAGE_SHIFT) - 1);
	}
	original_vms_complete_munmap_vmas(vms, mas_detach);
	atomic_dec(&inside);
}

PMON_VARIANT(vms_complete_munmap_vmas, "vms_complete_munmap_vmas", wants_current, munmap_members,
	     "void vms_complete_munmap_vmas(struct vma_munmap_struct *, struct ma_state *)");

PMON_REPLACES(void, exit_mmap, struct mm_struct *mm)
{
	struct pmon_space *space = pmon_space_of(mm);

	atomic_inc(&inside);
	original_exit_mmap(mm);
	if (space)
		pmon_space_end(space);
	atomic_dec(&inside);
}

PMON_VARIANT(exit_mmap, "exit_mmap", wants_mm, NULL,
	     "void exit_mmap(struct mm_struct *)");

/* ---- the table ------------------------------------------------------------------------- */

static struct pmon_hook hooks[] = {
	PMON_HOOK("mmap", &variant_mmap_region),
	PMON_HOOK("brk", &variant_do_brk_flags, &variant_do_brk_flags_mas),
	PMON_HOOK("fork", &variant_copy_page_range),
	PMON_HOOK("mremap, what moves", &variant_move_vma),
	PMON_HOOK("mremap, the new VMA", &variant_copy_vma, &variant_copy_vma_5),
	PMON_HOOK("madvise", &variant_do_madvise),
	PMON_HOOK("munmap", &variant_vms_complete_munmap_vmas,
		  &variant_unmap_region),
	PMON_HOOK("exit", &variant_exit_mmap),
};

int pmon_intercept_init(void)
{
	return pmon_hooks_install(hooks, ARRAY_SIZE(hooks));
}

void pmon_intercept_exit(void)
{
	pmon_hooks_remove(hooks, ARRAY_SIZE(hooks));
	while (atomic_read(&inside))
		msleep(20);
	/* The last ones are between atomic_dec() and their return. */
	synchronize_rcu_tasks();
}
