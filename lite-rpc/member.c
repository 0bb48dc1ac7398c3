// SPDX-License-Identifier: GPL-2.0
/*
 * Membership: this host's report to the manager, and the manager's list.
 *
 * One call is under way at most (member_busy). It is sent at a third of the
 * lease that the manager grants, at least once a second, whether or not the
 * last one succeeded; the list of the last success stays valid meanwhile, since
 * managers are never needed for what works already.
 */
#include <linux/slab.h>

#include "gmm_wire.h"
#include "internal.h"

#define REPORT_MS	1000
#define REPORT_MIN_MS	100
#define LEAVE_MS	500

static DEFINE_SPINLOCK(member_lock);		/* all below; leaf */
static struct lite_member member_list[GMM_HOSTS_MAX];
static int member_nr;
static unsigned long member_stamp;		/* when the list came */
static u32 member_interval = REPORT_MS;
static u32 own_services;
static u64 own_capacity;
static u64 own_free;
static bool member_busy;
static int member_status;

static struct lite_peer *member_manager;
static struct lite_call member_call;		/* owned by whoever set busy */
static struct gmm_report member_report;
static DECLARE_WAIT_QUEUE_HEAD(member_wait);
static bool member_stopped = true;
static void member_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(member_work, member_work_fn);

int lite_members(struct lite_member *members, int max)
{
	u32 older;
	int i, nr;

	spin_lock_bh(&member_lock);
	older = jiffies_to_msecs(jiffies - member_stamp);
	nr = min(max, member_nr);
	for (i = 0; i < nr; i++) {
		members[i] = member_list[i];
		members[i].age_ms += older;
	}
	spin_unlock_bh(&member_lock);
	return nr;
}

SK_EXPORT(lite_members);

void lite_member_publish(enum lite_service service, bool present,
			 u64 capacity, u64 free)
{
	if (service <= 0 || service >= LITE_SVC_MAX)
		return;
	spin_lock_bh(&member_lock);
	if (present)
		own_services |= BIT(service);
	else
		own_services &= ~BIT(service);
	if (service == LITE_SVC_MMON) {
		own_capacity = present ? capacity : 0;
		own_free = present ? min(free, capacity) : 0;
	}
	spin_unlock_bh(&member_lock);
}

SK_EXPORT(lite_member_publish);

/* Return: 0, or -EBADMSG: the manager's answer is not one. */
static int member_take(const void *reply, u32 len)
{
	const struct gmm_hosts *msg = reply;
	u32 i, nr, lease;

	if (len < sizeof(*msg))
		return -EBADMSG;
	nr = le32_to_cpu(msg->nr);
	lease = le32_to_cpu(msg->lease_ms);
	if (nr > GMM_HOSTS_MAX || len != struct_size(msg, host, nr))
		return -EBADMSG;
	for (i = 0; i < nr; i++)
		if (msg->host[i].reserved)
			return -EBADMSG;
	spin_lock_bh(&member_lock);
	for (i = 0; i < nr; i++) {
		const struct gmm_host *host = &msg->host[i];

		member_list[i] = (struct lite_member){
			.node = le32_to_cpu(host->node),
			.services = le32_to_cpu(host->services),
			.incarnation = le64_to_cpu(host->incarnation),
			.capacity = le64_to_cpu(host->capacity),
			.free = le64_to_cpu(host->free),
			.age_ms = le32_to_cpu(host->age_ms),
		};
	}
	member_nr = nr;
	member_stamp = jiffies;
	member_interval = clamp_t(u32, lease / 3, REPORT_MIN_MS, REPORT_MS);
	spin_unlock_bh(&member_lock);
	return 0;
}

static void member_done(struct lite_call *call)
{
	int err = call->status;

	if (!err)
		err = member_take(call->reply, call->reply_len);
	spin_lock_bh(&member_lock);
	member_status = err;
	member_busy = false;
	spin_unlock_bh(&member_lock);
	wake_up_all(&member_wait);
}

/* Return: false: a report is under way already. */
static bool member_send(void)
{
	spin_lock_bh(&member_lock);
	if (member_busy || member_stopped) {
		spin_unlock_bh(&member_lock);
		return false;
	}
	member_busy = true;
	member_report = (struct gmm_report){
		.incarnation = cpu_to_le64(lite_incarnation()),
		.capacity = cpu_to_le64(own_capacity),
		.free = cpu_to_le64(own_free),
		.services = cpu_to_le32(own_services),
	};
	spin_unlock_bh(&member_lock);
	member_call = (struct lite_call){
		.peer = member_manager,
		.service = LITE_SVC_GMM,
		.op = GMM_OP_REPORT,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = &member_report,
		.req_len = sizeof(member_report),
		.done = member_done,
	};
	lite_call_submit(&member_call);
	return true;
}

static void member_work_fn(struct work_struct *work)
{
	member_send();
	queue_delayed_work(lite_wq, &member_work,
			   msecs_to_jiffies(READ_ONCE(member_interval)));
}

static bool member_idle(void)
{
	bool idle;

	spin_lock_bh(&member_lock);
	idle = !member_busy;
	spin_unlock_bh(&member_lock);
	return idle;
}

/* One under way may have been built before the last publish: wait it out. */
int lite_member_refresh(void)
{
	if (!member_manager)
		return -ENOENT;
	while (!member_send()) {
		if (READ_ONCE(member_stopped))
			return -ESHUTDOWN;
		wait_event(member_wait, member_idle());
	}
	wait_event(member_wait, member_idle());
	return READ_ONCE(member_status);
}

SK_EXPORT(lite_member_refresh);

void lite_member_start(void)
{
	struct lite_peer *peer;

	if (!lite_params.manager)
		return;
	peer = lite_peer_get(lite_params.manager);
	if (IS_ERR(peer))
		return;
	member_manager = peer;
	member_stamp = jiffies;
	member_stopped = false;
	queue_delayed_work(lite_wq, &member_work, 0);
}

static void member_leave(void)
{
	struct lite_call call = {
		.peer = member_manager,
		.service = LITE_SVC_GMM,
		.op = GMM_OP_LEAVE,
		.timeout_ms = LEAVE_MS,
	};

	/* Only if the manager knows us. */
	if (!READ_ONCE(member_status) && READ_ONCE(member_nr))
		lite_call_sync(&call, NULL, 0);
}

/* lite_member_stop - no report after this; the peers are stopped after it */
void lite_member_stop(void)
{
	if (!member_manager)
		return;
	spin_lock_bh(&member_lock);
	member_stopped = true;
	spin_unlock_bh(&member_lock);
	cancel_delayed_work_sync(&member_work);
	member_leave();
}

/* lite_member_exit - the peers are stopped, so no report is under way */
void lite_member_exit(void)
{
	if (!member_manager)
		return;
	wait_event(member_wait, member_idle());
	lite_peer_put(member_manager);
	member_manager = NULL;
}
