// SPDX-License-Identifier: GPL-2.0
/*
 * A learning Ethernet switch for QEMU's "-netdev dgram" over unix sockets.
 *
 * Port N is the socket "portN.sock" in the current directory; the VM behind
 * it is bound to "hostN.sock". A frame is one datagram. QEMU offers TCP and
 * multicast sockets too: the first adds 40 ms to request/reply traffic, the
 * second wakes every VM for every frame.
 *
 * No frame is lost unless somebody asked for loss. A unix datagram queue holds
 * only net.unix.max_dgram_qlen (10) datagrams, and a lost RoCE packet costs
 * seconds, so each port keeps the frames its VM has no room for yet and sends
 * them when the VM has read some.
 *
 * Control: descriptor 0 is a SOCK_SEQPACKET socket. One packet is one command,
 * and gets one packet as the answer ("ok ..." or "error ..."). When the other
 * end goes away, for whatever reason, the switch ends: it can not be orphaned.
 *
 *   cut N tx|rx|both       drop all frames host N sends / is sent
 *   restore N              end a cut
 *   loss N DIR PERCENT SEED   drop frames at random (PERCENT 0: none)
 *   unplug N               forget the VM behind port N (it was killed)
 *   stats N                counters of port N
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_PORTS	64
#define MAX_MACS	256
#define MAX_FRAME	65536
#define MAX_QUEUED	(16 << 20)	/* bytes a port may hold back */
#define BURST		64		/* frames taken from one port in turn */
#define MAC_LEN		6
#define HEADER_LEN	14

enum { TX, RX, DIRECTIONS };		/* seen from the host */

struct frame {
	struct frame *next;
	size_t len;
	unsigned char data[];
};

struct port {
	int fd;
	bool connected;			/* the kernel knows our VM's socket */
	bool cut[DIRECTIONS];
	uint64_t threshold[DIRECTIONS];	/* drop if random < threshold */
	uint64_t random;		/* xorshift64* state, never 0 */
	struct frame *head, **tail;	/* frames the VM had no room for */
	size_t queued;
	struct {
		unsigned long frames[DIRECTIONS], lost[DIRECTIONS];
		unsigned long overflow, held, dead;
		size_t largest;
	} stats;
};

struct mac {
	unsigned char address[MAC_LEN];
	int port;
};

static struct port ports[MAX_PORTS];
static int nr_ports;
static struct mac macs[MAX_MACS];
static int nr_macs, next_mac;
static unsigned char buffer[MAX_FRAME];

static struct sockaddr_un name_of(const char *kind, int number)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	snprintf(name.sun_path, sizeof(name.sun_path), "%s%d.sock", kind, number + 1);
	return name;
}

static void drop_queue(struct port *port)
{
	while (port->head) {
		struct frame *frame = port->head;

		port->head = frame->next;
		free(frame);
	}
	port->tail = &port->head;
	port->queued = 0;
}

/* After this, a new QEMU may bind the same path and be talked to. */
static void unplug(struct port *port)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	connect(port->fd, &none, sizeof(none));
	port->connected = false;
	drop_queue(port);
}

/*
 * Only a connected socket tells poll() whether the peer has room. The VM comes
 * after the switch, so this is tried again whenever there is a frame for it.
 */
static bool plugged(struct port *port)
{
	struct sockaddr_un name;

	if (port->connected)
		return true;
	name = name_of("host", (int)(port - ports));
	port->connected = !connect(port->fd, (struct sockaddr *)&name, sizeof(name));
	return port->connected;
}

static uint64_t next_random(struct port *port)
{
	port->random ^= port->random >> 12;
	port->random ^= port->random << 25;
	port->random ^= port->random >> 27;
	return port->random * 0x2545F4914F6CDD1DULL;
}

static bool passes(struct port *port, int direction)
{
	port->stats.frames[direction]++;
	if (!port->cut[direction] &&
	    (!port->threshold[direction] ||
	     next_random(port) >= port->threshold[direction]))
		return true;
	port->stats.lost[direction]++;
	return false;
}

static void hold(struct port *port, const unsigned char *data, size_t len)
{
	struct frame *frame;

	if (port->queued + len > MAX_QUEUED) {
		port->stats.overflow++;
		return;
	}
	frame = malloc(sizeof(*frame) + len);
	if (!frame) {
		port->stats.overflow++;
		return;
	}
	frame->next = NULL;
	frame->len = len;
	memcpy(frame->data, data, len);
	*port->tail = frame;
	port->tail = &frame->next;
	port->queued += len;
	port->stats.held++;
}

/* Returns false if the VM has no room now. */
static bool push(struct port *port, const unsigned char *data, size_t len)
{
	if (send(port->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM)
		return false;
	/* The VM is gone. Its frames are too, as on a real wire. */
	port->stats.dead++;
	unplug(port);
	return true;
}

static void deliver(struct port *port, const unsigned char *data, size_t len)
{
	if (!passes(port, RX) || !plugged(port))
		return;
	if (port->head || !push(port, data, len))
		hold(port, data, len);
}

static void flush(struct port *port)
{
	while (port->head) {
		struct frame *frame = port->head;

		if (!push(port, frame->data, frame->len))
			return;
		if (port->head != frame)	/* unplugged meanwhile */
			return;
		port->head = frame->next;
		if (!port->head)
			port->tail = &port->head;
		port->queued -= frame->len;
		free(frame);
	}
}

static struct mac *find_mac(const unsigned char *address)
{
	for (int i = 0; i < nr_macs; i++)
		if (!memcmp(macs[i].address, address, MAC_LEN))
			return &macs[i];
	return NULL;
}

static void learn(const unsigned char *address, int port)
{
	struct mac *mac = find_mac(address);

	if (!mac) {
		mac = &macs[next_mac];
		memcpy(mac->address, address, MAC_LEN);
		next_mac = (next_mac + 1) % MAX_MACS;
		if (nr_macs < MAX_MACS)
			nr_macs++;
	}
	mac->port = port;
}

static void forward(int from, const unsigned char *frame, size_t len)
{
	struct mac *to = NULL;

	if (len < HEADER_LEN || !passes(&ports[from], TX))
		return;
	if (len > ports[from].stats.largest)
		ports[from].stats.largest = len;
	learn(frame + MAC_LEN, from);
	if (!(frame[0] & 1))			/* not broadcast, not multicast */
		to = find_mac(frame);
	for (int i = 0; i < nr_ports; i++)
		if (i != from && (!to || to->port == i))
			deliver(&ports[i], frame, len);
}

static void receive(int number)
{
	for (int i = 0; i < BURST; i++) {
		ssize_t len = recv(ports[number].fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (len < 0)
			return;
		plugged(&ports[number]);
		forward(number, buffer, (size_t)len);
	}
}

static struct port *port_number(int number)
{
	return number >= 1 && number <= nr_ports ? &ports[number - 1] : NULL;
}

static bool selects(const char *word, int direction)
{
	return !strcmp(word, "both") || !strcmp(word, direction == TX ? "tx" : "rx");
}

static bool is_direction(const char *word)
{
	return selects(word, TX) || selects(word, RX);
}

static const char *set_loss(struct port *port, const char *direction,
			    double percent, unsigned long long seed)
{
	if (!(percent >= 0 && percent <= 100))
		return "error percent";
	/* Seed 0 would make the generator stick at 0. */
	port->random = seed * 0x9E3779B97F4A7C15ULL | 1;
	for (int i = 0; i < DIRECTIONS; i++)
		if (selects(direction, i))
			port->threshold[i] = percent >= 100 ? UINT64_MAX :
				(uint64_t)(percent / 100 * 18446744073709551615.0);
	return "ok";
}

static const char *set_cut(struct port *port, const char *direction)
{
	for (int i = 0; i < DIRECTIONS; i++)
		if (selects(direction, i))
			port->cut[i] = true;
	return "ok";
}

static const char *show(const struct port *port, char *answer, size_t size)
{
	snprintf(answer, size,
		 "ok tx=%lu rx=%lu tx_lost=%lu rx_lost=%lu held=%lu overflow=%lu dead=%lu largest=%zu",
		 port->stats.frames[TX], port->stats.frames[RX],
		 port->stats.lost[TX], port->stats.lost[RX], port->stats.held,
		 port->stats.overflow, port->stats.dead, port->stats.largest);
	return answer;
}

static const char *obey(const char *line, char *answer, size_t size)
{
	char verb[16] = "", direction[8] = "both";
	unsigned long long seed = 1;
	double percent = 0;
	int number = 0;
	int words = sscanf(line, "%15s %d %7s %lf %llu", verb, &number, direction,
			   &percent, &seed);
	struct port *port = port_number(number);

	if (!port || !is_direction(direction))
		return "error arguments";
	if (!strcmp(verb, "cut"))
		return set_cut(port, direction);
	if (!strcmp(verb, "loss") && words == 5)
		return set_loss(port, direction, percent, seed);
	if (!strcmp(verb, "stats"))
		return show(port, answer, size);
	if (!strcmp(verb, "restore"))
		port->cut[TX] = port->cut[RX] = false;
	else if (!strcmp(verb, "unplug"))
		unplug(port);
	else
		return "error verb";
	return "ok";
}

static bool control(void)
{
	char line[128], scratch[256];
	const char *answer;
	ssize_t len = recv(0, line, sizeof(line) - 1, 0);

	if (len <= 0)
		return false;
	line[len] = '\0';
	answer = obey(line, scratch, sizeof(scratch));
	return send(0, answer, strlen(answer), MSG_NOSIGNAL) >= 0;
}

static int open_port(int number)
{
	struct sockaddr_un name = name_of("port", number);
	struct port *port = &ports[number];
	int size = 4 << 20;

	port->tail = &port->head;
	port->random = 1;
	port->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (port->fd < 0)
		return -1;
	setsockopt(port->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	unlink(name.sun_path);
	return bind(port->fd, (struct sockaddr *)&name, sizeof(name));
}

static void serve(void)
{
	struct pollfd fds[MAX_PORTS + 1] = { { .fd = 0, .events = POLLIN } };

	for (;;) {
		for (int i = 0; i < nr_ports; i++) {
			fds[i + 1].fd = ports[i].fd;
			fds[i + 1].events = POLLIN | (ports[i].head ? POLLOUT : 0);
		}
		if (poll(fds, (nfds_t)nr_ports + 1, -1) < 0 && errno != EINTR)
			return;
		for (int i = 0; i < nr_ports; i++) {
			if (fds[i + 1].revents & POLLOUT)
				flush(&ports[i]);
			if (fds[i + 1].revents & ~POLLOUT)
				receive(i);
		}
		if (fds[0].revents && !control())
			return;
	}
}

int main(int argc, char **argv)
{
	nr_ports = argc == 2 ? atoi(argv[1]) : 0;
	if (nr_ports < 1 || nr_ports > MAX_PORTS) {
		fprintf(stderr, "usage: switch PORTS (1 to %d)\n", MAX_PORTS);
		return 2;
	}
	for (int i = 0; i < nr_ports; i++) {
		if (open_port(i)) {
			perror("switch: bind");
			return 1;
		}
	}
	/* A wire does not wait for a CPU; where we may, come before the VMs. */
	setpriority(PRIO_PROCESS, 0, -10);
	send(0, "ok", 2, MSG_NOSIGNAL);
	serve();
	return 0;
}
