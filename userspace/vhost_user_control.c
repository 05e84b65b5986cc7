// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_control.c - a session obeys operators
 *
 * A request is one struct on a SOCK_SEQPACKET socket. The main process passes
 * the connection on to the sessions that are meant, and each of them answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost_user.h"

static void send_answer(int sock, struct control_answer *answer)
{
	size_t size = offsetof(struct control_answer, text) +
		      strlen(answer->text) + 1;

	/* Who asks and does not listen, does not want to know. */
	send(sock, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void control_answer(int sock, unsigned int session, bool failed,
		    const char *format, ...)
{
	static struct control_answer answer;
	va_list args;

	answer.failed = failed;
	answer.session = session;
	va_start(args, format);
	vsnprintf(answer.text, sizeof(answer.text), format, args);
	va_end(args);
	send_answer(sock, &answer);
}

void print_spans(FILE *out, const struct spans *spans)
{
	unsigned int i;

	for (i = 0; i < spans->nr; i++) {
		const struct span *span = &spans->span[i];

		fprintf(out, "  %s %#" PRIx64 " size %#" PRIx64 "\n",
			span_names[span->mode], span->start,
			span->end - span->start);
	}
}

static void tell(const struct memory *memory, unsigned int id, int sock)
{
	static struct control_answer answer;
	/* The last byte stays zero. */
	FILE *out = fmemopen(answer.text, sizeof(answer.text) - 1, "w");
	unsigned int i;

	if (!out) {
		control_answer(sock, id, true, "session %u: cannot list: %s\n",
			       id, strerror(errno));
		return;
	}
	answer.failed = false;
	answer.session = id;
	fprintf(out, "session %u, pid %d: %u regions%s\n", id, getpid(),
		memory->nr,
		memory->resting ? ", the device is reset: nothing mapped" : "");
	for (i = 0; i < memory->nr; i++) {
		const struct region *region = &memory->regions[i];

		fprintf(out,
			"  guest %#" PRIx64 " size %#" PRIx64 " view %" PRIu64
			"%s%s\n",
			region->span.guest, region->span.size,
			view_id(region->view),
			region->error ? ", shows less than it may: " : "",
			region->error ? strerror(-region->error) : "");
	}
	print_spans(out, &memory->spans);
	fclose(out);
	send_answer(sock, &answer);
}

/* What a request says of which memory. */
struct span control_span(const struct control_request *request)
{
	if (request->all)
		return (struct span){ 0, UINT64_MAX, request->mode };
	return (struct span){ request->start, request->end, request->mode };
}

static void set(struct memory *memory, unsigned int id, int sock,
		const struct control_request *request)
{
	const struct span span = control_span(request);
	int error = memory_restrict(memory, &span);
	const char *mode = span_names[request->mode];

	say(id, "an operator: %s %#" PRIx64 " to %#" PRIx64 "%s%s", mode,
	    span.start, span.end, error ? ": " : "",
	    error ? strerror(-error) : "");
	if (!error)
		control_answer(sock, id, false, "session %u: %s\n", id, mode);
	else if (error == -E2BIG)
		control_answer(
			sock, id, true,
			"session %u: too many spans; restore some, or name all memory\n",
			id);
	else if (span.mode == SPAN_RESTORED)
		control_answer(sock, id, true,
			       "session %u: not all is restored: %s%s\n", id,
			       strerror(-error), map_advice(error));
	else
		control_answer(
			sock, id, true,
			"session %u: %s, and more is taken away: regions that cannot be changed in part are hidden: %s%s\n",
			id, mode, strerror(-error), map_advice(error));
}

/*
 * The operator's connection comes along, and may be -1: a session that may open
 * no more files cannot answer, but it obeys. Return: 0 or a negative errno.
 */
static int receive(int control, struct control_request *request, int *sock)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(*sock))];
	} rights;
	struct iovec iov = { request, sizeof(*request) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &rights,
			      .msg_controllen = sizeof(rights) };
	ssize_t got = recvmsg(control, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	*sock = -1;
	if (header && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(*sock)))
		memcpy(sock, CMSG_DATA(header), sizeof(*sock));
	if (got < 0)
		return -errno;
	return got == sizeof(*request) ? 0 : -EPIPE;
}

/**
 * control_serve - answer a request that the main process has passed on
 * @memory: The session's.
 * @id: Its number.
 * @control: Socket to the main process.
 */
enum control_heard control_serve(struct memory *memory, unsigned int id,
				 int control)
{
	struct control_request request;
	int sock, error = receive(control, &request, &sock);

	if (error == -EAGAIN || error == -EINTR)
		return CONTROL_SERVED;
	if (error)
		return CONTROL_GONE;
	if (request.op == CONTROL_END)
		return CONTROL_TOLD_TO_END;
	if (sock < 0)
		say(id,
		    "an operator gets no answer: too many open files? (ulimit -Hn)");
	if (request.op == CONTROL_SET)
		set(memory, id, sock, &request);
	else if (sock >= 0)
		tell(memory, id, sock);
	if (sock >= 0)
		close(sock);
	return CONTROL_SERVED;
}
