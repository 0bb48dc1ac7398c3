// SPDX-License-Identifier: GPL-2.0
/*
 * The vmas of a space as a sorted array. No locks, no side effects.
 *
 * An array and not a tree: a request brings up to 64 changes and must be all or
 * nothing, which copying gives for one allocation, while undoing stores into a
 * tree needs memory itself. The processor reports ranges, not every mmap, so a
 * space has tens of vmas, at worst a few thousand; copying a thousand of them
 * costs as much as sending one page.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "internal.h"

/* First vma that ends behind @addr. */
static u32 first_behind(const struct mmon_vmas *vmas, u64 addr)
{
	u32 lo = 0, hi = vmas->nr, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (vmas->vma[mid].end > addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/* First vma that starts at @addr or behind. */
static u32 first_from(const struct mmon_vmas *vmas, u64 addr)
{
	u32 lo = 0, hi = vmas->nr, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (vmas->vma[mid].start >= addr)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

/**
 * mmon_vmas_copy - a copy that can be changed
 * @old: may be NULL
 * @changes: how often mmon_vmas_set() will be called on the copy
 *
 * Return: the copy, to be freed by kvfree(), or NULL.
 */
struct mmon_vmas *mmon_vmas_copy(const struct mmon_vmas *old, u32 changes)
{
	u32 nr = old ? old->nr : 0;
	u32 max = nr + 2 * changes;	/* a change splits one vma into three */
	struct mmon_vmas *copy;

	copy = kvmalloc(struct_size(copy, vma, max), GFP_KERNEL | __GFP_NOWARN);
	if (!copy)
		return NULL;
	copy->nr = nr;
	copy->max = max;
	if (nr)
		memcpy(copy->vma, old->vma, nr * sizeof(copy->vma[0]));
	return copy;
}

/* Append to the up to three vmas that replace a range. */
static void append(struct mmon_vma *list, u32 *nr, u64 start, u64 end, u32 prot)
{
	struct mmon_vma *last = *nr ? &list[*nr - 1] : NULL;

	if (last && last->end == start && last->prot == prot)
		last->end = end;
	else
		list[(*nr)++] = (struct mmon_vma){ start, end, prot };
}

/* Replace vmas [@lo, @hi) by @nr others. */
static void splice(struct mmon_vmas *vmas, u32 lo, u32 hi,
		   const struct mmon_vma *by, u32 nr)
{
	if (WARN_ON_ONCE(vmas->nr - (hi - lo) + nr > vmas->max))
		return;
	memmove(&vmas->vma[lo + nr], &vmas->vma[hi],
		(vmas->nr - hi) * sizeof(vmas->vma[0]));
	memcpy(&vmas->vma[lo], by, nr * sizeof(vmas->vma[0]));
	vmas->nr += nr - (hi - lo);
}

/**
 * mmon_vmas_set - make [@start, @end) one vma, or none
 * @vmas: a copy nobody else sees, with room
 * @start: first address
 * @end: address behind the last
 * @prot: MMON_PROT_* or MMON_UNMAPPED
 */
void mmon_vmas_set(struct mmon_vmas *vmas, u64 start, u64 end, int prot)
{
	u32 lo = first_behind(vmas, start), hi = first_from(vmas, end), nr = 0;
	struct mmon_vma by[3], *v = vmas->vma;

	if (lo < hi && v[lo].start < start)
		append(by, &nr, v[lo].start, start, v[lo].prot);
	if (prot != MMON_UNMAPPED)
		append(by, &nr, start, end, prot);
	if (lo < hi && v[hi - 1].end > end)
		append(by, &nr, end, v[hi - 1].end, v[hi - 1].prot);

	if (nr && lo > 0 && v[lo - 1].end == by[0].start &&
	    v[lo - 1].prot == by[0].prot)
		by[0].start = v[--lo].start;
	if (nr && hi < vmas->nr && v[hi].start == by[nr - 1].end &&
	    v[hi].prot == by[nr - 1].prot)
		by[nr - 1].end = v[hi++].end;
	splice(vmas, lo, hi, by, nr);
}

/** mmon_vmas_count - vmas that overlap [@start, @end) */
u32 mmon_vmas_count(const struct mmon_vmas *vmas, u64 start, u64 end)
{
	if (!vmas)
		return 0;
	return first_from(vmas, end) - first_behind(vmas, start);
}

/**
 * mmon_vmas_clone - make [@start, @end) of @to look as in @from
 * @to: a copy with room for mmon_vmas_count() + 1 changes
 * @from: may be NULL
 * @start: first address
 * @end: address behind the last
 */
void mmon_vmas_clone(struct mmon_vmas *to, const struct mmon_vmas *from,
		     u64 start, u64 end)
{
	const struct mmon_vma *v;
	u32 i;

	mmon_vmas_set(to, start, end, MMON_UNMAPPED);
	if (!from)
		return;
	for (i = first_behind(from, start); i < from->nr; i++) {
		v = &from->vma[i];
		if (v->start >= end)
			break;
		mmon_vmas_set(to, max(v->start, start), min(v->end, end), v->prot);
	}
}

/**
 * mmon_vmas_check - may the page at @addr be accessed?
 * @vmas: may be NULL
 * @addr: page address
 * @prot: what is wanted, MMON_PROT_*
 *
 * Return: 0, -EFAULT outside every vma, -EACCES if the vma does not permit it.
 */
int mmon_vmas_check(const struct mmon_vmas *vmas, u64 addr, u32 prot)
{
	u32 i;

	if (!vmas)
		return -EFAULT;
	i = first_behind(vmas, addr);
	if (i == vmas->nr || vmas->vma[i].start > addr)
		return -EFAULT;
	return (vmas->vma[i].prot & prot) == prot ? 0 : -EACCES;
}
