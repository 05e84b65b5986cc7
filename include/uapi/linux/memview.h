/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * memview: lend memory to another process, and take it back.
 */
#ifndef _UAPI_LINUX_MEMVIEW_H
#define _UAPI_LINUX_MEMVIEW_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: The memory view ABI
 *
 * open("/dev/memory-view", O_RDWR) makes a new, empty view and returns its
 * *control fd*. ftruncate() on it sets the virtual size of the view in bytes;
 * fstat() and lseek(SEEK_END) tell it. Growing costs nothing; shrinking unmaps
 * what falls outside, rounded up to a page.
 *
 * The ioctls below are answered by the control fd only. A *view fd*, from
 * MEMVIEW_GET_VIEWFD, can be passed to another process, which can mmap() it
 * with MAP_SHARED and close it, and can neither read nor change anything by it.
 * fsync() of it, and msync() of a mapping, write back what the view shows;
 * posix_fadvise() and madvise() with WILLNEED read it ahead.
 *
 * When the last reference to the control fd goes, no request can change the view
 * any more, and it stays as it is for as long as a client has it. With
 * MEMVIEW_REVOKE_ON_CLOSE it is emptied then.
 *
 * Structures may grow at their end. The kernel takes the size of the caller's
 * structure from the ioctl number, and that of the entries of an array from a
 * field beside it: fields that the caller does not know are taken as zero,
 * fields that the kernel does not know must be zero (E2BIG).
 *
 * All offsets and sizes are in bytes and must be multiples of the page size.
 *
 * Every errno has one meaning:
 *
 * ===========  ===============================================================
 * EINVAL       An argument is unaligned, zero, overflows, reaches beyond the
 *              size of the view or beyond MEMVIEW_MAX_FILE_OFFSET, has an
 *              unknown flag, lacks MEMVIEW_MAP_READ; a reserved field is not
 *              zero; a structure is smaller than its first form; or a batch
 *              has an unknown operation, an fd where none belongs, or more
 *              than MEMVIEW_BATCH_MAX entries.
 * E2BIG        The structure is larger than the kernel knows, and what it does
 *              not know is not zero; or an entry of a batch is larger than a
 *              page.
 * EFAULT       The structure, or an entry of a batch, cannot be read; or what
 *              a batch answers cannot be written.
 * EBADF        The source fd is not open, or is an O_PATH fd.
 * EACCES       The source fd is not open for reading, or not for writing and
 *              MEMVIEW_MAP_WRITE is asked; or it is append-only.
 * EPERM        A seal of the source forbids MEMVIEW_MAP_WRITE, or its mount is
 *              noexec and MEMVIEW_MAP_EXEC is asked.
 * ETXTBSY      The source is a swap file and MEMVIEW_MAP_WRITE is asked.
 * ENOSPC       The view would have more ranges than the module's parameter
 *              max_ranges allows. An unmap that splits a range counts, too.
 *              Of a batch, it is the result that counts.
 * EOPNOTSUPP   The source cannot be mapped page by page: a device, pipe,
 *              socket, directory, hugetlbfs, secretmem, a DAX file, another
 *              view, or a file system without a page cache.
 * ENOMEM       Out of memory, or of the caller's memory cgroup's.
 * EINTR        A fatal signal arrived first.
 * EBUSY        While the policies were asked, and asked again, others were
 *              attached, or the view was revoked, time after time.
 * ENOTTY       Not an ioctl of memview, or the fd is a view fd.
 * EMFILE,      (MEMVIEW_GET_VIEWFD) no room for another file descriptor.
 * ENFILE
 * any          A policy refuses, or who fills the source before it is read
 *              (fanotify): the errno is theirs, EACCES or EPERM as a rule.
 * ===========  ===============================================================
 *
 * A request that fails has changed nothing.
 *
 * A file is let go of as after munmap(): when the request that took its last range
 * away has returned, and its fds are closed, the file is closed, with its locks and
 * its right to write. A file whose closing may wait for a server (FUSE, NFS, CIFS)
 * is closed by the kernel meanwhile. The request waits for that when the change is
 * in effect, no longer than the module's parameter close_timeout (milliseconds, 1000
 * unless set), and not for a server that has been silent for so long already; a
 * fatal signal ends the wait. So do ftruncate() and the close() that ends a view, or
 * empties it (MEMVIEW_REVOKE_ON_CLOSE), once for each silent server; a killed task
 * does not wait at its end. A fault that waits for a page of the file, or a client
 * that has it written back or read ahead, keeps it open until that ends, as with an
 * mmap().
 *
 * Other system calls: open() of the device fails with EINVAL unless for reading
 * and writing; of a control fd or a view fd by /proc with ENXIO. ftruncate() of a
 * view fd: EPERM.
 * mmap() of it without MAP_SHARED: EINVAL; of a control fd: ENODEV.
 * fsync() of a view fd, and msync(): the errno of a file that is shown, an
 * error of writeback (EIO, ENOSPC) once for each view fd; of a control fd:
 * EINVAL. mremap() of a mapping to a larger size: EFAULT.
 */

/**
 * define MEMVIEW_IOC_MAGIC - the type of memview's ioctl numbers
 *
 * 0x00 to 0x04 of it are taken.
 */
#define MEMVIEW_IOC_MAGIC 0xBB

/**
 * define MEMVIEW_MAX_FILE_OFFSET - where a range must end in its source, at
 * the latest: 64 TiB.
 */
#define MEMVIEW_MAX_FILE_OFFSET (1ULL << 46)

/**
 * enum memview_map_flags - what a client may do with the pages of a range
 * @MEMVIEW_MAP_READ: Read. Always needed: there is no page that can be
 *	written or executed and not read.
 * @MEMVIEW_MAP_WRITE: Write; what is written reaches the source file.
 * @MEMVIEW_MAP_EXEC: Execute.
 *
 * What a client really may do is the AND of this and the protection it gave
 * to mmap() or mprotect(). An access that the range forbids is a SIGSEGV; an
 * access where no range is, or beyond the end of the source, is a SIGBUS.
 */
enum memview_map_flags {
	MEMVIEW_MAP_READ = 1 << 0,
	MEMVIEW_MAP_WRITE = 1 << 1,
	MEMVIEW_MAP_EXEC = 1 << 2,
};

/**
 * struct memview_map_fd_info - argument of MEMVIEW_MAP_FD
 * @fd: The source: a memfd, or a regular file on tmpfs or any file system
 *	with a page cache. The view keeps the file open while a range of it
 *	exists; @fd itself may be closed at once.
 * @flags: Of &enum memview_map_flags.
 * @fd_offset: Where the range starts in the source, bytes. It may lie beyond
 *	the source's end: the file may grow later.
 * @size: Bytes.
 * @mem_offset: Where the range starts in the view, bytes.
 */
struct memview_map_fd_info {
	__s32 fd;
	__u32 flags;
	__aligned_u64 fd_offset;
	__aligned_u64 size;
	__aligned_u64 mem_offset;
};

/**
 * define MEMVIEW_MAP_FD - put a range of a file into the view
 *
 * Whatever was in [mem_offset, mem_offset + size) is replaced; ranges that
 * reach into that span are split. The change is atomic: a fault sees the
 * layout before it or after it. When the call returns, no process reaches the
 * replaced pages through the view any more.
 */
#define MEMVIEW_MAP_FD _IOW(MEMVIEW_IOC_MAGIC, 0x00, struct memview_map_fd_info)

/**
 * struct memview_unmap_fd_info - argument of MEMVIEW_UNMAP_FD
 * @mem_offset: Where to start in the view, bytes.
 * @size: Bytes.
 * @flags: Must be zero.
 * @reserved: Must be zero.
 */
struct memview_unmap_fd_info {
	__aligned_u64 mem_offset;
	__aligned_u64 size;
	__u32 flags;
	__u32 reserved;
};

/**
 * define MEMVIEW_UNMAP_FD - take a span of the view away
 *
 * Ranges that reach into the span are split; a span without ranges is fine.
 * When the call returns, no process reaches the pages through the view any
 * more. I/O in flight that has pinned pages finishes, as it does across
 * munmap().
 */
#define MEMVIEW_UNMAP_FD \
	_IOW(MEMVIEW_IOC_MAGIC, 0x01, struct memview_unmap_fd_info)

/**
 * define MEMVIEW_GET_VIEWFD - make a view fd
 *
 * Takes no argument. Returns a new close-on-exec file descriptor that can be
 * mapped and closed; each call makes another one. The view lives until its
 * last control fd, view fd and mapping are gone.
 */
#define MEMVIEW_GET_VIEWFD _IO(MEMVIEW_IOC_MAGIC, 0x02)

/**
 * define MEMVIEW_BATCH_MAX - how many entries a batch has at the most
 *
 * Other requests of the view wait meanwhile: some ten milliseconds with so many
 * entries, if there is memory for them. Faults do not wait.
 */
#define MEMVIEW_BATCH_MAX 4096

/**
 * enum memview_batch_ops - what an entry of a batch does
 * @MEMVIEW_BATCH_MAP: As MEMVIEW_MAP_FD.
 * @MEMVIEW_BATCH_UNMAP: As MEMVIEW_UNMAP_FD.
 */
enum memview_batch_ops {
	MEMVIEW_BATCH_MAP = 1,
	MEMVIEW_BATCH_UNMAP = 2,
};

/**
 * struct memview_batch_op - an entry of a batch
 * @op: Of &enum memview_batch_ops.
 * @flags: Of &enum memview_map_flags; of an unmap, zero.
 * @fd: The source; of an unmap, -1.
 * @reserved: Must be zero.
 * @fd_offset: Where the range starts in the source, bytes; of an unmap, zero.
 * @size: Bytes.
 * @mem_offset: Where the span starts in the view, bytes.
 */
struct memview_batch_op {
	__u32 op;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
	__aligned_u64 fd_offset;
	__aligned_u64 size;
	__aligned_u64 mem_offset;
};

/**
 * struct memview_batch - argument of MEMVIEW_BATCH
 * @ops: Address of an array of &struct memview_batch_op.
 * @nr_ops: How many entries it has, MEMVIEW_BATCH_MAX at the most. With none
 *	nothing changes, and @ops is not looked at.
 * @op_size: What an entry takes: sizeof(struct memview_batch_op).
 * @flags: Must be zero.
 * @failed: Set by the kernel: to the index of the entry for which the batch
 *	failed; to @nr_ops if there is none, because all is done or because no
 *	single entry is at fault.
 */
struct memview_batch {
	__aligned_u64 ops;
	__u32 nr_ops;
	__u32 op_size;
	__u32 flags;
	__u32 failed;
};

/**
 * define MEMVIEW_BATCH - map and unmap many spans as one change
 *
 * The result is that of the entries done one after the other: where they
 * overlap, the last one counts. But it is one change: all of it is done or
 * nothing, and a fault sees the layout before all of it or after all of it.
 * When the call returns, no process reaches through the view what was replaced
 * or taken away.
 *
 * All entries are checked as if each were a request of its own, the one that a
 * later one hides, too; the policies are asked about each map before anything
 * is done. If more than one is at fault, @failed tells of one of them. That the
 * limit of ranges is exceeded (ENOSPC), memory is short (ENOMEM) or a signal
 * has come (EINTR) may be no single entry's fault.
 */
#define MEMVIEW_BATCH _IOWR(MEMVIEW_IOC_MAGIC, 0x03, struct memview_batch)

/**
 * enum memview_flags - how a view behaves
 * @MEMVIEW_REVOKE_ON_CLOSE: When the last reference to the control fd goes,
 *	because it is closed or who has it dies, all ranges are taken away, as
 *	MEMVIEW_UNMAP_FD does. Duplicates of the fd are such references, those of
 *	forked processes and those on their way through a socket, too; view fds
 *	and mappings are not. When the close() that drops the last one returns,
 *	or a wait() for the process that held it, it has happened: it cannot
 *	fail. An io_uring that has the fd registered, or uses it in a request, is
 *	such a reference, too; the kernel drops those of a dead process some time
 *	after wait() has returned: so register no control fd, or unregister it
 *	first.
 */
enum memview_flags {
	MEMVIEW_REVOKE_ON_CLOSE = 1 << 0,
};

/**
 * struct memview_set_flags - argument of MEMVIEW_SET_FLAGS
 * @flags: Of &enum memview_flags. Those that are not given are cleared.
 * @reserved: Must be zero.
 */
struct memview_set_flags {
	__u32 flags;
	__u32 reserved;
};

/**
 * define MEMVIEW_SET_FLAGS - say how a view behaves
 *
 * A new view has no flag.
 */
#define MEMVIEW_SET_FLAGS \
	_IOW(MEMVIEW_IOC_MAGIC, 0x04, struct memview_set_flags)

#endif /* _UAPI_LINUX_MEMVIEW_H */
