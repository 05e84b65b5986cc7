// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_slow_map.c - P1, P5, P9: a file whose ->mmap waits for its server does
 * not hold up the changes of a view, and a batch with it is one change all the
 * same when it goes on
 *
 * A client waits for a page that FUSE does not deliver. The same file, opened
 * for direct I/O, is to be mapped into the view, by MEMVIEW_MAP_FD, or by a batch
 * that has an entry for a memfd before it, and an unmap after it: FUSE first
 * empties the page cache, and waits for the lock of that page. Meanwhile other
 * ranges are mapped, revoked and cut off, the memfd's only one among them.
 *
 * Catches: the ->mmap of a source under the lock for changes; a source that
 * others let go of while a batch counts on it; a size that is not looked at again.
 */
#include "revoke_fuse.h"

#include <pthread.h>

#define PAGES		16
#define SIZE		(PAGES * PAGE)
#define SLOW		0 /* page of the view, and of the file */
#define OTHER		4
#define MOVED		6 /* where the batch shows the memfd... */
#define LATE		8 /* ...and where the slow file goes */
#define OTHER_FILE	3

FIXTURE(slow_map)
{
	struct klog klog;
	struct slow_fs fs;
	int control, memfd, direct;
	char *mem;
	pthread_t reader, changer;
	_Atomic int done; /* the slow request is, ... */
	int err, read_sig; /* ...and so is the client's read */
	uint32_t failed; /* entry of the batch */
};

FIXTURE_SETUP(slow_map)
{
	char path[96];

	ASSERT_EQ(0, klog_start(&self->klog));
	if (slow_fs_start(&self->fs) == -ENODEV)
		SKIP(return, "FUSE is not in this kernel");
	self->memfd = memfd_filled(SIZE, OTHER_FILE);
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, 2 * PAGE, SLOW * PAGE, MAP_R));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, OTHER * PAGE, MAP_R));
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->fs.shared->direct = 1;
	snprintf(path, sizeof(path), "%s/file", self->fs.dir);
	self->direct = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->direct);
}

FIXTURE_TEARDOWN(slow_map)
{
	self->fs.shared->hold = 0;
	close(self->direct);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void *read_slowly(void *arg)
{
	FIXTURE_DATA(slow_map) *self = arg;
	uint64_t word;

	self->read_sig = probe_read(self->mem + SLOW * PAGE, &word);
	return NULL;
}

static void *map_slowly(void *arg)
{
	FIXTURE_DATA(slow_map) *self = arg;

	self->err = view_map(self->control, self->direct, 0, PAGE, LATE * PAGE, MAP_R);
	atomic_store(&self->done, 1);
	return NULL;
}

static void *batch_slowly(void *arg)
{
	FIXTURE_DATA(slow_map) *self = arg;
	const struct memview_batch_op ops[] = {
		batch_map(self->memfd, 2 * PAGE, PAGE, MOVED * PAGE, MAP_R),
		batch_map(self->direct, 0, PAGE, LATE * PAGE, MAP_R),
		batch_unmap(SLOW * PAGE, 2 * PAGE),
	};

	self->err = view_batch(self->control, ops, ARRAY_SIZE(ops), &self->failed);
	atomic_store(&self->done, 1);
	return NULL;
}

/* The server is asked for the page, and the request waits for it. */
static bool block(FIXTURE_DATA(slow_map) *self, void *(*change)(void *))
{
	int i;

	self->fs.shared->hold = 1;
	if (pthread_create(&self->reader, NULL, read_slowly, self))
		return false;
	for (i = 0; i < 1000 && !atomic_load(&self->fs.shared->held); i++)
		sleep_ms(10);
	if (pthread_create(&self->changer, NULL, change, self))
		return false;
	sleep_ms(300);
	return atomic_load(&self->fs.shared->held) && !atomic_load(&self->done);
}

static void unblock(struct __test_metadata *_metadata, FIXTURE_DATA(slow_map) *self)
{
	self->fs.shared->hold = 0;
	ASSERT_EQ(0, pthread_join(self->changer, NULL));
	ASSERT_EQ(0, pthread_join(self->reader, NULL));
}

TEST_F(slow_map, others_go_on)
{
	struct view_info info;
	uint64_t word;

	ASSERT_TRUE(block(self, map_slowly));
	alarm(60); /* or it waits for ever */
	EXPECT_EQ(0, view_unmap(self->control, OTHER * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + OTHER * PAGE, &word));
	EXPECT_EQ(0, view_map(self->control, self->memfd, PAGE, PAGE, OTHER * PAGE, MAP_R));
	EXPECT_EQ(0, probe_read(self->mem + OTHER * PAGE, &word));
	EXPECT_EQ(page_tag(OTHER_FILE, 1), word);
	EXPECT_EQ(0, view_unmap(self->control, SLOW * PAGE, PAGE));
	alarm(0);
	EXPECT_FALSE(atomic_load(&self->done));

	unblock(_metadata, self);
	EXPECT_EQ(0, self->err);
	EXPECT_EQ(SIGBUS, self->read_sig);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(3, info.ranges);
	EXPECT_EQ(0, probe_read(self->mem + LATE * PAGE, &word));
	EXPECT_EQ(page_tag(SLOW_FILE, 0), word);
}

/* The view has shrunk when the file is there at last: the request fails. */
TEST_F(slow_map, view_shrinks)
{
	struct view_info info;

	ASSERT_TRUE(block(self, map_slowly));
	alarm(60);
	EXPECT_EQ(0, view_resize(self->control, LATE * PAGE));
	alarm(0);
	unblock(_metadata, self);
	EXPECT_EQ(-EINVAL, self->err);
	EXPECT_EQ(0, self->read_sig);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(2, info.ranges);
}

TEST_F(slow_map, batch_others_go_on)
{
	struct view_info info;
	uint64_t word;

	ASSERT_TRUE(block(self, batch_slowly));
	alarm(60); /* or it waits for ever */
	/* The only range of a file of which the batch has an entry. */
	EXPECT_EQ(0, view_unmap(self->control, OTHER * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + OTHER * PAGE, &word));
	/* Nothing of the batch is to be seen. */
	EXPECT_EQ(SIGBUS, probe_read(self->mem + MOVED * PAGE, &word));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(1, info.ranges);
	alarm(0);
	EXPECT_FALSE(atomic_load(&self->done));

	unblock(_metadata, self);
	EXPECT_EQ(0, self->err);
	EXPECT_EQ(3, self->failed);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(2, info.ranges);
	EXPECT_EQ(SIGBUS, probe_read(self->mem + SLOW * PAGE, &word));
	EXPECT_EQ(0, probe_read(self->mem + LATE * PAGE, &word));
	EXPECT_EQ(page_tag(SLOW_FILE, 0), word);
	EXPECT_EQ(0, probe_read(self->mem + MOVED * PAGE, &word));
	EXPECT_EQ(page_tag(OTHER_FILE, 2), word);
	/* The memfd is watched: what leaves it leaves the view. */
	ASSERT_EQ(0, ftruncate(self->memfd, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + MOVED * PAGE, &word));
}

/* The view has shrunk when the file is there at last: the batch fails. */
TEST_F(slow_map, batch_view_shrinks)
{
	struct view_info info;
	uint64_t word;

	ASSERT_TRUE(block(self, batch_slowly));
	alarm(60);
	EXPECT_EQ(0, view_resize(self->control, LATE * PAGE));
	alarm(0);
	unblock(_metadata, self);
	EXPECT_EQ(-EINVAL, self->err);
	EXPECT_EQ(1, self->failed);
	EXPECT_EQ(0, self->read_sig);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(2, info.ranges);
	EXPECT_EQ(SIGBUS, probe_read(self->mem + MOVED * PAGE, &word));
	EXPECT_EQ(0, probe_read(self->mem + SLOW * PAGE, &word));
	/* Both files are let go of: the memfd can be emptied by its range alone. */
	EXPECT_EQ(0, view_unmap(self->control, 0, LATE * PAGE));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(0, info.ranges);
}

TEST_HARNESS_MAIN
