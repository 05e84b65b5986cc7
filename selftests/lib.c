// SPDX-License-Identifier: GPL-2.0
/*
 * lib.c - helpers of the selftests; memview_test.h describes them
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "memview_test.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <linux/magic.h>

static int err_or(int ret)
{
	return ret < 0 ? -errno : ret;
}

/* ---- The view ---- */

int view_create(uint64_t size)
{
	int control = open(MEMVIEW_DEV, O_RDWR | O_CLOEXEC);
	int err;

	if (control < 0)
		return -errno;
	err = view_resize(control, size);
	if (err) {
		close(control);
		return err;
	}
	return control;
}

int view_resize(int control, uint64_t size)
{
	return err_or(ftruncate(control, size));
}

int view_map(int control, int fd, uint64_t fd_offset, uint64_t size,
	     uint64_t mem_offset, uint32_t flags)
{
	struct memview_map_fd_info info = {
		.fd = fd,
		.flags = flags,
		.fd_offset = fd_offset,
		.size = size,
		.mem_offset = mem_offset,
	};

	return err_or(ioctl(control, MEMVIEW_MAP_FD, &info));
}

int view_unmap(int control, uint64_t mem_offset, uint64_t size)
{
	struct memview_unmap_fd_info info = {
		.mem_offset = mem_offset,
		.size = size,
	};

	return err_or(ioctl(control, MEMVIEW_UNMAP_FD, &info));
}

int view_batch(int control, const struct memview_batch_op *ops, uint32_t nr, uint32_t *failed)
{
	struct memview_batch batch = {
		.ops = (uintptr_t)ops,
		.nr_ops = nr,
		.op_size = sizeof(*ops),
		.failed = ~0U,
	};
	int err = err_or(ioctl(control, MEMVIEW_BATCH, &batch));

	if (failed)
		*failed = batch.failed;
	return err;
}

struct memview_batch_op batch_map(int fd, uint64_t fd_offset, uint64_t size, uint64_t mem_offset,
				  uint32_t flags)
{
	return (struct memview_batch_op){
		.op = MEMVIEW_BATCH_MAP,
		.flags = flags,
		.fd = fd,
		.fd_offset = fd_offset,
		.size = size,
		.mem_offset = mem_offset,
	};
}

struct memview_batch_op batch_unmap(uint64_t mem_offset, uint64_t size)
{
	return (struct memview_batch_op){
		.op = MEMVIEW_BATCH_UNMAP,
		.fd = -1,
		.size = size,
		.mem_offset = mem_offset,
	};
}

int view_set_flags(int control, uint32_t flags)
{
	struct memview_set_flags request = { .flags = flags };

	return err_or(ioctl(control, MEMVIEW_SET_FLAGS, &request));
}

int view_get_fd(int control)
{
	return err_or(ioctl(control, MEMVIEW_GET_VIEWFD));
}

void *view_mmap(int viewfd, uint64_t size, int prot, uint64_t offset)
{
	return mmap(NULL, size, prot, MAP_SHARED, viewfd, offset);
}

void *view_mmap_by_page(int viewfd, uint64_t size, int prot, uint64_t offset)
{
	void *mem = view_mmap(viewfd, size, prot, offset);

	if (mem != MAP_FAILED && madvise(mem, size, MADV_RANDOM)) {
		munmap(mem, size);
		return MAP_FAILED;
	}
	return mem;
}

int view_info(int fd, struct view_info *info)
{
	const struct {
		const char *key;
		uint64_t *value;
	} numbers[] = {
		{ "memview-id:", &info->id },
		{ "memview-flags:", &info->flags },
		{ "memview-size:", &info->size },
		{ "memview-ranges:", &info->ranges },
		{ "memview-bytes:", &info->bytes },
		{ "memview-mappings:", &info->mappings },
		{ "memview-faults:", &info->faults },
		{ "memview-fault-errors:", &info->fault_errors },
		{ "memview-changes:", &info->changes },
		{ "memview-zaps:", &info->zaps },
		{ "memview-invalidates:", &info->invalidates },
	};
	char path[64], text[2048], *type;
	size_t i;
	int err;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	for (i = 0; i < ARRAY_SIZE(numbers); i++) {
		err = file_number(path, numbers[i].key, numbers[i].value);
		if (err)
			return err;
	}
	err = read_file(path, text, sizeof(text));
	if (err < 0)
		return err;
	type = strstr(text, "\nmemview-type:");
	if (!type || sscanf(type, "\nmemview-type: %15s", info->type) != 1)
		return -ENOENT;
	return 0;
}

/* ---- Sources ---- */

static const struct {
	const char *name;
	uint32_t magic;
} kinds[SOURCE_KINDS] = {
	[SOURCE_MEMFD] = { "memfd", 0 },
	[SOURCE_MEMFD_HUGE] = { "memfd_huge", 0 },
	[SOURCE_TMPFS] = { "tmpfs", TMPFS_MAGIC },
	[SOURCE_EXT4] = { "ext4", EXT4_SUPER_MAGIC },
	[SOURCE_XFS] = { "xfs", XFS_SUPER_MAGIC },
	[SOURCE_BTRFS] = { "btrfs", BTRFS_SUPER_MAGIC },
	[SOURCE_OVERLAY] = { "overlay", OVERLAYFS_SUPER_MAGIC },
};

const char *source_name(enum source_kind kind)
{
	return kinds[kind].name;
}

const char *source_dir(enum source_kind kind, char *missing, size_t len)
{
	static char dirs[SOURCE_KINDS][PATH_MAX];
	const char *mnt = getenv("MEMVIEW_TEST_MNT");
	struct statfs fs;

	snprintf(dirs[kind], sizeof(dirs[kind]), "%s/%s", mnt ? mnt : "/mnt",
		 kinds[kind].name);
	if (!statfs(dirs[kind], &fs) && (uint32_t)fs.f_type == kinds[kind].magic)
		return dirs[kind];
	snprintf(missing, len, "a %s file system at %.64s (selftests/vm/setup)",
		 kinds[kind].name, dirs[kind]);
	return NULL;
}

/* Make huge folios of the file; it must be empty of pages. */
static int make_huge(struct source *src)
{
	char *mem;
	uint64_t offset;
	int err = 0, try;

	if (fallocate(src->fd, 0, 0, src->size))
		return -errno;
	mem = mmap(NULL, src->size + HUGE, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	offset = -(uintptr_t)mem & (HUGE - 1);
	if (mmap(mem + offset, src->size, PROT_RW, MAP_SHARED | MAP_FIXED,
		 src->fd, 0) == MAP_FAILED)
		err = -errno;
	/* Where it cannot be done at all, it says EINVAL. */
	for (try = 0; !err && try < 60; try++) {
		if (!madvise(mem + offset, src->size, MADV_COLLAPSE))
			break;
		if (errno == EINVAL || try == 59)
			err = -ENODEV;
		else if (errno == ENOMEM)
			write_file("/proc/sys/vm/compact_memory", "1");
		else
			sleep_ms(50);
	}
	if (err == -ENODEV)
		snprintf(src->missing, sizeof(src->missing),
			 "huge pages for memfds (MADV_COLLAPSE)");
	munmap(mem, src->size + HUGE);
	return err;
}

static int open_memfd(struct source *src)
{
	src->fd = memfd_create("memview-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (src->fd < 0)
		return -errno;
	return err_or(ftruncate(src->fd, src->size));
}

static int open_file(struct source *src)
{
	const char *dir = source_dir(src->kind, src->missing, sizeof(src->missing));
	char path[PATH_MAX + 32];

	if (!dir)
		return -ENODEV;
	snprintf(path, sizeof(path), "%s/memview-XXXXXX", dir);
	src->fd = mkostemp(path, O_CLOEXEC);
	if (src->fd < 0)
		return -errno;
	unlink(path);
	return err_or(ftruncate(src->fd, src->size));
}

int source_open(struct source *src, enum source_kind kind, uint64_t size)
{
	int err;

	*src = (struct source){ .kind = kind, .fd = -1, .size = size };
	if (kind == SOURCE_MEMFD_HUGE)
		src->size = (size + HUGE - 1) & ~(HUGE - 1);
	if (kind == SOURCE_MEMFD || kind == SOURCE_MEMFD_HUGE)
		err = open_memfd(src);
	else
		err = open_file(src);
	if (!err && kind == SOURCE_MEMFD_HUGE)
		err = make_huge(src);
	if (err)
		source_close(src);
	return err;
}

void source_close(struct source *src)
{
	if (src->fd >= 0)
		close(src->fd);
	src->fd = -1;
}

int source_reopen(const struct source *src, int open_flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", src->fd);
	return err_or(open(path, open_flags | O_CLOEXEC));
}

int fill_fd(int fd, uint64_t size, uint32_t file)
{
	uint64_t page;
	int err;

	for (page = 0; page < size / PAGE; page++) {
		err = fd_write_u64(fd, page * PAGE, page_tag(file, page));
		if (err)
			return err;
	}
	return 0;
}

int source_fill(const struct source *src, uint32_t file)
{
	return fill_fd(src->fd, src->size, file);
}

int memfd_filled(uint64_t size, uint32_t file)
{
	struct source src;
	int err = source_open(&src, SOURCE_MEMFD, size);

	if (err)
		return err;
	err = source_fill(&src, file);
	if (err) {
		source_close(&src);
		return err;
	}
	return src.fd;
}

int fd_read_u64(int fd, uint64_t offset, uint64_t *value)
{
	ssize_t n = pread(fd, value, sizeof(*value), offset);

	if (n < 0)
		return -errno;
	return n == sizeof(*value) ? 0 : -EIO;
}

int fd_write_u64(int fd, uint64_t offset, uint64_t value)
{
	ssize_t n = pwrite(fd, &value, sizeof(value), offset);

	if (n < 0)
		return -errno;
	return n == sizeof(value) ? 0 : -EIO;
}

/* ---- Processes ---- */

int send_fd(int sock, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte = 'f';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int recv_fd(int sock)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0)
		return -errno;
	if (n != 1 || msg.msg_controllen < CMSG_LEN(sizeof(int)))
		return -EPIPE;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

int client_viewfd = -1;

/* The client is a fork, so an address of a function means the same in it. */
struct request {
	client_fn fn;
	char arg[CLIENT_ARG_MAX];
};

struct reply {
	long result;
	char arg[CLIENT_ARG_MAX];
};

static void __attribute__((noreturn)) client_serve(int sock, bool has_view)
{
	struct request request;
	struct reply reply;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(sock, 3) < 0 || close_range(4, ~0U, 0))
		_exit(111);
	if (has_view) {
		client_viewfd = recv_fd(3);
		if (client_viewfd < 0)
			_exit(112);
	}
	while (recv(3, &request, sizeof(request), 0) == sizeof(request)) {
		reply.result = request.fn(request.arg);
		memcpy(reply.arg, request.arg, sizeof(reply.arg));
		if (send(3, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply))
			break;
	}
	_exit(0);
}

int client_start(struct client *client, int viewfd)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	fflush(NULL);
	client->pid = fork();
	if (client->pid == 0)
		client_serve(pair[1], viewfd >= 0);
	close(pair[1]);
	client->sock = pair[0];
	if (client->pid < 0)
		return -EAGAIN;
	return viewfd < 0 ? 0 : send_fd(client->sock, viewfd);
}

int client_post(struct client *client, client_fn fn, const void *arg, size_t len)
{
	struct request request = { .fn = fn };

	if (len > sizeof(request.arg))
		return -E2BIG;
	if (len)
		memcpy(request.arg, arg, len);
	if (send(client->sock, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -EPIPE;
	return 0;
}

long client_result(struct client *client, void *arg, size_t len)
{
	struct reply reply;

	if (recv(client->sock, &reply, sizeof(reply), 0) != sizeof(reply))
		return -EPIPE;
	if (len)
		memcpy(arg, reply.arg, len);
	return reply.result;
}

long client_call(struct client *client, client_fn fn, void *arg, size_t len)
{
	int err = client_post(client, fn, arg, len);

	return err ? err : client_result(client, arg, len);
}

int client_stop(struct client *client)
{
	int status = -1;

	close(client->sock);
	if (waitpid(client->pid, &status, 0) != client->pid)
		return -1;
	return status;
}

int client_kill(struct client *client)
{
	kill(client->pid, SIGKILL);
	return client_stop(client);
}

void *shared_alloc(size_t size)
{
	void *mem = mmap(NULL, size, PROT_RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}
