// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_kill.c - frontend, proxy and backend are killed at any moment: the next
 * session works, and nothing is left of the one before
 */
#include "vhost.h"

#include <sys/prctl.h>
#include <sys/socket.h>

#define SIZE	(64 * PAGE)

static const struct vhost_region region = { GiB, SIZE, 0x7f0000000000, 0 };

FIXTURE(kill)
{
	struct klog klog;
	int memfd;
};

FIXTURE_SETUP(kill)
{
	ASSERT_LE(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, 1);
}

FIXTURE_TEARDOWN(kill)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* A frontend that comes and goes with its memory, on and on. */
static void be_frontend(struct vhost_proxy *proxy, int memfd)
{
	struct vhost_message message = {
		.request = ADD_MEM_REG, .flags = FLAG_VERSION, .size = 40, .nr_fds = 1,
		.fds = { memfd }, .single.region = region,
	};
	int sock = proxy_connect(proxy);

	for (;;) {
		message.request = ADD_MEM_REG;
		message.nr_fds = 1;
		if (vhost_send(sock, &message))
			_exit(1);
		message.request = REM_MEM_REG;
		message.nr_fds = 0;
		if (vhost_send(sock, &message))
			_exit(1);
	}
}

/* A backend that maps what it is given, and writes to it. */
static void be_backend(struct vhost_proxy *proxy)
{
	struct vhost_message message;
	int sock = accept4(proxy->listener, NULL, NULL, SOCK_CLOEXEC);
	char *map;

	while (!vhost_receive(sock, &message)) {
		if (!message.nr_fds)
			continue;
		map = view_mmap(message.fds[0], SIZE, PROT_RW, 0);
		close(message.fds[0]);
		if (map == MAP_FAILED)
			_exit(1);
		probe_write(map, 1);
		munmap(map, SIZE);
	}
	_exit(0);
}

static pid_t start(struct vhost_proxy *proxy, int memfd)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (memfd >= 0)
		be_frontend(proxy, memfd);
	be_backend(proxy);
	return 0;
}

/* What the module's users come to: views that are open or mapped. */
static uint64_t users(void)
{
	char text[32] = "";

	read_file("/sys/module/memview/refcnt", text, sizeof(text));
	return strtoull(text, NULL, 10);
}

/* Connections that no backend took any more, with the views that were sent. */
static void drop_waiting(int listener)
{
	int sock;

	fcntl(listener, F_SETFL, O_NONBLOCK);
	while ((sock = accept(listener, NULL, NULL)) >= 0)
		close(sock);
	fcntl(listener, F_SETFL, 0);
}

/* The sessions have ended, and nobody has a view. */
static bool settles(struct vhost_proxy *proxy, uint64_t expected)
{
	return WAIT_FOR((drop_waiting(proxy->listener), users() == expected), 60000);
}

/*
 * A session that works. The proxy may still be at a frontend that was killed
 * before it was served, and connect to the backend for it: that is not the one,
 * and it speaks of another region.
 */
static int open_session(struct vhost_proxy *proxy, struct vhost_pair *pair, int memfd, int *view)
{
	struct vhost_region mine = region;
	int err = -EAGAIN, i;

	for (i = 0; err && i < 200; i++) {
		sleep_ms(50);
		drop_waiting(proxy->listener);
		mine.guest += GiB;
		err = pair_open(proxy, pair) ?: vhost_add(pair, &mine, memfd, view);
		if (err)
			pair_close(pair);
	}
	return err;
}

/* The kill: of the frontend, the backend, the session, or all of the proxy. */
static int kill_one(struct vhost_proxy *proxy, pid_t frontend, pid_t backend, unsigned int who)
{
	const pid_t victims[] = { frontend, backend, who == 2 ? proxy_session(proxy) : -1 };

	if (who < 3) {
		if (victims[who] > 0)
			kill(victims[who], SIGKILL);
		return 0;
	}
	/* Its sessions end when it is gone. */
	proxy_stop(proxy, SIGKILL);
	return proxy_start(proxy, "");
}

TEST_F(kill, any_of_the_three_at_any_moment)
{
	uint64_t random = random_seed(), before = users();
	unsigned int i, n = scaled(100);
	struct vhost_proxy proxy;
	pid_t frontend, backend;
	struct vhost_pair pair;
	uint64_t word;
	int view;
	char *map;

	ASSERT_EQ(0, proxy_start(&proxy, ""));
	for (i = 0; i < n; i++) {
		backend = start(&proxy, -1);
		frontend = start(&proxy, self->memfd);
		/* From before the connection to the middle of it all. */
		usleep(random_next(&random) % 30000);
		ASSERT_EQ(0, kill_one(&proxy, frontend, backend, random_next(&random) % 4));
		usleep(random_next(&random) % 5000);
		kill(frontend, SIGKILL);
		kill(backend, SIGKILL);
		waitpid(frontend, NULL, 0);
		waitpid(backend, NULL, 0);
		drop_waiting(proxy.listener);
		if (i % 20)
			continue;
		ASSERT_TRUE(settles(&proxy, before)) TH_LOG("round %u: %lu users, not %lu", i,
							     users(), before);
	}
	ASSERT_TRUE(settles(&proxy, before));
	ASSERT_EQ(0, open_session(&proxy, &pair, self->memfd, &view));
	map = view_mmap(view, SIZE, PROT_RW, 0);
	EXPECT_EQ(0, probe_read(map + PAGE, &word));
	EXPECT_EQ(page_tag(1, 1), word);
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
}

TEST_HARNESS_MAIN
