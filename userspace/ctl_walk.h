/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ctl_walk.h - views and ranges, by the programs of views.bpf.c
 */
#ifndef MEMVIEW_CTL_WALK_H
#define MEMVIEW_CTL_WALK_H

#include "ctl.h"
#include "../bpf/views.h"

struct walk;

int walk_open(struct walk **walk);
void walk_close(struct walk *walk);
int walk_views(struct walk **walk, const struct view_record **views,
	       uint32_t *nr);
int walk_view(struct walk *walk, uint64_t id, const struct view_record **view);
int walk_ranges(struct walk **walk, uint64_t id,
		const struct range_record **ranges, uint32_t *nr);
int no_view(uint64_t id);
int walk_revoke(struct walk *walk, uint64_t id, uint64_t offset, uint64_t size);

#endif /* MEMVIEW_CTL_WALK_H */
