// SPDX-License-Identifier: GPL-2.0
/*
 * hostile_advice.c - P1 and P2 against a client that gives the kernel advice
 * on its mapping, moves its pages about and has them watched
 */
#include "hostile.h"

#include <linux/fs.h>
#include <linux/mempolicy.h>
#include <linux/userfaultfd.h>
#include <sys/prctl.h>
#include <sys/swap.h>

/* Newer than some C libraries. */
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#define NR_cachestat 451

/* ---- madvise ---- */

static long advise(long advice)
{
	return err_or(madvise(prey.mem, VIEW_SIZE, advice));
}

static long advise_page(long advice)
{
	return err_or(madvise(prey_page(PAGE_UNMAPPED), PAGE, advice));
}

static long populate_read_only(long advice)
{
	return err_or(madvise(prey_page(PAGE_RO), PAGE, advice));
}

/* What was lent read-only, or is no longer, cannot be populated for writing. */
static long populate_again(long advice)
{
	long ret = madvise(prey_page(PAGE_UNMAPPED), PAGE, advice);

	return ret ? err_or(madvise(prey_page(PAGE_NARROWED), PAGE, MADV_POPULATE_WRITE)) : 0;
}

static long advise_process(long advice)
{
	struct iovec iov = { .iov_base = prey.mem, .iov_len = VIEW_SIZE };
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	long ret = err_or(syscall(SYS_process_madvise, pidfd, &iov, 1, advice, 0));

	close(pidfd);
	return ret;
}

static const struct attack advising[] = {
	ATTACK_ARG(advise, MADV_NORMAL, WORKS),
	ATTACK_ARG(advise, MADV_RANDOM, WORKS),
	ATTACK_ARG(advise, MADV_SEQUENTIAL, WORKS),
	ATTACK_ARG(advise, MADV_WILLNEED, EITHER),
	ATTACK_ARG(advise, MADV_DONTNEED, WORKS),
	ATTACK_ARG(advise, MADV_DONTNEED_LOCKED, WORKS),
	ATTACK_ARG(advise, MADV_FREE, -EINVAL),
	ATTACK_ARG(advise, MADV_REMOVE, REFUSED),
	ATTACK_ARG(advise_page, MADV_REMOVE, REFUSED),
	ATTACK_ARG(advise, MADV_DONTFORK, WORKS),
	ATTACK_ARG(advise, MADV_DOFORK, EITHER),
	ATTACK_ARG(advise, MADV_WIPEONFORK, -EINVAL),
	ATTACK_ARG(advise, MADV_KEEPONFORK, EITHER),
	ATTACK_ARG(advise, MADV_MERGEABLE, EITHER),
	ATTACK_ARG(advise, MADV_UNMERGEABLE, EITHER),
	ATTACK_ARG(advise, MADV_HUGEPAGE, EITHER),
	ATTACK_ARG(advise, MADV_NOHUGEPAGE, EITHER),
	ATTACK_ARG(advise, MADV_DODUMP, -EINVAL),
	ATTACK_ARG(advise, MADV_DONTDUMP, WORKS),
	ATTACK_ARG(advise, MADV_COLD, EITHER),
	ATTACK_ARG(advise, MADV_PAGEOUT, EITHER),
	ATTACK_ARG(advise, MADV_COLLAPSE, REFUSED),
	ATTACK_ARG(advise, MADV_GUARD_INSTALL, REFUSED),
	ATTACK_ARG(advise, MADV_GUARD_REMOVE, REFUSED),
	ATTACK_ARG(advise_process, MADV_COLD, EITHER),
	ATTACK_ARG(advise_process, MADV_PAGEOUT, EITHER),
	ATTACK_ARG(advise_process, MADV_WILLNEED, EITHER),
	ATTACK_ARG(advise_process, MADV_COLLAPSE, REFUSED),
	ATTACK_ARG(advise_process, MADV_DONTNEED, EITHER),
	ATTACK_ARG(populate_read_only, MADV_POPULATE_READ, WORKS),
	ATTACK_ARG(populate_read_only, MADV_POPULATE_WRITE, -EFAULT),
	{ "populate", advise_page, MADV_POPULATE_WRITE, WORKS, .again = populate_again },
	{ "populate", advise_page, MADV_POPULATE_READ, WORKS, .again = populate_again },
};

TEST_F(hostile, madvise)
{
	ATTACK_ALL(advising);
}

/* ---- Where pages are ---- */

static long bind_pages(long flags)
{
	unsigned long nodes = 1;

	return err_or(syscall(SYS_mbind, prey.mem, VIEW_SIZE, MPOL_BIND, &nodes, 64, flags));
}

static long interleave(long arg)
{
	unsigned long nodes = 1;

	return err_or(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &nodes, 64));
}

static long move_pages_to(long flags)
{
	void *pages[VIEW_PAGES];
	int status[VIEW_PAGES], nodes[VIEW_PAGES] = { 0 };
	unsigned int i;

	for (i = 0; i < VIEW_PAGES; i++)
		pages[i] = prey_page(i);
	return err_or(syscall(SYS_move_pages, 0, VIEW_PAGES, pages, nodes, status, flags));
}

static long migrate(long arg)
{
	unsigned long from = 1, to = 1;

	return err_or(syscall(SYS_migrate_pages, 0, 64, &from, &to));
}

static long page_out_and_swapoff(long arg)
{
	const char *swap = "/dev/mapper/memview-swap";

	advise(MADV_PAGEOUT);
	return err_or(swapoff(swap)) ?: err_or(swapon(swap, 0));
}

static const struct attack migrating[] = {
	ATTACK_ARG(bind_pages, 0, EITHER),
	ATTACK_ARG(bind_pages, MPOL_MF_STRICT | MPOL_MF_MOVE, EITHER),
	{ "bind all", bind_pages, MPOL_MF_STRICT | MPOL_MF_MOVE_ALL, -EPERM, .root = EITHER },
	ATTACK(interleave, EITHER),
	ATTACK_ARG(move_pages_to, MPOL_MF_MOVE, EITHER),
	{ "move all", move_pages_to, MPOL_MF_MOVE_ALL, -EPERM, .root = EITHER },
	ATTACK(migrate, EITHER),
	{ "swapoff", page_out_and_swapoff, 0, REFUSED, .root = EITHER },
	/* Pages that are moved away for good: a capability, and for what is lent. */
	{ "soft offline", advise_page, MADV_SOFT_OFFLINE, -EPERM, .root = EITHER },
	{ "poison", advise_page, MADV_HWPOISON, -EPERM, .root = SAME },
};

TEST_F(hostile, move_pages)
{
	unsigned int i;

	/* What root poisons is gone for all: a test of its own. */
	for (i = 0; i < ARRAY_SIZE(migrating); i++)
		if (!variant->kind.root || migrating[i].arg != MADV_HWPOISON)
			attack_one(_metadata, &variant->kind, &migrating[i]);
}

static const struct attack poisoning = {
	.name = "poison", .run = advise_page, .arg = MADV_HWPOISON, .want = -EPERM, .root = EITHER,
};

/*
 * A client with CAP_SYS_ADMIN may declare the memory of a page broken, as it may
 * of any page that it maps. The page is lost, its neighbours are not; nor does
 * the revoke care.
 */
TEST(poison)
{
	const struct scene_kind kind = { .source = SOURCE_MEMFD, .root = true };
	struct inspection in = { 0 };
	struct scene scene;
	struct klog klog;
	uint64_t word;
	long ret;

	ASSERT_EQ(0, klog_start(&klog));
	ASSERT_EQ(0, scene_open(&scene, &kind));
	ret = scene_attack(&scene, &poisoning);
	if (ret == -EINVAL)
		SKIP(return, "missing: CONFIG_MEMORY_FAILURE");
	ASSERT_EQ(0, ret);
	EXPECT_EQ(SIGBUS, probe_read(scene.mem + PAGE_UNMAPPED * PAGE, &word));
	EXPECT_EQ(0, probe_read(scene.mem + PAGE_RO * PAGE, &word));
	EXPECT_EQ(page_tag(LENT_ID, PAGE_RO), word);
	ASSERT_EQ(0, view_unmap(scene.control, PAGE_UNMAPPED * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(scene.mem + PAGE_UNMAPPED * PAGE, &word));
	/* A hole in the file, and there is a good page again. */
	ASSERT_EQ(0, fallocate(scene.lent.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       PAGE_UNMAPPED * PAGE, PAGE));
	ASSERT_EQ(0, scene_take_back(&scene));
	ASSERT_EQ(0, scene_inspect(&scene, &in));
	EXPECT_EQ(0, in.leaks) TH_LOG("%s", in.why);
	EXPECT_EQ(0, scene_differs(&scene, in.why, sizeof(in.why))) TH_LOG("%s", in.why);
	scene_close(&scene);
	EXPECT_KLOG_CLEAN(&klog);
}

/* ---- Who looks, and the marks that looking leaves in page tables ---- */

static long soft_dirty(long arg)
{
	return write_file("/proc/self/clear_refs", "4");
}

/* The marks are taken away by a write, which must still be asked about. */
static long soft_dirty_again(long arg)
{
	soft_dirty(arg);
	return -1; /* see the inspection */
}

static long forget_references(long kind)
{
	char text[2] = { '0' + kind };

	return write_file("/proc/self/clear_refs", text);
}

static int watch_writes(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	};
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)prey.mem, .len = VIEW_SIZE },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	return uffd;
}

/* Write-protects what was written, in one go with looking. */
static long scan_and_protect(long arg)
{
	struct page_region regions[VIEW_PAGES];
	struct pm_scan_arg scan = {
		.size = sizeof(scan),
		.flags = PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = (uintptr_t)prey.mem,
		.end = (uintptr_t)prey.mem + VIEW_SIZE,
		.vec = (uintptr_t)regions,
		.vec_len = VIEW_PAGES,
		.category_anyof_mask = PAGE_IS_WRITTEN | PAGE_IS_PRESENT,
		.return_mask = PAGE_IS_WRITTEN,
	};
	int uffd = watch_writes(), pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	long ret;

	if (uffd < 0)
		return uffd;
	ret = err_or(ioctl(pagemap, PAGEMAP_SCAN, &scan));
	close(pagemap);
	return ret;
}

static long residency(long arg)
{
	unsigned char pages[VIEW_PAGES];

	return err_or(mincore(prey.mem, VIEW_SIZE, pages));
}

static long cache_stat(long arg)
{
	uint64_t range[2] = { 0, 0 }, stat[8];

	return err_or(syscall(NR_cachestat, prey.viewfd, range, stat, 0));
}

static long sync_mapping(long flags)
{
	return err_or(msync(prey.mem, VIEW_SIZE, flags));
}

static long control(long option)
{
	return err_or(prctl(option, 1, 0, 0, 0));
}

static long name_mapping(long arg)
{
	return err_or(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, prey.mem, VIEW_SIZE, "mine"));
}

/* A program that is no file that could be run. */
static long be_the_program(long arg)
{
	return err_or(prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, prey.viewfd, 0, 0));
}

static const struct attack watching[] = {
	{ "soft-dirty", soft_dirty, 0, WORKS, .again = soft_dirty_again },
	ATTACK_ARG(forget_references, 1, WORKS),
	ATTACK_ARG(forget_references, 3, WORKS),
	ATTACK(scan_and_protect, EITHER),
	ATTACK(residency, WORKS),
	ATTACK(cache_stat, EITHER),
	ATTACK_ARG(sync_mapping, MS_SYNC, WORKS),
	ATTACK_ARG(sync_mapping, MS_INVALIDATE, WORKS),
	ATTACK_ARG(sync_mapping, MS_ASYNC, WORKS),
	ATTACK_ARG(control, PR_SET_THP_DISABLE, WORKS),
	{ "merge memory", control, PR_SET_MEMORY_MERGE, EITHER },
	ATTACK(name_mapping, REFUSED),
	ATTACK(be_the_program, REFUSED),
};

TEST_F(hostile, watch)
{
	ATTACK_ALL(watching);
}

TEST_HARNESS_MAIN
