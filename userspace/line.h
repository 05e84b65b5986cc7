/* SPDX-License-Identifier: GPL-2.0 */
/*
 * line.h - records that come by the thousand: a line each, without a tree
 *
 * A record is begun, its members are written in the order in which people read
 * them, and it is ended. Of a member @title says how people see it: as
 * TITLE=VALUE, by its value alone if @title is NULL, not at all if it is "".
 *
 * Lines stay in the buffer of the standard output until line_flush(), which is
 * called when there is nothing more to write, or until that is full.
 */
#ifndef MEMVIEW_LINE_H
#define MEMVIEW_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "output.h"

void line_start(void);
void line_begin(void);
void line_end(void);
bool line_flush(void);

void line_number(const char *key, const char *title, enum out_format how,
		 uint64_t value);
void line_int(const char *key, const char *title, int64_t value);
void line_bool(const char *key, const char *title, bool value);
void line_text(const char *key, const char *title, const char *value);
void line_list(const char *key, const char *title, const char *const *values,
	       unsigned int nr);

#endif /* MEMVIEW_LINE_H */
