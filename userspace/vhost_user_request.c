// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_request.c - what operators ask of the main process
 *
 * It remembers what they say, has the sessions do it, and answers for what no
 * session can answer for.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user_proxy.h"

void close_asking(struct asking *asking, struct proxy *proxy)
{
	close(asking->sock);
	asking->sock = -1;
	/* There is room again. */
	if (proxy->reserve < 0)
		proxy->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	proxy->operators_door.closed_until = 0;
	proxy->frontends_door.closed_until = 0;
}

/* A place; if need be, of the operator that has said nothing for longest. */
static struct asking *asking_place(struct proxy *proxy)
{
	struct asking *oldest = proxy->asking, *asking;

	for (asking = proxy->asking; asking < &proxy->asking[ASKING_MAX];
	     asking++) {
		if (asking->sock < 0)
			return asking;
		if (asking->since < oldest->since)
			oldest = asking;
	}
	close_asking(oldest, proxy);
	return oldest;
}

/* Operators take memory away: the last file descriptor is for them. */
void accept_operators(struct proxy *proxy)
{
	int sock = door_accept(&proxy->operators_door);
	struct asking *asking;

	if (sock == -EMFILE && proxy->reserve >= 0) {
		close(proxy->reserve);
		proxy->reserve = -1;
		sock = door_accept(&proxy->operators_door);
	}
	if (sock < 0)
		return;
	asking = asking_place(proxy);
	asking->sock = sock;
	asking->since = now_ms();
}

static bool is_sane(const struct control_request *request)
{
	return request->op == CONTROL_LIST ||
	       (request->op == CONTROL_SET && request->mode <= SPAN_REVOKED &&
		(request->all || (request->start < request->end &&
				  !((request->start | request->end) & 4095))));
}

/*
 * Have a session answer. What cannot be told to take memory away is killed: then
 * the kernel takes it back.
 */
static void pass_on(struct child *child, int sock,
		    const struct control_request *request)
{
	bool deadly = request->op == CONTROL_SET &&
		      request->mode != SPAN_RESTORED;

	if (child->sock >= 0 &&
	    !memview_send(child->sock, sock, request, sizeof(*request)))
		return;
	if (deadly)
		kill(child->pid, SIGKILL);
	control_answer(sock, child->id, true, "session %u does not listen%s\n",
		       child->id, deadly ? ": it is killed" : "");
}

/* Return: how many sessions of the frontend, or of all, it was passed on to. */
static unsigned int pass_on_all(struct proxy *proxy,
				const struct frontend *frontend, int sock,
				const struct control_request *request)
{
	unsigned int i, nr = 0;

	for (i = 0; i < SESSIONS_MAX; i++) {
		struct child *child = &proxy->children[i];

		if (!child->pid || (frontend && child->frontend != frontend))
			continue;
		pass_on(child, sock, request);
		nr++;
	}
	return nr;
}

/* What holds for frontends that have no session now. */
static void tell(struct proxy *proxy, int sock,
		 const struct control_request *request)
{
	static char text[sizeof(((struct control_answer *)0)->text) - 1];
	/* The last byte stays zero. */
	FILE *out = fmemopen(text, sizeof(text) - 1, "w");
	unsigned int i;

	if (!out) {
		control_answer(sock, 0, true, "cannot list: %s\n",
			       strerror(errno));
		return;
	}
	frontends_prune(proxy);
	if (!pass_on_all(proxy, NULL, sock, request))
		fprintf(out, "There is no session.\n");
	for (i = 0; i < FRONTENDS_MAX; i++) {
		const struct frontend *frontend = &proxy->frontends[i];

		if (!frontend->used || frontend->sessions)
			continue;
		fprintf(out, "no session now of frontend %d", frontend->pid);
		if (frontend->session)
			fprintf(out, ", the last was %u", frontend->session);
		fprintf(out, "\n");
		print_spans(out, &frontend->spans);
	}
	/* Too much of it is cut off. */
	fclose(out);
	control_answer(sock, 0, false, "%s", text);
}

/* Return: there is, or was, something that it changes. */
static bool set_one(struct proxy *proxy, struct frontend *frontend, int sock,
		    const struct control_request *request)
{
	const struct span span = control_span(request);

	if (!frontend->used || (!frontend->sessions && !frontend->spans.nr))
		return false;
	if (!spans_put(&frontend->spans, &span))
		control_answer(
			sock, frontend->session, true,
			"session %u: too many spans; restore some, or name all memory\n",
			frontend->session);
	else if (!pass_on_all(proxy, frontend, sock, request))
		control_answer(sock, frontend->session, false,
			       "frontend %d has no session now; its next: %s\n",
			       frontend->pid, span_names[span.mode]);
	return true;
}

static void set(struct proxy *proxy, int sock,
		const struct control_request *request)
{
	struct frontend *one = NULL;
	char why[VU_WHY_MAX];
	bool any = false;
	unsigned int i;

	frontends_prune(proxy);
	if (request->session) {
		one = frontend_of_session(proxy, request->session);
		if (!one) {
			control_answer(sock, 0, true,
				       "there is no session %u\n",
				       request->session);
			return;
		}
	}
	for (i = 0; i < FRONTENDS_MAX; i++)
		if (!one || one == &proxy->frontends[i])
			any |= set_one(proxy, &proxy->frontends[i], sock,
				       request);
	if (state_save(proxy, why))
		control_answer(sock, 0, false, "%s",
			       any ? "" : "There is no session.\n");
	else
		control_answer(
			sock, 0, true,
			"done, but not kept for when memview-vhost-user starts again: %s\n",
			why);
}

/**
 * serve_operator - do what an operator asks
 * @proxy: The main process.
 * @sock: The connection, from which there is something to read.
 */
void serve_operator(struct proxy *proxy, int sock)
{
	struct control_request request;

	if (recv(sock, &request, sizeof(request), MSG_TRUNC) !=
		    sizeof(request) ||
	    !is_sane(&request))
		control_answer(sock, 0, true, "this is no request\n");
	else if (request.op == CONTROL_LIST)
		tell(proxy, sock, &request);
	else
		set(proxy, sock, &request);
}
