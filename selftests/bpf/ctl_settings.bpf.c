// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_settings.bpf.c - a policy that can be configured in every way
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

const volatile bool a_bool = true;
const volatile __u8 a_u8 = 1;
const volatile __s8 a_s8 = -1;
const volatile __u16 a_u16 = 2;
const volatile __s32 a_s32 = -3;
const volatile __u64 a_u64 = 4;
const volatile __s64 a_s64 = -5;
const volatile char a_string[8] = "text";

/* State, not configuration. */
__u64 asked;

SEC("struct_ops/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	__sync_fetch_and_add(&asked, 1);
	return a_bool && a_u8 && a_s8 && a_u16 && a_s32 && a_u64 && a_s64 && a_string[0] ? 0 : -51;
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.name = "settings",
};
