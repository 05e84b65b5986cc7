// SPDX-License-Identifier: MIT
/*
 * window - let a process read a large file through a small window.
 *
 * The reader has one mapping of 1 MiB and never sees more of the file than
 * that; it asks for the part that it wants, and the owner moves the window: one
 * request of the owner, and no mmap() or munmap() of the reader. Prints the sum
 * of all bytes of FILE, as the reader saw them.
 *
 *	cc window.c $(pkg-config --cflags --libs libmemview)
 *	./a.out FILE
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libmemview.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define WINDOW 1048576UL

struct message {
	uint64_t offset;
	uint64_t size;
	uint64_t sum;
};

static int check(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		err(EXIT_FAILURE, "%s", what);
	}
	return result;
}

/* Asks for one part after the other, until there is no more. */
static void read_all(int sock)
{
	struct message message = {};
	unsigned char *window;
	void *map;
	int viewfd;

	check(memview_receive(sock, &viewfd, &message, sizeof(message)),
	      "reader");
	check(memview_mmap(viewfd, 0, WINDOW, PROT_READ, &map), "reader: mmap");
	close(viewfd);
	window = map;
	for (;;) {
		check(memview_send(sock, -1, &message, sizeof(message)),
		      "reader");
		if (memview_receive(sock, NULL, &message, sizeof(message)))
			exit(EXIT_SUCCESS);
		for (size_t i = 0; i < message.size; i++)
			message.sum += window[i];
		message.offset += message.size;
	}
}

static int start_reader(void)
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
		read_all(pair[1]);
	}
	close(pair[1]);
	return pair[0];
}

/*
 * Show the part that the reader asks for. The message is the reader's: what it
 * asks for is checked, and what it claims is used for nothing but to be printed.
 */
static void show(int view, int file, const char *path, uint64_t file_size,
		 struct message *message)
{
	if (message->offset > file_size || message->offset % WINDOW)
		errx(EXIT_FAILURE, "the reader asks for what is no part");
	message->size = file_size - message->offset;
	if (message->size > WINDOW)
		message->size = WINDOW;
	check(memview_map(view, 0, file, message->offset, WINDOW,
			  MEMVIEW_MAP_READ),
	      path);
}

int main(int argc, char **argv)
{
	struct message message = {};
	int file, sock, view, viewfd;
	struct stat stat;

	if (argc != 2)
		errx(EXIT_FAILURE, "usage: window FILE");
	sock = start_reader();
	file = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (file < 0 || fstat(file, &stat))
		err(EXIT_FAILURE, "%s", argv[1]);
	view = check(memview_open(WINDOW), "/dev/memory-view");
	viewfd = check(memview_get_viewfd(view), "view fd");
	check(memview_send(sock, viewfd, &message, sizeof(message)), "send");
	close(viewfd);
	for (;;) {
		check(memview_receive(sock, NULL, &message, sizeof(message)),
		      "receive");
		if (message.offset == (uint64_t)stat.st_size)
			break;
		show(view, file, argv[1], stat.st_size, &message);
		check(memview_send(sock, -1, &message, sizeof(message)),
		      "send");
	}
	printf("%ju bytes, sum %ju\n", (uintmax_t)message.offset,
	       (uintmax_t)message.sum);
	return EXIT_SUCCESS;
}
