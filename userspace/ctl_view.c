// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_view.c - list, show and revoke
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "ctl.h"
#include "ctl_walk.h"
#include "output.h"

/* The members of a view that list and show have. */
static struct json_object *make_view(const struct view_record *view)
{
	struct json_object *record = json_object_new_object();
	char comm[32];

	get_owner_comm(view->owner_pid, comm, sizeof(comm));
	put_u64(record, "id", view->id);
	put_u64(record, "size", view->size);
	put_u64(record, "mapped", view->bytes);
	put_u64(record, "ranges", view->ranges);
	put_u64(record, "mappings", view->mappings);
	json_object_object_add(record, "flags", name_view_flags(view->flags));
	put_u64(record, "owner_pid", view->owner_pid);
	put_string(record, "owner_comm", comm);
	put_u64(record, "owner_uid", view->owner_uid);
	put_u64(record, "owner_cgroup", view->owner_cgroup);
	put_u64(record, "faults", view->faults);
	put_u64(record, "fault_errors", view->fault_errors);
	put_u64(record, "changes", view->changes);
	put_u64(record, "zaps", view->zaps);
	put_u64(record, "invalidates", view->invalidates);
	return record;
}

static const struct out_column list_columns[] = {
	{ "id", "ID", OUT_PLAIN },
	{ "size", "SIZE", OUT_SIZE },
	{ "mapped", "MAPPED", OUT_SIZE },
	{ "ranges", "RANGES", OUT_PLAIN },
	{ "mappings", "CLIENTS", OUT_PLAIN },
	{ "faults", "FAULTS", OUT_PLAIN },
	{ "fault_errors", "ERRORS", OUT_PLAIN },
	{ "owner_uid", "UID", OUT_PLAIN },
	{ "owner_pid", "OWNER", OUT_PLAIN },
	{ "owner_comm", "COMMAND", OUT_PLAIN },
	{}
};

static int run_list(int argc, char **argv)
{
	const struct argp argp = {
		.doc = "List the views of this machine.\vCLIENTS counts the mappings of clients.",
	};
	const struct view_record *views;
	struct json_object *rows;
	struct walk *walk;
	uint32_t nr, i;
	int status;

	parse(&argp, argc, argv, NULL);
	status = walk_open(&walk);
	if (status)
		return status;
	status = walk_views(&walk, &views, &nr);
	if (!status) {
		rows = json_object_new_array();
		for (i = 0; i < nr; i++)
			json_object_array_add(rows, make_view(&views[i]));
		out_table(rows, list_columns, "There are no views.");
	}
	walk_close(walk);
	return status;
}

/* ID and, for revoke, OFFSET and SIZE. */
struct span_args {
	uint64_t number[3];
	unsigned int nr;
	unsigned int max;
};

static error_t parse_span(int key, char *arg, struct argp_state *state)
{
	struct span_args *args = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		if (args->nr == args->max)
			argp_error(state, "too many arguments: '%s'", arg);
		if (parse_number(arg, &args->number[args->nr++]))
			argp_error(state, "'%s' is not a number", arg);
		return 0;
	case ARGP_KEY_END:
		if (args->nr == 0)
			argp_error(
				state,
				"which view? Give its ID; memviewctl list shows it");
		if (args->nr == 2)
			argp_error(state, "an offset needs a size");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static struct json_object *make_range(const struct range_record *range,
				      const struct open_files *files)
{
	struct json_object *record = json_object_new_object();
	const char *path = find_path(files, range->dev, range->ino);

	put_u64(record, "offset", range->offset);
	put_u64(record, "size", range->size);
	json_object_object_add(record, "flags", name_flags(range->flags));
	put_u64(record, "fd_offset", range->fd_offset);
	json_object_object_add(record, "kind", name_kind(range->kind));
	json_object_object_add(record, "seals", name_seals(range->seals));
	json_object_object_add(record, "dev", name_device(range->dev));
	put_u64(record, "ino", range->ino);
	put_u64(record, "file_size", range->file_size);
	put_bool(record, "file_writable", range->writable);
	if (path)
		put_string(record, "path", path);
	return record;
}

static const struct out_column view_fields[] = {
	{ "id", "View", OUT_PLAIN },
	{ "size", "Size", OUT_SIZE },
	{ "mapped", "Mapped", OUT_SIZE },
	{ "flags", "Flags", OUT_PLAIN },
	{ "owner_pid", "Owner", OUT_PLAIN },
	{ "owner_comm", "Command", OUT_PLAIN },
	{ "owner_uid", "User", OUT_PLAIN },
	{ "owner_cgroup", "Cgroup", OUT_PLAIN },
	{ "faults", "Faults", OUT_PLAIN },
	{ "fault_errors", "Fault errors", OUT_PLAIN },
	{ "changes", "Changes", OUT_PLAIN },
	{ "zaps", "Zaps", OUT_PLAIN },
	{ "invalidates", "Invalidates", OUT_PLAIN },
	{}
};

static const struct out_column range_columns[] = {
	{ "offset", "OFFSET", OUT_HEX }, { "size", "SIZE", OUT_SIZE },
	{ "flags", "FLAGS", OUT_PLAIN }, { "fd_offset", "FROM", OUT_HEX },
	{ "kind", "KIND", OUT_PLAIN },	 { "seals", "SEALS", OUT_PLAIN },
	{ "dev", "DEVICE", OUT_PLAIN },	 { "ino", "INODE", OUT_PLAIN },
	{ "path", "PATH", OUT_PLAIN },	 {}
};

static const struct out_column mapper_columns[] = {
	{ "pid", "PID", OUT_PLAIN },	     { "comm", "COMMAND", OUT_PLAIN },
	{ "uid", "UID", OUT_PLAIN },	     { "address", "ADDRESS", OUT_HEX },
	{ "offset", "OFFSET", OUT_HEX },     { "size", "SIZE", OUT_SIZE },
	{ "protection", "PROT", OUT_PLAIN }, {}
};

/*
 * Of the mappings that the kernel counts, how many are not among those that /proc
 * shows: in another PID namespace, or hidden. Counted twice, because a client may
 * come or go while /proc is read.
 */
static uint64_t count_unnamed(struct walk *walk, uint64_t id, uint64_t before,
			      const struct json_object *named)
{
	uint64_t nr = json_object_array_length(named), mappings = before;
	const struct view_record *view;

	/* Gone meanwhile, with all its mappings? */
	if (walk_view(walk, id, &view))
		return 0;
	if (view->mappings < mappings)
		mappings = view->mappings;
	return mappings > nr ? mappings - nr : 0;
}

static void print_document(struct json_object *document, uint64_t unnamed,
			   size_t named)
{
	const struct out_section sections[] = {
		{ "view", NULL, view_fields, NULL },
		{ "ranges", "Ranges:", range_columns, "none" },
		{ "mapped_by", "Mapped by:", mapper_columns,
		  unnamed ? "nobody who can be named from here" : "nobody" },
		{}
	};

	out_document(document, sections);
	if (unnamed && !out_json)
		printf("Mappings that cannot be named from here: %" PRIu64
		       "%s. %s\n",
		       unnamed, named ? " more" : "",
		       is_initial_namespace("pid") ?
			       "Is /proc mounted with hidepid?" :
			       "Their processes are in another PID namespace.");
}

static int show(struct walk **walk, uint64_t id)
{
	struct json_object *document, *rows, *view, *mappers;
	const struct range_record *ranges;
	const struct view_record *record;
	struct open_files *files;
	uint64_t mappings, unnamed;
	uint32_t nr, i;
	pid_t owner;
	int status;

	status = walk_view(*walk, id, &record);
	if (status)
		return status;
	owner = record->owner_pid;
	mappings = record->mappings;
	view = make_view(record);
	status = walk_ranges(walk, id, &ranges, &nr);
	if (status) {
		json_object_put(view);
		return status;
	}
	files = list_files(owner);
	rows = json_object_new_array();
	for (i = 0; i < nr; i++)
		json_object_array_add(rows, make_range(&ranges[i], files));
	free_files(files);
	document = json_object_new_object();
	json_object_object_add(document, "view", view);
	json_object_object_add(document, "ranges", rows);
	mappers = get_mappers(id);
	json_object_object_add(document, "mapped_by", mappers);
	unnamed = count_unnamed(*walk, id, mappings, mappers);
	put_u64(document, "mapped_by_unnamed", unnamed);
	print_document(document, unnamed, json_object_array_length(mappers));
	return CTL_OK;
}

static int run_show(int argc, char **argv)
{
	const struct argp argp = {
		.args_doc = "ID",
		.doc = "Show a view: its counters, its ranges, who maps it.\v"
		       "PATH is known while the owner has the file open.",
		.parser = parse_span,
	};
	struct span_args args = { .max = 1 };
	struct walk *walk;
	int status;

	parse(&argp, argc, argv, &args);
	status = walk_open(&walk);
	if (status)
		return status;
	status = show(&walk, args.number[0]);
	walk_close(walk);
	return status;
}

static int revoke_failed(int err, const struct span_args *args)
{
	static const struct {
		int err;
		const char *what_to_do;
	} advice[] = {
		{ EINVAL,
		  "Offset and size must be multiples of the page size." },
		{ ENOSPC,
		  "It would split a range, and there are max_ranges of them: revoke the whole view, or more of it." },
	};
	const char *what_to_do = NULL;
	size_t i;

	if (err == -ENOENT)
		return no_view(args->number[0]);
	for (i = 0; i < ARRAY_SIZE(advice); i++)
		if (-err == advice[i].err)
			what_to_do = advice[i].what_to_do;
	return ctl_error(CTL_FAILED, what_to_do,
			 "cannot revoke from view %" PRIu64 ": %s",
			 args->number[0], strerror(-err));
}

static int revoke(struct walk *walk, const struct span_args *args)
{
	uint64_t id = args->number[0], offset = args->number[1],
		 size = args->number[2];
	struct json_object *record;
	char span[64] = "all of it";
	int err;

	err = walk_revoke(walk, id, offset, size);
	if (err)
		return revoke_failed(err, args);
	if (args->nr == 3)
		snprintf(span, sizeof(span), "%#" PRIx64 " bytes at %#" PRIx64,
			 size, offset);
	record = json_object_new_object();
	put_u64(record, "revoked", id);
	put_u64(record, "offset", offset);
	put_u64(record, "size", size);
	put_bool(record, "whole", args->nr == 1);
	out_record(record, "View %" PRIu64 ": revoked %s.\n", id, span);
	return CTL_OK;
}

static int run_revoke(int argc, char **argv)
{
	const struct argp argp = {
		.args_doc = "ID [OFFSET SIZE]",
		.doc = "Take a view, or a span of it, away from its clients.\v"
		       "The controller is not asked, and may map again: load a policy first to keep it from that. "
		       "Numbers may be hexadecimal, and end in K, M, G or T.",
		.parser = parse_span,
	};
	struct span_args args = { .max = 3 };
	struct walk *walk;
	int status;

	parse(&argp, argc, argv, &args);
	/* To the kernel that would be all of it. */
	if (args.nr == 3 && !args.number[2])
		return ctl_error(CTL_USAGE,
				 "To revoke the whole view, give its ID alone.",
				 "the size is 0");
	status = walk_open(&walk);
	if (status)
		return status;
	status = revoke(walk, &args);
	walk_close(walk);
	return status;
}

const struct command view_commands[] = {
	{ "list", run_list, "the views of this machine" },
	{ "show", run_show, "a view: counters, ranges, who maps it" },
	{ "revoke", run_revoke, "take a view, or a span of it, back" },
	{}
};
