// SPDX-License-Identifier: GPL-2.0
/*
 * Is this a kernel on which views are safe? Asked once, when the module is
 * loaded, and if not the module is not.
 *
 * Two questions. Does the kernel's release have the fixes that views rely on
 * (compat.h)? And does the watch (watch.c) hear? No interface promises that the
 * core tells the notifiers of an mm without a page table, so it is tried: on a
 * page of a shmem file, which is watched and which the loading task maps.
 *
 * What a module can make the core do to a mapped page is write-protect it for
 * writeback, replace it by a migration entry, and punch a hole. Reclaim is the
 * walk of migration with another function at its end, and cannot be called.
 */
#include <linux/err.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/percpu.h>
#include <linux/rmap.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/utsname.h>

#include "memview.h"

/* Of the kernel that runs: the headers may be those of another one. */
static int check_release(void)
{
	const char *release = init_utsname()->release;
	unsigned int major, minor, patch = 0;

	if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) >= 2 &&
	    MEMVIEW_IS_SAFE_RELEASE(major, minor, patch))
		return 0;
	pr_err("memview: not loaded: Linux %s lacks fixes that memory views rely on; Linux %s has them\n",
	       release, MEMVIEW_SAFE_KERNELS);
	return -EOPNOTSUPP;
}

/*
 * A file of one page, and a source that watches it. @view is no view: nothing
 * can find it, and of all its members the watch needs the counters.
 */
struct trial {
	struct memview_view *view;
	struct memview_source *source;
	struct file *file;
	unsigned long addr;
};

static int write_protect(struct trial *trial)
{
	struct folio *folio = filemap_lock_folio(trial->file->f_mapping, 0);

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	folio_mkclean(folio);
	folio_unlock(folio);
	folio_put(folio);
	return 0;
}

static int migrate(struct trial *trial)
{
	struct folio *folio = filemap_get_folio(trial->file->f_mapping, 0);

	if (IS_ERR(folio))
		return PTR_ERR(folio);
	memview_unmap_and_remap(folio);
	folio_put(folio);
	return 0;
}

static int punch(struct trial *trial)
{
	return vfs_fallocate(trial->file,
			     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			     PAGE_SIZE);
}

static const struct act {
	const char *name;
	int (*run)(struct trial *trial);
} acts[] = {
	{ "write-protected for writeback", write_protect },
#ifdef CONFIG_DEVICE_MIGRATION
	{ "migrated", migrate },
#endif
	{ "punched out of its file", punch },
};

/* Memory pressure may take the page between its touch and the act. */
#define TRIES 8

/* Return: 0, -EOPNOTSUPP if the watch has not heard, or another errno. */
static int try_act(struct trial *trial, const struct act *act)
{
	u64 __user *page = (u64 __user *)trial->addr;
	u64 before = memview_sum_stats(trial->view).invalidates;
	int err, i;

	for (i = 0; i < TRIES; i++) {
		if (put_user((u64)i, page))
			return -EFAULT;
		err = act->run(trial);
		if (err && err != -ENOENT)
			return err;
		if (memview_sum_stats(trial->view).invalidates != before)
			return 0;
	}
	pr_err("memview: not loaded: Linux %s does not tell a memory view that a page is being %s\n",
	       init_utsname()->release, act->name);
	return -EOPNOTSUPP;
}

static int run_acts(struct trial *trial)
{
	int err = 0, i;

	trial->addr = vm_mmap(trial->file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			      MAP_SHARED, 0);
	if (IS_ERR_VALUE(trial->addr))
		return trial->addr;
	for (i = 0; i < ARRAY_SIZE(acts) && !err; i++)
		err = try_act(trial, &acts[i]);
	vm_munmap(trial->addr, PAGE_SIZE);
	return err;
}

/* With the file watched, as that of a view is. */
static int watch_and_act(struct trial *trial)
{
	struct mutex *lock = &trial->view->change_lock;
	struct memview_source *source;
	LIST_HEAD(gone);
	int err;

	source = memview_source_create(trial->view, trial->file,
				       MEMVIEW_MAP_READ);
	if (IS_ERR(source))
		return PTR_ERR(source);
	mutex_lock(lock);
	source = memview_source_adopt(source);
	mutex_unlock(lock);
	if (IS_ERR(source))
		return PTR_ERR(source);
	err = run_acts(trial);
	mutex_lock(lock);
	memview_source_detach_unused(source);
	memview_end_change(trial->view, &gone);
	memview_source_put(source);
	memview_let_go(&gone, true);
	return err;
}

static int check_watch(void)
{
	struct trial trial = {};
	int err = -ENOMEM;

	trial.view = kzalloc(sizeof(*trial.view), GFP_KERNEL);
	if (!trial.view)
		return err;
	mutex_init(&trial.view->change_lock);
	INIT_LIST_HEAD(&trial.view->gone);
	trial.view->stats = alloc_percpu(struct memview_stats);
	if (!trial.view->stats)
		goto free_view;
	/* Nobody else can reach it, and it is no business of an LSM's. */
	trial.file = shmem_kernel_file_setup("memview-check", PAGE_SIZE,
					     EMPTY_VMA_FLAGS);
	if (IS_ERR(trial.file)) {
		err = PTR_ERR(trial.file);
		goto free_stats;
	}
	err = watch_and_act(&trial);
	fput(trial.file);
free_stats:
	free_percpu(trial.view->stats);
free_view:
	kfree(trial.view);
	return err;
}

/**
 * memview_check_kernel - are views safe on this kernel?
 *
 * Context: The task that loads the module, which maps a page for a moment. When
 *	sources and watches can be had.
 * Return: 0; -EOPNOTSUPP if not, and the kernel log says why; or what kept this
 *	from finding out.
 */
int memview_check_kernel(void)
{
	return check_release() ?: check_watch();
}
