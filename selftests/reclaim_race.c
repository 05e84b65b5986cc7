// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_race.c - P4 under race: pages leave a source while clients fault
 * them in and the controller changes the ranges; no page is seen after the
 * truncate or hole punch that removed it has returned
 *
 * Generations of pages follow each other. A generation is declared dead when
 * its removal has returned; who looks after that and sees a dead one has found
 * a PTE that the removal missed.
 */
#include "memview_test.h"

#include <linux/falloc.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#define PAGES		16
#define SIZE		(PAGES * PAGE)
#define CLIENTS		2

struct race_shared {
	_Atomic int stop;
	_Atomic uint64_t dead; /* this generation and those before it */
	_Atomic uint64_t fresh, zero, sigbus; /* what the clients saw */
	_Atomic uint64_t stale; /* and should not have */
	_Atomic uint64_t shuffled;
};

FIXTURE(reclaim_race)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct race_shared *shared;
	pid_t client[CLIENTS];
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_race)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(reclaim_race);

static int look_for_ever(int viewfd, struct race_shared *shared, uint64_t seed)
{
	char *mem = view_mmap(viewfd, SIZE, PROT_READ, 0);
	uint64_t dead, value;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mem == MAP_FAILED)
		return 1;
	while (!atomic_load(&shared->stop)) {
		dead = atomic_load(&shared->dead);
		if (probe_read(mem + random_next(&seed) % PAGES * PAGE, &value))
			atomic_fetch_add(&shared->sigbus, 1);
		else if (!value)
			atomic_fetch_add(&shared->zero, 1);
		else if (value > dead)
			atomic_fetch_add(&shared->fresh, 1);
		else
			atomic_fetch_add(&shared->stale, 1);
	}
	return 0;
}

FIXTURE_SETUP(reclaim_race)
{
	int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->shared = shared_alloc(sizeof(*self->shared));
	ASSERT_NE(NULL, self->shared);
	fflush(NULL);
	for (i = 0; i < CLIENTS; i++) {
		self->client[i] = fork();
		ASSERT_LE(0, self->client[i]);
		if (!self->client[i])
			_exit(look_for_ever(self->viewfd, self->shared, i));
	}
}

FIXTURE_TEARDOWN(reclaim_race)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int fill(FIXTURE_DATA(reclaim_race) *self, uint64_t generation)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < PAGES && !err; i++)
		err = fd_write_u64(self->src.fd, i * PAGE, generation);
	return err;
}

/* Remove all pages, one way or the other. */
static int empty(FIXTURE_DATA(reclaim_race) *self, bool truncate)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	int ret;

	if (truncate)
		ret = ftruncate(self->src.fd, 0);
	else
		ret = fallocate(self->src.fd, mode, 0, SIZE);
	return ret ? -errno : 0;
}

/*
 * Replace ranges by what was there, without a pause: new ranges, which must be
 * heard of from the first fault on, and old ones, until their last. A thread
 * of the lowest priority, so that it is often interrupted half way.
 */
static void *shuffle(void *arg)
{
	FIXTURE_DATA(reclaim_race) *self = arg;
	struct sched_param param = { 0 };
	uint64_t seed = random_seed(), r, page, n;
	long err = 0;

	sched_setscheduler(0, SCHED_IDLE, &param);
	while (!err && !atomic_load(&self->shared->stop)) {
		r = random_next(&seed);
		page = r % PAGES;
		n = 1 + (r >> 8) % (PAGES - page);
		err = view_map(self->control, self->src.fd, page * PAGE,
			       n * PAGE, page * PAGE,
			       r >> 32 & 1 ? MAP_RW : MAP_R);
		atomic_fetch_add(&self->shared->shuffled, 1);
	}
	return (void *)err;
}

/* On a busy machine that may take a while. */
static bool all_met(struct race_shared *shared)
{
	return atomic_load(&shared->fresh) && atomic_load(&shared->zero) &&
	       atomic_load(&shared->shuffled);
}

/*
 * Catches: a page inserted without the folio lock, or without a look whether
 * it is still the file's; a range that is not watched yet when faults reach
 * it, or not any more while they do.
 */
TEST_F_TIMEOUT(reclaim_race, removed_pages_are_gone, 300)
{
	unsigned int rounds = scaled(variant->kind == SOURCE_MEMFD ? 200 : 40);
	unsigned int round;
	struct race_shared *shared = self->shared;
	pthread_t shuffler;
	void *err = NULL;
	uint64_t value;
	uint64_t end = now_ns() + 20ULL * 1000000000 * slowness();
	int i, status;

	ASSERT_EQ(0, pthread_create(&shuffler, NULL, shuffle, self));
	for (round = 1; round <= rounds || (!all_met(shared) && now_ns() < end); round++) {
		ASSERT_EQ(0, fill(self, round));
		ASSERT_EQ(0, probe_read(self->mem + PAGE, &value));
		ASSERT_EQ(round, value);
		ASSERT_EQ(0, empty(self, round % 2));
		atomic_store(&shared->dead, round);
		ASSERT_EQ(0, ftruncate(self->src.fd, SIZE));
		ASSERT_EQ(0, probe_read(self->mem + PAGE, &value));
		ASSERT_EQ(0, value);
		ASSERT_EQ(0, atomic_load(&shared->stale));
		if (round % 4 == 0)
			usleep(200);
	}
	shared->stop = 1;
	pthread_join(shuffler, &err);
	EXPECT_EQ(NULL, err);
	for (i = 0; i < CLIENTS; i++) {
		EXPECT_EQ(self->client[i], waitpid(self->client[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	EXPECT_EQ(0, shared->stale);
	EXPECT_LT(0, shared->fresh);
	EXPECT_LT(0, shared->zero);
	EXPECT_LT(0, shared->shuffled);
}

TEST_HARNESS_MAIN
