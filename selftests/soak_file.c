// SPDX-License-Identifier: GPL-2.0
/*
 * soak_file.c - the files behind the views of the soak test, and the keepers,
 * who take pages out of them and fill them again
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <linux/falloc.h>
#include <sched.h>

static const struct {
	enum source_kind kind;
	unsigned int pages;
	bool steady;
} files[SOAK_FILES] = {
	{ SOURCE_MEMFD, 256, true }, /* always there */
	{ SOURCE_MEMFD, 256, false },
	{ SOURCE_MEMFD_HUGE, 1024, false },
	{ SOURCE_TMPFS, 256, false },
	{ SOURCE_EXT4, 256, false },
	{ SOURCE_EXT4, 256, true },
	{ SOURCE_XFS, 256, false },
};

struct soak_file *soak_random_file(void)
{
	struct soak_file *file;

	do {
		file = &world->file[1 + soak_below(SOAK_FILES)];
	} while (!file->present);
	return file;
}

/* ---- The model ---- */

static void change_begin(struct soak_file *file, unsigned int first, unsigned int n,
			 struct holds holds)
{
	unsigned int page;

	atomic_fetch_add(&file->begun, 1);
	for (page = first; page < first + n; page++)
		file_begin(file, page, holds);
}

static void change_end(struct soak_file *file, unsigned int first, unsigned int n)
{
	unsigned int page;

	for (page = first; page < first + n; page++)
		file_end(file, page);
	atomic_fetch_add(&file->ended, 1);
}

/* ---- Filling ---- */

static int put_page(struct soak_file *file, unsigned int page, uint32_t generation)
{
	uint64_t tag = tag_of(file - world->file, page, generation), code;
	char *mem = file->own + page * PAGE;

	put_code(&code, code_of(tag));
	return probe_write(mem + CODE_OFFSET, code) ?: probe_write(mem, tag);
}

/* Pages of the file; they are there. Each gets a new tag. */
static void fill(struct soak_file *file, unsigned int first, unsigned int n)
{
	struct holds holds = { TAGGED, ++file->generation };
	unsigned int page;
	int sig;

	change_begin(file, first, n, holds);
	for (page = first; page < first + n; page++) {
		sig = put_page(file, page, holds.generation);
		if (sig)
			soak_fail("file %td: page %u cannot be written by its owner: signal %d",
				  file - world->file, page, sig);
	}
	change_end(file, first, n);
}

/* Who had the lock was killed half way. */
static void file_recover(struct soak_file *file)
{
	change_begin(file, 0, file->pages, (struct holds){ ZEROED, 0 });
	if (ftruncate(file->src.fd, file->pages * PAGE))
		soak_fail("file %td: cannot be extended: %m", file - world->file);
	fill(file, 0, file->pages);
	atomic_store(&file->ended, atomic_load(&file->begun));
}

void file_lock(struct soak_file *file)
{
	int err = pthread_mutex_lock(&file->lock);

	if (err == EOWNERDEAD) {
		file_recover(file);
		err = pthread_mutex_consistent(&file->lock);
	}
	if (err)
		soak_fail("lock of a file: %d", err);
}

void file_unlock(struct soak_file *file)
{
	pthread_mutex_unlock(&file->lock);
}

/* ---- What keepers do ---- */

/* Pages that are in the file now. */
static unsigned int file_end_page(const struct soak_file *file)
{
	unsigned int end = file->pages;

	while (end && file_now(file, end - 1).content == ABSENT)
		end--;
	return end;
}

/* A hole beyond the end is none. */
static int punch(struct soak_file *file, unsigned int first, unsigned int n)
{
	const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	unsigned int end = file_end_page(file);
	int ret;

	if (first >= end)
		return 0;
	if (n > end - first)
		n = end - first;
	change_begin(file, first, n, (struct holds){ ZEROED, 0 });
	ret = fallocate(file->src.fd, mode, first * PAGE, n * PAGE) ? -errno : 0;
	change_end(file, first, n);
	return ret;
}

/*
 * Where a truncation begins within a large swap entry, Linux 7.3 may look for
 * the rest of that entry for ever; with no module loaded, too. A page that is
 * locked in memory is in no such entry.
 */
static int truncate_at(struct soak_file *file, unsigned int first)
{
	char *page = file->own + first * PAGE;
	bool locked = file->pages * PAGE > HUGE && !mlock(page, PAGE);
	int ret = ftruncate(file->src.fd, first * PAGE) ? -errno : 0;

	if (locked)
		munlock(page, PAGE);
	return ret;
}

static int shorten(struct soak_file *file, unsigned int first)
{
	unsigned int n = file->pages - first;
	int ret;

	if (first >= file_end_page(file))
		return 0;
	change_begin(file, first, n, (struct holds){ ABSENT, 0 });
	ret = truncate_at(file, first);
	change_end(file, first, n);
	return ret;
}

static int extend(struct soak_file *file)
{
	unsigned int first = file_end_page(file);
	int ret;

	change_begin(file, first, file->pages - first, (struct holds){ ZEROED, 0 });
	ret = ftruncate(file->src.fd, file->pages * PAGE) ? -errno : 0;
	change_end(file, first, file->pages - first);
	return ret;
}

/* All that was taken away, and anything else once in a while. */
static int refill(struct soak_file *file)
{
	bool all = !soak_below(4);
	unsigned int page, n;

	extend(file);
	for (page = 0; page < file->pages; page += n) {
		for (n = 0; page + n < file->pages && (all || file_now(file, page + n).content != TAGGED);
		     n++)
			;
		if (n)
			fill(file, page, n);
		else
			n = 1;
	}
	return 0;
}

static int sync_file(struct soak_file *file)
{
	if (fsync(file->src.fd))
		return -errno;
	return soak_below(2) ? -posix_fadvise(file->src.fd, 0, 0, POSIX_FADV_DONTNEED) : 0;
}

/* Through a mapping for this alone; the advice may well be refused. */
static int advise(struct soak_file *file, int advice)
{
	uint64_t size = file->pages * PAGE;
	char *area = mmap(NULL, size + HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *mem;
	int ret = -errno;

	if (area == MAP_FAILED)
		return ret;
	mem = (char *)(((uintptr_t)area + HUGE - 1) & ~(HUGE - 1));
	mem = mmap(mem, size, PROT_RW, MAP_SHARED | MAP_FIXED, file->src.fd, 0);
	if (mem != MAP_FAILED)
		ret = madvise(mem, size, advice) ? -errno : 0;
	munmap(area, size + HUGE);
	return ret;
}

/* Out and in again: whoever looks meets one or the other, and no old page. */
static int blink(struct soak_file *file, unsigned int first, unsigned int n)
{
	unsigned int i, times = soak_below(8), end;
	int ret = punch(file, first, n);

	for (i = 0; i < times && !ret; i++) {
		end = file_end_page(file);
		if (first + n > end)
			break;
		fill(file, first, n);
		sched_yield();
		ret = punch(file, first, n);
	}
	return ret;
}

static int keep(struct soak_file *file, enum op op, unsigned int first, unsigned int n)
{
	switch (op) {
	case OP_PUNCH:
		return blink(file, first, n);
	case OP_TRUNCATE:
		return shorten(file, first);
	case OP_EXTEND:
		return extend(file);
	case OP_FILL:
		return refill(file);
	case OP_SYNC:
		return sync_file(file);
	case OP_COLLAPSE:
		return advise(file, MADV_COLLAPSE);
	default:
		return advise(file, MADV_PAGEOUT);
	}
}

/* A file, and a page of it: mostly one that a view shows, where clients then look. */
static struct soak_file *choose_page(unsigned int *page)
{
	struct soak_view *view = &world->view[soak_below(SOAK_VIEWS)];
	unsigned int view_page = soak_view_page();
	struct shows shows = view_now(view, view_page);
	struct soak_file *file = soak_random_file();

	*page = soak_below(file->pages);
	if (!shows.file || !soak_below(4))
		return file;
	atomic_store(&view->hot, view_page);
	*page = shows.page;
	return &world->file[shows.file];
}

void keeper_step(void)
{
	static const enum op ops[] = {
		OP_PUNCH, OP_PUNCH, OP_PUNCH, OP_TRUNCATE, OP_EXTEND, OP_EXTEND, OP_FILL, OP_FILL,
		OP_FILL, OP_SYNC, OP_COLLAPSE, OP_PAGEOUT,
	};
	enum op op = ops[soak_below(ARRAY_SIZE(ops))];
	unsigned int first, n = 1 + soak_below(16);
	struct soak_file *file = choose_page(&first);
	struct log_entry *entry;
	bool may_fail = op == OP_COLLAPSE || op == OP_PAGEOUT;
	int err;

	if (op_enabled(op) && !(file->steady && op < OP_SYNC)) {
		if (n > file->pages - first || !soak_below(8))
			n = file->pages - first;
		file_lock(file);
		entry = log_begin(op);
		entry->file = file - world->file;
		entry->file_page = first;
		entry->n = n;
		err = keep(file, op, first, n);
		log_end(entry, err);
		if (err && !may_fail)
			soak_fail("file %td: %s: %d", file - world->file, op_names[op], err);
		file_unlock(file);
	}
	usleep(soak_below(10000));
}

/* ---- Open and close ---- */

static int open_one(struct soak_file *file, unsigned int i)
{
	int err;

	if (i && soak_kind_off[files[i].kind])
		return 0;
	err = source_open(&file->src, files[i].kind, files[i].pages * PAGE);
	if (err)
		return err == -ENODEV && i ? 0 : err;
	soak_mutex_init(&file->lock);
	file->pages = files[i].pages;
	file->steady = files[i].steady;
	file->present = true;
	file->own = mmap(NULL, file->pages * PAGE, PROT_RW, MAP_SHARED, file->src.fd, 0);
	if (file->own == MAP_FAILED)
		return -errno;
	fill(file, 0, file->pages);
	return 0;
}

int soak_files_open(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; i < SOAK_FILES && !err; i++)
		err = open_one(&world->file[i + 1], i);
	return err;
}

void soak_files_close(void)
{
	struct soak_file *file;

	for (file = &world->file[1]; file <= &world->file[SOAK_FILES]; file++) {
		if (!file->present)
			continue;
		munmap(file->own, file->pages * PAGE);
		source_close(&file->src);
	}
}
