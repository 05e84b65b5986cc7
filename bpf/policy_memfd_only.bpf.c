// SPDX-License-Identifier: GPL-2.0
/*
 * policy_memfd_only - only memory goes into a view, no files
 *
 * A range of a file on a disk makes the view a way to that file: a client with
 * MEMVIEW_MAP_WRITE changes it, and a page fault of the client waits for the
 * disk, or for the network behind it. Where views are there to lend memory,
 * say so: a source must be a memfd.
 *
 * A file on a mounted tmpfs is memory as well, but it has a name, and whoever
 * may open that name shares it. It is refused unless allow_tmpfs is set.
 *
 * Configuration:
 *   allow_tmpfs  files on a mounted tmpfs are fine, too (false)
 *   error        errno of a refusal (EACCES)
 */
#include "kfuncs.h"

char _license[] SEC("license") = "GPL";

const volatile bool allow_tmpfs;
const volatile __u16 error = EACCES;

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *info)
{
	struct memview_source_info source;

	bpf_memview_get_source_info(file, &source);
	if (source.kind == MEMVIEW_SOURCE_MEMFD)
		return 0;
	if (source.kind == MEMVIEW_SOURCE_TMPFS && allow_tmpfs)
		return 0;
	return -error;
}

SEC(".struct_ops.link")
struct memview_policy_ops memfd_only = {
	.map_fd = (void *)map_fd,
	.priority = 100,
	.name = "memfd-only",
};
