// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_stats.c - stats and top: how much there is, and who is busy
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_signal.h"
#include "ctl_walk.h"
#include "output.h"

/**
 * struct stats_args - the options of stats and top
 * @watch: Again and again.
 * @interval: Seconds.
 * @count: How often; 0 for ever.
 */
struct stats_args {
	bool watch;
	double interval;
	uint64_t count;
};

static error_t parse_stats(int key, char *arg, struct argp_state *state)
{
	struct stats_args *args = state->input;

	switch (key) {
	case 'i':
		if (parse_seconds(arg, 86400, &args->interval) ||
		    args->interval < 0.01)
			argp_error(state, "'%s' is no interval in seconds",
				   arg);
		return 0;
	case 'n':
		if (parse_number(arg, &args->count) || !args->count)
			argp_error(state, "'%s' is no count", arg);
		return 0;
	case 'w':
		args->watch = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void add_view(struct view_record *sum, const struct view_record *view)
{
	sum->size += view->size;
	sum->ranges += view->ranges;
	sum->bytes += view->bytes;
	sum->mappings += view->mappings;
	sum->faults += view->faults;
	sum->fault_errors += view->fault_errors;
	sum->changes += view->changes;
	sum->zaps += view->zaps;
	sum->invalidates += view->invalidates;
}

static void put_counters(struct json_object *record,
			 const struct view_record *view)
{
	put_u64(record, "faults", view->faults);
	put_u64(record, "fault_errors", view->fault_errors);
	put_u64(record, "changes", view->changes);
	put_u64(record, "zaps", view->zaps);
	put_u64(record, "invalidates", view->invalidates);
}

static struct json_object *make_stats(const struct view_record *sum,
				      uint32_t views)
{
	struct json_object *record = json_object_new_object();

	put_u64(record, "views", views);
	put_u64(record, "size", sum->size);
	put_u64(record, "mapped", sum->bytes);
	put_u64(record, "ranges", sum->ranges);
	put_u64(record, "mappings", sum->mappings);
	put_counters(record, sum);
	return record;
}

static const struct out_column stats_fields[] = {
	{ "views", "Views", OUT_PLAIN },
	{ "size", "Size", OUT_SIZE },
	{ "mapped", "Mapped", OUT_SIZE },
	{ "ranges", "Ranges", OUT_PLAIN },
	{ "mappings", "Mappings", OUT_PLAIN },
	{ "faults", "Faults", OUT_PLAIN },
	{ "fault_errors", "Fault errors", OUT_PLAIN },
	{ "changes", "Changes", OUT_PLAIN },
	{ "zaps", "Zaps", OUT_PLAIN },
	{ "invalidates", "Invalidates", OUT_PLAIN },
	{}
};

static const struct out_section stats_sections[] = { { "stats", NULL,
						       stats_fields, NULL },
						     {} };

static const struct view_record *find_view(const struct view_record *views,
					   uint32_t nr, uint64_t id)
{
	uint32_t low = 0, high = nr, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (views[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < nr && views[low].id == id ? &views[low] : NULL;
}

/* What a view's counters have grown by. A new view's began at 0. */
static struct view_record difference(const struct view_record *view,
				     const struct view_record *old)
{
	struct view_record d = *view;

	if (!old)
		return d;
	d.faults -= old->faults;
	d.fault_errors -= old->fault_errors;
	d.changes -= old->changes;
	d.zaps -= old->zaps;
	d.invalidates -= old->invalidates;
	return d;
}

/* The views as they were, to compare with. */
struct snapshot {
	struct view_record *views;
	uint32_t nr;
	double time;
};

static int take_snapshot(struct walk **walk, struct snapshot *snapshot)
{
	const struct view_record *views;
	struct view_record *copy;
	uint32_t nr;
	int status;

	status = walk_views(walk, &views, &nr);
	if (status)
		return status;
	copy = malloc((nr + 1) * sizeof(*copy));
	if (!copy)
		return ctl_error(CTL_FAILED, NULL, "out of memory");
	memcpy(copy, views, nr * sizeof(*copy));
	free(snapshot->views);
	*snapshot = (struct snapshot){ copy, nr, seconds_now() };
	return 0;
}

/* Per second. */
static void put_rates(struct json_object *record, const struct view_record *d,
		      double seconds)
{
	struct view_record rate = {
		.faults = d->faults / seconds + 0.5,
		.fault_errors = d->fault_errors / seconds + 0.5,
		.changes = d->changes / seconds + 0.5,
		.zaps = d->zaps / seconds + 0.5,
		.invalidates = d->invalidates / seconds + 0.5,
	};

	put_counters(record, &rate);
}

static void print_rates(const struct snapshot *new, const struct snapshot *old,
			bool header)
{
	struct view_record sum = {}, faster = {}, d;
	struct json_object *record;
	uint32_t i;

	for (i = 0; i < new->nr; i++) {
		d = difference(&new->views[i], find_view(old->views, old->nr,
							 new->views[i].id));
		add_view(&faster, &d);
		add_view(&sum, &new->views[i]);
	}
	record = json_object_new_object();
	put_u64(record, "views", new->nr);
	put_u64(record, "mapped", sum.bytes);
	put_u64(record, "ranges", sum.ranges);
	put_u64(record, "mappings", sum.mappings);
	put_rates(record, &faster, new->time - old->time);
	if (header && !out_json)
		printf("%6s %10s %8s %8s | per second: %6s %8s %8s %8s\n",
		       "VIEWS", "MAPPED-MiB", "RANGES", "CLIENTS", "FAULTS",
		       "ERRORS", "CHANGES", "ZAPS");
	out_record(record,
		   "%6u %10llu %8llu %8llu | %18.0f %8.0f %8.0f %8.0f\n",
		   new->nr, sum.bytes >> 20, sum.ranges, sum.mappings,
		   faster.faults / (new->time - old->time),
		   faster.fault_errors / (new->time - old->time),
		   faster.changes / (new->time - old->time),
		   faster.zaps / (new->time - old->time));
}

static int watch_stats(struct walk **walk, const struct stats_args *args)
{
	struct snapshot old = {}, new = {};
	uint64_t n = 0;
	int status;

	catch_signals();
	status = take_snapshot(walk, &old);
	while (!status && (!args->count || n < args->count) &&
	       sleep_seconds(args->interval)) {
		struct snapshot swap = old;

		status = take_snapshot(walk, &new);
		if (status)
			break;
		print_rates(&new, &old, n++ % 20 == 0);
		old = new;
		new = swap;
	}
	free(old.views);
	free(new.views);
	return status;
}

static int print_stats(struct walk **walk)
{
	const struct view_record *views;
	struct json_object *document;
	struct view_record sum = {};
	uint32_t nr, i;
	int status;

	status = walk_views(walk, &views, &nr);
	if (status)
		return status;
	for (i = 0; i < nr; i++)
		add_view(&sum, &views[i]);
	document = json_object_new_object();
	json_object_object_add(document, "stats", make_stats(&sum, nr));
	out_document(document, stats_sections);
	return 0;
}

static int run_stats(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "watch", 'w', NULL, 0, "a line each interval, with rates",
		  0 },
		{ "interval", 'i', "SECONDS", 0, "how long to wait (1)", 0 },
		{ "count", 'n', "N", 0, "stop after N (never)", 0 },
		{}
	};
	const struct argp argp = {
		.options = options,
		.doc = "Add up the counters of all views that exist.\v"
		       "With --watch what they have grown by, per second. A view that goes takes its counters with it.",
		.parser = parse_stats,
	};
	struct stats_args args = { .interval = 1 };
	struct walk *walk;
	int status;

	parse(&argp, argc, argv, &args);
	status = walk_open(&walk);
	if (status)
		return status;
	status = args.watch ? watch_stats(&walk, &args) : print_stats(&walk);
	walk_close(walk);
	return status;
}

static const struct out_column top_columns[] = {
	{ "view", "VIEW", OUT_PLAIN },
	{ "faults", "FAULTS/s", OUT_PLAIN },
	{ "fault_errors", "ERRORS/s", OUT_PLAIN },
	{ "changes", "CHANGES/s", OUT_PLAIN },
	{ "zaps", "ZAPS/s", OUT_PLAIN },
	{ "invalidates", "INVALID/s", OUT_PLAIN },
	{ "mapped", "MAPPED", OUT_SIZE },
	{ "mappings", "CLIENTS", OUT_PLAIN },
	{ "owner_pid", "OWNER", OUT_PLAIN },
	{ "owner_comm", "COMMAND", OUT_PLAIN },
	{}
};

static int by_faults(const void *a, const void *b)
{
	const struct view_record *x = a, *y = b;

	if (x->faults != y->faults)
		return x->faults < y->faults ? 1 : -1;
	if (x->changes != y->changes)
		return x->changes < y->changes ? 1 : -1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static struct json_object *make_top(const struct view_record *d, double seconds)
{
	struct json_object *row = json_object_new_object();
	char comm[32];

	get_owner_comm(d->owner_pid, comm, sizeof(comm));
	put_u64(row, "view", d->id);
	put_rates(row, d, seconds);
	put_u64(row, "mapped", d->bytes);
	put_u64(row, "mappings", d->mappings);
	put_u64(row, "owner_pid", d->owner_pid);
	put_string(row, "owner_comm", comm);
	return row;
}

/* As many rows as a screen has; programs get them all. */
#define TOP_ROWS 20

static int print_top(const struct snapshot *new, const struct snapshot *old)
{
	struct view_record *d = malloc((new->nr + 1) * sizeof(*d));
	struct json_object *rows, *record;
	uint32_t i;

	if (!d)
		return ctl_error(CTL_FAILED, NULL, "out of memory");
	for (i = 0; i < new->nr; i++)
		d[i] = difference(&new->views[i], find_view(old->views, old->nr,
							    new->views[i].id));
	qsort(d, new->nr, sizeof(*d), by_faults);
	rows = json_object_new_array();
	for (i = 0; i < new->nr && (out_json || i < TOP_ROWS); i++)
		json_object_array_add(rows,
				      make_top(&d[i], new->time - old->time));
	free(d);
	if (out_json) {
		record = json_object_new_object();
		json_object_object_add(record, "top", rows);
		out_json_line(record);
		return 0;
	}
	if (isatty(STDOUT_FILENO))
		fputs("\033[H\033[J", stdout);
	if (new->nr > TOP_ROWS)
		printf("Views: %u. The %u that fault most:\n", new->nr,
		       TOP_ROWS);
	else
		printf("Views: %u\n", new->nr);
	out_table(rows, top_columns, "There are no views.");
	return 0;
}

static int run_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "interval", 'i', "SECONDS", 0, "how long to wait (1)", 0 },
		{ "count", 'n', "N", 0, "stop after N (never)", 0 },
		{}
	};
	const struct argp argp = {
		.options = options,
		.doc = "Show the views that fault most, again and again.",
		.parser = parse_stats,
	};
	struct stats_args args = { .interval = 1 };
	struct snapshot old = {}, new = {}, swap;
	struct walk *walk;
	uint64_t n = 0;
	int status;

	parse(&argp, argc, argv, &args);
	status = walk_open(&walk);
	if (status)
		return status;
	catch_signals();
	status = take_snapshot(&walk, &old);
	while (!status && (!args.count || n++ < args.count) &&
	       sleep_seconds(args.interval)) {
		status = take_snapshot(&walk, &new);
		if (!status)
			status = print_top(&new, &old);
		swap = old;
		old = new;
		new = swap;
	}
	free(old.views);
	free(new.views);
	walk_close(walk);
	return status;
}

const struct command stats_commands[] = {
	{ "stats", run_stats, "the counters of all views together" },
	{ "top", run_top, "the views that fault most" },
	{}
};
