// SPDX-License-Identifier: GPL-2.0
/*
 * sources_disk.c - P4: what a client writes reaches the disk
 *
 * Write-back must find the stores: the page is marked dirty, and a page that
 * was written back is write-protected, so that the next store counts again.
 */
#include "memview_test.h"

#include <linux/fs.h>

#define PAGES	32
#define SIZE	(PAGES * PAGE)
#define FILE_ID	9

FIXTURE(disk)
{
	struct klog klog;
	struct source src;
	int viewfd;
	char *mem;
};

FIXTURE_VARIANT(disk)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(disk, ext4) { .kind = SOURCE_EXT4 };
FIXTURE_VARIANT_ADD(disk, xfs) { .kind = SOURCE_XFS };
FIXTURE_VARIANT_ADD(disk, btrfs) { .kind = SOURCE_BTRFS };
FIXTURE_VARIANT_ADD(disk, overlay) { .kind = SOURCE_OVERLAY };

FIXTURE_SETUP(disk)
{
	int control;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	ASSERT_EQ(0, fsync(self->src.fd));
	control = view_create(SIZE);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, view_map(control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(disk)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t *word_at(char *mem, unsigned int page)
{
	return (uint64_t *)(mem + page * PAGE + 64);
}

static void store(FIXTURE_DATA(disk) *self, uint64_t base)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++)
		*word_at(self->mem, page) = base + page;
}

/* O_DIRECT: the kernel writes the dirty pages that it knows of, then reads. */
static void expect_on_disk(struct __test_metadata *_metadata, FIXTURE_DATA(disk) *self,
			   uint64_t base)
{
	int fd = source_reopen(&self->src, O_RDONLY | O_DIRECT);
	char *buf = aligned_alloc(PAGE, SIZE);
	unsigned int page;

	ASSERT_LE(0, fd);
	ASSERT_NE(NULL, buf);
	ASSERT_EQ(SIZE, pread(fd, buf, SIZE, 0));
	for (page = 0; page < PAGES; page++) {
		EXPECT_EQ(base + page, *word_at(buf, page)) TH_LOG("page %u", page);
	}
	free(buf);
	close(fd);
}

TEST_F(disk, fsync)
{
	unsigned int round;

	for (round = 1; round <= 4; round++) {
		store(self, round * 10000);
		ASSERT_EQ(0, fsync(self->src.fd));
		expect_on_disk(_metadata, self, round * 10000);
	}
}

TEST_F(disk, without_fsync)
{
	unsigned int round;

	for (round = 1; round <= 4; round++) {
		store(self, round * 10000);
		expect_on_disk(_metadata, self, round * 10000);
	}
}

static unsigned int pages_in_cache(int fd)
{
	unsigned char vec[PAGES];
	void *mem = view_mmap(fd, SIZE, PROT_READ, 0);
	unsigned int page, n = 0;

	if (mem == MAP_FAILED || mincore(mem, SIZE, vec))
		return PAGES;
	munmap(mem, SIZE);
	for (page = 0; page < PAGES; page++)
		n += vec[page] & 1;
	return n;
}

/* A client's pages go from the cache when it is done, and come back as written. */
TEST_F(disk, dropped_from_the_cache)
{
	unsigned int page, try;

	store(self, 50000);
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, munmap(self->mem, SIZE));
	for (try = 0; try < 1000 && pages_in_cache(self->src.fd); try++) {
		posix_fadvise(self->src.fd, 0, SIZE, POSIX_FADV_DONTNEED);
		sleep_ms(20);
	}
	EXPECT_EQ(0, pages_in_cache(self->src.fd));
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	for (page = 0; page < PAGES; page++) {
		EXPECT_EQ(50000 + page, *word_at(self->mem, page));
	}
	store(self, 60000);
	expect_on_disk(_metadata, self, 60000);
}

/* A page that was read first, and written later, is no exception. */
TEST_F(disk, read_before_written)
{
	unsigned int page;
	uint64_t word;

	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
	}
	store(self, 70000);
	expect_on_disk(_metadata, self, 70000);
}

/* By the kernel's hand: read(2) into the view. */
TEST_F(disk, read_into_the_view)
{
	uint64_t words[PAGES];
	unsigned int page;
	int memfd = memfd_create("words", MFD_CLOEXEC);

	for (page = 0; page < PAGES; page++)
		words[page] = 80000 + page;
	ASSERT_EQ(sizeof(words), pwrite(memfd, words, sizeof(words), 0));
	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(8, pread(memfd, word_at(self->mem, page), 8, page * 8));
	}
	expect_on_disk(_metadata, self, 80000);
}

/* ---- Where a file can share its blocks with another ---- */

FIXTURE(clone)
{
	FIXTURE_DATA(disk) disk;
};

FIXTURE_VARIANT(clone)
{
	FIXTURE_VARIANT(disk) disk;
};

FIXTURE_VARIANT_ADD(clone, xfs) { .disk.kind = SOURCE_XFS };
FIXTURE_VARIANT_ADD(clone, btrfs) { .disk.kind = SOURCE_BTRFS };

FIXTURE_SETUP(clone)
{
	disk_setup(_metadata, &self->disk, &variant->disk);
}

FIXTURE_TEARDOWN(clone)
{
	disk_teardown(_metadata, &self->disk, &variant->disk);
}

/* The other file keeps its contents, whoever writes to this one and how. */
TEST_F(clone, keeps_its_contents)
{
	FIXTURE_DATA(disk) *disk = &self->disk;
	struct source copy;
	unsigned int page;
	uint64_t word;

	ASSERT_EQ(0, source_open(&copy, variant->disk.kind, 0));
	ASSERT_EQ(0, ioctl(copy.fd, FICLONE, disk->src.fd));
	store(disk, 90000);
	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, probe_write(disk->mem + page * PAGE, 5));
	}
	ASSERT_EQ(0, fsync(disk->src.fd));
	expect_on_disk(_metadata, disk, 90000);
	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, fd_read_u64(copy.fd, page * PAGE, &word));
		EXPECT_EQ(page_tag(FILE_ID, page), word);
	}
	source_close(&copy);
}

TEST_HARNESS_MAIN
