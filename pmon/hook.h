/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hooks on internal functions of the running kernel, by ftrace.
 *
 * A hook is for a purpose ("munmap"). It has one variant for each form that the
 * kernels have of it: the function and its prototype differ from kernel to
 * kernel. At load the variant is taken whose prototype the running kernel's BTF
 * has; with none the load is refused. To add a hook, write for each form
 *
 *	PMON_REPLACES(int, do_brk_flags, struct vma_iterator *vmi, ...)
 *	{
 *		... original_do_brk_flags(vmi, ...) ...
 *	}
 *	PMON_VARIANT(do_brk_flags, "do_brk_flags", wants_mapping, NULL,
 *		     "its prototype, as btf.h has them");
 *
 * and name the variants in the table in intercept.c. `tests/hook-table --write`
 * puts the table into docs/pmon.md, with what the two kernels have of it.
 *
 * A function that is not hooked, only called, is
 *
 *	PMON_CALLS(void, do_set_pte, struct vm_fault *vmf, ...);
 *	PMON_CALLED(do_set_pte, "do_set_pte", "its prototype");
 *
 * and in the table like the others, or as PMON_OPTIONAL() if pmon can do without it. Then,
 * before original_do_set_pte() is called, pmon_callable() must have said that this
 * kernel has it in that form.
 */
#ifndef PMON_HOOK_H
#define PMON_HOOK_H

#include <linux/ftrace.h>
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <linux/types.h>
#include <asm/unwind_hints.h>

/**
 * struct pmon_member - a member of a structure that no header has
 * @structure, @member: where it is
 * @type: what it must be, in the words of btf.h
 * @offset: filled in at load
 */
struct pmon_member {
	const char *structure;
	const char *member;
	const char *type;
	u32 *offset;
};

/**
 * struct pmon_variant - what a hook is on one kind of kernel
 * @function: the symbol that is hooked
 * @prototype: canonical prototype (btf.h) that @replacement was written for
 * @wants: decides by the first two arguments. Called for every call of the
 *	function by any process: cheap, no sleeping, traced by nobody. NULL, as
 *	@replacement, where the function is not hooked
 * @replacement: runs in its place when @wants says so; same prototype
 * @original: where original_*() goes on; filled in at load. Stays 0 if the variant
 *	is not taken
 * @members: members whose offsets it needs, up to one without a structure; or
 *	NULL
 */
struct pmon_variant {
	const char *function;
	const char *prototype;
	bool (*wants)(unsigned long arg0, unsigned long arg1);
	void *replacement;
	unsigned long *original;
	const struct pmon_member *members;
};

/**
 * struct pmon_hook - one purpose
 * @purpose: in words, for the log
 * @variants: ends with NULL; the first that fits is taken
 * @optional: that none fits is no reason to refuse the kernel
 */
struct pmon_hook {
	const char *purpose;
	const struct pmon_variant *const *variants;
	bool optional;
	/* private: */
	const struct pmon_variant *chosen;
	unsigned long site;
	struct ftrace_ops ops;
	bool registered;
};

/*
 * original_NAME(...) runs the hooked function itself: it goes on behind the
 * ftrace call site. There is no ENDBR to land on, at the function's begin
 * neither (the kernel takes it away from functions that only direct calls
 * reach), so the jump is a return, which IBT does not look at.
 */
#define PMON_THUNK(name)						\
	static unsigned long address_of_##name __used;			\
	asm(".pushsection .text, \"ax\"\n"				\
	    SK_ASM_FUNC_ALIGN "\n"						\
	    ".type original_" #name ", @function\n"			\
	    "original_" #name ":\n"					\
	    "	pushq	address_of_" #name "(%rip)\n"			\
	    UNWIND_HINT_FUNC						\
	    "	" ASM_RET						\
	    ".size original_" #name ", . - original_" #name "\n"	\
	    ".popsection\n")

/* Begins the definition of a replacement, and declares original_NAME(). */
#define PMON_REPLACES(type, name, ...)					\
	type original_##name(__VA_ARGS__);				\
	PMON_THUNK(name);						\
	static type new_##name(__VA_ARGS__)

/*
 * variant_NAME, for the replacement of that NAME: it hooks @fn where this has the
 * prototype @proto. @needs: members (struct pmon_member) or NULL.
 */
#define PMON_VARIANT(name, fn, decide, needs, proto)			\
	static const struct pmon_variant variant_##name = {		\
		.function = fn,						\
		.prototype = proto,					\
		.wants = decide,					\
		.replacement = new_##name,				\
		.original = &address_of_##name,				\
		.members = needs,					\
	}

/* A function that is called, not hooked: original_NAME() does. */
#define PMON_CALLS(type, name, ...)					\
	type original_##name(__VA_ARGS__);				\
	PMON_THUNK(name)

/* Not static: the table is in intercept.c, the calls where they are needed. */
#define PMON_CALLED(name, fn, proto)					\
	const struct pmon_variant variant_##name = {			\
		.function = fn,						\
		.prototype = proto,					\
		.original = &address_of_##name,				\
	}

static inline bool pmon_callable(const struct pmon_variant *variant)
{
	return *variant->original;
}

/* An entry of the table: the purpose in words, the variants, newest first. */
#define PMON_HOOK(what, ...)						\
	{ .purpose = what,						\
	  .variants = (const struct pmon_variant *const []){ __VA_ARGS__, NULL } }

/* The same for functions that are called if the kernel has them. */
#define PMON_OPTIONAL(what, ...)					\
	{ .purpose = what, .optional = true,				\
	  .variants = (const struct pmon_variant *const []){ __VA_ARGS__, NULL } }

/* around.c */
extern const struct pmon_variant variant_set_pte_range, variant_do_set_pte;
/* unmap.c */
extern const struct pmon_variant variant_try_to_unmap, variant_try_to_unmap_flush;

int pmon_hooks_install(struct pmon_hook *hooks, int nr);
void pmon_hooks_remove(struct pmon_hook *hooks, int nr);
void *pmon_kernel_variable(const char *name);

#endif /* PMON_HOOK_H */
