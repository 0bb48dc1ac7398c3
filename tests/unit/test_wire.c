// SPDX-License-Identifier: GPL-2.0
/*
 * This test will check the codec of lite_rpc: what is put can be got, every
 * length but the right one is refused, and so is every field that is wrong.
 */
#include <setjmp.h>
#include <stdarg.h>

#include "shim/shim.h"
#include "../../lite-rpc/wire.h"

#include <cmocka.h>

static const struct wire_link good_link = {
	.lane = WIRE_LANE_BULK,
	.slots = 64,
	.epoch = 0x11223344,
	.rkey = 0x55667788,
	.addr = 0x123456789abcdef0ull,
	.incarnation = 0xfedcba9876543210ull,
};

/* A copy of exactly @len bytes, so that reading on is seen. */
static void *exactly(const void *msg, u32 len)
{
	void *copy = malloc(len ? len : 1);

	memcpy(copy, msg, len);
	return copy;
}

static void imm_keeps_all_parts(void **state)
{
	u32 imm = wire_imm(WIRE_GOODBYE, 0x1b, 0xabcdef);

	(void)state;
	assert_int_equal(wire_imm_kind(imm), WIRE_GOODBYE);
	assert_int_equal(wire_imm_epoch(imm), 0xb);
	assert_int_equal(wire_imm_slot(imm), 0xabcdef);
	assert_int_equal(wire_imm_kind(wire_imm(1, 0, ~0u)), 1);
}

/* ---- handshake -------------------------------------------------------------- */

static void connect_there_and_back(void **state)
{
	struct wire_connect msg;
	u32 node = 0, len;
	void *copy;

	(void)state;
	wire_put_connect(&msg, 0x0a000001);
	assert_int_equal(wire_get_connect(&msg, sizeof(msg), &node), 0);
	assert_int_equal(node, 0x0a000001);
	assert_int_equal(((u8 *)&msg)[4], 1);	/* little endian */
	for (len = 0; len < sizeof(msg); len++) {
		copy = exactly(&msg, len);
		assert_int_equal(wire_get_connect(copy, len, &node), -EBADMSG);
		free(copy);
	}
}

static void accept_there_and_back(void **state)
{
	struct wire_accept msg;
	u32 node = 0, len;
	u16 slots = 0;
	void *copy;

	(void)state;
	wire_put_accept(&msg, 7, 64);
	assert_int_equal(wire_get_accept(&msg, sizeof(msg), &node, &slots), 0);
	assert_int_equal(node, 7);
	assert_int_equal(slots, 64);
	for (len = 0; len < sizeof(msg); len++) {
		copy = exactly(&msg, len);
		assert_int_equal(wire_get_accept(copy, len, &node, &slots),
				 -EBADMSG);
		free(copy);
	}
	wire_put_accept(&msg, 7, 0);
	assert_int_equal(wire_get_accept(&msg, sizeof(msg), &node, &slots),
			 -EBADMSG);
	wire_put_accept(&msg, 7, WIRE_SLOTS_MAX + 1);
	assert_int_equal(wire_get_accept(&msg, sizeof(msg), &node, &slots),
			 -EBADMSG);
	wire_put_accept(&msg, 7, WIRE_SLOTS_MAX);
	assert_int_equal(wire_get_accept(&msg, sizeof(msg), &node, &slots), 0);
	msg.reserved0 = 1;
	assert_int_equal(wire_get_accept(&msg, sizeof(msg), &node, &slots),
			 -EBADMSG);
	msg.reserved0 = 0;
	msg.reserved1 = 1;
	assert_int_equal(wire_get_accept(&msg, sizeof(msg), &node, &slots),
			 -EBADMSG);
}

static void refusal_there_and_back(void **state)
{
	struct wire_refusal msg;
	u32 reason = 0, i;

	(void)state;
	wire_put_refusal(&msg, WIRE_REJECT_KEY);
	assert_int_equal(wire_get_refusal(&msg, sizeof(msg), &reason), 0);
	assert_int_equal(reason, WIRE_REJECT_KEY);
	msg.major = 99;				/* that may be the reason */
	assert_int_equal(wire_get_refusal(&msg, sizeof(msg), &reason), 0);
	assert_int_equal(wire_get_refusal(&msg, 7, &reason), -EBADMSG);
	assert_int_equal(wire_get_refusal(NULL, 0, &reason), -EBADMSG);
	msg.magic = 1;
	assert_int_equal(wire_get_refusal(&msg, sizeof(msg), &reason), -EBADMSG);
	for (i = WIRE_REJECT_MALFORMED; i <= WIRE_REJECT_UNLOADING; i++)
		assert_string_not_equal(wire_reject_text(i), wire_reject_text(0));
}

static void other_magic_or_major(void **state)
{
	struct wire_connect connect;
	struct wire_hello hello;
	struct wire_link link;
	u32 node;

	(void)state;
	wire_put_connect(&connect, 1);
	connect.major++;
	assert_int_equal(wire_get_connect(&connect, sizeof(connect), &node),
			 -EPROTO);
	connect.magic++;
	assert_int_equal(wire_get_connect(&connect, sizeof(connect), &node),
			 -EBADMSG);
	wire_put_hello(&hello, &good_link);
	hello.minor++;
	assert_int_equal(wire_get_hello(&hello, sizeof(hello), &link), 0);
	hello.major++;
	assert_int_equal(wire_get_hello(&hello, sizeof(hello), &link), -EPROTO);
}

static void same_link(const struct wire_link *link)
{
	assert_int_equal(link->lane, good_link.lane);
	assert_int_equal(link->slots, good_link.slots);
	assert_int_equal(link->epoch, good_link.epoch);
	assert_int_equal(link->rkey, good_link.rkey);
	assert_int_equal(link->addr, good_link.addr);
	assert_int_equal(link->incarnation, good_link.incarnation);
}

static void hello_and_welcome(void **state)
{
	struct wire_welcome welcome;
	struct wire_hello hello;
	struct wire_link link;
	u32 len;
	void *copy;

	(void)state;
	wire_put_hello(&hello, &good_link);
	assert_int_equal(wire_get_hello(&hello, sizeof(hello), &link), 0);
	same_link(&link);
	wire_put_welcome(&welcome, &good_link);
	assert_int_equal(wire_get_welcome(&welcome, sizeof(welcome), &link), 0);
	same_link(&link);
	for (len = 0; len <= sizeof(hello) + 8; len++) {
		if (len == sizeof(hello))
			continue;
		copy = calloc(1, len + 1);
		memcpy(copy, &hello, min(len, (u32)sizeof(hello)));
		assert_int_equal(wire_get_hello(copy, len, &link), -EBADMSG);
		assert_int_equal(wire_get_welcome(copy, len, &link), -EBADMSG);
		free(copy);
	}
}

static void bad_links(void **state)
{
	struct wire_link bad[4] = { good_link, good_link, good_link, good_link };
	struct wire_welcome welcome;
	struct wire_hello hello;
	struct wire_link link;
	u32 i;

	(void)state;
	bad[0].lane = WIRE_LANES;
	bad[1].slots = 0;
	bad[2].slots = WIRE_SLOTS_MAX + 1;
	bad[3].incarnation = 0;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		wire_put_hello(&hello, &bad[i]);
		assert_int_equal(wire_get_hello(&hello, sizeof(hello), &link),
				 -EBADMSG);
		wire_put_welcome(&welcome, &bad[i]);
		assert_int_equal(wire_get_welcome(&welcome, sizeof(welcome),
						  &link), -EBADMSG);
	}
	wire_put_hello(&hello, &good_link);
	hello.reserved0 = 1;
	assert_int_equal(wire_get_hello(&hello, sizeof(hello), &link), -EBADMSG);
	wire_put_welcome(&welcome, &good_link);
	welcome.reserved0 = 1;
	assert_int_equal(wire_get_welcome(&welcome, sizeof(welcome), &link),
			 -EBADMSG);
}

/* ---- requests and replies ------------------------------------------------------ */

static u8 buf[WIRE_SLOT_SIZE] __aligned(8);

static u32 make_request(u8 nr_payload, u8 nr_direct, u16 body_len)
{
	struct wire_request_info info = {
		.service = 2, .op = 3, .nr_payload = nr_payload,
		.nr_direct = nr_direct, .body_len = body_len,
		.epoch = 0x89abcdef, .id = 0x1122334455667788ull,
	};
	struct wire_request *msg = (void *)buf;
	struct wire_direct *direct = (void *)(msg + 1);
	u32 i;

	wire_put_request(msg, &info);
	for (i = 0; i < nr_direct && i < WIRE_DIRECT_MAX; i++)
		wire_put_direct(&direct[i], i * 4096ull, i + 100);
	return sizeof(*msg) + nr_direct * sizeof(*direct) + body_len;
}

static void request_there_and_back(void **state)
{
	u32 len = make_request(3, 16, WIRE_BODY_MAX), i;
	struct wire_request_info info;

	(void)state;
	assert_int_equal(wire_get_request(buf, len, &info), 0);
	assert_int_equal(info.service, 2);
	assert_int_equal(info.op, 3);
	assert_int_equal(info.nr_payload, 3);
	assert_int_equal(info.nr_direct, 16);
	assert_int_equal(info.body_len, WIRE_BODY_MAX);
	assert_int_equal(info.epoch, 0x89abcdef);
	assert_int_equal(info.id, 0x1122334455667788ull);
	assert_ptr_equal(info.body, buf + len - WIRE_BODY_MAX);
	for (i = 0; i < 16; i++) {
		assert_int_equal(info.direct[i].addr, i * 4096);
		assert_int_equal(info.direct[i].rkey, i + 100);
	}
}

static void request_of_other_length(void **state)
{
	u32 right = make_request(0, 2, 40), len;
	struct wire_request_info info;
	void *copy;

	(void)state;
	for (len = 0; len < right + 100; len++) {
		copy = exactly(buf, len);
		assert_int_equal(wire_get_request(copy, len, &info),
				 len == right ? 0 : -EBADMSG);
		free(copy);
	}
}

static void bad_requests(void **state)
{
	struct wire_request *msg = (void *)buf;
	struct wire_direct *direct = (void *)(msg + 1);
	struct wire_request_info info;
	u32 len;

	(void)state;
	len = make_request(WIRE_PAYLOAD_MAX + 1, 0, 8);
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
	len = make_request(0, WIRE_DIRECT_MAX + 1, 8);
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
	len = make_request(0, 0, WIRE_BODY_MAX + 1);
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
	len = make_request(0, 1, 8);
	direct->reserved = 1;
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
	len = make_request(0, 1, 8);
	msg->reserved0 = 1;
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
	len = make_request(0, 1, 8);
	msg->reserved1 = 1;
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
	len = make_request(0, 1, 8);
	msg->major++;
	assert_int_equal(wire_get_request(buf, len, &info), -EPROTO);
	msg->magic++;
	assert_int_equal(wire_get_request(buf, len, &info), -EBADMSG);
}

static int reply(s32 status, u16 body_len, struct wire_reply_info *out)
{
	struct wire_reply_info info = {
		.body_len = body_len, .epoch = 5, .status = status, .id = 6,
	};

	wire_put_reply((void *)buf, &info);
	return wire_get_reply(buf, sizeof(struct wire_reply) + body_len, out);
}

static void replies(void **state)
{
	struct wire_reply *msg = (void *)buf;
	struct wire_reply_info info;
	u32 len;

	(void)state;
	assert_int_equal(reply(-EPERM, 100, &info), 0);
	assert_int_equal(info.status, -EPERM);
	assert_int_equal(info.body_len, 100);
	assert_int_equal(info.epoch, 5);
	assert_int_equal(info.id, 6);
	assert_ptr_equal(info.body, buf + sizeof(*msg));
	assert_int_equal(reply(0, WIRE_BODY_MAX, &info), 0);
	assert_int_equal(reply(0, WIRE_BODY_MAX + 1, &info), -EBADMSG);
	assert_int_equal(reply(1, 0, &info), -EBADMSG);
	assert_int_equal(reply(-4095, 0, &info), 0);
	assert_int_equal(reply(-4096, 0, &info), -EBADMSG);
	assert_int_equal(reply(INT_MIN, 0, &info), -EBADMSG);
	reply(0, 10, &info);
	for (len = 0; len < 100; len++)
		assert_int_equal(wire_get_reply(buf, len, &info),
				 len == sizeof(*msg) + 10 ? 0 : -EBADMSG);
	msg->reserved = 1;
	assert_int_equal(wire_get_reply(buf, sizeof(*msg) + 10, &info), -EBADMSG);
	msg->reserved = 0;
	msg->major++;
	assert_int_equal(wire_get_reply(buf, sizeof(*msg) + 10, &info), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(imm_keeps_all_parts),
		cmocka_unit_test(connect_there_and_back),
		cmocka_unit_test(accept_there_and_back),
		cmocka_unit_test(refusal_there_and_back),
		cmocka_unit_test(other_magic_or_major),
		cmocka_unit_test(hello_and_welcome),
		cmocka_unit_test(bad_links),
		cmocka_unit_test(request_there_and_back),
		cmocka_unit_test(request_of_other_length),
		cmocka_unit_test(bad_requests),
		cmocka_unit_test(replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
