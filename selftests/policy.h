/* SPDX-License-Identifier: GPL-2.0 */
/*
 * policy.h - what the tests of policies and kfuncs share
 */
#ifndef MEMVIEW_POLICY_TEST_H
#define MEMVIEW_POLICY_TEST_H

#include "memview_test.h"

#include <sched.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

/* The module's own header, with the few words of the kernel that it uses. */
typedef __u32 u32;
typedef __u64 u64;
#define __aligned(n) __attribute__((aligned(n)))
#include "../module/memview_bpf.h"
#undef __aligned
#include "bpf/shared.h"

#include "recorder.skel.h"

#define EXPECT_POLICY_ERR	(-EL2HLT) /* an errno that nobody else gives */
#define OTHER_ERR		(-EBADE)

/* Name, priority and flags of a policy that is not loaded yet. */
static inline void policy_set(struct bpf_map *map, const char *name, u32 priority, u32 flags)
{
	size_t size;
	struct memview_policy_ops *ops = (void *)bpf_map__initial_value(map, &size);

	memset(ops->name, 0, sizeof(ops->name));
	/* Without a NUL at its end if it is too long: the module must refuse. */
	memcpy(ops->name, name, strnlen(name, sizeof(ops->name)));
	ops->priority = priority;
	ops->flags = flags;
}

/* Attach a loaded policy: 0 or a negative errno. */
static inline int policy_attach(struct bpf_map *map, struct bpf_link **link)
{
	*link = bpf_map__attach_struct_ops(map);
	return *link ? 0 : -errno;
}

/* When it returns, the policy, if there is one, is not asked any more. */
static inline void policy_detach(struct bpf_link **link)
{
	if (!*link)
		return;
	bpf_link__detach(*link);
	bpf_link__destroy(*link);
	*link = NULL;
}

/* A loaded recorder, not attached; NULL and errno if it cannot be. */
static inline struct recorder *recorder_new(const char *name, u32 priority, u32 flags)
{
	struct recorder *r = recorder__open();
	int err;

	if (!r)
		return NULL;
	policy_set(r->maps.policy, name, priority, flags);
	err = recorder__load(r);
	if (err) {
		recorder__destroy(r);
		errno = -err;
		return NULL;
	}
	return r;
}

static inline void recorder_answer(struct recorder *r, int answer)
{
	int op;

	for (op = 0; op < POLICY_OPS; op++)
		r->bss->answers[op] = answer;
}

static inline void recorder_clear(struct recorder *r)
{
	r->bss->nr_calls = 0;
	memset(r->bss->asked, 0, sizeof(r->bss->asked));
}

/* The n-th call of that kind, or one of zeroes. */
static inline struct policy_call recorder_call(struct recorder *r, u32 kind, unsigned int n)
{
	struct policy_call none = { .kind = ~0U };
	unsigned int i;

	for (i = 0; i < r->bss->nr_calls && i < CALLS_MAX; i++)
		if (r->bss->calls[i].kind == kind && !n--)
			return r->bss->calls[i];
	return none;
}

/* Run a syscall program: 0 or a negative errno. */
static inline int run_program(struct bpf_program *prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);

	return bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);
}

static inline int no_print(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

static inline u64 view_id(int fd)
{
	struct view_info info = {};

	return view_info(fd, &info) ? 0 : info.id;
}

#endif /* MEMVIEW_POLICY_TEST_H */
