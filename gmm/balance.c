// SPDX-License-Identifier: GPL-2.0
/*
 * Whether a memory host holds more than its share, and where some of that shall go.
 * Pure.
 *
 * A host's share is the part of all frames in use that corresponds to its part of all
 * frames there are. Hosts that are being drained do not count: they are emptied
 * otherwise. Hosts are uneven when one is over its share, or under it, by more than a
 * quarter. To look at both is necessary: a host that joins nine full ones is empty, and
 * none of the nine is a quarter over.
 *
 * Moves end where they are of no use, and never swing back: what moves is at most half of
 * what giver and receiver differ by, so that the giver stays the fuller one, and
 * what is left within a quarter is left alone.
 *
 * Reports are a second old, and a region takes seconds or minutes to move. So what was
 * granted counts as gone at the giver, and as there at the receiver, until who moves
 * it says that it has ended and a little longer, or for GMM_MOVE_MS. Counted
 * twice for a moment it only keeps others from moving. Each asker has one move at most.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/string.h>

#include "internal.h"

#define FRAMES_MAX	BIT_ULL(34)	/* of a host: 64 TiB; more is counted as that */
#define PRECISION	BIT_ULL(24)	/* so that FRAMES_MAX times it fits 64 bits */
#define UNEVEN_PART	4		/* of a share */
#define NOISE_PART	32		/* of a host's frames: less is not worth it */

/** struct totals - of all hosts that count */
struct totals {
	u64 used;
	u64 capacity;
};

static bool counts(const struct gmm_member *member)
{
	return member->services & (1u << LITE_SVC_MMON) && !member->draining &&
	       member->capacity;
}

static u64 capacity_of(const struct gmm_member *member)
{
	return min_t(u64, member->capacity, FRAMES_MAX);
}

static u64 used_of(const struct gmm_member *member)
{
	return capacity_of(member) - min_t(u64, member->free, capacity_of(member));
}

static struct totals total(const struct gmm_members *members)
{
	struct totals totals = {};
	u32 i;

	for (i = 0; i < members->nr; i++) {
		if (!counts(&members->member[i]))
			continue;
		totals.used += used_of(&members->member[i]);
		totals.capacity += capacity_of(&members->member[i]);
	}
	return totals;
}

static u64 share_of(struct totals totals, const struct gmm_member *member)
{
	while (totals.capacity >= PRECISION) {
		totals.capacity >>= 1;
		totals.used >>= 1;
	}
	return div64_u64(capacity_of(member) * totals.used,
			 max_t(u64, totals.capacity, 1));
}

static bool live(const struct gmm_move *move, u64 now_ms)
{
	return now_ms < move->until_ms;
}

/* Frames that are on their way from @node, or with @to, to it. */
static u64 on_their_way(const struct gmm_members *members, u32 node, bool to,
			u64 now_ms)
{
	const struct gmm_move *move;
	u64 pages = 0;
	u32 i;

	for (i = 0; i < GMM_MOVES_MAX; i++) {
		move = &members->move[i];
		if (live(move, now_ms) && (to ? move->to : move->from) == node)
			pages += move->pages;
	}
	return pages;
}

/** struct pair - a giver and a receiver: how far they are from their shares */
struct pair {
	u64 over;
	u64 over_share;
	u64 under;
	u64 under_share;
};

static void weigh_giver(const struct gmm_members *members, struct totals totals,
			const struct gmm_member *giver, u64 now_ms,
			struct pair *pair)
{
	u64 used = used_of(giver);

	used -= min(used, on_their_way(members, giver->node, false, now_ms));
	pair->over_share = share_of(totals, giver);
	pair->over = used - min(used, pair->over_share);
}

static void weigh_receiver(const struct gmm_members *members,
			   struct totals totals,
			   const struct gmm_member *receiver, u64 now_ms,
			   struct pair *pair)
{
	u64 used = used_of(receiver) +
		   on_their_way(members, receiver->node, true, now_ms);

	pair->under_share = share_of(totals, receiver);
	pair->under = pair->under_share - min(used, pair->under_share);
}

/* Return: frames that may go from one to the other; 0: they are even enough. */
static u64 may_move(const struct pair *pair, const struct gmm_member *giver)
{
	u64 apart = pair->over + pair->under;

	if (!pair->over || !pair->under)
		return 0;
	if (pair->over <= pair->over_share / UNEVEN_PART &&
	    pair->under <= pair->under_share / UNEVEN_PART)
		return 0;
	return apart > capacity_of(giver) / NOISE_PART ? apart / 2 : 0;
}

/*
 * The host that lacks most to its share, other than @req names.
 * Return: NULL: none lacks anything.
 */
static const struct gmm_member *emptiest(const struct gmm_members *members,
					 struct totals totals,
					 const struct gmm_balance *req,
					 u64 now_ms, struct pair *pair)
{
	const struct gmm_member *member, *best = NULL;
	struct pair here;
	u32 i;

	for (i = 0; i < members->nr; i++) {
		member = &members->member[i];
		if (!counts(member) ||
		    (req && gmm_named(req->avoid, le32_to_cpu(req->nr_avoid),
				      member->node)))
			continue;
		weigh_receiver(members, totals, member, now_ms, &here);
		if (!here.under || (best && here.under <= pair->under))
			continue;
		best = member;
		pair->under = here.under;
		pair->under_share = here.under_share;
	}
	return best;
}

static bool crowded(const struct gmm_members *members, struct totals totals,
		    const struct gmm_member *giver, u64 now_ms,
		    struct pair *pair)
{
	if (!counts(giver) || !giver->regions)
		return false;
	weigh_giver(members, totals, giver, now_ms, pair);
	/* Of what it has, one region at least must be of a size that may move. */
	return may_move(pair, giver) >= used_of(giver) / giver->regions + 1;
}

/**
 * gmm_balance_mark - say of each host whether something of it should move
 * @members: the table
 * @now_ms: the time
 * @hosts: their rows of the list, in the order of the table; GMM_HOST_CROWDED is set
 */
void gmm_balance_mark(const struct gmm_members *members, u64 now_ms,
		      struct gmm_hosts *hosts)
{
	struct totals totals = total(members);
	struct pair pair;
	u32 i;

	if (!members->rebalance || now_ms - members->start_ms < GMM_SETTLE_MS ||
	    !emptiest(members, totals, NULL, now_ms, &pair))
		return;
	for (i = 0; i < members->nr; i++)
		if (crowded(members, totals, &members->member[i], now_ms, &pair))
			hosts->host[i].flags |= cpu_to_le16(GMM_HOST_CROWDED);
}

/* ---- requests ---------------------------------------------------------------------- */

static bool balance_valid(const struct lite_request *req)
{
	const struct gmm_balance *body = req->body;

	if (req->body_len != sizeof(*body) || req->payload_len ||
	    req->nr_direct)
		return false;
	if (!body->from && (body->nr_avoid || body->pages))
		return false;
	return gmm_avoid_valid(body->avoid, body->nr_avoid);
}

/* The asker's move, or one that is over; NULL: there are too many. */
static struct gmm_move *move_of(struct gmm_members *members, u32 owner,
				u64 now_ms)
{
	struct gmm_move *move, *unused = NULL;
	u32 i;

	for (i = 0; i < GMM_MOVES_MAX; i++) {
		move = &members->move[i];
		if (!live(move, now_ms))
			unused = unused ?: move;
		else if (move->owner == owner)
			return move;
	}
	return unused;
}

/* What it moved shows in the next reports. */
static void move_ended(struct gmm_move *move, u32 owner, u64 now_ms)
{
	if (!move || !live(move, now_ms) || move->owner != owner)
		return;
	move->ended = true;
	move->until_ms = min(move->until_ms, now_ms + GMM_MOVE_SETTLE_MS);
}

/*
 * The question came before, and the yes has not arrived: who asks has one move at most, and
 * would have told of its end.
 */
static bool is_repeat(const struct gmm_move *move, const struct gmm_balance *body)
{
	return !move->ended && move->asid == le64_to_cpu(body->asid) &&
	       move->pages == le64_to_cpu(body->pages) &&
	       move->from == le32_to_cpu(body->from);
}

static void decide(struct gmm_members *members, const struct lite_request *req,
		   u64 now_ms, struct gmm_balanced *balanced)
{
	const struct gmm_balance *body = req->body;
	u32 from = le32_to_cpu(body->from);
	const struct gmm_member *giver = gmm_members_find(members, from), *to;
	struct gmm_move *move = move_of(members, req->node, now_ms);
	struct totals totals = total(members);
	struct pair pair;
	u64 most;

	if (move && live(move, now_ms) && is_repeat(move, body))
		move->until_ms = 0;
	if (!giver || !move || live(move, now_ms))
		return;
	to = emptiest(members, totals, body, now_ms, &pair);
	if (!to || to == giver || !crowded(members, totals, giver, now_ms, &pair))
		return;
	most = min(may_move(&pair, giver), to->free);
	balanced->pages = cpu_to_le64(most);
	if (le64_to_cpu(body->pages) > most)
		return;
	*move = (struct gmm_move){
		.until_ms = now_ms + GMM_MOVE_MS,
		.pages = le64_to_cpu(body->pages),
		.asid = le64_to_cpu(body->asid),
		.owner = req->node,
		.from = from,
		.to = to->node,
	};
	balanced->node = cpu_to_le32(to->node);
	members->moves++;
}

/**
 * gmm_balance - may a region move, and where?
 * @members: the table
 * @req: the request
 * @now_ms: the time
 * @balanced: result
 *
 * Return: 0; -EBADMSG: malformed; -EAGAIN: too early to tell.
 */
int gmm_balance(struct gmm_members *members, const struct lite_request *req,
		u64 now_ms, struct gmm_balanced *balanced)
{
	const struct gmm_balance *body = req->body;

	memset(balanced, 0, sizeof(*balanced));
	if (!balance_valid(req)) {
		members->refused++;
		return -EBADMSG;
	}
	if (!body->from) {
		move_ended(move_of(members, req->node, now_ms), req->node,
			   now_ms);
		return 0;
	}
	if (now_ms - members->start_ms < GMM_SETTLE_MS)
		return -EAGAIN;
	if (members->rebalance)
		decide(members, req, now_ms, balanced);
	return 0;
}
