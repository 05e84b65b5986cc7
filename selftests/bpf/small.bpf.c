// SPDX-License-Identifier: GPL-2.0
/*
 * small.bpf.c - a policy with one program of the five
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

int answer;
__u64 asked;

SEC("struct_ops/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	__sync_fetch_and_add(&asked, 1);
	return answer;
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.name = "small",
};
