// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_frozen.c - P1 for a write that its file system holds: a frozen file
 * system stops the write of a page in page_mkwrite, after the module has
 * looked at the range and before the PTE becomes writable
 */
#include "revoke.h"

#include <linux/fs.h>
#include <sched.h>

FIXTURE(revoke_frozen)
{
	int control, viewfd;
	struct source file[2];
	struct face *view;
	int dir; /* of the file system */
	int leash[2]; /* when its writing end is closed, all is thawed */
	struct klog klog;
};

FIXTURE_VARIANT(revoke_frozen)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(revoke_frozen, ext4) {
	.kind = SOURCE_EXT4,
};

FIXTURE_VARIANT_ADD(revoke_frozen, xfs) {
	.kind = SOURCE_XFS,
};

FIXTURE_VARIANT_ADD(revoke_frozen, btrfs) {
	.kind = SOURCE_BTRFS,
};

FIXTURE_SETUP(revoke_frozen)
{
	int i;

	self->dir = -1;
	ASSERT_EQ(0, klog_start(&self->klog));
	for (i = 0; i < 2; i++) {
		SOURCE_OPEN_OR_SKIP(&self->file[i], variant->kind, PAGE);
		ASSERT_EQ(0, source_fill(&self->file[i], i));
	}
	self->control = view_create(PAGE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->view = view_mmap(self->viewfd, PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->view);
}

FIXTURE_TEARDOWN(revoke_frozen)
{
	if (self->dir >= 0) {
		ioctl(self->dir, FITHAW, 0);
		close(self->dir);
	}
	munmap(self->view, PAGE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->file[0]);
	source_close(&self->file[1]);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int show(FIXTURE_DATA(revoke_frozen) *self, int file, uint32_t flags)
{
	return view_map(self->control, self->file[file].fd, 0, PAGE, 0, flags);
}

/* Thaw when the test has ended, however it did. */
static int freeze(FIXTURE_DATA(revoke_frozen) *self, const char *path)
{
	char byte;

	if (pipe2(self->leash, O_CLOEXEC))
		return -errno;
	self->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (self->dir < 0)
		return -errno;
	fflush(NULL);
	switch (fork()) {
	case -1:
		return -errno;
	case 0:
		setsid();
		close(self->leash[1]);
		if (read(self->leash[0], &byte, 1) == 0)
			ioctl(self->dir, FITHAW, 0);
		_exit(0);
	}
	return ioctl(self->dir, FIFREEZE, 0) ? -errno : 0;
}

struct held_write {
	struct face *view;
	_Atomic int tid;
	int sig;
};

static void *held_writer(void *arg)
{
	struct held_write *w = arg;

	atomic_store(&w->tid, gettid());
	w->sig = probe_write(&w->view->slot, 0x1234);
	return NULL;
}

/* The thread sleeps in the kernel, and goes on doing so. */
static bool is_stuck(int tid)
{
	char path[64], text[512], *state;
	int i, seen = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	for (i = 0; i < 500 && seen < 10; i++) {
		sleep_ms(10);
		if (read_file(path, text, sizeof(text)) < 0)
			return false;
		state = strrchr(text, ')');
		seen = state && state[2] == 'D' ? seen + 1 : 0;
	}
	return seen == 10;
}

struct change {
	FIXTURE_DATA(revoke_frozen) *self;
	int file;
	uint32_t flags; /* 0: unmap */
	bool absent; /* the write finds no PTE, not one to be upgraded */
	_Atomic int go;
	int err;
};

static void *change_thread(void *arg)
{
	struct change *c = arg;

	while (!atomic_load(&c->go))
		sleep_ms(1);
	if (c->flags)
		c->err = show(c->self, c->file, c->flags);
	else
		c->err = view_unmap(c->self->control, 0, PAGE);
	return NULL;
}

/*
 * A write waits for the thaw; what happens to it if the range changes?
 *
 * Catches: a write fault that does not look again at the range after the file
 * system has let it through; and a change that waits for such a fault.
 */
static void frozen_change(struct __test_metadata *_metadata,
			  FIXTURE_DATA(revoke_frozen) *self,
			  enum source_kind kind, struct change *c, int want_sig)
{
	struct held_write w = { .view = self->view, .sig = -1 };
	struct timespec limit;
	pthread_t writer, changer;
	uint64_t value, before, after;
	char missing[128];

	ASSERT_EQ(0, show(self, 0, MAP_RW));
	ASSERT_EQ(0, fd_read_u64(self->file[0].fd, offsetof(struct face, slot),
				 &before));
	ASSERT_EQ(0, freeze(self, source_dir(kind, missing, sizeof(missing))));
	/* Freezing has written the page back, and the PTE may be gone. */
	ASSERT_EQ(0, probe_read(&self->view->slot, &before));
	if (c->absent)
		ASSERT_EQ(0, madvise(self->view, PAGE, MADV_DONTNEED));
	/* Before the writer, whose fault may keep others from calling mmap. */
	ASSERT_EQ(0, pthread_create(&changer, NULL, change_thread, c));
	ASSERT_EQ(0, pthread_create(&writer, NULL, held_writer, &w));
	while (!atomic_load(&w.tid))
		sched_yield();
	ASSERT_TRUE(is_stuck(w.tid));

	atomic_store(&c->go, 1);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 20;
	ASSERT_EQ(0, pthread_timedjoin_np(changer, NULL, &limit))
		TH_LOG("the change waits for the file system");
	EXPECT_EQ(0, c->err);
	/* The PTE comes back as it was, if the range is still there. */
	EXPECT_EQ(c->flags ? 0 : SIGBUS, probe_read(&self->view->slot, &value));

	ASSERT_EQ(0, ioctl(self->dir, FITHAW, 0));
	close(self->leash[1]);
	pthread_join(writer, NULL);
	EXPECT_EQ(want_sig, w.sig);
	ASSERT_EQ(0, fd_read_u64(self->file[0].fd, offsetof(struct face, slot),
				 &after));
	EXPECT_EQ(before, after)
		TH_LOG("P1: a write landed after its revoke");
}

/* The three changes, each with what the held write must come to. */
TEST_F(revoke_frozen, narrow)
{
	struct change change = { .self = self, .file = 0, .flags = MAP_R };

	frozen_change(_metadata, self, variant->kind, &change, SIGSEGV);
}

TEST_F(revoke_frozen, narrow_absent)
{
	struct change change = {
		.self = self,
		.file = 0,
		.flags = MAP_R,
		.absent = true,
	};

	frozen_change(_metadata, self, variant->kind, &change, SIGSEGV);
}

TEST_F(revoke_frozen, unmap)
{
	struct change change = { .self = self };

	frozen_change(_metadata, self, variant->kind, &change, SIGBUS);
}

TEST_F(revoke_frozen, replace)
{
	struct change change = { .self = self, .file = 1, .flags = MAP_RW };
	uint64_t value;

	frozen_change(_metadata, self, variant->kind, &change, 0);
	EXPECT_EQ(0, fd_read_u64(self->file[1].fd, offsetof(struct face, slot),
				 &value));
	EXPECT_EQ(0x1234, value);
}

TEST_HARNESS_MAIN
