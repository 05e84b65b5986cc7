// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime_fault.c - P9 for a fault that waits for storage, while everything
 * else goes that its view has
 */
#include "memview_test.h"
#include "revoke_fuse.h"

#include <bpf/libbpf.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "stall.skel.h"
#include "stall_thread.skel.h"

#define SECOND	1000000000ULL

/* ---- No lock is held, nor a mapping left, or a file ---- */

struct toucher {
	char *mem;
	unsigned int pages; /* to be written */
	_Atomic int tid;
	int sig;
	_Atomic int done;
};

/* Waits for a page to be brought. */
static void *read_page(void *arg)
{
	struct toucher *toucher = arg;
	uint64_t value;

	toucher->sig = probe_read(toucher->mem, &value);
	atomic_store(&toucher->done, 1);
	return NULL;
}

/*
 * How many pages a thread makes dirty before the kernel looks whether there are
 * too many.
 */
#define FREE_PAGES 32

static void *write_pages(void *arg)
{
	struct toucher *toucher = arg;
	unsigned int page;

	atomic_store(&toucher->tid, gettid());
	for (page = 0; page < toucher->pages && !toucher->sig; page++)
		toucher->sig = probe_write(toucher->mem + page * PAGE, 1);
	atomic_store(&toucher->done, 1);
	return NULL;
}

FIXTURE(lifetime_fault)
{
	struct slow_fs fs;
	int module, control, viewfd;
	char *mem;
	struct toucher toucher;
	pthread_t thread;
	struct klog klog;
};

FIXTURE_SETUP(lifetime_fault)
{
	int err;

	ASSERT_EQ(0, klog_start(&self->klog));
	self->module = memview_open_module();
	if (self->module < 0)
		SKIP(return, "missing: ../module/memview.ko beside the test");
	err = slow_fs_start(&self->fs);
	if (err == -ENODEV)
		SKIP(return, "missing: /dev/fuse");
	ASSERT_EQ(0, err);
	self->control = view_create(SLOW_SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, SLOW_SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	self->mem = view_mmap(self->viewfd, SLOW_SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->toucher.mem = self->mem;
}

FIXTURE_TEARDOWN(lifetime_fault)
{
	int err = memview_load(self->module);

	EXPECT_TRUE(!err || err == -EEXIST);
	close(self->module);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void *unmap_all(void *arg)
{
	struct toucher *toucher = arg;

	munmap(toucher->mem, SLOW_SIZE);
	atomic_store(&toucher->done, 1);
	return NULL;
}

/* While the thread waits: all goes that its view has, but the module. */
static void let_all_go(struct __test_metadata *_metadata, FIXTURE_DATA(lifetime_fault) *self)
{
	struct toucher unmapper = { .mem = self->mem };
	pthread_t thread;
	int err;

	ASSERT_EQ(0, pthread_create(&thread, NULL, unmap_all, &unmapper));
	EXPECT_TRUE(WAIT_FOR(unmapper.done, 20000)) TH_LOG("munmap() waits for the fault");
	close(self->viewfd);
	close(self->control);
	/* What has no user any more is gone, at last. */
	sleep_ms(200);
	EXPECT_EQ(0, atomic_load(&self->toucher.done));
	err = memview_unload();
	EXPECT_TRUE(err == -EAGAIN || err == -EBUSY) TH_LOG("%d", err);
	self->fs.shared->hold = 0;
	self->fs.shared->hold_writes = 0;
	pthread_join(self->thread, NULL);
	pthread_join(thread, NULL);
	EXPECT_EQ(SIGSEGV, self->toucher.sig);
	EXPECT_EQ(0, memview_unload());
}

/*
 * Catches: a fault that gives up the lock it is under, and has no file of the
 * view: it would return into a module that is gone. Or one that keeps the lock.
 */
TEST_F(lifetime_fault, keeps_the_module)
{
	self->fs.shared->hold = 1;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, read_page, &self->toucher));
	EXPECT_TRUE(WAIT_FOR(self->fs.shared->held, 20000));
	sleep_ms(50);
	let_all_go(_metadata, self);
}

/* Does the kernel hold the thread back because too many pages are dirty? */
static bool is_throttled(int tid)
{
	char path[64], where[64];
	int len;

	snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", tid);
	len = read_file(path, where, sizeof(where));
	return len > 0 && strstr(where, "balance_dirty_pages");
}

/* For long: while others write back, it comes and goes. */
static bool gets_throttled(struct toucher *toucher)
{
	uint64_t end = now_ns() + 20 * SECOND * slowness();
	int times = 0;

	while (times < 20 && !atomic_load(&toucher->done) && now_ns() < end) {
		times = is_throttled(atomic_load(&toucher->tid)) ? times + 1 : 0;
		sleep_ms(10);
	}
	return times == 20;
}

/*
 * It looks after so many pages of a CPU, too. Let there be few that count yet
 * for this one, where the thread will run as well.
 */
static int forget_dirty_pages(void)
{
	char ratio[16], page[PAGE] = {};
	struct source other;
	int err;

	err = run_on_cpu(0);
	if (err)
		return err;
	if (read_file("/proc/sys/vm/dirty_ratio", ratio, sizeof(ratio)) < 0)
		return -ENOENT;
	err = source_open(&other, SOURCE_EXT4, PAGE);
	if (err)
		return err;
	err = write_file("/proc/sys/vm/dirty_bytes", "8192");
	if (pwrite(other.fd, page, PAGE, 0) != PAGE)
		err = -EIO;
	source_close(&other);
	return write_file("/proc/sys/vm/dirty_ratio", ratio) ?: err;
}

static int set_ratios(int fd, const char *min, const char *max)
{
	char path[64];
	struct stat st;
	size_t len;

	if (fstat(fd, &st))
		return -errno;
	len = snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/", major(st.st_dev),
		       minor(st.st_dev));
	/* Neither may be beyond the other at any time. */
	strcpy(path + len, "min_ratio");
	if (write_file(path, "0"))
		return -ENOENT;
	strcpy(path + len, "max_ratio");
	if (write_file(path, max))
		return -EINVAL;
	strcpy(path + len, "min_ratio");
	return write_file(path, min);
}

/*
 * No page of the file system may be dirty, and some are: more than the kernel's
 * counts may be wrong by.
 */
static int spoil(int fd, char *mem)
{
	struct toucher toucher = { .mem = mem, .pages = SLOW_PAGES - FREE_PAGES };
	int err = set_ratios(fd, "90", "100");

	if (err)
		return err;
	write_pages(&toucher);
	return toucher.sig ? -EIO : set_ratios(fd, "0", "0");
}

/* Catches the same, where it is the kernel that lets a writer wait. */
TEST_F(lifetime_fault, throttled_keeps_the_module)
{
	int err;

	err = forget_dirty_pages();
	if (err == -ENODEV)
		SKIP(return, "missing: an ext4");
	ASSERT_EQ(0, err);
	self->fs.shared->hold_writes = 1;
	ASSERT_EQ(0, spoil(self->fs.fd, self->mem));
	self->toucher.mem = self->mem + SLOW_SIZE - FREE_PAGES * PAGE;
	self->toucher.pages = FREE_PAGES;
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, write_pages, &self->toucher));
	EXPECT_TRUE(gets_throttled(&self->toucher));
	let_all_go(_metadata, self);
}

static void get_policy(void *arg)
{
	FIXTURE_DATA(lifetime_fault) *self = arg;
	int node;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0, self->mem, MPOL_F_NODE | MPOL_F_ADDR))
		self->toucher.sig = errno;
	self->toucher.done = 1;
}

/*
 * Catches: a mapping's NUMA policy that goes with the module. get_mempolicy() has
 * a reference while it waits for the page, which may be another mapping's by then.
 */
TEST_F(lifetime_fault, policy_in_use)
{
	struct stall_thread *stall;
	struct ready asker;
	int mode, err;

	if (syscall(SYS_get_mempolicy, &mode, NULL, 0, self->mem, MPOL_F_ADDR))
		SKIP(return, "missing: CONFIG_NUMA");
	stall = stall_thread__open();
	ASSERT_NE(NULL, stall);
	stall->bss->longest_ns = 20 * SECOND;
	ASSERT_EQ(0, bpf_program__set_autoload(stall->progs.look_up_node, true));
	ASSERT_EQ(0, stall_thread__load(stall));
	ASSERT_EQ(0, ready_start(&asker, get_policy, self, 0));
	stall->bss->tid = asker.tid;
	ASSERT_EQ(0, stall_thread__attach(stall));
	self->fs.shared->hold = 1;
	ready_begin(&asker);
	EXPECT_TRUE(WAIT_FOR(stall->bss->stalled, 20000));
	/* What waits from now on is a mapping of the file itself. */
	EXPECT_EQ(self->mem, mmap(self->mem, SLOW_SIZE, PROT_RW, MAP_SHARED | MAP_FIXED,
				  self->fs.fd, 0));
	close(self->viewfd);
	close(self->control);
	stall->bss->go = 1;
	EXPECT_TRUE(WAIT_FOR(self->fs.shared->held, 20000));
	EXPECT_EQ(0, self->toucher.done);
	stall_thread__detach(stall);
	EXPECT_TRUE(WAIT_FOR((err = memview_unload()) == -ENOENT, 20000)) TH_LOG("%d", err);
	self->fs.shared->hold = 0;
	ready_join(&asker);
	EXPECT_EQ(0, self->toucher.sig);
	stall_thread__destroy(stall);
}

/* ---- To have written a page: the core, or the module, asks whether to wait ---- */

FIXTURE(lifetime_write)
{
	struct source src;
	int control;
	char *mem;
	struct stall *stall;
	struct klog klog;
	pthread_t writer;
	int write_sig;
};

FIXTURE_VARIANT(lifetime_write)
{
	bool read_before; /* and mapped, but not to be written */
};

FIXTURE_VARIANT_ADD(lifetime_write, first) {};
FIXTURE_VARIANT_ADD(lifetime_write, upgrade) { .read_before = true };

FIXTURE_SETUP(lifetime_write)
{
	struct stat st;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, SOURCE_EXT4, PAGE);
	self->control = view_create(PAGE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 0, MAP_RW));
	self->mem = view_mmap(view_get_fd(self->control), PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->stall = stall__open();
	ASSERT_NE(NULL, self->stall);
	ASSERT_EQ(0, bpf_program__set_autoload(self->stall->progs.balance, true));
	ASSERT_EQ(0, bpf_program__set_autoload(self->stall->progs.balance_flags, true));
	ASSERT_EQ(0, fstat(self->src.fd, &st));
	self->stall->bss->inode = st.st_ino;
	self->stall->bss->longest_ns = 20 * SECOND;
	ASSERT_EQ(0, stall__load(self->stall));
}

FIXTURE_TEARDOWN(lifetime_write)
{
	stall__destroy(self->stall);
	munmap(self->mem, PAGE);
	close(self->control);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void *write_page(void *arg)
{
	FIXTURE_DATA(lifetime_write) *self = arg;

	self->write_sig = probe_write(self->mem, 1);
	return NULL;
}

static uint64_t free_inodes(int dir)
{
	struct statvfs fs = {};

	fstatvfs(dir, &fs);
	return fs.f_ffree;
}

/*
 * Catches: a write that waits for its file's storage when nobody keeps the
 * file: the kernel would use an inode, and a device, that are gone.
 */
TEST_F(lifetime_write, keeps_the_file)
{
	uint64_t before, value;
	char path[128];
	int dir;

	snprintf(path, sizeof(path), "%s/ext4", getenv("MEMVIEW_TEST_MNT") ?: "/mnt");
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_LE(0, dir);
	if (variant->read_before) {
		ASSERT_EQ(0, probe_read(self->mem, &value));
	}
	ASSERT_EQ(0, stall__attach(self->stall));
	before = free_inodes(dir);
	ASSERT_EQ(0, pthread_create(&self->writer, NULL, write_page, self));
	EXPECT_TRUE(WAIT_FOR(self->stall->bss->stalled, 20000));
	/* The file has no name. Nobody is left who knows it but the writer. */
	EXPECT_EQ(0, view_unmap(self->control, 0, PAGE));
	source_close(&self->src);
	sleep_ms(100);
	EXPECT_EQ(before, free_inodes(dir));
	self->stall->bss->go = 1;
	pthread_join(self->writer, NULL);
	stall__detach(self->stall);
	/* The page is there, or was for a moment. */
	EXPECT_TRUE(!self->write_sig || self->write_sig == SIGBUS);
	WAIT_FOR(free_inodes(dir) != before, 20000);
	EXPECT_EQ(before + 1, free_inodes(dir));
	close(dir);
}

TEST_HARNESS_MAIN
