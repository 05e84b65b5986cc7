/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_frames.h - frames of a network, at random, that come out of a named
 * pipe, and are checked where they come in by another; vhost_frames.c
 * implements it
 *
 * In a pipe is what is in a pcap file. A seed tells all sizes and contents, so
 * a frame that is lost, twice there, or at another place, is a wrong one.
 */
#ifndef MEMVIEW_VHOST_FRAMES_H
#define MEMVIEW_VHOST_FRAMES_H

#include "vhost.h"

#define FRAME_MIN	60
#define FRAME_MAX	9000 /* a few buffers of DPDK's */

/* One end of a stream, and the thread that serves it. */
struct frames {
	pthread_t thread;
	int fd;
	bool sender;
	bool stop; /* what is under way is given up */
	uint64_t random;
	uint64_t bytes; /* to move, at the least: the last frame is whole */
	uint64_t moved, count; /* until now */
	int err;
	char why[96];
};

/* Make the pipe @path, and begin: 0 or a negative errno. */
int frames_send(struct frames *frames, const char *path, uint64_t seed, uint64_t bytes);
int frames_check(struct frames *frames, const char *path, uint64_t seed, uint64_t bytes);
/* Wait until @bytes more have moved. */
int frames_flow(struct frames *frames, uint64_t bytes);
/*
 * Wait for the end of it: 0 if each of the frames was as it should be and,
 * when checking, if nothing came after them; or a negative errno and @why.
 */
int frames_end(struct frames *frames);
/* Give up: all that has come until now was right if that is 0. */
int frames_stop(struct frames *frames);

#endif /* MEMVIEW_VHOST_FRAMES_H */
