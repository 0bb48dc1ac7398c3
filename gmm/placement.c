// SPDX-License-Identifier: GPL-2.0
/*
 * Which memory hosts shall hold an address space. Pure.
 *
 * Reports are a second old, and what was placed since has not come into them. So
 * each address space is charged to its host in advance, from the moment it is
 * placed there; a burst of placements spreads. It stays charged with a small part
 * of the host, since most address spaces grow.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>

#include "internal.h"

#define CHARGE_PART	128		/* of a host's capacity, for each space */
#define CHARGE_COUNT	BIT(24)		/* spaces: more make no difference */
#define ROOM_MAX	BIT_ULL(62)
#define LOAD_UNIT_MIN	16		/* requests per second: as good as idle */

static const char * const policy_name[GMM_NR_POLICIES] = {
	[GMM_MOST_FREE] = "most-free",
	[GMM_LEAST_LOAD] = "least-load",
	[GMM_ROUND_ROBIN] = "round-robin",
};

/** gmm_policy_find - Return: enum gmm_policy, or -EINVAL: there is no such one */
int gmm_policy_find(const char *name)
{
	int i;

	for (i = 0; i < GMM_NR_POLICIES; i++)
		if (!strcmp(policy_name[i], name))
			return i;
	return -EINVAL;
}

const char *gmm_policy_name(enum gmm_policy policy)
{
	return policy_name[policy];
}

/**
 * struct choice - one placement while it is made
 * @members: the table
 * @req: what is wanted
 * @kind: of the next host: 0: primary, 1: replica; index of gmm_members::turn
 * @unit: requests per second that one address space makes
 * @nr: so many were chosen
 * @node: these
 */
struct choice {
	struct gmm_members *members;
	const struct gmm_place *req;
	u32 kind;
	u32 unit;
	u32 nr;
	u32 node[GMM_PLACE_MAX];
};

/**
 * struct rank - how good a host is
 * @load: less is better
 * @room: among equals more is better
 * @distance: among equals the next one in turn
 */
struct rank {
	u64 load;
	s64 room;
	u32 distance;
};

static bool better(const struct rank *a, const struct rank *b)
{
	if (a->load != b->load)
		return a->load < b->load;
	if (a->room != b->room)
		return a->room > b->room;
	return a->distance < b->distance;
}

static s64 room(u64 free, u64 capacity, u64 spaces)
{
	s64 charge = min_t(u64, capacity / CHARGE_PART, 1u << 30) + 1;

	return (s64)min_t(u64, free, ROOM_MAX) -
	       charge * (s64)min_t(u64, spaces, CHARGE_COUNT);
}

static s64 room_of(const struct gmm_member *member, u32 kind)
{
	if (kind)
		return room(member->log_free, member->log_capacity,
			    (u64)member->replicas + member->placed_replicas);
	return room(member->free, member->capacity,
		    (u64)member->regions + member->placed);
}

static struct rank rank_of(const struct choice *choice,
			   const struct gmm_member *member)
{
	const struct gmm_members *members = choice->members;
	struct rank rank = {
		/* Of addresses as numbers, around. */
		.distance = member->node - members->turn[choice->kind] - 1,
	};

	switch (members->policy) {
	case GMM_ROUND_ROBIN:
		break;
	case GMM_LEAST_LOAD:
		/* Each kind by itself, or replicas would weigh primaries up. */
		rank.load = DIV_ROUND_CLOSEST((u64)member->load, choice->unit) +
			    (choice->kind ? (u64)member->placed_replicas :
			     member->placed);
		fallthrough;
	default:
		rank.room = room_of(member, choice->kind);
		break;
	}
	return rank;
}

/** gmm_named - is @node one of @nodes? */
bool gmm_named(const __le32 *nodes, u32 nr, u32 node)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (le32_to_cpu(nodes[i]) == node)
			return true;
	return false;
}

static bool fits(const struct choice *choice, const struct gmm_member *member)
{
	const struct gmm_place *req = choice->req;
	u32 i;

	if (!(member->services & (1u << LITE_SVC_MMON)) || member->draining)
		return false;
	if (choice->kind ? !member->log_free : !member->free)
		return false;
	for (i = 0; i < choice->nr; i++)
		if (choice->node[i] == member->node)
			return false;
	return !gmm_named(req->avoid, le32_to_cpu(req->nr_avoid), member->node);
}

static bool choose(struct choice *choice)
{
	struct gmm_members *members = choice->members;
	struct gmm_member *member, *best = NULL;
	struct rank rank, top = {};
	u32 i;

	for (i = 0; i < members->nr; i++) {
		member = &members->member[i];
		if (!fits(choice, member))
			continue;
		rank = rank_of(choice, member);
		if (best && !better(&rank, &top))
			continue;
		best = member;
		top = rank;
	}
	if (!best)
		return false;
	choice->node[choice->nr++] = best->node;
	members->turn[choice->kind] = best->node;
	if (choice->kind)
		best->placed_replicas++;
	else
		best->placed++;
	return true;
}

/* What one address space does on average. */
static u32 load_unit(const struct gmm_members *members)
{
	u64 load = 0, spaces = 0;
	u32 i;

	for (i = 0; i < members->nr; i++) {
		load += members->member[i].load;
		spaces += (u64)members->member[i].regions +
			  members->member[i].replicas;
	}
	load = div64_u64(load, max_t(u64, spaces, 1));
	return clamp_t(u64, load, LOAD_UNIT_MIN, U32_MAX / 2);
}

/** gmm_avoid_valid - hosts to be avoided in a request: what is not used is zero */
bool gmm_avoid_valid(const __le32 *avoid, __le32 nr)
{
	u32 i;

	if (le32_to_cpu(nr) > GMM_AVOID_MAX)
		return false;
	for (i = le32_to_cpu(nr); i < GMM_AVOID_MAX; i++)
		if (avoid[i])
			return false;
	return true;
}

static bool place_valid(const struct lite_request *req)
{
	const struct gmm_place *place = req->body;
	u32 copies;

	if (req->body_len != sizeof(*place) || req->payload_len ||
	    req->nr_direct)
		return false;
	copies = le32_to_cpu(place->copies);
	return copies && copies <= GMM_PLACE_MAX && !place->reserved &&
	       !(le32_to_cpu(place->flags) & ~GMM_PLACE_REPLICAS) &&
	       gmm_avoid_valid(place->avoid, place->nr_avoid);
}

/* A primary first, unless replicas only are wanted, then replicas. */
static void choose_all(struct choice *choice)
{
	u32 copies = le32_to_cpu(choice->req->copies);
	bool primary = !(le32_to_cpu(choice->req->flags) & GMM_PLACE_REPLICAS);

	choice->kind = !primary;
	while (choice->nr < copies && choose(choice))
		choice->kind = 1;
}

/**
 * gmm_place - choose hosts for an address space
 * @members: the table
 * @req: the request
 * @now_ms: the time
 * @placed: result
 *
 * Return: 0; -EBADMSG: malformed; -EAGAIN: too early to tell; -EHOSTDOWN: there is
 * no host for it.
 */
int gmm_place(struct gmm_members *members, const struct lite_request *req,
	      u64 now_ms, struct gmm_placed *placed)
{
	struct choice choice = { .members = members, .req = req->body };
	u32 i;

	if (!place_valid(req)) {
		members->refused++;
		return -EBADMSG;
	}
	if (now_ms - members->start_ms < GMM_SETTLE_MS)
		return -EAGAIN;
	choice.unit = load_unit(members);
	choose_all(&choice);
	if (!choice.nr) {
		members->unplaced++;
		return -EHOSTDOWN;
	}
	members->placements++;
	if (choice.nr < le32_to_cpu(choice.req->copies))
		members->placed_fewer++;
	memset(placed, 0, sizeof(*placed));
	placed->nr = cpu_to_le32(choice.nr);
	for (i = 0; i < choice.nr; i++)
		placed->node[i] = cpu_to_le32(choice.node[i]);
	return 0;
}
