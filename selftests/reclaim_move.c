// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_move.c - P4: the pages of a view are ordinary pages, which the kernel
 * moves, evicts, counts and takes away as those of an mmap
 */
#include "reclaim.h"

#include <linux/kernel-page-flags.h>

#define PAGES		4096
#define SIZE		(PAGES * PAGE)
#define TAG		1

FIXTURE(reclaim_move)
{
	struct source src;
	int control, viewfd;
	char *mem;
	struct klog klog;
};

FIXTURE_VARIANT(reclaim_move)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(reclaim_move, memfd) {
	.kind = SOURCE_MEMFD,
};

FIXTURE_VARIANT_ADD(reclaim_move, tmpfs) {
	.kind = SOURCE_TMPFS,
};

FIXTURE_VARIANT_ADD(reclaim_move, ext4) {
	.kind = SOURCE_EXT4,
};

FIXTURE_VARIANT_ADD(reclaim_move, xfs) {
	.kind = SOURCE_XFS,
};

FIXTURE_VARIANT_ADD(reclaim_move, btrfs) {
	.kind = SOURCE_BTRFS,
};

FIXTURE_VARIANT_ADD(reclaim_move, overlay) {
	.kind = SOURCE_OVERLAY,
};

FIXTURE_SETUP(reclaim_move)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(reclaim_move)
{
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t read_entry(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (fd < 0)
		return 0;
	if (pread(fd, &entry, sizeof(entry), index * sizeof(entry)) < 0)
		entry = 0;
	close(fd);
	return entry;
}

/* The page frame behind an address, or 0: none. */
static uint64_t pfn_of(const void *addr)
{
	uint64_t entry = read_entry("/proc/self/pagemap",
				    (uintptr_t)addr / PAGE);

	return entry >> 63 ? entry & ((1ULL << 55) - 1) : 0;
}

static bool pfns(const char *mem, uint64_t *pfn)
{
	unsigned int i;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ssize_t n = pread(fd, pfn, PAGES * 8, (uintptr_t)mem / PAGE * 8);

	close(fd);
	for (i = 0; i < PAGES; i++)
		pfn[i] = pfn[i] >> 63 ? pfn[i] & ((1ULL << 55) - 1) : 0;
	return n == PAGES * 8;
}

static bool touch_all(char *mem)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (probe_write(mem + i * PAGE, page_tag(TAG, i)))
			return false;
	return true;
}

static bool all_there(const char *mem)
{
	uint64_t value;
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (probe_read(mem + i * PAGE, &value) ||
		    value != page_tag(TAG, i))
			return false;
	return true;
}

/*
 * Memory full of holes is compacted: mapped pages move.
 *
 * Catches: a PTE that migration cannot find, and whose reference keeps the
 * page where it is.
 */
TEST_F(reclaim_move, compaction)
{
	static uint64_t before[PAGES], after[PAGES];
	uint64_t stride = meminfo("MemFree:") / 2 / PAGES / PAGE, n;
	unsigned int i, moved = 0, try;
	char *filler;

	/* Spread the pages over half of the memory, among what is then freed. */
	filler = mmap(NULL, PAGES * stride * PAGE, PROT_RW,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ASSERT_NE(MAP_FAILED, filler);
	madvise(filler, PAGES * stride * PAGE, MADV_NOHUGEPAGE);
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(0, probe_write(self->mem + i * PAGE, page_tag(TAG, i)));
		for (n = 0; n < stride; n++)
			filler[(i * stride + n) * PAGE] = 1;
	}
	munmap(filler, PAGES * stride * PAGE);
	ASSERT_EQ(0, fsync(self->src.fd));
	for (try = 0; try < 5 && !moved; try++) {
		ASSERT_TRUE(all_there(self->mem));
		ASSERT_TRUE(pfns(self->mem, before));
		ASSERT_NE(0, before[0]) TH_LOG("pagemap shows no page frames");
		ASSERT_EQ(0, write_file("/proc/sys/vm/compact_memory", "1"));
		ASSERT_TRUE(all_there(self->mem));
		ASSERT_TRUE(pfns(self->mem, after));
		for (i = 0; i < PAGES; i++)
			moved += before[i] != after[i];
	}
	EXPECT_LT(PAGES / 64, moved);
}

static unsigned int resident(int fd)
{
	static unsigned char in_core[PAGES];
	void *mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
	unsigned int i, n = 0;

	if (mem == MAP_FAILED || mincore(mem, SIZE, in_core))
		return PAGES;
	munmap(mem, SIZE);
	for (i = 0; i < PAGES; i++)
		n += in_core[i] & 1;
	return n;
}

/*
 * MADV_PAGEOUT evicts what only this client maps.
 *
 * Catches: PTEs that are no mappings of their page to the kernel, and a page
 * that cannot be unmapped.
 */
TEST_F(reclaim_move, madv_pageout)
{
	bool in_memory = variant->kind == SOURCE_MEMFD ||
			 variant->kind == SOURCE_TMPFS;
	static uint64_t pfn[PAGES];
	unsigned int i, mapped = 0;

	if (in_memory && !has_swap(2 * SIZE))
		SKIP(return, "missing: swap (selftests/vm/setup)");
	ASSERT_TRUE(touch_all(self->mem));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_TRUE(all_there(self->mem));
	EXPECT_EQ(PAGES, resident(self->src.fd));
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_PAGEOUT));
	ASSERT_TRUE(pfns(self->mem, pfn));
	for (i = 0; i < PAGES; i++)
		mapped += !!pfn[i];
	EXPECT_GT(PAGES / 4, mapped);
	if (!in_memory)
		EXPECT_GT(PAGES / 4, resident(self->src.fd));
	EXPECT_TRUE(all_there(self->mem));
}

/*
 * /proc/kpageflags and kpagecount of a page that two places of a client map.
 *
 * Catches: a PTE without a mapcount, and one that is not given back.
 */
TEST_F(reclaim_move, flags_and_count)
{
	const uint64_t want = 1 << KPF_MMAP | 1 << KPF_LRU | 1 << KPF_UPTODATE;
	char *second = view_mmap(self->viewfd, PAGE, PROT_READ, 0);
	uint64_t pfn = 0, value, flags;
	int try;

	ASSERT_NE(MAP_FAILED, second);
	/* Memory may be short enough for it to go again at once. */
	for (try = 0; !pfn && try < 20; try++) {
		ASSERT_TRUE(touch_all(self->mem));
		/* From the CPUs' own lists to the LRU; what is mapped stays. */
		ASSERT_EQ(0, write_file("/proc/sys/vm/drop_caches", "1"));
		pfn = pfn_of(self->mem);
	}
	ASSERT_NE(0, pfn);
	ASSERT_EQ(1, read_entry("/proc/kpagecount", pfn));
	ASSERT_EQ(0, probe_read(second, &value));
	EXPECT_EQ(pfn, pfn_of(second));
	EXPECT_EQ(2, read_entry("/proc/kpagecount", pfn));
	flags = read_entry("/proc/kpageflags", pfn);
	EXPECT_EQ(want, flags & want);
	EXPECT_EQ(0, flags & (1 << KPF_ANON | 1 << KPF_UNEVICTABLE));

	ASSERT_EQ(0, munmap(second, PAGE));
	EXPECT_EQ(1, read_entry("/proc/kpagecount", pfn));
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(0, pfn_of(self->mem));
	EXPECT_EQ(0, read_entry("/proc/kpagecount", pfn));
}

/*
 * A page with broken memory is taken from its clients. What is nowhere else is
 * lost, and an access says so; what is on disk as well is read again.
 *
 * Catches: a client that goes on using the page.
 */
TEST_F(reclaim_move, poisoned_page)
{
	bool in_memory = variant->kind == SOURCE_MEMFD ||
			 variant->kind == SOURCE_TMPFS;
	char *page = self->mem + 5 * PAGE;
	uint64_t value = 0, pfn;

	ASSERT_TRUE(touch_all(self->mem));
	ASSERT_EQ(0, fsync(self->src.fd));
	pfn = pfn_of(page);
	if (madvise(page, PAGE, MADV_HWPOISON)) {
		ASSERT_EQ(EINVAL, errno);
		SKIP(return, "missing: CONFIG_MEMORY_FAILURE");
	}
	if (in_memory) {
		EXPECT_EQ(SIGBUS, probe_read(page, &value));
		EXPECT_EQ(BUS_MCEERR_AR, probe_fault.code);
	} else {
		EXPECT_EQ(0, probe_read(page, &value));
		EXPECT_EQ(page_tag(TAG, 5), value);
		EXPECT_NE(pfn, pfn_of(page));
	}
	EXPECT_EQ(0, probe_read(page + PAGE, &value));
	EXPECT_EQ(page_tag(TAG, 6), value);
}

/*
 * What should have been written to disk is lost. The next access finds what is
 * there; the file tells, and the kernel's log.
 *
 * Catches: a loss of which nobody hears, or a page that stays.
 */
TEST_F(reclaim_move, poisoned_dirty_page)
{
	char *page = self->mem + 5 * PAGE;
	uint64_t value = 0;

	/* It is the kernel that does it, not the file system; and it takes memory away. */
	if (variant->kind != SOURCE_EXT4)
		return;
	ASSERT_TRUE(touch_all(self->mem));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, probe_write(page, 0x5151));
	if (madvise(page, PAGE, MADV_HWPOISON)) {
		ASSERT_EQ(EINVAL, errno);
		SKIP(return, "missing: CONFIG_MEMORY_FAILURE");
	}
	EXPECT_EQ(0, probe_read(page, &value));
	EXPECT_EQ(page_tag(TAG, 5), value);
	EXPECT_EQ(-1, fsync(self->src.fd));
	EXPECT_EQ(EIO, errno);
	/* The first to sync the whole file system hears of it, too: no other test. */
	EXPECT_EQ(-1, syncfs(self->src.fd));
	EXPECT_EQ(EIO, errno);
}

/* From within the cgroup. */
static long touch_in_client(void *arg)
{
	char *mem = view_mmap(client_viewfd, SIZE, PROT_RW, 0);

	if (cgroup_enter(arg))
		return -errno;
	return mem != MAP_FAILED && touch_all(mem) ? 0 : -EFAULT;
}

/*
 * The memory of files that are gone is free, however their last client ended:
 * no page leaks. One that is not free is still charged to the cgroup of the client,
 * which touched it first; what others do with the memory does not count.
 */
TEST_F_TIMEOUT(reclaim_move, no_leak, 300)
{
	struct cgroup cgroup;
	struct client client;
	uint64_t before = 0;
	int round;

	CGROUP_CREATE_OR_SKIP(&cgroup);
	/* The first round warms up caches that stay. */
	for (round = 0; round < 8; round++) {
		if (round == 1) {
			ASSERT_EQ(0, drop_caches());
			before = cgroup_current(&cgroup);
		}
		ASSERT_EQ(0, client_start(&client, self->viewfd));
		ASSERT_EQ(0, client_call(&client, touch_in_client, &cgroup, sizeof(cgroup)));
		ASSERT_TRUE(touch_all(self->mem));
		ASSERT_EQ(SIGKILL, client_kill(&client));
		ASSERT_EQ(0, ftruncate(self->src.fd, 0));
		ASSERT_EQ(0, ftruncate(self->src.fd, SIZE));
	}
	/* Seven times SIZE was used meanwhile. */
	EXPECT_TRUE(WAIT_FOR(!drop_caches() && cgroup_current(&cgroup) < before + SIZE / 2, 20000))
		TH_LOG("%lu KiB before, now %lu", before / KiB, cgroup_current(&cgroup) / KiB);
	cgroup_destroy(&cgroup);
}

/* From one NUMA node to the other, at a client's request. */
TEST(numa_move)
{
	const int move_all = 4; /* MPOL_MF_MOVE_ALL */
	enum { N = 64 };
	static void *pages[N];
	static int node[N], status[N];
	int memfd, control, viewfd, i, moved = 0;
	uint64_t value;
	char *mem;

	if (access("/sys/devices/system/node/node1", F_OK))
		SKIP(return, "missing: a second NUMA node");
	memfd = memfd_filled(N * PAGE, TAG);
	ASSERT_LE(0, memfd);
	control = view_create(N * PAGE);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, view_map(control, memfd, 0, N * PAGE, 0, MAP_RW));
	viewfd = view_get_fd(control);
	ASSERT_LE(0, viewfd);
	mem = view_mmap(viewfd, N * PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	for (i = 0; i < N; i++) {
		pages[i] = mem + i * PAGE;
		ASSERT_EQ(0, probe_write(mem + i * PAGE + 8, i));
	}
	ASSERT_EQ(0, syscall(SYS_move_pages, 0, N, pages, NULL, status, 0));
	for (i = 0; i < N; i++)
		node[i] = !status[i];
	ASSERT_LE(0, syscall(SYS_move_pages, 0, N, pages, node, status,
			     move_all));
	for (i = 0; i < N; i++) {
		ASSERT_EQ(0, probe_read(mem + i * PAGE, &value));
		EXPECT_EQ(page_tag(TAG, i), value);
	}
	ASSERT_EQ(0, syscall(SYS_move_pages, 0, N, pages, NULL, status, 0));
	for (i = 0; i < N; i++)
		moved += status[i] == node[i];
	EXPECT_LT(N / 2, moved);
	munmap(mem, N * PAGE);
	close(viewfd);
	close(control);
	close(memfd);
}

TEST_HARNESS_MAIN
