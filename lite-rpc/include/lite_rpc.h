/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lite_rpc: RPC and one-sided RDMA between the hosts of a splitkernel cluster.
 *
 * A host is named by its node id, which is the IPv4 address (host byte order)
 * of the RDMA interface that lite_rpc was loaded with. A peer is the local
 * object for one remote host (or for this host: loopback is an ordinary peer).
 *
 * Connections are directed. A host's calls travel over the connections that it
 * opened itself and are served by the connections that others opened to it, so
 * there is no simultaneous-connect case to break and loopback is no special
 * case. Each peer has two lanes, each a reliable connection of its own: the
 * RPC lane carries small requests, the bulk lane carries requests with page
 * payload and one-sided transfers, so that a 60 KiB write-back never stands in
 * front of a page fetch.
 */
#ifndef LITE_RPC_H
#define LITE_RPC_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/module.h>
#include <linux/types.h>

struct lite_peer;
struct lite_region;
struct lite_window;
struct sk_buff;

/* Requests and replies: sizes that callers must respect. */
#define LITE_BODY_MAX		3072	/* bytes of request or reply body */
#define LITE_PAYLOAD_PAGES	15	/* 4 KiB pages that ride on one request */
#define LITE_DIRECT_MAX		16	/* pages that one reply places directly */

/** enum lite_service - who serves a request at the callee */
enum lite_service {
	LITE_SVC_GMM	= 1,
	LITE_SVC_MMON	= 2,
	LITE_SVC_PMON	= 3,
	LITE_SVC_TEST	= 14,	/* tests and benchmarks */
	LITE_SVC_MAX	= 16,
};

/** enum lite_event - what lite_handler::event reports
 * @LITE_EV_UP:	a connection to or from the node is usable again
 * @LITE_EV_DOWN: no connection with the node is left; it may come back
 * @LITE_EV_DEAD: unreachable for dead_ms; calls now fail with -EHOSTDOWN
 * @LITE_EV_RESTARTED: the node came back as another incarnation: all that it
 *	held or owned before is gone
 * @LITE_EV_LEFT: the node said goodbye (its lite_rpc was unloaded)
 */
enum lite_event {
	LITE_EV_UP,
	LITE_EV_DOWN,
	LITE_EV_DEAD,
	LITE_EV_RESTARTED,
	LITE_EV_LEFT,
};

/* ---- regions: memory that takes part in transfers ---------------------- */

#define LITE_REMOTE_READ	0x1
#define LITE_REMOTE_WRITE	0x2

/**
 * lite_region_create - make pages usable for transfers
 * @pages: array of @nr order-0 pages; only read during the call. The pages
 *	must stay allocated until lite_region_destroy() has returned.
 * @nr: number of pages, > 0
 * @access: LITE_REMOTE_* mask. 0: the pages are mapped for local use only
 *	(request payload, source of direct replies) and no key exists for them.
 *	Otherwise they are registered by FRWR, 512 pages to a memory region.
 *
 * Context: process, may sleep. Return: region or ERR_PTR.
 */
struct lite_region *lite_region_create(struct page **pages, u32 nr, u32 access);

/**
 * lite_region_destroy - revoke all keys (LOCAL_INV) and unmap
 *
 * No call or one-sided transfer may reference the region any more.
 * Context: process, may sleep.
 */
void lite_region_destroy(struct lite_region *region);

/** struct lite_sge - one 4 KiB page of a region */
struct lite_sge {
	struct lite_region *region;
	u32 page;
};

/**
 * struct lite_grant - what a peer needs to reach one page range one-sided
 * @addr: I/O virtual address of the first byte
 * @rkey: remote key
 * @len: bytes; never spans two memory regions
 */
struct lite_grant {
	u64 addr;
	u32 rkey;
	u32 len;
};

/** lite_region_grant - describe pages [@page, @page + @nr) of @region
 * Return: 0; -EINVAL outside the region or across a 512-page boundary;
 * -EACCES if the region was created without remote access.
 */
int lite_region_grant(struct lite_region *region, u32 page, u32 nr,
		      struct lite_grant *grant);

/**
 * lite_window_create - let peers reach some pages of a region, under their own key
 * @region: with any access, none included
 * @page: first page, @nr: how many, 1..512
 * @access: LITE_REMOTE_* mask, not 0
 *
 * Key and address are new each time, so that what was granted before does not
 * reach the pages. Context: process, may sleep. Return: window or ERR_PTR.
 */
struct lite_window *lite_window_create(struct lite_region *region, u32 page,
				       u32 nr, u32 access);

/**
 * lite_window_destroy - revoke the key
 *
 * When it returns no transfer reads or writes the pages any more; later ones are
 * refused, which resets the connection they came on. Before the region is
 * destroyed. Context: process, may sleep.
 */
void lite_window_destroy(struct lite_window *window);

/** lite_window_grant - what a peer needs to reach the window. Context: any. */
void lite_window_grant(const struct lite_window *window, struct lite_grant *grant);

/* ---- peers --------------------------------------------------------------- */

/**
 * lite_peer_get - the peer object of a node, created if need be
 *
 * Connects lazily: on the first call. Context: process, may sleep.
 * Return: referenced peer or ERR_PTR(-EINVAL, -ENOMEM, -ESHUTDOWN).
 */
struct lite_peer *lite_peer_get(u32 node);
void lite_peer_put(struct lite_peer *peer);
u32 lite_peer_node(const struct lite_peer *peer);

/** lite_self - node id of this host */
u32 lite_self(void);

/** lite_incarnation - random number drawn when lite_rpc was loaded */
u64 lite_incarnation(void);

/* ---- calls --------------------------------------------------------------- */

#define LITE_CALL_IDEMPOTENT	0x1	/* may be sent again after a reset */

/**
 * struct lite_call - one request and its completion
 * @peer: callee. The caller holds a reference until @done.
 * @service: enum lite_service
 * @op: service's own operation number
 * @flags: LITE_CALL_*
 * @timeout_ms: 0: until the peer is declared dead, else fails with -ETIMEDOUT
 *	after that time
 * @req: request body; the caller's until submit, lite_rpc's until @done
 * @req_len: bytes, <= LITE_BODY_MAX
 * @payload: pages sent with the request (bulk lane), nr_payload of them
 * @direct: pages into which the callee places its reply, nr_direct of them;
 *	their regions need LITE_REMOTE_WRITE. When @done runs with any status,
 *	nothing can write to them any more: lite_rpc resets the connection
 *	before it reports a timeout.
 * @done: called exactly once. Context: softirq or process, in an RCU read
 *	section; must not sleep. The call may be freed or submitted again from it.
 * @status: 0 or negative errno: what the callee's handler answered, or
 *	-ECONNRESET (sent, outcome unknown; only for
 *	calls that are not idempotent), -EIO (idempotent, but connection after
 *	connection broke as soon as it was sent), -ETIMEDOUT, -EHOSTDOWN (dead),
 *	-ESHUTDOWN (lite_rpc unloading), -EINVAL, -EMSGSIZE.
 * @answered: @status is the handler's; else a call that was sent may have been carried out
 * @reply: reply body, valid during @done only; may be NULL if @reply_len is 0
 * @reply_len: bytes
 *
 * A call that finds no free slot or no connection waits in order of arrival;
 * slots are the only flow control, so RNR never happens. Idempotent calls in
 * flight on a connection that dies are sent again on the next one.
 */
struct lite_call {
	struct lite_peer *peer;
	u8 service;
	u8 op;
	u8 flags;
	u32 timeout_ms;
	const void *req;
	u32 req_len;
	const struct lite_sge *payload;
	u32 nr_payload;
	const struct lite_sge *direct;
	u32 nr_direct;
	void (*done)(struct lite_call *call);
	int status;
	bool answered;
	const void *reply;
	u32 reply_len;
	/* private: */
	struct list_head entry;
	unsigned long deadline;
	u32 slot;
	u8 state;
	u8 lane;
	u8 brief;
	u64 id;
	void *waiter;
};

/** lite_call_submit - start a call; @done reports the end, also of errors.
 * Context: any (softirq included), not with interrupts disabled. Never sleeps.
 */
void lite_call_submit(struct lite_call *call);

/**
 * lite_call_sync - submit and wait (uninterruptible, bounded by the deadline)
 * @reply_buf: where the reply body is copied, up to @reply_size bytes
 * Context: process. Return: reply length >= 0 or negative errno.
 */
int lite_call_sync(struct lite_call *call, void *reply_buf, u32 reply_size);

/* ---- one-sided transfers ------------------------------------------------- */

/**
 * struct lite_io - one RDMA READ or WRITE of up to LITE_DIRECT_MAX pages
 * @write: false: remote -> local, true: local -> remote
 * @remote_addr, @rkey: from a struct lite_grant
 * @local: pages, contiguous at the remote side; nr_local of them
 * @done: as in struct lite_call; @status 0 or negative errno. -EREMOTEIO when
 *	the callee refused the key or range (the connection is then reset).
 *
 * Never resent by lite_rpc. A READ's content must be checked end to end: rxe
 * of Linux 6.1 can report success without having filled the buffer.
 */
struct lite_io {
	struct lite_peer *peer;
	bool write;
	u64 remote_addr;
	u32 rkey;
	const struct lite_sge *local;
	u32 nr_local;
	u32 timeout_ms;
	void (*done)(struct lite_io *io);
	int status;
	/* private: */
	struct list_head entry;
	unsigned long deadline;
	u8 state;
	u64 priv[8];
};

void lite_io_submit(struct lite_io *io);
int lite_io_sync(struct lite_io *io);

/* ---- for tests ----------------------------------------------------------- */

/**
 * lite_test_send_raw - put bytes into a ring slot of a peer, right or wrong
 * @peer: with a live connection on @lane
 * @lane: 0: RPC, 1: bulk
 * @buf: bytes; if there are 20 or more, the connection's epoch is XORed into
 *	the request header's epoch field, so 0 there means the right one
 * @len: how many, <= 4096
 * @imm: immediate data, kind(4) | epoch(4) | slot(24); the connection's epoch
 *	is XORed in, so 0 means the right one
 *
 * The slot is not reserved: use one that no call uses, for example the last.
 * Context: process. Return: 0, -ENOTCONN, -EINVAL.
 */
int lite_test_send_raw(struct lite_peer *peer, u32 lane, const void *buf,
		       u32 len, u32 imm);

/* ---- serving ------------------------------------------------------------- */

/**
 * struct lite_request - a request being served
 * @node: who asks (proved by the cluster key)
 * @incarnation: the asking lite_rpc's incarnation
 * @op: operation
 * @body: request body, lite_rpc's own copy: stable until the reply is given
 * @body_len: bytes, <= LITE_BODY_MAX
 * @payload: page payload in the ring slot, page aligned. The peer can overwrite
 *	it while it is read, so check what was copied, not what lies there.
 * @payload_len: bytes, multiple of 4096
 * @nr_direct: how many pages the caller wants placed directly
 * @service_data: what the handler was registered with
 *
 * Valid until lite_reply() or lite_reply_pages().
 */
struct lite_request {
	u32 node;
	u64 incarnation;
	u64 id;
	u8 op;
	const void *body;
	u32 body_len;
	const void *payload;
	u32 payload_len;
	u32 nr_direct;
	void *service_data;
};

/**
 * struct lite_handler - a service
 * @atomic_ops: bit n set: op n (n < 64) is handled in softirq context,
 *	straight from the completion queue. All others run on a workqueue
 *	(WQ_MEM_RECLAIM) and may sleep; two requests may run at once.
 * @handle: must lead to exactly one reply, now or later
 * @event: what happened to a node; process context, serialised per node, may
 *	be NULL. Must not wait for calls to that node: after a restart it is let
 *	in only when all events were delivered. When LITE_EV_RESTARTED, _DEAD or
 *	_LEFT is delivered, no request that came before is running any more, and
 *	after _RESTARTED none of the former incarnation will. After _DEAD or
 *	_LEFT the node may come back with the same @incarnation: it was cut off,
 *	and it is us who are another one to it (LITE_EV_RESTARTED there). Its
 *	idempotent calls that were under way are then sent again and served here,
 *	although its services have handled the event.
 */
struct lite_handler {
	u8 service;
	const char *name;
	struct module *owner;
	u64 atomic_ops;
	void (*handle)(struct lite_request *req);
	void (*event)(u32 node, enum lite_event event, void *service_data);
	void *service_data;
};

/** lite_register_handler - Return: 0, -EBUSY (service taken), -EINVAL */
int lite_register_handler(const struct lite_handler *handler);

/** lite_unregister_handler - waits until no request or event of it runs.
 * Later requests for the service are answered with -EPROTONOSUPPORT.
 */
void lite_unregister_handler(const struct lite_handler *handler);

/** lite_reply - answer with a status and a body (copied)
 * @status: 0 or negative errno, reported as lite_call::status
 */
void lite_reply(struct lite_request *req, int status, const void *body, u32 len);

/**
 * lite_reply_pages - place pages into the caller's direct pages, status 0
 * @src: @nr pages, nr <= req->nr_direct; src[i] goes to the caller's direct[i]
 * @release: called once when the pages are no longer read (send completed or
 *	connection gone), softirq or process context, in an RCU read section:
 *	must not sleep. Before its module's exit returns, the module must have
 *	waited for all of them; freeing its text waits for the last to return.
 * @body: optional reply body. With @len == 0 and @nr == 1 the page itself
 *	completes the call: one packet.
 */
void lite_reply_pages(struct lite_request *req, const struct lite_sge *src,
		      u32 nr, void (*release)(void *arg), void *arg,
		      const void *body, u32 len);

/* ---- membership and placement --------------------------------------------- */

#define LITE_MEMBER_DRAINING	0x1	/* nothing new is to be placed there */
#define LITE_MEMBER_CROWDED	0x2	/* it holds more than its share: lite_balance() */

/**
 * struct lite_member - one host as the manager reports it
 * @services: bit (1 << enum lite_service) for each service it runs
 * @flags: LITE_MEMBER_*
 * @capacity, @free: frames, if it runs mmon
 * @log_capacity, @log_free: bytes for replicas, in whole MiB
 * @regions, @replicas: address spaces that it holds of each kind
 * @load: requests per second, on average
 * @age_ms: since it last reported to the manager
 */
struct lite_member {
	u32 node;
	u32 services;
	u32 flags;
	u64 incarnation;
	u64 capacity;
	u64 free;
	u64 log_capacity;
	u64 log_free;
	u32 regions;
	u32 replicas;
	u32 load;
	u32 age_ms;
};

/** lite_members - the manager's latest list of live hosts
 * Return: number of entries written, <= @max. The last list stays valid while
 * the manager cannot be reached; hosts that a new or restarted manager does not
 * know yet stay in it for the length of a lease. Context: any.
 */
int lite_members(struct lite_member *members, int max);

/**
 * struct lite_member_figures - what mmon reports of itself
 * @capacity, @free: frames
 * @requests: served so far
 * @log_capacity, @log_free: bytes for records of replicas; 0: takes none
 * @regions, @replicas: address spaces of each kind
 */
struct lite_member_figures {
	u64 capacity;
	u64 free;
	u64 requests;
	u64 log_capacity;
	u64 log_free;
	u32 regions;
	u32 replicas;
};

/** lite_member_publish - what this host reports of one of its services.
 * Called at will (cheap); sent with the next report, and at once if the service was
 * not there before. @present false withdraws, likewise.
 * @figures: of LITE_SVC_MMON that is present; NULL otherwise.
 */
void lite_member_publish(enum lite_service service, bool present,
			 const struct lite_member_figures *figures);

#define LITE_PLACE_MAX		3	/* hosts of one placement */
#define LITE_AVOID_MAX		8

/**
 * struct lite_placement - the manager's choice of hosts
 * @nr: how many, 1 to as many as wanted
 * @node: different hosts, for the primary first
 */
struct lite_placement {
	u32 nr;
	u32 node[LITE_PLACE_MAX];
};

/**
 * lite_place - ask the manager for hosts to hold an address space
 * @asid: which one; the manager only shows it
 * @copies: 1..LITE_PLACE_MAX hosts wanted: a primary, and others for replicas
 * @avoid: @nr_avoid <= LITE_AVOID_MAX hosts that are not to be named; may be NULL
 *	if there are none
 * @out: result
 *
 * Waits at most 2 s, for a manager that is just being restarted, too. Context:
 * process, may sleep; not killable. Return: 0; -ENOENT: there is no manager;
 * -EHOSTDOWN: the manager knows no such host, or cannot be reached itself;
 * -ETIMEDOUT: it did not answer; -EINVAL.
 */
int lite_place(u64 asid, u32 copies, const u32 *avoid, u32 nr_avoid,
	       struct lite_placement *out);

/** lite_place_replicas - the same, with all @copies hosts for replicas */
int lite_place_replicas(u64 asid, u32 copies, const u32 *avoid, u32 nr_avoid,
			struct lite_placement *out);

/**
 * struct lite_balance - the manager's word on an address space that could move
 * @pages: so many at most could move from its host; 0: none for now
 * @node: it may move there; 0: it stays
 */
struct lite_balance {
	u64 pages;
	u32 node;
};

/**
 * lite_balance - ask the manager whether an address space may leave a crowded host
 * @asid: which one
 * @pages: that it has
 * @from: its primary
 * @avoid: @nr_avoid <= LITE_AVOID_MAX hosts that are not to be named
 * @out: result
 *
 * If it names a host, nothing else may be moved by this host until
 * lite_balance_done(). Context, wait, errors: as lite_place(); also -EOPNOTSUPP: the
 * manager is of an older version.
 */
int lite_balance(u64 asid, u64 pages, u32 from, const u32 *avoid, u32 nr_avoid,
		 struct lite_balance *out);

/** lite_balance_done - the move has ended, well or not; Context, wait: as lite_place() */
void lite_balance_done(void);

/**
 * lite_drain - ask the manager to place nothing on a memory host any more
 * @node: which host
 * @on: false: it may be used again
 *
 * What the host holds stays there: to move it is for those whose it is, who see
 * LITE_MEMBER_DRAINING. Context, wait: as lite_place(). Return: 0; -ENOENT: no
 * manager, or it does not know the host; -ENODEV: that runs no mmon; else as there.
 */
int lite_drain(u32 node, bool on);

/**
 * lite_member_refresh - report now and wait, for up to 2 s, for the answer
 *
 * The list that lite_members() gives may be a second old. Who finds it wanting asks
 * for a new one.
 *
 * Context: process. Return: 0; -ETIMEDOUT: no answer yet; -EINTR: killed; -ENOENT: there
 * is no manager; why the report failed.
 */
int lite_member_refresh(void);

/* ---- counters over generic netlink --------------------------------------- */

/** struct lite_counter - one named value; names are stable, see docs/ */
struct lite_counter {
	const char *name;
	u64 value;
};

/** lite_nl_put_counters - append one SK_ATTR_COUNTER nest per entry
 * Return: 0 or -EMSGSIZE.
 */
int lite_nl_put_counters(struct sk_buff *skb, const struct lite_counter *table,
			 int nr);

#endif /* LITE_RPC_H */
