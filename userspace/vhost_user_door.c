// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_door.c - let connections in, as far as there is room
 *
 * A connection that cannot be accepted stays in the queue, and poll() goes on to
 * tell of it. So the socket is not polled for a while then.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost_user_proxy.h"

/* How soon it is tried again, and how soon the reason is reported again. */
#define SHUT_MS 250
#define QUIET_MS 60000

/**
 * door_shut - let nobody in for a while
 * @door: The door.
 * @what: What failed.
 * @error: The errno; 0 if @what says it all.
 */
void door_shut(struct door *door, const char *what, int error)
{
	int64_t now = now_ms();

	door->closed_until = now + SHUT_MS;
	if (door->said && now < door->said + QUIET_MS)
		return;
	door->said = now;
	say(0, "%s have to wait: %s%s%s%s", door->who, what, error ? ": " : "",
	    error ? strerror(error) : "",
	    error == EMFILE ? " (ulimit -Hn)" : "");
}

/**
 * door_accept - let one in
 * @door: The door; it is shut if there is no room.
 *
 * Return: the connection, which does not wait, or a negative errno.
 */
int door_accept(struct door *door)
{
	int sock =
		accept4(door->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock >= 0)
		return sock;
	sock = -errno;
	if (sock != -EAGAIN && sock != -EINTR && sock != -ECONNABORTED)
		door_shut(door, "cannot accept a connection", -sock);
	return sock;
}

/**
 * door_poll - what to poll
 * @door: The door.
 * @wake: When to look again at the latest; brought forward if it is shut.
 *
 * Return: the socket, or -1 while it is shut.
 */
int door_poll(const struct door *door, int64_t *wake)
{
	if (door->sock < 0 || door->closed_until <= now_ms())
		return door->sock;
	if (door->closed_until < *wake)
		*wake = door->closed_until;
	return -1;
}
