// SPDX-License-Identifier: GPL-2.0
/*
 * policy_audit_all - refuse nothing, write everything down
 *
 * Who lent what to whom, and when? The tracepoints tell what memview did; a
 * policy is where the whole request is at hand: the process that asks, the
 * view and its owner, the source with its path and seals, the client's
 * protection. This one writes a full record of each request to a ring buffer,
 * and lets all of them pass. Load it in the foreground and memviewctl prints
 * the records; it is also the pattern for a collector of your own.
 *
 * Its priority is the lowest number there is, that of the other samples is 100:
 * so it sees requests that another policy goes on to refuse, whichever was
 * loaded first. The refusal is recorded after the request.
 *
 * A record that finds no room is counted in "lost", and the request passes: an
 * auditor that is too slow does not stop the machine.
 *
 * Configuration:
 *   mappings  record the clients' mmap() calls, too (true)
 */
#include "kfuncs.h"

#include "policy_audit_all.h"

char _license[] SEC("license") = "GPL";

const volatile bool mappings = true;

__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} records SEC(".maps");

static struct audit_record *begin(struct memview *view, enum audit_op op)
{
	struct audit_record *record;
	struct memview_info info;
	struct task_struct *task;
	__u64 id;

	record = bpf_ringbuf_reserve(&records, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&lost, 1);
		return NULL;
	}
	__builtin_memset(record, 0, sizeof(*record));
	id = bpf_get_current_pid_tgid();
	task = bpf_get_current_task_btf();
	bpf_memview_get_info(view, &info);
	record->time = bpf_ktime_get_ns();
	record->op = op;
	record->pid = id >> 32;
	record->tid = id;
	record->uid = BPF_CORE_READ(task, cred, uid.val);
	bpf_probe_read_kernel_str(record->comm, sizeof(record->comm),
				  task->comm);
	record->view = info.id;
	record->view_size = info.size;
	record->view_bytes = info.bytes;
	record->owner_pid = info.owner_pid;
	record->owner_uid = info.owner_uid;
	return record;
}

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	struct audit_record *record = begin(view, AUDIT_MAP_FD);
	struct memview_source_info source;

	if (!record)
		return 0;
	bpf_memview_get_source_info(file, &source);
	record->offset = info->mem_offset;
	record->size = info->size;
	record->fd_offset = info->fd_offset;
	record->flags = info->flags;
	record->kind = source.kind;
	record->seals = source.seals;
	record->dev = source.dev;
	record->ino = source.ino;
	record->file_size = source.size;
	record->path_len = bpf_memview_source_path(file, record->path,
						   sizeof(record->path));
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("struct_ops.s/get_viewfd")
int BPF_PROG(get_viewfd, struct memview *view)
{
	struct audit_record *record = begin(view, AUDIT_GET_VIEWFD);

	if (record)
		bpf_ringbuf_submit(record, 0);
	return 0;
}

/* Under the mmap_lock: the one program that may not sleep. */
SEC("struct_ops/mmap")
int BPF_PROG(mmap, struct memview *view, __u64 offset, __u64 size, __u32 prot)
{
	struct audit_record *record;

	if (!mappings)
		return 0;
	record = begin(view, AUDIT_MMAP);
	if (!record)
		return 0;
	record->offset = offset;
	record->size = size;
	record->prot = prot;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("struct_ops.s/unmap_fd")
int BPF_PROG(unmap_fd, struct memview *view, __u64 offset, __u64 size)
{
	struct audit_record *record = begin(view, AUDIT_UNMAP_FD);

	if (!record)
		return 0;
	record->offset = offset;
	record->size = size;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("struct_ops.s/denied")
int BPF_PROG(denied, struct memview *view, __u32 op, int err)
{
	struct audit_record *record = begin(view, AUDIT_DENIED);

	if (!record)
		return 0;
	record->denied_op = op;
	record->err = err;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops audit_all = {
	.map_fd = (void *)map_fd,
	.get_viewfd = (void *)get_viewfd,
	.mmap = (void *)mmap,
	.unmap_fd = (void *)unmap_fd,
	.denied = (void *)denied,
	.priority = 0,
	.name = "audit-all",
};
