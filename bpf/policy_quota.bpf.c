// SPDX-License-Identifier: GPL-2.0
/*
 * policy_quota - so many bytes per user, or per cgroup
 *
 * A view costs its owner next to nothing, and what it shows is charged to
 * whoever touches it. That is right for one view, and leaves an operator with
 * no way to say how much a tenant may lend in all. This policy does: the bytes
 * that all views of an account show, this request included, must not exceed
 * the limit. The account is the user, or the cgroup, that opened the view.
 *
 * The policy books nothing, so nothing can get out of step: each request adds up
 * what the views show, and what requests in flight add to that, which the module
 * books before it asks about them. So the limit is exact, whatever comes at the
 * same moment. What a request replaces does not count. Of two requests that
 * together exceed the limit, both may be refused. The maps of a batch see those
 * before them, but not what it unmaps. Views of before the policy was loaded
 * count, and are left alone.
 *
 * Configuration:
 *   limit       bytes (1 GiB)
 *   per_cgroup  accounts are cgroups, not users (false)
 *   only        this user or cgroup ID alone has a limit (-1: everyone)
 *   error       errno of a refusal (EDQUOT)
 */
#include "kfuncs.h"

char _license[] SEC("license") = "GPL";

const volatile __u64 limit = 1 << 30;
const volatile bool per_cgroup;
const volatile __s64 only = -1;
const volatile __u16 error = EDQUOT;

static __u64 account_of(const struct memview_info *info)
{
	return per_cgroup ? info->owner_cgroup : info->owner_uid;
}

/* The bytes of several views can be more than there are numbers. */
static __u64 add(__u64 a, __u64 b)
{
	return a + b < a ? ~0ULL : a + b;
}

/* Bytes that the views of an account show, or are about to: this request, too. */
static __u64 sum_account(__u64 account)
{
	struct memview_info info;
	struct memview *view;
	__u64 sum = 0;

	bpf_rcu_read_lock();
	bpf_for_each(memview, view) {
		bpf_memview_get_info(view, &info);
		if (account_of(&info) == account)
			sum = add(sum, add(info.bytes, info.growing));
	}
	bpf_rcu_read_unlock();
	return sum;
}

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *request)
{
	struct memview_info info;
	__u64 account;

	bpf_memview_get_info(view, &info);
	account = account_of(&info);
	if (only >= 0 && account != only)
		return 0;
	return sum_account(account) <= limit ? 0 : -error;
}

SEC(".struct_ops.link")
struct memview_policy_ops quota = {
	.map_fd = (void *)map_fd,
	.priority = 100,
	.name = "quota",
};
