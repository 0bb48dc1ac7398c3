// SPDX-License-Identifier: GPL-2.0
/*
 * lite_rpc: parameters, start and stop.
 *
 * Start goes up the layers: key, device, netlink, listener, membership. Stop
 * goes down them; by then no other module holds a symbol, so no call, region or
 * handler of another module is left.
 */
#include <linux/inet.h>
#include <linux/module.h>

#include "internal.h"

struct lite_params lite_params;
struct workqueue_struct *lite_wq;
struct workqueue_struct *lite_serve_wq;
struct workqueue_struct *lite_event_wq;
struct workqueue_struct *lite_reap_wq;

static char *addr = "";
module_param(addr, charp, 0444);
MODULE_PARM_DESC(addr, "IPv4 address of the RDMA interface; names this host in the cluster (required)");

static char *manager = "";

/* Reading tells who it is now, see lite_member_set_manager(). */
static int manager_get(char *buffer, const struct kernel_param *kp)
{
	struct lite_peer *peer = lite_member_manager();
	__be32 addr;
	int len;

	if (!peer)
		return sysfs_emit(buffer, "\n");
	addr = htonl(peer->node);
	len = sysfs_emit(buffer, "%pI4\n", &addr);
	lite_peer_put(peer);
	return len;
}

static const struct kernel_param_ops manager_ops = {
	.set = param_set_charp,
	.get = manager_get,
	.free = param_free_charp,
};

module_param_cb(manager, &manager_ops, &manager, 0444);
__MODULE_PARM_TYPE(manager, "charp");
MODULE_PARM_DESC(manager, "IPv4 address of the host that runs gmm (default: none, no membership until vnode set manager)");

static char *key_file = "/etc/splitkernel/cluster.key";
module_param(key_file, charp, 0444);
MODULE_PARM_DESC(key_file, "file with the cluster key, at least 16 bytes");

static uint port = 18515;
module_param(port, uint, 0444);
MODULE_PARM_DESC(port, "RDMA CM port, the same on all hosts");

static uint dead_ms = 30000;
module_param(dead_ms, uint, 0444);
MODULE_PARM_DESC(dead_ms, "a host that is unreachable for so long is declared dead");

static uint ack_timeout = 15;
module_param(ack_timeout, uint, 0444);
MODULE_PARM_DESC(ack_timeout, "a lost packet is sent again after 4.096 us * 2^this (8-22)");

static uint retry_count = 6;
module_param(retry_count, uint, 0444);
MODULE_PARM_DESC(retry_count, "how often a packet is sent again before the connection is given up (1-6)");

static uint min_rnr = 12;
module_param(min_rnr, uint, 0444);
MODULE_PARM_DESC(min_rnr, "InfiniBand code of the wait for a receiver that is not ready (1-31)");

static uint connect_ms = 3000;
module_param(connect_ms, uint, 0444);
MODULE_PARM_DESC(connect_ms, "how long one attempt to connect may take");

static uint heartbeat_ms = 1000;
module_param(heartbeat_ms, uint, 0444);
MODULE_PARM_DESC(heartbeat_ms, "a connection that is idle for so long is probed");

static uint slots = 32;
module_param(slots, uint, 0444);
MODULE_PARM_DESC(slots, "requests under way per connection (1-256; bulk lane at most 32)");

static int __init param_addr(const char *name, const char *text, u32 *node)
{
	const char *end;
	__be32 value;

	/* Anything that is no digit ends the address for in4_pton(). */
	if (!in4_pton(text, -1, (u8 *)&value, -1, &end) || *end ||
	    ipv4_is_zeronet(value) || ipv4_is_loopback(value) ||
	    ipv4_is_multicast(value) || ipv4_is_lbcast(value)) {
		pr_err("%s=%s is not the IPv4 address of a host\n", name, text);
		return -EINVAL;
	}
	*node = ntohl(value);
	return 0;
}

static int __init param_range(const char *name, uint value, uint min, uint max)
{
	if (value >= min && value <= max)
		return 0;
	pr_err("%s=%u is out of range, %u to %u are allowed\n", name, value,
	       min, max);
	return -EINVAL;
}

static int __init check_retry_count(void)
{
	if (retry_count == 0) {
		pr_err("retry_count=0 would end a connection at the first lost packet, 1 to 6 are allowed\n");
		return -EINVAL;
	}
	if (retry_count == 7) {
		pr_err("retry_count=7 means forever on Soft-RoCE, a dead host would never be noticed, 1 to 6 are allowed\n");
		return -EINVAL;
	}
	return param_range("retry_count", retry_count, 1, 6);
}

static int __init check_times(void)
{
	if (param_range("dead_ms", dead_ms, 1000, 3600000) ||
	    param_range("connect_ms", connect_ms, 100, 60000) ||
	    param_range("heartbeat_ms", heartbeat_ms, 100, 60000))
		return -EINVAL;
	if (heartbeat_ms >= dead_ms / 2) {
		pr_err("heartbeat_ms=%u must be less than half of dead_ms=%u, or live hosts are declared dead\n",
		       heartbeat_ms, dead_ms);
		return -EINVAL;
	}
	if (dead_ms < connect_ms + 1000) {
		pr_err("dead_ms=%u must be at least 1000 more than connect_ms=%u, or a host is declared dead while one attempt to reach it goes on\n",
		       dead_ms, connect_ms);
		return -EINVAL;
	}
	return 0;
}

static u32 first_manager __initdata;

static int __init check_params(void)
{
	if (!*addr) {
		pr_err("addr= is required: the IPv4 address of the RDMA interface\n");
		return -EINVAL;
	}
	if (param_addr("addr", addr, &lite_params.self) ||
	    (*manager && param_addr("manager", manager, &first_manager)) ||
	    param_range("port", port, 1, 65535) ||
	    param_range("ack_timeout", ack_timeout, 8, 22) ||
	    param_range("min_rnr", min_rnr, 1, 31) ||
	    param_range("slots", slots, 1, WIRE_SLOTS_MAX) ||
	    check_retry_count() || check_times())
		return -EINVAL;
	lite_params.port = port;
	lite_params.slots = slots;
	lite_params.dead_ms = dead_ms;
	lite_params.connect_ms = connect_ms;
	lite_params.heartbeat_ms = heartbeat_ms;
	lite_params.ack_timeout = ack_timeout;
	lite_params.retry_count = retry_count;
	lite_params.min_rnr = min_rnr;
	return 0;
}

static void free_workqueues(void)
{
	struct workqueue_struct **all[] = {
		&lite_serve_wq, &lite_event_wq, &lite_wq, &lite_reap_wq,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		if (*all[i])
			destroy_workqueue(*all[i]);
		*all[i] = NULL;
	}
}

static int __init alloc_workqueues(void)
{
	const unsigned int flags = WQ_UNBOUND | WQ_MEM_RECLAIM;

	lite_wq = alloc_workqueue("lite_rpc", flags, 0);
	lite_serve_wq = alloc_workqueue("lite_serve", flags, 0);
	lite_event_wq = alloc_workqueue("lite_event", flags, 0);
	lite_reap_wq = alloc_workqueue("lite_reap", WQ_UNBOUND, 0);
	if (lite_wq && lite_serve_wq && lite_event_wq && lite_reap_wq)
		return 0;
	free_workqueues();
	return -ENOMEM;
}

static int __init lite_init(void)
{
	int err;

	err = check_params();
	if (err)
		return err;
	err = lite_auth_init(key_file);
	if (err)
		return err;
	err = alloc_workqueues();
	if (err)
		goto out_auth;
	err = lite_peers_init();
	if (err)
		goto out_wq;
	err = lite_device_init();
	if (err)
		goto out_wq;
	err = lite_netlink_init();
	if (err)
		goto out_device;
	err = lite_device_listen();
	if (err)
		goto out_netlink;
	lite_member_start(first_manager);
	pr_info("this host is %s, RDMA device %s, port %u\n", addr,
		lite_device.ib->name, port);
	return 0;
out_netlink:
	lite_netlink_exit();
out_device:
	WRITE_ONCE(lite_stopping, true);
	lite_device_exit();
	lite_peers_exit();
out_wq:
	free_workqueues();
out_auth:
	lite_auth_exit();
	return err;
}

static void __exit lite_exit(void)
{
	lite_member_stop();
	lite_device_unlisten();
	lite_peers_stop();
	lite_member_exit();
	lite_netlink_exit();
	lite_device_exit();
	lite_peers_exit();
	free_workqueues();
	lite_auth_exit();
}

module_init(lite_init);
module_exit(lite_exit);

MODULE_DESCRIPTION("splitkernel: RPC and one-sided RDMA between hosts");
MODULE_AUTHOR("splitkernel authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
MODULE_SOFTDEP("pre: rdma_cm");
