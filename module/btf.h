/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What each file of the module begins with, by Kbuild's hand: the headers in
 * which they would differ.
 *
 * pahole merges the types of all files where they are the same down to the last
 * struct that they lead to. What one file only declares and another defines makes
 * two of all types that lead there: two struct files, say. The verifier lets no
 * program pass the one to a kfunc that takes the other.
 */
#ifndef _MEMVIEW_BTF_H
#define _MEMVIEW_BTF_H

#include <linux/backing-dev.h>
#include <linux/bpf_verifier.h>
#include <linux/btf_ids.h>
#include <linux/cdev.h>
#include <linux/cgroup.h>
#include <linux/dax.h>
#include <linux/fs_context.h>
#include <linux/mempolicy.h>
#include <linux/mmu_notifier.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/pseudo_fs.h>
#include <linux/rmap.h>
#include <linux/seq_file.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/trace_events.h>
#include <linux/userfaultfd_k.h>
#include <linux/utsname.h>
#include <linux/workqueue.h>
#include <linux/writeback.h>

#endif /* _MEMVIEW_BTF_H */
