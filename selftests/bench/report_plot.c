// SPDX-License-Identifier: GPL-2.0
/*
 * report_plot.c - cost against the number of ranges, drawn
 *
 * Ranges go to the right in powers of ten, instructions go up from zero.
 */
#include "report.h"

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTS 7 /* 1, 10... 1,000,000 ranges */

static const struct series {
	const char *what;
	const char *way;
	const char *colour;
	const char *mark;
} all_series[] = {
	{ "fault", "view", "#0b6e4f", "●" },
	{ "fault", "mmap", "#8fd3b6", "○" },
	{ "MAP", "view", "#b3001b", "■" },
	{ "MAP", "mmap", "#f2a6ad", "□" },
};

#define SERIES (sizeof(all_series) / sizeof(*all_series))

static unsigned int ranges_at(unsigned int point)
{
	return lround(pow(10, point));
}

/* 0 if it was not measured. */
static double value_at(const struct figures *f, const struct series *series,
		       unsigned int point)
{
	unsigned int n = ranges_at(point);
	const struct figure *figure;
	char row[64];

	snprintf(row, sizeof(row), "%s, %u range%s", series->what, n,
		 n == 1 ? "" : "s");
	for (figure = f->list; figure < f->list + f->n; figure++)
		if (figure_is_exact(figure) && !strcmp(figure->row, row) &&
		    !strcmp(figure->way, series->way))
			return figure->value;
	return 0;
}

static double highest(const struct figures *f)
{
	double high = 0;
	unsigned int s, point;

	for (s = 0; s < SERIES; s++)
		for (point = 0; point < POINTS; point++)
			high = fmax(high, value_at(f, &all_series[s], point));
	return high;
}

/* A round number of instructions that is not less. */
static double round_up(double value)
{
	double step = pow(10, floor(log10(value)));

	return ceil(value / step * 2) / 2 * step;
}

/* ---- In a terminal ---- */

#define HEIGHT 16
#define PITCH 10 /* columns from a power of ten to the next */

/* Each series has a column of its own at a power of ten: none hides another. */
static void print_line(const struct figures *f, double high, int line)
{
	unsigned int s, point;
	double value;

	for (point = 0; point < POINTS; point++) {
		for (s = 0; s < SERIES; s++) {
			value = value_at(f, &all_series[s], point);
			if (value > 0 && lround(value / high * HEIGHT) == line)
				printf("%s", all_series[s].mark);
			else
				printf(" ");
		}
		printf("%*s", (int)(PITCH - SERIES), "");
	}
	printf("\n");
}

void plot_print(const struct figures *f)
{
	double high = highest(f);
	unsigned int s, point;
	int line;

	if (high <= 0)
		return;
	high = round_up(high);
	printf("\ninstructions against ranges:");
	for (s = 0; s < SERIES; s++)
		printf("  %s %s, %s", all_series[s].mark, all_series[s].what,
		       all_series[s].way);
	printf("\n");
	for (line = HEIGHT; line >= 0; line--) {
		if (line % 4)
			printf("%8s │ ", "");
		else
			printf("%8.0f ┤ ", high * line / HEIGHT);
		print_line(f, high, line);
	}
	printf("%11s", "");
	for (point = 0; point < POINTS; point++)
		printf("%-*u", PITCH, ranges_at(point));
	printf("\n");
}

/* ---- As a picture ---- */

#define WIDE 720
#define TALL 440
#define LEFT 80
#define RIGHT 20
#define TOP 60
#define BOTTOM 60

static double x_of(unsigned int point)
{
	return LEFT + (double)point * (WIDE - LEFT - RIGHT) / (POINTS - 1);
}

static double y_of(double value, double high)
{
	return TALL - BOTTOM - value / high * (TALL - TOP - BOTTOM);
}

static void draw_axes(FILE *out, double high)
{
	unsigned int i;

	for (i = 0; i <= 4; i++) {
		double y = y_of(high * i / 4, high);

		fprintf(out,
			"<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ccc\"/>\n",
			LEFT, y, WIDE - RIGHT, y);
		fprintf(out,
			"<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.0f</text>\n",
			LEFT - 8, y + 4, high * i / 4);
	}
	for (i = 0; i < POINTS; i++)
		fprintf(out,
			"<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%u</text>\n",
			x_of(i), TALL - BOTTOM + 20, ranges_at(i));
	fprintf(out,
		"<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">ranges of the view, or VMAs</text>\n",
		(LEFT + WIDE - RIGHT) / 2, TALL - 16);
	fprintf(out,
		"<text x=\"%d\" y=\"24\" font-size=\"16\">Instructions of a fault and of a MAP</text>\n",
		LEFT);
}

static void draw_series(FILE *out, const struct figures *f, unsigned int s,
			double high)
{
	const struct series *series = &all_series[s];
	unsigned int point;
	double value;

	fprintf(out,
		"<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
		series->colour);
	for (point = 0; point < POINTS; point++) {
		value = value_at(f, series, point);
		if (value > 0)
			fprintf(out, "%.1f,%.1f ", x_of(point),
				y_of(value, high));
	}
	fprintf(out,
		"\"/>\n<text x=\"%d\" y=\"44\" fill=\"%s\">%s, %s</text>\n",
		LEFT + 150 * s, series->colour, series->what, series->way);
}

int plot_write(const struct figures *f, const char *path)
{
	double high = highest(f);
	unsigned int s;
	FILE *out;

	if (high <= 0)
		return 0;
	high = round_up(high);
	out = fopen(path, "w");
	if (!out) {
		warn("%s", path);
		return -1;
	}
	fprintf(out,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
		WIDE, TALL);
	draw_axes(out, high);
	for (s = 0; s < SERIES; s++)
		draw_series(out, f, s, high);
	fprintf(out, "</svg>\n");
	if (fclose(out)) {
		warn("%s", path);
		return -1;
	}
	return 0;
}
