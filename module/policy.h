/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Asking the policies. Without one attached each call is a static branch.
 */
#ifndef _MEMVIEW_POLICY_H
#define _MEMVIEW_POLICY_H

#include <linux/jump_label.h>

#include "memview.h"

/* How often a request is asked about, at the most. */
#define MEMVIEW_ASK_MAX 10000

DECLARE_STATIC_KEY_FALSE(memview_policies);
extern atomic64_t memview_policy_changes;

struct vm_area_struct;

/**
 * struct memview_asked - a request that the policies are asked about
 * @view: View.
 * @policies: memview_policy_changes before they were asked.
 * @revokes: view->revokes before that.
 * @growing: Pages that it has added to view->growing.
 * @times: How often they were asked.
 *
 * Of the task that makes the request.
 */
struct memview_asked {
	struct memview_view *view;
	u64 policies;
	unsigned long revokes;
	unsigned long growing;
	unsigned int times;
};

/**
 * struct memview_run - a task that runs programs of policies
 * @list: In the list of all.
 * @task: The task, on whose stack this is.
 * @asked: What they are asked about; NULL: they are told of an unmap.
 */
struct memview_run {
	struct list_head list;
	struct task_struct *task;
	struct memview_asked *asked;
};

/* asked.c */
void memview_policies_changed(void);
void memview_run_begin(struct memview_run *run, struct memview_asked *asked);
void memview_run_end(struct memview_run *run);
bool memview_in_tell_unmap(void);
void memview_count_revoke(struct memview_view *view);
int memview_asked_begin(struct memview_asked *asked);
void memview_asked_book(struct memview_asked *asked,
			const struct memview_map_fd_info *info);
void memview_asked_end(struct memview_asked *asked);
int memview_commit_begin(const struct memview_asked *asked);
void memview_commit_end(int idx);
int memview_commit(struct memview_asked *asked, struct memview_piece *pieces,
		   unsigned int nr, enum memview_cause cause);

/**
 * memview_asked_holds - does what the policies have allowed still hold?
 * @asked: The request.
 *
 * Context: Any; but it holds for the moment only, see memview_commit_begin().
 */
static inline bool memview_asked_holds(const struct memview_asked *asked)
{
	return atomic64_read(&memview_policy_changes) == asked->policies &&
	       READ_ONCE(asked->view->revokes) == asked->revokes;
}

/* kfuncs.c */
int memview_kfuncs_init(void);

/* policy.c */
int memview_policy_init(void);
int __memview_ask_map_fd(struct memview_asked *asked, struct file *file,
			 const struct memview_map_fd_info *info);
int __memview_ask_get_viewfd(struct memview_asked *asked);
int __memview_ask_mmap(struct file *file, struct vm_area_struct *vma);
void __memview_tell_unmap(struct memview_view *view, u64 offset, u64 size);

/**
 * memview_ask_map_fd - may a range of a file go into a view?
 * @asked: The request, or the batch that it belongs to, begun.
 * @file: What the controller gave.
 * @info: Request, checked.
 *
 * Context: May sleep, and programs may call kfuncs: no lock of the view is held
 *	that those take.
 * Return: 0 or the errno for the caller.
 */
static inline int memview_ask_map_fd(struct memview_asked *asked,
				     struct file *file,
				     const struct memview_map_fd_info *info)
{
	if (static_branch_unlikely(&memview_policies))
		return __memview_ask_map_fd(asked, file, info);
	return 0;
}

/**
 * memview_ask_get_viewfd - may a view fd be made?
 * @asked: The request, begun.
 *
 * Context, Return: As memview_ask_map_fd().
 */
static inline int memview_ask_get_viewfd(struct memview_asked *asked)
{
	if (static_branch_unlikely(&memview_policies))
		return __memview_ask_get_viewfd(asked);
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
