// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_batch.c - batches: records add entries, another has them done at once
 */
#include "fuzz.h"

#define ENTRIES	16

static struct entry {
	struct memview_batch_op op;
	unsigned int source; /* of a map */
} entries[ENTRIES];

static unsigned int nr;

void batch_drop(void)
{
	nr = 0;
}

/* A map, or with bit 3 of the flags an unmap; bit 4: with any numbers. */
int call_batch_add(const struct fuzz_op *op)
{
	bool unmap = op->flags & 8, raw = op->flags & 16;
	struct entry *entry = &entries[nr];

	if (nr == ENTRIES)
		return -1;
	nr++;
	entry->source = op->fd % (raw ? SOURCES : SRC_MAPPABLE);
	entry->op = (struct memview_batch_op){
		.op = unmap ? MEMVIEW_BATCH_UNMAP : MEMVIEW_BATCH_MAP,
		.flags = unmap ? 0 : MEMVIEW_MAP_READ | (op->flags & MAP_RWX),
		.fd = -1,
		.fd_offset = unmap ? 0 : fuzz_pages(op, 0, FILE_PAGES + 4),
		.size = raw ? fuzz_value(op, 1) : fuzz_pages(op, 1, 12) + PAGE,
		.mem_offset = raw ? fuzz_value(op, 2) : fuzz_pages(op, 2, 24),
	};
	if (raw && (op->flags & 32))
		entry->op.op = op->num[3] % 4;
	if (raw && (op->flags & 64))
		entry->op.flags ^= 1U << op->num[3] % 32;
	if (raw && (op->flags & 128))
		entry->op.reserved = op->num[3] & 1;
	return 0;
}

static errnos entry_errors(const struct fuzz_view *view, const struct entry *entry)
{
	const struct memview_batch_op *op = &entry->op;
	struct memview_map_fd_info info = {
		.flags = op->flags,
		.fd_offset = op->fd_offset,
		.size = op->size,
		.mem_offset = op->mem_offset,
	};
	errnos errors = op->reserved ? ERR_BIT(EINVAL) : 0;

	switch (op->op) {
	case MEMVIEW_BATCH_MAP:
		return errors | map_errors(view, &info, entry->source);
	case MEMVIEW_BATCH_UNMAP:
		if (op->flags || op->fd_offset)
			errors |= ERR_BIT(EINVAL);
		return errors | span_errors(view, op->mem_offset, op->size);
	default:
		return ERR_BIT(EINVAL);
	}
}

static void model_apply(struct fuzz_view *view, const struct entry *entry)
{
	const struct memview_batch_op *op = &entry->op;
	struct fuzz_range range = {
		.first = op->mem_offset / PAGE,
		.last = (op->mem_offset + op->size - 1) / PAGE,
		.file_first = op->fd_offset / PAGE,
		.source = entry->source,
		.flags = op->flags,
	};

	model_replace(view, range.first, range.last, op->op == MEMVIEW_BATCH_MAP ? &range : NULL);
}

/* All of it or nothing, and if nothing, one of the entries is said to be at fault that is. */
int call_batch_run(const struct fuzz_op *op)
{
	struct fuzz_view *view = &fuzz_views[op->obj % FUZZ_VIEWS];
	struct memview_batch_op ops[ENTRIES];
	errnos errors[ENTRIES], all = 0;
	uint32_t failed = ~0U;
	unsigned int i;
	int err;

	if (view->control < 0 || view->n + 2 * nr > FUZZ_RANGES)
		return -1;
	for (i = 0; i < nr; i++) {
		ops[i] = entries[i].op;
		if (ops[i].op == MEMVIEW_BATCH_MAP)
			ops[i].fd = source_fd(entries[i].source);
		errors[i] = entry_errors(view, &entries[i]);
		all |= errors[i];
	}
	err = -view_batch(view->control, ops, nr, &failed);
	check_result("MEMVIEW_BATCH", err, all);
	if (err ? failed >= nr || !(errors[failed] & ERR_BIT(err)) : failed != nr)
		fuzz_fail("MEMVIEW_BATCH: errno %d, entry %u of %u", err, failed, nr);
	for (i = 0; i < nr && !err; i++)
		model_apply(view, &entries[i]);
	nr = 0;
	return err;
}
