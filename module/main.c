// SPDX-License-Identifier: GPL-2.0
/*
 * The pseudo file system, what an open of the device node makes, init and exit.
 *
 * ftruncate() wants a regular file, and the device node is none. So each open
 * of the node makes an inode on a pseudo file system of the module, and the
 * opened file becomes one of that inode: its path, its inode and its mapping
 * are those of the view, which its path pins to the end of __fput(). Nothing
 * of the node is in use when the open has returned.
 *
 * The file system is mounted while there are views (simple_pin_fs): a lasting
 * mount would be a lasting reference to this module.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs_context.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/rcupdate.h>

#include "memview.h"
#include "policy.h"

#define MEMVIEW_SUPER_MAGIC 0x6d766965 /* "mvie" */

module_param_named(max_ranges, memview_max_ranges, uint, 0644);
MODULE_PARM_DESC(max_ranges,
		 "How many ranges a view may have (default 1048576)");
module_param_named(close_timeout, memview_close_timeout, uint, 0644);
MODULE_PARM_DESC(
	close_timeout,
	"How long a request waits for servers to close files, ms (default 1000; 0: not at all)");

/* Mounts of the file system are shared by views whose life overlaps. */
static struct vfsmount *view_mnt;
static int view_mnt_count;

static int init_fs_context(struct fs_context *fc)
{
	if (!init_pseudo(fc, MEMVIEW_SUPER_MAGIC))
		return -ENOMEM;
	/* Ranges say what may be executed. */
	fc->s_iflags &= ~SB_I_NOEXEC;
	return 0;
}

static struct file_system_type view_fs_type = {
	.owner = THIS_MODULE,
	.name = "memview",
	.init_fs_context = init_fs_context,
	.kill_sb = kill_anon_super,
};

/* The control file's ftruncate() is all that may change the inode. */
static int view_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			struct iattr *attr)
{
	const unsigned int fine = ATTR_SIZE | ATTR_FILE | ATTR_MTIME |
				  ATTR_CTIME | ATTR_KILL_SUID | ATTR_KILL_SGID |
				  ATTR_KILL_PRIV;

	if ((attr->ia_valid & ~fine) || !(attr->ia_valid & ATTR_SIZE) ||
	    !(attr->ia_valid & ATTR_FILE) ||
	    attr->ia_file->f_op != &memview_control_fops)
		return -EPERM;
	return memview_view_resize(attr->ia_file->private_data, attr->ia_size);
}

static const struct inode_operations view_iops = {
	.setattr = view_setattr,
};

/* By /proc/PID/fd. A client that could open anew could ask for more. */
static int refuse_open(struct inode *inode, struct file *file)
{
	return -ENXIO;
}

static const struct file_operations inode_fops = {
	.owner = THIS_MODULE,
	.open = refuse_open,
};

static struct inode *alloc_view_inode(struct super_block *sb)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return ERR_PTR(-ENOMEM);
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0600;
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	inode->i_op = &view_iops;
	inode->i_fop = &inode_fops;
	simple_inode_init_ts(inode);
	return inode;
}

/* Only opened to make a dentry; gone when the control file is open. */
static const struct file_operations transient_fops = {
	.owner = THIS_MODULE,
};

/*
 * Make the file one of the view's inode, in all that the VFS knows of it. From
 * here on the character device code will not find at the last close what it
 * has taken at the open.
 */
static int repoint(struct file *file, struct memview_view *view,
		   struct vfsmount *mnt)
{
	struct path *path = memview_file_path(file);
	struct path old = *path;
	struct file *transient;

	transient = memview_alloc_file(view->inode, mnt, "control",
				       view->bpf.id, &transient_fops);
	if (IS_ERR(transient))
		return PTR_ERR(transient);
	*path = transient->f_path;
	path_get(path);
	fput(transient);
	file->f_inode = view->inode;
	file->f_mapping = view->inode->i_mapping;
	path_put(&old);
	return 0;
}

/**
 * memview_unpin_fs - a view is gone: it needs the file system no more
 *
 * The files that are being closed still hold the mount.
 *
 * Context: May sleep.
 */
void memview_unpin_fs(void)
{
	simple_release_fs(&view_mnt, &view_mnt_count);
}

/* Make a view for an opened device node. The pin of the mount goes with it. */
static int open_view(struct file *file, struct vfsmount *mnt)
{
	struct inode *inode = alloc_view_inode(mnt->mnt_sb);
	struct memview_view *view;
	int err;

	if (IS_ERR(inode)) {
		memview_unpin_fs();
		return PTR_ERR(inode);
	}
	view = memview_view_create(inode);
	if (IS_ERR(view)) {
		iput(inode);
		memview_unpin_fs();
		return PTR_ERR(view);
	}
	err = repoint(file, view, mnt);
	iput(inode); /* the dentry has it, if there is one */
	if (err)
		memview_view_put(view);
	else
		file->private_data = view;
	return err;
}

/**
 * memview_control_open - ->open of the device node: make a view
 * @inode: The node's.
 * @file: Becomes the control file.
 *
 * Context: Process context.
 * Return: 0; -EINVAL if it is not for reading and writing, or -ENOMEM, -ENFILE
 *	or what else the VFS has to say.
 */
int memview_control_open(struct inode *inode, struct file *file)
{
	int err;

	if ((file->f_flags & O_ACCMODE) != O_RDWR)
		return -EINVAL;
	err = simple_pin_fs(&view_fs_type, &view_mnt, &view_mnt_count) ?:
		      open_view(file, view_mnt);
	if (!err)
		memview_device_forget(inode);
	return err;
}

static int __init memview_init(void)
{
	int err;

	err = memview_layout_cache_create();
	if (err)
		return err;
	err = memview_source_init();
	if (err)
		goto destroy_cache;
	err = memview_watch_init();
	if (err)
		goto exit_source;
	err = memview_vma_init();
	if (err)
		goto exit_watch;
	err = memview_check_kernel();
	if (err)
		goto exit_vma;
	err = memview_policy_init();
	if (err)
		goto exit_vma;
	err = memview_kfuncs_init();
	if (err)
		goto exit_vma;
	err = memview_device_init();
	if (err)
		goto exit_vma;
	return 0;

exit_vma:
	memview_vma_exit();
exit_watch:
	memview_watch_exit();
exit_source:
	memview_source_exit();
destroy_cache:
	memview_layout_cache_destroy();
	return err;
}

static void __exit memview_exit(void)
{
	memview_device_exit();
	memview_source_exit();
	memview_watch_exit();
	memview_vma_exit();
	/*
	 * Who has given up a file of a view, in a fault or a task work, may have
	 * been preempted on his way out of code of this module.
	 */
	synchronize_rcu_tasks();
	/* The last views are freed after a grace period, by code of this module. */
	rcu_barrier();
	memview_layout_cache_destroy();
}

module_init(memview_init);
module_exit(memview_exit);

MODULE_DESCRIPTION("Lend memory to another process, and take it back");
MODULE_AUTHOR("The memview developers");
MODULE_LICENSE("GPL");
#ifdef MEMVIEW_VERSION
MODULE_VERSION(MEMVIEW_VERSION);
#endif
