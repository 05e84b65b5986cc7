// SPDX-License-Identifier: GPL-2.0
/*
 * Many maps and unmaps as one change.
 *
 * All that can fail, or wait, is done for each entry before anything changes:
 * copy, check, ask the policies, get the file to be a source, make the range.
 * Then the entries are composed: laid over one another, in order, outside of
 * the layout. What remains to be seen of them are disjoint pieces, and those go
 * into the layout together.
 */
#include <linux/file.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "memview.h"
#include "policy.h"
#include "trace.h"

/* What an entry took in its first published form. */
#define OP_SIZE_MIN 40

/**
 * struct entry - one map or unmap
 * @map: The request, of a map.
 * @unmap: The request, of an unmap.
 * @file: What to map, with a reference; NULL: this is an unmap.
 * @range: What has been made of it.
 * @first: First page of the view.
 * @last: Last page.
 * @shown: A later entry does not hide all of it.
 */
struct entry {
	union {
		struct memview_map_fd_info map;
		struct memview_unmap_fd_info unmap;
	};
	struct file *file;
	struct memview_range *range;
	pgoff_t first;
	pgoff_t last;
	bool shown;
};

/**
 * struct batch - all of them
 * @view: View.
 * @entries: As they came.
 * @nr: How many.
 * @at: The entry that is dealt with; @nr: none of them, or all.
 * @pieces: What remains of them.
 * @nr_pieces: How many. Each entry adds two at the most: it cuts another.
 * @asked: What the policies have been asked.
 */
struct batch {
	struct memview_view *view;
	struct entry *entries;
	unsigned int nr;
	unsigned int at;
	struct memview_piece *pieces;
	unsigned int nr_pieces;
	struct memview_asked asked;
};

static int alloc_batch(struct batch *b)
{
	b->entries = kvcalloc(b->nr, sizeof(b->entries[0]), GFP_KERNEL_ACCOUNT);
	b->pieces = kvmalloc_array(2 * b->nr, sizeof(b->pieces[0]),
				   GFP_KERNEL_ACCOUNT);
	return b->entries && b->pieces ? 0 : -ENOMEM;
}

static void free_batch(struct batch *b)
{
	unsigned int i;

	for (i = 0; b->entries && i < b->nr; i++)
		if (b->entries[i].file)
			fput(b->entries[i].file);
	kvfree(b->entries);
	kvfree(b->pieces);
}

/* ---- Nothing of the view is needed ---- */

static int take_map(struct entry *entry, const struct memview_batch_op *op)
{
	int err;

	entry->map = (struct memview_map_fd_info){
		.fd = op->fd,
		.flags = op->flags,
		.fd_offset = op->fd_offset,
		.size = op->size,
		.mem_offset = op->mem_offset,
	};
	err = memview_check_map(&entry->map, &entry->first, &entry->last);
	if (err)
		return err;
	entry->file = fget(op->fd);
	return entry->file ? 0 : -EBADF;
}

static int take_unmap(struct entry *entry, const struct memview_batch_op *op)
{
	entry->unmap = (struct memview_unmap_fd_info){
		.mem_offset = op->mem_offset,
		.size = op->size,
		.flags = op->flags,
	};
	if (op->fd != -1 || op->fd_offset)
		return -EINVAL;
	return memview_check_unmap(&entry->unmap, &entry->first, &entry->last);
}

static int take(struct entry *entry, const struct memview_batch_op *op)
{
	if (op->reserved)
		return -EINVAL;
	switch (op->op) {
	case MEMVIEW_BATCH_MAP:
		return take_map(entry, op);
	case MEMVIEW_BATCH_UNMAP:
		return take_unmap(entry, op);
	default:
		return -EINVAL;
	}
}

static int take_all(struct batch *b, const struct memview_batch *request)
{
	char __user *from = u64_to_user_ptr(request->ops);
	struct memview_batch_op op;
	int err;

	for (b->at = 0; b->at < b->nr; b->at++) {
		err = copy_struct_from_user(&op, sizeof(op),
					    from + b->at * request->op_size,
					    request->op_size);
		if (err)
			return err;
		err = take(&b->entries[b->at], &op);
		if (err)
			return err;
	}
	return 0;
}

/* @again: The files have been filled, and no lock is held. */
static int ask(struct batch *b, const struct entry *entry, bool again)
{
	return again ? memview_ask_map_fd(&b->asked, entry->file, &entry->map) :
		       memview_may_map(&b->asked, entry->file, &entry->map);
}

static int ask_all(struct batch *b, bool again)
{
	struct entry *entry;
	int err = memview_asked_begin(&b->asked);

	if (err)
		return err;
	for (b->at = 0; b->at < b->nr; b->at++) {
		entry = &b->entries[b->at];
		if (!entry->file)
			continue;
		err = ask(b, entry, again);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* ---- Under view->change_lock ---- */

/* The lock is given up where the file of a range is new to the view. */
static int get_ranges(struct batch *b)
{
	struct entry *entry;

	for (b->at = 0; b->at < b->nr; b->at++) {
		entry = &b->entries[b->at];
		if (!entry->file)
			continue;
		entry->range = memview_get_range(
			b->view, entry->file, entry->first, entry->last,
			entry->map.fd_offset >> PAGE_SHIFT, entry->map.flags);
		if (IS_ERR(entry->range))
			return PTR_ERR(entry->range);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int check_size(struct batch *b)
{
	for (b->at = 0; b->at < b->nr; b->at++)
		if (!memview_is_within(b->view, b->entries[b->at].last))
			return -EINVAL;
	return 0;
}

static void add_piece(struct batch *b, struct entry *entry, pgoff_t first,
		      pgoff_t last)
{
	b->pieces[b->nr_pieces++] = (struct memview_piece){
		.first = first,
		.last = last,
		.range = entry->range,
	};
	entry->shown = true;
}

/* Entries that come in the order of their pages are what they are. */
static bool compose_in_order(struct batch *b)
{
	struct entry *entry;

	for (entry = b->entries + 1; entry < b->entries + b->nr; entry++)
		if (entry->first <= entry[-1].last)
			return false;
	for (entry = b->entries; entry < b->entries + b->nr; entry++)
		add_piece(b, entry, entry->first, entry->last);
	return true;
}

static int lay_over(struct batch *b, struct maple_tree *tree)
{
	MA_STATE(mas, tree, 0, 0);
	struct entry *entry;
	int err;

	for (entry = b->entries; entry < b->entries + b->nr; entry++) {
		mas_set_range(&mas, entry->first, entry->last);
		err = mas_store_gfp(&mas, entry, GFP_KERNEL_ACCOUNT);
		if (err)
			return err;
		cond_resched();
	}
	mas_set(&mas, 0);
	mas_for_each(&mas, entry, ULONG_MAX)
		add_piece(b, entry, mas.index, mas.last);
	return 0;
}

/* Others are cut by a tree of their own. */
static int compose(struct batch *b)
{
	struct maple_tree tree = MTREE_INIT_EXT(tree, MT_FLAGS_LOCK_EXTERN,
						b->view->change_lock);
	int err;

	if (compose_in_order(b))
		return 0;
	err = lay_over(b, &tree);
	__mt_destroy(&tree);
	return err;
}

/* Ranges that are not shown; all of them, if the batch failed. */
static void drop_ranges(struct batch *b, bool all)
{
	struct memview_range *dead = NULL;
	struct entry *entry;

	for (entry = b->entries; entry < b->entries + b->nr; entry++) {
		if (IS_ERR_OR_NULL(entry->range) || (entry->shown && !all))
			continue;
		entry->range->next_dead = dead;
		dead = entry->range;
	}
	memview_drop_ranges(dead);
}

/* The lock is given up: nobody may be asked with it. */
static int ask_again(struct batch *b)
{
	int err;

	mutex_unlock(&b->view->change_lock);
	err = ask_all(b, true);
	/* Not killable: the ranges must be taken back under it. */
	mutex_lock(&b->view->change_lock);
	return err;
}

static int change(struct batch *b)
{
	int err = get_ranges(b) ?: compose(b);

	while (!err) {
		err = check_size(b) ?:
			      memview_commit(&b->asked, b->pieces, b->nr_pieces,
					     MEMVIEW_CAUSE_BATCH);
		if (err != -ESTALE)
			break;
		err = ask_again(b);
	}
	drop_ranges(b, err);
	return err;
}

/* ---- Afterwards ---- */

static void trace_entry(struct batch *b, struct entry *entry, int err)
{
	if (entry->file)
		trace_memview_map(&b->view->bpf, entry->file, &entry->map, err);
	else
		trace_memview_unmap(&b->view->bpf, &entry->unmap, err);
}

/* Of a failure, the entry that is at fault. */
static void tell(struct batch *b, int err)
{
	struct entry *entry;

	trace_memview_batch(&b->view->bpf, b->nr, b->at, err);
	if (err && b->at < b->nr)
		trace_entry(b, &b->entries[b->at], err);
	if (err)
		return;
	for (entry = b->entries; entry < b->entries + b->nr; entry++) {
		trace_entry(b, entry, 0);
		if (!entry->file)
			memview_tell_unmap(b->view, entry->unmap.mem_offset,
					   entry->unmap.size);
		cond_resched();
	}
}

static int run(struct batch *b)
{
	int err = ask_all(b, false) ?:
				      mutex_lock_killable(&b->view->change_lock);
	LIST_HEAD(gone);

	if (!err) {
		err = change(b);
		memview_end_change(b->view, &gone);
	}
	memview_asked_end(&b->asked);
	tell(b, err);
	memview_let_go(&gone, true);
	return err;
}

/**
 * memview_view_batch - MEMVIEW_BATCH
 * @view: View.
 * @request: Request, as it came.
 * @failed: Set if this fails: the entry for which it did, or the number of them.
 *
 * Context: May sleep. Reads the caller's memory, with no lock.
 * Return: 0 or an errno of the uAPI header, and nothing has changed.
 */
int memview_view_batch(struct memview_view *view,
		       const struct memview_batch *request, u32 *failed)
{
	struct batch b = {
		.view = view,
		.nr = request->nr_ops,
		.at = request->nr_ops,
		.asked.view = view,
	};
	int err;

	if (request->flags || request->nr_ops > MEMVIEW_BATCH_MAX ||
	    request->op_size < OP_SIZE_MIN)
		return -EINVAL;
	if (request->op_size > PAGE_SIZE)
		return -E2BIG;
	if (!request->nr_ops)
		return 0;
	err = alloc_batch(&b) ?: take_all(&b, request) ?: run(&b);
	free_batch(&b);
	*failed = b.at;
	return err;
}
