// SPDX-License-Identifier: GPL-2.0
/*
 * What the home of a region has yet to be told about its vma tree.
 *
 * mmap itself costs no message. A range becomes known, and PENDING, at the
 * first fault in it; it is reported when a page of the space is about to be
 * sent. A range that comes and goes without a page being sent is never
 * mentioned at all, so short-lived mappings and short-lived processes cause no
 * traffic.
 *
 * Order: every logged change is older than every PENDING range, because
 * unmapping a range takes it out of the tree again. Taking the log first and
 * the PENDING ranges after it therefore replays history correctly.
 */
#include <linux/slab.h>

#include "internal.h"

#define KNOWN_PENDING	xa_mk_value(1)
#define KNOWN_SYNCED	xa_mk_value(2)
#define CHANGE_GFP	(GFP_KERNEL | __GFP_NOFAIL)

/* Of a clone, @wire has the range and no type. */
struct change {
	struct list_head entry;
	struct mmon_change wire;
	struct pmon_region *clone;
};

void pmon_changes_init(struct pmon_changes *changes)
{
	mutex_init(&changes->lock);
	mt_init_flags(&changes->known, PMON_TREE_FLAGS);
	INIT_LIST_HEAD(&changes->log);
	seqcount_init(&changes->plain_seq);
	changes->plain_first = 1;
}

void pmon_changes_destroy(struct pmon_changes *changes)
{
	struct change *change, *next;

	mtree_destroy(&changes->known);
	list_for_each_entry_safe(change, next, &changes->log, entry)
		kfree(change);
}

static void plain_store(struct pmon_changes *changes, pgoff_t first, pgoff_t last)
{
	lockdep_assert_held(&changes->lock);
	/* Readers must not spin on a writer that was preempted. */
	preempt_disable();
	write_seqcount_begin(&changes->plain_seq);
	changes->plain_first = first;
	changes->plain_last = last;
	write_seqcount_end(&changes->plain_seq);
	preempt_enable();
}

/*
 * pmon_changes_set_plain - remember a range that needs no look-ups
 *
 * Only a hint: not set when somebody else is at work here.
 * Context: mmap_lock held, so that none of it is unmapped or given a backing.
 */
void pmon_changes_set_plain(struct pmon_changes *changes, pgoff_t first,
			    pgoff_t last)
{
	if (!mutex_trylock(&changes->lock))
		return;
	plain_store(changes, first, last);
	mutex_unlock(&changes->lock);
}

/* pmon_changes_forget_plain - something was unmapped, or got a file behind it */
void pmon_changes_forget_plain(struct pmon_changes *changes)
{
	mutex_lock(&changes->lock);
	plain_store(changes, 1, 0);
	mutex_unlock(&changes->lock);
}

static void wire_fill(struct mmon_change *wire, u32 type, pgoff_t first,
		      pgoff_t last, pgoff_t to)
{
	bool maps = type == MMON_MAP || type == MMON_MOVE;

	wire->type = cpu_to_le32(type);
	wire->prot = cpu_to_le32(maps ? MMON_PROT_READ | MMON_PROT_WRITE : 0);
	wire->start = cpu_to_le64((u64)first << MMON_PAGE_SHIFT);
	wire->end = cpu_to_le64((u64)(last + 1) << MMON_PAGE_SHIFT);
	wire->to = cpu_to_le64((u64)to << MMON_PAGE_SHIFT);
}

/* Does the range continue the latest change? Page by page unmapping is common. */
static bool log_extend(struct pmon_changes *changes, u32 type, pgoff_t first,
		       pgoff_t last, struct pmon_region *clone)
{
	u64 start = (u64)first << MMON_PAGE_SHIFT;
	u64 end = (u64)(last + 1) << MMON_PAGE_SHIFT;
	struct change *change;

	if (list_empty(&changes->log))
		return false;
	change = list_last_entry(&changes->log, struct change, entry);
	if (le32_to_cpu(change->wire.type) != type || change->clone != clone)
		return false;
	if (le64_to_cpu(change->wire.end) == start)
		change->wire.end = cpu_to_le64(end);
	else if (le64_to_cpu(change->wire.start) == end)
		change->wire.start = cpu_to_le64(start);
	else
		return false;
	return true;
}

/* False: it was added to the latest change. */
static bool log_any(struct pmon_changes *changes, u32 type, pgoff_t first,
		    pgoff_t last, pgoff_t to, struct pmon_region *clone)
{
	struct change *change;

	lockdep_assert_held(&changes->lock);
	if (type != MMON_MOVE && log_extend(changes, type, first, last, clone))
		return false;
	change = kzalloc(sizeof(*change), CHANGE_GFP);
	wire_fill(&change->wire, type, first, last, to);
	change->clone = clone;
	list_add_tail(&change->entry, &changes->log);
	return true;
}

static void log_add(struct pmon_changes *changes, u32 type, pgoff_t first,
		    pgoff_t last, pgoff_t to)
{
	log_any(changes, type, first, last, to, NULL);
}

static void known_store(struct pmon_changes *changes, pgoff_t first,
			pgoff_t last, void *value)
{
	lockdep_assert_held(&changes->lock);
	/* The maple tree takes no __GFP_NOFAIL; under reclaim it gets there. */
	while (mtree_store_range(&changes->known, first, last, value, GFP_KERNEL))
		cond_resched();
}

static bool any_synced(struct pmon_changes *changes, pgoff_t first, pgoff_t last)
{
	unsigned long index = first;
	void *entry;

	lockdep_assert_held(&changes->lock);
	mt_for_each(&changes->known, entry, index, last)
		if (entry == KNOWN_SYNCED)
			return true;
	return false;
}

/*
 * pmon_changes_known - has a page of this range been touched before?
 * @first, @last: narrowed to the known range around @index
 * Context: mmap_lock held; lockless otherwise.
 */
bool pmon_changes_known(struct pmon_changes *changes, pgoff_t index,
			pgoff_t *first, pgoff_t *last)
{
	MA_STATE(mas, &changes->known, index, index);
	bool known;

	rcu_read_lock();
	known = mas_walk(&mas);
	if (known) {
		*first = max(*first, mas.index);
		*last = min(*last, mas.last);
	}
	rcu_read_unlock();
	return known;
}

/*
 * pmon_changes_know - pages of [@first, @last] may be sent from now on
 *
 * @first, @last: narrowed to the range around @index that is known now
 *
 * Called with the whole VMA around a first fault at @index, so that growth costs
 * one report. Only the unknown gap around @index is stored: what is SYNCED must
 * stay so, for UNMAP and DISCARD are sent for such ranges only.
 */
void pmon_changes_know(struct pmon_changes *changes, pgoff_t index,
		       pgoff_t *first, pgoff_t *last)
{
	MA_STATE(mas, &changes->known, index, index);
	bool known;

	mutex_lock(&changes->lock);
	rcu_read_lock();
	/* Another fault may have been faster. */
	known = mas_walk(&mas);
	/* On the other side of a gap's end there may be another gap. */
	*first = max(*first, mas.index);
	*last = min(*last, mas.last);
	rcu_read_unlock();
	if (!known) {
		known_store(changes, *first, *last, KNOWN_PENDING);
		changes->pending++;
	}
	mutex_unlock(&changes->lock);
}

/* pmon_changes_unmap - the range left the address space */
void pmon_changes_unmap(struct pmon_changes *changes, pgoff_t first, pgoff_t last)
{
	mutex_lock(&changes->lock);
	if (any_synced(changes, first, last))
		log_add(changes, MMON_UNMAP, first, last, 0);
	known_store(changes, first, last, NULL);
	plain_store(changes, 1, 0);
	mutex_unlock(&changes->lock);
}

/* pmon_changes_discard - the home may free its pages of the range */
void pmon_changes_discard(struct pmon_changes *changes, pgoff_t first,
			  pgoff_t last)
{
	mutex_lock(&changes->lock);
	if (any_synced(changes, first, last))
		log_add(changes, MMON_DISCARD, first, last, 0);
	mutex_unlock(&changes->lock);
}

/*
 * pmon_changes_move - mremap moved the range
 * @to: first index of the target, which is unmapped
 * @stored: the home has pages of the range
 *
 * The source stays known: an UNMAP follows unless it stays mapped.
 */
void pmon_changes_move(struct pmon_changes *changes, pgoff_t first, pgoff_t last,
		       pgoff_t to, bool stored)
{
	mutex_lock(&changes->lock);
	if (stored) {
		log_add(changes, MMON_MOVE, first, last, to);
		known_store(changes, to, to + (last - first), KNOWN_SYNCED);
		WRITE_ONCE(changes->moves, true);
	} else {
		known_store(changes, to, to + (last - first), KNOWN_PENDING);
		changes->pending++;
	}
	mutex_unlock(&changes->lock);
}

/*
 * pmon_changes_clone - the home is to clone the range into @child
 * Return: whether that is one more request.
 */
bool pmon_changes_clone(struct pmon_changes *changes, struct pmon_region *child,
			pgoff_t first, pgoff_t last)
{
	bool added;

	mutex_lock(&changes->lock);
	added = log_any(changes, 0, first, last, 0, child);
	mutex_unlock(&changes->lock);
	return added;
}

static void clone_read(const struct change *change, struct pmon_clone *clone)
{
	clone->child = change->clone;
	clone->first = le64_to_cpu(change->wire.start) >> MMON_PAGE_SHIFT;
	clone->last = (le64_to_cpu(change->wire.end) >> MMON_PAGE_SHIFT) - 1;
}

/*
 * pmon_changes_take_clone - strike out one clone
 * @child: for whom; NULL: for anybody
 * Return: whether there was one; it is in @clone.
 */
bool pmon_changes_take_clone(struct pmon_changes *changes,
			     struct pmon_region *child, struct pmon_clone *clone)
{
	struct change *change;
	bool found = false;

	mutex_lock(&changes->lock);
	list_for_each_entry(change, &changes->log, entry) {
		if (!change->clone || (child && change->clone != child))
			continue;
		clone_read(change, clone);
		list_del(&change->entry);
		kfree(change);
		found = true;
		break;
	}
	mutex_unlock(&changes->lock);
	return found;
}

/* pmon_changes_have_clones - is a clone in the log? */
bool pmon_changes_have_clones(struct pmon_changes *changes)
{
	struct change *change;
	bool found = false;

	mutex_lock(&changes->lock);
	list_for_each_entry(change, &changes->log, entry)
		found |= !!change->clone;
	mutex_unlock(&changes->lock);
	return found;
}

/* pmon_changes_told - has the home been told of everything? */
bool pmon_changes_told(struct pmon_changes *changes)
{
	bool ret;

	mutex_lock(&changes->lock);
	ret = list_empty(&changes->log) && !changes->pending;
	mutex_unlock(&changes->lock);
	return ret;
}

/*
 * pmon_changes_inherit - fork: the child knows the ranges that the parent knows
 * @cloned: the range will be cloned at the home, its vmas included; else the
 *	home has to be told of all of it
 *
 * Return: 0 or -ENOMEM.
 */
int pmon_changes_inherit(struct pmon_changes *child, struct pmon_changes *parent,
			 pgoff_t first, pgoff_t last, bool cloned)
{
	MA_STATE(mas, &parent->known, first, first);
	void *entry;
	int ret = 0;

	mutex_lock(&parent->lock);
	mutex_lock_nested(&child->lock, SINGLE_DEPTH_NESTING);
	/* parent->lock keeps the tree still; RCU satisfies the walker. */
	rcu_read_lock();
	mas_for_each(&mas, entry, last) {
		pgoff_t from = max(mas.index, first), to = min(mas.last, last);

		mas_pause(&mas);
		rcu_read_unlock();
		if (!cloned)
			entry = KNOWN_PENDING;
		ret = mtree_store_range(&child->known, from, to, entry, GFP_KERNEL);
		child->pending += entry == KNOWN_PENDING;
		rcu_read_lock();
		if (ret)
			break;
	}
	rcu_read_unlock();
	mutex_unlock(&child->lock);
	mutex_unlock(&parent->lock);
	return ret;
}

/* Next PENDING range at or after *index; marks it SYNCED. */
static bool take_pending(struct pmon_changes *changes, unsigned long *index,
			 struct mmon_change *out)
{
	MA_STATE(mas, &changes->known, *index, *index);
	pgoff_t first, last;
	void *entry;

	rcu_read_lock();
	do {
		entry = mas_find(&mas, ULONG_MAX);
	} while (entry && entry != KNOWN_PENDING);
	first = mas.index;
	last = mas.last;
	rcu_read_unlock();
	if (!entry)
		return false;
	known_store(changes, first, last, KNOWN_SYNCED);
	wire_fill(out, MMON_MAP, first, last, 0);
	*index = last + 1;
	return true;
}

/*
 * pmon_changes_list - ranges that the home knows, from *@index on
 * @index: set to where to go on
 * Return: how many of @max; 0: that was all.
 */
int pmon_changes_list(struct pmon_changes *changes, unsigned long *index,
		      struct mmon_change *out, int max)
{
	MA_STATE(mas, &changes->known, *index, *index);
	void *entry;
	int n = 0;

	mutex_lock(&changes->lock);
	rcu_read_lock();
	mas_for_each(&mas, entry, ULONG_MAX) {
		if (entry != KNOWN_SYNCED)
			continue;
		wire_fill(&out[n], MMON_MAP, max_t(pgoff_t, mas.index, *index),
			  mas.last, 0);
		*index = mas.last + 1;
		if (++n == max)
			break;
	}
	rcu_read_unlock();
	mutex_unlock(&changes->lock);
	return n;
}

/*
 * pmon_changes_take - move up to @max changes into @out, or one clone into @clone
 * @clone: its child is NULL if none was taken
 *
 * The caller must deliver them, in order, before any later ones.
 * Return: how many changes; 0 and no clone when there is nothing left.
 */
int pmon_changes_take(struct pmon_changes *changes, struct mmon_change *out,
		      int max, struct pmon_clone *clone)
{
	struct change *change, *next;
	unsigned long index = 0;
	int n = 0;

	clone->child = NULL;
	mutex_lock(&changes->lock);
	list_for_each_entry_safe(change, next, &changes->log, entry) {
		if (n == max || (n && change->clone))
			goto out;
		if (change->clone)
			clone_read(change, clone);
		else
			out[n++] = change->wire;
		list_del(&change->entry);
		kfree(change);
		if (clone->child)
			goto out;
	}
	if (changes->pending) {
		while (n < max && take_pending(changes, &index, &out[n]))
			n++;
		if (n < max)
			changes->pending = 0;
	}
out:
	/* Whoever takes asks until there is nothing: then all is delivered. */
	if (!n && !clone->child)
		WRITE_ONCE(changes->moves, false);
	mutex_unlock(&changes->lock);
	return n;
}
