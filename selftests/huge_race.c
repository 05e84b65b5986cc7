// SPDX-License-Identifier: GPL-2.0
/*
 * huge_race.c - P1 and P2 where many touch a huge page for the first time while
 * it is taken away, in whole or in part
 *
 * A huge page is one entry where else a page table is. Whoever comes first says
 * which it is, and the others must do with that.
 */
#include "huge.h"

#include <stdatomic.h>

#define PIECES		2
#define SIZE		(PIECES * HUGE)
#define PAGES		(SIZE / PAGE)
#define TAG		1
#define THREADS		3

/* What a page of the view shows now. */
enum shown { SHOWN_RW, SHOWN_R, SHOWN_NOTHING };

struct race {
	char *mem;
	_Atomic bool stop;
	_Atomic unsigned long changes; /* odd: one is going on */
	_Atomic enum shown shown[PAGES];
	_Atomic unsigned long wrong, checked;
	bool drops; /* one of the threads drops what is mapped */
	bool tracks; /* writes are tracked: each is told to the source */
};

FIXTURE(huge_race)
{
	struct source src;
	struct race race;
	int control, viewfd;
	struct klog klog;
};

FIXTURE_VARIANT(huge_race)
{
	enum huge_kind kind;
	bool drops, tracks;
};

FIXTURE_VARIANT_ADD(huge_race, memfd) { .kind = HUGE_MEMFD };
FIXTURE_VARIANT_ADD(huge_race, memfd_dropped) { .kind = HUGE_MEMFD, .drops = true };
FIXTURE_VARIANT_ADD(huge_race, memfd_dropped_tracked) {
	.kind = HUGE_MEMFD, .drops = true, .tracks = true
};
FIXTURE_VARIANT_ADD(huge_race, xfs) { .kind = HUGE_XFS };

FIXTURE_SETUP(huge_race)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	OPEN_HUGE_OR_SKIP(&self->src, variant->kind, SIZE + HUGE, TAG);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW));
	self->viewfd = view_get_fd(self->control);
	ASSERT_LE(0, self->viewfd);
	self->race.mem = huge_room(SIZE, 0);
	ASSERT_NE(NULL, self->race.mem);
	self->race.drops = variant->drops;
	self->race.tracks = variant->tracks;
}

FIXTURE_TEARDOWN(huge_race)
{
	munmap(self->race.mem, SIZE);
	close(self->viewfd);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* The signal of an access where @shown says what is shown; -1: a wrong value. */
static int expected(enum shown shown, bool write)
{
	if (shown == SHOWN_NOTHING)
		return SIGBUS;
	return write && shown == SHOWN_R ? SIGSEGV : 0;
}

static int access_page(char *at, unsigned int page, bool write)
{
	uint64_t value;
	int sig;

	if (write)
		return probe_write(at + 8, page);
	sig = probe_read(at, &value);
	return !sig && value != page_tag(TAG, page) ? -1 : sig;
}

static void *touch(void *arg)
{
	struct race *race = arg;
	uint64_t random = random_seed() ^ (uintptr_t)&random;

	while (!atomic_load(&race->stop)) {
		unsigned int page = random_next(&random) % PAGES;
		bool write = random_next(&random) % 2;
		unsigned long before = atomic_load(&race->changes);
		enum shown shown = atomic_load(&race->shown[page]);
		int sig = access_page(race->mem + page * PAGE, page, write);

		if (sig == -1) {
			atomic_fetch_add(&race->wrong, 1);
		} else if (before % 2 == 0 && before == atomic_load(&race->changes)) {
			atomic_fetch_add(&race->checked, 1);
			if (sig != expected(shown, write))
				atomic_fetch_add(&race->wrong, 1);
		}
	}
	return NULL;
}

static void *drop(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop))
		madvise(race->mem, SIZE, MADV_DONTNEED);
	return NULL;
}

static void set_shown(struct race *race, unsigned int page, unsigned int n, enum shown shown)
{
	while (n--)
		atomic_store(&race->shown[page + n], shown);
}

/* A new mapping, in place of the last, so that there is no page table. */
static int map_anew(FIXTURE_DATA(huge_race) *self)
{
	void *mem = mmap(self->race.mem, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED, self->viewfd, 0);

	if (mem != self->race.mem)
		return -errno;
	return self->race.tracks ? write_file("/proc/self/clear_refs", "4") : 0;
}

/* Unmap or narrow some pages, see that they are, and give them back. */
static int change(FIXTURE_DATA(huge_race) *self, uint64_t *random)
{
	unsigned int n = random_next(random) % 4 ? 1 + random_next(random) % 9 : HUGE_PAGES;
	unsigned int page = random_next(random) % (PAGES - n + 1);
	enum shown shown = random_next(random) % 2 ? SHOWN_R : SHOWN_NOTHING;
	struct race *race = &self->race;
	char *at = race->mem + page * PAGE;
	int err;

	atomic_fetch_add(&race->changes, 1);
	if (shown == SHOWN_NOTHING)
		err = view_unmap(self->control, page * PAGE, n * PAGE);
	else
		err = view_map(self->control, self->src.fd, page * PAGE, n * PAGE, page * PAGE,
			       MAP_R);
	set_shown(race, page, n, shown);
	atomic_fetch_add(&race->changes, 1);
	if (err || access_page(at, page, true) != expected(shown, true) ||
	    access_page(at, page, false) != expected(shown, false) ||
	    access_page(at + (n - 1) * PAGE, page + n - 1, true) != expected(shown, true))
		return err ?: -EIO;
	sleep_ms(1);
	atomic_fetch_add(&race->changes, 1);
	err = view_map(self->control, self->src.fd, 0, SIZE, 0, MAP_RW);
	set_shown(race, page, n, SHOWN_RW);
	atomic_fetch_add(&race->changes, 1);
	return err;
}

TEST_F(huge_race, change)
{
	unsigned int round, rounds = scaled(250), huge = 0, i;
	struct race *race = &self->race;
	uint64_t random = random_seed();
	pthread_t threads[THREADS];

	ASSERT_EQ(0, map_anew(self));
	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    race->drops && i == 0 ? drop : touch, race));
	for (round = 0; round < rounds; round++) {
		ASSERT_EQ(0, map_anew(self));
		if (round % 2)
			sleep_ms(1);
		if (round % 8 == 1)
			huge += mapped_huge(race->mem, SIZE) / HUGE;
		ASSERT_EQ(0, change(self, &random)) TH_LOG("round %u", round);
	}
	atomic_store(&race->stop, true);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, race->wrong) TH_LOG("of %lu", race->checked);
	EXPECT_LT(0, race->checked);
	/* Whoever writes to a file system's first makes a page table. */
	if (variant->kind == HUGE_MEMFD && !variant->drops)
		EXPECT_LT(0, huge);
	TH_LOG("%lu accesses checked, %u huge pages seen", race->checked, huge);
}

TEST_HARNESS_MAIN
