// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the glue between lite_rpc and mmon: which reply is given
 * to which request, that pages are held until they are sent, and what the
 * manager is told.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "mmon_fixture.h"

#include <cmocka.h>

#define CAPACITY	40
#define P	0x1000ull

static struct mmon m;

static void call(u32 node, u8 op, const void *body, u32 len,
		 const void *payload, u32 payload_len, u32 nr_direct)
{
	struct lite_request req = {
		.node = node,
		.incarnation = INCARNATION(node),
		.op = op,
		.body = body,
		.body_len = len,
		.payload = payload,
		.payload_len = payload_len,
		.nr_direct = nr_direct,
	};

	lite_stub_call(&req);
}

static int fetch(u32 nr, const u64 *page)
{
	struct {
		struct mmon_fetch head;
		__le64 addr[MMON_FETCH_MAX];
	} msg = { { P, nr, 0 }, { 0 } };
	u32 i;

	for (i = 0; i < nr; i++)
		msg.addr[i] = PAGE(page[i]);
	call(NODE_A, MMON_OP_FETCH, &msg, sizeof(msg.head) + 8 * nr, NULL, 0, nr);
	return lite_stub_reply.status;
}

static int fetch1(u64 page)
{
	return fetch(1, &page);
}

static void flush(u64 seq, u64 page, u64 stamp)
{
	struct {
		struct mmon_flush head;
		struct mmon_flush_page page;
	} msg = { { P, seq, 1, 0 }, { PAGE(page), 0, 0 } };
	static u8 data[MMON_PAGE_SIZE] __aligned(8);
	struct content c = { P, PAGE(page), stamp, NODE_A };

	content_fill(data, &c);
	msg.page.sum = crc32c(~0u, data, sizeof(data));
	call(NODE_A, MMON_OP_FLUSH, &msg, sizeof(msg), data, sizeof(data), 0);
	assert_int_equal(lite_stub_reply.status, 0);
}

static void map(u32 node, u64 asid)
{
	struct {
		struct mmon_maps head;
		struct mmon_change change;
	} msg = { { asid, 1, 1, 0 }, ch(MMON_MAP, RW, 0, 99, 0) };

	call(node, MMON_OP_MAPS, &msg, sizeof(msg), NULL, 0, 0);
	assert_int_equal(lite_stub_reply.status, 0);
	assert_int_equal(lite_stub_reply.len, 0);
}

static int setup(void **state)
{
	(void)state;
	fixture_start(&m, CAPACITY);
	assert_int_equal(mmon_serve_start(&m), 0);
	map(NODE_A, P);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lite_stub_release();
	mmon_serve_stop();
	assert_false(lite_stub_member[LITE_SVC_MMON].present);
	fixture_stop(&m);
	return 0;
}

static void expect_page(u32 i, u64 stamp)
{
	const void *page = lite_stub_page(&lite_stub_reply.src[i]);
	static const u8 zero[MMON_PAGE_SIZE];
	struct content c;

	if (!stamp) {
		assert_memory_equal(page, zero, sizeof(zero));
		return;
	}
	assert_true(content_read(page, &c));
	assert_int_equal(c.stamp, stamp);
}

static void one_page(void **state)
{
	u32 before;

	(void)state;
	flush(2, 5, 10);
	before = m.pool.nr_free;
	assert_int_equal(fetch1(5), 0);
	assert_int_equal(lite_stub_reply.nr, 1);
	assert_int_equal(lite_stub_reply.len, 0);	/* one packet */
	flush(3, 5, 11);		/* releases, as the slot is used again */
	assert_int_equal(m.pool.nr_free, before);
	assert_int_equal(fetch1(5), 0);
	expect_page(0, 11);
}

static void page_is_held_until_sent(void **state)
{
	struct mmon_exit msg = { P };
	struct lite_request req = {
		.node = NODE_A, .incarnation = INCARNATION(NODE_A),
		.op = MMON_OP_EXIT, .body = &msg, .body_len = sizeof(msg),
	};
	struct mmon_pages pages;

	(void)state;
	flush(2, 5, 10);
	assert_int_equal(fetch1(5), 0);
	assert_int_equal(do_raw(&m, &req, &pages), 0);
	assert_int_equal(m.pool.nr_free, m.pool.total - 1);
	expect_page(0, 10);
	lite_stub_release();
	assert_int_equal(m.pool.nr_free, m.pool.total);
}

static void absent_page(void **state)
{
	unsigned long messages = shim_messages;

	(void)state;
	assert_int_equal(fetch1(5), -ENOENT);
	assert_int_equal(shim_messages, messages);	/* nothing to complain of */
	assert_int_equal(fetch1(200), -EFAULT);
	assert_int_equal(shim_messages, messages + 1);
}

static void many_pages_with_holes(void **state)
{
	const u64 page[] = { 3, 4, 5, 6, 7 };

	(void)state;
	flush(2, 4, 10);
	flush(3, 6, 11);
	assert_int_equal(fetch(5, page), 0);
	assert_int_equal(lite_stub_reply.nr, 4);	/* none behind the last */
	assert_int_equal(lite_stub_reply.len, 4);
	assert_int_equal(*(u32 *)lite_stub_reply.body, 1 << 1 | 1 << 3);
	expect_page(0, 0);
	expect_page(1, 10);
	expect_page(2, 0);
	expect_page(3, 11);
}

static void many_pages_none_there(void **state)
{
	const u64 page[] = { 3, 4 };

	(void)state;
	assert_int_equal(fetch(2, page), 0);
	assert_int_equal(lite_stub_reply.nr, 0);
	assert_int_equal(lite_stub_reply.len, 4);
	assert_int_equal(*(u32 *)lite_stub_reply.body, 0);
}

static void many_pages_no_memory(void **state)
{
	const u64 page[] = { 3, 4 };

	(void)state;
	flush(2, 4, 10);
	shim_fail_at = 0;
	assert_int_equal(fetch(2, page), -ENOMEM);
	shim_fail_at = -1;
	fixture_check(&m, NULL, 0);
	assert_int_equal(counter(&m, "refused_no_memory"), 1);
}

static void unknown_operation(void **state)
{
	unsigned long messages = shim_messages;

	(void)state;
	call(NODE_A, 63, NULL, 0, NULL, 0, 0);
	assert_int_equal(lite_stub_reply.status, -EOPNOTSUPP);
	assert_int_equal(shim_messages, messages + 1);
}

static void manager_is_told(void **state)
{
	const struct lite_stub_member *told = &lite_stub_member[LITE_SVC_MMON];

	(void)state;
	shim_run_work();
	assert_true(told->present);
	assert_int_equal(told->capacity, CAPACITY);
	assert_int_equal(told->free, CAPACITY);
	flush(2, 5, 10);
	assert_int_equal(told->free, CAPACITY);
	shim_run_work();
	assert_int_equal(told->free, CAPACITY - 1);
	assert_int_equal(fetch1(5), 0);
	shim_run_work();
	assert_int_equal(told->free, CAPACITY - 1);
}

static void lost_hosts(void **state)
{
	unsigned long messages;

	(void)state;
	map(NODE_B, 77);
	messages = shim_messages;
	lite_stub_handler->event(NODE_A, LITE_EV_DOWN, NULL);
	lite_stub_handler->event(NODE_A, LITE_EV_UP, NULL);
	assert_int_equal(counter(&m, "spaces"), 2);
	lite_stub_handler->event(NODE_A, LITE_EV_DEAD, NULL);
	assert_int_equal(counter(&m, "spaces"), 1);
	assert_int_equal(counter(&m, "spaces_lost"), 1);
	assert_int_equal(shim_messages, messages + 1);
	lite_stub_handler->event(NODE_A, LITE_EV_RESTARTED, NULL);
	assert_int_equal(shim_messages, messages + 1);	/* nothing was lost */
	lite_stub_handler->event(NODE_B, LITE_EV_LEFT, NULL);
	assert_int_equal(counter(&m, "spaces_lost"), 2);
	shim_rcu_flush();
}

static void service_taken(void **state)
{
	struct mmon other;

	(void)state;
	mmon_init(&other);
	assert_int_equal(mmon_serve_start(&m), -EBUSY);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_page),
		TEST(page_is_held_until_sent),
		TEST(absent_page),
		TEST(many_pages_with_holes),
		TEST(many_pages_none_there),
		TEST(many_pages_no_memory),
		TEST(unknown_operation),
		TEST(manager_is_told),
		TEST(lost_hosts),
		TEST(service_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
