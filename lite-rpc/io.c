// SPDX-License-Identifier: GPL-2.0
/*
 * One-sided transfers, over the bulk lane.
 *
 * A transfer is posted at once if fewer than LITE_IOS_MAX are under way, and a
 * READ if fewer than LITE_READS_MAX of those are: with more, a lossy link kills
 * the queue pair on rxe. The rest waits in order. A transfer that was posted
 * ends in its own completion, flushes included: after that the adapter does not
 * touch the pages any more. It is never posted twice.
 */
#include <linux/slab.h>

#include "internal.h"

enum lite_io_state {
	LITE_IO_NEW,
	LITE_IO_PENDING,		/* on lite_lane::io_pending */
	LITE_IO_SENT,			/* on lite_client::ios */
	LITE_IO_LATE,			/* ditto, its deadline has passed */
};

/** struct lite_io_priv - what lite_io::priv holds */
struct lite_io_priv {
	struct ib_cqe cqe;
	struct lite_conn *conn;
	struct completion *waiter;
	struct lite_io *io;
};

static_assert(sizeof(struct lite_io_priv) <=
	      sizeof_field(struct lite_io, priv));

static struct lite_io_priv *io_priv(struct lite_io *io)
{
	return (struct lite_io_priv *)io->priv;
}

/* lite_io_finish - report the end of a transfer; no lock held */
void lite_io_finish(struct lite_io *io, int status)
{
	if (status) {
		lite_stat_inc(LITE_STAT_IO_FAILED);
		if (io->peer)
			atomic64_inc(&io->peer->errors);
	}
	io->status = status;
	io->state = LITE_IO_NEW;
	/* As in lite_call_finish(). */
	rcu_read_lock();
	io->done(io);
	rcu_read_unlock();
}

static int io_status(const struct lite_lane *lane, const struct lite_io *io,
		     enum ib_wc_status status)
{
	switch (status) {
	case IB_WC_SUCCESS:
		return 0;
	case IB_WC_REM_ACCESS_ERR:
	case IB_WC_REM_INV_REQ_ERR:
	case IB_WC_REM_OP_ERR:
		return -EREMOTEIO;
	default:
		if (io->state == LITE_IO_LATE)
			return -ETIMEDOUT;
		return lane->dead ? -EHOSTDOWN : -ECONNRESET;
	}
}

static void io_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_io_priv *priv = container_of(wc->wr_cqe,
						 struct lite_io_priv, cqe);
	struct lite_conn *conn = priv->conn;
	struct lite_lane *lane = &conn->peer->lane[conn->lane];
	struct lite_io *io = priv->io;
	int status;

	if (unlikely(wc->status != IB_WC_SUCCESS))
		lite_conn_fail(conn, ib_wc_status_msg(wc->status));
	spin_lock_bh(&lane->lock);
	status = io_status(lane, io, wc->status);
	list_del(&io->entry);
	conn->client.nr_ios--;
	if (!io->write)
		conn->client.nr_reads--;
	if (lane->live == conn)
		lite_io_pump(lane, conn);
	spin_unlock_bh(&lane->lock);
	lite_io_finish(io, status);
}

static int io_post(struct lite_conn *conn, struct lite_io *io)
{
	struct lite_io_priv *priv = io_priv(io);
	struct ib_sge sge[LITE_DIRECT_MAX];
	struct ib_rdma_wr wr = {
		.wr.wr_cqe = &priv->cqe,
		.wr.opcode = io->write ? IB_WR_RDMA_WRITE : IB_WR_RDMA_READ,
		.wr.send_flags = IB_SEND_SIGNALED,
		.wr.sg_list = sge,
		.wr.num_sge = io->nr_local,
		.remote_addr = io->remote_addr,
		.rkey = io->rkey,
	};
	u32 i;

	for (i = 0; i < io->nr_local; i++)
		lite_sge_local(&io->local[i], &sge[i]);
	return lite_conn_post(conn, &wr.wr);
}

/* lite_io_pump - post what waits, as far as allowed; lane lock held */
void lite_io_pump(struct lite_lane *lane, struct lite_conn *conn)
{
	struct lite_client *cl = &conn->client;
	struct lite_io *io;

	lockdep_assert_held(&lane->lock);
	/*
	 * What is posted on a connection that has failed is lost with it, and
	 * its users would have to ask again: it waits for the next one. One that
	 * fails just now may still be met.
	 */
	if (!lite_conn_live(conn))
		return;
	while (!list_empty(&lane->io_pending) && cl->nr_ios < LITE_IOS_MAX) {
		io = list_first_entry(&lane->io_pending, struct lite_io,
				      entry);
		if (!io->write && cl->nr_reads >= LITE_READS_MAX)
			return;
		io_priv(io)->cqe.done = io_done;
		io_priv(io)->conn = conn;
		io_priv(io)->io = io;
		list_del(&io->entry);
		if (io_post(conn, io)) {
			/* Was not posted: it waits for the next connection. */
			list_add(&io->entry, &lane->io_pending);
			return;
		}
		/* No completion can run before the lane is unlocked. */
		io->state = LITE_IO_SENT;
		list_add_tail(&io->entry, &cl->ios);
		cl->nr_ios++;
		if (!io->write)
			cl->nr_reads++;
	}
}

static int io_check(const struct lite_io *io)
{
	u32 i;

	if (!io->nr_local || io->nr_local > LITE_DIRECT_MAX)
		return -EMSGSIZE;
	for (i = 0; i < io->nr_local; i++)
		if (!lite_sge_valid(&io->local[i]))
			return -EINVAL;
	return 0;
}

static bool lane_submit_io(struct lite_lane *lane, struct lite_io *io)
{
	bool kick = false;

	lockdep_assert_held(&lane->lock);
	io->deadline = jiffies + msecs_to_jiffies(io->timeout_ms);
	if (!lane->wanted) {
		lane->wanted = true;
		lane->last_ok = jiffies;
		lane->retry_at = jiffies;
		kick = true;
	}
	if (READ_ONCE(lite_stopping)) {
		lite_io_fail_later(io, -ESHUTDOWN);
	} else if (lane->dead) {
		lite_io_fail_later(io, -EHOSTDOWN);
	} else {
		io->state = LITE_IO_PENDING;
		list_add_tail(&io->entry, &lane->io_pending);
		if (lane->live)
			lite_io_pump(lane, lane->live);
	}
	return kick;
}

void lite_io_submit(struct lite_io *io)
{
	struct lite_lane *lane;
	bool kick;
	int err;

	if (io->write)
		lite_stat_inc(LITE_STAT_WRITES);
	else
		lite_stat_inc(LITE_STAT_READS);
	err = io_check(io);
	if (unlikely(err)) {
		lite_io_fail_later(io, err);
		return;
	}
	lane = &io->peer->lane[WIRE_LANE_BULK];
	spin_lock_bh(&lane->lock);
	kick = lane_submit_io(lane, io);
	spin_unlock_bh(&lane->lock);
	if (unlikely(kick))
		lite_peer_kick(lane->peer);
}

SK_EXPORT(lite_io_submit);

static void io_sync_done(struct lite_io *io)
{
	complete(io_priv(io)->waiter);
}

int lite_io_sync(struct lite_io *io)
{
	DECLARE_COMPLETION_ONSTACK(waiter);

	io_priv(io)->waiter = &waiter;
	io->done = io_sync_done;
	lite_io_submit(io);
	wait_for_completion(&waiter);
	return io->status;
}

SK_EXPORT(lite_io_sync);

static bool io_expired(const struct lite_io *io)
{
	return io->timeout_ms && time_after(jiffies, io->deadline);
}

/**
 * lite_io_expire - deadlines of transfers
 * @lane: lane, its lock held
 *
 * Those that wait end here. Return: whether one under way is late, so that
 * the connection must be reset.
 */
bool lite_io_expire(struct lite_lane *lane)
{
	struct lite_io *io, *next;
	bool late = false;

	lockdep_assert_held(&lane->lock);
	list_for_each_entry_safe(io, next, &lane->io_pending, entry)
		if (io_expired(io)) {
			list_del(&io->entry);
			lite_io_fail_later(io, -ETIMEDOUT);
		}
	if (!lane->live)
		return false;
	list_for_each_entry(io, &lane->live->client.ios, entry)
		if (io->state == LITE_IO_SENT && io_expired(io)) {
			io->state = LITE_IO_LATE;
			late = true;
		}
	return late;
}
