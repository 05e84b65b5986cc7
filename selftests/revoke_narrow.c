// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_narrow.c - P1 when a page is narrowed from writable to read-only
 * while a write to it is on its way
 *
 * A write to a page that is present and read-only comes to the module, which
 * looks at the range, and makes the PTE writable. If meanwhile the controller
 * narrows the range, which removes the PTE, and another thread's read brings an
 * equal PTE back, the PTE does not tell. Here it happens by chance; in
 * revoke_frozen.c the file system holds the write half way.
 */
#include "revoke.h"

#include <sched.h>

FIXTURE(revoke_narrow)
{
	int control, viewfd;
	struct source file;
	struct face *own; /* the controller's mapping of the file */
	struct face *view;
	struct klog klog;
};

FIXTURE_VARIANT(revoke_narrow)
{
	enum source_kind kind;
};

SOURCE_VARIANTS(revoke_narrow);

FIXTURE_SETUP(revoke_narrow)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->file, variant->kind, PAGE);
	ASSERT_EQ(0, source_fill(&self->file, 1));
	self->own = mmap(NULL, PAGE, PROT_RW, MAP_SHARED, self->file.fd, 0);
	ASSERT_NE(MAP_FAILED, self->own);
	self->control = view_create(PAGE);
	ASSERT_LE(0, self->control);
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->view = view_mmap(self->viewfd, PAGE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->view);
}

FIXTURE_TEARDOWN(revoke_narrow)
{
	munmap(self->view, PAGE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->file);
	EXPECT_KLOG_CLEAN(&self->klog);
}

static int show(FIXTURE_DATA(revoke_narrow) *self, uint32_t flags)
{
	return view_map(self->control, self->file.fd, 0, PAGE, 0, flags);
}

struct upgrader {
	struct face *view;
	_Atomic int stop;
	_Atomic uint64_t reads, writes, refused;
};

/*
 * The reader wakes up every now and then and takes the CPU from the writer,
 * which loses it where the kernel gives way: before it sleeps for a lock.
 */
static void *upgrade_reader(void *arg)
{
	struct upgrader *u = arg;
	uint64_t value, end;

	run_on_cpu(0);
	while (!atomic_load(&u->stop)) {
		end = now_ns() + 300000;
		while (now_ns() < end)
			if (!probe_read(&u->view->slot, &value))
				atomic_fetch_add(&u->reads, 1);
		usleep(50);
	}
	return NULL;
}

/*
 * The writer's writes are upgrades: it reads before, and forgets after. Those
 * of a file in memory are if it has read before the range was widened.
 */
static void *upgrade_writer(void *arg)
{
	struct sched_param param = { 0 };
	struct upgrader *u = arg;
	uint64_t value;

	run_on_cpu(0);
	sched_setscheduler(0, SCHED_IDLE, &param);
	while (!atomic_load(&u->stop)) {
		probe_read(&u->view->slot, &value);
		if (probe_write(&u->view->slot, 1))
			atomic_fetch_add(&u->refused, 1);
		else
			atomic_fetch_add(&u->writes, 1);
		madvise(u->view, PAGE, MADV_DONTNEED);
	}
	return NULL;
}

/*
 * Catches: a write upgrade that looks at the range without what keeps a
 * narrowing, or the reader's fault, out until the PTE is writable.
 */
TEST_F(revoke_narrow, upgrade_against_read)
{
	bool in_memory = variant->kind <= SOURCE_TMPFS;
	struct upgrader u = { .view = self->view };
	uint64_t seed = random_seed(), marker = 0, end;
	unsigned int rounds = scaled(in_memory ? 400 : 100), round;
	pthread_t reader, writer;

	TH_LOG("seed %ju", (uintmax_t)seed);
	run_on_cpu(1);
	ASSERT_EQ(0, pthread_create(&reader, NULL, upgrade_reader, &u));
	ASSERT_EQ(0, pthread_create(&writer, NULL, upgrade_writer, &u));
	end = now_ns() + 20000000000ULL;
	/* On until the two have met; and no longer, on a machine where it takes long. */
	for (round = 0; !u.writes || !u.refused || (round < rounds && now_ns() < end); round++) {
		ASSERT_EQ(0, show(self, MAP_RW));
		usleep(random_next(&seed) % 1000);
		ASSERT_EQ(0, show(self, MAP_R));
		marker = MARKER | round;
		atomic_store(&self->own->slot, marker);
		/* Let a writer that is still on its way arrive. */
		usleep(700);
		ASSERT_EQ(marker, atomic_load(&self->own->slot))
			TH_LOG("P1: a write landed after its narrowing");
	}
	u.stop = 1;
	pthread_join(reader, NULL);
	pthread_join(writer, NULL);
	EXPECT_EQ(marker, atomic_load(&self->own->slot));
	EXPECT_LT(0, u.reads);
}

TEST_HARNESS_MAIN
