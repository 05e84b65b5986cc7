/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What differs between the kernels that memview serves.
 *
 * The code is written for the newest API. The MEMVIEW_HAVE_* symbols come
 * from Kbuild, which looks for each feature in the kernel's headers.
 */
#ifndef _MEMVIEW_COMPAT_H
#define _MEMVIEW_COMPAT_H

#include <linux/btf.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/fsnotify.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/rwsem.h>
#include <linux/smp.h>
#include <linux/version.h>
#include <asm/tlbflush.h>

#ifndef CONFIG_MMU
#error "memview needs a kernel with CONFIG_MMU"
#endif
#ifndef CONFIG_MMU_NOTIFIER
#error "memview needs a kernel with CONFIG_MMU_NOTIFIER (KVM selects it)"
#endif
#ifndef CONFIG_SHMEM
#error "memview needs a kernel with CONFIG_SHMEM"
#endif

/*
 * Views rely on fixes of the core that leave no trace in its headers:
 *  - 6.12.94: the counter of a split PMD is not read from a folio that is free
 *    ("mm/huge_memory: update file PMD counter before folio_put()");
 *  - 6.12.105: userfaultfd takes no VM_SPECIAL VMA, whose markers make a fault
 *    loop for ever ("userfaultfd: prevent registration of special VMAs");
 *  - 6.12.115: a zap does not lose the dirty bit of a PMD ("mm/huge_memory:
 *    transfer the pmd dirty bit to the folio on zap").
 * 7.3 was released with all three. In which stable release of the kernels between
 * they are was not looked into: those are refused. So is a kernel to which a
 * distribution has brought them under an older number. scripts/check-kernel and
 * memview-dkms.dkms say the same.
 */
#define MEMVIEW_IS_SAFE_KERNEL(version)              \
	(((version) >= KERNEL_VERSION(6, 12, 115) && \
	  (version) < KERNEL_VERSION(6, 13, 0)) ||   \
	 (version) >= KERNEL_VERSION(7, 3, 0))
#define MEMVIEW_IS_SAFE_RELEASE(major, minor, patch) \
	MEMVIEW_IS_SAFE_KERNEL(KERNEL_VERSION(major, minor, patch))
#define MEMVIEW_SAFE_KERNELS "6.12.115 and later of 6.12, and 7.3 and later,"

#if !MEMVIEW_IS_SAFE_KERNEL(LINUX_VERSION_CODE)
#error "memview needs Linux 6.12.115 or later of 6.12, or 7.3 or later"
#endif

/* What waits for tasks that were preempted, synchronize_rcu_tasks(), must do so. */
#if defined(CONFIG_PREEMPTION) && !defined(CONFIG_TASKS_RCU)
#error "memview needs a preemptible kernel with CONFIG_TASKS_RCU (BPF and ftrace select it)"
#endif

/*
 * The task that holds a semaphore for writing, or NULL. It may have given it up by
 * now; the caller is in an RCU read-side section, so it is still there. The low bits
 * are flags, the first of which says that readers have it.
 */
static inline const struct task_struct *
memview_rwsem_writer(const struct rw_semaphore *sem)
{
#ifdef CONFIG_PREEMPT_RT
	unsigned long owner = (unsigned long)sem->rwbase.rtmutex.owner;

	return (const struct task_struct *)(owner & ~1UL);
#else
	unsigned long owner = atomic_long_read(&sem->owner);

	return owner & 1 ? NULL : (const struct task_struct *)(owner & ~3UL);
#endif
}

/* file->f_path is const where __f_path is there to be written. */
static inline struct path *memview_file_path(struct file *file)
{
#ifdef MEMVIEW_HAVE___F_PATH
	return &file->__f_path;
#else
	return &file->f_path;
#endif
}

#ifndef MEMVIEW_HAVE_VFS_MMAP
static inline int vfs_mmap(struct file *file, struct vm_area_struct *vma)
{
	return call_mmap(file, vma);
}
#endif

/*
 * Giving up the lock of a VMA in a fault. Where modules cannot, faults come
 * under mmap_lock. So they do where a page table may go under ->map_pages, which
 * must not allocate another one.
 */
#if defined(CONFIG_PER_VMA_LOCK) && !defined(MEMVIEW_HAVE_VMA_REFCOUNT_PUT) && \
	!defined(CONFIG_PT_RECLAIM)
#define MEMVIEW_HAVE_VMA_LOCK
#define memview_vma_end_read vma_end_read
#else
static inline void memview_vma_end_read(struct vm_area_struct *vma)
{
	WARN_ON_ONCE(1);
}
#endif

/*
 * Have a part of a file filled by whoever does that (fanotify's events before
 * content), as mmap() does: but what mmap() calls is not exported.
 */
static inline int memview_have_filled(struct file *file, loff_t offset,
				      size_t size)
{
#ifdef MEMVIEW_HAVE_FILE_RANGE
	const struct file_range range = {
		.path = &file->f_path,
		.pos = offset,
		.count = size,
	};

	if (unlikely(FMODE_FSNOTIFY_HSM(file->f_mode)))
		return fsnotify_parent(range.path->dentry, FS_PRE_ACCESS,
				       &range, FSNOTIFY_EVENT_FILE_RANGE);
#endif
	return 0;
}

/* Flags of a VMA have a type of their own where there is a value for none. */
#ifndef EMPTY_VMA_FLAGS
#define EMPTY_VMA_FLAGS 0
#endif

#ifndef MEMVIEW_HAVE_ZAP_VMA_RANGE
static inline void zap_vma_range(struct vm_area_struct *vma,
				 unsigned long address, unsigned long size)
{
	zap_page_range_single(vma, address, size, NULL);
}
#endif

/*
 * Flush what munmap() has cleared of an mm and not flushed yet. To do just that is
 * not for modules. But whoever zaps while another zap of the mm is in progress
 * flushes all of its translations, for he cannot know which of them the other has
 * cleared: so zap nothing.
 *
 * Older kernels tell the mm's notifiers even of nothing, and for that the caller
 * would need a lock that keeps new ones away, and that munmap() may have. There,
 * wait a little: it is about to flush. If not, have each CPU flush all it has;
 * a device that walks the client's page tables (SVA) is left to munmap().
 *
 * Return: whether that has flushed all other mms, too.
 */
#ifdef MEMVIEW_HAVE_ZAP_VMA_RANGE
#define MEMVIEW_FLUSH_PATIENCE 0

static inline bool memview_flush_mm(struct mm_struct *mm,
				    unsigned int *patience)
{
	struct vm_area_struct nothing = { .vm_mm = mm };

	zap_vma_range(&nothing, 0, 0);
	return false;
}
#else
#define MEMVIEW_FLUSH_PATIENCE 10 /* times 0.1 ms, for all mms of a view */

static inline void memview_flush_cpu(void *unused)
{
	__flush_tlb_all();
}

static inline bool memview_flush_mm(struct mm_struct *mm,
				    unsigned int *patience)
{
	for (; mm_tlb_flush_pending(mm); --*patience) {
		if (!*patience) {
			on_each_cpu(memview_flush_cpu, NULL, 1);
			return true;
		}
		usleep_range(50, 100);
	}
	return false;
}
#endif

/* Newer kernels refuse a lease where there is no ->setlease. */
#ifdef MEMVIEW_HAVE_SIMPLE_NOSETLEASE
#define memview_setlease simple_nosetlease
#else
#define memview_setlease NULL
#endif

/* Newer kernels take trusted arguments only, from everybody. */
#ifndef KF_TRUSTED_ARGS
#define KF_TRUSTED_ARGS 0
#endif

static inline bool memview_can_mmap(const struct file *file)
{
#ifdef MEMVIEW_HAVE_MMAP_PREPARE
	return file->f_op->mmap || file->f_op->mmap_prepare;
#else
	return file->f_op->mmap;
#endif
}

/*
 * Make a VMA that belongs to no process look locked for writing to those who
 * change its flags: mm->mmap_lock is held for writing by the caller.
 */
static inline void memview_vma_mark_locked(struct vm_area_struct *vma)
{
#ifdef CONFIG_PER_VMA_LOCK
	vma->vm_lock_seq = vma->vm_mm->mm_lock_seq.sequence;
#endif
}

#ifdef CONFIG_DEVICE_MIGRATION
/*
 * Have the core unmap a folio as for migration, and map it again. The caller has
 * a reference. For pages of devices, but it asks nothing of the kind.
 */
static inline void memview_unmap_and_remap(struct folio *folio)
{
	unsigned long src = 0, dst = 0;

	migrate_device_range(&src, folio_pfn(folio), 1);
	migrate_device_finalize(&src, &dst, 1);
}
#endif

#endif /* _MEMVIEW_COMPAT_H */
