// SPDX-License-Identifier: GPL-2.0
/*
 * policy_sealed_only - only memory that cannot be cut short
 *
 * The owner of a memfd may truncate it at any time. A client that reads the
 * view then gets a SIGBUS in the middle of whatever it was doing: the
 * controller, or anyone else who holds the memfd, can kill it, or drive it
 * through a signal handler that was never meant for that. F_SEAL_SHRINK rules
 * it out for good: a seal cannot be taken off. This policy wants a memfd with
 * that seal as the source of every range.
 *
 * It does not keep the controller from unmapping the range: that it may is
 * what a view is for.
 *
 * Configuration:
 *   seals  all of these F_SEAL_* must be set (2: F_SEAL_SHRINK)
 *   error  errno of a refusal (EACCES)
 */
#include "kfuncs.h"

char _license[] SEC("license") = "GPL";

const volatile __u32 seals = F_SEAL_SHRINK;
const volatile __u16 error = EACCES;

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	struct memview_source_info source;

	bpf_memview_get_source_info(file, &source);
	if (source.kind != MEMVIEW_SOURCE_MEMFD)
		return -error;
	return (source.seals & seals) == seals ? 0 : -error;
}

SEC(".struct_ops.link")
struct memview_policy_ops sealed_only = {
	.map_fd = (void *)map_fd,
	.priority = 100,
	.name = "sealed-only",
};
