// SPDX-License-Identifier: GPL-2.0
/*
 * report_table.c - the figures for people: a row a line, the ways side by side
 */
#include "report.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

#define ROW_WIDTH 38

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

static void print_heading(const struct figure *view)
{
	unsigned int i;

	printf("\n%-*s %12s", ROW_WIDTH, view->source, "view");
	for (i = 0; i < sizeof(peers) / sizeof(*peers); i++)
		printf(" %12s %6s", peers[i], "ratio");
	printf("  target\n");
}

static void print_target(const struct comparison *c)
{
	const struct target *t = c->target;

	printf("  %s %g%s%s: %s", t->at_least ? ">=" : "<=", t->bound, c->peer ? " x " : "",
	       c->peer ? c->peer->way : "", c->met ? "met" : "MISSED");
}

static void print_row(const struct figures *f, const struct figure *view)
{
	struct comparison c;
	unsigned int i, at = 0;
	char buf[32];

	printf("%-*s %12s", ROW_WIDTH, view->row, number(view->value, buf, sizeof(buf)));
	for (i = 0; i < sizeof(peers) / sizeof(*peers); i++) {
		if (compare(f, view, peers[i], &c))
			printf(" %12s %6.2f", number(c.peer->value, buf, sizeof(buf)), c.ratio);
		else
			printf(" %12s %6s", "", "");
	}
	while (compare_next(f, view, &at, &c))
		if (c.target)
			print_target(&c);
	printf("\n");
}

void table_print(const struct figures *f)
{
	const struct figure *view, *last = NULL;
	const char *const sources[] = { "memfd", "ext4" };
	unsigned int s;

	for (s = 0; s < sizeof(sources) / sizeof(*sources); s++) {
		last = NULL;
		for (view = f->list; view < f->list + f->n; view++) {
			if (!figure_is_view(view) || strcmp(view->source, sources[s]))
				continue;
			if (!last)
				print_heading(view);
			if (!last || strcmp(last->unit, view->unit))
				printf("  [%s]\n", view->unit);
			print_row(f, view);
			last = view;
		}
	}
}
