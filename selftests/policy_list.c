// SPDX-License-Identifier: GPL-2.0
/*
 * policy_list.c - several policies: their order, the audit flag, and which
 * policies the kernel does not take
 */
#include "policy.h"

#include "small.skel.h"
#include "verdicts.skel.h"

#define SIZE	(4 * PAGE)
#define FILE_ID	7
#define FIRST	(-ENODATA)
#define SECOND	(-ENOSTR)

FIXTURE(list)
{
	struct klog klog;
	struct recorder *a, *b;
	struct bpf_link *link_a, *link_b;
	struct verdicts *v;
	int memfd;
	int control;
};

FIXTURE_SETUP(list)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->v = verdicts__open_and_load();
	ASSERT_NE(NULL, self->v);
	ASSERT_EQ(0, verdicts__attach(self->v));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(list)
{
	policy_detach(&self->link_a);
	policy_detach(&self->link_b);
	recorder__destroy(self->a);
	recorder__destroy(self->b);
	verdicts__destroy(self->v);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int load_two(FIXTURE_DATA(list) *self, u32 priority_a, u32 flags_a, u32 priority_b,
		    u32 flags_b)
{
	self->a = recorder_new("policy-a", priority_a, flags_a);
	self->b = recorder_new("policy.b_2", priority_b, flags_b);
	return self->a && self->b ? 0 : -errno;
}

static int attach_a(FIXTURE_DATA(list) *self)
{
	return policy_attach(self->a->maps.policy, &self->link_a);
}

static int attach_b(FIXTURE_DATA(list) *self)
{
	return policy_attach(self->b->maps.policy, &self->link_b);
}

static int map_page(FIXTURE_DATA(list) *self)
{
	return view_map(self->control, self->memfd, 0, PAGE, 0, MAP_R);
}

static u64 asked(struct recorder *r)
{
	return r->bss->asked[CALL_MAP_FD];
}

/*
 * Both refuse; @winner's errno is the answer, the other is not asked. Then
 * only the other does, and only the one.
 */
static void check_order(struct __test_metadata *_metadata, FIXTURE_DATA(list) *self,
			struct recorder *winner, struct recorder *other)
{
	recorder_answer(winner, FIRST);
	recorder_answer(other, SECOND);
	EXPECT_EQ(FIRST, map_page(self));
	EXPECT_EQ(1, asked(winner));
	EXPECT_EQ(0, asked(other));
	EXPECT_EQ(1, self->v->bss->nr_verdicts);
	recorder_answer(winner, 0);
	EXPECT_EQ(SECOND, map_page(self));
	EXPECT_EQ(2, asked(winner));
	EXPECT_EQ(1, asked(other));
	EXPECT_EQ(3, self->v->bss->nr_verdicts);
	recorder_answer(other, 0);
	EXPECT_EQ(0, map_page(self));
	EXPECT_EQ(3, asked(winner));
	EXPECT_EQ(2, asked(other));
	EXPECT_EQ(0, self->v->bss->verdicts[3].verdict);
	EXPECT_EQ(0, self->v->bss->verdicts[4].verdict);
}

TEST_F(list, by_age_ab)
{
	ASSERT_EQ(0, load_two(self, 5, 0, 5, 0));
	ASSERT_EQ(0, attach_a(self));
	ASSERT_EQ(0, attach_b(self));
	check_order(_metadata, self, self->a, self->b);
	EXPECT_STREQ("policy-a", self->v->bss->verdicts[0].policy);
	EXPECT_STREQ("policy.b_2", self->v->bss->verdicts[2].policy);
}

TEST_F(list, by_age_ba)
{
	ASSERT_EQ(0, load_two(self, 5, 0, 5, 0));
	ASSERT_EQ(0, attach_b(self));
	ASSERT_EQ(0, attach_a(self));
	check_order(_metadata, self, self->b, self->a);
}

TEST_F(list, by_priority_ab)
{
	ASSERT_EQ(0, load_two(self, 1, 0, 2, 0));
	ASSERT_EQ(0, attach_a(self));
	ASSERT_EQ(0, attach_b(self));
	check_order(_metadata, self, self->a, self->b);
}

TEST_F(list, by_priority_ba)
{
	ASSERT_EQ(0, load_two(self, 1, 0, 2, 0));
	ASSERT_EQ(0, attach_b(self));
	ASSERT_EQ(0, attach_a(self));
	check_order(_metadata, self, self->a, self->b);
}

/* As unsigned numbers. */
TEST_F(list, by_extreme_priority)
{
	ASSERT_EQ(0, load_two(self, UINT_MAX, 0, 0, 0));
	ASSERT_EQ(0, attach_a(self));
	ASSERT_EQ(0, attach_b(self));
	check_order(_metadata, self, self->b, self->a);
}

TEST_F(list, detached_is_not_asked)
{
	ASSERT_EQ(0, load_two(self, 0, 0, 0, 0));
	ASSERT_EQ(0, attach_a(self));
	ASSERT_EQ(0, attach_b(self));
	recorder_answer(self->a, FIRST);
	recorder_answer(self->b, SECOND);
	EXPECT_EQ(FIRST, map_page(self));
	policy_detach(&self->link_a);
	EXPECT_EQ(SECOND, map_page(self));
	/* And back, behind the other now. */
	ASSERT_EQ(0, attach_a(self));
	EXPECT_EQ(SECOND, map_page(self));
	policy_detach(&self->link_b);
	EXPECT_EQ(FIRST, map_page(self));
	policy_detach(&self->link_a);
	EXPECT_EQ(0, map_page(self));
	EXPECT_EQ(2, asked(self->a));
	EXPECT_EQ(2, asked(self->b));
}

TEST_F(list, closing_the_link_detaches)
{
	ASSERT_EQ(0, load_two(self, 0, 0, 0, 0));
	ASSERT_EQ(0, attach_a(self));
	recorder_answer(self->a, FIRST);
	EXPECT_EQ(FIRST, map_page(self));
	ASSERT_EQ(0, bpf_link__destroy(self->link_a));
	self->link_a = NULL;
	EXPECT_EQ(0, map_page(self));
}

/* ---- Audit: a record and nothing else ---- */

TEST_F(list, audit_refuses_nothing)
{
	int viewfd;
	u32 i;

	ASSERT_EQ(0, load_two(self, 0, MEMVIEW_POLICY_AUDIT, 0, MEMVIEW_POLICY_AUDIT));
	recorder_answer(self->a, FIRST);
	recorder_answer(self->b, 7);
	ASSERT_EQ(0, attach_a(self));
	ASSERT_EQ(0, attach_b(self));
	EXPECT_EQ(0, map_page(self));
	viewfd = view_get_fd(self->control);
	EXPECT_LE(0, viewfd);
	EXPECT_NE(MAP_FAILED, view_mmap(viewfd, SIZE, PROT_READ, 0));
	ASSERT_EQ(6, self->v->bss->nr_verdicts);
	for (i = 0; i < 6; i++) {
		const struct verdict *v = &self->v->bss->verdicts[i];

		EXPECT_EQ(i / 2, v->op);
		EXPECT_EQ(i % 2 ? 7 : FIRST, v->answer);
		EXPECT_EQ(i % 2 ? -EACCES : FIRST, v->verdict);
		EXPECT_EQ(0, v->enforced);
	}
	EXPECT_EQ(0, self->a->bss->asked[CALL_DENIED]);
}

TEST_F(list, audit_before_enforcing)
{
	ASSERT_EQ(0, load_two(self, 0, MEMVIEW_POLICY_AUDIT, 1, 0));
	ASSERT_EQ(0, attach_a(self));
	ASSERT_EQ(0, attach_b(self));
	recorder_answer(self->a, FIRST);
	recorder_answer(self->b, SECOND);
	EXPECT_EQ(SECOND, map_page(self));
	ASSERT_EQ(2, self->v->bss->nr_verdicts);
	EXPECT_EQ(FIRST, self->v->bss->verdicts[0].verdict);
	EXPECT_EQ(0, self->v->bss->verdicts[0].enforced);
	EXPECT_EQ(SECOND, self->v->bss->verdicts[1].verdict);
	EXPECT_EQ(1, self->v->bss->verdicts[1].enforced);
}

/* ---- What the kernel does not take ---- */

static int try_policy(const char *name, u32 flags)
{
	struct recorder *r = recorder_new(name, 0, flags);
	struct bpf_link *link;
	int err;

	if (!r)
		return -errno;
	err = policy_attach(r->maps.policy, &link);
	if (!err)
		policy_detach(&link);
	recorder__destroy(r);
	return err;
}

TEST_F(list, names)
{
	libbpf_set_print(no_print);
	EXPECT_EQ(-EINVAL, try_policy("", 0));
	EXPECT_EQ(-EINVAL, try_policy("sixteen.letters.", 0));
	EXPECT_EQ(-EINVAL, try_policy("two words", 0));
	EXPECT_EQ(-EINVAL, try_policy("line\n", 0));
	EXPECT_EQ(-EINVAL, try_policy("a/b", 0));
	/* Letters of Latin-1, which no terminal and no JSON takes as they are. */
	EXPECT_EQ(-EINVAL, try_policy("caf\xe9", 0));
	EXPECT_EQ(0, try_policy("fifteen.letters", 0));
	EXPECT_EQ(0, try_policy("A", 0));
}

TEST_F(list, flags)
{
	libbpf_set_print(no_print);
	EXPECT_EQ(-EINVAL, try_policy("flags", 2));
	EXPECT_EQ(-EINVAL, try_policy("flags", 3));
	EXPECT_EQ(-EINVAL, try_policy("flags", 1U << 31));
	EXPECT_EQ(0, try_policy("flags", MEMVIEW_POLICY_AUDIT));
}

TEST_F(list, twice)
{
	struct bpf_link *link;

	ASSERT_EQ(0, load_two(self, 0, 0, 0, 0));
	ASSERT_EQ(0, attach_a(self));
	libbpf_set_print(no_print);
	EXPECT_EQ(-EEXIST, policy_attach(self->a->maps.policy, &link));
	ASSERT_EQ(0, attach_b(self));
	/* Nor as what replaces another, or itself. */
	EXPECT_EQ(-EEXIST, bpf_link__update_map(self->link_b, self->a->maps.policy));
	EXPECT_EQ(-EEXIST, bpf_link__update_map(self->link_a, self->a->maps.policy));
	recorder_answer(self->b, SECOND);
	EXPECT_EQ(SECOND, map_page(self));
	EXPECT_EQ(1, asked(self->a));
	EXPECT_EQ(1, asked(self->b));
}

TEST_F(list, sixty_four)
{
	struct small *small[MEMVIEW_POLICY_MAX + 1];
	struct bpf_link *links[MEMVIEW_POLICY_MAX + 1];
	int i;

	libbpf_set_print(no_print);
	for (i = 0; i <= MEMVIEW_POLICY_MAX; i++) {
		small[i] = small__open_and_load();
		ASSERT_NE(NULL, small[i]);
		EXPECT_EQ(i < MEMVIEW_POLICY_MAX ? 0 : -E2BIG,
			  policy_attach(small[i]->maps.policy, &links[i]));
	}
	EXPECT_EQ(0, map_page(self));
	for (i = 0; i <= MEMVIEW_POLICY_MAX; i++)
		EXPECT_EQ(i < MEMVIEW_POLICY_MAX, small[i]->bss->asked);
	/* One goes, and there is room for the last. */
	policy_detach(&links[17]);
	EXPECT_EQ(0, policy_attach(small[MEMVIEW_POLICY_MAX]->maps.policy,
				   &links[MEMVIEW_POLICY_MAX]));
	small[MEMVIEW_POLICY_MAX]->bss->answer = SECOND;
	EXPECT_EQ(SECOND, map_page(self));
	for (i = 0; i <= MEMVIEW_POLICY_MAX; i++) {
		policy_detach(&links[i]);
		small__destroy(small[i]);
	}
	EXPECT_EQ(0, map_page(self));
}

/* Of a policy with one program nothing else is asked. */
TEST_F(list, programs_are_optional)
{
	struct small *small = small__open_and_load();
	struct bpf_link *link;
	int viewfd;

	ASSERT_NE(NULL, small);
	small->bss->answer = FIRST;
	ASSERT_EQ(0, policy_attach(small->maps.policy, &link));
	EXPECT_EQ(FIRST, map_page(self));
	viewfd = view_get_fd(self->control);
	EXPECT_LE(0, viewfd);
	EXPECT_NE(MAP_FAILED, view_mmap(viewfd, SIZE, PROT_READ, 0));
	EXPECT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(1, self->v->bss->nr_verdicts);
	policy_detach(&link);
	small__destroy(small);
}

TEST_HARNESS_MAIN
