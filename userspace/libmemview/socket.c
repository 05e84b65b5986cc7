// SPDX-License-Identifier: MIT
/*
 * socket.c - views travel over Unix sockets, as SCM_RIGHTS
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libmemview.h"

/* More than one: that there are more is seen, and they are closed. */
#define FDS_MAX 16

union rights {
	struct cmsghdr header;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

int memview_send(int sock, int viewfd, const void *message, size_t size)
{
	struct iovec iov = { .iov_base = (void *)message, .iov_len = size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	union rights rights = {};
	ssize_t sent;

	if (viewfd >= 0) {
		msg.msg_control = &rights;
		msg.msg_controllen = CMSG_SPACE(sizeof(viewfd));
		rights.header.cmsg_level = SOL_SOCKET;
		rights.header.cmsg_type = SCM_RIGHTS;
		rights.header.cmsg_len = CMSG_LEN(sizeof(viewfd));
		memcpy(CMSG_DATA(&rights.header), &viewfd, sizeof(viewfd));
	}
	do
		sent = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	return (size_t)sent == size ? 0 : -EPROTO;
}

/* The fds that came along; those that @fds has no room for are closed. */
static unsigned int take_fds(struct msghdr *msg, int *fds, unsigned int room)
{
	unsigned int count = 0, i;
	struct cmsghdr *header;
	int fd;

	for (header = CMSG_FIRSTHDR(msg); header;
	     header = CMSG_NXTHDR(msg, header)) {
		if (header->cmsg_level != SOL_SOCKET ||
		    header->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; CMSG_LEN((i + 1) * sizeof(fd)) <= header->cmsg_len;
		     i++) {
			memcpy(&fd, CMSG_DATA(header) + i * sizeof(fd),
			       sizeof(fd));
			if (count < room)
				fds[count] = fd;
			else
				close(fd);
			count++;
		}
	}
	return count;
}

int memview_receive(int sock, int *viewfd, void *message, size_t size)
{
	struct iovec iov = { .iov_base = message, .iov_len = size };
	union rights rights = {};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights),
	};
	unsigned int count;
	ssize_t got;
	int fd = -1;

	do
		got = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	count = take_fds(&msg, &fd, 1);
	if ((size_t)got == size && count <= 1 &&
	    !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) && (got || count)) {
		if (viewfd)
			*viewfd = fd;
		else if (fd >= 0)
			close(fd);
		return 0;
	}
	if (fd >= 0)
		close(fd);
	return got ? -EPROTO : -EPIPE;
}
