/* SPDX-License-Identifier: GPL-2.0 */
/*
 * badcalls.h - the view that bad requests are made of, and the look at it that
 * shows that nothing has changed
 */
#ifndef BADCALLS_H
#define BADCALLS_H

#include "memview_test.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	21

FIXTURE(bad)
{
	struct klog klog;
	struct model model;
	int memfd;
	int control;
	int viewfd;
	char *mem;
	struct view_info before;
};

static void map_range(struct __test_metadata *_metadata, FIXTURE_DATA(bad) *self,
		      unsigned int page, unsigned int n, uint32_t flags)
{
	ASSERT_EQ(0, view_map(self->control, self->memfd, page * PAGE, n * PAGE, page * PAGE,
			      flags));
	model_map(&self->model, page, n, FILE_ID, page, flags);
}

FIXTURE_SETUP(bad)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	self->memfd = memfd_filled(SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	map_range(_metadata, self, 0, 4, MAP_R);
	map_range(_metadata, self, 4, 4, MAP_RW);
	map_range(_metadata, self, 10, 5, MAP_RX);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	ASSERT_EQ(0, view_info(self->control, &self->before));
}

FIXTURE_TEARDOWN(bad)
{
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void expect_unchanged(struct __test_metadata *_metadata, FIXTURE_DATA(bad) *self,
			     const char *what)
{
	struct view_info info;

	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(self->before.flags, info.flags) TH_LOG("%s", what);
	EXPECT_EQ(self->before.size, info.size) TH_LOG("%s", what);
	EXPECT_EQ(self->before.changes, info.changes) TH_LOG("%s", what);
	EXPECT_EQ(self->before.zaps, info.zaps) TH_LOG("%s", what);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

#endif /* BADCALLS_H */
