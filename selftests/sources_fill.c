// SPDX-License-Identifier: GPL-2.0
/*
 * sources_fill.c - P7 for a file that a program fills when it is used (hierarchical
 * storage: fanotify's events before content): it is asked, as it is for an mmap
 */
#include "memview_test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>

/* Since 6.14; they may be newer than the system's header. */
#ifndef FAN_PRE_ACCESS
#define FAN_PRE_ACCESS	0x00100000
#endif
#ifndef FAN_EVENT_INFO_TYPE_RANGE
#define FAN_EVENT_INFO_TYPE_RANGE 6
#endif

#define SIZE	(8 * PAGE)

struct range_info {
	struct fanotify_event_info_header hdr;
	uint32_t pad;
	uint64_t offset;
	uint64_t count;
};

FIXTURE(fill)
{
	struct source src;
	int control, file;
	int group, stop;
	pthread_t thread;
	bool denies;
	/* Of the events so far. */
	_Atomic unsigned int asked;
	uint64_t offset, count;
	struct klog klog;
};

FIXTURE_VARIANT(fill)
{
	bool denies;
};

FIXTURE_VARIANT_ADD(fill, allows) {};
FIXTURE_VARIANT_ADD(fill, denies) { .denies = true };

static void note_range(FIXTURE_DATA(fill) *self, const struct fanotify_event_metadata *event)
{
	const char *at = (const char *)event + event->metadata_len;
	const struct range_info *info = (const void *)at;

	self->offset = self->count = ~0ULL;
	if (at < (const char *)event + event->event_len &&
	    info->hdr.info_type == FAN_EVENT_INFO_TYPE_RANGE) {
		self->offset = info->offset;
		self->count = info->count;
	}
	atomic_fetch_add(&self->asked, 1);
}

/* Answer what is asked, until a byte comes from the test. */
static void *answer(void *arg)
{
	_Alignas(struct fanotify_event_metadata) char buf[4096];
	FIXTURE_DATA(fill) *self = arg;
	struct pollfd fds[2] = {
		{ .fd = self->group, .events = POLLIN },
		{ .fd = self->stop, .events = POLLIN },
	};
	struct fanotify_event_metadata *event = (void *)buf;
	struct fanotify_response response;
	ssize_t n;

	while (poll(fds, 2, -1) > 0 && !fds[1].revents) {
		n = read(self->group, buf, sizeof(buf));
		for (; FAN_EVENT_OK(event, n); event = FAN_EVENT_NEXT(event, n)) {
			note_range(self, event);
			response.fd = event->fd;
			response.response = self->denies ? FAN_DENY : FAN_ALLOW;
			if (write(self->group, &response, sizeof(response)) < 0)
				return NULL;
			close(event->fd);
		}
		event = (void *)buf;
	}
	return NULL;
}

FIXTURE_SETUP(fill)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, SOURCE_EXT4, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, 1));
	self->group = fanotify_init(FAN_CLASS_PRE_CONTENT | FAN_CLOEXEC, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->group);
	if (fanotify_mark(self->group, FAN_MARK_ADD, FAN_PRE_ACCESS, self->src.fd, NULL))
		SKIP(return, "missing: events before content (Linux 6.14)");
	self->denies = variant->denies;
	self->stop = eventfd(0, EFD_CLOEXEC);
	ASSERT_LE(0, self->stop);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, answer, self));
	/* An open file knows whether to ask. */
	self->file = source_reopen(&self->src, O_RDWR);
	ASSERT_LE(0, self->file);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
}

FIXTURE_TEARDOWN(fill)
{
	if (self->thread) {
		eventfd_write(self->stop, 1);
		pthread_join(self->thread, NULL);
	}
	close(self->group);
	close(self->file);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

#define EXPECT_ASKED(n, first, pages)					\
	do {								\
		EXPECT_EQ(n, self->asked);				\
		EXPECT_EQ((first) * PAGE, self->offset);		\
		EXPECT_EQ((pages) * PAGE, self->count);			\
	} while (0)

/* What the others should be like. */
TEST_F(fill, mmap)
{
	void *mem = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, self->file, 3 * PAGE);

	EXPECT_EQ(variant->denies, mem == MAP_FAILED);
	EXPECT_ASKED(1, 3, 2);
}

/* Catches: a view that shows a file which has not been filled. */
TEST_F(fill, map)
{
	int err = variant->denies ? -EPERM : 0;

	EXPECT_EQ(err, view_map(self->control, self->file, 3 * PAGE, 2 * PAGE, 0, MAP_RW));
	EXPECT_ASKED(1, 3, 2);
	/* Each time: another part may be missing. */
	EXPECT_EQ(err, view_map(self->control, self->file, 5 * PAGE, PAGE, 0, MAP_R));
	EXPECT_ASKED(2, 5, 1);
}

TEST_F(fill, batch)
{
	struct memview_batch_op ops[] = {
		batch_map(self->file, PAGE, PAGE, 0, MAP_R),
		batch_map(self->file, 4 * PAGE, 2 * PAGE, 2 * PAGE, MAP_RW),
	};
	uint32_t failed = ~0U;

	EXPECT_EQ(variant->denies ? -EPERM : 0,
		  view_batch(self->control, ops, ARRAY_SIZE(ops), &failed));
	if (variant->denies) {
		EXPECT_EQ(0, failed);
		EXPECT_ASKED(1, 1, 1);
	} else {
		EXPECT_ASKED(2, 4, 2);
	}
}

TEST_HARNESS_MAIN
