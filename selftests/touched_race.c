// SPDX-License-Identifier: GPL-2.0
/*
 * touched_race.c - P1 under race: the first touch of a range, while it goes
 *
 * A change takes a range away, and has no look at page tables if nobody has
 * touched it. In each round a fresh range is mapped, a client makes one access,
 * and the controller takes the range away, at about the same time: sooner if the
 * access got through in the last round, later if not, however busy the machine
 * is. When both are done there must be no PTE, or one of what came after.
 *
 * Catches: a fault that says too late that it makes a PTE; a change that asks too
 * early.
 */
#include "memview_test.h"

#include <linux/falloc.h>
#include <sched.h>
#include <stdatomic.h>

#define PAGES	8
#define SIZE	(PAGES * PAGE)
#define FILE_ID	11
#define ROUNDS	1000
#define SECONDS	2 /* at most, where each round takes long... */
#define PATIENCE 60 /* ...if the race took place */
#define PACE_MAX (1U << 20)

enum access { READ, WRITE, HOLE };
enum away { UNMAP, REPLACE, SHRINK, BATCH };

/* Between the controller and its client, both threads of the test. */
struct duel {
	char *mem;
	enum access access;
	_Atomic unsigned int round; /* the controller's */
	_Atomic unsigned int done; /* the client's */
	_Atomic bool stop;
	unsigned int page; /* what the client has accessed last... */
	uint64_t word; /* ...has read or written there... */
	bool refused; /* ...or not */
	unsigned int pace; /* about how long the controller waits */
	unsigned int before, after; /* accesses that came before the change, or not */
};

FIXTURE(touched_race)
{
	struct klog klog;
	struct source src, other;
	struct duel duel;
	int control;
	int pagemap;
	char *mem;
};

FIXTURE_VARIANT(touched_race)
{
	enum source_kind kind;
	enum access access;
};

#define VARIANT(source, kind_, name, access_)                  \
	FIXTURE_VARIANT_ADD(touched_race, source##_##name)     \
	{                                                      \
		.kind = kind_, .access = access_               \
	}
VARIANT(memfd, SOURCE_MEMFD, read, READ);
VARIANT(memfd, SOURCE_MEMFD, hole, HOLE);
VARIANT(ext4, SOURCE_EXT4, write, WRITE);

FIXTURE_SETUP(touched_race)
{
	int viewfd;

	ASSERT_EQ(0, klog_start(&self->klog));
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, SIZE);
	SOURCE_OPEN_OR_SKIP(&self->other, variant->kind, SIZE);
	ASSERT_EQ(0, source_fill(&self->src, FILE_ID));
	ASSERT_EQ(0, source_fill(&self->other, FILE_ID + 1));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	viewfd = view_get_fd(self->control);
	ASSERT_LE(0, viewfd);
	/* Alone, so that each access is a fault of its page. */
	self->mem = view_mmap_by_page(viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	close(viewfd);
	self->pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->pagemap);
	self->duel.mem = self->mem;
	self->duel.access = variant->access;
	self->duel.pace = 1024;
}

FIXTURE_TEARDOWN(touched_race)
{
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void on_cpu(unsigned int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

/* One access a round. */
static void *client_thread(void *arg)
{
	struct duel *duel = arg;
	uint64_t seed = random_seed();
	unsigned int round = 0;
	char *addr;

	on_cpu(1);
	while (!duel->stop) {
		if (duel->round == round) {
			sched_yield();
			continue;
		}
		round = duel->round;
		addr = duel->mem + duel->page * PAGE;
		duel->word = random_next(&seed);
		duel->refused = duel->access == WRITE ? probe_write(addr + 8, duel->word) :
							probe_read(addr, &duel->word);
		duel->done = round;
	}
	return NULL;
}

/* Did the access reach what was taken away? */
static bool came_before(FIXTURE_DATA(touched_race) *self)
{
	struct duel *duel = &self->duel;
	uint64_t word;

	if (duel->refused)
		return false;
	if (duel->access != WRITE)
		return duel->word != page_tag(FILE_ID + 1, duel->page);
	return !fd_read_u64(self->src.fd, duel->page * PAGE + 8, &word) && word == duel->word;
}

static void wait_a_while(const struct duel *duel, uint64_t r)
{
	unsigned int n = duel->pace / 2 + r % (duel->pace + 1);

	while (n--)
		__asm__ volatile("");
}

static void set_pace(FIXTURE_DATA(touched_race) *self)
{
	struct duel *duel = &self->duel;
	/* In long strides at first, until it is between the two. */
	unsigned int step = duel->pace / (duel->before && duel->after ? 8 : 2);

	if (came_before(self)) {
		duel->before++;
		duel->pace -= step;
	} else {
		duel->after++;
		duel->pace += step + 8;
	}
	if (duel->pace > PACE_MAX)
		duel->pace = PACE_MAX;
}

static int take_away(FIXTURE_DATA(touched_race) *self, enum away away)
{
	const struct memview_batch_op ops[] = {
		batch_unmap(0, 2 * PAGE),
		batch_unmap(2 * PAGE, PAGE),
		batch_unmap(3 * PAGE, SIZE - 3 * PAGE),
	};

	switch (away) {
	case UNMAP:
		return view_unmap(self->control, 0, SIZE);
	case REPLACE:
		return view_map(self->control, self->other.fd, 0, SIZE, 0, MAP_RW);
	case SHRINK:
		return view_resize(self->control, 0) ?: view_resize(self->control, SIZE);
	case BATCH:
		return view_batch(self->control, ops, ARRAY_SIZE(ops), NULL);
	}
	return -EINVAL;
}

/* Pages that have a PTE, but for those that show what they should. */
static unsigned int count_stale(FIXTURE_DATA(touched_race) *self, enum away away)
{
	uint64_t entries[PAGES], word;
	unsigned int i, stale = 0;

	if (pread(self->pagemap, entries, sizeof(entries),
		  (uintptr_t)self->mem / PAGE * sizeof(entries[0])) != sizeof(entries))
		abort();
	for (i = 0; i < PAGES; i++) {
		if (away != REPLACE)
			stale += entries[i] >> 63;
		else
			stale += probe_read(self->mem + i * PAGE, &word) ||
				 word != page_tag(FILE_ID + 1, i);
	}
	return stale;
}

/* How many pages were left, or a negative errno. */
static int run_round(FIXTURE_DATA(touched_race) *self, enum away away, uint64_t r)
{
	struct duel *duel = &self->duel;
	unsigned int stale;
	int err = view_unmap(self->control, 0, SIZE);

	if (!err && duel->access == HOLE && fallocate(self->src.fd,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE))
		err = -errno;
	/* Several, so that what goes is more than one range. */
	err = err ?: view_map(self->control, self->src.fd, 0, 2 * PAGE, 0, MAP_RW) ?:
		     view_map(self->control, self->src.fd, 2 * PAGE, SIZE - 2 * PAGE, 2 * PAGE,
			      MAP_RW);
	if (err)
		return err;
	duel->page = r % PAGES;
	duel->round++;
	wait_a_while(duel, r >> 8);
	err = take_away(self, away);
	if (err)
		return err;
	stale = count_stale(self, away);
	while (duel->done != duel->round)
		sched_yield();
	set_pace(self);
	return stale + count_stale(self, away);
}

static bool go_on(const struct duel *duel, unsigned int rounds, uint64_t start)
{
	uint64_t seconds = (now_ns() - start) / 1000000000;

	if (!duel->before || !duel->after)
		return seconds < PATIENCE;
	return rounds < scaled(ROUNDS) && seconds < SECONDS;
}

static void run(struct __test_metadata *_metadata, FIXTURE_DATA(touched_race) *self,
		enum away away)
{
	uint64_t seed = random_seed(), state = seed, start = now_ns();
	struct duel *duel = &self->duel;
	pthread_t thread;
	unsigned int i;
	int left = 0;

	TH_LOG("MEMVIEW_TEST_SEED=%llu", (unsigned long long)seed);
	ASSERT_EQ(0, pthread_create(&thread, NULL, client_thread, duel));
	on_cpu(0);
	for (i = 0; !left && go_on(duel, i, start); i++)
		left = run_round(self, away, random_next(&state));
	duel->stop = true;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	TH_LOG("%u accesses came before, %u after", duel->before, duel->after);
	EXPECT_EQ(0, left) TH_LOG("in round %u", i);
	EXPECT_LT(0, duel->before);
	EXPECT_LT(0, duel->after);
}

TEST_F(touched_race, unmapped)
{
	run(_metadata, self, UNMAP);
}

TEST_F(touched_race, replaced)
{
	run(_metadata, self, REPLACE);
}

TEST_F(touched_race, shrunk)
{
	run(_metadata, self, SHRINK);
}

TEST_F(touched_race, by_a_batch)
{
	run(_metadata, self, BATCH);
}

TEST_HARNESS_MAIN
