// SPDX-License-Identifier: GPL-2.0
/*
 * soft_dirty.c - who tracks the writes of a client by its soft-dirty bits, as
 * checkpointing does, learns of those to a view: as in an mmap of the file
 */
#include "memview_test.h"

#define PAGES	512
#define SIZE	(PAGES * PAGE)
#define SOFT_DIRTY	(1ULL << 55)

FIXTURE(soft_dirty)
{
	struct source src;
	int control, pagemap, clear;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(soft_dirty)
{
	enum source_kind kind;
	bool direct; /* an mmap of the file: what it should be like */
};

FIXTURE_VARIANT_ADD(soft_dirty, mmap_memfd) { .kind = SOURCE_MEMFD, .direct = true };
FIXTURE_VARIANT_ADD(soft_dirty, mmap_ext4) { .kind = SOURCE_EXT4, .direct = true };
FIXTURE_VARIANT_ADD(soft_dirty, memfd) { .kind = SOURCE_MEMFD };
FIXTURE_VARIANT_ADD(soft_dirty, memfd_huge) { .kind = SOURCE_MEMFD_HUGE };
FIXTURE_VARIANT_ADD(soft_dirty, ext4) { .kind = SOURCE_EXT4 };

/* From now on. */
static int forget(FIXTURE_DATA(soft_dirty) *self)
{
	return write(self->clear, "4", 1) == 1 ? 0 : -errno;
}

/* How many pages have been written to, of those whose number is @rest modulo 2. */
static unsigned int count_dirty(FIXTURE_DATA(soft_dirty) *self, unsigned int rest)
{
	static uint64_t entries[PAGES];
	unsigned int page, n = 0;

	if (pread(self->pagemap, entries, sizeof(entries),
		  (uintptr_t)self->mem / PAGE * sizeof(entries[0])) != sizeof(entries))
		return ~0U;
	for (page = rest; page < PAGES; page += 2)
		n += !!(entries[page] & SOFT_DIRTY);
	return n;
}

FIXTURE_SETUP(soft_dirty)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, 1));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->mem = mmap(NULL, SIZE, PROT_RW, MAP_SHARED,
			 variant->direct ? self->src.fd : view_get_fd(self->control), 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	self->clear = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, self->pagemap);
	ASSERT_EQ(0, forget(self));
}

FIXTURE_TEARDOWN(soft_dirty)
{
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int write_even(FIXTURE_DATA(soft_dirty) *self)
{
	unsigned int page;
	int sig = 0;

	for (page = 0; page < PAGES; page += 2)
		sig = sig ?: probe_write(self->mem + page * PAGE, page);
	return sig;
}

static int read_all(FIXTURE_DATA(soft_dirty) *self)
{
	unsigned int page;
	uint64_t value;
	int sig = 0;

	for (page = 0; page < PAGES; page++)
		sig = sig ?: probe_read(self->mem + page * PAGE, &value);
	return sig;
}

#define EXPECT_EVEN_DIRTY()						\
	do {								\
		EXPECT_EQ(PAGES / 2, count_dirty(self, 0));		\
		EXPECT_EQ(0, count_dirty(self, 1));			\
	} while (0)

/* Catches: a PTE that is made writable without the bit, for a write, or around one. */
TEST_F(soft_dirty, write)
{
	ASSERT_EQ(0, write_even(self));
	EXPECT_EVEN_DIRTY();
}

/* Catches the same, for a read. */
TEST_F(soft_dirty, write_after_read)
{
	ASSERT_EQ(0, read_all(self));
	EXPECT_EQ(0, count_dirty(self, 0));
	ASSERT_EQ(0, write_even(self));
	EXPECT_EVEN_DIRTY();
}

TEST_F(soft_dirty, write_again)
{
	ASSERT_EQ(0, read_all(self));
	ASSERT_EQ(0, write_even(self));
	ASSERT_EQ(0, forget(self));
	ASSERT_EQ(0, read_all(self));
	EXPECT_EQ(0, count_dirty(self, 0));
	ASSERT_EQ(0, write_even(self));
	EXPECT_EVEN_DIRTY();
}

TEST_HARNESS_MAIN
