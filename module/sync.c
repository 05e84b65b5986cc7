// SPDX-License-Identifier: GPL-2.0
/*
 * Writing back and reading ahead what a view shows: msync(), fsync() and
 * MADV_WILLNEED of its clients.
 *
 * The core asks the view's file, which has no pages. So walk the layout, and ask
 * for each range the file that it shows. No lock of the view is held meanwhile;
 * a reference of the range keeps the source. Whatever the file waits for, it
 * holds up its caller alone.
 *
 * A file tells of an error of writeback once for each open file (errseq_t). The
 * source's open file is the controller's, and the controller must not lose an error
 * because a client has heard of it. So its cursor is put back after each sync, and each
 * source has a cursor of its own. What that finds goes to the address space of
 * the view's inode: from there each file of the view tells it once.
 */
#include <linux/fadvise.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/pagemap.h>
#include <linux/rcupdate_wait.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/spinlock.h>
#include <linux/wait_bit.h>

#include "memview.h"

/* A span of a source that the view shows, in bytes; @last is inclusive. */
struct shown {
	struct memview_view *view;
	struct memview_source *source;
	loff_t first;
	loff_t last;
	int datasync;
};

/*
 * Call @ask for all that a span of the view shows, as the layout is when the walk
 * comes by. An error does not end the walk, a fatal signal does.
 *
 * Return: the first error.
 */
static int walk_shown(struct memview_view *view, loff_t start, loff_t end,
		      int datasync, int (*ask)(const struct shown *shown))
{
	pgoff_t first = start >> PAGE_SHIFT, pgoff = first, last;
	const pgoff_t end_pgoff = end >> PAGE_SHIFT;
	struct shown shown = { .view = view, .datasync = datasync };
	struct memview_range *range;
	int err = 0, ret;

	for (; first <= end_pgoff; first = pgoff = last + 1) {
		range = memview_layout_next(&view->layout, &pgoff, &last);
		if (!range)
			break;
		first = max(first, pgoff);
		last = min(last, end_pgoff);
		if (first > last) {
			memview_range_put(range);
			break;
		}
		shown.source = range->source;
		shown.first = (loff_t)memview_file_pgoff(range, first)
			      << PAGE_SHIFT;
		shown.last = shown.first +
			     ((loff_t)(last - first + 1) << PAGE_SHIFT) - 1;
		ret = ask(&shown);
		memview_range_put(range);
		err = err ?: ret;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return err;
}

/* ---- Writing back ---- */

/**
 * struct sync - a file that is being written back for a client
 * @node: In syncs.
 * @file: The file.
 * @heard: The errors that the file's owner had heard of before.
 */
struct sync {
	struct hlist_node node;
	struct file *file;
	errseq_t heard;
};

static DEFINE_HASHTABLE(syncs, 8);
static DEFINE_SPINLOCK(syncs_lock);

/* Under syncs_lock. */
static bool is_synced(const struct file *file)
{
	const struct sync *other;

	hash_for_each_possible(syncs, other, node, (unsigned long)file)
		if (other->file == file)
			return true;
	return false;
}

static bool try_begin(struct sync *sync)
{
	bool is_free;

	spin_lock(&syncs_lock);
	is_free = !is_synced(sync->file);
	if (is_free) {
		sync->heard = READ_ONCE(sync->file->f_wb_err);
		hash_add(syncs, &sync->node, (unsigned long)sync->file);
	}
	spin_unlock(&syncs_lock);
	return is_free;
}

/*
 * One at a time for each file: of those that overlap for ever, none would see what
 * the owner has heard of meanwhile.
 */
static int sync_begin(struct sync *sync, struct file *file)
{
	sync->file = file;
	return wait_var_event_killable(file, try_begin(sync));
}

/*
 * If the owner has heard of an error from an fsync() of its own meanwhile, it is
 * told again: better than not at all.
 */
static void sync_end(struct sync *sync)
{
	spin_lock(&syncs_lock);
	hash_del(&sync->node);
	spin_lock(&sync->file->f_lock);
	if (sync->file->f_wb_err != sync->heard)
		sync->file->f_wb_err = sync->heard;
	spin_unlock(&sync->file->f_lock);
	spin_unlock(&syncs_lock);
	wake_up_var(sync->file);
}

static void note_errors(struct memview_view *view,
			struct memview_source *source)
{
	struct file *file = source->vma.vm_file;
	int err;

	spin_lock(&file->f_lock);
	err = errseq_check_and_advance(&file->f_mapping->wb_err,
				       &source->wb_err);
	spin_unlock(&file->f_lock);
	if (err)
		filemap_set_wb_err(view->inode->i_mapping, err);
}

/*
 * As msync() asks the file of an mmap: of overlayfs, the real one. A file system
 * without ->fsync cannot be written to.
 *
 * An error that the file's owner has not heard of yet can make ->fsync return
 * before it has done its work. It has advanced the cursor then: ask once more.
 */
static int write_back(const struct shown *shown)
{
	struct file *file = shown->source->vma.vm_file;
	struct sync sync;
	int err;

	if (!file->f_op->fsync)
		return 0;
	err = sync_begin(&sync, file);
	if (err)
		return err;
	err = vfs_fsync_range(file, shown->first, shown->last, shown->datasync);
	if (err && errseq_check(&file->f_mapping->wb_err, sync.heard))
		err = vfs_fsync_range(file, shown->first, shown->last,
				      shown->datasync);
	sync_end(&sync);
	note_errors(shown->view, shown->source);
	return err;
}

/**
 * memview_fsync - ->fsync of a view file, for msync() as well
 * @file: View file.
 * @start: First byte of the view.
 * @end: Last byte.
 * @datasync: As for any file.
 *
 * To write back takes no right to write, as it does not for any file.
 *
 * Context: May sleep, and wait for the storage of what the view shows.
 * Return: 0; -EINTR after a fatal signal; or the errno of a file that is shown,
 *	of an error of writeback once for each view file.
 */
int memview_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	int err, told;

	err = walk_shown(file->private_data, start, end, datasync, write_back);
	if (err == -EINTR)
		return err; /* others may have the file, too: nobody was told */
	told = file_check_and_advance_wb_err(file);
	return err ?: told;
}

/* ---- Reading ahead ---- */

/* The next page of a memory file, at or after @pgoff, that is swapped out. */
static bool next_swapped(struct address_space *mapping, pgoff_t *pgoff,
			 pgoff_t last)
{
	XA_STATE(xas, &mapping->i_pages, *pgoff);
	void *entry;

	rcu_read_lock();
	xas_for_each(&xas, entry, last) {
		if (xa_is_value(entry))
			break;
		if (need_resched()) {
			xas_pause(&xas);
			cond_resched_rcu();
		}
	}
	rcu_read_unlock();
	*pgoff = xas.xa_index;
	return entry;
}

/* One after the other: no module can begin to read them all, and wait later. */
static void swap_in(struct address_space *mapping, pgoff_t pgoff, pgoff_t last)
{
	struct folio *folio;

	while (next_swapped(mapping, &pgoff, last) &&
	       !fatal_signal_pending(current)) {
		if (!shmem_get_folio(mapping->host, pgoff, 0, &folio,
				     SGP_READ) &&
		    folio) {
			folio_unlock(folio);
			folio_put(folio);
		}
		if (pgoff++ == last)
			break;
		cond_resched();
	}
}

static int read_ahead(const struct shown *shown)
{
	struct file *file = shown->source->vma.vm_file;

	if (shmem_mapping(file->f_mapping))
		swap_in(file->f_mapping, shown->first >> PAGE_SHIFT,
			shown->last >> PAGE_SHIFT);
	else
		vfs_fadvise(file, shown->first, shown->last + 1 - shown->first,
			    POSIX_FADV_WILLNEED);
	return 0;
}

/**
 * memview_fadvise - ->fadvise of a view file, for MADV_WILLNEED as well
 * @file: View file.
 * @offset: First byte of the view.
 * @len: Bytes; 0: to the end.
 * @advice: POSIX_FADV_WILLNEED reads ahead what the view shows. Any other does
 *	nothing: it would be about the file of the source, which others use.
 *
 * Context: May sleep.
 * Return: 0, -EINVAL or -EINTR.
 */
int memview_fadvise(struct file *file, loff_t offset, loff_t len, int advice)
{
	loff_t end;

	if (advice != POSIX_FADV_WILLNEED)
		return generic_fadvise(file, offset, len, advice);
	if (offset < 0 || len < 0)
		return -EINVAL;
	if (!len || check_add_overflow(offset, len - 1, &end))
		end = LLONG_MAX;
	return walk_shown(file->private_data, offset, end, 0, read_ahead);
}
