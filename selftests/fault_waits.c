// SPDX-License-Identifier: GPL-2.0
/*
 * fault_waits.c - P5, P9: no fault waits for a task that changes the layout
 *
 * Such a task may be throttled by its cgroups, in an allocation or wherever it can be
 * preempted, for seconds; and a change may take away a million ranges. Here it is held
 * up in each of these places, and a client's access must end before it goes on.
 */
#include "memview_test.h"

#include <bpf/libbpf.h>

#include "stall_thread.skel.h"

#define SECOND	1000000000ULL
#define TAG	1
#define RANGES	64UL /* after the page that the client accesses */
#define SIZE	((1 + RANGES) * PAGE)

FIXTURE(fault_waits)
{
	struct source src, other;
	int control;
	char *mem;
	struct stall_thread *stall;
	struct ready changer;
	int change_err;
	struct klog klog;
};

FIXTURE_VARIANT(fault_waits)
{
	enum source_kind kind;
};

FIXTURE_VARIANT_ADD(fault_waits, memfd) { .kind = SOURCE_MEMFD };
FIXTURE_VARIANT_ADD(fault_waits, ext4) { .kind = SOURCE_EXT4 };

FIXTURE_SETUP(fault_waits)
{
	unsigned long i;
	uint64_t value;

	ASSERT_EQ(0, klog_start(&self->klog));
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "missing: a second CPU");
	SOURCE_OPEN_OR_SKIP(&self->src, variant->kind, PAGE);
	ASSERT_EQ(0, source_fill(&self->src, TAG));
	ASSERT_EQ(0, source_open(&self->other, SOURCE_MEMFD, PAGE));
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, PAGE, 0, MAP_RW));
	for (i = 1; i <= RANGES; i++)
		ASSERT_EQ(0, view_map(self->control, self->other.fd, 0, PAGE, i * PAGE, MAP_RW));
	self->mem = view_mmap(view_get_fd(self->control), SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	/* A page table is there, and the last PTE: what is held up need not make one. */
	ASSERT_EQ(0, probe_read(self->mem + SIZE - PAGE, &value));
	self->stall = stall_thread__open();
	ASSERT_TRUE(self->stall);
}

FIXTURE_TEARDOWN(fault_waits)
{
	if (!self->stall)
		return;
	stall_thread__destroy(self->stall);
	munmap(self->mem, SIZE);
	close(self->control);
	source_close(&self->other);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Take away all ranges but the first. */
static void change(void *arg)
{
	FIXTURE_DATA(fault_waits) *self = arg;

	self->change_err = view_unmap(self->control, PAGE, RANGES * PAGE);
}

static void change_batch(void *arg)
{
	FIXTURE_DATA(fault_waits) *self = arg;
	struct memview_batch_op ops[RANGES / 2];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++)
		ops[i] = batch_unmap((2 + 2 * i) * PAGE, PAGE);
	self->change_err = view_batch(self->control, ops, ARRAY_SIZE(ops), NULL);
}

static bool has_function(const char *name)
{
	char text[128];

	snprintf(text, sizeof(text), "grep -qw '%s$' /proc/kallsyms", name);
	return !system(text);
}

/* Have the thread held up where @prog says, until told to go on. */
static int hold_up(struct stall_thread *stall, struct bpf_program *prog, struct ready *ready)
{
	int err = bpf_program__set_autoload(prog, true) ?:
		  bpf_program__set_autoload(stall->progs.change_begins, true);

	if (prog == stall->progs.change_allocates && has_function("kmem_cache_prefill_sheaf"))
		err = err ?: bpf_program__set_autoload(stall->progs.change_prefills, true);
	stall->bss->longest_ns = 10 * SECOND * slowness();
	stall->bss->tid = ready->tid;
	return err ?: stall_thread__load(stall) ?: stall_thread__attach(stall);
}

/*
 * @sig: What the client shall get at the last page meanwhile: whether the change is
 * there yet.
 *
 * Catches: a fault that waits for a lock that the change holds at this place.
 */
static void check(struct __test_metadata *_metadata, FIXTURE_DATA(fault_waits) *self,
		  struct bpf_program *prog, void (*work)(void *arg), int sig)
{
	struct stall_thread *stall = self->stall;
	uint64_t value = 0;

	ASSERT_EQ(0, run_on_cpu(0));
	ASSERT_EQ(0, ready_start(&self->changer, work, self, 1));
	ASSERT_EQ(0, hold_up(stall, prog, &self->changer));
	ready_begin(&self->changer);
	if (!WAIT_FOR(stall->bss->stalled || self->changer.done, 10000) || !stall->bss->stalled) {
		ready_join(&self->changer);
		SKIP(return, "missing: a kernel that comes by this place");
	}
	EXPECT_EQ(0, probe_read(self->mem, &value));
	EXPECT_EQ(0, probe_write(self->mem, 1));
	EXPECT_EQ(0, madvise(self->mem + SIZE - PAGE, PAGE, MADV_DONTNEED));
	EXPECT_EQ(sig, probe_read(self->mem + SIZE - PAGE, &value));
	EXPECT_FALSE(stall->bss->ended);
	stall->bss->go = 1;
	ready_join(&self->changer);
	EXPECT_EQ(0, self->change_err);
	EXPECT_EQ(SIGBUS, probe_read(self->mem + SIZE - PAGE, &value));
}

TEST_F(fault_waits, for_memory)
{
	check(_metadata, self, self->stall->progs.change_allocates, change, 0);
}

/* The change looks at each range first; then it has them go, when no fault finds them. */
TEST_F(fault_waits, for_many_ranges)
{
	if (!has_function("__cond_resched"))
		SKIP(return, "missing: __cond_resched(), which fully preemptible kernels lack");
	self->stall->bss->skip = RANGES + RANGES / 2;
	check(_metadata, self, self->stall->progs.change_drops, change, SIGBUS);
}

/* All of a batch is there, and no store to the tree has been done. */
TEST_F(fault_waits, for_a_batch)
{
	check(_metadata, self, self->stall->progs.change_finishes, change_batch, SIGBUS);
}

TEST_HARNESS_MAIN
