// SPDX-License-Identifier: GPL-2.0
/*
 * semantics - does private memory behave as Linux says it does?
 *
 *   semantics [--tagged] [--cycle-mb M] [--only NAME] [--dir DIR] [--limit S]
 *   semantics --list | --table
 *
 * Meant to be run tagged and untagged, with the same outcome. One line a
 * check on stdout: "NAME: ok", "NAME: FAIL why" or "NAME: skip why", then a
 * line of JSON. With --tagged, a check that is declared as a difference must
 * fail, which is reported as "NAME: differs why". --table prints what is
 * checked, and the differences, for docs/semantics.md. Each check is a child process, so that one that crashes or
 * takes longer than S seconds (default 300) is one that fails. Between set-up and check of each, M MiB of
 * other memory are touched (default 0), which evicts if the ExCache is smaller.
 * Files are made in DIR (default: the current directory).
 *
 * Exit: 0 none failed; 1 one did; 2 could not run.
 * Out, last line: {"program":"semantics","ok":..,"failed":..,"skipped":..,
 *		    "differs":..}
 */
#include "semantics.h"

#include <fcntl.h>
#include <getopt.h>
#include <setjmp.h>
#include <sys/wait.h>

#define DETAIL_MAX	512

const char *scratch_dir = ".";
bool tagged;
static unsigned long cycle_mb, limit_s = 300;
static char *detail_text;	/* shared with the child */

void detail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail_text, DETAIL_MAX, fmt, ap);
	va_end(ap);
}

void cycle(void)
{
	size_t size = cycle_mb << 20, off;
	volatile uint8_t *p;

	if (!size)
		return;
	p = map_private(size);
	for (off = 0; off < size; off += PAGE)
		p[off] = 1;
	munmap((void *)p, size);
}

static uint64_t fill_word(size_t page, unsigned int what, size_t word)
{
	return mix(((uint64_t)what << 48) + page * PAGE_WORDS + word + 1);
}

void fill(void *p, size_t pages, unsigned int what)
{
	uint64_t *word = p;
	size_t page, i;

	for (page = 0; page < pages; page++)
		for (i = 0; i < PAGE_WORDS; i++)
			*word++ = fill_word(page, what, i);
}

long differs(const void *p, size_t pages, unsigned int what)
{
	const volatile uint64_t *word = p;
	size_t page, i;

	for (page = 0; page < pages; page++)
		for (i = 0; i < PAGE_WORDS; i++)
			if (*word++ != fill_word(page, what, i))
				return page;
	return -1;
}

long not_zero(const void *p, size_t pages)
{
	const volatile uint64_t *word = p;
	size_t i;

	for (i = 0; i < pages * PAGE_WORDS; i++)
		if (word[i])
			return i / PAGE_WORDS;
	return -1;
}

static sigjmp_buf fault_jump;
static siginfo_t fault_seen;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)context;
	fault_seen = *info;
	siglongjmp(fault_jump, sig);
}

int fault_info(volatile void *p, bool write, siginfo_t *info)
{
	struct sigaction sa = { .sa_sigaction = on_fault,
				.sa_flags = SA_SIGINFO }, segv, bus;
	volatile uint8_t *byte = p;
	int sig;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(fault_jump, 1);
	if (!sig) {
		uint8_t value = *byte;

		if (write)
			*byte = value;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	if (sig && info)
		*info = fault_seen;
	return sig;
}

int fault_of(volatile void *p, bool write)
{
	return fault_info(p, write, NULL);
}

int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) != pid)
		if (errno != EINTR)
			return -1;
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) :
	       WEXITSTATUS(status);
}

int scratch_file(size_t pages, unsigned int what)
{
	char path[512], *buf = malloc(pages * PAGE);
	ssize_t len = pages * PAGE;
	int fd;

	snprintf(path, sizeof(path), "%s/semantics.XXXXXX", scratch_dir);
	fd = mkstemp(path);
	if (fd < 0 || !buf)
		die("%s", path);
	fill(buf, pages, what);
	if (write(fd, buf, len) != len || fsync(fd))
		die("%s", path);
	free(buf);
	/* The name stays reachable as /proc/self/fd/N. */
	unlink(path);
	return fd;
}

/* What the child's end means for its check. */
static int outcome(const struct check *check, int code)
{
	if (code == OK && tagged && check->differs && !check->some_kernels) {
		printf("%s: FAIL declared as a difference, but there is none\n",
		       check->name);
		return BAD;
	}
	if (code == OK) {
		printf("%s: ok\n", check->name);
	} else if (code == SKIPPED) {
		printf("%s: skip %s\n", check->name, detail_text);
	} else if (code == BAD && tagged && check->differs) {
		printf("%s: differs %s\n", check->name, detail_text);
		return DIFFERENT;
	} else if (code > 1000) {
		printf("%s: FAIL killed by signal %d %s\n", check->name,
		       code - 1000, detail_text);
		return BAD;
	} else {
		printf("%s: FAIL %s\n", check->name, detail_text);
		return BAD;
	}
	return code;
}

static int run_one(const struct check *check)
{
	pid_t pid;

	detail_text[0] = '\0';
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		alarm(limit_s);
		_exit(check->run());
	}
	return outcome(check, reap(pid));
}

static const struct check *const groups[] = {
	map_checks, remap_checks, file_checks, advise_checks, lock_checks,
	fault_checks, process_checks, futex_checks, inspect_checks, exec_checks,
	io_checks
};

#define for_each_check(check)						\
	for (size_t i_ = 0; i_ < sizeof(groups) / sizeof(*groups); i_++)	\
		for ((check) = groups[i_]; (check)->name; (check)++)

static void print_table(void)
{
	const struct check *check;

	printf("| what | check | tagged |\n| --- | --- | --- |\n");
	for_each_check(check)
		if (check->differs)
			printf("| %s | `%s` | %s |\n", check->row, check->name,
			       check->differs);
	printf("\n### The same\n\n| what | check |\n| --- | --- |\n");
	for_each_check(check)
		if (!check->differs)
			printf("| %s | `%s` |\n", check->row, check->name);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cycle-mb", 1, NULL, 'c' }, { "only", 1, NULL, 'o' },
		{ "list", 0, NULL, 'l' }, { "dir", 1, NULL, 'd' },
		{ "limit", 1, NULL, 's' }, { "tagged", 0, NULL, 't' },
		{ "table", 0, NULL, 'T' }, { NULL, 0, NULL, 0 }
	};
	const struct check *check;
	const char *only = NULL;
	int counts[DIFFERENT + 1] = { 0 }, c;
	bool list = false;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c')
			cycle_mb = number("cycle-mb", optarg, 0, 1 << 20);
		else if (c == 's')
			limit_s = number("limit", optarg, 1, 1 << 20);
		else if (c == 'o')
			only = optarg;
		else if (c == 'd')
			scratch_dir = optarg;
		else if (c == 'l')
			list = true;
		else if (c == 't')
			tagged = true;
		else if (c == 'T')
			return print_table(), 0;
		else
			return EXIT_TROUBLE;
	}
	/* What checks of exec start this program with: it is here, so exec worked. */
	if (optind < argc)
		return exec_child(argv + optind);
	detail_text = map_shared(DETAIL_MAX);

	for_each_check(check) {
		if (only && strcmp(only, check->name))
			continue;
		if (list)
			printf("%s\n", check->name);
		else
			counts[run_one(check)]++;
	}
	if (list)
		return 0;
	if (only && !(counts[OK] + counts[BAD] + counts[SKIPPED] + counts[DIFFERENT])) {
		errno = 0;
		die("no check is called %s", only);
	}
	printf("{\"program\":\"semantics\",\"ok\":%d,\"failed\":%d,\"skipped\":%d,\"differs\":%d}\n",
	       counts[OK], counts[BAD], counts[SKIPPED], counts[DIFFERENT]);
	return counts[BAD] != 0;
}
