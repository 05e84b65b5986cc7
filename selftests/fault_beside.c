// SPDX-License-Identifier: GPL-2.0
/*
 * fault_beside.c - P5, P9: how long a client's fault can take while another task
 * changes the layout
 *
 * The task of the change is throttled by its cgroups, or takes away very many ranges.
 * A throttled task sleeps for a second at a time; fault_waits.c shows without a clock
 * that no fault waits for one. Here the bound has a wide margin, and a machine that is
 * busy with something else gets another try.
 */
#include "memview_test.h"
#include "reclaim.h"

#include <stdatomic.h>

#define MS	1000000ULL
#define BOUND	(500 * MS)
#define TRIES	3
#define RANGES	4096UL /* in one batch */
#define MANY	1000000UL
#define TAG	3

struct toucher {
	pthread_t thread;
	char *page;
	_Atomic bool stop;
	uint64_t touches, slowest;
};

FIXTURE(fault_beside)
{
	struct klog klog;
	struct cgroup cgroup;
	struct memview_batch_op map[RANGES], unmap;
	int memfd, control;
	unsigned long ranges; /* at every other page, from page 2 on */
	struct toucher toucher;
};

static uint64_t place(unsigned long range)
{
	return (2 + 2 * range) * PAGE;
}

FIXTURE_SETUP(fault_beside)
{
	unsigned long i;

	ASSERT_EQ(0, klog_start(&self->klog));
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "missing: a second CPU");
	self->memfd = memfd_filled(PAGE, TAG);
	ASSERT_LE(0, self->memfd);
	self->ranges = scaled(MANY);
	self->control = view_create(place(self->ranges));
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	self->toucher.page = view_mmap(view_get_fd(self->control), PAGE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, self->toucher.page);
	for (i = 0; i < RANGES; i++)
		self->map[i] = batch_map(self->memfd, 0, PAGE, place(i), MAP_R);
	self->unmap = batch_unmap(place(0), place(RANGES) - place(0));
}

FIXTURE_TEARDOWN(fault_beside)
{
	if (self->control >= 0)
		close(self->control);
	cgroup_destroy(&self->cgroup);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void *touch(void *arg)
{
	struct toucher *toucher = arg;
	uint64_t begin, took, value;

	while (!toucher->stop) {
		madvise(toucher->page, PAGE, MADV_DONTNEED);
		begin = now_ns();
		probe_read(toucher->page, &value);
		took = now_ns() - begin;
		if (took > toucher->slowest)
			toucher->slowest = took;
		toucher->touches++;
	}
	return NULL;
}

static int touch_begin(struct toucher *toucher)
{
	toucher->touches = toucher->slowest = 0;
	toucher->stop = false;
	return -pthread_create(&toucher->thread, NULL, touch, toucher);
}

/* The slowest of the touches; what @change took is for the reader. */
static uint64_t touch_end(struct __test_metadata *_metadata, struct toucher *toucher,
			  uint64_t change)
{
	toucher->stop = true;
	pthread_join(toucher->thread, NULL);
	TH_LOG("%ju touches while the change took %ju ms; the slowest took %ju us",
	       (uintmax_t)toucher->touches, (uintmax_t)(change / MS),
	       (uintmax_t)toucher->slowest / 1000);
	return toucher->slowest;
}

/* In a child, in the cgroup: change the layout until killed. */
static pid_t start_changes(FIXTURE_DATA(fault_beside) *self)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (cgroup_enter(&self->cgroup))
		_exit(1);
	while (!view_batch(self->control, &self->unmap, 1, NULL) &&
	       !view_batch(self->control, self->map, RANGES, NULL))
		;
	_exit(2);
}

static void end_changes(struct __test_metadata *_metadata, FIXTURE_DATA(fault_beside) *self,
			pid_t pid)
{
	int status = 0;

	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, view_batch(self->control, &self->unmap, 1, NULL));
}

/* Until the child has been throttled @times times, or for 10 s. */
static void check_throttled(struct __test_metadata *_metadata, FIXTURE_DATA(fault_beside) *self,
			    const char *file, const char *key, uint64_t times)
{
	uint64_t begin, slowest, before = 0, number = 0;
	unsigned int try;
	pid_t pid;

	for (try = 0; try < TRIES; try++) {
		begin = now_ns();
		cgroup_number(&self->cgroup, file, key, &before);
		pid = start_changes(self);
		ASSERT_LT(0, pid);
		ASSERT_EQ(0, touch_begin(&self->toucher));
		WAIT_FOR(cgroup_number(&self->cgroup, file, key, &number) ||
				 number - before >= times, 10000);
		slowest = touch_end(_metadata, &self->toucher, now_ns() - begin);
		end_changes(_metadata, self, pid);
		ASSERT_LT(before, number);
		if (slowest < BOUND)
			break;
	}
	EXPECT_LT(slowest, BOUND);
}

/* Catches: an allocation for the tree of ranges under a lock that faults wait for. */
TEST_F(fault_beside, memory_high)
{
	CGROUP_CREATE_OR_SKIP(&self->cgroup);
	ASSERT_EQ(0, cgroup_limit(&self->cgroup, "memory.high", 64 * KiB));
	check_throttled(_metadata, self, "memory.events", "high ", 200);
}

/* Catches: such a lock whose holder can be preempted. */
TEST_F(fault_beside, cpu_max)
{
	char path[192];

	CGROUP_CREATE_OR_SKIP(&self->cgroup);
	if (write_file("/sys/fs/cgroup/cgroup.subtree_control", "+cpu"))
		SKIP(return, "missing: cgroup v2 with cpu");
	snprintf(path, sizeof(path), "%s/cpu.max", self->cgroup.path);
	ASSERT_EQ(0, write_file(path, "10000 1000000"));
	check_throttled(_metadata, self, "cpu.stat", "nr_throttled ", 8);
}

static int map_many(FIXTURE_DATA(fault_beside) *self)
{
	unsigned long done, n, i;
	int err = 0;

	for (done = 0; !err && done < self->ranges; done += n) {
		n = self->ranges - done < RANGES ? self->ranges - done : RANGES;
		for (i = 0; i < n; i++)
			self->map[i].mem_offset = place(done + i);
		err = view_batch(self->control, self->map, n, NULL);
	}
	return err;
}

/* Catches: a loop over all of them under that lock. */
TEST_F_TIMEOUT(fault_beside, unmap_of_many, 300)
{
	uint64_t begin, slowest;
	unsigned int try;

	for (try = 0; try < TRIES; try++) {
		ASSERT_EQ(0, map_many(self));
		ASSERT_EQ(0, touch_begin(&self->toucher));
		begin = now_ns();
		EXPECT_EQ(0, view_unmap(self->control, PAGE, place(self->ranges) - PAGE));
		slowest = touch_end(_metadata, &self->toucher, now_ns() - begin);
		if (slowest < BOUND)
			break;
	}
	EXPECT_LT(slowest, BOUND);
}

TEST_F_TIMEOUT(fault_beside, revoke_of_many, 300)
{
	uint64_t begin, slowest, value;

	ASSERT_EQ(0, view_set_flags(self->control, MEMVIEW_REVOKE_ON_CLOSE));
	ASSERT_EQ(0, map_many(self));
	ASSERT_EQ(0, touch_begin(&self->toucher));
	begin = now_ns();
	EXPECT_EQ(0, close(self->control));
	self->control = -1;
	slowest = touch_end(_metadata, &self->toucher, now_ns() - begin);
	EXPECT_EQ(SIGBUS, probe_read(self->toucher.page, &value));
	EXPECT_LT(slowest, 2 * BOUND);
}

TEST_HARNESS_MAIN
