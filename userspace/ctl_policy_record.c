// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy_record.c - the records of policy_audit_all
 */
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <time.h>

#include "../bpf/policy_audit_all.h"
#include "ctl.h"
#include "ctl_policy.h"
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

static int on_record(void *arg, void *data, size_t size)
{
	const struct audit_record *a = data;
	struct json_object *r;

	(void)arg;
	if (size != sizeof(*a))
		return 0;
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
 * is_record_map - does a policy write records that can be printed?
 * @name: Of a map of it.
 * @type: Of that map.
 */
bool is_record_map(const char *name, uint32_t type)
{
	return type == BPF_MAP_TYPE_RINGBUF && !strcmp(name, "records");
}

/**
 * open_records - print records as they come
 * @map_fd: A map for which is_record_map() is true.
 *
 * Return: What to poll, or NULL, and it has been said why.
 */
struct ring_buffer *open_records(int map_fd)
{
	struct ring_buffer *ring =
		ring_buffer__new(map_fd, on_record, NULL, NULL);

	if (!ring)
		ctl_error(CTL_FAILED, NULL, "cannot read the records: %s",
			  strerror(errno));
	return ring;
}
