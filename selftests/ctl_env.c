// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_env.c - memviewctl where something is missing: privileges, the module,
 * BTF, bpffs. It says what, and what to do; so does its doctor.
 */
#include "ctl.h"

#define USER	"setpriv --reuid 1000 --regid 1000 --clear-groups "
#define ALONE	"unshare -m sh -c "

/* Each needs BPF, and none of them may change anything. */
static const char *const commands[] = {
	"list", "show 1", "revoke 1", "stats", "top --count 1", "events --duration 0.1",
	"hist --duration 0.1", "policy load deny-exec --pin", "policy list",
	"policy show memfd-only", "policy watch memfd-only", "policy unload memfd-only",
};

FIXTURE(ctl_env)
{
	struct klog klog;
	int control, memfd;
};

FIXTURE_SETUP(ctl_env)
{
	int err = module_load();

	ASSERT_TRUE(!err || err == -EEXIST);
	ASSERT_EQ(0, klog_start(&self->klog));
	self->memfd = memfd_filled(2 * PAGE, 1);
	self->control = view_create(2 * PAGE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
}

/* Whatever has happened, the next test finds the module, and no policy. */
FIXTURE_TEARDOWN(ctl_env)
{
	struct said said;
	int err;

	run(&said, "rm -rf /sys/fs/bpf/memview/*");
	err = module_load();
	EXPECT_TRUE(!err || err == -EEXIST);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The doctor's row for a check. */
static struct json_object *diagnose(struct said *said, const char *check)
{
	struct json_object *rows = json_tokener_parse(said->out);

	return rows ? pick_nth(rows, "check", check, 0) : NULL;
}

#define EXPECT_BAD(said, check, advice)					\
	do {								\
		EXPECT_STREQ("BAD", get_str(diagnose(said, check), "/result")) \
			TH_LOG("%s: %s", check, (said)->out);		\
		EXPECT_SAYS(get_str(diagnose(said, check), "/what_to_do"), advice); \
	} while (0)

#define EXPECT_GOOD(said, check)					\
	EXPECT_STREQ("ok", get_str(diagnose(said, check), "/result"))	\
		TH_LOG("%s: %s", check, (said)->out)

TEST_F(ctl_env, all_is_well)
{
	struct json_object *rows;
	struct said said, text;
	const char *lacks;

	ASSERT_RUN(0, &said, "memviewctl doctor --json");
	rows = json_tokener_parse(said.out);
	EXPECT_LE(9, json_object_array_length(rows));
	EXPECT_EQ(0, count_of(rows, "result", "BAD"));
	EXPECT_EQ(json_object_array_length(rows), count_of(rows, "what_to_do", "nothing"));
	ASSERT_RUN(0, &text, "memviewctl doctor");
	lacks = text_lacks(text.out, rows, "");
	EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, text.out);
}

TEST_F(ctl_env, without_privileges)
{
	struct view_info before = {}, after = {};
	struct said said;
	size_t i;

	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only --pin");
	ASSERT_EQ(0, view_info(self->control, &before));
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_RUN(CTL_ENV, &said, USER "memviewctl %s", commands[i]);
		EXPECT_SAYS(said.err, "not permitted: BPF needs CAP_SYS_ADMIN");
		EXPECT_SAYS(said.err, "Run it as root");
		EXPECT_STREQ("", said.out);
	}
	ASSERT_EQ(0, view_info(self->control, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(after)));
	EXPECT_EQ(1, json_object_array_length(ctl_json("policy list")));
	EXPECT_RUN(CTL_ENV, &said, USER "memviewctl doctor --json");
	EXPECT_BAD(&said, "privileges", "Run memviewctl as root");
	EXPECT_BAD(&said, "/dev/memory-view", "Give yourself access to it");
	EXPECT_BAD(&said, "programs", "bad above");
	EXPECT_GOOD(&said, "module");
	EXPECT_GOOD(&said, "bpffs");
	/* Help and mistakes need none. */
	EXPECT_RUN(0, &said, USER "memviewctl --help");
	EXPECT_RUN(CTL_USAGE, &said, USER "memviewctl lists");
}

/* All capabilities, of a namespace that does not count. */
TEST_F(ctl_env, in_a_container)
{
	struct json_object *list;
	struct said said;

	EXPECT_RUN(CTL_ENV, &said, "unshare -U -r memviewctl list");
	EXPECT_SAYS(said.err, "in the initial user namespace");
	EXPECT_RUN(CTL_ENV, &said, "unshare -U -r memviewctl doctor --json");
	EXPECT_BAD(&said, "privileges", "outside of containers");
	/* PIDs are the machine's: of others with the same number nothing is told. */
	ASSERT_RUN(0, &said, "unshare -p -f --mount-proc memviewctl list --json");
	list = json_tokener_parse(said.out);
	EXPECT_EQ(getpid(), get_u64(list, "/0/owner_pid"));
	EXPECT_STREQ("-", get_str(list, "/0/owner_comm"));
	ASSERT_RUN(0, &said, "unshare -p -f --mount-proc memviewctl show %llu",
		   (unsigned long long)ctl_view_id(self->control));
}

TEST_F(ctl_env, without_the_module)
{
	struct said said;
	size_t i;

	close(self->control);
	ASSERT_EQ(0, module_unload());
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		EXPECT_RUN(CTL_ENV, &said, "memviewctl %s", commands[i]);
		EXPECT_SAYS(said.err, "the module memview is not loaded");
		EXPECT_SAYS(said.err, "modprobe memview");
	}
	EXPECT_RUN(CTL_ENV, &said, "memviewctl doctor --json");
	EXPECT_BAD(&said, "module", "modprobe memview");
	EXPECT_BAD(&said, "module BTF", "Load the module.");
	EXPECT_BAD(&said, "/dev/memory-view", "Load the module.");
	EXPECT_BAD(&said, "programs", "bad above");
	EXPECT_GOOD(&said, "kernel BTF");
	EXPECT_GOOD(&said, "privileges");
	ASSERT_EQ(0, module_load());
	EXPECT_RUN(0, &said, "memviewctl doctor");
}

static void check_no_btf(struct __test_metadata *_metadata, const char *name, const char *message,
			 const char *check, const char *advice)
{
	struct said said;

	EXPECT_RUN(CTL_ENV, &said, ALONE "'mount --bind /dev/null /sys/kernel/btf/%s && "
		   "exec memviewctl list'", name);
	EXPECT_SAYS(said.err, message);
	EXPECT_SAYS(said.err, advice);
	EXPECT_RUN(CTL_ENV, &said, ALONE "'mount --bind /dev/null /sys/kernel/btf/%s && "
		   "exec memviewctl doctor --json'", name);
	EXPECT_BAD(&said, check, advice);
}

TEST_F(ctl_env, without_btf)
{
	check_no_btf(_metadata, "vmlinux", "this kernel has no BTF", "kernel BTF",
		     "CONFIG_DEBUG_INFO_BTF");
	check_no_btf(_metadata, "memview", "the module memview has no BTF", "module BTF", "pahole");
}

/* As a module that was built without pahole: the core works, the BPF half cannot. */
TEST_F(ctl_env, module_without_btf)
{
	struct said said;

	if (run(&said, "objcopy -R .BTF %s/module/memview.ko /tmp/memview.ko", build_dir()))
		SKIP(return, "missing: objcopy");
	close(self->control);
	ASSERT_EQ(0, module_unload());
	if (!run(&said, "insmod /tmp/memview.ko")) {
		EXPECT_RUN(CTL_ENV, &said, "memviewctl list");
		EXPECT_SAYS(said.err, "the module memview has no BTF");
		ASSERT_EQ(0, module_unload());
	} else {
		/* Or it does not load, and says so. */
		EXPECT_SAYS(said.err, "memview.ko");
	}
	unlink("/tmp/memview.ko");
	ASSERT_EQ(0, module_load());
}

TEST_F(ctl_env, without_bpffs)
{
	struct said said;
	struct job job;

	EXPECT_RUN(CTL_ENV, &said, ALONE "'umount /sys/fs/bpf && "
		   "exec memviewctl policy load deny-exec --pin'");
	EXPECT_SAYS(said.err, "there is no bpffs at /sys/fs/bpf");
	EXPECT_SAYS(said.err, "mount -t bpf");
	EXPECT_RUN(CTL_ENV, &said, ALONE "'umount /sys/fs/bpf && exec memviewctl doctor --json'");
	EXPECT_BAD(&said, "bpffs", "mount -t bpf");
	EXPECT_GOOD(&said, "programs");
	/* Nothing else needs it. */
	ASSERT_EQ(0, job_start(&job, "is attached", "exec " ALONE
			       "'umount /sys/fs/bpf && exec memviewctl policy load deny-exec'"));
	EXPECT_EQ(0, job_end(&job, SIGTERM, &said));
	EXPECT_EQ(0, policies_left());
}

TEST_F(ctl_env, locked_down)
{
	struct said said;

	if (access("/sys/kernel/security", F_OK))
		SKIP(return, "missing: /sys/kernel/security (CONFIG_SECURITYFS)");
	EXPECT_RUN(CTL_ENV, &said, ALONE "'mount -t tmpfs none /sys/kernel/security && "
		   "echo none integrity [confidentiality] >/sys/kernel/security/lockdown && "
		   "exec memviewctl doctor --json'");
	EXPECT_BAD(&said, "lockdown", "lockdown=confidentiality");
}

TEST_F(ctl_env, without_jit_or_policies)
{
	struct said said;

	EXPECT_RUN(CTL_ENV, &said, ALONE "'echo 0 >/tmp/off && "
		   "mount --bind /tmp/off /proc/sys/net/core/bpf_jit_enable && "
		   "exec memviewctl doctor --json'");
	EXPECT_BAD(&said, "BPF JIT", "sysctl net.core.bpf_jit_enable=1");
	EXPECT_RUN(CTL_ENV, &said, "MEMVIEW_BPF_DIR=/tmp memviewctl doctor --json");
	EXPECT_BAD(&said, "policies", "make install");
}

TEST_HARNESS_MAIN
