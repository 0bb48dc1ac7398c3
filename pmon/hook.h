/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Hooks on internal functions of the running kernel, by ftrace.
 */
#ifndef PMON_HOOK_H
#define PMON_HOOK_H

#include <linux/ftrace.h>
#include <linux/types.h>

/**
 * struct pmon_hook - one hooked function
 * @name: its symbol
 * @prototype: canonical prototype (btf.h) that @replacement was written for
 * @replacement: runs in its place when @wants says so; same prototype
 * @wants: decides by the first two arguments. Called for every call of the
 *	function by any process: cheap, no sleeping, traced by nobody.
 * @original: the function behind its ftrace call site; set by the engine
 */
struct pmon_hook {
	const char *name;
	const char *prototype;
	void *replacement;
	bool (*wants)(unsigned long arg0, unsigned long arg1);
	unsigned long original;
	/* private: */
	unsigned long address;
	struct ftrace_ops ops;
	bool registered;
};

int pmon_hooks_install(struct pmon_hook *hooks, int nr);
void pmon_hooks_remove(struct pmon_hook *hooks, int nr);

#endif /* PMON_HOOK_H */
