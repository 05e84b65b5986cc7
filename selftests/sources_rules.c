// SPDX-License-Identifier: GPL-2.0
/*
 * sources_rules.c - P7: a source keeps its own rules
 */
#include "memview_test.h"

#include <linux/fs.h>
#include <sys/swap.h>

#define PAGES	8
#define SIZE	(PAGES * PAGE)
#define FILE_ID	11

FIXTURE(seals)
{
	struct klog klog;
	int memfd;
	int control;
	int viewfd;
	char *mem;
};

FIXTURE_SETUP(seals)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(seals)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int seal(int fd, int seals)
{
	return fcntl(fd, F_ADD_SEALS, seals) ? -errno : 0;
}

static int map_all(FIXTURE_DATA(seals) *self, uint32_t flags)
{
	return view_map(self->control, self->memfd, 0, SIZE, 0, flags);
}

/* One direction: no range that may be written over a seal. */
TEST_F(seals, sealed_memfd_is_read_only)
{
	static const int seals[] = { F_SEAL_WRITE, F_SEAL_FUTURE_WRITE };
	uint64_t word;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(seals); i++) {
		self->memfd = memfd_filled(SIZE, FILE_ID);
		ASSERT_EQ(0, seal(self->memfd, seals[i]));
		EXPECT_EQ(-EPERM, map_all(self, MAP_RW));
		EXPECT_EQ(-EPERM, map_all(self, MAP_RWX));
		EXPECT_EQ(0, map_all(self, MAP_R));
		EXPECT_EQ(0, probe_read(self->mem + PAGE, &word));
		EXPECT_EQ(page_tag(FILE_ID, 1), word);
		EXPECT_EQ(SIGSEGV, probe_write(self->mem + PAGE, 1));
		/* Still so when the source is known already. */
		EXPECT_EQ(-EPERM, map_all(self, MAP_RW));
		ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	}
}

/* The other: no seal while there is such a range; at once when it is gone. */
TEST_F(seals, write_range_prevents_the_seal)
{
	ASSERT_EQ(0, map_all(self, MAP_RW));
	EXPECT_EQ(-EBUSY, seal(self->memfd, F_SEAL_WRITE));
	ASSERT_EQ(0, probe_write(self->mem, 1));
	EXPECT_EQ(-EBUSY, seal(self->memfd, F_SEAL_WRITE));
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE - PAGE));
	EXPECT_EQ(-EBUSY, seal(self->memfd, F_SEAL_WRITE));
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
	EXPECT_EQ(-EPERM, map_all(self, MAP_RW));
}

TEST_F(seals, seal_after_replace)
{
	uint64_t word;

	ASSERT_EQ(0, map_all(self, MAP_RW));
	ASSERT_EQ(0, probe_write(self->mem, 77));
	ASSERT_EQ(0, map_all(self, MAP_R));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
	EXPECT_EQ(0, probe_read(self->mem, &word));
	EXPECT_EQ(77, word);
	EXPECT_EQ(SIGSEGV, probe_write(self->mem, 78));
}

TEST_F(seals, seal_after_shrink)
{
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, SIZE - PAGE, MAP_RW));
	EXPECT_EQ(-EBUSY, seal(self->memfd, F_SEAL_WRITE));
	ASSERT_EQ(0, view_resize(self->control, SIZE - PAGE));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
}

/* The client's mapping is the last that keeps the view. */
TEST_F(seals, seal_after_the_view_is_gone)
{
	ASSERT_EQ(0, map_all(self, MAP_RW));
	ASSERT_EQ(0, probe_write(self->mem, 1));
	close(self->control);
	close(self->viewfd);
	EXPECT_EQ(-EBUSY, seal(self->memfd, F_SEAL_WRITE));
	ASSERT_EQ(0, munmap(self->mem, SIZE));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
}

TEST_F(seals, two_views)
{
	int other = view_create(SIZE);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, map_all(self, MAP_RW));
	ASSERT_EQ(0, view_map(other, self->memfd, 0, PAGE, 0, MAP_RW));
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(-EBUSY, seal(self->memfd, F_SEAL_WRITE));
	ASSERT_EQ(0, view_unmap(other, 0, PAGE));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
}

/* Ranges that cannot be written are in nobody's way. */
TEST_F(seals, read_range_allows_the_seal)
{
	uint64_t word;

	ASSERT_EQ(0, map_all(self, MAP_RX));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
	EXPECT_EQ(0, probe_read(self->mem, &word));
	EXPECT_EQ(page_tag(FILE_ID, 0), word);
}

/* A failed request holds nothing. */
TEST_F(seals, failed_map_holds_nothing)
{
	EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 0, SIZE, PAGE, MAP_RW));
	EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 8, PAGE, 0, MAP_RW));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_WRITE));
}

/* What could be written before F_SEAL_FUTURE_WRITE can be written after it. */
TEST_F(seals, future_write_leaves_what_is_there)
{
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_RW));
	EXPECT_EQ(0, seal(self->memfd, F_SEAL_FUTURE_WRITE));
	EXPECT_EQ(0, probe_write(self->mem, 1));
	EXPECT_EQ(-EPERM, view_map(self->control, self->memfd, 0, PAGE, PAGE, MAP_RW));
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, PAGE, MAP_R));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + PAGE, 1));
	EXPECT_EQ(0, probe_write(self->mem, 2));
}

FIXTURE(rules)
{
	struct klog klog;
	struct source src;
	int control;
	char *mem;
};

FIXTURE_VARIANT(rules)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(rules);

FIXTURE_SETUP(rules)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(rules)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* @allowed: which flags the fd is good for. The file is shown, or nothing is. */
static void expect_access(struct __test_metadata *_metadata, FIXTURE_DATA(rules) *self,
			  int fd, uint32_t flags, int want)
{
	struct view_info info;
	uint64_t word = 0;

	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(want, view_map(self->control, fd, 0, SIZE, 0, flags)) TH_LOG("flags %u", flags);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(want ? 0 : 1, info.ranges);
	EXPECT_EQ(want ? SIGBUS : 0, probe_read(self->mem, &word));
	if (!want) {
		EXPECT_EQ(page_tag(FILE_ID, 0), word);
	}
}

TEST_F(rules, read_only_fd)
{
	int fd = source_reopen(&self->src, O_RDONLY);

	ASSERT_LE(0, fd);
	expect_access(_metadata, self, fd, MAP_R, 0);
	expect_access(_metadata, self, fd, MAP_RX, 0);
	expect_access(_metadata, self, fd, MAP_RW, -EACCES);
	expect_access(_metadata, self, fd, MAP_RWX, -EACCES);
	/* Nor after the same file was mapped for writing by another fd. */
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	expect_access(_metadata, self, fd, MAP_RW, -EACCES);
	close(fd);
}

TEST_F(rules, write_only_fd)
{
	int fd = source_reopen(&self->src, O_WRONLY);

	ASSERT_LE(0, fd);
	expect_access(_metadata, self, fd, MAP_R, -EACCES);
	expect_access(_metadata, self, fd, MAP_RW, -EACCES);
	expect_access(_metadata, self, fd, MAP_RX, -EACCES);
	close(fd);
}

TEST_F(rules, path_fd)
{
	int fd = source_reopen(&self->src, O_PATH);

	ASSERT_LE(0, fd);
	expect_access(_metadata, self, fd, MAP_R, -EBADF);
	expect_access(_metadata, self, fd, MAP_RW, -EBADF);
	close(fd);
}

static int set_attribute(int fd, int flag, bool on)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return -errno;
	flags = on ? flags | flag : flags & ~flag;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

TEST_F(rules, append_only)
{
	int fd;

	if (set_attribute(self->src.fd, FS_APPEND_FL, true))
		SKIP(return, "missing: the attribute 'append only' on %s",
		     source_name(variant->kind));
	fd = source_reopen(&self->src, O_RDWR | O_APPEND);
	expect_access(_metadata, self, fd, MAP_R, 0);
	expect_access(_metadata, self, fd, MAP_RW, -EACCES);
	/* An fd from before is no better. */
	expect_access(_metadata, self, self->src.fd, MAP_RW, -EACCES);
	EXPECT_EQ(0, set_attribute(self->src.fd, FS_APPEND_FL, false));
	expect_access(_metadata, self, self->src.fd, MAP_RW, 0);
	close(fd);
}

TEST(noexec_mount)
{
	const char *mnt = getenv("MEMVIEW_TEST_MNT");
	int control = view_create(PAGE), fd;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/noexec/memview-XXXXXX", mnt ? mnt : "/mnt");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "missing: a noexec file system at %s (selftests/vm/setup)", path);
	unlink(path);
	ASSERT_EQ(0, ftruncate(fd, PAGE));
	EXPECT_EQ(-EPERM, view_map(control, fd, 0, PAGE, 0, MAP_RX));
	EXPECT_EQ(-EPERM, view_map(control, fd, 0, PAGE, 0, MAP_RWX));
	EXPECT_EQ(0, view_map(control, fd, 0, PAGE, 0, MAP_RW));
	EXPECT_EQ(0, view_map(control, fd, 0, PAGE, 0, MAP_R));
}

static int make_swap_file(char *path, size_t len)
{
	char missing[128], command[PATH_MAX + 64], block[PAGE] = { 0 };
	const char *dir = source_dir(SOURCE_EXT4, missing, sizeof(missing));
	unsigned int i;
	int fd;

	if (!dir)
		return -ENODEV;
	snprintf(path, len, "%s/memview-swap-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	for (i = 0; fd >= 0 && i < 64; i++)
		if (pwrite(fd, block, PAGE, i * PAGE) != PAGE)
			return -EIO;
	snprintf(command, sizeof(command), "mkswap %s >/dev/null 2>&1", path);
	if (fd < 0 || fsync(fd) || system(command))
		return -EIO;
	return fd;
}

/* Nobody but the kernel may write to memory that is swapped out. */
TEST(swap_file)
{
	int control = view_create(2 * PAGE), fd;
	char path[PATH_MAX], *mem;
	uint64_t word;

	fd = make_swap_file(path, sizeof(path));
	if (fd == -ENODEV)
		SKIP(return, "missing: an ext4 file system (selftests/vm/setup)");
	ASSERT_LE(0, fd);
	mem = view_mmap(view_get_fd(control), 2 * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, view_map(control, fd, 0, 2 * PAGE, 0, MAP_RW));
	ASSERT_EQ(0, swapon(path, 0));
	/* A range from before shows it, but cannot be written. */
	EXPECT_EQ(0, probe_read(mem + PAGE, &word));
	EXPECT_EQ(SIGBUS, probe_write(mem + PAGE, 1));
	EXPECT_EQ(-ETXTBSY, view_map(control, fd, 0, PAGE, 0, MAP_RW));
	EXPECT_EQ(0, view_map(control, fd, 0, PAGE, 0, MAP_R));
	ASSERT_EQ(0, swapoff(path));
	EXPECT_EQ(0, view_map(control, fd, 0, PAGE, 0, MAP_RW));
	EXPECT_EQ(0, probe_write(mem, 1));
	unlink(path);
}

TEST_HARNESS_MAIN
