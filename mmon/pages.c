// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that were found, whatever they are in: they stay where they are until they
 * have been sent.
 */
#include <linux/kernel.h>

#include "internal.h"

/** mmon_pages_put - drop the references and pins. Context: any but hard interrupt. */
void mmon_pages_put(struct mmon *m, const struct mmon_pages *pages)
{
	u32 i;

	for (i = 0; i < pages->nr; i++) {
		if (!(pages->found & (1u << i)))
			continue;
		if (pages->frame[i])
			mmon_frame_put(&m->pool, pages->frame[i]);
		else
			mmon_log_unpin(&m->log, pages->place[i].segment);
	}
}

/**
 * mmon_pages_load - read what the store has alone into bounce pages
 * @m: the monitor
 * @pages: what was found
 * @bounce: page i goes to page i of this set
 *
 * Context: process. Return: 0 or negative errno.
 */
int mmon_pages_load(struct mmon *m, const struct mmon_pages *pages, u32 bounce)
{
	struct mmon_log *log = &m->log;
	int err = 0;
	u32 i;

	for (i = 0; !err && i < pages->nr; i++)
		if (pages->stored & (1u << i))
			err = mmon_log_load(log, &pages->place[i], NULL,
					    mmon_memory_data(&log->memory,
							     mmon_bounce_page(log, bounce, i)));
	return err;
}

/**
 * mmon_pages_sge - page @i as the source of a transfer
 * @m: the monitor
 * @pages: what was found
 * @i: which page; if it was not found: zeros
 * @bounce: from mmon_pages_load(), if it had to be
 * @sge: result
 */
void mmon_pages_sge(struct mmon *m, const struct mmon_pages *pages, u32 i,
		    u32 bounce, struct lite_sge *sge)
{
	u32 bit = 1u << i;

	if (pages->stored & bit)
		mmon_memory_sge(&m->log.memory,
				mmon_bounce_page(&m->log, bounce, i), sge);
	else if (!(pages->found & bit) || pages->frame[i])
		mmon_frame_sge(&m->pool, pages->found & bit ? pages->frame[i] :
			       NULL, sge);
	else
		mmon_log_sge(&m->log, &pages->place[i], sge);
}

/** mmon_pages_data - the 4096 bytes of page @i, which was found */
const void *mmon_pages_data(struct mmon *m, const struct mmon_pages *pages, u32 i,
			    u32 bounce)
{
	if (pages->stored & (1u << i))
		return mmon_memory_data(&m->log.memory,
					mmon_bounce_page(&m->log, bounce, i));
	if (pages->frame[i])
		return mmon_frame_data(&m->pool, pages->frame[i]);
	return mmon_log_data(&m->log, &pages->place[i]);
}
