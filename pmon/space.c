// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces: one for each mm of a tagged process.
 *
 * Life: created by the first managed mapping (or by fork), found through a hash
 * by mm until exit_mmap() has run, and freed when the last transfer is over.
 * Freeing tells the home, so it runs from a workqueue. Each space holds a
 * module reference: the module stays while tagged memory exists.
 */
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

#define PMON_MAGIC	0x504d4f4e	/* "PMON" */
#define PMON_HASH_BITS	8

static DEFINE_HASHTABLE(spaces, PMON_HASH_BITS);
static DEFINE_SPINLOCK(spaces_lock);
static struct vfsmount *pmon_mnt;
static atomic_t next_asid = ATOMIC_INIT(0);

/* ---- the pseudo file ------------------------------------------------------- */

const struct vm_operations_struct pmon_vm_ops = {
	.fault = pmon_fault,
	.access = pmon_access,
	.mremap = pmon_mremap,
};

/*
 * Reached only from our own mmap_region() calls, and from remap_file_pages(),
 * which must not create a second view of the same indexes.
 */
static int pmon_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct pmon_space *space = file->private_data;

	if (vma->vm_mm != space->mm || !(vma->vm_flags & VM_SHARED) ||
	    vma->vm_pgoff != vma->vm_start >> PAGE_SHIFT)
		return -EINVAL;
	vma->vm_ops = &pmon_vm_ops;
	return 0;
}

static const struct file_operations pmon_file_ops = {
	.owner = THIS_MODULE,
	.mmap = pmon_file_mmap,
	/* msync() of private memory has nothing to do. */
	.fsync = noop_fsync,
};

/* pmon_file_is_ours - is it the pseudo file of some space? */
bool pmon_file_is_ours(struct file *file)
{
	return file->f_op == &pmon_file_ops;
}

/* i_pages stays empty: reclaim and writeback have nothing to act on. */
static const struct address_space_operations pmon_aops = {
	.dirty_folio = noop_dirty_folio,
};

static int pmon_fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, PMON_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type pmon_fs = {
	.name = "pmon",
	.init_fs_context = pmon_fs_init,
	.kill_sb = kill_anon_super,
};

static struct file *space_file(struct pmon_space *space)
{
	struct inode *inode = alloc_anon_inode(pmon_mnt->mnt_sb);
	struct file *file;

	if (IS_ERR(inode))
		return ERR_CAST(inode);
	/* No links: core dumps then treat the VMAs as anonymous memory. */
	clear_nlink(inode);
	inode->i_flags |= S_NOCMTIME;
	inode->i_mapping->a_ops = &pmon_aops;
	file = alloc_file_pseudo(inode, pmon_mnt, "pmon", O_RDWR, &pmon_file_ops);
	if (IS_ERR(file)) {
		iput(inode);
		return file;
	}
	/* alloc_file_pseudo() does not take what fput() will drop. */
	__module_get(THIS_MODULE);
	file->private_data = space;
	return file;
}

/* ---- look-up --------------------------------------------------------------- */

static struct pmon_space *space_lookup(struct mm_struct *mm)
{
	struct pmon_space *space;

	hash_for_each_possible_rcu(spaces, space, hash, (unsigned long)mm)
		if (space->mm == mm)
			return space;
	return NULL;
}

/* pmon_mm_managed - does the mm have managed memory? Context: any; cheap. */
bool pmon_mm_managed(struct mm_struct *mm)
{
	bool found;

	rcu_read_lock();
	found = space_lookup(mm);
	rcu_read_unlock();
	return found;
}

/*
 * pmon_space_of - the address space of an mm, not referenced
 * Context: the caller keeps the mm from exiting.
 */
struct pmon_space *pmon_space_of(struct mm_struct *mm)
{
	struct pmon_space *space;

	rcu_read_lock();
	space = space_lookup(mm);
	rcu_read_unlock();
	return space;
}

/* pmon_spaces_for_each - call @fn for each live space until it returns != 0.
 * @fn runs under RCU and must not sleep.
 */
void pmon_spaces_for_each(int (*fn)(struct pmon_space *space, void *arg),
			  void *arg)
{
	struct pmon_space *space;
	int bucket;

	rcu_read_lock();
	hash_for_each_rcu(spaces, bucket, space, hash)
		if (fn(space, arg))
			break;
	rcu_read_unlock();
}

/* ---- life ------------------------------------------------------------------ */

static void space_free_work(struct work_struct *work)
{
	struct pmon_space *space = container_of(to_rcu_work(work),
						struct pmon_space, free_work);

	pmon_regions_free(space);
	WARN_ON_ONCE(atomic_long_read(&space->resident));
	xa_destroy(&space->lines);
	pmon_backing_destroy(space);
	mtree_destroy(&space->wiped);
	kfree(space->threads);
	pmon_budget_put(space->budget);
	/* At once: it uses our file system, which module_put() lets go. */
	__fput_sync(space->file);
	kfree(space);
	module_put(THIS_MODULE);
}

static void space_release(struct kref *ref)
{
	struct pmon_space *space = container_of(ref, struct pmon_space, ref);

	/* After a grace period: pmon_spaces_for_each() may be looking at it. */
	queue_rcu_work(pmon_wq, &space->free_work);
}

void pmon_space_get(struct pmon_space *space)
{
	kref_get(&space->ref);
}

/* pmon_space_put - Context: any, softirq included */
void pmon_space_put(struct pmon_space *space)
{
	kref_put(&space->ref, space_release);
}

/* pmon_asid_next - a number that no address space or region of the cluster has */
u64 pmon_asid_next(void)
{
	return ((u64)lite_self() << 32) | (u32)atomic_inc_return(&next_asid);
}

static struct pmon_space *space_alloc(struct mm_struct *mm)
{
	struct pmon_space *space = kzalloc(sizeof(*space), GFP_KERNEL);

	if (!space)
		return NULL;
	kref_init(&space->ref);
	space->mm = mm;
	space->asid = pmon_asid_next();
	space->pid = task_tgid_nr(current);
	get_task_comm(space->comm, current);
	xa_init_flags(&space->lines, XA_FLAGS_LOCK_BH);
	pmon_regions_begin(space);
	mt_init_flags(&space->backing, PMON_TREE_FLAGS);
	INIT_LIST_HEAD(&space->backings);
	mt_init_flags(&space->wiped, PMON_TREE_FLAGS);
	INIT_RCU_WORK(&space->free_work, space_free_work);
	return space;
}

/*
 * pmon_space_create - begin to manage an mm
 *
 * Context: mmap_lock of @mm held for writing.
 * Return: space (referenced by the mm until pmon_space_end()) or ERR_PTR.
 */
struct pmon_space *pmon_space_create(struct mm_struct *mm,
				     struct pmon_budget *budget)
{
	struct pmon_space *space = space_alloc(mm);

	/* mmap_assert_write_locked() is not for modules: DEBUG_VM makes it call dump_mm(). */
	lockdep_assert_held_write(&mm->mmap_lock);
	if (!space)
		return ERR_PTR(-ENOMEM);
	space->file = space_file(space);
	if (IS_ERR(space->file)) {
		void *err = ERR_CAST(space->file);

		kfree(space);
		return err;
	}
	pmon_budget_get(budget);
	space->budget = budget;
	__module_get(THIS_MODULE);
	spin_lock(&spaces_lock);
	hash_add_rcu(spaces, &space->hash, (unsigned long)mm);
	spin_unlock(&spaces_lock);
	trace_pmon_space(space, "create");
	return space;
}

/*
 * pmon_space_end - the mm's last mapping is gone
 *
 * Context: process, from exit_mmap(). Lines under I/O are freed by their
 * completions; the home is told when the last of them is.
 */
void pmon_space_end(struct pmon_space *space)
{
	trace_pmon_space(space, "end");
	WRITE_ONCE(space->ended, true);
	pmon_fork_end(space);
	spin_lock(&spaces_lock);
	hash_del_rcu(&space->hash);
	spin_unlock(&spaces_lock);
	/* The stored pages go with the space: the home frees them. */
	pmon_discard_lines(space);
	pmon_regions_end(space);
	pmon_space_put(space);
}

int pmon_space_init(void)
{
	pmon_mnt = kern_mount(&pmon_fs);
	return PTR_ERR_OR_ZERO(pmon_mnt);
}

void pmon_space_exit(void)
{
	kern_unmount(pmon_mnt);
	rcu_barrier();
}
