// SPDX-License-Identifier: GPL-2.0
/*
 * permissions.c - P2 across changes of the mapping and of the range
 */
#include "permissions.h"

#include <sys/personality.h>

/* The rules themselves, before anything happens. */
TEST_F(permissions, mmap)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		check(_metadata, self, mem, prot, variant->flags, "as mapped");
		munmap(mem, SIZE);
	}
}

/* The pages are in the page table before the first access. */
TEST_F(permissions, mmap_populate)
{
	int prot;
	char *mem;

	for (prot = 0; prot < PROTS; prot++) {
		mem = mmap(NULL, SIZE, prot, MAP_SHARED | MAP_POPULATE, self->viewfd, 0);
		ASSERT_NE(MAP_FAILED, mem);
		check(_metadata, self, mem, prot, variant->flags, "populated");
		munmap(mem, SIZE);
	}
}

TEST_F(permissions, mlock)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		mlock(mem, SIZE);
		check(_metadata, self, mem, prot, variant->flags, "after mlock");
		munlock(mem, SIZE);
		check(_metadata, self, mem, prot, variant->flags, "after munlock");
		munmap(mem, SIZE);
	}
}

TEST_F(permissions, mprotect)
{
	int to;

	FOR_EACH_MAPPING(prot, touched) {
		for (to = 0; to < PROTS; to++) {
			char *mem = map_and_touch(self, prot, touched);

			ASSERT_NE(NULL, mem);
			ASSERT_EQ(0, mprotect(mem, SIZE, to));
			check(_metadata, self, mem, to, variant->flags, "after mprotect");
			munmap(mem, SIZE);
		}
	}
}

TEST_F(permissions, mprotect_down_and_up)
{
	int down;

	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		for (down = 0; down < PROTS; down++) {
			ASSERT_EQ(0, mprotect(mem, SIZE, down));
			if (touched)
				check(_metadata, self, mem, down, variant->flags, "down");
			ASSERT_EQ(0, mprotect(mem, SIZE, prot));
			check(_metadata, self, mem, prot, variant->flags, "up again");
		}
		munmap(mem, SIZE);
	}
}

/* One page in the middle: the mapping is split, and joined again. */
TEST_F(permissions, mprotect_of_a_part)
{
	int to;

	FOR_EACH_MAPPING(prot, touched) {
		for (to = 0; to < PROTS; to++) {
			char *mem = map_and_touch(self, prot, touched);
			enum access access;

			ASSERT_NE(NULL, mem);
			ASSERT_EQ(0, mprotect(mem + PAGE, PAGE, to));
			for (access = READ; access < ACCESSES; access++) {
				EXPECT_EQ(expected_signal(self, to, variant->flags, access),
					  probe_access(mem + PAGE, access));
				EXPECT_EQ(expected_signal(self, prot, variant->flags, access),
					  probe_access(mem, access));
			}
			ASSERT_EQ(0, mprotect(mem + PAGE, PAGE, prot));
			check(_metadata, self, mem, prot, variant->flags, "joined again");
			munmap(mem, SIZE);
		}
	}
}

/* The child has the parent's mapping, and its own change of it. */
TEST_F(permissions, fork)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		int status, to;
		pid_t pid;

		ASSERT_NE(NULL, mem);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid) {
			check(_metadata, self, mem, prot, variant->flags, "in a child");
			for (to = 0; to < PROTS; to++) {
				EXPECT_EQ(0, mprotect(mem, SIZE, to));
				check(_metadata, self, mem, to, variant->flags,
				      "in a child after mprotect");
			}
			_exit(0);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		check(_metadata, self, mem, prot, variant->flags, "after fork");
		munmap(mem, SIZE);
	}
}

TEST_F(permissions, mremap_moves)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		char *place = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		ASSERT_NE(NULL, mem);
		ASSERT_NE(MAP_FAILED, place);
		ASSERT_EQ(place, mremap(mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, place));
		check(_metadata, self, place, prot, variant->flags, "moved");
		munmap(place, SIZE);
	}
}

/* Other uses of mremap may be refused; if not, they widen nothing. */
TEST_F(permissions, mremap_copies_and_grows)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		char *copy;

		ASSERT_NE(NULL, mem);
		copy = mremap(mem, 0, SIZE, MREMAP_MAYMOVE);
		if (copy != MAP_FAILED) {
			check(_metadata, self, copy, prot, variant->flags, "copied");
			munmap(copy, SIZE);
		}
		copy = mremap(mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		if (copy != MAP_FAILED) {
			check(_metadata, self, copy, prot, variant->flags, "not unmapped");
			munmap(copy, SIZE);
		}
		copy = mremap(mem, SIZE, 2 * SIZE, MREMAP_MAYMOVE);
		if (copy != MAP_FAILED)
			mem = copy;
		check(_metadata, self, mem, prot, variant->flags, "grown");
		munmap(mem, copy == MAP_FAILED ? SIZE : 2 * SIZE);
	}
}

/* A hole in the mapping leaves the rest as it was. */
TEST_F(permissions, munmap_of_a_part)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		unsigned int page;
		enum access access;

		ASSERT_NE(NULL, mem);
		ASSERT_EQ(0, munmap(mem + PAGE, PAGE));
		for (page = 0; page < PAGES; page += 2)
			for (access = READ; access < ACCESSES; access++) {
				EXPECT_EQ(expected_signal(self, prot, variant->flags, access),
					  probe_access(mem + page * PAGE, access));
			}
		for (access = READ; access < ACCESSES; access++) {
			EXPECT_EQ(SIGSEGV, probe_access(mem + PAGE, access));
		}
		munmap(mem, PAGE);
		munmap(mem + 2 * PAGE, PAGE);
	}
}

/* remap_file_pages() makes a new mapping of the same file. */
TEST_F(permissions, remap_file_pages)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		remap_file_pages(mem, SIZE, 0, 0, 0);
		check(_metadata, self, mem, prot, variant->flags, "after remap_file_pages");
		munmap(mem, SIZE);
	}
}

/* Every change of the flags while mapped, and the way back. */
TEST_F(permissions, range_changes_while_mapped)
{
	static const uint32_t all_flags[] = { MAP_R, MAP_RW, MAP_RX, MAP_RWX };
	unsigned int i;

	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		for (i = 0; i < ARRAY_SIZE(all_flags); i++) {
			ASSERT_EQ(0, set_range(self, all_flags[i]));
			if (touched)
				check(_metadata, self, mem, prot, all_flags[i], "other flags");
			ASSERT_EQ(0, set_range(self, variant->flags));
			check(_metadata, self, mem, prot, variant->flags, "flags again");
		}
		munmap(mem, SIZE);
	}
}

/* Where PROT_READ implies PROT_EXEC, the range has still its say. */
TEST_F(permissions, read_implies_exec)
{
	int old = personality(0xffffffff);
	int prot;
	char *mem;

	ASSERT_NE(-1, personality(old | READ_IMPLIES_EXEC));
	for (prot = 0; prot < PROTS; prot++) {
		int real = prot & PROT_READ ? prot | PROT_EXEC : prot;

		mem = map_view(self, prot);
		ASSERT_NE(NULL, mem);
		check(_metadata, self, mem, real, variant->flags, "mapped");
		ASSERT_EQ(0, mprotect(mem, SIZE, PROT_NONE));
		ASSERT_EQ(0, mprotect(mem, SIZE, prot));
		check(_metadata, self, mem, real, variant->flags, "after mprotect");
		munmap(mem, SIZE);
	}
	personality(old);
}

TEST_HARNESS_MAIN
