// SPDX-License-Identifier: GPL-2.0
/*
 * soak_wait.c - how long the main process of the soak test waits for others,
 * what it does for those who get no CPU, and what it says of those who hang
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <sched.h>

/* Without a kernel that is fifty times slower. */
#define PATIENCE_NS	(90ULL * 1000000000)

static _Atomic uint64_t main_beats; /* it does something, and does not wait */

uint64_t soak_patience(void)
{
	return PATIENCE_NS * slowness();
}

bool soak_is_parked(const struct soak_thread *thread, uint64_t pause)
{
	return thread->role == DISTURBER || atomic_load(&thread->parked) == pause;
}

/*
 * Clients use all the CPU there is. Who gets it last then needs minutes for
 * what others do in some milliseconds: to come to rest, or to die.
 */
static void hurry_thread(const struct soak_thread *thread)
{
	sched_setscheduler(thread->tid, SCHED_OTHER, &(struct sched_param){ 0 });
}

void soak_hurry(uint64_t pause)
{
	const struct soak_thread *thread;

	for (thread = world->thread; thread < world->thread + world->threads; thread++)
		if (!soak_is_parked(thread, pause))
			hurry_thread(thread);
}

void soak_hurry_worker(const struct soak_worker *worker)
{
	unsigned int i;

	for (i = worker->first; i < worker->first + worker->n; i++)
		hurry_thread(&world->thread[i]);
}

/* ---- Who hangs, and where ---- */

/* One of the files that say what a thread does in the kernel. */
static void show_file(const char *directory, const char *file)
{
	char path[128], text[2048], *line, *rest = text;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	if (read_file(path, text, sizeof(text)) < 0)
		return;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			printf("#   %s: %s\n", file, line);
}

static void show_thread(const struct soak_worker *worker, unsigned int i)
{
	char directory[64];

	printf("# thread %u does not come to rest:\n", i);
	snprintf(directory, sizeof(directory), "/proc/%d/task/%d", worker->pid, world->thread[i].tid);
	show_file(directory, "stat");
	show_file(directory, "syscall");
	show_file(directory, "stack");
}

/* Who keeps the others waiting, and whether memory is what they wait for. */
static void show_hanging(uint64_t pause)
{
	const struct soak_worker *worker;
	unsigned int i;

	printf("# the main process:\n");
	show_file("/proc/self", "stat");
	show_file("/proc/self", "syscall");
	show_file("/proc/self", "stack");
	for (worker = world->worker; worker < world->worker + world->workers; worker++)
		for (i = worker->first; i < worker->first + worker->n; i++)
			if (worker->role == DISTURBER || !soak_is_parked(&world->thread[i], pause))
				show_thread(worker, i);
	if (!world->cgroup[0])
		return;
	show_file(world->cgroup, "memory.current");
	show_file(world->cgroup, "memory.high");
	show_file(world->cgroup, "memory.events");
}

/* ---- A wait ---- */

void soak_wait_begin(struct soak_wait *wait)
{
	*wait = (struct soak_wait){ .limit = now_ns() + soak_patience() };
}

bool soak_wait_more(struct soak_wait *wait, uint64_t pause)
{
	sleep_ms(1);
	if (++wait->ms == 500)
		soak_hurry(pause);
	if (now_ns() < wait->limit)
		return true;
	show_hanging(pause);
	return false;
}

/*
 * Is the main process itself at rest, in a wait that nobody ends? It has its
 * own limits, and is given some time to reach them.
 */
static void *watch_main(void *data)
{
	uint64_t last = 0, beat, limit = 0;

	for (;;) {
		beat = atomic_load(&main_beats);
		if (beat != last || !limit)
			limit = now_ns() + soak_patience() * 3 / 2;
		last = beat;
		if (world && now_ns() > limit) {
			show_hanging(SOAK_ALL);
			printf("# the main process hangs, see above; seed %#llx\nnot ok 1 soak\n",
			       (unsigned long long)world->seed);
			fflush(stdout);
			_exit(1);
		}
		sleep_ms(500);
	}
	return NULL;
}

int world_watch(void)
{
	pthread_t thread;

	return -pthread_create(&thread, NULL, watch_main, NULL);
}

void world_beat(void)
{
	atomic_fetch_add(&main_beats, 1);
}
