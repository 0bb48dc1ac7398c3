// SPDX-License-Identifier: GPL-2.0
/*
 * A hook for tests: say anything to a peer over an authenticated connection.
 *
 * It gives a kernel module nothing that it could not do with verbs itself.
 */
#include <linux/slab.h>

#include "internal.h"

int lite_test_send_raw(struct lite_peer *peer, u32 lane_index, const void *buf,
		       u32 len, u32 imm)
{
	struct lite_lane *lane;
	struct lite_client *cl;
	struct lite_conn *conn;
	struct ib_sge sge;
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE_WITH_IMM,
		.wr.send_flags = IB_SEND_SIGNALED,
		.wr.sg_list = &sge,
		.wr.num_sge = 1,
	};
	int err = -ENOTCONN;
	void *page;

	if (lane_index >= WIRE_LANES || len > WIRE_SLOT_SIZE)
		return -EINVAL;
	lane = &peer->lane[lane_index];
	spin_lock_bh(&lane->lock);
	conn = lane->live;
	if (conn) {
		cl = &conn->client;
		/* The page after those of the slots is kept for this. */
		page = cl->stage.va + (cl->stage.nr - 1) * WIRE_SLOT_SIZE;
		memcpy(page, buf, len);
		if (len >= offsetofend(struct wire_request, epoch)) {
			struct wire_request *msg = page;

			msg->epoch ^= cpu_to_le32(conn->epoch);
		}
		sge.addr = cl->stage.region->dma[cl->stage.nr - 1];
		sge.length = len;
		sge.lkey = lite_device.pd->local_dma_lkey;
		wr.wr.wr_cqe = &conn->send_cqe;
		wr.wr.ex.imm_data = cpu_to_be32(imm ^ (conn->epoch & 0xf) << 24);
		wr.remote_addr = cl->ring_addr + cl->slot_size *
			(wire_imm_slot(imm) % conn->slots);
		wr.rkey = cl->ring_rkey;
		err = lite_conn_post(conn, &wr.wr);
	}
	spin_unlock_bh(&lane->lock);
	return err;
}

SK_EXPORT(lite_test_send_raw);
