// SPDX-License-Identifier: GPL-2.0
/*
 * huge_source.c - P4 with huge pages that one entry maps: what happens to the
 * file, and what the kernel does for the client, is as it is with small ones
 */
#include "huge.h"
#include "reclaim.h"

#include <linux/falloc.h>

#define PIECES		3
#define SIZE		(PIECES * HUGE)
#define PAGES		(SIZE / PAGE)
#define TAG		1
#define PAGE_AT		(HUGE_PAGES + 100) /* in the middle of the second piece */
#define SPLIT_HUGE_PAGES "/sys/kernel/debug/split_huge_pages"

FIXTURE(huge_source)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(huge_source)
{
	enum huge_kind kind;
};

FIXTURE_VARIANT_ADD(huge_source, memfd) { .kind = HUGE_MEMFD };
FIXTURE_VARIANT_ADD(huge_source, tmpfs) { .kind = HUGE_TMPFS };
FIXTURE_VARIANT_ADD(huge_source, xfs) { .kind = HUGE_XFS };

/* All of it is mapped, and all pieces are huge. */
FIXTURE_SETUP(huge_source)
{
	uint64_t value;
	unsigned int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	OPEN_HUGE_OR_SKIP(&self->src, variant->kind, SIZE + HUGE, TAG);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	for (i = 0; i < PIECES; i++)
		ASSERT_EQ(0, probe_read(self->mem + i * HUGE + 7 * PAGE, &value));
	ASSERT_EQ(SIZE, mapped_huge(self->mem, SIZE));
}

FIXTURE_TEARDOWN(huge_source)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define EXPECT_PAGES(first, n)						\
	EXPECT_EQ(0, wrong_pages(self->mem, TAG, first, n, first))

TEST_F(huge_source, punch)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	uint64_t value;

	ASSERT_EQ(0, fallocate(self->src.fd, punch, PAGE_AT * PAGE, PAGE));
	ASSERT_EQ(0, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(0, value);
	EXPECT_PAGES(0, PAGE_AT);
	EXPECT_PAGES(PAGE_AT + 1, PAGES - PAGE_AT - 1);
	ASSERT_EQ(0, fallocate(self->src.fd, punch, 0, HUGE));
	ASSERT_EQ(0, probe_read(self->mem + 7 * PAGE, &value));
	EXPECT_EQ(0, value);
	EXPECT_PAGES(2 * HUGE_PAGES, HUGE_PAGES);
}

TEST_F(huge_source, truncate)
{
	uint64_t value;

	ASSERT_EQ(0, ftruncate(self->src.fd, PAGE_AT * PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 2 * HUGE, &value));
	EXPECT_PAGES(0, PAGE_AT);
	ASSERT_EQ(0, ftruncate(self->src.fd, SIZE));
	ASSERT_EQ(0, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(0, value);
	EXPECT_PAGES(0, PAGE_AT);
}

/* The folio goes on where the file ends. Catches: an entry that does, too. */
TEST_F(huge_source, end_of_file)
{
	struct source src;
	uint64_t value;

	if (variant->kind != HUGE_TMPFS)
		SKIP(return, "tmpfs with huge=always has huge pages across the end of a file");
	OPEN_HUGE_OR_SKIP(&src, HUGE_TMPFS, PAGE_AT * PAGE, 0);
	ASSERT_EQ(0, fd_write_u64(src.fd, PAGE_AT * PAGE - 8, 1));
	ASSERT_EQ(0, view_map(self->control, src.fd, 0, SIZE, 0, MAP_RW));
	EXPECT_EQ(0, probe_read(self->mem + (PAGE_AT - 1) * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_write(self->mem + PAGE_AT * PAGE, 1));
	source_close(&src);
}

/* Catches: PTEs that do, for a folio that fits in what is mapped in one go. */
TEST_F(huge_source, end_of_file_in_a_row)
{
	struct source src;
	uint64_t value;

	if (variant->kind != HUGE_TMPFS)
		SKIP(return, "tmpfs with huge=always has huge pages across the end of a file");
	OPEN_HUGE_OR_SKIP(&src, HUGE_TMPFS, PAGE_AT * PAGE, 0);
	ASSERT_EQ(0, fd_write_u64(src.fd, HUGE, 1));
	ASSERT_EQ(0, view_map(self->control, src.fd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_SEQUENTIAL));
	EXPECT_EQ(0, probe_read(self->mem + HUGE, &value));
	EXPECT_EQ(1, value);
	EXPECT_EQ(0, probe_read(self->mem + (PAGE_AT - 1) * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_write(self->mem + 2 * HUGE - PAGE, 1));
	source_close(&src);
}

TEST_F(huge_source, split)
{
	char request[64];
	uint64_t value;

	snprintf(request, sizeof(request), "/proc/self/fd/%d,0x0,0x%lx", self->src.fd, PAGES);
	if (write_file(SPLIT_HUGE_PAGES, request))
		SKIP(return, "missing: " SPLIT_HUGE_PAGES);
	EXPECT_EQ(0, mapped_huge(self->mem, SIZE));
	EXPECT_PAGES(0, PAGES);
	EXPECT_EQ(0, mapped_huge(self->mem, SIZE));
	ASSERT_EQ(0, probe_write(self->mem + PAGE_AT * PAGE + 8, 0x99));
	ASSERT_EQ(0, fd_read_u64(self->src.fd, PAGE_AT * PAGE + 8, &value));
	EXPECT_EQ(0x99, value);
}

/* A write by the entry alone makes the folio dirty: it must not be lost. */
TEST_F(huge_source, reclaim)
{
	uint64_t value;

	if (variant->kind != HUGE_XFS && !has_swap(2 * SIZE))
		SKIP(return, "missing: swap (selftests/vm/setup)");
	ASSERT_EQ(0, probe_write(self->mem + PAGE_AT * PAGE + 8, 0x99));
	ASSERT_EQ(0, probe_write(self->mem + 16, 0x98));
	/* Through the view itself. */
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_PAGEOUT));
	EXPECT_EQ(0, mapped_huge(self->mem, SIZE));
	EXPECT_PAGES(0, PAGES);
	ASSERT_EQ(0, probe_read(self->mem + PAGE_AT * PAGE + 8, &value));
	EXPECT_EQ(0x99, value);
	ASSERT_EQ(0, probe_read(self->mem + 16, &value));
	EXPECT_EQ(0x98, value);
}

/* Both have it, and both lose it. */
TEST_F(huge_source, fork)
{
	uint64_t value;
	int status, go[2];
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe(go));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(go[1]);
		if (wrong_pages(self->mem, TAG, 0, PAGES, 0) || probe_write(self->mem + 8, 0x66))
			_exit(1);
		/* The parent takes a page away. */
		kill(getpid(), SIGSTOP);
		if (probe_read(self->mem + PAGE_AT * PAGE, &value) != SIGBUS ||
		    wrong_pages(self->mem, TAG, 0, PAGE_AT, 0))
			_exit(2);
		_exit(read(go[0], &c, 1) ? 3 : 0);
	}
	close(go[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status)) TH_LOG("status %#x", status);
	ASSERT_EQ(0, view_unmap(self->control, PAGE_AT * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE_AT * PAGE, &value));
	ASSERT_EQ(0, kill(pid, SIGCONT));
	close(go[1]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, probe_read(self->mem + 8, &value));
	EXPECT_EQ(0x66, value);
}

/* To a place that huge pages fit, and to one that they do not. */
TEST_F(huge_source, mremap)
{
	uint64_t value;
	char *to = huge_room(SIZE, 0), *from = self->mem;

	ASSERT_NE(NULL, to);
	ASSERT_EQ(to, mremap(from, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(SIZE, mapped_huge(to, SIZE));
	EXPECT_EQ(0, wrong_pages(to, TAG, 0, PAGES, 0));
	ASSERT_EQ(0, view_unmap(self->control, PAGE_AT * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(to + PAGE_AT * PAGE, &value));
	from = to;
	to = huge_room(SIZE, 5 * PAGE);
	ASSERT_NE(NULL, to);
	ASSERT_EQ(to, mremap(from, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
	EXPECT_EQ(0, wrong_pages(to, TAG, 0, PAGE_AT, 0));
	EXPECT_EQ(SIGBUS, probe_read(to + PAGE_AT * PAGE, &value));
	EXPECT_EQ(0, mapped_huge(to, SIZE));
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(SIGBUS, probe_read(to, &value));
	self->mem = to;
}

/* The kernel finds the pages by that entry, and only where it may write. */
TEST_F(huge_source, direct_io)
{
	struct source disk;
	uint64_t value;
	int direct;

	SOURCE_OPEN_OR_SKIP(&disk, SOURCE_EXT4, HUGE);
	direct = source_reopen(&disk, O_RDWR | O_DIRECT);
	ASSERT_LE(0, direct);
	ASSERT_EQ(HUGE, pwrite(direct, self->mem + HUGE, HUGE, 0));
	ASSERT_EQ(0, fd_read_u64(disk.fd, 100 * PAGE, &value));
	EXPECT_EQ(page_tag(TAG, PAGE_AT), value);
	/* Into a page of the entry that only reads so far. */
	ASSERT_EQ(0, fd_write_u64(disk.fd, 100 * PAGE + 8, 0x77));
	ASSERT_EQ(0, fsync(disk.fd));
	ASSERT_EQ(HUGE, pread(direct, self->mem + HUGE, HUGE, 0));
	ASSERT_EQ(0, fd_read_u64(self->src.fd, PAGE_AT * PAGE + 8, &value));
	EXPECT_EQ(0x77, value);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_R));
	ASSERT_EQ(0, probe_read(self->mem + HUGE, &value));
	EXPECT_EQ(-1, pread(direct, self->mem + HUGE, HUGE, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_PAGES(0, PAGES);
	close(direct);
	source_close(&disk);
}

TEST_F(huge_source, advice)
{
	uint64_t locked;

	ASSERT_EQ(0, madvise(self->mem + PAGE_AT * PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(SIZE - HUGE, mapped_huge(self->mem, SIZE));
	EXPECT_PAGES(0, PAGES);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	EXPECT_EQ(0, mapped_huge(self->mem, SIZE));
	EXPECT_PAGES(0, PAGES);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_COLD));
	ASSERT_EQ(0, madvise(self->mem + 8 * PAGE, PAGE, MADV_COLD));
	EXPECT_PAGES(0, PAGES);
	/* It has no effect, but is no error. */
	ASSERT_EQ(0, mlock(self->mem, SIZE));
	ASSERT_EQ(0, file_number("/proc/self/status", "VmLck:", &locked));
	EXPECT_EQ(0, locked);
	EXPECT_EQ(-1, madvise(self->mem, SIZE, MADV_COLLAPSE));
	EXPECT_PAGES(0, PAGES);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_POPULATE_WRITE));
	EXPECT_PAGES(0, PAGES);
}

/* Catches: an entry that is taken away in part and keeps its folio for good. */
TEST_F(huge_source, nothing_leaks)
{
	unsigned int i, rounds = 40;
	uint64_t before, after, value;
	struct source src;
	char *mem;

	if (variant->kind == HUGE_XFS)
		SKIP(return, "the page cache of a file system takes free memory");
	before = meminfo("MemFree:");
	for (i = 0; i < rounds; i++) {
		OPEN_HUGE_OR_SKIP(&src, variant->kind, 2 * HUGE, TAG);
		ASSERT_EQ(0, view_map(self->control, src.fd, 0, 2 * HUGE, 0, MAP_RW));
		mem = view_mmap(self->viewfd, 2 * HUGE, PROT_RW, 0);
		ASSERT_NE(MAP_FAILED, mem);
		ASSERT_EQ(0, probe_write(mem + 8, 1));
		ASSERT_EQ(0, probe_read(mem + HUGE, &value));
		ASSERT_EQ(2 * HUGE, mapped_huge(mem, 2 * HUGE));
		ASSERT_EQ(0, i % 2 ? view_unmap(self->control, 9 * PAGE, PAGE) :
				     munmap(mem + 9 * PAGE, PAGE));
		munmap(mem, 2 * HUGE);
		source_close(&src);
	}
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	after = meminfo("MemFree:");
	EXPECT_LT(before, after + rounds * HUGE / 4)
		TH_LOG("%lu KiB free, now %lu", before / KiB, after / KiB);
}

TEST_HARNESS_MAIN
