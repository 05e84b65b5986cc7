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

#include "../bpf/policy_audit_all.h"
#include "ctl.h"
#include "ctl_policy.h"
#include "ctl_signal.h"
#include "output.h"

static const struct out_column record_columns[] = {
	{ "time_ns", NULL, OUT_CLOCK },
	{ "op", NULL, OUT_PLAIN },
	{ "view", "view", OUT_PLAIN },
	{ "pid", "pid", OUT_PLAIN },
	{ "comm", "comm", OUT_PLAIN },
	{ "uid", "uid", OUT_PLAIN },
	{ "offset", "offset", OUT_HEX },
	{ "size", "size", OUT_HEX },
	{ "flags", "flags", OUT_PLAIN },
	{ "protection", "prot", OUT_PLAIN },
	{ "kind", "kind", OUT_PLAIN },
	{ "seals", "seals", OUT_PLAIN },
	{ "dev", "dev", OUT_PLAIN },
	{ "ino", "ino", OUT_PLAIN },
	{ "fd_offset", "from", OUT_HEX },
	{ "path", "path", OUT_PLAIN },
	{ "denied", "denied", OUT_PLAIN },
	{ "error", "error", OUT_PLAIN },
	{ "view_size", "view_size", OUT_HEX },
	{ "view_mapped", "view_mapped", OUT_HEX },
	{ "owner_pid", "owner", OUT_PLAIN },
	{}
};

static uint64_t to_realtime(uint64_t monotonic)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	return monotonic + (real.tv_sec - mono.tv_sec) * 1000000000LL +
	       real.tv_nsec - mono.tv_nsec;
}

static void put_span(struct json_object *r, const struct audit_record *a)
{
	put_u64(r, "offset", a->offset);
	put_u64(r, "size", a->size);
}

static void put_map_fd(struct json_object *r, const struct audit_record *a)
{
	put_span(r, a);
	json_object_object_add(r, "flags", name_flags(a->flags));
	json_object_object_add(r, "kind", name_kind(a->kind));
	json_object_object_add(r, "seals", name_seals(a->seals));
	json_object_object_add(r, "dev", name_device(a->dev));
	put_u64(r, "ino", a->ino);
	put_u64(r, "file_size", a->file_size);
	put_u64(r, "fd_offset", a->fd_offset);
	if (a->path_len > 0)
		put_string(r, "path", a->path);
}

static void put_details(struct json_object *r, const struct audit_record *a)
{
	switch (a->op) {
	case AUDIT_MAP_FD:
		put_map_fd(r, a);
		break;
	case AUDIT_MMAP:
		put_span(r, a);
		json_object_object_add(r, "protection", name_flags(a->prot));
		break;
	case AUDIT_UNMAP_FD:
		put_span(r, a);
		break;
	case AUDIT_DENIED:
		json_object_object_add(r, "denied", name_op(a->denied_op));
		json_object_object_add(r, "error", name_errno(a->err));
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
	struct json_object *r;

	(void)arg;
	if (size != sizeof(*a))
		return not_a_record(size);
	r = json_object_new_object();
	put_u64(r, "time_ns", to_realtime(a->time));
	json_object_object_add(r, "op", name_op(a->op));
	put_u64(r, "view", a->view);
	put_u64(r, "pid", a->pid);
	put_u64(r, "tid", a->tid);
	put_string(r, "comm", a->comm);
	put_u64(r, "uid", a->uid);
	put_details(r, a);
	put_u64(r, "view_size", a->view_size);
	put_u64(r, "view_mapped", a->view_bytes);
	put_u64(r, "owner_pid", a->owner_pid);
	put_u64(r, "owner_uid", a->owner_uid);
	out_stream(r, record_columns);
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

static void follow_records(const struct policy_maps *maps, uint64_t *lost,
			   struct ring_buffer *ring)
{
	uint64_t now;

	ring_buffer__consume(ring);
	now = count_lost(maps->state);
	if (now != *lost)
		out_lost("op", now - *lost, "records");
	*lost = now;
}

/**
 * follow_policy - print the records of a policy, if it writes any
 * @maps: Of the policy.
 * @link: Of the policy; it ends with it.
 * @name: What to call it.
 *
 * Return: CTL_OK after a signal, CTL_FAILED if the policy is detached, and it
 * has been said why.
 */
int follow_policy(const struct policy_maps *maps, int link, const char *name)
{
	struct ring_buffer *ring = NULL;
	struct pollfd fds[2] = { { .fd = link }, { .fd = -1 } };
	uint64_t lost = 0;
	bool detached = false;

	if (maps->records >= 0) {
		ring = ring_buffer__new(maps->records, on_record, NULL, NULL);
		if (!ring)
			return ctl_error(CTL_FAILED, NULL,
					 "cannot read the records of %s: %s",
					 name, strerror(errno));
		fds[1] = (struct pollfd){ .fd = ring_buffer__epoll_fd(ring),
					  .events = POLLIN };
	}
	while (!is_stopped() && !detached) {
		/* At times, lest a signal that came just before is missed. */
		poll(fds, 2, 500);
		detached = fds[0].revents & POLLHUP;
		if (ring)
			follow_records(maps, &lost, ring);
	}
	ring_buffer__free(ring);
	if (detached)
		return ctl_error(CTL_FAILED, NULL,
				 "policy %s was unloaded by somebody else",
				 name);
	return CTL_OK;
}
