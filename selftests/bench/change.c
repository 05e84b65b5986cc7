// SPDX-License-Identifier: GPL-2.0
/*
 * change.c - what MAP and UNMAP cost, by size, and with pages mapped or not
 *
 * The window has slots of the row's size, and all show the file but the one
 * that is changed: the first and the last mapping of a file or of an address
 * space are a case of their own, and so are a few that just fill a tree node.
 * The client touches outside of what is measured.
 */
#include "bench.h"

#define SLOTS 32

static struct window open_slots(const struct row *row, const struct way *way,
				struct source *src)
{
	struct window w = window_open(way, SLOTS * row->size);
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		way->map(&w, i * row->size, src->fd, 0, row->size);
	return w;
}

static void run_map(const struct row *row, const struct way *way,
		    struct source *src)
{
	struct window w = open_slots(row, way, src);
	struct samples s = { 0 };
	uint64_t slot, start, took;

	while (samples_more(&s, row->rounds)) {
		slot = s.n * 7 % SLOTS * row->size;
		if (row->touched)
			way->touch_span(&w, slot, row->size, false);
		start = clock_start();
		way->unmap(&w, slot, row->size);
		took = clock_stop(start);
		start = clock_start();
		way->map(&w, slot, src->fd, 0, row->size);
		samples_add(&s, took + clock_stop(start));
	}
	emit_cost(row->name, src, way->name, samples_median(&s), "");
	window_close(&w);
}

/* By the same span of another file, and later back. */
static void run_replace(const struct row *row, const struct way *way,
			struct source *src)
{
	struct window w = open_slots(row, way, src);
	struct samples s = { 0 };
	uint64_t slot, start;
	unsigned int other;

	while (samples_more(&s, row->rounds)) {
		slot = s.n * 7 % SLOTS * row->size;
		other = !(s.n / SLOTS % 2);
		if (row->touched)
			way->touch_span(&w, slot, row->size, false);
		start = clock_start();
		way->map(&w, slot, src[other].fd, 0, row->size);
		samples_add(&s, clock_stop(start));
	}
	emit_cost(row->name, src, way->name, samples_median(&s), "");
	window_close(&w);
}

/* clang-format off */
#define CHANGE(name_, prepare_, run_, size_, rounds_, sources_, ...)           \
	{                                                                      \
		.name = name_, .prepare = prepare_, .run = run_,               \
		.size = size_, .rounds = rounds_, .sources = sources_,         \
		.ways = BY_SPAN, __VA_ARGS__                                   \
	}
/* clang-format on */
#define TOUCHED .touched = true

const struct row change_rows[] = {
	CHANGE("MAP+UNMAP 4 KiB, untouched", prepare_empty, run_map, 4 * KiB,
	       301, ON_BOTH),
	CHANGE("MAP+UNMAP 4 KiB, touched", prepare_cached, run_map, 4 * KiB,
	       301, ON_BOTH, TOUCHED),
	CHANGE("MAP+UNMAP 2 MiB, untouched", prepare_empty, run_map, 2 * MiB,
	       301, ON_BOTH),
	CHANGE("MAP+UNMAP 2 MiB, touched", prepare_cached, run_map, 2 * MiB, 31,
	       ON_BOTH, TOUCHED),
	CHANGE("MAP+UNMAP 1 GiB, untouched", prepare_empty, run_map, GiB, 301,
	       ON_BOTH),
	CHANGE("MAP+UNMAP 1 GiB, touched", prepare_cached, run_map, GiB, 1,
	       ON_MEMFD, TOUCHED, .untimed = true),
	CHANGE("replace 2 MiB, untouched", prepare_two, run_replace, 2 * MiB,
	       301, ON_BOTH),
	CHANGE("replace 2 MiB, touched", prepare_two, run_replace, 2 * MiB, 31,
	       ON_BOTH, TOUCHED),
	{},
};
