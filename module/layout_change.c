// SPDX-License-Identifier: GPL-2.0
/*
 * How a change enters a layout.
 *
 * memview_layout_change() looks at what is there, has memory for its first store,
 * and shows all pieces to the faults at once. From here on a fault finds the pieces
 * where they are, and the tree elsewhere. memview_layout_finish() stores the pieces
 * to the tree, where nobody looks for them yet. With the last store the pieces go.
 *
 * An entry at the border of a piece is cut by the tree; the object that it points to
 * stays as it is, and counts how many entries show it. An object without an entry
 * left is handed back to the caller, which forgets it after the zap.
 *
 * Faults wait for layout->lock, under mmap_lock and maybe with a folio locked. The
 * task of a change may be throttled by its cgroups (memory.high, cpu.max) for
 * seconds. So layout->lock is a lock that spins: its holder neither sleeps nor is
 * preempted. Nothing is allocated under it, and nothing done that takes longer with
 * the number of ranges: a store takes away a limited number of entries.
 */
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "memview.h"
#include "policy.h"

/* How many entries a store may take away: some ten microseconds. */
#define STORE_MAX 1024

unsigned int memview_max_ranges = 1048576;

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
	piece->entries++;
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

	for (; piece < end; piece = next) {
		next = span_end(piece, end);
		numbers.ranges += look_below(layout, piece, next);
	}
	for (piece = pieces; piece < end; piece++) {
		numbers.pages -= piece->pages;
		if (!piece->range)
			continue;
		numbers.pages += piece->last - piece->first + 1;
		numbers.ranges++;
	}
	return numbers;
}

/*
 * As look_below() has counted. The pieces are shown: by what they hide, no fault
 * inserts a PTE any more.
 */
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
		piece->touched |= READ_ONCE(old->touched);
		while (piece->last < mas.last && piece + 1 < end)
			(++piece)->touched |= READ_ONCE(old->touched);
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

/* From here on, each look-up finds these, all of them or none. */
static void show(struct memview_layout *layout, struct memview_piece *pieces,
		 unsigned int nr)
{
	write_lock(&layout->lock);
	layout->pieces = pieces;
	layout->nr_pieces = nr;
	layout->changes++;
	write_unlock(&layout->lock);
}

/*
 * Attaching a policy waits for this, and for nothing else of a change: a change as
 * a whole takes as long as the cgroups of its task want.
 */
static int show_allowed(struct memview_layout *layout,
			struct memview_piece *pieces, unsigned int nr,
			const struct memview_asked *asked)
{
	int idx;

	if (!asked) {
		show(layout, pieces, nr);
		return 0;
	}
	idx = memview_commit_begin(asked);
	if (idx < 0) {
		mas_destroy(&layout->mas);
		return idx;
	}
	show(layout, pieces, nr);
	memview_commit_end(idx);
	return 0;
}

/* Does the next store for a piece take away a part of what is there, and no more? */
static bool is_partial(const struct memview_piece *piece)
{
	return unlikely(piece->entries > STORE_MAX);
}

/* Where such a store ends. */
static noinline pgoff_t partial_end(struct memview_layout *layout,
				    const struct memview_piece *piece)
{
	MA_STATE(mas, &layout->tree, piece->first, piece->first);
	unsigned int nr = 0;
	void *entry;

	mas_for_each(&mas, entry, piece->last)
		if (++nr == STORE_MAX)
			break;
	cond_resched();
	return mas.last;
}

/* Have the nodes of the tree that the next store takes, a few. */
static int prepare(struct memview_layout *layout,
		   const struct memview_piece *piece, gfp_t gfp)
{
	struct memview_range *entry = piece->range;
	pgoff_t last = piece->last;

	if (is_partial(piece)) {
		entry = NULL;
		last = partial_end(layout, piece);
	}
	mas_set_range(&layout->mas, piece->first, last);
	return mas_preallocate(&layout->mas, entry, gfp);
}

/*
 * After the pieces are shown there is no way back: have more memory than the
 * caller's memory cgroup allows if must be. 7.x gets several nodes at a time in a
 * container whose own memory does not heed __GFP_NOFAIL: a task that is killed for
 * want of memory may not get it at once.
 */
static void insist(struct memview_layout *layout,
		   const struct memview_piece *piece)
{
	while (prepare(layout, piece, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL))
		schedule_timeout_uninterruptible(1);
}

/* By a range that comes, faults may have inserted PTEs already. */
static void take_in(const struct memview_piece *piece)
{
	struct memview_range *range = piece->range;

	if (!range)
		return;
	range->entries++;
	if (piece->touched && !piece->zap)
		WRITE_ONCE(range->touched, true);
}

/*
 * Do the store that is prepared for a piece.
 * Return: The piece that is next; after the last, none is shown any more.
 */
static struct memview_piece *store(struct memview_layout *layout,
				   struct memview_piece *piece,
				   const struct memview_piece *end)
{
	struct memview_range *entry = NULL;
	struct memview_piece *next = piece;

	if (is_partial(piece)) {
		piece->entries -= STORE_MAX;
	} else {
		entry = piece->range;
		take_in(piece);
		next = skip_holes(piece + 1, end);
	}
	write_lock(&layout->lock);
	mas_store_prealloc(&layout->mas, entry);
	if (next == end)
		layout->pieces = NULL;
	write_unlock(&layout->lock);
	return next;
}

/**
 * memview_layout_change - have spans show other ranges, or none, at once
 * @layout: Layout. The caller holds view->change_lock.
 * @pieces: What each span is to show; the layout's until memview_layout_finish().
 *	The references of ranges that appear here become the layout's.
 * @nr: How many pieces.
 * @asked: What the policies have allowed it by; NULL: they were not asked.
 * @dead: Set to the ranges that no fault finds any more, linked by next_dead;
 *	the layout's reference of each becomes the caller's, after
 *	memview_layout_finish().
 *
 * Context: May sleep.
 * Return: 0: the pieces are shown, and memview_layout_finish() must follow; -ENOSPC
 *	beyond the limit of ranges, -ENOMEM, or -ESTALE if what they have allowed
 *	has lapsed, and nothing has changed.
 */
int memview_layout_change(struct memview_layout *layout,
			  struct memview_piece *pieces, unsigned int nr,
			  const struct memview_asked *asked,
			  struct memview_range **dead)
{
	struct memview_piece *piece, *end = pieces + nr;
	struct numbers numbers = look(layout, pieces, end);
	int err;

	*dead = NULL;
	if (numbers.ranges > 0 &&
	    layout->nr_ranges + numbers.ranges > READ_ONCE(memview_max_ranges))
		return -ENOSPC;
	piece = skip_holes(pieces, end);
	if (piece == end)
		return 0;
	err = prepare(layout, piece, GFP_KERNEL_ACCOUNT);
	if (err)
		return err;
	err = show_allowed(layout, pieces, nr, asked);
	if (err)
		return err;
	drop_all(layout, pieces, end, dead);
	WRITE_ONCE(layout->nr_ranges, layout->nr_ranges + numbers.ranges);
	WRITE_ONCE(layout->nr_pages, layout->nr_pages + numbers.pages);
	return 0;
}

/**
 * memview_layout_finish - carry the pieces of a change into the tree
 * @layout: Layout, after memview_layout_change(). The caller holds
 *	view->change_lock.
 *
 * No fault finds another layout by this.
 *
 * Context: May sleep.
 */
void memview_layout_finish(struct memview_layout *layout)
{
	struct memview_piece *piece = layout->pieces, *end;

	if (!piece)
		return;
	end = piece + layout->nr_pieces;
	piece = store(layout, skip_holes(piece, end), end);
	while (piece < end) {
		insist(layout, piece);
		piece = store(layout, piece, end);
	}
}

/**
 * memview_layout_clear - empty a layout for good
 * @layout: Layout. The caller holds view->change_lock, and no range comes
 *	afterwards.
 *
 * A piece of nothing keeps the faults from the tree while it goes.
 *
 * Context: May sleep. Does not allocate.
 * Return: All ranges, as @dead of memview_layout_change().
 */
struct memview_range *memview_layout_clear(struct memview_layout *layout)
{
	struct memview_piece all = { .last = ULONG_MAX };
	struct memview_range *dead = NULL;

	show(layout, &all, 1);
	drop_below(layout, &all, &all + 1, &dead);
	__mt_destroy(&layout->tree);
	WRITE_ONCE(layout->nr_ranges, 0);
	WRITE_ONCE(layout->nr_pages, 0);
	write_lock(&layout->lock);
	layout->pieces = NULL;
	write_unlock(&layout->lock);
	return dead;
}
