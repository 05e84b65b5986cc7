// SPDX-License-Identifier: GPL-2.0
/*
 * soak_lend.c - views of the soak test that go with their controller
 * (MEMVIEW_REVOKE_ON_CLOSE): a client of its own uses one until the controller
 * closes it, or is killed
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak_span.h"

#include <sched.h>

#define LENT_PAGES	8
#define LENT_SIZE	(LENT_PAGES * PAGE)

/* What the two of them share. */
struct lent {
	_Atomic int closing;
	pid_t controller;
};

/* A file whose pages stay: only a revoke makes an access to one fail. */
static struct soak_file *steady_file(void)
{
	unsigned int first = soak_below(SOAK_FILES), i;

	for (i = 0; i < SOAK_FILES; i++) {
		struct soak_file *file = &world->file[1 + (first + i) % SOAK_FILES];

		if (file->present && file->steady)
			return file;
	}
	return NULL;
}

/* 0 or the signal. */
static int touch(char *mem, unsigned int page, bool write)
{
	uint64_t ignored;

	if (!write)
		return probe_read(mem + page * PAGE, &ignored);
	return probe_write(mem + page * PAGE + SLOT_CHILD * 8, soak_random());
}

static bool controller_is_gone(const struct lent *lent)
{
	return atomic_load(&lent->closing) || getppid() != lent->controller;
}

/* Its files are closed before its children see that it is dead. */
static void await_controller(const struct lent *lent)
{
	uint64_t limit = now_ns() + soak_patience();

	while (!controller_is_gone(lent) && now_ns() < limit)
		sleep_ms(1);
	if (!controller_is_gone(lent))
		soak_fail("a view has gone before its controller");
}

/*
 * Its pages are there until the controller lets go, or dies, and not much
 * longer. A write may fail when the range has gone, and a read-only page table
 * entry has not yet; what cannot be read is gone for good.
 */
static void use_until_gone(const struct lent *lent, char *mem)
{
	bool gone[LENT_PAGES] = { false };
	unsigned int page, left = LENT_PAGES;
	uint64_t limit = 0;
	bool write;
	int sig;

	while (left && !atomic_load(&world->failed)) {
		page = soak_below(LENT_PAGES);
		write = soak_below(2);
		sig = touch(mem, page, write);
		if (sig && sig != SIGBUS)
			soak_fail("signal %d in a view that goes with its controller", sig);
		if (sig && left == LENT_PAGES)
			await_controller(lent);
		if (!sig && gone[page])
			soak_fail("page %u is back in a view whose controller is gone", page);
		if (!sig && limit && now_ns() > limit)
			soak_fail("a view is there long after its controller has closed it");
		if (!limit && controller_is_gone(lent))
			limit = now_ns() + soak_patience();
		left -= sig && !write && !gone[page];
		gone[page] |= sig && !write;
	}
}

/* An old translation of another CPU might be met again while the zap goes on. */
static void stay_on_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(soak_below(sysconf(_SC_NPROCESSORS_ONLN)), &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
}

static void __attribute__((noreturn)) lent_client(const struct lent *lent, int viewfd)
{
	char *mem = view_mmap(viewfd, LENT_SIZE, PROT_RW, 0);

	stay_on_one_cpu();
	/* The control fds, this one and those of other threads, are not this process's to keep. */
	if (mem == MAP_FAILED || syscall(SYS_close_range, 0, ~0U, 0)) {
		soak_fail("a client of a lent view: %m");
		_exit(1);
	}
	use_until_gone(lent, mem);
	_exit(0);
}

static int lend(int control, struct lent *lent)
{
	int viewfd = view_get_fd(control), status = 0;
	pid_t pid;

	if (viewfd < 0)
		return viewfd;
	lent->controller = getpid();
	pid = fork();
	if (!pid)
		lent_client(lent, viewfd);
	close(viewfd);
	if (pid < 0)
		return -errno;
	usleep(soak_below(20000));
	atomic_store(&lent->closing, 1);
	close(control);
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return status ? -ECHILD : 0;
}

void op_lend(void)
{
	struct soak_file *file = steady_file();
	struct log_entry *entry;
	uint64_t policy = atomic_load(&world->policy);
	struct lent *lent;
	int control, err;

	if (!file)
		return;
	lent = shared_alloc(sizeof(*lent));
	entry = log_begin(OP_LEND);
	entry->file = file - world->file;
	control = view_create(LENT_SIZE);
	err = view_map(control, file->src.fd, soak_below(file->pages - LENT_PAGES) * PAGE, LENT_SIZE, 0,
		       MAP_RW);
	if (!policy_fits(policy, err))
		soak_fail("thread %u: a view to lend: %d", self->index, err);
	else if (err)
		close(control);
	else
		err = view_set_flags(control, MEMVIEW_REVOKE_ON_CLOSE) ?: lend(control, lent);
	log_end(entry, err);
	if (err && err != POLICY_ERR)
		soak_fail("thread %u: a lent view: %d", self->index, err);
	munmap(lent, sizeof(*lent));
}
