// SPDX-License-Identifier: GPL-2.0
/*
 * reentry.bpf.c - a policy that calls back while it is asked
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

#define VIEWS	64 /* at most */

/* What each program does, in this order. */
enum {
	DO_REVOKE	= 1 << 0, /* the view it is asked about, from @offset */
	DO_WALK		= 1 << 1, /* all views and their ranges */
	DO_ACQUIRE	= 1 << 2, /* the view it is asked about */
	DO_REVOKE_ALL	= 1 << 3, /* every view, whole */
	DO_READ_USER	= 1 << 4, /* the caller's memory at @user */
};

__u32 in_map_fd, in_get_viewfd, in_mmap, in_unmap_fd, in_denied;
int answer;
int answer_mmap SEC(".data") = 0;
__u32 mmap_refused_every = 1; /* the first, and each so-many-th after it */
__u64 offset, size, user;

__u64 views, ranges, bytes; /* as last walked */
__u64 calls, mmaps;
int err; /* of the last revoke, acquire, read */

/* Of a program that cannot sleep: an RCU section already. */
static void count_views(void)
{
	struct memview *view;

	views = 0;
	bpf_for_each(memview, view)
		views++;
}

/* The views are only borrowed while RCU is read; 0 at the end. */
static __u64 next_id(__u64 after)
{
	struct memview *view;
	__u64 id = 0;

	bpf_rcu_read_lock();
	bpf_for_each(memview, view) {
		if (view->id > after) {
			id = view->id;
			break;
		}
	}
	bpf_rcu_read_unlock();
	return id;
}

static void walk(void)
{
	struct memview_range_info *range;
	struct memview *view;
	__u64 id = 0;
	int i;

	views = 0;
	ranges = 0;
	bytes = 0;
	bpf_for(i, 0, VIEWS) {
		id = next_id(id);
		if (!id)
			break;
		view = bpf_memview_acquire(id);
		if (!view)
			continue;
		views++;
		bpf_for_each(memview_range, range, view) {
			ranges++;
			bytes += range->size;
		}
		bpf_memview_release(view);
	}
}

static void revoke_all(void)
{
	struct memview *view;
	__u64 id = 0;
	int i;

	bpf_for(i, 0, VIEWS) {
		id = next_id(id);
		if (!id)
			break;
		view = bpf_memview_acquire(id);
		if (!view)
			continue;
		err = bpf_memview_revoke(view, 0, 0);
		bpf_memview_release(view);
	}
}

static void acquire(__u64 id)
{
	struct memview *view = bpf_memview_acquire(id);

	err = -1;
	if (!view)
		return;
	err = view->id != id;
	bpf_memview_release(view);
}

static __always_inline int call_back(struct memview *view, __u32 what)
{
	char byte[8];

	__sync_fetch_and_add(&calls, 1);
	if (what & DO_REVOKE)
		err = bpf_memview_revoke(view, offset, size);
	if (what & DO_WALK)
		walk();
	if (what & DO_ACQUIRE)
		acquire(view->id);
	if (what & DO_REVOKE_ALL)
		revoke_all();
	if (what & DO_READ_USER)
		err = bpf_copy_from_user_str(byte, sizeof(byte), (void *)user, 0);
	return answer;
}

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	return call_back(view, in_map_fd);
}

SEC("struct_ops.s/get_viewfd")
int BPF_PROG(get_viewfd, struct memview *view)
{
	return call_back(view, in_get_viewfd);
}

/* Under the client's mmap_lock: may not sleep. */
SEC("struct_ops/mmap")
int BPF_PROG(mmap, struct memview *view, __u64 off, __u64 len, __u32 prot)
{
	if (in_mmap & DO_WALK)
		count_views();
	if (in_mmap & DO_ACQUIRE)
		acquire(view->id);
	if (answer_mmap && __sync_fetch_and_add(&mmaps, 1) % mmap_refused_every == 0)
		return answer_mmap;
	return 0;
}

SEC("struct_ops.s/unmap_fd")
void BPF_PROG(unmap_fd, struct memview *view, __u64 off, __u64 len)
{
	call_back(view, in_unmap_fd);
}

SEC("struct_ops.s/denied")
void BPF_PROG(denied, struct memview *view, __u32 op, int error)
{
	call_back(view, in_denied);
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.get_viewfd = (void *)get_viewfd,
	.mmap = (void *)mmap,
	.unmap_fd = (void *)unmap_fd,
	.denied = (void *)denied,
	.name = "reentry",
};
