// SPDX-License-Identifier: GPL-2.0
/*
 * The device node.
 *
 * A character device of the module's own, not a misc device: those are opened
 * under one mutex for all of them, and making a view allocates, charged to the
 * caller's memory cgroup, which may keep it for as long as it likes.
 *
 * The node can be there before the module, and opening it loads the module. kmod
 * finds its name and number in the aliases below when modules are installed, and
 * at boot systemd makes a node of each that it has found (kmod static-nodes); the
 * udev rule sets group and mode. For that the number must be known beforehand:
 * so it is one of those that Linux sets aside for local use, which it gives to
 * nobody else (Documentation/admin-guide/devices.txt).
 */
#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>

#include "memview.h"

#define NAME "memory-view"
#define MAJOR_LOCAL 125

MODULE_ALIAS("devname:" NAME);
MODULE_ALIAS_CHARDEV(MAJOR_LOCAL, 0);

static unsigned int major = MAJOR_LOCAL;
module_param(major, uint, 0444);
MODULE_PARM_DESC(
	major,
	"Major number of the device node (default 125; 0: any that is free)");

static char *devnode(const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0660;
	return NULL;
}

static const struct class memview_class = {
	.name = "memview",
	.devnode = devnode,
};

/**
 * memview_device_init - let views be made: the node appears
 *
 * Context: May sleep. When all else is set up.
 * Return: 0; -EBUSY if the major number is taken; or another errno.
 */
int memview_device_init(void)
{
	struct device *dev;
	int err;

	err = class_register(&memview_class);
	if (err)
		return err;
	err = __register_chrdev(major, 0, 1, NAME, &memview_control_fops);
	if (err < 0) {
		if (err == -EBUSY)
			pr_err("memview: not loaded: another driver has major number %u; load it with another one, or with major=0 for any\n",
			       major);
		goto unregister_class;
	}
	if (err)
		major = err;
	dev = device_create(&memview_class, NULL, MKDEV(major, 0), NULL, NAME);
	if (IS_ERR(dev)) {
		err = PTR_ERR(dev);
		goto unregister_chrdev;
	}
	return 0;

unregister_chrdev:
	__unregister_chrdev(major, 0, 1, NAME);
unregister_class:
	class_unregister(&memview_class);
	return err;
}

/**
 * memview_device_exit - undo memview_device_init()
 *
 * Context: May sleep.
 */
void memview_device_exit(void)
{
	device_destroy(&memview_class, MKDEV(major, 0));
	__unregister_chrdev(major, 0, 1, NAME);
	class_unregister(&memview_class);
}

/**
 * memview_device_forget - give back what an open of the node has taken
 * @inode: The node's.
 *
 * chrdev_open() has given the file a reference of the device, and of the module
 * for it, which __fput() puts if it finds the node's inode. A control file has
 * another one by then. The module it has by its file operations.
 *
 * Context: ->open, which will not fail any more.
 */
void memview_device_forget(struct inode *inode)
{
	struct cdev *cdev = inode->i_cdev;
	struct module *owner = cdev->owner;

	kobject_put(&cdev->kobj);
	module_put(owner);
}
