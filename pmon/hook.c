// SPDX-License-Identifier: GPL-2.0
/*
 * Hook engine.
 *
 * Each hooked function gets an ftrace handler which may change the instruction
 * pointer (IPMODIFY), so that the replacement runs in its place with the same
 * arguments, stack arguments included. The replacement calls the original just
 * behind the call site, past the handler; no recursion check is needed.
 *
 * PERMANENT: `sysctl kernel.ftrace_enabled=0` is refused while hooks are in,
 * instead of silently leaving tagged processes half managed.
 *
 * Before anything is hooked, the running kernel's own BTF says which variant of
 * each hook fits it: internal functions change even within a stable series.
 */
#include <linux/fs.h>
#include <linux/kprobes.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "btf.h"
#include "hook.h"
#include "internal.h"

#define BTF_PATH	"/sys/kernel/btf/vmlinux"
#define BTF_SIZE_MAX	(256 << 20)
#define PROTOTYPE_MAX	512

static void notrace hook_handler(unsigned long ip, unsigned long parent_ip,
				 struct ftrace_ops *ops,
				 struct ftrace_regs *fregs)
{
	struct pmon_hook *hook = container_of(ops, struct pmon_hook, ops);

	if (hook->chosen->wants(sk_ftrace_arg(fregs, 0),
				sk_ftrace_arg(fregs, 1)))
		sk_ftrace_set_ip(fregs, (unsigned long)hook->chosen->replacement);
}

/* False, with a word why, if a member is not there or of another type. */
static bool members_fit(const struct btf_view *btf,
			const struct pmon_variant *variant, char *found)
{
	const struct pmon_member *need = variant->members;
	int ret;

	for (; need && need->structure; need++) {
		ret = btf_member(btf, need->structure, need->member,
				 need->offset, found, PROTOTYPE_MAX);
		if (!ret && !strcmp(found, need->type))
			continue;
		pr_err("struct %s::%s of this kernel is not %s but %s (%d)\n",
		       need->structure, need->member, need->type, found, ret);
		return false;
	}
	return true;
}

static bool variant_fits(const struct btf_view *btf,
			 const struct pmon_variant *variant, char *found)
{
	return !btf_prototype(btf, variant->function, found, PROTOTYPE_MAX) &&
	       !strcmp(found, variant->prototype) &&
	       members_fit(btf, variant, found);
}

static int choose_variant(const struct btf_view *btf, struct pmon_hook *hook,
			  char *found)
{
	const struct pmon_variant *const *variant;
	int ret;

	for (variant = hook->variants; *variant; variant++) {
		if (!variant_fits(btf, *variant, found))
			continue;
		hook->chosen = *variant;
		return 0;
	}
	if (hook->optional) {
		pr_info("%s: not done on this kernel, it has no function for it in a form that pmon knows\n",
			hook->purpose);
		return 0;
	}
	pr_err("this kernel is not supported: %s is not done as in any that pmon knows\n",
	       hook->purpose);
	for (variant = hook->variants; *variant; variant++) {
		ret = btf_prototype(btf, (*variant)->function, found,
				    PROTOTYPE_MAX);
		if (!ret || ret == -ENOTUNIQ)
			pr_err("  kernel: %s%s\n", found,
			       ret ? ", and others of that name" : "");
		else
			pr_err("  kernel: no %s() (%d)\n",
			       (*variant)->function, ret);
		pr_err("  pmon:   %s\n", (*variant)->prototype);
	}
	return -EOPNOTSUPP;
}

static int check_all(const void *blob, size_t size, struct pmon_hook *hooks,
		     int nr)
{
	struct btf_view btf;
	u32 *offsets = NULL;
	char *found = NULL;
	int i, ret, types;

	ret = btf_view_init(&btf, blob, size);
	if (ret)
		goto out;
	types = btf_count_types(&btf);
	ret = types;
	if (types < 0)
		goto out;
	ret = -ENOMEM;
	offsets = kvmalloc_array(types, sizeof(*offsets), GFP_KERNEL);
	found = kmalloc(PROTOTYPE_MAX, GFP_KERNEL);
	if (!offsets || !found)
		goto out;
	ret = btf_view_index(&btf, offsets, types);
	for (i = 0; !ret && i < nr; i++)
		ret = choose_variant(&btf, &hooks[i], found);
out:
	if (ret == -EBADMSG)
		pr_err("%s cannot be read as BTF\n", BTF_PATH);
	kfree(found);
	kvfree(offsets);
	return ret;
}

/* All of @file, in memory of its own. kernel_read_file() is for security's eyes:
 * it knows nothing of what is just data.
 */
static void *read_all(struct file *file, size_t *size)
{
	loff_t pos = 0, len = i_size_read(file_inode(file));
	void *blob;
	ssize_t n;

	if (len <= 0 || len > BTF_SIZE_MAX)
		return ERR_PTR(-EFBIG);
	blob = vmalloc(len);
	if (!blob)
		return ERR_PTR(-ENOMEM);
	while (pos < len) {
		n = kernel_read(file, blob + pos, len - pos, &pos);
		if (n > 0)
			continue;
		vfree(blob);
		return ERR_PTR(n ?: -EIO);
	}
	*size = len;
	return blob;
}

static int hooks_check(struct pmon_hook *hooks, int nr)
{
	struct file *file = filp_open(BTF_PATH, O_RDONLY, 0);
	void *blob = ERR_CAST(file);
	size_t size;
	int ret;

	if (!IS_ERR(file)) {
		blob = read_all(file, &size);
		filp_close(file, NULL);
	}
	if (IS_ERR(blob)) {
		pr_err("cannot read %s (%ld): without it the hooks cannot be verified\n",
		       BTF_PATH, PTR_ERR(blob));
		return PTR_ERR(blob);
	}
	ret = check_all(blob, size, hooks, nr);
	vfree(blob);
	return ret;
}

/* Clones that a compiler makes of a function; its callers then call those. */
static const char *const clones[] = { "part.0", "isra.0", "constprop.0" };

/*
 * Is the function called only by its name? A kernel built with other options may
 * have its first lines in each caller, and the hook would see no call at all.
 */
static int hook_check_whole(const struct pmon_hook *hook)
{
	char name[KSYM_NAME_LEN];
	int i;

	for (i = 0; i < ARRAY_SIZE(clones); i++) {
		struct kprobe probe = { .symbol_name = name };

		snprintf(name, sizeof(name), "%s.%s", hook->chosen->function,
			 clones[i]);
		if (register_kprobe(&probe))
			continue;
		unregister_kprobe(&probe);
		pr_err("this kernel's compiler has made %s of %s(): not supported\n",
		       name, hook->chosen->function);
		return -EOPNOTSUPP;
	}
	return 0;
}

/*
 * A function that is only called: original_*() enters it at its begin, or where
 * the kernel would probe that: behind ENDBR.
 */
static int call_resolve(struct pmon_hook *hook)
{
	struct kprobe probe = { .symbol_name = hook->chosen->function };
	int ret = register_kprobe(&probe);

	if (ret && hook->optional) {
		pr_info("%s: not done on this kernel, cannot find %s() (%d)\n",
			hook->purpose, hook->chosen->function, ret);
		return 0;
	}
	if (ret) {
		pr_err("cannot find %s() (%d)\n", hook->chosen->function, ret);
		return ret;
	}
	*hook->chosen->original = (unsigned long)probe.addr;
	unregister_kprobe(&probe);
	return 0;
}

/* False: the function is only called, or this kernel has none of the variants. */
static bool is_hook(const struct pmon_hook *hook)
{
	return hook->chosen && hook->chosen->replacement;
}

/* kallsyms is not exported; a kprobe that is never hit resolves the name. */
static int hook_resolve(struct pmon_hook *hook)
{
	struct kprobe probe = { };
	int ret;

	if (!is_hook(hook))
		return hook->chosen ? call_resolve(hook) : 0;
	probe.symbol_name = hook->chosen->function;
	ret = hook_check_whole(hook);
	if (ret)
		return ret;
	ret = register_kprobe(&probe);
	if (ret) {
		pr_err("cannot find %s() (%d)\n", hook->chosen->function, ret);
		return ret;
	}
	hook->site = sk_ftrace_site((unsigned long)probe.addr);
	*hook->chosen->original = hook->site + MCOUNT_INSN_SIZE;
	unregister_kprobe(&probe);
	return 0;
}

/*
 * pmon_kernel_variable - address of a variable of the kernel
 *
 * A kprobe on data is refused, but by then its name has been resolved. This
 * calls nothing that indirect branch tracking could object to.
 * Return: NULL, with a message, if there is none.
 */
void *pmon_kernel_variable(const char *name)
{
	struct kprobe probe = { .symbol_name = name };

	if (!register_kprobe(&probe)) {
		unregister_kprobe(&probe);
		probe.addr = NULL;
	}
	if (!probe.addr)
		pr_err("cannot find the kernel's variable %s\n", name);
	return probe.addr;
}

static int hook_register(struct pmon_hook *hook)
{
	int ret;

	if (!is_hook(hook))
		return 0;
	hook->ops.func = hook_handler;
	hook->ops.flags = FTRACE_OPS_FL_IPMODIFY | FTRACE_OPS_FL_PERMANENT;
	/*
	 * By address: names are ambiguous, and a failed filter would leave
	 * "trace everything" behind, so its error is not optional.
	 */
	ret = ftrace_set_filter_ip(&hook->ops, hook->site, 0, 0);
	if (!ret)
		ret = register_ftrace_function(&hook->ops);
	if (ret) {
		pr_err("cannot hook %s() (%d)%s\n", hook->chosen->function, ret,
		       ret == -EBUSY ? ": another module or live patch has it" : "");
		ftrace_set_filter_ip(&hook->ops, hook->site, 1, 0);
		return ret;
	}
	hook->registered = true;
	return 0;
}

/*
 * pmon_hooks_install - verify, then install all or none
 * Return: 0; -EOPNOTSUPP: unknown kernel; other errno of the failed step.
 */
int pmon_hooks_install(struct pmon_hook *hooks, int nr)
{
	int i, ret;

	ret = hooks_check(hooks, nr);
	for (i = 0; !ret && i < nr; i++)
		ret = hook_resolve(&hooks[i]);
	for (i = 0; !ret && i < nr; i++)
		ret = hook_register(&hooks[i]);
	if (ret)
		pmon_hooks_remove(hooks, nr);
	return ret;
}

/*
 * pmon_hooks_remove - take the hooks out
 *
 * On return no task is between the call site and the first instruction of a
 * replacement. Tasks inside one are the caller's business.
 */
void pmon_hooks_remove(struct pmon_hook *hooks, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		if (!hooks[i].registered)
			continue;
		unregister_ftrace_function(&hooks[i].ops);
		ftrace_set_filter_ip(&hooks[i].ops, hooks[i].site, 1, 0);
		hooks[i].registered = false;
	}
	synchronize_rcu_tasks();
}
