// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime.c - P9: a view lives until its last control fd, view fd and mapping
 * are gone, in whatever order they go, and leaves nothing behind
 */
#include "lifetime.h"

#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

#define PAGES		8
#define SIZE		(PAGES * PAGE)
#define TAG		1

FIXTURE(lifetime)
{
	int memfd, control, viewfd;
	char *mem;
	long references;
	struct klog klog;
};

FIXTURE_SETUP(lifetime)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->references = module_references();
	self->memfd = memfd_filled(SIZE, TAG);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

/* Every test closes all; this sees that nothing of it is left. */
FIXTURE_TEARDOWN(lifetime)
{
	EXPECT_TRUE(view_is_gone(self->memfd));
	EXPECT_TRUE(module_references_fall_to(self->references));
	close(self->memfd);
	EXPECT_KLOG_CLEAN(&self->klog);
}

enum part { CONTROL, VIEWFD, MAPPING, PARTS };

static const enum part orders[][PARTS] = {
	{ CONTROL, VIEWFD, MAPPING }, { CONTROL, MAPPING, VIEWFD },
	{ VIEWFD, CONTROL, MAPPING }, { VIEWFD, MAPPING, CONTROL },
	{ MAPPING, CONTROL, VIEWFD }, { MAPPING, VIEWFD, CONTROL },
};

struct view {
	int memfd, control, viewfd;
	char *mem;
	bool there[PARTS];
};

static int open_view(struct view *view)
{
	memset(view->there, true, sizeof(view->there));
	view->memfd = memfd_filled(SIZE, TAG);
	view->control = view_create(SIZE);
	if (view->memfd < 0 || view->control < 0 ||
	    view_map(view->control, view->memfd, 0, SIZE, 0, MAP_RW))
		return -EIO;
	view->viewfd = view_get_fd(view->control);
	view->mem = view_mmap(view->viewfd, SIZE, PROT_RW, 0);
	return view->mem == MAP_FAILED ? -EIO : 0;
}

static void drop(struct view *view, enum part part)
{
	view->there[part] = false;
	if (part == CONTROL)
		close(view->control);
	else if (part == VIEWFD)
		close(view->viewfd);
	else
		munmap(view->mem, SIZE);
}

/* What is left works as before. */
static void check_view(struct __test_metadata *_metadata, struct view *view,
		       unsigned int page)
{
	uint64_t value;
	char *mem;

	EXPECT_TRUE(view_is_there(view->memfd));
	if (view->there[MAPPING]) {
		EXPECT_EQ(0, probe_read(view->mem + page * PAGE, &value));
		EXPECT_EQ(page_tag(TAG, page), value);
		EXPECT_EQ(0, probe_write(view->mem + page * PAGE + 8, 1));
	}
	if (view->there[VIEWFD]) {
		mem = view_mmap(view->viewfd, PAGE, PROT_READ, page * PAGE);
		ASSERT_NE(MAP_FAILED, mem);
		EXPECT_EQ(0, probe_read(mem, &value));
		EXPECT_EQ(page_tag(TAG, page), value);
		munmap(mem, PAGE);
	}
	if (view->there[CONTROL])
		EXPECT_EQ(0, view_unmap(view->control, page * PAGE, PAGE));
	if (view->there[CONTROL] && view->there[MAPPING])
		EXPECT_EQ(SIGBUS, probe_read(view->mem + page * PAGE, &value));
}

/*
 * Catches: a view that dies with its control fd, or never; anything of it that
 * a mapping or a view fd still needs.
 */
TEST(any_order_of_closing)
{
	struct view view;
	struct klog klog;
	int i, part;

	ASSERT_EQ(0, klog_start(&klog));
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		ASSERT_EQ(0, open_view(&view));
		for (part = 0; part < PARTS; part++) {
			check_view(_metadata, &view, part);
			drop(&view, orders[i][part]);
		}
		EXPECT_TRUE(view_is_gone(view.memfd)) TH_LOG("order %d", i);
		close(view.memfd);
	}
	EXPECT_KLOG_CLEAN(&klog);
}

/* The same with what dup() and fork() make of the parts. */
TEST_F(lifetime, dup_and_fork)
{
	int control = dup(self->control), viewfd = dup(self->viewfd);
	uint64_t value;
	int status;
	pid_t pid;

	ASSERT_LE(0, control);
	ASSERT_LE(0, viewfd);
	close(self->control);
	close(self->viewfd);
	ASSERT_EQ(0, view_unmap(control, 0, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem, &value));

	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		/* The child controls the view while its parent keeps out. */
		_exit(view_unmap(control, PAGE, PAGE) ||
		      probe_read(self->mem + PAGE, &value) != SIGBUS ||
		      probe_read(self->mem + 2 * PAGE, &value));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE, &value));
	EXPECT_EQ(0, probe_read(self->mem + 2 * PAGE, &value));

	/* A child that keeps all of it alive, and is killed. */
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		pause();
		_exit(0);
	}
	close(control);
	close(viewfd);
	munmap(self->mem, SIZE);
	EXPECT_TRUE(view_is_there(self->memfd));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
}

static long map_in_client(void *arg)
{
	static char *mem;
	uint64_t value;

	if (!mem)
		mem = view_mmap(client_viewfd, SIZE, PROT_RW, 0);
	if (mem == MAP_FAILED)
		return -errno;
	return probe_read(mem + 3 * PAGE, &value);
}

/* Two processes; either may be the last. */
TEST_F(lifetime, controller_dies_first)
{
	struct client client;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, map_in_client, NULL, 0));
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	EXPECT_EQ(0, client_call(&client, map_in_client, NULL, 0));
	EXPECT_TRUE(view_is_there(self->memfd));
	EXPECT_EQ(SIGKILL, client_kill(&client));
}

TEST_F(lifetime, client_dies_first)
{
	struct client client;
	uint64_t value;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_call(&client, map_in_client, NULL, 0));
	EXPECT_EQ(SIGKILL, client_kill(&client));
	EXPECT_EQ(0, view_unmap(self->control, 3 * PAGE, PAGE));
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 3 * PAGE, &value));
	munmap(self->mem, SIZE);
	close(self->control);
	close(self->viewfd);
}

/* ---- Files on their way ---- */

/*
 * In a socket, with no one left to receive them: the last reference is
 * dropped where the socket's buffers are freed.
 */
TEST_F(lifetime, in_flight_when_both_ends_close)
{
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->viewfd));
	ASSERT_EQ(0, send_fd(pair[0], self->control));
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	EXPECT_TRUE(view_is_there(self->memfd));
	close(pair[0]);
	EXPECT_TRUE(view_is_there(self->memfd));
	close(pair[1]);
}

/* Received again, they are what they were. */
TEST_F(lifetime, in_flight_and_received)
{
	int pair[2], viewfd, control;
	uint64_t value;
	char *mem;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->viewfd));
	ASSERT_EQ(0, send_fd(pair[0], self->control));
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	viewfd = recv_fd(pair[1]);
	ASSERT_LE(0, viewfd);
	control = recv_fd(pair[1]);
	ASSERT_LE(0, control);
	mem = view_mmap(viewfd, SIZE, PROT_READ, 0);
	ASSERT_NE(MAP_FAILED, mem);
	EXPECT_EQ(0, probe_read(mem, &value));
	EXPECT_EQ(page_tag(TAG, 0), value);
	EXPECT_EQ(0, view_unmap(control, 0, SIZE));
	EXPECT_EQ(SIGBUS, probe_read(mem, &value));
	/* Without ranges the memfd is free already. */
	EXPECT_TRUE(view_is_gone(self->memfd));
	munmap(mem, SIZE);
	close(viewfd);
	close(control);
	close(pair[0]);
	close(pair[1]);
}

/*
 * A socket that holds a view fd and its own other end: a circle, which the
 * kernel's garbage collector has to open.
 */
TEST_F(lifetime, in_flight_in_a_circle)
{
	int pair[2], other[2], try;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], pair[1]));
	ASSERT_EQ(0, send_fd(pair[0], self->viewfd));
	ASSERT_EQ(0, send_fd(pair[1], pair[0]));
	ASSERT_EQ(0, send_fd(pair[1], self->control));
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	close(pair[0]);
	close(pair[1]);
	/* It runs when a socket is closed. */
	for (try = 0; try < 100 && view_is_there(self->memfd); try++) {
		ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, other));
		close(other[0]);
		close(other[1]);
		sleep_ms(10);
	}
}

/* ---- The device node ---- */

/* A node of the device on a tmpfs of its own, opened. */
static int open_private_node(const char *dir)
{
	char path[96];
	struct stat st;

	if (stat(MEMVIEW_DEV, &st) || mount("memview-test", dir, "tmpfs", 0, ""))
		return -errno;
	snprintf(path, sizeof(path), "%s/node", dir);
	if (mknod(path, S_IFCHR | 0600, st.st_rdev))
		return -errno;
	return open(path, O_RDWR | O_CLOEXEC);
}

/*
 * A view outlives the node that it was opened by, and the node's file system:
 * that can be unmounted as soon as the open has returned.
 *
 * Catches: a file that names the node's inode still, which is gone when the
 * control file is closed; whatever of the view has hold of that inode, and so
 * of the file system; a reference of the device that is put twice or never.
 */
TEST_F(lifetime, node_is_unlinked)
{
	char dir[] = "/tmp/memview-node-XXXXXX", path[96];
	int control, viewfd, lazy;
	uint64_t value;
	char *mem;

	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/node", dir);
	for (lazy = 0; lazy < 2; lazy++) {
		control = open_private_node(dir);
		ASSERT_LE(0, control);
		ASSERT_EQ(0, view_resize(control, SIZE));
		ASSERT_EQ(0, view_map(control, self->memfd, 0, SIZE, 0, MAP_RW));
		viewfd = view_get_fd(control);
		ASSERT_LE(0, viewfd);
		mem = view_mmap(viewfd, SIZE, PROT_READ, 0);
		ASSERT_NE(MAP_FAILED, mem);
		if (lazy)
			ASSERT_EQ(0, unlink(path));
		EXPECT_EQ(0, umount2(dir, lazy ? MNT_DETACH : 0));
		EXPECT_EQ(0, flock(control, LOCK_EX));
		EXPECT_EQ(0, view_unmap(control, 0, PAGE));
		close(control);
		close(viewfd);
		EXPECT_EQ(0, probe_read(mem + PAGE, &value));
		munmap(mem, SIZE);
	}
	EXPECT_EQ(0, rmdir(dir));
}

/* ---- Many ---- */

/* Catches: an object of a view that is not freed; an id used twice. */
TEST_F(lifetime, many_views)
{
	const unsigned int n = scaled(1000);
	struct rlimit limit = { 4096, 4096 };
	struct view_info info;
	uint64_t last_id = 0;
	int fd[1000], i, round;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < n; i++) {
			fd[i] = view_create(SIZE);
			ASSERT_LE(0, fd[i]);
			ASSERT_EQ(0, view_map(fd[i], self->memfd, 0, PAGE, 0,
					      MAP_RW));
			ASSERT_EQ(0, view_info(fd[i], &info));
			ASSERT_LT(last_id, info.id);
			last_id = info.id;
			if (round)
				ASSERT_EQ(0, close(fd[i]));
		}
		for (i = 0; i < n && !round; i++)
			ASSERT_EQ(0, close(fd[i]));
		EXPECT_TRUE(module_references_fall_to(self->references));
	}
}

/* Catches: a count of mappings that fork or exit miss. */
TEST_F(lifetime, many_forks)
{
	const unsigned int n = scaled(200);
	struct view_info info;
	int gate[2], touched[2], i, status;
	uint64_t value;
	pid_t pid[200];
	char byte = 0;

	ASSERT_EQ(0, pipe(gate));
	ASSERT_EQ(0, pipe(touched));
	for (i = 0; i < n; i++) {
		pid[i] = fork();
		ASSERT_LE(0, pid[i]);
		if (pid[i])
			continue;
		close(gate[1]);
		if (probe_read(self->mem + i % PAGES * PAGE, &value) ||
		    probe_write(self->mem + i % PAGES * PAGE + 8, 1))
			_exit(1);
		if (write(touched[1], &byte, 1) != 1 || read(gate[0], &byte, 1))
			_exit(2);
		_exit(probe_read(self->mem, &value) != SIGBUS);
	}
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(n + 1, info.mappings);
	/* A child that dies before it has touched its page ends the wait. */
	close(touched[1]);
	for (i = 0; i < n; i++)
		ASSERT_EQ(1, read(touched[0], &byte, 1));
	close(touched[0]);
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	close(gate[0]);
	close(gate[1]);
	for (i = 0; i < n; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(1, info.mappings);
	munmap(self->mem, SIZE);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(0, info.mappings);
	close(self->viewfd);
	close(self->control);
}

TEST_HARNESS_MAIN
