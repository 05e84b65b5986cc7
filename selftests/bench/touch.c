// SPDX-License-Identifier: GPL-2.0
/*
 * touch.c - what the first access to a page costs, and taking the page away
 *
 * The page tables are there, the PTEs are not. Where no row says otherwise, the
 * file is in the page cache.
 */
#include "bench.h"

/* With @touched, all has been read before. */
static void run_span(const struct row *row, const struct way *way,
		     struct source *src)
{
	uint64_t size = src->size, start;
	struct window w = window_open(way, size);
	struct samples s = { 0 };

	way->map(&w, 0, src->fd, 0, size);
	way->touch_span(&w, 0, size, row->write);
	while (samples_more(&s, row->rounds)) {
		window_forget(&w);
		if (row->touched) {
			/* Clean, or writing would begin by the first of these. */
			must_errno(fsync(src->fd), "fsync");
			way->touch_span(&w, 0, size, false);
		}
		start = clock_start();
		way->touch_span(&w, 0, size, row->write);
		samples_add(&s, clock_stop(start));
	}
	emit_cost(row->name, src, way->name, samples_lowest(&s) / (size / PAGE),
		  "/page");
	window_close(&w);
}

static void touch_pages(const struct row *row, const struct way *way,
			struct source *src, const uint32_t *pages,
			unsigned int n)
{
	struct window w = window_open(way, src->size);
	struct samples s = { 0 };
	uint64_t start;

	way->map(&w, 0, src->fd, 0, src->size);
	way->touch_list(&w, pages, n, row->write);
	while (samples_more(&s, row->rounds)) {
		window_forget(&w);
		start = clock_start();
		way->touch_list(&w, pages, n, row->write);
		samples_add(&s, clock_stop(start));
	}
	emit_cost(row->name, src, way->name, samples_lowest(&s) / n, "/page");
	window_close(&w);
}

static void run_lone(const struct row *row, const struct way *way,
		     struct source *src)
{
	touch_pages(row, way, src, lone_pages, LONE_PAGES);
}

/* A page here and there: its neighbours are cached, and of no use. */
static void run_sparse(const struct row *row, const struct way *way,
		       struct source *src)
{
	const unsigned int table = HUGE / PAGE, n = src->size / HUGE;
	uint32_t pages[n];
	unsigned int i;

	for (i = 0; i < n; i++)
		pages[i] = i * table + i * 37 % table;
	shuffle(pages, n);
	touch_pages(row, way, src, pages, n);
}

static void run_hole(const struct row *row, const struct way *way,
		     struct source *src)
{
	uint64_t size = src->size, start;
	struct window w = window_open(way, size);
	struct samples s = { 0 };

	way->map(&w, 0, src->fd, 0, size);
	while (samples_more(&s, row->rounds)) {
		start = clock_start();
		way->touch_span(&w, 0, size, row->write);
		samples_add(&s, clock_stop(start));
		must_errno(ftruncate(src->fd, 0), "ftruncate");
		must_errno(ftruncate(src->fd, size), "ftruncate");
		must_errno(fsync(src->fd), "fsync");
	}
	emit_cost(row->name, src, way->name, samples_lowest(&s) / (size / PAGE),
		  "/page");
	window_close(&w);
}

static void run_zap(const struct row *row, const struct way *way,
		    struct source *src)
{
	uint64_t size = src->size, start;
	struct window w = window_open(way, size);
	struct samples s = { 0 };

	while (samples_more(&s, row->rounds)) {
		way->map(&w, 0, src->fd, 0, size);
		way->touch_span(&w, 0, size, row->write);
		start = clock_start();
		way->unmap(&w, 0, size);
		samples_add(&s, clock_stop(start));
	}
	emit_cost(row->name, src, way->name, samples_lowest(&s) / (size / PAGE),
		  "/page");
	window_close(&w);
}

/* clang-format off */
#define TOUCH(name_, prepare_, run_, size_, write_, ways_)                     \
	{                                                                      \
		.name = name_, .prepare = prepare_, .run = run_,               \
		.size = size_, .write = write_, .rounds = 7,                   \
		.sources = ON_BOTH, .ways = ways_,                             \
	}
#define HUGE_TOUCH(name_, run_, write_)                                        \
	{                                                                      \
		.name = name_, .prepare = prepare_cached, .run = run_,         \
		.size = 64 * MiB, .write = write_, .rounds = 7,                \
		.sources = ON(SOURCE_MEMFD_HUGE), .ways = BY_TWO,              \
	}
/* clang-format on */
#define BY_PAGE_ALONE (BY_TWO | ON(WAY_COPY))

const struct row touch_rows[] = {
	TOUCH("sequential read touch", prepare_cached, run_span, 8 * MiB, false,
	      BY_PAGE),
	TOUCH("sequential write touch", prepare_cached, run_span, 8 * MiB, true,
	      BY_PAGE),
	{
		.name = "write after read",
		.prepare = prepare_cached,
		.run = run_span,
		.size = 8 * MiB,
		.write = true,
		.touched = true,
		.rounds = 7,
		.sources = ON_BOTH,
		.ways = BY_TWO,
	},
	TOUCH("random read, no neighbours", prepare_lone, run_lone, 0, false,
	      BY_PAGE),
	TOUCH("random write, no neighbours", prepare_lone, run_lone, 0, true,
	      BY_PAGE),
	TOUCH("one read in 2 MiB", prepare_cached, run_sparse, 64 * MiB, false,
	      BY_PAGE),
	TOUCH("one write in 2 MiB", prepare_cached, run_sparse, 64 * MiB, true,
	      BY_PAGE),
	HUGE_TOUCH("one read in a huge page", run_sparse, false),
	HUGE_TOUCH("one write in a huge page", run_sparse, true),
	HUGE_TOUCH("zap, huge pages", run_zap, true),
	TOUCH("hole, first read", prepare_empty, run_hole, 8 * MiB, false,
	      BY_PAGE_ALONE),
	TOUCH("hole, first write", prepare_empty, run_hole, 8 * MiB, true,
	      BY_PAGE_ALONE),
	TOUCH("zap, pages read", prepare_cached, run_zap, 16 * MiB, false,
	      BY_SPAN),
	TOUCH("zap, pages written", prepare_cached, run_zap, 16 * MiB, true,
	      BY_SPAN),
	{},
};
