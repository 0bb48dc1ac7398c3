/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SHIM_XARRAY_H
#define SHIM_XARRAY_H

#include "../shim.h"

struct shim_slot {
	unsigned long index;
	void *entry;
};

struct xarray {
	size_t nr;
	size_t max;
	struct shim_slot *slot;
};

#define XA_PRESENT		8u
#define xa_init(xa)		memset(xa, 0, sizeof(*(xa)))
#define xa_init_flags(xa, f)	xa_init(xa)
#define xa_empty(xa)		(!(xa)->nr)
#define xa_mk_value(v)		((void *)((unsigned long)(v) << 1 | 1))
#define xa_to_value(e)		((unsigned long)(e) >> 1)
#define xa_is_value(e)		((unsigned long)(e) & 1)
#define xa_tag_pointer(p, tag)	((void *)((unsigned long)(p) | (tag)))
#define xa_untag_pointer(e)	((void *)((unsigned long)(e) & ~3ul))

static inline int xa_err(void *entry)
{
	if (((unsigned long)entry & 3) == 2)
		return (long)entry >> 2;
	return 0;
}

void *xa_load(struct xarray *xa, unsigned long index);
void *xa_store(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *xa_erase(struct xarray *xa, unsigned long index);
int xa_insert(struct xarray *xa, unsigned long index, void *entry, gfp_t gfp);
void *xa_find(struct xarray *xa, unsigned long *index, unsigned long last,
	      unsigned int mark);
void *xa_find_after(struct xarray *xa, unsigned long *index,
		    unsigned long last, unsigned int mark);
void xa_destroy(struct xarray *xa);

#define xa_for_each_range(xa, index, entry, start, last)		\
	for (index = (start),						\
	     entry = xa_find(xa, &(index), last, XA_PRESENT);		\
	     entry;							\
	     entry = xa_find_after(xa, &(index), last, XA_PRESENT))
#define xa_for_each_start(xa, index, entry, start) \
	xa_for_each_range(xa, index, entry, start, ULONG_MAX)
#define xa_for_each(xa, index, entry) xa_for_each_start(xa, index, entry, 0)

#endif /* SHIM_XARRAY_H */
