// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_other.bpf.c - a struct_ops of something else
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

SEC("struct_ops/ssthresh")
__u32 BPF_PROG(ssthresh, struct sock *sk)
{
	return 2;
}

SEC(".struct_ops.link")
struct tcp_congestion_ops other = {
	.ssthresh = (void *)ssthresh,
	.name = "other",
};
