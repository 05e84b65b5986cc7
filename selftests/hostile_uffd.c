// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_uffd.c - P1 and P2 against a client that brings a userfaultfd: pages of
 * its own in the view, pages of the view elsewhere, protections to lift
 */
#include "hostile.h"

#include <linux/userfaultfd.h>

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api))
		return -errno;
	return uffd;
}

static int uffd_register(int uffd, void *mem, size_t size, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)mem, .len = size },
		.mode = mode,
	};

	return err_or(ioctl(uffd, UFFDIO_REGISTER, &reg));
}

/* A userfaultfd that tracks writes, which is all that a view can be given to. */
static int async_uffd(void)
{
	static int uffd = -1;

	if (uffd < 0) {
		uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);
		if (uffd >= 0)
			uffd_register(uffd, prey.mem, VIEW_SIZE, UFFDIO_REGISTER_MODE_WP);
	}
	return uffd;
}

static char *own_page(void)
{
	static char *page;
	uint64_t *word;

	if (!page)
		page = mmap(NULL, PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (word = (uint64_t *)page; word < (uint64_t *)(page + PAGE); word++)
		*word = STOLEN;
	return page;
}

static long uffd_register_as(long mode)
{
	int uffd = uffd_open(0);

	return uffd < 0 ? uffd : uffd_register(uffd, prey.mem, VIEW_SIZE, mode);
}

/* With every feature there is, as far as they are known here. */
static long uffd_register_shmem(long mode)
{
	int uffd = uffd_open(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MISSING_SHMEM);

	return uffd < 0 ? uffd : uffd_register(uffd, prey.mem, VIEW_SIZE, mode);
}

static long uffd_copy(long page)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)prey_page(page),
		.src = (uintptr_t)own_page(),
		.len = PAGE,
	};

	return err_or(ioctl(async_uffd(), UFFDIO_COPY, &copy));
}

static long uffd_copy_protected(long page)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)prey_page(page),
		.src = (uintptr_t)own_page(),
		.len = PAGE,
		.mode = UFFDIO_COPY_MODE_WP,
	};

	return err_or(ioctl(async_uffd(), UFFDIO_COPY, &copy));
}

static long uffd_zero(long page)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (uintptr_t)prey_page(page), .len = PAGE },
	};

	return err_or(ioctl(async_uffd(), UFFDIO_ZEROPAGE, &zero));
}

static long uffd_continue(long page)
{
	struct uffdio_continue cont = {
		.range = { .start = (uintptr_t)prey_page(page), .len = PAGE },
	};

	return err_or(ioctl(async_uffd(), UFFDIO_CONTINUE, &cont));
}

static long uffd_poison(long page)
{
	struct uffdio_poison poison = {
		.range = { .start = (uintptr_t)prey_page(page), .len = PAGE },
	};

	return err_or(ioctl(async_uffd(), UFFDIO_POISON, &poison));
}

/* Lend the page to anonymous memory, or the other way round. */
static long uffd_move_out(long page)
{
	char *own = mmap(NULL, PAGE, PROT_RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_move move = {
		.dst = (uintptr_t)own,
		.src = (uintptr_t)prey_page(page),
		.len = PAGE,
	};
	int uffd = uffd_open(UFFD_FEATURE_MOVE);
	long ret;

	if (uffd < 0)
		return uffd;
	uffd_register(uffd, own, PAGE, UFFDIO_REGISTER_MODE_MISSING);
	ret = err_or(ioctl(uffd, UFFDIO_MOVE, &move));
	munmap(own, PAGE); /* a read would wait for a monitor */
	close(uffd);
	return ret;
}

static long uffd_move_in(long page)
{
	struct uffdio_move move = {
		.dst = (uintptr_t)prey_page(page),
		.src = (uintptr_t)own_page(),
		.len = PAGE,
	};

	return err_or(ioctl(async_uffd(), UFFDIO_MOVE, &move));
}

static long uffd_protect(long mode)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)prey.mem, .len = VIEW_SIZE },
		.mode = mode,
	};
	int uffd = async_uffd();

	return uffd < 0 ? uffd : err_or(ioctl(uffd, UFFDIO_WRITEPROTECT, &wp));
}

static long uffd_protect_and_lift(long arg)
{
	return uffd_protect(UFFDIO_WRITEPROTECT_MODE_WP) ?: uffd_protect(0);
}

/* Marks stay in the page table where pages are taken away. Lift them now. */
static long uffd_lift_again(long arg)
{
	uffd_protect(0);
	inspect(&(struct inspection){ 0 });
	uffd_protect(UFFDIO_WRITEPROTECT_MODE_WP);
	uffd_protect(0);
	return -1; /* see the inspection */
}

static long uffd_protect_and_fork(long arg)
{
	struct inspection in = { 0 };
	int status;
	pid_t pid;

	uffd_protect(UFFDIO_WRITEPROTECT_MODE_WP);
	pid = fork();
	if (!pid) {
		inspect(&in);
		_exit(0);
	}
	return waitpid(pid, &status, 0) == pid && !status ? 0 : -ECHILD;
}

static long uffd_protect_and_move(long arg)
{
	char *to = mmap(NULL, VIEW_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	uffd_protect(UFFDIO_WRITEPROTECT_MODE_WP);
	to = mremap(prey.mem, VIEW_SIZE, VIEW_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (to == MAP_FAILED)
		return -errno;
	prey.mem = to;
	return 0;
}

#define MISSING	UFFDIO_REGISTER_MODE_MISSING
#define WP	UFFDIO_REGISTER_MODE_WP
#define MINOR	UFFDIO_REGISTER_MODE_MINOR

static const struct attack registering[] = {
	ATTACK_ARG(uffd_register_as, MISSING, REFUSED),
	ATTACK_ARG(uffd_register_as, WP, REFUSED),
	ATTACK_ARG(uffd_register_as, MINOR, REFUSED),
	ATTACK_ARG(uffd_register_as, MISSING | WP | MINOR, REFUSED),
	ATTACK_ARG(uffd_register_shmem, MISSING, REFUSED),
	ATTACK_ARG(uffd_register_shmem, MINOR, REFUSED),
};

TEST_F(hostile, register)
{
	ATTACK_ALL(registering);
}

static const struct attack filling[] = {
	{ "copy", uffd_copy, PAGE_RW, REFUSED, .again = uffd_copy },
	{ "copy", uffd_copy, PAGE_RO, REFUSED, .again = uffd_copy },
	{ "copy", uffd_copy, PAGE_HOLE, REFUSED, .again = uffd_copy },
	{ "copy", uffd_copy, PAGE_UNMAPPED, REFUSED, .again = uffd_copy },
	{ "copy protected", uffd_copy_protected, PAGE_RO, REFUSED, .again = uffd_copy_protected },
	{ "zero", uffd_zero, PAGE_UNMAPPED, REFUSED, .again = uffd_zero },
	{ "zero", uffd_zero, PAGE_HOLE, REFUSED, .again = uffd_zero },
	{ "continue", uffd_continue, PAGE_UNMAPPED, REFUSED, .again = uffd_continue },
	{ "continue", uffd_continue, PAGE_HOLE, REFUSED, .again = uffd_continue },
	{ "poison", uffd_poison, PAGE_UNMAPPED, REFUSED, .again = uffd_poison },
	{ "move out", uffd_move_out, PAGE_RW, REFUSED, .again = uffd_move_out },
	{ "move out", uffd_move_out, PAGE_UNMAPPED, REFUSED, .again = uffd_move_out },
	{ "move in", uffd_move_in, PAGE_HOLE, REFUSED, .again = uffd_move_in },
	{ "move in", uffd_move_in, PAGE_UNMAPPED, REFUSED, .again = uffd_move_in },
};

TEST_F(hostile, fill)
{
	ATTACK_ALL(filling);
}

/* Tracking may be missing; where it is not, it gets the client nothing. */
static const struct attack protecting[] = {
	{ "protect", uffd_protect, UFFDIO_WRITEPROTECT_MODE_WP, EITHER, .again = uffd_lift_again },
	{ "lift", uffd_protect, 0, EITHER, .again = uffd_lift_again },
	{ "protect and lift", uffd_protect_and_lift, 0, EITHER, .again = uffd_lift_again },
	{ "fork", uffd_protect_and_fork, 0, EITHER, .again = uffd_lift_again },
	{ "move", uffd_protect_and_move, 0, EITHER, .again = uffd_lift_again },
};

TEST_F(hostile, write_protect)
{
	ATTACK_ALL(protecting);
}

TEST_HARNESS_MAIN
