// SPDX-License-Identifier: GPL-2.0
/*
 * viewfd_works.c - P6: what a view fd is good for
 *
 * It can be mapped, duplicated and closed, and tells its size and flags: peers
 * that do not know what it is ask for those.
 */
#include "memview_test.h"

#include <poll.h>
#include <sys/vfs.h>

#define PAGES	4
#define SIZE	(PAGES * PAGE)
#define FILE_ID	5

FIXTURE(viewfd)
{
	struct klog klog;
	int memfd;
	int control;
	int viewfd;
	char *mem;
};

/* The first three pages have a range. */
FIXTURE_SETUP(viewfd)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 3 * PAGE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(viewfd)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(viewfd, tells_its_size)
{
	struct statx stx;
	struct statfs fs;
	struct stat st;

	ASSERT_EQ(0, fstat(self->viewfd, &st));
	EXPECT_EQ(SIZE, st.st_size);
	EXPECT_TRUE(S_ISREG(st.st_mode));
	EXPECT_EQ(0, fstatfs(self->viewfd, &fs));
	EXPECT_EQ(PAGE, fs.f_bsize);
	ASSERT_EQ(0, statx(self->viewfd, "", AT_EMPTY_PATH, STATX_SIZE, &stx));
	EXPECT_EQ(SIZE, stx.stx_size);
	EXPECT_EQ(SIZE, lseek(self->viewfd, 0, SEEK_END));
	EXPECT_EQ(SIZE, lseek(self->viewfd, 0, SEEK_CUR));
	EXPECT_EQ(PAGE, lseek(self->viewfd, PAGE, SEEK_SET));
	EXPECT_EQ(PAGE + 8, lseek(self->viewfd, 8, SEEK_CUR));
	EXPECT_EQ(-1, lseek(self->viewfd, -1, SEEK_SET));
	EXPECT_EQ(EINVAL, errno);

	/* The view fd follows the control fd. */
	ASSERT_EQ(0, view_resize(self->control, 8 * SIZE));
	EXPECT_EQ(8 * SIZE, lseek(self->viewfd, 0, SEEK_END));
	EXPECT_EQ(8 * SIZE, lseek(self->control, 0, SEEK_END));
	ASSERT_EQ(0, fstat(self->viewfd, &st));
	EXPECT_EQ(8 * SIZE, st.st_size);
}

TEST_F(viewfd, has_flags)
{
	int flags = fcntl(self->viewfd, F_GETFL);

	EXPECT_EQ(O_RDWR, flags & O_ACCMODE);
	EXPECT_EQ(0, fcntl(self->viewfd, F_SETFL, flags | O_NONBLOCK));
	EXPECT_EQ(O_NONBLOCK, fcntl(self->viewfd, F_GETFL) & O_NONBLOCK);
	EXPECT_EQ(0, fcntl(self->viewfd, F_SETFD, 0));
	EXPECT_EQ(0, fcntl(self->viewfd, F_GETFD));
}

/* Copies of the fd are as good as the fd, and outlive it. */
TEST_F(viewfd, can_be_duplicated)
{
	int copy = dup(self->viewfd), other = fcntl(self->viewfd, F_DUPFD_CLOEXEC, 100);
	uint64_t word;
	char *mem;

	ASSERT_LE(0, copy);
	ASSERT_LE(100, other);
	close(self->viewfd);
	mem = view_mmap(copy, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, probe_read(mem + PAGE, &word));
	EXPECT_EQ(page_tag(FILE_ID, 1), word);
	close(copy);
	munmap(mem, SIZE);
	mem = view_mmap(other, SIZE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, probe_read(mem + 2 * PAGE, &word));
	EXPECT_EQ(page_tag(FILE_ID, 2), word);
	EXPECT_EQ(SIGSEGV, probe_write(mem, 1));
}

/* At every offset, shorter and longer than the view, or beside it. */
TEST_F(viewfd, maps_at_offsets)
{
	uint64_t word;
	unsigned int first, page;
	char *mem;

	for (first = 0; first < 2 * PAGES; first++) {
		mem = view_mmap(self->viewfd, 2 * SIZE, PROT_RW, first * PAGE);
		ASSERT_NE(MAP_FAILED, mem);
		for (page = 0; page < 2 * PAGES; page++) {
			word = 0;
			if (first + page < 3) {
				EXPECT_EQ(0, probe_read(mem + page * PAGE, &word));
				EXPECT_EQ(page_tag(FILE_ID, first + page), word);
			} else {
				EXPECT_EQ(SIGBUS, probe_read(mem + page * PAGE, &word));
			}
		}
		munmap(mem, 2 * SIZE);
	}
	/* Far beyond: a mapping, and nothing in it. */
	mem = view_mmap(self->viewfd, PAGE, PROT_RW, 1UL << 45);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(SIGBUS, probe_read(mem, &word));
}

/* The largest size there is, and the last page that mmap() can reach. */
TEST_F(viewfd, largest_size)
{
	uint64_t last = (1ULL << 63) - 2 * PAGE, word = 0;
	struct stat st;
	char *mem;

	ASSERT_EQ(0, view_resize(self->control, LLONG_MAX));
	ASSERT_EQ(0, fstat(self->viewfd, &st));
	EXPECT_EQ(LLONG_MAX, st.st_size);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 2 * PAGE, PAGE, last, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 3 * PAGE, PAGE, last + PAGE, MAP_RW));
	EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 0, PAGE, last + 2 * PAGE, MAP_RW));
	mem = view_mmap(self->viewfd, PAGE, PROT_RW, last);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, probe_read(mem, &word));
	EXPECT_EQ(page_tag(FILE_ID, 2), word);
	ASSERT_EQ(0, view_resize(self->control, SIZE));
	EXPECT_EQ(SIGBUS, probe_read(mem, &word));
}

/* Nothing that is asked about a mapping or an fd upsets anybody. */
TEST_F(viewfd, harmless_questions)
{
	unsigned char vec[PAGES];
	int advice;

	for (advice = 0; advice < 6; advice++)
		posix_fadvise(self->viewfd, 0, SIZE, advice);
	readahead(self->viewfd, 0, SIZE);
	EXPECT_EQ(0, mincore(self->mem, SIZE, vec));
	EXPECT_EQ(0, msync(self->mem, SIZE, MS_SYNC));
	EXPECT_EQ(0, msync(self->mem, SIZE, MS_ASYNC | MS_INVALIDATE));
	EXPECT_EQ(0, fsync(self->viewfd));
	poll(&(struct pollfd){ .fd = self->viewfd, .events = POLLIN | POLLOUT }, 1, 0);
	EXPECT_EQ(0, fdatasync(self->viewfd));
	sync_file_range(self->viewfd, 0, SIZE, SYNC_FILE_RANGE_WRITE);
	EXPECT_EQ(0, syncfs(self->viewfd));
	sync();
}

TEST_HARNESS_MAIN
