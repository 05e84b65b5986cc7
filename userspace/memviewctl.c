// SPDX-License-Identifier: GPL-2.0
/*
 * memviewctl - see the views of a machine, decide who may map what, take
 * memory back
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "output.h"
#include "text.h"

const char *argp_program_version = "memviewctl " MEMVIEW_VERSION;

static const struct command *const tables[] = {
	view_commands,	policy_commands, event_commands,
	stats_commands, hist_commands,	 doctor_commands,
};

#define NR_TABLES ARRAY_SIZE(tables)

const struct command *find_command(const struct command *commands,
				   const char *name)
{
	for (; commands->name; commands++)
		if (!strcmp(commands->name, name))
			return commands;
	return NULL;
}

static const struct argp_option global_options[] = {
	{ "json", 'j', NULL, 0, "JSON for programs instead of text", 1 },
	{ "debug", 'd', NULL, 0, "show all that libbpf and the verifier say",
	  1 },
	{}
};

static error_t parse_global(int key, char *arg, struct argp_state *state)
{
	(void)arg;
	(void)state;
	switch (key) {
	case 'j':
		out_json = true;
		return 0;
	case 'd':
		ctl_debug = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/**
 * is_global_option - take an option that every command has
 * @arg: As typed.
 *
 * Return: true if it is one, and it has been obeyed.
 */
bool is_global_option(const char *arg)
{
	const struct argp_option *option;

	for (option = global_options; option->name; option++)
		if ((!strncmp(arg, "--", 2) &&
		     !strcmp(arg + 2, option->name)) ||
		    (arg[0] == '-' && arg[1] == option->key && !arg[2]))
			return !parse_global(option->key, NULL, NULL);
	return false;
}

static const struct argp global_argp = {
	.options = global_options,
	.parser = parse_global,
};

/**
 * parse - parse the command line of a command
 * @argp: Its own options.
 * @argc: Of the command, from its name on.
 * @argv: Likewise.
 * @input: For its parser.
 *
 * The global options are understood there, too. On a mistake argp says so and
 * exits with CTL_USAGE.
 */
int parse(const struct argp *argp, int argc, char **argv, void *input)
{
	const struct argp_child children[] = { { &global_argp, 0, NULL, 1 },
					       {} };
	struct argp with_global = *argp;
	char name[64];

	snprintf(name, sizeof(name), "memviewctl %s", argv[0]);
	argv[0] = name;
	with_global.children = children;
	return argp_parse(&with_global, argc, argv, 0, NULL, input);
}

static const struct command *lookup(const char *name)
{
	const struct command *command = NULL;
	size_t i;

	for (i = 0; i < NR_TABLES && !command; i++)
		command = find_command(tables[i], name);
	return command;
}

static error_t parse_main(int key, char *arg, struct argp_state *state)
{
	int *first = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		/* The command: what follows is its own. */
		*first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* The help text, with the commands of all tables in it. */
static char *make_doc(void)
{
	const struct command *c;
	char *doc = NULL;
	size_t size, i;
	FILE *out = open_memstream(&doc, &size);

	if (!out)
		return NULL;
	fputs("See the memory views of this machine, decide who may map what, take memory back.\v",
	      out);
	fputs("Commands:\n", out);
	for (i = 0; i < NR_TABLES; i++)
		for (c = tables[i]; c->name; c++)
			fprintf(out, "  %-10s %s\n", c->name, c->help);
	fputs("\nmemviewctl COMMAND --help says more; so does memviewctl(8).\n\n"
	      "Exit status: 0 done, 1 failed, 2 wrong command line, 3 something is\n"
	      "missing on this machine (memviewctl doctor says what).",
	      out);
	fclose(out);
	return doc;
}

int main(int argc, char **argv)
{
	const struct argp_child children[] = { { &global_argp, 0, NULL, 0 },
					       {} };
	const struct argp argp = {
		.parser = parse_main,
		.args_doc = "COMMAND [ARG...]",
		.doc = make_doc(),
		.children = children,
	};
	const struct command *command;
	int first = argc, status;

	text_start();
	argp_err_exit_status = CTL_USAGE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &first);
	command = lookup(argv[first]);
	if (!command)
		return ctl_error(CTL_USAGE,
				 "memviewctl --help lists the commands.",
				 "there is no command '%s'", argv[first]);
	log_start();
	status = command->run(argc - first, argv + first);
	if (fflush(stdout) || ferror(stdout))
		return ctl_error(CTL_FAILED, "Is the disk full?",
				 "cannot write all of the output");
	return status;
}
