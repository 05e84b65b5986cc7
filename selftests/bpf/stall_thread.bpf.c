// SPDX-License-Identifier: GPL-2.0
/*
 * stall_thread.bpf.c - hold up a thread of the test at a place in its own address
 * space, and count flushes meanwhile: the test loads the program of the place
 */
#include "stall.bpf.h"

/* Set by the test. */
__u32 tid;

/* Read by the test. */
volatile __u32 flushes;

static void stall_thread(void)
{
	if (!stalled && (__u32)bpf_get_current_pid_tgid() == tid)
		stall();
}

/* A fault has found a page table for a page that may be cached. */
SEC("?fentry/memview_map_around")
int BPF_PROG(map_around)
{
	stall_thread();
	return 0;
}

/* A fault has been told that it may write to a page, which is locked. */
SEC("?fexit/memview_source_mkwrite")
int BPF_PROG(may_write)
{
	stall_thread();
	return 0;
}

static bool changing;

/* Set by the test: how many times. */
__u32 skip;

static void stall_change(void)
{
	if (changing && (__u32)bpf_get_current_pid_tgid() == tid && !skip--)
		stall_thread();
}

/* A change of a view's layout begins... */
SEC("?fentry/memview_layout_change")
int BPF_PROG(change_begins)
{
	if ((__u32)bpf_get_current_pid_tgid() == tid)
		changing = true;
	return 0;
}

/* ...wants memory, as older kernels have it for a tree, and newer ones... */
SEC("?fentry/kmem_cache_alloc_noprof")
int BPF_PROG(change_allocates)
{
	stall_change();
	return 0;
}

SEC("?fentry/kmem_cache_prefill_sheaf")
int BPF_PROG(change_prefills)
{
	stall_change();
	return 0;
}

/* ...goes through ranges, and lets others run at each... */
SEC("?fentry/__cond_resched")
int BPF_PROG(change_drops)
{
	stall_change();
	return 0;
}

/* ...and is there, but in the tree. */
SEC("?fentry/memview_layout_finish")
int BPF_PROG(change_finishes)
{
	stall_change();
	return 0;
}

/* get_mempolicy() has given up the lock of the address space, and holds a policy. */
SEC("?fentry/get_user_pages_fast")
int BPF_PROG(look_up_node)
{
	stall_thread();
	return 0;
}

/* munmap() has taken VMAs out of the trees of their files, and has not flushed. */
SEC("?fexit/unlink_file_vma_batch_final")
int BPF_PROG(unlinked)
{
	stall_thread();
	return 0;
}

/* A huge page is about to be flushed, under the lock of its entry. */
SEC("?fentry/flush_tlb_mm_range")
int BPF_PROG(flush)
{
	stall_thread();
	return 0;
}

/* The entry of a huge page has been cleared. With CONFIG_PAGE_TABLE_CHECK. */
SEC("?fentry/__page_table_check_pmd_clear")
int BPF_PROG(cleared)
{
	stall_thread();
	return 0;
}

/* The module flushes an mm by a zap of nothing... */
SEC("?fentry/zap_vma_range")
int BPF_PROG(zap, struct vm_area_struct *vma, unsigned long address, unsigned long size)
{
	if (!size)
		__sync_fetch_and_add(&flushes, 1);
	return 0;
}

extern const void _etext __ksym;

/* ...or has all CPUs flush what they have. Modules are above the kernel; no other does so. */
SEC("?kprobe/on_each_cpu_cond_mask")
int BPF_KPROBE(on_each_cpu, void *condition, void *function)
{
	if (function > &_etext)
		__sync_fetch_and_add(&flushes, 1);
	return 0;
}
