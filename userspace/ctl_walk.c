// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_walk.c - views and ranges, by the programs of views.bpf.c
 *
 * Their answers are in arrays whose size is fixed when they are loaded. When
 * one is too small, the programs are loaded again with a larger one.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/views.skel.h"
#include "ctl_walk.h"

struct walk {
	struct views_bpf *skel;
	void *views;
	void *ranges;
};

static size_t array_size(const struct bpf_map *map)
{
	size_t page = sysconf(_SC_PAGESIZE);
	size_t size = (size_t)bpf_map__max_entries(map) *
		      ((bpf_map__value_size(map) + 7) / 8 * 8);

	return (size + page - 1) / page * page;
}

static void *map_array(const struct bpf_map *map)
{
	return mmap(NULL, array_size(map), PROT_READ, MAP_SHARED,
		    bpf_map__fd(map), 0);
}

/**
 * walk_close - let go of the programs, and of what they have answered
 * @walk: May be NULL.
 */
void walk_close(struct walk *walk)
{
	if (!walk)
		return;
	if (walk->views != MAP_FAILED)
		munmap(walk->views, array_size(walk->skel->maps.views));
	if (walk->ranges != MAP_FAILED)
		munmap(walk->ranges, array_size(walk->skel->maps.ranges));
	views_bpf__destroy(walk->skel);
	free(walk);
}

static int open_sized(struct walk **walk, uint32_t views, uint32_t ranges)
{
	struct walk *w = calloc(1, sizeof(*w));
	int err = -ENOMEM;

	if (!w)
		goto failed;
	w->views = MAP_FAILED;
	w->ranges = MAP_FAILED;
	w->skel = views_bpf__open();
	if (!w->skel) {
		err = -errno;
		goto failed;
	}
	bpf_map__set_max_entries(w->skel->maps.views, views);
	bpf_map__set_max_entries(w->skel->maps.ranges, ranges);
	err = views_bpf__load(w->skel);
	if (err)
		goto failed;
	w->views = map_array(w->skel->maps.views);
	w->ranges = map_array(w->skel->maps.ranges);
	if (w->views == MAP_FAILED || w->ranges == MAP_FAILED) {
		err = -errno;
		goto failed;
	}
	*walk = w;
	return 0;
failed:
	walk_close(w);
	return load_failed(err, "the programs that look at views");
}

/**
 * walk_open - get ready to look at views
 * @walk: Set on success.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int walk_open(struct walk **walk)
{
	return need_bpf() ?: open_sized(walk, 256, 1);
}

static int run(const struct bpf_program *program)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(program), &opts);
}

static int run_failed(int err, const char *what)
{
	return ctl_error(CTL_FAILED, NULL, "cannot %s: %s", what,
			 strerror(-err));
}

/* Room for more than there is now: there may be more the next time. */
static int enlarge(struct walk **walk, uint32_t views, uint32_t ranges)
{
	struct walk *larger;
	int err = open_sized(&larger, views + views / 4 + 1,
			     ranges + ranges / 4 + 1);

	if (err)
		return err;
	walk_close(*walk);
	*walk = larger;
	return 0;
}

/**
 * walk_views - all views, by ID
 * @walk: May be replaced.
 * @views: Set; valid until the next call.
 * @nr: Set: how many.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int walk_views(struct walk **walk, const struct view_record **views,
	       uint32_t *nr)
{
	int err;

	for (;;) {
		struct views_bpf *skel = (*walk)->skel;

		err = run(skel->progs.list_views);
		if (err)
			return run_failed(err, "list the views");
		*nr = skel->bss->nr;
		*views = (*walk)->views;
		if (*nr <= bpf_map__max_entries(skel->maps.views))
			return 0;
		err = enlarge(walk, *nr, 1);
		if (err)
			return err;
	}
}

/* Return: the exit status. */
int no_view(uint64_t id)
{
	return ctl_error(CTL_FAILED, "memviewctl list shows those there are.",
			 "there is no view %llu", (unsigned long long)id);
}

/**
 * walk_view - one view
 * @walk: From walk_open().
 * @id: Its ID.
 * @view: Set; valid until the next call.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int walk_view(struct walk *walk, uint64_t id, const struct view_record **view)
{
	int err;

	walk->skel->bss->id = id;
	err = run(walk->skel->progs.get_view);
	if (err)
		return run_failed(err, "look at the view");
	if (walk->skel->bss->result)
		return no_view(id);
	*view = walk->views;
	return 0;
}

/**
 * walk_ranges - the ranges of a view, by offset
 * @walk: May be replaced.
 * @id: The view's ID.
 * @ranges: Set; valid until the next call.
 * @nr: Set: how many.
 *
 * Return: 0 or the exit status, and it has been said why.
 */
int walk_ranges(struct walk **walk, uint64_t id,
		const struct range_record **ranges, uint32_t *nr)
{
	int err;

	for (;;) {
		struct views_bpf *skel = (*walk)->skel;

		skel->bss->id = id;
		err = run(skel->progs.list_ranges);
		if (err)
			return run_failed(err, "list the view's ranges");
		if (skel->bss->result)
			return no_view(id);
		*nr = skel->bss->nr;
		*ranges = (*walk)->ranges;
		if (*nr <= bpf_map__max_entries(skel->maps.ranges))
			return 0;
		err = enlarge(walk, 256, *nr);
		if (err)
			return err;
	}
}

/**
 * walk_revoke - take memory back
 * @walk: From walk_open().
 * @id: The view's ID.
 * @offset: Bytes.
 * @size: Bytes; both 0 for the whole view.
 *
 * Return: 0 or a negative errno.
 */
int walk_revoke(struct walk *walk, uint64_t id, uint64_t offset, uint64_t size)
{
	int err;

	walk->skel->bss->id = id;
	walk->skel->bss->offset = offset;
	walk->skel->bss->size = size;
	err = run(walk->skel->progs.revoke);
	return err ?: walk->skel->bss->result;
}
