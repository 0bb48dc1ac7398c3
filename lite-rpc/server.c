// SPDX-License-Identifier: GPL-2.0
/*
 * The serving end: letting clients in, requests, replies.
 *
 * Normal operation. A request lands in a ring slot, its immediate data in a
 * receive completion. Header and body are copied out once and checked there:
 * the client can overwrite the ring at any time. Atomic operations are handled
 * right in the completion handler, others on lite_serve_wq. The reply goes to
 * the client's reply slot of the same number, pages straight to the pages that
 * the request named.
 *
 * Who may run when. A server slot is opened in the completion handler, which
 * runs once at a time for a connection, and closed in lite_reply() before the
 * reply is posted. lite_server::inflight counts 2 for each request: one until
 * handle() has returned, one until the reply. lite_conn_kill() sets the state,
 * then waits for inflight to become 0, then drains; a request raises inflight
 * first and looks at the state then. So no handler runs and nothing is posted
 * once the connection is closed.
 *
 * Memory. Page sources of replies belong to the handler's module until
 * release(); lite_release records are as many as sends can be under way.
 */
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <rdma/ib_cm.h>

#include "internal.h"
#include "trace.h"

/* Clients that have sent a connect request but not proved the key over our
 * nonce yet. Replayed requests get this far, so they are limited.
 */
#define SERVER_STRANGERS_MAX	32
static atomic_t server_strangers = ATOMIC_INIT(0);

static void server_no_stranger(struct lite_conn *conn)
{
	/* The handshake and kill may get here at the same time. */
	if (xchg(&conn->stranger, false))
		atomic_dec(&server_strangers);
}

/* ---- letting in, step 1: the connect request ----------------------------- */

static int server_reject(struct rdma_cm_id *id, u32 reason)
{
	struct wire_refusal msg;

	wire_put_refusal(&msg, reason);
	rdma_reject(id, &msg, sizeof(msg), IB_CM_REJ_CONSUMER_DEFINED);
	return -ECONNREFUSED;
}

/* Return: 0 or the reason to refuse. */
static u32 server_check_connect(struct rdma_cm_id *id,
				struct rdma_cm_event *event,
				struct wire_connect *msg)
{
	struct sockaddr_in *sin =
		(struct sockaddr_in *)&id->route.addr.dst_addr;
	struct lite_auth auth = { .server = lite_params.self };
	int err;

	err = wire_get_connect(event->param.conn.private_data,
			       event->param.conn.private_data_len,
			       &auth.client);
	if (err) {
		if (err == -EBADMSG)
			lite_stat_inc(LITE_STAT_MALFORMED);
		pr_warn_ratelimited("host %pI4: %s\n", &sin->sin_addr,
				    err == -EPROTO ?
				    "refused, other major version of the protocol" :
				    "refused, malformed connect request");
		return err == -EPROTO ? WIRE_REJECT_VERSION :
					WIRE_REJECT_MALFORMED;
	}
	memcpy(msg, event->param.conn.private_data, sizeof(*msg));
	if (sin->sin_family != AF_INET ||
	    ntohl(sin->sin_addr.s_addr) != auth.client) {
		lite_stat_inc(LITE_STAT_AUTH_FAILURES);
		pr_warn_ratelimited("host %pI4: refused, it claims the node id %08x\n",
				    &sin->sin_addr, auth.client);
		return WIRE_REJECT_NODE;
	}
	memcpy(auth.nonce_c, msg->nonce_c, WIRE_NONCE_SIZE);
	if (!lite_auth_verify(&auth, LITE_AUTH_CONNECT, msg)) {
		lite_stat_inc(LITE_STAT_AUTH_FAILURES);
		pr_warn_ratelimited("host %pI4: refused, it does not have our cluster key\n",
				    &sin->sin_addr);
		return WIRE_REJECT_KEY;
	}
	return 0;
}

static int server_accept(struct lite_conn *conn)
{
	const struct ib_device_attr *attrs = &lite_device.ib->attrs;
	struct wire_accept msg;
	struct rdma_conn_param param = {
		.private_data = &msg,
		.private_data_len = sizeof(msg),
		.responder_resources = min_t(int, LITE_READS_MAX,
					     attrs->max_qp_rd_atom),
		.rnr_retry_count = 6,
	};
	int err;

	err = lite_conn_create_qp(conn);
	if (err)
		return err;
	get_random_bytes(conn->auth.nonce_s, WIRE_NONCE_SIZE);
	wire_put_accept(&msg, lite_params.self, lite_params.slots);
	memcpy(msg.nonce_s, conn->auth.nonce_s, WIRE_NONCE_SIZE);
	err = lite_auth_sign(&conn->auth, LITE_AUTH_ACCEPT, &msg);
	if (err)
		return err;
	if (!lite_conn_advance(conn, LITE_CONN_CONNECT))
		return -ECONNABORTED;
	return rdma_accept(conn->id, &param);
}

/**
 * lite_server_request_cm - a connect request has come
 * @id: new CM id; ours if 0 is returned
 * @event: the request
 *
 * Costs one MAC before anything is allocated.
 *
 * Context: CM handler. Return: 0, or nonzero: the CM destroys @id.
 */
int lite_server_request_cm(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct wire_connect msg;
	struct lite_conn *conn;
	struct lite_peer *peer;
	u32 reason;

	id->context = NULL;
	if (READ_ONCE(lite_stopping))
		return server_reject(id, WIRE_REJECT_UNLOADING);
	reason = server_check_connect(id, event, &msg);
	if (reason)
		return server_reject(id, reason);
	peer = lite_peer_find(le32_to_cpu(msg.node), true);
	if (IS_ERR(peer))
		return server_reject(id, WIRE_REJECT_RESOURCES);
	if (atomic_inc_return(&server_strangers) > SERVER_STRANGERS_MAX)
		goto out_stranger;
	conn = lite_conn_alloc(peer->node, true);
	if (IS_ERR(conn))
		goto out_stranger;
	conn->peer = peer;
	conn->auth.client = peer->node;
	conn->auth.server = lite_params.self;
	memcpy(conn->auth.nonce_c, msg.nonce_c, WIRE_NONCE_SIZE);
	conn->stranger = true;
	conn->id = id;
	id->context = conn;
	/*
	 * From here on kill and reap own the id, so the return value is 0. Kill
	 * takes the id's handler mutex, which we hold.
	 */
	complete_all(&conn->made);
	if (server_accept(conn)) {
		server_reject(id, WIRE_REJECT_RESOURCES);
		lite_conn_fail(conn, "cannot accept");
	}
	return 0;
out_stranger:
	atomic_dec(&server_strangers);
	return server_reject(id, WIRE_REJECT_RESOURCES);
}

/* ---- letting in, step 2: hello ------------------------------------------- */

static void server_work(struct work_struct *work);
static void server_released(struct ib_cq *cq, struct ib_wc *wc);

static int server_alloc_slots(struct lite_conn *conn)
{
	struct lite_server *srv = &conn->serve;
	u32 i;

	srv->slot = kvcalloc(conn->slots, sizeof(*srv->slot), GFP_KERNEL);
	srv->copies = vzalloc(conn->slots * WIRE_SLOT_SIZE);
	srv->nr_releases = 4 * conn->slots;
	srv->releases = kvcalloc(srv->nr_releases, sizeof(*srv->releases),
				 GFP_KERNEL);
	if (!srv->slot || !srv->copies || !srv->releases)
		return -ENOMEM;
	for (i = 0; i < conn->slots; i++) {
		srv->slot[i].conn = conn;
		srv->slot[i].index = i;
		srv->slot[i].copy = srv->copies + i * WIRE_SLOT_SIZE;
		INIT_WORK(&srv->slot[i].work, server_work);
	}
	for (i = 0; i < srv->nr_releases; i++) {
		srv->releases[i].cqe.done = server_released;
		srv->releases[i].conn = conn;
		srv->releases[i].next = srv->free_release;
		srv->free_release = &srv->releases[i];
	}
	return 0;
}

/* What the client may reach and what serves it; freed by lite_server_free(). */
static int server_alloc(struct lite_conn *conn)
{
	struct lite_server *srv = &conn->serve;
	u32 pages = conn->slots;
	int err;

	if (conn->lane == WIRE_LANE_BULK)
		pages *= WIRE_BULK_PAGES;
	/* One memory region, so that the ring has one key. */
	if (pages > LITE_MR_PAGES)
		return -EMSGSIZE;
	srv->slot_size = pages / conn->slots * WIRE_PAGE_SIZE;
	err = server_alloc_slots(conn);
	if (!err)
		err = lite_buf_alloc(&srv->ring, pages, LITE_REMOTE_WRITE);
	if (!err)
		err = lite_buf_alloc(&srv->stage, conn->slots, 0);
	return err;
}

void lite_server_free(struct lite_conn *conn)
{
	struct lite_server *srv = &conn->serve;

	lite_buf_free(&srv->stage);
	lite_buf_free(&srv->ring);
	kvfree(srv->releases);
	vfree(srv->copies);
	kvfree(srv->slot);
}

/* Return: false: the hello is wrong, the connection was failed. */
static bool server_check_hello(struct lite_conn *conn, struct wire_link *link)
{
	struct wire_hello *msg = conn->hello.va;
	__be32 addr = htonl(conn->node);

	if (wire_get_hello(msg, conn->hello_len, link) ||
	    link->slots > lite_params.slots) {
		lite_conn_malformed(conn, "hello");
		return false;
	}
	if (!lite_auth_verify(&conn->auth, LITE_AUTH_HELLO, msg)) {
		lite_stat_inc(LITE_STAT_AUTH_FAILURES);
		pr_warn_ratelimited("host %pI4: refused, its hello is not made with our cluster key\n",
				    &addr);
		lite_conn_fail(conn, "the cluster keys differ");
		return false;
	}
	return true;
}

static void server_welcome(struct lite_conn *conn, struct wire_link *link)
{
	struct wire_welcome *msg = conn->hello.va + PAGE_SIZE;

	link->incarnation = lite_peer_ours(conn->peer);
	link->addr = conn->serve.ring.region->mr[0]->iova;
	link->rkey = conn->serve.ring.region->mr[0]->rkey;
	wire_put_welcome(msg, link);
	if (lite_auth_sign(&conn->auth, LITE_AUTH_WELCOME, msg)) {
		lite_conn_fail(conn, "cannot sign");
		return;
	}
	/* Live first: the first request may arrive the moment after. */
	if (!lite_conn_advance(conn, LITE_CONN_LIVE))
		return;
	lite_peer_conn_live(conn);
	lite_conn_send_hello(conn, sizeof(*msg));
}

/* lite_server_step - hello has come; work item */
void lite_server_step(struct lite_conn *conn)
{
	struct wire_link link;

	if (!lite_conn_advance(conn, LITE_CONN_HELLO))
		return;
	/* A lost RTU must not keep the CM from seeing us connected. */
	rdma_notify(conn->id, IB_EVENT_COMM_EST);
	if (!server_check_hello(conn, &link))
		return;
	conn->lane = link.lane;
	conn->slots = link.slots;
	conn->epoch = link.epoch;
	server_no_stranger(conn);
	conn->serve.reply_addr = link.addr;
	conn->serve.reply_rkey = link.rkey;
	if (server_alloc(conn)) {
		lite_conn_fail(conn, "out of memory");
		return;
	}
	if (lite_peer_meet(conn, link.incarnation)) {
		lite_conn_fail(conn, "the peer's former life is not settled");
		return;
	}
	server_welcome(conn, &link);
}

/* ---- requests ------------------------------------------------------------ */

static void server_put(struct lite_conn *conn, int nr)
{
	struct lite_peer *peer = conn->peer;

	/*
	 * The connection may be gone the moment that this reaches 0: only the
	 * peer can tell whether lite_server_quiesce() waits.
	 */
	if (atomic_sub_and_test(nr, &conn->serve.inflight) &&
	    unlikely(wq_has_sleeper(&peer->wait)))
		wake_up_all(&peer->wait);
}

static void server_handle(struct lite_server_slot *s)
{
	struct lite_provider *service = s->service;
	struct lite_conn *conn = s->conn;

	service->handler->handle(&s->req);
	/* handle() may have replied, so *s may be the next request already. */
	percpu_ref_put(&service->ref);
	server_put(conn, 1);
}

static void server_work(struct work_struct *work)
{
	server_handle(container_of(work, struct lite_server_slot, work));
}

static void server_dispatch(struct lite_conn *conn, struct lite_server_slot *s)
{
	const struct lite_handler *handler;
	struct lite_provider *service;

	service = lite_service_get(s->info.service);
	s->service = service;
	if (unlikely(!service)) {
		lite_stat_inc(LITE_STAT_REQUESTS_REFUSED);
		lite_reply(&s->req, -EPROTONOSUPPORT, NULL, 0);
		server_put(conn, 1);
		return;
	}
	/* Two references, like inflight: handle() running, reply to come. */
	percpu_ref_get(&service->ref);
	handler = service->handler;
	s->req.service_data = handler->service_data;
	if (s->info.op < 64 && handler->atomic_ops & BIT_ULL(s->info.op))
		server_handle(s);
	else
		queue_work(lite_serve_wq, &s->work);
}

/* Return: what is wrong with the request, or NULL. */
static const char *server_decode(struct lite_conn *conn,
				 struct lite_server_slot *s, u32 len)
{
	struct wire_request_info *info = &s->info;
	int err;

	memcpy(s->copy, conn->serve.ring.va +
	       s->index * conn->serve.slot_size, len);
	err = wire_get_request(s->copy, len, info);
	if (err)
		return err == -EPROTO ? "other protocol version" : "request";
	if (info->epoch != conn->epoch)
		return "wrong epoch";
	if (info->nr_payload && conn->lane != WIRE_LANE_BULK)
		return "payload on the rpc lane";
	return NULL;
}

static void server_request(struct lite_conn *conn, u32 slot, u32 len)
{
	struct lite_server_slot *s = &conn->serve.slot[slot];
	struct wire_request_info *info = &s->info;
	const char *wrong;

	if (len > WIRE_SLOT_SIZE) {
		lite_conn_malformed(conn, "oversize request");
		return;
	}
	/* Pairs with server_close(). */
	if (smp_load_acquire(&s->open)) {
		lite_conn_malformed(conn, "slot is in use");
		return;
	}
	wrong = server_decode(conn, s, len);
	if (unlikely(wrong)) {
		lite_conn_malformed(conn, wrong);
		return;
	}
	atomic_add(2, &conn->serve.inflight);
	/* Pairs with the one in lite_server_quiesce(). */
	smp_mb__after_atomic();
	if (unlikely(!lite_conn_live(conn))) {
		server_put(conn, 2);
		return;
	}
	s->open = true;
	s->req.node = conn->node;
	s->req.incarnation = conn->theirs;
	s->req.id = info->id;
	s->req.op = info->op;
	s->req.body = info->body;
	s->req.body_len = info->body_len;
	s->req.payload_len = info->nr_payload * WIRE_PAGE_SIZE;
	s->req.payload = info->nr_payload ? conn->serve.ring.va +
		slot * conn->serve.slot_size + WIRE_SLOT_SIZE : NULL;
	s->req.nr_direct = info->nr_direct;
	lite_stat_inc(LITE_STAT_REQUESTS);
	lite_stat_add(LITE_STAT_BYTES_IN, len + s->req.payload_len);
	trace_lite_request(conn->node, conn->lane, slot, info->service,
			   info->op, info->id);
	server_dispatch(conn, s);
}

/* lite_server_recv - immediate data from the client; CQ handler */
void lite_server_recv(struct lite_conn *conn, u32 imm, u32 len)
{
	u8 state = READ_ONCE(conn->state);

	if (unlikely(state < LITE_CONN_LIVE)) {
		lite_conn_malformed(conn, "request before welcome");
		return;
	}
	switch (wire_imm_kind(imm)) {
	case WIRE_REQUEST:
		/* What failed before it was live has no slots. */
		if (likely(state == LITE_CONN_LIVE))
			server_request(conn, wire_imm_slot(imm), len);
		break;
	case WIRE_HEARTBEAT:
		if (lite_conn_live(conn))
			lite_conn_post_imm(conn, WIRE_HEARTBEAT_ACK,
					   &conn->send_cqe);
		break;
	case WIRE_GOODBYE:
		lite_peer_left(conn);
		break;
	default:
		lite_conn_malformed(conn, "unknown kind of immediate data");
	}
}

/* ---- replies ------------------------------------------------------------- */

static struct lite_release *release_get(struct lite_conn *conn,
					void (*release)(void *arg), void *arg)
{
	struct lite_release *rel;

	spin_lock_bh(&conn->lock);
	rel = conn->serve.free_release;
	if (rel) {
		conn->serve.free_release = rel->next;
		rel->release = release;
		rel->arg = arg;
	}
	spin_unlock_bh(&conn->lock);
	return rel;
}

/*
 * In process context, kill's for one, we can be preempted in the tail of
 * release() after it has let its module go: a grace period is to mean that it
 * has returned.
 */
static void release_run(void (*release)(void *arg), void *arg)
{
	rcu_read_lock();
	release(arg);
	rcu_read_unlock();
}

static void release_put(struct lite_release *rel)
{
	struct lite_conn *conn = rel->conn;
	void (*release)(void *arg);
	void *arg;

	spin_lock_bh(&conn->lock);
	release = rel->release;
	arg = rel->arg;
	rel->release = NULL;
	rel->next = conn->serve.free_release;
	conn->serve.free_release = rel;
	spin_unlock_bh(&conn->lock);
	if (release)
		release_run(release, arg);
}

static void server_released(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_release *rel = container_of(wc->wr_cqe,
						struct lite_release, cqe);

	if (unlikely(wc->status != IB_WC_SUCCESS))
		lite_conn_fail(rel->conn, ib_wc_status_msg(wc->status));
	release_put(rel);
}

static int server_post_page(struct lite_conn *conn,
			    const struct wire_direct *direct,
			    const struct lite_sge *src)
{
	struct ib_sge sge;
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE,
		.wr.sg_list = &sge,
		.wr.num_sge = 1,
		.remote_addr = le64_to_cpu(direct->addr),
		.rkey = le32_to_cpu(direct->rkey),
	};

	lite_sge_local(src, &sge);
	return lite_conn_post(conn, &wr.wr);
}

/* The page itself is the reply. */
static int server_post_direct(struct lite_conn *conn, u32 slot,
			      const struct wire_direct *direct,
			      const struct lite_sge *src, struct ib_cqe *cqe)
{
	struct ib_sge sge;
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE_WITH_IMM,
		.wr.wr_cqe = cqe,
		.wr.sg_list = &sge,
		.wr.num_sge = 1,
		.wr.send_flags = IB_SEND_SIGNALED,
		.wr.ex.imm_data = cpu_to_be32(wire_imm(WIRE_DIRECT_OK,
						       conn->epoch, slot)),
		.remote_addr = le64_to_cpu(direct->addr),
		.rkey = le32_to_cpu(direct->rkey),
	};

	lite_sge_local(src, &sge);
	lite_stat_add(LITE_STAT_BYTES_OUT, PAGE_SIZE);
	return lite_conn_post(conn, &wr.wr);
}

/* Reply slot @slot gets what lies in the stage; @cqe NULL: mostly unsignalled */
static int server_post_slot(struct lite_conn *conn, u32 slot, u32 len,
			    struct ib_cqe *cqe)
{
	struct lite_server *srv = &conn->serve;
	struct ib_sge sge = {
		.addr = srv->stage.region->dma[slot],
		.length = len,
		.lkey = lite_device.pd->local_dma_lkey,
	};
	struct ib_rdma_wr wr = {
		.wr.opcode = IB_WR_RDMA_WRITE_WITH_IMM,
		.wr.wr_cqe = cqe ? cqe : &conn->send_cqe,
		.wr.sg_list = &sge,
		.wr.num_sge = 1,
		.wr.ex.imm_data = cpu_to_be32(wire_imm(WIRE_REPLY,
						       conn->epoch, slot)),
		.remote_addr = srv->reply_addr + slot * WIRE_SLOT_SIZE,
		.rkey = srv->reply_rkey,
	};

	/* The count is only a hint, so that two at once may lose one. */
	if (cqe || ++srv->unsignalled >= LITE_SIGNAL_EVERY) {
		wr.wr.send_flags = IB_SEND_SIGNALED;
		srv->unsignalled = 0;
	}
	lite_stat_add(LITE_STAT_BYTES_OUT, len);
	return lite_conn_post(conn, &wr.wr);
}

static u32 server_stage(struct lite_server_slot *s, int status,
			const void *body, u32 len)
{
	void *stage = s->conn->serve.stage.va + s->index * WIRE_SLOT_SIZE;
	struct wire_reply_info info = {
		.id = s->info.id,
		.epoch = s->conn->epoch,
		.status = status,
		.body_len = len,
	};

	wire_put_reply(stage, &info);
	if (len)
		memcpy(stage + sizeof(struct wire_reply), body, len);
	return sizeof(struct wire_reply) + len;
}

/* After this the slot may hold the next request. */
static void server_close(struct lite_server_slot *s)
{
	/* What was read from the slot was read before the client can reuse it. */
	smp_store_release(&s->open, false);
}

static void server_replied(struct lite_conn *conn, struct lite_provider *service)
{
	if (service)
		percpu_ref_put(&service->ref);
	server_put(conn, 1);
}

void lite_reply(struct lite_request *req, int status, const void *body, u32 len)
{
	struct lite_server_slot *s = container_of(req, struct lite_server_slot,
						  req);
	struct lite_provider *service = s->service;
	struct lite_conn *conn = s->conn;
	u32 slot = s->index;

	if (len > LITE_BODY_MAX || status > 0 || status < -MAX_ERRNO) {
		pr_warn_once("service %u replies with %u bytes, status %d\n",
			     s->info.service, len, status);
		status = -EMSGSIZE;
		len = 0;
	}
	len = server_stage(s, status, body, len);
	server_close(s);
	if (lite_conn_live(conn))
		server_post_slot(conn, slot, len, NULL);
	server_replied(conn, service);
}

SK_EXPORT(lite_reply);

static bool reply_pages_valid(const struct lite_request *req,
			      const struct lite_sge *src, u32 nr, u32 len)
{
	u32 i;

	if (nr > req->nr_direct || len > LITE_BODY_MAX)
		return false;
	for (i = 0; i < nr; i++)
		if (!lite_sge_valid(&src[i]))
			return false;
	return true;
}

/*
 * The slot is closed before the last post only: until then the client waits,
 * so the descriptors in s->copy stay. Return: whether something was posted
 * that @rel stands for.
 */
static bool server_post_pages(struct lite_server_slot *s,
			      const struct lite_sge *src, u32 nr,
			      struct lite_release *rel, const void *body,
			      u32 len)
{
	const struct wire_direct *direct = s->info.direct;
	struct lite_conn *conn = s->conn;
	struct wire_direct only;
	u32 slot = s->index;
	u32 i;

	if (nr == 1 && !len && s->info.nr_direct == 1) {
		only = direct[0];
		server_close(s);
		return !server_post_direct(conn, slot, &only, src, &rel->cqe);
	}
	for (i = 0; i < nr; i++) {
		if (server_post_page(conn, &direct[i], &src[i])) {
			server_close(s);
			return i > 0;
		}
		lite_stat_add(LITE_STAT_BYTES_OUT, PAGE_SIZE);
	}
	len = server_stage(s, 0, body, len);
	server_close(s);
	return !server_post_slot(conn, slot, len, &rel->cqe) || nr;
}

void lite_reply_pages(struct lite_request *req, const struct lite_sge *src,
		      u32 nr, void (*release)(void *arg), void *arg,
		      const void *body, u32 len)
{
	struct lite_server_slot *s = container_of(req, struct lite_server_slot,
						  req);
	struct lite_provider *service = s->service;
	struct lite_conn *conn = s->conn;
	struct lite_release *rel;
	bool posted = false;

	if (!reply_pages_valid(req, src, nr, len)) {
		pr_warn_once("service %u replies with %u pages, %u are wanted\n",
			     s->info.service, nr, req->nr_direct);
		if (release)
			release_run(release, arg);
		lite_reply(req, -EIO, NULL, 0);
		return;
	}
	rel = release_get(conn, release, arg);
	if (!rel)
		lite_conn_fail(conn, "too many replies under way");
	if (rel && lite_conn_live(conn))
		posted = server_post_pages(s, src, nr, rel, body, len);
	else
		server_close(s);
	/* If some was posted, its flush or the end of the drain releases. */
	if (!posted && rel)
		release_put(rel);
	else if (!rel && release)
		release_run(release, arg);
	server_replied(conn, service);
}

SK_EXPORT(lite_reply_pages);

/* ---- the end ------------------------------------------------------------- */

/* lite_server_quiesce - wait until nothing is being served; kill, step 3 */
void lite_server_quiesce(struct lite_conn *conn)
{
	/* The state was set; pairs with the one in server_request(). */
	smp_mb();
	wait_event(conn->peer->wait, !atomic_read(&conn->serve.inflight));
}

/* lite_server_closed - the queue pair is drained; kill, step 5 */
void lite_server_closed(struct lite_conn *conn)
{
	struct lite_server *srv = &conn->serve;
	u32 i;

	server_no_stranger(conn);
	/* Replies of which only a part was posted have no flush of their own. */
	for (i = 0; srv->releases && i < srv->nr_releases; i++)
		if (srv->releases[i].release)
			release_put(&srv->releases[i]);
}
