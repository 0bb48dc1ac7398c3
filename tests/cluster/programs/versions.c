// SPDX-License-Identifier: GPL-2.0
/*
 * versions - pages that say what they are, so that an old one is found, not guessed
 *
 *   versions [--threads T] [--mb M] [--ops N | --seconds S] [--seed N]
 *            [--writes PERCENT] [--scans PERMILLE] [--dontneed PERMILLE]
 *            [--pause US] [--plant stale|lost|torn|foreign]
 *
 * A page holds its number, its version, who wrote it, words that follow from these,
 * and a checksum over all. All threads use all pages: an operation reads a page,
 * writes it anew (PERCENT), reads SCAN_PAGES in a row or drops some by MADV_DONTNEED
 * and expects zeros from then on (PERMILLE each). What each page must be is kept in
 * shared memory, which is never managed, under a sequence number that is odd while a
 * page changes: only what is known is compared, and then exactly. A bad page is
 *
 *   stale    a version that was right once
 *   lost     zeros where something was written
 *   torn     no page at all: the checksum says so
 *   foreign  another page, or a version that was never written
 *
 * It runs for S seconds, or N operations, or until SIGTERM; then reads all pages
 * once more. --pause waits so long after each operation. --plant damages a page before
 * the last look, which then has to find it.
 *
 * Out: a line each second, operations in each tenth of it. At the end
 *   {"program":"versions","bad":..,"stale":..,..,"hash":..,"expected_hash":..,
 *    "pause_max_ms":..,"pause_p50_us":..,"pause_p99_us":..,"longest_gap_ms":..,..}
 * where a pause is what one access to one page took, and the longest gap is the
 * longest time, in tenths of a second, in which no operation ended. SIGBUS ends it
 * with {"program":"versions","sigbus":true,..}.
 *
 * Exit: 0 nothing was bad; 1 something was; 2 could not run; 42 SIGBUS.
 */
#include "common.h"

#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define BAD_SHOWN	20
#define THREADS_MAX	64
#define SCAN_PAGES	32UL
#define DROP_PAGES	8UL
#define SIGBUS_EXIT	42
#define SLOT_NS		100000000ULL
#define NR_SLOTS	72000		/* two hours */
#define LINE_SLOTS	10
/* Of pauses: 16 to each power of two, which is 6 % of error. */
#define SUB_BITS	4
#define NR_BUCKETS	((64 - SUB_BITS + 1) << SUB_BITS)

enum { NUMBER, VERSION, WRITER, FIRST_WORD, CHECKSUM = PAGE_WORDS - 1 };
enum kind { GOOD, STALE, LOST, TORN, FOREIGN, NR_KINDS };

static const char *const kind_names[NR_KINDS] = {
	"good", "stale", "lost", "torn", "foreign"
};

static struct {
	unsigned long threads, mb, ops, seconds, writes, scans, dontneed, pause;
	uint64_t seed;
	enum kind plant;
} opt = { .threads = 4, .mb = 16, .writes = 40, .scans = 20, .dontneed = 5 };

/* What is known about a page. All but @sequence is as of an even @sequence. */
struct known {
	atomic_uint sequence;	/* odd: being changed */
	uint32_t version;	/* the last one written, 0: none yet */
	uint16_t writer;
	uint8_t zero;		/* dropped since */
	atomic_uchar told;	/* found bad since */
};

/* In shared memory, so that it is there whatever happens to the home. */
struct shared {
	uint64_t start_ns;
	atomic_bool stop;
	atomic_ulong running, ops, reads, writes, scans, dropped, unknown;
	atomic_ulong bad[NR_KINDS];
	atomic_ulong pauses[NR_BUCKETS], pause_max;
	atomic_uint slots[NR_SLOTS];
	uint64_t copy[THREADS_MAX + 1][PAGE_WORDS];
	char stack[THREADS_MAX + 1][1 << 16];
};

static uint64_t *area;
static unsigned long nr_pages;
static struct known *known;
static struct shared *shared;

/* ---- a page ---------------------------------------------------------------------- */

static uint64_t checksum_of(const uint64_t *words)
{
	uint64_t sum = opt.seed;
	unsigned int i;

	for (i = 0; i < CHECKSUM; i++)
		sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15ULL + (sum >> 29);
	return sum;
}

static void make_page(uint64_t *words, unsigned long page, uint32_t version,
		      unsigned int writer)
{
	uint64_t key = mix(opt.seed ^ mix(page) ^ mix((uint64_t)version << 16 | writer));
	unsigned int i;

	words[NUMBER] = page;
	words[VERSION] = version;
	words[WRITER] = writer;
	for (i = FIRST_WORD; i < CHECKSUM; i++)
		words[i] = key += 0x9e3779b97f4a7c15ULL;
	words[CHECKSUM] = checksum_of(words);
}

static bool all_zero(const uint64_t *words)
{
	unsigned int i;

	for (i = 0; i < PAGE_WORDS; i++)
		if (words[i])
			return false;
	return true;
}

static enum kind judge(const uint64_t *words, unsigned long page,
		       const struct known *want)
{
	bool zero = all_zero(words);

	if (want->zero || !want->version) {
		if (zero)
			return GOOD;
	} else if (zero) {
		return LOST;
	}
	if (words[CHECKSUM] != checksum_of(words))
		return TORN;
	if (words[NUMBER] != page || words[VERSION] > want->version)
		return FOREIGN;
	if (want->zero || words[VERSION] < want->version)
		return STALE;
	return words[WRITER] == want->writer ? GOOD : FOREIGN;
}

/* ---- what is measured -------------------------------------------------------------- */

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int exponent;

	if (ns < 1 << SUB_BITS)
		return ns;
	exponent = 63 - __builtin_clzll(ns);
	return (exponent - SUB_BITS + 1) << SUB_BITS |
	       (ns >> (exponent - SUB_BITS) & ((1 << SUB_BITS) - 1));
}

static uint64_t bucket_ns(unsigned int bucket)
{
	unsigned int shift = bucket >> SUB_BITS;
	uint64_t rest = bucket & ((1 << SUB_BITS) - 1);

	return shift ? (rest | 1 << SUB_BITS) << (shift - 1) : rest;
}

static void note_pause(uint64_t ns)
{
	unsigned long max = atomic_load(&shared->pause_max);

	atomic_fetch_add(&shared->pauses[bucket_of(ns)], 1);
	while (ns > max &&
	       !atomic_compare_exchange_weak(&shared->pause_max, &max, ns))
		;
}

static double percentile_us(unsigned int percent)
{
	unsigned long total = 0, seen = 0;
	unsigned int i;

	for (i = 0; i < NR_BUCKETS; i++)
		total += atomic_load(&shared->pauses[i]);
	for (i = 0; i < NR_BUCKETS; i++) {
		seen += atomic_load(&shared->pauses[i]);
		if (seen && seen * 100 >= total * percent)
			return bucket_ns(i) / 1e3;
	}
	return 0;
}

static unsigned long slot_now(void)
{
	unsigned long slot = (now_ns() - shared->start_ns) / SLOT_NS;

	return slot < NR_SLOTS ? slot : NR_SLOTS - 1;
}

/* In milliseconds, from the first operation to the last. */
static unsigned long longest_gap(unsigned long end)
{
	unsigned long slot = 0, gap = 0, longest = 0;

	while (slot < end && !atomic_load(&shared->slots[slot]))
		slot++;
	for (; slot < end; slot++) {
		gap = atomic_load(&shared->slots[slot]) ? 0 : gap + 1;
		longest = gap > longest ? gap : longest;
	}
	return longest * (SLOT_NS / 1000000);
}

static unsigned long nr_bad(void)
{
	unsigned long sum = 0;
	enum kind kind;

	for (kind = GOOD + 1; kind < NR_KINDS; kind++)
		sum += atomic_load(&shared->bad[kind]);
	return sum;
}

/* ---- operations -------------------------------------------------------------------- */

/* The region is read and written by these two alone. */
static void load_page(uint64_t *copy, unsigned long page)
{
	uint64_t start = now_ns();

	memcpy(copy, area + page * PAGE_WORDS, PAGE);
	note_pause(now_ns() - start);
}

static void store_page(unsigned long page, const uint64_t *copy)
{
	uint64_t start = now_ns();

	memcpy(area + page * PAGE_WORDS, copy, PAGE);
	note_pause(now_ns() - start);
}

static bool begin_change(struct known *k)
{
	unsigned int sequence = atomic_load(&k->sequence);

	return !(sequence & 1) &&
	       atomic_compare_exchange_strong(&k->sequence, &sequence, sequence + 1);
}

static void end_change(struct known *k)
{
	atomic_store(&k->told, 0);
	atomic_fetch_add(&k->sequence, 1);
}

static void tell(enum kind kind, unsigned long page, const struct known *want,
		 const uint64_t *got)
{
	atomic_ulong *count = &shared->bad[kind];

	if (atomic_exchange(&known[page].told, 1))
		return;
	if (atomic_fetch_add(count, 1) >= BAD_SHOWN)
		return;
	fprintf(stderr, "bad: %s: page %lu at %p, expected version %u of thread %u%s, got page %llu version %llu of thread %llu, checksum %s, at %llu ms\n",
		kind_names[kind], page, (void *)(area + page * PAGE_WORDS),
		want->version, want->writer, want->zero ? ", then dropped" : "",
		(unsigned long long)got[NUMBER], (unsigned long long)got[VERSION],
		(unsigned long long)got[WRITER],
		got[CHECKSUM] == checksum_of(got) ? "right" : "wrong",
		(unsigned long long)(now_ns() - shared->start_ns) / 1000000);
}

static void read_page(unsigned long page, uint64_t *copy)
{
	struct known *k = &known[page], want;
	unsigned int sequence = atomic_load(&k->sequence);
	enum kind kind;

	want.version = k->version;
	want.writer = k->writer;
	want.zero = k->zero;
	load_page(copy, page);
	atomic_thread_fence(memory_order_seq_cst);
	if (sequence & 1 || atomic_load(&k->sequence) != sequence) {
		/* Somebody wrote meanwhile: it may be either. */
		atomic_fetch_add(&shared->unknown, 1);
		return;
	}
	kind = judge(copy, page, &want);
	if (kind != GOOD)
		tell(kind, page, &want, copy);
}

static void write_page(unsigned long page, unsigned int writer, uint64_t *copy)
{
	struct known *k = &known[page];

	if (!begin_change(k))
		return;
	make_page(copy, page, k->version + 1, writer);
	store_page(page, copy);
	k->version++;
	k->writer = writer;
	k->zero = 0;
	end_change(k);
	atomic_fetch_add(&shared->writes, 1);
}

static void drop_pages(unsigned long first)
{
	unsigned long end = first;

	while (end < nr_pages && end < first + DROP_PAGES && begin_change(&known[end]))
		end++;
	if (end == first)
		return;
	if (madvise(area + first * PAGE_WORDS, (end - first) * PAGE, MADV_DONTNEED))
		die("madvise");
	atomic_fetch_add(&shared->dropped, end - first);
	while (end-- > first) {
		known[end].zero = 1;
		end_change(&known[end]);
	}
}

static void operate(unsigned int me, uint64_t *random)
{
	unsigned long page = next_random(random) % nr_pages;
	unsigned long dice = next_random(random) % 1000, nr;
	uint64_t *copy = shared->copy[me];

	if (dice < opt.dontneed) {
		drop_pages(page);
	} else if (dice < opt.dontneed + opt.scans) {
		for (nr = 0; nr < SCAN_PAGES && page < nr_pages; nr++)
			read_page(page++, copy);
		atomic_fetch_add(&shared->scans, 1);
	} else if (dice < opt.dontneed + opt.scans + 10 * opt.writes) {
		write_page(page, me, copy);
	} else {
		read_page(page, copy);
		atomic_fetch_add(&shared->reads, 1);
	}
	atomic_fetch_add(&shared->slots[slot_now()], 1);
}

static bool finished(void)
{
	if (atomic_load(&shared->stop))
		return true;
	if (opt.seconds && now_ns() - shared->start_ns >= opt.seconds * 1000000000ULL)
		return true;
	return atomic_fetch_add(&shared->ops, 1) >= opt.ops;
}

/* ---- beginning, progress, end -------------------------------------------------------- */

static void on_sigterm(int sig)
{
	(void)sig;
	atomic_store(&shared->stop, true);
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	char text[256];
	int len;

	(void)sig;
	(void)context;
	len = snprintf(text, sizeof(text),
		       "{\"program\":\"versions\",\"sigbus\":true,\"ops\":%lu,\"bad\":%lu,\"after_ms\":%llu,\"address\":\"%p\"}\n",
		       atomic_load(&shared->ops), nr_bad(),
		       (unsigned long long)(now_ns() - shared->start_ns) / 1000000,
		       info->si_addr);
	if (write(STDOUT_FILENO, text, len) != len)
		_exit(EXIT_TROUBLE);
	_exit(SIGBUS_EXIT);
}

/* The handler's stack is not to be what was lost. Each thread has its own. */
static void stack_for_sigbus(unsigned int me)
{
	stack_t stack = { .ss_sp = shared->stack[me],
			  .ss_size = sizeof(shared->stack[me]) };

	if (sigaltstack(&stack, NULL))
		die("sigaltstack");
}

static void *worker(void *arg)
{
	unsigned int me = (unsigned long)arg;
	uint64_t random = mix(opt.seed + me + 1);

	stack_for_sigbus(me);
	while (!finished()) {
		operate(me, &random);
		if (opt.pause)
			usleep(opt.pause);
	}
	atomic_fetch_sub(&shared->running, 1);
	return NULL;
}

static void show_second(unsigned long slot)
{
	unsigned long i;

	printf("second %lu:", slot / LINE_SLOTS);
	for (i = slot; i < slot + LINE_SLOTS; i++)
		printf(" %u", atomic_load(&shared->slots[i]));
	printf("\n");
	fflush(stdout);
}

/* A line for each second, until all threads have ended. */
static void watch(void)
{
	unsigned long shown = 0;

	while (atomic_load(&shared->running)) {
		sleep_ms(50);
		while (slot_now() >= shown + LINE_SLOTS && shown + LINE_SLOTS < NR_SLOTS) {
			show_second(shown);
			shown += LINE_SLOTS;
		}
	}
}

static void run_threads(void)
{
	pthread_t threads[THREADS_MAX];
	unsigned long i;

	atomic_store(&shared->running, opt.threads);
	for (i = 0; i < opt.threads; i++) {
		errno = pthread_create(&threads[i], NULL, worker, (void *)i);
		if (errno)
			die("pthread_create");
	}
	watch();
	for (i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
}

/* Of all pages: as they are, and as they must be. Nothing is written any more. */
static void last_look(uint64_t *hash, uint64_t *expected)
{
	uint64_t *copy = shared->copy[THREADS_MAX];
	unsigned long page, i;

	*hash = *expected = 0;
	for (page = 0; page < nr_pages; page++) {
		read_page(page, copy);
		for (i = 0; i < PAGE_WORDS; i++)
			*hash = (*hash ^ copy[i]) * 0x9e3779b97f4a7c15ULL + (*hash >> 29);
		memset(copy, 0, PAGE);
		if (known[page].version && !known[page].zero)
			make_page(copy, page, known[page].version, known[page].writer);
		for (i = 0; i < PAGE_WORDS; i++)
			*expected = (*expected ^ copy[i]) * 0x9e3779b97f4a7c15ULL +
				    (*expected >> 29);
	}
}

/* What a home that errs would leave, in the first page. */
static void plant(enum kind kind)
{
	uint64_t *copy = shared->copy[THREADS_MAX];
	struct known *k = &known[0];

	write_page(0, THREADS_MAX, copy);
	if (kind == STALE)
		make_page(copy, 0, k->version - 1, k->writer);
	else if (kind == LOST)
		memset(copy, 0, PAGE);
	else if (kind == TORN)
		copy[PAGE_WORDS / 2] ^= 1;
	else
		make_page(copy, 1, k->version, k->writer);
	memcpy(area, copy, PAGE);
}

static enum kind kind_of(const char *name)
{
	enum kind kind;

	for (kind = GOOD + 1; kind < NR_KINDS; kind++)
		if (!strcmp(name, kind_names[kind]))
			return kind;
	errno = 0;
	die("--plant %s: stale, lost, torn or foreign", name);
}

static void report(unsigned long slots, uint64_t hash, uint64_t expected)
{
	enum kind kind;

	printf("{\"program\":\"versions\",\"seed\":%llu,\"pages\":%lu,\"threads\":%lu,\"ops\":%lu,\"reads\":%lu,\"writes\":%lu,\"scans\":%lu,\"dropped\":%lu,\"unknown\":%lu,\"bad\":%lu",
	       (unsigned long long)opt.seed, nr_pages, opt.threads,
	       atomic_load(&shared->ops), atomic_load(&shared->reads),
	       atomic_load(&shared->writes), atomic_load(&shared->scans),
	       atomic_load(&shared->dropped), atomic_load(&shared->unknown), nr_bad());
	for (kind = GOOD + 1; kind < NR_KINDS; kind++)
		printf(",\"%s\":%lu", kind_names[kind], atomic_load(&shared->bad[kind]));
	printf(",\"hash\":\"%016llx\",\"expected_hash\":\"%016llx\"",
	       (unsigned long long)hash, (unsigned long long)expected);
	printf(",\"pause_max_ms\":%.1f,\"pause_p50_us\":%.1f,\"pause_p99_us\":%.1f,\"longest_gap_ms\":%lu,\"ms\":%llu}\n",
	       atomic_load(&shared->pause_max) / 1e6, percentile_us(50),
	       percentile_us(99), longest_gap(slots),
	       (unsigned long long)(now_ns() - shared->start_ns) / 1000000);
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "threads", 1, NULL, 't' }, { "mb", 1, NULL, 'm' },
		{ "ops", 1, NULL, 'n' }, { "seconds", 1, NULL, 's' },
		{ "seed", 1, NULL, 'r' }, { "writes", 1, NULL, 'w' },
		{ "scans", 1, NULL, 'S' }, { "dontneed", 1, NULL, 'd' },
		{ "pause", 1, NULL, 'p' }, { "plant", 1, NULL, 'P' },
		{ NULL, 0, NULL, 0 }
	};
	static const struct {
		unsigned long *value, min, max;
	} numbers[128] = {
		['t'] = { &opt.threads, 1, THREADS_MAX }, ['m'] = { &opt.mb, 1, 1 << 20 },
		['n'] = { &opt.ops, 0, -1UL }, ['s'] = { &opt.seconds, 1, 1 << 20 },
		['r'] = { &opt.seed, 0, -1UL }, ['w'] = { &opt.writes, 0, 100 },
		['S'] = { &opt.scans, 0, 1000 }, ['d'] = { &opt.dontneed, 0, 1000 },
		['p'] = { &opt.pause, 0, 1000000 },
	};
	int c, i;

	opt.seed = now_ns() % 1000000;
	while ((c = getopt_long(argc, argv, "", options, &i)) != -1) {
		if (c == '?')
			exit(EXIT_TROUBLE);
		if (c == 'P')
			opt.plant = kind_of(optarg);
		else
			*numbers[c].value = number(options[i].name, optarg,
						   numbers[c].min, numbers[c].max);
	}
	nr_pages = opt.mb << 20 >> 12;
	if (!opt.ops)
		opt.ops = opt.seconds ? -1UL : 10 * nr_pages;
}

int main(int argc, char **argv)
{
	struct sigaction bus = { .sa_sigaction = on_sigbus,
				 .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction term = { .sa_handler = on_sigterm };
	uint64_t hash, expected;
	unsigned long page, slots;

	parse(argc, argv);
	shared = map_shared(sizeof(*shared));
	known = map_shared(nr_pages * sizeof(*known));
	area = map_private(nr_pages * PAGE);
	stack_for_sigbus(THREADS_MAX);
	sigaction(SIGBUS, &bus, NULL);
	sigaction(SIGTERM, &term, NULL);
	for (page = 0; page < nr_pages; page++)
		write_page(page, THREADS_MAX, shared->copy[THREADS_MAX]);
	printf("ready\n");
	fflush(stdout);

	shared->start_ns = now_ns();
	run_threads();
	slots = slot_now();
	if (opt.plant)
		plant(opt.plant);
	last_look(&hash, &expected);
	report(slots, hash, expected);
	return nr_bad() || hash != expected;
}
