/* SPDX-License-Identifier: GPL-2.0 */
/*
 * policy_audit_all.h - the record of a request, as policy_audit_all writes it
 * and memviewctl prints it. Included after __u32 and the like are known.
 */
#ifndef MEMVIEW_POLICY_AUDIT_ALL_H
#define MEMVIEW_POLICY_AUDIT_ALL_H

/* The first three as enum memview_policy_op. */
enum audit_op {
	AUDIT_MAP_FD,
	AUDIT_GET_VIEWFD,
	AUDIT_MMAP,
	AUDIT_UNMAP_FD,
	AUDIT_DENIED,
	AUDIT_OPS,
};

#define AUDIT_PATH_LEN 256

/*
 * @time: Nanoseconds of CLOCK_MONOTONIC.
 * @op: Of enum audit_op. It says which of the members after @view_bytes have a
 *	meaning; the others are 0.
 * @view_bytes: What the view showed when the request came.
 * @denied_op, @err: What was refused, and the errno the caller gets.
 * @path_len: Of @path, or a negative errno: it is longer than fits.
 */
struct audit_record {
	__u64 time;
	__u64 view;
	__u32 op;
	__u32 pid;
	__u32 tid;
	__u32 uid;
	char comm[16];
	__u32 owner_pid;
	__u32 owner_uid;
	__u64 view_size;
	__u64 view_bytes;
	__u64 offset;
	__u64 size;
	__u64 fd_offset;
	__u64 ino;
	__u64 file_size;
	__u32 flags;
	__u32 prot;
	__u32 kind;
	__u32 seals;
	__u32 dev;
	__u32 denied_op;
	__s32 err;
	__s32 path_len;
	char path[AUDIT_PATH_LEN];
};

#endif /* MEMVIEW_POLICY_AUDIT_ALL_H */
