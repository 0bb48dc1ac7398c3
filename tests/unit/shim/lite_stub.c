// SPDX-License-Identifier: GPL-2.0
/*
 * lite_rpc as the monitors see it, with nobody at the other end. See lite_stub.h.
 */
#include "lite_stub.h"

struct lite_region {
	u32 nr;
	struct page **pages;
};

struct lite_window {
	struct lite_window *next;
	struct lite_region *region;
	u32 page;
	struct lite_grant grant;
};

long lite_stub_regions;
long lite_stub_windows;
bool lite_stub_no_windows;
void (*lite_stub_window_hook)(void);
static struct lite_window *windows;
const struct lite_handler *lite_stub_handler;
struct lite_stub_reply lite_stub_reply;
struct lite_stub_member lite_stub_member[LITE_SVC_MAX];

struct lite_region *lite_region_create(struct page **pages, u32 nr, u32 access)
{
	struct lite_region *region;

	SHIM_ASSERT(nr && !access);
	region = shim_alloc(1, sizeof(*region), GFP_KERNEL);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->nr = nr;
	region->pages = shim_alloc(nr, sizeof(*pages), GFP_KERNEL | __GFP_NOFAIL);
	memcpy(region->pages, pages, nr * sizeof(*pages));
	lite_stub_regions++;
	return region;
}

void lite_region_destroy(struct lite_region *region)
{
	struct lite_window *window;

	for (window = windows; window; window = window->next)
		SHIM_ASSERT(window->region != region);
	shim_free(region->pages);
	shim_free(region);
	lite_stub_regions--;
}

static void window_hook(void)
{
	void (*hook)(void) = lite_stub_window_hook;

	might_sleep();
	lite_stub_window_hook = NULL;
	if (hook)
		hook();
}

/* Keys and addresses never come twice. */
struct lite_window *lite_window_create(struct lite_region *region, u32 page,
				       u32 nr, u32 access)
{
	static u32 last_key;
	struct lite_window *window;

	SHIM_ASSERT(nr && nr <= 512 && page < region->nr);
	SHIM_ASSERT(nr <= region->nr - page);
	SHIM_ASSERT(access == (LITE_REMOTE_READ | LITE_REMOTE_WRITE));
	window_hook();
	if (lite_stub_no_windows)
		return ERR_PTR(-EIO);
	window = shim_alloc(1, sizeof(*window), GFP_KERNEL);
	if (!window)
		return ERR_PTR(-ENOMEM);
	last_key++;
	*window = (struct lite_window){
		.next = windows,
		.region = region,
		.page = page,
		.grant = { (u64)last_key << 32, last_key, nr * PAGE_SIZE },
	};
	windows = window;
	lite_stub_windows++;
	return window;
}

void lite_window_destroy(struct lite_window *window)
{
	struct lite_window **at;

	window_hook();
	for (at = &windows; *at != window; at = &(*at)->next)
		SHIM_ASSERT(*at);
	*at = window->next;
	shim_free(window);
	lite_stub_windows--;
}

void lite_window_grant(const struct lite_window *window, struct lite_grant *grant)
{
	*grant = window->grant;
}

void *lite_stub_reach(u32 rkey, u64 addr)
{
	struct lite_window *window = windows;
	u64 offset;

	while (window && window->grant.rkey != rkey)
		window = window->next;
	if (!window)
		return NULL;
	offset = addr - window->grant.addr;
	SHIM_ASSERT(offset < window->grant.len && !(offset % PAGE_SIZE));
	return page_address(window->region->pages[window->page +
						  offset / PAGE_SIZE]);
}

const void *lite_stub_page(const struct lite_sge *sge)
{
	SHIM_ASSERT(sge->page < sge->region->nr);
	return page_address(sge->region->pages[sge->page]);
}

int lite_register_handler(const struct lite_handler *handler)
{
	if (lite_stub_handler)
		return -EBUSY;
	lite_stub_handler = handler;
	return 0;
}

void lite_unregister_handler(const struct lite_handler *handler)
{
	SHIM_ASSERT(lite_stub_handler == handler);
	lite_stub_handler = NULL;
}

void lite_member_publish(enum lite_service service, bool present,
			 const struct lite_member_figures *figures)
{
	struct lite_stub_member *member = &lite_stub_member[service];

	SHIM_ASSERT(!figures || (present && service == LITE_SVC_MMON));
	memset(member, 0, sizeof(*member));
	member->present = present;
	if (!figures)
		return;
	SHIM_ASSERT(figures->free <= figures->capacity);
	SHIM_ASSERT(figures->log_free <= figures->log_capacity);
	member->figures = *figures;
	member->capacity = figures->capacity;
	member->free = figures->free;
}

static struct lite_stub_reply *new_reply(int status, const void *body, u32 len)
{
	struct lite_stub_reply *r = &lite_stub_reply;

	SHIM_ASSERT(len <= LITE_BODY_MAX && (body || !len));
	SHIM_ASSERT(!r->release);	/* the former one's pages are still out */
	r->count++;
	r->status = status;
	r->len = len;
	r->nr = 0;
	if (len)
		memcpy(r->body, body, len);
	return r;
}

void lite_reply(struct lite_request *req, int status, const void *body, u32 len)
{
	(void)req;
	new_reply(status, body, len);
}

void lite_reply_pages(struct lite_request *req, const struct lite_sge *src,
		      u32 nr, void (*release)(void *arg), void *arg,
		      const void *body, u32 len)
{
	struct lite_stub_reply *r = new_reply(0, body, len);

	SHIM_ASSERT(nr && nr <= req->nr_direct && nr <= LITE_DIRECT_MAX);
	memcpy(r->src, src, nr * sizeof(*src));
	r->nr = nr;
	r->release = release;
	r->arg = arg;
}

void lite_stub_release(void)
{
	struct lite_stub_reply *r = &lite_stub_reply;

	if (r->release)
		r->release(r->arg);
	r->release = NULL;
}

void lite_stub_begin(struct lite_request *req)
{
	bool atomic = lite_stub_handler->atomic_ops & 1ULL << req->op;

	lite_stub_release();
	lite_stub_reply.count = 0;
	shim_atomic_depth += atomic;
	lite_stub_handler->handle(req);
	shim_atomic_depth -= atomic;
	SHIM_ASSERT(lite_stub_reply.count <= 1);
	SHIM_ASSERT(!shim_atomic_depth);
	shim_rcu_flush();
}

void lite_stub_call(struct lite_request *req)
{
	lite_stub_begin(req);
	SHIM_ASSERT(lite_stub_reply.count == 1);
}

/* ---- calls --------------------------------------------------------------------- */

struct lite_peer {
	u32 node;
	u32 refs;
};

long lite_stub_peers;
void (*lite_stub_call_hook)(struct lite_call *call);

struct lite_peer *lite_peer_get(u32 node)
{
	struct lite_peer *peer;

	might_sleep();
	peer = shim_alloc(1, sizeof(*peer), GFP_KERNEL);
	if (!peer)
		return ERR_PTR(-ENOMEM);
	peer->node = node;
	lite_stub_peers++;
	return peer;
}

void lite_peer_put(struct lite_peer *peer)
{
	if (IS_ERR_OR_NULL(peer))
		return;
	lite_stub_peers--;
	shim_free(peer);
}

u32 lite_peer_node(const struct lite_peer *peer)
{
	return peer->node;
}

/* As lite_rpc does it: in softirq context. */
void lite_stub_answer(struct lite_call *call, int status)
{
	call->status = status;
	shim_atomic_depth++;
	call->done(call);
	shim_atomic_depth--;
}

void lite_call_submit(struct lite_call *call)
{
	SHIM_ASSERT(call->peer && call->done);
	SHIM_ASSERT(call->req_len <= LITE_BODY_MAX);
	SHIM_ASSERT(call->nr_payload <= LITE_PAYLOAD_PAGES);
	if (lite_stub_call_hook)
		lite_stub_call_hook(call);
	else
		lite_stub_answer(call, -EHOSTDOWN);
}
