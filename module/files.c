// SPDX-License-Identifier: GPL-2.0
/*
 * The two kinds of files of a view: the control file, and the view files that
 * clients get, which can be mapped, written back and closed, and nothing else.
 */
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/seq_file.h>

#include "memview.h"
#include "policy.h"
#include "trace.h"

static loff_t view_llseek(struct file *file, loff_t offset, int whence)
{
	struct memview_view *view = file->private_data;

	return generic_file_llseek_size(file, offset, whence, MAX_LFS_FILESIZE,
					i_size_read(view->inode));
}

static int viewfd_release(struct inode *inode, struct file *file)
{
	memview_view_put(file->private_data);
	return 0;
}

/* With the last reference: dup(), fork() and SCM_RIGHTS share the file. */
static int control_release(struct inode *inode, struct file *file)
{
	memview_view_end_control(file->private_data);
	memview_view_put(file->private_data);
	return 0;
}

static int viewfd_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct memview_view *view = file->private_data;
	int err;

	/* A private mapping would keep pages of its own over a revoke. */
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	err = memview_ask_mmap(file, vma);
	if (err)
		return err;
	/*
	 * DONTEXPAND: mlock, KSM, userfaultfd, guards and khugepaged keep away.
	 * Its price is that mremap() makes no mapping longer. Without it, a zap
	 * would munlock pages that no fault has locked here, another task's;
	 * and the other flags that keep mlock away cost more:
	 * IO and PFNMAP keep GUP away, and with it O_DIRECT and KVM.
	 * DROPPABLE leaves guards, and makes faults that run out of memory try
	 * again for ever.
	 * MIXEDMAP has fork() copy the PTEs, those of one folio as one, all of
	 * them writable if one is; now a child faults for itself. And huge
	 * pages would never be given back, see huge.c.
	 */
	vm_flags_set(vma, VM_DONTEXPAND | VM_DONTDUMP);
	err = memview_vma_begin(vma, view);
	if (err)
		return err;
	trace_memview_mmap(&view->bpf, vma);
	return 0;
}

static void view_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct memview_view *view = file->private_data;
	struct memview_stats sum = memview_sum_stats(view);

	seq_printf(m, "memview-id:\t%llu\n", view->bpf.id);
	seq_printf(m, "memview-type:\t%s\n",
		   file->f_op == &memview_control_fops ? "control" : "view");
	seq_printf(m, "memview-flags:\t%#x\n", READ_ONCE(view->flags));
	seq_printf(m, "memview-size:\t%lld\n", i_size_read(view->inode));
	seq_printf(m, "memview-ranges:\t%lu\n",
		   READ_ONCE(view->layout.nr_ranges));
	seq_printf(m, "memview-bytes:\t%llu\n",
		   (u64)READ_ONCE(view->layout.nr_pages) << PAGE_SHIFT);
	seq_printf(m, "memview-mappings:\t%ld\n",
		   atomic_long_read(&view->mappings));
	seq_printf(m, "memview-faults:\t%llu\n", sum.faults);
	seq_printf(m, "memview-fault-errors:\t%llu\n", sum.fault_errors);
	seq_printf(m, "memview-changes:\t%llu\n", sum.changes);
	seq_printf(m, "memview-zaps:\t%llu\n", sum.zaps);
	seq_printf(m, "memview-invalidates:\t%llu\n", sum.invalidates);
}

static const struct file_operations viewfd_fops = {
	.owner = THIS_MODULE,
	.llseek = view_llseek,
	.mmap = viewfd_mmap,
	.get_unmapped_area = thp_get_unmapped_area, /* as huge pages need it */
	.fsync = memview_fsync,
	.fadvise = memview_fadvise,
	.release = viewfd_release,
	.setlease = memview_setlease,
	.show_fdinfo = view_show_fdinfo,
};

/* Opened by the character device code, see device.c. */
const struct file_operations memview_control_fops = {
	.owner = THIS_MODULE,
	.open = memview_control_open,
	.llseek = view_llseek,
	.unlocked_ioctl = memview_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = control_release,
	.setlease = memview_setlease,
	.show_fdinfo = view_show_fdinfo,
};

/**
 * memview_alloc_file - open a new file on the inode of a view
 * @inode: The inode; a reference is taken on success.
 * @mnt: Mount of the pseudo file system.
 * @kind: For the file's name, which /proc/PID/maps and fd/ show.
 * @id: Of the view; likewise.
 * @fops: Operations, owned by this module.
 *
 * Return: The file or an ERR_PTR().
 */
struct file *memview_alloc_file(struct inode *inode, struct vfsmount *mnt,
				const char *kind, u64 id,
				const struct file_operations *fops)
{
	struct file *file;
	char name[48];

	scnprintf(name, sizeof(name), "memory-view:%s:%llu", kind, id);
	ihold(inode);
	file = alloc_file_pseudo(inode, mnt, name, O_RDWR, fops);
	if (IS_ERR(file))
		iput(inode);
	else
		__module_get(fops->owner); /* __fput() puts it */
	return file;
}

/* Of a view; also when it goes by fput() alone. */
static struct file *make_viewfile(struct file *control)
{
	struct memview_view *view = control->private_data;
	struct file *file = memview_alloc_file(view->inode, control->f_path.mnt,
					       "view", view->bpf.id,
					       &viewfd_fops);

	if (IS_ERR(file))
		return file;
	refcount_inc(&view->users);
	file->private_data = view;
	return file;
}

/* If what the policies have allowed holds. -ESTALE: they must be asked again. */
static int try_install(struct memview_asked *asked, int fd, struct file *file)
{
	struct mutex *lock = &asked->view->change_lock; /* a revoke has it */
	int idx = mutex_lock_killable(lock);

	if (idx)
		return idx;
	idx = memview_commit_begin(asked);
	if (idx >= 0) {
		fd_install(fd, file);
		memview_commit_end(idx);
	}
	mutex_unlock(lock);
	return min(idx, 0);
}

/* Give a view file to the caller, if the policies still allow it. */
static int install(struct memview_asked *asked, int fd, struct file *file)
{
	int err;

	while ((err = try_install(asked, fd, file)) == -ESTALE) {
		err = memview_asked_begin(asked) ?:
						   memview_ask_get_viewfd(asked);
		if (err)
			break;
	}
	return err;
}

static int create_viewfd(struct file *control)
{
	struct memview_asked asked = { .view = control->private_data };
	struct file *file;
	int fd, err;

	err = memview_asked_begin(&asked) ?: memview_ask_get_viewfd(&asked);
	if (err)
		return err;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	file = make_viewfile(control);
	err = PTR_ERR_OR_ZERO(file);
	if (err)
		goto put_fd;
	err = install(&asked, fd, file);
	if (err)
		goto put_file;
	return fd;

put_file:
	fput(file);
put_fd:
	put_unused_fd(fd);
	return err;
}

/**
 * memview_viewfd_create - MEMVIEW_GET_VIEWFD
 * @control: The control file.
 *
 * Context: May sleep.
 * Return: A new close-on-exec file descriptor or a negative errno.
 */
int memview_viewfd_create(struct file *control)
{
	struct memview_view *view = control->private_data;
	int fd = create_viewfd(control);

	trace_memview_get_viewfd(&view->bpf, fd);
	return fd;
}
