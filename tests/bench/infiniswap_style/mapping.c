// SPDX-License-Identifier: GPL-2.0
/*
 * Which server has which slab.
 *
 * The first write to a slab asks for a mapping; until it is there, and if no
 * server has room, the slab lives on the local disk. Of two servers drawn at
 * random the one with more room gets the slab. A slab whose transfer failed is on
 * disk from then on.
 */
#include <linux/bitmap.h>
#include <linux/inet.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "slab_disk.h"

#define CALL_TIMEOUT_MS	10000

/* sd_slab_mapped - may transfers use its address and key? Context: any. */
bool sd_slab_mapped(const struct sd_slab *slab)
{
	/* Pairs with map_slab(): peer, address and key are there then. */
	return smp_load_acquire(&slab->state) == SD_MAPPED;
}

/* sd_slab_want - a slab that is on disk was written to. Context: any. */
void sd_slab_want(struct sd_device *dev, struct sd_slab *slab)
{
	/* Pairs with map_slab(). */
	if (smp_load_acquire(&slab->state) != SD_DISK ||
	    time_before(jiffies, READ_ONCE(slab->retry_at)))
		return;
	if (cmpxchg(&slab->state, SD_DISK, SD_MAPPING) != SD_DISK)
		return;
	set_bit(slab - dev->slabs, dev->wanted);
	queue_work(dev->workers, &dev->map_work);
}

/* sd_slab_fail - a transfer failed: what the disk has counts. Context: any. */
void sd_slab_fail(struct sd_slab *slab, int err)
{
	if (cmpxchg(&slab->state, SD_MAPPED, SD_FAILED) == SD_MAPPED)
		pr_warn_ratelimited("slab_disk: a slab is lost (%d): it is on disk now\n",
				    err);
}

/* Slabs that a server has left, or a negative errno. */
static int server_room(struct lite_peer *peer)
{
	struct lite_call call = {
		.peer = peer,
		.service = SLAB_SERVICE,
		.op = SLAB_QUERY,
		.flags = LITE_CALL_IDEMPOTENT,
		.timeout_ms = CALL_TIMEOUT_MS,
	};
	struct slab_free reply;
	int len = lite_call_sync(&call, &reply, sizeof(reply));

	if (len < 0)
		return len;
	return len == sizeof(reply) ?
		min_t(u32, le32_to_cpu(reply.free), INT_MAX) : -EBADMSG;
}

static int map_at(struct sd_device *dev, struct sd_slab *slab,
		  struct lite_peer *peer)
{
	struct slab_index body = {
		.index = cpu_to_le32(slab - dev->slabs),
	};
	struct lite_call call = {
		.peer = peer,
		.service = SLAB_SERVICE,
		.op = SLAB_MAP,
		.flags = LITE_CALL_IDEMPOTENT,
		.timeout_ms = CALL_TIMEOUT_MS,
		.req = &body,
		.req_len = sizeof(body),
	};
	struct slab_grant reply;
	int len = lite_call_sync(&call, &reply, sizeof(reply));

	if (len < 0)
		return len;
	if (len != sizeof(reply) || le32_to_cpu(reply.len) != SLAB_BYTES)
		return -EBADMSG;
	slab->peer = peer;
	slab->addr = le64_to_cpu(reply.addr);
	slab->rkey = le32_to_cpu(reply.rkey);
	return 0;
}

static struct lite_peer *choose_server(struct sd_device *dev)
{
	u32 one = get_random_u32() % dev->nr_servers, two = one;
	int room, other;

	if (dev->nr_servers > 1)
		two = (one + 1 + get_random_u32() % (dev->nr_servers - 1)) %
			dev->nr_servers;
	room = server_room(dev->server[one]);
	if (two != one) {
		other = server_room(dev->server[two]);
		if (other > room) {
			one = two;
			room = other;
		}
	}
	return room > 0 ? dev->server[one] : NULL;
}

static void map_slab(struct sd_device *dev, struct sd_slab *slab)
{
	struct lite_peer *peer = choose_server(dev);

	if (peer && !map_at(dev, slab, peer)) {
		sd_count(dev, SD_MAPPINGS);
		/* Pairs with sd_slab_mapped(). */
		smp_store_release(&slab->state, SD_MAPPED);
		return;
	}
	sd_count(dev, SD_MAPPINGS_REFUSED);
	WRITE_ONCE(slab->retry_at, jiffies + HZ);
	/* Whoever sees the state sees when to try again. */
	smp_store_release(&slab->state, SD_DISK);
}

static void map_wanted(struct work_struct *work)
{
	struct sd_device *dev = container_of(work, struct sd_device, map_work);
	unsigned int noio = memalloc_noio_save();
	u32 index;

	/* Pages may be on their way to this device to make room. */
	for_each_set_bit(index, dev->wanted, dev->nr_slabs) {
		clear_bit(index, dev->wanted);
		map_slab(dev, &dev->slabs[index]);
	}
	memalloc_noio_restore(noio);
}

static int servers_get(struct sd_device *dev, const char *servers)
{
	const char *next = servers;
	struct lite_peer *peer;
	__be32 addr;

	while (*next) {
		if (dev->nr_servers == SD_SERVERS_MAX)
			return -E2BIG;
		if (!in4_pton(next, -1, (u8 *)&addr, ',', &next)) {
			pr_err("slab_disk: servers=%s: addresses with commas between\n",
			       servers);
			return -EINVAL;
		}
		peer = lite_peer_get(ntohl(addr));
		if (IS_ERR(peer))
			return PTR_ERR(peer);
		dev->server[dev->nr_servers++] = peer;
		if (*next == ',')
			next++;
	}
	return dev->nr_servers ? 0 : -EINVAL;
}

int sd_mapping_create(struct sd_device *dev, const char *servers)
{
	INIT_WORK(&dev->map_work, map_wanted);
	dev->nr_slabs = dev->nr_pages / SLAB_PAGES;
	dev->slabs = kvcalloc(dev->nr_slabs, sizeof(*dev->slabs), GFP_KERNEL);
	dev->remote = bitmap_zalloc(dev->nr_pages, GFP_KERNEL);
	dev->wanted = bitmap_zalloc(dev->nr_slabs, GFP_KERNEL);
	dev->workers = alloc_workqueue("slab_disk", WQ_MEM_RECLAIM | WQ_UNBOUND,
				       0);
	if (!dev->slabs || !dev->remote || !dev->wanted || !dev->workers)
		return -ENOMEM;
	return servers_get(dev, servers);
}

static void server_release(struct lite_peer *peer)
{
	struct lite_call call = {
		.peer = peer,
		.service = SLAB_SERVICE,
		.op = SLAB_RELEASE,
		.flags = LITE_CALL_IDEMPOTENT,
		.timeout_ms = CALL_TIMEOUT_MS,
	};
	int err = lite_call_sync(&call, NULL, 0);

	if (err)
		pr_info("slab_disk: a server did not take its slabs back (%d)\n",
			err);
	lite_peer_put(peer);
}

/* No request is under way any more; also after half of sd_mapping_create(). */
void sd_mapping_destroy(struct sd_device *dev)
{
	if (dev->workers)
		destroy_workqueue(dev->workers);
	while (dev->nr_servers)
		server_release(dev->server[--dev->nr_servers]);
	bitmap_free(dev->wanted);
	bitmap_free(dev->remote);
	kvfree(dev->slabs);
}
