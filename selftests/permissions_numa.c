// SPDX-License-Identifier: GPL-2.0
/*
 * permissions_numa.c - P2 where NUMA balancing is on: it takes PTEs away to see
 * who uses a page, and gives them back with all that the VMA allows
 *
 * It is asked to scan an address space at every opportunity, and tells how often it
 * did.
 *
 * Catches: a VMA that NUMA balancing takes for one of those that it may scan.
 */
#include "permissions.h"

#define BALANCING	"/proc/sys/kernel/numa_balancing"
#define TUNING		"/sys/kernel/debug/sched/numa_balancing/"
#define SCANS		3

/* Exit statuses of the client, beside the number of an access that went wrong. */
#define NO_MEMORY	100
#define NOT_SCANNED	101

/* The smaller what is scanned at a time, the sooner comes the next: 1 s / (2560 MiB / size) at the soonest. */
static const char *const tuning[] = { "scan_delay_ms", "scan_period_min_ms", "scan_period_max_ms", "scan_size_mb" };

struct settings {
	char balancing[16];
	char tuning[ARRAY_SIZE(tuning)][16];
};

static int settings_save(struct settings *old)
{
	char path[96];
	unsigned int i;
	int err = read_file(BALANCING, old->balancing, sizeof(old->balancing));

	for (i = 0; i < ARRAY_SIZE(tuning) && err >= 0; i++) {
		snprintf(path, sizeof(path), TUNING "%s", tuning[i]);
		err = read_file(path, old->tuning[i], sizeof(old->tuning[i]));
	}
	return err < 0 ? err : 0;
}

static void settings_write(const char *balancing, const char *const values[])
{
	char path[96];
	unsigned int i;

	write_file(BALANCING, balancing);
	for (i = 0; i < ARRAY_SIZE(tuning); i++) {
		snprintf(path, sizeof(path), TUNING "%s", tuning[i]);
		write_file(path, values[i]);
	}
}

/* How often this address space was scanned, from its beginning to its end. */
static int scans(void)
{
	static char text[16384];
	char *at;
	int n = 0;

	if (read_file("/proc/self/sched", text, sizeof(text)) < 0)
		return -1;
	at = strstr(text, "mm->numa_scan_seq");
	return at && sscanf(at, "mm->numa_scan_seq : %d", &n) == 1 ? n : -1;
}

/* The time of the CPU is what counts. Once for a VMA to be noticed, then for it to be due. */
static bool is_scanned(uint64_t limit)
{
	int first = scans();

	while (scans() < first + SCANS)
		if (now_ns() > limit)
			return false;
	return true;
}

/* Page by page, so that each shows what the scan left of it. */
static int first_wrong(FIXTURE_DATA(permissions) *self, char *mem, uint32_t flags)
{
	enum access access;

	for (access = READ; access < ACCESSES; access++)
		if (probe_access(mem + access * PAGE, access) !=
		    expected_signal(self, PROT_RW | PROT_EXEC, flags, access))
			return access;
	return ACCESSES;
}

static int client(FIXTURE_DATA(permissions) *self, uint32_t flags)
{
	uint64_t limit = now_ns() + 30ULL * 1000000000 * slowness();
	char *mem = map_view(self, PROT_RW | PROT_EXEC);
	unsigned int page;
	uint64_t word;

	if (!mem)
		return NO_MEMORY;
	for (page = 0; page < PAGES; page++)
		probe_read(mem + page * PAGE, &word);
	return is_scanned(limit) ? first_wrong(self, mem, flags) : NOT_SCANNED;
}

TEST_F_TIMEOUT(permissions, numa_balancing, 300)
{
	static const char *const fast[] = { "1", "1", "2", "16" };
	const char *slow[ARRAY_SIZE(tuning)];
	struct settings old;
	unsigned int i;
	int status;
	pid_t pid;

	if (slowness() > 1 && variant->kind != SOURCE_MEMFD)
		SKIP(return, "a slow kernel: memfd is enough");
	if (settings_save(&old) || scans() < 0)
		SKIP(return, "missing: CONFIG_NUMA_BALANCING, or debugfs");
	for (i = 0; i < ARRAY_SIZE(tuning); i++)
		slow[i] = old.tuning[i];
	settings_write("1", fast);
	/* A new address space has the new delay. */
	pid = fork();
	if (!pid)
		_exit(client(self, variant->flags));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	settings_write(old.balancing, slow);
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_NE(NOT_SCANNED, WEXITSTATUS(status)) TH_LOG("nothing was scanned");
	EXPECT_EQ(ACCESSES, WEXITSTATUS(status)) TH_LOG("the first access that is wrong");
}

TEST_HARNESS_MAIN
