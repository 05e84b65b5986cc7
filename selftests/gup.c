// SPDX-License-Identifier: GPL-2.0
/*
 * gup.c - P2 and P4 where not the client's own instructions touch the view
 * but the kernel, for direct I/O, another process or a debugger
 *
 * The kernel gets at user pages in two ways: it copies, and faults as the
 * client would; or it takes references of the pages it finds in the page
 * tables, which must be real pages and, for writing, be found writable.
 */
#include "memview_test.h"

#include <linux/futex.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

/* Pages of the view: the first show the source and can be written... */
#define RW_PAGES	8
#define RO_PAGE		RW_PAGES	/* ...this one can be read... */
#define HOLE_PAGE	(RW_PAGES + 1)	/* ...and this one shows nothing. */
#define VIEW_PAGES	(RW_PAGES + 2)
#define VIEW_SIZE	(VIEW_PAGES * PAGE)
#define RW_SIZE		(RW_PAGES * PAGE)

#define SRC_TAG		1
#define DISK_TAG	2
#define WRITTEN		0x7172737475767778ULL

FIXTURE(gup)
{
	struct source src;
	struct source disk; /* for I/O from and to the view */
	int direct; /* the disk file, O_DIRECT */
	int control, viewfd;
	char *mem, *ro, *hole;
	struct klog klog;
};

FIXTURE_VARIANT(gup)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(gup);

FIXTURE_SETUP(gup)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, VIEW_SIZE);
	ASSERT_EQ(0, source_fill(&self->src, SRC_TAG));
	SOURCE_OPEN_OR_SKIP(&self->disk, SOURCE_EXT4, RW_SIZE);
	ASSERT_EQ(0, source_fill(&self->disk, DISK_TAG));
	self->direct = source_reopen(&self->disk, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->direct);

	self->control = view_create(VIEW_SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, RW_SIZE, 0,
			      MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, RO_PAGE * PAGE, PAGE,
			      RO_PAGE * PAGE, MAP_R));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, VIEW_SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	self->ro = self->mem + RO_PAGE * PAGE;
	self->hole = self->mem + HOLE_PAGE * PAGE;
}

FIXTURE_TEARDOWN(gup)
{
	munmap(self->mem, VIEW_SIZE);
	close(self->viewfd);
	close(self->control);
	close(self->direct);
	source_close(&self->disk);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static uint64_t word(int fd, unsigned int page)
{
	uint64_t value = 0;

	return fd_read_u64(fd, page * PAGE, &value) ? 0 : value;
}

static int err_of(ssize_t ret)
{
	return ret < 0 ? -errno : 0;
}

/*
 * Direct I/O from a view to a disk. Nothing has touched the view before, so
 * the pages are faulted in on behalf of the kernel.
 *
 * Catches: PTEs without a page (VM_PFNMAP), which GUP refuses.
 */
TEST_F(gup, direct_write_from_view)
{
	unsigned int i;

	ASSERT_EQ(RW_SIZE, pwrite(self->direct, self->mem, RW_SIZE, 0));
	for (i = 0; i < RW_PAGES; i++)
		EXPECT_EQ(page_tag(SRC_TAG, i), word(self->disk.fd, i));
	ASSERT_EQ(PAGE, pwrite(self->direct, self->ro, PAGE, 0));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), word(self->disk.fd, 0));
	EXPECT_EQ(-EFAULT, err_of(pwrite(self->direct, self->hole, PAGE, 0)));
}

/*
 * Direct I/O from a disk into a view: what was read is in the source, and
 * stays there when the source's cache is written back and dropped.
 *
 * Catches: pages that GUP pinned for writing without page_mkwrite; a write
 * into a page that the range does not let the client write.
 */
TEST_F(gup, direct_read_into_view)
{
	unsigned int i;

	ASSERT_EQ(RW_SIZE, pread(self->direct, self->mem, RW_SIZE, 0));
	for (i = 0; i < RW_PAGES; i++)
		EXPECT_EQ(page_tag(DISK_TAG, i), word(self->src.fd, i));
	ASSERT_EQ(0, err_of(fsync(self->src.fd)));
	ASSERT_EQ(0, posix_fadvise(self->src.fd, 0, 0, POSIX_FADV_DONTNEED));
	for (i = 0; i < RW_PAGES; i++)
		EXPECT_EQ(page_tag(DISK_TAG, i), word(self->src.fd, i));

	EXPECT_EQ(-EFAULT, err_of(pread(self->direct, self->ro, PAGE, 0)));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), word(self->src.fd, RO_PAGE));
	EXPECT_EQ(-EFAULT, err_of(pread(self->direct, self->hole, PAGE, 0)));
}

/* The same with a range that the client has read: its PTE is there, r/o. */
TEST_F(gup, direct_read_after_touch)
{
	uint64_t value;

	ASSERT_EQ(0, probe_read(self->mem, &value));
	ASSERT_EQ(0, probe_read(self->ro, &value));
	ASSERT_EQ(PAGE, pread(self->direct, self->mem, PAGE, PAGE));
	EXPECT_EQ(page_tag(DISK_TAG, 1), word(self->src.fd, 0));
	EXPECT_EQ(-EFAULT, err_of(pread(self->direct, self->ro, PAGE, 0)));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), word(self->src.fd, RO_PAGE));

	/* Narrowed now: what was writable a moment ago is not any more. */
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(-EFAULT, err_of(pread(self->direct, self->mem, PAGE, 0)));
	EXPECT_EQ(page_tag(DISK_TAG, 1), word(self->src.fd, 0));
}

/*
 * Plain read(2) and write(2), which copy.
 *
 * Catches: a fault of the kernel's that is allowed more than one of the
 * client's.
 */
TEST_F(gup, read_and_write)
{
	int fd = self->disk.fd;

	ASSERT_EQ(RW_SIZE, pread(fd, self->mem, RW_SIZE, 0));
	EXPECT_EQ(page_tag(DISK_TAG, 3), word(self->src.fd, 3));
	EXPECT_EQ(-EFAULT, err_of(pread(fd, self->ro, PAGE, 0)));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), word(self->src.fd, RO_PAGE));
	EXPECT_EQ(-EFAULT, err_of(pread(fd, self->hole, PAGE, 0)));

	ASSERT_EQ(PAGE, pwrite(fd, self->ro, PAGE, 0));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), word(fd, 0));
	EXPECT_EQ(-EFAULT, err_of(pwrite(fd, self->hole, PAGE, 0)));
}

/*
 * A file is read into, and written from, a view of the same page of itself,
 * with nothing in the page cache: read and fault want the same folio.
 *
 * Catches: a deadlock on the folio lock.
 */
TEST_F(gup, file_into_itself)
{
	int fd = self->src.fd;
	unsigned int i;

	ASSERT_EQ(0, fsync(fd));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	ASSERT_EQ(RW_SIZE, pread(fd, self->mem, RW_SIZE, 0));
	for (i = 0; i < RW_PAGES; i++)
		EXPECT_EQ(page_tag(SRC_TAG, i), word(fd, i));

	ASSERT_EQ(0, fsync(fd));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	ASSERT_EQ(RW_SIZE, pwrite(fd, self->mem, RW_SIZE, 0));
	ASSERT_EQ(PAGE, pread(fd, self->mem, PAGE, PAGE)); /* page 1 into 0 */
	EXPECT_EQ(page_tag(SRC_TAG, 1), word(fd, 0));
	for (i = 1; i < RW_PAGES; i++)
		EXPECT_EQ(page_tag(SRC_TAG, i), word(fd, i));
}

/* Faults on request. Catches: an error that is taken for success. */
TEST_F(gup, populate)
{
	EXPECT_EQ(0, madvise(self->mem, RW_SIZE, MADV_POPULATE_WRITE));
	EXPECT_EQ(0, madvise(self->mem, RW_SIZE, MADV_POPULATE_READ));
	EXPECT_EQ(0, madvise(self->ro, PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(-EFAULT, err_of(madvise(self->ro, PAGE, MADV_POPULATE_WRITE)));
	EXPECT_EQ(-EFAULT, err_of(madvise(self->hole, PAGE, MADV_POPULATE_READ)));
}

/*
 * vmsplice() puts references of the pages into a pipe. They outlive a revoke,
 * as all references do: the memory is not freed under the pipe.
 *
 * Catches: a PTE without a reference of its page.
 */
TEST_F(gup, vmsplice)
{
	struct iovec iov = { self->mem, 2 * PAGE };
	static uint64_t buf[2 * PAGE / sizeof(uint64_t)];
	int pipefd[2];

	ASSERT_EQ(0, pipe2(pipefd, O_CLOEXEC));
	ASSERT_EQ(2 * PAGE, vmsplice(pipefd[1], &iov, 1, 0));
	ASSERT_EQ(0, view_unmap(self->control, 0, RW_SIZE));
	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	ASSERT_EQ(2 * PAGE, read(pipefd[0], buf, 2 * PAGE));
	EXPECT_EQ(page_tag(SRC_TAG, 0), buf[0]);
	EXPECT_EQ(page_tag(SRC_TAG, 1), buf[PAGE / sizeof(uint64_t)]);

	iov.iov_base = self->hole;
	iov.iov_len = PAGE;
	EXPECT_EQ(-EFAULT, err_of(vmsplice(pipefd[1], &iov, 1, 0)));
	close(pipefd[0]);
	close(pipefd[1]);
}

/* ---- Another process ---- */

static long map_in_client(void *arg)
{
	char *mem = view_mmap(client_viewfd, VIEW_SIZE, PROT_RW, 0);

	return mem == MAP_FAILED ? -errno : (long)mem;
}

static long vm_copy(pid_t pid, bool write, uint64_t *value, long addr)
{
	struct iovec local = { value, sizeof(*value) };
	struct iovec remote = { (void *)addr, sizeof(*value) };
	ssize_t n;

	if (write)
		n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
	else
		n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	return n < 0 ? -errno : n;
}

static long mem_copy(pid_t pid, bool write, uint64_t *value, long addr)
{
	char path[64];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write)
		n = pwrite(fd, value, sizeof(*value), addr);
	else
		n = pread(fd, value, sizeof(*value), addr);
	err = errno;
	close(fd);
	return n < 0 ? -err : n;
}

/* The client is stopped by ptrace already. */
static long ptrace_copy(pid_t pid, bool write, uint64_t *value, long addr)
{
	long word;

	errno = 0;
	if (write) {
		ptrace(PTRACE_POKEDATA, pid, addr, *value);
	} else {
		word = ptrace(PTRACE_PEEKDATA, pid, addr, 0);
		*value = word;
	}
	return errno ? -errno : (long)sizeof(*value);
}

/* What another process may do to a client's view is what the client may. */
static void check_remote(struct __test_metadata *_metadata,
			 FIXTURE_DATA(gup) *self,
			 long (*copy)(pid_t, bool, uint64_t *, long),
			 pid_t pid, long base, int err)
{
	uint64_t value = 0;

	EXPECT_EQ(8, copy(pid, false, &value, base));
	EXPECT_EQ(page_tag(SRC_TAG, 0), value);
	EXPECT_EQ(8, copy(pid, false, &value, base + RO_PAGE * PAGE));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), value);

	value = WRITTEN;
	EXPECT_EQ(8, copy(pid, true, &value, base + PAGE));
	EXPECT_EQ(WRITTEN, word(self->src.fd, 1));
	EXPECT_EQ(err, copy(pid, true, &value, base + RO_PAGE * PAGE));
	EXPECT_EQ(page_tag(SRC_TAG, RO_PAGE), word(self->src.fd, RO_PAGE));
	EXPECT_EQ(err, copy(pid, false, &value, base + HOLE_PAGE * PAGE));
	EXPECT_EQ(err, copy(pid, true, &value, base + HOLE_PAGE * PAGE));

	ASSERT_EQ(0, view_unmap(self->control, 0, RW_SIZE));
	EXPECT_EQ(err, copy(pid, false, &value, base));
	EXPECT_EQ(err, copy(pid, true, &value, base + PAGE));
}

/*
 * Catches, with the two below: FOLL_FORCE, with which a debugger writes where
 * a program may not, let through; a page that is gone and still found.
 */
TEST_F(gup, process_vm)
{
	struct client client;
	long base;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	base = client_call(&client, map_in_client, NULL, 0);
	ASSERT_LT(0, base);
	check_remote(_metadata, self, vm_copy, client.pid, base, -EFAULT);
	EXPECT_EQ(0, client_stop(&client));
}

TEST_F(gup, proc_mem)
{
	struct client client;
	long base;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	base = client_call(&client, map_in_client, NULL, 0);
	ASSERT_LT(0, base);
	check_remote(_metadata, self, mem_copy, client.pid, base, -EIO);
	EXPECT_EQ(0, client_stop(&client));
}

TEST_F(gup, ptrace)
{
	struct client client;
	int status;
	long base;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	base = client_call(&client, map_in_client, NULL, 0);
	ASSERT_LT(0, base);
	ASSERT_EQ(0, ptrace(PTRACE_ATTACH, client.pid, 0, 0));
	ASSERT_EQ(client.pid, waitpid(client.pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	check_remote(_metadata, self, ptrace_copy, client.pid, base, -EIO);
	ASSERT_EQ(0, ptrace(PTRACE_DETACH, client.pid, 0, 0));
	EXPECT_EQ(0, client_stop(&client));
}

/* ---- Futexes ---- */

static long futex(void *addr, int op, uint32_t value, unsigned int seconds)
{
	struct timespec timeout = { .tv_sec = seconds };
	long ret = syscall(SYS_futex, addr, op, value, &timeout, NULL, 0);

	return ret < 0 ? -errno : ret;
}

static long wait_in_client(void *arg)
{
	char *mem = view_mmap(client_viewfd, VIEW_SIZE, PROT_RW, 0);

	if (mem == MAP_FAILED)
		return -errno;
	return futex(mem + 2 * PAGE + 64, FUTEX_WAIT, 0, 60);
}

/*
 * A futex in a view is the same for all who map the page: clients, at
 * whatever address, and those who map the file itself.
 *
 * Catches: pages without page->mapping, which have no futexes.
 */
TEST_F(gup, futex)
{
	struct client client[2];
	char *own, *waker;
	long woken, try;
	int i;

	own = mmap(NULL, VIEW_SIZE, PROT_RW, MAP_SHARED, self->src.fd, 0);
	ASSERT_NE(MAP_FAILED, own);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, client_start(&client[i], self->viewfd));
		ASSERT_EQ(0, client_post(&client[i], wait_in_client, NULL, 0));
	}
	/* One is woken through the file's own mapping, one through the view. */
	for (i = 0; i < 2; i++) {
		waker = i ? self->mem : own;
		for (try = 0, woken = 0; try < 3000 && !woken; try++) {
			sleep_ms(10);
			woken = futex(waker + 2 * PAGE + 64, FUTEX_WAKE, 1, 0);
		}
		EXPECT_EQ(1, woken);
	}
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(0, client_result(&client[i], NULL, 0));
		EXPECT_EQ(0, client_stop(&client[i]));
	}
	EXPECT_EQ(-EFAULT, futex(self->hole, FUTEX_WAIT, 0, 1));
	ASSERT_EQ(0, view_unmap(self->control, 2 * PAGE, PAGE));
	EXPECT_EQ(-EFAULT, futex(self->mem + 2 * PAGE + 64, FUTEX_WAIT, 0, 1));
	munmap(own, VIEW_SIZE);
}

TEST_HARNESS_MAIN
