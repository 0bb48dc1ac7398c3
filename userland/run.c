// SPDX-License-Identifier: GPL-2.0
/*
 * vnode run: ask pmon to manage this process, then become the program.
 *
 * The program is looked up before the tag is asked for, so that a misspelt
 * name never depends on the state of the cluster. After the tag all that is
 * left is exec: what this process maps from then on would be managed.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <splitkernel.h>

#include "netlink.h"
#include "vnode.h"

/* Can it be executed? Return: 0 or errno. */
static int try_program(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return errno;
	if (!S_ISREG(st.st_mode))
		return EACCES;
	return access(path, X_OK) ? errno : 0;
}

/*
 * Find @name the way execvp() does: as it is when it has a slash, else in the
 * directories of PATH, an empty one standing for the current directory. A
 * program that is there but not executable is only reported if no other is.
 */
static int find_program(const char *name, char **path)
{
	const char *dirs = getenv("PATH"), *end;
	int err, found = ENOENT;

	if (!*name)
		return ENOENT;
	if (strchr(name, '/')) {
		*path = strdup(name);
		return *path ? try_program(name) : ENOMEM;
	}
	if (!dirs)
		dirs = "/bin:/usr/bin";
	for (;; dirs = end + 1) {
		end = strchrnul(dirs, ':');
		if (asprintf(path, "%.*s/%s", end > dirs ? (int)(end - dirs) : 1,
			     end > dirs ? dirs : ".", name) < 0)
			return ENOMEM;
		err = try_program(*path);
		if (!err)
			return 0;
		if (err != ENOENT && err != ENOTDIR)
			found = EACCES;
		free(*path);
		*path = NULL;
		if (!*end)
			return found;
	}
}

/*
 * Such a program runs with other rights than the caller's, and its memory must
 * not depend on what the caller set up: pmon drops the tag at such an exec. At
 * the start it is an error, since nothing would be managed.
 * Return: what it is, or NULL.
 */
static const char *other_rights(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return NULL;
	if (st.st_mode & S_ISUID)
		return "is set-user-ID";
	if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		return "is set-group-ID";
	if (getxattr(path, "security.capability", NULL, 0) > 0)
		return "has file capabilities";
	return NULL;
}

static void report_refusal(const struct vn_nl *nl, int err, const char *size)
{
	const char *why = nl->extack;
	const char *sep = *why ? ": " : "";

	switch (err) {
	case -ENOENT:
		vn_error("pmon is not loaded on this host: modprobe pmon");
		break;
	case -EPERM:
	case -EACCES:
		vn_error("not permitted%s%s: run it as root", sep, why);
		break;
	case -ENODEV:
	case -ENONET:
		vn_error("%s: see vnode status",
			 *why ? why : "no memory host has joined");
		break;
	case -EHOSTDOWN:
	case -EHOSTUNREACH:
	case -ENOTCONN:
	case -ETIMEDOUT:
		vn_error("%s: see vnode status",
			 *why ? why : "a memory host is down");
		break;
	case -EINVAL:
	case -ENOSPC:
	case -ERANGE:
		vn_error("pmon refuses the ExCache size %s%s%s",
			 size ? size : "(whole pool)", sep, why);
		break;
	case -EEXIST:
		vn_error("this process already runs under vnode run");
		break;
	default:
		vn_error("pmon refuses: %s", vn_nl_strerror(nl, err));
	}
}

static int tag(uint64_t bytes, const char *size, uint32_t replicas)
{
	static struct vn_nl nl;
	struct nlmsghdr *nlh;
	int err;

	err = vn_nl_open(&nl, SK_FAMILY_PMON);
	if (!err) {
		nlh = vn_nl_request(&nl, SK_CMD_TAG, 0);
		if (size)
			mnl_attr_put_u64(nlh, SK_ATTR_EXCACHE_BYTES, bytes);
		if (replicas)
			mnl_attr_put_u32(nlh, SK_ATTR_REPLICAS, replicas);
		err = vn_nl_talk(&nl, nlh, NULL, NULL);
		vn_nl_close(&nl);
	}
	if (err)
		report_refusal(&nl, err, size);
	return err;
}

static int report_exec(const char *name, int err)
{
	if (err == ENOENT || err == ENOTDIR) {
		vn_error("%s: no such program", name);
		return VN_RUN_NOENT;
	}
	vn_error("%s: cannot be executed: %s", name, strerror(err));
	return VN_RUN_NOEXEC;
}

/* How many secondary copies: pmon knows the same bound. */
static int parse_replicas(const char *text, uint32_t *replicas)
{
	if (text[0] < '0' || text[0] > '2' || text[1]) {
		vn_error("--replicas: '%s' is not 0, 1 or 2", text);
		return -EINVAL;
	}
	*replicas = text[0] - '0';
	return 0;
}

int vn_run(int argc, char **argv)
{
	static const struct option options[] = {
		{ "excache", required_argument, NULL, 'e' },
		{ "replicas", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 }
	};
	const char *size = NULL, *wrong;
	uint32_t replicas = 0;
	uint64_t bytes = 0;
	char *path = NULL;
	int c, err;

	/* "+": what follows the program belongs to the program. */
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 'r') {
			if (parse_replicas(optarg, &replicas))
				return VN_RUN_FAILED;
			continue;
		}
		if (c != 'e')
			return VN_RUN_FAILED;
		size = optarg;
		wrong = vn_parse_size(size, &bytes);
		if (wrong) {
			vn_error("--excache: '%s' %s", size, wrong);
			return VN_RUN_FAILED;
		}
	}
	if (optind == argc) {
		vn_error("run: which program? vnode run [--excache SIZE] [--replicas N] [--] "
			 "PROGRAM [ARGUMENT...]");
		return VN_RUN_FAILED;
	}
	argv += optind;

	err = find_program(argv[0], &path);
	if (err) {
		free(path);
		return report_exec(argv[0], err);
	}
	wrong = other_rights(path);
	if (wrong) {
		vn_error("%s %s: such programs are not managed, run it "
			 "without vnode", argv[0], wrong);
		free(path);
		return VN_RUN_NOEXEC;
	}
	if (tag(bytes, size, replicas))
		return VN_RUN_FAILED;
	/* With a slash in it this searches nothing; scripts without #! work. */
	execvp(path, argv);
	return report_exec(argv[0], errno);
}
