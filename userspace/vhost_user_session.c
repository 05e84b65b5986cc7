// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_session.c - one frontend and its backend
 *
 * Messages are relayed one by one in each direction. A direction whose receiver
 * does not read is not read from either, and keeps nobody else waiting. When
 * anything ends, all ends: memory first.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vhost_user.h"

/* A message is read and written: so many of them, then others have their turn. */
#define TURN (2 * 64)
/* How soon a backend that accepts nobody is asked again. */
#define RETRY_MS 50
/* So long memviewctl may take to say which policies are attached. */
#define POLICY_MS 20000

/**
 * struct session - one frontend and its backend
 * @link: By enum vu_way.
 * @control: Requests of operators come from here, each with a connection.
 * @frontend_left: That is why the session ends.
 */
struct session {
	const struct options *options;
	unsigned int id;
	int frontend;
	int backend;
	int frontend_req;
	int backend_req;
	int control;
	bool frontend_left;
	struct memory memory;
	struct link link[VU_WAYS];
};

/*
 * The backend gets a socket of ours in place of the frontend's, so that its
 * requests pass through here, and end when the session does.
 */
static bool splice_requests(struct session *session, struct vu_message *message,
			    char why[VU_WHY_MAX])
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		snprintf(why, VU_WHY_MAX, "socketpair: %s", strerror(errno));
		return false;
	}
	if (session->frontend_req >= 0) {
		close(session->frontend_req);
		close(session->backend_req);
		link_drop(&session->link[VU_BACKEND_REQUEST]);
		link_drop(&session->link[VU_BACKEND_REPLY]);
	}
	session->frontend_req = message->fds[0];
	session->backend_req = pair[0];
	message->fds[0] = pair[1];
	session->link[VU_BACKEND_REQUEST].from = session->backend_req;
	session->link[VU_BACKEND_REQUEST].to = session->frontend_req;
	session->link[VU_BACKEND_REPLY].from = session->frontend_req;
	session->link[VU_BACKEND_REPLY].to = session->backend_req;
	return true;
}

/* Whatever a message is for: guest memory itself goes to nobody. */
static bool check_fds(const struct session *session,
		      const struct vu_message *message, enum vu_way way,
		      char why[VU_WHY_MAX])
{
	unsigned int i;

	for (i = 0; i < message->nr_fds; i++) {
		if (!memory_owns(&session->memory, message->fds[i]))
			continue;
		snprintf(why, VU_WHY_MAX,
			 "%s with a file descriptor of guest memory",
			 vu_name(way, message->header.request));
		return false;
	}
	return true;
}

/* Do what a request of the frontend is for, and make it fit for the backend. */
static bool to_backend(struct session *session, struct vu_message *message,
		       char why[VU_WHY_MAX])
{
	struct memory *memory = &session->memory;

	switch (message->header.request) {
	case VU_SET_MEM_TABLE:
		return memory_set_table(memory, message, why);
	case VU_ADD_MEM_REG:
		return memory_add(memory, message, why);
	case VU_REM_MEM_REG:
		memory_remove(memory, message);
		return true;
	case VU_RESET_OWNER:
	case VU_RESET_DEVICE:
		memory_rest(memory);
		return true;
	case VU_SET_STATUS:
		if (!message->u64)
			memory_rest(memory);
		return true;
	case VU_SET_VRING_NUM:
	case VU_SET_VRING_ADDR:
	case VU_SET_VRING_BASE:
	case VU_VRING_KICK:
		return memory_resume(memory, why);
	case VU_SET_VRING_ENABLE:
		/* The upper word is whether it is. */
		return !(message->u64 >> 32) || memory_resume(memory, why);
	case VU_SET_VRING_KICK:
		return memory_resume(memory, why) &&
		       check_fds(session, message, VU_TO_BACKEND, why);
	case VU_SET_PROTOCOL_FEATURES:
		message->u64 = vu_protocol_features(message->u64);
		return true;
	case VU_SET_BACKEND_REQ_FD:
		return splice_requests(session, message, why);
	default:
		return check_fds(session, message, VU_TO_BACKEND, why);
	}
}

static bool treat(struct session *session, enum vu_way way,
		  char why[VU_WHY_MAX])
{
	struct vu_message *message = &session->link[way].message;

	if (session->options->verbose)
		say(session->id, "%s, %" PRIu32 " bytes, %u fds",
		    vu_name(way, message->header.request), message->header.size,
		    message->nr_fds);
	switch (way) {
	case VU_TO_BACKEND:
		return to_backend(session, message, why);
	case VU_TO_FRONTEND:
		memory_forget_old(&session->memory);
		if (message->header.request == VU_ADD_MEM_REG)
			memory_answered(&session->memory, message);
		if (message->header.request == VU_GET_PROTOCOL_FEATURES)
			message->u64 = vu_protocol_features(message->u64);
		return true;
	case VU_BACKEND_REPLY:
		return check_fds(session, message, way, why);
	default:
		return true;
	}
}

/* The sender of a main way has gone. */
static void hung_up(struct session *session, enum vu_way way,
		    char why[VU_WHY_MAX])
{
	session->frontend_left = way == VU_TO_BACKEND;
	snprintf(why, VU_WHY_MAX, "the %s closed the connection",
		 way == VU_TO_BACKEND ? "frontend" : "backend");
}

/*
 * Move what can be moved, but not for ever, lest operators and other directions
 * wait for one that is busy. What is left is in the socket or is a whole
 * message, so poll() knows of it. False: the session ends.
 */
static bool run_link(struct session *session, enum vu_way way,
		     char why[VU_WHY_MAX])
{
	struct link *link = &session->link[way];
	enum link_state state = LINK_READY;
	unsigned int steps;

	if (link->from < 0)
		return true;
	for (steps = 0; state == LINK_READY && steps < TURN; steps++) {
		if (link->full) {
			state = link_write(link, why);
		} else {
			state = link_read(link, way, why);
			if (state == LINK_READY && !treat(session, way, why))
				state = LINK_BROKEN;
		}
	}
	if (state == LINK_WAITS || state == LINK_READY)
		return true;
	if (state == LINK_CLOSED && way >= VU_BACKEND_REQUEST) {
		/* The second socket may go, and the session go on. */
		link_drop(link);
		shutdown(link->to, SHUT_WR);
		/* Who still sends shall hear that nobody listens. */
		shutdown(link->from, SHUT_RD);
		link->from = -1;
		return true;
	}
	if (state == LINK_CLOSED)
		hung_up(session, link->full ? !way : way, why);
	return false;
}

/* Wait until something can be moved. */
static int wait_for_work(struct session *session)
{
	struct pollfd fds[2 * VU_WAYS + 1];
	unsigned int nr = 0, way;

	fds[nr++] = (struct pollfd){ session->control, POLLIN, 0 };
	for (way = 0; way < VU_WAYS; way++) {
		struct link *link = &session->link[way];

		if (link->from < 0)
			continue;
		/* That a main sender has gone is heard in any case. */
		if (!link->full || way <= VU_TO_FRONTEND)
			fds[nr++] = (struct pollfd){ link->from,
						     link->full ? 0 : POLLIN,
						     0 };
		if (link->full)
			fds[nr++] = (struct pollfd){ link->to, POLLOUT, 0 };
	}
	if (poll(fds, nr, -1) < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[0].revents)
		return 1;
	return 0;
}

/* A sender that has gone while its receiver does not read. */
static bool is_gone(int sock)
{
	struct pollfd fd = { sock, 0, 0 };

	return poll(&fd, 1, 0) == 1 && fd.revents & (POLLHUP | POLLERR);
}

static void relay(struct session *session, char why[VU_WHY_MAX])
{
	unsigned int way;
	int work;

	for (;;) {
		for (way = 0; way < VU_WAYS; way++)
			if (!run_link(session, way, why))
				return;
		for (way = 0; way <= VU_TO_FRONTEND; way++) {
			if (!session->link[way].full ||
			    !is_gone(session->link[way].from))
				continue;
			hung_up(session, way, why);
			return;
		}
		work = wait_for_work(session);
		if (work < 0) {
			snprintf(why, VU_WHY_MAX, "poll: %s", strerror(-work));
			return;
		}
		if (work && !control_serve(&session->memory, session->id,
					   session->control)) {
			snprintf(why, VU_WHY_MAX, "told to end");
			return;
		}
	}
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * Let a backend that behaves end what it is at, before memory goes. Operators
 * are still obeyed, and so is the end of the main process.
 */
static void give_grace(struct session *session)
{
	struct pollfd fds[] = { { session->backend, POLLIN, 0 },
				{ session->control, POLLIN, 0 } };
	int left = session->options->grace;
	int64_t end = now_ms() + left;
	char waste[256];

	shutdown(session->backend, SHUT_WR);
	/* It may wait for an answer there, which nobody will give. */
	if (session->backend_req >= 0)
		shutdown(session->backend_req, SHUT_RDWR);
	while (left > 0 && poll(fds, 2, left) > 0) {
		if (fds[0].revents && recv(session->backend, waste,
					   sizeof(waste), MSG_DONTWAIT) <= 0)
			return;
		if (fds[1].revents &&
		    !control_serve(&session->memory, session->id,
				   session->control))
			return;
		left = end - now_ms();
	}
}

/*
 * Serve operators for so long, or until the frontend has what is waited for, or
 * has gone, or there is something to read from @other, which may be -1. What of
 * the frontend is the answer; negative: the session ends.
 */
static int attend(struct session *session, short events, int other, int timeout,
		  char why[VU_WHY_MAX])
{
	struct pollfd fds[] = { { session->frontend, events, 0 },
				{ session->control, POLLIN, 0 },
				{ other, POLLIN, 0 } };

	if (poll(fds, 3, timeout) < 0 && errno != EINTR) {
		snprintf(why, VU_WHY_MAX, "poll: %s", strerror(errno));
		return -1;
	}
	if (fds[1].revents &&
	    !control_serve(&session->memory, session->id, session->control)) {
		snprintf(why, VU_WHY_MAX, "told to end");
		return -1;
	}
	return fds[0].revents;
}

/*
 * The frontend speaks first. One that does not, such as somebody who tries
 * whether anyone listens, is no reason to bother the backend.
 */
static bool await_request(struct session *session, char why[VU_WHY_MAX])
{
	int ready = 0;
	char byte;

	while (!ready)
		ready = attend(session, POLLIN, -1, -1, why);
	if (ready < 0)
		return false;
	if (recv(session->frontend, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return true;
	hung_up(session, VU_TO_BACKEND, why);
	/* Nothing has begun, and nothing is to be reported. */
	if (!session->options->verbose)
		*why = '\0';
	return false;
}

/* Is the policy of the command line attached? False: the session ends. */
static bool check_policy(struct session *session, char why[VU_WHY_MAX])
{
	const char *name = session->options->policy;
	int64_t end = now_ms() + POLICY_MS;
	static struct policy_query query;
	int ready, error = policy_ask(&query);

	if (error) {
		snprintf(why, VU_WHY_MAX, "cannot run memviewctl: %s",
			 strerror(-error));
		return false;
	}
	while (!policy_answered(&query)) {
		ready = end - now_ms();
		if (ready <= 0) {
			snprintf(
				why, VU_WHY_MAX,
				"cannot tell whether the policy '%.40s' is attached: 'memviewctl policy list' takes more than %d s",
				name, POLICY_MS / 1000);
			return false;
		}
		ready = attend(session, 0, query.output, ready, why);
		if (ready > 0)
			hung_up(session, VU_TO_BACKEND, why);
		if (ready)
			return false;
	}
	return policy_holds(&query, name, why);
}

static bool connect_backend(struct session *session, char why[VU_WHY_MAX])
{
	const char *path = session->options->backend;
	bool said = false;
	int ready;

	*why = '\0';
	while ((session->backend = connect_to(path, SOCK_STREAM)) == -EAGAIN) {
		if (!said)
			say(session->id,
			    "%s: the backend accepts no connection: waiting until it does",
			    path);
		said = true;
		ready = attend(session, 0, -1, RETRY_MS, why);
		if (ready > 0)
			hung_up(session, VU_TO_BACKEND, why);
		if (ready)
			return false;
	}
	if (session->backend >= 0)
		return true;
	explain_connect(path, session->backend, why);
	say(session->id, "%s: cannot connect to the backend: %s", path, why);
	*why = '\0';
	return false;
}

/* False: there is none. Why is said already if @why is empty. */
static bool begin(struct session *session, char why[VU_WHY_MAX])
{
	const struct options *options = session->options;
	struct link *link = session->link;

	if (!await_request(session, why) ||
	    (options->policy && !check_policy(session, why)) ||
	    !connect_backend(session, why))
		return false;
	link[VU_TO_BACKEND].from = link[VU_TO_FRONTEND].to = session->frontend;
	link[VU_TO_BACKEND].to = link[VU_TO_FRONTEND].from = session->backend;
	say(session->id, "begins");
	return true;
}

/**
 * session_run - all of a session, in a process of its own
 * @options: Of the command line.
 * @id: Its number.
 * @frontend: The connection.
 * @control: Socket to the main process. When that ends, so does the session.
 *
 * Return: exit status.
 */
int session_run(const struct options *options, unsigned int id, int frontend,
		int control)
{
	static struct session session;
	char why[VU_WHY_MAX] = "";
	unsigned int nr, way;
	uint64_t bytes;

	session = (struct session){
		.options = options,
		.id = id,
		.frontend = frontend,
		.frontend_req = -1,
		.backend_req = -1,
		.control = control,
	};
	for (way = 0; way < VU_WAYS; way++)
		session.link[way].from = -1;
	if (!begin(&session, why)) {
		if (*why)
			say(id, "%s", why);
		return EXIT_FAILURE;
	}
	relay(&session, why);
	if (options->grace && session.frontend_left)
		give_grace(&session);
	nr = session.memory.nr;
	bytes = memory_take_back(&session.memory);
	say(id, "%s; %u regions, %" PRIu64 " KiB taken back", why, nr,
	    bytes / 1024);
	/* All else goes with the process. */
	return EXIT_SUCCESS;
}
