// SPDX-License-Identifier: GPL-2.0
/*
 * The changes of a view: of its layout, and of its size.
 *
 * A change checks, allocates and asks first, then stores to the layout, zaps,
 * and only then lets go of what it replaced. Nothing after the store can fail.
 */
#include <linux/file.h>
#include <linux/mm.h>

#include "memview.h"
#include "policy.h"
#include "trace.h"

/**
 * memview_drop_ranges - forget ranges that the layout does not show
 * @dead: They, linked by next_dead, with a reference of each. Under
 *	view->change_lock.
 *
 * Context: May sleep.
 */
void memview_drop_ranges(struct memview_range *dead)
{
	while (dead) {
		struct memview_range *range = dead;

		dead = range->next_dead;
		memview_source_del_range(range->source, range);
		memview_range_put(range);
		cond_resched();
	}
}

/**
 * memview_can_keep - can PTEs of an old range stay under a new one?
 * @old: Old range.
 * @new: New one, in a place where @old is.
 *
 * They can if it shows the same pages, and forbids nothing. A fetch from a page
 * that is mapped without EXEC does not fault, it fails: so a new range that
 * allows it has to begin without PTEs.
 */
bool memview_can_keep(const struct memview_range *old,
		      const struct memview_range *new)
{
	if (old->source->vma.vm_file->f_mapping !=
	    new->source->vma.vm_file->f_mapping)
		return false;
	if (memview_file_pgoff(old, new->first) != new->file_first)
		return false;
	return !(old->flags & ~new->flags) &&
	       !((old->flags ^ new->flags) & MEMVIEW_MAP_EXEC);
}

/*
 * One zap for those that adjoin, also over a gap where no range was; and one look
 * at the clients for all.
 */
static void zap_pieces(struct memview_view *view,
		       const struct memview_piece *pieces, unsigned int nr,
		       enum memview_cause cause)
{
	const struct memview_piece *piece, *from = NULL, *to = NULL;
	bool touched = false, any = false;

	for (piece = pieces; piece < pieces + nr; piece++) {
		if (from && ((piece->pages && !piece->zap) ||
			     piece->first != piece[-1].last + 1)) {
			memview_zap(view, from->first, to->last, cause,
				    touched);
			from = NULL;
			touched = false;
		}
		if (!piece->zap)
			continue;
		if (!from)
			from = piece;
		to = piece;
		touched |= piece->touched;
		any |= piece->touched;
	}
	if (from)
		memview_zap(view, from->first, to->last, cause, touched);
	if (any)
		memview_flush_leaving(view);
}

/* Nobody on his way through a file's watches shall miss PTEs that stay. */
static void settle_pieces(const struct memview_piece *pieces, unsigned int nr)
{
	const struct memview_piece *piece;

	for (piece = pieces; piece < pieces + nr; piece++)
		if (piece->moved && piece->touched && !piece->zap)
			memview_watch_settle(piece->range->source);
}

/**
 * memview_change - have spans show other ranges, or none: every change's heart
 * @view: View. The caller holds its change_lock.
 * @pieces: As memview_layout_change() has them.
 * @nr: How many pieces.
 * @asked: What the policies have allowed it by; NULL: they were not asked.
 * @cause: For the tracepoint.
 *
 * When this returns, nobody reaches what the spans showed before.
 *
 * Context: May sleep.
 * Return: 0; -ENOSPC, -ENOMEM, or -ESTALE if what they have allowed has lapsed,
 *	and nothing has changed: the new ranges are still the caller's.
 */
int memview_change(struct memview_view *view, struct memview_piece *pieces,
		   unsigned int nr, const struct memview_asked *asked,
		   enum memview_cause cause)
{
	struct memview_range *dead;
	int err;

	lockdep_assert_held(&view->change_lock);
	err = memview_layout_change(&view->layout, pieces, nr, asked, &dead);
	if (err)
		return err;
	zap_pieces(view, pieces, nr, cause);
	/* This may wait for memory: what the change takes away is gone by now. */
	memview_layout_finish(&view->layout);
	settle_pieces(pieces, nr);
	memview_drop_ranges(dead);
	memview_count(view, changes);
	return 0;
}

static int take_away(struct memview_view *view, pgoff_t first, pgoff_t last,
		     enum memview_cause cause)
{
	struct memview_piece piece = {
		.first = first,
		.last = last,
	};

	return memview_change(view, &piece, 1, NULL, cause);
}

/* Check a span of the view, in bytes, and give it in pages. */
static int get_span(u64 offset, u64 size, pgoff_t *first, pgoff_t *last)
{
	u64 end;

	if (!size || !PAGE_ALIGNED(offset) || !PAGE_ALIGNED(size) ||
	    check_add_overflow(offset, size, &end))
		return -EINVAL;
	*first = offset >> PAGE_SHIFT;
	*last = (end - 1) >> PAGE_SHIFT;
	return 0;
}

/* Of a size that is not zero. */
static pgoff_t last_page(loff_t size)
{
	return (u64)(size - 1) >> PAGE_SHIFT;
}

/**
 * memview_is_within - is a span within the view?
 * @view: View. The caller holds its change_lock.
 * @last: Last page of the span.
 */
bool memview_is_within(struct memview_view *view, pgoff_t last)
{
	return view->size && last <= last_page(view->size);
}

/**
 * memview_check_map - the form of a map request
 * @info: Request.
 * @first: Set to the first page of the view that it asks for.
 * @last: Set to the last one.
 *
 * Return: 0 or -EINVAL.
 */
int memview_check_map(const struct memview_map_fd_info *info, pgoff_t *first,
		      pgoff_t *last)
{
	const u32 known = MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE |
			  MEMVIEW_MAP_EXEC;
	u64 end;

	if ((info->flags & ~known) || !(info->flags & MEMVIEW_MAP_READ) ||
	    !PAGE_ALIGNED(info->fd_offset) ||
	    check_add_overflow(info->fd_offset, info->size, &end) ||
	    end > MEMVIEW_MAX_FILE_OFFSET)
		return -EINVAL;
	return get_span(info->mem_offset, info->size, first, last);
}

/**
 * memview_check_unmap - the form of an unmap request
 * @info: Request.
 * @first: Set to the first page of the view that it asks for.
 * @last: Set to the last one.
 *
 * Return: 0 or -EINVAL.
 */
int memview_check_unmap(const struct memview_unmap_fd_info *info,
			pgoff_t *first, pgoff_t *last)
{
	if (info->flags || info->reserved)
		return -EINVAL;
	return get_span(info->mem_offset, info->size, first, last);
}

/*
 * Under view->change_lock, which is given up while the ->mmap of a new source
 * runs: that may wait for whoever serves the file, and no unmap should.
 */
static struct memview_source *get_source(struct memview_view *view,
					 struct file *file, u32 flags)
{
	struct memview_source *source = memview_source_find(view, file, flags);

	if (source)
		return source;
	mutex_unlock(&view->change_lock);
	source = memview_source_create(view, file, flags);
	mutex_lock(&view->change_lock);
	return IS_ERR(source) ? source : memview_source_adopt(source);
}

/**
 * memview_get_range - make the range of a map request, for a change to bring in
 * @view: View. The caller holds its change_lock, which may be given up for a
 *	while: the view may have another size then.
 * @file: The source.
 * @first: First page of the view.
 * @last: Last page.
 * @file_first: First page of the source.
 * @flags: Of enum memview_map_flags.
 *
 * Context: May sleep, and wait for whoever serves the file.
 * Return: The range, for memview_change() or memview_drop_ranges(); or an
 *	ERR_PTR() of the errnos in the uAPI header.
 */
struct memview_range *memview_get_range(struct memview_view *view,
					struct file *file, pgoff_t first,
					pgoff_t last, pgoff_t file_first,
					u32 flags)
{
	struct memview_source *source;
	struct memview_range *range;

	if (!memview_is_within(view, last))
		return ERR_PTR(-EINVAL);
	source = get_source(view, file, flags);
	if (IS_ERR(source))
		return ERR_CAST(source);
	range = memview_range_alloc(source, first, last, file_first, flags);
	if (!range) {
		memview_source_detach_unused(source);
		memview_source_put(source);
		return ERR_PTR(-ENOMEM);
	}
	memview_source_add_range(source, range);
	return range;
}

/* Under view->change_lock, which is given up while the policies are asked again. */
static int map_range(struct memview_asked *asked, struct file *file,
		     const struct memview_map_fd_info *info,
		     struct memview_range *range)
{
	struct memview_view *view = asked->view;
	struct memview_piece piece = {
		.first = range->first,
		.last = range->last,
		.range = range,
	};
	int err;

	for (;;) {
		/* The view may have shrunk meanwhile. */
		if (!memview_is_within(view, range->last))
			return -EINVAL;
		err = memview_commit(asked, &piece, 1, MEMVIEW_CAUSE_MAP);
		if (err != -ESTALE)
			return err;
		mutex_unlock(&view->change_lock);
		err = memview_asked_begin(asked) ?:
			      memview_ask_map_fd(asked, file, info);
		/* Not killable: the range must be taken back under it. */
		mutex_lock(&view->change_lock);
		if (err)
			return err;
	}
}

/* Under view->change_lock. */
static int map_file(struct memview_asked *asked, struct file *file,
		    const struct memview_map_fd_info *info)
{
	pgoff_t first = info->mem_offset >> PAGE_SHIFT;
	pgoff_t last = first + (info->size >> PAGE_SHIFT) - 1;
	struct memview_range *range;
	int err;

	range = memview_get_range(asked->view, file, first, last,
				  info->fd_offset >> PAGE_SHIFT, info->flags);
	if (IS_ERR(range))
		return PTR_ERR(range);
	err = map_range(asked, file, info, range);
	if (err)
		memview_drop_ranges(range);
	return err;
}

/**
 * memview_may_map - ask who has a say about it whether a file may be mapped
 * @asked: The request, or the batch that it belongs to, begun.
 * @file: File.
 * @info: The request, checked.
 *
 * The policies; and, as an mmap does, whoever fills the file when it is used
 * (fanotify's pre-content events): a fault will not ask.
 *
 * Context: May sleep, for as long as they like. No lock is held.
 * Return: 0, or the errno of the first that refuses.
 */
int memview_may_map(struct memview_asked *asked, struct file *file,
		    const struct memview_map_fd_info *info)
{
	return memview_ask_map_fd(asked, file, info) ?:
		       memview_have_filled(file, info->fd_offset, info->size);
}

/**
 * memview_view_map - MEMVIEW_MAP_FD
 * @view: View.
 * @info: Request, as it came.
 *
 * Context: May sleep.
 * Return: 0 or an errno of the uAPI header, and nothing has changed.
 */
int memview_view_map(struct memview_view *view,
		     const struct memview_map_fd_info *info)
{
	struct memview_asked asked = { .view = view };
	pgoff_t first, last;
	struct file *file;
	LIST_HEAD(gone);
	int err;

	err = memview_check_map(info, &first, &last);
	if (err)
		return err;
	file = fget(info->fd);
	if (!file)
		return -EBADF;
	err = memview_asked_begin(&asked)		  ?:
		      memview_may_map(&asked, file, info) ?:
		      mutex_lock_killable(&view->change_lock);
	if (!err) {
		err = map_file(&asked, file, info);
		memview_end_change(view, &gone);
	}
	memview_asked_end(&asked);
	trace_memview_map(&view->bpf, file, info, err);
	fput(file);
	memview_let_go(&gone, true);
	return err;
}

/**
 * memview_view_unmap - MEMVIEW_UNMAP_FD
 * @view: View.
 * @info: Request, as it came.
 *
 * Context: May sleep.
 * Return: 0 or an errno of the uAPI header, and nothing has changed.
 */
int memview_view_unmap(struct memview_view *view,
		       const struct memview_unmap_fd_info *info)
{
	pgoff_t first, last;
	LIST_HEAD(gone);
	int err;

	err = memview_check_unmap(info, &first, &last) ?:
		      mutex_lock_killable(&view->change_lock);
	if (err)
		return err;
	err = memview_is_within(view, last) ?
		      take_away(view, first, last, MEMVIEW_CAUSE_UNMAP) :
		      -EINVAL;
	memview_end_change(view, &gone);
	trace_memview_unmap(&view->bpf, info, err);
	if (!err)
		memview_tell_unmap(view, info->mem_offset, info->size);
	memview_let_go(&gone, true);
	return err;
}

/**
 * memview_view_resize - ftruncate()
 * @view: View.
 * @size: New size in bytes, any. Ranges beyond its last page are unmapped.
 *
 * Context: May sleep.
 * Return: 0; -ENOMEM or -EINTR, and nothing has changed.
 */
int memview_view_resize(struct memview_view *view, loff_t size)
{
	pgoff_t first = ((u64)size + PAGE_SIZE - 1) >> PAGE_SHIFT;
	u64 from = PAGE_ALIGN((u64)size), to;
	LIST_HEAD(gone);
	loff_t old;
	int err;

	err = mutex_lock_killable(&view->change_lock);
	if (err)
		return err;
	old = view->size;
	if (old && first <= last_page(old))
		err = take_away(view, first, last_page(old),
				MEMVIEW_CAUSE_RESIZE);
	else
		memview_count(view, changes);
	if (!err) {
		view->size = size;
		i_size_write(view->inode, size);
	}
	memview_end_change(view, &gone);
	trace_memview_resize(&view->bpf, old, size, err);
	/* Up to 2^63: as an loff_t that would be negative. */
	to = PAGE_ALIGN((u64)old);
	if (!err && from < to)
		memview_tell_unmap(view, from, to - from);
	memview_let_go(&gone, true);
	return err;
}

/* Under view->change_lock. */
static int revoke(struct memview_view *view, pgoff_t first, pgoff_t last)
{
	if (view->dead)
		return -ENOENT;
	memview_count_revoke(view);
	if (!view->size || first > last_page(view->size))
		return 0;
	return take_away(view, first, min(last, last_page(view->size)),
			 MEMVIEW_CAUSE_REVOKE);
}

/**
 * memview_view_revoke - take a span away, from outside
 * @view: View. The caller owns a reference; it may be dead.
 * @offset: Bytes.
 * @size: Bytes. Both zero: the whole view.
 *
 * Context: May sleep. A reclaim or a fault must not depend on the caller.
 * Return: 0; -EINVAL unaligned or overflowing; -ENOENT the view is dead;
 *	-ENOMEM or -ENOSPC, and nothing has changed. Taking a whole view away
 *	makes no range more: it is never -ENOSPC.
 */
int memview_view_revoke(struct memview_view *view, u64 offset, u64 size)
{
	pgoff_t first = 0, last = ULONG_MAX >> PAGE_SHIFT;
	bool whole = !offset && !size;
	LIST_HEAD(gone);
	int err = 0;

	if (!whole)
		err = get_span(offset, size, &first, &last);
	if (err)
		return err;
	mutex_lock(&view->change_lock);
	if (whole)
		size = PAGE_ALIGN(view->size);
	err = revoke(view, first, last);
	memview_end_change(view, &gone);
	/* The caller may be any task, and have others to revoke. */
	memview_let_go(&gone, false);
	trace_memview_revoke(&view->bpf, offset, size, err);
	if (!err && size)
		memview_tell_unmap(view, offset, size);
	return err;
}
