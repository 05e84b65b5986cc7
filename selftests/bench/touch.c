// SPDX-License-Identifier: GPL-2.0
/*
 * touch.c - what the first access to a page costs, and taking the page away
 *
 * The file is in the page cache, the page tables are there, the PTEs are not.
 */
#include "bench.h"

#define TOUCH_PAGES	8192U
#define LONE_PAGES	2048U
#define HOLE_PAGES	4096U
#define TABLE_PAGES	(HUGE / PAGE)

/* ---- In order, with all neighbours cached ---- */

static void run_sequential(const struct row *row, const struct way *way, enum source_kind source)
{
	uint64_t size = TOUCH_PAGES * PAGE, start, took[row->rounds];
	struct window w;
	struct source src;
	unsigned int i;

	source_must(&src, source, size);
	must(source_fill(&src, 1), "filling a file");
	source_settle(&src);
	w = window_open(way, size);
	way->map(&w, 0, src.fd, 0, size);
	way->touch_span(&w, 0, size, row->write);
	for (i = 0; i < row->rounds; i++) {
		way->forget(&w, 0, size);
		start = clock_start();
		way->touch_span(&w, 0, size, row->write);
		took[i] = clock_stop(start);
	}
	emit(row->name, source, way->name, PER_PAGE, lowest(took, row->rounds) / TOUCH_PAGES);
	window_close(&w);
	source_close(&src);
}

/* ---- At random, where a page table shows but one page that is cached ---- */

static void shuffle(uint32_t *list, unsigned int n)
{
	uint64_t state = 1;
	unsigned int i, j;
	uint32_t swap;

	for (i = n - 1; i > 0; i--) {
		j = random_next(&state) % (i + 1);
		swap = list[i];
		list[i] = list[j];
		list[j] = swap;
	}
}

static void run_lone(const struct row *row, const struct way *way, enum source_kind source)
{
	uint64_t size = LONE_PAGES * HUGE, start, took[row->rounds];
	static uint32_t pages[LONE_PAGES];
	static char data[PAGE];
	struct window w;
	struct source src;
	unsigned int i;

	source_must(&src, source, size);
	for (i = 0; i < LONE_PAGES; i++) {
		pages[i] = i * TABLE_PAGES + i * 37 % TABLE_PAGES;
		if (pwrite(src.fd, data, PAGE, pages[i] * PAGE) != PAGE)
			fail("writing a page: %s", strerror(errno));
	}
	shuffle(pages, LONE_PAGES);
	source_settle(&src);
	w = window_open(way, size);
	way->map(&w, 0, src.fd, 0, size);
	way->touch_list(&w, pages, LONE_PAGES, row->write);
	for (i = 0; i < row->rounds; i++) {
		way->forget(&w, 0, size);
		start = clock_start();
		way->touch_list(&w, pages, LONE_PAGES, row->write);
		took[i] = clock_stop(start);
	}
	emit(row->name, source, way->name, PER_PAGE, lowest(took, row->rounds) / LONE_PAGES);
	window_close(&w);
	source_close(&src);
}

/* ---- Where the file has no page yet ---- */

static void run_hole(const struct row *row, const struct way *way, enum source_kind source)
{
	uint64_t size = HOLE_PAGES * PAGE, start, took[row->rounds];
	struct window w;
	struct source src;
	unsigned int i;

	source_must(&src, source, size);
	w = window_open(way, size);
	way->map(&w, 0, src.fd, 0, size);
	for (i = 0; i < row->rounds; i++) {
		start = clock_start();
		way->touch_span(&w, 0, size, row->write);
		took[i] = clock_stop(start);
		must_errno(ftruncate(src.fd, 0), "ftruncate");
		must_errno(ftruncate(src.fd, size), "ftruncate");
		source_settle(&src);
	}
	/* The first round makes the page tables. */
	emit(row->name, source, way->name, PER_PAGE, lowest(took + 1, row->rounds - 1) / HOLE_PAGES);
	window_close(&w);
	source_close(&src);
}

/* ---- Taken away while it is mapped ---- */

static void run_zap(const struct row *row, const struct way *way, enum source_kind source)
{
	uint64_t size = TOUCH_PAGES * PAGE, start, took[row->rounds];
	struct window w;
	struct source src;
	unsigned int i;

	source_must(&src, source, size);
	must(source_fill(&src, 1), "filling a file");
	source_settle(&src);
	w = window_open(way, size);
	for (i = 0; i < row->rounds; i++) {
		way->map(&w, 0, src.fd, 0, size);
		way->touch_span(&w, 0, size, row->write);
		start = clock_start();
		way->unmap(&w, 0, size);
		took[i] = clock_stop(start);
	}
	emit(row->name, source, way->name, PER_PAGE, lowest(took, row->rounds) / TOUCH_PAGES);
	window_close(&w);
	source_close(&src);
}

#define TOUCH(name_, run_, write_, ways_) \
	{ .name = name_, .run = run_, .write = write_, .rounds = 5, \
	  .sources = ON_BOTH, .ways = ways_ }

const struct row touch_rows[] = {
	TOUCH("sequential read touch", run_sequential, false, BY_PAGE),
	TOUCH("sequential write touch", run_sequential, true, BY_PAGE),
	TOUCH("random read, no neighbours", run_lone, false, BY_PAGE),
	TOUCH("random write, no neighbours", run_lone, true, BY_PAGE),
	TOUCH("hole, first read", run_hole, false, BY_TWO | ON(WAY_COPY)),
	TOUCH("hole, first write", run_hole, true, BY_TWO | ON(WAY_COPY)),
	TOUCH("zap, pages read", run_zap, false, BY_SPAN),
	TOUCH("zap, pages written", run_zap, true, BY_SPAN),
	{ }
};
