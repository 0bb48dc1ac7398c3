/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What two lite_rpc say to each other. Little endian, reserved fields zero.
 *
 * Pure: no kernel objects, so that the tests compile wire.c in userspace.
 *
 * Connect ladder (client = the host that will call):
 *
 *	client                                  server
 *	CM REQ   wire_connect  ---------------> MAC shows: knows the key
 *	         verify MAC <------------------ CM REP   wire_accept
 *	SEND     wire_hello    ---------------> MAC over nonce_s: is live
 *	         verify MAC <------------------ SEND     wire_welcome
 *	RDMA WRITE_WITH_IMM requests ---------> ring slot i
 *	reply slot i <------------------------- RDMA WRITE_WITH_IMM replies
 *
 * No key of any memory region crosses the wire before the other side has
 * proved the cluster key, and nothing is served before wire_hello verifies.
 */
#ifndef LITE_WIRE_H
#define LITE_WIRE_H

#include <linux/build_bug.h>
#include <linux/types.h>

#define WIRE_MAGIC		0x4b53u		/* "SK" */
#define WIRE_REQ_MAGIC		0x71727673u	/* "svrq" */
#define WIRE_REPLY_MAGIC	0x70727673u	/* "svrp" */
#define WIRE_MAJOR		1
#define WIRE_MINOR		0

#define WIRE_NONCE_SIZE		16
#define WIRE_MAC_SIZE		32

#define WIRE_SLOT_SIZE		4096u	/* header, descriptors and body */
#define WIRE_PAGE_SIZE		4096u
#define WIRE_BULK_PAGES		16u	/* slot of the bulk lane: head + 15 */
#define WIRE_PAYLOAD_MAX	15u
#define WIRE_DIRECT_MAX		16u
#define WIRE_BODY_MAX		3072u
#define WIRE_SLOTS_MAX		256u

/* enum wire_lane - which of the two connections of a direction */
enum wire_lane {
	WIRE_LANE_RPC	= 0,
	WIRE_LANE_BULK	= 1,
	WIRE_LANES,
};

/* ---- immediate data: kind(4) | epoch(4) | slot(24) ----------------------- */

/* enum wire_kind - what immediate data mean
 * @WIRE_REQUEST: a request lies in ring slot i
 * @WIRE_REPLY: a reply lies in reply slot i
 * @WIRE_DIRECT_OK: the one direct page of slot i was placed, status 0
 * @WIRE_HEARTBEAT: client to server, no data; answered with
 * @WIRE_HEARTBEAT_ACK: server to client, no data
 * @WIRE_GOODBYE: the sender is about to be unloaded
 */
enum wire_kind {
	WIRE_REQUEST		= 1,
	WIRE_REPLY		= 2,
	WIRE_DIRECT_OK		= 3,
	WIRE_HEARTBEAT		= 4,
	WIRE_HEARTBEAT_ACK	= 5,
	WIRE_GOODBYE		= 6,
};

#define WIRE_IMM_SLOT_MASK	0x00ffffffu

static inline __u32 wire_imm(__u32 kind, __u32 epoch, __u32 slot)
{
	return kind << 28 | (epoch & 0xf) << 24 | (slot & WIRE_IMM_SLOT_MASK);
}

static inline __u32 wire_imm_kind(__u32 imm)
{
	return imm >> 28;
}

static inline __u32 wire_imm_epoch(__u32 imm)
{
	return imm >> 24 & 0xf;
}

static inline __u32 wire_imm_slot(__u32 imm)
{
	return imm & WIRE_IMM_SLOT_MASK;
}

/* ---- handshake ----------------------------------------------------------- */

/* struct wire_connect - private data of the CM REQ: all of its 56 bytes */
struct wire_connect {
	__le16 magic;
	__u8 major;
	__u8 minor;
	__le32 node;			/* the client's; must be its address */
	__u8 nonce_c[WIRE_NONCE_SIZE];
	__u8 mac[WIRE_MAC_SIZE];
};

static_assert(sizeof(struct wire_connect) == 56);

/* struct wire_accept - private data of the CM REP */
struct wire_accept {
	__le16 magic;
	__u8 major;
	__u8 minor;
	__le32 node;			/* the server's */
	__u8 nonce_s[WIRE_NONCE_SIZE];
	__le16 slots;			/* the most that the server grants */
	__le16 reserved0;
	__le32 reserved1;
	__u8 mac[WIRE_MAC_SIZE];
};

static_assert(sizeof(struct wire_accept) == 64);

/* enum wire_reject - why a server refuses, private data of the CM REJ */
enum wire_reject {
	WIRE_REJECT_MALFORMED	= 1,
	WIRE_REJECT_VERSION	= 2,
	WIRE_REJECT_NODE	= 3,	/* node is not the source address */
	WIRE_REJECT_KEY		= 4,
	WIRE_REJECT_RESOURCES	= 5,
	WIRE_REJECT_UNLOADING	= 6,
};

/* struct wire_refusal - private data of the CM REJ */
struct wire_refusal {
	__le16 magic;
	__u8 major;
	__u8 minor;
	__le32 reason;			/* enum wire_reject */
};

static_assert(sizeof(struct wire_refusal) == 8);

/* struct wire_hello - first SEND of the client */
struct wire_hello {
	__le16 magic;
	__u8 major;
	__u8 minor;
	__u8 lane;			/* enum wire_lane */
	__u8 reserved0;
	__le16 slots;			/* <= wire_accept::slots */
	__le64 incarnation;
	__le32 epoch;
	__le32 reply_rkey;
	__le64 reply_addr;		/* slots * WIRE_SLOT_SIZE bytes */
	__u8 mac[WIRE_MAC_SIZE];
};

static_assert(sizeof(struct wire_hello) == 64);

/* struct wire_welcome - the server's answer: requests may come */
struct wire_welcome {
	__le16 magic;
	__u8 major;
	__u8 minor;
	__u8 lane;
	__u8 reserved0;
	__le16 slots;			/* as in wire_hello */
	__le64 incarnation;
	__le32 epoch;			/* as in wire_hello */
	__le32 ring_rkey;
	__le64 ring_addr;		/* slots * slot size of the lane */
	__u8 mac[WIRE_MAC_SIZE];
};

static_assert(sizeof(struct wire_welcome) == 64);

/* ---- requests and replies ------------------------------------------------ */

/* struct wire_direct - one page of the caller that the reply may fill */
struct wire_direct {
	__le64 addr;
	__le32 rkey;
	__le32 reserved;
};

static_assert(sizeof(struct wire_direct) == 16);

/* struct wire_request - head of a ring slot; then wire_direct[], then body.
 * The payload pages lie at offset WIRE_SLOT_SIZE of a bulk slot.
 */
struct wire_request {
	__le32 magic;
	__u8 major;
	__u8 minor;
	__u8 service;
	__u8 op;
	__le64 id;
	__le32 epoch;
	__le16 body_len;
	__u8 nr_payload;
	__u8 nr_direct;
	__le32 reserved0;
	__le32 reserved1;
};

static_assert(sizeof(struct wire_request) == 32);

/* struct wire_reply - head of a reply slot; then the body */
struct wire_reply {
	__le32 magic;
	__u8 major;
	__u8 minor;
	__le16 body_len;
	__le64 id;
	__le32 epoch;
	__le32 status;			/* two's complement, -4095..0 */
	__le64 reserved;
};

static_assert(sizeof(struct wire_reply) == 32);

#define WIRE_REQUEST_MAX \
	(sizeof(struct wire_request) + \
	 WIRE_DIRECT_MAX * sizeof(struct wire_direct) + WIRE_BODY_MAX)
static_assert(WIRE_REQUEST_MAX <= WIRE_SLOT_SIZE);

/* struct wire_request_info - a checked request in host byte order
 * @direct: points into the decoded buffer
 * @body: points into the decoded buffer
 */
struct wire_request_info {
	__u8 service;
	__u8 op;
	__u8 nr_payload;
	__u8 nr_direct;
	__u16 body_len;
	__u32 epoch;
	__u64 id;
	const struct wire_direct *direct;
	const void *body;
};

/* struct wire_reply_info - a checked reply in host byte order */
struct wire_reply_info {
	__u16 body_len;
	__u32 epoch;
	__s32 status;
	__u64 id;
	const void *body;
};

/* struct wire_link - what hello and welcome have in common */
struct wire_link {
	__u8 lane;
	__u16 slots;
	__u32 epoch;
	__u32 rkey;
	__u64 addr;
	__u64 incarnation;
};

/*
 * Decoders return 0, -EBADMSG (malformed) or -EPROTO (other major version) and
 * touch nothing beyond @len bytes. They do not check MACs.
 */
void wire_put_connect(struct wire_connect *msg, __u32 node);
int wire_get_connect(const void *buf, __u32 len, __u32 *node);
void wire_put_accept(struct wire_accept *msg, __u32 node, __u16 slots);
int wire_get_accept(const void *buf, __u32 len, __u32 *node, __u16 *slots);
void wire_put_refusal(struct wire_refusal *msg, __u32 reason);
int wire_get_refusal(const void *buf, __u32 len, __u32 *reason);
const char *wire_reject_text(__u32 reason);
void wire_put_hello(struct wire_hello *msg, const struct wire_link *link);
int wire_get_hello(const void *buf, __u32 len, struct wire_link *link);
void wire_put_welcome(struct wire_welcome *msg, const struct wire_link *link);
int wire_get_welcome(const void *buf, __u32 len, struct wire_link *link);

void wire_put_request(struct wire_request *msg,
		      const struct wire_request_info *info);
void wire_put_direct(struct wire_direct *msg, __u64 addr, __u32 rkey);
int wire_get_request(const void *buf, __u32 len,
		     struct wire_request_info *info);
void wire_put_reply(struct wire_reply *msg, const struct wire_reply_info *info);
int wire_get_reply(const void *buf, __u32 len, struct wire_reply_info *info);

#endif /* LITE_WIRE_H */
