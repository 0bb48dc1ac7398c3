// SPDX-License-Identifier: GPL-2.0
/*
 * The calling end: lanes, slots, calls.
 *
 * Normal operation. A call takes a free slot, is built in the slot's staging
 * page and written into the server's ring slot of the same number; the reply
 * is written into our reply slot, or the one page it consists of straight into
 * the caller's page. Slots are the credits of the receive queues, so a call
 * without one waits on lite_lane::pending. A call with payload keeps its slot
 * until its send is complete as well: the adapter may read the pages again for
 * a retransmission although the reply has come.
 *
 * Recovery. When the connection fails, its calls come back in
 * lite_client_closed(), after the queue pair was drained: idempotent ones go
 * to the head of the pending list in order of their ids, others end with
 * -ECONNRESET, those that made us reset it with -ETIMEDOUT. lite_lane_tick()
 * makes the next attempt after a backoff. A lane that could not be used for
 * dead_ms has its peer declared dead (peer.c).
 *
 * Memory. The request body and the page arrays are the caller's until done();
 * the call itself is on exactly one of: pending list, slot, fail list.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "internal.h"
#include "trace.h"

/* Calls and transfers that end with an error without having been sent. */
static DEFINE_SPINLOCK(fail_lock);
static LIST_HEAD(fail_calls);
static LIST_HEAD(fail_ios);
static void fail_run(struct work_struct *work);
static DECLARE_WORK(fail_work, fail_run);

/* ---- ends ---------------------------------------------------------------- */

/**
 * lite_call_finish - report the end of a call; no lock held
 * @call: call that nobody else can reach any more
 * @status: result
 */
void lite_call_finish(struct lite_call *call, int status)
{
	trace_lite_call_done(call->peer ? call->peer->node : 0, call->service,
			     call->op, call->id, status);
	if (status) {
		lite_stat_inc(LITE_STAT_CALLS_FAILED);
		if (status == -ETIMEDOUT)
			lite_stat_inc(LITE_STAT_CALLS_TIMED_OUT);
		if (call->peer)
			atomic64_inc(&call->peer->errors);
	}
	call->status = status;
	call->state = LITE_CALL_NEW;
	/* A grace period is to mean that it has returned, as for release(). */
	rcu_read_lock();
	call->done(call);
	rcu_read_unlock();
}

static void fail_run(struct work_struct *work)
{
	struct lite_call *call, *next_call;
	struct lite_io *io, *next_io;
	LIST_HEAD(calls);
	LIST_HEAD(ios);

	spin_lock_bh(&fail_lock);
	list_splice_init(&fail_calls, &calls);
	list_splice_init(&fail_ios, &ios);
	spin_unlock_bh(&fail_lock);
	list_for_each_entry_safe(call, next_call, &calls, entry) {
		call->reply = NULL;
		call->reply_len = 0;
		lite_call_finish(call, call->status);
	}
	list_for_each_entry_safe(io, next_io, &ios, entry)
		lite_io_finish(io, io->status);
}

/**
 * lite_call_fail_later - end a call from a work item
 * @call: not on any list
 * @status: negative errno
 *
 * So done() never runs inside of lite_call_submit(), from where it might
 * submit again and again until the stack is full.
 */
void lite_call_fail_later(struct lite_call *call, int status)
{
	call->status = status;
	call->state = LITE_CALL_FAILING;
	spin_lock_bh(&fail_lock);
	list_add_tail(&call->entry, &fail_calls);
	spin_unlock_bh(&fail_lock);
	queue_work(lite_wq, &fail_work);
}

/* lite_io_fail_later - as lite_call_fail_later() */
void lite_io_fail_later(struct lite_io *io, int status)
{
	io->status = status;
	spin_lock_bh(&fail_lock);
	list_add_tail(&io->entry, &fail_ios);
	spin_unlock_bh(&fail_lock);
	queue_work(lite_wq, &fail_work);
}

/* lite_calls_flush - wait until all failing calls were reported */
void lite_calls_flush(void)
{
	bool empty;

	do {
		flush_work(&fail_work);
		spin_lock_bh(&fail_lock);
		empty = list_empty(&fail_calls) && list_empty(&fail_ios);
		spin_unlock_bh(&fail_lock);
	} while (!empty);
}

/* ---- sending a call ------------------------------------------------------ */

static int client_post_payload(struct lite_conn *conn, struct lite_call *call,
			       u64 remote)
{
	struct ib_sge sge[LITE_PAYLOAD_PAGES];
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE,
		.wr.sg_list = sge,
		.wr.num_sge = call->nr_payload,
		.remote_addr = remote + WIRE_SLOT_SIZE,
		.rkey = conn->client.ring_rkey,
	};
	u32 i;

	for (i = 0; i < call->nr_payload; i++)
		lite_sge_local(&call->payload[i], &sge[i]);
	return lite_conn_post(conn, &wr.wr);
}

static u32 client_build(struct lite_conn *conn, struct lite_call *call,
			void *stage)
{
	const struct wire_request_info info = {
		.service = call->service,
		.op = call->op,
		.nr_payload = call->nr_payload,
		.nr_direct = call->nr_direct,
		.body_len = call->req_len,
		.epoch = conn->epoch,
		.id = call->id,
	};
	struct wire_direct *direct = stage + sizeof(struct wire_request);
	u32 i;

	wire_put_request(stage, &info);
	for (i = 0; i < call->nr_direct; i++)
		wire_put_direct(direct++,
				lite_sge_remote_addr(&call->direct[i]),
				lite_sge_rkey(&call->direct[i]));
	if (call->req_len)
		memcpy(direct, call->req, call->req_len);
	return (void *)direct - stage + call->req_len;
}

/* Takes a free slot; a failed post fails the connection, and that the call. */
static void client_send(struct lite_conn *conn, struct lite_call *call)
{
	struct lite_client *cl = &conn->client;
	u32 slot = cl->free[--cl->nr_free];
	struct lite_client_slot *s = &cl->slot[slot];
	u64 remote = cl->ring_addr + (u64)slot * cl->slot_size;
	struct ib_sge sge = {
		.addr = cl->stage.region->dma[slot],
		.lkey = lite_device.pd->local_dma_lkey,
	};
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE_WITH_IMM,
		.wr.sg_list = &sge,
		.wr.num_sge = 1,
		.wr.ex.imm_data = cpu_to_be32(wire_imm(WIRE_REQUEST,
						       conn->epoch, slot)),
		.remote_addr = remote,
		.rkey = cl->ring_rkey,
	};

	lockdep_assert_held(&conn->peer->lane[conn->lane].lock);
	s->call = call;
	s->waiting = LITE_SLOT_REPLY;
	call->slot = slot;
	call->state = LITE_CALL_SENT;
	sge.length = client_build(conn, call,
				  cl->stage.va + slot * WIRE_SLOT_SIZE);
	wr.wr.wr_cqe = &conn->send_cqe;
	if (call->nr_payload) {
		s->waiting |= LITE_SLOT_SEND;
		wr.wr.wr_cqe = &s->cqe;
		wr.wr.send_flags = IB_SEND_SIGNALED;
		if (client_post_payload(conn, call, remote))
			return;
	} else if (++cl->unsignalled >= LITE_SIGNAL_EVERY) {
		wr.wr.send_flags = IB_SEND_SIGNALED;
		cl->unsignalled = 0;
	}
	trace_lite_call_send(conn->node, conn->lane, slot, call->service,
			     call->op, call->id);
	lite_stat_add(LITE_STAT_BYTES_OUT,
		      sge.length + call->nr_payload * PAGE_SIZE);
	lite_conn_post(conn, &wr.wr);
}

/* lite_client_pump - send what waits, as far as slots allow; lane lock held */
void lite_client_pump(struct lite_lane *lane)
{
	struct lite_conn *conn = lane->live;
	struct lite_call *call;

	lockdep_assert_held(&lane->lock);
	while (conn && conn->client.nr_free && !list_empty(&lane->pending)) {
		call = list_first_entry(&lane->pending, struct lite_call,
					entry);
		list_del(&call->entry);
		client_send(conn, call);
	}
}

static int call_check(const struct lite_call *call)
{
	u32 i;

	if (!call->service || call->service >= LITE_SVC_MAX ||
	    (call->req_len && !call->req))
		return -EINVAL;
	if (call->req_len > LITE_BODY_MAX ||
	    call->nr_payload > LITE_PAYLOAD_PAGES ||
	    call->nr_direct > LITE_DIRECT_MAX)
		return -EMSGSIZE;
	for (i = 0; i < call->nr_payload; i++)
		if (!lite_sge_valid(&call->payload[i]))
			return -EINVAL;
	for (i = 0; i < call->nr_direct; i++)
		if (!lite_sge_valid(&call->direct[i]) ||
		    !call->direct[i].region->nr_mrs ||
		    !(call->direct[i].region->access & LITE_REMOTE_WRITE))
			return -EINVAL;
	return 0;
}

/* Return: whether the peer's tick must run to get a connection. */
static bool lane_submit(struct lite_lane *lane, struct lite_call *call)
{
	struct lite_conn *conn = lane->live;
	bool kick = false;

	lockdep_assert_held(&lane->lock);
	call->id = ++lane->next_id << 1 | lane->index;
	call->deadline = jiffies + msecs_to_jiffies(call->timeout_ms);
	if (likely(conn && conn->client.nr_free &&
		   list_empty(&lane->pending))) {
		client_send(conn, call);
		return false;
	}
	if (!lane->wanted) {
		lane->wanted = true;
		lane->last_ok = jiffies;
		lane->retry_at = jiffies;
		kick = true;
	}
	if (READ_ONCE(lite_stopping)) {
		lite_call_fail_later(call, -ESHUTDOWN);
	} else if (lane->dead) {
		lite_call_fail_later(call, -EHOSTDOWN);
	} else {
		call->state = LITE_CALL_PENDING;
		list_add_tail(&call->entry, &lane->pending);
	}
	return kick;
}

void lite_call_submit(struct lite_call *call)
{
	struct lite_lane *lane;
	bool kick;
	int err;

	lite_stat_inc(LITE_STAT_CALLS);
	call->answered = false;
	call->reply = NULL;
	call->reply_len = 0;
	call->brief = 0;
	err = call_check(call);
	if (unlikely(err)) {
		lite_call_fail_later(call, err);
		return;
	}
	call->lane = call->nr_payload ? WIRE_LANE_BULK : WIRE_LANE_RPC;
	lane = &call->peer->lane[call->lane];
	spin_lock_bh(&lane->lock);
	kick = lane_submit(lane, call);
	spin_unlock_bh(&lane->lock);
	if (unlikely(kick))
		lite_peer_kick(lane->peer);
}

SK_EXPORT(lite_call_submit);

struct call_waiter {
	struct completion done;
	void *buf;
	u32 size;
	int result;
};

static void call_sync_done(struct lite_call *call)
{
	struct call_waiter *waiter = call->waiter;

	waiter->result = call->status;
	if (!call->status) {
		u32 len = min(call->reply_len, waiter->size);

		if (len)
			memcpy(waiter->buf, call->reply, len);
		waiter->result = len;
	}
	complete(&waiter->done);
}

int lite_call_sync(struct lite_call *call, void *reply_buf, u32 reply_size)
{
	struct call_waiter waiter = {
		.done = COMPLETION_INITIALIZER_ONSTACK(waiter.done),
		.buf = reply_buf,
		.size = reply_size,
	};

	call->waiter = &waiter;
	call->done = call_sync_done;
	lite_call_submit(call);
	wait_for_completion(&waiter.done);
	return waiter.result;
}

SK_EXPORT(lite_call_sync);

/* ---- replies ------------------------------------------------------------- */

/*
 * The slot has all it waited for. The reply is copied out before it is looked
 * at and before the slot is free for the next one.
 *
 * Return: call to be finished with @info, NULL: the reply is malformed, the
 * call stays in its slot and ends with the connection.
 */
static struct lite_call *client_take(struct lite_conn *conn, u32 slot,
				     struct wire_reply_info *info)
{
	struct lite_client *cl = &conn->client;
	struct lite_client_slot *s = &cl->slot[slot];
	struct lite_call *call = s->call;

	memset(info, 0, sizeof(*info));
	if (s->kind == WIRE_REPLY) {
		if (s->len > WIRE_SLOT_SIZE)
			return NULL;
		memcpy(cl->copy, cl->reply.va + slot * WIRE_SLOT_SIZE, s->len);
		if (wire_get_reply(cl->copy, s->len, info) ||
		    info->id != call->id || info->epoch != conn->epoch)
			return NULL;
	} else if (call->nr_direct != 1 || s->len != WIRE_PAGE_SIZE) {
		return NULL;
	}
	s->call = NULL;
	cl->free[cl->nr_free++] = slot;
	return call;
}

/* Something that the slot waited for has come. CQ handler. */
static void client_advance(struct lite_conn *conn, u32 slot, u8 what,
			   u8 kind, u32 len)
{
	struct lite_lane *lane = &conn->peer->lane[conn->lane];
	struct lite_client_slot *s = &conn->client.slot[slot];
	struct wire_reply_info info;
	struct lite_call *call;
	bool expected, complete;

	spin_lock_bh(&lane->lock);
	expected = s->call && s->waiting & what;
	if (expected) {
		s->waiting &= ~what;
		if (what == LITE_SLOT_REPLY) {
			s->kind = kind;
			s->len = len;
		}
	}
	complete = expected && !s->waiting;
	call = complete ? client_take(conn, slot, &info) : NULL;
	if (call && lane->live == conn)
		lite_client_pump(lane);
	spin_unlock_bh(&lane->lock);
	if (unlikely(!expected || (complete && !call))) {
		lite_conn_malformed(conn, "reply does not fit the call");
		return;
	}
	if (!call)
		return;
	call->reply = info.body_len ? info.body : NULL;
	call->reply_len = info.body_len;
	call->answered = true;
	lite_call_finish(call, info.status);
}

static void client_payload_sent(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_client_slot *s = container_of(wc->wr_cqe,
						  struct lite_client_slot,
						  cqe);

	if (unlikely(wc->status != IB_WC_SUCCESS)) {
		lite_conn_fail(s->conn, ib_wc_status_msg(wc->status));
		return;
	}
	client_advance(s->conn, s - s->conn->client.slot, LITE_SLOT_SEND, 0, 0);
}

/* lite_client_recv - immediate data from the server; CQ handler */
void lite_client_recv(struct lite_conn *conn, u32 imm, u32 len)
{
	u32 kind = wire_imm_kind(imm);

	if (unlikely(READ_ONCE(conn->state) < LITE_CONN_LIVE &&
		     kind != WIRE_GOODBYE)) {
		lite_conn_malformed(conn, "reply before welcome");
		return;
	}
	switch (kind) {
	case WIRE_REPLY:
	case WIRE_DIRECT_OK:
		lite_stat_add(LITE_STAT_BYTES_IN, len);
		client_advance(conn, wire_imm_slot(imm), LITE_SLOT_REPLY, kind,
			       len);
		break;
	case WIRE_HEARTBEAT_ACK:
		WRITE_ONCE(conn->client.heartbeat, false);
		break;
	case WIRE_GOODBYE:
		lite_peer_left(conn);
		break;
	default:
		lite_conn_malformed(conn, "unknown kind of immediate data");
	}
}

/* ---- connecting ---------------------------------------------------------- */

static void client_start(struct work_struct *work);

void lite_lane_init(struct lite_lane *lane, struct lite_peer *peer, u8 index)
{
	INIT_WORK(&lane->start_work, client_start);
	spin_lock_init(&lane->lock);
	lane->index = index;
	lane->peer = peer;
	lane->backoff = LITE_BACKOFF_MIN;
	INIT_LIST_HEAD(&lane->pending);
	INIT_LIST_HEAD(&lane->io_pending);
}

/* Slots and buffers; what is half made is freed by lite_client_free(). */
int lite_client_alloc(struct lite_conn *conn)
{
	struct lite_client *cl = &conn->client;
	u32 i, nr = conn->slots;
	int err;

	INIT_LIST_HEAD(&cl->ios);
	cl->slot = kvcalloc(nr, sizeof(*cl->slot), GFP_KERNEL);
	cl->free = kvcalloc(nr, sizeof(*cl->free), GFP_KERNEL);
	cl->copy = (void *)get_zeroed_page(GFP_KERNEL);
	if (!cl->slot || !cl->free || !cl->copy)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		cl->slot[i].conn = conn;
		cl->slot[i].cqe.done = client_payload_sent;
	}
	/* One page more for lite_test_send_raw(). */
	err = lite_buf_alloc(&cl->stage, nr + 1, 0);
	if (err)
		return err;
	return lite_buf_alloc(&cl->reply, nr, LITE_REMOTE_WRITE);
}

void lite_client_free(struct lite_conn *conn)
{
	struct lite_client *cl = &conn->client;

	lite_buf_free(&cl->reply);
	lite_buf_free(&cl->stage);
	free_page((unsigned long)cl->copy);
	kvfree(cl->free);
	kvfree(cl->slot);
}

/*
 * Makes the lane's next connection attempt. Not in the tick, which must not
 * sleep: nobody else sends heartbeats.
 */
static void client_start(struct work_struct *work)
{
	struct lite_lane *lane = container_of(work, struct lite_lane,
					      start_work);
	struct lite_peer *peer = lane->peer;
	struct lite_conn *conn;

	conn = lite_conn_alloc(peer->node, false);
	if (IS_ERR(conn)) {
		spin_lock_bh(&lane->lock);
		lane->retry_at = jiffies + HZ;
		lane->starting = false;
		spin_unlock_bh(&lane->lock);
		return;
	}
	conn->peer = peer;
	conn->lane = lane->index;
	/* The ring of the bulk lane must fit into one memory region. */
	if (conn->lane == WIRE_LANE_BULK)
		conn->slots = min_t(u16, conn->slots,
				    LITE_MR_PAGES / WIRE_BULK_PAGES);
	conn->auth.client = lite_params.self;
	conn->auth.server = peer->node;
	get_random_bytes(conn->auth.nonce_c, WIRE_NONCE_SIZE);
	spin_lock_bh(&lane->lock);
	conn->epoch = ++lane->epoch;
	lane->conn = conn;
	lane->starting = false;
	spin_unlock_bh(&lane->lock);
	if (!lite_peer_attach_client(peer, conn))
		lite_conn_fail(conn, "the module is being unloaded");
	else if (lite_client_alloc(conn))
		lite_conn_fail(conn, "out of memory");
	else if (lite_cm_connect(conn))
		lite_conn_fail(conn, "cannot start to connect");
	/* From here on kill may take it away. */
	complete_all(&conn->made);
}

static void client_auth_failed(struct lite_conn *conn, const char *what)
{
	__be32 addr = htonl(conn->node);

	lite_stat_inc(LITE_STAT_AUTH_FAILURES);
	pr_warn_ratelimited("host %pI4 does not have our cluster key (%s): not connecting\n",
			    &addr, what);
	lite_conn_fail(conn, "the cluster keys differ");
}

/* The connect reply is here: check it, prove ourselves over its nonce. */
static void client_say_hello(struct lite_conn *conn)
{
	struct wire_hello *msg = conn->hello.va + PAGE_SIZE;
	struct lite_client *cl = &conn->client;
	struct wire_link link = {
		.lane = conn->lane,
		.epoch = conn->epoch,
		.incarnation = lite_peer_ours(conn->peer),
	};
	u16 slots;
	u32 node;
	int err;

	err = wire_get_accept(&conn->accept, sizeof(conn->accept), &node,
			      &slots);
	if (err || node != conn->node) {
		lite_conn_malformed(conn, err == -EPROTO ?
				    "other protocol version" :
				    "connect reply");
		return;
	}
	memcpy(conn->auth.nonce_s, conn->accept.nonce_s, WIRE_NONCE_SIZE);
	if (!lite_auth_verify(&conn->auth, LITE_AUTH_ACCEPT, &conn->accept)) {
		client_auth_failed(conn, "connect reply");
		return;
	}
	conn->slots = min(conn->slots, slots);
	while (cl->nr_free < conn->slots) {
		cl->free[cl->nr_free] = conn->slots - 1 - cl->nr_free;
		cl->nr_free++;
	}
	link.slots = conn->slots;
	link.addr = cl->reply.region->mr[0]->iova;
	link.rkey = cl->reply.region->mr[0]->rkey;
	wire_put_hello(msg, &link);
	err = lite_auth_sign(&conn->auth, LITE_AUTH_HELLO, msg);
	if (!err && lite_conn_advance(conn, LITE_CONN_HELLO))
		err = lite_conn_send_hello(conn, sizeof(*msg));
	if (err)
		lite_conn_fail(conn, "cannot send hello");
}

/* The lane may use the connection from here on. */
static void client_go_live(struct lite_conn *conn)
{
	struct lite_lane *lane = &conn->peer->lane[conn->lane];
	bool ok;

	spin_lock_bh(&lane->lock);
	ok = lane->conn == conn && lite_conn_advance(conn, LITE_CONN_LIVE);
	if (ok) {
		lane->backoff = LITE_BACKOFF_MIN;
		lane->live = conn;
		lane->last_ok = jiffies;
		conn->client.live_at = jiffies;
	}
	spin_unlock_bh(&lane->lock);
	if (!ok)
		return;
	lite_peer_conn_live(conn);
	spin_lock_bh(&lane->lock);
	if (lane->live) {
		lite_client_pump(lane);
		lite_io_pump(lane, lane->live);
	}
	spin_unlock_bh(&lane->lock);
}

static void client_welcomed(struct lite_conn *conn)
{
	struct wire_welcome *msg = conn->hello.va;
	struct lite_client *cl = &conn->client;
	struct wire_link link;

	if (wire_get_welcome(msg, conn->hello_len, &link) ||
	    link.lane != conn->lane || link.slots != conn->slots ||
	    link.epoch != conn->epoch) {
		lite_conn_malformed(conn, "welcome");
		return;
	}
	if (!lite_auth_verify(&conn->auth, LITE_AUTH_WELCOME, msg)) {
		client_auth_failed(conn, "welcome");
		return;
	}
	cl->ring_addr = link.addr;
	cl->ring_rkey = link.rkey;
	cl->slot_size = WIRE_SLOT_SIZE;
	if (conn->lane == WIRE_LANE_BULK)
		cl->slot_size *= WIRE_BULK_PAGES;
	if (lite_peer_meet(conn, link.incarnation)) {
		lite_conn_fail(conn, "the peer's former life is not settled");
		return;
	}
	client_go_live(conn);
}

/* lite_client_step - next step of the handshake; work item */
void lite_client_step(struct lite_conn *conn)
{
	switch (READ_ONCE(conn->state)) {
	case LITE_CONN_CONNECT:
		client_say_hello(conn);
		break;
	case LITE_CONN_HELLO:
		client_welcomed(conn);
		break;
	}
}

/* ---- losing the connection ----------------------------------------------- */

/* lite_client_detach - no call is sent on @conn after this; kill, step 1 */
void lite_client_detach(struct lite_conn *conn)
{
	struct lite_lane *lane = &conn->peer->lane[conn->lane];

	spin_lock_bh(&lane->lock);
	if (lane->live == conn) {
		lane->live = NULL;
		lane->last_ok = conn->last_rx;
		conn->client.brief = time_before(jiffies, conn->client.live_at +
						 LITE_BRIEF);
	}
	spin_unlock_bh(&lane->lock);
}

static void requeue_in_order(struct list_head *list, struct lite_call *call)
{
	struct lite_call *pos;

	list_for_each_entry(pos, list, entry)
		if (pos->id > call->id)
			break;
	list_add_tail(&call->entry, &pos->entry);
}

/*
 * What becomes of a call whose connection is gone.
 * Return: 0: send it again; else its status.
 */
static int call_fate(const struct lite_lane *lane, const struct lite_call *call)
{
	if (call->state == LITE_CALL_LATE)
		return -ETIMEDOUT;
	if (READ_ONCE(lite_stopping))
		return -ESHUTDOWN;
	if (lane->dead)
		return -EHOSTDOWN;
	return call->flags & LITE_CALL_IDEMPOTENT ? 0 : -ECONNRESET;
}

/*
 * A call may be what breaks the connection, for ever. The oldest is blamed: it
 * is first on each connection, so the others are answered when it is gone. On a
 * lossy link a connection lives longer than LITE_BRIEF, and hardly any call is
 * the oldest of LITE_BRIEF_MAX that do not.
 */
static void client_blame(struct list_head *again)
{
	struct lite_call *call = list_first_entry_or_null(again,
							  struct lite_call,
							  entry);

	if (!call || ++call->brief < LITE_BRIEF_MAX)
		return;
	list_del(&call->entry);
	lite_call_fail_later(call, -EIO);
}

/* lite_client_closed - hand the calls back; kill, step 5: it is drained */
void lite_client_closed(struct lite_conn *conn)
{
	struct lite_lane *lane = &conn->peer->lane[conn->lane];
	struct lite_client *cl = &conn->client;
	struct lite_call *call;
	LIST_HEAD(again);
	u32 i;
	int err;

	spin_lock_bh(&lane->lock);
	for (i = 0; cl->slot && i < conn->slots; i++) {
		call = cl->slot[i].call;
		if (!call)
			continue;
		cl->slot[i].call = NULL;
		err = call_fate(lane, call);
		if (err) {
			lite_call_fail_later(call, err);
			continue;
		}
		lite_stat_inc(LITE_STAT_CALLS_RESENT);
		call->state = LITE_CALL_PENDING;
		requeue_in_order(&again, call);
	}
	if (cl->brief)
		client_blame(&again);
	list_splice(&again, &lane->pending);
	if (lane->conn == conn)
		lane->conn = NULL;
	lane->retry_at = jiffies +
		msecs_to_jiffies(lane->backoff +
				 get_random_u32() % (lane->backoff / 2));
	/* Of dead_ms no more than this is to be lost after a cut has ended. */
	lane->backoff = min_t(u32, lane->backoff * 2, lane->dead ?
			      LITE_BACKOFF_MAX : LITE_BACKOFF_ALIVE);
	spin_unlock_bh(&lane->lock);
	lite_peer_kick(conn->peer);
}

/* lite_lane_abandon - the peer is dead or gone: end everything that waits */
void lite_lane_abandon(struct lite_lane *lane, int status)
{
	struct lite_call *call, *next_call;
	struct lite_io *io, *next_io;

	spin_lock_bh(&lane->lock);
	lane->dead = true;
	list_for_each_entry_safe(call, next_call, &lane->pending, entry) {
		list_del(&call->entry);
		lite_call_fail_later(call, status);
	}
	list_for_each_entry_safe(io, next_io, &lane->io_pending, entry) {
		list_del(&io->entry);
		lite_io_fail_later(io, status);
	}
	spin_unlock_bh(&lane->lock);
}

/*
 * lite_lane_revive - the peer is there again: calls wait instead of failing
 *
 * @reached: we got through to it, over whichever lane: this one has dead_ms
 * from now. That the peer gets through to us says nothing about our calls.
 */
void lite_lane_revive(struct lite_lane *lane, bool reached)
{
	spin_lock_bh(&lane->lock);
	if (reached)
		lane->last_ok = jiffies;
	if (lane->dead) {
		lane->dead = false;
		lane->last_ok = jiffies;
		lane->backoff = LITE_BACKOFF_MIN;
		lane->retry_at = jiffies;
	}
	spin_unlock_bh(&lane->lock);
}

/* ---- the clock ----------------------------------------------------------- */

static bool call_expired(const struct lite_call *call)
{
	return call->timeout_ms && time_after(jiffies, call->deadline);
}

/* Return: whether calls in flight are late: the connection must be reset. */
static bool lane_expire(struct lite_lane *lane)
{
	struct lite_conn *conn = lane->live;
	struct lite_call *call, *next;
	bool late = false;
	u32 i;

	lockdep_assert_held(&lane->lock);
	list_for_each_entry_safe(call, next, &lane->pending, entry)
		if (call_expired(call)) {
			list_del(&call->entry);
			lite_call_fail_later(call, -ETIMEDOUT);
		}
	for (i = 0; conn && i < conn->slots; i++) {
		call = conn->client.slot[i].call;
		if (call && call->state == LITE_CALL_SENT &&
		    call_expired(call)) {
			call->state = LITE_CALL_LATE;
			late = true;
		}
	}
	return late;
}

/* A quiet connection is asked for a sign of life. */
static void lane_heartbeat(struct lite_lane *lane)
{
	struct lite_conn *conn = lane->live;

	lockdep_assert_held(&lane->lock);
	if (!conn)
		return;
	lane->last_ok = conn->last_rx;
	if (conn->client.heartbeat ||
	    time_before(jiffies, conn->last_rx +
			msecs_to_jiffies(lite_params.heartbeat_ms)))
		return;
	WRITE_ONCE(conn->client.heartbeat, true);
	lite_stat_inc(LITE_STAT_HEARTBEATS);
	lite_conn_post_imm(conn, WIRE_HEARTBEAT, &conn->send_cqe);
}

/**
 * lite_lane_tick - deadlines, heartbeat, next connection attempt
 * @lane: lane
 * @gap: for how long the tick was held up, so that nobody was asked for a sign
 *	of life: that time does not count
 *
 * Context: the peer's tick.
 */
void lite_lane_tick(struct lite_lane *lane, unsigned long gap)
{
	struct lite_conn *reset = NULL;
	bool start, late;

	spin_lock_bh(&lane->lock);
	late = lane_expire(lane);
	late |= lite_io_expire(lane);
	if (late) {
		reset = lane->live;
		if (reset)
			kref_get(&reset->ref);
	}
	lane->last_ok = lite_forgive(lane->last_ok, gap);
	lane_heartbeat(lane);
	start = lane->wanted && !lane->conn && !lane->starting &&
		!READ_ONCE(lite_stopping) &&
		time_after_eq(jiffies, lane->retry_at);
	lane->starting |= start;
	spin_unlock_bh(&lane->lock);
	if (reset) {
		lite_conn_fail(reset, "a call was not answered in time");
		lite_conn_put(reset);
	}
	if (start)
		queue_work(lite_wq, &lane->start_work);
}

/**
 * lite_lane_silent - has the lane been without a sign of life for too long?
 * @lane: lane
 *
 * Return: whether the peer must be declared dead.
 */
bool lite_lane_silent(struct lite_lane *lane)
{
	bool silent;

	spin_lock_bh(&lane->lock);
	silent = lane->wanted && !lane->dead &&
		 time_after(jiffies, lane->last_ok +
			    msecs_to_jiffies(lite_params.dead_ms));
	spin_unlock_bh(&lane->lock);
	return silent;
}
