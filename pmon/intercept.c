// SPDX-License-Identifier: GPL-2.0
/*
 * What pmon changes in the memory functions of the kernel, for tagged
 * processes only.
 *
 * The table of hooked functions belongs to one kernel series. Signatures are
 * verified at load (hook.c); a kernel with other ones is refused.
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

static atomic_t inside = ATOMIC_INIT(0);

enum {
	HOOK_MMAP_REGION,
	HOOK_DO_BRK_FLAGS,
	HOOK_COPY_PAGE_RANGE,
	HOOK_COPY_VMA,
	HOOK_MOVE_VMA,
	HOOK_DO_MADVISE,
	HOOK_UNMAP_REGION,
	HOOK_EXIT_MMAP,
	NR_HOOKS
};

static struct pmon_hook hooks[NR_HOOKS];

#define ORIGINAL(hook, fn)	((typeof(fn) *)hooks[hook].original)

/* ---- whom the hooks are for -------------------------------------------------- */

static bool wants_mapping(unsigned long arg0, unsigned long arg1)
{
	return current->mm && (pmon_mm_managed(current->mm) ||
			       pmon_tagged(current));
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
		     VM_HUGETLB | VM_SPECIAL))
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

static unsigned long map_original(struct file *file, unsigned long addr,
				  unsigned long len, vm_flags_t flags,
				  unsigned long pgoff, struct list_head *uf)
{
	return ORIGINAL(HOOK_MMAP_REGION, mmap_region)(file, addr, len, flags,
						       pgoff, uf);
}

static unsigned long map_managed(struct pmon_space *space, unsigned long addr,
				 unsigned long len, vm_flags_t flags,
				 struct list_head *uf)
{
	return map_original(space->file, addr, len, flags | VM_SHARED,
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
		return map_original(file, addr, len, flags, pgoff, uf);
	space = current_space();
	if (!space)
		return map_original(file, addr, len, flags, pgoff, uf);
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

/* Checks of do_brk_flags() that mmap_region() does not make are for accounting
 * of private memory, which this is not.
 */
static int new_do_brk_flags(struct ma_state *mas, struct vm_area_struct *vma,
			    unsigned long addr, unsigned long len,
			    unsigned long flags)
{
	struct pmon_space *space;
	unsigned long ret;

	atomic_inc(&inside);
	space = current_space();
	if (!space) {
		ret = ORIGINAL(HOOK_DO_BRK_FLAGS, new_do_brk_flags)(mas, vma, addr,
								    len, flags);
	} else if (IS_ERR(space)) {
		ret = -ENOMEM;
	} else {
		flags |= VM_DATA_DEFAULT_FLAGS | current->mm->def_flags;
		ret = map_managed(space, addr, len, flags, NULL);
		if (!IS_ERR_VALUE(ret))
			ret = 0;
	}
	atomic_dec(&inside);
	return ret;
}

/* ---- fork ----------------------------------------------------------------------- */

static int new_copy_page_range(struct vm_area_struct *dst,
			       struct vm_area_struct *src)
{
	int ret;

	atomic_inc(&inside);
	ret = pmon_fork_range(dst, src);
	atomic_dec(&inside);
	return ret;
}

/* ---- mremap ---------------------------------------------------------------------- */

/* Only here is the old length known; copy_vma() runs inside, mmap_lock held. */
static unsigned long new_move_vma(struct vm_area_struct *vma,
				  unsigned long old_addr, unsigned long old_len,
				  unsigned long new_len, unsigned long new_addr,
				  bool *locked, unsigned long flags,
				  struct vm_userfaultfd_ctx *uf,
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
	ret = ORIGINAL(HOOK_MOVE_VMA, new_move_vma)(vma, old_addr, old_len,
						    new_len, new_addr, locked,
						    flags, uf, uf_unmap);
	space->move_len = 0;
	atomic_dec(&inside);
	return ret;
}

static struct vm_area_struct *new_copy_vma(struct vm_area_struct **vmap,
					   unsigned long addr, unsigned long len,
					   pgoff_t pgoff, bool *need_rmap_locks,
					   bool keep_source)
{
	struct pmon_space *space = pmon_vma_space(*vmap);
	struct vm_area_struct *vma;

	atomic_inc(&inside);
	/* pgoff == address >> 12, always: that is how lines are found. */
	vma = ORIGINAL(HOOK_COPY_VMA, new_copy_vma)(vmap, addr, len,
						    addr >> PAGE_SHIFT,
						    need_rmap_locks, keep_source);
	/*
	 * No page table entries for move_page_tables() to move. The content
	 * follows in pmon_mremap(), when nothing can fail any more.
	 */
	if (vma && space->move_len) {
		unmap_mapping_pages(space->file->f_mapping,
				    space->move_from >> PAGE_SHIFT,
				    space->move_len >> PAGE_SHIFT, false);
		space->move_to = addr;
		space->move_len = min(space->move_len, len);
	}
	atomic_dec(&inside);
	return vma;
}

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

static int new_do_madvise(struct mm_struct *mm, unsigned long start,
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
	ret = ORIGINAL(HOOK_DO_MADVISE, new_do_madvise)(mm, start, len_in,
							behavior);
	if (drop && len && ret != -EINVAL && space)
		madvise_drop(mm, space, start >> PAGE_SHIFT,
			     ((start + len) >> PAGE_SHIFT) - 1);
	atomic_dec(&inside);
	return ret;
}

/* ---- munmap, exit ------------------------------------------------------------------- */

/* After the original: no PTE, no TLB entry and no gathered page is left. */
static void new_unmap_region(struct mm_struct *mm, struct maple_tree *mt,
			     struct vm_area_struct *vma,
			     struct vm_area_struct *prev,
			     struct vm_area_struct *next,
			     unsigned long start, unsigned long end)
{
	struct pmon_space *space = pmon_space_of(mm);
	pgoff_t first = start >> PAGE_SHIFT;
	pgoff_t last = (end >> PAGE_SHIFT) - 1;

	atomic_inc(&inside);
	ORIGINAL(HOOK_UNMAP_REGION, new_unmap_region)(mm, mt, vma, prev, next,
						      start, end);
	if (space) {
		pmon_discard_range(space, first, last);
		pmon_backing_remove(space, first, last);
		pmon_changes_unmap(&space->changes, first, last);
	}
	atomic_dec(&inside);
}

static void new_exit_mmap(struct mm_struct *mm)
{
	struct pmon_space *space = pmon_space_of(mm);

	atomic_inc(&inside);
	ORIGINAL(HOOK_EXIT_MMAP, new_exit_mmap)(mm);
	if (space)
		pmon_space_end(space);
	atomic_dec(&inside);
}

/* ---- the table: Linux 6.1 ------------------------------------------------------------ */

#define HOOK(index, fn, proto, decide)	\
	[index] = { .name = #fn, .prototype = proto,	\
		    .replacement = new_##fn, .wants = decide }

static struct pmon_hook hooks[NR_HOOKS] = {
	HOOK(HOOK_MMAP_REGION, mmap_region,
	     "long unsigned int mmap_region(struct file *, long unsigned int, long unsigned int, vm_flags_t, long unsigned int, struct list_head *)",
	     wants_mapping),
	HOOK(HOOK_DO_BRK_FLAGS, do_brk_flags,
	     "int do_brk_flags(struct ma_state *, struct vm_area_struct *, long unsigned int, long unsigned int, long unsigned int)",
	     wants_mapping),
	HOOK(HOOK_COPY_PAGE_RANGE, copy_page_range,
	     "int copy_page_range(struct vm_area_struct *, struct vm_area_struct *)",
	     wants_source),
	HOOK(HOOK_COPY_VMA, copy_vma,
	     "struct vm_area_struct * copy_vma(struct vm_area_struct **, long unsigned int, long unsigned int, long unsigned int, bool *, bool)",
	     wants_vma_pointer),
	HOOK(HOOK_MOVE_VMA, move_vma,
	     "long unsigned int move_vma(struct vm_area_struct *, long unsigned int, long unsigned int, long unsigned int, long unsigned int, bool *, long unsigned int, struct vm_userfaultfd_ctx *, struct list_head *)",
	     wants_vma),
	HOOK(HOOK_DO_MADVISE, do_madvise,
	     "int do_madvise(struct mm_struct *, long unsigned int, size_t, int)",
	     wants_mm),
	HOOK(HOOK_UNMAP_REGION, unmap_region,
	     "void unmap_region(struct mm_struct *, struct maple_tree *, struct vm_area_struct *, struct vm_area_struct *, struct vm_area_struct *, long unsigned int, long unsigned int)",
	     wants_mm),
	HOOK(HOOK_EXIT_MMAP, exit_mmap,
	     "void exit_mmap(struct mm_struct *)",
	     wants_mm),
};

int pmon_intercept_init(void)
{
	return pmon_hooks_install(hooks, NR_HOOKS);
}

void pmon_intercept_exit(void)
{
	pmon_hooks_remove(hooks, NR_HOOKS);
	while (atomic_read(&inside))
		msleep(20);
	/* The last ones are between atomic_dec() and their return. */
	synchronize_rcu_tasks();
}
