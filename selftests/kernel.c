// SPDX-License-Identifier: GPL-2.0
/*
 * kernel.c - P4, P9: on a kernel where views are not safe the module is not
 * loaded, and says why
 *
 * selftests/module/impostor.c makes this kernel look like such a one.
 */
#include "failnth.h"
#include "lifetime.h"

#define SIZE		(4 * PAGE)

FIXTURE(kernel)
{
	int file, impostor;
	int log; /* what the kernel logs from here on */
	struct klog klog;
};

FIXTURE_SETUP(kernel)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->file = memview_open_module();
	if (self->file < 0)
		SKIP(return, "missing: ../module/memview.ko beside the test");
	self->impostor = open_built("/selftests/module/impostor.ko");
	if (self->impostor < 0)
		SKIP(return, "missing: module/impostor.ko beside the test");
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->log);
	lseek(self->log, 0, SEEK_END);
}

/* Whatever has happened, the next test finds the module, and the true kernel. */
FIXTURE_TEARDOWN(kernel)
{
	int err;

	syscall(SYS_delete_module, "impostor", O_NONBLOCK);
	err = memview_load(self->file);
	EXPECT_TRUE(!err || err == -EEXIST);
	EXPECT_EQ(0, access(MEMVIEW_DEV, R_OK | W_OK));
	close(self->log);
	close(self->impostor);
	close(self->file);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int pretend(int impostor, const char *what)
{
	return syscall(SYS_finit_module, impostor, what, 0) ? -errno : 0;
}

static int be_true(void)
{
	return syscall(SYS_delete_module, "impostor", O_NONBLOCK) ? -errno : 0;
}

/* Load memview on a kernel that pretends, and leave it unloaded. */
static int load_on(FIXTURE_DATA(kernel) *self, const char *what)
{
	int err = pretend(self->impostor, what), loaded;

	if (err)
		return err;
	loaded = memview_load(self->file);
	err = be_true();
	if (!loaded && !err)
		err = memview_unload();
	return err ?: loaded;
}

/* Has the kernel logged why, with both words, since this was asked last? */
static bool has_logged(FIXTURE_DATA(kernel) *self, const char *a, const char *b)
{
	bool found = false;
	char line[8192];
	ssize_t n;

	for (;;) {
		n = read(self->log, line, sizeof(line) - 1);
		if (n < 0 && errno != EPIPE) /* which says that lines are lost */
			return found;
		line[n < 0 ? 0 : n] = 0;
		if (strstr(line, "memview: not loaded: ") && strstr(line, a) && strstr(line, b))
			found = true;
	}
}

/*
 * Catches: a kernel that is accepted by what it was built for, or by features
 * that have been there before the fixes.
 */
TEST_F(kernel, refuses_what_lacks_fixes)
{
	static const char *const old[] = {
		"6.12.88+deb13-cloud-amd64", "6.12.114+deb13-amd64", "6.12.0-55.el10.x86_64", "6.12",
		"6.1.0-18-amd64", "6.13.1", "6.18.300-amd64", "7.0.3", "7.2.6+deb14-amd64", "7.2.255",
		"5.99.999", "modern",
	};
	char what[96];
	int i;

	ASSERT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	for (i = 0; i < ARRAY_SIZE(old); i++) {
		snprintf(what, sizeof(what), "release=%s", old[i]);
		EXPECT_EQ(-EOPNOTSUPP, load_on(self, what)) TH_LOG("%s", old[i]);
		EXPECT_TRUE(has_logged(self, old[i], "6.12.115")) TH_LOG("%s", old[i]);
		EXPECT_NE(0, access(MEMVIEW_DEV, F_OK));
	}
}

TEST_F(kernel, accepts_what_has_them)
{
	static const char *const good[] = {
		"6.12.115+deb13-cloud-amd64", "6.12.118-amd64", "6.12.300", "7.3.0", "7.3-amd64",
		"7.3.4+deb13-amd64", "7.10.1", "8.0-rc1-amd64",
	};
	char what[96];
	int i;

	ASSERT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(what, sizeof(what), "release=%s", good[i]);
		EXPECT_EQ(0, load_on(self, what)) TH_LOG("%s", good[i]);
	}
}

/*
 * Three notifications are waited for, each of another walk of the core's. Of the
 * first to stay away the log says what it was of.
 *
 * Catches: a self-test that passes whatever happens, or that leaves something
 * behind when it fails.
 */
TEST_F(kernel, refuses_where_a_notifier_does_not_run)
{
	static const char *const acts[] = { "write-protected", "migrated", "punched" };
	char what[32];
	int i, round;

	ASSERT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(acts); i++) {
			snprintf(what, sizeof(what), "deaf=%d", i + 1);
			EXPECT_EQ(-EOPNOTSUPP, load_on(self, what)) TH_LOG("%s", acts[i]);
			EXPECT_TRUE(has_logged(self, "does not tell", acts[i])) TH_LOG("%s", acts[i]);
			EXPECT_NE(0, access(MEMVIEW_DEV, F_OK));
		}
		EXPECT_EQ(0, load_on(self, "deaf=4"));
	}
}

/* Loaded, it is as ever: the first view has the first ID. */
TEST_F(kernel, self_test_leaves_nothing)
{
	struct view_info info;
	int control;

	ASSERT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	ASSERT_EQ(0, memview_load(self->file));
	control = view_create(SIZE);
	ASSERT_LE(0, control);
	ASSERT_EQ(0, view_info(control, &info));
	EXPECT_EQ(1, info.id);
	EXPECT_EQ(0, info.invalidates);
	close(control);
	EXPECT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
}

/*
 * Kernels that have the fixes do not let a userfaultfd have such a VMA.
 *
 * Catches: a fault that comes again for ever, for it finds a marker in the PTE.
 */
TEST_F(kernel, fault_of_an_armed_vma)
{
	int memfd = memfd_filled(SIZE, 1), control = view_create(SIZE), viewfd;
	char what[64], *mem, *other;
	uint64_t value;

	ASSERT_LE(0, memfd);
	ASSERT_EQ(0, view_map(control, memfd, 0, SIZE, 0, MAP_RW));
	viewfd = view_get_fd(control);
	mem = view_mmap_by_page(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, mem);
	other = view_mmap_by_page(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, other);
	EXPECT_EQ(0, probe_read(mem, &value));
	snprintf(what, sizeof(what), "armed=%lu", (unsigned long)mem);
	ASSERT_EQ(0, pretend(self->impostor, what));
	EXPECT_EQ(SIGBUS, probe_read(mem + PAGE, &value));
	EXPECT_EQ(SIGBUS, probe_write(mem + 2 * PAGE, 1));
	ASSERT_EQ(-1, pwrite(memfd, mem + PAGE, 8, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, probe_read(other + PAGE, &value));
	EXPECT_EQ(0, probe_write(other + 2 * PAGE, 1));
	munmap(mem, SIZE);
	munmap(other, SIZE);
	close(viewfd);
	close(control);
	close(memfd);
}

TEST_HARNESS_MAIN
