// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_control.c - an operator narrows, revokes and restores guest memory of a
 * session that runs; and what memview-vhost-user needs, it says
 */
#include "vhost.h"

#include <sys/socket.h>
#include <sys/un.h>

#define SIZE	(64 * PAGE)
#define GUEST	GiB

static const struct vhost_region region = { GUEST, SIZE, 0x7f0000000000, 0 };

FIXTURE(control)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	int memfd;
	char *map;
	char out[16384];
};

FIXTURE_SETUP(control)
{
	int view;

	ASSERT_LE(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, 1);
	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	ASSERT_EQ(0, vhost_add(&self->pair, &region, self->memfd, &view));
	self->map = view_mmap(view, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(control)
{
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define CONTROL(status, command)					\
	EXPECT_EQ(status, proxy_control(&self->proxy, command, self->out, sizeof(self->out))) \
		TH_LOG("%s", self->out)

#define EXPECT_SAID(text)						\
	EXPECT_NE(NULL, strstr(self->out, text)) TH_LOG("no '%s' in: %s", text, self->out)

/* Are pages as the string says: w written, r read only, - gone? */
static bool pages_are(char *map, const char *expected, char *got)
{
	size_t i, n = strlen(expected);
	uint64_t word;

	for (i = 0; i < n; i++) {
		char *at = map + i * PAGE;

		if (probe_read(at, &word) == SIGBUS)
			got[i] = '-';
		else if (word != page_tag(1, i))
			got[i] = '?';
		else
			got[i] = probe_write(at, word) == SIGSEGV ? 'r' : 'w';
	}
	got[n] = '\0';
	return !strcmp(expected, got);
}

#define EXPECT_PAGES(expected)						\
	do {								\
		char got_[SIZE / PAGE + 1];				\
									\
		EXPECT_TRUE(pages_are(self->map, expected, got_))	\
			TH_LOG("pages are %s, not %s", got_, expected);	\
	} while (0)

TEST_F(control, changes_spans)
{
	EXPECT_PAGES("wwwwwwww");
	CONTROL(0, "revoke 1 0x40002000 0x2000");
	EXPECT_PAGES("ww--wwww");
	CONTROL(0, "read-only 1 0x40003000 0x2000");
	EXPECT_PAGES("ww-rrwww");
	CONTROL(0, "list");
	EXPECT_SAID("session 1");
	EXPECT_SAID("guest 0x40000000 size 0x40000 view ");
	EXPECT_SAID("revoked 0x40002000 size 0x2000");
	EXPECT_SAID("read-only 0x40003000 size 0x2000");
	CONTROL(0, "restore 1 0x40002000 0x2000");
	EXPECT_PAGES("wwwwrwww");
	CONTROL(0, "revoke 1");
	EXPECT_PAGES("--------");
	CONTROL(0, "restore all 0x40000000 4K");
	EXPECT_PAGES("w-------");
	CONTROL(0, "read-only all");
	EXPECT_PAGES("rrrrrrrr");
	CONTROL(0, "restore all");
	EXPECT_PAGES("wwwwwwww");
	CONTROL(0, "list");
	EXPECT_EQ(NULL, strstr(self->out, "revoked"));
}

/* What was restored and had nothing to undo is forgotten: the spans do not run out. */
TEST_F_TIMEOUT(control, forgets_what_is_restored, 300)
{
	char command[64];
	int i;

	CONTROL(0, "revoke 1 0x40001000 0x1000");
	for (i = 0; i < 200; i++) {
		snprintf(command, sizeof(command), "revoke 1 %#lx 0x2000", 4 * GiB + i * 4 * PAGE);
		CONTROL(0, command);
		snprintf(command, sizeof(command), "restore 1 %#lx 0x2000", 4 * GiB + i * 4 * PAGE);
		CONTROL(0, command);
	}
	CONTROL(0, "revoke 1 0x40003000 0x1000");
	EXPECT_PAGES("w-w-w");
	CONTROL(0, "list");
	EXPECT_EQ(NULL, strstr(self->out, "restored")) TH_LOG("%s", self->out);
	/* Within one that lasts it counts, until that goes. */
	CONTROL(0, "revoke 1 0x40000000 0x8000");
	CONTROL(0, "restore 1 0x40002000 0x1000");
	CONTROL(0, "restore 1 0x40002000 0x2000");
	EXPECT_PAGES("--ww----");
	CONTROL(0, "list");
	EXPECT_SAID("restored 0x40002000 size 0x2000");
	CONTROL(0, "restore 1 0x3ffff000 0x9000");
	EXPECT_PAGES("wwwwwwww");
	CONTROL(0, "list");
	EXPECT_EQ(NULL, strstr(self->out, "restored")) TH_LOG("%s", self->out);
}

/* What the operator said holds for what the frontend announces again. */
TEST_F(control, holds_for_new_regions)
{
	struct vhost_message got;
	int view;

	CONTROL(0, "revoke 1 0x40001000 0x1000");
	ASSERT_EQ(0, vhost_remove(&self->pair, &region));
	ASSERT_EQ(0, vhost_add(&self->pair, &region, self->memfd, &view));
	munmap(self->map, SIZE);
	self->map = view_mmap(view, SIZE, PROT_RW, 0);
	EXPECT_PAGES("w-ww");
	/* And over a reset. */
	ASSERT_EQ(0, vhost_send_empty(self->pair.frontend, RESET_DEVICE, 0));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_PAGES("----");
	CONTROL(0, "restore 1 0x40003000 0x1000");
	EXPECT_PAGES("----");
	ASSERT_EQ(0, vhost_send_u64(self->pair.frontend, SET_VRING_NUM, 0, 0));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_PAGES("w-ww");
	/* And over the session: vhost_spans.c has more of that. */
	pair_close(&self->pair);
	ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	ASSERT_EQ(0, vhost_add(&self->pair, &region, self->memfd, &view));
	self->map = view_mmap(view, SIZE, PROT_RW, 0);
	EXPECT_PAGES("w-ww");
}

/* A thread writes all the while: the operator's word counts when it is given. */
static bool stop;

static void *write_on(void *arg)
{
	uint64_t n = 0;

	for (; !__atomic_load_n(&stop, __ATOMIC_RELAXED); n++)
		probe_write((char *)arg + n % 8 * PAGE, n);
	return NULL;
}

TEST_F(control, counts_when_it_is_given)
{
	char *mine = mmap(NULL, SIZE, PROT_RW, MAP_SHARED, self->memfd, 0), copy[8 * PAGE];
	pthread_t thread;
	int i, n = scaled(20), waited;

	ASSERT_EQ(0, pthread_create(&thread, NULL, write_on, self->map));
	for (i = 0; i < n; i++) {
		CONTROL(0, i % 2 ? "revoke 1" : "read-only 1");
		memcpy(copy, mine, sizeof(copy));
		sleep_ms(5);
		EXPECT_EQ(0, memcmp(copy, mine, sizeof(copy)));
		CONTROL(0, "restore 1");
		for (waited = 0; waited < 2000 && !memcmp(copy, mine, sizeof(copy)); waited++)
			sleep_ms(1);
		EXPECT_GT(2000, waited);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static int status_of(const char *command, char *out, size_t size)
{
	FILE *pipe = popen(command, "r");
	size_t used = fread(out, 1, size - 1, pipe);
	int status;

	out[used] = '\0';
	status = pclose(pipe);
	return WEXITSTATUS(status);
}

/* No tool takes 010 for eight, nor what has a sign, a space or something behind it. */
TEST_F(control, takes_numbers_as_they_are)
{
	static const char *const wrong[] = {
		"010", "00", "0x", "0X10", "1x", "0x1g", "+1", "-1", " 1", "1 ", "1e3", "",
		"18446744073709551617", "0x10000000000000001",
	};
	char command[256];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(command, sizeof(command),
			 "for tool in 'memview-vhost-user --control %s revoke' 'memviewctl show' "
			 "'memview-vhost-user -f a -b b --grace' 'memview-demo --replacements'; "
			 "do timeout 10 $tool '%s' 2>&1; [ $? = 2 ] || exit 1; done",
			 self->proxy.control, wrong[i]);
		EXPECT_EQ(0, status_of(command, self->out, sizeof(self->out)))
			TH_LOG("'%s': %s", wrong[i], self->out);
	}
	CONTROL(2, "revoke 1 010000 010000");
	CONTROL(2, "revoke 1 4K 16777216T");
	EXPECT_PAGES("wwww");
	CONTROL(0, "revoke 0x1 1048576K 4K");
	EXPECT_PAGES("-www");
}

TEST_F(control, says_what_is_wrong)
{
	char command[64];
	int i;

	CONTROL(1, "revoke 9");
	EXPECT_SAID("there is no session 9");
	CONTROL(2, "revoke");
	CONTROL(2, "take 1");
	CONTROL(2, "revoke 0");
	CONTROL(2, "revoke 1 0x1000");
	CONTROL(2, "revoke 1 1 1");
	EXPECT_SAID("multiples of 4096");
	CONTROL(2, "revoke 1 0xfffffffffffff000 0x2000");
	EXPECT_PAGES("wwww");
	for (i = 0; i < 64; i++) {
		snprintf(command, sizeof(command), "revoke 1 %#lx 0x1000", 4 * GiB + i * 2 * PAGE);
		CONTROL(0, command);
	}
	CONTROL(1, "revoke 1 0x40000000 0x1000");
	EXPECT_SAID("too many spans");
	EXPECT_PAGES("wwww");
	CONTROL(0, "restore all");
	CONTROL(0, "revoke 1 0x40000000 0x1000");
	pair_close(&self->pair);
	ASSERT_EQ(0, proxy_says(&self->proxy, "taken back"));
	sleep_ms(100);
	CONTROL(0, "list");
	EXPECT_SAID("There is no session.");
}

/* A frontend that asks for something: that is when a session begins. */
static int speak(struct vhost_proxy *proxy)
{
	int sock = proxy_connect(proxy);

	vhost_send_empty(sock, SET_OWNER, 0);
	return sock;
}

TEST_F(control, says_what_it_needs)
{
	char command[256];

	EXPECT_EQ(2, status_of("memview-vhost-user --frontend x 2>&1", self->out, sizeof(self->out)));
	EXPECT_SAID("--backend");
	EXPECT_EQ(1, status_of("memview-vhost-user --control /nowhere list 2>&1", self->out,
			       sizeof(self->out)));
	EXPECT_SAID("does memview-vhost-user run");
	snprintf(command, sizeof(command), "memview-vhost-user --frontend %s --backend x 2>&1",
		 self->proxy.frontend);
	EXPECT_EQ(1, status_of(command, self->out, sizeof(self->out)));
	EXPECT_SAID("another process does");

	/* No backend: the frontend hears of it at once, and the next one is served. */
	unlink(self->proxy.backend);
	EXPECT_EQ(0, vhost_closed(speak(&self->proxy)));
	EXPECT_EQ(0, proxy_says(&self->proxy, "cannot connect to the backend"));
	EXPECT_EQ(0, vhost_closed(speak(&self->proxy)));
	EXPECT_PAGES("wwww");
}

/* It leaves nothing behind, and is no frontend of the one that runs. */
TEST_F(control, fails_without_a_trace)
{
	char command[256], control[64];
	int sock;

	snprintf(control, sizeof(control), "%s/second", self->proxy.dir);
	snprintf(command, sizeof(command),
		 "memview-vhost-user --frontend %s --backend x --control %s 2>&1",
		 self->proxy.frontend, control);
	EXPECT_EQ(1, status_of(command, self->out, sizeof(self->out)));
	EXPECT_SAID("another process does");
	EXPECT_EQ(-1, access(control, F_OK));
	sleep_ms(200);
	EXPECT_EQ(NULL, strstr(proxy_log(&self->proxy), "session 2")) {
		TH_LOG("%s", proxy_log(&self->proxy));
	}
	/* Nobody has connected to the backend either. */
	fcntl(self->proxy.listener, F_SETFL, O_NONBLOCK);
	EXPECT_EQ(-1, accept(self->proxy.listener, NULL, NULL));
	fcntl(self->proxy.listener, F_SETFL, 0);
	/* What runs goes on, as do frontends that begin later than they connect. */
	EXPECT_PAGES("wwww");
	sock = proxy_connect(&self->proxy);
	sleep_ms(100);
	CONTROL(0, "list");
	EXPECT_SAID("session 3, ");
	EXPECT_EQ(0, vhost_send_empty(sock, SET_OWNER, 0));
	EXPECT_EQ(0, proxy_says(&self->proxy, "session 3: begins"));
}

/* One that is stopped, and whose queue is full, is another process that listens. */
TEST_F(control, fails_where_one_is_stuck)
{
	char command[256];
	int i, sock;

	ASSERT_EQ(0, kill(self->proxy.pid, SIGSTOP));
	for (i = 0; i < 100; i++) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		snprintf(address.sun_path, sizeof(address.sun_path), "%s", self->proxy.frontend);
		if (connect(sock, (struct sockaddr *)&address, sizeof(address)))
			break;
	}
	EXPECT_GT(100, i);
	snprintf(command, sizeof(command),
		 "timeout 10 memview-vhost-user --frontend %s --backend x 2>&1",
		 self->proxy.frontend);
	EXPECT_EQ(1, status_of(command, self->out, sizeof(self->out)));
	EXPECT_SAID("another process does");
	EXPECT_EQ(0, access(self->proxy.frontend, F_OK));
	ASSERT_EQ(0, kill(self->proxy.pid, SIGCONT));
}

/* Killed: its socket is in the way, and nobody listens to it. */
TEST_F(control, replaces_a_stale_socket)
{
	char command[256];

	snprintf(command, sizeof(command),
		 "memview-vhost-user --frontend %s/stale --backend x & sleep 1; kill -9 $!",
		 self->proxy.dir);
	system(command);
	snprintf(command, sizeof(command),
		 "timeout 1 memview-vhost-user --frontend %s/stale --backend x 2>&1",
		 self->proxy.dir);
	status_of(command, self->out, sizeof(self->out));
	EXPECT_SAID("listening at");
}

/* What is no socket is named, and stays as it is. */
TEST_F(control, says_what_is_in_the_way)
{
	static const struct {
		const char *make, *what;
	} cases[] = {
		{ "echo mine >there", "a regular file is there" },
		{ "mkdir there", "a directory is there" },
		{ "ln -s nowhere there", "a symbolic link is there" },
		{ "mkfifo there", "a named pipe is there" },
	};
	char command[256];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(command, sizeof(command),
			 "cd %s; rm -rf there; %s; before=$(stat -c %%i there); "
			 "memview-vhost-user --frontend there --backend x 2>&1; "
			 "[ $before = $(stat -c %%i there) ]", self->proxy.dir, cases[i].make);
		EXPECT_EQ(0, status_of(command, self->out, sizeof(self->out)));
		EXPECT_SAID(cases[i].what);
		EXPECT_SAID("remove it, or give another path");
		EXPECT_EQ(NULL, strstr(self->out, "another process")) TH_LOG("%s", self->out);
	}
	EXPECT_EQ(1, status_of("memview-vhost-user --frontend /nowhere/there --backend x 2>&1", self->out,
			       sizeof(self->out)));
	EXPECT_SAID("there is no such directory");

	/* Nor can a backend be there. */
	unlink(self->proxy.backend);
	snprintf(command, sizeof(command), "echo mine >%s", self->proxy.backend);
	ASSERT_EQ(0, system(command));
	EXPECT_EQ(0, vhost_closed(speak(&self->proxy)));
	EXPECT_EQ(0, proxy_says(&self->proxy, "a regular file is there, no socket"));
}

TEST_F(control, requires_a_policy)
{
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	int view, i, status = 1;

	ASSERT_EQ(0, proxy_start(&proxy, "--policy memfd-only"));
	EXPECT_EQ(0, vhost_closed(speak(&proxy)));
	EXPECT_EQ(0, proxy_says(&proxy, "the policy 'memfd-only' is not attached"));
	system("memviewctl policy load --audit memfd-only >/dev/null & echo $! >/tmp/policy");
	for (i = 0; status && i < 100; i++, sleep_ms(100))
		status = system("memviewctl policy list | grep -q memfd-only");
	ASSERT_EQ(0, status);
	EXPECT_EQ(0, vhost_closed(speak(&proxy)));
	EXPECT_EQ(0, proxy_says(&proxy, "does not enforce: it audits"));
	system("kill $(cat /tmp/policy)");
	for (i = 0; !status && i < 100; i++, sleep_ms(100))
		status = system("memviewctl policy list | grep -q memfd-only");
	ASSERT_NE(0, status);
	system("memviewctl policy load memfd-only >/dev/null & echo $! >/tmp/policy");
	for (i = 0; status && i < 100; i++, sleep_ms(100))
		status = system("memviewctl policy list | grep -q memfd-only");
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, pair_open(&proxy, &pair));
	EXPECT_EQ(0, vhost_add(&pair, &region, self->memfd, &view));
	system("kill $(cat /tmp/policy)");
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
}

TEST_HARNESS_MAIN
