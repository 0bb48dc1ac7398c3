// SPDX-License-Identifier: GPL-2.0
/*
 * Encoding and decoding of all messages, with all checks that need no state.
 *
 * Pure: also compiled by the tests in userspace. Decoders get memory that the
 * peer cannot change any more; whoever reads from a ring copies first.
 */
#include <asm/byteorder.h>
#include <linux/errno.h>
#include <linux/string.h>

#include "wire.h"

/* All handshake messages begin with magic, major, minor. */
static int wire_check_head(__le16 magic, __u8 major)
{
	if (__le16_to_cpu(magic) != WIRE_MAGIC)
		return -EBADMSG;
	if (major != WIRE_MAJOR)
		return -EPROTO;
	return 0;
}

void wire_put_connect(struct wire_connect *msg, __u32 node)
{
	memset(msg, 0, sizeof(*msg));
	msg->magic = __cpu_to_le16(WIRE_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->node = __cpu_to_le32(node);
}

/* CM pads private data: @len may be larger than the message. */
int wire_get_connect(const void *buf, __u32 len, __u32 *node)
{
	struct wire_connect msg;
	int err;

	if (len < sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	err = wire_check_head(msg.magic, msg.major);
	if (err)
		return err;
	*node = __le32_to_cpu(msg.node);
	return 0;
}

void wire_put_accept(struct wire_accept *msg, __u32 node, __u16 slots)
{
	memset(msg, 0, sizeof(*msg));
	msg->magic = __cpu_to_le16(WIRE_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->node = __cpu_to_le32(node);
	msg->slots = __cpu_to_le16(slots);
}

int wire_get_accept(const void *buf, __u32 len, __u32 *node, __u16 *slots)
{
	struct wire_accept msg;
	int err;

	if (len < sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	err = wire_check_head(msg.magic, msg.major);
	if (err)
		return err;
	if (msg.reserved0 || msg.reserved1)
		return -EBADMSG;
	*node = __le32_to_cpu(msg.node);
	*slots = __le16_to_cpu(msg.slots);
	if (!*slots || *slots > WIRE_SLOTS_MAX)
		return -EBADMSG;
	return 0;
}

void wire_put_refusal(struct wire_refusal *msg, __u32 reason)
{
	memset(msg, 0, sizeof(*msg));
	msg->magic = __cpu_to_le16(WIRE_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->reason = __cpu_to_le32(reason);
}

/* A refusal is read whatever the sender's version: that may be the reason. */
int wire_get_refusal(const void *buf, __u32 len, __u32 *reason)
{
	struct wire_refusal msg;

	if (!buf || len < sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	if (__le16_to_cpu(msg.magic) != WIRE_MAGIC)
		return -EBADMSG;
	*reason = __le32_to_cpu(msg.reason);
	return 0;
}

const char *wire_reject_text(__u32 reason)
{
	switch (reason) {
	case WIRE_REJECT_MALFORMED:
		return "it could not read our connect message";
	case WIRE_REJECT_VERSION:
		return "it speaks another major version of the protocol";
	case WIRE_REJECT_NODE:
		return "our node id is not the address we connect from";
	case WIRE_REJECT_KEY:
		return "it has another cluster key";
	case WIRE_REJECT_RESOURCES:
		return "it is out of resources";
	case WIRE_REJECT_UNLOADING:
		return "its lite_rpc is being unloaded";
	default:
		return "unknown reason";
	}
}

static int wire_check_link(const struct wire_link *link)
{
	if (link->lane >= WIRE_LANES)
		return -EBADMSG;
	if (!link->slots || link->slots > WIRE_SLOTS_MAX)
		return -EBADMSG;
	if (!link->incarnation)
		return -EBADMSG;
	return 0;
}

void wire_put_hello(struct wire_hello *msg, const struct wire_link *link)
{
	memset(msg, 0, sizeof(*msg));
	msg->magic = __cpu_to_le16(WIRE_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->lane = link->lane;
	msg->slots = __cpu_to_le16(link->slots);
	msg->incarnation = __cpu_to_le64(link->incarnation);
	msg->epoch = __cpu_to_le32(link->epoch);
	msg->reply_rkey = __cpu_to_le32(link->rkey);
	msg->reply_addr = __cpu_to_le64(link->addr);
}

int wire_get_hello(const void *buf, __u32 len, struct wire_link *link)
{
	struct wire_hello msg;
	int err;

	if (len != sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	err = wire_check_head(msg.magic, msg.major);
	if (err)
		return err;
	if (msg.reserved0)
		return -EBADMSG;
	link->lane = msg.lane;
	link->slots = __le16_to_cpu(msg.slots);
	link->incarnation = __le64_to_cpu(msg.incarnation);
	link->epoch = __le32_to_cpu(msg.epoch);
	link->rkey = __le32_to_cpu(msg.reply_rkey);
	link->addr = __le64_to_cpu(msg.reply_addr);
	return wire_check_link(link);
}

void wire_put_welcome(struct wire_welcome *msg, const struct wire_link *link)
{
	memset(msg, 0, sizeof(*msg));
	msg->magic = __cpu_to_le16(WIRE_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->lane = link->lane;
	msg->slots = __cpu_to_le16(link->slots);
	msg->incarnation = __cpu_to_le64(link->incarnation);
	msg->epoch = __cpu_to_le32(link->epoch);
	msg->ring_rkey = __cpu_to_le32(link->rkey);
	msg->ring_addr = __cpu_to_le64(link->addr);
}

int wire_get_welcome(const void *buf, __u32 len, struct wire_link *link)
{
	struct wire_welcome msg;
	int err;

	if (len != sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, buf, sizeof(msg));
	err = wire_check_head(msg.magic, msg.major);
	if (err)
		return err;
	if (msg.reserved0)
		return -EBADMSG;
	link->lane = msg.lane;
	link->slots = __le16_to_cpu(msg.slots);
	link->incarnation = __le64_to_cpu(msg.incarnation);
	link->epoch = __le32_to_cpu(msg.epoch);
	link->rkey = __le32_to_cpu(msg.ring_rkey);
	link->addr = __le64_to_cpu(msg.ring_addr);
	return wire_check_link(link);
}

void wire_put_request(struct wire_request *msg,
		      const struct wire_request_info *info)
{
	msg->magic = __cpu_to_le32(WIRE_REQ_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->service = info->service;
	msg->op = info->op;
	msg->id = __cpu_to_le64(info->id);
	msg->epoch = __cpu_to_le32(info->epoch);
	msg->body_len = __cpu_to_le16(info->body_len);
	msg->nr_payload = info->nr_payload;
	msg->nr_direct = info->nr_direct;
	msg->reserved0 = 0;
	msg->reserved1 = 0;
}

void wire_put_direct(struct wire_direct *msg, __u64 addr, __u32 rkey)
{
	msg->addr = __cpu_to_le64(addr);
	msg->rkey = __cpu_to_le32(rkey);
	msg->reserved = 0;
}

/* @len is the number of bytes that arrived: they must all be accounted for. */
int wire_get_request(const void *buf, __u32 len,
		     struct wire_request_info *info)
{
	const struct wire_request *msg = buf;
	__u32 i, direct_len;

	if (len < sizeof(*msg))
		return -EBADMSG;
	if (__le32_to_cpu(msg->magic) != WIRE_REQ_MAGIC)
		return -EBADMSG;
	if (msg->major != WIRE_MAJOR)
		return -EPROTO;
	if (msg->reserved0 || msg->reserved1)
		return -EBADMSG;
	info->service = msg->service;
	info->op = msg->op;
	info->id = __le64_to_cpu(msg->id);
	info->epoch = __le32_to_cpu(msg->epoch);
	info->body_len = __le16_to_cpu(msg->body_len);
	info->nr_payload = msg->nr_payload;
	info->nr_direct = msg->nr_direct;
	if (info->nr_payload > WIRE_PAYLOAD_MAX ||
	    info->nr_direct > WIRE_DIRECT_MAX ||
	    info->body_len > WIRE_BODY_MAX)
		return -EBADMSG;

	direct_len = info->nr_direct * (__u32)sizeof(struct wire_direct);
	if (len != sizeof(*msg) + direct_len + info->body_len)
		return -EBADMSG;
	info->direct = (const void *)(msg + 1);
	for (i = 0; i < info->nr_direct; i++)
		if (info->direct[i].reserved)
			return -EBADMSG;
	info->body = (const __u8 *)(msg + 1) + direct_len;
	return 0;
}

void wire_put_reply(struct wire_reply *msg, const struct wire_reply_info *info)
{
	msg->magic = __cpu_to_le32(WIRE_REPLY_MAGIC);
	msg->major = WIRE_MAJOR;
	msg->minor = WIRE_MINOR;
	msg->body_len = __cpu_to_le16(info->body_len);
	msg->id = __cpu_to_le64(info->id);
	msg->epoch = __cpu_to_le32(info->epoch);
	msg->status = __cpu_to_le32((__u32)info->status);
	msg->reserved = 0;
}

int wire_get_reply(const void *buf, __u32 len, struct wire_reply_info *info)
{
	const struct wire_reply *msg = buf;

	if (len < sizeof(*msg))
		return -EBADMSG;
	if (__le32_to_cpu(msg->magic) != WIRE_REPLY_MAGIC)
		return -EBADMSG;
	if (msg->major != WIRE_MAJOR)
		return -EPROTO;
	if (msg->reserved)
		return -EBADMSG;
	info->body_len = __le16_to_cpu(msg->body_len);
	info->id = __le64_to_cpu(msg->id);
	info->epoch = __le32_to_cpu(msg->epoch);
	info->status = (__s32)__le32_to_cpu(msg->status);
	if (info->body_len > WIRE_BODY_MAX ||
	    len != sizeof(*msg) + info->body_len)
		return -EBADMSG;
	/* Statuses are errnos: anything else would look like success. */
	if (info->status > 0 || info->status < -4095)
		return -EBADMSG;
	info->body = msg + 1;
	return 0;
}
