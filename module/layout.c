// SPDX-License-Identifier: GPL-2.0
/*
 * Which range is where in a view: a maple tree of range objects.
 *
 * A change replaces the entries of a span by one entry or by none, or those of
 * many spans at once. Entries at its borders are cut by the tree; the objects
 * they point to stay as they are, and count how many entries show them. An
 * object without an entry left is handed back to the caller, who forgets it
 * after the zap.
 *
 * Only changes write to the tree, and one at a time: what one of them has found
 * is still so when it has the lock for writing. But whether a range is touched,
 * faults may change until then.
 *
 * Nothing here knows of page tables, files or BPF.
 */
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "memview.h"

unsigned int memview_max_ranges = 1048576;

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
	init_rwsem(&layout->lock);
	/* Who looks at it has the lock: RCU need not be able to read it. */
	mt_init_flags(&layout->tree, MT_FLAGS_LOCK_EXTERN);
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

/* What a change does to the numbers of a layout. */
struct numbers {
	long ranges;
	long pages;
};

/* Pieces up to @end that adjoin: entries are cut at the first and the last. */
static struct memview_piece *span_end(struct memview_piece *piece,
				      const struct memview_piece *end)
{
	do {
		piece++;
	} while (piece < end && piece->first == piece[-1].last + 1);
	return piece;
}

static void look_at(struct memview_piece *piece, pgoff_t first, pgoff_t last,
		    const struct memview_range *old)
{
	piece->pages += min(piece->last, last) - max(piece->first, first) + 1;
	if (!piece->range || !memview_can_keep(old, piece->range))
		piece->zap = true;
	else if (old->source != piece->range->source)
		piece->moved = true;
}

/* What is there now, below pieces that adjoin: how many ranges more there will be. */
static long look_below(struct memview_layout *layout,
		       struct memview_piece *piece,
		       const struct memview_piece *end)
{
	MA_STATE(mas, &layout->tree, piece->first, piece->first);
	const pgoff_t first = piece->first, last = end[-1].last;
	struct memview_range *old;
	long more = 0;

	mas_for_each(&mas, old, last) {
		if (mas.index < first && mas.last > last)
			more++;
		else if (mas.index >= first && mas.last <= last)
			more--;
		while (piece->last < mas.index)
			piece++;
		look_at(piece, mas.index, mas.last, old);
		while (piece->last < mas.last && piece + 1 < end)
			look_at(++piece, mas.index, mas.last, old);
		cond_resched();
	}
	return more;
}

/* Nothing of the view changes here. */
static struct numbers look(struct memview_layout *layout,
			   struct memview_piece *pieces,
			   struct memview_piece *end)
{
	struct memview_piece *piece = pieces, *next;
	struct numbers numbers = {};

	down_read(&layout->lock);
	for (; piece < end; piece = next) {
		next = span_end(piece, end);
		numbers.ranges += look_below(layout, piece, next);
	}
	up_read(&layout->lock);
	for (piece = pieces; piece < end; piece++) {
		numbers.pages -= piece->pages;
		if (!piece->range)
			continue;
		numbers.pages += piece->last - piece->first + 1;
		numbers.ranges++;
	}
	return numbers;
}

/* As look_below() has counted; the tree is stored to right after. */
static void drop_below(struct memview_layout *layout,
		       struct memview_piece *piece,
		       const struct memview_piece *end,
		       struct memview_range **dead)
{
	MA_STATE(mas, &layout->tree, piece->first, piece->first);
	const pgoff_t first = piece->first, last = end[-1].last;
	struct memview_range *old;

	mas_for_each(&mas, old, last) {
		if (mas.index < first && mas.last > last) {
			old->entries++;
		} else if (mas.index >= first && mas.last <= last &&
			   --old->entries == 0) {
			old->next_dead = *dead;
			*dead = old;
		}
		while (piece->last < mas.index)
			piece++;
		piece->touched |= old->touched;
		while (piece->last < mas.last && piece + 1 < end)
			(++piece)->touched |= old->touched;
		cond_resched();
	}
}

static void drop_all(struct memview_layout *layout, struct memview_piece *piece,
		     const struct memview_piece *end,
		     struct memview_range **dead)
{
	struct memview_piece *next;

	for (; piece < end; piece = next) {
		next = span_end(piece, end);
		if (next > piece + 1 || piece->pages)
			drop_below(layout, piece, next, dead);
	}
}

/* The next piece that is not a hole already. */
static struct memview_piece *skip_holes(struct memview_piece *piece,
					const struct memview_piece *end)
{
	while (piece < end && !piece->range && !piece->pages)
		piece++;
	return piece;
}

static void store(struct ma_state *mas, struct memview_piece *piece)
{
	mas_store_prealloc(mas, piece->range);
	if (!piece->range)
		return;
	piece->range->entries++;
	/* By another piece it may have PTEs already. */
	piece->range->touched |= piece->touched && !piece->zap;
}

/*
 * Nodes of the tree for a store, a few, and more of them than the caller's
 * memory cgroup allows if must be. 7.x gets several at a time in a container
 * whose own memory does not heed __GFP_NOFAIL: one that is killed for want of
 * memory may not get it at once.
 */
static void prepare(struct ma_state *mas, const struct memview_piece *piece)
{
	for (;;) {
		mas_set_range(mas, piece->first, piece->last);
		if (!mas_preallocate(mas, piece->range,
				     GFP_KERNEL_ACCOUNT | __GFP_NOFAIL))
			return;
		schedule_timeout_uninterruptible(1);
	}
}

/*
 * Under layout->lock, for writing. After the first store there is no way back,
 * so the others insist on their memory.
 */
static int store_all(struct memview_layout *layout,
		     struct memview_piece *pieces, struct memview_piece *end,
		     struct memview_range **dead)
{
	MA_STATE(mas, &layout->tree, 0, 0);
	struct memview_piece *piece = skip_holes(pieces, end);
	int err;

	if (piece == end)
		return 0;
	mas_set_range(&mas, piece->first, piece->last);
	err = mas_preallocate(&mas, piece->range, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	drop_all(layout, pieces, end, dead);
	store(&mas, piece);
	while ((piece = skip_holes(piece + 1, end)) < end) {
		prepare(&mas, piece);
		store(&mas, piece);
	}
	layout->changes++;
	return 0;
}

/**
 * memview_layout_change - have spans show other ranges, or none, at once
 * @layout: Layout. The caller holds view->change_lock.
 * @pieces: What each span is to show. The references of ranges that appear
 *	here become the layout's.
 * @nr: How many pieces.
 * @dead: Set to the ranges that no entry shows any more, linked by next_dead;
 *	the layout's reference of each becomes the caller's.
 *
 * Context: May sleep.
 * Return: 0; -ENOSPC beyond the limit of ranges or -ENOMEM, and nothing has
 *	changed.
 */
int memview_layout_change(struct memview_layout *layout,
			  struct memview_piece *pieces, unsigned int nr,
			  struct memview_range **dead)
{
	struct numbers numbers = look(layout, pieces, pieces + nr);
	unsigned int noio;
	int err;

	*dead = NULL;
	if (numbers.ranges > 0 &&
	    layout->nr_ranges + numbers.ranges > READ_ONCE(memview_max_ranges))
		return -ENOSPC;
	/* Faults wait for the lock: they shall not wait for I/O as well. */
	noio = memalloc_noio_save();
	down_write(&layout->lock);
	err = store_all(layout, pieces, pieces + nr, dead);
	if (!err) {
		layout->nr_ranges += numbers.ranges;
		layout->nr_pages += numbers.pages;
	}
	up_write(&layout->lock);
	memalloc_noio_restore(noio);
	return err;
}

/**
 * memview_layout_clear - empty a layout for good
 * @layout: Layout. The caller holds view->change_lock, and no range comes
 *	afterwards.
 *
 * Context: May sleep. Does not allocate.
 * Return: All ranges, as @dead of memview_layout_change().
 */
struct memview_range *memview_layout_clear(struct memview_layout *layout)
{
	struct memview_piece all = { .last = ULONG_MAX };
	struct memview_range *dead = NULL;

	down_write(&layout->lock);
	drop_below(layout, &all, &all + 1, &dead);
	__mt_destroy(&layout->tree);
	layout->changes++;
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
 * memview_layout_pages - how many pages of a span have a range
 * @layout: Layout.
 * @first: First page of the span.
 * @last: Last page.
 *
 * Context: May sleep.
 */
unsigned long memview_layout_pages(struct memview_layout *layout, pgoff_t first,
				   pgoff_t last)
{
	MA_STATE(mas, &layout->tree, first, first);
	unsigned long pages = 0;
	void *entry;

	down_read(&layout->lock);
	mas_for_each(&mas, entry, last) {
		pages += min(mas.last, last) - max(mas.index, first) + 1;
		cond_resched();
	}
	up_read(&layout->lock);
	return pages;
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
