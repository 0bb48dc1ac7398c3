// SPDX-License-Identifier: GPL-2.0
/*
 * Events: what happens to regions, told to whoever listens (`vnode events`).
 *
 * Each is one message to the multicast group "events" of family "pmon". Most callers hold
 * a region's stream_lock, and a region may be lost in softirq context, by a transfer that
 * failed. So a message is made with GFP_ATOMIC and sent at once: that neither sleeps
 * nor waits for who listens. Who does not keep up is told by the kernel (ENOBUFS), and a
 * message for which there is no memory is one that was missed. Nothing is made if nobody
 * listens. Events are as rare as what they tell of, so there is no limit to them.
 */
#include <linux/ktime.h>
#include <net/genetlink.h>

#include "internal.h"
#include "uapi/splitkernel.h"

static int put_region(struct sk_buff *msg, struct pmon_region *region)
{
	return nla_put_u64_64bit(msg, SK_ATTR_ASID, region->asid, SK_ATTR_PAD) ||
	       nla_put_u32(msg, SK_ATTR_PID, region->space->pid) ||
	       nla_put_string(msg, SK_ATTR_NAME, region->space->comm);
}

/*
 * pmon_event - tell who listens
 * @what: a word, see SK_CMD_EVENT
 * @region: which region; NULL: it is about a host alone
 * @node: which memory host; 0: none
 *
 * Context: any, softirq included.
 */
void pmon_event(const char *what, struct pmon_region *region, u32 node)
{
	u64 now_ms = ktime_to_ms(ktime_get_real());
	struct sk_buff *msg;
	void *head;

	if (!genl_has_listeners(&pmon_family, &init_net, 0))
		return;
	msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_ATOMIC);
	if (!msg)
		return;
	head = genlmsg_put(msg, 0, 0, &pmon_family, 0, SK_CMD_EVENT);
	if (!head || nla_put_string(msg, SK_ATTR_EVENT, what) ||
	    nla_put_u64_64bit(msg, SK_ATTR_TIME_MS, now_ms, SK_ATTR_PAD) ||
	    (node && nla_put_u32(msg, SK_ATTR_NODE, node)) ||
	    (region && put_region(msg, region))) {
		nlmsg_free(msg);
		return;
	}
	genlmsg_end(msg, head);
	genlmsg_multicast(&pmon_family, msg, 0, 0, GFP_ATOMIC);
}

/*
 * pmon_event_copies - has the region as many secondaries as it is to have?
 * @node: the host by which that may have changed
 *
 * Told when the answer is another one than before. Context: stream_lock held.
 */
void pmon_event_copies(struct pmon_region *region, u32 node)
{
	bool degraded = pmon_holders_in_step(region) <
			region->space->budget->replicas;

	lockdep_assert_held(&region->stream_lock);
	if (degraded == region->degraded)
		return;
	region->degraded = degraded;
	pmon_event(degraded ? "degraded" : "repaired", region, node);
}
