/* SPDX-License-Identifier: GPL-2.0 */
/* What slab_disk asks of slab_server. */
#ifndef SLAB_WIRE_H
#define SLAB_WIRE_H

#include <linux/build_bug.h>
#include <linux/mm.h>
#include <linux/types.h>

#include "lite_rpc.h"

/* Next to LITE_SVC_TEST, so that lite_bench can be loaded at the same time. */
#define SLAB_SERVICE		13

/*
 * What one memory region of lite_rpc holds, hence one grant. InfiniSwap has 1 GiB
 * for a swap device of a server; ours is a few hundred MiB in a VM.
 */
#define SLAB_PAGES		512U
#define SLAB_BYTES		(SLAB_PAGES * PAGE_SIZE)

enum slab_op {
	SLAB_QUERY,		/* reply: struct slab_free */
	SLAB_MAP,		/* body: struct slab_index; reply: struct slab_grant */
	SLAB_RELEASE,		/* all slabs of the caller */
};

struct slab_free {
	__le32 free;		/* slabs */
};

struct slab_index {
	__le32 index;		/* of the slab in the caller's device */
};

struct slab_grant {
	__le64 addr;
	__le32 rkey;
	__le32 len;
};

static_assert(sizeof(struct slab_free) == 4);
static_assert(sizeof(struct slab_index) == 4);
static_assert(sizeof(struct slab_grant) == 16);

#endif /* SLAB_WIRE_H */
