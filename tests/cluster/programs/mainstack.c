// SPDX-License-Identifier: GPL-2.0
/*
 * mainstack: what a process can see of, and do with, its main stack and what
 * execve() has put there. Prints facts; run untagged and tagged, and compare.
 *
 *	mainstack report		everything execve() set up
 *	mainstack args			number, length and sum of the arguments
 *	mainstack checks		one line for each check
 *	mainstack smaps			/proc/self/smaps, after some work
 *	mainstack recurse KB		use so much stack
 *	mainstack crash KB		abort at the end of such a recursion
 *	mainstack time-exec N		ns of posix_spawn, exec and exit, N times
 *	mainstack exec HOW REST...	become "mainstack REST": see exec_how()
 */
#include "common.h"

#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/auxv.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#define KB	1024UL
#define MB	(1024 * KB)
#define FRAME	1024

extern char **environ;
extern void *__libc_stack_end;

static char **main_argv;

/* ---- report ----------------------------------------------------------------- */

/* A file of /proc, NULs shown; the name says what it is. */
static void print_file(const char *path)
{
	char buf[4096];
	ssize_t i, n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s", path);
	printf("%s: ", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++)
			putchar(buf[i] ? buf[i] : '|');
	putchar('\n');
	close(fd);
}

static bool is_string(unsigned long type)
{
	return type == AT_EXECFN || type == AT_PLATFORM;
}

/* The vector on the stack behind the environment, and /proc's copy of it. */
static void print_auxv(void)
{
	Elf64_auxv_t copy[64] = { 0 }, *aux;
	char **env = environ;
	int i, fd = open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, copy, sizeof(copy));

	close(fd);
	while (*env)
		env++;
	aux = (Elf64_auxv_t *)(env + 1);
	for (i = 0; aux[i].a_type; i++) {
		printf("auxv %lu: 0x%lx", aux[i].a_type, aux[i].a_un.a_val);
		if (is_string(aux[i].a_type))
			printf(" %s", (char *)aux[i].a_un.a_val);
		putchar('\n');
	}
	printf("auxv: %d entries, /proc has %s\n", i,
	       size > 0 && !memcmp(copy, aux, (i + 1) * sizeof(*aux)) ?
	       "the same" : "others");
}

/* Addresses in /proc/self/stat, by their number in proc(5). */
static void print_stat(void)
{
	static const struct {
		int field;
		const char *name;
	} wanted[] = {
		{ 26, "startcode" }, { 27, "endcode" }, { 28, "startstack" },
		{ 45, "start_data" }, { 46, "end_data" }, { 47, "start_brk" },
		{ 48, "arg_start" }, { 49, "arg_end" }, { 50, "env_start" },
		{ 51, "env_end" },
	};
	char line[2048], *at;
	size_t i = 0;
	int field, fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, line, sizeof(line) - 1);

	close(fd);
	line[n > 0 ? n : 0] = 0;
	at = strrchr(line, ')');
	if (!at)
		die("/proc/self/stat");
	for (field = 2; at && i < sizeof(wanted) / sizeof(*wanted); field++) {
		if (field == wanted[i].field)
			printf("%s: %lx\n", wanted[i++].name, strtoul(at, NULL, 10));
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
}

/* The line of /proc/self/maps that has @addr: range and permissions. */
static void find_mapping(void *addr, unsigned long *start,
			 unsigned long *end, char *perms)
{
	char line[4096 + 256];
	FILE *maps = fopen("/proc/self/maps", "re");

	if (!maps)
		die("/proc/self/maps");
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %4s", start, end, perms) == 3 &&
		    *start <= (unsigned long)addr && (unsigned long)addr < *end) {
			fclose(maps);
			return;
		}
	die("no mapping of %p", addr);
}

static void print_stack(void)
{
	unsigned long start, end;
	pthread_attr_t attr;
	char perms[8];
	size_t size;
	void *low;

	find_mapping(&start, &start, &end, perms);
	printf("stack mapping: %lx-%lx %s\n", start, end, perms);
	if (pthread_getattr_np(pthread_self(), &attr) ||
	    pthread_attr_getstack(&attr, &low, &size))
		die("pthread_getattr_np");
	printf("stack of pthread: %p %zu\n", low, size);
	pthread_attr_destroy(&attr);
	printf("libc_stack_end: %p, frame: %p, brk: %p\n", __libc_stack_end,
	       __builtin_frame_address(0), sbrk(0));
}

static void print_status(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "VmStk", 5) || !strncmp(line, "VmSize", 6) ||
		    !strncmp(line, "VmExe", 5) || !strncmp(line, "Threads", 7))
			fputs(line, stdout);
	if (status)
		fclose(status);
}

static void print_descriptors(void)
{
	struct rlimit limit;
	int fd, flags;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (fd = 0; fd < (int)limit.rlim_cur && fd < 1024; fd++) {
		flags = fcntl(fd, F_GETFD);
		if (flags >= 0)
			printf("descriptor %d: flags %d\n", fd, flags);
	}
}

static int report(int argc, char **argv)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int i;

	exe[n > 0 ? n : 0] = 0;
	for (i = 0; i < argc; i++)
		printf("argv %d at %p: %s\n", i, argv[i], argv[i]);
	printf("argv at %p ends with %p\n", argv, argv[argc]);
	for (i = 0; environ[i]; i++)
		printf("environment %d at %p: %s\n", i, environ[i], environ[i]);
	printf("exe: %s\n", exe);
	print_file("/proc/self/comm");
	print_file("/proc/self/cmdline");
	print_file("/proc/self/environ");
	print_auxv();
	print_stat();
	print_stack();
	print_status();
	print_descriptors();
	return 0;
}

static int args(int argc, char **argv)
{
	uint64_t sum = 0, length = 0;
	char *p;
	int i;

	for (i = 0; i < argc; i++)
		for (p = argv[i]; *p; p++, length++)
			sum = mix(sum + *p);
	for (i = 0; environ[i]; i++)
		for (p = environ[i]; *p; p++, length++)
			sum = mix(sum + *p);
	printf("%d arguments, %lu bytes, %016lx\n", argc, length, sum);
	return 0;
}

/* ---- deep recursion ----------------------------------------------------------- */

static volatile bool at_bottom_abort;

/* Returns how many frames came back with another content. */
static long __attribute__((noinline)) recurse(unsigned long depth)
{
	volatile uint64_t frame[FRAME / sizeof(uint64_t)];
	long bad;
	size_t i;

	for (i = 0; i < FRAME / sizeof(uint64_t); i++)
		frame[i] = mix(depth + i);
	if (!depth && at_bottom_abort)
		abort();
	bad = depth ? recurse(depth - 1) : 0;
	for (i = 0; i < FRAME / sizeof(uint64_t); i++)
		if (frame[i] != mix(depth + i))
			return bad + 1;
	return bad;
}

static const char *recursed(unsigned long bytes)
{
	return recurse(bytes / FRAME) ? "frames are not as they were" : "good";
}

/* ---- checks: each returns "good" or what it saw ---------------------------------- */

static char seen[256];

#define SEEN(...)	(snprintf(seen, sizeof(seen), __VA_ARGS__), seen)

static const char *check_recursion(void)
{
	return recursed(6 * MB);
}

static sigjmp_buf after_fault;
static siginfo_t fault_info;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	fault_info = *info;
	siglongjmp(after_fault, 1);
}

static void catch_faults(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK,
	};
	stack_t stack = { .ss_sp = map_private(16 * PAGE), .ss_size = 16 * PAGE };

	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Where the stack ends depends on the limit alone. */
static const char *overflow(void)
{
	unsigned long start, end;
	char perms[8];

	catch_faults();
	if (!sigsetjmp(after_fault, 1)) {
		recurse(1UL << 40);
		return "it never ended";
	}
	find_mapping(&start, &start, &end, perms);
	return SEEN("signal %d code %d, %lu pages below the end", fault_info.si_signo,
		    fault_info.si_code,
		    (end - (unsigned long)fault_info.si_addr) / PAGE);
}

static const char *check_overflow(void)
{
	return overflow();
}

static void set_stack_limit(unsigned long bytes)
{
	struct rlimit limit;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = bytes;
	if (setrlimit(RLIMIT_STACK, &limit))
		die("RLIMIT_STACK");
}

static const char *check_limit_raised(void)
{
	set_stack_limit(32 * MB);
	return recursed(24 * MB);
}

static const char *check_limit_lowered(void)
{
	set_stack_limit(1 * MB);
	return overflow();
}

static void *scribble(void *arg)
{
	unsigned char *p = arg;

	memset(p, p[0] + 1, 64 * KB);
	return NULL;
}

static const char *check_threads(void)
{
	unsigned char buf[4][64 * KB];
	pthread_t thread[4];
	size_t i, j;

	for (i = 0; i < 4; i++) {
		memset(buf[i], i, sizeof(buf[i]));
		if (pthread_create(&thread[i], NULL, scribble, buf[i]))
			return "no thread";
	}
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < 4; i++)
		for (j = 0; j < sizeof(buf[i]); j++)
			if (buf[i][j] != i + 1)
				return SEEN("byte %zu of %zu is %d", j, i, buf[i][j]);
	return "good";
}

static int reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static const char *check_fork(void)
{
	volatile unsigned char buf[64 * KB];
	const char *ret = "good";
	size_t i, step;
	pid_t pid;

	for (i = 0; i < sizeof(buf); i++)
		buf[i] = i;
	for (step = 1; step < 6; step++) {
		pid = fork();
		if (!pid) {
			for (i = 0; i < sizeof(buf); i++) {
				if (buf[i] != (unsigned char)(i * step))
					_exit(1);
				buf[i] = 0xee;
			}
			_exit(recurse(512) ? 2 : 0);
		}
		for (i = 0; i < sizeof(buf); i++)
			buf[i] = i * (step + 1);
		if (reap(pid))
			ret = "the child saw another stack";
	}
	return ret;
}

static const char *check_vfork_exec(void)
{
	char *argv[] = { main_argv[0], "recurse", "64", NULL };
	volatile int mark = 1;
	pid_t pid = vfork();
	int code;

	if (!pid) {
		mark = 2;
		execve("/proc/self/exe", argv, environ);
		_exit(99);
	}
	code = reap(pid);
	return SEEN("mark %d, code %d", mark, code);
}

static const char *check_spawn(void)
{
	char *argv[] = { main_argv[0], "recurse", "64", NULL };
	pid_t pid;

	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ))
		return "no process";
	return SEEN("code %d", reap(pid));
}

static void *exec_in_thread(void *arg)
{
	char *argv[] = { main_argv[0], "recurse", "64", NULL };

	execve("/proc/self/exe", argv, environ);
	return arg;
}

static const char *check_exec_of_thread(void)
{
	pid_t pid = fork();
	pthread_t thread;

	if (!pid) {
		pthread_create(&thread, NULL, exec_in_thread, NULL);
		for (;;)
			recurse(64);
	}
	return SEEN("code %d", reap(pid));
}

static volatile sig_atomic_t handled;

static void on_alarm(int sig)
{
	(void)sig;
	if (!recurse(16))
		handled++;
}

/* Frames of signals, with the state of the FPU, between those of calls. */
static const char *check_signals(void)
{
	struct itimerval timer = { { 0, 2000 }, { 0, 2000 } };
	const char *ret = "good";
	double sum = 0;
	int i;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (handled < 50) {
		for (i = 1, sum = 0; i < 2000; i++)
			sum += 1.0 / i;
		if (sum < 8.177 || sum > 8.179)
			ret = "the FPU's state was lost";
		if (recurse(1024))
			ret = "frames are not as they were";
	}
	memset(&timer, 0, sizeof(timer));
	setitimer(ITIMER_REAL, &timer, NULL);
	return ret;
}

/* A growing mapping of our own, with something 300 pages below it. */
static const char *check_growsdown(void)
{
	unsigned char *room = map_private(1024 * PAGE), *top = room + 1000 * PAGE;
	unsigned char *low;
	size_t i;

	munmap(room, 1024 * PAGE);
	low = mmap(room + 500 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	if (low == MAP_FAILED ||
	    mmap(top, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_FIXED | MAP_GROWSDOWN, -1, 0) == MAP_FAILED)
		return "no mapping";
	low[0] = 7;
	catch_faults();
	for (i = 0; i < 400; i++) {
		if (sigsetjmp(after_fault, 1))
			return SEEN("grew by %zu pages, signal %d code %d, low %d", i - 1,
				    fault_info.si_signo, fault_info.si_code, low[0]);
		top[-(long)(i * PAGE)] = i;
	}
	return "it grew into the gap";
}

/* Holes in the stack: the rest goes on growing. */
static const char *check_split(void)
{
	unsigned char *page = __builtin_alloca(256 * KB);

	memset(page, 3, 256 * KB);
	page = (void *)(((unsigned long)page + 64 * KB) & ~(PAGE - 1));
	if (mprotect(page, PAGE, PROT_NONE))
		return "mprotect";
	catch_faults();
	if (!sigsetjmp(after_fault, 1)) {
		page[1] = 1;
		return "a page without permissions was written";
	}
	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE))
		return "mprotect back";
	if (page[0] != 3 || page[PAGE - 1] != 3)
		return "the page lost its content";
	return recursed(2 * MB);
}

/* Another process writes below the stack's mapping, which makes it grow. */
static const char *check_poke(void)
{
	unsigned long start, end;
	char perms[8];
	unsigned long *target;
	pid_t pid;
	long err;

	find_mapping(&start, &start, &end, perms);
	target = (unsigned long *)(start - 128 * KB);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(*(volatile unsigned long *)target == 0x1234 ? 0 : 1);
	}
	waitpid(pid, NULL, 0);
	errno = 0;
	err = ptrace(PTRACE_POKEDATA, pid, target, (void *)0x1234);
	err = err ? errno : 0;
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	return SEEN("errno %ld, code %d", err, reap(pid));
}

static const struct {
	const char *name;
	const char *(*run)(void);
} checks[] = {
	{ "recursion", check_recursion },
	{ "overflow", check_overflow },
	{ "limit-raised", check_limit_raised },
	{ "limit-lowered", check_limit_lowered },
	{ "threads", check_threads },
	{ "fork", check_fork },
	{ "vfork-exec", check_vfork_exec },
	{ "spawn", check_spawn },
	{ "exec-of-thread", check_exec_of_thread },
	{ "signals", check_signals },
	{ "growsdown", check_growsdown },
	{ "split", check_split },
	{ "poke", check_poke },
};

/* Each in a process of its own. */
static int run_checks(void)
{
	size_t i;
	int code;
	pid_t pid;

	for (i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		fflush(stdout);
		pid = fork();
		if (!pid) {
			printf("%s: %s\n", checks[i].name, checks[i].run());
			exit(0);
		}
		code = reap(pid);
		if (code)
			printf("%s: ended with %d\n", checks[i].name, code);
	}
	return 0;
}

/* ---- exec ----------------------------------------------------------------------- */

/* A copy of this program in a memfd or in a file that is deleted. */
static int copy_of_self(bool in_memory)
{
	char name[] = "/tmp/mainstackXXXXXX", buf[65536];
	int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), to, fd;
	ssize_t n;

	to = in_memory ? memfd_create("copy", MFD_CLOEXEC) : mkstemp(name);
	while ((n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, n) != n)
			die("copy");
	if (in_memory)
		return to;
	fchmod(to, 0755);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	close(to);
	unlink(name);
	return fd;
}

static int exec_how(const char *how, char **argv)
{
	char *none[] = { NULL };

	argv[0] = "another-name";
	if (!strcmp(how, "exe"))
		execve("/proc/self/exe", argv, environ);
	else if (!strcmp(how, "memfd"))
		fexecve(copy_of_self(true), argv, environ);
	else if (!strcmp(how, "deleted"))
		fexecve(copy_of_self(false), argv, environ);
	else if (!strcmp(how, "empty"))
		execve("/proc/self/exe", none, environ);
	die("exec %s", how);
}

static int time_exec(unsigned long count)
{
	char *argv[] = { main_argv[0], "recurse", "0", NULL };
	uint64_t start = now_ns();
	unsigned long i;
	pid_t pid;

	for (i = 0; i < count; i++)
		if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) ||
		    reap(pid))
			return 1;
	printf("%lu\n", (now_ns() - start) / count);
	return 0;
}

static int print_smaps(void)
{
	char line[8192];
	FILE *smaps;

	if (recurse(256))
		return 1;
	free(malloc(4 * MB));
	smaps = fopen("/proc/self/smaps", "re");
	while (smaps && fgets(line, sizeof(line), smaps))
		fputs(line, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "report";

	main_argv = argv;
	if (!strcmp(what, "args"))
		return args(argc, argv);
	if (!strcmp(what, "checks"))
		return run_checks();
	if (!strcmp(what, "smaps"))
		return print_smaps();
	if (!strcmp(what, "exec") && argc > 3)
		return exec_how(argv[2], argv + 2);
	if (!strcmp(what, "time-exec") && argc > 2)
		return time_exec(number("n", argv[2], 1, 1 << 20));
	at_bottom_abort = !strcmp(what, "crash");
	if (argc > 2 && (at_bottom_abort || !strcmp(what, "recurse")))
		return recurse(number("kb", argv[2], 0, 1 << 20)) ? 1 : 0;
	return report(argc, argv);
}
