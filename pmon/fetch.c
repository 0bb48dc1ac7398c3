// SPDX-License-Identifier: GPL-2.0
/*
 * Fetching a line from its home.
 *
 * The transfer owns the page lock: it is taken by the faulter, and dropped by
 * the completion, which may run in softirq. Whatever arrives is compared with
 * the checksum that was kept when the page was flushed. What does not match is
 * asked for again and never shown to the process.
 */
#include <linux/crc32c.h>
#include <linux/highmem.h>

#include "internal.h"
#include "trace.h"

#define FETCH_RETRIES	8

/* pmon_page_crc - crc32c of a page, seed ~0, not inverted (mmon_wire.h) */
u32 pmon_page_crc(struct page *page)
{
	return crc32c(~0u, page_address(page), PAGE_SIZE);
}

/*
 * pmon_io_end - end of a transfer into a published line
 * @failed: NULL: the page is filled; else the value entry that takes the
 *	line's place, or PMON_ENTRY_ABSENT for none
 *
 * Unlocks the page and drops the transfer's reference to the space.
 * Context: process or softirq.
 */
void pmon_io_end(struct pmon_line *line, void *failed)
{
	struct pmon_space *space = line->space;
	struct page *page = line->page;
	bool detached;

	xa_lock_bh(&space->lines);
	line->io = false;
	detached = line->detached;
	/* Replaces an entry that is there: allocates nothing. */
	if (failed == PMON_ENTRY_ABSENT && !detached)
		__xa_erase(&space->lines, page->index);
	else if (failed && !detached)
		__xa_store(&space->lines, page->index, failed, GFP_NOWAIT);
	xa_unlock_bh(&space->lines);
	if (detached || failed) {
		pmon_line_release(line);
	} else {
		SetPageUptodate(page);
		unlock_page(page);
	}
	pmon_space_put(space);
}

static void fetch_submit(struct pmon_line *line)
{
	line->call.status = 0;
	lite_call_submit(&line->call);
}

static void fetch_done(struct lite_call *call)
{
	struct pmon_line *line = container_of(call, struct pmon_line, call);
	struct pmon_space *space = line->space;

	trace_pmon_fetch(space, line->page->index, call->status);
	if (call->status) {
		/*
		 * Transport errors come here only when the host is given up;
		 * any other answer means that it no longer has the page. Which
		 * is as it should be if the page was discarded meanwhile.
		 */
		if (!READ_ONCE(line->detached))
			pmon_space_lose(space);
		pmon_io_end(line, PMON_ENTRY_LOST);
		return;
	}
	if (likely(pmon_page_crc(line->page) == line->crc)) {
		pmon_io_end(line, NULL);
		return;
	}
	pmon_count(checksum_errors);
	if (line->retries++ < FETCH_RETRIES && !READ_ONCE(line->detached)) {
		pmon_count(fetch_retries);
		fetch_submit(line);
		return;
	}
	pr_err_ratelimited("%s[%d]: page %lx of address space %llx came back with wrong content %d times\n",
			   space->comm, space->pid,
			   line->page->index << PAGE_SHIFT, space->asid,
			   line->retries);
	pmon_io_end(line, PMON_ENTRY_LOST);
}

/*
 * pmon_fetch_start - start to fill a published line
 *
 * The line is page-locked with line->io set; both end in pmon_io_end().
 * Context: process; does not sleep.
 */
void pmon_fetch_start(struct pmon_line *line)
{
	struct pmon_space *space = line->space;

	pmon_space_get(space);
	line->retries = 0;
	line->sge = pmon_line_sge(line);
	line->fetch.head = (struct mmon_fetch){
		.asid = cpu_to_le64(space->asid),
		.nr = cpu_to_le32(1),
	};
	line->fetch.addr = cpu_to_le64((u64)line->page->index << PAGE_SHIFT);
	line->call = (struct lite_call){
		.peer = space->home,
		.service = LITE_SVC_MMON,
		.op = MMON_OP_FETCH,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = &line->fetch,
		.req_len = sizeof(line->fetch),
		.direct = &line->sge,
		.nr_direct = 1,
		.done = fetch_done,
	};
	fetch_submit(line);
}
