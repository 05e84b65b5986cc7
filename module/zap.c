// SPDX-License-Identifier: GPL-2.0
/*
 * Taking pages out of the clients' page tables.
 */
#include <linux/ktime.h>
#include <linux/mm.h>

#include "memview.h"
#include "trace.h"

/**
 * memview_zap - unmap a span of a view from every client
 * @view: View.
 * @first: First page.
 * @last: Last page.
 * @cause: Why, for the tracepoint.
 * @touched: There may be PTEs. If not, there is nothing to look for.
 *
 * When this returns, no CPU has a translation for the span that was made
 * before the call, KVM's included. Faults that commit during the call may
 * have made new ones, from the layout as it is now.
 *
 * Context: May sleep. Takes the i_mmap lock of the view. Does not allocate.
 */
void memview_zap(struct memview_view *view, pgoff_t first, pgoff_t last,
		 enum memview_cause cause, bool touched)
{
	bool tracing = trace_memview_zap_enabled();
	u64 start = tracing ? ktime_get_ns() : 0;

	if (touched)
		unmap_mapping_pages(view->inode->i_mapping, first,
				    last - first + 1, false);
	memview_count(view, zaps);
	if (tracing)
		trace_memview_zap(&view->bpf, first, last, cause,
				  ktime_get_ns() - start);
}

/**
 * memview_zap_vma - unmap a span of one mapping of a view
 * @vma: Client's VMA, locked for writing: no fault undoes this.
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
