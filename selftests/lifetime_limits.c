// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime_limits.c - P9 and P5 where something runs out: ranges, memory
 */
#include "lifetime.h"
#include "reclaim.h"

#include <sys/prctl.h>

#define MAX_RANGES	"/sys/module/memview/parameters/max_ranges"
#define TAG		1
#define FILE_PAGES	16

FIXTURE(lifetime_limits)
{
	int memfd, control;
	char max_ranges[32];
	struct klog klog;
};

FIXTURE_SETUP(lifetime_limits)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_LT(0, read_file(MAX_RANGES, self->max_ranges,
			       sizeof(self->max_ranges)));
	self->memfd = memfd_filled(FILE_PAGES * PAGE, TAG);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(GiB);
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(lifetime_limits)
{
	EXPECT_EQ(0, write_file(MAX_RANGES, self->max_ranges));
	close(self->control);
	close(self->memfd);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int map_one(FIXTURE_DATA(lifetime_limits) *self, uint64_t page)
{
	return view_map(self->control, self->memfd, page % FILE_PAGES * PAGE,
			PAGE, page * PAGE, MAP_RW);
}

static uint64_t count(FIXTURE_DATA(lifetime_limits) *self)
{
	struct view_info info = { 0 };

	return view_info(self->control, &info) ? ~0ULL : info.ranges;
}

/*
 * Up to the limit all goes well, past it nothing happens.
 *
 * Catches: a limit that is off by one, that an unmap in the middle of a range
 * gets around, that refuses a replacement which needs no more ranges; a
 * request that failed and yet changed something.
 */
TEST_F(lifetime_limits, max_ranges)
{
	int viewfd = view_get_fd(self->control), i;
	uint64_t value;
	char *mem;

	mem = view_mmap(viewfd, 64 * PAGE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, write_file(MAX_RANGES, "8"));
	for (i = 0; i < 7; i++)
		ASSERT_EQ(0, map_one(self, 2 * i));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 5 * PAGE,
			      20 * PAGE, MAP_RW));
	EXPECT_EQ(8, count(self));
	EXPECT_EQ(-ENOSPC, map_one(self, 40));
	EXPECT_EQ(SIGBUS, probe_read(mem + 40 * PAGE, &value));

	/* One in the middle makes three of one; a hole there, two. */
	EXPECT_EQ(-ENOSPC, map_one(self, 22));
	EXPECT_EQ(-ENOSPC, view_unmap(self->control, 22 * PAGE, PAGE));
	for (i = 0; i < 5; i++) {
		EXPECT_EQ(0, probe_read(mem + (20 + i) * PAGE, &value));
		EXPECT_EQ(page_tag(TAG, i), value);
	}
	EXPECT_EQ(8, count(self));

	/* What needs no more is fine: at the border, or in the place of one. */
	EXPECT_EQ(0, view_unmap(self->control, 24 * PAGE, PAGE));
	EXPECT_EQ(0, map_one(self, 0));
	EXPECT_EQ(8, count(self));

	ASSERT_EQ(0, write_file(MAX_RANGES, "10"));
	EXPECT_EQ(0, view_unmap(self->control, 22 * PAGE, PAGE));
	EXPECT_EQ(0, map_one(self, 40));
	EXPECT_EQ(10, count(self));
	EXPECT_EQ(-ENOSPC, map_one(self, 42));

	/* A lower limit takes nothing away, and unmapping always goes on. */
	ASSERT_EQ(0, write_file(MAX_RANGES, "1"));
	EXPECT_EQ(0, probe_read(mem + 40 * PAGE, &value));
	EXPECT_EQ(0, view_unmap(self->control, 0, 64 * PAGE));
	EXPECT_EQ(0, count(self));
	EXPECT_EQ(0, map_one(self, 0));
	EXPECT_EQ(-ENOSPC, map_one(self, 2));
	munmap(mem, 64 * PAGE);
	close(viewfd);
}

/*
 * A hundred thousand ranges, found, unmapped and replaced at a stroke, and
 * dropped by close.
 *
 * Catches: a walk of all ranges without a rest (a soft lockup); a tree whose
 * large parts cannot be freed; a lookup that is not logarithmic takes minutes.
 */
TEST_F(lifetime_limits, hundred_thousand_ranges)
{
	const uint64_t n = scaled(100000);
	uint64_t seed = random_seed(), page, value, start;
	int viewfd = view_get_fd(self->control), i;
	char *mem = view_mmap(viewfd, GiB, PROT_READ, 0);

	ASSERT_NE(MAP_FAILED, mem);
	/* Neighbours that show pages which are no neighbours. */
	for (page = 0; page < n; page++)
		ASSERT_EQ(0, map_one(self, page));
	EXPECT_EQ(n, count(self));
	for (i = 0; i < 1000; i++) {
		page = random_next(&seed) % n;
		ASSERT_EQ(0, probe_read(mem + page * PAGE, &value));
		ASSERT_EQ(page_tag(TAG, page % FILE_PAGES), value);
	}
	start = now_ns();
	/* One third goes, one is replaced at a stroke; the rest at the end. */
	EXPECT_EQ(0, view_unmap(self->control, 0, n / 3 * PAGE));
	EXPECT_EQ(SIGBUS, probe_read(mem, &value));
	EXPECT_EQ(0, view_map(self->control, self->memfd, 0, n / 3 * PAGE,
			      n / 3 * PAGE, MAP_R));
	EXPECT_EQ(n - 2 * (n / 3) + 1, count(self));
	EXPECT_EQ(0, probe_read(mem + n / 3 * PAGE, &value));
	EXPECT_EQ(page_tag(TAG, 0), value);
	EXPECT_EQ(0, probe_read(mem + (n - 1) * PAGE, &value));
	sleep_ms(200); /* what the kernel frees later is freed now */
	munmap(mem, GiB);
	close(viewfd);
	close(self->control);
	EXPECT_TRUE(view_is_gone(self->memfd));
	EXPECT_GT(20000000000, now_ns() - start);
}

/* ---- Memory ---- */

/* In a child: be in the cgroup and map one range after the other. */
static int map_in_cgroup(FIXTURE_DATA(lifetime_limits) *self,
			 const struct cgroup *cgroup, uint64_t n)
{
	uint64_t page;
	int err = cgroup_enter(cgroup);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (page = 0; page < n && !err; page++)
		err = map_one(self, page);
	return err;
}

/*
 * Ranges are paid for by who makes them.
 *
 * Catches: allocations that are not charged, by which a controller in a
 * container uses up the host's memory.
 */
TEST_F(lifetime_limits, ranges_are_charged)
{
	const uint64_t n = scaled(20000);
	struct cgroup cgroup;
	uint64_t idle;
	int status;
	pid_t pid;

	CGROUP_CREATE_OR_SKIP(&cgroup);
	idle = cgroup_current(&cgroup);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(!!map_in_cgroup(self, &cgroup, n));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	/* The view is ours, too: they are still there. */
	EXPECT_EQ(n, count(self));
	EXPECT_LT(idle + n * 64, cgroup_current(&cgroup));
	ASSERT_EQ(0, view_resize(self->control, 0));
	EXPECT_EQ(0, count(self));
	cgroup_destroy(&cgroup);
}

/* How many objects there are that were allocated by kmalloc() and not charged. */
static int64_t uncharged_objects(void)
{
	FILE *f = fopen("/proc/slabinfo", "re");
	char line[512];
	int64_t sum = 0;
	unsigned long active;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "kmalloc-", 8) && strncmp(line, "kmalloc-cg", 10) &&
		    strncmp(line, "kmalloc-rcl", 11) && sscanf(line, "%*s %lu", &active) == 1)
			sum += active;
	if (f)
		fclose(f);
	return sum;
}

/* By how many objects files of their own grow that, kept by the view or by mmap(). */
static int64_t grow_by_files(FIXTURE_DATA(lifetime_limits) *self, unsigned int n, bool view)
{
	int64_t before = uncharged_objects();
	unsigned int i;
	int fd;

	for (i = 0; i < n; i++) {
		fd = memfd_create("file", MFD_CLOEXEC);
		if (ftruncate(fd, PAGE))
			return INT64_MAX;
		if (view ? view_map(self->control, fd, 0, PAGE, i * PAGE, MAP_R) :
			   mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
			return INT64_MAX;
		close(fd);
	}
	return uncharged_objects() - before;
}

/*
 * Catches: an object for each source that nobody is charged for. There was one: what
 * the core allocates where a notifier is registered.
 */
TEST_F(lifetime_limits, sources_are_charged)
{
	const unsigned int n = scaled(5000);
	int64_t by_mmap, by_view;

	if (uncharged_objects() <= 0)
		SKIP(return, "missing: /proc/slabinfo");
	by_mmap = grow_by_files(self, n, false);
	by_view = grow_by_files(self, n, true);
	printf("# %u files: %lld uncharged objects by mmap, %lld by the view\n", n,
	       (long long)by_mmap, (long long)by_view);
	EXPECT_GT(n / 2, by_view - by_mmap);
}

/*
 * The OOM killer writes a call trace into the kernel log, which is no splat:
 * the tests that provoke it leave the log to the runner, which knows.
 */

/*
 * A controller whose memory runs out gets ENOMEM or is killed; the view is
 * intact.
 *
 * Catches: a change that is half done when an allocation fails; a lock that is
 * held by who is killed.
 */
TEST(out_of_memory_while_mapping)
{
	FIXTURE_DATA(lifetime_limits) data = { 0 }, *self = &data;
	struct cgroup cgroup;
	uint64_t n;
	int status;
	pid_t pid;

	CGROUP_CREATE_OR_SKIP(&cgroup);
	ASSERT_EQ(0, cgroup_limit(&cgroup, "memory.max", 3 * MiB));
	ASSERT_EQ(0, cgroup_limit(&cgroup, "memory.swap.max", 0));
	self->memfd = memfd_filled(FILE_PAGES * PAGE, TAG);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(GiB);
	ASSERT_LE(0, self->control);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(map_in_cgroup(self, &cgroup, 200000) == -ENOMEM ? 3 : 4);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) ||
		    (WIFEXITED(status) && WEXITSTATUS(status) == 3))
		TH_LOG("status %x", status);

	n = count(self);
	EXPECT_LT(1000, n);
	EXPECT_GT(200000, n);
	EXPECT_EQ(0, map_one(self, 200001));
	EXPECT_EQ(n + 1, count(self));
	EXPECT_EQ(0, view_unmap(self->control, 0, 100 * PAGE));
	EXPECT_EQ(n + 1 - 100, count(self));
	close(self->control);
	EXPECT_TRUE(view_is_gone(self->memfd));
	close(self->memfd);
	cgroup_destroy(&cgroup);
}

struct eater {
	struct cgroup cgroup;
	uint64_t pages;
};

static long eat(void *arg)
{
	struct eater *eater = arg;
	char *mem = view_mmap(client_viewfd, eater->pages * PAGE, PROT_RW, 0);
	uint64_t i;

	if (mem == MAP_FAILED || cgroup_enter(&eater->cgroup))
		return -errno;
	for (i = 0; i < eater->pages; i++)
		if (probe_write(mem + i * PAGE, i))
			return -EFAULT;
	return 0;
}

/*
 * A client that is killed because its memory runs out, in the middle of a
 * fault: others go on.
 *
 * Catches: a lock, or a page, that its fault does not give back.
 */
TEST(out_of_memory_in_a_fault)
{
	const uint64_t size = 24 * MiB;
	struct eater eater = { .pages = size / PAGE };
	struct client client;
	int memfd, control, viewfd;
	uint64_t value;
	char *mem;

	CGROUP_CREATE_OR_SKIP(&eater.cgroup);
	ASSERT_EQ(0, cgroup_limit(&eater.cgroup, "memory.max", 8 * MiB));
	ASSERT_EQ(0, cgroup_limit(&eater.cgroup, "memory.swap.max", 0));
	memfd = memfd_create("memview-test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, ftruncate(memfd, size));
	control = view_create(size);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, view_map(control, memfd, 0, size, 0, MAP_RW));
	viewfd = view_get_fd(control);
	ASSERT_LE(0, viewfd);

	ASSERT_EQ(0, client_start(&client, viewfd));
	EXPECT_EQ(-EPIPE, client_call(&client, eat, &eater, sizeof(eater)));
	EXPECT_EQ(SIGKILL, client_stop(&client));

	mem = view_mmap(viewfd, size, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, probe_read(mem + 100 * PAGE, &value));
	EXPECT_EQ(100, value);
	EXPECT_EQ(0, probe_write(mem + size - PAGE, 1));
	EXPECT_EQ(0, view_unmap(control, 0, size));
	EXPECT_EQ(SIGBUS, probe_read(mem + 100 * PAGE, &value));
	munmap(mem, size);
	close(viewfd);
	close(control);
	EXPECT_TRUE(view_is_gone(memfd));
	close(memfd);
	cgroup_destroy(&eater.cgroup);
}

TEST_HARNESS_MAIN
