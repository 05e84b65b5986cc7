// SPDX-License-Identifier: GPL-2.0
/*
 * touched_client.c - P1: what a client has touched is taken away, whatever it
 * has done with its mapping before
 *
 * Catches: a touch that is remembered for a mapping or a process, and not for
 * the range.
 */
#include "touched.h"

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
