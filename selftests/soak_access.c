// SPDX-License-Identifier: GPL-2.0
/*
 * soak_access.c - accesses to a view, and the comparison of all of it
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <sys/uio.h>

#include "soak_exec.h"

bool soak_is_child;

/* ---- One access ---- */

static int pipe_fds(int fds[2])
{
	static __thread int pipes[2] = { -1, -1 };

	if (pipes[0] < 0 && pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	memcpy(fds, pipes, sizeof(pipes));
	return 0;
}

/* The kernel reads the page in a system call: -1 for EFAULT. */
static int kernel_read(const void *addr, uint64_t *value)
{
	int fds[2];

	if (pipe_fds(fds) || write(fds[1], addr, sizeof(*value)) != sizeof(*value))
		return -1;
	return read(fds[0], value, sizeof(*value)) == sizeof(*value) ? 0 : -1;
}

static int kernel_write(void *addr, uint64_t value)
{
	char drained[sizeof(value)];
	int fds[2];

	if (pipe_fds(fds) || write(fds[1], &value, sizeof(value)) != sizeof(value))
		return -1;
	if (read(fds[0], addr, sizeof(value)) == sizeof(value))
		return 0;
	while (read(fds[0], drained, sizeof(drained)) > 0)
		;
	return -1;
}

static int gup(void *addr, uint64_t *value, bool write)
{
	struct iovec local = { value, sizeof(*value) }, remote = { addr, sizeof(*value) };
	ssize_t n;

	if (write)
		n = process_vm_writev(getpid(), &local, 1, &remote, 1, 0);
	else
		n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	return n == sizeof(*value) ? 0 : -1;
}

static int do_access(char *addr, struct met *met)
{
	char *slot = addr + met->slot * 8;
	uint64_t ignored;

	switch (met->op) {
	case OP_READ:
		return probe_read(addr, &met->value);
	case OP_UPGRADE:
		probe_read(addr, &ignored);
		/* fall through */
	case OP_WRITE:
		return probe_write(slot, met->value);
	case OP_EXEC:
		return probe_code(addr + CODE_OFFSET, &met->value);
	case OP_KREAD:
		return kernel_read(addr, &met->value);
	case OP_KWRITE:
		return kernel_write(slot, met->value);
	case OP_GUP_READ:
		return gup(addr, &met->value, false);
	default:
		return gup(slot, &met->value, true);
	}
}

enum op soak_access_op(void)
{
	static const enum op ops[] = {
		OP_READ, OP_READ, OP_READ, OP_READ, OP_READ, OP_WRITE, OP_WRITE, OP_WRITE,
		OP_UPGRADE, OP_UPGRADE, OP_EXEC, OP_KREAD, OP_KWRITE, OP_GUP_READ, OP_GUP_WRITE,
		OP_READ,
	};
	enum op op = ops[soak_below(ARRAY_SIZE(ops))];

	return op_enabled(op) ? op : OP_READ;
}

/*
 * An emulator with a thread for each CPU keeps what it has translated while
 * another CPU wrote to the page, and goes on with it when the page has long
 * been something else; with no module loaded, too. Code that was not the
 * page's is run again when the same code has been written once more, which
 * makes the emulator look. What was the page's is no such case: it could be
 * run, and whether it should have been is for the model to say.
 */
static bool renew_code(const struct sight *sight, const struct met *met)
{
	struct shows shows = view_now(sight->view, sight->page);
	struct soak_file *file = &world->file[shows.file];
	char *addr = file->own + shows.page * PAGE + CODE_OFFSET;
	uint64_t code, tag;
	bool there;

	if (!shows.file)
		return false;
	file_lock(file);
	tag = tag_of(shows.file, shows.page, file_now(file, shows.page).generation);
	there = !probe_read(addr, &code) && !probe_write(addr, code);
	file_unlock(file);
	if (!there || (!met->sig && met->value == code_of(tag)))
		return false;
	atomic_fetch_add(&self->checked[STALE], 1);
	return true;
}

void soak_access(struct soak_view *view, unsigned int page, char *addr, unsigned int prot,
		 enum op op)
{
	struct met met = { .op = op, .prot = prot };
	struct sight sight;

	if (op != OP_READ && op != OP_EXEC && op != OP_KREAD && op != OP_GUP_READ)
		met.value = (uint64_t)(self->index + 1) << 56 | (uint64_t)self->epoch << 40 |
			    (++self->writes & 0xffffffffff);
	met.slot = soak_is_child ? SLOT_CHILD : SLOT_OF(self->index);
	sight_begin(&sight, view, page);
	met.sig = do_access(addr, &met);
	if (op == OP_EXEC && sight_judge(&sight, &met) == BAD && renew_code(&sight, &met)) {
		sight_begin(&sight, view, page);
		met.sig = do_access(addr, &met);
	}
	sight_end(&sight, &met);
}

/* ---- All of it ---- */

/* The words in front of a page, through the view and from the file. */
static void compare_words(struct soak_view *view, unsigned int page, const char *addr)
{
	struct shows shows = view_now(view, page);
	const struct soak_file *file = &world->file[shows.file];
	uint64_t seen = 0, there = 0;
	unsigned int i;

	if (!shows.file || file_now(file, shows.page).content == ABSENT)
		return;
	for (i = 0; i < SLOT_OF(SOAK_THREADS) * 8; i += 8)
		if (probe_read(addr + i, &seen) ||
		    probe_read(file->own + shows.page * PAGE + i, &there) || seen != there)
			break;
	if (i < SLOT_OF(SOAK_THREADS) * 8)
		soak_fail("page %u of view %td has %#jx at %u, page %u of file %u %#jx", page,
			  view - world->view, (uintmax_t)seen, i, shows.page, shows.file,
			  (uintmax_t)there);
}

static void compare_info(struct soak_view *view)
{
	uint64_t ranges = 0, bytes = 0;
	struct view_info info;
	uint32_t last = 0, id;
	unsigned int page;

	for (page = 0; page < SOAK_PAGES; page++) {
		id = view_now(view, page).file ? view->id[page] : 0;
		ranges += id && id != last;
		bytes += id ? PAGE : 0;
		last = id;
	}
	if (view_info(view->control, &info))
		soak_fail("fdinfo of view %td", view - world->view);
	else if (info.size != view->size || info.ranges != ranges || info.bytes != bytes)
		soak_fail("fdinfo of view %td has size %ju, %ju ranges, %ju bytes instead of %ju, %ju, %ju",
			  view - world->view, (uintmax_t)info.size, (uintmax_t)info.ranges,
			  (uintmax_t)info.bytes, (uintmax_t)view->size, (uintmax_t)ranges,
			  (uintmax_t)bytes);
}

static void compare_view(struct soak_view *view)
{
	const int prot = PROT_RW | PROT_EXEC;
	char *mem = view_mmap(view->viewfd, SOAK_SIZE, prot, 0);
	unsigned int page;

	if (mem == MAP_FAILED) {
		soak_fail("mmap of view %td: %m", view - world->view);
		return;
	}
	for (page = 0; page < SOAK_PAGES; page++) {
		soak_access(view, page, mem + page * PAGE, prot, OP_READ);
		soak_access(view, page, mem + page * PAGE, prot, OP_WRITE);
		soak_access(view, page, mem + page * PAGE, prot, OP_EXEC);
		compare_words(view, page, mem + page * PAGE);
	}
	munmap(mem, SOAK_SIZE);
	compare_info(view);
}

/* What was written is there, whatever happened to the page since. */
static void compare_page(const struct soak_file *file, unsigned int page)
{
	unsigned int number = file - world->file, t;
	uint64_t words[SLOT_CHILD], tag;
	struct holds holds = file_now(file, page);
	const struct written *written;

	if (holds.content == ABSENT)
		return;
	if (pread(file->src.fd, words, sizeof(words), page * PAGE) != sizeof(words)) {
		soak_fail("file %u: page %u cannot be read: %m", number, page);
		return;
	}
	tag = holds.content == TAGGED ? tag_of(number, page, holds.generation) : 0;
	if (words[0] != tag)
		soak_fail("file %u: page %u begins with %#jx instead of %#jx", number, page,
			  (uintmax_t)words[0], (uintmax_t)tag);
	for (t = 0; t < world->threads; t++) {
		written = &file->written[page][t];
		if (written->epoch && written->epoch == world->thread[t].epoch &&
		    written->version == atomic_load(&file->stamp[page].hi) &&
		    words[SLOT_OF(t)] != written->value)
			soak_fail("file %u: page %u: word of thread %u is %#jx, %#jx was written", number,
				  page, t, (uintmax_t)words[SLOT_OF(t)], (uintmax_t)written->value);
	}
}

static void compare_file(struct soak_file *file)
{
	unsigned int page;

	/* Of a file on disk, half of the time: what the disk has. */
	if (soak_below(2) && !fsync(file->src.fd))
		posix_fadvise(file->src.fd, 0, 0, POSIX_FADV_DONTNEED);
	for (page = 0; page < file->pages; page++)
		compare_page(file, page);
}

void soak_compare(void)
{
	struct log_entry *entry = log_begin(OP_COMPARE);
	unsigned int i, region;

	/* Whoever was killed has left a lock behind, and a change half done. */
	for (i = 0; i < SOAK_VIEWS; i++)
		for (region = 0; region < SOAK_REGIONS; region++) {
			region_lock(&world->view[i], region);
			region_unlock(&world->view[i], region);
		}
	for (i = 1; i <= SOAK_FILES; i++) {
		if (!world->file[i].present)
			continue;
		file_lock(&world->file[i]);
		file_unlock(&world->file[i]);
		compare_file(&world->file[i]);
	}
	for (i = 0; i < SOAK_VIEWS; i++)
		compare_view(&world->view[i]);
	log_end(entry, 0);
}
