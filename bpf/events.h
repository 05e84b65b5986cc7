/* SPDX-License-Identifier: GPL-2.0 */
/*
 * events.h - what events.bpf.c and hist.bpf.c hand to memviewctl. Included
 * after __u32 and the like are known.
 */
#ifndef MEMVIEW_EVENTS_H
#define MEMVIEW_EVENTS_H

/* One for each tracepoint of the module, in the order of trace.h. */
enum event_type {
	EVENT_CREATE,
	EVENT_DESTROY,
	EVENT_RESIZE,
	EVENT_MAP,
	EVENT_UNMAP,
	EVENT_BATCH,
	EVENT_SET_FLAGS,
	EVENT_GET_VIEWFD,
	EVENT_MMAP,
	EVENT_FAULT,
	EVENT_ZAP,
	EVENT_REVOKE,
	EVENT_VERDICT,
	EVENT_INVALIDATE,
	EVENT_TYPES,
};

/* What a client did to cause a fault. An upgrade makes a read-only PTE writable. */
enum event_access {
	ACCESS_READ,
	ACCESS_WRITE,
	ACCESS_UPGRADE,
	ACCESS_EXEC,
	ACCESSES,
};

/* How a fault ended. */
enum event_result {
	RESULT_OK,
	RESULT_SIGBUS,
	RESULT_SIGSEGV,
	RESULT_OOM,
	RESULT_HWPOISON,
	RESULTS,
};

/* As enum memview_cause of the module. */
enum event_cause {
	CAUSE_MAP,
	CAUSE_UNMAP,
	CAUSE_RESIZE,
	CAUSE_REVOKE,
	CAUSE_UNMAP_FILE,
	CAUSE_RECLAIM,
	CAUSE_WRITEBACK,
	CAUSE_BATCH,
	CAUSES,
};

/*
 * The type says which members have a meaning; the others are 0. Sizes and
 * offsets in bytes, times in nanoseconds (@time of CLOCK_MONOTONIC).
 */
struct event {
	__u64 time;
	__u64 view;
	__u32 type;
	__u32 pid;
	__u32 tid;
	__u32 kind;
	char comm[16];
	__u64 offset;
	__u64 size;
	__u64 old_size;
	__u64 fd_offset;
	__u64 ino;
	__u64 addr;
	__u64 took;
	__u32 dev;
	__u32 flags;
	__u32 old_flags;
	__u32 access;
	__u32 result;
	__u32 cause;
	__u32 op;
	__s32 err;
	__s32 fd;
	__s32 answer;
	__u32 enforced;
	__u32 nr_ops;
	__u32 failed;
	char policy[16];
};

#define HIST_SLOTS 40

/* @detail: of enum event_access or enum event_cause. */
struct hist_key {
	__u64 view;
	__u32 type;
	__u32 detail;
};

/*
 * Slot n counts times of [2^n, 2^(n+1)) nanoseconds, the first one 0, too, the
 * last one all that is longer.
 */
struct hist {
	__u64 slots[HIST_SLOTS];
	__u64 sum;
	__u64 max;
	__u64 errors;
};

#endif /* MEMVIEW_EVENTS_H */
