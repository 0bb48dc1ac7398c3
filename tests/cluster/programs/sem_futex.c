// SPDX-License-Identifier: GPL-2.0
/* semantics: futexes of all kinds, in memory that may be evicted. */
#include "semantics.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#define N	8

static long futex(uint32_t *word, int op, uint32_t value, uintptr_t arg,
		  uint32_t *other, uint32_t value3)
{
	return syscall(SYS_futex, word, op, value, arg, other, value3);
}

struct sleeper {
	uint32_t *word;
	int op;
	long ret;
	int err;
	uint32_t *started;
};

static void *sleeper(void *arg)
{
	struct sleeper *me = arg;

	__atomic_add_fetch(me->started, 1, __ATOMIC_SEQ_CST);
	me->ret = futex(me->word, me->op, 0, 0, NULL, 1);
	me->err = errno;
	return NULL;
}

/* Wakes @word until @nr threads have ended, which must not take for ever. */
static long wake_all(uint32_t *word, int op, long nr)
{
	long woken = 0;
	int tries;

	for (tries = 0; woken < nr && tries < 10000; tries++) {
		long n = futex(word, op, nr, 0, NULL, 1);

		if (n < 0)
			return n;
		woken += n;
		if (!n)
			sleep_ms(1);
	}
	return woken;
}

/* Sleepers on one word, moved to another, woken there. */
static int requeue_of(int private)
{
	struct sleeper job[N];
	uint32_t *a = map_private(PAGE), *b = map_private(PAGE);
	uint32_t *started = map_shared(PAGE);
	pthread_t thread[N];
	long moved = 0, n;
	int i, tries;

	for (i = 0; i < N; i++) {
		job[i] = (struct sleeper){ a, FUTEX_WAIT_BITSET | private, 0, 0,
					   started };
		MUST(!pthread_create(&thread[i], NULL, sleeper, &job[i]));
	}
	cycle();
	for (tries = 0; moved < N && tries < 10000; tries++) {
		n = futex(a, FUTEX_CMP_REQUEUE | private, 0, N, b, 0);
		MUST(n >= 0);
		moved += n;
		if (!n)
			sleep_ms(1);
	}
	EXPECT(moved == N, "%ld of %d moved", moved, N);
	cycle();
	EXPECT(futex(a, FUTEX_WAKE | private, N, 0, NULL, 0) == 0,
	       "somebody still waits on the first word");
	n = wake_all(b, FUTEX_WAKE_BITSET | private, N);
	EXPECT(n == N, "%ld of %d woken", n, N);
	for (i = 0; i < N; i++) {
		MUST(!pthread_join(thread[i], NULL));
		EXPECT(!job[i].ret, "thread %d: %s", i, strerror(job[i].err));
	}
	return OK;
}

static int requeue(void)
{
	int ret = requeue_of(0);

	return ret ?: requeue_of(FUTEX_PRIVATE_FLAG);
}

struct counter {
	pthread_mutex_t lock;
	uint64_t value;
};

static void *count_up(void *arg)
{
	struct counter *counter = arg;
	int i;

	for (i = 0; i < 200; i++) {
		if (pthread_mutex_lock(&counter->lock))
			return counter;
		counter->value++;
		if (pthread_mutex_unlock(&counter->lock))
			return counter;
		if (!(i % 50))
			cycle();
	}
	return NULL;
}

/* The kernel itself reads and writes the word of these. */
static int priority_inheritance(void)
{
	struct counter *counter = map_private(PAGE);
	pthread_mutexattr_t attr;
	pthread_t thread[4];
	void *bad;
	int i;

	MUST(!pthread_mutexattr_init(&attr));
	MUST(!pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT));
	MUST(!pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED));
	MUST(!pthread_mutex_init(&counter->lock, &attr));
	for (i = 0; i < 4; i++)
		MUST(!pthread_create(&thread[i], NULL, count_up, counter));
	for (i = 0; i < 4; i++) {
		MUST(!pthread_join(thread[i], &bad));
		EXPECT(!bad, "thread %d could not lock", i);
	}
	EXPECT(counter->value == 800, "%llu of 800",
	       (unsigned long long)counter->value);
	return OK;
}

static void *die_with_lock(void *arg)
{
	pthread_mutex_lock(arg);
	cycle();
	return NULL;
}

/* At a thread's death the kernel walks a list in its memory. */
static int robust_list(void)
{
	pthread_mutex_t *lock = map_private(PAGE);
	pthread_mutexattr_t attr;
	pthread_t thread;
	int ret;

	MUST(!pthread_mutexattr_init(&attr));
	MUST(!pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST));
	MUST(!pthread_mutex_init(lock, &attr));
	MUST(!pthread_create(&thread, NULL, die_with_lock, lock));
	MUST(!pthread_join(thread, NULL));
	cycle();
	ret = pthread_mutex_lock(lock);
	EXPECT(ret == EOWNERDEAD, "lock of the dead: %s", strerror(ret));
	MUST(!pthread_mutex_consistent(lock) && !pthread_mutex_unlock(lock));
	return OK;
}

/* The kernel reads, changes and tests the second word. */
static int wake_op(void)
{
	uint32_t *a = map_private(PAGE), *b = map_private(PAGE);

	*b = 5;
	cycle();
	MUST(futex(a, FUTEX_WAKE_OP, 1, 1, b,
		   FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 5)) == 0);
	EXPECT(*b == 8, "5 + 3 is %u", *b);
	return OK;
}

static int errors(void)
{
	struct timespec soon = { 0, 1000000 };
	uint32_t *word = map_private(PAGE);

	*word = 7;
	cycle();
	EXPECT(futex(word, FUTEX_WAIT, 6, 0, NULL, 0) == -1 && errno == EAGAIN,
	       "another value: %s", strerror(errno));
	cycle();
	EXPECT(futex(word, FUTEX_WAIT, 7, (uintptr_t)&soon, NULL, 0) == -1 &&
	       errno == ETIMEDOUT, "time out: %s", strerror(errno));
	MUST(!mprotect(word, PAGE, PROT_READ));
	EXPECT(futex(word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 6, 0, NULL, 0) == -1 &&
	       errno == EAGAIN, "read-only: %s", strerror(errno));
	MUST(!munmap(word, PAGE));
	EXPECT(futex(word, FUTEX_WAIT, 7, 0, NULL, 0) == -1 && errno == EFAULT,
	       "unmapped: %s", strerror(errno));
	return OK;
}

struct waiter {
	uint64_t value;
	uint64_t address;
	uint32_t flags;
	uint32_t reserved;
};

static void *wake_later(void *arg)
{
	uint32_t *word = arg;

	sleep_ms(20);
	wake_all(word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
	return NULL;
}

static int wait_for_several(void)
{
	uint32_t *a = map_private(PAGE), *b = map_private(PAGE);
	/* 32-bit words, private */
	struct waiter wait[2] = { { 0, (uintptr_t)a, 2 | 128, 0 },
				  { 0, (uintptr_t)b, 2 | 128, 0 } };
	pthread_t thread;
	long n;

	cycle();
	MUST(!pthread_create(&thread, NULL, wake_later, b));
	n = syscall(449 /* futex_waitv */, wait, 2, 0, NULL, 0);
	if (n < 0 && errno == ENOSYS)
		SKIP("no futex_waitv");
	EXPECT(n == 1, "futex_waitv returned %ld: %s", n, strerror(errno));
	MUST(!pthread_join(thread, NULL));
	return OK;
}

const struct check futex_checks[] = {
	SAME("futex_requeue", requeue, "futex: requeue, bit sets"),
	SAME("futex_pi", priority_inheritance,
	     "futex: priority inheritance, shared between processes"),
	SAME("futex_robust", robust_list, "futex: robust list of a dead thread"),
	SAME("futex_wake_op", wake_op, "futex: `FUTEX_WAKE_OP`"),
	SAME("futex_errors", errors, "futex: other value, time-out, read-only, unmapped"),
	SAME("futex_waitv", wait_for_several, "futex: `futex_waitv`"),
	NO_MORE_CHECKS
};
