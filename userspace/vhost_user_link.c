// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_link.c - one message at a time from one socket to another, with
 * its file descriptors, never waiting
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user.h"

/* As many as the kernel passes with one message: none gets lost unseen. */
#define SCM_MAX_FD 253

union rights {
	struct cmsghdr header;
	char space[CMSG_SPACE(SCM_MAX_FD * sizeof(int))];
};

void close_fds(struct vu_message *message)
{
	while (message->nr_fds)
		close(message->fds[--message->nr_fds]);
}

/* Forget the message, whatever has come of it. */
void link_drop(struct link *link)
{
	close_fds(&link->message);
	link->done = 0;
	link->full = false;
}

/* False: not all could be taken. Those that are not are closed. */
static bool take_fds(struct vu_message *message, struct msghdr *msg,
		     char why[VU_WHY_MAX])
{
	struct cmsghdr *header;
	bool fit = true;
	size_t i;
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
			if (message->nr_fds < VU_FDS_MAX) {
				message->fds[message->nr_fds++] = fd;
			} else {
				close(fd);
				fit = false;
			}
		}
	}
	if (!fit)
		snprintf(why, VU_WHY_MAX,
			 "a message with more than %d file descriptors",
			 VU_FDS_MAX);
	else if (msg->msg_flags & MSG_CTRUNC)
		/* There was room for all that the kernel passes. */
		snprintf(
			why, VU_WHY_MAX,
			"the kernel withheld file descriptors of a message: too many open files? (ulimit -Hn)");
	return fit && !(msg->msg_flags & MSG_CTRUNC);
}

/* What is still to be read: the header first, which tells how much follows. */
static struct iovec wanted(struct link *link)
{
	struct vu_message *message = &link->message;
	const size_t head = sizeof(message->header);

	if (link->done < head)
		return (struct iovec){ (char *)&message->header + link->done,
				       head - link->done };
	return (struct iovec){ message->payload + link->done - head,
			       head + message->header.size - link->done };
}

static enum link_state read_some(struct link *link, char why[VU_WHY_MAX])
{
	struct iovec iov = wanted(link);
	union rights rights;
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights),
	};
	ssize_t got =
		recvmsg(link->from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return LINK_WAITS;
	if (got < 0 && errno != ECONNRESET) {
		snprintf(why, VU_WHY_MAX, "receive: %s", strerror(errno));
		return LINK_BROKEN;
	}
	if (got <= 0) {
		if (!link->done)
			return LINK_CLOSED;
		snprintf(why, VU_WHY_MAX, "a message ends after %zu bytes",
			 link->done);
		return LINK_BROKEN;
	}
	link->done += got;
	return take_fds(&link->message, &msg, why) ? LINK_READY : LINK_BROKEN;
}

/**
 * link_read - read on
 * @link: Not full.
 * @way: Which one it is.
 * @why: If it is broken, what is wrong.
 *
 * Return: LINK_READY if the message is whole, and right.
 */
enum link_state link_read(struct link *link, enum vu_way way,
			  char why[VU_WHY_MAX])
{
	enum link_state state;

	do {
		state = read_some(link, why);
		if (state != LINK_READY)
			return state;
		if (link->done == sizeof(link->message.header) &&
		    !vu_check_header(way, &link->message.header, why))
			return LINK_BROKEN;
	} while (wanted(link).iov_len);
	if (!vu_check_message(way, &link->message, why))
		return LINK_BROKEN;
	link->done = 0;
	link->full = true;
	return LINK_READY;
}

/* The file descriptors go with the first byte, and are ours no more. */
static void put_fds(struct msghdr *msg, union rights *rights,
		    const struct vu_message *message)
{
	size_t size = message->nr_fds * sizeof(int);

	if (!size)
		return;
	msg->msg_control = rights;
	msg->msg_controllen = CMSG_SPACE(size);
	rights->header.cmsg_level = SOL_SOCKET;
	rights->header.cmsg_type = SCM_RIGHTS;
	rights->header.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&rights->header), message->fds, size);
}

/**
 * link_write - write on
 * @link: Full.
 * @why: If it is broken, what is wrong.
 *
 * Return: LINK_READY if all is written, and the next message may be read.
 */
enum link_state link_write(struct link *link, char why[VU_WHY_MAX])
{
	struct vu_message *message = &link->message;
	const size_t head = sizeof(message->header);
	union rights rights = {};
	struct msghdr msg = {};
	struct iovec iov[2];
	ssize_t sent;

	do {
		size_t of_head = link->done < head ? head - link->done : 0;
		size_t of_payload = link->done + of_head - head;

		iov[0] = (struct iovec){
			(char *)&message->header + head - of_head, of_head
		};
		iov[1] = (struct iovec){ message->payload + of_payload,
					 message->header.size - of_payload };
		msg = (struct msghdr){ .msg_iov = iov, .msg_iovlen = 2 };
		put_fds(&msg, &rights, message);
		sent = sendmsg(link->to, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && (errno == EAGAIN || errno == EINTR))
			return LINK_WAITS;
		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return LINK_CLOSED;
		if (sent < 0) {
			snprintf(why, VU_WHY_MAX, "send: %s", strerror(errno));
			return LINK_BROKEN;
		}
		close_fds(message);
		link->done += sent;
	} while (link->done < head + message->header.size);
	link_drop(link);
	return LINK_READY;
}
