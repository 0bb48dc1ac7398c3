// SPDX-License-Identifier: GPL-2.0
/*
 * Which checksum pages get: that of the kernel's which is fastest here.
 *
 * Both find what is looked for, a page that is not the one that was stored. What
 * they cost differs by processor: crc32c takes fewer instructions where there is
 * one for it, but in an emulator that one is slow: 37 us a page were seen, and 0.8
 * for xxh64, which only multiplies and rotates. So both are timed at load, as the
 * kernel does with its RAID functions.
 */
#include <linux/highmem.h>
#include <linux/moduleparam.h>
#include <linux/sched/clock.h>

#include "internal.h"
#include "mmon_checksum.h"

#define TRIES	32

static char *checksum = "auto";
module_param(checksum, charp, 0444);
MODULE_PARM_DESC(checksum, "of pages: crc32c, xxh64 or auto: the faster one here (default auto)");

static const char *const names[MMON_NR_CHECKSUMS] = {
	[MMON_CHECKSUM_CRC32C] = "crc32c",
	[MMON_CHECKSUM_XXH64] = "xxh64",
};

static u32 kind;

/* pmon_checksum_kind - enum mmon_checksum; the same until unload */
u32 pmon_checksum_kind(void)
{
	return kind;
}

/* pmon_page_sum - checksum of a page. Context: any. */
u32 pmon_page_sum(struct page *page)
{
	return mmon_checksum(kind, page_address(page));
}

/* The shortest of some tries, for interrupts come in between. */
static u64 time_of(u32 which, const void *page)
{
	u64 start, took, best = U64_MAX;
	unsigned int i;
	u32 sum = 0;

	for (i = 0; i < TRIES; i++) {
		start = local_clock();
		sum ^= mmon_checksum(which, page);
		/* What nobody looks at need not be computed. */
		OPTIMIZER_HIDE_VAR(sum);
		took = local_clock() - start;
		best = min(best, took);
	}
	return best;
}

static int choose(void)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	u64 crc, xxh;

	if (!page)
		return -ENOMEM;
	crc = time_of(MMON_CHECKSUM_CRC32C, page_address(page));
	xxh = time_of(MMON_CHECKSUM_XXH64, page_address(page));
	__free_page(page);
	kind = xxh < crc ? MMON_CHECKSUM_XXH64 : MMON_CHECKSUM_CRC32C;
	pr_info("checksum of a page: crc32c takes %llu ns, xxh64 %llu: %s it is\n",
		crc, xxh, names[kind]);
	return 0;
}

/* pmon_checksum_init - Return: 0; -EINVAL: no such checksum; -ENOMEM. */
int __init pmon_checksum_init(void)
{
	int i;

	if (!strcmp(checksum, "auto"))
		return choose();
	i = match_string(names, MMON_NR_CHECKSUMS, checksum);
	if (i < 0) {
		pr_err("checksum=%s: there are crc32c, xxh64 and auto\n", checksum);
		return -EINVAL;
	}
	kind = i;
	return 0;
}
