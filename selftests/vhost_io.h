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
#define IO_SLOT_SIZE	(256 * KiB)
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

/* A device that serves it, and the guest that asks. */
struct io_device {
	struct guest guest;
	struct ring *ring;
	struct io io[RING_SLOTS];
	struct io_file file;
	/* Make a request of what has been chosen for a slot; what was answered: 0 or a negative errno. */
	void (*ask)(struct io_device *dev, struct io *io);
	int (*answer)(const struct io *io);
};

/* What is expected is zeroes, until it is written to: 0 or -ENOMEM. */
int io_file_init(struct io_file *file, uint32_t size, uint32_t unit);
/* A piece of the guest's memory that the device reads, or one that it writes. */
void io_add(struct io *io, struct part part, bool in);
/* Add the pieces of data. */
void io_add_data(struct io *io);
void io_post(struct io_device *dev, unsigned int slot);
/*
 * Choose a span of the file and where its data lie, and post that. No two slots
 * have the same bytes of the file. What is to be written is there, and expected.
 */
void io_post_any(struct io_device *dev, unsigned int slot);
/*
 * All slots at a time: the bytes that were moved, or a negative errno, -EILSEQ if
 * a piece of data, or a space between two, is not as it should be.
 */
long io_round(struct io_device *dev);
/* Rounds, until so many bytes were moved: what the last one returned; *@moved is all. */
long io_rounds(struct io_device *dev, uint64_t bytes, uint64_t *moved);
/* Whether all of the file, at @path, is as expected. */
bool io_file_is(const struct io_file *file, const char *path);

#endif /* MEMVIEW_VHOST_IO_H */
