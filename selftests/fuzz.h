/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fuzz.h - what the parts of the fuzzer share; fuzz.c says how it works
 *
 * An input is a sequence of records of 16 bytes, each one call with its
 * arguments. The sequence runs in one thread against a model which is exact:
 * every result of every call, every access and fdinfo must be what the model
 * says. Where several things are wrong with a call, any errno that stands for
 * one of them will do.
 */
#ifndef FUZZ_H
#define FUZZ_H

#define MEMVIEW_TEST_NO_HARNESS
#include "memview_test.h"

#define FUZZ_VIEWS	3
#define FUZZ_VIEWFDS	3
#define FUZZ_MAPS	4
#define FUZZ_MAP_PAGES	64
#define FUZZ_RANGES	200
#define FILE_PAGES	16 /* of each source that can be mapped */
#define FUZZ_OPS_MAX	64

/* ---- Inputs ---- */

struct fuzz_op {
	uint8_t op;
	uint8_t obj; /* which view or mapping */
	uint8_t fd; /* which file, view fd */
	uint8_t flags;
	uint8_t sel[4]; /* how the numbers below are meant; see fuzz_value() */
	uint16_t num[4];
};

enum fuzz_call {
	CALL_OPEN, CALL_CLOSE, CALL_RESIZE, CALL_MAP, CALL_MAP_RAW, CALL_UNMAP, CALL_UNMAP_RAW,
	CALL_GET_VIEWFD, CALL_CLOSE_VIEWFD, CALL_MMAP, CALL_MUNMAP, CALL_ACCESS, CALL_MPROTECT,
	CALL_MREMAP, CALL_MADVISE, CALL_FORK, CALL_TRUNCATE, CALL_PUNCH, CALL_REFILL, CALL_SEAL,
	CALL_ON_VIEWFD, CALL_ON_CONTROL, CALL_IOCTL_RAW, CALL_COMPARE, CALL_BATCH_ADD, CALL_BATCH_RUN,
	CALL_SET_FLAGS,
	CALLS,
};

/* A number as record @op has it in place @n: small, odd, huge or at a limit. */
uint64_t fuzz_value(const struct fuzz_op *op, unsigned int n);
/* Small and a multiple of the page size. */
uint64_t fuzz_pages(const struct fuzz_op *op, unsigned int n, unsigned int max);

/* Stop with a message: the fuzzer keeps the input. */
void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* ---- The model ---- */

struct fuzz_range {
	uint64_t first, last; /* pages of the view */
	uint64_t file_first;
	unsigned int source;
	uint32_t flags;
};

struct fuzz_view {
	int control; /* -1: none */
	int viewfd[FUZZ_VIEWFDS];
	uint64_t size;
	bool revoke_on_close;
	unsigned int n;
	struct fuzz_range range[FUZZ_RANGES]; /* sorted */
};

/* A mapping; it keeps its view alive, the model of which stays with it. */
struct fuzz_map {
	char *addr; /* NULL: none */
	unsigned int view;
	uint64_t first; /* page of the view */
	unsigned int n;
	int prot[FUZZ_MAP_PAGES]; /* -1: unmapped */
	bool one_vma;
};

extern struct fuzz_view fuzz_views[FUZZ_VIEWS];
extern struct fuzz_map fuzz_maps[FUZZ_MAPS];

void model_replace(struct fuzz_view *view, uint64_t first, uint64_t last,
		   const struct fuzz_range *range);
const struct fuzz_range *model_find(const struct fuzz_view *view, uint64_t page);
/* Too many ranges for the model: the input ends here. */
bool model_full(const struct fuzz_view *view);
void model_check_info(const struct fuzz_view *view, int fd);
bool view_in_use(unsigned int view);

/* ---- fuzz_sources.c ---- */

enum fuzz_source {
	SRC_MEMFD, SRC_MEMFD2, SRC_TMPFS, SRC_EXT4, SRC_RDONLY, SRC_SEALED, SRC_APPEND, SRC_NOEXEC,
	SRC_MAPPABLE, /* how many those are */
	SRC_WRONLY = SRC_MAPPABLE, SRC_OPATH, SRC_PIPE, SRC_SOCKET, SRC_EVENTFD, SRC_DIR, SRC_ZERO,
	SRC_NULL, SRC_PROC, SRC_SYSFS, SRC_HUGETLB, SRC_SECRETMEM, SRC_CLOSED, SRC_NEGATIVE,
	SRC_CONTROL, SRC_VIEWFD,
	SOURCES,
};

/* A set of errnos: those that a call may fail with, and must if there is one. */
typedef unsigned __int128 errnos;
#define ERR_BIT(err)	((errnos)1 << (err))

/* Of a map of a source. */
errnos source_errors(unsigned int source, uint32_t flags);
int source_fd(unsigned int source);
/* A page of a mappable source: its first word; the signal of an access. */
int source_page(unsigned int source, uint64_t page, uint64_t *word, bool *has_code);
void source_written(unsigned int source, uint64_t page, uint64_t word);
void sources_open(void);
/* As they were; before each input. */
void sources_reset(void);
int source_truncate(const struct fuzz_op *op);
int source_punch(const struct fuzz_op *op);
int source_refill(const struct fuzz_op *op);
int source_seal(const struct fuzz_op *op);

/* ---- fuzz_calls.c ---- */

void calls_init(void);
/* Run a record and check it. */
void fuzz_run(const struct fuzz_op *op);
/* Close everything, after a last look. */
void fuzz_end(void);
/* What is wrong with a span of a view, and with a map of a source. */
errnos span_errors(const struct fuzz_view *view, uint64_t offset, uint64_t size);
errnos map_errors(const struct fuzz_view *view, const struct memview_map_fd_info *info,
		  unsigned int source);
/* Fail unless @err is one of @errors, or 0 if there is none. */
void check_result(const char *what, int err, errnos errors);

/* ---- fuzz_batch.c: the same for batches ---- */

int call_batch_add(const struct fuzz_op *op);
int call_batch_run(const struct fuzz_op *op);
void batch_drop(void);

/* ---- fuzz_client.c: what a client does. Each returns what cover_call() gets. ---- */

int call_mmap(const struct fuzz_op *op);
int call_munmap(const struct fuzz_op *op);
int call_access(const struct fuzz_op *op);
int call_mprotect(const struct fuzz_op *op);
int call_mremap(const struct fuzz_op *op);
int call_madvise(const struct fuzz_op *op);
int call_fork(const struct fuzz_op *op);
int call_compare(const struct fuzz_op *op);
void maps_drop(void);

/* ---- fuzz_fds.c: the same for the other calls that a file descriptor takes ---- */

int call_on_viewfd(const struct fuzz_op *op);
int call_on_control(const struct fuzz_op *op);
int call_ioctl_raw(const struct fuzz_op *op);

/* ---- fuzz_cover.c ---- */

/* Open what tells where the kernel went; @quiet: do not say which it is. */
void cover_open(bool quiet);
void cover_start(void);
/* After a call: what it was and what came of it. */
void cover_call(unsigned int call, int err);
/* Blocks of the module that were ever run; 0 without KCOV. */
unsigned int cover_blocks(void);

/* ---- fuzz_seeds.c ---- */

/* Write the seed inputs to a directory, if it is empty. */
int seeds_write(const char *dir);
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned int seed);

#endif /* FUZZ_H */
