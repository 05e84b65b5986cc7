// SPDX-License-Identifier: GPL-2.0
/*
 * Taking pages out of the clients' page tables.
 */
#include <linux/delay.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "memview.h"
#include "trace.h"
#include "vma_tree.h"

static void account(struct memview_view *view, pgoff_t first, pgoff_t last,
		    enum memview_cause cause, u64 start)
{
	memview_count(view, zaps);
	if (trace_memview_zap_enabled())
		trace_memview_zap(&view->bpf, first, last, cause,
				  start ? ktime_get_ns() - start : 0);
}

static u64 now(void)
{
	return trace_memview_zap_enabled() ? ktime_get_ns() : 0;
}

/*
 * The entry of the middle level for an address, or NULL if there is no table.
 * @next is where that ends which has been looked at: without tables, a lot.
 */
static pmd_t *find_pmd(struct mm_struct *mm, unsigned long addr,
		       unsigned long end, unsigned long *next)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t *pud;

	*next = pgd_addr_end(addr, end);
	if (pgd_none(READ_ONCE(*pgd)))
		return NULL;
	p4d = p4d_offset(pgd, addr);
	*next = p4d_addr_end(addr, end);
	if (p4d_none(READ_ONCE(*p4d)))
		return NULL;
	pud = pud_offset(p4d, addr);
	*next = pud_addr_end(addr, end);
	if (pud_none(READ_ONCE(*pud)))
		return NULL;
	*next = pmd_addr_end(addr, end);
	return pmd_offset(pud, addr);
}

/*
 * The core's zap passes by an entry that is not there. But who moves a huge page
 * (mremap), splits it, or zaps it, clears the entry first, under its lock: then
 * puts it in its new place, or flushes, and accounts that the folio is mapped no
 * more. So wait for him. The new place comes later in the tree of the clients:
 * a VMA of a view is never merged, and one that begins where another does goes in
 * behind it.
 *
 * The caller holds the lock of that tree: these tables stay.
 */
static void await_huge(struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	unsigned long next;
	pmd_t *pmd;

	for (; start < end; start = next) {
		cond_resched();
		pmd = find_pmd(mm, start, end, &next);
		if (pmd && pmd_none(pmdp_get_lockless(pmd)))
			spin_unlock(pmd_lock(mm, pmd));
	}
}

/* Under the i_mmap lock of the view, the caller's or as memview_lock_clients() says. */
static void zap_clients(struct memview_view *view, pgoff_t first, pgoff_t last)
{
	struct rb_root_cached *clients = &view->inode->i_mapping->i_mmap;
	struct vm_area_struct *vma;
	unsigned long start, size;

	for (vma = vma_tree_iter_first(clients, first, last); vma;
	     vma = vma_tree_iter_next(vma, first, last)) {
		pgoff_t from = max(first, vma_first(vma));
		pgoff_t to = min(last, vma_last(vma));

		start = vma->vm_start + ((from - vma_first(vma)) << PAGE_SHIFT);
		size = (to - from + 1) << PAGE_SHIFT;
		zap_vma_range(vma, start, size);
		if (READ_ONCE(view->huge))
			await_huge(vma->vm_mm, start, start + size);
		cond_resched();
	}
}

/**
 * memview_zap - unmap a span of a view from every client
 * @view: View.
 * @first: First page.
 * @last: Last page.
 * @cause: Why, for the tracepoint.
 * @touched: There may be PTEs. If not, there is nothing to look for.
 *
 * When this returns, no CPU has a translation for the span that was made
 * before the call, KVM's included; but for what munmap() is about to flush, see
 * memview_flush_leaving(). Faults that commit during the call may have made new
 * ones, from the layout as it is now.
 *
 * Context: May sleep. Takes the i_mmap lock of the view.
 */
void memview_zap(struct memview_view *view, pgoff_t first, pgoff_t last,
		 enum memview_cause cause, bool touched)
{
	u64 start = now();

	if (touched) {
		i_mmap_lock_read(view->inode->i_mapping);
		zap_clients(view, first, last);
		i_mmap_unlock_read(view->inode->i_mapping);
	}
	account(view, first, last, cause, start);
}

/*
 * Does the task sleep that holds a mapping's lock for writing? It is alive while it
 * holds that lock, so what is read of it stays for a grace period.
 */
static bool is_writer_asleep(struct address_space *mapping)
{
	const struct task_struct *writer;
	bool asleep;

	rcu_read_lock();
	writer = memview_rwsem_writer(&mapping->i_mmap_rwsem);
	asleep = writer && !task_is_running(writer);
	rcu_read_unlock();
	return asleep;
}

static bool are_marked(const struct address_space *a,
		       const struct address_space *b)
{
	return test_bit_acquire(AS_MM_ALL_LOCKS, &a->flags) &&
	       test_bit_acquire(AS_MM_ALL_LOCKS, &b->flags);
}

/*
 * Has mm_take_all_locks() taken the i_mmap lock of @inner, and does it wait for
 * that of @outer, which the caller holds? It marks a mapping, then waits for its
 * lock, one mapping after the other, and one task at a time is in there. So if
 * both are marked, that task has @inner; and it waits for @outer, or has just given
 * that up and not taken the mark away yet. In between it does not sleep, though it
 * may be preempted: so if it sleeps, it waits. A task that has marked @outer since
 * the caller has its lock waits in any case.
 *
 * As long as it is preempted the caller has to wait, with a page locked and @outer
 * held; so has every task that wants a lock whose holder is preempted. It does not
 * wait for other tasks, as synchronize_rcu_tasks() would: for each that is preempted
 * or throttled in the kernel.
 */
static bool is_held_for_us(struct address_space *inner,
			   const struct address_space *outer)
{
	bool asleep;

	if (!are_marked(outer, inner))
		return false;
	asleep = is_writer_asleep(inner);
	/* If it sleeps after it took the mark of @outer away, see that. */
	smp_rmb();
	return asleep && are_marked(outer, inner);
}

/**
 * memview_lock_clients - keep the VMAs of a view's clients, nested
 * @view: View.
 * @outer: Mapping of a source, whose i_mmap lock is held.
 *
 * The core does not nest these locks, and so mm_take_all_locks() may take them
 * in any order, those of all files that a process maps: when it makes its first
 * KVM VM, say. Whoever waited here for the inner lock could wait for whoever
 * waits for the outer one. So this does not wait in line.
 *
 * Context: May sleep. Takes the i_mmap lock of the view.
 * Return: For memview_unlock_clients(): true, or false if the lock need not be
 *	had: somebody else has it, and cannot go on before the caller gives up
 *	@outer.
 */
bool memview_lock_clients(struct memview_view *view,
			  const struct address_space *outer)
{
	struct address_space *inner = view->inode->i_mapping;
	bool locked = i_mmap_trylock_read(inner);

	if (likely(locked))
		return true;
	atomic_inc(&view->waiting);
	do {
		usleep_range(50, 200);
		locked = i_mmap_trylock_read(inner);
	} while (!locked && !is_held_for_us(inner, outer));
	atomic_dec(&view->waiting);
	return locked;
}

/**
 * memview_unlock_clients - undo memview_lock_clients()
 * @view: View.
 * @locked: What that returned.
 *
 * Context: Any.
 */
void memview_unlock_clients(struct memview_view *view, bool locked)
{
	if (locked)
		i_mmap_unlock_read(view->inode->i_mapping);
}

/**
 * memview_zap_nested - as memview_zap(), for who walks the VMAs of a source
 * @view: View, after memview_lock_clients().
 * @first: First page.
 * @last: Last page.
 * @cause: Why, for the tracepoint.
 *
 * What munmap() is about to flush is left to it, as the core does: it keeps those
 * pages until it has.
 *
 * Context: May sleep.
 */
void memview_zap_nested(struct memview_view *view, pgoff_t first, pgoff_t last,
			enum memview_cause cause)
{
	u64 start = now();

	/*
	 * This tells the notifiers of the client's mm while those of the watch's
	 * mm are being told. Lockdep cannot see that it goes one level deep only:
	 * a view is never a source.
	 */
	lockdep_off();
	zap_clients(view, first, last);
	lockdep_on();
	account(view, first, last, cause, start);
}

/**
 * memview_yield - let those go first who wait to zap
 * @view: View, whose i_mmap lock the caller will want, for a client.
 *
 * They do not wait in line for it: where clients map and unmap all the time,
 * their turn might never come.
 *
 * Context: May sleep.
 */
void memview_yield(struct memview_view *view)
{
	if (unlikely(atomic_read(&view->waiting)))
		schedule_timeout_uninterruptible(1);
}

/**
 * memview_zap_vma - unmap a span of one mapping of a view
 * @vma: Client's VMA: locked for writing, so that no fault undoes this, or of a
 *	fault that undoes what it has done itself.
 * @start: First address.
 * @end: Address after the last.
 *
 * Context: May sleep.
 */
void memview_zap_vma(struct vm_area_struct *vma, unsigned long start,
		     unsigned long end)
{
	zap_vma_range(vma, start, end - start);
}
