// SPDX-License-Identifier: GPL-2.0
/*
 * Membership: this host's report to the manager, and the manager's list.
 *
 * One report to the manager is under way at most (member_busy). It is sent at a
 * third of the lease that the manager grants, at least once a second, whether or
 * not the last one succeeded; the list of the last success stays valid meanwhile,
 * since managers are never needed for what works already. That a service has come
 * or gone is reported at once (member_news).
 *
 * The manager can be changed at any time. A report that is under way to the former
 * one ends when it ends, for nothing: member_turn has gone on. A manager that has
 * just started, which its life tells, knows the hosts only that have reported to
 * it. For the length of a lease its list is added to the former one.
 *
 * The manager stores nothing. That this host is draining is known from its list,
 * kept here, and told in each report.
 */
#include <linux/slab.h>

#include "gmm_wire.h"
#include "internal.h"

#define REPORT_MS	1000
#define REPORT_MIN_MS	100
#define LEAVE_MS	500
#define REFRESH_MS	2000

/** struct member_report - a report under way */
struct member_report {
	struct lite_call call;
	struct gmm_report body;
	u32 turn;
};

static DEFINE_SPINLOCK(member_lock);		/* all below; leaf */
static struct lite_member member_list[GMM_HOSTS_MAX];
static struct lite_member member_next[GMM_HOSTS_MAX];	/* being made */
static int member_nr;
static unsigned long member_stamp;		/* when the list came */
static u32 member_interval = REPORT_MS;
static u64 member_life;			/* of the manager that it came from */
static unsigned long member_grace;		/* until then it may lack hosts */
static u32 own_services;
static struct lite_member_figures own_figures;
static bool own_draining;
static bool member_news;			/* a service that no report has told yet */
static struct lite_peer *member_manager;	/* NULL: there is none */
static u32 member_turn;				/* counts managers */
static bool member_known;			/* to the manager */
static bool member_busy;
static int member_status;			/* of the last report */
static int member_reports;			/* allocated */
static bool member_stopped = true;

static DEFINE_MUTEX(member_change);		/* of the manager; start and stop */
static DECLARE_WAIT_QUEUE_HEAD(member_wait);
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

/*
 * Who stops sets member_stopped under the lock and cancels the work after it, so
 * none is queued later. One under way may lack the news: its end comes here, too.
 */
static void member_tell_news(void)
{
	lockdep_assert_held(&member_lock);
	if (member_news && !member_stopped && !member_busy)
		mod_delayed_work(lite_wq, &member_work, 0);
}

void lite_member_publish(enum lite_service service, bool present,
			 const struct lite_member_figures *figures)
{
	u32 before;

	if (service <= 0 || service >= LITE_SVC_MAX)
		return;
	spin_lock_bh(&member_lock);
	before = own_services;
	if (present)
		own_services |= BIT(service);
	else
		own_services &= ~BIT(service);
	if (own_services != before) {
		member_news = true;
		member_tell_news();
	}
	if (service == LITE_SVC_MMON) {
		memset(&own_figures, 0, sizeof(own_figures));
		if (present && figures)
			own_figures = *figures;
		if (!present)
			own_draining = false;
	}
	spin_unlock_bh(&member_lock);
}

SK_EXPORT(lite_member_publish);

/* ---- the manager's list ----------------------------------------------------- */

/* Return: number of rows, or -EBADMSG: the manager's answer is not one. */
static int hosts_check(const struct gmm_hosts *msg, u32 len)
{
	u32 i, nr;

	if (len < sizeof(*msg))
		return -EBADMSG;
	nr = le32_to_cpu(msg->nr);
	if (nr > GMM_HOSTS_MAX || len != struct_size(msg, host, nr))
		return -EBADMSG;
	for (i = 0; i < nr; i++)
		if (le16_to_cpu(msg->host[i].flags) & ~GMM_HOST_FLAGS)
			return -EBADMSG;
	return nr;
}

static u32 member_flags(u16 flags)
{
	return (flags & GMM_HOST_DRAINING ? LITE_MEMBER_DRAINING : 0) |
	       (flags & GMM_HOST_CROWDED ? LITE_MEMBER_CROWDED : 0);
}

static void member_from_wire(struct lite_member *member,
			     const struct gmm_host *host)
{
	*member = (struct lite_member){
		.node = le32_to_cpu(host->node),
		.services = le16_to_cpu(host->services),
		.flags = member_flags(le16_to_cpu(host->flags)),
		.incarnation = le64_to_cpu(host->incarnation),
		.capacity = le32_to_cpu(host->capacity),
		.free = le32_to_cpu(host->free),
		.log_capacity = (u64)le32_to_cpu(host->log_capacity) << 20,
		.log_free = (u64)le32_to_cpu(host->log_free) << 20,
		.regions = le32_to_cpu(host->regions),
		.replicas = le32_to_cpu(host->replicas),
		.load = le32_to_cpu(host->load),
		.age_ms = le16_to_cpu(host->age_ms),
	};
}

static bool member_listed(const struct lite_member *list, int nr, u32 node)
{
	int i;

	for (i = 0; i < nr; i++)
		if (list[i].node == node)
			return true;
	return false;
}

/* Hosts that a new manager does not know yet. Return: number of all. */
static int members_keep(int nr)
{
	u32 older = jiffies_to_msecs(jiffies - member_stamp);
	int i;

	for (i = 0; i < member_nr && nr < GMM_HOSTS_MAX; i++) {
		if (member_listed(member_next, nr, member_list[i].node))
			continue;
		member_next[nr] = member_list[i];
		member_next[nr++].age_ms += older;
	}
	return nr;
}

/* The manager's word, as long as this host has something to drain. */
static void member_note_self(const struct lite_member *self)
{
	bool draining = self->flags & LITE_MEMBER_DRAINING &&
			own_services & BIT(LITE_SVC_MMON);

	if (draining != own_draining)
		pr_info("this host %s\n", draining ?
			"is being drained: nothing new is placed here" :
			"is no longer being drained");
	own_draining = draining;
}

static void member_take(const struct gmm_hosts *msg, int nr)
{
	u32 lease = le32_to_cpu(msg->lease_ms);
	u64 life = le64_to_cpu(msg->life);
	int i;

	lockdep_assert_held(&member_lock);
	for (i = 0; i < nr; i++) {
		member_from_wire(&member_next[i], &msg->host[i]);
		if (member_next[i].node == lite_params.self)
			member_note_self(&member_next[i]);
	}
	if (life != member_life && member_nr)
		member_grace = jiffies + msecs_to_jiffies(min(lease, 60000u));
	member_life = life;
	if (time_before(jiffies, member_grace))
		nr = members_keep(nr);
	memcpy(member_list, member_next, nr * sizeof(member_list[0]));
	member_nr = nr;
	member_stamp = jiffies;
	member_interval = clamp_t(u32, lease / 3, REPORT_MIN_MS, REPORT_MS);
	member_known = true;
}

/* ---- reports ------------------------------------------------------------------ */

static void member_done(struct lite_call *call)
{
	struct member_report *report = container_of(call, struct member_report,
						    call);
	int nr, err = call->status;

	nr = err ? err : hosts_check(call->reply, call->reply_len);
	lite_peer_put(call->peer);
	spin_lock_bh(&member_lock);
	if (report->turn == member_turn) {
		if (nr >= 0)
			member_take(call->reply, nr);
		member_status = min(nr, 0);
		member_busy = false;
		member_tell_news();
	}
	kfree(report);
	member_reports--;
	/* Under the lock: who waits for the last report unloads the module. */
	wake_up_all(&member_wait);
	spin_unlock_bh(&member_lock);
}

static void report_fill(struct gmm_report *body)
{
	const struct lite_member_figures *own = &own_figures;

	*body = (struct gmm_report){
		.incarnation = cpu_to_le64(lite_incarnation()),
		.capacity = cpu_to_le64(own->capacity),
		.free = cpu_to_le64(min(own->free, own->capacity)),
		.requests = cpu_to_le64(own->requests),
		.log_capacity = cpu_to_le64(own->log_capacity),
		.log_free = cpu_to_le64(min(own->log_free, own->log_capacity)),
		.services = cpu_to_le32(own_services),
		.flags = cpu_to_le32(own_draining ? GMM_HOST_DRAINING : 0),
		.regions = cpu_to_le32(own->regions),
		.replicas = cpu_to_le32(own->replicas),
	};
}

/* Return: 0; -EBUSY: a report is under way already; -ESHUTDOWN, -ENOENT. */
static int member_ready(void)
{
	lockdep_assert_held(&member_lock);
	if (member_stopped)
		return -ESHUTDOWN;
	if (!member_manager)
		return -ENOENT;
	return member_busy ? -EBUSY : 0;
}

static int member_send(void)
{
	struct member_report *report = kzalloc(sizeof(*report), GFP_KERNEL);
	int err;

	if (!report)
		return -ENOMEM;
	spin_lock_bh(&member_lock);
	err = member_ready();
	if (!err) {
		member_busy = true;
		member_reports++;
		report->turn = member_turn;
		member_news = false;
		report_fill(&report->body);
		kref_get(&member_manager->ref);
		report->call = (struct lite_call){
			.peer = member_manager,
			.service = LITE_SVC_GMM,
			.op = GMM_OP_REPORT,
			.flags = LITE_CALL_IDEMPOTENT,
			.req = &report->body,
			.req_len = sizeof(report->body),
			.done = member_done,
		};
	}
	spin_unlock_bh(&member_lock);
	if (err)
		kfree(report);
	else
		lite_call_submit(&report->call);
	return err;
}

static void member_work_fn(struct work_struct *work)
{
	member_send();
	queue_delayed_work(lite_wq, &member_work,
			   msecs_to_jiffies(READ_ONCE(member_interval)));
}

/* lite_member_report_soon - the manager has news for the list, or none yet */
void lite_member_report_soon(void)
{
	mutex_lock(&member_change);
	if (!member_stopped && member_manager)
		mod_delayed_work(lite_wq, &member_work, 0);
	mutex_unlock(&member_change);
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
	long left = msecs_to_jiffies(REFRESH_MS);
	int err;

	for (;;) {
		err = member_send();
		if (err && err != -EBUSY)
			return err;
		left = wait_event_killable_timeout(member_wait, member_idle(), left);
		if (left <= 0)
			return left ? -EINTR : -ETIMEDOUT;
		if (!err)
			return READ_ONCE(member_status);
	}
}

SK_EXPORT(lite_member_refresh);

/* ---- the manager ---------------------------------------------------------------- */

/* lite_member_manager - Return: with a reference; NULL: there is no manager */
struct lite_peer *lite_member_manager(void)
{
	struct lite_peer *peer;

	spin_lock_bh(&member_lock);
	peer = member_manager;
	if (peer)
		kref_get(&peer->ref);
	spin_unlock_bh(&member_lock);
	return peer;
}

static void member_leave(struct lite_peer *manager)
{
	struct lite_call call = {
		.peer = manager,
		.service = LITE_SVC_GMM,
		.op = GMM_OP_LEAVE,
		.timeout_ms = LEAVE_MS,
	};

	lite_call_sync(&call, NULL, 0);
}

/*
 * Takes over the reference to @peer. Return: the former manager if it is another
 * one, with its reference.
 */
static struct lite_peer *member_switch(struct lite_peer *peer, bool *known)
{
	struct lite_peer *old;

	spin_lock_bh(&member_lock);
	old = member_manager;
	*known = member_known;
	member_manager = peer;
	if (old != peer) {
		member_turn++;
		member_known = false;
		member_busy = false;
		member_status = -ENOENT;
	}
	spin_unlock_bh(&member_lock);
	wake_up_all(&member_wait);
	return old;
}

/**
 * lite_member_set_manager - report to this host from now on
 * @node: where gmm runs
 *
 * The list stays, and calls of lite_place() that wait go to the new one.
 *
 * Context: process, sleeps up to LEAVE_MS. Return: 0; -EINVAL: no host's address;
 * -ESHUTDOWN: not started yet, or stopping; -ENOMEM.
 */
int lite_member_set_manager(u32 node)
{
	struct lite_peer *peer = lite_peer_get(node), *old;
	bool known;

	if (IS_ERR(peer))
		return PTR_ERR(peer);
	mutex_lock(&member_change);
	if (member_stopped) {
		mutex_unlock(&member_change);
		lite_peer_put(peer);
		return -ESHUTDOWN;
	}
	old = member_switch(peer, &known);
	mod_delayed_work(lite_wq, &member_work, 0);
	if (old != peer) {
		__be32 addr = htonl(node);

		pr_info("the manager is now %pI4\n", &addr);
		if (old && known)
			member_leave(old);
	}
	lite_peer_put(old);
	mutex_unlock(&member_change);
	return 0;
}

/* ---- start and stop ---------------------------------------------------------------- */

/* lite_member_start - @manager: 0 if there is none yet */
void lite_member_start(u32 manager)
{
	mutex_lock(&member_change);
	spin_lock_bh(&member_lock);
	member_stamp = jiffies;
	member_grace = jiffies;
	member_stopped = false;
	spin_unlock_bh(&member_lock);
	mutex_unlock(&member_change);
	if (manager)
		lite_member_set_manager(manager);
}

/* lite_member_stop - no report after this; the peers are stopped after it */
void lite_member_stop(void)
{
	mutex_lock(&member_change);
	spin_lock_bh(&member_lock);
	member_stopped = true;
	spin_unlock_bh(&member_lock);
	cancel_delayed_work_sync(&member_work);
	/* Only if the manager knows us. */
	if (member_manager && member_known && !member_status)
		member_leave(member_manager);
	mutex_unlock(&member_change);
}

static bool member_reports_gone(void)
{
	bool gone;

	spin_lock_bh(&member_lock);
	gone = !member_reports;
	spin_unlock_bh(&member_lock);
	return gone;
}

/* lite_member_exit - the peers are stopped, so no report is under way */
void lite_member_exit(void)
{
	bool known;

	wait_event(member_wait, member_reports_gone());
	lite_peer_put(member_switch(NULL, &known));
}
