// SPDX-License-Identifier: GPL-2.0
/* semantics: what /proc and debuggers see. */
#include "semantics.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define N	16UL		/* pages */

/* ---- /proc ------------------------------------------------------------------ */

static int maps_permissions(void)
{
	uint8_t *p = map_private(3 * PAGE);
	unsigned long start, end;
	char prot[8];

	MUST(!mprotect(p + PAGE, PAGE, PROT_READ));
	MUST(sscanf(maps_line(p + PAGE), "%lx-%lx %7s", &start, &end, prot) == 3);
	EXPECT(start == (uintptr_t)p + PAGE && end == start + PAGE &&
	       !strcmp(prot, "r--p"), "%s", maps_line(p + PAGE));
	MUST(sscanf(maps_line(p), "%lx-%lx %7s", &start, &end, prot) == 3);
	EXPECT(!strcmp(prot, "rw-p"), "%s", maps_line(p));
	return OK;
}

/* Whose memory is it? */
static int maps_names(void)
{
	int fd = scratch_file(1, 1);
	uint8_t *p = map_private(PAGE);
	uint8_t *file = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	MUST(file != MAP_FAILED && sbrk(PAGE) != (void *)-1);
	EXPECT(!strchr(maps_line(p), '/'), "%s", maps_line(p));
	EXPECT(strstr(maps_line((uint8_t *)sbrk(0) - 1), "[heap]"), "%s",
	       maps_line((uint8_t *)sbrk(0) - 1));
	EXPECT(strstr(maps_line(file), "semantics."), "%s", maps_line(file));
	return OK;
}

static int smaps(void)
{
	uint8_t *p = map_private(2 * N * PAGE);

	/* Alone: a neighbour might be part of it. */
	MUST(!mprotect(p, PAGE, PROT_NONE) &&
	     !mprotect(p + (2 * N - 1) * PAGE, PAGE, PROT_NONE));
	p += PAGE;
	fill(p, N, 1);
	EXPECT(smaps_kb(p, "Size") == (long)(2 * N - 2) * 4, "Size %ld",
	       smaps_kb(p, "Size"));
	EXPECT(smaps_kb(p, "Rss") >= (long)N * 2 && smaps_kb(p, "Rss") <= (long)N * 4,
	       "Rss %ld", smaps_kb(p, "Rss"));
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int smaps_anonymous(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	EXPECT(smaps_kb(p, "Anonymous") >= (long)N * 4, "Anonymous %ld kB",
	       smaps_kb(p, "Anonymous"));
	return OK;
}

static int rss_kind(void)
{
	long before = status_kb("RssAnon");
	/* Many: the kernel adds up per task, in steps. */
	uint8_t *p = map_private(16 * N * PAGE);

	fill(p, 16 * N, 1);
	EXPECT(status_kb("RssAnon") - before >= (long)N * 2,
	       "RssAnon grew by %ld kB", status_kb("RssAnon") - before);
	return OK;
}

static uint64_t pagemap(int fd, const void *p)
{
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), (uintptr_t)p / PAGE * sizeof(entry)) !=
	    sizeof(entry))
		return 0;
	return entry;
}

static int pagemap_present(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint8_t *p = map_private(N * PAGE);
	int i;

	if (fd < 0)
		SKIP("pagemap: %s", strerror(errno));
	/* Locked, so that no eviction comes between. */
	if (mlock(p, 4 * PAGE))
		SKIP("mlock: %s", strerror(errno));
	for (i = 0; i < 100 && !(pagemap(fd, p) >> 63); i++)
		*(volatile uint8_t *)p = 1;
	EXPECT(pagemap(fd, p) >> 63, "a page in use is not present");
	EXPECT(!(pagemap(fd, p + 8 * PAGE) >> 63), "an untouched page is present");
	return OK;
}

/* Bit 61: of a file; bit 62: swapped. */
static int pagemap_kind(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint8_t *p = map_private(N * PAGE);

	if (fd < 0)
		SKIP("pagemap: %s", strerror(errno));
	fill(p, N, 1);
	EXPECT(!(pagemap(fd, p + (N - 1) * PAGE) >> 61 & 1), "is of a file");
	return OK;
}

static int clear_refs(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC), i;
	static const char *const what[] = { "1", "2", "3", "4", "5" };
	uint8_t *p = map_private(N * PAGE);

	if (fd < 0)
		SKIP("clear_refs: %s", strerror(errno));
	fill(p, N, 1);
	cycle();
	for (i = 0; i < 5; i++) {
		MUST(write(fd, what[i], 1) == 1);
		EXPECT_FILL(p, N, 1);
		fill(p, 1, 1);
		cycle();
	}
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int soft_dirty(void)
{
	int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int refs = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	uint8_t *p = map_private(3 * N * PAGE);

	if (map < 0 || refs < 0)
		SKIP("pagemap: %s", strerror(errno));
	/* What is mapped later must not become part of it: it would be dirty. */
	MUST(!mprotect(p, N * PAGE, PROT_NONE) &&
	     !mprotect(p + 2 * N * PAGE, N * PAGE, PROT_NONE));
	p += N * PAGE;
	fill(p, N, 1);
	if (!(pagemap(map, p) >> 55 & 1))
		SKIP("the kernel tracks no soft-dirty bits");
	MUST(write(refs, "4", 1) == 1);
	EXPECT(!(pagemap(map, p) >> 55 & 1), "dirty after clearing");
	p[0] = 1;
	cycle();
	/* Back in, by a read. */
	EXPECT(p[0] == 1, "data");
	EXPECT(pagemap(map, p) >> 55 & 1, "was written, is not soft-dirty");
	return OK;
}

static int status_sizes(void)
{
	long size = status_kb("VmSize"), stack = status_kb("VmStk");
	long exe = status_kb("VmExe");
	uint8_t *p = map_private(8 << 20);

	EXPECT(status_kb("VmSize") - size == 8 << 10, "8 MiB count as %ld",
	       status_kb("VmSize") - size);
	EXPECT(stack > 0 && stack < 1 << 20, "VmStk %ld", stack);
	EXPECT(exe > 0 && exe < 1 << 20, "VmExe %ld", exe);
	MUST(!munmap(p, 8 << 20));
	EXPECT(status_kb("VmSize") == size, "VmSize %ld, was %ld",
	       status_kb("VmSize"), size);
	return OK;
}

/* ---- debuggers ---------------------------------------------------------------- */

static volatile uint64_t watched[PAGE_WORDS];
static volatile int stepped_on;

__attribute__((noinline)) static int step_here(int x)
{
	stepped_on++;
	return x * 2;
}

/* Stops for its tracer, calls step_here(), writes to what is watched. */
static int debuggee(void)
{
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		return SKIPPED;
	watched[0] = 1;
	raise(SIGSTOP);
	if (step_here(21) != 42 || stepped_on != 1)
		return BAD;
	watched[0] = 2;
	return OK;
}

static int start_debuggee(pid_t *pid)
{
	int status;

	*pid = fork();
	MUST(*pid >= 0);
	if (!*pid)
		_exit(debuggee());
	MUST(waitpid(*pid, &status, 0) == *pid);
	if (WIFEXITED(status))
		SKIP("ptrace is not allowed");
	EXPECT(WIFSTOPPED(status), "debuggee did not stop");
	return OK;
}

static int go_on_until(pid_t pid, int want)
{
	int status;

	MUST(!ptrace(PTRACE_CONT, pid, 0, 0) && waitpid(pid, &status, 0) == pid);
	EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == want,
	       "status %x instead of signal %d", status, want);
	return OK;
}

static int go_on_to_end(pid_t pid)
{
	int status;

	MUST(!ptrace(PTRACE_CONT, pid, 0, 0) && waitpid(pid, &status, 0) == pid);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == OK,
	       "debuggee ended with status %x", status);
	return OK;
}

static int breakpoint(void)
{
	uint8_t *at = (uint8_t *)(uintptr_t)step_here;
	struct user_regs_struct regs;
	long word;
	pid_t pid;
	int ret = start_debuggee(&pid);

	if (ret)
		return ret;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, at, 0);
	MUST(!errno);
	/* int3 */
	MUST(!ptrace(PTRACE_POKETEXT, pid, at, (word & ~0xffL) | 0xcc));
	ret = go_on_until(pid, SIGTRAP);
	if (ret)
		return ret;
	MUST(!ptrace(PTRACE_GETREGS, pid, 0, &regs));
	EXPECT(regs.rip == (uintptr_t)at + 1, "stopped at %llx", regs.rip);
	cycle();
	MUST(!ptrace(PTRACE_POKETEXT, pid, at, word));
	regs.rip = (uintptr_t)at;
	MUST(!ptrace(PTRACE_SETREGS, pid, 0, &regs));
	EXPECT(*at != 0xcc, "the breakpoint is in our own text too");
	return go_on_to_end(pid);
}

static int watchpoint(void)
{
	/* Register 0: local, on writes, 8 bytes. */
	unsigned long control = 1 | 1 << 16 | 2 << 18, status;
	pid_t pid;
	int ret = start_debuggee(&pid);

	if (ret)
		return ret;
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[0]),
		   watched) ||
	    ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg[7]),
		   control)) {
		kill(pid, SIGKILL);
		SKIP("debug registers: %s", strerror(errno));
	}
	cycle();
	ret = go_on_until(pid, SIGTRAP);
	if (ret)
		return ret;
	errno = 0;
	EXPECT(ptrace(PTRACE_PEEKDATA, pid, watched, 0) == 2 && !errno,
	       "stopped, but nothing was written");
	status = ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, u_debugreg[6]), 0);
	EXPECT(status & 1, "stopped for another reason: %lx", status);
	return go_on_to_end(pid);
}

const struct check inspect_checks[] = {
	SAME("maps_permissions", maps_permissions,
	     "`/proc/PID/maps`: ranges and permissions"),
	DIFFERS("maps_names", maps_names, "`/proc/PID/maps`: names",
		"managed memory is shown as `/pmon (deleted)`: no `[heap]`, no name of the file for private writable file mappings, which may be one range with their neighbours"),
	SAME("smaps", smaps, "`/proc/PID/smaps`: size and resident size"),
	DIFFERS("smaps_anonymous", smaps_anonymous, "`/proc/PID/smaps`: `Anonymous`",
		"0: resident pages of managed memory are counted as pages of a file"),
	DIFFERS("rss_kind", rss_kind, "`/proc/PID/status`: `RssAnon`",
		"managed memory counts as `RssFile`"),
	SAME("status_sizes", status_sizes, "`/proc/PID/status`: sizes"),
	SAME("pagemap", pagemap_present, "`/proc/PID/pagemap`: present pages"),
	DIFFERS("pagemap_kind", pagemap_kind, "`/proc/PID/pagemap`: kind of page",
		"the bit \"page of a file\" is set; what is stored remotely looks never touched, not swapped"),
	SAME("clear_refs", clear_refs, "`/proc/PID/clear_refs` does no harm"),
	DIFFERS("soft_dirty", soft_dirty, "soft-dirty bits",
		"lost when a page is evicted: incremental checkpoints by them are not possible"),
	SAME("breakpoint", breakpoint, "breakpoint in text"),
	SAME("watchpoint", watchpoint, "hardware watchpoint"),
	NO_MORE_CHECKS
};
