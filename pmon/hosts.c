// SPDX-License-Identifier: GPL-2.0
/*
 * Memory hosts as this processor host sees them: which there are, which are being
 * drained, and what happens to regions when one is gone.
 */
#include <linux/slab.h>

#include "internal.h"

#define LOOK_MS		500	/* how soon a host is seen to be drained */

static DEFINE_SPINLOCK(draining_lock);	/* protects the list; any context */
static u32 draining[PMON_HOSTS_MAX];
static unsigned int nr_draining;

/*
 * pmon_hosts_choose - memory host with the most free frames
 * Return: node id, 0 if no memory host has joined. Context: process.
 */
u32 pmon_hosts_choose(void)
{
	struct lite_member *members;
	u32 node = 0;
	u64 most = 0;
	int i, nr;

	members = kmalloc_array(PMON_HOSTS_MAX, sizeof(*members), GFP_KERNEL);
	if (!members)
		return 0;
	nr = lite_members(members, PMON_HOSTS_MAX);
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

/*
 * pmon_hosts_any - has a memory host joined that takes something new?
 *
 * One that has just come may not be in the list yet. Context: process, sleeps for up
 * to 2 s if there is none.
 */
bool pmon_hosts_any(void)
{
	return pmon_hosts_choose() ||
	       (!lite_member_refresh() && pmon_hosts_choose());
}

/*
 * pmon_hosts_flagged - memory hosts of which the manager says something
 * @flag: LITE_MEMBER_*
 * @node: result, room for PMON_HOSTS_MAX
 *
 * Context: process. Return: how many; -ENOMEM.
 */
int pmon_hosts_flagged(u32 flag, u32 *node)
{
	struct lite_member *members;
	int i, nr, n = 0;

	members = kmalloc_array(PMON_HOSTS_MAX, sizeof(*members), GFP_KERNEL);
	if (!members)
		return -ENOMEM;
	nr = lite_members(members, PMON_HOSTS_MAX);
	for (i = 0; i < nr; i++)
		if (members[i].flags & flag)
			node[n++] = members[i].node;
	kfree(members);
	return n;
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

/*
 * All that is to leave these hosts leaves them; who listens is told when it has: at the
 * first look at a host that has nothing, or after one at which it had.
 */
static void drain_hosts(const u32 *before, unsigned int before_nr)
{
	static long held[PMON_HOSTS_MAX];	/* regions at draining[i], as of the last look */
	static long holds[PMON_HOSTS_MAX];
	unsigned int i, j;

	memset(holds, 0, sizeof(holds));
	pmon_spaces_for_each(leave_drained, holds);
	for (i = 0; i < nr_draining; i++) {
		for (j = 0; j < before_nr && before[j] != draining[i]; j++)
			;
		if (!holds[i] && (j == before_nr || held[j]))
			pmon_event("drained", NULL, draining[i]);
	}
	memcpy(held, holds, sizeof(held));
}

static void look_for_drained(struct work_struct *work);
static DECLARE_DELAYED_WORK(look_work, look_for_drained);

/* Nobody else changes the list, so it is read here without the lock. */
static void look_for_drained(struct work_struct *work)
{
	static u32 before[PMON_HOSTS_MAX], now[PMON_HOSTS_MAX];
	unsigned int before_nr = nr_draining;
	int nr = pmon_hosts_flagged(LITE_MEMBER_DRAINING, now);

	if (nr >= 0) {
		memcpy(before, draining, sizeof(before));
		spin_lock_bh(&draining_lock);
		memcpy(draining, now, nr * sizeof(*now));
		nr_draining = nr;
		spin_unlock_bh(&draining_lock);
		if (nr)
			drain_hosts(before, before_nr);
	}
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
