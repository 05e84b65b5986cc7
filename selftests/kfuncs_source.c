// SPDX-License-Identifier: GPL-2.0
/*
 * kfuncs_source.c - what a policy learns about a source
 */
#include "policy.h"

#include <sys/sysmacros.h>

#include "exiting.skel.h"
#include "lsm.skel.h"

#define SIZE	(4 * PAGE)

FIXTURE(source)
{
	struct klog klog;
	struct recorder *r;
	struct bpf_link *link;
	int control;
};

FIXTURE_SETUP(source)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->r = recorder_new("source", 0, 0);
	ASSERT_NE(NULL, self->r);
	ASSERT_EQ(0, policy_attach(self->r->maps.policy, &self->link));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(source)
{
	policy_detach(&self->link);
	recorder__destroy(self->r);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Have the policy look at the file, and compare with what stat() tells. */
static void check_source(struct __test_metadata *_metadata, FIXTURE_DATA(source) *self, int fd,
			 u32 kind, u32 seals)
{
	struct memview_source_info *got = &self->r->bss->source;
	struct stat st;

	recorder_clear(self->r);
	memset(got, 0xff, sizeof(*got));
	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(0, view_map(self->control, fd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(kind, got->kind);
	EXPECT_EQ(seals, got->seals);
	EXPECT_EQ(st.st_ino, got->ino);
	EXPECT_EQ(st.st_size, got->size);
	EXPECT_EQ(major(st.st_dev), got->dev >> 20);
	EXPECT_EQ(minor(st.st_dev), got->dev & 0xfffff);
	EXPECT_EQ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY, got->writable);
}

TEST_F(source, memfd)
{
	int fd = memfd_filled(SIZE, 1);

	/* Made without MFD_ALLOW_SEALING or with: the seals are as they are. */
	check_source(_metadata, self, fd, MEMVIEW_SOURCE_MEMFD, fcntl(fd, F_GET_SEALS));
}

TEST_F(source, sealed_memfd)
{
	int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	ASSERT_EQ(0, ftruncate(fd, 3 * PAGE + 17));
	check_source(_metadata, self, fd, MEMVIEW_SOURCE_MEMFD, 0);
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	check_source(_metadata, self, fd, MEMVIEW_SOURCE_MEMFD, F_SEAL_SHRINK);
	ASSERT_EQ(0, fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL));
	check_source(_metadata, self, fd, MEMVIEW_SOURCE_MEMFD,
		     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

/* Only a memfd has seals. */
TEST_F(source, tmpfs)
{
	struct source src;
	int fd;

	SOURCE_OPEN_OR_SKIP(&src, SOURCE_TMPFS, SIZE);
	check_source(_metadata, self, src.fd, MEMVIEW_SOURCE_TMPFS, 0);
	fd = source_reopen(&src, O_RDONLY);
	ASSERT_LE(0, fd);
	check_source(_metadata, self, fd, MEMVIEW_SOURCE_TMPFS, 0);
}

TEST_F(source, ext4)
{
	struct source src;
	int fd;

	SOURCE_OPEN_OR_SKIP(&src, SOURCE_EXT4, SIZE);
	check_source(_metadata, self, src.fd, MEMVIEW_SOURCE_FILE, 0);
	fd = source_reopen(&src, O_RDONLY);
	ASSERT_LE(0, fd);
	check_source(_metadata, self, fd, MEMVIEW_SOURCE_FILE, 0);
}

TEST_F(source, xfs)
{
	struct source src;

	SOURCE_OPEN_OR_SKIP(&src, SOURCE_XFS, SIZE);
	check_source(_metadata, self, src.fd, MEMVIEW_SOURCE_FILE, 0);
}

/* ---- Its path ---- */

static int open_named(char *path, size_t len)
{
	snprintf(path, len, "/tmp/memview-source-%d", getpid());
	return open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

TEST_F(source, path)
{
	char path[64];
	int fd = open_named(path, sizeof(path));

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	ASSERT_EQ(0, view_map(self->control, fd, 0, PAGE, 0, MAP_R));
	EXPECT_STREQ(path, self->r->bss->path);
	EXPECT_EQ(strlen(path), self->r->bss->path_len);
	ASSERT_EQ(0, unlink(path));
	recorder_clear(self->r);
	ASSERT_EQ(0, view_map(self->control, fd, 0, PAGE, 0, MAP_R));
	strcat(path, " (deleted)");
	EXPECT_STREQ(path, self->r->bss->path);
	EXPECT_EQ(strlen(path), self->r->bss->path_len);
}

TEST_F(source, path_of_a_memfd)
{
	int fd = memfd_create("named", MFD_CLOEXEC);

	ASSERT_EQ(0, ftruncate(fd, SIZE));
	ASSERT_EQ(0, view_map(self->control, fd, 0, PAGE, 0, MAP_R));
	EXPECT_STREQ("/memfd:named (deleted)", self->r->bss->path);
}

/* Longer than the program's buffer. */
TEST_F(source, path_too_long)
{
	char dir[PATH_MAX], name[200];
	int fd, i;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	strcpy(dir, "/tmp");
	for (i = 0; i < 2; i++) {
		strcat(strcat(dir, "/"), name);
		ASSERT_TRUE(!mkdir(dir, 0700) || errno == EEXIST);
	}
	fd = open(dir, O_TMPFILE | O_RDWR, 0600);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ftruncate(fd, SIZE));
	ASSERT_EQ(0, view_map(self->control, fd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(-ENAMETOOLONG, self->r->bss->path_len);
}

/*
 * An mmap() of no file. The verifier of 6.12 takes the hook's file for one that is
 * never NULL, and leaves out the program's own check.
 */
TEST_F(source, none)
{
	struct lsm *l;
	void *p;

	if (libbpf_find_vmlinux_btf_id("mmap_file", BPF_LSM_MAC) < 0)
		SKIP(return, "missing: CONFIG_BPF_LSM");
	l = lsm__open_and_load();
	ASSERT_NE(NULL, l);
	l->bss->pid = getpid();
	l->bss->result = 1;
	ASSERT_EQ(0, lsm__attach(l));
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	lsm__detach(l);
	EXPECT_NE(MAP_FAILED, p);
	EXPECT_LE(1, l->bss->asked);
	EXPECT_TRUE(l->bss->result == -EINVAL || l->bss->checked);
	lsm__destroy(l);
}

/* Files that the kernel opens for overlayfs, which its verifier trusts too early. */
TEST_F(source, not_open)
{
	struct source src;
	struct lsm *l;
	int fd;

	if (libbpf_find_vmlinux_btf_id("backing_file_alloc", BPF_LSM_MAC) < 0)
		SKIP(return, "missing: the LSM hook backing_file_alloc");
	SOURCE_OPEN_OR_SKIP(&src, SOURCE_OVERLAY, SIZE);
	l = lsm__open();
	ASSERT_NE(NULL, l);
	bpf_program__set_autoload(l->progs.backing_file_alloc, true);
	bpf_program__set_autoload(l->progs.backing_file_free, true);
	ASSERT_EQ(0, lsm__load(l));
	l->bss->pid = getpid();
	l->bss->result = l->bss->result_free = 1;
	ASSERT_EQ(0, lsm__attach(l));
	fd = source_reopen(&src, O_RDONLY);
	EXPECT_LE(0, fd);
	close(fd);
	source_close(&src);
	EXPECT_TRUE(WAIT_FOR(l->bss->checked, 10000));
	lsm__detach(l);
	EXPECT_LE(1, l->bss->asked);
	EXPECT_EQ(-EINVAL, l->bss->result);
	EXPECT_EQ(-EINVAL, l->bss->result_free);
	lsm__destroy(l);
}

static void end_with_a_view(int memfd)
{
	int control = view_create(SIZE);

	if (view_set_flags(control, MEMVIEW_REVOKE_ON_CLOSE) ||
	    view_map(control, memfd, 0, PAGE, 0, MAP_R))
		_exit(1);
	raise(SIGKILL);
}

/* A process loses its root before its files. */
TEST_F(source, path_without_a_root)
{
	struct exiting *e = exiting__open();
	int memfd = memfd_filled(SIZE, 1), status;
	struct bpf_link *link;
	pid_t pid;

	ASSERT_NE(NULL, e);
	libbpf_set_print(no_print);
	if (exiting__load(e))
		SKIP(return, "missing: a verifier that trusts the file of a VMA");
	ASSERT_EQ(0, policy_attach(e->maps.policy, &link));
	e->bss->pid = getpid();
	/* With a root it has a path. */
	ASSERT_EQ(0, view_map(self->control, memfd, 0, PAGE, 0, MAP_R));
	ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
	EXPECT_EQ(1, e->bss->told);
	EXPECT_LT(0, e->bss->result) TH_LOG("%d", e->bss->result);
	pid = fork();
	if (!pid)
		end_with_a_view(memfd);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_EQ(2, e->bss->told);
	EXPECT_EQ(-ESRCH, e->bss->result);
	policy_detach(&link);
	exiting__destroy(e);
}

TEST_HARNESS_MAIN
