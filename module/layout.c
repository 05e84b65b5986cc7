// SPDX-License-Identifier: GPL-2.0
/*
 * Which range is where in a view: a maple tree of range objects, and over it the
 * pieces of the change in flight.
 *
 * A change first shows its pieces to the faults, all of them at once, and carries
 * them into the tree afterwards, one store at a time (layout_change.c). A look-up
 * asks the pieces before the tree.
 *
 * Only changes write to the tree, and view->change_lock serialises them. So a
 * change reads the tree without layout->lock.
 *
 * Nothing here knows of page tables, files or BPF.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "memview.h"

static struct kmem_cache *range_cache;

/**
 * memview_layout_cache_create - have a cache of range objects, for all views
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int memview_layout_cache_create(void)
{
	range_cache = KMEM_CACHE(memview_range, SLAB_ACCOUNT);
	return range_cache ? 0 : -ENOMEM;
}

/**
 * memview_layout_cache_destroy - undo it, when no range is left
 *
 * Context: May sleep.
 */
void memview_layout_cache_destroy(void)
{
	kmem_cache_destroy(range_cache);
}

/**
 * memview_layout_init - make a layout, an empty one
 * @layout: Layout.
 *
 * Context: Any.
 */
void memview_layout_init(struct memview_layout *layout)
{
	rwlock_init(&layout->lock);
	/*
	 * Look-ups hold layout->lock, changes view->change_lock: lockdep cannot
	 * check that for the tree, so it is told of no lock. All look-ups hold
	 * one, so the tree need not be readable under RCU.
	 */
	mt_on_stack(layout->tree);
	mt_init_flags(&layout->tree, MT_FLAGS_LOCK_EXTERN);
	layout->pieces = NULL;
	layout->nr_pieces = 0;
	mas_init(&layout->mas, &layout->tree, 0);
	layout->changes = 0;
	layout->nr_ranges = 0;
	layout->nr_pages = 0;
}

/**
 * memview_range_alloc - make a range object that is in no layout yet
 * @source: A reference of it becomes the range's own on success.
 * @first: First page in the view.
 * @last: Last page in the view.
 * @file_first: First page in the source.
 * @flags: Of enum memview_map_flags.
 *
 * Return: The range with one reference, or NULL.
 */
struct memview_range *memview_range_alloc(struct memview_source *source,
					  pgoff_t first, pgoff_t last,
					  pgoff_t file_first, u32 flags)
{
	struct memview_range *range =
		kmem_cache_zalloc(range_cache, GFP_KERNEL_ACCOUNT);

	if (!range)
		return NULL;
	range->source = source;
	range->first = first;
	range->last = last;
	range->file_first = file_first;
	range->flags = flags;
	refcount_set(&range->refs, 1);
	return range;
}

/**
 * memview_range_put - give a reference back
 * @range: The last one frees the object.
 *
 * Context: May sleep: the source may go with it.
 */
void memview_range_put(struct memview_range *range)
{
	if (!refcount_dec_and_test(&range->refs))
		return;
	memview_source_put(range->source);
	kmem_cache_free(range_cache, range);
}

/* The first of the pieces in flight that does not end before a page, or their end. */
static const struct memview_piece *
find_piece(const struct memview_layout *layout, pgoff_t pgoff)
{
	const struct memview_piece *pieces = layout->pieces;
	unsigned int from = 0, to = layout->nr_pieces, at;

	while (from < to) {
		at = from + (to - from) / 2;
		if (pieces[at].last < pgoff)
			from = at + 1;
		else
			to = at;
	}
	return pieces + from;
}

static struct memview_range *look_at_tree(struct memview_layout *layout,
					  pgoff_t pgoff, pgoff_t *first,
					  pgoff_t *last)
{
	MA_STATE(mas, &layout->tree, pgoff, pgoff);
	struct memview_range *range = mas_walk(&mas);

	*first = mas.index;
	*last = mas.last;
	return range;
}

/* While a change is in flight. What its pieces cover, the tree does not say. */
static noinline struct memview_range *
look_through_pieces(struct memview_layout *layout, pgoff_t pgoff,
		    pgoff_t *first, pgoff_t *last)
{
	const struct memview_piece *piece = find_piece(layout, pgoff);
	struct memview_range *range;

	if (piece < layout->pieces + layout->nr_pieces) {
		if (piece->first <= pgoff) {
			*first = piece->first;
			*last = piece->last;
			return piece->range;
		}
		range = look_at_tree(layout, pgoff, first, last);
		*last = min(*last, piece->first - 1);
	} else {
		range = look_at_tree(layout, pgoff, first, last);
	}
	if (piece > layout->pieces)
		*first = max(*first, piece[-1].last + 1);
	return range;
}

/**
 * memview_layout_at - the range at a page, while the layout cannot change
 * @layout: Layout. The caller holds its lock.
 * @pgoff: Page of the view.
 * @first: Set to the first page, around this one, at which it is shown.
 * @last: Set to the last one.
 *
 * Context: Does not sleep.
 * Return: The range, the layout's; or NULL.
 */
struct memview_range *memview_layout_at(struct memview_layout *layout,
					pgoff_t pgoff, pgoff_t *first,
					pgoff_t *last)
{
	lockdep_assert_held(&layout->lock);
	if (unlikely(layout->pieces))
		return look_through_pieces(layout, pgoff, first, last);
	return look_at_tree(layout, pgoff, first, last);
}

/**
 * memview_layout_is - is this range still what the layout shows at a page?
 * @layout: Layout. The caller holds its lock.
 * @pgoff: Page of the view.
 * @range: Range, of which the caller owns a reference.
 *
 * Context: Does not sleep.
 */
bool memview_layout_is(struct memview_layout *layout, pgoff_t pgoff,
		       const struct memview_range *range)
{
	pgoff_t first, last;

	return memview_layout_at(layout, pgoff, &first, &last) == range;
}

/**
 * memview_layout_next - the next range at or after a page
 * @layout: Layout.
 * @pgoff: Where to look; set to where the range starts.
 * @last: Set to where it ends.
 *
 * Holes are passed one by one: no look holds the lock for long.
 *
 * Context: May sleep.
 * Return: The range with a reference for the caller, or NULL.
 */
struct memview_range *memview_layout_next(struct memview_layout *layout,
					  pgoff_t *pgoff, pgoff_t *last)
{
	struct memview_range *range;
	pgoff_t at = *pgoff, first;

	for (;;) {
		read_lock(&layout->lock);
		range = memview_layout_at(layout, at, &first, last);
		if (range)
			refcount_inc(&range->refs);
		read_unlock(&layout->lock);
		if (range) {
			*pgoff = first;
			return range;
		}
		if (*last == ULONG_MAX)
			return NULL;
		at = *last + 1;
		cond_resched();
	}
}

/**
 * memview_layout_pages - how many pages of a span have a range
 * @layout: Layout.
 * @first: First page of the span.
 * @last: Last page.
 *
 * The lock is held for one range at a time: there may be a million. So a change
 * meanwhile may be counted in part.
 *
 * Context: May sleep.
 */
unsigned long memview_layout_pages(struct memview_layout *layout, pgoff_t first,
				   pgoff_t last)
{
	pgoff_t at = first, from, to;
	unsigned long pages = 0;
	bool any;

	for (;;) {
		read_lock(&layout->lock);
		any = memview_layout_at(layout, at, &from, &to);
		read_unlock(&layout->lock);
		to = min(to, last);
		if (any)
			pages += to - at + 1;
		if (to == last)
			return pages;
		at = to + 1;
		cond_resched();
	}
}
