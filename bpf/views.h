/* SPDX-License-Identifier: GPL-2.0 */
/*
 * views.h - views and ranges as views.bpf.c hands them to memviewctl.
 * Included after __u32 and the like are known.
 */
#ifndef MEMVIEW_VIEWS_H
#define MEMVIEW_VIEWS_H

/* As struct memview_info of the module. */
struct view_record {
	__u64 id;
	__u64 size;
	__u64 ranges;
	__u64 bytes;
	__u64 mappings;
	__u64 owner_cgroup;
	__u64 faults;
	__u64 fault_errors;
	__u64 changes;
	__u64 zaps;
	__u64 invalidates;
	__u32 owner_pid;
	__u32 owner_uid;
	__u32 flags;
	__u32 reserved;
};

/* As struct memview_range_info and its struct memview_source_info. */
struct range_record {
	__u64 offset;
	__u64 size;
	__u64 fd_offset;
	__u64 ino;
	__u64 file_size;
	__u32 flags;
	__u32 kind;
	__u32 seals;
	__u32 dev;
	__u32 writable;
	__u32 reserved;
};

#endif /* MEMVIEW_VIEWS_H */
