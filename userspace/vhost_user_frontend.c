// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_frontend.c - which frontend is which, over its connections
 *
 * A frontend is the process that has connected, since it is its memory that an
 * operator takes away. The kernel tells its ID, and /proc when it started, which
 * no later process with that ID can have in common.
 *
 * Frontends of which no process can be told (of another PID namespace, or if
 * /proc is not to be seen) count as one: what was revoked is not lent again.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "vhost_user_proxy.h"

/* Which one starttime is behind the process's name: see proc_pid_stat(5). */
#define START_FIELDS                                                         \
	") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d " \
	"%*d %*d %*d %" SCNu64

/* Return: 0, and @start is 0 if there is no such process; or a negative errno. */
static int start_of(pid_t pid, uint64_t *start)
{
	char path[32], line[1024] = "", *behind;
	FILE *file;
	size_t got;

	*start = 0;
	if (!pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT || errno == ESRCH || errno == EACCES ?
			       0 :
			       -errno;
	got = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[got] = '\0';
	/* The name may have anything in it. */
	behind = strrchr(line, ')');
	if (behind && sscanf(behind, START_FIELDS, start) != 1)
		*start = 0;
	return 0;
}

/* What cannot be told counts as a yes. */
static bool lives(const struct frontend *frontend)
{
	uint64_t start;

	if (!frontend->pid)
		return true;
	if (kill(frontend->pid, 0) && errno == ESRCH)
		return false;
	return !frontend->start || start_of(frontend->pid, &start) ||
	       start == frontend->start;
}

/**
 * frontends_prune - forget those that there is nothing to remember of
 * @proxy: The main process.
 *
 * That is: no session runs, and no spans, or the process has ended.
 */
void frontends_prune(struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < FRONTENDS_MAX; i++) {
		struct frontend *frontend = &proxy->frontends[i];

		if (!frontend->used || frontend->sessions)
			continue;
		if (frontend->spans.nr && lives(frontend))
			continue;
		if (frontend->spans.nr)
			say(0,
			    "frontend %d has ended: what was said of its memory is forgotten",
			    frontend->pid);
		frontend->used = false;
	}
}

/**
 * frontend_add - begin to remember a frontend
 * @proxy: The main process.
 * @pid: As in &struct frontend.
 * @start: As there.
 *
 * Return: NULL if there is no room.
 */
struct frontend *frontend_add(struct proxy *proxy, pid_t pid, uint64_t start)
{
	unsigned int i;

	for (i = 0; i < FRONTENDS_MAX; i++) {
		struct frontend *frontend = &proxy->frontends[i];

		if (frontend->used)
			continue;
		*frontend = (struct frontend){
			.used = true,
			.pid = pid,
			.start = start,
		};
		return frontend;
	}
	return NULL;
}

/**
 * frontend_of - which process has connected?
 * @proxy: The main process.
 * @sock: The connection.
 * @error: Set to a positive errno if it cannot be told now.
 *
 * Return: the frontend, a new one if need be, or NULL.
 */
struct frontend *frontend_of(struct proxy *proxy, int sock, int *error)
{
	struct ucred peer = {};
	socklen_t size = sizeof(peer);
	struct frontend *frontend;
	uint64_t start;
	unsigned int i;

	*error = getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) ?
			 errno :
			 -start_of(peer.pid, &start);
	if (*error)
		return NULL;
	for (i = 0; i < FRONTENDS_MAX; i++)
		if (proxy->frontends[i].used &&
		    proxy->frontends[i].pid == peer.pid &&
		    proxy->frontends[i].start == start)
			return &proxy->frontends[i];
	frontends_prune(proxy);
	frontend = frontend_add(proxy, peer.pid, start);
	*error = frontend ? 0 : ENOSPC;
	return frontend;
}

/**
 * frontend_of_session - whose session is, or was, that?
 * @proxy: The main process.
 * @id: The session's number.
 *
 * Return: NULL if none runs with that number, nor was the latest of a frontend.
 */
struct frontend *frontend_of_session(struct proxy *proxy, unsigned int id)
{
	unsigned int i;

	for (i = 0; i < SESSIONS_MAX; i++)
		if (proxy->children[i].pid && proxy->children[i].id == id)
			return proxy->children[i].frontend;
	for (i = 0; i < FRONTENDS_MAX; i++)
		if (proxy->frontends[i].used &&
		    proxy->frontends[i].session == id)
			return &proxy->frontends[i];
	return NULL;
}
