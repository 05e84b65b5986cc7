// SPDX-License-Identifier: GPL-2.0
/*
 * sources.c - P4, P8: what is read and written through a view is the file
 *
 * Both ways and at once, for every file system: by read(2) and write(2), and
 * by an ordinary mapping. For the disk see sources_disk.c.
 */
#include "memview_test.h"

#include <sys/file.h>
#include <sys/mount.h>

#define PAGES	32
#define SIZE	(PAGES * PAGE)
#define FILE_ID	9

FIXTURE(sources)
{
	struct klog klog;
	struct source src;
	int control;
	int viewfd;
	char *mem;
};

FIXTURE_VARIANT(sources)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(sources);

FIXTURE_SETUP(sources)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(sources)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t *word_at(char *mem, unsigned int page)
{
	return (uint64_t *)(mem + page * PAGE + 64);
}

TEST_F(sources, view_shows_the_file)
{
	unsigned int page;
	uint64_t word;

	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
		EXPECT_EQ(page_tag(FILE_ID, page), word);
	}
}

/* write(2) is seen by the client, page by page, mapped before or not. */
TEST_F(sources, write_is_seen)
{
	unsigned int page;

	for (page = 0; page < PAGES; page += 2) {
		EXPECT_EQ(0, *word_at(self->mem, page));
	}
	for (page = 0; page < PAGES; page++) {
		ASSERT_EQ(0, fd_write_u64(self->src.fd, page * PAGE + 64, 1000 + page));
		EXPECT_EQ(1000 + page, *word_at(self->mem, page));
	}
}

/* What the client writes, read(2) returns at once. */
TEST_F(sources, stores_are_read)
{
	unsigned int page;
	uint64_t word;

	for (page = 0; page < PAGES; page++) {
		*word_at(self->mem, page) = 2000 + page;
		ASSERT_EQ(0, fd_read_u64(self->src.fd, page * PAGE + 64, &word));
		EXPECT_EQ(2000 + page, word);
	}
}

/* The view and an ordinary mapping are the same memory. */
TEST_F(sources, coherent_with_mmap)
{
	char *plain = view_mmap(self->src.fd, SIZE, PROT_RW, 0);
	unsigned int page;

	ASSERT_NE(MAP_FAILED, plain);
	for (page = 0; page < PAGES; page++) {
		*word_at(self->mem, page) = 3000 + page;
		EXPECT_EQ(3000 + page, *word_at(plain, page));
		*word_at(plain, page) = 4000 + page;
		EXPECT_EQ(4000 + page, *word_at(self->mem, page));
	}
}

TEST_F(sources, stores_update_the_time)
{
	struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct stat before, after;

	ASSERT_EQ(0, futimens(self->src.fd, long_ago));
	ASSERT_EQ(0, fstat(self->src.fd, &before));
	*word_at(self->mem, 0) = 1;
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, fstat(self->src.fd, &after));
	EXPECT_EQ(1000, before.st_mtim.tv_sec);
	EXPECT_LT(1000, after.st_mtim.tv_sec);
}

/* The view keeps the file; the fd may go. */
TEST_F(sources, fd_can_be_closed)
{
	struct view_info info;
	uint64_t word;

	source_close(&self->src);
	ASSERT_EQ(0, probe_read(self->mem + PAGE, &word));
	EXPECT_EQ(page_tag(FILE_ID, 1), word);
	ASSERT_EQ(0, probe_write(self->mem + PAGE, 1));
	close(self->control);
	ASSERT_EQ(0, probe_read(self->mem + 2 * PAGE, &word));
	EXPECT_EQ(page_tag(FILE_ID, 2), word);
	ASSERT_EQ(0, view_info(self->viewfd, &info));
	EXPECT_EQ(1, info.ranges);
}

/* Two openings of one file, one of them read-only, in one view. */
TEST_F(sources, two_openings)
{
	int other = source_reopen(&self->src, O_RDONLY);
	uint64_t word;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, view_map(self->control, other, 0, PAGE, PAGE, MAP_R));
	close(other);
	ASSERT_EQ(0, probe_write(self->mem, 4711));
	ASSERT_EQ(0, probe_read(self->mem + PAGE, &word));
	EXPECT_EQ(4711, word);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + PAGE, 1));
	ASSERT_EQ(0, view_unmap(self->control, PAGE, PAGE));
	ASSERT_EQ(0, probe_write(self->mem, 4712));
}

/*
 * Each open file is kept for its own ranges, no longer and no less: its lock, and
 * its right to write.
 */
TEST_F(sources, each_opening_is_kept)
{
	int first = source_reopen(&self->src, O_RDWR), second = source_reopen(&self->src, O_RDWR);
	int other = source_reopen(&self->src, O_RDWR);

	ASSERT_EQ(0, flock(second, LOCK_EX));
	ASSERT_EQ(0, view_map(self->control, first, 0, PAGE, 0, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, second, 0, PAGE, PAGE, MAP_RW));
	close(first);
	close(second);
	EXPECT_EQ(-1, flock(other, LOCK_EX | LOCK_NB)) TH_LOG("the second is closed");
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(-1, flock(other, LOCK_EX | LOCK_NB));
	ASSERT_EQ(0, view_unmap(self->control, PAGE, PAGE));
	EXPECT_EQ(0, flock(other, LOCK_EX | LOCK_NB)) TH_LOG("the second is still open");
}

/* The first, open for writing, must not stay for the read-only ranges of the second. */
TEST_F(sources, no_opening_is_kept_for_another)
{
	int first = source_reopen(&self->src, O_RDWR), second = source_reopen(&self->src, O_RDONLY);
	int other = source_reopen(&self->src, O_RDONLY);

	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	ASSERT_EQ(0, flock(first, LOCK_EX));
	ASSERT_EQ(0, view_map(self->control, first, 0, PAGE, 0, MAP_R));
	ASSERT_EQ(0, view_map(self->control, second, 0, PAGE, PAGE, MAP_R));
	close(first);
	close(second);
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(0, flock(other, LOCK_EX | LOCK_NB)) TH_LOG("the first is still open");
}

/* Code that lies in the file runs. */
TEST_F(sources, code_runs)
{
	char *mem = view_mmap(self->viewfd, SIZE, PROT_READ | PROT_EXEC, 0);
	unsigned char code[CODE_SIZE];
	uint32_t answer = 0;

	ASSERT_NE(MAP_FAILED, mem);
	put_code(code, 42);
	ASSERT_EQ(CODE_SIZE, pwrite(self->src.fd, code, CODE_SIZE, 3 * PAGE));
	EXPECT_EQ(0, probe_exec(mem + 3 * PAGE, &answer));
	EXPECT_EQ(42, answer);
	put_code(code, 43);
	ASSERT_EQ(CODE_SIZE, pwrite(self->src.fd, code, CODE_SIZE, 3 * PAGE));
	EXPECT_EQ(0, probe_exec(mem + 3 * PAGE, &answer));
	EXPECT_EQ(43, answer);
}

/* ---- Sources that are not in the table of kinds ---- */

TEST(file_of_the_root_file_system)
{
	int control = view_create(PAGE), fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	char *mem, buf[64];

	ASSERT_LE(0, control);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, view_map(control, fd, 0, PAGE, 0, MAP_R));
	mem = view_mmap(view_get_fd(control), PAGE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(sizeof(buf), pread(fd, buf, sizeof(buf), 0));
	EXPECT_EQ(0, memcmp(mem, buf, sizeof(buf)));
}

/* A file system made for the test; gone with the test's own mount. */
static int open_on(const char *type, const char *options)
{
	char dir[] = "/tmp/memview-XXXXXX", path[64];
	int fd, err;

	if (!mkdtemp(dir) || mount(type, dir, type, 0, options))
		return -errno;
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	err = -errno;
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	return fd < 0 ? err : fd;
}

TEST(file_on_ramfs)
{
	int control = view_create(PAGE), fd = open_on("ramfs", NULL);
	uint64_t word;
	char *mem;

	ASSERT_LE(0, control);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	ASSERT_EQ(0, view_map(control, fd, 0, PAGE, 0, MAP_RW));
	mem = view_mmap(view_get_fd(control), PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, probe_write(mem, 0x4a4a));
	ASSERT_EQ(0, fd_read_u64(fd, 0, &word));
	EXPECT_EQ(0x4a4a, word);
}

/* A page for which the file system has no room is a SIGBUS, as in mmap. */
TEST(file_system_is_full)
{
	int control = view_create(8 * PAGE), fd = open_on("tmpfs", "size=16k");
	unsigned int page, full = 0;
	char *mem;

	ASSERT_LE(0, control);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, 8 * PAGE));
	ASSERT_EQ(0, view_map(control, fd, 0, 8 * PAGE, 0, MAP_RW));
	mem = view_mmap(view_get_fd(control), 8 * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (page = 0; page < 8; page++) {
		int sig = probe_write(mem + page * PAGE, 1);

		EXPECT_TRUE(sig == 0 || sig == SIGBUS);
		full += sig == SIGBUS;
	}
	EXPECT_LE(4, full);
	EXPECT_GT(8, full);
}

/* The farthest page of a file that a range may show. */
TEST(last_page_of_a_large_file)
{
	int control = view_create(PAGE), fd = memfd_create("large", MFD_CLOEXEC);
	uint64_t last = MEMVIEW_MAX_FILE_OFFSET - PAGE, word;
	char *mem;

	ASSERT_LE(0, control);
	ASSERT_EQ(0, ftruncate(fd, MEMVIEW_MAX_FILE_OFFSET));
	ASSERT_EQ(0, view_map(control, fd, last, PAGE, 0, MAP_RW));
	mem = view_mmap(view_get_fd(control), PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, probe_write(mem, 0x1a57));
	ASSERT_EQ(0, fd_read_u64(fd, last, &word));
	EXPECT_EQ(0x1a57, word);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, last, PAGE));
	ASSERT_EQ(0, probe_read(mem, &word));
	EXPECT_EQ(0, word);
	EXPECT_EQ(-EINVAL, view_map(control, fd, MEMVIEW_MAX_FILE_OFFSET, PAGE, 0, MAP_RW));
}

/*
 * A file of the lower layer shows that layer's pages; opened for writing it is
 * copied up, and that opening shows the upper layer's.
 */
TEST(overlay_copies_up)
{
	char missing[128], path[PATH_MAX];
	const char *dir = source_dir(SOURCE_OVERLAY, missing, sizeof(missing));
	int control = view_create(2 * PAGE), lower, upper;
	uint64_t word;
	char *mem;

	if (!dir)
		SKIP(return, "missing: %s", missing);
	snprintf(path, sizeof(path), "%s/lent", dir);
	lower = open(path, O_RDONLY | O_CLOEXEC);
	if (lower < 0)
		SKIP(return, "missing: %s in the lower layer (selftests/vm/setup)", path);
	ASSERT_EQ(0, view_map(control, lower, 0, PAGE, 0, MAP_R));
	mem = view_mmap(view_get_fd(control), 2 * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, memcmp(mem, "of the lower layer", 18));

	upper = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, upper);
	ASSERT_EQ(0, view_map(control, upper, 0, PAGE, PAGE, MAP_RW));
	ASSERT_EQ(0, memcmp(mem + PAGE, "of the lower layer", 18));
	ASSERT_EQ(0, probe_write(mem + PAGE, 0x1111));
	ASSERT_EQ(0, fd_read_u64(upper, 0, &word));
	EXPECT_EQ(0x1111, word);
	EXPECT_EQ(0, memcmp(mem, "of the lower layer", 18));
	EXPECT_EQ(SIGSEGV, probe_write(mem, 1));
}

/* ---- Many of them ---- */

/* How long a batch of maps of a file takes, at best: others have the CPU, too. */
static uint64_t time_maps(int control, int fd)
{
	struct memview_batch_op ops[256];
	uint64_t best = ~0ULL, start;
	uint32_t failed;
	int i, try;

	for (i = 0; i < 256; i++)
		ops[i] = batch_map(fd, 0, PAGE, i * PAGE, MAP_R);
	for (try = 0; try < 9; try++) {
		start = now_ns();
		if (view_batch(control, ops, 256, &failed))
			return ~0ULL;
		start = now_ns() - start;
		best = start < best ? start : best;
	}
	return best;
}

/*
 * Catches: a look at each source of a view for each map. That was hundreds of
 * times as long.
 */
TEST(file_among_many)
{
	const unsigned int files = scaled(20000);
	int one = view_create(PAGE * (files + 256)), many = view_create(PAGE * (files + 256));
	int fd = memfd_filled(PAGE, 1), other;
	uint64_t few_ns, many_ns;
	unsigned int i;

	ASSERT_EQ(0, view_map(many, fd, 0, PAGE, 0, MAP_R));
	for (i = 0; i < files; i++) {
		other = memfd_create("other", MFD_CLOEXEC);
		ASSERT_LE(0, other);
		ASSERT_EQ(0, view_map(many, other, 0, PAGE, (256 + i) * PAGE, MAP_R));
		close(other);
	}
	few_ns = time_maps(one, fd);
	many_ns = time_maps(many, fd);
	ASSERT_NE(~0ULL, few_ns);
	printf("# among %u files %llu times as long\n", files,
	       (unsigned long long)(many_ns / few_ns));
	EXPECT_GT(4 + files / 1000, many_ns / few_ns);
	close(one);
	close(many);
}

TEST_HARNESS_MAIN
