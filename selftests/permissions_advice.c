// SPDX-License-Identifier: GPL-2.0
/*
 * permissions_advice.c - P2 across advice, userfaultfd, protection keys, and
 * accesses by the kernel
 */
#include "permissions.h"

#include <sys/uio.h>
#include <linux/userfaultfd.h>

/* Newer than some C libraries. */
struct advice {
	const char *name;
	int advice;
};

#define ADVICE(name_) { #name_, MADV_##name_ }

static const struct advice advices[] = {
	ADVICE(NORMAL), ADVICE(RANDOM), ADVICE(SEQUENTIAL), ADVICE(WILLNEED),
	ADVICE(DONTNEED), ADVICE(FREE), ADVICE(REMOVE), ADVICE(DONTFORK),
	ADVICE(DOFORK), ADVICE(MERGEABLE), ADVICE(UNMERGEABLE), ADVICE(HUGEPAGE),
	ADVICE(NOHUGEPAGE), ADVICE(DODUMP), ADVICE(DONTDUMP), ADVICE(WIPEONFORK),
	ADVICE(KEEPONFORK), ADVICE(COLD), ADVICE(PAGEOUT), ADVICE(POPULATE_READ),
	ADVICE(POPULATE_WRITE), ADVICE(DONTNEED_LOCKED), ADVICE(COLLAPSE),
};

/* The pages of the source as they were when the fixture was made. */
static bool source_is_whole(FIXTURE_DATA(permissions) *self)
{
	unsigned char code[CODE_SIZE], seen[CODE_SIZE];
	unsigned int i;

	put_code(code, ANSWER);
	for (i = 0; i < PAGES; i++)
		if (pread(self->src.fd, seen, CODE_SIZE, i * PAGE) != CODE_SIZE ||
		    memcmp(seen, code, CODE_SIZE))
			return false;
	return true;
}

TEST_F(permissions, madvise)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(advices); i++) {
		FOR_EACH_MAPPING(prot, touched) {
			char *mem = map_and_touch(self, prot, touched);

			ASSERT_NE(NULL, mem);
			madvise(mem, SIZE, advices[i].advice);
			check(_metadata, self, mem, prot, variant->flags, advices[i].name);
			munmap(mem, SIZE);
		}
		EXPECT_TRUE(source_is_whole(self)) TH_LOG("%s", advices[i].name);
	}
}

/* MADV_REMOVE would make a hole in a source that is only lent. */
TEST_F(permissions, madvise_remove_is_refused)
{
	char *mem = map_and_touch(self, PROT_RW, true);

	ASSERT_NE(NULL, mem);
	EXPECT_EQ(-1, madvise(mem, SIZE, MADV_REMOVE));
	EXPECT_TRUE(source_is_whole(self));
}

/* A guard region that comes and goes (6.13 and later). */
TEST_F(permissions, guard_region)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		enum access access;

		ASSERT_NE(NULL, mem);
		if (!madvise(mem, SIZE, MADV_GUARD_INSTALL)) {
			for (access = READ; access < ACCESSES; access++) {
				EXPECT_EQ(SIGSEGV, probe_access(mem, access));
			}
			EXPECT_EQ(0, madvise(mem, SIZE, MADV_GUARD_REMOVE));
		}
		check(_metadata, self, mem, prot, variant->flags, "guard removed");
		munmap(mem, SIZE);
	}
}

TEST_F(permissions, process_madvise)
{
	static const struct advice some[] = {
		ADVICE(COLD), ADVICE(PAGEOUT), ADVICE(WILLNEED), ADVICE(COLLAPSE),
	};
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	unsigned int i;

	ASSERT_LE(0, pidfd);
	for (i = 0; i < ARRAY_SIZE(some); i++) {
		FOR_EACH_MAPPING(prot, touched) {
			char *mem = map_and_touch(self, prot, touched);
			struct iovec iov = { .iov_base = mem, .iov_len = SIZE };

			ASSERT_NE(NULL, mem);
			syscall(SYS_process_madvise, pidfd, &iov, 1, some[i].advice, 0);
			check(_metadata, self, mem, prot, variant->flags, some[i].name);
			munmap(mem, SIZE);
		}
	}
	close(pidfd);
}

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		return -errno;
	if (ioctl(uffd, UFFDIO_API, &api)) {
		close(uffd);
		return -EINVAL;
	}
	return uffd;
}

static int uffd_register(int uffd, char *mem, uint64_t mode)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)mem, .len = SIZE },
		.mode = mode,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &reg) ? -errno : 0;
}

static int uffd_protect(int uffd, char *mem, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)mem, .len = SIZE },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &wp) ? -errno : 0;
}

/* A page that the monitor of a client could slip in would be in no range. */
TEST_F(permissions, userfaultfd_is_refused)
{
	uint64_t mode;
	int uffd = uffd_open(0);

	if (uffd < 0)
		SKIP(return, "missing: userfaultfd (%s)", strerror(-uffd));
	for (mode = 1; mode < 8; mode++) {
		FOR_EACH_MAPPING(prot, touched) {
			char *mem = map_and_touch(self, prot, touched);

			ASSERT_NE(NULL, mem);
			EXPECT_GT(0, uffd_register(uffd, mem, mode)) TH_LOG("mode %d", (int)mode);
			check(_metadata, self, mem, prot, variant->flags, "userfaultfd");
			munmap(mem, SIZE);
		}
	}
	close(uffd);
}

/*
 * With WP_ASYNC the kernel takes any mapping: it tracks writes, and lets them
 * go on. Taking the protection away must not make what is read-only writable.
 */
TEST_F(permissions, userfaultfd_wp_async)
{
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED);

	if (uffd < 0)
		SKIP(return, "missing: userfaultfd with WP_ASYNC (%s)", strerror(-uffd));
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		struct uffdio_range range = { .start = (uintptr_t)mem, .len = SIZE };

		ASSERT_NE(NULL, mem);
		if (!uffd_register(uffd, mem, UFFDIO_REGISTER_MODE_WP)) {
			check(_metadata, self, mem, prot, variant->flags, "registered");
			EXPECT_EQ(0, uffd_protect(uffd, mem, true));
			check(_metadata, self, mem, prot, variant->flags, "protected");
			/* The range comes and goes while marks are in the page table. */
			EXPECT_EQ(0, uffd_protect(uffd, mem, true));
			ASSERT_EQ(0, set_range(self, variant->flags));
			check(_metadata, self, mem, prot, variant->flags, "protected and replaced");
			EXPECT_EQ(0, uffd_protect(uffd, mem, true));
			EXPECT_EQ(0, uffd_protect(uffd, mem, false));
			check(_metadata, self, mem, prot, variant->flags, "no longer protected");
			EXPECT_EQ(0, ioctl(uffd, UFFDIO_UNREGISTER, &range));
		}
		check(_metadata, self, mem, prot, variant->flags, "unregistered");
		munmap(mem, SIZE);
	}
	close(uffd);
}

/* A key that forbids everything, and one that forbids nothing. */
TEST_F(permissions, pkey_mprotect)
{
	int pkey = pkey_alloc(0, 0);
	unsigned int page;
	enum access access;
	uint64_t word;

	if (pkey < 0)
		SKIP(return, "missing: protection keys (%s)", strerror(errno));
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		ASSERT_EQ(0, pkey_mprotect(mem, SIZE, prot, pkey));
		ASSERT_EQ(0, pkey_set(pkey, PKEY_DISABLE_ACCESS));
		EXPECT_EQ(SIGSEGV, probe_read(mem, &word));
		EXPECT_EQ(SIGSEGV, probe_write(mem + WRITE_AT, 1));
		for (page = 0; page < PAGES; page++) {
			for (access = READ; access < ACCESSES; access++) {
				/* A signal handler that does not return has reset the key. */
				pkey_set(pkey, 0);
				EXPECT_EQ(access == READ && prot ? 0 :
					  expected_signal(self, prot, variant->flags, access),
					  probe_access(mem + page * PAGE, access))
					TH_LOG("access %d, protection %d", access, prot);
			}
		}
		ASSERT_EQ(0, pkey_mprotect(mem, SIZE, prot, 0));
		munmap(mem, SIZE);
	}
	pkey_free(pkey);
}

/* read(2) into the page and write(2) from it: EFAULT where a probe signals. */
TEST_F(permissions, system_calls)
{
	int file = memfd_filled(PAGE, 1);
	unsigned int page;

	ASSERT_LE(0, file);
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		for (page = 0; page < PAGES; page++) {
			bool may_read = !expected_signal(self, prot, variant->flags, READ);
			bool may_write = !expected_signal(self, prot, variant->flags, WRITE);
			char *at = mem + page * PAGE + WRITE_AT;

			EXPECT_EQ(may_write ? 8 : -1, pread(file, at, 8, 0));
			if (!may_write) {
				EXPECT_EQ(EFAULT, errno);
			}
			EXPECT_EQ(may_read ? 8 : -1, pwrite(file, at, 8, 8));
			if (!may_read) {
				EXPECT_EQ(EFAULT, errno);
			}
		}
		check(_metadata, self, mem, prot, variant->flags, "after system calls");
		munmap(mem, SIZE);
	}
	close(file);
}

/* A debugger's way in (FOLL_FORCE) must not write what the range forbids. */
TEST_F(permissions, proc_self_mem)
{
	int proc = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	unsigned int page;

	ASSERT_LE(0, proc);
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);

		ASSERT_NE(NULL, mem);
		for (page = 0; page < PAGES; page++) {
			uint64_t at = (uintptr_t)mem + page * PAGE + WRITE_AT;
			uint64_t before, after, secret = 0xbad + page;

			ASSERT_EQ(0, fd_read_u64(self->src.fd, page * PAGE + WRITE_AT, &before));
			if (expected_signal(self, prot, variant->flags, WRITE)) {
				EXPECT_EQ(-1, pwrite(proc, &secret, 8, at));
				ASSERT_EQ(0, fd_read_u64(self->src.fd, page * PAGE + WRITE_AT,
							 &after));
				EXPECT_EQ(before, after);
			} else {
				EXPECT_EQ(8, pwrite(proc, &secret, 8, at));
			}
		}
		check(_metadata, self, mem, prot, variant->flags, "after /proc/self/mem");
		munmap(mem, SIZE);
	}
	close(proc);
}

/* The same from another process, by process_vm_writev() and readv(). */
TEST_F(permissions, process_vm)
{
	FOR_EACH_MAPPING(prot, touched) {
		char *mem = map_and_touch(self, prot, touched);
		uint64_t word = 0xbad;
		struct iovec local = { .iov_base = &word, .iov_len = 8 };
		struct iovec remote = { .iov_base = mem + WRITE_AT, .iov_len = 8 };
		bool may_write = !expected_signal(self, prot, variant->flags, WRITE);

		ASSERT_NE(NULL, mem);
		EXPECT_EQ(may_write ? 8 : -1,
			  process_vm_writev(getpid(), &local, 1, &remote, 1, 0));
		/* The kernel asks for PROT_READ here where the processor does not. */
		EXPECT_EQ(prot & PROT_READ ? 8 : -1,
			  process_vm_readv(getpid(), &local, 1, &remote, 1, 0));
		check(_metadata, self, mem, prot, variant->flags, "after process_vm_writev");
		munmap(mem, SIZE);
	}
}

TEST_HARNESS_MAIN
