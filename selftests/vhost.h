/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost.h - what the tests of memview-vhost-user share; vhost_lib.c
 * implements it
 *
 * A test is the frontend and the backend of its sessions, and speaks the
 * protocol by itself: nothing here comes from the program that is tested.
 */
#ifndef MEMVIEW_VHOST_TEST_H
#define MEMVIEW_VHOST_TEST_H

#include "memview_test.h"

/* Requests of the frontend. */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	RESET_OWNER = 4,
	SET_MEM_TABLE = 5,
	SET_LOG_BASE = 6,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	POSTCOPY_ADVISE = 28,
	GET_INFLIGHT_FD = 31,
	SET_INFLIGHT_FD = 32,
	RESET_DEVICE = 34,
	ADD_MEM_REG = 37,
	REM_MEM_REG = 38,
	SET_STATUS = 39,
};

#define FLAG_VERSION	1
#define FLAG_REPLY	4
#define FLAG_NEED_REPLY	8

#define RESETS	3

struct vhost_region {
	uint64_t guest, size, user, offset;
};

/* A message; @fds of a received one are the test's. */
struct vhost_message {
	uint32_t request, flags, size;
	union {
		uint8_t payload[8192];
		uint64_t u64;
		struct {
			uint32_t nr, padding;
			struct vhost_region region[64];
		} table;
		struct {
			uint64_t padding;
			struct vhost_region region;
		} single;
	};
	int nr_fds, fds[40];
};

/* A proxy that runs, and the backend's listening socket behind it. */
struct vhost_proxy {
	pid_t pid;
	int listener;
	int log;
	char dir[32];
	char frontend[64], backend[64], control[64];
};

/* Both ends of a session. */
struct vhost_pair {
	int frontend, backend;
};

/*
 * Start a program by the shell, in the directory @dir if that is not NULL; it dies
 * with the test. Its first file descriptors are @fds, but for those that are -1,
 * which are the test's. Its process, or a negative errno.
 */
pid_t program_spawn(const char *dir, const int *fds, int nr, const char *command);
/* What it prints goes to the end of @log. */
pid_t program_start(const char *dir, int log, const char *command);
/* SIGTERM, and wait: the status of waitpid(). *@pid is 0 then, and may be before. */
int program_stop(pid_t *pid);
/* Is there something in its memory map, or among what it has open? @what is for grep. */
bool program_has(pid_t pid, const char *what);
/* Wait until a socket with that name listens; -ECHILD if the program ends instead. */
int program_listens(pid_t pid, const char *path);
/* All that is in a log, and: wait until it has @text. */
const char *log_text(int log);
int log_says(int log, const char *text);

/* A socket of that name, that listens or is connected to who does; or a negative errno. */
int unix_socket(const char *path, bool listening);

/* @options are appended to the command line. Returns when it listens. */
int proxy_start(struct vhost_proxy *proxy, const char *options);
/* Send it a signal and wait: the status of waitpid(). */
int proxy_stop(struct vhost_proxy *proxy, int sig);
/* Wait until it has printed @text. */
int proxy_says(struct vhost_proxy *proxy, const char *text);
/* All that it has printed. */
const char *proxy_log(struct vhost_proxy *proxy);
/* Was memory announced by messages of that name, and by no others? With --verbose. */
bool proxy_announces_by(struct vhost_proxy *proxy, const char *message);
/* The process of its first session, or -1. */
pid_t proxy_session(struct vhost_proxy *proxy);
/* Give a command to it, such as "revoke 1": the exit status; @out is what was printed. */
int proxy_control(struct vhost_proxy *proxy, const char *command, char *out, size_t size);

/* As a frontend; the test is not the backend of that. */
int proxy_connect(struct vhost_proxy *proxy);

/* It has begun when this returns: the frontend has sent SET_OWNER, and the backend got it. */
int pair_open(struct vhost_proxy *proxy, struct vhost_pair *pair);
void pair_close(struct vhost_pair *pair);

/* Sends it as it is: wrong ones, too. */
int vhost_send(int sock, const struct vhost_message *message);
/* 0, -EPIPE when the other side has closed, -ETIMEDOUT. */
int vhost_receive(int sock, struct vhost_message *message);
/* Send a request of one word, or none if @size is 0. */
int vhost_send_u64(int sock, uint32_t request, uint32_t flags, uint64_t value);
int vhost_send_empty(int sock, uint32_t request, uint32_t flags);
/* Wait for the other side to close. */
int vhost_closed(int sock);

/* Announce regions of @fds; what the backend gets for them is put there. */
int vhost_set_table(struct vhost_pair *pair, const struct vhost_region *regions,
		    const int *fds, int *views, unsigned int nr);
int vhost_add(struct vhost_pair *pair, const struct vhost_region *region, int fd, int *view);
int vhost_remove(struct vhost_pair *pair, const struct vhost_region *region);
/* Reset the device, in one of %RESETS ways. */
int vhost_reset(struct vhost_pair *pair, int how);

/* Where guest memory is: two regions of one memfd, the second beyond 4 GiB. */
#define LOW_SIZE	(16 * PAGE)
#define HIGH		(5 * GiB)
#define HIGH_SIZE	(8 * PAGE)
#define USER		0x7f0000000000UL

extern const struct vhost_region guest_low, guest_high;

/*
 * A session with that memory, of which nothing is announced yet. A word at the
 * start of each region, and one behind the second, is 0x1111, 0x2222, 0x3333.
 */
struct vhost_session {
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	int memfd;
};

int vhost_session_begin(struct vhost_session *session);
/* The status of waitpid(), as proxy_stop(). */
int vhost_session_end(struct vhost_session *session);

/* What reading or writing a word of a mapping comes to: 0 or a signal. */
#define EXPECT_READS(expected, at)					\
	do {								\
		uint64_t word_ = 0;					\
									\
		EXPECT_EQ(0, probe_read(at, &word_));			\
		EXPECT_EQ(expected, word_);				\
	} while (0)

#define EXPECT_GONE(at)							\
	do {								\
		uint64_t word_;						\
									\
		EXPECT_EQ(SIGBUS, probe_read(at, &word_));		\
	} while (0)

/* As a backend does: all of the file up to the end of the region. */
static inline char *map_region(int view, const struct vhost_region *region)
{
	char *map = view_mmap(view, region->offset + region->size, PROT_RW, 0);

	return map == MAP_FAILED ? NULL : map + region->offset;
}

#endif /* MEMVIEW_VHOST_TEST_H */
