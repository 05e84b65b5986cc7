// SPDX-License-Identifier: GPL-2.0
/*
 * memview-vhost-user - stands between a vhost-user frontend and its backend, so
 * that the backend has views of guest memory and never the memory itself
 *
 * This file listens, and starts a process for each session.
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

#include "vhost_user.h"

#define SESSIONS_MAX 256
/* Operators that have connected and not asked yet. */
#define ASKING_MAX 16
/* So long sessions may take to end when they are told to. */
#define END_MS 5000

/**
 * struct child - a session
 * @pid: 0 if the place is free.
 * @sock: On which requests of operators are passed on.
 */
struct child {
	pid_t pid;
	unsigned int id;
	int sock;
};

/**
 * struct proxy - the main process
 * @last: The number of the latest session.
 * @asking: Connections of operators; -1 where there is none.
 */
struct proxy {
	struct options options;
	sigset_t signals;
	int listener;
	int control;
	int signal;
	unsigned int last;
	struct child children[SESSIONS_MAX];
	int asking[ASKING_MAX];
};

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
static int begin_session(struct proxy *proxy, unsigned int id, int frontend,
			 int control)
{
	unsigned int i;

	log_forked();
	close(proxy->listener);
	if (proxy->control >= 0)
		close(proxy->control);
	close(proxy->signal);
	for (i = 0; i < SESSIONS_MAX; i++)
		if (proxy->children[i].pid)
			close(proxy->children[i].sock);
	for (i = 0; i < ASKING_MAX; i++)
		if (proxy->asking[i] >= 0)
			close(proxy->asking[i]);
	sigprocmask(SIG_UNBLOCK, &proxy->signals, NULL);
	/* The main process takes these, and ends the sessions in good order. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	return session_run(&proxy->options, id, frontend, control);
}

static void accept_frontend(struct proxy *proxy)
{
	int frontend = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
	struct child *child = free_child(proxy);
	int pair[2];

	if (frontend < 0)
		return;
	if (!child) {
		say(0, "there are %d sessions, and no room for more",
		    SESSIONS_MAX);
		close(frontend);
		return;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		say(0, "socketpair: %s", strerror(errno));
		close(frontend);
		return;
	}
	/* A session that is busy keeps no other from hearing operators. */
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	child->id = ++proxy->last;
	child->sock = pair[0];
	child->pid = fork();
	if (!child->pid) {
		close(pair[0]);
		_exit(begin_session(proxy, child->id, frontend, pair[1]));
	}
	if (child->pid < 0) {
		say(0, "fork: %s", strerror(errno));
		child->pid = 0;
		close(pair[0]);
	}
	close(pair[1]);
	close(frontend);
}

static void accept_operator(struct proxy *proxy)
{
	int sock = accept4(proxy->control, NULL, NULL,
			   SOCK_CLOEXEC | SOCK_NONBLOCK);
	unsigned int i;

	for (i = 0; sock >= 0 && i < ASKING_MAX; i++) {
		if (proxy->asking[i] < 0) {
			proxy->asking[i] = sock;
			return;
		}
	}
	if (sock >= 0)
		close(sock);
}

static bool is_sane(const struct control_request *request)
{
	return request->op == CONTROL_LIST ||
	       (request->op == CONTROL_SET && request->mode <= SPAN_REVOKED &&
		(request->all || (request->start < request->end &&
				  !((request->start | request->end) & 4095))));
}

/* Pass the connection on to those who shall answer. */
static void pass_on(struct proxy *proxy, int sock)
{
	struct control_request request;
	unsigned int i, nr = 0;

	if (recv(sock, &request, sizeof(request), MSG_TRUNC) !=
		    sizeof(request) ||
	    !is_sane(&request)) {
		control_answer(sock, true, "this is no request\n");
		return;
	}
	for (i = 0; i < SESSIONS_MAX; i++) {
		struct child *child = &proxy->children[i];

		if (!child->pid ||
		    (request.session && request.session != child->id))
			continue;
		nr++;
		if (memview_send(child->sock, sock, &request, sizeof(request)))
			control_answer(sock, true,
				       "session %u does not answer\n",
				       child->id);
	}
	if (!nr && request.session)
		control_answer(sock, true, "there is no session %u\n",
			       request.session);
}

static void bury(struct proxy *proxy)
{
	unsigned int i;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < SESSIONS_MAX; i++) {
			struct child *child = &proxy->children[i];

			if (child->pid != pid)
				continue;
			if (WIFSIGNALED(status))
				say(child->id, "killed by SIG%s",
				    sigabbrev_np(WTERMSIG(status)));
			close(child->sock);
			child->pid = 0;
		}
	}
}

static bool has_children(const struct proxy *proxy)
{
	unsigned int i;

	for (i = 0; i < SESSIONS_MAX; i++)
		if (proxy->children[i].pid)
			return true;
	return false;
}

static void remove_sockets(const struct proxy *proxy)
{
	if (proxy->listener >= 0)
		unlink(proxy->options.frontend);
	if (proxy->control >= 0)
		unlink(proxy->options.control);
}

/*
 * Sessions end when they hear nothing from here. One that is stuck is killed:
 * then the kernel takes back what it has lent.
 */
static void end_all(struct proxy *proxy)
{
	int64_t end = now_ms() + END_MS, left;
	struct signalfd_siginfo info;
	unsigned int i;

	for (i = 0; i < SESSIONS_MAX; i++) {
		struct child *child = &proxy->children[i];

		if (child->pid)
			close(child->sock);
		child->sock = -1;
	}
	for (bury(proxy); has_children(proxy); bury(proxy)) {
		struct pollfd fd = { proxy->signal, POLLIN, 0 };

		left = end - now_ms();
		if (left <= 0)
			break;
		if (poll(&fd, 1, left) == 1)
			read(proxy->signal, &info, sizeof(info));
	}
	for (i = 0; i < SESSIONS_MAX; i++) {
		struct child *child = &proxy->children[i];

		if (!child->pid)
			continue;
		say(child->id, "does not end within %d s: it is killed",
		    END_MS / 1000);
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
	remove_sockets(proxy);
}

static void serve(struct proxy *proxy)
{
	struct pollfd fds[3 + ASKING_MAX];
	struct signalfd_siginfo info;
	unsigned int i;

	for (;;) {
		fds[0] = (struct pollfd){ proxy->signal, POLLIN, 0 };
		fds[1] = (struct pollfd){ proxy->listener, POLLIN, 0 };
		fds[2] = (struct pollfd){ proxy->control, POLLIN, 0 };
		for (i = 0; i < ASKING_MAX; i++)
			fds[3 + i] =
				(struct pollfd){ proxy->asking[i], POLLIN, 0 };
		if (poll(fds, 3 + ASKING_MAX, -1) < 0)
			continue;
		if (fds[0].revents) {
			if (read(proxy->signal, &info, sizeof(info)) > 0 &&
			    info.ssi_signo != SIGCHLD)
				return;
			bury(proxy);
		}
		for (i = 0; i < ASKING_MAX; i++) {
			if (!fds[3 + i].revents)
				continue;
			pass_on(proxy, proxy->asking[i]);
			close(proxy->asking[i]);
			proxy->asking[i] = -1;
		}
		if (fds[1].revents)
			accept_frontend(proxy);
		if (fds[2].revents)
			accept_operator(proxy);
	}
}

static int listen_or_exit(const struct proxy *proxy, const char *path, int type)
{
	char why[VU_WHY_MAX];
	int sock = listen_at(path, type, why);

	if (sock >= 0)
		return sock;
	say(0, "cannot listen at %s: %s", path, why);
	remove_sockets(proxy);
	exit(EXIT_FAILURE);
}

static void start_log(const struct proxy *proxy)
{
	int error = log_start();

	if (!error)
		return;
	say(0, "cannot start the thread that reports: %s", strerror(-error));
	remove_sockets(proxy);
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

int main(int argc, char **argv)
{
	static struct proxy proxy = { .listener = -1, .control = -1 };
	struct arguments arguments = {};
	mode_t mask;

	parse_arguments(argc, argv, &arguments);
	if (arguments.nr_words)
		return control_main(arguments.options.control,
				    arguments.nr_words, arguments.words);
	/* That nobody reads what is reported here ends no session. */
	signal(SIGPIPE, SIG_IGN);
	proxy.options = arguments.options;
	memset(proxy.asking, -1, sizeof(proxy.asking));
	check_device();
	raise_limit();
	sigemptyset(&proxy.signals);
	sigaddset(&proxy.signals, SIGCHLD);
	sigaddset(&proxy.signals, SIGINT);
	sigaddset(&proxy.signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &proxy.signals, NULL);
	proxy.signal = signalfd(-1, &proxy.signals, SFD_CLOEXEC);
	/* Who may take memory from others: nobody else, if nobody says so. */
	mask = umask(0077);
	if (proxy.options.control)
		proxy.control = listen_or_exit(&proxy, proxy.options.control,
					       SOCK_SEQPACKET);
	umask(mask);
	proxy.listener =
		listen_or_exit(&proxy, proxy.options.frontend, SOCK_STREAM);
	start_log(&proxy);
	say(0, "listening at %s", proxy.options.frontend);
	serve(&proxy);
	end_all(&proxy);
	say(0, "ends");
	log_end();
	return EXIT_SUCCESS;
}
