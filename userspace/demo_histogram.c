// SPDX-License-Identifier: GPL-2.0
/*
 * demo_histogram.c - durations as bars.
 */
#include <stdio.h>

#include "demo.h"

#define BAR_WIDTH 40
#define MAX_ROWS 32

/* A number with commas. Valid until the next call. */
const char *grouped(uint64_t number)
{
	static char text[32];
	char digits[24], *to = text;
	int nr = snprintf(digits, sizeof(digits), "%ju", (uintmax_t)number);

	for (int i = 0; i < nr; i++) {
		if (i && (nr - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return text;
}

static void print_bar(bool color, bool utf8, double share)
{
	static const char *const parts[] = { "",  "▏", "▎", "▍",
					     "▌", "▋", "▊", "▉" };
	unsigned int eighths = share * BAR_WIDTH * 8;

	if (!eighths)
		eighths = 1;
	if (color)
		printf("\033[36m");
	for (unsigned int i = 0; i < eighths / 8; i++)
		printf("%s", utf8 ? "█" : "#");
	if (utf8)
		printf("%s", parts[eighths % 8]);
	else if (eighths < 8)
		printf("#");
	if (color)
		printf("\033[0m");
}

/* "20 µs", "3 ms": for limits, which are round. Valid until the next call. */
static const char *limit_text(bool utf8, uint64_t us)
{
	static char text[32];

	if (us < 1000)
		snprintf(text, sizeof(text), "%3ju %s", (uintmax_t)us,
			 utf8 ? "µs" : "us");
	else if (us < 1000000)
		snprintf(text, sizeof(text), "%3ju ms", (uintmax_t)us / 1000);
	else
		snprintf(text, sizeof(text), "%3ju s", (uintmax_t)us / 1000000);
	return text;
}

/* Limits of the rows, microseconds: each decade is cut at these numbers. */
static void make_limits(uint64_t limits[MAX_ROWS], const unsigned int *cuts,
			unsigned int nr_cuts)
{
	uint64_t decade = 1;

	for (unsigned int row = 0; row < MAX_ROWS; row++) {
		limits[row] = decade * cuts[row % nr_cuts];
		if ((row + 1) % nr_cuts == 0)
			decade *= 10;
	}
}

/*
 * Bars for nr durations in nanoseconds, a row for each class; cuts are where
 * each decade is divided, such as 1, 2, 5.
 */
void print_histogram(bool color, bool utf8, const uint64_t *ns, unsigned int nr,
		     const unsigned int *cuts, unsigned int nr_cuts)
{
	unsigned int rows[MAX_ROWS] = {}, most = 1;
	unsigned int first = MAX_ROWS - 1, last = 0;
	uint64_t limits[MAX_ROWS];

	make_limits(limits, cuts, nr_cuts);
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int row = 0;

		while (row < MAX_ROWS - 1 && ns[i] >= limits[row] * 1000)
			row++;
		rows[row]++;
		most = rows[row] > most ? rows[row] : most;
		first = row < first ? row : first;
		last = row > last ? row : last;
	}
	for (unsigned int row = first; row <= last; row++) {
		printf("  below %s", limit_text(utf8, limits[row]));
		if (rows[row]) {
			printf("%*s", limits[row] < 1000000 ? 2 : 3, "");
			print_bar(color, utf8, (double)rows[row] / most);
			printf(" %u", rows[row]);
		}
		printf("\n");
	}
}
