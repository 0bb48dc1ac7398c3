// SPDX-License-Identifier: GPL-2.0
/*
 * What the modules answered, taken out of netlink messages. Attributes that
 * are unknown or of an unexpected length are passed over, so that this vnode
 * works with newer modules. Pure.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>
#include <splitkernel.h>

#include "vnode.h"

static const char *const module_names[VN_NR_MODULES] = {
	[VN_LITE_RPC]	= SK_FAMILY_LITE_RPC,
	[VN_GMM]	= SK_FAMILY_GMM,
	[VN_MMON]	= SK_FAMILY_MMON,
	[VN_PMON]	= SK_FAMILY_PMON,
};

void vn_model_init(struct vn_model *model)
{
	int i;

	memset(model, 0, sizeof(*model));
	for (i = 0; i < VN_NR_MODULES; i++)
		model->modules[i].name = module_names[i];
}

void vn_model_free(struct vn_model *model)
{
	int i;

	for (i = 0; i < VN_NR_MODULES; i++)
		free(model->modules[i].counters);
	free(model->hosts);
	free(model->spaces);
	vn_model_init(model);
}

/* One more element, zeroed, at the end of an array; NULL without memory. */
static void *grow(void **array, size_t *nr, size_t size)
{
	char *p = reallocarray(*array, *nr + 1, size);

	if (!p)
		return NULL;
	*array = p;
	p += (*nr)++ * size;
	memset(p, 0, size);
	return p;
}

/* A process may call itself anything: nothing that moves a terminal's cursor. */
static void get_text(const struct nlattr *attr, char *out)
{
	const char *p = mnl_attr_get_payload(attr);
	size_t i, len = strnlen(p, mnl_attr_get_payload_len(attr));

	if (len >= VN_TEXT_MAX)
		len = VN_TEXT_MAX - 1;
	for (i = 0; i < len; i++)
		out[i] = p[i] < 0x20 || p[i] > 0x7e ? '?' : p[i];
	out[len] = '\0';
}

static bool get_u32(const struct nlattr *attr, uint32_t *value)
{
	if (mnl_attr_get_payload_len(attr) != sizeof(*value))
		return false;
	*value = mnl_attr_get_u32(attr);
	return true;
}

static bool get_u64(const struct nlattr *attr, uint64_t *value)
{
	if (mnl_attr_get_payload_len(attr) != sizeof(*value))
		return false;
	*value = mnl_attr_get_u64(attr);
	return true;
}

static int add_counter(struct vn_module *module, const struct nlattr *nest)
{
	struct vn_counter *counter;
	const struct nlattr *attr;

	counter = grow((void **)&module->counters, &module->nr_counters,
		       sizeof(*counter));
	if (!counter)
		return -ENOMEM;
	mnl_attr_for_each_nested(attr, nest) {
		if (mnl_attr_get_type(attr) == SK_ATTR_NAME)
			get_text(attr, counter->name);
		else if (mnl_attr_get_type(attr) == SK_ATTR_VALUE)
			get_u64(attr, &counter->value);
	}
	if (!counter->name[0])
		module->nr_counters--;
	return 0;
}

static void get_on_off(const struct nlattr *attr, char *text)
{
	if (mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
		strcpy(text, mnl_attr_get_u8(attr) ? "on" : "off");
}

int vn_model_add_counters(struct vn_model *model, int module,
			  const struct nlmsghdr *nlh)
{
	struct vn_module *m = &model->modules[module];
	const struct nlattr *attr;
	int err;

	mnl_attr_for_each(attr, nlh, sizeof(struct genlmsghdr)) {
		switch (mnl_attr_get_type(attr)) {
		case SK_ATTR_COUNTER:
			err = add_counter(m, attr);
			if (err)
				return err;
			break;
		case SK_ATTR_POLICY:
			get_text(attr, m->policy);
			break;
		case SK_ATTR_MANAGER:
			get_u32(attr, &m->manager);
			break;
		case SK_ATTR_PREFETCH:
			get_on_off(attr, m->prefetch);
			break;
		case SK_ATTR_REBALANCE:
			get_on_off(attr, m->rebalance);
			break;
		}
	}
	return 0;
}

/* What only memory hosts have. */
static void get_memory_attr(struct vn_host *host, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case SK_ATTR_DRAINING:
		host->has_draining = mnl_attr_validate(attr, MNL_TYPE_U8) >= 0;
		if (host->has_draining)
			host->draining = mnl_attr_get_u8(attr);
		break;
	case SK_ATTR_REGIONS:
		host->has_regions = get_u32(attr, &host->regions);
		break;
	case SK_ATTR_REPLICAS:
		host->has_replicas = get_u32(attr, &host->replicas);
		break;
	case SK_ATTR_LOAD:
		host->has_load = get_u32(attr, &host->load);
		break;
	case SK_ATTR_LOG_CAPACITY:
		host->has_log = get_u64(attr, &host->log_capacity);
		break;
	case SK_ATTR_LOG_FREE:
		get_u64(attr, &host->log_free);
		break;
	}
}

static void get_host_attr(struct vn_host *host, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case SK_ATTR_NODE:
		get_u32(attr, &host->node);
		break;
	case SK_ATTR_STATE:
		get_text(attr, host->state);
		break;
	case SK_ATTR_SERVICES:
		get_u32(attr, &host->services);
		break;
	case SK_ATTR_CAPACITY:
		host->has_memory = get_u64(attr, &host->capacity);
		break;
	case SK_ATTR_FREE:
		get_u64(attr, &host->free);
		break;
	case SK_ATTR_AGE_MS:
		host->has_age = get_u32(attr, &host->age_ms);
		break;
	case SK_ATTR_EPOCH:
		get_u32(attr, &host->epoch);
		break;
	case SK_ATTR_ERRORS:
		get_u64(attr, &host->errors);
		break;
	default:
		get_memory_attr(host, attr);
		break;
	}
}

int vn_model_add_host(struct vn_model *model, const struct nlmsghdr *nlh)
{
	const struct nlattr *nest, *attr;
	struct vn_host *host;

	mnl_attr_for_each(nest, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(nest) != SK_ATTR_HOST)
			continue;
		host = grow((void **)&model->hosts, &model->nr_hosts,
			    sizeof(*host));
		if (!host)
			return -ENOMEM;
		mnl_attr_for_each_nested(attr, nest)
			get_host_attr(host, attr);
	}
	return 0;
}

static void get_space_attr(struct vn_space *space, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case SK_ATTR_ASID:
		get_u64(attr, &space->asid);
		break;
	case SK_ATTR_NODE:
		space->has_node = get_u32(attr, &space->node);
		break;
	case SK_ATTR_PID:
		space->has_pid = get_u32(attr, &space->pid);
		break;
	case SK_ATTR_NAME:
		get_text(attr, space->name);
		break;
	case SK_ATTR_STATE:
		get_text(attr, space->state);
		break;
	case SK_ATTR_LINES:
		space->has_lines = get_u64(attr, &space->lines);
		break;
	case SK_ATTR_LIMIT:
		space->has_limit = get_u64(attr, &space->limit);
		break;
	case SK_ATTR_FRAMES:
		space->has_frames = get_u64(attr, &space->frames);
		break;
	}
}

int vn_model_add_space(struct vn_model *model, int module,
		       const struct nlmsghdr *nlh)
{
	const struct nlattr *nest, *attr;
	struct vn_space *space;

	mnl_attr_for_each(nest, nlh, sizeof(struct genlmsghdr)) {
		if (mnl_attr_get_type(nest) != SK_ATTR_SPACE)
			continue;
		space = grow((void **)&model->spaces, &model->nr_spaces,
			     sizeof(*space));
		if (!space)
			return -ENOMEM;
		space->module = model->modules[module].name;
		mnl_attr_for_each_nested(attr, nest)
			get_space_attr(space, attr);
	}
	return 0;
}

static void get_event_attr(struct vn_event *event, const struct nlattr *attr)
{
	switch (mnl_attr_get_type(attr)) {
	case SK_ATTR_EVENT:
		get_text(attr, event->what);
		break;
	case SK_ATTR_TIME_MS:
		get_u64(attr, &event->time_ms);
		break;
	case SK_ATTR_ASID:
		get_u64(attr, &event->asid);
		break;
	case SK_ATTR_NODE:
		get_u32(attr, &event->node);
		break;
	case SK_ATTR_PID:
		get_u32(attr, &event->pid);
		break;
	case SK_ATTR_NAME:
		get_text(attr, event->name);
		break;
	}
}

bool vn_event_parse(struct vn_event *event, const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *genl = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	memset(event, 0, sizeof(*event));
	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*genl) ||
	    genl->cmd != SK_CMD_EVENT)
		return false;
	mnl_attr_for_each(attr, nlh, sizeof(*genl))
		get_event_attr(event, attr);
	return *event->what;
}

/*
 * Connections are made by the first call, so a host that was never called is
 * neither up nor down, and good. Only what is known to be bad counts as bad.
 */
bool vn_host_usable(const struct vn_host *host)
{
	static const char *const bad[] = { "down", "dead", "left" };
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (!strcmp(host->state, bad[i]))
			return false;
	return true;
}

bool vn_host_lends(const struct vn_host *host)
{
	return host->services & 1u << VN_SVC_MMON;
}

const struct vn_host *vn_find_host(const struct vn_model *model, uint32_t node)
{
	size_t i;

	for (i = 0; i < model->nr_hosts; i++)
		if (model->hosts[i].node == node)
			return &model->hosts[i];
	return NULL;
}

size_t vn_memory_hosts(const struct vn_model *model)
{
	size_t i, nr = 0;

	for (i = 0; i < model->nr_hosts; i++)
		if (vn_host_lends(&model->hosts[i]) &&
		    vn_host_usable(&model->hosts[i]))
			nr++;
	return nr;
}

const char *vn_service_name(unsigned int bit)
{
	static const char *const names[VN_SVC_MAX] = {
		[1] = "gmm", [2] = "mmon", [3] = "pmon", [14] = "test",
	};

	return bit < VN_SVC_MAX ? names[bit] : NULL;
}
