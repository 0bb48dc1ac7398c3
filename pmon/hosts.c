// SPDX-License-Identifier: GPL-2.0
/*
 * Memory hosts as this processor host sees them: the choice of a home for a
 * new address space, and what happens to spaces whose home is gone.
 */
#include <linux/slab.h>

#include "internal.h"

#define HOSTS_MAX	64

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
		if (!(members[i].services & BIT(LITE_SVC_MMON)))
			continue;
		if (node && members[i].free <= most)
			continue;
		most = members[i].free;
		node = members[i].node;
	}
	kfree(members);
	return node;
}

static void hosts_event(u32 node, enum lite_event event, void *unused)
{
	switch (event) {
	case LITE_EV_DEAD:
	case LITE_EV_RESTARTED:
	case LITE_EV_LEFT:
		pmon_regions_lose_home(node);
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

	if (!ret)
		lite_member_publish(LITE_SVC_PMON, true, NULL);
	return ret;
}

void pmon_hosts_exit(void)
{
	lite_member_publish(LITE_SVC_PMON, false, NULL);
	lite_unregister_handler(&hosts_handler);
}
