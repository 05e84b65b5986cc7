// SPDX-License-Identifier: GPL-2.0
/*
 * revoke_flush.c - P1, P4 and P9 where a client is about to unmap, move or split
 * what is taken away: there is no entry any more in its page tables, or not yet,
 * but CPUs have translations, or there will be one
 *
 * A thread of the client is held up there, on a CPU of its own. What waits for it
 * does so with its CPU, too: so the thread goes on by itself after a second.
 */
#include "huge.h"

#include <bpf/libbpf.h>
#include <linux/falloc.h>

#include "stall_thread.skel.h"

#define SECOND	1000000000ULL
#define TAG	1

FIXTURE(revoke_flush)
{
	struct source src;
	int control;
	char *mem, *to;
	struct ready mover;
	struct stall_thread *stall;
	struct klog klog;
};

FIXTURE_SETUP(revoke_flush)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "missing: a second CPU");
	OPEN_HUGE_OR_SKIP(&self->src, HUGE_MEMFD, 2 * HUGE, TAG);
	self->control = view_create(HUGE);
	ASSERT_LE(0, self->control);
	ASSERT_EQ(0, view_map(self->control, self->src.fd, 0, HUGE, 0, MAP_RW));
	self->mem = huge_room(HUGE, 0);
	self->to = huge_room(HUGE, 0);
	ASSERT_TRUE(self->mem && self->to);
	ASSERT_EQ(self->mem, mmap(self->mem, HUGE, PROT_RW, MAP_SHARED | MAP_FIXED,
				  view_get_fd(self->control), 0));
	self->stall = stall_thread__open();
	ASSERT_NE(NULL, self->stall);
	self->stall->bss->longest_ns = SECOND;
}

FIXTURE_TEARDOWN(revoke_flush)
{
	stall_thread__destroy(self->stall);
	close(self->control);
	source_close(&self->src);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* Have the thread do its work, up to where @prog holds it up. */
static bool hold_up(struct __test_metadata *_metadata, FIXTURE_DATA(revoke_flush) *self,
		    struct bpf_program *prog, void (*work)(void *self))
{
	EXPECT_EQ(0, bpf_program__set_autoload(prog, true));
	EXPECT_EQ(0, stall_thread__load(self->stall));
	EXPECT_EQ(0, run_on_cpu(1));
	EXPECT_EQ(0, ready_start(&self->mover, work, self, 0));
	self->stall->bss->tid = self->mover.tid;
	EXPECT_EQ(0, stall_thread__attach(self->stall));
	ready_begin(&self->mover);
	return WAIT_FOR(self->stall->bss->stalled || self->mover.done, 10000) &&
	       self->stall->bss->stalled;
}

static void end(FIXTURE_DATA(revoke_flush) *self)
{
	self->stall->bss->go = 1;
	ready_join(&self->mover);
	stall_thread__detach(self->stall);
}

static bool kernel_has(const char *function)
{
	return libbpf_find_vmlinux_btf_id(function, BPF_TRACE_FENTRY) > 0;
}

/* ---- munmap() ---- */

struct reader {
	const char *at;
	_Atomic unsigned long reads;
	_Atomic bool revoked;
	int sig;
	uint64_t value;
	pthread_t thread;
};

/* Reads all the time, so that its CPU has a translation; and once more after. */
static void *read_on(void *arg)
{
	struct reader *reader = arg;
	uint64_t value;
	bool last;

	run_on_cpu(1);
	do {
		last = reader->revoked;
		reader->sig = probe_read(reader->at, &value);
		reader->reads++;
	} while (!last && !reader->sig);
	reader->value = value;
	return NULL;
}

static void unmap(void *arg)
{
	FIXTURE_DATA(revoke_flush) *self = arg;

	munmap(self->mem, HUGE);
}

/*
 * Catches: a revoke that looks for mappings where munmap() has removed one, and
 * does not see that another thread can still use it.
 */
TEST_F(revoke_flush, munmap)
{
	struct reader reader = { .at = self->mem };

	if (!kernel_has("unlink_file_vma_batch_final"))
		SKIP(return, "missing: where to hold up munmap()");
	self->stall->bss->longest_ns = 10 * SECOND;
	ASSERT_EQ(0, madvise(self->mem, HUGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, pthread_create(&reader.thread, NULL, read_on, &reader));
	EXPECT_TRUE(WAIT_FOR(reader.reads > 100, 10000));
	EXPECT_TRUE(hold_up(_metadata, self, self->stall->progs.unlinked, unmap));
	EXPECT_EQ(0, view_unmap(self->control, 0, HUGE));
	EXPECT_FALSE(self->stall->bss->ended);
	EXPECT_EQ(0, fd_write_u64(self->src.fd, 0, 42));
	reader.revoked = true;
	sleep_ms(200);
	end(self);
	pthread_join(reader.thread, NULL);
	EXPECT_NE(0, reader.sig) TH_LOG("read %lu", reader.value);
}

/*
 * Catches: a revoke that flushes a process for each mapping that it has of the
 * view, or for each span that is taken away.
 */
TEST_F(revoke_flush, once_a_process)
{
	struct memview_batch_op ops[16];
	uint32_t failed;
	int i, viewfd;

	if (!kernel_has("unlink_file_vma_batch_final"))
		SKIP(return, "missing: where to hold up munmap()");
	self->stall->bss->longest_ns = 10 * SECOND;
	viewfd = view_get_fd(self->control);
	ASSERT_LE(0, viewfd);
	for (i = 0; i < 64; i++)
		ASSERT_NE(MAP_FAILED, view_mmap(viewfd, HUGE, PROT_RW, 0));
	ASSERT_EQ(0, madvise(self->mem, HUGE, MADV_NOHUGEPAGE));
	for (i = 0; i < 16; i++) {
		ops[i] = batch_unmap(2 * i * PAGE, PAGE);
		ASSERT_EQ(0, probe_write(self->mem + 2 * i * PAGE, 1));
	}
	EXPECT_EQ(0, bpf_program__set_autoload(kernel_has("zap_vma_range") ?
						       self->stall->progs.zap :
						       self->stall->progs.on_each_cpu,
					       true));
	EXPECT_TRUE(hold_up(_metadata, self, self->stall->progs.unlinked, unmap));
	EXPECT_EQ(0, view_batch(self->control, ops, 16, &failed));
	EXPECT_FALSE(self->stall->bss->ended);
	EXPECT_EQ(1, self->stall->bss->flushes);
	end(self);
}

/* ---- Huge pages ---- */

static void split(void *arg)
{
	FIXTURE_DATA(revoke_flush) *self = arg;

	madvise(self->mem + 7 * PAGE, PAGE, MADV_DONTNEED);
}

static bool map_huge(const char *mem)
{
	uint64_t value;

	return !probe_read(mem, &value) && mapped_huge(mem, HUGE) == HUGE;
}

/* Catches: a revoke that does not wait for the flush of an entry that is gone. */
TEST_F(revoke_flush, split)
{
	ASSERT_TRUE(map_huge(self->mem));
	EXPECT_TRUE(hold_up(_metadata, self, self->stall->progs.flush, split));
	EXPECT_EQ(0, view_unmap(self->control, 0, HUGE));
	EXPECT_TRUE(self->stall->bss->ended);
	end(self);
}

/* Catches: a page that leaves its file while the kernel thinks that it is mapped. */
TEST_F(revoke_flush, punch)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	ASSERT_TRUE(map_huge(self->mem));
	EXPECT_TRUE(hold_up(_metadata, self, self->stall->progs.flush, split));
	EXPECT_EQ(0, fallocate(self->src.fd, punch, 0, HUGE));
	EXPECT_TRUE(self->stall->bss->ended);
	end(self);
}

static void move_away(void *arg)
{
	FIXTURE_DATA(revoke_flush) *self = arg;

	mremap(self->mem, HUGE, HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, self->to);
}

/* Catches: an entry that a revoke finds neither in the old place nor in the new. */
TEST_F(revoke_flush, mremap)
{
	uint64_t value;

	if (!kernel_has("__page_table_check_pmd_clear"))
		SKIP(return, "missing: CONFIG_PAGE_TABLE_CHECK");
	ASSERT_TRUE(map_huge(self->mem));
	if (!hold_up(_metadata, self, self->stall->progs.cleared, move_away)) {
		end(self);
		SKIP(return, "missing: page_table_check=on");
	}
	EXPECT_EQ(0, view_unmap(self->control, 0, HUGE));
	EXPECT_TRUE(self->stall->bss->ended);
	end(self);
	EXPECT_EQ(SIGBUS, probe_read(self->to, &value));
	EXPECT_EQ(SIGBUS, probe_write(self->to, 1));
}

TEST_HARNESS_MAIN
