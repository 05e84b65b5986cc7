// SPDX-License-Identifier: GPL-2.0
/*
 * kfuncs.c - what BPF programs learn about views is what fdinfo tells, the
 * iterators find all there is, and a revoke takes away what it says
 */
#include "policy.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>

#include "kfuncs.skel.h"
#include "tracing.skel.h"

#define PAGES	16
#define SIZE	(PAGES * PAGE)
#define FILE_ID	7

FIXTURE(kfuncs)
{
	struct klog klog;
	struct kfuncs *k;
	int memfd;
	int control;
	int viewfd;
	char *mem;
	u64 id;
	struct model model;
};

FIXTURE_SETUP(kfuncs)
{
	ASSERT_EQ(0, klog_start(&self->klog));
	self->k = kfuncs__open_and_load();
	ASSERT_NE(NULL, self->k);
	self->memfd = memfd_filled(SIZE, FILE_ID);
	self->control = view_create(SIZE);
	ASSERT_LE(0, self->control);
	self->id = view_id(self->control);
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, 8 * PAGE, 0, MAP_RW));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 8 * PAGE, 4 * PAGE, 12 * PAGE, MAP_R));
	self->viewfd = view_get_fd(self->control);
	self->mem = view_mmap(self->viewfd, SIZE, PROT_RW, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, model_init(&self->model, PAGES));
	model_map(&self->model, 0, 8, FILE_ID, 0, MAP_RW);
	model_map(&self->model, 12, 4, FILE_ID, 8, MAP_R);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	self->k->bss->id = self->id;
}

FIXTURE_TEARDOWN(kfuncs)
{
	kfuncs__destroy(self->k);
	model_free(&self->model);
	EXPECT_KLOG_CLEAN(&self->klog);
}

/* ---- Properties ---- */

static void check_info(struct __test_metadata *_metadata, FIXTURE_DATA(kfuncs) *self)
{
	struct memview_info *got = &self->k->bss->info;
	struct view_info want = {};

	memset(got, 0xff, sizeof(*got));
	ASSERT_EQ(0, view_info(self->control, &want));
	ASSERT_EQ(0, run_program(self->k->progs.get_info));
	ASSERT_EQ(0, self->k->bss->result);
	EXPECT_EQ(want.id, got->id);
	EXPECT_EQ(want.size, got->size);
	EXPECT_EQ(want.ranges, got->ranges);
	EXPECT_EQ(want.bytes, got->bytes);
	EXPECT_EQ(want.mappings, got->mappings);
	EXPECT_EQ(want.faults, got->faults);
	EXPECT_EQ(want.fault_errors, got->fault_errors);
	EXPECT_EQ(want.changes, got->changes);
	EXPECT_EQ(want.zaps, got->zaps);
	EXPECT_EQ(want.invalidates, got->invalidates);
	EXPECT_EQ(getpid(), got->owner_pid);
	EXPECT_EQ(getuid(), got->owner_uid);
}

TEST_F(kfuncs, info_is_fdinfo)
{
	check_info(_metadata, self);
	EXPECT_EQ(2, self->k->bss->info.ranges);
	EXPECT_EQ(12 * PAGE, self->k->bss->info.bytes);
	EXPECT_EQ(1, self->k->bss->info.mappings);
	ASSERT_EQ(0, view_unmap(self->control, 2 * PAGE, PAGE));
	ASSERT_EQ(0, mprotect(self->mem + PAGE, PAGE, PROT_READ));
	EXPECT_EQ(SIGBUS, probe_write(self->mem + 2 * PAGE, 1));
	ASSERT_EQ(0, view_resize(self->control, 13 * PAGE + 5));
	check_info(_metadata, self);
	EXPECT_EQ(3, self->k->bss->info.ranges);
	EXPECT_EQ(9 * PAGE, self->k->bss->info.bytes);
	EXPECT_EQ(3, self->k->bss->info.mappings);
	EXPECT_EQ(13 * PAGE + 5, self->k->bss->info.size);
	ASSERT_EQ(0, fallocate(self->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	check_info(_metadata, self);
	EXPECT_LT(0, self->k->bss->info.invalidates);
}

/* The ID of a cgroup is the inode number of its directory. */
static uint64_t own_cgroup(void)
{
	char text[512], path[600], *at;
	struct stat st;

	if (read_file("/proc/self/cgroup", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "0::");
	if (!at)
		return 0;
	at[strcspn(at, "\n")] = 0;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%s", at + 3);
	return stat(path, &st) ? 0 : st.st_ino;
}

/* The one who opened it, whoever holds it now. */
TEST_F(kfuncs, owner)
{
	int ends[2], control, status;
	uint64_t cgroup = own_cgroup();
	struct kfuncs__bss *b = self->k->bss;
	pid_t pid;

	ASSERT_NE(0, cgroup);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	ASSERT_EQ(0, chmod(MEMVIEW_DEV, 0666));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		if (setresuid(1234, 1234, 1234))
			_exit(1);
		_exit(send_fd(ends[1], view_create(PAGE)) != 0);
	}
	control = recv_fd(ends[0]);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, chmod(MEMVIEW_DEV, 0660));
	ASSERT_LE(0, control);
	b->id = view_id(control);
	ASSERT_EQ(0, run_program(self->k->progs.get_info));
	EXPECT_EQ(pid, b->info.owner_pid);
	EXPECT_EQ(1234, b->info.owner_uid);
	EXPECT_EQ(cgroup, b->info.owner_cgroup);
}

TEST_F(kfuncs, from_a_tracepoint)
{
	struct tracing *t = tracing__open_and_load();
	struct view_info want = {};

	ASSERT_NE(NULL, t);
	ASSERT_EQ(0, tracing__attach(t));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 9 * PAGE, MAP_R));
	ASSERT_EQ(0, view_info(self->control, &want));
	EXPECT_EQ(1, t->bss->found);
	EXPECT_EQ(self->id, t->bss->info.id);
	EXPECT_EQ(3, t->bss->info.ranges);
	EXPECT_EQ(want.bytes, t->bss->info.bytes);
	EXPECT_EQ(want.changes, t->bss->info.changes);
	tracing__destroy(t);
}

/* ---- Finding them ---- */

TEST_F(kfuncs, unknown_id)
{
	static const u64 ids[] = { 0, ~0ULL, 1ULL << 63, 1ULL << 32 };
	struct kfuncs__bss *b = self->k->bss;
	u64 later = self->id + 1;
	unsigned int i;
	int control;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		b->id = ids[i];
		ASSERT_EQ(0, run_program(self->k->progs.get_info));
		EXPECT_EQ(-ENOENT, b->result);
	}
	b->id = later;
	ASSERT_EQ(0, run_program(self->k->progs.get_info));
	EXPECT_EQ(-ENOENT, b->result);
	control = view_create(PAGE);
	ASSERT_EQ(later, view_id(control));
	ASSERT_EQ(0, run_program(self->k->progs.get_info));
	EXPECT_EQ(0, b->result);
	/* Gone with its last user, and never back. */
	close(control);
	ASSERT_EQ(0, run_program(self->k->progs.get_info));
	EXPECT_EQ(-ENOENT, b->result);
	control = view_create(PAGE);
	EXPECT_LT(later, view_id(control));
}

TEST_F(kfuncs, all_views)
{
	struct kfuncs__bss *b = self->k->bss;
	int controls[5];
	unsigned int i;

	ASSERT_EQ(0, run_program(self->k->progs.list_views));
	ASSERT_EQ(1, b->nr);
	EXPECT_EQ(self->id, b->ids[0]);
	for (i = 0; i < 5; i++)
		controls[i] = view_create(PAGE);
	/* The third goes; of the second only a mapping is left. */
	close(controls[2]);
	i = view_get_fd(controls[1]);
	ASSERT_NE(MAP_FAILED, view_mmap(i, PAGE, PROT_READ, 0));
	close(i);
	close(controls[1]);
	ASSERT_EQ(0, run_program(self->k->progs.list_views));
	ASSERT_EQ(5, b->nr);
	EXPECT_EQ(self->id, b->ids[0]);
	EXPECT_EQ(self->id + 1, b->ids[1]);
	EXPECT_EQ(self->id + 2, b->ids[2]);
	EXPECT_EQ(self->id + 4, b->ids[3]);
	EXPECT_EQ(self->id + 5, b->ids[4]);
}

TEST_F(kfuncs, all_ranges)
{
	struct kfuncs__bss *b = self->k->bss;
	const struct {
		u64 offset, size, fd_offset;
		u32 flags;
	} want[] = {
		{ 0, 2 * PAGE, 0, MAP_RW },
		{ 2 * PAGE, PAGE, 5 * PAGE, MAP_RX },
		{ 3 * PAGE, PAGE, 3 * PAGE, MAP_RW },
		{ 6 * PAGE, 2 * PAGE, 6 * PAGE, MAP_RW },
		{ 12 * PAGE, 4 * PAGE, 8 * PAGE, MAP_R },
	};
	struct stat st;
	unsigned int i;

	ASSERT_EQ(0, view_map(self->control, self->memfd, 5 * PAGE, PAGE, 2 * PAGE, MAP_RX));
	ASSERT_EQ(0, view_unmap(self->control, 4 * PAGE, 2 * PAGE));
	ASSERT_EQ(0, fstat(self->memfd, &st));
	ASSERT_EQ(0, run_program(self->k->progs.list_ranges));
	ASSERT_EQ(0, b->result);
	ASSERT_EQ(ARRAY_SIZE(want), b->nr);
	for (i = 0; i < ARRAY_SIZE(want); i++) {
		EXPECT_EQ(want[i].offset, b->ranges[i].offset);
		EXPECT_EQ(want[i].size, b->ranges[i].size);
		EXPECT_EQ(want[i].fd_offset, b->ranges[i].fd_offset);
		EXPECT_EQ(want[i].flags, b->ranges[i].flags);
		EXPECT_EQ(0, b->ranges[i].reserved);
		EXPECT_EQ(MEMVIEW_SOURCE_MEMFD, b->ranges[i].source.kind);
		EXPECT_EQ(st.st_ino, b->ranges[i].source.ino);
		EXPECT_EQ(makedev(b->ranges[i].source.dev >> 20,
				  b->ranges[i].source.dev & 0xfffff), st.st_dev);
		EXPECT_EQ(SIZE, b->ranges[i].source.size);
	}
	b->id = view_id(view_create(PAGE));
	ASSERT_EQ(0, run_program(self->k->progs.list_ranges));
	EXPECT_EQ(0, b->result);
	EXPECT_EQ(0, b->nr);
}

/* To the very end of a view of the largest size. */
TEST_F(kfuncs, last_page)
{
	struct kfuncs__bss *b = self->k->bss;
	u64 end = (u64)LLONG_MAX & ~(PAGE - 1);

	ASSERT_EQ(0, view_resize(self->control, LLONG_MAX));
	ASSERT_EQ(0, view_unmap(self->control, 0, SIZE));
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, end - PAGE, MAP_R));
	ASSERT_EQ(0, run_program(self->k->progs.list_ranges));
	ASSERT_EQ(1, b->nr);
	EXPECT_EQ(end - PAGE, b->ranges[0].offset);
	EXPECT_EQ(PAGE, b->ranges[0].size);
	b->offset = end - PAGE;
	b->size = PAGE;
	ASSERT_EQ(0, run_program(self->k->progs.revoke));
	EXPECT_EQ(0, b->result);
	ASSERT_EQ(0, run_program(self->k->progs.list_ranges));
	EXPECT_EQ(0, b->nr);
}

/* A loop that is left early holds nothing: the view goes with its last user. */
TEST_F(kfuncs, break_out)
{
	struct kfuncs__bss *b = self->k->bss;

	ASSERT_EQ(0, run_program(self->k->progs.break_out));
	EXPECT_EQ(0, b->result);
	EXPECT_EQ(self->id, b->info.id);
	EXPECT_EQ(1, b->nr);
	EXPECT_EQ(8 * PAGE, b->ranges[0].size);
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	EXPECT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	ASSERT_EQ(0, run_program(self->k->progs.list_views));
	EXPECT_EQ(0, b->nr);
}

/* ---- Revoking ---- */

static long client_touch(void *arg)
{
	unsigned int *page = arg;
	char *mem = mmap(NULL, SIZE, PROT_RW, MAP_SHARED, client_viewfd, 0);
	int sig;

	sig = mem == MAP_FAILED ? -errno : probe_write(mem + *page * PAGE + 8, 1);
	munmap(mem, SIZE);
	return sig;
}

TEST_F(kfuncs, revoke_a_span)
{
	struct kfuncs__bss *b = self->k->bss;
	struct view_info before, after;
	struct client client;
	unsigned int page = 2;
	uint64_t word;

	ASSERT_EQ(0, client_start(&client, self->viewfd));
	EXPECT_EQ(0, client_call(&client, client_touch, &page, sizeof(page)));
	ASSERT_EQ(0, probe_read(self->mem + 2 * PAGE, &word));
	ASSERT_EQ(0, view_info(self->control, &before));
	b->offset = 2 * PAGE;
	b->size = 3 * PAGE;
	ASSERT_EQ(0, run_program(self->k->progs.revoke));
	EXPECT_EQ(0, b->result);
	EXPECT_EQ(SIGBUS, probe_read(self->mem + 2 * PAGE, &word));
	EXPECT_EQ(SIGBUS, client_call(&client, client_touch, &page, sizeof(page)));
	model_unmap(&self->model, 2, 3);
	ASSERT_EQ(0, view_info(self->control, &after));
	EXPECT_EQ(before.changes + 1, after.changes);
	EXPECT_EQ(before.zaps + 1, after.zaps);
	EXPECT_EQ(before.bytes - 3 * PAGE, after.bytes);
	EXPECT_EQ(before.ranges + 1, after.ranges);
	EXPECT_EQ(before.size, after.size);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	/* The controller may lend it again. */
	ASSERT_EQ(0, view_map(self->control, self->memfd, 0, PAGE, 2 * PAGE, MAP_RW));
	EXPECT_EQ(0, client_call(&client, client_touch, &page, sizeof(page)));
	client_stop(&client);
}

TEST_F(kfuncs, revoke_all)
{
	struct view_info info = {};

	ASSERT_EQ(0, run_program(self->k->progs.revoke));
	EXPECT_EQ(0, self->k->bss->result);
	model_unmap(&self->model, 0, PAGES);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
	ASSERT_EQ(0, view_info(self->control, &info));
	EXPECT_EQ(0, info.ranges);
	EXPECT_EQ(0, info.bytes);
	EXPECT_EQ(SIZE, info.size);
	EXPECT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	/* There is nothing left, and that is no error. */
	ASSERT_EQ(0, run_program(self->k->progs.revoke));
	EXPECT_EQ(0, self->k->bss->result);
}

TEST_F(kfuncs, revoke_malformed)
{
	static const u64 spans[][2] = {
		{ 1, PAGE }, { 0, 1 }, { PAGE, 0 }, { PAGE, PAGE + 1 }, { ~0ULL, ~0ULL },
		{ -PAGE, 2 * PAGE }, { PAGE, -PAGE + 1 },
	};
	struct kfuncs__bss *b = self->k->bss;
	struct view_info before, after;
	unsigned int i;

	ASSERT_EQ(0, view_info(self->control, &before));
	for (i = 0; i < ARRAY_SIZE(spans); i++) {
		b->offset = spans[i][0];
		b->size = spans[i][1];
		ASSERT_EQ(0, run_program(self->k->progs.revoke));
		EXPECT_EQ(-EINVAL, b->result) TH_LOG("span %u", i);
	}
	ASSERT_EQ(0, view_info(self->control, &after));
	EXPECT_EQ(before.changes, after.changes);
	EXPECT_LAYOUT(&self->model, self->control, self->mem);
}

/* ---- A program has the view, and everybody else has let go of it ---- */

static void *run_hold(void *arg)
{
	return (void *)(long)run_program(arg);
}

TEST_F(kfuncs, view_goes_while_held)
{
	struct kfuncs__bss *b = self->k->bss;
	pthread_t thread;
	void *err;

	ASSERT_EQ(0, pthread_create(&thread, NULL, run_hold, self->k->progs.hold_and_revoke));
	while (!*(volatile int *)&b->held)
		sched_yield();
	munmap(self->mem, SIZE);
	close(self->viewfd);
	close(self->control);
	/* Its sources have been let go, whoever holds the view. */
	EXPECT_EQ(0, fcntl(self->memfd, F_ADD_SEALS, F_SEAL_WRITE));
	*(volatile int *)&b->go = 1;
	ASSERT_EQ(0, pthread_join(thread, &err));
	EXPECT_EQ(NULL, err);
	EXPECT_EQ(-ENOENT, b->result);
	EXPECT_EQ(self->id, b->info.id);
	EXPECT_EQ(0, b->info.mappings);
	EXPECT_EQ(0, b->info.ranges);
	EXPECT_EQ(0, b->info.bytes);
	EXPECT_EQ(0, b->nr);
}

TEST_HARNESS_MAIN
