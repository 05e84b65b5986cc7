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
	INIT_LIST_HEAD(&view->sources);
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
 * memview_view_put - one user less
 * @view: With the last one it goes. No mapping is left: those hold files.
 *
 * Context: May sleep.
 */
void memview_view_put(struct memview_view *view)
{
	if (!refcount_dec_and_test(&view->users))
		return;
	trace_memview_destroy(&view->bpf);
	memview_registry_del(view);
	mutex_lock(&view->change_lock);
	view->dead = true;
	memview_drop_ranges(memview_layout_clear(&view->layout));
	mutex_unlock(&view->change_lock);
	if (view->device)
		fput(view->device);
	memview_unref(view);
	memview_unpin_fs();
}
