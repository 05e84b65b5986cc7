// SPDX-License-Identifier: GPL-2.0
/*
 * recorder.bpf.c - a policy that answers as it is told and writes down what it
 * was asked
 */
#include "test.bpf.h"

#include "shared.h"

char _license[] SEC("license") = "GPL";

/* Set by the test. */
int answers[POLICY_OPS];
int answer_no_memfd; /* of map_fd, for a source that is no memfd */
int answer_at; /* of map_fd, for this place in the view */
__u64 answer_at_offset;
__u64 spin_ns; /* map_fd takes its time */
volatile __u32 hold; /* get_viewfd waits while it is set, for some seconds */

/* Read by the test. */
__u64 asked[CALL_KINDS];
struct policy_call calls[CALLS_MAX];
__u32 nr_calls;
char path[256];
int path_len;
struct memview_source_info source;
__u64 growing; /* of the view, as map_fd has last found it */
volatile __u32 held; /* get_viewfd waits */

static struct policy_call *new_call(__u32 kind, struct memview *view)
{
	__u32 n = __sync_fetch_and_add(&nr_calls, 1);
	struct policy_call *call;

	__sync_fetch_and_add(&asked[kind], 1);
	if (n >= CALLS_MAX)
		return NULL;
	call = &calls[n];
	call->kind = kind;
	call->view = view->id;
	return call;
}

static long spin(__u32 n, void *until)
{
	return bpf_ktime_get_ns() >= *(__u64 *)until;
}

static long wait(__u32 n, void *unused)
{
	return !hold;
}

static void record_growing(struct memview *view)
{
	struct memview_info info;

	bpf_memview_get_info(view, &info);
	growing = info.growing;
}

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	struct policy_call *call = new_call(CALL_MAP_FD, view);
	__u64 until;

	if (call) {
		call->arg[0] = info->flags;
		call->arg[1] = info->fd_offset;
		call->arg[2] = info->size;
		call->arg[3] = info->mem_offset;
		call->arg[4] = file->f_inode->i_ino;
		bpf_memview_get_source_info(file, &source);
		path_len = bpf_memview_source_path(file, path, sizeof(path));
	}
	record_growing(view);
	if (spin_ns) {
		until = bpf_ktime_get_ns() + spin_ns;
		bpf_loop(1 << 22, spin, &until, 0);
	}
	if (answer_no_memfd) {
		struct memview_source_info info = {};

		bpf_memview_get_source_info(file, &info);
		if (info.kind != MEMVIEW_SOURCE_MEMFD)
			return answer_no_memfd;
	}
	if (answer_at && info->mem_offset == answer_at_offset)
		return answer_at;
	return answers[CALL_MAP_FD];
}

SEC("struct_ops.s/get_viewfd")
int BPF_PROG(get_viewfd, struct memview *view)
{
	new_call(CALL_GET_VIEWFD, view);
	if (hold) {
		held = 1;
		bpf_loop(1 << 23, wait, NULL, 0);
	}
	return answers[CALL_GET_VIEWFD];
}

/* Under the client's mmap_lock: may not sleep. */
SEC("struct_ops/mmap")
int BPF_PROG(mmap, struct memview *view, __u64 offset, __u64 size, __u32 prot)
{
	struct policy_call *call = new_call(CALL_MMAP, view);

	if (call) {
		call->arg[0] = offset;
		call->arg[1] = size;
		call->arg[2] = prot;
	}
	return answers[CALL_MMAP];
}

SEC("struct_ops.s/unmap_fd")
void BPF_PROG(unmap_fd, struct memview *view, __u64 offset, __u64 size)
{
	struct policy_call *call = new_call(CALL_UNMAP_FD, view);

	if (call) {
		call->arg[0] = offset;
		call->arg[1] = size;
	}
}

SEC("struct_ops.s/denied")
void BPF_PROG(denied, struct memview *view, __u32 op, int err)
{
	struct policy_call *call = new_call(CALL_DENIED, view);

	if (call) {
		call->arg[0] = op;
		call->arg[1] = err;
	}
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.get_viewfd = (void *)get_viewfd,
	.mmap = (void *)mmap,
	.unmap_fd = (void *)unmap_fd,
	.denied = (void *)denied,
	.name = "recorder",
};
