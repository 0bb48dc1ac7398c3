// SPDX-License-Identifier: GPL-2.0
/* semantics: exec of other programs, and of this one in other guises. */
#include "semantics.h"

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define N	16UL		/* pages */

/* Is any memory of this process managed? */
static bool is_managed(void)
{
	void *p = map_private(PAGE);

	return strstr(maps_line(p), "/pmon");
}

int exec_child(char **argv)
{
	if (!strcmp(argv[0], "exec-child"))
		return 7;
	/* Started with privileges of the file: nothing of it may be managed. */
	if (!strcmp(argv[0], "setuid-child"))
		return geteuid() || !getauxval(AT_SECURE) ? 2 : is_managed() ? 1 : 7;
	if (!strcmp(argv[0], "tagged-child"))
		return is_managed() ? 7 : 1;
	errno = 0;
	die("%s: not known", argv[0]);
}

/* A copy of this program with other mode bits; its path is in @path. */
static int copy_self(char *path, size_t size, mode_t mode)
{
	int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), out;
	char buf[8192];
	ssize_t n;

	snprintf(path, size, "%s/semantics.XXXXXX", scratch_dir);
	out = mkostemp(path, O_CLOEXEC);
	MUST(in >= 0 && out >= 0);
	while ((n = read(in, buf, sizeof(buf))) > 0)
		MUST(write(out, buf, n) == n);
	MUST(!fchmod(out, mode) && !close(out) && !close(in));
	return OK;
}

static int run_as_nobody(char *path, const char *argument)
{
	char *argv[] = { path, (char *)argument, NULL };

	if (become_nobody())
		return 3;
	execv(path, argv);
	return 4;
}

/* Memory of a program with more rights than its user has must not leave. */
static int setuid_exec(void)
{
	char path[512];
	int code;
	pid_t pid;

	if (getuid())
		SKIP("not root");
	if (copy_self(path, sizeof(path), 04755))
		return BAD;
	pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(run_as_nobody(path, "setuid-child"));
	code = reap(pid);
	unlink(path);
	EXPECT(code != 2, "no privilege gained: mounted nosuid?");
	EXPECT(code != 1, "the privileged program is managed");
	EXPECT(code == 7, "child ended with %d", code);
	return OK;
}

/* And one without keeps its tag. */
static int plain_exec(void)
{
	char path[512];
	int code;
	pid_t pid;

	if (copy_self(path, sizeof(path), 0755))
		return BAD;
	pid = fork();
	MUST(pid >= 0);
	if (!pid)
		_exit(run_as_nobody(path, tagged ? "tagged-child" : "exec-child"));
	code = reap(pid);
	unlink(path);
	EXPECT(code == 7, "child ended with %d", code);
	return OK;
}

static int script(void)
{
	char path[512];
	FILE *file;
	int fd, code;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/semantics.XXXXXX", scratch_dir);
	fd = mkostemp(path, O_CLOEXEC);
	MUST(fd >= 0);
	file = fdopen(fd, "w");
	MUST(file);
	fprintf(file, "#!/bin/sh\nexit 7\n");
	MUST(!fchmod(fd, 0755) && !fclose(file));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		execl(path, path, NULL);
		_exit(BAD);
	}
	code = reap(pid);
	unlink(path);
	EXPECT(code == 7, "the script ended with %d", code);
	return OK;
}

const struct check exec_checks[] = {
	SAME("setuid_exec", setuid_exec,
	     "setuid program: runs, and none of its memory is managed"),
	SAME("plain_exec", plain_exec, "program without setuid: stays managed"),
	SAME("script", script, "script with an interpreter"),
	NO_MORE_CHECKS
};
