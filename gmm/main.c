// SPDX-License-Identifier: GPL-2.0
/*
 * gmm.ko: knows the hosts of a cluster. One host runs it.
 */
#include <linux/module.h>

#include "internal.h"

static unsigned int lease_ms = 5000;
module_param(lease_ms, uint, 0444);
MODULE_PARM_DESC(lease_ms, "A host that has not reported for so long is gone (500...60000, default 5000)");

static char *placement = "most-free";
module_param(placement, charp, 0444);
MODULE_PARM_DESC(placement, "How memory hosts are chosen: most-free, least-load or round-robin; vnode set placement changes it");

static bool rebalance = true;
module_param(rebalance, bool, 0444);
MODULE_PARM_DESC(rebalance, "Address spaces move to memory hosts that hold less than their share (default on); vnode set rebalance changes it");

static int __init gmm_start(void)
{
	int err, policy = gmm_policy_find(placement);

	if (lease_ms < GMM_LEASE_MS_MIN || lease_ms > GMM_LEASE_MS_MAX) {
		pr_err("lease_ms=%u is out of range: %u...%u\n", lease_ms,
		       GMM_LEASE_MS_MIN, GMM_LEASE_MS_MAX);
		return -EINVAL;
	}
	if (policy < 0) {
		pr_err("placement=%s is unknown: there are most-free, least-load and round-robin\n",
		       placement);
		return policy;
	}
	err = gmm_netlink_start();
	if (err)
		return err;
	err = gmm_serve_start(lease_ms, policy, rebalance);
	if (err)
		gmm_netlink_stop();
	return err;
}

static void __exit gmm_stop(void)
{
	gmm_serve_stop();
	gmm_netlink_stop();
}

module_init(gmm_start);
module_exit(gmm_stop);

SK_IMPORT_LITE_RPC();
MODULE_LICENSE("GPL");
MODULE_AUTHOR("splitkernel");
MODULE_DESCRIPTION("splitkernel manager of memory hosts");
