// SPDX-License-Identifier: GPL-2.0
/*
 * views.bpf.c - look at all views, at the ranges of one, and take memory back
 *
 * Programs that memviewctl runs by hand. They write into arrays that it maps;
 * it makes them larger and asks again when "nr" says that not all fitted.
 */
#include "kfuncs.h"

#include "views.h"

char _license[] SEC("license") = "GPL";

/* Arguments and answers. */
__u64 id, offset, size;
int result;
__u32 nr;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, struct view_record);
} views SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct range_record);
} ranges SEC(".maps");

static void record_view(__u32 n, struct memview *view)
{
	struct view_record *record = bpf_map_lookup_elem(&views, &n);
	struct memview_info info;

	if (!record)
		return;
	bpf_memview_get_info(view, &info);
	record->id = info.id;
	record->size = info.size;
	record->ranges = info.ranges;
	record->bytes = info.bytes;
	record->mappings = info.mappings;
	record->owner_cgroup = info.owner_cgroup;
	record->faults = info.faults;
	record->fault_errors = info.fault_errors;
	record->changes = info.changes;
	record->zaps = info.zaps;
	record->invalidates = info.invalidates;
	record->owner_pid = info.owner_pid;
	record->owner_uid = info.owner_uid;
	record->flags = info.flags;
}

SEC("syscall")
int list_views(void *ctx)
{
	struct memview *view;

	nr = 0;
	bpf_rcu_read_lock();
	bpf_for_each(memview, view)
		record_view(nr++, view);
	bpf_rcu_read_unlock();
	return 0;
}

/* One view: into the first element. */
SEC("syscall")
int get_view(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	result = -ENOENT;
	if (!view)
		return 0;
	record_view(0, view);
	bpf_memview_release(view);
	result = 0;
	return 0;
}

static void record_range(__u32 n, const struct memview_range_info *range)
{
	struct range_record *record = bpf_map_lookup_elem(&ranges, &n);

	if (!record)
		return;
	record->offset = range->offset;
	record->size = range->size;
	record->fd_offset = range->fd_offset;
	record->flags = range->flags;
	record->kind = range->source.kind;
	record->seals = range->source.seals;
	record->dev = range->source.dev;
	record->ino = range->source.ino;
	record->file_size = range->source.size;
	record->writable = range->source.writable;
}

SEC("syscall")
int list_ranges(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);
	struct memview_range_info *range;

	result = -ENOENT;
	if (!view)
		return 0;
	nr = 0;
	bpf_for_each(memview_range, range, view)
		record_range(nr++, range);
	bpf_memview_release(view);
	result = 0;
	return 0;
}

SEC("syscall")
int revoke(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	result = -ENOENT;
	if (!view)
		return 0;
	result = bpf_memview_revoke(view, offset, size);
	bpf_memview_release(view);
	return 0;
}
