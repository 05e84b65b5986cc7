// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime_module.c - P9: the module cannot go while anything of it is in use,
 * goes at once when nothing is, and comes back
 */
#include "failnth.h"
#include "lifetime.h"

#include <stdatomic.h>
#include <sys/mount.h>

#define SIZE		(8 * PAGE)
#define TAG		1

FIXTURE(lifetime_module)
{
	int file;
	int memfd, control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_SETUP(lifetime_module)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->file = memview_open_module();
	if (self->file < 0)
		SKIP(return, "missing: ../module/memview.ko beside the test");
	self->memfd = memfd_filled(SIZE, TAG);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

/* Whatever has happened, the next test finds the module. */
FIXTURE_TEARDOWN(lifetime_module)
{
	int err = memview_load(self->file);

	EXPECT_TRUE(!err || err == -EEXIST);
	EXPECT_EQ(0, access(MEMVIEW_DEV, R_OK | W_OK));
	close(self->memfd);
	close(self->file);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Nothing of it is in use any more: it goes, at the first attempt. */
static void check_unload(struct __test_metadata *_metadata,
			 FIXTURE_DATA(lifetime_module) *self)
{
	EXPECT_EQ(0, memview_unload());
	EXPECT_NE(0, access(MEMVIEW_DEV, F_OK));
	EXPECT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(0, memview_load(self->file));
}

static bool is_refused(void)
{
	int err = memview_unload();

	return err == -EAGAIN || err == -EBUSY;
}

/*
 * Each alone keeps the module.
 *
 * Catches: a file or a mapping without a reference of the module (the kernel
 * would run code that is gone), and one that is not given back.
 */
TEST_F(lifetime_module, control_keeps_it)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	EXPECT_TRUE(is_refused());
	EXPECT_EQ(0, view_unmap(self->control, 0, PAGE));
	close(self->control);
	check_unload(_metadata, self);
}

TEST_F(lifetime_module, viewfd_keeps_it)
{
	munmap(self->mem, SIZE);
	close(self->control);
	EXPECT_TRUE(is_refused());
	EXPECT_LT(0, lseek(self->viewfd, 0, SEEK_END));
	close(self->viewfd);
	check_unload(_metadata, self);
}

TEST_F(lifetime_module, mapping_keeps_it)
{
	uint64_t value;

	close(self->control);
	close(self->viewfd);
	EXPECT_TRUE(is_refused());
	EXPECT_EQ(0, probe_read(self->mem + PAGE, &value));
	munmap(self->mem, SIZE);
	check_unload(_metadata, self);
}

TEST_F(lifetime_module, mapping_of_a_child_keeps_it)
{
	struct client client;

	ASSERT_EQ(0, client_start(&client, -1)); /* it inherits the mapping */
	munmap(self->mem, SIZE);
	close(self->control);
	close(self->viewfd);
	EXPECT_TRUE(is_refused());
	ASSERT_EQ(SIGKILL, client_kill(&client));
	check_unload(_metadata, self);
}

/* ---- Loading and unloading, while others open ---- */

struct opener {
	_Atomic int stop;
	_Atomic uint64_t opened, refused, failed;
	int memfd;
};

static int use_view(int control, int memfd)
{
	int err, viewfd;
	char *mem;

	err = view_resize(control, SIZE) ?:
	      view_map(control, memfd, 0, SIZE, 0, MAP_R);
	if (err)
		return err;
	viewfd = view_get_fd(control);
	mem = view_mmap(viewfd, SIZE, PROT_READ, 0);
	close(viewfd);
	if (mem == MAP_FAILED)
		return -errno;
	if (*(volatile uint64_t *)mem != page_tag(TAG, 0))
		err = -EIO;
	munmap(mem, SIZE);
	return err;
}

static void *open_for_ever(void *arg)
{
	struct opener *o = arg;
	int control;

	while (!atomic_load(&o->stop)) {
		control = open(MEMVIEW_DEV, O_RDWR | O_CLOEXEC);
		if (control < 0) {
			atomic_fetch_add(&o->refused, 1);
			usleep(100);
			continue;
		}
		atomic_fetch_add(use_view(control, o->memfd) ? &o->failed :
							       &o->opened, 1);
		close(control);
	}
	return NULL;
}

/*
 * Catches: an open that gets through to a module on its way out; what init
 * and exit do in the wrong order.
 */
TEST_F(lifetime_module, reload_while_others_open)
{
	struct opener o = { .memfd = self->memfd };
	int rounds = scaled(8), unloaded = 0, i, err;
	uint64_t end = now_ns() + 60000000000ULL;
	pthread_t thread[2];

	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, open_for_ever, &o));
	while (unloaded < rounds && now_ns() < end) {
		err = memview_unload();
		if (!err) {
			unloaded++;
			usleep(500);
			ASSERT_EQ(0, memview_load(self->file));
		} else {
			ASSERT_TRUE(err == -EAGAIN || err == -EBUSY);
		}
		usleep(500);
	}
	o.stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_LT(0, unloaded);
	EXPECT_LT(0, o.opened);
	EXPECT_EQ(0, o.failed);
	check_unload(_metadata, self);
}

/* ---- Nothing is left behind ---- */

static uint64_t slab(void)
{
	uint64_t kib = 0;

	file_number("/proc/meminfo", "SUnreclaim:", &kib);
	return kib * KiB;
}

static void make_and_destroy(int memfd)
{
	int control = view_create(64 * PAGE), viewfd, i;
	char *mem;

	for (i = 0; i < 64; i += 2)
		view_map(control, memfd, 0, PAGE, i * PAGE, MAP_RW);
	viewfd = view_get_fd(control);
	mem = view_mmap(viewfd, 64 * PAGE, PROT_RW, 0);
	if (mem != MAP_FAILED) {
		for (i = 0; i < 64; i++)
			probe_write(mem + i * PAGE, i);
		view_unmap(control, 0, 16 * PAGE);
		munmap(mem, 64 * PAGE);
	}
	close(viewfd);
	close(control);
}

/*
 * Catches: any object of the module that is not freed. 200 views with all that
 * belongs to them are more than 6,000 ranges.
 */
TEST_F(lifetime_module, nothing_leaks)
{
	const int rounds = scaled(200);
	uint64_t before, after, allowed;
	char leak[2048] = "";
	int i, leaks;

	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	for (i = 0; i < 20; i++)
		make_and_destroy(self->memfd);
	/* Unloading waits for what is freed with a delay. */
	ASSERT_EQ(0, memview_unload());
	ASSERT_EQ(0, memview_load(self->file));
	before = slab();
	for (i = 0; i < rounds; i++)
		make_and_destroy(self->memfd);
	ASSERT_EQ(0, memview_unload());
	after = slab();
	ASSERT_EQ(0, memview_load(self->file));
	/* A range alone is more than 100 bytes; other slabs come and go. */
	allowed = rounds * 32 * 50;
	if (allowed < 256 * KiB)
		allowed = 256 * KiB;
	leaks = memory_leaks(leak, sizeof(leak));
	/* KASAN keeps what is freed for a while; kmemleak is better at this anyway. */
	if (leaks == -ENOENT) {
		EXPECT_GT(before + allowed, after);
	} else {
		EXPECT_EQ(0, leaks) TH_LOG("%s", leak);
	}
}

enum { VIEWS = 300 };

/* With a file's inode beside that of each view: so the memory stays one for inodes. */
static void map_views(struct __test_metadata *_metadata, const char *dir)
{
	int controls[VIEWS], i, viewfd;
	char *mem, path[64];

	for (i = 0; i < VIEWS; i++) {
		snprintf(path, sizeof(path), "%s/beside-%d", dir, i);
		EXPECT_EQ(0, mknod(path, S_IFREG | 0600, 0));
		controls[i] = view_create(PAGE);
		ASSERT_LE(0, controls[i]);
		viewfd = view_get_fd(controls[i]);
		mem = view_mmap(viewfd, PAGE, PROT_READ, 0);
		ASSERT_NE(MAP_FAILED, mem);
		munmap(mem, PAGE);
		close(viewfd);
	}
	for (i = 0; i < VIEWS; i++)
		close(controls[i]);
}

/* Inodes as those of views were, each with its mapping for a moment. */
static void map_files(struct __test_metadata *_metadata, const char *dir)
{
	char path[64];
	int i, fd;
	char *mem;

	for (i = 0; i < 4 * VIEWS; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, ftruncate(fd, PAGE));
		mem = mmap(NULL, PAGE, PROT_RW, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, mem);
		munmap(mem, PAGE);
		close(fd);
	}
}

/*
 * Catches: what the module leaves behind in inodes that others get. The kernel
 * makes them once, and takes them to be as they were. Lockdep would tell.
 */
TEST_F(lifetime_module, leaves_inodes_as_they_were)
{
	char dir[] = "/tmp/memview-XXXXXX";

	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	ASSERT_NE(NULL, mkdtemp(dir));
	ASSERT_EQ(0, mount("ramfs", dir, "ramfs", 0, NULL));
	map_views(_metadata, dir);
	/* Waits until they are free. KASAN keeps them for longer. */
	EXPECT_EQ(0, memview_unload());
	write_file("/sys/kernel/slab/inode_cache/shrink", "1");
	map_files(_metadata, dir);
	EXPECT_EQ(0, umount(dir));
	EXPECT_EQ(0, rmdir(dir));
}

TEST_HARNESS_MAIN
