// SPDX-License-Identifier: GPL-2.0
/* semantics: what the calls on mappings promise. */
#include "semantics.h"

#include <alloca.h>
#include <sys/resource.h>

#define N	16UL		/* pages */

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Filled and initialised data of the program: a private file mapping. */
static uint64_t data_pages[N * PAGE_WORDS] __attribute__((aligned(4096))) = { 1 };
static uint64_t bss_pages[N * PAGE_WORDS] __attribute__((aligned(4096)));

static int zero_fill(void)
{
	uint8_t *p = map_private(N * PAGE);

	EXPECT_ZERO(p, N / 2);
	cycle();
	EXPECT_ZERO(p, N);
	return OK;
}

static int keeps_data(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	EXPECT_FILL(p, N, 1);
	fill(p, N, 2);
	cycle();
	cycle();
	EXPECT_FILL(p, N, 2);
	return OK;
}

static int dontneed(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	MUST(!madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTNEED));
	EXPECT_ZERO(p + 4 * PAGE, 4);
	EXPECT_FILL(p, 4, 1);
	fill(p + 4 * PAGE, 4, 2);
	cycle();
	EXPECT_FILL(p + 4 * PAGE, 4, 2);
	MUST(!madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTNEED));
	cycle();
	EXPECT_ZERO(p + 4 * PAGE, 4);
	return OK;
}

/* Until the kernel takes a page it keeps its data, afterwards it is zero. */
static int madv_free(void)
{
	uint8_t *p = map_private(N * PAGE), *old = map_private(N * PAGE);
	size_t i;

	fill(p, N, 1);
	memcpy(old, p, N * PAGE);
	cycle();
	MUST(!madvise(p, N * PAGE, MADV_FREE));
	cycle();
	for (i = 0; i < N; i++)
		EXPECT(!memcmp(p + i * PAGE, old + i * PAGE, PAGE) ||
		       not_zero(p + i * PAGE, 1) < 0,
		       "page %zu is neither old nor zero", i);
	fill(p, N, 2);
	cycle();
	EXPECT_FILL(p, N, 2);
	return OK;
}

static int brk_regrow(void)
{
	uint8_t *p = sbrk(0), *base;

	base = (uint8_t *)(((uintptr_t)p + PAGE - 1) & ~(PAGE - 1));
	MUST(!brk(base + N * PAGE));
	EXPECT_ZERO(base, N);
	fill(base, N, 1);
	cycle();
	MUST(!brk(base + 4 * PAGE));
	cycle();
	MUST(!brk(base + N * PAGE));
	EXPECT_ZERO(base + 4 * PAGE, N - 4);
	EXPECT_FILL(base, 4, 1);
	MUST(!brk(base));
	MUST(!brk(base + N * PAGE));
	cycle();
	EXPECT_ZERO(base, N);
	return OK;
}

static int mremap_grow(void)
{
	uint8_t *p = map_private(2 * N * PAGE), *q;

	MUST(!munmap(p + N * PAGE, N * PAGE));
	fill(p, N, 1);
	cycle();
	q = mremap(p, N * PAGE, 2 * N * PAGE, 0);
	MUST(q == p);
	EXPECT_FILL(q, N, 1);
	EXPECT_ZERO(q + N * PAGE, N);
	fill(q, 2 * N, 2);
	q = mremap(q, 2 * N * PAGE, N * PAGE, 0);
	MUST(q == p);
	cycle();
	EXPECT_FILL(q, N, 2);
	q = mremap(q, N * PAGE, 2 * N * PAGE, MREMAP_MAYMOVE);
	MUST(q != MAP_FAILED);
	EXPECT_FILL(q, N, 2);
	EXPECT_ZERO(q + N * PAGE, N);
	return OK;
}

/* After a move: data at the new address, and the old one starts afresh. */
static int check_moved(uint8_t *old, uint8_t *new)
{
	uint8_t *again;

	EXPECT_FILL(new, N, 1);
	EXPECT(fault_of(old, false) == SIGSEGV, "old address can be read");
	again = mmap(old, N * PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	MUST(again == old);
	EXPECT_ZERO(old, N);
	fill(old, N, 3);
	cycle();
	EXPECT_FILL(new, N, 1);
	fill(new, N, 4);
	cycle();
	EXPECT_FILL(old, N, 3);
	EXPECT_FILL(new, N, 4);
	return OK;
}

/* A neighbour right behind makes growing in place impossible. */
static int mremap_move(void)
{
	uint8_t *p = map_private((N + 1) * PAGE), *q;

	fill(p, N, 1);
	cycle();
	q = mremap(p, N * PAGE, 2 * N * PAGE, MREMAP_MAYMOVE);
	MUST(q != MAP_FAILED);
	EXPECT(q != p, "was not moved");
	EXPECT_ZERO(q + N * PAGE, N);
	return check_moved(p, q);
}

static int mremap_fixed(void)
{
	uint8_t *p = map_private(N * PAGE), *target = map_private(N * PAGE);

	fill(p, N, 1);
	fill(target, N, 2);
	cycle();
	MUST(mremap(p, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    target) == target);
	return check_moved(p, target);
}

/* From the middle of a mapping, and there and back again. */
static int mremap_part(void)
{
	uint8_t *p = map_private(3 * N * PAGE), *q = map_private(N * PAGE);
	uint8_t *mid = p + N * PAGE;

	fill(p, N, 5);
	fill(mid, N, 1);
	fill(p + 2 * N * PAGE, N, 6);
	cycle();
	MUST(mremap(mid, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    q) == q);
	EXPECT_FILL(q, N, 1);
	cycle();
	MUST(mremap(q, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		    mid) == mid);
	cycle();
	EXPECT_FILL(p, N, 5);
	EXPECT_FILL(mid, N, 1);
	EXPECT_FILL(p + 2 * N * PAGE, N, 6);
	return OK;
}

static int mremap_dontunmap(void)
{
	uint8_t *p = map_private(N * PAGE), *q;

	fill(p, N, 1);
	cycle();
	q = mremap(p, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
	if (q == MAP_FAILED && errno == EINVAL)
		SKIP("the kernel refuses MREMAP_DONTUNMAP here");
	MUST(q != MAP_FAILED);
	EXPECT_FILL(q, N, 1);
	EXPECT_ZERO(p, N);
	fill(p, N, 2);
	cycle();
	EXPECT_FILL(q, N, 1);
	EXPECT_FILL(p, N, 2);
	return OK;
}

static int mprotect_changes(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	MUST(!mprotect(p + 4 * PAGE, 4 * PAGE, PROT_READ));
	EXPECT(!fault_of(p + 4 * PAGE, false), "read-only cannot be read");
	EXPECT(fault_of(p + 4 * PAGE, true) == SIGSEGV, "read-only was written");
	cycle();
	EXPECT(fault_of(p + 5 * PAGE, true) == SIGSEGV, "read-only was written");
	EXPECT_FILL(p, N, 1);
	MUST(!mprotect(p + 4 * PAGE, 4 * PAGE, PROT_NONE));
	EXPECT(fault_of(p + 6 * PAGE, false) == SIGSEGV, "PROT_NONE was read");
	cycle();
	MUST(!mprotect(p, N * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_FILL(p, N, 1);
	fill(p, N, 2);
	cycle();
	EXPECT_FILL(p, N, 2);
	return OK;
}

/* Reserved first, made writable later, as allocators and stacks do. */
static int mprotect_reserved(void)
{
	uint8_t *p = mmap(NULL, 2 * N * PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(p != MAP_FAILED);
	MUST(!mprotect(p, N * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_ZERO(p, N);
	fill(p, N, 1);
	cycle();
	MUST(!mprotect(p + N * PAGE, N * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_FILL(p, N, 1);
	EXPECT_ZERO(p + N * PAGE, N);
	return OK;
}

static int partial_munmap(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	MUST(!munmap(p + 4 * PAGE, 4 * PAGE));
	EXPECT(fault_of(p + 4 * PAGE, false) == SIGSEGV, "unmapped was read");
	MUST(mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	     p + 4 * PAGE);
	EXPECT_ZERO(p + 4 * PAGE, 4);
	cycle();
	EXPECT_ZERO(p + 4 * PAGE, 4);
	EXPECT_FILL(p, 4, 1);
	return OK;
}

static int map_fixed(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	MUST(mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	     p + 4 * PAGE);
	EXPECT_ZERO(p + 4 * PAGE, 4);
	EXPECT_FILL(p, 4, 1);
	fill(p + 4 * PAGE, 4, 2);
	cycle();
	EXPECT_FILL(p + 4 * PAGE, 4, 2);
	return OK;
}

static int noreserve_1t(void)
{
	size_t size = 1UL << 40, step = size / 8, i;
	uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED && errno == ENOMEM)
		SKIP("the kernel refuses 1 TiB (overcommit)");
	MUST(p != MAP_FAILED);
	for (i = 0; i < 8; i++)
		fill(p + i * step, 1, i);
	cycle();
	for (i = 0; i < 8; i++)
		EXPECT_FILL(p + i * step, 1, i);
	MUST(!munmap(p, size));
	return OK;
}

static int data_and_bss(void)
{
	EXPECT(data_pages[0] == 1, "initialised data is %llu",
	       (unsigned long long)data_pages[0]);
	EXPECT_ZERO(bss_pages, N);
	fill(data_pages, N, 1);
	fill(bss_pages, N, 2);
	cycle();
	EXPECT_FILL(data_pages, N, 1);
	EXPECT_FILL(bss_pages, N, 2);
	return OK;
}

static int private_file(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			  fd, 0);
	uint8_t *buf = map_private(N * PAGE);

	MUST(p != MAP_FAILED);
	EXPECT_FILL(p, N, 1);
	fill(p, 4, 2);
	cycle();
	EXPECT_FILL(p, 4, 2);
	MUST(pread(fd, buf, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(buf, N, 1);
	/* What was private goes, the file shows again. */
	MUST(!madvise(p, N * PAGE, MADV_DONTNEED));
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int private_file_eof(void)
{
	int fd = scratch_file(2, 1);
	uint8_t *p;

	MUST(!ftruncate(fd, PAGE + 100));
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(p != MAP_FAILED);
	EXPECT_FILL(p, 1, 1);
	EXPECT(!p[PAGE + 100] && !p[2 * PAGE - 1], "rest of the last page");
	EXPECT(fault_of(p + 2 * PAGE, false) == SIGBUS, "read beyond the end");
	EXPECT(fault_of(p + 3 * PAGE, true) == SIGBUS, "write beyond the end");
	return OK;
}

static __attribute__((noinline)) int use_stack(size_t size)
{
	volatile uint8_t *p = alloca(size);
	size_t i;

	for (i = size; i >= PAGE; i -= PAGE)
		p[i - PAGE] = i >> 12;
	cycle();
	for (i = size; i >= PAGE; i -= PAGE)
		EXPECT(p[i - PAGE] == (uint8_t)(i >> 12), "page %zu", i >> 12);
	return OK;
}

static int large_stack(void)
{
	struct rlimit limit;

	MUST(!getrlimit(RLIMIT_STACK, &limit));
	return use_stack(limit.rlim_cur > 8 << 20 ? 6 << 20 :
			 limit.rlim_cur / 2 & ~(PAGE - 1));
}

static int mincore_works(void)
{
	uint8_t *p = map_private(N * PAGE);
	unsigned char vec[N];

	fill(p, N, 1);
	MUST(!mincore(p, N * PAGE, vec));
	MUST(!munmap(p, N * PAGE));
	EXPECT(mincore(p, N * PAGE, vec) == -1 && errno == ENOMEM,
	       "mincore of nothing: errno %d", errno);
	return OK;
}

/* Whether memory stays is policy; that it works and is undone is not. */
static int mlock_works(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	if (mlock(p, N * PAGE)) {
		EXPECT(errno == ENOMEM || errno == EPERM || errno == EAGAIN,
		       "mlock: %s", strerror(errno));
		SKIP("mlock: %s", strerror(errno));
	}
	cycle();
	EXPECT_FILL(p, N, 1);
	MUST(!munlock(p, N * PAGE));
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int populate(void)
{
	uint8_t *p = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	MUST(p != MAP_FAILED);
	EXPECT_ZERO(p, N);
	fill(p, N, 1);
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

const struct check map_checks[] = {
	SAME("zero_fill", zero_fill,
	     "anonymous memory begins as zeros"),
	SAME("keeps_data", keeps_data,
	     "what was stored stays, evicted or not"),
	SAME("madvise_dontneed", dontneed,
	     "`MADV_DONTNEED`: zeros afterwards"),
	SAME("madvise_free", madv_free,
	     "`MADV_FREE`: old data or zeros, page by page"),
	SAME("brk_regrow", brk_regrow,
	     "`brk`: shrunk and grown again, zeros"),
	SAME("mremap_grow", mremap_grow,
	     "`mremap` grows and shrinks"),
	SAME("mremap_move", mremap_move,
	     "`mremap` moves; the old address starts afresh"),
	SAME("mremap_fixed", mremap_fixed,
	     "`mremap` with `MREMAP_FIXED` over a mapping"),
	SAME("mremap_part", mremap_part,
	     "`mremap` of the middle of a mapping, there and back"),
	SAME("mremap_dontunmap", mremap_dontunmap,
	     "`mremap` with `MREMAP_DONTUNMAP`: data moves, zeros stay"),
	SAME("mprotect", mprotect_changes,
	     "`mprotect`: read-only, none, and back; data stays"),
	SAME("mprotect_reserved", mprotect_reserved,
	     "`PROT_NONE` reservation made writable piece by piece"),
	SAME("partial_munmap", partial_munmap,
	     "`munmap` of a part, mapped anew: zeros"),
	SAME("map_fixed", map_fixed,
	     "`MAP_FIXED` over memory in use"),
	SAME("map_populate", populate,
	     "`MAP_POPULATE`"),
	SAME("noreserve_1t", noreserve_1t,
	     "reservation of 1 TiB with `MAP_NORESERVE`"),
	SAME("data_and_bss", data_and_bss,
	     "`.data` and `.bss` of the program"),
	SAME("private_file", private_file,
	     "private file mapping: writes are private, `MADV_DONTNEED` shows the file again"),
	SAME("private_file_eof", private_file_eof,
	     "private file mapping: tail of zeros, SIGBUS past the end of the file"),
	SAME("large_stack", large_stack,
	     "a stack of megabytes"),
	SAME("mincore", mincore_works,
	     "`mincore`"),
	SAME("mlock", mlock_works,
	     "`mlock` and `munlock` work"),
	NO_MORE_CHECKS
};
