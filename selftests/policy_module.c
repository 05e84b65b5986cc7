// SPDX-License-Identifier: GPL-2.0
/*
 * policy_module.c - P9: the module cannot go while a program of a policy or a
 * program that calls it is there, and goes when they are gone
 */
#include "policy.h"

#include "kfuncs.skel.h"

/* Programs are let go of some time after their last user. */
static int unload_soon(void)
{
	int i, err;

	for (i = 0; i < 600; i++) {
		err = memview_unload();
		if (!err)
			return 0;
		sleep_ms(100);
	}
	return err;
}

FIXTURE(module)
{
	struct klog klog;
	int file;
};

FIXTURE_SETUP(module)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->file = memview_open_module();
	if (self->file < 0)
		SKIP(return, "missing: ../module/memview.ko beside the test");
}

/* Whatever has happened, the next test finds the module. */
FIXTURE_TEARDOWN(module)
{
	if (syscall(SYS_finit_module, self->file, "", 0))
		EXPECT_EQ(EEXIST, errno);
	EXPECT_EQ(0, access(MEMVIEW_DEV, R_OK | W_OK));
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void check_gone_and_back(struct __test_metadata *_metadata, FIXTURE_DATA(module) *self)
{
	EXPECT_EQ(0, unload_soon());
	EXPECT_NE(0, access(MEMVIEW_DEV, F_OK));
	EXPECT_EQ(0, syscall(SYS_finit_module, self->file, "", 0));
}

TEST_F(module, attached_policy_keeps_it)
{
	struct recorder *r = recorder_new("keeps", 0, 0);
	struct bpf_link *link;

	ASSERT_NE(NULL, r);
	ASSERT_EQ(0, policy_attach(r->maps.policy, &link));
	EXPECT_EQ(-EAGAIN, memview_unload());
	recorder_answer(r, EXPECT_POLICY_ERR);
	EXPECT_EQ(EXPECT_POLICY_ERR, view_get_fd(view_create(PAGE)));
	policy_detach(&link);
	/* Its programs still call kfuncs. */
	EXPECT_EQ(-EAGAIN, memview_unload());
	recorder__destroy(r);
}

TEST_F(module, goes_after_a_policy)
{
	struct recorder *r = recorder_new("gone", 0, 0);
	struct bpf_link *link;

	ASSERT_NE(NULL, r);
	ASSERT_EQ(0, policy_attach(r->maps.policy, &link));
	policy_detach(&link);
	recorder__destroy(r);
	check_gone_and_back(_metadata, self);
	/* And a policy of the new module is asked. */
	r = recorder_new("again", 0, 0);
	ASSERT_NE(NULL, r);
	ASSERT_EQ(0, policy_attach(r->maps.policy, &link));
	recorder_answer(r, EXPECT_POLICY_ERR);
	EXPECT_EQ(EXPECT_POLICY_ERR, view_get_fd(view_create(PAGE)));
	policy_detach(&link);
	recorder__destroy(r);
}

TEST_F(module, program_keeps_it)
{
	struct kfuncs *k = kfuncs__open_and_load();

	ASSERT_NE(NULL, k);
	EXPECT_EQ(-EAGAIN, memview_unload());
	EXPECT_EQ(0, run_program(k->progs.list_views));
	kfuncs__destroy(k);
	check_gone_and_back(_metadata, self);
}

TEST_HARNESS_MAIN
