// SPDX-License-Identifier: GPL-2.0
/*
 * policy_batch.c - a policy is asked about each map of a batch before anything
 * is done, and its refusal of one refuses all
 *
 * Catches: an entry that nobody is asked about, or after another is done; unmaps
 * that are told of and not done, or done and not told of.
 */
#include "policy.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	11
#define NR	6 /* entries: maps and unmaps in turn, of two pages each */
#define MAPS	(NR / 2)

FIXTURE(policy_batch)
{
	struct klog klog;
	struct recorder *r;
	struct bpf_link *link;
	struct model model;
	struct view_info before;
	struct memview_batch_op ops[NR + 1];
	int memfd;
	int control;
	char *mem;
};

FIXTURE_SETUP(policy_batch)
{
	unsigned int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	self->r = recorder_new("recorder", 0, 0);
	ASSERT_NE(NULL, self->r) TH_LOG("%s", strerror(errno));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_R));
	model_map(&self->model, 0, PAGES, FILE_ID, 0, MAP_R);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	ASSERT_EQ(0, view_info(self->control, &self->before));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	for (i = 0; i < NR; i++)
		self->ops[i] = i % 2 ? batch_unmap(i * 2 * PAGE, 2 * PAGE) :
				       batch_map(self->memfd, i * PAGE, 2 * PAGE, i * 2 * PAGE,
						 MAP_RW);
}

FIXTURE_TEARDOWN(policy_batch)
{
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	policy_detach(&self->link);
	recorder__destroy(self->r);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void expect_done(FIXTURE_DATA(policy_batch) *self)
{
	unsigned int i;

	for (i = 0; i < NR; i++) {
		if (i % 2)
			model_unmap(&self->model, i * 2, 2);
		else
			model_map(&self->model, i * 2, 2, FILE_ID, i, MAP_RW);
	}
}

/* All maps, in their order; then all unmaps, in theirs. */
TEST_F(policy_batch, asked_of_all_then_told)
{
	struct policy_call call;
	unsigned int i;

	EXPECT_EQ(0, view_batch(self->control, self->ops, NR, NULL));
	ASSERT_EQ(NR, self->r->bss->nr_calls);
	for (i = 0; i < NR; i++) {
		call = self->r->bss->calls[i];
		EXPECT_EQ(i < MAPS ? CALL_MAP_FD : CALL_UNMAP_FD, call.kind);
	}
	for (i = 0; i < MAPS; i++) {
		call = recorder_call(self->r, CALL_MAP_FD, i);
		EXPECT_EQ(MAP_RW, call.arg[0]);
		EXPECT_EQ(2 * i * PAGE, call.arg[1]);
		EXPECT_EQ(2 * PAGE, call.arg[2]);
		EXPECT_EQ(4 * i * PAGE, call.arg[3]);
		call = recorder_call(self->r, CALL_UNMAP_FD, i);
		EXPECT_EQ((4 * i + 2) * PAGE, call.arg[0]);
		EXPECT_EQ(2 * PAGE, call.arg[1]);
	}
	expect_done(self);
}

/* The first, the one in the middle, the last. */
TEST_F(policy_batch, one_refusal_refuses_all)
{
	struct view_info info;
	uint32_t failed;
	unsigned int i;

	for (i = 0; i < NR; i += 2) {
		recorder_clear(self->r);
		self->r->bss->answer_at = EXPECT_POLICY_ERR;
		self->r->bss->answer_at_offset = i * 2 * PAGE;
		EXPECT_EQ(EXPECT_POLICY_ERR, view_batch(self->control, self->ops, NR, &failed));
		EXPECT_EQ(i, failed);
		/* Nobody is asked after a refusal; nothing was taken away. */
		EXPECT_EQ(i / 2 + 1, self->r->bss->asked[CALL_MAP_FD]);
		EXPECT_EQ(1, self->r->bss->asked[CALL_DENIED]);
		EXPECT_EQ(0, self->r->bss->asked[CALL_UNMAP_FD]);
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
		ASSERT_EQ(0, view_info(self->control, &info));
		EXPECT_EQ(self->before.changes, info.changes);
		EXPECT_EQ(self->before.zaps, info.zaps);
	}
	self->r->bss->answer_at = 0;
	EXPECT_EQ(0, view_batch(self->control, self->ops, NR, &failed));
	EXPECT_EQ(NR, failed);
	expect_done(self);
}

TEST_F(policy_batch, malformed_is_not_asked)
{
	uint32_t failed;

	self->ops[NR] = batch_unmap(0, 1);
	EXPECT_EQ(-EINVAL, view_batch(self->control, self->ops, NR + 1, &failed));
	EXPECT_EQ(NR, failed);
	EXPECT_EQ(0, self->r->bss->nr_calls);
	self->ops[NR] = batch_map(-1, 0, PAGE, 0, MAP_R);
	EXPECT_EQ(-EBADF, view_batch(self->control, self->ops, NR + 1, &failed));
	EXPECT_EQ(0, self->r->bss->nr_calls);
}

/* What fails after all were asked takes nothing away, and tells of nothing. */
TEST_F(policy_batch, fails_after_all_were_asked)
{
	uint32_t failed;
	int pipes[2];

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	self->ops[NR] = batch_map(pipes[0], 0, PAGE, 0, MAP_R);
	EXPECT_EQ(-EOPNOTSUPP, view_batch(self->control, self->ops, NR + 1, &failed));
	EXPECT_EQ(NR, failed);
	EXPECT_EQ(MAPS + 1, self->r->bss->asked[CALL_MAP_FD]);
	EXPECT_EQ(0, self->r->bss->asked[CALL_UNMAP_FD]);
}

TEST_HARNESS_MAIN
