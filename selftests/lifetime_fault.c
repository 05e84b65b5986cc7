// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime_fault.c - P9 for a fault that waits for storage, while everything
 * else goes that its view has
 */
#include "memview_test.h"
#include "revoke_fuse.h"

#include <bpf/libbpf.h>
#include <sys/statvfs.h>

#include "stall.skel.h"

#define SECOND	1000000000ULL

/* ---- To bring a page: no lock is held, nor a mapping left, or a file ---- */

struct reader {
	char *mem;
	uint64_t value;
	int sig;
	_Atomic int done;
};

static void *read_page(void *arg)
{
	struct reader *reader = arg;

	reader->sig = probe_read(reader->mem, &reader->value);
	atomic_store(&reader->done, 1);
	return NULL;
}

FIXTURE(lifetime_fault)
{
	struct slow_fs fs;
	int module, control, viewfd;
	struct reader reader;
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
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, SLOW_SIZE, 0, MAP_R));
	self->viewfd = view_get_fd(self->control);
	self->reader.mem = view_mmap(self->viewfd, SLOW_SIZE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, self->reader.mem);
}

FIXTURE_TEARDOWN(lifetime_fault)
{
	int err = memview_load(self->module);

	EXPECT_TRUE(!err || err == -EEXIST);
	close(self->module);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/*
 * Catches: a fault that gives up the lock it is under, and has no file of the
 * view: it would return into a module that is gone.
 */
TEST_F_TIMEOUT(lifetime_fault, keeps_the_module, 120)
{
	uint64_t end = now_ns() + 20 * SECOND * slowness();
	pthread_t thread;
	int err;

	self->fs.shared->hold = 1;
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_page, &self->reader));
	while (!self->fs.shared->held && now_ns() < end)
		sleep_ms(1);
	EXPECT_LT(0, self->fs.shared->held);
	sleep_ms(50);
	EXPECT_EQ(0, munmap(self->reader.mem, SLOW_SIZE));
	close(self->viewfd);
	close(self->control);
	/* What has no user any more is gone, at last. */
	sleep_ms(200);
	EXPECT_EQ(0, atomic_load(&self->reader.done));
	err = memview_unload();
	EXPECT_TRUE(err == -EAGAIN || err == -EBUSY) TH_LOG("%d", err);
	self->fs.shared->hold = 0;
	pthread_join(thread, NULL);
	EXPECT_EQ(SIGSEGV, self->reader.sig);
	EXPECT_EQ(0, memview_unload());
}

/* ---- To let a page be written: the core, or the module, asks whether to wait ---- */

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
TEST_F_TIMEOUT(lifetime_write, keeps_the_file, 120)
{
	uint64_t end = now_ns() + 20 * SECOND * slowness(), before, value;
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
	while (!self->stall->bss->stalled && now_ns() < end)
		sleep_ms(1);
	EXPECT_EQ(1, self->stall->bss->stalled);
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
	end = now_ns() + 20 * SECOND * slowness();
	while (free_inodes(dir) == before && now_ns() < end)
		sleep_ms(1);
	EXPECT_EQ(before + 1, free_inodes(dir));
	close(dir);
}

TEST_HARNESS_MAIN
