// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_spans.c - what an operator has taken away stays away: where the view
 * cannot be changed as it was said, when the device hangs up, and when the
 * proxy starts again
 */
#include "vhost.h"

#define SIZE	(8 * PAGE)
#define GUEST	GiB
#define MAX_RANGES "/sys/module/memview/parameters/max_ranges"
#define BOOT_ID	"/proc/sys/kernel/random/boot_id"

static const struct vhost_region region = { GUEST, SIZE, 0x7f0000000000, 0 };

FIXTURE(spans)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	int memfd;
	char *map;
	char dir[32], state[64], options[128];
	char max_ranges[32];
	char out[16384];
};

static int start(struct vhost_proxy *proxy, struct vhost_pair *pair, const char *options, int memfd,
		 char **map)
{
	int view, err = proxy_start(proxy, options) ?: pair_open(proxy, pair) ?:
			vhost_add(pair, &region, memfd, &view);

	if (err)
		return err;
	*map = view_mmap(view, SIZE, PROT_RW, 0);
	close(view);
	return *map == MAP_FAILED ? -errno : 0;
}

FIXTURE_SETUP(spans)
{
	ASSERT_LE(0, klog_start(&self->klog));
	ASSERT_LT(0, read_file(MAX_RANGES, self->max_ranges, sizeof(self->max_ranges)));
	self->memfd = memfd_filled(SIZE, 1);
	strcpy(self->dir, "/tmp/spans-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	snprintf(self->state, sizeof(self->state), "%s/state", self->dir);
	snprintf(self->options, sizeof(self->options), "--state %s", self->state);
	ASSERT_EQ(0, start(&self->proxy, &self->pair, self->options, self->memfd, &self->map));
}

FIXTURE_TEARDOWN(spans)
{
	char command[64];

	EXPECT_EQ(0, write_file(MAX_RANGES, self->max_ranges));
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
	snprintf(command, sizeof(command), "rm -r %s", self->dir);
	EXPECT_EQ(0, system(command));
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define CONTROL(status, command)					\
	EXPECT_EQ(status, proxy_control(&self->proxy, command, self->out, sizeof(self->out))) \
		TH_LOG("%s", self->out)

#define EXPECT_SAID(text)						\
	EXPECT_NE(NULL, strstr(self->out, text)) TH_LOG("no '%s' in: %s", text, self->out)

/* What each page is: w written, r read only, - gone. */
static const char *pages(char *map)
{
	static char got[SIZE / PAGE + 1];
	uint64_t word;
	size_t i;

	for (i = 0; i < SIZE / PAGE; i++) {
		if (probe_read(map + i * PAGE, &word))
			got[i] = '-';
		else if (word != page_tag(1, i))
			got[i] = '?';
		else
			got[i] = probe_write(map + i * PAGE, word) ? 'r' : 'w';
	}
	return got;
}

/* A span that would take a range more than there may be: all of the region goes. */
TEST_F(spans, hides_what_cannot_be_changed)
{
	static const char *const commands[] = { "revoke", "read-only" };
	char command[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		ASSERT_STREQ("wwwwwwww", pages(self->map));
		ASSERT_EQ(0, write_file(MAX_RANGES, "1"));
		snprintf(command, sizeof(command), "%s 1 0x40002000 0x2000", commands[i]);
		CONTROL(1, command);
		EXPECT_SAID("hidden");
		EXPECT_STREQ("--------", pages(self->map));
		CONTROL(0, "list");
		EXPECT_SAID("shows less than it may");
		/* A restore that fails gives no more than is allowed. */
		CONTROL(1, "restore 1 0x40002000 0x1000");
		EXPECT_SAID("not all is restored");
		EXPECT_EQ(NULL, strchr(pages(self->map) + 3, 'w'));
		ASSERT_EQ(0, write_file(MAX_RANGES, self->max_ranges));
		CONTROL(0, "restore 1 0x40002000 0x1000");
		EXPECT_STREQ(i ? "wwwrwwww" : "www-wwww", pages(self->map));
		CONTROL(0, "restore 1");
	}
	CONTROL(0, "list");
	EXPECT_EQ(NULL, strstr(self->out, "shows less"));
}

/* Nor does a policy keep memory writable. */
TEST_F_TIMEOUT(spans, hides_what_a_policy_refuses, 60)
{
	pid_t policy = program_start(NULL, self->proxy.log, "exec memviewctl policy load sealed-only");
	int i, status = 1;

	for (i = 0; status && i < 100; i++, sleep_ms(100))
		status = system("memviewctl policy list | grep -q sealed-only");
	ASSERT_EQ(0, status);
	CONTROL(1, "read-only 1");
	EXPECT_SAID("a policy refuses");
	EXPECT_STREQ("--------", pages(self->map));
	program_stop(&policy);
	CONTROL(0, "read-only 1");
	EXPECT_STREQ("rrrrrrrr", pages(self->map));
}

/* The next session of the frontend, whose backend has hung up. */
static int again(FIXTURE_DATA(spans) *self)
{
	int view, err;

	close(self->pair.backend);
	err = vhost_closed(self->pair.frontend);
	close(self->pair.frontend);
	munmap(self->map, SIZE);
	err = err ?: pair_open(&self->proxy, &self->pair) ?:
	      vhost_add(&self->pair, &region, self->memfd, &view);
	if (err)
		return err;
	self->map = view_mmap(view, SIZE, PROT_RW, 0);
	close(view);
	return self->map == MAP_FAILED ? -errno : 0;
}

TEST_F(spans, outlive_a_device_that_hangs_up)
{
	char text[64];
	int i;

	CONTROL(0, "revoke 1 0x40001000 0x1000");
	CONTROL(0, "read-only 1 0x40003000 0x2000");
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, again(self));
		EXPECT_STREQ("w-wrrwww", pages(self->map));
	}
	CONTROL(0, "list");
	EXPECT_SAID("session 4");
	EXPECT_SAID("revoked 0x40001000 size 0x1000");

	/* Between two sessions, too, operators have their say. */
	pair_close(&self->pair);
	ASSERT_EQ(0, proxy_says(&self->proxy, "session 4: the "));
	for (i = 0; i < 100 && proxy_session(&self->proxy) > 0; i++)
		sleep_ms(10);
	CONTROL(0, "list");
	snprintf(text, sizeof(text), "no session now of frontend %d, the last was 4\n", getpid());
	EXPECT_SAID(text);
	EXPECT_SAID("revoked 0x40001000 size 0x1000");
	CONTROL(0, "restore 4 0x40001000 0x1000");
	EXPECT_SAID("has no session now");
	ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	ASSERT_EQ(0, vhost_add(&self->pair, &region, self->memfd, &i));
	self->map = view_mmap(i, SIZE, PROT_RW, 0);
	EXPECT_STREQ("wwwrrwww", pages(self->map));
	CONTROL(0, "restore all");
	EXPECT_STREQ("wwwwwwww", pages(self->map));
}

/* It is the frontend's memory: in all its sessions, and in nobody else's. */
TEST_F(spans, are_of_one_frontend)
{
	struct vhost_pair other;
	int view, status = -1;
	char *map;
	pid_t pid;

	ASSERT_EQ(0, pair_open(&self->proxy, &other));
	ASSERT_EQ(0, vhost_add(&other, &region, self->memfd, &view));
	map = view_mmap(view, SIZE, PROT_RW, 0);
	CONTROL(0, "revoke 1 0x40000000 0x1000");
	EXPECT_SAID("session 1: revoked");
	EXPECT_SAID("session 2: revoked");
	EXPECT_STREQ("-wwwwwww", pages(map));
	EXPECT_STREQ("-wwwwwww", pages(self->map));
	pid = fork();
	if (!pid) {
		if (pair_open(&self->proxy, &other) ||
		    vhost_add(&other, &region, self->memfd, &view))
			_exit(1);
		map = view_mmap(view, SIZE, PROT_RW, 0);
		_exit(strcmp("wwwwwwww", pages(map)) ? 2 : 0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static bool exists(const char *path, const char *suffix)
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s", path, suffix);
	return !access(name, F_OK);
}

TEST_F(spans, outlive_the_proxy)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	struct stat stat_buf;
	unsigned int i;

	CONTROL(0, "revoke 1 0x40001000 0x1000");
	CONTROL(0, "read-only 1 0x40003000 0x2000");
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		ASSERT_EQ(0, stat(self->state, &stat_buf));
		EXPECT_EQ(S_IFREG | 0600, stat_buf.st_mode);
		EXPECT_FALSE(exists(self->state, ".new"));
		EXPECT_EQ(i ? SIGKILL : 0, proxy_stop(&self->proxy, signals[i]));
		pair_close(&self->pair);
		ASSERT_EQ(0, start(&self->proxy, &self->pair, self->options, self->memfd, &self->map));
		EXPECT_STREQ("w-wrrwww", pages(self->map));
	}
	/* Nor is it there again when it has been restored. */
	CONTROL(0, "restore all");
	EXPECT_STREQ("wwwwwwww", pages(self->map));
	EXPECT_EQ(SIGKILL, proxy_stop(&self->proxy, SIGKILL));
	pair_close(&self->pair);
	ASSERT_EQ(0, start(&self->proxy, &self->pair, self->options, self->memfd, &self->map));
	EXPECT_STREQ("wwwwwwww", pages(self->map));
	/* What cannot be kept is taken away all the same, and that is said. */
	ASSERT_EQ(0, rename(self->dir, "/tmp/spans-elsewhere"));
	CONTROL(1, "revoke 1 0x40000000 0x1000");
	EXPECT_SAID("session 1: revoked");
	EXPECT_SAID("not kept");
	EXPECT_STREQ("-wwwwwww", pages(self->map));
	ASSERT_EQ(0, rename("/tmp/spans-elsewhere", self->dir));
}

/* Begin a proxy with a state file of that text, or made by that command. */
static int begin_with(const char *dir, const char *make, char *out, size_t size)
{
	char command[1024];
	FILE *pipe;
	int status;

	snprintf(command, sizeof(command),
		 "cd %s && rm -rf bad target && %s; before=$(cat bad 2>/dev/null); "
		 "timeout 10 memview-vhost-user --frontend f --backend b --state bad 2>&1; s=$?; "
		 "[ \"$before\" = \"$(cat bad 2>/dev/null)\" ] || exit 99; exit $s", dir, make);
	pipe = popen(command, "r");
	status = fread(out, 1, size - 1, pipe);
	out[status] = '\0';
	status = pclose(pipe);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

#define HEAD "printf 'memview-vhost-user 1\\nboot %%s\\n' $(cat " BOOT_ID ") >bad; printf '"
#define TAIL "' >>bad"

/* It does not begin with less than what was said: it says where the file is wrong. */
TEST_F(spans, refuses_a_state_it_cannot_read)
{
	static const struct {
		const char *make, *said;
	} cases[] = {
		{ ": >bad", "line 1: it ends here" },
		{ "echo nonsense >bad", "line 1: it does not begin with" },
		{ "head -c 4096 /dev/zero >bad", "line 1: it is too long" },
		{ "echo 'memview-vhost-user 2' >bad", "line 1: it does not begin with" },
		{ "echo 'memview-vhost-user 1' >bad", "line 2: it ends here" },
		{ "printf 'memview-vhost-user 1\\nroot x\\nend\\n' >bad", "line 2: 'boot' is missing" },
		{ HEAD "frontend 1 1\\n" TAIL, "line 4: it ends here, and not with 'end'" },
		{ HEAD "end\\nend\\n" TAIL, "line 3: something follows 'end'" },
		{ HEAD "revoked 0x0 0x1000\\nend\\n" TAIL, "line 3: a span of no frontend" },
		{ HEAD "frontend 1\\nend\\n" TAIL, "line 3: a number is missing" },
		{ HEAD "frontend 01 1\\nend\\n" TAIL, "line 3: '01 1' are not two numbers" },
		{ HEAD "frontend 4294967297 1\\nend\\n" TAIL, "is no process" },
		{ HEAD "frontend 1 1\\nfrontend 1 1\\nend\\n" TAIL, "line 4: a frontend is there twice" },
		{ HEAD "frontend 1 1\\nrevoked 0x1000 0x1000\\nend\\n" TAIL, "line 4: '0x1000 0x1000' is no" },
		{ HEAD "frontend 1 1\\nrevoked 0x1 0x1000\\nend\\n" TAIL, "is no span of pages" },
		{ HEAD "frontend 1 1\\nrevoked 0x0 -1\\nend\\n" TAIL, "are not two numbers" },
		{ HEAD "frontend 1 1\\nrevokedx 0x0 0x1000\\nend\\n" TAIL, "means nothing" },
		{ HEAD "frontend 1 1\\n" TAIL "; yes revoked 0x0 0x1000 | head -65 >>bad", "more than 64 spans" },
		{ HEAD "end\\n" TAIL "; chmod 666 bad", "others may write to it" },
		{ HEAD "end\\n" TAIL "; mv bad target; ln -s target bad", "symbolic link" },
		{ "mkdir bad", "no regular file" },
		{ "ln -sf $PWD/state.lock bad.lock; : >bad", "Too many levels" },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(1, begin_with(self->dir, cases[i].make, self->out, sizeof(self->out)))
			TH_LOG("%s: %s", cases[i].make, self->out);
		EXPECT_SAID(cases[i].said);
	}
	/* One file is for one proxy. */
	snprintf(self->out, sizeof(self->out),
		 "timeout 10 memview-vhost-user --frontend f --backend b %s 2>&1 | grep -q 'another memview'",
		 self->options);
	EXPECT_EQ(0, system(self->out));
}

/* Answers come in any order, and are printed in one: the first session is late. */
TEST_F(spans, lists_sessions_in_order)
{
	pid_t late = proxy_session(&self->proxy), pid;
	struct vhost_pair others[3];
	const char *at, *next;
	char name[32];
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pair_open(&self->proxy, &others[i]));
	ASSERT_EQ(0, kill(late, SIGSTOP));
	pid = fork();
	if (!pid) {
		sleep_ms(700);
		_exit(kill(late, SIGCONT));
	}
	CONTROL(0, "list");
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	for (at = self->out, i = 1; i <= 4; i++, at = next) {
		snprintf(name, sizeof(name), "session %d,", i);
		next = strstr(at, name);
		ASSERT_NE(NULL, next) TH_LOG("%s", self->out);
	}
}

TEST_HARNESS_MAIN
