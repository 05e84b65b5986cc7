// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_socket.c - sockets in the file system: listen, and connect without
 * waiting
 *
 * One that listens and does not accept has a queue that is full after a while.
 * connect() then waits, for ever if need be, or is EAGAIN, as it is here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost_user.h"

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/**
 * connect_to - connect, without waiting
 * @path: Where somebody should listen.
 * @type: SOCK_STREAM, say.
 *
 * Return: the socket, which does not wait either; -EAGAIN if whoever listens has
 * not accepted those that came before; or another negative errno.
 */
int connect_to(const char *path, int type)
{
	const struct sockaddr_un address = address_of(path);
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (sock >= 0 &&
	    !connect(sock, (const struct sockaddr *)&address, sizeof(address)))
		return sock;
	error = -errno;
	if (sock >= 0)
		close(sock);
	return error;
}

/* A socket that nobody listens to any more is in the way. */
static void remove_stale(const char *path, int type)
{
	struct stat stat;
	int sock;

	if (lstat(path, &stat) || !S_ISSOCK(stat.st_mode))
		return;
	sock = connect_to(path, type);
	if (sock >= 0)
		close(sock);
	else if (sock == -ECONNREFUSED)
		unlink(path);
}

/**
 * listen_at - make a socket, and listen there
 * @path: Where; a socket that nobody listens to is replaced.
 * @type: SOCK_STREAM, say.
 *
 * Return: the socket; or a negative errno, and nothing is left of it.
 */
int listen_at(const char *path, int type)
{
	const struct sockaddr_un address = address_of(path);
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	remove_stale(path, type);
	if (sock < 0 ||
	    bind(sock, (const struct sockaddr *)&address, sizeof(address)))
		goto fail;
	if (!listen(sock, 16))
		return sock;
	error = errno;
	unlink(path);
	errno = error;
fail:
	error = -errno;
	if (sock >= 0)
		close(sock);
	return error;
}
