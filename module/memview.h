/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memview: lend memory to another process, and take it back.
 *
 * Terms. A *view* is a virtual span of pages that its controller fills with
 * *ranges*. A range shows a span of a file, its *source*. A *client* maps the
 * view; its page faults are resolved against the layout, which is the set of
 * ranges. All page offsets are inclusive: [first, last]. "pgoff" without a
 * prefix counts pages of the view, "file_pgoff" pages of a source.
 *
 * Who owns what. Each open file of a view (control file, view fds; mappings
 * hold those) owns a reference of the view, which dies with the last one. The
 * layout owns one reference of each range object that it shows, a fault in
 * flight another. A range owns a reference of its source. The view owns one of
 * each source that has ranges. The change that takes the last range of a source
 * away inherits that reference, see memview_end_change().
 *
 * Lock order, outermost first:
 *
 *   client's mmap_lock, inode lock of the view (ftruncate)
 *     view->change_lock
 *     lock of a folio of a source
 *       i_mmap lock of a source file (also taken by the core around what
 *           follows: truncate, reclaim, migration, writeback)
 *         source->ranges_lock
 *           i_mmap lock of the view (tried, zap.c says why)
 *             view->layout.lock
 *               page table locks
 *
 * view->clients_lock, of who maps the view, is innermost, and alone.
 *
 * From view->layout.lock inwards they spin. Faults wait there for changes: no task
 * may be throttled, or sleep, while it holds that lock.
 *
 * Reclaim may start at any allocation and calls down from the i_mmap lock of
 * a source file. So nothing is allocated under source->ranges_lock (write),
 * and what hears of reclaim (watch.c) takes nothing above it.
 */
#ifndef _MEMVIEW_H
#define _MEMVIEW_H

#include <linux/fs.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <uapi/linux/memview.h>

#include "compat.h"
#include "memview_bpf.h"

struct memview_view;
struct memview_source;
struct memview_closer;

/**
 * struct memview_range - a span of a view that shows a span of a source
 * @source: Where the pages come from; a reference is owned.
 * @first: First page in the view.
 * @last: Last page in the view.
 * @file_first: The page of the source that @first shows.
 * @flags: Of enum memview_map_flags.
 * @refs: One of the layout, or of the change that brings it there; one per
 *	fault in flight.
 * @touched: A client may have PTEs by it, or by one that it has followed without
 *	a zap. Only ever set, by faults with layout->lock held for reading. A
 *	change looks at it when no fault finds the range any more.
 * @entries: How many entries of the layout point here: none at first, several
 *	when a change splits it. Guarded by view->change_lock.
 * @rb: Node in the source's tree of ranges.
 * @subtree_last: Of that tree.
 * @next_dead: Next on the list of ranges that a change has taken away, or that
 *	did not get in.
 *
 * Immutable but for the bookkeeping. What was replaced or unmapped inside of
 * [@first, @last] is known to the layout alone.
 */
struct memview_range {
	struct memview_source *source;
	pgoff_t first;
	pgoff_t last;
	pgoff_t file_first;
	u32 flags;
	refcount_t refs;
	bool touched;
	unsigned long entries;
	struct rb_node rb;
	unsigned long subtree_last;
	struct memview_range *next_dead;
};

/**
 * memview_file_pgoff - what a range shows at a page of the view
 * @range: Range.
 * @pgoff: Page of the view, within it.
 *
 * Return: The page of the source.
 */
static inline pgoff_t memview_file_pgoff(const struct memview_range *range,
					 pgoff_t pgoff)
{
	return range->file_first + (pgoff - range->first);
}

/**
 * memview_file_pages - how many pages a file has by its size
 * @mapping: Its.
 */
static inline pgoff_t memview_file_pages(const struct address_space *mapping)
{
	return DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE);
}

/**
 * memview_in_file - is a page before the end of its file?
 * @mapping: The file's.
 * @file_pgoff: Page.
 *
 * A big folio may have pages beyond it, if it could not be split. It stays so
 * while the folio is locked and in the file.
 */
static inline bool memview_in_file(const struct address_space *mapping,
				   pgoff_t file_pgoff)
{
	return file_pgoff < memview_file_pages(mapping);
}

/**
 * struct memview_piece - a part of a change: what a span is to show
 * @first: First page of the span.
 * @last: Last page.
 * @range: What goes there; NULL: nothing.
 * @pages: How many pages of the span had a range.
 * @entries: How many entries of the tree the span had, in part or as a whole.
 * @zap: What was there is taken away: its PTEs must go.
 * @moved: What was there, and stays, belonged to another source.
 * @touched: There may be PTEs of what was there.
 *
 * The pieces of a change are disjoint, and in the order of their pages. The
 * layout fills in what follows @range, all zero before.
 */
struct memview_piece {
	pgoff_t first;
	pgoff_t last;
	struct memview_range *range;
	unsigned long pages;
	unsigned long entries;
	bool zap;
	bool moved;
	bool touched;
};

/**
 * struct memview_layout - which range is where
 * @lock: Held for reading from the last look at the layout to the PTE: no PTE can
 *	outlive the zap of a change, nor come by a range that the change has
 *	found untouched. Held for writing while what follows changes.
 * @tree: Range objects by page of the view.
 * @pieces: Pieces of the change in flight, which hide what @tree has; NULL if
 *	there is no such change.
 * @nr_pieces: Number of @pieces.
 * @changes: How often what faults find has changed; a batch counts once.
 * @mas: Maple state of the next store to @tree; under view->change_lock.
 * @nr_ranges: Entries of @tree, once it has the pieces; under view->change_lock.
 * @nr_pages: Pages that have a range; under view->change_lock.
 */
struct memview_layout {
	rwlock_t lock;
	struct maple_tree tree;
	struct memview_piece *pieces;
	unsigned int nr_pieces;
	unsigned long changes;
	struct ma_state mas;
	unsigned long nr_ranges;
	unsigned long nr_pages;
};

/**
 * struct memview_source - a file that backs ranges of one view
 * @view: Whose source this is; valid while among its sources.
 * @by_file: In view->sources, by @user_file.
 * @refs: One of the view's, one per range.
 * @nr_ranges: Ranges in the layout, or about to be, under view->change_lock.
 * @user_file: What the controller gave; a reference is owned.
 * @vma: As the file's ->mmap left it: its vm_file is where pages come from (of
 *	overlayfs the real file) and its vm_ops how. In the i_mmap tree of that
 *	file it is the watch. Never in an mm of a process.
 * @kind: What the file is.
 * @cached: What is in the file's page cache may be mapped without asking its
 *	->fault.
 * @cached_writable: The same for writing: the file is in memory alone, and so
 *	is no swap file.
 * @writable: Ranges may be writable: the file's i_mmap_writable is held.
 * @wb_err: Up to which error of its writeback the view has been told. Guarded by
 *	the f_lock of @vma's file.
 * @local: Closing the files waits for no server.
 * @ranges_lock: Guards @ranges.
 * @ranges: Interval tree of range objects by page of the source.
 * @work: Closes the files, where that may wait.
 * @closing: In view->gone, then on the list of the task that lets go of it, then in
 *	the queue of its file system.
 * @behind: Those that wait for this one, the first of the queue.
 * @awaited: On the list of @closer.
 * @closer: The task that waits for this, or NULL.
 * @sb: The file system, as a key: it may be gone.
 * @since: When this became the first of the queue, in jiffies.
 * @mm: What @vma belongs to: an mm without a page table, by which the notifier
 *	of all watches finds this. Last member, its CPU mask follows.
 */
struct memview_source {
	struct memview_view *view;
	struct rb_node by_file;
	refcount_t refs;
	unsigned long nr_ranges;
	struct file *user_file;
	struct vm_area_struct vma;
	enum memview_source_kind kind;
	bool cached;
	bool cached_writable;
	bool writable;
	errseq_t wb_err;
	bool local;
	struct rw_semaphore ranges_lock;
	struct rb_root_cached ranges;
	struct work_struct work;
	struct list_head closing;
	struct list_head behind;
	struct list_head awaited;
	struct memview_closer *closer;
	const struct super_block *sb;
	unsigned long since;
	struct mm_struct mm;
};

/**
 * struct memview_stride - what the last fault on a CPU has mapped
 * @first: First page of the view...
 * @nr: ...and how many.
 * @missing: One more than the page that its source may not have cached, or 0.
 */
struct memview_stride {
	pgoff_t first;
	unsigned long nr;
	pgoff_t missing;
};

/**
 * struct memview_met - what a fault finds in the layout
 * @range: Range, or NULL: nothing is there.
 * @first: First page of the view, around the fault, of which this is true...
 * @last: ...and the last one...
 * @changes: ...until the layout changes, which had changed so often. None: it
 *	is empty, as all zeroes say.
 */
struct memview_met {
	struct memview_range *range;
	pgoff_t first;
	pgoff_t last;
	unsigned long changes;
};

/* Per CPU; the counters are read as sums by fdinfo. */
struct memview_stats {
	struct memview_met met; /* by the last fault */
	struct memview_stride stride[2]; /* of reads, of writes */
	u64 faults;
	u64 fault_errors;
	u64 changes;
	u64 zaps;
	u64 invalidates;
};

/**
 * struct memview_view - a view
 * @bpf: What BPF programs see of it.
 * @users: One per open file. With the last one the view is dead: out of the
 *	registry, without ranges.
 * @refs: One for all users, one for each BPF program or look-up that holds
 *	the view. With the last one the memory goes, after a grace period.
 * @inode: Its size is the view's, its mapping has the clients' VMAs. Each open
 *	file's dentry holds it.
 * @change_lock: Serialises changes, from their checks to the end of their
 *	zap: nobody may find a page gone that another's zap has yet to reach.
 * @layout: Ranges.
 * @sources: The files behind them, as given. Under @change_lock.
 * @gone: Those that have no range any more, for the task that gives up
 *	@change_lock to close. Likewise.
 * @size: Bytes; the inode's size is the same. Under @change_lock.
 * @flags: Of enum memview_flags.
 * @dead: Set under @change_lock: no change may come any more.
 * @mappings: VMAs.
 * @clients: The mms that have them, see vma.c.
 * @client_list: The same, in the order that they came.
 * @clients_lock: Guards @clients and @client_list.
 * @huge: A huge page may be mapped, or has been once. Set by a fault under the
 *	layout's lock, before.
 * @revokes: How often it was revoked from outside. Written under @change_lock.
 * @growing: Pages that maps in flight give a range to that had none, as far as
 *	policies are asked, or have been.
 * @waiting: How many want the i_mmap lock of @inode, and may not wait in line.
 * @stats: Counters.
 * @rcu: Frees it.
 */
struct memview_view {
	struct memview bpf;
	refcount_t users;
	refcount_t refs;
	struct inode *inode;
	struct mutex change_lock;
	struct memview_layout layout;
	struct rb_root sources;
	struct list_head gone;
	loff_t size;
	u32 flags;
	bool dead;
	atomic_long_t mappings;
	struct rb_root clients;
	struct list_head client_list;
	spinlock_t clients_lock;
	bool huge;
	unsigned long revokes;
	atomic_long_t growing;
	atomic_t waiting;
	struct memview_stats __percpu *stats;
	struct rcu_head rcu;
};

#define memview_count(view, what) this_cpu_inc((view)->stats->what)

/* Why a zap is done; for the tracepoints. */
enum memview_cause {
	MEMVIEW_CAUSE_MAP,
	MEMVIEW_CAUSE_UNMAP,
	MEMVIEW_CAUSE_RESIZE,
	MEMVIEW_CAUSE_REVOKE,
	MEMVIEW_CAUSE_UNMAP_FILE,
	MEMVIEW_CAUSE_RECLAIM,
	MEMVIEW_CAUSE_WRITEBACK,
	MEMVIEW_CAUSE_BATCH,
};

/* main.c */
int memview_control_open(struct inode *inode, struct file *file);
void memview_unpin_fs(void);

/* device.c */
int memview_device_init(void);
void memview_device_exit(void);
void memview_device_forget(struct inode *inode);

/* check.c */
int memview_check_kernel(void);

/* lifetime.c */
struct memview_view *memview_view_create(struct inode *inode);
void memview_view_put(struct memview_view *view);
int memview_view_set_flags(struct memview_view *view,
			   const struct memview_set_flags *request);
void memview_view_end_control(struct memview_view *view);

/* view.c */
struct memview_asked;
int memview_view_map(struct memview_view *view,
		     const struct memview_map_fd_info *info);
int memview_view_unmap(struct memview_view *view,
		       const struct memview_unmap_fd_info *info);
int memview_view_resize(struct memview_view *view, loff_t size);
int memview_view_revoke(struct memview_view *view, u64 offset, u64 size);
int memview_check_map(const struct memview_map_fd_info *info, pgoff_t *first,
		      pgoff_t *last);
int memview_check_unmap(const struct memview_unmap_fd_info *info,
			pgoff_t *first, pgoff_t *last);
bool memview_is_within(struct memview_view *view, pgoff_t last);
int memview_may_map(struct memview_asked *asked, struct file *file,
		    const struct memview_map_fd_info *info);
struct memview_range *memview_get_range(struct memview_view *view,
					struct file *file, pgoff_t first,
					pgoff_t last, pgoff_t file_first,
					u32 flags);
bool memview_can_keep(const struct memview_range *old,
		      const struct memview_range *new);
int memview_change(struct memview_view *view, struct memview_piece *pieces,
		   unsigned int nr, const struct memview_asked *asked,
		   enum memview_cause cause);
void memview_drop_ranges(struct memview_range *dead);

/* batch.c */
int memview_view_batch(struct memview_view *view,
		       const struct memview_batch *request, u32 *failed);

/* registry.c */
int memview_registry_add(struct memview_view *view);
void memview_registry_del(struct memview_view *view);
struct memview_view *memview_registry_get(u64 id);
struct memview_view *memview_registry_next(u64 after);
void memview_unref(struct memview_view *view);
struct memview_stats memview_sum_stats(struct memview_view *view);

/* files.c */
extern const struct file_operations memview_control_fops;
struct file *memview_alloc_file(struct inode *inode, struct vfsmount *mnt,
				const char *kind, u64 id,
				const struct file_operations *fops);
int memview_viewfd_create(struct file *control);

/* ioctl.c */
long memview_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* layout.c */
int memview_layout_cache_create(void);
void memview_layout_cache_destroy(void);
void memview_layout_init(struct memview_layout *layout);
struct memview_range *memview_layout_next(struct memview_layout *layout,
					  pgoff_t *pgoff, pgoff_t *last);
unsigned long memview_layout_pages(struct memview_layout *layout, pgoff_t first,
				   pgoff_t last);
bool memview_layout_is(struct memview_layout *layout, pgoff_t pgoff,
		       const struct memview_range *range);
struct memview_range *memview_layout_at(struct memview_layout *layout,
					pgoff_t pgoff, pgoff_t *first,
					pgoff_t *last);
struct memview_range *memview_range_alloc(struct memview_source *source,
					  pgoff_t first, pgoff_t last,
					  pgoff_t file_first, u32 flags);
void memview_range_put(struct memview_range *range);

/* layout_change.c */
extern unsigned int memview_max_ranges;
int memview_layout_change(struct memview_layout *layout,
			  struct memview_piece *pieces, unsigned int nr,
			  const struct memview_asked *asked,
			  struct memview_range **dead);
void memview_layout_finish(struct memview_layout *layout);
struct memview_range *memview_layout_clear(struct memview_layout *layout);

/* close.c */
extern unsigned int memview_close_timeout;
int memview_source_init(void);
void memview_source_exit(void);
bool memview_is_local(const struct memview_source *source);
void memview_source_put(struct memview_source *source);
void memview_let_go(struct list_head *gone, bool wait);

/**
 * memview_end_change - give up a view's change_lock
 * @view: View.
 * @gone: Empty list: gets the sources that the change has detached, for
 *	memview_let_go(). They are not closed under the lock, because a server may
 *	take its time.
 */
static inline void memview_end_change(struct memview_view *view,
				      struct list_head *gone)
{
	list_splice_init(&view->gone, gone);
	mutex_unlock(&view->change_lock);
}

/* source.c */
enum memview_source_kind memview_source_kind(struct file *file);
struct memview_source *memview_source_find(struct memview_view *view,
					   struct file *file, u32 flags);
struct memview_source *memview_source_create(struct memview_view *view,
					     struct file *file, u32 flags);
struct memview_source *memview_source_adopt(struct memview_source *source);
void memview_source_add_range(struct memview_source *source,
			      struct memview_range *range);
void memview_source_del_range(struct memview_source *source,
			      struct memview_range *range);
void memview_source_detach_unused(struct memview_source *source);

/* bring.c */
bool memview_source_may_unlock(const struct vm_fault *vmf);
vm_fault_t memview_source_fault(struct memview_range *range,
				struct vm_fault *vmf, struct page **pagep);
vm_fault_t memview_source_mkwrite(struct memview_range *range,
				  struct vm_fault *vmf, struct page *page);

/* watch.c */
int memview_watch_init(void);
void memview_watch_exit(void);
size_t memview_watch_size(void);
void memview_watch_prepare(struct memview_source *source);
void memview_watch_start(struct memview_source *source);
void memview_watch_stop(struct memview_source *source);
void memview_watch_settle(struct memview_source *source);
void memview_watch_add(struct memview_source *source,
		       struct memview_range *range);
void memview_watch_del(struct memview_source *source,
		       struct memview_range *range);

/* fault.c */
vm_fault_t memview_fault(struct vm_fault *vmf);
vm_fault_t memview_mkwrite(struct vm_fault *vmf);
vm_fault_t memview_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last);

/* sync.c */
int memview_fsync(struct file *file, loff_t start, loff_t end, int datasync);
int memview_fadvise(struct file *file, loff_t offset, loff_t len, int advice);

/* vma.c */
extern const struct vm_operations_struct memview_vm_ops;
#ifdef CONFIG_NUMA
int memview_vma_init(void);
void memview_vma_exit(void);
#else
static inline int memview_vma_init(void)
{
	return 0;
}

static inline void memview_vma_exit(void)
{
}
#endif
int memview_vma_begin(struct vm_area_struct *vma, struct memview_view *view);
void memview_flush_leaving(struct memview_view *view);

/* around.c */
vm_fault_t memview_map_around(struct memview_view *view,
			      const struct memview_met *met,
			      const struct vm_fault *vmf, bool *overtaken);
bool memview_is_missing(struct memview_view *view, const struct vm_fault *vmf);
void memview_was_asked(struct memview_view *view, const struct vm_fault *vmf,
		       unsigned long grown);
struct page *memview_cached_page(const struct memview_range *range,
				 const struct vm_fault *vmf);

/* huge.c */
vm_fault_t memview_map_huge(const struct memview_met *met,
			    const struct vm_fault *vmf, bool *overtaken);
bool memview_is_huge(const struct memview_met *met, const struct vm_fault *vmf,
		     struct page *page);
bool memview_make_table(struct vm_fault *vmf);

/* zap.c */
void memview_zap(struct memview_view *view, pgoff_t first, pgoff_t last,
		 enum memview_cause cause, bool touched);
bool memview_lock_clients(struct memview_view *view,
			  const struct address_space *outer);
void memview_unlock_clients(struct memview_view *view, bool locked);
void memview_zap_nested(struct memview_view *view, pgoff_t first, pgoff_t last,
			enum memview_cause cause);
void memview_yield(struct memview_view *view);
void memview_zap_vma(struct vm_area_struct *vma, unsigned long start,
		     unsigned long end);

#endif /* _MEMVIEW_H */
