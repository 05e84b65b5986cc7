// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_fd.c - P6 against a client that tries every system call on its view fd
 * that viewfd.c, which goes through what must be refused to root, has not tried:
 * flags and locks, watches, handles, other descriptors of the same file, mounts,
 * pipes
 */
#include "hostile.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <poll.h>

#ifndef F_SET_RW_HINT
#define F_SET_RW_HINT 1036
#endif
#ifndef FS_IOC_GETUUID
#define FS_IOC_GETUUID _IOR(0x15, 0, char[17])
#endif

static char *self_fd(void)
{
	static char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", prey.viewfd);
	return path;
}

/* ---- Flags and locks ---- */

static long set_flags(long flags)
{
	long ret = err_or(fcntl(prey.viewfd, F_SETFL, flags));

	if (!ret && write(prey.viewfd, "x", 1) >= 0)
		return -EEXIST; /* not what was wanted */
	return ret;
}

static long set_lease(long type)
{
	return err_or(fcntl(prey.viewfd, F_SETLEASE, type));
}

static long notify_directory(long events)
{
	return err_or(fcntl(prey.viewfd, F_NOTIFY, events));
}

static long set_owner(long arg)
{
	return err_or(fcntl(prey.viewfd, F_SETOWN, getpid()));
}

static long write_hint(long hint)
{
	return err_or(fcntl(prey.viewfd, F_SET_RW_HINT, &hint));
}

static long add_seals(long seals)
{
	return err_or(fcntl(prey.viewfd, F_ADD_SEALS, seals));
}

static long lock_file(long how)
{
	return err_or(flock(prey.viewfd, how));
}

static long lock_range(long command)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return err_or(fcntl(prey.viewfd, command, &lock));
}

static const struct attack flagging[] = {
	ATTACK_ARG(set_flags, O_APPEND, WORKS),
	ATTACK_ARG(set_flags, O_NONBLOCK, WORKS),
	ATTACK_ARG(set_flags, O_ASYNC, WORKS),
	ATTACK_ARG(set_flags, O_DIRECT, -EINVAL),
	{ "set_flags O_NOATIME", set_flags, O_NOATIME, -EPERM, .root = WORKS },
	ATTACK_ARG(set_lease, F_RDLCK, REFUSED),
	ATTACK_ARG(set_lease, F_WRLCK, REFUSED),
	ATTACK_ARG(notify_directory, DN_MODIFY, REFUSED),
	ATTACK(set_owner, WORKS),
	ATTACK_ARG(write_hint, 5, EITHER),
	ATTACK_ARG(add_seals, F_SEAL_SEAL, -EINVAL),
	ATTACK_ARG(add_seals, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, -EINVAL),
	ATTACK_ARG(lock_file, LOCK_EX | LOCK_NB, WORKS),
	ATTACK_ARG(lock_range, F_OFD_SETLK, WORKS),
	ATTACK_ARG(lock_range, F_SETLK, WORKS),
};

TEST_F(hostile, flags_and_locks)
{
	ATTACK_ALL(flagging);
}

/* ---- Watches ---- */

static long watch_inotify(long events)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	return fd < 0 ? -errno : err_or(inotify_add_watch(fd, self_fd(), events));
}

static long watch_fanotify(long mask)
{
	int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC | FAN_NONBLOCK, O_RDWR);

	return fd < 0 ? -errno : err_or(fanotify_mark(fd, FAN_MARK_ADD, mask, AT_FDCWD, self_fd()));
}

static long watch_epoll(long events)
{
	struct epoll_event event = { .events = events };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	return fd < 0 ? -errno : err_or(epoll_ctl(fd, EPOLL_CTL_ADD, prey.viewfd, &event));
}

static long watch_poll(long events)
{
	struct pollfd poller = { .fd = prey.viewfd, .events = events };

	return err_or(poll(&poller, 1, 0));
}

static const struct attack watching[] = {
	{ "inotify", watch_inotify, IN_ALL_EVENTS, -EACCES, .root = WORKS },
	{ "fanotify", watch_fanotify, FAN_OPEN_PERM | FAN_ACCESS_PERM, -EPERM, .root = EITHER },
	{ "fanotify", watch_fanotify, FAN_MODIFY | FAN_CLOSE, -EPERM, .root = EITHER },
	ATTACK_ARG(watch_epoll, EPOLLIN | EPOLLOUT, -EPERM),
	ATTACK_ARG(watch_poll, POLLIN | POLLOUT, WORKS),
};

TEST_F(hostile, watch)
{
	ATTACK_ALL(watching);
}

/* ---- Another descriptor of the file ---- */

static long duplicate(long arg)
{
	int fd = fcntl(prey.viewfd, F_DUPFD_CLOEXEC, 100);

	return fd < 0 ? -errno : err_or(ftruncate(fd, FILE_SIZE));
}

static long open_again(long flags)
{
	return err_or_close(open(self_fd(), flags | O_CLOEXEC));
}

static long open_map_file(long flags)
{
	char path[96];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)prey.mem,
		 (long)prey.mem + VIEW_SIZE);
	return err_or_close(open(path, flags | O_CLOEXEC));
}

static long open_handle(long flags)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .handle.handle_bytes = MAX_HANDLE_SZ };
	int mount;

	if (name_to_handle_at(prey.viewfd, "", &u.handle, &mount, AT_EMPTY_PATH | flags))
		return -errno;
	return err_or_close(open_by_handle_at(prey.viewfd, &u.handle, O_RDWR | O_CLOEXEC));
}

static long mount_over(long arg)
{
	return err_or(mount("none", self_fd(), "tmpfs", 0, NULL));
}

static long bind_elsewhere(long arg)
{
	return err_or(mount(self_fd(), "/tmp", NULL, MS_BIND, NULL));
}

static long bind_over(long arg)
{
	return err_or(mount("/dev/null", self_fd(), NULL, MS_BIND, NULL));
}

/* A path of it may be had; it opens nothing. */
static long tree_of(long arg)
{
	int fd = syscall(SYS_open_tree, prey.viewfd, "", O_CLOEXEC | AT_EMPTY_PATH);
	char path[64];
	long ret;

	if (fd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = err_or_close(open(path, O_RDWR));
	close(fd);
	return ret;
}

static long send_on_and_truncate(long arg)
{
	int pair[2], fd;
	long ret;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	if (send_fd(pair[0], prey.viewfd))
		return -EIO;
	fd = recv_fd(pair[1]);
	ret = err_or(ftruncate(fd, FILE_SIZE));
	if (mmap(NULL, VIEW_SIZE, PROT_RW, MAP_SHARED | MAP_POPULATE, fd, 0) == MAP_FAILED)
		return 0; /* a view fd that was passed on maps as well */
	return ret;
}

static const struct attack reopening[] = {
	ATTACK(duplicate, -EPERM),
	ATTACK_ARG(open_again, O_RDWR, REFUSED),
	ATTACK_ARG(open_again, O_RDONLY, REFUSED),
	ATTACK_ARG(open_again, O_RDWR | O_TRUNC, REFUSED),
	ATTACK_ARG(open_again, O_PATH, WORKS),
	ATTACK_ARG(open_map_file, O_RDWR, REFUSED),
	ATTACK_ARG(open_map_file, O_RDONLY, REFUSED),
	ATTACK_ARG(open_handle, 0, REFUSED),
	{ "open_handle, of a file ID", open_handle, 0x200 /* AT_HANDLE_FID */, REFUSED },
	ATTACK(mount_over, REFUSED),
	ATTACK(bind_elsewhere, REFUSED),
	ATTACK(bind_over, REFUSED),
	ATTACK(tree_of, REFUSED),
	ATTACK(send_on_and_truncate, -EPERM),
};

TEST_F(hostile, open_another)
{
	ATTACK_ALL(reopening);
}

/* ---- Attributes, sizes and ioctls, as nobody and as root ---- */

static long truncate_to(long size)
{
	return err_or(ftruncate(prey.viewfd, size)) ?: err_or(truncate(self_fd(), size));
}

static long allocate(long mode)
{
	return err_or(fallocate(prey.viewfd, mode, 0, VIEW_SIZE));
}

static long change_mode(long mode)
{
	return err_or(fchmod(prey.viewfd, mode));
}

static long change_owner(long uid)
{
	return err_or(fchown(prey.viewfd, uid, uid));
}

static long change_times(long arg)
{
	return err_or(futimens(prey.viewfd, NULL));
}

static long set_attribute(long arg)
{
	return err_or(fsetxattr(prey.viewfd, arg ? "trusted.x" : "user.x", "x", 1, 0));
}

static long ask_ioctl(long command)
{
	static char buf[PAGE] __attribute__((aligned(8)));

	memset(buf, 0, sizeof(buf));
	return err_or(ioctl(prey.viewfd, command, buf));
}

static long advise_file(long advice)
{
	return -posix_fadvise(prey.viewfd, 0, VIEW_SIZE, advice);
}

static long read_ahead(long size)
{
	return err_or(readahead(prey.viewfd, 0, size));
}

static long write_back(long datasync)
{
	return err_or(datasync ? fdatasync(prey.viewfd) : fsync(prey.viewfd));
}

static long sync_file(long flags)
{
	return err_or(sync_file_range(prey.viewfd, 0, VIEW_SIZE, flags));
}

static const struct attack changing[] = {
	ATTACK_ARG(truncate_to, 0, REFUSED),
	ATTACK_ARG(truncate_to, VIEW_SIZE, REFUSED),
	ATTACK_ARG(truncate_to, FILE_SIZE, REFUSED),
	ATTACK_ARG(allocate, 0, REFUSED),
	ATTACK_ARG(allocate, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, REFUSED),
	ATTACK_ARG(change_mode, 0777, -EPERM),
	ATTACK_ARG(change_owner, 65534, -EPERM),
	ATTACK(change_times, REFUSED),
	ATTACK_ARG(set_attribute, 0, REFUSED),
	ATTACK_ARG(set_attribute, 1, REFUSED),
	ATTACK_ARG(ask_ioctl, MEMVIEW_MAP_FD, -ENOTTY),
	ATTACK_ARG(ask_ioctl, MEMVIEW_UNMAP_FD, -ENOTTY),
	ATTACK_ARG(ask_ioctl, MEMVIEW_GET_VIEWFD, -ENOTTY),
	/* The kernel answers these for any regular file: its size. */
	ATTACK_ARG(ask_ioctl, FIGETBSZ, WORKS),
	ATTACK_ARG(ask_ioctl, 0x541b /* FIONREAD */, WORKS),
	ATTACK_ARG(ask_ioctl, 0x5460 /* FIOQSIZE */, WORKS),
	ATTACK_ARG(ask_ioctl, FS_IOC_GETFLAGS, -ENOTTY),
	ATTACK_ARG(ask_ioctl, FS_IOC_SETFLAGS, -ENOTTY),
	ATTACK_ARG(ask_ioctl, FS_IOC_FSGETXATTR, -ENOTTY),
	ATTACK_ARG(ask_ioctl, FS_IOC_FSSETXATTR, -ENOTTY),
	ATTACK_ARG(ask_ioctl, FS_IOC_GETVERSION, -ENOTTY),
	ATTACK_ARG(ask_ioctl, FS_IOC_GETUUID, REFUSED),
	ATTACK_ARG(ask_ioctl, FS_IOC_FIEMAP, REFUSED),
	ATTACK_ARG(ask_ioctl, FIFREEZE, REFUSED),
	ATTACK_ARG(ask_ioctl, FITHAW, REFUSED),
	ATTACK_ARG(ask_ioctl, FITRIM, REFUSED),
	ATTACK_ARG(ask_ioctl, FIDEDUPERANGE, EITHER),
	ATTACK_ARG(ask_ioctl, BLKGETSIZE64, -ENOTTY),
	ATTACK_ARG(advise_file, POSIX_FADV_WILLNEED, EITHER),
	ATTACK_ARG(advise_file, POSIX_FADV_DONTNEED, EITHER),
	ATTACK_ARG(read_ahead, VIEW_SIZE, EITHER),
	/* Of what is lent, for reading as well: as of a file that may be mapped. */
	ATTACK_ARG(write_back, 0, WORKS),
	ATTACK_ARG(write_back, 1, WORKS),
	ATTACK_ARG(sync_file, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER, EITHER),
};

TEST_F(hostile, attributes)
{
	ATTACK_ALL(changing);
}

/* ---- Moving data without a mapping ---- */

static int own_file(void)
{
	int fd = memfd_create("own", MFD_CLOEXEC);

	return ftruncate(fd, FILE_SIZE) ? -1 : fd;
}

static long send_from(long arg)
{
	return err_or(sendfile(own_file(), prey.viewfd, &(off_t){ 0 }, PAGE));
}

static long send_to(long arg)
{
	return err_or(sendfile(prey.viewfd, own_file(), &(off_t){ 0 }, PAGE));
}

static long copy_from(long arg)
{
	return err_or(copy_file_range(prey.viewfd, &(off_t){ 0 }, own_file(), NULL, PAGE, 0));
}

static long copy_to(long arg)
{
	return err_or(copy_file_range(own_file(), NULL, prey.viewfd, &(off_t){ 0 }, PAGE, 0));
}

static long clone_from(long arg)
{
	return err_or(ioctl(own_file(), FICLONE, prey.viewfd));
}

static long clone_to(long arg)
{
	return err_or(ioctl(prey.viewfd, FICLONE, own_file()));
}

static long splice_from(long flags)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	return err_or(splice(prey.viewfd, NULL, pipes[1], NULL, PAGE, flags));
}

static long splice_to(long flags)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) || write(pipes[1], "12345678", 8) != 8)
		return -EIO;
	return err_or(splice(pipes[0], NULL, prey.viewfd, NULL, 8, flags));
}

static const struct attack copying[] = {
	ATTACK(send_from, REFUSED),
	ATTACK(send_to, REFUSED),
	ATTACK(copy_from, REFUSED),
	ATTACK(copy_to, REFUSED),
	ATTACK(clone_from, REFUSED),
	ATTACK(clone_to, REFUSED),
	ATTACK_ARG(splice_from, SPLICE_F_NONBLOCK, REFUSED),
	ATTACK_ARG(splice_from, SPLICE_F_NONBLOCK | SPLICE_F_MOVE, REFUSED),
	ATTACK_ARG(splice_to, SPLICE_F_NONBLOCK, REFUSED),
	ATTACK_ARG(splice_to, SPLICE_F_NONBLOCK | SPLICE_F_MOVE, REFUSED),
};

TEST_F(hostile, copy)
{
	ATTACK_ALL(copying);
}

TEST_HARNESS_MAIN
