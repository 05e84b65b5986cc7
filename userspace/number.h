/* SPDX-License-Identifier: GPL-2.0 */
/*
 * number.h - numbers on command lines and in files, for all tools
 *
 * A number is decimal, or hexadecimal after 0x, and nothing else. A leading
 * zero is refused, since other tools take such a number for octal. So are signs,
 * spaces, and values beyond 64 bits.
 */
#ifndef MEMVIEW_NUMBER_H
#define MEMVIEW_NUMBER_H

#include <stdint.h>

/**
 * parse_integer - parse an ID or a count
 * @text: All of it must be the number.
 * @most: The largest value that is accepted.
 * @number: Set on success only.
 *
 * Return: 0, or -EINVAL if it is no number, or -ERANGE if it exceeds @most.
 */
int parse_integer(const char *text, uint64_t most, uint64_t *number);

/**
 * parse_number - parse a number that may have a unit, such as an address or size
 * @text: All of it must be the number; a K, M, G or T at its end multiplies by
 *	that power of 1024.
 * @number: Set on success only.
 *
 * Return: 0, or -EINVAL if it is no number, or -ERANGE if it exceeds 64 bits.
 */
int parse_number(const char *text, uint64_t *number);

/* Some 30 years. A time that has no end is given as this one. */
#define SECONDS_MAX 1e9

/**
 * parse_seconds - parse a time in seconds, such as 10, 0.5 or .5
 * @text: All of it must be the time: digits, and maybe a point and digits. So
 *	nan, inf, exponents and hexadecimal fractions are none.
 * @most: The largest value that is accepted.
 * @seconds: Set on success only.
 *
 * Return: 0, or -EINVAL if it is no time, or -ERANGE if it exceeds @most.
 */
int parse_seconds(const char *text, double most, double *seconds);

#endif /* MEMVIEW_NUMBER_H */
