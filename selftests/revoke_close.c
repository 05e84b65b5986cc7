// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_close.c - MEMVIEW_REVOKE_ON_CLOSE: what a controller has lent goes
 * when the last reference to its control fd does, however that comes about
 */
#include "lifetime.h"
#include "revoke_fuse.h"

#include <sys/prctl.h>
#include <sys/socket.h>

#define PAGES	64
#define SIZE	(PAGES * PAGE)
#define TAG	3

FIXTURE(close)
{
	int memfd, control, viewfd;
	char *mem;
	long references;
	struct klog klog;
};

FIXTURE_SETUP(close)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->references = module_references();
	self->memfd = memfd_filled(SIZE, TAG);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_set_flags(self->control, MEMVIEW_REVOKE_ON_CLOSE));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap_by_page(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(close)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	EXPECT_TRUE(view_is_gone(self->memfd));
	EXPECT_TRUE(module_references_fall_to(self->references));
	close(self->memfd);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static bool is_lent(const char *mem, unsigned int page)
{
	uint64_t value = 0;

	return !probe_read(mem + page * PAGE, &value) && value == page_tag(TAG, page);
}

/* Of what was there: touched before or not, through this mapping and a new one. */
#define EXPECT_REVOKED(self)						\
	do {								\
		struct view_info info_;					\
		uint64_t value_;					\
		char *new_;						\
									\
		EXPECT_EQ(SIGBUS, probe_read((self)->mem, &value_));	\
		EXPECT_EQ(SIGBUS, probe_write((self)->mem, 1));		\
		EXPECT_EQ(SIGBUS, probe_read((self)->mem + SIZE - PAGE, &value_)); \
		new_ = view_mmap((self)->viewfd, SIZE, PROT_RW, 0);	\
		ASSERT_NE(MAP_FAILED, new_);				\
		EXPECT_EQ(SIGBUS, probe_read(new_ + PAGE, &value_));	\
		munmap(new_, SIZE);					\
		ASSERT_EQ(0, view_info((self)->viewfd, &info_));	\
		EXPECT_EQ(0, info_.ranges);				\
		EXPECT_EQ(0, info_.bytes);				\
		EXPECT_EQ(SIZE, info_.size);				\
		EXPECT_EQ(0, fd_read_u64((self)->memfd, PAGE, &value_)); \
		EXPECT_EQ(page_tag(TAG, 1), value_);			\
	} while (0)

TEST_F(close, by_the_only_reference)
{
	EXPECT_TRUE(is_lent(self->mem, 0));
	ASSERT_EQ(0, close(self->control));
	EXPECT_REVOKED(self);
	/* The file is let go of, too. */
	EXPECT_TRUE(view_is_gone(self->memfd));
}

/* What has not been asked for does not happen, nor what has been taken back. */
TEST_F(close, not_by_default)
{
	ASSERT_EQ(0, view_set_flags(self->control, 0));
	EXPECT_TRUE(is_lent(self->mem, 0));
	close(self->control);
	EXPECT_TRUE(is_lent(self->mem, 0));
	EXPECT_TRUE(is_lent(self->mem, PAGES - 1));
}

TEST_F(close, by_the_last_of_many)
{
	int control = dup(self->control), status;
	pid_t pid;

	ASSERT_LE(0, control);
	EXPECT_TRUE(is_lent(self->mem, 0));
	close(self->control);
	EXPECT_TRUE(is_lent(self->mem, 0));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pause();
		_exit(0);
	}
	close(control);
	EXPECT_TRUE(is_lent(self->mem, 1));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_REVOKED(self);
}

/* On its way through a socket it is held, and can come back. */
TEST_F(close, not_while_in_flight)
{
	int pair[2], control;
	uint64_t value;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->control));
	close(self->control);
	EXPECT_TRUE(is_lent(self->mem, 0));
	control = recv_fd(pair[1]);
	ASSERT_LE(0, control);
	EXPECT_TRUE(is_lent(self->mem, 1));
	EXPECT_EQ(0, view_unmap(control, 0, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem, &value));
	ASSERT_EQ(0, send_fd(pair[0], control));
	close(control);
	EXPECT_TRUE(is_lent(self->mem, 1));
	/* Nobody can receive it any more. */
	close(pair[0]);
	close(pair[1]);
	WAIT_FOR(!is_lent(self->mem, 1), 20000);
	EXPECT_REVOKED(self);
}

/* One that was emptied, and one that never had anything, are none the worse. */
TEST_F(close, with_nothing_to_revoke)
{
	int empty = open(MEMVIEW_DEV, O_RDWR | O_CLOEXEC);

	ASSERT_EQ(0, view_set_flags(empty, MEMVIEW_REVOKE_ON_CLOSE));
	close(empty);
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	close(self->control);
	EXPECT_REVOKED(self);
}

/* More ranges than a node of the layout's tree has, and more than one source. */
TEST_F(close, with_many_ranges)
{
	int other = memfd_filled(SIZE, TAG);
	unsigned int page;

	for (page = 0; page < PAGES; page += 2)
		ASSERT_EQ(0, view_map(self->control, other, page * PAGE, PAGE, page * PAGE, MAP_R));
	for (page = 0; page < PAGES; page++)
		EXPECT_TRUE(is_lent(self->mem, page));
	close(self->control);
	EXPECT_REVOKED(self);
	close(other);
}

/* ---- A controller that is killed, while clients are at it ---- */

#define READERS	3

struct shared {
	_Atomic int stop;
	_Atomic uint64_t reads[READERS]; /* that went well */
	_Atomic uint64_t signals[READERS];
};

static struct shared *shared;

struct reader {
	char *mem;
	unsigned int nr;
};

static void *read_on(void *arg)
{
	struct reader *reader = arg;
	uint64_t n, value;

	for (n = reader->nr; !shared->stop; n++) {
		if (probe_read(reader->mem + n * 7 % PAGES * PAGE, &value))
			shared->signals[reader->nr]++;
		else
			shared->reads[reader->nr]++;
	}
	return NULL;
}

/* Lend all of the file, send a view fd, and wait for the end. */
static void be_controller(int sock, int memfd, uint32_t flags)
{
	int control = view_create(SIZE), viewfd = view_get_fd(control);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (view_set_flags(control, flags) || view_map(control, memfd, 0, SIZE, 0, MAP_RW) ||
	    send_fd(sock, viewfd))
		_exit(1);
	/* All that is left is the control fd. */
	close(viewfd);
	for (;;)
		pause();
}

static bool all_read(uint64_t more)
{
	uint64_t start[READERS];
	unsigned int i, tries;

	for (i = 0; i < READERS; i++)
		start[i] = shared->reads[i];
	for (i = 0, tries = 0; i < READERS && tries < 20000; tries++) {
		if (shared->reads[i] < start[i] + more)
			sleep_ms(1);
		else
			i++;
	}
	return i == READERS;
}

static void kill_controller(struct __test_metadata *_metadata, FIXTURE_DATA(close) *self,
			    uint32_t flags)
{
	struct reader reader[READERS];
	pthread_t thread[READERS];
	unsigned int i;
	int pair[2], status, viewfd;
	uint64_t before;
	char *mem;
	pid_t pid;

	memset(shared, 0, sizeof(*shared));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		be_controller(pair[1], self->memfd, flags);
	viewfd = recv_fd(pair[0]);
	ASSERT_LE(0, viewfd);
	mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (i = 0; i < READERS; i++) {
		reader[i] = (struct reader){ mem, i };
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, read_on, &reader[i]));
	}
	EXPECT_TRUE(all_read(100));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	if (flags) {
		/* Each has one read under way at the most. */
		for (i = 0, before = 0; i < READERS; i++)
			before += shared->reads[i] + 1;
		sleep_ms(20);
		for (i = 0; i < READERS; i++)
			before -= shared->reads[i];
		EXPECT_LE(0, (int64_t)before);
		EXPECT_EQ(SIGBUS, probe_read(mem, &before));
	} else {
		EXPECT_TRUE(all_read(100));
		EXPECT_TRUE(is_lent(mem, 5));
	}
	shared->stop = 1;
	for (i = 0; i < READERS; i++) {
		pthread_join(thread[i], NULL);
		if (!flags)
			EXPECT_EQ(0, shared->signals[i]);
	}
	munmap(mem, SIZE);
	close(viewfd);
	close(pair[0]);
	close(pair[1]);
}

/*
 * Catches: a revoke that is left to others once its caller is dead; a fault that
 * finds what it found last time in a layout that was emptied.
 */
TEST_F(close, by_kill)
{
	unsigned int i, n = scaled(20);

	shared = shared_alloc(sizeof(*shared));
	for (i = 0; i < n; i++)
		kill_controller(_metadata, self, MEMVIEW_REVOKE_ON_CLOSE);
	kill_controller(_metadata, self, 0);
	close(self->control);
}

/* ---- A fault that waits for storage meanwhile ---- */

static long read_slowly(void *arg)
{
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	char *mem = view_mmap(client_viewfd, SLOW_SIZE, PROT_READ, 0);
	uint64_t value = 0;
	long n;

	(void)arg;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	n = pread(fd, &value, sizeof(value), (uintptr_t)mem);
	return n < 0 ? -errno : 0;
}

static void *close_control(void *arg)
{
	close(*(int *)arg);
	return NULL;
}

/*
 * Catches: a close that waits for the fault; a fault that commits what it
 * waited for.
 */
TEST_F(close, while_a_fault_waits)
{
	int control, viewfd, i, err;
	struct client client;
	struct slow_fs fs;
	struct timespec limit;
	pthread_t thread;

	close(self->control);
	err = slow_fs_start(&fs);
	if (err == -ENODEV)
		SKIP(return, "missing: /dev/fuse");
	ASSERT_EQ(0, err);
	control = view_create(SLOW_SIZE);
	viewfd = view_get_fd(control);
	ASSERT_LE(0, viewfd);
	ASSERT_EQ(0, view_map(control, fs.fd, 0, SLOW_SIZE, 0, MAP_R));
	ASSERT_EQ(0, view_set_flags(control, MEMVIEW_REVOKE_ON_CLOSE));
	ASSERT_EQ(0, client_start(&client, viewfd));
	fs.shared->hold = 1;
	ASSERT_EQ(0, client_post(&client, read_slowly, NULL, 0));
	for (i = 0; i < 1000 && !fs.shared->held; i++)
		sleep_ms(10);
	EXPECT_LT(0, fs.shared->held);

	ASSERT_EQ(0, pthread_create(&thread, NULL, close_control, &control));
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 20 * slowness();
	err = pthread_timedjoin_np(thread, NULL, &limit);
	EXPECT_EQ(0, err) TH_LOG("the close waits for the fault");
	EXPECT_LT(0, fs.shared->held);
	fs.shared->hold = 0;
	if (err)
		pthread_join(thread, NULL);
	EXPECT_EQ(-EIO, client_result(&client, NULL, 0));
	EXPECT_EQ(0, client_stop(&client));
	close(viewfd);
	slow_fs_stop(&fs);
}

TEST_HARNESS_MAIN
