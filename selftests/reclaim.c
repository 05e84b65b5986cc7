// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim.c - P4: the pages of a view are no more pinned than those of an
 * mmap; what happens to the source is seen through the view at once
 */
#include "memview_test.h"

#include <linux/falloc.h>

#define PAGES		512 /* one huge page */
#define SIZE		(PAGES * PAGE)
#define TAG		1

FIXTURE(reclaim)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(reclaim)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(reclaim);

FIXTURE_SETUP(reclaim)
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

FIXTURE_TEARDOWN(reclaim)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t seen(FIXTURE_DATA(reclaim) *self, unsigned int page)
{
	uint64_t value = ~0ULL;

	return probe_read(self->mem + page * PAGE, &value) ? ~0ULL : value;
}

/* Pages [first, last] read as zero, all others as they were. */
static void check_zero(struct __test_metadata *_metadata,
		       FIXTURE_DATA(reclaim) *self, unsigned int first,
		       unsigned int last)
{
	uint64_t want;
	unsigned int i;

	for (i = 0; i < PAGES; i++) {
		want = i >= first && i <= last ? 0 : page_tag(TAG, i);
		ASSERT_EQ(want, seen(self, i)) TH_LOG("page %u", i);
	}
}

/*
 * Catches, with the next ones: no watch of the source, or a wrong translation
 * of a span of the file to one of the view.
 */
TEST_F(reclaim, punch_hole)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	ASSERT_EQ(0, fallocate(self->src.fd, mode, 100 * PAGE, PAGE));
	check_zero(_metadata, self, 100, 100);
	ASSERT_EQ(0, probe_write(self->mem + 100 * PAGE, page_tag(TAG, 100)));

	ASSERT_EQ(0, fallocate(self->src.fd, mode, 7 * PAGE, 200 * PAGE));
	check_zero(_metadata, self, 7, 206);
	/* What is written now is in the file, not in a page that is gone. */
	ASSERT_EQ(0, probe_write(self->mem + 7 * PAGE, 0x77));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(8, pread(self->src.fd, self->mem + 8 * PAGE, 8, 7 * PAGE));
	EXPECT_EQ(0x77, seen(self, 8));
}

/* The end of the source moves: SIGBUS beyond it, zeroes when it is back. */
TEST_F(reclaim, truncate)
{
	uint64_t value;

	ASSERT_EQ(0, ftruncate(self->src.fd, 50 * PAGE + 8));
	EXPECT_EQ(page_tag(TAG, 50), seen(self, 50));
	ASSERT_EQ(0, probe_read(self->mem + 50 * PAGE + 8, &value));
	EXPECT_EQ(0, value) TH_LOG("beyond the end, within the page");
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 51 * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_write(self->mem + 300 * PAGE, 1));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + (PAGES - 1) * PAGE, &value));

	ASSERT_EQ(0, ftruncate(self->src.fd, SIZE));
	check_zero(_metadata, self, 51, PAGES - 1);
	ASSERT_EQ(0, probe_write(self->mem + 60 * PAGE, 5));
	ASSERT_EQ(0, fd_read_u64(self->src.fd, 60 * PAGE, &value));
	EXPECT_EQ(5, value);
}

/* Direct I/O to the source writes the disk and drops the cached pages. */
TEST_F(reclaim, direct_write_to_source)
{
	int direct = source_reopen(&self->src, O_RDWR | O_DIRECT);
	static char buf[4 * PAGE] __attribute__((aligned(4096)));

	if (direct < 0)
		SKIP(return, "missing: O_DIRECT on %s",
		     source_name(variant->kind));
	memset(buf, 0x5a, sizeof(buf));
	ASSERT_EQ(sizeof(buf), pwrite(direct, buf, sizeof(buf), 64 * PAGE));
	EXPECT_EQ(page_tag(TAG, 63), seen(self, 63));
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, seen(self, 64));
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, seen(self, 67));
	EXPECT_EQ(page_tag(TAG, 68), seen(self, 68));
	close(direct);
}

/*
 * A view may show one page of a source many times, at other offsets and with
 * other rights; every one of them hears.
 *
 * Catches: a translation that stops at the first range, or assumes that the
 * offsets are the same.
 */
TEST_F(reclaim, same_page_in_many_places)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	unsigned int i;

	for (i = 0; i < PAGES; i += 2)
		ASSERT_EQ(0, view_map(self->control, self->src.fd, 99 * PAGE,
				      2 * PAGE, i * PAGE,
				      i % 4 ? MAP_RW : MAP_R));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(page_tag(TAG, 99 + i % 2), seen(self, i));
	ASSERT_EQ(0, fallocate(self->src.fd, mode, 100 * PAGE, PAGE));
	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(i % 2 ? 0 : page_tag(TAG, 99), seen(self, i));
}

TEST_HARNESS_MAIN
