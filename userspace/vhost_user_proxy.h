/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_user_proxy.h - what the parts of the main process share
 *
 * The main process lends nothing. It starts sessions, passes on what operators
 * ask, and remembers what they have said, by frontend: a session ends whenever
 * its device hangs up, and the next one of the same frontend must not undo that.
 */
#ifndef MEMVIEW_VHOST_USER_PROXY_H
#define MEMVIEW_VHOST_USER_PROXY_H

#include <signal.h>

#include "vhost_user.h"

#define SESSIONS_MAX 256
/* Those that have no session, too, but have something to remember. */
#define FRONTENDS_MAX 512
/* Operators that have connected and not asked yet. */
#define ASKING_MAX 16

/**
 * struct frontend - a process that has connected
 * @pid: Its ID when it connected, as the kernel tells; 0 if it is none in the
 *	proxy's PID namespace.
 * @start: When that process started, in ticks since the machine did; 0 if that
 *	cannot be told. So a later process with the same ID is another frontend.
 * @session: The number of its latest session; 0 if it had none in this run.
 * @sessions: How many run.
 * @spans: What operators have said of its memory.
 */
struct frontend {
	bool used;
	pid_t pid;
	uint64_t start;
	unsigned int session;
	unsigned int sessions;
	struct spans spans;
};

/**
 * struct child - a session
 * @pid: 0 if the place is free.
 * @sock: On which requests of operators are passed on; -1 if it hears no more.
 */
struct child {
	pid_t pid;
	unsigned int id;
	int sock;
	struct frontend *frontend;
};

/**
 * struct asking - an operator that has connected and not asked yet
 * @sock: -1 if the place is free.
 * @since: When that was.
 */
struct asking {
	int sock;
	int64_t since;
};

/**
 * struct door - a socket that listens
 * @sock: -1 if there is none.
 * @who: The kind of peer it is for.
 * @closed_until: Nobody is let in before that, for lack of something.
 * @said: When that was reported; 0: never.
 */
struct door {
	int sock;
	const char *who;
	int64_t closed_until;
	int64_t said;
};

/**
 * struct proxy - the main process
 * @signal: signalfd of @signals.
 * @reserve: A file descriptor to do without when an operator connects and there
 *	is no other; -1 if that is so.
 * @last: The number of the latest session.
 * @end: When sessions that have not ended are killed; 0 until the proxy ends.
 */
struct proxy {
	struct options options;
	sigset_t signals;
	int signal;
	int reserve;
	unsigned int last;
	int64_t end;
	struct door frontends_door;
	struct door operators_door;
	struct child children[SESSIONS_MAX];
	struct asking asking[ASKING_MAX];
	struct frontend frontends[FRONTENDS_MAX];
};

/* vhost_user_door.c */
int door_accept(struct door *door);
void door_shut(struct door *door, const char *what, int error);
int door_poll(const struct door *door, int64_t *wake);

/* vhost_user_frontend.c */
struct frontend *frontend_of(struct proxy *proxy, int sock, int *error);
struct frontend *frontend_add(struct proxy *proxy, pid_t pid, uint64_t start);
struct frontend *frontend_of_session(struct proxy *proxy, unsigned int id);
void frontends_prune(struct proxy *proxy);

/* vhost_user_state.c */
bool state_load(struct proxy *proxy, char why[VU_WHY_MAX]);
bool state_save(struct proxy *proxy, char why[VU_WHY_MAX]);

/* vhost_user_request.c */
void accept_operators(struct proxy *proxy);
void close_asking(struct asking *asking, struct proxy *proxy);
void serve_operator(struct proxy *proxy, int sock);

#endif /* MEMVIEW_VHOST_USER_PROXY_H */
