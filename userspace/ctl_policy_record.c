// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_record.c - the records of policy_audit_all
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../bpf/policy_audit_all.h"
#include "ctl.h"
#include "ctl_policy.h"
#include "ctl_signal.h"
#include "line.h"
#include "output.h"

/* Between two looks at whether to stop. */
#define RECORDS_AT_ONCE 4096

static uint64_t to_realtime(uint64_t monotonic)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return monotonic + (real.tv_sec - mono.tv_sec) * 1000000000LL +
	       real.tv_nsec - mono.tv_nsec;
}

static void put_span(const struct audit_record *a)
{
	line_number("offset", "offset", OUT_HEX, a->offset);
	line_number("size", "size", OUT_HEX, a->size);
}

static void put_map_fd(const struct audit_record *a)
{
	const char *seals[SEALS_MAX];
	char flags[4], dev[DEVICE_LEN];

	put_span(a);
	line_text("flags", "flags", flags_text(a->flags, flags));
	line_text("kind", "kind", kind_text(a->kind));
	line_list("seals", "seals", seals, list_seals(a->seals, seals));
	line_text("dev", "dev", device_text(a->dev, dev));
	line_number("ino", "ino", OUT_PLAIN, a->ino);
	line_number("file_size", "", OUT_PLAIN, a->file_size);
	line_number("fd_offset", "from", OUT_HEX, a->fd_offset);
	if (a->path_len > 0)
		line_text("path", "path", a->path);
}

static void put_details(const struct audit_record *a)
{
	char prot[4];

	switch (a->op) {
	case AUDIT_MAP_FD:
		put_map_fd(a);
		break;
	case AUDIT_MMAP:
		put_span(a);
		line_text("protection", "prot", flags_text(a->prot, prot));
		break;
	case AUDIT_UNMAP_FD:
		put_span(a);
		break;
	case AUDIT_DENIED:
		line_text("denied", "denied", op_text(a->denied_op));
		if (a->err)
			line_text("error", "error", errno_name(-a->err));
		break;
	}
}

static int not_a_record(size_t size)
{
	static bool said;

	if (!said)
		ctl_error(
			CTL_OK, NULL,
			"a record of %zu bytes is none of audit-all's: such are not printed",
			size);
	said = true;
	return 0;
}

static int on_record(void *arg, void *data, size_t size)
{
	const struct audit_record *a = data;

	(void)arg;
	if (size != sizeof(*a))
		return not_a_record(size);
	line_begin();
	line_number("time_ns", NULL, OUT_CLOCK, to_realtime(a->time));
	line_text("op", NULL, op_text(a->op));
	line_number("view", "view", OUT_PLAIN, a->view);
	line_number("pid", "pid", OUT_PLAIN, a->pid);
	line_number("tid", "", OUT_PLAIN, a->tid);
	line_text("comm", "comm", a->comm);
	line_number("uid", "uid", OUT_PLAIN, a->uid);
	put_details(a);
	line_number("view_size", "view_size", OUT_HEX, a->view_size);
	line_number("view_mapped", "view_mapped", OUT_HEX, a->view_bytes);
	line_number("owner_pid", "owner", OUT_PLAIN, a->owner_pid);
	line_number("owner_uid", "", OUT_PLAIN, a->owner_uid);
	line_end();
	return 0;
}

/**
 * note_map - is this a map to follow?
 * @maps: If so, it is put there.
 * @fd: A map of a policy.
 */
void note_map(struct policy_maps *maps, int fd)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);

	if (bpf_map_get_info_by_fd(fd, &info, &size))
		return;
	if (info.type == BPF_MAP_TYPE_RINGBUF && !strcmp(info.name, "records"))
		maps->records = fd;
	else if (strstr(info.name, ".bss"))
		maps->state = fd;
}

static int find_lost(const struct var *var, void *arg)
{
	struct json_object *value;

	if (strcmp(var->name, "lost"))
		return 0;
	value = get_var(var);
	*(uint64_t *)arg = json_object_get_uint64(value);
	json_object_put(value);
	return 1;
}

/* Records that the policy says it has lost. */
static uint64_t count_lost(int state)
{
	uint64_t lost = 0;

	if (state >= 0)
		visit_map_vars(state, find_lost, &lost);
	return lost;
}

/**
 * struct following - of a policy's records
 * @ring: NULL if the policy writes none.
 * @state: The policy's variables, or -1.
 * @lost: How many are known to be lost, and have been reported.
 * @next: When to look again how many are.
 */
struct following {
	struct ring_buffer *ring;
	int state;
	uint64_t lost;
	double next;
};

/* Not after each record: to read a variable takes the BTF of its object. */
static void report_lost(struct following *f, bool now)
{
	uint64_t lost;

	if (!now && seconds_now() < f->next)
		return;
	f->next = seconds_now() + 0.5;
	lost = count_lost(f->state);
	if (lost != f->lost)
		out_lost("op", lost - f->lost, "records");
	f->lost = lost;
}

/* Return: false if the output cannot be written. */
static bool print_records(struct following *f, bool last)
{
	int n;

	if (!f->ring)
		return true;
	do
		n = ring_buffer__consume_n(f->ring, RECORDS_AT_ONCE);
	while (n == RECORDS_AT_ONCE && !is_stopped());
	report_lost(f, last);
	return line_flush();
}

static bool follow(struct following *f, int link, bool unread_ends)
{
	struct pollfd fds[] = {
		{ .fd = link },
		{ .fd = f->ring ? ring_buffer__epoll_fd(f->ring) : -1,
		  .events = POLLIN },
		{ .fd = unread_ends ? STDOUT_FILENO : -1 },
	};
	bool written = true;

	while (!is_stopped() && written && !(fds[0].revents & POLLHUP)) {
		/* At times, lest a signal that came just before is missed. */
		poll(fds, ARRAY_SIZE(fds), 500);
		written = print_records(f, false) || !unread_ends;
		if (fds[2].revents)
			end_unread();
	}
	print_records(f, true);
	return fds[0].revents & POLLHUP;
}

/**
 * follow_policy - print the records of a policy, if it writes any
 * @maps: Of the policy.
 * @link: Of the policy; it ends with it.
 * @name: What to call it.
 * @unread_ends: It ends, too, when nobody reads the output any more. Not so
 *	where the policy would end with this process.
 *
 * Return: CTL_OK after a signal, CTL_FAILED if the policy is detached, and it
 * has been said why.
 */
int follow_policy(const struct policy_maps *maps, int link, const char *name,
		  bool unread_ends)
{
	struct following f = { .state = maps->state };
	bool detached;

	if (maps->records >= 0) {
		line_start();
		f.ring = ring_buffer__new(maps->records, on_record, NULL, NULL);
		if (!f.ring)
			return ctl_error(CTL_FAILED, NULL,
					 "cannot read the records of %s: %s",
					 name, strerror(errno));
	}
	detached = follow(&f, link, unread_ends);
	ring_buffer__free(f.ring);
	if (detached)
		return ctl_error(CTL_FAILED, NULL,
				 "policy %s was unloaded by somebody else",
				 name);
	return CTL_OK;
}
