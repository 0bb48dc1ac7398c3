// SPDX-License-Identifier: GPL-2.0
/* vnode: the command of splitkernel. A table of verbs; see vnode(8). */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "vnode.h"

#ifndef VNODE_VERSION
#define VNODE_VERSION "unknown"
#endif

static const struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *synopsis;
	const char *help;
} verbs[] = {
	{ "run", vn_run,
	  "[--excache SIZE] [--replicas N] [--] PROGRAM [ARGUMENT...]",
	  "run a program on remote memory" },
	{ "status", vn_status, "[--json]",
	  "show hosts, processes and counters (default)" },
	{ "check", vn_check, "",
	  "say what this host lacks to take part" },
	{ "wait", vn_wait, "[--memory-hosts N] [--timeout SECONDS]",
	  "wait until N memory hosts have joined" },
	{ "host", vn_host, "list [--json] | drain ADDRESS [--off] [--wait]",
	  "show memory hosts; let no new memory be placed on one" },
	{ "events", vn_events, "[--json] [--count N]",
	  "show what happens to the memory of programs, as it happens" },
	{ "set", vn_set, "policy lru|sieve|fifo | prefetch on|off |\n"
	  "            placement most-free|least-load|round-robin |\n"
	  "            rebalance on|off | manager ADDRESS",
	  "choose how lines are replaced, memory hosts chosen; who the manager is" },
};

#define NR_VERBS	(sizeof(verbs) / sizeof(*verbs))

void vn_error(const char *fmt, ...)
{
	va_list ap;

	fputs("vnode: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static void help(FILE *out)
{
	size_t i;

	fprintf(out, "Usage: vnode [VERB [OPTION...]]\n\n");
	for (i = 0; i < NR_VERBS; i++)
		fprintf(out, "  vnode %s%s%s\n        %s\n", verbs[i].name,
			*verbs[i].synopsis ? " " : "", verbs[i].synopsis,
			verbs[i].help);
	fprintf(out, "\nSIZE is a number of bytes, or one with K, M, G or T.\n"
		"Exit: 0 done, 1 failed, 2 wrong usage; run: the program's own, "
		"or 125 failed\nbefore it was started, 126 not executable, "
		"127 not found. See vnode(8).\n");
}

static void verb_help(const struct verb *verb)
{
	printf("Usage: vnode %s%s%s\n%s\n", verb->name,
	       *verb->synopsis ? " " : "", verb->synopsis, verb->help);
}

static const struct verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < NR_VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* Output that could not be written is a failure, be it of a successful verb. */
static int finish(int code)
{
	if (fflush(stdout) || ferror(stdout)) {
		vn_error("standard output: %s", strerror(errno));
		return code ? code : VN_FAILED;
	}
	return code;
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	char *status[] = { (char *)"status", NULL };

	if (argc < 2)
		return finish(vn_status(1, status));
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		help(stdout);
		return finish(VN_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("vnode %s\n", VNODE_VERSION);
		return finish(VN_OK);
	}
	/* Without a verb it is status, and may have its option. */
	if (!strcmp(argv[1], "--json"))
		return finish(vn_status(argc, argv));
	verb = find_verb(argv[1]);
	if (!verb) {
		vn_error("'%s' is no verb: see vnode --help", argv[1]);
		return VN_USAGE;
	}
	if (argc > 2 && (!strcmp(argv[2], "--help") || !strcmp(argv[2], "-h"))) {
		verb_help(verb);
		return finish(VN_OK);
	}
	/* getopt names argv[0] in its messages. */
	argv[1] = (char *)"vnode";
	return finish(verb->run(argc - 1, argv + 1));
}
