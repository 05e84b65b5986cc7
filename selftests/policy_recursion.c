// SPDX-License-Identifier: GPL-2.0
/*
 * policy_recursion.c - a policy cannot revoke while it is told that a span was
 * taken away: it would be told again, until the stack is used up
 */
#include "policy.h"

#include "reentry.skel.h"

#define PAGES		16
#define SIZE		(PAGES * PAGE)
#define DO_REVOKE	(1 << 0)
#define DO_REVOKE_ALL	(1 << 3)

FIXTURE(recursion)
{
	struct klog klog;
	struct reentry *p;
	struct bpf_link *link;
	int control;
};

FIXTURE_SETUP(recursion)
{
	int memfd = memfd_filled(SIZE, 1);

	ASSERT_EQ(0, klog_start(&self->klog));
	self->p = reentry__open_and_load();
	ASSERT_NE(NULL, self->p);
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, memfd, 0, SIZE, 0, MAP_RW));
	ASSERT_EQ(0, policy_attach(self->p->maps.policy, &self->link));
}

FIXTURE_TEARDOWN(recursion)
{
	policy_detach(&self->link);
	reentry__destroy(self->p);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void check_refused(struct __test_metadata *_metadata, FIXTURE_DATA(recursion) *self, u32 what)
{
	struct view_info info;

	self->p->bss->in_unmap_fd = what;
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(1, self->p->bss->calls);
	EXPECT_EQ(-EDEADLK, self->p->bss->err);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(SIZE - PAGE, info.bytes);
	/* Not only the first time. */
	EXPECT_EQ(0, view_unmap(self->control, 0, SIZE));
	EXPECT_EQ(2, self->p->bss->calls);
	EXPECT_EQ(-EDEADLK, self->p->bss->err);
}

TEST_F(recursion, of_the_same_view)
{
	check_refused(_metadata, self, DO_REVOKE);
}

TEST_F(recursion, of_all_views)
{
	check_refused(_metadata, self, DO_REVOKE_ALL);
}

TEST_HARNESS_MAIN
