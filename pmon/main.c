// SPDX-License-Identifier: GPL-2.0
/*
 * pmon: the processor monitor of splitkernel. Load, unload, parameters.
 */
#include <linux/module.h>

#include "internal.h"

static unsigned long excache_mb = 64;
module_param(excache_mb, ulong, 0444);
MODULE_PARM_DESC(excache_mb, "size of the ExCache pool in MiB (default 64)");

static char *policy = "sieve";
module_param(policy, charp, 0444);
MODULE_PARM_DESC(policy, "replacement policy: lru, sieve or fifo (default sieve)");

static bool prefetch_on = true;
module_param_named(prefetch, prefetch_on, bool, 0444);
MODULE_PARM_DESC(prefetch, "fetch ahead of sequential and strided accesses (default on)");

struct workqueue_struct *pmon_wq;
/* Of its own: each seeding has a worker as long as it takes, and a drain begins many. */
struct workqueue_struct *pmon_repair_wq;

static int check_parameters(void)
{
	unsigned long ram_mb = totalram_pages() >> (20 - PAGE_SHIFT);

	if (pmon_policy_set(policy)) {
		pr_err("policy=%s: there are lru, sieve and fifo\n", policy);
		return -EINVAL;
	}
	if (!excache_mb || excache_mb > ram_mb / 2) {
		pr_err("excache_mb=%lu: must be 1 to %lu, half of this host's memory\n",
		       excache_mb, ram_mb / 2);
		return -EINVAL;
	}
	return 0;
}

static int __init pmon_init(void)
{
	int ret = check_parameters();

	if (ret)
		return ret;
	ret = pmon_region_init();
	if (!ret)
		ret = pmon_checksum_init();
	if (ret)
		return ret;
	pmon_prefetch_init();
	pmon_prefetch_set(prefetch_on);
	pmon_wq = alloc_workqueue("pmon", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!pmon_wq)
		return -ENOMEM;
	ret = -ENOMEM;
	pmon_repair_wq = alloc_workqueue("pmon_repair", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!pmon_repair_wq)
		goto out_wq;
	ret = pmon_pool_init(excache_mb << (20 - PAGE_SHIFT));
	if (ret)
		goto out_repair_wq;
	ret = pmon_fork_init();
	if (ret)
		goto out_pool;
	ret = pmon_share_init();
	if (ret)
		goto out_fork;
	ret = pmon_space_init();
	if (ret)
		goto out_share;
	ret = pmon_stack_init();
	if (ret)
		goto out_space;
	ret = pmon_tag_init();
	if (ret)
		goto out_space;
	ret = pmon_intercept_init();
	if (ret)
		goto out_tag;
	ret = pmon_hosts_init();
	if (ret)
		goto out_intercept;
	pmon_balance_init();
	/* Last: from here on processes can ask to be tagged. */
	ret = pmon_netlink_init();
	if (ret)
		goto out_balance;
	pr_info("ExCache of %lu MiB, %s\n", excache_mb, pmon_policy_name());
	return 0;

out_balance:
	pmon_balance_exit();
	pmon_hosts_exit();
out_intercept:
	pmon_intercept_exit();
out_tag:
	pmon_tag_exit();
out_space:
	pmon_space_exit();
out_share:
	pmon_share_exit();
out_fork:
	pmon_fork_exit();
out_pool:
	pmon_pool_exit();
out_repair_wq:
	destroy_workqueue(pmon_repair_wq);
out_wq:
	destroy_workqueue(pmon_wq);
	return ret;
}

/*
 * No tag, space or file is left, each of them holds a module reference. What
 * may be left is the end of a work item that dropped the last one: destroying
 * the workqueue waits for it, but the pool's zombie work uses the queue too,
 * so drain it first.
 */
static void __exit pmon_exit(void)
{
	/* Whoever may tell of events ends before there is nobody to tell. */
	pmon_balance_exit();
	pmon_hosts_look_end();
	pmon_netlink_exit();
	pmon_hosts_exit();
	pmon_intercept_exit();
	pmon_tag_exit();
	destroy_workqueue(pmon_repair_wq);
	flush_workqueue(pmon_wq);
	pmon_space_exit();
	pmon_share_exit();
	pmon_fork_exit();
	pmon_pool_exit();
	destroy_workqueue(pmon_wq);
}

module_init(pmon_init);
module_exit(pmon_exit);

MODULE_DESCRIPTION("splitkernel processor monitor: ExCache of tagged processes");
MODULE_AUTHOR("The splitkernel engineers");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: crc32c");
SK_IMPORT_LITE_RPC();
