// SPDX-License-Identifier: GPL-2.0
/*
 * soak_world.c - the processes of the soak test: started, killed, stopped for
 * a comparison, and ended
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* The main process's own entry, after those of the workers. */
#define MAIN_THREAD	(SOAK_THREADS - 1)

bool soak_kind_off[SOURCE_KINDS];
static uint64_t references;

/* ---- Processes ---- */

static void thread_step(unsigned int n)
{
	switch (self->role) {
	case CONTROLLER:
		controller_step();
		break;
	case CLIENT:
		client_step();
		break;
	case KEEPER:
		keeper_step();
		break;
	default:
		disturber_step(n);
	}
}

struct thread_arg {
	struct soak_worker *worker;
	unsigned int n;
};

static void *thread_main(void *data)
{
	struct thread_arg arg = *(struct thread_arg *)data;

	free(data);
	self = &world->thread[arg.worker->first + arg.n];
	self->tid = gettid();
	/*
	 * Clients are many and never sleep: the others would do little. Who gets
	 * the CPU last is interrupted half way; see hurry().
	 */
	if (self->role != CLIENT)
		setpriority(PRIO_PROCESS, gettid(), -5);
	else if (!soak_below(6))
		sched_setscheduler(0, SCHED_IDLE | SCHED_RESET_ON_FORK, &(struct sched_param){ 0 });
	while (!atomic_load(&world->stop)) {
		soak_park();
		thread_step(arg.n);
	}
	return NULL;
}

static void __attribute__((noreturn)) worker_main(struct soak_worker *worker)
{
	pthread_t threads[SOAK_THREADS];
	struct thread_arg *arg;
	unsigned int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < worker->n; i++) {
		arg = malloc(sizeof(*arg));
		*arg = (struct thread_arg){ worker, i };
		if (pthread_create(&threads[i], NULL, thread_main, arg))
			_exit(1);
	}
	for (i = 0; i < worker->n; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static void worker_start(struct soak_worker *worker)
{
	struct soak_thread *thread;
	unsigned int i;
	pid_t pid;

	for (i = worker->first; i < worker->first + worker->n; i++) {
		thread = &world->thread[i];
		thread->role = worker->role;
		thread->index = i;
		thread->epoch++;
		thread->rng = world->seed + i * 0x10001 + thread->epoch * 0x100000001ULL;
		random_next(&thread->rng);
		atomic_store(&thread->parked, 0);
	}
	fflush(NULL);
	pid = fork();
	if (!pid)
		worker_main(worker);
	worker->pid = pid;
	if (pid < 0)
		soak_fail("fork: %m");
}

static void worker_add(enum role role, unsigned int n)
{
	struct soak_worker *worker = &world->worker[world->workers++];

	*worker = (struct soak_worker){ .role = role, .first = world->threads, .n = n };
	world->threads += n;
	worker_start(worker);
}

void world_kill(void)
{
	static const enum op ops[ROLES] = {
		[CONTROLLER] = OP_KILL_CONTROLLER,
		[CLIENT] = OP_KILL_CLIENT,
		[KEEPER] = OP_KILL_KEEPER,
	};
	struct soak_worker *worker = &world->worker[soak_below(world->workers)];
	struct log_entry *entry;
	struct soak_wait wait;
	int status;
	pid_t pid;

	if (worker->pid <= 0 || worker->role == DISTURBER || !op_enabled(ops[worker->role]))
		return;
	entry = log_begin(ops[worker->role]);
	entry->n = worker->first;
	kill(worker->pid, SIGKILL);
	soak_wait_begin(&wait);
	soak_hurry_worker(worker);
	while (!(pid = waitpid(worker->pid, &status, WNOHANG)) && soak_wait_more(&wait, SOAK_ALL))
		;
	if (pid != worker->pid)
		soak_fail("process of thread %u: killed, and does not end: %d", worker->first, pid);
	else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		soak_fail("process of thread %u had ended with status %#x", worker->first, status);
	else
		worker_start(worker);
	log_end(entry, 0);
}

/* Nobody ends by himself. */
void world_check(void)
{
	struct soak_worker *worker;
	int status;

	for (worker = world->worker; worker < world->worker + world->workers; worker++) {
		if (worker->pid <= 0 || waitpid(worker->pid, &status, WNOHANG) != worker->pid)
			continue;
		worker->pid = 0;
		if (!atomic_load(&world->stop) || status)
			soak_fail("process of thread %u ended with status %#x", worker->first, status);
	}
}

static void workers_end(void)
{
	uint64_t limit = now_ns() + (atomic_load(&world->failed) ? 5000000000ULL : soak_patience());
	struct soak_worker *worker;

	atomic_store(&world->stop, 1);
	soak_hurry(SOAK_ALL);
	for (worker = world->worker; worker < world->worker + world->workers; worker++) {
		while (worker->pid > 0 && now_ns() < limit) {
			sleep_ms(2);
			world_check();
		}
		if (worker->pid <= 0)
			continue;
		soak_fail("process of thread %u does not end", worker->first);
		kill(worker->pid, SIGKILL);
		waitpid(worker->pid, NULL, 0);
	}
}

/* ---- The world ---- */

static int view_open(struct soak_view *view)
{
	unsigned int i;

	for (i = 0; i < SOAK_REGIONS; i++)
		soak_mutex_init(&view->lock[i]);
	view->size = SOAK_SIZE;
	view->control = view_create(SOAK_SIZE);
	if (view->control < 0)
		return view->control;
	view->viewfd = view_get_fd(view->control);
	return view->viewfd < 0 ? view->viewfd : 0;
}

static uint64_t module_references(void)
{
	char text[32] = "";

	read_file("/sys/module/memview/refcnt", text, sizeof(text));
	return strtoull(text, NULL, 10);
}

static void main_thread(void)
{
	self = &world->thread[MAIN_THREAD];
	self->index = MAIN_THREAD;
	self->epoch = 1;
	self->rng = world->seed;
}

int world_open(uint64_t seed, uint64_t without)
{
	static const unsigned int widths[] = { 4, 24, SOAK_PAGES };
	unsigned int i;
	int err;

	references = module_references();
	world = shared_alloc(sizeof(*world));
	if (!world)
		return -ENOMEM;
	world->seed = seed;
	world->without = without;
	world->start = now_ns();
	main_thread();
	world->width = widths[soak_below(ARRAY_SIZE(widths))];
	soak_cgroup_enter();
	err = soak_files_open();
	for (i = 0; i < SOAK_VIEWS && !err; i++)
		err = view_open(&world->view[i]);
	if (err)
		return err;
	worker_add(CONTROLLER, 2);
	worker_add(CONTROLLER, 2);
	worker_add(CLIENT, 3);
	worker_add(CLIENT, 3);
	worker_add(CLIENT, 1);
	worker_add(KEEPER, 3);
	worker_add(DISTURBER, DISTURBERS);
	return 0;
}

/* ---- A stop, and a look ---- */

static bool all_parked(uint64_t pause)
{
	unsigned int i;

	for (i = 0; i < world->threads; i++)
		if (!soak_is_parked(&world->thread[i], pause))
			return false;
	return true;
}

void world_compare(void)
{
	uint64_t pause = atomic_fetch_add(&world->pause, 1) + 1;
	struct soak_wait wait;

	soak_wait_begin(&wait);
	while (!all_parked(pause) && !atomic_load(&world->stop)) {
		world_check();
		if (!soak_wait_more(&wait, pause))
			soak_fail("threads hang: see above, and what is not finished in the log");
	}
	if (!atomic_load(&world->stop))
		soak_compare();
	atomic_fetch_add(&world->pause, 1);
}

/* ---- The end ---- */

/* Processes that were killed may still be on their way out. */
static void check_references(void)
{
	unsigned int try;

	for (try = 0; module_references() != references && try < 1000; try++)
		sleep_ms(10);
	if (module_references() != references)
		soak_fail("the module has %ju references, and had %ju before",
			  (uintmax_t)module_references(), (uintmax_t)references);
}

void world_close(void)
{
	unsigned int i;

	workers_end();
	for (i = 0; i < SOAK_VIEWS; i++) {
		close(world->view[i].viewfd);
		close(world->view[i].control);
	}
	soak_files_close();
	check_references();
	soak_cgroup_leave();
}

void world_free(void)
{
	munmap(world, sizeof(*world));
	world = NULL;
}
