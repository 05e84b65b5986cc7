// SPDX-License-Identifier: GPL-2.0
/*
 * verdicts.bpf.c - writes down what the tracepoint memview_verdict tells
 */
#include "test.bpf.h"

#include "shared.h"

char _license[] SEC("license") = "GPL";

/* To the verifier a pointer that a module's tracepoint gives may be NULL. */

struct verdict verdicts[CALLS_MAX];
__u32 nr_verdicts;

SEC("tp_btf/memview_verdict")
int BPF_PROG(memview_verdict, struct memview *view, const char *policy, enum memview_policy_op op,
	     int answer, int verdict, bool enforced)
{
	__u32 n = __sync_fetch_and_add(&nr_verdicts, 1);
	struct verdict *v;

	if (n >= CALLS_MAX || !view)
		return 0;
	v = &verdicts[n];
	v->view = view->id;
	v->op = op;
	v->answer = answer;
	v->verdict = verdict;
	v->enforced = enforced;
	bpf_probe_read_kernel_str(v->policy, sizeof(v->policy), policy);
	return 0;
}
