// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_many.c - P4 where many ranges show the same page, to many mappings: who
 * takes it from its file is not kept for the product of the two
 */
#include "memview_test.h"

#include <linux/falloc.h>

#define PAGES		2048
#define MAPPINGS	64
#define TAG		1
#define BY_TAG		2

FIXTURE(reclaim_many)
{
	struct source src;
	int bystander; /* a file of one page that nobody takes away */
	int control, viewfd;
	char *mem[MAPPINGS];
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_many)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(reclaim_many, memfd) { .kind = SOURCE_MEMFD };
FIXTURE_VARIANT_ADD(reclaim_many, ext4) { .kind = SOURCE_EXT4 };

FIXTURE_SETUP(reclaim_many)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, PAGE);
	ASSERT_EQ(0, source_fill(&self->src, TAG));
	/* Writeback takes pages away. */
	ASSERT_EQ(0, fsync(self->src.fd));
	self->bystander = memfd_filled(PAGE, BY_TAG);
	ASSERT_LE(0, self->bystander);
	self->control = view_create(PAGES * PAGE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
}

FIXTURE_TEARDOWN(reclaim_many)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void map_and_touch(struct __test_metadata *_metadata, FIXTURE_DATA(reclaim_many) *self,
			  unsigned int mappings)
{
	unsigned int i, page;
	uint64_t value;

	for (i = 0; i < mappings; i++) {
		self->mem[i] = view_mmap_by_page(self->viewfd, PAGES * PAGE, PROT_READ, 0);
		ASSERT_NE(MAP_FAILED, self->mem[i]);
		/* All of the first one; of the others what lies apart. */
		for (page = 0; page < PAGES; page += i ? 100 : 1)
			ASSERT_EQ(0, probe_read(self->mem[i] + page * PAGE, &value));
	}
}

/* How often has the view zapped while the page left its file? */
static uint64_t take_page(struct __test_metadata *_metadata, FIXTURE_DATA(reclaim_many) *self)
{
	struct view_info before = {}, after = {};

	EXPECT_EQ(0, view_info(self->control, &before));
	EXPECT_EQ(0, fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	EXPECT_EQ(0, view_info(self->control, &after));
	return after.zaps - before.zaps;
}

/* Catches: a look at each mapping for each range. */
TEST_F(reclaim_many, at_once)
{
	uint64_t value;
	unsigned int i;

	for (i = 1; i < PAGES - 1; i++)
		ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, i * PAGE, MAP_R));
	/* Before them, and after them. */
	ASSERT_EQ(0, view_map(self->control, self->bystander, 0, PAGE, 0, MAP_R));
	ASSERT_EQ(0, view_map(self->control, self->bystander, 0, PAGE, (PAGES - 1) * PAGE, MAP_R));
	map_and_touch(_metadata, self, MAPPINGS);
	/* Who takes a page looks for it a few times. */
	EXPECT_GE(8, take_page(_metadata, self));
	EXPECT_EQ(1, count_mapped(self->mem[0], 1));
	EXPECT_EQ(1, count_mapped(self->mem[0] + (PAGES - 1) * PAGE, 1));
	for (i = 1; i < PAGES - 1; i++) {
		ASSERT_EQ(0, probe_read(self->mem[i % MAPPINGS] + i * PAGE, &value));
		ASSERT_EQ(0, value) TH_LOG("page %u", i);
	}
}

/* Catches: pages that go with others, where there are few of those. */
TEST_F(reclaim_many, one_by_one)
{
	unsigned int i, m;
	uint64_t value;

	for (i = 0; i < PAGES; i++)
		ASSERT_EQ(0, view_map(self->control, i % 200 ? self->bystander : self->src.fd, 0,
				      PAGE, i * PAGE, MAP_R));
	map_and_touch(_metadata, self, 3);
	EXPECT_LE(PAGES / 200, take_page(_metadata, self));
	for (m = 0; m < 3; m++) {
		for (i = 0; i < PAGES; i += 100)
			EXPECT_EQ(i % 200 != 0, count_mapped(self->mem[m] + i * PAGE, 1))
				TH_LOG("page %u", i);
		for (i = 0; i < PAGES; i += 200) {
			ASSERT_EQ(0, probe_read(self->mem[m] + i * PAGE, &value));
			ASSERT_EQ(0, value) TH_LOG("page %u", i);
		}
	}
}

TEST_HARNESS_MAIN
