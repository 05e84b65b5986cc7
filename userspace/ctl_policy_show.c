// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_show.c - policy show and policy watch: an attached policy, from
 * the outside
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_policy.h"
#include "ctl_signal.h"
#include "output.h"

/* Of a program: the kernel's own limit. */
#define MAPS_MAX 64

/* The maps that the programs of a policy use, each once. */
struct maps {
	uint32_t id[MAPS_MAX * PROGRAMS_MAX];
	unsigned int nr;
};

static void add_map(struct maps *maps, uint32_t id)
{
	unsigned int i;

	for (i = 0; i < maps->nr; i++)
		if (maps->id[i] == id)
			return;
	maps->id[maps->nr++] = id;
}

static struct json_object *make_program(const struct policy_program *program,
					struct maps *maps)
{
	struct json_object *row = json_object_new_object();
	struct bpf_prog_info info = {};
	__u32 ids[MAPS_MAX], i, size = sizeof(info);
	int fd;

	put_string(row, "callback", program->callback);
	put_u64(row, "program", program->id);
	fd = bpf_prog_get_fd_by_id(program->id);
	if (fd < 0)
		return row;
	info.nr_map_ids = MAPS_MAX;
	info.map_ids = (uintptr_t)ids;
	if (!bpf_prog_get_info_by_fd(fd, &info, &size)) {
		put_string(row, "name", info.name);
		put_u64(row, "instructions", info.verified_insns);
		for (i = 0; i < info.nr_map_ids && i < MAPS_MAX; i++)
			add_map(maps, ids[i]);
	}
	close(fd);
	return row;
}

static int add_var(const struct var *var, void *arg)
{
	struct json_object *row = json_object_new_object();

	put_string(row, "key", var->name);
	json_object_object_add(row, "value", get_var(var));
	json_object_array_add(arg, row);
	return 0;
}

static void add_section(uint32_t id, struct json_object *config,
			struct json_object *state)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id);

	if (fd < 0)
		return;
	if (!bpf_map_get_info_by_fd(fd, &info, &size)) {
		if (strstr(info.name, ".rodata"))
			visit_map_vars(fd, add_var, config);
		else if (strstr(info.name, ".bss") ||
			 strstr(info.name, ".data"))
			visit_map_vars(fd, add_var, state);
	}
	close(fd);
}

static struct json_object *make_policy(const struct policy *policy)
{
	struct json_object *record = json_object_new_object();
	struct link_holder holder = { .link = policy->link };

	find_link_holders(&holder, 1);
	put_string(record, "name", policy->name);
	put_u64(record, "link", policy->link);
	put_u64(record, "map", policy->map);
	put_u64(record, "priority", policy->priority);
	put_string(record, "mode",
		   policy->flags & POLICY_AUDIT ? "audit" : "enforce");
	if (policy->pin[0])
		put_string(record, "pin", policy->pin);
	if (holder.pid)
		put_u64(record, "holder", holder.pid);
	return record;
}

static const struct out_column policy_fields[] = {
	{ "name", "Policy", OUT_PLAIN },
	{ "link", "Link", OUT_PLAIN },
	{ "map", "Map", OUT_PLAIN },
	{ "priority", "Priority", OUT_PLAIN },
	{ "mode", "Mode", OUT_PLAIN },
	{ "pin", "Pinned at", OUT_PLAIN },
	{ "holder", "Held by process", OUT_PLAIN },
	{}
};

static const struct out_column program_columns[] = {
	{ "callback", "ASKED BY", OUT_PLAIN },
	{ "program", "ID", OUT_PLAIN },
	{ "name", "NAME", OUT_PLAIN },
	{ "instructions", "VERIFIED INSNS", OUT_PLAIN },
	{}
};

static const struct out_column var_columns[] = { { "key", "KEY", OUT_PLAIN },
						 { "value", "VALUE",
						   OUT_PLAIN },
						 {} };

static const struct out_section sections[] = {
	{ "policy", NULL, policy_fields, NULL },
	{ "programs", "Programs:", program_columns, "none" },
	{ "config", "Configuration:", var_columns, "none" },
	{ "state", "State:", var_columns, "none" },
	{}
};

static struct json_object *make_programs(const struct policy *policy,
					 struct maps *maps)
{
	struct json_object *rows = json_object_new_array();
	unsigned int i;

	for (i = 0; i < policy->nr_programs; i++)
		json_object_array_add(rows,
				      make_program(&policy->program[i], maps));
	return rows;
}

static error_t parse_name(int key, char *arg, struct argp_state *state)
{
	const char **name = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (*name)
			argp_error(state, "too many arguments: '%s'", arg);
		*name = arg;
		return 0;
	case ARGP_KEY_END:
		if (!*name)
			argp_error(
				state,
				"which policy? memviewctl policy list shows them");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int run_policy_show(int argc, char **argv)
{
	const struct argp argp = {
		.args_doc = "NAME|LINK",
		.doc = "Show an attached policy: its programs, its configuration, its counters.",
		.parser = parse_name,
	};
	struct json_object *document, *config, *state;
	const char *name = NULL;
	struct policy policy;
	struct maps maps = {};
	unsigned int i;
	int status;

	parse(&argp, argc, argv, &name);
	status = need_bpf() ?: pick_policy(name, &policy);
	if (status)
		return status;
	document = json_object_new_object();
	config = json_object_new_array();
	state = json_object_new_array();
	json_object_object_add(document, "policy", make_policy(&policy));
	json_object_object_add(document, "programs",
			       make_programs(&policy, &maps));
	for (i = 0; i < maps.nr; i++)
		add_section(maps.id[i], config, state);
	json_object_object_add(document, "config", config);
	json_object_object_add(document, "state", state);
	out_document(document, sections);
	return CTL_OK;
}

static int watch(const struct policy *policy)
{
	struct policy_maps to_follow = { -1, -1 };
	struct maps maps = {};
	int fds[ARRAY_SIZE(maps.id)], status;
	int link = bpf_link_get_fd_by_id(policy->link);
	unsigned int i;

	json_object_put(make_programs(policy, &maps));
	for (i = 0; i < maps.nr; i++) {
		fds[i] = bpf_map_get_fd_by_id(maps.id[i]);
		if (fds[i] >= 0)
			note_map(&to_follow, fds[i]);
	}
	catch_signals();
	if (link < 0)
		status = ctl_error(CTL_FAILED, NULL,
				   "policy %s has been unloaded", policy->name);
	else if (to_follow.records < 0)
		status = ctl_error(CTL_FAILED,
				   "Of the samples, audit-all does.",
				   "policy %s writes no records", policy->name);
	else
		status = follow_policy(&to_follow, link, policy->name, true);
	for (i = 0; i < maps.nr; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (link >= 0)
		close(link);
	return status;
}

int run_policy_watch(int argc, char **argv)
{
	const struct argp argp = {
		.args_doc = "NAME|LINK",
		.doc = "Print the records that a pinned policy writes, until Ctrl-C.\v"
		       "Each record is printed once: watch it in one place only.",
		.parser = parse_name,
	};
	const char *name = NULL;
	struct policy policy;

	parse(&argp, argc, argv, &name);
	return need_bpf() ?: pick_policy(name, &policy) ?: watch(&policy);
}
