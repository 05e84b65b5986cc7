// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_signal.c - SIGINT and SIGTERM end what runs for long; a second one kills
 */
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "ctl_signal.h"

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

void catch_signals(void)
{
	struct sigaction action = {
		.sa_handler = on_signal,
		.sa_flags = SA_RESETHAND,
	};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool is_stopped(void)
{
	return stopped;
}

/*
 * Nobody reads the output any more: end as by a write to it. Where SIGPIPE is
 * ignored, the program comes to its end.
 */
void end_unread(void)
{
	stopped = 1;
	raise(SIGPIPE);
}

/**
 * wait_for - sleep until there is something to do
 * @fd: To be read; -1 for none.
 * @seconds: How long at the most.
 *
 * No signal is missed: they are let through while this sleeps, not between the
 * look at @stopped and that. The output is looked at, too, so
 * "memviewctl events | head -n 1" does not wait for another event.
 *
 * Return: false if a signal says stop, or nobody reads the output any more.
 */
bool wait_for(int fd, double seconds)
{
	struct timespec time = {
		.tv_sec = seconds,
		.tv_nsec = (seconds - (time_t)seconds) * 1e9,
	};
	/* Of the output only what needs no asking: POLLERR, POLLHUP, POLLNVAL. */
	struct pollfd fds[] = {
		{ .fd = STDOUT_FILENO },
		{ .fd = fd, .events = POLLIN },
	};
	sigset_t signals, before;
	int ready = 0;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (!stopped)
		ready = ppoll(fds, 2, &time, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (ready > 0 && fds[0].revents)
		end_unread();
	return !stopped;
}

/* Return: as wait_for(). */
bool sleep_seconds(double seconds)
{
	return wait_for(-1, seconds);
}

double seconds_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}
