// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_hist.c - how long faults and zaps take
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../bpf/events.h"
#include "bpf/hist.skel.h"
#include "ctl.h"
#include "ctl_signal.h"
#include "output.h"

#define BAR_WIDTH 40

struct hist_args {
	uint64_t view;
	double duration;
	bool split;
};

struct entry {
	struct hist_key key;
	struct hist hist;
};

/* All histograms, sorted; to be freed. */
struct entries {
	struct entry *entry;
	size_t nr;
};

static int by_key(const void *a, const void *b)
{
	const struct hist_key *x = &((const struct entry *)a)->key;
	const struct hist_key *y = &((const struct entry *)b)->key;

	if (x->view != y->view)
		return x->view < y->view ? -1 : 1;
	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return x->detail < y->detail ? -1 : x->detail > y->detail;
}

static int read_entries(int map, struct entries *entries)
{
	struct hist_key key, *last = NULL;
	size_t room = 0;

	while (!bpf_map_get_next_key(map, last, &key)) {
		if (entries->nr == room) {
			struct entry *more;

			room = room * 2 + 64;
			more = realloc(entries->entry, room * sizeof(*more));
			if (!more)
				return -ENOMEM;
			entries->entry = more;
		}
		entries->entry[entries->nr].key = key;
		if (!bpf_map_lookup_elem(map, &key,
					 &entries->entry[entries->nr].hist))
			entries->nr++;
		last = &key;
	}
	qsort(entries->entry, entries->nr, sizeof(*entries->entry), by_key);
	return 0;
}

static void add(struct hist *sum, const struct hist *hist)
{
	unsigned int i;

	for (i = 0; i < HIST_SLOTS; i++)
		sum->slots[i] += hist->slots[i];
	sum->sum += hist->sum;
	sum->errors += hist->errors;
	if (hist->max > sum->max)
		sum->max = hist->max;
}

/* Reads and writes together, all causes together: sorted, they are neighbours. */
static void merge(struct entries *entries)
{
	struct entry *to = entries->entry, *from;
	size_t i;

	for (i = 1; i < entries->nr; i++) {
		from = &entries->entry[i];
		if (from->key.view == to->key.view &&
		    from->key.type == to->key.type)
			add(&to->hist, &from->hist);
		else
			*++to = *from;
	}
	if (entries->nr)
		entries->nr = to - entries->entry + 1;
}

static uint64_t count_of(const struct hist *hist)
{
	uint64_t count = 0;
	unsigned int i;

	for (i = 0; i < HIST_SLOTS; i++)
		count += hist->slots[i];
	return count;
}

static const char *detail_of(const struct hist_key *key)
{
	if (key->type == EVENT_FAULT)
		return key->detail < ACCESSES ? access_names[key->detail] : "?";
	return key->detail < CAUSES ? cause_names[key->detail] : "?";
}

/* From the first that is not empty to the last. */
static struct json_object *make_slots(const struct hist *hist)
{
	struct json_object *slots = json_object_new_array(), *slot;
	unsigned int i = 0, end = HIST_SLOTS;

	while (end && !hist->slots[end - 1])
		end--;
	while (i < end && !hist->slots[i])
		i++;
	for (; i < end; i++) {
		slot = json_object_new_object();
		put_u64(slot, "from_ns", i ? 1ULL << i : 0);
		if (i < HIST_SLOTS - 1)
			put_u64(slot, "below_ns", 2ULL << i);
		put_u64(slot, "count", hist->slots[i]);
		json_object_array_add(slots, slot);
	}
	return slots;
}

static struct json_object *make_hist(const struct entry *e, bool split)
{
	struct json_object *record = json_object_new_object();

	put_u64(record, "view", e->key.view);
	put_string(record, "kind",
		   e->key.type == EVENT_FAULT ? "fault" : "zap");
	if (split)
		put_string(record,
			   e->key.type == EVENT_FAULT ? "access" : "cause",
			   detail_of(&e->key));
	put_u64(record, "count", count_of(&e->hist));
	put_u64(record, "errors", e->hist.errors);
	put_u64(record, "sum_ns", e->hist.sum);
	put_u64(record, "max_ns", e->hist.max);
	json_object_object_add(record, "slots", make_slots(&e->hist));
	return record;
}

static void print_ns(struct json_object *value, const char *end)
{
	char *text = out_format(value, OUT_NS);

	printf("%10s%s", text, end);
	free(text);
}

static void print_bars(struct json_object *slots)
{
	size_t i, n = json_object_array_length(slots);
	struct json_object *slot, *below;
	uint64_t most = 1, count;

	for (i = 0; i < n; i++) {
		slot = json_object_array_get_idx(slots, i);
		count = json_object_get_uint64(
			json_object_object_get(slot, "count"));
		if (count > most)
			most = count;
	}
	for (i = 0; i < n; i++) {
		slot = json_object_array_get_idx(slots, i);
		count = json_object_get_uint64(
			json_object_object_get(slot, "count"));
		below = json_object_object_get(slot, "below_ns");
		print_ns(json_object_object_get(slot, "from_ns"), " ..");
		print_ns(below, "  ");
		printf("%10llu |%.*s\n", (unsigned long long)count,
		       (int)((count * BAR_WIDTH + most - 1) / most),
		       "****************************************");
	}
}

static void print_hist(struct json_object *record)
{
	struct json_object *detail =
		json_object_object_get(record, "access") ?:
			json_object_object_get(record, "cause");
	uint64_t count =
		json_object_get_uint64(json_object_object_get(record, "count"));
	uint64_t sum = json_object_get_uint64(
		json_object_object_get(record, "sum_ns"));
	struct json_object *mean = json_object_new_uint64(sum / (count ?: 1));
	char *mean_text = out_format(mean, OUT_NS);
	char *max_text =
		out_format(json_object_object_get(record, "max_ns"), OUT_NS);

	printf("View %s, %s%s%s: %llu (%s failed), mean %s, longest %s\n",
	       json_object_get_string(json_object_object_get(record, "view")),
	       json_object_get_string(json_object_object_get(record, "kind")),
	       detail ? " " : "", detail ? json_object_get_string(detail) : "",
	       (unsigned long long)count,
	       json_object_get_string(json_object_object_get(record, "errors")),
	       mean_text, max_text);
	free(max_text);
	free(mean_text);
	json_object_put(mean);
	print_bars(json_object_object_get(record, "slots"));
	putchar('\n');
}

static void report(const struct entries *entries, const struct hist_args *args,
		   double seconds, uint64_t lost)
{
	static const struct out_section none[] = { {} };
	struct json_object *document = json_object_new_object();
	struct json_object *hists = json_object_new_array();
	size_t i;

	for (i = 0; i < entries->nr; i++)
		json_object_array_add(hists, make_hist(&entries->entry[i],
						       args->split));
	json_object_object_add(document, "seconds",
			       json_object_new_double(seconds));
	put_u64(document, "lost", lost);
	json_object_object_add(document, "histograms", hists);
	for (i = 0; !out_json && i < entries->nr; i++)
		print_hist(json_object_array_get_idx(hists, i));
	if (!out_json && !entries->nr)
		puts("No fault and no zap.");
	out_document(document, none);
	if (lost)
		ctl_error(
			CTL_OK, "Give --view to look at one view.",
			"%llu faults and zaps are not counted: there are too many views",
			(unsigned long long)lost);
}

static int load(const struct hist_args *args, struct hist_bpf **skel)
{
	struct hist_bpf *s = hist_bpf__open();
	int err;

	if (!s)
		return load_failed(-errno, "the programs that measure");
	s->rodata->filter_view = args->view;
	err = hist_bpf__load(s);
	if (!err)
		err = hist_bpf__attach(s);
	if (err) {
		hist_bpf__destroy(s);
		return load_failed(err, "the programs that measure");
	}
	*skel = s;
	return 0;
}

static uint64_t count_misses(const struct bpf_program *program)
{
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);

	if (bpf_prog_get_info_by_fd(bpf_program__fd(program), &info, &size))
		return 0;
	return info.recursion_misses;
}

static int measure(const struct hist_args *args, struct hist_bpf *skel)
{
	double start = seconds_now(), seconds;
	struct entries entries = {};
	uint64_t lost;
	int err;

	fputs("memviewctl: measuring\n", stderr);
	sleep_seconds(args->duration ?: SECONDS_MAX);
	hist_bpf__detach(skel);
	seconds = seconds_now() - start;
	err = read_entries(bpf_map__fd(skel->maps.hists), &entries);
	if (err) {
		free(entries.entry);
		return ctl_error(CTL_FAILED, NULL,
				 "cannot read the histograms: %s",
				 strerror(-err));
	}
	if (!args->split)
		merge(&entries);
	lost = skel->bss->lost + count_misses(skel->progs.on_fault) +
	       count_misses(skel->progs.on_zap);
	report(&entries, args, seconds, lost);
	free(entries.entry);
	return CTL_OK;
}

static error_t parse_hist(int key, char *arg, struct argp_state *state)
{
	struct hist_args *args = state->input;

	switch (key) {
	case 'v':
		if (parse_number(arg, &args->view) || !args->view)
			argp_error(state, "'%s' is not the ID of a view", arg);
		return 0;
	case 't':
		if (parse_seconds(arg, SECONDS_MAX, &args->duration) ||
		    !args->duration)
			argp_error(state, "'%s' is no time in seconds", arg);
		return 0;
	case 's':
		args->split = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int run_hist(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "view", 'v', "ID", 0, "of this view only", 0 },
		{ "duration", 't', "SECONDS", 0,
		  "how long to measure (until Ctrl-C)", 0 },
		{ "split", 's', NULL, 0, "faults by access, zaps by cause", 0 },
		{}
	};
	const struct argp argp = {
		.options = options,
		.doc = "Measure how long faults and zaps take, by view.\v"
		       "Faults that end in a signal count, too. A fault that began before the measurement counts as 0 ns.",
		.parser = parse_hist,
	};
	struct hist_args args = {};
	struct hist_bpf *skel = NULL;
	int status;

	parse(&argp, argc, argv, &args);
	catch_signals();
	status = need_bpf() ?: load(&args, &skel);
	if (status)
		return status;
	status = measure(&args, skel);
	hist_bpf__destroy(skel);
	return status;
}

const struct command hist_commands[] = { { "hist", run_hist,
					   "how long faults and zaps take" },
					 {} };
