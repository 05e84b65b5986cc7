// SPDX-License-Identifier: GPL-2.0
/*
 * signals.c - P3: SIGBUS where no range is, beyond the view's and beyond the
 * source's end; SIGSEGV where a range forbids the access
 */
#include "memview_test.h"

#include <linux/mman.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	7

FIXTURE(signals)
{
	struct klog klog;
	struct source src;
	int control;
	int viewfd;
	char *mem; /* twice the size of the view */
	_Atomic bool stop;
};

FIXTURE_VARIANT(signals)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(signals);

FIXTURE_SETUP(signals)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, 2 * SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(signals)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* All three accesses raise @sig, and tell the address. */
static void expect_signal(struct __test_metadata *_metadata, char *addr, int sig)
{
	uint64_t word = 0;
	uint32_t answer;

	EXPECT_EQ(sig, probe_read(addr, &word)) TH_LOG("read %p", addr);
	EXPECT_EQ(addr, probe_fault.addr);
	EXPECT_EQ(sig, probe_write(addr, 1)) TH_LOG("write %p", addr);
	EXPECT_EQ(addr, probe_fault.addr);
	EXPECT_EQ(sig, probe_exec(addr, &answer)) TH_LOG("exec %p", addr);
	EXPECT_EQ(addr, probe_fault.addr);
}

static void expect_tag(struct __test_metadata *_metadata, char *mem, uint64_t page,
		       uint64_t file_page)
{
	uint64_t word = 0;

	EXPECT_EQ(0, probe_read(mem + page * PAGE, &word)) TH_LOG("page %d", (int)page);
	EXPECT_EQ(page_tag(FILE_ID, file_page), word) TH_LOG("page %d", (int)page);
}

TEST_F(signals, no_range)
{
	expect_signal(_metadata, self->mem, SIGBUS);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, PAGE, MAP_RWX));
	expect_signal(_metadata, self->mem, SIGBUS);
	expect_tag(_metadata, self->mem, 1, 0);
	expect_signal(_metadata, self->mem + 2 * PAGE, SIGBUS);
	expect_signal(_metadata, self->mem + SIZE - 8, SIGBUS);
	ASSERT_EQ(0, view_unmap(self->control, PAGE, PAGE));
	expect_signal(_metadata, self->mem + PAGE, SIGBUS);
}

TEST_F(signals, forbidden)
{
	char *mem = view_mmap(self->viewfd, SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, 0);
	uint32_t answer;

	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_R));
	/* Of a page not there, and of a page that is there. */
	EXPECT_EQ(SIGSEGV, probe_write(mem + 8, 1));
	EXPECT_EQ(mem + 8, probe_fault.addr);
	EXPECT_EQ(SIGSEGV, probe_exec(mem + PAGE, &answer));
	EXPECT_EQ(mem + PAGE, probe_fault.addr);
	expect_tag(_metadata, mem, 0, 0);
	expect_tag(_metadata, mem, 1, 1);
	EXPECT_EQ(SIGSEGV, probe_write(mem + 8, 1));
	EXPECT_EQ(SIGSEGV, probe_exec(mem + PAGE, &answer));
	expect_tag(_metadata, mem, 0, 0);
}

/* The mapping is larger than the view; what lies beyond comes with a resize. */
TEST_F(signals, end_of_the_view)
{
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	expect_tag(_metadata, self->mem, PAGES - 1, PAGES - 1);
	expect_signal(_metadata, self->mem + SIZE, SIGBUS);
	expect_signal(_metadata, self->mem + 2 * SIZE - PAGE, SIGBUS);

	ASSERT_EQ(0, view_resize(self->control, 2 * SIZE));
	expect_signal(_metadata, self->mem + SIZE, SIGBUS);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, SIZE, MAP_RWX));
	expect_tag(_metadata, self->mem, PAGES, 0);

	/* Shrinking takes away; growing does not bring back. */
	ASSERT_EQ(0, view_resize(self->control, SIZE / 2));
	expect_tag(_metadata, self->mem, PAGES / 2 - 1, PAGES / 2 - 1);
	expect_signal(_metadata, self->mem + SIZE / 2, SIGBUS);
	expect_signal(_metadata, self->mem + SIZE, SIGBUS);
	ASSERT_EQ(0, view_resize(self->control, 2 * SIZE));
	expect_signal(_metadata, self->mem + SIZE / 2, SIGBUS);
	expect_signal(_metadata, self->mem + SIZE, SIGBUS);
	expect_tag(_metadata, self->mem, 0, 0);
}

/* A size that is no multiple of a page counts as the next one that is. */
TEST_F(signals, odd_size_of_the_view)
{
	struct stat st;

	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	ASSERT_EQ(0, view_resize(self->control, 3 * PAGE + 1));
	ASSERT_EQ(0, fstat(self->control, &st));
	EXPECT_EQ(3 * PAGE + 1, st.st_size);
	expect_tag(_metadata, self->mem, 3, 3);
	expect_signal(_metadata, self->mem + 4 * PAGE, SIGBUS);
	EXPECT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 3 * PAGE, MAP_RWX));
	EXPECT_EQ(-EINVAL, view_map(self->control, self->src.fd, 0, PAGE, 4 * PAGE, MAP_RWX));
	expect_tag(_metadata, self->mem, 3, 0);
	ASSERT_EQ(0, view_resize(self->control, 0));
	expect_signal(_metadata, self->mem, SIGBUS);
}

/* As in a mapping of the file: the rest of the last page reads as zero. */
TEST_F(signals, end_of_the_source)
{
	static const char text[] = "the last bytes of the file";
	const uint64_t length = 2 * PAGE + sizeof(text);
	uint8_t byte = 1;
	struct stat st;
	unsigned int i;

	ASSERT_EQ(0, ftruncate(self->src.fd, 2 * PAGE));
	ASSERT_EQ(sizeof(text), pwrite(self->src.fd, text, sizeof(text), 2 * PAGE));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	EXPECT_EQ(0, memcmp(self->mem + 2 * PAGE, text, sizeof(text)));
	for (i = sizeof(text); i < PAGE; i++) {
		ASSERT_EQ(0, self->mem[2 * PAGE + i]) TH_LOG("byte %u", i);
	}
	expect_signal(_metadata, self->mem + 3 * PAGE, SIGBUS);
	expect_signal(_metadata, self->mem + SIZE - PAGE, SIGBUS);

	/* A write beyond the end, in the last page, does not make the file longer. */
	EXPECT_EQ(0, probe_write8(self->mem + 3 * PAGE - 1, 0xff));
	ASSERT_EQ(0, fstat(self->src.fd, &st));
	EXPECT_EQ(length, st.st_size);
	EXPECT_EQ(0, pread(self->src.fd, &byte, 1, length));
}

TEST_F(signals, source_grows_and_shrinks)
{
	ASSERT_EQ(0, ftruncate(self->src.fd, PAGE));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	expect_tag(_metadata, self->mem, 0, 0);
	expect_signal(_metadata, self->mem + PAGE, SIGBUS);

	ASSERT_EQ(0, ftruncate(self->src.fd, 4 * PAGE));
	ASSERT_EQ(0, fill_fd(self->src.fd, 4 * PAGE, FILE_ID));
	expect_tag(_metadata, self->mem, 3, 3);
	expect_signal(_metadata, self->mem + 4 * PAGE, SIGBUS);

	/* Pages that are mapped go with the file's end. */
	EXPECT_EQ(0, probe_write(self->mem + 2 * PAGE + 8, 1));
	ASSERT_EQ(0, ftruncate(self->src.fd, 2 * PAGE));
	expect_tag(_metadata, self->mem, 1, 1);
	expect_signal(_metadata, self->mem + 2 * PAGE, SIGBUS);
	expect_signal(_metadata, self->mem + 3 * PAGE, SIGBUS);
	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	expect_signal(_metadata, self->mem, SIGBUS);
}

/* A range may lie beyond the source's end: the file may grow later. */
/*
 * A folio that somebody holds cannot be split: the file ends in the middle of
 * it, and its other pages stay in the page cache.
 *
 * Catches: a page taken from the cache without a look at the file's size.
 */
TEST_F(signals, end_within_a_held_folio)
{
	const off_t end = 5 * PAGE;
	static char data[SIZE];
	off_t offset = 0;
	int fds[2], page;

	/* One write, so that the file system may take one folio for it. */
	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	ASSERT_EQ(SIZE, pwrite(self->src.fd, data, SIZE, 0));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	ASSERT_EQ(0, pipe2(fds, O_CLOEXEC));
	ASSERT_EQ(PAGE, splice(self->src.fd, &offset, fds[1], NULL, PAGE, 0));
	ASSERT_EQ(0, ftruncate(self->src.fd, end));
	for (page = end / PAGE; page < (int)(SIZE / PAGE); page++) {
		EXPECT_EQ(SIGBUS, probe_write(self->mem + page * PAGE, 1)) TH_LOG("page %d", page);
		expect_signal(_metadata, self->mem + page * PAGE, SIGBUS);
	}
	EXPECT_EQ(0, probe_write(self->mem + end - PAGE, 1));
	close(fds[0]);
	close(fds[1]);
}

/* Pages of a file in the page cache, whatever its size. */
static uint64_t count_cached(int fd, uint64_t offset, uint64_t size)
{
	struct cachestat_range range = { offset, size };
	struct cachestat stat = {};

	return syscall(SYS_cachestat, fd, &range, &stat, 0) ? 0 : stat.nr_cache;
}

/* Long enough for its truncation to take some time. */
#define LONG	(2 * MiB)

static void *read_ahead(void *arg)
{
	FIXTURE_DATA(signals) *self = arg;

	while (!atomic_load(&self->stop))
		readahead(self->src.fd, 0, LONG);
	return NULL;
}

/*
 * Readahead that has looked at the size before a truncation, and waits for its
 * end, fills the page cache beyond the end of the file. No mmap shows that.
 *
 * Catches: a write that the file system wants to be tried again, for ever.
 */
TEST_F(signals, read_ahead_beyond_the_end)
{
	uint64_t limit = now_ns() + 5000000000ULL, left = 0;
	pthread_t thread;
	int page;

	if (variant->kind == SOURCE_MEMFD || variant->kind == SOURCE_MEMFD_HUGE ||
	    variant->kind == SOURCE_TMPFS)
		SKIP(return, "nothing is read ahead");
	if (variant->kind == SOURCE_OVERLAY)
		SKIP(return, "its page cache is that of another file, which is not looked at");
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_ahead, self));
	while (!left && now_ns() < limit) {
		ASSERT_EQ(0, ftruncate(self->src.fd, LONG));
		sched_yield();
		ASSERT_EQ(0, ftruncate(self->src.fd, PAGE));
		usleep(100);
		left = count_cached(self->src.fd, PAGE, SIZE - PAGE);
	}
	atomic_store(&self->stop, true);
	pthread_join(thread, NULL);
	if (!left)
		SKIP(return, "no page was left in the page cache");
	for (page = 1; page < PAGES; page++) {
		EXPECT_EQ(SIGBUS, probe_write(self->mem + page * PAGE, 1)) TH_LOG("page %d", page);
		expect_signal(_metadata, self->mem + page * PAGE, SIGBUS);
	}
}

TEST_F(signals, range_beyond_the_source)
{
	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 4 * PAGE, 2 * PAGE, PAGE, MAP_RWX));
	expect_signal(_metadata, self->mem + PAGE, SIGBUS);
	ASSERT_EQ(0, fd_write_u64(self->src.fd, 4 * PAGE, page_tag(FILE_ID, 4)));
	expect_tag(_metadata, self->mem, 1, 4);
	expect_signal(_metadata, self->mem + 2 * PAGE, SIGBUS);
}

/* A hole in the source is memory full of zeroes, and can be written. */
TEST_F(signals, hole_in_the_source)
{
	uint64_t word = 1;

	ASSERT_EQ(0, ftruncate(self->src.fd, 0));
	ASSERT_EQ(0, ftruncate(self->src.fd, SIZE));
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	EXPECT_EQ(0, probe_read(self->mem + PAGE, &word));
	EXPECT_EQ(0, word);
	EXPECT_EQ(0, probe_write(self->mem + PAGE, 77));
	EXPECT_EQ(0, probe_write(self->mem + 2 * PAGE, 78));
	ASSERT_EQ(0, fd_read_u64(self->src.fd, PAGE, &word));
	EXPECT_EQ(77, word);
	ASSERT_EQ(0, fd_read_u64(self->src.fd, 2 * PAGE, &word));
	EXPECT_EQ(78, word);
}

TEST_F(signals, hole_is_punched)
{
	uint64_t word = 1;

	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RWX));
	expect_tag(_metadata, self->mem, 5, 5);
	EXPECT_EQ(0, probe_write(self->mem + 6 * PAGE + 8, 1));
	if (fallocate(self->src.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      5 * PAGE, 2 * PAGE))
		SKIP(return, "missing: hole punching on %s", source_name(variant->kind));
	EXPECT_EQ(0, probe_read(self->mem + 5 * PAGE, &word));
	EXPECT_EQ(0, word);
	EXPECT_EQ(0, probe_read(self->mem + 6 * PAGE + 8, &word));
	EXPECT_EQ(0, word);
	expect_tag(_metadata, self->mem, 4, 4);
	expect_tag(_metadata, self->mem, 7, 7);
}

/* The kernel's own accesses on behalf of the client: EFAULT, no signal. */
TEST_F(signals, system_calls_get_efault)
{
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 0, MAP_R));
	EXPECT_EQ(-1, pread(self->src.fd, self->mem + PAGE, 8, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(self->src.fd, self->mem, 8, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, madvise(self->mem, 2 * PAGE, MADV_POPULATE_READ));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, madvise(self->mem, PAGE, MADV_POPULATE_WRITE));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, madvise(self->mem, PAGE, MADV_POPULATE_READ));
	expect_tag(_metadata, self->mem, 0, 0);
}

/* A signal goes to the thread that made the access, not to the process. */
static void *faulting_thread(void *mem)
{
	uint64_t word;
	long sig = probe_read(mem, &word);

	return (void *)(sig == SIGBUS && probe_fault.addr == mem ? 0L : 1L);
}

TEST_F(signals, each_thread_gets_its_own)
{
	pthread_t threads[4];
	void *failed;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, faulting_thread,
					    self->mem + i * PAGE));
	}
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_join(threads[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
}

/* Who does not handle it dies of it, as with any mapping. */
static long die_of_it(void *arg)
{
	char *mem = view_mmap(client_viewfd, SIZE, PROT_RW, 0);

	signal(SIGBUS, SIG_DFL);
	signal(SIGSEGV, SIG_DFL);
	return *(volatile char *)mem;
}

TEST_F(signals, kills_who_does_not_handle_it)
{
	struct client client;
	int status;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	EXPECT_EQ(-EPIPE, client_call(&client, die_of_it, NULL, 0));
	status = client_stop(&client);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGBUS, WTERMSIG(status));
}

TEST_HARNESS_MAIN
