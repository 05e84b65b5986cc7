// SPDX-License-Identifier: GPL-2.0
/*
 * vhost_io.c - reads and writes at random; vhost_io.h describes it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "vhost_io.h"

#define FILL	0xa5 /* where nothing is to be written */

int io_file_init(struct io_file *file, uint32_t size, uint32_t unit)
{
	*file = (struct io_file){
		.expected = calloc(1, size),
		.size = size,
		.unit = unit,
		.random = random_seed(),
	};
	return file->expected ? 0 : -ENOMEM;
}

void io_add(struct io *io, struct part part, bool in)
{
	io->parts[io->nr_out + io->nr_in] = part;
	io->nr_out += !in;
	io->nr_in += in;
}

static uint32_t random_size(struct io_file *file, uint32_t most)
{
	return (1 + random_next(&file->random) % (most / file->unit)) * file->unit;
}

/* Cut the span into pieces, with gaps, somewhere in the slot's memory. */
static void scatter(struct io_file *file, struct io *io)
{
	uint32_t left = io->size, most = ARRAY_SIZE(io->data), size;
	char *at = io->mem + IO_DATA;

	io->nr_data = 0;
	while (left) {
		at += 1 + random_next(&file->random) % 9000;
		size = io->nr_data + 1 == most ? left : random_size(file, left);
		io->data[io->nr_data++] = (struct part){ at, size };
		at += size;
		left -= size;
	}
}

static void choose(struct io_file *file, struct io *io, unsigned int slot)
{
	const uint32_t slice = file->size / RING_SLOTS;
	unsigned char *from;
	uint32_t i;

	io->write = random_next(&file->random) % 2;
	io->size = random_size(file, IO_MAX);
	io->offset = slot * slice +
		     random_next(&file->random) % ((slice - IO_MAX) / file->unit) * file->unit;
	from = file->expected + io->offset;
	memset(io->mem + PAGE, FILL, IO_SLOT_SIZE - PAGE);
	scatter(file, io);
	if (!io->write)
		return;
	for (i = 0; i < io->size; i += 61)
		from[i] = random_next(&file->random);
	for (i = 0; i < io->nr_data; from += io->data[i++].size)
		memcpy(io->data[i].at, from, io->data[i].size);
}

void io_add_data(struct io *io)
{
	unsigned int i;

	for (i = 0; i < io->nr_data; i++)
		io_add(io, io->data[i], !io->write);
}

/* Are the bytes of [@at, @end) still as they were? */
static bool untouched(const char *at, const char *end)
{
	/* The first is, and each is as the one before it. */
	return at == end || (*(const unsigned char *)at == FILL && !memcmp(at, at + 1, end - at - 1));
}

/* The number of pieces that are not as they should be, and of spaces between them. */
static unsigned int check(const struct io_file *file, const struct io *io)
{
	const unsigned char *want = file->expected + io->offset;
	const char *at = io->mem + IO_DATA;
	unsigned int i, bad = 0;

	for (i = 0; i < io->nr_data; i++) {
		const struct part *part = &io->data[i];

		bad += !untouched(at, part->at);
		bad += !!memcmp(part->at, want, part->size);
		want += part->size;
		at = (char *)part->at + part->size;
	}
	return bad + !untouched(at, io->mem + IO_SLOT_SIZE);
}

void io_post(struct io_device *dev, unsigned int slot)
{
	struct io *io = &dev->io[slot];

	ring_post(&dev->guest, dev->ring, slot, io->parts, io->nr_out, io->nr_in);
}

void io_post_any(struct io_device *dev, unsigned int slot)
{
	struct io *io = &dev->io[slot];

	choose(&dev->file, io, slot);
	io->nr_out = 0;
	io->nr_in = 0;
	dev->ask(dev, io);
	io_post(dev, slot);
}

long io_round(struct io_device *dev)
{
	unsigned int slot, bad = 0;
	long moved = 0;
	int err;

	for (slot = 0; slot < RING_SLOTS; slot++) {
		io_post_any(dev, slot);
		moved += dev->io[slot].size;
	}
	err = ring_kick(&dev->guest, dev->ring) ?: ring_wait(dev->ring, RING_SLOTS);
	for (slot = 0; slot < RING_SLOTS && !err; slot++) {
		err = dev->answer(&dev->io[slot]);
		bad += !err ? check(&dev->file, &dev->io[slot]) : 0;
	}
	return err ?: bad ? -EILSEQ : moved;
}

long io_rounds(struct io_device *dev, uint64_t bytes, uint64_t *moved)
{
	long ret = 0;

	for (*moved = 0; *moved < bytes && ret >= 0; *moved += ret > 0 ? ret : 0)
		ret = io_round(dev);
	return ret;
}

bool io_file_is(const struct io_file *file, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *mem = mmap(NULL, file->size, PROT_READ, MAP_SHARED, fd, 0);
	bool is = mem != MAP_FAILED && !memcmp(mem, file->expected, file->size);

	if (mem != MAP_FAILED)
		munmap(mem, file->size);
	close(fd);
	return is;
}
