// SPDX-License-Identifier: GPL-2.0
/*
 * client_sync_slow.c - msync() and fsync() of a client whose storage is slow, or
 * fails: who waits, and who is told
 */
#include "revoke_fuse.h"

#define VIEW_SIZE	(2 * SLOW_SIZE) /* the slow file, then a memfd */
#define VALUE		0x1919191919191919ULL

FIXTURE(client_sync)
{
	struct slow_fs fs;
	int memfd;
	int control, viewfd;
	char *mem;
	_Atomic int *begun; /* the client is about to ask */
	struct client client;
	struct klog klog;
};

FIXTURE_SETUP(client_sync)
{
	int err;

	ASSERT_EQ(0, klog_start(&self->klog));
	err = slow_fs_start(&self->fs);
	if (err == -ENODEV)
		SKIP(return, "missing: /dev/fuse");
	ASSERT_EQ(0, err);
	self->memfd = memfd_filled(SLOW_SIZE, 1);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(VIEW_SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, SLOW_SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SLOW_SIZE, SLOW_SIZE, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->begun = shared_alloc(sizeof(*self->begun));
	ASSERT_NE(NULL, self->begun);
	ASSERT_EQ(0, client_start(&self->client, self->viewfd));
	self->mem = view_mmap(self->viewfd, VIEW_SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(client_sync)
{
	if (self->fs.shared) {
		self->fs.shared->hold_fsyncs = 0;
		kill(self->fs.server, SIGCONT);
	}
	if (self->client.pid)
		client_kill(&self->client);
	munmap(self->mem, VIEW_SIZE);
	close(self->viewfd);
	close(self->control);
	close(self->memfd);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int err_of(int ret)
{
	return ret ? -errno : 0;
}

/* ---- Errors ---- */

/*
 * One error of writeback. Each view fd tells it once, and so does the controller's
 * own file, whoever heard of it first.
 *
 * Catches: a client that hears of nothing; an error of which the controller is
 * not told because a client was.
 */
TEST_F(client_sync, error_is_told_once_each)
{
	int other = view_get_fd(self->control), later;

	ASSERT_LE(0, other);
	ASSERT_EQ(0, probe_write(self->mem, VALUE));
	self->fs.shared->fail_writes = 1;
	EXPECT_EQ(-EIO, err_of(msync(self->mem, PAGE, MS_SYNC)));
	self->fs.shared->fail_writes = 0;
	EXPECT_EQ(0, err_of(msync(self->mem, PAGE, MS_SYNC)));
	EXPECT_EQ(0, err_of(fsync(self->viewfd)));
	EXPECT_EQ(-EIO, err_of(fsync(other)));
	EXPECT_EQ(0, err_of(fsync(other)));
	later = view_get_fd(self->control);
	EXPECT_EQ(0, err_of(fsync(later)));
	EXPECT_EQ(-EIO, err_of(fsync(self->fs.fd)));
	EXPECT_EQ(0, err_of(fsync(self->fs.fd)));
	EXPECT_EQ(0, err_of(fsync(self->viewfd)));
	close(later);
	close(other);
}

/* The controller is told first: the client is, too. */
TEST_F(client_sync, error_that_the_controller_has_heard_of)
{
	ASSERT_EQ(0, probe_write(self->mem, VALUE));
	self->fs.shared->fail_writes = 1;
	EXPECT_EQ(-EIO, err_of(fsync(self->fs.fd)));
	self->fs.shared->fail_writes = 0;
	EXPECT_EQ(-EIO, err_of(fsync(self->viewfd)));
	EXPECT_EQ(0, err_of(fsync(self->viewfd)));
	EXPECT_EQ(0, err_of(fsync(self->fs.fd)));
}

/*
 * An old error, of which the controller has not heard, is no reason for a sync to
 * stop half-way.
 */
TEST_F(client_sync, old_error_stops_no_sync)
{
	uint64_t stored;
	int before;

	ASSERT_EQ(0, probe_write(self->mem, VALUE));
	self->fs.shared->fail_writes = 1;
	EXPECT_EQ(-EIO, err_of(msync(self->mem, PAGE, MS_SYNC)));
	self->fs.shared->fail_writes = 0;
	before = self->fs.shared->fsyncs;
	ASSERT_EQ(0, probe_write(self->mem + PAGE, VALUE));
	EXPECT_EQ(0, err_of(fsync(self->viewfd)));
	memcpy(&stored, self->fs.shared->data + PAGE, sizeof(stored));
	EXPECT_EQ(VALUE, stored);
	EXPECT_EQ(before + 1, self->fs.shared->fsyncs);
}

/* ---- Waiting ---- */

struct job {
	bool by_fd; /* fsync() of the view fd, or msync() of a page */
	_Atomic int *begun;
};

static char *client_mem; /* in the client */

/* In the client: write a page. A first one may be throttled, so the server must answer. */
static long write_in_client(void *arg)
{
	if (!client_mem)
		client_mem = view_mmap(client_viewfd, SLOW_SIZE, PROT_RW, 0);
	return client_mem == MAP_FAILED ? -errno : probe_write(client_mem, VALUE);
}

static long sync_in_client(void *arg)
{
	struct job *job = arg;

	*job->begun = 1;
	return err_of(job->by_fd ? fsync(client_viewfd) : msync(client_mem, PAGE, MS_SYNC));
}

static bool waits(pid_t pid)
{
	char path[64], text[512], *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, text, sizeof(text)) < 0)
		return false;
	state = strrchr(text, ')');
	return state && (state[2] == 'D' || state[2] == 'S');
}

/*
 * A client waits for storage that does not answer. Changes, and other clients,
 * do not.
 *
 * Catches: a lock of the view that is held while a file is asked.
 */
TEST_F(client_sync, nobody_else_waits)
{
	struct job job = { .begun = self->begun };

	ASSERT_EQ(0, client_call(&self->client, write_in_client, NULL, 0));
	self->fs.shared->hold_fsyncs = 1;
	ASSERT_EQ(0, client_post(&self->client, sync_in_client, &job, sizeof(job)));
	ASSERT_TRUE(WAIT_FOR(self->fs.shared->held && *self->begun, 10000));
	alarm(60);
	EXPECT_EQ(0, err_of(msync(self->mem + SLOW_SIZE, SLOW_SIZE, MS_SYNC)));
	EXPECT_EQ(0, probe_write(self->mem + SLOW_SIZE, VALUE));
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, PAGE, MAP_RW));
	EXPECT_EQ(0, view_unmap(self->control, 0, SLOW_SIZE));
	EXPECT_EQ(0, err_of(fsync(self->viewfd)));
	alarm(0);
	EXPECT_LT(0, self->fs.shared->held);
	self->fs.shared->hold_fsyncs = 0;
	EXPECT_EQ(0, client_result(&self->client, &job, sizeof(job)));
}

/*
 * As of the file itself, as long as its server has not taken the request. The
 * server must go on in any case, or this process could not close the file.
 */
TEST_F(client_sync, kill)
{
	struct job job = { .begun = self->begun, .by_fd = true };
	int status = -1, i, seen = 0;

	/* By then it has closed what it does not need, for which the server is asked. */
	ASSERT_EQ(0, client_call(&self->client, write_in_client, NULL, 0));
	ASSERT_EQ(0, fsync(self->viewfd));
	ASSERT_EQ(0, kill(self->fs.server, SIGSTOP));
	EXPECT_EQ(0, client_post(&self->client, sync_in_client, &job, sizeof(job)));
	for (i = 0; i < 1000 && seen < 5; i++) {
		sleep_ms(10);
		seen = *self->begun && waits(self->client.pid) ? seen + 1 : 0;
	}
	EXPECT_EQ(5, seen);
	EXPECT_EQ(0, kill(self->client.pid, SIGKILL));
	EXPECT_TRUE(WAIT_FOR((waitpid(self->client.pid, &status, WNOHANG), status == SIGKILL), 10000));
	if (status == SIGKILL)
		self->client.pid = 0;
	kill(self->fs.server, SIGCONT);
}

TEST_HARNESS_MAIN
