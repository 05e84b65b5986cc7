// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_two.bpf.c - two policies in one object
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	return 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops one = {
	.map_fd = (void *)map_fd,
	.name = "one",
};

SEC(".struct_ops.link")
struct memview_policy_ops two = {
	.map_fd = (void *)map_fd,
	.name = "two",
};
