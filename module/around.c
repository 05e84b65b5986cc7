// SPDX-License-Identifier: GPL-2.0
/*
 * A fault on a page that is in the source's page cache: insert it, and its
 * neighbours that are there, without the long road through the source's
 * ->fault. The core does the same for a file's own mappings, by ->map_pages.
 *
 * The order is that of any fault. Resolve: find folios in the cache and lock
 * them, but never wait for a lock. Commit: under the layout's lock, see over
 * which pages the range still shows, and insert no others. The folios stay
 * locked until the PTEs are there.
 *
 * How far to go: as far as it pays. A fault out of the blue takes the aligned
 * span of the core's default; one that goes on where the last one on this CPU
 * ended, up or down, takes twice as much as that, up to a page table.
 */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>

#include "memview.h"

/* Pages; the core's default of 64 KiB. */
#define SPAN_MIN 16UL

/* Pages of the view, around the fault. */
struct span {
	pgoff_t first;
	pgoff_t last;
};

/* Adjacent pages on their way into a page table. */
struct run {
	struct vm_area_struct *vma;
	struct vm_fault *vmf;
	pgoff_t first; /* page of the view that pages[0] goes to */
	unsigned long nr;
	int err; /* at the page that faulted */
	struct page *pages[FOLIO_BATCH_SIZE];
};

/* The pages that a fault out of the blue, or one in a row of them, asks for. */
static void want_pages(struct memview_view *view, const struct vm_fault *vmf,
		       unsigned long *down, unsigned long *up)
{
	const struct memview_stride *stride = &raw_cpu_ptr(view->stats)->stride;
	unsigned long index = vmf->address >> PAGE_SHIFT;
	unsigned long nr = READ_ONCE(stride->nr);
	pgoff_t first = READ_ONCE(stride->first);

	*down = 0;
	*up = 0;
	if (vmf->vma->vm_flags & VM_RAND_READ)
		return;
	if (vmf->vma->vm_flags & VM_SEQ_READ) {
		*up = PTRS_PER_PTE - 1;
	} else if (nr && vmf->pgoff == first + nr) {
		*up = clamp(2 * nr, SPAN_MIN, PTRS_PER_PTE) - 1;
	} else if (nr && vmf->pgoff + 1 == first) {
		*down = clamp(2 * nr, SPAN_MIN, PTRS_PER_PTE) - 1;
	} else {
		*down = index % SPAN_MIN;
		*up = SPAN_MIN - 1 - *down;
	}
}

/*
 * Clip to the page table, the VMA, the range and the source's end. The layout
 * may show less of the range; commit() looks.
 */
static struct span choose_span(struct memview_view *view,
			       const struct memview_range *range,
			       const struct vm_fault *vmf, pgoff_t file_end)
{
	struct vm_area_struct *vma = vmf->vma;
	unsigned long index = (vmf->address >> PAGE_SHIFT) % PTRS_PER_PTE;
	pgoff_t low = max(vma->vm_pgoff, range->first);
	pgoff_t high = min(vma->vm_pgoff + vma_pages(vma) - 1, range->last);
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	struct memview_stride *stride = &raw_cpu_ptr(view->stats)->stride;
	unsigned long down, up;
	struct span span;

	want_pages(view, vmf, &down, &up);
	down = min3(down, index, vmf->pgoff - low);
	up = min3(up, PTRS_PER_PTE - 1 - index, high - vmf->pgoff);
	up = min(up, file_end - 1 - file_pgoff);
	span.first = vmf->pgoff - down;
	span.last = vmf->pgoff + up;
	WRITE_ONCE(stride->first, span.first);
	WRITE_ONCE(stride->nr, down + up + 1);
	return span;
}

static bool lock_usable(struct folio *folio,
			const struct address_space *mapping)
{
	/* At a readahead mark it is for the source to read on. */
	if (!folio_test_uptodate(folio) || folio_test_readahead(folio) ||
	    !folio_trylock(folio))
		return false;
	if (folio->mapping == mapping && folio_test_uptodate(folio))
		return true;
	folio_unlock(folio);
	return false;
}

/* Keep those that can be locked. */
static void lock_folios(struct folio_batch *batch,
			const struct address_space *mapping)
{
	unsigned int i, nr = 0;

	for (i = 0; i < folio_batch_count(batch); i++) {
		struct folio *folio = batch->folios[i];

		if (lock_usable(folio, mapping))
			batch->folios[nr++] = folio;
		else
			folio_put(folio);
	}
	batch->nr = nr;
}

static void release_folios(struct folio_batch *batch)
{
	unsigned int i;

	for (i = 0; i < folio_batch_count(batch); i++)
		folio_unlock(batch->folios[i]);
	folios_put(batch);
}

static void flush(struct run *run)
{
	const struct vm_area_struct *vma = run->vmf->vma;
	unsigned long done = 0;

	while (done < run->nr) {
		pgoff_t pgoff = run->first + done;
		unsigned long left = run->nr - done;
		int err = vm_insert_pages(
			run->vma,
			vma->vm_start + ((pgoff - vma->vm_pgoff) << PAGE_SHIFT),
			run->pages + done, &left);

		done = run->nr - left;
		if (!err)
			break;
		/* Mostly: another PTE is there already. Step over it. */
		if (run->first + done == run->vmf->pgoff)
			run->err = err;
		done++;
	}
	run->nr = 0;
}

static void push(struct run *run, pgoff_t pgoff, struct page *page)
{
	if (run->nr == ARRAY_SIZE(run->pages) ||
	    (run->nr && pgoff != run->first + run->nr))
		flush(run);
	if (!run->nr)
		run->first = pgoff;
	run->pages[run->nr++] = page;
}

/* The pages of a folio that lie in a span. */
static void push_folio(struct run *run, const struct memview_range *range,
		       struct folio *folio, const struct span *span,
		       pgoff_t file_end)
{
	pgoff_t first =
		max(folio->index, memview_file_pgoff(range, span->first));
	pgoff_t last = min3(folio_next_index(folio) - 1,
			    memview_file_pgoff(range, span->last),
			    file_end - 1);
	pgoff_t file_pgoff;

	for (file_pgoff = first; file_pgoff <= last; file_pgoff++) {
		struct page *page =
			folio_page(folio, file_pgoff - folio->index);

		if (!PageHWPoison(page))
			push(run,
			     range->first + (file_pgoff - range->file_first),
			     page);
	}
}

/* Insert what the layout still shows of a span. Return: 0 or -EAGAIN. */
static int commit(struct memview_view *view, struct memview_range *range,
		  struct folio_batch *batch, struct span span, struct run *run)
{
	pgoff_t file_end = memview_source_end(range->source);
	unsigned int i;

	down_read(&view->layout.lock);
	if (!memview_layout_clip(&view->layout, range, run->vmf->pgoff,
				 &span.first, &span.last)) {
		up_read(&view->layout.lock);
		return -EAGAIN;
	}
	for (i = 0; i < folio_batch_count(batch); i++)
		push_folio(run, range, batch->folios[i], &span, file_end);
	flush(run);
	up_read(&view->layout.lock);
	return 0;
}

/* Is the page that faulted in the first folio of the batch? It is locked. */
static bool has_page(struct folio_batch *batch, pgoff_t file_pgoff)
{
	struct folio *folio;

	if (!folio_batch_count(batch))
		return false;
	folio = batch->folios[0];
	return folio->index <= file_pgoff &&
	       file_pgoff < folio_next_index(folio) &&
	       !PageHWPoison(folio_page(folio, file_pgoff - folio->index));
}

/* Look for folios from the page *@file_pgoff on, which is set to go on from. */
static void look(struct memview_range *range, pgoff_t *file_pgoff, pgoff_t last,
		 struct folio_batch *batch)
{
	struct address_space *mapping = range->source->vma.vm_file->f_mapping;

	folio_batch_init(batch);
	filemap_get_folios(mapping, file_pgoff, last, batch);
	lock_folios(batch, mapping);
}

/* The rest of a span: nobody waits for it, so nothing of it can fail. */
static void map_rest(struct memview_view *view, struct memview_range *range,
		     struct span span, pgoff_t next, struct run *run)
{
	pgoff_t last = memview_file_pgoff(range, span.last);
	struct folio_batch batch;
	int err = 0;

	while (!err && next <= last) {
		look(range, &next, last, &batch);
		err = commit(view, range, &batch, span, run);
		release_folios(&batch);
	}
}

static bool is_write(const struct vm_fault *vmf)
{
	return vmf->flags & FAULT_FLAG_WRITE;
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
	return !is_write(vmf) ||
	       (!source->vma.vm_ops->page_mkwrite &&
		!IS_SWAPFILE(file_inode(source->vma.vm_file)));
}

/* Insert the page that faulted, and those of the same batch. */
static bool map_first(struct memview_view *view, struct memview_range *range,
		      struct span span, pgoff_t *next, struct run *run,
		      int *err)
{
	pgoff_t file_pgoff = *next;
	struct folio_batch batch;
	bool there;

	span.first = run->vmf->pgoff;
	look(range, next, memview_file_pgoff(range, span.last), &batch);
	there = has_page(&batch, file_pgoff);
	if (there) {
		*err = commit(view, range, &batch, span, run) ?: run->err;
		if (!*err && is_write(run->vmf))
			folio_mark_dirty(batch.folios[0]);
	}
	release_folios(&batch);
	return there;
}

static void map_span(struct memview_view *view, struct memview_range *range,
		     struct span span, pgoff_t next, struct run *run)
{
	map_rest(view, range, span, next, run);
	if (span.first == run->vmf->pgoff)
		return;
	span.last = run->vmf->pgoff - 1;
	map_rest(view, range, span, memview_file_pgoff(range, span.first), run);
}

/**
 * memview_map_cached - answer a fault from the page cache, and map around it
 * @view: View.
 * @range: Range that shows the page, and allows the access.
 * @vmf: The client's fault; its page table is there.
 * @err: Set to 0, or to what memview_insert() returns for the page.
 *
 * Context: May sleep, but not for I/O.
 * Return: Whether @err is the answer. If not, ask the source.
 */
bool memview_map_cached(struct memview_view *view, struct memview_range *range,
			struct vm_fault *vmf, int *err)
{
	struct memview_source *source = range->source;
	pgoff_t next = memview_file_pgoff(range, vmf->pgoff);
	pgoff_t file_end = memview_source_end(source);
	struct vm_area_struct vma;
	struct run run;
	struct span span;

	if (!is_eligible(source, vmf) || next >= file_end)
		return false;
	memview_insertion_vma(&vma, vmf, range);
	run.vma = &vma;
	run.vmf = vmf;
	run.nr = 0;
	run.err = 0;
	span = choose_span(view, range, vmf, file_end);
	if (!map_first(view, range, span, &next, &run, err))
		return false;
	if (*err)
		return true;
	if (span.first < span.last)
		map_span(view, range, span, next, &run);
	if (is_write(vmf)) {
		file_update_time(source->vma.vm_file);
		balance_dirty_pages_ratelimited(source->vma.vm_file->f_mapping);
	}
	return true;
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
	pgoff_t file_pgoff = memview_file_pgoff(range, vmf->pgoff);
	pgoff_t next = file_pgoff;
	struct folio_batch batch;
	struct folio *folio;

	if (!range->source->cached)
		return NULL;
	look(range, &next, file_pgoff, &batch);
	if (!has_page(&batch, file_pgoff) ||
	    file_pgoff >= memview_source_end(range->source)) {
		release_folios(&batch);
		return NULL;
	}
	folio = batch.folios[0];
	return folio_page(folio, file_pgoff - folio->index);
}
