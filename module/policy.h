/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Asking the policies. Without one attached each call is a static branch.
 */
#ifndef _MEMVIEW_POLICY_H
#define _MEMVIEW_POLICY_H

#include <linux/jump_label.h>

#include "memview.h"

DECLARE_STATIC_KEY_FALSE(memview_policies);

struct vm_area_struct;

int memview_policy_init(void);
bool memview_in_tell_unmap(void);
int memview_kfuncs_init(void);

int __memview_ask_map_fd(struct memview_view *view, struct file *file,
			 const struct memview_map_fd_info *info);
int __memview_ask_get_viewfd(struct memview_view *view);
int __memview_ask_mmap(struct file *file, struct vm_area_struct *vma);
void __memview_tell_unmap(struct memview_view *view, u64 offset, u64 size);

/**
 * memview_ask_map_fd - may a range of a file go into a view?
 * @view: View.
 * @file: What the controller gave.
 * @info: Request, checked.
 *
 * Context: May sleep, and programs may call kfuncs: no lock of the view is held
 *	that those take.
 * Return: 0 or the errno for the caller.
 */
static inline int memview_ask_map_fd(struct memview_view *view,
				     struct file *file,
				     const struct memview_map_fd_info *info)
{
	if (static_branch_unlikely(&memview_policies))
		return __memview_ask_map_fd(view, file, info);
	return 0;
}

/**
 * memview_ask_get_viewfd - may a view fd be made?
 * @view: View.
 *
 * Context, Return: As memview_ask_map_fd().
 */
static inline int memview_ask_get_viewfd(struct memview_view *view)
{
	if (static_branch_unlikely(&memview_policies))
		return __memview_ask_get_viewfd(view);
	return 0;
}

/**
 * memview_ask_mmap - may a client map a view?
 * @file: View fd's file.
 * @vma: What will be the client's.
 *
 * Context: ->mmap. May sleep as an allocation does; the programs may not.
 * Return: 0 or the errno for the caller, -ENOMEM too.
 */
static inline int memview_ask_mmap(struct file *file,
				   struct vm_area_struct *vma)
{
	if (static_branch_unlikely(&memview_policies))
		return __memview_ask_mmap(file, vma);
	return 0;
}

/**
 * memview_tell_unmap - a span of a view was taken away
 * @view: View.
 * @offset: Bytes.
 * @size: Bytes.
 *
 * Context: As memview_ask_map_fd().
 */
static inline void memview_tell_unmap(struct memview_view *view, u64 offset,
				      u64 size)
{
	if (static_branch_unlikely(&memview_policies))
		__memview_tell_unmap(view, offset, size);
}

#endif /* _MEMVIEW_POLICY_H */
