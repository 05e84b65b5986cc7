// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_free.c - P4: memory that a source gives up is really free, although
 * clients map it; memory that a client touches is the client's
 */
#include "reclaim.h"

#include <linux/falloc.h>

#define TAG		1
#define BIG_PAGES	4096
#define BIG_SIZE	(BIG_PAGES * PAGE)

FIXTURE(reclaim_free)
{
	struct source src;
	struct cgroup cgroup;
	int control, viewfd;
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_free)
{
	enum source_kind kind;
};

/* Not huge pages: those are charged to who makes them. */
FIXTURE_VARIANT_ADD(reclaim_free, memfd) {
	.kind = SOURCE_MEMFD,
};

FIXTURE_VARIANT_ADD(reclaim_free, tmpfs) {
	.kind = SOURCE_TMPFS,
};

FIXTURE_VARIANT_ADD(reclaim_free, ext4) {
	.kind = SOURCE_EXT4,
};

FIXTURE_VARIANT_ADD(reclaim_free, xfs) {
	.kind = SOURCE_XFS,
};

FIXTURE_VARIANT_ADD(reclaim_free, btrfs) {
	.kind = SOURCE_BTRFS,
};

FIXTURE_VARIANT_ADD(reclaim_free, overlay) {
	.kind = SOURCE_OVERLAY,
};

FIXTURE_SETUP(reclaim_free)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	CGROUP_CREATE_OR_SKIP(&self->cgroup);
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, BIG_SIZE);
	self->control = view_create(BIG_SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, BIG_SIZE, 0,
			      MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
}

FIXTURE_TEARDOWN(reclaim_free)
{
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	cgroup_destroy(&self->cgroup);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* In the client: touch all of the view, from within the cgroup. */
static long touch_all(void *arg)
{
	const struct cgroup *cgroup = arg;
	char *mem = view_mmap(client_viewfd, BIG_SIZE, PROT_RW, 0);
	unsigned int i;
	int sig;

	if (mem == MAP_FAILED || cgroup_enter(cgroup))
		return -errno;
	for (i = 0; i < BIG_PAGES; i++) {
		sig = probe_write(mem + i * PAGE, i);
		if (sig)
			return sig;
	}
	return 0;
}

/* Wait until the cgroup has given back all but a little. */
static bool falls_below(const struct cgroup *cgroup, uint64_t limit)
{
	return WAIT_FOR(cgroup_current(cgroup) < limit, 20000);
}

/*
 * What a client touches first is charged to the client's cgroup; punching it
 * out frees it although the client still maps the view.
 *
 * Catches: a fault on behalf of the controller; a page whose last reference is
 * a PTE that nobody removes.
 */
TEST_F(reclaim_free, charged_to_the_client_and_freed)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	struct client client;
	struct stat st;
	uint64_t idle = cgroup_current(&self->cgroup);

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, touch_all, &self->cgroup,
				 sizeof(self->cgroup)));
	EXPECT_LT(idle + BIG_SIZE * 9 / 10, cgroup_current(&self->cgroup));

	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, fallocate(self->src.fd, mode, 0, BIG_SIZE));
	EXPECT_TRUE(falls_below(&self->cgroup, idle + BIG_SIZE / 4));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, fstat(self->src.fd, &st));
	EXPECT_GT(BIG_SIZE / 4 / 512, st.st_blocks);
	EXPECT_EQ(0, client_stop(&client));
}

/* The same by a truncate. */
TEST_F(reclaim_free, freed_by_truncate)
{
	struct client client;
	uint64_t idle = cgroup_current(&self->cgroup);

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, touch_all, &self->cgroup,
				 sizeof(self->cgroup)));
	EXPECT_LT(idle + BIG_SIZE * 9 / 10, cgroup_current(&self->cgroup));
	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	EXPECT_TRUE(falls_below(&self->cgroup, idle + BIG_SIZE / 4));
	EXPECT_EQ(0, client_stop(&client));
}

/* Huge pages: while one is mapped piece by piece, it is split, and freed. */
TEST(huge_pages_are_split_and_freed)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const uint64_t huge = 16 * HUGE;
	uint64_t before, with, free, value;
	int control, viewfd;
	struct source src;
	unsigned int i;
	char *mem;

	ASSERT_EQ(0, drop_caches());
	before = meminfo("ShmemHugePages:");
	SOURCE_OPEN_OR_SKIP(&src, SOURCE_MEMFD_HUGE, huge);
	with = meminfo("ShmemHugePages:");
	if (with < before + huge)
		SKIP(return, "missing: enough free huge pages");
	ASSERT_EQ(0, source_fill(&src, TAG));
	control = view_create(huge);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, view_map(control, src.fd, 0, huge, 0, MAP_RW));
	viewfd = view_get_fd(control);
	ASSERT_LE(0, viewfd);
	mem = view_mmap(viewfd, huge, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (i = 0; i < huge / PAGE; i++)
		ASSERT_EQ(0, probe_write(mem + i * PAGE + 8, i));
	EXPECT_LE(with, meminfo("ShmemHugePages:"));

	/* One small page of the first. */
	ASSERT_EQ(0, fallocate(src.fd, mode, 5 * PAGE, PAGE));
	EXPECT_EQ(with - HUGE, meminfo("ShmemHugePages:"));
	ASSERT_EQ(0, probe_read(mem + 5 * PAGE, &value));
	EXPECT_EQ(0, value);
	ASSERT_EQ(0, probe_read(mem + 6 * PAGE, &value));
	EXPECT_EQ(page_tag(TAG, 6), value);

	/* All of them; the client's PTEs do not keep the memory. */
	free = meminfo("MemFree:");
	ASSERT_EQ(0, fallocate(src.fd, mode, 0, huge));
	EXPECT_TRUE(WAIT_FOR(meminfo("MemFree:") > free + huge * 3 / 4, 20000));
	EXPECT_EQ(before, meminfo("ShmemHugePages:"));
	munmap(mem, huge);
	close(viewfd);
	close(control);
	source_close(&src);
}

TEST_HARNESS_MAIN
