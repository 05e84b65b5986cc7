// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_events.c - what memview does, as it does it
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../bpf/events.h"
#include "bpf/events.skel.h"
#include "ctl.h"
#include "ctl_signal.h"
#include "output.h"

static const char *const event_names[EVENT_TYPES] = {
	[EVENT_CREATE] = "create",
	[EVENT_DESTROY] = "destroy",
	[EVENT_RESIZE] = "resize",
	[EVENT_MAP] = "map",
	[EVENT_UNMAP] = "unmap",
	[EVENT_BATCH] = "batch",
	[EVENT_MMAP] = "mmap",
	[EVENT_GET_VIEWFD] = "get_viewfd",
	[EVENT_ZAP] = "zap",
	[EVENT_FAULT] = "fault",
	[EVENT_REVOKE] = "revoke",
	[EVENT_VERDICT] = "verdict",
	[EVENT_INVALIDATE] = "invalidate",
};

static const char *const result_names[RESULTS] = { "ok", "SIGBUS", "SIGSEGV",
						   "OOM", "HWPOISON" };

/**
 * struct watch - what is watched, and what has come
 * @wanted: A bit for each enum event_type.
 * @view: 0 for all.
 * @pid: 0 for all.
 * @failed: Only what went wrong.
 * @count: Stop after so many; 0 for never.
 * @duration: Stop after so many seconds; 0 for never.
 * @buffer: Bytes of the ring buffer.
 * @offset: From CLOCK_MONOTONIC to CLOCK_REALTIME, nanoseconds.
 * @seen: Records printed.
 * @lost: Records that are known to be lost, and have been reported.
 */
struct watch {
	uint32_t wanted;
	uint64_t view;
	uint64_t pid;
	bool failed;
	uint64_t count;
	double duration;
	uint64_t buffer;
	uint64_t offset;
	uint64_t seen;
	uint64_t lost;
};

static const struct out_column event_columns[] = {
	{ "time_ns", NULL, OUT_CLOCK },
	{ "event", NULL, OUT_PLAIN },
	{ "view", "view", OUT_PLAIN },
	{ "pid", "pid", OUT_PLAIN },
	{ "comm", "comm", OUT_PLAIN },
	{ "policy", "policy", OUT_PLAIN },
	{ "op", "op", OUT_PLAIN },
	{ "access", "access", OUT_PLAIN },
	{ "cause", "cause", OUT_PLAIN },
	{ "offset", "offset", OUT_HEX },
	{ "old_size", "old_size", OUT_HEX },
	{ "size", "size", OUT_HEX },
	{ "flags", "flags", OUT_PLAIN },
	{ "address", "address", OUT_HEX },
	{ "protection", "prot", OUT_PLAIN },
	{ "kind", "kind", OUT_PLAIN },
	{ "dev", "dev", OUT_PLAIN },
	{ "ino", "ino", OUT_PLAIN },
	{ "fd_offset", "from", OUT_HEX },
	{ "fd", "fd", OUT_PLAIN },
	{ "entries", "entries", OUT_PLAIN },
	{ "failed_entry", "failed_entry", OUT_PLAIN },
	{ "result", "result", OUT_PLAIN },
	{ "answer", "answer", OUT_PLAIN },
	{ "verdict", "verdict", OUT_PLAIN },
	{ "enforced", "enforced", OUT_PLAIN },
	{ "latency_ns", "latency_ns", OUT_PLAIN },
	{ "error", "error", OUT_PLAIN },
	{}
};

static void put_name(struct json_object *r, const char *key,
		     const char *const *names, uint32_t n, uint32_t i)
{
	put_string(r, key, i < n ? names[i] : "unknown");
}

static void put_span(struct json_object *r, const struct event *e)
{
	put_u64(r, "offset", e->offset);
	put_u64(r, "size", e->size);
}

static void put_source(struct json_object *r, const struct event *e)
{
	json_object_object_add(r, "dev", name_device(e->dev));
	put_u64(r, "ino", e->ino);
	put_u64(r, "fd_offset", e->fd_offset);
}

static void put_fault(struct json_object *r, const struct event *e)
{
	put_u64(r, "offset", e->offset);
	put_u64(r, "address", e->addr);
	put_name(r, "access", access_names, ACCESSES, e->access);
	json_object_object_add(r, "kind", name_kind(e->kind));
	put_name(r, "result", result_names, RESULTS, e->result);
	put_u64(r, "latency_ns", e->took);
}

static void put_verdict(struct json_object *r, const struct event *e)
{
	put_string(r, "policy", e->policy);
	json_object_object_add(r, "op", name_op(e->op));
	json_object_object_add(r, "answer", json_object_new_int(e->answer));
	put_string(r, "verdict", e->err ? errno_name(-e->err) : "allow");
	put_bool(r, "enforced", e->enforced);
}

static void put_details(struct json_object *r, const struct event *e)
{
	switch (e->type) {
	case EVENT_RESIZE:
		put_u64(r, "old_size", e->old_size);
		put_u64(r, "size", e->size);
		break;
	case EVENT_MAP:
		put_span(r, e);
		json_object_object_add(r, "flags", name_flags(e->flags));
		json_object_object_add(r, "kind", name_kind(e->kind));
		put_source(r, e);
		break;
	case EVENT_UNMAP:
	case EVENT_REVOKE:
		put_span(r, e);
		break;
	case EVENT_BATCH:
		put_u64(r, "entries", e->nr_ops);
		if (e->failed < e->nr_ops)
			put_u64(r, "failed_entry", e->failed);
		break;
	case EVENT_GET_VIEWFD:
		if (!e->err)
			put_u64(r, "fd", e->fd);
		break;
	case EVENT_MMAP:
		put_span(r, e);
		put_u64(r, "address", e->addr);
		json_object_object_add(r, "protection", name_flags(e->flags));
		break;
	case EVENT_FAULT:
		put_fault(r, e);
		break;
	case EVENT_ZAP:
		put_span(r, e);
		put_name(r, "cause", cause_names, CAUSES, e->cause);
		put_u64(r, "latency_ns", e->took);
		break;
	case EVENT_VERDICT:
		put_verdict(r, e);
		return;
	case EVENT_INVALIDATE:
		put_source(r, e);
		put_u64(r, "size", e->size);
		put_name(r, "cause", cause_names, CAUSES, e->cause);
		break;
	}
	if (e->err)
		json_object_object_add(r, "error", name_errno(e->err));
}

static int on_event(void *arg, void *data, size_t size)
{
	struct watch *watch = arg;
	const struct event *e = data;
	struct json_object *r;

	if (size < sizeof(*e) || (watch->count && watch->seen == watch->count))
		return 0;
	watch->seen++;
	r = json_object_new_object();
	put_u64(r, "time_ns", e->time + watch->offset);
	put_name(r, "event", event_names, EVENT_TYPES, e->type);
	put_u64(r, "view", e->view);
	put_u64(r, "pid", e->pid);
	put_u64(r, "tid", e->tid);
	put_string(r, "comm", e->comm);
	put_details(r, e);
	out_stream(r, event_columns);
	return 0;
}

static uint64_t monotonic_to_realtime(void)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return (real.tv_sec - mono.tv_sec) * 1000000000LL + real.tv_nsec -
	       mono.tv_nsec;
}

/* A program that is hit while it runs on that CPU is not run: lost, too. */
static uint64_t count_misses(const struct bpf_object *object)
{
	struct bpf_program *program;
	struct bpf_prog_info info;
	uint64_t misses = 0;
	__u32 size;

	bpf_object__for_each_program(program, object) {
		memset(&info, 0, sizeof(info));
		size = sizeof(info);
		if (bpf_program__fd(program) >= 0 &&
		    !bpf_prog_get_info_by_fd(bpf_program__fd(program), &info,
					     &size))
			misses += info.recursion_misses;
	}
	return misses;
}

/* Said as soon as it happens, not only at the end. */
static void report_lost(struct watch *watch, struct events_bpf *skel)
{
	uint64_t lost = skel->bss->lost + count_misses(skel->obj);

	if (lost == watch->lost)
		return;
	out_lost("event", lost - watch->lost, "events");
	if (!watch->lost)
		ctl_error(
			CTL_OK, NULL,
			"to lose none, filter more, or give --buffer a larger size");
	watch->lost = lost;
}

static int open_programs(const struct watch *watch, struct events_bpf **skel)
{
	struct bpf_program *program;
	struct events_bpf *s;
	char name[32];
	uint32_t type;
	int err;

	s = events_bpf__open();
	if (!s)
		return load_failed(-errno, "the programs that watch events");
	s->rodata->filter_view = watch->view;
	s->rodata->filter_pid = watch->pid;
	s->rodata->filter_failed = watch->failed;
	bpf_map__set_max_entries(s->maps.events, watch->buffer);
	for (type = 0; type < EVENT_TYPES; type++) {
		snprintf(name, sizeof(name), "on_%s", event_names[type]);
		program = bpf_object__find_program_by_name(s->obj, name);
		bpf_program__set_autoload(program, watch->wanted >> type & 1);
	}
	err = events_bpf__load(s);
	if (!err)
		err = events_bpf__attach(s);
	if (err) {
		events_bpf__destroy(s);
		return load_failed(err, "the programs that watch events");
	}
	*skel = s;
	return 0;
}

static void follow(struct watch *watch, struct events_bpf *skel,
		   struct ring_buffer *ring)
{
	double end = seconds_now() + watch->duration;
	int n;

	while (!is_stopped() && (!watch->count || watch->seen < watch->count) &&
	       (!watch->duration || seconds_now() < end)) {
		n = ring_buffer__poll(ring, 100);
		if (n < 0 && n != -EINTR)
			break;
		report_lost(watch, skel);
	}
	/* What came before the end is printed. */
	events_bpf__detach(skel);
	ring_buffer__consume(ring);
	report_lost(watch, skel);
}

static uint32_t parse_events(char *list, struct argp_state *state)
{
	uint32_t wanted = 0, type;
	char *name;

	while ((name = strsep(&list, ","))) {
		for (type = 0; type < EVENT_TYPES; type++)
			if (!strcmp(name, event_names[type]))
				break;
		if (type == EVENT_TYPES)
			argp_error(state,
				   "there is no event '%s'; --help lists them",
				   name);
		wanted |= 1u << type;
	}
	return wanted;
}

static error_t parse_watch(int key, char *arg, struct argp_state *state)
{
	struct watch *watch = state->input;

	switch (key) {
	case 'v':
		if (parse_number(arg, &watch->view) || !watch->view)
			argp_error(state, "'%s' is not the ID of a view", arg);
		return 0;
	case 'e':
		watch->wanted |= parse_events(arg, state);
		return 0;
	case 'p':
		if (parse_number(arg, &watch->pid) || !watch->pid ||
		    watch->pid > INT32_MAX)
			argp_error(state, "'%s' is not the ID of a process",
				   arg);
		return 0;
	case 'f':
		watch->failed = true;
		return 0;
	case 'n':
		if (parse_number(arg, &watch->count) || !watch->count)
			argp_error(state, "'%s' is no count", arg);
		return 0;
	case 't':
		if (parse_seconds(arg, SECONDS_MAX, &watch->duration) ||
		    !watch->duration)
			argp_error(state, "'%s' is no time in seconds", arg);
		return 0;
	case 'b':
		if (parse_number(arg, &watch->buffer) || watch->buffer < 4096 ||
		    watch->buffer > 1ULL << 30 ||
		    watch->buffer & (watch->buffer - 1))
			argp_error(
				state,
				"the buffer is a power of two, from 4K to 1G, not '%s'",
				arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int run_events(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "view", 'v', "ID", 0, "of this view only", 0 },
		{ "event", 'e', "NAME,...", 0, "these events only", 0 },
		{ "pid", 'p', "PID", 0, "caused by this process only", 0 },
		{ "failed", 'f', NULL, 0, "only errors, signals and refusals",
		  0 },
		{ "count", 'n', "N", 0, "stop after N events", 0 },
		{ "duration", 't', "SECONDS", 0, "stop after that time", 0 },
		{ "buffer", 'b', "SIZE", 0, "of the ring buffer (4M)", 0 },
		{}
	};
	const struct argp argp = {
		.options = options,
		.doc = "Print what memview does, a line for each event, until Ctrl-C.\v"
		       "Events: create, destroy, resize, map, unmap, batch, get_viewfd, mmap, fault, zap, revoke, verdict, invalidate. "
		       "Events that find no room in the buffer are counted and reported.",
		.parser = parse_watch,
	};
	struct watch watch = { .buffer = 4 << 20 };
	struct ring_buffer *ring;
	struct events_bpf *skel = NULL;
	int status;

	parse(&argp, argc, argv, &watch);
	if (!watch.wanted)
		watch.wanted = (1u << EVENT_TYPES) - 1;
	catch_signals();
	status = need_bpf() ?: open_programs(&watch, &skel);
	if (status)
		return status;
	watch.offset = monotonic_to_realtime();
	ring = ring_buffer__new(bpf_map__fd(skel->maps.events), on_event,
				&watch, NULL);
	if (ring) {
		fputs("memviewctl: watching\n", stderr);
		follow(&watch, skel, ring);
		ring_buffer__free(ring);
	} else {
		status = ctl_error(CTL_FAILED, NULL,
				   "cannot read the ring buffer: %s",
				   strerror(errno));
	}
	events_bpf__destroy(skel);
	return status;
}

const struct command event_commands[] = {
	{ "events", run_events, "what memview does, as it does it" },
	{}
};
