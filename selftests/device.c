// SPDX-License-Identifier: GPL-2.0
/*
 * device.c - P9: the device node: its number, its rights, what its opening takes,
 * and that it brings the module
 */
#include "failnth.h"
#include "lifetime.h"

#include <sys/sysmacros.h>

#define MAJOR_LOCAL	125 /* module/device.c */
#define TRACING		"/sys/kernel/tracing/"
#define MODPROBE	"/proc/sys/kernel/modprobe"

FIXTURE(device)
{
	int file;
	char dir[32], modprobe[PATH_MAX];
	struct klog klog;
};

static void read_first_line(const char *path, char *line, int size)
{
	FILE *file = fopen(path, "re");

	line[0] = 0;
	if (!file)
		return;
	if (fgets(line, size, file))
		line[strcspn(line, "\n")] = 0;
	fclose(file);
}

FIXTURE_SETUP(device)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->file = memview_open_module();
	if (self->file < 0)
		SKIP(return, "missing: ../module/memview.ko beside the test");
	strcpy(self->dir, "/tmp/memview-XXXXXX");
	ASSERT_NE(NULL, mkdtemp(self->dir));
	read_first_line(MODPROBE, self->modprobe, sizeof(self->modprobe));
}

/* Whatever has happened, the next test finds the module as it was. */
FIXTURE_TEARDOWN(device)
{
	char command[64];
	int err;

	write_file(MODPROBE, self->modprobe);
	err = memview_load(self->file);
	EXPECT_TRUE(!err || err == -EEXIST);
	EXPECT_EQ(0, access(MEMVIEW_DEV, R_OK | W_OK));
	snprintf(command, sizeof(command), "rm -r %s", self->dir);
	EXPECT_EQ(0, system(command));
	close(self->file);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Does a line of a file have @word as its last word? */
static bool file_lists(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[256], *last;
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		last = strrchr(line, ' ');
		found = last && !strcmp(last + 1, word);
	}
	if (file)
		fclose(file);
	return found;
}

TEST_F(device, node)
{
	struct stat st;

	ASSERT_EQ(0, stat(MEMVIEW_DEV, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(0660, st.st_mode & 07777);
	EXPECT_EQ(makedev(MAJOR_LOCAL, 0), st.st_rdev);
	EXPECT_TRUE(file_lists("/proc/devices", "memory-view"));
	EXPECT_EQ(0, access("/sys/class/memview/memory-view/dev", R_OK));
}

/* How often has a probe been hit? */
static long hits(const char *probe)
{
	FILE *file = fopen(TRACING "kprobe_profile", "re");
	char line[256], name[64];
	long n = -1, count;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%63s %ld", name, &count) == 2 && !strcmp(name, probe))
			n = count;
	if (file)
		fclose(file);
	return n;
}

static int open_times(const char *path, int flags, int n)
{
	int i, fd;

	for (i = 0; i < n; i++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd < 0)
			return -errno;
		close(fd);
	}
	return 0;
}

/*
 * All misc devices are opened by misc_open(), under a mutex that they share.
 *
 * Catches: an opening of views that has to wait for memory, and lets nobody
 * open /dev/kvm or /dev/fuse meanwhile.
 */
TEST_F(device, opening_is_not_under_the_lock_of_the_misc_devices)
{
	int err;

	EXPECT_FALSE(file_lists("/proc/misc", "memory-view"));
	err = write_file(TRACING "kprobe_events", "p:memview_test/opened misc_open");
	if (err)
		SKIP(return, "missing: kprobe events");
	ASSERT_EQ(0, write_file(TRACING "events/memview_test/opened/enable", "1"));
	EXPECT_EQ(0, hits("opened"));
	/* The probe does count. */
	EXPECT_EQ(0, open_times("/dev/fuse", O_RDWR, 3));
	EXPECT_EQ(3, hits("opened"));
	EXPECT_EQ(0, open_times(MEMVIEW_DEV, O_RDWR, 3));
	EXPECT_EQ(3, hits("opened"));
	EXPECT_EQ(0, write_file(TRACING "events/memview_test/opened/enable", "0"));
	/* Opening the file for writing has removed it, unless it is in use. */
	EXPECT_EQ(0, write_file(TRACING "kprobe_events", ""));
}

/* Does the module say @alias of itself? */
static bool has_alias(int file, const char *alias)
{
	struct stat st;
	bool found;
	char *text;

	if (fstat(file, &st))
		return false;
	text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, file, 0);
	if (text == MAP_FAILED)
		return false;
	found = memmem(text, st.st_size, alias, strlen(alias) + 1);
	munmap(text, st.st_size);
	return found;
}

/* Has the kernel have modules loaded by a script, which notes what for. */
static int take_over_modprobe(FIXTURE_DATA(device) *self)
{
	char path[64], text[PATH_MAX + 128], module[PATH_MAX], fd[64];
	ssize_t n;

	snprintf(fd, sizeof(fd), "/proc/self/fd/%d", self->file);
	n = readlink(fd, module, sizeof(module) - 1);
	if (n < 0)
		return -errno;
	module[n] = 0;
	snprintf(text, sizeof(text), "#!/bin/sh\necho \"$*\" >>%s/asked\nexec /sbin/insmod %s\n",
		 self->dir, module);
	snprintf(path, sizeof(path), "%s/modprobe", self->dir);
	close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0700));
	return write_file(path, text) ?: write_file(MODPROBE, path);
}

/*
 * What kmod makes nodes of at boot, before any module is there, are the names and
 * numbers in modules' aliases.
 *
 * Catches: a node whose number is not that of the aliases: its opening brings
 * another driver, or none.
 */
TEST_F(device, opening_a_node_loads_the_module)
{
	char path[64], line[256];
	int control;

	EXPECT_TRUE(has_alias(self->file, "alias=devname:memory-view"));
	EXPECT_TRUE(has_alias(self->file, "alias=char-major-125-0"));
	ASSERT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	snprintf(path, sizeof(path), "%s/node", self->dir);
	ASSERT_EQ(0, mknod(path, S_IFCHR | 0600, makedev(MAJOR_LOCAL, 0)));
	ASSERT_EQ(0, take_over_modprobe(self));
	control = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, control) TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, view_resize(control, PAGE));
	close(control);
	snprintf(path, sizeof(path), "%s/asked", self->dir);
	read_first_line(path, line, sizeof(line));
	EXPECT_NE(NULL, strstr(line, "char-major-125-0")) TH_LOG("%s", line);
}

/* Catches: a number that is taken, and what is left behind then. */
TEST_F(device, another_number)
{
	struct stat st;
	int i;

	ASSERT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	for (i = 0; i < 3; i++)
		EXPECT_EQ(-1, syscall(SYS_finit_module, self->file, "major=1", 0));
	EXPECT_EQ(EBUSY, errno);
	EXPECT_NE(0, access(MEMVIEW_DEV, F_OK));
	ASSERT_EQ(0, syscall(SYS_finit_module, self->file, "major=0", 0));
	ASSERT_EQ(0, stat(MEMVIEW_DEV, &st));
	EXPECT_NE(MAJOR_LOCAL, major(st.st_rdev));
	EXPECT_EQ(0, open_times(MEMVIEW_DEV, O_RDWR, 3));
	EXPECT_TRUE(WAIT_FOR(memview_unload() == -ENOENT, 20000));
	EXPECT_FALSE(file_lists("/proc/devices", "memory-view"));
}

/* Opens that fail give back what they have taken, and those that do not. */
TEST_F(device, references)
{
	long before = module_references();
	int i;

	for (i = 0; i < 10; i++) {
		EXPECT_EQ(-EINVAL, open_times(MEMVIEW_DEV, O_RDONLY, 1));
		EXPECT_EQ(-EINVAL, open_times(MEMVIEW_DEV, O_RDWR | O_DIRECT, 1));
		EXPECT_EQ(0, open_times(MEMVIEW_DEV, O_RDWR, 1));
	}
	EXPECT_TRUE(module_references_fall_to(before));
	EXPECT_EQ(before, module_references());
}

TEST_HARNESS_MAIN
