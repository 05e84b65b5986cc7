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
	},
	{
		sizeof(struct memview_map_fd_info),
		sizeof(struct memview_unmap_fd_info),
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
		MEMVIEW_MAP_READ,
		MEMVIEW_MAP_WRITE,
		MEMVIEW_MAP_EXEC,
	},
	{
		(unsigned long)(MEMVIEW_MAX_FILE_OFFSET >> 32),
		(unsigned long)(MEMVIEW_MAX_FILE_OFFSET & 0xffffffff),
	},
};
