// SPDX-License-Identifier: GPL-2.0
/*
 * badcalls.c - P8: a bad request gets the error that says what is bad, and
 * has changed nothing
 *
 * After each call the layout is compared page for page with what it was, and
 * no change or zap may have been counted.
 */
#include "badcalls.h"

#include <sys/resource.h>

#define MAX	MEMVIEW_MAX_FILE_OFFSET
#define U64_MAX	(~0ULL)

/* ---- MEMVIEW_MAP_FD ---- */

struct bad_map {
	const char *what;
	uint64_t fd_offset, size, mem_offset;
	uint32_t flags;
};

/* Of the good source: all of these are EINVAL. */
static const struct bad_map bad_maps[] = {
	{ "size 0", 0, 0, 0, MAP_R },
	{ "size 0 within a range", 0, 0, PAGE, MAP_R },
	{ "size 0 at the view's end", 0, 0, SIZE, MAP_R },
	{ "size 1", 0, 1, 0, MAP_R },
	{ "size of a page less one", 0, PAGE - 1, 0, MAP_R },
	{ "size of a page and one", 0, PAGE + 1, 0, MAP_R },
	{ "size of a sector", 0, 512, 0, MAP_R },
	{ "size -1", 0, U64_MAX, 0, MAP_R },
	{ "fd_offset 1", 1, PAGE, 0, MAP_R },
	{ "fd_offset 512", 512, PAGE, 0, MAP_R },
	{ "fd_offset of a page less one", PAGE - 1, PAGE, 0, MAP_R },
	{ "fd_offset -1", U64_MAX, PAGE, 0, MAP_R },
	{ "mem_offset 1", 0, PAGE, 1, MAP_R },
	{ "mem_offset 8", 0, PAGE, 8, MAP_R },
	{ "mem_offset of a page less one", 0, PAGE, PAGE - 1, MAP_R },
	{ "mem_offset -1", 0, PAGE, U64_MAX, MAP_R },
	{ "mem_offset + size is 2^64", 0, PAGE, -PAGE, MAP_R },
	{ "mem_offset + size is more than 2^64", 0, 2 * PAGE, -PAGE, MAP_R },
	{ "mem_offset + size wraps into the view", 0, -PAGE, 2 * PAGE, MAP_R },
	{ "fd_offset + size is 2^64", -PAGE, PAGE, 0, MAP_R },
	{ "fd_offset + size is more than 2^64", -PAGE, 2 * PAGE, 0, MAP_R },
	{ "fd_offset + size wraps", 2 * PAGE, -PAGE, 0, MAP_R },
	{ "fd_offset 2^63", 1ULL << 63, PAGE, 0, MAP_R },
	{ "fd_offset 2^63 less a page", (1ULL << 63) - PAGE, PAGE, 0, MAP_R },
	{ "beyond the largest file offset", MAX, PAGE, 0, MAP_R },
	{ "ends beyond the largest file offset", MAX - PAGE, 2 * PAGE, 0, MAP_R },
	{ "larger than a file can be", 0, MAX + PAGE, 0, MAP_R },
	{ "at the view's end", 0, PAGE, SIZE, MAP_R },
	{ "beyond the view's end", 0, PAGE, SIZE + PAGE, MAP_R },
	{ "ends beyond the view's end", 0, 2 * PAGE, SIZE - PAGE, MAP_R },
	{ "larger than the view", 0, SIZE + PAGE, 0, MAP_R },
	{ "mem_offset 2^62", 0, PAGE, 1ULL << 62, MAP_R },
	{ "mem_offset 2^63", 0, PAGE, 1ULL << 63, MAP_R },
	{ "mem_offset 2^63 less a page", 0, PAGE, (1ULL << 63) - PAGE, MAP_R },
	{ "no flags", 0, PAGE, 0, 0 },
	{ "WRITE without READ", 0, PAGE, 0, MEMVIEW_MAP_WRITE },
	{ "EXEC without READ", 0, PAGE, 0, MEMVIEW_MAP_EXEC },
	{ "WRITE and EXEC without READ", 0, PAGE, 0, MEMVIEW_MAP_WRITE | MEMVIEW_MAP_EXEC },
	{ "all flags there are", 0, PAGE, 0, ~0U },
	{ "an unknown flag alone", 0, PAGE, 0, 8 },
};

TEST_F(bad, map_arguments)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_maps); i++) {
		const struct bad_map *bad = &bad_maps[i];

		EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, bad->fd_offset,
					    bad->size, bad->mem_offset, bad->flags))
			TH_LOG("%s", bad->what);
		expect_unchanged(_metadata, self, bad->what);
	}
}

TEST_F(bad, map_unknown_flags)
{
	unsigned int bit;

	for (bit = 3; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 0, PAGE, 0,
					    MAP_RW | 1U << bit))
			TH_LOG("bit %u", bit);
		expect_unchanged(_metadata, self, "unknown flag");
	}
}

TEST_F(bad, map_no_such_fd)
{
	static const int fds[] = { -1, -2, AT_FDCWD, INT_MIN, INT_MAX, 1 << 20, 999 };
	int closed = dup(self->memfd);
	unsigned int i;

	close(closed);
	EXPECT_EQ(-EBADF, view_map(self->control, closed, 0, PAGE, 0, MAP_R));
	for (i = 0; i < ARRAY_SIZE(fds); i++) {
		EXPECT_EQ(-EBADF, view_map(self->control, fds[i], 0, PAGE, 0, MAP_R))
			TH_LOG("fd %d", fds[i]);
		expect_unchanged(_metadata, self, "no such fd");
	}
}

struct bad_source {
	const char *what;
	int fd;
	uint32_t flags;
	int want;
};

/* One of each kind of error that depends on the source. */
TEST_F(bad, map_source)
{
	struct source src = { .fd = self->memfd };
	int sealed = memfd_filled(PAGE, 1), pipes[2];
	unsigned int i;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE));
	const struct bad_source bad[] = {
		{ "O_PATH", source_reopen(&src, O_PATH), MAP_R, EBADF },
		{ "read-only fd", source_reopen(&src, O_RDONLY), MAP_RW, EACCES },
		{ "write-only fd", source_reopen(&src, O_WRONLY), MAP_R, EACCES },
		{ "sealed memfd", sealed, MAP_RW, EPERM },
		{ "sealed memfd, all flags", sealed, MAP_RWX, EPERM },
		{ "pipe", pipes[0], MAP_R, EOPNOTSUPP },
		{ "directory", open("/", O_RDONLY | O_DIRECTORY), MAP_R, EOPNOTSUPP },
		{ "device", open("/dev/zero", O_RDWR), MAP_R, EOPNOTSUPP },
		{ "proc", open("/proc/self/stat", O_RDONLY), MAP_R, EOPNOTSUPP },
		{ "own control fd", self->control, MAP_R, EOPNOTSUPP },
		{ "own view fd", self->viewfd, MAP_RW, EOPNOTSUPP },
	};
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		ASSERT_LE(0, bad[i].fd) TH_LOG("%s", bad[i].what);
		EXPECT_EQ(-bad[i].want, view_map(self->control, bad[i].fd, 0, 2 * PAGE, 3 * PAGE,
						 bad[i].flags))
			TH_LOG("%s", bad[i].what);
		expect_unchanged(_metadata, self, bad[i].what);
	}
}

/* ---- MEMVIEW_UNMAP_FD ---- */

static const struct {
	const char *what;
	uint64_t mem_offset, size;
} bad_unmaps[] = {
	{ "size 0", 0, 0 },
	{ "size 0 within a range", PAGE, 0 },
	{ "size 0 at the view's end", SIZE, 0 },
	{ "size 1", 0, 1 },
	{ "size of a page less one", 0, PAGE - 1 },
	{ "size of a page and one", 0, PAGE + 1 },
	{ "size -1", 0, U64_MAX },
	{ "mem_offset 1", 1, PAGE },
	{ "mem_offset of a page less one", PAGE - 1, PAGE },
	{ "mem_offset -1", U64_MAX, PAGE },
	{ "mem_offset + size is 2^64", -PAGE, PAGE },
	{ "mem_offset + size is more than 2^64", -PAGE, 2 * PAGE },
	{ "mem_offset + size wraps into the view", 2 * PAGE, -PAGE },
	{ "at the view's end", SIZE, PAGE },
	{ "ends beyond the view's end", SIZE - PAGE, 2 * PAGE },
	{ "larger than the view", 0, SIZE + PAGE },
	{ "mem_offset 2^62", 1ULL << 62, PAGE },
	{ "mem_offset 2^63", 1ULL << 63, PAGE },
	{ "everything there is", 0, -PAGE },
};

TEST_F(bad, unmap_arguments)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bad_unmaps); i++) {
		EXPECT_EQ(-EINVAL, view_unmap(self->control, bad_unmaps[i].mem_offset,
					      bad_unmaps[i].size))
			TH_LOG("%s", bad_unmaps[i].what);
		expect_unchanged(_metadata, self, bad_unmaps[i].what);
	}
}

TEST_F(bad, unmap_reserved_fields)
{
	struct memview_unmap_fd_info info;
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		info = (struct memview_unmap_fd_info){ .size = PAGE };
		if (bit < 32)
			info.flags = 1U << bit;
		else
			info.reserved = 1U << (bit - 32);
		EXPECT_EQ(-1, ioctl(self->control, MEMVIEW_UNMAP_FD, &info));
		EXPECT_EQ(EINVAL, errno) TH_LOG("bit %u", bit);
		expect_unchanged(_metadata, self, "reserved field");
	}
}

/* ---- MEMVIEW_SET_FLAGS ---- */

TEST_F(bad, set_flags)
{
	struct memview_set_flags request;
	unsigned int bit;

	for (bit = 1; bit < 64; bit++) {
		request = (struct memview_set_flags){ .flags = MEMVIEW_REVOKE_ON_CLOSE };
		if (bit < 32)
			request.flags |= 1U << bit;
		else
			request.reserved = 1U << (bit - 32);
		EXPECT_EQ(-1, ioctl(self->control, MEMVIEW_SET_FLAGS, &request));
		EXPECT_EQ(EINVAL, errno) TH_LOG("bit %u", bit);
		expect_unchanged(_metadata, self, "unknown flag of the view");
	}
	EXPECT_EQ(-ENOTTY, view_set_flags(self->viewfd, MEMVIEW_REVOKE_ON_CLOSE));
	expect_unchanged(_metadata, self, "flags by the view fd");
}

/* ---- The rest ---- */

TEST_F(bad, ioctl_pointers)
{
	static void *const pointers[] = {
		NULL, (void *)8, (void *)-1L, (void *)-4096L,
		(void *)(1UL << 47), (void *)(1UL << 63),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pointers); i++) {
		EXPECT_EQ(-1, ioctl(self->control, MEMVIEW_MAP_FD, pointers[i]));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, ioctl(self->control, MEMVIEW_UNMAP_FD, pointers[i]));
		EXPECT_EQ(EFAULT, errno);
		EXPECT_EQ(-1, ioctl(self->control, MEMVIEW_SET_FLAGS, pointers[i]));
		EXPECT_EQ(EFAULT, errno);
		expect_unchanged(_metadata, self, "bad pointer");
	}
}

TEST_F(bad, resize)
{
	EXPECT_EQ(-EINVAL, view_resize(self->control, -1));
	expect_unchanged(_metadata, self, "resize to -1");
	EXPECT_EQ(-EINVAL, view_resize(self->control, 1ULL << 63));
	expect_unchanged(_metadata, self, "resize to 2^63");
	EXPECT_EQ(-EPERM, view_resize(self->viewfd, PAGE));
	expect_unchanged(_metadata, self, "resize by the view fd");
}

TEST_F(bad, view_fd_as_control)
{
	EXPECT_EQ(-ENOTTY, view_map(self->viewfd, self->memfd, 0, PAGE, 0, MAP_R));
	expect_unchanged(_metadata, self, "map by the view fd");
	EXPECT_EQ(-ENOTTY, view_unmap(self->viewfd, 0, PAGE));
	expect_unchanged(_metadata, self, "unmap by the view fd");
	EXPECT_EQ(-ENOTTY, view_get_fd(self->viewfd));
	expect_unchanged(_metadata, self, "view fd of the view fd");
}

/* A view without size has room for nothing. */
TEST_F(bad, empty_view)
{
	int control = open(MEMVIEW_DEV, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, control);
	EXPECT_EQ(-EINVAL, view_map(control, self->memfd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(-EINVAL, view_unmap(control, 0, PAGE));
	close(control);
}

/* A control fd is for reading and writing; O_TRUNC has nothing to cut. */
TEST_F(bad, open_flags)
{
	EXPECT_EQ(-1, open(MEMVIEW_DEV, O_RDONLY | O_CLOEXEC));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, open(MEMVIEW_DEV, O_WRONLY | O_CLOEXEC));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_LE(0, open(MEMVIEW_DEV, O_RDWR | O_TRUNC | O_CLOEXEC));
	EXPECT_LE(0, open(MEMVIEW_DEV, O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

TEST_F(bad, no_room_for_an_fd)
{
	struct rlimit limit, none = { 0 };
	int last = dup(self->memfd);

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
	none = (struct rlimit){ .rlim_cur = last + 1, .rlim_max = limit.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, view_get_fd(self->control));
	EXPECT_EQ(-EMFILE, view_create(SIZE));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	expect_unchanged(_metadata, self, "no room for an fd");
	EXPECT_LE(0, view_get_fd(self->control));
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

TEST_F(limit, map)
{
	FIXTURE_DATA(bad) *view = &self->view;

	ASSERT_EQ(0, write_file(MAX_RANGES, "4"));
	map_range(_metadata, view, 8, 1, MAP_R);
	ASSERT_EQ(0, view_info(view->control, &view->before));
	/* A fifth; one that cuts another in two; one that cuts off its end. */
	EXPECT_EQ(-ENOSPC, view_map(view->control, view->memfd, 0, PAGE, 9 * PAGE, MAP_R));
	expect_unchanged(_metadata, view, "one more range");
	EXPECT_EQ(-ENOSPC, view_map(view->control, view->memfd, 0, PAGE, 12 * PAGE, MAP_R));
	expect_unchanged(_metadata, view, "range in a range");
	EXPECT_EQ(-ENOSPC, view_map(view->control, view->memfd, 0, PAGE, 0, MAP_R));
	expect_unchanged(_metadata, view, "range at the start of a range");
	EXPECT_EQ(-ENOSPC, view_map(view->control, view->memfd, 0, PAGE, 14 * PAGE, MAP_RW));
	expect_unchanged(_metadata, view, "range at the end of a range");
	/* In the place of one, or of several, there is room. */
	map_range(_metadata, view, 8, 1, MAP_RW);
	map_range(_metadata, view, 0, 8, MAP_R);
	map_range(_metadata, view, 8, 2, MAP_R);
	map_range(_metadata, view, 0, 10, MAP_RW);
	EXPECT_EQ(2, model_ranges(&view->model));
	bad_teardown(_metadata, view, NULL);
}

TEST_F(limit, unmap)
{
	FIXTURE_DATA(bad) *view = &self->view;

	ASSERT_EQ(0, write_file(MAX_RANGES, "3"));
	EXPECT_EQ(-ENOSPC, view_unmap(view->control, 12 * PAGE, PAGE));
	expect_unchanged(_metadata, view, "unmap in a range");
	/* At a border, and over borders, nothing is split. */
	EXPECT_EQ(0, view_unmap(view->control, 10 * PAGE, PAGE));
	model_unmap(&view->model, 10, 1);
	EXPECT_EQ(0, view_unmap(view->control, 2 * PAGE, 4 * PAGE));
	model_unmap(&view->model, 2, 4);
	EXPECT_LAYOUT(&view->model, view->control, view->mem);
	EXPECT_EQ(0, view_unmap(view->control, 0, SIZE));
	model_unmap(&view->model, 0, PAGES);
	bad_teardown(_metadata, view, NULL);
}

/* Lowered below what a view has: it keeps that, but gets no more. */
TEST_F(limit, lowered)
{
	FIXTURE_DATA(bad) *view = &self->view;

	ASSERT_EQ(0, write_file(MAX_RANGES, "0"));
	expect_unchanged(_metadata, view, "limit lowered");
	EXPECT_EQ(-ENOSPC, view_map(view->control, view->memfd, 0, PAGE, 15 * PAGE, MAP_R));
	expect_unchanged(_metadata, view, "one more range");
	EXPECT_EQ(0, view_resize(view->control, 12 * PAGE));
	EXPECT_EQ(0, view_resize(view->control, SIZE));
	model_unmap(&view->model, 12, 4);
	EXPECT_LAYOUT(&view->model, view->control, view->mem);
	EXPECT_EQ(0, view_unmap(view->control, 0, SIZE));
	model_unmap(&view->model, 0, PAGES);
	EXPECT_EQ(-ENOSPC, view_map(view->control, view->memfd, 0, PAGE, 0, MAP_R));
	bad_teardown(_metadata, view, NULL);
}

TEST_HARNESS_MAIN
