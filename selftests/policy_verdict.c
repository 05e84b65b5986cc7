// SPDX-License-Identifier: GPL-2.0
/*
 * policy_verdict.c - P15: what was allowed does not enter a view once a policy
 * has come that was not asked, or the view was revoked
 *
 * A file's ->mmap waits for its FUSE server, see revoke_slow_map.c. The policies
 * have been asked by then. Meanwhile one is attached, takes another's place, or
 * the view is revoked. When the server answers, the policies are asked again.
 *
 * Catches: a verdict of before that is good for ever; a request in flight that no
 * policy can count; one that is asked about again for nothing.
 */
#include "policy.h"
#include "revoke_fuse.h"

#include <pthread.h>

#include "kfuncs.skel.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define SLOW	0 /* page of the view that a client waits for */
#define EARLY	6 /* where the batch shows a memfd... */
#define LATE	8 /* ...and where the slow file goes */

FIXTURE(verdict)
{
	struct klog klog;
	struct slow_fs fs;
	struct recorder *r;
	struct bpf_link *link;
	struct kfuncs *k;
	int control, memfd, direct;
	char *mem;
	pthread_t reader, changer;
	_Atomic int done;
	int err;
};

FIXTURE_SETUP(verdict)
{
	char path[96];

	ASSERT_EQ(0, klog_start(&self->klog));
	if (slow_fs_start(&self->fs) == -ENODEV)
		SKIP(return, "FUSE is not in this kernel");
	self->r = recorder_new("recorder", 100, 0);
	ASSERT_NE(NULL, self->r);
	self->r->bss->answer_no_memfd = EXPECT_POLICY_ERR;
	self->k = kfuncs__open_and_load();
	ASSERT_NE(NULL, self->k);
	self->memfd = memfd_filled(SIZE, 3);
	self->control = view_create(SIZE);
	ASSERT_EQ(0, view_map(self->control, self->fs.fd, 0, 2 * PAGE, SLOW * PAGE, MAP_R));
	self->k->bss->id = view_id(self->control);
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->fs.shared->direct = 1;
	snprintf(path, sizeof(path), "%s/file", self->fs.dir);
	self->direct = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->direct);
}

FIXTURE_TEARDOWN(verdict)
{
	self->fs.shared->hold = 0;
	close(self->direct);
	policy_detach(&self->link);
	recorder__destroy(self->r);
	kfuncs__destroy(self->k);
	slow_fs_stop(&self->fs);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void *read_slowly(void *arg)
{
	FIXTURE_DATA(verdict) *self = arg;
	uint64_t word;

	probe_read(self->mem + SLOW * PAGE, &word);
	return NULL;
}

static void *map_slowly(void *arg)
{
	FIXTURE_DATA(verdict) *self = arg;

	self->err = view_map(self->control, self->direct, 0, PAGE, LATE * PAGE, MAP_R);
	atomic_store(&self->done, 1);
	return NULL;
}

static void *batch_slowly(void *arg)
{
	FIXTURE_DATA(verdict) *self = arg;
	const struct memview_batch_op ops[] = {
		batch_map(self->memfd, 0, PAGE, EARLY * PAGE, MAP_R),
		batch_map(self->direct, 0, PAGE, LATE * PAGE, MAP_R),
		batch_unmap(SLOW * PAGE, PAGE),
	};

	self->err = view_batch(self->control, ops, ARRAY_SIZE(ops), NULL);
	atomic_store(&self->done, 1);
	return NULL;
}

static void *get_viewfd(void *arg)
{
	FIXTURE_DATA(verdict) *self = arg;

	self->err = view_get_fd(self->control);
	return NULL;
}

/* The server is asked for the page, and the request waits for it. */
static bool block(FIXTURE_DATA(verdict) *self, void *(*change)(void *))
{
	int i;

	self->fs.shared->hold = 1;
	if (pthread_create(&self->reader, NULL, read_slowly, self))
		return false;
	for (i = 0; i < 1000 && !atomic_load(&self->fs.shared->held); i++)
		sleep_ms(10);
	if (pthread_create(&self->changer, NULL, change, self))
		return false;
	sleep_ms(300);
	return atomic_load(&self->fs.shared->held) && !atomic_load(&self->done);
}

static void unblock(struct __test_metadata *_metadata, FIXTURE_DATA(verdict) *self)
{
	ASSERT_FALSE(atomic_load(&self->done));
	self->fs.shared->hold = 0;
	ASSERT_EQ(0, pthread_join(self->changer, NULL));
	ASSERT_EQ(0, pthread_join(self->reader, NULL));
}

static void revoke_all(struct __test_metadata *_metadata, FIXTURE_DATA(verdict) *self)
{
	ASSERT_EQ(0, run_program(self->k->progs.revoke));
	ASSERT_EQ(0, self->k->bss->result);
}

static u64 ranges(FIXTURE_DATA(verdict) *self)
{
	struct view_info info;

	return view_info(self->control, &info) ? ~0ULL : info.ranges;
}

#define asked(kind) self->r->bss->asked[kind]

TEST_F(verdict, map_of_before_the_policy)
{
	ASSERT_TRUE(block(self, map_slowly));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	revoke_all(_metadata, self);
	unblock(_metadata, self);
	EXPECT_EQ(EXPECT_POLICY_ERR, self->err);
	EXPECT_EQ(1, asked(CALL_MAP_FD));
	EXPECT_EQ(1, asked(CALL_DENIED));
	EXPECT_EQ(0, ranges(self));
}

/* Also without a revoke: the range of before stays, nothing else comes. */
TEST_F(verdict, map_of_before_the_policy_alone)
{
	ASSERT_TRUE(block(self, map_slowly));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	unblock(_metadata, self);
	EXPECT_EQ(EXPECT_POLICY_ERR, self->err);
	EXPECT_EQ(1, ranges(self));
}

TEST_F(verdict, batch_of_before_the_policy)
{
	ASSERT_TRUE(block(self, batch_slowly));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	revoke_all(_metadata, self);
	unblock(_metadata, self);
	EXPECT_EQ(EXPECT_POLICY_ERR, self->err);
	EXPECT_EQ(2, asked(CALL_MAP_FD));
	EXPECT_EQ(0, ranges(self));
}

/* What is still allowed comes in, and each of its maps was asked about. */
TEST_F(verdict, batch_is_asked_about_as_a_whole)
{
	self->r->bss->answer_no_memfd = 0;
	ASSERT_TRUE(block(self, batch_slowly));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	unblock(_metadata, self);
	EXPECT_EQ(0, self->err);
	EXPECT_EQ(2, asked(CALL_MAP_FD));
	EXPECT_EQ(3, ranges(self));
}

/* A policy that has changed its mind is asked again after a revoke, and only then. */
TEST_F(verdict, map_of_before_the_revoke)
{
	self->r->bss->answer_no_memfd = 0;
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	ASSERT_TRUE(block(self, map_slowly));
	EXPECT_EQ(1, asked(CALL_MAP_FD));
	self->r->bss->answer_no_memfd = EXPECT_POLICY_ERR;
	revoke_all(_metadata, self);
	unblock(_metadata, self);
	EXPECT_EQ(EXPECT_POLICY_ERR, self->err);
	EXPECT_EQ(2, asked(CALL_MAP_FD));
	EXPECT_EQ(0, ranges(self));
}

TEST_F(verdict, map_with_nothing_changed)
{
	self->r->bss->answer_no_memfd = 0;
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	ASSERT_TRUE(block(self, map_slowly));
	EXPECT_EQ(0, view_unmap(self->control, SLOW * PAGE, PAGE));
	unblock(_metadata, self);
	EXPECT_EQ(0, self->err);
	EXPECT_EQ(1, asked(CALL_MAP_FD));
}

TEST_F(verdict, map_of_before_the_replacement)
{
	struct recorder *other = recorder_new("other", 100, 0);

	ASSERT_NE(NULL, other);
	ASSERT_EQ(0, policy_attach(other->maps.policy, &self->link));
	ASSERT_TRUE(block(self, map_slowly));
	ASSERT_EQ(0, bpf_link__update_map(self->link, self->r->maps.policy));
	unblock(_metadata, self);
	EXPECT_EQ(EXPECT_POLICY_ERR, self->err);
	EXPECT_EQ(1, asked(CALL_MAP_FD));
	EXPECT_EQ(1, ranges(self));
	policy_detach(&self->link);
	recorder__destroy(other);
}

/* The walk over the policies is past the place of the new one. */
TEST_F(verdict, viewfd_of_before_the_policy)
{
	struct recorder *first = recorder_new("first", 0, 0);
	struct bpf_link *link;
	int i;

	ASSERT_NE(NULL, first);
	recorder_answer(first, EXPECT_POLICY_ERR);
	self->r->bss->hold = 1;
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	ASSERT_EQ(0, pthread_create(&self->changer, NULL, get_viewfd, self));
	for (i = 0; i < 1000 && !self->r->bss->held; i++)
		sleep_ms(1);
	ASSERT_EQ(1, self->r->bss->held);
	ASSERT_EQ(0, policy_attach(first->maps.policy, &link));
	self->r->bss->hold = 0;
	ASSERT_EQ(0, pthread_join(self->changer, NULL));
	EXPECT_EQ(EXPECT_POLICY_ERR, self->err);
	EXPECT_EQ(1, asked(CALL_GET_VIEWFD));
	EXPECT_EQ(1, first->bss->asked[CALL_GET_VIEWFD]);
	policy_detach(&link);
	recorder__destroy(first);
}

/* A request in flight counts once: until it is done, and not any more. */
TEST_F(verdict, in_flight_is_counted)
{
	self->r->bss->answer_no_memfd = 0;
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	ASSERT_TRUE(block(self, map_slowly));
	EXPECT_EQ(PAGE, self->r->bss->growing);
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, 2 * PAGE, EARLY * PAGE, MAP_R));
	EXPECT_EQ(3 * PAGE, self->r->bss->growing);
	/* Nothing by which the view grows. */
	EXPECT_EQ(0, view_map(self->control, self->memfd, PAGE, PAGE, EARLY * PAGE, MAP_R));
	EXPECT_EQ(PAGE, self->r->bss->growing);
	unblock(_metadata, self);
	EXPECT_EQ(0, self->err);
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, EARLY * PAGE, MAP_R));
	EXPECT_EQ(0, self->r->bss->growing);
}

/* What a request was to replace is gone: it takes more than was counted. */
TEST_F(verdict, replaced_has_gone)
{
	self->r->bss->answer_no_memfd = 0;
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, LATE * PAGE, MAP_R));
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	ASSERT_TRUE(block(self, map_slowly));
	EXPECT_EQ(0, self->r->bss->growing);
	EXPECT_EQ(0, view_unmap(self->control, LATE * PAGE, PAGE));
	unblock(_metadata, self);
	EXPECT_EQ(0, self->err);
	EXPECT_EQ(2, asked(CALL_MAP_FD));
	EXPECT_EQ(PAGE, self->r->bss->growing);
}

TEST_HARNESS_MAIN
