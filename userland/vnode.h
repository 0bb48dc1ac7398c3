/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vnode: private declarations.
 *
 * What the modules answer goes through three steps that meet only here:
 * netlink.c moves messages, model.c turns messages into a struct vn_model,
 * output.c and check.c render a model. So everything but netlink.c runs in
 * tests without a kernel module.
 */
#ifndef VNODE_H
#define VNODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct nlmsghdr;

/* Exit codes: an interface, see vnode(8). */
enum {
	VN_OK		= 0,
	VN_FAILED	= 1,	/* asked and the answer is no, or an error */
	VN_USAGE	= 2,	/* arguments make no sense */
	VN_RUN_FAILED	= 125,	/* vnode run: before the program was started */
	VN_RUN_NOEXEC	= 126,	/* vnode run: found, but cannot be executed */
	VN_RUN_NOENT	= 127,	/* vnode run: no such program */
};

#define VN_JSON_SCHEMA	1

/* Bits of SK_ATTR_SERVICES, as enum lite_service in lite_rpc.h numbers them. */
#define VN_SVC_MMON	2
#define VN_SVC_MAX	16

/** vn_error - one line "vnode: ..." to stderr */
void vn_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- verbs: argv[0] is the verb, the value is the exit code --------------- */

int vn_run(int argc, char **argv);
int vn_status(int argc, char **argv);
int vn_check(int argc, char **argv);
int vn_wait(int argc, char **argv);
int vn_set(int argc, char **argv);
int vn_host(int argc, char **argv);
int vn_events(int argc, char **argv);

/* ---- set.c ---------------------------------------------------------------- */

/**
 * vn_change - have a module of this host change something
 * @module: its name and family's
 * @cmd: enum sk_cmd
 * @put: puts the attributes, from @arg
 * @what: begins the message if it is refused
 * Return: exit code, with a message unless 0.
 */
int vn_change(const char *module, uint8_t cmd,
	      void (*put)(struct nlmsghdr *nlh, const void *arg),
	      const void *arg, const char *what);

/* ---- units.c -------------------------------------------------------------- */

#define VN_PAGE_SIZE	4096ULL
#define VN_SIZE_MAX	(1ULL << 47)	/* user address space of x86-64 */

/**
 * vn_parse_size - "64M", "1G", "4096K", "1048576": a size in bytes
 * @size: set to the size rounded up to whole pages
 * Return: NULL, or in words what is wrong with @text.
 */
const char *vn_parse_size(const char *text, uint64_t *size);

/** vn_parse_uint - decimal number in [@min, @max]; Return: success */
bool vn_parse_uint(const char *text, unsigned long min, unsigned long max,
		   unsigned long *value);

/** vn_format_bytes - "512K", "1.5G": at most 6 characters; Return: @buf */
char *vn_format_bytes(char *buf, size_t size, uint64_t bytes);

/** vn_format_ms - "250ms", "3.2s", "5m", "2h"; Return: @buf */
char *vn_format_ms(char *buf, size_t size, uint32_t ms);

/** vn_parse_node - node id of an IPv4 address; Return: success */
bool vn_parse_node(const char *text, uint32_t *node);

/** vn_format_node - IPv4 address of a node id; Return: @buf */
char *vn_format_node(char *buf, size_t size, uint32_t node);

/* ---- model.c -------------------------------------------------------------- */

#define VN_TEXT_MAX	64

struct vn_counter {
	char name[VN_TEXT_MAX];
	uint64_t value;
};

struct vn_module {
	const char *name;	/* of the module and of its netlink family */
	bool loaded;
	char policy[VN_TEXT_MAX];	/* gmm: of placement */
	uint32_t manager;		/* lite_rpc; 0: none */
	char prefetch[VN_TEXT_MAX];	/* "on", "off"; empty: not told */
	char rebalance[VN_TEXT_MAX];	/* likewise; gmm */
	struct vn_counter *counters;
	size_t nr_counters;
};

enum { VN_LITE_RPC, VN_GMM, VN_MMON, VN_PMON, VN_NR_MODULES };

/* A member is absent from a message when the module does not know it. */
struct vn_host {
	uint32_t node;
	uint32_t services;
	char state[VN_TEXT_MAX];
	bool has_memory;
	uint64_t capacity;	/* frames */
	uint64_t free;
	bool has_age;
	uint32_t age_ms;
	uint32_t epoch;
	uint64_t errors;
	bool has_draining;
	bool draining;
	bool has_regions;
	uint32_t regions;
	bool has_replicas;
	uint32_t replicas;
	bool has_load;
	uint32_t load;		/* requests per second */
	bool has_log;
	uint64_t log_capacity;	/* bytes */
	uint64_t log_free;
};

struct vn_space {
	const char *module;
	uint64_t asid;
	bool has_node;
	uint32_t node;		/* pmon: home, 0: none yet; mmon: processor host */
	bool has_pid;
	uint32_t pid;
	char name[VN_TEXT_MAX];
	char state[VN_TEXT_MAX];
	bool has_lines;
	uint64_t lines;
	bool has_limit;
	uint64_t limit;
	bool has_frames;
	uint64_t frames;
};

struct vn_model {
	struct vn_module modules[VN_NR_MODULES];
	struct vn_host *hosts;
	size_t nr_hosts;
	struct vn_space *spaces;
	size_t nr_spaces;
};

void vn_model_init(struct vn_model *model);
void vn_model_free(struct vn_model *model);

/* Add what one message holds. Return: 0 or negative errno. */
int vn_model_add_counters(struct vn_model *model, int module,
			  const struct nlmsghdr *nlh);
int vn_model_add_host(struct vn_model *model, const struct nlmsghdr *nlh);
int vn_model_add_space(struct vn_model *model, int module,
		       const struct nlmsghdr *nlh);

/** struct vn_event - what happened; 0 and "" for what is not told */
struct vn_event {
	char what[VN_TEXT_MAX];
	uint64_t time_ms;	/* since 1970 */
	uint64_t asid;
	uint32_t node;
	uint32_t pid;
	char name[VN_TEXT_MAX];
};

/** vn_event_parse - Return: whether the message is an event */
bool vn_event_parse(struct vn_event *event, const struct nlmsghdr *nlh);

/** vn_host_usable - can the host be reached, as far as is known */
bool vn_host_usable(const struct vn_host *host);

/** vn_host_lends - is it a memory host */
bool vn_host_lends(const struct vn_host *host);

/** vn_find_host - Return: NULL if it is not known */
const struct vn_host *vn_find_host(const struct vn_model *model, uint32_t node);

/** vn_memory_hosts - how many usable memory hosts have joined */
size_t vn_memory_hosts(const struct vn_model *model);

/** vn_service_name - name of bit @bit of vn_host::services, NULL if unknown */
const char *vn_service_name(unsigned int bit);

/* ---- status.c ------------------------------------------------------------- */

/**
 * vn_collect - ask all modules that are loaded here
 * @quiet: no message when a module does not answer
 * Return: 0, or -1 when one of the modules did not answer.
 */
int vn_collect(struct vn_model *model, bool quiet);

/** vn_module_loaded - without asking for it, which could load it */
bool vn_module_loaded(const char *root, const char *name);

/* ---- output.c ------------------------------------------------------------- */

struct vn_style {
	bool colour;
	int width;
};

void vn_style_init(struct vn_style *style, FILE *out);
void vn_print_status(FILE *out, const struct vn_model *model,
		     const struct vn_style *style);
int vn_print_status_json(FILE *out, const struct vn_model *model);
/* The memory hosts only. */
void vn_print_hosts(FILE *out, const struct vn_model *model,
		    const struct vn_style *style);
int vn_print_hosts_json(FILE *out, const struct vn_model *model);
/* One line each. */
void vn_print_event(FILE *out, const struct vn_event *event);
int vn_print_event_json(FILE *out, const struct vn_event *event);

/* ---- check.c -------------------------------------------------------------- */

/**
 * vn_check_print - the preflight
 * @root: prefix of /sys and /proc, "" but in tests
 * Return: number of lines that say FAIL.
 */
int vn_check_print(FILE *out, const char *root, const struct vn_model *model);

#endif /* VNODE_H */
