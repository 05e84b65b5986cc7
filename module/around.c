// SPDX-License-Identifier: GPL-2.0
/*
 * Pages that are in the source's page cache already: a fault need not ask the
 * source for them, and takes the neighbours along.
 *
 * filemap_map_pages() does it for a file's own mappings, as ->map_pages. It
 * takes the place from the VMA that it is given, and so can map a part of a
 * source into a part of a client: by a VMA made for the span. It locks each
 * folio, but never waits for a lock, and inserts the PTE while it holds it.
 * The caller holds the layout's lock, which makes it a commit like any other.
 *
 * How far to go: as far as it pays. A fault out of the blue takes the aligned
 * span of the core's default; one that goes on where the last one on this CPU
 * ended, up or down, takes twice as much as that, up to a page table.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "memview.h"

/* Pages; the core's default of 64 KiB. */
#define SPAN_MIN 16UL

/* Pages of the view, around the fault. */
struct span {
	pgoff_t first;
	pgoff_t last;
};

/*
 * Can a fault out of the blue expect another page in its span? In a sparse
 * cache it takes longer to find none than the page is worth.
 */
static bool is_dense(const struct address_space *mapping)
{
	return READ_ONCE(mapping->nrpages) * SPAN_MIN / 2 >=
	       i_size_read(mapping->host) >> PAGE_SHIFT;
}

/* How far a fault goes that continues a span of @nr pages. */
static unsigned long next_stride(unsigned long nr)
{
	return clamp(2 * nr, SPAN_MIN, PTRS_PER_PTE);
}

/*
 * The span to map, within the page table, the VMA, and [@low, @high]. The
 * source's end is for filemap_map_pages().
 */
static struct span choose_span(struct memview_stride *stride,
			       const struct memview_range *range,
			       const struct vm_fault *vmf, pgoff_t low,
			       pgoff_t high)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long index = (vmf->address >> PAGE_SHIFT) % PTRS_PER_PTE;
	pgoff_t pgoff = vmf->pgoff;
	unsigned long nr = READ_ONCE(stride->nr), down = 0, up = 0;
	pgoff_t first = READ_ONCE(stride->first);

	if (vma->vm_flags & VM_RAND_READ) {
		/* This page alone. */
	} else if (vma->vm_flags & VM_SEQ_READ) {
		up = PTRS_PER_PTE - 1;
	} else if (nr && pgoff == first + nr) {
		up = next_stride(nr) - 1;
	} else if (nr && pgoff + 1 == first) {
		down = next_stride(nr) - 1;
	} else if (is_dense(range->source->vma.vm_file->f_mapping)) {
		down = index % SPAN_MIN;
		up = SPAN_MIN - 1 - down;
	}
	low = max(low, vma->vm_pgoff);
	high = min(high, vma->vm_pgoff + vma_pages(vma) - 1);
	down = min3(down, index, pgoff - low);
	up = min3(up, PTRS_PER_PTE - 1 - index, high - pgoff);
	WRITE_ONCE(stride->first, pgoff - down);
	WRITE_ONCE(stride->nr, down + up + 1);
	return (struct span){ .first = pgoff - down, .last = pgoff + up };
}

/*
 * Can pages go in without asking the source? Not if it wants to know of each
 * one that is written.
 */
static bool is_eligible(const struct memview_source *source,
			const struct vm_fault *vmf)
{
	if (!source->cached)
		return false;
	return !(vmf->flags & FAULT_FLAG_WRITE) ||
	       (!source->vma.vm_ops->page_mkwrite &&
		!IS_SWAPFILE(file_inode(source->vma.vm_file)));
}

/**
 * memview_map_around - map the page of a fault, and neighbours, if cached
 * @view: View. The caller holds its layout's lock.
 * @range: Range that is shown at the fault, and allows the access.
 * @vmf: The client's fault; its page table is there.
 * @low: First page of the view at which @range is shown...
 * @high: ...and the last one, around the fault.
 *
 * Pages of a write become writable, but not dirty: the CPU says when they are.
 *
 * Context: Does not sleep.
 * Return: VM_FAULT_NOPAGE if the page is mapped, 0 if the source must be asked.
 */
vm_fault_t memview_map_around(struct memview_view *view,
			      struct memview_range *range, struct vm_fault *vmf,
			      pgoff_t low, pgoff_t high)
{
	struct span span;
	struct vm_area_struct vma;
	struct vm_fault around = {
		.vma = &vma,
		.address = vmf->address,
		.pmd = vmf->pmd,
	};

	if (!is_eligible(range->source, vmf))
		return 0;
	span = choose_span(&raw_cpu_ptr(view->stats)->stride, range, vmf, low,
			   high);
	memview_insertion_vma(&vma, vmf, range);
	vma.vm_file = range->source->vma.vm_file;
	vma.vm_pgoff = memview_file_pgoff(range, span.first);
	vma.vm_start = vmf->address - ((vmf->pgoff - span.first) << PAGE_SHIFT);
	vma.vm_end =
		vma.vm_start + ((span.last - span.first + 1) << PAGE_SHIFT);
	return filemap_map_pages(&around, vma.vm_pgoff,
				 memview_file_pgoff(range, span.last));
}

/* With a reference, if it is there. */
static struct folio *find_folio(struct address_space *mapping,
				pgoff_t file_pgoff)
{
	XA_STATE(xas, &mapping->i_pages, file_pgoff);
	struct folio *folio;

	rcu_read_lock();
	folio = xas_load(&xas);
	if (!folio || xa_is_value(folio) || xas_retry(&xas, folio) ||
	    !folio_try_get(folio)) {
		folio = NULL;
	} else if (unlikely(folio != xas_reload(&xas))) {
		folio_put(folio);
		folio = NULL;
	}
	rcu_read_unlock();
	return folio;
}

static struct page *lock_page_of(struct folio *folio, pgoff_t file_pgoff,
				 const struct address_space *mapping)
{
	struct page *page;

	/* At a readahead mark it is for the source to read on. */
	if (!folio_test_uptodate(folio) || folio_test_readahead(folio) ||
	    !folio_trylock(folio))
		return NULL;
	page = folio_page(folio, file_pgoff - folio->index);
	if (folio->mapping == mapping && folio_test_uptodate(folio) &&
	    file_pgoff < DIV_ROUND_UP(i_size_read(mapping->host), PAGE_SIZE) &&
	    !PageHWPoison(page))
		return page;
	folio_unlock(folio);
	return NULL;
}

/**
 * memview_cached_page - the page at a fault, if the cache has it
 * @range: Range that shows the page.
 * @vmf: The client's fault.
 *
 * Context: Does not sleep.
 * Return: The page, locked, with a reference for the caller; or NULL: ask the
 *	source.
 */
struct page *memview_cached_page(struct memview_range *range,
				 struct vm_fault *vmf)
{
	struct address_space *mapping = range->source->vma.vm_file->f_mapping;
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	struct folio *folio;
	struct page *page;

	if (!range->source->cached)
		return NULL;
	folio = find_folio(mapping, file_pgoff);
	if (!folio)
		return NULL;
	page = lock_page_of(folio, file_pgoff, mapping);
	if (!page)
		folio_put(folio);
	return page;
}
