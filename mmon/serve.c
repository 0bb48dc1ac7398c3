// SPDX-License-Identifier: GPL-2.0
/*
 * Between lite_rpc and request.c: requests in, replies and events out.
 *
 * A fetch is answered where it arrives, in softirq context; everything else
 * runs on lite_rpc's workqueue. The frames and records of a fetch stay where they
 * are until lite_rpc has sent them. A fetch of records that the store has alone
 * becomes a work item, of which a few run at once.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"
#include "trace.h"

static struct mmon *server;

static const char * const op_name[MMON_OP_MAX] = {
	[0] = "unknown",
	[MMON_OP_MAPS] = "maps",
	[MMON_OP_FLUSH] = "flush",
	[MMON_OP_FETCH] = "fetch",
	[MMON_OP_CLONE] = "clone",
	[MMON_OP_EXIT] = "exit",
	[MMON_OP_ADOPT] = "adoption",
	[MMON_OP_REPLICA] = "replica",
	[MMON_OP_PROMOTE] = "promotion",
	[MMON_OP_SEED] = "seeding",
	[MMON_OP_FEED] = "feed",
};

/* ---- what the manager is told ------------------------------------------------ */

static void publish(struct work_struct *work);
static DECLARE_DELAYED_WORK(publish_work, publish);

/* What is spilled takes no room: a log with a store always has some. */
static void log_figures(struct lite_member_figures *figures)
{
	struct mmon_log_stats stats;
	u64 pages;

	mmon_log_read_stats(&server->log, &stats);
	pages = (u64)stats.segments * MMON_SEGMENT_PAGES;
	figures->log_capacity = pages << MMON_PAGE_SHIFT;
	if (!server->log.store)
		pages -= min(pages, stats.records);
	figures->log_free = pages << MMON_PAGE_SHIFT;
}

/* Each second: the manager makes requests per second of it. */
static void publish(struct work_struct *work)
{
	struct mmon_pool *pool = &server->pool;
	struct lite_member_figures figures = {
		.capacity = pool->capacity,
		.requests = mmon_requests(server),
		.replicas = atomic_read(&server->nr_replicas),
	};
	u32 peak, spaces = atomic_read(&server->nr_spaces);

	/* They are not read at one moment: a replica may have gone in between. */
	figures.regions = spaces - min(spaces, figures.replicas);
	log_figures(&figures);
	figures.free = pool->capacity - mmon_pool_used(pool, &peak);
	lite_member_publish(LITE_SVC_MMON, true, &figures);
	schedule_delayed_work(&publish_work, HZ);
}

/* ---- replies ------------------------------------------------------------------- */

static void release_frame(void *arg)
{
	mmon_frame_put(&server->pool, arg);
}

static void release_segment(void *arg)
{
	mmon_log_unpin(&server->log, arg);
}

static void release_pages(void *arg)
{
	mmon_pages_put(server, arg);
	kfree(arg);
}

/* Of the only page. What must be remembered until it is sent is one pointer. */
static void reply_page(struct lite_request *req, const struct mmon_pages *pages)
{
	struct lite_sge src;

	mmon_pages_sge(server, pages, 0, 0, &src);
	if (pages->frame[0])
		lite_reply_pages(req, &src, 1, release_frame, pages->frame[0],
				 NULL, 0);
	else
		lite_reply_pages(req, &src, 1, release_segment,
				 pages->place[0].segment, NULL, 0);
}

/*
 * Page i of the reply goes to the caller's page i, so holes between stored
 * pages travel as zeros; the bitmap tells which pages count.
 */
static void reply_pages(struct lite_request *req, const struct mmon_pages *pages)
{
	__le32 bitmap = cpu_to_le32(pages->found);
	struct lite_sge src[MMON_FETCH_MAX];
	struct mmon_pages *held;
	u32 i, nr = fls(pages->found);

	if (!nr) {
		lite_reply(req, 0, &bitmap, sizeof(bitmap));
		return;
	}
	held = kmemdup(pages, mmon_pages_size(pages), GFP_ATOMIC);
	if (!held) {
		mmon_pages_put(server, pages);
		mmon_count_refusal(server, -ENOMEM);
		lite_reply(req, -ENOMEM, NULL, 0);
		return;
	}
	for (i = 0; i < nr; i++)
		mmon_pages_sge(server, pages, i, 0, &src[i]);
	lite_reply_pages(req, src, nr, release_pages, held, &bitmap,
			 sizeof(bitmap));
}

/* ---- requests and events --------------------------------------------------------- */

static void report_refusal(const struct lite_request *req, int err)
{
	u32 op = req->op < MMON_OP_MAX ? req->op : 0;

	pr_warn_ratelimited("%pI4h: %s of address space %#llx refused: %s (%d)\n",
			    &req->node, op_name[op], mmon_request_asid(req),
			    mmon_refusal_text(op, err), err);
}

static bool is_fetch_of_one(const struct lite_request *req)
{
	return req->op == MMON_OP_FETCH && req->nr_direct == 1;
}

/**
 * mmon_serve_reply - answer a request that changes something
 * @req: the request; gone afterwards
 * @err: 0 or negative errno
 * @body: of the answer, if it is 0
 * @len: its length
 */
void mmon_serve_reply(struct lite_request *req, int err, const void *body, u32 len)
{
	trace_mmon_request(req, err);
	schedule_delayed_work(&publish_work, HZ);
	if (err)
		report_refusal(req, err);
	lite_reply(req, err, err ? NULL : body, err ? 0 : len);
}

/* ---- from the store --------------------------------------------------------------- */

/** struct load - a fetch that waits for the store, and is then being sent */
struct load {
	struct work_struct work;
	struct lite_request *req;
	struct mmon_pages pages;
	__le32 bitmap;
	u32 bounce;
};

static void release_load(void *arg)
{
	struct load *load = arg;

	mmon_pages_put(server, &load->pages);
	mmon_bounce_put(&server->log, load->bounce);
	kfree(load);
}

static void reply_load(struct load *load)
{
	struct lite_request *req = load->req;
	bool one = is_fetch_of_one(req);
	struct lite_sge src[MMON_FETCH_MAX];
	u32 i, nr = fls(load->pages.found);

	for (i = 0; i < nr; i++)
		mmon_pages_sge(server, &load->pages, i, load->bounce, &src[i]);
	load->bitmap = cpu_to_le32(load->pages.found);
	lite_reply_pages(req, src, nr, release_load, load,
			 one ? NULL : &load->bitmap, one ? 0 : sizeof(__le32));
}

static void load_work(struct work_struct *work)
{
	struct load *load = container_of(work, struct load, work);
	struct lite_request *req = load->req;
	int err;

	load->bounce = mmon_bounce_take(&server->log);
	err = mmon_pages_load(server, &load->pages, load->bounce);
	if (!err) {
		reply_load(load);
		return;
	}
	release_load(load);
	mmon_count_refusal(server, err);
	report_refusal(req, err);
	lite_reply(req, err, NULL, 0);
}

/* Softirq context. */
static void load_later(struct lite_request *req, const struct mmon_pages *pages)
{
	struct load *load = kmalloc(sizeof(*load), GFP_ATOMIC);

	if (!load) {
		mmon_pages_put(server, pages);
		mmon_count_refusal(server, -ENOMEM);
		lite_reply(req, -ENOMEM, NULL, 0);
		return;
	}
	INIT_WORK(&load->work, load_work);
	load->req = req;
	load->pages = *pages;
	mmon_background_load(&load->work);
}

/* ---- by operation ----------------------------------------------------------------- */

/* Softirq context. */
static void handle_fetch(struct lite_request *req)
{
	struct mmon_pages pages;
	int err = mmon_handle(server, req, &pages, NULL);

	trace_mmon_request(req, err);
	if (err) {
		/* A fetch of one page that is not stored is in order. */
		if (!(err == -ENOENT && pages.nr))
			report_refusal(req, err);
		lite_reply(req, err, NULL, 0);
	} else if (unlikely(pages.stored)) {
		load_later(req, &pages);
	} else if (is_fetch_of_one(req)) {
		reply_page(req, &pages);
	} else {
		reply_pages(req, &pages);
	}
}

/* Process context. The body of an answer is too large for the stack. */
static void handle_change(struct lite_request *req)
{
	struct mmon_body *body = kmalloc(sizeof(*body), GFP_KERNEL);
	struct mmon_pages pages;
	int err = -ENOMEM;

	if (body)
		err = mmon_handle(server, req, &pages, body);
	else
		mmon_count_refusal(server, err);
	mmon_serve_reply(req, err, body ? body->bytes : NULL, body ? body->len : 0);
	kfree(body);
}

static void handle(struct lite_request *req)
{
	if (req->op == MMON_OP_FETCH)
		handle_fetch(req);
	else if (req->op == MMON_OP_SEED)
		mmon_seed(server, req);
	else
		handle_change(req);
}

static void event(u32 node, enum lite_event event, void *service_data)
{
	u64 lost;

	if (event != LITE_EV_DEAD && event != LITE_EV_RESTARTED &&
	    event != LITE_EV_LEFT)
		return;
	lost = mmon_spaces_drop(server, &node);
	trace_mmon_node_lost(node, event, lost);
	if (!lost)
		return;
	mmon_count(server, MMON_C_SPACES_LOST, lost);
	pr_info("%pI4h %s: freed its %llu address spaces\n", &node,
		event == LITE_EV_LEFT ? "left" :
		event == LITE_EV_DEAD ? "is dead" : "restarted", lost);
}

static const struct lite_handler handler = {
	.service = LITE_SVC_MMON,
	.name = KBUILD_MODNAME,
	.owner = THIS_MODULE,
	.atomic_ops = 1ULL << MMON_OP_FETCH,
	.handle = handle,
	.event = event,
};

/** mmon_serve_start - serve other hosts from now on. Return: 0 or errno. */
int mmon_serve_start(struct mmon *m)
{
	int err;

	server = m;
	err = lite_register_handler(&handler);
	if (err) {
		pr_err("lite_rpc refuses the service: error %d\n", err);
		return err;
	}
	publish(NULL);
	return 0;
}

/** mmon_serve_stop - no request or event runs or will run */
void mmon_serve_stop(void)
{
	lite_unregister_handler(&handler);
	cancel_delayed_work_sync(&publish_work);
	lite_member_publish(LITE_SVC_MMON, false, NULL);
}
