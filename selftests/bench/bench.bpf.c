// SPDX-License-Identifier: GPL-2.0
/*
 * bench.bpf.c - a policy and a listener whose price is measured
 *
 * Each does little, but what such programs really do: look at the source, and
 * count in a histogram.
 */
#include "../bpf/test.bpf.h"

char _license[] SEC("license") = "GPL";

#define TMPFS_MAGIC 0x01021994
#define EPERM 1
#define SLOTS 64

__u64 latencies[SLOTS];
__u64 asked;

SEC("struct_ops/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	asked++;
	return file->f_inode->i_sb->s_magic == TMPFS_MAGIC ? 0 : -EPERM;
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.map_fd = (void *)map_fd,
	.name = "bench",
};

static __always_inline unsigned int log2(__u64 value)
{
	unsigned int n = 0, step;

	for (step = SLOTS / 2; step; step /= 2) {
		if (value >> step) {
			value >>= step;
			n += step;
		}
	}
	return n;
}

SEC("tp_btf/memview_fault")
int BPF_PROG(memview_fault, struct memview *view, __u64 pgoff,
	     unsigned long addr, unsigned int flags, unsigned int result,
	     unsigned int kind, __u64 latency)
{
	latencies[log2(latency) % SLOTS]++;
	return 0;
}
