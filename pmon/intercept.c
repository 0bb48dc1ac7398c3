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
 * passed wants() just before its tag went; "inside" counts those.
 */
#include <linux/binfmts.h>
#include <linux/delay.h>
#include <linux/major.h>
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

static bool wants_second_vma(unsigned long vmi, unsigned long vma)
{
	return wants_vma(vma, 0);
}

static bool wants_tagged(unsigned long arg0, unsigned long arg1)
{
	return pmon_tagged(current);
}

static bool wants_pool_page(unsigned long pfn, unsigned long arg1)
{
	return pmon_poison_ours(pfn);
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
	space = pmon_space_create(current->mm, budget);
	pmon_budget_put(budget);
	return space;
}

PMON_REPLACES(unsigned long, mmap_region, struct file *file, unsigned long addr,
	      unsigned long len, vm_flags_t flags, unsigned long pgoff,
	      struct list_head *uf);

/*
 * pmon_map_managed - mmap_region() of memory that belongs to @space
 *
 * Context: mmap_lock held for writing. Return: address, -errno; -EAGAIN: it is
 * to be locked and there is no room for that.
 */
unsigned long pmon_map_managed(struct pmon_space *space, unsigned long addr,
			       unsigned long len, vm_flags_t flags,
			       struct list_head *uf)
{
	pgoff_t first = addr >> PAGE_SHIFT;
	pgoff_t last = ((addr + len) >> PAGE_SHIFT) - 1;
	unsigned long ret;

	if ((flags & VM_LOCKED) && !pmon_lock_room(space, len >> PAGE_SHIFT))
		return -EAGAIN;
	if (!pmon_limit_map(space->mm, flags, addr, addr + len))
		return -ENOMEM;
	ret = original_mmap_region(space->file, addr, len, flags | VM_SHARED,
				   first, uf);
	if (IS_ERR_VALUE(ret))
		return ret;
	pmon_limit_account(space->mm, flags, len >> PAGE_SHIFT);
	/* What a failed mremap left; see pmon_remap_extend(). */
	pmon_backing_remove(space, first, last);
	pmon_wipe_clear(space, first, last);
	return ret;
}

static bool is_dev_zero(struct file *file)
{
	struct inode *inode = file_inode(file);

	return S_ISCHR(inode->i_mode) && inode->i_rdev == MKDEV(MEM_MAJOR, 5);
}

/* The file system maps it first: only so we learn what file is behind it. */
static unsigned long map_file(struct pmon_space *space, struct file *file,
			      unsigned long addr, unsigned long len,
			      vm_flags_t flags, unsigned long pgoff,
			      struct list_head *uf)
{
	struct vm_area_struct *vma;
	unsigned long ret;
	int err;

	/* Before it is mapped: pmon_map_managed() would refuse it when it is. */
	if ((flags & VM_LOCKED) && !pmon_lock_room(space, len >> PAGE_SHIFT))
		return -EAGAIN;
	ret = original_mmap_region(file, addr, len, flags, pgoff, uf);
	if (IS_ERR_VALUE(ret))
		return ret;
	vma = find_vma(current->mm, ret);
	if (!pmon_manageable(vma->vm_file, vma->vm_flags))
		return ret;
	err = pmon_manage_file(space, vma, ret, ret + len, flags);
	return err ?: ret;
}

static unsigned long map_or_not(struct file *file, unsigned long addr,
				unsigned long len, vm_flags_t flags,
				unsigned long pgoff, struct list_head *uf)
{
	struct pmon_space *space;

	/* remap_file_pages(): for shared memory, which this is only in form. */
	if (file && pmon_file_is_ours(file))
		return -EINVAL;
	if (file && is_dev_zero(file) && !(flags & VM_MAYSHARE))
		file = NULL;
	/* Beyond what the wire format can name: 5-level page tables. */
	if (!pmon_manageable(file, flags) || addr + len > MMON_ADDR_MAX)
		return original_mmap_region(file, addr, len, flags, pgoff, uf);
	space = current_space();
	if (!space)
		return original_mmap_region(file, addr, len, flags, pgoff, uf);
	if (IS_ERR(space))
		return -ENOMEM;
	if (file)
		return map_file(space, file, addr, len, flags, pgoff, uf);
	return pmon_map_managed(space, addr, len, flags, uf);
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
	ret = pmon_map_managed(space, addr, len, flags, NULL);
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
	struct mm_struct *mm = vma->vm_mm;
	vm_flags_t vm_flags = vma->vm_flags;
	unsigned long ret;

	/* Length 0 duplicates a shared mapping; this one is private. */
	if (!old_len)
		return -EINVAL;
	atomic_inc(&inside);
	space->move_from = old_addr;
	space->move_len = old_len;
	space->move_grow = new_len > old_len ? new_len - old_len : 0;
	ret = original_move_vma(vma, old_addr, old_len, new_len, new_addr,
				locked, flags, uf, uf_unmap);
	space->move_len = 0;
	if (!IS_ERR_VALUE(ret))
		pmon_limit_account(mm, vm_flags, new_len >> PAGE_SHIFT);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(move_vma, "move_vma", wants_vma, NULL,
	     "long unsigned int move_vma(struct vm_area_struct *, long unsigned int, long unsigned int, long unsigned int, long unsigned int, bool *, long unsigned int, struct vm_userfaultfd_ctx *, struct list_head *)");
/* Growth is allowed; whether in place or by a move is not known yet. */
PMON_REPLACES(struct vm_area_struct *, vma_to_resize, unsigned long addr,
	      unsigned long old_len, unsigned long new_len, unsigned long flags)
{
	struct vm_area_struct *vma;

	atomic_inc(&inside);
	vma = original_vma_to_resize(addr, old_len, new_len, flags);
	if (!IS_ERR(vma) && pmon_vma_managed(vma) && old_len &&
	    new_len > old_len)
		vma = pmon_remap_grow(vma, addr + old_len, addr + new_len,
				      flags & (MREMAP_FIXED | MREMAP_DONTUNMAP));
	atomic_dec(&inside);
	return vma;
}

PMON_VARIANT(vma_to_resize, "vma_to_resize", wants_current, NULL,
	     "struct vm_area_struct * vma_to_resize(long unsigned int, long unsigned int, long unsigned int, long unsigned int)");

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

PMON_REPLACES(int, do_madvise, struct mm_struct *mm, unsigned long start,
	      size_t len_in, int behavior);

/* To be called through a pointer, which original_*() cannot be. */
static int do_madvise_itself(struct mm_struct *mm, unsigned long start,
			     size_t len_in, int behavior)
{
	return original_do_madvise(mm, start, len_in, behavior);
}

static int new_do_madvise(struct mm_struct *mm, unsigned long start,
			  size_t len_in, int behavior)
{
	int ret;

	atomic_inc(&inside);
	ret = pmon_advise(mm, start, len_in, behavior, do_madvise_itself);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(do_madvise, "do_madvise", wants_mm, NULL,
	     "int do_madvise(struct mm_struct *, long unsigned int, size_t, int)");

/* ---- mprotect, mlock, limits --------------------------------------------------------- */

/* mprotect() of what is managed: does it become data, or cease to be? */
static bool protect_allowed(struct vm_area_struct *vma, unsigned long nr,
			    vm_flags_t flags)
{
	return !pmon_vma_managed(vma) || (vma->vm_flags & VM_WRITE) ||
	       pmon_limit_grow(vma->vm_mm, flags, nr);
}

static void protect_account(struct mm_struct *mm, vm_flags_t old,
			    vm_flags_t new, unsigned long nr)
{
	pmon_limit_account(mm, old, -nr);
	pmon_limit_account(mm, new, nr);
}

/* 0: done; 1: not ours. */
static int protect_managed(struct vm_area_struct *vma,
			   struct vm_area_struct **pprev, unsigned long start,
			   unsigned long end, vm_flags_t flags)
{
	struct pmon_space *space;
	int ret;

	if (!pmon_protect_wanted(vma, start, end, flags))
		return 1;
	space = current_space();
	if (!space)
		return 1;
	if (IS_ERR(space))
		return -ENOMEM;
	ret = pmon_manage_file(space, vma, start, end, flags);
	if (!ret)
		*pprev = find_vma(current->mm, start);
	return ret;
}

PMON_REPLACES(int, mprotect_fixup, struct vma_iterator *vmi,
	      struct mmu_gather *tlb, struct vm_area_struct *vma,
	      struct vm_area_struct **pprev, unsigned long start,
	      unsigned long end, unsigned long flags)
{
	bool managed = pmon_vma_managed(vma);
	unsigned long nr = (end - start) >> PAGE_SHIFT;
	struct mm_struct *mm = vma->vm_mm;
	vm_flags_t old = vma->vm_flags;
	int ret;

	if (!protect_allowed(vma, nr, flags))
		return -ENOMEM;
	atomic_inc(&inside);
	ret = protect_managed(vma, pprev, start, end, flags);
	if (ret == 1) {
		ret = original_mprotect_fixup(vmi, tlb, vma, pprev, start, end,
					      flags);
		if (managed && !ret)
			protect_account(mm, old, flags, nr);
	} else if (!ret) {
		/* The caller goes on behind the new VMA. */
		mas_set(&vmi->mas, start);
		mas_walk(&vmi->mas);
	}
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(mprotect_fixup, "mprotect_fixup", wants_mapping, NULL,
	     "int mprotect_fixup(struct vma_iterator *, struct mmu_gather *, struct vm_area_struct *, struct vm_area_struct **, long unsigned int, long unsigned int, long unsigned int)");

PMON_REPLACES(int, mprotect_fixup_6, struct mmu_gather *tlb,
	      struct vm_area_struct *vma, struct vm_area_struct **pprev,
	      unsigned long start, unsigned long end, unsigned long flags)
{
	bool managed = pmon_vma_managed(vma);
	unsigned long nr = (end - start) >> PAGE_SHIFT;
	struct mm_struct *mm = vma->vm_mm;
	vm_flags_t old = vma->vm_flags;
	int ret;

	if (!protect_allowed(vma, nr, flags))
		return -ENOMEM;
	atomic_inc(&inside);
	ret = protect_managed(vma, pprev, start, end, flags);
	if (ret == 1) {
		ret = original_mprotect_fixup_6(tlb, vma, pprev, start, end,
						flags);
		if (managed && !ret)
			protect_account(mm, old, flags, nr);
	}
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(mprotect_fixup_6, "mprotect_fixup", wants_mapping, NULL,
	     "int mprotect_fixup(struct mmu_gather *, struct vm_area_struct *, struct vm_area_struct **, long unsigned int, long unsigned int, long unsigned int)");

static bool lock_refused(struct vm_area_struct *vma, unsigned long start,
			 unsigned long end, vm_flags_t flags)
{
	return (flags & VM_LOCKED) && !(vma->vm_flags & VM_LOCKED) &&
	       !pmon_lock_room(pmon_vma_space(vma), (end - start) >> PAGE_SHIFT);
}

PMON_REPLACES(int, mlock_fixup, struct vma_iterator *vmi,
	      struct vm_area_struct *vma, struct vm_area_struct **prev,
	      unsigned long start, unsigned long end, vm_flags_t flags)
{
	struct pmon_space *space = pmon_vma_space(vma);
	int ret = -ENOMEM;

	atomic_inc(&inside);
	if (lock_refused(vma, start, end, flags))
		*prev = vma;
	else
		ret = original_mlock_fixup(vmi, vma, prev, start, end, flags);
	if (!ret)
		pmon_lock_range(space, start >> PAGE_SHIFT,
				(end >> PAGE_SHIFT) - 1, flags & VM_LOCKED);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(mlock_fixup, "mlock_fixup", wants_second_vma, NULL,
	     "int mlock_fixup(struct vma_iterator *, struct vm_area_struct *, struct vm_area_struct **, long unsigned int, long unsigned int, vm_flags_t)");

PMON_REPLACES(int, mlock_fixup_5, struct vm_area_struct *vma,
	      struct vm_area_struct **prev, unsigned long start,
	      unsigned long end, vm_flags_t flags)
{
	struct pmon_space *space = pmon_vma_space(vma);
	int ret = -ENOMEM;

	atomic_inc(&inside);
	if (lock_refused(vma, start, end, flags))
		*prev = vma;
	else
		ret = original_mlock_fixup_5(vma, prev, start, end, flags);
	if (!ret)
		pmon_lock_range(space, start >> PAGE_SHIFT,
				(end >> PAGE_SHIFT) - 1, flags & VM_LOCKED);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(mlock_fixup_5, "mlock_fixup", wants_vma, NULL,
	     "int mlock_fixup(struct vm_area_struct *, struct vm_area_struct **, long unsigned int, long unsigned int, vm_flags_t)");

/* mlockall() ignores what mlock_fixup() says of single mappings. */
PMON_REPLACES(int, apply_mlockall_flags, int flags)
{
	struct pmon_space *space = pmon_space_of(current->mm);
	int ret = -ENOMEM;

	atomic_inc(&inside);
	if (!(flags & MCL_CURRENT) ||
	    pmon_lock_room(space, pmon_lock_pages(current->mm)))
		ret = original_apply_mlockall_flags(flags);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(apply_mlockall_flags, "apply_mlockall_flags", wants_current, NULL,
	     "int apply_mlockall_flags(int)");

/* ---- exec, memory that fails ----------------------------------------------------------- */

/* Behind it the new mm is in place and the new privileges are known. */
PMON_REPLACES(int, begin_new_exec, struct linux_binprm *bprm)
{
	int ret;

	atomic_inc(&inside);
	ret = original_begin_new_exec(bprm);
	if (!ret && bprm->secureexec) {
		pr_info_ratelimited("%s[%d]: gains privileges by exec, no longer managed\n",
				    current->comm, task_tgid_nr(current));
		pmon_tag_drop_current();
	}
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(begin_new_exec, "begin_new_exec", wants_tagged, NULL,
	     "int begin_new_exec(struct linux_binprm *)");

PMON_REPLACES(int, memory_failure, unsigned long pfn, int flags)
{
	int ret;

	atomic_inc(&inside);
	ret = pmon_poison_page(pfn, flags);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(memory_failure, "memory_failure", wants_pool_page, NULL,
	     "int memory_failure(long unsigned int, int)");

/* ---- munmap, exit ------------------------------------------------------------------- */

static void forget_range(struct pmon_space *space, pgoff_t first, pgoff_t last)
{
	pmon_discard_range(space, first, last);
	pmon_backing_remove(space, first, last);
	pmon_wipe_clear(space, first, last);
	pmon_regions_unmap(space, first, last);
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
	if (space) {
		/* A mapping that failed half-way was not counted yet. */
		if (mt != &mm->mm_mt)
			pmon_limit_unmapped(mm, mt);
		forget_range(space, start >> PAGE_SHIFT,
			     (end >> PAGE_SHIFT) - 1);
	}
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
		pmon_limit_unmapped(current->mm, mas_detach->tree);
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

/* ---- the stack -------------------------------------------------------------------------- */

PMON_REPLACES(int, setup_arg_pages, struct linux_binprm *bprm,
	      unsigned long stack_top, int executable_stack)
{
	int ret;

	atomic_inc(&inside);
	ret = original_setup_arg_pages(bprm, stack_top, executable_stack);
	if (!ret)
		ret = pmon_stack_manage(bprm);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(setup_arg_pages, "setup_arg_pages", wants_tagged, NULL,
	     "int setup_arg_pages(struct linux_binprm *, long unsigned int, int)");

PMON_REPLACES(int, expand_downwards, struct vm_area_struct *vma,
	      unsigned long address)
{
	int ret;

	atomic_inc(&inside);
	ret = pmon_stack_grow(vma, address);
	atomic_dec(&inside);
	return ret;
}

PMON_VARIANT(expand_downwards, "expand_downwards", wants_vma, NULL,
	     "int expand_downwards(struct vm_area_struct *, long unsigned int)");

/* ---- the table ------------------------------------------------------------------------- */

static struct pmon_hook hooks[] = {
	PMON_HOOK("mmap", &variant_mmap_region),
	PMON_HOOK("brk", &variant_do_brk_flags, &variant_do_brk_flags_mas),
	PMON_HOOK("fork", &variant_copy_page_range),
	PMON_HOOK("mremap, what moves", &variant_move_vma),
	PMON_HOOK("mremap, the new VMA", &variant_copy_vma, &variant_copy_vma_5),
	PMON_HOOK("mremap, growth", &variant_vma_to_resize),
	PMON_HOOK("madvise", &variant_do_madvise),
	PMON_HOOK("mprotect", &variant_mprotect_fixup, &variant_mprotect_fixup_6),
	PMON_HOOK("mlock", &variant_mlock_fixup, &variant_mlock_fixup_5),
	PMON_HOOK("mlockall", &variant_apply_mlockall_flags),
	PMON_HOOK("munmap", &variant_vms_complete_munmap_vmas,
		  &variant_unmap_region),
	PMON_HOOK("exit", &variant_exit_mmap),
	PMON_HOOK("exec", &variant_begin_new_exec),
	PMON_HOOK("memory failure", &variant_memory_failure),
	PMON_HOOK("exec, the stack", &variant_setup_arg_pages),
	PMON_HOOK("growth of a stack", &variant_expand_downwards),
	PMON_HOOK("unmapping of evicted pages", &variant_try_to_unmap),
	PMON_HOOK("one TLB flush for several of these", &variant_try_to_unmap_flush),
	PMON_OPTIONAL("several pages mapped by one fault",
		      &variant_set_pte_range, &variant_do_set_pte),
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
