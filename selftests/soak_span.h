/* SPDX-License-Identifier: GPL-2.0 */
/*
 * soak_span.h - what the controllers of the soak test do to a span of a view:
 * lock it, tell the model, ask the kernel, tell the model how that went, look
 */
#ifndef SOAK_SPAN_H
#define SOAK_SPAN_H

#include "soak.h"

/* Pages [@first, @first + @n) of a view, and what they showed when it was locked. */
struct span {
	struct soak_view *view;
	unsigned int first, n;
	struct shows old[SOAK_PAGES];
};

extern const struct shows shows_nothing;

/* ---- soak_span.c ---- */

void span_random(struct span *span);
uint32_t random_flags(void);
void span_lock(struct span *span);
void span_unlock(struct span *span);
bool span_within(const struct span *span);
/* The model has the span show this, and then it does. */
void span_begin(struct span *span, struct shows shows);
void span_end(struct span *span, uint32_t id);
/* It never did. */
void span_cancel(struct span *span);
/* What the controller itself sees when its call has returned. */
void span_look(const struct span *span);
/* Is this error, or this success, what the policies of the time make of a request? */
bool policy_fits(uint64_t before, int err);

/* ---- soak_batch.c ---- */

void op_batch(void);

/* ---- soak_lend.c ---- */

void op_lend(void);

#endif /* SOAK_SPAN_H */
