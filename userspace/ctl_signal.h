/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ctl_signal.h - SIGINT and SIGTERM end what runs for long; a second one kills
 */
#ifndef MEMVIEW_CTL_SIGNAL_H
#define MEMVIEW_CTL_SIGNAL_H

#include <stdbool.h>

void catch_signals(void);
bool is_stopped(void);
void end_unread(void);
bool wait_for(int fd, double seconds);
bool sleep_seconds(double seconds);
double seconds_now(void);

#endif /* MEMVIEW_CTL_SIGNAL_H */
