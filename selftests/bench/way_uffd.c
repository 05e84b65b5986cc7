// SPDX-License-Identifier: GPL-2.0
/*
 * way_uffd.c - a userfaultfd answers each minor fault with UFFDIO_CONTINUE
 *
 * The client maps the file, and a thread of the controller decides, page by
 * page, when a page of it may appear.
 */
#include "bench.h"

#include <linux/userfaultfd.h>

static void *handle(void *arg)
{
	struct window *w = arg;
	struct uffdio_continue resolve;
	struct uffd_msg msg;
	ssize_t n;

	for (;;) {
		n = read(w->fd, &msg, sizeof(msg));
		if (n != sizeof(msg))
			fail("reading a userfaultfd: %s",
			     n < 0 ? strerror(errno) : "cut off");
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		resolve = (struct uffdio_continue){
			.range.start = msg.arg.pagefault.address & -PAGE,
			.range.len = PAGE,
		};
		must_errno(ioctl(w->fd, UFFDIO_CONTINUE, &resolve),
			   "UFFDIO_CONTINUE");
	}
	return NULL;
}

static void uffd_open(struct window *w, uint64_t size)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_MINOR_SHMEM };

	w->fd = must_errno(syscall(SYS_userfaultfd, O_CLOEXEC), "userfaultfd");
	must_errno(ioctl(w->fd, UFFDIO_API, &api), "UFFDIO_API");
}

static void uffd_close(struct window *w)
{
	must_errno(munmap(w->mem, w->size), "munmap");
}

static void uffd_map(struct window *w, uint64_t offset, int fd,
		     uint64_t fd_offset, uint64_t size)
{
	struct uffdio_register reg = {
		.range.start = (uintptr_t)w->mem + offset,
		.range.len = size,
		.mode = UFFDIO_REGISTER_MODE_MINOR,
	};
	pthread_t thread;

	way_mmap.map(w, offset, fd, fd_offset, size);
	must_errno(ioctl(w->fd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
	/* Not in uffd_open(): what it was given is no place that stays. */
	if (!w->pid && pthread_create(&thread, NULL, handle, w))
		fail("cannot start a thread");
	w->pid = getpid();
}

static void uffd_unmap(struct window *w, uint64_t offset, uint64_t size)
{
	way_mmap.unmap(w, offset, size);
}

const struct way way_uffd = {
	.name = "uffd",
	.open = uffd_open,
	.close = uffd_close,
	.map = uffd_map,
	.unmap = uffd_unmap,
	.touch_span = touch_span_here,
	.touch_list = touch_list_here,
	.forget = forget_here,
};
