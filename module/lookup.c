// SPDX-License-Identifier: GPL-2.0
/*
 * Which range serves a fault, when it is not the one of the fault before.
 */
#include <linux/mm.h>
#include <linux/percpu.h>

#include "lookup.h"
#include "memview.h"

/**
 * memview_ask_layout - what is at a page of a view, and remember it
 * @view: View. The caller holds its layout's lock.
 * @pgoff: Page of the view.
 * @met: Set to what is there.
 *
 * Context: Does not sleep.
 */
void memview_ask_layout(struct memview_view *view, pgoff_t pgoff,
			struct memview_met *met)
{
	met->changes = view->layout.changes;
	met->range = memview_layout_at(&view->layout, pgoff, &met->first,
				       &met->last);
	*get_cpu_ptr(&view->stats->met) = *met;
	put_cpu_ptr(&view->stats->met);
}
