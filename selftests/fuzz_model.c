// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_model.c - the layout of a view of any size, as a sorted list of ranges
 */
#include "fuzz.h"

struct fuzz_view fuzz_views[FUZZ_VIEWS];
struct fuzz_map fuzz_maps[FUZZ_MAPS];

const struct fuzz_range *model_find(const struct fuzz_view *view, uint64_t page)
{
	unsigned int i;

	for (i = 0; i < view->n; i++)
		if (view->range[i].first <= page && page <= view->range[i].last)
			return &view->range[i];
	return NULL;
}

bool model_full(const struct fuzz_view *view)
{
	return view->n + 2 > FUZZ_RANGES;
}

/* What is left of a range from page @first on. */
static struct fuzz_range tail_of(struct fuzz_range range, uint64_t first)
{
	range.file_first += first - range.first;
	range.first = first;
	return range;
}

void model_replace(struct fuzz_view *view, uint64_t first, uint64_t last,
		   const struct fuzz_range *range)
{
	struct fuzz_range old[FUZZ_RANGES];
	unsigned int i, n = view->n;

	memcpy(old, view->range, n * sizeof(old[0]));
	view->n = 0;
	/* What is before, the new, what is after. */
	for (i = 0; i < n && old[i].first < first; i++) {
		view->range[view->n] = old[i];
		if (old[i].last >= first)
			view->range[view->n].last = first - 1;
		view->n++;
	}
	if (range)
		view->range[view->n++] = *range;
	for (i = 0; i < n; i++)
		if (old[i].last > last)
			view->range[view->n++] =
				tail_of(old[i], old[i].first > last ? old[i].first : last + 1);
}

/* One read: it is done after each input. */
void model_check_info(const struct fuzz_view *view, int fd)
{
	uint64_t size = 0, ranges = 0, bytes = 0, pages = 0;
	char path[64], text[1024];
	unsigned int i;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_file(path, text, sizeof(text)) < 0)
		fuzz_fail("%s cannot be read: %m", path);
	for (i = 0; i < view->n; i++)
		pages += view->range[i].last - view->range[i].first + 1;
	if (!strstr(text, "memview-size:") ||
	    sscanf(strstr(text, "memview-size:"), "memview-size: %ju memview-ranges: %ju memview-bytes: %ju",
		   &size, &ranges, &bytes) != 3)
		fuzz_fail("fdinfo has no size, ranges and bytes: %s", text);
	if (size != view->size || ranges != view->n || bytes != pages * PAGE)
		fuzz_fail("fdinfo has size %#jx, %ju ranges, %#jx bytes instead of %#jx, %u, %#jx",
			  (uintmax_t)size, (uintmax_t)ranges, (uintmax_t)bytes,
			  (uintmax_t)view->size, view->n, (uintmax_t)(pages * PAGE));
}

/* Something still refers to it: then the model must not start over. */
bool view_in_use(unsigned int view)
{
	unsigned int i;

	for (i = 0; i < FUZZ_VIEWFDS; i++)
		if (fuzz_views[view].viewfd[i] >= 0)
			return true;
	for (i = 0; i < FUZZ_MAPS; i++)
		if (fuzz_maps[i].addr && fuzz_maps[i].view == view)
			return true;
	return fuzz_views[view].control >= 0;
}
