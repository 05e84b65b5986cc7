// SPDX-License-Identifier: GPL-2.0
/*
 * failnth_ops.c - the operations of failnth.c: how each begins, what it does, and
 * what is different when it has worked
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "failnth_ops.h"

/* The view: eight pages of A to write, four of B to read, and nothing. */
#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define A_ID	1
#define B_ID	2
#define C_ID	3

/* Where no page table is yet: the first fault makes some, of all levels. */
#define FAR_AWAY ((void *)0x500000000000)

static int err_or(long ret)
{
	return ret < 0 ? -errno : 0;
}

/* ---- Operations ---- */

static int run_open(struct bench *b)
{
	int fd = open(MEMVIEW_DEV, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static int run_grow(struct bench *b)
{
	return view_resize(b->control, 2 * SIZE);
}

static int run_shrink(struct bench *b)
{
	return view_resize(b->control, 6 * PAGE);
}

static void expect_shrink(struct bench *b)
{
	model_unmap(&b->model, 6, PAGES - 6);
}

static int run_map_new(struct bench *b)
{
	return view_map(b->control, b->c.fd, 0, 2 * PAGE, 12 * PAGE, MAP_RW);
}

static void expect_map_new(struct bench *b)
{
	model_map(&b->model, 12, 2, C_ID, 0, MAP_RW);
}

static int run_map_same(struct bench *b)
{
	return view_map(b->control, b->a.fd, 8 * PAGE, 2 * PAGE, 12 * PAGE, MAP_RW);
}

static void expect_map_same(struct bench *b)
{
	model_map(&b->model, 12, 2, A_ID, 8, MAP_RW);
}

/* The same file, as another source: read-only. */
static int run_map_read_only(struct bench *b)
{
	return view_map(b->control, b->a.fd, 8 * PAGE, PAGE, 13 * PAGE, MAP_R);
}

static void expect_map_read_only(struct bench *b)
{
	model_map(&b->model, 13, 1, A_ID, 8, MAP_R);
}

static int run_replace(struct bench *b)
{
	return view_map(b->control, b->b.fd, 4 * PAGE, 2 * PAGE, 3 * PAGE, MAP_R);
}

static void expect_replace(struct bench *b)
{
	model_map(&b->model, 3, 2, B_ID, 4, MAP_R);
}

/* The last range of a file goes, and its source with it. */
static int run_replace_all(struct bench *b)
{
	return view_map(b->control, b->c.fd, 0, PAGES * PAGE, 0, MAP_RW);
}

static void expect_replace_all(struct bench *b)
{
	model_map(&b->model, 0, PAGES, C_ID, 0, MAP_RW);
}

static int run_unmap_split(struct bench *b)
{
	return view_unmap(b->control, 2 * PAGE, 2 * PAGE);
}

static void expect_unmap_split(struct bench *b)
{
	model_unmap(&b->model, 2, 2);
}

static int run_unmap_all(struct bench *b)
{
	return view_unmap(b->control, 0, SIZE);
}

static void expect_unmap_all(struct bench *b)
{
	model_unmap(&b->model, 0, PAGES);
}

/* A new file, a known one, a range cut in three, pages that are all the same. */
static int run_batch(struct bench *b)
{
	const struct memview_batch_op ops[] = {
		batch_map(b->c.fd, 0, 4 * PAGE, 12 * PAGE, MAP_RW),
		batch_map(b->b.fd, 4 * PAGE, 4 * PAGE, PAGE, MAP_R),
		batch_unmap(9 * PAGE, PAGE),
		batch_map(b->a.fd, 2 * PAGE, PAGE, 2 * PAGE, MAP_RW),
		batch_unmap(13 * PAGE, PAGE),
	};

	return view_batch(b->control, ops, ARRAY_SIZE(ops), NULL);
}

static void expect_batch(struct bench *b)
{
	model_map(&b->model, 12, 4, C_ID, 0, MAP_RW);
	model_map(&b->model, 1, 4, B_ID, 4, MAP_R);
	model_unmap(&b->model, 9, 1);
	model_map(&b->model, 2, 1, A_ID, 2, MAP_RW);
	model_unmap(&b->model, 13, 1);
}

static int run_get_viewfd(struct bench *b)
{
	int fd = view_get_fd(b->control);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int run_set_flags(struct bench *b)
{
	return view_set_flags(b->control, MEMVIEW_REVOKE_ON_CLOSE);
}

/* Another view of A, touched, that goes with its control fd. */
static int prepare_lent(struct bench *b)
{
	int viewfd;

	b->lent = view_create(SIZE);
	if (b->lent < 0)
		return b->lent;
	viewfd = view_get_fd(b->lent);
	b->lent_mem = view_mmap(viewfd, SIZE, PROT_RW, 0);
	if (b->lent_mem == MAP_FAILED)
		return -errno;
	close(viewfd);
	return view_map(b->lent, b->a.fd, 0, 8 * PAGE, 0, MAP_RW) ?:
	       view_set_flags(b->lent, MEMVIEW_REVOKE_ON_CLOSE) ?:
	       err_or(madvise(b->lent_mem, 8 * PAGE, MADV_POPULATE_WRITE));
}

/* Out of memory munmap() may be, too; the mapping is one piece. */
static int unmap_all(char *mem)
{
	while (munmap(mem, SIZE))
		if (errno != ENOMEM && errno != EFAULT)
			return -errno;
	return 0;
}

/* A close cannot fail: whatever it is short of, the pages are gone. */
static int run_close_lent(struct bench *b)
{
	uint64_t word;

	close(b->lent);
	/* SIGBUS; or SIGSEGV, if its frame cannot be written. */
	if (!probe_read(b->lent_mem + PAGE, &word))
		return -EUCLEAN;
	return unmap_all(b->lent_mem);
}

/* ---- Mappings ---- */

static int run_mmap(struct bench *b)
{
	char *mem = view_mmap(b->viewfd, SIZE, PROT_RW, 0);

	if (mem == MAP_FAILED)
		return -errno;
	return unmap_all(mem);
}

static int run_munmap_middle(struct bench *b)
{
	return err_or(munmap(b->mem + 14 * PAGE, PAGE));
}

static int run_mprotect(struct bench *b)
{
	return err_or(mprotect(b->mem + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
}

static int prepare_touched(struct bench *b)
{
	int err = err_or(madvise(b->mem, 8 * PAGE, MADV_POPULATE_WRITE));

	return err ?: err_or(madvise(b->mem + 8 * PAGE, 4 * PAGE, MADV_POPULATE_READ));
}

static int run_mremap(struct bench *b)
{
	char *to = b->mem - 64 * MiB, *moved;

	moved = mremap(b->mem, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	if (moved == MAP_FAILED)
		return -errno;
	b->mem = moved;
	return 0;
}

static int run_fork(struct bench *b)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid)
		_exit(0);
	while (waitpid(pid, &status, 0) != pid)
		if (errno != EFAULT && errno != EINTR)
			return -errno;
	return status ? -ECHILD : 0;
}

/* ---- Faults ---- */

static int run_populate_read(struct bench *b)
{
	return err_or(madvise(b->mem, 4 * PAGE, MADV_POPULATE_READ));
}

static int run_populate_write(struct bench *b)
{
	return err_or(madvise(b->mem, 4 * PAGE, MADV_POPULATE_WRITE));
}

static int run_read_for_debugger(struct bench *b)
{
	uint64_t word;

	return err_or(pread(b->proc_mem, &word, 8, (off_t)b->mem + 2 * PAGE));
}

static int run_write_for_debugger(struct bench *b)
{
	uint64_t word = page_tag(A_ID, 2);

	return err_or(pwrite(b->proc_mem, &word, 8, (off_t)b->mem + 2 * PAGE));
}

/* The kernel lets the client fault again: it may not notice, or get a signal. */
static int run_read(struct bench *b)
{
	uint64_t word;

	return probe_read(b->mem + 3 * PAGE, &word) ? -EFAULT : 0;
}

static int run_write(struct bench *b)
{
	return probe_write(b->mem + 3 * PAGE, page_tag(A_ID, 3)) ? -EFAULT : 0;
}

/* What is mapped while the range allows no writing stays mapped like that. */
static int prepare_read(struct bench *b)
{
	return view_map(b->control, b->a.fd, 0, 8 * PAGE, 0, MAP_R) ?:
	       run_populate_read(b) ?:
	       view_map(b->control, b->a.fd, 0, 8 * PAGE, 0, MAP_RW);
}

/* Pages that only a fault in the source makes, where there was none before. */
static int prepare_holes(struct bench *b)
{
	unsigned int page;

	for (page = 0; page < 4; page++) {
		b->model.page[page].file = 0;
		b->model.page[page].file_page = 0;
	}
	return err_or(fallocate(b->a.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE));
}

static void expect_nothing(struct bench *b)
{
}

#define SAME	expect_nothing

const struct operation controls[] = {
	{ "open", NULL, run_open, SAME },
	{ "grow", NULL, run_grow, SAME, .frugal = true },
	{ "shrink", prepare_touched, run_shrink, expect_shrink, .frugal = true },
	{ "map a new file", NULL, run_map_new, expect_map_new },
	{ "map a file that is there", NULL, run_map_same, expect_map_same },
	{ "map it read-only", NULL, run_map_read_only, expect_map_read_only },
	{ "replace", prepare_touched, run_replace, expect_replace },
	{ "replace all", prepare_touched, run_replace_all, expect_replace_all },
	{ "unmap", prepare_touched, run_unmap_split, expect_unmap_split },
	{ "unmap all", prepare_touched, run_unmap_all, expect_unmap_all },
	{ "batch", prepare_touched, run_batch, expect_batch },
	{ "get a view fd", NULL, run_get_viewfd, SAME },
	{ "set flags", NULL, run_set_flags, SAME },
	{ "revoke on close", prepare_lent, run_close_lent, SAME, .frugal = true },
};

const unsigned int nr_controls = ARRAY_SIZE(controls);

const struct operation mappings[] = {
	{ "mmap", NULL, run_mmap, SAME },
	{ "munmap", prepare_touched, run_munmap_middle, SAME },
	{ "mprotect", prepare_touched, run_mprotect, SAME },
	{ "mremap", prepare_touched, run_mremap, SAME },
	{ "fork", prepare_touched, run_fork, SAME },
};

const unsigned int nr_mappings = ARRAY_SIZE(mappings);

const struct operation faults[] = {
	{ "read fault", NULL, run_populate_read, SAME },
	{ "write fault", NULL, run_populate_write, SAME },
	{ "write upgrade", prepare_read, run_populate_write, SAME, .frugal = true },
	{ "fault of a debugger", NULL, run_read_for_debugger, SAME },
	{ "write fault of a debugger", NULL, run_write_for_debugger, SAME },
	{ "read", NULL, run_read, SAME },
	{ "write", NULL, run_write, SAME },
	{ "write after a read", prepare_read, run_write, SAME, .frugal = true },
	{ "read fault in a hole of the file", prepare_holes, run_populate_read, SAME },
	{ "write fault in a hole of the file", prepare_holes, run_populate_write, SAME },
};

const unsigned int nr_faults = ARRAY_SIZE(faults);

/* ---- The bench ---- */

static int open_sources(struct bench *b, enum source_kind kind)
{
	int err = source_open(&b->a, kind, SIZE) ?: source_fill(&b->a, A_ID);

	err = err ?: source_open(&b->b, SOURCE_MEMFD, SIZE) ?: source_fill(&b->b, B_ID);
	return err ?: source_open(&b->c, SOURCE_MEMFD, SIZE) ?: source_fill(&b->c, C_ID);
}

static int open_view(struct bench *b)
{
	int err;

	b->control = view_create(SIZE);
	if (b->control < 0)
		return b->control;
	err = view_map(b->control, b->a.fd, 0, 8 * PAGE, 0, MAP_RW) ?:
	      view_map(b->control, b->b.fd, 0, 4 * PAGE, 8 * PAGE, MAP_R) ?:
	      model_init(&b->model, PAGES);
	if (err)
		return err;
	model_map(&b->model, 0, 8, A_ID, 0, MAP_RW);
	model_map(&b->model, 8, 4, B_ID, 0, MAP_R);
	b->viewfd = view_get_fd(b->control);
	b->mem = mmap(FAR_AWAY, SIZE, PROT_RW, MAP_SHARED | MAP_FIXED_NOREPLACE, b->viewfd, 0);
	b->proc_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	return b->mem == MAP_FAILED || b->proc_mem < 0 ? -errno : 0;
}

int bench_open(struct bench *b, enum source_kind kind)
{
	memset(b, 0, sizeof(*b));
	b->b.fd = b->c.fd = -1;
	return open_sources(b, kind) ?: open_view(b);
}

void bench_close(struct bench *b)
{
	munmap(b->mem, SIZE);
	close(b->proc_mem);
	close(b->viewfd);
	close(b->control);
	source_close(&b->a);
	source_close(&b->b);
	source_close(&b->c);
	model_free(&b->model);
}

bool takes_a_page(const struct operation *op)
{
	return op->run == run_munmap_middle;
}
