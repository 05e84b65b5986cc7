/* SPDX-License-Identifier: GPL-2.0 */
/*
 * vhost_io.h - reads and writes at random, many at a time, whose data lie in
 * pieces in the memory of a guest; vhost_io.c implements it
 *
 * Each byte is checked, and those beside them.
 */
#ifndef MEMVIEW_VHOST_IO_H
#define MEMVIEW_VHOST_IO_H

#include "vhost_ring.h"

#define IO_MAX		(128 << 10)
#define IO_SLOT_SIZE	(1 * MiB)
#define IO_DATA		(2 * PAGE) /* in front of it are headers */

/* What is being asked in a slot of a ring. */
struct io {
	char *mem; /* IO_SLOT_SIZE bytes of the guest's */
	struct part parts[SLOT_PARTS];
	unsigned int nr_out, nr_in;
	struct part data[6];
	unsigned int nr_data;
	uint32_t offset, size; /* of the file */
	bool write;
};

/* What is served: a file of @size bytes, and what is expected of it. */
struct io_file {
	unsigned char *expected;
	uint32_t size, unit; /* all is done in multiples of that */
	uint64_t random;
};

/* A piece of the guest's memory that the device reads, or one that it writes. */
void io_add(struct io *io, struct part part, bool in);
/*
 * Choose a span of the file and where its data lie. No two slots have the same
 * bytes of the file. What is to be written is there, and expected.
 */
void io_choose(struct io_file *file, struct io *io, unsigned int slot);
/* Add the pieces of data. */
void io_add_data(struct io *io);
/* The number of pieces that are not as they should be, and of spaces between them. */
unsigned int io_check(const struct io_file *file, const struct io *io);
/* The same of the whole file, at @path. */
bool io_file_is(const struct io_file *file, const char *path);

#endif /* MEMVIEW_VHOST_IO_H */
