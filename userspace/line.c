// SPDX-License-Identifier: GPL-2.0
/*
 * line.c - records that come by the thousand: a line each, without a tree
 *
 * While events come faster than they are written, they are lost. So this makes
 * no objects, and no system call for a line.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl.h"
#include "line.h"
#include "text.h"

#define BUFFER_SIZE (1 << 16)

/* Nothing is written of this record yet. */
static bool is_first;

/* line_start - lines are to come */
void line_start(void)
{
	static char buffer[BUFFER_SIZE];

	fflush(stdout);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
}

static void put(const char *text)
{
	fputs_unlocked(text, stdout);
}

void line_begin(void)
{
	if (out_json)
		putc_unlocked('{', stdout);
	is_first = true;
}

void line_end(void)
{
	put(out_json ? "}\n" : "\n");
}

/**
 * line_flush - hand over the lines that there are
 *
 * Return: false if they cannot be written.
 */
bool line_flush(void)
{
	return !fflush(stdout) && !ferror(stdout);
}

/* Return: whether the value of the member is wanted. */
static bool begin_member(const char *key, const char *title)
{
	if (!out_json && title && !*title)
		return false;
	if (!is_first)
		putc_unlocked(out_json ? ',' : ' ', stdout);
	is_first = false;
	if (out_json) {
		putc_unlocked('"', stdout);
		put(key);
		put("\":");
	} else if (title) {
		put(title);
		putc_unlocked('=', stdout);
	}
	return true;
}

static void put_digits(uint64_t value, unsigned int base)
{
	static const char digits[] = "0123456789abcdef";
	char text[24], *at = text + sizeof(text);

	*--at = 0;
	do
		*--at = digits[value % base];
	while (value /= base);
	put(at);
}

/* The time of day. Most events come in the same second as the one before. */
static void put_clock(uint64_t ns)
{
	static char clock[16];
	static time_t last = -1;
	time_t seconds = ns / 1000000000;
	struct tm tm;

	if (seconds != last) {
		localtime_r(&seconds, &tm);
		strftime(clock, sizeof(clock), "%H:%M:%S.", &tm);
		last = seconds;
	}
	put(clock);
	/* With zeros in front: six digits. */
	for (ns = ns % 1000000000 / 1000, seconds = 100000; seconds;
	     ns %= seconds, seconds /= 10)
		putc_unlocked('0' + ns / seconds, stdout);
}

/**
 * line_number - a member that is a number
 * @key: Its name in JSON.
 * @title: Its name for people.
 * @how: OUT_PLAIN, OUT_HEX or OUT_CLOCK; for people.
 * @value: The number.
 */
void line_number(const char *key, const char *title, enum out_format how,
		 uint64_t value)
{
	if (!begin_member(key, title))
		return;
	if (!out_json && how == OUT_CLOCK) {
		put_clock(value);
	} else if (!out_json && how == OUT_HEX && value) {
		put("0x");
		put_digits(value, 16);
	} else {
		put_digits(value, 10);
	}
}

/* line_int - a member that may be negative */
void line_int(const char *key, const char *title, int64_t value)
{
	if (!begin_member(key, title))
		return;
	if (value < 0)
		putc_unlocked('-', stdout);
	put_digits(value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

/* line_bool - a member that is true or false */
void line_bool(const char *key, const char *title, bool value)
{
	if (!begin_member(key, title))
		return;
	if (out_json)
		put(value ? "true" : "false");
	else
		put(value ? "yes" : "no");
}

/* Of a string: what JSON cannot have as it is, and bytes that are no UTF-8. */
static void put_json(const char *text)
{
	size_t n;

	putc_unlocked('"', stdout);
	for (; *text; text += n ?: 1) {
		n = text_length(text);
		if (!n)
			put("\ufffd");
		else if (*text == '"' || *text == '\\')
			fprintf(stdout, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(stdout, "\\u%04x", *text);
		else
			fwrite_unlocked(text, 1, n, stdout);
	}
	putc_unlocked('"', stdout);
}

static void put_value(const char *text)
{
	if (out_json)
		put_json(text);
	else
		text_put(stdout, text);
}

/* line_text - a member that is a string, which others may have chosen */
void line_text(const char *key, const char *title, const char *value)
{
	if (begin_member(key, title))
		put_value(value);
}

/* line_list - a member that is a list of words */
void line_list(const char *key, const char *title, const char *const *values,
	       unsigned int nr)
{
	unsigned int i;

	if (!begin_member(key, title))
		return;
	if (out_json)
		putc_unlocked('[', stdout);
	for (i = 0; i < nr; i++) {
		if (i)
			putc_unlocked(',', stdout);
		put_value(values[i]);
	}
	if (out_json)
		putc_unlocked(']', stdout);
	else if (!nr)
		putc_unlocked('-', stdout);
}
