// SPDX-License-Identifier: GPL-2.0
/*
 * demo_link.c - the socket between controller and client.
 *
 * A pair of SOCK_SEQPACKET sockets: one request of the controller, one answer
 * of the client (after any number of progress messages). The view fd travels
 * with the request OP_ATTACH, as SCM_RIGHTS.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "demo.h"

union rights {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

/* Sends fd along unless it is negative. Returns 0 or a negative errno. */
int link_send(int sock, const void *message, size_t size, int fd)
{
	struct iovec iov = { .iov_base = (void *)message, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union rights rights = {};

	if (fd >= 0) {
		msg.msg_control = &rights;
		msg.msg_controllen = sizeof(rights);
		rights.header.cmsg_level = SOL_SOCKET;
		rights.header.cmsg_type = SCM_RIGHTS;
		rights.header.cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(&rights.header), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -errno;
}

/*
 * Stores the file descriptor that came along in *fd, or -1. Returns 0,
 * -EPIPE if the other side is gone, or another negative errno.
 */
int link_receive(int sock, void *message, size_t size, int *fd)
{
	struct iovec iov = { .iov_base = message, .iov_len = size };
	union rights rights = {};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights),
	};
	ssize_t got;

	do
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (got != (ssize_t)size)
		return got ? -EPROTO : -EPIPE;
	if (!fd)
		return 0;
	*fd = -1;
	if (CMSG_FIRSTHDR(&msg) && rights.header.cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(&rights.header), sizeof(*fd));
	return 0;
}
