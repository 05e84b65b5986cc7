// SPDX-License-Identifier: GPL-2.0
/*
 * ctl_policy.c - memviewctl policy: load, list, show, watch and unload, and how
 * long a policy lives
 */
#include "ctl.h"

#define SIZE	(8 * PAGE)
#define PIN	"/sys/fs/bpf/memview/"
#define OBJ	"%s/selftests/"

FIXTURE(ctl_policy)
{
	struct klog klog;
	struct source file;
	int memfd, control;
	unsigned long long id;
};

FIXTURE_SETUP(ctl_policy)
{
	struct said said;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->file, SOURCE_EXT4, SIZE);
	self->memfd = memfd_filled(SIZE, 1);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->id = ctl_view_id(self->control);
	/* A test before this one may have died. */
	ASSERT_RUN(0, &said, "rm -f " PIN "*");
	ASSERT_EQ(0, policies_left());
}

FIXTURE_TEARDOWN(ctl_policy)
{
	struct said said;

	run(&said, "rm -f " PIN "*");
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int map_file(FIXTURE_DATA(ctl_policy) *self)
{
	return view_map(self->control, self->file.fd, 0, PAGE, 0, MAP_R);
}

static int map_memfd(FIXTURE_DATA(ctl_policy) *self)
{
	return view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R);
}

/* In the foreground: as long as the process, which ends at a signal, well. */
TEST_F(ctl_policy, foreground)
{
	struct json_object *list;
	struct said said;
	struct job job;

	ASSERT_EQ(0, map_file(self));
	ASSERT_EQ(0, job_start(&job, "is attached", "exec memviewctl policy load memfd-only"));
	EXPECT_EQ(-EACCES, map_file(self));
	EXPECT_EQ(0, map_memfd(self));
	list = ctl_json("policy list");
	ASSERT_EQ(1, json_object_array_length(list));
	EXPECT_STREQ("memfd-only", get_str(list, "/0/name"));
	EXPECT_STREQ("enforce", get_str(list, "/0/mode"));
	EXPECT_STREQ("map_fd", get_str(list, "/0/asked/0"));
	EXPECT_EQ(1, get_len(list, "/0/asked"));
	EXPECT_EQ(job.pid, get_u64(list, "/0/holder"));
	EXPECT_STREQ("", get_str(list, "/0/pin"));
	EXPECT_EQ(0, job_end(&job, SIGINT, &said));
	EXPECT_SAYS(said.out, "Ctrl-C ends it.");
	EXPECT_EQ(0, map_file(self));
}

/* Even if it does not get to say goodbye. */
TEST_F(ctl_policy, killed)
{
	struct said said;
	struct job job;

	ASSERT_EQ(0, job_start(&job, "is attached", "exec memviewctl policy load memfd-only"));
	EXPECT_EQ(-EACCES, map_file(self));
	EXPECT_EQ(128 + SIGKILL, job_end(&job, SIGKILL, &said));
	EXPECT_EQ(0, policies_left());
	EXPECT_EQ(0, map_file(self));
}

TEST_F(ctl_policy, unloaded_by_somebody_else)
{
	struct said said;
	struct job job;

	ASSERT_EQ(0, job_start(&job, "is attached", "exec memviewctl policy load memfd-only"));
	ASSERT_RUN(0, &said, "memviewctl policy unload memfd-only");
	EXPECT_SAYS(said.out, "Policy memfd-only is unloaded (link ");
	EXPECT_EQ(0, map_file(self));
	EXPECT_EQ(CTL_FAILED, job_end(&job, 0, &said));
	EXPECT_SAYS(said.err, "policy memfd-only was unloaded by somebody else");
}

/* Pinned: without the process. */
TEST_F(ctl_policy, pinned)
{
	struct json_object *json;
	struct said said;

	json = ctl_json("policy load memfd-only --pin --name mine.1 --priority 7 --set error=51");
	EXPECT_STREQ("mine.1", get_str(json, "/attached"));
	EXPECT_STREQ(PIN "mine_1", get_str(json, "/pinned"));
	EXPECT_EQ(-51, map_file(self));
	EXPECT_EQ(0, map_memfd(self));
	json = ctl_json("policy list");
	EXPECT_EQ(1, json_object_array_length(json));
	EXPECT_STREQ("mine.1", get_str(json, "/0/name"));
	EXPECT_EQ(7, get_u64(json, "/0/priority"));
	EXPECT_STREQ(PIN "mine_1", get_str(json, "/0/pin"));
	EXPECT_STREQ("", get_str(json, "/0/holder"));
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy load deny-exec --pin --name mine.1");
	EXPECT_SAYS(said.err, "a policy mine.1 is pinned already");
	EXPECT_EQ(-51, map_file(self));
	json = ctl_json("policy unload mine.1");
	EXPECT_STREQ("mine.1", get_str(json, "/unloaded"));
	EXPECT_NE(0, access(PIN "mine_1", F_OK));
	EXPECT_EQ(0, map_file(self));
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy unload mine.1");
	EXPECT_SAYS(said.err, "no policy 'mine.1' is attached");
}

struct loop {
	FIXTURE_DATA(ctl_policy) *self;
	volatile bool end;
	unsigned long refused, let_through, other;
};

static void *ask(void *arg)
{
	struct loop *loop = arg;

	while (!loop->end) {
		int err = map_file(loop->self);

		loop->refused += err == -EACCES || err == -51;
		loop->let_through += !err;
		loop->other += err && err != -EACCES && err != -51;
	}
	return NULL;
}

/* While requests come: there is always one of them to answer. */
TEST_F(ctl_policy, replaced)
{
	struct loop loop = { .self = self };
	struct json_object *json;
	struct said said;
	pthread_t thread;
	uint64_t link;
	int i;

	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only --pin");
	link = get_u64(ctl_json("policy list"), "/0/link");
	ASSERT_EQ(0, pthread_create(&thread, NULL, ask, &loop));
	for (i = 0; i < 6; i++)
		EXPECT_RUN(0, &said, "memviewctl policy load memfd-only --pin --replace --set error=%d",
			   i % 2 ? 13 : 51);
	EXPECT_RUN(0, &said, "memviewctl policy load memfd-only --pin --replace --set error=51");
	loop.end = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0, loop.refused);
	EXPECT_EQ(0, loop.let_through);
	EXPECT_EQ(0, loop.other);
	EXPECT_EQ(-51, map_file(self));
	json = ctl_json("policy list");
	EXPECT_EQ(1, json_object_array_length(json));
	EXPECT_EQ(link, get_u64(json, "/0/link"));
	/* One that cannot be loaded leaves the old one alone. */
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy load " OBJ "ctl_rejected.bpf.o --pin "
		   "--replace --name memfd-only", build_dir());
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy load " OBJ "ctl_flags.bpf.o --pin "
		   "--replace --name memfd-only", build_dir());
	EXPECT_EQ(-51, map_file(self));
	EXPECT_RUN(0, &said, "memviewctl policy unload memfd-only");
	EXPECT_EQ(0, map_file(self));
}

/* The record alone. */
TEST_F(ctl_policy, audit)
{
	struct json_object *json;
	struct said said;
	struct job job;

	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only --audit --pin");
	EXPECT_SAYS(said.out, "audit only");
	ASSERT_EQ(0, job_start(&job, "watching", "exec memviewctl events -j -e verdict --count 2"));
	EXPECT_EQ(0, map_file(self));
	EXPECT_EQ(0, map_memfd(self));
	ASSERT_EQ(0, job_end(&job, 0, &said));
	json = json_lines(said.out);
	EXPECT_EQ(2, count_of(json, "policy", "memfd-only"));
	EXPECT_EQ(1, count_of(json, "verdict", "EACCES"));
	EXPECT_EQ(1, count_of(json, "verdict", "allow"));
	EXPECT_EQ(2, count_of(json, "enforced", "false"));
	EXPECT_EQ(2, count_of(json, "op", "map_fd"));
	json = ctl_json("policy show memfd-only");
	EXPECT_STREQ("audit", get_str(json, "/policy/mode"));
	ASSERT_RUN(0, &said, "memviewctl policy unload memfd-only");
}

/* The first in the order is the one whose errno counts. */
TEST_F(ctl_policy, order)
{
	struct json_object *json;
	struct said said;

	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only -P -n second -p 20 -s error=52");
	EXPECT_EQ(-52, map_file(self));
	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only -P -n first -p 10 -s error=51");
	EXPECT_EQ(-51, map_file(self));
	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only -P -n third -p 30 -s error=53");
	EXPECT_EQ(-51, map_file(self));
	json = ctl_json("policy list");
	EXPECT_STREQ("first", get_str(json, "/0/name"));
	EXPECT_STREQ("second", get_str(json, "/1/name"));
	EXPECT_STREQ("third", get_str(json, "/2/name"));
	ASSERT_RUN(0, &said, "memviewctl policy unload %llu",
		   (unsigned long long)get_u64(json, "/0/link"));
	EXPECT_EQ(-52, map_file(self));
	/* Of two with one name, the link says which. */
	ASSERT_RUN(0, &said, "rm " PIN "third && memviewctl policy load memfd-only -P -n third");
	ASSERT_RUN(0, &said, "rm " PIN "second " PIN "third");
	EXPECT_EQ(0, policies_left());
}

TEST_F(ctl_policy, show)
{
	struct json_object *show, *config, *row;
	struct said said;
	const char *lacks;

	ASSERT_RUN(0, &said, "memviewctl policy load " OBJ "ctl_settings.bpf.o --pin "
		   "--set a_bool=no --set a_u8=255 --set a_s8=-128 --set a_u16=1K --set a_s32=-1G "
		   "--set a_u64=0xffffffffffffffff --set a_s64=-9223372036854775808 "
		   "--set a_string=seven77", build_dir());
	EXPECT_EQ(-51, map_memfd(self));
	show = ctl_json("policy show settings");
	ASSERT_NE(NULL, show);
	EXPECT_STREQ("settings", get_str(show, "/policy/name"));
	EXPECT_STREQ("map_fd", get_str(show, "/programs/0/callback"));
	config = json_object_object_get(show, "config");
	row = pick_nth(config, "key", "a_bool", 0);
	EXPECT_STREQ("false", get_str(row, "/value"));
	EXPECT_EQ(255, get_u64(pick_nth(config, "key", "a_u8", 0), "/value"));
	EXPECT_STREQ("-128", get_str(pick_nth(config, "key", "a_s8", 0), "/value"));
	EXPECT_EQ(1024, get_u64(pick_nth(config, "key", "a_u16", 0), "/value"));
	EXPECT_STREQ("-1073741824", get_str(pick_nth(config, "key", "a_s32", 0), "/value"));
	EXPECT_EQ(~0ULL, get_u64(pick_nth(config, "key", "a_u64", 0), "/value"));
	EXPECT_STREQ("-9223372036854775808",
		     get_str(pick_nth(config, "key", "a_s64", 0), "/value"));
	EXPECT_STREQ("seven77", get_str(pick_nth(config, "key", "a_string", 0), "/value"));
	EXPECT_STREQ("asked", get_str(show, "/state/0/key"));
	EXPECT_EQ(1, get_u64(show, "/state/0/value"));
	ASSERT_RUN(0, &said, "memviewctl policy show settings");
	lacks = text_lacks(said.out, show, "");
	EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, said.out);
	ASSERT_RUN(0, &said, "memviewctl policy list");
	lacks = text_lacks(said.out, ctl_json("policy list"), "");
	EXPECT_EQ(NULL, lacks) TH_LOG("%s is not in %s", lacks, said.out);
	ASSERT_RUN(0, &said, "memviewctl policy unload settings");
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy watch settings");
}

/* What is no value is refused, by its key and with what the key takes. */
TEST_F(ctl_policy, bad_settings)
{
	static const struct {
		const char *setting, *takes;
	} bad[] = {
		{ "a_bool=maybe", "true or false" },	{ "a_u8=256", "a number of 8 bits" },
		{ "a_u8=-1", "a number of 8 bits" },	{ "a_s8=128", "a signed number of 8 bits" },
		{ "a_s8=-129", "a signed number" },	{ "a_u16=65536", "a number of 16 bits" },
		{ "a_s32=2G", "a signed number of 32" }, { "a_u64=16777216T", "a number of 64 bits" },
		{ "a_u64=", "a number of 64 bits" },	{ "a_u64=1x", "a number of 64 bits" },
		{ "a_s64=9223372036854775808", "a signed number of 64 bits" },
		{ "a_string=eight888", "a string of up to 7 bytes" },
		{ "a_boo=1", "a_string=text (a string of up to 7 bytes)" },
		{ "asked=1", "It has:" },		{ "_license=x", "It has:" },
	};
	struct said said;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_RUN(CTL_USAGE, &said,
			   "memviewctl policy load " OBJ "ctl_settings.bpf.o --pin --set %s",
			   build_dir(), bad[i].setting);
		EXPECT_SAYS(said.err, bad[i].takes);
	}
	EXPECT_EQ(0, policies_left());
}

/* What is no policy is refused, with the reason, and nothing is left behind. */
TEST_F(ctl_policy, wrong_objects)
{
	static const struct {
		const char *object, *why, *what_to_do;
	} wrong[] = {
		{ "selftests/nothing.bpf.o", "cannot open", "No such file" },
		{ "bin/memviewctl", "cannot open", "as a BPF object" },
		{ "selftests/../../../Makefile", "cannot open", "as a BPF object" },
		{ "bpf/events.bpf.o", "is a BPF object, but not a policy", ".struct_ops.link" },
		{ "selftests/ctl_other.bpf.o", "is a BPF object, but not a policy",
		  "memview_policy_ops" },
		{ "selftests/ctl_two.bpf.o", "holds 2 policies, not one", "its own object" },
		{ "selftests/ctl_nolink.bpf.o", "is in SEC(\".struct_ops\")", ".struct_ops.link" },
		{ "selftests/ctl_nameless.bpf.o", "has no name", "--name NAME" },
		{ "selftests/ctl_flags.bpf.o", "cannot ", "Invalid argument" },
	};
	struct said said;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy load %s/%s --pin", build_dir(),
			   wrong[i].object);
		EXPECT_SAYS(said.err, wrong[i].why);
		EXPECT_SAYS(said.err, wrong[i].what_to_do);
	}
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy load no-such");
	EXPECT_SAYS(said.err, "there is no policy 'no-such'");
	EXPECT_SAYS(said.err, "MEMVIEW_BPF_DIR");
	EXPECT_RUN(CTL_FAILED, &said, "MEMVIEW_BPF_DIR=/tmp memviewctl policy load deny-exec");
	EXPECT_EQ(0, policies_left());
	ASSERT_RUN(0, &said, "memviewctl policy load " OBJ "ctl_nameless.bpf.o -P -n named",
		   build_dir());
	EXPECT_EQ(-51, map_memfd(self));
	ASSERT_RUN(0, &said, "memviewctl policy unload named");
}

/* Of what the verifier says, the part that matters. */
TEST_F(ctl_policy, verifier)
{
	struct said said;

	EXPECT_RUN(CTL_FAILED, &said, "memviewctl policy load " OBJ "ctl_rejected.bpf.o",
		   build_dir());
	EXPECT_SAYS(said.err, "The verifier refuses program map_fd:");
	EXPECT_SAYS(said.err, "bpf_memview_release(view);");
	EXPECT_SAYS(said.err, "call bpf_memview_release");
	EXPECT_SAYS(said.err, "memviewctl --debug");
	EXPECT_GT(800, strlen(said.err)) TH_LOG("%s", said.err);
	EXPECT_RUN(CTL_FAILED, &said, "memviewctl --debug policy load " OBJ "ctl_rejected.bpf.o",
		   build_dir());
	EXPECT_SAYS(said.err, "BEGIN PROG LOAD LOG");
}

/*
 * What memviewctl(8) says of bpftool: it may die, but what it leaves attached is seen and unloaded as
 * any other policy, and its commands on links work.
 */
TEST_F(ctl_policy, loaded_by_bpftool)
{
	struct json_object *list;
	struct said said;
	char link[64];

	ASSERT_RUN(0, &said, "mkdir -p " PIN);
	run(&said, "bpftool struct_ops register %s/bpf/policy_memfd_only.bpf.o " PIN, build_dir());
	EXPECT_EQ(-EACCES, map_file(self));
	list = ctl_json("policy list");
	ASSERT_EQ(1, json_object_array_length(list));
	EXPECT_STREQ("memfd-only", get_str(list, "/0/name"));
	EXPECT_STREQ(PIN "memfd_only", get_str(list, "/0/pin"));
	snprintf(link, sizeof(link), "%llu: struct_ops",
		 (unsigned long long)get_u64(list, "/0/link"));
	EXPECT_RUN(0, &said, "bpftool link show");
	EXPECT_SAYS(said.out, link);
	EXPECT_RUN(0, &said, "memviewctl policy unload memfd-only");
	EXPECT_NE(0, access(PIN "memfd_only", F_OK));
	EXPECT_EQ(0, map_file(self));
	ASSERT_RUN(0, &said, "memviewctl policy load memfd-only --pin");
	EXPECT_RUN(0, &said, "bpftool link detach id %llu",
		   (unsigned long long)get_u64(ctl_json("policy list"), "/0/link"));
	EXPECT_EQ(0, map_file(self));
}

/* Objects are not bound to the kernel that they were compiled for. */
TEST_F(ctl_policy, built_for_another_kernel)
{
	static const char *const names[] = { "deny-exec", "memfd-only", "sealed-only",
					     "quota", "allow-path", "audit-all" };
	char krel[128], command[256];
	struct said said;
	size_t i;

	snprintf(command, sizeof(command), "ls -d %s/build/*/bpf | grep -v \"/$(uname -r)/\"",
		 top_dir());
	if (run(&said, "%s", command))
		SKIP(return, "missing: build/ of another kernel");
	snprintf(krel, sizeof(krel), "%.*s", (int)strcspn(said.out, "\n"), said.out);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		EXPECT_RUN(0, &said, "MEMVIEW_BPF_DIR=%s memviewctl policy load %s --pin", krel,
			   names[i]);
	}
	EXPECT_EQ(-EACCES, map_file(self));
	EXPECT_EQ(-EACCES, map_memfd(self));
	ASSERT_RUN(0, &said, "rm " PIN "*");
	EXPECT_EQ(0, policies_left());
	EXPECT_RUN(0, &said, "%s/../bin/memviewctl list", krel);
	EXPECT_RUN(0, &said, "%s/../bin/memviewctl events --duration 0.1", krel);
	EXPECT_RUN(0, &said, "%s/../bin/memviewctl hist --duration 0.1", krel);
	EXPECT_RUN(0, &said, "%s/../bin/memviewctl show %llu", krel, self->id);
}

TEST_HARNESS_MAIN
