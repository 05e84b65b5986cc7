// SPDX-License-Identifier: GPL-2.0
/*
 * huge.c - huge pages of a source are mapped by one entry, and P1 to P3 hold for
 * each page of them
 *
 * Each test begins with a piece of 2 MiB that one entry maps.
 */
#include "huge.h"

#define PIECES		3
#define SIZE		(PIECES * HUGE)
#define TAG		1
#define OTHER_TAG	2
#define PAGE_AT		(HUGE_PAGES + 100) /* in the middle of the second piece */

FIXTURE(huge)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(huge)
{
	enum huge_kind kind;
	bool writes; /* by such an entry, too; else it becomes a page table */
};

FIXTURE_VARIANT_ADD(huge, memfd) {
	.kind = HUGE_MEMFD,
	.writes = true,
};

FIXTURE_VARIANT_ADD(huge, tmpfs) {
	.kind = HUGE_TMPFS,
	.writes = true,
};

FIXTURE_VARIANT_ADD(huge, xfs) {
	.kind = HUGE_XFS,
};

FIXTURE_SETUP(huge)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	OPEN_HUGE_OR_SKIP(&self->src, variant->kind, SIZE + HUGE, TAG);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(huge)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int show(FIXTURE_DATA(huge) *self, uint32_t flags)
{
	return view_map(self->control, self->src.fd, 0, SIZE, 0, flags);
}

/* Read each piece at its page 7: all of them are huge then. */
#define MAP_HUGE_PAGES(flags)						\
	do {								\
		unsigned int i_;					\
		uint64_t value_;					\
									\
		ASSERT_EQ(0, show(self, flags));			\
		for (i_ = 0; i_ < PIECES; i_++)				\
			ASSERT_EQ(0, probe_read(self->mem + i_ * HUGE + 7 * PAGE, &value_)); \
		ASSERT_EQ(SIZE, mapped_huge(self->mem, SIZE));		\
	} while (0)

#define EXPECT_PAGES(first, n)						\
	EXPECT_EQ(0, wrong_pages(self->mem, TAG, first, n, first))

TEST_F(huge, one_fault_maps_it)
{
	struct view_info before, after;
	uint64_t value;

	ASSERT_EQ(0, show(self, MAP_RW));
	ASSERT_EQ(0, view_info(self->control, &before));
	ASSERT_EQ(0, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(page_tag(TAG, PAGE_AT), value);
	EXPECT_EQ(HUGE, mapped_huge(self->mem, SIZE));
	EXPECT_PAGES(HUGE_PAGES, HUGE_PAGES);
	ASSERT_EQ(0, view_info(self->control, &after));
	EXPECT_EQ(before.faults + 1, after.faults);
}

/* A write becomes the file's, whether or not it comes first. */
TEST_F(huge, write)
{
	char *page = self->mem + PAGE_AT * PAGE;
	uint64_t value;
	int first;

	ASSERT_EQ(0, show(self, MAP_RW));
	for (first = 1; first >= 0; first--) {
		if (!first) {
			ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
			ASSERT_EQ(0, probe_read(page, &value));
			if (variant->writes)
				EXPECT_EQ(HUGE, mapped_huge(self->mem, SIZE));
		}
		ASSERT_EQ(0, probe_write(page + 8, 0x1234 + first));
		EXPECT_EQ(variant->writes ? HUGE : 0, mapped_huge(self->mem, SIZE));
		ASSERT_EQ(0, probe_write(page + PAGE + 8, 0x4321 + first));
		ASSERT_EQ(0, fd_read_u64(self->src.fd, PAGE_AT * PAGE + 8, &value));
		EXPECT_EQ(0x1234 + first, value);
		ASSERT_EQ(0, fd_read_u64(self->src.fd, (PAGE_AT + 1) * PAGE + 8, &value));
		EXPECT_EQ(0x4321 + first, value);
		EXPECT_PAGES(HUGE_PAGES, HUGE_PAGES);
	}
}

/* What the source allocates for a first touch is huge from then on. */
TEST_F(huge, first_touch)
{
	struct source src;
	uint64_t value;

	if (variant->kind != HUGE_TMPFS)
		SKIP(return, "a hole becomes a huge page in tmpfs with huge=always only");
	OPEN_HUGE_OR_SKIP(&src, HUGE_TMPFS, SIZE, 0);
	ASSERT_EQ(0, view_map(self->control, src.fd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, probe_write(self->mem + 5 * PAGE, 0x55));
	ASSERT_EQ(0, probe_read(self->mem + HUGE + 5 * PAGE, &value));
	EXPECT_EQ(0, value);
	EXPECT_EQ(2 * HUGE, mapped_huge(self->mem, SIZE));
	ASSERT_EQ(0, fd_read_u64(src.fd, 5 * PAGE, &value));
	EXPECT_EQ(0x55, value);
	source_close(&src);
}

/* Where mmap() may choose, it chooses a place that huge pages fit. */
TEST_F(huge, place)
{
	const uint64_t offsets[] = { 0, PAGE, HUGE, HUGE / 2 };
	unsigned int i;
	char *mem;

	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		mem = view_mmap(self->viewfd, SIZE - offsets[i], PROT_RW, offsets[i]);
		ASSERT_NE(MAP_FAILED, mem);
		/* Of less than a whole piece nothing is asked. */
		EXPECT_EQ(offsets[i] % HUGE, (uintptr_t)mem % HUGE);
		munmap(mem, SIZE - offsets[i]);
	}
}

/*
 * Where the piece does not fit, it is mapped page by page.
 *
 * Catches: the folio's first page at the piece's first address, whatever the
 * range shows there.
 */
TEST_F(huge, not_aligned)
{
	char *mem = huge_room(SIZE, 3 * PAGE);

	/* The file against the view... */
	ASSERT_EQ(0, view_map(self->control, self->src.fd, PAGE, SIZE, 0, MAP_RW));
	EXPECT_EQ(0, wrong_pages(self->mem, TAG, 0, SIZE / PAGE, 1));
	EXPECT_EQ(0, mapped_huge(self->mem, SIZE));
	/* ...and the view against the client. */
	ASSERT_EQ(0, show(self, MAP_RW));
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(mem, mmap(mem, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED, self->viewfd, 0));
	EXPECT_EQ(0, wrong_pages(mem, TAG, 0, SIZE / PAGE, 0));
	EXPECT_EQ(0, mapped_huge(mem, SIZE));
	munmap(mem, SIZE);
}

/* Two ranges in a piece: each has its own permission, and its own pages. */
TEST_F(huge, two_ranges)
{
	ASSERT_EQ(0, show(self, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, PAGE_AT * PAGE, PAGE,
			      (PAGE_AT + 1) * PAGE, MAP_R));
	EXPECT_PAGES(0, PAGE_AT + 1);
	EXPECT_EQ(0, wrong_pages(self->mem, TAG, PAGE_AT + 1, 1, PAGE_AT));
	EXPECT_PAGES(PAGE_AT + 2, HUGE_PAGES - 102);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + (PAGE_AT + 1) * PAGE + 8, 1));
	EXPECT_EQ(0, probe_write(self->mem + PAGE_AT * PAGE + 8, 1));
	EXPECT_EQ(HUGE, mapped_huge(self->mem, SIZE));
}

/* A mapping that ends within a piece. */
TEST_F(huge, short_mapping)
{
	char *mem = huge_room(SIZE, 0);
	const uint64_t size = HUGE + HUGE / 2;

	ASSERT_EQ(0, show(self, MAP_RW));
	ASSERT_NE(NULL, mem);
	ASSERT_EQ(mem, mmap(mem, size, PROT_RW, MAP_SHARED | MAP_FIXED, self->viewfd, 0));
	EXPECT_EQ(0, wrong_pages(mem, TAG, 0, size / PAGE, 0));
	EXPECT_EQ(SIGSEGV, probe_write(mem + size, 1));
	EXPECT_EQ(HUGE, mapped_huge(mem, size));
	munmap(mem, SIZE);
}

/* The client can have it page by page. */
TEST_F(huge, advice)
{
	ASSERT_EQ(0, show(self, MAP_RW));
	ASSERT_EQ(0, madvise(self->mem, HUGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, madvise(self->mem + HUGE, HUGE, MADV_RANDOM));
	EXPECT_PAGES(0, 2 * HUGE_PAGES);
	EXPECT_EQ(0, mapped_huge(self->mem, 2 * HUGE));
}

/* Catches: a page of it that stays; neighbours that go with it. */
TEST_F(huge, unmap_a_page)
{
	uint64_t value;

	MAP_HUGE_PAGES(MAP_RW);
	ASSERT_EQ(0, view_unmap(self->control, PAGE_AT * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE_AT * PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_write(self->mem + PAGE_AT * PAGE, 1));
	EXPECT_PAGES(0, PAGE_AT);
	EXPECT_PAGES(PAGE_AT + 1, SIZE / PAGE - PAGE_AT - 1);
	EXPECT_EQ(SIZE - HUGE, mapped_huge(self->mem, SIZE));
}

TEST_F(huge, unmap_all)
{
	uint64_t value;
	unsigned int i;

	MAP_HUGE_PAGES(MAP_RW);
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(0, mapped_huge(self->mem, SIZE));
	for (i = 0; i < SIZE / PAGE; i += 50)
		EXPECT_EQ(SIGBUS, probe_read(self->mem + i * PAGE, &value));
	/* There was never a page table: they can come again. */
	MAP_HUGE_PAGES(MAP_R);
	EXPECT_PAGES(0, SIZE / PAGE);
}

TEST_F(huge, replace)
{
	struct source other;
	uint64_t value;

	MAP_HUGE_PAGES(MAP_RW);
	OPEN_HUGE_OR_SKIP(&other, variant->kind, SIZE + HUGE, OTHER_TAG);
	ASSERT_EQ(0, view_map(self->control, other.fd, 0, HUGE, HUGE, MAP_R));
	EXPECT_PAGES(0, HUGE_PAGES);
	EXPECT_EQ(0, wrong_pages(self->mem, OTHER_TAG, HUGE_PAGES, HUGE_PAGES, 0));
	EXPECT_PAGES(2 * HUGE_PAGES, HUGE_PAGES);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + HUGE, 1));
	ASSERT_EQ(0, view_resize(self->control, HUGE + HUGE / 2));
	EXPECT_EQ(0, probe_read(self->mem + HUGE, &value));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + HUGE + HUGE / 2, &value));
	source_close(&other);
}

TEST_F(huge, narrow)
{
	uint64_t value;

	MAP_HUGE_PAGES(MAP_RW);
	ASSERT_EQ(0, probe_write(self->mem + PAGE_AT * PAGE + 8, 0x77));
	/* A page of it... */
	ASSERT_EQ(0, view_map(self->control, self->src.fd, PAGE_AT * PAGE, PAGE,
			      PAGE_AT * PAGE, MAP_R));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + PAGE_AT * PAGE + 8, 1));
	EXPECT_EQ(0, probe_write(self->mem + (PAGE_AT + 1) * PAGE + 8, 2));
	/* ...and all of another. */
	ASSERT_EQ(0, probe_write(self->mem + 8, 0x78));
	ASSERT_EQ(0, show(self, MAP_R));
	EXPECT_PAGES(0, SIZE / PAGE);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + 8, 3));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + HUGE - 8, 4));
	EXPECT_PAGES(0, SIZE / PAGE);
	ASSERT_EQ(0, fd_read_u64(self->src.fd, 8, &value));
	EXPECT_EQ(0x78, value);
	/* Widened again. */
	ASSERT_EQ(0, show(self, MAP_RW));
	EXPECT_EQ(0, probe_write(self->mem + 8, 5));
}

/*
 * Catches: an entry with all that the VMA allows; mprotect() that gives it that.
 */
TEST_F(huge, execute)
{
	uint8_t code[CODE_SIZE];
	uint32_t value;
	uint64_t word;
	char *mem;

	put_code(code, 42);
	ASSERT_EQ(CODE_SIZE, pwrite(self->src.fd, code, CODE_SIZE, PAGE_AT * PAGE + 64));
	ASSERT_EQ(0, show(self, MAP_R));
	mem = view_mmap(self->viewfd, SIZE, PROT_READ | PROT_EXEC, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, probe_read(mem + HUGE, &word));
	EXPECT_EQ(HUGE, mapped_huge(mem, SIZE));
	EXPECT_EQ(SIGSEGV, probe_exec(mem + PAGE_AT * PAGE + 64, &value));
	ASSERT_EQ(0, mprotect(mem, SIZE, PROT_READ));
	ASSERT_EQ(0, probe_read(mem + HUGE, &word));
	ASSERT_EQ(0, mprotect(mem + HUGE, HUGE, PROT_READ | PROT_EXEC));
	ASSERT_EQ(0, probe_read(mem + HUGE, &word));
	EXPECT_EQ(SIGSEGV, probe_exec(mem + PAGE_AT * PAGE + 64, &value));
	/* Where the range allows it. */
	ASSERT_EQ(0, show(self, MAP_RX));
	ASSERT_EQ(0, probe_exec(mem + PAGE_AT * PAGE + 64, &value));
	EXPECT_EQ(42, value);
	EXPECT_EQ(HUGE, mapped_huge(mem, SIZE));
	ASSERT_EQ(0, show(self, MAP_R));
	ASSERT_EQ(0, probe_read(mem + HUGE, &word));
	EXPECT_EQ(SIGSEGV, probe_exec(mem + PAGE_AT * PAGE + 64, &value));
	munmap(mem, SIZE);
}

TEST_F(huge, mprotect)
{
	char *page = self->mem + PAGE_AT * PAGE;
	uint64_t value;

	MAP_HUGE_PAGES(MAP_RW);
	ASSERT_EQ(0, probe_write(page + 8, 1));
	/* All of it, and back. */
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	EXPECT_EQ(SIGSEGV, probe_write(page + 8, 2));
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_RW));
	EXPECT_EQ(0, probe_write(page + 8, 3));
	ASSERT_EQ(0, show(self, MAP_R));
	ASSERT_EQ(0, probe_read(page, &value));
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_RW));
	EXPECT_EQ(SIGSEGV, probe_write(page + 8, 4));
	/* One page of it. */
	ASSERT_EQ(0, show(self, MAP_RW));
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_NONE));
	EXPECT_EQ(SIGSEGV, probe_read(page, &value));
	EXPECT_EQ(0, probe_write(page + PAGE + 8, 5));
	EXPECT_PAGES(0, PAGE_AT);
	ASSERT_EQ(0, mprotect(page, PAGE, PROT_RW));
	EXPECT_PAGES(0, SIZE / PAGE);
}

enum { TERA = 40 };

/* How long it takes to take a wide range away, at best: others have the CPU, too. */
static uint64_t time_unmap(int fd, uint64_t size, bool huge)
{
	uint64_t best = ~0ULL, start, value;
	int try, viewfd, control = view_create(size);
	char *mem;

	viewfd = view_get_fd(control);
	mem = view_mmap(viewfd, size, PROT_READ, 0);
	if (mem == MAP_FAILED || madvise(mem, size, huge ? MADV_NORMAL : MADV_NOHUGEPAGE))
		return best;
	for (try = 0; try < 5; try++) {
		if (view_map(control, fd, 0, size, 0, MAP_R) || probe_read(mem, &value) ||
		    probe_read(mem + size - PAGE, &value) || !mapped_huge(mem, size) == huge)
			return ~0ULL;
		start = now_ns();
		view_unmap(control, 0, size);
		start = now_ns() - start;
		best = start < best ? start : best;
	}
	munmap(mem, size);
	close(viewfd);
	close(control);
	return best;
}

/* Catches: a look for huge pages where there are no tables at all, step by step: there would be 33 million. */
TEST(wide)
{
	const uint64_t size = 64ULL << TERA;
	uint64_t pages_ns, huge_ns;
	struct source src;

	OPEN_HUGE_OR_SKIP(&src, HUGE_MEMFD, 2 * HUGE, TAG);
	ASSERT_EQ(0, ftruncate(src.fd, size));
	pages_ns = time_unmap(src.fd, size, false);
	huge_ns = time_unmap(src.fd, size, true);
	ASSERT_NE(~0ULL, pages_ns);
	ASSERT_NE(~0ULL, huge_ns);
	printf("# with a huge page %llu times as long\n", (unsigned long long)(huge_ns / pages_ns));
	EXPECT_GT(50, huge_ns / pages_ns);
	source_close(&src);
}

TEST_HARNESS_MAIN
