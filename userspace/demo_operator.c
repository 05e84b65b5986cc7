// SPDX-License-Identifier: GPL-2.0
/*
 * demo_operator.c - the third party: who runs the machine, and has memviewctl.
 *
 * The commands are the ones that a person would type, run as child processes
 * with --json: what they print is compared with what must be seen. Some stay
 * until they are told to end. If the demo dies, so do they, and a policy that
 * they hold ends with them.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"

#define MAX_ARGS 16
#define PATIENCE_NS 60000000000ULL

/* memviewctl's: something is missing on this machine. And execvp() failed. */
#define STATUS_ENVIRONMENT 3
#define STATUS_NO_PROGRAM 127

/* memviewctl beside this program, else the one on PATH. */
static void find_program(char *path, size_t size)
{
	ssize_t length = readlink("/proc/self/exe", path, size);
	char *slash;

	if (length > 0 && length < (ssize_t)size) {
		path[length] = '\0';
		slash = strrchr(path, '/');
		snprintf(slash, size - (slash - path), "/memviewctl");
		if (!access(path, X_OK))
			return;
	}
	snprintf(path, size, "memviewctl");
}

/* In the child: no return. */
static void become_tool(char *command, int out, int err, pid_t parent)
{
	char *argv[MAX_ARGS] = { "memviewctl", "--json" }, path[4096];
	size_t nr = 2;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(STATUS_NO_PROGRAM);
	for (char *arg; (arg = strsep(&command, " ")) && nr < MAX_ARGS - 1;)
		argv[nr++] = arg;
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	find_program(path, sizeof(path));
	execvp(path, argv);
	_exit(STATUS_NO_PROGRAM);
}

/*
 * Starts memviewctl with arguments that have a blank between them, and makes
 * the command a figure of the step. False: the outcome says why not.
 */
bool tool_start(struct tool *tool, struct outcome *outcome, const char *format,
		...)
{
	int out[2] = { -1, -1 }, err[2] = { -1, -1 };
	pid_t parent = getpid();
	char command[128], shown[160];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	snprintf(shown, sizeof(shown), "memviewctl %s", command);
	figure_text(outcome, "command", shown);
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
		see_errno(outcome, -errno);
		return false;
	}
	*tool = (struct tool){ .out.fd = out[0], .err.fd = err[0] };
	tool->pid = fork();
	if (!tool->pid)
		become_tool(command, out[1], err[1], parent);
	close(out[1]);
	close(err[1]);
	if (tool->pid < 0)
		see_errno(outcome, -errno);
	return tool->pid > 0;
}

/* Reads once. Returns the bytes that came, 0 at the end, or a negative errno. */
static int read_more(struct stream *stream, uint64_t deadline)
{
	struct pollfd wait = { .fd = stream->fd, .events = POLLIN };
	size_t room = sizeof(stream->text) - 1 - stream->used;
	uint64_t now = now_ns();
	ssize_t got;

	if (!room)
		return -EMSGSIZE;
	if (now > deadline || poll(&wait, 1, (deadline - now) / 1000000) <= 0)
		return -ETIMEDOUT;
	got = read(stream->fd, stream->text + stream->used, room);
	if (got < 0)
		return -errno;
	stream->used += got;
	stream->text[stream->used] = '\0';
	return got;
}

static int read_all(struct stream *stream, uint64_t deadline)
{
	int got;

	do
		got = read_more(stream, deadline);
	while (got > 0);
	return got;
}

/* Takes the next line. Returns 0 or a negative errno: -EPIPE at the end. */
static int read_line(struct stream *stream, char *line, size_t size)
{
	uint64_t deadline = now_ns() + PATIENCE_NS;
	size_t length;
	char *end;
	int got;

	while (!(end = memchr(stream->text, '\n', stream->used))) {
		got = read_more(stream, deadline);
		if (got <= 0)
			return got ? got : -EPIPE;
	}
	*end = '\0';
	snprintf(line, size, "%.*s", (int)size - 1, stream->text);
	length = end + 1 - stream->text;
	memmove(stream->text, end + 1, stream->used - length + 1);
	stream->used -= length;
	return 0;
}

/* Waits for the end; kills if that takes long. Returns the status of wait(). */
static int reap(struct tool *tool)
{
	uint64_t deadline = now_ns() + PATIENCE_NS;
	int status = 0;

	/* It closes its streams when it ends, and only then. */
	if (read_all(&tool->out, deadline) || read_all(&tool->err, deadline))
		kill(tool->pid, SIGKILL);
	waitpid(tool->pid, &status, 0);
	close(tool->out.fd);
	close(tool->err.fd);
	tool->pid = 0;
	return status;
}

/* What memviewctl complained about: a line, without its name. */
static const char *complaint(struct tool *tool)
{
	static const char name[] = "memviewctl: ";
	char *text = strstr(tool->err.text, name);

	if (!text)
		return tool->err.used ? tool->err.text : "no output";
	text += strlen(name);
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* It ended, or says nothing: that is what is seen. */
static void see_complaint(struct tool *tool, struct outcome *outcome, int error)
{
	if (error == -ETIMEDOUT)
		kill(tool->pid, SIGKILL);
	reap(tool);
	see(outcome, "%s",
	    error == -EPIPE ? complaint(tool) : strerrorname_np(-error));
}

/*
 * Waits until a tool that stays says that it is ready. False: the outcome says
 * why it is not.
 */
bool tool_ready(struct tool *tool, struct outcome *outcome, const char *word)
{
	char line[512], wanted[64];
	int error;

	snprintf(wanted, sizeof(wanted), "memviewctl: %s", word);
	error = read_line(&tool->err, line, sizeof(line));
	if (!error && !strcmp(line, wanted))
		return true;
	if (!error) {
		/* A complaint: it is about to end. */
		see(outcome, "%s", line);
		reap(tool);
	} else {
		see_complaint(tool, outcome, error);
	}
	return false;
}

/*
 * The next record of a tool that stays, to be put. NULL: the outcome says why
 * there is none.
 */
struct json_object *tool_record(struct tool *tool, struct outcome *outcome)
{
	struct json_object *record;
	char line[2048];
	int error;

	if (tool->pid <= 0) {
		see(outcome, "not running");
		return NULL;
	}
	error = read_line(&tool->out, line, sizeof(line));
	if (error) {
		see_complaint(tool, outcome, error);
		return NULL;
	}
	record = json_tokener_parse(line);
	if (!record)
		see(outcome, "no JSON: %s", line);
	return record;
}

/*
 * Waits for the end of a tool, and returns what it has printed, to be put. With
 * a signal it is told to end. NULL: the outcome says what went wrong.
 */
struct json_object *tool_finish(struct tool *tool, struct outcome *outcome,
				int signal)
{
	struct json_object *document;
	int status;

	if (tool->pid <= 0) {
		see(outcome, "not running");
		return NULL;
	}
	if (signal)
		kill(tool->pid, signal);
	status = reap(tool);
	if (status) {
		see(outcome, "%s",
		    WIFSIGNALED(status) ? signal_text(WTERMSIG(status)) :
					  complaint(tool));
		return NULL;
	}
	document = json_tokener_parse(tool->out.text);
	if (!document)
		see(outcome, "no JSON: %s", tool->out.text);
	return document;
}

/* Ends a tool that stays, however it is. */
void tool_end(struct tool *tool)
{
	if (tool->pid <= 0)
		return;
	kill(tool->pid, SIGTERM);
	reap(tool);
}

/* Says why the steps that need memviewctl cannot run here, or nothing. */
static void check_tool(struct tool *tool, char *reason, size_t size)
{
	int status = reap(tool);
	struct json_object *views;

	reason[0] = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_NO_PROGRAM)
		snprintf(reason, size,
			 "there is no memviewctl beside memview-demo or on "
			 "PATH");
	if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_ENVIRONMENT)
		snprintf(reason, size, "%s", complaint(tool));
	if (status)
		return;
	views = json_tokener_parse(tool->out.text);
	if (json_object_is_type(views, json_type_array) &&
	    json_object_array_length(views) > 1)
		snprintf(reason, size,
			 "there are other views on this machine, and a policy "
			 "would hold for them, too");
	json_object_put(views);
}

/*
 * Can memviewctl work here, without harm? If not, the reason. If it fails in a
 * way that is no lack of this machine, there is no reason: its steps shall
 * fail.
 */
void operator_check(char *reason, size_t size)
{
	struct outcome outcome = { .figures = json_object_new_object() };
	static struct tool tool;

	if (tool_start(&tool, &outcome, "list"))
		check_tool(&tool, reason, size);
	else
		snprintf(reason, size, "memviewctl: %.64s", outcome.saw);
	json_object_put(outcome.figures);
}
