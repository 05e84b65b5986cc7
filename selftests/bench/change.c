// SPDX-License-Identifier: GPL-2.0
/*
 * change.c - what MAP and UNMAP cost, by size, and with pages mapped or not
 *
 * The client touches outside of what is measured.
 */
#include "bench.h"

static void run_map(const struct row *row, const struct way *way, enum source_kind source)
{
	uint64_t size = row->size, start, took[row->rounds];
	struct window w;
	struct source src;
	unsigned int i;

	source_must(&src, source, size);
	if (row->touched) {
		must(source_fill(&src, 1), "filling a file");
		source_settle(&src);
	}
	w = window_open(way, size);
	for (i = 0; i < row->rounds; i++) {
		start = clock_start();
		way->map(&w, 0, src.fd, 0, size);
		took[i] = clock_stop(start);
		if (row->touched)
			way->touch_span(&w, 0, size, false);
		start = clock_start();
		way->unmap(&w, 0, size);
		took[i] += clock_stop(start);
	}
	emit(row->name, source, way->name, "instructions", median(took, row->rounds));
	window_close(&w);
	source_close(&src);
}

/* By the same span of another file, and back. */
static void run_replace(const struct row *row, const struct way *way, enum source_kind source)
{
	uint64_t size = row->size, start, took[row->rounds];
	struct source src[2];
	struct window w;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		source_must(&src[i], source, size);
		must(source_fill(&src[i], i), "filling a file");
		source_settle(&src[i]);
	}
	w = window_open(way, size);
	way->map(&w, 0, src[0].fd, 0, size);
	for (i = 0; i < row->rounds; i++) {
		if (row->touched)
			way->touch_span(&w, 0, size, false);
		start = clock_start();
		way->map(&w, 0, src[!(i % 2)].fd, 0, size);
		took[i] = clock_stop(start);
	}
	emit(row->name, source, way->name, "instructions", median(took, row->rounds));
	window_close(&w);
	source_close(&src[0]);
	source_close(&src[1]);
}

#define CHANGE(name_, run_, size_, touched_, rounds_, sources_) \
	{ .name = name_, .run = run_, .size = size_, .touched = touched_, \
	  .rounds = rounds_, .sources = sources_, .ways = BY_SPAN }

const struct row change_rows[] = {
	CHANGE("MAP+UNMAP 4 KiB, untouched", run_map, 4 * KiB, false, 401, ON_BOTH),
	CHANGE("MAP+UNMAP 4 KiB, touched", run_map, 4 * KiB, true, 401, ON_BOTH),
	CHANGE("MAP+UNMAP 2 MiB, untouched", run_map, 2 * MiB, false, 401, ON_BOTH),
	CHANGE("MAP+UNMAP 2 MiB, touched", run_map, 2 * MiB, true, 31, ON_BOTH),
	CHANGE("MAP+UNMAP 1 GiB, untouched", run_map, GiB, false, 201, ON_BOTH),
	CHANGE("MAP+UNMAP 1 GiB, touched", run_map, GiB, true, 1, ON_MEMFD),
	CHANGE("replace 2 MiB, untouched", run_replace, 2 * MiB, false, 401, ON_BOTH),
	CHANGE("replace 2 MiB, touched", run_replace, 2 * MiB, true, 31, ON_BOTH),
	{ }
};
