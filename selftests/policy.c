// SPDX-License-Identifier: GPL-2.0
/*
 * policy.c - what a policy is asked and told, and what becomes of its answers
 */
#include "policy.h"

#include "kfuncs.skel.h"
#include "verdicts.skel.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	7

FIXTURE(policy)
{
	struct klog klog;
	struct recorder *r;
	struct bpf_link *link;
	struct verdicts *v;
	int memfd;
	int control;
	u64 id;
};

FIXTURE_SETUP(policy)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->r = recorder_new("recorder", 0, 0);
	ASSERT_NE(NULL, self->r) TH_LOG("%s", strerror(errno));
	self->v = verdicts__open_and_load();
	ASSERT_NE(NULL, self->v);
	ASSERT_EQ(0, verdicts__attach(self->v));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->id = view_id(self->control);
}

FIXTURE_TEARDOWN(policy)
{
	policy_detach(&self->link);
	recorder__destroy(self->r);
	verdicts__destroy(self->v);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static const struct verdict *last_verdict(FIXTURE_DATA(policy) *self)
{
	static const struct verdict none;
	u32 n = self->v->bss->nr_verdicts;

	return n && n <= CALLS_MAX ? &self->v->bss->verdicts[n - 1] : &none;
}

/* ---- What is asked ---- */

TEST_F(policy, map_fd_sees_the_request)
{
	struct policy_call call;
	struct stat st;

	ASSERT_EQ(0, fstat(self->memfd, &st));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 3 * PAGE, 2 * PAGE, 5 * PAGE, MAP_RW));
	ASSERT_EQ(1, self->r->bss->nr_calls);
	call = recorder_call(self->r, CALL_MAP_FD, 0);
	EXPECT_EQ(self->id, call.view);
	EXPECT_EQ(MAP_RW, call.arg[0]);
	EXPECT_EQ(3 * PAGE, call.arg[1]);
	EXPECT_EQ(2 * PAGE, call.arg[2]);
	EXPECT_EQ(5 * PAGE, call.arg[3]);
	EXPECT_EQ(st.st_ino, call.arg[4]);
}

TEST_F(policy, malformed_is_not_asked)
{
	EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 0, 1, 0, MAP_R));
	EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 0, PAGE, 0, 0));
	EXPECT_EQ(-EBADF, view_map(self->control, -1, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(0, self->r->bss->nr_calls);
}

TEST_F(policy, mmap_sees_the_protection)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_RW, PROT_READ | PROT_EXEC };
	int viewfd = view_get_fd(self->control);
	struct policy_call call;
	unsigned int i;

	ASSERT_LE(0, viewfd);
	EXPECT_EQ(self->id, recorder_call(self->r, CALL_GET_VIEWFD, 0).view);
	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		ASSERT_NE(MAP_FAILED, view_mmap(viewfd, 3 * PAGE, prots[i], i * PAGE));
		call = recorder_call(self->r, CALL_MMAP, i);
		EXPECT_EQ(self->id, call.view);
		EXPECT_EQ(i * PAGE, call.arg[0]);
		EXPECT_EQ(3 * PAGE, call.arg[1]);
		EXPECT_EQ(prots[i], call.arg[2]);
	}
	EXPECT_EQ(ARRAY_SIZE(prots), self->r->bss->asked[CALL_MMAP]);
	/* A private mapping is refused before anybody is asked. */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, viewfd, 0));
	EXPECT_EQ(ARRAY_SIZE(prots), self->r->bss->asked[CALL_MMAP]);
}

/* ---- A refusal changes nothing ---- */

TEST_F(policy, memfd_only)
{
	static const enum source_kind kinds[] = { SOURCE_EXT4, SOURCE_TMPFS, SOURCE_XFS };
	struct view_info before = {}, after = {};
	unsigned int i, refused = 0;
	struct source src;

	self->r->bss->answer_no_memfd = EXPECT_POLICY_ERR;
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_info(self->control, &before));
	EXPECT_EQ(1, before.ranges);
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (source_open(&src, kinds[i], SIZE))
			continue;
		EXPECT_EQ(EXPECT_POLICY_ERR,
			  view_map(self->control, src.fd, 0, PAGE, PAGE, MAP_R))
			TH_LOG("%s", source_name(kinds[i]));
		EXPECT_EQ(EXPECT_POLICY_ERR, last_verdict(self)->verdict);
		source_close(&src);
		refused++;
	}
	EXPECT_LE(2, refused);
	ASSERT_EQ(0, view_info(self->control, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, PAGE, MAP_R));
	EXPECT_EQ(0, last_verdict(self)->verdict);
}

TEST_F(policy, map_fd_refused_keeps_the_pages)
{
	int other = memfd_filled(SIZE, FILE_ID + 1), viewfd;
	struct model model;
	char *mem;

	ASSERT_EQ(0, model_init(&model, PAGES));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	model_map(&model, 0, PAGES, FILE_ID, 0, MAP_RW);
	viewfd = view_get_fd(self->control);
	mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	recorder_answer(self->r, EXPECT_POLICY_ERR);
	EXPECT_EQ(EXPECT_POLICY_ERR, view_map(self->control, other, 0, SIZE, 0, MAP_R));
	EXPECT_LAYOUT(&model, self->control, mem);
	/* The source is not held: a seal would be refused if it were. */
	EXPECT_EQ(0, fcntl(other, F_ADD_SEALS, F_SEAL_WRITE));
	model_free(&model);
}

TEST_F(policy, get_viewfd_refused)
{
	struct view_info before = {}, after = {};
	int expected;

	expected = fcntl(0, F_DUPFD, 0);
	ASSERT_LE(0, expected);
	close(expected);
	ASSERT_EQ(0, view_info(self->control, &before));
	recorder_answer(self->r, EXPECT_POLICY_ERR);
	EXPECT_EQ(EXPECT_POLICY_ERR, view_get_fd(self->control));
	EXPECT_EQ(-1, fcntl(expected, F_GETFD));
	ASSERT_EQ(0, view_info(self->control, &after));
	EXPECT_EQ(0, memcmp(&before, &after, sizeof(before)));
	recorder_answer(self->r, 0);
	EXPECT_EQ(expected, view_get_fd(self->control));
}

TEST_F(policy, mmap_refused)
{
	int viewfd = view_get_fd(self->control);
	struct view_info info;
	char maps[32768];
	void *mem;

	ASSERT_LE(0, viewfd);
	recorder_answer(self->r, EXPECT_POLICY_ERR);
	errno = 0;
	EXPECT_EQ(MAP_FAILED, view_mmap(viewfd, SIZE, PROT_RW, 0));
	EXPECT_EQ(-EXPECT_POLICY_ERR, errno);
	ASSERT_EQ(0, view_info(viewfd, &info));
	EXPECT_EQ(0, info.mappings);
	ASSERT_LT(0, read_file("/proc/self/maps", maps, sizeof(maps)));
	EXPECT_EQ(NULL, strstr(maps, "memory-view"));
	recorder_answer(self->r, 0);
	mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	EXPECT_NE(MAP_FAILED, mem);
	/* Neither a new part of a mapping nor its copy is a question again. */
	recorder_answer(self->r, EXPECT_POLICY_ERR);
	EXPECT_EQ(0, mprotect(mem, PAGE, PROT_READ));
	EXPECT_EQ(0, munmap(mem, SIZE));
}

/* ---- Which answers count ---- */

FIXTURE(answers)
{
	struct klog klog;
	struct recorder *r;
	struct bpf_link *link;
	struct verdicts *v;
	int memfd;
	int control;
};

FIXTURE_VARIANT(answers)
{
	int answer;
	int verdict;
};

FIXTURE_VARIANT_ADD(answers, zero) { 0, 0 };
FIXTURE_VARIANT_ADD(answers, eperm) { -EPERM, -EPERM };
FIXTURE_VARIANT_ADD(answers, eacces) { -EACCES, -EACCES };
FIXTURE_VARIANT_ADD(answers, enospc) { -ENOSPC, -ENOSPC };
FIXTURE_VARIANT_ADD(answers, last_errno) { -EHWPOISON, -EHWPOISON };
FIXTURE_VARIANT_ADD(answers, one) { 1, -EACCES };
FIXTURE_VARIANT_ADD(answers, positive_errno) { EPERM, -EACCES };
FIXTURE_VARIANT_ADD(answers, huge) { INT_MAX, -EACCES };
FIXTURE_VARIANT_ADD(answers, no_errno) { -4096, -EACCES };
FIXTURE_VARIANT_ADD(answers, lowest) { INT_MIN, -EACCES };
/* The kernel's own, such as ERESTARTSYS: no program can know them. */
FIXTURE_VARIANT_ADD(answers, internal) { -512, -EACCES };
FIXTURE_VARIANT_ADD(answers, internal_last) { -531, -EACCES };

FIXTURE_SETUP(answers)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->r = recorder_new("answers", 0, 0);
	ASSERT_NE(NULL, self->r);
	self->v = verdicts__open_and_load();
	ASSERT_NE(NULL, self->v);
	ASSERT_EQ(0, verdicts__attach(self->v));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(answers)
{
	policy_detach(&self->link);
	recorder__destroy(self->r);
	verdicts__destroy(self->v);
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(answers, reach_the_caller)
{
	int viewfd = view_get_fd(self->control);
	u64 id = view_id(self->control);
	int results[POLICY_OPS];
	unsigned int op;
	void *mem;

	ASSERT_LE(0, viewfd);
	recorder_answer(self->r, variant->answer);
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	results[MEMVIEW_OP_MAP_FD] = view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R);
	results[MEMVIEW_OP_GET_VIEWFD] = view_get_fd(self->control);
	mem = view_mmap(viewfd, SIZE, PROT_READ, 0);
	results[MEMVIEW_OP_MMAP] = mem == MAP_FAILED ? -errno : 0;

	ASSERT_EQ(POLICY_OPS, self->v->bss->nr_verdicts);
	for (op = 0; op < POLICY_OPS; op++) {
		const struct verdict *v = &self->v->bss->verdicts[op];

		if (variant->verdict) {
			EXPECT_EQ(variant->verdict, results[op]) TH_LOG("op %u", op);
		} else {
			EXPECT_LE(0, results[op]) TH_LOG("op %u", op);
		}
		EXPECT_EQ(id, v->view);
		EXPECT_EQ(op, v->op);
		EXPECT_EQ(variant->answer, v->answer);
		EXPECT_EQ(variant->verdict, v->verdict);
		EXPECT_EQ(1, v->enforced);
		EXPECT_STREQ("answers", v->policy);
	}
}

/* ---- Notifications ---- */

#define EXPECT_UNMAP(n, offset_, size_)                                     \
	do {                                                                \
		struct policy_call call_ =                                  \
			recorder_call(self->r, CALL_UNMAP_FD, n);           \
									    \
		EXPECT_EQ(self->id, call_.view);                            \
		EXPECT_EQ(offset_, call_.arg[0]);                           \
		EXPECT_EQ(size_, call_.arg[1]);                             \
	} while (0)

TEST_F(policy, told_of_unmap)
{
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_unmap(self->control, 2 * PAGE, 3 * PAGE));
	EXPECT_EQ(1, self->r->bss->asked[CALL_UNMAP_FD]);
	EXPECT_UNMAP(0, 2 * PAGE, 3 * PAGE);
	EXPECT_EQ(-EINVAL, view_unmap(self->control, SIZE, PAGE));
	EXPECT_EQ(-EINVAL, view_unmap(self->control, 0, 1));
	EXPECT_EQ(1, self->r->bss->asked[CALL_UNMAP_FD]);
}

TEST_F(policy, told_of_shrink)
{
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_resize(self->control, 2 * SIZE));
	EXPECT_EQ(0, self->r->bss->asked[CALL_UNMAP_FD]);
	ASSERT_EQ(0, view_resize(self->control, 5 * PAGE));
	EXPECT_EQ(1, self->r->bss->asked[CALL_UNMAP_FD]);
	EXPECT_UNMAP(0, 5 * PAGE, 2 * SIZE - 5 * PAGE);
}

/* A page of which the view still has a part has not been taken away. */
TEST_F(policy, told_of_odd_shrink)
{
	struct view_info info;

	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_resize(self->control, 5 * PAGE + 1));
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(6 * PAGE, info.bytes);
	EXPECT_UNMAP(0, 6 * PAGE, SIZE - 6 * PAGE);
}

/* What takes nothing away is not told of. */
TEST_F(policy, not_told_of_nothing)
{
	struct kfuncs *k = kfuncs__open_and_load();

	ASSERT_NE(NULL, k);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, view_resize(self->control, SIZE - 1));
	ASSERT_EQ(0, view_resize(self->control, SIZE - PAGE + 1));
	EXPECT_EQ(0, self->r->bss->asked[CALL_UNMAP_FD]);
	ASSERT_EQ(0, view_resize(self->control, 0));
	EXPECT_EQ(1, self->r->bss->asked[CALL_UNMAP_FD]);
	EXPECT_UNMAP(0, 0, SIZE);
	ASSERT_EQ(0, view_resize(self->control, INT64_MAX));
	EXPECT_EQ(1, self->r->bss->asked[CALL_UNMAP_FD]);
	ASSERT_EQ(0, view_resize(self->control, 0));
	EXPECT_EQ(2, self->r->bss->asked[CALL_UNMAP_FD]);
	EXPECT_UNMAP(1, 0, 1ULL << 63);
	k->bss->id = self->id;
	ASSERT_EQ(0, run_program(k->progs.revoke));
	EXPECT_EQ(0, k->bss->result);
	EXPECT_EQ(2, self->r->bss->asked[CALL_UNMAP_FD]);
	kfuncs__destroy(k);
}

TEST_F(policy, told_of_revoke)
{
	struct kfuncs *k = kfuncs__open_and_load();
	struct policy_call call;

	ASSERT_NE(NULL, k);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	k->bss->id = self->id;
	k->bss->offset = 4 * PAGE;
	k->bss->size = 2 * PAGE;
	ASSERT_EQ(0, run_program(k->progs.revoke));
	EXPECT_EQ(0, k->bss->result);
	EXPECT_UNMAP(0, 4 * PAGE, 2 * PAGE);
	k->bss->offset = PAGE + 1;
	ASSERT_EQ(0, run_program(k->progs.revoke));
	EXPECT_EQ(-EINVAL, k->bss->result);
	EXPECT_EQ(1, self->r->bss->asked[CALL_UNMAP_FD]);

	/* All of the view: the span that the policy is told has all of it. */
	k->bss->offset = 0;
	k->bss->size = 0;
	ASSERT_EQ(0, run_program(k->progs.revoke));
	call = recorder_call(self->r, CALL_UNMAP_FD, 1);
	EXPECT_EQ(self->id, call.view);
	EXPECT_EQ(0, call.arg[0]);
	EXPECT_LE(SIZE, (u64)call.arg[1]);
	kfuncs__destroy(k);
}

TEST_F(policy, told_of_denial)
{
	struct recorder *other = recorder_new("other", 9, MEMVIEW_POLICY_AUDIT);
	int viewfd = view_get_fd(self->control);
	struct bpf_link *link;
	struct policy_call call;
	unsigned int op;

	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, policy_attach(other->maps.policy, &link));
	for (op = 0; op < POLICY_OPS; op++)
		self->r->bss->answers[op] = -(int)(ENODATA + op);
	EXPECT_EQ(-ENODATA, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	EXPECT_GT(0, view_get_fd(self->control));
	EXPECT_EQ(MAP_FAILED, view_mmap(viewfd, PAGE, PROT_READ, 0));
	for (op = 0; op < POLICY_OPS; op++) {
		call = recorder_call(self->r, CALL_DENIED, op);
		EXPECT_EQ(self->id, call.view);
		EXPECT_EQ(op, call.arg[0]);
		EXPECT_EQ(-(int)(ENODATA + op), call.arg[1]);
		/* Another's refusal, too. */
		call = recorder_call(other, CALL_DENIED, op);
		EXPECT_EQ(self->id, call.view);
		EXPECT_EQ(op, call.arg[0]);
		EXPECT_EQ(-(int)(ENODATA + op), call.arg[1]);
	}
	/* What is only audited has not been denied. */
	recorder_answer(self->r, 0);
	recorder_answer(other, EXPECT_POLICY_ERR);
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(POLICY_OPS, self->r->bss->asked[CALL_DENIED]);
	policy_detach(&link);
	recorder__destroy(other);
}

/* ---- The trace, as people read it ---- */

TEST_F(policy, verdict_in_the_trace)
{
	const char *dir = "/sys/kernel/tracing/instances/memview-policy";
	char path[128], text[16384], want[160];

	mkdir(dir, 0700);
	snprintf(path, sizeof(path), "%s/events/memview/memview_verdict/enable", dir);
	ASSERT_EQ(0, write_file(path, "1"));
	recorder_answer(self->r, 42);
	EXPECT_EQ(-EACCES, view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R));
	snprintf(want, sizeof(want),
		 "memview_verdict: view=%llu policy=recorder op=map_fd answer=42 verdict=%d enforced=1\n",
		 self->id, -EACCES);
	snprintf(path, sizeof(path), "%s/trace", dir);
	ASSERT_LT(0, read_file(path, text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, want)) TH_LOG("%s", want);
	snprintf(path, sizeof(path), "%s/events/memview/memview_verdict/enable", dir);
	EXPECT_EQ(0, write_file(path, "0"));
	EXPECT_EQ(0, rmdir(dir));
}

TEST_HARNESS_MAIN
