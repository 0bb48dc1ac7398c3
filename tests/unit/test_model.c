// SPDX-License-Identifier: GPL-2.0
/*
 * This test will run random requests of two nodes against mmon and against a
 * model that is as simple as can be: per space one protection and one number
 * per page, and a list of which numbers there are. Answers, contents and counts
 * must agree after every request. Pages are also read and written in place by
 * the keys that flushes were answered with, as long as the owner may. Chunks are
 * small here, so that spaces have to take them from each other.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	44
#define PAGES		40
#define SPACES		5
#define ROUNDS		60
#define STEPS		1500

/* Page i of the model is at this address: two clusters far apart. */
static u64 page_no(u32 i)
{
	return i < PAGES / 2 ? i : (1ull << 34) + i;
}

/*
 * @value: 0: nothing stored; else names a frame: flushes make new ones, clones
 *	copy them
 * @place: where the owner may write the page in place
 * @spares, @spare: spare frames that it has; @rkey 0: no longer to be reached
 */
struct model {
	bool exists;
	u32 node;
	u64 seq;
	signed char prot[PAGES];
	u32 value[PAGES];
	struct place place[PAGES];
	u32 spares;
	struct place spare[MMON_SPARES_MAX];
};

static struct model model[SPACES];
static struct mmon m;
static u32 last_value;

static u64 asid_of(u32 i)
{
	return 0x100 + i * 0x123456789ull;
}

static bool shared(u32 value)
{
	u32 i, j, n = 0;

	for (i = 0; i < SPACES; i++)
		for (j = 0; j < PAGES; j++)
			n += model[i].exists && model[i].value[j] == value;
	return n > 1;
}

static u32 used(void)
{
	u32 i, j, k, l, n = 0;

	for (i = 0; i < SPACES; i++) {
		for (j = 0; j < PAGES; j++) {
			bool first = model[i].exists && model[i].value[j];

			for (k = 0; first && k <= i; k++)
				for (l = 0; first && l < (k == i ? j : PAGES); l++)
					first = !model[k].exists ||
						model[k].value[l] !=
						model[i].value[j];
			n += first;
		}
	}
	return n;
}

static u32 spares(void)
{
	u32 i, n = 0;

	for (i = 0; i < SPACES; i++)
		n += model[i].exists ? model[i].spares : 0;
	return n;
}

static void forget(struct model *s)
{
	memset(s, 0, sizeof(*s));
	memset(s->prot, -1, sizeof(s->prot));
}

static struct model *create(struct model *s, u32 node)
{
	forget(s);
	s->exists = true;
	s->node = node;
	return s;
}

static u32 any_node(void)
{
	return random_below(2) ? NODE_A : NODE_B;
}

/* Mostly who owns it, so that things happen. */
static u32 some_node(const struct model *s)
{
	return s->exists && random_below(20) ? s->node : any_node();
}

static u64 some_seq(const struct model *s)
{
	u32 dice = random_below(20);

	if (dice == 0)
		return s->seq + 2 + random_below(5);
	if (dice == 1 && s->seq)
		return 1 + random_below(s->seq);
	return s->seq + 1;
}

/* Return: > 0: a repeat. */
static int admit(const struct model *s, u32 node, u64 seq)
{
	if (!s->exists)
		return -ENOENT;
	if (s->node != node)
		return -EPERM;
	if (seq <= s->seq)
		return 1;
	return seq == s->seq + 1 ? 0 : -EPROTO;
}

/* A range of model pages that is one range of addresses. */
static void some_range(u32 *first, u32 *last)
{
	u32 half = random_below(2) * PAGES / 2;

	*first = half + random_below(PAGES / 2);
	*last = *first + random_below(half + PAGES / 2 - *first);
}

/* ---- maps -------------------------------------------------------------------------- */

struct step {
	u32 type, prot, first, last, to;
};

static struct step some_step(void)
{
	struct step s = { 0 };
	u32 len, room;

	some_range(&s.first, &s.last);
	s.type = random_below(2) ? MMON_MAP : 1 + random_below(4);
	if (s.type == MMON_MAP)
		s.prot = random_below(12) ? RW : random_below(4);
	if (s.type != MMON_MOVE)
		return s;
	s.prot = RW;
	/* A move goes to the other half. */
	len = s.last - s.first;
	room = PAGES / 2 - len;
	s.to = (s.first < PAGES / 2 ? PAGES / 2 : 0) + random_below(room);
	return s;
}

static void model_step(struct model *s, const struct step *step)
{
	u32 i, to;

	for (i = step->first; i <= step->last; i++) {
		to = step->to + i - step->first;
		if (step->type == MMON_MAP)
			s->prot[i] = step->prot;
		if (step->type == MMON_UNMAP)
			s->prot[i] = -1;
		if (step->type == MMON_MOVE) {
			s->prot[to] = step->prot;
			s->value[to] = s->value[i];
			s->place[to] = s->place[i];
		}
		if (step->type == MMON_MAP)
			continue;
		s->value[i] = 0;
		s->place[i].rkey = 0;
	}
}

static void maps(void)
{
	struct mmon_change changes[8];
	u32 i, nr = 1 + random_below(random_below(2) ? 8 : 1), which = random_below(SPACES);
	struct model *s = &model[which];
	u32 node = some_node(s);
	u64 seq = some_seq(s);
	struct step steps[8];
	int expect;

	for (i = 0; i < nr; i++) {
		steps[i] = some_step();
		if (!s->exists && i < 2)	/* begin with memory */
			steps[i] = (struct step){ MMON_MAP, RW, i * PAGES / 2,
						  (i + 1) * PAGES / 2 - 1, 0 };
		changes[i] = ch(steps[i].type, steps[i].prot,
				page_no(steps[i].first), page_no(steps[i].last),
				steps[i].type == MMON_MOVE ?
				page_no(steps[i].to) : 0);
	}
	expect = admit(s, node, seq);
	if (expect == -ENOENT && seq == 1) {
		create(s, node);
		expect = 0;
	}
	assert_int_equal(do_maps(&m, node, asid_of(which), seq, nr, changes),
			 min(expect, 0));
	if (expect)
		return;
	for (i = 0; i < nr; i++)
		model_step(s, &steps[i]);
	s->seq++;
}

/* ---- flush -------------------------------------------------------------------------- */

static int model_flush(struct model *s, u32 node, u64 seq, u32 nr,
		       const u32 *page, u32 stamp)
{
	int expect = admit(s, node, seq);
	u32 i, more = 0;

	for (i = 0; !expect && i < nr; i++) {
		if (s->prot[page[i]] < 0)
			expect = -EFAULT;
		else if (!(s->prot[page[i]] & MMON_PROT_WRITE))
			expect = -EACCES;
		more += !s->value[page[i]] || shared(s->value[page[i]]);
	}
	if (!expect && used() + spares() + more > CAPACITY)
		expect = -ENOSPC;
	if (expect)
		return expect;
	for (i = 0; i < nr; i++)
		s->value[page[i]] = stamp + i;
	s->seq++;
	return 0;
}

static void flush(void)
{
	u32 i, which = random_below(SPACES), page[MMON_FLUSH_MAX];
	u32 nr = random_below(3) ? 1 : 1 + random_below(MMON_FLUSH_MAX);
	struct model *s = &model[which];
	u32 node = some_node(s), start = random_below(PAGES);
	u64 seq = some_seq(s), addr[MMON_FLUSH_MAX];
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page[MMON_FLUSH_MAX];
	} msg = { { asid_of(which), seq, nr, 0 }, { { 0, 0, 0 } } };
	static u8 payload[MMON_FLUSH_MAX][MMON_PAGE_SIZE] __aligned(4096);
	struct lite_request req = {
		.node = node, .incarnation = INCARNATION(node),
		.op = MMON_OP_FLUSH, .body = &msg,
		.body_len = sizeof(msg.head) + nr * sizeof(msg.page[0]),
		.payload = payload, .payload_len = nr * MMON_PAGE_SIZE,
	};
	bool corrupt = !random_below(30);
	struct mmon_pages pages;
	int expect, err;

	for (i = 0; i < nr; i++) {
		struct content c = { 0 };

		page[i] = (start + i) % PAGES;
		addr[i] = PAGE(page_no(page[i]));
		c = (struct content){ 0, 0, last_value + 1 + i, 0 };
		content_fill(payload[i], &c);
		msg.page[i].addr = addr[i];
		msg.page[i].sum = crc32c(~0u, payload[i], MMON_PAGE_SIZE);
	}
	if (corrupt) {
		struct model copy = *s;

		payload[random_below(nr)][random_below(4096)] ^= 1;
		expect = model_flush(&copy, node, seq, nr, page, last_value + 1);
		expect = expect ? expect : -EILSEQ;
	} else {
		expect = model_flush(s, node, seq, nr, page, last_value + 1);
	}
	last_value += nr;
	err = do_raw(&m, &req, &pages);
	assert_int_equal(err, min(expect, 0));
	for (i = 0; !err && i < nr; i++)
		s->place[page[i]] = flush_place(i);
}

/* ---- one-sided ---------------------------------------------------------------------------- */

static u32 in_place, refused;

static void write_in_place(void)
{
	u32 which = random_below(SPACES), p = random_below(PAGES), i;
	struct model *s = &model[which];
	struct content c = { 0 };
	void *data;

	for (i = 0; i < PAGES && !s->place[p].rkey; i++)
		p = (p + 1) % PAGES;
	if (!s->exists || !s->place[p].rkey)
		return;
	data = lite_stub_reach(s->place[p].rkey, s->place[p].addr);
	if (!data) {		/* revoked; from now on by request */
		s->place[p].rkey = 0;
		refused++;
		return;
	}
	assert_true(content_read(data, &c));
	assert_int_equal(c.stamp, s->value[p]);
	c.stamp = ++last_value;
	content_fill(data, &c);
	s->value[p] = last_value;
	in_place++;
}

/* ---- spare frames ------------------------------------------------------------------------- */

static u32 adopted;

/* What the owner writes into spare frames that it still reaches. */
static u32 fill_spares(struct model *s, u32 nr, struct place *place, u32 *frame)
{
	struct content c = { 0 };
	u32 i, n = 0;
	void *data;

	for (i = 0; i < s->spares && n < nr; i++) {
		data = lite_stub_reach(s->spare[i].rkey, s->spare[i].addr);
		if (!data)
			continue;
		c.stamp = last_value + 1 + n;
		content_fill(data, &c);
		place[n] = s->spare[i];
		frame[n++] = s->spare[i].frame;
	}
	return n;
}

static void adopt(void)
{
	u32 i, nr, which = random_below(SPACES), start = random_below(PAGES);
	u32 frame[MMON_SPARES_MAX], page[MMON_SPARES_MAX];
	u32 want = random_below(8), stamp = last_value + 1;
	struct place place[MMON_SPARES_MAX];
	struct model *s = &model[which];
	u64 seq = some_seq(s), addr[MMON_SPARES_MAX];
	u32 node = some_node(s);
	int expect = admit(s, node, seq), err;

	nr = s->exists ? fill_spares(s, random_below(6), place, frame) : 0;
	want += !nr && !want;
	for (i = 0; i < nr; i++) {
		page[i] = (start + i) % PAGES;
		addr[i] = PAGE(page_no(page[i]));
		if (!expect && s->prot[page[i]] < 0)
			expect = -EFAULT;
		else if (!expect && !(s->prot[page[i]] & MMON_PROT_WRITE))
			expect = -EACCES;
	}
	if (nr > 1 && !random_below(10)) {
		frame[nr - 1] = frame[0];
		expect = expect ? expect : -EINVAL;
	}
	last_value += nr;
	err = do_adopt(&m, node, asid_of(which), seq, want, nr, addr, frame);
	assert_int_equal(err, min(expect, 0));
	if (err)
		return;
	for (i = 0; !expect && i < nr; i++) {
		s->value[page[i]] = stamp + i;
		s->place[page[i]] = place[i];
		adopted++;
	}
	s->seq += !expect;
	assert_true(expect || spares_listed() <= max(want, s->spares));
	s->spares = spares_listed();
	for (i = 0; i < s->spares; i++)
		s->spare[i] = spare_place(i);
}

/* ---- clone, exit, loss ------------------------------------------------------------------ */

static void clone(void)
{
	u32 from = random_below(SPACES), to = random_below(SPACES), i;
	struct model *s = &model[from], *child = &model[to];
	u32 first = 0, last = PAGES - 1, node = some_node(s);
	u64 seq = some_seq(s);
	int expect = admit(s, node, seq);

	if (random_below(2))
		some_range(&first, &last);
	if (from == to)
		expect = -EBADMSG;
	if (!expect && child->exists && child->node != node)
		expect = -EPERM;
	assert_int_equal(do_clone(&m, node, asid_of(from), seq, asid_of(to),
				  PAGE(page_no(first)), PAGE(page_no(last) + 1)),
			 min(expect, 0));
	if (expect)
		return;
	if (!child->exists)
		create(child, node);
	for (i = first; i <= last; i++) {
		child->prot[i] = s->prot[i];
		child->value[i] = s->value[i];
		child->place[i].rkey = 0;
		s->place[i].rkey = 0;
	}
	s->seq++;
}

static void quit(void)
{
	u32 which = random_below(SPACES);
	struct model *s = &model[which];
	u32 node = some_node(s);
	int expect = s->exists && s->node != node ? -EPERM : 0;

	assert_int_equal(do_exit(&m, node, asid_of(which)), expect);
	if (!expect)
		forget(s);
}

static void lose_node(void)
{
	u32 node = any_node(), i, n = 0;

	for (i = 0; i < SPACES; i++) {
		if (!model[i].exists || model[i].node != node)
			continue;
		forget(&model[i]);
		n++;
	}
	assert_int_equal(mmon_spaces_drop(&m, &node), n);
	shim_rcu_flush();
}

/* ---- fetch ---------------------------------------------------------------------------------- */

static void compare_page(const struct model *s, u32 page,
			 const struct mmon_pages *pages, u32 i)
{
	struct content c;

	assert_int_equal(pages->found >> i & 1, !!s->value[page]);
	if (!s->value[page])
		return;
	assert_true(content_read(mmon_frame_data(&m.pool, pages->frame[i]), &c));
	assert_int_equal(c.stamp, s->value[page]);
}

static void fetch(u32 which, u32 node, u32 start, u32 nr)
{
	struct model *s = &model[which];
	u64 addr[MMON_FETCH_MAX];
	struct mmon_pages pages;
	int expect = 0, err;
	u32 i, p, absent = 0;

	for (i = 0; i < nr; i++)
		addr[i] = PAGE(page_no((start + i) % PAGES));
	if (!s->exists)
		expect = -ENOENT;
	else if (s->node != node)
		expect = -EPERM;
	for (i = 0; !expect && i < nr; i++) {
		p = (start + i) % PAGES;
		if (s->prot[p] < 0)
			expect = -EFAULT;
		else if (!(s->prot[p] & MMON_PROT_READ))
			expect = -EACCES;
		absent += !s->value[p];
	}
	if (!expect && nr == 1 && absent)
		expect = -ENOENT;
	err = do_fetch(&m, node, asid_of(which), nr, addr, &pages);
	assert_int_equal(err, expect);
	for (i = 0; !err && i < nr; i++)
		compare_page(s, (start + i) % PAGES, &pages, i);
	fixture_check(&m, &pages, !err);
	mmon_pages_put(&m, &pages);
}

static void some_fetch(void)
{
	u32 which = random_below(SPACES);

	fetch(which, some_node(&model[which]), random_below(PAGES),
	      random_below(2) ? 1 : 1 + random_below(MMON_FETCH_MAX));
}

static void compare_all(void)
{
	u32 i, p;

	for (i = 0; i < SPACES; i++)
		for (p = 0; p < PAGES; p++)
			fetch(i, model[i].node, p, 1);
}

/* ---- all together ------------------------------------------------------------------------------ */

static void step(void)
{
	u32 dice = random_below(100);

	if (dice < 20)
		maps();
	else if (dice < 50)
		flush();
	else if (dice < 65)
		write_in_place();
	else if (dice < 75)
		adopt();
	else if (dice < 85)
		some_fetch();
	else if (dice < 95)
		clone();
	else if (dice < 96)
		quit();
	else if (!random_below(20))
		lose_node();
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "frames_free"), CAPACITY - used());
}

/* Is the test any good? */
static void tell(void)
{
	struct lite_counter table[MMON_GAUGES + MMON_C_NR];
	int i, nr = mmon_counters_read(&m, table);

	for (i = 0; i < nr; i++)
		print_message("%s %llu%s", table[i].name,
			      (unsigned long long)table[i].value,
			      i + 1 < nr ? ", " : "\n");
	print_message("%u pages written in place, %u refused, %u adopted\n",
		      in_place, refused, adopted);
}

static void random_requests(void **state)
{
	u32 round, i;

	(void)state;
	random_seed(seed_from_env("SK_MODEL_SEED"));
	for (round = 0; round < ROUNDS; round++) {
		fixture_start(&m, CAPACITY);
		for (i = 0; i < SPACES; i++)
			forget(&model[i]);
		for (i = 0; i < STEPS; i++) {
			step();
			if (!(i % 100))
				compare_all();
		}
		compare_all();
		if (!round)
			tell();
		fixture_stop(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
