// SPDX-License-Identifier: GPL-2.0
/*
 * How a view hears that pages of a source are to be unmapped.
 *
 * Truncation, hole punching, reclaim, migration and writeback find who maps a
 * page through the i_mmap tree of its file. A client's VMA is not there: it
 * belongs to the view. So a source puts a VMA of its own there, the *watch*.
 * It covers all pages of the file that ranges can show, and its mm has no
 * page table. Whoever walks the tree tells the MMU notifiers of that mm first,
 * then looks for PTEs in vain. The notifier finds the ranges that show those
 * pages of the file and zaps them in the view.
 *
 * A client's PTE owns a reference of its page. Yet no invalidation may go
 * missing: the core would complain of a page that leaves its file while mapped,
 * may drop the reference that the PTE owns, and would take for clean what is
 * still being written to.
 *
 * Each source has an mm of its own, so a notification concerns one source
 * only. The core reaches it through the i_mmap tree alone and under that
 * tree's lock: once the watch is unlinked, nobody uses the mm any more.
 *
 * To register a notifier makes the core allocate what it knows of an mm's
 * notifiers, not charged to anybody, and take all locks of that mm. So one
 * notifier is registered, with one mm, when the module is loaded, and all watches'
 * mms share what the core knows of it. It is an interval notifier, of all addresses:
 * the core calls a plain one in an SRCU section for which the end of every process
 * with a KVM machine waits.
 */
#include <linux/gfp.h>
#include <linux/interval_tree_generic.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include "memview.h"
#include "trace.h"
#include "vma_tree.h"

/* The top of every watch's page table; nothing is ever put into it. */
static pgd_t *empty_pgd;

/* What the notifier is registered with. It has no VMA, and is never notified. */
static struct mm_struct *registered_mm;

static inline unsigned long range_start(struct memview_range *range)
{
	return range->file_first;
}

static inline unsigned long range_last(struct memview_range *range)
{
	return range->file_first + (range->last - range->first);
}

INTERVAL_TREE_DEFINE(struct memview_range, rb, unsigned long, subtree_last,
		     range_start, range_last, static, ranges)

static enum memview_cause cause_of(const struct mmu_notifier_range *mnr)
{
	if (mnr->event == MMU_NOTIFY_PROTECTION_PAGE)
		return MEMVIEW_CAUSE_WRITEBACK;
	if (current->flags & PF_MEMALLOC)
		return MEMVIEW_CAUSE_RECLAIM;
	return MEMVIEW_CAUSE_UNMAP_FILE;
}

/* Pages of a view. */
struct span {
	pgoff_t first;
	pgoff_t last;
};

/* What a range shows of pages of the file. */
static struct span span_of(struct memview_range *range, pgoff_t first,
			   pgoff_t last)
{
	pgoff_t from = max(first, range_start(range));
	pgoff_t to = min(last, range_last(range));

	return (struct span){
		.first = range->first + (from - range->file_first),
		.last = range->first + (to - range->file_first),
	};
}

/*
 * Each range times each mapping of a client is to be looked at, under the lock of
 * the file. Who makes both many would keep those for hours who want to truncate,
 * reclaim or map the file.
 */
#define LOOKS_MAX 1024

/*
 * How many ranges show pages of the file, and where: from the first to the last.
 * Return: Whether it takes too long to go by them one by one.
 */
static bool are_too_many(struct memview_source *source, pgoff_t first,
			 pgoff_t last, struct span *all)
{
	unsigned long nr = 0;
	struct memview_range *range;
	struct span span;

	all->first = ULONG_MAX;
	all->last = 0;
	for (range = ranges_iter_first(&source->ranges, first, last); range;
	     range = ranges_iter_next(range, first, last)) {
		span = span_of(range, first, last);
		all->first = min(all->first, span.first);
		all->last = max(all->last, span.last);
		nr++;
		cond_resched();
	}
	return nr > 1 &&
	       nr * atomic_long_read(&source->view->mappings) > LOOKS_MAX;
}

/*
 * Zap what ranges show of pages of the file. That is done even where a later
 * change has hidden part of a range: it costs a fault at most. So does it to zap
 * all that lies between them, if they are too many; and that takes no longer than
 * the faults have that mapped it.
 *
 * The clients are locked once for all: that may take a while.
 */
static void zap_ranges(struct memview_source *source, pgoff_t first,
		       pgoff_t last, enum memview_cause cause)
{
	struct memview_view *view = source->view;
	struct memview_range *range;
	struct span span;
	bool locked;

	range = ranges_iter_first(&source->ranges, first, last);
	if (!range)
		return;
	locked = memview_lock_clients(view, source->vma.vm_file->f_mapping);
	if (are_too_many(source, first, last, &span)) {
		memview_zap_nested(view, span.first, span.last, cause);
		range = NULL;
	}
	for (; range; range = ranges_iter_next(range, first, last)) {
		span = span_of(range, first, last);
		memview_zap_nested(view, span.first, span.last, cause);
	}
	memview_unlock_clients(view, locked);
}

/*
 * Called under the i_mmap lock of the source's file, often from reclaim:
 * takes nothing above source->ranges_lock and does not allocate.
 */
static bool invalidate(struct mmu_interval_notifier *notifier,
		       const struct mmu_notifier_range *mnr, unsigned long seq)
{
	struct memview_source *source =
		container_of(mnr->mm, struct memview_source, mm);
	pgoff_t first = mnr->start >> PAGE_SHIFT;
	pgoff_t last = (mnr->end - 1) >> PAGE_SHIFT;
	enum memview_cause cause = cause_of(mnr);

	if (!mmu_notifier_range_blockable(mnr))
		return false;
	i_mmap_assert_locked(source->vma.vm_file->f_mapping);
	mmu_interval_set_seq(notifier, seq);
	memview_count(source->view, invalidates);
	trace_memview_invalidate(&source->view->bpf,
				 file_inode(source->vma.vm_file), first, last,
				 cause);

	down_read(&source->ranges_lock);
	zap_ranges(source, first, last, cause);
	up_read(&source->ranges_lock);
	return true;
}

static const struct mmu_interval_notifier_ops notifier_ops = {
	.invalidate = invalidate,
};

static struct mmu_interval_notifier notifier;

static void prepare_mm(struct mm_struct *mm)
{
	mt_init_flags(&mm->mm_mt, MM_MT_FLAGS);
	mt_set_external_lock(&mm->mm_mt, &mm->mmap_lock);
	mm->pgd = empty_pgd;
	/* Neither count ever reaches zero: the source owns the memory. */
	atomic_set(&mm->mm_users, 2);
	atomic_set(&mm->mm_count, 2);
	seqcount_init(&mm->write_protect_seq);
	init_rwsem(&mm->mmap_lock);
	mm_lock_seqcount_init(mm);
	spin_lock_init(&mm->page_table_lock);
	INIT_LIST_HEAD(&mm->mmlist);
}

/* Ends in a mask of the CPUs that use it. */
static size_t mm_size(void)
{
	return sizeof(struct mm_struct) + cpumask_size();
}

/**
 * memview_watch_init - have what all watches share
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int memview_watch_init(void)
{
	int err = -ENOMEM;

	/* Two pages, as page table isolation has them. */
	empty_pgd = (pgd_t *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
	registered_mm = kzalloc(mm_size(), GFP_KERNEL);
	if (!empty_pgd || !registered_mm)
		goto free;
	prepare_mm(registered_mm);
	err = mmu_interval_notifier_insert(&notifier, registered_mm, 0,
					   ULONG_MAX, &notifier_ops);
	if (!err)
		return 0;
free:
	kfree(registered_mm);
	free_pages((unsigned long)empty_pgd, 1);
	return err;
}

/**
 * memview_watch_exit - undo memview_watch_init(), when no source is left
 *
 * Context: May sleep.
 */
void memview_watch_exit(void)
{
	mmu_interval_notifier_remove(&notifier);
	/* The core frees this with the mm, and this mm is ours. */
	kfree(registered_mm->notifier_subscriptions);
	kfree(registered_mm);
	free_pages((unsigned long)empty_pgd, 1);
}

/**
 * memview_watch_size - how much memory a source takes
 *
 * Context: Any.
 * Return: Bytes.
 */
size_t memview_watch_size(void)
{
	return offsetof(struct memview_source, mm) + mm_size();
}

/**
 * memview_watch_prepare - set up what a watch needs, all zeroes before
 * @source: Source whose VMA has not been filled in yet.
 *
 * Context: Any.
 */
void memview_watch_prepare(struct memview_source *source)
{
	init_rwsem(&source->ranges_lock);
	source->ranges = RB_ROOT_CACHED;
	prepare_mm(&source->mm);
	source->mm.notifier_subscriptions =
		registered_mm->notifier_subscriptions;
}

/**
 * memview_watch_start - begin to hear of a source
 * @source: Source; its VMA is as ->mmap left it.
 *
 * Context: May sleep. Takes the i_mmap lock of the source's file.
 */
void memview_watch_start(struct memview_source *source)
{
	struct vm_area_struct *vma = &source->vma;
	struct address_space *mapping = vma->vm_file->f_mapping;

	/* Nobody looks for accessed bits where no PTEs are. */
	vm_flags_init(vma, vma->vm_flags | VM_RAND_READ);
	i_mmap_lock_write(mapping);
	vma_tree_insert(vma, &mapping->i_mmap);
	i_mmap_unlock_write(mapping);
}

/**
 * memview_watch_stop - end it
 * @source: Source without ranges.
 *
 * Context: May sleep. Takes the i_mmap lock of the source's file.
 */
void memview_watch_stop(struct memview_source *source)
{
	struct vm_area_struct *vma = &source->vma;
	struct address_space *mapping = vma->vm_file->f_mapping;

	i_mmap_lock_write(mapping);
	vma_tree_remove(vma, &mapping->i_mmap);
	i_mmap_unlock_write(mapping);
}

/**
 * memview_watch_settle - wait for who is going through the watches of a file
 * @source: One of several sources over it. A range of it has just been added.
 *
 * Who came by this watch before the range was there must not come to another
 * after the range is gone that showed the same pages, and left its PTEs: it
 * would miss them.
 *
 * Context: May sleep. Takes the i_mmap lock of the source's file.
 */
void memview_watch_settle(struct memview_source *source)
{
	struct address_space *mapping = source->vma.vm_file->f_mapping;

	i_mmap_lock_write(mapping);
	i_mmap_unlock_write(mapping);
}

/**
 * memview_watch_add - hear of the pages of a range, from here on
 * @source: Source, watched.
 * @range: Range of it.
 *
 * Context: May sleep. Takes the source's ranges_lock.
 */
void memview_watch_add(struct memview_source *source,
		       struct memview_range *range)
{
	down_write(&source->ranges_lock);
	ranges_insert(range, &source->ranges);
	up_write(&source->ranges_lock);
}

/**
 * memview_watch_del - hear of them no more
 * @source: Source.
 * @range: Range that memview_watch_add() has had.
 *
 * Context: May sleep. Takes the source's ranges_lock.
 */
void memview_watch_del(struct memview_source *source,
		       struct memview_range *range)
{
	down_write(&source->ranges_lock);
	ranges_remove(range, &source->ranges);
	up_write(&source->ranges_lock);
}
