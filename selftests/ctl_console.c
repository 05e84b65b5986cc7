// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_console.c - memviewctl where its operator sits: in a container, before a
 * terminal, in a pipe that somebody stops reading, on a machine with many
 * processes
 */
#include "ctl.h"

#include <sys/prctl.h>

#define SIZE	(4 * PAGE)
#define PIN	"/sys/fs/bpf/memview/"

FIXTURE(ctl_console)
{
	struct klog klog;
	int memfd, control;
	unsigned long long id;
};

FIXTURE_SETUP(ctl_console)
{
	struct said said;

	ASSERT_EQ(0, klog_start(&self->klog));
	/* A test before this one may have died. */
	ASSERT_RUN(0, &said, "rm -f " PIN "*");
	ASSERT_EQ(0, policies_left());
	self->memfd = memfd_filled(SIZE, 1);
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	self->id = ctl_view_id(self->control);
	ASSERT_NE(MAP_FAILED, view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0));
}

FIXTURE_TEARDOWN(ctl_console)
{
	struct said said;

	run(&said, "rm -f " PIN "*");
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define INSIDE "unshare --pid --fork --mount-proc "

/* A client in another PID namespace has no name, but it is there. */
TEST_F(ctl_console, pid_namespace)
{
	struct json_object *show = ctl_json("show %llu", self->id);
	struct said said;

	EXPECT_EQ(1, get_len(show, "/mapped_by"));
	EXPECT_EQ(0, get_u64(show, "/mapped_by_unnamed"));
	ASSERT_RUN(0, &said, INSIDE "memviewctl show --json %llu", self->id);
	show = json_tokener_parse(said.out);
	EXPECT_EQ(1, get_u64(show, "/view/mappings"));
	EXPECT_EQ(0, get_len(show, "/mapped_by"));
	EXPECT_EQ(1, get_u64(show, "/mapped_by_unnamed"));
	ASSERT_RUN(0, &said, INSIDE "memviewctl show %llu", self->id);
	EXPECT_SAYS(said.out, "nobody who can be named from here\n");
	EXPECT_SAYS(said.out, "Mappings that cannot be named from here: 1. "
			      "Their processes are in another PID namespace.\n");
	ASSERT_RUN(0, &said, "memviewctl show %llu", self->id);
	EXPECT_EQ(NULL, strstr(said.out, "cannot be named"));
	/* A view that nobody maps. */
	ASSERT_RUN(0, &said, INSIDE "memviewctl show %llu",
		   (unsigned long long)ctl_view_id(view_create(PAGE)));
	EXPECT_SAYS(said.out, "nobody\n");
}

/* Columns are counted in cells of the terminal: here 8 bytes, 3 characters, 4 cells. */
TEST_F(ctl_console, wide_names)
{
	struct said said;

	ASSERT_EQ(0, prctl(PR_SET_NAME, "\xe6\x97\xa5\xe6\x9c\xac\xcc\x81"));
	ASSERT_RUN(0, &said, "memviewctl show %llu", self->id);
	EXPECT_SAYS(said.out, "  COMMAND  UID  ");
	EXPECT_SAYS(said.out, "  \xe6\x97\xa5\xe6\x9c\xac\xcc\x81     " "  0  ");
	/* Whatever the environment says. */
	ASSERT_RUN(0, &said, "LC_ALL=POSIX memviewctl show %llu", self->id);
	EXPECT_SAYS(said.out, "  \xe6\x97\xa5\xe6\x9c\xac\xcc\x81     " "  0  ");
}

/* What turns the direction of a line, or cannot be seen, is shown as what it is. */
TEST_F(ctl_console, invisible_names)
{
	struct said said;

	ASSERT_EQ(0, prctl(PR_SET_NAME, "a\xe2\x80\xae" "b\xc2\x9b" "c\xff"));
	ASSERT_RUN(0, &said, "memviewctl show %llu", self->id);
	EXPECT_SAYS(said.out, "  a\\342\\200\\256b\\302\\233c\xef\xbf\xbd  ");
	EXPECT_STREQ("a\xe2\x80\xae" "b\xc2\x9b" "c\xef\xbf\xbd",
		     get_str(ctl_json("show %llu", self->id), "/mapped_by/0/comm"));
}

/* So it is in lines of events. */
TEST_F(ctl_console, names_in_lines)
{
	struct job text = {}, json = {};
	struct said said;

	ASSERT_EQ(0, prctl(PR_SET_NAME, "\033[2J\n\"\\\xe9x\xe2\x80\xae"));
	ASSERT_EQ(0, job_start(&text, "watching",
			       "exec memviewctl events -n 1 -e unmap --pid %d", getpid()));
	ASSERT_EQ(0, job_start(&json, "watching",
			       "exec memviewctl events -n 1 -j -e unmap --pid %d", getpid()));
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	ASSERT_EQ(0, job_end(&text, 0, &said));
	EXPECT_SAYS(said.out, " comm=\\033[2J\\012\"\\\\351x\\342\\200\\256 ");
	ASSERT_EQ(0, job_end(&json, 0, &said));
	EXPECT_STREQ("\033[2J\n\"\\\xef\xbf\xbdx\xe2\x80\xae",
		     get_str(json_tokener_parse(said.out), "/comm"));
}

/* How a command ends whose output is read by a program that is done after a line. */
#define UNREAD "{ timeout 20 memviewctl %s; echo \"status $?\" >&2; } | head -n 1"

/* It does not wait for the next event to find out: none comes. */
TEST_F(ctl_console, unread_events)
{
	struct said said;
	struct job job;

	ASSERT_EQ(0, job_start(&job, "watching", UNREAD, "events -e unmap"));
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(0, job_end(&job, 0, &said));
	EXPECT_SAYS(said.out, " unmap view=");
	EXPECT_SAYS(said.err, "status 141\n");
}

TEST_F(ctl_console, unread_watch)
{
	struct said said;

	ASSERT_RUN(0, &said, "memviewctl policy load audit-all --pin");
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	ASSERT_RUN(0, &said, UNREAD, "policy watch audit-all");
	EXPECT_SAYS(said.out, "map_fd view=");
	EXPECT_SAYS(said.err, "status 141\n");
}

TEST_F(ctl_console, unread_stats)
{
	struct said said;

	ASSERT_RUN(0, &said, "(timeout 20 memviewctl stats --watch --interval 100; echo $? >&2) | :");
	EXPECT_SAYS(said.err, "141\n");
}

/* A policy that ends with its command does not end because nobody reads what that prints. */
TEST_F(ctl_console, unread_policy)
{
	struct said said;
	struct job job;

	ASSERT_EQ(0, job_start(&job, "is attached",
			       "exec 3>&1; { exec memviewctl policy load deny-exec; } | head -n 1 >&3"));
	sleep_ms(1000);
	EXPECT_EQ(1, json_object_array_length(ctl_json("policy list")));
	ASSERT_RUN(0, &said, "memviewctl policy unload deny-exec");
	job_end(&job, 0, &said);
}

/* How many file descriptors of the machine a listing looks at. */
static int count_looks(void)
{
	struct said said;

	if (run(&said, "strace -qq -e trace=readlinkat -o /tmp/looks memviewctl policy list >/dev/null && "
		"wc -l </tmp/looks; rm -f /tmp/looks"))
		return -1;
	return atoi(said.out);
}

/* Once, for however many policies. */
TEST_F(ctl_console, one_walk)
{
	struct said said;
	int i, one, four;

	for (i = 0; i < 200; i++)
		ASSERT_LE(0, dup(self->memfd));
	ASSERT_RUN(0, &said, "memviewctl policy load deny-exec --pin");
	one = count_looks();
	EXPECT_LE(200, one);
	for (i = 0; i < 3; i++)
		ASSERT_RUN(0, &said, "memviewctl policy load deny-exec --pin --name p%d", i);
	four = count_looks();
	EXPECT_GT(2 * one, four) TH_LOG("one policy: %d, four: %d", one, four);
	for (i = 0; i < 3; i++)
		ASSERT_RUN(0, &said, "memviewctl policy unload p%d", i);
	ASSERT_RUN(0, &said, "memviewctl policy unload deny-exec");
}

TEST_HARNESS_MAIN
