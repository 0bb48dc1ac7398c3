// SPDX-License-Identifier: GPL-2.0
/*
 * Detection of sequential, strided and interleaved streams: see stride.h.
 *
 * A miss that continues no stream is compared with the thread's latest such
 * misses: if it is the last of four indexes at equal distance (three, for
 * neighbours), these become a stream, whatever other misses came in between.
 * That is what tells interleaved streams apart; random indexes among N pages
 * look like that in less than one of N misses.
 *
 * A stream is asked at each of its pages whether the next window is due. It is
 * when fewer pages than a window are ahead, so that one window is on its way
 * while the one before is being used. Where that is not soon enough, which a page that
 * is still on its way when it is wanted tells, more than one has to be: there the stream
 * asks with twice as many pages ahead. A stream some of whose pages are mapped by the
 * fault of another (stride.h) asks the earlier the more there were lately: at its
 * next event it may be too late.
 */
#include "stride.h"

#define FIRST_WINDOW	4
#define SLACK		8	/* pages a stream may skip beyond what is planned */

/* pmon_stride_init - @deepest: see struct pmon_stride */
void pmon_stride_init(struct pmon_stride *stride, u32 deepest)
{
	stride->deepest = deepest;
	stride->credit = STRIDE_START;
	pmon_stride_forget(stride);
}

/* pmon_stride_forget - another thread takes over; its waste counts with the former's */
void pmon_stride_forget(struct pmon_stride *stride)
{
	u32 i;

	for (i = 0; i < STRIDE_STREAMS; i++)
		stride->stream[i].step = 0;
	stride->nr = 0;
}

static void earn(struct pmon_stride *stride, u32 credit)
{
	stride->credit += credit;
	if (stride->credit > STRIDE_CREDIT)
		stride->credit = STRIDE_CREDIT;
}

/* How many steps from @from to @to, or 0 if it is no whole positive number. */
static u64 steps(u64 from, u64 to, s32 step)
{
	u64 distance = step > 0 ? to - from : from - to;
	u32 size = step > 0 ? step : -step;

	if (step > 0 ? to < from : to > from)
		return 0;
	if (size == 1)
		return distance;
	/* No 64-bit modulo of what is too far away anyhow. */
	if (distance > STRIDE_MAX * (STRIDE_DEPTH + 2 * STRIDE_WINDOW + SLACK))
		return 0;
	return (u32)distance % size ? 0 : (u32)distance / size;
}

/* Pages planned beyond the latest access. */
static u64 ahead(const struct pmon_stream *stream)
{
	u64 n = steps(stream->last, stream->next, stream->step);

	return n ? n - 1 : 0;
}

static struct pmon_stream *find_stream(struct pmon_stride *stride, u64 index,
				       bool *repeated)
{
	struct pmon_stream *stream;
	u32 i;
	u64 n;

	*repeated = false;
	for (i = 0; i < STRIDE_STREAMS; i++) {
		stream = &stride->stream[i];
		if (!stream->step)
			continue;
		if (stream->last == index) {
			*repeated = true;
			return stream;
		}
		n = steps(stream->last, index, stream->step);
		if (n && n <= ahead(stream) + SLACK)
			return stream;
	}
	return NULL;
}

static bool missed(const struct pmon_stride *stride, u64 index)
{
	u32 i, nr = stride->nr < STRIDE_HISTORY ? stride->nr : STRIDE_HISTORY;

	for (i = 0; i < nr; i++)
		if (stride->history[i] == index)
			return true;
	return false;
}

/* The smallest distance at which earlier misses lead to @index, or 0. */
static s32 find_step(const struct pmon_stride *stride, u64 index)
{
	u32 i, nr = stride->nr < STRIDE_HISTORY ? stride->nr : STRIDE_HISTORY;
	s32 best = 0;

	for (i = 0; i < nr; i++) {
		s64 step = index - stride->history[i];
		s64 size = step < 0 ? -step : step;

		if (!size || size > STRIDE_MAX ||
		    (best && size >= (best < 0 ? -best : best)))
			continue;
		if (!missed(stride, index - 2 * step))
			continue;
		if (size == 1 || missed(stride, index - 3 * step))
			best = step;
	}
	return best;
}

static struct pmon_stream *new_stream(struct pmon_stride *stride, u64 index)
{
	struct pmon_stream *stream = &stride->stream[0];
	s32 step = find_step(stride, index);
	u32 i;

	if (!step) {
		stride->history[stride->nr % STRIDE_HISTORY] = index;
		stride->nr++;
		/* Wrapped: still at least a full ring. */
		if (!stride->nr)
			stride->nr = STRIDE_HISTORY;
		return NULL;
	}
	for (i = 0; i < STRIDE_STREAMS && stream->step; i++)
		if (!stride->stream[i].step ||
		    stride->stamp - stride->stream[i].stamp >
		    stride->stamp - stream->stamp)
			stream = &stride->stream[i];
	stream->step = step;
	stream->last = index;
	stream->next = index + step;
	stream->window = 0;
	stream->depth = 0;
	return stream;
}

static bool neighbours(const struct pmon_stream *stream)
{
	return stream->step == 1 || stream->step == -1;
}

/* Pages between the latest access and @index; no more than are mapped at once. */
static u32 behind(const struct pmon_stream *stream, u64 index)
{
	u64 n = steps(stream->last, index, stream->step);

	if (n < 2 || !neighbours(stream))
		return 0;
	return n - 1 < STRIDE_AROUND ? n - 1 : STRIDE_AROUND;
}

/*
 * pmon_stride_behind - pages that @index's stream has come over without an event
 * @step: set, unless 0 is returned: index - step is the nearest of them
 */
u32 pmon_stride_behind(struct pmon_stride *stride, u64 index, s32 *step)
{
	struct pmon_stream *stream;
	bool repeated;

	stream = find_stream(stride, index, &repeated);
	if (!stream)
		return 0;
	*step = stream->step;
	return behind(stream, index);
}

/* pmon_stride_used - @nr pages turned out to have been used, without an event */
void pmon_stride_used(struct pmon_stride *stride, u32 nr)
{
	earn(stride, nr * (STRIDE_PAGE + STRIDE_BONUS));
}

/*
 * pmon_stride_around - how many pages may be mapped along with the latest access
 *
 * Those next to it in the stream's direction, but not the last that was planned: its
 * first access is the event that moves the stream on.
 */
u32 pmon_stride_around(const struct pmon_stream *stream)
{
	u64 n = ahead(stream);

	if (n < 2 || !neighbours(stream))
		return 0;
	return n - 1 < STRIDE_AROUND ? n - 1 : STRIDE_AROUND;
}

/* Pages from @from that lie within [@first, @last], @max at most. */
static u32 within(u64 from, s32 step, u64 first, u64 last, u32 max)
{
	u32 n = 0;

	while (n < max && from >= first && from <= last) {
		n++;
		from += step;
	}
	return n;
}

/* @unseen: pages that the stream may come over before its next event */
static void make_plan(struct pmon_stride *stride, struct pmon_stream *stream,
		      u32 unseen, u64 first, u64 last, struct pmon_plan *plan)
{
	u32 window = stream->window ? 2 * stream->window : FIRST_WINDOW;

	if (window > STRIDE_WINDOW)
		window = STRIDE_WINDOW;
	if (ahead(stream) >= unseen + (window < stream->depth ? stream->depth : window))
		return;
	if (window > stride->credit / STRIDE_PAGE)
		window = stride->credit / STRIDE_PAGE;
	plan->first = stream->next;
	plan->step = stream->step;
	plan->nr = within(stream->next, stream->step, first, last, window);
}

/* The thread waits for a page that was asked for too late. */
static void deepen(const struct pmon_stride *stride, struct pmon_stream *stream)
{
	u32 depth = stream->depth ? 2 * stream->depth : 2 * STRIDE_WINDOW;

	if (depth > STRIDE_DEPTH)
		depth = STRIDE_DEPTH;
	stream->depth = depth < stride->deepest ? depth : stride->deepest;
}

/*
 * pmon_stride_event - the thread accessed @index
 * @first, @last: where prefetching makes sense: the index's mapping
 * @plan: what to prefetch; if plan->nr is not 0, pmon_stride_done() must follow.
 *	plan->stream is the access's in any case
 */
void pmon_stride_event(struct pmon_stride *stride, u64 index,
		       enum pmon_stride_event event, u64 first, u64 last,
		       struct pmon_plan *plan)
{
	struct pmon_stream *stream;
	bool repeated;
	u32 unseen;

	plan->stream = NULL;
	plan->nr = 0;
	stride->stamp++;
	if (event == STRIDE_MISS)
		earn(stride, 1);
	else if (event == STRIDE_USED)
		earn(stride, STRIDE_PAGE + STRIDE_BONUS);
	stream = find_stream(stride, index, &repeated);
	if (!stream && (event == STRIDE_MISS || event == STRIDE_NEAR))
		stream = new_stream(stride, index);
	plan->stream = stream;
	if (!stream || repeated)
		return;
	if (event == STRIDE_LATE && stream->window == STRIDE_WINDOW)
		deepen(stride, stream);
	unseen = behind(stream, index);
	stream->last = index;
	stream->stamp = stride->stamp;
	/* It came past what was prefetched: go on in front of it. */
	if (!steps(index, stream->next, stream->step))
		stream->next = index + stream->step;
	make_plan(stride, stream, unseen, first, last, plan);
}

/*
 * pmon_stride_done - a plan was carried out
 * @covered: pages of it that were looked at; the rest is planned again later
 * @fetched: pages that were in fact asked for
 */
void pmon_stride_done(struct pmon_stride *stride, const struct pmon_plan *plan,
		      u32 covered, u32 fetched)
{
	struct pmon_stream *stream = plan->stream;
	u32 cost = fetched * STRIDE_PAGE;

	stride->credit -= cost < stride->credit ? cost : stride->credit;
	stream->next = plan->first + (s64)plan->step * covered;
	if (covered)
		stream->window = plan->nr;
}
