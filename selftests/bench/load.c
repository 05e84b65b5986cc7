// SPDX-License-Identifier: GPL-2.0
/*
 * load.c - what needs two CPUs and a real clock
 */
#include "bench.h"

/* ---- Taken back while another thread uses it ---- */

#define REVOKED (256 * KiB)

/* Any page of the window, again and again; some are gone for the moment. */
static void *use(void *arg)
{
	struct window *w = arg;
	uint64_t state = 1, page, value;

	for (;;) {
		page = random_next(&state) % (w->size / PAGE);
		probe_read(w->mem + page * PAGE, &value);
	}
	return NULL;
}

void load_start(struct window *w)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, use, w))
		fail("cannot start a thread");
	pthread_detach(thread);
}

static void run_revoke(const struct row *row, const struct way *way,
		       struct source *src)
{
	static struct samples s = { .limit = 6000000000 };
	uint64_t state = 2, offset, start;
	struct window w;
	char name[64];

	w = window_open(way, src->size);
	way->map(&w, 0, src->fd, 0, src->size);
	way->load(&w);
	while (samples_more(&s, row->rounds)) {
		offset = random_next(&state) % (src->size / REVOKED) * REVOKED;
		way->touch_span(&w, offset, REVOKED, false);
		start = clock_start();
		way->unmap(&w, offset, REVOKED);
		samples_add(&s, clock_stop(start));
		way->map(&w, offset, src->fd, offset, REVOKED);
	}
	snprintf(name, sizeof(name), "%s, median", row->name);
	emit_cost(name, src, way->name, samples_median(&s), "");
	snprintf(name, sizeof(name), "%s, 99.9 %%", row->name);
	emit_cost(name, src, way->name, samples_rank(&s, 999), "");
	/* The thread that uses the window ends with this process. */
}

/* ---- Two threads that fault ---- */

struct faulter {
	struct window *w;
	unsigned int first, n;
	pthread_barrier_t *barrier;
	uint64_t began, ended;
};

static void *fault_pages(void *arg)
{
	struct faulter *f = arg;

	pthread_barrier_wait(f->barrier);
	f->began = clock_start();
	f->w->way->touch_list(f->w, lone_pages + f->first, f->n, true);
	f->ended = clock_start();
	return NULL;
}

/*
 * All pages, shared by that many threads: how long it takes, from the first
 * fault to the last. Who waits for them may get the CPU when they have begun.
 */
static uint64_t fault_time(struct window *w, unsigned int nr_threads)
{
	struct faulter f[2];
	pthread_barrier_t barrier;
	pthread_t thread[2];
	uint64_t began = ~0UL, ended = 0;
	unsigned int i;

	window_forget(w);
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++) {
		f[i] = (struct faulter){
			.w = w,
			.first = i * LONE_PAGES / nr_threads,
			.n = LONE_PAGES / nr_threads,
			.barrier = &barrier,
		};
		if (pthread_create(&thread[i], NULL, fault_pages, &f[i]))
			fail("cannot start a thread");
	}
	for (i = 0; i < nr_threads; i++) {
		pthread_join(thread[i], NULL);
		if (f[i].began < began)
			began = f[i].began;
		if (f[i].ended > ended)
			ended = f[i].ended;
	}
	pthread_barrier_destroy(&barrier);
	return ended - began;
}

/* In turns, so that what else the machine does hits all alike. */
static void run_threads(const struct row *row, const struct way *way,
			struct source *src)
{
	const struct way *both[] = { &way_view, &way_mmap };
	static struct samples s[2][2] = { { { .limit = 4000000000 } } };
	double one, two;
	struct window w[2];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		w[i] = window_open(both[i], src->size);
		both[i]->map(&w[i], 0, src->fd, 0, src->size);
		both[i]->touch_list(&w[i], lone_pages, LONE_PAGES, true);
	}
	while (samples_more(&s[0][0], row->rounds))
		for (i = 0; i < 4; i++)
			samples_add(&s[i / 2][i % 2],
				    fault_time(&w[i / 2], i % 2 + 1));
	for (i = 0; i < 2; i++) {
		one = samples_lowest(&s[i][0]);
		two = samples_lowest(&s[i][1]);
		emit_cost("1 thread", src, both[i]->name, one / LONE_PAGES,
			  "/fault");
		emit_cost("2 threads", src, both[i]->name, two / LONE_PAGES,
			  "/fault");
		emit("speed-up by the second thread", src, both[i]->name,
		     one / two, "x");
	}
}

const struct row load_rows[] = {
	{
		.name = "revoke 256 KiB in use",
		.prepare = prepare_cached,
		.run = run_revoke,
		.size = 16 * MiB,
		.rounds = 600,
		.sources = ON_BOTH,
		.ways = BY_SPAN,
	},
	{
		.name = "faults",
		.prepare = prepare_lone,
		.run = run_threads,
		.rounds = 10,
		.sources = ON_MEMFD,
		.ways = ON(WAY_VIEW),
	},
	{},
};
