// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that take part in transfers: allocated when the module is loaded, given
 * back when it is unloaded. The frames and the log of replicas lie in such.
 */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "internal.h"

static void free_pages_array(struct mmon_memory *memory)
{
	u32 i;

	for (i = 0; i < memory->nr && memory->page[i]; i++) {
		__free_page(memory->page[i]);
		if (!(i % 1024))
			cond_resched();
	}
	kvfree(memory->page);
	memory->page = NULL;
}

static int alloc_pages_array(struct mmon_memory *memory)
{
	u32 i;

	memory->page = kvcalloc(memory->nr, sizeof(*memory->page), MMON_MEMORY_GFP);
	if (!memory->page)
		return -ENOMEM;
	for (i = 0; i < memory->nr; i++) {
		memory->page[i] = alloc_page(MMON_MEMORY_GFP);
		if (!memory->page[i]) {
			free_pages_array(memory);
			return -ENOMEM;
		}
		if (!(i % 1024))
			cond_resched();
	}
	return 0;
}

static void destroy_regions(struct mmon_memory *memory)
{
	while (memory->nr_regions)
		lite_region_destroy(memory->region[--memory->nr_regions]);
	kfree(memory->region);
	memory->region = NULL;
}

static int create_regions(struct mmon_memory *memory)
{
	struct lite_region *region;
	u32 first, nr;

	memory->region = kcalloc(DIV_ROUND_UP(memory->nr, MMON_REGION_FRAMES),
				 sizeof(*memory->region), GFP_KERNEL);
	if (!memory->region)
		return -ENOMEM;
	for (first = 0; first < memory->nr; first += nr) {
		nr = min(memory->nr - first, MMON_REGION_FRAMES);
		region = lite_region_create(&memory->page[first], nr, 0);
		if (IS_ERR(region)) {
			destroy_regions(memory);
			return PTR_ERR(region);
		}
		memory->region[memory->nr_regions++] = region;
	}
	return 0;
}

/**
 * mmon_memory_create - allocate pages and make them usable for transfers
 * @memory: result
 * @nr: how many
 *
 * Context: process. Return: 0 or negative errno; nothing is left on error.
 */
int mmon_memory_create(struct mmon_memory *memory, u32 nr)
{
	int err;

	memset(memory, 0, sizeof(*memory));
	memory->nr = nr;
	err = alloc_pages_array(memory);
	if (err)
		return err;
	err = create_regions(memory);
	if (err)
		free_pages_array(memory);
	return err;
}

/** mmon_memory_destroy - give the pages back; nobody transfers them any more */
void mmon_memory_destroy(struct mmon_memory *memory)
{
	destroy_regions(memory);
	free_pages_array(memory);
}

/** mmon_memory_data - the 4096 bytes of a page */
void *mmon_memory_data(const struct mmon_memory *memory, u32 index)
{
	return page_address(memory->page[index]);
}

/** mmon_memory_sge - a page as the source of a transfer */
void mmon_memory_sge(const struct mmon_memory *memory, u32 index,
		     struct lite_sge *sge)
{
	sge->region = memory->region[index / MMON_REGION_FRAMES];
	sge->page = index % MMON_REGION_FRAMES;
}
