// SPDX-License-Identifier: GPL-2.0
/*
 * client_sync.c - what a client expects of a mapping: msync(), fsync() and
 * MADV_WILLNEED reach the files that its view shows, and a mapping can grow
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

#define NR_cachestat	451

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

/* ---- MADV_WILLNEED ---- */

/*
 * How many pages of the file, from @offset, are in memory? mincore() takes those
 * of a memory file that are still on their way to swap for such.
 */
static int count_cached(const struct source *src, uint64_t offset)
{
	uint64_t range[2] = { offset, HALF }, stat[5];
	unsigned char vec[PAGES];
	int page, n = 0, err;
	char *mem;

	if (is_memory(src->kind))
		return syscall(NR_cachestat, src->fd, range, stat, 0) ? -errno : (int)stat[0];
	mem = view_mmap(src->fd, HALF, PROT_READ, offset);
	if (mem == MAP_FAILED)
		return -errno;
	err = mincore(mem, HALF, vec) ? -errno : 0;
	munmap(mem, HALF);
	for (page = 0; page < PAGES; page++)
		n += vec[page] & 1;
	return err ?: n;
}

static bool is_evicted(const struct source *src)
{
	return !count_cached(src, 0) && !count_cached(src, HALF);
}

static bool swap_out(const struct source *src)
{
	char *mem = view_mmap(src->fd, src->size, PROT_RW, 0);
	bool out = mem != MAP_FAILED;

	out = out && !madvise(mem, src->size, MADV_POPULATE_READ);
	out = out && !madvise(mem, src->size, MADV_PAGEOUT) && is_evicted(src);
	munmap(mem, src->size);
	return out;
}

static bool drop(const struct source *src)
{
	return !fsync(src->fd) && !posix_fadvise(src->fd, 0, 0, POSIX_FADV_DONTNEED) &&
	       is_evicted(src);
}

/* Memory files need swap for that. */
static bool evict(const struct source *src)
{
	return WAIT_FOR(is_memory(src->kind) ? swap_out(src) : drop(src), 3000);
}

/* Catches: advice that is not passed on, or for another part of the file. */
TEST_F(client_sync, willneed)
{
	if (!evict(&self->src))
		SKIP(return, "missing: swap, or a cache that can be emptied");
	EXPECT_EQ(0, madvise(self->mem, HALF, MADV_WILLNEED));
	EXPECT_TRUE(WAIT_FOR(count_cached(&self->src, HALF) == PAGES, 10000));
	if (!is_memory(variant->kind)) /* swap is read in larger pieces */
		EXPECT_EQ(0, count_cached(&self->src, 0));
	EXPECT_EQ(0, madvise(self->mem, SIZE, MADV_WILLNEED));
	EXPECT_TRUE(WAIT_FOR(count_cached(&self->src, 0) == PAGES, 10000));
}

TEST_F(client_sync, willneed_by_the_fd)
{
	if (!evict(&self->src))
		SKIP(return, "missing: swap, or a cache that can be emptied");
	EXPECT_EQ(0, posix_fadvise(self->viewfd, SECOND, 0, POSIX_FADV_WILLNEED));
	EXPECT_TRUE(WAIT_FOR(count_cached(&self->src, 0) == PAGES, 10000));
	EXPECT_EQ(EINVAL, posix_fadvise(self->viewfd, 0, -1, POSIX_FADV_WILLNEED));
}

/* Other advice would be about the file, which others use. */
TEST_F(client_sync, other_advice_is_not_passed_on)
{
	ASSERT_EQ(0, write_half(self->mem));
	ASSERT_EQ(0, fsync(self->viewfd));
	if (count_cached(&self->src, 0) == -ENOSYS)
		SKIP(return, "missing: cachestat()");
	EXPECT_EQ(PAGES, count_cached(&self->src, HALF));
	EXPECT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, posix_fadvise(self->viewfd, 0, 0, POSIX_FADV_DONTNEED));
	EXPECT_EQ(PAGES, count_cached(&self->src, HALF));
}

/* A hole of a memory file stays one. */
TEST_F(client_sync, willneed_fills_no_hole)
{
	struct stat before, after;

	if (!is_memory(variant->kind))
		SKIP(return, "a file with a disk");
	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	ASSERT_EQ(0, ftruncate(self->src.fd, self->src.size));
	ASSERT_EQ(0, fstat(self->src.fd, &before));
	EXPECT_EQ(0, madvise(self->mem, SIZE, MADV_WILLNEED));
	ASSERT_EQ(0, fstat(self->src.fd, &after));
	EXPECT_EQ(0, before.st_blocks);
	EXPECT_EQ(0, after.st_blocks);
}

/* ---- Growing ---- */

/*
 * mremap() makes no mapping longer: see viewfd_mmap(). What to do instead: map
 * the rest behind it, if there is room; or more than there is from the start.
 */
TEST_F(client_sync, growing)
{
	char *large, *tail;
	uint64_t value;

	large = view_mmap(self->viewfd, 4 * SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, large);
	EXPECT_EQ(SIGBUS, probe_read(large + SIZE, &value));
	EXPECT_EQ(MAP_FAILED, mremap(self->mem, SIZE, 2 * SIZE, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, errno);

	ASSERT_EQ(0, view_resize(self->control, 2 * SIZE));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, HALF, SIZE, MAP_RW));
	EXPECT_EQ(0, probe_read(large + SIZE, &value));
	EXPECT_EQ(page_tag(FILE_ID, 0), value);
	ASSERT_EQ(0, munmap(large + SIZE, 3 * SIZE));
	tail = mmap(large + SIZE, HALF, PROT_RW, MAP_SHARED | MAP_FIXED_NOREPLACE, self->viewfd, SIZE);
	ASSERT_EQ(large + SIZE, tail);
	EXPECT_EQ(0, probe_read(tail + PAGE, &value));
	EXPECT_EQ(page_tag(FILE_ID, 1), value);
	munmap(large, SIZE + HALF);
}

/* ---- The rest of the list in the README ---- */

TEST_F(client_sync, differs_as_documented)
{
	unsigned char vec[PAGES];
	uint64_t locked, value;
	unsigned int page, n;

	/* All is cached, and nothing is mapped. */
	ASSERT_EQ(0, mincore(self->mem, HALF, vec));
	for (page = n = 0; page < PAGES; page++)
		n += vec[page] & 1;
	EXPECT_EQ(0, n);

	ASSERT_EQ(0, view_map(self->control, self->src.fd, HALF, HALF, 0, MAP_R));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem, VALUE));
	EXPECT_EQ(SEGV_MAPERR, probe_fault.code);
	ASSERT_EQ(0, mprotect(self->mem + SECOND, HALF, PROT_READ));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + SECOND, VALUE));
	EXPECT_EQ(SEGV_ACCERR, probe_fault.code);

	EXPECT_EQ(0, mlock(self->mem, HALF));
	ASSERT_EQ(0, file_number("/proc/self/status", "VmLck:", &locked));
	EXPECT_EQ(0, locked);
	EXPECT_EQ(PAGES, count_mapped(self->mem, PAGES));
	EXPECT_EQ(-1, madvise(self->mem, SIZE, MADV_DODUMP));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, probe_read(self->mem, &value));
	EXPECT_EQ(page_tag(FILE_ID, PAGES), value);
}

TEST_HARNESS_MAIN
