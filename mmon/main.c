// SPDX-License-Identifier: GPL-2.0
/*
 * mmon.ko: gives part of this host's memory to address spaces of other hosts.
 */
#include <linux/mm.h>
#include <linux/module.h>

#include "internal.h"

#define LOG_MB_MIN	2u

static struct mmon monitor;

static unsigned int memory_mb;
module_param(memory_mb, uint, 0444);
MODULE_PARM_DESC(memory_mb, "Memory to give to other hosts, in MiB (required)");

#define LOG_MB_DEFAULT	(-1)

static int log_mb = LOG_MB_DEFAULT;
module_param(log_mb, int, 0444);
MODULE_PARM_DESC(log_mb, "Memory for the log of replicas, in MiB, beside memory_mb (default: an eighth of it; 0: take no replicas)");

static char *log_dir;
module_param(log_dir, charp, 0444);
MODULE_PARM_DESC(log_dir, "Directory of a file system for what does not fit into log_mb (default: none)");

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
	if (log_mb == LOG_MB_DEFAULT)
		log_mb = max_t(u64, LOG_MB_MIN, min_t(u64, memory_mb / 8,
						      max_mb - memory_mb));
	if (log_mb < 0 || (log_mb && log_mb < LOG_MB_MIN)) {
		pr_err("log_mb=%d: 0, or %u at least\n", log_mb, LOG_MB_MIN);
		return -EINVAL;
	}
	if (log_mb > LOG_MB_MIN && memory_mb + (u64)log_mb > max_mb) {
		pr_err("memory_mb=%u and log_mb=%d are too much: this host has %llu MiB and can give at most %llu\n",
		       memory_mb, log_mb, ram_mb, max_mb);
		return -EINVAL;
	}
	return 0;
}

static int __init create_log(void)
{
	struct mmon_store *store = NULL;
	int err;

	if (!log_mb)
		return 0;
	if (log_dir && *log_dir) {
		store = mmon_store_file(log_dir);
		if (IS_ERR(store)) {
			pr_err("log_dir=%s: no file can be made there: error %ld\n",
			       log_dir, PTR_ERR(store));
			return PTR_ERR(store);
		}
	}
	err = mmon_log_create(&monitor.log, log_mb * (MMON_MB_FRAMES >>
						      MMON_SEGMENT_SHIFT), store);
	if (err && store)
		store->ops->destroy(store);
	if (err)
		pr_err("cannot set aside %d MiB for the log of replicas: error %d\n",
		       log_mb, err);
	return err;
}

static int __init create_memory(void)
{
	int err;

	err = mmon_pool_create(&monitor.pool, memory_mb * MMON_MB_FRAMES);
	if (err) {
		pr_err("cannot set aside %u MiB: error %d\n", memory_mb, err);
		return err;
	}
	err = create_log();
	if (err)
		mmon_pool_destroy(&monitor.pool);
	return err;
}

static void destroy_memory(void)
{
	mmon_log_destroy(&monitor.log);
	mmon_pool_destroy(&monitor.pool);
}

static int __init mmon_start(void)
{
	int err = check_memory_mb();

	if (err)
		return err;
	mmon_init(&monitor);
	err = create_memory();
	if (err)
		return err;
	err = mmon_background_start(&monitor);
	if (err)
		goto out_memory;
	err = mmon_netlink_start(&monitor);
	if (err)
		goto out_background;
	err = mmon_serve_start(&monitor);
	if (err)
		goto out_netlink;
	pr_info("%u MiB for other hosts, %d for replicas%s%s\n", memory_mb, log_mb,
		log_mb && log_dir && *log_dir ? " and the rest of them in " : "",
		log_mb && log_dir ? log_dir : "");
	return 0;

out_netlink:
	mmon_netlink_stop();
out_background:
	mmon_background_stop(&monitor);
out_memory:
	destroy_memory();
	return err;
}

/*
 * Who can still hold what when the module goes: nobody starts anything new
 * once the handler is unregistered, and no request runs, those that wait for the
 * store or another host included. Spaces are held by the table, and for a moment
 * by the rebuild, so dropping them frees all frames and records but those that
 * replies are still sent from. These come back when the sending has completed; the
 * grace period lets the last such callback return.
 */
static void __exit mmon_stop(void)
{
	mmon_serve_stop();
	mmon_netlink_stop();
	mmon_spaces_drop(&monitor, NULL);
	mmon_pool_drain(&monitor.pool);
	mmon_log_drain(&monitor.log);
	mmon_background_stop(&monitor);
	synchronize_rcu();
	destroy_memory();
}

module_init(mmon_start);
module_exit(mmon_stop);

SK_IMPORT_LITE_RPC();
MODULE_LICENSE("GPL");
MODULE_AUTHOR("splitkernel");
MODULE_DESCRIPTION("splitkernel memory monitor");
