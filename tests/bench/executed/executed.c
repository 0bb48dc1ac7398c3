// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin of QEMU that counts the instructions a guest executes, by address.
 *
 *	-plugin executed.so,out=PREFIX[,peer=FILE]
 *	-plugin executed.so,counts=FILE
 *
 * Counting begins anew at each MARK_BEGIN that the guest executes (tests/modules/mark.h); at
 * MARK_END the counts are written to PREFIX.N, N from 0 on: one line for each
 * block of the kernel's code, "ADDRESS INSTRUCTIONS TIMES", the address that of
 * its first instruction, hexadecimal. All programs together are address 0. A block
 * ends where code branches, so it lies in one function.
 *
 * A guest with counts=FILE has its counters in FILE, from its start on, and no marks of its own.
 * Who has that FILE as its peer copies them at its MARK_BEGIN and writes at MARK_END, to PREFIX.N.peer, what
 * came in between: what another host did for it.
 *
 * The counters are added to without a lock: for guests with one CPU. What QEMU
 * cuts off in the middle of a block (an interrupt between two instructions does
 * not) is counted whole.
 *
 * Debian ships no qemu-plugin.h. What is used of it, version 1 of the interface
 * (QEMU 4.2 to 8.2), is declared here; https://www.qemu.org/docs/master/devel/tcg-plugins.html
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../modules/mark.h"

#define EXPORT		__attribute__((visibility("default")))
#define SLOTS		(1u << 20)	/* a power of two; a guest has some 100,000 blocks */
#define HASH		0x9e3779b97f4a7c15ull
#define MARK_SIZE	7

/* ---- of qemu-plugin.h -------------------------------------------------------- */

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_info;

enum { QEMU_PLUGIN_CB_NO_REGS = 0, QEMU_PLUGIN_INLINE_ADD_U64 = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t,
						      struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
					    void (*cb)(unsigned int, void *), int flags,
					    void *userdata);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, int op, void *ptr,
					      uint64_t imm);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc,
			       char **argv);

/* ------------------------------------------------------------------------------ */

struct slot {
	uint64_t address;
	uint64_t executed;
	uint64_t times;
	bool used;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects slots' addresses */
static const char *prefix, *peer_path;
static struct slot *slots;
static struct slot *peer, *peer_before;		/* the peer's slots, and as they were at the mark */

/* NULL: there are too many. */
static struct slot *slot_of(uint64_t address)
{
	uint64_t i, at = address * HASH >> 44;
	struct slot *found = NULL;

	pthread_mutex_lock(&lock);
	for (i = 0; i < SLOTS && !found; i++, at = (at + 1) % SLOTS) {
		if (slots[at].used && slots[at].address != address)
			continue;
		found = &slots[at];
		found->address = address;
		found->used = true;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/* Slots in the file @path, or in memory of our own. */
static struct slot *map_slots(const char *path, int flags)
{
	size_t size = SLOTS * sizeof(struct slot);
	int fd = path ? open(path, flags, 0600) : -1;
	void *mapped = MAP_FAILED;

	if (!path)
		mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			      -1, 0);
	else if (fd >= 0 && !(flags & O_CREAT && ftruncate(fd, size)))
		mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		perror(path ? path : "slots");
	if (fd >= 0)
		close(fd);
	return mapped == MAP_FAILED ? NULL : mapped;
}

/* The peer adds to its counters meanwhile: a slot may be one block older than its neighbour. */
static void peer_begin(void)
{
	if (peer_path && !peer) {
		peer = map_slots(peer_path, O_RDWR);
		peer_before = map_slots(NULL, 0);
	}
	if (peer && peer_before)
		memcpy(peer_before, peer, SLOTS * sizeof(*peer));
}

static void begin(unsigned int cpu, void *unused)
{
	size_t i;

	(void)cpu;
	(void)unused;
	for (i = 0; i < SLOTS; i++)
		slots[i].executed = slots[i].times = 0;
	peer_begin();
}

/* What @now has more than @before, if there is one. Whoever waits for the file finds it whole. */
static void write_slots(const char *path, const struct slot *now, const struct slot *before)
{
	char part[4096];
	FILE *file;
	size_t i;

	snprintf(part, sizeof(part), "%s.part", prefix);
	file = fopen(part, "w");
	if (!file) {
		perror(part);
		return;
	}
	for (i = 0; i < SLOTS; i++) {
		uint64_t executed = now[i].executed - (before ? before[i].executed : 0);
		uint64_t times = now[i].times - (before ? before[i].times : 0);

		if (executed)
			fprintf(file, "%llx %llu %llu\n", (unsigned long long)now[i].address,
				(unsigned long long)executed, (unsigned long long)times);
	}
	if (fclose(file) || rename(part, path))
		perror(path);
}

/* The peer's first: our own file says that both are there. */
static void end(unsigned int cpu, void *unused)
{
	static unsigned int number;
	char path[4096];

	(void)cpu;
	(void)unused;
	if (peer && peer_before) {
		snprintf(path, sizeof(path), "%s.%u.peer", prefix, number);
		write_slots(path, peer, peer_before);
	}
	snprintf(path, sizeof(path), "%s.%u", prefix, number++);
	write_slots(path, slots, NULL);
}

static uint32_t mark_of(const struct qemu_plugin_insn *insn)
{
	const char *data = qemu_plugin_insn_data(insn);
	uint32_t mark = 0;

	if (qemu_plugin_insn_size(insn) == MARK_SIZE && !memcmp(data, MARK_OPCODE, 3))
		memcpy(&mark, data + 3, sizeof(mark));
	return mark;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, nr = qemu_plugin_tb_n_insns(tb);
	uint64_t address = qemu_plugin_tb_vaddr(tb);
	struct slot *slot = slot_of(address >> 63 ? address : 0);

	(void)id;
	if (slot) {
		qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64,
							 &slot->executed, nr);
		qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64,
							 &slot->times, 1);
	}
	for (i = 0; i < nr; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		uint32_t mark = mark_of(insn);

		if (prefix && (mark == MARK_BEGIN || mark == MARK_END))
			qemu_plugin_register_vcpu_insn_exec_cb(insn,
							       mark == MARK_BEGIN ? begin : end,
							       QEMU_PLUGIN_CB_NO_REGS, NULL);
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
	const char *counts = NULL;
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4))
			prefix = strdup(argv[i] + 4);
		else if (!strncmp(argv[i], "peer=", 5))
			peer_path = strdup(argv[i] + 5);
		else if (!strncmp(argv[i], "counts=", 7))
			counts = argv[i] + 7;
	}
	if (!prefix == !counts) {
		fprintf(stderr, "executed: out=PREFIX or counts=FILE, one of them\n");
		return -1;
	}
	slots = map_slots(counts, O_RDWR | O_CREAT | O_TRUNC);
	if (!slots)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
