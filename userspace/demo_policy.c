// SPDX-License-Identifier: GPL-2.0
/*
 * demo_policy.c - the operator decides what may be lent, and takes a view back
 * from outside. Neither controller nor client has a part in that.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define POLICY "memfd-only"
#define VIEW_PROBES 1024

static const char *member(struct json_object *record, const char *name)
{
	const char *text =
		json_object_get_string(json_object_object_get(record, name));

	return text ? text : "?";
}

static bool is_true(struct json_object *record, const char *name)
{
	return json_object_get_boolean(json_object_object_get(record, name));
}

/* A policy */

static void watch_verdicts(struct demo *demo, struct outcome *outcome)
{
	if (tool_start(&demo->events, outcome,
		       "events --view %jd --event verdict",
		       (intmax_t)view_counter(demo, "id")) &&
	    tool_ready(&demo->events, outcome, "watching"))
		see(outcome, "watching");
}

/* The loader stays, and holds the policy. */
static void load_policy(struct demo *demo, struct outcome *outcome,
			const char *options)
{
	struct json_object *record = NULL;

	if (tool_start(&demo->policy, outcome, "policy load " POLICY "%s",
		       options))
		record = tool_record(&demo->policy, outcome);
	if (!record)
		return;
	if (strcmp(member(record, "attached"), POLICY))
		see(outcome, "%s", json_object_get_string(record));
	else
		see(outcome, is_true(record, "audit") ? "audits" : "enforces");
	json_object_put(record);
}

static void load_audit(struct demo *demo, struct outcome *outcome)
{
	load_policy(demo, outcome, " --audit");
}

static void load_enforced(struct demo *demo, struct outcome *outcome)
{
	load_policy(demo, outcome, "");
}

static void unload_policy(struct demo *demo, struct outcome *outcome)
{
	struct json_object *record = NULL;
	struct tool tool;

	if (tool_start(&tool, outcome, "policy unload " POLICY))
		record = tool_finish(&tool, outcome, 0);
	tool_end(&demo->policy);
	if (!record)
		return;
	see(outcome, strcmp(member(record, "unloaded"), POLICY) ? "another" :
								  "unloaded");
	json_object_put(record);
}

/* What is recorded, but for the times and what is the same in each record. */
static void keep_record(struct outcome *outcome, struct json_object *record)
{
	static const char *const names[] = { "view",	"pid",	   "comm",
					     "policy",	"op",	   "answer",
					     "verdict", "enforced" };
	struct json_object *value;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (json_object_object_get_ex(record, names[i], &value))
			json_object_object_add(outcome->figures, names[i],
					       json_object_get(value));
	}
}

static void read_verdict(struct demo *demo, struct outcome *outcome)
{
	struct json_object *record = tool_record(&demo->events, outcome);

	if (!record)
		return;
	if (strcmp(member(record, "policy"), POLICY) ||
	    strcmp(member(record, "op"), "map_fd"))
		see(outcome, "%s", json_object_get_string(record));
	else
		see(outcome, "%s, %s", member(record, "verdict"),
		    is_true(record, "enforced") ? "enforced" : "audited");
	keep_record(outcome, record);
	json_object_put(record);
}

static void lend_file(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome,
		  map_range(demo, demo->file, FILE_AT, demo->file_size, READ));
}

static void take_file(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome,
		  unmap_range(demo, FILE_AT, demo->view_size - FILE_AT));
}

static void read_there(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_READ, FILE_AT, 0);
}

static void lend_memfd_there(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome,
		  map_range(demo, demo->memfd, FILE_AT, MEMFD_SIZE, READ));
}

/* Revoked from outside */

static void revoke_view(struct demo *demo, struct outcome *outcome)
{
	int64_t id = view_counter(demo, "id");
	struct json_object *record = NULL;
	struct tool tool;

	figure(outcome, "ranges", view_counter(demo, "ranges"));
	if (tool_start(&tool, outcome, "revoke %jd", (intmax_t)id))
		record = tool_finish(&tool, outcome, 0);
	if (!record)
		return;
	/* It counts as a change, like those that the controller asks for. */
	demo->changes++;
	if (json_object_get_int64(json_object_object_get(record, "revoked")) ==
		    id &&
	    is_true(record, "whole"))
		see(outcome, "revoked");
	else
		see(outcome, "%s", json_object_get_string(record));
	json_object_put(record);
}

static void probe_view(struct demo *demo, struct outcome *outcome)
{
	probe(demo, outcome, 0, demo->view_size, VIEW_PROBES);
}

static void count_ranges(struct demo *demo, struct outcome *outcome)
{
	see(outcome, "%jd", (intmax_t)view_counter(demo, "ranges"));
}

static void lend_again(struct demo *demo, struct outcome *outcome)
{
	see_errno(outcome, map_range(demo, demo->memfd, MEMFD_AT, MEMFD_SIZE,
				     READ_WRITE));
}

static void read_memfd(struct demo *demo, struct outcome *outcome)
{
	access_word(demo, outcome, OP_READ, MEMFD_AT, 0);
}

static const struct step steps[] = {
	{
		.chapter = "A policy: lend memory, and no files",
		.actor = OPERATOR,
		.title = "watches the verdicts on this view",
		.run = watch_verdicts,
		.expected = "watching",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "loads a policy that only audits",
		.run = load_audit,
		.expected = "audits",
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "maps the file",
		.run = lend_file,
		.expected = "done",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "reads the record of that",
		.run = read_verdict,
		.expected = "EACCES, audited",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "unloads the policy",
		.run = unload_policy,
		.expected = "unloaded",
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "takes the file away",
		.run = take_file,
		.expected = "done",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "loads the policy in earnest",
		.run = load_enforced,
		.expected = "enforces",
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "maps the file",
		.run = lend_file,
		.expected = "EACCES",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "reads the record of that",
		.run = read_verdict,
		.expected = "EACCES, enforced",
		.bpf = true,
	},
	{
		.actor = CLIENT,
		.title = "reads where the file would be",
		.run = read_there,
		.expected = "SIGBUS",
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "maps the memfd there",
		.run = lend_memfd_there,
		.expected = "done",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "reads the record of that",
		.run = read_verdict,
		.expected = "allow, enforced",
		.bpf = true,
	},
	{
		.actor = CLIENT,
		.title = "reads there",
		.run = read_there,
		.expected = "\"B: again\"",
		.bpf = true,
	},
	{
		.actor = OPERATOR,
		.title = "unloads the policy",
		.run = unload_policy,
		.expected = "unloaded",
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "maps the file",
		.run = lend_file,
		.expected = "done",
		.bpf = true,
	},
	{
		.actor = CLIENT,
		.title = "reads its first bytes",
		.run = read_head,
		.bpf = true,
	},
	{
		.chapter = "Revoked from outside",
		.actor = OPERATOR,
		.title = "revokes the whole view",
		.run = revoke_view,
		.expected = "revoked",
		.bpf = true,
	},
	{
		.actor = CLIENT,
		.title = "reads all over the view",
		.run = probe_view,
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "counts the ranges that are left",
		.run = count_ranges,
		.expected = "0",
		.bpf = true,
	},
	{
		.actor = CONTROLLER,
		.title = "maps the memfd again",
		.run = lend_again,
		.expected = "done",
		.bpf = true,
	},
	{
		.actor = CLIENT,
		.title = "reads it",
		.run = read_memfd,
		.expected = "\"B: again\"",
		.bpf = true,
	},
};

const struct step_table policy_steps = { steps, ARRAY_SIZE(steps) };
