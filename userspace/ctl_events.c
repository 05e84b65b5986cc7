// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_events.c - what memview does, as it does it
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/memview.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../bpf/events.h"
#include "bpf/events.skel.h"
#include "ctl.h"
#include "ctl_signal.h"
#include "line.h"
#include "output.h"

static const char *const event_names[EVENT_TYPES] = {
	[EVENT_CREATE] = "create",	   [EVENT_DESTROY] = "destroy",
	[EVENT_RESIZE] = "resize",	   [EVENT_MAP] = "map",
	[EVENT_UNMAP] = "unmap",	   [EVENT_BATCH] = "batch",
	[EVENT_SET_FLAGS] = "set_flags",   [EVENT_MMAP] = "mmap",
	[EVENT_GET_VIEWFD] = "get_viewfd", [EVENT_ZAP] = "zap",
	[EVENT_FAULT] = "fault",	   [EVENT_REVOKE] = "revoke",
	[EVENT_VERDICT] = "verdict",	   [EVENT_INVALIDATE] = "invalidate",
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
 * @next_look: When to look again for that.
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
	double next_look;
};

static const char *pick(const char *const *names, uint32_t n, uint32_t i)
{
	return i < n ? names[i] : "unknown";
}

static void put_span(const struct event *e)
{
	line_number("offset", "offset", OUT_HEX, e->offset);
	line_number("size", "size", OUT_HEX, e->size);
}

static void put_flags(const char *key, const char *title, uint32_t flags)
{
	char text[4];

	line_text(key, title, flags_text(flags, text));
}

static void put_source(const struct event *e)
{
	char dev[DEVICE_LEN];

	line_text("dev", "dev", device_text(e->dev, dev));
	line_number("ino", "ino", OUT_PLAIN, e->ino);
	line_number("fd_offset", "from", OUT_HEX, e->fd_offset);
}

static void put_cause(const struct event *e)
{
	line_text("cause", "cause", pick(cause_names, CAUSES, e->cause));
}

static void put_latency(const struct event *e)
{
	line_number("latency_ns", "latency_ns", OUT_PLAIN, e->took);
}

static void put_map(const struct event *e)
{
	put_span(e);
	put_flags("flags", "flags", e->flags);
	line_text("kind", "kind", kind_text(e->kind));
	put_source(e);
}

static void put_mmap(const struct event *e)
{
	put_span(e);
	line_number("address", "address", OUT_HEX, e->addr);
	put_flags("protection", "prot", e->flags);
}

static void put_fault(const struct event *e)
{
	line_text("access", "access", pick(access_names, ACCESSES, e->access));
	line_number("offset", "offset", OUT_HEX, e->offset);
	line_number("address", "address", OUT_HEX, e->addr);
	line_text("kind", "kind", kind_text(e->kind));
	line_text("result", "result", pick(result_names, RESULTS, e->result));
	put_latency(e);
}

static void put_verdict(const struct event *e)
{
	line_text("policy", "policy", e->policy);
	line_text("op", "op", op_text(e->op));
	line_int("answer", "answer", e->answer);
	line_text("verdict", "verdict", e->err ? errno_name(-e->err) : "allow");
	line_bool("enforced", "enforced", e->enforced);
}

static const char *view_flags_text(uint32_t flags)
{
	if (flags & ~MEMVIEW_REVOKE_ON_CLOSE)
		return "unknown";
	return flags ? "revoke-on-close" : "none";
}

static void put_details(const struct event *e)
{
	switch (e->type) {
	case EVENT_RESIZE:
		line_number("old_size", "old_size", OUT_HEX, e->old_size);
		line_number("size", "size", OUT_HEX, e->size);
		break;
	case EVENT_MAP:
		put_map(e);
		break;
	case EVENT_UNMAP:
	case EVENT_REVOKE:
		put_span(e);
		break;
	case EVENT_BATCH:
		line_number("entries", "entries", OUT_PLAIN, e->nr_ops);
		if (e->failed < e->nr_ops)
			line_number("failed_entry", "failed_entry", OUT_PLAIN,
				    e->failed);
		break;
	case EVENT_SET_FLAGS:
		line_text("old_flags", "old_flags",
			  view_flags_text(e->old_flags));
		line_text("flags", "flags", view_flags_text(e->flags));
		break;
	case EVENT_GET_VIEWFD:
		if (!e->err)
			line_number("fd", "fd", OUT_PLAIN, e->fd);
		break;
	case EVENT_MMAP:
		put_mmap(e);
		break;
	case EVENT_FAULT:
		put_fault(e);
		break;
	case EVENT_ZAP:
		put_cause(e);
		put_span(e);
		put_latency(e);
		break;
	case EVENT_VERDICT:
		put_verdict(e);
		return;
	case EVENT_INVALIDATE:
		put_cause(e);
		line_number("size", "size", OUT_HEX, e->size);
		put_source(e);
		break;
	}
	if (e->err)
		line_text("error", "error", errno_name(-e->err));
}

static int on_event(void *arg, void *data, size_t size)
{
	struct watch *watch = arg;
	const struct event *e = data;

	if (size < sizeof(*e))
		return 0;
	watch->seen++;
	line_begin();
	line_number("time_ns", NULL, OUT_CLOCK, e->time + watch->offset);
	line_text("event", NULL, pick(event_names, EVENT_TYPES, e->type));
	line_number("view", "view", OUT_PLAIN, e->view);
	line_number("pid", "pid", OUT_PLAIN, e->pid);
	line_number("tid", "", OUT_PLAIN, e->tid);
	line_text("comm", "comm", e->comm);
	put_details(e);
	line_end();
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

/*
 * Said soon after it happens, not only at the end; but a look takes a system call
 * for each program, and more are lost if that is done for each event.
 */
static void report_lost(struct watch *watch, struct events_bpf *skel, bool last)
{
	double now = seconds_now();
	uint64_t lost;

	if (!last && now < watch->next_look)
		return;
	watch->next_look = now + 0.1;
	lost = skel->bss->lost + count_misses(skel->obj);
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

/* Between two looks at whether to stop, and at what is lost. */
#define EVENTS_AT_ONCE 4096

/* Return: how many there were, or a negative errno. */
static int print_some(const struct watch *watch, struct ring_buffer *ring)
{
	uint64_t most = EVENTS_AT_ONCE;

	if (watch->count && watch->count - watch->seen < most)
		most = watch->count - watch->seen;
	return ring_buffer__consume_n(ring, most);
}

static bool is_done(const struct watch *watch, double end)
{
	return is_stopped() || (watch->count && watch->seen >= watch->count) ||
	       (watch->duration && seconds_now() >= end);
}

static void follow(struct watch *watch, struct events_bpf *skel,
		   struct ring_buffer *ring)
{
	double end = seconds_now() + watch->duration;
	bool written = true;
	int n;

	while (written && !is_done(watch, end)) {
		n = print_some(watch, ring);
		if (n < 0)
			break;
		report_lost(watch, skel, false);
		if (n == EVENTS_AT_ONCE)
			continue;
		/* There are no more for now: so let them be seen. */
		written = line_flush() &&
			  wait_for(ring_buffer__epoll_fd(ring), 0.1);
	}
	/* What came before the end is printed. */
	events_bpf__detach(skel);
	while (written && (!watch->count || watch->seen < watch->count) &&
	       print_some(watch, ring) > 0)
		;
	report_lost(watch, skel, true);
	line_flush();
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
		       "Events: create, destroy, resize, map, unmap, batch, set_flags, get_viewfd, mmap, fault, zap, revoke, verdict, invalidate. "
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
	line_start();
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
