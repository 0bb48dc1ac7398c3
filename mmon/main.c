// SPDX-License-Identifier: GPL-2.0
/*
 * mmon.ko: gives part of this host's memory to address spaces of other hosts.
 */
#include <linux/mm.h>
#include <linux/module.h>

#include "internal.h"

static struct mmon monitor;

static unsigned int memory_mb;
module_param(memory_mb, uint, 0444);
MODULE_PARM_DESC(memory_mb, "Memory to give to other hosts, in MiB (required)");

static int __init check_memory_mb(void)
{
	u64 ram_mb = (u64)totalram_pages() >> (20 - PAGE_SHIFT);
	u64 max_mb = min_t(u64, div_u64(ram_mb * 9, 10), U32_MAX / MMON_MB_FRAMES / 2);

	if (!memory_mb) {
		pr_err("memory_mb= is missing: how much memory shall this host give?\n");
		return -EINVAL;
	}
	if (memory_mb > max_mb) {
		pr_err("memory_mb=%u is too much: this host has %llu MiB and can give at most %llu\n",
		       memory_mb, ram_mb, max_mb);
		return -EINVAL;
	}
	return 0;
}

static int __init mmon_start(void)
{
	int err = check_memory_mb();

	if (err)
		return err;
	mmon_init(&monitor);
	err = mmon_pool_create(&monitor.pool, memory_mb * MMON_MB_FRAMES);
	if (err) {
		pr_err("cannot set aside %u MiB: error %d\n", memory_mb, err);
		return err;
	}
	err = mmon_netlink_start(&monitor);
	if (err)
		goto out_pool;
	err = mmon_serve_start(&monitor);
	if (err)
		goto out_netlink;
	pr_info("%u MiB for other hosts\n", memory_mb);
	return 0;

out_netlink:
	mmon_netlink_stop();
out_pool:
	mmon_pool_destroy(&monitor.pool);
	return err;
}

/*
 * Who can still hold what when the module goes: nobody starts anything new
 * once the handler is unregistered, and no request runs. Spaces are held by the
 * table alone, so dropping them frees all frames but those that replies are
 * still sent from. These come back when the sending has completed; the grace
 * period lets the last such callback return.
 */
static void __exit mmon_stop(void)
{
	mmon_serve_stop();
	mmon_netlink_stop();
	mmon_spaces_drop(&monitor, NULL);
	mmon_pool_drain(&monitor.pool);
	synchronize_rcu();
	mmon_pool_destroy(&monitor.pool);
}

module_init(mmon_start);
module_exit(mmon_stop);

SK_IMPORT_LITE_RPC();
MODULE_LICENSE("GPL");
MODULE_AUTHOR("splitkernel");
MODULE_DESCRIPTION("splitkernel memory monitor");
