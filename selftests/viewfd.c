// SPDX-License-Identifier: GPL-2.0
/*
 * viewfd.c - P6: the view fd is inert
 *
 * A table of everything that can be tried on a file descriptor and must fail,
 * on the view fd and, where it applies, on the control fd. After all of it the
 * view is as it was.
 */
#include "memview_test.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#define PAGES	4
#define SIZE	(PAGES * PAGE)
#define FILE_ID	5

/* What the entries of the table need besides the fd itself. */
static struct {
	int memfd;
	int pipe[2];
	char self[64]; /* /proc/self/fd/N of the fd that is tried */
	char buf[PAGE];
	struct iovec iov;
} env;

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long closed(int fd)
{
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

#define TRY(name, expr) \
	static long try_##name(int fd) { return result(expr); }
#define TRY_OPEN(name, expr) \
	static long try_##name(int fd) { return closed(expr); }

/* ---- Reading and writing ---- */
TRY(read, read(fd, env.buf, 8))
TRY(pread, pread(fd, env.buf, 8, 0))
TRY(readv, readv(fd, &env.iov, 1))
TRY(preadv, preadv(fd, &env.iov, 1, 0))
TRY(preadv2, preadv2(fd, &env.iov, 1, 0, RWF_NOWAIT))
TRY(write, write(fd, env.buf, 8))
TRY(pwrite, pwrite(fd, env.buf, 8, 0))
TRY(writev, writev(fd, &env.iov, 1))
TRY(pwritev, pwritev(fd, &env.iov, 1, 0))
TRY(pwritev2, pwritev2(fd, &env.iov, 1, 0, RWF_APPEND))
TRY(sendfile_from, sendfile(env.pipe[1], fd, NULL, 8))
TRY(sendfile_to, sendfile(fd, env.memfd, &(off_t){ 0 }, 8))
TRY(splice_from, splice(fd, NULL, env.pipe[1], NULL, 8, SPLICE_F_NONBLOCK))

static long try_splice_to(int fd)
{
	int pipes[2];
	long ret;

	if (pipe2(pipes, O_CLOEXEC) || write(pipes[1], "12345678", 8) != 8)
		return -EIO;
	ret = result(splice(pipes[0], NULL, fd, NULL, 8, SPLICE_F_NONBLOCK));
	close(pipes[0]);
	close(pipes[1]);
	return ret;
}

TRY(copy_file_range_from, copy_file_range(fd, &(off_t){ 0 }, env.memfd, &(off_t){ 0 }, 8, 0))
TRY(copy_file_range_to, copy_file_range(env.memfd, &(off_t){ 0 }, fd, &(off_t){ 0 }, 8, 0))
TRY(getdents, syscall(SYS_getdents64, fd, env.buf, sizeof(env.buf)))

/* ---- Size and space ---- */
TRY(ftruncate_grow, ftruncate(fd, 2 * SIZE))
TRY(ftruncate_shrink, ftruncate(fd, PAGE))
TRY(ftruncate_same, ftruncate(fd, SIZE))
TRY(truncate, truncate(env.self, PAGE))
TRY(fallocate, fallocate(fd, 0, 0, 2 * SIZE))
TRY(fallocate_keep, fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, SIZE))
TRY(fallocate_punch, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
TRY(fallocate_collapse, fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, PAGE))
TRY(fallocate_zero, fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, SIZE))
TRY(fallocate_insert, fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, PAGE))
TRY(fallocate_unshare, fallocate(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, 0, PAGE))

/* ---- Writing back ---- */
TRY(fsync, fsync(fd))
TRY(fdatasync, fdatasync(fd))

/* ---- Attributes ---- */
TRY(fchmod, fchmod(fd, 0777))
TRY(chmod, chmod(env.self, 0777))
TRY(fchown, fchown(fd, 1, 1))
TRY(chown, chown(env.self, 1, 1))
TRY(futimens, futimens(fd, NULL))
TRY(utimensat, utimensat(AT_FDCWD, env.self, (struct timespec[2]){ { 1, 0 }, { 1, 0 } }, 0))
TRY(setxattr_user, fsetxattr(fd, "user.memview", "x", 1, 0))
TRY(setxattr_trusted, fsetxattr(fd, "trusted.memview", "x", 1, 0))
TRY(setxattr_path, setxattr(env.self, "user.memview", "x", 1, 0))
TRY(removexattr, fremovexattr(fd, "user.memview"))
TRY(getxattr, fgetxattr(fd, "user.memview", env.buf, 8))

/* ---- Another way in ---- */
TRY_OPEN(open_read, open(env.self, O_RDONLY))
TRY_OPEN(open_write, open(env.self, O_WRONLY))
TRY_OPEN(open_read_write, open(env.self, O_RDWR))
TRY_OPEN(open_truncate, open(env.self, O_RDWR | O_TRUNC))
TRY_OPEN(open_nonblock, open(env.self, O_RDONLY | O_NONBLOCK))

static long try_open_path(int fd)
{
	int path = open(env.self, O_PATH | O_CLOEXEC), again;
	char name[64];
	long ret;

	if (path < 0)
		return -errno;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", path);
	again = open(name, O_RDWR);
	ret = closed(again);
	close(path);
	return ret;
}

TRY(name_to_handle,
    name_to_handle_at(fd, "", (struct file_handle *)env.buf, &(int){ 0 }, AT_EMPTY_PATH))
TRY(linkat, linkat(fd, "", AT_FDCWD, "/tmp/memview-link", AT_EMPTY_PATH))
TRY(linkat_path, linkat(AT_FDCWD, env.self, AT_FDCWD, "/tmp/memview-link", AT_SYMLINK_FOLLOW))
TRY(execveat, syscall(SYS_execveat, fd, "", (char *[]){ "x", NULL }, NULL, AT_EMPTY_PATH))
TRY(swapon, swapon(env.self, 0))
TRY(fchdir, fchdir(fd))
TRY_OPEN(open_tree, syscall(SYS_open_tree, fd, "", 1 /* OPEN_TREE_CLONE */ | AT_EMPTY_PATH))
TRY_OPEN(openat, openat(fd, "x", O_RDONLY))

/* ---- Seals, leases, ioctls ---- */
TRY(add_seals, fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE))
TRY(get_seals, fcntl(fd, F_GET_SEALS))
TRY(lease_read, fcntl(fd, F_SETLEASE, F_RDLCK))
TRY(lease_write, fcntl(fd, F_SETLEASE, F_WRLCK))
TRY(notify, fcntl(fd, F_NOTIFY, DN_ACCESS))
TRY(pipe_size, fcntl(fd, F_SETPIPE_SZ, 4096))
TRY(direct, fcntl(fd, F_SETFL, O_DIRECT))
TRY(ioctl_tty, ioctl(fd, 0x5401 /* TCGETS */, env.buf))
TRY(ioctl_fibmap, ioctl(fd, FIBMAP, env.buf))
TRY(ioctl_fiemap, ioctl(fd, FS_IOC_FIEMAP, env.buf))
TRY(ioctl_getflags, ioctl(fd, FS_IOC_GETFLAGS, env.buf))
TRY(ioctl_setflags, ioctl(fd, FS_IOC_SETFLAGS, env.buf))
TRY(ioctl_fsgetxattr, ioctl(fd, FS_IOC_FSGETXATTR, env.buf))
TRY(ioctl_fssetxattr, ioctl(fd, FS_IOC_FSSETXATTR, env.buf))
TRY(ioctl_clone_to, ioctl(fd, FICLONE, env.memfd))
TRY(ioctl_clone_from, ioctl(env.memfd, FICLONE, fd))
TRY(ioctl_freeze, ioctl(fd, FIFREEZE, 0))
TRY(ioctl_size, ioctl(fd, BLKGETSIZE64, env.buf))

static struct memview_map_fd_info map_info(int fd)
{
	return (struct memview_map_fd_info){
		.fd = fd,
		.flags = MAP_R,
		.size = PAGE,
	};
}

static long try_ioctl_map(int fd)
{
	struct memview_map_fd_info info = map_info(env.memfd);

	return result(ioctl(fd, MEMVIEW_MAP_FD, &info));
}

static long try_ioctl_unmap(int fd)
{
	struct memview_unmap_fd_info info = { .size = PAGE };

	return result(ioctl(fd, MEMVIEW_UNMAP_FD, &info));
}

static long try_ioctl_get_viewfd(int fd)
{
	return closed(ioctl(fd, MEMVIEW_GET_VIEWFD));
}

/* A view over a view. */
static long try_as_source(int fd)
{
	int control = view_create(SIZE);
	long ret = view_map(control, fd, 0, PAGE, 0, MAP_R);

	close(control);
	return ret;
}

/* A block device over a view; the loop device stays unused. */
static long try_as_loop(int fd)
{
	int ctl, loop;
	char name[32];
	long ret;

	if (load_module("loop"))
		return -ENODEV;
	ctl = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	snprintf(name, sizeof(name), "/dev/loop%d", ioctl(ctl, LOOP_CTL_GET_FREE));
	close(ctl);
	loop = open(name, O_RDWR | O_CLOEXEC);
	if (loop < 0)
		return -errno;
	ret = result(ioctl(loop, LOOP_SET_FD, fd));
	if (!ret)
		ioctl(loop, LOOP_CLR_FD, 0);
	close(loop);
	return ret;
}

/* ---- Mappings ---- */
static long try_mmap(int fd, int prot, int flags)
{
	char *mem = mmap(NULL, SIZE, prot, flags, fd, 0);

	if (mem == MAP_FAILED)
		return -errno;
	munmap(mem, SIZE);
	return 0;
}

#define TRY_ERRNO(name, expr) \
	static long try_##name(int fd) { return expr; }

TRY_ERRNO(mmap_private, try_mmap(fd, PROT_READ, MAP_PRIVATE))
TRY_ERRNO(mmap_private_write, try_mmap(fd, PROT_RW, MAP_PRIVATE))
TRY_ERRNO(mmap_sync, try_mmap(fd, PROT_RW, MAP_SHARED_VALIDATE | MAP_SYNC))
TRY_ERRNO(mmap_shared, try_mmap(fd, PROT_READ, MAP_SHARED))

struct refusal {
	const char *name;
	long (*try)(int fd);
	int view; /* errno; ANY: one or another */
	int control; /* the same; WORKS: not a refusal for the control fd */
};

#define ANY	-1
#define WORKS	-2
#define REFUSED(name, view, control) { #name, try_##name, view, control }

static const struct refusal refusals[] = {
	REFUSED(read, EINVAL, EINVAL),
	REFUSED(pread, ANY, ANY),
	REFUSED(readv, EINVAL, EINVAL),
	REFUSED(preadv, ANY, ANY),
	REFUSED(preadv2, ANY, ANY),
	REFUSED(write, EINVAL, EINVAL),
	REFUSED(pwrite, ANY, ANY),
	REFUSED(writev, EINVAL, EINVAL),
	REFUSED(pwritev, ANY, ANY),
	REFUSED(pwritev2, ANY, ANY),
	REFUSED(sendfile_from, EINVAL, EINVAL),
	REFUSED(sendfile_to, EINVAL, EINVAL),
	REFUSED(splice_from, EINVAL, EINVAL),
	REFUSED(splice_to, EINVAL, EINVAL),
	REFUSED(copy_file_range_from, ANY, ANY),
	REFUSED(copy_file_range_to, ANY, ANY),
	REFUSED(getdents, ENOTDIR, ENOTDIR),
	REFUSED(ftruncate_grow, EPERM, WORKS),
	REFUSED(ftruncate_shrink, EPERM, WORKS),
	REFUSED(ftruncate_same, EPERM, WORKS),
	REFUSED(truncate, EPERM, EPERM),
	REFUSED(fallocate, ANY, ANY),
	REFUSED(fallocate_keep, ANY, ANY),
	REFUSED(fallocate_punch, ANY, ANY),
	REFUSED(fallocate_collapse, ANY, ANY),
	REFUSED(fallocate_zero, ANY, ANY),
	REFUSED(fallocate_insert, ANY, ANY),
	REFUSED(fallocate_unshare, ANY, ANY),
	REFUSED(fsync, WORKS, EINVAL),
	REFUSED(fdatasync, WORKS, EINVAL),
	REFUSED(fchmod, EPERM, EPERM),
	REFUSED(chmod, EPERM, EPERM),
	REFUSED(fchown, EPERM, EPERM),
	REFUSED(chown, EPERM, EPERM),
	REFUSED(futimens, EPERM, EPERM),
	REFUSED(utimensat, EPERM, EPERM),
	REFUSED(setxattr_user, ANY, ANY),
	REFUSED(setxattr_trusted, ANY, ANY),
	REFUSED(setxattr_path, ANY, ANY),
	REFUSED(removexattr, ANY, ANY),
	REFUSED(getxattr, ANY, ANY),
	REFUSED(open_read, ANY, ANY),
	REFUSED(open_write, ANY, ANY),
	REFUSED(open_read_write, ANY, ANY),
	REFUSED(open_truncate, ANY, ANY),
	REFUSED(open_nonblock, ANY, ANY),
	REFUSED(open_path, ANY, ANY),
	REFUSED(name_to_handle, ANY, ANY),
	REFUSED(linkat, ANY, ANY),
	REFUSED(linkat_path, ANY, ANY),
	REFUSED(execveat, EACCES, EACCES),
	REFUSED(swapon, ANY, ANY),
	REFUSED(fchdir, ENOTDIR, ENOTDIR),
	REFUSED(open_tree, EINVAL, EINVAL),
	REFUSED(openat, ENOTDIR, ENOTDIR),
	REFUSED(add_seals, EINVAL, EINVAL),
	REFUSED(get_seals, EINVAL, EINVAL),
	REFUSED(lease_read, ANY, ANY),
	REFUSED(lease_write, ANY, ANY),
	REFUSED(notify, ANY, ANY),
	REFUSED(pipe_size, EBADF, EBADF),
	REFUSED(direct, EINVAL, EINVAL),
	REFUSED(ioctl_tty, ENOTTY, ENOTTY),
	REFUSED(ioctl_fibmap, ANY, ANY),
	REFUSED(ioctl_fiemap, ANY, ANY),
	REFUSED(ioctl_getflags, ENOTTY, ENOTTY),
	REFUSED(ioctl_setflags, ENOTTY, ENOTTY),
	REFUSED(ioctl_fsgetxattr, ENOTTY, ENOTTY),
	REFUSED(ioctl_fssetxattr, ENOTTY, ENOTTY),
	REFUSED(ioctl_clone_to, ANY, ANY),
	REFUSED(ioctl_clone_from, ANY, ANY),
	REFUSED(ioctl_freeze, EOPNOTSUPP, EOPNOTSUPP),
	REFUSED(ioctl_size, ENOTTY, ENOTTY),
	REFUSED(ioctl_map, ENOTTY, WORKS),
	REFUSED(ioctl_unmap, ENOTTY, WORKS),
	REFUSED(ioctl_get_viewfd, ENOTTY, WORKS),
	REFUSED(as_source, EOPNOTSUPP, EOPNOTSUPP),
	REFUSED(as_loop, ANY, ANY),
	REFUSED(mmap_private, EINVAL, ENODEV),
	REFUSED(mmap_private_write, EINVAL, ENODEV),
	REFUSED(mmap_sync, EOPNOTSUPP, ANY),
	REFUSED(mmap_shared, WORKS, ENODEV),
};

FIXTURE(viewfd)
{
	struct klog klog;
	struct model model;
	int control;
	int viewfd;
	char *mem;
};

FIXTURE_SETUP(viewfd)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	env.memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, env.memfd);
	ASSERT_EQ(0, pipe2(env.pipe, O_CLOEXEC));
	env.iov = (struct iovec){ .iov_base = env.buf, .iov_len = 8 };
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, env.memfd, 0, 3 * PAGE, 0, MAP_RW));
	model_map(&self->model, 0, 3, FILE_ID, 0, MAP_RW);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(viewfd)
{
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void expect_refused(struct __test_metadata *_metadata, FIXTURE_DATA(viewfd) *self,
			   const char *name, long ret, int want)
{
	struct view_info info;

	if (want == ANY) {
		EXPECT_GT(0, ret) TH_LOG("%s is not refused", name);
	} else {
		EXPECT_EQ(-want, ret) TH_LOG("%s", name);
	}
	ASSERT_EQ(0, view_info(self->viewfd, &info));
	EXPECT_EQ(SIZE, info.size) TH_LOG("%s changes the size", name);
	EXPECT_EQ(3 * PAGE, info.bytes) TH_LOG("%s changes the layout", name);
}

TEST_F(viewfd, view_fd_refuses)
{
	unsigned int i;

	snprintf(env.self, sizeof(env.self), "/proc/self/fd/%d", self->viewfd);
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].view != WORKS)
			expect_refused(_metadata, self, refusals[i].name,
				       refusals[i].try(self->viewfd), refusals[i].view);
}

TEST_F(viewfd, control_fd_refuses)
{
	unsigned int i;

	snprintf(env.self, sizeof(env.self), "/proc/self/fd/%d", self->control);
	for (i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].control != WORKS)
			expect_refused(_metadata, self, refusals[i].name,
				       refusals[i].try(self->control), refusals[i].control);
}

/* The kernel's own link to the mapping's file is no way around either. */
TEST_F(viewfd, map_files_cannot_be_opened)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)self->mem,
		 (long)self->mem + SIZE);
	EXPECT_GT(0, closed(open(path, O_RDWR)));
	EXPECT_GT(0, closed(open(path, O_RDONLY)));
	EXPECT_EQ(-1, truncate(path, PAGE));
}

/* Nor with the privileges of a user who owns nothing. */
static long refuse_as_nobody(void *arg)
{
	long mapped;

	if (setgid(65534) || setuid(65534))
		return -errno;
	if (ftruncate(client_viewfd, PAGE) != -1 || errno != EPERM)
		return -1000;
	snprintf(env.self, sizeof(env.self), "/proc/self/fd/%d", client_viewfd);
	if (open(env.self, O_RDWR) >= 0)
		return -1001;
	mapped = try_mmap(client_viewfd, PROT_RW, MAP_SHARED);
	return mapped;
}

TEST_F(viewfd, works_for_nobody)
{
	struct client client;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	EXPECT_EQ(0, client_call(&client, refuse_as_nobody, NULL, 0));
	EXPECT_EQ(0, client_stop(&client));
}

TEST_HARNESS_MAIN
