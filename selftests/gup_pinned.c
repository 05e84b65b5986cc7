// SPDX-License-Identifier: GPL-2.0
/*
 * gup_pinned.c - P1 and P9 for pages that I/O has pinned when they are revoked:
 * the revoke does not wait, the I/O finishes on the pages it began with, the
 * client is kept from them, and nothing is left behind
 */
#include "revoke_fuse.h"

#include <liburing.h>

#define VIEW_PAGES	8
#define VIEW_SIZE	(VIEW_PAGES * PAGE)
#define OLD_TAG		1
#define NEW_TAG		2

FIXTURE(gup_pinned)
{
	struct source old, new;
	int control, viewfd;
	char *mem;
	struct io_uring ring;
	bool has_ring;
	int pipe[2];
	struct klog klog;
};

FIXTURE_VARIANT(gup_pinned)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(gup_pinned, memfd) {
	.kind = SOURCE_MEMFD,
};

FIXTURE_VARIANT_ADD(gup_pinned, memfd_huge) {
	.kind = SOURCE_MEMFD_HUGE,
};

FIXTURE_VARIANT_ADD(gup_pinned, tmpfs) {
	.kind = SOURCE_TMPFS,
};

FIXTURE_SETUP(gup_pinned)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->old, variant->kind, VIEW_SIZE);
	ASSERT_EQ(0, source_fill(&self->old, OLD_TAG));
	SOURCE_OPEN_OR_SKIP(&self->new, variant->kind, VIEW_SIZE);
	ASSERT_EQ(0, source_fill(&self->new, NEW_TAG));
	self->control = view_create(VIEW_SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->old.fd, 0, VIEW_SIZE, 0,
			      MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, VIEW_SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, pipe2(self->pipe, O_CLOEXEC));
	if (io_uring_queue_init(8, &self->ring, 0))
		SKIP(return, "missing: io_uring");
	self->has_ring = true;
}

FIXTURE_TEARDOWN(gup_pinned)
{
	if (self->has_ring)
		io_uring_queue_exit(&self->ring);
	close(self->pipe[0]);
	close(self->pipe[1]);
	munmap(self->mem, VIEW_SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->old);
	source_close(&self->new);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int register_view(FIXTURE_DATA(gup_pinned) *self, unsigned int pages)
{
	struct iovec iov = { self->mem, pages * PAGE };

	return io_uring_register_buffers(&self->ring, &iov, 1);
}

/* Submit one request, in whole. */
static int submit(FIXTURE_DATA(gup_pinned) *self)
{
	int n = io_uring_submit(&self->ring);

	return n < 0 ? n : n == 1 ? 0 : -EAGAIN;
}

static int complete(FIXTURE_DATA(gup_pinned) *self)
{
	struct __kernel_timespec limit = { .tv_sec = 60 };
	struct io_uring_cqe *cqe;
	int ret = io_uring_wait_cqe_timeout(&self->ring, &cqe, &limit);

	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&self->ring, cqe);
	return ret;
}

static uint64_t word(int fd, unsigned int page)
{
	uint64_t value = 0;

	return fd_read_u64(fd, page * PAGE, &value) ? 0 : value;
}

/*
 * Buffers that are not registered: the kernel copies, or pins for one I/O.
 *
 * Catches: as direct I/O in gup.c, from another context.
 */
TEST_F(gup_pinned, uring_read_and_write)
{
	uint64_t buf[2] = { 0, 0 };

	io_uring_prep_write(io_uring_get_sqe(&self->ring), self->pipe[1],
			    self->mem, 8, 0);
	ASSERT_EQ(0, submit(self));
	ASSERT_EQ(8, complete(self));
	ASSERT_EQ(8, read(self->pipe[0], buf, 8));
	EXPECT_EQ(page_tag(OLD_TAG, 0), buf[0]);

	buf[0] = 0x1234;
	ASSERT_EQ(8, write(self->pipe[1], buf, 8));
	io_uring_prep_read(io_uring_get_sqe(&self->ring), self->pipe[0],
			   self->mem + PAGE, 8, 0);
	ASSERT_EQ(0, submit(self));
	ASSERT_EQ(8, complete(self));
	EXPECT_EQ(0x1234, word(self->old.fd, 1));
}

/*
 * A read that is in flight, without a pin, when its buffer is revoked: what
 * comes later must not get there.
 *
 * Catches: a revoke that io_uring's workers, in the client's mm, get around.
 */
TEST_F(gup_pinned, uring_read_revoked)
{
	uint64_t value = 0x1234;

	ASSERT_EQ(0, probe_write(self->mem, 1));
	io_uring_prep_read(io_uring_get_sqe(&self->ring), self->pipe[0],
			   self->mem, 8, 0);
	ASSERT_EQ(0, submit(self));
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	ASSERT_EQ(8, write(self->pipe[1], &value, 8));
	EXPECT_EQ(-EFAULT, complete(self));
	EXPECT_EQ(1, word(self->old.fd, 0));
}

/*
 * Registered buffers are long-term pins. They work on pages that have been
 * written through the view, and only where the range allows writing.
 *
 * Catches: pages that cannot be pinned (no struct page, no mapcount).
 */
TEST_F(gup_pinned, uring_fixed)
{
	uint64_t value = 0x4321;

	ASSERT_EQ(0, madvise(self->mem, VIEW_SIZE, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, register_view(self, VIEW_PAGES));
	ASSERT_EQ(8, write(self->pipe[1], &value, 8));
	io_uring_prep_read_fixed(io_uring_get_sqe(&self->ring), self->pipe[0],
				 self->mem + 3 * PAGE, 8, 0, 0);
	ASSERT_EQ(0, submit(self));
	ASSERT_EQ(8, complete(self));
	EXPECT_EQ(0x4321, word(self->old.fd, 3));

	io_uring_prep_write_fixed(io_uring_get_sqe(&self->ring), self->pipe[1],
				  self->mem + 2 * PAGE, 8, 0, 0);
	ASSERT_EQ(0, submit(self));
	ASSERT_EQ(8, complete(self));
	ASSERT_EQ(8, read(self->pipe[0], &value, 8));
	EXPECT_EQ(page_tag(OLD_TAG, 2), value);

	ASSERT_EQ(0, io_uring_unregister_buffers(&self->ring));
	ASSERT_EQ(0, view_map(self->control, self->old.fd, 0, VIEW_SIZE, 0,
			      MAP_R));
	ASSERT_EQ(0, madvise(self->mem, VIEW_SIZE, MADV_POPULATE_READ));
	EXPECT_EQ(-EFAULT, register_view(self, 1));
	ASSERT_EQ(0, view_unmap(self->control, 0, VIEW_SIZE));
	EXPECT_EQ(-EFAULT, register_view(self, 1));
}

/*
 * A registered buffer whose range is replaced while a read into it is in
 * flight: the read ends in the old file; the client sees the new one.
 *
 * Catches: a revoke that waits for pins, or that frees what is pinned; a zap
 * that leaves a pinned page mapped (they look shared to the kernel).
 */
TEST_F(gup_pinned, uring_fixed_replaced)
{
	uint64_t value = 0x5678;

	ASSERT_EQ(0, madvise(self->mem, VIEW_SIZE, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, register_view(self, VIEW_PAGES));
	io_uring_prep_read_fixed(io_uring_get_sqe(&self->ring), self->pipe[0],
				 self->mem, 8, 0, 0);
	ASSERT_EQ(0, submit(self));
	ASSERT_EQ(0, view_map(self->control, self->new.fd, 0, VIEW_SIZE, 0,
			      MAP_RW));
	EXPECT_EQ(0, probe_read(self->mem, &value));
	EXPECT_EQ(page_tag(NEW_TAG, 0), value);

	value = 0x5678;
	ASSERT_EQ(8, write(self->pipe[1], &value, 8));
	ASSERT_EQ(8, complete(self));
	EXPECT_EQ(0x5678, word(self->old.fd, 0));
	EXPECT_EQ(page_tag(NEW_TAG, 0), word(self->new.fd, 0));

	ASSERT_EQ(0, view_unmap(self->control, 0, VIEW_SIZE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem, &value));
	EXPECT_EQ(0, io_uring_unregister_buffers(&self->ring));
}

/* The source goes as well, and the view: the pins are all that is left. */
TEST_F(gup_pinned, uring_fixed_outlives_all)
{
	uint64_t value = 0x9abc;

	ASSERT_EQ(0, madvise(self->mem, VIEW_SIZE, MADV_POPULATE_WRITE));
	ASSERT_EQ(0, register_view(self, VIEW_PAGES));
	ASSERT_EQ(0, ftruncate(self->old.fd, 0));
	EXPECT_EQ(SIGBUS, probe_read(self->mem, &value));
	source_close(&self->old);
	close(self->viewfd);
	close(self->control);
	ASSERT_EQ(0, munmap(self->mem, VIEW_SIZE));

	ASSERT_EQ(8, write(self->pipe[1], &value, 8));
	io_uring_prep_read_fixed(io_uring_get_sqe(&self->ring), self->pipe[0],
				 self->mem, 8, 0, 0);
	ASSERT_EQ(0, submit(self));
	EXPECT_EQ(8, complete(self));
	EXPECT_EQ(0, io_uring_unregister_buffers(&self->ring));
}

/* ---- Direct I/O that takes its time ---- */

struct slow_read {
	char path[96];
};

static long read_slowly(void *arg)
{
	struct slow_read *r = arg;
	int fd = open(r->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	char *mem = view_mmap(client_viewfd, VIEW_SIZE, PROT_RW, 0);
	uint64_t value;
	ssize_t n;

	if (fd < 0 || mem == MAP_FAILED)
		return -errno;
	n = pread(fd, mem, VIEW_SIZE, 0);
	if (n != VIEW_SIZE)
		return n < 0 ? -errno : -EIO;
	return probe_read(mem, &value);
}

/*
 * A direct read is held by its storage while its buffer is revoked: it
 * finishes, on the page it began with; the client gets a SIGBUS there.
 *
 * Catches: a revoke that waits for I/O, or lets it write into what came after.
 */
TEST_F(gup_pinned, direct_io_in_flight)
{
	struct client client;
	struct slow_read r;
	struct slow_fs fs;
	int i;

	i = slow_fs_start(&fs);
	if (i == -ENODEV)
		SKIP(return, "missing: /dev/fuse");
	ASSERT_EQ(0, i);
	snprintf(r.path, sizeof(r.path), "%s/file", fs.dir);
	ASSERT_EQ(0, client_start(&client, self->viewfd));
	fs.shared->hold = 1;
	ASSERT_EQ(0, client_post(&client, read_slowly, &r, sizeof(r)));
	for (i = 0; i < 1000 && !fs.shared->held; i++)
		sleep_ms(10);
	EXPECT_LT(0, fs.shared->held);

	/* If they waited, then for ever. */
	EXPECT_EQ(0, view_map(self->control, self->new.fd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(0, view_unmap(self->control, 0, VIEW_SIZE));
	EXPECT_LT(0, fs.shared->held);
	fs.shared->hold = 0;

	EXPECT_EQ(SIGBUS, client_result(&client, NULL, 0));
	EXPECT_EQ(page_tag(SLOW_FILE, 0), word(self->old.fd, 0));
	EXPECT_EQ(page_tag(NEW_TAG, 0), word(self->new.fd, 0));
	EXPECT_EQ(0, client_stop(&client));
	slow_fs_stop(&fs);
}

TEST_HARNESS_MAIN
