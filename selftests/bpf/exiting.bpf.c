// SPDX-License-Identifier: GPL-2.0
/*
 * exiting.bpf.c - a policy that wants the path of a file where the process has given up
 * its own root: at its end
 *
 * The file is another process's: from 7.x on the verifier trusts that of a VMA.
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

extern struct task_struct *bpf_task_from_pid(__s32 pid) __ksym;
extern void bpf_task_release(struct task_struct *task) __ksym;
extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task,
				 __u64 addr) __ksym;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym;

__u32 pid; /* the other process */
__u64 told;
int result;
char path[256];

static void look_at(struct task_struct *task)
{
	struct vm_area_struct *vma;

	bpf_for_each(task_vma, vma, task, 0) {
		struct file *file = vma->vm_file;

		if (file) {
			result = bpf_memview_source_path(file, path, sizeof(path));
			break;
		}
	}
}

SEC("struct_ops.s/unmap_fd")
void BPF_PROG(unmap_fd, struct memview *view, __u64 offset, __u64 size)
{
	struct task_struct *task = bpf_task_from_pid(pid);

	told++;
	if (!task)
		return;
	look_at(task);
	bpf_task_release(task);
}

SEC(".struct_ops.link")
struct memview_policy_ops policy = {
	.unmap_fd = (void *)unmap_fd,
	.name = "exiting",
};
