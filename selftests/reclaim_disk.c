// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_disk.c - P4: a file much larger than the machine's memory, read and
 * rewritten through a view, is on its disk to the last byte
 *
 * Only works if mapped pages are reclaimed and nothing that was written into
 * them is lost. Meant for a machine with little memory.
 */
#include "reclaim.h"

#include <sys/statvfs.h>

#define CHUNK		(256 * PAGE)

FIXTURE(reclaim_disk)
{
	struct source src;
	struct cgroup cgroup;
	int control, viewfd;
	struct klog klog;
};

/* The file is four times as large as the memory, or as the client's limit. */
FIXTURE_VARIANT(reclaim_disk)
{
	enum source_kind kind;
	uint64_t limit;
};

FIXTURE_VARIANT_ADD(reclaim_disk, ext4) {
	.kind = SOURCE_EXT4,
};

FIXTURE_VARIANT_ADD(reclaim_disk, xfs) {
	.kind = SOURCE_XFS,
	.limit = 12 * MiB,
};

FIXTURE_VARIANT_ADD(reclaim_disk, btrfs) {
	.kind = SOURCE_BTRFS,
	.limit = 12 * MiB,
};

FIXTURE_VARIANT_ADD(reclaim_disk, overlay) {
	.kind = SOURCE_OVERLAY,
	.limit = 12 * MiB,
};

FIXTURE_SETUP(reclaim_disk)
{
	struct statvfs fs;
	uint64_t size = 4 * (variant->limit ?: meminfo("MemTotal:"));

	ASSERT_EQ(0, klog_start(&self->klog));
	CGROUP_CREATE_OR_SKIP(&self->cgroup);
	if (variant->limit)
		ASSERT_EQ(0, cgroup_limit(&self->cgroup, "memory.high",
					  variant->limit));
	if (size > 4 * GiB)
		SKIP(return, "missing: a machine with as little memory as in group small");
	size = size * scaled(100) / 100 / CHUNK * CHUNK;
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, size);
	ASSERT_EQ(0, fstatvfs(self->src.fd, &fs));
	if (fs.f_bavail * fs.f_frsize < size + size / 10)
		SKIP(return, "missing: %ju MiB of space on %s",
		     (uintmax_t)(size / MiB), source_name(variant->kind));
	self->control = view_create(size);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, size, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
}

FIXTURE_TEARDOWN(reclaim_disk)
{
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	cgroup_destroy(&self->cgroup);
	EXPECT_KLOG_CLEAN(&self->klog);
}

struct pass {
	struct cgroup cgroup;
	uint64_t size;
	uint32_t expect, tag;
};

static unsigned int place(uint64_t page)
{
	return page % (PAGE / sizeof(uint64_t));
}

/* In the client, page by page: see @expect, write @tag. Or -1 - page. */
static long run_pass(void *arg)
{
	const struct pass *pass = arg;
	static volatile uint64_t *mem;
	uint64_t page;

	if (!mem) {
		if (cgroup_enter(&pass->cgroup))
			return -errno;
		mem = view_mmap(client_viewfd, pass->size, PROT_RW, 0);
	}
	if (mem == MAP_FAILED)
		return -errno;
	for (page = 0; page < pass->size / PAGE; page++) {
		volatile uint64_t *word = mem + page * (PAGE / sizeof(*mem)) +
					  place(page);

		if (*word != page_tag(pass->expect, page))
			return -1 - (long)page;
		*word = page_tag(pass->tag, page);
	}
	return 0;
}

/* The file as it is before any client writes. */
static int fill(int fd, uint64_t size, uint32_t tag)
{
	static uint64_t chunk[CHUNK / 8];
	uint64_t offset, page;
	unsigned int i;

	for (offset = 0; offset < size; offset += CHUNK) {
		memset(chunk, 0, CHUNK);
		for (i = 0; i < CHUNK / PAGE; i++) {
			page = offset / PAGE + i;
			chunk[i * (PAGE / 8) + place(page)] = page_tag(tag, page);
		}
		if (pwrite(fd, chunk, CHUNK, offset) != CHUNK)
			return -errno;
	}
	return 0;
}

/* Every byte of the file, by read(2): the page that differs, or -1. */
static int64_t differing_page(int fd, uint64_t size, uint32_t tag)
{
	static uint64_t want[PAGE / 8], chunk[CHUNK / 8];
	uint64_t offset, page;
	unsigned int i;

	for (offset = 0; offset < size; offset += CHUNK) {
		if (pread(fd, chunk, CHUNK, offset) != CHUNK)
			return offset / PAGE;
		for (i = 0; i < CHUNK / PAGE; i++) {
			page = offset / PAGE + i;
			want[place(page)] = page_tag(tag, page);
			if (memcmp(want, chunk + i * (PAGE / 8), PAGE))
				return page;
			want[place(page)] = 0;
		}
	}
	return -1;
}

/*
 * Catches: PTEs that keep reclaim from its pages (the machine runs out of
 * memory); pages evicted while a client still writes to them; dirt that is
 * not tracked.
 */
TEST_F_TIMEOUT(reclaim_disk, larger_than_memory, 300)
{
	struct pass pass = {
		.cgroup = self->cgroup,
		.size = self->src.size,
		.expect = 1,
		.tag = 2,
	};
	struct view_info before, after;
	struct client client;

	ASSERT_EQ(0, fill(self->src.fd, self->src.size, 1));
	/* What stays in the page cache would not be charged to the client. */
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, drop_caches());
	ASSERT_EQ(0, view_info(self->control, &before));
	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, run_pass, &pass, sizeof(pass)));

	ASSERT_EQ(0, view_info(self->control, &after));
	/* A slow kernel gets a small file. */
	if (self->src.size > (variant->limit ?: meminfo("MemTotal:")))
		EXPECT_LT(before.invalidates, after.invalidates);
	ASSERT_EQ(0, client_stop(&client));
	ASSERT_EQ(0, fsync(self->src.fd));
	ASSERT_EQ(0, drop_caches());
	EXPECT_EQ(-1, differing_page(self->src.fd, self->src.size, 2));
}

TEST_HARNESS_MAIN
