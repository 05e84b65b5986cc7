// SPDX-License-Identifier: GPL-2.0
/*
 * soak_span.c - spans of a view that a controller of the soak test changes: their
 * locks, and how the model is kept in step
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak_span.h"

const struct shows shows_nothing = { 0 };

/*
 * Whoever had the lock was killed, maybe between his request and the model's
 * knowledge of it: what the region has now is not known. Take it all away.
 */
static void region_recover(struct soak_view *view, unsigned int region)
{
	unsigned int page, first = region * REGION_PAGES, last = first + REGION_PAGES, end;
	struct stat st;
	int err = 0;

	for (page = first; page < last; page++)
		view_begin(view, page, shows_nothing);
	if (fstat(view->control, &st))
		soak_fail("fstat of a control fd: %m");
	view->size = st.st_size;
	end = (view->size + PAGE - 1) / PAGE;
	if (end > first)
		err = view_unmap(view->control, first * PAGE,
				 ((end < last ? end : last) - first) * PAGE);
	if (err)
		soak_fail("region %u cannot be unmapped after a kill: %d", region, err);
	for (page = first; page < last; page++)
		view_end(view, page);
}

void region_lock(struct soak_view *view, unsigned int region)
{
	int err = pthread_mutex_lock(&view->lock[region]);

	if (err == EOWNERDEAD) {
		region_recover(view, region);
		err = pthread_mutex_consistent(&view->lock[region]);
	}
	if (err)
		soak_fail("lock of region %u: %d", region, err);
}

void region_unlock(struct soak_view *view, unsigned int region)
{
	pthread_mutex_unlock(&view->lock[region]);
}

void span_lock(struct span *span)
{
	unsigned int region, page;

	for (region = span->first / REGION_PAGES; region * REGION_PAGES < span->first + span->n;
	     region++)
		region_lock(span->view, region);
	for (page = span->first; page < span->first + span->n; page++)
		span->old[page] = view_now(span->view, page);
}

void span_unlock(struct span *span)
{
	unsigned int region;

	for (region = span->first / REGION_PAGES; region * REGION_PAGES < span->first + span->n;
	     region++)
		region_unlock(span->view, region);
}

bool span_within(const struct span *span)
{
	return (span->first + span->n) * PAGE <= (span->view->size + PAGE - 1) / PAGE * PAGE;
}

void span_begin(struct span *span, struct shows shows)
{
	unsigned int i;

	atomic_store(&span->view->hot, span->first);
	for (i = 0; i < span->n; i++) {
		view_begin(span->view, span->first + i, shows);
		shows.page += !!shows.file;
	}
}

void span_end(struct span *span, uint32_t id)
{
	unsigned int page;

	for (page = span->first; page < span->first + span->n; page++) {
		view_end(span->view, page);
		span->view->id[page] = id;
	}
}

void span_cancel(struct span *span)
{
	unsigned int page;

	for (page = span->first; page < span->first + span->n; page++) {
		view_begin(span->view, page, span->old[page]);
		view_end(span->view, page);
	}
}

static char *own_mapping(struct soak_view *view)
{
	static __thread char *mem[SOAK_VIEWS];
	char **own = &mem[view - world->view];

	if (!*own) {
		*own = view_mmap(view->viewfd, SOAK_SIZE, PROT_RW | PROT_EXEC, 0);
		if (*own == MAP_FAILED)
			soak_fail("mmap of a view: %m");
	}
	return *own;
}

void span_look(const struct span *span)
{
	unsigned int page = span->first + soak_below(span->n);

	soak_access(span->view, page, own_mapping(span->view) + page * PAGE, PROT_RW | PROT_EXEC,
		    soak_access_op());
}

bool policy_fits(uint64_t before, int err)
{
	uint64_t after = atomic_load(&world->policy);

	if (before != after || (before & 3) == POLICY_CHANGING)
		return err == 0 || err == POLICY_ERR;
	return err == ((before & 3) == POLICY_REFUSES ? POLICY_ERR : 0);
}

void span_random(struct span *span)
{
	span->view = &world->view[soak_below(SOAK_VIEWS)];
	span->first = soak_view_page();
	span->n = 1 + soak_below(!soak_below(8) ? SOAK_PAGES : world->width < 12 ? 3 : 12);
	if (span->n > SOAK_PAGES - span->first)
		span->n = SOAK_PAGES - span->first;
}

uint32_t random_flags(void)
{
	static const uint32_t flags[] = { MAP_R, MAP_RW, MAP_RX, MAP_RWX, MAP_RW, MAP_RWX };

	return flags[soak_below(ARRAY_SIZE(flags))];
}
