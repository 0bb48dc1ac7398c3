// SPDX-License-Identifier: GPL-2.0
/*
 * fork: a range of one address space appears in another one, by reference.
 *
 * The child's range becomes an exact copy: what the child had in it goes. All
 * or nothing as in maps.c: the child's new vma array and a slot for each page
 * come first. A child that is created by the request is published complete.
 *
 * The child of a replica is a replica; of one that was promoted, one that was
 * promoted, with what is not rebuilt yet. Records are shared as frames are.
 *
 * Frames of the parent's own chunks are shared like others, and its grants stay:
 * the owner does not write in place any more what it asks to be cloned, and is
 * told where such a page is only when it has flushed it anew. A child has the
 * same owner, so the parent's keys open nothing that is another's.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

struct clone {
	struct mmon_space *parent;
	struct mmon_space *child;
	u64 start;
	u64 end;
	unsigned long first;
	unsigned long last;
};

static void lock_both(struct mmon_space *a, struct mmon_space *b)
{
	if (a->asid > b->asid)
		swap(a, b);
	mutex_lock(&a->lock);
	mutex_lock_nested(&b->lock, SINGLE_DEPTH_NESTING);
}

static void unlock_both(struct mmon_space *a, struct mmon_space *b)
{
	mutex_unlock(&a->lock);
	mutex_unlock(&b->lock);
}

static struct mmon_vmas *clone_vmas(const struct clone *c)
{
	const struct mmon_vmas *from = mmon_space_vmas(c->parent);
	struct mmon_vmas *vmas;

	vmas = mmon_vmas_copy(mmon_space_vmas(c->child),
			      mmon_vmas_count(from, c->start, c->end) + 1);
	if (!vmas)
		return NULL;
	mmon_vmas_clone(vmas, from, c->start, c->end);
	if (vmas->nr > MMON_VMAS_MAX) {
		kvfree(vmas);
		return NULL;
	}
	return vmas;
}

static int reserve(const struct clone *c)
{
	unsigned long index;
	void *entry;
	int err = 0;

	lockdep_assert_held(&c->parent->lock);
	xa_for_each_range(&c->parent->pages, index, entry, c->first, c->last) {
		err = mmon_space_reserve(c->child, index);
		if (err)
			break;
		cond_resched();
	}
	if (err)
		mmon_space_unreserve(c->child, c->first, c->last);
	return err;
}

/* All slots are reserved: nothing here can fail. */
static void share(struct mmon *m, const struct clone *c)
{
	struct mmon_record *record;
	unsigned long index;
	void *entry;

	lockdep_assert_held(&c->parent->lock);
	lockdep_assert_held(&c->child->lock);
	mmon_space_drop(m, c->child, c->first, c->last, true);
	xa_for_each_range(&c->parent->pages, index, entry, c->first, c->last) {
		record = mmon_entry_record(entry);
		if (record) {
			mmon_record_get(&m->log, record);
			c->child->records++;
		} else {
			atomic_inc(&mmon_entry_frame(entry)->maps);
			c->child->frames++;
		}
		xa_store(&c->child->pages, index, entry, GFP_KERNEL);
		cond_resched();
	}
	mmon_space_unreserve(c->child, c->first, c->last);
}

static int apply(struct mmon *m, const struct clone *c, bool created)
{
	struct mmon_vmas *vmas = clone_vmas(c);
	int err;

	if (!vmas)
		return -ENOMEM;
	err = reserve(c);
	if (err) {
		kvfree(vmas);
		return err;
	}
	share(m, c);
	mmon_space_set_vmas(c->child, vmas);
	if (created) {
		c->child->kind = c->parent->kind;
		c->child->feeder = c->parent->feeder;
		err = mmon_space_publish(m, c->child);
	}
	if (err) {
		mmon_space_clear(m, c->child);
		return err;
	}
	c->parent->seq++;
	mmon_rebuild_kick(m, c->child);
	return 0;
}

/* With a referenced parent. Return: -ESTALE or -EEXIST: start over. */
static int clone_into(struct mmon *m, struct clone *c,
		      const struct mmon_owner *owner,
		      const struct mmon_clone *msg)
{
	u64 asid = le64_to_cpu(msg->child);
	bool created = false;
	int ret;

	c->child = mmon_space_get(m, asid);
	if (!c->child) {
		c->child = mmon_space_create(m, asid, owner);
		created = true;
	}
	if (!c->child)
		return -ENOMEM;
	lock_both(c->parent, c->child);
	ret = c->parent->dead ? -ENOENT :
		mmon_space_sequence(c->parent, le64_to_cpu(msg->seq));
	if (!ret && !mmon_space_owned(c->child, owner))
		ret = -EPERM;
	if (!ret && c->child->dead)
		ret = -ESTALE;
	if (!ret)
		ret = apply(m, c, created);
	unlock_both(c->parent, c->child);
	mmon_space_put(c->child);
	return ret;
}

/**
 * mmon_clone - share a range of one space with another
 * @m: the monitor
 * @owner: who asks
 * @msg: checked by the caller
 *
 * Return: 0; 1: a repeat; negative errno: nothing was changed.
 */
int mmon_clone(struct mmon *m, const struct mmon_owner *owner,
	       const struct mmon_clone *msg)
{
	struct clone c = {
		.start = le64_to_cpu(msg->start),
		.end = le64_to_cpu(msg->end),
	};
	int ret;

	c.first = c.start >> MMON_PAGE_SHIFT;
	c.last = (c.end >> MMON_PAGE_SHIFT) - 1;
	do {
		c.parent = mmon_space_get(m, le64_to_cpu(msg->asid));
		if (!c.parent)
			return -ENOENT;
		ret = -EPERM;
		if (mmon_space_owned(c.parent, owner))
			ret = clone_into(m, &c, owner, msg);
		mmon_space_put(c.parent);
	} while (ret == -ESTALE || ret == -EEXIST);
	return ret;
}
