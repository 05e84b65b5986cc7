// SPDX-License-Identifier: GPL-2.0
/*
 * impostor.c - makes this kernel look like one on which views are not safe
 *
 * For the tests of what memview does there (kernel.c). While it is loaded, and
 * to the task that loaded it:
 *   release=NAME  the kernel has this release, to everybody
 *   deaf=N        what notifiers of an mm without tasks are told, from the N-th
 *                 time on, does not reach them
 *   armed=ADDR    the VMA at ADDR is armed for a userfaultfd, from here on
 */
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/userfaultfd_k.h>
#include <linux/utsname.h>

static char *release;
module_param(release, charp, 0444);
static unsigned int deaf;
module_param(deaf, uint, 0444);
static unsigned long armed;
module_param(armed, ulong, 0444);

static char true_release[__NEW_UTS_LEN + 1];
static struct task_struct *victim;
static unsigned int told;

static int tell_nobody(struct mmu_notifier_range *range)
{
	return 0;
}

/* At the function's entry: have it do nothing, and return. */
static int be_deaf(struct kprobe *probe, struct pt_regs *regs)
{
	const struct mmu_notifier_range *range = (void *)regs->di;

	if (current != victim || range->mm == current->mm || ++told < deaf)
		return 0;
	regs->ip = (unsigned long)tell_nobody;
	return 1;
}

static struct kprobe probe = {
	.symbol_name = "__mmu_notifier_invalidate_range_start",
	.pre_handler = be_deaf,
};

static int arm(unsigned long addr)
{
	struct vm_area_struct *vma;

	mmap_write_lock(current->mm);
	vma = find_vma(current->mm, addr);
	if (vma)
		vm_flags_set(vma, VM_UFFD_WP);
	mmap_write_unlock(current->mm);
	return vma ? 0 : -EINVAL;
}

static int __init impostor_init(void)
{
	int err = 0;

	victim = current;
	if (armed)
		err = arm(armed);
	if (!err && deaf)
		err = register_kprobe(&probe);
	if (!err && release) {
		strscpy(true_release, init_utsname()->release);
		strscpy(init_utsname()->release, release);
	}
	return err;
}

static void __exit impostor_exit(void)
{
	if (deaf)
		unregister_kprobe(&probe);
	if (release)
		strscpy(init_utsname()->release, true_release);
}

module_init(impostor_init);
module_exit(impostor_exit);

MODULE_DESCRIPTION("For the tests of memview: a kernel that it must not be loaded on");
MODULE_LICENSE("GPL");
