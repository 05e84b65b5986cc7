// SPDX-License-Identifier: GPL-2.0
/*
 * policy_reentry.c - policies that call back while they are asked, also about
 * the view in question: no deadlock, and the right result
 */
#include "policy.h"

#include "reentry.skel.h"

#define SIZE		(8 * PAGE)
#define FILE_ID		3
#define DO_REVOKE	(1 << 0)
#define DO_WALK		(1 << 1)
#define DO_ACQUIRE	(1 << 2)
#define DO_REVOKE_ALL	(1 << 3)
#define DO_READ_USER	(1 << 4)

FIXTURE(reentry)
{
	struct klog klog;
	struct reentry *p;
	struct bpf_link *link;
	int memfd;
	int control;
	int viewfd;
	char *mem;
	struct model model;
};

FIXTURE_SETUP(reentry)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->p = reentry__open_and_load();
	ASSERT_NE(NULL, self->p);
	self->memfd = memfd_filled(SIZE, FILE_ID);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, model_init(&self->model, SIZE / PAGE));
	model_map(&self->model, 0, SIZE / PAGE, FILE_ID, 0, MAP_RW);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	ASSERT_EQ(0, policy_attach(self->p->maps.policy, &self->link));
}

FIXTURE_TEARDOWN(reentry)
{
	policy_detach(&self->link);
	reentry__destroy(self->p);
	model_free(&self->model);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The range that the request brings comes after what the policy took. */
TEST_F(reentry, map_fd_revokes_the_view)
{
	self->p->bss->in_map_fd = DO_REVOKE;
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 2 * PAGE, MAP_RW));
	EXPECT_EQ(0, self->p->bss->err);
	model_unmap(&self->model, 0, SIZE / PAGE);
	model_map(&self->model, 2, 1, FILE_ID, 0, MAP_RW);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	/*
	 * map_fd, and unmap_fd for what it took away. Since that was what the request
	 * was to replace, the request adds a page now: the policy is asked once more.
	 */
	EXPECT_EQ(4, self->p->bss->calls);
}

TEST_F(reentry, map_fd_revokes_and_refuses)
{
	self->p->bss->in_map_fd = DO_REVOKE;
	self->p->bss->offset = PAGE;
	self->p->bss->size = PAGE;
	self->p->bss->answer = EXPECT_POLICY_ERR;
	EXPECT_EQ(EXPECT_POLICY_ERR,
		  view_map(self->control, self->memfd, 0, PAGE, 0, MAP_RW));
	model_unmap(&self->model, 1, 1);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

TEST_F(reentry, get_viewfd_revokes_the_view)
{
	int fd;

	self->p->bss->in_get_viewfd = DO_REVOKE;
	fd = view_get_fd(self->control);
	ASSERT_LE(0, fd);
	EXPECT_EQ(view_id(self->control), view_id(fd));
	EXPECT_EQ(0, self->p->bss->err);
	model_unmap(&self->model, 0, SIZE / PAGE);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

/* mmap itself may not sleep, so not revoke; but what is told of its refusal may. */
TEST_F(reentry, mmap_refused_and_revoked)
{
	uint64_t word;

	self->p->bss->in_denied = DO_REVOKE;
	self->p->bss->offset = PAGE;
	self->p->bss->size = 2 * PAGE;
	self->p->data->answer_mmap = EXPECT_POLICY_ERR;
	EXPECT_EQ(MAP_FAILED, view_mmap(self->viewfd, SIZE, PROT_RW, 0));
	EXPECT_EQ(-EXPECT_POLICY_ERR, errno);
	EXPECT_EQ(0, self->p->bss->err);
	model_unmap(&self->model, 1, 2);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	EXPECT_EQ(SIGBUS, probe_read(self->mem + PAGE, &word));
}

TEST_F(reentry, walks)
{
	int other = view_create(SIZE);

	ASSERT_LE(0, other);
	ASSERT_EQ(0, view_map(other, self->memfd, 0, PAGE, PAGE, MAP_R));
	ASSERT_EQ(0, view_map(other, self->memfd, 0, PAGE, 4 * PAGE, MAP_R));
	self->p->bss->in_map_fd = DO_WALK | DO_ACQUIRE;
	ASSERT_EQ(0, view_map(other, self->memfd, 0, PAGE, 7 * PAGE, MAP_R));
	EXPECT_EQ(2, self->p->bss->views);
	EXPECT_EQ(3, self->p->bss->ranges);
	EXPECT_EQ(SIZE + 2 * PAGE, self->p->bss->bytes);
	EXPECT_EQ(0, self->p->bss->err);

	self->p->bss->in_unmap_fd = DO_WALK | DO_ACQUIRE;
	ASSERT_EQ(0, view_unmap(other, 0, SIZE));
	EXPECT_EQ(1, self->p->bss->ranges);
	EXPECT_EQ(0, self->p->bss->err);

	self->p->bss->in_mmap = DO_WALK | DO_ACQUIRE;
	self->p->bss->views = 0;
	self->p->bss->err = -1;
	ASSERT_NE(MAP_FAILED, view_mmap(self->viewfd, PAGE, PROT_READ, 0));
	EXPECT_EQ(2, self->p->bss->views);
	EXPECT_EQ(0, self->p->bss->err);

	self->p->bss->in_unmap_fd = 0;
	self->p->bss->in_get_viewfd = DO_WALK | DO_REVOKE_ALL;
	ASSERT_LE(0, view_get_fd(other));
	EXPECT_EQ(1, self->p->bss->ranges);
	model_unmap(&self->model, 0, SIZE / PAGE);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	close(other);
}

TEST_F(reentry, denied_revokes)
{
	self->p->bss->in_denied = DO_REVOKE_ALL | DO_WALK | DO_ACQUIRE;
	self->p->bss->answer = EXPECT_POLICY_ERR;
	EXPECT_EQ(EXPECT_POLICY_ERR,
		  view_map(self->control, self->memfd, 0, PAGE, 0, MAP_RW));
	EXPECT_EQ(0, self->p->bss->err);
	model_unmap(&self->model, 0, SIZE / PAGE);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	/* map_fd, denied, and unmap_fd for what the latter took away. */
	EXPECT_EQ(3, self->p->bss->calls);
}

/* ---- With others at work ---- */

struct client_job {
	unsigned int rounds;
};

/* Map, look, unmap: what there is to be seen is a page or a SIGBUS. */
static long client_maps(void *arg)
{
	struct client_job *job = arg;
	unsigned int i;
	uint64_t word;
	char *mem;

	for (i = 0; i < job->rounds; i++) {
		mem = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, client_viewfd, 0);
		if (mem == MAP_FAILED && errno == -EXPECT_POLICY_ERR)
			continue;
		if (mem == MAP_FAILED)
			return -errno;
		if (!probe_read(mem + PAGE, &word) && (word >> 32) != FILE_ID)
			return -EBADMSG;
		munmap(mem, SIZE);
	}
	return 0;
}

/*
 * Every fourth mapping is refused, and the view revoked inside of mmap_lock;
 * all others do it outside.
 */
TEST_F(reentry, everything_at_once)
{
	struct client_job job = { .rounds = scaled(2000) };
	const u32 all = DO_REVOKE | DO_WALK | DO_ACQUIRE;
	struct client clients[2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(clients); i++)
		ASSERT_EQ(0, client_start(&clients[i], self->viewfd));
	self->p->bss->in_map_fd = all;
	self->p->bss->in_get_viewfd = all;
	self->p->bss->in_mmap = DO_WALK | DO_ACQUIRE;
	self->p->bss->in_denied = all;
	self->p->data->answer_mmap = EXPECT_POLICY_ERR;
	self->p->data->mmap_refused_every = 4;
	self->p->bss->in_unmap_fd = DO_WALK | DO_ACQUIRE;
	for (i = 0; i < ARRAY_SIZE(clients); i++)
		ASSERT_EQ(0, client_post(&clients[i], client_maps, &job, sizeof(job)));
	for (i = 0; i < job.rounds; i++) {
		ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
		ASSERT_EQ(0, view_unmap(self->control, 0, PAGE));
		if (i % 16 == 0)
			close(view_get_fd(self->control));
	}
	for (i = 0; i < ARRAY_SIZE(clients); i++) {
		EXPECT_EQ(0, client_result(&clients[i], &job, sizeof(job)));
		client_stop(&clients[i]);
	}
}

/* ---- Where a program could hurt itself ---- */

/*
 * A client's mmap_lock is held while others are told that its mapping has been
 * refused; a program that reads the client's memory must not wait for it. In a
 * process of its own, for a deadlock cannot be helped otherwise.
 */
TEST_F(reentry, denied_reads_the_client)
{
	int status, i;
	pid_t pid;

	self->p->bss->in_denied = DO_READ_USER;
	self->p->bss->user = 4096; /* nothing is there */
	self->p->data->answer_mmap = EXPECT_POLICY_ERR;
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(view_mmap(self->viewfd, SIZE, PROT_READ, 0) != MAP_FAILED);
	for (i = 0; i < 600 && waitpid(pid, &status, WNOHANG) != pid; i++)
		sleep_ms(100);
	EXPECT_GT(600, i) TH_LOG("mmap() hangs");
	if (i == 600) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		return;
	}
	EXPECT_EQ(0, status);
	EXPECT_EQ(-EFAULT, self->p->bss->err);
}

TEST_HARNESS_MAIN
