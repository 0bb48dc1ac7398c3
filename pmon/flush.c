// SPDX-License-Identifier: GPL-2.0
/*
 * Writing dirty lines back to their home, in batches of one space.
 *
 * While a batch is out its pages stay locked: faulters wait, nothing can write
 * to them (they are unmapped and not pinned), so the checksum taken before
 * sending is the checksum of what arrives.
 */
#include "internal.h"
#include "trace.h"

/*
 * pmon_flush_add - put a page into the batch
 * @line: whose page it is
 * @sge: what to send: the line's page or a copy of it
 * @crc: of what is sent
 */
void pmon_flush_add(struct pmon_flush *flush, struct pmon_line *line,
		    struct lite_sge sge, u32 crc)
{
	unsigned int i = flush->nr++;

	flush->line[i] = line;
	flush->sge[i] = sge;
	flush->crc[i] = crc;
}

static unsigned int flush_build(struct pmon_flush *flush, struct lite_sge *sge)
{
	unsigned int i, n = 0;

	for (i = 0; i < flush->nr; i++) {
		struct pmon_line *line = flush->line[i];

		/*
		 * A detached line's range may be unmapped at the home already:
		 * the discarder detached it before it logged the change, and
		 * the log was delivered just now. One that is detached from
		 * here on is logged after this request has its number.
		 */
		if (READ_ONCE(line->detached))
			continue;
		flush->body.page[n] = (struct mmon_flush_page){
			.addr = cpu_to_le64((u64)line->page->index <<
					    MMON_PAGE_SHIFT),
			.crc = cpu_to_le32(flush->crc[i]),
		};
		sge[n++] = flush->sge[i];
	}
	return n;
}

/*
 * pmon_flush_send - tell the home of pending changes, then send the batch
 *
 * Context: process, stream_lock held; the pages are locked.
 * Return: 0: each page that is still attached is stored; else negative errno.
 */
int pmon_flush_send(struct pmon_flush *flush)
{
	struct pmon_space *space = flush->space;
	struct lite_sge sge[MMON_FLUSH_MAX];
	unsigned int n;
	int ret;

	ret = pmon_stream_sync(space);
	if (ret)
		return ret;
	n = flush_build(flush, sge);
	if (!n)
		return 0;
	flush->body.head.nr = cpu_to_le32(n);
	flush->body.head.reserved = 0;
	ret = pmon_stream_call(space, MMON_OP_FLUSH, &flush->body,
			       offsetof(typeof(flush->body), page[n]), sge, n);
	if (ret) {
		pmon_count(flush_errors);
		return ret;
	}
	pmon_count(flushes);
	pmon_count_n(flushed_pages, n);
	trace_pmon_flush(space, n);
	return 0;
}
