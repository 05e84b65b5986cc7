// SPDX-License-Identifier: GPL-2.0
/*
 * demo_peer.c - the controller's side of the client: start it, ask it, kill
 * it, and say what it saw.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

#define ANSWER_LIMIT_MS 120000

/*
 * Starts a client: this program again, with nothing but a socket. Returns 0 or
 * a negative errno.
 */
int client_start(struct client *client)
{
	int ends[2];
	char number[12];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return -errno;
	snprintf(number, sizeof(number), "%d", ends[1]);
	*client = (struct client){ .sock = ends[0] };
	client->pid = fork();
	if (!client->pid) {
		fcntl(ends[1], F_SETFD, 0);
		execl("/proc/self/exe", "memview-demo", "--client", number,
		      NULL);
		_exit(127);
	}
	close(ends[1]);
	return client->pid < 0 ? -errno : 0;
}

/* Kills the client, or finds that it died, and says how in client->lost. */
void client_kill(struct client *client)
{
	int status;

	if (client->pid <= 0)
		return;
	kill(client->pid, SIGKILL);
	if (waitpid(client->pid, &status, 0) != client->pid)
		snprintf(client->lost, sizeof(client->lost), "gone");
	else if (WIFSIGNALED(status))
		snprintf(client->lost, sizeof(client->lost), "killed by %s",
			 signal_text(WTERMSIG(status)));
	else
		snprintf(client->lost, sizeof(client->lost),
			 "exited with status %d", WEXITSTATUS(status));
	close(client->sock);
	client->pid = 0;
}

/* No more from the client: error is what its socket said. */
static bool lose(struct client *client, int error)
{
	siginfo_t info;

	/* A process that dies closes its socket a little before it is dead. */
	if (error == -EPIPE)
		waitid(P_PID, client->pid, &info, WEXITED | WNOWAIT);
	client_kill(client);
	if (error != -EPIPE)
		snprintf(client->lost, sizeof(client->lost), "client: %s",
			 strerrorname_np(-error));
	return false;
}

/* Sends the client a request. False: the client is lost. */
bool tell(struct demo *demo, const struct demo_request *request, int fd)
{
	struct client *client = &demo->client;
	int error;

	if (client->lost[0])
		return false;
	error = memview_send(client->sock, fd, request, sizeof(*request));
	return error ? lose(client, error) : true;
}

/* Waits for its answer, showing progress. False: the client is lost. */
bool hear(struct demo *demo, struct demo_answer *answer)
{
	struct client *client = &demo->client;
	struct pollfd wait = { .fd = client->sock, .events = POLLIN };
	int error;

	do {
		if (poll(&wait, 1, ANSWER_LIMIT_MS) <= 0)
			return lose(client, -ETIMEDOUT);
		error = memview_receive(client->sock, NULL, answer,
					sizeof(*answer));
		if (error)
			return lose(client, error);
		if (answer->progress)
			output_progress(demo->output, answer->value,
					demo->file_size);
	} while (answer->progress);
	return true;
}

/* Asks the client; if it is lost, that is what is seen. */
bool asked(struct demo *demo, struct outcome *outcome,
	   const struct demo_request *request, int fd,
	   struct demo_answer *answer)
{
	if (tell(demo, request, fd) && hear(demo, answer))
		return true;
	see(outcome, "%s", demo->client.lost);
	return false;
}

/*
 * The client touches the word at an offset of the view. False: it did not get
 * through, and the outcome says why.
 */
bool access_value(struct demo *demo, struct outcome *outcome, enum demo_op op,
		  uint64_t at, uint64_t *value)
{
	struct demo_request request = { .op = op,
					.offset = at,
					.value = *value };
	struct demo_answer answer;

	if (!asked(demo, outcome, &request, -1, &answer))
		return false;
	*value = answer.value;
	if (answer.signal)
		see(outcome, "%s", signal_text(answer.signal));
	return !answer.signal;
}

/* The same, and what it got is what is seen. */
bool access_word(struct demo *demo, struct outcome *outcome, enum demo_op op,
		 uint64_t at, uint64_t value)
{
	bool ok = access_value(demo, outcome, op, at, &value);

	if (ok)
		see(outcome, "%s", word_text(value));
	return ok;
}

/* The client reads pages of a span, of which none may be there. */
void probe(struct demo *demo, struct outcome *outcome, uint64_t at,
	   uint64_t length, uint64_t pages)
{
	struct demo_request request = {
		.op = OP_PROBE,
		.offset = at,
		.length = length,
		.value = pages,
	};
	struct demo_answer answer;
	struct demo_probes *probes = &answer.probes;

	expect(outcome, "%ju SIGBUS", (uintmax_t)pages);
	if (!asked(demo, outcome, &request, -1, &answer))
		return;
	if (probes->sigbus == pages)
		see(outcome, "%ju SIGBUS", (uintmax_t)pages);
	else
		see(outcome, "%ju SIGBUS, %ju SIGSEGV, %ju read",
		    (uintmax_t)probes->sigbus, (uintmax_t)probes->sigsegv,
		    (uintmax_t)probes->fine);
}

/* Starts a client and gives it a view fd of its own. */
bool attach(struct demo *demo, struct outcome *outcome)
{
	struct demo_request request = {
		.op = OP_ATTACH,
		.length = demo->view_size,
	};
	struct demo_answer answer;
	int error, view;
	bool ok;

	error = client_start(&demo->client);
	view = memview_get_viewfd(demo->control);
	if (error || view < 0) {
		see_errno(outcome, error ? error : view);
		return false;
	}
	ok = asked(demo, outcome, &request, view, &answer);
	close(view);
	if (!ok)
		return false;
	figure_text(outcome, "client", answer.text);
	if (answer.error)
		see_errno(outcome, -answer.error);
	else
		see(outcome, "%s", size_text(answer.value));
	expect(outcome, "%s", size_text(demo->view_size));
	return !answer.error;
}
