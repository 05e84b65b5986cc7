// SPDX-License-Identifier: GPL-2.0
/*
 * client_sync.c - what a client expects of a mapping: msync() and
 * fsync() reach the files that its view shows
 */
#include "memview_test.h"

#define PAGES		16 /* of each half of the file */
#define HALF		(PAGES * PAGE)
#define HOLE		(4 * PAGE) /* of the view, between the halves */
#define SECOND		(HALF + HOLE)
#define SIZE		(SECOND + HALF)
#define FILE_ID		3
#define VALUE		0x5151515151515151ULL

#define PFN_MASK	((1ULL << 55) - 1)
#define KPF_DIRTY	(1ULL << 4)

/* The view shows the file's second half first, then nothing, then its first half. */
FIXTURE(client_sync)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(client_sync)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(client_sync);

static bool is_memory(enum source_kind kind)
{
	return kind <= SOURCE_TMPFS;
}

/* Nothing of the file is in memory, if it has a disk. */
FIXTURE_SETUP(client_sync)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, 2 * HALF);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	ASSERT_EQ(0, fsync(self->src.fd));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, HALF, HALF, 0, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, HALF, SECOND, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(client_sync)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static bool word_of(const char *file, uint64_t index, uint64_t *word)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	bool got = pread(fd, word, sizeof(*word), index * sizeof(*word)) == sizeof(*word);

	close(fd);
	return got;
}

/* How many pages from @addr are to be written back? -1: the kernel does not tell. */
static int count_dirty(char *addr)
{
	uint64_t entry, flags, value;
	int page, dirty = 0;

	for (page = 0; page < PAGES; page++, addr += PAGE) {
		if (probe_read(addr, &value) ||
		    !word_of("/proc/self/pagemap", (uintptr_t)addr / PAGE, &entry) ||
		    !word_of("/proc/kpageflags", entry & PFN_MASK, &flags))
			return -1;
		dirty += !!(flags & KPF_DIRTY);
	}
	return dirty;
}

static int write_half(char *addr)
{
	int page;

	for (page = 0; page < PAGES; page++)
		if (probe_write(addr + page * PAGE + 8, VALUE))
			return -1;
	return 0;
}

/*
 * Catches: an msync() that fails, or does nothing; one of another part of the file
 * than the view shows there.
 */
TEST_F(client_sync, msync)
{
	ASSERT_EQ(0, write_half(self->mem));
	ASSERT_EQ(0, write_half(self->mem + SECOND));
	EXPECT_EQ(0, msync(self->mem, HALF, MS_SYNC));
	if (!is_memory(variant->kind))
		EXPECT_EQ(0, count_dirty(self->mem));
	EXPECT_EQ(0, msync(self->mem, SIZE, MS_SYNC));
	EXPECT_EQ(0, msync(self->mem + HALF, HOLE, MS_SYNC));
	if (!is_memory(variant->kind))
		EXPECT_EQ(0, count_dirty(self->mem + SECOND));
}

TEST_F(client_sync, fsync)
{
	ASSERT_EQ(0, write_half(self->mem + SECOND));
	EXPECT_EQ(0, fsync(self->viewfd));
	if (!is_memory(variant->kind))
		EXPECT_EQ(0, count_dirty(self->mem + SECOND));
	ASSERT_EQ(0, write_half(self->mem));
	EXPECT_EQ(0, fdatasync(self->viewfd));
	if (!is_memory(variant->kind))
		EXPECT_EQ(0, count_dirty(self->mem));
	/* What is not shown is no error. */
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(0, fsync(self->viewfd));
	ASSERT_EQ(0, view_resize(self->control, 0));
	EXPECT_EQ(0, fsync(self->viewfd));
	EXPECT_EQ(0, msync(self->mem, SIZE, MS_SYNC));
}

/* To write back takes no right to write, as of an mmap. */
TEST_F(client_sync, msync_of_a_reader)
{
	char *mem;
	int page;

	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, HALF, 0, MAP_R));
	mem = view_mmap(self->viewfd, HALF, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (page = 0; page < PAGES; page++)
		ASSERT_EQ(0, fd_write_u64(self->src.fd, page * PAGE, VALUE));
	EXPECT_EQ(0, msync(mem, HALF, MS_SYNC));
	if (!is_memory(variant->kind))
		EXPECT_EQ(0, count_dirty(mem));
	munmap(mem, HALF);
}

TEST_HARNESS_MAIN
