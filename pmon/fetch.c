// SPDX-License-Identifier: GPL-2.0
/*
 * Fetching a line from its home.
 *
 * A page whose location is known and granted is READ, without its home's doing;
 * any other is asked for by request. A READ that fails, or that brings something
 * else than was stored, ends as if it had not been: the index is "stored at the
 * home" again, now without a location, and the fault, repeated, asks the home.
 *
 * The transfer owns the page lock: it is taken by the faulter, and dropped by
 * the completion, which may run in softirq. Whatever arrives is compared with
 * the checksum that was kept when the page was flushed. What does not match is
 * asked for again and never shown to the process.
 */
#include <linux/moduleparam.h>
#include <linux/sched/clock.h>
#include <linux/sched/signal.h>

#include "internal.h"
#include "trace.h"

#define FETCH_RETRIES	8

/* A sleep and a wake-up cost about as much: what takes longer is slept for. */
static unsigned int spin_us = 8;
module_param(spin_us, uint, 0644);
MODULE_PARM_DESC(spin_us, "microseconds up to which a fetch is waited for awake, 0: never");

/* How long fetches take, smoothed. Written without a lock: it is a guess. */
static u64 typical_ns = NSEC_PER_SEC;

static void fetch_timed(struct pmon_line *line)
{
	u64 typical = READ_ONCE(typical_ns);

	if (line->started)
		WRITE_ONCE(typical_ns, typical - typical / 8 +
			   (local_clock() - line->started) / 8);
	line->started = 0;
}

/*
 * pmon_fetch_spin - wait awake for a fetch that was just started
 *
 * Only if most take no longer than spin_us, and no longer than twice that.
 * Context: process, the page referenced. Return: whether the page is unlocked.
 */
bool pmon_fetch_spin(struct page *page)
{
	u64 limit = (u64)READ_ONCE(spin_us) * NSEC_PER_USEC, end;

	if (READ_ONCE(typical_ns) > limit)
		return false;
	end = local_clock() + 2 * limit;
	while (PageLocked(page)) {
		if (need_resched() || fatal_signal_pending(current) ||
		    local_clock() > end)
			return false;
		cpu_relax();
	}
	return true;
}

/*
 * pmon_io_end - end of a transfer into a published line
 * @failed: NULL: the page is filled; else the value entry that takes the
 *	line's place, PMON_ENTRY_STORED for what it was fetched from, or
 *	PMON_ENTRY_ABSENT for none
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
		__xa_store(&space->lines, page->index,
			   pmon_line_entry(line, failed), GFP_NOWAIT);
	xa_unlock_bh(&space->lines);
	if (detached || failed) {
		pmon_line_release(line);
	} else {
		SetPageUptodate(page);
		unlock_page(page);
	}
	pmon_space_put(space);
}

/* ---- by request ---------------------------------------------------------------- */

static void fetch_submit(struct pmon_line *line)
{
	line->call.status = 0;
	lite_call_submit(&line->call);
}

/*
 * Transport errors come here only when the host is given up, or when there is another
 * one to ask; any other answer means that it no longer has the page. Which is as it
 * should be if the page was discarded meanwhile.
 */
static void fetch_failed(struct pmon_line *line, const struct lite_call *call)
{
	struct pmon_region *region = line->region;

	if (READ_ONCE(line->detached)) {
		pmon_io_end(line, PMON_ENTRY_LOST);
	} else if (pmon_holder_suspect(region, call->peer) ||
		   call->status == -ETIMEDOUT) {
		pmon_io_end(line, PMON_ENTRY_STORED);
	} else {
		pmon_region_lose(region);
		pmon_io_end(line, PMON_ENTRY_LOST);
	}
}

static void fetch_done(struct lite_call *call)
{
	struct pmon_line *line = container_of(call, struct pmon_line, call);
	struct pmon_space *space = line->space;

	trace_pmon_fetch(space, line->page->index, call->status);
	if (call->status) {
		fetch_failed(line, call);
		return;
	}
	if (likely(pmon_page_sum(line->page) == line->copy.sum)) {
		fetch_timed(line);
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
	pmon_io_end(line, pmon_holder_suspect(line->region, call->peer) ?
			  PMON_ENTRY_STORED : PMON_ENTRY_LOST);
}

static void fetch_request(struct pmon_line *line)
{
	struct pmon_holder *primary = pmon_region_primary(line->region);

	line->retries = 0;
	line->fetch.head = (struct mmon_fetch){
		.asid = cpu_to_le64(primary->asid),
		.nr = cpu_to_le32(1),
	};
	line->fetch.addr = cpu_to_le64((u64)line->page->index << PAGE_SHIFT);
	line->call = (struct lite_call){
		.peer = primary->peer,
		.timeout_ms = pmon_region_timeout(line->region),
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

/* ---- one-sided ----------------------------------------------------------------- */

/*
 * pmon_read_ended - what a READ brought, for one of its lines
 * @io: the transfer
 * Context: softirq or process; ends the transfer of the line.
 */
void pmon_read_ended(struct pmon_line *line, const struct lite_io *io)
{
	struct pmon_copy copy = line->copy;
	int status = io->status;

	trace_pmon_fetch(line->space, line->page->index, status);
	if (likely(!status) && likely(pmon_page_sum(line->page) == copy.sum)) {
		fetch_timed(line);
		pmon_io_end(line, NULL);
		return;
	}
	if (!status) {
		pmon_count(checksum_errors);
		pmon_count(fetch_retries);
	} else {
		pmon_count(reads_failed);
	}
	if (status == -EREMOTEIO)
		pmon_grant_revoked(line->region, copy.location, io->rkey);
	else if (status == -ETIMEDOUT || status == -EHOSTDOWN)
		pmon_holder_suspect(line->region, io->peer);
	pmon_io_end(line, pmon_entry_remote(pmon_copy_of(copy.sum)));
}

static void read_done(struct lite_io *io)
{
	pmon_read_ended(container_of(io, struct pmon_line, read), io);
}

static void fetch_read(struct pmon_line *line, const struct pmon_reach *reach)
{
	pmon_count(reads);
	line->read = (struct lite_io){
		.peer = pmon_region_home(line->region),
		.timeout_ms = pmon_region_timeout(line->region),
		.remote_addr = reach->addr,
		.rkey = reach->rkey,
		.local = &line->sge,
		.nr_local = 1,
		.done = read_done,
	};
	lite_io_submit(&line->read);
}

/*
 * pmon_fetch_behind - must the home hear of something before it is asked for the page?
 *
 * What it would answer with is an older content at best. Context: process.
 */
bool pmon_fetch_behind(struct pmon_region *region, pgoff_t index)
{
	/*
	 * After the entry that led here: what it depends on was there before it was
	 * stored, under xa_lock.
	 */
	smp_rmb();
	return READ_ONCE(region->changes.moves) || atomic_read(&region->clones) ||
	       pmon_spare_untold(region, index);
}

/*
 * pmon_fetch_start - start to fill a published line
 * @reach: from where, NULL: the home is asked
 *
 * A READ goes to where the page is, whatever its address and whether the home has
 * been told of a move; a request does not (pmon_fetch_behind()). If the grant is gone
 * meanwhile, the READ is refused.
 *
 * The line is page-locked with line->io set; both end in pmon_io_end().
 * Context: process; does not sleep.
 */
void pmon_fetch_start(struct pmon_line *line, const struct pmon_reach *reach)
{
	pmon_space_get(line->space);
	line->sge = pmon_line_sge(line);
	line->started = local_clock();
	if (reach)
		fetch_read(line, reach);
	else
		fetch_request(line);
}
