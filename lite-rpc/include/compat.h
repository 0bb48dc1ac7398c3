/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The one place for kernel API differences (6.1 ... 6.12). Module bodies are
 * written against the newer API and never test a version themselves.
 * Force-included into every kernel object (see Kbuild).
 */
#ifndef SK_COMPAT_H
#define SK_COMPAT_H

#ifdef __KERNEL__

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "splitkernel needs Linux 6.1 or newer"
#endif

/* Symbol namespaces: a bare word up to 6.12, a string literal from 6.13. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define SK_EXPORT(symbol)	EXPORT_SYMBOL_NS_GPL(symbol, LITE_RPC)
#define SK_IMPORT_LITE_RPC()	MODULE_IMPORT_NS(LITE_RPC)
#else
#define SK_EXPORT(symbol)	EXPORT_SYMBOL_NS_GPL(symbol, "LITE_RPC")
#define SK_IMPORT_LITE_RPC()	MODULE_IMPORT_NS("LITE_RPC")
#endif

/* vm_flags became read-only to drivers in 6.3. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
#define sk_vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#else
#define sk_vm_flags_set(vma, flags)	vm_flags_set(vma, flags)
#endif

/* __assign_str() lost its second argument in 6.10. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define sk_assign_str(dst, src)	__assign_str(dst, src)
#else
#define sk_assign_str(dst, src)	__assign_str(dst)
#endif

/* Faults may run under a per-VMA lock from 6.4 on. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define sk_fault_vma_locked(vmf)	false
#define sk_release_fault_lock(vmf)	mmap_read_unlock((vmf)->vma->vm_mm)
#else
#define sk_fault_vma_locked(vmf)	((vmf)->flags & FAULT_FLAG_VMA_LOCK)
#define sk_release_fault_lock(vmf)	release_fault_lock(vmf)
#endif

/* ... and whoever changes a VMA's range shuts those faults out. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
#define sk_vma_start_write(vma)	\
	lockdep_assert_held_write(&(vma)->vm_mm->mmap_lock)
#else
#define sk_vma_start_write(vma)		vma_start_write(vma)
#endif

/*
 * ftrace handlers that read arguments and redirect. x86 passes the arguments
 * without SAVE_REGS; the accessors got their names in 6.2.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define sk_ftrace_arg(fregs, n)	\
	regs_get_kernel_argument(&(fregs)->regs, n)
#define sk_ftrace_set_ip(fregs, ip)	ftrace_instruction_pointer_set(fregs, ip)
#else
#define sk_ftrace_arg(fregs, n)		ftrace_regs_get_argument(fregs, n)
#define sk_ftrace_set_ip(fregs, ip)	\
	ftrace_regs_set_instruction_pointer(fregs, ip)
#endif

/* A function's ftrace call site: behind ENDBR where the kernel has IBT. */
#ifdef CONFIG_X86_KERNEL_IBT
#define sk_ftrace_site(address)	\
	((address) + (is_endbr(*(u32 *)(address)) ? ENDBR_INSN_SIZE : 0))
#else
#define sk_ftrace_site(address)		(address)
#endif

/* Begin of a function in assembly, with the padding that 6.2 introduced. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define SK_ASM_FUNC_ALIGN	".balign 16, 0x90"
#else
#define SK_ASM_FUNC_ALIGN	ASM_FUNC_ALIGN
#endif

/* x86 has ptep_test_and_clear_young() out of line, and does not export it. */
#define sk_pte_test_and_clear_young(ptep)	\
	(pte_young(ptep_get(ptep)) &&		\
	 test_and_clear_bit(_PAGE_BIT_ACCESSED, (unsigned long *)&(ptep)->pte))

/*
 * Who sets a page table entry by an internal function of the core: up to 6.9 that
 * counts the page for the mm as well. From 6.10 the caller does; here without the
 * trace event of add_mm_counter(), which is not exported.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
#define sk_count_mapped(mm, folio)	do { } while (0)
#else
#define sk_count_mapped(mm, folio)	\
	percpu_counter_inc(&(mm)->rss_stat[mm_counter_file(folio)])
#endif

/* Shadow stacks came in 6.6, memory that may be dropped in 6.11. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define SK_VM_SHADOW_STACK	0UL
#else
#define SK_VM_SHADOW_STACK	VM_SHADOW_STACK
#endif
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define SK_VM_DROPPABLE		0UL
#else
#define SK_VM_DROPPABLE		VM_DROPPABLE
#endif

#endif /* __KERNEL__ */
#endif /* SK_COMPAT_H */
