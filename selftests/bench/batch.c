// SPDX-License-Identifier: GPL-2.0
/*
 * batch.c - what MEMVIEW_BATCH costs, against its entries one by one, and
 * against one range of the same size
 *
 * The window has slots of the row's size, all of single pages, and no two of
 * them that adjoin are neighbours in the file.
 */
#include "bench.h"

#define SLOTS 4

enum how { AT_ONCE, ONE_BY_ONE, ONE_RANGE };

static uint64_t file_offset(unsigned int page)
{
	return (page ^ 1) * PAGE;
}

static void map_entries(const struct window *w, uint64_t slot, int fd,
			unsigned int n)
{
	static struct memview_batch_op ops[MEMVIEW_BATCH_MAX];
	unsigned int i;

	for (i = 0; i < n; i++)
		ops[i] = batch_map(fd, file_offset(i), PAGE, slot + i * PAGE,
				   MAP_RW);
	must(view_batch(w->control, ops, n, NULL), "MEMVIEW_BATCH");
}

static void map_slot(struct window *w, uint64_t slot, int fd, uint64_t size,
		     enum how how)
{
	unsigned int i;

	if (how == AT_ONCE) {
		map_entries(w, slot, fd, size / PAGE);
	} else if (how == ONE_BY_ONE) {
		for (i = 0; i < size / PAGE; i++)
			w->way->map(w, slot + i * PAGE, fd, file_offset(i),
				    PAGE);
	} else {
		w->way->map(w, slot, fd, 0, size);
	}
}

/* Into a hole, or over what is there; of two files in turn. */
static void measure(const struct row *row, const struct way *way,
		    struct source *src, enum how how, const char *name)
{
	struct window w = window_open(way, SLOTS * row->size);
	struct samples s = { 0 };
	uint64_t slot, start;
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		map_slot(&w, i * row->size, src[0].fd, row->size, ONE_BY_ONE);
	while (samples_more(&s, row->rounds)) {
		slot = s.n % SLOTS * row->size;
		if (row->touched)
			way->touch_span(&w, slot, row->size, false);
		if (row->vacant)
			way->unmap(&w, slot, row->size);
		start = clock_start();
		map_slot(&w, slot, src[!(s.n / SLOTS % 2)].fd, row->size, how);
		samples_add(&s, clock_stop(start));
	}
	emit_cost(row->name, src, name, samples_median(&s), "");
	window_close(&w);
}

static void run_batch(const struct row *row, const struct way *way,
		      struct source *src)
{
	if (way != &way_view) {
		measure(row, way, src, ONE_BY_ONE, way->name);
		return;
	}
	measure(row, way, src, AT_ONCE, way->name);
	measure(row, way, src, ONE_BY_ONE, "one by one");
	measure(row, way, src, ONE_RANGE, "one range");
}

/* clang-format off */
#define BATCH(n_, name_, ...)                                                  \
	{                                                                      \
		.name = #n_ " x 4 KiB at once, " name_, .prepare = prepare_two, \
		.run = run_batch, .size = n_ * PAGE, .rounds = 15,             \
		.sources = ON_MEMFD, .ways = BY_TWO, __VA_ARGS__               \
	}
/* clang-format on */

const struct row batch_rows[] = {
	BATCH(512, "into a hole", .vacant = true),
	BATCH(512, "untouched"),
	BATCH(512, "touched", .touched = true),
	BATCH(4096, "into a hole", .vacant = true),
	{},
};
