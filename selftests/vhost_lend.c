// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_lend.c - memview-vhost-user lends guest memory for as long as the
 * frontend announces it, and its backend has it
 */
#include "vhost.h"

#include <sys/socket.h>

FIXTURE(lend)
{
	struct klog klog;
	struct vhost_session session;
};

FIXTURE_SETUP(lend)
{
	ASSERT_LE(0, klog_start(&self->klog));
	ASSERT_EQ(0, vhost_session_begin(&self->session));
}

FIXTURE_TEARDOWN(lend)
{
	EXPECT_EQ(0, vhost_session_end(&self->session));
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(lend, lends_a_table)
{
	const struct vhost_region regions[] = { guest_low, guest_high };
	int fds[] = { self->session.memfd, self->session.memfd }, views[2];
	uint64_t word;
	char *map;

	ASSERT_EQ(0, vhost_set_table(&self->session.pair, regions, fds, views, 2));
	EXPECT_EQ(LOW_SIZE, lseek(views[0], 0, SEEK_END));
	EXPECT_EQ(HIGH + HIGH_SIZE, lseek(views[1], 0, SEEK_END));

	/* From the start of the file on, as DPDK maps; and from the offset on. */
	map = map_region(views[1], &guest_high);
	ASSERT_NE(NULL, map);
	EXPECT_READS(0x2222, map);
	EXPECT_GONE(map - PAGE);
	EXPECT_GONE(map - HIGH);
	EXPECT_EQ(0, probe_write(map + PAGE, 0x4444));
	ASSERT_EQ(0, fd_read_u64(self->session.memfd, HIGH + PAGE, &word));
	EXPECT_EQ(0x4444, word);
	map = view_mmap(views[1], HIGH_SIZE, PROT_RW, HIGH);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_READS(0x2222, map);

	/* And nothing beyond, although there is more of the file. */
	map = view_mmap(views[1], HIGH_SIZE + PAGE, PROT_RW, HIGH);
	EXPECT_GONE(map + HIGH_SIZE);
	map = map_region(views[0], &guest_low);
	EXPECT_READS(0x1111, map);
}

/* libblkio has such a region. */
TEST_F(lend, lends_less_than_a_page)
{
	const struct vhost_region region = { 0x7f1234560000, 0x3b10, 0x7f1234560000, 0 };
	int memfd = memfd_create("odd", MFD_CLOEXEC), view;
	char *map;

	ASSERT_EQ(0, ftruncate(memfd, 0x3b10));
	ASSERT_EQ(0, fd_write_u64(memfd, 0x3b00, 0x5555));
	ASSERT_EQ(0, vhost_add(&self->session.pair, &region, memfd, &view));
	EXPECT_EQ(0x3b10, lseek(view, 0, SEEK_END));
	map = map_region(view, &region);
	ASSERT_NE(NULL, map);
	EXPECT_READS(0x5555, map + 0x3b00);
}

TEST_F(lend, takes_back_a_region_that_goes)
{
	char *map[2];
	int view;

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	map[0] = map_region(view, &guest_low);
	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_high, self->session.memfd, &view));
	map[1] = map_region(view, &guest_high);
	EXPECT_READS(0x1111, map[0]);
	EXPECT_READS(0x2222, map[1]);
	ASSERT_EQ(0, vhost_remove(&self->session.pair, &guest_low));
	EXPECT_GONE(map[0]);
	EXPECT_READS(0x2222, map[1]);
	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	EXPECT_GONE(map[0]);
	map[0] = map_region(view, &guest_low);
	EXPECT_READS(0x1111, map[0]);
}

/* A fd that comes with REM_MEM_REG, as some frontends do, is guest memory. */
TEST_F(lend, passes_no_memory_with_a_removal)
{
	struct vhost_message got, message = {
		.request = REM_MEM_REG, .flags = FLAG_VERSION, .size = 40,
		.single.region = guest_low, .nr_fds = 1, .fds = { self->session.memfd },
	};
	int view;

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	ASSERT_EQ(0, vhost_send(self->session.pair.frontend, &message));
	ASSERT_EQ(0, vhost_receive(self->session.pair.backend, &got));
	EXPECT_EQ(REM_MEM_REG, got.request);
	EXPECT_EQ(0, got.nr_fds);
}

/* A new table while the device runs: what stays is never away. */
TEST_F(lend, replaces_a_table)
{
	const struct vhost_region both[] = { guest_low, guest_high };
	struct vhost_region part = guest_low;
	int fds[] = { self->session.memfd, self->session.memfd }, views[2];
	struct vhost_message got;
	char *map[2], *new;

	ASSERT_EQ(0, vhost_set_table(&self->session.pair, both, fds, views, 2));
	map[0] = map_region(views[0], &guest_low);
	map[1] = map_region(views[1], &guest_high);
	EXPECT_READS(0x1111, map[0]);
	EXPECT_READS(0x2222, map[1]);

	/* The same region again: through the old mapping and the new. */
	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &guest_low, fds, views, 1));
	EXPECT_READS(0x1111, map[0]);
	EXPECT_GONE(map[1]);
	new = map_region(views[0], &guest_low);
	EXPECT_READS(0x1111, new);

	/* Half of it: that half stays in the old mapping until the backend answers. */
	part.size /= 2;
	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &part, fds, views, 1));
	EXPECT_READS(0x1111, map[0]);
	EXPECT_GONE(map[0] + part.size);
	new = map_region(views[0], &part);
	ASSERT_EQ(0, vhost_send_u64(self->session.pair.backend, SET_MEM_TABLE, FLAG_REPLY, 0));
	ASSERT_EQ(0, vhost_receive(self->session.pair.frontend, &got));
	EXPECT_GONE(map[0]);
	EXPECT_READS(0x1111, new);

	ASSERT_EQ(0, vhost_set_table(&self->session.pair, NULL, NULL, views, 0));
	EXPECT_GONE(new);
}

/*
 * Before the backend answers, an old mapping has what is announced: not what
 * the next message takes away, and nothing more by the word of an operator.
 */
TEST_F(lend, old_mappings_get_no_more)
{
	struct vhost_region part = guest_low;
	int view, fd = self->session.memfd;
	char *map, *new, out[256];

	part.size /= 2;
	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &guest_low, &fd, &view, 1));
	map = map_region(view, &guest_low);
	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &part, &fd, &view, 1));
	EXPECT_READS(0x1111, map);
	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &guest_high, &fd, &view, 1));
	EXPECT_GONE(map);

	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &guest_low, &fd, &view, 1));
	map = map_region(view, &guest_low);
	ASSERT_EQ(0, vhost_set_table(&self->session.pair, &part, &fd, &view, 1));
	new = map_region(view, &part);
	EXPECT_READS(0x1111, map);
	ASSERT_EQ(0, proxy_control(&self->session.proxy, "read-only all", out, sizeof(out)));
	EXPECT_GONE(map + part.size);
	EXPECT_READS(0x1111, new);
	EXPECT_EQ(SIGSEGV, probe_write(new, 0x1111));
	EXPECT_NE(0, probe_write(map, 0x1111));
}

TEST_F(lend, takes_back_at_reset)
{
	struct vhost_message got;
	int view, how;
	char *map;

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	map = map_region(view, &guest_low);
	for (how = 0; how < RESETS; how++) {
		EXPECT_READS(0x1111, map);
		ASSERT_EQ(0, vhost_reset(&self->session.pair, how));
		EXPECT_GONE(map);
		/* No ring is on yet. */
		ASSERT_EQ(0, vhost_send_u64(self->session.pair.frontend, SET_VRING_ENABLE, 0, 0));
		ASSERT_EQ(0, vhost_receive(self->session.pair.backend, &got));
		EXPECT_GONE(map);
		ASSERT_EQ(0, vhost_send_u64(self->session.pair.frontend, SET_VRING_NUM, 0, 128ULL << 32));
		ASSERT_EQ(0, vhost_receive(self->session.pair.backend, &got));
	}
	EXPECT_READS(0x1111, map);
	ASSERT_EQ(0, vhost_send_u64(self->session.pair.frontend, SET_STATUS, 0, 15));
	ASSERT_EQ(0, vhost_receive(self->session.pair.backend, &got));
	EXPECT_READS(0x1111, map);
}

/* Whoever goes first: nothing stays mapped, and the other side hears of it. */
TEST_F(lend, takes_back_at_disconnect)
{
	int view, who;
	char *map;

	for (who = 0; who < 2; who++) {
		ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
		map = map_region(view, &guest_low);
		EXPECT_READS(0x1111, map);
		close(who ? self->session.pair.backend : self->session.pair.frontend);
		EXPECT_EQ(0, vhost_closed(who ? self->session.pair.frontend : self->session.pair.backend));
		EXPECT_GONE(map);
		EXPECT_EQ(0, proxy_says(&self->session.proxy, who ? "the backend closed the connection; 1 regions" :
							    "the frontend closed the connection; 1 regions"));
		close(who ? self->session.pair.frontend : self->session.pair.backend);
		ASSERT_EQ(0, pair_open(&self->session.proxy, &self->session.pair));
	}
	EXPECT_READS(0x1111, (char *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->session.memfd, 0));
}

TEST_F(lend, takes_back_when_it_ends)
{
	int view;
	char *map;

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	map = map_region(view, &guest_low);
	EXPECT_READS(0x1111, map);
	EXPECT_EQ(0, proxy_stop(&self->session.proxy, SIGINT));
	EXPECT_GONE(map);
	EXPECT_EQ(0, vhost_closed(self->session.pair.frontend));
	ASSERT_EQ(0, proxy_start(&self->session.proxy, ""));
}

/*
 * Whoever is killed, the session's process or all: this backend does not let go
 * of what it has mapped, and it is gone all the same.
 */
TEST_F(lend, takes_back_when_it_is_killed)
{
	int view, all, i;
	uint64_t word;
	char *map;

	for (all = 0; all < 2; all++) {
		ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
		map = map_region(view, &guest_low);
		EXPECT_READS(0x1111, map);
		if (!all) {
			ASSERT_EQ(0, kill(proxy_session(&self->session.proxy), SIGKILL));
			EXPECT_EQ(0, proxy_says(&self->session.proxy, "killed by SIGKILL"));
			EXPECT_GONE(map);
			EXPECT_EQ(0, vhost_closed(self->session.pair.backend));
			ASSERT_EQ(0, pair_open(&self->session.proxy, &self->session.pair));
		} else {
			/* The session ends by itself. */
			EXPECT_EQ(SIGKILL, proxy_stop(&self->session.proxy, SIGKILL));
			for (i = 0; i < 2000 && !probe_read(map, &word); i++)
				sleep_ms(10);
			EXPECT_GONE(map);
			ASSERT_EQ(0, proxy_start(&self->session.proxy, ""));
		}
	}
	EXPECT_READS(0x1111, (char *)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->session.memfd, 0));
}

/* A session whose peers do not read keeps nobody else waiting, nor itself. */
TEST_F(lend, serves_others_while_one_is_stuck)
{
	struct vhost_message got, message = { .request = 4711, .flags = FLAG_VERSION, .size = 4096 };
	struct vhost_pair others[8];
	int view, i;
	char *map;

	ASSERT_EQ(0, vhost_add(&self->session.pair, &guest_low, self->session.memfd, &view));
	map = map_region(view, &guest_low);
	ASSERT_EQ(0, fcntl(self->session.pair.frontend, F_SETFL, O_NONBLOCK));
	ASSERT_EQ(0, fcntl(self->session.pair.backend, F_SETFL, O_NONBLOCK));
	while (!vhost_send(self->session.pair.frontend, &message))
		;
	for (i = 0; i < 8; i++) {
		ASSERT_EQ(0, pair_open(&self->session.proxy, &others[i]));
		ASSERT_EQ(0, vhost_send_empty(others[i].frontend, GET_FEATURES, 0));
		ASSERT_EQ(0, vhost_receive(others[i].backend, &got));
	}
	/* The other way is open. */
	ASSERT_EQ(0, vhost_send_u64(self->session.pair.backend, GET_FEATURES, FLAG_REPLY, 1));
	ASSERT_EQ(0, vhost_receive(self->session.pair.frontend, &got));
	EXPECT_READS(0x1111, map);
	close(self->session.pair.frontend);
	EXPECT_EQ(0, proxy_says(&self->session.proxy, "the frontend closed the connection; 1 regions"));
	EXPECT_GONE(map);
	for (i = 0; i < 8; i++)
		pair_close(&others[i]);
}

/* A backend that behaves may end its I/O first, if it is quick. */
TEST_F(lend, gives_grace)
{
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	uint64_t start;
	int view, quick;
	char *map;

	for (quick = 0; quick < 2; quick++) {
		/* One that is not quick has its second; one that is needs no hour. */
		ASSERT_EQ(0, proxy_start(&proxy, quick ? "--grace 3600000" : "--grace 1000"));
		ASSERT_EQ(0, pair_open(&proxy, &pair));
		ASSERT_EQ(0, vhost_add(&pair, &guest_low, self->session.memfd, &view));
		map = map_region(view, &guest_low);
		start = now_ns();
		close(pair.frontend);
		ASSERT_EQ(0, vhost_closed(pair.backend));
		EXPECT_READS(0x1111, map);
		if (quick)
			close(pair.backend);
		EXPECT_EQ(0, proxy_says(&proxy, "session 1: the frontend closed"));
		if (!quick)
			EXPECT_LE(1000000000, now_ns() - start);
		EXPECT_GONE(map);
		if (!quick)
			close(pair.backend);
		EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
	}
}

/* It is told on both sockets: one that waits for an answer on the second waits no more. */
TEST_F(lend, gives_grace_on_both_sockets)
{
	struct vhost_message got, message = {
		.request = SET_BACKEND_REQ_FD, .flags = FLAG_VERSION, .nr_fds = 1,
	};
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	uint64_t start;
	int requests[2];

	ASSERT_EQ(0, proxy_start(&proxy, "--grace 15000"));
	ASSERT_EQ(0, pair_open(&proxy, &pair));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests));
	message.fds[0] = requests[1];
	ASSERT_EQ(0, vhost_send(pair.frontend, &message));
	close(requests[1]);
	ASSERT_EQ(0, vhost_receive(pair.backend, &got));
	ASSERT_EQ(1, got.nr_fds);
	requests[1] = got.fds[0];
	/* CONFIG_CHANGE_MSG. */
	ASSERT_EQ(0, vhost_send_empty(requests[1], 2, FLAG_NEED_REPLY));
	ASSERT_EQ(0, vhost_receive(requests[0], &got));
	start = now_ns();
	close(pair.frontend);
	EXPECT_EQ(0, vhost_closed(requests[1]));
	EXPECT_GT(7000000000, now_ns() - start);
	EXPECT_EQ(-1, send(requests[1], &got, 12, MSG_NOSIGNAL));
	EXPECT_EQ(NULL, strstr(proxy_log(&proxy), "taken back"));
	EXPECT_EQ(0, vhost_closed(pair.backend));
	close(pair.backend);
	EXPECT_EQ(0, proxy_says(&proxy, "taken back"));
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
}

/* Who may take memory back at any time, may while grace is given. */
TEST_F(lend, grace_is_the_operators_to_end)
{
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	char *map, out[256];
	int view;

	ASSERT_EQ(0, proxy_start(&proxy, "--grace 3600000"));
	ASSERT_EQ(0, pair_open(&proxy, &pair));
	ASSERT_EQ(0, vhost_add(&pair, &guest_low, self->session.memfd, &view));
	map = map_region(view, &guest_low);
	close(pair.frontend);
	ASSERT_EQ(0, vhost_closed(pair.backend));
	EXPECT_READS(0x1111, map);
	EXPECT_EQ(0, proxy_control(&proxy, "revoke all", out, sizeof(out)));
	EXPECT_GONE(map);
	EXPECT_EQ(0, proxy_control(&proxy, "restore 1", out, sizeof(out)));
	EXPECT_READS(0x1111, map);
	EXPECT_EQ(0, proxy_stop(&proxy, SIGTERM));
	EXPECT_GONE(map);
}

TEST_HARNESS_MAIN
