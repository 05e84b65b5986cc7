// SPDX-License-Identifier: GPL-2.0
/*
 * policy_replace.c - policies that come, go and take each other's place while
 * requests are on their way: never a request without a verdict
 */
#include "policy.h"

#include <stdatomic.h>

#define THREADS	2
#define SIZE	(4 * PAGE)
#define OLD	(-ENODATA)
#define NEW	(-ENOSTR)

/* Threads that map a page again and again, and count the answers. */
struct mappers {
	atomic_bool stop;
	atomic_ulong done, allowed, old, new, other;
	pthread_t thread[THREADS];
};

static void *map_loop(void *arg)
{
	struct mappers *m = arg;
	int memfd = memfd_filled(SIZE, 1), control = view_create(SIZE);

	while (!atomic_load(&m->stop)) {
		switch (view_map(control, memfd, 0, PAGE, 0, MAP_R)) {
		case 0:
			atomic_fetch_add(&m->allowed, 1);
			break;
		case OLD:
			atomic_fetch_add(&m->old, 1);
			break;
		case NEW:
			atomic_fetch_add(&m->new, 1);
			break;
		default:
			atomic_fetch_add(&m->other, 1);
		}
		atomic_fetch_add(&m->done, 1);
	}
	close(control);
	close(memfd);
	return NULL;
}

static void mappers_start(struct mappers *m)
{
	int i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < THREADS; i++)
		pthread_create(&m->thread[i], NULL, map_loop, m);
}

static void mappers_stop(struct mappers *m)
{
	int i;

	atomic_store(&m->stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(m->thread[i], NULL);
}

/* Wait until there were @n more requests. */
static void mappers_wait(struct mappers *m, unsigned long n)
{
	unsigned long until = atomic_load(&m->done) + n;

	while (atomic_load(&m->done) < until)
		sched_yield();
}

FIXTURE(replace)
{
	struct klog klog;
	struct mappers m;
	struct recorder *middle; /* takes its time, refuses nothing */
	struct recorder *old, *new;
	struct bpf_link *link, *middle_link;
};

FIXTURE_SETUP(replace)
{
	ASSERT_EQ(0, klog_start(&self->klog));
}

FIXTURE_TEARDOWN(replace)
{
	policy_detach(&self->link);
	policy_detach(&self->middle_link);
	recorder__destroy(self->middle);
	recorder__destroy(self->old);
	recorder__destroy(self->new);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void load_all(struct __test_metadata *_metadata, FIXTURE_DATA(replace) *self,
		     u32 old_priority, u32 new_priority)
{
	self->middle = recorder_new("middle", 5, 0);
	self->old = recorder_new("old", old_priority, 0);
	self->new = recorder_new("new", new_priority, 0);
	ASSERT_NE(NULL, self->middle);
	ASSERT_NE(NULL, self->old);
	ASSERT_NE(NULL, self->new);
	self->middle->bss->spin_ns = 100000;
	recorder_answer(self->old, OLD);
	recorder_answer(self->new, NEW);
}

/* Both refuse, each in its own way, and replace each other @rounds times. */
static void check_replacing(struct __test_metadata *_metadata, FIXTURE_DATA(replace) *self,
			    unsigned int rounds)
{
	struct mappers *m = &self->m;
	unsigned int i;

	ASSERT_EQ(0, policy_attach(self->middle->maps.policy, &self->middle_link));
	ASSERT_EQ(0, policy_attach(self->old->maps.policy, &self->link));
	mappers_start(m);
	for (i = 0; i < rounds; i++) {
		struct recorder *next = i % 2 ? self->old : self->new;

		ASSERT_EQ(0, bpf_link__update_map(self->link, next->maps.policy));
		mappers_wait(m, 1);
	}
	mappers_stop(m);
	EXPECT_LT(0, atomic_load(&m->old));
	EXPECT_LT(0, atomic_load(&m->new));
	EXPECT_EQ(0, atomic_load(&m->allowed))
		TH_LOG("%lu of %lu requests passed without a verdict of either",
		       (unsigned long)m->allowed, (unsigned long)m->done);
	EXPECT_EQ(0, atomic_load(&m->other));
	EXPECT_EQ(atomic_load(&m->done), m->old + m->new);
	/* The answer is the current one's from the moment the update is done. */
	mappers_start(m);
	mappers_wait(m, 10);
	mappers_stop(m);
	EXPECT_EQ(0, atomic_load(rounds % 2 ? &m->old : &m->new));
	EXPECT_EQ(0, atomic_load(&m->allowed));
}

TEST_F(replace, same_priority)
{
	load_all(_metadata, self, 7, 7);
	check_replacing(_metadata, self, scaled(400));
}

/* Between the two is one that takes its time. */
TEST_F(replace, around_another)
{
	load_all(_metadata, self, 9, 1);
	check_replacing(_metadata, self, scaled(400));
}

TEST_F(replace, around_another_backwards)
{
	load_all(_metadata, self, 1, 9);
	check_replacing(_metadata, self, scaled(400));
}

TEST_F(replace, attach_and_detach)
{
	struct mappers *m = &self->m;
	unsigned int i;

	load_all(_metadata, self, 0, 0);
	mappers_start(m);
	for (i = 0; i < scaled(200); i++) {
		unsigned long allowed;

		ASSERT_EQ(0, policy_attach(self->old->maps.policy, &self->link));
		/* Each thread may have had one on its way. */
		allowed = atomic_load(&m->allowed);
		mappers_wait(m, 4 * THREADS);
		EXPECT_GE(allowed + THREADS, atomic_load(&m->allowed));
		policy_detach(&self->link);
		mappers_wait(m, 2);
	}
	mappers_stop(m);
	EXPECT_LT(0, atomic_load(&m->old));
	EXPECT_LT(0, atomic_load(&m->allowed));
	EXPECT_EQ(0, atomic_load(&m->other));
}

/* ---- The loader is killed ---- */

/* A process that loads a policy, says so, and waits for its end. */
static pid_t start_loader(int *said)
{
	struct bpf_link *link;
	struct recorder *r;
	int pipes[2];
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		char ok = 1;

		r = recorder_new("loader", 0, 0);
		if (!r)
			_exit(1);
		recorder_answer(r, OLD);
		if (policy_attach(r->maps.policy, &link) || write(pipes[1], &ok, 1) != 1)
			_exit(2);
		for (;;)
			pause();
	}
	close(pipes[1]);
	*said = pipes[0];
	return pid;
}

TEST_F(replace, loader_killed)
{
	struct mappers *m = &self->m;
	unsigned int i;

	for (i = 0; i < scaled(5); i++) {
		unsigned long allowed, refused, tries = 0;
		int said, status;
		pid_t pid;
		char ok = 0;

		pid = start_loader(&said);
		ASSERT_LT(0, pid);
		ASSERT_EQ(1, read(said, &ok, 1));
		close(said);
		mappers_start(m);
		mappers_wait(m, 100);
		EXPECT_EQ(0, atomic_load(&m->allowed));
		EXPECT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(SIGKILL, WTERMSIG(status));
		/* Nothing of it is left: requests pass, all of them. */
		do {
			allowed = atomic_load(&m->allowed);
			mappers_wait(m, 50);
		} while (atomic_load(&m->allowed) < allowed + 50 - THREADS && tries++ < 100);
		refused = atomic_load(&m->old);
		mappers_wait(m, 200);
		mappers_stop(m);
		EXPECT_GE(refused + THREADS, atomic_load(&m->old));
		EXPECT_LT(100, atomic_load(&m->allowed));
		EXPECT_EQ(0, atomic_load(&m->other));
	}
}

TEST_HARNESS_MAIN
