// SPDX-License-Identifier: GPL-2.0
/*
 * letting_go.c - P16: a file that was taken out of a view, and closed, is let go
 * of as after munmap()
 *
 * Each try opens a file, lends it, writes to it as a client, closes it, and takes
 * it back. Then the file must be free at once. The same is done with an mmap of the
 * file, for the table.
 *
 * Catches: files that are closed later, by somebody else; a request that waits for
 * a server without a bound, or cannot be killed, or that waits before it revokes.
 */
#include "revoke_fuse.h"

#include <poll.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/statfs.h>

#define PAGES	4
#define SIZE	(PAGES * PAGE)
#define TRIES	12 /* of what was late in 58 to 60 of 60; MEMVIEW_TEST_SCALE=500 has 60 */
#define TIMEOUT	"/sys/module/memview/parameters/close_timeout" /* ms */

enum place { EXT4, XFS, BTRFS, TMPFS, FUSE, NFS };

FIXTURE(letting_go)
{
	struct klog klog;
	struct slow_fs fuse;
	char dir[64], path[96], device[32];
	bool mounted;
	int control;
	char *mem;
};

FIXTURE_VARIANT(letting_go)
{
	enum place place;
	const char *name;
	const char *mkfs; /* makes the file system in a file; then it is mounted by loop */
};

FIXTURE_VARIANT_ADD(letting_go, ext4) {
	.place = EXT4, .name = "ext4", .mkfs = "mkfs.ext4 -q -F",
};
FIXTURE_VARIANT_ADD(letting_go, xfs) { .place = XFS, .name = "xfs", .mkfs = "mkfs.xfs -q -f" };
FIXTURE_VARIANT_ADD(letting_go, btrfs) {
	.place = BTRFS, .name = "btrfs", .mkfs = "mkfs.btrfs -q -f",
};
FIXTURE_VARIANT_ADD(letting_go, tmpfs) { .place = TMPFS, .name = "tmpfs" };
FIXTURE_VARIANT_ADD(letting_go, fuse) { .place = FUSE, .name = "fuse" };
FIXTURE_VARIANT_ADD(letting_go, nfs) { .place = NFS, .name = "nfs" };

static int run(const char *format, const char *a, const char *b)
{
	char cmd[512];

	snprintf(cmd, sizeof(cmd), format, a, b);
	return system(cmd) ? -ENODEV : 0;
}

/* A block device with a file system of 320 MiB, most of it a hole. */
static int make_disk(const char *mkfs, const char *name, char *device, size_t len)
{
	char image[64];
	ssize_t n;
	FILE *f;
	char cmd[128];

	snprintf(image, sizeof(image), "/tmp/letting_go-%s.img", name);
	if (run("truncate -s 320M %s && modprobe -q loop; %s", image, "true") ||
	    run("%s %s >/dev/null", mkfs, image))
		return -ENODEV;
	snprintf(cmd, sizeof(cmd), "losetup --find --show %s", image);
	f = popen(cmd, "r");
	n = f && fgets(device, len, f) ? (ssize_t)strcspn(device, "\n") : 0;
	if (f)
		pclose(f);
	device[n] = '\0';
	return n ? 0 : -ENODEV;
}

/*
 * A server of NFS 4.2 in this kernel, without the programs that go with one: what
 * they would answer to the kernel is written beforehand. It exports a directory of the ext4 of selftests/vm/setup.
 */
static const char serve_nfs[] =
	"set -e; [ ! -s /proc/fs/nfsd/threads ] || [ \"$(cat /proc/fs/nfsd/threads)\" = 0 ] || exit 0\n"
	"modprobe -q -a nfsd nfs nfsv4; ip link set lo up\n"
	"[ -e /proc/fs/nfsd/threads ] || mount -t nfsd nfsd /proc/fs/nfsd\n"
	"mkdir -p /mnt/ext4/export\n"
	"far=4000000000; cd /proc/net/rpc\n"
	"echo \"nfsd 127.0.0.1 $far local\" >auth.unix.ip/channel\n"
	"echo \"0 $far 0\" >auth.unix.gid/channel\n"
	"echo \"local /mnt/ext4/export $far 9234 65534 65534 0\" >nfsd.export/channel\n"
	"printf 'local 1 \\\\x00000000 %s /mnt/ext4/export\\n' $far >nfsd.fh/channel\n"
	"cd /proc/fs/nfsd\n"
	"echo 10 >nfsv4leasetime; echo 10 >nfsv4gracetime\n"
	"echo '-3 +4 +4.1 +4.2' >versions; echo 'tcp 2049' >portlist; echo 2 >threads\n";

static int start_place(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v)
{
	if (v->place == FUSE)
		return access("/dev/fuse", R_OK | W_OK) ? -ENODEV : 0;
	if (v->place == NFS)
		return system(serve_nfs) ? -ENODEV : 0;
	if (v->mkfs)
		return make_disk(v->mkfs, v->name, self->device, sizeof(self->device));
	return 0;
}

static int mount_place(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v)
{
	int err = 0;

	if (v->place == FUSE) {
		err = slow_fs_start(&self->fuse);
		close(self->fuse.fd);
		self->fuse.fd = -1;
		snprintf(self->dir, sizeof(self->dir), "%s", self->fuse.dir);
	} else if (v->place == NFS) {
		err = mount("127.0.0.1:/", self->dir, "nfs4", 0,
			    "vers=4.2,addr=127.0.0.1,clientaddr=127.0.0.1");
	} else {
		err = mount(self->device, self->dir, v->name, 0, NULL);
	}
	self->mounted = !err;
	snprintf(self->path, sizeof(self->path), "%s/file", self->dir);
	return err ? -errno : 0;
}

/* 0 if it has been done before. */
static int umount_place(FIXTURE_DATA(letting_go) *self)
{
	if (!self->mounted)
		return 0;
	if (umount(self->dir))
		return -errno;
	self->mounted = false;
	if (self->fuse.server > 0)
		slow_fs_stop(&self->fuse);
	return 0;
}

FIXTURE_SETUP(letting_go)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	strcpy(self->dir, "/tmp/letting_go-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	strcpy(self->device, variant->name);
	if (start_place(self, variant))
		SKIP(return, "missing: %s", variant->name);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, mount_place(self, variant));
}

FIXTURE_TEARDOWN(letting_go)
{
	if (self->mounted)
		EXPECT_TRUE(WAIT_FOR(!umount_place(self), 5000));
	if (variant->mkfs)
		run("losetup -d %s; rm -f /tmp/letting_go-%s.img", self->device, variant->name);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* ---- One try ---- */

static int open_file(FIXTURE_DATA(letting_go) *self)
{
	int fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0700);

	return fd < 0 || ftruncate(fd, SIZE) ? -errno : fd;
}

/* Lend the file by a view, or map it; close it before it is taken back, or then. */
static int lend_and_take_back(FIXTURE_DATA(letting_go) *self, bool view, int fd, uint64_t word,
			      bool close_last)
{
	char *mem = self->mem;
	int err = 0;

	if (view)
		err = view_map(self->control, fd, 0, SIZE, 0, MAP_RW);
	else
		mem = mmap(NULL, SIZE, PROT_RW, MAP_SHARED, fd, 0);
	if (!close_last)
		close(fd);
	if (err || mem == MAP_FAILED)
		return err ?: -errno;
	err = -probe_write(mem + PAGE, word);
	if (view)
		err = view_unmap(self->control, 0, SIZE) ?: err;
	else
		munmap(mem, SIZE);
	if (close_last)
		close(fd);
	return err;
}

/* Each returns 1 if the file has not been let go of, 0 if it has, or -errno. */

static int try_umount(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v,
		      bool view)
{
	int fd = open_file(self), err, late;

	err = fd < 0 ? fd : lend_and_take_back(self, view, fd, 1, false);
	if (err)
		return err;
	late = umount_place(self) == -EBUSY;
	if (late && !WAIT_FOR(!umount_place(self), 5000))
		return -EBUSY;
	err = mount_place(self, v);
	return err ?: late;
}

static int try_exec(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v, bool view)
{
	char *argv[] = { self->path, NULL };
	int fd = open_file(self), err, status;
	pid_t pid;

	err = fd < 0 ? fd : lend_and_take_back(self, view, fd, 1, false);
	if (err)
		return err;
	pid = vfork();
	if (!pid) {
		execve(self->path, argv, argv + 1);
		_exit(errno);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -ECHILD;
	/* It is no program. */
	if (WEXITSTATUS(status) == ENOEXEC)
		return 0;
	return WEXITSTATUS(status) == ETXTBSY ? 1 : -WEXITSTATUS(status);
}

static int try_flock(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v,
		     bool view)
{
	int fd = open_file(self), err, other = open_file(self);

	if (fd < 0 || other < 0 || flock(fd, LOCK_EX))
		return -errno;
	err = lend_and_take_back(self, view, fd, 1, false);
	if (!err && flock(other, LOCK_EX | LOCK_NB))
		err = errno == EWOULDBLOCK ? 1 : -errno;
	close(other);
	return err;
}

/* The server has what was written. */
static int try_write(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v,
		     bool view)
{
	static uint64_t word;
	int fd = open_file(self), err;

	err = fd < 0 ? fd : lend_and_take_back(self, view, fd, ++word, true);
	return err ?: *(uint64_t *)(self->fuse.shared->data + PAGE) != word;
}

static bool is_released(struct slow_shared *shared)
{
	return shared->releases == shared->opens;
}

/* The server has been told that the file is closed. */
static int try_release(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v,
		       bool view)
{
	int fd = open_file(self), err;
	struct statfs fs;
	bool late;

	err = fd < 0 ? fd : lend_and_take_back(self, view, fd, 1, false);
	/* It answers in order. */
	if (err || statfs(self->dir, &fs))
		return err ?: -errno;
	late = !is_released(self->fuse.shared);
	return WAIT_FOR(is_released(self->fuse.shared), 5000) ? late : -EBUSY;
}

typedef int (*try_fn)(FIXTURE_DATA(letting_go) *self, const FIXTURE_VARIANT(letting_go) *v,
		      bool view);

/* How often the view was late. */
static unsigned int tabulate(struct __test_metadata *_metadata, FIXTURE_DATA(letting_go) *self,
			     const FIXTURE_VARIANT(letting_go) *variant, const char *what,
			     try_fn try)
{
	unsigned int i, n = scaled(TRIES), late[2] = {};
	int view, ret;

	for (view = 0; view < 2; view++) {
		for (i = 0; i < n; i++) {
			ret = try(self, variant, view);
			EXPECT_LE(0, ret) TH_LOG("%s: %s", what, strerror(-ret));
			if (ret < 0)
				return n;
			late[view] += ret;
		}
	}
	printf("# %-6s %-8s late: view %2u, mmap %2u of %u\n", variant->name, what, late[1],
	       late[0], n);
	return late[1];
}

#define TABULATE(what, try) tabulate(_metadata, self, variant, what, try)

TEST_F(letting_go, at_once)
{
	EXPECT_EQ(0, TABULATE("exec", try_exec));
	EXPECT_EQ(0, TABULATE("flock", try_flock));
	if (variant->place == FUSE) {
		EXPECT_EQ(0, TABULATE("written", try_write));
		/*
		 * FUSE sends this when it has dealt with the answers to all writes, in
		 * the task of the server: that may be late after munmap(), too.
		 */
		TABULATE("release", try_release);
	}
	EXPECT_EQ(0, TABULATE("umount", try_umount));
}

/* ---- A server that does not answer ---- */

FIXTURE(hanging)
{
	struct klog klog;
	struct slow_fs fs;
	char timeout[32];
	int control, memfd;
	char *mem;
	struct client unmapper; /* has the control fd */
};

FIXTURE_SETUP(hanging)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_LT(0, read_file(TIMEOUT, self->timeout, sizeof(self->timeout)));
	if (slow_fs_start(&self->fs))
		SKIP(return, "missing: /dev/fuse");
	self->control = view_create(2 * SIZE);
	self->memfd = memfd_filled(SIZE, 1);
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, client_start(&self->unmapper, self->control));
	self->mem = view_mmap(view_get_fd(self->control), 2 * SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, probe_write(self->mem, 1));
	self->fs.shared->hold_writes = 1;
}

FIXTURE_TEARDOWN(hanging)
{
	self->fs.shared->hold_writes = 0;
	write_file(TIMEOUT, self->timeout);
	client_kill(&self->unmapper);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* In a process that has no other file open, whose end would wait for the server. */
static long unmap(void *arg)
{
	return view_unmap(client_viewfd, 0, SIZE);
}

/* Of a process that has not been waited for. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {};

	return !waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == pid;
}

/* Has it answered? */
static bool is_idle(const struct client *client)
{
	struct pollfd poller = { .fd = client->sock, .events = POLLIN };

	return poll(&poller, 1, 0) > 0;
}

TEST_F(hanging, bounded)
{
	ASSERT_EQ(0, write_file(TIMEOUT, "100"));
	alarm(60);
	EXPECT_EQ(0, client_call(&self->unmapper, unmap, NULL, 0));
	alarm(0);
	/* The server has not answered. */
	EXPECT_TRUE(WAIT_FOR(self->fs.shared->held, 20000));
}

/* The task waits when all is revoked, holds up no other change, and can be killed. */
TEST_F(hanging, killable)
{
	uint64_t word;

	ASSERT_EQ(0, write_file(TIMEOUT, "3600000"));
	ASSERT_EQ(0, client_post(&self->unmapper, unmap, NULL, 0));
	EXPECT_TRUE(WAIT_FOR(self->fs.shared->held, 20000));
	EXPECT_EQ(SIGBUS, probe_read(self->mem, &word));
	alarm(60);
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_R));
	EXPECT_EQ(0, probe_read(self->mem, &word));
	EXPECT_EQ(0, view_unmap(self->control, 0, SIZE));
	alarm(0);
	/* 6.12's FUSE copies what it writes, and its ->close does not wait. */
	if (WAIT_FOR(is_idle(&self->unmapper), 300))
		SKIP(return, "this kernel's FUSE closes without its server");
	kill(self->unmapper.pid, SIGKILL);
	EXPECT_TRUE(WAIT_FOR(has_ended(self->unmapper.pid), 20000));
	EXPECT_LT(0, self->fs.shared->held);
}

/* A server that has been silent for so long is not waited for again. */
TEST_F(hanging, once)
{
	unsigned int i;
	int view;

	ASSERT_EQ(0, write_file(TIMEOUT, "1000"));
	alarm(100);
	EXPECT_EQ(0, view_unmap(self->control, 0, SIZE));
	for (i = 0; i < 1000; i++) {
		view = view_create(PAGE);
		ASSERT_EQ(0, view_map(view, self->fs.fd, 0, PAGE, 0, MAP_RW));
		EXPECT_EQ(0, view_unmap(view, 0, PAGE));
		close(view);
	}
	EXPECT_LT(0, self->fs.shared->held);
}

TEST_HARNESS_MAIN
