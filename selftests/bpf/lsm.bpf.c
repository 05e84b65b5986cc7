// SPDX-License-Identifier: GPL-2.0
/*
 * lsm.bpf.c - programs of LSM hooks that look at a file, which may be NULL, or not
 * open
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

__u32 pid;
__u64 asked, checked;
int result, result_free;
struct memview_source_info info;

SEC("lsm/mmap_file")
int BPF_PROG(mmap_file, struct file *file)
{
	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	asked++;
	if (file)
		result = bpf_memview_get_source_info(file, &info);
	else
		checked++;
	return 0;
}

/* Files below an overlayfs, before they are open, and when they are not any more. */
SEC("?lsm/backing_file_alloc")
int BPF_PROG(backing_file_alloc, struct file *file)
{
	if (bpf_get_current_pid_tgid() >> 32 != pid)
		return 0;
	asked++;
	result = bpf_memview_get_source_info(file, &info);
	return 0;
}

SEC("?lsm/backing_file_free")
int BPF_PROG(backing_file_free, struct file *file)
{
	checked++;
	result_free = bpf_memview_get_source_info(file, &info);
	return 0;
}
