// SPDX-License-Identifier: GPL-2.0
/*
 * soak_batch.c - batches of the soak test: maps and unmaps, some over one
 * another, of which the model has nothing but the result
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak_span.h"

#define ENTRIES	24

struct batch {
	struct span span;
	struct memview_batch_op ops[ENTRIES];
	uint32_t nr, maps;
	uint32_t beyond; /* entries that reach beyond the view, by bit */
	struct shows new[SOAK_PAGES];
	uint32_t id[SOAK_PAGES];
};

/* What pages [@first, @first + @n) are to show, and from which request. */
static void batch_set(struct batch *batch, unsigned int first, unsigned int n, struct shows shows,
		      uint32_t id)
{
	unsigned int page;

	for (page = first; page < first + n; page++) {
		batch->new[page] = shows;
		batch->id[page] = id;
		shows.page += !!shows.file;
	}
}

static void batch_add(struct batch *batch)
{
	const struct span *span = &batch->span;
	struct soak_file *file = soak_random_file();
	unsigned int first = soak_below(span->n), n = 1 + soak_below(span->n - first);
	struct shows shows = { .file = file - world->file, .flags = random_flags() };

	first += span->first;
	if (n > file->pages)
		n = file->pages;
	if (first + n > (span->view->size + PAGE - 1) / PAGE)
		batch->beyond |= 1U << batch->nr;
	if (soak_below(4)) {
		shows.page = soak_below(file->pages - n + 1) % world->width;
		batch_set(batch, first, n, shows, atomic_fetch_add(&span->view->ids, 1) + 1);
		batch->ops[batch->nr++] = batch_map(file->src.fd, shows.page * PAGE, n * PAGE,
						    first * PAGE, shows.flags);
		batch->maps++;
	} else {
		batch_set(batch, first, n, shows_nothing, 0);
		batch->ops[batch->nr++] = batch_unmap(first * PAGE, n * PAGE);
	}
}

static void batch_build(struct batch *batch)
{
	const struct span *span = &batch->span;
	unsigned int page, n = 1 + soak_below(soak_below(4) ? 4 : ENTRIES);

	batch->nr = batch->maps = batch->beyond = 0;
	for (page = span->first; page < span->first + span->n; page++) {
		batch->new[page] = span->old[page];
		batch->id[page] = span->view->id[page];
	}
	while (n--)
		batch_add(batch);
}

static bool batch_fits(const struct batch *batch, uint64_t policy, int err, uint32_t failed)
{
	if (err ? failed >= batch->nr : failed != batch->nr)
		return false;
	if (batch->beyond)
		return err == -EINVAL ? batch->beyond >> failed & 1 : err == POLICY_ERR && batch->maps;
	return batch->maps ? policy_fits(policy, err) : !err;
}

void op_batch(void)
{
	uint64_t policy = atomic_load(&world->policy);
	struct log_entry *entry;
	struct soak_view *view;
	struct batch batch;
	unsigned int page;
	uint32_t failed;
	bool changes;
	int err;

	span_random(&batch.span);
	span_lock(&batch.span);
	batch_build(&batch);
	view = batch.span.view;
	changes = !batch.beyond;
	entry = log_begin(OP_BATCH);
	entry->view = view - world->view;
	entry->page = batch.span.first;
	entry->n = batch.span.n;
	for (page = batch.span.first; changes && page < batch.span.first + batch.span.n; page++)
		view_begin(view, page, batch.new[page]);
	err = view_batch(view->control, batch.ops, batch.nr, &failed);
	for (page = batch.span.first; changes && !err && page < batch.span.first + batch.span.n; page++) {
		view_end(view, page);
		view->id[page] = batch.id[page];
	}
	if (changes && err)
		span_cancel(&batch.span);
	log_end(entry, err);
	if (!batch_fits(&batch, policy, err, failed))
		soak_fail("thread %u: batch of %u in pages %u+%u of view %td: %d, entry %u, beyond it %#x", self->index,
			  batch.nr, batch.span.first, batch.span.n, view - world->view, err, failed, batch.beyond);
	span_look(&batch.span);
	span_unlock(&batch.span);
}
