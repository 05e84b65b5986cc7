// SPDX-License-Identifier: GPL-2.0
/*
 * What may back a range, and for how long.
 *
 * A source is a file as mmap() would see it: its ->mmap is called once, on a
 * VMA that is in no process, and leaves there the file that really has the
 * pages (of overlayfs the file below) and the vm_ops that bring them.
 *
 * Each open file is a source of its own, as each mmap() keeps its own: with the
 * file go its locks, its lease, and its right to write, which keeps others from
 * executing the file or making its mount read-only. So nothing of one open file
 * may depend on the ranges of another.
 *
 * Ranges that may be written have a source of their own, too: its existence
 * keeps F_SEAL_WRITE away, as a shared writable mapping does.
 */
#include <linux/backing-dev.h>
#include <linux/dax.h>
#include <linux/file.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/rbtree.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/swap.h>

#include "memview.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int check_access(struct file *file, u32 flags)
{
	struct inode *inode = file_inode(file);

	if (!(file->f_mode & FMODE_READ))
		return -EACCES;
	if (flags & MEMVIEW_MAP_WRITE) {
		if (!(file->f_mode & FMODE_WRITE) || IS_APPEND(inode))
			return -EACCES;
		if (IS_SWAPFILE(inode))
			return -ETXTBSY;
	}
	if (flags & MEMVIEW_MAP_EXEC) {
		struct vfsmount *mnt = file->f_path.mnt;

		if ((mnt->mnt_flags & MNT_NOEXEC) ||
		    (mnt->mnt_sb->s_iflags & SB_I_NOEXEC))
			return -EPERM;
	}
	return 0;
}

/*
 * Is it safe to ask the file's ->mmap? Regular files of sysfs and the like
 * may map devices, which would put PTEs where nobody removes them.
 */
static bool may_have_pages(struct file *file)
{
	struct inode *inode = file_inode(file);

	if (!S_ISREG(inode->i_mode) || IS_DAX(inode) || !memview_can_mmap(file))
		return false;
	switch (inode->i_sb->s_magic) {
	case OVERLAYFS_SUPER_MAGIC: /* the real file is looked at below */
	case RAMFS_MAGIC:
		return true;
	}
	return shmem_mapping(file->f_mapping) ||
	       (file->f_mapping->a_ops->read_folio &&
		mapping_can_writeback(file->f_mapping));
}

/* Does the VMA, as ->mmap has left it, bring page cache pages one by one? */
static bool brings_pages(const struct vm_area_struct *vma)
{
	struct inode *inode = file_inode(vma->vm_file);
	struct address_space *mapping = vma->vm_file->f_mapping;

	return vma->vm_ops && vma->vm_ops->fault &&
	       !(vma->vm_flags &
		 (VM_IO | VM_PFNMAP | VM_MIXEDMAP | VM_HUGETLB)) &&
	       S_ISREG(inode->i_mode) && !IS_DAX(inode) &&
	       (shmem_mapping(mapping) || mapping->a_ops->read_folio);
}

/* Is the file a memfd whose seals forbid new writable mappings? */
static bool is_write_sealed(struct file *file)
{
	return shmem_mapping(file->f_mapping) &&
	       (READ_ONCE(SHMEM_I(file_inode(file))->seals) &
		(F_SEAL_WRITE | F_SEAL_FUTURE_WRITE));
}

/* No F_SEAL_WRITE can come once i_mmap_writable is held. */
static int hold_writable(struct file *file)
{
	int err = mapping_map_writable(file->f_mapping);

	if (!err && is_write_sealed(file)) {
		mapping_unmap_writable(file->f_mapping);
		err = -EPERM;
	}
	return err;
}

static void set_vma(struct memview_source *source, struct file *file)
{
	struct vm_area_struct *vma = &source->vma;
	vm_flags_t flags = VM_SHARED | VM_MAYSHARE | VM_READ | VM_MAYREAD |
			   VM_MAYEXEC;

	if (source->writable)
		flags |= VM_WRITE | VM_MAYWRITE;
	vma->vm_start = 0;
	vma->vm_end = MEMVIEW_MAX_FILE_OFFSET;
	vma->vm_mm = &source->mm;
	vma->vm_file = get_file(file);
	INIT_LIST_HEAD(&vma->anon_vma_chain);
	vm_flags_init(vma, flags);
	vma->vm_page_prot = vm_get_page_prot(flags);
}

static int ask_mmap(struct memview_source *source, struct file *file)
{
	struct vm_area_struct *vma = &source->vma;
	int err;

	mmap_write_lock(&source->mm);
	memview_vma_mark_locked(vma);
	err = vfs_mmap(file, vma);
	mmap_write_unlock(&source->mm);
	if (err == -ENODEV)
		err = -EOPNOTSUPP;
	if (err)
		return err;
	if (brings_pages(vma))
		return 0;
	if (vma->vm_ops && vma->vm_ops->close)
		vma->vm_ops->close(vma);
	return -EOPNOTSUPP;
}

/**
 * memview_source_kind - what a file is, as a source
 * @file: File.
 *
 * Context: Any.
 */
enum memview_source_kind memview_source_kind(struct file *file)
{
	if (!shmem_mapping(file->f_mapping))
		return MEMVIEW_SOURCE_FILE;
	/* Files without a name in a mounted tree come from memfd_create(). */
	return file_inode(file)->i_sb->s_flags & SB_NOUSER ?
		       MEMVIEW_SOURCE_MEMFD :
		       MEMVIEW_SOURCE_TMPFS;
}

/**
 * memview_source_create - make a source that is not the view's yet
 * @view: View, borrowed.
 * @file: A file that memview_source_find() did not refuse.
 * @flags: What the range will allow, of enum memview_map_flags.
 *
 * Context: May sleep, and wait for whoever serves the file: no lock that a
 *	change of the view needs may be held.
 * Return: The source, for memview_source_adopt(), or an ERR_PTR() of the errnos
 *	in the uAPI header.
 */
struct memview_source *memview_source_create(struct memview_view *view,
					     struct file *file, u32 flags)
{
	bool writable = flags & MEMVIEW_MAP_WRITE;
	struct memview_source *source;
	int err;

	source = kzalloc(memview_watch_size(), GFP_KERNEL_ACCOUNT);
	if (!source)
		return ERR_PTR(-ENOMEM);
	source->view = view;
	source->writable = writable;
	refcount_set(&source->refs, 1);
	source->user_file = get_file(file);
	source->kind = memview_source_kind(file);
	memview_watch_prepare(source);
	set_vma(source, file);

	if (writable) {
		err = hold_writable(file);
		if (err)
			goto put_files;
	}
	err = ask_mmap(source, file);
	if (err)
		goto unmap_writable;
	source->wb_err = filemap_sample_wb_err(source->vma.vm_file->f_mapping);
	source->cached = source->vma.vm_ops->map_pages == filemap_map_pages;
	source->cached_writable =
		source->cached && !source->vma.vm_ops->page_mkwrite &&
		!mapping_can_writeback(source->vma.vm_file->f_mapping);
	source->local = memview_is_local(source);
	return source;

unmap_writable:
	if (writable)
		mapping_unmap_writable(file->f_mapping);
put_files:
	fput(source->vma.vm_file);
	fput(source->user_file);
	kfree(source);
	return ERR_PTR(err);
}

static void release_writable(struct memview_source *source)
{
	if (source->writable)
		mapping_unmap_writable(source->user_file->f_mapping);
}

/* ---- The sources of a view: in order, for there may be many ---- */

static int compare(const void *a, const void *b)
{
	if (a == b)
		return 0;
	return a < b ? -1 : 1;
}

/* What the controller gave, and what for. */
struct given {
	const struct file *file;
	bool writable;
};

static int compare_given(const void *key, const struct rb_node *node)
{
	const struct memview_source *source =
		rb_entry(node, struct memview_source, by_file);
	const struct given *given = key;

	return compare(given->file, source->user_file) ?:
		       (int)given->writable - source->writable;
}

static int compare_file(struct rb_node *node, const struct rb_node *other)
{
	const struct memview_source *source =
		rb_entry(node, struct memview_source, by_file);
	const struct given given = { source->user_file, source->writable };

	return compare_given(&given, other);
}

static struct memview_source *find_file(struct memview_view *view,
					const struct file *file, bool writable)
{
	const struct given given = { file, writable };
	struct rb_node *node = rb_find(&given, &view->sources, compare_given);

	return node ? rb_entry(node, struct memview_source, by_file) : NULL;
}

/**
 * memview_source_find - the source for a file, if the view has it
 * @view: View. The caller holds its change_lock.
 * @file: What the controller gave.
 * @flags: What the range will allow, of enum memview_map_flags.
 *
 * Context: May sleep.
 * Return: The source with a reference for a range, NULL, or an ERR_PTR() of the
 *	errnos in the uAPI header.
 */
struct memview_source *memview_source_find(struct memview_view *view,
					   struct file *file, u32 flags)
{
	bool writable = flags & MEMVIEW_MAP_WRITE;
	struct memview_source *source;
	int err;

	lockdep_assert_held(&view->change_lock);
	if (!may_have_pages(file))
		return ERR_PTR(-EOPNOTSUPP);
	err = check_access(file, flags);
	if (err)
		return ERR_PTR(err);
	source = find_file(view, file, writable);
	if (source && writable && is_write_sealed(file))
		return ERR_PTR(-EPERM);
	if (source)
		refcount_inc(&source->refs);
	return source;
}

/* With the view's reference, or what would have been that. */
static void discard(struct memview_source *source)
{
	release_writable(source);
	list_add_tail(&source->closing, &source->view->gone);
}

/**
 * memview_source_adopt - let a view have a source
 * @source: From memview_source_create(); owned by this function. The caller
 *	holds its view's change_lock.
 *
 * Without a range it stays the view's until memview_source_detach_unused().
 *
 * Context: May sleep.
 * Return: It, or the same file's that came first, with a reference for a range.
 */
struct memview_source *memview_source_adopt(struct memview_source *source)
{
	struct memview_view *view = source->view;
	struct memview_source *twin;

	lockdep_assert_held(&view->change_lock);
	/* Another thread may have brought the same file. */
	twin = find_file(view, source->user_file, source->writable);
	if (twin) {
		discard(source);
		refcount_inc(&twin->refs);
		return twin;
	}
	memview_watch_start(source);
	rb_find_add(&source->by_file, &view->sources, compare_file);
	refcount_inc(&source->refs);
	return source;
}

/**
 * memview_source_add_range - a range is about to enter the layout
 * @source: Its source. The caller holds the view's change_lock.
 * @range: Range: truncation must find it from here on.
 *
 * Context: May sleep. Takes the source's ranges_lock.
 */
void memview_source_add_range(struct memview_source *source,
			      struct memview_range *range)
{
	source->nr_ranges++;
	memview_watch_add(source, range);
}

/**
 * memview_source_del_range - a range has left the layout, or did not get in
 * @source: Its source; goes, if this was the last. The caller holds the view's
 *	change_lock.
 * @range: Range. It owns its reference of the source still.
 *
 * Context: May sleep. Takes the source's ranges_lock, and if it goes the i_mmap
 *	lock of its file.
 */
void memview_source_del_range(struct memview_source *source,
			      struct memview_range *range)
{
	memview_watch_del(source, range);
	source->nr_ranges--;
	memview_source_detach_unused(source);
}

/**
 * memview_source_detach_unused - let go of a file that has no range any more
 * @source: Under its view's change_lock. Faults in flight may still own
 *	references; they find out at the layout.
 *
 * After this the file can be sealed again. It is closed by memview_let_go().
 *
 * Context: May sleep.
 */
void memview_source_detach_unused(struct memview_source *source)
{
	if (source->nr_ranges)
		return;
	rb_erase(&source->by_file, &source->view->sources);
	memview_watch_stop(source);
	discard(source);
}
