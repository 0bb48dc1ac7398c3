// SPDX-License-Identifier: GPL-2.0
/*
 * The table of hosts: joins, leases, leaves. Pure.
 *
 * Everything in a request comes from another host. Who it is, is known from
 * the connection; what it says is checked before it is believed.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>

#include "internal.h"

/* Bit 0 names no service. */
#define SERVICES_VALID	((u32)((1u << LITE_SVC_MAX) - 2))

static_assert(GMM_ANSWER_MAX <= LITE_BODY_MAX);

/* Reports may come faster than once a second: that is too short to count. */
#define LOAD_MS_MIN	500

/** gmm_members_init - an empty table; @life: as no other manager's */
void gmm_members_init(struct gmm_members *members, u32 lease_ms, u64 now_ms,
		      u64 life)
{
	memset(members, 0, sizeof(*members));
	members->lease_ms = lease_ms;
	members->start_ms = now_ms;
	members->life = life;
}

/** gmm_members_find - Return: the member; NULL: there is none */
struct gmm_member *gmm_members_find(struct gmm_members *members, u32 node)
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

static bool body_valid(const struct lite_request *req, u32 len)
{
	return req->body_len == len && !req->payload_len && !req->nr_direct;
}

static bool report_valid(const struct lite_request *req)
{
	const struct gmm_report *report = req->body;

	if (!body_valid(req, sizeof(*report)))
		return false;
	return le64_to_cpu(report->free) <= le64_to_cpu(report->capacity) &&
	       le64_to_cpu(report->log_free) <=
	       le64_to_cpu(report->log_capacity) &&
	       !(le32_to_cpu(report->flags) & ~GMM_REPORT_FLAGS) &&
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
	struct gmm_member *member = gmm_members_find(members, node);

	if (member && member->incarnation == incarnation)
		return member;
	*news = member ? GMM_REJOINED : GMM_JOINED;
	if (!member && members->nr < GMM_HOSTS_MAX)
		member = &members->member[members->nr++];
	if (!member)
		return NULL;
	memset(member, 0, sizeof(*member));
	member->node = node;
	member->incarnation = incarnation;
	members->joins++;
	return member;
}

static u32 per_second(u64 requests, u64 ms)
{
	requests = min_t(u64, requests, U32_MAX);
	return min_t(u64, div64_u64(requests * 1000, ms), U32_MAX);
}

/* Each figure counts as much as all before it. */
static void count_load(struct gmm_member *member, u64 requests, u64 now_ms)
{
	/* mmon was loaded, perhaps again: there is nothing to count from. */
	bool first = !member->load_ms || requests < member->load_requests;
	u64 ms = now_ms - member->load_ms, load = 0;

	if (!first && ms < LOAD_MS_MIN)
		return;
	if (!first)
		load = (u64)member->load +
		       per_second(requests - member->load_requests, ms);
	member->load = load / 2;
	member->load_ms = now_ms;
	member->load_requests = requests;
}

/*
 * What has arrived is no longer on its way. What never does, because who asked
 * for it has ended, for example, is halved with each report.
 */
static u32 still_on_their_way(u32 placed, u32 before, u32 now)
{
	if (now > before)
		placed -= min(placed, now - before);
	return placed / 2;
}

static void take_figures(struct gmm_member *member,
			 const struct gmm_report *report, u64 now_ms)
{
	u32 regions = le32_to_cpu(report->regions);
	u32 replicas = le32_to_cpu(report->replicas);

	member->placed = still_on_their_way(member->placed, member->regions,
					    regions);
	member->placed_replicas = still_on_their_way(member->placed_replicas,
						     member->replicas, replicas);
	member->regions = regions;
	member->replicas = replicas;
	member->capacity = le64_to_cpu(report->capacity);
	member->free = le64_to_cpu(report->free);
	member->log_capacity = le64_to_cpu(report->log_capacity);
	member->log_free = le64_to_cpu(report->log_free);
	member->services = le32_to_cpu(report->services);
	member->last_ms = now_ms;
	count_load(member, le64_to_cpu(report->requests), now_ms);
}

/*
 * Of a host that is known, the table knows better: the report may have been on
 * its way when that changed. A host that joins knows it from the manager before.
 */
static void take_flags(struct gmm_member *member, u32 flags,
		       enum gmm_news *news)
{
	bool before = member->draining;

	if (*news == GMM_JOINED || *news == GMM_REJOINED)
		member->draining = flags & GMM_HOST_DRAINING;
	if (!(member->services & (1u << LITE_SVC_MMON)))
		member->draining = false;
	if (*news == GMM_JOINED && member->draining)
		*news = GMM_JOINED_DRAINING;
	else if (*news == GMM_NOTHING && before && !member->draining)
		*news = GMM_DRAINED;
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
	take_figures(member, report, now_ms);
	take_flags(member, le32_to_cpu(report->flags), news);
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
	if (!body_valid(req, 0)) {
		members->refused++;
		return -EBADMSG;
	}
	if (gmm_members_remove(members, req->node))
		*news = GMM_LEFT;
	return 0;
}

/**
 * gmm_members_drain - nothing is to be placed on a memory host, or again
 * @members: the table
 * @req: the request
 * @node: result: which host; 0 if malformed
 * @news: result
 *
 * Return: 0; -EBADMSG: malformed; -ENOENT: no such host; -ENODEV: it runs no mmon.
 */
int gmm_members_drain(struct gmm_members *members,
		      const struct lite_request *req, u32 *node,
		      enum gmm_news *news)
{
	const struct gmm_drain *drain = req->body;
	struct gmm_member *member = NULL;
	int err = -EBADMSG;
	bool on = false;

	*news = GMM_NOTHING;
	*node = 0;
	if (body_valid(req, sizeof(*drain)) && le32_to_cpu(drain->on) <= 1) {
		*node = le32_to_cpu(drain->node);
		on = le32_to_cpu(drain->on);
		member = gmm_members_find(members, *node);
		err = !member ? -ENOENT :
		      member->services & (1u << LITE_SVC_MMON) ? 0 : -ENODEV;
	}
	if (err) {
		members->refused++;
		return err;
	}
	if (member->draining != on)
		*news = on ? GMM_DRAINING : GMM_DRAINED;
	member->draining = on;
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
	struct gmm_member *member = gmm_members_find(members, node);

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

static __le32 saturated(u64 value)
{
	return cpu_to_le32((u32)min_t(u64, value, U32_MAX));
}

static void put_host(const struct gmm_member *member, u64 now_ms,
		     struct gmm_host *host)
{
	u64 age_ms = now_ms - member->last_ms;

	*host = (struct gmm_host){
		.incarnation = cpu_to_le64(member->incarnation),
		.node = cpu_to_le32(member->node),
		.capacity = saturated(member->capacity),
		.free = saturated(member->free),
		.regions = cpu_to_le32(member->regions),
		.replicas = cpu_to_le32(member->replicas),
		.load = cpu_to_le32(member->load),
		/* Without an overflow when it is all ones: */
		.log_capacity = saturated((member->log_capacity >> 20) +
					  !!(member->log_capacity & 0xfffff)),
		.log_free = saturated(member->log_free >> 20),
		.services = cpu_to_le16((u16)member->services),
		.flags = cpu_to_le16(member->draining ? GMM_HOST_DRAINING : 0),
		.age_ms = cpu_to_le16((u16)min_t(u64, age_ms, U16_MAX)),
	};
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
	u32 i;

	hosts->nr = cpu_to_le32(members->nr);
	hosts->lease_ms = cpu_to_le32(members->lease_ms);
	hosts->life = cpu_to_le64(members->life);
	for (i = 0; i < members->nr; i++)
		put_host(&members->member[i], now_ms, &hosts->host[i]);
	gmm_balance_mark(members, now_ms, hosts);
	return sizeof(*hosts) + members->nr * sizeof(hosts->host[0]);
}

static u32 count_draining(const struct gmm_members *members)
{
	u32 i, nr = 0;

	for (i = 0; i < members->nr; i++)
		nr += members->member[i].draining;
	return nr;
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
		{ "messages", members->messages },
		{ "joins", members->joins },
		{ "reports", members->reports },
		{ "expired", members->expired },
		{ "left", members->left },
		{ "refused", members->refused },
		{ "draining", count_draining(members) },
		{ "placements", members->placements },
		{ "placed_fewer", members->placed_fewer },
		{ "unplaced", members->unplaced },
		{ "moves", members->moves },
	};

	memcpy(table, all, sizeof(all));
	return GMM_COUNTERS;
}
