// SPDX-License-Identifier: GPL-2.0
/*
 * vnode check: can this host take part, and if not, what to do about it. One
 * line a question; FAIL is what keeps splitkernel from working, WARN what
 * makes it slow or keeps this host from one of the roles.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vnode.h"

/* 4 KiB of payload and the headers of RoCE in one frame. */
#define MTU_WANTED	4200
#define KEY_MIN		16	/* bytes: lite_rpc is not loaded with fewer */

struct check {
	FILE *out;
	const char *root;
	int failed;
};

enum verdict { GOOD, WARN, FAIL };

static void say(struct check *c, enum verdict verdict, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct check *c, enum verdict verdict, const char *fmt, ...)
{
	static const char *const words[] = { "ok  ", "WARN", "FAIL" };
	va_list ap;

	fprintf(c->out, "%s  ", words[verdict]);
	va_start(ap, fmt);
	vfprintf(c->out, fmt, ap);
	va_end(ap);
	fputc('\n', c->out);
	if (verdict == FAIL)
		c->failed++;
}

/* First line of a file below root, without the newline; false if unreadable. */
static bool read_line(struct check *c, char *buf, size_t size,
		      const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static bool read_line(struct check *c, char *buf, size_t size,
		      const char *fmt, ...)
{
	char name[512], path[1024];
	bool good = false;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s%s", c->root, name);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fgets(buf, size, f)) {
		buf[strcspn(buf, "\n")] = '\0';
		good = true;
	}
	fclose(f);
	return good;
}

static void check_modules(struct check *c)
{
	bool pmon = vn_module_loaded(c->root, "pmon");
	bool mmon = vn_module_loaded(c->root, "mmon");
	bool gmm = vn_module_loaded(c->root, "gmm");

	if (vn_module_loaded(c->root, "lite_rpc"))
		say(c, GOOD, "lite_rpc is loaded");
	else
		say(c, FAIL, "lite_rpc is not loaded: modprobe lite_rpc "
		    "addr=ADDRESS manager=ADDRESS key_file=FILE");
	if (pmon)
		say(c, GOOD, "pmon is loaded: this host can run programs");
	if (mmon)
		say(c, GOOD, "mmon is loaded: this host lends memory");
	if (gmm)
		say(c, GOOD, "gmm is loaded: this host is the manager");
	if (!pmon && !mmon && !gmm)
		say(c, FAIL, "none of pmon, mmon and gmm is loaded: modprobe pmon "
		    "to run programs, mmon to lend memory");
	else if (!pmon)
		say(c, WARN, "pmon is not loaded: modprobe pmon if programs are "
		    "to run on this host");
}

/* Without these pmon cannot verify and place its hooks. */
static void check_kernel(struct check *c)
{
	char path[512], line[64];

	snprintf(path, sizeof(path), "%s/sys/kernel/btf/vmlinux", c->root);
	if (access(path, R_OK))
		say(c, FAIL, "the kernel has no BTF (%s): boot a kernel with "
		    "CONFIG_DEBUG_INFO_BTF", path);
	else
		say(c, GOOD, "the kernel has BTF");
	if (!read_line(c, line, sizeof(line), "/proc/sys/kernel/ftrace_enabled"))
		say(c, WARN, "cannot tell whether ftrace is enabled");
	else if (strcmp(line, "1"))
		say(c, FAIL, "ftrace is disabled: sysctl kernel.ftrace_enabled=1");
	else
		say(c, GOOD, "ftrace is enabled");
}

static void check_mtu(struct check *c, const char *device)
{
	char netdev[64], text[32];
	unsigned long mtu;

	if (!read_line(c, netdev, sizeof(netdev),
		       "/sys/class/infiniband/%s/ports/1/gid_attrs/ndevs/0",
		       device)) {
		say(c, WARN, "%s: cannot tell its network device", device);
		return;
	}
	if (!read_line(c, text, sizeof(text), "/sys/class/net/%s/mtu", netdev) ||
	    !vn_parse_uint(text, 0, 1UL << 31, &mtu)) {
		say(c, WARN, "%s: cannot tell the MTU of %s", device, netdev);
		return;
	}
	if (mtu < MTU_WANTED)
		say(c, WARN, "MTU of %s is %lu, a page takes several packets: "
		    "ip link set dev %s mtu 9000", netdev, mtu, netdev);
	else
		say(c, GOOD, "MTU of %s is %lu", netdev, mtu);
}

static void check_rdma(struct check *c)
{
	struct dirent *entry;
	char path[512];
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/sys/class/infiniband", c->root);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		found = true;
		say(c, GOOD, "RDMA device %s", entry->d_name);
		check_mtu(c, entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (!found)
		say(c, FAIL, "no RDMA device: load its driver, or for Soft-RoCE "
		    "rdma link add rxe0 type rxe netdev DEVICE");
}

/* Bytes of the key in file @path, a line's end left out, as lite_rpc counts them. */
static size_t key_bytes(const char *path)
{
	char key[KEY_MIN + 2];
	FILE *f = fopen(path, "re");
	size_t n;

	if (!f)
		return 0;
	n = fread(key, 1, sizeof(key), f);
	fclose(f);
	while (n && (key[n - 1] == '\n' || key[n - 1] == '\r'))
		n--;
	explicit_bzero(key, sizeof(key));
	return n;
}

static void check_key(struct check *c)
{
	char name[256], path[512];
	struct stat st;

	if (!vn_module_loaded(c->root, "lite_rpc"))
		return;
	if (!read_line(c, name, sizeof(name),
		       "/sys/module/lite_rpc/parameters/key_file") ||
	    !*name)
		return;
	snprintf(path, sizeof(path), "%s%s", c->root, name);
	if (stat(path, &st))
		say(c, WARN, "key file %s: %s", name, strerror(errno));
	else if (!S_ISREG(st.st_mode) || key_bytes(path) < KEY_MIN)
		say(c, FAIL, "key file %s is no file, or has less than %d bytes: "
		    "give each host the same key", name, KEY_MIN);
	else if (st.st_mode & 077)
		say(c, FAIL, "key file %s can be read by others: chmod 600 %s",
		    name, name);
	else
		say(c, GOOD, "key file %s", name);
}

static void check_hosts(struct check *c, const struct vn_model *model)
{
	size_t nr = vn_memory_hosts(model), i;
	char node[24];

	if (!model->modules[VN_LITE_RPC].loaded)
		return;
	for (i = 0; i < model->nr_hosts; i++)
		if (!vn_host_usable(&model->hosts[i]))
			say(c, WARN, "host %s is %s",
			    vn_format_node(node, sizeof(node),
					   model->hosts[i].node),
			    model->hosts[i].state);
	if (nr)
		say(c, GOOD, "%zu memory host%s joined", nr,
		    nr == 1 ? " has" : "s have");
	else
		say(c, FAIL, "no memory host has joined: modprobe mmon on one, "
		    "and see that its lite_rpc has the same manager and key");
}

int vn_check_print(FILE *out, const char *root, const struct vn_model *model)
{
	struct check c = { .out = out, .root = root };

	check_modules(&c);
	check_kernel(&c);
	check_rdma(&c);
	check_key(&c);
	check_hosts(&c, model);
	return c.failed;
}

int vn_check(int argc, char **argv)
{
	struct vn_model model;
	int failed;

	if (argc > 1) {
		vn_error("check: unexpected argument '%s'", argv[1]);
		return VN_USAGE;
	}
	vn_collect(&model, false);
	failed = vn_check_print(stdout, "", &model);
	vn_model_free(&model);
	return failed ? VN_FAILED : VN_OK;
}
