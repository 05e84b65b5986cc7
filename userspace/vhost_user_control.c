// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_control.c - what an operator may ask of running sessions
 *
 * A request is one struct on a SOCK_SEQPACKET socket. The main process passes
 * the connection on to the sessions that are meant, and each of them answers.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "number.h"
#include "vhost_user.h"

/* Sessions answer at once. */
#define ANSWER_MS 10000
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static void send_answer(int sock, struct control_answer *answer)
{
	size_t size = offsetof(struct control_answer, text) +
		      strlen(answer->text) + 1;

	/* Who asks and does not listen, does not want to know. */
	send(sock, answer, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void control_answer(int sock, bool failed, const char *format, ...)
{
	static struct control_answer answer;
	va_list args;

	answer.failed = failed;
	va_start(args, format);
	vsnprintf(answer.text, sizeof(answer.text), format, args);
	va_end(args);
	send_answer(sock, &answer);
}

static void list(const struct memory *memory, unsigned int id, int sock)
{
	static struct control_answer answer;
	/* The last byte stays zero. */
	FILE *out = fmemopen(answer.text, sizeof(answer.text) - 1, "w");
	unsigned int i;

	if (!out)
		return;
	answer.failed = false;
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
	for (i = 0; i < memory->spans.nr; i++) {
		const struct span *span = &memory->spans.span[i];

		fprintf(out, "  %s %#" PRIx64 " size %#" PRIx64 "\n",
			span_names[span->mode], span->start,
			span->end - span->start);
	}
	fclose(out);
	send_answer(sock, &answer);
}

static void set(struct memory *memory, unsigned int id, int sock,
		const struct control_request *request)
{
	struct span span = { request->start, request->end, request->mode };
	const char *mode = span_names[request->mode];
	int error;

	if (request->all) {
		span.start = 0;
		span.end = UINT64_MAX;
	}
	error = memory_restrict(memory, &span);
	say(id, "an operator: %s %#" PRIx64 " to %#" PRIx64 "%s%s", mode,
	    span.start, span.end, error ? ": " : "",
	    error ? strerror(-error) : "");
	if (!error)
		control_answer(sock, false, "session %u: %s\n", id, mode);
	else if (error == -E2BIG)
		control_answer(sock, true, "session %u: too many spans\n", id);
	else if (span.mode == SPAN_RESTORED)
		control_answer(sock, true,
			       "session %u: not all is restored: %s%s\n", id,
			       strerror(-error), map_advice(error));
	else
		control_answer(
			sock, true,
			"session %u: %s, and more is taken away: regions that cannot be changed in part are hidden: %s%s\n",
			id, mode, strerror(-error), map_advice(error));
}

/**
 * control_serve - answer a request that the main process has passed on
 * @memory: The session's.
 * @id: Its number.
 * @control: Socket to the main process.
 *
 * Return: false if there is no main process any more.
 */
bool control_serve(struct memory *memory, unsigned int id, int control)
{
	struct control_request request;
	int sock;

	if (memview_receive(control, &sock, &request, sizeof(request)))
		return false;
	if (request.op == CONTROL_LIST)
		list(memory, id, sock);
	else
		set(memory, id, sock, &request);
	close(sock);
	return true;
}

static int fail(const char *path, const char *what, int error)
{
	fprintf(stderr, "memview-vhost-user: %s: %s: %s%s\n", path, what,
		strerror(error),
		error == ENOENT || error == ECONNREFUSED ?
			" (does memview-vhost-user run with --control?)" :
			"");
	return EXIT_FAILURE;
}

static int ask(const char *path, const struct control_request *request)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct pollfd fd = { .events = POLLIN };
	static struct control_answer answer;
	int status = EXIT_SUCCESS, answers = 0;
	ssize_t got;

	fd.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd.fd < 0 ||
	    connect(fd.fd, (struct sockaddr *)&address, sizeof(address)))
		return fail(path, "connect", errno);
	if (send(fd.fd, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return fail(path, "send", errno);
	while (poll(&fd, 1, ANSWER_MS) == 1) {
		got = recv(fd.fd, &answer, sizeof(answer) - 1, 0);
		if (got < 0)
			return fail(path, "receive", errno);
		if (!got && !answers)
			printf("There is no session.\n");
		if (!got)
			return status;
		if (got <= (ssize_t)offsetof(struct control_answer, text))
			return fail(path, "receive", EPROTO);
		answer.text[got - offsetof(struct control_answer, text)] = '\0';
		answers++;
		if (answer.failed)
			status = EXIT_FAILURE;
		fputs(answer.text, answer.failed ? stderr : stdout);
	}
	return fail(path, "no answer", ETIMEDOUT);
}

static int usage(const char *what)
{
	fprintf(stderr,
		"memview-vhost-user: %s; it is\n"
		"  memview-vhost-user --control PATH list\n"
		"  memview-vhost-user --control PATH revoke|read-only|restore SESSION|all [ADDRESS SIZE]\n",
		what);
	return 2;
}

/**
 * control_main - be the operator
 * @path: Of the control socket.
 * @argc: How many words there are.
 * @argv: The command and its arguments.
 *
 * Return: exit status.
 */
int control_main(const char *path, int argc, char **argv)
{
	static const char *const verbs[] = { "restore", "read-only", "revoke" };
	struct control_request request = { .op = CONTROL_LIST };
	uint64_t session = 0, size;

	if (argc == 1 && !strcmp(argv[0], "list"))
		return ask(path, &request);
	request.op = CONTROL_SET;
	while (strcmp(argv[0], verbs[request.mode]))
		if (++request.mode == ARRAY_SIZE(verbs))
			return usage("no such command");
	if (argc != 2 && argc != 4)
		return usage("a SESSION, and maybe ADDRESS and SIZE, please");
	if (strcmp(argv[1], "all") &&
	    (parse_integer(argv[1], UINT32_MAX, &session) || !session))
		return usage("a SESSION is a number that list shows, or all");
	request.session = session;
	request.all = argc == 2;
	if (argc == 4) {
		if (parse_number(argv[2], &request.start) ||
		    parse_number(argv[3], &size) || !size ||
		    (request.start | size) & 4095 ||
		    request.start + size < request.start)
			return usage(
				"ADDRESS and SIZE are multiples of 4096 such as 0x100000 or 64M");
		request.end = request.start + size;
	}
	return ask(path, &request);
}
