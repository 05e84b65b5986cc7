// SPDX-License-Identifier: GPL-2.0
/*
 * ways.c - memory that the client reaches by itself: a view, an mmap of the
 * file, and a copy of what is in it
 */
#include "bench.h"

const struct way *const ways[5] = {
	[WAY_VIEW] = &way_view,	    [WAY_MMAP] = &way_mmap,
	[WAY_SOCKET] = &way_socket, [WAY_UFFD] = &way_uffd,
	[WAY_COPY] = &way_copy,
};

struct window window_open(const struct way *way, uint64_t size)
{
	static unsigned int opened;
	struct window w = {
		.way = way,
		.size = size,
		.mem = WINDOW_AT + opened++ * WINDOW_STEP,
		.control = -1,
		.fd = -1,
	};

	way->open(&w, size);
	return w;
}

void window_close(struct window *w)
{
	w->way->close(w);
}

void window_forget(struct window *w)
{
	const uint64_t part = HUGE / 2;
	uint64_t offset;

	for (offset = 0; offset < w->size; offset += part)
		w->way->forget(w, offset,
			       w->size - offset < part ? w->size - offset :
							 part);
}

/* ---- What a client does ---- */

void touch_span_here(struct window *w, uint64_t offset, uint64_t size,
		     bool write)
{
	volatile char *p = w->mem + offset, *end = p + size;

	if (write)
		for (; p < end; p += PAGE)
			*p = 1;
	else
		for (; p < end; p += PAGE)
			*p;
}

void touch_list_here(struct window *w, const uint32_t *pages, unsigned int n,
		     bool write)
{
	volatile char *mem = w->mem;
	unsigned int i;

	if (write)
		for (i = 0; i < n; i++)
			mem[pages[i] * PAGE] = 1;
	else
		for (i = 0; i < n; i++)
			mem[pages[i] * PAGE];
}

void forget_here(struct window *w, uint64_t offset, uint64_t size)
{
	must_errno(madvise(w->mem + offset, size, MADV_DONTNEED),
		   "madvise(MADV_DONTNEED)");
}

static void map_at(char *at, uint64_t size, int fd, uint64_t offset)
{
	void *mem = mmap(at, size, PROT_RW, MAP_SHARED | MAP_FIXED, fd, offset);

	if (mem == MAP_FAILED)
		fail("mmap: %s", strerror(errno));
}

/* ---- A view ---- */

static void view_open(struct window *w, uint64_t size)
{
	w->control = must(view_create(size), "creating a view");
	w->fd = must(view_get_fd(w->control), "MEMVIEW_GET_VIEWFD");
	map_at(w->mem, size, w->fd, 0);
}

static void view_close(struct window *w)
{
	must_errno(munmap(w->mem, w->size), "munmap");
	close(w->fd);
	close(w->control);
}

static void view_show(struct window *w, uint64_t offset, int fd,
		      uint64_t fd_offset, uint64_t size)
{
	must(view_map(w->control, fd, fd_offset, size, offset, MAP_RW),
	     "MEMVIEW_MAP_FD");
}

static void view_hide(struct window *w, uint64_t offset, uint64_t size)
{
	must(view_unmap(w->control, offset, size), "MEMVIEW_UNMAP_FD");
}

const struct way way_view = {
	.name = "view",
	.open = view_open,
	.close = view_close,
	.map = view_show,
	.unmap = view_hide,
	.touch_span = touch_span_here,
	.touch_list = touch_list_here,
	.forget = forget_here,
	.load = load_start,
};

/* ---- An mmap of the file, in the same process ---- */

static void mmap_open(struct window *w, uint64_t size)
{
}

static void mmap_close(struct window *w)
{
	must_errno(munmap(w->mem, w->size), "munmap");
}

static void mmap_show(struct window *w, uint64_t offset, int fd,
		      uint64_t fd_offset, uint64_t size)
{
	map_at(w->mem + offset, size, fd, fd_offset);
}

static void mmap_hide(struct window *w, uint64_t offset, uint64_t size)
{
	must_errno(munmap(w->mem + offset, size), "munmap");
}

const struct way way_mmap = {
	.name = "mmap",
	.open = mmap_open,
	.close = mmap_close,
	.map = mmap_show,
	.unmap = mmap_hide,
	.touch_span = touch_span_here,
	.touch_list = touch_list_here,
	.forget = forget_here,
	.load = load_start,
};

/* ---- A bounce buffer: each page is copied before it is read, or after ---- */

static char bounce[PAGE];

static void copy_open(struct window *w, uint64_t size)
{
	memset(bounce, 1, sizeof(bounce));
}

static void copy_close(struct window *w)
{
}

static void copy_show(struct window *w, uint64_t offset, int fd,
		      uint64_t fd_offset, uint64_t size)
{
	w->fd = fd;
	w->fd_offset = fd_offset - offset;
}

static void copy_hide(struct window *w, uint64_t offset, uint64_t size)
{
	w->fd = -1;
}

static void copy_page(struct window *w, uint64_t offset, bool write)
{
	volatile char *p = bounce;
	ssize_t n;

	if (write) {
		*p = 1;
		n = pwrite(w->fd, bounce, PAGE, w->fd_offset + offset);
	} else {
		n = pread(w->fd, bounce, PAGE, w->fd_offset + offset);
		*p;
	}
	if (n != PAGE)
		fail("copying a page: %s",
		     n < 0 ? strerror(errno) : "end of file");
}

static void copy_span(struct window *w, uint64_t offset, uint64_t size,
		      bool write)
{
	uint64_t end = offset + size;

	for (; offset < end; offset += PAGE)
		copy_page(w, offset, write);
}

static void copy_list(struct window *w, const uint32_t *pages, unsigned int n,
		      bool write)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		copy_page(w, pages[i] * PAGE, write);
}

static void copy_forget(struct window *w, uint64_t offset, uint64_t size)
{
}

const struct way way_copy = {
	.name = "copy",
	.open = copy_open,
	.close = copy_close,
	.map = copy_show,
	.unmap = copy_hide,
	.touch_span = copy_span,
	.touch_list = copy_list,
	.forget = copy_forget,
};
