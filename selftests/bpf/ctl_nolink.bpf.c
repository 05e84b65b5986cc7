// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_nolink.bpf.c - a policy that could not be taken away again
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	return 0;
}

SEC(".struct_ops")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.name = "nolink",
};
