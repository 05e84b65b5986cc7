/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stall.bpf.h - hold up who runs the program, until the test says go on, or for
 * so long
 */
#ifndef MEMVIEW_STALL_BPF_H
#define MEMVIEW_STALL_BPF_H

#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

/* Set by the test. */
volatile __u32 go;
__u64 longest_ns;

/* Read by the test. */
volatile __u32 stalled;
volatile __u32 ended;

static long wait(__u32 n, void *until)
{
	return go || bpf_ktime_get_ns() >= *(__u64 *)until;
}

static void stall(void)
{
	__u64 until = bpf_ktime_get_ns() + longest_ns;
	int i;

	stalled = 1;
	for (i = 0; i < 64 && !go && bpf_ktime_get_ns() < until; i++)
		bpf_loop(1 << 22, wait, &until, 0);
	ended = 1;
}

#endif /* MEMVIEW_STALL_BPF_H */
