// SPDX-License-Identifier: GPL-2.0
/*
 * revoke.c - P1, revocation, under race: what a change took away is out of
 * every client's reach when the change returns
 *
 * Client processes, of several threads each, read, write and execute all
 * pages of a view without a pause. See revoke.h for how a broken promise
 * shows. Together the tests take something away more than 3,000 times.
 */
#include "revoke.h"

FIXTURE(revoke)
{
	struct arena arena;
	struct klog klog;
};

FIXTURE_VARIANT(revoke)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(revoke);

FIXTURE_SETUP(revoke)
{
	int err;

	ASSERT_EQ(0, klog_start(&self->klog));
	err = arena_open(&self->arena, variant->kind);
	if (err == -ENODEV)
		SKIP(return, "missing: %s", self->arena.file[0].missing);
	ASSERT_EQ(0, err);
	ASSERT_EQ(0, arena_client(&self->arena, 1, STAND_STILL));
	ASSERT_EQ(0, arena_client(&self->arena, 1, STAND_STILL));
	ASSERT_EQ(0, arena_wait_ready(&self->arena));
}

FIXTURE_TEARDOWN(revoke)
{
	arena_close(&self->arena);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The full number for memfds, less for the others: the machinery is the same. */
static unsigned int rounds(enum source_kind kind, unsigned int n)
{
	return scaled(kind == SOURCE_MEMFD ? n : n / 5);
}

/*
 * Map, replace, narrow and unmap, one to four pages at a time.
 *
 * Catches: no zap, a zap before the store, a zap of the wrong span, a fault
 * that inserts its page without looking again at the layout under the lock, a
 * replacement or a narrowing that is not zapped.
 */
TEST_F(revoke, change)
{
	uint64_t seed = random_seed();
	unsigned int want = rounds(variant->kind, 1500);

	TH_LOG("seed %ju", (uintmax_t)seed);
	while (arena_go_on(&self->arena,
			   atomic_load(&self->arena.revokes) < want))
		ASSERT_EQ(0, arena_step(&self->arena, &seed, 0, ARENA_PAGES));
	EXPECT_EQ(0, arena_stop(&self->arena));
	EXPECT_ARENA_HELD(&self->arena);
	EXPECT_TRUE(arena_raced(&self->arena));
}

/*
 * A view that shrinks is a revoke, too. It grows again at once, so that a
 * fault that only looks at the size does not help.
 *
 * Catches: ftruncate() that changes the size but not the layout, or does not
 * zap, or zaps from the wrong offset.
 */
TEST_F(revoke, truncate)
{
	uint64_t seed = random_seed(), r;
	unsigned int want = rounds(variant->kind, 100), i, n;

	TH_LOG("seed %ju", (uintmax_t)seed);
	for (i = 0; arena_go_on(&self->arena, i < want); i++) {
		for (n = 0; n < 8; n++)
			ASSERT_EQ(0, arena_step(&self->arena, &seed, 0,
						ARENA_PAGES));
		r = random_next(&seed);
		ASSERT_EQ(0, arena_truncate(&self->arena, r % ARENA_PAGES));
	}
	EXPECT_EQ(0, arena_stop(&self->arena));
	EXPECT_ARENA_HELD(&self->arena);
	EXPECT_TRUE(arena_raced(&self->arena));
}

struct controller {
	struct arena *arena;
	uint64_t seed;
	unsigned int first, last, steps;
	int err;
};

static void *control_thread(void *arg)
{
	struct controller *c = arg;
	unsigned int i;

	for (i = 0; !c->err && arena_go_on(c->arena, i < c->steps); i++)
		c->err = arena_step(c->arena, &c->seed, c->first, c->last);
	return NULL;
}

/*
 * Two threads change neighbouring spans of one view at once.
 *
 * Catches: a change that loses another's store or zap, such as a split that
 * writes back a range that is gone.
 */
TEST_F(revoke, two_controllers)
{
	struct controller c[2] = {
		{ .arena = &self->arena, .first = 0, .last = 11 },
		{ .arena = &self->arena, .first = 11, .last = ARENA_PAGES },
	};
	pthread_t thread[2];
	int i;

	for (i = 0; i < 2; i++) {
		c[i].seed = random_seed() + i;
		c[i].steps = rounds(variant->kind, 400);
		TH_LOG("seed %ju", (uintmax_t)c[i].seed);
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, control_thread,
					    &c[i]));
	}
	for (i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, c[i].err);
	}
	EXPECT_EQ(0, arena_stop(&self->arena));
	EXPECT_ARENA_HELD(&self->arena);
	EXPECT_TRUE(arena_raced(&self->arena));
}

TEST_HARNESS_MAIN
