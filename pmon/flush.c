// SPDX-License-Identifier: GPL-2.0
/*
 * Writing dirty lines back to their home, in batches of one region.
 *
 * A page whose frame at the home is granted, and not promised to a child of a
 * fork, is written there in place, one-sided; one that has no such frame into a spare
 * one, of which the home is told later (spare.c). The rest goes by request, for
 * which the home takes fresh frames and tells where they are. While a batch is out
 * its pages stay locked: faulters wait, nothing can write to them (they are
 * unmapped and not pinned), so the checksum taken before sending is the checksum of
 * what arrives.
 *
 * Writes end before the request, or anything else of the stream, is sent: the home
 * must not free, move or clone a frame that is being written. A write that failed
 * may have left anything there; its page goes with the request. That uses the
 * bulk lane, as the write did, and the home serves a new connection of a lane only
 * when nothing of the old one runs, so that no late packet of the write can hit a
 * frame that the request has freed.
 */
#include "internal.h"
#include "trace.h"

/*
 * pmon_flush_add - put a page into the batch
 * @line: whose page it is
 * @sge: what to send: the line's page or a copy of it
 * @sum: of what is sent
 */
void pmon_flush_add(struct pmon_flush *flush, struct pmon_line *line,
		    struct lite_sge sge, u32 sum)
{
	unsigned int i = flush->nr++;

	flush->line[i] = line;
	flush->sge[i] = sge;
	flush->sum[i] = sum;
	flush->err[i] = -EBUSY;
}

/* ---- a request --------------------------------------------------------------------- */

/*
 * As many as go into one, from *@next on: what is not stored, or, for the
 * secondaries, what the primary gets one-sided.
 */
static unsigned int request_build(struct pmon_flush *flush, unsigned int *next,
				  struct lite_sge *sge, u8 *which,
				  bool secondaries)
{
	unsigned int i, n = 0;

	while (*next < flush->nr && n < MMON_FLUSH_MAX) {
		struct pmon_line *line;

		i = (*next)++;
		line = flush->line[i];

		if (secondaries ? !flush->one_sided[i] : !flush->err[i])
			continue;
		/*
		 * A detached line's range may be unmapped at the home already:
		 * the discarder detached it before it logged the change, and
		 * the log was delivered just now. One that is detached from
		 * here on is logged after this request has its number.
		 */
		if (READ_ONCE(line->detached)) {
			if (!secondaries)
				flush->err[i] = 0;
			continue;
		}
		flush->body.page[n] = (struct mmon_flush_page){
			.addr = cpu_to_le64((u64)line->page->index <<
					    MMON_PAGE_SHIFT),
			.sum = cpu_to_le32(flush->sum[i]),
		};
		which[n] = i;
		sge[n++] = flush->sge[i];
	}
	return n;
}

static struct pmon_message request_message(struct pmon_flush *flush,
					   const struct lite_sge *sge,
					   unsigned int n)
{
	flush->body.head.nr = cpu_to_le32(n);
	flush->body.head.checksum = cpu_to_le32(pmon_checksum_kind());
	return (struct pmon_message){
		.op = MMON_OP_FLUSH,
		.body = &flush->body,
		.len = offsetof(typeof(flush->body), page[n]),
		.payload = sge,
		.nr_payload = n,
		.reply = &flush->reply,
		.reply_size = sizeof(flush->reply_space),
	};
}

/*
 * The secondaries get by request what the primary gets one-sided, meanwhile. One that
 * does not take it is no secondary any more.
 */
static void replicate(struct pmon_flush *flush)
{
	struct lite_sge sge[MMON_FLUSH_MAX];
	struct pmon_message message;
	u8 which[MMON_FLUSH_MAX];
	unsigned int n, next = 0;

	if (!pmon_region_replicated(flush->region))
		return;
	while ((n = request_build(flush, &next, sge, which, true))) {
		message = request_message(flush, sge, n);
		message.whom = PMON_TO_SECONDARIES;
		pmon_stream_call(flush->region, &message);
	}
}

/* ---- one-sided ----------------------------------------------------------------- */

static void writes_put(struct pmon_flush *flush)
{
	if (atomic_dec_and_test(&flush->writing))
		complete(&flush->written);
}

static void write_done(struct lite_io *io)
{
	struct pmon_write *write = container_of(io, struct pmon_write, io);
	struct pmon_flush *flush = write->flush;
	unsigned int i, first = io->local - flush->sge;

	for (i = first; i < first + io->nr_local; i++)
		flush->err[i] = io->status;
	if (io->status)
		pmon_count(writes_failed);
	if (io->status == -EREMOTEIO)
		pmon_grant_revoked(flush->region, flush->location[first],
				   io->rkey);
	else if (io->status == -ETIMEDOUT || io->status == -EHOSTDOWN)
		pmon_holder_suspect(flush->region, io->peer);
	writes_put(flush);
}

/* May page @i be written over its copy at the home, and where? */
static bool may_write(struct pmon_flush *flush, unsigned int i,
		      struct pmon_reach *reach)
{
	struct pmon_line *line = flush->line[i];

	return line->copy.in_place && !READ_ONCE(line->detached) &&
	       pmon_grant_find(flush->region, line->copy.location, reach);
}

/* Pages that need another place at the home. */
static unsigned int count_homeless(struct pmon_flush *flush)
{
	struct pmon_reach reach;
	unsigned int i, n = 0;

	for (i = 0; i < flush->nr; i++)
		n += !READ_ONCE(flush->line[i]->detached) &&
		     !may_write(flush, i, &reach);
	return n;
}

/* Where page @i is to be written: over its copy, or into a spare frame. */
static bool place(struct pmon_flush *flush, unsigned int i, bool spares,
		  struct pmon_reach *reach)
{
	u32 location;

	flush->spare[i] = false;
	flush->location[i] = flush->line[i]->copy.location;
	if (may_write(flush, i, reach))
		return true;
	if (!spares || READ_ONCE(flush->line[i]->detached))
		return false;
	do {
		location = pmon_spare_take(flush->region);
	} while (location && !pmon_grant_find(flush->region, location, reach));
	flush->spare[i] = location;
	flush->location[i] = location;
	return location;
}

/*
 * One WRITE for each run of pages that are neighbours at the home, of at most
 * LITE_DIRECT_MAX. Returns how many.
 */
static unsigned int write_build(struct pmon_flush *flush, bool spares)
{
	struct pmon_reach reach, before = { 0 };
	struct pmon_write *write = NULL;
	unsigned int i, nr = 0;

	for (i = 0; i < flush->nr; i++) {
		flush->one_sided[i] = place(flush, i, spares, &reach);
		if (!flush->one_sided[i]) {
			write = NULL;
			continue;
		}
		if (write && pmon_reach_follows(&reach, &before) &&
		    write->io.nr_local < LITE_DIRECT_MAX) {
			write->io.nr_local++;
		} else {
			write = &flush->write[nr++];
			write->flush = flush;
			write->io = (struct lite_io){
				.peer = flush->region->primary->peer,
				.write = true,
				.remote_addr = reach.addr,
				.rkey = reach.rkey,
				.local = &flush->sge[i],
				.nr_local = 1,
				.timeout_ms = pmon_region_timeout(flush->region),
				.done = write_done,
			};
		}
		before = reach;
	}
	return nr;
}

/* What has become of the page in a spare frame? */
static void spare_done(struct pmon_flush *flush, unsigned int i)
{
	struct pmon_line *line = flush->line[i];

	if (flush->err[i]) {
		pmon_spares_failed(flush->region);
		return;
	}
	/*
	 * Detached: the change that discards it may have been logged before.
	 * The frame stays spare.
	 */
	if (READ_ONCE(line->detached))
		return;
	pmon_spare_filled(flush->region, line->page->index, flush->location[i]);
	line->copy.location = flush->location[i];
	line->copy.in_place = true;
}

/* Return: how many transfers are under way. */
static unsigned int write_start(struct pmon_flush *flush)
{
	struct pmon_region *region = flush->region;
	unsigned int i, nr;
	bool spares;

	if (!pmon_grants_used(region))
		return 0;
	/* Secondaries are named addresses, which must be what they know. */
	if (pmon_region_replicated(region) &&
	    !pmon_changes_told(&region->changes) && pmon_stream_sync(region))
		return 0;
	spares = pmon_spares_prepare(region, count_homeless(flush));
	nr = write_build(flush, spares);
	if (!nr)
		return 0;
	init_completion(&flush->written);
	atomic_set(&flush->writing, nr);
	for (i = 0; i < nr; i++)
		lite_io_submit(&flush->write[i].io);
	replicate(flush);
	return nr;
}

/* Return: how many pages were stored. */
static unsigned int write_finish(struct pmon_flush *flush)
{
	unsigned int i, stored = 0;

	/* The transfers end by themselves when the host is given up. */
	wait_for_completion(&flush->written);
	pmon_count_n(writes, flush->nr_writes);
	for (i = 0; i < flush->nr; i++) {
		if (flush->spare[i])
			spare_done(flush, i);
		stored += !flush->err[i];
	}
	return stored;
}

/* ---- by request ---------------------------------------------------------------- */

/* The answer, from another host: what does not fit together is not used. */
static void request_locate(struct pmon_flush *flush, const u8 *which,
			   unsigned int n, unsigned int len)
{
	const struct mmon_flush_reply *reply = &flush->reply;
	u32 i, location, nr;

	for (i = 0; i < n; i++) {
		flush->line[which[i]]->copy = pmon_copy_of(0);
		flush->err[which[i]] = 0;
	}
	if (len < sizeof(*reply))
		return;
	nr = le32_to_cpu(reply->nr_grants);
	if (nr > MMON_FLUSH_MAX ||
	    len != sizeof(*reply) + nr * sizeof(reply->grant[0]))
		return;
	for (i = 0; i < nr; i++)
		pmon_grant_set(flush->region, &reply->grant[i]);
	for (i = 0; i < n; i++) {
		location = le32_to_cpu(reply->location[i]);
		if (!location || location >> PMON_LOCATION_BITS)
			continue;
		flush->line[which[i]]->copy.location = location;
		flush->line[which[i]]->copy.in_place = true;
	}
}

static int request_send(struct pmon_flush *flush, unsigned int *next)
{
	struct pmon_region *region = flush->region;
	struct lite_sge sge[MMON_FLUSH_MAX];
	struct pmon_message message;
	u8 which[MMON_FLUSH_MAX];
	unsigned int n;
	int ret;

	n = request_build(flush, next, sge, which, false);
	if (!n)
		return 0;
	message = request_message(flush, sge, n);
	ret = pmon_stream_call(region, &message);
	if (ret < 0) {
		pmon_count(flush_errors);
		return ret;
	}
	pmon_spares_settled(region);
	request_locate(flush, which, n, ret);
	pmon_count(flushes);
	pmon_count_n(flushed_pages, n);
	trace_pmon_flush(region, n);
	return 0;
}

static int request_rest(struct pmon_flush *flush)
{
	unsigned int next = 0;
	int ret = pmon_stream_sync(flush->region);

	while (!ret && next < flush->nr)
		ret = request_send(flush, &next);
	return ret;
}

/* pmon_flush_fail - @err for all that is not stored */
void pmon_flush_fail(struct pmon_flush *flush, int err)
{
	unsigned int i;

	for (i = 0; i < flush->nr; i++)
		if (flush->err[i])
			flush->err[i] = err;
}

/*
 * pmon_flush_start - begin to store the batch
 *
 * Context: process, stream_lock held, to be kept until pmon_flush_finish(), which must
 * follow; the pages are locked.
 */
void pmon_flush_start(struct pmon_flush *flush)
{
	lockdep_assert_held(&flush->region->stream_lock);
	flush->nr_writes = write_start(flush);
}

/*
 * pmon_flush_finish - store what has been begun, telling the home of pending changes if
 * need be
 *
 * Context: process, stream_lock held since pmon_flush_start().
 * Return: 0: each page that is still attached is stored; else negative errno, and
 * flush->err tells of which. line->copy tells of the copy of those that are.
 */
int pmon_flush_finish(struct pmon_flush *flush)
{
	unsigned int i, stored;
	int ret = 0;

	lockdep_assert_held(&flush->region->stream_lock);
	stored = flush->nr_writes ? write_finish(flush) : 0;
	pmon_count_n(flushed_pages, stored);
	if (stored < flush->nr)
		ret = request_rest(flush);
	if (ret)
		pmon_flush_fail(flush, ret);
	/*
	 * Not after stream_lock is dropped: a fork may have taken writing in place
	 * back by then, and would be overruled.
	 */
	for (i = 0; i < flush->nr; i++)
		if (!flush->err[i])
			flush->line[i]->copy.sum = flush->sum[i];
	return ret;
}

/* pmon_flush_send - both */
int pmon_flush_send(struct pmon_flush *flush)
{
	pmon_flush_start(flush);
	return pmon_flush_finish(flush);
}
