// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_dpdk.c - memview-vhost-user between two processes of DPDK: P1 and P2
 * for a device that polls
 *
 * Both are testpmd, as packaged, without huge pages. The guest's has a port of
 * virtio-user and the device's one of vhost. Each forwards all that comes to a
 * port of the test's, which is a pcap file in a named pipe, and back:
 *
 *   test -> guest.in  -> virtio-user, [memview-vhost-user], vhost -> device.out -> test
 *   test <- guest.out <-                                          <- device.in  <- test
 */
#include "vhost_frames.h"

#include <dirent.h>

struct pmd {
	const char *name;
	pid_t pid;
	int log, commands;
	unsigned int starts;
	struct frames in, out;
};

FIXTURE(dpdk)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct pmd guest, device;
	uint64_t random;
};

/* ---- A process of DPDK ---- */

static int tell(struct pmd *pmd, const char *commands)
{
	ssize_t size = strlen(commands);

	return write(pmd->commands, commands, size) == size ? 0 : -EIO;
}

/* Forward what comes. Who sends tries again while there is no room, so that nothing is lost. */
static int forward(struct pmd *pmd)
{
	char done[32], commands[128];

	snprintf(done, sizeof(done), "# start %u is done", ++pmd->starts);
	snprintf(commands, sizeof(commands),
		 "set fwd io retry\nset burst tx delay 100 retry 1000000\nstart\n%s\n", done);
	return tell(pmd, commands) ?: log_says(pmd->log, done);
}

static const char *pmd_path(FIXTURE_DATA(dpdk) *self, struct pmd *pmd, const char *what)
{
	static char path[64];

	snprintf(path, sizeof(path), "%s/%s.%s", self->proxy.dir, pmd->name, what);
	return path;
}

static int pmd_start(FIXTURE_DATA(dpdk) *self, struct pmd *pmd, const char *port)
{
	char command[1024];
	int last = sysconf(_SC_NPROCESSORS_ONLN) - 1;

	pmd->log = memfd_create("log", MFD_CLOEXEC);
	unlink(pmd_path(self, pmd, "commands"));
	if (mkfifo(pmd_path(self, pmd, "commands"), 0600))
		return -errno;
	pmd->commands = open(pmd_path(self, pmd, "commands"), O_RDWR | O_CLOEXEC);
	if (pmd->log < 0 || pmd->commands < 0)
		return -errno;
	/* A thread for each direction: one that waits for room must not keep the other from making some. */
	snprintf(command, sizeof(command),
		 "exec stdbuf -oL dpdk-testpmd --no-huge -m 128 --no-pci --no-shconf --no-telemetry "
		 "--file-prefix %s --lcores '0@(0-%d),1@(0-%d),2@(0-%d)' --vdev %s "
		 "--vdev net_pcap0,rx_pcap=%s.in,tx_pcap=%s.out -- "
		 "--interactive --disable-link-check --nb-cores=2 --no-flush-rx --total-num-mbufs=16384 <%s.commands",
		 pmd->name, last, last, last, port, pmd->name, pmd->name, pmd->name);
	pmd->pid = program_start(self->proxy.dir, pmd->log, command);
	return pmd->pid < 0 ? pmd->pid : 0;
}

static void pmd_kill(struct pmd *pmd)
{
	if (pmd->pid <= 0)
		return;
	kill(pmd->pid, SIGKILL);
	waitpid(pmd->pid, NULL, 0);
	pmd->pid = 0;
	close(pmd->commands);
	close(pmd->log);
}

/* ---- A session ---- */

/* The same frames at both ends, in both directions. */
static int frames_begin(FIXTURE_DATA(dpdk) *self, uint64_t bytes)
{
	uint64_t out = random_next(&self->random), in = random_next(&self->random);
	struct pmd *guest = &self->guest, *device = &self->device;

	return frames_send(&guest->in, pmd_path(self, guest, "in"), out, bytes) ?:
	       frames_check(&device->out, pmd_path(self, device, "out"), out, bytes) ?:
	       frames_send(&device->in, pmd_path(self, device, "in"), in, bytes) ?:
	       frames_check(&guest->out, pmd_path(self, guest, "out"), in, bytes);
}

static int device_start(FIXTURE_DATA(dpdk) *self)
{
	char port[128];

	snprintf(port, sizeof(port), "net_vhost0,iface=%s", self->proxy.backend);
	unlink(self->proxy.backend);
	return pmd_start(self, &self->device, port) ?:
	       program_listens(self->device.pid, self->proxy.backend);
}

/* The guest first: DPDK's virtio throws away what has come before its port was started. */
static int begin(FIXTURE_DATA(dpdk) *self)
{
	return forward(&self->guest) ?: forward(&self->device);
}

static int guest_start(FIXTURE_DATA(dpdk) *self, const char *path, const char *options)
{
	char port[128];

	snprintf(port, sizeof(port), "net_virtio_user0,path=%s%s", path, options);
	return pmd_start(self, &self->guest, port) ?: begin(self);
}

static void print_logs(FIXTURE_DATA(dpdk) *self)
{
	printf("# the proxy: %s\n", proxy_log(&self->proxy));
	if (self->device.pid > 0)
		printf("# the device: %s\n", log_text(self->device.log));
	if (self->guest.pid > 0)
		printf("# the guest: %s\n", log_text(self->guest.log));
}

FIXTURE_SETUP(dpdk)
{
	if (system("command -v dpdk-testpmd >/dev/null"))
		SKIP(return, "missing: dpdk-testpmd, which is in the package dpdk-dev");
	ASSERT_LE(0, klog_start(&self->klog));
	self->random = random_seed();
	printf("# MEMVIEW_TEST_SEED=%ju\n", (uintmax_t)self->random);
	self->guest.name = "guest";
	self->device.name = "device";
	/* A device that polls dies with its guest, unless it is told first. */
	ASSERT_EQ(0, proxy_start(&self->proxy, "--grace 10000 --verbose"));
	close(self->proxy.listener);
}

FIXTURE_TEARDOWN(dpdk)
{
	if (!self->proxy.pid)
		return;
	pmd_kill(&self->guest);
	pmd_kill(&self->device);
	proxy_stop(&self->proxy, SIGTERM);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* ---- Whose memory a process has ---- */

/* In how many places of its map a process has that, of inode @wanted if not 0; @first is the first's. */
static unsigned int mapped(pid_t pid, const char *name, uintmax_t wanted, uintmax_t *first)
{
	unsigned int found = 0;
	char path[64], line[512];
	uintmax_t inode;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strstr(line, name) || sscanf(line, "%*s %*s %*s %*s %ju", &inode) != 1 ||
		    (wanted && inode != wanted))
			continue;
		if (first && !found)
			*first = inode;
		found++;
	}
	if (file)
		fclose(file);
	return found;
}

/* As how many file descriptors it has it. */
static unsigned int opened(pid_t pid, const char *name, uintmax_t wanted)
{
	unsigned int found = 0;
	char path[64], link[512];
	struct dirent *entry;
	struct stat stat;
	ssize_t size;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		size = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		link[size < 0 ? 0 : size] = '\0';
		found += strstr(link, name) && !fstatat(dirfd(dir), entry->d_name, &stat, 0) &&
			 (!wanted || stat.st_ino == wanted);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* DPDK's own memory is a memfd of that name, in both processes: the guest's is told by its inode. */
static void expect_lent(struct __test_metadata *_metadata, FIXTURE_DATA(dpdk) *self, bool by_views)
{
	uintmax_t memory = 0;

	EXPECT_EQ(1, mapped(self->guest.pid, "/memfd:nohuge", 0, &memory));
	EXPECT_NE(0, memory);
	EXPECT_LE(1, mapped(self->device.pid, "/memfd:nohuge", 0, NULL));
	EXPECT_EQ(!by_views, !!mapped(self->device.pid, "/memfd:nohuge", memory, NULL));
	EXPECT_EQ(!by_views, !!opened(self->device.pid, "/memfd:nohuge", memory));
	EXPECT_EQ(by_views, !!mapped(self->device.pid, "memory-view:", 0, NULL));
	EXPECT_EQ(by_views, !!opened(self->device.pid, "memory-view:", 0));
}

/* ---- The tests ---- */

/*
 * @message: how the guest's memory is announced, or NULL where nobody is in between.
 * DPDK 24.11 knows but one at either end: for the other there is vhost_blk.
 */
static void verify(struct __test_metadata *_metadata, FIXTURE_DATA(dpdk) *self, const char *path,
		   const char *options, const char *message)
{
	uint64_t bytes = (uint64_t)scaled(8) * MiB, start;

	if (!self->proxy.pid)
		return;
	ASSERT_EQ(0, frames_begin(self, bytes));
	ASSERT_EQ(0, device_start(self)) print_logs(self);
	ASSERT_EQ(0, guest_start(self, path, options)) print_logs(self);
	EXPECT_EQ(0, frames_flow(&self->guest.out, 1)) print_logs(self);
	start = now_ns();
	expect_lent(_metadata, self, message);
	EXPECT_EQ(0, frames_end(&self->guest.in));
	EXPECT_EQ(0, frames_end(&self->device.in));
	EXPECT_EQ(0, frames_end(&self->device.out)) print_logs(self);
	EXPECT_EQ(0, frames_end(&self->guest.out)) print_logs(self);
	if (message) {
		EXPECT_TRUE(proxy_announces_by(&self->proxy, message)) print_logs(self);
	}
	printf("# %s: %ju MiB there and %ju MiB back, %ju frames, %.1f s\n",
	       message ?: "without views",
	       (uintmax_t)(self->device.out.moved / MiB), (uintmax_t)(self->guest.out.moved / MiB),
	       (uintmax_t)(self->device.out.count + self->guest.out.count),
	       (now_ns() - start) / 1e9);
}

TEST_F_TIMEOUT(dpdk, split, 500)
{
	verify(_metadata, self, self->proxy.frontend, "", "SET_MEM_TABLE");
}

TEST_F_TIMEOUT(dpdk, packed, 500)
{
	verify(_metadata, self, self->proxy.frontend, ",packed_vq=1", "SET_MEM_TABLE");
}

/* Nobody in between: what is looked for in the device is found there. */
TEST_F_TIMEOUT(dpdk, without_views, 500)
{
	verify(_metadata, self, self->proxy.backend, "", NULL);
}

/* Frames without an end, both ways; and: has a part of them come? */
static int flood(FIXTURE_DATA(dpdk) *self)
{
	return frames_begin(self, UINT64_MAX) ?:
	       device_start(self) ?:
	       guest_start(self, self->proxy.frontend, "");
}

static int flows(FIXTURE_DATA(dpdk) *self)
{
	return frames_flow(&self->guest.out, MiB) ?: frames_flow(&self->device.out, MiB);
}

/* Did the device die of it within some seconds? It may as well go on, and find nothing to do. */
static bool device_died(struct __test_metadata *_metadata, FIXTURE_DATA(dpdk) *self)
{
	int status, i;

	for (i = 0; i < 300; i++) {
		if (waitpid(self->device.pid, &status, WNOHANG) == self->device.pid) {
			EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
			self->device.pid = 0;
			return true;
		}
		sleep_ms(10);
	}
	return false;
}

/* They came and went rightly until now, and no more shall. */
static void frames_abandon(struct __test_metadata *_metadata, FIXTURE_DATA(dpdk) *self)
{
	EXPECT_EQ(0, frames_stop(&self->guest.in));
	EXPECT_EQ(0, frames_stop(&self->device.in));
	EXPECT_EQ(0, frames_stop(&self->device.out)) TH_LOG("%s", self->device.out.why);
	EXPECT_EQ(0, frames_stop(&self->guest.out)) TH_LOG("%s", self->guest.out.why);
}

/* The other side is gone and makes no room any more, so do not wait for it. */
static int let_go(struct pmd *pmd)
{
	return tell(pmd, "set burst tx delay 1 retry 1\nstop\nport stop 1\n");
}

/*
 * The guest's process gets another port, in the place of the one whose device is
 * gone; the test's port is started again, to open the new pipes.
 */
static int guest_again(FIXTURE_DATA(dpdk) *self, int round)
{
	char commands[512];

	snprintf(commands, sizeof(commands),
		 "port attach net_virtio_user%d,path=%s\nset portlist 1,%d\n"
		 "port start 1\nport start %d\n",
		 round, self->proxy.frontend, round + 1, round + 1);
	return tell(&self->guest, commands) ?: begin(self);
}

/* Taken away while frames flow: those that came were right, and the guest goes on with another. */
TEST_F_TIMEOUT(dpdk, revoked_under_load, 500)
{
	char out[256];
	int round;

	if (!self->proxy.pid)
		return;
	ASSERT_EQ(0, flood(self)) print_logs(self);
	for (round = 1; round <= 2; round++) {
		ASSERT_EQ(0, flows(self)) print_logs(self);
		sleep_ms(random_next(&self->random) % 500);
		ASSERT_EQ(0, proxy_control(&self->proxy, "revoke all", out, sizeof(out))) TH_LOG("%s", out);
		printf("# the device %s\n", device_died(_metadata, self) ? "died of SIGBUS" : "goes on");
		pmd_kill(&self->device);
		ASSERT_EQ(0, let_go(&self->guest));
		frames_abandon(_metadata, self);
		ASSERT_EQ(0, frames_begin(self, UINT64_MAX));
		/* It would hold for the next session of the same guest. */
		ASSERT_EQ(0, proxy_control(&self->proxy, "restore all", out, sizeof(out))) TH_LOG("%s", out);
		ASSERT_EQ(0, device_start(self)) print_logs(self);
		ASSERT_EQ(0, guest_again(self, round)) print_logs(self);
	}
	ASSERT_EQ(0, frames_flow(&self->guest.out, MiB)) print_logs(self);
	expect_lent(_metadata, self, true);
}

/* The guest is killed while frames flow: the device is told, lets go, and serves the next. */
TEST_F_TIMEOUT(dpdk, guest_killed_under_load, 500)
{
	char said[64];
	int round;

	if (!self->proxy.pid)
		return;
	ASSERT_EQ(0, flood(self)) print_logs(self);
	for (round = 1; round <= 2; round++) {
		ASSERT_EQ(0, flows(self)) print_logs(self);
		pmd_kill(&self->guest);
		snprintf(said, sizeof(said), "session %d: the frontend closed", round);
		ASSERT_EQ(0, proxy_says(&self->proxy, said)) print_logs(self);
		EXPECT_EQ(0, waitpid(self->device.pid, NULL, WNOHANG));
		EXPECT_EQ(0, mapped(self->device.pid, "memory-view:", 0, NULL));
		ASSERT_EQ(0, let_go(&self->device));
		frames_abandon(_metadata, self);
		ASSERT_EQ(0, frames_begin(self, UINT64_MAX));
		ASSERT_EQ(0, tell(&self->device, "port start 1\n"));
		ASSERT_EQ(0, guest_start(self, self->proxy.frontend, "")) print_logs(self);
	}
	ASSERT_EQ(0, frames_flow(&self->guest.out, MiB)) print_logs(self);
	expect_lent(_metadata, self, true);
}

TEST_HARNESS_MAIN
