// SPDX-License-Identifier: GPL-2.0
/*
 * ranges.c - what a layout of many ranges costs: time and memory
 *
 * A span of a million pages is cut into 1, 10... 1,000,000 ranges of equal
 * length. Neighbours swap their places in the file, so that no two of them are
 * the same as one. The same pages of the span are touched each time.
 */
#include "bench.h"

#include <linux/membarrier.h>

#define SPAN_PAGES 1000000U
#define PROBES 2048U

static uint32_t probes[PROBES];

/* Which page of the file is shown by this page of the span? */
static uint64_t file_page(unsigned int n, uint64_t page)
{
	uint64_t length = SPAN_PAGES / n, range = page / length;

	return n == 1 ? page : (range ^ 1) * length + page % length;
}

static void map_range(struct window *w, int fd, unsigned int n,
		      unsigned int range)
{
	uint64_t length = SPAN_PAGES / n, first = range * length;

	w->way->map(w, first * PAGE, fd, file_page(n, first) * PAGE,
		    length * PAGE);
}

static void unmap_range(struct window *w, unsigned int n, unsigned int range)
{
	uint64_t length = SPAN_PAGES / n;

	w->way->unmap(w, range * length * PAGE, length * PAGE);
}

static void emit_ranges(const char *what, unsigned int n,
			const struct source *src, const char *way, double cost)
{
	char name[64];

	snprintf(name, sizeof(name), "%s, %u range%s", what, n,
		 n == 1 ? "" : "s");
	emit_cost(name, src, way, cost, "");
}

static void change_cost(struct window *w, struct source *src, unsigned int n)
{
	struct samples map = { 0 }, unmap = { 0 };
	uint64_t state = n, start;
	unsigned int range;

	while (samples_more(&map, 257)) {
		range = random_next(&state) % n;
		start = clock_start();
		unmap_range(w, n, range);
		samples_add(&unmap, clock_stop(start));
		start = clock_start();
		map_range(w, src->fd, n, range);
		samples_add(&map, clock_stop(start));
	}
	emit_ranges("MAP", n, src, w->way->name, samples_median(&map));
	emit_ranges("UNMAP", n, src, w->way->name, samples_median(&unmap));
}

static double fault_cost(struct window *w, int fd, unsigned int n)
{
	struct samples s = { 0 };
	unsigned int i;
	uint64_t start;

	/* Only what is touched is cached, so that a fault finds no neighbours. */
	must_errno(ftruncate(fd, 0), "ftruncate");
	must_errno(ftruncate(fd, SPAN_PAGES * PAGE), "ftruncate");
	for (i = 0; i < PROBES; i++)
		must(fd_write_u64(fd, file_page(n, probes[i]) * PAGE, i),
		     "writing a page");
	w->way->touch_list(w, probes, PROBES, false);
	while (samples_more(&s, 3)) {
		window_forget(w);
		start = clock_start();
		w->way->touch_list(w, probes, PROBES, false);
		samples_add(&s, clock_stop(start));
	}
	return samples_lowest(&s) / PROBES;
}

/* Bytes in the kernel's slabs, without what waits for RCU. */
static double slab_bytes(void)
{
	uint64_t kib;
	int i;

	for (i = 0; i < 3; i++)
		must_errno(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0),
			   "membarrier");
	must(file_number("/proc/meminfo", "Slab:", &kib), "/proc/meminfo");
	return kib * 1024.0;
}

static void run_ranges(const struct row *row, const struct way *way,
		       struct source *src)
{
	/* By default a process has no more than 65,530 VMAs. */
	const unsigned int most = SPAN_PAGES / (way == &way_mmap ? 10 : 1);
	double cost, first = 0, before;
	struct window w;
	unsigned int n, i;
	uint64_t state = 1;

	for (i = 0; i < PROBES; i++)
		probes[i] = (uint64_t)i * SPAN_PAGES / PROBES +
			    random_next(&state) % 488;
	shuffle(probes, PROBES);
	for (n = 1; n <= most; n *= 10) {
		w = window_open(way, SPAN_PAGES * PAGE);
		before = slab_bytes();
		for (i = 0; i < n; i++)
			map_range(&w, src->fd, n, i);
		if (n == most)
			emit("memory per range", src, way->name,
			     (slab_bytes() - before) / n, "bytes");
		change_cost(&w, src, n);
		cost = fault_cost(&w, src->fd, n);
		if (n == 1)
			first = cost;
		emit_ranges("fault", n, src, way->name, cost);
		if (n == SPAN_PAGES && way == &way_view)
			emit_ranges("fault", n, src, "1 range", first);
		window_close(&w);
	}
}

const struct row ranges_rows[] = {
	{
		.name = "ranges",
		.prepare = prepare_empty,
		.run = run_ranges,
		.size = SPAN_PAGES * PAGE,
		.sources = ON_MEMFD,
		.ways = BY_TWO,
	},
	{},
};
