// SPDX-License-Identifier: GPL-2.0
/*
 * tsc_khz - print the rate of the time-stamp counter in kHz
 *
 * For the kernels without ACPI: all that they could compare it with is the interval timer, and on a busy machine an emulated one is
 * too slow for that. They would then tell the time by their ticks, ten milliseconds each. Under emulation, as under KVM, a guest
 * reads the counter of the machine it runs on.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

/* The counter as it was at @ns, which is read before and after it: the narrowest of a few such pairs. */
static uint64_t read_at(int64_t *ns)
{
	int64_t narrowest = INT64_MAX;
	uint64_t ticks = 0;

	for (int i = 0; i < 10; i++) {
		int64_t before = now_ns();
		uint64_t here = __rdtsc();
		int64_t width = now_ns() - before;

		if (width < narrowest) {
			narrowest = width;
			*ns = before + width / 2;
			ticks = here;
		}
	}
	return ticks;
}

int main(void)
{
	struct timespec while_it_counts = {.tv_nsec = 50 * 1000 * 1000};
	int64_t from, to;
	uint64_t start = read_at(&from), end;

	nanosleep(&while_it_counts, NULL);
	end = read_at(&to);
	printf("%.0f\n", (end - start) * 1e6 / (to - from));
	return 0;
}
