// SPDX-License-Identifier: GPL-2.0
/*
 * policy_deny_exec - nobody executes what a view shows
 *
 * Memory that is lent is data. A client that can be brought to execute it runs
 * what the controller, or whoever else can write the source, has put there; a
 * controller that gives MEMVIEW_MAP_EXEC to a client gives it a way around a
 * check that looks at the client's own files. Where nobody needs code in a
 * view (a VMM and its device processes do not), refuse it.
 *
 * Both sides are refused: a range with MEMVIEW_MAP_EXEC, and an mmap() with
 * PROT_EXEC. A later mprotect() is not asked about and gains nothing: without
 * the range's flag an instruction fetch is a SIGSEGV.
 *
 * A policy is asked about requests. Ranges and mappings of before it was loaded
 * stay, and their clients go on to execute. `memviewctl show ID` tells which
 * ranges are executable; `memviewctl revoke ID` takes them away.
 *
 * Configuration:
 *   error  errno of a refusal (EACCES)
 */
#include "kfuncs.h"

char _license[] SEC("license") = "GPL";

const volatile __u16 error = EACCES;

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	return info->flags & MAP_FLAG_EXEC ? -error : 0;
}

/* Under the mmap_lock: the one program that may not sleep. */
SEC("struct_ops/mmap")
int BPF_PROG(mmap, struct memview *view, __u64 offset, __u64 size, __u32 prot)
{
	return prot & PROT_EXEC ? -error : 0;
}

SEC(".struct_ops.link")
struct memview_policy_ops deny_exec = {
	.map_fd = (void *)map_fd,
	.mmap = (void *)mmap,
	.priority = 100,
	.name = "deny-exec",
};
