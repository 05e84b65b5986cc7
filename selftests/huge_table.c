// SPDX-License-Identifier: GPL-2.0
/*
 * huge_table.c - P3 and P9 where the kernel frees a page table under a fault that
 * is about to use it, and a huge page would fit in its place
 *
 * Since 6.14 it does so at MADV_DONTNEED; on 6.12 the fault finds its table. What
 * else goes wrong is for kernels with DEBUG_VM to say.
 */
#include "huge.h"

#include <bpf/libbpf.h>

#include "stall_thread.skel.h"

#define SECOND	1000000000ULL
#define SIZE	(2UL * HUGE)
#define TAG	1
#define END	(SIZE - 3 * PAGE) /* of the file, where it ends within a huge page */

struct toucher {
	char *at;
	bool write;
	uint64_t value;
	int sig;
	struct ready ready;
};

FIXTURE(huge_table)
{
	struct source src;
	int control;
	char *mem;
	struct stall_thread *stall;
	struct toucher first, second;
	struct klog klog;
};

FIXTURE_SETUP(huge_table)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	OPEN_HUGE_OR_SKIP(&self->src, HUGE_TMPFS, SIZE, 0);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->mem = huge_room(SIZE, 0);
	ASSERT_NE(NULL, self->mem);
	ASSERT_EQ(self->mem, mmap(self->mem, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED,
				  view_get_fd(self->control), 0));
	self->stall = stall_thread__open();
	ASSERT_NE(NULL, self->stall);
	ASSERT_EQ(0, bpf_program__set_autoload(self->stall->progs.map_around, true));
	self->stall->bss->longest_ns = 20 * SECOND;
	ASSERT_EQ(0, stall_thread__load(self->stall));
}

FIXTURE_TEARDOWN(huge_table)
{
	stall_thread__destroy(self->stall);
	munmap(self->mem, SIZE);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void touch(void *arg)
{
	struct toucher *toucher = arg;

	if (toucher->write)
		toucher->sig = probe_write(toucher->at, 1);
	else
		toucher->sig = probe_read(toucher->at, &toucher->value);
}

/* A thread that touches @at when it is to begin. */
static int start(struct toucher *toucher, char *at, bool write)
{
	toucher->at = at;
	toucher->write = write;
	return ready_start(&toucher->ready, touch, toucher, -1);
}

/* Map the page at @at by a page table, though one entry would do. */
static int make_table(char *at)
{
	char *piece = (char *)((uintptr_t)at & -HUGE);
	uint64_t value;

	if (madvise(piece, HUGE, MADV_RANDOM) || probe_read(at, &value) ||
	    madvise(piece, HUGE, MADV_NORMAL))
		return -EIO;
	return mapped_huge(piece, HUGE) ? -EEXIST : 0;
}

/*
 * Have the first thread find a page table for the page it touches, and the table
 * go away.
 */
#define TAKE_TABLE_AWAY()                                                       \
	do {                                                                    \
		self->stall->bss->tid = self->first.ready.tid;                 \
		ASSERT_EQ(0, stall_thread__attach(self->stall));                \
		ready_begin(&self->first.ready);                              \
		EXPECT_TRUE(WAIT_FOR(self->stall->bss->stalled, 10000));        \
		EXPECT_EQ(0, madvise((char *)((uintptr_t)self->first.at & -HUGE), \
				     HUGE, MADV_DONTNEED));                     \
		EXPECT_FALSE(self->first.ready.done);                          \
	} while (0)

#define GO_ON()                                                                 \
	do {                                                                    \
		self->stall->bss->go = 1;                                       \
		ready_join(&self->first.ready);                               \
		stall_thread__detach(self->stall);                              \
	} while (0)

/* Catches: a PTE that is inserted where a huge page has come (DEBUG_VM: BUG). */
TEST_F(huge_table, huge_page_comes)
{
	ASSERT_EQ(0, make_table(self->mem));
	ASSERT_EQ(0, start(&self->first, self->mem + 100 * PAGE, true));
	ASSERT_EQ(0, start(&self->second, self->mem + 105 * PAGE, false));
	TAKE_TABLE_AWAY();
	ready_begin(&self->second.ready);
	EXPECT_TRUE(WAIT_FOR(self->second.ready.done, 10000));
	GO_ON();
	ready_join(&self->second.ready);
	EXPECT_EQ(0, self->first.sig);
	EXPECT_EQ(0, self->second.sig);
	EXPECT_EQ(1, *(uint64_t *)self->first.at);
}

/*
 * The kernel's own faults map a huge page of tmpfs beyond the end of the file.
 * Catches: a fault of a view that does so, in place of a page table that it had
 * found.
 */
TEST_F(huge_table, file_ends_in_huge_page)
{
	char *piece = self->mem + HUGE;
	uint64_t value = TAG;

	/* Before there is a page: truncation would split it. */
	ASSERT_EQ(0, ftruncate(self->src.fd, END));
	ASSERT_EQ(sizeof(value), pwrite(self->src.fd, &value, sizeof(value), HUGE));
	ASSERT_EQ(0, make_table(piece + PAGE));
	ASSERT_EQ(0, madvise(piece, HUGE, MADV_SEQUENTIAL));
	ASSERT_EQ(0, start(&self->first, piece, false));
	TAKE_TABLE_AWAY();
	GO_ON();
	EXPECT_EQ(0, self->first.sig);
	EXPECT_EQ(TAG, self->first.value);
	EXPECT_EQ(0, probe_read(self->mem + END - PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + END, &value));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + SIZE - PAGE, &value));
}

TEST_HARNESS_MAIN
