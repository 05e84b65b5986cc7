/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: the only source of events. Offsets and sizes are in bytes of
 * the view unless a field says otherwise, times in nanoseconds.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM memview

#if !defined(_MEMVIEW_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MEMVIEW_TRACE_H

#include <linux/mman.h>
#include <linux/tracepoint.h>
#include <trace/events/mmflags.h>

#include "memview.h"

#ifndef MEMVIEW_TRACE_ONCE
#define MEMVIEW_TRACE_ONCE
static inline u64 memview_trace_bytes(pgoff_t pages)
{
	return (u64)pages << PAGE_SHIFT;
}

/* VM_FAULT_* as plain numbers: TRACE_DEFINE_ENUM() cannot take a __bitwise type. */
enum {
	MEMVIEW_FAULT_OOM = (__force unsigned int)VM_FAULT_OOM,
	MEMVIEW_FAULT_SIGBUS = (__force unsigned int)VM_FAULT_SIGBUS,
	MEMVIEW_FAULT_SIGSEGV = (__force unsigned int)VM_FAULT_SIGSEGV,
	MEMVIEW_FAULT_HWPOISON = (__force unsigned int)VM_FAULT_HWPOISON,
	MEMVIEW_FAULT_MAJOR = (__force unsigned int)VM_FAULT_MAJOR,
	MEMVIEW_FAULT_NOPAGE = (__force unsigned int)VM_FAULT_NOPAGE,
	MEMVIEW_FAULT_LOCKED = (__force unsigned int)VM_FAULT_LOCKED,
};
#endif

TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_MAP);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_UNMAP);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_RESIZE);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_REVOKE);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_UNMAP_FILE);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_RECLAIM);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_WRITEBACK);
TRACE_DEFINE_ENUM(MEMVIEW_CAUSE_BATCH);

#define show_memview_cause(cause)					\
	__print_symbolic(cause,						\
		{ MEMVIEW_CAUSE_MAP,		"map" },		\
		{ MEMVIEW_CAUSE_UNMAP,		"unmap" },		\
		{ MEMVIEW_CAUSE_RESIZE,		"resize" },		\
		{ MEMVIEW_CAUSE_REVOKE,		"revoke" },		\
		{ MEMVIEW_CAUSE_UNMAP_FILE,	"unmap_file" },		\
		{ MEMVIEW_CAUSE_RECLAIM,	"reclaim" },		\
		{ MEMVIEW_CAUSE_WRITEBACK,	"writeback" },		\
		{ MEMVIEW_CAUSE_BATCH,		"batch" })

TRACE_DEFINE_ENUM(FAULT_FLAG_WRITE);
TRACE_DEFINE_ENUM(FAULT_FLAG_MKWRITE);
TRACE_DEFINE_ENUM(FAULT_FLAG_INSTRUCTION);

#define show_memview_access(flags)					\
	__print_symbolic((flags) & (FAULT_FLAG_WRITE | FAULT_FLAG_MKWRITE | \
				    FAULT_FLAG_INSTRUCTION),		\
		{ 0,					"read" },	\
		{ FAULT_FLAG_WRITE,			"write" },	\
		{ FAULT_FLAG_WRITE | FAULT_FLAG_MKWRITE, "upgrade" },	\
		{ FAULT_FLAG_INSTRUCTION,		"exec" })

TRACE_DEFINE_ENUM(MEMVIEW_FAULT_OOM);
TRACE_DEFINE_ENUM(MEMVIEW_FAULT_SIGBUS);
TRACE_DEFINE_ENUM(MEMVIEW_FAULT_SIGSEGV);
TRACE_DEFINE_ENUM(MEMVIEW_FAULT_HWPOISON);
TRACE_DEFINE_ENUM(MEMVIEW_FAULT_MAJOR);
TRACE_DEFINE_ENUM(MEMVIEW_FAULT_NOPAGE);
TRACE_DEFINE_ENUM(MEMVIEW_FAULT_LOCKED);

#define show_memview_result(result)					\
	__print_flags(result, "|",					\
		{ MEMVIEW_FAULT_OOM,		"OOM" },		\
		{ MEMVIEW_FAULT_SIGBUS,		"SIGBUS" },		\
		{ MEMVIEW_FAULT_SIGSEGV,	"SIGSEGV" },		\
		{ MEMVIEW_FAULT_HWPOISON,	"HWPOISON" },		\
		{ MEMVIEW_FAULT_MAJOR,		"MAJOR" },		\
		{ MEMVIEW_FAULT_NOPAGE,		"NOPAGE" },		\
		{ MEMVIEW_FAULT_LOCKED,		"LOCKED" })

TRACE_DEFINE_ENUM(MEMVIEW_SOURCE_FILE);
TRACE_DEFINE_ENUM(MEMVIEW_SOURCE_MEMFD);
TRACE_DEFINE_ENUM(MEMVIEW_SOURCE_TMPFS);
TRACE_DEFINE_ENUM(MEMVIEW_SOURCE_NONE);

#define show_memview_kind(kind)						\
	__print_symbolic(kind,						\
		{ MEMVIEW_SOURCE_FILE,		"file" },		\
		{ MEMVIEW_SOURCE_MEMFD,		"memfd" },		\
		{ MEMVIEW_SOURCE_TMPFS,		"tmpfs" },		\
		{ MEMVIEW_SOURCE_NONE,		"none" })

TRACE_DEFINE_ENUM(MEMVIEW_MAP_READ);
TRACE_DEFINE_ENUM(MEMVIEW_MAP_WRITE);
TRACE_DEFINE_ENUM(MEMVIEW_MAP_EXEC);

#define show_memview_map_flags(flags)					\
	__print_flags(flags, "|",					\
		{ MEMVIEW_MAP_READ,		"READ" },		\
		{ MEMVIEW_MAP_WRITE,		"WRITE" },		\
		{ MEMVIEW_MAP_EXEC,		"EXEC" })

TRACE_DEFINE_ENUM(MEMVIEW_REVOKE_ON_CLOSE);

#define show_memview_flags(flags)					\
	__print_flags(flags, "|",					\
		{ MEMVIEW_REVOKE_ON_CLOSE,	"REVOKE_ON_CLOSE" })

TRACE_DEFINE_ENUM(MEMVIEW_OP_MAP_FD);
TRACE_DEFINE_ENUM(MEMVIEW_OP_GET_VIEWFD);
TRACE_DEFINE_ENUM(MEMVIEW_OP_MMAP);

#define show_memview_op(op)						\
	__print_symbolic(op,						\
		{ MEMVIEW_OP_MAP_FD,		"map_fd" },		\
		{ MEMVIEW_OP_GET_VIEWFD,	"get_viewfd" },		\
		{ MEMVIEW_OP_MMAP,		"mmap" })

DECLARE_EVENT_CLASS(memview_life,
	TP_PROTO(struct memview *view),
	TP_ARGS(view),
	TP_STRUCT__entry(
		__field(u64, id)
	),
	TP_fast_assign(
		__entry->id = view->id;
	),
	TP_printk("view=%llu", __entry->id)
);

/* A view was made by opening the device. */
DEFINE_EVENT(memview_life, memview_create,
	TP_PROTO(struct memview *view),
	TP_ARGS(view)
);

/* The last file and mapping of a view are gone. */
DEFINE_EVENT(memview_life, memview_destroy,
	TP_PROTO(struct memview *view),
	TP_ARGS(view)
);

/* ftruncate() of a control fd is done, or has failed. */
TRACE_EVENT(memview_resize,
	TP_PROTO(struct memview *view, loff_t old_size, loff_t size, int err),
	TP_ARGS(view, old_size, size, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(loff_t, old_size)
		__field(loff_t, size)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->old_size = old_size;
		__entry->size = size;
		__entry->err = err;
	),
	TP_printk("view=%llu old_size=%lld size=%lld err=%d", __entry->id,
		  __entry->old_size, __entry->size, __entry->err)
);

/* MEMVIEW_MAP_FD, or a map of a batch, is done, or has failed. */
TRACE_EVENT(memview_map,
	TP_PROTO(struct memview *view, struct file *file,
		 const struct memview_map_fd_info *info, int err),
	TP_ARGS(view, file, info, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, fd_offset)
		__field(u64, offset)
		__field(u64, size)
		__field(u32, flags)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->dev = file_inode(file)->i_sb->s_dev;
		__entry->ino = file_inode(file)->i_ino;
		__entry->fd_offset = info->fd_offset;
		__entry->offset = info->mem_offset;
		__entry->size = info->size;
		__entry->flags = info->flags;
		__entry->err = err;
	),
	TP_printk("view=%llu offset=%#llx size=%#llx dev=%d:%d ino=%llu fd_offset=%#llx flags=%s err=%d",
		  __entry->id, __entry->offset, __entry->size,
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->ino,
		  __entry->fd_offset, show_memview_map_flags(__entry->flags),
		  __entry->err)
);

/* MEMVIEW_UNMAP_FD, or an unmap of a batch, is done, or has failed. */
TRACE_EVENT(memview_unmap,
	TP_PROTO(struct memview *view,
		 const struct memview_unmap_fd_info *info, int err),
	TP_ARGS(view, info, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u64, size)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->offset = info->mem_offset;
		__entry->size = info->size;
		__entry->err = err;
	),
	TP_printk("view=%llu offset=%#llx size=%#llx err=%d", __entry->id,
		  __entry->offset, __entry->size, __entry->err)
);

/*
 * MEMVIEW_BATCH is done, or has failed. If it is done each of its entries is
 * told of by an event of its own, after this one; if it failed for one of them,
 * that one. @failed is its index, or @nr_ops.
 */
TRACE_EVENT(memview_batch,
	TP_PROTO(struct memview *view, u32 nr_ops, u32 failed, int err),
	TP_ARGS(view, nr_ops, failed, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, nr_ops)
		__field(u32, failed)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->nr_ops = nr_ops;
		__entry->failed = failed;
		__entry->err = err;
	),
	TP_printk("view=%llu nr_ops=%u failed=%u err=%d", __entry->id,
		  __entry->nr_ops, __entry->failed, __entry->err)
);

/* MEMVIEW_SET_FLAGS is done, or has failed. @flags is what was asked for. */
TRACE_EVENT(memview_set_flags,
	TP_PROTO(struct memview *view, u32 old_flags, u32 flags, int err),
	TP_ARGS(view, old_flags, flags, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u32, old_flags)
		__field(u32, flags)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->old_flags = old_flags;
		__entry->flags = flags;
		__entry->err = err;
	),
	TP_printk("view=%llu old_flags=%s flags=%s err=%d", __entry->id,
		  show_memview_flags(__entry->old_flags),
		  show_memview_flags(__entry->flags), __entry->err)
);

/* MEMVIEW_GET_VIEWFD: the file descriptor, or a negative errno. */
TRACE_EVENT(memview_get_viewfd,
	TP_PROTO(struct memview *view, int fd),
	TP_ARGS(view, fd),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(int, fd)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->fd = fd;
	),
	TP_printk("view=%llu fd=%d", __entry->id, __entry->fd)
);

/*
 * A client maps a view. Addresses are the client's. VM_READ, VM_WRITE and VM_EXEC
 * have the values of PROT_*, which are numbers on every kernel.
 */
TRACE_EVENT(memview_mmap,
	TP_PROTO(struct memview *view, struct vm_area_struct *vma),
	TP_ARGS(view, vma),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(unsigned long, addr)
		__field(u64, offset)
		__field(u64, size)
		__field(unsigned long, vm_flags)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->addr = vma->vm_start;
		__entry->offset = memview_trace_bytes(vma->vm_pgoff);
		__entry->size = vma->vm_end - vma->vm_start;
		__entry->vm_flags = vma->vm_flags;
	),
	TP_printk("view=%llu addr=%#lx offset=%#llx size=%#llx prot=%c%c%c",
		  __entry->id, __entry->addr, __entry->offset, __entry->size,
		  __entry->vm_flags & PROT_READ ? 'r' : '-',
		  __entry->vm_flags & PROT_WRITE ? 'w' : '-',
		  __entry->vm_flags & PROT_EXEC ? 'x' : '-')
);

/*
 * A client's fault has been answered. @kind is that of the source, of enum
 * memview_source_kind. @latency is the time it took; it is measured only while
 * this event is enabled, and 0 for a fault that began before.
 */
TRACE_EVENT(memview_fault,
	TP_PROTO(struct memview *view, pgoff_t pgoff, unsigned long addr,
		 unsigned int flags, unsigned int result, unsigned int kind,
		 u64 latency),
	TP_ARGS(view, pgoff, addr, flags, result, kind, latency),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(unsigned long, addr)
		__field(unsigned int, flags)
		__field(unsigned int, result)
		__field(unsigned int, kind)
		__field(u64, latency)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->offset = memview_trace_bytes(pgoff);
		__entry->addr = addr;
		__entry->flags = flags;
		__entry->result = result;
		__entry->kind = kind;
		__entry->latency = latency;
	),
	TP_printk("view=%llu offset=%#llx addr=%#lx access=%s result=%s source=%s latency=%llu",
		  __entry->id, __entry->offset, __entry->addr,
		  show_memview_access(__entry->flags),
		  show_memview_result(__entry->result),
		  show_memview_kind(__entry->kind), __entry->latency)
);

/*
 * Pages were taken from all clients' page tables, or nobody had touched them; @time
 * is what it took.
 */
TRACE_EVENT(memview_zap,
	TP_PROTO(struct memview *view, pgoff_t first, pgoff_t last,
		 enum memview_cause cause, u64 time),
	TP_ARGS(view, first, last, cause, time),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u64, pages)
		__field(unsigned int, cause)
		__field(u64, time)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->offset = memview_trace_bytes(first);
		__entry->pages = last - first + 1;
		__entry->cause = cause;
		__entry->time = time;
	),
	TP_printk("view=%llu offset=%#llx pages=%llu cause=%s time=%llu",
		  __entry->id, __entry->offset, __entry->pages,
		  show_memview_cause(__entry->cause), __entry->time)
);

/*
 * A span was taken away by bpf_memview_revoke(), or all that there was because
 * the control file is gone.
 */
TRACE_EVENT(memview_revoke,
	TP_PROTO(struct memview *view, u64 offset, u64 size, int err),
	TP_ARGS(view, offset, size, err),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(u64, offset)
		__field(u64, size)
		__field(int, err)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->offset = offset;
		__entry->size = size;
		__entry->err = err;
	),
	TP_printk("view=%llu offset=%#llx size=%#llx err=%d", __entry->id,
		  __entry->offset, __entry->size, __entry->err)
);

/*
 * A policy was asked. @answer is what its program returned, @verdict what that
 * means: 0 or a negative errno. It is enforced unless the policy only audits.
 */
TRACE_EVENT(memview_verdict,
	TP_PROTO(struct memview *view, const char *policy,
		 enum memview_policy_op op, int answer, int verdict,
		 bool enforced),
	TP_ARGS(view, policy, op, answer, verdict, enforced),
	TP_STRUCT__entry(
		__field(u64, id)
		__string(policy, policy)
		__field(unsigned int, op)
		__field(int, answer)
		__field(int, verdict)
		__field(bool, enforced)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__assign_str(policy);
		__entry->op = op;
		__entry->answer = answer;
		__entry->verdict = verdict;
		__entry->enforced = enforced;
	),
	TP_printk("view=%llu policy=%s op=%s answer=%d verdict=%d enforced=%d",
		  __entry->id, __get_str(policy), show_memview_op(__entry->op),
		  __entry->answer, __entry->verdict, __entry->enforced)
);

/* A source's pages [first, last], of the file, are to be unmapped. */
TRACE_EVENT(memview_invalidate,
	TP_PROTO(struct memview *view, struct inode *inode, pgoff_t first,
		 pgoff_t last, enum memview_cause cause),
	TP_ARGS(view, inode, first, last, cause),
	TP_STRUCT__entry(
		__field(u64, id)
		__field(dev_t, dev)
		__field(u64, ino)
		__field(u64, fd_offset)
		__field(u64, pages)
		__field(unsigned int, cause)
	),
	TP_fast_assign(
		__entry->id = view->id;
		__entry->dev = inode->i_sb->s_dev;
		__entry->ino = inode->i_ino;
		__entry->fd_offset = memview_trace_bytes(first);
		__entry->pages = last - first + 1;
		__entry->cause = cause;
	),
	TP_printk("view=%llu dev=%d:%d ino=%llu fd_offset=%#llx pages=%llu cause=%s",
		  __entry->id, MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->ino, __entry->fd_offset, __entry->pages,
		  show_memview_cause(__entry->cause))
);

#endif /* _MEMVIEW_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
