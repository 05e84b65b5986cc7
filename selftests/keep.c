// SPDX-License-Identifier: GPL-2.0
/*
 * keep.c - P1, P2, P5: a change that takes nothing away leaves the pages where
 * they are, and one that does leaves none
 *
 * /proc/self/pagemap tells whether a page has a PTE, without a touch.
 */
#include "memview_test.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	6

FIXTURE(keep)
{
	struct klog klog;
	int memfd;
	int control;
	char *mem;
	struct view_info before;
};

FIXTURE_SETUP(keep)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW | PROT_EXEC, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(keep)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Map the file with these flags, and have all its pages mapped. */
static int fill(FIXTURE_DATA(keep) *self, uint32_t flags)
{
	uint64_t word;
	int i, err = view_map(self->control, self->memfd, 0, SIZE, 0, flags);

	for (i = 0; !err && i < PAGES; i++)
		err = probe_read(self->mem + i * PAGE, &word);
	return err ?: view_info(self->control, &self->before);
}

/* Another change; how many pages are left, and how often it has zapped? */
static int change(FIXTURE_DATA(keep) *self, int fd, uint64_t fd_offset, uint64_t size,
		  uint64_t offset, uint32_t flags, unsigned int *left, unsigned int *zaps)
{
	struct view_info after;
	int err = view_map(self->control, fd, fd_offset, size, offset, flags) ?:
		  view_info(self->control, &after);

	*left = count_mapped(self->mem, PAGES);
	*zaps = after.zaps - self->before.zaps;
	return err;
}

#define EXPECT_KEPT(...)                                            \
	do {                                                        \
		unsigned int left_, zaps_;                          \
								    \
		ASSERT_EQ(0, change(self, __VA_ARGS__, &left_, &zaps_)); \
		EXPECT_EQ(PAGES, left_);                            \
		EXPECT_EQ(0, zaps_);                                \
	} while (0)

#define EXPECT_ZAPPED(n, ...)                                       \
	do {                                                        \
		unsigned int left_, zaps_;                          \
								    \
		ASSERT_EQ(0, change(self, __VA_ARGS__, &left_, &zaps_)); \
		EXPECT_EQ(PAGES - (n), left_);                      \
		EXPECT_EQ(1, zaps_);                                \
	} while (0)

TEST_F(keep, the_same_again)
{
	ASSERT_EQ(0, fill(self, MAP_R));
	EXPECT_KEPT(self->memfd, 0, SIZE, 0, MAP_R);
	EXPECT_KEPT(self->memfd, 4 * PAGE, 2 * PAGE, 4 * PAGE, MAP_R);
	ASSERT_EQ(0, view_info(self->control, &self->before));
	EXPECT_EQ(3, self->before.ranges);
	EXPECT_EQ(SIZE, self->before.bytes);
}

/* By another open file of it, too: the page cache is the same. */
TEST_F(keep, by_another_fd)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->memfd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fill(self, MAP_RW));
	EXPECT_KEPT(fd, 0, SIZE, 0, MAP_RW);
}

/* What was allowed meanwhile works without a zap... */
TEST_F(keep, write_is_allowed)
{
	uint64_t word;

	ASSERT_EQ(0, fill(self, MAP_R));
	ASSERT_EQ(SIGSEGV, probe_write(self->mem, 1));
	EXPECT_KEPT(self->memfd, 0, SIZE, 0, MAP_RW);
	ASSERT_EQ(0, probe_write(self->mem + PAGE, 0x5a));
	ASSERT_EQ(0, fd_read_u64(self->memfd, PAGE, &word));
	EXPECT_EQ(0x5a, word);
	/* The source that the pages came by is gone, and its watch with it. */
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       2 * PAGE, PAGE));
	EXPECT_EQ(PAGES - 1, count_mapped(self->mem, PAGES));
	ASSERT_EQ(0, probe_read(self->mem + 2 * PAGE, &word));
	EXPECT_EQ(0, word);
}

/* ...but for EXEC: a fetch from a page that is mapped without it would fail. */
TEST_F(keep, exec_is_allowed)
{
	ASSERT_EQ(0, fill(self, MAP_R));
	EXPECT_ZAPPED(PAGES, self->memfd, 0, SIZE, 0, MAP_RWX & ~MEMVIEW_MAP_WRITE);
}

TEST_F(keep, write_is_taken)
{
	ASSERT_EQ(0, fill(self, MAP_RW));
	ASSERT_EQ(0, probe_write(self->mem, 1));
	EXPECT_ZAPPED(PAGES, self->memfd, 0, SIZE, 0, MAP_R);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem, 1));
}

TEST_F(keep, other_pages)
{
	uint64_t word;

	ASSERT_EQ(0, fill(self, MAP_R));
	EXPECT_ZAPPED(2, self->memfd, 0, 2 * PAGE, 4 * PAGE, MAP_R);
	ASSERT_EQ(0, probe_read(self->mem + 5 * PAGE, &word));
	EXPECT_EQ(page_tag(FILE_ID, 1), word);
}

/* One of several ranges shows other pages: all of the span goes. */
TEST_F(keep, some_other_pages)
{
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_R));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 9 * PAGE, MAP_R));
	madvise(self->mem, SIZE, MADV_POPULATE_READ);
	ASSERT_EQ(PAGES, count_mapped(self->mem, PAGES));
	ASSERT_EQ(0, view_info(self->control, &self->before));
	EXPECT_ZAPPED(PAGES - 1, self->memfd, 0, SIZE - PAGE, 0, MAP_R);
}

TEST_F(keep, another_file)
{
	int other = memfd_filled(SIZE, FILE_ID + 1);
	uint64_t word;

	ASSERT_EQ(0, fill(self, MAP_R));
	EXPECT_ZAPPED(PAGES, other, 0, SIZE, 0, MAP_R);
	ASSERT_EQ(0, probe_read(self->mem, &word));
	EXPECT_EQ(page_tag(FILE_ID + 1, 0), word);
}

TEST_HARNESS_MAIN
