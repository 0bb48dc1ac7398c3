// SPDX-License-Identifier: GPL-2.0
/*
 * forksnap - is what a forked child sees one instant of a busy parent?
 *
 *   forksnap [--writers W] [--pages P] [--forks N] [--delay-ms D]
 *            [--direct FILE]
 *
 * W threads (default 4) own P pages (default 64) each. In pass v a thread
 * stores v into its words in ascending order, so at any instant its words read
 * v ... v, v-1 ... v-1. Meanwhile the main thread forks N times (default 20).
 * Each child checks that what it got has that form (one instant), that it is
 * the same after D ms (default 20) of further writing by the parent (private),
 * then scribbles over its copy; a writer that ever finds anything but v-1
 * where it is about to store v has been written to by a child.
 *
 * --direct FILE: another thread keeps reading FILE, which is made, by O_DIRECT
 * into pages of its own and checks what arrived. Skipped, and said so, where
 * the file system refuses.
 *
 * Exit: 0 good; 1 bad; 2 could not run.
 * Out: {"program":"forksnap","forks":..,"bad":..,"passes":..,"direct":..}
 */
#include "common.h"

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define WRITERS_MAX	64
#define WORDS		8		/* words of a page in use */
#define STRIDE		(PAGE_WORDS / WORDS)
#define DIRECT_PAGES	32
#define SCRIBBLE	0xdeadbeefdeadbeefULL

static unsigned long writers = 4, pages = 64, forks = 20, delay_ms = 20;
static const char *direct_file;
static volatile uint64_t *area;
static atomic_bool stop;
static atomic_ulong passes, leaks, direct_reads, direct_bad;
static int direct_fd = -1;

static volatile uint64_t *slot(unsigned long writer, unsigned long i)
{
	return area + (writer * pages + i / WORDS) * PAGE_WORDS +
	       i % WORDS * STRIDE;
}

static void *writer_thread(void *arg)
{
	unsigned long me = (unsigned long)arg, i, nr = pages * WORDS;
	uint64_t version, found;

	for (version = 1; !atomic_load(&stop); version++) {
		for (i = 0; i < nr; i++) {
			found = *slot(me, i);
			if (found != version - 1 &&
			    atomic_fetch_add(&leaks, 1) < 10)
				fprintf(stderr, "bad: parent: writer %lu slot %lu "
					"holds %llx instead of %llx\n", me, i,
					(unsigned long long)found,
					(unsigned long long)version - 1);
			*slot(me, i) = version;
		}
		atomic_fetch_add(&passes, 1);
	}
	return NULL;
}

/* ---- the child: only calls that are safe after a fork with threads -------- */

static int child_bad(const char *what, unsigned long writer, unsigned long i,
		     uint64_t before, uint64_t after)
{
	char text[160];
	int len = snprintf(text, sizeof(text),
			   "bad: child: writer %lu slot %lu: %s: %llx, %llx\n",
			   writer, i, what, (unsigned long long)before,
			   (unsigned long long)after);

	if (write(STDERR_FILENO, text, len) < 0)
		return EXIT_TROUBLE;
	return 1;
}

/* v ... v, v-1 ... v-1; also what the whole is, to compare it later. */
static int read_snapshot(uint64_t *digest)
{
	unsigned long w, i, nr = pages * WORDS;
	uint64_t first, last, value;

	*digest = 0;
	for (w = 0; w < writers; w++) {
		first = last = *slot(w, 0);
		for (i = 0; i < nr; i++) {
			value = *slot(w, i);
			if (value > last)
				return child_bad("later store without an earlier one",
						 w, i, last, value);
			if (first - value > 1)
				return child_bad("store of the pass before is lost",
						 w, i, first, value);
			last = value;
			*digest = mix(*digest + value);
		}
	}
	return 0;
}

static int child(void)
{
	unsigned long w, i;
	uint64_t before, after;
	int ret;

	ret = read_snapshot(&before);
	if (ret)
		return ret;
	sleep_ms(delay_ms);
	ret = read_snapshot(&after);
	if (ret)
		return ret;
	if (before != after)
		return child_bad("the parent's stores show", 0, 0, before, after);

	for (w = 0; w < writers; w++)
		for (i = 0; i < pages * WORDS; i++)
			*slot(w, i) = SCRIBBLE;
	sleep_ms(1);
	for (w = 0; w < writers; w++)
		for (i = 0; i < pages * WORDS; i++)
			if (*slot(w, i) != SCRIBBLE)
				return child_bad("own store is lost", w, i,
						 SCRIBBLE, *slot(w, i));
	return 0;
}

static bool fork_once(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (!pid)
		_exit(child());
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (WIFSIGNALED(status))
		fprintf(stderr, "bad: child was killed by signal %d\n",
			WTERMSIG(status));
	return status == 0;
}

/* ---- O_DIRECT beside it --------------------------------------------------- */

static uint64_t direct_word(unsigned long i)
{
	return mix(i + 4711);
}

static void *direct_thread(void *arg)
{
	uint64_t *buf = map_private(DIRECT_PAGES * PAGE);
	unsigned long i;

	(void)arg;
	while (!atomic_load(&stop)) {
		if (pread(direct_fd, buf, DIRECT_PAGES * PAGE, 0) !=
		    (ssize_t)(DIRECT_PAGES * PAGE))
			die("O_DIRECT read");
		for (i = 0; i < DIRECT_PAGES * PAGE_WORDS; i++)
			if (buf[i] != direct_word(i))
				break;
		if (i < DIRECT_PAGES * PAGE_WORDS &&
		    atomic_fetch_add(&direct_bad, 1) < 10)
			fprintf(stderr, "bad: O_DIRECT: word %lu is %llx\n", i,
				(unsigned long long)buf[i]);
		/* So that a read that brings nothing shows. */
		memset(buf, 0, DIRECT_PAGES * PAGE);
		atomic_fetch_add(&direct_reads, 1);
	}
	return NULL;
}

/* Return: false where this cannot be tried. */
static bool direct_open(void)
{
	uint64_t *buf = map_private(DIRECT_PAGES * PAGE);
	size_t size = DIRECT_PAGES * PAGE, i;
	int fd = open(direct_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die("%s", direct_file);
	for (i = 0; i < DIRECT_PAGES * PAGE_WORDS; i++)
		buf[i] = direct_word(i);
	if (write(fd, buf, size) != (ssize_t)size || fsync(fd))
		die("%s", direct_file);
	close(fd);
	direct_fd = open(direct_file, O_RDONLY | O_DIRECT | O_CLOEXEC);
	unlink(direct_file);
	if (direct_fd >= 0 && pread(direct_fd, buf, size, 0) == (ssize_t)size)
		return true;
	fprintf(stderr, "O_DIRECT skipped: %s\n", strerror(errno));
	return false;
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "writers", 1, NULL, 'w' }, { "pages", 1, NULL, 'p' },
		{ "forks", 1, NULL, 'f' }, { "delay-ms", 1, NULL, 'd' },
		{ "direct", 1, NULL, 'D' }, { NULL, 0, NULL, 0 }
	};
	int c, i;

	while ((c = getopt_long(argc, argv, "", options, &i)) != -1) {
		const char *name = c == '?' ? "" : options[i].name;

		switch (c) {
		case 'w':
			writers = number(name, optarg, 1, WRITERS_MAX);
			break;
		case 'p':
			pages = number(name, optarg, 1, 1 << 20);
			break;
		case 'f':
			forks = number(name, optarg, 1, 1 << 20);
			break;
		case 'd':
			delay_ms = number(name, optarg, 0, 60000);
			break;
		case 'D':
			direct_file = optarg;
			break;
		default:
			exit(EXIT_TROUBLE);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[WRITERS_MAX + 1];
	unsigned long i, nr = 0, bad = 0;

	parse(argc, argv);
	area = map_private(writers * pages * PAGE);
	if (direct_file && direct_open() &&
	    !pthread_create(&threads[nr], NULL, direct_thread, NULL))
		nr++;
	for (i = 0; i < writers; i++, nr++) {
		errno = pthread_create(&threads[nr], NULL, writer_thread,
				       (void *)i);
		if (errno)
			die("pthread_create");
	}
	for (i = 0; i < forks; i++)
		bad += !fork_once();
	atomic_store(&stop, true);
	while (nr)
		pthread_join(threads[--nr], NULL);
	bad += atomic_load(&leaks) + atomic_load(&direct_bad);

	printf("{\"program\":\"forksnap\",\"forks\":%lu,\"bad\":%lu,"
	       "\"passes\":%lu,\"direct\":", forks, bad, atomic_load(&passes));
	if (direct_fd >= 0)
		printf("%lu}\n", atomic_load(&direct_reads));
	else
		printf("\"%s\"}\n", direct_file ? "skipped" : "off");
	return bad != 0;
}
