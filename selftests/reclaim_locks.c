// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_locks.c - P9, where a process wants the locks of all that it maps,
 * while pages of a file are taken from a view
 *
 * Who takes pages of a file holds the lock of its mappings, and takes that of
 * the view's. Who makes a VM, and so the first who asks to be told of the changes
 * of a process's memory, takes those of all files that the process maps, in
 * the order of their addresses: the view's first, and then the file's.
 *
 * Catches: a watch that waits for the lock of the view's mappings. Neither task
 * would ever go on, nor could they be killed.
 */
#include "kvm_guest.h"
#include "memview_test.h"

#include <bpf/libbpf.h>
#include <stdatomic.h>

#include "stall.skel.h"

#define PAGES	64
#define SIZE	(PAGES * PAGE)
#define SECOND	1000000000ULL

FIXTURE(reclaim_locks)
{
	struct source src;
	int kvm, control;
	char *mem, *own;
	struct stall *stall;
	struct klog klog;
	pthread_t maker, taker;
	_Atomic int maker_tid, stop, made, taken;
	int make_err, take_err;
};

FIXTURE_VARIANT(reclaim_locks)
{
	enum source_kind kind;
	bool view_first; /* at the lower address */
};

FIXTURE_VARIANT_ADD(reclaim_locks, memfd) { .kind = SOURCE_MEMFD, .view_first = true };
FIXTURE_VARIANT_ADD(reclaim_locks, ext4) { .kind = SOURCE_EXT4, .view_first = true };
FIXTURE_VARIANT_ADD(reclaim_locks, file_first) { .kind = SOURCE_MEMFD };

FIXTURE_SETUP(reclaim_locks)
{
	struct guest guest;
	struct stat st;
	char *place;

	ASSERT_EQ(0, klog_start(&self->klog));
	if (guest_probe(&guest))
		SKIP(return, "missing: /dev/kvm");
	self->kvm = guest.kvm;
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	place = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, place);
	self->mem = variant->view_first ? place : place + SIZE;
	self->own = variant->view_first ? place + SIZE : place;
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(self->mem, mmap(self->mem, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED,
				  view_get_fd(self->control), 0));
	ASSERT_EQ(self->own, mmap(self->own, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED,
				  self->src.fd, 0));
	self->stall = stall__open();
	ASSERT_NE(NULL, self->stall);
	bpf_program__set_autoload(self->stall->progs.count_grace_periods, true);
	ASSERT_EQ(0, stall__load(self->stall));
	ASSERT_EQ(0, fstat(self->src.fd, &st));
	self->stall->bss->inode = st.st_ino;
	self->stall->bss->any_cause = true;
	self->stall->bss->stall_at = 1;
	self->stall->bss->longest_ns = 20 * SECOND;
}

FIXTURE_TEARDOWN(reclaim_locks)
{
	if (!self->stall)
		return;
	stall__destroy(self->stall);
	munmap(self->mem, SIZE);
	munmap(self->own, SIZE);
	close(self->control);
	close(self->kvm);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Make VMs, one at least, until told to stop. */
static void *make(void *arg)
{
	FIXTURE_DATA(reclaim_locks) *self = arg;
	int vm;

	self->maker_tid = gettid();
	do {
		vm = ioctl(self->kvm, KVM_CREATE_VM, 0);
		if (vm < 0)
			self->make_err = -errno;
		else
			close(vm);
		atomic_fetch_add(&self->made, 1);
	} while (!atomic_load(&self->stop));
	return NULL;
}

/* Take pages that the view has mapped, once at least, until told to stop. */
static void *take(void *arg)
{
	FIXTURE_DATA(reclaim_locks) *self = arg;
	uint64_t value;
	unsigned int n = 0;

	do {
		uint64_t offset = n++ % PAGES * PAGE;

		if (probe_write(self->mem + offset, n) ||
		    fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, PAGE) ||
		    probe_read(self->mem + offset, &value) || value)
			self->take_err = -EIO;
		atomic_fetch_add(&self->taken, 1);
	} while (!atomic_load(&self->stop));
	return NULL;
}

static void join(FIXTURE_DATA(reclaim_locks) *self)
{
	atomic_store(&self->stop, 1);
	pthread_join(self->maker, NULL);
	pthread_join(self->taker, NULL);
}

/* Does the maker wait for the lock of a file? It has those that come before then. */
static bool maker_waits(FIXTURE_DATA(reclaim_locks) *self)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stack", self->maker_tid);
	return self->maker_tid && read_file(path, text, sizeof(text)) > 0 &&
	       strstr(text, "mm_take_all_locks");
}

/* The one has the file's lock when the other comes. */
TEST_F(reclaim_locks, met)
{
	if (!self->stall)
		return;
	atomic_store(&self->stop, 1);
	ASSERT_EQ(0, stall__attach(self->stall));
	ASSERT_EQ(0, pthread_create(&self->taker, NULL, take, self));
	ASSERT_TRUE(WAIT_FOR(self->stall->bss->stalled, 10000));
	ASSERT_EQ(0, pthread_create(&self->maker, NULL, make, self));
	/* It gets as far as it can. */
	ASSERT_TRUE(WAIT_FOR(maker_waits(self), 20000));
	EXPECT_EQ(0, self->made);
	self->stall->bss->go = 1;
	ASSERT_TRUE(WAIT_FOR(self->taken, 20000));
	ASSERT_TRUE(WAIT_FOR(self->made, 20000));
	join(self);
	stall__detach(self->stall);
	EXPECT_EQ(0, self->take_err);
	EXPECT_EQ(0, self->make_err);
}

/* Both at any moment. */
TEST_F(reclaim_locks, any_time)
{
	int least = scaled(30);

	if (!self->stall)
		return;
	ASSERT_EQ(0, pthread_create(&self->taker, NULL, take, self));
	ASSERT_EQ(0, pthread_create(&self->maker, NULL, make, self));
	ASSERT_TRUE(WAIT_FOR(self->taken >= least, 60000)) TH_LOG("%d taken", self->taken);
	ASSERT_TRUE(WAIT_FOR(self->made >= least, 60000)) TH_LOG("%d made", self->made);
	join(self);
	printf("# %d VMs made, pages taken %d times\n", self->made, self->taken);
	EXPECT_EQ(0, self->take_err);
	EXPECT_EQ(0, self->make_err);
}

/* Take all pages of the file at once, which many ranges of the view show. */
static void *take_all(void *arg)
{
	FIXTURE_DATA(reclaim_locks) *self = arg;

	if (fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
		self->take_err = -errno;
	atomic_fetch_add(&self->taken, 1);
	return NULL;
}

/*
 * Nobody can go on who wants a file that the process maps, its C library among
 * them, until all ranges are done.
 *
 * Catches: a wait for a grace period of RCU tasks, for each of them or once. It
 * lasts as long as any task is preempted in the kernel, throttled by its cgroup
 * maybe, while a page is locked and the lock of its file is held.
 */
TEST_F(reclaim_locks, many_ranges)
{
	unsigned int i;

	if (!self->stall)
		return;
	atomic_store(&self->stop, 1);
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(0, view_map(self->control, self->src.fd, (PAGES - 1 - i) * PAGE, PAGE,
				      i * PAGE, MAP_RW));
		ASSERT_EQ(0, probe_write(self->mem + i * PAGE, 1));
	}
	ASSERT_EQ(0, stall__attach(self->stall));
	ASSERT_EQ(0, pthread_create(&self->taker, NULL, take_all, self));
	ASSERT_TRUE(WAIT_FOR(self->stall->bss->stalled, 10000));
	ASSERT_EQ(0, pthread_create(&self->maker, NULL, make, self));
	ASSERT_TRUE(WAIT_FOR(maker_waits(self), 20000));
	EXPECT_EQ(0, self->made);
	self->stall->bss->go = 1;
	ASSERT_TRUE(WAIT_FOR(self->taken, 60000));
	ASSERT_TRUE(WAIT_FOR(self->made, 20000));
	EXPECT_EQ(0, self->stall->bss->grace_periods);
	join(self);
	stall__detach(self->stall);
	EXPECT_EQ(0, self->take_err);
	EXPECT_EQ(0, self->make_err);
}

TEST_HARNESS_MAIN
