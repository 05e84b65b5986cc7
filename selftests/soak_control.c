// SPDX-License-Identifier: GPL-2.0
/*
 * soak_control.c - the controllers of the soak test: what they ask of a view,
 * and how the model is kept in step
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak_span.h"

#include <sched.h>

/* ---- Requests ---- */

static void map_locked(struct span *span, struct shows shows, enum op op)
{
	struct soak_view *view = span->view;
	struct log_entry *entry = log_begin(op);
	uint64_t policy = atomic_load(&world->policy);
	bool within = span_within(span);
	int err;

	entry->view = view - world->view;
	entry->page = span->first;
	entry->n = span->n;
	entry->file = shows.file;
	entry->file_page = shows.page;
	entry->flags = shows.flags;
	if (within)
		span_begin(span, shows);
	err = view_map(view->control, world->file[shows.file].src.fd, shows.page * PAGE,
		       span->n * PAGE, span->first * PAGE, shows.flags);
	if (within && !err)
		span_end(span, atomic_fetch_add(&view->ids, 1) + 1);
	else if (within)
		span_cancel(span);
	log_end(entry, err);
	if (within ? !policy_fits(policy, err) : err != -EINVAL && err != POLICY_ERR)
		soak_fail("thread %u: map of pages %u+%u of view %td: %d", self->index, span->first,
			  span->n, view - world->view, err);
}

static void op_map(void)
{
	struct soak_file *file = soak_random_file();
	struct shows shows = { .file = file - world->file, .flags = random_flags() };
	struct span span;

	span_random(&span);
	if (span.n > file->pages)
		span.n = file->pages;
	shows.page = soak_below(file->pages - span.n + 1) % world->width;
	span_lock(&span);
	map_locked(&span, shows, OP_MAP);
	span_look(&span);
	span_unlock(&span);
}

/*
 * What the first page shows, and what follows it in the file, with other
 * flags, several times: a fault may meet the same page on both sides of it.
 */
static void op_remap(void)
{
	unsigned int i, times = 1 + soak_below(8);
	struct shows shows;
	struct span span;

	span_random(&span);
	for (i = 0; i < times && !atomic_load(&world->stop); i++) {
		span_lock(&span);
		shows = span.old[span.first];
		shows.flags = random_flags();
		if (shows.file && shows.page + span.n <= world->file[shows.file].pages) {
			map_locked(&span, shows, OP_REMAP);
			span_look(&span);
		}
		span_unlock(&span);
		sched_yield();
	}
}

static void op_unmap(void)
{
	struct log_entry *entry;
	struct span span;
	bool within;
	int err;

	span_random(&span);
	span_lock(&span);
	entry = log_begin(OP_UNMAP);
	entry->view = span.view - world->view;
	entry->page = span.first;
	entry->n = span.n;
	within = span_within(&span);
	if (within)
		span_begin(&span, shows_nothing);
	err = view_unmap(span.view->control, span.first * PAGE, span.n * PAGE);
	if (within)
		span_end(&span, 0);
	log_end(entry, err);
	if (err != (within ? 0 : -EINVAL))
		soak_fail("thread %u: unmap of pages %u+%u: %d", self->index, span.first, span.n, err);
	span_look(&span);
	span_unlock(&span);
}

static void op_resize(void)
{
	struct span all = { .view = &world->view[soak_below(SOAK_VIEWS)], .n = SOAK_PAGES };
	struct span gone = { .view = all.view };
	struct log_entry *entry;
	uint64_t size;
	int err;

	gone.first = soak_below(2) ? SOAK_PAGES : soak_view_page();
	gone.n = SOAK_PAGES - gone.first;
	size = gone.first * PAGE;
	if (size && soak_below(2))
		size -= soak_below(PAGE);
	span_lock(&all);
	entry = log_begin(OP_RESIZE);
	entry->view = all.view - world->view;
	entry->page = gone.first;
	span_begin(&gone, shows_nothing);
	err = view_resize(all.view->control, size);
	span_end(&gone, 0);
	all.view->size = size;
	log_end(entry, err);
	if (err)
		soak_fail("thread %u: resize to %ju: %d", self->index, (uintmax_t)size, err);
	span_look(&all);
	span_unlock(&all);
}

/* ---- Views and view fds that come and go ---- */

static void op_viewfd(void)
{
	struct soak_view *view = &world->view[soak_below(SOAK_VIEWS)];
	struct log_entry *entry = log_begin(OP_VIEWFD);
	int prot = PROT_RW | PROT_EXEC, fd = view_get_fd(view->control);
	unsigned int page = soak_view_page();
	char *mem;

	log_end(entry, fd);
	if (fd < 0) {
		soak_fail("MEMVIEW_GET_VIEWFD: %d", fd);
		return;
	}
	mem = view_mmap(fd, (SOAK_PAGES - page) * PAGE, prot, page * PAGE);
	close(fd);
	if (mem == MAP_FAILED) {
		soak_fail("mmap of a new view fd: %m");
		return;
	}
	soak_access(view, page, mem, prot, soak_access_op());
	munmap(mem, (SOAK_PAGES - page) * PAGE);
}

/*
 * A view of this thread's own: a few ranges, a look at them, and it goes, the
 * mapping or the fds first.
 */
static void op_private(void)
{
	struct log_entry *entry = log_begin(OP_PRIVATE);
	int control = view_create(8 * PAGE), viewfd, err = control < 0 ? control : 0;
	uint64_t policy = atomic_load(&world->policy), ignored;
	bool unmap_first = soak_below(2);
	char *mem = MAP_FAILED;
	unsigned int i;

	for (i = 0; i < 4 && !err; i++) {
		struct soak_file *file = soak_random_file();

		err = view_map(control, file->src.fd, soak_below(file->pages - 4) * PAGE, 4 * PAGE,
			       i * PAGE, MAP_RW);
	}
	viewfd = view_get_fd(control);
	if (viewfd >= 0)
		mem = view_mmap(viewfd, 8 * PAGE, PROT_RW, 0);
	log_end(entry, err);
	if (mem == MAP_FAILED || !policy_fits(policy, err))
		soak_fail("thread %u: a view of its own: %d", self->index, err);
	for (i = 0; i < 8 && mem != MAP_FAILED; i++)
		if (probe_read(mem + i * PAGE, &ignored) == SIGSEGV)
			soak_fail("thread %u: SIGSEGV in a view of its own", self->index);
	if (unmap_first)
		munmap(mem, 8 * PAGE);
	close(viewfd);
	close(control);
	if (!unmap_first)
		munmap(mem, 8 * PAGE);
}

/* ---- Requests that must fail ---- */

static int bad_request(struct soak_view *view, unsigned int which, int *want)
{
	int control = view->control, fd = world->file[1].src.fd;
	char *mem;

	*want = -EINVAL;
	switch (which) {
	case 0:
		return view_map(control, fd, 0, PAGE, 0, 0);
	case 1:
		return view_map(control, fd, 0, PAGE, 0, MAP_R | 8);
	case 2:
		return view_map(control, fd, soak_below(PAGE - 1) + 1, PAGE, 0, MAP_RW);
	case 3:
		return view_map(control, fd, 0, -PAGE, 2 * PAGE, MAP_RW);
	case 4:
		return view_map(control, fd, MEMVIEW_MAX_FILE_OFFSET, PAGE, 0, MAP_RW);
	case 5:
		return view_unmap(control, 0, SOAK_SIZE + PAGE);
	case 6:
		*want = -EBADF;
		return view_map(control, -1, 0, PAGE, 0, MAP_RW);
	case 7:
		*want = -EOPNOTSUPP;
		return view_map(control, view->viewfd, 0, PAGE, 0, MAP_RW);
	case 8:
		*want = -EOPNOTSUPP;
		return view_map(control, control, 0, PAGE, 0, MAP_RW);
	case 9:
		*want = -ENOTTY;
		return view_unmap(view->viewfd, 0, PAGE);
	default:
		mem = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, view->viewfd, 0);
		if (mem != MAP_FAILED)
			munmap(mem, PAGE);
		return mem == MAP_FAILED ? -errno : 0;
	}
}

/* Clients check meanwhile that nothing has changed. */
static void op_bad(void)
{
	struct soak_view *view = &world->view[soak_below(SOAK_VIEWS)];
	unsigned int which = soak_below(11);
	struct log_entry *entry;
	int err, want;

	region_lock(view, 0);
	if (view->size) {
		entry = log_begin(OP_BAD);
		entry->view = view - world->view;
		entry->n = which;
		err = bad_request(view, which, &want);
		log_end(entry, err);
		if (err != want && err != POLICY_ERR)
			soak_fail("bad request %u: %d", which, err);
	}
	region_unlock(view, 0);
}

static void look(void)
{
	struct span span;

	span_random(&span);
	span_look(&span);
}

void controller_step(void)
{
	static const struct {
		enum op op;
		void (*run)(void);
	} ops[] = {
		{ OP_MAP, op_map },	    { OP_MAP, op_map },	    { OP_MAP, op_map },
		{ OP_MAP, op_map },	    { OP_MAP, op_map },	    { OP_MAP, op_map },
		{ OP_REMAP, op_remap },	    { OP_REMAP, op_remap }, { OP_UNMAP, op_unmap },
		{ OP_UNMAP, op_unmap },	    { OP_BATCH, op_batch }, { OP_BATCH, op_batch },
		{ OP_RESIZE, op_resize },   { OP_VIEWFD, op_viewfd }, { OP_PRIVATE, op_private },
		{ OP_LEND, op_lend },	    { OP_BAD, op_bad },	    { OP_READ, look },
		{ OP_READ, look },
	};
	unsigned int i = soak_below(ARRAY_SIZE(ops));

	if (op_enabled(ops[i].op))
		ops[i].run();
	if (soak_below(2))
		usleep(soak_below(1500));
}
