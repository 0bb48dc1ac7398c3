// SPDX-License-Identifier: GPL-2.0
/*
 * One reliable connection, seen from either end.
 *
 * Life. An end is made by lite_client_start() (active) or by a CM connect
 * request (passive). The states only ever move forward, all in
 * lite_conn_set_state(). The first lite_conn_fail(), from any context, moves
 * it to LITE_CONN_ERROR and queues lite_conn_kill(), which runs once:
 *
 *  1. wait until who makes it is through with that; client: the lane forgets
 *     the connection, so no call is sent any more;
 *  2. the queue pair goes to the error state, under the CM handler mutex, so
 *     that no CM event can be moving it on at the same time;
 *  3. server: wait until no handler runs and every request is answered;
 *  4. ib_drain_qp(): see below;
 *  5. calls go back to the lane, page sources back to their owners; the peer
 *     forgets the connection; waiters for that are woken;
 *  6. lite_conn_reap(), on a workqueue of its own, frees everything. On rxe
 *     that can take 50 s when the peer is dead: nobody waits for it.
 *
 * Why nothing writes to the pages of a call after step 4. In the error state
 * the responder of rxe takes no more packets (get_req() drops them before any
 * check), and one responder instance runs at a time per queue pair. The flush
 * of the receive that the drain posts comes from that same instance, so when
 * it has arrived, the last packet's copy is done. READ responses are copied by
 * the completer, which likewise flushes the drain's send only after the last
 * copy. Real adapters give the same guarantee: completions of a work queue
 * come in order, and a flushed work request is not accessed any more.
 *
 * Memory. kill and reap own the connection; reap drops the first reference.
 */
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

static atomic_t conn_count = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(conn_count_wait);

static const char * const conn_state_names[] = {
	[LITE_CONN_INIT]	= "init",
	[LITE_CONN_RESOLVE]	= "resolve",
	[LITE_CONN_CONNECT]	= "connect",
	[LITE_CONN_HELLO]	= "hello",
	[LITE_CONN_LIVE]	= "live",
	[LITE_CONN_ERROR]	= "error",
	[LITE_CONN_CLOSED]	= "closed",
};

const char *lite_conn_state_name(u8 state)
{
	return state < ARRAY_SIZE(conn_state_names) ?
		conn_state_names[state] : "?";
}

static const char *conn_lane_name(const struct lite_conn *conn)
{
	switch (conn->lane) {
	case WIRE_LANE_RPC:
		return "rpc";
	case WIRE_LANE_BULK:
		return "bulk";
	default:
		return "unknown";
	}
}

/**
 * lite_conn_set_state - the only place where a connection changes state
 * @conn: connection, its lock held
 * @state: where it is to go
 *
 * Return: false if that is not allowed from here; nothing has changed then.
 * Most often that means that the connection has failed meanwhile.
 */
bool lite_conn_set_state(struct lite_conn *conn, enum lite_conn_state state)
{
	u8 from = conn->state;
	bool ok;

	lockdep_assert_held(&conn->lock);
	switch (state) {
	case LITE_CONN_RESOLVE:
		ok = from == LITE_CONN_INIT && !conn->server;
		break;
	case LITE_CONN_CONNECT:
		ok = from == (conn->server ? LITE_CONN_INIT :
					     LITE_CONN_RESOLVE);
		break;
	case LITE_CONN_HELLO:
		ok = from == LITE_CONN_CONNECT;
		break;
	case LITE_CONN_LIVE:
		ok = from == LITE_CONN_HELLO;
		break;
	case LITE_CONN_ERROR:
		ok = from < LITE_CONN_ERROR;
		break;
	case LITE_CONN_CLOSED:
		ok = from == LITE_CONN_ERROR;
		break;
	default:
		ok = false;
	}
	if (!ok)
		return false;
	trace_lite_conn_state(conn->node, conn->lane, conn->server,
			      conn->epoch, from, state);
	WRITE_ONCE(conn->state, state);
	return true;
}

/* lite_conn_advance - lite_conn_set_state() with the lock taken */
bool lite_conn_advance(struct lite_conn *conn, enum lite_conn_state state)
{
	bool ok;

	spin_lock_bh(&conn->lock);
	ok = lite_conn_set_state(conn, state);
	spin_unlock_bh(&conn->lock);
	return ok;
}

/**
 * lite_conn_fail - end a connection, whatever state it is in
 * @conn: connection
 * @why: for the log; a string that lives as long as @conn
 *
 * Context: any but hard interrupt.
 */
void lite_conn_fail(struct lite_conn *conn, const char *why)
{
	bool first;

	spin_lock_bh(&conn->lock);
	first = lite_conn_set_state(conn, LITE_CONN_ERROR);
	if (first) {
		conn->why = why;
		/* In the lock: whoever holds it knows that kill has not run. */
		queue_work(lite_wq, &conn->kill_work);
	}
	spin_unlock_bh(&conn->lock);
}

/**
 * lite_conn_malformed - the peer sent something that it must not send
 * @conn: connection; is closed, the host stays
 * @what: for the log
 */
void lite_conn_malformed(struct lite_conn *conn, const char *what)
{
	__be32 addr = htonl(conn->node);

	lite_stat_inc(LITE_STAT_MALFORMED);
	pr_warn_ratelimited("host %pI4: malformed message (%s), closing the connection\n",
			    &addr, what);
	lite_conn_fail(conn, what);
}

/* ---- sending ------------------------------------------------------------- */

/**
 * lite_conn_post - post one send work request
 * @conn: connection with a queue pair
 * @wr: work request
 *
 * With softirqs off, rxe of 6.1 runs its tasklet right after instead of waking
 * ksoftirqd: 5000 instructions less. A failure ends the connection.
 *
 * Return: 0 or negative errno: then nothing was posted.
 */
int lite_conn_post(struct lite_conn *conn, struct ib_send_wr *wr)
{
	int err;

	local_bh_disable();
	err = ib_post_send(conn->qp, wr, NULL);
	local_bh_enable();
	if (err)
		lite_conn_fail(conn, "cannot post to the send queue");
	return err;
}

/*
 * Immediate data alone: a SEND, not a WRITE of no bytes. After a WRITE of no
 * bytes rxe of 6.12 takes the next READ that it must answer again for one of no
 * bytes (read_reply() looks at qp->resp.length), warns, and refuses it, which
 * ends the connection: just when packets are lost and heartbeats are sent.
 */
static void conn_init_imm(struct lite_conn *conn, struct ib_send_wr *wr,
			  u32 kind, struct ib_cqe *cqe)
{
	*wr = (struct ib_send_wr) {
		.opcode = IB_WR_SEND_WITH_IMM,
		.send_flags = IB_SEND_SIGNALED,
		.wr_cqe = cqe,
		.ex.imm_data = cpu_to_be32(wire_imm(kind, conn->epoch, 0)),
	};
}

/* lite_conn_post_imm - send immediate data alone; @cqe reports completion */
int lite_conn_post_imm(struct lite_conn *conn, u32 kind, struct ib_cqe *cqe)
{
	struct ib_send_wr wr;

	conn_init_imm(conn, &wr, kind, cqe);
	return lite_conn_post(conn, &wr);
}

/* lite_conn_send_hello - SEND @len bytes of page 1 of the hello buffer */
int lite_conn_send_hello(struct lite_conn *conn, u32 len)
{
	struct ib_sge sge = {
		.addr = conn->hello.region->dma[1],
		.length = len,
		.lkey = lite_device.pd->local_dma_lkey,
	};
	struct ib_send_wr wr = {
		.wr_cqe = &conn->send_cqe,
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = IB_WR_SEND,
		.send_flags = IB_SEND_SIGNALED,
	};

	return lite_conn_post(conn, &wr);
}

static void conn_send_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_conn *conn = container_of(wc->wr_cqe, struct lite_conn,
					      send_cqe);

	if (wc->status != IB_WC_SUCCESS)
		lite_conn_fail(conn, ib_wc_status_msg(wc->status));
}

static void conn_goodbye_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_conn *conn = container_of(wc->wr_cqe, struct lite_conn,
					      goodbye_cqe);

	complete_all(&conn->goodbye_done);
}

/*
 * lite_conn_goodbye - tell the other end that we are going; see goodbye_done
 *
 * The caller has no more than a reference. While the connection is live under
 * the lock, kill has not begun, so the queue pair is there. That is why this
 * does not use lite_conn_post(), which takes the lock when it fails.
 */
void lite_conn_goodbye(struct lite_conn *conn)
{
	struct ib_send_wr wr;
	bool posted;

	conn_init_imm(conn, &wr, WIRE_GOODBYE, &conn->goodbye_cqe);
	spin_lock_bh(&conn->lock);
	posted = lite_conn_live(conn) && !ib_post_send(conn->qp, &wr, NULL);
	spin_unlock_bh(&conn->lock);
	if (!posted)
		complete_all(&conn->goodbye_done);
}

/* ---- receiving ----------------------------------------------------------- */

static int conn_post_recv(struct lite_conn *conn)
{
	struct ib_recv_wr wr = { .wr_cqe = &conn->recv_cqe };

	return ib_post_recv(conn->qp, &wr, NULL);
}

/* Immediate data have arrived: request, reply, heartbeat or goodbye. */
static void conn_recv_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_conn *conn = container_of(wc->wr_cqe, struct lite_conn,
					      recv_cqe);
	u32 imm;

	if (unlikely(wc->status != IB_WC_SUCCESS)) {
		lite_conn_fail(conn, ib_wc_status_msg(wc->status));
		return;
	}
	if (unlikely(!(wc->wc_flags & IB_WC_WITH_IMM))) {
		lite_conn_malformed(conn, "no immediate data");
		return;
	}
	/* The receive is replaced before the answer: credits never run out. */
	if (unlikely(conn_post_recv(conn))) {
		lite_conn_fail(conn, "cannot post to the receive queue");
		return;
	}
	conn->last_rx = jiffies;
	imm = be32_to_cpu(wc->ex.imm_data);
	if (unlikely(wire_imm_epoch(imm) != (conn->epoch & 0xf) ||
		     wire_imm_slot(imm) >= conn->slots)) {
		lite_conn_malformed(conn, "wrong epoch or slot");
		return;
	}
	if (conn->server)
		lite_server_recv(conn, imm, wc->byte_len);
	else
		lite_client_recv(conn, imm, wc->byte_len);
}

/* The first message is a SEND: hello at the server, welcome at the client. */
static void conn_hello_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_conn *conn = container_of(wc->wr_cqe, struct lite_conn,
					      hello_cqe);

	if (wc->status != IB_WC_SUCCESS) {
		lite_conn_fail(conn, ib_wc_status_msg(wc->status));
		return;
	}
	if (wc->opcode != IB_WC_RECV) {
		lite_conn_malformed(conn, "no handshake");
		return;
	}
	conn->last_rx = jiffies;
	conn->hello_len = wc->byte_len;
	queue_work(lite_wq, &conn->work);
}

/* ---- making -------------------------------------------------------------- */

/*
 * Send queue. Client: two work requests a call (payload, request), transfers,
 * heartbeat, goodbye, hello, drain; as unsignalled ones are only reclaimed by a
 * signalled one that completes later, twice that. Server: 16 pages and the reply
 * a slot, and as above. Receive queue: a request or reply a slot, and the spare.
 */
static void conn_queue_sizes(struct lite_conn *conn, struct ib_qp_cap *cap)
{
	if (conn->server)
		cap->max_send_wr = 17 * conn->slots + 64;
	else
		cap->max_send_wr = 4 * conn->slots + 2 * LITE_IOS_MAX;
	cap->max_recv_wr = conn->slots + LITE_RECV_SPARE;
	cap->max_recv_sge = 1;
	cap->max_send_sge = conn->lane == WIRE_LANE_BULK ? WIRE_DIRECT_MAX : 1;
}

static int conn_post_first_recvs(struct lite_conn *conn, u32 nr)
{
	struct ib_sge sge = {
		.addr = conn->hello.region->dma[0],
		.length = PAGE_SIZE,
		.lkey = lite_device.pd->local_dma_lkey,
	};
	struct ib_recv_wr wr = {
		.wr_cqe = &conn->hello_cqe,
		.sg_list = &sge,
		.num_sge = 1,
	};
	int err;

	err = ib_post_recv(conn->qp, &wr, NULL);
	while (!err && --nr)
		err = conn_post_recv(conn);
	return err;
}

/**
 * lite_conn_create_qp - queue pair and completion queue of a connection
 * @conn: connection with a CM id that has a device
 *
 * Context: CM handler. Return: 0 or negative errno; kill and reap clean up.
 */
int lite_conn_create_qp(struct lite_conn *conn)
{
	struct ib_qp_init_attr init = {
		.sq_sig_type = IB_SIGNAL_REQ_WR,
		.qp_type = IB_QPT_RC,
	};
	int err;

	if (conn->id->device != lite_device.ib)
		return -ENODEV;
	conn_queue_sizes(conn, &init.cap);
	/* Errors complete every work request, the unsignalled ones too. */
	conn->cq = ib_alloc_cq_any(lite_device.ib, conn,
				   init.cap.max_send_wr + init.cap.max_recv_wr,
				   IB_POLL_SOFTIRQ);
	if (IS_ERR(conn->cq)) {
		err = PTR_ERR(conn->cq);
		conn->cq = NULL;
		return err;
	}
	init.send_cq = conn->cq;
	init.recv_cq = conn->cq;
	err = rdma_create_qp(conn->id, lite_device.pd, &init);
	if (err)
		return err;
	conn->qp = conn->id->qp;
	/* Two are left for the drain. */
	return conn_post_first_recvs(conn, init.cap.max_recv_wr - 2);
}

static void conn_timer(struct work_struct *work)
{
	struct lite_conn *conn = container_of(work, struct lite_conn,
					      timer.work);

	if (READ_ONCE(conn->state) < LITE_CONN_LIVE)
		lite_conn_fail(conn, "no answer in time");
}

static void conn_step(struct work_struct *work)
{
	struct lite_conn *conn = container_of(work, struct lite_conn, work);

	if (conn->server)
		lite_server_step(conn);
	else
		lite_client_step(conn);
}

/* ---- ending -------------------------------------------------------------- */

static void conn_free(struct kref *ref)
{
	kfree(container_of(ref, struct lite_conn, ref));
}

void lite_conn_put(struct lite_conn *conn)
{
	kref_put(&conn->ref, conn_free);
}

static void lite_conn_reap(struct work_struct *work)
{
	struct lite_conn *conn = container_of(work, struct lite_conn,
					      reap_work);

	cancel_delayed_work_sync(&conn->timer);
	cancel_work_sync(&conn->work);
	if (conn->qp)
		rdma_destroy_qp(conn->id);
	if (conn->id)
		rdma_destroy_id(conn->id);
	if (conn->cq)
		ib_free_cq(conn->cq);
	if (conn->server)
		lite_server_free(conn);
	else
		lite_client_free(conn);
	lite_buf_free(&conn->hello);
	lite_conn_put(conn);
	if (atomic_dec_and_test(&conn_count))
		wake_up_all(&conn_count_wait);
}

/* Step 2 of the head comment: after this no CM event moves the queue pair. */
static void conn_qp_error(struct lite_conn *conn)
{
	struct ib_qp_attr attr = { .qp_state = IB_QPS_ERR };

	if (!conn->id)
		return;
	rdma_lock_handler(conn->id);
	if (conn->qp) {
		rdma_disconnect(conn->id);
		ib_modify_qp(conn->qp, &attr, IB_QP_STATE);
	}
	rdma_unlock_handler(conn->id);
}

static void conn_log_end(struct lite_conn *conn)
{
	__be32 addr = htonl(conn->node);

	if (conn->counted) {
		lite_stat_inc(LITE_STAT_DISCONNECTS);
		pr_info_ratelimited("host %pI4: %s connection %s it closed: %s\n",
				    &addr, conn_lane_name(conn),
				    conn->server ? "from" : "to", conn->why);
	} else {
		lite_stat_inc(LITE_STAT_CONNECT_FAILURES);
		pr_debug("host %pI4: %s connection %s it failed: %s\n",
			 &addr, conn_lane_name(conn),
			 conn->server ? "from" : "to", conn->why);
	}
	if (conn->peer)
		atomic64_inc(&conn->peer->errors);
}

static void lite_conn_kill(struct work_struct *work)
{
	struct lite_conn *conn = container_of(work, struct lite_conn,
					      kill_work);

	/* It can fail, by its timer for one, while it is still being made. */
	wait_for_completion(&conn->made);
	if (!conn->server)
		lite_client_detach(conn);
	conn_qp_error(conn);
	if (conn->server)
		lite_server_quiesce(conn);
	if (conn->qp)
		ib_drain_qp(conn->qp);
	conn_log_end(conn);
	lite_conn_advance(conn, LITE_CONN_CLOSED);
	if (conn->server)
		lite_server_closed(conn);
	else
		lite_client_closed(conn);
	lite_peer_conn_closed(conn);
	complete_all(&conn->closed);
	queue_work(lite_reap_wq, &conn->reap_work);
}

/**
 * lite_conn_alloc - a connection in state LITE_CONN_INIT
 * @node: who is at the other end
 * @server: which end this is
 *
 * From now on lite_conn_fail() is the way to get rid of it. Kill waits for
 * lite_conn::made, which the caller must complete, whatever happens.
 *
 * Return: connection or ERR_PTR.
 */
struct lite_conn *lite_conn_alloc(u32 node, bool server)
{
	struct lite_conn *conn;
	int err;

	conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	if (!conn)
		return ERR_PTR(-ENOMEM);
	err = lite_buf_alloc(&conn->hello, 2, 0);
	if (err) {
		kfree(conn);
		return ERR_PTR(err);
	}
	kref_init(&conn->ref);
	spin_lock_init(&conn->lock);
	conn->node = node;
	conn->server = server;
	conn->lane = WIRE_LANES;
	conn->slots = lite_params.slots;
	conn->last_rx = jiffies;
	conn->recv_cqe.done = conn_recv_done;
	conn->hello_cqe.done = conn_hello_done;
	conn->send_cqe.done = conn_send_done;
	conn->goodbye_cqe.done = conn_goodbye_done;
	init_completion(&conn->goodbye_done);
	init_completion(&conn->closed);
	init_completion(&conn->made);
	INIT_LIST_HEAD(&conn->entry);
	INIT_WORK(&conn->work, conn_step);
	INIT_WORK(&conn->kill_work, lite_conn_kill);
	INIT_WORK(&conn->reap_work, lite_conn_reap);
	INIT_DELAYED_WORK(&conn->timer, conn_timer);
	atomic_inc(&conn_count);
	queue_delayed_work(lite_wq, &conn->timer,
			   msecs_to_jiffies(lite_params.connect_ms));
	return conn;
}

/* lite_conn_wait_all_gone - all connections were failed: wait for reap */
void lite_conn_wait_all_gone(void)
{
	wait_event(conn_count_wait, !atomic_read(&conn_count));
	flush_workqueue(lite_reap_wq);
}
