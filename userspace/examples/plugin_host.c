// SPDX-License-Identifier: MIT
/*
 * plugin_host - run plugins that nobody trusts.
 *
 * A plugin is a process that is given two buffers through one view: the input,
 * which it can only read, and the output. What it does wrong hurts nobody: a
 * write to the input kills it, and when it does not come to an end, the host
 * takes the buffers back, and the plugin cannot change them any more.
 *
 * The host takes back before it reads. A plugin that says it is done can go on
 * writing, and change its answer after the host has checked it. The host also
 * copies the answer, and checks and uses the copy only: I/O that the plugin has
 * started may still write to the page.
 *
 * A plugin is forked before there are buffers, so it inherits neither their file
 * nor a mapping of it. A host in earnest gives it a user of its own, too: one
 * process can look into another of the same user through /proc.
 *
 *	cc plugin_host.c $(pkg-config --cflags --libs libmemview)
 */
#define _GNU_SOURCE
#include <dirent.h>
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

static int check(int result, const char *what)
{
	if (result < 0) {
		errno = -result;
		err(EXIT_FAILURE, "%s", what);
	}
	return result;
}

/* ---- The plugins ---- */

static int plugin_sock = -1;

static void say_done(void)
{
	const char done = 1;

	check(memview_send(plugin_sock, -1, &done, sizeof(done)), "plugin");
}

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

/* Answers, says that it is done, and goes on to change its answer. */
static void run_fickle(const uint32_t *input, uint32_t *output)
{
	run_good(input, output);
	say_done();
	run_endless(input, output);
}

/* How many ways it has to the file of the buffers, but for the view. */
static void run_curious(const uint32_t *input, uint32_t *output)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	char text[512];
	ssize_t size;

	(void)input;
	if (!maps || !fds)
		err(EXIT_FAILURE, "/proc/self");
	while (fgets(text, sizeof(text), maps))
		output[0] += !!strstr(text, "memfd:");
	while ((entry = readdir(fds))) {
		size = readlinkat(dirfd(fds), entry->d_name, text,
				  sizeof(text) - 1);
		text[size < 0 ? 0 : size] = '\0';
		output[0] += !!strstr(text, "memfd:");
	}
}

static const struct plugin plugins[] = {
	{ "good", run_good },	  { "curious", run_curious },
	{ "vandal", run_vandal }, { "endless", run_endless },
	{ "fickle", run_fickle },
};

static void plugin_main(const struct plugin *plugin, int sock)
{
	void *buffers;
	int viewfd;
	char begin;

	plugin_sock = sock;
	check(memview_receive(sock, &viewfd, &begin, sizeof(begin)), "plugin");
	check(memview_mmap(viewfd, 0, 2 * SIZE, PROT_READ | PROT_WRITE,
			   &buffers),
	      "plugin");
	plugin->run(buffers, (uint32_t *)((char *)buffers + OUTPUT));
	say_done();
	_exit(EXIT_SUCCESS);
}

/* ---- The host ---- */

/* It waits for its view. */
static pid_t start(const struct plugin *plugin, int *sock)
{
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		err(EXIT_FAILURE, "socketpair");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(EXIT_FAILURE, "fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		plugin_main(plugin, pair[1]);
	}
	close(pair[1]);
	*sock = pair[0];
	return pid;
}

/* Both of them in one file; the input is all ones. */
static uint32_t *make_buffers(int *memfd)
{
	uint32_t *buffers;

	*memfd = memfd_create("buffers", MFD_CLOEXEC);
	if (*memfd < 0 || ftruncate(*memfd, 2 * SIZE))
		err(EXIT_FAILURE, "memfd");
	buffers = mmap(NULL, 2 * SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
		       *memfd, 0);
	if (buffers == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	for (size_t i = 0; i < SIZE / sizeof(*buffers); i++)
		buffers[i] = 1;
	return buffers;
}

/*
 * Return: the view, with which they are taken back. The kernel takes them back
 * if the host dies: PR_SET_PDEATHSIG is no more than a request to the plugin.
 */
static int lend_buffers(int memfd, int sock)
{
	int view = check(memview_open(2 * SIZE), "/dev/memory-view"), viewfd;
	char begin = 0;

	check(memview_set_flags(view, MEMVIEW_REVOKE_ON_CLOSE), "view");
	check(memview_map(view, INPUT, memfd, INPUT, SIZE, MEMVIEW_MAP_READ),
	      "lend the input");
	check(memview_map(view, OUTPUT, memfd, OUTPUT, SIZE,
			  MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE),
	      "lend the output");
	viewfd = check(memview_get_viewfd(view), "view fd");
	check(memview_send(sock, viewfd, &begin, sizeof(begin)), "send");
	close(viewfd);
	return view;
}

/* Return: what became of the plugin; NULL if it says that it is done. */
static const char *wait_for(int sock)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	int ready = poll(&wait, 1, PATIENCE_MS);
	char done;

	if (ready < 0)
		err(EXIT_FAILURE, "poll");
	if (!ready)
		return "takes too long";
	return memview_receive(sock, NULL, &done, sizeof(done)) ? "has died" :
								  NULL;
}

/* The buffers are the host's alone again, whatever the plugin has done. */
static void look_at(const struct plugin *plugin, const uint32_t *buffers,
		    uint32_t answer)
{
	const volatile uint32_t *output = buffers + OUTPUT / sizeof(*buffers);

	usleep(10000);
	if (*output != answer)
		errx(EXIT_FAILURE, "%s: still writes", plugin->name);
	for (size_t i = 0; i < SIZE / sizeof(*buffers); i++)
		if (buffers[i] != 1)
			errx(EXIT_FAILURE, "%s: has changed the input",
			     plugin->name);
}

static void host(const struct plugin *plugin)
{
	int sock, memfd, view;
	/* First of all: what it is not to have is not there yet. */
	pid_t pid = start(plugin, &sock);
	uint32_t *buffers = make_buffers(&memfd), answer;
	const char *trouble;

	view = lend_buffers(memfd, sock);
	trouble = wait_for(sock);
	check(memview_unmap(view, 0, 2 * SIZE), "take back");
	answer = *(volatile uint32_t *)&buffers[OUTPUT / sizeof(*buffers)];
	look_at(plugin, buffers, answer);
	if (trouble)
		printf("%s: %s\n", plugin->name, trouble);
	else
		printf("%s: answers %u\n", plugin->name, answer);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(sock);
	close(view);
	munmap(buffers, 2 * SIZE);
	close(memfd);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++)
		host(&plugins[i]);
	printf("the input is as it was\n");
	return EXIT_SUCCESS;
}
