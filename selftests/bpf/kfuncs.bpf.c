// SPDX-License-Identifier: GPL-2.0
/*
 * kfuncs.bpf.c - the kfuncs, each behind a program that a test can run
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

#define ENOENT	2
#define MAX	64

__u64 id, offset, size;
int result;

struct memview_info info;
__u64 ids[MAX];
struct memview_range_info ranges[MAX];
__u32 nr; /* not in a register, where the verifier would follow each value */
int held; /* hold_and_revoke() has the view */
int go;

/* Whole: the verifier lets a program read it only member by member. */
static void copy_range(struct memview_range_info *to, struct memview_range_info *from)
{
	bpf_probe_read_kernel(to, sizeof(*to), from);
}

SEC("syscall")
int get_info(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);

	result = -ENOENT;
	if (!view)
		return 0;
	result = bpf_memview_get_info(view, &info);
	bpf_memview_release(view);
	return 0;
}

SEC("syscall")
int list_views(void *ctx)
{
	struct memview *view;

	nr = 0;
	bpf_rcu_read_lock();
	bpf_for_each(memview, view) {
		__u32 n = nr++;

		if (n < MAX)
			ids[n] = view->id;
	}
	bpf_rcu_read_unlock();
	return 0;
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
	bpf_for_each(memview_range, range, view) {
		__u32 n = nr++;

		if (n < MAX)
			copy_range(&ranges[n], range);
	}
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

/* Leave both loops early: what was taken must be given back. */
SEC("syscall")
int break_out(void *ctx)
{
	struct memview_range_info *range;
	struct memview *view;

	result = -ENOENT;
	nr = 0;
	bpf_rcu_read_lock();
	bpf_for_each(memview, view) {
		if (view->id != id)
			continue;
		result = bpf_memview_get_info(view, &info);
		break;
	}
	bpf_rcu_read_unlock();
	view = bpf_memview_acquire(id);
	if (!view)
		return 0;
	bpf_for_each(memview_range, range, view) {
		copy_range(&ranges[0], range);
		nr++;
		break;
	}
	bpf_memview_release(view);
	return 0;
}

static long wait_for_go(__u32 n, void *ctx)
{
	return *(volatile int *)&go != 0;
}

/* Some ten seconds, at most: a program cannot wait. */
static long wait_longer(__u32 n, void *ctx)
{
	bpf_loop(1 << 20, wait_for_go, NULL, 0);
	return *(volatile int *)&go != 0;
}

/* The view goes while the program has it. */
SEC("syscall")
int hold_and_revoke(void *ctx)
{
	struct memview *view = bpf_memview_acquire(id);
	struct memview_range_info *range;

	result = 1;
	if (!view)
		return 0;
	held = 1;
	bpf_loop(1 << 10, wait_longer, NULL, 0);
	if (!go)
		goto release;
	bpf_memview_get_info(view, &info);
	nr = 0;
	bpf_for_each(memview_range, range, view)
		nr++;
	result = bpf_memview_revoke(view, offset, size);
release:
	bpf_memview_release(view);
	return 0;
}
