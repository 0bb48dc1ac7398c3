// SPDX-License-Identifier: GPL-2.0
/* semantics: locked memory. */
#include "semantics.h"

#include <sys/resource.h>
#include <sys/syscall.h>

#define N	16UL		/* pages */
/* Faults that may wait because the evictor looks at a page just then. */
#define CHANCE	(N / 4)

#ifndef MLOCK_ONFAULT
#define MLOCK_ONFAULT	1
#endif

#define LOCKED(call) do {						\
	if (call) {							\
		EXPECT(errno == EPERM, "%s: %s", #call, strerror(errno)); \
		SKIP("%s: %s", #call, strerror(errno));			\
	}								\
} while (0)

/* How many pages of @pages had to be waited for. */
static long waited_for(uint8_t *p, size_t pages)
{
	long before = major_faults();
	volatile uint8_t *byte = p;
	size_t i;

	for (i = 0; i < pages; i++)
		(void)byte[i * PAGE];
	return major_faults() - before;
}

#define EXPECT_LOCAL(p, pages) do {					\
	long waited_ = waited_for(p, pages);				\
	EXPECT(waited_ <= (long)CHANCE, "line %d: %ld locked pages were away", \
	       __LINE__, waited_);					\
} while (0)

static int stays_local(void)
{
	uint8_t *p = map_private(4 * N * PAGE);

	fill(p, 2 * N, 1);
	cycle();
	LOCKED(mlock(p, 4 * N * PAGE));
	EXPECT(smaps_kb(p, "Locked") > 0, "smaps says Locked: %ld kB",
	       smaps_kb(p, "Locked"));
	cycle();
	cycle();
	EXPECT_LOCAL(p, 4 * N);
	EXPECT_FILL(p, 2 * N, 1);
	EXPECT_ZERO(p + 2 * N * PAGE, 2 * N);
	fill(p, 4 * N, 2);
	MUST(!munlock(p, 4 * N * PAGE));
	cycle();
	EXPECT_FILL(p, 4 * N, 2);
	return OK;
}

static int moved_and_cut(void)
{
	uint8_t *p = map_private(4 * N * PAGE), *q;

	fill(p, 4 * N, 1);
	LOCKED(mlock(p, 4 * N * PAGE));
	q = mremap(p, 4 * N * PAGE, 8 * N * PAGE, MREMAP_MAYMOVE);
	MUST(q != MAP_FAILED);
	cycle();
	cycle();
	EXPECT_LOCAL(q, 8 * N);
	EXPECT_FILL(q, 4 * N, 1);
	MUST(!munmap(q + 2 * N * PAGE, 6 * N * PAGE));
	EXPECT(status_kb("VmLck") == (long)(2 * N * PAGE >> 10), "VmLck %ld kB",
	       status_kb("VmLck"));
	cycle();
	EXPECT_LOCAL(q, 2 * N);
	return OK;
}

static int on_fault(void)
{
	uint8_t *p = map_private(4 * N * PAGE);

	LOCKED(syscall(SYS_mlock2, p, 4 * N * PAGE, MLOCK_ONFAULT));
	fill(p, 2 * N, 1);
	cycle();
	cycle();
	EXPECT_LOCAL(p, 2 * N);
	EXPECT_FILL(p, 2 * N, 1);
	return OK;
}

static int future(void)
{
	uint8_t *p;

	LOCKED(mlockall(MCL_FUTURE));
	p = map_private(4 * N * PAGE);
	EXPECT(status_kb("VmLck") >= (long)(4 * N * PAGE >> 10), "VmLck %ld kB",
	       status_kb("VmLck"));
	fill(p, 4 * N, 1);
	MUST(!munlockall());
	/* What is mapped now is not locked. */
	cycle();
	EXPECT_FILL(p, 4 * N, 1);
	EXPECT(!status_kb("VmLck"), "VmLck %ld kB", status_kb("VmLck"));
	return OK;
}

static int locked_child(uint8_t *p)
{
	EXPECT(!status_kb("VmLck"), "VmLck %ld kB in the child",
	       status_kb("VmLck"));
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* fork does not inherit locks; the parent's stay. */
static int over_fork(void)
{
	uint8_t *p = map_private(4 * N * PAGE);

	fill(p, 4 * N, 1);
	LOCKED(mlock(p, 4 * N * PAGE));
	IN_CHILD(locked_child(p));
	/* The first touch after fork may make a copy; then all are there. */
	fill(p, 4 * N, 2);
	cycle();
	cycle();
	EXPECT_LOCAL(p, 4 * N);
	EXPECT_FILL(p, 4 * N, 2);
	return OK;
}

static int dontneed_refused(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	LOCKED(mlock(p, N * PAGE));
	EXPECT(madvise(p, N * PAGE, MADV_DONTNEED) && errno == EINVAL,
	       "MADV_DONTNEED: %s", strerror(errno));
	EXPECT_FILL(p, N, 1);
	EXPECT(msync(p, N * PAGE, MS_INVALIDATE) && errno == EBUSY,
	       "MS_INVALIDATE: %s", strerror(errno));
	MUST(!madvise(p, N * PAGE, MADV_DONTNEED_LOCKED));
	EXPECT_ZERO(p, N);
	return OK;
}

static int errors(void)
{
	uint8_t *p = map_private(3 * N * PAGE);

	MUST(!munmap(p + N * PAGE, N * PAGE));
	EXPECT(mlock(p, 3 * N * PAGE) && (errno == ENOMEM || errno == EPERM),
	       "over a hole: %s", strerror(errno));
	MUST(!munlock(p, N * PAGE));
	MUST(!mprotect(p, PAGE, PROT_NONE));
	EXPECT(mlock(p, PAGE) && errno == ENOMEM, "PROT_NONE: %s",
	       strerror(errno));
	return OK;
}

/* Without privilege RLIMIT_MEMLOCK is the limit. */
static int limit_memlock(void)
{
	struct rlimit limit = { N * PAGE, N * PAGE };
	uint8_t *p = map_private(2 * N * PAGE);

	MUST(!setrlimit(RLIMIT_MEMLOCK, &limit) && !become_nobody());
	EXPECT(mlock(p, 2 * N * PAGE) && errno == ENOMEM, "beyond: %s",
	       strerror(errno));
	MUST(!mlock(p, N * PAGE));
	EXPECT(mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		    MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED &&
	       errno == EAGAIN, "MAP_LOCKED beyond: %s", strerror(errno));
	EXPECT(mlockall(MCL_CURRENT) && errno == ENOMEM, "mlockall: %s",
	       strerror(errno));
	MUST(!munlock(p, N * PAGE));
	MUST(!mlock(p + N * PAGE, N * PAGE));
	return OK;
}

/* With privilege nothing but memory limits it: 64 MiB are none on any host. */
static int beyond_budget(void)
{
	size_t size = 64 << 20;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			  MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(p != MAP_FAILED);
	if (mlock(p, size)) {
		if (errno == EPERM)
			SKIP("mlock: %s", strerror(errno));
		EXPECT(errno == ENOMEM, "mlock: %s", strerror(errno));
		EXPECT(!status_kb("VmLck"), "refused, but VmLck is %ld kB",
		       status_kb("VmLck"));
		EXPECT(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			    MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED &&
		       errno == EAGAIN, "MAP_LOCKED: %s", strerror(errno));
		EXPECT(mlockall(MCL_CURRENT) && errno == ENOMEM, "mlockall: %s",
		       strerror(errno));
		EXPECT(false, "refused with ENOMEM");
	}
	MUST(!munlock(p, size));
	return OK;
}

const struct check lock_checks[] = {
	SAME("mlock_local", stays_local, "locked memory stays local"),
	SAME("mlock_mremap", moved_and_cut,
	     "locked memory moved, grown and unmapped in part"),
	SAME("mlock2_onfault", on_fault, "`mlock2` with `MLOCK_ONFAULT`"),
	SAME("mlockall_future", future, "`mlockall(MCL_FUTURE)`, `munlockall`"),
	SAME("mlock_fork", over_fork, "locks are not inherited over `fork`"),
	SAME("mlock_dontneed", dontneed_refused,
	     "`MADV_DONTNEED` and `MS_INVALIDATE` of locked memory: refused"),
	SAME("mlock_errors", errors, "`mlock` over a hole, of `PROT_NONE`: `ENOMEM`"),
	SAME("rlimit_memlock", limit_memlock, "`RLIMIT_MEMLOCK`"),
	DIFFERS("mlock_beyond_budget", beyond_budget, "`mlock` of much memory",
		"at most half of the ExCache budget can be locked; more is `ENOMEM`, or `EAGAIN` for `MAP_LOCKED`, also for root"),
	NO_MORE_CHECKS
};
