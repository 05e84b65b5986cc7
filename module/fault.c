// SPDX-License-Identifier: GPL-2.0
/*
 * A client's page fault, from the layout to the PTE.
 *
 *  1. Resolve. Find the range, check that it allows the access, have the
 *     source bring the page, locked. No lock of the view is held: this may
 *     wait for I/O, and a change does not wait for it.
 *  2. Commit. Under the layout's lock, look whether the range is still the
 *     one; if so, insert the PTE, else start over. This does not sleep.
 *
 * A page that is in the page cache needs no waiting: both are one step, under
 * the layout's lock (around.c).
 *
 * A change shows its pieces under that lock and zaps afterwards. So a fault
 * either commits before that, and the zap removes its PTE, or sees the new
 * layout.
 *
 * The page stays locked over the commit, as it does in the core's own faults:
 * truncation, reclaim, migration and writeback lock it before they look for
 * its mappings.
 */
#include <linux/backing-dev.h>
#include <linux/file.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/userfaultfd_k.h>
#include <linux/writeback.h>

#include "lookup.h"
#include "memview.h"
#include "trace.h"

/* Of VM_FAULT_NOPAGE, which says "the PTE is there", or "look again". */
#define VM_FAULT_DONE VM_FAULT_NOPAGE

/*
 * One fault, over all its rounds: for the tracepoint when it began, if one
 * listens, and what it met; whether the source has been asked for a huge page:
 * once is enough; whether truncation has overtaken what was mapped from the page
 * cache; and the file of the view, if the lock that the fault is under may be
 * dropped. With that goes what keeps the view, and this module.
 */
struct fault_state {
	u64 start;
	enum memview_source_kind kind;
	bool asked;
	bool overtaken;
	struct file *pin;
};

/* Under the layout's lock: has the range gone from the fault since? */
static bool has_changed(struct memview_view *view,
			const struct memview_met *met,
			const struct vm_fault *vmf)
{
	return met->changes != view->layout.changes &&
	       !memview_layout_is(&view->layout, vmf->pgoff, met->range);
}

/*
 * Under the lock of the PTE. pte_offset_map_lock() would take it, but is not for
 * modules. Not a part of commit(), where most faults would carry it for nothing.
 *
 * Return: 0, or -EBUSY if the PTE is of another page, or has gone; or if it may
 *	not become writable: it may be by now, and CPUs know it.
 */
static noinline int make_writable(const struct vm_fault *vmf, struct page *page,
				  pgprot_t prot)
{
	pte_t new = pte_mkdirty(pte_mkyoung(mk_pte(page, prot)));
	struct mm_struct *mm = vmf->vma->vm_mm;
	int err = -EBUSY;
	spinlock_t *ptl;
	pmd_t pmd;
	pte_t *pte;

	if (!pte_write(new))
		return err;
	rcu_read_lock();
	pmd = pmdp_get_lockless(vmf->pmd);
	if (pmd_none(pmd) || pmd_leaf(pmd))
		goto out;
	ptl = pte_lockptr(mm, &pmd);
	spin_lock(ptl);
	pte = pte_offset_kernel(&pmd, vmf->address);
	if (pmd_same(pmd, pmdp_get_lockless(vmf->pmd)) &&
	    pte_present(ptep_get(pte)) &&
	    pte_pfn(ptep_get(pte)) == page_to_pfn(page)) {
		set_pte_at(mm, vmf->address, pte, new);
		err = 0;
	}
	spin_unlock(ptl);
out:
	rcu_read_unlock();
	return err;
}

/*
 * Insert the PTE, or let it be written to if it is there to be read, if the
 * layout has not changed since the page was resolved.
 *
 * Return: 0; -EAGAIN after a change; or what vm_insert_page() has to say.
 */
static int commit(struct memview_view *view, const struct memview_met *met,
		  struct vm_fault *vmf, struct page *page)
{
	struct vm_area_struct vma = {};
	int err;

	memview_insertion_vma(&vma, vmf, met->range);
	read_lock(&view->layout.lock);
	if (has_changed(view, met, vmf)) {
		err = -EAGAIN;
	} else if (memview_lost_table(vmf)) {
		err = -EBUSY;
	} else {
		memview_touch(met->range);
		err = memview_insert(&vma, vmf, page);
		if (err == -EBUSY && (vmf->flags & FAULT_FLAG_WRITE))
			err = make_writable(vmf, page, vma.vm_page_prot);
	}
	read_unlock(&view->layout.lock);
	return err;
}

/*
 * Have a page table for commit(). If there is none and the source has brought a
 * huge page: that is for fault_cached() to map, which finds it in the page cache.
 *
 * Return: 0, -EAGAIN for a huge page, -EBUSY if one has just come.
 */
static int prepare(const struct memview_met *met, struct vm_fault *vmf,
		   struct page *page, struct fault_state *state)
{
	if (likely(memview_has_table(vmf)))
		return 0;
	if (!state->asked && memview_is_huge(met, vmf, page)) {
		state->asked = true;
		return -EAGAIN;
	}
	return memview_make_table(vmf) ? 0 : -EBUSY;
}

static vm_fault_t commit_result(const struct vm_fault *vmf, int err)
{
	switch (err) {
	case 0:
	case -EBUSY: /* another thread was faster; if it has more, */
	case -EAGAIN: /* or after a change, the access faults again */
		return VM_FAULT_DONE;
	case -ENOMEM: /* or the page table went, and a huge page came */
		return memview_has_table(vmf) ? VM_FAULT_OOM : VM_FAULT_DONE;
	default:
		return VM_FAULT_SIGBUS;
	}
}

/*
 * A source that may wait for storage must be able to give up the lock that the
 * fault is under. It cannot do so with the lock of a VMA: have mmap_lock.
 */
static bool needs_mmap_lock(const struct memview_range *range,
			    const struct vm_fault *vmf)
{
	return (vmf->flags & FAULT_FLAG_VMA_LOCK) &&
	       range->source->kind == MEMVIEW_SOURCE_FILE;
}

static void pin_view(struct fault_state *state, const struct vm_fault *vmf)
{
	if (!state->pin)
		state->pin = get_file(vmf->vma->vm_file);
}

/* As memview_source_fault(). */
static vm_fault_t ask_source(struct memview_view *view,
			     struct memview_range *range, struct vm_fault *vmf,
			     struct fault_state *state, struct page **pagep)
{
	struct address_space *mapping = range->source->vma.vm_file->f_mapping;
	unsigned long before = READ_ONCE(mapping->nrpages);
	vm_fault_t ret;

	if (needs_mmap_lock(range, vmf)) {
		pin_view(state, vmf);
		memview_vma_end_read(vmf->vma);
		return VM_FAULT_RETRY;
	}
	if (memview_source_may_unlock(vmf))
		pin_view(state, vmf);
	ret = memview_source_fault(range, vmf, pagep);
	if (ret & VM_FAULT_LOCKED)
		memview_was_asked(view, vmf,
				  READ_ONCE(mapping->nrpages) - before);
	return ret;
}

/* The same for a source that wants to know of each page that is written. */
static vm_fault_t ask_to_write(struct memview_view *view,
			       struct memview_range *range,
			       struct vm_fault *vmf, struct fault_state *state,
			       struct page **pagep)
{
	struct address_space *mapping = range->source->vma.vm_file->f_mapping;
	vm_fault_t ret, major = 0;

	*pagep = memview_cached_page(range, vmf);
	if (!*pagep) {
		ret = ask_source(view, range, vmf, state, pagep);
		if (!(ret & VM_FAULT_LOCKED))
			return ret;
		major = ret & VM_FAULT_MAJOR;
		unlock_page(*pagep);
	}
	ret = memview_source_mkwrite(range, vmf, *pagep);
	/*
	 * It has looked at the folio alone. And a page that readahead has left
	 * beyond the end, it would have tried again for ever.
	 */
	if ((ret & (VM_FAULT_LOCKED | VM_FAULT_NOPAGE)) &&
	    !memview_in_file(mapping, memview_file_pgoff(range, vmf->pgoff))) {
		if (ret & VM_FAULT_LOCKED)
			unlock_page(*pagep);
		ret = VM_FAULT_SIGBUS;
	}
	if (!(ret & VM_FAULT_LOCKED))
		put_page(*pagep);
	return ret | major;
}

/*
 * Give up the lock that a fault is under, if the core lets it go.
 * Return: VM_FAULT_COMPLETED, or 0.
 */
static vm_fault_t unlock_client(struct vm_fault *vmf, struct fault_state *state)
{
	if (!fault_flag_allow_retry_first(vmf->flags) ||
	    (vmf->flags & FAULT_FLAG_RETRY_NOWAIT))
		return 0;
	pin_view(state, vmf);
	if (vmf->flags & FAULT_FLAG_VMA_LOCK)
		memview_vma_end_read(vmf->vma);
	else
		mmap_read_unlock(vmf->vma->vm_mm);
	return VM_FAULT_COMPLETED;
}

/*
 * Where too many pages are dirty, who makes another one so waits for storage.
 * As unlock_client().
 */
static vm_fault_t throttle(struct address_space *mapping, struct vm_fault *vmf,
			   struct fault_state *state)
{
	vm_fault_t ret;

	if (likely(!balance_dirty_pages_ratelimited_flags(mapping, BDP_ASYNC)))
		return 0;
	ret = unlock_client(vmf, state);
	balance_dirty_pages_ratelimited(mapping);
	return ret;
}

/*
 * After a fault that writes to a source that is not told of it, under no lock of
 * a page. As unlock_client().
 */
static vm_fault_t account_write(const struct memview_source *source,
				struct vm_fault *vmf, struct fault_state *state)
{
	struct file *file = source->vma.vm_file;

	file_update_time(file);
	return source->cached_writable ? 0 :
					 throttle(file->f_mapping, vmf, state);
}

/* One round: resolve and commit. Consumes nothing of the caller's. */
static vm_fault_t fault_range(struct memview_view *view,
			      const struct memview_met *met,
			      struct vm_fault *vmf, struct fault_state *state,
			      int *err)
{
	struct memview_range *range = met->range;
	const struct memview_source *source = range->source;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	bool told = write && source->vma.vm_ops->page_mkwrite;
	struct folio *folio;
	struct page *page;
	vm_fault_t ret;

	if (told)
		ret = ask_to_write(view, range, vmf, state, &page);
	else
		ret = ask_source(view, range, vmf, state, &page);
	if (!(ret & VM_FAULT_LOCKED))
		return ret;
	folio = page_folio(page);
	*err = prepare(met, vmf, page, state) ?: commit(view, met, vmf, page);
	/* If it is dirty, what says which parts are will learn from the PTE. */
	if (write && !*err && !folio_test_dirty(folio))
		folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
	ret = commit_result(vmf, *err) | (ret & VM_FAULT_MAJOR);
	if (told && !*err)
		ret |= throttle(source->vma.vm_file->f_mapping, vmf, state);
	else if (write && !*err)
		ret |= account_write(source, vmf, state);
	return ret;
}

/* As memview_map_around(): by one entry if there is no page table and can be. */
static vm_fault_t map_cached(struct memview_view *view,
			     const struct memview_met *met,
			     struct vm_fault *vmf, struct fault_state *state)
{
	vm_fault_t ret;

	if (unlikely(!memview_has_table(vmf))) {
		ret = memview_map_huge(met, vmf, &state->overtaken);
		if (ret == VM_FAULT_NOPAGE || (!ret && !state->asked))
			return ret;
		if (!memview_make_table(vmf))
			return VM_FAULT_NOPAGE;
	}
	return memview_map_around(view, met, vmf, &state->overtaken);
}

/*
 * Unmap what may be beyond the end of its file by now: all that a fault can map
 * lies within one page table. The lock of the client's VMA is held.
 */
static noinline void undo_overtaken(const struct vm_fault *vmf)
{
	unsigned long start = vmf->address & PMD_MASK;

	memview_zap_vma(vmf->vma, max(start, vmf->vma->vm_start),
			min(start + PMD_SIZE, vmf->vma->vm_end));
}

/*
 * Resolve and commit at once, from the page cache. Return: 0 if the source
 * must be asked; then a reference of @met->range is taken.
 */
static vm_fault_t fault_cached(struct memview_view *view, struct vm_fault *vmf,
			       struct fault_state *state,
			       struct memview_met *met, struct file **written)
{
	vm_fault_t ret;

	read_lock(&view->layout.lock);
	ret = memview_look_up(view, vmf, met);
	if (!ret) {
		state->kind = met->range->source->kind;
		if (memview_may_map_cached(met->range->source, vmf))
			ret = map_cached(view, met, vmf, state);
		if (!ret)
			refcount_inc(&met->range->refs);
		else if (vmf->flags & FAULT_FLAG_WRITE)
			*written = get_file(met->range->source->vma.vm_file);
	}
	read_unlock(&view->layout.lock);
	if (unlikely(state->overtaken)) {
		state->overtaken = false;
		undo_overtaken(vmf);
	}
	return ret;
}

static vm_fault_t fault(struct memview_view *view, struct vm_fault *vmf,
			struct fault_state *state)
{
	struct file *written = NULL;
	vm_fault_t ret, major = 0;
	struct memview_met met;
	int err;

	/*
	 * No kernel that is served lets a userfaultfd have such a VMA. Its markers
	 * in empty PTEs would make a fault come again for ever.
	 */
	if (unlikely(userfaultfd_armed(vmf->vma)))
		return VM_FAULT_SIGBUS;
	do {
		ret = fault_cached(view, vmf, state, &met, &written);
		if (ret)
			break;
		err = 0;
		ret = fault_range(view, &met, vmf, state, &err);
		major |= ret & VM_FAULT_MAJOR;
		memview_range_put(met.range);
	} while (err == -EAGAIN && !fatal_signal_pending(current));
	if (written) {
		file_update_time(written);
		fput(written);
	}
	return ret | major;
}

static struct fault_state state_begin(void)
{
	return (struct fault_state){
		.start = trace_memview_fault_enabled() ? ktime_get_ns() : 0,
		.kind = MEMVIEW_SOURCE_NONE,
	};
}

static void state_end(struct fault_state *state, struct memview_view *view,
		      struct vm_fault *vmf, vm_fault_t ret)
{
	u64 start = state->start;

	if (ret & VM_FAULT_ERROR)
		memview_count(view, fault_errors);
	else
		memview_count(view, faults);
	if (trace_memview_fault_enabled())
		trace_memview_fault(&view->bpf, vmf->pgoff, vmf->address,
				    vmf->flags, (__force unsigned int)ret,
				    state->kind,
				    start ? ktime_get_ns() - start : 0);
}

/**
 * memview_fault - ->fault of a client's mapping
 * @vmf: The fault.
 *
 * Context: Under mmap_lock or the lock of the VMA. May sleep, for I/O too.
 * Return: VM_FAULT_NOPAGE with the page mapped, or to look again; the signal;
 *	VM_FAULT_RETRY or VM_FAULT_COMPLETED if that lock has been given up.
 */
vm_fault_t memview_fault(struct vm_fault *vmf)
{
	struct memview_view *view = vmf->vma->vm_file->private_data;
	struct fault_state state = state_begin();
	vm_fault_t ret = fault(view, vmf, &state);

	/* It comes again. */
	if (!(ret & VM_FAULT_RETRY))
		state_end(&state, view, vmf, ret);
	/* If it is the last, it goes when this task goes back to user space. */
	if (state.pin)
		fput(state.pin);
	return ret;
}

/**
 * memview_mkwrite - ->page_mkwrite: a write to a page that is mapped read-only
 * @vmf: The fault.
 *
 * The core would make the PTE writable after this, and the page dirty, and have
 * the writer wait for its file's storage, all of it with the view's file in hand:
 * nothing would keep the source from going meanwhile. So it finds all done by
 * memview_fault(), which has hold of the source. That waits under the lock of the
 * fault: from here the core does not let it go.
 *
 * Context: As memview_fault().
 * Return: VM_FAULT_NOPAGE, or the signal.
 */
vm_fault_t memview_mkwrite(struct vm_fault *vmf)
{
	vm_fault_t ret = memview_fault(vmf);

	return ret & VM_FAULT_ERROR ? ret : ret | VM_FAULT_NOPAGE;
}

#ifdef MEMVIEW_HAVE_VMA_LOCK
/**
 * memview_map_pages - ->map_pages: a read fault of what may be cached
 * @vmf: The fault.
 * @first: Not used: how many pages pay is not the core's to say.
 * @last: Not used.
 *
 * What it cannot have at once is for ->fault. With this here the core calls that,
 * too, under the lock of the VMA instead of mmap_lock.
 *
 * Context: Under RCU. Does not sleep.
 * Return: VM_FAULT_NOPAGE if the page is mapped, else 0.
 */
vm_fault_t memview_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	struct memview_view *view = vmf->vma->vm_file->private_data;
	struct fault_state state = state_begin();
	struct memview_met met;
	vm_fault_t ret;

	if (!memview_has_table(vmf) || userfaultfd_armed(vmf->vma) ||
	    memview_is_missing(view, vmf))
		return 0;
	read_lock(&view->layout.lock);
	ret = memview_look_up(view, vmf, &met);
	if (!ret) {
		state.kind = met.range->source->kind;
		ret = memview_map_around(view, &met, vmf, &state.overtaken);
	} else {
		ret = 0; /* ->fault says so, too */
	}
	read_unlock(&view->layout.lock);
	if (ret)
		state_end(&state, view, vmf, ret);
	return ret;
}
#endif
