// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_uring.c - P1, P2 and P6 against a client that has io_uring do it: what
 * can be asked about the view fd, and what is read into and written from the view
 * by the kernel's workers
 */
#include "hostile.h"

#include <liburing.h>

/* Newer than some versions of liburing. */
#define OP_FIXED_FD_INSTALL 54
#define OP_FTRUNCATE 55

static struct io_uring *ring_with(unsigned int flags)
{
	static struct io_uring rings[2];
	static bool made[2];
	struct io_uring_params params = { .flags = flags, .sq_thread_idle = 1000 };
	unsigned int i = !!flags;

	if (!made[i] && io_uring_queue_init_params(8, &rings[i], &params))
		return NULL;
	made[i] = true;
	return &rings[i];
}

static struct io_uring *the_ring(void)
{
	return ring_with(0);
}

/* Submit what was prepared; its result. */
static long finish(struct io_uring *ring)
{
	struct __kernel_timespec limit = { .tv_sec = 20 };
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit(ring);

	if (ret < 0)
		return ret;
	ret = io_uring_wait_cqe_timeout(ring, &cqe, &limit);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return ret;
}

static int pipe_with_data(int pipes[2])
{
	uint64_t word = STOLEN;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	return write(pipes[1], &word, sizeof(word)) == sizeof(word) ? 0 : -EIO;
}

/* Asked by the test, whose clients have rings of their own. */
static bool has_uring(void)
{
	struct io_uring ring;

	if (io_uring_queue_init(2, &ring, 0))
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

/* ---- On the view fd ---- */

static char buf[PAGE];

static long on_fd(long op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(the_ring());

	switch (op) {
	case IORING_OP_READ:
		io_uring_prep_read(sqe, prey.viewfd, buf, 8, 0);
		break;
	case IORING_OP_WRITE:
		io_uring_prep_write(sqe, prey.viewfd, buf, 8, 0);
		break;
	case IORING_OP_FALLOCATE:
		io_uring_prep_fallocate(sqe, prey.viewfd, 0, 0, FILE_SIZE);
		break;
	case OP_FTRUNCATE:
		io_uring_prep_rw(OP_FTRUNCATE, sqe, prey.viewfd, NULL, 0, FILE_SIZE);
		break;
	case IORING_OP_FSYNC:
		io_uring_prep_fsync(sqe, prey.viewfd, 0);
		break;
	case IORING_OP_SYNC_FILE_RANGE:
		io_uring_prep_sync_file_range(sqe, prey.viewfd, VIEW_SIZE, 0, 7);
		break;
	case IORING_OP_FADVISE:
		io_uring_prep_fadvise(sqe, prey.viewfd, 0, VIEW_SIZE, POSIX_FADV_DONTNEED);
		break;
	case IORING_OP_FSETXATTR:
		io_uring_prep_fsetxattr(sqe, prey.viewfd, "user.x", "x", 0, 1);
		break;
	case IORING_OP_FGETXATTR:
		io_uring_prep_fgetxattr(sqe, prey.viewfd, "user.x", buf, 8);
		break;
	case IORING_OP_POLL_ADD:
		io_uring_prep_poll_add(sqe, prey.viewfd, 1);
		break;
	case IORING_OP_URING_CMD:
		io_uring_prep_rw(IORING_OP_URING_CMD, sqe, prey.viewfd, NULL, 0, 0);
		sqe->off = MEMVIEW_GET_VIEWFD; /* cmd_op */
		break;
	case IORING_OP_LINKAT:
		io_uring_prep_linkat(sqe, prey.viewfd, "", AT_FDCWD, "/tmp/memview-uring",
				     AT_EMPTY_PATH);
		break;
	default:
		return -ENOSYS;
	}
	return finish(the_ring());
}

static long open_through(long flags)
{
	char path[64];
	long ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", prey.viewfd);
	io_uring_prep_openat(io_uring_get_sqe(the_ring()), AT_FDCWD, path, flags, 0);
	ret = finish(the_ring());
	if (ret >= 0)
		close(ret);
	return ret;
}

static long splice_through(long arg)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	io_uring_prep_splice(io_uring_get_sqe(the_ring()), prey.viewfd, 0, pipes[1], -1, PAGE, 0);
	return finish(the_ring());
}

/* The ring holds the file; the process lets go of it, and has it back. */
static long registered_file(long arg)
{
	struct io_uring_sqe *sqe;
	int fd;

	if (io_uring_register_files(the_ring(), &prey.viewfd, 1))
		return -ENOSYS;
	close(prey.viewfd);
	sqe = io_uring_get_sqe(the_ring());
	io_uring_prep_rw(OP_FTRUNCATE, sqe, 0, NULL, 0, FILE_SIZE);
	sqe->flags |= IOSQE_FIXED_FILE;
	if (finish(the_ring()) >= 0)
		return 0;
	sqe = io_uring_get_sqe(the_ring());
	io_uring_prep_rw(OP_FIXED_FD_INSTALL, sqe, 0, NULL, 0, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	fd = finish(the_ring());
	if (fd < 0)
		return fd;
	prey.viewfd = fd;
	return err_or(ftruncate(fd, FILE_SIZE));
}

static const struct attack asking[] = {
	ATTACK_ARG(on_fd, IORING_OP_READ, REFUSED),
	ATTACK_ARG(on_fd, IORING_OP_WRITE, REFUSED),
	ATTACK_ARG(on_fd, IORING_OP_FALLOCATE, REFUSED),
	ATTACK_ARG(on_fd, OP_FTRUNCATE, REFUSED),
	ATTACK_ARG(on_fd, IORING_OP_FSYNC, WORKS),
	ATTACK_ARG(on_fd, IORING_OP_SYNC_FILE_RANGE, EITHER),
	ATTACK_ARG(on_fd, IORING_OP_FADVISE, EITHER),
	ATTACK_ARG(on_fd, IORING_OP_FSETXATTR, REFUSED),
	ATTACK_ARG(on_fd, IORING_OP_FGETXATTR, REFUSED),
	ATTACK_ARG(on_fd, IORING_OP_POLL_ADD, EITHER),
	ATTACK_ARG(on_fd, IORING_OP_URING_CMD, REFUSED),
	ATTACK_ARG(on_fd, IORING_OP_LINKAT, REFUSED),
	ATTACK_ARG(open_through, O_RDWR, REFUSED),
	ATTACK_ARG(open_through, O_RDONLY, REFUSED),
	ATTACK(splice_through, REFUSED),
	ATTACK(registered_file, REFUSED),
};

TEST_F(hostile, file)
{
	if (!has_uring())
		SKIP(return, "missing: io_uring");
	ATTACK_ALL(asking);
}

/* ---- On the mapping ---- */

static long advise_through(long advice)
{
	io_uring_prep_madvise(io_uring_get_sqe(the_ring()), prey.mem, VIEW_SIZE, advice);
	return finish(the_ring());
}

static long read_with(struct io_uring *ring, long page, int sqe_flags)
{
	struct io_uring_sqe *sqe;
	int pipes[2], err;
	long ret;

	err = ring ? pipe_with_data(pipes) : -ENOSYS;
	if (err)
		return err;
	sqe = io_uring_get_sqe(ring);
	io_uring_prep_read(sqe, pipes[0], prey_page(page) + WRITE_AT, 8, 0);
	sqe->flags |= sqe_flags;
	ret = finish(ring);
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static long read_into(long page)
{
	return read_with(the_ring(), page, 0);
}

/* By a worker thread of the kernel. */
static long read_async(long page)
{
	return read_with(the_ring(), page, IOSQE_ASYNC);
}

/* By the thread that polls for submissions. */
static long read_polled(long page)
{
	return read_with(ring_with(IORING_SETUP_SQPOLL), page, 0);
}

static long write_from(long page)
{
	uint64_t word = 0;
	int pipes[2];
	long ret;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	io_uring_prep_write(io_uring_get_sqe(the_ring()), pipes[1], prey_page(page), 8, 0);
	ret = finish(the_ring());
	if (ret == 8 && read(pipes[0], &word, 8) == 8 && is_secret(word))
		ret = 1;
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

static int late_pipe[2];

/* A read that waits for its data until after the revoke. */
static long late_read(long page)
{
	int ret;

	if (pipe2(late_pipe, O_CLOEXEC))
		return -errno;
	io_uring_prep_read(io_uring_get_sqe(the_ring()), late_pipe[0], prey_page(page) + WRITE_AT,
			   8, 0);
	ret = io_uring_submit(the_ring());
	return ret == 1 ? 0 : -EIO;
}

static long late_read_again(long page)
{
	uint64_t word = STOLEN;

	if (write(late_pipe[1], &word, 8) != 8)
		return 0;
	return finish(the_ring());
}

/* Buffers that the kernel picks from; it has noted their addresses only. */
static long provided(long page)
{
	io_uring_prep_provide_buffers(io_uring_get_sqe(the_ring()), prey_page(page) + WRITE_AT, 8,
				      1, 7, 0);
	return finish(the_ring());
}

static long provided_again(long page)
{
	struct io_uring_sqe *sqe;
	int pipes[2];

	if (pipe_with_data(pipes))
		return 0;
	sqe = io_uring_get_sqe(the_ring());
	io_uring_prep_read(sqe, pipes[0], NULL, 8, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 7;
	return finish(the_ring());
}

static long register_page(long page)
{
	struct iovec iov = { prey_page(page), PAGE };

	return io_uring_register_buffers(the_ring(), &iov, 1);
}

/* The rings themselves, where the kernel must not write. */
static long rings_in(long page)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_NO_MMAP | IORING_SETUP_NO_SQARRAY,
		.sq_off.user_addr = (uintptr_t)prey_page(page),
		.cq_off.user_addr = (uintptr_t)prey_page(page),
	};

	return err_or_close(syscall(SYS_io_uring_setup, 2, &params));
}

static const struct attack using[] = {
	ATTACK_ARG(advise_through, MADV_DONTNEED, WORKS),
	ATTACK_ARG(advise_through, MADV_REMOVE, REFUSED),
	ATTACK_ARG(advise_through, MADV_DODUMP, -EINVAL),
	ATTACK_ARG(read_into, PAGE_RO, -EFAULT),
	ATTACK_ARG(read_into, PAGE_RX, -EFAULT),
	ATTACK_ARG(read_async, PAGE_RO, -EFAULT),
	ATTACK_ARG(read_async, PAGE_HOLE, -EFAULT),
	ATTACK_ARG(read_polled, PAGE_RO, -EFAULT),
	{ "read", read_into, PAGE_UNMAPPED, WORKS, .again = read_into },
	{ "read, by a worker", read_async, PAGE_NARROWED, WORKS, .again = read_async },
	{ "read, by a worker", read_async, PAGE_CUT, WORKS, .again = read_async },
	{ "read, polled", read_polled, PAGE_REPLACED, WORKS, .again = read_polled },
	{ "read, polled", read_polled, PAGE_UNMAPPED, WORKS, .again = read_polled },
	{ "write", write_from, PAGE_UNMAPPED, WORKS, .again = write_from },
	{ "write", write_from, PAGE_CUT, WORKS, .again = write_from },
	{ "late read", late_read, PAGE_UNMAPPED, WORKS, .again = late_read_again },
	{ "late read", late_read, PAGE_NARROWED, WORKS, .again = late_read_again },
	{ "late read", late_read, PAGE_REPLACED, WORKS, .again = late_read_again },
	{ "provided buffers", provided, PAGE_UNMAPPED, WORKS, .again = provided_again },
	{ "provided buffers", provided, PAGE_NARROWED, WORKS, .again = provided_again },
	ATTACK_ARG(register_page, PAGE_RO, REFUSED),
	ATTACK_ARG(register_page, PAGE_RX, REFUSED),
	ATTACK_ARG(register_page, PAGE_HOLE, REFUSED),
	ATTACK_ARG(rings_in, PAGE_RO, REFUSED),
	ATTACK_ARG(rings_in, PAGE_HOLE, REFUSED),
};

TEST_F(hostile, memory)
{
	if (!has_uring())
		SKIP(return, "missing: io_uring");
	ATTACK_ALL(using);
}

TEST_HARNESS_MAIN
