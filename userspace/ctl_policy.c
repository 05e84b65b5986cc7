// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy.c - the policy commands
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "ctl_policy.h"
#include "output.h"

static const struct out_column list_columns[] = {
	{ "name", "NAME", OUT_PLAIN },
	{ "link", "LINK", OUT_PLAIN },
	{ "priority", "PRIORITY", OUT_PLAIN },
	{ "mode", "MODE", OUT_PLAIN },
	{ "asked", "ASKED ABOUT", OUT_PLAIN },
	{ "holder", "PROCESS", OUT_PLAIN },
	{ "pin", "PINNED AT", OUT_PLAIN },
	{}
};

static struct json_object *make_row(const struct policy *policy, pid_t holder)
{
	struct json_object *row = json_object_new_object();
	struct json_object *asked = json_object_new_array();
	unsigned int i;

	for (i = 0; i < policy->nr_programs; i++)
		json_object_array_add(
			asked,
			json_object_new_string(policy->program[i].callback));
	put_string(row, "name", policy->name);
	put_u64(row, "link", policy->link);
	put_u64(row, "priority", policy->priority);
	put_string(row, "mode",
		   policy->flags & POLICY_AUDIT ? "audit" : "enforce");
	json_object_object_add(row, "asked", asked);
	if (holder)
		put_u64(row, "holder", holder);
	if (policy->pin[0])
		put_string(row, "pin", policy->pin);
	return row;
}

static struct json_object *make_rows(const struct policy *policies,
				     unsigned int nr)
{
	struct link_holder *holders = calloc(nr + 1, sizeof(*holders));
	struct json_object *rows = json_object_new_array();
	unsigned int i;

	for (i = 0; holders && i < nr; i++)
		holders[i].link = policies[i].link;
	if (holders)
		find_link_holders(holders, nr);
	for (i = 0; i < nr; i++)
		json_object_array_add(rows,
				      make_row(&policies[i],
					       holders ? holders[i].pid : 0));
	free(holders);
	return rows;
}

static int run_list(int argc, char **argv)
{
	const struct argp argp = {
		.doc = "List the attached policies, in the order in which they are asked.",
	};
	struct policy *policies;
	struct json_object *rows;
	unsigned int nr;
	int status;

	parse(&argp, argc, argv, NULL);
	status = need_bpf() ?: list_policies(&policies, &nr);
	if (status)
		return status;
	rows = make_rows(policies, nr);
	free(policies);
	out_table(rows, list_columns, "No policy is attached.");
	return CTL_OK;
}

static int unload(const struct policy *policy)
{
	struct json_object *record;
	int fd, err = 0;

	fd = bpf_link_get_fd_by_id(policy->link);
	/* Gone meanwhile: as it should be. */
	if (fd >= 0) {
		err = bpf_link_detach(fd);
		close(fd);
	}
	if (err)
		return ctl_error(CTL_FAILED, NULL,
				 "cannot detach policy %s: %s", policy->name,
				 strerror(-err));
	if (policy->pin[0] && unlink(policy->pin) && errno != ENOENT)
		return ctl_error(
			CTL_FAILED, "Remove it: rm",
			"policy %s is detached, but its pin %s stays: %s",
			policy->name, policy->pin, strerror(errno));
	record = json_object_new_object();
	put_string(record, "unloaded", policy->name);
	put_u64(record, "link", policy->link);
	out_record(record, "Policy %s is unloaded (link %u).\n", policy->name,
		   policy->link);
	return CTL_OK;
}

static error_t parse_unload(int key, char *arg, struct argp_state *state)
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

static int run_unload(int argc, char **argv)
{
	const struct argp argp = {
		.args_doc = "NAME|LINK",
		.doc = "Unload a policy, whoever has loaded it.\v"
		       "It is asked no more when the command returns. A memviewctl that holds it in the foreground ends.",
		.parser = parse_unload,
	};
	const char *name = NULL;
	struct policy policy;

	parse(&argp, argc, argv, &name);
	return need_bpf() ?: pick_policy(name, &policy) ?: unload(&policy);
}

static const struct command commands[] = {
	{ "load", run_policy_load, "load a policy" },
	{ "list", run_list, "the attached policies" },
	{ "show", run_policy_show, "an attached policy" },
	{ "watch", run_policy_watch, "print the records of a policy" },
	{ "unload", run_unload, "unload a policy" },
	{}
};

static void print_usage(FILE *out)
{
	const struct command *c;

	fputs("Usage: memviewctl policy COMMAND [ARG...]\n\n", out);
	for (c = commands; c->name; c++)
		fprintf(out, "  %-8s %s\n", c->name, c->help);
	fputs("\nmemviewctl policy COMMAND --help says more.\n", out);
}

static int run_policy(int argc, char **argv)
{
	const struct command *command;
	char name[32];

	/* Global options may stand here, too. */
	while (argc > 1 && argv[1][0] == '-' && is_global_option(argv[1])) {
		argc--;
		argv++;
	}
	if (argc < 2) {
		print_usage(stderr);
		return CTL_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-?")) {
		print_usage(stdout);
		return CTL_OK;
	}
	command = find_command(commands, argv[1]);
	if (!command)
		return ctl_error(CTL_USAGE,
				 "memviewctl policy --help lists the commands.",
				 "there is no command 'policy %s'", argv[1]);
	snprintf(name, sizeof(name), "policy %s", command->name);
	argv[1] = name;
	return command->run(argc - 1, argv + 1);
}

const struct command policy_commands[] = {
	{ "policy", run_policy, "load, list, show, watch and unload policies" },
	{}
};
