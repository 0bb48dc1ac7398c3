// SPDX-License-Identifier: GPL-2.0
/*
 * shadow - a process that does what it likes to its memory, against a shadow of it
 *
 *   shadow [--seed N] [--ops N] [--pages N] [--threads T] [--forks PERMILLE]
 *          [--trails PERMILLE]
 *
 * Each thread has a window of N pages, and the first thread the heap as well. It
 * writes, by stores and by system calls, drops, unmaps, moves, protects and maps
 * files into random ranges, and forks; each operation is repeated on a shadow in
 * shared memory, which is never managed. Ranges are compared with the shadow all
 * the time, all of it at the end. Vector registers have to survive faults.
 *
 * A run depends on its seed alone, but for what threads and children do meanwhile.
 *
 * Exit: 0 nothing was bad; 1 something was; 2 could not run.
 * Out: {"program":"shadow","seed":..,"ops":..,"checked":..,"bad":..,"ms":..}
 */
#include "common.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define SPAN_MAX	24UL	/* pages an operation is about */
#define FILE_PAGES	64UL
#define BAD_SHOWN	10
#define THREADS_MAX	16
#define HEAP_PAGES	512UL

static struct {
	unsigned long ops, pages, threads, forks, trails;
	uint64_t seed;
} opt = { .ops = 20000, .pages = 1024, .threads = 1, .forks = 2, .seed = 1 };

struct window {
	uint64_t random;
	unsigned char *at;	/* managed */
	unsigned char *shadow;	/* not managed, like all else here */
	unsigned long *file;	/* page of the file behind it + 1, 0: none */
	unsigned char *heap;	/* its start; NULL: another thread's */
	unsigned long heap_size;
	unsigned char *heap_shadow;
	const char *last;	/* what was done to the memory last */
	unsigned int number;
	unsigned int child;
};

/* Shared with children, so not managed either. */
static struct {
	atomic_ulong checked, bad, ops;
} *total;

static int file_fd = -1;
static unsigned char *file_data;

static unsigned long below(struct window *w, unsigned long n)
{
	return next_random(&w->random) % n;
}

/* ---- comparing ----------------------------------------------------------------- */

static void show(struct window *w, const char *what, const unsigned char *got,
		 const unsigned char *want, unsigned long size)
{
	unsigned long first = 0, last = 0, zeros = 0, nr = 0, i;

	for (i = 0; i < size; i++) {
		if (got[i] == want[i])
			continue;
		first = nr++ ? first : i;
		last = i;
		zeros += !got[i];
	}
	if (!nr)
		printf("bad: %s: was bad, is good now\n", what);
	else
		printf("bad: thread %u child %u %s at %p: bytes %lu to %lu of %lu, %lu differ, %lu are zero, first %02x for %02x; after %s, op %lu\n",
		       w->number, w->child, what, (void *)(got + first), first, last,
		       size, nr, zeros, got[first], want[first], w->last,
		       atomic_load(&total->ops));
	fflush(stdout);
}

static void check(struct window *w, const char *what, unsigned char *got,
		  const unsigned char *want, unsigned long size)
{
	atomic_fetch_add(&total->checked, 1);
	if (!memcmp(got, want, size))
		return;
	if (atomic_fetch_add(&total->bad, 1) < BAD_SHOWN)
		show(w, what, got, want, size);
	/* Once is enough. */
	memcpy(got, want, size);
}

static void check_all(struct window *w)
{
	unsigned long page;

	for (page = 0; page < opt.pages; page++)
		check(w, "at the end", w->at + page * PAGE,
		      w->shadow + page * PAGE, PAGE);
	if (w->heap_size)
		check(w, "heap at the end", w->heap, w->heap_shadow,
		      w->heap_size);
}

/* ---- operations ------------------------------------------------------------------ */

struct span {
	unsigned long page, nr;
	unsigned char *at, *shadow;
	unsigned long size;
};

static struct span any_span(struct window *w)
{
	struct span s;

	s.nr = 1 + below(w, below(w, 4) ? 3 : SPAN_MAX);
	s.page = below(w, opt.pages - s.nr + 1);
	s.at = w->at + s.page * PAGE;
	s.shadow = w->shadow + s.page * PAGE;
	s.size = s.nr * PAGE;
	return s;
}

/* Part of a span, in bytes. */
static void any_part(struct window *w, struct span *s)
{
	unsigned long from = below(w, s->size);

	s->at += from;
	s->shadow += from;
	s->size = 1 + below(w, s->size - from);
}

static void op_store(struct window *w)
{
	struct span s = any_span(w);
	unsigned long i, step;

	any_part(w, &s);
	step = 1 + below(w, 700);
	for (i = 0; i < s.size; i += step)
		s.at[i] = s.shadow[i] = next_random(&w->random);
}

static void op_fill(struct window *w)
{
	struct span s = any_span(w);
	int byte = below(w, 256);

	any_part(w, &s);
	memset(s.at, byte, s.size);
	memset(s.shadow, byte, s.size);
}

static void op_copy(struct window *w)
{
	struct span to = any_span(w), from = any_span(w);

	any_part(w, &to);
	any_part(w, &from);
	to.size = to.size < from.size ? to.size : from.size;
	memmove(to.at, from.at, to.size);
	memmove(to.shadow, from.shadow, to.size);
}

static void op_read_file(struct window *w)
{
	unsigned long from = below(w, FILE_PAGES * PAGE);
	struct span s = any_span(w);
	ssize_t n;

	any_part(w, &s);
	n = pread(file_fd, s.at, s.size, from);
	if (n < 0)
		die("read into managed memory");
	memcpy(s.shadow, file_data + from, n);
}

static void op_pipe(struct window *w)
{
	unsigned char bytes[PAGE];
	struct span s = any_span(w);
	int fd[2];

	any_part(w, &s);
	if (s.size > sizeof(bytes))
		s.size = sizeof(bytes);
	if (pipe2(fd, O_CLOEXEC))
		die("pipe");
	if (write(fd[1], s.at, s.size) != (ssize_t)s.size ||
	    read(fd[0], bytes, s.size) != (ssize_t)s.size)
		die("through a pipe");
	close(fd[0]);
	close(fd[1]);
	check(w, "through a pipe", bytes, s.shadow, s.size);
}

static void op_check(struct window *w)
{
	struct span s = any_span(w);

	any_part(w, &s);
	check(w, "memory", s.at, s.shadow, s.size);
}

/* A walk, up or down, that prefetching follows. */
static void op_walk(struct window *w)
{
	unsigned long nr = 32 + below(w, 96), page, i;
	bool down = below(w, 2), write = below(w, 2);

	if (nr > opt.pages)
		nr = opt.pages;
	page = below(w, opt.pages - nr + 1);
	for (i = 0; i < nr; i++) {
		unsigned long p = (page + (down ? nr - 1 - i : i)) * PAGE;

		check(w, "on a walk", w->at + p, w->shadow + p, PAGE);
		if (write)
			w->at[p + i] = w->shadow[p + i] = i;
	}
}

/* What the pages have when nobody has written to them. */
static void pristine(struct window *w, struct span *s)
{
	unsigned long i;

	for (i = 0; i < s->nr; i++) {
		unsigned long file = w->file[s->page + i];

		if (file)
			memcpy(s->shadow + i * PAGE,
			       file_data + (file - 1) * PAGE, PAGE);
		else
			memset(s->shadow + i * PAGE, 0, PAGE);
	}
}

static void op_drop(struct window *w)
{
	struct span s = any_span(w);

	if (madvise(s.at, s.size, MADV_DONTNEED))
		die("MADV_DONTNEED");
	pristine(w, &s);
}

static void map_fixed(unsigned char *at, unsigned long size, int fd,
		      unsigned long page)
{
	int flags = MAP_PRIVATE | MAP_FIXED | (fd < 0 ? MAP_ANONYMOUS : 0);

	if (mmap(at, size, PROT_READ | PROT_WRITE, flags, fd, page * PAGE) != at)
		die("mmap");
}

static void op_map(struct window *w)
{
	struct span s = any_span(w);

	if (below(w, 2) && munmap(s.at, s.size))
		die("munmap");
	map_fixed(s.at, s.size, -1, 0);
	memset(w->file + s.page, 0, s.nr * sizeof(*w->file));
	pristine(w, &s);
}

static void op_map_file(struct window *w)
{
	struct span s = any_span(w);
	unsigned long from = below(w, FILE_PAGES - s.nr), i;

	map_fixed(s.at, s.size, file_fd, from);
	for (i = 0; i < s.nr; i++)
		w->file[s.page + i] = from + i + 1;
	pristine(w, &s);
}

static void op_protect(struct window *w)
{
	struct span s = any_span(w);

	if (mprotect(s.at, s.size, PROT_READ))
		die("mprotect");
	check(w, "read-only", s.at, s.shadow, s.size);
	if (mprotect(s.at, s.size, PROT_READ | PROT_WRITE))
		die("mprotect");
}

/*
 * Stores page after page and drops some of them behind: what is being evicted is
 * discarded meanwhile, any one of neighbours.
 */
static void op_trail(struct window *w)
{
	unsigned long nr = 1 + below(w, opt.pages), i;
	struct span s = { .nr = 1 };

	for (i = 0; i < nr; i++) {
		w->at[i * PAGE] = w->shadow[i * PAGE] = next_random(&w->random);
		if (below(w, 4))
			continue;
		s.page = below(w, i + 1);
		s.at = w->at + s.page * PAGE;
		s.shadow = w->shadow + s.page * PAGE;
		if (madvise(s.at, PAGE, MADV_DONTNEED))
			die("MADV_DONTNEED");
		pristine(w, &s);
	}
}

/* To another place of the window; zeros come where it was. */
static void op_move(struct window *w)
{
	struct span from = any_span(w), to = any_span(w);
	void *at;

	if (to.page + from.nr > opt.pages ||
	    (from.page < to.page + from.nr && to.page < from.page + from.nr))
		return;
	at = mremap(from.at, from.size, from.size,
		    MREMAP_MAYMOVE | MREMAP_FIXED, to.at);
	if (at == MAP_FAILED && errno == EFAULT) {
		/* It was of several mappings; the target is gone all the same. */
		map_fixed(to.at, from.size, -1, 0);
		memset(w->file + to.page, 0, from.nr * sizeof(*w->file));
		memset(to.shadow, 0, from.size);
		return;
	}
	if (at != to.at)
		die("mremap");
	memcpy(to.shadow, from.shadow, from.size);
	memcpy(w->file + to.page, w->file + from.page,
	       from.nr * sizeof(*w->file));
	map_fixed(from.at, from.size, -1, 0);
	memset(w->file + from.page, 0, from.nr * sizeof(*w->file));
	pristine(w, &from);
}

/* As malloc() has it: up by some pages, which have to be zero, or down. */
static void op_heap(struct window *w)
{
	unsigned long size = below(w, 3) ? w->heap_size + below(w, 40) * PAGE :
		w->heap_size - below(w, w->heap_size / PAGE + 1) * PAGE;
	unsigned long i;

	if (!w->heap)
		return;
	if (size > HEAP_PAGES * PAGE)
		size = 0;
	if (brk(w->heap + size))
		die("brk");
	if (size > w->heap_size)
		memset(w->heap_shadow + w->heap_size, 0, size - w->heap_size);
	w->heap_size = size;
	if (!size)
		return;
	i = below(w, size);
	check(w, "heap", w->heap + i, w->heap_shadow + i, size - i);
	for (; i < size; i += 1 + below(w, 3000))
		w->heap[i] = w->heap_shadow[i] = next_random(&w->random);
}

#ifdef __x86_64__
/* Half of the vector registers, across touches of three pages. */
static void op_vector(struct window *w)
{
	unsigned char before[256], after[256];
	struct span a = any_span(w), b = any_span(w), c = any_span(w);
	unsigned int i;

	for (i = 0; i < sizeof(before); i++)
		before[i] = next_random(&w->random);
	if (!__builtin_cpu_supports("avx"))
		return;
	asm volatile("vmovdqu   0(%0), %%ymm0\n\tvmovdqu  32(%0), %%ymm1\n\t"
		     "vmovdqu  64(%0), %%ymm2\n\tvmovdqu  96(%0), %%ymm7\n\t"
		     "vmovdqu 128(%0), %%ymm8\n\tvmovdqu 160(%0), %%ymm9\n\t"
		     "vmovdqu 192(%0), %%ymm14\n\tvmovdqu 224(%0), %%ymm15\n\t"
		     "movb (%2), %%al\n\torb $0, (%3)\n\tmovb (%4), %%al\n\t"
		     "vmovdqu %%ymm0,   0(%1)\n\tvmovdqu %%ymm1,  32(%1)\n\t"
		     "vmovdqu %%ymm2,  64(%1)\n\tvmovdqu %%ymm7,  96(%1)\n\t"
		     "vmovdqu %%ymm8, 128(%1)\n\tvmovdqu %%ymm9, 160(%1)\n\t"
		     "vmovdqu %%ymm14, 192(%1)\n\tvmovdqu %%ymm15, 224(%1)\n\t"
		     "vzeroupper"
		     : : "r"(before), "r"(after), "r"(a.at), "r"(b.at), "r"(c.at)
		     : "memory", "cc", "rax", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4",
		       "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
		       "xmm12", "xmm13", "xmm14", "xmm15");
	check(w, "vector registers", after, before, sizeof(after));
}
#else
static void op_vector(struct window *w)
{
	op_check(w);
}
#endif

static void run(struct window *w, unsigned long ops);

static void child_ended(int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return;
	printf("bad: a child ended with %#x\n", status);
	fflush(stdout);
	atomic_fetch_add(&total->bad, 1);
}

/* What was found is counted only when all have ended. */
static void wait_for_children(void)
{
	int status;

	while (wait(&status) > 0)
		child_ended(status);
}

/* Both go on; the child with a shadow of its own. */
static void op_fork(struct window *w)
{
	struct window child = *w;
	static __thread pid_t running;
	int status = 0;
	pid_t pid;

	if (w->child > 1)
		return;
	if (running && waitpid(running, &status, 0) == running)
		child_ended(status);
	child.shadow = map_shared(opt.pages * PAGE);
	memcpy(child.shadow, w->shadow, opt.pages * PAGE);
	child.heap_shadow = map_shared(HEAP_PAGES * PAGE);
	memcpy(child.heap_shadow, w->heap_shadow, HEAP_PAGES * PAGE);
	child.file = map_shared(opt.pages * sizeof(*child.file));
	memcpy(child.file, w->file, opt.pages * sizeof(*child.file));
	child.random = next_random(&w->random);
	child.child++;
	child.last = "fork";
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		running = 0;
		run(&child, 20 + below(&child, 100));
		if (below(&child, 2))
			check_all(&child);
		wait_for_children();
		_exit(0);
	}
	running = pid;
	munmap(child.shadow, opt.pages * PAGE);
	munmap(child.heap_shadow, HEAP_PAGES * PAGE);
	munmap(child.file, opt.pages * sizeof(*child.file));
}

static const struct {
	void (*fn)(struct window *w);
	const char *name;
	unsigned int weight;
} ops[] = {
	{ op_store, "stores", 20 },	{ op_fill, "memset", 10 },
	{ op_copy, "memmove", 10 },	{ op_read_file, "read", 8 },
	{ op_pipe, "pipe", 5 },		{ op_check, "check", 20 },
	{ op_walk, "walk", 6 },		{ op_drop, "dontneed", 5 },
	{ op_map, "mmap", 4 },		{ op_map_file, "map of a file", 3 },
	{ op_protect, "mprotect", 4 },	{ op_move, "mremap", 5 },
	{ op_heap, "brk", 12 },		{ op_vector, "vectors", 10 },
};

static void run(struct window *w, unsigned long nr)
{
	unsigned int sum = 0, i, pick;

	for (i = 0; i < sizeof(ops) / sizeof(*ops); i++)
		sum += ops[i].weight;
	while (nr--) {
		atomic_fetch_add(&total->ops, 1);
		if (below(w, 1000) < opt.forks) {
			op_fork(w);
			continue;
		}
		if (opt.trails && below(w, 1000) < opt.trails) {
			op_trail(w);
			w->last = "a trail";
			continue;
		}
		pick = below(w, sum);
		for (i = 0; pick >= ops[i].weight; i++)
			pick -= ops[i].weight;
		ops[i].fn(w);
		w->last = ops[i].name;
	}
}

static void *thread(void *arg)
{
	struct window *w = arg;

	run(w, opt.ops / opt.threads);
	check_all(w);
	return NULL;
}

static void prepare(struct window *w, unsigned int number)
{
	uint64_t seed = opt.seed + ((uint64_t)number << 32);

	w->random = mix(seed);
	w->number = number;
	w->at = map_private(opt.pages * PAGE);
	w->shadow = map_shared(opt.pages * PAGE);
	w->file = map_shared(opt.pages * sizeof(*w->file));
	w->heap_shadow = map_shared(HEAP_PAGES * PAGE);
	w->last = "nothing";
}

/* malloc() must not be at the heap as well: nobody calls it from here on. */
static void take_heap(struct window *w)
{
	static char buffer[BUFSIZ];

	setvbuf(stdout, buffer, _IOLBF, sizeof(buffer));
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	w->heap = (unsigned char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE);
}

static void make_file(void)
{
	unsigned long i;
	uint64_t word;

	file_fd = open("shadow.file", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file_fd < 0 || unlink("shadow.file"))
		die("shadow.file");
	file_data = map_shared(FILE_PAGES * PAGE);
	for (i = 0; i < FILE_PAGES * PAGE; i += sizeof(word)) {
		word = mix(i);
		memcpy(file_data + i, &word, sizeof(word));
	}
	if (write(file_fd, file_data, FILE_PAGES * PAGE) !=
	    (ssize_t)(FILE_PAGES * PAGE))
		die("writing shadow.file");
}

static void options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "ops", required_argument, NULL, 'o' },
		{ "pages", required_argument, NULL, 'p' },
		{ "threads", required_argument, NULL, 't' },
		{ "forks", required_argument, NULL, 'f' },
		{ "trails", required_argument, NULL, 'T' },
		{ }
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's':
			opt.seed = number("seed", optarg, 0, UINT32_MAX);
			break;
		case 'o':
			opt.ops = number("ops", optarg, 1, UINT32_MAX);
			break;
		case 'p':
			opt.pages = number("pages", optarg, 64, 1 << 20);
			break;
		case 't':
			opt.threads = number("threads", optarg, 1, THREADS_MAX);
			break;
		case 'f':
			opt.forks = number("forks", optarg, 0, 1000);
			break;
		case 'T':
			opt.trails = number("trails", optarg, 0, 1000);
			break;
		default:
			exit(EXIT_TROUBLE);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	struct window *windows;
	uint64_t start = now_ns();
	unsigned long i, bad;

	options(argc, argv);
	total = map_shared(sizeof(*total));
	windows = map_shared(opt.threads * sizeof(*windows));
	make_file();
	for (i = 0; i < opt.threads; i++)
		prepare(&windows[i], i);
	for (i = 1; i < opt.threads; i++)
		if (pthread_create(&threads[i], NULL, thread, &windows[i]))
			die("a thread");
	take_heap(&windows[0]);
	thread(&windows[0]);
	for (i = 1; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	wait_for_children();
	bad = atomic_load(&total->bad);
	/* printf() may want the heap, which is somebody's. */
	dprintf(1, "{\"program\":\"shadow\",\"seed\":%llu,\"ops\":%lu,\"checked\":%lu,\"bad\":%lu,\"ms\":%llu}\n",
		(unsigned long long)opt.seed, atomic_load(&total->ops),
		atomic_load(&total->checked), bad,
		(unsigned long long)(now_ns() - start) / 1000000);
	_exit(bad ? 1 : 0);
}
