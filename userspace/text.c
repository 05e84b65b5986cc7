// SPDX-License-Identifier: GPL-2.0
/*
 * text.c - names that others have chosen; text.h says what is done with them
 */
#include <locale.h>
#include <stdlib.h>
#include <wchar.h>

#include "ctl.h"
#include "text.h"

/* wcwidth() goes by the locale. Without this one it calls all but ASCII unprintable. */
void text_start(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
}

/* Return: the length, 0 if it is no UTF-8. */
static size_t decode(const char *text, wchar_t *code)
{
	const unsigned char *c = (const unsigned char *)text;
	size_t n = 0, i;

	*code = c[0];
	if (c[0] < 0x80)
		return 1;
	if (c[0] >= 0xc2 && c[0] < 0xf5)
		n = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	/* Longer than need be, a surrogate, beyond the last character. */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] >= 0xa0) ||
	    (c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] >= 0x90))
		return 0;
	*code &= 0x7f >> n;
	for (i = 1; i < n; i++) {
		if ((c[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (c[i] & 0x3f);
	}
	return n;
}

size_t text_length(const char *text)
{
	wchar_t c;

	return decode(text, &c);
}

/* Characters without a shape, which change how others are shown, or in which order. */
static bool is_invisible(wchar_t c)
{
	static const struct {
		wchar_t first, last;
	} ranges[] = {
		{ 0xad, 0xad },	    { 0x61c, 0x61c },	{ 0x180e, 0x180e },
		{ 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe0fff },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

size_t text_shown_length(const char *text)
{
	wchar_t c;
	size_t n;

	/* Most are. */
	if (*text >= ' ' && *text < 0x7f)
		return 1;
	n = decode(text, &c);
	return n && wcwidth(c) >= 0 && !is_invisible(c) ? n : 0;
}

size_t text_width(const char *text)
{
	size_t width = 0, n;
	wchar_t c;

	for (; *text; text += n) {
		n = decode(text, &c);
		width += n && wcwidth(c) >= 0 ? wcwidth(c) : 1;
		n += !n;
	}
	return width;
}

void text_put(FILE *out, const char *text)
{
	size_t n, i;

	for (; *text; text += n) {
		n = text_shown_length(text);
		if (n) {
			fwrite_unlocked(text, 1, n, out);
			continue;
		}
		n = text_length(text) ?: 1;
		for (i = 0; i < n; i++)
			fprintf(out, "\\%03o", (unsigned char)text[i]);
	}
}

char *text_show(const char *text)
{
	char *shown = NULL;
	size_t size;
	FILE *out = open_memstream(&shown, &size);

	if (!out)
		return NULL;
	text_put(out, text);
	if (!fclose(out))
		return shown;
	free(shown);
	return NULL;
}
