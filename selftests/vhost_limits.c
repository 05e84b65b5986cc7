// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_limits.c - the proxy ends in good order, and goes on where there is no
 * room: no more descriptors, silent peers, a backend that is down
 */
#include "vhost.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SIZE	(16 * PAGE)
#define GRACE	"--grace 3600000"

static const struct vhost_region region = { GiB, SIZE, 0x7f0000000000, 0 };

FIXTURE(limits)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	int memfd;
	char *map;
	char out[4096];
};

FIXTURE_SETUP(limits)
{
	ASSERT_LE(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, 1);
}

FIXTURE_TEARDOWN(limits)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define CONTROL(status, command)					\
	EXPECT_EQ(status, proxy_control(&self->proxy, command, self->out, sizeof(self->out))) \
		TH_LOG("%s", self->out)

static int begin(FIXTURE_DATA(limits) *self, const char *options)
{
	int view, err = proxy_start(&self->proxy, options) ?: pair_open(&self->proxy, &self->pair) ?:
			vhost_add(&self->pair, &region, self->memfd, &view);

	if (err)
		return err;
	self->map = view_mmap(view, SIZE, PROT_RW, 0);
	return self->map == MAP_FAILED ? -errno : 0;
}

/* ---- SIGTERM ---- */

/* The device is told, and has its memory until it has come to an end. */
TEST_F(limits, stop_gives_grace)
{
	int i;

	ASSERT_EQ(0, begin(self, GRACE));
	ASSERT_EQ(0, kill(self->proxy.pid, SIGTERM));
	ASSERT_EQ(0, vhost_closed(self->pair.backend));
	for (i = 0; i < 10; i++, sleep_ms(20))
		EXPECT_READS(page_tag(1, 0), self->map);
	EXPECT_EQ(0, waitpid(self->proxy.pid, NULL, WNOHANG));
	/* Nobody else is let in, and operators are still obeyed. */
	EXPECT_GT(0, proxy_connect(&self->proxy));
	CONTROL(0, "revoke 1 0x40001000 0x1000");
	EXPECT_GONE(self->map + PAGE);
	EXPECT_READS(page_tag(1, 2), self->map + 2 * PAGE);
	close(self->pair.backend);
	EXPECT_EQ(0, proxy_stop(&self->proxy, 0));
	EXPECT_GONE(self->map);
}

TEST_F(limits, stop_ends_when_grace_does)
{
	ASSERT_EQ(0, begin(self, "--grace 300"));
	ASSERT_EQ(0, kill(self->proxy.pid, SIGINT));
	ASSERT_EQ(0, vhost_closed(self->pair.backend));
	EXPECT_EQ(0, proxy_says(&self->proxy, "told to end; 1 regions"));
	EXPECT_EQ(NULL, strstr(proxy_log(&self->proxy), "killed"));
	EXPECT_EQ(0, proxy_stop(&self->proxy, 0));
	EXPECT_GONE(self->map);
}

/* Whoever says it twice means it. */
TEST_F(limits, second_stop_is_at_once)
{
	ASSERT_EQ(0, begin(self, GRACE));
	ASSERT_EQ(0, kill(self->proxy.pid, SIGTERM));
	ASSERT_EQ(0, vhost_closed(self->pair.backend));
	EXPECT_READS(page_tag(1, 0), self->map);
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
	EXPECT_GONE(self->map);
}

/* ---- No room ---- */

static unsigned long ticks(pid_t pid)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, system = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	read_file(path, text, sizeof(text));
	sscanf(strrchr(text, ')') ?: "", ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
	       &system);
	return user + system;
}

/* Does it spin? All of two seconds are 200 ticks. */
static bool spins(pid_t pid)
{
	unsigned long before = ticks(pid);

	sleep_ms(2000);
	return ticks(pid) - before > 100;
}

static int count(const char *text, const char *what)
{
	int n = 0;

	while ((text = strstr(text, what))) {
		text += strlen(what);
		n++;
	}
	return n;
}

static void limit_files(pid_t pid, unsigned int most)
{
	const struct rlimit limit = { most, most };

	prlimit(pid, RLIMIT_NOFILE, &limit, NULL);
}

TEST_F_TIMEOUT(limits, no_more_descriptors, 60)
{
	int socks[14], i;

	ASSERT_EQ(0, begin(self, ""));
	limit_files(self->proxy.pid, 20);
	for (i = 0; i < 14; i++)
		socks[i] = proxy_connect(&self->proxy);
	ASSERT_EQ(0, proxy_says(&self->proxy, "frontends have to wait"));
	EXPECT_FALSE(spins(self->proxy.pid));
	EXPECT_EQ(1, count(proxy_log(&self->proxy), "frontends have to wait"));
	/* Whoever takes memory back is let in. */
	CONTROL(0, "revoke 1");
	EXPECT_GONE(self->map);
	CONTROL(0, "restore all");
	for (i = 0; i < 14; i++)
		close(socks[i]);
	pair_close(&self->pair);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
		pair_close(&self->pair);
	}
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
}

/* Of a session, too: it obeys, and goes on. */
TEST_F(limits, session_without_descriptors_obeys)
{
	struct vhost_message got;

	ASSERT_EQ(0, begin(self, ""));
	limit_files(proxy_session(&self->proxy), 3);
	CONTROL(0, "revoke 1");
	EXPECT_GONE(self->map);
	EXPECT_EQ(0, proxy_says(&self->proxy, "an operator gets no answer"));
	CONTROL(0, "list");
	ASSERT_EQ(0, vhost_send_empty(self->pair.frontend, GET_FEATURES, 0));
	EXPECT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
}

/* It may not look at as many files as it has to: poll() fails as long as that is so. */
TEST_F(limits, poll_that_fails)
{
	ASSERT_EQ(0, begin(self, ""));
	limit_files(self->proxy.pid, 2);
	/* It wakes up. */
	close(proxy_connect(&self->proxy));
	ASSERT_EQ(0, proxy_says(&self->proxy, "poll: Invalid argument"));
	EXPECT_FALSE(spins(self->proxy.pid));
	EXPECT_EQ(1, count(proxy_log(&self->proxy), "poll: "));
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
	EXPECT_GONE(self->map);
}

/* ---- Silence ---- */

static int be_operator(struct vhost_proxy *proxy)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", proxy->control);
	return connect(sock, (struct sockaddr *)&address, sizeof(address)) ? -errno : sock;
}

TEST_F(limits, silent_peers_are_dropped)
{
	int frontend, operator;
	struct vhost_message got;

	ASSERT_EQ(0, begin(self, "--timeout 500"));
	frontend = proxy_connect(&self->proxy);
	operator = be_operator(&self->proxy);
	EXPECT_EQ(0, vhost_closed(frontend));
	EXPECT_EQ(0, vhost_closed(operator));
	EXPECT_EQ(0, proxy_says(&self->proxy, "session 2: the frontend has sent nothing for 500 ms"));
	/* One that has spoken may be silent. */
	ASSERT_EQ(0, vhost_send_empty(self->pair.frontend, GET_FEATURES, 0));
	EXPECT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
}

/* Silent operators keep nobody out, however many they are. */
TEST_F(limits, silent_operators_make_room)
{
	int i;

	ASSERT_EQ(0, begin(self, "--timeout 0"));
	for (i = 0; i < 40; i++)
		ASSERT_LE(0, be_operator(&self->proxy));
	CONTROL(0, "revoke 1");
	EXPECT_GONE(self->map);
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
}

/* ---- A backend that is down ---- */

static int try_again(struct vhost_proxy *proxy)
{
	int sock = proxy_connect(proxy), err = vhost_send_empty(sock, SET_OWNER, 0) ?: vhost_closed(sock);

	close(sock);
	return err;
}

TEST_F(limits, backend_that_is_down_is_told_once)
{
	int i, round;

	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	for (round = 1; round <= 2; round++) {
		close(self->proxy.listener);
		unlink(self->proxy.backend);
		for (i = 0; i < 5; i++)
			ASSERT_EQ(0, try_again(&self->proxy));
		self->proxy.listener = unix_socket(self->proxy.backend, true);
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
		pair_close(&self->pair);
		EXPECT_EQ(round, count(proxy_log(&self->proxy), "cannot connect to the backend"))
			TH_LOG("%s", proxy_log(&self->proxy));
	}
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
}

TEST_HARNESS_MAIN
