// SPDX-License-Identifier: GPL-2.0
/*
 * A client's mapping: what the core does to it, other than fault (fault.c).
 *
 * A zap looks for mappings in the i_mmap tree of the view. munmap() takes a VMA
 * out of there when it has cleared the page tables, but other threads of the
 * client may have translations of them for a while: until the CPUs have flushed
 * them, after which it calls ->close. So each view knows the mms that have its
 * VMAs, from ->mmap or ->open to ->close.
 */
#include <linux/kmemleak.h>
#include <linux/mempolicy.h>
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "memview.h"

/**
 * struct client - an mm that has VMAs of a view
 * @view: View; a file of it lives as long as a VMA.
 * @rb: In view->clients, by @mm.
 * @list: In view->client_list, the last to come first.
 * @refs: One a VMA, whose vm_private_data this is, and of who flushes.
 * @mm: The mm; its mm_count is held.
 */
struct client {
	struct memview_view *view;
	struct rb_node rb;
	struct list_head list;
	refcount_t refs;
	struct mm_struct *mm;
};

static int compare_mm(const void *key, const struct rb_node *node)
{
	const void *mm = rb_entry(node, struct client, rb)->mm;

	if (key == mm)
		return 0;
	return key < mm ? -1 : 1;
}

static int compare_client(struct rb_node *node, const struct rb_node *other)
{
	return compare_mm(rb_entry(node, struct client, rb)->mm, other);
}

static struct client *find_client(struct memview_view *view,
				  const struct mm_struct *mm)
{
	struct client *client = NULL;
	struct rb_node *node;

	spin_lock(&view->clients_lock);
	node = rb_find(mm, &view->clients, compare_mm);
	if (node) {
		client = rb_entry(node, struct client, rb);
		refcount_inc(&client->refs);
	}
	spin_unlock(&view->clients_lock);
	return client;
}

/*
 * With a reference for a new VMA. The caller has the mm's lock for writing: there
 * is nobody else who could make it a client. Or the mm is not in use yet.
 */
static struct client *get_client(struct memview_view *view,
				 struct mm_struct *mm, gfp_t gfp)
{
	struct client *client = find_client(view, mm);

	if (client)
		return client;
	client = kmalloc(sizeof(*client), gfp);
	if (!client)
		return NULL;
	client->view = view;
	client->mm = mm;
	mmgrab(mm);
	refcount_set(&client->refs, 1);
	spin_lock(&view->clients_lock);
	rb_find_add(&client->rb, &view->clients, compare_client);
	list_add(&client->list, &view->client_list);
	spin_unlock(&view->clients_lock);
	return client;
}

static void client_put(struct client *client)
{
	struct memview_view *view = client->view;

	if (!refcount_dec_and_lock(&client->refs, &view->clients_lock))
		return;
	rb_erase(&client->rb, &view->clients);
	list_del(&client->list);
	spin_unlock(&view->clients_lock);
	mmdrop(client->mm);
	kfree(client);
}

/* The next one after @client, or the first; with a reference, for that of @client. */
static struct client *next_client(struct memview_view *view,
				  struct client *client)
{
	struct client *next;

	spin_lock(&view->clients_lock);
	next = list_prepare_entry(client, &view->client_list, list);
	next = list_next_entry(next, list);
	if (list_entry_is_head(next, &view->client_list, list))
		next = NULL;
	else
		refcount_inc(&next->refs);
	spin_unlock(&view->clients_lock);
	if (client)
		client_put(client);
	return next;
}

/**
 * memview_flush_leaving - no CPU shall use what munmap() has taken away
 * @view: View. After memview_zap(), of all that is to go.
 *
 * This does not wait for munmap(), which may wait for locks of other files. Nor
 * does it meet clients that come meanwhile: they cannot have seen what is gone.
 *
 * munmap() has begun its flush before it took a VMA out of the tree, under a lock
 * that the zap has had since.
 *
 * Context: May sleep. Takes the lock of the clients.
 */
void memview_flush_leaving(struct memview_view *view)
{
	unsigned int patience = MEMVIEW_FLUSH_PATIENCE;
	struct client *client = NULL;

	while ((client = next_client(view, client))) {
		if (unlikely(mm_tlb_flush_pending(client->mm)) &&
		    memview_flush_mm(client->mm, &patience)) {
			client_put(client);
			break;
		}
		cond_resched();
	}
}

/**
 * memview_vma_begin - make a VMA one of a view
 * @vma: VMA, new.
 * @view: View.
 *
 * Context: ->mmap.
 * Return: 0 or -ENOMEM.
 */
int memview_vma_begin(struct vm_area_struct *vma, struct memview_view *view)
{
	vma->vm_private_data = get_client(view, vma->vm_mm, GFP_KERNEL_ACCOUNT);
	if (!vma->vm_private_data)
		return -ENOMEM;
	vma->vm_ops = &memview_vm_ops;
	memview_yield(view);
	atomic_long_inc(&view->mappings);
	return 0;
}

/*
 * change_protection() rewrites the NX bit of each PTE from the VMA's
 * protection, which knows nothing of ranges. And it makes dirty PTEs writable
 * again, all those of a folio if one is dirty. So let there be no PTE when it
 * comes, and no fault until it is done.
 */
static int memview_mprotect(struct vm_area_struct *vma, unsigned long start,
			    unsigned long end, unsigned long newflags)
{
	if (!(newflags & (VM_WRITE | VM_EXEC)))
		return 0;
	vma_start_write(vma);
	memview_zap_vma(vma, start, end);
	return 0;
}

/* A copy of a VMA: a part, at another place, or a child's. It cannot fail. */
static void memview_vma_open(struct vm_area_struct *vma)
{
	struct memview_view *view = vma->vm_file->private_data;
	struct client *client = vma->vm_private_data;

	if (client->mm == vma->vm_mm)
		refcount_inc(&client->refs);
	else
		vma->vm_private_data = get_client(
			view, vma->vm_mm, GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	memview_yield(view);
	atomic_long_inc(&view->mappings);
}

static void memview_vma_close(struct vm_area_struct *vma)
{
	struct memview_view *view = vma->vm_file->private_data;

	atomic_long_dec(&view->mappings);
	client_put(vma->vm_private_data);
}

#ifdef CONFIG_NUMA
/*
 * A policy that does not ask for pages to move to who uses them (MPOL_F_MOF)
 * makes NUMA balancing leave the mapping alone. It would take its PTEs away, and
 * give them back with all that the VMA allows. New pages are the source's own
 * affair: nothing is allocated by this policy.
 *
 * get_mempolicy() may hold it when the mapping is gone, and this module.
 */
static struct mempolicy *local_policy;

static struct mempolicy *memview_get_policy(struct vm_area_struct *vma,
					    unsigned long addr, pgoff_t *ilx)
{
	*ilx = 0;
	return local_policy;
}

/**
 * memview_vma_init - have what all clients' mappings share
 *
 * Context: May sleep.
 * Return: 0 or -ENOMEM.
 */
int memview_vma_init(void)
{
	local_policy = kzalloc(sizeof(*local_policy), GFP_KERNEL);
	if (!local_policy)
		return -ENOMEM;
	atomic_set(&local_policy->refcnt, 1);
	local_policy->mode = MPOL_LOCAL;
	return 0;
}

/**
 * memview_vma_exit - undo it, when no mapping is left
 *
 * Who still holds the policy, holds it for as long as he likes: then it stays.
 *
 * Context: Any.
 */
void memview_vma_exit(void)
{
	if (atomic_read_acquire(&local_policy->refcnt) == 1)
		kfree(local_policy);
	else
		kmemleak_not_leak(local_policy);
}
#endif

const struct vm_operations_struct memview_vm_ops = {
	.open = memview_vma_open,
	.close = memview_vma_close,
	.mprotect = memview_mprotect,
	.fault = memview_fault,
#ifdef MEMVIEW_HAVE_VMA_LOCK
	.map_pages = memview_map_pages,
#endif
	.page_mkwrite = memview_mkwrite,
#ifdef CONFIG_NUMA
	.get_policy = memview_get_policy,
#endif
};
