// SPDX-License-Identifier: GPL-2.0
/*
 * Events of the RDMA connection manager.
 *
 * They come in process context under the id's handler mutex, which
 * lite_conn_kill() takes as well: an event that finds its connection failed
 * does nothing, and one that is under way is waited for. Ids are destroyed by
 * reap only, so every handler returns 0, except for a connect request that is
 * turned down: then the CM destroys the new id.
 */
#include <rdma/ib_cm.h>

#include "internal.h"

static void cm_set_timers(struct rdma_cm_id *id)
{
	/*
	 * Each end has its own; the defaults are 2.1 s for a lost packet and
	 * 655 ms for a receiver that is not ready.
	 */
	rdma_set_ack_timeout(id, lite_params.ack_timeout);
	rdma_set_min_rnr_timer(id, lite_params.min_rnr);
}

/**
 * lite_cm_connect - start to connect
 * @conn: client end in state LITE_CONN_INIT
 *
 * The source address is bound: with several RDMA devices the CM would
 * otherwise choose one by the route.
 *
 * Context: process. Return: 0 or negative errno: then the caller fails it.
 */
int lite_cm_connect(struct lite_conn *conn)
{
	struct sockaddr_in src = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(lite_params.self),
	};
	struct sockaddr_in dst = {
		.sin_family = AF_INET,
		.sin_port = htons(lite_params.port),
		.sin_addr.s_addr = htonl(conn->node),
	};
	struct rdma_cm_id *id;

	if (!lite_conn_advance(conn, LITE_CONN_RESOLVE))
		return -ECONNABORTED;
	id = rdma_create_id(&init_net, lite_cm_handler, conn, RDMA_PS_TCP,
			    IB_QPT_RC);
	if (IS_ERR(id))
		return PTR_ERR(id);
	conn->id = id;
	cm_set_timers(id);
	return rdma_resolve_addr(id, (struct sockaddr *)&src,
				 (struct sockaddr *)&dst,
				 lite_params.connect_ms);
}

static void cm_addr_resolved(struct lite_conn *conn)
{
	if (rdma_resolve_route(conn->id, lite_params.connect_ms))
		lite_conn_fail(conn, "cannot resolve the route");
}

static void cm_route_resolved(struct lite_conn *conn)
{
	const struct ib_device_attr *attrs = &lite_device.ib->attrs;
	struct wire_connect msg;
	struct rdma_conn_param param = {
		.private_data = &msg,
		.private_data_len = sizeof(msg),
		.initiator_depth = min_t(int, LITE_READS_MAX,
					 attrs->max_qp_init_rd_atom),
		.retry_count = lite_params.retry_count,
		.rnr_retry_count = 6,
	};

	if (lite_conn_create_qp(conn)) {
		lite_conn_fail(conn, "cannot create the queue pair");
		return;
	}
	wire_put_connect(&msg, lite_params.self);
	memcpy(msg.nonce_c, conn->auth.nonce_c, WIRE_NONCE_SIZE);
	if (lite_auth_sign(&conn->auth, LITE_AUTH_CONNECT, &msg)) {
		lite_conn_fail(conn, "cannot sign");
		return;
	}
	if (!lite_conn_advance(conn, LITE_CONN_CONNECT))
		return;
	if (rdma_connect_locked(conn->id, &param))
		lite_conn_fail(conn, "cannot send the connect request");
}

static void cm_established(struct lite_conn *conn,
			   struct rdma_cm_event *event)
{
	/* The server is told by the client's hello; this may come later. */
	if (conn->server)
		return;
	if (!event->param.conn.private_data ||
	    event->param.conn.private_data_len < sizeof(conn->accept)) {
		lite_conn_fail(conn, "no answer in the connect reply");
		return;
	}
	memcpy(&conn->accept, event->param.conn.private_data,
	       sizeof(conn->accept));
	queue_work(lite_wq, &conn->work);
}

static void cm_rejected(struct lite_conn *conn, struct rdma_cm_event *event)
{
	__be32 addr = htonl(conn->node);
	const void *data;
	u32 reason;
	u8 len = 0;

	data = rdma_consumer_reject_data(conn->id, event, &len);
	if (wire_get_refusal(data, len, &reason)) {
		lite_conn_fail(conn, rdma_reject_msg(conn->id, event->status));
		return;
	}
	if (reason == WIRE_REJECT_KEY)
		lite_stat_inc(LITE_STAT_AUTH_FAILURES);
	pr_warn_ratelimited("host %pI4 refuses our connection: %s\n",
			    &addr, wire_reject_text(reason));
	lite_conn_fail(conn, wire_reject_text(reason));
}

/**
 * lite_cm_handler - all CM events, of the listener and of both ends
 * @id: CM id
 * @event: what happened
 *
 * Return: 0, or nonzero to have a refused @id destroyed.
 */
int lite_cm_handler(struct rdma_cm_id *id, struct rdma_cm_event *event)
{
	struct lite_conn *conn = id->context;

	if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
		cm_set_timers(id);
		return lite_server_request_cm(id, event);
	}
	if (!conn || READ_ONCE(conn->state) >= LITE_CONN_ERROR)
		return 0;
	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		cm_addr_resolved(conn);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		cm_route_resolved(conn);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		cm_established(conn, event);
		break;
	case RDMA_CM_EVENT_REJECTED:
		cm_rejected(conn, event);
		break;
	case RDMA_CM_EVENT_TIMEWAIT_EXIT:
		break;
	default:
		/* Errors, DISCONNECTED, ADDR_CHANGE, DEVICE_REMOVAL. */
		lite_conn_fail(conn, rdma_event_msg(event->event));
	}
	return 0;
}
