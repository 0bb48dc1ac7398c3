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

static int leave_drained(struct pmon_space *space, void *unused)
{
	struct pmon_region *region;
	unsigned long number;
	unsigned int i;

	xa_for_each(&space->regions, number, region)
		for (i = 0; i < READ_ONCE(nr_draining); i++)
			if (pmon_holder_at(region, READ_ONCE(draining[i])))
				pmon_repair_soon(region);
	return 0;
}

static void look_for_drained(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look_for_drained);

static void look_for_drained(struct work_struct *work)
{
	struct lite_member *members;
	unsigned int n = 0;
	int i, nr;

	members = kmalloc_array(HOSTS_MAX, sizeof(*members), GFP_KERNEL);
	if (members) {
		nr = lite_members(members, HOSTS_MAX);
		spin_lock_bh(&draining_lock);
		for (i = 0; i < nr; i++)
			if (members[i].flags & LITE_MEMBER_DRAINING)
				draining[n++] = members[i].node;
		WRITE_ONCE(nr_draining, n);
		spin_unlock_bh(&draining_lock);
		kfree(members);
	}
	if (n)
		pmon_spaces_for_each(leave_drained, NULL);
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

void pmon_hosts_exit(void)
{
	cancel_delayed_work_sync(&look_work);
	lite_member_publish(LITE_SVC_PMON, false, NULL);
	lite_unregister_handler(&hosts_handler);
}
