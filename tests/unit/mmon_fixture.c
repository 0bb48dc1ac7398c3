// SPDX-License-Identifier: GPL-2.0
/*
 * See mmon_fixture.h.
 */
#include <time.h>

#include "mmon_fixture.h"

/* ---- contents ------------------------------------------------------------------ */

static u64 mix(u64 x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

__attribute__((no_sanitize("address", "undefined")))
void content_fill(void *page, const struct content *c)
{
	u64 *word = page;
	u64 x = mix(c->asid) ^ mix(c->addr + 1) ^ mix(c->stamp + 2) ^
		mix(c->node + 3);
	u32 i;

	memcpy(word, c, sizeof(*c));
	for (i = sizeof(*c) / 8; i < 512; i++)
		word[i] = x += i;
}

bool content_read(const void *page, struct content *c)
{
	static u8 expect[MMON_PAGE_SIZE] __aligned(8);

	memcpy(c, page, sizeof(*c));
	content_fill(expect, c);
	return !memcmp(expect, page, sizeof(expect));
}

/* ---- life ------------------------------------------------------------------------ */

void fixture_start(struct mmon *m, u32 capacity)
{
	mmon_init(m);
	SHIM_ASSERT(!mmon_pool_create(&m->pool, capacity));
	fixture_check(m, NULL, 0);
}

void fixture_start_log(struct mmon *m, u32 capacity, u32 segments,
		       struct mmon_store *store)
{
	fixture_start(m, capacity);
	SHIM_ASSERT(!mmon_log_create(&m->log, segments, store));
	fixture_check(m, NULL, 0);
}

void fixture_stop(struct mmon *m)
{
	mmon_spaces_drop(m, NULL);
	shim_rcu_flush();
	fixture_check(m, NULL, 0);
	SHIM_ASSERT(!m->pool.charged);
	SHIM_ASSERT(m->pool.nr_free == m->pool.total);
	mmon_pool_destroy(&m->pool);
	SHIM_ASSERT(!m->pool.frame);
	mmon_log_drain(&m->log);
	mmon_log_destroy(&m->log);
	SHIM_ASSERT(!m->log.nr_segments);
	SHIM_ASSERT(!lite_stub_windows);
	SHIM_ASSERT(!lite_stub_regions);
	SHIM_ASSERT(!shim_live);
}

/* ---- invariants -------------------------------------------------------------------- */

static void check_vmas(const struct mmon_vmas *vmas)
{
	const struct mmon_vma *v;
	u32 i;

	SHIM_ASSERT(vmas);
	SHIM_ASSERT(vmas->nr <= vmas->max);
	for (i = 0; i < vmas->nr; i++) {
		v = &vmas->vma[i];
		SHIM_ASSERT(v->start < v->end && v->end <= MMON_ADDR_MAX);
		SHIM_ASSERT(!((v->start | v->end) & (MMON_PAGE_SIZE - 1)));
		SHIM_ASSERT(!(v->prot & ~RW));
		if (!i)
			continue;
		SHIM_ASSERT(v[-1].end <= v->start);
		SHIM_ASSERT(v[-1].end < v->start || v[-1].prot != v->prot);
	}
}

/* How many page map entries have each record, by its address. */
static struct xarray record_refs;

static void count_record(struct mmon_record *record)
{
	unsigned long key = (unsigned long)record >> 3;
	void *was = xa_load(&record_refs, key);

	SHIM_ASSERT(record);		/* reservation left */
	xa_store(&record_refs, key, xa_mk_value(1 + (was ? xa_to_value(was) : 0)),
		 GFP_KERNEL | __GFP_NOFAIL);
}

static void check_space(struct mmon *m, struct mmon_space *space, u32 *maps)
{
	struct mmon_frame *frame;
	unsigned long index;
	u64 n = 0, records = 0;
	void *entry;

	SHIM_ASSERT(!space->dead && !space->lock.held);
	SHIM_ASSERT(refcount_read(&space->ref.refcount) == 1);
	check_vmas(space->vmas);
	xa_for_each(&space->pages, index, entry) {
		SHIM_ASSERT(!mmon_vmas_check(space->vmas, PAGE(index), 0));
		if (xa_is_value(entry)) {
			count_record(mmon_entry_record(entry));
			records++;
			continue;
		}
		frame = entry;
		SHIM_ASSERT(frame >= m->pool.frame);
		SHIM_ASSERT(frame < m->pool.frame + m->pool.total);
		maps[frame - m->pool.frame]++;
		n++;
	}
	SHIM_ASSERT(space->frames == n);
	SHIM_ASSERT(space->records == records);
}

static struct mmon_chunk *chunk_of(struct mmon *m, const struct mmon_frame *frame)
{
	return &m->pool.chunk[(frame - m->pool.frame) >> MMON_CHUNK_SHIFT];
}

/* Spare frames are the space's, of a chunk that is its own unless it was revoked. */
static u32 check_spares(struct mmon *m, struct mmon_space *space, u32 *spare)
{
	struct mmon_frame *frame;
	u32 i;

	SHIM_ASSERT(space->nr_spares <= MMON_SPARES_MAX);
	SHIM_ASSERT(space->spare || !space->nr_spares);
	for (i = 0; i < space->nr_spares; i++) {
		frame = space->spare[i];
		SHIM_ASSERT(!spare[frame - m->pool.frame]++);
		SHIM_ASSERT(!chunk_of(m, frame)->owner ||
			    chunk_of(m, frame)->owner == &space->chunks);
	}
	return space->nr_spares;
}

static u32 count_pins(const struct mmon_frame *frame,
		      const struct mmon_pages *pinned, u32 nr)
{
	u32 i, j, n = 0;

	for (i = 0; i < nr; i++)
		for (j = 0; j < pinned[i].nr; j++)
			n += pinned[i].found >> j & 1 &&
			     pinned[i].frame[j] == frame;
	return n;
}

/* ---- of the log ------------------------------------------------------------------ */

static u32 count_segment_pins(const struct mmon_segment *segment,
			      const struct mmon_pages *pinned, u32 nr)
{
	u32 i, j, n = 0;

	for (i = 0; i < nr; i++)
		for (j = 0; j < pinned[i].nr; j++)
			n += pinned[i].found >> j & 1 && !pinned[i].frame[j] &&
			     pinned[i].place[j].segment == segment;
	return n;
}

/* Its records are those of page maps, and know where they are. */
static u32 check_records(struct mmon_log *log, struct mmon_segment *segment)
{
	struct mmon_record *record;
	u32 i, n = 0;
	void *refs;

	for (i = 0; i < MMON_SEGMENT_PAGES; i++) {
		record = segment->record[i];
		if (!record)
			continue;
		SHIM_ASSERT(i < segment->used);
		SHIM_ASSERT(record->segment == segment && record->slot == i);
		SHIM_ASSERT(record->seq && record->seq <= log->last_seq);
		refs = xa_load(&record_refs, (unsigned long)record >> 3);
		SHIM_ASSERT(refs && record->refs == xa_to_value(refs));
		n++;
	}
	SHIM_ASSERT(n == segment->live);
	return n;
}

struct log_count {
	u32 segments[MMON_SEG_GONE + 1];
	u32 buffers;
	u64 records;
	u64 stored_live;
};

static void check_segment(struct mmon_log *log, struct mmon_segment *segment,
			  enum mmon_segment_state state, struct log_count *count,
			  const struct mmon_pages *pinned, u32 nr)
{
	u32 live = check_records(log, segment);

	SHIM_ASSERT(segment->state == state);
	SHIM_ASSERT(!segment->filling && !segment->busy);
	SHIM_ASSERT(segment->pins == count_segment_pins(segment, pinned, nr));
	SHIM_ASSERT(live || segment->pins || state == MMON_SEG_FREE ||
		    state == MMON_SEG_GONE || state == MMON_SEG_FILLING);
	SHIM_ASSERT((segment->used == MMON_SEGMENT_PAGES) ==
		    (state != MMON_SEG_FREE && state != MMON_SEG_FILLING));
	count->segments[state]++;
	count->records += live;
	count->stored_live += state == MMON_SEG_STORED ? live : 0;
	SHIM_ASSERT((segment->buffer == MMON_NO_BUFFER) ==
		    (state == MMON_SEG_STORED) || state == MMON_SEG_GONE);
	count->buffers += segment->buffer != MMON_NO_BUFFER;
}

static void check_log(struct mmon_log *log, const struct mmon_pages *pinned, u32 nr)
{
	struct list_head *list[] = {
		[MMON_SEG_FREE] = &log->free, [MMON_SEG_FULL] = &log->full,
		[MMON_SEG_STORED] = &log->stored, [MMON_SEG_GONE] = &log->gone,
	};
	struct log_count count = { { 0 }, 0, 0, 0 };
	struct mmon_segment *segment;
	u32 state;

	SHIM_ASSERT(!log->lock.held && !log->waiters && !log->bounces);
	for (state = 0; state < ARRAY_SIZE(list); state++) {
		if (!list[state])
			continue;
		list_for_each_entry(segment, list[state], entry)
			check_segment(log, segment, state, &count, pinned, nr);
	}
	if (log->open)
		check_segment(log, log->open, MMON_SEG_FILLING, &count, pinned, nr);
	SHIM_ASSERT(count.buffers == log->nr_segments);
	SHIM_ASSERT(count.segments[MMON_SEG_FREE] == log->nr_free);
	SHIM_ASSERT(count.segments[MMON_SEG_STORED] == log->nr_stored);
	SHIM_ASSERT(count.stored_live == log->stored_live);
	SHIM_ASSERT(count.records == log->stats.records);
	SHIM_ASSERT(count.records == record_refs.nr);
	xa_destroy(&record_refs);
}

/* ---- of chunks ------------------------------------------------------------------- */

static const struct mmon_space *owner_of(struct mmon *m,
					 const struct mmon_chunk *chunk)
{
	struct mmon_space *space;
	unsigned long asid;

	xa_for_each(&m->spaces, asid, space)
		if (&space->chunks == chunk->owner)
			return space;
	shim_fail(__FILE__, __LINE__, "a chunk is owned by nobody");
}

static void check_free_list(struct mmon_pool *pool, struct mmon_chunk *chunk)
{
	u32 n = 0, i = chunk->free_head;

	while (i != pool->total) {
		SHIM_ASSERT(i < pool->total && n < chunk->size);
		SHIM_ASSERT(&pool->chunk[i >> MMON_CHUNK_SHIFT] == chunk);
		SHIM_ASSERT(!refcount_read(&pool->frame[i].ref));
		i = pool->frame[i].next;
		n++;
	}
	SHIM_ASSERT(n == chunk->nr_free);
}

static struct list_head *right_list(struct mmon_pool *pool,
				    struct mmon_chunk *chunk)
{
	if (chunk->owner)
		return chunk->nr_free ? &chunk->owner->partial :
					&chunk->owner->full;
	if (!chunk->nr_free)
		return &pool->full;
	return chunk->nr_free == chunk->size ? &pool->whole : &pool->partial;
}

static u32 count_list(struct list_head *list)
{
	struct mmon_chunk *chunk;
	u32 n = 0;

	list_for_each_entry(chunk, list, entry) {
		SHIM_ASSERT(chunk->list == list);
		n++;
	}
	return n;
}

/* Whoever has a frame of an owned chunk is the owner's. */
static void check_strangers(struct mmon *m, struct mmon_space *space)
{
	const struct mmon_space *owner;
	struct mmon_chunk *chunk;
	unsigned long index;
	void *entry;

	xa_for_each(&space->pages, index, entry) {
		if (xa_is_value(entry))
			continue;
		chunk = chunk_of(m, entry);
		if (!chunk->owner || chunk->owner == &space->chunks)
			continue;
		owner = owner_of(m, chunk);
		SHIM_ASSERT(owner->node == space->node);
		SHIM_ASSERT(owner->incarnation == space->incarnation);
	}
}

/* The key of an owned chunk reaches all of it and nothing else. */
static void check_window(struct mmon *m, struct mmon_chunk *chunk)
{
	u32 first = (chunk - m->pool.chunk) << MMON_CHUNK_SHIFT;
	struct lite_grant grant;

	SHIM_ASSERT(!!chunk->window == !!chunk->owner);
	if (!chunk->window)
		return;
	lite_window_grant(chunk->window, &grant);
	SHIM_ASSERT(grant.len == chunk->size * MMON_PAGE_SIZE);
	SHIM_ASSERT(lite_stub_reach(grant.rkey, grant.addr) ==
		    mmon_frame_data(&m->pool, &m->pool.frame[first]));
}

static void check_chunks(struct mmon *m)
{
	struct mmon_pool *pool = &m->pool;
	u32 i, free = 0, common = 0, granted = 0, listed = 0;
	struct mmon_space *space;
	unsigned long asid;

	for (i = 0; i < pool->nr_chunks; i++) {
		struct mmon_chunk *chunk = &pool->chunk[i];

		SHIM_ASSERT(!chunk->busy);
		SHIM_ASSERT(chunk->list == right_list(pool, chunk));
		check_free_list(pool, chunk);
		check_window(m, chunk);
		free += chunk->nr_free;
		common += chunk->owner ? 0 : chunk->nr_free;
		granted += !!chunk->owner;
	}
	xa_for_each(&m->spaces, asid, space) {
		struct mmon_chunk *chunk;
		u32 own = 0;

		list_for_each_entry(chunk, &space->chunks.partial, entry)
			own += chunk->nr_free;
		SHIM_ASSERT(own == space->chunks.nr_free);
		listed += count_list(&space->chunks.partial) +
			  count_list(&space->chunks.full);
		check_strangers(m, space);
	}
	SHIM_ASSERT(listed == granted && granted == pool->granted);
	SHIM_ASSERT(lite_stub_windows == granted);
	SHIM_ASSERT(count_list(&pool->whole) + count_list(&pool->partial) +
		    count_list(&pool->full) + granted == pool->nr_chunks);
	SHIM_ASSERT(list_empty(&pool->busy) && !pool->nr_busy);
	SHIM_ASSERT(free == pool->nr_free && common == pool->nr_common);
}

void fixture_check(struct mmon *m, const struct mmon_pages *pinned, u32 nr)
{
	struct mmon_pool *pool = &m->pool;
	u32 *maps = calloc(2 * pool->total, sizeof(*maps)), *spare = maps + pool->total;
	u32 i, used = 0, out = 0, spaces = 0, spares = 0, replicas = 0, pins, ref;
	struct mmon_space *space;
	unsigned long asid;

	SHIM_ASSERT(maps && !shim_atomic_depth && !shim_rcu_depth);
	SHIM_ASSERT(!pool->lock.held);
	xa_for_each(&m->spaces, asid, space) {
		SHIM_ASSERT(space->asid == asid);
		check_space(m, space, maps);
		spares += check_spares(m, space, spare);
		replicas += space->kind == MMON_REPLICA;
		spaces++;
	}
	SHIM_ASSERT((int)spaces == atomic_read(&m->nr_spaces));
	SHIM_ASSERT((int)replicas == atomic_read(&m->nr_replicas));
	check_log(&m->log, pinned, nr);
	for (i = 0; i < pool->total; i++) {
		pins = count_pins(&pool->frame[i], pinned, nr);
		ref = refcount_read(&pool->frame[i].ref);
		SHIM_ASSERT(!maps[i] || !spare[i]);
		SHIM_ASSERT(ref == pins + !!maps[i] + spare[i]);
		SHIM_ASSERT(!ref || atomic_read(&pool->frame[i].maps) ==
			    (int)maps[i]);
		used += !!maps[i];
		out += !!ref;
	}
	SHIM_ASSERT(pool->charged == used + spares);
	SHIM_ASSERT(pool->spares == spares);
	SHIM_ASSERT(pool->charged <= pool->capacity && pool->peak >= pool->charged &&
		    pool->peak <= pool->capacity);
	SHIM_ASSERT(pool->nr_free + out == pool->total);
	check_chunks(m);
	free(maps);
}

/* ---- requests --------------------------------------------------------------------------- */

static struct mmon_body last_body;

static struct place place_of(u32 location, const struct mmon_grant *grant,
			     u32 nr_grants)
{
	struct place place = { 0 };
	u32 j, at = location - 1;

	if (!last_body.len || !location)
		return place;
	for (j = 0; j < nr_grants; j++)
		if (grant[j].chunk == at >> MMON_CHUNK_SHIFT)
			break;
	SHIM_ASSERT(j < nr_grants);
	place.frame = at;
	place.rkey = grant[j].rkey;
	place.addr = grant[j].addr + (at % MMON_CHUNK_FRAMES) * MMON_PAGE_SIZE;
	return place;
}

struct place flush_place(u32 i)
{
	const struct mmon_flush_reply *reply = &last_body.flush;

	return place_of(reply->location[i], reply->grant, reply->nr_grants);
}

u32 spares_listed(void)
{
	return last_body.len ? last_body.spares.nr : 0;
}

struct place spare_place(u32 i)
{
	const struct mmon_spares *reply = &last_body.spares;

	return place_of(reply->location[i], reply->grant, reply->nr_grants);
}

/* Each page that may be told of is, with a key to just that page. */
static void check_places(struct mmon *m, const struct mmon_space *space,
			 const struct mmon_flush_page *page, u32 nr)
{
	struct mmon_frame *frame;
	struct place place;
	u32 i;

	for (i = 0; i < nr; i++) {
		frame = mmon_entry_frame(xa_load((struct xarray *)&space->pages,
						 page[i].addr >> MMON_PAGE_SHIFT));
		place = flush_place(i);
		SHIM_ASSERT(!!place.rkey ==
			    (frame && atomic_read(&frame->maps) == 1 &&
			     chunk_of(m, frame)->owner == &space->chunks));
		if (!place.rkey)
			continue;
		SHIM_ASSERT(frame == &m->pool.frame[place.frame]);
		SHIM_ASSERT(lite_stub_reach(place.rkey, place.addr) ==
			    mmon_frame_data(&m->pool, frame));
	}
	for (; i < MMON_FLUSH_MAX; i++)
		SHIM_ASSERT(!last_body.flush.location[i]);
}

/* Each grant is needed, and comes once. */
static void check_grants(const struct mmon_grant *grant, u32 nr_grants,
			 const u32 *location, u32 nr)
{
	u32 i, j, used;

	SHIM_ASSERT(nr_grants <= nr);
	for (i = 0; i < nr_grants; i++) {
		used = 0;
		for (j = 0; j < nr; j++)
			used += location[j] && grant[i].chunk ==
				(location[j] - 1) >> MMON_CHUNK_SHIFT;
		SHIM_ASSERT(used);
		for (j = 0; j < i; j++)
			SHIM_ASSERT(grant[i].chunk != grant[j].chunk);
	}
}

/* All spares of the space, in order, each with a key to just that frame. */
static void check_listed(struct mmon *m, const struct mmon_space *space)
{
	const struct mmon_spares *reply = &last_body.spares;
	struct place place;
	u32 i;

	SHIM_ASSERT(last_body.len == sizeof(*reply) +
		    reply->nr_grants * sizeof(reply->grant[0]));
	SHIM_ASSERT(reply->nr == space->nr_spares);
	check_grants(reply->grant, reply->nr_grants, reply->location,
		     MMON_SPARES_MAX);
	for (i = 0; i < reply->nr; i++) {
		place = spare_place(i);
		SHIM_ASSERT(space->spare[i] == &m->pool.frame[place.frame]);
		SHIM_ASSERT(lite_stub_reach(place.rkey, place.addr) ==
			    mmon_frame_data(&m->pool, space->spare[i]));
	}
	for (; i < MMON_SPARES_MAX; i++)
		SHIM_ASSERT(!reply->location[i]);
}

static void check_body(struct mmon *m, const struct lite_request *req, int err)
{
	const struct mmon_flush_reply *reply = &last_body.flush;
	const struct mmon_flush *msg = req->body;

	if (!err && req->op == MMON_OP_FLUSH) {
		SHIM_ASSERT(last_body.len == sizeof(*reply) +
			    reply->nr_grants * sizeof(reply->grant[0]));
		check_grants(reply->grant, reply->nr_grants, reply->location,
			     MMON_FLUSH_MAX);
		check_places(m, xa_load(&m->spaces, msg->asid),
			     (const void *)(msg + 1), msg->nr);
	} else if (!err && req->op == MMON_OP_ADOPT) {
		check_listed(m, xa_load(&m->spaces, msg->asid));
	} else {
		SHIM_ASSERT(!last_body.len);
	}
}

int do_raw(struct mmon *m, struct lite_request *req, struct mmon_pages *pages)
{
	bool atomic = req->op == MMON_OP_FETCH;
	int err;

	shim_atomic_depth += atomic;
	err = mmon_handle(m, req, pages, &last_body);
	shim_atomic_depth -= atomic;
	SHIM_ASSERT(err <= 0);
	SHIM_ASSERT(!pages->found || (req->op == MMON_OP_FETCH && !err));
	check_body(m, req, err);
	shim_rcu_flush();
	return err;
}

static int call(struct mmon *m, u32 node, u8 op, const void *body, u32 len,
		const void *payload, u32 payload_len)
{
	struct lite_request req = {
		.node = node,
		.incarnation = INCARNATION(node),
		.op = op,
		.body = body,
		.body_len = len,
		.payload = payload,
		.payload_len = payload_len,
	};
	struct mmon_pages pages;

	return do_raw(m, &req, &pages);
}

struct mmon_change ch(u32 type, u32 prot, u64 first, u64 last, u64 to)
{
	return (struct mmon_change){
		.type = cpu_to_le32(type),
		.prot = cpu_to_le32(prot),
		.start = cpu_to_le64(PAGE(first)),
		.end = cpu_to_le64(PAGE(last + 1)),
		.to = cpu_to_le64(PAGE(to)),
	};
}

int do_maps(struct mmon *m, u32 node, u64 asid, u64 seq, u32 nr,
	    const struct mmon_change *changes)
{
	u32 len = sizeof(struct mmon_maps) + nr * sizeof(*changes);
	struct mmon_maps *msg = malloc(len);
	int err;

	*msg = (struct mmon_maps){ asid, seq, nr, 0 };
	memcpy(msg + 1, changes, nr * sizeof(*changes));
	err = call(m, node, MMON_OP_MAPS, msg, len, NULL, 0);
	free(msg);
	return err;
}

int do_map(struct mmon *m, u32 node, u64 asid, u64 seq,
	   struct mmon_change change)
{
	return do_maps(m, node, asid, seq, 1, &change);
}

static void fill_pages(struct mmon_flush_page *page, u8 *payload, u32 nr,
		       const u64 *addr, struct content c)
{
	u32 i;

	for (i = 0; i < nr; i++, payload += MMON_PAGE_SIZE) {
		c.addr = addr[i];
		content_fill(payload, &c);
		page[i].addr = addr[i];
		page[i].sum = crc32c(~0u, payload, MMON_PAGE_SIZE);
	}
}

int do_flush(struct mmon *m, u32 node, u64 asid, u64 seq, u32 nr,
	     const u64 *addr, u64 stamp)
{
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page[MMON_FLUSH_MAX];
	} msg = { { asid, seq, nr, 0 }, { { 0, 0, 0 } } };
	u8 *payload = aligned_alloc(4096, nr * MMON_PAGE_SIZE);
	int err;

	fill_pages(msg.page, payload, nr, addr,
		   (struct content){ asid, 0, stamp, node });
	err = call(m, node, MMON_OP_FLUSH, &msg,
		   sizeof(msg.head) + nr * sizeof(msg.page[0]), payload,
		   nr * MMON_PAGE_SIZE);
	free(payload);
	return err;
}

int do_flush1(struct mmon *m, u32 node, u64 asid, u64 seq, u64 addr, u64 stamp)
{
	return do_flush(m, node, asid, seq, 1, &addr, stamp);
}

int do_adopt(struct mmon *m, u32 node, u64 asid, u64 seq, u32 want, u32 nr,
	     const u64 *addr, const u32 *frame)
{
	struct {
		struct mmon_adopt head;
		struct mmon_adopt_page page[MMON_SPARES_MAX + 1];
	} msg = { { asid, seq, nr, want }, { { 0, 0, 0 } } };
	u32 i;

	for (i = 0; i < nr; i++) {
		msg.page[i].addr = addr[i];
		msg.page[i].location = frame[i] + 1;
	}
	return call(m, node, MMON_OP_ADOPT, &msg,
		    sizeof(msg.head) + nr * sizeof(msg.page[0]), NULL, 0);
}

int do_clone(struct mmon *m, u32 node, u64 asid, u64 seq, u64 child, u64 start,
	     u64 end)
{
	struct mmon_clone msg = { asid, seq, child, start, end, 0 };

	return call(m, node, MMON_OP_CLONE, &msg, sizeof(msg), NULL, 0);
}

int do_exit(struct mmon *m, u32 node, u64 asid)
{
	struct mmon_exit msg = { asid };

	return call(m, node, MMON_OP_EXIT, &msg, sizeof(msg), NULL, 0);
}

int do_fetch(struct mmon *m, u32 node, u64 asid, u32 nr, const u64 *addr,
	     struct mmon_pages *pages)
{
	struct {
		struct mmon_fetch head;
		__le64 addr[MMON_FETCH_MAX];
	} msg = { { asid, nr, 0 }, { 0 } };
	struct lite_request req = {
		.node = node,
		.incarnation = INCARNATION(node),
		.op = MMON_OP_FETCH,
		.body = &msg,
		.body_len = sizeof(msg.head) + nr * sizeof(msg.addr[0]),
		.nr_direct = nr,
	};

	memcpy(msg.addr, addr, nr * sizeof(*addr));
	return do_raw(m, &req, pages);
}

const void *page_data(struct mmon *m, const struct mmon_pages *pages, u32 i)
{
	static u8 data[MMON_PAGE_SIZE] __aligned(8);
	int depth = shim_atomic_depth;
	long fail_at = shim_fail_at;

	if (!(pages->stored >> i & 1))
		return mmon_pages_data(m, pages, i, 0);
	/* It is the test that reads here: no failure is meant for it. */
	shim_atomic_depth = 0;
	shim_fail_at = -1;
	SHIM_ASSERT(!mmon_log_load(&m->log, &pages->place[i], NULL, data));
	shim_atomic_depth = depth;
	shim_fail_at = fail_at;
	return data;
}

int do_replica(struct mmon *m, u32 node, u64 asid, u32 feeder)
{
	struct mmon_replica msg = { asid, 1, feeder, 0 };

	return call(m, node, MMON_OP_REPLICA, &msg, sizeof(msg), NULL, 0);
}

int do_promote(struct mmon *m, u32 node, u64 asid, u64 seq)
{
	struct mmon_promote msg = { asid, seq };

	return call(m, node, MMON_OP_PROMOTE, &msg, sizeof(msg), NULL, 0);
}

int do_feed(struct mmon *m, u32 node, u64 asid, u32 nr, const u64 *addr,
	    u32 owner, u64 stamp)
{
	struct {
		struct mmon_feed head;
		struct mmon_flush_page page[MMON_FLUSH_MAX];
	} msg = { { asid, owner, 0, nr, 0 }, { { 0, 0, 0 } } };
	u8 *payload = aligned_alloc(4096, nr * MMON_PAGE_SIZE);
	int err;

	fill_pages(msg.page, payload, nr, addr,
		   (struct content){ asid, 0, stamp, owner });
	err = call(m, node, MMON_OP_FEED, &msg,
		   sizeof(msg.head) + nr * sizeof(msg.page[0]), payload,
		   nr * MMON_PAGE_SIZE);
	free(payload);
	return err;
}

int do_fetch1(struct mmon *m, u32 node, u64 asid, u64 addr, u64 *stamp)
{
	struct mmon_pages pages;
	struct content c;
	int err = do_fetch(m, node, asid, 1, &addr, &pages);

	*stamp = 0;
	if (err)
		return err;
	SHIM_ASSERT(pages.found == 1);
	SHIM_ASSERT(content_read(page_data(m, &pages, 0), &c));
	SHIM_ASSERT(c.node == node);
	*stamp = c.stamp;
	mmon_pages_put(m, &pages);
	return 0;
}

u64 counter(struct mmon *m, const char *name)
{
	struct lite_counter table[MMON_GAUGES + MMON_C_NR];
	int i, nr = mmon_counters_read(m, table);

	for (i = 0; i < nr; i++)
		if (!strcmp(table[i].name, name))
			return table[i].value;
	shim_fail(__FILE__, __LINE__, "no counter %s", name);
}

/* ---- random numbers ------------------------------------------------------------------------ */

static u64 state;

void random_seed(u64 seed)
{
	state = seed * 2 + 1;
}

u32 random_below(u32 n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u32)(mix(state) >> 32) % n;
}

u64 seed_from_env(const char *name)
{
	const char *text = getenv(name);
	u64 seed = text ? strtoull(text, NULL, 0) : (u64)time(NULL);

	printf("%s=%llu repeats this run\n", name, (unsigned long long)seed);
	return seed;
}
