// SPDX-License-Identifier: GPL-2.0
/*
 * soak_disturb.c - what the rest of a machine does to memory: reclaim,
 * compaction, splitting of huge pages; and policies that come and go
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include "reclaim.h"

#define SPLIT_HUGE_PAGES	"/sys/kernel/debug/split_huge_pages"

int soak_cgroup_enter(void)
{
	struct cgroup cgroup;
	int err = cgroup_create(&cgroup);

	if (!err)
		err = cgroup_enter(&cgroup);
	if (!err)
		snprintf(world->cgroup, sizeof(world->cgroup), "%s", cgroup.path);
	return err;
}

/* Back to where everything began. */
void soak_cgroup_leave(void)
{
	struct cgroup cgroup;

	if (!world->cgroup[0])
		return;
	memcpy(cgroup.path, world->cgroup, sizeof(cgroup.path));
	write_file("/sys/fs/cgroup/cgroup.procs", "0");
	cgroup_destroy(&cgroup);
}

static int cgroup_write(const char *file, uint64_t bytes)
{
	struct cgroup cgroup;

	if (!world->cgroup[0])
		return -ENODEV;
	memcpy(cgroup.path, world->cgroup, sizeof(cgroup.path));
	return cgroup_limit(&cgroup, file, bytes);
}

/* A limit below what is in use, for a moment: who is above it sleeps in each system call. */
static int pressure(void)
{
	struct cgroup cgroup;
	uint64_t limit;
	int err;

	memcpy(cgroup.path, world->cgroup, sizeof(cgroup.path));
	limit = cgroup_current(&cgroup) / 8 * (6 + soak_below(2));
	err = cgroup_write("memory.high", limit > 6 * MiB ? limit : 6 * MiB);
	if (!err)
		sleep_ms(5 + soak_below(20));
	return cgroup_write("memory.high", ~0ULL >> 1) ?: err;
}

/* All that can be had is often less than that. */
static int reclaim(void)
{
	int err = cgroup_write("memory.reclaim", (1 + soak_below(16)) * MiB);

	return err == -EAGAIN ? 0 : err;
}

static int disturb(enum op op)
{
	switch (op) {
	case OP_PRESSURE:
		return pressure();
	case OP_RECLAIM:
		return reclaim();
	case OP_COMPACT:
		return write_file("/proc/sys/vm/compact_memory", "1");
	case OP_SPLIT:
		return write_file(SPLIT_HUGE_PAGES, "1");
	case OP_DROP_CACHES:
		return write_file("/proc/sys/vm/drop_caches", "3");
	case OP_POLICY:
		return policy_round(1 + soak_below(30));
	default:
		return delay_round(500 + soak_below(2000));
	}
}

void disturber_step(unsigned int n)
{
	enum op op = OP_PRESSURE + n;
	uint64_t start = now_ns(), rest = 100 + soak_below(400);
	struct log_entry *entry;

	if (op_enabled(op)) {
		entry = log_begin(op);
		log_end(entry, disturb(op));
	}
	/* Not more than a small part of the machine; what only waits takes none. */
	if (op != OP_DELAY)
		rest += (now_ns() - start) / 1000000 * 8;
	while (rest && !atomic_load(&world->stop)) {
		uint64_t ms = rest < 20 ? rest : 20;

		sleep_ms(ms);
		rest -= ms;
	}
}
