// SPDX-License-Identifier: GPL-2.0
/*
 * Pages mapped by the fault of a neighbour.
 *
 * Prefetch brings the pages of a sequential stream in 16 at a time. So that the
 * thread need not fault on each of them, a fault on one maps those that follow it in
 * the stream's direction too, as the core's fault-around does for the page cache.
 * The last that was prefetched is left out: its fault moves the stream on (stride.c).
 *
 * The core's way there, vm_ops->map_pages, is not ours: with it, kernels that have
 * per-VMA locks would call our fault handler without mmap_lock (fault.c). What sets an
 * entry and counts the mapping is not exported; hook.h says how it is called. The rest
 * is as in filemap_map_pages().
 *
 * What keeps the page table: mmap_lock, held for reading, and the VMA, which is in the
 * mm. Who frees tables has one of them for writing, or has taken the VMAs in their
 * range out of the mm before. Our files have no huge pages, so no table of theirs is
 * replaced by one either.
 *
 * What keeps a line while it is mapped: its page lock, taken by trylock, since that of
 * the faulting page is held. Whoever evicts or discards the line needs the lock as
 * well, and finds the entry when he unmaps the page after that.
 *
 * Used or not: a page that is mapped like this has line->prefetched set, PG_referenced
 * clear and an entry that is not young, until a processor touches it. Who sees that
 * first says so (pmon_line_touched()): the next fault of the stream, which looks at
 * the entries that the thread came over, or the evictor, from whose look or unmapping
 * the page gets PG_referenced, or the end of the line, which is unmapped by then. Of
 * a VMA under MADV_SEQUENTIAL the core does not report what it unmaps; then what
 * neither the fault nor the evictor's look saw counts as wasted.
 */
#include <linux/pgtable.h>

#include "hook.h"
#include "internal.h"

PMON_CALLS(void, set_pte_range, struct vm_fault *vmf, struct folio *folio,
	   struct page *page, unsigned int nr, unsigned long addr);
PMON_CALLED(set_pte_range, "set_pte_range",
	    "void set_pte_range(struct vm_fault *, struct folio *, struct page *, unsigned int, long unsigned int)");

PMON_CALLS(void, do_set_pte, struct vm_fault *vmf, struct page *page,
	   unsigned long addr);
PMON_CALLED(do_set_pte, "do_set_pte",
	    "void do_set_pte(struct vm_fault *, struct page *, long unsigned int)");

/* The line at @index with its page locked, if it may be mapped. @xas: of the lines; RCU. */
static struct pmon_line *line_to_map(struct pmon_space *space, struct xa_state *xas,
				     pgoff_t index)
{
	struct pmon_line *line = pmon_lines_peek(xas, index);
	struct page *page;

	if (!line || xa_is_value(line) || !READ_ONCE(line->prefetched))
		return NULL;
	page = line->page;
	if (!trylock_page(page))
		return NULL;
	/* It may have been reused since it was found. */
	if (line->space == space && page->index == index &&
	    READ_ONCE(line->prefetched) && PageUptodate(page) &&
	    !PageHWPoison(page) && !pmon_line_shared(line))
		return line;
	unlock_page(page);
	return NULL;
}

/*
 * As a read fault would map it, but old. It was never there, so no processor has to
 * forget anything. The entry is young for a moment only where the core makes it so; what
 * another thread touches in this moment may go unseen, as after any look (young.c).
 */
static void set_entry(struct vm_fault *vmf, struct page *page, unsigned long addr)
{
	get_page(page);
	folio_clear_referenced(page_folio(page));
	if (pmon_callable(&variant_set_pte_range)) {
		original_set_pte_range(vmf, page_folio(page), page, 1, addr);
		sk_count_mapped(vmf->vma->vm_mm, page_folio(page));
	} else {
		original_do_set_pte(vmf, page, addr);
		update_mmu_cache(vmf->vma, addr, vmf->pte);
	}
	(void)sk_pte_test_and_clear_young(vmf->pte);
	pmon_count(mapped_around);
}

/* False: no further. The lock of the page table is held, vmf->pte the entry. */
static bool map_one(struct vm_fault *vmf, struct xa_state *xas, unsigned long addr)
{
	struct pmon_line *line;

	/* Whatever is there: mapped already, or a marker of userfaultfd. */
	if (!pte_none(ptep_get(vmf->pte)))
		return false;
	line = line_to_map(pmon_vma_space(vmf->vma), xas, addr >> PAGE_SHIFT);
	if (!line)
		return false;
	if (line->standby)
		pmon_standby_rescue(line);
	set_entry(vmf, line->page, addr);
	unlock_page(line->page);
	return true;
}

static bool in_vma(const struct vm_area_struct *vma, unsigned long addr)
{
	return addr >= vma->vm_start && addr < vma->vm_end;
}

/*
 * pmon_around_map - map pages next to the one of the fault
 * @nr: how many at most; negative: below it
 *
 * Context: a fault whose page is locked and not mapped yet; mmap_lock held.
 */
void pmon_around_map(struct vm_fault *vmf, int nr)
{
	struct vm_area_struct *vma = vmf->vma;
	XA_STATE(xas, &pmon_vma_space(vma)->lines, vmf->pgoff);
	int i, step = nr < 0 ? -1 : 1;
	/* Not its flags: the neighbours are not written to. */
	struct vm_fault around = {
		.vma = vma,
		.address = vmf->address & PAGE_MASK,
		.pgoff = vmf->pgoff,
		.pmd = vmf->pmd,
	};
	spinlock_t *lock;	/* of the table */
	pte_t *table;

	if (!nr || (vma->vm_flags & VM_LOCKED) || !vma_is_accessible(vma))
		return;
	if (!pmon_callable(&variant_set_pte_range) &&
	    !pmon_callable(&variant_do_set_pte))
		return;
	/* pmon_access() maps nothing; without a table the core makes one later. */
	if (!vmf->pmd || pmd_none(*vmf->pmd) || unlikely(pmd_bad(*vmf->pmd)))
		return;
	table = pte_offset_kernel(vmf->pmd, 0);
	lock = pte_lockptr(vma->vm_mm, vmf->pmd);
	spin_lock(lock);
	rcu_read_lock();
	for (i = step; i != nr + step; i += step) {
		unsigned long addr = around.address + i * (long)PAGE_SIZE;

		if (!in_vma(vma, addr) ||
		    (addr & PMD_MASK) != (around.address & PMD_MASK))
			break;
		around.pte = table + pte_index(addr);
		if (!map_one(&around, &xas, addr))
			break;
	}
	rcu_read_unlock();
	spin_unlock(lock);
}

/* What is mapped cannot be evicted: that takes the lock that the caller holds. */
static bool first_touch(pte_t entry)
{
	return pte_present(entry) && pte_young(entry) &&
	       pmon_line_touched(pmon_page_line(pte_page(entry)));
}

/*
 * pmon_around_touched - how many pages behind that of the fault were first used?
 * @step: the direction the thread goes in, 1 or -1
 * @nr: how many to look at; those beyond a page table are not
 *
 * The entries stay young, for the evictor. Context: a fault; mmap_lock held.
 */
unsigned int pmon_around_touched(struct vm_fault *vmf, int step, unsigned int nr)
{
	unsigned long addr = (vmf->address & PAGE_MASK) - step * (long)PAGE_SIZE;
	unsigned long range = addr & PMD_MASK;
	struct vm_area_struct *vma = vmf->vma;
	unsigned int touched = 0;
	spinlock_t *lock;	/* of the table */
	pte_t *table;
	pmd_t *pmd;

	/* Its table is ours to look at only while the VMA reaches there. */
	if (!in_vma(vma, addr))
		return 0;
	pmd = pmon_table_of(vma->vm_mm, addr);
	if (!pmd)
		return 0;
	table = pte_offset_kernel(pmd, 0);
	lock = pte_lockptr(vma->vm_mm, pmd);
	spin_lock(lock);
	while (nr-- && in_vma(vma, addr) && (addr & PMD_MASK) == range) {
		touched += first_touch(ptep_get(table + pte_index(addr)));
		addr -= step * (long)PAGE_SIZE;
	}
	spin_unlock(lock);
	return touched;
}
