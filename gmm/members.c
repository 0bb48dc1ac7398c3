// SPDX-License-Identifier: GPL-2.0
/*
 * The table of hosts: joins, leases, leaves. Pure.
 *
 * Everything in a request comes from another host. Who it is, is known from
 * the connection; what it says is checked before it is believed.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "internal.h"

/* Bit 0 names no service. */
#define SERVICES_VALID	((u32)((1u << LITE_SVC_MAX) - 2))

static_assert(GMM_ANSWER_MAX <= LITE_BODY_MAX);

/** gmm_members_init - an empty table */
void gmm_members_init(struct gmm_members *members, u32 lease_ms)
{
	memset(members, 0, sizeof(*members));
	members->lease_ms = lease_ms;
}

static struct gmm_member *find(struct gmm_members *members, u32 node)
{
	u32 i;

	for (i = 0; i < members->nr; i++)
		if (members->member[i].node == node)
			return &members->member[i];
	return NULL;
}

static void forget(struct gmm_members *members, struct gmm_member *member)
{
	*member = members->member[--members->nr];
}

static bool report_valid(const struct lite_request *req)
{
	const struct gmm_report *report = req->body;

	if (req->body_len != sizeof(*report) || req->payload_len ||
	    req->nr_direct)
		return false;
	return !report->reserved &&
	       le64_to_cpu(report->free) <= le64_to_cpu(report->capacity) &&
	       !(le32_to_cpu(report->services) & ~SERVICES_VALID);
}

/*
 * The incarnation is the host's own, from the message: the one of the
 * connection also changes when the two hosts lost sight of each other.
 * Return: the member, new if need be; NULL if the table is full.
 */
static struct gmm_member *admit(struct gmm_members *members, u32 node,
				u64 incarnation, enum gmm_news *news)
{
	struct gmm_member *member = find(members, node);

	if (member && member->incarnation == incarnation)
		return member;
	*news = member ? GMM_REJOINED : GMM_JOINED;
	if (!member && members->nr < GMM_HOSTS_MAX)
		member = &members->member[members->nr++];
	if (!member)
		return NULL;
	member->node = node;
	member->incarnation = incarnation;
	members->joins++;
	return member;
}

/**
 * gmm_members_report - a host renews its lease, or joins
 * @members: the table
 * @req: the request
 * @now_ms: the time
 * @news: result
 *
 * Return: 0; -EBADMSG: malformed; -ENOSPC: too many hosts.
 */
int gmm_members_report(struct gmm_members *members,
		       const struct lite_request *req, u64 now_ms,
		       enum gmm_news *news)
{
	const struct gmm_report *report = req->body;
	struct gmm_member *member;

	*news = GMM_NOTHING;
	if (!report_valid(req)) {
		members->refused++;
		return -EBADMSG;
	}
	member = admit(members, req->node, le64_to_cpu(report->incarnation),
		       news);
	if (!member) {
		*news = GMM_NOTHING;
		members->refused++;
		return -ENOSPC;
	}
	member->capacity = le64_to_cpu(report->capacity);
	member->free = le64_to_cpu(report->free);
	member->services = le32_to_cpu(report->services);
	member->last_ms = now_ms;
	members->reports++;
	return 0;
}

/**
 * gmm_members_leave - a host says goodbye; unknown hosts are no error
 * @members: the table
 * @req: the request
 * @news: result
 *
 * Return: 0; -EBADMSG: malformed.
 */
int gmm_members_leave(struct gmm_members *members,
		      const struct lite_request *req, enum gmm_news *news)
{
	*news = GMM_NOTHING;
	if (req->body_len || req->payload_len || req->nr_direct) {
		members->refused++;
		return -EBADMSG;
	}
	if (gmm_members_remove(members, req->node))
		*news = GMM_LEFT;
	return 0;
}

/**
 * gmm_members_remove - a host is known to have left
 * @members: the table
 * @node: which one
 *
 * Return: true if it was in the table.
 */
bool gmm_members_remove(struct gmm_members *members, u32 node)
{
	struct gmm_member *member = find(members, node);

	if (!member)
		return false;
	forget(members, member);
	members->left++;
	return true;
}

/**
 * gmm_members_expire - end one lease that ran out
 * @members: the table
 * @now_ms: the time
 * @node: whose lease it was
 *
 * Return: false if there is none (any more).
 */
bool gmm_members_expire(struct gmm_members *members, u64 now_ms, u32 *node)
{
	struct gmm_member *member;
	u32 i;

	for (i = 0; i < members->nr; i++) {
		member = &members->member[i];
		if (now_ms - member->last_ms <= members->lease_ms)
			continue;
		*node = member->node;
		forget(members, member);
		members->expired++;
		return true;
	}
	return false;
}

/**
 * gmm_members_list - the answer to a report
 * @members: the table
 * @now_ms: the time
 * @hosts: room for GMM_ANSWER_MAX bytes
 *
 * Return: length in bytes.
 */
u32 gmm_members_list(const struct gmm_members *members, u64 now_ms,
		     struct gmm_hosts *hosts)
{
	const struct gmm_member *member;
	u32 i;

	hosts->nr = cpu_to_le32(members->nr);
	hosts->lease_ms = cpu_to_le32(members->lease_ms);
	for (i = 0; i < members->nr; i++) {
		member = &members->member[i];
		hosts->host[i] = (struct gmm_host){
			.incarnation = cpu_to_le64(member->incarnation),
			.capacity = cpu_to_le64(member->capacity),
			.free = cpu_to_le64(member->free),
			.node = cpu_to_le32(member->node),
			.services = cpu_to_le32(member->services),
			.age_ms = cpu_to_le32((u32)(now_ms - member->last_ms)),
		};
	}
	return sizeof(*hosts) + members->nr * sizeof(hosts->host[0]);
}

/**
 * gmm_counters_read - all counters with their names
 * @members: the table
 * @table: room for GMM_COUNTERS entries
 *
 * Return: how many were written.
 */
int gmm_counters_read(const struct gmm_members *members,
		      struct lite_counter *table)
{
	const struct lite_counter all[GMM_COUNTERS] = {
		{ "hosts", members->nr },
		{ "joins", members->joins },
		{ "reports", members->reports },
		{ "expired", members->expired },
		{ "left", members->left },
		{ "refused", members->refused },
	};

	memcpy(table, all, sizeof(all));
	return GMM_COUNTERS;
}
