// SPDX-License-Identifier: GPL-2.0
/* semantics: corners of mapping, moving and protecting. */
#include "semantics.h"

#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define N	16UL		/* pages */

static int mremap_zero_length(void)
{
	uint8_t *p = map_private(N * PAGE), *q = map_private(N * PAGE);

	fill(p, N, 1);
	EXPECT(mremap(p, 0, N * PAGE, MREMAP_MAYMOVE) == MAP_FAILED &&
	       errno == EINVAL, "old length 0: %s", strerror(errno));
	EXPECT(mremap(p, 0, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) ==
	       MAP_FAILED && errno == EINVAL, "old length 0, fixed: %s",
	       strerror(errno));
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int mremap_errors(void)
{
	uint8_t *p = map_private((N + 1) * PAGE);

	fill(p, N, 1);
	EXPECT(mremap(p, N * PAGE, 2 * N * PAGE, 0) == MAP_FAILED &&
	       errno == ENOMEM, "no room: %s", strerror(errno));
	EXPECT(mremap(p + PAGE, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      p) == MAP_FAILED && errno == EINVAL,
	       "overlap: %s", strerror(errno));
	EXPECT(mremap(p, 0x10000 * PAGE, 0x20000 * PAGE, MREMAP_MAYMOVE) ==
	       MAP_FAILED && errno == EFAULT, "beyond: %s", strerror(errno));
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* Memory of either kind over memory of either kind. */
static int map_fixed_mixed(void)
{
	uint8_t *p = map_private(N * PAGE), *q;
	int prot = PROT_READ | PROT_WRITE, fixed = MAP_FIXED | MAP_ANONYMOUS;

	fill(p, N, 1);
	cycle();
	q = p + 4 * PAGE;
	MUST(mmap(q, 4 * PAGE, prot, fixed | MAP_SHARED, -1, 0) == q);
	EXPECT_ZERO(q, 4);
	fill(q, 4, 2);
	cycle();
	EXPECT_FILL(p, 4, 1);
	EXPECT_FILL(q, 4, 2);
	MUST(mmap(q, 4 * PAGE, prot, fixed | MAP_SHARED, -1, 0) == q);
	EXPECT_ZERO(q, 4);
	fill(q, 4, 3);
	MUST(mmap(q, 4 * PAGE, prot, fixed | MAP_PRIVATE, -1, 0) == q);
	EXPECT_ZERO(q, 4);
	cycle();
	EXPECT_ZERO(q, 4);
	fill(q, 4, 4);
	cycle();
	EXPECT_FILL(p, 4, 1);
	EXPECT_FILL(q, 4, 4);
	EXPECT(managed_if_tagged(q), "%s", maps_line(q));
	return OK;
}

/* A file's page must not come back where the file was mapped before. */
static int map_fixed_over_file(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			  fd, 0);

	MUST(p != MAP_FAILED);
	EXPECT_FILL(p, N / 2, 1);
	MUST(mmap(p, N * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	EXPECT_ZERO(p, N);
	cycle();
	EXPECT_ZERO(p, N);
	MUST(mmap(p, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
		  fd, 0) == p);
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* As a JVM does: reserve much, commit some, give back, commit again. */
static int reserve_commit(void)
{
	size_t size = 1UL << 32;
	uint8_t *p = mmap(NULL, size, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *mid = p + size / 2;
	int fixed = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

	MUST(p != MAP_FAILED);
	MUST(mmap(mid, N * PAGE, PROT_READ | PROT_WRITE, fixed, -1, 0) == mid);
	fill(mid, N, 1);
	cycle();
	EXPECT_FILL(mid, N, 1);
	MUST(mmap(mid, N * PAGE, PROT_NONE, fixed | MAP_NORESERVE, -1, 0) == mid);
	EXPECT(fault_of(mid, false) == SIGSEGV, "given back, but readable");
	MUST(!mprotect(mid - N * PAGE, 2 * N * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_ZERO(mid - N * PAGE, 2 * N);
	MUST(!munmap(p, size));
	return OK;
}

static int dev_zero(void)
{
	FILE *zero = fopen("/dev/zero", "r+e");
	uint8_t *p;

	if (!zero)
		SKIP("/dev/zero: %s", strerror(errno));
	p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
		 fileno(zero), 0);
	MUST(p != MAP_FAILED);
	EXPECT_ZERO(p, N);
	fill(p, N, 1);
	cycle();
	EXPECT_FILL(p, N, 1);
	EXPECT(managed_if_tagged(p), "%s", maps_line(p));
	return OK;
}

/* Deliberately beyond what was mapped: the kernel extends it downwards. */
static int growsdown(void)
{
	uint8_t *p = mmap(NULL, 64 * N * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *top;
	int i;

	MUST(p != MAP_FAILED);
	MUST(!munmap(p, 64 * N * PAGE));
	top = p + 60 * N * PAGE;
	MUST(mmap(top, PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE,
		  -1, 0) == top);
	for (i = 0; i < (int)N; i++)
		EXPECT(!fault_of(top - i * PAGE, true), "page %d does not grow", i);
	top -= (N - 1) * PAGE;
	fill(top, N, 1);
	cycle();
	EXPECT_FILL(top, N, 1);
	return OK;
}

/* What a JIT does: write code, make it executable, run it, write it again. */
static int run_written_code(void)
{
	/* mov $42, %eax; ret */
	static const uint8_t code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	uint8_t *p = map_private(PAGE);
	int (*fn)(void) = (int (*)(void))(uintptr_t)p;

	memcpy(p, code, sizeof(code));
	MUST(!mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	cycle();
	EXPECT(fn() == 42, "the code returned something else");
	MUST(!mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	p[1] = 43;
	MUST(!mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	cycle();
	EXPECT(fn() == 43, "the new code returned something else");
	MUST(!mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	p[1] = 44;
	EXPECT(fn() == 44, "the last code returned something else");
	return OK;
}

static int read_implies_exec(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p;

	MUST(personality(READ_IMPLIES_EXEC) >= 0);
	p = map_private(N * PAGE);
	EXPECT(strstr(maps_line(p), " rwx"), "%s", maps_line(p));
	MUST(!mprotect(p, PAGE, PROT_READ));
	EXPECT(strstr(maps_line(p), " r-x"), "%s", maps_line(p));
	p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* It is for shared mappings: private ones it refuses. */
static int remap_pages(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	EXPECT(syscall(SYS_remap_file_pages, p, 4 * PAGE, 0, 4, 0) == -1 &&
	       errno == EINVAL, "%s", strerror(errno));
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int brk_corners(void)
{
	uint8_t *base = sbrk(0);
	struct rlimit limit = { 64 << 20, 64 << 20 };

	base = (uint8_t *)(((uintptr_t)base + PAGE - 1) & ~(PAGE - 1));
	MUST(!brk(base + N * PAGE + 100));
	fill(base, N, 1);
	base[N * PAGE + 99] = 7;
	/* Within one page: nothing is unmapped, nothing zeroed. */
	MUST(!brk(base + N * PAGE + 50));
	MUST(!brk(base + N * PAGE + 100));
	EXPECT(base[N * PAGE + 99] == 7, "byte beyond the break was lost");
	cycle();
	EXPECT_FILL(base, N, 1);
	EXPECT(managed_if_tagged(base), "%s", maps_line(base));
	/* A hole in the heap, then growth above it. */
	MUST(!munmap(base + 2 * PAGE, 2 * PAGE));
	MUST(!brk(base + 2 * N * PAGE));
	EXPECT_ZERO(base + (N + 1) * PAGE, N - 1);
	EXPECT(fault_of(base + 2 * PAGE, false) == SIGSEGV, "the hole is gone");
	MUST(!setrlimit(RLIMIT_DATA, &limit));
	EXPECT(brk(base + (128UL << 20)) == -1 && errno == ENOMEM,
	       "beyond RLIMIT_DATA: %s", strerror(errno));
	return OK;
}

static int limit_as(void)
{
	long now_kb = status_kb("VmSize");
	struct rlimit limit;
	void *p;

	MUST(now_kb > 0);
	limit.rlim_cur = limit.rlim_max = (now_kb << 10) + (16 << 20);
	MUST(!setrlimit(RLIMIT_AS, &limit));
	p = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	EXPECT(mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       errno == ENOMEM, "beyond RLIMIT_AS: %s", strerror(errno));
	EXPECT(mremap(p, 8 << 20, 32 << 20, MREMAP_MAYMOVE) == MAP_FAILED &&
	       errno == ENOMEM, "grown beyond RLIMIT_AS: %s", strerror(errno));
	MUST(!munmap(p, 8 << 20));
	p = mmap(NULL, 12 << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(p != MAP_FAILED);
	return OK;
}

/* What is writable and private counts, however it came to be so. */
static int limit_data(void)
{
	long before = status_kb("VmData"), now;
	struct rlimit limit;
	size_t mb = 1 << 20;
	uint8_t *p, *q;

	p = map_private(8 * mb);
	now = status_kb("VmData");
	EXPECT(now - before == 8 << 10, "8 MiB count as %ld KiB", now - before);
	MUST(!mprotect(p, 4 * mb, PROT_READ));
	now = status_kb("VmData");
	EXPECT(now - before == 4 << 10, "half read-only: %ld KiB", now - before);
	limit.rlim_cur = limit.rlim_max = (now << 10) + 2 * mb;
	MUST(!setrlimit(RLIMIT_DATA, &limit));
	EXPECT(mprotect(p, 4 * mb, PROT_READ | PROT_WRITE) && errno == ENOMEM,
	       "mprotect beyond RLIMIT_DATA: %s", strerror(errno));
	EXPECT(mmap(NULL, 4 * mb, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       errno == ENOMEM, "mmap beyond RLIMIT_DATA: %s", strerror(errno));
	EXPECT(mremap(p + 4 * mb, 4 * mb, 8 * mb, MREMAP_MAYMOVE) == MAP_FAILED &&
	       errno == ENOMEM, "mremap beyond RLIMIT_DATA: %s", strerror(errno));
	q = mmap(NULL, 8 * mb, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(q != MAP_FAILED);
	MUST(!munmap(p, 8 * mb) && !munmap(q, 8 * mb));
	now = status_kb("VmData");
	EXPECT(now == before, "after munmap: %ld KiB more", now - before);
	return OK;
}

const struct check remap_checks[] = {
	SAME("mremap_zero_length", mremap_zero_length,
	     "`mremap` with old length 0: `EINVAL`"),
	SAME("mremap_errors", mremap_errors, "`mremap`: its errors"),
	SAME("map_fixed_mixed", map_fixed_mixed,
	     "`MAP_FIXED` of private over shared memory and the reverse"),
	SAME("map_fixed_over_file", map_fixed_over_file,
	     "`MAP_FIXED` of anonymous memory over a private file mapping"),
	SAME("reserve_commit", reserve_commit,
	     "4 GiB reserved with `PROT_NONE`, parts committed and given back (JVM)"),
	SAME("dev_zero", dev_zero, "private mapping of `/dev/zero`"),
	SAME("growsdown", growsdown, "`MAP_GROWSDOWN`"),
	SAME("run_written_code", run_written_code,
	     "code written, made executable, run, written again (JIT)"),
	SAME("read_implies_exec", read_implies_exec,
	     "personality `READ_IMPLIES_EXEC`"),
	SAME("remap_file_pages", remap_pages,
	     "`remap_file_pages` of private memory: `EINVAL`"),
	SAME("brk_corners", brk_corners,
	     "`brk` within a page, above a hole, beyond `RLIMIT_DATA`"),
	SAME("rlimit_as", limit_as, "`RLIMIT_AS`"),
	SAME("rlimit_data", limit_data, "`RLIMIT_DATA` and `VmData`"),
	NO_MORE_CHECKS
};
