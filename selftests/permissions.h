/* SPDX-License-Identifier: GPL-2.0 */
/*
 * permissions.h - P2: what a client may do is the AND of its mapping's
 * protection and the range's flags, for read, write and execute
 *
 * The fixture is a view of three pages with one range, whose flags and source
 * are the variant. Every page begins with code. What is expected follows x86:
 * a page that can be written or executed can be read, but for a mapping with
 * PROT_EXEC alone, which protection keys make unreadable where there are any.
 */
#ifndef MEMVIEW_TEST_PERMISSIONS_H
#define MEMVIEW_TEST_PERMISSIONS_H

#include "memview_test.h"

#define PAGES		3
#define SIZE		(PAGES * PAGE)
#define ANSWER		0x600df00d
#define WRITE_AT	128 /* in the page, away from the code */
#define PROTS		8 /* all the combinations of READ, WRITE and EXEC */

enum access { READ, WRITE, EXEC, ACCESSES };

FIXTURE(permissions)
{
	struct klog klog;
	struct source src;
	int control;
	int viewfd;
	bool exec_only; /* PROT_EXEC alone cannot be read here */
};

FIXTURE_VARIANT(permissions)
{
	enum source_kind kind;
	uint32_t flags;
};

#define FLAG_VARIANTS(source, kind_)                                       \
	FIXTURE_VARIANT_ADD(permissions, source##_r)                       \
		{ .kind = kind_, .flags = MAP_R };                         \
	FIXTURE_VARIANT_ADD(permissions, source##_rw)                      \
		{ .kind = kind_, .flags = MAP_RW };                        \
	FIXTURE_VARIANT_ADD(permissions, source##_rx)                      \
		{ .kind = kind_, .flags = MAP_RX };                        \
	FIXTURE_VARIANT_ADD(permissions, source##_rwx)                     \
		{ .kind = kind_, .flags = MAP_RWX }

FLAG_VARIANTS(memfd, SOURCE_MEMFD);
FLAG_VARIANTS(memfd_huge, SOURCE_MEMFD_HUGE);
FLAG_VARIANTS(ext4, SOURCE_EXT4);

static int set_range(FIXTURE_DATA(permissions) *self, uint32_t flags)
{
	return view_map(self->control, self->src.fd, 0, SIZE, 0, flags);
}

static char *map_view(FIXTURE_DATA(permissions) *self, int prot)
{
	char *mem = view_mmap(self->viewfd, SIZE, prot, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* Asked of an ordinary mapping of the source. */
static bool is_exec_only(int fd)
{
	char *mem = view_mmap(fd, PAGE, PROT_EXEC, 0);
	uint64_t value;
	int sig = probe_read(mem, &value);

	munmap(mem, PAGE);
	return sig != 0;
}

FIXTURE_SETUP(permissions)
{
	unsigned char code[CODE_SIZE];
	unsigned int i;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	put_code(code, ANSWER);
	for (i = 0; i < PAGES; i++) {
		ASSERT_EQ(CODE_SIZE, pwrite(self->src.fd, code, CODE_SIZE, i * PAGE));
	}
	self->exec_only = is_exec_only(self->src.fd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, set_range(self, variant->flags));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
}

FIXTURE_TEARDOWN(permissions)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int probe_access(char *page, enum access access)
{
	uint64_t word;
	uint32_t answer = ANSWER;
	int sig;

	switch (access) {
	case READ:
		return probe_read(page, &word);
	case WRITE:
		return probe_write(page + WRITE_AT, ANSWER);
	default:
		sig = probe_exec(page, &answer);
		/* Not what was put there: other memory was executed. */
		return !sig && answer != ANSWER ? SIGILL : sig;
	}
}

static int expected_signal(FIXTURE_DATA(permissions) *self, int prot,
			   uint32_t flags, enum access access)
{
	bool may;

	if (access == WRITE)
		may = prot & PROT_WRITE && flags & MEMVIEW_MAP_WRITE;
	else if (access == EXEC)
		may = prot & PROT_EXEC && flags & MEMVIEW_MAP_EXEC;
	else
		may = prot && !(prot == PROT_EXEC && self->exec_only);
	return may ? 0 : SIGSEGV;
}

/* On each page another access comes first, and finds the page as it is. */
static __attribute__((unused)) void check(struct __test_metadata *_metadata,
		  FIXTURE_DATA(permissions) *self, char *mem, int prot,
		  uint32_t flags, const char *when)
{
	static const char *const names[] = { "read", "write", "exec" };
	unsigned int page, i;
	enum access access;
	int want, sig;

	for (page = 0; page < PAGES; page++) {
		for (i = 0; i < ACCESSES; i++) {
			access = (page + i) % ACCESSES;
			want = expected_signal(self, prot, flags, access);
			sig = probe_access(mem + page * PAGE, access);
			EXPECT_EQ(want, sig)
				TH_LOG("%s of page %u, protection %d, %s",
				       names[access], page, prot, when);
		}
	}
}

/* Let every access that is allowed leave its traces in the page table. */
static void touch(char *mem)
{
	unsigned int page;
	enum access access;

	for (page = 0; page < PAGES; page++)
		for (access = READ; access < ACCESSES; access++)
			probe_access(mem + page * PAGE, access);
}

/* What a mapping may be like when something is done to it. */
#define FOR_EACH_MAPPING(prot, touched)                                    \
	for (int prot = 0; prot < PROTS; prot++)                           \
		for (int touched = 0; touched < 2; touched++)

static __attribute__((unused)) char *map_and_touch(FIXTURE_DATA(permissions) *self, int prot, bool touched)
{
	char *mem = map_view(self, prot);

	if (mem && touched)
		touch(mem);
	return mem;
}

#endif /* MEMVIEW_TEST_PERMISSIONS_H */
