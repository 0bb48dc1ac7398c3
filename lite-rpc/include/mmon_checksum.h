/* SPDX-License-Identifier: GPL-2.0 */
/* The checksums of a page that a flush may carry (mmon_wire.h). */
#ifndef MMON_CHECKSUM_H
#define MMON_CHECKSUM_H

#include <linux/crc32c.h>
#include <linux/xxhash.h>

#include "mmon_wire.h"

/**
 * mmon_checksum - checksum of a page
 * @kind: a valid enum mmon_checksum
 * @page: MMON_PAGE_SIZE bytes
 * Context: any.
 */
static inline u32 mmon_checksum(u32 kind, const void *page)
{
	if (kind == MMON_CHECKSUM_XXH64)
		return xxh64(page, MMON_PAGE_SIZE, 0);
	return crc32c(~0u, page, MMON_PAGE_SIZE);
}

#endif /* MMON_CHECKSUM_H */
