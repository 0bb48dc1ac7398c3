// SPDX-License-Identifier: GPL-2.0
/* semantics: private mappings of files. */
#include "semantics.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/sendfile.h>

#define N	16UL		/* pages */

static uint8_t *map_file(int fd, size_t pages, int prot)
{
	uint8_t *p = mmap(NULL, pages * PAGE, prot, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		die("mmap of a file");
	return p;
}

/* Mapped read-only and made writable later, in part. */
static int protect_file(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_file(fd, N, PROT_READ), *mid = p + 4 * PAGE;
	uint8_t *buf = map_private(N * PAGE);

	EXPECT_FILL(p, 4, 1);
	MUST(!mprotect(mid, 8 * PAGE, PROT_READ | PROT_WRITE));
	EXPECT(managed_if_tagged(mid), "%s", maps_line(mid));
	EXPECT(fault_of(p, true) == SIGSEGV, "page 0 can be written");
	EXPECT_FILL(p, N, 1);
	fill(mid, 4, 2);
	cycle();
	EXPECT_FILL(mid, 4, 2);
	MUST(!mprotect(p, N * PAGE, PROT_READ));
	EXPECT(fault_of(mid, true) == SIGSEGV, "read-only can be written");
	MUST(!mprotect(p, N * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_FILL(mid, 4, 2);
	fill(p, 1, 3);
	cycle();
	EXPECT_FILL(p, 1, 3);
	MUST(pread(fd, buf, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(buf, N, 1);
	MUST(!munmap(p, N * PAGE));
	return OK;
}

/* Over two mappings of different files and anonymous memory at once. */
static int protect_several(void)
{
	int a = scratch_file(N, 1), b = scratch_file(N, 2);
	uint8_t *p = map_private(4 * N * PAGE), *q = p + N * PAGE;
	int fixed = MAP_PRIVATE | MAP_FIXED;

	fill(p, N, 9);
	MUST(mmap(q, N * PAGE, PROT_READ, fixed, a, 0) == q);
	MUST(mmap(q + N * PAGE, N * PAGE, PROT_READ | PROT_EXEC, fixed, b, 0) ==
	     q + N * PAGE);
	MUST(!mprotect(p, 4 * N * PAGE, PROT_READ | PROT_WRITE));
	EXPECT_FILL(p, N, 9);
	EXPECT_FILL(q, N, 1);
	EXPECT_FILL(q + N * PAGE, N, 2);
	fill(q, 2 * N, 3);
	cycle();
	EXPECT_FILL(q, 2 * N, 3);
	EXPECT_FILL(p, N, 9);
	EXPECT_ZERO(p + 3 * N * PAGE, N);
	/* A hole ends it, after what comes before was changed. */
	MUST(!munmap(q, PAGE));
	EXPECT(mprotect(p, 4 * N * PAGE, PROT_READ) && errno == ENOMEM,
	       "over a hole: %s", strerror(errno));
	EXPECT(fault_of(p, true) == SIGSEGV, "before the hole is writable");
	return OK;
}

static int text_word = 5;

/* Text that is written to: relocations in place, patched code. */
static int protect_text(void)
{
	uint8_t *page = (uint8_t *)((uintptr_t)protect_several & ~(PAGE - 1));
	uint8_t *copy = map_private(2 * PAGE);

	memcpy(copy, page, 2 * PAGE);
	MUST(!mprotect(page, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT(managed_if_tagged(page), "%s", maps_line(page));
	EXPECT(!memcmp(copy, page, 2 * PAGE), "the text changed");
	page[0] ^= 0xff;
	page[0] ^= 0xff;
	cycle();
	MUST(!mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC));
	EXPECT(!memcmp(copy, page, 2 * PAGE), "the text changed");
	EXPECT(text_word == 5, "the data changed");
	return protect_file();
}

static int mremap_file(void)
{
	int fd = scratch_file(4 * N, 1);
	uint8_t *p = map_file(fd, 4 * N, PROT_READ | PROT_WRITE), *q;
	uint8_t *want = map_private(4 * N * PAGE);

	fill(want, 4 * N, 1);
	MUST(!munmap(p + N * PAGE, 3 * N * PAGE));
	fill(p, 1, 2);
	cycle();
	MUST(mremap(p, N * PAGE, 2 * N * PAGE, 0) == p);
	EXPECT_FILL(p, 1, 2);
	EXPECT(!memcmp(p + PAGE, want + PAGE, (2 * N - 1) * PAGE),
	       "grown in place it does not show more of the file");
	cycle();
	/* A neighbour: now it must move. */
	MUST(mmap(p + 2 * N * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS |
		  MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * N * PAGE);
	q = mremap(p, 2 * N * PAGE, 4 * N * PAGE, MREMAP_MAYMOVE);
	MUST(q != MAP_FAILED);
	EXPECT(q != p, "was not moved");
	EXPECT_FILL(q, 1, 2);
	EXPECT(!memcmp(q + PAGE, want + PAGE, (4 * N - 1) * PAGE),
	       "grown by moving it does not show more of the file");
	/* What is mapped at the old place is new. */
	MUST(mmap(p, 2 * N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE |
		  MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p);
	EXPECT_ZERO(p, 2 * N);
	return OK;
}

/* Growing fails, and what is mapped there later is not of the file. */
static int mremap_file_fails(void)
{
	int fd = scratch_file(2 * N, 1);
	uint8_t *p = map_file(fd, 2 * N, PROT_READ | PROT_WRITE);
	uint8_t *q = p + N * PAGE;

	MUST(mmap(q, N * PAGE, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == q);
	EXPECT(mremap(p, N * PAGE, 2 * N * PAGE, 0) == MAP_FAILED &&
	       errno == ENOMEM, "%s", strerror(errno));
	EXPECT_ZERO(q, N);
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* The source of a write is a page of the same file, never touched before. */
static int write_to_itself(void)
{
	int fd = scratch_file(2 * N, 1);
	uint8_t *p = map_file(fd, 2 * N, PROT_READ | PROT_WRITE);
	uint8_t *want = map_private(2 * N * PAGE), *got = map_private(2 * N * PAGE);

	fill(want, 2 * N, 1);
	MUST(pwrite(fd, p + N * PAGE, N * PAGE, 0) == (ssize_t)(N * PAGE));
	MUST(pread(fd, got, 2 * N * PAGE, 0) == (ssize_t)(2 * N * PAGE));
	EXPECT(!memcmp(got, want + N * PAGE, N * PAGE) &&
	       !memcmp(got + N * PAGE, want + N * PAGE, N * PAGE),
	       "the file has something else");
	EXPECT(!memcmp(p + N * PAGE, want + N * PAGE, N * PAGE), "the mapping has");
	return OK;
}

static int file_shrinks(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_file(fd, N, PROT_READ | PROT_WRITE);

	EXPECT_FILL(p, 2, 1);
	MUST(!ftruncate(fd, 8 * PAGE));
	EXPECT(fault_of(p + 8 * PAGE, false) == SIGBUS, "beyond the new end");
	MUST(!ftruncate(fd, N * PAGE));
	EXPECT_ZERO(p + 8 * PAGE, N - 8);
	EXPECT_FILL(p, 2, 1);
	return OK;
}

/* Private pages beyond the new end of a file that is cut go too. */
static int cut_written_page(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_file(fd, N, PROT_READ | PROT_WRITE);

	fill(p, N, 2);
	MUST(!ftruncate(fd, 8 * PAGE));
	EXPECT(fault_of(p + 8 * PAGE, false) == SIGBUS,
	       "a page written before is still there");
	return OK;
}

static int memfd(void)
{
	int fd = memfd_create("semantics", MFD_CLOEXEC);
	uint8_t *shared, *p;

	MUST(fd >= 0 && !ftruncate(fd, N * PAGE));
	shared = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(shared != MAP_FAILED);
	fill(shared, N, 1);
	p = map_file(fd, N, PROT_READ | PROT_WRITE);
	EXPECT_FILL(p, N, 1);
	fill(p, N / 2, 2);
	cycle();
	EXPECT_FILL(shared, N, 1);
	EXPECT_FILL(p, N / 2, 2);
	return OK;
}

/* Pages never touched show what is written to the file later. */
static int later_writes(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_file(fd, N, PROT_READ | PROT_WRITE);
	uint8_t *buf = map_private(N * PAGE);

	fill(p, 2, 2);
	fill(buf, N, 3);
	MUST(pwrite(fd, buf, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(p, 2, 2);
	EXPECT(!memcmp(p + 2 * PAGE, buf + 2 * PAGE, (N - 2) * PAGE),
	       "pages never touched are old");
	return OK;
}

static int fork_file(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_file(fd, N, PROT_READ | PROT_WRITE);
	uint8_t *want = map_private(N * PAGE);

	fill(want, N, 1);
	fill(p, 4, 2);
	cycle();
	IN_CHILD(differs(p, 4, 2) >= 0 ||
		 memcmp(p + 4 * PAGE, want + 4 * PAGE, (N - 4) * PAGE) ? BAD : OK);
	EXPECT_FILL(p, 4, 2);
	return OK;
}

/* Loads libraries: relocation, RELRO, data of their own. */
static int load_library(void)
{
	void *lib = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL), *sym;
	double (*fn)(double);

	if (!lib)
		SKIP("no libm.so.6");
	sym = dlsym(lib, "cos");
	MUST(sym);
	memcpy(&fn, &sym, sizeof(fn));
	cycle();
	EXPECT(fn(0.0) == 1.0, "cos(0) is not 1");
	MUST(!dlclose(lib));
	return OK;
}

const struct check file_checks[] = {
	SAME("file_mprotect", protect_file,
	     "private file mapping made writable by `mprotect`"),
	SAME("file_mprotect_several", protect_several,
	     "`mprotect` over files and anonymous memory, and up to a hole"),
	SAME("file_mprotect_text", protect_text,
	     "program text made writable by `mprotect`"),
	SAME("file_mremap", mremap_file,
	     "private file mapping grown by `mremap` shows more of the file"),
	SAME("file_mremap_fails", mremap_file_fails,
	     "private file mapping that cannot grow"),
	SAME("file_write_to_itself", write_to_itself,
	     "`write` from a private mapping of a file to that file"),
	SAME("file_shrinks", file_shrinks,
	     "file cut short: SIGBUS for pages never touched"),
	DIFFERS("file_cut_written", cut_written_page,
		"file cut short: SIGBUS for pages written before",
		"a page of a private file mapping that was touched stays when the file is cut"),
	SAME("memfd_private", memfd, "private mapping of a memfd"),
	SAME("file_later_writes", later_writes,
	     "pages never touched show later writes to the file"),
	SAME("file_fork", fork_file, "private file mapping over `fork`"),
	SAME("load_library", load_library, "`dlopen`"),
	NO_MORE_CHECKS
};
