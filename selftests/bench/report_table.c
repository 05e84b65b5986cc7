// SPDX-License-Identifier: GPL-2.0
/*
 * report_table.c - the figures for people: a row a line, the ways side by side
 */
#include "report.h"

#include <stdio.h>
#include <string.h>

#define ROW_WIDTH 34

/* 1234567 as "1,234,567", and a small figure with two digits. */
static const char *number(double value, char *buf, size_t len)
{
	char plain[32];
	size_t n, i, out = 0;

	if (value < 100) {
		snprintf(buf, len, "%.2f", value);
		return buf;
	}
	n = snprintf(plain, sizeof(plain), "%.0f", value);
	for (i = 0; i < n && out + 2 < len; i++) {
		if (i && (n - i) % 3 == 0)
			buf[out++] = ',';
		buf[out++] = plain[i];
	}
	buf[out] = '\0';
	return buf;
}

/* Another source, or the same by another clock, is another part of the table. */
static bool same_part(const struct figure *a, const struct figure *b)
{
	return !strcmp(a->source, b->source) &&
	       figure_is_exact(a) == figure_is_exact(b);
}

static void print_heading(const struct figure *view)
{
	char what[64];
	unsigned int i;

	snprintf(what, sizeof(what), "%s, %s", view->source,
		 figure_is_exact(view) ? "instructions" : "time");
	printf("\n%-*s %11s", ROW_WIDTH, what, "view");
	for (i = 0; i < COLUMNS; i++)
		printf(" %11s %6s", peers[i], "ratio");
	printf("\n");
}

/* What has no column, and what should be reached. */
static void print_notes(const struct figures *f, const struct figure *view)
{
	struct comparison c;
	unsigned int at = 0;
	char buf[32];

	while (compare_next(f, view, &at, &c)) {
		if (c.peer && at > COLUMNS)
			printf("  %s: %s, ratio %.2f", c.peer->way,
			       number(c.peer->value, buf, sizeof(buf)),
			       c.ratio);
		if (c.target)
			printf("  %s %g%s%s: %s",
			       c.target->at_least ? "at least" : "at most",
			       c.target->bound, c.peer ? " x " : "",
			       c.peer ? c.peer->way : "",
			       c.met ? "met" : "MISSED");
	}
}

static void print_row(const struct figures *f, const struct figure *view)
{
	struct comparison c;
	char line[256], buf[32];
	unsigned int i;
	size_t n;

	n = snprintf(line, sizeof(line), "%-*s %11s", ROW_WIDTH, view->row,
		     number(view->value, buf, sizeof(buf)));
	for (i = 0; i < COLUMNS; i++) {
		if (!compare(f, view, peers[i], &c))
			n += snprintf(line + n, sizeof(line) - n, " %11s %6s",
				      "", "");
		else
			n += snprintf(line + n, sizeof(line) - n, " %11s %6.2f",
				      number(c.peer->value, buf, sizeof(buf)),
				      c.ratio);
	}
	while (line[n - 1] == ' ')
		n--;
	printf("%.*s", (int)n, line);
	print_notes(f, view);
	printf("\n");
}

static void print_part(const struct figures *f, const struct figure *first)
{
	const struct figure *view;
	const char *unit = "";

	print_heading(first);
	for (view = first; view < f->list + f->n; view++) {
		if (!figure_is_view(view) || !same_part(view, first))
			continue;
		if (strcmp(unit, view->unit))
			printf("  [%s]\n", view->unit);
		unit = view->unit;
		print_row(f, view);
	}
}

void table_print(const struct figures *f)
{
	const struct figure *first, *before;

	for (first = f->list; first < f->list + f->n; first++) {
		if (!figure_is_view(first))
			continue;
		for (before = f->list; before < first; before++)
			if (figure_is_view(before) && same_part(before, first))
				break;
		if (before == first)
			print_part(f, first);
	}
}
