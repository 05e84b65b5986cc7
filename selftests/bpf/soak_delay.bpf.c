// SPDX-License-Identifier: GPL-2.0
/*
 * soak_delay.bpf.c - hold up some of the calls that lie in the middle of what
 * must be one step: between the look at the layout and the PTE, between the
 * store and the zap, between the look at a range and the page's lock
 *
 * A race that takes a few instructions to hit takes a millisecond then.
 */
#include "test.bpf.h"

char _license[] SEC("license") = "GPL";

__u32 loops = 1 << 14;
__u64 delayed;

static int nothing(__u32 i, void *data)
{
	return 0;
}

/* One call in @rate. */
static __always_inline int delay(__u32 rate)
{
	if (bpf_get_prandom_u32() % rate)
		return 0;
	bpf_loop(bpf_get_prandom_u32() % loops, nothing, NULL, 0);
	__sync_fetch_and_add(&delayed, 1);
	return 0;
}

SEC("fentry/vm_insert_page")
int BPF_PROG(insert_page)
{
	return delay(2); /* of pages that were not in the cache: few */
}

SEC("fentry/unmap_mapping_pages")
int BPF_PROG(unmap_pages)
{
	return delay(8);
}

SEC("fentry/file_update_time")
int BPF_PROG(update_time)
{
	return delay(8);
}

SEC("fentry/filemap_map_pages")
int BPF_PROG(map_pages)
{
	return delay(8);
}
