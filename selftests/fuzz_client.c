// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz_client.c - what the fuzzer does with mappings of a view
 */
#include "fuzz.h"

#include <sys/uio.h>

#include "soak_exec.h"

#define CODE_OFFSET	2048
#define UNMAPPED	-1

static struct fuzz_map *map_of(const struct fuzz_op *op)
{
	return &fuzz_maps[op->obj % FUZZ_MAPS];
}

/* Not PROT_EXEC alone, which protection keys make special. */
static int prot_of(unsigned int bits)
{
	int prot = bits & (PROT_RW | PROT_EXEC);

	return prot == PROT_EXEC ? PROT_READ | PROT_EXEC : prot;
}

static void map_drop(struct fuzz_map *map)
{
	if (map->addr)
		munmap(map->addr, map->n * PAGE);
	map->addr = NULL;
}

void maps_drop(void)
{
	unsigned int i;

	for (i = 0; i < FUZZ_MAPS; i++)
		map_drop(&fuzz_maps[i]);
}

/* ---- The mapping itself ---- */

/* Any length and offset: it may well be refused. */
static int mmap_raw(int fd, const struct fuzz_op *op)
{
	uint64_t len = fuzz_value(op, 0), offset = fuzz_value(op, 1);
	bool private = op->flags & 8;
	void *mem = mmap(NULL, len, prot_of(op->flags), private ? MAP_PRIVATE : MAP_SHARED, fd,
			 offset);

	if (mem == MAP_FAILED) {
		if (errno != EINVAL && errno != ENOMEM && errno != EOVERFLOW)
			fuzz_fail("mmap: %m");
		return errno;
	}
	if (!len || offset % PAGE || private)
		fuzz_fail("mmap of %#jx bytes from %#jx succeeded", (uintmax_t)len, (uintmax_t)offset);
	munmap(mem, len);
	return 0;
}

int call_mmap(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);
	unsigned int view = (op->obj >> 4) % FUZZ_VIEWS, i;
	int fd = fuzz_views[view].viewfd[op->fd % FUZZ_VIEWFDS];

	if (fd < 0)
		return -1;
	if (op->sel[3] & 1)
		return mmap_raw(fd, op);
	map_drop(map);
	*map = (struct fuzz_map){
		.view = view,
		.first = op->num[1] % 40,
		.n = 1 + op->num[0] % (FUZZ_MAP_PAGES / 2),
		.one_vma = true,
	};
	map->addr = view_mmap(fd, map->n * PAGE, prot_of(op->flags), map->first * PAGE);
	if (map->addr == MAP_FAILED)
		fuzz_fail("mmap of %u pages from %ju: %m", map->n, (uintmax_t)map->first);
	for (i = 0; i < map->n; i++)
		map->prot[i] = prot_of(op->flags);
	return 0;
}

/* A part of a mapping that is there; *n is 0 if there is none. */
static void part_of(const struct fuzz_map *map, const struct fuzz_op *op, unsigned int *first,
		    unsigned int *n)
{
	unsigned int i, max;

	*first = *n = 0;
	if (!map->addr)
		return;
	*first = op->num[0] % map->n;
	max = 1 + op->num[1] % (map->n - *first);
	for (i = 0; i < max && map->prot[*first + i] != UNMAPPED; i++)
		++*n;
}

static void set_prot(struct fuzz_map *map, unsigned int first, unsigned int n, int prot)
{
	unsigned int i;

	for (i = first; i < first + n; i++)
		map->prot[i] = prot;
	map->one_vma &= n == map->n && prot != UNMAPPED;
}

/* Something without access takes its place, so that nothing else does. */
int call_munmap(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);
	unsigned int first, n;

	part_of(map, op, &first, &n);
	if (!n)
		return -1;
	if (!(op->flags % 4)) {
		map_drop(map);
		return 0;
	}
	if (mmap(map->addr + first * PAGE, n * PAGE, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		fuzz_fail("munmap: %m");
	set_prot(map, first, n, UNMAPPED);
	return 1;
}

int call_mprotect(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);
	unsigned int first, n;

	part_of(map, op, &first, &n);
	if (!n)
		return -1;
	if (mprotect(map->addr + first * PAGE, n * PAGE, prot_of(op->flags)))
		fuzz_fail("mprotect: %m");
	set_prot(map, first, n, prot_of(op->flags));
	return 0;
}

/* Elsewhere or shorter; never longer. */
int call_mremap(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);
	unsigned int n;
	void *place, *mem;

	if (!map->addr || !map->one_vma)
		return -1;
	n = map->n;
	if (mremap(map->addr, n * PAGE, (n + 1 + op->num[1] % 16) * PAGE, MREMAP_MAYMOVE) != MAP_FAILED)
		fuzz_fail("mremap made a mapping longer");
	if (op->flags & 1) {
		map->n = 1 + op->num[0] % n;
		mem = mremap(map->addr, n * PAGE, map->n * PAGE, 0);
	} else {
		place = mmap(NULL, n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mem = mremap(map->addr, n * PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	}
	if (mem == MAP_FAILED)
		fuzz_fail("mremap: %m");
	map->addr = mem;
	return op->flags & 1;
}

int call_madvise(const struct fuzz_op *op)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_RANDOM, MADV_SEQUENTIAL, MADV_NORMAL, MADV_WILLNEED,
		MADV_DONTFORK, MADV_DOFORK, MADV_DODUMP, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLD, MADV_PAGEOUT, MADV_FREE,
		MADV_REMOVE, MADV_COLLAPSE, MADV_MERGEABLE,
	};
	struct fuzz_map *map = map_of(op);
	unsigned int first, n, which = op->flags % ARRAY_SIZE(advices);
	int ret;

	part_of(map, op, &first, &n);
	if (!n)
		return -1;
	ret = madvise(map->addr + first * PAGE, n * PAGE, advices[which]) ? errno : 0;
	map->one_vma &= n == map->n;
	/* A child must find what its parent has. */
	if (advices[which] == MADV_DONTFORK)
		madvise(map->addr + first * PAGE, n * PAGE, MADV_DOFORK);
	if (!ret && (advices[which] == MADV_FREE || advices[which] == MADV_REMOVE ||
		     advices[which] == MADV_COLLAPSE))
		fuzz_fail("madvise %d succeeded", advices[which]);
	return ret * 32 + which;
}

/* ---- Accesses ---- */

enum access { READ, WRITE, UPGRADE, EXEC, GUP_READ, GUP_WRITE, ACCESSES };

static bool writes(enum access access)
{
	return access == WRITE || access == UPGRADE || access == GUP_WRITE;
}

static int gup(char *addr, uint64_t *value, bool write)
{
	struct iovec local = { value, sizeof(*value) }, remote = { addr, sizeof(*value) };
	ssize_t n = write ? process_vm_writev(getpid(), &local, 1, &remote, 1, 0) :
			    process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	return n == sizeof(*value) ? 0 : -1;
}

static int do_access(char *addr, enum access access, uint64_t *value)
{
	uint64_t ignored;

	switch (access) {
	case READ:
		return probe_read(addr, value);
	case UPGRADE:
		probe_read(addr, &ignored);
		/* fall through */
	case WRITE:
		return probe_write(addr, *value);
	case EXEC:
		return probe_code(addr + CODE_OFFSET, value);
	default:
		return gup(addr, value, access == GUP_WRITE);
	}
}

/* The signal that an access must raise; or 0, and what it must read. */
static int expected(const struct fuzz_map *map, unsigned int page, enum access access,
		    uint64_t *value)
{
	const struct fuzz_range *range = model_find(&fuzz_views[map->view], map->first + page);
	int prot = map->prot[page], sig;
	bool has_code;
	uint64_t file_page;

	if (prot == UNMAPPED || !prot || (writes(access) && !(prot & PROT_WRITE)) ||
	    (access == GUP_READ && !(prot & PROT_READ)))
		return SIGSEGV;
	if (!range)
		return SIGBUS;
	if ((writes(access) && !(range->flags & MEMVIEW_MAP_WRITE)) ||
	    (access == EXEC && !(prot & PROT_EXEC && range->flags & MEMVIEW_MAP_EXEC)))
		return SIGSEGV;
	file_page = range->file_first + (map->first + page - range->first);
	sig = source_page(range->source, file_page, value, &has_code);
	if (!sig && access == EXEC)
		return has_code ? 0 : SIGSEGV;
	return sig;
}

static void wrote(const struct fuzz_map *map, unsigned int page, uint64_t value)
{
	const struct fuzz_range *range = model_find(&fuzz_views[map->view], map->first + page);

	source_written(range->source, range->file_first + (map->first + page - range->first), value);
}

static int check_access(const struct fuzz_map *map, unsigned int page, enum access access)
{
	static uint64_t written;
	uint64_t value = ++written << 32 | 0xf0220000, want_value = 0, seen = value;
	int want = expected(map, page, access, &want_value);
	int sig = do_access(map->addr + page * PAGE, access, &seen);

	if (sig == -1 ? !want : sig != want)
		fuzz_fail("access %d of page %ju of view %u met signal %d, and should have %d", access,
			  (uintmax_t)map->first + page, map->view, sig, want);
	if (!sig && (access == READ || access == GUP_READ) && seen != want_value)
		fuzz_fail("page %ju of view %u has %#jx, and should have %#jx",
			  (uintmax_t)map->first + page, map->view, (uintmax_t)seen,
			  (uintmax_t)want_value);
	if (!sig && writes(access))
		wrote(map, page, value);
	return want * 8 + access;
}

int call_access(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);

	if (!map->addr)
		return -1;
	return check_access(map, op->num[0] % map->n, op->flags % ACCESSES);
}

int call_compare(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);
	struct fuzz_view *view = &fuzz_views[map->view];
	unsigned int page;

	if (!map->addr)
		return -1;
	for (page = 0; page < map->n; page++)
		check_access(map, page, op->flags & 1 ? GUP_READ : READ);
	if (view->control >= 0)
		model_check_info(view, view->control);
	return 0;
}

/* A child has what its parent has; what it writes is not looked for. */
int call_fork(const struct fuzz_op *op)
{
	struct fuzz_map *map = map_of(op);
	int status;
	pid_t pid;

	if (!map->addr)
		return -1;
	pid = fork();
	if (!pid) {
		check_access(map, op->num[0] % map->n, op->flags & 1 ? READ : EXEC);
		check_access(map, op->num[1] % map->n, READ);
		if (op->flags & 2)
			map_drop(map);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fuzz_fail("a forked child failed");
	return 0;
}
