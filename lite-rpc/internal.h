/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the parts of lite_rpc share.
 *
 * Lock order, outermost first:
 *
 *	member_change (member.c)	mutex: the manager changes
 *	lite_peer::meet			mutex: one connection at a time is let in
 *	  rdma_cm handler mutex		held around CM events and lite_conn_kill
 *	    lite_device::open		rwsem: the device is not being closed
 *	      lite_device::reg_mutex	mutex: one work request at a time
 *	  peer table lock		spinlock, bh
 *	    lite_peer::lock		spinlock, bh: state, connections, events
 *	      lite_lane::lock		spinlock, bh: pending calls, client slots
 *	        lite_conn::lock		spinlock, bh: state, release records
 *	          fail list, counters	leaves
 *
 * Callbacks of the users (done, release, handle, event) run without any lock.
 */
#ifndef LITE_INTERNAL_H
#define LITE_INTERNAL_H

#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/percpu-refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <rdma/ib_verbs.h>
#include <rdma/rdma_cm.h>

#include "lite_rpc.h"
#include "wire.h"

/* A fast registration covers this many pages (rxe: at most 512). */
#define LITE_MR_PAGES		512

#define LITE_READS_MAX		8	/* RDMA READs under way on a connection */
#define LITE_IOS_MAX		32	/* READs and WRITEs, ditto */
#define LITE_SIGNAL_EVERY	16	/* requests per signalled send */
#define LITE_BRIEF		HZ	/* a connection that did not live longer */
#define LITE_BRIEF_MAX		64	/* as many of those end a call */
#define LITE_RECV_SPARE		16	/* heartbeat, goodbye, drain, handshake */
#define LITE_TICK		(HZ / 10)
#define LITE_STALL		(HZ / 2)	/* a tick that is later was held up */
#define LITE_BACKOFF_MIN	100	/* ms */
#define LITE_BACKOFF_ALIVE	500	/* longest while the verdict is open */
#define LITE_BACKOFF_MAX	2000
#define LITE_PEERS_MAX		256

struct lite_params {
	u32 self;
	u16 port;
	u16 slots;
	u32 dead_ms;
	u32 connect_ms;
	u32 heartbeat_ms;
	u8 ack_timeout;
	u8 retry_count;
	u8 min_rnr;
};

/* main.c; read-only after init */
extern struct lite_params lite_params;
extern struct workqueue_struct *lite_wq;	/* connections, calls, ticks */
extern struct workqueue_struct *lite_serve_wq;	/* handlers */
extern struct workqueue_struct *lite_event_wq;	/* events */
extern struct workqueue_struct *lite_reap_wq;	/* may block for a minute */

/* ---- counters (netlink.c) ------------------------------------------------ */

enum lite_stat {
	LITE_STAT_CALLS,
	LITE_STAT_CALLS_FAILED,
	LITE_STAT_CALLS_RESENT,
	LITE_STAT_CALLS_TIMED_OUT,
	LITE_STAT_REQUESTS,
	LITE_STAT_REQUESTS_REFUSED,
	LITE_STAT_BYTES_OUT,
	LITE_STAT_BYTES_IN,
	LITE_STAT_READS,
	LITE_STAT_WRITES,
	LITE_STAT_IO_FAILED,
	LITE_STAT_CONNECTS,
	LITE_STAT_DISCONNECTS,
	LITE_STAT_CONNECT_FAILURES,
	LITE_STAT_AUTH_FAILURES,
	LITE_STAT_MALFORMED,
	LITE_STAT_HEARTBEATS,
	LITE_STAT_PEERS_DEAD,
	LITE_STATS,
};

struct lite_stats {
	u64 value[LITE_STATS];
};

DECLARE_PER_CPU(struct lite_stats, lite_stats);

#define lite_stat_add(stat, n)	this_cpu_add(lite_stats.value[stat], n)
#define lite_stat_inc(stat)	lite_stat_add(stat, 1)

int lite_netlink_init(void);
void lite_netlink_exit(void);

/* ---- device.c ------------------------------------------------------------ */

/*
 * struct lite_device - the RDMA device that has our address
 * @ib: NULL when it was removed
 * @listen: our listener; bound to the address, that is how @ib was found
 * @reg_qp: connected to itself; carries registrations only, never a packet
 * @open: held for reading while something is mapped, registered or freed, which
 *	may take a minute; for writing when the device goes away
 * @regions: all regions, so that removal can revoke them
 */
struct lite_device {
	struct ib_device *ib;
	struct ib_pd *pd;
	struct rdma_cm_id *listen;
	u32 port;
	bool gone;			/* set with @open held for writing */
	struct rw_semaphore open;
	struct mutex reg_mutex;		/* @reg_qp and its work requests */
	/* @regions and their windows, with @open for reading */
	spinlock_t regions_lock;
	struct ib_qp *reg_qp;
	struct ib_cq *reg_cq;
	struct list_head regions;
};

extern struct lite_device lite_device;

int lite_device_init(void);
int lite_device_listen(void);
void lite_device_unlisten(void);
void lite_device_exit(void);
int lite_device_local_op(struct ib_send_wr *wr);

/* ---- region.c ------------------------------------------------------------ */

/*
 * struct lite_region - registered pages; owned by who created it
 * @entry: on lite_device::regions
 * @windows: windows over its pages; under lite_device::regions_lock
 * @dma: address of each page, for local_dma_lkey
 * @mr: one per LITE_MR_PAGES; NULL without remote access
 */
struct lite_region {
	struct list_head entry;
	struct list_head windows;
	u32 nr;
	u32 access;
	u32 nr_mrs;
	dma_addr_t *dma;
	struct ib_mr **mr;
};

/* struct lite_buf - pages of our own, virtually contiguous, as a region */
struct lite_buf {
	struct lite_region *region;
	struct page **pages;
	void *va;
	u32 nr;
};

int lite_buf_alloc(struct lite_buf *buf, u32 nr, u32 access);
void lite_buf_free(struct lite_buf *buf);
void lite_region_revoke(struct lite_region *region);
struct ib_mr *lite_mr_register(struct lite_region *region, u32 first, u32 nr,
			       u32 access);
void lite_mr_unregister(struct ib_mr *mr);

static inline bool lite_sge_valid(const struct lite_sge *sge)
{
	return sge->region && sge->page < sge->region->nr;
}

static inline u64 lite_sge_remote_addr(const struct lite_sge *sge)
{
	return sge->region->mr[sge->page / LITE_MR_PAGES]->iova +
	       ((u64)(sge->page % LITE_MR_PAGES) << PAGE_SHIFT);
}

static inline u32 lite_sge_rkey(const struct lite_sge *sge)
{
	return sge->region->mr[sge->page / LITE_MR_PAGES]->rkey;
}

static inline void lite_sge_local(const struct lite_sge *sge,
				  struct ib_sge *out)
{
	out->addr = sge->region->dma[sge->page];
	out->length = PAGE_SIZE;
	out->lkey = lite_device.pd->local_dma_lkey;
}

/* ---- window.c ------------------------------------------------------------ */

void lite_windows_revoke(struct lite_region *region);

/* ---- auth.c -------------------------------------------------------------- */

enum lite_auth_label {
	LITE_AUTH_CONNECT = 1,
	LITE_AUTH_ACCEPT,
	LITE_AUTH_HELLO,
	LITE_AUTH_WELCOME,
};

struct lite_auth {
	u32 client;
	u32 server;
	u8 nonce_c[WIRE_NONCE_SIZE];
	u8 nonce_s[WIRE_NONCE_SIZE];
};

int lite_auth_init(const char *path);
void lite_auth_exit(void);
int lite_auth_mac(const struct lite_auth *ctx, enum lite_auth_label label,
		  const void *data, u32 len, u8 *mac);
bool lite_auth_check(const struct lite_auth *ctx, enum lite_auth_label label,
		     const void *data, u32 len, const u8 *mac);

/* Sign or check a message whose last field is mac. */
#define lite_auth_sign(ctx, label, msg) \
	lite_auth_mac(ctx, label, msg, offsetof(typeof(*(msg)), mac), \
		      (msg)->mac)
#define lite_auth_verify(ctx, label, msg) \
	lite_auth_check(ctx, label, msg, offsetof(typeof(*(msg)), mac), \
			(msg)->mac)

/* ---- connections (conn.c, cm.c) ------------------------------------------ */

/*
 * enum lite_conn_state - see lite_conn_set_state() for who goes where
 * @LITE_CONN_INIT: an object, nothing else
 * @LITE_CONN_RESOLVE: client: address and route are being found
 * @LITE_CONN_CONNECT: CM REQ (client) or REP (server) is out
 * @LITE_CONN_HELLO: the keys are being proved over the queue pair
 * @LITE_CONN_LIVE: in use
 * @LITE_CONN_ERROR: nothing is sent any more, being drained
 * @LITE_CONN_CLOSED: drained, its calls handed back; memory goes later
 */
enum lite_conn_state {
	LITE_CONN_INIT,
	LITE_CONN_RESOLVE,
	LITE_CONN_CONNECT,
	LITE_CONN_HELLO,
	LITE_CONN_LIVE,
	LITE_CONN_ERROR,
	LITE_CONN_CLOSED,
};

#define LITE_SLOT_SEND		0x1	/* slot waits for the send completion */
#define LITE_SLOT_REPLY		0x2	/* slot waits for the reply */

/* struct lite_client_slot - one call in flight; under lite_lane::lock */
struct lite_client_slot {
	struct ib_cqe cqe;
	struct lite_conn *conn;
	struct lite_call *call;
	u32 len;			/* bytes that came with the reply */
	u8 kind;			/* WIRE_REPLY or WIRE_DIRECT_OK */
	u8 waiting;			/* LITE_SLOT_* */
};

/*
 * struct lite_client - what only the calling end has
 * @stage: requests are built here, one page a slot, one more for tests
 * @reply: the server writes replies here, one page a slot
 * @copy: the reply that is being looked at; the CQ handler's own
 * @ring_addr, @ring_rkey: the server's ring, slot_size bytes a slot
 * @free: stack of free slot numbers; with what follows under lite_lane::lock
 * @ios: one-sided transfers under way
 */
struct lite_client {
	struct lite_buf stage;
	struct lite_buf reply;
	void *copy;
	u64 ring_addr;
	u32 ring_rkey;
	u32 slot_size;
	struct lite_client_slot *slot;
	u16 *free;
	u16 nr_free;
	u32 unsignalled;
	struct list_head ios;
	u32 nr_ios;
	u32 nr_reads;
	bool heartbeat;			/* one is out, not answered yet */
	bool brief;			/* failed within LITE_BRIEF */
	unsigned long live_at;
};

/* struct lite_server_slot - one request being served
 * @open: from the request's arrival to lite_reply(). Set in the CQ handler
 *	only; cleared before the reply is posted, since the next request may
 *	arrive the moment after.
 */
struct lite_server_slot {
	struct lite_request req;
	struct lite_conn *conn;
	struct lite_provider *service;
	struct work_struct work;
	struct wire_request_info info;
	void *copy;
	u16 index;
	bool open;
};

/* struct lite_release - page sources of a reply on its way; lite_conn::lock */
struct lite_release {
	struct ib_cqe cqe;
	struct lite_conn *conn;
	struct lite_release *next;	/* while free */
	void (*release)(void *arg);	/* NULL while free */
	void *arg;
};

/*
 * struct lite_server - what only the serving end has
 * @ring: the client writes requests here
 * @stage: replies are built here, one page a slot
 * @copies: one page a slot: the request as checked
 * @reply_addr, @reply_rkey: the client's reply slots
 * @inflight: 2 a request: until handle() has returned, until the reply
 */
struct lite_server {
	struct lite_buf ring;
	struct lite_buf stage;
	void *copies;
	u64 reply_addr;
	u32 reply_rkey;
	u32 slot_size;
	u32 unsignalled;
	struct lite_server_slot *slot;
	struct lite_release *releases;
	struct lite_release *free_release;
	u32 nr_releases;
	atomic_t inflight;
};

/*
 * struct lite_conn - one reliable connection, either end of it
 *
 * Made by lite_client_start() or on a connect request, ended by the first
 * lite_conn_fail(), which has lite_conn_kill() run once and then
 * lite_conn_reap(); these two own everything in it. Others hold a reference
 * and look at it only while it is attached (lite_lane::conn,
 * lite_peer::served) under that lock.
 */
struct lite_conn {
	struct kref ref;
	spinlock_t lock;		/* @state, release records */
	u8 state;			/* enum lite_conn_state, under @lock */
	u8 lane;			/* WIRE_LANES: not known yet */
	bool server;
	bool counted;			/* in lite_peer::nr_live */
	bool stranger;			/* server: has not said hello yet */
	u16 slots;
	u32 node;
	u32 epoch;
	u64 theirs;			/* the peer's incarnation here */
	u32 gen;			/* lite_peer::gen when it was attached */
	struct lite_peer *peer;
	struct list_head entry;		/* on lite_peer::conns */
	struct rdma_cm_id *id;
	struct ib_qp *qp;
	struct ib_cq *cq;
	struct ib_cqe recv_cqe;
	struct ib_cqe hello_cqe;	/* receive of hello or welcome */
	struct ib_cqe send_cqe;		/* sends that need no more than a check */
	struct ib_cqe goodbye_cqe;
	struct completion goodbye_done;
	struct lite_buf hello;		/* page 0 received, page 1 sent */
	u32 hello_len;
	struct wire_accept accept;
	struct lite_auth auth;
	unsigned long last_rx;
	const char *why;		/* first reason of failure */
	struct work_struct work;	/* handshake steps */
	struct work_struct kill_work;
	struct work_struct reap_work;
	struct delayed_work timer;	/* handshake deadline */
	struct completion closed;
	struct completion made;		/* kill may begin */
	union {
		struct lite_client client;
		struct lite_server serve;
	};
};

struct lite_conn *lite_conn_alloc(u32 node, bool server);
void lite_conn_put(struct lite_conn *conn);
bool lite_conn_set_state(struct lite_conn *conn, enum lite_conn_state state);
bool lite_conn_advance(struct lite_conn *conn, enum lite_conn_state state);
void lite_conn_fail(struct lite_conn *conn, const char *why);
void lite_conn_malformed(struct lite_conn *conn, const char *what);
const char *lite_conn_state_name(u8 state);
int lite_conn_create_qp(struct lite_conn *conn);
int lite_conn_post(struct lite_conn *conn, struct ib_send_wr *wr);
int lite_conn_post_imm(struct lite_conn *conn, u32 kind, struct ib_cqe *cqe);
int lite_conn_send_hello(struct lite_conn *conn, u32 len);
void lite_conn_goodbye(struct lite_conn *conn);
void lite_conn_wait_all_gone(void);

static inline bool lite_conn_live(const struct lite_conn *conn)
{
	return READ_ONCE(conn->state) == LITE_CONN_LIVE;
}

int lite_cm_connect(struct lite_conn *conn);
int lite_cm_handler(struct rdma_cm_id *id, struct rdma_cm_event *event);

/* ---- client.c, io.c ------------------------------------------------------ */

/* enum lite_call_state - lite_call::state, under lite_lane::lock */
enum lite_call_state {
	LITE_CALL_NEW,
	LITE_CALL_PENDING,		/* on lite_lane::pending */
	LITE_CALL_SENT,			/* in a slot */
	LITE_CALL_LATE,			/* in a slot, its deadline has passed */
	LITE_CALL_FAILING,		/* on the list of lite_call_fail_later() */
};

/*
 * struct lite_lane - the calling side of one lane to one peer
 * @conn: the connection or the attempt at one, owned; NULL: none
 * @live: @conn while calls may be sent on it
 * @wanted: was used, so it is kept connected
 * @dead: calls fail with -EHOSTDOWN
 * @starting: @start_work is to make @conn
 * @last_ok: when the peer was last heard here, or first wanted
 */
struct lite_lane {
	spinlock_t lock;		/* all below, and the client's slots */
	u8 index;
	bool wanted;
	bool dead;
	bool starting;
	struct lite_peer *peer;
	struct lite_conn *conn;
	struct lite_conn *live;
	struct list_head pending;
	struct list_head io_pending;
	u64 next_id;
	u32 epoch;
	u32 backoff;
	unsigned long retry_at;
	unsigned long last_ok;
	struct work_struct start_work;
};

/* lite_forgive - @heard, a time in the past, moved on by @gap but not past now */
static inline unsigned long lite_forgive(unsigned long heard,
					 unsigned long gap)
{
	unsigned long now = jiffies;

	return time_after(heard + gap, now) ? now : heard + gap;
}

void lite_lane_init(struct lite_lane *lane, struct lite_peer *peer, u8 index);
void lite_lane_tick(struct lite_lane *lane, unsigned long gap);
bool lite_lane_silent(struct lite_lane *lane);
void lite_lane_revive(struct lite_lane *lane, bool reached);
void lite_lane_abandon(struct lite_lane *lane, int status);
int lite_client_alloc(struct lite_conn *conn);
void lite_client_free(struct lite_conn *conn);
void lite_client_step(struct lite_conn *conn);
void lite_client_detach(struct lite_conn *conn);
void lite_client_closed(struct lite_conn *conn);
void lite_client_recv(struct lite_conn *conn, u32 imm, u32 len);
void lite_client_pump(struct lite_lane *lane);
void lite_calls_flush(void);
void lite_call_fail_later(struct lite_call *call, int status);
void lite_io_fail_later(struct lite_io *io, int status);
void lite_io_finish(struct lite_io *io, int status);
void lite_io_pump(struct lite_lane *lane, struct lite_conn *conn);
bool lite_io_expire(struct lite_lane *lane);
void lite_call_finish(struct lite_call *call, int status);

/* ---- server.c ------------------------------------------------------------ */

int lite_server_request_cm(struct rdma_cm_id *id, struct rdma_cm_event *event);
void lite_server_free(struct lite_conn *conn);
void lite_server_step(struct lite_conn *conn);
void lite_server_quiesce(struct lite_conn *conn);
void lite_server_closed(struct lite_conn *conn);
void lite_server_recv(struct lite_conn *conn, u32 imm, u32 len);

/* ---- service.c: handlers ------------------------------------------------- */

struct lite_provider {
	const struct lite_handler *handler;
	struct percpu_ref ref;
	struct completion gone;
};

struct lite_provider *lite_service_get(u8 service);
void lite_services_event(u32 node, enum lite_event event);

/* ---- peer.c -------------------------------------------------------------- */

/* enum lite_peer_state - under lite_peer::lock */
enum lite_peer_state {
	LITE_PEER_NEW,
	LITE_PEER_UP,
	LITE_PEER_DOWN,
	LITE_PEER_DEAD,
	LITE_PEER_LEFT,
};

/*
 * struct lite_peer - one host; lives until lite_rpc is unloaded
 * @ours: incarnation that we tell this peer: changes when we declare it dead
 * @theirs: incarnation that it told us; 0: never met
 * @gen: connections of an older generation belong to a forgotten incarnation
 * @settled: generation up to which all events are delivered
 * @served: accepted connections, by lane
 * @events: bit (1 << enum lite_event) not delivered yet
 * @wait: for connections being closed and events being delivered
 */
struct lite_peer {
	struct kref ref;
	struct hlist_node entry;
	u32 node;
	spinlock_t lock;		/* all below, but not the lanes */
	struct mutex meet;		/* one newcomer at a time */
	u8 state;
	bool reported_up;		/* event work only */
	u64 ours;
	u64 theirs;
	u32 gen;
	u32 settled;
	u32 nr_live;
	u32 connects;
	unsigned long last_heard;
	unsigned long last_tick;	/* tick only */
	atomic64_t errors;
	unsigned long events;
	struct list_head conns;
	struct lite_conn *served[WIRE_LANES];
	struct lite_lane lane[WIRE_LANES];
	wait_queue_head_t wait;
	struct delayed_work tick;
	struct work_struct event_work;
};

struct lite_peer *lite_peer_find(u32 node, bool create);
void lite_peer_kick(struct lite_peer *peer);
int lite_peer_meet(struct lite_conn *conn, u64 theirs);
bool lite_peer_attach_client(struct lite_peer *peer, struct lite_conn *conn);
void lite_peer_conn_live(struct lite_conn *conn);
void lite_peer_conn_closed(struct lite_conn *conn);
void lite_peer_left(const struct lite_conn *conn);
u64 lite_peer_ours(struct lite_peer *peer);
int lite_peer_next(struct lite_peer **pos, int index);
const char *lite_peer_state_name(u8 state);
int lite_peers_init(void);
void lite_peers_stop(void);
void lite_peers_exit(void);
extern bool lite_stopping;

/* ---- member.c ------------------------------------------------------------ */

void lite_member_start(u32 manager);
int lite_member_set_manager(u32 node);
struct lite_peer *lite_member_manager(void);
void lite_member_report_soon(void);
void lite_member_stop(void);
void lite_member_exit(void);

#endif /* LITE_INTERNAL_H */
