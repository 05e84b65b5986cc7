/* SPDX-License-Identifier: GPL-2.0 */
/*
 * huge.h - for the tests of huge pages: files that have them, and how many are
 * mapped by one entry
 */
#ifndef HUGE_H
#define HUGE_H

#include "memview_test.h"

#include <sys/mount.h>

#define HUGE_PAGES	(HUGE / PAGE)

enum huge_kind {
	HUGE_MEMFD,	/* collapsed */
	HUGE_TMPFS,	/* mounted with huge=always */
	HUGE_XFS,	/* written in big pieces; read-only, as far as one entry goes */
};

/* Is it mapped by one entry where the file itself is mapped? */
static inline bool file_has_huge(int fd, uint64_t size);

static inline int open_huge_tmpfs(struct source *src)
{
	char dir[] = "/tmp/memview-huge-XXXXXX";
	int err = 0;

	if (!mkdtemp(dir))
		return -errno;
	if (mount("tmpfs", dir, "tmpfs", 0, "huge=always")) {
		snprintf(src->missing, sizeof(src->missing), "tmpfs with huge=always");
		err = -ENODEV;
	} else {
		src->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0700);
		err = src->fd < 0 ? -errno : 0;
		umount2(dir, MNT_DETACH);
	}
	rmdir(dir);
	return err ?: ftruncate(src->fd, src->size) ? -errno : 0;
}

/* Its pages are there, with their page_tag(), unless it is tmpfs and @tag 0. */
static inline int open_huge(struct source *src, enum huge_kind kind, uint64_t size, uint32_t tag)
{
	static uint64_t piece[HUGE / sizeof(uint64_t)];
	uint64_t page;
	int err;

	if (kind == HUGE_TMPFS) {
		*src = (struct source){ .kind = SOURCE_TMPFS, .fd = -1, .size = size };
		err = open_huge_tmpfs(src);
	} else {
		err = source_open(src, kind == HUGE_XFS ? SOURCE_XFS : SOURCE_MEMFD_HUGE, size);
	}
	for (page = 0; !err && tag && page < size / PAGE; page++) {
		piece[page % HUGE_PAGES * (PAGE / 8)] = page_tag(tag, page);
		if (page % HUGE_PAGES == HUGE_PAGES - 1 &&
		    pwrite(src->fd, piece, HUGE, (page & -HUGE_PAGES) * PAGE) != HUGE)
			err = -EIO;
	}
	if (!err && tag && !file_has_huge(src->fd, size)) {
		snprintf(src->missing, sizeof(src->missing), "free huge pages");
		err = -ENODEV;
	}
	return err;
}

#define OPEN_HUGE_OR_SKIP(src, kind, size, tag)                           \
	do {                                                              \
		int err_ = open_huge(src, kind, size, tag);               \
									  \
		if (err_ == -ENODEV)                                      \
			SKIP(return, "missing: %s", (src)->missing);      \
		ASSERT_EQ(0, err_);                                       \
	} while (0)

/* How much of [@mem, @mem + @size) is mapped by entries for huge pages; whole VMAs. */
static inline uint64_t mapped_huge(const void *mem, uint64_t size)
{
	unsigned long start, end, at = (uintptr_t)mem, kib, sum = 0;
	bool inside = false;
	char line[512];
	FILE *smaps = fopen("/proc/self/smaps", "re");

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start < at + size && end > at;
		else if (inside && (sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1 ||
				    sscanf(line, "FilePmdMapped: %lu", &kib) == 1))
			sum += kib * KiB;
	}
	if (smaps)
		fclose(smaps);
	return sum;
}

/* Room for a mapping that is @shift bytes beyond a place that is aligned. */
static inline char *huge_room(uint64_t size, uint64_t shift)
{
	char *mem = mmap(NULL, size + 2 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mem == MAP_FAILED ? NULL : mem + (-(uintptr_t)mem & (HUGE - 1)) + shift;
}

static inline bool file_has_huge(int fd, uint64_t size)
{
	char *mem = huge_room(size, 0);
	uint64_t offset, value, is;

	if (!mem || mmap(mem, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return false;
	for (offset = 0; offset + 2 * HUGE <= size; offset += HUGE)
		probe_read(mem + offset, &value);
	is = mapped_huge(mem, size);
	munmap(mem, size);
	/* File systems have none at the end of a file. */
	return is + HUGE >= size;
}

/* How many pages of [@page, @page + @n) do not have their tag. */
static inline unsigned int wrong_pages(const char *mem, uint32_t tag, unsigned int page,
				       unsigned int n, unsigned int file_page)
{
	unsigned int i, wrong = 0;
	uint64_t value;

	for (i = 0; i < n; i++)
		if (probe_read(mem + (page + i) * PAGE, &value) ||
		    value != page_tag(tag, file_page + i))
			wrong++;
	return wrong;
}

#endif /* HUGE_H */
