// SPDX-License-Identifier: GPL-2.0
/*
 * Memory hosts as this processor host sees them: which there are, which are being
 * drained, and what happens to regions when one is gone.
 */
#include <linux/slab.h>

#include "internal.h"

#define HOSTS_MAX	64
#define LOOK_MS		500	/* how soon a host is seen to be drained */

static DEFINE_SPINLOCK(draining_lock);	/* protects the list; any context */
static u32 draining[HOSTS_MAX];
static unsigned int nr_draining;

/*
 * Regions at draining[i], as of the last look; -1: it is the first. The look's own: the
 * list is changed by nobody else.
 */
static long held[HOSTS_MAX];

/*
 * pmon_hosts_choose - memory host with the most free frames
 * Return: node id, 0 if no memory host has joined. Context: any.
 */
u32 pmon_hosts_choose(void)
{
	struct lite_member *members;
	u32 node = 0;
	u64 most = 0;
	int i, nr;

	members = kmalloc_array(HOSTS_MAX, sizeof(*members), GFP_KERNEL);
	if (!members)
		return 0;
	nr = lite_members(members, HOSTS_MAX);
	for (i = 0; i < nr; i++) {
		if (!(members[i].services & BIT(LITE_SVC_MMON)) ||
		    members[i].flags & LITE_MEMBER_DRAINING)
			continue;
		if (node && members[i].free <= most)
			continue;
		most = members[i].free;
		node = members[i].node;
	}
	kfree(members);
	return node;
}

/* ---- hosts that are being drained ------------------------------------------------ */

/* pmon_host_draining - is everything to leave the host? Context: any. */
bool pmon_host_draining(u32 node)
{
	bool found = false;
	unsigned int i;

	spin_lock_bh(&draining_lock);
	for (i = 0; i < nr_draining; i++)
		found |= draining[i] == node;
	spin_unlock_bh(&draining_lock);
	return found;
}

static int leave_drained(struct pmon_space *space, void *arg)
{
	struct pmon_region *region;
	unsigned long number;
	long *holds = arg;
	unsigned int i;

	xa_for_each(&space->regions, number, region) {
		for (i = 0; i < nr_draining; i++) {
			if (!pmon_holder_at(region, draining[i]))
				continue;
			holds[i]++;
			pmon_repair_soon(region);
		}
	}
	return 0;
}

/* All that is to leave these hosts leaves them; who listens is told when it has. */
static void drain_hosts(void)
{
	static long holds[HOSTS_MAX];
	unsigned int i;

	memset(holds, 0, sizeof(holds));
	pmon_spaces_for_each(leave_drained, holds);
	for (i = 0; i < nr_draining; i++) {
		if (!holds[i] && held[i])
			pmon_event("drained", NULL, draining[i]);
		held[i] = holds[i];
	}
}

static long held_before(const u32 *before, unsigned int nr, u32 node)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (before[i] == node)
			return held[i];
	return -1;
}

/* The list is now that of @members. */
static void note_draining(const struct lite_member *members, int nr)
{
	static long now[HOSTS_MAX];
	static u32 before[HOSTS_MAX];
	unsigned int before_nr = nr_draining, n = 0, at;
	int i;

	memcpy(before, draining, sizeof(before));
	spin_lock_bh(&draining_lock);
	for (i = 0; i < nr; i++)
		if (members[i].flags & LITE_MEMBER_DRAINING)
			draining[n++] = members[i].node;
	nr_draining = n;
	spin_unlock_bh(&draining_lock);
	for (at = 0; at < n; at++)
		now[at] = held_before(before, before_nr, draining[at]);
	memcpy(held, now, sizeof(held));
}

static void look_for_drained(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look_for_drained);

static void look_for_drained(struct work_struct *work)
{
	struct lite_member *members;

	members = kmalloc_array(HOSTS_MAX, sizeof(*members), GFP_KERNEL);
	if (members) {
		note_draining(members, lite_members(members, HOSTS_MAX));
		kfree(members);
	}
	if (nr_draining)
		drain_hosts();
	schedule_delayed_work(&look_work, msecs_to_jiffies(LOOK_MS));
}

/* ---- events ------------------------------------------------------------------------ */

static void hosts_event(u32 node, enum lite_event event, void *unused)
{
	switch (event) {
	case LITE_EV_DEAD:
	case LITE_EV_RESTARTED:
	case LITE_EV_LEFT:
		pmon_regions_host_gone(node);
		break;
	default:
		break;
	}
}

static void hosts_request(struct lite_request *req)
{
	lite_reply(req, -EOPNOTSUPP, NULL, 0);
}

static struct lite_handler hosts_handler = {
	.service = LITE_SVC_PMON,
	.name = "pmon",
	.owner = THIS_MODULE,
	.handle = hosts_request,
	.event = hosts_event,
};

int pmon_hosts_init(void)
{
	int ret = lite_register_handler(&hosts_handler);

	if (ret)
		return ret;
	schedule_delayed_work(&look_work, msecs_to_jiffies(LOOK_MS));
	lite_member_publish(LITE_SVC_PMON, true, NULL);
	return 0;
}

/* pmon_hosts_look_end - no address space is left */
void pmon_hosts_look_end(void)
{
	cancel_delayed_work_sync(&look_work);
}

void pmon_hosts_exit(void)
{
	pmon_hosts_look_end();
	lite_member_publish(LITE_SVC_PMON, false, NULL);
	lite_unregister_handler(&hosts_handler);
}
