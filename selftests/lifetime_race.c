// SPDX-License-Identifier: GPL-2.0
/*
 * lifetime_race.c - P9 under race: clients that are killed in their faults,
 * files that are closed while others use them
 */
#include "lifetime.h"

#include <stdatomic.h>
#include <sys/prctl.h>

#define PAGES		64
#define SIZE		(PAGES * PAGE)
#define TAG		1

FIXTURE(lifetime_race)
{
	struct source src;
	int control, viewfd;
	long references;
	struct klog klog;
};

FIXTURE_VARIANT(lifetime_race)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(lifetime_race, memfd) {
	.kind = SOURCE_MEMFD,
};

FIXTURE_VARIANT_ADD(lifetime_race, ext4) {
	.kind = SOURCE_EXT4,
};

FIXTURE_SETUP(lifetime_race)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->references = module_references();
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, TAG));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
}

FIXTURE_TEARDOWN(lifetime_race)
{
	if (variant->kind == SOURCE_MEMFD)
		EXPECT_TRUE(view_is_gone(self->src.fd));
	EXPECT_TRUE(module_references_fall_to(self->references));
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* ---- Clients that are killed ---- */

static void *fault_for_ever(void *arg)
{
	uint64_t seed = random_seed() + (uintptr_t)&seed, value, r;
	char *mem = arg;

	for (;;) {
		r = random_next(&seed);
		if (r >> 32 & 1)
			probe_write(mem + r % PAGES * PAGE + 8, r);
		else
			probe_read(mem + r % PAGES * PAGE, &value);
		/* Keep the faults coming. */
		if ((r >> 40) % 64 == 0)
			madvise(mem, SIZE, MADV_DONTNEED);
	}
	return NULL;
}

/* A process of three threads that do nothing but fault. */
static pid_t start_victim(int viewfd)
{
	pthread_t thread;
	char *mem;
	pid_t pid = fork();
	int i;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	for (i = 0; i < 2 && mem != MAP_FAILED; i++)
		pthread_create(&thread, NULL, fault_for_ever, mem);
	fault_for_ever(mem);
	_exit(1);
}

/*
 * Catches: a fault that loses its way when a fatal signal comes: a lock or a
 * reference that is not given back keeps the view, the module, or the next
 * change.
 */
TEST_F(lifetime_race, killed_in_faults)
{
	const int rounds = scaled(60);
	uint64_t seed = random_seed(), page;
	struct view_info info;
	int i, n, status;
	pid_t pid[2];

	TH_LOG("seed %ju", (uintmax_t)seed);
	for (i = 0; i < rounds; i++) {
		for (n = 0; n < 2; n++) {
			pid[n] = start_victim(self->viewfd);
			ASSERT_LE(0, pid[n]);
		}
		usleep(random_next(&seed) % 10000);
		for (n = 0; n < 8; n++) {
			page = random_next(&seed) % PAGES;
			ASSERT_EQ(0, view_map(self->control, self->src.fd,
					      page * PAGE, PAGE, page * PAGE,
					      n % 2 ? MAP_R : MAP_RW));
		}
		for (n = 0; n < 2; n++)
			ASSERT_EQ(0, kill(pid[n], SIGKILL));
		for (n = 0; n < 2; n++) {
			ASSERT_EQ(pid[n], waitpid(pid[n], &status, 0));
			ASSERT_EQ(SIGKILL, status);
		}
	}
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(0, info.mappings);
	EXPECT_LT(0, info.faults);
	close(self->viewfd);
	close(self->control);
}

/* ---- Files that are closed under others ---- */

struct closing {
	_Atomic int control, viewfd; /* -1 when closed */
	_Atomic int stop;
	_Atomic uint64_t uses;
	int srcfd;
};

static void *use_control(void *arg)
{
	struct closing *c = arg;
	int fd;

	while (!atomic_load(&c->stop)) {
		/* Any of these may find the number closed, or another file. */
		fd = atomic_load(&c->control);
		view_map(fd, c->srcfd, 0, SIZE, 0, MAP_RW);
		view_unmap(fd, PAGE, PAGE);
		view_resize(fd, SIZE / 2);
		view_resize(fd, SIZE);
		atomic_fetch_add(&c->uses, 1);
	}
	return NULL;
}

static void *use_viewfd(void *arg)
{
	struct closing *c = arg;
	uint64_t value;
	char *mem;

	while (!atomic_load(&c->stop)) {
		mem = view_mmap(atomic_load(&c->viewfd), SIZE, PROT_RW, 0);
		if (mem == MAP_FAILED)
			continue;
		probe_read(mem, &value);
		probe_write(mem + PAGE, 1);
		munmap(mem, SIZE);
		atomic_fetch_add(&c->uses, 1);
	}
	return NULL;
}

/*
 * One thread opens and closes, others use the same numbers meanwhile.
 *
 * Catches: something that a call uses after the file it came by is closed.
 */
TEST_F(lifetime_race, closed_while_used)
{
	struct closing c = {
		.control = self->control,
		.viewfd = self->viewfd,
		.srcfd = self->src.fd,
	};
	const uint64_t uses = scaled(600), end = now_ns() + 60000000000ULL;
	pthread_t thread[2];
	int i;

	ASSERT_EQ(0, pthread_create(&thread[0], NULL, use_control, &c));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, use_viewfd, &c));
	while (atomic_load(&c.uses) < uses && now_ns() < end) {
		close(c.viewfd);
		close(c.control);
		c.control = view_create(SIZE);
		ASSERT_LE(0, c.control);
		c.viewfd = view_get_fd(c.control);
		ASSERT_LE(0, c.viewfd);
		usleep(300);
	}
	c.stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	EXPECT_LT(0, c.uses);
	close(c.viewfd);
	close(c.control);
}

TEST_HARNESS_MAIN
