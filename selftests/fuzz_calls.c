// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_calls.c - the calls that change a view, and what must come of them
 */
#include "fuzz.h"

#define ARG_MAX_SIZE	((1U << _IOC_SIZEBITS) - 1)

/* ---- Numbers ---- */

static const uint64_t limits[] = {
	0, 1, PAGE - 1, PAGE, PAGE + 1, 1ULL << 31, 1ULL << 32, MEMVIEW_MAX_FILE_OFFSET,
	MEMVIEW_MAX_FILE_OFFSET - PAGE, MEMVIEW_MAX_FILE_OFFSET + PAGE, 1ULL << 62, 1ULL << 63,
	(1ULL << 63) - 1, (1ULL << 63) - PAGE, -PAGE, -2 * PAGE, ~0ULL, 1ULL << 47, 1ULL << 52,
};

uint64_t fuzz_pages(const struct fuzz_op *op, unsigned int n, unsigned int max)
{
	return op->num[n] % max * PAGE;
}

uint64_t fuzz_value(const struct fuzz_op *op, unsigned int n)
{
	uint64_t num = op->num[n];

	switch (op->sel[n] % 12) {
	case 4:
		return num;
	case 5:
		return num * PAGE;
	case 6:
		return limits[num % ARRAY_SIZE(limits)];
	case 7:
		return limits[num % ARRAY_SIZE(limits)] + (num >> 8) * PAGE;
	case 8:
		return -(num % 24) * PAGE;
	case 9:
		return num << 48 | num;
	case 10:
		return num << 30;
	case 11:
		return num % 24 * PAGE + (num >> 8);
	default:
		return num % 24 * PAGE;
	}
}

/* ---- Views ---- */

static struct fuzz_view *view_of(const struct fuzz_op *op)
{
	return &fuzz_views[op->obj % FUZZ_VIEWS];
}

static void view_init(struct fuzz_view *view)
{
	unsigned int i;

	view->control = -1;
	view->size = 0;
	view->revoke_on_close = false;
	view->n = 0;
	for (i = 0; i < FUZZ_VIEWFDS; i++)
		view->viewfd[i] = -1;
}

void calls_init(void)
{
	unsigned int i;

	for (i = 0; i < FUZZ_VIEWS; i++)
		view_init(&fuzz_views[i]);
}

static int call_open(const struct fuzz_op *op)
{
	struct fuzz_view *view = view_of(op);
	bool good = op->flags % 8;
	int fd;

	if (view_in_use(view - fuzz_views))
		return -1;
	fd = open(MEMVIEW_DEV, (good ? O_RDWR : op->flags & 8 ? O_RDONLY : O_WRONLY) | O_CLOEXEC);
	if (good ? fd < 0 : fd >= 0 || errno != EINVAL)
		fuzz_fail("open of the device: fd %d, %m", fd);
	view_init(view);
	view->control = fd;
	return good ? 0 : EINVAL;
}

static int call_close(const struct fuzz_op *op)
{
	struct fuzz_view *view = view_of(op);

	if (view->control < 0)
		return 0;
	close(view->control);
	view->control = -1;
	if (view->revoke_on_close)
		model_replace(view, 0, ~0ULL, NULL);
	return 0;
}

static int call_resize(const struct fuzz_op *op)
{
	struct fuzz_view *view = view_of(op);
	uint64_t size = op->flags & 1 ? fuzz_value(op, 0) : fuzz_pages(op, 0, 48);
	uint64_t first = size / PAGE + !!(size % PAGE);
	int err;

	if (view->control < 0 || model_full(view))
		return -1;
	err = ftruncate(view->control, size) ? errno : 0;
	if (err != ((int64_t)size < 0 ? EINVAL : 0))
		fuzz_fail("ftruncate to %#jx: errno %d", (uintmax_t)size, err);
	if (!err) {
		model_replace(view, first, ~0ULL, NULL);
		view->size = size;
	}
	return err;
}

static int call_get_viewfd(const struct fuzz_op *op)
{
	struct fuzz_view *view = view_of(op);
	int *slot = &view->viewfd[op->fd % FUZZ_VIEWFDS], fd;

	if (view->control < 0)
		return -1;
	fd = ioctl(view->control, MEMVIEW_GET_VIEWFD, fuzz_value(op, 0));
	if (fd < 0)
		fuzz_fail("MEMVIEW_GET_VIEWFD: %m");
	if (*slot >= 0)
		close(*slot);
	*slot = fd;
	return 0;
}

static int call_close_viewfd(const struct fuzz_op *op)
{
	int *slot = &view_of(op)->viewfd[op->fd % FUZZ_VIEWFDS];

	if (*slot >= 0)
		close(*slot);
	*slot = -1;
	return 0;
}

/* ---- MAP_FD and UNMAP_FD ---- */

/* How the argument gets to the kernel. */
enum variant {
	EXACT, LONGER, LONGER_UNKNOWN, LONGEST, SHORTER, EMPTY, NO_POINTER, WRONG_DIRECTION, VARIANTS
};

static enum variant variant_of(const struct fuzz_op *op)
{
	return op->obj >> 4 < VARIANTS ? op->obj >> 4 : EXACT;
}

static errnos variant_errors(enum variant variant)
{
	switch (variant) {
	case LONGER_UNKNOWN:
		return ERR_BIT(E2BIG);
	case SHORTER:
	case EMPTY:
		return ERR_BIT(EINVAL);
	case NO_POINTER:
		return ERR_BIT(EFAULT);
	case WRONG_DIRECTION:
		return ERR_BIT(ENOTTY);
	default:
		return 0;
	}
}

static int do_ioctl(int fd, unsigned int cmd, const void *arg, enum variant variant)
{
	static char buf[ARG_MAX_SIZE + 1] __attribute__((aligned(8)));
	unsigned int size = _IOC_SIZE(cmd), dir = _IOC_WRITE;

	memset(buf, 0, size + 16);
	memcpy(buf, arg, size);
	buf[size + 8] = variant == LONGER_UNKNOWN;
	if (variant == LONGER || variant == LONGER_UNKNOWN)
		size += 16;
	else if (variant == LONGEST)
		size = ARG_MAX_SIZE;
	else if (variant == SHORTER)
		size -= 8;
	else if (variant == EMPTY)
		size = 0;
	else if (variant == WRONG_DIRECTION)
		dir = _IOC_READ;
	cmd = _IOC(dir, MEMVIEW_IOC_MAGIC, _IOC_NR(cmd), size);
	return ioctl(fd, cmd, variant == NO_POINTER ? NULL : buf) ? errno : 0;
}

errnos span_errors(const struct fuzz_view *view, uint64_t offset, uint64_t size)
{
	uint64_t end = (view->size + PAGE - 1) / PAGE * PAGE;

	if (!size || offset % PAGE || size % PAGE || offset + size < offset || offset + size > end)
		return ERR_BIT(EINVAL);
	return 0;
}

errnos map_errors(const struct fuzz_view *view, const struct memview_map_fd_info *info,
		  unsigned int source)
{
	errnos errors = span_errors(view, info->mem_offset, info->size);

	if (!(info->flags & MEMVIEW_MAP_READ) || (info->flags & ~MAP_RWX) ||
	    info->fd_offset % PAGE || info->fd_offset + info->size < info->fd_offset ||
	    info->fd_offset + info->size > MEMVIEW_MAX_FILE_OFFSET)
		errors |= ERR_BIT(EINVAL);
	return errors | source_errors(source, info->flags);
}

void check_result(const char *what, int err, errnos errors)
{
	char want[64] = "";
	size_t len = 0;
	int i;

	if (err ? !!(errors & ERR_BIT(err)) : !errors)
		return;
	for (i = 1; i < 128 && len < sizeof(want); i++)
		if (errors & ERR_BIT(i))
			len += snprintf(want + len, sizeof(want) - len, " %d", i);
	fuzz_fail("%s: errno %d instead of%s", what, err, len ? want : " 0");
}

static int do_map(struct fuzz_view *view, struct memview_map_fd_info *info, unsigned int source,
		  enum variant variant)
{
	struct fuzz_range range = {
		.first = info->mem_offset / PAGE,
		.last = (info->mem_offset + info->size - 1) / PAGE,
		.file_first = info->fd_offset / PAGE,
		.source = source,
		.flags = info->flags,
	};
	errnos errors = variant_errors(variant);
	int err;

	if (view->control < 0 || model_full(view))
		return -1;
	if (!errors)
		errors = map_errors(view, info, source);
	info->fd = source_fd(source);
	err = do_ioctl(view->control, MEMVIEW_MAP_FD, info, variant);
	check_result("MEMVIEW_MAP_FD", err, errors);
	if (!err)
		model_replace(view, range.first, range.last, &range);
	return err;
}

static uint32_t good_flags(const struct fuzz_op *op)
{
	return MEMVIEW_MAP_READ | (op->flags & (MEMVIEW_MAP_WRITE | MEMVIEW_MAP_EXEC));
}

static int call_map(const struct fuzz_op *op)
{
	struct memview_map_fd_info info = {
		.flags = good_flags(op),
		.fd_offset = fuzz_pages(op, 0, FILE_PAGES + 4),
		.size = fuzz_pages(op, 1, 12) + PAGE,
		.mem_offset = fuzz_pages(op, 2, 40),
	};

	return do_map(view_of(op), &info, op->fd % SRC_MAPPABLE, EXACT);
}

static int call_map_raw(const struct fuzz_op *op)
{
	struct memview_map_fd_info info = {
		.flags = op->sel[3] & 1 ? op->flags : good_flags(op),
		.fd_offset = fuzz_value(op, 0),
		.size = fuzz_value(op, 1),
		.mem_offset = fuzz_value(op, 2),
	};

	if (op->sel[3] & 2)
		info.flags |= 1U << op->num[3] % 32;
	return do_map(view_of(op), &info, op->fd % SOURCES, variant_of(op));
}

static int do_unmap(struct fuzz_view *view, const struct memview_unmap_fd_info *info,
		    enum variant variant)
{
	errnos errors = variant_errors(variant);
	int err;

	if (view->control < 0 || model_full(view))
		return -1;
	if (!errors)
		errors = span_errors(view, info->mem_offset, info->size);
	if (!errors && (info->flags || info->reserved))
		errors = ERR_BIT(EINVAL);
	err = do_ioctl(view->control, MEMVIEW_UNMAP_FD, info, variant);
	check_result("MEMVIEW_UNMAP_FD", err, errors);
	if (!err)
		model_replace(view, info->mem_offset / PAGE,
			      (info->mem_offset + info->size - 1) / PAGE, NULL);
	return err;
}

static int call_unmap(const struct fuzz_op *op)
{
	struct memview_unmap_fd_info info = {
		.mem_offset = fuzz_pages(op, 0, 40),
		.size = fuzz_pages(op, 1, 12) + PAGE,
	};

	return do_unmap(view_of(op), &info, EXACT);
}

static int call_unmap_raw(const struct fuzz_op *op)
{
	struct memview_unmap_fd_info info = {
		.mem_offset = fuzz_value(op, 0),
		.size = fuzz_value(op, 1),
		.flags = op->flags & 1 ? fuzz_value(op, 2) : 0,
		.reserved = op->flags & 2 ? fuzz_value(op, 3) : 0,
	};

	return do_unmap(view_of(op), &info, variant_of(op));
}

/* ---- SET_FLAGS ---- */

static int call_set_flags(const struct fuzz_op *op)
{
	struct memview_set_flags request = {
		.flags = op->sel[0] & 1 ? fuzz_value(op, 0) : op->flags & MEMVIEW_REVOKE_ON_CLOSE,
		.reserved = op->sel[0] & 2 ? fuzz_value(op, 1) : 0,
	};
	enum variant variant = variant_of(op);
	errnos errors = variant_errors(variant);
	struct fuzz_view *view = view_of(op);
	int err;

	if (view->control < 0)
		return -1;
	if (!errors && ((request.flags & ~MEMVIEW_REVOKE_ON_CLOSE) || request.reserved))
		errors = ERR_BIT(EINVAL);
	err = do_ioctl(view->control, MEMVIEW_SET_FLAGS, &request, variant);
	check_result("MEMVIEW_SET_FLAGS", err, errors);
	if (!err)
		view->revoke_on_close = request.flags;
	return err;
}

/* ---- All of them ---- */

void fuzz_run(const struct fuzz_op *op)
{
	static int (*const calls[CALLS])(const struct fuzz_op *op) = {
		[CALL_OPEN] = call_open,
		[CALL_CLOSE] = call_close,
		[CALL_RESIZE] = call_resize,
		[CALL_MAP] = call_map,
		[CALL_MAP_RAW] = call_map_raw,
		[CALL_UNMAP] = call_unmap,
		[CALL_UNMAP_RAW] = call_unmap_raw,
		[CALL_GET_VIEWFD] = call_get_viewfd,
		[CALL_CLOSE_VIEWFD] = call_close_viewfd,
		[CALL_MMAP] = call_mmap,
		[CALL_MUNMAP] = call_munmap,
		[CALL_ACCESS] = call_access,
		[CALL_MPROTECT] = call_mprotect,
		[CALL_MREMAP] = call_mremap,
		[CALL_MADVISE] = call_madvise,
		[CALL_FORK] = call_fork,
		[CALL_TRUNCATE] = source_truncate,
		[CALL_PUNCH] = source_punch,
		[CALL_REFILL] = source_refill,
		[CALL_SEAL] = source_seal,
		[CALL_ON_VIEWFD] = call_on_viewfd,
		[CALL_ON_CONTROL] = call_on_control,
		[CALL_IOCTL_RAW] = call_ioctl_raw,
		[CALL_COMPARE] = call_compare,
		[CALL_BATCH_ADD] = call_batch_add,
		[CALL_BATCH_RUN] = call_batch_run,
		[CALL_SET_FLAGS] = call_set_flags,
	};
	unsigned int call = op->op % CALLS;

	cover_call(call, calls[call](op));
}

void fuzz_end(void)
{
	struct fuzz_view *view;
	unsigned int i;

	for (view = fuzz_views; view < fuzz_views + FUZZ_VIEWS; view++) {
		if (view->control >= 0) {
			model_check_info(view, view->control);
			close(view->control);
		}
		for (i = 0; i < FUZZ_VIEWFDS; i++)
			if (view->viewfd[i] >= 0)
				close(view->viewfd[i]);
		view_init(view);
	}
	maps_drop();
	batch_drop();
}
