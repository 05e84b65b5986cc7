// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_stuck.c - peers and sessions that are stuck, busy or killed keep
 * neither operators waiting, nor other sessions, nor the end of the proxy
 */
#include "vhost.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SIZE	(16 * PAGE)
#define NR	5
#define MESSAGES 200
/* More of them than two pipes have room for. */
#define REPORTS 4000

static const struct vhost_region region = { GiB, SIZE, 0x7f0000000000, 0 };

FIXTURE(stuck)
{
	struct klog klog;
	int memfd;
};

FIXTURE_SETUP(stuck)
{
	ASSERT_LE(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, 1);
}

FIXTURE_TEARDOWN(stuck)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t seconds_since(uint64_t start)
{
	return (now_ns() - start) / 1000000000;
}

/* Wait until the list has @text, or has it no more. */
static bool lists(struct vhost_proxy *proxy, const char *text, bool expected)
{
	char out[4096];
	int i;

	for (i = 0; i < 100; i++, sleep_ms(50))
		if (!proxy_control(proxy, "list", out, sizeof(out)) && !strstr(out, text) == !expected)
			return true;
	printf("# list: %s\n", out);
	return false;
}

/* It listens, and of those that connect one is let in: the others wait. */
static int start_with_full_backend(struct vhost_proxy *proxy, int frontends[NR])
{
	int i, err = proxy_start(proxy, "");

	if (err || listen(proxy->listener, 0))
		return err ?: -errno;
	for (i = 0; i < NR; i++) {
		frontends[i] = proxy_connect(proxy);
		err = frontends[i] < 0 ? frontends[i] : vhost_send_u64(frontends[i], SET_FEATURES, 0, i);
		if (err)
			return err;
	}
	sleep_ms(500);
	return 0;
}

TEST_F_TIMEOUT(stuck, backend_that_does_not_accept, 60)
{
	struct vhost_proxy proxy;
	int frontends[NR], i;
	char out[4096], name[32];
	uint64_t start;

	ASSERT_EQ(0, start_with_full_backend(&proxy, frontends));
	start = now_ns();
	EXPECT_EQ(0, proxy_control(&proxy, "list", out, sizeof(out))) TH_LOG("%s", out);
	EXPECT_EQ(0, proxy_control(&proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
	EXPECT_GT(5, seconds_since(start));
	EXPECT_EQ(0, proxy_says(&proxy, "the backend accepts no connection"));
	for (i = 0; i < NR; i++) {
		snprintf(name, sizeof(name), "session %d,", i + 1);
		EXPECT_TRUE(lists(&proxy, name, true));
		if (i < 2)
			continue;
		close(frontends[i]);
		EXPECT_TRUE(lists(&proxy, name, false));
	}
	start = now_ns();
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
	EXPECT_GT(4, seconds_since(start));
}

/* Once it does, all are served. */
TEST_F_TIMEOUT(stuck, backend_that_accepts_late, 60)
{
	struct vhost_proxy proxy;
	struct vhost_message got;
	int frontends[NR], i, sock, seen = 0;

	ASSERT_EQ(0, start_with_full_backend(&proxy, frontends));
	for (i = 0; i < NR; i++) {
		sock = accept4(proxy.listener, NULL, NULL, SOCK_CLOEXEC);
		ASSERT_EQ(0, vhost_receive(sock, &got));
		EXPECT_EQ(SET_FEATURES, got.request);
		seen |= 1 << got.u64;
	}
	EXPECT_EQ((1 << NR) - 1, seen);
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
}

/* It hears of no end: it is killed, and the kernel takes back what it has lent. */
TEST_F_TIMEOUT(stuck, session_that_is_stopped, 60)
{
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	uint64_t word;
	int view;
	char *map;

	ASSERT_EQ(0, proxy_start(&proxy, ""));
	ASSERT_EQ(0, pair_open(&proxy, &pair));
	ASSERT_EQ(0, vhost_add(&pair, &region, self->memfd, &view));
	map = view_mmap(view, SIZE, PROT_RW, 0);
	EXPECT_EQ(0, probe_read(map, &word));
	ASSERT_EQ(0, kill(proxy_session(&proxy), SIGSTOP));
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
	EXPECT_EQ(SIGBUS, probe_read(map, &word));
	EXPECT_EQ(0, vhost_closed(pair.backend));
}

/* What reports go to has gone, and there is something to report. */
TEST_F(stuck, reports_that_nobody_reads)
{
	struct vhost_proxy proxy;
	struct vhost_pair pairs[2];
	struct vhost_message got;
	char text[4096];
	int reports[2];

	ASSERT_EQ(0, pipe2(reports, O_CLOEXEC));
	ASSERT_EQ(9, dup2(reports[1], 9));
	close(reports[1]);
	ASSERT_EQ(0, proxy_start(&proxy, "2>&9"));
	close(9);
	/* Its first line. */
	ASSERT_LT(0, read(reports[0], text, sizeof(text)));
	close(reports[0]);
	ASSERT_EQ(0, pair_open(&proxy, &pairs[0]));
	ASSERT_EQ(0, kill(proxy_session(&proxy), SIGKILL));
	ASSERT_EQ(0, vhost_closed(pairs[0].backend));
	sleep_ms(200);
	ASSERT_EQ(0, pair_open(&proxy, &pairs[1]));
	ASSERT_EQ(0, vhost_send_empty(pairs[1].frontend, GET_FEATURES, 0));
	EXPECT_EQ(0, vhost_receive(pairs[1].backend, &got));
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
}

/* Nothing can be written to it until somebody reads: lines that are empty. */
static int full_pipe(int ends[2])
{
	char lines[4096];

	memset(lines, '\n', sizeof(lines));
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], lines, sizeof(lines)) > 0)
		;
	/* As programs get it. */
	return fcntl(ends[1], F_SETFL, 0);
}

/* All that comes until there is silence for a second. */
static const char *read_reports(int from)
{
	static char text[2 * MiB];
	struct pollfd fd = { from, POLLIN, 0 };
	size_t size = 0;
	ssize_t got = 1;

	while (got > 0 && poll(&fd, 1, 1000 * slowness()) == 1) {
		got = read(from, text + size, sizeof(text) - 1 - size);
		size += got > 0 ? got : 0;
	}
	text[size] = '\0';
	return text;
}

/* How many lines are there, and how many are said to be missing. */
static void count_reports(const char *text, unsigned int *there, unsigned int *missing)
{
	unsigned int nr;

	for (; text; text = strchr(text, '\n')) {
		text += strspn(text, "\n");
		if (sscanf(text, "memview-vhost-user: %u lines are missing", &nr) == 1)
			*missing += nr;
		else if (*text)
			++*there;
	}
}

static int relay_many(struct vhost_pair *pair)
{
	struct vhost_message got;
	int i, err = 0;

	for (i = 0; i < REPORTS && !err; i++)
		err = vhost_send_u64(pair->frontend, SET_FEATURES, 0, i) ?:
		      vhost_receive(pair->backend, &got) ?: got.u64 == i ? 0 : -EPROTO;
	return err;
}

/*
 * What reports go to does not read: messages are relayed, memory is taken back,
 * and what could not be reported is counted.
 */
TEST_F_TIMEOUT(stuck, reports_that_nobody_takes, 120)
{
	unsigned int there = 0, missing = 0;
	int reports[2], view;
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	struct vhost_message got;
	uint64_t word, start;
	char *map, out[256];

	ASSERT_EQ(0, full_pipe(reports));
	ASSERT_EQ(9, dup2(reports[1], 9));
	close(reports[1]);
	ASSERT_EQ(0, proxy_start(&proxy, "--verbose 2>&9"));
	close(9);
	ASSERT_EQ(0, pair_open(&proxy, &pair));
	ASSERT_EQ(0, vhost_add(&pair, &region, self->memfd, &view));
	map = view_mmap(view, SIZE, PROT_RW, 0);
	ASSERT_EQ(0, relay_many(&pair));
	EXPECT_EQ(0, probe_read(map, &word));
	EXPECT_EQ(0, proxy_control(&proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
	EXPECT_EQ(SIGBUS, probe_read(map, &word));

	/* It reads: listening, begins, SET_OWNER, ADD_MEM_REG, the reply, SET_FEATURES, revoked. */
	count_reports(read_reports(reports[0]), &there, &missing);
	EXPECT_LT(100, there);
	EXPECT_LT(0, missing);
	EXPECT_EQ(REPORTS + 6, there + missing);
	ASSERT_EQ(0, vhost_send_empty(pair.frontend, GET_FEATURES, 0));
	ASSERT_EQ(0, vhost_receive(pair.backend, &got));
	EXPECT_NE(NULL, strstr(read_reports(reports[0]), "GET_FEATURES"));

	/* It does not read again, and keeps the end from nothing either. */
	ASSERT_EQ(0, relay_many(&pair));
	start = now_ns();
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
	EXPECT_GT(4, seconds_since(start));
}

/* In the place of memviewctl: one that never answers. */
static int stuck_memviewctl(struct vhost_proxy *proxy, const char *dir)
{
	char command[256], *path = strdup(getenv("PATH"));
	int err;

	snprintf(command, sizeof(command),
		 "cd %s && printf '#!/bin/sh\\nexec sleep 4711\\n' >memviewctl && chmod +x memviewctl",
		 dir);
	err = system(command) ? -EIO : 0;
	snprintf(command, sizeof(command), "%s:%s", dir, path);
	setenv("PATH", command, true);
	err = err ?: proxy_start(proxy, "--policy memfd-only");
	setenv("PATH", path, true);
	free(path);
	return err;
}

/*
 * The policy is asked for, and there is no answer: operators are served, a
 * frontend that goes ends its session and the asking, and so does time.
 */
TEST_F_TIMEOUT(stuck, policy_that_is_not_told, 120)
{
	char dir[] = "/tmp/stuck-XXXXXX", out[4096];
	struct vhost_proxy proxy;
	int frontends[2], i;
	uint64_t start;

	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, stuck_memviewctl(&proxy, dir));
	for (i = 0; i < 2; i++) {
		frontends[i] = proxy_connect(&proxy);
		ASSERT_EQ(0, vhost_send_empty(frontends[i], SET_OWNER, 0));
	}
	for (i = 0; i < 100 && system("pgrep -fx 'sleep 4711' >/dev/null"); i++)
		sleep_ms(50);
	start = now_ns();
	EXPECT_TRUE(lists(&proxy, "session 2,", true));
	EXPECT_EQ(0, proxy_control(&proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
	EXPECT_GT(8, seconds_since(start));
	close(frontends[0]);
	EXPECT_TRUE(lists(&proxy, "session 1,", false));
	EXPECT_EQ(0, proxy_says(&proxy, "takes more than 20 s"));
	EXPECT_EQ(0, vhost_closed(frontends[1]));
	EXPECT_TRUE(lists(&proxy, "session 2,", false));
	for (i = 0; i < 100 && !system("pgrep -fx 'sleep 4711' >/dev/null"); i++)
		sleep_ms(50);
	EXPECT_GT(100, i);
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
	snprintf(out, sizeof(out), "rm -r %s", dir);
	EXPECT_EQ(0, system(out));
}

/* An operator's "list" of which the session knows when this returns, and has not answered. */
static int ask_list(struct vhost_proxy *proxy)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), left = 1;
	const char request[32] = "";

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", proxy->control);
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) ||
	    send(sock, request, sizeof(request), 0) < 0)
		return -errno;
	/* The main process does nothing else before it has passed on what it took. */
	while (!ioctl(sock, SIOCOUTQ, &left) && left)
		sleep_ms(1);
	return sock;
}

/*
 * The session is told to end while many messages wait: it looks up from them.
 * It is stopped until all is prepared, and as it is at rest then, serves the
 * list first: after that come messages, in any case.
 */
TEST_F(stuck, frontend_that_sends_all_the_time)
{
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	struct vhost_message got;
	int i, sock, relayed = 0;
	pid_t session;

	ASSERT_EQ(0, proxy_start(&proxy, ""));
	ASSERT_EQ(0, pair_open(&proxy, &pair));
	session = proxy_session(&proxy);
	sleep_ms(200);
	ASSERT_EQ(0, kill(session, SIGSTOP));
	sock = ask_list(&proxy);
	ASSERT_LE(0, sock);
	for (i = 0; i < MESSAGES; i++)
		ASSERT_EQ(0, vhost_send_u64(pair.frontend, SET_FEATURES, 0, i));
	ASSERT_EQ(0, kill(proxy.pid, SIGTERM));
	/* It has closed its end of what the session hears it by. */
	sleep_ms(500);
	ASSERT_EQ(0, kill(session, SIGCONT));
	while (!vhost_receive(pair.backend, &got))
		relayed++;
	EXPECT_LT(0, relayed);
	EXPECT_GT(MESSAGES, relayed);
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
}

TEST_HARNESS_MAIN
