// SPDX-License-Identifier: GPL-2.0
/*
 * permissions_folio.c - P2 where neighbours are pages of one large folio: the
 * kernel handles their PTEs as one batch, and makes all of it writable for one
 *
 * Each second page of the view can be written, the ones between cannot. The core
 * may take them for one mapping of one folio, whose PTEs happen to differ.
 *
 * Catches: PTEs that fork() copies, all writable if one is; a protection that is
 * taken away and given back, and comes back to clean PTEs for a dirty one's sake.
 */
#include "memview_test.h"

#define PAGES		32
#define SIZE		(PAGES * PAGE)
#define FILE_ID		9
#define WRITE_AT	128 /* in the page, behind the tag */

FIXTURE(folio)
{
	struct klog klog;
	struct source src;
	int control;
	char *mem;
};

FIXTURE_VARIANT(folio)
{
	enum source_kind kind;
	uint32_t exec; /* both kinds of pages, or none */
};

FIXTURE_VARIANT_ADD(folio, memfd) { .kind = SOURCE_MEMFD };
FIXTURE_VARIANT_ADD(folio, memfd_huge) { .kind = SOURCE_MEMFD_HUGE };
FIXTURE_VARIANT_ADD(folio, memfd_huge_exec) { .kind = SOURCE_MEMFD_HUGE, .exec = MEMVIEW_MAP_EXEC };
FIXTURE_VARIANT_ADD(folio, ext4) { .kind = SOURCE_EXT4 };
FIXTURE_VARIANT_ADD(folio, xfs) { .kind = SOURCE_XFS };

static bool is_writable(unsigned int page)
{
	return page % 2;
}

/* The access that the page allows. */
static int touch(char *mem, unsigned int page)
{
	uint64_t word;

	return is_writable(page) ? probe_write(mem + page * PAGE + WRITE_AT, page) :
				   probe_read(mem + page * PAGE, &word);
}

FIXTURE_SETUP(folio)
{
	uint32_t flags = MAP_R | variant->exec;
	unsigned int page;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	for (page = 0; page < PAGES; page++)
		ASSERT_EQ(0, view_map(self->control, self->src.fd, page * PAGE, PAGE, page * PAGE,
				      flags | (is_writable(page) ? MEMVIEW_MAP_WRITE : 0)));
	self->mem = view_mmap(view_get_fd(self->control), SIZE,
			      PROT_RW | (variant->exec ? PROT_EXEC : 0), 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	for (page = 0; page < PAGES; page++)
		ASSERT_EQ(0, touch(self->mem, page));
}

FIXTURE_TEARDOWN(folio)
{
	munmap(self->mem, SIZE);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The first page that is not what it should be, or PAGES. */
static unsigned int first_wrong(char *mem)
{
	unsigned int page;
	uint64_t word;

	for (page = 0; page < PAGES; page++)
		if (probe_write(mem + page * PAGE + WRITE_AT, page) != (is_writable(page) ? 0 : SIGSEGV) ||
		    probe_read(mem + page * PAGE, &word) || word != page_tag(FILE_ID, page))
			break;
	return page;
}

static unsigned int first_wrong_in_child(char *mem)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(first_wrong(mem));
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST_F(folio, as_mapped)
{
	EXPECT_EQ(PAGES, first_wrong(self->mem));
}

TEST_F(folio, fork)
{
	EXPECT_EQ(PAGES, first_wrong_in_child(self->mem));
	EXPECT_EQ(PAGES, first_wrong(self->mem));
}

/* By way of each protection that allows less. */
TEST_F(folio, mprotect_down_and_up)
{
	static const int downs[] = { PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC, PROT_EXEC };
	unsigned int i, page;

	for (i = 0; i < ARRAY_SIZE(downs); i++) {
		for (page = 0; page < PAGES; page++)
			ASSERT_EQ(0, touch(self->mem, page));
		ASSERT_EQ(0, mprotect(self->mem, SIZE, downs[i]));
		ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_RW));
		EXPECT_EQ(PAGES, first_wrong(self->mem)) TH_LOG("down to %d", downs[i]);
	}
}

/* Down, a child, and up in the child. */
TEST_F(folio, mprotect_in_a_child)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	pid = fork();
	if (!pid) {
		mprotect(self->mem, SIZE, PROT_RW);
		_exit(first_wrong(self->mem));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(PAGES, WEXITSTATUS(status));
}

TEST_F(folio, mremap)
{
	char *to = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, to);
	self->mem = mremap(self->mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	ASSERT_NE(MAP_FAILED, self->mem);
	EXPECT_EQ(PAGES, first_wrong(self->mem));
}

/* What looks at PTEs, ages them, or marks them to see who writes. */
TEST_F(folio, aging_and_tracking)
{
	static const int advices[] = { MADV_COLD, MADV_PAGEOUT, MADV_FREE, MADV_WILLNEED, MADV_POPULATE_READ };
	unsigned int i, page;

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		for (page = 0; page < PAGES; page++)
			ASSERT_EQ(0, touch(self->mem, page));
		madvise(self->mem, SIZE, advices[i]);
		EXPECT_EQ(PAGES, first_wrong(self->mem)) TH_LOG("advice %d", advices[i]);
	}
	write_file("/proc/self/clear_refs", "4");
	EXPECT_EQ(PAGES, first_wrong(self->mem));
	EXPECT_EQ(PAGES, first_wrong_in_child(self->mem));
	write_file("/proc/self/clear_refs", "3");
	EXPECT_EQ(PAGES, first_wrong(self->mem));
}

TEST_HARNESS_MAIN
