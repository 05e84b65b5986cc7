// SPDX-License-Identifier: GPL-2.0
/*
 * All views by their IDs, for those who have no file of them: BPF programs.
 */
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/xarray.h>

#include "memview.h"

static DEFINE_XARRAY(views);
static atomic64_t last_id;

/**
 * memview_registry_add - give a view its ID and let it be found
 * @view: View, complete.
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int memview_registry_add(struct memview_view *view)
{
	view->bpf.id = atomic64_inc_return(&last_id);
	return xa_err(xa_store(&views, view->bpf.id, view, GFP_KERNEL_ACCOUNT));
}

/**
 * memview_registry_del - let a view be found no more
 * @view: View. Who has found it keeps it.
 *
 * Context: May sleep.
 */
void memview_registry_del(struct memview_view *view)
{
	xa_erase(&views, view->bpf.id);
}

/**
 * memview_registry_get - find a view
 * @id: Its ID.
 *
 * Context: Any. In an NMI there are no views: what takes a reference may have to
 *	give back the last one, and that is not for NMIs.
 * Return: The view with a reference, memview_unref() puts it; or NULL.
 */
struct memview_view *memview_registry_get(u64 id)
{
	struct memview_view *view;

	if (in_nmi())
		return NULL;
	rcu_read_lock();
	view = xa_load(&views, id);
	if (view && !refcount_inc_not_zero(&view->refs))
		view = NULL;
	rcu_read_unlock();
	return view;
}

/**
 * memview_registry_next - find the next view
 * @after: ID after which to look.
 *
 * Context: As memview_registry_get().
 * Return: The view with a reference, or NULL: there is none any more.
 */
struct memview_view *memview_registry_next(u64 after)
{
	struct memview_view *view;
	unsigned long id = after;

	if (in_nmi())
		return NULL;
	rcu_read_lock();
	do {
		view = xa_find_after(&views, &id, ULONG_MAX, XA_PRESENT);
	} while (view && !refcount_inc_not_zero(&view->refs));
	rcu_read_unlock();
	return view;
}

static void free_view(struct rcu_head *rcu)
{
	struct memview_view *view = container_of(rcu, struct memview_view, rcu);

	free_percpu(view->stats);
	kfree(view);
}

/**
 * memview_unref - give a reference back
 * @view: View.
 *
 * Context: Any but an NMI, where call_rcu() does not work.
 */
void memview_unref(struct memview_view *view)
{
	if (refcount_dec_and_test(&view->refs))
		call_rcu(&view->rcu, free_view);
}

/**
 * memview_sum_stats - the counters of a view, summed up over the CPUs
 * @view: View.
 *
 * Context: Any. What counts meanwhile may be in the sum, or not.
 * Return: Sums of the counters alone: nothing else of it is set.
 */
struct memview_stats memview_sum_stats(struct memview_view *view)
{
	struct memview_stats sum = {};
	int cpu;

	for_each_possible_cpu(cpu) {
		struct memview_stats *stats = per_cpu_ptr(view->stats, cpu);

		sum.faults += READ_ONCE(stats->faults);
		sum.fault_errors += READ_ONCE(stats->fault_errors);
		sum.changes += READ_ONCE(stats->changes);
		sum.zaps += READ_ONCE(stats->zaps);
		sum.invalidates += READ_ONCE(stats->invalidates);
	}
	return sum;
}
