/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report.h - what the parts of bench-report share
 */
#ifndef MEMVIEW_BENCH_REPORT_H
#define MEMVIEW_BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

/* What memview-bench has measured: a line of its output. */
struct figure {
	const char *row;
	const char *source;
	const char *way;
	const char *unit;
	double value;
};

#define FIGURES_MAX 1024

struct figures {
	struct figure list[FIGURES_MAX];
	unsigned int n;
};

/* A view's figure beside that of another way. */
struct comparison {
	const struct figure *view;
	const struct figure
		*peer; /* NULL: the target is for the view's own figure */
	double ratio; /* view : peer */
	const struct target *target; /* NULL: none */
	bool met;
};

struct target {
	const char *row;
	const char *source;
	bool exact; /* of instructions; else of what a real clock tells */
	const char *peer; /* NULL: the figure itself */
	double bound;
	bool at_least; /* else at most */
};

/* What the same row has by another way, in the same unit. */
const struct figure *figure_peer(const struct figures *f,
				 const struct figure *figure, const char *way);
/* The same in each run, so that a baseline can be held: no matter of time. */
bool figure_is_exact(const struct figure *figure);
/* Is it the view's own, and not a peer's? */
bool figure_is_view(const struct figure *figure);
/* False if there is nothing to compare. */
bool compare(const struct figures *f, const struct figure *view,
	     const char *peer, struct comparison *c);
/* The n-th comparison of this figure, in order of the ways; false after the last. */
bool compare_next(const struct figures *f, const struct figure *view,
		  unsigned int *at, struct comparison *c);

/* Those that have a column of the table come first. */
#define COLUMNS 4
#define PEERS 11

extern const char *const peers[PEERS];

void table_print(const struct figures *f);

/* Cost against the number of ranges: in a terminal, and as SVG. */
void plot_print(const struct figures *f);
int plot_write(const struct figures *f, const char *path);

/* Each returns 0, or -1 after it has said why. */
int json_write(const struct figures *f, const char *path);
int baseline_write(const struct figures *f, const char *path);
/* -1 as well if a row has become more than 5 % dearer. */
int baseline_check(const struct figures *f, const char *path);

#endif /* MEMVIEW_BENCH_REPORT_H */
