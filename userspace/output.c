// SPDX-License-Identifier: GPL-2.0
/*
 * output.c - the one writer
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "output.h"
#include "text.h"

bool out_json;

static void __attribute__((noreturn)) no_memory(void)
{
	exit(ctl_error(CTL_FAILED, NULL, "out of memory"));
}

static char *format(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

static char *format(const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		no_memory();
	return text;
}

/**
 * out_string - a string that others have chosen, as JSON can have it
 * @text: A path or a process's name: any bytes. Those that are not UTF-8 are
 *	replaced.
 */
struct json_object *out_string(const char *text)
{
	struct json_object *string;
	char *clean = NULL;
	size_t size, n;
	FILE *out;

	out = open_memstream(&clean, &size);
	if (!out)
		no_memory();
	for (; *text; text += n ?: 1) {
		n = text_length(text);
		if (n)
			fwrite(text, 1, n, out);
		else
			fputs("\ufffd", out);
	}
	if (fclose(out))
		no_memory();
	string = json_object_new_string_len(clean, size);
	free(clean);
	return string;
}

static char *format_text(const char *text)
{
	char *shown = text_show(text);

	if (!shown)
		no_memory();
	return shown;
}

/* In the largest unit that leaves a whole number. */
static char *format_size(uint64_t bytes)
{
	static const char *const units[] = { "B",   "KiB", "MiB",
					     "GiB", "TiB", "PiB" };
	unsigned int unit = 0;

	while (bytes && bytes % 1024 == 0 && unit < ARRAY_SIZE(units) - 1) {
		bytes /= 1024;
		unit++;
	}
	return format("%" PRIu64 " %s", bytes, units[unit]);
}

static char *format_ns(uint64_t ns)
{
	if (ns < 1000)
		return format("%" PRIu64 " ns", ns);
	if (ns < 1000000)
		return format("%.1f us", ns / 1e3);
	if (ns < 1000000000)
		return format("%.1f ms", ns / 1e6);
	return format("%.1f s", ns / 1e9);
}

static char *format_clock(uint64_t ns)
{
	time_t seconds = ns / 1000000000;
	char clock[16];
	struct tm tm;

	localtime_r(&seconds, &tm);
	strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
	return format("%s.%06" PRIu64, clock, ns % 1000000000 / 1000);
}

static char *format_array(struct json_object *array)
{
	size_t i, n = json_object_array_length(array);
	char *text = format("%s", n ? "" : "-"), *longer;

	for (i = 0; i < n; i++) {
		longer = format("%s%s%s", text, i ? "," : "",
				json_object_get_string(
					json_object_array_get_idx(array, i)));
		free(text);
		text = longer;
	}
	return text;
}

/**
 * out_format - a value as people see it
 * @value: The value, NULL for none.
 * @how: How.
 *
 * Return: A string, to be freed.
 */
char *out_format(struct json_object *value, enum out_format how)
{
	uint64_t number = json_object_get_uint64(value);

	if (!value)
		return format("-");
	if (json_object_is_type(value, json_type_array))
		return format_array(value);
	if (json_object_is_type(value, json_type_boolean))
		return format("%s", number ? "yes" : "no");
	switch (how) {
	case OUT_SIZE:
		return format_size(number);
	case OUT_HEX:
		return format("%#" PRIx64, number);
	case OUT_NS:
		return format_ns(number);
	case OUT_CLOCK:
		return format_clock(number);
	default:
		return format_text(json_object_get_string(value));
	}
}

static char *format_member(struct json_object *record,
			   const struct out_column *column)
{
	return out_format(json_object_object_get(record, column->key),
			  column->format);
}

/* Figures stand to the right, unless one of the column is missing. */
static bool is_right(struct json_object *rows, const struct out_column *column)
{
	struct json_object *value;
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		value = json_object_object_get(
			json_object_array_get_idx(rows, i), column->key);
		if (value && !json_object_is_type(value, json_type_int) &&
		    !json_object_is_type(value, json_type_double))
			return false;
	}
	return true;
}

/* The cells of a column, its title first; @cells is row by row. */
static void format_column(char **cells, size_t columns,
			  struct json_object *rows,
			  const struct out_column *column)
{
	size_t i, n = json_object_array_length(rows);

	*cells = format("%s", column->title);
	for (i = 0; i < n; i++)
		cells[(i + 1) * columns] = format_member(
			json_object_array_get_idx(rows, i), column);
}

/* Of the widest, in cells of the terminal. */
static size_t width_of(char **cells, size_t columns, size_t rows)
{
	size_t i, width, most = 0;

	for (i = 0; i < rows; i++) {
		width = text_width(cells[i * columns]);
		if (width > most)
			most = width;
	}
	return most;
}

/* By hand: to printf() a width is bytes. */
static void print_cell(const char *text, size_t width, bool right, bool last)
{
	int padding = width - text_width(text);

	if (right)
		printf("%*s%s%s", padding, "", text, last ? "\n" : "  ");
	else if (last)
		printf("%s\n", text);
	else
		printf("%s%*s  ", text, padding, "");
}

static void print_table(struct json_object *rows,
			const struct out_column *columns)
{
	size_t n = json_object_array_length(rows) + 1, nc = 0, c, i;
	char **cells;
	bool *right;
	size_t *width;

	while (columns[nc].key)
		nc++;
	cells = calloc(n * nc, sizeof(*cells));
	right = calloc(nc, sizeof(*right));
	width = calloc(nc, sizeof(*width));
	if (!cells || !right || !width)
		no_memory();
	for (c = 0; c < nc; c++) {
		format_column(&cells[c], nc, rows, &columns[c]);
		right[c] = is_right(rows, &columns[c]);
		width[c] = width_of(&cells[c], nc, n);
	}
	for (i = 0; i < n * nc; i++) {
		c = i % nc;
		print_cell(cells[i], width[c], right[c], c == nc - 1);
		free(cells[i]);
	}
	free(width);
	free(right);
	free(cells);
}

static void print_record(struct json_object *record,
			 const struct out_column *columns)
{
	int width = 0, c;
	char *cell;

	for (c = 0; columns[c].key; c++)
		if ((int)strlen(columns[c].title) > width)
			width = strlen(columns[c].title);
	for (c = 0; columns[c].key; c++) {
		cell = format_member(record, &columns[c]);
		printf("%-*s  %s\n", width, columns[c].title, cell);
		free(cell);
	}
}

static void print_json(struct json_object *tree, int flags)
{
	puts(json_object_to_json_string_ext(
		tree, flags | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void print_rows(struct json_object *rows,
		       const struct out_column *columns, const char *empty)
{
	if (json_object_array_length(rows))
		print_table(rows, columns);
	else
		puts(empty);
}

/**
 * out_table - records of one kind
 * @rows: An array of objects.
 * @columns: What people see of them.
 * @empty: What people read if there are none.
 */
void out_table(struct json_object *rows, const struct out_column *columns,
	       const char *empty)
{
	if (out_json)
		print_json(rows, JSON_C_TO_STRING_PRETTY);
	else
		print_rows(rows, columns, empty);
	json_object_put(rows);
	fflush(stdout);
}

/**
 * out_document - records and tables that belong together
 * @document: An object that has an object or array for each section.
 * @sections: What people see of it.
 */
void out_document(struct json_object *document,
		  const struct out_section *sections)
{
	const struct out_section *s;
	struct json_object *part;

	if (out_json)
		print_json(document, JSON_C_TO_STRING_PRETTY);
	for (s = sections; !out_json && s->key; s++) {
		part = json_object_object_get(document, s->key);
		if (s != sections)
			putchar('\n');
		if (s->title)
			printf("%s\n", s->title);
		if (json_object_is_type(part, json_type_array))
			print_rows(part, s->columns, s->empty);
		else
			print_record(part, s->columns);
	}
	json_object_put(document);
	fflush(stdout);
}

/* One record of many, in one line of JSON. */
void out_json_line(struct json_object *record)
{
	print_json(record, JSON_C_TO_STRING_PLAIN);
	json_object_put(record);
	fflush(stdout);
}

/**
 * out_record - one record, and the sentence that people read instead
 * @record: The record.
 * @format: Of the sentence, for printf().
 */
void out_record(struct json_object *record, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (out_json)
		print_json(record, JSON_C_TO_STRING_PLAIN);
	else
		vprintf(format, args);
	va_end(args);
	json_object_put(record);
	fflush(stdout);
}

/**
 * out_lost - tell that records are missing, among those there are
 * @member: Which member tells what a record is.
 * @count: How many are missing.
 * @what: Such as "events".
 */
void out_lost(const char *member, uint64_t count, const char *what)
{
	struct json_object *record;

	if (!out_json) {
		ctl_error(CTL_OK, NULL, "%" PRIu64 " %s lost", count, what);
		return;
	}
	record = json_object_new_object();
	put_string(record, member, "lost");
	put_u64(record, "count", count);
	out_json_line(record);
}
