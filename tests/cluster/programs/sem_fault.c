// SPDX-License-Identifier: GPL-2.0
/* semantics: faults and their signals. */
#include "semantics.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define N	16UL		/* pages */

#define EXPECT_FAULT(p, write, want_sig, want_code) do {		\
	siginfo_t info_ = { 0 };					\
	int sig_ = fault_info(p, write, &info_);			\
	EXPECT(sig_ == (want_sig) && info_.si_code == (want_code) &&	\
	       info_.si_addr == (void *)(p),				\
	       "line %d: signal %d, code %d, address %p instead of %p",	\
	       __LINE__, sig_, info_.si_code, info_.si_addr, (void *)(p)); \
} while (0)

static int segv_info(void)
{
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 1);
	cycle();
	MUST(!mprotect(p, PAGE, PROT_READ));
	MUST(!mprotect(p + PAGE, PAGE, PROT_NONE));
	MUST(!munmap(p + 2 * PAGE, PAGE));
	EXPECT_FAULT(p + 100, true, SIGSEGV, SEGV_ACCERR);
	EXPECT_FAULT(p + PAGE + 1, false, SIGSEGV, SEGV_ACCERR);
	EXPECT_FAULT(p + PAGE + 1, true, SIGSEGV, SEGV_ACCERR);
	EXPECT_FAULT(p + 2 * PAGE + 5, false, SIGSEGV, SEGV_MAPERR);
	EXPECT_FAULT((uint8_t *)NULL + 8, true, SIGSEGV, SEGV_MAPERR);
	return OK;
}

static int sigbus_info(void)
{
	int fd = scratch_file(2, 1);
	uint8_t *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE,
			  fd, 0);

	MUST(p != MAP_FAILED);
	EXPECT_FAULT(p + 2 * PAGE + 9, false, SIGBUS, BUS_ADRERR);
	EXPECT_FAULT(p + 3 * PAGE, true, SIGBUS, BUS_ADRERR);
	return OK;
}

static uint8_t *volatile barrier_page;
static volatile sig_atomic_t barrier_hits;

static void on_barrier(int sig, siginfo_t *info, void *context)
{
	volatile uint8_t deep[4 * PAGE];

	(void)context;
	deep[0] = deep[sizeof(deep) - 1] = sig;
	barrier_hits += info->si_addr == barrier_page && deep[0] == sig;
	mprotect(barrier_page, PAGE, PROT_READ | PROT_WRITE);
}

/* A garbage collector's write barrier: protect, trap, unprotect, go on. */
static int write_barrier(void)
{
	struct sigaction sa = { .sa_sigaction = on_barrier,
				.sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t ss = { .ss_size = 64 << 10 };
	uint8_t *p = map_private(N * PAGE);
	size_t i;

	ss.ss_sp = map_private(ss.ss_size);
	MUST(!sigaltstack(&ss, NULL) && !sigaction(SIGSEGV, &sa, NULL));
	fill(p, N, 1);
	MUST(!mprotect(p, N * PAGE, PROT_READ));
	for (i = 0; i < N; i++) {
		cycle();
		barrier_page = p + i * PAGE;
		*(volatile uint8_t *)barrier_page = i;
	}
	EXPECT(barrier_hits == (int)N, "%d of %lu writes trapped",
	       (int)barrier_hits, N);
	for (i = 0; i < N; i++)
		EXPECT(p[i * PAGE] == i, "page %zu has %d", i, p[i * PAGE]);
	return OK;
}

static int protection_key(void)
{
	uint8_t *p = map_private(N * PAGE);
	int key = pkey_alloc(0, 0);

	if (key < 0)
		SKIP("pkey_alloc: %s", strerror(errno));
	fill(p, N, 1);
	MUST(!pkey_mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE, key));
	cycle();
	EXPECT_FILL(p, N, 1);
	MUST(!pkey_set(key, PKEY_DISABLE_WRITE));
	EXPECT_FILL(p, N, 1);
	EXPECT_FAULT(p, true, SIGSEGV, SEGV_PKUERR);
	cycle();
	EXPECT_FAULT(p + 2 * PAGE, true, SIGSEGV, SEGV_PKUERR);
	MUST(!pkey_set(key, PKEY_DISABLE_ACCESS));
	EXPECT_FAULT(p, false, SIGSEGV, SEGV_PKUERR);
	MUST(!pkey_set(key, 0));
	fill(p, N, 2);
	cycle();
	EXPECT_FILL(p, N, 2);
	MUST(!pkey_mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE, -1) &&
	     !pkey_free(key));
	return OK;
}

static int userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	uint8_t *p = map_private(N * PAGE);
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, N * PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		SKIP("userfaultfd: %s", strerror(errno));
	MUST(!ioctl(fd, UFFDIO_API, &api));
	EXPECT(!ioctl(fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER: %s",
	       strerror(errno));
	MUST(!ioctl(fd, UFFDIO_UNREGISTER, &reg.range));
	return OK;
}

/* Linux copies as far as it can and says how far. */
static int partial_copy(void)
{
	uint8_t *p = map_private(2 * PAGE);
	int fd = scratch_file(2, 1);

	MUST(!munmap(p + PAGE, PAGE));
	EXPECT(pread(fd, p, 2 * PAGE, 0) == (ssize_t)PAGE, "half-mapped buffer");
	EXPECT(pread(fd, p + PAGE, PAGE, 0) == -1 && errno == EFAULT,
	       "unmapped buffer: %s", strerror(errno));
	EXPECT_FILL(p, 1, 1);
	return OK;
}

struct churn {
	uint8_t *page;
	volatile int stop;
};

static void *remap_thread(void *arg)
{
	struct churn *churn = arg;

	while (!churn->stop) {
		churn->page[0] = 1;
		madvise(churn->page, PAGE, MADV_DONTNEED);
		mprotect(churn->page, PAGE, PROT_READ);
		mprotect(churn->page, PAGE, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/* Each thread changes a page of its own; the neighbours must not notice. */
static int neighbours(void)
{
	uint8_t *p = map_private(N * PAGE);
	struct churn churn[4] = { 0 };
	pthread_t thread[4];
	int i, round;

	for (i = 0; i < 4; i++) {
		churn[i].page = p + (2 * i + 1) * PAGE;
		MUST(!pthread_create(&thread[i], NULL, remap_thread, &churn[i]));
	}
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 4; i++)
			fill(p + 2 * i * PAGE, 1, round + i);
		cycle();
		for (i = 0; i < 4; i++)
			EXPECT_FILL(p + 2 * i * PAGE, 1, round + i);
	}
	for (i = 0; i < 4; i++)
		churn[i].stop = 1;
	for (i = 0; i < 4; i++)
		MUST(!pthread_join(thread[i], NULL));
	return OK;
}

const struct check fault_checks[] = {
	SAME("segv_info", segv_info, "SIGSEGV: `si_code` and `si_addr`"),
	SAME("sigbus_info", sigbus_info,
	     "SIGBUS past the end of a file: `si_code` and `si_addr`"),
	SAME("write_barrier", write_barrier,
	     "SIGSEGV handler that unprotects (garbage collectors)"),
	SAME("pkeys", protection_key, "protection keys"),
	DIFFERS("userfaultfd", userfault, "userfaultfd",
		"`UFFDIO_REGISTER` says `EINVAL`: the kernel takes anonymous and shared memory only"),
	SAME("partial_copy", partial_copy,
	     "system calls on buffers mapped in part: short count, `EFAULT`"),
	SAME("neighbours", neighbours,
	     "threads changing protection and content beside each other"),
	NO_MORE_CHECKS
};
