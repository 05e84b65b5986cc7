// SPDX-License-Identifier: GPL-2.0
/*
 * events.bpf.c - memview's tracepoints, as records in one ring buffer
 *
 * memviewctl loads only the programs of the events that were asked for: the
 * others cost nothing. To the verifier, a pointer that a module's tracepoint
 * gives may be NULL.
 */
#include "kfuncs.h"

#include "events.h"
#include "fault.h"

char _license[] SEC("license") = "GPL";

#define PAGE_SHIFT 12
#define S_IFMT 0170000
#define S_IFREG 0100000
#define TMPFS_MAGIC 0x01021994
#define SB_NOUSER (1UL << 31)

/* 0 for any. */
const volatile __u64 filter_view;
const volatile __u32 filter_pid;
/* Only what went wrong: an errno, a signal, a refusal. */
const volatile bool filter_failed;

/* Records that found no room. */
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} events SEC(".maps");

static __always_inline __u64 size_of(unsigned long first, unsigned long last)
{
	return (last - first + 1) << PAGE_SHIFT;
}

static __always_inline bool is_wanted(const struct memview *view, bool failed)
{
	if (!view || (filter_view && view->id != filter_view))
		return false;
	if (filter_pid && bpf_get_current_pid_tgid() >> 32 != filter_pid)
		return false;
	return failed || !filter_failed;
}

static __always_inline struct event *begin(const struct memview *view,
					   enum event_type type, bool failed)
{
	struct event *event;
	__u64 id;

	if (!is_wanted(view, failed))
		return NULL;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&lost, 1);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	id = bpf_get_current_pid_tgid();
	event->time = bpf_ktime_get_ns();
	event->view = view->id;
	event->type = type;
	event->pid = id >> 32;
	event->tid = id;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	return event;
}

/*
 * As bpf_memview_get_source_info() has it, which cannot be called here: the
 * module's BTF may have several copies of struct file, and then the verifier
 * takes a tracepoint's file for another type than that of the function.
 */
static __always_inline __u32 kind_of(struct file *file)
{
	struct inode *inode = file->f_inode;
	struct super_block *sb = inode->i_sb;

	if (sb->s_magic != TMPFS_MAGIC || (inode->i_mode & S_IFMT) != S_IFREG)
		return MEMVIEW_SOURCE_FILE;
	return sb->s_flags & SB_NOUSER ? MEMVIEW_SOURCE_MEMFD :
					 MEMVIEW_SOURCE_TMPFS;
}

SEC("tp_btf/memview_create")
int BPF_PROG(on_create, struct memview *view)
{
	struct event *event = begin(view, EVENT_CREATE, false);

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_destroy")
int BPF_PROG(on_destroy, struct memview *view)
{
	struct event *event = begin(view, EVENT_DESTROY, false);

	if (event)
		bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_resize")
int BPF_PROG(on_resize, struct memview *view, loff_t old_size, loff_t size,
	     int err)
{
	struct event *event = begin(view, EVENT_RESIZE, err);

	if (!event)
		return 0;
	event->old_size = old_size;
	event->size = size;
	event->err = err;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_map")
int BPF_PROG(on_map, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info, int err)
{
	struct event *event;

	if (!file || !info)
		return 0;
	event = begin(view, EVENT_MAP, err);
	if (!event)
		return 0;
	event->kind = kind_of(file);
	event->dev = file->f_inode->i_sb->s_dev;
	event->ino = file->f_inode->i_ino;
	event->offset = info->mem_offset;
	event->size = info->size;
	event->fd_offset = info->fd_offset;
	event->flags = info->flags;
	event->err = err;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_unmap")
int BPF_PROG(on_unmap, struct memview *view,
	     const struct memview_unmap_fd_info *info, int err)
{
	struct event *event;

	if (!info)
		return 0;
	event = begin(view, EVENT_UNMAP, err);
	if (!event)
		return 0;
	event->offset = info->mem_offset;
	event->size = info->size;
	event->err = err;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_batch")
int BPF_PROG(on_batch, struct memview *view, __u32 nr_ops, __u32 failed,
	     int err)
{
	struct event *event = begin(view, EVENT_BATCH, err);

	if (!event)
		return 0;
	event->nr_ops = nr_ops;
	event->failed = failed;
	event->err = err;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_set_flags")
int BPF_PROG(on_set_flags, struct memview *view, __u32 old_flags, __u32 flags,
	     int err)
{
	struct event *event = begin(view, EVENT_SET_FLAGS, err);

	if (!event)
		return 0;
	event->old_flags = old_flags;
	event->flags = flags;
	event->err = err;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_get_viewfd")
int BPF_PROG(on_get_viewfd, struct memview *view, int fd)
{
	struct event *event = begin(view, EVENT_GET_VIEWFD, fd < 0);

	if (!event)
		return 0;
	event->fd = fd;
	event->err = fd < 0 ? fd : 0;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_mmap")
int BPF_PROG(on_mmap, struct memview *view, struct vm_area_struct *vma)
{
	struct event *event;

	if (!vma)
		return 0;
	event = begin(view, EVENT_MMAP, false);
	if (!event)
		return 0;
	event->addr = vma->vm_start;
	event->offset = vma->vm_pgoff << PAGE_SHIFT;
	event->size = vma->vm_end - vma->vm_start;
	/* VM_READ, VM_WRITE and VM_EXEC are as PROT_*. */
	event->flags = vma->vm_flags & 7;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_fault")
int BPF_PROG(on_fault, struct memview *view, unsigned long pgoff,
	     unsigned long addr, unsigned int flags, unsigned int result,
	     unsigned int kind, __u64 latency)
{
	enum event_result how = result_of(result);
	struct event *event = begin(view, EVENT_FAULT, how != RESULT_OK);

	if (!event)
		return 0;
	event->offset = pgoff << PAGE_SHIFT;
	event->addr = addr;
	event->access = access_of(flags);
	event->result = how;
	event->kind = kind;
	event->took = latency;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_zap")
int BPF_PROG(on_zap, struct memview *view, unsigned long first,
	     unsigned long last, enum memview_cause cause, __u64 time)
{
	struct event *event = begin(view, EVENT_ZAP, false);

	if (!event)
		return 0;
	event->offset = first << PAGE_SHIFT;
	event->size = size_of(first, last);
	event->cause = cause;
	event->took = time;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_revoke")
int BPF_PROG(on_revoke, struct memview *view, __u64 offset, __u64 size, int err)
{
	struct event *event = begin(view, EVENT_REVOKE, err);

	if (!event)
		return 0;
	event->offset = offset;
	event->size = size;
	event->err = err;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_verdict")
int BPF_PROG(on_verdict, struct memview *view, const char *policy,
	     enum memview_policy_op op, int answer, int verdict, bool enforced)
{
	struct event *event = begin(view, EVENT_VERDICT, verdict);

	if (!event)
		return 0;
	bpf_probe_read_kernel_str(event->policy, sizeof(event->policy), policy);
	event->op = op;
	event->answer = answer;
	event->err = verdict;
	event->enforced = enforced;
	bpf_ringbuf_submit(event, 0);
	return 0;
}

SEC("tp_btf/memview_invalidate")
int BPF_PROG(on_invalidate, struct memview *view, struct inode *inode,
	     unsigned long first, unsigned long last, enum memview_cause cause)
{
	struct event *event;

	if (!inode)
		return 0;
	event = begin(view, EVENT_INVALIDATE, false);
	if (!event)
		return 0;
	event->dev = inode->i_sb->s_dev;
	event->ino = inode->i_ino;
	event->fd_offset = first << PAGE_SHIFT;
	event->size = size_of(first, last);
	event->cause = cause;
	bpf_ringbuf_submit(event, 0);
	return 0;
}
