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

enum { OK, BAD, SKIPPED };

struct check {
	const char *name;
	int (*run)(void);
};

extern const struct check map_checks[], process_checks[], io_checks[];
extern const char *scratch_dir;	/* for files, from --dir */

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

/* Wait for a child; its exit code, or 1000 + signal. */
int reap(pid_t pid);

/* A new file in scratch_dir, unlinked, of @pages pages with fill @what. */
int scratch_file(size_t pages, unsigned int what);

#endif /* PROGRAMS_SEMANTICS_H */
