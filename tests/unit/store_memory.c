// SPDX-License-Identifier: GPL-2.0
/*
 * See store_memory.h.
 */
#include "store_memory.h"

static struct memory_store *of(struct mmon_store *store)
{
	return container_of(store, struct memory_store, store);
}

static struct memory_segment **find(struct memory_store *ms, u64 id)
{
	u32 i;

	for (i = 0; i < ms->nr; i++)
		if (ms->segment[i]->id == id)
			return &ms->segment[i];
	return NULL;
}

static int memory_write(struct mmon_store *store, u64 id,
			const struct mmon_segment_header *header,
			struct page **pages)
{
	struct memory_store *ms = of(store);
	void (*hook)(void) = ms->write_hook;
	struct memory_segment *segment;
	u32 i;

	might_sleep();
	if (ms->fail_writes)
		return ms->fail_writes;
	SHIM_ASSERT(!find(ms, id) && ms->nr < ARRAY_SIZE(ms->segment));
	segment = malloc(sizeof(*segment));
	segment->id = id;
	segment->header = *header;
	for (i = 0; i < MMON_SEGMENT_PAGES; i++)
		memcpy(segment->page[i], page_address(pages[i]), MMON_PAGE_SIZE);
	ms->segment[ms->nr++] = segment;
	ms->write_hook = NULL;
	if (hook)
		hook();
	return 0;
}

static int memory_read(struct mmon_store *store, u64 id, u32 slot,
		       struct mmon_segment_header *header, void *page)
{
	struct memory_store *ms = of(store);
	struct memory_segment **segment = find(ms, id);

	might_sleep();
	SHIM_ASSERT(segment && slot < MMON_SEGMENT_PAGES);
	if (ms->fail_reads)
		return ms->fail_reads;
	*header = (*segment)->header;
	memcpy(page, (*segment)->page[slot], MMON_PAGE_SIZE);
	return 0;
}

static void memory_drop(struct mmon_store *store, u64 id)
{
	struct memory_store *ms = of(store);
	struct memory_segment **segment = find(ms, id);

	might_sleep();
	SHIM_ASSERT(segment);
	free(*segment);
	*segment = ms->segment[--ms->nr];
}

static void memory_destroy(struct mmon_store *store)
{
	struct memory_store *ms = of(store);

	while (ms->nr)
		free(ms->segment[--ms->nr]);
	free(ms);
}

static const struct mmon_store_ops ops = {
	.write = memory_write,
	.read = memory_read,
	.drop = memory_drop,
	.destroy = memory_destroy,
};

struct memory_store *store_memory(void)
{
	struct memory_store *ms = calloc(1, sizeof(*ms));

	ms->store.ops = &ops;
	return ms;
}
