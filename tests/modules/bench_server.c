// SPDX-License-Identifier: GPL-2.0
/* lite_bench: the end that serves LITE_SVC_TEST. */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "bench.h"

struct bench_late {
	struct delayed_work work;
	struct lite_request *req;
};

static struct page *source_page[SOURCE_PAGES];
static struct page *scratch_page[SCRATCH_PAGES];
static struct lite_region *source_region;
static struct lite_region *scratch_region;
static struct lite_region *plain_region;	/* scratch pages, without a key */
static struct lite_window *window;
static atomic64_t executed = ATOMIC64_INIT(0);
static atomic_t sources_held = ATOMIC_INIT(0);
static u8 *sink;

static void source_release(void *arg)
{
	atomic_dec(&sources_held);
}

static u32 body_u32(const struct lite_request *req)
{
	__le32 value = 0;

	if (req->body_len >= sizeof(value))
		memcpy(&value, req->body, sizeof(value));
	return le32_to_cpu(value);
}

static void serve_pages(struct lite_request *req)
{
	struct lite_sge sge[LITE_DIRECT_MAX];
	u32 first = body_u32(req);
	u32 i;

	for (i = 0; i < req->nr_direct; i++) {
		sge[i].region = source_region;
		sge[i].page = (first + i) % SOURCE_PAGES;
	}
	atomic_inc(&sources_held);
	lite_reply_pages(req, sge, req->nr_direct, source_release, NULL, NULL,
			 0);
}

static void serve_flush(struct lite_request *req)
{
	u32 first = body_u32(req);
	__le32 bad = 0;
	u32 i, sum = 0;

	for (i = 0; i < req->payload_len / PAGE_SIZE; i++)
		sum += pattern_bad(req->payload + i * PAGE_SIZE, first + i);
	bad = cpu_to_le32(sum);
	lite_reply(req, 0, &bad, sizeof(bad));
}

static void late_reply(struct work_struct *work)
{
	struct bench_late *late = container_of(work, struct bench_late,
					       work.work);

	lite_reply(late->req, 0, NULL, 0);
	kfree(late);
}

static void serve_late(struct lite_request *req)
{
	struct bench_late *late = kzalloc(sizeof(*late), GFP_KERNEL);
	u32 ms = body_u32(req);

	if (!late) {
		lite_reply(req, -ENOMEM, NULL, 0);
		return;
	}
	late->req = req;
	INIT_DELAYED_WORK(&late->work, late_reply);
	schedule_delayed_work(&late->work, msecs_to_jiffies(ms));
}

static void grant_put(struct bench_grant *out, struct lite_region *region,
		      u32 nr)
{
	struct lite_grant grant = {};

	if (lite_region_grant(region, 0, nr, &grant))
		return;
	out->addr = cpu_to_le64(grant.addr);
	out->rkey = cpu_to_le32(grant.rkey);
	out->len = cpu_to_le32(grant.len);
}

static void serve_grant(struct lite_request *req)
{
	struct bench_grant grant[2] = {};

	grant_put(&grant[0], source_region, SOURCE_PAGES);
	grant_put(&grant[1], scratch_region, SCRATCH_PAGES);
	lite_reply(req, 0, grant, sizeof(grant));
}

/* Page 0 is not in it, so that a wrong offset is seen. */
static void serve_window(struct lite_request *req)
{
	struct bench_grant out;
	struct lite_grant grant;
	struct lite_window *new = NULL;

	if (body_u32(req))
		new = lite_window_create(plain_region, 1, SCRATCH_PAGES - 1,
					 LITE_REMOTE_READ | LITE_REMOTE_WRITE);
	lite_window_destroy(xchg(&window, IS_ERR(new) ? NULL : new));
	if (IS_ERR_OR_NULL(new)) {
		lite_reply(req, PTR_ERR_OR_ZERO(new), NULL, 0);
		return;
	}
	lite_window_grant(new, &grant);
	out.addr = cpu_to_le64(grant.addr);
	out.rkey = cpu_to_le32(grant.rkey);
	out.len = cpu_to_le32(grant.len);
	lite_reply(req, 0, &out, sizeof(out));
}

static void serve(struct lite_request *req)
{
	__le64 count;

	atomic64_inc(&executed);
	switch (req->op) {
	case OP_NULL:
		lite_reply(req, 0, NULL, 0);
		break;
	case OP_PAGES:
		serve_pages(req);
		break;
	case OP_ECHO:
		lite_reply(req, 0, req->body, req->body_len);
		break;
	case OP_FLUSH:
		serve_flush(req);
		break;
	case OP_SLEEP:
		msleep(body_u32(req));
		lite_reply(req, 0, NULL, 0);
		break;
	case OP_LATE:
		serve_late(req);
		break;
	case OP_GRANT:
		serve_grant(req);
		break;
	case OP_COUNT:
		count = cpu_to_le64(atomic64_read(&executed));
		lite_reply(req, 0, &count, sizeof(count));
		break;
	case OP_SINK:
		memcpy(sink, req->payload, req->payload_len);
		lite_reply(req, 0, NULL, 0);
		break;
	case OP_WINDOW:
		serve_window(req);
		break;
	default:
		lite_reply(req, -EOPNOTSUPP, NULL, 0);
	}
}

static void bench_event(u32 node, enum lite_event event, void *data)
{
	static const char * const names[] = {
		"UP", "DOWN", "DEAD", "RESTARTED", "LEFT",
	};
	__be32 addr = htonl(node);

	pr_info("lite_bench: event %s of %pI4\n", names[event], &addr);
}

static const struct lite_handler bench_handler = {
	.service = LITE_SVC_TEST,
	.name = "lite_bench",
	.owner = THIS_MODULE,
	.atomic_ops = BIT_ULL(OP_NULL) | BIT_ULL(OP_PAGES),
	.handle = serve,
	.event = bench_event,
};

void pages_free(struct page **pages, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (pages[i])
			__free_page(pages[i]);
}

int pages_alloc(struct page **pages, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++) {
		pages[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!pages[i])
			return -ENOMEM;
	}
	return 0;
}

void bench_server_exit(void)
{
	lite_unregister_handler(&bench_handler);
	if (!IS_ERR_OR_NULL(source_region))
		lite_region_destroy(source_region);
	if (!IS_ERR_OR_NULL(scratch_region))
		lite_region_destroy(scratch_region);
	lite_window_destroy(window);
	if (!IS_ERR_OR_NULL(plain_region))
		lite_region_destroy(plain_region);
	pages_free(source_page, SOURCE_PAGES);
	pages_free(scratch_page, SCRATCH_PAGES);
	vfree(sink);
	if (atomic_read(&sources_held))
		pr_err("lite_bench: %d page sources were never released\n",
		       atomic_read(&sources_held));
}

int bench_server_init(void)
{
	u32 i;
	int err;

	sink = vzalloc(LITE_PAYLOAD_PAGES * PAGE_SIZE);
	if (!sink || pages_alloc(source_page, SOURCE_PAGES) ||
	    pages_alloc(scratch_page, SCRATCH_PAGES)) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < SOURCE_PAGES; i++)
		pattern_fill(page_address(source_page[i]), i);
	source_region = lite_region_create(source_page, SOURCE_PAGES,
					   LITE_REMOTE_READ);
	scratch_region = lite_region_create(scratch_page, SCRATCH_PAGES,
					    LITE_REMOTE_READ |
					    LITE_REMOTE_WRITE);
	plain_region = lite_region_create(scratch_page, SCRATCH_PAGES, 0);
	if (IS_ERR(source_region) || IS_ERR(scratch_region) ||
	    IS_ERR(plain_region)) {
		err = -ENOMEM;
		goto out;
	}
	err = lite_register_handler(&bench_handler);
out:
	if (err)
		bench_server_exit();
	return err;
}
