// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_user_memory.c - guest memory, as views
 *
 * Each region has a view of its own, in which it is at the same offset as in
 * the frontend's file. So messages need no change but for the file descriptor,
 * and it does not matter whether a backend maps from the offset on, or from the
 * start of the file; what else the file has is not there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhost_user.h"

/* Where the bytes of the file at @at are, in any of the regions. */
static bool announced(const struct memory *memory, const struct region *file,
		      uint64_t at, uint64_t *end)
{
	unsigned int i;

	for (i = 0; i < memory->nr; i++) {
		const struct region *region = &memory->regions[i];
		uint64_t start = page_down(region->span.offset);
		uint64_t stop =
			page_up(region->span.offset + region->span.size);

		if (region->dev != file->dev || region->ino != file->ino)
			continue;
		if (at >= start && at < stop) {
			if (stop < *end)
				*end = stop;
			return true;
		}
		if (at < start && start < *end)
			*end = start;
	}
	return false;
}

/* Hide what is not announced any more. Return: is anything left? */
static bool region_trim(const struct memory *memory, struct region *region)
{
	uint64_t at = page_down(region->span.offset);
	uint64_t end = page_up(region->span.offset + region->span.size);
	bool any = false;

	while (at < end) {
		uint64_t next = end;

		if (announced(memory, region, at, &next)) {
			any = true;
		} else if (memview_unmap(region->view, at, next - at)) {
			region_hide(region);
			return false;
		}
		at = next;
	}
	return any;
}

/* Of those that wait for the backend's answer, too. */
static void trim_old(struct memory *memory)
{
	unsigned int i;

	for (i = 0; i < memory->nr_old; i++)
		region_trim(memory, &memory->old[i]);
}

/*
 * A region has been replaced. The backend may use its old mapping until it has
 * read the message, so what is still announced stays until it answers. What is
 * not, goes now.
 */
static void region_retire(struct memory *memory, struct region *region)
{
	if (region_trim(memory, region) && memory->nr_old < VU_REGIONS_MAX)
		memory->old[memory->nr_old++] = *region;
	else
		region_drop(region);
}

/* The backend has answered: it is not at the old regions any more. */
void memory_forget_old(struct memory *memory)
{
	while (memory->nr_old)
		region_drop(&memory->old[--memory->nr_old]);
}

/* The table before has it: it goes on in this one. */
static bool keep_region(struct memory *before, struct region *region,
			const struct vu_region *span, int *fd)
{
	unsigned int i;

	for (i = 0; i < before->nr; i++) {
		if (!region_again(&before->regions[i], span, fd))
			continue;
		*region = before->regions[i];
		region->span = *span;
		region->ticket = 0;
		before->regions[i] = before->regions[--before->nr];
		return true;
	}
	return false;
}

/**
 * memory_set_table - SET_MEM_TABLE: these are the regions, and no others
 * @memory: What is lent.
 * @message: The frontend's; made into what the backend gets.
 * @why: If it fails, why. The session must end then.
 */
bool memory_set_table(struct memory *memory, struct vu_message *message,
		      char why[VU_WHY_MAX])
{
	static struct memory before;
	unsigned int i;
	bool ok = true;

	before = *memory;
	memory->nr = 0;
	for (i = 0; ok && i < message->table.nr; i++) {
		const struct vu_region *span = &message->table.region[i];
		struct region *region = &memory->regions[memory->nr];

		ok = keep_region(&before, region, span, &message->fds[i]) ||
		     region_make(memory, region, span, &message->fds[i], why);
		memory->nr += ok;
	}
	trim_old(memory);
	while (before.nr)
		region_retire(memory, &before.regions[--before.nr]);
	return ok;
}

/* By what REM_MEM_REG names a region. */
static bool is_at(const struct region *region, const struct vu_region *span)
{
	return region->span.guest == span->guest &&
	       region->span.size == span->size &&
	       region->span.user == span->user;
}

/*
 * A region is announced once more. What the backend has accepted of it stays,
 * whatever it answers to the repetition.
 */
static bool repeat_region(struct memory *memory, struct region *region,
			  const struct vu_region *span, uint64_t ticket,
			  int *fd, char why[VU_WHY_MAX])
{
	struct region before = *region;

	if (region_again(region, span, fd)) {
		if (region->ticket > memory->answered)
			region->ticket = ticket;
		return true;
	}
	if (!region_make(memory, region, span, fd, why)) {
		*region = before;
		return false;
	}
	region->ticket = ticket;
	region_retire(memory, &before);
	return true;
}

/* ADD_MEM_REG: one more, unless it is one that is there. */
bool memory_add(struct memory *memory, struct vu_message *message,
		char why[VU_WHY_MAX])
{
	const struct vu_region *span = &message->single.region;
	struct region *region = memory->regions;
	uint64_t ticket = 0;

	if (message->header.flags & VU_NEED_REPLY)
		ticket = ++memory->asked;
	for (; region < &memory->regions[memory->nr]; region++)
		if (is_at(region, span))
			return repeat_region(memory, region, span, ticket,
					     &message->fds[0], why);
	if (memory->nr == REGIONS_MAX) {
		snprintf(why, VU_WHY_MAX, "more than %d regions", REGIONS_MAX);
		return false;
	}
	if (!region_make(memory, region, span, &message->fds[0], why))
		return false;
	region->ticket = ticket;
	memory->nr++;
	return true;
}

static void drop_at(struct memory *memory, unsigned int i)
{
	region_drop(&memory->regions[i]);
	memory->regions[i] = memory->regions[--memory->nr];
	trim_old(memory);
}

/*
 * The backend has answered to an ADD_MEM_REG, which it does in order. Of a region
 * that it refuses the frontend keeps no record, and sends no REM_MEM_REG.
 */
void memory_answered(struct memory *memory, const struct vu_message *message)
{
	unsigned int i;

	if (memory->answered == memory->asked)
		return;
	memory->answered++;
	for (i = 0; message->u64 && i < memory->nr; i++) {
		if (memory->regions[i].ticket != memory->answered)
			continue;
		drop_at(memory, i);
		return;
	}
}

/*
 * REM_MEM_REG: one goes, as often as it is there. The protocol lets a frontend
 * send a file descriptor that nobody needs: that is guest memory, so it ends
 * here.
 */
void memory_remove(struct memory *memory, struct vu_message *message)
{
	unsigned int i = 0;

	close_fds(message);
	while (i < memory->nr) {
		if (is_at(&memory->regions[i], &message->single.region))
			drop_at(memory, i);
		else
			i++;
	}
}

/* Is this file guest memory? */
bool memory_owns(const struct memory *memory, int fd)
{
	struct stat stat;
	unsigned int i;

	if (fstat(fd, &stat))
		return false;
	for (i = 0; i < memory->nr; i++)
		if (memory->regions[i].dev == stat.st_dev &&
		    memory->regions[i].ino == stat.st_ino)
			return true;
	return false;
}

/* The device is reset: it has no business in guest memory. */
void memory_rest(struct memory *memory)
{
	unsigned int i;

	memory_forget_old(memory);
	memory->resting = true;
	for (i = 0; i < memory->nr; i++)
		region_hide(&memory->regions[i]);
}

/* The device is set up again. */
bool memory_resume(struct memory *memory, char why[VU_WHY_MAX])
{
	unsigned int i;
	int error = 0;

	if (!memory->resting)
		return true;
	memory->resting = false;
	for (i = 0; !error && i < memory->nr; i++) {
		error = region_show(memory, &memory->regions[i], 0, UINT64_MAX);
		memory->regions[i].error = error;
	}
	if (error)
		snprintf(why, VU_WHY_MAX, "cannot lend memory again: %s%s",
			 strerror(-error), map_advice(error));
	return !error;
}

/* What the operators allow now, of all that has changed. */
static int show_again(struct memory *memory, struct region *region,
		      const struct span *span)
{
	/* One that could not be changed before has to be built anew. */
	if (region->error)
		return region_show(memory, region, 0, UINT64_MAX);
	return region_show(memory, region, span->start, span->end);
}

/**
 * memory_restrict - an operator narrows, revokes or restores a span
 * @memory: What is lent, now and later in this session.
 * @span: Aligned to pages.
 *
 * A region of which a span cannot be taken away is hidden as a whole. One that
 * cannot be restored stays as it is.
 *
 * Return: 0; -E2BIG if there are too many spans, and nothing has changed; or the
 * negative errno of the first region that failed.
 */
int memory_restrict(struct memory *memory, const struct span *span)
{
	unsigned int i;
	int error = 0;

	if (!spans_put(&memory->spans, span))
		return -E2BIG;
	/* An operator who takes away does not wait for the backend's answer. */
	if (span->mode != SPAN_RESTORED)
		memory_forget_old(memory);
	for (i = 0; i < memory->nr; i++) {
		struct region *region = &memory->regions[i];

		region->error = show_again(memory, region, span);
		if (region->error && span->mode != SPAN_RESTORED)
			region_hide(region);
		error = error ?: region->error;
	}
	return error;
}

/* Everything goes. Return: bytes. */
uint64_t memory_take_back(struct memory *memory)
{
	uint64_t bytes = 0;

	memory_forget_old(memory);
	while (memory->nr)
		bytes += region_drop(&memory->regions[--memory->nr]);
	return bytes;
}
