/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memview_test.h - what the selftests of memview share; lib.c implements it
 *
 * A test program is one file: it includes this header, defines its tests with
 * the kernel's kselftest harness and ends in TEST_HARNESS_MAIN. The header
 * brings the harness in, unless MEMVIEW_TEST_NO_HARNESS is defined.
 *
 * Functions that return an int return 0 (or something useful that is not
 * negative) or a negative errno, so that ASSERT_EQ(0, ...) shows what failed.
 */
#ifndef MEMVIEW_TEST_H
#define MEMVIEW_TEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/memview.h>

/* Advice that the C library may be too old to know. */
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ	22
#define MADV_POPULATE_WRITE	23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE		25
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#define MADV_GUARD_REMOVE	103
#endif

#ifndef MEMVIEW_TEST_NO_HARNESS
#include <kselftest_harness.h>

/* The guest is slow under emulation, on a machine that is busy: no test is late, but one that hangs is told by its name. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 250
#endif

#define MEMVIEW_DEV	"/dev/memory-view"

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define KiB		(1UL << 10)
#define MiB		(1UL << 20)
#define GiB		(1UL << 30)

#define MAP_R		MEMVIEW_MAP_READ
#define MAP_RW		(MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE)
#define MAP_RX		(MEMVIEW_MAP_READ | MEMVIEW_MAP_EXEC)
#define MAP_RWX		(MEMVIEW_MAP_READ | MEMVIEW_MAP_WRITE | MEMVIEW_MAP_EXEC)

#define PROT_RW		(PROT_READ | PROT_WRITE)

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#endif

/* ---- The view ---- */

/* A new view of @size bytes: its control fd. */
int view_create(uint64_t size);
int view_resize(int control, uint64_t size);
int view_map(int control, int fd, uint64_t fd_offset, uint64_t size,
	     uint64_t mem_offset, uint32_t flags);
int view_unmap(int control, uint64_t mem_offset, uint64_t size);
/* MEMVIEW_BATCH; what it says of the entry at fault goes to *failed, if not NULL. */
int view_batch(int control, const struct memview_batch_op *ops, uint32_t nr, uint32_t *failed);
struct memview_batch_op batch_map(int fd, uint64_t fd_offset, uint64_t size, uint64_t mem_offset,
				  uint32_t flags);
struct memview_batch_op batch_unmap(uint64_t mem_offset, uint64_t size);
/* Of enum memview_flags. */
int view_set_flags(int control, uint32_t flags);
/* A new view fd of the view. */
int view_get_fd(int control);
/* mmap() all of @size from @offset, MAP_SHARED. MAP_FAILED on error. */
void *view_mmap(int viewfd, uint64_t size, int prot, uint64_t offset);
/* The same, with a fault for each page: none brings its neighbours along. */
void *view_mmap_by_page(int viewfd, uint64_t size, int prot, uint64_t offset);

/* What /proc/PID/fdinfo tells of a control fd or a view fd. */
struct view_info {
	uint64_t id;
	char type[16]; /* "control" or "view" */
	uint64_t flags;
	uint64_t size;
	uint64_t ranges;
	uint64_t bytes;
	uint64_t mappings;
	uint64_t faults;
	uint64_t fault_errors;
	uint64_t changes;
	uint64_t zaps;
	uint64_t invalidates;
};

/* -ENOENT if one of the lines is not there; @fd is one of ours. */
int view_info(int fd, struct view_info *info);

/* ---- Sources ---- */

enum source_kind {
	SOURCE_MEMFD,
	SOURCE_MEMFD_HUGE, /* of 2 MiB folios; the size is rounded up to them */
	SOURCE_TMPFS,
	SOURCE_EXT4,
	SOURCE_XFS,
	SOURCE_BTRFS,
	SOURCE_OVERLAY,
	SOURCE_KINDS,
};

struct source {
	enum source_kind kind;
	int fd; /* O_RDWR; the file has no name any more */
	uint64_t size;
	char missing[128]; /* why source_open() returned -ENODEV */
};

const char *source_name(enum source_kind kind);
/*
 * A new file of @size zero bytes. The file systems are the directories ext4,
 * xfs... in $MEMVIEW_TEST_MNT (/mnt). -ENODEV: this machine cannot; @missing
 * says what is missing.
 */
int source_open(struct source *src, enum source_kind kind, uint64_t size);
void source_close(struct source *src);
/* The same file opened again, such as O_RDONLY. */
int source_reopen(const struct source *src, int open_flags);
/* The directory of the kind's file system; NULL and @missing if not there. */
const char *source_dir(enum source_kind kind, char *missing, size_t len);

/*
 * Every page of a filled source begins with a word that tells which file and
 * which page it is.
 */
static inline uint64_t page_tag(uint32_t file, uint64_t page)
{
	return (uint64_t)file << 32 | (page & 0xffffffff);
}

/* Write page_tag(@file, n) to the start of page n, for all of the file. */
int source_fill(const struct source *src, uint32_t file);
int fill_fd(int fd, uint64_t size, uint32_t file);
/* A memfd filled with page_tag(@file, n). */
int memfd_filled(uint64_t size, uint32_t file);
/* The word at @offset of the file, by pread(); a short read is -EIO. */
int fd_read_u64(int fd, uint64_t offset, uint64_t *value);
int fd_write_u64(int fd, uint64_t offset, uint64_t value);

#define SOURCE_OPEN_OR_SKIP(src, kind_, size_)                            \
	do {                                                              \
		int err_ = source_open(src, kind_, size_);                \
									  \
		if (err_ == -ENODEV)                                      \
			SKIP(return, "missing: %s", (src)->missing);      \
		ASSERT_EQ(0, err_);                                       \
	} while (0)

/* For a fixture whose variant has a member `enum source_kind kind`. */
#define SOURCE_VARIANTS(fixture)                                          \
	FIXTURE_VARIANT_ADD(fixture, memfd) { .kind = SOURCE_MEMFD };     \
	FIXTURE_VARIANT_ADD(fixture, memfd_huge)                          \
		{ .kind = SOURCE_MEMFD_HUGE };                            \
	FIXTURE_VARIANT_ADD(fixture, tmpfs) { .kind = SOURCE_TMPFS };     \
	FIXTURE_VARIANT_ADD(fixture, ext4) { .kind = SOURCE_EXT4 };       \
	FIXTURE_VARIANT_ADD(fixture, xfs) { .kind = SOURCE_XFS };         \
	FIXTURE_VARIANT_ADD(fixture, btrfs) { .kind = SOURCE_BTRFS };     \
	FIXTURE_VARIANT_ADD(fixture, overlay) { .kind = SOURCE_OVERLAY }

/* ---- What a layout should be ---- */

/*
 * The layout of a view as the test believes it is, page by page. The pages of
 * the sources must hold their page_tag().
 */
struct model {
	unsigned int pages;
	uint32_t ids; /* how many map requests there were */
	struct model_page {
		uint32_t id; /* of the map request; 0: no range */
		uint32_t file; /* as given to source_fill() */
		uint32_t file_page;
		uint32_t flags;
	} *page;
};

/* A view of @pages without ranges; model_free() when done. */
int model_init(struct model *model, unsigned int pages);
void model_free(struct model *model);
void model_map(struct model *model, unsigned int page, unsigned int n,
	       uint32_t file, unsigned int file_page, uint32_t flags);
void model_unmap(struct model *model, unsigned int page, unsigned int n);
/* How many ranges, and how many pages in them. */
unsigned int model_ranges(const struct model *model);
unsigned int model_mapped(const struct model *model);
/*
 * Compare with the view: fdinfo's count of ranges and bytes, and a read and a
 * write of every page through @mem, a PROT_READ | PROT_WRITE mapping of all of
 * the view. How many differences; @why tells the first.
 */
unsigned int model_differs(const struct model *model, int control, char *mem,
			   char *why, size_t len);

#define EXPECT_LAYOUT(model, control, mem)                                \
	do {                                                              \
		char why_[160] = "";                                      \
									  \
		EXPECT_EQ(0, model_differs(model, control, mem, why_,     \
					   sizeof(why_)))                 \
			TH_LOG("layout: %s", why_);                       \
	} while (0)

/* ---- Accesses that may fault ---- */

/*
 * Each returns 0, or the signal that the access raised: SIGSEGV, SIGBUS or
 * SIGILL. Any thread may use them at any time. They do not work in a child
 * made by vfork().
 */
int probe_read(const void *addr, uint64_t *value);
int probe_read8(const void *addr, uint8_t *value);
int probe_write(void *addr, uint64_t value);
int probe_write8(void *addr, uint8_t value);
/* Call the function at @addr; *value is what it returns. */
int probe_exec(const void *addr, uint32_t *value);

/* The signal that this thread's latest failing probe raised. */
extern __thread struct probe_fault {
	int sig;
	int code; /* si_code */
	void *addr;
} probe_fault;

/* Machine code for "return @value", for probe_exec(). */
#define CODE_SIZE 8
void put_code(void *buf, uint32_t value);

/* ---- File descriptors and processes ---- */

int send_fd(int sock, int fd);
/* The received fd, close-on-exec. */
int recv_fd(int sock);

/*
 * A client is a forked process that runs functions for the test, one after
 * the other. It holds no file descriptor but its end of a socket, those it
 * is sent and 0 to 2; @viewfd reaches it by SCM_RIGHTS. Mappings it inherits
 * as in any fork: start it before you map what it must not have.
 */
struct client {
	pid_t pid;
	int sock;
};

/* Runs in the client. @arg is a copy of the caller's, and is copied back. */
typedef long (*client_fn)(void *arg);

/* The fd that the client got from client_start(); valid in the client. */
extern int client_viewfd;

/* @viewfd may be -1. */
int client_start(struct client *client, int viewfd);
/* Call @fn in the client and wait: its result, or -EPIPE if it died. */
long client_call(struct client *client, client_fn fn, void *arg, size_t len);
/* The same in two steps; the test goes on in between. */
int client_post(struct client *client, client_fn fn, const void *arg, size_t len);
long client_result(struct client *client, void *arg, size_t len);
/* Let it end (or kill it) and wait: the status of waitpid(). */
int client_stop(struct client *client);
int client_kill(struct client *client);

#define CLIENT_ARG_MAX 512

/* Memory that a process and its later children share, zeroed. */
void *shared_alloc(size_t size);

/* ---- The kernel log ---- */

/*
 * klog_start() in FIXTURE_SETUP, EXPECT_KLOG_CLEAN in FIXTURE_TEARDOWN: a
 * warning of the kernel in between is a failure of the test.
 */
struct klog {
	int fd;
};

int klog_start(struct klog *klog);
/* How many lines since klog_start() are splats; the first is put in @line. */
int klog_splats(struct klog *klog, char *line, size_t len);

#define EXPECT_KLOG_CLEAN(klog)                                           \
	do {                                                              \
		char line_[256] = "";                                     \
									  \
		EXPECT_EQ(0, klog_splats(klog, line_, sizeof(line_)))     \
			TH_LOG("kernel log: %s", line_);                  \
	} while (0)

/* ---- Odds and ends ---- */

/* The whole file as a string; what does not fit is cut off. */
int read_file(const char *path, char *buf, size_t len);
int write_file(const char *path, const char *text);
/* The number behind "@key" in a file such as /proc/meminfo. */
int file_number(const char *path, const char *key, uint64_t *value);
uint64_t now_ns(void);
void sleep_ms(unsigned int ms);
/*
 * A pseudo-random sequence. The seed comes from $MEMVIEW_TEST_SEED or the
 * clock; the test prints it.
 */
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);
/* The calling thread, from now on. 0 or -errno. */
int run_on_cpu(int cpu);
/* How many of @n pages have a PTE? Without a touch. */
unsigned int count_mapped(const char *addr, unsigned int n);
/* @n rounds, fewer ($MEMVIEW_TEST_SCALE per cent) on a slow kernel. */
unsigned int scaled(unsigned int n);
/* How many times as long to wait for something: 1, or more where loops are shorter. */
unsigned int slowness(void);

/* Until @condition holds, or so much time has passed, which is longer where all is slow. */
#define WAIT_FOR(condition, ms)						\
({									\
	uint64_t end_ = now_ns() + (ms) * 1000000ULL * slowness();	\
									\
	while (!(condition) && now_ns() < end_)				\
		sleep_ms(1);						\
	!!(condition);							\
})

/*
 * A thread that is there before its work begins: what a test holds up may keep
 * new ones from starting, since they map a stack.
 */
struct ready {
	void (*work)(void *arg);
	void *arg;
	int cpu;
	_Atomic int tid;
	_Atomic bool begin, done;
	pthread_t thread;
};

/* On @cpu, or on any if it is negative. 0, and @tid is set; or -errno. */
int ready_start(struct ready *ready, void (*work)(void *arg), void *arg, int cpu);
void ready_begin(struct ready *ready);
/* Wait for the end of its work. It must have been told to begin. */
void ready_join(struct ready *ready);

/* Load the kernel module @name if it is not there; 0 or -ENODEV. */
int load_module(const char *name);
/* A file of this build, by its path below build/KERNEL/: an fd for reading. */
int open_built(const char *name);
/* This module, from the file that lies beside the tests: its fd, ... */
int memview_open_module(void);
/* ...and in and out, without waiting for who uses it. */
int memview_load(int file);
int memview_unload(void);

#endif /* MEMVIEW_TEST_H */
