// SPDX-License-Identifier: GPL-2.0
/*
 * prepare.c - the files that are measured with: what is cached, and clean
 */
#include "bench.h"

#define TABLE_PAGES (HUGE / PAGE)

uint32_t lone_pages[LONE_PAGES];

static void make(struct source *src, enum source_kind kind, uint64_t size)
{
	int err = source_open(src, kind, size);

	if (err == -ENODEV)
		fail("missing: %s", src->missing);
	must(err, "making a file");
}

static void make_cached(struct source *src, enum source_kind kind,
			uint64_t size)
{
	make(src, kind, size);
	must(source_fill(src, 1), "filling a file");
	must_errno(fsync(src->fd), "fsync");
}

void prepare_empty(const struct row *row, struct source *src,
		   enum source_kind kind)
{
	make(src, kind, row->size);
}

void prepare_cached(const struct row *row, struct source *src,
		    enum source_kind kind)
{
	make_cached(src, kind, row->size);
}

void prepare_two(const struct row *row, struct source *src,
		 enum source_kind kind)
{
	make_cached(&src[0], kind, row->size);
	make_cached(&src[1], kind, row->size);
}

/* Always the same order. */
void shuffle(uint32_t *list, unsigned int n)
{
	uint64_t state = 1;
	unsigned int i, j;
	uint32_t swap;

	for (i = n - 1; i > 0; i--) {
		j = random_next(&state) % (i + 1);
		swap = list[i];
		list[i] = list[j];
		list[j] = swap;
	}
}

void prepare_lone(const struct row *row, struct source *src,
		  enum source_kind kind)
{
	static const char data[PAGE];
	unsigned int i;

	make(src, kind, LONE_PAGES * HUGE);
	for (i = 0; i < LONE_PAGES; i++) {
		lone_pages[i] = i * TABLE_PAGES + i * 37 % TABLE_PAGES;
		if (pwrite(src->fd, data, PAGE, lone_pages[i] * PAGE) != PAGE)
			fail("writing a page: %s", strerror(errno));
	}
	shuffle(lone_pages, LONE_PAGES);
	must_errno(fsync(src->fd), "fsync");
}
