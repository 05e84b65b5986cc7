// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_shift.c - P4 where a file system gives a file other pages than
 * before: ranges that are cut out, zeroed, or shared with another file
 */
#include "memview_test.h"

#include <linux/falloc.h>
#include <linux/fs.h>

#define PAGES		256
#define SIZE		(PAGES * PAGE)
#define TAG		1
#define OTHER_TAG	2

FIXTURE(reclaim_shift)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_shift)
{
	enum source_kind kind;
	bool collapses, clones;
};

FIXTURE_VARIANT_ADD(reclaim_shift, ext4) {
	.kind = SOURCE_EXT4,
	.collapses = true,
};

FIXTURE_VARIANT_ADD(reclaim_shift, xfs) {
	.kind = SOURCE_XFS,
	.collapses = true,
	.clones = true,
};

FIXTURE_VARIANT_ADD(reclaim_shift, btrfs) {
	.kind = SOURCE_BTRFS,
	.clones = true,
};

FIXTURE_VARIANT_ADD(reclaim_shift, overlay) {
	.kind = SOURCE_OVERLAY,
	.collapses = true,
};

FIXTURE_SETUP(reclaim_shift)
{
	unsigned int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, TAG));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	/* Every page is mapped when its source changes. */
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, probe_write(self->mem + i * PAGE + 8, i));
}

FIXTURE_TEARDOWN(reclaim_shift)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t seen(FIXTURE_DATA(reclaim_shift) *self, unsigned int page)
{
	uint64_t value = ~0ULL;

	return probe_read(self->mem + page * PAGE, &value) ? ~0ULL : value;
}

/* Catches: no watch; one that hears of truncation only. */
TEST_F(reclaim_shift, zero_range)
{
	ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_ZERO_RANGE, 10 * PAGE,
			       5 * PAGE));
	EXPECT_EQ(page_tag(TAG, 9), seen(self, 9));
	EXPECT_EQ(0, seen(self, 10));
	EXPECT_EQ(0, seen(self, 14));
	EXPECT_EQ(page_tag(TAG, 15), seen(self, 15));
}

/* What lay behind the range is where it was, or a file was made of parts. */
TEST_F(reclaim_shift, collapse_or_clone)
{
	struct file_clone_range clone = {
		.src_length = 16 * PAGE,
		.dest_offset = 32 * PAGE,
	};
	struct source other;
	uint64_t value;

	if (variant->collapses) {
		ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_COLLAPSE_RANGE, 0,
				       16 * PAGE));
		EXPECT_EQ(page_tag(TAG, 16), seen(self, 0));
		EXPECT_EQ(page_tag(TAG, 116), seen(self, 100));
		EXPECT_EQ(~0ULL, seen(self, PAGES - 16));
	}
	if (variant->clones) {
		ASSERT_EQ(0, source_open(&other, variant->kind, SIZE));
		ASSERT_EQ(0, source_fill(&other, OTHER_TAG));
		clone.src_fd = other.fd;
		ASSERT_EQ(0, ioctl(self->src.fd, FICLONERANGE, &clone));
		EXPECT_EQ(page_tag(OTHER_TAG, 0), seen(self, 32));
		EXPECT_EQ(page_tag(OTHER_TAG, 15), seen(self, 47));
		/* Written now, it is not the other file's page. */
		ASSERT_EQ(0, probe_write(self->mem + 32 * PAGE, 5));
		EXPECT_EQ(0, fd_read_u64(other.fd, 0, &value));
		EXPECT_EQ(page_tag(OTHER_TAG, 0), value);
		source_close(&other);
	}
}

TEST_HARNESS_MAIN
