// SPDX-License-Identifier: GPL-2.0
/*
 * vhost.c - memview-vhost-user relays the protocol, with its file descriptors
 */
#include "vhost.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

FIXTURE(vhost)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct vhost_pair pair;
};

FIXTURE_SETUP(vhost)
{
	ASSERT_LE(0, klog_start(&self->klog));
	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
}

FIXTURE_TEARDOWN(vhost)
{
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
	EXPECT_KLOG_CLEAN(&self->klog);
}

TEST_F(vhost, relays_both_ways)
{
	struct vhost_message got;

	ASSERT_EQ(0, vhost_send_empty(self->pair.frontend, GET_FEATURES, 0));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(GET_FEATURES, got.request);
	EXPECT_EQ(FLAG_VERSION, got.flags);
	EXPECT_EQ(0, got.size);
	ASSERT_EQ(0, vhost_send_u64(self->pair.backend, GET_FEATURES, FLAG_REPLY, ~0ULL));
	ASSERT_EQ(0, vhost_receive(self->pair.frontend, &got));
	EXPECT_EQ(FLAG_VERSION | FLAG_REPLY, got.flags);
	EXPECT_EQ(~0ULL, got.u64);
}

/* Many at once, and in pieces: a stream is what it is. */
TEST_F(vhost, relays_streams)
{
	struct vhost_message got, message = { .request = SET_FEATURES, .flags = FLAG_VERSION, .size = 8 };
	char bytes[20 * 100], *at = bytes;
	size_t sent, part;
	int i;

	for (i = 0; i < 100; i++) {
		message.u64 = i;
		memcpy(at, &message, 12);
		memcpy(at + 12, message.payload, 8);
		at += 20;
	}
	for (sent = 0, part = 1; sent < sizeof(bytes); sent += part, part = part * 3 % 97 + 1) {
		if (part > sizeof(bytes) - sent)
			part = sizeof(bytes) - sent;
		ASSERT_EQ(part, send(self->pair.frontend, bytes + sent, part, 0));
	}
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
		ASSERT_EQ(i, got.u64);
	}
}

TEST_F(vhost, masks_what_is_not_safe)
{
	const uint64_t unsafe = 1ULL << 8 | 1ULL << 17 | 1ULL << 18 | ~0ULL << 22;
	const uint64_t needed = 1ULL << 3 | 1ULL << 5 | 1ULL << 9 | 1ULL << 12 | 1ULL << 15;
	struct vhost_message got;

	ASSERT_EQ(0, vhost_send_empty(self->pair.frontend, GET_PROTOCOL_FEATURES, 0));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	ASSERT_EQ(0, vhost_send_u64(self->pair.backend, GET_PROTOCOL_FEATURES, FLAG_REPLY, ~0ULL));
	ASSERT_EQ(0, vhost_receive(self->pair.frontend, &got));
	EXPECT_EQ(0, got.u64 & unsafe);
	EXPECT_EQ(needed, got.u64 & needed);
	ASSERT_EQ(0, vhost_send_u64(self->pair.frontend, SET_PROTOCOL_FEATURES, 0, ~0ULL));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(0, got.u64 & unsafe);
	EXPECT_EQ(needed, got.u64 & needed);
}

/* The fd that arrives works as the one that was sent. */
static int is_eventfd(int there, int here)
{
	uint64_t count = 0;

	eventfd_write(there, 7);
	return read(here, &count, sizeof(count)) == sizeof(count) && count == 7;
}

TEST_F(vhost, relays_file_descriptors)
{
	struct vhost_message got, message = {
		.request = SET_VRING_KICK, .flags = FLAG_VERSION, .size = 8, .nr_fds = 1,
	};
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	message.fds[0] = event;
	ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	ASSERT_EQ(1, got.nr_fds);
	EXPECT_TRUE(is_eventfd(got.fds[0], event));

	/* Without: bit 8 says that there is none. */
	ASSERT_EQ(0, vhost_send_u64(self->pair.frontend, SET_VRING_KICK, 0, 0x100));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(0, got.nr_fds);

	/* One that comes with a reply. */
	message = (struct vhost_message){ .request = GET_INFLIGHT_FD, .flags = FLAG_VERSION, .size = 24 };
	ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	message.flags |= FLAG_REPLY;
	message.nr_fds = 1;
	message.fds[0] = event;
	ASSERT_EQ(0, vhost_send(self->pair.backend, &message));
	ASSERT_EQ(0, vhost_receive(self->pair.frontend, &got));
	ASSERT_EQ(1, got.nr_fds);
	EXPECT_TRUE(is_eventfd(got.fds[0], event));
}

TEST_F(vhost, passes_unknown_messages_through)
{
	struct vhost_message got, message = {
		.request = 4711, .flags = FLAG_VERSION, .size = 4096, .nr_fds = 3,
	};
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), i;

	for (i = 0; i < 3; i++)
		message.fds[i] = event;
	memset(message.payload, 0x5a, message.size);
	ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(4711, got.request);
	EXPECT_EQ(3, got.nr_fds);
	EXPECT_EQ(4096, got.size);
	EXPECT_EQ(0, memcmp(got.payload, message.payload, 4096));
	EXPECT_TRUE(is_eventfd(got.fds[2], event));
}

TEST_F(vhost, relays_requests_of_the_backend)
{
	struct vhost_message got, message = {
		.request = SET_BACKEND_REQ_FD, .flags = FLAG_VERSION, .nr_fds = 1,
	};
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	message.fds[0] = pair[1];
	ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
	close(pair[1]);
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	ASSERT_EQ(1, got.nr_fds);
	pair[1] = got.fds[0];

	/* VRING_HOST_NOTIFIER_MSG: the backend's file goes to the frontend. */
	message = (struct vhost_message){
		.request = 3, .flags = FLAG_VERSION | FLAG_NEED_REPLY, .size = 24,
		.nr_fds = 1, .fds = { event },
	};
	ASSERT_EQ(0, vhost_send(pair[1], &message));
	ASSERT_EQ(0, vhost_receive(pair[0], &got));
	ASSERT_EQ(1, got.nr_fds);
	EXPECT_EQ(3, got.request);
	EXPECT_TRUE(is_eventfd(got.fds[0], event));
	ASSERT_EQ(0, vhost_send_u64(pair[0], 3, FLAG_REPLY, 42));
	ASSERT_EQ(0, vhost_receive(pair[1], &got));
	EXPECT_EQ(42, got.u64);

	/* It may go, and the session stays. */
	close(pair[1]);
	EXPECT_EQ(0, vhost_closed(pair[0]));
	ASSERT_EQ(0, vhost_send_empty(self->pair.frontend, SET_OWNER, 0));
	ASSERT_EQ(0, vhost_receive(self->pair.backend, &got));
	EXPECT_EQ(SET_OWNER, got.request);
}

TEST_HARNESS_MAIN
