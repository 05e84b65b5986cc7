/* SPDX-License-Identifier: GPL-2.0 */
/*
 * reclaim.h - memory cgroups and the page cache, for the tests of P4
 */
#ifndef RECLAIM_H
#define RECLAIM_H

#include "memview_test.h"

struct cgroup {
	char path[128];
};

/*
 * A new memory cgroup. -ENODEV: there is no cgroup v2 with a memory controller.
 */
int cgroup_create(struct cgroup *cgroup);
/*
 * Set a limit. At memory.high its processes have to reclaim, as long as it
 * takes; at memory.max, which has no such patience with slow storage, they may
 * be killed.
 */
int cgroup_limit(const struct cgroup *cgroup, const char *file, uint64_t bytes);
/* Move the calling process into it. Safe in a client. */
int cgroup_enter(const struct cgroup *cgroup);
/* The number in a file such as memory.current, or behind @key in it. */
int cgroup_number(const struct cgroup *cgroup, const char *file, const char *key,
		  uint64_t *value);
/* What it has charged now. */
uint64_t cgroup_current(const struct cgroup *cgroup);
/* Its processes must be gone. */
void cgroup_destroy(struct cgroup *cgroup);

/* Write everything back and drop the page cache; 0 or a negative errno. */
int drop_caches(void);
/* Bytes. */
uint64_t meminfo(const char *key);
/* Is there swap, with @bytes free? */
bool has_swap(uint64_t bytes);

#define CGROUP_CREATE_OR_SKIP(cgroup)                                     \
	do {                                                              \
		int err_ = cgroup_create(cgroup);                         \
									  \
		if (err_ == -ENODEV)                                      \
			SKIP(return, "missing: cgroup v2 with memory");   \
		ASSERT_EQ(0, err_);                                       \
	} while (0)

#endif /* RECLAIM_H */
