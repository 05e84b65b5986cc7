// SPDX-License-Identifier: GPL-2.0
/*
 * bpf.c - what policies and listeners cost
 */
#include "bench.h"
#include "bench.skel.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define POLICIES 4
#define ROUNDS 301

/* One program of the object, loaded and attached. */
static struct bench_bpf *attach(bool policy)
{
	struct bench_bpf *b = bench_bpf__open();
	struct bpf_link *link;

	if (!b)
		fail("cannot open the BPF object: %s", strerror(errno));
	bpf_program__set_autoload(b->progs.memview_fault, !policy);
	if (!policy)
		bpf_map__set_autocreate(b->maps.policy, false);
	bpf_program__set_autoload(b->progs.map_fd, policy);
	must(bench_bpf__load(b), "loading BPF");
	if (policy)
		link = bpf_map__attach_struct_ops(b->maps.policy);
	else
		link = bpf_program__attach(b->progs.memview_fault);
	if (!link)
		fail("attaching BPF: %s", strerror(errno));
	return b;
}

/* ---- A request, with policies ---- */

static double map_cost(struct window *w, int fd)
{
	struct samples s = { 0 };
	uint64_t start;

	while (samples_more(&s, ROUNDS)) {
		start = clock_start();
		w->way->map(w, 0, fd, 0, w->size / 2);
		samples_add(&s, clock_stop(start));
		w->way->unmap(w, 0, w->size / 2);
	}
	return samples_median(&s);
}

static void run_policies(const struct row *row, const struct way *way,
			 struct source *src)
{
	struct bench_bpf *policies[POLICIES];
	char name[64];
	struct window w;
	unsigned int n;
	double none;

	/* The other half stays, and the source with it. */
	w = window_open(way, 2 * row->size);
	way->map(&w, row->size, src->fd, 0, row->size);
	none = map_cost(&w, src->fd);
	emit_cost(row->name, src, way->name, none, "");
	for (n = 1; n <= POLICIES; n++) {
		policies[n - 1] = attach(true);
		if (n != 1 && n != POLICIES)
			continue;
		snprintf(name, sizeof(name), "%s, %u polic%s", row->name, n,
			 n == 1 ? "y" : "ies");
		emit_cost(name, src, way->name, map_cost(&w, src->fd), "");
		emit_cost(name, src, "no policy", none, "");
	}
	for (n = 0; n < POLICIES; n++)
		if (policies[n]->bss->asked < ROUNDS)
			fail("a policy was not asked");
}

/* ---- A fault, with somebody who listens ---- */

#define EVENT "/sys/kernel/tracing/events/memview/memview_fault/enable"

static double fault_cost(struct window *w)
{
	struct samples s = { 0 };
	uint64_t start;

	w->way->touch_list(w, lone_pages, LONE_PAGES, true);
	while (samples_more(&s, 3)) {
		window_forget(w);
		start = clock_start();
		w->way->touch_list(w, lone_pages, LONE_PAGES, true);
		samples_add(&s, clock_stop(start));
	}
	return samples_lowest(&s) / LONE_PAGES;
}

static void emit_listened(const struct source *src, const char *what,
			  double cost, double off)
{
	char name[64];

	snprintf(name, sizeof(name), "fault, %s", what);
	emit_cost(name, src, "view", cost, "");
	emit_cost(name, src, "tracepoint off", off, "");
}

static void run_listeners(const struct row *row, const struct way *way,
			  struct source *src)
{
	struct window w;
	struct bench_bpf *b;
	uint64_t seen = 0;
	unsigned int i;
	double off;

	w = window_open(way, src->size);
	way->map(&w, 0, src->fd, 0, src->size);
	off = fault_cost(&w);
	emit_cost(row->name, src, way->name, off, "");

	must(write_file(EVENT, "1"), EVENT);
	emit_listened(src, "ftrace event on", fault_cost(&w), off);
	must(write_file(EVENT, "0"), EVENT);

	b = attach(false);
	emit_listened(src, "tp_btf program attached", fault_cost(&w), off);
	for (i = 0; i < ARRAY_SIZE(b->bss->latencies); i++)
		seen += b->bss->latencies[i];
	if (seen < LONE_PAGES)
		fail("the BPF program saw only %lu faults", seen);
}

const struct row bpf_rows[] = {
	{
		.name = "MAP_FD",
		.prepare = prepare_empty,
		.run = run_policies,
		.size = 2 * MiB,
		.sources = ON_MEMFD,
		.ways = ON(WAY_VIEW),
	},
	{
		.name = "fault, tracepoint off",
		.prepare = prepare_lone,
		.run = run_listeners,
		.sources = ON_MEMFD,
		.ways = ON(WAY_VIEW),
	},
	{},
};
