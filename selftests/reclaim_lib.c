// SPDX-License-Identifier: GPL-2.0
/*
 * reclaim_lib.c - memory cgroups and the page cache; reclaim.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "reclaim.h"

#define CGROUPS		"/sys/fs/cgroup"

int cgroup_create(struct cgroup *cgroup)
{
	if (write_file(CGROUPS "/cgroup.subtree_control", "+memory"))
		return -ENODEV;
	snprintf(cgroup->path, sizeof(cgroup->path), "%s/memview-test-XXXXXX",
		 CGROUPS);
	return mkdtemp(cgroup->path) ? 0 : -errno;
}

int cgroup_limit(const struct cgroup *cgroup, const char *file, uint64_t bytes)
{
	char path[192], text[32];

	snprintf(path, sizeof(path), "%s/%s", cgroup->path, file);
	snprintf(text, sizeof(text), "%ju", (uintmax_t)bytes);
	return write_file(path, text);
}

int cgroup_enter(const struct cgroup *cgroup)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup->path);
	return write_file(path, "0");
}

int cgroup_number(const struct cgroup *cgroup, const char *file, const char *key,
		  uint64_t *value)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", cgroup->path, file);
	return file_number(path, key, value);
}

uint64_t cgroup_current(const struct cgroup *cgroup)
{
	uint64_t value = 0;

	cgroup_number(cgroup, "memory.current", "", &value);
	return value;
}

void cgroup_destroy(struct cgroup *cgroup)
{
	int try;

	if (!cgroup->path[0])
		return;
	/* A process that was waited for may still be on its way out. */
	for (try = 0; rmdir(cgroup->path) && errno == EBUSY && try < 500; try++)
		sleep_ms(10);
	cgroup->path[0] = 0;
}

int drop_caches(void)
{
	sync();
	return write_file("/proc/sys/vm/drop_caches", "3");
}

uint64_t meminfo(const char *key)
{
	uint64_t kib = 0;

	file_number("/proc/meminfo", key, &kib);
	return kib * KiB;
}

bool has_swap(uint64_t bytes)
{
	return meminfo("SwapFree:") >= bytes;
}
