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

#include "vhost_user_session.h"

/* A message is read and written: so many of them, then others have their turn. */
#define TURN (2 * 64)

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
void hung_up(struct session *session, enum vu_way way, char why[VU_WHY_MAX])
{
	session->graceful = way == VU_TO_BACKEND;
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

/* False: the session ends, in good order if the main process says so. */
static bool heed(struct session *session)
{
	enum control_heard heard =
		control_serve(&session->memory, session->id, session->control);

	session->graceful = heard == CONTROL_TOLD_TO_END;
	return heard == CONTROL_SERVED;
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
		if (work && !heed(session)) {
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
 * are still obeyed, and so is the main process: a second word from it ends this.
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
		    control_serve(&session->memory, session->id,
				  session->control))
			return;
		left = end - now_ms();
	}
}

/**
 * session_run - all of a session, in a process of its own
 * @options: Of the command line.
 * @id: Its number.
 * @frontend: The connection.
 * @control: Socket to the main process. When that ends, so does the session.
 * @spans: What operators have said of the frontend's memory before.
 *
 * Return: exit status.
 */
int session_run(const struct options *options, unsigned int id, int frontend,
		int control, const struct spans *spans)
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
		.memory.spans = *spans,
	};
	for (way = 0; way < VU_WAYS; way++)
		session.link[way].from = -1;
	if (!session_begin(&session, why)) {
		if (*why && (options->verbose || log_is_news(why)))
			say(id, "%s", why);
		return EXIT_FAILURE;
	}
	relay(&session, why);
	if (options->grace && session.graceful)
		give_grace(&session);
	nr = session.memory.nr;
	bytes = memory_take_back(&session.memory);
	say(id, "%s; %u regions, %" PRIu64 " KiB taken back", why, nr,
	    bytes / 1024);
	/* All else goes with the process. */
	return EXIT_SUCCESS;
}
