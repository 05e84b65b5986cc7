// SPDX-License-Identifier: GPL-2.0
/*
 * fault_waits.c - P4 and P9 where a fault meets a change that takes its time: it
 * keeps no page of a file from others
 *
 * Who changes the layout may have to wait for memory, for seconds, if his cgroup
 * has used up what it may.
 */
#include "memview_test.h"

#include <bpf/libbpf.h>

#include "stall_thread.skel.h"

#define SECOND	1000000000ULL
#define TAG	1

FIXTURE(fault_waits)
{
	struct source src, other;
	int control;
	char *mem;
	struct stall_thread *fault_stall, *change_stall;
	struct ready toucher, changer, writer;
	int sig, change_err;
	ssize_t written;
	bool kept; /* until the change was done */
	struct klog klog;
};

FIXTURE_VARIANT(fault_waits)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(fault_waits, ext4) { .kind = SOURCE_EXT4 };
FIXTURE_VARIANT_ADD(fault_waits, xfs) { .kind = SOURCE_XFS };
FIXTURE_VARIANT_ADD(fault_waits, btrfs) { .kind = SOURCE_BTRFS };

FIXTURE_SETUP(fault_waits)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "missing: a second CPU");
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, PAGE);
	ASSERT_EQ(0, source_fill(&self->src, TAG));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, source_open(&self->other, SOURCE_MEMFD, PAGE));
	self->control = view_create(2 * PAGE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 0, MAP_RW));
	self->mem = view_mmap(view_get_fd(self->control), 2 * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->fault_stall = stall_thread__open();
	self->change_stall = stall_thread__open();
	ASSERT_TRUE(self->fault_stall && self->change_stall);
}

FIXTURE_TEARDOWN(fault_waits)
{
	if (!self->change_stall)
		return;
	stall_thread__destroy(self->fault_stall);
	stall_thread__destroy(self->change_stall);
	munmap(self->mem, 2 * PAGE);
	close(self->control);
	source_close(&self->other);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void touch(void *arg)
{
	FIXTURE_DATA(fault_waits) *self = arg;

	self->sig = probe_write(self->mem, 1);
}

static void change(void *arg)
{
	FIXTURE_DATA(fault_waits) *self = arg;

	self->change_err = view_map(self->control, self->other.fd, 0, PAGE, PAGE, MAP_RW);
}

/* Write to the page that the fault had locked, when that has met the change. */
static void write_page(void *arg)
{
	FIXTURE_DATA(fault_waits) *self = arg;
	uint64_t value = 2;

	while (!self->fault_stall->bss->ended && !self->change_stall->bss->ended)
		sleep_ms(10);
	sleep_ms(200);
	self->written = pwrite(self->src.fd, &value, sizeof(value), 8);
	self->kept = self->change_stall->bss->ended;
	self->change_stall->bss->go = 1;
}

/* Have the thread held up where @prog says, for @seconds or until told to go on. */
static int hold_up(struct stall_thread *stall, struct bpf_program *prog, struct ready *ready,
		   unsigned int seconds)
{
	int err = bpf_program__set_autoload(prog, true);

	if (prog == stall->progs.change_locked)
		err = err ?: bpf_program__set_autoload(stall->progs.change_begins, true);
	stall->bss->longest_ns = seconds * SECOND * slowness();
	stall->bss->tid = ready->tid;
	return err ?: stall_thread__load(stall) ?: stall_thread__attach(stall);
}

/*
 * Each of the two has a CPU for itself while it is held up; so the fault goes on
 * by itself, and what writes then has its CPU.
 *
 * Catches: a fault that waits for a change with a page locked.
 */
TEST_F_TIMEOUT(fault_waits, for_a_change, 120)
{
	struct stall_thread *fault = self->fault_stall, *other = self->change_stall;

	ASSERT_EQ(0, run_on_cpu(1));
	ASSERT_EQ(0, ready_start(&self->toucher, touch, self, 0));
	ASSERT_EQ(0, ready_start(&self->changer, change, self, 1));
	ASSERT_EQ(0, ready_start(&self->writer, write_page, self, 0));
	ASSERT_EQ(0, hold_up(fault, fault->progs.may_write, &self->toucher, 3));
	ASSERT_EQ(0, hold_up(other, other->progs.change_locked, &self->changer, 10));
	ready_begin(&self->writer);
	ready_begin(&self->toucher);
	EXPECT_TRUE(WAIT_FOR(fault->bss->stalled, 10000));
	ready_begin(&self->changer);
	ready_join(&self->changer);
	EXPECT_TRUE(other->bss->stalled);
	ready_join(&self->writer);
	ready_join(&self->toucher);
	EXPECT_EQ(sizeof(uint64_t), self->written);
	EXPECT_FALSE(self->kept);
	EXPECT_EQ(0, self->change_err);
	EXPECT_EQ(0, self->sig);
	EXPECT_EQ(1, *(uint64_t *)self->mem);
	EXPECT_EQ(2, *(uint64_t *)(self->mem + 8));
}

TEST_HARNESS_MAIN
