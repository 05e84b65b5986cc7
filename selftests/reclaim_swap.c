// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_swap.c - P4: a view of memory files larger than the memory that its
 * client may have, swapped out and in again
 */
#include "reclaim.h"

#define LIMIT		(24 * MiB)
#define SIZE		(3 * LIMIT)

FIXTURE(reclaim_swap)
{
	struct source src;
	struct cgroup cgroup;
	int control, viewfd;
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_swap)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(reclaim_swap, memfd) {
	.kind = SOURCE_MEMFD,
};

FIXTURE_VARIANT_ADD(reclaim_swap, tmpfs) {
	.kind = SOURCE_TMPFS,
};

FIXTURE_SETUP(reclaim_swap)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	if (!has_swap(2 * SIZE))
		SKIP(return, "missing: swap (selftests/vm/setup)");
	CGROUP_CREATE_OR_SKIP(&self->cgroup);
	ASSERT_EQ(0, cgroup_limit(&self->cgroup, "memory.high", LIMIT));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
}

FIXTURE_TEARDOWN(reclaim_swap)
{
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	cgroup_destroy(&self->cgroup);
	EXPECT_KLOG_CLEAN(&self->klog);
}

struct pass {
	struct cgroup cgroup;
	uint32_t expect, tag;
};

/* In the client: see that all pages are as expected, and write them. */
static long run_pass(void *arg)
{
	const struct pass *pass = arg;
	static char *mem;
	uint64_t page, value;

	if (!mem) {
		if (cgroup_enter(&pass->cgroup))
			return -errno;
		mem = view_mmap(client_viewfd, SIZE, PROT_RW, 0);
	}
	if (mem == MAP_FAILED)
		return -errno;
	for (page = 0; page < SIZE / PAGE; page++) {
		if (probe_read(mem + page * PAGE, &value))
			return -EFAULT;
		if (pass->expect && value != page_tag(pass->expect, page))
			return -1 - (long)page;
		if (pass->tag &&
		    probe_write(mem + page * PAGE, page_tag(pass->tag, page)))
			return -EFAULT;
	}
	return 0;
}

static bool file_is(int fd, uint32_t tag)
{
	uint64_t page, value;

	for (page = 0; page < SIZE / PAGE; page++)
		if (fd_read_u64(fd, page * PAGE, &value) ||
		    value != page_tag(tag, page))
			return false;
	return true;
}

/*
 * Catches: mapped pages that cannot be swapped out; that are, while a client
 * writes to them; a charge to another cgroup than the client's.
 */
TEST_F_TIMEOUT(reclaim_swap, larger_than_the_limit, 300)
{
	struct pass pass = { .cgroup = self->cgroup, .tag = 1 };
	struct client client;
	uint64_t swapped;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, run_pass, &pass, sizeof(pass)));
	EXPECT_GT(SIZE / 2, cgroup_current(&self->cgroup));
	ASSERT_EQ(0, cgroup_number(&self->cgroup, "memory.swap.current", "",
				   &swapped));
	EXPECT_LT(SIZE / 2, swapped);

	pass.expect = 1;
	pass.tag = 2;
	ASSERT_EQ(0, client_call(&client, run_pass, &pass, sizeof(pass)));
	pass.expect = 2;
	pass.tag = 0;
	ASSERT_EQ(0, client_call(&client, run_pass, &pass, sizeof(pass)));
	ASSERT_EQ(0, client_stop(&client));
	EXPECT_TRUE(file_is(self->src.fd, 2));
}

/* ---- A client that asks for it ---- */

static long page_out(void *arg)
{
	char *mem = view_mmap(client_viewfd, SIZE, PROT_RW, 0);

	if (mem == MAP_FAILED)
		return -errno;
	if (madvise(mem, SIZE, MADV_POPULATE_WRITE) ||
	    madvise(mem, SIZE, MADV_PAGEOUT))
		return -errno;
	return 0;
}

/*
 * MADV_PAGEOUT sends to swap what the client maps, if nobody else does.
 *
 * Catches: as above, by the page; a mapcount that is not one for one client.
 */
TEST_F(reclaim_swap, madv_pageout)
{
	struct client client;
	uint64_t free;

	ASSERT_EQ(0, source_fill(&self->src, 3));
	free = meminfo("SwapFree:");
	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, page_out, NULL, 0));
	EXPECT_GT(free - SIZE * 3 / 4, meminfo("SwapFree:"));
	ASSERT_EQ(0, client_stop(&client));
	EXPECT_TRUE(file_is(self->src.fd, 3));
}

TEST_HARNESS_MAIN
