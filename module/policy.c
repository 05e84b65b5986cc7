// SPDX-License-Identifier: GPL-2.0
/*
 * The policies: a struct_ops type, the list of those attached, and asking.
 *
 * Whoever asks walks the list in an SRCU read section, since programs may
 * sleep. A policy that goes is unlinked first, then its readers are waited
 * for; only then does the BPF core let go of its programs. One that replaces
 * another takes its place in one store: each request finds one or the other.
 */
#include <linux/bpf.h>
#include <linux/bpf_verifier.h>
#include <linux/btf.h>
#include <linux/ctype.h>
#include <linux/file.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/task_work.h>

#include "memview.h"
#include "policy.h"
#include "trace.h"

DEFINE_STATIC_KEY_FALSE(memview_policies);

/* An attached policy; @ops is the BPF core's. */
struct policy {
	struct list_head list;
	const struct memview_policy_ops *ops;
};

/* By priority, then by age. Written under the mutex, read under SRCU. */
static LIST_HEAD(policies);
static unsigned int nr_policies;
static DEFINE_MUTEX(policies_lock);
DEFINE_STATIC_SRCU(policies_srcu);

/* For the checks of list_for_each_entry_srcu(). */
#define READING srcu_read_lock_held(&policies_srcu)

/* The last errno that user space may see; beyond are those of the kernel. */
#define LAST_ERRNO 511

/* What the caller gets for what a program has returned. */
static int verdict_of(int answer)
{
	return answer > 0 || answer < -LAST_ERRNO ? -EACCES : answer;
}

/* Record a policy's answer. Return what of it is enforced. */
static int judge(struct memview_view *view,
		 const struct memview_policy_ops *ops,
		 enum memview_policy_op op, int answer)
{
	bool enforced = !(ops->flags & MEMVIEW_POLICY_AUDIT);
	int verdict = verdict_of(answer);

	trace_memview_verdict(&view->bpf, ops->name, op, answer, verdict,
			      enforced);
	return enforced ? verdict : 0;
}

/* With policies_srcu read. */
static void tell_denied(struct memview_view *view, enum memview_policy_op op,
			int err)
{
	struct policy *policy;

	list_for_each_entry_srcu(policy, &policies, list, READING)
		if (policy->ops->denied)
			policy->ops->denied(&view->bpf, op, err);
}

/*
 * Ask each policy that has the program, until one refuses. With policies_srcu
 * read. A macro: the programs differ in their arguments.
 */
/* clang-format off */
#define ask(view, op, program, ...)					\
({									\
	const struct memview_policy_ops *ops;				\
	struct policy *policy;						\
	int err = 0;							\
									\
	list_for_each_entry_srcu(policy, &policies, list, READING) {	\
		ops = policy->ops;					\
		if (!ops->program)					\
			continue;					\
		err = judge(view, ops, op,				\
			    ops->program(&(view)->bpf, ##__VA_ARGS__));	\
		if (err)						\
			break;						\
	}								\
	err;								\
})
/* clang-format on */

int __memview_ask_map_fd(struct memview_asked *asked, struct file *file,
			 const struct memview_map_fd_info *info)
{
	struct memview_view *view = asked->view;
	struct memview_run run;
	int idx, err;

	memview_asked_book(asked, info);
	memview_run_begin(&run, asked);
	idx = srcu_read_lock(&policies_srcu);
	err = ask(view, MEMVIEW_OP_MAP_FD, map_fd, file, info);
	if (err)
		tell_denied(view, MEMVIEW_OP_MAP_FD, err);
	srcu_read_unlock(&policies_srcu, idx);
	memview_run_end(&run);
	return err;
}

int __memview_ask_get_viewfd(struct memview_asked *asked)
{
	struct memview_view *view = asked->view;
	struct memview_run run;
	int idx, err;

	memview_run_begin(&run, asked);
	idx = srcu_read_lock(&policies_srcu);
	err = ask(view, MEMVIEW_OP_GET_VIEWFD, get_viewfd);
	if (err)
		tell_denied(view, MEMVIEW_OP_GET_VIEWFD, err);
	srcu_read_unlock(&policies_srcu, idx);
	memview_run_end(&run);
	return err;
}

/*
 * A refused mmap(). It is told of when the client has given up its mmap_lock:
 * @denied may sleep, and may read the client's memory, whose fault needs it.
 * @file pins the view, and the module. If another reference of it is the last
 * one, the module can go while this returns: memview_exit() waits for that.
 */
struct refusal {
	struct callback_head work;
	struct file *file;
	int err;
};

static void tell_refusal(struct callback_head *work)
{
	struct refusal *refusal = container_of(work, struct refusal, work);
	int idx = srcu_read_lock(&policies_srcu);

	tell_denied(refusal->file->private_data, MEMVIEW_OP_MMAP, refusal->err);
	srcu_read_unlock(&policies_srcu, idx);
	fput(refusal->file);
	kfree(refusal);
}

static void refuse_mmap(struct refusal *refusal, struct file *file, int err)
{
	init_task_work(&refusal->work, tell_refusal);
	refusal->file = get_file(file);
	refusal->err = err;
	if (task_work_add(current, &refusal->work, TWA_RESUME)) {
		/* It is about to exit, without a return to user space. */
		fput(file);
		kfree(refusal);
	}
}

static u32 prot_of(const struct vm_area_struct *vma)
{
	u32 prot = 0;

	if (vma->vm_flags & VM_READ)
		prot |= PROT_READ;
	if (vma->vm_flags & VM_WRITE)
		prot |= PROT_WRITE;
	if (vma->vm_flags & VM_EXEC)
		prot |= PROT_EXEC;
	return prot;
}

static int ask_mmap(struct memview_view *view, const struct vm_area_struct *vma)
{
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	u64 size = vma->vm_end - vma->vm_start;
	int idx = srcu_read_lock(&policies_srcu);
	int err = ask(view, MEMVIEW_OP_MMAP, mmap, offset, size, prot_of(vma));

	srcu_read_unlock(&policies_srcu, idx);
	return err;
}

/*
 * The mapping comes into being in the core, after this. That waits for nothing
 * but memory; what the mapping shows is what maps have brought, and are asked
 * about, until they commit.
 */
int __memview_ask_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct memview_asked asked = { .view = file->private_data };
	struct refusal *refusal;
	int err;

	refusal = kmalloc(sizeof(*refusal), GFP_KERNEL);
	if (!refusal)
		return -ENOMEM;
	do {
		err = memview_asked_begin(&asked);
		if (err)
			break;
		err = ask_mmap(asked.view, vma);
		if (err) {
			refuse_mmap(refusal, file, err);
			return err;
		}
	} while (!memview_asked_holds(&asked));
	kfree(refusal);
	return err;
}

static void tell_unmap(struct memview_view *view, u64 offset, u64 size)
{
	int idx = srcu_read_lock(&policies_srcu);
	struct policy *policy;

	list_for_each_entry_srcu(policy, &policies, list, READING)
		if (policy->ops->unmap_fd)
			policy->ops->unmap_fd(&view->bpf, offset, size);
	srcu_read_unlock(&policies_srcu, idx);
}

void __memview_tell_unmap(struct memview_view *view, u64 offset, u64 size)
{
	struct memview_run run;

	memview_run_begin(&run, NULL);
	tell_unmap(view, offset, size);
	memview_run_end(&run);
}

/* Under policies_lock: behind those of the same priority. */
static void insert(struct policy *policy)
{
	struct policy *other;

	list_for_each_entry(other, &policies, list)
		if (other->ops->priority > policy->ops->priority)
			break;
	/* Also when the loop ran to its end: before the head is last. */
	list_add_tail_rcu(&policy->list, &other->list);
}

static struct policy *find(const void *ops)
{
	struct policy *policy;

	list_for_each_entry(policy, &policies, list)
		if (policy->ops == ops)
			return policy;
	return NULL;
}

/*
 * A policy decides for the whole machine. A map of it may have been made by a BPF
 * token of a container, even one that has no programs.
 */
static bool may_attach(void)
{
	return bpf_capable();
}

static int policy_reg(void *kdata, struct bpf_link *link)
{
	struct policy *policy;
	int err = 0;

	if (!may_attach())
		return -EPERM;
	policy = kzalloc(sizeof(*policy), GFP_KERNEL_ACCOUNT);
	if (!policy)
		return -ENOMEM;
	policy->ops = kdata;
	mutex_lock(&policies_lock);
	if (nr_policies == MEMVIEW_POLICY_MAX) {
		err = -E2BIG;
	} else if (find(kdata)) {
		err = -EEXIST;
	} else {
		insert(policy);
		nr_policies++;
	}
	mutex_unlock(&policies_lock);
	if (err) {
		kfree(policy);
		return err;
	}
	static_branch_inc(&memview_policies);
	memview_policies_changed();
	return 0;
}

static void policy_unreg(void *kdata, struct bpf_link *link)
{
	struct policy *policy;

	mutex_lock(&policies_lock);
	policy = find(kdata);
	list_del_rcu(&policy->list);
	nr_policies--;
	mutex_unlock(&policies_lock);
	synchronize_srcu(&policies_srcu);
	memview_policies_changed();
	static_branch_dec(&memview_policies);
	kfree(policy);
}

/* Under policies_lock. */
static void replace(struct policy *old, struct policy *new)
{
	if (old->ops->priority == new->ops->priority) {
		list_replace_rcu(&old->list, &new->list);
		return;
	}
	/*
	 * Whoever is on his way may be past the new place and before the old
	 * one: he must still find the old one there.
	 */
	insert(new);
	synchronize_srcu(&policies_srcu);
	list_del_rcu(&old->list);
}

/*
 * Another policy takes the place of an attached one. With the priority
 * unchanged, that is one store. Otherwise both are on the list for a while:
 * a request may be asked about twice, but never not at all.
 */
static int policy_update(void *kdata, void *old_kdata, struct bpf_link *link)
{
	struct policy *policy, *old = NULL;

	if (!may_attach())
		return -EPERM;
	policy = kzalloc(sizeof(*policy), GFP_KERNEL_ACCOUNT);
	if (!policy)
		return -ENOMEM;
	policy->ops = kdata;
	mutex_lock(&policies_lock);
	if (!find(kdata)) {
		old = find(old_kdata);
		replace(old, policy);
	}
	mutex_unlock(&policies_lock);
	if (!old) {
		kfree(policy);
		return -EEXIST;
	}
	memview_policies_changed();
	synchronize_srcu(&policies_srcu);
	kfree(old);
	return 0;
}

static int copy_name(char *to, const char *from)
{
	size_t i, len = strnlen(from, MEMVIEW_POLICY_NAME_LEN);

	if (!len || len == MEMVIEW_POLICY_NAME_LEN)
		return -EINVAL;
	/* To isalnum() the letters of Latin-1 are letters, too. */
	for (i = 0; i < len; i++)
		if (!isascii(from[i]) ||
		    (!isalnum(from[i]) && !strchr("_.-", from[i])))
			return -EINVAL;
	memcpy(to, from, len);
	return 0;
}

/* Return: 1 if the member has been dealt with, 0 if it is a program. */
static int policy_init_member(const struct btf_type *t,
			      const struct btf_member *member, void *kdata,
			      const void *udata)
{
	const struct memview_policy_ops *from = udata;
	struct memview_policy_ops *to = kdata;

	switch (__btf_member_bit_offset(t, member) / 8) {
	case offsetof(struct memview_policy_ops, priority):
		to->priority = from->priority;
		return 1;
	case offsetof(struct memview_policy_ops, flags):
		if (from->flags & ~MEMVIEW_POLICY_AUDIT)
			return -EINVAL;
		to->flags = from->flags;
		return 1;
	case offsetof(struct memview_policy_ops, name):
		return copy_name(to->name, from->name) ?: 1;
	}
	return 0;
}

static bool policy_is_valid_access(int off, int size, enum bpf_access_type type,
				   const struct bpf_prog *prog,
				   struct bpf_insn_access_aux *info)
{
	if (off < 0 || off >= sizeof(__u64) * MAX_BPF_FUNC_ARGS ||
	    type != BPF_READ || off % size)
		return false;
	return btf_ctx_access(off, size, type, prog, info);
}

static const struct bpf_verifier_ops verifier_ops = {
	.get_func_proto = bpf_base_func_proto,
	.is_valid_access = policy_is_valid_access,
};

static int policy_init(struct btf *btf)
{
	return 0;
}

/*
 * No program by a BPF token, which is for a container: see may_attach().
 *
 * All programs may sleep but @mmap: it runs under the client's mmap_lock, and a
 * program that may sleep may read the client's memory, whose fault needs it.
 */
static int policy_check_member(const struct btf_type *t,
			       const struct btf_member *member,
			       const struct bpf_prog *prog)
{
	if (prog->aux->token)
		return -EACCES;
	if (__btf_member_bit_offset(t, member) / 8 ==
	    offsetof(struct memview_policy_ops, mmap))
		return prog->sleepable ? -EINVAL : 0;
	return 0;
}

static int stub_map_fd(struct memview *view, struct file *file,
		       const struct memview_map_fd_info *info)
{
	return 0;
}

static int stub_get_viewfd(struct memview *view)
{
	return 0;
}

static int stub_mmap(struct memview *view, u64 offset, u64 size, u32 prot)
{
	return 0;
}

static void stub_unmap_fd(struct memview *view, u64 offset, u64 size)
{
}

static void stub_denied(struct memview *view, u32 op, int err)
{
}

static struct memview_policy_ops stubs = {
	.map_fd = stub_map_fd,
	.get_viewfd = stub_get_viewfd,
	.mmap = stub_mmap,
	.unmap_fd = stub_unmap_fd,
	.denied = stub_denied,
};

static struct bpf_struct_ops bpf_memview_policy_ops = {
	.name = "memview_policy_ops",
	.verifier_ops = &verifier_ops,
	.init = policy_init,
	.check_member = policy_check_member,
	.init_member = policy_init_member,
	.reg = policy_reg,
	.unreg = policy_unreg,
	.update = policy_update,
	.cfi_stubs = &stubs,
	.owner = THIS_MODULE,
};

/**
 * memview_policy_init - tell the BPF core of the policies
 *
 * It lets go of them with the module.
 *
 * Context: May sleep.
 * Return: 0 or an errno.
 */
int memview_policy_init(void)
{
	return register_bpf_struct_ops(&bpf_memview_policy_ops,
				       memview_policy_ops);
}
