/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bench.h - what the parts of memview-bench share
 *
 * A *way* is one of the means by which a process shows memory of files to
 * another: a view, or what is used today. A *window* is the span of a client's
 * addresses where the memory appears. A *row* measures the same thing for each
 * way that can do it, every time in a new process.
 *
 * Figures go to stdout as JSON, one object a line; bench-report makes the table
 * of them.
 */
#ifndef MEMVIEW_BENCH_H
#define MEMVIEW_BENCH_H

#define MEMVIEW_TEST_NO_HARNESS
#include "memview_test.h"

/* Where each window lies: page tables look the same for all ways. */
#define WINDOW_AT ((char *)0x600000000000UL)

struct window;

struct way {
	const char *name;
	void (*open)(struct window *w, uint64_t size);
	void (*close)(struct window *w);
	/* Show [fd_offset, fd_offset + size) of the file at @offset. */
	void (*map)(struct window *w, uint64_t offset, int fd, uint64_t fd_offset, uint64_t size);
	void (*unmap)(struct window *w, uint64_t offset, uint64_t size);
	/* The client accesses a byte of each page of a span. */
	void (*touch_span)(struct window *w, uint64_t offset, uint64_t size, bool write);
	/* The same with a list of page numbers; NULL: cannot. */
	void (*touch_list)(struct window *w, const uint32_t *pages, unsigned int n, bool write);
	/* The client's page tables become empty, but stay. */
	void (*forget)(struct window *w, uint64_t offset, uint64_t size);
};

struct window {
	const struct way *way;
	uint64_t size;
	char *mem;
	int control; /* a view's control fd, or the client's socket */
	int fd; /* the view fd, the userfaultfd, or the file that is copied */
	uint64_t fd_offset;
	pid_t pid;
};

extern const struct way way_view, way_mmap, way_socket, way_uffd, way_copy;
extern const struct way *const ways[5];

struct window window_open(const struct way *way, uint64_t size);
void window_close(struct window *w);

/* For ways whose client is this process. */
void touch_span_here(struct window *w, uint64_t offset, uint64_t size, bool write);
void touch_list_here(struct window *w, const uint32_t *pages, unsigned int n, bool write);
void forget_here(struct window *w, uint64_t offset, uint64_t size);

/* ---- Rows ---- */

struct row {
	const char *name;
	void (*run)(const struct row *row, const struct way *way, enum source_kind source);
	uint64_t size; /* bytes, of what the row is about */
	bool write;
	bool touched;
	unsigned int rounds;
	unsigned int sources, ways; /* bits of their numbers */
};

#define ON(n)		(1U << (n))
#define ON_MEMFD	ON(SOURCE_MEMFD)
#define ON_BOTH		(ON(SOURCE_MEMFD) | ON(SOURCE_EXT4))

enum way_number {
	WAY_VIEW,
	WAY_MMAP,
	WAY_SOCKET,
	WAY_UFFD,
	WAY_COPY,
};

#define BY_PAGE		(ON(WAY_VIEW) | ON(WAY_MMAP) | ON(WAY_UFFD) | ON(WAY_COPY))
#define BY_SPAN		(ON(WAY_VIEW) | ON(WAY_MMAP) | ON(WAY_SOCKET))
#define BY_TWO		(ON(WAY_VIEW) | ON(WAY_MMAP))

extern const struct row touch_rows[], change_rows[];

/* ---- Figures ---- */

#define PER_PAGE "instructions/page"

/* Of one round; less what reading the clock takes. */
uint64_t clock_start(void);
uint64_t clock_stop(uint64_t start);
void clock_calibrate(void);

double lowest(const uint64_t *values, unsigned int n);
double median(uint64_t *values, unsigned int n);

void emit(const char *row, enum source_kind source, const char *way, const char *unit, double value);

/* ---- Failures end the program ---- */

void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...);
/* @ret is negative: an errno, or -1 and errno. */
int must(int ret, const char *what);
int must_errno(int ret, const char *what);
void source_must(struct source *src, enum source_kind kind, uint64_t size);
/* Cached, and clean on the disk: what a benchmark starts from. */
void source_settle(struct source *src);

#endif /* MEMVIEW_BENCH_H */
