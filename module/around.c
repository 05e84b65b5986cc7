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
 * How far to go: as far as it pays, by what the last fault on this CPU did. One
 * that goes on where that ended, up or down, takes twice as much, up to a page
 * table. A read out of the blue takes the aligned span of the core's default, a
 * write its page: so does a file's own mapping. But where little of the file is
 * cached, a read takes its page, too. Where the cache had nothing, and the source
 * brought the one page that it was asked for, the next page is expected to be
 * missing as well: the source is asked at once.
 *
 * For one page there is a shorter way than filemap_map_pages().
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>

#include "lookup.h"
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

/* Preempted and moved, it may be another CPU's: it is a guess anyway. */
static struct memview_stride *this_stride(struct memview_view *view,
					  const struct vm_fault *vmf)
{
	bool write = vmf->flags & FAULT_FLAG_WRITE;

	return raw_cpu_ptr(&view->stats->stride[write]);
}

static void set_stride(struct memview_stride *stride, pgoff_t first,
		       unsigned long nr, pgoff_t missing)
{
	WRITE_ONCE(stride->first, first);
	WRITE_ONCE(stride->nr, nr);
	WRITE_ONCE(stride->missing, missing);
}

static bool is_missing(const struct memview_stride *stride,
		       const struct vm_fault *vmf)
{
	return READ_ONCE(stride->missing) == vmf->pgoff + 1;
}

/* How many pages to take along, below the fault and above it. */
static void choose_way(const struct memview_stride *stride,
		       const struct memview_range *range,
		       const struct vm_fault *vmf, unsigned long *down,
		       unsigned long *up)
{
	const struct vm_area_struct *vma = vmf->vma;
	unsigned long nr = READ_ONCE(stride->nr);
	pgoff_t first = READ_ONCE(stride->first);

	*down = *up = 0;
	if (vma->vm_flags & VM_RAND_READ) {
		/* This page alone. */
	} else if (vma->vm_flags & VM_SEQ_READ) {
		*up = PTRS_PER_PTE - 1;
	} else if (nr && vmf->pgoff == first + nr) {
		*up = next_stride(nr) - 1;
	} else if (nr && vmf->pgoff + 1 == first) {
		*down = next_stride(nr) - 1;
	} else if (!(vmf->flags & FAULT_FLAG_WRITE) &&
		   is_dense(range->source->vma.vm_file->f_mapping)) {
		*down = (vmf->address >> PAGE_SHIFT) % SPAN_MIN;
		*up = SPAN_MIN - 1 - *down;
	}
}

/*
 * The span to map, within the page table, the VMA, and what was met. The
 * source's end is for map_span().
 */
static struct span choose_span(const struct memview_stride *stride,
			       const struct memview_met *met,
			       const struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long index = (vmf->address >> PAGE_SHIFT) % PTRS_PER_PTE;
	pgoff_t pgoff = vmf->pgoff, end;
	unsigned long down, up;

	choose_way(stride, met->range, vmf, &down, &up);
	if (down) {
		end = max(met->first, vma->vm_pgoff);
		down = min3(down, index, pgoff - end);
	}
	if (up) {
		end = min(met->last, vma->vm_pgoff + vma_pages(vma) - 1);
		up = min3(up, PTRS_PER_PTE - 1 - index, end - pgoff);
	}
	return (struct span){ .first = pgoff - down, .last = pgoff + up };
}

/*
 * On 7.x filemap_map_pages() maps a folio of a memory file as a whole, if it is
 * within the VMA, though the file ends within the folio: so the VMA must not go
 * beyond the end. That is looked at again afterwards: truncation has set it
 * before it looks for mappings the last time. What it has overtaken is for the
 * caller to undo. Where this is called under RCU, the kernel does not do so.
 */
static vm_fault_t map_span(const struct memview_range *range,
			   const struct vm_fault *vmf, struct span span,
			   bool *overtaken)
{
	struct file *file = range->source->vma.vm_file;
	pgoff_t end = memview_file_pages(file->f_mapping);
	pgoff_t first = memview_file_pgoff(range, span.first);
	pgoff_t last = memview_file_pgoff(range, span.last);
	struct vm_area_struct vma = {};
	struct vm_fault around = {
		.vma = &vma,
		.address = vmf->address,
		.pmd = vmf->pmd,
	};
	vm_fault_t ret;

	if (unlikely(end <= first))
		return 0;
	last = min(last, end - 1);
	memview_insertion_vma(&vma, vmf, range);
	/* Huge pages are for memview_map_huge(), if the table has gone since. */
	vm_flags_init(&vma, vma.vm_flags | VM_NOHUGEPAGE);
	vma.vm_file = file;
	vma.vm_pgoff = first;
	vma.vm_start = vmf->address - ((vmf->pgoff - span.first) << PAGE_SHIFT);
	vma.vm_end = vma.vm_start + ((last - first + 1) << PAGE_SHIFT);
	ret = filemap_map_pages(&around, first, last);
#ifndef MEMVIEW_HAVE_VMA_LOCK
	if (unlikely(!memview_in_file(file->f_mapping, last)))
		*overtaken = true;
#endif
	return ret;
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

/**
 * memview_cached_page - the page at a fault, if the cache has it
 * @range: Range that shows the page.
 * @vmf: The client's fault.
 *
 * Context: Does not sleep.
 * Return: The page, with a reference for the caller, not locked: it may leave
 *	the file; or NULL: ask the source.
 */
struct page *memview_cached_page(const struct memview_range *range,
				 const struct vm_fault *vmf)
{
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	struct folio *folio;
	struct page *page;

	if (!range->source->cached)
		return NULL;
	folio = find_folio(range->source->vma.vm_file->f_mapping, file_pgoff);
	if (!folio)
		return NULL;
	page = folio_page(folio, file_pgoff - folio->index);
	/* At a readahead mark it is for the source to read on. */
	if (folio_test_uptodate(folio) && !folio_test_readahead(folio) &&
	    !PageHWPoison(page))
		return page;
	folio_put(folio);
	return NULL;
}

/* Of a page that memview_cached_page() has found. */
static bool try_lock_there(struct page *page, struct folio *folio,
			   pgoff_t file_pgoff,
			   const struct address_space *mapping)
{
	if (!folio_trylock(folio))
		return false;
	if (folio->mapping == mapping && folio_test_uptodate(folio) &&
	    !PageHWPoison(page) && memview_in_file(mapping, file_pgoff))
		return true;
	folio_unlock(folio);
	return false;
}

static vm_fault_t map_one(const struct memview_range *range,
			  const struct vm_fault *vmf)
{
	struct page *page = memview_cached_page(range, vmf);
	struct vm_area_struct vma = {};
	struct folio *folio;
	int err = -EAGAIN;

	if (!page)
		return 0;
	folio = page_folio(page);
	if (try_lock_there(page, folio, memview_file_pgoff(range, vmf->pgoff),
			   range->source->vma.vm_file->f_mapping)) {
		memview_insertion_vma(&vma, vmf, range);
		/* It expects no huge page. While this one is locked, none comes. */
		if (!memview_lost_table(vmf))
			err = memview_insert(&vma, vmf, page);
		folio_unlock(folio);
	}
	folio_put(folio);
	/* Busy: another thread was faster. */
	return !err || err == -EBUSY ? VM_FAULT_NOPAGE : 0;
}

/**
 * memview_map_around - map the page of a fault, and neighbours, if cached
 * @view: View. The caller holds its layout's lock.
 * @met: What is at the fault: a range that allows the access.
 * @vmf: The client's fault; its page table is there. A write only if the source
 *	is @cached_writable.
 * @overtaken: Set if truncation came in between: the piece of the fault, as far
 *	as a page table reaches, must be unmapped when the lock is given up.
 *
 * Pages of a write become writable, but not dirty: the CPU says when they are.
 *
 * Context: Does not sleep.
 * Return: VM_FAULT_NOPAGE if the page is mapped, 0 if the source must be asked.
 */
vm_fault_t memview_map_around(struct memview_view *view,
			      const struct memview_met *met,
			      const struct vm_fault *vmf, bool *overtaken)
{
	struct memview_stride *stride;
	struct span span;
	vm_fault_t ret;

	if (!met->range->source->cached)
		return 0;
	stride = this_stride(view, vmf);
	if (is_missing(stride, vmf))
		return 0;
	memview_touch(met->range);
	span = choose_span(stride, met, vmf);
	ret = span.first == span.last ?
		      map_one(met->range, vmf) :
		      map_span(met->range, vmf, span, overtaken);
	if (ret)
		set_stride(stride, span.first, span.last - span.first + 1, 0);
	else
		set_stride(stride, 0, 0, vmf->pgoff + 1);
	return ret;
}

/**
 * memview_is_missing - need the page cache not be looked at for this fault?
 * @view: View.
 * @vmf: The client's fault.
 *
 * Context: Any; no lock is needed.
 * Return: Whether the page was missing just now, or those before it were. A
 *	guess: it takes the long way if that is wrong.
 */
bool memview_is_missing(struct memview_view *view, const struct vm_fault *vmf)
{
	return is_missing(this_stride(view, vmf), vmf);
}

/**
 * memview_was_asked - tell what a source did to bring a page
 * @view: View.
 * @vmf: The client's fault.
 * @grown: Pages that the source's page cache has gained. One: it had a hole
 *	there, which may go on. None, or many: there is something to map.
 *
 * Context: Any.
 */
void memview_was_asked(struct memview_view *view, const struct vm_fault *vmf,
		       unsigned long grown)
{
	struct memview_stride *stride = this_stride(view, vmf);

	if (grown == 1)
		set_stride(stride, 0, 0, vmf->pgoff + 2);
	else
		set_stride(stride, vmf->pgoff, 1, 0);
}
