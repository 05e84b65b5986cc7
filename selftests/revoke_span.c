// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_span.c - P1 when two controller threads take the same span away at
 * once: the second, which finds it gone, must not return while the first is
 * still zapping
 *
 * The first thread has the lowest priority and shares its CPU with a client
 * that does nothing but use the last page, so it is stuck half way through
 * its zap for most of the time; the second comes then.
 */
#include "revoke.h"

#include <sched.h>
#include <sys/prctl.h>

#define SPAN_PAGES	1024
#define SPAN_SIZE	(SPAN_PAGES * PAGE)
#define LAST		(SPAN_SIZE - PAGE)
#define MAPPINGS	6

struct span_shared {
	/* Numbers of rounds: */
	_Atomic int populate, populated; /* asked of the client, done */
	_Atomic int go, entered, left; /* of the first controller thread */
	_Atomic int hammering; /* of the client */
	_Atomic uint64_t window; /* how long the first takes, undisturbed; ns */
	_Atomic int stop;
	_Atomic uint64_t used, leaks;
};

FIXTURE(revoke_span)
{
	int control, viewfd;
	int memfd[2];
	struct face *last; /* the controller's mapping of the last page */
	struct span_shared *shared;
	pid_t client;
	pthread_t thread;
	int err;
	struct klog klog;
};

enum second { UNMAP, REPLACE, TRUNCATE };

FIXTURE_VARIANT(revoke_span)
{
	enum second second;
};

FIXTURE_VARIANT_ADD(revoke_span, unmap) {
	.second = UNMAP,
};

FIXTURE_VARIANT_ADD(revoke_span, replace) {
	.second = REPLACE,
};

FIXTURE_VARIANT_ADD(revoke_span, truncate) {
	.second = TRUNCATE,
};

/* ---- The client ---- */

static void use_last(char *const *mem, struct span_shared *shared)
{
	uint64_t value, end = now_ns() + 20000000;
	struct face *face;
	int i;

	while (now_ns() < end) {
		for (i = 0; i < MAPPINGS; i++) {
			face = (struct face *)(mem[i] + LAST);
			if (probe_read(&face->word, &value))
				continue;
			if ((value & SECRET_MASK) == SECRET)
				atomic_fetch_add(&shared->leaks, 1);
			probe_write(&face->slot, 1);
			atomic_fetch_add(&shared->used, 1);
		}
	}
}

static bool populate(char *const *mem)
{
	unsigned int page;
	int i;

	for (i = 0; i < MAPPINGS; i++)
		for (page = 0; page < SPAN_PAGES; page++)
			if (probe_write(mem[i] + page * PAGE + 8, 1))
				return false;
	return true;
}

/* At some time while the first thread is in its zap: take its CPU. */
static void disturb(char *const *mem, struct span_shared *shared, int round,
		    uint64_t *seed)
{
	uint64_t window = atomic_load(&shared->window);

	if (atomic_load(&shared->entered) != round || !window)
		return;
	if (atomic_load(&shared->hammering) != round)
		usleep(random_next(seed) % window / 1000);
	atomic_store(&shared->hammering, round);
	if (atomic_load(&shared->left) != round)
		use_last(mem, shared);
}

static int span_client(int viewfd, struct span_shared *shared)
{
	uint64_t seed = random_seed();
	char *mem[MAPPINGS];
	int i, round;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < MAPPINGS; i++) {
		mem[i] = view_mmap(viewfd, SPAN_SIZE, PROT_RW, 0);
		if (mem[i] == MAP_FAILED)
			return 1;
	}
	if (run_on_cpu(0))
		return 2;
	while (!atomic_load(&shared->stop)) {
		round = atomic_load(&shared->populate);
		if (round != atomic_load(&shared->populated)) {
			if (!populate(mem))
				return 3;
			atomic_store(&shared->populated, round);
		}
		disturb(mem, shared, round, &seed);
		usleep(50);
	}
	return 0;
}

/* ---- The first controller thread ---- */

static void *first_thread(void *arg)
{
	FIXTURE_DATA(revoke_span) *self = arg;
	struct sched_param param = { 0 };
	int round = 0, go;

	if (run_on_cpu(0) || sched_setscheduler(0, SCHED_IDLE, &param)) {
		self->err = -errno;
		return NULL;
	}
	for (;;) {
		go = atomic_load(&self->shared->go);
		if (go < 0)
			break;
		if (go == round) {
			sleep_ms(1);
			continue;
		}
		round = go;
		atomic_store(&self->shared->entered, round);
		self->err = view_unmap(self->control, 0, SPAN_SIZE);
		atomic_store(&self->shared->left, round);
	}
	return NULL;
}

FIXTURE_SETUP(revoke_span)
{
	int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "missing: a second CPU");
	for (i = 0; i < 2; i++) {
		self->memfd[i] = memfd_filled(SPAN_SIZE, i);
		ASSERT_LE(0, self->memfd[i]);
	}
	self->last = mmap(NULL, PAGE, PROT_RW, MAP_SHARED, self->memfd[0], LAST);
	ASSERT_NE(MAP_FAILED, self->last);
	self->control = view_create(SPAN_SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->shared = shared_alloc(sizeof(*self->shared));
	ASSERT_NE(NULL, self->shared);

	fflush(NULL);
	self->client = fork();
	ASSERT_LE(0, self->client);
	if (!self->client)
		_exit(span_client(self->viewfd, self->shared));
	ASSERT_EQ(0, run_on_cpu(1));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, first_thread, self));
}

FIXTURE_TEARDOWN(revoke_span)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static bool reach(_Atomic int *counter, int round)
{
	uint64_t end = now_ns() + 30000000000ULL * slowness();

	while (atomic_load(counter) != round) {
		if (now_ns() > end)
			return false;
		sched_yield();
	}
	return true;
}

static int second_change(FIXTURE_DATA(revoke_span) *self, enum second second)
{
	switch (second) {
	case UNMAP:
		return view_unmap(self->control, LAST, PAGE);
	case REPLACE:
		return view_map(self->control, self->memfd[1], LAST, PAGE, LAST,
				MAP_R);
	default:
		return view_resize(self->control, LAST);
	}
}

static int begin(FIXTURE_DATA(revoke_span) *self, int round)
{
	int err = view_resize(self->control, SPAN_SIZE);

	self->last->word = PUBLIC;
	err = err ?: view_map(self->control, self->memfd[0], 0, SPAN_SIZE, 0,
			      MAP_RW);
	if (err)
		return err;
	self->shared->populate = round;
	if (!reach(&self->shared->populated, round))
		return -ETIMEDOUT;
	self->shared->go = round;
	return reach(&self->shared->entered, round) ? 0 : -ETIMEDOUT;
}

/* The first round has no second thread: it shows how long a zap takes. */
static int measure(FIXTURE_DATA(revoke_span) *self)
{
	int err = begin(self, 1);
	uint64_t start = now_ns();

	if (err)
		return err;
	if (!reach(&self->shared->left, 1))
		return -ETIMEDOUT;
	self->shared->window = now_ns() - start + 1000;
	return self->err;
}

/*
 * Catches: a change that drops the view lock before its zap and lets another
 * change of the same span, which has nothing left to zap, return first.
 */
TEST_F(revoke_span, second_waits_for_the_zap_of_the_first)
{
	int rounds = scaled(20), round, late = 0;
	uint64_t marker;

	ASSERT_EQ(0, measure(self));
	/* On until the two have met, however busy the machine is. */
	for (round = 2; round < 2 + rounds ||
			((!late || !self->shared->used) && round < 2 + 20 * rounds); round++) {
		ASSERT_EQ(0, begin(self, round));
		ASSERT_TRUE(reach(&self->shared->hammering, round));
		late += self->shared->left != round;
		ASSERT_EQ(0, second_change(self, variant->second));
		marker = MARKER | round;
		self->last->slot = marker;
		self->last->word = SECRET | round;
		ASSERT_TRUE(reach(&self->shared->left, round));
		/* The second may come first, and shrink the view. */
		if (self->err != -EINVAL || variant->second != TRUNCATE)
			EXPECT_EQ(0, self->err);
		EXPECT_EQ(marker, self->last->slot)
			TH_LOG("P1: a write landed after its revoke");
		EXPECT_EQ(0, self->shared->leaks)
			TH_LOG("P1: the client read a secret");
	}
	self->shared->go = -1;
	pthread_join(self->thread, NULL);
	self->shared->stop = 1;
	EXPECT_EQ(self->client, waitpid(self->client, &round, 0));
	EXPECT_EQ(0, round);
	EXPECT_LT(0, self->shared->used);
	/* Or else the two have never met. */
	EXPECT_LT(0, late);
}

TEST_HARNESS_MAIN
