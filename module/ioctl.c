// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls: which they are, and how their arguments are copied.
 *
 * The size of the caller's structure comes with the ioctl number, so that
 * both sides can grow. No logic here.
 */
#include <linux/ioctl.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "memview.h"

union argument {
	struct memview_map_fd_info map;
	struct memview_unmap_fd_info unmap;
	struct memview_batch batch;
	struct memview_set_flags set_flags;
};

/**
 * struct command - an ioctl
 * @dir: Direction bits of its number.
 * @min_size: Size of the argument's first published form.
 * @size: Size of the argument as this module knows it.
 * @run: Does it. The argument is a copy of what is at the caller's address.
 */
struct command {
	unsigned int dir;
	size_t min_size;
	size_t size;
	long (*run)(struct file *file, const union argument *arg,
		    void __user *user);
};

static long run_map(struct file *file, const union argument *arg,
		    void __user *user)
{
	return memview_view_map(file->private_data, &arg->map);
}

static long run_unmap(struct file *file, const union argument *arg,
		      void __user *user)
{
	return memview_view_unmap(file->private_data, &arg->unmap);
}

static long run_get_viewfd(struct file *file, const union argument *arg,
			   void __user *user)
{
	return memview_viewfd_create(file);
}

/* @failed is written first: what has changed something cannot fail. */
static long run_batch(struct file *file, const union argument *arg,
		      void __user *user)
{
	struct memview_batch __user *batch = user;
	u32 failed = arg->batch.nr_ops;
	long err;

	if (put_user(failed, &batch->failed))
		return -EFAULT;
	err = memview_view_batch(file->private_data, &arg->batch, &failed);
	if (err && put_user(failed, &batch->failed))
		return -EFAULT;
	return err;
}

static long run_set_flags(struct file *file, const union argument *arg,
			  void __user *user)
{
	return memview_view_set_flags(file->private_data, &arg->set_flags);
}

static_assert(sizeof(struct memview_map_fd_info) == 32);
static_assert(sizeof(struct memview_unmap_fd_info) == 24);
static_assert(sizeof(struct memview_batch) == 24);
static_assert(sizeof(struct memview_batch_op) == 40);
static_assert(sizeof(struct memview_set_flags) == 8);

static const struct command commands[] = {
	[_IOC_NR(MEMVIEW_MAP_FD)] = {
		.dir = _IOC_WRITE,
		.min_size = 32,
		.size = sizeof(struct memview_map_fd_info),
		.run = run_map,
	},
	[_IOC_NR(MEMVIEW_UNMAP_FD)] = {
		.dir = _IOC_WRITE,
		.min_size = 24,
		.size = sizeof(struct memview_unmap_fd_info),
		.run = run_unmap,
	},
	[_IOC_NR(MEMVIEW_GET_VIEWFD)] = {
		.dir = _IOC_NONE,
		.run = run_get_viewfd,
	},
	[_IOC_NR(MEMVIEW_BATCH)] = {
		.dir = _IOC_READ | _IOC_WRITE,
		.min_size = 24,
		.size = sizeof(struct memview_batch),
		.run = run_batch,
	},
	[_IOC_NR(MEMVIEW_SET_FLAGS)] = {
		.dir = _IOC_WRITE,
		.min_size = 8,
		.size = sizeof(struct memview_set_flags),
		.run = run_set_flags,
	},
};

static const struct command *find_command(unsigned int cmd)
{
	const struct command *command;

	if (_IOC_TYPE(cmd) != MEMVIEW_IOC_MAGIC ||
	    _IOC_NR(cmd) >= ARRAY_SIZE(commands))
		return NULL;
	command = &commands[array_index_nospec(_IOC_NR(cmd),
					       ARRAY_SIZE(commands))];
	if (_IOC_DIR(cmd) != command->dir)
		return NULL;
	return command;
}

/**
 * memview_ioctl - ->unlocked_ioctl of a control file
 * @file: Control file.
 * @cmd: Which request, and the size of its argument.
 * @arg: Its address in user space.
 *
 * Context: Process context.
 * Return: 0, the view fd of MEMVIEW_GET_VIEWFD, or an errno of the uAPI header.
 */
long memview_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct command *command = find_command(cmd);
	void __user *user = (void __user *)arg;
	union argument copy = {};
	int err;

	if (!command)
		return -ENOTTY;
	if (_IOC_SIZE(cmd) < command->min_size)
		return -EINVAL;
	if (!command->size)
		return _IOC_SIZE(cmd) ? -ENOTTY :
					command->run(file, NULL, user);
	err = copy_struct_from_user(&copy, command->size, user, _IOC_SIZE(cmd));
	return err ?: command->run(file, &copy, user);
}
