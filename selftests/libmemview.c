// SPDX-License-Identifier: GPL-2.0
/*
 * libmemview.c - the library, and its examples: they do what they say
 */
#include "memview_test.h"

#include <libmemview.h>
#include <sys/socket.h>

#define SIZE	(4 * PAGE)

FIXTURE(library)
{
	struct klog klog;
	int memfd;
	int sock[2];
};

FIXTURE_SETUP(library)
{
	ASSERT_LE(0, klog_start(&self->klog));
	self->memfd = memfd_filled(SIZE, 1);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, self->sock));
}

FIXTURE_TEARDOWN(library)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(library, lends_and_takes_back)
{
	int view = memview_open(SIZE), viewfd;
	uint64_t value, *words;
	void *map;

	ASSERT_LE(0, view);
	EXPECT_EQ(SIZE, memview_size(view));
	ASSERT_EQ(0, memview_map(view, PAGE, self->memfd, 2 * PAGE, PAGE, MAP_RW));
	viewfd = memview_get_viewfd(view);
	ASSERT_LE(0, viewfd);
	EXPECT_EQ(SIZE, memview_size(viewfd));
	EXPECT_EQ(FD_CLOEXEC, fcntl(view, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(viewfd, F_GETFD));
	ASSERT_EQ(0, memview_mmap(viewfd, PAGE, PAGE, PROT_RW, &map));
	words = map;
	ASSERT_EQ(0, probe_read(words, &value));
	EXPECT_EQ(page_tag(1, 2), value);
	ASSERT_EQ(0, memview_unmap(view, 0, SIZE));
	EXPECT_EQ(SIGBUS, probe_read(words, &value));
	ASSERT_EQ(0, memview_resize(view, 2 * SIZE));
	EXPECT_EQ(2 * SIZE, memview_size(viewfd));
}

TEST_F(library, changes_all_at_once)
{
	struct memview_batch_op ops[] = {
		{ .op = MEMVIEW_BATCH_MAP, .fd = self->memfd, .flags = MAP_RW, .size = SIZE },
		{ .op = MEMVIEW_BATCH_UNMAP, .fd = -1, .size = PAGE, .mem_offset = PAGE },
		{ .op = MEMVIEW_BATCH_MAP, .fd = self->memfd, .flags = MAP_R, .size = PAGE,
		  .fd_offset = 3 * PAGE, .mem_offset = 2 * PAGE },
	};
	int view = memview_open(SIZE);
	unsigned int failed = 77;
	uint64_t value;
	char *map;

	ASSERT_LE(0, view);
	ASSERT_EQ(0, memview_mmap(memview_get_viewfd(view), 0, SIZE, PROT_RW, (void **)&map));
	ASSERT_EQ(0, memview_batch(view, ops, 3, &failed));
	EXPECT_EQ(3, failed);
	EXPECT_EQ(0, probe_read(map, &value));
	EXPECT_EQ(page_tag(1, 0), value);
	EXPECT_EQ(SIGBUS, probe_read(map + PAGE, &value));
	EXPECT_EQ(0, probe_read(map + 2 * PAGE, &value));
	EXPECT_EQ(page_tag(1, 3), value);
	EXPECT_EQ(SIGSEGV, probe_write(map + 2 * PAGE, 1));

	ops[0].op = MEMVIEW_BATCH_UNMAP;
	ops[0].flags = 0;
	ops[0].fd = -1;
	ops[1].size = 1;
	EXPECT_EQ(-EINVAL, memview_batch(view, ops, 3, &failed));
	EXPECT_EQ(1, failed);
	EXPECT_EQ(-EINVAL, memview_batch(view, ops, 3, NULL));
	EXPECT_EQ(0, probe_read(map, &value));
	EXPECT_EQ(-EINVAL, memview_batch(view, ops, MEMVIEW_BATCH_MAX + 1, &failed));
	EXPECT_EQ(MEMVIEW_BATCH_MAX + 1, failed);
	EXPECT_EQ(-EFAULT, memview_batch(view, NULL, 1, NULL));
	EXPECT_EQ(0, memview_batch(view, NULL, 0, NULL));
	EXPECT_EQ(-EBADF, memview_batch(-1, ops, 1, &failed));
	EXPECT_EQ(1, failed);
}

TEST_F(library, takes_back_on_close)
{
	int view = memview_open(SIZE);
	uint64_t value;
	char *map;

	ASSERT_LE(0, view);
	ASSERT_EQ(0, memview_map(view, 0, self->memfd, 0, SIZE, MAP_RW));
	ASSERT_EQ(0, memview_mmap(memview_get_viewfd(view), 0, SIZE, PROT_RW, (void **)&map));
	EXPECT_EQ(-EINVAL, memview_set_flags(view, ~0u));
	ASSERT_EQ(0, memview_set_flags(view, MEMVIEW_REVOKE_ON_CLOSE));
	EXPECT_EQ(0, probe_read(map, &value));
	close(view);
	EXPECT_EQ(SIGBUS, probe_read(map, &value));
}

TEST_F(library, says_what_the_kernel_says)
{
	int view = memview_open(SIZE), viewfd;
	void *map = self;

	ASSERT_LE(0, view);
	viewfd = memview_get_viewfd(view);
	EXPECT_EQ(-EINVAL, memview_map(view, 1, self->memfd, 0, PAGE, MAP_R));
	EXPECT_EQ(-EINVAL, memview_map(view, 0, self->memfd, 0, PAGE, 0));
	EXPECT_EQ(-EBADF, memview_map(view, 0, -1, 0, PAGE, MAP_R));
	EXPECT_EQ(-EOPNOTSUPP, memview_map(view, 0, self->sock[0], 0, PAGE, MAP_R));
	EXPECT_EQ(-EINVAL, memview_unmap(view, 0, 2 * SIZE));
	EXPECT_EQ(-ENOTTY, memview_unmap(viewfd, 0, PAGE));
	EXPECT_EQ(-ENOTTY, memview_get_viewfd(viewfd));
	EXPECT_GT(0, memview_resize(viewfd, PAGE));
	EXPECT_EQ(-EINVAL, memview_resize(view, UINT64_MAX));
	EXPECT_EQ(-EINVAL, memview_open(UINT64_MAX));
	EXPECT_EQ(-EBADF, memview_size(-1));
	EXPECT_EQ(-EINVAL, memview_mmap(viewfd, 1, PAGE, PROT_READ, &map));
	EXPECT_EQ(-EINVAL, memview_mmap(viewfd, 1ULL << 63, PAGE, PROT_READ, &map));
	EXPECT_GT(0, memview_mmap(view, 0, PAGE, PROT_READ, &map));
	EXPECT_EQ((void *)self, map);
}

TEST_F(library, passes_views_on)
{
	int view = memview_open(SIZE), viewfd = memview_get_viewfd(view), got = 0;
	uint64_t word = 42, answer = 0;
	struct stat stat[2];

	ASSERT_EQ(0, memview_send(self->sock[0], viewfd, &word, sizeof(word)));
	ASSERT_EQ(0, memview_receive(self->sock[1], &got, &answer, sizeof(answer)));
	EXPECT_EQ(word, answer);
	ASSERT_EQ(0, fstat(viewfd, &stat[0]));
	ASSERT_EQ(0, fstat(got, &stat[1]));
	EXPECT_EQ(stat[0].st_ino, stat[1].st_ino);
	EXPECT_EQ(FD_CLOEXEC, fcntl(got, F_GETFD));
	close(got);

	ASSERT_EQ(0, memview_send(self->sock[0], -1, &word, sizeof(word)));
	ASSERT_EQ(0, memview_receive(self->sock[1], &got, &answer, sizeof(answer)));
	EXPECT_EQ(-1, got);

	/* A view and nothing else. */
	ASSERT_EQ(0, memview_send(self->sock[0], viewfd, NULL, 0));
	ASSERT_EQ(0, memview_receive(self->sock[1], &got, NULL, 0));
	EXPECT_EQ(SIZE, memview_size(got));
	close(got);
}

/* How many file descriptors this process has. */
static int count_fds(void)
{
	int i, n = 0;

	for (i = 0; i < 1024; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

/* More file descriptors than belong, in a message of @size bytes. */
static int send_many(int sock, int fd, unsigned int n, size_t size)
{
	char text[64] = {}, space[CMSG_SPACE(32 * sizeof(int))] = {};
	struct iovec iov = { .iov_base = text, .iov_len = size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space,
		.msg_controllen = CMSG_SPACE(n * sizeof(int)),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
	unsigned int i;

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (i = 0; i < n; i++)
		memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) < 0 ? -errno : 0;
}

TEST_F(library, keeps_no_fd_of_a_bad_message)
{
	char text[16];
	int fd = -7, before = count_fds();

	ASSERT_EQ(0, send_many(self->sock[0], self->memfd, 2, sizeof(text)));
	EXPECT_EQ(-EPROTO, memview_receive(self->sock[1], &fd, text, sizeof(text)));
	ASSERT_EQ(0, send_many(self->sock[0], self->memfd, 32, sizeof(text)));
	EXPECT_EQ(-EPROTO, memview_receive(self->sock[1], &fd, text, sizeof(text)));
	ASSERT_EQ(0, send_many(self->sock[0], self->memfd, 1, sizeof(text) + 1));
	EXPECT_EQ(-EPROTO, memview_receive(self->sock[1], &fd, text, sizeof(text)));
	ASSERT_EQ(0, send_many(self->sock[0], self->memfd, 1, sizeof(text) - 1));
	EXPECT_EQ(-EPROTO, memview_receive(self->sock[1], &fd, text, sizeof(text)));
	ASSERT_EQ(0, send_many(self->sock[0], self->memfd, 1, sizeof(text)));
	EXPECT_EQ(0, memview_receive(self->sock[1], NULL, text, sizeof(text)));
	EXPECT_EQ(-7, fd);
	EXPECT_EQ(before, count_fds());
}

TEST_F(library, says_that_nobody_is_there)
{
	char text[16] = {};
	int fd;

	close(self->sock[1]);
	EXPECT_EQ(-EPIPE, memview_receive(self->sock[0], &fd, text, sizeof(text)));
	EXPECT_EQ(-EPIPE, memview_receive(self->sock[0], &fd, NULL, 0));
	EXPECT_EQ(-EPIPE, memview_send(self->sock[0], -1, text, sizeof(text)));
}

/* What an example prints, and its exit status. */
static int run_example(const char *command, char *out, size_t size)
{
	char path[PATH_MAX], line[PATH_MAX + 64], *slash;
	size_t used;
	FILE *pipe;
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[len < 0 ? 0 : len] = '\0';
	slash = strstr(path, "/selftests/");
	if (!slash)
		return -ENOENT;
	snprintf(line, sizeof(line), "%.*s/examples/%s 2>&1", (int)(slash - path), path, command);
	pipe = popen(line, "r");
	if (!pipe)
		return -errno;
	used = fread(out, 1, size - 1, pipe);
	out[used] = '\0';
	return pclose(pipe);
}

#define EXPECT_OUTPUT(text)						\
	EXPECT_STREQ(text, out) TH_LOG("it has printed: %s", out)

TEST_F(library, example_lend)
{
	char out[1024];

	EXPECT_EQ(0, run_example("lend", out, sizeof(out)));
	EXPECT_OUTPUT("the worker has made: LENT, AND TAKEN BACK\na touch after that: SIGBUS\n");
}

/* The host answers for what the buffers hold once they are back; so the last answer is any. */
TEST_F(library, example_plugin_host)
{
	char out[1024], expected[1024];
	unsigned int fickle = 0;
	char *line;

	EXPECT_EQ(0, run_example("plugin_host", out, sizeof(out)));
	line = strstr(out, "fickle: answers ");
	ASSERT_NE(NULL, line) TH_LOG("it has printed: %s", out);
	EXPECT_EQ(1, sscanf(line, "fickle: answers %u", &fickle));
	snprintf(expected, sizeof(expected),
		 "good: answers 262144\ncurious: answers 0\nvandal: has died\nendless: takes too long\n"
		 "fickle: answers %u\nthe input is as it was\n", fickle);
	EXPECT_OUTPUT(expected);
}

/* A file of no whole number of windows, nor of pages. */
TEST_F(library, example_window)
{
	const size_t size = 5 * MiB + 12345;
	char out[1024], expected[64], *bytes;
	uint64_t sum = 0;
	size_t i;
	int fd = open("/tmp/window", O_RDWR | O_CREAT | O_TRUNC, 0600);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, size));
	bytes = mmap(NULL, size, PROT_RW, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, bytes);
	for (i = 0; i < size; i++) {
		bytes[i] = i % 251;
		sum += i % 251;
	}
	snprintf(expected, sizeof(expected), "%zu bytes, sum %ju\n", size, (uintmax_t)sum);
	EXPECT_EQ(0, run_example("window /tmp/window", out, sizeof(out)));
	EXPECT_OUTPUT(expected);
	unlink("/tmp/window");
}

TEST_HARNESS_MAIN
