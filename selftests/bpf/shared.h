/* SPDX-License-Identifier: GPL-2.0 */
/*
 * shared.h - what the BPF programs of the selftests and the selftests have in
 * common. Included after the types __u32 and the like are known.
 */
#ifndef MEMVIEW_TEST_SHARED_H
#define MEMVIEW_TEST_SHARED_H

/* Which program of a policy was called; the first three as memview_policy_op. */
enum policy_call_kind {
	CALL_MAP_FD,
	CALL_GET_VIEWFD,
	CALL_MMAP,
	CALL_UNMAP_FD,
	CALL_DENIED,
	CALL_KINDS,
};

#define POLICY_OPS	3
#define CALLS_MAX	64

/*
 * @arg: of map_fd the flags, fd_offset, size, mem_offset and inode number; of
 * mmap offset, size and prot; of unmap_fd offset and size; of denied op and
 * err.
 */
struct policy_call {
	__u32 kind;
	__u32 reserved;
	__u64 view;
	__s64 arg[5];
};

struct verdict {
	__u64 view;
	__u32 op;
	__s32 answer;
	__s32 verdict;
	__u32 enforced;
	char policy[16];
};

#endif /* MEMVIEW_TEST_SHARED_H */
