// SPDX-License-Identifier: GPL-2.0
/*
 * tracing.bpf.c - looks at a view from a tracepoint: kfuncs that look are for
 * tracing programs, too
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

struct memview_info info;
__u32 found; /* acquired by its ID, it is the same view */

SEC("tp_btf/memview_map")
int BPF_PROG(memview_map, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *request, int err)
{
	struct memview *same;

	if (!view)
		return 0;
	bpf_memview_get_info(view, &info);
	same = bpf_memview_acquire(info.id);
	if (!same)
		return 0;
	found = same == view;
	bpf_memview_release(same);
	return 0;
}
