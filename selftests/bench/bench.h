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

/* Where the first window of a process lies: page tables look the same for all ways. */
#define WINDOW_AT ((char *)0x600000000000UL)
#define WINDOW_STEP (1UL << 40)

struct window;

struct way {
	const char *name;
	void (*open)(struct window *w, uint64_t size);
	void (*close)(struct window *w);
	/* Show [fd_offset, fd_offset + size) of the file at @offset. */
	void (*map)(struct window *w, uint64_t offset, int fd,
		    uint64_t fd_offset, uint64_t size);
	void (*unmap)(struct window *w, uint64_t offset, uint64_t size);
	/* The client accesses a byte of each page of a span. */
	void (*touch_span)(struct window *w, uint64_t offset, uint64_t size,
			   bool write);
	/* The same with a list of page numbers; NULL: cannot. */
	void (*touch_list)(struct window *w, const uint32_t *pages,
			   unsigned int n, bool write);
	/* The client's page tables become empty, but stay. */
	void (*forget)(struct window *w, uint64_t offset, uint64_t size);
	/* From now on a thread of the client uses all of the window. */
	void (*load)(struct window *w);
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
void touch_span_here(struct window *w, uint64_t offset, uint64_t size,
		     bool write);
void touch_list_here(struct window *w, const uint32_t *pages, unsigned int n,
		     bool write);
void forget_here(struct window *w, uint64_t offset, uint64_t size);

void load_start(struct window *w);

/* All of it, in parts: a kernel may free a page table that is emptied at once. */
void window_forget(struct window *w);

/* ---- Rows ---- */

struct row {
	const char *name;
	/* Makes the files, which all ways share: @src has room for two. */
	void (*prepare)(const struct row *row, struct source *src,
			enum source_kind kind);
	void (*run)(const struct row *row, const struct way *way,
		    struct source *src);
	uint64_t size; /* bytes, of what the row is about */
	bool write;
	bool touched;
	bool vacant; /* what is there goes before, uncounted */
	bool untimed; /* too big for a run in real time */
	unsigned int rounds;
	unsigned int sources, ways; /* bits of their numbers */
};

#define ON(n) (1U << (n))
#define ON_MEMFD ON(SOURCE_MEMFD)
#define ON_BOTH (ON(SOURCE_MEMFD) | ON(SOURCE_EXT4))

enum way_number {
	WAY_VIEW,
	WAY_MMAP,
	WAY_SOCKET,
	WAY_UFFD,
	WAY_COPY,
};

#define BY_PAGE (ON(WAY_VIEW) | ON(WAY_MMAP) | ON(WAY_UFFD) | ON(WAY_COPY))
#define BY_SPAN (ON(WAY_VIEW) | ON(WAY_MMAP) | ON(WAY_SOCKET))
#define BY_TWO (ON(WAY_VIEW) | ON(WAY_MMAP))

extern const struct row touch_rows[], change_rows[], batch_rows[],
	ranges_rows[], bpf_rows[], load_rows[];

/* An empty file of the row's size, one that is cached, and two of that. */
void prepare_empty(const struct row *row, struct source *src,
		   enum source_kind kind);
void prepare_cached(const struct row *row, struct source *src,
		    enum source_kind kind);
void prepare_two(const struct row *row, struct source *src,
		 enum source_kind kind);
/* A sparse file with one page in each 2 MiB, those of lone_pages. */
void prepare_lone(const struct row *row, struct source *src,
		  enum source_kind kind);

#define LONE_PAGES 2048U

extern uint32_t lone_pages[LONE_PAGES]; /* in no order */

void shuffle(uint32_t *list, unsigned int n);

/* ---- Figures ---- */

/* Does the clock tell the time, or count instructions? */
extern bool timed;

/* Of one round; less what reading the clock takes. */
uint64_t clock_start(void);
uint64_t clock_stop(uint64_t start);

#define SAMPLES_MAX 2048

struct samples {
	unsigned int n;
	uint64_t began;
	uint64_t limit; /* ns; 0: a third of a second */
	uint64_t took[SAMPLES_MAX];
};

/*
 * Is another round wanted, beside the @rounds that a clock needs that counts
 * instructions? In real time there are three times as many, until the limit.
 */
bool samples_more(struct samples *s, unsigned int rounds);
void samples_add(struct samples *s, uint64_t took);
double samples_lowest(const struct samples *s);
/* The one that @permille of them do not exceed. */
double samples_rank(struct samples *s, unsigned int permille);
double samples_median(struct samples *s);

/* In what the clock counts. @per is such as "/page", or "". */
void emit_cost(const char *row, const struct source *src, const char *way,
	       double cost, const char *per);
void emit(const char *row, const struct source *src, const char *way,
	  double value, const char *unit);

/* ---- Failures end the program ---- */

void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format,
							  ...);
int must(int ret, const char *what); /* a negative errno */
int must_errno(int ret, const char *what); /* -1 and errno */

#endif /* MEMVIEW_BENCH_H */
