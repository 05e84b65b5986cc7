// SPDX-License-Identifier: GPL-2.0
/*
 * kfuncs_rejected.c - the verifier lets no program in that uses a kfunc wrongly
 *
 * Each program of bpf/rejected.bpf.c is loaded alone; the log must say what is
 * wrong with it, or it was refused for another reason.
 */
#include "policy.h"

#include "rejected.skel.h"

static char log_text[256 * 1024];

/* Load this program, or policy, alone: 0 or a negative errno. */
static int load_alone(const char *program, const char *map)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .kernel_log_buf = log_text,
		    .kernel_log_size = sizeof(log_text), .kernel_log_level = 1);
	struct rejected *r = rejected__open_opts(&opts);
	struct bpf_program *prog = NULL;
	struct bpf_map *policy = NULL;
	int err;

	if (!r)
		return -errno;
	log_text[0] = 0;
	libbpf_set_print(no_print);
	bpf_map__set_autocreate(r->maps.atomic_policy, false);
	bpf_map__set_autocreate(r->maps.writing_policy, false);
	bpf_map__set_autocreate(r->maps.editing_policy, false);
	bpf_map__set_autocreate(r->maps.filling_policy, false);
	bpf_map__set_autocreate(r->maps.sleeping_policy, false);
	if (map) {
		policy = bpf_object__find_map_by_name(r->obj, map);
		err = policy ? bpf_map__set_autocreate(policy, true) : -ENOENT;
	} else {
		prog = bpf_object__find_program_by_name(r->obj, program);
		err = prog ? bpf_program__set_autoload(prog, true) : -ENOENT;
	}
	err = err ?: rejected__load(r);
	rejected__destroy(r);
	return err;
}

FIXTURE(rejected)
{
	struct klog klog;
};

FIXTURE_VARIANT(rejected)
{
	const char *program;
	const char *map; /* of a policy */
	const char *reason; /* in the verifier's log */
	const char *or; /* in that of another kernel */
};

#define REJECTED(name, ...) FIXTURE_VARIANT_ADD(rejected, name) { .program = #name, __VA_ARGS__ }

REJECTED(leak, .reason = "Unreleased reference");
REJECTED(use_after_release, .reason = "must be referenced or trusted", .or = "scalar");
REJECTED(release_twice, .reason = "must be referenced", .or = "scalar");
REJECTED(no_null_check, .reason = "Possibly NULL pointer passed to trusted");
REJECTED(untrusted, .reason = "must be referenced or trusted");
REJECTED(scalar, .reason = "R1 must be", .or = "arg#0 ");
REJECTED(views_not_destroyed, .reason = "Unreleased reference");
REJECTED(views_without_rcu, .reason = "expected an RCU CS when using bpf_iter_memview_next",
	 .or = "requires RCU critical section protection");
REJECTED(kept_beyond_rcu, .reason = "must be a rcu pointer", .or = "must be referenced or trusted");
REJECTED(revoke_borrowed, .reason = "must be referenced or trusted");
REJECTED(sleeping_mmap, .map = "sleeping_policy",
	 .reason = "attach to unsupported member mmap of struct memview_policy_ops");
REJECTED(ranges_not_destroyed, .reason = "Unreleased reference");
REJECTED(release_borrowed, .reason = "must be referenced or trusted",
	 .or = "invalid first argument (R1) for bpf_memview_release");
REJECTED(write_view, .reason = "only read is supported");
REJECTED(tracing_revoke, .reason = "calling kernel function bpf_memview_revoke is not allowed");
REJECTED(tracing_path, .reason = "calling kernel function bpf_memview_source_path is not allowed");
REJECTED(tracing_ranges,
	 .reason = "calling kernel function bpf_iter_memview_range_new is not allowed");
REJECTED(socket_filter, .reason = "calling kernel function bpf_memview_acquire is not allowed");
REJECTED(atomic_revoke, .map = "atomic_policy",
	 .reason = "program must be sleepable to call sleepable kfunc bpf_memview_revoke");
REJECTED(policy_writes, .map = "writing_policy", .reason = "only read is supported");
REJECTED(policy_edits, .map = "editing_policy", .reason = "only read is supported",
	 .or = "cannot write into rdonly");
REJECTED(fill_range, .map = "filling_policy",
	 .reason = "expected pointer to STRUCT memview_source_info", .or = "R2 must be");

FIXTURE_SETUP(rejected)
{
	ASSERT_EQ(0, klog_start(&self->klog));
}

FIXTURE_TEARDOWN(rejected)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(rejected, by_the_verifier)
{
	int err = load_alone(variant->program, variant->map);
	bool right;

	EXPECT_TRUE(err == -EACCES || err == -EINVAL || err == -EPROTO) TH_LOG("load: %d", err);
	right = strstr(log_text, variant->reason) ||
		(variant->or && strstr(log_text, variant->or));
	EXPECT_TRUE(right) TH_LOG("the log does not say '%s' but\n%s", variant->reason, log_text);
}

/* What the others do wrong, done right. */
TEST(good_is_loaded)
{
	EXPECT_EQ(0, load_alone("good", NULL)) TH_LOG("%s", log_text);
}

TEST_HARNESS_MAIN
