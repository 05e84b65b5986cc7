// SPDX-License-Identifier: GPL-2.0
/*
 * policy_token.c - P15: a BPF token, which lets a container load programs, is not
 * enough for policies and kfuncs: they reach the views of the whole machine
 */
#include "policy.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

/* The module's types, as whoever may have them passes them on to a container. */
static struct btf *btf;
static int btf_fd;

static int get_module_btf(void)
{
	struct bpf_btf_info info;
	char name[64];
	uint32_t id = 0, len;

	btf = btf__load_module_btf("memview", btf__load_vmlinux_btf());
	if (!btf)
		return -errno;
	while (!bpf_btf_get_next_id(id, &id)) {
		btf_fd = bpf_btf_get_fd_by_id(id);
		memset(&info, 0, sizeof(info));
		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		len = sizeof(info);
		if (btf_fd >= 0 && !bpf_btf_get_info_by_fd(btf_fd, &info, &len) &&
		    !strcmp(name, "memview"))
			return 0;
		close(btf_fd);
	}
	return -ENOENT;
}

static char log_text[64 * 1024];

/* 0, or a negative errno. A @token of 0 is none. */
static int load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t n,
		struct bpf_prog_load_opts *opts, int token)
{
	int fd;

	opts->log_buf = log_text;
	opts->log_size = sizeof(log_text);
	opts->log_level = 1;
	opts->token_fd = token;
	opts->prog_flags |= token ? BPF_F_TOKEN_FD : 0;
	log_text[0] = 0;
	fd = bpf_prog_load(type, "token_test", "GPL", insns, n, opts);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static struct bpf_insn call(const char *kfunc)
{
	return (struct bpf_insn){
		.code = BPF_JMP | BPF_CALL,
		.src_reg = BPF_PSEUDO_KFUNC_CALL,
		.off = 1,
		.imm = btf__find_by_name_kind(btf, kfunc, BTF_KIND_FUNC),
	};
}

/* Finds view 1, and lets go of it. */
static int load_kfuncs(int token)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = 1 },
		call("bpf_memview_acquire"),
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1, .src_reg = 0 },
		call("bpf_memview_release"),
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const int fds[2] = { 0, btf_fd };
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .fd_array = fds, .prog_flags = BPF_F_SLEEPABLE);

	return load(BPF_PROG_TYPE_SYSCALL, insns, ARRAY_SIZE(insns), &opts, token);
}

/* A program of a policy that lets everything in: its first one. */
static int load_policy(int token)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const struct btf_type *type;
	int id = btf__find_by_name_kind(btf, "memview_policy_ops", BTF_KIND_STRUCT), i;
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .attach_btf_id = id, .attach_btf_obj_fd = btf_fd);

	if (id < 0)
		return id;
	type = btf__type_by_id(btf, id);
	for (i = 0; i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), "map_fd"))
			opts.expected_attach_type = i;
	return load(BPF_PROG_TYPE_STRUCT_OPS, insns, ARRAY_SIZE(insns), &opts, token);
}

/* Something that needs nothing of this module. */
static int load_nothing(int token)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);

	return load(BPF_PROG_TYPE_SYSCALL, insns, ARRAY_SIZE(insns), &opts, token);
}

/* What a container can do with its token. */
struct result {
	int token, nothing, kfuncs, policy;
	char log[512];
};

static int make_token(int sock)
{
	int fs = syscall(SYS_fsopen, "bpf", 0), mount, root;
	char byte;

	if (fs < 0 || send_fd(sock, fs) || read(sock, &byte, 1) != 1)
		return -EIO;
	mount = syscall(SYS_fsmount, fs, 0, 0);
	if (mount < 0)
		return -errno;
	root = openat(mount, ".", O_RDWR | O_DIRECTORY);
	if (root < 0)
		root = openat(mount, ".", O_RDONLY | O_DIRECTORY);
	return root < 0 ? -errno : bpf_token_create(root, NULL);
}

static void contained(int sock, struct result *result)
{
	char byte = 0;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) || write(sock, &byte, 1) != 1 ||
	    read(sock, &byte, 1) != 1)
		_exit(1);
	result->token = make_token(sock);
	if (result->token < 0)
		_exit(2);
	result->nothing = load_nothing(result->token);
	result->policy = load_policy(result->token);
	result->kfuncs = load_kfuncs(result->token);
	snprintf(result->log, sizeof(result->log), "%.500s", log_text);
	_exit(0);
}

static int map_ids(pid_t pid)
{
	char path[64];
	int err;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	err = write_file(path, "0 0 1");
	snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
	return err ?: write_file(path, "0 0 1");
}

/* As the machine's administrator does for a container that may use BPF. */
static int delegate(int fs)
{
	static const char *const options[] = {
		"delegate_cmds", "delegate_maps", "delegate_progs", "delegate_attachs",
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, options[i], "any", 0))
			return -errno;
	return syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ? -errno : 0;
}

FIXTURE(token)
{
	struct klog klog;
};

FIXTURE_SETUP(token)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, get_module_btf());
}

FIXTURE_TEARDOWN(token)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Catches: a program of a container that finds, or decides for, views of others. */
TEST_F(token, is_not_enough)
{
	struct result *result = shared_alloc(sizeof(*result));
	int pair[2], status, fs;
	char byte = 0;
	pid_t pid;

	ASSERT_NE(NULL, result);
	/* Whoever has the capabilities themselves may load all of it. */
	ASSERT_EQ(0, load_nothing(0)) TH_LOG("%s", log_text);
	ASSERT_EQ(0, load_kfuncs(0)) TH_LOG("%s", log_text);
	ASSERT_EQ(0, load_policy(0)) TH_LOG("%s", log_text);

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		contained(pair[1], result);
	ASSERT_EQ(1, read(pair[0], &byte, 1));
	ASSERT_EQ(0, map_ids(pid));
	ASSERT_EQ(1, write(pair[0], &byte, 1));
	fs = recv_fd(pair[0]);
	ASSERT_LE(0, fs);
	ASSERT_EQ(0, delegate(fs));
	ASSERT_EQ(1, write(pair[0], &byte, 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status) TH_LOG("token: %d", result->token);
	EXPECT_EQ(0, result->nothing);
	EXPECT_EQ(-EACCES, result->kfuncs) TH_LOG("%s", result->log);
	EXPECT_EQ(-EACCES, result->policy);
}

static long attach_contained(struct recorder *r)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct bpf_link *link;

		if (unshare(CLONE_NEWUSER))
			_exit(255);
		_exit(-policy_attach(r->maps.policy, &link));
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

/* Nor is it to have been given one. */
TEST_F(token, policy_of_another_is_not_attached)
{
	struct recorder *r = recorder_new("contained", 0, 0);
	struct bpf_link *link;

	ASSERT_NE(NULL, r);
	EXPECT_EQ(-EPERM, attach_contained(r));
	ASSERT_EQ(0, policy_attach(r->maps.policy, &link));
	policy_detach(&link);
	recorder__destroy(r);
}

TEST_HARNESS_MAIN
