// SPDX-License-Identifier: GPL-2.0
/*
 * Which range is where in a view: a maple tree of range objects.
 *
 * A change replaces the entries of a span by one entry or by none. Entries at
 * its borders are cut by the tree; the objects they point to stay as they
 * are, and count how many entries show them. An object without an entry left
 * is handed back to the caller, who forgets it after the zap.
 *
 * Nothing here knows of page tables, files or BPF.
 */
#include <linux/sched.h>
#include <linux/slab.h>

#include "memview.h"

unsigned int memview_max_ranges = 1048576;

static struct kmem_cache *range_cache;

int memview_layout_cache_create(void)
{
	range_cache = KMEM_CACHE(memview_range, SLAB_ACCOUNT);
	return range_cache ? 0 : -ENOMEM;
}

void memview_layout_cache_destroy(void)
{
	/* Objects on their way through kfree_rcu() must be back first. */
	rcu_barrier();
	kmem_cache_destroy(range_cache);
}

void memview_layout_init(struct memview_layout *layout)
{
	init_rwsem(&layout->lock);
	/*
	 * Gaps are not looked for, but the inner nodes of a tree that tracks
	 * none keep metadata in their last slot, which mt_free_walk() takes for
	 * a child when it frees a big tree in RCU mode.
	 */
	mt_init_flags(&layout->tree, MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN |
					     MT_FLAGS_ALLOC_RANGE);
	mt_set_external_lock(&layout->tree, &layout->lock);
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
 * @range: The last one frees the object after a grace period, since faults
 *	look at objects under RCU before they own a reference.
 *
 * Context: May sleep: the source may go with it.
 */
void memview_range_put(struct memview_range *range)
{
	if (!refcount_dec_and_test(&range->refs))
		return;
	memview_source_put(range->source);
	kfree_rcu(range, rcu);
}

/* What replacing the entries of a span does to the numbers of a layout. */
struct change {
	long entries;
	unsigned long pages;
};

static void count_change(struct memview_layout *layout, pgoff_t first,
			 pgoff_t last, struct change *change)
{
	MA_STATE(mas, &layout->tree, first, first);
	void *entry;

	mas_for_each(&mas, entry, last) {
		change->pages +=
			min(mas.last, last) - max(mas.index, first) + 1;
		if (mas.index < first && mas.last > last)
			change->entries++;
		else if (mas.index >= first && mas.last <= last)
			change->entries--;
		cond_resched();
	}
}

/* As count_change() has counted; the tree is stored to right after. */
static struct memview_range *drop_entries(struct memview_layout *layout,
					  pgoff_t first, pgoff_t last)
{
	MA_STATE(mas, &layout->tree, first, first);
	struct memview_range *range, *dead = NULL;

	mas_for_each(&mas, range, last) {
		if (mas.index < first && mas.last > last) {
			range->entries++;
		} else if (mas.index >= first && mas.last <= last &&
			   --range->entries == 0) {
			range->next_dead = dead;
			dead = range;
		}
		cond_resched();
	}
	return dead;
}

/**
 * memview_layout_replace - put one range, or none, in the place of a span
 * @layout: Layout. The caller holds view->change_lock.
 * @first: First page of the span.
 * @last: Last page.
 * @range: What goes there; its reference becomes the layout's. NULL: nothing.
 * @pages: Set to how many pages of the span had a range.
 * @dead: Set to the ranges that no entry shows any more, linked by next_dead;
 *	the layout's reference of each becomes the caller's.
 *
 * Context: May sleep.
 * Return: 0; -ENOSPC beyond the limit of ranges or -ENOMEM, and nothing has
 *	changed.
 */
int memview_layout_replace(struct memview_layout *layout, pgoff_t first,
			   pgoff_t last, struct memview_range *range,
			   unsigned long *pages, struct memview_range **dead)
{
	MA_STATE(mas, &layout->tree, first, last);
	struct change change = { .entries = range ? 1 : 0 };
	int err = 0;

	*dead = NULL;
	down_write(&layout->lock);
	count_change(layout, first, last, &change);
	*pages = change.pages;
	if (!range && !change.pages)
		goto unlock;
	if (change.entries > 0 && layout->nr_ranges + change.entries >
					  READ_ONCE(memview_max_ranges)) {
		err = -ENOSPC;
		goto unlock;
	}
	err = mas_preallocate(&mas, range, GFP_KERNEL_ACCOUNT);
	if (err)
		goto unlock;

	*dead = drop_entries(layout, first, last);
	if (range)
		range->entries = 1;
	mas_store_prealloc(&mas, range);
	layout->changes++;
	layout->nr_ranges += change.entries;
	layout->nr_pages -= change.pages;
	if (range)
		layout->nr_pages += last - first + 1;
unlock:
	up_write(&layout->lock);
	return err;
}

/**
 * memview_layout_clear - empty a layout that nobody uses any more
 * @layout: Layout. Neither faults nor changes are left.
 *
 * Return: All ranges, as @dead of memview_layout_replace().
 */
struct memview_range *memview_layout_clear(struct memview_layout *layout)
{
	struct memview_range *dead;

	down_write(&layout->lock);
	dead = drop_entries(layout, 0, ULONG_MAX);
	__mt_destroy(&layout->tree);
	layout->nr_ranges = 0;
	layout->nr_pages = 0;
	up_write(&layout->lock);
	return dead;
}

/**
 * memview_layout_next - the next range at or after a page
 * @layout: Layout.
 * @pgoff: Where to look; set to where the range starts.
 * @last: Set to where it ends.
 *
 * Context: May sleep.
 * Return: The range with a reference for the caller, or NULL.
 */
struct memview_range *memview_layout_next(struct memview_layout *layout,
					  pgoff_t *pgoff, pgoff_t *last)
{
	MA_STATE(mas, &layout->tree, *pgoff, *pgoff);
	struct memview_range *range;

	down_read(&layout->lock);
	range = mas_find(&mas, ULONG_MAX);
	if (range) {
		refcount_inc(&range->refs);
		*pgoff = mas.index;
		*last = mas.last;
	}
	up_read(&layout->lock);
	return range;
}

/**
 * memview_layout_is - is this range still what the layout shows at a page?
 * @layout: Layout. The caller holds its lock.
 * @pgoff: Page of the view.
 * @range: Range, of which the caller owns a reference.
 */
bool memview_layout_is(struct memview_layout *layout, pgoff_t pgoff,
		       const struct memview_range *range)
{
	lockdep_assert_held(&layout->lock);
	return mtree_load(&layout->tree, pgoff) == range;
}

/**
 * memview_layout_at - the range at a page, while the layout cannot change
 * @layout: Layout. The caller holds its lock.
 * @pgoff: Page of the view.
 * @first: Set to the first page, around this one, at which it is shown.
 * @last: Set to the last one.
 *
 * Return: The range, the layout's; or NULL.
 */
struct memview_range *memview_layout_at(struct memview_layout *layout,
					pgoff_t pgoff, pgoff_t *first,
					pgoff_t *last)
{
	MA_STATE(mas, &layout->tree, pgoff, pgoff);
	struct memview_range *range;

	lockdep_assert_held(&layout->lock);
	range = mas_walk(&mas);
	*first = mas.index;
	*last = mas.last;
	return range;
}
