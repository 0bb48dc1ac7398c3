// SPDX-License-Identifier: GPL-2.0
/*
 * Has a line been touched since the last look? Read from its page table entry.
 *
 * The core's rmap walk does this for page reclaim, but is not exported. Here it is
 * simpler: a line is mapped at most once, at the address that its index says
 * (fault.c sees to that).
 *
 * What keeps the page tables: i_mmap_rwsem, held for reading. A VMA that is found in
 * the mapping's tree under it is taken out, under the same lock held for writing,
 * before its page tables are freed (free_pgtables()), and mremap moves whole tables
 * with it held for writing too. The core's own rmap walks rely on the same.
 *
 * The TLB is not flushed when an accessed bit is cleared: as in the core on x86,
 * what a processor still has there may be touched without being seen. Who is to be
 * evicted is unmapped next, in the same round (unmap.c).
 */
#include <linux/pgtable.h>

#include "internal.h"
#include "vma_tree.h"

/*
 * pmon_table_of - what points to the table with the entry of @addr
 *
 * Context: something keeps the page tables: see the head, and around.c.
 * Return: NULL: there is none.
 */
pmd_t *pmon_table_of(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;
	pmd_t *pmd;

	if (pgd_none(*pgd) || unlikely(pgd_bad(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d) || unlikely(p4d_bad(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	if (pud_none(*pud) || unlikely(pud_bad(*pud)))
		return NULL;
	pmd = pmd_offset(pud, addr);
	if (pmd_none(*pmd) || unlikely(pmd_bad(*pmd)))
		return NULL;
	return pmd;
}

/*
 * pmon_young_begin - before pmon_young_test() of lines of @space
 * Context: process; page locks may be held, i_mmap_rwsem must not.
 */
void pmon_young_begin(struct pmon_young *young, struct pmon_space *space)
{
	young->mapping = space->file->f_mapping;
	young->vma = NULL;
	young->pmd = NULL;
	i_mmap_lock_read(young->mapping);
}

void pmon_young_end(struct pmon_young *young)
{
	i_mmap_unlock_read(young->mapping);
}

static struct vm_area_struct *vma_of(struct pmon_young *young, pgoff_t index)
{
	struct vm_area_struct *vma = young->vma;

	if (!vma || index < VMA_TREE_START(vma) || index > VMA_TREE_LAST(vma))
		vma = vma_tree_iter_first(&young->mapping->i_mmap, index, index);
	young->vma = vma;
	return vma;
}

/*
 * What points to the table with the entry of the line, NULL: there is none. Who asks
 * about neighbours does not go through the levels for each.
 */
static pmd_t *table_of(struct pmon_young *young, pgoff_t index)
{
	unsigned long addr = index << PAGE_SHIFT;
	struct vm_area_struct *vma;

	if (young->pmd && addr >= young->start && addr < young->end)
		return young->pmd;
	vma = vma_of(young, index);
	young->pmd = NULL;
	/* mremap under way: the VMA is where the line is yet to go. */
	if (!vma || addr < vma->vm_start || addr >= vma->vm_end)
		return NULL;
	young->pmd = pmon_table_of(vma->vm_mm, addr);
	young->start = max(vma->vm_start, addr & PMD_MASK);
	young->end = min(vma->vm_end, (addr & PMD_MASK) + PMD_SIZE);
	return young->pmd;
}

/*
 * pmon_young_test - was the line touched since it was mapped or last asked about?
 *
 * Forgets it. Context: between begin and end for the line's space; page locked.
 */
bool pmon_young_test(struct pmon_young *young, struct pmon_line *line)
{
	pgoff_t index = line->page->index;
	pmd_t *pmd = table_of(young, index);
	spinlock_t *lock;	/* of the table */
	bool touched;
	pte_t *pte;

	lockdep_assert_held(&young->mapping->i_mmap_rwsem);
	if (!pmd)
		return false;
	lock = pte_lockptr(young->vma->vm_mm, pmd);
	spin_lock(lock);
	pte = pte_offset_kernel(pmd, index << PAGE_SHIFT);
	touched = pte_present(ptep_get(pte)) &&
		  pte_pfn(ptep_get(pte)) == page_to_pfn(line->page) &&
		  sk_pte_test_and_clear_young(pte);
	spin_unlock(lock);
	return touched;
}
