// SPDX-License-Identifier: GPL-2.0
/*
 * lsm.bpf.c - a program of an LSM hook that looks at a file, which may be NULL
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

__u32 pid;
__u64 asked, checked;
int result;
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
