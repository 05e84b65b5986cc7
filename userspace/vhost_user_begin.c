// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_begin.c - a session begins: the frontend speaks, the policy holds, and
 * the backend accepts
 *
 * None of the three may ever happen. Meanwhile operators are served.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user_session.h"

/* How soon a backend that accepts nobody is asked again. */
#define RETRY_MS 50
/* So long memviewctl may take to say which policies are attached. */
#define POLICY_MS 20000

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
	    control_serve(&session->memory, session->id, session->control)) {
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
	const unsigned int most = session->options->timeout;
	int64_t end = now_ms() + most;
	int ready = 0, left = -1;
	char byte;

	while (!ready) {
		if (most)
			left = end - now_ms();
		if (most && left <= 0) {
			snprintf(
				why, VU_WHY_MAX,
				"the frontend has sent nothing for %u ms: dropped",
				most);
			return false;
		}
		ready = attend(session, POLLIN, -1, left, why);
	}
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
	if (log_is_news(why) || session->options->verbose)
		say(session->id, "%s: cannot connect to the backend: %s", path,
		    why);
	*why = '\0';
	return false;
}

/**
 * session_begin - wait for the frontend's first request, then for the backend
 * @session: Of which there is a frontend.
 * @why: If it fails, why; empty if that is said already, or nothing to say.
 */
bool session_begin(struct session *session, char why[VU_WHY_MAX])
{
	const struct options *options = session->options;
	struct link *link = session->link;

	if (!await_request(session, why) ||
	    (options->policy && !check_policy(session, why)) ||
	    !connect_backend(session, why))
		return false;
	link[VU_TO_BACKEND].from = link[VU_TO_FRONTEND].to = session->frontend;
	link[VU_TO_BACKEND].to = link[VU_TO_FRONTEND].from = session->backend;
	log_is_news(NULL);
	say(session->id, "begins");
	return true;
}
