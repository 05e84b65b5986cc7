// SPDX-License-Identifier: GPL-2.0
/*
 * Letting go of the files of a source.
 *
 * A change detaches a source under the view's change_lock, and closes its files
 * after that lock. Two ways lead there.
 *
 * A file in memory or on a disk is put at once, as munmap() does: its last
 * reference goes on the task's way back to user space.
 *
 * Closing any other file may wait for a server: FUSE writes back in ->close, NFS
 * and CIFS tell their server in ->release, and a server may never answer. A worker
 * closes those. The task waits for the worker, but a fatal signal or
 * memview_close_timeout ends that wait. Per file system, one worker closes one
 * source at a time and the others queue behind it, so one server cannot keep all
 * workers from the files of other servers.
 */
#include <linux/backing-dev.h>
#include <linux/completion.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "memview.h"

unsigned int memview_close_timeout = 1000;

static struct workqueue_struct *close_queue;
static LIST_HEAD(closing); /* the one that is being closed, per file system */
static DEFINE_SPINLOCK(closing_lock); /* guards all of this file's lists */

/**
 * struct memview_closer - a task that waits for files to be closed
 * @sources: Those that it waits for.
 * @pending: How many they are, and one more until the task begins to wait.
 * @done: Completed when @pending reaches 0.
 *
 * All under closing_lock.
 */
struct memview_closer {
	struct list_head sources;
	unsigned int pending;
	struct completion done;
};

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

/* Does closing the file need nobody's answer but a disk's? */
static bool is_local(struct file *file)
{
	return !file->f_op->flush &&
	       ((file_inode(file)->i_sb->s_type->fs_flags & FS_REQUIRES_DEV) ||
		!mapping_can_writeback(file->f_mapping));
}

/**
 * memview_is_local - can the files of a source be closed without a server?
 * @source: Source; its VMA is as ->mmap left it.
 *
 * Context: Any.
 */
bool memview_is_local(const struct memview_source *source)
{
	return !source->vma.vm_ops->close && is_local(source->user_file) &&
	       (source->vma.vm_file == source->user_file ||
		is_local(source->vma.vm_file));
}

/* ---- By a worker ---- */

/* Under closing_lock. */
static struct memview_source *find_closing(const struct super_block *sb)
{
	struct memview_source *source;

	list_for_each_entry(source, &closing, closing)
		if (source->sb == sb)
			return source;
	return NULL;
}

/* The next one behind takes the place of @source. Under closing_lock. */
static struct memview_source *succeed(struct memview_source *source)
{
	struct memview_source *next = list_first_entry_or_null(
		&source->behind, struct memview_source, closing);

	if (!next) {
		list_del(&source->closing);
		return NULL;
	}
	list_del(&next->closing);
	list_splice(&source->behind, &next->behind);
	list_replace(&source->closing, &next->closing);
	next->since = jiffies;
	return next;
}

/* Under closing_lock. */
static void tell_closer(struct memview_source *source)
{
	struct memview_closer *closer = source->closer;

	if (!closer)
		return;
	list_del(&source->awaited);
	if (!--closer->pending)
		complete(&closer->done);
}

static void close_slowly(struct work_struct *work)
{
	struct memview_source *source =
		container_of(work, struct memview_source, work);
	struct memview_source *next;

	if (source->vma.vm_ops->close)
		source->vma.vm_ops->close(&source->vma);
	/* fput() of a worker would leave them to another, a tick later. */
	/* Of overlayfs, the real file last: only the last reference closes it here. */
	__fput_sync(source->user_file);
	__fput_sync(source->vma.vm_file);
	spin_lock(&closing_lock);
	next = succeed(source);
	tell_closer(source);
	spin_unlock(&closing_lock);
	if (next)
		queue_work(close_queue, &next->work);
	kfree(source);
}

static unsigned long timeout(void)
{
	return msecs_to_jiffies(READ_ONCE(memview_close_timeout));
}

/* A server that has been silent for so long is not waited for. */
static bool is_silent(const struct memview_source *first)
{
	return first && time_after_eq(jiffies, first->since + timeout());
}

/* @closer: the task that waits, or NULL. */
static void close_by_worker(struct memview_source *source,
			    struct memview_closer *closer)
{
	struct memview_source *first;

	INIT_WORK(&source->work, close_slowly);
	INIT_LIST_HEAD(&source->behind);
	/* A key: it may be freed, and another one have its address. */
	source->sb = file_inode(source->vma.vm_file)->i_sb;
	source->since = jiffies;
	spin_lock(&closing_lock);
	first = find_closing(source->sb);
	list_add_tail(&source->closing, first ? &first->behind : &closing);
	source->closer = is_silent(first) ? NULL : closer;
	if (source->closer) {
		list_add_tail(&source->awaited, &closer->sources);
		closer->pending++;
	}
	spin_unlock(&closing_lock);
	if (!first)
		queue_work(close_queue, &source->work);
}

/* Those that are not closed by now no longer know of the closer. */
static void give_up(struct memview_closer *closer)
{
	struct memview_source *source;

	spin_lock(&closing_lock);
	while (!list_empty(&closer->sources)) {
		source = list_first_entry(&closer->sources,
					  struct memview_source, awaited);
		list_del(&source->awaited);
		source->closer = NULL;
		cond_resched_lock(&closing_lock);
	}
	spin_unlock(&closing_lock);
}

static void await(struct memview_closer *closer)
{
	spin_lock(&closing_lock);
	if (!--closer->pending)
		complete(&closer->done);
	spin_unlock(&closing_lock);
	if (wait_for_completion_killable_timeout(&closer->done, timeout()) <= 0)
		give_up(closer);
}

/* ---- By the task ---- */

static void close_local(struct memview_source *source)
{
	fput(source->vma.vm_file);
	fput(source->user_file);
	kfree(source);
}

/*
 * The last fput() of a kernel thread takes a tick, and that of a BPF program waits
 * for the end of a system call that may sleep for hours. A worker takes neither.
 */
static bool may_close(const struct memview_source *source, bool user)
{
	return source->local && user;
}

static bool is_user(void)
{
	return !(current->flags & PF_KTHREAD);
}

/* At its end a task hears of no signal any more: a killed one does not wait at all. */
static bool is_killed(void)
{
	return (current->flags & PF_EXITING) &&
	       (READ_ONCE(current->signal->group_exit_code) & 0x7f);
}

/**
 * memview_source_put - give a reference back
 * @source: With the last one its files are closed. It is unlinked already.
 *
 * Context: May sleep, but waits for no server.
 */
void memview_source_put(struct memview_source *source)
{
	if (!refcount_dec_and_test(&source->refs))
		return;
	if (may_close(source, is_user()))
		close_local(source);
	else
		close_by_worker(source, NULL);
}

/* @user: the task may close local files; @wait: it also waits for the others. */
static void let_go(struct list_head *gone, bool user, bool wait)
{
	struct memview_closer closer = {
		.sources = LIST_HEAD_INIT(closer.sources),
		.pending = 1,
		.done = COMPLETION_INITIALIZER_ONSTACK(closer.done),
	};
	struct memview_source *source, *next;
	bool queued = false;

	list_for_each_entry_safe(source, next, gone, closing) {
		list_del(&source->closing);
		cond_resched();
		if (!refcount_dec_and_test(&source->refs))
			continue;
		if (may_close(source, user)) {
			close_local(source);
		} else {
			close_by_worker(source, wait ? &closer : NULL);
			queued = wait;
		}
	}
	/* Under the lock: a worker may have the closer in its hands. */
	if (queued)
		await(&closer);
}

/**
 * memview_let_go - close the files of sources that a change has detached
 * @gone: From memview_end_change().
 * @wait: The task is about to return to user space from a request of its own, and
 *	can wait for servers: for memview_close_timeout, in all, or until it is
 *	killed.
 *
 * A file that a fault in flight still uses is closed when the fault is done, and
 * is not waited for: nor does munmap() wait for a fault that waits for storage.
 *
 * Context: May sleep. No lock may be held that a server could need.
 */
void memview_let_go(struct list_head *gone, bool wait)
{
	if (!list_empty(gone))
		let_go(gone, wait && is_user(),
		       wait && is_user() && !is_killed());
}
