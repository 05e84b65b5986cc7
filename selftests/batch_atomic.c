// SPDX-License-Identifier: GPL-2.0
/*
 * batch_atomic.c - P1, P5: no fault sees a part of a batch
 *
 * Two places far apart always change together, with a thousand others between
 * them, and each batch begins by taking everything away. A client that has no
 * PTE for either reads one place, then the other: both are faults, in that
 * order. If the first shows the new layout so does the second; none meets the
 * hole.
 *
 * Catches: entries that are stored one by one, a lock given up between them, and
 * a zap that is missing or comes before the last store.
 */
#include "memview_test.h"

#include <sched.h>
#include <stdatomic.h>

#define BETWEEN		1000
#define GENERATIONS	64 /* the source holds this many contents of a place */
#define FILE_ID		9
#define LOW		0UL
#define HIGH		(SIZE - PAGE)
#define SIZE		GiB

struct reader {
	_Atomic bool stop;
	_Atomic uint64_t rounds;
	_Atomic uint64_t changes; /* rounds in which a place was another one */
	_Atomic int signal;
	_Atomic int wrong;
	_Atomic int mixed; /* the second place was older than the first */
};

FIXTURE(batch_atomic)
{
	struct klog klog;
	struct reader *reader;
	struct memview_batch_op ops[BETWEEN + 3];
	int memfd;
	int control;
	int viewfd;
	char *mem;
};

/* Page g of the source is what both places show in generation g. */
static int show_generation(FIXTURE_DATA(batch_atomic) *self, unsigned int generation)
{
	uint64_t from = generation * PAGE;
	unsigned int i, nr = 0;

	self->ops[nr++] = batch_unmap(0, SIZE);
	self->ops[nr++] = batch_map(self->memfd, from, PAGE, LOW, MAP_RW);
	for (i = 0; i < BETWEEN; i++)
		self->ops[nr++] = batch_map(self->memfd, from, PAGE,
					    MiB + i * 16 * PAGE, MAP_RW);
	self->ops[nr++] = batch_map(self->memfd, from, PAGE, HIGH, MAP_RW);
	return view_batch(self->control, self->ops, nr, NULL);
}

FIXTURE_SETUP(batch_atomic)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->reader = shared_alloc(sizeof(*self->reader));
	ASSERT_NE(NULL, self->reader);
	self->memfd = memfd_filled(GENERATIONS * PAGE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, show_generation(self, 0));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(batch_atomic)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Which generation does a place show? -1 if it cannot be told. */
static int look(struct reader *reader, const char *at)
{
	uint64_t word = 0;
	int sig = probe_read(at, &word);

	if (sig) {
		reader->signal = sig;
		return -1;
	}
	if (word >> 32 != FILE_ID) {
		reader->wrong++;
		return -1;
	}
	return (uint32_t)word;
}

/* Without their PTEs, one place after the other. */
static void read_both(struct reader *reader, char *mem, const char *first, const char *second,
		      int *last)
{
	int one, two;

	madvise(mem + LOW, PAGE, MADV_DONTNEED);
	madvise(mem + HIGH, PAGE, MADV_DONTNEED);
	one = look(reader, first);
	two = look(reader, second);
	if (one < 0 || two < 0)
		return;
	reader->mixed += two < one;
	reader->changes += one != *last;
	*last = one;
	reader->rounds++;
}

static void read_until_stopped(struct reader *reader, char *mem)
{
	int last = 0;

	run_on_cpu(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	while (!reader->stop) {
		read_both(reader, mem, mem + LOW, mem + HIGH, &last);
		read_both(reader, mem, mem + HIGH, mem + LOW, &last);
	}
}

static long reader_client(void *arg)
{
	struct reader *reader = *(struct reader **)arg;
	char *mem = view_mmap(client_viewfd, SIZE, PROT_RW, 0);

	if (mem == MAP_FAILED)
		return -errno;
	read_until_stopped(reader, mem);
	return 0;
}

static bool is_fine(const struct reader *reader)
{
	return !reader->signal && !reader->wrong && !reader->mixed;
}

static void let_read(struct reader *reader, uint64_t more)
{
	uint64_t target = reader->rounds + more;

	while (reader->rounds < target && is_fine(reader))
		sched_yield();
}

static void expect_good_reads(struct __test_metadata *_metadata, struct reader *reader)
{
	EXPECT_EQ(0, reader->signal);
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(0, reader->mixed);
	EXPECT_LT(0, reader->changes);
}

/* Two CPUs: the controller changes on one, the client faults on the other. */
TEST_F(batch_atomic, two_places)
{
	struct client client;
	unsigned int i, generation;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_post(&client, reader_client, &self->reader, sizeof(self->reader)));
	run_on_cpu(0);
	let_read(self->reader, 10);
	/* Never backwards: a place that is older than another shows it. */
	for (i = 1; i < GENERATIONS && is_fine(self->reader); i++) {
		ASSERT_EQ(0, show_generation(self, i));
		let_read(self->reader, i % 4);
		/* For whoever asks after the call, the old ones are gone. */
		for (generation = 0; generation < 2; generation++) {
			EXPECT_EQ(i, look(self->reader, self->mem + LOW));
			EXPECT_EQ(i, look(self->reader, self->mem + HIGH));
		}
	}
	let_read(self->reader, 10);
	self->reader->stop = true;
	EXPECT_EQ(0, client_result(&client, NULL, 0));
	EXPECT_EQ(0, client_stop(&client));
	TH_LOG("%llu rounds, %llu changes", (unsigned long long)self->reader->rounds,
	       (unsigned long long)self->reader->changes);
	expect_good_reads(_metadata, self->reader);
}

struct toucher {
	struct reader *reader;
	char *mem;
};

/* Whatever is not in the page table is there again, by the layout of that moment. */
static void *touch_until_stopped(void *arg)
{
	struct toucher *toucher = arg;

	run_on_cpu(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	while (!toucher->reader->stop) {
		look(toucher->reader, toucher->mem + LOW);
		look(toucher->reader, toucher->mem + HIGH);
		toucher->reader->rounds++;
	}
	return NULL;
}

/* A fault between the store and the zap has the new page, and not the old one. */
TEST_F(batch_atomic, gone_on_return)
{
	struct toucher toucher = { self->reader, self->mem };
	pthread_t thread;
	unsigned int i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, touch_until_stopped, &toucher));
	run_on_cpu(0);
	for (i = 1; i < GENERATIONS; i++) {
		ASSERT_EQ(0, show_generation(self, i));
		ASSERT_EQ(i, look(self->reader, self->mem + LOW));
		ASSERT_EQ(i, look(self->reader, self->mem + HIGH));
		let_read(self->reader, 1);
	}
	self->reader->stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, self->reader->signal);
	EXPECT_EQ(0, self->reader->wrong);
	EXPECT_LT(GENERATIONS, self->reader->rounds);
}

/* A and B change places: never is one of them in both, or in none. */
TEST_F(batch_atomic, swapped)
{
	unsigned int i;

	for (i = 0; i < 2 * GENERATIONS; i++) {
		const struct memview_batch_op ops[] = {
			batch_map(self->memfd, (i % 2) * PAGE, PAGE, LOW, MAP_RW),
			batch_map(self->memfd, !(i % 2) * PAGE, PAGE, HIGH, MAP_RW),
		};

		ASSERT_EQ(0, view_batch(self->control, ops, 2, NULL));
		ASSERT_EQ(i % 2, look(self->reader, self->mem + LOW));
		ASSERT_EQ(!(i % 2), look(self->reader, self->mem + HIGH));
	}
}

/* What fails is not seen by anybody, not for a moment. */
TEST_F(batch_atomic, failing_batches_are_not_seen)
{
	struct client client;
	unsigned int i, nr = 0;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_post(&client, reader_client, &self->reader, sizeof(self->reader)));
	self->ops[nr++] = batch_unmap(0, SIZE);
	for (i = 0; i < 100; i++)
		self->ops[nr++] = batch_map(self->memfd, PAGE, PAGE, LOW + i * PAGE, MAP_RW);
	self->ops[nr++] = batch_map(client.sock, 0, PAGE, HIGH, MAP_RW);
	for (i = 0; i < 100 && is_fine(self->reader); i++) {
		ASSERT_EQ(-EOPNOTSUPP, view_batch(self->control, self->ops, nr, NULL));
		let_read(self->reader, 1);
	}
	self->reader->stop = true;
	EXPECT_EQ(0, client_result(&client, NULL, 0));
	EXPECT_EQ(0, client_stop(&client));
	EXPECT_EQ(0, self->reader->signal);
	EXPECT_EQ(0, self->reader->wrong);
	EXPECT_EQ(0, self->reader->changes);
	EXPECT_LT(0, self->reader->rounds);
}

struct changer {
	FIXTURE_DATA(batch_atomic) *self;
	pthread_barrier_t *start;
	unsigned int generation;
	int err;
};

static void *changer_thread(void *arg)
{
	struct changer *changer = arg;
	FIXTURE_DATA(batch_atomic) copy = *changer->self;

	pthread_barrier_wait(changer->start);
	changer->err = show_generation(&copy, changer->generation);
	return NULL;
}

/* Two batches at a time: one of them is last, at every place. */
TEST_F(batch_atomic, two_at_a_time)
{
	pthread_barrier_t start;
	struct changer changers[2];
	pthread_t threads[2];
	unsigned int round, i;
	int winner;

	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
	for (round = 0; round < scaled(30); round++) {
		for (i = 0; i < 2; i++) {
			changers[i] = (struct changer){ self, &start, 1 + i, 0 };
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, changer_thread,
						    &changers[i]));
		}
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
			ASSERT_EQ(0, changers[i].err);
		}
		winner = look(self->reader, self->mem + LOW);
		ASSERT_TRUE(winner == 1 || winner == 2);
		ASSERT_EQ(winner, look(self->reader, self->mem + HIGH));
		for (i = 0; i < BETWEEN; i += 50) {
			ASSERT_EQ(winner, look(self->reader, self->mem + MiB + i * 16 * PAGE));
		}
	}
}

TEST_HARNESS_MAIN
