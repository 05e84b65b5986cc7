// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_options.c - the command line of memview-vhost-user
 */
#include <argp.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "number.h"
#include "vhost_user.h"

#define MOST_MS 3600000
#define DEFAULT_TIMEOUT_MS 30000

const char *argp_program_version = "memview-vhost-user " MEMVIEW_VERSION;

static const char doc[] =
	"Relay the vhost-user protocol between a frontend (QEMU, libblkio, DPDK's "
	"virtio-user) and a backend (qemu-storage-daemon, virtiofsd, DPDK's "
	"vhost), neither of which knows. In place of guest memory the backend is "
	"given memory views, which are taken back when the frontend takes the "
	"memory away, resets the device or disconnects, or when an operator says "
	"so.\v"
	"With --control and a command, talks to a memview-vhost-user that runs:\n"
	"\n"
	"  list                                 sessions, regions, views\n"
	"  revoke SESSION|all [ADDRESS SIZE]    take guest memory away\n"
	"  read-only SESSION|all [ADDRESS SIZE] let the backend read it only\n"
	"  restore SESSION|all [ADDRESS SIZE]   undo both\n"
	"\n"
	"EXAMPLES\n"
	"  memview-vhost-user --frontend /run/disk.sock --backend /run/qsd.sock\n"
	"  memview-vhost-user --control /run/disk.ctl revoke 1 0x40000000 64M\n"
	"\n"
	"memview-vhost-user(8) says more.\n";

static const struct argp_option argp_options[] = {
	{ "frontend", 'f', "PATH", 0, "Listen for frontends there", 0 },
	{ "backend", 'b', "PATH", 0, "Connect to the backend there", 0 },
	{ "control", 'c', "PATH", 0, "Listen for operators there", 0 },
	{ "policy", 'p', "NAME", 0,
	  "Begin no session unless this BPF policy is attached and enforces",
	  0 },
	{ "grace", 'g', "MS", 0,
	  "When the frontend goes, or SIGTERM comes, let the backend end by "
	  "itself for so long before memory is taken back (default: 0)",
	  0 },
	{ "state", 's', "FILE", 0,
	  "Keep there what operators have revoked, and begin with it", 0 },
	{ "timeout", 't', "MS", 0,
	  "Close connections that send no request for so long (default: "
	  "30000; 0: never)",
	  0 },
	{ "verbose", 'v', NULL, 0, "Report each message", 0 },
	{}
};

static const char *parse_path(struct argp_state *state, const char *path)
{
	struct sockaddr_un address;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		argp_error(state, "'%s': a socket's path has 1 to %zu bytes",
			   path, sizeof(address.sun_path) - 1);
	return path;
}

static const char *parse_state(struct argp_state *state, const char *path)
{
	/* The files beside it have longer names. */
	if (!*path || strlen(path) > PATH_MAX - 16)
		argp_error(state, "'%s': a path has 1 to %d bytes", path,
			   PATH_MAX - 16);
	return path;
}

static unsigned int parse_ms(struct argp_state *state, const char *option,
			     const char *text)
{
	uint64_t number;

	if (parse_integer(text, MOST_MS, &number))
		argp_error(state, "%s: '%s' is no number from 0 to %d", option,
			   text, MOST_MS);
	return number;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct options *options = &arguments->options;

	switch (key) {
	case 'f':
		options->frontend = parse_path(state, arg);
		return 0;
	case 'b':
		options->backend = parse_path(state, arg);
		return 0;
	case 'c':
		options->control = parse_path(state, arg);
		return 0;
	case 'p':
		options->policy = arg;
		return 0;
	case 'g':
		options->grace = parse_ms(state, "--grace", arg);
		return 0;
	case 's':
		options->state = parse_state(state, arg);
		return 0;
	case 't':
		options->timeout = parse_ms(state, "--timeout", arg);
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case ARGP_KEY_ARGS:
		arguments->words = state->argv + state->next;
		arguments->nr_words = state->argc - state->next;
		return 0;
	case ARGP_KEY_END:
		if (arguments->nr_words && !options->control)
			argp_error(state, "--control PATH says whom to ask");
		if (!arguments->nr_words &&
		    (!options->frontend || !options->backend))
			argp_error(state, "--frontend PATH and --backend PATH "
					  "are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
	.options = argp_options,
	.parser = parse_option,
	.args_doc = "[COMMAND...]",
	.doc = doc,
};

/**
 * parse_arguments - parse the command line, or say what is wrong and exit
 * @argc: How many words there are.
 * @argv: They.
 * @arguments: Empty.
 */
void parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	argp_err_exit_status = 2;
	arguments->options.timeout = DEFAULT_TIMEOUT_MS;
	argp_parse(&argp, argc, argv, 0, NULL, arguments);
}
