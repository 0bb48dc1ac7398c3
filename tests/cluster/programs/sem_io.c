// SPDX-License-Identifier: GPL-2.0
/* semantics: system calls that read and write such memory. */
#include "semantics.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define N	16UL		/* pages */

/* The same file again, by way of O_DIRECT; -1 where that is refused. */
static int reopen_direct(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
}

static int direct_read(void)
{
	int fd = scratch_file(N, 1), direct = reopen_direct(fd);
	uint8_t *p = map_private(N * PAGE);
	ssize_t len;

	if (direct < 0)
		SKIP("O_DIRECT: %s", strerror(errno));
	fill(p, N, 2);
	cycle();
	len = pread(direct, p, N * PAGE, 0);
	if (len < 0 && errno == EINVAL)
		SKIP("O_DIRECT read: %s", strerror(errno));
	MUST(len == (ssize_t)(N * PAGE));
	EXPECT_FILL(p, N, 1);
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int direct_write(void)
{
	int fd = scratch_file(N, 1), direct = reopen_direct(fd);
	uint8_t *p = map_private(N * PAGE), *buf = map_private(N * PAGE);
	ssize_t len;

	if (direct < 0)
		SKIP("O_DIRECT: %s", strerror(errno));
	fill(p, N, 2);
	cycle();
	len = pwrite(direct, p, N * PAGE, 0);
	if (len < 0 && errno == EINVAL)
		SKIP("O_DIRECT write: %s", strerror(errno));
	MUST(len == (ssize_t)(N * PAGE));
	MUST(pread(fd, buf, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(buf, N, 2);
	EXPECT_FILL(p, N, 2);
	return OK;
}

static int file_read_write(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_private(N * PAGE);

	fill(p, N, 2);
	cycle();
	MUST(pwrite(fd, p, N * PAGE, 0) == (ssize_t)(N * PAGE));
	fill(p, N, 3);
	cycle();
	MUST(pread(fd, p, N * PAGE, 0) == (ssize_t)(N * PAGE));
	cycle();
	EXPECT_FILL(p, N, 2);
	return OK;
}

/* Into memory never touched, and to memory that may only be read. */
static int read_into_fresh(void)
{
	int fd = scratch_file(N, 1);
	uint8_t *p = map_private(2 * N * PAGE);

	MUST(pread(fd, p, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(p, N, 1);
	EXPECT_ZERO(p + N * PAGE, N);
	MUST(!mprotect(p, N * PAGE, PROT_READ));
	cycle();
	EXPECT(pread(fd, p, N * PAGE, 0) == -1 && errno == EFAULT,
	       "read into read-only memory: errno %d", errno);
	EXPECT_FILL(p, N, 1);
	return OK;
}

static int through_pipe(void)
{
	uint8_t *p = map_private(N * PAGE), *q = map_private(N * PAGE);
	int fds[2];
	size_t done;
	ssize_t len;
	pid_t pid;

	fill(p, N, 1);
	cycle();
	MUST(!pipe(fds));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		for (done = 0; done < N * PAGE; done += len) {
			len = write(fds[1], p + done, N * PAGE - done);
			if (len <= 0)
				_exit(BAD);
		}
		_exit(OK);
	}
	close(fds[1]);
	for (done = 0; done < N * PAGE; done += len) {
		len = read(fds[0], q + done, N * PAGE - done);
		MUST(len > 0);
	}
	EXPECT(reap(pid) == OK, "the writing child failed");
	cycle();
	EXPECT_FILL(q, N, 1);
	return OK;
}

/*
 * The pages themselves go into the pipe. They are no longer the process's to
 * lose: neither eviction nor munmap() may change what the pipe holds.
 */
static int vmsplice_pages(void)
{
	uint8_t *p = map_private(4 * PAGE), *q = map_private(4 * PAGE);
	struct iovec iov = { p, 4 * PAGE };
	int fds[2];
	ssize_t len;

	fill(p, 4, 1);
	cycle();
	MUST(!pipe(fds));
	len = vmsplice(fds[1], &iov, 1, 0);
	if (len < 0 && (errno == ENOSYS || errno == EINVAL))
		SKIP("vmsplice: %s", strerror(errno));
	MUST(len == (ssize_t)(4 * PAGE));
	/* Pinned: eviction has to leave them alone. */
	cycle();
	MUST(!munmap(p, 4 * PAGE));
	cycle();
	MUST(read(fds[0], q, 4 * PAGE) == (ssize_t)(4 * PAGE));
	EXPECT_FILL(q, 4, 1);
	return OK;
}

static int vectors(void)
{
	uint8_t *p = map_private(N * PAGE), *q = map_private(N * PAGE);
	struct iovec out[N], in[N];
	int s[2];
	size_t i;

	fill(p, N, 1);
	cycle();
	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	/* Pages in reverse at both ends end up in order. */
	for (i = 0; i < N; i++) {
		out[i] = (struct iovec){ p + (N - 1 - i) * PAGE, PAGE };
		in[i] = (struct iovec){ q + (N - 1 - i) * PAGE, PAGE };
	}
	for (i = 0; i < N; i += 4) {
		MUST(writev(s[0], out + i, 4) == (ssize_t)(4 * PAGE));
		MUST(readv(s[1], in + i, 4) == (ssize_t)(4 * PAGE));
	}
	cycle();
	EXPECT_FILL(q, N, 1);
	return OK;
}

/* ---- io_uring, by hand ------------------------------------------------------ */

struct ring {
	int fd;
	uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

static int ring_open(struct ring *ring)
{
	struct io_uring_params params = { 0 };
	uint8_t *sq, *cq;
	int prot = PROT_READ | PROT_WRITE;

	ring->fd = syscall(SYS_io_uring_setup, 4, &params);
	if (ring->fd < 0)
		SKIP("io_uring: %s", strerror(errno));
	sq = mmap(NULL, params.sq_off.array + params.sq_entries * 4, prot,
		  MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	cq = mmap(NULL, params.cq_off.cqes + params.cq_entries * sizeof(*ring->cqes),
		  prot, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, params.sq_entries * sizeof(*ring->sqes), prot,
			  MAP_SHARED, ring->fd, IORING_OFF_SQES);
	MUST(sq != MAP_FAILED && cq != MAP_FAILED && ring->sqes != MAP_FAILED);
	ring->sq_tail = (uint32_t *)(sq + params.sq_off.tail);
	ring->sq_mask = (uint32_t *)(sq + params.sq_off.ring_mask);
	ring->sq_array = (uint32_t *)(sq + params.sq_off.array);
	ring->cq_head = (uint32_t *)(cq + params.cq_off.head);
	ring->cq_tail = (uint32_t *)(cq + params.cq_off.tail);
	ring->cq_mask = (uint32_t *)(cq + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
	return OK;
}

/* One request, waited for; its result. */
static int ring_run(struct ring *ring, int op, int fd, void *p, size_t len)
{
	uint32_t tail = *ring->sq_tail, index = tail & *ring->sq_mask;
	struct io_uring_sqe *sqe = &ring->sqes[index];
	uint32_t head = *ring->cq_head;
	int result;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = op;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)p;
	sqe->len = len;
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS,
		    NULL, 0) != 1)
		return -errno;
	if (__atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) == head)
		return -EIO;
	result = ring->cqes[head & *ring->cq_mask].res;
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static int uring_plain(void)
{
	int fd = scratch_file(N, 1), ret;
	uint8_t *p = map_private(N * PAGE), *q = map_private(N * PAGE);
	struct ring ring;

	ret = ring_open(&ring);
	if (ret)
		return ret;
	fill(p, N, 2);
	cycle();
	ret = ring_run(&ring, IORING_OP_READ, fd, p, N * PAGE);
	EXPECT(ret == (int)(N * PAGE), "read: %d", ret);
	EXPECT_FILL(p, N, 1);
	ret = ring_run(&ring, IORING_OP_READ, fd, q, N * PAGE);
	EXPECT(ret == (int)(N * PAGE), "read into fresh memory: %d", ret);
	EXPECT_FILL(q, N, 1);
	fill(p, N, 3);
	cycle();
	ret = ring_run(&ring, IORING_OP_WRITE, fd, p, N * PAGE);
	EXPECT(ret == (int)(N * PAGE), "write: %d", ret);
	MUST(pread(fd, q, N * PAGE, 0) == (ssize_t)(N * PAGE));
	EXPECT_FILL(q, N, 3);
	return OK;
}

static int uring_registered(void)
{
	int fd = scratch_file(N, 1), ret;
	uint8_t *p = map_private(N * PAGE);
	struct iovec vec = { p, N * PAGE };
	struct ring ring;

	ret = ring_open(&ring);
	if (ret)
		return ret;
	fill(p, N, 2);
	EXPECT(!syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS,
			&vec, 1), "registering: %s", strerror(errno));
	cycle();
	ret = ring_run(&ring, IORING_OP_READ_FIXED, fd, p, N * PAGE);
	EXPECT(ret == (int)(N * PAGE), "read: %d", ret);
	cycle();
	EXPECT_FILL(p, N, 1);
	return OK;
}

const struct check io_checks[] = {
	SAME("file_read_write", file_read_write,
	     "`read` and `write` of files"),
	SAME("read_into_fresh", read_into_fresh,
	     "`read` into memory never touched; `EFAULT` into read-only"),
	SAME("direct_read", direct_read,
	     "`O_DIRECT` read"),
	SAME("direct_write", direct_write,
	     "`O_DIRECT` write"),
	SAME("pipe", through_pipe,
	     "pipes"),
	SAME("vectors", vectors,
	     "`readv`, `writev` over a socket"),
	SAME("vmsplice", vmsplice_pages,
	     "`vmsplice`: the pipe keeps what it was given"),
	SAME("io_uring", uring_plain, "io_uring: read and write"),
	DIFFERS_ON_SOME("io_uring_registered", uring_registered, "io_uring: registered buffers",
		"`EOPNOTSUPP` for the registration on 6.1: that kernel takes anonymous and shared memory only"),
	NO_MORE_CHECKS
};
