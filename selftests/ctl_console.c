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
