// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_spans.c - what operators have said of guest memory, whatever the
 * frontend announces
 *
 * Where spans overlap, the last one counts. What has no say is forgotten, so that
 * there is room for what takes memory away.
 */
#include "vhost_user.h"

const char *const span_names[] = {
	[SPAN_RESTORED] = "restored",
	[SPAN_READ_ONLY] = "read-only",
	[SPAN_REVOKED] = "revoked",
};

/**
 * spans_mode - what the backend may do with a page
 * @spans: What operators have said.
 * @at: Guest physical address.
 * @end: Made less, if the mode ends before that.
 */
enum span_mode spans_mode(const struct spans *spans, uint64_t at, uint64_t *end)
{
	unsigned int i = spans->nr;

	while (i--) {
		const struct span *span = &spans->span[i];

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
static bool restores(const struct spans *spans, unsigned int nr,
		     const struct span *span)
{
	while (nr--)
		if (spans->span[nr].mode != SPAN_RESTORED &&
		    spans->span[nr].start < span->end &&
		    span->start < spans->span[nr].end)
			return true;
	return false;
}

/* Let @span have its say. False: there is no room, and nothing has changed. */
bool spans_put(struct spans *spans, const struct span *span)
{
	unsigned int i, nr = 0;

	for (i = 0; i < spans->nr; i++) {
		const struct span old = spans->span[i];

		/* All of it is said anew. */
		if (old.start >= span->start && old.end <= span->end)
			continue;
		/* What it undid is not there any more. */
		if (old.mode == SPAN_RESTORED && !restores(spans, nr, &old))
			continue;
		spans->span[nr++] = old;
	}
	spans->nr = nr;
	if (span->mode == SPAN_RESTORED && !restores(spans, nr, span))
		return true;
	if (nr == SPANS_MAX)
		return false;
	spans->span[spans->nr++] = *span;
	return true;
}
