// SPDX-License-Identifier: GPL-2.0
/*
 * sk_probe: sends any request to any service of any host, for tests of what
 * they refuse. Write to /sys/kernel/debug/sk_probe/call
 *
 *	ADDRESS SERVICE OP PAYLOAD-PAGES DIRECT-PAGES HEX-BODY|-
 *
 * the write succeeds when the call was made; read the file for its outcome:
 * "STATUS REPLY-BYTES". Payload pages are filled with 0xa5. Or write to place
 *
 *	COPIES [ADDRESS-TO-AVOID]
 *
 * and read "ERROR ADDRESS...", what lite_place() found.
 */
#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/inet.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "lite_rpc.h"

#define PAGES	LITE_DIRECT_MAX

static DEFINE_MUTEX(probe_lock);	/* one call at a time */
static struct dentry *dir;
static struct page *pages[PAGES];
static struct lite_region *region;
static char outcome[96];

static int probe_call(u32 node, u8 service, u8 op, u32 payload, u32 direct,
		      const void *body, u32 len)
{
	struct lite_sge sge[PAGES];
	struct lite_call call = {
		.service = service, .op = op, .timeout_ms = 10000,
		.req = body, .req_len = len,
		.payload = sge, .nr_payload = payload,
		.direct = sge, .nr_direct = direct,
	};
	int i, ret;

	for (i = 0; i < PAGES; i++)
		sge[i] = (struct lite_sge){ .region = region, .page = i };
	call.peer = lite_peer_get(node);
	if (IS_ERR(call.peer))
		return PTR_ERR(call.peer);
	ret = lite_call_sync(&call, NULL, 0);
	lite_peer_put(call.peer);
	snprintf(outcome, sizeof(outcome), "%d %u\n", call.status,
		 ret > 0 ? ret : 0);
	return 0;
}

static int probe_parse(char *text)
{
	u32 service, op, payload, direct, len = 0;
	char address[16], *hex;
	u8 *body = NULL, ip[4];
	int at = 0, ret;

	if (sscanf(text, "%15s %u %u %u %u %n", address, &service, &op, &payload,
		   &direct, &at) != 5 || !at || payload > PAGES || direct > PAGES)
		return -EINVAL;
	if (!in4_pton(address, -1, ip, -1, NULL))
		return -EINVAL;
	hex = strim(text + at);
	if (strcmp(hex, "-")) {
		len = strlen(hex) / 2;
		body = kzalloc(len + 1, GFP_KERNEL);
		if (!body)
			return -ENOMEM;
		if (hex2bin(body, hex, len)) {
			kfree(body);
			return -EINVAL;
		}
	}
	ret = probe_call(be32_to_cpu(*(__be32 *)ip), service, op, payload, direct,
			 body, len);
	kfree(body);
	return ret;
}

static int probe_place(char *text)
{
	struct lite_placement placed = {};
	u32 copies, avoid, i;
	char address[16];
	int err, at, nr;
	u8 ip[4];

	nr = sscanf(text, "%u %15s", &copies, address);
	if (nr < 1 || (nr == 2 && !in4_pton(address, -1, ip, -1, NULL)))
		return -EINVAL;
	if (nr == 2)
		avoid = be32_to_cpu(*(__be32 *)ip);
	err = lite_place(4711, copies, &avoid, nr - 1, &placed);
	at = scnprintf(outcome, sizeof(outcome), "%d", err);
	for (i = 0; i < placed.nr; i++)
		at += scnprintf(outcome + at, sizeof(outcome) - at, " %pI4h",
				&placed.node[i]);
	scnprintf(outcome + at, sizeof(outcome) - at, "\n");
	return 0;
}

static ssize_t probe_write(struct file *file, const char __user *from,
			   size_t count, loff_t *pos)
{
	char *text = memdup_user_nul(from, count);
	int ret;

	if (IS_ERR(text))
		return PTR_ERR(text);
	mutex_lock(&probe_lock);
	ret = file->private_data ? probe_place(text) : probe_parse(text);
	mutex_unlock(&probe_lock);
	kfree(text);
	return ret ?: count;
}

static ssize_t probe_read(struct file *file, char __user *to, size_t count,
			  loff_t *pos)
{
	return simple_read_from_buffer(to, count, pos, outcome, strlen(outcome));
}

static const struct file_operations probe_ops = {
	.owner = THIS_MODULE,
	.open = simple_open,		/* private data: what is written */
	.read = probe_read,
	.write = probe_write,
};

static void probe_free_pages(void)
{
	int i;

	for (i = 0; i < PAGES; i++)
		if (pages[i])
			put_page(pages[i]);
}

static int __init probe_init(void)
{
	int i;

	for (i = 0; i < PAGES; i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i]) {
			probe_free_pages();
			return -ENOMEM;
		}
		memset(page_address(pages[i]), 0xa5, PAGE_SIZE);
	}
	region = lite_region_create(pages, PAGES, LITE_REMOTE_WRITE);
	if (IS_ERR(region)) {
		probe_free_pages();
		return PTR_ERR(region);
	}
	dir = debugfs_create_dir("sk_probe", NULL);
	debugfs_create_file("call", 0600, dir, NULL, &probe_ops);
	debugfs_create_file("place", 0600, dir, dir, &probe_ops);
	return 0;
}

static void __exit probe_exit(void)
{
	debugfs_remove_recursive(dir);
	lite_region_destroy(region);
	probe_free_pages();
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("splitkernel test: requests of any form");
MODULE_AUTHOR("The splitkernel engineers");
MODULE_LICENSE("GPL");
SK_IMPORT_LITE_RPC();
