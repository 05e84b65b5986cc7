/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tree of the VMAs that map a file (mapping->i_mmap), as mm/interval_tree.c
 * has it, whose functions are not exported.
 */
#ifndef _MEMVIEW_VMA_TREE_H
#define _MEMVIEW_VMA_TREE_H

#include <linux/interval_tree_generic.h>
#include <linux/mm.h>

static inline unsigned long vma_first(struct vm_area_struct *vma)
{
	return vma->vm_pgoff;
}

static inline unsigned long vma_last(struct vm_area_struct *vma)
{
	return vma->vm_pgoff + vma_pages(vma) - 1;
}

INTERVAL_TREE_DEFINE(struct vm_area_struct, shared.rb, unsigned long,
		     shared.rb_subtree_last, vma_first, vma_last,
		     static __maybe_unused, vma_tree)

#endif /* _MEMVIEW_VMA_TREE_H */
