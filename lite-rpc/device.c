// SPDX-License-Identifier: GPL-2.0
/*
 * The RDMA device: found by the address that lite_rpc was loaded with, one
 * protection domain, one queue pair for registrations, the listener.
 *
 * Registrations. FRWR work requests need a queue pair in the protection
 * domain, and the connections come and go. So there is one more, connected to
 * itself: it only ever carries REG_MR and LOCAL_INV, which are executed by the
 * local device, and no packet leaves it. Memory is thus registered before,
 * and survives, any connection.
 *
 * Removal. The client callback fails all connections, waits until they are
 * gone, then revokes every region and frees the protection domain. Regions
 * stay as empty shells until their owners destroy them. The device is not
 * taken up again: lite_rpc must be reloaded.
 */
#include <linux/inet.h>
#include <rdma/ib_cache.h>

#include "internal.h"

struct lite_device lite_device;

struct lite_local_op {
	struct ib_cqe cqe;
	struct completion done;
	enum ib_wc_status status;
};

/* ---- the registration queue pair ----------------------------------------- */

static int reg_qp_init(struct ib_qp *qp)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_INIT,
		.port_num = lite_device.port,
	};

	return ib_modify_qp(qp, &attr, IB_QP_STATE | IB_QP_PKEY_INDEX |
			    IB_QP_PORT | IB_QP_ACCESS_FLAGS);
}

static int reg_qp_rtr(struct ib_qp *qp, const struct ib_gid_attr *gid)
{
	struct ib_device *ib = lite_device.ib;
	struct ib_port_attr port;
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_RTR,
		.dest_qp_num = qp->qp_num,
		.min_rnr_timer = 12,
	};
	int err;

	err = ib_query_port(ib, lite_device.port, &port);
	if (err)
		return err;
	attr.path_mtu = port.active_mtu;
	attr.ah_attr.type = rdma_ah_find_type(ib, lite_device.port);
	rdma_ah_set_port_num(&attr.ah_attr, lite_device.port);
	rdma_ah_set_grh(&attr.ah_attr, (union ib_gid *)&gid->gid, 0,
			gid->index, 1, 0);
	if (attr.ah_attr.type == RDMA_AH_ATTR_TYPE_ROCE) {
		err = rdma_read_gid_l2_fields(gid, NULL,
					      attr.ah_attr.roce.dmac);
		if (err)
			return err;
	} else {
		rdma_ah_set_dlid(&attr.ah_attr, port.lid);
	}
	return ib_modify_qp(qp, &attr, IB_QP_STATE | IB_QP_AV |
			    IB_QP_PATH_MTU | IB_QP_DEST_QPN | IB_QP_RQ_PSN |
			    IB_QP_MAX_DEST_RD_ATOMIC | IB_QP_MIN_RNR_TIMER);
}

static int reg_qp_rts(struct ib_qp *qp)
{
	struct ib_qp_attr attr = {
		.qp_state = IB_QPS_RTS,
		.timeout = 14,
		.retry_cnt = 6,
		.rnr_retry = 6,
	};

	return ib_modify_qp(qp, &attr, IB_QP_STATE | IB_QP_TIMEOUT |
			    IB_QP_RETRY_CNT | IB_QP_RNR_RETRY | IB_QP_SQ_PSN |
			    IB_QP_MAX_QP_RD_ATOMIC);
}

/* The GID that stands for our address; native InfiniBand has just the port's */
static const struct ib_gid_attr *reg_find_gid(void)
{
	const struct ib_gid_attr *attr;
	union ib_gid gid;

	ipv6_addr_set_v4mapped(htonl(lite_params.self),
			       (struct in6_addr *)&gid);
	attr = rdma_find_gid(lite_device.ib, &gid, IB_GID_TYPE_ROCE_UDP_ENCAP,
			     NULL);
	if (IS_ERR(attr))
		attr = rdma_get_gid_attr(lite_device.ib, lite_device.port, 0);
	return attr;
}

static int reg_qp_bring_up(struct ib_qp *qp)
{
	const struct ib_gid_attr *gid;
	int err;

	gid = reg_find_gid();
	if (IS_ERR(gid))
		return PTR_ERR(gid);
	err = reg_qp_init(qp);
	if (!err)
		err = reg_qp_rtr(qp, gid);
	if (!err)
		err = reg_qp_rts(qp);
	rdma_put_gid_attr(gid);
	return err;
}

static int reg_qp_create(void)
{
	struct ib_qp_init_attr init = {
		.cap = {
			/* One operation at a time, and one for a drain. */
			.max_send_wr = 4,
			.max_recv_wr = 1,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.sq_sig_type = IB_SIGNAL_ALL_WR,
		.qp_type = IB_QPT_RC,
		.port_num = lite_device.port,
	};
	struct ib_qp *qp;
	int err;

	init.send_cq = lite_device.reg_cq;
	init.recv_cq = lite_device.reg_cq;
	qp = ib_create_qp(lite_device.pd, &init);
	if (IS_ERR(qp))
		return PTR_ERR(qp);
	err = reg_qp_bring_up(qp);
	if (err) {
		ib_destroy_qp(qp);
		return err;
	}
	lite_device.reg_qp = qp;
	return 0;
}

static void reg_done(struct ib_cq *cq, struct ib_wc *wc)
{
	struct lite_local_op *op = container_of(wc->wr_cqe,
						struct lite_local_op, cqe);

	op->status = wc->status;
	complete(&op->done);
}

static int reg_run(struct ib_send_wr *wr)
{
	struct lite_local_op op = { .cqe.done = reg_done };
	int err;

	lockdep_assert_held(&lite_device.reg_mutex);
	if (lite_device.gone)
		return -ENODEV;
	if (!lite_device.reg_qp) {
		err = reg_qp_create();
		if (err)
			return err;
	}
	init_completion(&op.done);
	wr->wr_cqe = &op.cqe;
	wr->send_flags = IB_SEND_SIGNALED;
	local_bh_disable();
	err = ib_post_send(lite_device.reg_qp, wr, NULL);
	local_bh_enable();
	if (err)
		return err;
	wait_for_completion(&op.done);
	if (op.status == IB_WC_SUCCESS)
		return 0;
	pr_err("memory registration failed: %s\n", ib_wc_status_msg(op.status));
	ib_drain_sq(lite_device.reg_qp);
	ib_destroy_qp(lite_device.reg_qp);
	lite_device.reg_qp = NULL;
	return -EIO;
}

/**
 * lite_device_local_op - have the device execute a REG_MR or LOCAL_INV
 * @wr: the work request; its wr_cqe and flags are set here
 *
 * A failed work request breaks the queue pair; it is replaced for the next.
 *
 * Context: process, may sleep, lite_device::open held.
 * Return: 0 or negative errno.
 */
int lite_device_local_op(struct ib_send_wr *wr)
{
	int err;

	lockdep_assert_held(&lite_device.open);
	mutex_lock(&lite_device.reg_mutex);
	err = reg_run(wr);
	mutex_unlock(&lite_device.reg_mutex);
	return err;
}

/* ---- opening and closing ------------------------------------------------- */

static int device_check_limits(struct ib_device *ib)
{
	const struct ib_device_attr *attrs = &ib->attrs;
	int need_wr = 17 * lite_params.slots + 64;

	if (!(attrs->device_cap_flags & IB_DEVICE_MEM_MGT_EXTENSIONS) ||
	    attrs->max_fast_reg_page_list_len < LITE_MR_PAGES) {
		pr_err("RDMA device %s cannot register %d pages by work request\n",
		       ib->name, LITE_MR_PAGES);
		return -ENODEV;
	}
	if (attrs->max_send_sge < WIRE_DIRECT_MAX ||
	    attrs->max_sge_rd < WIRE_DIRECT_MAX) {
		pr_err("RDMA device %s cannot gather %d pages in one request\n",
		       ib->name, WIRE_DIRECT_MAX);
		return -ENODEV;
	}
	if (attrs->max_qp_wr < need_wr) {
		pr_err("RDMA device %s allows %d work requests, slots=%u needs %d: use fewer slots\n",
		       ib->name, attrs->max_qp_wr, lite_params.slots, need_wr);
		return -ENODEV;
	}
	if (!rdma_cap_ib_cm(ib, lite_device.port)) {
		pr_err("RDMA device %s is neither RoCE nor InfiniBand\n",
		       ib->name);
		return -ENODEV;
	}
	return 0;
}

/* The listener is bound to our address: rdma_cm finds the device by that. */
static int device_bind(void)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(lite_params.port),
		.sin_addr.s_addr = htonl(lite_params.self),
	};
	struct rdma_cm_id *id;
	int err;

	id = rdma_create_id(&init_net, lite_cm_handler, NULL, RDMA_PS_TCP,
			    IB_QPT_RC);
	if (IS_ERR(id))
		return PTR_ERR(id);
	err = rdma_bind_addr(id, (struct sockaddr *)&sin);
	if (!err && !id->device)
		err = -ENODEV;
	if (err) {
		pr_err("no RDMA device has the address %pI4 (error %d): create it with 'rdma link add', bring the interface up, check addr=\n",
		       &sin.sin_addr, err);
		rdma_destroy_id(id);
		return err == -EADDRINUSE ? err : -ENODEV;
	}
	lite_device.listen = id;
	lite_device.ib = id->device;
	lite_device.port = id->port_num;
	return 0;
}

static int device_open(void)
{
	int err;

	lite_device.pd = ib_alloc_pd(lite_device.ib, 0);
	if (IS_ERR(lite_device.pd))
		return PTR_ERR(lite_device.pd);
	/* One operation, a drain, and the flushes of a broken queue pair. */
	lite_device.reg_cq = ib_alloc_cq_any(lite_device.ib, NULL, 8,
					     IB_POLL_SOFTIRQ);
	if (IS_ERR(lite_device.reg_cq)) {
		err = PTR_ERR(lite_device.reg_cq);
		goto out_pd;
	}
	err = reg_qp_create();
	if (err) {
		pr_err("cannot set up the registration queue pair: error %d\n",
		       err);
		goto out_cq;
	}
	return 0;
out_cq:
	ib_free_cq(lite_device.reg_cq);
out_pd:
	ib_dealloc_pd(lite_device.pd);
	return err;
}

/* Frees what device_open() made; the caller saw to it that nobody uses it. */
static void device_close(void)
{
	struct lite_region *region;

	down_write(&lite_device.open);
	list_for_each_entry(region, &lite_device.regions, entry)
		lite_region_revoke(region);
	lite_device.gone = true;
	if (lite_device.reg_qp) {
		ib_drain_sq(lite_device.reg_qp);
		ib_destroy_qp(lite_device.reg_qp);
		lite_device.reg_qp = NULL;
	}
	up_write(&lite_device.open);
	ib_free_cq(lite_device.reg_cq);
	ib_dealloc_pd(lite_device.pd);
}

static int device_added(struct ib_device *ib)
{
	return ib == lite_device.ib ? 0 : -EOPNOTSUPP;
}

static void device_removed(struct ib_device *ib, void *data)
{
	if (lite_device.gone)
		return;
	if (!lite_stopping)
		pr_err("RDMA device %s was removed: nothing works until lite_rpc is reloaded\n",
		       ib->name);
	lite_device_unlisten();
	lite_peers_stop();
	device_close();
}

static struct ib_client device_client = {
	.name = "lite_rpc",
	.add = device_added,
	.remove = device_removed,
};

/**
 * lite_device_init - find and open the device that has our address
 *
 * Return: 0 or negative errno, with a message in the kernel log.
 */
int lite_device_init(void)
{
	int err;

	init_rwsem(&lite_device.open);
	mutex_init(&lite_device.reg_mutex);
	spin_lock_init(&lite_device.regions_lock);
	INIT_LIST_HEAD(&lite_device.regions);
	err = device_bind();
	if (err)
		return err;
	err = device_check_limits(lite_device.ib);
	if (err)
		goto out_id;
	err = device_open();
	if (err)
		goto out_id;
	err = ib_register_client(&device_client);
	if (err)
		goto out_device;
	return 0;
out_device:
	device_close();
out_id:
	lite_device_unlisten();
	return err;
}

/* lite_device_listen - let connections in; everything else must be ready */
int lite_device_listen(void)
{
	int err = rdma_listen(lite_device.listen, 64);

	if (err)
		pr_err("cannot listen on port %u: error %d\n",
		       lite_params.port, err);
	return err;
}

void lite_device_unlisten(void)
{
	struct rdma_cm_id *id = xchg(&lite_device.listen, NULL);

	if (id)
		rdma_destroy_id(id);
}

/* Runs device_removed(), which closes everything, unless that has happened. */
void lite_device_exit(void)
{
	ib_unregister_client(&device_client);
}
