// SPDX-License-Identifier: GPL-2.0
/*
 * Peers: which hosts there are, whether they live, what happened to them.
 *
 * Generations. A peer's connections carry the generation in which they were
 * attached. When the peer is declared dead, says goodbye, or shows up with
 * another incarnation, the generation goes up and all older connections are
 * failed. The event work item waits until the last of them is closed (no
 * request of the former life is running), delivers the event, and only then
 * marks the generation as settled. A connection of the new life is let in by
 * lite_peer_meet() only when its generation is settled.
 *
 * Incarnations. What we tell a peer about us is a random number; it is drawn
 * anew when we declare that peer dead. So the peer learns, when it comes back
 * (it may have been cut off only), that we have forgotten all about it.
 *
 * Verdict. The peer's tick declares it dead if a lane that is wanted was not
 * usable for dead_ms, or nothing was heard from a peer that only calls us. The
 * verdict fails the calls that wait at once; those in flight end when their
 * queue pair is drained, which does not need the peer's cooperation. Freeing
 * the queue pair may take rxe a minute; nobody waits for that.
 *
 * Memory. Peers stay until the module is unloaded; their number is limited.
 */
#include <linux/hashtable.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "internal.h"

#define GOODBYE_MS	300	/* how long unload waits for acknowledgements */

static DEFINE_SPINLOCK(peers_lock);
static DEFINE_HASHTABLE(peers, 6);
static u32 nr_peers;
static u64 self_incarnation;
bool lite_stopping;

static const char * const peer_state_names[] = {
	[LITE_PEER_NEW]		= "new",
	[LITE_PEER_UP]		= "up",
	[LITE_PEER_DOWN]	= "down",
	[LITE_PEER_DEAD]	= "dead",
	[LITE_PEER_LEFT]	= "left",
};

const char *lite_peer_state_name(u8 state)
{
	return state < ARRAY_SIZE(peer_state_names) ?
		peer_state_names[state] : "?";
}

static u64 incarnation_draw(void)
{
	u64 value;

	do {
		value = get_random_u64();
	} while (!value);
	return value;
}

/* ---- events -------------------------------------------------------------- */

static bool peer_old_gone(struct lite_peer *peer, u32 gen)
{
	struct lite_conn *conn;
	bool gone = true;

	spin_lock_bh(&peer->lock);
	list_for_each_entry(conn, &peer->conns, entry)
		if ((s32)(conn->gen - gen) < 0)
			gone = false;
	spin_unlock_bh(&peer->lock);
	return gone;
}

static void peer_report(struct lite_peer *peer, enum lite_event event)
{
	static const char * const text[] = {
		[LITE_EV_UP]		= "is up",
		[LITE_EV_DOWN]		= "is down",
		[LITE_EV_DEAD]		= "is dead",
		[LITE_EV_RESTARTED]	= "has restarted",
		[LITE_EV_LEFT]		= "has left",
	};
	__be32 addr = htonl(peer->node);

	pr_info("host %pI4 %s\n", &addr, text[event]);
	lite_services_event(peer->node, event);
}

static void peer_event_work(struct work_struct *work)
{
	struct lite_peer *peer = container_of(work, struct lite_peer,
					      event_work);
	unsigned long events;
	bool up;
	u32 gen;

	spin_lock_bh(&peer->lock);
	events = peer->events;
	peer->events = 0;
	gen = peer->gen;
	spin_unlock_bh(&peer->lock);
	if (events) {
		wait_event(peer->wait, peer_old_gone(peer, gen));
		if (peer->reported_up)
			peer_report(peer, LITE_EV_DOWN);
		peer->reported_up = false;
		if (events & BIT(LITE_EV_LEFT))
			peer_report(peer, LITE_EV_LEFT);
		if (events & BIT(LITE_EV_DEAD))
			peer_report(peer, LITE_EV_DEAD);
		if (events & BIT(LITE_EV_RESTARTED))
			peer_report(peer, LITE_EV_RESTARTED);
	}
	spin_lock_bh(&peer->lock);
	peer->settled = gen;
	up = peer->nr_live > 0;
	spin_unlock_bh(&peer->lock);
	wake_up_all(&peer->wait);
	if (up != peer->reported_up) {
		peer->reported_up = up;
		peer_report(peer, up ? LITE_EV_UP : LITE_EV_DOWN);
	}
}

/*
 * The peer's former life is over: fail its connections, forget its calls. The
 * caller holds peer->lock and queues the event work afterwards.
 */
static void peer_forget(struct lite_peer *peer, enum lite_event event)
{
	struct lite_conn *conn;

	lockdep_assert_held(&peer->lock);
	peer->gen++;
	__set_bit(event, &peer->events);
	list_for_each_entry(conn, &peer->conns, entry)
		lite_conn_fail(conn, event == LITE_EV_LEFT ?
			       "the host has left" :
			       event == LITE_EV_DEAD ?
			       "the host is declared dead" :
			       "the host has restarted");
}

/*
 * Judged under the lock under which the verdict takes effect: a connection that
 * goes live either is seen here or finds its generation gone.
 */
static bool peer_silent(struct lite_peer *peer)
{
	bool silent;
	int i;

	lockdep_assert_held(&peer->lock);
	silent = (peer->state == LITE_PEER_UP ||
		  peer->state == LITE_PEER_DOWN) &&
		 time_after(jiffies, peer->last_heard +
			    msecs_to_jiffies(lite_params.dead_ms));
	for (i = 0; i < WIRE_LANES; i++)
		silent |= lite_lane_silent(&peer->lane[i]);
	return silent;
}

/*
 * A goodbye counts if @conn is of the host's present life: not if its other end has not
 * proved the key (yet), nor if it has restarted since.
 */
static bool peer_speaks(struct lite_peer *peer, const struct lite_conn *conn)
{
	lockdep_assert_held(&peer->lock);
	return conn->theirs && conn->theirs == peer->theirs;
}

/* @goodbye: the connection on which it came, or NULL */
static void peer_end(struct lite_peer *peer, enum lite_event event,
		     const struct lite_conn *goodbye)
{
	int i;

	spin_lock_bh(&peer->lock);
	if (peer->state == LITE_PEER_DEAD ||
	    (goodbye && !peer_speaks(peer, goodbye)) ||
	    (peer->state == LITE_PEER_LEFT && event == LITE_EV_LEFT) ||
	    (event == LITE_EV_DEAD && !peer_silent(peer))) {
		spin_unlock_bh(&peer->lock);
		return;
	}
	peer->state = event == LITE_EV_LEFT ? LITE_PEER_LEFT : LITE_PEER_DEAD;
	if (event == LITE_EV_DEAD) {
		lite_stat_inc(LITE_STAT_PEERS_DEAD);
		peer->ours = incarnation_draw();
	}
	/* Lanes first: calls that come back must not be sent again. */
	for (i = 0; i < WIRE_LANES; i++)
		lite_lane_abandon(&peer->lane[i], -EHOSTDOWN);
	peer_forget(peer, event);
	spin_unlock_bh(&peer->lock);
	queue_work(lite_event_wq, &peer->event_work);
}

/* lite_peer_left - goodbye has come on @conn; any context but hard interrupt */
void lite_peer_left(const struct lite_conn *conn)
{
	peer_end(conn->peer, LITE_EV_LEFT, conn);
}

/* ---- connections --------------------------------------------------------- */

u64 lite_peer_ours(struct lite_peer *peer)
{
	u64 ours;

	spin_lock_bh(&peer->lock);
	ours = peer->ours;
	spin_unlock_bh(&peer->lock);
	return ours;
}

/* lite_peer_attach_client - an attempt begins. Return: false: stopping */
bool lite_peer_attach_client(struct lite_peer *peer, struct lite_conn *conn)
{
	bool ok;

	spin_lock_bh(&peer->lock);
	ok = !lite_stopping;
	conn->gen = peer->gen;
	list_add_tail(&conn->entry, &peer->conns);
	spin_unlock_bh(&peer->lock);
	return ok;
}

/*
 * Take a connection whose other end has proved itself into the peer. Return:
 * false: it has failed meanwhile.
 */
static bool peer_admit(struct lite_conn *conn, u64 theirs)
{
	struct lite_peer *peer = conn->peer;
	struct lite_conn *old;

	lockdep_assert_held(&peer->lock);
	if (lite_stopping || READ_ONCE(conn->state) >= LITE_CONN_ERROR)
		return false;
	if (peer->theirs != theirs) {
		/* Not itself: it belongs to the new life. */
		list_del_init(&conn->entry);
		if (peer->theirs)
			peer_forget(peer, LITE_EV_RESTARTED);
		peer->theirs = theirs;
		conn->gen = peer->gen;
	}
	if (conn->server) {
		conn->gen = peer->gen;
		old = peer->served[conn->lane];
		if (old)
			lite_conn_fail(old, "replaced by a new connection");
		peer->served[conn->lane] = conn;
	}
	if (list_empty(&conn->entry))
		list_add_tail(&conn->entry, &peer->conns);
	conn->theirs = theirs;
	return conn->gen == peer->gen;
}

/* No event is due, and no older connection of the same lane is served. */
static bool peer_settled(struct lite_peer *peer, struct lite_conn *conn)
{
	struct lite_conn *pos;
	bool ok;

	spin_lock_bh(&peer->lock);
	ok = peer->settled == peer->gen && !peer->events;
	if (conn->server)
		list_for_each_entry(pos, &peer->conns, entry)
			if (pos != conn && pos->server &&
			    pos->lane == conn->lane)
				ok = false;
	spin_unlock_bh(&peer->lock);
	return ok || READ_ONCE(conn->state) >= LITE_CONN_ERROR;
}

/**
 * lite_peer_meet - who is this, and may it come in?
 * @conn: connection whose other end has proved the cluster key
 * @theirs: incarnation that the other end claims
 *
 * Waits until nothing of a former life or of a replaced connection runs.
 *
 * Context: process. Return: 0 or negative errno: the connection must fail.
 */
int lite_peer_meet(struct lite_conn *conn, u64 theirs)
{
	struct lite_peer *peer = conn->peer;
	bool ok;

	mutex_lock(&peer->meet);
	spin_lock_bh(&peer->lock);
	ok = peer_admit(conn, theirs);
	spin_unlock_bh(&peer->lock);
	if (ok) {
		queue_work(lite_event_wq, &peer->event_work);
		ok = wait_event_timeout(peer->wait, peer_settled(peer, conn),
					msecs_to_jiffies(lite_params.connect_ms)) &&
		     READ_ONCE(conn->state) < LITE_CONN_ERROR;
	}
	mutex_unlock(&peer->meet);
	return ok ? 0 : -EAGAIN;
}

/* lite_peer_conn_live - @conn has become usable */
void lite_peer_conn_live(struct lite_conn *conn)
{
	struct lite_peer *peer = conn->peer;
	int i;

	spin_lock_bh(&peer->lock);
	/*
	 * Closed meanwhile? Then it was taken off the list. Failed by a verdict
	 * or a goodbye? Then it must not bring the peer back.
	 */
	if (!list_empty(&conn->entry) && conn->gen == peer->gen) {
		conn->counted = true;
		peer->nr_live++;
		peer->connects++;
		peer->state = LITE_PEER_UP;
		peer->last_heard = jiffies;
		for (i = 0; i < WIRE_LANES; i++)
			lite_lane_revive(&peer->lane[i], !conn->server);
	}
	spin_unlock_bh(&peer->lock);
	lite_stat_inc(LITE_STAT_CONNECTS);
	queue_work(lite_event_wq, &peer->event_work);
	lite_peer_kick(peer);
}

/* lite_peer_conn_closed - @conn is drained, nothing of it runs; kill, step 5 */
void lite_peer_conn_closed(struct lite_conn *conn)
{
	struct lite_peer *peer = conn->peer;

	if (!peer)
		return;
	spin_lock_bh(&peer->lock);
	list_del_init(&conn->entry);
	if (conn->server && conn->lane < WIRE_LANES &&
	    peer->served[conn->lane] == conn)
		peer->served[conn->lane] = NULL;
	if (conn->counted) {
		conn->counted = false;
		peer->nr_live--;
		if (time_after(conn->last_rx, peer->last_heard))
			peer->last_heard = conn->last_rx;
		if (!peer->nr_live && peer->state == LITE_PEER_UP)
			peer->state = LITE_PEER_DOWN;
	}
	spin_unlock_bh(&peer->lock);
	wake_up_all(&peer->wait);
	queue_work(lite_event_wq, &peer->event_work);
}

/* ---- the clock ----------------------------------------------------------- */

/*
 * Notes when the peer was last heard on any connection, and closes those that
 * it opened to us and left silent. @gap does not count, see lite_lane_tick().
 */
static void peer_check_served(struct lite_peer *peer, unsigned long gap)
{
	unsigned long limit = msecs_to_jiffies(lite_params.dead_ms);
	struct lite_conn *conn;
	unsigned long rx;

	spin_lock_bh(&peer->lock);
	peer->last_heard = lite_forgive(peer->last_heard, gap);
	list_for_each_entry(conn, &peer->conns, entry) {
		if (!conn->counted)
			continue;
		/* If it fails, something has just come. */
		rx = READ_ONCE(conn->last_rx);
		if (gap)
			cmpxchg(&conn->last_rx, rx, lite_forgive(rx, gap));
		if (time_after(conn->last_rx, peer->last_heard))
			peer->last_heard = conn->last_rx;
		if (conn->server && time_after(jiffies, conn->last_rx + limit))
			lite_conn_fail(conn, "nothing was heard for dead_ms");
	}
	spin_unlock_bh(&peer->lock);
}

/* Return: for how long the tick did not run although it should have. */
static unsigned long peer_gap(struct lite_peer *peer)
{
	unsigned long gap = jiffies - peer->last_tick;

	peer->last_tick = jiffies;
	return gap > LITE_STALL ? gap : 0;
}

static void peer_tick(struct work_struct *work)
{
	struct lite_peer *peer = container_of(work, struct lite_peer,
					      tick.work);
	unsigned long gap = peer_gap(peer);
	bool active = false;
	int i;

	peer_check_served(peer, gap);
	for (i = 0; i < WIRE_LANES; i++) {
		lite_lane_tick(&peer->lane[i], gap);
		active |= READ_ONCE(peer->lane[i].wanted);
	}
	/* Does nothing unless the peer is silent. */
	peer_end(peer, LITE_EV_DEAD, NULL);
	active |= READ_ONCE(peer->state) == LITE_PEER_UP ||
		  READ_ONCE(peer->state) == LITE_PEER_DOWN;
	if (active && !READ_ONCE(lite_stopping))
		queue_delayed_work(lite_wq, &peer->tick, LITE_TICK);
}

/* lite_peer_kick - have the tick run now; any context */
void lite_peer_kick(struct lite_peer *peer)
{
	if (!READ_ONCE(lite_stopping))
		mod_delayed_work(lite_wq, &peer->tick, 0);
}

/* ---- the table ----------------------------------------------------------- */

static struct lite_peer *peer_alloc(u32 node)
{
	struct lite_peer *peer = kzalloc(sizeof(*peer), GFP_KERNEL);
	int i;

	if (!peer)
		return NULL;
	kref_init(&peer->ref);
	peer->node = node;
	peer->ours = self_incarnation;
	peer->last_tick = jiffies;
	spin_lock_init(&peer->lock);
	mutex_init(&peer->meet);
	init_waitqueue_head(&peer->wait);
	INIT_LIST_HEAD(&peer->conns);
	INIT_DELAYED_WORK(&peer->tick, peer_tick);
	INIT_WORK(&peer->event_work, peer_event_work);
	for (i = 0; i < WIRE_LANES; i++)
		lite_lane_init(&peer->lane[i], peer, i);
	return peer;
}

static struct lite_peer *peer_lookup(u32 node)
{
	struct lite_peer *peer;

	lockdep_assert_held(&peers_lock);
	hash_for_each_possible(peers, peer, entry, node)
		if (peer->node == node)
			return peer;
	return NULL;
}

/**
 * lite_peer_find - the object of a node; without a reference
 * @node: node id
 * @create: make it if there is none
 *
 * Context: process if @create. Return: peer, or ERR_PTR.
 */
struct lite_peer *lite_peer_find(u32 node, bool create)
{
	struct lite_peer *peer, *made;

	spin_lock_bh(&peers_lock);
	peer = peer_lookup(node);
	spin_unlock_bh(&peers_lock);
	if (peer)
		return peer;
	if (!create)
		return ERR_PTR(-ENOENT);
	made = peer_alloc(node);
	if (!made)
		return ERR_PTR(-ENOMEM);
	spin_lock_bh(&peers_lock);
	peer = peer_lookup(node);
	if (!peer && nr_peers < LITE_PEERS_MAX) {
		peer = made;
		made = NULL;
		nr_peers++;
		hash_add(peers, &peer->entry, node);
	}
	spin_unlock_bh(&peers_lock);
	kfree(made);
	return peer ? peer : ERR_PTR(-ENOMEM);
}

/**
 * lite_peer_next - the peers one after the other
 * @pos: result
 * @index: 0, 1, ...
 *
 * Return: 0, or -ENOENT: there are no more.
 */
int lite_peer_next(struct lite_peer **pos, int index)
{
	struct lite_peer *peer;
	int err = -ENOENT;
	u32 bucket;

	spin_lock_bh(&peers_lock);
	hash_for_each(peers, bucket, peer, entry)
		if (err && index-- == 0) {
			*pos = peer;
			err = 0;
		}
	spin_unlock_bh(&peers_lock);
	return err;
}

struct lite_peer *lite_peer_get(u32 node)
{
	struct lite_peer *peer;
	__be32 addr = htonl(node);

	if (READ_ONCE(lite_stopping))
		return ERR_PTR(-ESHUTDOWN);
	if (ipv4_is_zeronet(addr) || ipv4_is_multicast(addr) ||
	    ipv4_is_lbcast(addr) || ipv4_is_loopback(addr))
		return ERR_PTR(-EINVAL);
	peer = lite_peer_find(node, true);
	if (!IS_ERR(peer))
		kref_get(&peer->ref);
	return peer;
}

SK_EXPORT(lite_peer_get);

/* The table's reference goes last, in lite_peers_exit(). */
static void peer_free(struct kref *ref)
{
	kfree(container_of(ref, struct lite_peer, ref));
}

void lite_peer_put(struct lite_peer *peer)
{
	if (!IS_ERR_OR_NULL(peer))
		kref_put(&peer->ref, peer_free);
}

SK_EXPORT(lite_peer_put);

u32 lite_peer_node(const struct lite_peer *peer)
{
	return peer->node;
}

SK_EXPORT(lite_peer_node);

u32 lite_self(void)
{
	return lite_params.self;
}

SK_EXPORT(lite_self);

u64 lite_incarnation(void)
{
	return self_incarnation;
}

SK_EXPORT(lite_incarnation);

int lite_peers_init(void)
{
	self_incarnation = incarnation_draw();
	return 0;
}

/* ---- stopping ------------------------------------------------------------ */

/* Goodbye on every live connection; each is given GOODBYE_MS together. */
static void peer_goodbye(struct lite_peer *peer, unsigned long until)
{
	struct lite_conn *conn, *list[2 * WIRE_LANES];
	unsigned int i, nr = 0;

	spin_lock_bh(&peer->lock);
	list_for_each_entry(conn, &peer->conns, entry)
		if (nr < ARRAY_SIZE(list) && lite_conn_live(conn)) {
			kref_get(&conn->ref);
			list[nr++] = conn;
		}
	spin_unlock_bh(&peer->lock);
	for (i = 0; i < nr; i++)
		lite_conn_goodbye(list[i]);
	for (i = 0; i < nr; i++) {
		unsigned long left = time_before(jiffies, until) ?
				     until - jiffies : 0;

		wait_for_completion_timeout(&list[i]->goodbye_done, left);
		lite_conn_put(list[i]);
	}
}

static void peer_stop(struct lite_peer *peer)
{
	struct lite_conn *conn;
	int i;

	for (i = 0; i < WIRE_LANES; i++)
		lite_lane_abandon(&peer->lane[i], -ESHUTDOWN);
	spin_lock_bh(&peer->lock);
	list_for_each_entry(conn, &peer->conns, entry)
		lite_conn_fail(conn, "the module is being unloaded");
	spin_unlock_bh(&peer->lock);
}

/**
 * lite_peers_stop - end all connections, gracefully if the others answer
 *
 * The listener is gone already. No new connection is made after this, because
 * lite_stopping is looked at under lite_peer::lock whenever one is attached.
 *
 * Context: process; returns when all connections are freed. Idempotent.
 */
void lite_peers_stop(void)
{
	unsigned long until = jiffies + msecs_to_jiffies(GOODBYE_MS);
	struct lite_peer *peer;
	int i, lane;

	WRITE_ONCE(lite_stopping, true);
	for (i = 0; !lite_peer_next(&peer, i); i++) {
		/* Pairs with the look at lite_stopping under the lock. */
		spin_lock_bh(&peer->lock);
		spin_unlock_bh(&peer->lock);
		cancel_delayed_work_sync(&peer->tick);
		for (lane = 0; lane < WIRE_LANES; lane++)
			cancel_work_sync(&peer->lane[lane].start_work);
		peer_goodbye(peer, until);
		peer_stop(peer);
	}
	lite_conn_wait_all_gone();
	/* Who served the last request may still be about to wake a peer. */
	flush_workqueue(lite_serve_wq);
	lite_calls_flush();
	for (i = 0; !lite_peer_next(&peer, i); i++)
		flush_work(&peer->event_work);
}

/* All connections and works are gone. */
void lite_peers_exit(void)
{
	struct lite_peer *peer;
	struct hlist_node *next;
	u32 bucket;

	hash_for_each_safe(peers, bucket, next, peer, entry) {
		cancel_delayed_work_sync(&peer->tick);
		cancel_work_sync(&peer->event_work);
		hash_del(&peer->entry);
		lite_peer_put(peer);
	}
}
