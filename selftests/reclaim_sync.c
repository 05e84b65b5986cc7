// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_sync.c - P4: what clients write reaches the disk by fsync, sync and
 * sync_file_range, while they go on writing
 *
 * A page that is written back must be made read-only first, so that the next
 * write is noticed. A client's PTE that stays writable gives a page that is
 * clean to the kernel and changed in truth: no fsync writes it any more. Direct
 * reads of the file, past the page cache, find that out.
 */
#include "reclaim.h"

#include <stdatomic.h>
#include <sys/prctl.h>

#define PAGES		32
#define SIZE		(PAGES * PAGE)
#define WRITERS		2

struct sync_shared {
	_Atomic int stop;
	_Atomic int pause; /* number of the pause asked for... */
	_Atomic int paused[WRITERS]; /* ...and of that taken */
	_Atomic uint64_t writes;
	uint64_t last[WRITERS][PAGES]; /* what each writer wrote last */
};

FIXTURE(reclaim_sync)
{
	struct source src;
	int direct;
	int control, viewfd;
	struct sync_shared *shared;
	pid_t writer[WRITERS];
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_sync)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(reclaim_sync, ext4) {
	.kind = SOURCE_EXT4,
};

FIXTURE_VARIANT_ADD(reclaim_sync, xfs) {
	.kind = SOURCE_XFS,
};

FIXTURE_VARIANT_ADD(reclaim_sync, btrfs) {
	.kind = SOURCE_BTRFS,
};

FIXTURE_VARIANT_ADD(reclaim_sync, overlay) {
	.kind = SOURCE_OVERLAY,
};

/* A process of its own; each writer has its own word of every page. */
static int write_for_ever(int viewfd, struct sync_shared *shared, int self)
{
	char *mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	uint64_t seed = self, n = 0;
	unsigned int page;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mem == MAP_FAILED)
		return 1;
	while (!atomic_load(&shared->stop)) {
		if (atomic_load(&shared->pause) !=
		    atomic_load(&shared->paused[self])) {
			atomic_store(&shared->paused[self],
				     atomic_load(&shared->pause));
			while (atomic_load(&shared->pause) % 2 &&
			       !atomic_load(&shared->stop))
				sleep_ms(1);
			continue;
		}
		page = random_next(&seed) % PAGES;
		if (probe_write(mem + page * PAGE + self * 8, ++n))
			return 2;
		shared->last[self][page] = n;
		atomic_fetch_add(&shared->writes, 1);
	}
	return 0;
}

FIXTURE_SETUP(reclaim_sync)
{
	int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, 0));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, fd_write_u64(self->src.fd, i * PAGE, 0));
	self->direct = source_reopen(&self->src, O_RDONLY | O_DIRECT);
	ASSERT_LE(0, self->direct);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->shared = shared_alloc(sizeof(*self->shared));
	ASSERT_NE(NULL, self->shared);
	fflush(NULL);
	for (i = 0; i < WRITERS; i++) {
		self->writer[i] = fork();
		ASSERT_LE(0, self->writer[i]);
		if (!self->writer[i])
			_exit(write_for_ever(self->viewfd, self->shared, i));
	}
}

FIXTURE_TEARDOWN(reclaim_sync)
{
	close(self->viewfd);
	close(self->control);
	close(self->direct);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Let the writers stop or go on, and wait until they do. */
static bool set_pause(struct sync_shared *shared, int number)
{
	int i;

	atomic_store(&shared->pause, number);
	for (i = 0; i < WRITERS; i++)
		if (!WAIT_FOR(atomic_load(&shared->paused[i]) == number, 60000))
			return false;
	return true;
}

/* Is what the writers wrote last on the disk? */
static int on_disk(FIXTURE_DATA(reclaim_sync) *self)
{
	static uint64_t buf[SIZE / 8] __attribute__((aligned(4096)));
	int page, i, wrong = 0;

	if (pread(self->direct, buf, SIZE, 0) != SIZE)
		return -errno;
	for (page = 0; page < PAGES; page++)
		for (i = 0; i < WRITERS; i++)
			wrong += buf[page * (PAGE / 8) + i] !=
				 self->shared->last[i][page];
	return wrong;
}

enum how { FSYNC, FDATASYNC, SYNC_FILE_RANGE, SYNCFS, HOWS };

static int write_back(int fd, enum how how)
{
	int ret;

	switch (how) {
	case FSYNC:
		ret = fsync(fd);
		break;
	case FDATASYNC:
		ret = fdatasync(fd);
		break;
	case SYNC_FILE_RANGE:
		ret = sync_file_range(fd, 0, SIZE,
				      SYNC_FILE_RANGE_WAIT_BEFORE |
				      SYNC_FILE_RANGE_WRITE |
				      SYNC_FILE_RANGE_WAIT_AFTER);
		break;
	default:
		ret = syncfs(fd);
	}
	return ret ? -errno : 0;
}

/*
 * Catches: writeback that does not write-protect the clients' PTEs; a PTE made
 * writable while its page is being cleaned; a write that does not dirty.
 */
TEST_F(reclaim_sync, nothing_is_lost)
{
	unsigned int rounds = scaled(20), round;
	uint64_t writes;
	int i, status;

	for (round = 0; round < rounds; round++) {
		writes = atomic_load(&self->shared->writes);
		for (i = 0; i < 4; i++)
			ASSERT_EQ(0, write_back(self->src.fd, i));
		while (atomic_load(&self->shared->writes) < writes + 100)
			usleep(200);
		ASSERT_TRUE(set_pause(self->shared, 2 * round + 1));
		ASSERT_EQ(0, write_back(self->src.fd, round % HOWS));
		ASSERT_EQ(0, on_disk(self)) TH_LOG("round %u", round);
		ASSERT_TRUE(set_pause(self->shared, 2 * round + 2));
	}
	self->shared->stop = 1;
	for (i = 0; i < WRITERS; i++) {
		EXPECT_EQ(self->writer[i], waitpid(self->writer[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	ASSERT_EQ(0, drop_caches());
	EXPECT_EQ(0, on_disk(self));
}

TEST_HARNESS_MAIN
