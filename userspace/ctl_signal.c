// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_signal.c - SIGINT and SIGTERM end what runs for long; a second one kills
 */
#include <poll.h>
#include <signal.h>
#include <time.h>

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
 * Return: false if a signal says stop. None is missed: they are let through
 * while this sleeps, not between the look at @stopped and that.
 */
bool sleep_seconds(double seconds)
{
	struct timespec time = {
		.tv_sec = seconds,
		.tv_nsec = (seconds - (time_t)seconds) * 1e9,
	};
	sigset_t signals, before;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, &before);
	if (!stopped)
		ppoll(NULL, 0, &time, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return !stopped;
}

double seconds_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}
