// SPDX-License-Identifier: GPL-2.0
/*
 * failnth_policy.c - P8 and P9 when memory is short, as failnth.c, where BPF comes
 * in: policies that are attached, replaced and asked, the iterators, and a revoke
 */
#include "policy.h"

#include "failnth.h"
#include "kfuncs.skel.h"
#include "lifetime.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	1
#define MANY	2000

FIXTURE(failnth_policy)
{
	struct klog klog;
	struct failnth f;
	struct recorder *old, *new;
	struct kfuncs *k;
	int memfd, control, viewfd;
	char *mem;
	struct model model;
	unsigned int nr_faults;
	char missing[128];
};

static int open_view(FIXTURE_DATA(failnth_policy) *self)
{
	int err = model_init(&self->model, PAGES);

	self->memfd = memfd_filled(SIZE, FILE_ID);
	self->control = view_create(SIZE);
	err = err ?: view_map(self->control, self->memfd, 0, 8 * PAGE, 0, MAP_RW);
	model_map(&self->model, 0, 8, FILE_ID, 0, MAP_RW);
	self->viewfd = view_get_fd(self->control);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	return err ?: self->mem == MAP_FAILED ? -errno : 0;
}

FIXTURE_SETUP(failnth_policy)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	if (failnth_open(&self->f, self->missing, sizeof(self->missing)))
		SKIP(return, "missing: %s", self->missing);
	libbpf_set_print(no_print);
	ASSERT_EQ(0, open_view(self));
	self->old = recorder_new("old", 1, 0);
	self->new = recorder_new("new", 1, 0);
	self->k = kfuncs__open_and_load();
	ASSERT_NE(NULL, self->old);
	ASSERT_NE(NULL, self->new);
	ASSERT_NE(NULL, self->k);
	recorder_answer(self->old, EXPECT_POLICY_ERR);
	recorder_answer(self->new, OTHER_ERR);
	self->k->bss->id = view_id(self->control);
}

FIXTURE_TEARDOWN(failnth_policy)
{
	if (self->f.fd >= 0) {
		recorder__destroy(self->old);
		recorder__destroy(self->new);
		kfuncs__destroy(self->k);
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
		failnth_close(&self->f);
	}
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* What a request gets, from the policy that is in force or from none. */
static int ask(FIXTURE_DATA(failnth_policy) *self)
{
	return view_map(self->control, self->memfd, 0, 8 * PAGE, 0, MAP_RW);
}

/*
 * For every n: @work with its n-th call failing, and what has come of it. The
 * loop ends when the work has no n-th call any more.
 */
#define FOR_EACH_FAILURE(f, injected, work)                                \
	for ((f)->n = 1, injected = true;                                  \
	     injected && (f)->n < MANY &&                                  \
	     (failnth_arm(f), (work), injected = failnth_disarm(f), true); \
	     (f)->n++)

/* There were some, and they came to an end. */
#define EXPECT_FAILURES(f)                                                 \
	do {                                                               \
		TH_LOG("%u faults", (f)->injected);                        \
		EXPECT_LT(0, (f)->injected);                               \
		EXPECT_GT(MANY, (f)->n);                                   \
	} while (0)

/*
 * A policy that could not be attached is asked nothing; one that could is.
 *
 * Catches: a policy that stays on the list; one that is counted and not there.
 */
TEST_F_TIMEOUT(failnth_policy, attach, 300)
{
	struct bpf_link *link;
	bool injected;
	int err;

	FOR_EACH_FAILURE(&self->f, injected,
			 err = policy_attach(self->old->maps.policy, &link)) {
		if (err) {
			EXPECT_TRUE(injected);
			EXPECT_EQ(0, ask(self));
			ASSERT_EQ(0, policy_attach(self->old->maps.policy, &link));
		}
		EXPECT_EQ(EXPECT_POLICY_ERR, ask(self));
		policy_detach(&link);
		EXPECT_EQ(0, ask(self));
		/* From the beginning, as the programs' images are kept. */
		recorder__destroy(self->old);
		self->old = recorder_new("old", 1, 0);
		ASSERT_NE(NULL, self->old);
		recorder_answer(self->old, EXPECT_POLICY_ERR);
	}
	EXPECT_FAILURES(&self->f);
}

/* One or the other is in force, whatever fails. */
TEST_F_TIMEOUT(failnth_policy, replace, 300)
{
	struct bpf_link *link, *new_link;
	bool injected;
	int err;

	/* Once, so that the new one is made: only what takes its place counts. */
	ASSERT_EQ(0, policy_attach(self->new->maps.policy, &new_link));
	policy_detach(&new_link);
	ASSERT_EQ(0, policy_attach(self->old->maps.policy, &link));
	FOR_EACH_FAILURE(&self->f, injected,
			 err = bpf_link__update_map(link, self->new->maps.policy)) {
		EXPECT_EQ(err ? EXPECT_POLICY_ERR : OTHER_ERR, ask(self));
		if (!err) {
			ASSERT_EQ(0, bpf_link__update_map(link, self->old->maps.policy));
		}
	}
	policy_detach(&link);
	EXPECT_FAILURES(&self->f);
}

/* With a policy that allows, and one that refuses, which is told of. */
static void map_all(struct __test_metadata *_metadata, FIXTURE_DATA(failnth_policy) *self,
		    int answer)
{
	struct bpf_link *link;
	struct view_info info;
	bool injected;
	char *mem;
	int err;

	ASSERT_EQ(0, policy_attach(self->old->maps.policy, &link));
	recorder_answer(self->old, answer);
	FOR_EACH_FAILURE(&self->f, injected,
			 (mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0), err = errno)) {
		if (mem != MAP_FAILED) {
			EXPECT_EQ(0, answer);
			munmap(mem, SIZE);
		} else {
			EXPECT_TRUE(injected || err == -answer);
		}
		ASSERT_EQ(0, view_info(self->control, &info));
		EXPECT_EQ(1, info.mappings);
	}
	policy_detach(&link);
	EXPECT_FAILURES(&self->f);
}

TEST_F_TIMEOUT(failnth_policy, mmap_allowed, 300)
{
	map_all(_metadata, self, 0);
}

TEST_F_TIMEOUT(failnth_policy, mmap_refused, 300)
{
	map_all(_metadata, self, EXPECT_POLICY_ERR);
}

TEST_F_TIMEOUT(failnth_policy, map_fd, 300)
{
	struct bpf_link *link;
	bool injected;
	int err;

	ASSERT_EQ(0, policy_attach(self->old->maps.policy, &link));
	recorder_answer(self->old, 0);
	FOR_EACH_FAILURE(&self->f, injected, err = ask(self)) {
		EXPECT_TRUE(!err || injected);
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
	}
	policy_detach(&link);
	EXPECT_FAILURES(&self->f);
}

/* A listing is whole, or says that it is not there. */
TEST_F_TIMEOUT(failnth_policy, iterators, 300)
{
	struct kfuncs__bss *b = self->k->bss;
	bool injected;
	int err;

	FOR_EACH_FAILURE(&self->f, injected, err = run_program(self->k->progs.list_ranges)) {
		EXPECT_TRUE(injected || !err);
		EXPECT_TRUE(err || (b->result == 0 && b->nr == 1));
	}
	FOR_EACH_FAILURE(&self->f, injected, err = run_program(self->k->progs.list_views)) {
		EXPECT_TRUE(injected || !err);
		EXPECT_TRUE(err || b->nr >= 1);
	}
	EXPECT_FAILURES(&self->f);
}

/* A revoke in the middle of a range needs memory: all of it goes, or nothing. */
TEST_F_TIMEOUT(failnth_policy, revoke, 300)
{
	struct kfuncs__bss *b = self->k->bss;
	bool injected;
	int err;

	b->offset = 2 * PAGE;
	b->size = 2 * PAGE;
	FOR_EACH_FAILURE(&self->f, injected,
			 (b->result = -EBUSY, err = run_program(self->k->progs.revoke))) {
		EXPECT_TRUE(injected || (!err && !b->result));
		/* What fails may also be the way back from a program that has run. */
		if (!b->result) {
			model_unmap(&self->model, 2, 2);
			EXPECT_LAYOUT(&self->model, self->control, self->mem);
			ASSERT_EQ(0, ask(self));
			model_map(&self->model, 0, 8, FILE_ID, 0, MAP_RW);
		} else {
			EXPECT_TRUE(err || b->result == -ENOMEM) TH_LOG("%d", b->result);
		}
		EXPECT_LAYOUT(&self->model, self->control, self->mem);
	}
	EXPECT_FAILURES(&self->f);
}

TEST_HARNESS_MAIN
