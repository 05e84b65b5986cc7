// SPDX-License-Identifier: GPL-2.0
/*
 * number.c - numbers on command lines and in files, for all tools
 *
 * strtoull() is no help: it skips spaces, negates what has a minus, and takes 010
 * for eight if the base is not told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "number.h"

/* The value of a digit, or @base if it is none. */
static unsigned int digit(char c, unsigned int base)
{
	static const char digits[] = "0123456789abcdef";
	const char *at;

	if (c >= 'A' && c <= 'F')
		c += 'a' - 'A';
	at = c ? strchr(digits, c) : NULL;
	return at && at < digits + base ? at - digits : base;
}

/* Return: 0, and where the number ends; or a negative errno. */
static int parse_digits(const char *text, uint64_t *number, const char **end)
{
	unsigned int base = 10;
	uint64_t value = 0;

	if (text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	} else if (text[0] == '0' && digit(text[1], base) < base) {
		return -EINVAL;
	}
	if (digit(*text, base) == base)
		return -EINVAL;
	for (; digit(*text, base) < base; text++)
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit(*text, base), &value))
			return -ERANGE;
	*number = value;
	*end = text;
	return 0;
}

int parse_integer(const char *text, uint64_t most, uint64_t *number)
{
	const char *end;
	uint64_t value;
	int error = parse_digits(text, &value, &end);

	if (error)
		return error;
	if (*end)
		return -EINVAL;
	if (value > most)
		return -ERANGE;
	*number = value;
	return 0;
}

int parse_number(const char *text, uint64_t *number)
{
	static const char units[] = "KMGT";
	const char *end, *unit;
	uint64_t value;
	int error = parse_digits(text, &value, &end);

	if (error)
		return error;
	unit = *end ? strchr(units, *end) : NULL;
	if (unit && end[1])
		return -EINVAL;
	if (!unit && *end)
		return -EINVAL;
	if (unit && __builtin_mul_overflow(
			    value, 1ULL << 10 * (unit - units + 1), &value))
		return -ERANGE;
	*number = value;
	return 0;
}

int parse_seconds(const char *text, double most, double *seconds)
{
	static const char digits[] = "0123456789";
	size_t whole = strspn(text, digits), parts = 0;
	double value;

	if (text[whole] == '.')
		parts = 1 + strspn(text + whole + 1, digits);
	if (whole + parts == 0 || parts == 1 || text[whole + parts] ||
	    (whole > 1 && text[0] == '0'))
		return -EINVAL;
	/* No tool sets LC_NUMERIC: the point is a point. */
	value = strtod(text, NULL);
	if (value > most)
		return -ERANGE;
	*seconds = value;
	return 0;
}
