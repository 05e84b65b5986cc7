// SPDX-License-Identifier: GPL-2.0
/*
 * around.c - P1, P2, P4: a fault brings its neighbours along, but none that it
 * should not
 *
 * /proc/self/pagemap tells which pages of the view have a PTE, without a touch.
 */
#include "memview_test.h"

#include <sys/stat.h>

#define TABLE	512 /* pages of a page table */
#define PAGES	(2 * TABLE)
#define SIZE	(PAGES * PAGE)
#define SPAN	16 /* pages of a fault out of the blue */
#define FILE_ID	4

FIXTURE(around)
{
	struct klog klog;
	struct source src;
	int control;
	char *mem; /* at the start of a page table */
};

FIXTURE_VARIANT(around)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(around);

/* The view, and as much of a page table before it that it can begin one. */
static char *map_aligned(int viewfd)
{
	char *mem = mmap(NULL, SIZE + TABLE * PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t table = TABLE * PAGE;

	if (mem == MAP_FAILED)
		return mem;
	mem = (char *)(((uintptr_t)mem + table - 1) & ~(table - 1));
	return mmap(mem, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED, viewfd, 0);
}

FIXTURE_SETUP(around)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	/* Pages that are being written to disk are locked for a moment: faults leave them out. */
	ASSERT_EQ(0, fsync(self->src.fd));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->mem = map_aligned(view_get_fd(self->control));
	ASSERT_NE(MAP_FAILED, self->mem);
	/* Page by page, though of big folios: huge.c tests the other way. */
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_NOHUGEPAGE));
}

FIXTURE_TEARDOWN(around)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static unsigned int count_span(FIXTURE_DATA(around) *self, unsigned int first, unsigned int end)
{
	return count_mapped(self->mem + first * PAGE, end - first);
}

static uint64_t faults(FIXTURE_DATA(around) *self)
{
	struct view_info info = {};

	return view_info(self->control, &info) ? ~0ULL : info.faults;
}

#define EXPECT_PAGES(first, end)                                               \
	do {                                                                   \
		uint64_t word_;                                                \
		unsigned int page_;                                            \
									       \
		for (page_ = (first); page_ < (end); page_++) {                \
			ASSERT_EQ(0, probe_read(self->mem + page_ * PAGE, &word_)); \
			ASSERT_EQ(page_tag(FILE_ID, page_), word_);            \
		}                                                              \
	} while (0)

TEST_F(around, read)
{
	EXPECT_PAGES(3 * SPAN + 5, 3 * SPAN + 6);
	EXPECT_EQ(SPAN, count_span(self, 0, PAGES));
	EXPECT_EQ(SPAN, count_span(self, 3 * SPAN, 4 * SPAN));
	EXPECT_PAGES(3 * SPAN, 4 * SPAN);
	EXPECT_EQ(1, faults(self));
}

/* In a row the spans grow. Another CPU starts small again. */
TEST_F(around, read_up)
{
	EXPECT_PAGES(0, PAGES);
	EXPECT_GT(40, faults(self)) TH_LOG("%ju faults", (uintmax_t)faults(self));
}

TEST_F(around, read_down)
{
	unsigned int page;
	uint64_t word;

	for (page = PAGES; page-- > 0;) {
		ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
		ASSERT_EQ(page_tag(FILE_ID, page), word);
	}
	EXPECT_GT(40, faults(self)) TH_LOG("%ju faults", (uintmax_t)faults(self));
}

TEST_F(around, advice)
{
	unsigned int page;
	uint64_t word;

	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_RANDOM));
	for (page = 0; page < 64; page++)
		ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
	EXPECT_EQ(64, faults(self));
	EXPECT_EQ(64, count_span(self, 0, PAGES));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_SEQUENTIAL));
	ASSERT_EQ(0, probe_read(self->mem + (TABLE + 7) * PAGE, &word));
	EXPECT_EQ(TABLE - 7, count_span(self, TABLE, PAGES));
}

static void write_pages(struct __test_metadata *_metadata, FIXTURE_DATA(around) *self,
			unsigned int first, unsigned int end)
{
	uint64_t word;
	unsigned int page;

	for (page = first; page < end; page++)
		ASSERT_EQ(0, probe_write(self->mem + page * PAGE, page));
	for (page = first; page < end; page++) {
		ASSERT_EQ(0, fd_read_u64(self->src.fd, page * PAGE, &word));
		EXPECT_EQ(page, word);
	}
}

/* It brings no neighbours, as long as it is alone. */
TEST_F(around, write)
{
	write_pages(_metadata, self, SPAN + 3, SPAN + 4);
	EXPECT_EQ(1, count_span(self, 0, PAGES));
	write_pages(_metadata, self, TABLE - 1, TABLE);
	write_pages(_metadata, self, 7, 8);
	EXPECT_EQ(3, count_span(self, 0, PAGES));
	EXPECT_EQ(3, faults(self));
}

/* A source that wants to know of each page that is written hears of each. */
TEST_F(around, write_up)
{
	write_pages(_metadata, self, 0, PAGES);
	if (variant->kind > SOURCE_TMPFS) {
		EXPECT_LE(PAGES, faults(self));
		return;
	}
	EXPECT_GT(40, faults(self)) TH_LOG("%ju faults", (uintmax_t)faults(self));
}

/* One does not make the other forget where it was. */
TEST_F(around, copy)
{
	bool in_memory = variant->kind <= SOURCE_TMPFS;
	unsigned int page;

	for (page = 0; page < TABLE; page++) {
		EXPECT_PAGES(page, page + 1);
		ASSERT_EQ(0, probe_write(self->mem + (TABLE + page) * PAGE, page));
	}
	EXPECT_GT(in_memory ? 60 : TABLE + 40, faults(self))
		TH_LOG("%ju faults", (uintmax_t)faults(self));
}

/* Neither another range's pages, nor by this range's permissions. */
TEST_F(around, ends_at_the_range)
{
	int other = memfd_filled(SIZE, FILE_ID + 1);
	uint64_t word;

	ASSERT_EQ(0, view_map(self->control, other, 0, PAGE, 4 * PAGE, MAP_R));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 8 * PAGE, 4 * PAGE, 8 * PAGE, MAP_R));
	ASSERT_EQ(0, view_unmap(self->control, 12 * PAGE, PAGE));
	EXPECT_PAGES(6, 7);
	EXPECT_EQ(3, count_span(self, 5, 8));
	EXPECT_EQ(3, count_span(self, 0, PAGES));
	ASSERT_EQ(0, probe_read(self->mem + 4 * PAGE, &word));
	EXPECT_EQ(page_tag(FILE_ID + 1, 0), word);
	EXPECT_EQ(4, count_span(self, 0, PAGES));
	EXPECT_PAGES(9, 10);
	EXPECT_EQ(8, count_span(self, 0, PAGES));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + 8 * PAGE, 1));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 12 * PAGE, &word));
	EXPECT_PAGES(0, 4);
	EXPECT_PAGES(13, SPAN);
}

/* Nor beyond the end of the mapping, which is not the view's. */
TEST_F(around, ends_at_the_mapping)
{
	uint64_t word;

	ASSERT_EQ(0, munmap(self->mem + 10 * PAGE, SIZE - 10 * PAGE));
	ASSERT_EQ(0, munmap(self->mem, 2 * PAGE));
	EXPECT_PAGES(5, 6);
	EXPECT_EQ(8, count_span(self, 2, 10));
	EXPECT_EQ(SIGSEGV, probe_read(self->mem + 10 * PAGE, &word));
	EXPECT_EQ(SIGSEGV, probe_read(self->mem + PAGE, &word));
}

TEST_F(around, ends_at_the_source)
{
	uint64_t word;

	/* Folios of 2 MiB keep their pages until they are split. */
	ASSERT_EQ(0, ftruncate(self->src.fd, 5 * PAGE + 1));
	ASSERT_EQ(0, probe_read(self->mem + PAGE, &word));
	EXPECT_EQ(6, count_span(self, 0, PAGES));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 6 * PAGE, &word));
}

/* What is not there is not made, and not waited for. */
TEST_F(around, holes_stay)
{
	struct stat before, after;
	uint64_t word;

	if (variant->kind == SOURCE_MEMFD_HUGE)
		SKIP(return, "a hole in a big folio need not be one");
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       2 * PAGE, 8 * PAGE));
	ASSERT_EQ(0, fstat(self->src.fd, &before));
	EXPECT_PAGES(1, 2);
	EXPECT_EQ(SPAN - 8, count_span(self, 0, PAGES));
	ASSERT_EQ(0, fstat(self->src.fd, &after));
	EXPECT_EQ(before.st_blocks, after.st_blocks);
	ASSERT_EQ(0, probe_read(self->mem + 3 * PAGE, &word));
	EXPECT_EQ(0, word);
	/* A disk was asked for more than one page, and those are there now. */
	EXPECT_LE(SPAN - 7, count_span(self, 0, PAGES));
}

/* Once past a hole, there are neighbours to bring again. */
TEST_F(around, past_a_hole)
{
	const unsigned int hole = 2 * SPAN;
	unsigned int page;
	uint64_t word;

	if (variant->kind > SOURCE_TMPFS)
		SKIP(return, "a disk is read ahead of");
	ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, hole * PAGE));
	for (page = 0; page < hole; page++) {
		ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
		EXPECT_EQ(0, word);
	}
	EXPECT_EQ(hole, count_span(self, 0, hole));
	EXPECT_PAGES(hole, PAGES);
	EXPECT_GT(hole + 40, faults(self)) TH_LOG("%ju faults", (uintmax_t)faults(self));
}

/* P1 for those that nobody has touched. */
TEST_F(around, neighbours_are_revoked)
{
	uint64_t word;

	EXPECT_PAGES(0, 1);
	ASSERT_EQ(SPAN, count_span(self, 0, PAGES));
	ASSERT_EQ(0, view_unmap(self->control, 5 * PAGE, 2 * PAGE));
	EXPECT_EQ(SPAN - 2, count_span(self, 0, PAGES));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 5 * PAGE, &word));
	ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       8 * PAGE, PAGE));
	EXPECT_EQ(0, count_span(self, 8, 9));
	ASSERT_EQ(0, probe_read(self->mem + 8 * PAGE, &word));
	EXPECT_EQ(0, word);
}

/* Where some are there already, the rest is filled in. */
TEST_F(around, between)
{
	unsigned int page;
	uint64_t word;

	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_RANDOM));
	for (page = 1; page < SPAN; page += 3)
		ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_NORMAL));
	EXPECT_PAGES(SPAN - 1, SPAN);
	EXPECT_EQ(SPAN, count_span(self, 0, PAGES));
	EXPECT_PAGES(0, SPAN);
}

TEST_F(around, populate)
{
	int fd = view_get_fd(self->control);
	uint64_t before = faults(self);
	char *mem;

	ASSERT_EQ(0, madvise(self->mem, SIZE / 2, MADV_POPULATE_READ));
	EXPECT_EQ(PAGES / 2, count_span(self, 0, PAGES / 2));
	ASSERT_EQ(0, madvise(self->mem + SIZE / 2, SIZE / 2, MADV_POPULATE_WRITE));
	EXPECT_EQ(PAGES, count_span(self, 0, PAGES));
	EXPECT_PAGES(0, PAGES);
	mem = self->mem;
	self->mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	EXPECT_EQ(PAGES, count_span(self, 0, PAGES));
	before = faults(self);
	EXPECT_PAGES(0, PAGES);
	/* Writeback of what was just written takes pages away. */
	if (variant->kind <= SOURCE_TMPFS)
		EXPECT_EQ(before, faults(self));
	munmap(self->mem, SIZE);
	self->mem = mem;
}

/* It stops where the view shows nothing, as it does at a file's end. */
TEST_F(around, populate_stops)
{
	ASSERT_EQ(0, view_unmap(self->control, TABLE * PAGE, PAGE));
	EXPECT_EQ(-1, madvise(self->mem, SIZE, MADV_POPULATE_READ));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(TABLE, count_span(self, 0, TABLE));
}

TEST_HARNESS_MAIN
