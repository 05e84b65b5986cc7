// SPDX-License-Identifier: GPL-2.0
/*
 * What may back a range, and for how long.
 *
 * A source is a file as mmap() would see it: its ->mmap is called once, on a
 * VMA that is in no process, and leaves there the file that really has the
 * pages (of overlayfs the file below) and the vm_ops that bring them.
 *
 * Ranges that may be written have a source of their own: its existence keeps
 * F_SEAL_WRITE away, as a shared writable mapping does.
 */
#include <linux/backing-dev.h>
#include <linux/dax.h>
#include <linux/file.h>
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
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
	source->cached = source->vma.vm_ops->map_pages == filemap_map_pages;
	source->cached_writable =
		source->cached && !source->vma.vm_ops->page_mkwrite &&
		!mapping_can_writeback(source->vma.vm_file->f_mapping);
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

static struct workqueue_struct *close_queue;

int memview_source_init(void)
{
	close_queue = alloc_workqueue("memview", WQ_UNBOUND, 0);
	return close_queue ? 0 : -ENOMEM;
}

/* Waits until all files are closed. */
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

static void close_slowly(struct work_struct *work)
{
	struct memview_source *source =
		container_of(work, struct memview_source, work);

	source->vma.vm_ops->close(&source->vma);
	close_files(source);
}

/**
 * memview_source_put - give a reference back
 * @source: With the last one its files are closed. It is unlinked already.
 *
 * A ->close may wait for whoever serves the file: FUSE writes back in it. No
 * change waits for that, nor a fault.
 *
 * Context: May sleep.
 */
void memview_source_put(struct memview_source *source)
{
	if (!refcount_dec_and_test(&source->refs))
		return;
	if (!source->vma.vm_ops->close) {
		close_files(source);
		return;
	}
	INIT_WORK(&source->work, close_slowly);
	queue_work(close_queue, &source->work);
}

static void release_writable(struct memview_source *source)
{
	if (source->writable)
		mapping_unmap_writable(source->user_file->f_mapping);
}

/*
 * Two opens of one file are one source, if the same page cache serves both
 * and the same credentials opened them.
 */
static struct memview_source *find_twin(struct memview_view *view,
					const struct memview_source *new)
{
	struct memview_source *source;

	list_for_each_entry(source, &view->sources, list)
		if (source->writable == new->writable &&
		    source->vma.vm_file->f_mapping ==
			    new->vma.vm_file->f_mapping &&
		    source->user_file->f_op == new->user_file->f_op &&
		    source->user_file->f_cred == new->user_file->f_cred)
			return source;
	return NULL;
}

static struct memview_source *find_same_file(struct memview_view *view,
					     struct file *file, bool writable)
{
	struct memview_source *source;

	list_for_each_entry(source, &view->sources, list)
		if (source->user_file == file && source->writable == writable)
			return source;
	return NULL;
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
	source = find_same_file(view, file, writable);
	if (source && writable && is_write_sealed(file))
		return ERR_PTR(-EPERM);
	if (source)
		refcount_inc(&source->refs);
	return source;
}

static void discard(struct memview_source *source)
{
	release_writable(source);
	memview_source_put(source);
}

/**
 * memview_source_adopt - let a view have a source
 * @source: From memview_source_create(); owned by this function. The caller
 *	holds its view's change_lock.
 *
 * Without a range it stays on the view's list until
 * memview_source_detach_unused().
 *
 * Context: May sleep.
 * Return: It, or the same file's that came first, with a reference for a range;
 *	or an ERR_PTR().
 */
struct memview_source *memview_source_adopt(struct memview_source *source)
{
	struct memview_view *view = source->view;
	struct memview_source *twin;
	int err;

	lockdep_assert_held(&view->change_lock);
	twin = find_twin(view, source);
	if (twin) {
		discard(source);
		refcount_inc(&twin->refs);
		return twin;
	}
	err = memview_watch_start(source);
	if (err) {
		discard(source);
		return ERR_PTR(err);
	}
	list_add(&source->list, &view->sources);
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
 * After this the file can be sealed again.
 *
 * Context: May sleep.
 */
void memview_source_detach_unused(struct memview_source *source)
{
	if (source->nr_ranges)
		return;
	list_del(&source->list);
	memview_watch_stop(source);
	release_writable(source);
	memview_source_put(source);
}
