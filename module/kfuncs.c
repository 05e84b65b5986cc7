// SPDX-License-Identifier: GPL-2.0
/*
 * What BPF programs can call.
 *
 * In two sets. The first looks at views and sources; any program may use it.
 * The second takes locks that a tracing program might already be under: it is
 * for struct_ops and syscall programs; what takes locks is for those of them
 * that may sleep. (All struct_ops of the kernel are of one type of program,
 * whatever their context.)
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/btf_ids.h>
#include <linux/dcache.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/shmem_fs.h>

#include "memview.h"
#include "policy.h"

struct iter_view {
	struct memview_view *view;
	u64 last_id;
} __aligned(8);

struct iter_range {
	struct memview_view *view;
	pgoff_t next;
	struct memview_range_info info;
} __aligned(8);

static_assert(sizeof(struct iter_view) == sizeof(struct bpf_iter_memview));
static_assert(sizeof(struct iter_range) <=
	      sizeof(struct bpf_iter_memview_range));
static_assert(sizeof(struct memview_range_source) ==
	      sizeof(struct memview_source_info));

static struct memview_view *to_view(struct memview *view)
{
	return container_of(view, struct memview_view, bpf);
}

static struct memview *to_bpf(struct memview_view *view)
{
	return view ? &view->bpf : NULL;
}

static void get_source_info(struct file *file, struct memview_source_info *info)
{
	struct inode *inode = file_inode(file);

	memset(info, 0, sizeof(*info));
	info->kind = memview_source_kind(file);
	/* Any other file of a tmpfs has F_SEAL_SEAL, which says nothing. */
	if (info->kind == MEMVIEW_SOURCE_MEMFD)
		info->seals = READ_ONCE(SHMEM_I(inode)->seals);
	info->dev = inode->i_sb->s_dev;
	info->writable = !!(file->f_mode & FMODE_WRITE);
	info->ino = inode->i_ino;
	info->size = i_size_read(inode);
}

/* As many as there are numbers, at the most. */
static u64 to_bytes(unsigned long pages)
{
	return (u64)min(pages, (unsigned long)(U64_MAX >> PAGE_SHIFT))
	       << PAGE_SHIFT;
}

__bpf_kfunc_start_defs();

/**
 * bpf_memview_get_info - look at a view
 * @memview: View, trusted or borrowed under RCU.
 * @info: Filled in.
 *
 * Context: Any.
 * Return: 0.
 */
__bpf_kfunc int bpf_memview_get_info(struct memview *memview,
				     struct memview_info *info)
{
	struct memview_view *view = to_view(memview);
	struct memview_stats sum = memview_sum_stats(view);
	unsigned long growing = atomic_long_read(&view->growing);

	/* What is not in flight any more is in the layout: see asked.c. */
	smp_rmb();
	*info = (struct memview_info){
		.id = view->bpf.id,
		.size = READ_ONCE(view->size),
		.ranges = READ_ONCE(view->layout.nr_ranges),
		.bytes = (u64)READ_ONCE(view->layout.nr_pages) << PAGE_SHIFT,
		.mappings = atomic_long_read(&view->mappings),
		.owner_pid = view->bpf.owner_pid,
		.owner_uid = view->bpf.owner_uid,
		.owner_cgroup = view->bpf.owner_cgroup,
		.faults = sum.faults,
		.fault_errors = sum.fault_errors,
		.changes = sum.changes,
		.zaps = sum.zaps,
		.invalidates = sum.invalidates,
		.growing = to_bytes(growing),
		.flags = READ_ONCE(view->flags),
	};
	return 0;
}

/**
 * bpf_memview_get_source_info - look at a source
 * @file: The source, trusted.
 * @info: Filled in.
 *
 * Not every file that the verifier trusts is there. That of the LSM hook of
 * mmap() is NULL for anonymous memory, which the verifier of 6.12 does not
 * know: it even leaves out a check that the program makes. And 7.x has hooks for
 * files that are not open yet, or not any more (backing_file_alloc, _free).
 *
 * Context: Any.
 * Return: 0; -EINVAL no open file.
 */
__bpf_kfunc int bpf_memview_get_source_info(struct file *file,
					    struct memview_source_info *info)
{
	if (!file || !(file->f_mode & FMODE_OPENED) || !file_count(file))
		return -EINVAL;
	get_source_info(file, info);
	return 0;
}

/**
 * bpf_memview_acquire - find a view by its ID
 * @id: ID.
 *
 * Context: Any; an NMI finds none.
 * Return: The view, to be given back by bpf_memview_release(), or NULL.
 */
__bpf_kfunc struct memview *bpf_memview_acquire(u64 id)
{
	return to_bpf(memview_registry_get(id));
}

/**
 * bpf_memview_release - give a view back
 * @view: From bpf_memview_acquire().
 *
 * Context: As there.
 */
__bpf_kfunc void bpf_memview_release(struct memview *view)
{
	memview_unref(to_view(view));
}

/**
 * bpf_iter_memview_new - begin to go through all views, by ascending IDs
 * @it: Iterator.
 *
 * Context: An RCU read section; in it the views stay valid. To act on one, have
 * a reference: bpf_memview_acquire() with its ID.
 * Return: 0.
 */
__bpf_kfunc int bpf_iter_memview_new(struct bpf_iter_memview *it)
{
	((struct iter_view *)it)->view = NULL;
	((struct iter_view *)it)->last_id = 0;
	return 0;
}

/**
 * bpf_iter_memview_next - the next view
 * @it: Iterator.
 *
 * Context: Any; an NMI finds none.
 * Return: A view, valid until the next call, or NULL at the end.
 */
__bpf_kfunc struct memview *bpf_iter_memview_next(struct bpf_iter_memview *it)
{
	struct iter_view *iter = (struct iter_view *)it;

	if (iter->view) {
		iter->last_id = iter->view->bpf.id;
		memview_unref(iter->view);
	}
	iter->view = memview_registry_next(iter->last_id);
	return to_bpf(iter->view);
}

/**
 * bpf_iter_memview_destroy - end it
 * @it: Iterator.
 *
 * Context: Any.
 */
__bpf_kfunc void bpf_iter_memview_destroy(struct bpf_iter_memview *it)
{
	struct iter_view *iter = (struct iter_view *)it;

	if (iter->view)
		memview_unref(iter->view);
}

/**
 * bpf_memview_source_path - the path of a source, as the current process sees it
 * @file: The source, trusted.
 * @buf: Where to put it, NUL-terminated.
 * @buf__sz: Size of @buf, bytes.
 *
 * Context: May sleep.
 * Return: Length without the NUL, or -ENAMETOOLONG; -EINVAL if @buf__sz is 0;
 *	-ESRCH if the process is so far in its exit that it sees no paths.
 */
__bpf_kfunc int bpf_memview_source_path(struct file *file, char *buf,
					u32 buf__sz)
{
	char *path;
	int len;

	if (!buf__sz)
		return -EINVAL;
	if (!current->fs)
		return -ESRCH;
	path = d_path(&file->f_path, buf, buf__sz);
	if (IS_ERR(path))
		return PTR_ERR(path);
	len = buf + buf__sz - path;
	memmove(buf, path, len);
	return len - 1;
}

/**
 * bpf_memview_revoke - take a span of a view away from its clients
 * @view: View, trusted.
 * @offset: Bytes, a multiple of the page size.
 * @size: Bytes, likewise. Both 0: the whole view.
 *
 * As MEMVIEW_UNMAP_FD does, but from outside: the controller is not asked. Files
 * are closed by a worker, which begins at once; this does not wait for it.
 *
 * Context: May sleep.
 * Return: 0; -EDEADLK in a policy's @unmap_fd, which it would tell again;
 *	-EINVAL unaligned or overflowing; -ENOENT the view is gone;
 *	-ENOSPC it would have too many ranges; -ENOMEM.
 */
__bpf_kfunc int bpf_memview_revoke(struct memview *view, u64 offset, u64 size)
{
	if (memview_in_tell_unmap())
		return -EDEADLK;
	return memview_view_revoke(to_view(view), offset, size);
}

/**
 * bpf_iter_memview_range_new - begin to go through the ranges of a view
 * @it: Iterator.
 * @view: View, trusted.
 *
 * Context: May sleep.
 * Return: 0.
 */
__bpf_kfunc int bpf_iter_memview_range_new(struct bpf_iter_memview_range *it,
					   struct memview *view)
{
	struct iter_range *iter = (struct iter_range *)it;

	iter->view = to_view(view);
	refcount_inc(&iter->view->refs);
	iter->next = 0;
	return 0;
}

/**
 * bpf_iter_memview_range_next - the next range
 * @it: Iterator.
 *
 * Changes meanwhile may or may not be seen; each range is as it was at one
 * moment.
 *
 * Context: May sleep.
 * Return: The range, valid until the next call, or NULL at the end.
 */
__bpf_kfunc struct memview_range_info *
bpf_iter_memview_range_next(struct bpf_iter_memview_range *it)
{
	struct iter_range *iter = (struct iter_range *)it;
	pgoff_t first = iter->next, last;
	struct memview_source_info source;
	struct memview_range *range;

	range = memview_layout_next(&iter->view->layout, &first, &last);
	if (!range)
		return NULL;
	iter->next = last + 1;
	iter->info.offset = (u64)first << PAGE_SHIFT;
	iter->info.size = (u64)(last - first + 1) << PAGE_SHIFT;
	iter->info.fd_offset = (u64)memview_file_pgoff(range, first)
			       << PAGE_SHIFT;
	iter->info.flags = range->flags;
	iter->info.reserved = 0;
	get_source_info(range->source->user_file, &source);
	memcpy(&iter->info.source, &source, sizeof(source));
	memview_range_put(range);
	return &iter->info;
}

/**
 * bpf_iter_memview_range_destroy - end it
 * @it: Iterator.
 *
 * Context: Any.
 */
__bpf_kfunc void
bpf_iter_memview_range_destroy(struct bpf_iter_memview_range *it)
{
	memview_unref(((struct iter_range *)it)->view);
}

__bpf_kfunc_end_defs();

/* clang-format off */
BTF_KFUNCS_START(look_ids)
BTF_ID_FLAGS(func, bpf_memview_get_info, KF_RCU)
BTF_ID_FLAGS(func, bpf_memview_get_source_info, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_memview_acquire, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_memview_release, KF_RELEASE)
BTF_ID_FLAGS(func, bpf_iter_memview_new, KF_ITER_NEW | KF_RCU_PROTECTED)
BTF_ID_FLAGS(func, bpf_iter_memview_next, KF_ITER_NEXT | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_iter_memview_destroy, KF_ITER_DESTROY)
BTF_KFUNCS_END(look_ids)

/* A module has one set for a type of program: this one has all. */
BTF_KFUNCS_START(all_ids)
BTF_ID_FLAGS(func, bpf_memview_get_info, KF_RCU)
BTF_ID_FLAGS(func, bpf_memview_get_source_info, KF_TRUSTED_ARGS)
BTF_ID_FLAGS(func, bpf_memview_acquire, KF_ACQUIRE | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_memview_release, KF_RELEASE)
BTF_ID_FLAGS(func, bpf_iter_memview_new, KF_ITER_NEW | KF_RCU_PROTECTED)
BTF_ID_FLAGS(func, bpf_iter_memview_next, KF_ITER_NEXT | KF_RET_NULL)
BTF_ID_FLAGS(func, bpf_iter_memview_destroy, KF_ITER_DESTROY)
BTF_ID_FLAGS(func, bpf_memview_source_path, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_memview_revoke, KF_TRUSTED_ARGS | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_memview_range_new,
	     KF_TRUSTED_ARGS | KF_ITER_NEW | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_memview_range_next,
	     KF_ITER_NEXT | KF_RET_NULL | KF_SLEEPABLE)
BTF_ID_FLAGS(func, bpf_iter_memview_range_destroy, KF_ITER_DESTROY)
BTF_KFUNCS_END(all_ids)
/* clang-format on */

/*
 * Views have no namespace: a program sees those of the whole machine. A BPF token
 * is for the user namespace of a container, and not enough for that.
 */
static int refuse_tokens(const struct bpf_prog *prog, u32 id)
{
	return prog->aux->token ? -EACCES : 0;
}

static const struct btf_kfunc_id_set look_set = {
	.owner = THIS_MODULE,
	.set = &look_ids,
	.filter = refuse_tokens,
};

static const struct btf_kfunc_id_set all_set = {
	.owner = THIS_MODULE,
	.set = &all_ids,
	.filter = refuse_tokens,
};

/**
 * memview_kfuncs_init - tell the BPF core of the kfuncs
 *
 * It lets go of them with the module.
 *
 * Context: May sleep.
 * Return: 0 or an errno.
 */
int memview_kfuncs_init(void)
{
	return register_btf_kfunc_id_set(BPF_PROG_TYPE_TRACING, &look_set) ?:
		       register_btf_kfunc_id_set(BPF_PROG_TYPE_STRUCT_OPS, &all_set) ?:
		       register_btf_kfunc_id_set(BPF_PROG_TYPE_SYSCALL,
						 &all_set);
}
