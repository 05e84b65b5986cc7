/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which range serves a fault, and what it allows.
 *
 * Each fault does this. As functions of their own these took some 35
 * instructions more, of 2,600 to 3,500.
 */
#ifndef MEMVIEW_LOOKUP_H
#define MEMVIEW_LOOKUP_H

#include <linux/mm.h>
#include <linux/percpu.h>

#include "memview.h"

static_assert(MEMVIEW_MAP_WRITE == VM_WRITE);
static_assert(MEMVIEW_MAP_EXEC == VM_EXEC);

/* What the client may do: its mapping's protection and the range's flags. */
static inline vm_flags_t memview_allowed(const struct vm_area_struct *vma,
					 const struct memview_range *range)
{
	return vma->vm_flags &
	       (range->flags | ~(vm_flags_t)(VM_WRITE | VM_EXEC));
}

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
