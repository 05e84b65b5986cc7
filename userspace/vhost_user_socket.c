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

/* What it is if it is no socket, or NULL. */
static const char *other_kind(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFSOCK:
		return NULL;
	case S_IFREG:
		return "a regular file";
	case S_IFDIR:
		return "a directory";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a named pipe";
	default:
		return "a device";
	}
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

/**
 * explain_connect - why connect_to() has failed, and what to do
 * @path: Where to.
 * @error: What it returned.
 * @why: The answer goes there.
 */
void explain_connect(const char *path, int error, char why[VU_WHY_MAX])
{
	struct stat stat_buf;
	const char *kind = stat(path, &stat_buf) ? NULL :
						   other_kind(stat_buf.st_mode);

	if (kind)
		snprintf(
			why, VU_WHY_MAX,
			"%s (%s is there, no socket: which path does the backend listen at?)",
			strerror(-error), kind);
	else if (error == -ENOENT || error == -ECONNREFUSED)
		snprintf(why, VU_WHY_MAX, "%s (is it running?)",
			 strerror(-error));
	else
		snprintf(why, VU_WHY_MAX, "%s", strerror(-error));
}

/*
 * A socket that nobody listens to any more is in the way. -EACCES: whether
 * anybody does cannot be told.
 */
static int remove_stale(const char *path, int type)
{
	struct stat stat;
	int sock;

	if (lstat(path, &stat) || !S_ISSOCK(stat.st_mode))
		return 0;
	sock = connect_to(path, type);
	if (sock >= 0)
		close(sock);
	else if (sock == -ECONNREFUSED)
		unlink(path);
	return sock < 0 ? sock : 0;
}

/* Why there can be no socket, and what to do. */
static void explain_listen(const char *path, int error, int stale,
			   char why[VU_WHY_MAX])
{
	struct stat stat;
	const char *kind = lstat(path, &stat) ? NULL : other_kind(stat.st_mode);

	if (error == -EADDRINUSE && kind)
		snprintf(
			why, VU_WHY_MAX,
			"%s is there, no socket: remove it, or give another path",
			kind);
	else
		snprintf(
			why, VU_WHY_MAX, "%s%s", strerror(-error),
			error == -ENOENT ?
				" (there is no such directory: make it, or give another path)" :
			error != -EADDRINUSE ?
				"" :
			stale == -EACCES ?
				" (a socket of another user is there: remove it if nobody listens, or give another path)" :
				" (another process does: end it, or give another path)");
}

/**
 * listen_at - make a socket, and listen there
 * @path: Where; a socket that nobody listens to is replaced.
 * @type: SOCK_STREAM, say.
 * @why: If that fails, why, and what to do.
 *
 * Return: the socket; or a negative errno, and nothing is left of it.
 */
int listen_at(const char *path, int type, char why[VU_WHY_MAX])
{
	const struct sockaddr_un address = address_of(path);
	int stale = remove_stale(path, type), error;
	int sock = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (sock < 0) {
		error = -errno;
	} else if (bind(sock, (const struct sockaddr *)&address,
			sizeof(address))) {
		error = -errno;
	} else if (listen(sock, 16)) {
		error = -errno;
		unlink(path);
	} else {
		return sock;
	}
	if (sock >= 0)
		close(sock);
	explain_listen(path, error, stale, why);
	return error;
}
