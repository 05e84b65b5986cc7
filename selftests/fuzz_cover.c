// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_cover.c - what tells libFuzzer that an input is new
 *
 * With KCOV in the kernel: which blocks of the module were run. In any case,
 * and alone without KCOV: what each call came to, together with the call
 * before and the rough shape of the layout.
 */
#include "fuzz.h"

#include <inttypes.h>
#include <linux/kcov.h>

#define KCOV_WORDS	(1UL << 18)
#define BLOCKS		(1U << 15)
#define STATES		(1U << 14)

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t block_counters[BLOCKS];
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t state_counters[STATES];

static uint8_t ever_run[BLOCKS];
static int kcov = -1;
static uint64_t *trace; /* the number of words that follow it, then those */
static uint64_t text_start, text_end;
static uint32_t last_call;

/* Where the module's code is. */
static int find_module(void)
{
	char line[256];
	FILE *file = fopen("/proc/modules", "re");
	uint64_t size = 0;
	int found = 0;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "memview %" SCNu64 " %*s %*s %*s %" SCNx64, &size,
			       &text_start) == 2;
	if (file)
		fclose(file);
	text_end = text_start + size;
	return found ? 0 : -ENOENT;
}

static int open_kcov(void)
{
	int fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, KCOV_INIT_TRACE, KCOV_WORDS))
		goto fail;
	trace = mmap(NULL, KCOV_WORDS * sizeof(*trace), PROT_RW, MAP_SHARED, fd, 0);
	if (trace == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		goto fail;
	kcov = fd;
	return find_module();
fail:
	close(fd);
	return -EIO;
}

void cover_open(bool quiet)
{
	int err = open_kcov();

	if (quiet)
		return;
	if (err)
		printf("# coverage: results of calls and shapes of layouts (no KCOV: %s)\n",
		       strerror(-err));
	else
		printf("# coverage: KCOV of the module, and results of calls and shapes of layouts\n");
}

static void count(uint8_t *counters, uint32_t which)
{
	if (counters[which] < 255)
		counters[which]++;
}

void cover_start(void)
{
	last_call = 0;
	if (kcov >= 0)
		__atomic_store_n(&trace[0], 0, __ATOMIC_RELAXED);
}

/* The buffer does not last for a whole input: all of the kernel writes to it. */
static void count_blocks(void)
{
	uint64_t i, n;
	uint32_t block;

	if (kcov < 0)
		return;
	n = __atomic_load_n(&trace[0], __ATOMIC_RELAXED);
	for (i = 1; i <= n; i++) {
		if (trace[i] < text_start || trace[i] >= text_end)
			continue;
		block = (trace[i] - text_start) / 4 % BLOCKS;
		count(block_counters, block);
		ever_run[block] = 1;
	}
	__atomic_store_n(&trace[0], 0, __ATOMIC_RELAXED);
}

/* In rough words, or nearly every input is new. */
static uint32_t shape(void)
{
	unsigned int ranges = 0, views = 0, maps = 0, i;

	for (i = 0; i < FUZZ_VIEWS; i++) {
		ranges += fuzz_views[i].n;
		views += fuzz_views[i].control >= 0;
	}
	for (i = 0; i < FUZZ_MAPS; i++)
		maps += !!fuzz_maps[i].addr;
	ranges = ranges > 7 ? 4 : ranges > 3 ? 3 : ranges > 2 ? 2 : ranges;
	return (ranges * 4 + views) * 2 + (maps != 0);
}

void cover_call(unsigned int call, int err)
{
	uint32_t what = call * 199 + (uint32_t)err;

	state_counters[what * 2654435761U % (STATES / 4)] = 1;
	state_counters[STATES / 4 + (what * 31 + last_call) * 2654435761U % (STATES / 4)] = 1;
	state_counters[STATES / 2 + (what * 61 + shape()) * 2654435761U % (STATES / 2)] = 1;
	last_call = call;
	count_blocks();
}

unsigned int cover_blocks(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < BLOCKS; i++)
		n += ever_run[i];
	return n;
}
