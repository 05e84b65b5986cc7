// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_window.c - a view is the DAX window of a virtio device: P1, P2 and P5
 * for a guest of QEMU
 *
 * The example dax_window is the device, QEMU is as packaged, and the test is
 * the guest, which loads and stores by QEMU's qtest protocol. QEMU maps the view
 * once. What is in the window then changes without it: it may be stopped.
 */
#include "vhost_qtest.h"

#include <poll.h>

#define WINDOW_SIZE	(64 * MiB)
#define FILE_SIZE	(8 * MiB)
#define FILES		3
#define PATIENCE_MS	60000

FIXTURE(window)
{
	struct klog klog;
	struct qtest qtest;
	char dir[32];
	char path[FILES][64];
	int file[FILES];
	pid_t device;
	int to, from; /* its standard input and output */
};

/* Its next line; "" if it does not come. */
static const char *device_says(FIXTURE_DATA(window) *self)
{
	struct pollfd fd = { self->from, POLLIN, 0 };
	static char line[256];
	size_t used;

	for (used = 0; used < sizeof(line) - 1; used++) {
		if (poll(&fd, 1, PATIENCE_MS * slowness()) != 1 ||
		    read(self->from, line + used, 1) != 1 || line[used] == '\n')
			break;
	}
	line[used] = '\0';
	return line;
}

/* Tell it, and wait for its answer. */
static const char *device_tell(FIXTURE_DATA(window) *self, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vdprintf(self->to, format, args);
	va_end(args);
	return device_says(self);
}

static const char *put(FIXTURE_DATA(window) *self, uint64_t offset, int file, uint64_t fd_offset,
		       uint64_t size, const char *how)
{
	return device_tell(self, "map %#lx %s %#lx %#lx %s\n", offset, self->path[file], fd_offset,
			   size, how);
}

static int device_start(FIXTURE_DATA(window) *self, const char *options)
{
	char command[256];
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		return -errno;
	/* The tools are in bin, the examples beside that. */
	snprintf(command, sizeof(command),
		 "exec \"$(dirname \"$(command -v memview-vhost-user)\")/../examples/dax_window\" %s %s/sock",
		 options, self->dir);
	self->device = program_spawn(NULL, (int[]){ in[0], out[1] }, 2, command);
	close(in[0]);
	close(out[1]);
	self->to = in[1];
	self->from = out[0];
	return strcmp(device_says(self), "listening") ? -EIO : 0;
}

/* Reset the device, and start it. */
static int restart(FIXTURE_DATA(window) *self)
{
	return qtest_features_ok(&self->qtest) ?: qtest_driver_ok(&self->qtest);
}

static int start(FIXTURE_DATA(window) *self, const char *options)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/sock", self->dir);
	return device_start(self, options) ?:
	       qtest_start(&self->qtest, qtest_qemu(), 64,
			   "vhost-user-test-device-pci,virtio-id=26", path) ?:
	       restart(self) ?:
	       strcmp(device_says(self), "started") ? -EIO : 0;
}

FIXTURE_SETUP(window)
{
	int i;

	if (!qtest_qemu())
		SKIP(return, QTEST_MISSING);
	ASSERT_LE(0, klog_start(&self->klog));
	strcpy(self->dir, "/tmp/windowXXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	for (i = 0; i < FILES; i++) {
		snprintf(self->path[i], sizeof(self->path[i]), "%s/file%d", self->dir, i);
		self->file[i] = open(self->path[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		ASSERT_EQ(0, ftruncate(self->file[i], FILE_SIZE));
		ASSERT_EQ(0, fill_fd(self->file[i], FILE_SIZE, i + 1));
	}
}

FIXTURE_TEARDOWN(window)
{
	char command[64];

	if (!self->dir[0])
		return;
	qtest_stop(&self->qtest);
	program_stop(&self->device);
	snprintf(command, sizeof(command), "rm -r %s", self->dir);
	EXPECT_EQ(0, system(command));
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* What the guest reads at @offset of the window; a number that is nowhere if it cannot. */
static uint64_t load(FIXTURE_DATA(window) *self, uint64_t offset)
{
	uint64_t value;
	int err = qtest_read(&self->qtest, self->qtest.window[0] + offset, &value);

	return err ? 0xdead0000 - err : value;
}

static int store(FIXTURE_DATA(window) *self, uint64_t offset, uint64_t value)
{
	return qtest_write(&self->qtest, self->qtest.window[0] + offset, value);
}

static uint64_t in_file(FIXTURE_DATA(window) *self, int file, uint64_t offset)
{
	uint64_t value = 0xdeadf11e;

	fd_read_u64(self->file[file], offset, &value);
	return value;
}

/* How many lines of QEMU's maps have @what. */
static int qemu_maps(FIXTURE_DATA(window) *self, const char *what)
{
	char path[64], line[512];
	FILE *maps;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", self->qtest.pid);
	maps = fopen(path, "r");
	if (!maps)
		return -errno;
	while (fgets(line, sizeof(line), maps))
		n += !!strstr(line, what);
	fclose(maps);
	return n;
}

TEST_F(window, shows_what_is_mapped)
{
	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	ASSERT_EQ(WINDOW_SIZE, self->qtest.window_size[0]);
	EXPECT_EQ(0, load(self, 0));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	EXPECT_EQ(page_tag(1, 0), load(self, 0));
	EXPECT_EQ(page_tag(1, 255), load(self, MiB - PAGE));
	EXPECT_EQ(0, load(self, MiB));
	/* The last page, from somewhere else of the file. */
	EXPECT_STREQ("ok", put(self, WINDOW_SIZE - PAGE, 0, 5 * PAGE, PAGE, ""));
	EXPECT_EQ(page_tag(1, 5), load(self, WINDOW_SIZE - PAGE));
	/* Another file instead, in the middle. */
	EXPECT_STREQ("ok", put(self, 16 * PAGE, 1, 0, 2 * PAGE, ""));
	EXPECT_EQ(page_tag(1, 15), load(self, 15 * PAGE));
	EXPECT_EQ(page_tag(2, 0), load(self, 16 * PAGE));
	EXPECT_EQ(page_tag(2, 1), load(self, 17 * PAGE));
	EXPECT_EQ(page_tag(1, 18), load(self, 18 * PAGE));
	/* What was read before is nowhere any more. */
	EXPECT_STREQ("ok", device_tell(self, "unmap 0 %#lx\n", MiB));
	EXPECT_EQ(0, load(self, 0));
	EXPECT_EQ(0, load(self, 16 * PAGE));
	EXPECT_EQ(0, load(self, MiB - PAGE));
	EXPECT_EQ(page_tag(1, 5), load(self, WINDOW_SIZE - PAGE));
}

/* QEMU maps one view, and none of the files; it need not even run. */
TEST_F(window, asks_nobody)
{
	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	EXPECT_EQ(1, qemu_maps(self, "memory-view"));
	ASSERT_EQ(0, kill(self->qtest.pid, SIGSTOP));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	EXPECT_STREQ("ok", put(self, 0, 1, 0, 4 * PAGE, ""));
	EXPECT_STREQ("ok", device_tell(self, "unmap %#lx %#lx\n", 8 * PAGE, 4 * PAGE));
	ASSERT_EQ(0, kill(self->qtest.pid, SIGCONT));
	EXPECT_EQ(page_tag(2, 3), load(self, 3 * PAGE));
	EXPECT_EQ(page_tag(1, 4), load(self, 4 * PAGE));
	EXPECT_EQ(0, load(self, 8 * PAGE));
	EXPECT_EQ(page_tag(1, 12), load(self, 12 * PAGE));
	EXPECT_EQ(1, qemu_maps(self, "memory-view"));
	EXPECT_EQ(0, qemu_maps(self, self->dir));
}

TEST_F(window, stores_land_in_the_file)
{
	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, "write"));
	EXPECT_EQ(0, store(self, 3 * PAGE + 8, 0x1234));
	EXPECT_EQ(0x1234, in_file(self, 0, 3 * PAGE + 8));
	EXPECT_EQ(0x1234, load(self, 3 * PAGE + 8));
	/* And what others write to the file is there, too. */
	EXPECT_EQ(0, fd_write_u64(self->file[0], 4 * PAGE, 0x5678));
	EXPECT_EQ(0x5678, load(self, 4 * PAGE));
	/* Taken away: a store goes nowhere. */
	EXPECT_STREQ("ok", device_tell(self, "unmap 0 %#lx\n", MiB));
	EXPECT_EQ(0, store(self, 3 * PAGE + 8, 0x9abc));
	EXPECT_EQ(0x1234, in_file(self, 0, 3 * PAGE + 8));
	EXPECT_EQ(0x9abc, load(self, 3 * PAGE + 8));
	/* Nor does it stand in the way of what comes. */
	EXPECT_STREQ("ok", put(self, 0, 1, 0, MiB, ""));
	EXPECT_EQ(page_tag(2, 3), load(self, 3 * PAGE));
	EXPECT_EQ(0, load(self, 3 * PAGE + 8));
}

/* A range that is read-only: QEMU is what stores, and dies. */
TEST_F(window, read_only_holds)
{
	int status;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	EXPECT_EQ(page_tag(1, 2), load(self, 2 * PAGE));
	EXPECT_EQ(-EPIPE, store(self, 2 * PAGE, 0x1234));
	status = qtest_stop(&self->qtest);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		TH_LOG("status %#x", status);
	EXPECT_EQ(page_tag(1, 2), in_file(self, 0, 2 * PAGE));
}

/* The device ends, and takes everything with it: what an access where no range is does to QEMU. */
TEST_F(window, holes_kill)
{
	int status;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64 --revoke"));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	EXPECT_EQ(page_tag(1, 2), load(self, 2 * PAGE));
	kill(self->device, SIGKILL);
	waitpid(self->device, NULL, 0);
	self->device = 0;
	EXPECT_EQ(0xdead0000 + EPIPE, load(self, 2 * PAGE));
	status = qtest_stop(&self->qtest);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		TH_LOG("status %#x", status);
}

/* Without --revoke the guest goes on with what it has. */
TEST_F(window, outlives_the_device)
{
	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	kill(self->device, SIGKILL);
	waitpid(self->device, NULL, 0);
	self->device = 0;
	EXPECT_EQ(page_tag(1, 2), load(self, 2 * PAGE));
	EXPECT_EQ(0, load(self, 2 * MiB));
}

/* QEMU drops the window when the guest resets the device, and not when it is paused. */
TEST_F(window, comes_back)
{
	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	ASSERT_EQ(0, restart(self));
	EXPECT_STREQ("started", device_says(self));
	EXPECT_EQ(page_tag(1, 2), load(self, 2 * PAGE));
	ASSERT_EQ(0, qtest_monitor(&self->qtest, "stop"));
	ASSERT_EQ(0, qtest_monitor(&self->qtest, "cont"));
	EXPECT_STREQ("started", device_says(self));
	EXPECT_EQ(page_tag(1, 2), load(self, 2 * PAGE));
	EXPECT_STREQ("ok", put(self, 0, 1, 0, MiB, ""));
	EXPECT_EQ(page_tag(2, 2), load(self, 2 * PAGE));
	EXPECT_EQ(1, qemu_maps(self, "memory-view"));
}

TEST_F(window, bad_requests)
{
	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	EXPECT_STREQ("error: Invalid argument", put(self, 1, 0, 0, PAGE, ""));
	EXPECT_STREQ("error: Invalid argument", put(self, WINDOW_SIZE, 0, 0, PAGE, ""));
	EXPECT_STREQ("error: Invalid argument", put(self, 0, 0, 0, 0, ""));
	EXPECT_STREQ("error: Invalid argument", put(self, 0, 0, FILE_SIZE - PAGE, 2 * PAGE, ""));
	EXPECT_STREQ("error: Invalid argument", put(self, 0, 0, FILE_SIZE, PAGE, ""));
	EXPECT_STREQ("error: No such file or directory", device_tell(self, "map 0 /nowhere 0 4096\n"));
	EXPECT_STREQ("error: Invalid argument", device_tell(self, "unmap %#lx 8192\n", WINDOW_SIZE - PAGE));
	EXPECT_STREQ("error: Invalid argument", device_tell(self, "unmap 0 100\n"));
	EXPECT_STREQ("error: Invalid argument", device_tell(self, "unmap -1 4096\n"));
	EXPECT_STREQ("error: Invalid argument", device_tell(self, "compare 1 4096\n"));
	EXPECT_STREQ("error: Operation not supported", device_tell(self, "hello\n"));
	EXPECT_EQ(0, load(self, 0));
}

/*
 * Behind memview-vhost-user there is no window: QEMU announces it as guest memory,
 * with the view for its file, and there is no view of a view.
 */
TEST_F(window, is_not_behind_the_proxy)
{
	char command[192], path[64];
	int log = memfd_create("log", MFD_CLOEXEC);
	pid_t proxy;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, device_start(self, "--size 64"));
	snprintf(path, sizeof(path), "%s/proxy", self->dir);
	snprintf(command, sizeof(command), "exec memview-vhost-user --frontend %s --backend %s/sock",
		 path, self->dir);
	proxy = program_start(NULL, log, command);
	ASSERT_EQ(0, program_listens(proxy, path));
	ASSERT_EQ(0, qtest_start(&self->qtest, qtest_qemu(), 64,
				 "vhost-user-test-device-pci,virtio-id=26", path));
	EXPECT_EQ(0, self->qtest.window_size[0]);
	/* This device insists, as no other should. */
	restart(self);
	EXPECT_EQ(0, log_says(log, "BACKEND_SHMEM_MAP, which was not offered"));
	program_stop(&proxy);
	close(log);
}

/* A file in the place of the socket is not the device's to remove. */
TEST_F(window, spares_a_file)
{
	char path[64];
	int file;

	if (!self->dir[0])
		return;
	snprintf(path, sizeof(path), "%s/sock", self->dir);
	file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ASSERT_LE(0, file);
	close(file);
	EXPECT_EQ(-EIO, device_start(self, "--size 64"));
	EXPECT_EQ(0, access(path, F_OK));
}

/* Changes at random: what the guest reads is what the model has, page by page. */
TEST_F_TIMEOUT(window, random, 300)
{
	const unsigned int pages = WINDOW_SIZE / PAGE, rounds = scaled(100);
	static uint64_t expected[WINDOW_SIZE / PAGE];
	uint64_t random = random_seed();
	unsigned int round, at, n, i, from, file;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64"));
	for (round = 0; round < rounds; round++) {
		n = 1 << random_next(&random) % 12;
		at = random_next(&random) % (pages - n);
		file = random_next(&random) % (FILES + 1);
		from = file < FILES ? random_next(&random) % (FILE_SIZE / PAGE - n + 1) : 0;
		for (i = 0; i < n; i++)
			expected[at + i] = file < FILES ? page_tag(file + 1, from + i) : 0;
		if (file < FILES) {
			ASSERT_STREQ("ok", put(self, at * PAGE, file, from * PAGE, n * PAGE, ""));
		} else {
			ASSERT_STREQ("ok", device_tell(self, "unmap %#lx %#lx\n", at * PAGE, n * PAGE));
		}
		/* Both edges, within, and anywhere. */
		ASSERT_EQ(expected[at], load(self, at * PAGE));
		ASSERT_EQ(expected[at + n - 1], load(self, (at + n - 1) * PAGE));
		ASSERT_EQ(expected[at + n], load(self, (at + n) * PAGE));
		for (i = 0; i < 8; i++) {
			unsigned int page = i % 2 ? random_next(&random) % pages :
						    at + random_next(&random) % n;

			ASSERT_EQ(expected[page], load(self, page * PAGE));
		}
	}
	printf("# %u changes, %u loads\n", rounds, rounds * 11);
}

/* Both ways to change a window, in turns: the other one asks QEMU. scripts/bench-vhost takes the figures from here. */
TEST_F_TIMEOUT(window, both_ways, 300)
{
	static const uint64_t sizes[] = { PAGE, 2 * MiB };
	double by_view, by_frontend;
	unsigned int i;

	if (!self->dir[0])
		return;
	ASSERT_EQ(0, start(self, "--size 64 --compare"));
	ASSERT_EQ(WINDOW_SIZE, self->qtest.window_size[1]);
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_EQ(2, sscanf(device_tell(self, "compare %u %lu\n", scaled(20), sizes[i]),
				    "view %lf frontend %lf", &by_view, &by_frontend));
		EXPECT_STREQ("ok", device_says(self));
		EXPECT_LT(0, by_view);
		EXPECT_GT(by_frontend, by_view);
		printf("# map and unmap %lu KiB: %.0f ns by the view, %.0f ns by QEMU\n",
		       sizes[i] / KiB, by_view, by_frontend);
	}
	EXPECT_EQ(0, load(self, 0));
	EXPECT_STREQ("ok", put(self, 0, 0, 0, MiB, ""));
	EXPECT_EQ(page_tag(1, 0), load(self, 0));
}

TEST_HARNESS_MAIN
