// SPDX-License-Identifier: GPL-2.0
/*
 * Letting go of the files of a source.
 *
 * A ->close may wait for whoever serves the file: FUSE writes back in it. No
 * change waits for that, nor a fault. And of each file system one source is
 * closed at a time, the others wait behind it: so that one server cannot keep all
 * workers of the queue from the files of the others.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "memview.h"

static struct workqueue_struct *close_queue;
static LIST_HEAD(closing); /* the one of each file system */
static DEFINE_SPINLOCK(closing_lock); /* of these, and of those behind them */

/**
 * memview_source_init - have the queue that closes files
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int memview_source_init(void)
{
	close_queue = alloc_workqueue("memview", WQ_UNBOUND, WQ_MAX_ACTIVE);
	return close_queue ? 0 : -ENOMEM;
}

/**
 * memview_source_exit - undo it, when all files are closed
 *
 * Context: May sleep, and waits for that.
 */
void memview_source_exit(void)
{
	destroy_workqueue(close_queue);
}

static void close_files(struct memview_source *source)
{
	fput(source->vma.vm_file);
	fput(source->user_file);
	kfree(source);
}

static const struct super_block *sb_of(const struct memview_source *source)
{
	return file_inode(source->vma.vm_file)->i_sb;
}

/* Under closing_lock. */
static struct memview_source *find_closing(const struct super_block *sb)
{
	struct memview_source *source;

	list_for_each_entry(source, &closing, closing)
		if (sb_of(source) == sb)
			return source;
	return NULL;
}

static void close_slowly(struct work_struct *work)
{
	struct memview_source *source =
		container_of(work, struct memview_source, work);
	struct memview_source *next;

	source->vma.vm_ops->close(&source->vma);
	spin_lock(&closing_lock);
	next = list_first_entry_or_null(&source->behind, struct memview_source,
					closing);
	if (next) {
		list_del(&next->closing);
		list_splice(&source->behind, &next->behind);
		list_replace(&source->closing, &next->closing);
	} else {
		list_del(&source->closing);
	}
	spin_unlock(&closing_lock);
	if (next)
		queue_work(close_queue, &next->work);
	close_files(source);
}

/**
 * memview_source_put - give a reference back
 * @source: With the last one its files are closed. It is unlinked already.
 *
 * Context: May sleep.
 */
void memview_source_put(struct memview_source *source)
{
	struct memview_source *first;

	if (!refcount_dec_and_test(&source->refs))
		return;
	if (!source->vma.vm_ops->close) {
		close_files(source);
		return;
	}
	INIT_WORK(&source->work, close_slowly);
	INIT_LIST_HEAD(&source->behind);
	spin_lock(&closing_lock);
	first = find_closing(sb_of(source));
	list_add_tail(&source->closing, first ? &first->behind : &closing);
	spin_unlock(&closing_lock);
	if (!first)
		queue_work(close_queue, &source->work);
}
