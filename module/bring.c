// SPDX-License-Identifier: GPL-2.0
/*
 * What a fault asks of a source: to bring a page, and whether it may be written.
 *
 * The source's own vm_ops answer. What brings a page gets a copy of the source's
 * VMA which carries the client's mm, so that memory is charged to the client, and
 * I/O may drop its mmap_lock.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "memview.h"

#define CLIENT_ADVICE (VM_RAND_READ | VM_SEQ_READ | VM_HUGEPAGE | VM_NOHUGEPAGE)
#define SOURCE_FAULT                                                        \
	(FAULT_FLAG_WRITE | FAULT_FLAG_MKWRITE | FAULT_FLAG_ALLOW_RETRY |   \
	 FAULT_FLAG_RETRY_NOWAIT | FAULT_FLAG_KILLABLE | FAULT_FLAG_TRIED | \
	 FAULT_FLAG_USER | FAULT_FLAG_REMOTE | FAULT_FLAG_INSTRUCTION |     \
	 FAULT_FLAG_INTERRUPTIBLE)
#define NO_PAGE (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY)

/*
 * A copy of the source's VMA that has the client's mm: it is charged for what
 * it touches, and it is its mmap_lock that the source may drop when it answers
 * VM_FAULT_RETRY.
 */
static void give_to_client(struct vm_area_struct *vma,
			   const struct vm_area_struct *client)
{
	vma->vm_mm = client->vm_mm;
	vm_flags_init(vma, (vma->vm_flags & ~CLIENT_ADVICE) |
				   (client->vm_flags & CLIENT_ADVICE));
}

/* As the core has it for a file: the client's is of the view's inode. */
static gfp_t source_gfp(const struct memview_source *source)
{
	return mapping_gfp_mask(source->vma.vm_file->f_mapping) | __GFP_FS |
	       __GFP_IO;
}

static unsigned int source_flags(unsigned int flags)
{
	/* A lock of the client's VMA is not for the source to drop. */
	if (flags & FAULT_FLAG_VMA_LOCK)
		flags &= ~(FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE);
	return flags & SOURCE_FAULT;
}

/**
 * memview_source_may_unlock - may a source give up the lock of a fault?
 * @vmf: The client's fault.
 *
 * Context: Any.
 * Return: Whether memview_source_fault() may answer VM_FAULT_RETRY.
 */
bool memview_source_may_unlock(const struct vm_fault *vmf)
{
	return source_flags(vmf->flags) & FAULT_FLAG_ALLOW_RETRY;
}

/* Lock a page that may have left the file meanwhile. */
static bool lock_if_there(struct memview_source *source, struct folio *folio)
{
	folio_lock(folio);
	if (folio->mapping == source->vma.vm_file->f_mapping)
		return true;
	folio_unlock(folio);
	return false;
}

/**
 * memview_source_mkwrite - tell the source that a page will be written
 * @range: Range that shows the page, and allows writing. Its source wants to
 *	know.
 * @vmf: The client's fault.
 * @page: The page, not locked; the caller owns a reference and keeps it.
 *
 * Context: May sleep, for I/O too.
 * Return: VM_FAULT_LOCKED with the page locked and still of the source, or an
 *	error, or VM_FAULT_NOPAGE to start over.
 */
vm_fault_t memview_source_mkwrite(struct memview_range *range,
				  struct vm_fault *vmf, struct page *page)
{
	struct memview_source *source = range->source;
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	struct vm_fault svmf = {
		.vma = &source->vma,
		.gfp_mask = source_gfp(source),
		.pgoff = file_pgoff,
		.address = file_pgoff << PAGE_SHIFT,
		.real_address = file_pgoff << PAGE_SHIFT,
		.flags = FAULT_FLAG_WRITE | FAULT_FLAG_MKWRITE,
		.page = page,
	};
	struct folio *folio = page_folio(page);
	vm_fault_t ret;

	if (IS_SWAPFILE(file_inode(source->vma.vm_file)))
		return VM_FAULT_SIGBUS;
	ret = source->vma.vm_ops->page_mkwrite(&svmf);
	/* To the core these come first: orangefs says LOCKED beside them. */
	if (ret & (VM_FAULT_ERROR | VM_FAULT_NOPAGE))
		return ret & ~VM_FAULT_LOCKED;
	if (!(ret & VM_FAULT_LOCKED) && !lock_if_there(source, folio))
		return VM_FAULT_NOPAGE;
	return VM_FAULT_LOCKED;
}

/**
 * memview_source_fault - bring a page of a source, locked
 * @range: Range that shows the page.
 * @vmf: The client's fault.
 * @pagep: Set to the page, with a reference for the caller.
 *
 * Context: May sleep, for I/O too.
 * Return: VM_FAULT_LOCKED, maybe with VM_FAULT_MAJOR, or an error, or
 *	VM_FAULT_NOPAGE to start over. VM_FAULT_RETRY: the mmap_lock is no longer
 *	held (but with FAULT_FLAG_RETRY_NOWAIT), and the client's VMA and file
 *	must not be touched any more.
 */
vm_fault_t memview_source_fault(struct memview_range *range,
				struct vm_fault *vmf, struct page **pagep)
{
	struct memview_source *source = range->source;
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	struct vm_area_struct vma = source->vma;
	struct vm_fault svmf = {
		.vma = &vma,
		.gfp_mask = source_gfp(source),
		.pgoff = file_pgoff,
		.address = file_pgoff << PAGE_SHIFT,
		.real_address = file_pgoff << PAGE_SHIFT,
		.flags = source_flags(vmf->flags),
	};
	struct folio *folio;
	vm_fault_t ret;

	give_to_client(&vma, vmf->vma);
	ret = source->vma.vm_ops->fault(&svmf);
	if (ret & NO_PAGE)
		return ret & ~VM_FAULT_LOCKED;
	if (WARN_ON_ONCE(!svmf.page))
		return VM_FAULT_SIGBUS;
	folio = page_folio(svmf.page);
	if (!(ret & VM_FAULT_LOCKED) && !lock_if_there(source, folio)) {
		folio_put(folio);
		return VM_FAULT_NOPAGE;
	}
	if (unlikely(PageHWPoison(svmf.page))) {
		folio_unlock(folio);
		folio_put(folio);
		return VM_FAULT_HWPOISON;
	}
	*pagep = svmf.page;
	return (ret & VM_FAULT_MAJOR) | VM_FAULT_LOCKED;
}
