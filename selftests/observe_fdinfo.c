// SPDX-License-Identifier: GPL-2.0
/*
 * observe_fdinfo.c - what /proc/PID/fdinfo tells of a view is what happened
 */
#include "memview_test.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	31

FIXTURE(fdinfo)
{
	struct klog klog;
	int memfd;
	int control;
	int viewfd;
	char *mem;
	struct view_info info; /* as of the latest look */
};

FIXTURE_SETUP(fdinfo)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 8 * PAGE, 0, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 8 * PAGE, MAP_R));
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, view_info(self->viewfd, &self->info));
}

FIXTURE_TEARDOWN(fdinfo)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(fdinfo, both_kinds)
{
	struct view_info control, other;
	int another = view_create(PAGE);

	ASSERT_EQ(0, view_info(self->control, &control));
	EXPECT_STREQ("control", control.type);
	EXPECT_STREQ("view", self->info.type);
	EXPECT_EQ(control.id, self->info.id);
	EXPECT_EQ(0, control.flags);
	EXPECT_EQ(SIZE, control.size);
	EXPECT_EQ(SIZE, self->info.size);
	EXPECT_EQ(2, control.ranges);
	EXPECT_EQ(2, self->info.ranges);
	EXPECT_EQ(9 * PAGE, control.bytes);
	EXPECT_EQ(1, control.mappings);
	ASSERT_EQ(0, view_set_flags(self->control, MEMVIEW_REVOKE_ON_CLOSE));
	ASSERT_EQ(0, view_info(self->viewfd, &self->info));
	EXPECT_EQ(MEMVIEW_REVOKE_ON_CLOSE, self->info.flags);

	ASSERT_EQ(0, view_info(another, &other));
	EXPECT_NE(control.id, other.id);
	EXPECT_EQ(PAGE, other.size);
	EXPECT_EQ(0, other.ranges);
	EXPECT_EQ(0, other.mappings);
	EXPECT_EQ(0, other.faults);
	EXPECT_EQ(-ENOENT, view_info(self->memfd, &other));
}

/* Looks again; tells how far a number has moved since the last look. */
#define EXPECT_MOVED(member, by)                                            \
	do {                                                                \
		struct view_info now_;                                      \
									    \
		ASSERT_EQ(0, view_info(self->viewfd, &now_));               \
		EXPECT_EQ(self->info.member + (by), now_.member);           \
		self->info = now_;                                          \
	} while (0)

TEST_F(fdinfo, mappings)
{
	char *second;
	int status;
	pid_t pid;

	second = view_mmap(self->viewfd, PAGE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, second);
	EXPECT_MOVED(mappings, 1);
	ASSERT_EQ(0, munmap(second, PAGE));
	EXPECT_MOVED(mappings, -1);
	ASSERT_EQ(0, mprotect(self->mem + PAGE, PAGE, PROT_READ));
	EXPECT_MOVED(mappings, 2);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		EXPECT_MOVED(mappings, 3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_MOVED(mappings, 0);
	ASSERT_EQ(0, munmap(self->mem, SIZE));
	EXPECT_MOVED(mappings, -3);
	EXPECT_EQ(0, self->info.mappings);
}

TEST_F(fdinfo, faults)
{
	uint64_t word;

	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	ASSERT_EQ(0, probe_read(self->mem, &word));
	EXPECT_MOVED(faults, 1);
	ASSERT_EQ(0, probe_read(self->mem, &word));
	EXPECT_MOVED(faults, 0);
	/* The upgrade of a page that is there to be read. */
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_RW));
	ASSERT_EQ(0, probe_write(self->mem, 1));
	EXPECT_MOVED(faults, 1);
	ASSERT_EQ(0, probe_write(self->mem, 2));
	EXPECT_MOVED(faults, 0);
	/* Of a file in memory, none is needed where the range allows it from the start. */
	ASSERT_EQ(0, probe_read(self->mem + PAGE, &word));
	EXPECT_MOVED(faults, 1);
	ASSERT_EQ(0, probe_write(self->mem + PAGE, 1));
	EXPECT_MOVED(faults, 0);
	EXPECT_EQ(0, self->info.fault_errors);
}

TEST_F(fdinfo, fault_errors)
{
	uint64_t word;

	EXPECT_EQ(SIGBUS, probe_read(self->mem + 9 * PAGE, &word));
	EXPECT_MOVED(fault_errors, 1);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + 8 * PAGE, 1));
	EXPECT_MOVED(fault_errors, 1);
	ASSERT_EQ(0, probe_read(self->mem + 8 * PAGE, &word));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + 8 * PAGE, 1));
	EXPECT_MOVED(fault_errors, 1);
}

TEST_F(fdinfo, changes_and_zaps)
{
	uint64_t word;

	ASSERT_EQ(0, probe_read(self->mem, &word));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	EXPECT_MOVED(changes, 1);
	EXPECT_LT(0, self->info.zaps);
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_MOVED(changes, 1);
	ASSERT_EQ(0, view_resize(self->control, 2 * SIZE));
	EXPECT_MOVED(changes, 1);
	EXPECT_EQ(-EINVAL, view_unmap(self->control, 0, 1));
	EXPECT_MOVED(changes, 0);
	EXPECT_EQ(2, self->info.ranges);
	EXPECT_EQ(8 * PAGE, self->info.bytes);
	EXPECT_EQ(2 * SIZE, self->info.size);
}

TEST_F(fdinfo, invalidates)
{
	uint64_t word, before;

	ASSERT_EQ(0, probe_read(self->mem + PAGE, &word));
	ASSERT_EQ(0, view_info(self->viewfd, &self->info));
	before = self->info.invalidates;
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE,
			       PAGE));
	ASSERT_EQ(0, probe_read(self->mem + PAGE, &word));
	EXPECT_EQ(0, word);
	ASSERT_EQ(0, view_info(self->viewfd, &self->info));
	EXPECT_LT(before, self->info.invalidates);
}

TEST_HARNESS_MAIN
