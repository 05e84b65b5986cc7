// SPDX-License-Identifier: GPL-2.0
/*
 * hist.bpf.c - how long faults and zaps take, as histograms by view
 */
#include "kfuncs.h"

#include "events.h"
#include "fault.h"

char _license[] SEC("license") = "GPL";

/* 0 for any. */
const volatile __u64 filter_view;

/* Of what found no room in the map. */
__u64 lost;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct hist_key);
	__type(value, struct hist);
} hists SEC(".maps");

static const struct hist zero;

static __always_inline struct hist *find(const struct hist_key *key)
{
	struct hist *hist = bpf_map_lookup_elem(&hists, key);

	if (hist)
		return hist;
	/* Another CPU may be first: then it is there. */
	bpf_map_update_elem(&hists, key, &zero, BPF_NOEXIST);
	return bpf_map_lookup_elem(&hists, key);
}

static __always_inline __u32 slot_of(__u64 time)
{
	__u32 slot = 0, step;

	for (step = 32; step; step /= 2) {
		if (time >> step) {
			time >>= step;
			slot += step;
		}
	}
	return slot < HIST_SLOTS ? slot : HIST_SLOTS - 1;
}

static __always_inline void count(const struct memview *view,
				  enum event_type type, __u32 detail,
				  __u64 time, bool error)
{
	struct hist_key key = { .type = type, .detail = detail };
	struct hist *hist;
	__u32 slot = slot_of(time);

	if (!view || (filter_view && view->id != filter_view))
		return;
	key.view = view->id;
	hist = find(&key);
	if (!hist || slot >= HIST_SLOTS) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	__sync_fetch_and_add(&hist->slots[slot], 1);
	__sync_fetch_and_add(&hist->sum, time);
	if (error)
		__sync_fetch_and_add(&hist->errors, 1);
	/* Two at once: the larger may be missed, the count never. */
	if (time > hist->max)
		hist->max = time;
}

SEC("tp_btf/memview_fault")
int BPF_PROG(on_fault, struct memview *view, unsigned long pgoff,
	     unsigned long addr, unsigned int flags, unsigned int result,
	     unsigned int kind, __u64 latency)
{
	count(view, EVENT_FAULT, access_of(flags), latency,
	      result_of(result) != RESULT_OK);
	return 0;
}

SEC("tp_btf/memview_zap")
int BPF_PROG(on_zap, struct memview *view, unsigned long first,
	     unsigned long last, enum memview_cause cause, __u64 time)
{
	count(view, EVENT_ZAP, cause, time, false);
	return 0;
}
