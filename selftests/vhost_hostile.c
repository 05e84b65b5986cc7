// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_hostile.c - a backend that looks at all it can, and peers that speak
 * nonsense: they get nothing that was not announced, and keep nothing
 */
#include "vhost.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#define SIZE	(16 * PAGE)
#define FILE_SIZE (1024 * PAGE)

/* In the middle of the file: there is something before it and behind it. */
static const struct vhost_region region = { GiB, SIZE, 0x7f0000000000, 100 * PAGE };
static const struct vhost_region other = { 2 * GiB, SIZE, 0x7f8000000000, 300 * PAGE };

FIXTURE(hostile)
{
	struct klog klog;
	struct vhost_proxy proxy;
	struct vhost_pair pair;
	int memfd;
};

FIXTURE_SETUP(hostile)
{
	ASSERT_LE(0, klog_start(&self->klog));
	self->memfd = memfd_filled(FILE_SIZE, 1);
	ASSERT_LE(0, self->memfd);
	ASSERT_EQ(0, proxy_start(&self->proxy, ""));
	ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
}

FIXTURE_TEARDOWN(hostile)
{
	EXPECT_EQ(0, proxy_stop(&self->proxy, SIGTERM));
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* How many pages of a mapping of the whole file can be read, and are [first, first + n)? */
static void scan(const char *map, uint64_t first, uint64_t n, unsigned int *inside,
		 unsigned int *outside)
{
	uint64_t page, word;

	*inside = *outside = 0;
	for (page = 0; page < FILE_SIZE / PAGE; page++) {
		if (probe_read(map + page * PAGE, &word))
			continue;
		if (page >= first && page < first + n && word == page_tag(1, page))
			++*inside;
		else
			++*outside;
	}
}

TEST_F(hostile, sees_what_is_announced_alone)
{
	const struct vhost_region regions[] = { region, other };
	int fds[] = { self->memfd, self->memfd }, views[2], i;
	unsigned int inside, outside;
	char *map[2];

	ASSERT_EQ(0, vhost_set_table(&self->pair, regions, fds, views, 2));
	for (i = 0; i < 2; i++) {
		/* More than there is: the view is no larger than it must be. */
		map[i] = view_mmap(views[i], FILE_SIZE, PROT_RW, 0);
		ASSERT_NE(MAP_FAILED, map[i]);
		scan(map[i], regions[i].offset / PAGE, SIZE / PAGE, &inside, &outside);
		EXPECT_EQ(SIZE / PAGE, inside);
		EXPECT_EQ(0, outside);
		/* No other way to it either. */
		EXPECT_GT(0, ftruncate(views[i], FILE_SIZE));
		EXPECT_GT(0, view_map(views[i], self->memfd, 0, PAGE, 0, MAP_RW));
		EXPECT_EQ(-1, pread(views[i], &inside, 4, 100 * PAGE));
		EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, views[i], 100 * PAGE));
	}
	close(self->pair.frontend);
	ASSERT_EQ(0, vhost_closed(self->pair.backend));
	for (i = 0; i < 2; i++) {
		scan(map[i], 0, FILE_SIZE / PAGE, &inside, &outside);
		EXPECT_EQ(0, inside + outside);
		map[i] = view_mmap(views[i], FILE_SIZE, PROT_READ, 0);
		scan(map[i], 0, FILE_SIZE / PAGE, &inside, &outside);
		EXPECT_EQ(0, inside + outside);
	}
	/* And the frontend is none the worse. */
	map[0] = mmap(NULL, FILE_SIZE, PROT_READ, MAP_SHARED, self->memfd, 0);
	scan(map[0], 0, FILE_SIZE / PAGE, &inside, &outside);
	EXPECT_EQ(FILE_SIZE / PAGE, inside);
}

/* ---- Nonsense ---- */

/* One wrong message, and what is said of it. */
struct nonsense {
	const char *said;
	bool from_backend;
	struct vhost_message message;
};

#define WRONG(said_, request_, flags_, size_, ...)			\
	{ .said = said_, .message = { .request = request_, .flags = flags_, .size = size_, __VA_ARGS__ } }

static const struct nonsense nonsense[] = {
	WRONG("of protocol version 0", SET_OWNER, 0, 0),
	WRONG("of protocol version 3", SET_OWNER, 3, 0),
	WRONG("marked as a reply", SET_OWNER, FLAG_VERSION | FLAG_REPLY, 0),
	WRONG("of 4097 bytes, the limit is 4096", 4711, FLAG_VERSION, 4097),
	WRONG("of 4294967295 bytes", SET_OWNER, FLAG_VERSION, ~0u),
	WRONG("SET_FEATURES of 4 bytes", SET_FEATURES, FLAG_VERSION, 4),
	WRONG("SET_FEATURES with 1 file", SET_FEATURES, FLAG_VERSION, 8, .nr_fds = 1),
	WRONG("SET_BACKEND_REQ_FD with 0", SET_BACKEND_REQ_FD, FLAG_VERSION, 0),
	WRONG("more than 32 file descriptors", 4711, FLAG_VERSION, 8, .nr_fds = 33),
	WRONG("SET_MEM_TABLE of 4 bytes", SET_MEM_TABLE, FLAG_VERSION, 4),
	WRONG("SET_MEM_TABLE of 2 regions in 40", SET_MEM_TABLE, FLAG_VERSION, 40, .table.nr = 2,
	      .nr_fds = 2),
	WRONG("of 33 regions, the limit is 32", SET_MEM_TABLE, FLAG_VERSION, 8 + 33 * 32,
	      .table.nr = 33, .nr_fds = 32),
	WRONG("of 4294967295 regions", SET_MEM_TABLE, FLAG_VERSION, 40, .table.nr = ~0u),
	WRONG("of 1 regions with 0 file", SET_MEM_TABLE, FLAG_VERSION, 40, .table.nr = 1),
	WRONG("of no bytes", SET_MEM_TABLE, FLAG_VERSION, 40, .table.nr = 1, .nr_fds = 1),
	WRONG("wraps around", ADD_MEM_REG, FLAG_VERSION, 40, .nr_fds = 1,
	      .single.region = { ~0UL << 12, 2 * PAGE, 0, 0 }),
	WRONG("wraps around", ADD_MEM_REG, FLAG_VERSION, 40, .nr_fds = 1,
	      .single.region = { 0, PAGE, 0, ~0UL << 12 }),
	WRONG("cannot lend the region", ADD_MEM_REG, FLAG_VERSION, 40, .nr_fds = 1,
	      .single.region = { 0, PAGE, 0, 1UL << 62 }),
	WRONG("not the same part of a page", ADD_MEM_REG, FLAG_VERSION, 40, .nr_fds = 1,
	      .single.region = { 0, PAGE, 0, 8 }),
	WRONG("ADD_MEM_REG with 0", ADD_MEM_REG, FLAG_VERSION, 40),
	WRONG("ADD_MEM_REG with 2", ADD_MEM_REG, FLAG_VERSION, 40, .nr_fds = 2),
	WRONG("POSTCOPY_ADVISE, which was not offered", POSTCOPY_ADVISE, FLAG_VERSION, 0),
	WRONG("GET_SHARED_OBJECT, which was not offered", 41, FLAG_VERSION, 16),
	WRONG("GET_SHMEM_CONFIG, which was not offered", 44, FLAG_VERSION, 0),
	WRONG("SET_LOG_BASE with a file descriptor of guest memory", SET_LOG_BASE, FLAG_VERSION, 16,
	      .nr_fds = 1),
	WRONG("request 4711 with a file descriptor of guest memory", 4711, FLAG_VERSION, 0,
	      .nr_fds = 1),
	{ "is no reply", true, { .request = GET_FEATURES, .flags = FLAG_VERSION, .size = 8 } },
	{ "of protocol version 2", true, { .request = 1, .flags = FLAG_REPLY | 2, .size = 8 } },
	{ "of 5000 bytes", true, { .request = 1, .flags = FLAG_VERSION | FLAG_REPLY, .size = 5000 } },
	{ "of 4 bytes", true,
	  { .request = GET_PROTOCOL_FEATURES, .flags = FLAG_VERSION | FLAG_REPLY, .size = 4 } },
	{ "reply to ADD_MEM_REG of 40 bytes", true,
	  { .request = ADD_MEM_REG, .flags = FLAG_VERSION | FLAG_REPLY, .size = 40 } },
};

/* It ends that session, with a line that says so, and takes all back. */
static void try_nonsense(struct __test_metadata *_metadata, struct vhost_proxy *proxy,
			 struct vhost_pair *pair, int memfd, const struct nonsense *wrong,
			 unsigned int id)
{
	struct vhost_message message = wrong->message;
	char text[256];
	uint64_t word;
	int view, i;
	char *map;

	ASSERT_EQ(0, vhost_add(pair, &region, memfd, &view));
	map = view_mmap(view, region.offset + SIZE, PROT_RW, 0);
	map += region.offset;
	EXPECT_EQ(0, probe_read(map, &word));
	for (i = 0; i < message.nr_fds; i++)
		message.fds[i] = memfd;
	EXPECT_EQ(0, vhost_send(wrong->from_backend ? pair->backend : pair->frontend, &message));
	EXPECT_EQ(0, vhost_closed(pair->frontend));
	EXPECT_EQ(0, vhost_closed(pair->backend));
	EXPECT_EQ(SIGBUS, probe_read(map, &word)) TH_LOG("after %s", wrong->said);
	snprintf(text, sizeof(text), "session %u: ", id);
	EXPECT_EQ(0, proxy_says(proxy, text));
	EXPECT_EQ(0, proxy_says(proxy, wrong->said)) TH_LOG("not said: %s", wrong->said);
	pair_close(pair);
	munmap(map - region.offset, region.offset + SIZE);
	close(view);
}

TEST_F(hostile, speaks_nonsense)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(nonsense); i++) {
		try_nonsense(_metadata, &self->proxy, &self->pair, self->memfd, &nonsense[i], i + 1);
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	}
}

/* The second socket: the backend's end, and the frontend's. */
static int open_requests(struct vhost_pair *pair, int *backend, int *frontend)
{
	struct vhost_message got, message = {
		.request = SET_BACKEND_REQ_FD, .flags = FLAG_VERSION, .nr_fds = 1,
	};
	int sock[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sock))
		return -errno;
	message.fds[0] = sock[1];
	err = vhost_send(pair->frontend, &message) ?: vhost_receive(pair->backend, &got);
	close(sock[1]);
	*frontend = sock[0];
	*backend = got.fds[0];
	return err;
}

/* Neither dma-bufs nor windows are offered: a backend that asks all the same gets none. */
TEST_F(hostile, asks_for_what_is_not_offered)
{
	static const struct {
		const char *name;
		struct vhost_message message;
	} asked[] = {
		{ "SHARED_OBJECT_ADD", { .request = 6, .size = 16 } },
		{ "SHARED_OBJECT_REMOVE", { .request = 7, .size = 16 } },
		{ "SHARED_OBJECT_LOOKUP", { .request = 8, .size = 16 } },
		{ "SHMEM_MAP", { .request = 9, .size = 40, .nr_fds = 1 } },
		{ "SHMEM_UNMAP", { .request = 10, .size = 40 } },
	};
	struct vhost_message message;
	char text[128];
	int req[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		ASSERT_EQ(0, open_requests(&self->pair, &req[0], &req[1]));
		message = asked[i].message;
		message.flags = FLAG_VERSION;
		message.fds[0] = self->memfd;
		ASSERT_EQ(0, vhost_send(req[0], &message));
		EXPECT_EQ(0, vhost_closed(self->pair.backend));
		snprintf(text, sizeof(text), "BACKEND_%s, which was not offered", asked[i].name);
		EXPECT_EQ(0, proxy_says(&self->proxy, text));
		EXPECT_EQ(0, vhost_closed(req[1]));
		pair_close(&self->pair);
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	}
}

/* Nor is there an answer to any request of a backend that brings a file descriptor. */
TEST_F(hostile, hears_answers_with_files)
{
	static const uint32_t requests[] = { 2, 8, 9, 4711 };
	/* Not one of guest memory that is announced. */
	int memfd = memfd_create("other", MFD_CLOEXEC), req[2];
	struct vhost_message message = {
		.flags = FLAG_VERSION | FLAG_REPLY, .size = 8, .nr_fds = 1, .fds = { memfd },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		ASSERT_EQ(0, open_requests(&self->pair, &req[0], &req[1]));
		message.request = requests[i];
		ASSERT_EQ(0, vhost_send(req[1], &message));
		EXPECT_EQ(0, vhost_closed(self->pair.backend));
		EXPECT_EQ(0, proxy_says(&self->proxy, "with 1 file descriptors"));
		EXPECT_EQ(0, vhost_closed(req[0]));
		pair_close(&self->pair);
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	}
}

TEST_F(hostile, stops_in_the_middle)
{
	struct vhost_message message = { .request = SET_FEATURES, .flags = FLAG_VERSION, .size = 8 };
	int i;

	for (i = 1; i < 20; i += 3) {
		ASSERT_EQ(i, send(self->pair.frontend, &message, i, 0));
		ASSERT_EQ(0, shutdown(self->pair.frontend, SHUT_WR));
		EXPECT_EQ(0, vhost_closed(self->pair.backend));
		EXPECT_EQ(0, proxy_says(&self->proxy, "a message ends after "));
		pair_close(&self->pair);
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	}
}

/* Memory that cannot be lent: the session ends, and the line says why. */
TEST_F(hostile, brings_what_cannot_be_lent)
{
	const struct {
		int fd;
		const char *said;
	} files[] = {
		{ open("/dev/null", O_RDWR), "not hugetlbfs" },
		{ dup(self->pair.frontend), "not hugetlbfs" },
		{ open("/proc/self/exe", O_RDONLY), "not open for writing" },
		{ memfd_create("huge", MFD_HUGETLB), "not hugetlbfs" },
	};
	struct vhost_message message = {
		.request = ADD_MEM_REG, .flags = FLAG_VERSION, .size = 40, .nr_fds = 1,
		.single.region = region,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (files[i].fd < 0)
			continue;
		message.fds[0] = files[i].fd;
		ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
		EXPECT_EQ(0, vhost_closed(self->pair.backend));
		EXPECT_EQ(0, proxy_says(&self->proxy, files[i].said));
		pair_close(&self->pair);
		ASSERT_EQ(0, pair_open(&self->proxy, &self->pair));
	}
}

/* A session that may open no more files says that, and not that there were too many. */
TEST_F(hostile, sends_files_that_do_not_fit)
{
	const struct rlimit none = { 3, 3 };
	struct vhost_message message = {
		.request = SET_VRING_KICK, .flags = FLAG_VERSION, .size = 8, .nr_fds = 1,
		.fds = { self->memfd },
	};

	ASSERT_EQ(0, prlimit(proxy_session(&self->proxy), RLIMIT_NOFILE, &none, NULL));
	ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
	EXPECT_EQ(0, vhost_closed(self->pair.backend));
	EXPECT_EQ(0, proxy_says(&self->proxy, "withheld file descriptors"));
}

TEST_F(hostile, announces_more_than_there_may_be)
{
	struct vhost_message got, message = {
		.request = ADD_MEM_REG, .flags = FLAG_VERSION, .size = 40, .nr_fds = 1,
		.fds = { self->memfd }, .single.region = region,
	};
	static char out[65536];
	char last[64];
	int i, err = 0;

	for (i = 0; !err && i < 512; i++) {
		message.single.region.guest += SIZE;
		ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
		err = vhost_receive(self->pair.backend, &got);
		if (!err)
			close(got.fds[0]);
	}
	EXPECT_EQ(512, i);
	EXPECT_EQ(0, err) TH_LOG("%s", proxy_log(&self->proxy));
	/* A list has all of them. */
	EXPECT_EQ(0, proxy_control(&self->proxy, "list", out, sizeof(out)));
	snprintf(last, sizeof(last), "guest %#lx size", message.single.region.guest);
	EXPECT_NE(NULL, strstr(out, "512 regions"));
	EXPECT_NE(NULL, strstr(out, last));
	message.single.region.guest += SIZE;
	ASSERT_EQ(0, vhost_send(self->pair.frontend, &message));
	EXPECT_EQ(0, vhost_closed(self->pair.backend));
	EXPECT_EQ(0, proxy_says(&self->proxy, "more than 512 regions; 512 regions"));
}

TEST_HARNESS_MAIN
