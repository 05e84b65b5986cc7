// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_rejected.bpf.c - a policy that the verifier refuses: it gives away what it does not own
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	bpf_memview_release(view);
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.name = "rejected",
};
