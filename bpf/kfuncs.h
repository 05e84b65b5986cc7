/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kfuncs.h - what every BPF program here starts from: the kernel's types, the
 * module's functions, and the constants that BTF does not carry
 */
#ifndef MEMVIEW_KFUNCS_H
#define MEMVIEW_KFUNCS_H

/* bpftool's would name types as this module's BTF happens to number them. */
#define BPF_NO_KFUNC_PROTOTYPES
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define ENOENT 2
#define EACCES 13
#define EDQUOT 122

#define PROT_EXEC 4

#define F_SEAL_SHRINK 2

/* Of enum memview_map_flags: in BTF only if the module's code names it. */
#define MAP_FLAG_EXEC 4

extern int bpf_memview_get_info(struct memview *view,
				struct memview_info *info) __ksym;
extern int bpf_memview_get_source_info(struct file *file,
				       struct memview_source_info *info) __ksym;
extern int bpf_memview_source_path(struct file *file, char *buf,
				   __u32 buf__sz) __ksym;
extern struct memview *bpf_memview_acquire(__u64 id) __ksym;
extern void bpf_memview_release(struct memview *view) __ksym;
extern int bpf_memview_revoke(struct memview *view, __u64 offset,
			      __u64 size) __ksym;

extern void bpf_rcu_read_lock(void) __ksym;
extern void bpf_rcu_read_unlock(void) __ksym;

/* Views, in an RCU read section. */
extern int bpf_iter_memview_new(struct bpf_iter_memview *it) __ksym;
extern struct memview *
bpf_iter_memview_next(struct bpf_iter_memview *it) __ksym;
extern void bpf_iter_memview_destroy(struct bpf_iter_memview *it) __ksym;

extern int bpf_iter_memview_range_new(struct bpf_iter_memview_range *it,
				      struct memview *view) __ksym;
extern struct memview_range_info *
bpf_iter_memview_range_next(struct bpf_iter_memview_range *it) __ksym;
extern void
bpf_iter_memview_range_destroy(struct bpf_iter_memview_range *it) __ksym;

#endif /* MEMVIEW_KFUNCS_H */
