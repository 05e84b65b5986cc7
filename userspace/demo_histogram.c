// SPDX-License-Identifier: GPL-2.0
/*
 * demo_histogram.c - durations as bars.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "demo.h"

#define BAR_WIDTH 40
#define MAX_ROWS 32
#define MAX_SLOTS 64

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

/* Columns on the screen: UTF-8 has bytes that only continue a character. */
static unsigned int text_width(const char *text)
{
	unsigned int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

/**
 * struct bar - a row of a histogram
 */
struct bar {
	char label[32];
	uint64_t count;
};

static void print_bars(bool color, bool utf8, const struct bar *bars,
		       unsigned int nr)
{
	unsigned int width = 0;
	uint64_t most = 1;

	for (unsigned int i = 0; i < nr; i++) {
		unsigned int own = text_width(bars[i].label);

		width = own > width ? own : width;
		most = bars[i].count > most ? bars[i].count : most;
	}
	for (unsigned int i = 0; i < nr; i++) {
		printf("  %s", bars[i].label);
		if (bars[i].count) {
			printf("%*s", width - text_width(bars[i].label) + 2,
			       "");
			print_bar(color, utf8, (double)bars[i].count / most);
			printf(" %s", grouped(bars[i].count));
		}
		printf("\n");
	}
}

/* "below  20 µs", "below   3 ms": a limit in so many digits. */
static void label_bar(struct bar *bar, bool utf8, int digits, int decimals,
		      double us)
{
	static const char *const units[] = { "µs", "ms", "s" };
	unsigned int unit = 0;

	while (us >= 1000 && unit + 1 < ARRAY_SIZE(units)) {
		us /= 1000;
		unit++;
	}
	snprintf(bar->label, sizeof(bar->label), "below %*.*f %s", digits,
		 decimals, us, unit || utf8 ? units[unit] : "us");
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
	unsigned int first = MAX_ROWS - 1, last = 0;
	struct bar bars[MAX_ROWS] = {};
	uint64_t limits[MAX_ROWS];

	if (!nr)
		return;
	make_limits(limits, cuts, nr_cuts);
	for (unsigned int row = 0; row < MAX_ROWS; row++)
		label_bar(&bars[row], utf8, 3, 0, limits[row]);
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int row = 0;

		while (row < MAX_ROWS - 1 && ns[i] >= limits[row] * 1000)
			row++;
		bars[row].count++;
		first = row < first ? row : first;
		last = row > last ? row : last;
	}
	print_bars(color, utf8, bars + first, last - first + 1);
}

/* Bars for the slots of a histogram that memviewctl has made. */
static void print_slots(bool color, bool utf8, struct json_object *slots)
{
	size_t nr = slots ? json_object_array_length(slots) : 0;
	struct bar bars[MAX_SLOTS] = {};

	if (nr > MAX_SLOTS)
		nr = MAX_SLOTS;
	for (size_t i = 0; i < nr; i++) {
		struct json_object *slot = json_object_array_get_idx(slots, i);
		struct json_object *below;

		bars[i].count = json_object_get_uint64(
			json_object_object_get(slot, "count"));
		if (json_object_object_get_ex(slot, "below_ns", &below))
			label_bar(&bars[i], utf8, 5, 1,
				  json_object_get_uint64(below) / 1e3);
		else
			snprintf(bars[i].label, sizeof(bars[i].label),
				 "above that");
	}
	print_bars(color, utf8, bars, nr);
}

static const char *member(struct json_object *object, const char *name)
{
	const char *text =
		json_object_get_string(json_object_object_get(object, name));

	return text ? text : "?";
}

static uint64_t number(struct json_object *object, const char *name)
{
	return json_object_get_uint64(json_object_object_get(object, name));
}

/* A histogram of a view, as memviewctl hist has made it. */
void print_measured(bool color, bool utf8, struct json_object *hist)
{
	bool fault = !strcmp(member(hist, "kind"), "fault");

	printf("\n%s%s by duration%s, as memviewctl hist has them for view "
	       "%s: %s",
	       color ? "\033[1m" : "", fault ? "Faults" : "Zaps",
	       color ? "\033[0m" : "", member(hist, "view"),
	       grouped(number(hist, "count")));
	if (fault)
		printf(", of which %s failed", grouped(number(hist, "errors")));
	printf("\n");
	print_slots(color, utf8, json_object_object_get(hist, "slots"));
}
