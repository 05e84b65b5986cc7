// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_operator.c - the commands of operators: ask a memview-vhost-user that
 * runs, and print what its sessions answer, in their order
 */
#include <errno.h>
#include <poll.h>
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

/**
 * struct answers - what has come so far
 * @nr: How many of @answer.
 * @ends: The main process has answered, too.
 */
struct answers {
	unsigned int nr;
	struct control_answer **answer;
	bool ends;
};

static int fail(const char *path, const char *what, int error)
{
	fprintf(stderr, "memview-vhost-user: %s: %s: %s%s\n", path, what,
		strerror(error),
		error == ENOENT || error == ECONNREFUSED ?
			" (does memview-vhost-user run with --control?)" :
			"");
	return EXIT_FAILURE;
}

/* Sessions in their order, the main process behind them. */
static int compare(const void *a, const void *b)
{
	const struct control_answer *const *x = a, *const *y = b;

	/* 0 is the main process, and 0 - 1 the largest number. */
	if ((*x)->session != (*y)->session)
		return (*x)->session - 1 < (*y)->session - 1 ? -1 : 1;
	return 0;
}

static int print(struct answers *answers)
{
	int status = EXIT_SUCCESS;
	unsigned int i;

	qsort(answers->answer, answers->nr, sizeof(*answers->answer), compare);
	for (i = 0; i < answers->nr; i++) {
		const struct control_answer *answer = answers->answer[i];

		if (answer->failed)
			status = EXIT_FAILURE;
		fputs(answer->text, answer->failed ? stderr : stdout);
	}
	return status;
}

/* Return: bytes; 0 when there will be no more; negative: an errno. */
static ssize_t receive(int sock, struct answers *answers)
{
	const size_t head = offsetof(struct control_answer, text);
	static struct control_answer answer;
	void *grown;
	ssize_t got = recv(sock, &answer, sizeof(answer) - 1, 0);

	if (got <= 0)
		return got ? -errno : 0;
	if (got <= (ssize_t)head)
		return -EPROTO;
	answer.text[got - head] = '\0';
	grown = reallocarray(answers->answer, answers->nr + 1,
			     sizeof(*answers->answer));
	if (!grown)
		return -ENOMEM;
	answers->answer = grown;
	answers->answer[answers->nr] = malloc(got + 1);
	if (!answers->answer[answers->nr])
		return -ENOMEM;
	memcpy(answers->answer[answers->nr++], &answer, got + 1);
	answers->ends |= !answer.session;
	return got;
}

static int collect(const char *path, int sock, struct answers *answers)
{
	struct pollfd fd = { sock, POLLIN, 0 };
	ssize_t got;

	while (poll(&fd, 1, ANSWER_MS) == 1) {
		got = receive(sock, answers);
		if (got < 0)
			return fail(path, "receive", -got);
		if (!got && answers->ends)
			return EXIT_SUCCESS;
		if (!got)
			return fail(path, "it ends", EPIPE);
	}
	return fail(path, "a session does not answer", ETIMEDOUT);
}

static int ask(const char *path, const struct control_request *request)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct answers answers = {};
	int collected;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (sock < 0 ||
	    connect(sock, (struct sockaddr *)&address, sizeof(address)))
		return fail(path, "connect", errno);
	if (send(sock, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		return fail(path, "send", errno);
	collected = collect(path, sock, &answers);
	return print(&answers) ?: collected;
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
