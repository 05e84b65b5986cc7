/* SPDX-License-Identifier: GPL-2.0 */
/*
 * text.h - names that others have chosen: of processes, files, policies
 *
 * They may hold any bytes. What memviewctl writes is UTF-8, whatever the locale
 * of the environment says.
 */
#ifndef MEMVIEW_TEXT_H
#define MEMVIEW_TEXT_H

#include <stddef.h>
#include <stdio.h>

/**
 * text_start - get ready to measure text
 */
void text_start(void);

/**
 * text_length - the length of the first character
 * @text: Any bytes, up to a null.
 *
 * Return: Bytes, 0 if they are not UTF-8.
 */
size_t text_length(const char *text);

/**
 * text_shown_length - the length of the first character, if it can be shown
 * @text: Any bytes, up to a null.
 *
 * Nobody may move an operator's cursor, begin a line or turn its direction by
 * giving a name.
 *
 * Return: Bytes; 0 if the character must not reach a terminal, or is not UTF-8.
 */
size_t text_shown_length(const char *text);

/**
 * text_width - how wide a terminal shows a text
 * @text: As from text_show().
 *
 * Return: Cells. A wide character takes two, one that combines none.
 */
size_t text_width(const char *text);

/**
 * text_put - text_show(), to a file
 * @out: The file.
 * @text: As for text_show().
 */
void text_put(FILE *out, const char *text);

/**
 * text_show - a text as a terminal may have it
 * @text: Any bytes, up to a null. Those that must not reach a terminal become
 *	\ooo, in octal.
 *
 * Return: To be freed; NULL for want of memory.
 */
char *text_show(const char *text);

#endif /* MEMVIEW_TEXT_H */
