/* SPDX-License-Identifier: GPL-2.0 */
/*
 * header.c - what the ABI header says to C90, C11 and C++17
 *
 * The Makefile compiles this file once for each language, with warnings as
 * errors, and HEADER_NUMBERS naming the table; the proposal test compares
 * them with the numbers of the ABI. Nothing is included before the header: it
 * must not depend on it.
 */
#include <linux/memview.h>

#include "header.h"

#define OFFSET(type, field)	((unsigned long)__builtin_offsetof(struct type, field))

#ifdef __cplusplus
extern "C"
#endif
const struct header_numbers HEADER_NUMBERS = {
	/* language */
#ifdef __cplusplus
	__cplusplus,
#elif defined(__STDC_VERSION__)
	__STDC_VERSION__,
#else
	199000L,
#endif
	{
		MEMVIEW_MAP_FD,
		MEMVIEW_UNMAP_FD,
		MEMVIEW_GET_VIEWFD,
		MEMVIEW_BATCH,
	},
	{
		sizeof(struct memview_map_fd_info),
		sizeof(struct memview_unmap_fd_info),
		sizeof(struct memview_batch_op),
		sizeof(struct memview_batch),
	},
	{
		OFFSET(memview_map_fd_info, fd),
		OFFSET(memview_map_fd_info, flags),
		OFFSET(memview_map_fd_info, fd_offset),
		OFFSET(memview_map_fd_info, size),
		OFFSET(memview_map_fd_info, mem_offset),
	},
	{
		OFFSET(memview_unmap_fd_info, mem_offset),
		OFFSET(memview_unmap_fd_info, size),
		OFFSET(memview_unmap_fd_info, flags),
		OFFSET(memview_unmap_fd_info, reserved),
	},
	{
		OFFSET(memview_batch_op, op),
		OFFSET(memview_batch_op, flags),
		OFFSET(memview_batch_op, fd),
		OFFSET(memview_batch_op, reserved),
		OFFSET(memview_batch_op, fd_offset),
		OFFSET(memview_batch_op, size),
		OFFSET(memview_batch_op, mem_offset),
	},
	{
		OFFSET(memview_batch, ops),
		OFFSET(memview_batch, nr_ops),
		OFFSET(memview_batch, op_size),
		OFFSET(memview_batch, flags),
		OFFSET(memview_batch, failed),
	},
	{
		MEMVIEW_MAP_READ,
		MEMVIEW_MAP_WRITE,
		MEMVIEW_MAP_EXEC,
	},
	{
		MEMVIEW_BATCH_MAP,
		MEMVIEW_BATCH_UNMAP,
		MEMVIEW_BATCH_MAX,
	},
	{
		(unsigned long)(MEMVIEW_MAX_FILE_OFFSET >> 32),
		(unsigned long)(MEMVIEW_MAX_FILE_OFFSET & 0xffffffff),
	},
};
