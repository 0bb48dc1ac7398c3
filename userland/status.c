// SPDX-License-Identifier: GPL-2.0
/* vnode status: what the modules of this host say. */
#include <errno.h>
#include <getopt.h>
#include <string.h>
#include <unistd.h>

#include <splitkernel.h>

#include "netlink.h"
#include "vnode.h"

#define DUMP_TRIES	8

bool vn_module_loaded(const char *root, const char *name)
{
	char path[512];

	/* To resolve a family that is absent can load its module. */
	snprintf(path, sizeof(path), "%s/sys/module", root);
	if (access(path, F_OK))
		return true;
	snprintf(path, sizeof(path), "%s/sys/module/%s", root, name);
	return !access(path, F_OK);
}

struct query {
	struct vn_model *model;
	int module;
};

static int take_counters(const struct nlmsghdr *nlh, void *arg)
{
	struct query *q = arg;

	return vn_model_add_counters(q->model, q->module, nlh);
}

static int take_host(const struct nlmsghdr *nlh, void *arg)
{
	struct query *q = arg;

	return vn_model_add_host(q->model, nlh);
}

static int take_space(const struct nlmsghdr *nlh, void *arg)
{
	struct query *q = arg;

	return vn_model_add_space(q->model, q->module, nlh);
}

/* A dump that changed under way is made again, without what it had brought. */
static int dump(struct vn_nl *nl, uint8_t cmd, vn_nl_cb cb, struct query *q)
{
	size_t hosts = q->model->nr_hosts, spaces = q->model->nr_spaces;
	int tries = DUMP_TRIES, err;

	do {
		q->model->nr_hosts = hosts;
		q->model->nr_spaces = spaces;
		err = vn_nl_talk(nl, vn_nl_request(nl, cmd, NLM_F_DUMP), cb, q);
	} while (err == -EINTR && --tries);
	/* What it could get is better than nothing. */
	return err == -EINTR ? 0 : err;
}

static int ask(struct vn_nl *nl, struct query *q)
{
	int err;

	err = vn_nl_talk(nl, vn_nl_request(nl, SK_CMD_GET_COUNTERS, 0),
			 take_counters, q);
	if (!err && q->module == VN_LITE_RPC)
		err = dump(nl, SK_CMD_GET_HOSTS, take_host, q);
	if (!err && (q->module == VN_PMON || q->module == VN_MMON))
		err = dump(nl, SK_CMD_GET_SPACES, take_space, q);
	return err;
}

static int collect_module(struct vn_model *model, int i, bool quiet)
{
	struct query q = { model, i };
	struct vn_module *module = &model->modules[i];
	static struct vn_nl nl;
	int err;

	if (!vn_module_loaded("", module->name))
		return 0;
	err = vn_nl_open(&nl, module->name);
	if (err == -ENOENT)
		return 0;
	if (!err) {
		module->loaded = true;
		err = ask(&nl, &q);
		vn_nl_close(&nl);
	}
	if (err && !quiet)
		vn_error("%s does not answer: %s", module->name,
			 vn_nl_strerror(&nl, err));
	return err ? -1 : 0;
}

int vn_collect(struct vn_model *model, bool quiet)
{
	int i, ret = 0;

	vn_model_init(model);
	for (i = 0; i < VN_NR_MODULES; i++)
		if (collect_module(model, i, quiet))
			ret = -1;
	return ret;
}

static bool any_loaded(const struct vn_model *model)
{
	int i;

	for (i = 0; i < VN_NR_MODULES; i++)
		if (model->modules[i].loaded)
			return true;
	return false;
}

int vn_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 }
	};
	struct vn_model model;
	struct vn_style style;
	bool json = false;
	int c, err;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c != 'j')
			return VN_USAGE;
		json = true;
	}
	if (optind < argc) {
		vn_error("status: unexpected argument '%s'", argv[optind]);
		return VN_USAGE;
	}

	err = vn_collect(&model, false);
	if (!any_loaded(&model)) {
		if (!err)
			vn_error("no splitkernel module is loaded on this host: "
				 "modprobe lite_rpc, then pmon or mmon");
		vn_model_free(&model);
		return VN_FAILED;
	}
	if (json) {
		if (vn_print_status_json(stdout, &model))
			err = -1;
	} else {
		vn_style_init(&style, stdout);
		vn_print_status(stdout, &model, &style);
	}
	vn_model_free(&model);
	return err ? VN_FAILED : VN_OK;
}
