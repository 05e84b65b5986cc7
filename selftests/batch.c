// SPDX-License-Identifier: GPL-2.0
/*
 * batch.c - P5: a batch leaves what its entries would, one after the other
 *
 * Random batches of maps and unmaps that overlap are held against a model which
 * does them one by one. What pages a batch takes out of page tables, and by how
 * many zaps, is counted.
 *
 * Catches: entries in another order, pieces lost or left over, ranges and bytes
 * counted wrong, pages zapped that stay, and a zap for each entry.
 */
#include "memview_test.h"

#define PAGES		256
#define SIZE		(PAGES * PAGE)
#define FILES		2
#define FILE_PAGES	(2 * PAGES)
#define OPS		64
#define FILE_ID		7

FIXTURE(batch)
{
	struct klog klog;
	struct model model;
	struct source src[FILES];
	struct view_info before;
	struct memview_batch_op ops[OPS];
	unsigned int nr;
	int control;
	char *mem;
};

FIXTURE_VARIANT(batch)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(batch);

FIXTURE_SETUP(batch)
{
	unsigned int i;
	int viewfd;

	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	for (i = 0; i < FILES; i++) {
		SOURCE_OPEN_OR_SKIP(&self->src[i], variant->kind, FILE_PAGES * PAGE);
		ASSERT_EQ(0, source_fill(&self->src[i], FILE_ID + i));
		/* Write-back takes PTEs away. */
		ASSERT_EQ(0, fsync(self->src[i].fd));
	}
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	viewfd = view_get_fd(self->control);
	ASSERT_LE(0, viewfd);
	self->mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	close(viewfd);
}

FIXTURE_TEARDOWN(batch)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* ---- Against the model ---- */

static void add_map(FIXTURE_DATA(batch) *self, unsigned int page, unsigned int n,
		    unsigned int file, unsigned int file_page, uint32_t flags)
{
	self->ops[self->nr++] = batch_map(self->src[file].fd, file_page * PAGE, n * PAGE,
					  page * PAGE, flags);
	model_map(&self->model, page, n, FILE_ID + file, file_page, flags);
}

static void add_unmap(FIXTURE_DATA(batch) *self, unsigned int page, unsigned int n)
{
	self->ops[self->nr++] = batch_unmap(page * PAGE, n * PAGE);
	model_unmap(&self->model, page, n);
}

static void submit(struct __test_metadata *_metadata, FIXTURE_DATA(batch) *self)
{
	uint32_t failed = ~0U;

	ASSERT_EQ(0, view_info(self->control, &self->before));
	EXPECT_EQ(0, view_batch(self->control, self->ops, self->nr, &failed));
	EXPECT_EQ(self->nr, failed);
	self->nr = 0;
}

static void add_random(FIXTURE_DATA(batch) *self, uint64_t *state, unsigned int longest)
{
	unsigned int page = random_next(state) % PAGES;
	unsigned int n = 1 + random_next(state) % longest;

	if (n > PAGES - page)
		n = PAGES - page;
	if (random_next(state) % 3 == 0)
		add_unmap(self, page, n);
	else
		add_map(self, page, n, random_next(state) % FILES,
			random_next(state) % (FILE_PAGES - PAGES),
			random_next(state) % 2 ? MAP_RW : MAP_R);
}

TEST_F(batch, random_batches)
{
	uint64_t seed = random_seed(), state = seed;
	unsigned int step, nr, longest;

	TH_LOG("MEMVIEW_TEST_SEED=%llu", (unsigned long long)seed);
	for (step = 0; step < scaled(24); step++) {
		/* Many small ones, a few large ones, one alone. */
		nr = 1 + random_next(&state) % OPS;
		longest = 1 << random_next(&state) % 9;
		while (self->nr < nr)
			add_random(self, &state, longest);
		submit(_metadata, self);
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
	}
}

/* In the order of pages, nothing has to be cut but what was there. */
TEST_F(batch, in_order)
{
	unsigned int round, page;

	for (round = 0; round < 3; round++) {
		for (page = 0; page + 4 <= PAGES; page += 4) {
			if ((page / 4 + round) % 3)
				add_map(self, page + round, 4 - round, page % FILES, page, MAP_RW);
			else
				add_unmap(self, page, 4);
		}
		submit(_metadata, self);
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
	}
}

/* An entry that later ones hide, wholly or but for its middle. */
TEST_F(batch, hidden_entries)
{
	struct view_info info;

	add_map(self, 10, 10, 0, 0, MAP_RW);
	add_map(self, 40, 30, 1, 5, MAP_R);
	add_map(self, 10, 10, 1, 3, MAP_R);
	add_unmap(self, 40, 10);
	add_map(self, 60, 10, 0, 8, MAP_RW);
	add_map(self, 52, 1, 0, 1, MAP_RW);
	add_map(self, 52, 1, 0, 2, MAP_RW);
	submit(_metadata, self);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(5, info.ranges);
	/* The only entry for this file is hidden: the file is not the view's. */
	add_unmap(self, 0, PAGES);
	submit(_metadata, self);
	add_map(self, 0, 1, 0, 0, MAP_RW);
	add_unmap(self, 0, 1);
	submit(_metadata, self);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	if (variant->kind == SOURCE_MEMFD) {
		EXPECT_EQ(0, fcntl(self->src[0].fd, F_ADD_SEALS, F_SEAL_WRITE));
	}
}

/* Entries that cut one another in the order of a staircase, up and down. */
TEST_F(batch, staircase)
{
	unsigned int i;

	for (i = 0; i < OPS; i++)
		add_map(self, i, 40, i % FILES, i, i % 3 ? MAP_RW : MAP_R);
	submit(_metadata, self);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	for (i = OPS; i--;)
		add_map(self, i, 40, i % FILES, 2 * i, i % 3 ? MAP_RW : MAP_R);
	submit(_metadata, self);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	for (i = 0; i < OPS; i++)
		add_unmap(self, i, 2 * (OPS - i));
	submit(_metadata, self);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

TEST_F(batch, empty)
{
	struct view_info info;
	uint32_t failed = 1;

	add_map(self, 0, 4, 0, 0, MAP_RW);
	submit(_metadata, self);
	ASSERT_EQ(0, view_info(self->control, &self->before));
	EXPECT_EQ(0, view_batch(self->control, NULL, 0, &failed));
	EXPECT_EQ(0, failed);
	EXPECT_EQ(0, view_batch(self->control, (void *)-1UL, 0, NULL));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(self->before.changes, info.changes);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

/* As many entries as there may be; the last of them counts as the first does. */
TEST_F(batch, most)
{
	struct memview_batch_op *ops = calloc(MEMVIEW_BATCH_MAX, sizeof(*ops));
	unsigned int i, page;
	uint32_t failed;

	ASSERT_NE(NULL, ops);
	for (i = 0; i < MEMVIEW_BATCH_MAX; i++) {
		page = i * 7 % PAGES;
		ops[i] = batch_map(self->src[i % 2].fd, (page + i % 5) * PAGE, PAGE, page * PAGE,
				   MAP_RW);
		model_map(&self->model, page, 1, FILE_ID + i % 2, page + i % 5, MAP_RW);
	}
	EXPECT_EQ(0, view_batch(self->control, ops, MEMVIEW_BATCH_MAX, &failed));
	EXPECT_EQ(MEMVIEW_BATCH_MAX, failed);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	free(ops);
}

/* ---- What is zapped, and how often ---- */

/* All of a file, touched: every page is in the page table. */
static void fill(struct __test_metadata *_metadata, FIXTURE_DATA(batch) *self)
{
	ASSERT_EQ(0, view_map(self->control, self->src[0].fd, 0, SIZE, 0, MAP_R));
	model_map(&self->model, 0, PAGES, FILE_ID, 0, MAP_R);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_POPULATE_READ));
}

static void expect_zaps(struct __test_metadata *_metadata, FIXTURE_DATA(batch) *self,
			unsigned int zaps, unsigned int gone)
{
	struct view_info info;

	submit(_metadata, self);
	EXPECT_EQ(PAGES - gone, count_mapped(self->mem, PAGES));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(zaps, info.zaps - self->before.zaps);
	EXPECT_EQ(1, info.changes - self->before.changes);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

TEST_F(batch, zaps_what_adjoins_at_once)
{
	unsigned int i;

	fill(_metadata, self);
	/* In no order, one page each, all over 32 pages. */
	for (i = 0; i < 32; i++)
		add_map(self, 16 + i * 5 % 32, 1, 1, i, MAP_R);
	expect_zaps(_metadata, self, 1, 32);
}

TEST_F(batch, zaps_what_is_apart_apart)
{
	fill(_metadata, self);
	add_unmap(self, 100, 10);
	add_map(self, 20, 5, 1, 0, MAP_R);
	add_map(self, 110, 5, 1, 0, MAP_R);
	add_unmap(self, 200, 1);
	expect_zaps(_metadata, self, 3, 21);
}

/* Where nothing was, nothing is zapped, but it keeps no two apart. */
TEST_F(batch, zaps_over_what_was_empty)
{
	struct view_info info;

	fill(_metadata, self);
	add_unmap(self, 50, 10);
	expect_zaps(_metadata, self, 1, 10);
	ASSERT_EQ(0, madvise(self->mem, 50 * PAGE, MADV_POPULATE_READ));
	ASSERT_EQ(0, madvise(self->mem + 60 * PAGE, (PAGES - 60) * PAGE, MADV_POPULATE_READ));
	add_map(self, 52, 4, 1, 0, MAP_R);
	submit(_metadata, self);
	ASSERT_EQ(0, madvise(self->mem + 52 * PAGE, 4 * PAGE, MADV_POPULATE_READ));
	/* Page 49, a hole, pages 52 to 55, a hole, page 60. */
	add_unmap(self, 49, 1);
	add_map(self, 50, 2, 1, 0, MAP_R);
	add_unmap(self, 52, 4);
	add_map(self, 56, 4, 1, 0, MAP_R);
	add_unmap(self, 60, 1);
	submit(_metadata, self);
	EXPECT_EQ(PAGES - 12, count_mapped(self->mem, PAGES));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(1, info.zaps - self->before.zaps);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

/* The same again stays, also between two that go. */
TEST_F(batch, keeps_what_is_the_same)
{
	fill(_metadata, self);
	add_map(self, 0, 64, 0, 0, MAP_R);
	add_map(self, 64, 64, 0, 64, MAP_RW);
	expect_zaps(_metadata, self, 0, 0);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_POPULATE_READ));
	add_map(self, 10, 2, 1, 0, MAP_R);
	add_map(self, 12, 2, 0, 12, MAP_R);
	add_map(self, 14, 2, 1, 0, MAP_R);
	expect_zaps(_metadata, self, 2, 4);
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_POPULATE_READ));
	/* Taken away, and given back, by the same batch. */
	add_unmap(self, 0, PAGES);
	add_map(self, 0, 10, 0, 0, MAP_RW);
	add_map(self, 200, 56, 0, 200, MAP_R);
	expect_zaps(_metadata, self, 1, 190);
}

TEST_HARNESS_MAIN
