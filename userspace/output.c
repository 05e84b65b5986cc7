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

#include "output.h"

#define CELL_SIZE 320
#define COLUMNS_MAX 24

bool out_json;

/* In the largest unit that leaves a whole number. */
static void format_size(char *buf, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "B",   "KiB", "MiB",
					     "GiB", "TiB", "PiB" };
	unsigned int unit = 0;

	while (bytes && bytes % 1024 == 0 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, size, "%" PRIu64 " %s", bytes, units[unit]);
}

static void format_ns(char *buf, size_t size, uint64_t ns)
{
	if (ns < 1000)
		snprintf(buf, size, "%" PRIu64 " ns", ns);
	else if (ns < 1000000)
		snprintf(buf, size, "%.1f us", ns / 1e3);
	else if (ns < 1000000000)
		snprintf(buf, size, "%.1f ms", ns / 1e6);
	else
		snprintf(buf, size, "%.1f s", ns / 1e9);
}

static void format_clock(char *buf, size_t size, uint64_t ns)
{
	time_t seconds = ns / 1000000000;
	struct tm tm;
	size_t len;

	localtime_r(&seconds, &tm);
	len = strftime(buf, size, "%H:%M:%S", &tm);
	snprintf(buf + len, size - len, ".%06" PRIu64, ns % 1000000000 / 1000);
}

static void format_array(char *buf, size_t size, struct json_object *array)
{
	size_t i, len = 0;

	snprintf(buf, size, "-");
	for (i = 0; i < json_object_array_length(array) && len < size; i++)
		len += snprintf(buf + len, size - len, "%s%s", i ? "," : "",
				json_object_get_string(
					json_object_array_get_idx(array, i)));
}

/**
 * out_format_value - a value as people see it
 * @buf: Where to put it.
 * @size: Of @buf.
 * @value: The value, NULL for none.
 * @format: How.
 */
void out_format_value(char *buf, size_t size, struct json_object *value,
		      enum out_format format)
{
	uint64_t number = json_object_get_uint64(value);

	if (!value)
		snprintf(buf, size, "-");
	else if (json_object_is_type(value, json_type_array))
		format_array(buf, size, value);
	else if (json_object_is_type(value, json_type_boolean))
		snprintf(buf, size, "%s", number ? "yes" : "no");
	else if (format == OUT_SIZE)
		format_size(buf, size, number);
	else if (format == OUT_HEX)
		snprintf(buf, size, "%#" PRIx64, number);
	else if (format == OUT_NS)
		format_ns(buf, size, number);
	else if (format == OUT_CLOCK)
		format_clock(buf, size, number);
	else
		snprintf(buf, size, "%s", json_object_get_string(value));
}

static void format_member(char *buf, size_t size, struct json_object *record,
			  const struct out_column *column)
{
	out_format_value(buf, size, json_object_object_get(record, column->key),
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

static void print_cell(const char *text, int width, bool right, bool last)
{
	if (right)
		printf("%*s%s", width, text, last ? "\n" : "  ");
	else if (last)
		printf("%s\n", text);
	else
		printf("%-*s  ", width, text);
}

static void print_table(struct json_object *rows,
			const struct out_column *columns)
{
	size_t i, n = json_object_array_length(rows);
	bool right[COLUMNS_MAX];
	int width[COLUMNS_MAX];
	char cell[CELL_SIZE];
	int c, len;

	for (c = 0; columns[c].key && c < COLUMNS_MAX; c++) {
		width[c] = strlen(columns[c].title);
		right[c] = is_right(rows, &columns[c]);
		for (i = 0; i < n; i++) {
			format_member(cell, sizeof(cell),
				      json_object_array_get_idx(rows, i),
				      &columns[c]);
			len = strlen(cell);
			if (len > width[c])
				width[c] = len;
		}
	}
	for (c = 0; columns[c].key && c < COLUMNS_MAX; c++)
		print_cell(columns[c].title, width[c], right[c],
			   !columns[c + 1].key);
	for (i = 0; i < n; i++)
		for (c = 0; columns[c].key && c < COLUMNS_MAX; c++) {
			format_member(cell, sizeof(cell),
				      json_object_array_get_idx(rows, i),
				      &columns[c]);
			print_cell(cell, width[c], right[c],
				   !columns[c + 1].key);
		}
}

static void print_record(struct json_object *record,
			 const struct out_column *columns)
{
	char cell[CELL_SIZE];
	int width = 0, c;

	for (c = 0; columns[c].key; c++)
		if ((int)strlen(columns[c].title) > width)
			width = strlen(columns[c].title);
	for (c = 0; columns[c].key; c++) {
		format_member(cell, sizeof(cell), record, &columns[c]);
		printf("%-*s  %s\n", width, columns[c].title, cell);
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

/**
 * out_stream - one record of many, in one line
 * @record: The record. What it does not have is left out.
 * @columns: In their order; those with a title are printed as TITLE=VALUE.
 */
void out_stream(struct json_object *record, const struct out_column *columns)
{
	const char *space = "";
	char cell[CELL_SIZE];

	if (out_json)
		print_json(record, JSON_C_TO_STRING_PLAIN);
	for (; !out_json && columns->key; columns++) {
		if (!json_object_object_get(record, columns->key))
			continue;
		format_member(cell, sizeof(cell), record, columns);
		printf("%s%s%s%s", space, columns->title ?: "",
		       columns->title ? "=" : "", cell);
		space = " ";
	}
	if (!out_json)
		putchar('\n');
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
