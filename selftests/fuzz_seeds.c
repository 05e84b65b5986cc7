// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_seeds.c - inputs to begin with, and changes to inputs that keep records
 * whole
 */
#include "fuzz.h"

#define OP(call_, ...)	{ .op = CALL_##call_, __VA_ARGS__ }
#define NUM(...)	.num = { __VA_ARGS__ }

/* A view of 32 pages that is mapped, with a range for all that follows. */
#define BEGIN								\
	OP(OPEN, .flags = 1), OP(RESIZE, NUM(32)), OP(GET_VIEWFD),	\
	OP(MMAP, .flags = 7, NUM(31)), OP(MAP, .flags = 6, NUM(0, 11, 0))

#define ACCESSES_OF(page)						\
	OP(ACCESS, .flags = 0, NUM(page)), OP(ACCESS, .flags = 1, NUM(page)), \
	OP(ACCESS, .flags = 2, NUM(page)), OP(ACCESS, .flags = 3, NUM(page)), \
	OP(ACCESS, .flags = 4, NUM(page)), OP(ACCESS, .flags = 5, NUM(page))

static const struct fuzz_op seed_layout[] = {
	BEGIN, ACCESSES_OF(3), OP(MAP, .fd = 1, NUM(2, 3, 4)), ACCESSES_OF(5),
	OP(UNMAP, NUM(2, 6)), ACCESSES_OF(3), ACCESSES_OF(10), OP(RESIZE, NUM(9)), ACCESSES_OF(10),
	OP(COMPARE), OP(CLOSE), OP(COMPARE),
};

static const struct fuzz_op seed_mapping[] = {
	BEGIN, OP(MPROTECT, .flags = 5, NUM(2, 4)), ACCESSES_OF(3), OP(MUNMAP, .flags = 1, NUM(7, 2)),
	OP(COMPARE), OP(FORK, .flags = 3), OP(MMAP, .obj = 1, .flags = 3, NUM(20, 4)),
	OP(MREMAP, .obj = 1), OP(MADVISE, .obj = 1), OP(COMPARE, .obj = 1),
	OP(MREMAP, .obj = 1, .flags = 1, NUM(5)), OP(CLOSE_VIEWFD), OP(CLOSE), OP(COMPARE, .obj = 1),
};

static const struct fuzz_op seed_files[] = {
	BEGIN, OP(MAP, .fd = 2, .flags = 2, NUM(0, 11, 12)), OP(COMPARE), OP(TRUNCATE, .fd = 2, NUM(4)),
	OP(COMPARE), OP(PUNCH, NUM(2, 3)), ACCESSES_OF(3), OP(REFILL, .fd = 2), OP(COMPARE),
	OP(MAP, .fd = 1, .flags = 2, NUM(0, 3, 24)), OP(SEAL), OP(UNMAP, NUM(24, 3)), OP(SEAL),
	OP(MAP, .fd = 1, .flags = 2, NUM(0, 3, 24)), OP(COMPARE),
};

static const struct fuzz_op seed_bad[] = {
	BEGIN, OP(MAP_RAW, .fd = 12, .flags = 1), OP(MAP_RAW, .obj = 0x10, NUM(0, 1)),
	OP(MAP_RAW, .obj = 0x20, NUM(0, 1)), OP(MAP_RAW, .obj = 0x60, NUM(0, 1)),
	OP(UNMAP_RAW, .flags = 3, NUM(0, 1, 1, 1)), OP(IOCTL_RAW, .flags = 3, NUM(32, 1, 1)),
	OP(ON_VIEWFD, .flags = 8), OP(ON_CONTROL, .flags = 1), OP(OPEN, .obj = 1, .flags = 8),
	OP(MAP_RAW, .sel = { 6, 6, 6 }, NUM(7, 3, 8)), OP(RESIZE, .flags = 1, .sel = { 6 }, NUM(12)),
	OP(MAP_RAW, .sel = { 0, 6, 6 }, NUM(0, 8, 10)), OP(COMPARE),
};

static const struct fuzz_op seed_batch[] = {
	BEGIN, ACCESSES_OF(3), OP(BATCH_ADD, .fd = 1, .flags = 2, NUM(2, 5, 4)),
	OP(BATCH_ADD, .flags = 8, NUM(0, 2, 6)), OP(BATCH_ADD, .fd = 2, .flags = 4, NUM(0, 3, 16)),
	OP(BATCH_RUN), OP(COMPARE), OP(BATCH_ADD, NUM(0, 1, 1)),
	OP(BATCH_ADD, .fd = 12, .flags = 16, NUM(0, 1, 1)), OP(BATCH_RUN), OP(COMPARE),
	OP(BATCH_ADD, .flags = 48, NUM(0, 1, 1, 3)), OP(BATCH_RUN), OP(BATCH_RUN), OP(COMPARE),
};

static const struct fuzz_op seed_flags[] = {
	BEGIN, ACCESSES_OF(3), OP(SET_FLAGS, .flags = 1), OP(SET_FLAGS, .obj = 0x20, .flags = 1),
	OP(SET_FLAGS, .sel = { 1 }, NUM(2)), OP(SET_FLAGS, .sel = { 2 }, NUM(1, 1)), OP(COMPARE),
	OP(CLOSE), OP(COMPARE), ACCESSES_OF(3), OP(OPEN, .obj = 1, .flags = 1),
	OP(SET_FLAGS, .obj = 1, .flags = 1), OP(SET_FLAGS, .obj = 1), OP(CLOSE, .obj = 1),
};

#define SEED(name)	{ #name, seed_##name, sizeof(seed_##name) }

int seeds_write(const char *dir)
{
	static const struct {
		const char *name;
		const void *data;
		size_t size;
	} seeds[] = { SEED(layout), SEED(mapping), SEED(files), SEED(bad), SEED(batch),
		SEED(flags) };
	char path[PATH_MAX];
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(seeds); i++) {
		snprintf(path, sizeof(path), "%s/seed-%s", dir, seeds[i].name);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (fd < 0 || write(fd, seeds[i].data, seeds[i].size) != (ssize_t)seeds[i].size)
			return -errno;
		close(fd);
	}
	return 0;
}

/* Move, repeat or take away records, or change one that is there. */
size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	struct fuzz_op *op = (struct fuzz_op *)data, copy;
	size_t n = size / sizeof(*op), limit = max / sizeof(*op);
	uint64_t state = seed, r = random_next(&state);
	size_t from, to;

	if (!n)
		return 0;
	from = random_next(&state) % n;
	to = random_next(&state) % n;
	copy = op[from];
	switch (r % 4) {
	case 0: /* repeat one elsewhere */
		if (n == limit)
			return 0;
		memmove(&op[to + 1], &op[to], (n - to) * sizeof(*op));
		op[to] = copy;
		n++;
		break;
	case 1:
		if (n < 2)
			return 0;
		memmove(&op[from], &op[from + 1], (n - from - 1) * sizeof(*op));
		n--;
		break;
	case 2:
		op[from] = op[to];
		op[to] = copy;
		break;
	default:
		op[from].op = random_next(&state) % CALLS;
		op[from].num[random_next(&state) % 4] = random_next(&state) % 64;
		op[from].flags = random_next(&state);
	}
	return n * sizeof(*op);
}
