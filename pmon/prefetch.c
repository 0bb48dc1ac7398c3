// SPDX-License-Identifier: GPL-2.0
/*
 * Prefetch: fetching what a thread is about to touch.
 *
 * Detection of streams is stride.c's, and what to fetch beside a miss that belongs
 * to none near.c's; here is where they are fed (by faults that miss, and by the
 * first touch of a prefetched line, which is a soft fault unless its neighbour's
 * fault mapped it, and then by its accessed bit; see around.c) and what their plans
 * become: up to 16 pages, by READs, one for each run of pages that are
 * neighbours at the home, and one request for those that have no location there.
 * A line that is prefetched is published, locked and with line->io set, exactly
 * like one that a fault waits for; the difference is in the end: what does not
 * arrive goes back to "stored at home", and whoever wants it fetches it by itself.
 *
 * A prefetch never waits and never takes a line that a fault will need: only
 * lines above a reserve, requests from a fixed set, page locks by trylock. It
 * stays within the VMA of the fault, which is locked, so that the indexes it
 * looks at cannot be unmapped or moved before it has published its lines.
 *
 * Threads: a space keeps what is known of up to 16 of them, found by pid. The
 * lock of a slot is only tried: losing it costs one event. Slots of threads
 * that were idle for a while go to others.
 */
#include <linux/slab.h>

#include "internal.h"
#include "near.h"
#include "stride.h"
#include "trace.h"

#define THREADS		16
#define PROBES		4
#define IDLE		(HZ / 4)
#define WINDOWS		64	/* requests under way on this host */
#define FEWEST		4UL	/* pages worth a request when lines are scarce */

static_assert(STRIDE_WINDOW == MMON_FETCH_MAX);

/*
 * struct thread - what is known of one thread
 * @lock: only ever tried
 * @pid: whose; 0: free
 * @used: jiffies of the latest event
 */
struct thread {
	spinlock_t lock;	/* protects all of it */
	pid_t pid;
	unsigned long used;
	struct pmon_stride stride;
};

/*
 * struct pmon_threads - what is known of the accesses of a space
 * @near_lock: only ever tried, inside of a thread's
 */
struct pmon_threads {
	struct thread thread[THREADS];
	spinlock_t near_lock;		/* protects near */
	struct pmon_near near;
};

/*
 * struct window - pages of one region under way together
 * @entry: free list
 * @line, @sge: first those that are READ, then those that are asked for
 * @nr: how many
 * @nr_read: how many of them are READ
 * @body, @call: the request for the others
 * @parts: READs and requests under way; the last to end gives the window back
 * @read: one for each run of neighbours
 */
struct window {
	struct list_head entry;
	struct pmon_region *region;
	unsigned int nr;
	unsigned int nr_read;
	struct pmon_line *line[MMON_FETCH_MAX];
	struct lite_sge sge[MMON_FETCH_MAX];
	struct {
		struct mmon_fetch head;
		__le64 addr[MMON_FETCH_MAX];
	} body;
	struct lite_call call;
	atomic_t parts;
	struct window_read {
		struct lite_io io;
		struct window *window;
	} read[MMON_FETCH_MAX];
};

static struct window windows[WINDOWS];
static LIST_HEAD(free_windows);
static DEFINE_SPINLOCK(windows_lock);	/* protects free_windows; bh */
static bool enabled = true;

void pmon_prefetch_set(bool on)
{
	WRITE_ONCE(enabled, on);
}

bool pmon_prefetch_enabled(void)
{
	return READ_ONCE(enabled);
}

void pmon_prefetch_init(void)
{
	unsigned int i;

	for (i = 0; i < WINDOWS; i++)
		list_add(&windows[i].entry, &free_windows);
}

/* ---- threads --------------------------------------------------------------- */

/* Pages that a stream may have ahead: a small part of what the budget holds. */
static u32 deepest(const struct pmon_space *space)
{
	return clamp(space->budget->limit / 32, (unsigned long)STRIDE_WINDOW,
		     (unsigned long)STRIDE_DEPTH);
}

/* The first miss of a space makes its table; without memory there is none yet. */
static struct pmon_threads *threads_of(struct pmon_space *space)
{
	struct pmon_threads *threads = READ_ONCE(space->threads), *other;
	unsigned int i;

	if (threads)
		return threads;
	threads = kzalloc(sizeof(*threads), GFP_NOWAIT | __GFP_NOWARN);
	if (!threads)
		return NULL;
	for (i = 0; i < THREADS; i++) {
		spin_lock_init(&threads->thread[i].lock);
		pmon_stride_init(&threads->thread[i].stride, deepest(space));
	}
	spin_lock_init(&threads->near_lock);
	pmon_near_init(&threads->near);
	other = cmpxchg(&space->threads, NULL, threads);
	if (!other)
		return threads;
	kfree(threads);
	return other;
}

/* The slot to lock for the caller; NULL: none to be had. */
static struct thread *thread_find(struct pmon_threads *threads, pid_t pid)
{
	struct thread *thread, *found = NULL;
	unsigned int i;

	for (i = 0; i < PROBES; i++) {
		thread = &threads->thread[(pid + i) % THREADS];
		if (READ_ONCE(thread->pid) == pid) {
			found = thread;
			break;
		}
		if (!found && (!READ_ONCE(thread->pid) ||
			       time_after(jiffies, READ_ONCE(thread->used) + IDLE)))
			found = thread;
	}
	return found;
}

/* Locked: it may have been another thread's. */
static void thread_claim(struct thread *thread, pid_t pid)
{
	lockdep_assert_held(&thread->lock);
	if (thread->pid != pid) {
		pmon_stride_forget(&thread->stride);
		WRITE_ONCE(thread->pid, pid);
	}
	WRITE_ONCE(thread->used, jiffies);
}

/* ---- requests -------------------------------------------------------------- */

static struct window *window_get(void)
{
	struct window *window;

	spin_lock_bh(&windows_lock);
	window = list_first_entry_or_null(&free_windows, struct window, entry);
	if (window)
		list_del(&window->entry);
	spin_unlock_bh(&windows_lock);
	return window;
}

static void window_put(struct window *window)
{
	spin_lock_bh(&windows_lock);
	list_add(&window->entry, &free_windows);
	spin_unlock_bh(&windows_lock);
}

static void window_part_ended(struct window *window)
{
	if (atomic_dec_and_test(&window->parts))
		window_put(window);
}

/* Which of the pages it was asked for did the home place? (mmon_wire.h) */
static u32 window_placed(const struct window *window)
{
	const struct lite_call *call = &window->call;
	__le32 placed;

	if (call->status)
		return 0;
	if (call->nr_direct == 1)
		return 1;
	if (call->reply_len != sizeof(placed))
		return 0;
	memcpy(&placed, call->reply, sizeof(placed));
	return le32_to_cpu(placed);
}

static void window_done(struct lite_call *call)
{
	struct window *window = container_of(call, struct window, call);
	u32 placed = window_placed(window);
	unsigned int i;

	for (i = 0; i < call->nr_direct; i++) {
		struct pmon_line *line = window->line[window->nr_read + i];
		bool good = placed & BIT(i);

		trace_pmon_fetch(line->space, line->page->index,
				 good ? 0 : call->status ?: -ENOENT);
		if (good && pmon_page_sum(line->page) != line->copy.sum) {
			pmon_count(checksum_errors);
			good = false;
		}
		/* Why it failed is for the fault to find out that wants it. */
		pmon_io_end(line, good ? NULL : PMON_ENTRY_STORED);
	}
	window_part_ended(window);
}

/* Downwards: neighbours at the home are to follow each other upwards. */
static void window_reverse(struct window *window, void **entry)
{
	unsigned int i, j;

	for (i = 0, j = window->nr; i + 1 < j; i++) {
		j--;
		swap(window->line[i], window->line[j]);
		swap(entry[i], entry[j]);
	}
}

/* Does the home know where what it stores belongs? */
static bool may_ask(const struct pmon_region *region)
{
	return !READ_ONCE(region->lost) && !READ_ONCE(region->suspect) &&
	       !READ_ONCE(region->changes.moves) &&
	       !atomic_read(&region->clones);
}

/* The entries of @plan up to the end of the region, @first to @last. Returns how many. */
static unsigned int look_up(struct pmon_space *space, const struct pmon_plan *plan,
			    pgoff_t first, pgoff_t last, void **entry)
{
	XA_STATE(xas, &space->lines, plan->first);
	u64 index = plan->first;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < plan->nr; i++, index += plan->step) {
		if (index < first || index > last)
			break;
		entry[i] = pmon_lines_peek(&xas, index);
	}
	rcu_read_unlock();
	return i;
}

/*
 * Lines for those of @entry that are at the home, which are moved to the front of it.
 * Returns how many entries were looked at: all, unless lines were scarce.
 */
static unsigned int window_take(struct window *window, const struct pmon_plan *plan,
				void **entry, unsigned int nr)
{
	struct pmon_region *region = window->region;
	u64 index = plan->first;
	struct pmon_line *line;
	unsigned int i;

	for (i = 0; i < nr; i++, index += plan->step) {
		if (!pmon_entry_is_remote(entry[i]))
			continue;
		line = pmon_line_alloc_spare(region->space->budget);
		if (!line)
			break;
		pmon_line_setup(line, region, index);
		line->copy = pmon_entry_copy(entry[i]);
		line->remote = true;
		line->io = true;
		window->line[window->nr] = line;
		entry[window->nr++] = entry[i];
	}
	return i;
}

/* Those lines whose @entry is still there take its place, the others are given back. */
static void window_publish(struct window *window, struct pmon_space *space, void **entry)
{
	XA_STATE(xas, &space->lines, 0);
	unsigned int i, nr = window->nr;
	struct pmon_line *line;

	xas_lock_bh(&xas);
	for (i = 0; i < nr; i++) {
		line = window->line[i];
		/* Replaces an entry that is there: allocates nothing. */
		if (likely(pmon_lines_at(&xas, line->page->index) == entry[i]))
			xas_store(&xas, line);
		else
			entry[i] = NULL;
	}
	xas_unlock_bh(&xas);
	for (i = 0, window->nr = 0; i < nr; i++) {
		line = window->line[i];
		if (unlikely(!entry[i])) {
			pmon_line_release(line);
			continue;
		}
		/* The page is locked: nobody has looked at it yet. */
		WRITE_ONCE(line->prefetched, true);
		line->fresh = true;
		line->near = false;
		pmon_space_get(space);
		window->line[window->nr++] = line;
	}
}

/* As far as the first one's region goes. Returns how many pages were looked at. */
static unsigned int window_fill(struct window *window, struct pmon_space *space,
				const struct pmon_plan *plan)
{
	pgoff_t first = 0, last = ULONG_MAX;
	void *entry[MMON_FETCH_MAX];
	unsigned int nr;

	window->nr = 0;
	window->region = pmon_region_find(space, plan->first, &first, &last);
	nr = look_up(space, plan, first, last, entry);
	if (!window->region || !may_ask(window->region))
		return nr;
	nr = window_take(window, plan, entry, nr);
	if (plan->step < 0)
		window_reverse(window, entry);
	if (window->nr)
		window_publish(window, space, entry);
	return nr;
}

static void window_read_done(struct lite_io *io)
{
	struct window_read *read = container_of(io, struct window_read, io);
	struct window *window = read->window;
	unsigned int i, first = io->local - window->sge;

	for (i = first; i < first + io->nr_local; i++)
		pmon_read_ended(window->line[i], io);
	window_part_ended(window);
}

/* Sorts the lines, and prepares a READ for each run of those with a location. */
static unsigned int window_sort(struct window *window)
{
	struct pmon_region *region = window->region;
	struct pmon_reach reach, before = {};
	struct pmon_line *asked[MMON_FETCH_MAX];
	unsigned int i, nr = 0, runs = 0;
	u32 location, found = 0;
	struct pmon_line *line;

	window->nr_read = 0;
	for (i = 0; i < window->nr; i++) {
		line = window->line[i];
		location = line->copy.location;
		if (!pmon_grant_next(region, location, found, &reach)) {
			/* Whoever wants it tells the home first. */
			if (pmon_fetch_behind(region, line->page->index))
				pmon_io_end(line, PMON_ENTRY_STORED);
			else
				asked[nr++] = line;
			continue;
		}
		if (runs && pmon_reach_follows(&reach, &before)) {
			window->read[runs - 1].io.nr_local++;
		} else {
			window->read[runs].window = window;
			window->read[runs++].io = (struct lite_io){
				.peer = pmon_region_home(region),
				.timeout_ms = pmon_region_timeout(region),
				.remote_addr = reach.addr,
				.rkey = reach.rkey,
				.local = &window->sge[window->nr_read],
				.nr_local = 1,
				.done = window_read_done,
			};
		}
		before = reach;
		found = location;
		window->line[window->nr_read++] = line;
	}
	memcpy(&window->line[window->nr_read], asked, nr * sizeof(*asked));
	window->nr = window->nr_read + nr;
	return runs;
}

/* The lines that are not READ, in one request. */
static void window_ask(struct window *window)
{
	struct pmon_holder *primary = pmon_region_primary(window->region);
	unsigned int i, nr = window->nr - window->nr_read;

	window->body.head = (struct mmon_fetch){
		.asid = cpu_to_le64(primary->asid),
		.nr = cpu_to_le32(nr),
	};
	for (i = 0; i < nr; i++) {
		struct page *page = window->line[window->nr_read + i]->page;

		window->body.addr[i] = cpu_to_le64((u64)page->index << PAGE_SHIFT);
	}
	window->call = (struct lite_call){
		.peer = primary->peer,
		.timeout_ms = pmon_region_timeout(window->region),
		.service = LITE_SVC_MMON,
		.op = MMON_OP_FETCH,
		.flags = LITE_CALL_IDEMPOTENT,
		.req = &window->body,
		.req_len = offsetof(typeof(window->body), addr[nr]),
		.direct = &window->sge[window->nr_read],
		.nr_direct = nr,
		.done = window_done,
	};
	lite_call_submit(&window->call);
}

static void window_start(struct window *window)
{
	unsigned int i, runs;
	bool ask;

	pmon_count(prefetch_requests);
	pmon_count_n(prefetch_issued, window->nr);
	runs = window_sort(window);
	if (!window->nr) {
		window_put(window);
		return;
	}
	pmon_count_n(reads, runs);
	ask = window->nr_read < window->nr;
	for (i = 0; i < window->nr; i++)
		window->sge[i] = pmon_line_sge(window->line[i]);
	/* Before the first: none may be the last to end while others are not sent. */
	atomic_set(&window->parts, runs + ask);
	for (i = 0; i < runs; i++)
		lite_io_submit(&window->read[i].io);
	/* The window is ours at least until this is sent. */
	if (ask)
		window_ask(window);
}

static void carry_out(struct pmon_space *space, struct pmon_stride *stride,
		      struct pmon_plan *plan)
{
	unsigned long spare = pmon_budget_spare(space->budget);
	unsigned int covered = 0, fetched = 0;
	struct window *window = NULL;

	if (spare >= min_t(unsigned long, plan->nr, FEWEST)) {
		plan->nr = min_t(unsigned long, plan->nr, spare);
		window = window_get();
	}
	if (window) {
		covered = window_fill(window, space, plan);
		fetched = window->nr;
		if (fetched)
			window_start(window);
		else
			window_put(window);
	} else {
		pmon_count(prefetch_skips);
		pmon_budget_short(space->budget);
	}
	pmon_stride_done(stride, plan, covered, fetched);
}

/* What the thread went over without a fault, since its stream's latest one. */
static void look_behind(struct pmon_stride *stride, struct vm_fault *vmf)
{
	u32 behind;
	s32 step;

	behind = pmon_stride_behind(stride, vmf->pgoff, &step);
	if (behind)
		pmon_stride_used(stride, pmon_around_touched(vmf, step, behind));
}

/* The neighbours of a miss. That lines are scarce is no reason to keep more free. */
static void fetch_group(struct pmon_space *space, struct pmon_near *near,
			const struct pmon_group *group)
{
	struct pmon_plan plan = {
		.first = group->first,
		.step = 1,
		.nr = group->nr,
	};
	struct window *window;
	unsigned int i, nr;

	if (pmon_budget_spare(space->budget) < FEWEST)
		return;
	window = window_get();
	if (!window)
		return;
	window_fill(window, space, &plan);
	nr = window->nr;
	/* Their pages are locked until the transfer that is yet to start. */
	for (i = 0; i < nr; i++) {
		window->line[i]->near = true;
		window->line[i]->asked = near->misses;
	}
	pmon_count_n(near_issued, nr);
	if (nr)
		window_start(window);
	else
		window_put(window);
	pmon_near_done(near, nr);
}

static void near_miss(struct vm_fault *vmf, struct pmon_threads *threads, bool stream)
{
	struct pmon_group group;

	if (!spin_trylock(&threads->near_lock))
		return;
	pmon_near_miss(&threads->near, vmf->pgoff, stream,
		       (vmf->vma->vm_end >> PAGE_SHIFT) - 1, &group);
	if (group.nr)
		fetch_group(pmon_vma_space(vmf->vma), &threads->near, &group);
	spin_unlock(&threads->near_lock);
}

static void near_used(struct pmon_space *space, u32 asked)
{
	struct pmon_threads *threads = READ_ONCE(space->threads);

	pmon_count(near_used);
	if (!threads || !spin_trylock(&threads->near_lock))
		return;
	pmon_near_used(&threads->near, threads->near.misses - asked);
	spin_unlock(&threads->near_lock);
}

/*
 * pmon_prefetch - tell of an access, and fetch what it leads to
 *
 * Context: a fault, with its VMA locked (so nothing of it is unmapped or moved
 * meanwhile); the page of the fault may be locked. Never sleeps.
 * Return: how many pages next to it are worth mapping with it; negative: below it.
 */
int pmon_prefetch(struct vm_fault *vmf, enum pmon_stride_event event)
{
	struct vm_area_struct *vma = vmf->vma;
	struct pmon_space *space = pmon_vma_space(vma);
	struct pmon_region *region = pmon_region_of(space, vmf->pgoff);
	pid_t pid = task_pid_nr(current);
	struct pmon_threads *threads;
	struct pmon_plan plan;
	struct thread *thread;
	int around = 0;

	if (!READ_ONCE(enabled) || vma->vm_flags & VM_RAND_READ ||
	    !region || !may_ask(region))
		return 0;
	threads = threads_of(space);
	thread = threads ? thread_find(threads, pid) : NULL;
	if (!thread || !spin_trylock(&thread->lock))
		return 0;
	thread_claim(thread, pid);
	look_behind(&thread->stride, vmf);
	pmon_stride_event(&thread->stride, vmf->pgoff, event,
			  vma->vm_start >> PAGE_SHIFT,
			  (vma->vm_end >> PAGE_SHIFT) - 1, &plan);
	if (plan.nr)
		carry_out(space, &thread->stride, &plan);
	if (event == STRIDE_MISS)
		near_miss(vmf, threads, plan.stream);
	if (plan.stream)
		around = pmon_stride_around(plan.stream) * plan.stream->step;
	spin_unlock(&thread->lock);
	return around;
}

/*
 * pmon_prefetch_used - @line, which was prefetched, is accessed for the first time
 *
 * Context: as pmon_prefetch(), and the page is locked. Return: as pmon_prefetch().
 */
int pmon_prefetch_used(struct vm_fault *vmf, struct pmon_line *line)
{
	if (!line->near)
		return pmon_prefetch(vmf, STRIDE_USED);
	near_used(line->space, line->asked);
	return pmon_prefetch(vmf, STRIDE_NEAR);
}
