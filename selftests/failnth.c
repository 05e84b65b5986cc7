// SPDX-License-Identifier: GPL-2.0
/*
 * failnth.c - P5, P8 and P9 when memory is short: every operation, with its n-th
 * allocation failing, for every n until none fails any more
 *
 * An operation that fails says so, by an errno, and has changed nothing: the
 * layout, the counters and the number of mappings are as before. Done again, with
 * all the memory it wants, it works. Nothing is left behind in the end.
 */
#include "failnth.h"
#include "lifetime.h"

/* The view: eight pages of A to write, four of B to read, and nothing. */
#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define A_ID	1
#define B_ID	2
#define C_ID	3
#define MANY	2000 /* more allocations than anything here makes */

/* Where no page table is yet: the first fault makes some, of all levels. */
#define FAR_AWAY ((void *)0x500000000000)

/* What an operation works on, and what it is to be like. */
struct bench {
	struct source a, b, c;
	int control, viewfd;
	char *mem;
	int proc_mem; /* /proc/self/mem */
	struct model model;
};

struct operation {
	const char *name;
	/* With all the memory there is: 0 or a negative errno. */
	int (*prepare)(struct bench *b);
	int (*run)(struct bench *b);
	/* What @run changes in the model, if it worked. */
	void (*expect)(struct bench *b);
	bool frugal; /* it may need no memory at all */
};

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

/* ---- Mappings ---- */

static int run_mmap(struct bench *b)
{
	char *mem = view_mmap(b->viewfd, SIZE, PROT_RW, 0);

	if (mem == MAP_FAILED)
		return -errno;
	/* Out of memory it may be here, too; the mapping is one piece. */
	while (munmap(mem, SIZE))
		if (errno != ENOMEM && errno != EFAULT)
			return -errno;
	return 0;
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

static int prepare_read(struct bench *b)
{
	return run_populate_read(b);
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

static const struct operation operations[] = {
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
};

static const struct operation mappings[] = {
	{ "mmap", NULL, run_mmap, SAME },
	{ "munmap", prepare_touched, run_munmap_middle, SAME },
	{ "mprotect", prepare_touched, run_mprotect, SAME },
	{ "mremap", prepare_touched, run_mremap, SAME },
	{ "fork", prepare_touched, run_fork, SAME },
};

static const struct operation faults[] = {
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

static int bench_open(struct bench *b, enum source_kind kind)
{
	memset(b, 0, sizeof(*b));
	b->b.fd = b->c.fd = -1;
	return open_sources(b, kind) ?: open_view(b);
}

static void bench_close(struct bench *b)
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

FIXTURE(failnth)
{
	struct klog klog;
	struct failnth f;
	long references;
	char missing[128];
};

FIXTURE_VARIANT(failnth)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(failnth, memfd) { .kind = SOURCE_MEMFD };
FIXTURE_VARIANT_ADD(failnth, ext4) { .kind = SOURCE_EXT4 };

FIXTURE_SETUP(failnth)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	if (failnth_open(&self->f, self->missing, sizeof(self->missing)))
		SKIP(return, "missing: %s", self->missing);
	if (!source_dir(variant->kind, self->missing, sizeof(self->missing)) &&
	    variant->kind != SOURCE_MEMFD)
		SKIP(return, "missing: %s", self->missing);
	self->references = module_references();
}

FIXTURE_TEARDOWN(failnth)
{
	if (self->f.fd >= 0) {
		EXPECT_TRUE(module_references_fall_to(self->references));
		failnth_close(&self->f);
	}
	EXPECT_KLOG_CLEAN(&self->klog);
}

static void check(struct __test_metadata *_metadata, struct bench *b,
		  const struct operation *op, unsigned int n, const char *when)
{
	struct view_info info;
	char why[160] = "";

	ASSERT_EQ(0, view_info(b->control, &info));
	EXPECT_EQ(failnth_count_mappings(), info.mappings)
		TH_LOG("%s, call %u, %s: mappings", op->name, n, when);
	/* The page that munmap() took is not the model's to know. */
	if (op->run == run_munmap_middle)
		return;
	EXPECT_EQ(0, model_differs(&b->model, b->control, b->mem, why, sizeof(why)))
		TH_LOG("%s, call %u, %s: %s", op->name, n, when, why);
}

/* With the n-th call failing. Returns whether there was an n-th call. */
static bool run_one(struct __test_metadata *_metadata, FIXTURE_DATA(failnth) *self,
		    enum source_kind kind, const struct operation *op)
{
	unsigned int n = self->f.n;
	struct bench b;
	bool injected;
	int err;

	ASSERT_EQ(0, bench_open(&b, kind));
	ASSERT_EQ(0, op->prepare ? op->prepare(&b) : 0);
	failnth_arm(&self->f);
	err = op->run(&b);
	injected = failnth_disarm(&self->f);
	if (err) {
		EXPECT_TRUE(injected && failnth_is_fine(err)) TH_LOG("%s, call %u: %d", op->name, n, err);
		check(_metadata, &b, op, n, "failed");
		ASSERT_EQ(0, op->run(&b)) TH_LOG("%s, call %u: not even now", op->name, n);
	}
	op->expect(&b);
	check(_metadata, &b, op, n, err ? "done again" : "done");
	bench_close(&b);
	return injected;
}

static void run_all(struct __test_metadata *_metadata, FIXTURE_DATA(failnth) *self,
		    enum source_kind kind, const struct operation *ops, unsigned int nr)
{
	unsigned int i, before;

	for (i = 0; i < nr; i++) {
		before = self->f.injected;
		self->f.n = 1;
		while (run_one(_metadata, self, kind, &ops[i]) && self->f.n < MANY)
			self->f.n++;
		TH_LOG("%s: %u faults", ops[i].name, self->f.injected - before);
		EXPECT_GT(MANY, self->f.n);
		EXPECT_TRUE(ops[i].frugal || self->f.injected > before) TH_LOG("%s", ops[i].name);
	}
}

#define RUN_ALL(ops) run_all(_metadata, self, variant->kind, ops, ARRAY_SIZE(ops))

/*
 * Catches, with the tests below: an error path that leaks, or lets go twice; a
 * change that is half done; a mapping that is counted and not made; a fault that
 * loops or crashes where it should fail.
 */
TEST_F_TIMEOUT(failnth, control, 300)
{
	RUN_ALL(operations);
}

TEST_F_TIMEOUT(failnth, mapping, 300)
{
	RUN_ALL(mappings);
}

TEST_F_TIMEOUT(failnth, fault, 300)
{
	RUN_ALL(faults);
}

/* After all of the above: the tests run in the order in which they are here. */
TEST_F(failnth, no_leak)
{
	char leak[2048] = "";
	long objects = 0;
	int try, leaks;

	/* Range objects go after a grace period. */
	for (try = 0; try < 100; try++) {
		objects = slab_objects("memview_range");
		if (objects <= 0)
			break;
		sleep_ms(100);
	}
	EXPECT_TRUE(objects == 0 || objects == -ENOENT) TH_LOG("%ld ranges are left", objects);
	leaks = memory_leaks(leak, sizeof(leak));
	if (leaks == -ENOENT)
		SKIP(return, "missing: kmemleak (CONFIG_DEBUG_KMEMLEAK)");
	EXPECT_EQ(0, leaks) TH_LOG("%s", leak);
}

TEST_HARNESS_MAIN
