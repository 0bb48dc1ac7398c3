/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core's tree of a mapping's VMAs (address_space::i_mmap). Its functions
 * are not exported; these are the same, from the same template.
 *
 * Context: i_mmap_rwsem of the mapping held, for writing unless only to look.
 */
#ifndef PMON_VMA_TREE_H
#define PMON_VMA_TREE_H

#include <linux/interval_tree_generic.h>
#include <linux/mm.h>

#define VMA_TREE_START(vma)	((vma)->vm_pgoff)
#define VMA_TREE_LAST(vma)	((vma)->vm_pgoff + vma_pages(vma) - 1)

INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, VMA_TREE_START, VMA_TREE_LAST,
		     static __maybe_unused, vma_tree)

#endif /* PMON_VMA_TREE_H */
