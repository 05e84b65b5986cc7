// SPDX-License-Identifier: GPL-2.0
/*
 * The life of a view: how it begins, and what goes with which of its files.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/slab.h>

#include "memview.h"
#include "policy.h"
#include "trace.h"

static void set_owner(struct memview_view *view)
{
	view->bpf.owner_pid = task_tgid_nr(current);
	view->bpf.owner_uid = from_kuid(&init_user_ns, current_uid());
	rcu_read_lock();
	view->bpf.owner_cgroup = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
}

static struct memview_view *alloc_view(void)
{
	struct memview_view *view = kzalloc(sizeof(*view), GFP_KERNEL_ACCOUNT);

	if (!view)
		return NULL;
	view->stats =
		alloc_percpu_gfp(struct memview_stats, GFP_KERNEL_ACCOUNT);
	if (!view->stats) {
		kfree(view);
		return NULL;
	}
	return view;
}

/**
 * memview_view_create - make an empty view
 * @inode: Its inode; borrowed.
 *
 * Return: The view with one user, or an ERR_PTR().
 */
struct memview_view *memview_view_create(struct inode *inode)
{
	struct memview_view *view = alloc_view();
	int err;

	if (!view)
		return ERR_PTR(-ENOMEM);
	view->inode = inode;
	refcount_set(&view->users, 1);
	refcount_set(&view->refs, 1);
	mutex_init(&view->change_lock);
	memview_layout_init(&view->layout);
	view->sources = RB_ROOT;
	INIT_LIST_HEAD(&view->gone);
	view->clients = RB_ROOT;
	INIT_LIST_HEAD(&view->client_list);
	spin_lock_init(&view->clients_lock);
	set_owner(view);
	err = memview_registry_add(view);
	if (err) {
		memview_unref(view);
		return ERR_PTR(err);
	}
	trace_memview_create(&view->bpf);
	return view;
}

/**
 * memview_view_set_flags - MEMVIEW_SET_FLAGS
 * @view: View.
 * @request: Request, as it came.
 *
 * Return: 0; or -EINVAL, and nothing has changed.
 */
int memview_view_set_flags(struct memview_view *view,
			   const struct memview_set_flags *request)
{
	u32 old = READ_ONCE(view->flags);
	int err = 0;

	if ((request->flags & ~MEMVIEW_REVOKE_ON_CLOSE) || request->reserved)
		err = -EINVAL;
	else
		old = xchg(&view->flags, request->flags);
	trace_memview_set_flags(&view->bpf, old, request->flags, err);
	return err;
}

/* Unlike a change this can neither fail nor be killed. */
static u64 take_all(struct memview_view *view, struct list_head *gone)
{
	u64 size = 0;

	mutex_lock(&view->change_lock);
	if (view->layout.nr_ranges) {
		struct memview_range *dead =
			memview_layout_clear(&view->layout);

		size = PAGE_ALIGN(view->size);
		memview_zap(view, 0, (size >> PAGE_SHIFT) - 1,
			    MEMVIEW_CAUSE_REVOKE, true);
		memview_flush_leaving(view);
		memview_drop_ranges(dead);
		memview_count(view, changes);
	}
	memview_end_change(view, gone);
	return size;
}

/**
 * memview_view_end_control - the last reference to the control file is gone
 * @view: View. Its clients may be there still, and fault; no request is in
 *	flight, and none will come: each has the control file. What a BPF
 *	program does goes on.
 *
 * Context: May sleep. Where the last reference went, with no lock held: on the
 *	way back to user space, at the end of a task, or in a kernel thread.
 */
void memview_view_end_control(struct memview_view *view)
{
	LIST_HEAD(gone);
	u64 size;

	if (!(view->flags & MEMVIEW_REVOKE_ON_CLOSE))
		return;
	size = take_all(view, &gone);
	if (!size)
		return;
	trace_memview_revoke(&view->bpf, 0, size, 0);
	memview_tell_unmap(view, 0, size);
	memview_let_go(&gone, true);
}

/**
 * memview_view_put - one user less
 * @view: With the last one it goes. No mapping is left: those hold files.
 *
 * Context: May sleep.
 */
void memview_view_put(struct memview_view *view)
{
	LIST_HEAD(gone);

	if (!refcount_dec_and_test(&view->users))
		return;
	trace_memview_destroy(&view->bpf);
	memview_registry_del(view);
	mutex_lock(&view->change_lock);
	view->dead = true;
	memview_drop_ranges(memview_layout_clear(&view->layout));
	memview_end_change(view, &gone);
	memview_unref(view);
	memview_unpin_fs();
	memview_let_go(&gone, true);
}
