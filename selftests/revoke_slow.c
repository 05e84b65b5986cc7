// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_slow.c - P1 for a client whose fault waits for slow storage: the
 * change does not wait with it, and the page does not reach the client when
 * it arrives
 */
#include "revoke_fuse.h"

#include <sys/mount.h>
#include <sys/prctl.h>

#define VIEW_PAGES	(2 * SLOW_PAGES) /* the slow file, then a memfd */
#define VIEW_SIZE	(VIEW_PAGES * PAGE)
#define SLOW_PAGE	32 /* the page that the client waits for */
#define OTHER_FILE	9
#define WRITTEN		0x1717171717171717ULL

FIXTURE(revoke_slow)
{
	struct slow_fs fs;
	int memfd;
	int control, viewfd;
	struct client client;
	bool started;
	struct klog klog;
};

enum change { NOTHING, UNMAP, UNMAP_FIRST, REPLACE, NARROW, TRUNCATE };

FIXTURE_VARIANT(revoke_slow)
{
	enum change change;
	int read_sig, write_sig; /* what the client's access comes to */
};

FIXTURE_VARIANT_ADD(revoke_slow, nothing) {
	.change = NOTHING,
};

FIXTURE_VARIANT_ADD(revoke_slow, unmap) {
	.change = UNMAP,
	.read_sig = SIGBUS,
	.write_sig = SIGBUS,
};

FIXTURE_VARIANT_ADD(revoke_slow, replace) {
	.change = REPLACE,
};

FIXTURE_VARIANT_ADD(revoke_slow, narrow) {
	.change = NARROW,
	.write_sig = SIGSEGV,
};

FIXTURE_VARIANT_ADD(revoke_slow, truncate) {
	.change = TRUNCATE,
	.read_sig = SIGBUS,
	.write_sig = SIGBUS,
};

struct touch {
	unsigned int page;
	bool write;
	bool patient; /* in one go, see touch_patiently() */
	uint64_t value; /* read */
};

/*
 * An access of the client's own lets go of its mm while it waits, and starts
 * over. One by /proc/self/mem cannot: its fault keeps the page it waited for.
 */
static long touch_patiently(struct touch *t, char *addr)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	uint64_t value = WRITTEN;
	long n;

	if (t->write)
		n = pwrite(fd, &value, sizeof(value), (uintptr_t)addr);
	else
		n = pread(fd, &t->value, sizeof(t->value), (uintptr_t)addr);
	n = n < 0 ? -errno : 0;
	close(fd);
	return n;
}

/* In the client: map the view at the first call; touch a page. */
static long touch(void *arg)
{
	static char *mem;
	struct touch *t = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!mem)
		mem = view_mmap(client_viewfd, VIEW_SIZE, PROT_RW, 0);
	if (mem == MAP_FAILED)
		return -errno;
	if (t->patient)
		return touch_patiently(t, mem + t->page * PAGE);
	if (t->write)
		return probe_write(mem + t->page * PAGE, WRITTEN);
	return probe_read(mem + t->page * PAGE, &t->value);
}

FIXTURE_SETUP(revoke_slow)
{
	int err;

	ASSERT_EQ(0, klog_start(&self->klog));
	err = slow_fs_start(&self->fs);
	if (err == -ENODEV)
		SKIP(return, "missing: /dev/fuse");
	ASSERT_EQ(0, err);
	self->memfd = memfd_filled(SLOW_SIZE, OTHER_FILE);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(VIEW_SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, SLOW_SIZE, 0,
			      MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SLOW_SIZE,
			      SLOW_SIZE, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	ASSERT_EQ(0, client_start(&self->client, self->viewfd));
	self->started = true;
}

FIXTURE_TEARDOWN(revoke_slow)
{
	if (self->fs.shared) {
		self->fs.shared->hold = 0;
		self->fs.shared->hold_writes = 0;
	}
	if (self->started)
		client_kill(&self->client);
	close(self->viewfd);
	close(self->control);
	close(self->memfd);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static bool is_in_wait(pid_t pid)
{
	char path[64], text[512], *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_file(path, text, sizeof(text)) < 0)
		return false;
	state = strrchr(text, ')');
	return state && state[2] == 'D';
}

/* Let the client touch the slow page, and see that it waits in the fault. */
static bool block_client(FIXTURE_DATA(revoke_slow) *self, const struct touch *t)
{
	int i, seen = 0;

	self->fs.shared->hold = 1;
	if (client_post(&self->client, touch, t, sizeof(*t)))
		return false;
	for (i = 0; i < 1000 && seen < 5; i++) {
		sleep_ms(10);
		if (self->fs.shared->held && is_in_wait(self->client.pid))
			seen++;
		else
			seen = 0;
	}
	return seen == 5;
}

static int apply(FIXTURE_DATA(revoke_slow) *self, enum change change)
{
	switch (change) {
	case UNMAP:
		return view_unmap(self->control, 0, SLOW_SIZE);
	case UNMAP_FIRST:
		return view_unmap(self->control, 0, PAGE);
	case REPLACE:
		return view_map(self->control, self->memfd, 0, SLOW_SIZE, 0,
				MAP_RW);
	case NARROW:
		return view_map(self->control, self->fs.fd, 0, SLOW_SIZE, 0,
				MAP_R);
	case TRUNCATE:
		return view_resize(self->control, SLOW_PAGE * PAGE);
	default:
		return 0;
	}
}

struct changer {
	FIXTURE_DATA(revoke_slow) *self;
	enum change change;
	int err;
};

static void *changer_thread(void *arg)
{
	struct changer *c = arg;

	c->err = apply(c->self, c->change);
	return NULL;
}

/* Make the change, but do not wait for it for ever. */
static int apply_in_time(FIXTURE_DATA(revoke_slow) *self, enum change change)
{
	struct changer c = { .self = self, .change = change };
	struct timespec limit;
	pthread_t thread;
	int err;

	err = pthread_create(&thread, NULL, changer_thread, &c);
	if (err)
		return -err;
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 10 * slowness();
	if (pthread_timedjoin_np(thread, NULL, &limit)) {
		self->fs.shared->hold = 0;
		self->fs.shared->hold_writes = 0;
		pthread_join(thread, NULL);
		return -ETIMEDOUT;
	}
	return c.err;
}

/* A client waits; the change does not; what comes of the client's access? */
static void check_access(struct __test_metadata *_metadata,
			 FIXTURE_DATA(revoke_slow) *self, enum change change,
			 struct touch t, int want_result)
{
	uint64_t want = page_tag(SLOW_FILE, SLOW_PAGE), value;

	if (t.patient && want_result)
		want_result = -EIO;
	t.page = SLOW_PAGE;
	ASSERT_TRUE(block_client(self, &t));
	ASSERT_EQ(0, apply_in_time(self, change));
	ASSERT_TRUE(is_in_wait(self->client.pid));
	self->fs.shared->hold = 0;
	EXPECT_EQ(want_result, client_result(&self->client, &t, sizeof(t)));

	if (!t.write) {
		if (change == REPLACE)
			want = page_tag(OTHER_FILE, SLOW_PAGE);
		if (!want_result)
			EXPECT_EQ(want, t.value);
		return;
	}
	/* It must not reach the file it was meant for. */
	if (change == NOTHING)
		want = WRITTEN;
	EXPECT_EQ(0, fd_read_u64(self->fs.fd, SLOW_PAGE * PAGE, &value));
	EXPECT_EQ(want, value);
	want = change == REPLACE ? WRITTEN : page_tag(OTHER_FILE, SLOW_PAGE);
	EXPECT_EQ(0, fd_read_u64(self->memfd, SLOW_PAGE * PAGE, &value));
	EXPECT_EQ(want, value);
}

/*
 * Catches: a view lock held while the source is asked for its page (the change
 * would take as long as the storage); and, by the patient ones, a page that is
 * inserted without another look at the range.
 */
TEST_F(revoke_slow, read)
{
	struct touch t = { .write = false };

	check_access(_metadata, self, variant->change, t, variant->read_sig);
}

TEST_F(revoke_slow, write)
{
	struct touch t = { .write = true };

	check_access(_metadata, self, variant->change, t, variant->write_sig);
}

TEST_F(revoke_slow, patient_read)
{
	struct touch t = { .patient = true };

	check_access(_metadata, self, variant->change, t, variant->read_sig);
}

TEST_F(revoke_slow, patient_write)
{
	struct touch t = { .write = true, .patient = true };

	check_access(_metadata, self, variant->change, t, variant->write_sig);
}

/*
 * A client that is killed dies while its storage still does not answer, as it
 * would in a fault of an mmap of the file.
 *
 * Catches: an uninterruptible wait for the source's page; a fatal signal
 * that loses or gains a lock on its way out (the kernel log tells).
 */
TEST_F(revoke_slow, kill)
{
	struct touch t = { .page = SLOW_PAGE };
	int i, status = -1;

	ASSERT_TRUE(block_client(self, &t));
	ASSERT_EQ(0, apply_in_time(self, variant->change));
	ASSERT_EQ(0, kill(self->client.pid, SIGKILL));
	for (i = 0; i < 1000; i++) {
		if (waitpid(self->client.pid, &status, WNOHANG) ==
		    self->client.pid)
			break;
		sleep_ms(10);
	}
	EXPECT_EQ(SIGKILL, status) TH_LOG("the client does not die");
	EXPECT_LT(0, self->fs.shared->held);
	self->started = status != SIGKILL;
}

/*
 * The client has written pages that slow storage does not take. Its file
 * system writes them back when the file is closed or no longer mapped (FUSE
 * does); the change that lets go of the file does not wait long for that.
 *
 * Catches: a source that is let go of under the view's locks.
 */
TEST_F(revoke_slow, dirty)
{
	struct touch t = { .page = SLOW_PAGE, .write = true };
	uint64_t value;

	ASSERT_EQ(0, client_call(&self->client, touch, &t, sizeof(t)));
	self->fs.shared->hold_writes = 1;
	EXPECT_EQ(0, apply_in_time(self, variant->change));
	/* Nor does the next one. */
	EXPECT_EQ(0, apply_in_time(self, UNMAP_FIRST));
	self->fs.shared->hold_writes = 0;
	EXPECT_EQ(0, fd_read_u64(self->fs.fd, SLOW_PAGE * PAGE, &value));
	EXPECT_EQ(WRITTEN, value);
}

/*
 * Others are not held up: another client faults in another range, and the
 * controller changes other ranges, and makes view fds.
 *
 * Catches: a lock of the whole view held over the wait.
 */
TEST_F(revoke_slow, others_go_on)
{
	struct touch t = { .page = SLOW_PAGE };
	struct client other;
	int fd;

	ASSERT_TRUE(block_client(self, &t));
	t.page = SLOW_PAGES + 1;
	alarm(60);
	fd = view_get_fd(self->control);
	EXPECT_LE(0, fd);
	ASSERT_EQ(0, client_start(&other, fd));
	EXPECT_EQ(0, client_call(&other, touch, &t, sizeof(t)));
	EXPECT_EQ(page_tag(OTHER_FILE, 1), t.value);
	t.write = true;
	EXPECT_EQ(0, client_call(&other, touch, &t, sizeof(t)));
	EXPECT_EQ(0, apply_in_time(self, variant->change));
	EXPECT_EQ(0, view_map(self->control, self->memfd, PAGE, PAGE, 0, MAP_R));
	t = (struct touch){ .page = 0 };
	EXPECT_EQ(0, client_call(&other, touch, &t, sizeof(t)));
	EXPECT_EQ(WRITTEN, t.value);
	EXPECT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(SIGBUS, client_call(&other, touch, &t, sizeof(t)));
	EXPECT_EQ(0, client_stop(&other));
	EXPECT_TRUE(is_in_wait(self->client.pid));
	alarm(0);
}

/* ---- Another server's file ---- */

enum { STUCK = 1100 }; /* more than the kernel has workers for a queue */

/* Let a view have a file for a moment, so that it has to be closed. */
static int have_and_close(int fd)
{
	int control = view_create(PAGE), err;

	if (control < 0)
		return control;
	err = view_map(control, fd, 0, PAGE, 0, MAP_RW);
	close(control);
	return err;
}

/* Catches: files that nobody lets go of, for a server that does not answer others. */
TEST(hanging_server_keeps_no_other_file)
{
	struct slow_fs hanging, other;
	struct klog klog;
	char *mem;
	int i;

	ASSERT_EQ(0, klog_start(&klog));
	if (slow_fs_start(&hanging) || slow_fs_start(&other))
		SKIP(return, "missing: /dev/fuse");
	mem = mmap(NULL, PAGE, PROT_RW, MAP_SHARED, hanging.fd, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, probe_write(mem, 1));
	hanging.shared->hold_writes = 1;
	for (i = 0; i < STUCK; i++)
		ASSERT_EQ(0, have_and_close(hanging.fd));
	ASSERT_EQ(0, have_and_close(other.fd));
	close(other.fd);
	other.fd = -1;
	EXPECT_TRUE(WAIT_FOR(!umount(other.dir) || errno == EINVAL, 10000));
	hanging.shared->hold_writes = 0;
	munmap(mem, PAGE);
	slow_fs_stop(&hanging);
	slow_fs_stop(&other);
	EXPECT_KLOG_CLEAN(&klog);
}

TEST_HARNESS_MAIN
