/* SPDX-License-Identifier: MIT */
/*
 * libmemview.h - memory views without ioctls
 *
 * A thin library: a function is one or two system calls. It keeps no state,
 * starts no thread, prints nothing and waits for nothing, but for a socket that
 * blocks and what its system calls wait for (close_timeout in <linux/memview.h>).
 * A view is a file descriptor, and all that can be done with one still
 * can be done: nothing is hidden. <linux/memview.h> says what each errno means.
 */
#ifndef LIBMEMVIEW_H
#define LIBMEMVIEW_H

#include <linux/memview.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * memview_open - make a new, empty view
 * @size: Of the view, bytes. Costs nothing.
 *
 * Return: the control fd, close-on-exec, or a negative errno. -ENOENT or
 * -ENXIO: the module is not loaded. -EACCES: the device is not for this user.
 */
int memview_open(uint64_t size);

/**
 * memview_resize - set the size of a view
 * @view: Control fd.
 * @size: Bytes. What lies beyond it, rounded up to a page, is unmapped.
 *
 * Return: 0 or a negative errno.
 */
int memview_resize(int view, uint64_t size);

/**
 * memview_size - tell the size of a view
 * @fd: Control fd or view fd.
 *
 * Return: bytes, or a negative errno.
 */
int64_t memview_size(int fd);

/**
 * memview_map - put a range of a file into a view
 * @view: Control fd.
 * @mem_offset: Where it goes in the view, bytes.
 * @fd: The file: memfd, tmpfs or any with a page cache. It may be closed at
 *	once.
 * @fd_offset: Where the range starts in the file, bytes.
 * @size: Bytes.
 * @flags: What clients may do, of &enum memview_map_flags.
 *
 * Replaces what is there, as one change. When it returns, no process reaches
 * the replaced pages through the view any more.
 *
 * Return: 0, or a negative errno, and nothing has changed.
 */
int memview_map(int view, uint64_t mem_offset, int fd, uint64_t fd_offset,
		uint64_t size, uint32_t flags);

/**
 * memview_unmap - take a span of a view away
 * @view: Control fd.
 * @mem_offset: Where it starts in the view, bytes.
 * @size: Bytes.
 *
 * When it returns, no process reaches these pages through the view any more.
 *
 * Return: 0, or a negative errno, and nothing has changed.
 */
int memview_unmap(int view, uint64_t mem_offset, uint64_t size);

/**
 * memview_batch - map and unmap many spans of a view as one change
 * @view: Control fd.
 * @ops: The maps and unmaps, in order: where they overlap, the last one counts.
 * @nr: How many, MEMVIEW_BATCH_MAX at the most.
 * @failed: NULL, or set to the index of the one for which it failed; to @nr if
 *	there is no such one.
 *
 * A client sees the view before all of it, or after all of it.
 *
 * Return: 0, or a negative errno, and nothing has changed.
 */
int memview_batch(int view, const struct memview_batch_op *ops, unsigned int nr,
		  unsigned int *failed);

/**
 * memview_set_flags - say how a view behaves
 * @view: Control fd.
 * @flags: Of &enum memview_flags; those that are not given are cleared.
 *
 * With MEMVIEW_REVOKE_ON_CLOSE clients lose all when the last reference to the
 * control fd goes, be it that this process is killed.
 *
 * Return: 0, or a negative errno, and nothing has changed.
 */
int memview_set_flags(int view, uint32_t flags);

/**
 * memview_get_viewfd - make a view fd, for a client
 * @view: Control fd.
 *
 * Return: the fd, close-on-exec, or a negative errno.
 */
int memview_get_viewfd(int view);

/**
 * memview_mmap - map a span of a view into this process
 * @viewfd: View fd. May be closed afterwards.
 * @mem_offset: Where it starts in the view, bytes.
 * @size: Bytes.
 * @prot: As for mmap().
 * @addr: Where it is mapped, to be undone by munmap().
 *
 * An access where no range is raises SIGBUS, one that the range forbids
 * SIGSEGV.
 *
 * Return: 0 or a negative errno.
 */
int memview_mmap(int viewfd, uint64_t mem_offset, size_t size, int prot,
		 void **addr);

/**
 * memview_send - send a message, and maybe a view, over a Unix socket
 * @sock: Connected socket, best of type SOCK_SEQPACKET: messages stay whole.
 * @viewfd: View fd (or any other), or -1 for none. Stays open here.
 * @message: What to send along.
 * @size: Bytes. On a SOCK_STREAM socket not 0, or no fd can be sent.
 *
 * Never raises SIGPIPE.
 *
 * Return: 0, -EPIPE if the other side is gone, -EPROTO if a stream took a part
 * of the message only, or another negative errno.
 */
int memview_send(int sock, int viewfd, const void *message, size_t size);

/**
 * memview_receive - receive a message, and maybe a view
 * @sock: Connected socket.
 * @viewfd: Set to the fd that came along, close-on-exec, or -1. NULL: a fd
 *	that comes along is closed. More than one always are.
 * @message: Where the message goes.
 * @size: Bytes, exactly what the other side sends. A message of none must bring
 *	a fd: without, it looks as if the other side were gone.
 *
 * Return: 0, -EPIPE if the other side is gone, -EPROTO if the message has
 * another size or brought several fds, or another negative errno; and then no
 * fd was received.
 */
int memview_receive(int sock, int *viewfd, void *message, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* LIBMEMVIEW_H */
