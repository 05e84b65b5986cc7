/* SPDX-License-Identifier: GPL-2.0 */
/*
 * failnth.h - let the n-th allocation of a piece of work fail, for every n
 *
 * The kernel's fault injection counts, in the task that asks for it, the calls
 * that may fail: allocations, and copies from and to user space.
 */
#ifndef FAILNTH_H
#define FAILNTH_H

#include "memview_test.h"

struct failnth {
	int fd; /* /proc/thread-self/fail-nth */
	unsigned int n; /* which call fails */
	unsigned int injected; /* how many have, in all */
	sigset_t signals; /* that were blocked before */
};

/* 0, or -ENODEV: the kernel cannot; @missing says what is missing. */
int failnth_open(struct failnth *f, char *missing, size_t len);
void failnth_close(struct failnth *f);
/* From here on, the calling thread's @f->n-th call fails... */
void failnth_arm(struct failnth *f);
/* ...until here. Did it? If not, the work has fewer than @f->n such calls. */
bool failnth_disarm(struct failnth *f);

/* Errnos that say that memory was short, or could not be reached. */
bool failnth_is_fine(int err);
/*
 * This process's mappings of views. One may be in pieces, also because an
 * operation failed half-way.
 */
uint64_t failnth_count_mappings(void);

/* Objects that are in use in a slab of this name; -ENOENT if it has none. */
long slab_objects(const char *name);
/* Leaks that kmemleak knows of, with the module in the trace; -ENOENT. */
int memory_leaks(char *first, size_t len);

#endif /* FAILNTH_H */
