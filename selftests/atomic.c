// SPDX-License-Identifier: GPL-2.0
/*
 * atomic.c - P5: a change takes effect entirely or not at all
 *
 * A fault sees the layout before a change or after it. Readers that run while
 * ranges are replaced must see one or the other, and never a signal.
 */
#include "memview_test.h"

#include <sched.h>
#include <stdatomic.h>

#define PAGES		16
#define SIZE		(PAGES * PAGE)
#define GENERATIONS	64 /* the source holds this many contents of the view */
#define FILE_ID		3

/* What readers report; shared with other processes. */
struct reader {
	_Atomic bool stop;
	_Atomic uint64_t reads;
	_Atomic uint64_t changes; /* how often a page was seen to be another */
	_Atomic int signal;
	_Atomic int wrong; /* values that no layout ever showed there */
	_Atomic int backwards; /* an older layout after a newer one */
};

FIXTURE(atomic)
{
	struct klog klog;
	struct reader *reader;
	int memfd;
	int control;
	int viewfd;
	char *mem;
};

FIXTURE_SETUP(atomic)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->reader = shared_alloc(sizeof(*self->reader));
	ASSERT_NE(NULL, self->reader);
	self->memfd = memfd_filled(GENERATIONS * SIZE, FILE_ID);
	ASSERT_LE(0, self->memfd);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
}

FIXTURE_TEARDOWN(atomic)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Generation g of the view is the pages from g * PAGES of the source. */
static int show_generation(FIXTURE_DATA(atomic) *self, unsigned int generation,
			   unsigned int page, unsigned int n)
{
	return view_map(self->control, self->memfd,
			(generation * PAGES + page) * PAGE, n * PAGE,
			page * PAGE, MAP_RW);
}

static void read_page(struct reader *reader, char *mem, unsigned int page, int *last)
{
	uint64_t word = 0;
	int generation;
	int sig = probe_read(mem + page * PAGE, &word);

	if (sig) {
		reader->signal = sig;
		return;
	}
	generation = (uint32_t)word / PAGES;
	if (word != page_tag(FILE_ID, generation * PAGES + page))
		reader->wrong++;
	if (generation < last[page])
		reader->backwards++;
	reader->changes += generation != last[page];
	last[page] = generation;
	reader->reads++;
}

/* On one CPU, or an old translation of another CPU might be met again. */
static void read_until_stopped(struct reader *reader, char *mem)
{
	int last[PAGES] = { 0 };
	unsigned int page;

	run_on_cpu(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	while (!reader->stop)
		for (page = 0; page < PAGES; page++)
			read_page(reader, mem, page, last);
}

struct reader_args {
	struct reader *reader;
	char *mem;
};

static void *reader_thread(void *arg)
{
	struct reader_args *args = arg;

	read_until_stopped(args->reader, args->mem);
	return NULL;
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

/* Until the reader has read some more, so that it is not left behind. */
static void let_read(struct reader *reader, uint64_t more)
{
	uint64_t target = reader->reads + more;

	while (reader->reads < target && !reader->signal && !reader->wrong)
		sched_yield();
}

static void expect_good_reads(struct __test_metadata *_metadata, struct reader *reader)
{
	EXPECT_EQ(0, reader->signal);
	EXPECT_EQ(0, reader->wrong);
	EXPECT_EQ(0, reader->backwards);
	EXPECT_LT(0, reader->changes);
}

/* All of it at once, generation after generation. */
static void replace_all(struct __test_metadata *_metadata, FIXTURE_DATA(atomic) *self)
{
	unsigned int generation;

	for (generation = 1; generation < GENERATIONS; generation++) {
		let_read(self->reader, generation % 2 ? PAGES : 1);
		ASSERT_EQ(0, show_generation(self, generation, 0, PAGES));
	}
	let_read(self->reader, PAGES);
	self->reader->stop = true;
}

TEST_F(atomic, replaced_under_a_thread)
{
	struct reader_args args = { self->reader, self->mem };
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, reader_thread, &args));
	replace_all(_metadata, self);
	ASSERT_EQ(0, pthread_join(thread, NULL));
	expect_good_reads(_metadata, self->reader);
}

TEST_F(atomic, replaced_under_another_process)
{
	struct client client;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	ASSERT_EQ(0, client_post(&client, reader_client, &self->reader, sizeof(self->reader)));
	replace_all(_metadata, self);
	EXPECT_EQ(0, client_result(&client, NULL, 0));
	EXPECT_EQ(0, client_stop(&client));
	expect_good_reads(_metadata, self->reader);
}

/* A request over parts of several ranges cuts those at its borders. */
TEST_F(atomic, replaced_in_pieces)
{
	struct reader_args args = { self->reader, self->mem };
	uint64_t seed = random_seed(), state = seed;
	unsigned int generation, piece, page, n;
	pthread_t thread;

	TH_LOG("MEMVIEW_TEST_SEED=%llu", (unsigned long long)seed);
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader_thread, &args));
	for (generation = 1; generation < GENERATIONS; generation++) {
		for (piece = 0; piece < 4; piece++) {
			page = random_next(&state) % PAGES;
			n = 1 + random_next(&state) % (PAGES - page);
			ASSERT_EQ(0, show_generation(self, generation, page, n));
			let_read(self->reader, 1);
		}
	}
	let_read(self->reader, PAGES);
	self->reader->stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	expect_good_reads(_metadata, self->reader);
}

/* What is not there when it is asked for again is never met half-changed. */
TEST_F(atomic, failing_requests_are_not_seen)
{
	struct reader_args args = { self->reader, self->mem };
	int pipes[2], i;
	pthread_t thread;

	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, pthread_create(&thread, NULL, reader_thread, &args));
	for (i = 0; i < 200; i++) {
		EXPECT_EQ(-EOPNOTSUPP, view_map(self->control, pipes[0], 0, SIZE, 0, MAP_R));
		EXPECT_EQ(-EINVAL, view_map(self->control, self->memfd, 0, SIZE + PAGE, 0, MAP_R));
		EXPECT_EQ(-EINVAL, view_unmap(self->control, 0, SIZE + PAGE));
		let_read(self->reader, 1);
	}
	self->reader->stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, self->reader->signal);
	EXPECT_EQ(0, self->reader->wrong);
	EXPECT_EQ(0, self->reader->changes);
}

/* When the call has returned, the new layout is all there is. */
TEST_F(atomic, in_effect_on_return)
{
	unsigned int generation, page;
	uint64_t word;

	for (generation = 1; generation < GENERATIONS; generation++) {
		ASSERT_EQ(0, show_generation(self, generation, 0, PAGES));
		for (page = 0; page < PAGES; page++) {
			ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
			ASSERT_EQ(page_tag(FILE_ID, generation * PAGES + page), word);
		}
	}
}

/* Gives the page back after each look, so that each look is a fault. */
static void *hammer_thread(void *arg)
{
	struct reader_args *args = arg;
	uint64_t word;
	int sig;

	while (!args->reader->stop) {
		sig = probe_read(args->mem, &word);
		if (sig)
			args->reader->signal = sig;
		args->reader->reads++;
		madvise(args->mem, PAGE, MADV_DONTNEED);
	}
	return NULL;
}

/*
 * Faults at any moment of a change. One that looked the page up before must
 * not put it into the page table after.
 */
TEST_F(atomic, faults_all_the_time)
{
	struct reader_args args = { self->reader, self->mem };
	unsigned int i, generation, stale = 0;
	pthread_t threads[3];
	uint64_t word;

	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, hammer_thread, &args));
	}
	for (i = 0; i < scaled(600) && !self->reader->signal; i++) {
		generation = i % GENERATIONS;
		ASSERT_EQ(0, show_generation(self, generation, 0, 1));
		ASSERT_EQ(0, probe_read(self->mem, &word));
		stale += word != page_tag(FILE_ID, generation * PAGES);
	}
	self->reader->stop = true;
	for (i = 0; i < ARRAY_SIZE(threads); i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
	}
	EXPECT_EQ(0, stale);
	EXPECT_EQ(0, self->reader->signal);
	EXPECT_LT(0, self->reader->reads);
}

struct changer {
	FIXTURE_DATA(atomic) *self;
	pthread_barrier_t *start;
	unsigned int generation;
	int err;
};

static void *changer_thread(void *arg)
{
	struct changer *changer = arg;

	pthread_barrier_wait(changer->start);
	changer->err = show_generation(changer->self, changer->generation, 0, PAGES);
	return NULL;
}

/* Two requests for the same span at a time: one of them is last, for all of it. */
TEST_F(atomic, two_at_a_time)
{
	pthread_barrier_t start;
	struct changer changers[2];
	pthread_t threads[2];
	unsigned int round, i, page, winner;
	uint64_t word;

	ASSERT_EQ(0, pthread_barrier_init(&start, NULL, 2));
	for (round = 0; round < scaled(100); round++) {
		for (i = 0; i < 2; i++) {
			changers[i] = (struct changer){ self, &start, 1 + i, 0 };
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, changer_thread,
						    &changers[i]));
		}
		for (i = 0; i < 2; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], NULL));
			ASSERT_EQ(0, changers[i].err);
		}
		ASSERT_EQ(0, probe_read(self->mem, &word));
		winner = (uint32_t)word / PAGES;
		ASSERT_TRUE(winner == 1 || winner == 2);
		for (page = 0; page < PAGES; page++) {
			ASSERT_EQ(0, probe_read(self->mem + page * PAGE, &word));
			ASSERT_EQ(page_tag(FILE_ID, winner * PAGES + page), word);
		}
	}
}

TEST_HARNESS_MAIN
