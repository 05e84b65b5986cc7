/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What BPF programs see of memview: the policy, and the kfuncs.
 */
#ifndef _MEMVIEW_BPF_H
#define _MEMVIEW_BPF_H

#include <linux/types.h>
#include <uapi/linux/memview.h>

struct file;

/**
 * struct memview - a view, as BPF programs see it
 * @id: Its ID: never used again while the module is loaded.
 * @owner_cgroup: ID of the cgroup (v2) that its owner was in.
 * @owner_pid: Process (tgid) that opened it, in the initial namespace.
 * @owner_uid: Its real user ID, in the initial namespace.
 *
 * Set when the view is made, and constant. Scalars alone: with a pointer to a
 * type of the kernel, pahole may leave one copy of this type per object file in
 * the module's BTF, and the verifier takes a copy for another type.
 */
struct memview {
	u64 id;
	u64 owner_cgroup;
	u32 owner_pid;
	u32 owner_uid;
};

/**
 * define MEMVIEW_POLICY_NAME_LEN - room for the name of a policy, and for the
 * NUL at its end: bytes.
 */
#define MEMVIEW_POLICY_NAME_LEN 16

/**
 * define MEMVIEW_POLICY_MAX - how many policies can be attached at a time
 *
 * Each is asked about each request. A bound of memview's own.
 */
#define MEMVIEW_POLICY_MAX 64

/**
 * enum memview_policy_flags - how a policy is asked
 * @MEMVIEW_POLICY_AUDIT: Its verdicts are recorded (tracepoint
 *	memview_verdict) and not enforced.
 */
enum memview_policy_flags {
	MEMVIEW_POLICY_AUDIT = 1 << 0,
};

/**
 * enum memview_policy_op - what a policy was asked about
 * @MEMVIEW_OP_MAP_FD: MEMVIEW_MAP_FD, or a map of a MEMVIEW_BATCH.
 * @MEMVIEW_OP_GET_VIEWFD: MEMVIEW_GET_VIEWFD.
 * @MEMVIEW_OP_MMAP: A client's mmap() of a view fd.
 */
enum memview_policy_op {
	MEMVIEW_OP_MAP_FD,
	MEMVIEW_OP_GET_VIEWFD,
	MEMVIEW_OP_MMAP,
};

/**
 * struct memview_policy_ops - a policy: BPF programs that may veto requests
 *
 * Attached as a struct_ops (SEC(".struct_ops.link")). Each attached policy is
 * asked, by ascending @priority and in the order in which they were attached;
 * the first refusal is the answer. A verdict is 0 or a negative errno, which
 * the caller gets; anything else counts as -EACCES, and the tracepoint
 * memview_verdict tells.
 *
 * All programs are optional. All but @mmap may sleep, and may call the kfuncs of
 * memview, also on the view in question: no lock of it is held, but by
 * ftruncate() the one that keeps other ftruncate()s out. The request that is
 * asked about is checked again after that.
 *
 * What is allowed is allowed for now. If a policy is attached, replaced or
 * detached before the request is done, or the view revoked by others than the
 * program itself, all policies are asked again; of a batch, about all its maps.
 *
 * It is not loaded, EINVAL, with a flag or a name that is not one, or with an
 * @mmap that may sleep. It is not attached, E2BIG, beside MEMVIEW_POLICY_MAX
 * others, nor, EEXIST, if it is already.
 */
struct memview_policy_ops {
	/**
	 * @map_fd: May a range of a file go into a view? Asked before anything
	 * is changed, in the controller's context. A request that is malformed
	 * is refused without asking. Asked about each map of a MEMVIEW_BATCH,
	 * until one is refused, and then nothing of it is done; the view is
	 * meanwhile as it was before. See @growing of struct memview_info.
	 * @view: The view.
	 * @file: The source, as the controller gave it.
	 * @info: The request.
	 */
	int (*map_fd)(struct memview *view, struct file *file,
		      const struct memview_map_fd_info *info);
	/**
	 * @get_viewfd: May a view fd be made? In the controller's context.
	 */
	int (*get_viewfd)(struct memview *view);
	/**
	 * @mmap: May a client map the view? In the client's context, with its
	 * mmap_lock held for writing: it may not sleep.
	 * @offset: Where in the view the mapping starts, bytes.
	 * @size: Bytes.
	 * @prot: PROT_READ, PROT_WRITE and PROT_EXEC as asked. mprotect() may
	 *	ask for more later; the ranges' flags bound it.
	 */
	int (*mmap)(struct memview *view, u64 offset, u64 size, u32 prot);
	/**
	 * @unmap_fd: A span was taken away: by MEMVIEW_UNMAP_FD, an unmap of a
	 * MEMVIEW_BATCH, a shrinking ftruncate(), bpf_memview_revoke(), or by the
	 * end of a control file with MEMVIEW_REVOKE_ON_CLOSE. Those of a batch
	 * are told of when all of it is done. Cannot be refused. Cannot call
	 * bpf_memview_revoke(), which would tell it again; a bpf_wq can.
	 * @offset: Bytes.
	 * @size: Bytes.
	 */
	void (*unmap_fd)(struct memview *view, u64 offset, u64 size);
	/**
	 * @denied: A policy, this or another, has refused a request. Told of an
	 * mmap() once the client has left the system call's locks behind, before
	 * it returns.
	 * @op: Which, of enum memview_policy_op.
	 * @err: The negative errno that the caller gets.
	 */
	void (*denied)(struct memview *view, u32 op, int err);

	/** @priority: Lower is asked earlier. */
	u32 priority;
	/** @flags: Of enum memview_policy_flags. */
	u32 flags;
	/** @name: Not empty, NUL-terminated: letters and digits of ASCII, '_.-'. */
	char name[MEMVIEW_POLICY_NAME_LEN];
};

/**
 * struct memview_info - what there is to know about a view
 * @id: Its ID: never used again while the module is loaded.
 * @size: Bytes.
 * @ranges: Number of ranges.
 * @bytes: Bytes of the view that have a range.
 * @mappings: Clients' VMAs.
 * @owner_pid: Process (tgid) that opened it, in the initial namespace.
 * @owner_uid: Its user ID, in the initial namespace.
 * @owner_cgroup: ID of the cgroup (v2) that it was in.
 * @faults: Clients' faults resolved.
 * @fault_errors: Faults answered by a signal or for want of memory.
 * @changes: Map, unmap, resize and revoke requests done; a batch is one.
 * @zaps: Spans taken out of the clients' page tables, or that nobody had touched.
 * @invalidates: Notifications from sources.
 * @growing: Bytes that are still to be added to @bytes: that requests in flight
 *	give a range to, where none is. A map counts from before the policies are
 *	asked about it, so to @map_fd that one, too. Unmaps of a batch are not
 *	taken off, and pages that two maps ask for count twice. For a moment a
 *	map that is done may be in both.
 * @flags: Of enum memview_flags.
 * @reserved: Zero.
 */
struct memview_info {
	u64 id;
	u64 size;
	u64 ranges;
	u64 bytes;
	u64 mappings;
	u32 owner_pid;
	u32 owner_uid;
	u64 owner_cgroup;
	u64 faults;
	u64 fault_errors;
	u64 changes;
	u64 zaps;
	u64 invalidates;
	u64 growing;
	u32 flags;
	u32 reserved;
};

/**
 * enum memview_source_kind - what a source is
 * @MEMVIEW_SOURCE_FILE: A file of a file system with a backing store.
 * @MEMVIEW_SOURCE_MEMFD: A memfd: on the kernel's own tmpfs, by nobody's path.
 * @MEMVIEW_SOURCE_TMPFS: A file on a mounted tmpfs.
 * @MEMVIEW_SOURCE_NONE: There is none: of a fault that met no range, or one that
 *	forbids the access.
 */
enum memview_source_kind {
	MEMVIEW_SOURCE_FILE,
	MEMVIEW_SOURCE_MEMFD,
	MEMVIEW_SOURCE_TMPFS,
	MEMVIEW_SOURCE_NONE,
};

/**
 * struct memview_source_info - what there is to know about a source
 * @kind: Of enum memview_source_kind.
 * @seals: F_SEAL_*, of a memfd; 0 otherwise.
 * @dev: Device number of its file system, as the kernel has it (12 bits
 *	major, 20 bits minor).
 * @writable: The file is open for writing.
 * @ino: Inode number.
 * @size: Bytes.
 */
struct memview_source_info {
	u32 kind;
	u32 seals;
	u32 dev;
	u32 writable;
	u64 ino;
	u64 size;
};

/**
 * struct memview_range_source - as struct memview_source_info, of a range
 * @kind: Of enum memview_source_kind.
 * @seals: F_SEAL_*, of a memfd; 0 otherwise.
 * @dev: Device number of its file system, as the kernel has it.
 * @writable: The file is open for writing.
 * @ino: Inode number.
 * @size: Bytes.
 *
 * Not of that type: the iterator gives a program what lies on its own stack,
 * and the verifier does not know. So it must be nothing that a kfunc fills in.
 */
struct memview_range_source {
	u32 kind;
	u32 seals;
	u32 dev;
	u32 writable;
	u64 ino;
	u64 size;
};

/**
 * struct memview_range_info - a range, as the iterator gives it
 * @offset: In the view, bytes.
 * @size: Bytes.
 * @fd_offset: In the source, bytes.
 * @flags: Of enum memview_map_flags.
 * @reserved: 0.
 * @source: Where its pages come from.
 */
struct memview_range_info {
	u64 offset;
	u64 size;
	u64 fd_offset;
	u32 flags;
	u32 reserved;
	struct memview_range_source source;
};

/* Iterators, as BPF programs see them: on their stack, opaque. */
struct bpf_iter_memview {
	u64 __opaque[2];
} __aligned(8);

struct bpf_iter_memview_range {
	u64 __opaque[10];
} __aligned(8);

/* The kfuncs; see kfuncs.c. */
int bpf_memview_get_info(struct memview *memview, struct memview_info *info);
int bpf_memview_get_source_info(struct file *file,
				struct memview_source_info *info);
int bpf_memview_source_path(struct file *file, char *buf, u32 buf__sz);
struct memview *bpf_memview_acquire(u64 id);
void bpf_memview_release(struct memview *view);
int bpf_memview_revoke(struct memview *view, u64 offset, u64 size);
int bpf_iter_memview_new(struct bpf_iter_memview *it);
struct memview *bpf_iter_memview_next(struct bpf_iter_memview *it);
void bpf_iter_memview_destroy(struct bpf_iter_memview *it);
int bpf_iter_memview_range_new(struct bpf_iter_memview_range *it,
			       struct memview *view);
struct memview_range_info *
bpf_iter_memview_range_next(struct bpf_iter_memview_range *it);
void bpf_iter_memview_range_destroy(struct bpf_iter_memview_range *it);

#endif /* _MEMVIEW_BPF_H */
