// SPDX-License-Identifier: GPL-2.0
/*
 * memview-vhost-user - stands between a vhost-user frontend and its backend, so
 * that the backend has views of guest memory and never the memory itself
 *
 * This file listens, starts a process for each session, and ends them.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vhost_user_proxy.h"

/* So long sessions may take to end when they are told to, beyond their grace. */
#define END_MS 5000
/* How soon poll() is tried again if it fails. */
#define RETRY_MS 250

/* Does the module work here? Better to know now than with the first region. */
static void check_device(void)
{
	int view = memview_open(0);

	if (view >= 0) {
		close(view);
		return;
	}
	say(0, "/dev/memory-view: %s%s", strerror(-view),
	    view == -EACCES ? " (you need to be in the group kvm)" :
	    view == -ENOENT || view == -ENXIO || view == -ENODEV ?
			      " (the module is not loaded: modprobe memview)" :
			      "");
	exit(EXIT_FAILURE);
}

static struct child *free_child(struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < SESSIONS_MAX; i++)
		if (!proxy->children[i].pid)
			return &proxy->children[i];
	return NULL;
}

/* In the new process: nothing of the others stays. */
static int begin_session(struct proxy *proxy, const struct child *child,
			 int frontend, int control)
{
	unsigned int i;

	log_forked();
	close(proxy->frontends_door.sock);
	if (proxy->operators_door.sock >= 0)
		close(proxy->operators_door.sock);
	close(proxy->signal);
	if (proxy->reserve >= 0)
		close(proxy->reserve);
	for (i = 0; i < SESSIONS_MAX; i++)
		if (proxy->children[i].pid)
			close(proxy->children[i].sock);
	for (i = 0; i < ASKING_MAX; i++)
		if (proxy->asking[i].sock >= 0)
			close(proxy->asking[i].sock);
	sigprocmask(SIG_UNBLOCK, &proxy->signals, NULL);
	/* The main process takes these, and ends the sessions in good order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	return session_run(&proxy->options, child->id, frontend, control,
			   &child->frontend->spans);
}

/* Start the process. Return: 0 or a positive errno. */
static int start_session(struct proxy *proxy, struct child *child,
			 struct frontend *frontend, int sock, int pair[2])
{
	pid_t pid;

	child->id = ++proxy->last;
	child->sock = pair[0];
	child->frontend = frontend;
	pid = fork();
	if (!pid) {
		close(pair[0]);
		_exit(begin_session(proxy, child, sock, pair[1]));
	}
	if (pid < 0) {
		proxy->last--;
		return errno;
	}
	child->pid = pid;
	frontend->session = child->id;
	frontend->sessions++;
	return 0;
}

/* Return: 0 or a positive errno, and @what failed. */
static int admit(struct proxy *proxy, struct child *child, int pair[2],
		 const char **what)
{
	int sock = door_accept(&proxy->frontends_door), error;
	struct frontend *frontend;

	*what = NULL;
	if (sock < 0)
		return -sock;
	*what = "cannot tell which process it is";
	frontend = frontend_of(proxy, sock, &error);
	if (frontend) {
		*what = "cannot start a process";
		error = start_session(proxy, child, frontend, sock, pair);
	}
	close(sock);
	return error;
}

/* What a session needs is made first: a connection without it stays in the queue. */
static void accept_frontend(struct proxy *proxy)
{
	struct child *child = free_child(proxy);
	const char *what;
	int pair[2], error;

	if (!child) {
		door_shut(&proxy->frontends_door,
			  "there is no room for more sessions", 0);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		door_shut(&proxy->frontends_door, "cannot make a socket",
			  errno);
		return;
	}
	/* A session that is busy keeps no other from hearing operators. */
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	error = admit(proxy, child, pair, &what);
	close(pair[1]);
	if (!error)
		return;
	close(pair[0]);
	if (what)
		door_shut(&proxy->frontends_door, what, error);
}

static void bury_one(struct proxy *proxy, struct child *child, int status)
{
	if (WIFSIGNALED(status))
		say(child->id, "killed by SIG%s",
		    sigabbrev_np(WTERMSIG(status)));
	if (child->sock >= 0)
		close(child->sock);
	child->pid = 0;
	child->frontend->sessions--;
	/* There is room again. */
	proxy->frontends_door.closed_until = 0;
	proxy->operators_door.closed_until = 0;
}

static void bury(struct proxy *proxy)
{
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < SESSIONS_MAX; i++)
			if (proxy->children[i].pid == pid)
				bury_one(proxy, &proxy->children[i], status);
}

static bool has_children(const struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < SESSIONS_MAX; i++)
		if (proxy->children[i].pid)
			return true;
	return false;
}

static void close_door(struct door *door, const char *path)
{
	if (door->sock < 0)
		return;
	close(door->sock);
	door->sock = -1;
	unlink(path);
}

static void close_doors(struct proxy *proxy)
{
	close_door(&proxy->frontends_door, proxy->options.frontend);
	close_door(&proxy->operators_door, proxy->options.control);
}

/* One that hears nothing from here any more ends at once. */
static void hang_up(struct child *child)
{
	if (child->pid && child->sock >= 0) {
		close(child->sock);
		child->sock = -1;
	}
}

/*
 * SIGTERM or SIGINT. At first sessions are told, and have their grace, while
 * operators are still served; the second time they are to end at once.
 */
static void begin_end(struct proxy *proxy)
{
	const struct control_request request = { .op = CONTROL_END };
	bool again = proxy->end;
	unsigned int i;

	close_door(&proxy->frontends_door, proxy->options.frontend);
	proxy->end = now_ms() + END_MS + (again ? 0 : proxy->options.grace);
	for (i = 0; i < SESSIONS_MAX; i++) {
		struct child *child = &proxy->children[i];

		if (child->pid && child->sock >= 0 &&
		    (again ||
		     memview_send(child->sock, -1, &request, sizeof(request))))
			hang_up(child);
	}
}

/* Those that are stuck: the kernel takes back what they have lent. */
static void kill_all(struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < SESSIONS_MAX; i++) {
		struct child *child = &proxy->children[i];

		if (!child->pid)
			continue;
		say(child->id, "does not end within %d s: it is killed",
		    END_MS / 1000);
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
}

static void take_signal(struct proxy *proxy, int signo)
{
	if (signo == SIGINT || signo == SIGTERM)
		begin_end(proxy);
	bury(proxy);
}

static void take_signals(struct proxy *proxy)
{
	struct signalfd_siginfo info;

	while (read(proxy->signal, &info, sizeof(info)) == sizeof(info))
		take_signal(proxy, info.ssi_signo);
}

/*
 * poll() fails where it has no memory, or may not look at so many files. Signals
 * are still heard, and it is tried again.
 */
static void poll_failed(struct proxy *proxy, int error)
{
	const struct timespec wait = { .tv_nsec = RETRY_MS * 1000000L };
	static bool said;
	int signo;

	if (error == EINTR)
		return;
	if (!said)
		say(0, "poll: %s: nobody is served until that works again",
		    strerror(error));
	said = true;
	signo = sigtimedwait(&proxy->signals, NULL, &wait);
	if (signo > 0)
		take_signal(proxy, signo);
}

/* Those that have said nothing for too long go. */
static void drop_silent(struct proxy *proxy, int64_t *wake)
{
	int64_t now = now_ms(), end;
	unsigned int i;

	if (!proxy->options.timeout)
		return;
	for (i = 0; i < ASKING_MAX; i++) {
		if (proxy->asking[i].sock < 0)
			continue;
		end = proxy->asking[i].since + proxy->options.timeout;
		if (end <= now)
			close_asking(&proxy->asking[i], proxy);
		else if (end < *wake)
			*wake = end;
	}
}

/* Wait for something to do. Return: 0 or a positive errno. */
static int wait_for_work(struct proxy *proxy, struct pollfd fds[3 + ASKING_MAX])
{
	int64_t wake = proxy->end ?: INT64_MAX, left;
	unsigned int i;

	drop_silent(proxy, &wake);
	fds[0] = (struct pollfd){ proxy->signal, POLLIN, 0 };
	fds[1] = (struct pollfd){ door_poll(&proxy->frontends_door, &wake),
				  POLLIN, 0 };
	fds[2] = (struct pollfd){ door_poll(&proxy->operators_door, &wake),
				  POLLIN, 0 };
	for (i = 0; i < ASKING_MAX; i++)
		fds[3 + i] =
			(struct pollfd){ proxy->asking[i].sock, POLLIN, 0 };
	left = wake == INT64_MAX ? -1 : wake - now_ms();
	if (wake != INT64_MAX && left < 0)
		left = 0;
	return poll(fds, 3 + ASKING_MAX, left) < 0 ? errno : 0;
}

/* Until there is an end, and all sessions have come to it, or are late. */
static void serve(struct proxy *proxy)
{
	struct pollfd fds[3 + ASKING_MAX];
	unsigned int i;
	int error;

	while (!proxy->end || (has_children(proxy) && now_ms() < proxy->end)) {
		error = wait_for_work(proxy, fds);
		if (error) {
			poll_failed(proxy, error);
			continue;
		}
		if (fds[0].revents)
			take_signals(proxy);
		for (i = 0; i < ASKING_MAX; i++) {
			if (!fds[3 + i].revents)
				continue;
			serve_operator(proxy, proxy->asking[i].sock);
			close_asking(&proxy->asking[i], proxy);
		}
		if (fds[1].revents && proxy->frontends_door.sock >= 0)
			accept_frontend(proxy);
		if (fds[2].revents)
			accept_operators(proxy);
	}
}

static int listen_or_exit(struct proxy *proxy, const char *path, int type)
{
	char why[VU_WHY_MAX];
	int sock = listen_at(path, type, why);

	if (sock >= 0)
		return sock;
	say(0, "cannot listen at %s: %s", path, why);
	close_doors(proxy);
	exit(EXIT_FAILURE);
}

static void start_log(struct proxy *proxy)
{
	int error = log_start();

	if (!error)
		return;
	say(0, "cannot start the thread that reports: %s", strerror(-error));
	close_doors(proxy);
	exit(EXIT_FAILURE);
}

/* A region takes two file descriptors. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void catch_signals(struct proxy *proxy)
{
	/* That nobody reads what is reported here ends no session. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&proxy->signals);
	sigaddset(&proxy->signals, SIGCHLD);
	sigaddset(&proxy->signals, SIGINT);
	sigaddset(&proxy->signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &proxy->signals, NULL);
	proxy->signal =
		signalfd(-1, &proxy->signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void load_or_exit(struct proxy *proxy)
{
	char why[VU_WHY_MAX] = "";

	if (state_load(proxy, why))
		return;
	say(0, "--state %s: %s", proxy->options.state, why);
	exit(EXIT_FAILURE);
}

static void open_doors(struct proxy *proxy)
{
	/* Operators may take memory away: this user and root alone may connect. */
	mode_t mask = umask(0077);

	if (proxy->options.control)
		proxy->operators_door.sock = listen_or_exit(
			proxy, proxy->options.control, SOCK_SEQPACKET);
	umask(mask);
	proxy->frontends_door.sock =
		listen_or_exit(proxy, proxy->options.frontend, SOCK_STREAM);
}

int main(int argc, char **argv)
{
	static struct proxy proxy = {
		.frontends_door = { .sock = -1, .who = "frontends" },
		.operators_door = { .sock = -1, .who = "operators" },
	};
	struct arguments arguments = {};
	unsigned int i;

	parse_arguments(argc, argv, &arguments);
	if (arguments.nr_words)
		return control_main(arguments.options.control,
				    arguments.nr_words, arguments.words);
	proxy.options = arguments.options;
	for (i = 0; i < ASKING_MAX; i++)
		proxy.asking[i].sock = -1;
	check_device();
	raise_limit();
	catch_signals(&proxy);
	proxy.reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
	load_or_exit(&proxy);
	open_doors(&proxy);
	start_log(&proxy);
	say(0, "listening at %s", proxy.options.frontend);
	serve(&proxy);
	kill_all(&proxy);
	close_doors(&proxy);
	say(0, "ends");
	log_end();
	return EXIT_SUCCESS;
}
