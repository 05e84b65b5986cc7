// SPDX-License-Identifier: GPL-2.0
/*
 * soak_client.c - the clients of the soak test: each thread has a mapping of a
 * view, with which it does what a process can do, and through which it looks
 */
#define MEMVIEW_TEST_NO_HARNESS
#include "soak.h"

#include <sys/prctl.h>

#define GONE	-1 /* in place of a protection: nothing of a view is mapped there */

/* The mapping of this thread: @n pages from page @first of the view. */
static __thread struct window {
	struct soak_view *view;
	unsigned int first, n;
	char *mem;
	int prot[SOAK_PAGES];
	bool one_vma;
	unsigned int changed; /* where the latest change of this mapping begins */
} window;

/* Pages [@first, @first + @n) of the window. */
struct part {
	unsigned int first, n;
};

static struct part random_part(void)
{
	struct part part = { .first = soak_below(4) ? soak_view_page() - window.first : 0 };

	if (part.first >= window.n)
		part.first = soak_below(window.n);
	part.n = 1 + soak_below(soak_below(4) ? 8 : SOAK_PAGES);
	if (part.n > window.n - part.first)
		part.n = window.n - part.first;
	return part;
}

static unsigned int count_gone(struct part part)
{
	unsigned int i, n = 0;

	for (i = part.first; i < part.first + part.n; i++)
		n += window.prot[i] == GONE;
	return n;
}

static void set_prot(struct part part, int prot)
{
	unsigned int i;

	for (i = part.first; i < part.first + part.n; i++)
		window.prot[i] = prot;
	window.one_vma &= part.n == window.n;
	window.changed = part.first;
}

static void log_part(struct log_entry *entry, struct part part, unsigned int flags)
{
	entry->view = window.view - world->view;
	entry->page = window.first + part.first;
	entry->n = part.n;
	entry->flags = flags;
}

/* ---- What changes the mapping ---- */

static int random_prot(void)
{
	static const int prots[] = {
		PROT_RW, PROT_RW | PROT_EXEC, PROT_RW | PROT_EXEC, PROT_READ,
		PROT_READ | PROT_EXEC, PROT_NONE, PROT_RW | PROT_EXEC, PROT_WRITE,
	};

	return prots[soak_below(ARRAY_SIZE(prots))];
}

static void op_mmap(void)
{
	struct log_entry *entry = log_begin(OP_MMAP);
	int prot = random_prot();

	if (window.mem)
		munmap(window.mem, window.n * PAGE);
	window.view = &world->view[soak_below(SOAK_VIEWS)];
	window.first = soak_below(2) ? soak_view_page() : 0;
	window.n = SOAK_PAGES - window.first;
	if (!soak_below(4))
		window.n = 1 + soak_below(window.n);
	window.mem = view_mmap(window.view->viewfd, window.n * PAGE, prot, window.first * PAGE);
	window.one_vma = true;
	set_prot((struct part){ 0, window.n }, prot);
	log_part(entry, (struct part){ 0, window.n }, prot);
	log_end(entry, window.mem == MAP_FAILED ? -errno : 0);
	if (window.mem == MAP_FAILED) {
		soak_fail("thread %u: mmap: %m", self->index);
		window.mem = NULL;
	}
}

/* What is left in its place keeps others from using it. */
static void op_munmap(void)
{
	struct log_entry *entry = log_begin(OP_MUNMAP);
	struct part part = random_part();
	void *mem = mmap(window.mem + part.first * PAGE, part.n * PAGE, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	set_prot(part, GONE);
	window.one_vma = false;
	log_part(entry, part, 0);
	log_end(entry, mem == MAP_FAILED ? -errno : 0);
	if (mem == MAP_FAILED)
		soak_fail("thread %u: munmap: %m", self->index);
}

static void op_mprotect(void)
{
	struct log_entry *entry = log_begin(OP_MPROTECT);
	struct part part = random_part();
	int prot = random_prot(), ret;
	unsigned int i;

	for (i = 0; i < part.n; i++)
		if (window.prot[part.first + i] == GONE)
			part.n = i;
	ret = mprotect(window.mem + part.first * PAGE, part.n * PAGE, prot) ? -errno : 0;
	if (part.n)
		set_prot(part, prot);
	log_part(entry, part, prot);
	log_end(entry, ret);
	if (ret)
		soak_fail("thread %u: mprotect: %d", self->index, ret);
}

/* To somewhere else, or shorter; never longer than it was mapped. */
static void op_mremap(void)
{
	struct log_entry *entry = log_begin(OP_MREMAP);
	size_t size = window.n * PAGE;
	void *place, *mem;

	log_part(entry, (struct part){ 0, window.n }, 0);
	if (!window.one_vma) {
		log_end(entry, 0);
		return;
	}
	mem = mremap(window.mem, size, size + PAGE, MREMAP_MAYMOVE);
	if (mem != MAP_FAILED)
		soak_fail("thread %u: mremap made a mapping longer", self->index);
	if (window.n > 1 && !soak_below(4)) {
		window.n -= 1 + soak_below(window.n - 1);
		mem = mremap(window.mem, size, window.n * PAGE, 0);
	} else {
		place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mem = mremap(window.mem, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, place);
	}
	log_end(entry, mem == MAP_FAILED ? -errno : 0);
	if (mem == MAP_FAILED)
		soak_fail("thread %u: mremap: %m", self->index);
	else
		window.mem = mem;
}

static void op_madvise(void)
{
	static const int advices[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_DONTNEED, MADV_PAGEOUT, MADV_COLD,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_RANDOM, MADV_SEQUENTIAL,
		MADV_NORMAL, MADV_WILLNEED, MADV_FREE, MADV_REMOVE, MADV_HUGEPAGE,
		MADV_COLLAPSE, MADV_MERGEABLE,
	};
	struct log_entry *entry = log_begin(OP_MADVISE);
	int advice = advices[soak_below(ARRAY_SIZE(advices))];
	struct part part = random_part();
	unsigned int gone = count_gone(part);
	int ret = madvise(window.mem + part.first * PAGE, part.n * PAGE, advice) ? -errno : 0;

	/* Some are flags of a VMA, which is cut to have them. */
	window.one_vma &= part.n == window.n;
	log_part(entry, part, advice);
	log_end(entry, ret);
	if (!ret && !gone && (advice == MADV_FREE || advice == MADV_REMOVE || advice == MADV_COLLAPSE))
		soak_fail("thread %u: madvise %d succeeded", self->index, advice);
}

/* ---- Accesses ---- */

/* Anywhere, or where something has changed or is just changing. */
static unsigned int interesting_page(void)
{
	unsigned int page;

	switch (soak_below(4)) {
	case 0:
		page = window.changed + soak_below(4);
		break;
	case 1:
		page = atomic_load(&window.view->hot) + soak_below(4) - window.first;
		break;
	default:
		page = soak_view_page() - window.first;
	}
	return page < window.n ? page : soak_below(window.n);
}

static void look(void)
{
	unsigned int page = interesting_page();
	int prot = window.prot[page];

	soak_access(window.view, window.first + page, window.mem + page * PAGE,
		    prot == GONE ? PROT_NONE : prot, soak_access_op());
}

/* With the page table entries of the moment, now or later. */
static void __attribute__((noreturn)) child_main(pid_t parent)
{
	unsigned int i, n = soak_below(60);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	soak_is_child = true;
	if (soak_below(2))
		usleep(soak_below(20000));
	for (i = 0; i < n; i++)
		look();
	_exit(0);
}

static void op_fork(void)
{
	struct log_entry *entry = log_begin(OP_FORK);
	pid_t parent = getpid(), pid = fork();
	int status = 0;

	if (!pid)
		child_main(parent);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		soak_fail("thread %u: fork: %m", self->index);
	else if (status)
		soak_fail("thread %u: its child ended with status %#x", self->index, status);
	log_end(entry, status);
}

void client_step(void)
{
	static const struct {
		enum op op;
		void (*run)(void);
	} ops[] = {
		{ OP_MMAP, op_mmap },	      { OP_MUNMAP, op_munmap },	  { OP_MPROTECT, op_mprotect },
		{ OP_MPROTECT, op_mprotect }, { OP_MREMAP, op_mremap },	  { OP_MADVISE, op_madvise },
		{ OP_MADVISE, op_madvise },   { OP_MADVISE, op_madvise }, { OP_FORK, op_fork },
	};
	unsigned int i, n = 1 + soak_below(40);

	if (!window.mem)
		op_mmap();
	for (i = 0; i < n && window.mem; i++)
		look();
	i = soak_below(ARRAY_SIZE(ops));
	if (window.mem && op_enabled(ops[i].op))
		ops[i].run();
}
