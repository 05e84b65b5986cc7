// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_settle.c - P4, where a file has two sources in one view: a page that a
 * change hands from one to the other, PTEs and all, is not missed by a
 * write-back that is between their watches
 *
 * Opened with other credentials, a file is another source. The write-back has
 * passed the watch of the one, and is held at the watch of the other. Now the
 * page's range is replaced by the same page of the first source: nothing to
 * zap. If the old range was gone when the write-back goes on, it would leave a
 * PTE that can write to a page which is clean to the kernel.
 *
 * Catches: a replace that keeps PTEs and does not wait for who walks the
 * watches (memview_watch_settle()).
 */
#include "memview_test.h"

#include <bpf/libbpf.h>
#include <grp.h>
#include <stdatomic.h>

#include "stall.skel.h"

#define PAGES	4
#define SIZE	(PAGES * PAGE)
#define SECOND	1000000000ULL

FIXTURE(reclaim_settle)
{
	struct source src;
	int other, direct; /* the same file: other credentials, past the page cache */
	int control;
	char *mem;
	struct stall *stall;
	struct klog klog;
	pthread_t syncer, changer;
	_Atomic int synced, changed;
	int sync_err, change_err;
};

FIXTURE_VARIANT(reclaim_settle)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(reclaim_settle, ext4) { .kind = SOURCE_EXT4 };
FIXTURE_VARIANT_ADD(reclaim_settle, xfs) { .kind = SOURCE_XFS };
FIXTURE_VARIANT_ADD(reclaim_settle, btrfs) { .kind = SOURCE_BTRFS };

FIXTURE_SETUP(reclaim_settle)
{
	struct stat st;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	self->direct = source_reopen(&self->src, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, self->direct);
	ASSERT_EQ(0, setgroups(0, NULL));
	self->other = source_reopen(&self->src, O_RDWR);
	ASSERT_LE(0, self->other);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->stall = stall__open_and_load();
	ASSERT_NE(NULL, self->stall) TH_LOG("cannot load the BPF program: %d", -errno);
	ASSERT_EQ(0, fstat(self->src.fd, &st));
	self->stall->bss->inode = st.st_ino;
	self->stall->bss->stall_at = 2;
	self->stall->bss->longest_ns = 20 * SECOND;
}

FIXTURE_TEARDOWN(reclaim_settle)
{
	stall__destroy(self->stall);
	munmap(self->mem, SIZE);
	close(self->control);
	close(self->other);
	close(self->direct);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void *write_back(void *arg)
{
	FIXTURE_DATA(reclaim_settle) *self = arg;

	self->sync_err = fsync(self->src.fd) ? -errno : 0;
	atomic_store(&self->synced, 1);
	return NULL;
}

static void *replace(void *arg)
{
	FIXTURE_DATA(reclaim_settle) *self = arg;

	self->change_err = view_map(self->control, self->other, 0, PAGE, 0, MAP_RW);
	atomic_store(&self->changed, 1);
	return NULL;
}

/* Past the page cache. */
static int read_disk(int fd, uint64_t *value)
{
	static char buf[PAGE] __attribute__((aligned(PAGE)));

	if (pread(fd, buf, PAGE, 0) != PAGE)
		return -EIO;
	memcpy(value, buf, sizeof(*value));
	return 0;
}

TEST_F(reclaim_settle, handed_over_during_write_back)
{
	uint64_t value;

	/* Watches are passed in the order in which they came. */
	ASSERT_EQ(0, view_map(self->control, self->other, PAGE, PAGE, PAGE, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 0, MAP_RW));
	ASSERT_EQ(0, probe_write(self->mem, 1));
	ASSERT_EQ(0, stall__attach(self->stall));

	ASSERT_EQ(0, pthread_create(&self->syncer, NULL, write_back, self));
	ASSERT_TRUE(WAIT_FOR(self->stall->bss->stalled, 10000))
		TH_LOG("%u watches passed", self->stall->bss->calls);
	ASSERT_EQ(0, pthread_create(&self->changer, NULL, replace, self));
	/* It should wait for the write-back: give it time to show that it does not. */
	WAIT_FOR(atomic_load(&self->changed), 500);
	EXPECT_EQ(0, atomic_load(&self->synced));
	self->stall->bss->go = 1;
	pthread_join(self->syncer, NULL);
	pthread_join(self->changer, NULL);
	stall__detach(self->stall);
	EXPECT_EQ(0, self->sync_err);
	EXPECT_EQ(0, self->change_err);
	ASSERT_EQ(0, read_disk(self->direct, &value));
	EXPECT_EQ(1, value);

	ASSERT_EQ(0, probe_write(self->mem, 2));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, read_disk(self->direct, &value));
	EXPECT_EQ(2, value);
}

TEST_HARNESS_MAIN
