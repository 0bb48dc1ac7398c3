// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: the decoders of lite_rpc. The first byte chooses one, the
 * rest is the message, in memory of exactly its length. What a decoder accepts
 * must lie inside the message and must come back the same when it is encoded.
 */
#include "shim/shim.h"
#include "../../lite-rpc/wire.h"

static void inside(const void *part, size_t part_len, const u8 *msg, size_t len)
{
	const u8 *p = part;
	u8 sum = 0;
	size_t i;

	SHIM_ASSERT(p >= msg && p + part_len <= msg + len);
	for (i = 0; i < part_len; i++)
		sum += p[i];
	*(volatile u8 *)&sum = sum;
}

static void request(const u8 *msg, u32 len)
{
	struct wire_request_info info, again;
	struct wire_request head;

	if (wire_get_request(msg, len, &info))
		return;
	SHIM_ASSERT(info.nr_payload <= WIRE_PAYLOAD_MAX);
	SHIM_ASSERT(info.nr_direct <= WIRE_DIRECT_MAX);
	SHIM_ASSERT(info.body_len <= WIRE_BODY_MAX);
	inside(info.direct, info.nr_direct * sizeof(*info.direct), msg, len);
	inside(info.body, info.body_len, msg, len);
	wire_put_request(&head, &info);
	head.minor = ((const struct wire_request *)msg)->minor;
	SHIM_ASSERT(!memcmp(&head, msg, sizeof(head)));
	SHIM_ASSERT(!wire_get_request(msg, len, &again));
	SHIM_ASSERT(again.id == info.id && again.body == info.body);
}

static void reply(const u8 *msg, u32 len)
{
	struct wire_reply_info info;
	struct wire_reply head;

	if (wire_get_reply(msg, len, &info))
		return;
	SHIM_ASSERT(info.status <= 0 && info.status >= -4095);
	inside(info.body, info.body_len, msg, len);
	wire_put_reply(&head, &info);
	head.minor = ((const struct wire_reply *)msg)->minor;
	SHIM_ASSERT(!memcmp(&head, msg, sizeof(head)));
}

static void link(const u8 *msg, u32 len, bool hello)
{
	struct wire_welcome welcome;
	struct wire_hello h;
	struct wire_link l;

	if (hello ? wire_get_hello(msg, len, &l) : wire_get_welcome(msg, len, &l))
		return;
	SHIM_ASSERT(l.lane < WIRE_LANES);
	SHIM_ASSERT(l.slots && l.slots <= WIRE_SLOTS_MAX);
	if (hello) {
		wire_put_hello(&h, &l);
		h.minor = ((const struct wire_hello *)msg)->minor;
		SHIM_ASSERT(!memcmp(&h, msg, offsetof(struct wire_hello, mac)));
	} else {
		wire_put_welcome(&welcome, &l);
		welcome.minor = ((const struct wire_welcome *)msg)->minor;
		SHIM_ASSERT(!memcmp(&welcome, msg,
				    offsetof(struct wire_welcome, mac)));
	}
}

static void others(u8 which, const u8 *msg, u32 len)
{
	u32 node, reason;
	u16 slots;

	if (which == 0) {
		wire_get_connect(msg, len, &node);
	} else if (which == 1) {
		if (!wire_get_accept(msg, len, &node, &slots))
			SHIM_ASSERT(slots && slots <= WIRE_SLOTS_MAX);
	} else if (!wire_get_refusal(msg, len, &reason)) {
		SHIM_ASSERT(wire_reject_text(reason));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *msg;

	if (!size || size > WIRE_SLOT_SIZE)
		return 0;
	msg = malloc(size);		/* aligned, and exactly as long */
	memcpy(msg, data + 1, size - 1);
	msg = realloc(msg, size - 1 ? size - 1 : 1);
	switch (data[0] % 8) {
	case 0:
	case 1:
		request(msg, size - 1);
		break;
	case 2:
		reply(msg, size - 1);
		break;
	case 3:
		link(msg, size - 1, true);
		break;
	case 4:
		link(msg, size - 1, false);
		break;
	default:
		others(data[0] % 8 - 5, msg, size - 1);
		break;
	}
	free(msg);
	return 0;
}
