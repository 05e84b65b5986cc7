// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_regions.c - memview-vhost-user lends no region that the backend has
 * refused, none that was repeated and is removed, and none to a device that is
 * reset
 */
#include "vhost.h"

FIXTURE(regions)
{
	struct klog klog;
	struct vhost_session session;
};

FIXTURE_SETUP(regions)
{
	ASSERT_LE(0, klog_start(&self->klog));
	ASSERT_EQ(0, vhost_session_begin(&self->session));
}

FIXTURE_TEARDOWN(regions)
{
	EXPECT_EQ(0, vhost_session_end(&self->session));
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Announce it, and let the backend answer so. */
static int add_answered(struct vhost_pair *pair, const struct vhost_region *region, int fd,
			uint64_t answer, int *view)
{
	struct vhost_message got, message = {
		.request = ADD_MEM_REG, .flags = FLAG_VERSION | FLAG_NEED_REPLY, .size = 40,
		.single.region = *region, .nr_fds = 1, .fds = { fd },
	};
	int err;

	err = vhost_send(pair->frontend, &message) ?: vhost_receive(pair->backend, &got);
	if (err)
		return err;
	*view = got.fds[0];
	return vhost_send_u64(pair->backend, ADD_MEM_REG, FLAG_REPLY, answer) ?:
	       vhost_receive(pair->frontend, &got);
}

/* QEMU does not record a region that the backend refused, and never removes it. */
TEST_F(regions, takes_back_what_is_refused)
{
	char *map[2], out[1024];
	int view;

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	map[0] = map_region(view, &guest_low);
	ASSERT_EQ(0, add_answered(&self->session.pair, &guest_high, self->session.memfd, 1, &view));
	map[1] = map_region(view, &guest_high);
	EXPECT_GONE(map[1]);
	EXPECT_READS(0x1111, map[0]);
	EXPECT_EQ(0, proxy_control(&self->session.proxy, "list", out, sizeof(out)));
	EXPECT_NE(NULL, strstr(out, ": 1 regions")) TH_LOG("%s", out);
	/* Another try. */
	ASSERT_EQ(0, add_answered(&self->session.pair, &guest_high, self->session.memfd, 0, &view));
	map[1] = map_region(view, &guest_high);
	EXPECT_READS(0x2222, map[1]);
	ASSERT_EQ(0, vhost_remove(&self->session.pair, &guest_high));
	EXPECT_GONE(map[1]);
}

/* Several on their way: each answer is to one of them, in order. */
TEST_F(regions, matches_answers)
{
	struct vhost_message got, message = {
		.request = ADD_MEM_REG, .flags = FLAG_VERSION, .size = 40, .nr_fds = 1,
		.fds = { self->session.memfd },
	};
	struct vhost_region region[3] = { guest_low, guest_low, guest_low };
	char *map[3];
	int i;

	for (i = 0; i < 3; i++) {
		region[i].guest = region[i].user = i * LOW_SIZE;
		message.single.region = region[i];
		/* No answer is asked to the first. */
		message.flags = FLAG_VERSION | (i ? FLAG_NEED_REPLY : 0);
		ASSERT_EQ(0, vhost_send(self->session.pair.frontend, &message));
		ASSERT_EQ(0, vhost_receive(self->session.pair.backend, &got));
		map[i] = map_region(got.fds[0], &guest_low);
	}
	ASSERT_EQ(0, vhost_send_u64(self->session.pair.backend, ADD_MEM_REG, FLAG_REPLY, 0));
	ASSERT_EQ(0, vhost_send_u64(self->session.pair.backend, ADD_MEM_REG, FLAG_REPLY, 1));
	ASSERT_EQ(0, vhost_receive(self->session.pair.frontend, &got));
	ASSERT_EQ(0, vhost_receive(self->session.pair.frontend, &got));
	EXPECT_READS(0x1111, map[0]);
	EXPECT_READS(0x1111, map[1]);
	EXPECT_GONE(map[2]);
	/* One answer too many is to none of them. */
	ASSERT_EQ(0, vhost_send_u64(self->session.pair.backend, ADD_MEM_REG, FLAG_REPLY, 1));
	ASSERT_EQ(0, vhost_receive(self->session.pair.frontend, &got));
	EXPECT_READS(0x1111, map[0]);
	EXPECT_READS(0x1111, map[1]);
}

/* The same place twice, be it of the same file or not, and one removal. */
TEST_F(regions, takes_back_what_is_repeated)
{
	int other = memfd_create("other", MFD_CLOEXEC), view, i;
	char *map[3], out[1024];

	ASSERT_EQ(0, ftruncate(other, LOW_SIZE));
	ASSERT_EQ(0, fd_write_u64(other, 0, 0x4444));
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
		map[i] = map_region(view, &guest_low);
		EXPECT_READS(0x1111, map[0]);
		EXPECT_READS(0x1111, map[i]);
	}
	/* Refused: what was accepted before is still there. */
	ASSERT_EQ(0, add_answered(&self->session.pair, &guest_low, self->session.memfd, 1, &view));
	EXPECT_READS(0x1111, map[0]);
	EXPECT_EQ(0, proxy_control(&self->session.proxy, "list", out, sizeof(out)));
	EXPECT_NE(NULL, strstr(out, ": 1 regions")) TH_LOG("%s", out);
	ASSERT_EQ(0, vhost_remove(&self->session.pair, &guest_low));
	EXPECT_GONE(map[0]);
	EXPECT_GONE(map[1]);

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	map[0] = map_region(view, &guest_low);
	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, other, &view));
	map[2] = map_region(view, &guest_low);
	EXPECT_GONE(map[0]);
	EXPECT_READS(0x4444, map[2]);
	ASSERT_EQ(0, vhost_remove(&self->session.pair, &guest_low));
	EXPECT_GONE(map[2]);
}

/* A device that is reset is told of memory, too, and has it with its first ring. */
TEST_F(regions, stays_away_until_a_ring)
{
	const struct vhost_region both[] = { guest_low, guest_high };
	int fds[] = { self->session.memfd, self->session.memfd }, views[2], how;
	struct vhost_message got;
	char *map[3];

	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &guest_low, fds, views, 1));
	map[0] = map_region(views[0], &guest_low);
	for (how = 0; how < RESETS; how++) {
		EXPECT_READS(0x1111, map[0]);
		ASSERT_EQ(0, vhost_reset(&self->session.pair, how));
		/* One that it has had, and one that is new. */
		ASSERT_EQ(0, vhost_set_table(&self->session.pair, both, fds, views, 2));
		map[1] = map_region(views[1], &guest_high);
		EXPECT_GONE(map[0]);
		EXPECT_GONE(map[1]);
		ASSERT_EQ(0, vhost_set_table(&self->session.pair, &guest_low, fds, views, 1));
		ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_high, self->session.memfd, &views[1]));
		map[2] = map_region(views[1], &guest_high);
		EXPECT_GONE(map[0]);
		EXPECT_GONE(map[2]);
		ASSERT_EQ(0, vhost_send_u64(self->session.pair.frontend, SET_VRING_NUM, 0, 128ULL << 32));
		ASSERT_EQ(0, vhost_receive(self->session.pair.backend, &got));
		EXPECT_GONE(map[1]);
		EXPECT_READS(0x2222, map[2]);
	}
	EXPECT_READS(0x1111, map[0]);
}

TEST_HARNESS_MAIN
