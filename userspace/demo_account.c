// SPDX-License-Identifier: GPL-2.0
/*
 * demo_account.c - does what was counted add up?
 *
 * memviewctl hist measures the faults of the view from before the first one.
 * The view counts them itself, in fdinfo. The two must agree to the last one.
 */
#include <json-c/json.h>
#include <signal.h>
#include <string.h>

#include "demo.h"

void measure_faults(struct demo *demo, struct outcome *outcome)
{
	if (tool_start(&demo->hist, outcome, "hist --view %jd",
		       (intmax_t)view_counter(demo, "id")) &&
	    tool_ready(&demo->hist, outcome, "measuring"))
		see(outcome, "measuring");
}

static void count_changes(struct demo *demo, struct outcome *outcome)
{
	expect(outcome, "%ju changes", (uintmax_t)demo->changes);
	see(outcome, "%jd changes", (intmax_t)view_counter(demo, "changes"));
	figure_counters(demo, outcome);
}

/* The histogram of faults of a document of memviewctl hist, or NULL. */
static struct json_object *find_faults(struct json_object *hists)
{
	size_t nr = json_object_is_type(hists, json_type_array) ?
			    json_object_array_length(hists) :
			    0;

	for (size_t i = 0; i < nr; i++) {
		struct json_object *hist = json_object_array_get_idx(hists, i);
		const char *kind = json_object_get_string(
			json_object_object_get(hist, "kind"));

		if (kind && !strcmp(kind, "fault"))
			return hist;
	}
	return NULL;
}

/* Not its own "count": what the slots hold. */
static uint64_t sum_slots(struct json_object *hist)
{
	struct json_object *slots = json_object_object_get(hist, "slots");
	size_t nr = slots ? json_object_array_length(slots) : 0;
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++)
		sum += json_object_get_uint64(json_object_object_get(
			json_object_array_get_idx(slots, i), "count"));
	return sum;
}

static uint64_t number(struct json_object *object, const char *name)
{
	return json_object_get_uint64(json_object_object_get(object, name));
}

/* No process faults now: the client waits to be asked. */
static void add_up_faults(struct demo *demo, struct outcome *outcome)
{
	int64_t fine = view_counter(demo, "faults");
	int64_t errors = view_counter(demo, "fault-errors");
	struct json_object *document, *hist;

	expect(outcome, "%jd, %jd failed", (intmax_t)(fine + errors),
	       (intmax_t)errors);
	document = tool_finish(&demo->hist, outcome, SIGINT);
	if (!document)
		return;
	demo->hists =
		json_object_get(json_object_object_get(document, "histograms"));
	hist = find_faults(demo->hists);
	see(outcome, "%ju, %ju failed", (uintmax_t)sum_slots(hist),
	    (uintmax_t)number(hist, "errors"));
	figure(outcome, "sum_us", number(hist, "sum_ns") / 1000);
	figure(outcome, "longest_us", number(hist, "max_ns") / 1000);
	figure(outcome, "lost", number(document, "lost"));
	json_object_put(document);
}

static const struct step steps[] = {
	{
		.chapter = "Accounts",
		.actor = CONTROLLER,
		.title = "reads the view's counters (fdinfo)",
		.run = count_changes,
	},
	{
		.actor = OPERATOR,
		.title = "adds up the histogram of faults",
		.run = add_up_faults,
		.bpf = true,
	},
};

const struct step_table account_steps = { steps, ARRAY_SIZE(steps) };
