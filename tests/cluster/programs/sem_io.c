// SPDX-License-Identifier: GPL-2.0
/* semantics: system calls that read and write such memory. */
#include "semantics.h"

#include <fcntl.h>
#include <sys/socket.h>
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

const struct check io_checks[] = {
	{ "file_read_write", file_read_write },
	{ "read_into_fresh", read_into_fresh },
	{ "direct_read", direct_read },
	{ "direct_write", direct_write },
	{ "pipe", through_pipe },
	{ "vectors", vectors },
	{ "vmsplice", vmsplice_pages },
	{ NULL, NULL }
};
