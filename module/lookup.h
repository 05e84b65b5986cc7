/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which range serves a fault, what it allows, and how its pages are inserted.
 *
 * Each fault does this. As functions of their own these took some 35
 * instructions more, of 2,600 to 3,500.
 */
#ifndef MEMVIEW_LOOKUP_H
#define MEMVIEW_LOOKUP_H

#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>

#include "memview.h"

static_assert(MEMVIEW_MAP_WRITE == VM_WRITE);
static_assert(MEMVIEW_MAP_EXEC == VM_EXEC);

/**
 * memview_allowed - what a client may do
 * @vma: Its mapping.
 * @range: What is there.
 *
 * Return: The mapping's flags without those that the range forbids.
 */
static inline vm_flags_t memview_allowed(const struct vm_area_struct *vma,
					 const struct memview_range *range)
{
	return vma->vm_flags &
	       (range->flags | ~(vm_flags_t)(VM_WRITE | VM_EXEC));
}

/**
 * memview_forbids - does a range forbid the access of a fault?
 * @vmf: The client's fault.
 * @range: What is there.
 *
 * Return: Whether the client's mapping or the range does.
 */
static inline bool memview_forbids(const struct vm_fault *vmf,
				   const struct memview_range *range)
{
	vm_flags_t needs = 0;

	if (vmf->flags & FAULT_FLAG_WRITE)
		needs |= VM_WRITE;
	if (vmf->flags & FAULT_FLAG_INSTRUCTION)
		needs |= VM_EXEC;
	return needs & ~memview_allowed(vmf->vma, range);
}

/**
 * memview_is_tracked - does somebody track which pages a client writes to?
 * @vma: Its mapping.
 *
 * By their soft-dirty bits (/proc/PID/clear_refs). A VMA has the flag until they
 * begin.
 */
static inline bool memview_is_tracked(const struct vm_area_struct *vma)
{
	return IS_ENABLED(CONFIG_MEM_SOFT_DIRTY) &&
	       !(vma->vm_flags & VM_SOFTDIRTY);
}

/**
 * memview_may_map_cached - may what is cached be mapped, the source not asked?
 * @source: Source.
 * @vmf: The client's fault.
 *
 * Not for a write where it is mapped already, and is to become writable; nor
 * where each page that is written to is to be known.
 */
static inline bool memview_may_map_cached(const struct memview_source *source,
					  const struct vm_fault *vmf)
{
	if (vmf->flags & FAULT_FLAG_WRITE)
		return source->cached_writable &&
		       !(vmf->flags & FAULT_FLAG_MKWRITE) &&
		       !memview_is_tracked(vmf->vma);
	return true;
}

/**
 * memview_insertion_vma - a VMA to insert a fault's pages by
 * @vma: All zeroes. Set up: it has the client's place, and the protection that
 *	the range leaves of the mapping's.
 * @vmf: The client's fault. Only a write makes pages writable, but of a file in
 *	memory alone: it need not know of each. Where writes are tracked, it is
 *	only a write to what is mapped already: that is recorded in the PTE.
 * @range: Range.
 */
static __always_inline void
memview_insertion_vma(struct vm_area_struct *vma, const struct vm_fault *vmf,
		      const struct memview_range *range)
{
	vm_flags_t flags = memview_allowed(vmf->vma, range);

	vma->vm_mm = vmf->vma->vm_mm;
	vma->vm_start = vmf->vma->vm_start;
	vma->vm_end = vmf->vma->vm_end;
	/* Not anonymous: who looks at its place looks at the file, too. */
	vma->vm_ops = vmf->vma->vm_ops;
	/* vm_insert_page() wants to see that the caller knows what it does. */
	vm_flags_init(vma, vmf->vma->vm_flags | VM_MIXEDMAP);
	if (!(vmf->flags & FAULT_FLAG_WRITE) && !range->source->cached_writable)
		flags &= ~VM_WRITE;
	if (unlikely(memview_is_tracked(vmf->vma)) &&
	    !(vmf->flags & FAULT_FLAG_MKWRITE))
		flags &= ~VM_WRITE;
	/*
	 * PROT_WRITE or PROT_EXEC alone read too. Without VM_READ there may be
	 * no access left, and such a PTE is a NUMA hint to the core, which gives
	 * it all that the VMA has.
	 */
	if (vma_is_accessible(vmf->vma))
		flags |= VM_READ;
	vma->vm_page_prot = vm_get_page_prot(flags);
}

/**
 * memview_has_table - is there a page table at a fault? A huge page is none.
 * @vmf: The client's fault.
 */
static inline bool memview_has_table(const struct vm_fault *vmf)
{
	pmd_t pmd = READ_ONCE(*vmf->pmd);

	return !pmd_none(pmd) && !pmd_leaf(pmd);
}

/**
 * memview_lost_table - has it gone since?
 * @vmf: The client's fault, after memview_has_table().
 *
 * From 6.14 on the core frees an empty one under mmap_lock for reading
 * (MADV_DONTNEED), and a huge page may be there.
 */
static inline bool memview_lost_table(const struct vm_fault *vmf)
{
	return IS_ENABLED(CONFIG_PT_RECLAIM) && !memview_has_table(vmf);
}

/**
 * memview_touch - a PTE is about to come by a range
 * @range: Range of the layout, whose lock the caller holds.
 */
static inline void memview_touch(struct memview_range *range)
{
	lockdep_assert_held(&range->source->view->layout.lock);
	if (!READ_ONCE(range->touched))
		WRITE_ONCE(range->touched, true);
}

/**
 * memview_insert - insert a PTE
 * @vma: From memview_insertion_vma().
 * @vmf: The client's fault; memview_has_table() and memview_lost_table() have
 *	been asked.
 * @page: The page, locked. A reference of it is taken.
 *
 * Should the page table go this very moment, there will be another. The memory for
 * it comes out of the reserves (PF_MEMALLOC): so neither the allocator nor the memory
 * cgroup's charge sleeps, under a lock that spins.
 *
 * Context: Under the layout's lock. Does not sleep.
 * Return: What vm_insert_page() has to say.
 */
static inline int memview_insert(struct vm_area_struct *vma,
				 const struct vm_fault *vmf, struct page *page)
{
	unsigned int flags;
	int err;

	if (!IS_ENABLED(CONFIG_PT_RECLAIM))
		return vm_insert_page(vma, vmf->address, page);
	flags = memalloc_noreclaim_save();
	err = vm_insert_page(vma, vmf->address, page);
	memalloc_noreclaim_restore(flags);
	return err;
}

void memview_ask_layout(struct memview_view *view, pgoff_t pgoff,
			struct memview_met *met);

/**
 * memview_look_up - the range at a fault, if it allows the access
 * @view: View. The caller holds its layout's lock.
 * @vmf: The client's fault.
 * @met: Set to what is there. The range is the layout's.
 *
 * The tree is asked only where the last fault on this CPU met another range,
 * or the layout has changed since: what it met is in the layout if not.
 *
 * Context: Does not sleep.
 * Return: 0, or the signal that is the client's: the answer of the layout as it
 *	is now, not of a half-seen change.
 */
static __always_inline vm_fault_t memview_look_up(struct memview_view *view,
						  const struct vm_fault *vmf,
						  struct memview_met *met)
{
	lockdep_assert_held(&view->layout.lock);
	*met = *get_cpu_ptr(&view->stats->met);
	put_cpu_ptr(&view->stats->met);
	if (unlikely(met->changes != view->layout.changes ||
		     vmf->pgoff < met->first || vmf->pgoff > met->last))
		memview_ask_layout(view, vmf->pgoff, met);
	if (!met->range)
		return VM_FAULT_SIGBUS;
	return memview_forbids(vmf, met->range) ? VM_FAULT_SIGSEGV : 0;
}

#endif /* MEMVIEW_LOOKUP_H */
