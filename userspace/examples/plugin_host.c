// SPDX-License-Identifier: GPL-2.0
/*
 * plugin_host - run plugins that nobody trusts.
 *
 * A plugin is a process that is given two buffers through one view: the input,
 * which it can only read, and the output. What it does wrong hurts nobody: a
 * write to the input kills it, and when it does not come to an end, the host
 * takes the buffers back, and they hold still while the host looks at them.
 *
 *	cc plugin_host.c $(pkg-config --cflags --libs libmemview)
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <libmemview.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 1048576UL
#define INPUT 0UL
#define OUTPUT SIZE
#define PATIENCE_MS 300
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct plugin {
	const char *name;
	void (*run)(const uint32_t *input, uint32_t *output);
};

static void run_good(const uint32_t *input, uint32_t *output)
{
	for (size_t i = 0; i < SIZE / sizeof(*input); i++)
		output[0] += input[i];
}

static void run_vandal(const uint32_t *input, uint32_t *output)
{
	(void)output;
	memset((void *)(uintptr_t)input, 0, SIZE);
}

static void run_endless(const uint32_t *input, uint32_t *output)
{
	volatile uint32_t *word = output;

	for (;;)
		*word += input[0];
}

static const struct plugin plugins[] = {
	{ "good", run_good },
	{ "vandal", run_vandal },
	{ "endless", run_endless },
};

static int check(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		err(EXIT_FAILURE, "%s", what);
	}
	return result;
}

static void plugin_main(const struct plugin *plugin, int sock)
{
	char done = 1;
	void *buffers;
	int viewfd;

	check(memview_receive(sock, &viewfd, &done, sizeof(done)), "plugin");
	check(memview_mmap(viewfd, 0, 2 * SIZE, PROT_READ | PROT_WRITE,
			   &buffers),
	      "plugin");
	plugin->run(buffers, (uint32_t *)((char *)buffers + OUTPUT));
	check(memview_send(sock, -1, &done, sizeof(done)), "plugin");
	exit(EXIT_SUCCESS);
}

static pid_t start(const struct plugin *plugin, int view, int *sock)
{
	int pair[2], viewfd;
	char begin = 0;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		err(EXIT_FAILURE, "socketpair");
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(view);
		close(pair[0]);
		plugin_main(plugin, pair[1]);
	}
	close(pair[1]);
	viewfd = check(memview_get_viewfd(view), "view fd");
	check(memview_send(pair[0], viewfd, &begin, sizeof(begin)), "send");
	close(viewfd);
	*sock = pair[0];
	return pid;
}

/* The buffers are the host's alone when this returns, whatever happened. */
static void host(const struct plugin *plugin, int memfd, uint32_t *buffers)
{
	uint32_t *output = buffers + OUTPUT / sizeof(*buffers), before;
	struct pollfd wait = { .events = POLLIN };
	int view = check(memview_open(2 * SIZE), "/dev/memory-view");
	char done;
	pid_t pid;

	memset(output, 0, SIZE);
	check(memview_map(view, INPUT, memfd, INPUT, SIZE, MEMVIEW_MAP_READ),
	      "lend the input");
	check(memview_map(view, OUTPUT, memfd, OUTPUT, SIZE,
			  MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE),
	      "lend the output");
	pid = start(plugin, view, &wait.fd);
	if (!poll(&wait, 1, PATIENCE_MS))
		printf("%s: takes too long\n", plugin->name);
	else if (memview_receive(wait.fd, NULL, &done, sizeof(done)))
		printf("%s: has died\n", plugin->name);
	else
		printf("%s: answers %u\n", plugin->name, output[0]);
	check(memview_unmap(view, 0, 2 * SIZE), "take back");
	before = *(volatile uint32_t *)output;
	usleep(10000);
	if (*(volatile uint32_t *)output != before)
		errx(EXIT_FAILURE, "%s: still writes", plugin->name);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(wait.fd);
	close(view);
}

int main(void)
{
	int memfd = memfd_create("buffers", MFD_CLOEXEC);
	uint32_t *buffers;

	if (memfd < 0 || ftruncate(memfd, 2 * SIZE))
		err(EXIT_FAILURE, "memfd");
	buffers = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       memfd, 0);
	if (buffers == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	for (size_t i = 0; i < SIZE / sizeof(*buffers); i++)
		buffers[i] = 1;
	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
		host(&plugins[i], memfd, buffers);
	for (size_t i = 0; i < SIZE / sizeof(*buffers); i++)
		if (buffers[i] != 1)
			errx(EXIT_FAILURE, "the input has been changed");
	printf("the input is as it was\n");
	return EXIT_SUCCESS;
}
