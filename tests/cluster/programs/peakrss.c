// SPDX-License-Identifier: GPL-2.0
/*
 * Runs a command and writes to a file how much memory its largest process had
 * at most: "KIB\n". Exits as the command did.
 *
 *   peakrss FILE COMMAND [ARGUMENT...]
 *
 * Processes count that were waited for; what a daemon left behind does not.
 */
#include "common.h"

#include <sys/resource.h>
#include <sys/wait.h>

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;
	FILE *out;

	if (argc < 3)
		die("usage: peakrss FILE COMMAND [ARGUMENT...]");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		execvp(argv[2], argv + 2);
		die("%s", argv[2]);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	out = fopen(argv[1], "w");
	if (!out || fprintf(out, "%ld\n", usage.ru_maxrss) < 0 || fclose(out))
		die("%s", argv[1]);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
