// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_spans.c - what operators have said of guest memory, whatever the
 * frontend announces
 *
 * Where spans overlap, the last one counts. What has no say is forgotten, so that
 * there is room for what takes memory away.
 */
#include <errno.h>

#include "vhost_user.h"

/**
 * memory_mode - what the backend may do with a page
 * @memory: What is lent.
 * @at: Guest physical address.
 * @end: Made less, if the mode ends before that.
 */
enum span_mode memory_mode(const struct memory *memory, uint64_t at,
			   uint64_t *end)
{
	unsigned int i = memory->nr_spans;

	if (memory->resting)
		return SPAN_REVOKED;
	while (i--) {
		const struct span *span = &memory->spans[i];

		if (at >= span->start && at < span->end) {
			if (span->end < *end)
				*end = span->end;
			return span->mode;
		}
		if (at < span->start && span->start < *end)
			*end = span->start;
	}
	return SPAN_RESTORED;
}

/* Does it undo one of the first @nr? */
static bool restores(const struct memory *memory, unsigned int nr,
		     const struct span *span)
{
	while (nr--)
		if (memory->spans[nr].mode != SPAN_RESTORED &&
		    memory->spans[nr].start < span->end &&
		    span->start < memory->spans[nr].end)
			return true;
	return false;
}

/* Let @span have its say. Return: 0, or -ENOSPC and nothing has changed. */
int memory_put_span(struct memory *memory, const struct span *span)
{
	unsigned int i, nr = 0;

	for (i = 0; i < memory->nr_spans; i++) {
		const struct span old = memory->spans[i];

		/* All of it is said anew. */
		if (old.start >= span->start && old.end <= span->end)
			continue;
		/* What it undid is not there any more. */
		if (old.mode == SPAN_RESTORED && !restores(memory, nr, &old))
			continue;
		memory->spans[nr++] = old;
	}
	memory->nr_spans = nr;
	if (span->mode == SPAN_RESTORED && !restores(memory, nr, span))
		return 0;
	if (nr == SPANS_MAX)
		return -ENOSPC;
	memory->spans[memory->nr_spans++] = *span;
	return 0;
}
