// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_region.c - a region of guest memory, and its view
 *
 * No change of a view may fail and leave the backend what it should not have.
 * So what takes away ends in region_hide(), which cannot fail.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost_user.h"

static uint64_t region_end(const struct vu_region *region)
{
	return region->guest + region->size;
}

/**
 * region_hide - show nothing of it any more, whatever happens
 * @region: The region.
 *
 * If all else fails the view is closed: MEMVIEW_REVOKE_ON_CLOSE takes it back.
 */
void region_hide(struct region *region)
{
	uint64_t size = region->span.offset + region->span.size;

	if (!memview_unmap(region->view, 0, page_up(size)))
		return;
	if (!memview_resize(region->view, 0) &&
	    !memview_resize(region->view, size))
		return;
	if (region->view >= 0)
		close(region->view);
	region->view = -1;
}

/* Close what it has; the view is gone for the backend, too. Return: bytes. */
uint64_t region_drop(struct region *region)
{
	region_hide(region);
	if (region->view >= 0)
		close(region->view);
	close(region->source);
	return region->span.size;
}

/* What the backend may do with a page, and up to where. */
static enum span_mode mode_at(const struct memory *memory, uint64_t at,
			      uint64_t *end)
{
	return memory->resting ? SPAN_REVOKED :
				 spans_mode(&memory->spans, at, end);
}

/**
 * region_show - let the view show what it may of a span, and no more
 * @memory: Whose spans say what it may show.
 * @region: The region.
 * @start: Guest physical address.
 * @end: The first address behind it.
 *
 * Return: 0, or a negative errno: then the view may still show what it should
 * not, and the caller has to hide the region, or end the session.
 */
int region_show(const struct memory *memory, struct region *region,
		uint64_t start, uint64_t end)
{
	uint64_t from = page_down(region->span.guest);
	uint64_t to = page_up(region_end(&region->span));
	int error = 0;

	if (start < from)
		start = from;
	if (end > to)
		end = to;
	while (!error && start < end) {
		uint64_t next = end, at;
		enum span_mode mode = mode_at(memory, start, &next);
		uint32_t flags = MEMVIEW_MAP_READ;

		at = page_down(region->span.offset) + start - from;
		if (mode == SPAN_RESTORED)
			flags |= MEMVIEW_MAP_WRITE;
		if (mode == SPAN_REVOKED)
			error = memview_unmap(region->view, at, next - start);
		else
			error = memview_map(region->view, at, region->source,
					    at, next - start, flags);
		start = next;
	}
	return error;
}

/* What to do about an error of a change. */
const char *map_advice(int error)
{
	switch (error) {
	case -EOPNOTSUPP:
		return " (guest memory must be a memfd or a file with a page cache: not hugetlbfs)";
	case -EACCES:
		return " (not open for writing, or a policy refuses)";
	case -EPERM:
		return " (a seal of the file forbids to write)";
	case -ENOENT:
	case -ENXIO:
		return " (the module memview is not loaded: modprobe memview)";
	default:
		return "";
	}
}

/* Make the view. The file descriptor in *fd becomes one for the backend. */
bool region_make(const struct memory *memory, struct region *region,
		 const struct vu_region *span, int *fd, char why[VU_WHY_MAX])
{
	int error, viewfd = -1;
	struct stat stat;

	*region = (struct region){ .span = *span, .source = *fd, .view = -1 };
	if ((span->guest ^ span->offset) & (PAGE - 1)) {
		snprintf(why, VU_WHY_MAX,
			 "the region at %#" PRIx64 " is at %#" PRIx64
			 " of its file: not the same part of a page",
			 span->guest, span->offset);
		return false;
	}
	error = fstat(*fd, &stat) ? -errno : 0;
	if (!error) {
		region->dev = stat.st_dev;
		region->ino = stat.st_ino;
		error = memview_open(span->offset + span->size);
	}
	if (error >= 0) {
		region->view = error;
		/* Nothing outlives this process, whatever ends it. */
		error = memview_set_flags(region->view,
					  MEMVIEW_REVOKE_ON_CLOSE);
	}
	if (!error)
		error = region_show(memory, region, 0, UINT64_MAX);
	if (!error)
		error = viewfd = memview_get_viewfd(region->view);
	if (error < 0) {
		snprintf(why, VU_WHY_MAX,
			 "cannot lend the region at %#" PRIx64 ": %s%s",
			 span->guest, strerror(-error), map_advice(error));
		if (region->view >= 0)
			close(region->view);
		return false;
	}
	*fd = viewfd;
	return true;
}

static bool is_same(const struct region *a, const struct region *b)
{
	return a->dev == b->dev && a->ino == b->ino &&
	       a->span.guest == b->span.guest && a->span.size == b->span.size &&
	       a->span.offset == b->span.offset;
}

/* Another view fd of a region, if that is what is announced again. */
bool region_again(const struct region *region, const struct vu_region *span,
		  int *fd)
{
	struct region wanted = { .span = *span };
	struct stat stat;
	int viewfd;

	if (fstat(*fd, &stat))
		return false;
	wanted.dev = stat.st_dev;
	wanted.ino = stat.st_ino;
	if (!is_same(region, &wanted))
		return false;
	viewfd = memview_get_viewfd(region->view);
	if (viewfd < 0)
		return false;
	close(*fd);
	*fd = viewfd;
	return true;
}

/* By which memviewctl knows the view; 0 if that cannot be told. */
uint64_t view_id(int view)
{
	char path[64], line[128];
	uint64_t id = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", view);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memview-id: %" SCNu64, &id) == 1)
			break;
	fclose(file);
	return id;
}
