// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_move.c - P1 and P2 while the clients' address spaces change: fork,
 * mremap and mprotect during revokes
 */
#include "revoke.h"

#include <sched.h>

FIXTURE(revoke_move)
{
	struct arena arena;
	struct klog klog;
};

FIXTURE_VARIANT(revoke_move)
{
	enum mover mover;
};

/*
 * A child that is forked during a revoke copies page tables. It must not
 * keep what the revoke took from its parent.
 *
 * Catches: a module that keeps its own list of mappings and misses a VMA
 * that fork has just made; no ->open.
 */
FIXTURE_VARIANT_ADD(revoke_move, fork) {
	.mover = FORK,
};

/*
 * mremap moves PTEs from one place to another, maybe ahead of a zap.
 *
 * Catches: a zap by the addresses at which a client once mapped the view.
 */
FIXTURE_VARIANT_ADD(revoke_move, mremap) {
	.mover = MREMAP,
};

/*
 * mprotect rewrites the protection of present PTEs from the VMA's: it must
 * give no page a right that its range does not have, whatever thread faults
 * between the module's own look at the request and the kernel's rewriting.
 *
 * Catches: ->mprotect that does nothing when PROT_EXEC is added, or zaps
 * while faults can still bring a page back; a write bit in vm_page_prot.
 */
FIXTURE_VARIANT_ADD(revoke_move, mprotect) {
	.mover = MPROTECT,
};

FIXTURE_SETUP(revoke_move)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, arena_open(&self->arena, SOURCE_MEMFD));
	ASSERT_EQ(0, arena_client(&self->arena, 2, variant->mover));
	ASSERT_EQ(0, arena_client(&self->arena, 1, STAND_STILL));
	ASSERT_EQ(0, arena_wait_ready(&self->arena));
}

FIXTURE_TEARDOWN(revoke_move)
{
	arena_close(&self->arena);
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(revoke_move, change)
{
	uint64_t seed = random_seed();
	unsigned int steps = scaled(1000), i;
	_Atomic uint64_t *moves = &self->arena.shared->moves;
	const uint64_t least = scaled(50);

	TH_LOG("seed %ju", (uintmax_t)seed);
	for (i = 0; arena_go_on(&self->arena,
				i < steps || atomic_load(moves) < least); i++)
		ASSERT_EQ(0, arena_step(&self->arena, &seed, 0, ARENA_PAGES));
	EXPECT_EQ(0, arena_stop(&self->arena));
	EXPECT_ARENA_HELD(&self->arena);
	EXPECT_TRUE(arena_raced(&self->arena));
	EXPECT_LE(least, atomic_load(moves));
}

struct widen {
	char *mem;
	_Atomic int stop;
	_Atomic uint64_t reads, writes, execs, tries;
};

static void *widen_reader(void *arg)
{
	struct widen *w = arg;
	uint64_t value;

	while (!atomic_load(&w->stop))
		if (!probe_read(w->mem, &value))
			atomic_fetch_add(&w->reads, 1);
	return NULL;
}

static void *widen_intruder(void *arg)
{
	struct widen *w = arg;
	uint32_t code;

	while (!atomic_load(&w->stop)) {
		if (!probe_exec(w->mem, &code))
			atomic_fetch_add(&w->execs, 1);
		if (!probe_write(w->mem + CODE_SIZE, 0))
			atomic_fetch_add(&w->writes, 1);
		atomic_fetch_add(&w->tries, 1);
	}
	return NULL;
}

/*
 * P2: in a range that can only be read, one thread adds and removes PROT_EXEC
 * and PROT_WRITE, one brings the page back, one tries to execute and write it:
 * no try may ever succeed.
 *
 * Catches: as the mprotect variant above, without a controller that happens
 * to zap what mprotect has just let in.
 */
TEST(mprotect_never_widens)
{
	struct widen w = { 0 };
	pthread_t thread[2];
	int control, viewfd, memfd;
	char code[CODE_SIZE];
	unsigned int i;

	put_code(code, PUBLIC_CODE);
	memfd = memfd_filled(PAGE, 1);
	ASSERT_LE(0, memfd);
	ASSERT_EQ(CODE_SIZE, pwrite(memfd, code, CODE_SIZE, 0));
	control = view_create(PAGE);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, view_map(control, memfd, 0, PAGE, 0, MAP_R));
	viewfd = view_get_fd(control);
	ASSERT_LE(0, viewfd);
	w.mem = view_mmap(viewfd, PAGE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, w.mem);

	ASSERT_EQ(0, pthread_create(&thread[0], NULL, widen_reader, &w));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, widen_intruder, &w));
	for (i = 0; i < scaled(1500); i++) {
		EXPECT_EQ(0, mprotect(w.mem, PAGE, PROT_RW | PROT_EXEC));
		if (i % 8 == 0)
			sched_yield();
		EXPECT_EQ(0, mprotect(w.mem, PAGE, PROT_READ));
	}
	w.stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(0, w.execs);
	EXPECT_EQ(0, w.writes);
	EXPECT_LT(0, w.reads);
	EXPECT_LT(0, w.tries);
	munmap(w.mem, PAGE);
	close(viewfd);
	close(control);
	close(memfd);
}

TEST_HARNESS_MAIN
