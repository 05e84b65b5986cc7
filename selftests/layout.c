// SPDX-License-Identifier: GPL-2.0
/*
 * layout.c - P5: after any sequence of requests a view shows what a model of
 * it says, page for page
 *
 * Ranges are mapped over ranges, cut, taken away; requests fail in between;
 * the view grows and shrinks. After each step every page is read and written
 * through a mapping, and the count of ranges and bytes in fdinfo compared.
 */
#include "memview_test.h"

#define PAGES		256
#define SIZE		(PAGES * PAGE)
#define FILES		2
#define FILE_PAGES	(2 * PAGES)
#define STEPS		40

FIXTURE(layout)
{
	struct klog klog;
	struct model model;
	struct source src[FILES];
	uint64_t state;
	unsigned int size; /* of the view, pages */
	int control;
	char *mem;
};

FIXTURE_VARIANT(layout)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(layout);

FIXTURE_SETUP(layout)
{
	int viewfd;
	unsigned int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	for (i = 0; i < FILES; i++) {
		SOURCE_OPEN_OR_SKIP(&self->src[i], variant->kind, FILE_PAGES * PAGE);
		ASSERT_EQ(0, source_fill(&self->src[i], i + 1));
	}
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	self->size = PAGES;
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	viewfd = view_get_fd(self->control);
	ASSERT_LE(0, viewfd);
	self->mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	close(viewfd);
}

FIXTURE_TEARDOWN(layout)
{
	EXPECT_KLOG_CLEAN(&self->klog);
	model_free(&self->model);
}

static unsigned int random_below(FIXTURE_DATA(layout) *self, unsigned int n)
{
	return random_next(&self->state) % n;
}

/* Mostly short, sometimes all there is. */
static unsigned int random_length(FIXTURE_DATA(layout) *self, unsigned int max)
{
	unsigned int n = 1 + random_below(self, random_below(self, 4) ? 12 : max);

	return n < max ? n : max;
}

static void random_map(struct __test_metadata *_metadata, FIXTURE_DATA(layout) *self)
{
	unsigned int page = random_below(self, PAGES);
	unsigned int n = random_length(self, PAGES - page);
	unsigned int file = random_below(self, FILES);
	unsigned int file_page = random_below(self, FILE_PAGES - n);
	uint32_t flags = random_below(self, 2) ? MAP_RW : MAP_R;
	int err = view_map(self->control, self->src[file].fd, file_page * PAGE,
			   n * PAGE, page * PAGE, flags);

	if (page + n > self->size) {
		EXPECT_EQ(-EINVAL, err);
		return;
	}
	ASSERT_EQ(0, err);
	model_map(&self->model, page, n, file + 1, file_page, flags);
}

static void random_unmap(struct __test_metadata *_metadata, FIXTURE_DATA(layout) *self)
{
	unsigned int page = random_below(self, PAGES);
	unsigned int n = random_length(self, PAGES - page);
	int err = view_unmap(self->control, page * PAGE, n * PAGE);

	if (page + n > self->size) {
		EXPECT_EQ(-EINVAL, err);
		return;
	}
	ASSERT_EQ(0, err);
	model_unmap(&self->model, page, n);
}

static void random_failure(struct __test_metadata *_metadata, FIXTURE_DATA(layout) *self)
{
	unsigned int page = random_below(self, PAGES);
	int fd = self->src[0].fd;

	EXPECT_EQ(-EINVAL, view_map(self->control, fd, 1, PAGE, page * PAGE, MAP_R));
	EXPECT_EQ(-EINVAL, view_map(self->control, fd, 0, PAGE, page * PAGE + 8, MAP_R));
	EXPECT_EQ(-EINVAL, view_map(self->control, fd, 0, 0, page * PAGE, MAP_R));
	EXPECT_EQ(-EBADF, view_map(self->control, -1, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(-EINVAL, view_unmap(self->control, page * PAGE, 0));
}

/* Grown back at once half of the time, so that most steps see all of it. */
static void random_resize(struct __test_metadata *_metadata, FIXTURE_DATA(layout) *self)
{
	unsigned int size = random_below(self, PAGES + 1);

	ASSERT_EQ(0, view_resize(self->control, size * PAGE));
	if (size < self->size)
		model_unmap(&self->model, size, self->size - size);
	self->size = size;
	if (random_below(self, 2)) {
		ASSERT_EQ(0, view_resize(self->control, SIZE));
		self->size = PAGES;
	}
}

static void random_step(struct __test_metadata *_metadata, FIXTURE_DATA(layout) *self)
{
	switch (random_below(self, 16)) {
	case 0:
		random_resize(_metadata, self);
		break;
	case 1:
		random_failure(_metadata, self);
		break;
	case 2 ... 5:
		random_unmap(_metadata, self);
		break;
	default:
		random_map(_metadata, self);
	}
}

TEST_F(layout, random_sequence)
{
	uint64_t seed = random_seed();
	unsigned int step, steps = 10 + scaled(STEPS - 10);
	char why[160] = "";

	self->state = seed;
	for (step = 0; step < steps; step++) {
		random_step(_metadata, self);
		ASSERT_EQ(0, model_differs(&self->model, self->control, self->mem, why,
					   sizeof(why)))
			TH_LOG("step %u of MEMVIEW_TEST_SEED=%llu: %s", step,
			       (unsigned long long)seed, why);
	}
}

/* Every page its own range, then holes, then one over all. */
TEST_F(layout, one_range_a_page)
{
	unsigned int page;

	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, view_map(self->control, self->src[0].fd, (PAGES - page) * PAGE,
				      PAGE, page * PAGE, MAP_RW));
		model_map(&self->model, page, 1, 1, PAGES - page, MAP_RW);
	}
	EXPECT_EQ(PAGES, model_ranges(&self->model));
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	for (page = 0; page < PAGES; page += 2) {
		ASSERT_EQ(0, view_unmap(self->control, page * PAGE, PAGE));
		model_unmap(&self->model, page, 1);
	}
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	ASSERT_EQ(0, view_map(self->control, self->src[1].fd, 0, SIZE, 0, MAP_R));
	model_map(&self->model, 0, PAGES, 2, 0, MAP_R);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

/* The borders of a request against those of a range: all the ways to meet. */
TEST_F(layout, every_overlap)
{
	unsigned int first, last;

	/* Nothing happens beyond these. */
	self->model.pages = 8;
	for (first = 0; first < 8; first++) {
		for (last = first; last < 8; last++) {
			ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
			model_unmap(&self->model, 0, self->model.pages);
			ASSERT_EQ(0, view_map(self->control, self->src[0].fd, 0, 4 * PAGE,
					      2 * PAGE, MAP_RW));
			model_map(&self->model, 2, 4, 1, 0, MAP_RW);
			ASSERT_EQ(0, view_map(self->control, self->src[1].fd, 0,
					      (last - first + 1) * PAGE, first * PAGE, MAP_R));
			model_map(&self->model, first, last - first + 1, 2, 0, MAP_R);
			EXPECT_LAYOUT(&self->model, self->control, self->mem);
		}
	}
}

/* The same page of a file in many places is the same memory. */
TEST_F(layout, one_page_in_many_places)
{
	unsigned int page;
	uint64_t word;

	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, view_map(self->control, self->src[0].fd, 3 * PAGE, PAGE, page * PAGE,
				      MAP_RW));
	}
	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, probe_write(self->mem + page * PAGE, page));
		ASSERT_EQ(0, probe_read(self->mem + (PAGES - 1 - page) * PAGE, &word));
		ASSERT_EQ(page, word);
	}
	ASSERT_EQ(0, fd_read_u64(self->src[0].fd, 3 * PAGE, &word));
	EXPECT_EQ(PAGES - 1, word);
}

/* How many ranges a store of the module takes away at once, and what is left. */
#define STORE_MAX	1024
#define MANY		(3 * STORE_MAX + 17)

FIXTURE(many)
{
	struct klog klog;
	int memfd, control;
	char *mem;
};

/* Ranges of two pages beside each other, of the same two pages. */
FIXTURE_SETUP(many)
{
	struct memview_batch_op ops[MANY];
	unsigned int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_filled(2 * PAGE, 1);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(MANY * 2 * PAGE);
	ASSERT_LE(0, self->control);
	for (i = 0; i < MANY; i++)
		ops[i] = batch_map(self->memfd, 0, 2 * PAGE, i * 2 * PAGE, MAP_RW);
	ASSERT_EQ(0, view_batch(self->control, ops, MANY, NULL));
	self->mem = view_mmap(view_get_fd(self->control), MANY * 2 * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(many)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The first and the last page show what they did, or @sig is what one gets for @page. */
static void check_pages(struct __test_metadata *_metadata, FIXTURE_DATA(many) *self,
			uint64_t ranges, uint64_t pages, const int *sigs)
{
	const unsigned int at[] = { 0, 1, MANY, 2 * MANY - 2, 2 * MANY - 1 };
	struct view_info info;
	unsigned int i;

	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(ranges, info.ranges);
	EXPECT_EQ(pages * PAGE, info.bytes);
	for (i = 0; i < ARRAY_SIZE(at); i++)
		EXPECT_EQ(sigs[i], probe_write(self->mem + at[i] * PAGE, i));
}

/* From the middle of the first range to that of the last. */
TEST_F(many, taken_away_at_once)
{
	const int all[5] = {}, ends[5] = { 0, SIGBUS, SIGBUS, SIGBUS, 0 };

	check_pages(_metadata, self, MANY, 2 * MANY, all);
	ASSERT_EQ(0, view_unmap(self->control, PAGE, (2 * MANY - 2) * PAGE));
	check_pages(_metadata, self, 2, 2, ends);
	ASSERT_EQ(0, view_unmap(self->control, 0, 2 * MANY * PAGE));
	check_pages(_metadata, self, 0, 0,
		    (const int[5]){ SIGBUS, SIGBUS, SIGBUS, SIGBUS, SIGBUS });
}

TEST_F(many, replaced_at_once)
{
	const int all[5] = {};
	int memfd = memfd_filled((2 * MANY - 2) * PAGE, 2);
	uint64_t value;

	ASSERT_LE(0, memfd);
	check_pages(_metadata, self, MANY, 2 * MANY, all);
	ASSERT_EQ(0, view_map(self->control, memfd, 0, (2 * MANY - 2) * PAGE, PAGE, MAP_RW));
	ASSERT_EQ(0, probe_read(self->mem + MANY * PAGE, &value));
	EXPECT_EQ(page_tag(2, MANY - 1), value);
	check_pages(_metadata, self, 3, 2 * MANY, all);
}

/* Several such spans in a batch, between others that stay. */
TEST_F(many, of_a_batch)
{
	const int middle[5] = { SIGBUS, SIGBUS, 0, SIGBUS, SIGBUS };
	struct memview_batch_op ops[2] = {
		batch_unmap(0, (MANY - 1) * PAGE),
		batch_unmap((MANY + 1) * PAGE, (MANY - 1) * PAGE),
	};

	ASSERT_EQ(0, view_batch(self->control, ops, 2, NULL));
	check_pages(_metadata, self, 1, 2, middle);
}

TEST_HARNESS_MAIN
