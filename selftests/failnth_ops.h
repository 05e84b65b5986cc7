/* SPDX-License-Identifier: GPL-2.0 */
/*
 * failnth_ops.h - the operations of failnth.c, and what they work on
 */
#ifndef FAILNTH_OPS_H
#define FAILNTH_OPS_H

#include "memview_test.h"

/* What an operation works on, and what it is to be like. */
struct bench {
	struct source a, b, c;
	int control, viewfd;
	char *mem;
	int proc_mem; /* /proc/self/mem */
	int lent; /* another view, which goes with its control fd... */
	char *lent_mem; /* ...and its pages */
	struct model model;
};

struct operation {
	const char *name;
	/* With all the memory there is: 0 or a negative errno. */
	int (*prepare)(struct bench *b);
	int (*run)(struct bench *b);
	/* What @run changes in the model, if it worked. */
	void (*expect)(struct bench *b);
	bool frugal; /* it may need no memory at all */
};

/* What the control fd does, what makes and changes mappings, what brings pages. */
extern const struct operation controls[], mappings[], faults[];
extern const unsigned int nr_controls, nr_mappings, nr_faults;

/* A view and its sources; 0 or a negative errno. */
int bench_open(struct bench *b, enum source_kind kind);
void bench_close(struct bench *b);
/* Does @op take a page from the mapping, so that the model cannot be compared? */
bool takes_a_page(const struct operation *op);

#endif /* FAILNTH_OPS_H */
