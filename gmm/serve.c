// SPDX-License-Identifier: GPL-2.0
/*
 * Between lite_rpc and the table: requests in, answers out, and the clock.
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
	static const char * const text[] = {
		[GMM_JOINED]		= "joined",
		[GMM_JOINED_DRAINING]	= "joined, and is to be drained as before",
		[GMM_REJOINED]		= "restarted and joined again",
		[GMM_LEFT]		= "left",
		[GMM_DRAINING]		= "is to be drained: nothing is placed there any more",
		[GMM_DRAINED]		= "is no longer to be drained",
	};

	if (news != GMM_NOTHING)
		pr_info("%pI4h %s\n", &node, text[news]);
}

static const char *refusal_text(int err)
{
	switch (err) {
	case -ENOSPC:
		return "too many hosts";
	case -ENOMEM:
		return "no kernel memory";
	case -EOPNOTSUPP:
		return "unknown operation";
	case -ENOENT:
		return "no such host";
	case -ENODEV:
		return "the host runs no mmon";
	default:
		return "malformed";
	}
}

static void refuse(struct lite_request *req, int err)
{
	pr_warn_ratelimited("%pI4h: request %u refused: %s (%d)\n", &req->node,
			    req->op, refusal_text(err), err);
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

/* Whose placement fails is told why here, as to be seen by who adds hosts. */
static void tell_placement(const struct lite_request *req, int err,
			   const struct gmm_placed *placed)
{
	const struct gmm_place *place = req->body;

	if (err == -EHOSTDOWN)
		pr_warn_ratelimited("%pI4h: no memory host for address space %#llx: all are full, draining or to be avoided\n",
				    &req->node, le64_to_cpu(place->asid));
	else if (!err && le32_to_cpu(placed->nr) < le32_to_cpu(place->copies))
		pr_warn_ratelimited("%pI4h: address space %#llx: %u of %u memory hosts\n",
				    &req->node, le64_to_cpu(place->asid),
				    le32_to_cpu(placed->nr),
				    le32_to_cpu(place->copies));
}

static void place(struct lite_request *req)
{
	struct gmm_placed placed;
	int err;

	mutex_lock(&lock);
	err = gmm_place(&members, req, now_ms(), &placed);
	mutex_unlock(&lock);
	if (err == -EBADMSG) {
		refuse(req, err);
		return;
	}
	tell_placement(req, err, &placed);
	lite_reply(req, err, err ? NULL : &placed, err ? 0 : sizeof(placed));
}

static void balance(struct lite_request *req)
{
	struct gmm_balanced balanced;
	int err;

	mutex_lock(&lock);
	err = gmm_balance(&members, req, now_ms(), &balanced);
	mutex_unlock(&lock);
	if (err == -EBADMSG)
		refuse(req, err);
	else
		lite_reply(req, err, err ? NULL : &balanced,
			   err ? 0 : sizeof(balanced));
}

static void drain(struct lite_request *req)
{
	enum gmm_news news;
	u32 node;
	int err;

	mutex_lock(&lock);
	err = gmm_members_drain(&members, req, &node, &news);
	mutex_unlock(&lock);
	tell(node, news);
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
	mutex_lock(&lock);
	members.messages++;
	mutex_unlock(&lock);
	switch (req->op) {
	case GMM_OP_REPORT:
		report(req);
		break;
	case GMM_OP_LEAVE:
		leave(req);
		break;
	case GMM_OP_PLACE:
		place(req);
		break;
	case GMM_OP_DRAIN:
		drain(req);
		break;
	case GMM_OP_BALANCE:
		balance(req);
		break;
	default:
		refuse_unknown(req);
		break;
	}
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
int gmm_serve_start(u32 lease_ms, enum gmm_policy policy, bool rebalance)
{
	int err;

	mutex_lock(&lock);
	gmm_members_init(&members, lease_ms, now_ms(), ktime_get_real_ns());
	members.policy = policy;
	members.rebalance = rebalance;
	mutex_unlock(&lock);
	err = lite_register_handler(&handler);
	if (err) {
		pr_err("lite_rpc refuses the service: error %d\n", err);
		return err;
	}
	schedule_delayed_work(&expire_work, msecs_to_jiffies(lease_ms / 4));
	lite_member_publish(LITE_SVC_GMM, true, NULL);
	return 0;
}

/** gmm_serve_stop - no request, event or expiry runs or will run */
void gmm_serve_stop(void)
{
	lite_unregister_handler(&handler);
	cancel_delayed_work_sync(&expire_work);
	lite_member_publish(LITE_SVC_GMM, false, NULL);
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

/** gmm_serve_set_policy - by its name. Return: 0 or -EINVAL: there is no such one. */
int gmm_serve_set_policy(const char *name)
{
	int policy = gmm_policy_find(name);

	if (policy < 0)
		return policy;
	mutex_lock(&lock);
	members.policy = policy;
	mutex_unlock(&lock);
	pr_info("address spaces are placed by %s\n", name);
	return 0;
}

/** gmm_serve_policy - the name of the policy in force */
const char *gmm_serve_policy(void)
{
	return gmm_policy_name(READ_ONCE(members.policy));
}

/** gmm_serve_set_rebalance - may address spaces be moved? What moves already goes on. */
void gmm_serve_set_rebalance(bool on)
{
	mutex_lock(&lock);
	members.rebalance = on;
	mutex_unlock(&lock);
	pr_info("address spaces are %smoved to even hosts out\n", on ? "" : "not ");
}

bool gmm_serve_rebalance(void)
{
	return READ_ONCE(members.rebalance);
}
