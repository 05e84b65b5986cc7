// SPDX-License-Identifier: GPL-2.0
/*
 * rejected.bpf.c - programs that the verifier must not let in, and a few of
 * their right brothers. None is loaded unless a test says so.
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

__u64 id;
struct memview_info info;
struct memview_source_info source;
__u64 sum;

SEC("?syscall")
int good(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	if (!view)
		return 0;
	bpf_memview_get_info(view, &info);
	bpf_memview_revoke(view, 0, 0);
	bpf_memview_release(view);
	return 0;
}

SEC("?syscall")
int leak(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	if (view)
		bpf_memview_get_info(view, &info);
	return 0;
}

SEC("?syscall")
int use_after_release(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	if (!view)
		return 0;
	bpf_memview_release(view);
	bpf_memview_get_info(view, &info);
	return 0;
}

SEC("?syscall")
int release_twice(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	if (!view)
		return 0;
	bpf_memview_release(view);
	bpf_memview_release(view);
	return 0;
}

SEC("?syscall")
int no_null_check(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	bpf_memview_get_info(view, &info);
	bpf_memview_release(view);
	return 0;
}

/* What a walk along pointers finds may be gone. */
SEC("?tp_btf/memview_map")
int BPF_PROG(untrusted, struct memview *view)
{
	struct task_struct *task = bpf_get_current_task_btf();

	bpf_memview_get_source_info(task->mm->exe_file, &source);
	return 0;
}

SEC("?syscall")
int scalar(void *ctx)
{
	bpf_memview_revoke((void *)id, 0, 0);
	return 0;
}

SEC("?syscall")
int views_not_destroyed(void *ctx)
{
	struct bpf_iter_memview it;

	bpf_rcu_read_lock();
	bpf_iter_memview_new(&it);
	bpf_iter_memview_next(&it);
	bpf_rcu_read_unlock();
	return 0;
}

/* Views are only borrowed while RCU is read. */
SEC("?syscall")
int views_without_rcu(void *ctx)
{
	struct memview *view;

	bpf_for_each(memview, view)
		bpf_memview_get_info(view, &info);
	return 0;
}

SEC("?syscall")
int kept_beyond_rcu(void *ctx)
{
	struct memview *view, *kept = NULL;

	bpf_rcu_read_lock();
	bpf_for_each(memview, view) {
		kept = view;
		break;
	}
	bpf_rcu_read_unlock();
	if (kept)
		bpf_memview_get_info(kept, &info);
	return 0;
}

SEC("?syscall")
int revoke_borrowed(void *ctx)
{
	struct memview *view;

	bpf_rcu_read_lock();
	bpf_for_each(memview, view)
		bpf_memview_revoke(view, 0, 0);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?syscall")
int ranges_not_destroyed(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);
	struct bpf_iter_memview_range it;

	if (!view)
		return 0;
	bpf_iter_memview_range_new(&it, view);
	bpf_memview_release(view);
	return 0;
}

/* It is the iterator's reference, not the program's. */
SEC("?syscall")
int release_borrowed(void *ctx)
{
	struct memview *view;

	bpf_rcu_read_lock();
	bpf_for_each(memview, view)
		bpf_memview_release(view);
	bpf_rcu_read_unlock();
	return 0;
}

SEC("?syscall")
int write_view(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	if (!view)
		return 0;
	view->owner_uid = 0;
	bpf_memview_release(view);
	return 0;
}

SEC("?tp_btf/memview_map")
int BPF_PROG(tracing_revoke, struct memview *view, struct file *file)
{
	if (view)
		bpf_memview_revoke(view, 0, 0);
	return 0;
}

SEC("?tp_btf/memview_map")
int BPF_PROG(tracing_path, struct memview *view, struct file *file)
{
	char buf[16];

	if (file)
		bpf_memview_source_path(file, buf, sizeof(buf));
	return 0;
}

SEC("?tp_btf/memview_map")
int BPF_PROG(tracing_ranges, struct memview *view, struct file *file)
{
	struct memview_range_info *range;

	if (!view)
		return 0;
	bpf_for_each(memview_range, range, view)
		sum += range->size;
	return 0;
}

SEC("?socket")
int socket_filter(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	if (view)
		bpf_memview_release(view);
	return 0;
}

SEC("?struct_ops/get_viewfd")
int BPF_PROG(atomic_revoke, struct memview *view)
{
	bpf_memview_revoke(view, 0, 0);
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops atomic_policy = {
	.get_viewfd = (void *)atomic_revoke,
	.name = "atomic",
};

SEC("?struct_ops.s/get_viewfd")
int BPF_PROG(policy_writes, struct memview *view)
{
	view->owner_uid = 0;
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops writing_policy = {
	.get_viewfd = (void *)policy_writes,
	.name = "writing",
};

/* The request is the caller's: a policy may refuse it, not change it. */
SEC("?struct_ops.s/map_fd")
int BPF_PROG(policy_edits, struct memview *view, struct file *file,
	     struct memview_map_fd_info *request)
{
	request->flags = 0;
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops editing_policy = {
	.map_fd = (void *)policy_edits,
	.name = "editing",
};

/* What the iterator has given lies on this program's stack, which is not for others to fill. */
SEC("?struct_ops.s/map_fd")
int BPF_PROG(fill_range, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *request)
{
	struct memview_range_info *range;

	bpf_for_each(memview_range, range, view)
		bpf_memview_get_source_info(file, (void *)&range->source);
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops filling_policy = {
	.map_fd = (void *)fill_range,
	.name = "filling",
};

/* The client's mmap_lock is held. */
SEC("?struct_ops.s/mmap")
int BPF_PROG(sleeping_mmap, struct memview *view, __u64 offset, __u64 size, __u32 prot)
{
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops sleeping_policy = {
	.mmap = (void *)sleeping_mmap,
	.name = "sleeping",
};
