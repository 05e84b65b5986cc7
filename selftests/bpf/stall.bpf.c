// SPDX-License-Identifier: GPL-2.0
/*
 * stall.bpf.c - hold up whoever takes pages of a file from a view, or makes them
 * clean, at the watch that the test names; or who has made one dirty
 */
#include "stall.bpf.h"

/* Set by the test. */
__u64 inode; /* of the file */
__u32 stall_at; /* at the so many-th watch */
bool any_cause; /* not the write-back alone */

/* Read by the test. */
volatile __u32 calls;
volatile __u32 grace_periods; /* that the one who was held up has waited for, since */

static __u32 held_up; /* its thread */

SEC("tp_btf/memview_invalidate")
int BPF_PROG(memview_invalidate, struct memview *view, struct inode *file, unsigned long first,
	     unsigned long last, enum memview_cause cause)
{
	if (!file || file->i_ino != inode || (cause != MEMVIEW_CAUSE_WRITEBACK && !any_cause))
		return 0;
	if (__sync_add_and_fetch(&calls, 1) != stall_at)
		return 0;
	held_up = bpf_get_current_pid_tgid();
	stall();
	return 0;
}

/* If the test loads it. */
SEC("?fentry/synchronize_rcu_tasks")
int BPF_PROG(count_grace_periods)
{
	if (held_up == (__u32)bpf_get_current_pid_tgid())
		grace_periods++;
	return 0;
}

/* Or, if the test loads them: who has made a page dirty, and is to wait if there are too many. */
static void stall_once(struct address_space *mapping)
{
	if (!stalled && mapping->host->i_ino == inode)
		stall();
}

SEC("?fentry/balance_dirty_pages_ratelimited")
int BPF_PROG(balance, struct address_space *mapping)
{
	stall_once(mapping);
	return 0;
}

SEC("?fentry/balance_dirty_pages_ratelimited_flags")
int BPF_PROG(balance_flags, struct address_space *mapping)
{
	stall_once(mapping);
	return 0;
}
