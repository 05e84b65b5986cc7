/* SPDX-License-Identifier: GPL-2.0 */
/*
 * touched.h - a view of 16 pages of which a client touches one, in each way
 * that there is
 *
 * The module remembers of each range whether there may be PTEs by it, and has no
 * look at page tables if not.
 */
#ifndef TOUCHED_H
#define TOUCHED_H

#include "memview_test.h"

#include <linux/falloc.h>
#include <sys/uio.h>

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define T	5 /* the page that is touched */
#define FILE_ID	8

enum touch { READ, WRITE, UPGRADE, POPULATE, HOLE_READ, HOLE_WRITE, PINNED };

FIXTURE(touched)
{
	struct klog klog;
	struct source src, other;
	int control;
	char *mem;
};

FIXTURE_VARIANT(touched)
{
	enum source_kind kind;
	enum touch how;
};

#define VARIANT(source, kind_, name, how_)                     \
	FIXTURE_VARIANT_ADD(touched, source##_##name)          \
	{                                                      \
		.kind = kind_, .how = how_                     \
	}
#define VARIANTS(source, kind)                                 \
	VARIANT(source, kind, read, READ);                     \
	VARIANT(source, kind, written, WRITE);                 \
	VARIANT(source, kind, upgraded, UPGRADE);              \
	VARIANT(source, kind, populated, POPULATE);            \
	VARIANT(source, kind, hole_read, HOLE_READ);           \
	VARIANT(source, kind, hole_written, HOLE_WRITE);       \
	VARIANT(source, kind, pinned, PINNED)

VARIANTS(memfd, SOURCE_MEMFD);
VARIANTS(ext4, SOURCE_EXT4);

/* Where a read takes all pages of the view along. */
static inline char *map_aligned(int viewfd)
{
	char *space = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (space == MAP_FAILED)
		return space;
	space = (char *)(((uintptr_t)space + SIZE - 1) / SIZE * SIZE);
	return mmap(space, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED, viewfd, 0);
}

FIXTURE_SETUP(touched)
{
	int viewfd;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	SOURCE_OPEN_OR_SKIP(&self->other, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	ASSERT_EQ(0, source_fill(&self->other, FILE_ID + 1));
	if (variant->how == HOLE_READ || variant->how == HOLE_WRITE)
		ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				       T * PAGE, PAGE));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	viewfd = view_get_fd(self->control);
	ASSERT_LE(0, viewfd);
	self->mem = map_aligned(viewfd);
	ASSERT_NE(MAP_FAILED, self->mem);
	close(viewfd);
}

FIXTURE_TEARDOWN(touched)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* ---- Touching, and looking without a touch ---- */

/* Not through probes: the kernel touches the page for another. */
static inline int touch_pinned(char *addr)
{
	uint64_t word;
	struct iovec to = { &word, sizeof(word) }, from = { addr, sizeof(word) };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(word) ? 0 : -errno;
}

static inline int touch(enum touch how, char *addr)
{
	uint64_t word;

	switch (how) {
	case READ:
	case HOLE_READ:
		return probe_read(addr, &word);
	case WRITE:
	case HOLE_WRITE:
		return probe_write(addr + 8, 1);
	case UPGRADE:
		return probe_read(addr, &word) ?: probe_write(addr + 8, 1);
	case POPULATE:
		return madvise(addr, PAGE, MADV_POPULATE_WRITE) ? -errno : 0;
	case PINNED:
		return touch_pinned(addr);
	}
	return -EINVAL;
}

/* From the source to the same place, [first, last). */
static inline int map_same(FIXTURE_DATA(touched) *self, unsigned int first, unsigned int last,
		    uint32_t flags)
{
	return view_map(self->control, self->src.fd, first * PAGE, (last - first) * PAGE,
			first * PAGE, flags);
}

static inline int map_other(FIXTURE_DATA(touched) *self, unsigned int first, unsigned int last)
{
	return view_map(self->control, self->other.fd, first * PAGE, (last - first) * PAGE,
			first * PAGE, MAP_RW);
}

static inline int unmap(FIXTURE_DATA(touched) *self, unsigned int first, unsigned int last)
{
	return view_unmap(self->control, first * PAGE, (last - first) * PAGE);
}

#define EXPECT_THERE(mem) EXPECT_EQ(1, count_mapped((mem) + T * PAGE, 1))

#define EXPECT_GONE(mem, first, last)                                     \
	do {                                                              \
		uint64_t word_;                                           \
									  \
		EXPECT_EQ(0, count_mapped((mem) + (first) * PAGE, (last) - (first))); \
		EXPECT_EQ(SIGBUS, probe_read((mem) + T * PAGE, &word_));   \
	} while (0)

#define EXPECT_OTHER(self)                                                \
	do {                                                              \
		uint64_t word_ = 0;                                       \
									  \
		EXPECT_EQ(0, probe_read((self)->mem + T * PAGE, &word_));  \
		EXPECT_EQ(page_tag(FILE_ID + 1, T), word_);               \
	} while (0)

#define TOUCH()                                                           \
	do {                                                              \
		ASSERT_EQ(0, touch(variant->how, self->mem + T * PAGE));   \
		EXPECT_THERE(self->mem);                                  \
	} while (0)

#endif /* TOUCHED_H */
