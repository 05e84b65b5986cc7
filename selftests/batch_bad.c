// SPDX-License-Identifier: GPL-2.0
/*
 * batch_bad.c - P5, P8: a batch with one bad entry says which, and does nothing
 *
 * Each kind of bad entry is put at the start, in the middle and at the end of a
 * batch that would change every page of the view, and would lend a file that the
 * view does not know. After each the layout is compared page for page with what
 * it was, no change or zap may have been counted, and the file must be nobody's.
 */
#include "badcalls.h"

#define NEW_ID	32
#define MAX	MEMVIEW_MAX_FILE_OFFSET
#define GOOD	9 /* entries that are fine */
#define U64_MAX	(~0ULL)

static int fresh; /* the file that the view does not know */
static struct memview_batch_op entries[GOOD + 1];

/* Entries that are fine, over all of the view, with room for one at @at. */
static void make_batch(struct __test_metadata *_metadata, FIXTURE_DATA(bad) *self,
		       unsigned int at)
{
	unsigned int i;

	fresh = memfd_filled(SIZE, NEW_ID);
	ASSERT_LE(0, fresh);
	for (i = 0; i <= GOOD; i++) {
		if (i % 3 == 0)
			entries[i] = batch_unmap(i * PAGE, 3 * PAGE);
		else
			entries[i] = batch_map(i % 2 ? fresh : self->memfd, i * PAGE,
						 2 * PAGE, (i + 5) * PAGE, i % 2 ? MAP_RW : MAP_R);
	}
	ASSERT_LE(at, GOOD);
}

/* No range, and nothing on its way, has the file for writing. */
static void expect_released(struct __test_metadata *_metadata, FIXTURE_DATA(bad) *self,
			    const char *what)
{
	EXPECT_EQ(0, fcntl(fresh, F_ADD_SEALS, F_SEAL_WRITE)) TH_LOG("%s", what);
	close(fresh);
}

static void expect_refused(struct __test_metadata *_metadata, FIXTURE_DATA(bad) *self,
			   const struct memview_batch_op *bad, int want, const char *what)
{
	static const unsigned int places[] = { 0, 1, GOOD / 2, GOOD };
	uint32_t failed;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		make_batch(_metadata, self, places[i]);
		entries[places[i]] = *bad;
		failed = ~0U;
		EXPECT_EQ(-want, view_batch(self->control, entries, GOOD + 1, &failed))
			TH_LOG("%s, entry %u", what, places[i]);
		EXPECT_EQ(places[i], failed) TH_LOG("%s", what);
		expect_unchanged(_metadata, self, what);
		expect_released(_metadata, self, what);
	}
}

/* Or the tests below show nothing. */
TEST_F(bad, the_rest_is_fine)
{
	struct view_info info;

	make_batch(_metadata, self, 0);
	EXPECT_EQ(0, view_batch(self->control, entries, GOOD + 1, NULL));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(self->before.changes + 1, info.changes);
	EXPECT_LT(self->before.zaps, info.zaps);
	EXPECT_EQ(-1, fcntl(fresh, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(0, view_unmap(self->control, 0, SIZE));
	expect_released(_metadata, self, "unmapped");
	model_unmap(&self->model, 0, PAGES);
}

/* ---- One bad entry ---- */

static const struct {
	const char *what;
	uint64_t fd_offset, size, mem_offset;
	uint32_t flags;
} bad_maps[] = {
	{ "size 0", 0, 0, 0, MAP_R },
	{ "size of a page and one", 0, PAGE + 1, 0, MAP_R },
	{ "size -1", 0, U64_MAX, 0, MAP_R },
	{ "fd_offset 1", 1, PAGE, 0, MAP_R },
	{ "fd_offset + size wraps", 2 * PAGE, -PAGE, 0, MAP_R },
	{ "mem_offset 1", 0, PAGE, 1, MAP_R },
	{ "mem_offset + size is 2^64", 0, PAGE, -PAGE, MAP_R },
	{ "mem_offset + size wraps into the view", 0, -PAGE, 2 * PAGE, MAP_R },
	{ "beyond the largest file offset", MAX, PAGE, 0, MAP_R },
	{ "at the view's end", 0, PAGE, SIZE, MAP_R },
	{ "ends beyond the view's end", 0, 2 * PAGE, SIZE - PAGE, MAP_R },
	{ "mem_offset 2^63", 0, PAGE, 1ULL << 63, MAP_R },
	{ "no flags", 0, PAGE, 0, 0 },
	{ "WRITE without READ", 0, PAGE, 0, MEMVIEW_MAP_WRITE },
	{ "unknown flag", 0, PAGE, 0, MAP_R | 8 },
};

TEST_F(bad, map_arguments)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_maps); i++) {
		const struct memview_batch_op op =
			batch_map(self->memfd, bad_maps[i].fd_offset, bad_maps[i].size,
				  bad_maps[i].mem_offset, bad_maps[i].flags);

		expect_refused(_metadata, self, &op, EINVAL, bad_maps[i].what);
	}
}

TEST_F(bad, unmap_arguments)
{
	static const struct {
		const char *what;
		struct memview_batch_op op;
	} bad[] = {
#define UNMAP(...) { .op = MEMVIEW_BATCH_UNMAP, .fd = -1, .size = PAGE, __VA_ARGS__ }
		{ "size 1", UNMAP(.mem_offset = 1) },
		{ "mem_offset 1", UNMAP(.mem_offset = 1) },
		{ "at the view's end", UNMAP(.mem_offset = SIZE) },
		{ "mem_offset + size is 2^64", UNMAP(.mem_offset = -PAGE) },
		{ "flags", UNMAP(.flags = MAP_R) },
		{ "last flag", UNMAP(.flags = 1U << 31) },
		{ "fd_offset", UNMAP(.fd_offset = PAGE) },
		{ "fd_offset 1", UNMAP(.fd_offset = 1) },
		{ "reserved", UNMAP(.reserved = 1) },
		{ "fd 0", { .op = MEMVIEW_BATCH_UNMAP, .size = PAGE } },
		{ "fd -2", { .op = MEMVIEW_BATCH_UNMAP, .size = PAGE, .fd = -2 } },
		{ "size 0", { .op = MEMVIEW_BATCH_UNMAP, .fd = -1 } },
#undef UNMAP
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(_metadata, self, &bad[i].op, EINVAL, bad[i].what);
}

TEST_F(bad, operations_and_reserved)
{
	static const uint32_t unknown[] = { 0, 3, 4, 256, 1U << 31, ~0U };
	struct memview_batch_op op;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		op = batch_map(self->memfd, 0, PAGE, 0, MAP_R);
		op.op = unknown[i];
		expect_refused(_metadata, self, &op, EINVAL, "unknown operation");
	}
	for (i = 0; i < 32; i += 31) {
		op = batch_map(self->memfd, 0, PAGE, 0, MAP_R);
		op.reserved = 1U << i;
		expect_refused(_metadata, self, &op, EINVAL, "reserved of a map");
	}
}

TEST_F(bad, sources)
{
	struct source src = { .fd = self->memfd };
	int sealed = memfd_filled(PAGE, 1), pipes[2];
	unsigned int i;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
	const struct {
		const char *what;
		int fd;
		uint32_t flags;
		int want;
	} bad[] = {
		{ "no such fd", -1, MAP_R, EBADF },
		{ "no such fd", 1 << 20, MAP_R, EBADF },
		{ "O_PATH", source_reopen(&src, O_PATH), MAP_R, EBADF },
		{ "read-only fd", source_reopen(&src, O_RDONLY), MAP_RW, EACCES },
		{ "write-only fd", source_reopen(&src, O_WRONLY), MAP_R, EACCES },
		{ "sealed memfd", sealed, MAP_RW, EPERM },
		{ "pipe", pipes[0], MAP_R, EOPNOTSUPP },
		{ "device", open("/dev/zero", O_RDWR), MAP_R, EOPNOTSUPP },
		{ "own control fd", self->control, MAP_R, EOPNOTSUPP },
		{ "own view fd", self->viewfd, MAP_RW, EOPNOTSUPP },
	};
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct memview_batch_op op = batch_map(bad[i].fd, 0, PAGE, 8 * PAGE,
							     bad[i].flags);

		expect_refused(_metadata, self, &op, bad[i].want, bad[i].what);
	}
}

/* A bad entry is at fault also where a later one would hide it. */
TEST_F(bad, hidden)
{
	int pipes[2];
	uint32_t failed;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	const struct memview_batch_op ops[] = {
		batch_map(self->memfd, 0, PAGE, 0, MAP_RW),
		batch_map(pipes[0], 0, PAGE, 3 * PAGE, MAP_R),
		batch_unmap(0, SIZE),
	};
	EXPECT_EQ(-EOPNOTSUPP, view_batch(self->control, ops, 3, &failed));
	EXPECT_EQ(1, failed);
	expect_unchanged(_metadata, self, "hidden");
}

/* ---- The argument itself ---- */

static int raw(FIXTURE_DATA(bad) *self, struct memview_batch *batch)
{
	return ioctl(self->control, MEMVIEW_BATCH, batch) ? -errno : 0;
}

static struct memview_batch whole(FIXTURE_DATA(bad) *self)
{
	return (struct memview_batch){
		.ops = (uintptr_t)entries,
		.nr_ops = GOOD + 1,
		.op_size = sizeof(entries[0]),
		.failed = ~0U,
	};
}

TEST_F(bad, batch_fields)
{
	struct memview_batch batch;
	unsigned int bit;

	make_batch(_metadata, self, 0);
	for (bit = 0; bit < 32; bit++) {
		batch = whole(self);
		batch.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, raw(self, &batch)) TH_LOG("flag %u", bit);
		EXPECT_EQ(GOOD + 1, batch.failed);
	}
	static const uint32_t sizes[] = { 0, 1, 39, PAGE + 1, 1U << 31, ~0U };
	for (bit = 0; bit < ARRAY_SIZE(sizes); bit++) {
		batch = whole(self);
		batch.op_size = sizes[bit];
		EXPECT_EQ(sizes[bit] > PAGE ? -E2BIG : -EINVAL, raw(self, &batch))
			TH_LOG("op_size %u", sizes[bit]);
		EXPECT_EQ(GOOD + 1, batch.failed);
	}
	static const uint32_t numbers[] = { MEMVIEW_BATCH_MAX + 1, 1U << 31, ~0U };
	for (bit = 0; bit < ARRAY_SIZE(numbers); bit++) {
		batch = whole(self);
		batch.nr_ops = numbers[bit];
		EXPECT_EQ(-EINVAL, raw(self, &batch)) TH_LOG("nr_ops %u", numbers[bit]);
		EXPECT_EQ(numbers[bit], batch.failed);
	}
	expect_unchanged(_metadata, self, "fields");
	expect_released(_metadata, self, "fields");
}

/* Entries of a newer header: what this kernel does not know must be zero. */
TEST_F(bad, entries_of_another_size)
{
	static char room[(GOOD + 1) * PAGE];
	static const uint32_t sizes[] = { 48, 40 + 1, 128, PAGE };
	struct memview_batch batch;
	unsigned int i, n;

	make_batch(_metadata, self, 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(room, 0, sizeof(room));
		for (n = 0; n <= GOOD; n++)
			memcpy(room + n * sizes[i], &entries[n], sizeof(entries[n]));
		batch = whole(self);
		batch.ops = (uintptr_t)room;
		batch.op_size = sizes[i];
		room[7 * sizes[i] - 1] = 1;
		EXPECT_EQ(-E2BIG, raw(self, &batch)) TH_LOG("op_size %u", sizes[i]);
		EXPECT_EQ(6, batch.failed);
		expect_unchanged(_metadata, self, "unknown field");
		room[7 * sizes[i] - 1] = 0;
		EXPECT_EQ(0, raw(self, &batch)) TH_LOG("op_size %u", sizes[i]);
		EXPECT_EQ(GOOD + 1, batch.failed);
		/* Back to what it was. */
		ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
		model_unmap(&self->model, 0, PAGES);
		map_range(_metadata, self, 2, 9, MAP_RW);
		ASSERT_EQ(0, view_info(self->control, &self->before));
	}
}

TEST_F(bad, array_at_the_end_of_memory)
{
	char *two = mmap(NULL, 2 * PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct memview_batch batch = whole(self);
	unsigned int i;

	ASSERT_NE(MAP_FAILED, two);
	ASSERT_EQ(0, munmap(two + PAGE, PAGE));
	make_batch(_metadata, self, 0);
	for (i = 0; i <= GOOD; i++) {
		/* Entry i is the first that is not all there: by a byte, or all. */
		char *ops = two + PAGE - (i + 1) * sizeof(entries[0]) + (i % 2 ? 1 : 40);

		memcpy(ops, entries, two + PAGE - ops);
		batch.ops = (uintptr_t)ops;
		EXPECT_EQ(-EFAULT, raw(self, &batch)) TH_LOG("entry %u", i);
		EXPECT_EQ(i, batch.failed);
		expect_unchanged(_metadata, self, "border");
	}
	static const uint64_t nowhere[] = { 0, 8, -1, -4096, 1UL << 47, 1UL << 63, -40 };
	for (i = 0; i < ARRAY_SIZE(nowhere); i++) {
		batch.ops = nowhere[i];
		EXPECT_EQ(-EFAULT, raw(self, &batch)) TH_LOG("%#lx", (long)nowhere[i]);
		EXPECT_EQ(0, batch.failed);
	}
	expect_unchanged(_metadata, self, "nowhere");
	expect_released(_metadata, self, "nowhere");
	batch.ops = (uintptr_t)two + PAGE - (GOOD + 1) * sizeof(entries[0]);
	make_batch(_metadata, self, 0);
	memcpy((void *)batch.ops, entries, sizeof(entries));
	EXPECT_EQ(0, raw(self, &batch));
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	model_unmap(&self->model, 0, PAGES);
}

/* The kernel must be able to say what it has done before it does it. */
TEST_F(bad, nowhere_to_answer)
{
	struct memview_batch *batch = mmap(NULL, PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, batch);
	make_batch(_metadata, self, 0);
	*batch = whole(self);
	ASSERT_EQ(0, mprotect(batch, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, raw(self, batch));
	EXPECT_EQ(~0U, batch->failed);
	expect_unchanged(_metadata, self, "read-only argument");
	EXPECT_EQ(-EFAULT, raw(self, NULL));
	EXPECT_EQ(-EFAULT, raw(self, (void *)-1L));
	expect_unchanged(_metadata, self, "no argument");
	EXPECT_EQ(-ENOTTY, ioctl(self->viewfd, MEMVIEW_BATCH, batch) ? -errno : 0);
	expect_unchanged(_metadata, self, "by the view fd");
}

/* The array, and the answer, in memory that the view lends: no lock is held. */
TEST_F(bad, argument_in_the_view_itself)
{
	struct memview_batch *batch = (void *)(self->mem + 4 * PAGE);
	struct memview_batch_op *ops = (void *)(batch + 1);

	*batch = whole(self);
	batch->ops = (uintptr_t)ops;
	batch->nr_ops = 2;
	ops[0] = batch_unmap(0, SIZE);
	ops[1] = batch_map(self->memfd, 4 * PAGE, PAGE, 4 * PAGE, MAP_RW);
	EXPECT_EQ(0, raw(self, batch));
	EXPECT_EQ(2, batch->failed);
	memset(batch, 0, 2 * PAGE / 8);
	ASSERT_EQ(0, fd_write_u64(self->memfd, 4 * PAGE, page_tag(FILE_ID, 4)));
	model_unmap(&self->model, 0, PAGES);
	model_map(&self->model, 4, 1, FILE_ID, 4, MAP_RW);
}

/* ---- The limit of ranges ---- */

#define MAX_RANGES "/sys/module/memview/parameters/max_ranges"

FIXTURE(limit)
{
	FIXTURE_DATA(bad) view;
	char old[32];
};

FIXTURE_SETUP(limit)
{
	ASSERT_LT(0, read_file(MAX_RANGES, self->old, sizeof(self->old)));
	bad_setup(_metadata, &self->view, NULL);
}

/* A parameter of the module: put back whatever becomes of the test. */
FIXTURE_TEARDOWN_PARENT(limit)
{
	EXPECT_EQ(0, write_file(MAX_RANGES, self->old));
}

static void expect_no_space(struct __test_metadata *_metadata, FIXTURE_DATA(bad) *view,
			    const struct memview_batch_op *ops, unsigned int nr, const char *what)
{
	uint32_t failed = ~0U;

	EXPECT_EQ(-ENOSPC, view_batch(view->control, ops, nr, &failed)) TH_LOG("%s", what);
	EXPECT_EQ(nr, failed) TH_LOG("%s", what);
	expect_unchanged(_metadata, view, what);
}

/* It is the result that counts, to the range, and nothing on the way there. */
TEST_F(limit, of_the_result)
{
	FIXTURE_DATA(bad) *view = &self->view;
	struct memview_batch_op ops[PAGES];
	unsigned int i, nr;

	ASSERT_EQ(0, write_file(MAX_RANGES, "6"));
	/* 3 there, cut in two by one in the middle: 5; and two more: 7. */
	fresh = memfd_filled(SIZE, NEW_ID);
	ops[0] = batch_map(view->memfd, 0, PAGE, PAGE, MAP_R);
	ops[1] = batch_map(fresh, 0, PAGE, 8 * PAGE, MAP_RW);
	ops[2] = batch_map(view->memfd, 0, PAGE, 9 * PAGE, MAP_R);
	expect_no_space(_metadata, view, ops, 3, "one too many");
	expect_released(_metadata, view, "one too many");
	/* Two holes cut a range in three. */
	ops[3] = batch_unmap(11 * PAGE, PAGE);
	ops[4] = batch_unmap(13 * PAGE, PAGE);
	ops[5] = batch_unmap(5 * PAGE, PAGE);
	ops[6] = batch_unmap(1 * PAGE, PAGE);
	expect_no_space(_metadata, view, ops + 3, 4, "unmaps that split");
	/* Sixteen on the way, six in the end. */
	for (i = 0; i < PAGES - 1; i++)
		ops[i] = batch_map(view->memfd, 0, PAGE, i * PAGE, MAP_R);
	expect_no_space(_metadata, view, ops, PAGES - 1, "a range for each page");
	ops[PAGES - 1] = batch_unmap(6 * PAGE, (PAGES - 6) * PAGE);
	EXPECT_EQ(0, view_batch(view->control, ops, PAGES, NULL));
	model_unmap(&view->model, 0, PAGES);
	for (i = 0; i < 6; i++)
		model_map(&view->model, i, 1, FILE_ID, 0, MAP_R);
	EXPECT_LAYOUT(&view->model, view->control, view->mem);
	/* Full, and changed all the same; one entry shown in two places. */
	nr = 0;
	ops[nr++] = batch_map(view->memfd, 0, 8 * PAGE, 0, MAP_RW);
	ops[nr++] = batch_map(view->memfd, 0, PAGE, 2 * PAGE, MAP_R);
	ops[nr++] = batch_map(view->memfd, 0, PAGE, 6 * PAGE, MAP_R);
	ops[nr++] = batch_map(view->memfd, 0, PAGE, 10 * PAGE, MAP_R);
	ASSERT_EQ(0, view_info(view->control, &view->before));
	EXPECT_EQ(0, view_batch(view->control, ops, nr, NULL));
	model_map(&view->model, 0, 8, FILE_ID, 0, MAP_RW);
	model_map(&view->model, 2, 1, FILE_ID, 0, MAP_R);
	model_map(&view->model, 6, 1, FILE_ID, 0, MAP_R);
	model_map(&view->model, 10, 1, FILE_ID, 0, MAP_R);
	EXPECT_EQ(6, model_ranges(&view->model));
	EXPECT_LAYOUT(&view->model, view->control, view->mem);
	bad_teardown(_metadata, view, NULL);
}

TEST_HARNESS_MAIN
