// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_fds.c - all else that one can call on the file descriptors of a view,
 * most of which must fail
 */
#include "fuzz.h"

#include <sys/sendfile.h>
#include <sys/vfs.h>

static struct fuzz_view *view_of(const struct fuzz_op *op)
{
	return &fuzz_views[op->obj % FUZZ_VIEWS];
}

/* Of both kinds: each of these must fail. */
static int refused(int fd, const struct fuzz_op *op, bool *must_fail)
{
	char buf[16] = "", path[64];
	loff_t offset = 0;

	*must_fail = true;
	switch (op->flags % 14) {
	case 0:
		return read(fd, buf, sizeof(buf));
	case 1:
		return write(fd, buf, sizeof(buf));
	case 2:
		return pread(fd, buf, sizeof(buf), fuzz_pages(op, 0, 16));
	case 3:
		return pwrite(fd, buf, sizeof(buf), fuzz_pages(op, 0, 16));
	case 4:
		return fallocate(fd, op->num[0] % 4, fuzz_pages(op, 1, 16), PAGE);
	case 5:
		return fchmod(fd, op->num[0] & 0777);
	case 6:
		return fchown(fd, op->num[0], op->num[1]);
	case 7:
		return futimens(fd, NULL);
	case 8:
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		return open(path, op->num[0] & 1 ? O_RDWR : O_RDONLY);
	case 9:
		return sendfile(source_fd(SRC_MEMFD2), fd, &offset, PAGE);
	case 10:
		return splice(fd, &offset, source_fd(SRC_PIPE), NULL, PAGE, SPLICE_F_NONBLOCK);
	case 11:
		return fcntl(fd, F_ADD_SEALS, op->num[0] % 32);
	default:
		*must_fail = false;
		return 0;
	}
}

static void check_size(const struct fuzz_view *view, int fd)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || (uint64_t)st.st_size != view->size)
		fuzz_fail("fstat tells %#jx bytes instead of %#jx", (uintmax_t)st.st_size,
			  (uintmax_t)view->size);
	if ((uint64_t)lseek(fd, 0, SEEK_END) != view->size)
		fuzz_fail("lseek to the end tells another size");
	if (fstatfs(fd, &fs))
		fuzz_fail("fstatfs: %m");
}

static int on_fd(const struct fuzz_view *view, int fd, const struct fuzz_op *op)
{
	bool must_fail;
	int ret = refused(fd, op, &must_fail), err = ret < 0 ? errno : 0;

	if (must_fail && ret >= 0)
		fuzz_fail("call %u on a file of a view succeeded", op->flags % 14);
	check_size(view, fd);
	return err * 14 + op->flags % 14;
}

int call_on_viewfd(const struct fuzz_op *op)
{
	static const unsigned int cmds[] = { MEMVIEW_MAP_FD, MEMVIEW_UNMAP_FD, MEMVIEW_GET_VIEWFD };
	struct fuzz_view *view = view_of(op);
	int fd = view->viewfd[op->fd % FUZZ_VIEWFDS];
	static char arg[64];

	if (fd < 0)
		return -1;
	if (ioctl(fd, cmds[op->num[3] % 3], arg) != -1 || errno != ENOTTY)
		fuzz_fail("ioctl on a view fd: %m");
	if (!ftruncate(fd, fuzz_pages(op, 0, 16)))
		fuzz_fail("ftruncate of a view fd succeeded");
	return on_fd(view, fd, op);
}

int call_on_control(const struct fuzz_op *op)
{
	struct fuzz_view *view = view_of(op);
	void *mem;
	int fd;

	if (view->control < 0)
		return -1;
	mem = mmap(NULL, PAGE, PROT_READ, op->num[3] & 1 ? MAP_SHARED : MAP_PRIVATE, view->control, 0);
	if (mem != MAP_FAILED)
		fuzz_fail("mmap of a control fd succeeded");
	/* Another number for the same file. */
	fd = fcntl(view->control, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		fuzz_fail("dup: %m");
	close(view->control);
	view->control = fd;
	return on_fd(view, fd, op);
}

/* Of the module's magic and with a zeroed argument, but otherwise any. */
int call_ioctl_raw(const struct fuzz_op *op)
{
	static char arg[1 << _IOC_SIZEBITS];
	struct fuzz_view *view = view_of(op);
	unsigned int nr = op->flags % 8, size = op->num[0] & ((1 << _IOC_SIZEBITS) - 1);
	unsigned int cmd = _IOC(op->num[1] % 4, MEMVIEW_IOC_MAGIC, nr, op->num[2] & 1 ? size : 0);
	int ret;

	if (view->control < 0)
		return -1;
	ret = ioctl(view->control, cmd, arg);
	if (cmd == MEMVIEW_GET_VIEWFD) {
		if (ret < 0)
			fuzz_fail("MEMVIEW_GET_VIEWFD: %m");
		close(ret);
		return 0;
	}
	/* Of zeroes, one that is a request. */
	if (!ret && nr == _IOC_NR(MEMVIEW_SET_FLAGS) && _IOC_SIZE(cmd) >= _IOC_SIZE(MEMVIEW_SET_FLAGS)) {
		view->revoke_on_close = false;
		return 0;
	}
	if (ret >= 0 || (errno != ENOTTY && errno != EINVAL))
		fuzz_fail("ioctl %#x: %d, %m", cmd, ret);
	return errno;
}
