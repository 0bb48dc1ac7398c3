// SPDX-License-Identifier: GPL-2.0
/*
 * kvload [--keys N] [--ops K] - redis under a zipf mix of GET and SET
 *
 * Starts a redis-server of its own on a Unix socket, without persistence, writes N
 * keys (default 20000) with values of 1 KiB, then makes K requests (default
 * 10000): 9 of 10 are GETs, keys by a zipf distribution. Each value that comes
 * back is checked. "seconds" is the time of the mix. Exit: 0; 3 if a value was wrong;
 * 2 could not run.
 */
#include "workload.h"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define VALUE	1024

static struct options options = { .keys = 20000, .ops = 10000 };
static char directory[] = "/tmp/kvload-XXXXXX";
static char path[64];
static char buffer[VALUE + 256];
static int server;
static pid_t pid;

static void start_server(void)
{
	if (!mkdtemp(directory))
		die("%s", directory);
	snprintf(path, sizeof(path), "%s/socket", directory);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		execlp("redis-server", "redis-server", "--port", "0",
		       "--unixsocket", path, "--save", "", "--dir", directory,
		       "--loglevel", "warning", "--logfile", "log", NULL);
		die("redis-server");
	}
}

static void connect_server(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int tries;

	memcpy(address.sun_path, path, strlen(path) + 1);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
	for (tries = 0; tries < 6000; tries++) {
		if (!connect(server, (void *)&address, sizeof(address)))
			return;
		if (waitpid(pid, NULL, WNOHANG) == pid)
			die("redis-server ended");
		sleep_ms(50);
	}
	die("redis-server does not answer");
}

static void send_all(const char *data, size_t size)
{
	ssize_t done;

	for (; size; data += done, size -= done) {
		done = write(server, data, size);
		if (done <= 0)
			die("write to redis");
	}
}

/* Reads until there are @size bytes; with 0, until the first end of a line. */
static size_t receive(size_t have, size_t size)
{
	ssize_t got;

	while (size ? have < size : !memchr(buffer, '\n', have)) {
		got = read(server, buffer + have, sizeof(buffer) - 1 - have);
		if (got <= 0)
			die("read from redis");
		have += got;
	}
	buffer[have] = 0;
	return have;
}

/* A value tells its key, in each word, and how often it was set. */
static void make_value(uint64_t *value, unsigned long key, uint64_t version)
{
	uint64_t state = mix(key + 1) | 1;
	unsigned long i;

	value[0] = version;
	for (i = 1; i < VALUE / 8; i++)
		value[i] = i < VALUE / 16 ? xorshift(&state) : key;
}

static void set(unsigned long key, uint64_t version)
{
	uint64_t value[VALUE / 8];
	char request[VALUE + 128];
	int head;

	make_value(value, key, version);
	head = sprintf(request, "*3\r\n$3\r\nSET\r\n$12\r\n%012lu\r\n$%d\r\n",
		       key, VALUE);
	memcpy(request + head, value, VALUE);
	memcpy(request + head + VALUE, "\r\n", 2);
	send_all(request, head + VALUE + 2);
	receive(0, 0);
	if (strncmp(buffer, "+OK", 3))
		die("SET: redis says %s", buffer);
}

/* Return: the version that redis has. */
static uint64_t get(unsigned long key, uint64_t version)
{
	uint64_t value[VALUE / 8];
	char request[64];
	size_t have, head;

	send_all(request, sprintf(request, "*2\r\n$3\r\nGET\r\n$12\r\n%012lu\r\n",
				  key));
	have = receive(0, 0);
	if (buffer[0] != '$' || atoi(buffer + 1) != VALUE)
		die("GET: redis says %.40s", buffer);
	head = strchr(buffer, '\n') + 1 - buffer;
	receive(have, head + VALUE + 2);
	make_value(value, key, version);
	if (memcmp(buffer + head, value, VALUE)) {
		fprintf(stderr, "key %lu has a wrong value\n", key);
		kill(pid, SIGKILL);
		exit(EXIT_WRONG);
	}
	memcpy(value, buffer + head, sizeof(value[0]));
	return value[0];
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Return: sum over what was asked, and what was answered or set. */
static uint64_t mix_of_requests(uint64_t *ns, uint64_t *version)
{
	double *zipf = zipf_table(options.keys);
	uint64_t state = SEED, sum = 0, start, had;
	unsigned long i, key;

	for (i = 0; i < options.ops; i++) {
		key = mix(zipf_rank(zipf, options.keys, &state)) % options.keys;
		start = now_ns();
		if (next_random(&state) % 10)
			had = get(key, version[key]);
		else
			set(key, had = ++version[key]);
		ns[i] = now_ns() - start;
		sum = fold(sum, key << 20 | had);
	}
	free(zipf);
	return sum;
}

int main(int argc, char **argv)
{
	uint64_t *version, *ns, sum, start;
	char note[64];
	unsigned long i;

	options_parse(&options, argc, argv);
	version = calloc(options.keys, sizeof(*version));
	ns = calloc(options.ops, sizeof(*ns));
	if (!version || !ns)
		die("no memory");
	start_server();
	connect_server();
	for (i = 0; i < options.keys; i++)
		set(i, 0);
	start = now_ns();
	sum = mix_of_requests(ns, version);
	start = now_ns() - start;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	qsort(ns, options.ops, sizeof(*ns), compare);
	snprintf(note, sizeof(note), "p50 %.1f us, p99 %.1f us",
		 ns[options.ops / 2] / 1e3, ns[options.ops * 99 / 100] / 1e3);
	result("redis", start, sum, note);
	return 0;
}
