// SPDX-License-Identifier: GPL-2.0
/* semantics: madvise() and its relatives. */
#include "semantics.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#define N	16UL		/* pages */

/* Newer than the headers may be. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif

static int wipeonfork(void)
{
	uint8_t *p = map_private(N * PAGE), *mid = p + 4 * PAGE;

	fill(p, N, 1);
	MUST(!madvise(mid, 4 * PAGE, MADV_WIPEONFORK));
	cycle();
	IN_CHILD(differs(p, 4, 1) >= 0 || not_zero(mid, 4) >= 0);
	EXPECT_FILL(p, N, 1);
	/* Evicted or not: now they are resident. */
	IN_CHILD(differs(p, 4, 1) >= 0 || not_zero(mid, 4) >= 0);
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int wipe_inherited_by(uint8_t *p)
{
	EXPECT_ZERO(p, N);
	fill(p, N, 2);
	cycle();
	IN_CHILD(not_zero(p, N) >= 0);
	EXPECT_FILL(p, N, 2);
	return OK;
}

/* A child's child is wiped as well. */
static int wipeonfork_inherited(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	MUST(!madvise(p, N * PAGE, MADV_WIPEONFORK));
	IN_CHILD(wipe_inherited_by(p));
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int keeponfork(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	MUST(!madvise(p, N * PAGE, MADV_WIPEONFORK));
	MUST(!madvise(p + 4 * PAGE, 4 * PAGE, MADV_KEEPONFORK));
	cycle();
	IN_CHILD(not_zero(p, 4) >= 0 || differs(p + 4 * PAGE, 0, 1) >= 0 ||
		 not_zero(p + 4 * PAGE, 4) < 0 || not_zero(p + 8 * PAGE, 8) >= 0);
	MUST(!madvise(p, N * PAGE, MADV_KEEPONFORK));
	IN_CHILD(differs(p, N, 1) >= 0);
	return OK;
}

/* The mark goes with the memory: moved by mremap, gone with munmap. */
static int wipeonfork_moves(void)
{
	uint8_t *p = map_private(N * PAGE), *q = map_private(N * PAGE);

	fill(p, N, 1);
	MUST(!madvise(p, N * PAGE, MADV_WIPEONFORK));
	MUST(mremap(p, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	MUST(mmap(p, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		  MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p);
	fill(p, N, 3);
	cycle();
	IN_CHILD(not_zero(q, N) >= 0 || differs(p, N, 3) >= 0);
	EXPECT_FILL(q, N, 1);
	MUST(!munmap(q, N * PAGE));
	MUST(mmap(q, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		  MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == q);
	fill(q, N, 4);
	IN_CHILD(differs(q, N, 4) >= 0);
	return OK;
}

static int wipeonfork_errors(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_private(3 * N * PAGE);
	uint8_t *file = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     fd, 0);

	MUST(file != MAP_FAILED);
	EXPECT(madvise(file, N * PAGE, MADV_WIPEONFORK) && errno == EINVAL,
	       "of a file: %s", strerror(errno));
	fill(p, 3 * N, 1);
	MUST(!munmap(p + N * PAGE, N * PAGE));
	/* A hole is an error, but the rest is done. */
	EXPECT(madvise(p, 3 * N * PAGE, MADV_WIPEONFORK) && errno == ENOMEM,
	       "over a hole: %s", strerror(errno));
	IN_CHILD(not_zero(p, N) >= 0 || not_zero(p + 2 * N * PAGE, N) >= 0);
	EXPECT(madvise(p + 1, PAGE, MADV_WIPEONFORK) && errno == EINVAL,
	       "unaligned: %s", strerror(errno));
	return OK;
}

static int dontfork(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	MUST(!madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTFORK));
	cycle();
	IN_CHILD(differs(p, 4, 1) >= 0 ||
		 fault_of(p + 4 * PAGE, false) != SIGSEGV);
	EXPECT_FILL(p, N, 1);
	MUST(!madvise(p, N * PAGE, MADV_DOFORK));
	IN_CHILD(differs(p, N, 1) >= 0);
	return OK;
}

/* Advice that needs anonymous memory says so of a file, and the reverse. */
static int wrong_kind(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_private(N * PAGE);
	uint8_t *file = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     fd, 0);

	MUST(file != MAP_FAILED);
	fill(p, N, 1);
	fill(file, N, 2);
	EXPECT(madvise(file, N * PAGE, MADV_FREE) && errno == EINVAL,
	       "MADV_FREE of a file: %s", strerror(errno));
	EXPECT_FILL(file, N, 2);
	EXPECT(madvise(p, N * PAGE, MADV_REMOVE) && errno == EINVAL,
	       "MADV_REMOVE of anonymous memory: %s", strerror(errno));
	EXPECT(madvise(file, N * PAGE, MADV_REMOVE) && errno == EACCES,
	       "MADV_REMOVE of a private mapping: %s", strerror(errno));
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int populate_advice(void)
{
	uint8_t *p = map_private(N * PAGE);

	MUST(!madvise(p, N / 2 * PAGE, MADV_POPULATE_READ));
	MUST(!madvise(p, N * PAGE, MADV_POPULATE_WRITE));
	EXPECT_ZERO(p, N);
	fill(p, N, 1);
	cycle();
	MUST(!madvise(p, N * PAGE, MADV_POPULATE_READ));
	EXPECT_FILL(p, N, 1);
	MUST(!mprotect(p, PAGE, PROT_READ));
	EXPECT(madvise(p, N * PAGE, MADV_POPULATE_WRITE) && errno == EINVAL,
	       "of read-only memory: %s", strerror(errno));
	return OK;
}

/* Advice about when memory will be used changes nothing else. */
static int harmless(void)
{
	static const int advice[] = {
		MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_COLD,
		MADV_PAGEOUT, MADV_DONTDUMP, MADV_DODUMP, MADV_MERGEABLE,
		MADV_UNMERGEABLE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_NORMAL
	};
	uint8_t *p = map_private(N * PAGE);
	size_t i;

	fill(p, N, 1);
	for (i = 0; i < sizeof(advice) / sizeof(*advice); i++) {
		MUST(!madvise(p, N * PAGE, advice[i]));
		EXPECT_FILL(p, N, 1);
		cycle();
	}
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int willneed(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	MUST(!madvise(p, N * PAGE, MADV_WILLNEED));
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int collapse(void)
{
	size_t size = 4 << 20, huge = 2 << 20;
	uint8_t *p = map_private(size), *q;

	q = (uint8_t *)(((uintptr_t)p + huge - 1) & ~(huge - 1));
	fill(q, N, 1);
	if (madvise(q, huge, MADV_COLLAPSE)) {
		EXPECT(errno == EAGAIN || errno == EBUSY || errno == ENOMEM,
		       "MADV_COLLAPSE: %s", strerror(errno));
		SKIP("MADV_COLLAPSE: %s", strerror(errno));
	}
	EXPECT_FILL(q, N, 1);
	return OK;
}

static int dontneed_errors(void)
{
	uint8_t *p = map_private(3 * N * PAGE);

	fill(p, 3 * N, 1);
	MUST(!munmap(p + N * PAGE, N * PAGE));
	EXPECT(madvise(p, 3 * N * PAGE, MADV_DONTNEED) && errno == ENOMEM,
	       "over a hole: %s", strerror(errno));
	EXPECT_ZERO(p, N);
	EXPECT_ZERO(p + 2 * N * PAGE, N);
	fill(p, N, 2);
	MUST(!madvise(p, 0, MADV_DONTNEED));
	EXPECT(madvise(p + 1, PAGE, MADV_DONTNEED) && errno == EINVAL,
	       "unaligned: %s", strerror(errno));
	EXPECT_FILL(p, N, 2);
	return OK;
}

static int process_advice(void)
{
	uint8_t *p = map_private(2 * N * PAGE);
	struct iovec vec[2] = { { p, 4 * PAGE }, { p + N * PAGE, 4 * PAGE } };
	int self = syscall(SYS_pidfd_open, getpid(), 0);

	if (self < 0)
		SKIP("pidfd_open: %s", strerror(errno));
	fill(p, 2 * N, 1);
	MUST(syscall(SYS_process_madvise, self, vec, 2, MADV_COLD, 0) ==
	     (long)(8 * PAGE));
	MUST(syscall(SYS_process_madvise, self, vec, 2, MADV_PAGEOUT, 0) ==
	     (long)(8 * PAGE));
	cycle();
	EXPECT_FILL(p, 2 * N, 1);
	return OK;
}

static int sync_private(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_private(N * PAGE), *buf = map_private(N * PAGE);
	uint8_t *file = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			     fd, 0);

	MUST(file != MAP_FAILED);
	fill(p, N, 2);
	fill(file, N, 3);
	MUST(!msync(p, N * PAGE, MS_SYNC) && !msync(p, N * PAGE, MS_ASYNC));
	MUST(!msync(p, N * PAGE, MS_SYNC | MS_INVALIDATE));
	MUST(!msync(file, N * PAGE, MS_SYNC));
	EXPECT_FILL(p, N, 2);
	EXPECT_FILL(file, N, 3);
	MUST(pread(fd, buf, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(buf, N, 1);
	return OK;
}

static volatile sig_atomic_t injected;

static void on_inject(int sig)
{
	injected = sig;
}

/* MADV_HWPOISON; *sig: what it raised, or 0. */
static int inject(uint8_t *p, int *sig)
{
	struct sigaction sa = { .sa_handler = on_inject }, before;
	int ret;

	injected = 0;
	sigaction(SIGBUS, &sa, &before);
	ret = madvise(p, PAGE, MADV_HWPOISON);
	sigaction(SIGBUS, &before, NULL);
	*sig = injected;
	return ret;
}

/* From 6.12 on MADV_HWPOISON is like a failed access, which raises SIGBUS. */
static bool signals_at_once(void)
{
	struct utsname name;
	int major = 0, minor = 0;

	uname(&name);
	sscanf(name.release, "%d.%d", &major, &minor);
	return major > 6 || (major == 6 && minor >= 12);
}

static int poison_page(uint8_t *p)
{
	siginfo_t info = { 0 };
	int sig, ret;

	/* Written to: otherwise it would be the page of zeros that all share. */
	fill(p, 5, 1);
	fill(p + 5 * PAGE, N - 5, 3);
	ret = inject(p + 4 * PAGE, &sig);
	EXPECT(ret || sig == (signals_at_once() ? SIGBUS : 0),
	       "at once: signal %d", sig);
	if (ret) {
		if (errno == EPERM || errno == EINVAL)
			SKIP("MADV_HWPOISON: %s", strerror(errno));
		MUST(false);
	}
	sig = fault_info(p + 4 * PAGE, false, &info);
	EXPECT(sig == SIGBUS && info.si_code == BUS_MCEERR_AR,
	       "signal %d, code %d", sig, info.si_code);
	EXPECT(info.si_addr == p + 4 * PAGE, "at %p, not %p", info.si_addr,
	       p + 4 * PAGE);
	EXPECT_FILL(p, 4, 1);
	EXPECT_FILL(p + 5 * PAGE, N - 5, 3);
	cycle();
	sig = fault_of(p + 4 * PAGE, true);
	EXPECT(sig == SIGBUS, "later: signal %d", sig);
	/* The address can be used again after the page was given up. */
	MUST(mmap(p + 4 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		  MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + 4 * PAGE);
	EXPECT_ZERO(p + 4 * PAGE, 1);
	fill(p + 4 * PAGE, 1, 2);
	cycle();
	EXPECT_FILL(p + 4 * PAGE, 1, 2);
	EXPECT_FILL(p, 4, 1);
	return OK;
}

static int hwpoison(void)
{
	return poison_page(map_private(N * PAGE));
}

const struct check advise_checks[] = {
	SAME("wipeonfork", wipeonfork, "`MADV_WIPEONFORK`: zeros in the child"),
	SAME("wipeonfork_inherited", wipeonfork_inherited,
	     "`MADV_WIPEONFORK` is inherited"),
	SAME("keeponfork", keeponfork, "`MADV_KEEPONFORK` undoes it, for a part"),
	SAME("wipeonfork_moves", wipeonfork_moves,
	     "`MADV_WIPEONFORK` moves with `mremap`, ends with `munmap`"),
	SAME("wipeonfork_errors", wipeonfork_errors,
	     "`MADV_WIPEONFORK`: files refused, holes reported"),
	SAME("dontfork", dontfork, "`MADV_DONTFORK`, `MADV_DOFORK`"),
	SAME("madvise_kind", wrong_kind,
	     "`MADV_FREE` of files, `MADV_REMOVE` of private memory: refused"),
	SAME("madvise_populate", populate_advice,
	     "`MADV_POPULATE_READ`, `MADV_POPULATE_WRITE`"),
	SAME("madvise_harmless", harmless,
	     "`MADV_COLD`, `PAGEOUT`, `MERGEABLE`, `HUGEPAGE`, `DONTDUMP` and others: data stays"),
	SAME("madvise_willneed", willneed, "`MADV_WILLNEED`"),
	DIFFERS("madvise_collapse", collapse, "`MADV_COLLAPSE`",
		"`EINVAL`: managed memory has no huge pages"),
	SAME("madvise_dontneed_errors", dontneed_errors,
	     "`MADV_DONTNEED` over a hole, of nothing, unaligned"),
	SAME("process_madvise", process_advice, "`process_madvise`"),
	SAME("msync", sync_private, "`msync` of private memory"),
	SAME("hwpoison", hwpoison,
	     "`MADV_HWPOISON`: SIGBUS for that page, all else stays"),
	NO_MORE_CHECKS
};
