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
 * Nothing is booked, so nothing can get out of step: each request adds up what
 * the views show now. What it is about to replace does not count twice. The
 * maps of a batch see those that were let in before them, but not what it
 * unmaps. Two requests at the same moment do not see each other: the account
 * may exceed its limit by as much as it has requests in flight. Views of before
 * the policy was loaded count, and are left alone.
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

/* Bytes that the views of an account show, or are about to by a batch. */
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

/* Bytes of a view that a request would replace. */
static __u64 sum_replaced(struct memview *view, __u64 start, __u64 end)
{
	struct memview_range_info *range;
	__u64 from, to, sum = 0;

	bpf_for_each(memview_range, range, view) {
		from = range->offset;
		to = from + range->size;
		if (from >= end)
			break;
		if (from < start)
			from = start;
		if (to > end)
			to = end;
		if (from < to)
			sum += to - from;
	}
	return sum;
}

SEC("struct_ops.s/map_fd")
int BPF_PROG(map_fd, struct memview *view, struct file *file,
	     const struct memview_map_fd_info *request)
{
	__u64 start = request->mem_offset, size = request->size;
	struct memview_info info;
	__u64 account, sum;

	bpf_memview_get_info(view, &info);
	account = account_of(&info);
	if (only >= 0 && account != only)
		return 0;
	sum = add(sum_account(account), size);
	if (sum <= limit)
		return 0;
	if (sum == ~0ULL)
		return -error;
	/* A walk over all ranges: only where it can make a difference. */
	sum -= sum_replaced(view, start, start + size);
	return sum <= limit ? 0 : -error;
}

SEC(".struct_ops.link")
struct memview_policy_ops quota = {
	.map_fd = (void *)map_fd,
	.priority = 100,
	.name = "quota",
};
