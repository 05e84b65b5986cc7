// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_log.c - what is reported, on stderr
 *
 * Whoever reads that may be slow, or stuck, and keeps nobody from relaying nor
 * from taking memory back: a thread of the main process writes what comes
 * through a pipe, and alone waits. What the pipe has no room for is dropped and
 * counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vhost_user.h"

/* At the end of the program, what is not read within so many seconds is lost. */
#define FLUSH_S 1

/**
 * struct shared - what all processes know
 * @dropped: How many lines there was no room for, since the last report of that.
 * @failure: A hash of why the latest session could not begin; 0 if it could.
 */
struct shared {
	atomic_uint dropped;
	atomic_uint failure;
};

/**
 * struct log - where reports go
 * @from: The thread's end of the pipe.
 * @to: Everybody's; -1 while there is no thread.
 * @shared: By all processes.
 */
static struct log {
	int from;
	int to;
	struct shared *shared;
	pthread_t thread;
} reports = { .from = -1, .to = -1 };

/* As long as it takes. What cannot be written at all is nobody's loss. */
static void write_all(const char *text, size_t size)
{
	struct pollfd fd = { STDERR_FILENO, POLLOUT, 0 };
	ssize_t done;

	while (size) {
		done = write(STDERR_FILENO, text, size);
		if (done < 0 && errno == EAGAIN)
			poll(&fd, 1, -1);
		else if (done < 0 && errno != EINTR)
			return;
		if (done > 0) {
			text += done;
			size -= done;
		}
	}
}

/* Behind all that came before them. */
static void report_dropped(void)
{
	unsigned int nr = atomic_exchange(&reports.shared->dropped, 0);
	char text[128];

	if (!nr)
		return;
	snprintf(
		text, sizeof(text),
		"memview-vhost-user: %u lines are missing here: what reads them was too slow\n",
		nr);
	write_all(text, strlen(text));
}

static void *pass_on_reports(void *arg)
{
	char text[4096];
	ssize_t size;
	int more;

	while ((size = read(reports.from, text, sizeof(text))) > 0) {
		write_all(text, size);
		if (!ioctl(reports.from, FIONREAD, &more) && !more)
			report_dropped();
	}
	report_dropped();
	return arg;
}

/**
 * log_start - from now on, never wait to report
 *
 * Return: 0, or a negative errno.
 */
int log_start(void)
{
	int fds[2], error;

	reports.shared = mmap(NULL, sizeof(*reports.shared),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (reports.shared == MAP_FAILED || pipe2(fds, O_CLOEXEC))
		return -errno;
	fcntl(fds[1], F_SETFL, O_NONBLOCK);
	reports.from = fds[0];
	error = pthread_create(&reports.thread, NULL, pass_on_reports, NULL);
	if (error)
		return -error;
	reports.to = fds[1];
	return 0;
}

/**
 * log_forked - in a new process: the pipe is the main process's to read
 */
void log_forked(void)
{
	close(reports.from);
}

/**
 * log_end - let what was reported be read, but not for ever
 */
void log_end(void)
{
	struct timespec end;

	close(reports.to);
	reports.to = -1;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += FLUSH_S;
	pthread_clockjoin_np(reports.thread, NULL, CLOCK_MONOTONIC, &end);
}

/**
 * say - report a line
 * @session: Of which session, or 0.
 * @format: As printf().
 */
void say(unsigned int session, const char *format, ...)
{
	struct pollfd fd = { STDERR_FILENO, POLLOUT, 0 };
	char text[512], of_session[32] = "", line[600];
	va_list args;
	size_t size;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (session)
		snprintf(of_session, sizeof(of_session),
			 "session %u: ", session);
	/* One write of less than PIPE_BUF: lines of several processes do not mix. */
	size = snprintf(line, sizeof(line), "memview-vhost-user: %s%s\n",
			of_session, text);
	if (reports.to >= 0) {
		if (write(reports.to, line, size) >= 0)
			return;
		if (errno == EAGAIN) {
			atomic_fetch_add(&reports.shared->dropped, 1);
			return;
		}
		/* The main process was killed, and this one ends, too. */
		if (poll(&fd, 1, 0) != 1)
			return;
	}
	write_all(line, size);
}

/**
 * log_is_news - is this not why the session before could not begin, too?
 * @text: Why this one cannot; or NULL, if it can.
 *
 * A frontend whose backend is down connects again and again.
 */
bool log_is_news(const char *text)
{
	unsigned int hash = 0;

	if (text)
		for (hash = 5381; *text; text++)
			hash = hash * 33 + (unsigned char)*text;
	return atomic_exchange(&reports.shared->failure, hash) != hash;
}
