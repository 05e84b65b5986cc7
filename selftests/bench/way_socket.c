// SPDX-License-Identifier: GPL-2.0
/*
 * way_socket.c - another process is asked, over a Unix socket, to map and unmap
 *
 * What vhost-user and virtiofs do: a request with the file descriptor beside
 * it, an mmap() at a fixed address, an answer that is waited for.
 */
#include "bench.h"

#include <sys/prctl.h>
#include <sys/socket.h>

enum request_op {
	REQUEST_MAP,
	REQUEST_UNMAP,
	REQUEST_TOUCH,
	REQUEST_FORGET,
	REQUEST_LOAD,
};

struct request {
	uint32_t op;
	uint32_t write;
	uint64_t offset;
	uint64_t fd_offset;
	uint64_t size;
};

union fd_space {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

/* ---- The client ---- */

/* The request, and in *fd what came with it or -1; false at the end. */
static bool receive(int sock, struct request *r, int *fd)
{
	union fd_space control;
	struct iovec iov = { .iov_base = r, .iov_len = sizeof(*r) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	*fd = -1;
	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(*r))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return true;
}

static int answer(struct window *w, const struct request *r, int fd)
{
	void *mem;

	switch (r->op) {
	case REQUEST_MAP:
		mem = mmap(w->mem + r->offset, r->size, PROT_RW,
			   MAP_SHARED | MAP_FIXED, fd, r->fd_offset);
		close(fd);
		return mem == MAP_FAILED ? -errno : 0;
	case REQUEST_UNMAP:
		return munmap(w->mem + r->offset, r->size) ? -errno : 0;
	case REQUEST_TOUCH:
		touch_span_here(w, r->offset, r->size, r->write);
		return 0;
	case REQUEST_FORGET:
		forget_here(w, r->offset, r->size);
		return 0;
	case REQUEST_LOAD:
		load_start(w);
		return 0;
	}
	return -EINVAL;
}

static void __attribute__((noreturn)) serve(struct window *w, int sock)
{
	struct request r;
	int fd, result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (receive(sock, &r, &fd)) {
		result = answer(w, &r, fd);
		if (send(sock, &result, sizeof(result), 0) != sizeof(result))
			break;
	}
	_exit(0);
}

/* ---- The controller ---- */

static void request(struct window *w, const struct request *r, int fd)
{
	union fd_space control = { 0 };
	struct iovec iov = { .iov_base = (void *)r, .iov_len = sizeof(*r) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	int result;

	if (fd >= 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	if (sendmsg(w->control, &msg, 0) != sizeof(*r))
		fail("asking the client: %s", strerror(errno));
	if (recv(w->control, &result, sizeof(result), 0) != sizeof(result))
		fail("the client died");
	must(result, "what the client was asked for");
}

static void socket_open(struct window *w, uint64_t size)
{
	int pair[2];

	must_errno(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
		   "socketpair");
	w->pid = must_errno(fork(), "fork");
	if (!w->pid) {
		close(pair[0]);
		serve(w, pair[1]);
	}
	close(pair[1]);
	w->control = pair[0];
}

static void socket_close(struct window *w)
{
	close(w->control);
	must_errno(waitpid(w->pid, NULL, 0), "waitpid");
}

static void socket_map(struct window *w, uint64_t offset, int fd,
		       uint64_t fd_offset, uint64_t size)
{
	struct request r = {
		.op = REQUEST_MAP,
		.offset = offset,
		.fd_offset = fd_offset,
		.size = size,
	};

	request(w, &r, fd);
}

static void socket_unmap(struct window *w, uint64_t offset, uint64_t size)
{
	struct request r = { .op = REQUEST_UNMAP,
			     .offset = offset,
			     .size = size };

	request(w, &r, -1);
}

static void socket_touch(struct window *w, uint64_t offset, uint64_t size,
			 bool write)
{
	struct request r = { .op = REQUEST_TOUCH,
			     .offset = offset,
			     .size = size,
			     .write = write };

	request(w, &r, -1);
}

static void socket_forget(struct window *w, uint64_t offset, uint64_t size)
{
	struct request r = { .op = REQUEST_FORGET,
			     .offset = offset,
			     .size = size };

	request(w, &r, -1);
}

static void socket_load(struct window *w)
{
	struct request r = { .op = REQUEST_LOAD };

	request(w, &r, -1);
}

const struct way way_socket = {
	.name = "socket",
	.open = socket_open,
	.close = socket_close,
	.map = socket_map,
	.unmap = socket_unmap,
	.touch_span = socket_touch,
	.forget = socket_forget,
	.load = socket_load,
};
