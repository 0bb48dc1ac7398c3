// SPDX-License-Identifier: GPL-2.0
/*
 * An XArray that is a sorted array. Storing into an empty slot needs memory
 * and can fail; replacing or erasing an entry does not. That is what the real
 * one promises, and all it promises.
 */
#include <linux/xarray.h>

static size_t position(const struct xarray *xa, unsigned long index)
{
	size_t lo = 0, hi = xa->nr, mid;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (xa->slot[mid].index >= index)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}

static struct shim_slot *slot(const struct xarray *xa, unsigned long index)
{
	size_t at = position(xa, index);

	if (at == xa->nr || xa->slot[at].index != index)
		return NULL;
	return &xa->slot[at];
}

void *xa_load(struct xarray *xa, unsigned long index)
{
	struct shim_slot *s = slot(xa, index);

	return s ? s->entry : NULL;
}

static void add(struct xarray *xa, unsigned long index, void *entry)
{
	size_t at = position(xa, index);

	if (xa->nr == xa->max) {
		xa->max = xa->max ? 2 * xa->max : 16;
		xa->slot = realloc(xa->slot, xa->max * sizeof(*xa->slot));
		SHIM_ASSERT(xa->slot);
	}
	memmove(&xa->slot[at + 1], &xa->slot[at],
		(xa->nr - at) * sizeof(*xa->slot));
	xa->slot[at] = (struct shim_slot){ index, entry };
	xa->nr++;
}

static void del(struct xarray *xa, struct shim_slot *s)
{
	memmove(s, s + 1, (xa->slot + xa->nr - (s + 1)) * sizeof(*s));
	if (!--xa->nr)
		xa_destroy(xa);
}

static void check_entry(void *entry)
{
	SHIM_ASSERT(xa_is_value(entry) || !((unsigned long)entry & 3));
}

void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	struct shim_slot *s = slot(xa, index);
	void *old = s ? s->entry : NULL;

	check_entry(entry);
	if (entry && !(gfp & GFP_ATOMIC))
		might_sleep();
	if (!s && entry && shim_alloc_fails(gfp))
		return (void *)((unsigned long)-ENOMEM << 2 | 2);
	if (s && entry)
		s->entry = entry;
	else if (s)
		del(xa, s);
	else if (entry)
		add(xa, index, entry);
	return old;
}

void *xa_erase(struct xarray *xa, unsigned long index)
{
	return xa_store(xa, index, NULL, 0);
}

int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp)
{
	if (slot(xa, index))
		return -EBUSY;
	return xa_err(xa_store(xa, index, entry, gfp));
}

void *xa_find(struct xarray *xa, unsigned long *index, unsigned long last,
	      unsigned int mark)
{
	size_t at = position(xa, *index);

	SHIM_ASSERT(mark == XA_PRESENT);
	if (at == xa->nr || xa->slot[at].index > last)
		return NULL;
	*index = xa->slot[at].index;
	return xa->slot[at].entry;
}

void *xa_find_after(struct xarray *xa, unsigned long *index,
		    unsigned long last, unsigned int mark)
{
	unsigned long next = *index + 1;
	void *entry;

	if (!next)
		return NULL;
	entry = xa_find(xa, &next, last, mark);
	if (entry)
		*index = next;
	return entry;
}

void xa_destroy(struct xarray *xa)
{
	free(xa->slot);
	xa_init(xa);
}
