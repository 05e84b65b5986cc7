// SPDX-License-Identifier: GPL-2.0
/*
 * touched.c - P1: what a client has touched is taken away, by whatever way it
 * was touched, and whatever happened to its range before
 *
 * A page is touched, the range is cut, kept, moved or left over by other
 * changes, and only then is the page taken away.
 *
 * Catches: a way to a PTE that forgets to say so; a range that forgets when it
 * is cut, replaced by one that keeps its PTEs, or one of many in a change.
 */
#include "touched.h"

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

TEST_HARNESS_MAIN
