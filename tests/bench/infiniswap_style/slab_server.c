// SPDX-License-Identifier: GPL-2.0
/*
 * slab_server: lends memory to slab_disk of other hosts, slab by slab.
 *
 *	insmod slab_server.ko memory_mb=512
 *
 * A slab is allocated and registered when a host asks for it and given back when
 * the host says so, leaves, dies or restarts. Between, this host has no part in
 * what happens to it: all transfers are one-sided.
 *
 * Writing to /sys/module/slab_server/parameters/drop takes all slabs away without
 * a word to their owners, as a memory host in need might. For tests.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "slab_wire.h"

static unsigned int memory_mb = 256;
module_param(memory_mb, uint, 0444);
MODULE_PARM_DESC(memory_mb, "how much to lend, MiB");

/** struct lent - a slab that a host has */
struct lent {
	struct list_head entry;
	u32 node;
	u32 index;
	struct lite_region *region;
	struct page *page[SLAB_PAGES];
};

static DEFINE_MUTEX(lent_mutex);	/* protects the following */
static LIST_HEAD(lent_list);
static unsigned int lent_nr;
module_param_named(lent, lent_nr, uint, 0444);
MODULE_PARM_DESC(lent, "slabs that others have now");

static u32 lent_max(void)
{
	return ((u64)memory_mb << 20) / SLAB_BYTES;
}

static void lent_free(struct lent *lent)
{
	u32 i;

	if (!IS_ERR_OR_NULL(lent->region))
		lite_region_destroy(lent->region);
	for (i = 0; i < SLAB_PAGES && lent->page[i]; i++)
		__free_page(lent->page[i]);
	kvfree(lent);
}

static struct lent *lent_alloc(u32 node, u32 index)
{
	struct lent *lent = kvzalloc(sizeof(*lent), GFP_KERNEL);
	u32 i;

	if (!lent)
		return ERR_PTR(-ENOMEM);
	lent->node = node;
	lent->index = index;
	for (i = 0; i < SLAB_PAGES; i++) {
		/* Zeroed: the borrower is to see nothing of ours. */
		lent->page[i] = alloc_page(GFP_KERNEL | __GFP_ZERO |
					   __GFP_NORETRY | __GFP_NOWARN);
		if (!lent->page[i])
			goto out;
	}
	lent->region = lite_region_create(lent->page, SLAB_PAGES,
					  LITE_REMOTE_READ | LITE_REMOTE_WRITE);
	if (!IS_ERR(lent->region))
		return lent;
out:
	lent_free(lent);
	return ERR_PTR(-ENOMEM);
}

/* The slab that the host has under this index, or a new one. */
static struct lent *lent_get(u32 node, u32 index)
{
	struct lent *lent;

	lockdep_assert_held(&lent_mutex);
	/* A request may come twice: it is answered twice. */
	list_for_each_entry(lent, &lent_list, entry)
		if (lent->node == node && lent->index == index)
			return lent;
	if (lent_nr >= lent_max())
		return ERR_PTR(-ENOSPC);
	lent = lent_alloc(node, index);
	if (IS_ERR(lent))
		return lent;
	list_add(&lent->entry, &lent_list);
	lent_nr++;
	return lent;
}

/* Takes back what @node has; 0: what anybody has. */
static void lent_release(u32 node)
{
	struct lent *lent, *next;
	LIST_HEAD(gone);

	mutex_lock(&lent_mutex);
	list_for_each_entry_safe(lent, next, &lent_list, entry)
		if (!node || lent->node == node) {
			list_move(&lent->entry, &gone);
			lent_nr--;
		}
	mutex_unlock(&lent_mutex);
	list_for_each_entry_safe(lent, next, &gone, entry)
		lent_free(lent);
}

static void serve_query(struct lite_request *req)
{
	struct slab_free reply;

	mutex_lock(&lent_mutex);
	reply.free = cpu_to_le32(lent_max() - lent_nr);
	mutex_unlock(&lent_mutex);
	lite_reply(req, 0, &reply, sizeof(reply));
}

static void serve_map(struct lite_request *req)
{
	struct slab_index body;
	struct slab_grant reply = {};
	struct lite_grant grant;
	struct lent *lent;
	int err;

	if (req->body_len != sizeof(body)) {
		lite_reply(req, -EBADMSG, NULL, 0);
		return;
	}
	memcpy(&body, req->body, sizeof(body));
	mutex_lock(&lent_mutex);
	lent = lent_get(req->node, le32_to_cpu(body.index));
	err = IS_ERR(lent) ? PTR_ERR(lent) :
		lite_region_grant(lent->region, 0, SLAB_PAGES, &grant);
	mutex_unlock(&lent_mutex);
	if (!err) {
		reply.addr = cpu_to_le64(grant.addr);
		reply.rkey = cpu_to_le32(grant.rkey);
		reply.len = cpu_to_le32(grant.len);
	}
	lite_reply(req, err, &reply, err ? 0 : sizeof(reply));
}

static void serve(struct lite_request *req)
{
	switch (req->op) {
	case SLAB_QUERY:
		serve_query(req);
		break;
	case SLAB_MAP:
		serve_map(req);
		break;
	case SLAB_RELEASE:
		lent_release(req->node);
		lite_reply(req, 0, NULL, 0);
		break;
	default:
		lite_reply(req, -EOPNOTSUPP, NULL, 0);
	}
}

static void node_event(u32 node, enum lite_event event, void *data)
{
	if (event == LITE_EV_DEAD || event == LITE_EV_LEFT ||
	    event == LITE_EV_RESTARTED)
		lent_release(node);
}

static int drop_set(const char *value, const struct kernel_param *param)
{
	lent_release(0);
	return 0;
}

static const struct kernel_param_ops drop_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = drop_set,
};

module_param_cb(drop, &drop_ops, NULL, 0200);
MODULE_PARM_DESC(drop, "write to it: take all slabs away");

static const struct lite_handler slab_handler = {
	.service = SLAB_SERVICE,
	.name = "slab_server",
	.owner = THIS_MODULE,
	.handle = serve,
	.event = node_event,
};

static int __init slab_server_init(void)
{
	if (!lent_max())
		return -EINVAL;
	return lite_register_handler(&slab_handler);
}

static void __exit slab_server_exit(void)
{
	lite_unregister_handler(&slab_handler);
	lent_release(0);
}

module_init(slab_server_init);
module_exit(slab_server_exit);

MODULE_DESCRIPTION("splitkernel: memory for InfiniSwap-style block devices");
MODULE_AUTHOR("splitkernel authors");
MODULE_LICENSE("GPL");
SK_IMPORT_LITE_RPC();
