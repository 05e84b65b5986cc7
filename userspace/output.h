/* SPDX-License-Identifier: GPL-2.0 */
/*
 * output.h - the one writer: what a command has to say is a tree, printed as
 * JSON for programs, or by columns for people
 */
#ifndef MEMVIEW_OUTPUT_H
#define MEMVIEW_OUTPUT_H

#include <json-c/json.h>
#include <stdbool.h>

extern bool out_json;

/**
 * enum out_format - how people see a value
 * @OUT_PLAIN: As it is.
 * @OUT_SIZE: Bytes, in the largest unit that says it exactly.
 * @OUT_HEX: Hexadecimal.
 * @OUT_NS: Nanoseconds, in a fitting unit.
 * @OUT_CLOCK: Nanoseconds since 1970, as the time of day.
 */
enum out_format {
	OUT_PLAIN,
	OUT_SIZE,
	OUT_HEX,
	OUT_NS,
	OUT_CLOCK,
};

/**
 * struct out_column - a member of a record
 * @key: Its name in JSON.
 * @title: Its name for people. A table ends with a column without key.
 * @format: Of the value.
 */
struct out_column {
	const char *key;
	const char *title;
	enum out_format format;
};

/**
 * struct out_section - a member of a document that is a record or a table
 * @key: Its name in JSON. The last section has none.
 * @title: For people; NULL for none.
 * @columns: Of its records.
 * @empty: What people read instead of a table without rows.
 */
struct out_section {
	const char *key;
	const char *title;
	const struct out_column *columns;
	const char *empty;
};

/* All of these take over the reference of what they print. */
void out_table(struct json_object *rows, const struct out_column *columns,
	       const char *empty);
void out_document(struct json_object *document,
		  const struct out_section *sections);
void out_json_line(struct json_object *record);
void out_record(struct json_object *record, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void out_lost(const char *member, uint64_t count, const char *what);

char *out_format(struct json_object *value, enum out_format how);
struct json_object *out_string(const char *text);

static inline void put_u64(struct json_object *record, const char *key,
			   uint64_t value)
{
	json_object_object_add(record, key, json_object_new_uint64(value));
}

static inline void put_string(struct json_object *record, const char *key,
			      const char *value)
{
	json_object_object_add(record, key, out_string(value));
}

static inline void put_bool(struct json_object *record, const char *key,
			    bool value)
{
	json_object_object_add(record, key, json_object_new_boolean(value));
}

#endif /* MEMVIEW_OUTPUT_H */
