// SPDX-License-Identifier: GPL-2.0
/*
 * Between lite_rpc and members.c: requests in, answers out, and the clock.
 *
 * One mutex serialises everything: hosts report every second or so. All of it
 * runs in process context.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "internal.h"

static DEFINE_MUTEX(lock);
static struct gmm_members members;	/* protected by lock */

static u64 now_ms(void)
{
	return ktime_to_ms(ktime_get_boottime());
}

static void expire(struct work_struct *work);
static DECLARE_DELAYED_WORK(expire_work, expire);

/* A lease ends at most a quarter of its length late. */
static void expire(struct work_struct *work)
{
	u32 node;

	mutex_lock(&lock);
	while (gmm_members_expire(&members, now_ms(), &node))
		pr_info("%pI4h did not report for %u ms: its lease ended\n",
			&node, members.lease_ms);
	mutex_unlock(&lock);
	schedule_delayed_work(&expire_work,
			      msecs_to_jiffies(members.lease_ms / 4));
}

static void tell(u32 node, enum gmm_news news)
{
	if (news == GMM_JOINED)
		pr_info("%pI4h joined\n", &node);
	else if (news == GMM_REJOINED)
		pr_info("%pI4h restarted and joined again\n", &node);
	else if (news == GMM_LEFT)
		pr_info("%pI4h left\n", &node);
}

static void refuse(struct lite_request *req, int err)
{
	pr_warn_ratelimited("%pI4h: request %u refused: %s (%d)\n", &req->node,
			    req->op,
			    err == -ENOSPC ? "too many hosts" :
			    err == -ENOMEM ? "no kernel memory" :
			    err == -EOPNOTSUPP ? "unknown operation" :
			    "malformed", err);
	lite_reply(req, err, NULL, 0);
}

static void report(struct lite_request *req)
{
	struct gmm_hosts *hosts = kzalloc(GMM_ANSWER_MAX, GFP_KERNEL);
	enum gmm_news news;
	u32 len = 0;
	u64 now;
	int err;

	if (!hosts) {
		refuse(req, -ENOMEM);
		return;
	}
	mutex_lock(&lock);
	now = now_ms();
	err = gmm_members_report(&members, req, now, &news);
	if (!err)
		len = gmm_members_list(&members, now, hosts);
	mutex_unlock(&lock);
	tell(req->node, news);
	if (err)
		refuse(req, err);
	else
		lite_reply(req, 0, hosts, len);
	kfree(hosts);
}

static void leave(struct lite_request *req)
{
	enum gmm_news news;
	int err;

	mutex_lock(&lock);
	err = gmm_members_leave(&members, req, &news);
	mutex_unlock(&lock);
	tell(req->node, news);
	if (err)
		refuse(req, err);
	else
		lite_reply(req, 0, NULL, 0);
}

static void refuse_unknown(struct lite_request *req)
{
	mutex_lock(&lock);
	members.refused++;
	mutex_unlock(&lock);
	refuse(req, -EOPNOTSUPP);
}

static void handle(struct lite_request *req)
{
	if (req->op == GMM_OP_REPORT)
		report(req);
	else if (req->op == GMM_OP_LEAVE)
		leave(req);
	else
		refuse_unknown(req);
}

/* Death is for the lease to decide: the host may only be cut off for a while. */
static void event(u32 node, enum lite_event event, void *service_data)
{
	bool known;

	if (event != LITE_EV_LEFT)
		return;
	mutex_lock(&lock);
	known = gmm_members_remove(&members, node);
	mutex_unlock(&lock);
	if (known)
		tell(node, GMM_LEFT);
}

static const struct lite_handler handler = {
	.service = LITE_SVC_GMM,
	.name = KBUILD_MODNAME,
	.owner = THIS_MODULE,
	.handle = handle,
	.event = event,
};

/** gmm_serve_start - serve other hosts from now on. Return: 0 or errno. */
int gmm_serve_start(u32 lease_ms)
{
	int err;

	mutex_lock(&lock);
	gmm_members_init(&members, lease_ms);
	mutex_unlock(&lock);
	err = lite_register_handler(&handler);
	if (err) {
		pr_err("lite_rpc refuses the service: error %d\n", err);
		return err;
	}
	schedule_delayed_work(&expire_work, msecs_to_jiffies(lease_ms / 4));
	lite_member_publish(LITE_SVC_GMM, true, 0, 0);
	return 0;
}

/** gmm_serve_stop - no request, event or expiry runs or will run */
void gmm_serve_stop(void)
{
	lite_unregister_handler(&handler);
	cancel_delayed_work_sync(&expire_work);
	lite_member_publish(LITE_SVC_GMM, false, 0, 0);
}

/** gmm_serve_counters - see gmm_counters_read() */
int gmm_serve_counters(struct lite_counter *table)
{
	int nr;

	mutex_lock(&lock);
	nr = gmm_counters_read(&members, table);
	mutex_unlock(&lock);
	return nr;
}
