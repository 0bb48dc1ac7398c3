/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One check a function, run in a process of its own. It returns at the first
 * thing that is wrong:
 *
 *	static int check_x(void)
 *	{
 *		...set up...
 *		cycle();		other memory is touched here, so that
 *					what was set up is likely evicted
 *		EXPECT(p[0] == 1, "p[0] is %d", p[0]);
 *		return OK;
 *	}
 */
#ifndef PROGRAMS_SEMANTICS_H
#define PROGRAMS_SEMANTICS_H

#include "common.h"

#include <signal.h>

enum { OK, BAD, SKIPPED, DIFFERENT };

/*
 * @row: what is promised, for the table in docs/semantics.md
 * @differs: the check fails when tagged, and this tells users why; NULL: same
 * @some_kernels: only on some kernels, as @differs says
 */
struct check {
	const char *name;
	int (*run)(void);
	const char *row;
	const char *differs;
	bool some_kernels;
};

#define SAME(check, fn, text)	{ .name = check, .run = fn, .row = text }
#define DIFFERS(check, fn, text, why)	\
	{ .name = check, .run = fn, .row = text, .differs = why }
#define DIFFERS_ON_SOME(check, fn, text, why)	\
	{ .name = check, .run = fn, .row = text, .differs = why,	\
	  .some_kernels = true }
#define NO_MORE_CHECKS		{ .name = NULL }

extern const struct check map_checks[], remap_checks[], file_checks[],
	advise_checks[], lock_checks[], fault_checks[], process_checks[],
	futex_checks[], inspect_checks[], exec_checks[], io_checks[];
extern const char *scratch_dir;	/* for files, from --dir */
extern bool tagged;		/* from --tagged */

/* Field of this process's /proc/self/status, in KiB; -1: not there. */
long status_kb(const char *field);
/* Field of the mapping at @p in /proc/self/smaps; -1: not there. */
long smaps_kb(const void *p, const char *field);
/* The header line of the mapping at @p in /proc/self/maps; "" if none. */
const char *maps_line(const void *p);
/* When tagged: is the memory at @p managed? When not: true. */
bool managed_if_tagged(const void *p);
/* Page faults of this process that had to wait. */
long major_faults(void);
/* Give up root and its capabilities for good. */
int become_nobody(void);

/* Note why, for the line of this check. */
void detail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define EXPECT(cond, ...) do {				\
	if (!(cond)) {					\
		detail(__VA_ARGS__);			\
		return BAD;				\
	}						\
} while (0)

/* For calls that must work; shows errno. */
#define MUST(cond)	EXPECT(cond, "line %d: %s: %s", __LINE__, #cond, strerror(errno))

#define SKIP(...) do {					\
	detail(__VA_ARGS__);				\
	return SKIPPED;					\
} while (0)

/* Touch --cycle-mb of other memory. */
void cycle(void);

/* Page-wise patterns: @what tells fills apart. */
void fill(void *p, size_t pages, unsigned int what);
/* First page that does not hold the fill @what, or -1. */
long differs(const void *p, size_t pages, unsigned int what);
/* First page that is not all zeros, or -1. */
long not_zero(const void *p, size_t pages);

#define EXPECT_FILL(p, pages, what) do {				\
	long page_ = differs(p, pages, what);				\
	EXPECT(page_ < 0, "line %d: page %ld of %s is not as it was",	\
	       __LINE__, page_, #p);					\
} while (0)

#define EXPECT_ZERO(p, pages) do {					\
	long page_ = not_zero(p, pages);				\
	EXPECT(page_ < 0, "line %d: page %ld of %s is not zero",	\
	       __LINE__, page_, #p);					\
} while (0)

/* The signal that an access raises, 0 if none. */
int fault_of(volatile void *p, bool write);

/* The same with where and how: what a handler of SA_SIGINFO is told. */
int fault_info(volatile void *p, bool write, siginfo_t *info);

/* Wait for a child; its exit code, or 1000 + signal. */
int reap(pid_t pid);

/* A child's verdict is its exit code: its text is in shared memory. */
#define EXPECT_CHILD(pid) do {						\
	int code_ = reap(pid);						\
	if (code_ == SKIPPED)						\
		return SKIPPED;						\
	if (code_ != OK) {						\
		if (code_ != BAD)					\
			detail("line %d: child ended with %d", __LINE__, code_); \
		return BAD;						\
	}								\
} while (0)

/* Run the rest of a check, fn(arg), in a child. */
#define IN_CHILD(call) do {						\
	pid_t child_ = fork();						\
	MUST(child_ >= 0);						\
	if (!child_)							\
		_exit(call);						\
	EXPECT_CHILD(child_);						\
} while (0)

/* What this program does when a check started it by exec; sem_exec.c */
int exec_child(char **argv);

/* A new file in scratch_dir, unlinked, of @pages pages with fill @what. */
int scratch_file(size_t pages, unsigned int what);

#endif /* PROGRAMS_SEMANTICS_H */
