// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_pins.c - a client that holds on to pages by other means than its
 * mapping: it puts references of them into a pipe, into a socket's queue, or
 * registers them with io_uring. The kernel has no way to take those back; a
 * revoke does not, as munmap() would not. What is promised:
 *
 * - The reference is of what was lent when it was taken, with the rights of that
 *   moment; it does not reach the page next to it, nor any page lent later.
 * - With a hole punched there the file has another page, and what is written to
 *   the file from then on cannot be seen, nor changed.
 * - Nothing leaks and nothing crashes.
 */
#include "hostile.h"

#include <liburing.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PINNED	PAGE_UNMAPPED

static char seen[2 * PAGE];

/* What came out of the reference: refused, if it holds no secret. */
static long judge(ssize_t n)
{
	if (n < (ssize_t)sizeof(uint64_t))
		return n < 0 ? -errno : -EPIPE;
	return has_secret(seen, n) ? n : -ENODATA;
}

/* ---- In a pipe ---- */

static int pipes[2], copies[2];

static long pin_in_pipe(long flags)
{
	struct iovec iov = { prey_page(PINNED), PAGE };

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	return vmsplice(pipes[1], &iov, 1, flags) == PAGE ? 0 : -errno;
}

static long pin_in_pipe_again(long flags)
{
	return judge(read(pipes[0], seen, sizeof(seen)));
}

/* Read once, and still there. */
static long pin_twice(long flags)
{
	long err = pin_in_pipe(flags);

	if (err || pipe2(copies, O_CLOEXEC | O_NONBLOCK))
		return err ?: -errno;
	return tee(pipes[0], copies[1], PAGE, 0) == PAGE ? 0 : -errno;
}

static long pin_twice_again(long flags)
{
	long ret = judge(read(copies[0], seen, sizeof(seen)));

	return ret < 0 ? judge(read(pipes[0], seen, sizeof(seen))) : ret;
}

/* The page itself shall become one of the client's own file. */
static long gift_to_file(long flags)
{
	int fd = memfd_create("own", MFD_CLOEXEC);
	long err = pin_in_pipe(SPLICE_F_GIFT);
	ssize_t n;

	if (err)
		return err;
	n = splice(pipes[0], NULL, fd, NULL, PAGE, SPLICE_F_MOVE);
	if (n != PAGE || mmap(NULL, PAGE, PROT_RW, MAP_SHARED, fd, 0) == MAP_FAILED)
		return -errno;
	return 0; /* the inspection looks into that mapping, too */
}

/* ---- In a socket ---- */

static int sockets[2];

static int connect_sockets(void)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(addr);

	sockets[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server, (void *)&addr, len) || listen(server, 1) ||
	    getsockname(server, (void *)&addr, &len) ||
	    connect(sockets[0], (void *)&addr, len) ||
	    setsockopt(sockets[0], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
		return -errno;
	sockets[1] = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	close(server);
	return sockets[1] < 0 ? -errno : 0;
}

static long pin_in_socket(long arg)
{
	int err = connect_sockets();

	if (err)
		return err;
	return send(sockets[0], prey_page(PINNED), PAGE, MSG_ZEROCOPY) == PAGE ? 0 : -errno;
}

static long pin_in_socket_again(long arg)
{
	return judge(recv(sockets[1], seen, sizeof(seen), 0));
}

/* ---- With io_uring ---- */

static struct io_uring ring;

static long registered(long page)
{
	struct iovec iov = { prey_page(page), PAGE };
	int err = io_uring_queue_init(4, &ring, 0);

	madvise(prey_page(page), PAGE, MADV_POPULATE_WRITE);
	return err ?: io_uring_register_buffers(&ring, &iov, 1);
}

static long finish(void)
{
	struct __kernel_timespec limit = { .tv_sec = 20 };
	struct io_uring_cqe *cqe;
	int ret = io_uring_submit(&ring);

	ret = ret < 0 ? ret : io_uring_wait_cqe_timeout(&ring, &cqe, &limit);
	if (ret)
		return ret;
	ret = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return ret;
}

/* Read what is there, and write, and reach for the neighbours. */
static long registered_again(long page)
{
	char *at = prey_page(page);
	long ret;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return 0;
	io_uring_prep_write_fixed(io_uring_get_sqe(&ring), pipes[1], at, PAGE, 0, 0);
	ret = finish();
	if (ret == PAGE)
		ret = judge(read(pipes[0], seen, sizeof(seen)));
	if (ret >= 0)
		return ret;
	if (write(pipes[1], "stolen!!", 8) == 8) {
		io_uring_prep_read_fixed(io_uring_get_sqe(&ring), pipes[0], at + WRITE_AT, 8, 0, 0);
		finish(); /* see the file */
	}
	io_uring_prep_write_fixed(io_uring_get_sqe(&ring), pipes[1], at - PAGE, 8, 0, 0);
	return finish();
}

static const struct attack pinning[] = {
	{ "pipe", pin_in_pipe, 0, WORKS, .again = pin_in_pipe_again },
	{ "pipe, gift", pin_in_pipe, SPLICE_F_GIFT, WORKS, .again = pin_in_pipe_again },
	{ "pipe and copy", pin_twice, 0, WORKS, .again = pin_twice_again },
	{ "gift to a file", gift_to_file, 0, EITHER },
	{ "socket", pin_in_socket, 0, EITHER, .again = pin_in_socket_again },
	/* File systems that keep track of writes refuse, as for a plain mmap. */
	{ "registered", registered, PINNED, EITHER, .again = registered_again },
};

/*
 * The controller takes back, punches a hole, and uses the file on.
 *
 * Catches: a source that keeps its page over a hole, so that there would be no
 * remedy; a reference of other pages than the client could reach.
 */
static void pin_one(struct __test_metadata *_metadata, const struct scene_kind *kind,
		    const struct attack *attack)
{
	struct inspection in = { 0 };
	char why[160] = "";
	struct scene s;

	ASSERT_EQ(0, scene_open(&s, kind));
	EXPECT_TRUE(is_wanted(scene_attack(&s, attack), attack->want)) TH_LOG("%s", attack->name);
	ASSERT_EQ(0, view_unmap(s.control, PINNED * PAGE, PAGE));
	ASSERT_EQ(0, fallocate(s.lent.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       PINNED * PAGE, PAGE));
	ASSERT_EQ(0, scene_take_back(&s));
	if (attack->again) {
		EXPECT_GT(0, scene_attack_again(&s, attack)) TH_LOG("%s", attack->name);
	}
	EXPECT_EQ(0, scene_inspect(&s, &in));
	EXPECT_EQ(0, in.leaks) TH_LOG("%s: %s", attack->name, in.why);
	EXPECT_EQ(0, scene_differs(&s, why, sizeof(why))) TH_LOG("%s: %s", attack->name, why);
	scene_close(&s);
}

TEST_F(hostile, page_with_a_hole_behind_it)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pinning); i++)
		pin_one(_metadata, &variant->kind, &pinning[i]);
}

/* ---- What cannot be had at all ---- */

static long pin_hole(long page)
{
	struct iovec iov = { prey_page(page), PAGE };

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	return err_or(vmsplice(pipes[1], &iov, 1, 0));
}

/* A reference for reading is none for writing: the pipe is read into. */
static long write_through_pipe(long page)
{
	struct iovec iov = { prey_page(page), PAGE };

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (vmsplice(pipes[1], &iov, 1, SPLICE_F_GIFT) != PAGE)
		return -errno;
	/* Would be put behind, into the same page, if a pipe may merge. */
	return write(pipes[1], "stolen!!", 8) == 8 && read(pipes[0], seen, 512) == 512 &&
	       write(pipes[1], "stolen!!", 8) == 8 ? 0 : -errno;
}

static long read_out_of_pipe(long page)
{
	struct iovec iov = { prey_page(page), PAGE };

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) || write(pipes[1], "stolen!!", 8) != 8)
		return -errno;
	return err_or(vmsplice(pipes[0], &iov, 1, SPLICE_F_NONBLOCK));
}

static const struct attack refusing[] = {
	{ "registered", registered, PAGE_RO, REFUSED },
	{ "registered", registered, PAGE_RX, REFUSED },
	{ "registered", registered, PAGE_HOLE, REFUSED },
	{ "pipe of nothing", pin_hole, PAGE_HOLE, -EFAULT },
	{ "pipe of what was", pin_hole, PAGE_CUT, WORKS, .again = pin_hole },
	{ "pipe of what was", pin_hole, PAGE_UNMAPPED, WORKS, .again = pin_hole },
	{ "write behind", write_through_pipe, PAGE_RO, WORKS },
	{ "write behind", write_through_pipe, PAGE_RX, WORKS },
	{ "out of a pipe", read_out_of_pipe, PAGE_RO, -EFAULT },
	{ "out of a pipe", read_out_of_pipe, PAGE_NARROWED, WORKS, .again = read_out_of_pipe },
};

TEST_F(hostile, pin_too_much)
{
	ATTACK_ALL(refusing);
}

TEST_HARNESS_MAIN
