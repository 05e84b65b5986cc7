// SPDX-License-Identifier: MIT
/*
 * lend - lend a buffer to a worker process, and take it back.
 *
 * The worker turns the text in the buffer to capitals. It is lent the buffer
 * for one job at a time: between jobs, when a touch of it would be a bug, it is
 * a SIGBUS. The worker keeps its mapping all the while.
 *
 *	cc lend.c $(pkg-config --cflags --libs libmemview)
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <err.h>
#include <errno.h>
#include <libmemview.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 65536
#define READ_WRITE (MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE)

static int check(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		err(EXIT_FAILURE, "%s", what);
	}
	return result;
}

/* One job a byte on the socket; the view comes with the first message. */
static void work(int sock)
{
	int viewfd;
	void *map;
	char job, *c;

	check(memview_receive(sock, &viewfd, &job, sizeof(job)),
	      "worker: receive");
	check(memview_mmap(viewfd, 0, SIZE, PROT_READ | PROT_WRITE, &map),
	      "worker: mmap");
	close(viewfd);
	while (!memview_receive(sock, NULL, &job, sizeof(job))) {
		for (c = map; c < (char *)map + SIZE && *c; c++)
			*c = toupper((unsigned char)*c);
		check(memview_send(sock, -1, &job, sizeof(job)),
		      "worker: send");
	}
	exit(EXIT_SUCCESS);
}

static pid_t start_worker(int *sock)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		err(EXIT_FAILURE, "socketpair");
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		work(pair[1]);
	}
	close(pair[1]);
	*sock = pair[0];
	return pid;
}

int main(void)
{
	int sock, status, view, viewfd;
	pid_t worker = start_worker(&sock);
	int memfd = memfd_create("buffer", MFD_CLOEXEC);
	char *buffer, text[64], job = 0;

	if (memfd < 0 || ftruncate(memfd, SIZE))
		err(EXIT_FAILURE, "memfd");
	buffer = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (buffer == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");

	view = check(memview_open(SIZE), "/dev/memory-view");
	viewfd = check(memview_get_viewfd(view), "view fd");
	check(memview_send(sock, viewfd, &job, sizeof(job)), "send the view");
	close(viewfd);

	snprintf(buffer, SIZE, "lent, and taken back");
	check(memview_map(view, 0, memfd, 0, SIZE, READ_WRITE), "lend");
	check(memview_send(sock, -1, &job, sizeof(job)), "send a job");
	check(memview_receive(sock, NULL, &job, sizeof(job)), "receive");
	/*
	 * First take back, then read: until then the worker can change what has
	 * been looked at. It may have written anything: so this copies what has
	 * room, with an end that the worker did not choose.
	 */
	check(memview_unmap(view, 0, SIZE), "take back");
	snprintf(text, sizeof(text), "%.*s", (int)sizeof(text) - 1, buffer);
	printf("the worker has made: %s\n", text);

	/* A job without a buffer, as if the worker would not wait. */
	check(memview_send(sock, -1, &job, sizeof(job)), "send a job");
	if (waitpid(worker, &status, 0) < 0)
		err(EXIT_FAILURE, "wait");
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGBUS)
		errx(EXIT_FAILURE,
		     "the worker has reached what was taken back");
	printf("a touch after that: SIG%s\n", sigabbrev_np(WTERMSIG(status)));
	return EXIT_SUCCESS;
}
