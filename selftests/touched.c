// SPDX-License-Identifier: GPL-2.0
/*
 * touched.c - P1: what a client has touched is taken away, by whatever way it
 * was touched, and whatever happened to its range before
 *
 * The module remembers of each range whether there may be PTEs by it, and has no
 * look at page tables if not. So a page is touched, the range is cut, kept,
 * moved or left over by other changes, and only then is the page taken away.
 *
 * Catches: a way to a PTE that forgets to say so; a range that forgets when it
 * is cut, replaced by one that keeps its PTEs, or one of many in a change.
 */
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
static char *map_aligned(int viewfd)
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
static int touch_pinned(char *addr)
{
	uint64_t word;
	struct iovec to = { &word, sizeof(word) }, from = { addr, sizeof(word) };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(word) ? 0 : -errno;
}

static int touch(enum touch how, char *addr)
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

/* How many of @n pages have a PTE. */
static unsigned int count_mapped(const char *addr, unsigned int n)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	unsigned int i, mapped = 0;
	uint64_t entry;

	for (i = 0; i < n; i++) {
		if (pread(fd, &entry, 8, ((uintptr_t)addr / PAGE + i) * 8) != 8)
			abort();
		mapped += entry >> 63;
	}
	close(fd);
	return mapped;
}

/* From the source to the same place, [first, last). */
static int map_same(FIXTURE_DATA(touched) *self, unsigned int first, unsigned int last,
		    uint32_t flags)
{
	return view_map(self->control, self->src.fd, first * PAGE, (last - first) * PAGE,
			first * PAGE, flags);
}

static int map_other(FIXTURE_DATA(touched) *self, unsigned int first, unsigned int last)
{
	return view_map(self->control, self->other.fd, first * PAGE, (last - first) * PAGE,
			first * PAGE, MAP_RW);
}

static int unmap(FIXTURE_DATA(touched) *self, unsigned int first, unsigned int last)
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

/* ---- One change at a time ---- */

TEST_F(touched, unmapped)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
	/* A new range has a life of its own. */
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, unmap(self, T, T + 1));
	EXPECT_GONE(self->mem, T, T + 1);
}

TEST_F(touched, cut_after)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, unmap(self, 8, 9));
	ASSERT_EQ(0, unmap(self, 2, 3));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 3, 8));
	EXPECT_GONE(self->mem, 2, 9);
	/* Its neighbours that were mapped along, on the other side of the cut. */
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
}

TEST_F(touched, cut_before)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	ASSERT_EQ(0, unmap(self, 8, 9));
	ASSERT_EQ(0, map_other(self, 2, 3));
	TOUCH();
	ASSERT_EQ(0, unmap(self, 9, PAGES));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 4, 6));
	EXPECT_GONE(self->mem, 4, 6);
}

/* One part is replaced, the other is taken away. */
TEST_F(touched, replaced_in_part)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, map_other(self, 8, PAGES));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, map_other(self, 4, 6));
	EXPECT_OTHER(self);
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	ASSERT_EQ(0, touch(variant->how, self->mem + T * PAGE));
	ASSERT_EQ(0, map_other(self, 0, PAGES));
	EXPECT_OTHER(self);
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
}

/* A range that leaves the PTEs there, and one after it. */
TEST_F(touched, kept)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	ASSERT_EQ(0, map_same(self, 4, 8, MAP_RW));
	ASSERT_EQ(0, map_same(self, 2, 7, MAP_RW));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 5, 6));
	EXPECT_GONE(self->mem, 5, 6);
}

/* From another source of the file: with another access, it is one of its own. */
TEST_F(touched, kept_by_another_source)
{
	bool writes = variant->how == WRITE || variant->how == HOLE_WRITE ||
		      variant->how == UPGRADE || variant->how == POPULATE;

	if (writes)
		SKIP(return, "a range that may be read alone cannot be written");
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_R));
	TOUCH();
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_R));
	EXPECT_EQ(0, count_mapped(self->mem, PAGES));
	TOUCH();
	ASSERT_EQ(0, map_same(self, 4, PAGES, MAP_RW));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
}

/* One range in the place of several, of which one was touched. */
TEST_F(touched, kept_with_others)
{
	static const unsigned int cuts[] = { 2, 6, 10, PAGES };
	unsigned int i, first = 0;

	for (i = 0; i < ARRAY_SIZE(cuts); first = cuts[i++])
		ASSERT_EQ(0, map_same(self, first, cuts[i], MAP_RW));
	TOUCH();
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 4, 6));
	EXPECT_GONE(self->mem, 4, 6);
}

/* A range over what goes as a whole since part of it shows something else. */
TEST_F(touched, taken_with_others)
{
	ASSERT_EQ(0, map_same(self, 0, 8, MAP_RW));
	ASSERT_EQ(0, map_other(self, 8, 9));
	ASSERT_EQ(0, map_same(self, 9, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	EXPECT_EQ(0, count_mapped(self->mem, PAGES));
	TOUCH();
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
}

TEST_F(touched, shrunk)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, view_resize(self->control, 8 * PAGE));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, view_resize(self->control, T * PAGE));
	EXPECT_GONE(self->mem, T, PAGES);
	ASSERT_EQ(0, view_resize(self->control, SIZE));
	EXPECT_GONE(self->mem, T, PAGES);
	ASSERT_EQ(0, map_other(self, 0, PAGES));
	EXPECT_OTHER(self);
}

/* ---- Many at once ---- */

static int submit(FIXTURE_DATA(touched) *self, const struct memview_batch_op *ops, uint32_t nr)
{
	return view_batch(self->control, ops, nr, NULL);
}

/* Untouched ranges before it and after it: together, or each for itself. */
TEST_F(touched, one_of_a_batch)
{
	const struct memview_batch_op together[] = {
		batch_unmap(0, 4 * PAGE),
		batch_unmap(4 * PAGE, 2 * PAGE),
		batch_unmap(6 * PAGE, 10 * PAGE),
	}, apart[] = {
		batch_unmap(0, 2 * PAGE),
		batch_unmap(4 * PAGE, 2 * PAGE),
		batch_unmap(8 * PAGE, 2 * PAGE),
	}, over_a_hole[] = {
		batch_unmap(4 * PAGE, 2 * PAGE),
		batch_map(self->other.fd, 0, PAGE, 6 * PAGE, MAP_R),
		batch_unmap(7 * PAGE, PAGE),
	};
	const struct {
		const struct memview_batch_op *ops;
		unsigned int nr;
	} batches[] = {
		{ together, ARRAY_SIZE(together) },
		{ apart, ARRAY_SIZE(apart) },
		{ over_a_hole, ARRAY_SIZE(over_a_hole) },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(batches); i++) {
		ASSERT_EQ(0, unmap(self, 0, PAGES));
		ASSERT_EQ(0, map_same(self, 0, 4, MAP_RW));
		ASSERT_EQ(0, map_same(self, 4, 6, MAP_RW));
		ASSERT_EQ(0, map_same(self, 7, PAGES, MAP_RW));
		TOUCH();
		ASSERT_EQ(0, submit(self, batches[i].ops, batches[i].nr));
		EXPECT_GONE(self->mem, 4, 6);
	}
}

/* Entries that begin and end within ranges. */
TEST_F(touched, cut_by_a_batch)
{
	const struct memview_batch_op ops[] = {
		batch_unmap(2 * PAGE, PAGE),
		batch_map(self->src.fd, 3 * PAGE, PAGE, 3 * PAGE, MAP_RW),
		batch_unmap(4 * PAGE, 2 * PAGE),
		batch_map(self->other.fd, 6 * PAGE, PAGE, 6 * PAGE, MAP_RW),
	};

	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, submit(self, ops, ARRAY_SIZE(ops)));
	EXPECT_GONE(self->mem, 4, 6);
	ASSERT_EQ(0, unmap(self, 3, 4));
	ASSERT_EQ(0, unmap(self, 7, PAGES));
	EXPECT_EQ(0, count_mapped(self->mem + 2 * PAGE, PAGES - 2));
}

/*
 * One new range in two places: in one it keeps the PTEs, the other it finds
 * untouched, or takes the place of something else.
 */
TEST_F(touched, kept_in_one_place_of_two)
{
	const struct memview_batch_op ops[] = {
		batch_map(self->src.fd, 0, SIZE, 0, MAP_RW),
		batch_unmap(8 * PAGE, PAGE),
	}, reversed[] = {
		batch_map(self->src.fd, 0, SIZE, 0, MAP_RW),
		batch_unmap(3 * PAGE, PAGE),
	};

	ASSERT_EQ(0, map_same(self, 0, 8, MAP_RW));
	ASSERT_EQ(0, map_other(self, 9, PAGES));
	TOUCH();
	ASSERT_EQ(0, submit(self, ops, ARRAY_SIZE(ops)));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 4, 6));
	EXPECT_GONE(self->mem, 4, 6);

	ASSERT_EQ(0, unmap(self, 0, PAGES));
	ASSERT_EQ(0, map_other(self, 0, 2));
	ASSERT_EQ(0, map_same(self, 4, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, submit(self, reversed, ARRAY_SIZE(reversed)));
	EXPECT_THERE(self->mem);
	ASSERT_EQ(0, unmap(self, 4, 6));
	EXPECT_GONE(self->mem, 4, 6);
}

/* ---- What a client does with its mapping ---- */

/* In another process. */
struct look {
	char *mem;
	enum touch how;
	bool touch;
	unsigned int mapped;
	int sig;
};

static long client_look(void *arg)
{
	struct look *look = arg;
	uint64_t word;

	if (look->touch)
		return touch(look->how, look->mem + T * PAGE);
	look->mapped = count_mapped(look->mem + T * PAGE, 1);
	look->sig = probe_read(look->mem + T * PAGE, &word);
	return 0;
}

/* fork() copies no PTEs: the child faults, by a range that its parent has touched. */
TEST_F(touched, forked)
{
	struct look look = { .mem = self->mem };
	struct client client;

	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, client_start(&client, -1));
	ASSERT_EQ(0, munmap(self->mem, SIZE));
	ASSERT_EQ(0, client_call(&client, client_look, &look, sizeof(look)));
	EXPECT_EQ(0, look.mapped);
	EXPECT_EQ(0, look.sig);
	ASSERT_EQ(0, client_call(&client, client_look, &look, sizeof(look)));
	EXPECT_EQ(1, look.mapped);
	ASSERT_EQ(0, unmap(self, 8, 9));
	ASSERT_EQ(0, unmap(self, 4, 6));
	ASSERT_EQ(0, client_call(&client, client_look, &look, sizeof(look)));
	EXPECT_EQ(0, look.mapped);
	EXPECT_EQ(SIGBUS, look.sig);
	EXPECT_EQ(0, client_stop(&client));
}

/* By the child alone. */
TEST_F(touched, by_a_child)
{
	struct look look = { .mem = self->mem, .how = variant->how, .touch = true };
	struct client client;

	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	ASSERT_EQ(0, client_start(&client, -1));
	ASSERT_EQ(0, client_call(&client, client_look, &look, sizeof(look)));
	ASSERT_EQ(0, unmap(self, 8, PAGES));
	ASSERT_EQ(0, unmap(self, 0, 8));
	look.touch = false;
	ASSERT_EQ(0, client_call(&client, client_look, &look, sizeof(look)));
	EXPECT_EQ(0, look.mapped);
	EXPECT_EQ(SIGBUS, look.sig);
	EXPECT_EQ(0, client_stop(&client));
}

TEST_F(touched, moved)
{
	char *place = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, place);
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(place, mremap(self->mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
	EXPECT_THERE(place);
	ASSERT_EQ(0, unmap(self, 0, 2));
	ASSERT_EQ(0, unmap(self, 2, PAGES));
	EXPECT_GONE(place, 0, PAGES);
}

/* Given back by the client, or by the file, and touched again. */
TEST_F(touched, again)
{
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	TOUCH();
	ASSERT_EQ(0, madvise(self->mem, SIZE, MADV_DONTNEED));
	TOUCH();
	ASSERT_EQ(0, fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       4 * PAGE, 2 * PAGE));
	EXPECT_EQ(0, count_mapped(self->mem + 4 * PAGE, 2));
	TOUCH();
	ASSERT_EQ(0, unmap(self, 4, 6));
	EXPECT_GONE(self->mem, 4, 6);
}

/* After faults that fail; one of them may have mapped the neighbours. */
TEST_F(touched, after_a_failure)
{
	uint64_t word;

	ASSERT_EQ(0, ftruncate(self->src.fd, T * PAGE));
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_R));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + T * PAGE, &word));
	EXPECT_LT(0, count_mapped(self->mem, PAGES));
	EXPECT_EQ(SIGSEGV, probe_write(self->mem + T * PAGE, 1));
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
	ASSERT_EQ(0, map_same(self, 0, PAGES, MAP_RW));
	EXPECT_EQ(SIGBUS, probe_write(self->mem + T * PAGE, 1));
	ASSERT_EQ(0, ftruncate(self->src.fd, SIZE));
	TOUCH();
	ASSERT_EQ(0, unmap(self, 0, PAGES));
	EXPECT_GONE(self->mem, 0, PAGES);
}

TEST_HARNESS_MAIN
