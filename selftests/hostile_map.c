// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_map.c - P1 and P2 against a client that plays tricks with its mapping:
 * mmap, mremap, mprotect, remap_file_pages, locks, seals, fork
 */
#include "hostile.h"

#include <spawn.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#define NR_mseal 462

extern char **environ;

static long nothing(long arg)
{
	return 0;
}

/* ---- mremap ---- */

static long reserve(size_t size)
{
	return (long)mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long mremap_to(char *from, size_t size, size_t new_size, int flags, void *to)
{
	char *mem = mremap(from, size, new_size, flags, to);

	if (mem == MAP_FAILED)
		return -errno;
	if (from == prey.mem && new_size == VIEW_SIZE)
		prey.mem = mem;
	return 0;
}

static long mremap_grow(long flags)
{
	return mremap_to(prey.mem, VIEW_SIZE, 2 * VIEW_SIZE, flags, NULL);
}

static long mremap_grow_last(long arg)
{
	munmap(prey_page(PAGE_CUT), PAGE);
	return mremap_to(prey.mem, VIEW_SIZE - PAGE, VIEW_SIZE, 0, NULL);
}

static long mremap_move(long arg)
{
	return mremap_to(prey.mem, VIEW_SIZE, VIEW_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			 (void *)reserve(VIEW_SIZE));
}

static long mremap_move_page(long page)
{
	return mremap_to(prey_page(page), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			 (void *)reserve(PAGE));
}

static long mremap_over_read_only(long page)
{
	return mremap_to(prey_page(page), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			 prey_page(PAGE_RO));
}

static long mremap_dontunmap(long arg)
{
	return mremap_to(prey.mem, VIEW_SIZE, VIEW_SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
}

static long mremap_duplicate(long size)
{
	return mremap_to(prey.mem, 0, size, MREMAP_MAYMOVE, NULL);
}

static long mremap_shrink(long arg)
{
	return mremap_to(prey.mem, VIEW_SIZE, 5 * PAGE, 0, NULL);
}

/* ---- mmap ---- */

static long map_at(void *addr, size_t size, int prot, int flags, off_t offset)
{
	return err_or_map(mmap(addr, size, prot, flags, prey.viewfd, offset));
}

static long map_flags(long flags)
{
	return map_at(NULL, VIEW_SIZE, PROT_RW, flags, 0);
}

static long map_prot(long prot)
{
	return map_at(NULL, VIEW_SIZE, prot, MAP_SHARED, 0);
}

static long map_offset(long page)
{
	return map_at(NULL, VIEW_SIZE, PROT_RW, MAP_SHARED, page * PAGE);
}

static long map_unaligned(long arg)
{
	return map_at(NULL, VIEW_SIZE, PROT_RW, MAP_SHARED, 512);
}

/* The page's view mapping is replaced by one of another page of the view. */
static long map_over_itself(long page)
{
	return map_at(prey_page(PAGE_RO), PAGE, PROT_RW, MAP_SHARED | MAP_FIXED, page * PAGE);
}

static long map_anonymous_over(long page)
{
	return err_or_map(mmap(prey_page(page), PAGE, PROT_RW,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

static long unmap_page(long page)
{
	return err_or(munmap(prey_page(page), PAGE));
}

/* Many mappings, each of which a revoke must find. */
static long map_often(long n)
{
	while (n--)
		if (map_at(NULL, VIEW_SIZE, PROT_RW, MAP_SHARED | MAP_POPULATE, 0))
			return -errno;
	return 0;
}

/* ---- Protection ---- */

static long protect(long prot)
{
	return err_or(mprotect(prey.mem, VIEW_SIZE, prot));
}

/* Dirty where it could write, taken away, and given back. */
static long protect_and_back(long prot)
{
	inspect(&(struct inspection){ 0 });
	return protect(prot) ?: protect(PROT_RW | PROT_EXEC);
}

static long protect_and_back_again(long prot)
{
	protect_and_back(prot);
	return -1; /* what it did is seen by the inspection */
}

static long protect_grows(long flag)
{
	return err_or(mprotect(prey.mem, PAGE, PROT_READ | flag));
}

static long protect_key(long prot)
{
	int key = pkey_alloc(0, 0);

	return key < 0 ? -errno : err_or(pkey_mprotect(prey.mem, VIEW_SIZE, prot, key));
}

/* Whoever asks for PROT_READ asks for PROT_EXEC now. */
static long read_implies_exec(long arg)
{
	if (personality(READ_IMPLIES_EXEC) < 0)
		return -errno;
	return map_prot(PROT_READ) ?: protect(PROT_READ);
}

static long memory_deny_write_execute(long arg)
{
	return err_or(prctl(PR_SET_MDWE, 1, 0, 0, 0)) ?: map_prot(PROT_RW | PROT_EXEC);
}

static long file_pages(long pgoff)
{
	return err_or(remap_file_pages(prey_page(PAGE_RO), PAGE, 0, pgoff, 0));
}

/* ---- Locks and seals ---- */

static long lock(long flags)
{
	return err_or(mlock2(prey.mem, VIEW_SIZE, flags));
}

static long lock_all(long flags)
{
	return err_or(mlockall(flags)) ?: map_prot(PROT_RW);
}

static long seal(long arg)
{
	return err_or(syscall(NR_mseal, prey.mem, VIEW_SIZE, 0));
}

/* It cannot let go of the mapping, and that is all that is sealed. */
static long seal_again(long arg)
{
	return err_or(munmap(prey.mem, VIEW_SIZE)) ?: -EPERM;
}

/* ---- More processes ---- */

/* A child that is made before the revoke and looks after it. */
static int child_pipe[2][2];

static void child_looks(void)
{
	struct inspection in = { 0 };
	char byte;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (read(child_pipe[0][0], &byte, 1) != 1)
		_exit(1);
	inspect(&in);
	byte = in.leaks ? 'l' : '-';
	if (write(child_pipe[1][1], &byte, 1) != 1)
		_exit(1);
	_exit(0);
}

static long fork_child(long advice)
{
	pid_t pid;

	if (madvise(prey.mem, VIEW_SIZE, advice) || pipe(child_pipe[0]) || pipe(child_pipe[1]))
		return -errno;
	pid = fork();
	if (!pid)
		child_looks();
	return err_or(pid);
}

static long fork_child_again(long advice)
{
	char byte = 'l';

	if (child_pipe[1][1] && write(child_pipe[0][1], "g", 1) == 1 &&
	    read(child_pipe[1][0], &byte, 1) != 1)
		byte = 'd';
	/* What the advice refused has no child to ask. */
	return byte == '-' || !child_pipe[1][1] ? -EACCES : byte;
}

static long vfork_and_exec(long arg)
{
	char *argv[] = { "true", NULL };
	int status;
	pid_t pid;

	if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ))
		return -errno;
	if (waitpid(pid, &status, 0) != pid || status)
		return -ECHILD;
	return 0;
}

static const struct attack moving[] = {
	ATTACK(nothing, WORKS),
	ATTACK_ARG(mremap_grow, 0, REFUSED),
	ATTACK_ARG(mremap_grow, MREMAP_MAYMOVE, -EFAULT),
	ATTACK(mremap_grow_last, -EFAULT),
	ATTACK(mremap_move, WORKS),
	ATTACK_ARG(mremap_move_page, PAGE_UNMAPPED, WORKS),
	ATTACK_ARG(mremap_move_page, PAGE_NARROWED, WORKS),
	ATTACK_ARG(mremap_over_read_only, PAGE_RW, WORKS),
	ATTACK_ARG(mremap_over_read_only, PAGE_UNMAPPED, WORKS),
	ATTACK(mremap_dontunmap, -EINVAL),
	ATTACK_ARG(mremap_duplicate, VIEW_SIZE, REFUSED),
	ATTACK_ARG(mremap_duplicate, PAGE, REFUSED),
	ATTACK(mremap_shrink, WORKS),
};

TEST_F(hostile, mremap)
{
	ATTACK_ALL(moving);
}

static const struct attack mapping[] = {
	ATTACK_ARG(map_flags, MAP_PRIVATE, -EINVAL),
	ATTACK_ARG(map_flags, MAP_PRIVATE | MAP_GROWSDOWN, -EINVAL),
	ATTACK_ARG(map_flags, MAP_SHARED | MAP_GROWSDOWN, -EINVAL),
	ATTACK_ARG(map_flags, MAP_SHARED_VALIDATE | MAP_SYNC, -EOPNOTSUPP),
	ATTACK_ARG(map_flags, MAP_SHARED | MAP_HUGETLB, -EINVAL),
	ATTACK_ARG(map_flags, MAP_DROPPABLE, -EINVAL),
	ATTACK_ARG(map_flags, MAP_SHARED | MAP_LOCKED, WORKS),
	ATTACK_ARG(map_flags, MAP_SHARED | MAP_POPULATE, WORKS),
	ATTACK_ARG(map_prot, PROT_NONE, WORKS),
	ATTACK_ARG(map_prot, PROT_READ, WORKS),
	ATTACK_ARG(map_prot, PROT_EXEC, WORKS),
	ATTACK_ARG(map_prot, PROT_RW | PROT_EXEC, WORKS),
	ATTACK_ARG(map_offset, PAGE_UNMAPPED, WORKS),
	ATTACK_ARG(map_offset, VIEW_PAGES, WORKS),
	ATTACK_ARG(map_offset, FILE_PAGES, WORKS),
	ATTACK_ARG(map_offset, LONG_MAX / PAGE, REFUSED),
	ATTACK(map_unaligned, -EINVAL),
	ATTACK_ARG(map_over_itself, PAGE_RW, WORKS),
	ATTACK_ARG(map_over_itself, PAGE_CUT, WORKS),
	ATTACK_ARG(map_anonymous_over, PAGE_UNMAPPED, WORKS),
	ATTACK_ARG(unmap_page, PAGE_NARROWED, WORKS),
	ATTACK_ARG(map_often, 100, WORKS),
	ATTACK_ARG(file_pages, PAGE_RW, WORKS),
	ATTACK_ARG(file_pages, PAGE_UNMAPPED, WORKS),
	ATTACK_ARG(file_pages, PAGE_SECRET, WORKS),
};

TEST_F(hostile, mmap)
{
	ATTACK_ALL(mapping);
}

static const struct attack protecting[] = {
	ATTACK_ARG(protect, PROT_RW | PROT_EXEC, WORKS),
	ATTACK_ARG(protect, PROT_NONE, WORKS),
	{ "protect_and_back", protect_and_back, PROT_NONE, WORKS, .again = protect_and_back_again },
	{ "protect_and_back", protect_and_back, PROT_READ, WORKS, .again = protect_and_back_again },
	{ "protect_and_back", protect_and_back, PROT_EXEC, EITHER, .again = protect_and_back_again },
	ATTACK_ARG(protect_grows, PROT_GROWSDOWN, -EINVAL),
	ATTACK_ARG(protect_grows, PROT_GROWSUP, -EINVAL),
	ATTACK_ARG(protect_key, PROT_RW | PROT_EXEC, EITHER),
	ATTACK_ARG(protect_key, PROT_EXEC, EITHER),
	ATTACK(read_implies_exec, WORKS),
	ATTACK(memory_deny_write_execute, -EACCES),
};

TEST_F(hostile, mprotect)
{
	ATTACK_ALL(protecting);
}

/* How much nobody may lock is the machine's to say. */
static const struct attack locking[] = {
	ATTACK_ARG(lock, 0, REFUSED), /* the hole cannot be populated */
	ATTACK_ARG(lock, MLOCK_ONFAULT, EITHER),
	ATTACK_ARG(lock_all, MCL_FUTURE, EITHER),
	ATTACK_ARG(lock_all, MCL_CURRENT | MCL_FUTURE, EITHER),
	ATTACK_ARG(lock_all, MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT, EITHER),
	{ "seal", seal, 0, EITHER, .again = seal_again },
};

TEST_F(hostile, locks_and_seals)
{
	ATTACK_ALL(locking);
}

static const struct attack forking[] = {
	{ "fork", fork_child, MADV_NORMAL, WORKS, .again = fork_child_again },
	{ "fork, DONTFORK", fork_child, MADV_DONTFORK, WORKS, .again = fork_child_again },
	{ "fork, DOFORK", fork_child, MADV_DOFORK, EITHER, .again = fork_child_again },
	{ "fork, WIPEONFORK", fork_child, MADV_WIPEONFORK, -EINVAL },
	{ "fork, KEEPONFORK", fork_child, MADV_KEEPONFORK, EITHER, .again = fork_child_again },
	ATTACK(vfork_and_exec, WORKS),
};

TEST_F(hostile, fork)
{
	ATTACK_ALL(forking);
}

/* The inspection finds what there is: the client is no worse off than that. */
TEST_F(hostile, inspection_is_not_blind)
{
	struct inspection in = { 0 };
	struct scene scene;

	ASSERT_EQ(0, scene_open(&scene, &variant->kind));
	/* All is lent yet: what is to be taken back is a leak. */
	ASSERT_EQ(0, scene_inspect(&scene, &in));
	EXPECT_EQ(7, in.reads);
	EXPECT_EQ(5, in.writes);
	EXPECT_LE(4, in.leaks);
	EXPECT_NE(0, scene_differs(&scene, in.why, sizeof(in.why)));
	ASSERT_EQ(0, scene_take_back(&scene));
	in = (struct inspection){ 0 };
	ASSERT_EQ(0, scene_inspect(&scene, &in));
	EXPECT_EQ(5, in.reads);
	EXPECT_EQ(1, in.writes);
	EXPECT_EQ(0, in.leaks);
	EXPECT_EQ(SIGKILL, scene_close(&scene));
}

TEST_HARNESS_MAIN
