/* SPDX-License-Identifier: GPL-2.0 */
/*
 * test.bpf.h - the kernel's types and the module's functions
 */
#ifndef MEMVIEW_TEST_BPF_H
#define MEMVIEW_TEST_BPF_H

/* What BTF says of them may name another copy of struct file. */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

extern int bpf_memview_get_info(struct memview *view, struct memview_info *info) __ksym;
extern int bpf_memview_get_source_info(struct file *file,
				       struct memview_source_info *info) __ksym;
extern int bpf_memview_source_path(struct file *file, char *buf, __u32 buf__sz) __ksym;
extern struct memview *bpf_memview_acquire(__u64 id) __ksym;
extern void bpf_memview_release(struct memview *view) __ksym;
extern int bpf_memview_revoke(struct memview *view, __u64 offset, __u64 size) __ksym;

extern int bpf_iter_memview_new(struct bpf_iter_memview *it) __ksym;
extern struct memview *bpf_iter_memview_next(struct bpf_iter_memview *it) __ksym;
extern void bpf_iter_memview_destroy(struct bpf_iter_memview *it) __ksym;

extern int bpf_iter_memview_range_new(struct bpf_iter_memview_range *it,
				      struct memview *view) __ksym;
extern struct memview_range_info *
bpf_iter_memview_range_next(struct bpf_iter_memview_range *it) __ksym;
extern void bpf_iter_memview_range_destroy(struct bpf_iter_memview_range *it) __ksym;

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;
extern int bpf_copy_from_user_str(void *dst, __u32 dst__sz, const void *unsafe_ptr__ign,
				  __u64 flags) __ksym;

#endif /* MEMVIEW_TEST_BPF_H */
