// SPDX-License-Identifier: GPL-2.0
/* semantics: processes, threads, and what looks into another process. */
#include "semantics.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define N	16UL		/* pages */
#define FUTEX_ROUNDS	200

extern char **environ;

/* Two pipes to take turns with a child, through descriptors of the test. */
struct turns {
	int to_child[2], to_parent[2];
};

static int turns_init(struct turns *t)
{
	MUST(!pipe(t->to_child) && !pipe(t->to_parent));
	return OK;
}

static void turn_give(int fd)
{
	if (write(fd, "x", 1) != 1)
		_exit(BAD);
}

static void turn_take(int fd)
{
	char c;

	if (read(fd, &c, 1) != 1)
		_exit(BAD);
}

static int fork_child_of(uint8_t *p, struct turns *t)
{
	EXPECT_FILL(p, N, 1);
	turn_give(t->to_parent[1]);
	turn_take(t->to_child[0]);
	/* The parent wrote meanwhile. */
	EXPECT_FILL(p, N, 1);
	fill(p, N / 2, 3);
	cycle();
	EXPECT_FILL(p, N / 2, 3);
	return OK;
}

static int fork_isolated(void)
{
	uint8_t *p = map_private(N * PAGE);
	struct turns t;
	pid_t pid;

	fill(p, N, 1);
	cycle();
	if (turns_init(&t))
		return BAD;
	pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(fork_child_of(p, &t));
	/* Else a child that dies leaves this waiting. */
	close(t.to_parent[1]);
	turn_take(t.to_parent[0]);
	fill(p, N, 2);
	cycle();
	turn_give(t.to_child[1]);
	EXPECT_CHILD(pid);
	EXPECT_FILL(p, N, 2);
	return OK;
}

static int grandchild(uint8_t *p, int depth)
{
	pid_t pid;

	EXPECT_FILL(p, N, 1 + depth);
	if (depth == 3)
		return OK;
	fill(p, N, 2 + depth);
	cycle();
	pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(grandchild(p, depth + 1));
	EXPECT_CHILD(pid);
	EXPECT_FILL(p, N, 2 + depth);
	return OK;
}

static int fork_of_fork(void)
{
	uint8_t *p = map_private(N * PAGE);
	pid_t pid;

	fill(p, N, 1);
	cycle();
	pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(grandchild(p, 0));
	EXPECT_CHILD(pid);
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* What was never touched before the fork is zero in both, and separate. */
static int fork_untouched(void)
{
	uint8_t *p = map_private(N * PAGE);
	pid_t pid = fork();

	MUST(pid >= 0);
	if (!pid) {
		fill(p, N, 1);
		cycle();
		_exit(differs(p, N, 1) < 0 ? OK : BAD);
	}
	EXPECT_CHILD(pid);
	EXPECT_ZERO(p, N);
	return OK;
}

static int fork_many(void)
{
	uint8_t *p = map_private(N * PAGE);
	pid_t pids[8];
	int i;

	fill(p, N, 1);
	for (i = 0; i < 8; i++) {
		pids[i] = fork();
		MUST(pids[i] >= 0);
		if (!pids[i]) {
			int bad = differs(p, N, 1) >= 0;

			fill(p, N, 10 + i);
			cycle();
			_exit(bad || differs(p, N, 10 + i) >= 0 ? BAD : OK);
		}
	}
	for (i = 0; i < 8; i++)
		EXPECT_CHILD(pids[i]);
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* The child of vfork() runs in the parent's memory. */
static int vfork_shares(void)
{
	volatile uint8_t *p = map_private(N * PAGE);
	pid_t pid;

	fill((void *)p, N, 1);
	cycle();
	pid = vfork();
	MUST(pid >= 0);
	if (!pid) {
		p[0] = 77;
		_exit(OK);
	}
	EXPECT_CHILD(pid);
	EXPECT(p[0] == 77, "the child's store is not there: %d", p[0]);
	return OK;
}

static int spawn(void)
{
	char *argv[] = { (char *)"semantics", (char *)"exec-child", NULL };
	uint8_t *p = map_private(N * PAGE);
	pid_t pid;
	int code;

	fill(p, N, 1);
	cycle();
	MUST(!posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ));
	code = reap(pid);
	EXPECT(code == 7, "child ended with %d", code);
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int fork_exec(void)
{
	char *argv[] = { (char *)"semantics", (char *)"exec-child", NULL };
	uint8_t *p = map_private(N * PAGE);
	pid_t pid;
	int code;

	fill(p, N, 1);
	cycle();
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		execv("/proc/self/exe", argv);
		_exit(BAD);
	}
	code = reap(pid);
	EXPECT(code == 7, "child ended with %d", code);
	EXPECT_FILL(p, N, 1);
	return OK;
}

/* ---- threads --------------------------------------------------------------- */

static void *fill_thread(void *arg)
{
	uint8_t **job = arg;

	fill(job[0], N, 5);
	return job[0];
}

static int threads(void)
{
	pthread_t t[8];
	uint8_t *job[8];
	void *result;
	int i;

	for (i = 0; i < 8; i++) {
		job[i] = map_private(N * PAGE);
		MUST(!pthread_create(&t[i], NULL, fill_thread, &job[i]));
	}
	cycle();
	for (i = 0; i < 8; i++) {
		MUST(!pthread_join(t[i], &result));
		EXPECT(result == job[i], "thread %d returned %p", i, result);
		EXPECT_FILL(job[i], N, 5);
	}
	return OK;
}

struct pingpong {
	uint32_t *word;
	int private;
};

static void futex_turn(struct pingpong *pp, uint32_t mine)
{
	uint32_t seen;
	int i;

	for (i = 0; i < FUTEX_ROUNDS; i++) {
		while ((seen = __atomic_load_n(pp->word, __ATOMIC_ACQUIRE)) != mine)
			syscall(SYS_futex, pp->word, FUTEX_WAIT | pp->private,
				seen, NULL, NULL, 0);
		__atomic_store_n(pp->word, !mine, __ATOMIC_RELEASE);
		syscall(SYS_futex, pp->word, FUTEX_WAKE | pp->private, 1, NULL,
			NULL, 0);
	}
}

static void *futex_thread(void *arg)
{
	futex_turn(arg, 1);
	return NULL;
}

static int futex_both(int private)
{
	struct pingpong pp = { map_private(PAGE), private };
	pthread_t t;

	*pp.word = 0;
	cycle();
	MUST(!pthread_create(&t, NULL, futex_thread, &pp));
	cycle();
	futex_turn(&pp, 0);
	MUST(!pthread_join(t, NULL));
	EXPECT(*pp.word == 0, "word is %u", *pp.word);
	return OK;
}

static int futex_private(void)
{
	return futex_both(FUTEX_PRIVATE_FLAG);
}

/* Without the flag the kernel looks for what backs the page. */
static int futex_shared(void)
{
	return futex_both(0);
}

static volatile sig_atomic_t handled;

static void on_usr1(int sig)
{
	volatile uint8_t on_stack[2 * PAGE];

	on_stack[0] = on_stack[PAGE] = sig;
	handled = on_stack[0] == sig && on_stack[PAGE] == sig;
}

static int signal_stack(void)
{
	struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK };
	stack_t ss = { .ss_size = 64 << 10 };

	ss.ss_sp = malloc(ss.ss_size);
	MUST(ss.ss_sp && !sigaltstack(&ss, NULL));
	MUST(!sigaction(SIGUSR1, &sa, NULL));
	/* The kernel itself writes the frame: evicted, it has to fault. */
	cycle();
	raise(SIGUSR1);
	EXPECT(handled, "the handler did not run");
	return OK;
}

/* ---- looking into another process ------------------------------------------ */

/* A child that has @p filled with 1 and waits; its verdict: is it 2 then? */
static pid_t target(uint8_t *p, struct turns *t)
{
	pid_t pid = fork();

	if (pid) {
		close(t->to_parent[1]);
		return pid;
	}
	fill(p, N, 1);
	cycle();
	turn_give(t->to_parent[1]);
	turn_take(t->to_child[0]);
	if (differs(p, N, 2) >= 0) {
		detail("what was written from outside is not there");
		_exit(BAD);
	}
	_exit(OK);
}

static int process_vm(void)
{
	uint8_t *p = map_private(N * PAGE), *buf = map_private(N * PAGE);
	struct iovec local = { buf, N * PAGE }, remote = { p, N * PAGE };
	struct turns t;
	pid_t pid;

	if (turns_init(&t))
		return BAD;
	pid = target(p, &t);
	MUST(pid > 0);
	turn_take(t.to_parent[0]);
	cycle();
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 &&
	    (errno == EPERM || errno == ENOSYS)) {
		kill(pid, SIGKILL);
		SKIP("process_vm_readv: %s", strerror(errno));
	}
	EXPECT_FILL(buf, N, 1);
	fill(buf, N, 2);
	MUST(process_vm_writev(pid, &local, 1, &remote, 1, 0) ==
	     (ssize_t)(N * PAGE));
	turn_give(t.to_child[1]);
	EXPECT_CHILD(pid);
	EXPECT_ZERO(p, N);
	return OK;
}

static int ptrace_words(void)
{
	uint64_t *p = map_private(N * PAGE), *want = map_private(N * PAGE);
	struct turns t;
	pid_t pid;
	size_t i;
	int status;

	if (turns_init(&t))
		return BAD;
	pid = target((uint8_t *)p, &t);
	MUST(pid > 0);
	turn_take(t.to_parent[0]);
	if (ptrace(PTRACE_ATTACH, pid, 0, 0)) {
		kill(pid, SIGKILL);
		SKIP("ptrace: %s", strerror(errno));
	}
	MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	cycle();
	fill(want, N, 1);
	/* A few words of each page to read, all to write. */
	for (i = 0; i < N * PAGE_WORDS; i += 64) {
		errno = 0;
		EXPECT(ptrace(PTRACE_PEEKDATA, pid, p + i, 0) == (long)want[i] &&
		       !errno, "peek of word %zu", i);
	}
	fill(want, N, 2);
	for (i = 0; i < N * PAGE_WORDS; i++)
		MUST(!ptrace(PTRACE_POKEDATA, pid, p + i, want[i]));
	MUST(!ptrace(PTRACE_DETACH, pid, 0, 0));
	turn_give(t.to_child[1]);
	EXPECT_CHILD(pid);
	return OK;
}

static int proc_mem(void)
{
	uint8_t *p = map_private(N * PAGE), *buf = map_private(N * PAGE);
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		SKIP("/proc/self/mem: %s", strerror(errno));
	fill(p, N, 1);
	cycle();
	MUST(pread(fd, buf, N * PAGE, (uintptr_t)p) == (ssize_t)(N * PAGE));
	EXPECT_FILL(buf, N, 1);
	fill(buf, N, 2);
	cycle();
	MUST(pwrite(fd, buf, N * PAGE, (uintptr_t)p) == (ssize_t)(N * PAGE));
	EXPECT_FILL(p, N, 2);
	return OK;
}

/* Debuggers do this: a write despite the protection. */
static int proc_mem_force(void)
{
	uint8_t *p = map_private(N * PAGE), *buf = map_private(N * PAGE);
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		SKIP("/proc/self/mem: %s", strerror(errno));
	fill(p, N, 1);
	MUST(!mprotect(p, N * PAGE, PROT_READ));
	cycle();
	fill(buf, N, 3);
	MUST(pwrite(fd, buf, N * PAGE, (uintptr_t)p) == (ssize_t)(N * PAGE));
	EXPECT_FILL(p, N, 3);
	return OK;
}

/* ---- core dump -------------------------------------------------------------- */

static void dump_core(const char *dir)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 9);
	cycle();
	if (chdir(dir) || setrlimit(RLIMIT_CORE, &limit))
		_exit(SKIPPED);
	abort();
}

/* Is the fill somewhere in the file, page after page? */
static bool core_has_fill(const char *path)
{
	uint8_t *page = map_private(PAGE);
	uint8_t *want = map_private(N * PAGE);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t run = 0;

	if (fd < 0)
		return false;
	fill(want, N, 9);
	while (run < N && read(fd, page, PAGE) == (ssize_t)PAGE)
		run = memcmp(page, want + run * PAGE, PAGE) ? 0 : run + 1;
	close(fd);
	return run == N;
}

static int core_dump(void)
{
	char dir[512], path[600], pattern[128] = "";
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	bool found, made;
	pid_t pid;
	int code;

	if (fd < 0 || read(fd, pattern, sizeof(pattern) - 1) < 0 ||
	    strcmp(pattern, "core\n"))
		SKIP("core_pattern is not \"core\"");
	close(fd);
	snprintf(dir, sizeof(dir), "%s/semantics.XXXXXX", scratch_dir);
	MUST(mkdtemp(dir));
	pid = fork();
	MUST(pid >= 0);
	if (!pid)
		dump_core(dir);
	code = reap(pid);
	snprintf(path, sizeof(path), "%s/core", dir);
	if (access(path, F_OK))
		snprintf(path, sizeof(path), "%s/core.%d", dir, pid);
	made = !access(path, F_OK);
	found = core_has_fill(path);
	unlink(path);
	rmdir(dir);
	EXPECT(code == 1000 + SIGABRT, "child ended with %d", code);
	if (!made)
		SKIP("no core file was made");
	EXPECT(found, "the core file lacks the data");
	return OK;
}

const struct check process_checks[] = {
	SAME("fork_isolated", fork_isolated,
	     "`fork`: parent and child do not see each other's writes"),
	SAME("fork_of_fork", fork_of_fork,
	     "`fork` in a child, four deep"),
	SAME("fork_untouched", fork_untouched,
	     "memory never touched before `fork` is zero in both"),
	SAME("fork_many", fork_many,
	     "eight children at once"),
	SAME("vfork", vfork_shares,
	     "`vfork`: the child runs in the parent's memory"),
	SAME("posix_spawn", spawn,
	     "`posix_spawn`"),
	SAME("fork_exec", fork_exec,
	     "`fork` and `exec`"),
	SAME("threads", threads,
	     "threads: their stacks and what they fill"),
	SAME("futex_private", futex_private,
	     "futex, private"),
	SAME("futex_shared", futex_shared,
	     "futex, not private"),
	SAME("signal_stack", signal_stack,
	     "`sigaltstack`: the kernel writes the frame into evicted memory"),
	SAME("process_vm", process_vm,
	     "`process_vm_readv`, `process_vm_writev`"),
	SAME("ptrace", ptrace_words,
	     "`ptrace` reads and writes words"),
	SAME("proc_mem", proc_mem,
	     "`/proc/PID/mem`: read and written"),
	SAME("proc_mem_force", proc_mem_force,
	     "`/proc/PID/mem`: written despite read-only protection"),
	SAME("core_dump", core_dump,
	     "a core dump has evicted memory"),
	NO_MORE_CHECKS
};
