// SPDX-License-Identifier: GPL-2.0
/*
 * A model as text for people, and as JSON for programs. Pure but for isatty().
 *
 * The text shows one screen: counters that are zero and address spaces beyond
 * the first ones are left out. The JSON document shows everything and its
 * names are an interface, see docs/vnode.md.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "vnode.h"

#define SPACES_SHOWN	16
#define WIDTH_DEFAULT	80
#define FRAME_SIZE	4096

void vn_style_init(struct vn_style *style, FILE *out)
{
	const char *no_color = getenv("NO_COLOR");
	struct winsize ws;
	int fd = fileno(out);

	style->colour = isatty(fd) && !(no_color && *no_color);
	style->width = WIDTH_DEFAULT;
	if (style->colour && !ioctl(fd, TIOCGWINSZ, &ws) && ws.ws_col >= 40)
		style->width = ws.ws_col;
}

/* ---- text ----------------------------------------------------------------- */

static void heading(FILE *out, const struct vn_style *style, const char *text)
{
	fprintf(out, style->colour ? "\033[1m%s\033[0m\n" : "%s\n", text);
}

/* The names of the services, separated by commas. */
static char *services_text(char *buf, size_t size, uint32_t services)
{
	const char *name;
	unsigned int bit;
	size_t len = 0;

	snprintf(buf, size, "-");
	for (bit = 0; bit < 32 && len < size; bit++) {
		if (!(services & 1u << bit))
			continue;
		name = vn_service_name(bit);
		if (name)
			len += snprintf(buf + len, size - len, "%s%s",
					len ? "," : "", name);
		else
			len += snprintf(buf + len, size - len, "%s%u",
					len ? "," : "", bit);
	}
	return buf;
}

/* "-" when there is no such figure. */
static char *frames_text(char *buf, size_t size, bool known, uint64_t frames)
{
	snprintf(buf, size, "-");
	return known ? vn_format_bytes(buf, size, frames * FRAME_SIZE) : buf;
}

static char *node_text(char *buf, size_t size, bool known, uint32_t node)
{
	snprintf(buf, size, "-");
	return known && node ? vn_format_node(buf, size, node) : buf;
}

static void print_host(FILE *out, const struct vn_host *host,
		       const struct vn_style *style)
{
	char node[24], services[64], total[16], free_[16], age[16] = "-";
	bool red = style->colour && !vn_host_usable(host);

	if (host->has_age)
		vn_format_ms(age, sizeof(age), host->age_ms);
	fprintf(out, "%-15s  %-14s  %s%-10s%s  %7s  %7s  %6s  %6" PRIu64 "%s\n",
		vn_format_node(node, sizeof(node), host->node),
		services_text(services, sizeof(services), host->services),
		red ? "\033[31m" : "", *host->state ? host->state : "-",
		red ? "\033[0m" : "",
		frames_text(total, sizeof(total), host->has_memory,
			    host->capacity),
		frames_text(free_, sizeof(free_), host->has_memory, host->free),
		age, host->errors, host->draining ? "  draining" : "");
}

static void print_hosts(FILE *out, const struct vn_model *model,
			const struct vn_style *style)
{
	size_t i;

	if (!model->nr_hosts) {
		fprintf(out, "no host is known\n");
		return;
	}
	heading(out, style, "HOST             SERVICES        STATE        MEMORY"
		"     FREE     AGE  ERRORS");
	for (i = 0; i < model->nr_hosts; i++)
		print_host(out, &model->hosts[i], style);
}

/* "-" when there is no such figure. */
static char *count_text(char *buf, size_t size, bool known, uint32_t count)
{
	snprintf(buf, size, known ? "%" PRIu32 : "-", count);
	return buf;
}

static void print_memory_host(FILE *out, const struct vn_host *host,
			      const struct vn_style *style)
{
	char node[24], total[16], free_[16], regions[16], replicas[16], load[16];
	bool red = style->colour && !vn_host_usable(host);

	fprintf(out, "%-15s  %s%-10s%s  %7s  %7s  %7s  %8s  %10s  %s\n",
		vn_format_node(node, sizeof(node), host->node),
		red ? "\033[31m" : "", *host->state ? host->state : "-",
		red ? "\033[0m" : "",
		frames_text(total, sizeof(total), host->has_memory,
			    host->capacity),
		frames_text(free_, sizeof(free_), host->has_memory, host->free),
		count_text(regions, sizeof(regions), host->has_regions,
			   host->regions),
		count_text(replicas, sizeof(replicas), host->has_replicas,
			   host->replicas),
		count_text(load, sizeof(load), host->has_load, host->load),
		!host->has_draining ? "-" : host->draining ? "yes" : "no");
}

void vn_print_hosts(FILE *out, const struct vn_model *model,
		    const struct vn_style *style)
{
	size_t i;

	heading(out, style, "HOST             STATE        MEMORY     FREE  "
		"REGIONS  REPLICAS  REQUESTS/s  DRAINING");
	for (i = 0; i < model->nr_hosts; i++)
		if (vn_host_lends(&model->hosts[i]))
			print_memory_host(out, &model->hosts[i], style);
}

static void print_space(FILE *out, const struct vn_space *space)
{
	char pid[16] = "-", node[24], lines[16], limit[16], frames[16];

	if (space->has_pid)
		snprintf(pid, sizeof(pid), "%" PRIu32, space->pid);
	fprintf(out, "%-4s  %-16" PRIx64 "  %7s  %-15.15s  %-15s  %6s  %6s  %6s%s%s\n",
		space->module, space->asid, pid,
		*space->name ? space->name : "-",
		node_text(node, sizeof(node), space->has_node, space->node),
		frames_text(lines, sizeof(lines), space->has_lines,
			    space->lines),
		frames_text(limit, sizeof(limit), space->has_limit,
			    space->limit),
		frames_text(frames, sizeof(frames), space->has_frames,
			    space->frames),
		*space->state && strcmp(space->state, "ok") ? "  " : "",
		strcmp(space->state, "ok") ? space->state : "");
}

static void print_spaces(FILE *out, const struct vn_model *model,
			 const struct vn_style *style)
{
	size_t i;

	if (!model->nr_spaces)
		return;
	fprintf(out, "\n");
	heading(out, style, "AT    ADDRESS SPACE         PID  COMMAND          "
		"HOST             CACHED   LIMIT  REMOTE");
	for (i = 0; i < model->nr_spaces && i < SPACES_SHOWN; i++)
		print_space(out, &model->spaces[i]);
	if (i < model->nr_spaces)
		fprintf(out, "... and %zu more: vnode status --json\n",
			model->nr_spaces - i);
}

static void print_counters(FILE *out, const struct vn_module *module, int width)
{
	const struct vn_counter *c = module->counters;
	const struct vn_counter *end = c + module->nr_counters;
	int column, len;
	char text[96];

	for (column = 10; c < end; c++) {
		if (!c->value)
			continue;
		len = snprintf(text, sizeof(text), "  %s %" PRIu64, c->name,
			       c->value);
		if (column > 10 && column + len > width) {
			fprintf(out, "\n%10s", "");
			column = 10;
		}
		fputs(text, out);
		column += len;
	}
	fprintf(out, "\n");
}

static uint64_t counter(const struct vn_module *m, const char *name)
{
	size_t i;

	for (i = 0; i < m->nr_counters; i++)
		if (!strcmp(m->counters[i].name, name))
			return m->counters[i].value;
	return 0;
}

/*
 * Accuracy: pages used of those prefetched. Coverage: pages prefetched and used
 * of all that had to come from another host.
 */
static void print_prefetch(FILE *out, const struct vn_module *m)
{
	uint64_t issued = counter(m, "prefetch_issued");
	uint64_t used = counter(m, "prefetch_used");
	uint64_t all = used + counter(m, "misses");

	fprintf(out, "  prefetch %s", m->prefetch);
	if (issued)
		fprintf(out, ", accuracy %.0f %%", 100.0 * used / issued);
	if (issued && all)
		fprintf(out, ", coverage %.0f %%", 100.0 * used / all);
	fprintf(out, "\n%10s", "");
}

static void print_modules(FILE *out, const struct vn_model *model,
			  const struct vn_style *style)
{
	const struct vn_module *m;
	char node[24];
	int i;

	fprintf(out, "\n");
	heading(out, style, "MODULE      COUNTERS THAT ARE NOT ZERO");
	for (i = 0; i < VN_NR_MODULES; i++) {
		m = &model->modules[i];
		if (!m->loaded)
			continue;
		fprintf(out, "%-10s", m->name);
		if (m->manager)
			fprintf(out, "  manager %s\n%10s",
				vn_format_node(node, sizeof(node), m->manager),
				"");
		if (*m->policy)
			fprintf(out, "  %s %s\n%10s",
				i == VN_GMM ? "placement" : "policy", m->policy,
				"");
		if (*m->rebalance)
			fprintf(out, "  rebalance %s\n%10s", m->rebalance, "");
		if (*m->prefetch)
			print_prefetch(out, m);
		print_counters(out, m, style->width);
	}
}

void vn_print_status(FILE *out, const struct vn_model *model,
		     const struct vn_style *style)
{
	print_hosts(out, model, style);
	print_spaces(out, model, style);
	print_modules(out, model, style);
}

void vn_print_event(FILE *out, const struct vn_event *event)
{
	time_t seconds = event->time_ms / 1000;
	char when[32] = "?", node[24];
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%F %T", &tm);
	fprintf(out, "%s.%03u  %s", when, (unsigned int)(event->time_ms % 1000),
		event->what);
	if (event->node)
		fprintf(out, "  host %s",
			vn_format_node(node, sizeof(node), event->node));
	if (event->asid)
		fprintf(out, "  region %" PRIx64 "  pid %" PRIu32 "  %s",
			event->asid, event->pid, event->name);
	fputc('\n', out);
}

/* ---- JSON ----------------------------------------------------------------- */

/* JSON integers are signed here; a counter that large is broken anyhow. */
static json_t *number(uint64_t value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static json_t *node_json(uint32_t node)
{
	char buf[24];

	return json_string(vn_format_node(buf, sizeof(buf), node));
}

static json_t *services_json(uint32_t services)
{
	json_t *array = json_array();
	const char *name;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		if (!(services & 1u << bit))
			continue;
		name = vn_service_name(bit);
		json_array_append_new(array, name ? json_string(name) :
				      json_sprintf("%u", bit));
	}
	return array;
}

/* What only memory hosts have. */
static void add_memory_json(json_t *o, const struct vn_host *host)
{
	if (host->has_draining)
		json_object_set_new(o, "draining", json_boolean(host->draining));
	if (host->has_regions)
		json_object_set_new(o, "regions", number(host->regions));
	if (host->has_replicas)
		json_object_set_new(o, "replicas", number(host->replicas));
	if (host->has_load)
		json_object_set_new(o, "requests_per_s", number(host->load));
	if (host->has_log) {
		json_object_set_new(o, "log_total", number(host->log_capacity));
		json_object_set_new(o, "log_free", number(host->log_free));
	}
}

static json_t *host_json(const struct vn_host *host)
{
	json_t *o = json_object();

	json_object_set_new(o, "address", node_json(host->node));
	json_object_set_new(o, "services", services_json(host->services));
	json_object_set_new(o, "state", json_string(host->state));
	json_object_set_new(o, "usable", json_boolean(vn_host_usable(host)));
	if (host->has_memory) {
		json_object_set_new(o, "frames_total", number(host->capacity));
		json_object_set_new(o, "frames_free", number(host->free));
	}
	if (host->has_age)
		json_object_set_new(o, "age_ms", number(host->age_ms));
	json_object_set_new(o, "epoch", number(host->epoch));
	json_object_set_new(o, "errors", number(host->errors));
	add_memory_json(o, host);
	return o;
}

/* asid as text: it uses all 64 bits, which JSON numbers do not carry. */
static json_t *space_json(const struct vn_space *space)
{
	json_t *o = json_object();
	bool home = !strcmp(space->module, "pmon");

	json_object_set_new(o, "module", json_string(space->module));
	json_object_set_new(o, "asid",
			    json_sprintf("%016" PRIx64, space->asid));
	if (space->has_pid)
		json_object_set_new(o, "pid", number(space->pid));
	if (*space->name)
		json_object_set_new(o, "comm", json_string(space->name));
	if (space->has_node)
		json_object_set_new(o, home ? "home" : "processor_host",
				    space->node ? node_json(space->node) :
				    json_null());
	if (*space->state)
		json_object_set_new(o, "state", json_string(space->state));
	if (space->has_lines)
		json_object_set_new(o, "lines", number(space->lines));
	if (space->has_limit)
		json_object_set_new(o, "limit", number(space->limit));
	if (space->has_frames)
		json_object_set_new(o, "frames", number(space->frames));
	return o;
}

static json_t *counters_json(const struct vn_module *module)
{
	json_t *o = json_object();
	size_t i;

	for (i = 0; i < module->nr_counters; i++)
		json_object_set_new(o, module->counters[i].name,
				    number(module->counters[i].value));
	return o;
}

/* What can be changed at run time. */
static void add_settings_json(json_t *root, const struct vn_model *model)
{
	const struct vn_module *m = &model->modules[VN_PMON];

	if (m->loaded && *m->policy)
		json_object_set_new(root, "policy", json_string(m->policy));
	if (m->loaded && *m->prefetch)
		json_object_set_new(root, "prefetch", json_string(m->prefetch));
	m = &model->modules[VN_GMM];
	if (m->loaded && *m->policy)
		json_object_set_new(root, "placement", json_string(m->policy));
	if (m->loaded && *m->rebalance)
		json_object_set_new(root, "rebalance", json_string(m->rebalance));
	m = &model->modules[VN_LITE_RPC];
	if (m->loaded && m->manager)
		json_object_set_new(root, "manager", node_json(m->manager));
}

/* Takes over @root; NULL: no memory. */
static int print_json(FILE *out, json_t *root)
{
	int ret;

	if (!root)
		return -ENOMEM;
	ret = json_dumpf(root, out, JSON_INDENT(1));
	json_decref(root);
	fputc('\n', out);
	return ret ? -EIO : 0;
}

int vn_print_hosts_json(FILE *out, const struct vn_model *model)
{
	json_t *hosts = json_array();
	size_t i;

	for (i = 0; i < model->nr_hosts; i++)
		if (vn_host_lends(&model->hosts[i]))
			json_array_append_new(hosts, host_json(&model->hosts[i]));
	return print_json(out, json_pack("{s:i, s:o}", "schema", VN_JSON_SCHEMA,
					 "hosts", hosts));
}

int vn_print_status_json(FILE *out, const struct vn_model *model)
{
	json_t *modules = json_object(), *hosts = json_array();
	json_t *spaces = json_array(), *root;
	size_t i;

	for (i = 0; i < model->nr_hosts; i++)
		json_array_append_new(hosts, host_json(&model->hosts[i]));
	for (i = 0; i < VN_NR_MODULES; i++)
		if (model->modules[i].loaded)
			json_object_set_new(modules, model->modules[i].name,
					    counters_json(&model->modules[i]));
	for (i = 0; i < model->nr_spaces; i++)
		json_array_append_new(spaces, space_json(&model->spaces[i]));

	root = json_pack("{s:i, s:o, s:o, s:o}", "schema", VN_JSON_SCHEMA,
			 "hosts", hosts, "modules", modules, "spaces", spaces);
	if (root)
		add_settings_json(root, model);
	return print_json(out, root);
}

int vn_print_event_json(FILE *out, const struct vn_event *event)
{
	json_t *root = json_object();
	int ret;

	json_object_set_new(root, "schema", json_integer(VN_JSON_SCHEMA));
	json_object_set_new(root, "event", json_string(event->what));
	json_object_set_new(root, "time_ms", number(event->time_ms));
	if (event->node)
		json_object_set_new(root, "host", node_json(event->node));
	if (event->asid) {
		json_object_set_new(root, "region",
				    json_sprintf("%016" PRIx64, event->asid));
		json_object_set_new(root, "pid", number(event->pid));
		json_object_set_new(root, "comm", json_string(event->name));
	}
	/* One line, so that who reads it knows where it ends. */
	ret = json_dumpf(root, out, JSON_COMPACT);
	json_decref(root);
	fputc('\n', out);
	return ret ? -EIO : 0;
}
