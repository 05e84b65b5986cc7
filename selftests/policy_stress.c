// SPDX-License-Identifier: GPL-2.0
/*
 * policy_stress.c - many requests while policies come and go: P9
 */
#include "policy.h"

#include <stdatomic.h>

#include "small.skel.h"

#define POLICIES	4
#define ATTACHED	40 /* times, at least */
#define SIZE		(64 * PAGE)

struct churn {
	atomic_bool stop;
	uint64_t seed;
	atomic_ulong attached;
	int err;
	struct recorder *r[POLICIES];
	struct bpf_link *link[POLICIES];
};

/* Attach and detach at random. */
static void *churn_policies(void *arg)
{
	struct churn *c = arg;
	unsigned int i;

	while (!atomic_load(&c->stop)) {
		i = random_next(&c->seed) % POLICIES;
		if (c->link[i]) {
			policy_detach(&c->link[i]);
			continue;
		}
		c->err = policy_attach(c->r[i]->maps.policy, &c->link[i]);
		if (c->err)
			break;
		atomic_fetch_add(&c->attached, 1);
	}
	for (i = 0; i < POLICIES; i++)
		policy_detach(&c->link[i]);
	return NULL;
}

/* How many BPF programs there are in the kernel. */
static unsigned int count_programs(void)
{
	unsigned int n = 0;
	u32 id = 0;

	while (!bpf_prog_get_next_id(id, &id))
		n++;
	return n;
}

/* Those of an earlier test may still be on their way out. */
static unsigned int count_programs_settled(void)
{
	unsigned int n = count_programs(), last, quiet = 0;

	while (quiet < 10) {
		sleep_ms(100);
		last = n;
		n = count_programs();
		quiet = n == last ? quiet + 1 : 0;
	}
	return n;
}

static uint64_t module_references(void)
{
	char text[32];

	return read_file("/sys/module/memview/refcnt", text, sizeof(text)) < 0 ? ~0ULL :
										 strtoull(text, NULL, 10);
}

FIXTURE(stress)
{
	struct klog klog;
	struct churn c;
	unsigned int programs;
	uint64_t references;
};

FIXTURE_SETUP(stress)
{
	static const char *const names[POLICIES] = { "first", "second", "third", "fourth" };
	int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	self->programs = count_programs_settled();
	self->references = module_references();
	self->c.seed = random_seed();
	for (i = 0; i < POLICIES; i++) {
		self->c.r[i] = recorder_new(names[i], i / 2, i == 1 ? MEMVIEW_POLICY_AUDIT : 0);
		ASSERT_NE(NULL, self->c.r[i]);
	}
	/* One audits a refusal, one refuses what is no memfd: none does here. */
	recorder_answer(self->c.r[1], -EPERM);
	self->c.r[2]->bss->answer_no_memfd = -EPERM;
}

FIXTURE_TEARDOWN(stress)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* All of it is given back, if not at once. */
static void check_leaks(struct __test_metadata *_metadata, FIXTURE_DATA(stress) *self)
{
	int i;

	for (i = 0; i < POLICIES; i++)
		recorder__destroy(self->c.r[i]);
	for (i = 0; i < 600; i++) {
		if (count_programs() == self->programs &&
		    module_references() == self->references)
			return;
		sleep_ms(100);
	}
	EXPECT_EQ(self->programs, count_programs());
	EXPECT_EQ(self->references, module_references());
}

TEST_F(stress, map_and_unmap)
{
	unsigned int i, n = scaled(50000), asked = 0;
	int memfd = memfd_filled(SIZE, 1), control = view_create(SIZE);
	struct view_info info;
	uint64_t slab[2], seed = random_seed();
	pthread_t thread;

	ASSERT_EQ(0, file_number("/proc/meminfo", "SUnreclaim:", &slab[0]));
	ASSERT_EQ(0, pthread_create(&thread, NULL, churn_policies, &self->c));
	/* On until each policy may have been there. */
	for (i = 0; i < n || atomic_load(&self->c.attached) < ATTACHED; i++) {
		uint64_t page = random_next(&seed) % 60;

		ASSERT_EQ(0, view_map(control, memfd, page * PAGE, 4 * PAGE, page * PAGE, MAP_RW));
		ASSERT_EQ(0, view_unmap(control, page * PAGE, 4 * PAGE));
	}
	n = i;
	atomic_store(&self->c.stop, true);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, self->c.err);
	for (i = 0; i < POLICIES; i++) {
		EXPECT_LT(0, self->c.r[i]->bss->asked[CALL_MAP_FD]);
		EXPECT_LT(0, self->c.r[i]->bss->asked[CALL_UNMAP_FD]);
		asked += self->c.r[i]->bss->asked[CALL_MAP_FD];
	}
	TH_LOG("%u requests, policies attached %lu times and asked %u times", 2 * n,
	       atomic_load(&self->c.attached), asked);
	ASSERT_EQ(0, view_info(control, &info));
	EXPECT_EQ(2 * n + 1, info.changes);
	EXPECT_EQ(0, info.ranges);
	EXPECT_EQ(0, info.bytes);
	EXPECT_EQ(0, fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE));
	close(control);
	check_leaks(_metadata, self);
	ASSERT_EQ(0, file_number("/proc/meminfo", "SUnreclaim:", &slab[1]));
	EXPECT_GT(slab[0] + 8 * 1024, slab[1]);
}

TEST_HARNESS_MAIN
