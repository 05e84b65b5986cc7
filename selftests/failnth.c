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
#include "failnth_ops.h"
#include "lifetime.h"

#define MANY	2000 /* more allocations than anything here makes */

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
	if (takes_a_page(op))
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

#define RUN_ALL(ops) run_all(_metadata, self, variant->kind, ops, nr_##ops)

/*
 * Catches, with the tests below: an error path that leaks, or lets go twice; a
 * change that is half done; a mapping that is counted and not made; a fault that
 * loops or crashes where it should fail.
 */
TEST_F_TIMEOUT(failnth, control, 300)
{
	RUN_ALL(controls);
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
	for (try = 0; try < 600; try++) {
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
