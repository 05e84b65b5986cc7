// SPDX-License-Identifier: MIT
/*
 * view.c - the requests to a view. One that the kernel's header adds is a
 * function here, and a name in libmemview.map.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libmemview.h"

#define DEVICE "/dev/memory-view"

static int result(int ret)
{
	return ret < 0 ? -errno : ret;
}

int memview_open(uint64_t size)
{
	int view = open(DEVICE, O_RDWR | O_CLOEXEC);
	int error;

	if (view < 0)
		return -errno;
	error = memview_resize(view, size);
	if (error) {
		close(view);
		return error;
	}
	return view;
}

int memview_resize(int view, uint64_t size)
{
	return size > INT64_MAX ? -EINVAL : result(ftruncate(view, size));
}

int64_t memview_size(int fd)
{
	struct stat stat;

	return fstat(fd, &stat) ? -errno : stat.st_size;
}

int memview_map(int view, uint64_t mem_offset, int fd, uint64_t fd_offset,
		uint64_t size, uint32_t flags)
{
	struct memview_map_fd_info info = {
		.fd = fd,
		.flags = flags,
		.fd_offset = fd_offset,
		.size = size,
		.mem_offset = mem_offset,
	};

	return result(ioctl(view, MEMVIEW_MAP_FD, &info));
}

int memview_unmap(int view, uint64_t mem_offset, uint64_t size)
{
	struct memview_unmap_fd_info info = {
		.mem_offset = mem_offset,
		.size = size,
	};

	return result(ioctl(view, MEMVIEW_UNMAP_FD, &info));
}

int memview_batch(int view, const struct memview_batch_op *ops, unsigned int nr,
		  unsigned int *failed)
{
	struct memview_batch batch = {
		.ops = (uintptr_t)ops,
		.nr_ops = nr,
		.op_size = sizeof(*ops),
		.failed = nr,
	};
	int error = result(ioctl(view, MEMVIEW_BATCH, &batch));

	if (failed)
		*failed = batch.failed;
	return error;
}

int memview_set_flags(int view, uint32_t flags)
{
	struct memview_set_flags request = { .flags = flags };

	return result(ioctl(view, MEMVIEW_SET_FLAGS, &request));
}

int memview_get_viewfd(int view)
{
	return result(ioctl(view, MEMVIEW_GET_VIEWFD));
}

int memview_mmap(int viewfd, uint64_t mem_offset, size_t size, int prot,
		 void **addr)
{
	void *at;

	if (mem_offset > INT64_MAX)
		return -EINVAL;
	at = mmap(NULL, size, prot, MAP_SHARED, viewfd, mem_offset);
	if (at == MAP_FAILED)
		return -errno;
	*addr = at;
	return 0;
}
