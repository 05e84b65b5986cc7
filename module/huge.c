// SPDX-License-Identifier: GPL-2.0
/*
 * Huge pages: a piece of a client that one entry of the middle level of its page
 * tables (a PMD) maps, where else a page table would be.
 *
 * filemap_map_pages() does it where there is no page table yet, the folio is as
 * big as the piece, and so is the VMA that it is given: see around.c for how it
 * is called. It gets a VMA of the whole piece only if one range shows all of it,
 * from a place in the file that is aligned as the piece is. So all of it has one
 * permission, and a change of any part of the range finds the entry.
 *
 * The core takes such an entry away as a whole, whichever part of it is to go:
 * what stays is for later faults to map again, page by page if no range shows
 * the whole any more. A write to an entry that only reads does the same, and
 * comes here as a fault of a piece without an entry.
 *
 * The core must not take the client's VMA for one whose huge pages own no
 * reference of their folio: it would never give those back. VM_MIXEDMAP says
 * so, wherever entries are split or zapped; client VMAs are without it.
 *
 * Once there is a page table, it stays until the client unmaps, or, on 7.x, gives
 * back all that it maps (MADV_DONTNEED). So it comes late: a source that has not
 * cached the page is asked first. And on 7.x it may be gone at any moment; but
 * where a page of the piece's folio is locked, no entry for it can come.
 *
 * vmf_insert_folio_pmd() would do what filemap_map_pages() does here, but older
 * kernels are without it.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <asm/pgalloc.h>

#include "lookup.h"
#include "memview.h"

/* The first page of the file in the piece around a fault. */
static pgoff_t file_piece(const struct memview_range *range,
			  const struct vm_fault *vmf)
{
	return memview_file_pgoff(range, vmf->pgoff) -
	       (vmf->address >> PAGE_SHIFT) % PTRS_PER_PTE;
}

static bool is_in_file(const struct memview_range *range, pgoff_t file_first)
{
	return memview_in_file(range->source->vma.vm_file->f_mapping,
			       file_first + PTRS_PER_PTE - 1);
}

/* May one entry map the piece around a fault, if the file has a folio for it? */
static bool fits(const struct memview_met *met, const struct vm_fault *vmf)
{
	unsigned long index = (vmf->address >> PAGE_SHIFT) % PTRS_PER_PTE;
	unsigned long start = vmf->address & PMD_MASK;
	const struct memview_range *range = met->range;
	const struct vm_area_struct *vma = vmf->vma;
	pgoff_t file_first;

	if (vma->vm_flags & (VM_NOHUGEPAGE | VM_RAND_READ))
		return false;
	if (start < vma->vm_start || vma->vm_end - start < PMD_SIZE)
		return false;
	if (vmf->pgoff - met->first < index ||
	    met->last - vmf->pgoff < PTRS_PER_PTE - 1 - index)
		return false;
	file_first = file_piece(range, vmf);
	return IS_ALIGNED(file_first, PTRS_PER_PTE) &&
	       is_in_file(range, file_first);
}

static bool is_huge(struct page *page)
{
	return folio_nr_pages(page_folio(page)) == PTRS_PER_PTE;
}

static vm_fault_t map_piece(const struct memview_range *range,
			    const struct vm_fault *vmf)
{
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	struct vm_area_struct vma = {};
	struct vm_fault piece = {
		.vma = &vma,
		.address = vmf->address,
		.pmd = vmf->pmd,
	};

	memview_insertion_vma(&vma, vmf, range);
	vma.vm_file = range->source->vma.vm_file;
	vma.vm_pgoff = file_piece(range, vmf);
	vma.vm_start = vmf->address & PMD_MASK;
	vma.vm_end = vma.vm_start + PMD_SIZE;
	return filemap_map_pages(&piece, file_pgoff, file_pgoff);
}

/* For zaps: there may be one from now on. */
static void note_huge(struct memview_view *view)
{
	if (!READ_ONCE(view->huge))
		WRITE_ONCE(view->huge, true);
}

/**
 * memview_map_huge - map the piece around a fault by one entry, if it can be
 * @met: What is at the fault: a range that allows the access. The caller holds
 *	the layout's lock.
 * @vmf: The client's fault. A write only if the source is @cached_writable.
 * @overtaken: As memview_map_around() has it.
 *
 * The end of the file is looked at again afterwards: truncation has set it before
 * it looks for mappings the last time.
 *
 * Context: Does not sleep.
 * Return: VM_FAULT_NOPAGE if the page is mapped, VM_FAULT_FALLBACK if it takes a
 *	page table; 0 if the source may bring a huge page, or wait for it.
 */
vm_fault_t memview_map_huge(const struct memview_met *met,
			    const struct vm_fault *vmf, bool *overtaken)
{
	struct page *page;
	bool mapped, huge;

	if (!met->range->source->cached || !fits(met, vmf))
		return VM_FAULT_FALLBACK;
	memview_touch(met->range);
	note_huge(vmf->vma->vm_file->private_data);
	mapped = map_piece(met->range, vmf);
	/* It may have mapped others, if there is a page table by now. */
	if (unlikely(!is_in_file(met->range, file_piece(met->range, vmf))))
		*overtaken = true;
	if (mapped)
		return VM_FAULT_NOPAGE;
	page = memview_cached_page(met->range, vmf);
	if (!page)
		return 0;
	huge = is_huge(page);
	put_page(page);
	return huge ? 0 : VM_FAULT_FALLBACK;
}

/**
 * memview_is_huge - is what a source has brought for memview_map_huge()?
 * @met: As there.
 * @vmf: As there.
 * @page: The page, locked.
 *
 * Context: Any; no lock of the view is needed.
 */
bool memview_is_huge(const struct memview_met *met, const struct vm_fault *vmf,
		     struct page *page)
{
	const struct memview_source *source = met->range->source;

	return is_huge(page) && memview_may_map_cached(source, vmf) &&
	       fits(met, vmf);
}

/**
 * memview_make_table - have a page table at a fault
 * @vmf: The client's fault. There was none.
 *
 * The core has one ready where it has seen none: to allocate it now might wait
 * for writeback, and writeback for the lock of a page that the caller holds.
 *
 * Context: Does not sleep.
 * Return: Whether there is one. If not, the access must fault again: it finds a
 *	huge page there, or the core has found a page table and freed it since.
 */
bool memview_make_table(struct vm_fault *vmf)
{
	struct mm_struct *mm = vmf->vma->vm_mm;
	spinlock_t *lock;

	if (!vmf->prealloc_pte)
		return false;
	lock = pmd_lock(mm, vmf->pmd);
	if (pmd_none(*vmf->pmd)) {
		mm_inc_nr_ptes(mm);
		/* Who walks the tables without a lock must find it empty. */
		smp_wmb();
		pmd_populate(mm, vmf->pmd, vmf->prealloc_pte);
		vmf->prealloc_pte = NULL;
	}
	spin_unlock(lock);
	return memview_has_table(vmf);
}
